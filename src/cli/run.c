/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that are one call, or little more. */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

int run_answer(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = call_op(cli, command_op(cli->args.command), &answer, err);
    return r < 0 ? r : view_print(cli, &answer, err);
}

int run_waited(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = call_op(cli, command_op(cli->args.command), &answer, err);
    if (r == 0) r = view_print(cli, &answer, err);
    return r < 0 ? r : wait_confirmed(cli, &answer, err);
}

/* Of one agent when it is named. */
int run_rollout_list(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = call_op(cli, op_get(args_get(&cli->args, "agent") ? OP_rollout_list : OP_rollouts), &answer, err);
    return r < 0 ? r : view_print(cli, &answer, err);
}

int run_json(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = call_op(cli, command_op(cli->args.command), &answer, err);
    if (r < 0) return r;
    bool raw = cli->json || !cli->world->out_is_terminal;
    return raw ? view_print_raw(cli, str_slice(&answer.body), err) : view_print_json(cli, answer.json, err);
}

int run_show(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = call_op(cli, op_get(OP_version_get), &answer, err);
    if (r < 0) return r;
    const json_t *config = json_get(answer.json, "config");
    if (cli->json) return view_print_raw(cli, str_slice(&answer.body), err);
    return config ? view_print_json(cli, config, err) : err_set(err, ERR_INTERNAL, "the answer has no configuration");
}

static int check_specs(const struct args *args, size_t *ret_count, struct err *err) {
    size_t index = 0;
    *ret_count = 0;
    for (const char *spec; (spec = args_next(args, "spec", &index)); (*ret_count)++) {
        const char *at = strchr(spec, '@');
        if (at && at > spec && at[1]) continue;
        int r = err_set(err, ERR_USAGE, "which version of %.*s?", (int)strcspn(spec, "@"), spec);
        err_at(err, "%s", spec);
        err_remedy(err, "Write %.*s@42 or %.*s@latest", (int)strcspn(spec, "@"), spec, (int)strcspn(spec, "@"), spec);
        return r;
    }
    if (*ret_count == 1 || !args_get(args, "expected")) return 0;
    int r = err_set(err, ERR_USAGE, "--expected goes with one AGENT@VERSION only");
    err_at(err, "--expected");
    return r;
}

/* The members that the operation takes beside `moves` are already there. */
static const char *add_moves(struct cli *cli, const char *body) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    size_t index = 0;
    str_add(&out, body, strlen(body) - 1);
    str_add_text(&out, ",\"moves\":");
    jw_array(&jw, NULL);
    for (const char *spec; (spec = args_next(&cli->args, "spec", &index));) {
        size_t len = strcspn(spec, "@");
        jw_object(&jw, NULL);
        jw_slice(&jw, "agent", (struct slice){spec, len});
        jw_text(&jw, "version", spec + len + 1);
        jw_end_object(&jw);
    }
    jw_end_array(&jw);
    str_add_char(&out, '}');
    return out.failed ? NULL : arena_strdup(&cli->arena, out.data);
}

int run_deploy(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct call call;
    size_t count;
    int r = check_specs(&cli->args, &count, err);
    if (r < 0) return r;
    r = call_build(cli, op_get(count > 1 ? OP_release_create : OP_deploy), &call, err);
    if (r < 0) return r;
    if (count > 1) call.body = add_moves(cli, call.body);
    if (!call.body) return err_no_memory(err);
    r = call_send(cli, &call, &answer, err);
    if (r == 0) r = view_print(cli, &answer, err);
    return r < 0 ? r : wait_confirmed(cli, &answer, err);
}

int run_version(struct cli *cli, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    if (cli->json)
        str_add_text(&out, "{\"version\":\"" SERIN_VERSION "\"}\n");
    else
        str_add_text(&out, "serin " SERIN_VERSION "\n");
    return cli_write(cli, &out, err);
}
