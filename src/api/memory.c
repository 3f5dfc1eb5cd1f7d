/* SPDX-License-Identifier: Apache-2.0 */
/* What memory answers besides resolving: who asks, who has confirmed what, and snapshots. Whole snapshots are written on a control thread, for they are big. */
#include "api/api_impl.h"
#include "model/names.h"

#include <stdio.h>
#include <string.h>

static void write_whoami(const struct principal *principal, const struct snapshot *snapshot, struct str *out) {
    char position[POSITION_TEXT_SIZE];
    position_text(snapshot_position(snapshot), position);
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_text(&jw, "id", principal->id);
    jw_text(&jw, "name", principal->name);
    jw_text(&jw, "role", role_name(principal->role));
    jw_array(&jw, "environments");
    if (principal->all_environments) jw_text(&jw, NULL, "*");
    for (size_t i = 0; !principal->all_environments && principal->environments[i]; i++)
        jw_text(&jw, NULL, principal->environments[i]);
    jw_end_array(&jw);
    jw_text(&jw, "server", SERIN_VERSION);
    jw_text(&jw, "position", position);
    jw_end_object(&jw);
}

static const char *snapshot_etag(struct api *api, struct slice environment, struct arena *arena) {
    char text[POSITION_TEXT_SIZE];
    position_text(hub_environment_position(api->hub, environment), text);
    return arena_printf(arena, "\"%s\"", text);
}

/* 304 from memory; anything else is left for a control thread. */
static bool snapshot_unchanged(struct api *api, const json_t *params, const struct principal *principal,
                               struct http_request *request, struct http_response *response) {
    struct slice environment;
    if (question_environment(principal, slice_of(json_get_text(params, "environment")), &environment, NULL) < 0)
        return false;
    const char *etag = snapshot_etag(api, environment, http_arena(request));
    if (!request_has(request, etag)) return false;
    response->status = 304;
    http_response_header(response, "ETag", etag);
    return true;
}

/* A question whose answer is small enough to be written here and now. */
struct small {
    struct api *api;
    const json_t *params;
    const struct principal *principal;
    const struct snapshot *snapshot;
    struct arena *arena;
};

/* ---- what readers of the stream confirm ---- */

/* No reader was told of a position that the snapshot it asks by has not reached. */
static int check_reached(const struct small *small, struct position *ret, struct err *err) {
    char newest[POSITION_TEXT_SIZE];
    const char *text = json_get_text(small->params, "position");
    struct position here = snapshot_position(small->snapshot);
    if (position_from_text(text, ret) && position_compare(*ret, here) <= 0) return 0;
    position_text(here, newest);
    int r = err_set(err, ERR_POSITION_UNKNOWN, "nobody can have %s yet: this node is at %s", text, newest);
    err_at(err, "/position");
    err_remedy(err, "Confirm the id of an event of this stream, once it was applied");
    return r;
}

static int answer_ack(const struct small *small, struct str *out, struct err *err) {
    struct hub_confirmation confirmation = {
        .stream = slice_of(json_get_text(small->params, "stream")),
        .principal = small->principal,
    };
    struct position confirmed;
    char text[POSITION_TEXT_SIZE];
    int r = check_reached(small, &confirmation.position, err);
    if (r == 0) r = hub_confirm(small->api->hub, &confirmation, &confirmed, err);
    if (r < 0) return r;
    position_text(confirmed, text);
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_slice(&jw, "stream", confirmation.stream);
    jw_text(&jw, "confirmed", text);
    jw_end_object(&jw);
    return 0;
}

static void write_laggard(const struct hub_laggard *laggard, struct jw *jw) {
    char confirmed[POSITION_TEXT_SIZE], opened_at[CLOCK_TEXT_SIZE];
    position_text(laggard->confirmed, confirmed);
    clock_text(laggard->opened_at, opened_at);
    jw_object(jw, NULL);
    jw_text(jw, "id", laggard->id);
    if (*laggard->name) jw_text(jw, "name", laggard->name);
    jw_text(jw, "key", laggard->key);
    jw_text(jw, "confirmed", confirmed);
    jw_text(jw, "opened_at", opened_at);
    jw_end_object(jw);
}

static void write_standing(struct slice environment, const struct hub_standing *standing, struct str *out) {
    char position[POSITION_TEXT_SIZE];
    position_text(standing->position, position);
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_slice(&jw, "environment", environment);
    jw_text(&jw, "position", position);
    jw_int(&jw, "streams", (int64_t)standing->streams);
    jw_int(&jw, "confirming", (int64_t)standing->confirming);
    jw_int(&jw, "confirmed", (int64_t)standing->confirmed);
    jw_array(&jw, "laggards");
    for (size_t i = 0; i < standing->laggard_count; i++)
        write_laggard(&standing->laggards[i], &jw);
    jw_end_array(&jw);
    jw_end_object(&jw);
}

static int answer_streams(const struct small *small, struct str *out, struct err *err) {
    struct slice environment = slice_of(json_get_text(small->params, "environment"));
    struct position position;
    struct hub_standing standing;
    const char *asked = json_get_text(small->params, "position");
    int r = question_environment(small->principal, environment, &environment, err);
    if (r < 0) return r;
    if (!snapshot_has_environment(small->snapshot, environment))
        return resolve_missing(RESOLVE_NO_ENVIRONMENT, SLICE_LIT(""), environment, err);
    bool given = asked && position_from_text(asked, &position);
    r = hub_standing(small->api->hub, environment, given ? &position : NULL, small->arena, &standing);
    if (r < 0) return err_no_memory(err);
    write_standing(environment, &standing, out);
    return 0;
}

static int answer_small(const struct small *small, enum op_id op, struct http_request *request,
                        struct http_response *response, struct err *err) {
    struct str body = STR_INIT;
    int r = 0;
    if (op == OP_whoami) write_whoami(small->principal, small->snapshot, &body);
    if (op == OP_stream_ack) r = answer_ack(small, &body, err);
    if (op == OP_stream_list) r = answer_streams(small, &body, err);
    if (r < 0) {
        str_deinit(&body);
        return r;
    }
    answer_json(response, 200, &body);
    answer_position(request, response, snapshot_position(small->snapshot));
    return 0;
}

enum http_verdict memory_answer(struct api *api, const struct route *route, const struct principal *principal,
                                const struct snapshot *snapshot, struct http_request *request,
                                struct http_response *response) {
    struct err err = ERR_INIT;
    _cleanup_(json_decrefp) json_t *params = NULL;
    bool dry_run;
    int r = request_params(route, request, &params, &dry_run, &err);
    bool whole = route->op->id == OP_snapshot;
    bool resolves = route->op->id == OP_resolve || route->op->id == OP_resolve_get;
    if (r == 0 && whole && !snapshot_unchanged(api, params, principal, request, response)) return HTTP_CONTROL;
    if (r == 0 && resolves) r = resolve_answer(api, route->op, params, principal, snapshot, request, response, &err);
    if (r == ANSWER_IS_PAST) return HTTP_CONTROL;
    const struct small small = {api, params, principal, snapshot, http_arena(request)};
    if (r == 0 && !whole && !resolves) r = answer_small(&small, route->op->id, request, response, &err);
    if (r < 0) problem_answer(&err, NULL, response);
    return HTTP_ANSWER;
}

/* ---- whole snapshots ---- */

static int write_entry(void *ctx, const struct snapshot_entry *entry) {
    struct jw *jw = ctx;
    char name[NAME_MAX_LEN + 1];
    struct str text = STR_INIT;
    snprintf(name, sizeof(name), "%.*s", (int)entry->agent.len, entry->agent.ptr);
    snapshot_entry_write(entry, &text);
    if (text.failed) jw->out->failed = true;
    jw_raw(jw, name, str_slice(&text));
    str_deinit(&text);
    return jw->out->failed ? -ERR_NO_MEMORY : 0;
}

static int write_entries(const struct snapshot *snapshot, const char *environment, const char *agent, struct jw *jw,
                         struct err *err) {
    if (!agent) return snapshot_each(snapshot, environment, write_entry, jw) < 0 ? err_no_memory(err) : 0;
    const struct snapshot_entry *entry = snapshot_find(snapshot, slice_of(environment), slice_of(agent));
    if (entry) return write_entry(jw, entry) < 0 ? err_no_memory(err) : 0;
    bool known = snapshot_has_agent(snapshot, slice_of(agent));
    return resolve_missing(known ? RESOLVE_NOT_DEPLOYED : RESOLVE_NO_AGENT, slice_of(agent), slice_of(environment),
                           err);
}

static int write_snapshot(const struct snapshot *snapshot, const char *environment, const char *agent, struct str *out,
                          struct err *err) {
    char position[POSITION_TEXT_SIZE];
    position_text(snapshot_position(snapshot), position);
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_text(&jw, "environment", environment);
    jw_text(&jw, "position", position);
    jw_object(&jw, "agents");
    int r = write_entries(snapshot, environment, agent, &jw, err);
    jw_end_object(&jw);
    const struct snapshot_flags *flags = snapshot_flags(snapshot, slice_of(environment));
    if (flags) snapshot_flags_write(flags, &jw);
    jw_end_object(&jw);
    if (r == 0 && out->failed) return err_no_memory(err);
    return r;
}

static int answer_snapshot(struct api *api, const json_t *params, const struct principal *principal,
                           struct http_request *request, struct http_response *response, struct err *err) {
    struct slice environment;
    int r = question_environment(principal, slice_of(json_get_text(params, "environment")), &environment, err);
    if (r < 0) return r;

    /* The tag is taken before the snapshot: it may stand for less than the answer holds, never for more. */
    const char *etag = snapshot_etag(api, environment, http_arena(request));
    struct snapshot *snapshot = publisher_get(api->options.publisher);
    if (!snapshot_has_environment(snapshot, environment))
        r = resolve_missing(RESOLVE_NO_ENVIRONMENT, SLICE_LIT(""), environment, err);
    if (r == 0) r = write_snapshot(snapshot, environment.ptr, json_get_text(params, "agent"), &response->body, err);
    if (r == 0) {
        response->status = 200;
        response->content_type = "application/json";
        answer_position(request, response, snapshot_position(snapshot));
        if (etag) http_response_header(response, "ETag", etag);
    }
    snapshot_unref(snapshot);
    return r;
}

void memory_control(struct api *api, const struct route *route, const struct principal *principal,
                    struct http_request *request, struct http_response *response) {
    struct err err = ERR_INIT;
    _cleanup_(json_decrefp) json_t *params = NULL;
    bool dry_run;
    int r = request_params(route, request, &params, &dry_run, &err);
    if (r == 0 && route->op->id == OP_snapshot)
        r = answer_snapshot(api, params, principal, request, response, &err);
    else if (r == 0)
        r = resolve_past(api, route->op, params, principal, request, response, &err);
    if (r < 0) problem_answer(&err, NULL, response);
}
