/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change is sent with an Idempotency-Key, so that trying it again is safe: when the connection is lost in between, or the
 * server says that it does not know the outcome or cannot serve just now, the same request goes out up to three times more, after
 * pauses of a random length under a bound that doubles ("full jitter"): many clients that lost the same server do
 * not come back at the same moment.
 */
#include "base/hash.h"
#include "base/uuid.h"
#include "cli/cli_impl.h"

#include <string.h>

#define TRIES 4
#define PAUSE_MS 250
#define ANSWER_DEPTH JSON_DEPTH_MAX

void answer_deinit(struct answer *answer) {
    str_deinit(&answer->body);
    json_decref(answer->json);
    *answer = (struct answer){0};
}

static int make_idempotency_key(struct cli *cli, char ret[UUID_TEXT_SIZE], const char **ret_key, struct err *err) {
    const char *given = args_get(&cli->args, "idempotency_key");
    *ret_key = given ? given : ret;
    return given ? 0 : uuid_new(cli->world->clock, ret, err);
}

static unsigned jitter(unsigned bound_ms) {
    uint32_t random = 0;
    if (random_bytes(&random, sizeof(random), NULL) < 0) return bound_ms;
    return random % (bound_ms + 1);
}

/* One try: below 0 when there was no answer. */
static int try_once(struct cli *cli, const struct cli_request *request, struct answer *ret, struct err *err) {
    struct cli_response response = {0};
    answer_deinit(ret);
    int r = cli->world->transport->request(cli->world->transport->ctx, request, &response, err);
    ret->status = response.status;
    ret->body = response.body;
    return r;
}

static int try_often(struct cli *cli, const struct cli_request *request, unsigned tries, struct answer *ret,
                     struct err *err) {
    for (unsigned try = 1;; try++) {
        int r = try_once(cli, request, ret, err);
        bool again = r == -ERR_UNAVAILABLE || (r == 0 && ret->status == 503);
        if (!again || try == tries) return r;
        cli->world->transport->pause(cli->world->transport->ctx, jitter(PAUSE_MS << (try - 1)));
    }
}

/* Without an answer nobody knows whether a change was made; with the same key it can be asked again. */
static int no_answer(const struct cli_request *request, int r, struct err *err) {
    if (r == -ERR_CONNECT || !request->idempotency_key) return r;
    err_set(err, ERR_UNKNOWN_OUTCOME, "no answer came, so whether the change was made is not known");
    err_remedy(err, "Run the same command again with --idempotency-key %s: it is never done twice",
               request->idempotency_key);
    return -ERR_UNKNOWN_OUTCOME;
}

static int not_serin(const struct cli *cli, const struct answer *answer, struct err *err) {
    int r = err_set(err, ERR_CONNECT, "what answers there with status %d is not Serin", answer->status);
    err_at(err, "%s", cli->profile.url);
    return r;
}

static enum err_code problem_code(const struct answer *answer, const char *name) {
    enum err_code code = name ? err_by_name(name) : ERR_NONE;
    return code != ERR_NONE ? code : answer->status >= 500 ? ERR_INTERNAL : ERR_BAD_REQUEST;
}

/* A parameter's place becomes what the user wrote for it: "--environment", "AGENT@VERSION". */
static const char *place_of(const struct cli *cli, const char *at) {
    const struct arg *args[COMMAND_ARGS_MAX];
    const char *name = at + (*at == '/');
    size_t count = cli->args.command ? command_args(cli->args.command, args) : 0;
    for (size_t i = 0; i < count; i++) {
        bool spec = args[i]->kind == ARG_SPEC && (!strcmp(name, "agent") || !strcmp(name, "version"));
        if (spec || !strcmp(args[i]->param, name)) return args[i]->flag ? args[i]->flag : args[i]->metavar;
    }
    return at;
}

/* Where the server's advice is about requests, the command's help says more. */
static void set_remedy(const struct cli *cli, const char *remedy, struct err *err) {
    bool about_requests =
        err->code == ERR_BAD_REQUEST || err->code == ERR_MISSING_FIELD || err->code == ERR_UNKNOWN_FIELD;
    if (about_requests && cli->args.command && !strcmp(remedy, err_advice(err->code)))
        err_remedy(err, "serin %s --help", cli->args.command->words);
    else
        err_remedy(err, "%s", remedy);
}

/* The server's own words, with what only the command line can say: names of its options, and where its key comes from. */
static int problem_err(struct cli *cli, const struct answer *answer, struct err *err) {
    const char *detail = json_get_text(answer->json, "detail"), *at = json_get_text(answer->json, "at");
    const char *remedy = json_get_text(answer->json, "remedy");
    if (!detail) return not_serin(cli, answer, err);
    int r = err_set(err, problem_code(answer, json_get_text(answer->json, "code")), "%s", detail);
    if (at) err_at(err, "%s", place_of(cli, at));
    if (remedy) set_remedy(cli, remedy, err);
    err_position(err, (unsigned)json_integer_value(json_get(answer->json, "line")),
                 (unsigned)json_integer_value(json_get(answer->json, "column")));
    if (answer->status == 401)
        err_remedy(err, cli->profile.key
                            ? "Check the key in --key, SERIN_KEY or the configuration file: it is wrong or revoked"
                            : "Set SERIN_KEY, or key = \"…\" in ~/.config/serin/config.toml");
    struct err print_err = ERR_INIT;
    int printed = cli->json ? view_print_raw(cli, str_slice(&answer->body), &print_err) : 0;
    return printed < 0 ? printed : r;
}

int call_judge(struct cli *cli, struct answer *answer, struct err *err) {
    struct err parse_err = ERR_INIT;
    int r = json_parse(answer->body.data ? answer->body.data : "", answer->body.len, ANSWER_DEPTH, &answer->json,
                       &parse_err);
    if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    if (r < 0) return not_serin(cli, answer, err);
    if (answer->status >= 200 && answer->status < 300) return 0;
    return problem_err(cli, answer, err);
}

int call_send(struct cli *cli, const struct call *call, struct answer *ret, struct err *err) {
    char made[UUID_TEXT_SIZE];
    bool change = call->op && call->op->kind == OP_CHANGE;
    struct cli_request request = {
        .method = call->op ? op_method_name(call->op->method) : "GET",
        .key = cli->profile.key,
        .body = slice_of(call->body),
        .timeout_ms = cli->timeout_ms,
    };
    request.url = arena_printf(&cli->arena, "%s%s", cli->profile.url, call->path);
    if (!request.url) return err_no_memory(err);
    int r = change ? make_idempotency_key(cli, made, &request.idempotency_key, err) : 0;
    if (r < 0) return r;
    r = try_often(cli, &request, call->once ? 1 : TRIES, ret, err);
    if (r < 0) return no_answer(&request, r, err);
    return call_judge(cli, ret, err);
}

int call_again(struct cli *cli, const struct call *call, struct answer *ret, struct err *err) {
    struct call once = *call;
    struct arena arena = cli->arena;
    bool json = cli->json;
    once.once = true;
    cli->arena = ARENA_INIT;
    cli->json = false;
    int r = call_send(cli, &once, ret, err);
    arena_deinit(&cli->arena);
    cli->arena = arena;
    cli->json = json;
    return r;
}

int call_op(struct cli *cli, const struct op *op, struct answer *ret, struct err *err) {
    struct call call;
    int r = call_build(cli, op, &call, err);
    return r < 0 ? r : call_send(cli, &call, ret, err);
}
