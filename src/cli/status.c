/* SPDX-License-Identifier: Apache-2.0 */
/* `serin status`: two questions, the second of which needs no key, so that a wrong key is told from a missing server. */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

struct status {
    struct answer ready, whoami;
};

static void add_line(struct str *out, const char *label, const char *text) {
    str_printf(out, "%-14s", label);
    text_add_safe(out, text ? text : "?", strlen(text ? text : "?"), false);
    str_add_char(out, '\n');
}

static void add_environments(struct str *out, const json_t *list) {
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item) {
        const char *name = json_string_value(item);
        str_printf(out, "%s%s", index ? ", " : "", !name ? "?" : strcmp(name, "*") ? name : "all");
    }
}

static void add_text(const struct cli *cli, const struct status *status, struct str *out) {
    const json_t *whoami = status->whoami.json;
    _cleanup_(str_deinit) struct str environments = STR_INIT;
    add_line(out, "server", cli->profile.url);
    add_line(out, "state", json_get_text(status->ready.json, "status"));
    const char *away = json_get_text(json_get(status->ready.json, "store"), "detail");
    if (away) add_line(out, "store", away);
    add_line(out, "version", json_get_text(whoami, "server"));
    add_line(out, "position", json_get_text(whoami, "position"));
    add_environments(&environments, json_get(whoami, "environments"));
    str_add_text(out, "\n");
    add_line(out, "key", json_get_text(whoami, "id"));
    add_line(out, "name", json_get_text(whoami, "name"));
    add_line(out, "role", json_get_text(whoami, "role"));
    add_line(out, "environments", environments.data);
}

static void add_json(const struct cli *cli, const struct status *status, struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_text(&jw, "url", cli->profile.url);
    jw_raw(&jw, "ready", str_slice(&status->ready.body));
    jw_raw(&jw, "whoami", str_slice(&status->whoami.body));
    jw_end_object(&jw);
    str_add_char(out, '\n');
}

static int ask(struct cli *cli, struct status *status, struct err *err) {
    struct call ready = {.path = "/readyz", .once = true};
    struct call whoami = {.op = op_get(OP_whoami), .path = "/v1/whoami", .once = true};
    int r = call_send(cli, &ready, &status->ready, err);
    bool says = json_get_text(status->ready.json, "status") != NULL;
    if (r < 0 && !says) return r;
    return call_send(cli, &whoami, &status->whoami, err);
}

int run_status(struct cli *cli, struct err *err) {
    struct status status = {0};
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = ask(cli, &status, err);
    if (r == 0) (cli->json ? add_json : add_text)(cli, &status, &out);
    if (r == 0) r = cli_write(cli, &out, err);
    answer_deinit(&status.ready);
    answer_deinit(&status.whoami);
    return r;
}
