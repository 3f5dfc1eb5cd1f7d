/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin watch`: server-sent events, read line by line. A stream that breaks is taken up behind the last position that was
 * seen, so nothing is missed and nothing told twice.
 */
#include "cli/cli_impl.h"

#include <string.h>

#define LINE_MAX (16 * 1024 * 1024)
#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS 8000

struct watch {
    struct cli *cli;
    struct err *err;
    struct str line, event, data;
    char position[64]; /* of the newest event */
    bool heard;        /* something came since the last connection */
    int r;
};

static void print_change(struct watch *watch, const json_t *change) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    char when[WHEN_SIZE] = "";
    int64_t wall;
    const json_t *entry = json_get(change, "entry"), *deployment = json_get(entry, "deployment");
    const char *agent = json_get_text(change, "agent"), *reason = json_get_text(deployment, "reason");
    const char *at = json_get_text(deployment, "at"), *kind = json_get_text(deployment, "kind");
    if (at && clock_from_text(at, &wall)) when_date(wall, when);
    str_printf(&out, "%s  %s  %s@%lld (%s: %s)%s", watch->position, when, agent ? agent : "?",
               (long long)json_integer_value(json_get(entry, "version")), kind ? kind : "?", reason ? reason : "",
               json_is_true(json_get(entry, "held")) ? " held" : "");
    size_t overrides = json_array_size(json_get(entry, "overrides"));
    if (overrides) str_printf(&out, " %zu override%s", overrides, overrides == 1 ? "" : "s");
    _cleanup_(str_deinit) struct str safe = STR_INIT;
    if (!out.failed) text_add_safe(&safe, out.data, out.len, false);
    str_add_char(&safe, '\n');
    watch->r = cli_write(watch->cli, &safe, watch->err);
}

static void print_event(struct watch *watch) {
    _cleanup_(json_decrefp) json_t *data = NULL;
    size_t index;
    json_t *change;
    if (watch->cli->json) {
        watch->r = view_print_raw(watch->cli, str_slice(&watch->data), watch->err);
        return;
    }
    watch->r = json_parse(watch->data.data, watch->data.len, JSON_DEPTH_MAX, &data, watch->err);
    if (watch->r < 0) return;
    if (!strcmp(watch->event.data, "refetch"))
        cli_note(watch->cli, "more changed while the connection was lost than the server still knows one by one");
    json_array_foreach(json_get(data, "changes"), index, change) {
        if (watch->r == 0) print_change(watch, change);
    }
}

/* The empty line ends an event. */
static void end_event(struct watch *watch) {
    str_add_text(&watch->event, "");
    bool told = watch->data.len && strcmp(watch->event.data, "ready");
    if (told && !watch->data.failed && !watch->event.failed) print_event(watch);
    str_clear(&watch->event);
    str_clear(&watch->data);
}

static void read_field(struct watch *watch, const char *line) {
    size_t len = strcspn(line, ":");
    const char *value = line[len] ? line + len + 1 : "";
    struct slice name = {line, len};
    if (*value == ' ') value++;
    if (slice_equal_text(name, "id")) snprintf(watch->position, sizeof(watch->position), "%s", value);
    if (slice_equal_text(name, "event")) str_add_text(&watch->event, value);
    if (slice_equal_text(name, "data")) str_add_text(&watch->data, value);
}

static void end_line(struct watch *watch) {
    str_add_text(&watch->line, "");
    if (watch->line.failed) {
        watch->r = err_no_memory(watch->err);
        return;
    }
    if (watch->line.len && watch->line.data[watch->line.len - 1] == '\r') watch->line.data[--watch->line.len] = '\0';
    if (watch->line.len)
        read_field(watch, watch->line.data);
    else
        end_event(watch);
    str_clear(&watch->line);
}

static int take(void *ctx, const char *bytes, size_t len) {
    struct watch *watch = ctx;
    watch->heard = true;
    while (len && watch->r == 0) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        str_add(&watch->line, bytes, part);
        if (watch->line.len > LINE_MAX)
            watch->r = err_set(watch->err, ERR_TOO_LARGE, "an event is larger than %d MiB", LINE_MAX >> 20);
        if (end && watch->r == 0) end_line(watch);
        part += end != NULL;
        bytes += part;
        len -= part;
    }
    return watch->r;
}

/* Refused for good: 401, 403, 404 … say why; anything else is tried again. */
static int connect_once(struct watch *watch, const char *path, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct cli *cli = watch->cli;
    struct cli_response response = {0};
    const char *resume = *watch->position ? "after=" : "";
    struct cli_request request = {.method = "GET", .key = cli->profile.key, .data = take, .data_ctx = watch};
    request.url = arena_printf(&cli->arena, "%s%s%s%s%s", cli->profile.url, path,
                               !*resume            ? ""
                               : strchr(path, '?') ? "&"
                                                   : "?",
                               resume, watch->position);
    if (!request.url) return err_no_memory(err);
    str_clear(&watch->line);
    str_clear(&watch->event);
    str_clear(&watch->data);
    int r = cli->world->transport->request(cli->world->transport->ctx, &request, &response, err);
    answer = (struct answer){.status = response.status, .body = response.body};
    if (watch->r < 0) return watch->r;
    if (r < 0 || (response.status >= 200 && response.status < 300)) return r;
    return call_judge(cli, &answer, err);
}

static bool comes_back(int r) {
    return r == 0 || r == -ERR_CONNECT || r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT;
}

int run_watch(struct cli *cli, struct err *err) {
    struct watch watch = {.cli = cli, .err = err};
    struct call call;
    unsigned wait = RETRY_FIRST_MS;
    bool connected = false;
    int r = call_build(cli, op_get(OP_stream), &call, err);
    while (r == 0) {
        watch.heard = false;
        r = connect_once(&watch, call.path, err);
        connected |= watch.heard;
        if (!connected || !comes_back(r)) break;
        if (watch.heard) wait = RETRY_FIRST_MS;
        cli_note(cli, "the stream broke; trying again");
        cli->world->transport->pause(cli->world->transport->ctx, wait);
        wait = wait * 2 < RETRY_MAX_MS ? wait * 2 : RETRY_MAX_MS;
        r = 0;
    }
    str_deinit(&watch.line);
    str_deinit(&watch.event);
    str_deinit(&watch.data);
    return r;
}
