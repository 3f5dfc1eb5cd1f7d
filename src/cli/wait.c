/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --wait. The change is made and told before; here the server is asked again and again who has confirmed its position. Streams that never
 * confirmed anything are not waited for, for they would never be done; those that close meanwhile are not either: whoever comes back
 * begins with what is served by then. A server that does not answer for a moment is asked again as long as there is time.
 *
 * That everybody has it is the result and goes where results go, but with --json, where only the answer does: to standard error then. Whatever else
 * there is to say goes to standard error.
 */
#include "cli/cli_impl.h"

#include <string.h>

#define PAUSE_FIRST_MS 10
#define PAUSE_MAX_MS 250
#define ANSWER_MIN_MS 1000 /* a question gets as long, also when less is left */

struct waiting {
    struct cli *cli;
    const char *path;
    int64_t begun, seconds;
    struct answer answer; /* the newest */
};

static int64_t spent_ms(const struct waiting *waiting) {
    return (clock_monotonic(waiting->cli->world->clock) - waiting->begun) / 1000;
}

static int64_t left_ms(const struct waiting *waiting) {
    return waiting->seconds * 1000 - spent_ms(waiting);
}

static int64_t figure(const struct waiting *waiting, const char *name) {
    return json_integer_value(json_get(waiting->answer.json, name));
}

/* ---- what is told ---- */

static int tell_all(const struct waiting *waiting, struct err *err) {
    struct cli *cli = waiting->cli;
    _cleanup_(str_deinit) struct str line = STR_INIT;
    int64_t confirming = figure(waiting, "confirming"), others = figure(waiting, "streams") - confirming;
    str_printf(&line, "%lld of %lld confirmed in %lld ms", (long long)confirming, (long long)confirming,
               (long long)spent_ms(waiting));
    if (others > 0)
        str_printf(&line, "; %lld more stream%s never confirmed anything", (long long)others, others == 1 ? "" : "s");
    if (line.failed) return err_no_memory(err);
    if (cli->json) {
        cli_note(cli, "%s", line.data);
        return 0;
    }
    str_add_char(&line, '\n');
    return cli_write(cli, &line, err);
}

static void tell_none(const struct waiting *waiting) {
    long long streams = figure(waiting, "streams");
    if (streams == 0)
        cli_note(waiting->cli, "no stream is connected; nothing to wait for");
    else if (streams == 1)
        cli_note(waiting->cli, "the one connected stream does not confirm what it has; nothing to wait for");
    else
        cli_note(waiting->cli, "none of the %lld connected streams confirms what it has; nothing to wait for", streams);
}

static void tell_laggard(const struct cli *cli, const json_t *laggard) {
    char line[1024];
    const char *name = json_get_text(laggard, "name"), *id = json_get_text(laggard, "id");
    const char *key = json_get_text(laggard, "key"), *has = json_get_text(laggard, "confirmed");
    snprintf(line, sizeof(line), "  %s (key: %s) has %s",
             name ? name
             : id ? id
                  : "?",
             key ? key : "?", has ? has : "?");
    cli_print_line(cli, line);
}

static void tell_missing(const struct waiting *waiting) {
    const json_t *laggards = json_get(waiting->answer.json, "laggards");
    int64_t confirming = figure(waiting, "confirming"), confirmed = figure(waiting, "confirmed");
    int64_t more = confirming - confirmed - (int64_t)json_array_size(laggards);
    size_t index;
    json_t *laggard;
    cli_note(waiting->cli, "%lld of %lld confirmed within %lld s; missing:", (long long)confirmed,
             (long long)confirming, (long long)waiting->seconds);
    json_array_foreach(laggards, index, laggard) {
        tell_laggard(waiting->cli, laggard);
    }
    char line[64];
    snprintf(line, sizeof(line), "  and %lld more", (long long)more);
    if (more > 0) cli_print_line(waiting->cli, line);
}

/* ---- asking ---- */

/* A problem here is no answer to the command, so --json does not print it. */
static int ask(struct waiting *waiting, struct err *err) {
    struct cli *cli = waiting->cli;
    const struct call call = {.op = op_get(OP_stream_list), .path = waiting->path, .once = true};
    int64_t timeout_ms = cli->timeout_ms, left = left_ms(waiting);
    bool json = cli->json;
    if (left < ANSWER_MIN_MS) left = ANSWER_MIN_MS;
    if (left < timeout_ms) cli->timeout_ms = left;
    cli->json = false;
    answer_deinit(&waiting->answer);
    int r = call_send(cli, &call, &waiting->answer, err);
    cli->json = json;
    cli->timeout_ms = timeout_ms;
    return r;
}

static bool passes(int r) {
    return r == -ERR_CONNECT || r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_TOO_MANY_REQUESTS;
}

static void pause_for(const struct waiting *waiting, unsigned *pause_ms) {
    const struct cli_transport *transport = waiting->cli->world->transport;
    int64_t left = left_ms(waiting);
    transport->pause(transport->ctx, left < *pause_ms ? (unsigned)left : *pause_ms);
    *pause_ms += *pause_ms / 2;
    if (*pause_ms > PAUSE_MAX_MS) *pause_ms = PAUSE_MAX_MS;
}

static int wait_for_all(struct waiting *waiting, struct err *err) {
    for (unsigned pause_ms = PAUSE_FIRST_MS;; pause_for(waiting, &pause_ms)) {
        int r = ask(waiting, err);
        if (r == 0 && figure(waiting, "confirming") == 0) {
            tell_none(waiting);
            return 0;
        }
        if (r == 0 && figure(waiting, "confirmed") >= figure(waiting, "confirming")) return tell_all(waiting, err);
        if (r < 0 && !passes(r)) return r;
        if (left_ms(waiting) > 0) continue;
        if (r < 0) return r;
        tell_missing(waiting);
        return 1;
    }
}

static const char *streams_path(struct cli *cli, const struct answer *change) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    const char *environment = args_get(&cli->args, "environment"), *position = json_get_text(change->json, "position");
    if (!environment) environment = json_get_text(json_get(change->json, "release"), "environment");
    str_add_text(&path, "/v1/streams?environment=");
    url_add(&path, environment ? environment : "");
    str_add_text(&path, "&position=");
    url_add(&path, position ? position : "");
    return path.failed ? NULL : arena_strdup(&cli->arena, path.data);
}

int wait_confirmed(struct cli *cli, const struct answer *change, struct err *err) {
    const char *wanted = args_get(&cli->args, "wait");
    if (!wanted || args_on(&cli->args, "dry_run")) return 0;
    struct waiting waiting = {.cli = cli, .begun = clock_monotonic(cli->world->clock)};
    bool known = text_to_int(wanted, 1, WAIT_MAX_S, &waiting.seconds);
    waiting.path = known ? streams_path(cli, change) : NULL;
    int r = waiting.path ? wait_for_all(&waiting, err) : err_no_memory(err);
    if (r < 0) err_prefix(err, "the change is made; who has it is not known: ");
    answer_deinit(&waiting.answer);
    return r;
}
