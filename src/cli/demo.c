/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin demo seed`: plays the histories of example agents into a server. Each folder holds one agent: its versions as subfolders and
 * history.yaml, which tells in order what was pushed, deployed and rolled back, which flags were set, and why. Every step is a command of this
 * program, so the examples show nothing that a user could not do.
 */
#include "base/file.h"
#include "cli/cli_impl.h"
#include "model/names.h"
#include "model/source.h"

#include <dirent.h>
#include <string.h>

#define HISTORY_MAX (256 * 1024)

void line_add(struct line *line, const char *word) {
    if (line->count < LINE_WORDS_MAX) line->words[line->count++] = word;
}

void line_option(struct line *line, const char *flag, const char *value) {
    if (!value) return;
    line_add(line, flag);
    line_add(line, value);
}

int line_run(struct cli *cli, struct line *line) {
    line_option(line, "--server", args_get(&cli->args, "server"));
    line_option(line, "--key", args_get(&cli->args, "api_key"));
    return cli_run(cli->world, line->count, (char *const *)line->words, cli->locals, cli->local_count);
}

/* ---- one agent ---- */

static int wrong_step(const char *path, size_t index, struct err *err) {
    int r =
        err_set(err, ERR_INVALID, "step %zu is neither push, deploy, rollback nor flags with what it needs", index + 1);
    err_at(err, "%s", path);
    err_remedy(
        err,
        "Write {push: v1, message: …}, {deploy: 1, environment: …, reason: …}, {rollback: production, reason: …} or "
        "{flags: flags.json, environment: …, reason: …}");
    return r;
}

/* Paths are of the agent's folder. */
static bool flags_line(struct cli *cli, const char *folder, const json_t *step, struct line *line) {
    const char *bindings = json_get_text(step, "bindings"), *environment = json_get_text(step, "environment");
    line_add(line, "flag");
    line_add(line, "import");
    line_add(line, arena_printf(&cli->arena, "%s/%s", folder, json_get_text(step, "flags")));
    if (bindings) line_add(line, "--bindings");
    if (bindings) line_add(line, arena_printf(&cli->arena, "%s/%s", folder, bindings));
    line_option(line, "--environment", environment);
    line_option(line, "--message", json_get_text(step, "reason"));
    return environment != NULL;
}

static bool step_line(struct cli *cli, const char *folder, const char *agent, const json_t *step, struct line *line) {
    const char *push = json_get_text(step, "push"), *rollback = json_get_text(step, "rollback");
    const json_t *deploy = json_get(step, "deploy");
    line_add(line, "serin");
    if (push) {
        line_add(line, "push");
        line_add(line, arena_printf(&cli->arena, "%s/%s", folder, push));
        line_option(line, "--agent", agent);
        line_option(line, "--message", json_get_text(step, "message"));
        return true;
    }
    if (json_get_text(step, "flags")) return flags_line(cli, folder, step, line);
    line_add(line, rollback ? "rollback" : "deploy");
    line_add(line,
             rollback ? agent : arena_printf(&cli->arena, "%s@%lld", agent, (long long)json_integer_value(deploy)));
    line_option(line, "--environment", rollback ? rollback : json_get_text(step, "environment"));
    line_option(line, "--message", json_get_text(step, "reason"));
    return rollback || (json_is_integer(deploy) && json_get_text(step, "environment"));
}

static int play(struct cli *cli, const char *folder, const char *agent, const char *path, const json_t *history,
                struct err *err) {
    const json_t *steps = json_get(history, "steps");
    size_t index;
    json_t *step;
    if (!json_is_array(steps)) return wrong_step(path, 0, err);
    json_array_foreach(steps, index, step) {
        struct line line = {0};
        if (!step_line(cli, folder, agent, step, &line)) return wrong_step(path, index, err);
        for (int i = 0; i < line.count; i++)
            if (!line.words[i]) return err_no_memory(err);
        int code = line_run(cli, &line);
        if (code) return code;
    }
    return 0;
}

/* 1 when the server has the agent already: its history is not ours to go on with. */
static int agent_exists(struct cli *cli, const char *agent, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct call call = {.op = op_get(OP_agent_get), .path = arena_printf(&cli->arena, "/v1/agents/%s", agent)};
    if (!call.path) return err_no_memory(err);
    int r = call_send(cli, &call, &answer, err);
    if (r == -ERR_AGENT_NOT_FOUND) return 0;
    return r < 0 ? r : 1;
}

static int seed_agent(struct cli *cli, const char *folder, const char *agent, struct err *err) {
    const char *path = arena_printf(&cli->arena, "%s/history.yaml", folder);
    if (!path) return err_no_memory(err);
    int r = agent_exists(cli, agent, err);
    if (r < 0) return r;
    if (r > 0) {
        cli_note(cli, "%s is there already; left as it is", agent);
        return 0;
    }
    _cleanup_(str_deinit) struct str text = STR_INIT;
    r = file_read(path, HISTORY_MAX, &text, NULL, err);
    if (r < 0) return r;
    _cleanup_(json_decrefp) json_t *history = NULL;
    r = source_parse_yaml(str_slice(&text), &history, NULL, err);
    if (r < 0) {
        err_at(err, "%s", path);
        return r;
    }
    return play(cli, folder, agent, path, history, err);
}

/* ---- all of them ---- */

static int make_environments(struct cli *cli) {
    static const char *const names[] = {"staging", "production"};
    int code = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && !code; i++) {
        struct line line = {0};
        line_add(&line, "serin");
        line_add(&line, "env");
        line_add(&line, "create");
        line_add(&line, names[i]);
        code = line_run(cli, &line);
    }
    return code;
}

static int is_agent(const struct dirent *entry) {
    return name_valid(slice_of(entry->d_name));
}

int run_demo_seed(struct cli *cli, struct err *err) {
    const char *root = args_get(&cli->args, "folder");
    struct dirent **entries;
    int count = scandir(root, &entries, is_agent, alphasort);
    if (count <= 0) {
        int r = err_set(err, ERR_FILE, "there are no agents in %s", root);
        err_at(err, "%s", root);
        return r;
    }
    int r = make_environments(cli);
    for (int i = 0; i < count; i++) {
        const char *folder = arena_printf(&cli->arena, "%s/%s", root, entries[i]->d_name);
        if (!r) r = folder ? seed_agent(cli, folder, entries[i]->d_name, err) : err_no_memory(err);
        free(entries[i]);
    }
    free(entries);
    return r;
}
