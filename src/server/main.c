/* SPDX-License-Identifier: Apache-2.0 */
/* `serin`: the command line, with the commands that need the store itself added to it. */
#include "base/failpoint.h"
#include "cli/cli.h"
#include "server/serve.h"

static const struct cli_local locals[] = {
    {
        .name = "serve",
        .summary = "Run the server",
        .help = "Starts Serin in the foreground: the API, and the store inside. Without arguments it keeps its data in "
                "serin.db in the working folder and answers on loopback only. The first start makes an admin key and "
                "prints it once, or takes the one in `SERIN_BOOTSTRAP_KEY` (32 characters or more).\n"
                "\n"
                "Every setting can stand in a file (--settings FILE), in the environment (SERIN_<SETTING>, as "
                "SERIN_WORKERS) or on the command line; later ones win. SIGTERM finishes open requests and ends; "
                "SIGHUP "
                "reads the settings again.",
        .examples = "serin serve\nserin serve --store sqlite:/var/lib/serin/serin.db --listen 127.0.0.1:7420\n",
        .settings = true,
        .run = serve_main,
    },
    {
        .name = "rebuild",
        .summary = "Make the store's derived tables anew",
        .help = "Empties the tables that are derived from history and makes them again from it. Nothing is lost. "
                "The server must not be running.",
        .examples = "serin rebuild --store sqlite:/var/lib/serin/serin.db\n",
        .settings = true,
        .run = rebuild_main,
    },
    {
        .name = "backup",
        .summary = "Copy the store, also while a server writes",
        .help = "Copies everything that was acknowledged when it began into one file, while the server goes on. "
                "The copy "
                "is checked in every page and every link of the audit chain before it gets its name; when anything "
                "fails, FILE stays as it was.\n"
                "\n"
                "The key that signs audit checkpoints is a file of its own and is not in the backup. `serin "
                "restore` brings "
                "a backup back; `serin audit verify --store sqlite:FILE` holds it to a checkpoint.",
        .examples = "serin backup /backup/serin.db --store sqlite:/var/lib/serin/serin.db\n"
                    "serin backup /backup/today.db --force --settings /etc/serin/serin.toml\n",
        .settings = true,
        .options = &backup_options,
        .run = backup_main,
    },
    {
        .name = "restore",
        .summary = "Bring a backup back",
        .help = "Puts the backup in the store's place and begins a new epoch, so that everybody who follows the "
                "store notices that "
                "history was turned back. The backup is checked first; the store that was in place is kept beside "
                "it. The "
                "server must not be running. When it is interrupted or killed, the old store is in place or the "
                "new one, and it "
                "can be run again.",
        .examples = "serin restore /backup/serin.db --store sqlite:/var/lib/serin/serin.db\n"
                    "serin restore /backup/serin.db --reason \"disk of node 3 was lost\"\n",
        .settings = true,
        .options = &restore_options,
        .run = restore_main,
    },
    {
        .name = "doctor",
        .summary = "Look for what is wrong with a store and its machine",
        .help = "Looks at the settings, the store, its disk, the clock, limits and versions, and says for each "
                "finding what to do. "
                "Changes nothing, and may run beside a server. Exit code 1 when there is a problem.",
        .examples = "serin doctor --store sqlite:/var/lib/serin/serin.db\n"
                    "serin doctor --settings /etc/serin/serin.toml --json\n",
        .settings = true,
        .options = &doctor_options,
        .run = doctor_main,
    },
    {
        .name = "simulate",
        .summary = "Try a rollout in a described world",
        .help = "Runs many rollouts by the real rules (the resolver's buckets, the analysis, the controller's "
                "decisions) under a "
                "clock of their own, in a world that a file describes, that is built in (--scenario), or that a few "
                "options "
                "make. Prints how often and how soon a rollout is promoted, rolled back or held, and beside it what "
                "the plain "
                "ratio rule would have done there.\n"
                "\n"
                "Use it to choose steps and margins before you trust them. The same seed gives the same runs "
                "everywhere. The file "
                "is JSON; the page about rollouts describes its members.",
        .examples = "serin simulate --template careful --stable-error 0.02 --candidate-error 0.04 --per-second 20\n"
                    "serin simulate world.json --runs 5000\n"
                    "serin simulate --scenario t2 --json\n"
                    "serin simulate --scenario trap-ramp --journal\n",
        .options = &simulate_options,
        .run = simulate_main,
    },
    {
        .name = "docs",
        .summary = "Print the reference of metrics, log events, errors, settings and operations",
        .help = "Prints a page of the reference as Markdown (openapi: as JSON), or writes all into a folder. It "
                "says of every metric and log event what it means and what to do.",
        .examples = "serin docs metrics\nserin docs log\nserin docs --folder /tmp/reference\n",
        .options = &docs_options,
        .run = docs_main,
    },
};

int main(int argc, char **argv) {
    struct err err = ERR_INIT;
    if (failpoint_arm(&err) < 0) {
        cli_report(&err);
        return 2;
    }
    return cli_main(argc, argv, locals, ARRAY_LEN(locals));
}
