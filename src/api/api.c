/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to its answer. On the worker: the hot path first, then the few addresses outside /v1, then the router, the key, and
 * what memory answers. On a control thread: waiting for a position, reads and changes. Whoever has no valid key never reaches a control thread.
 */
#include "api/api_impl.h"

#include <string.h>

#define AFTER_WAIT_US (2 * 1000000)
#define IDEMPOTENCY_KEY_MAX 255
#define SWEEP_TICKS 60
#define METRICS_PATH "/metrics"

static int start_hub(struct api *api, struct err *err) {
    const struct hub_options options = {
        .ring = api->options.stream_ring,
        .limit = api->options.streams,
        .keepalive_us = api->options.stream_keepalive_s * INT64_C(1000000),
        .clock = api->options.ops->clock,
    };
    return hub_new(&options, &api->hub, err);
}

int api_new(const struct api_options *options, struct api **ret, struct err *err) {
    struct api *api = calloc(1, sizeof(*api));
    if (!api) return err_no_memory(err);
    api->options = *options;
    int r = ofrep_origins_check(options->cors_origins, err);
    if (r == 0 && options->cors_origins && !(api->cors_origins = strdup(options->cors_origins))) r = err_no_memory(err);
    if (r == 0) r = random_bytes(api->tag_key, sizeof(api->tag_key), err);
    if (r == 0) r = random_bytes(api->stream_secret, sizeof(api->stream_secret), err);
    if (r == 0) r = start_hub(api, err);
    if (r == 0) r = quota_new(options->ops->clock, options->requests_per_key, &api->quota, err);
    if (r < 0) {
        (void)api_free(api);
        return r;
    }
    api_openapi(&api->openapi);
    live_listen(options->ops->live, hub_changed, api->hub);
    *ret = api;
    return 0;
}

struct api *api_free(struct api *api) {
    if (!api) return NULL;
    hub_free(api->hub);
    quota_free(api->quota);
    str_deinit(&api->openapi);
    free(api->cors_origins);
    secret_clear(api->stream_secret, sizeof(api->stream_secret));
    free(api);
    return NULL;
}

void api_serve(struct api *api, const struct http_server *server) {
    atomic_store(&api->server, server);
}

void api_limit_keys(struct api *api, unsigned requests_per_key) {
    quota_set(api->quota, requests_per_key);
}

void api_tick(struct api *api) {
    struct err err = ERR_INIT;
    int r = live_catch_up(api->options.ops->live, &err);
    bool stale = r < 0 && r != -ERR_STORE_UNAVAILABLE;
    if (stale) log_err(api->options.ops->log, LOG_SNAPSHOT_STALE, &err);
    atomic_store_explicit(&api->stale, stale, memory_order_relaxed);
    hub_tick(api->hub);
    if (++api->ticks % SWEEP_TICKS == 0) metrics_sweep(api);
}

void api_drain(struct api *api) {
    atomic_store(&api->draining, true);
    hub_end(api->hub);
}

/* ---- outside /v1 ---- */

struct api_standing standing_of(const struct api *api) {
    struct api_standing standing = {.store_open = true};
    if (api->options.standing) api->options.standing(api->options.standing_ctx, &standing);
    return standing;
}

static void write_ready(const char *status, struct position position, const struct api_standing *standing,
                        struct str *out) {
    struct jw jw = JW_INIT(out);
    char text[POSITION_TEXT_SIZE];
    position_text(position, text);
    jw_object(&jw, NULL);
    jw_text(&jw, "status", status);
    jw_text(&jw, "position", text);
    position_text(standing->file, text);
    if (standing->file.epoch) jw_text(&jw, "snapshot_file", text);
    if (!standing->store_open) {
        jw_object(&jw, "store");
        jw_text(&jw, "code", err_name(standing->store_err.code));
        jw_text(&jw, "detail", standing->store_err.message);
        jw_text(&jw, "remedy", err_remedy_text(&standing->store_err));
        jw_end_object(&jw);
    }
    jw_end_object(&jw);
}

static void answer_ready(struct api *api, struct http_request *request, struct http_response *response) {
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    struct position position = snapshot_position(borrow.snapshot);
    publisher_return(api->options.publisher, borrow);

    bool draining = atomic_load(&api->draining), loaded = position.epoch > 0;
    struct api_standing standing = standing_of(api);
    const char *status = standing.store_open ? "ready" : "read_only";
    struct str body = STR_INIT;
    write_ready(draining ? "draining" : loaded ? status : "loading", position, &standing, &body);
    answer_json(response, loaded && !draining ? 200 : 503, &body);
    answer_position(request, response, position);
}

static void answer_text(struct http_response *response, const char *json) {
    struct str body = STR_INIT;
    str_add_text(&body, json);
    answer_json(response, 200, &body);
}

static bool is_read(const struct http_request *request, const char *path) {
    const char *method = http_method(request);
    return !strcmp(http_path(request), path) && (!strcmp(method, "GET") || !strcmp(method, "HEAD"));
}

static bool answer_outside(struct api *api, struct http_request *request, struct http_response *response) {
    if (is_read(request, "/healthz")) {
        answer_text(response, "{\"status\":\"ok\"}");
    } else if (is_read(request, "/readyz")) {
        answer_ready(api, request, response);
    } else if (is_read(request, "/openapi.json")) {
        answer_text(response, api->openapi.data);
    } else {
        return false;
    }
    return true;
}

/* ---- streams ---- */

/* Where a stream resumes: Last-Event-ID as browsers send it, or `after`. */
static int resume_position(struct http_request *request, const json_t *params, struct position *position,
                           bool *ret_given, struct err *err) {
    const char *text = http_header(request, "Last-Event-ID");
    if (!text) text = json_get_text(params, "after");
    *ret_given = text != NULL;
    if (!text || position_from_text(text, position)) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "Last-Event-ID must be a position (epoch.seq)");
    err_at(err, "Last-Event-ID");
    return r;
}

static int open_stream(struct api *api, const struct route *route, const struct principal *principal,
                       const struct snapshot *snapshot, struct http_request *request, struct http_response *response,
                       struct err *err) {
    _cleanup_(json_decrefp) json_t *params = NULL;
    bool dry_run, given;
    int r = request_params(route, request, &params, &dry_run, err);
    if (r < 0) return r;
    struct slice environment;
    struct position after;
    r = question_environment(principal, slice_of(json_get_text(params, "environment")), &environment, err);
    if (r < 0) return r;
    if (!snapshot_has_environment(snapshot, environment)) {
        r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "there is no environment \"%.*s\"", (int)environment.len,
                    environment.ptr);
        err_at(err, "environment");
        return r;
    }
    r = resume_position(request, params, &after, &given, err);
    if (r < 0) return r;
    response->status = 200;
    response->content_type = "text/event-stream";
    http_response_header(response, "Cache-Control", "no-store");
    answer_position(request, response, snapshot_position(snapshot));
    const struct hub_reader reader = {
        .environment = environment,
        .name = slice_of(json_get_text(params, "name")),
        .key = slice_of(principal->name),
        .key_id = slice_of(principal->id),
        .after = given ? &after : NULL,
    };
    return hub_open(api->hub, &reader, &response->stream, err);
}

/* ---- on a worker ---- */

static int after_position(struct http_request *request, struct position *ret, struct err *err) {
    const char *text = http_header(request, "Serin-After");
    *ret = (struct position){0};
    if (!text || position_from_text(text, ret)) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "Serin-After must be a position (epoch.seq)");
    err_at(err, "Serin-After");
    return r;
}

static enum http_verdict answer_on_worker(struct api *api, const struct route *route, const struct snapshot *snapshot,
                                          struct http_request *request, struct http_response *response) {
    struct err err = ERR_INIT;
    struct principal principal;
    struct position after;
    int r = request_principal(api, request, snapshot, &principal, &err);
    if (r == 0) r = request_quota(api, &principal, &err);
    if (r == 0) r = after_position(request, &after, &err);
    if (r == 0) r = ops_permit(route->op, &principal, NULL, &err);
    if (r == 0 && route->op->kind != OP_MEMORY && route->op->kind != OP_STREAM) return HTTP_CONTROL;
    if (r == 0 && position_compare(snapshot_position(snapshot), after) < 0) return HTTP_CONTROL;
    if (r == 0 && route->op->kind == OP_MEMORY)
        return memory_answer(api, route, &principal, snapshot, request, response);
    if (r == 0) r = open_stream(api, route, &principal, snapshot, request, response, &err);
    if (r < 0) problem_answer(&err, NULL, response);
    return HTTP_ANSWER;
}

static enum http_verdict fast(void *ctx, struct http_request *request, struct http_response *response) {
    struct api *api = ctx;
    if (resolve_quickly(api, request, response) || ofrep_answer(api, request, response) ||
        answer_outside(api, request, response))
        return HTTP_ANSWER;
    if (is_read(request, METRICS_PATH)) return metrics_answer(api, true, request, response);

    struct err err = ERR_INIT;
    struct route route;
    const char *allow;
    if (route_find(http_method(request), http_path(request), http_arena(request), &route, &allow, &err) < 0) {
        problem_answer(&err, NULL, response);
        if (allow) http_response_header(response, "Allow", allow);
        return HTTP_ANSWER;
    }
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    enum http_verdict verdict = answer_on_worker(api, &route, borrow.snapshot, request, response);
    publisher_return(api->options.publisher, borrow);
    if (verdict == HTTP_ANSWER) count_answer(api, route.op, response->status);
    return verdict;
}

/* ---- on a control thread ---- */

static int idempotency_key(struct http_request *request, const char **ret, struct err *err) {
    const char *key = http_header(request, "Idempotency-Key");
    *ret = key;
    if (!key) return 0;
    size_t len = strlen(key);
    bool plain = len >= 1 && len <= IDEMPOTENCY_KEY_MAX;
    for (size_t i = 0; i < len && plain; i++)
        plain = key[i] > ' ' && key[i] < 0x7f;
    if (plain) return 0;
    int r =
        err_set(err, ERR_BAD_REQUEST, "Idempotency-Key must be 1 to %d visible ASCII characters", IDEMPOTENCY_KEY_MAX);
    err_at(err, "Idempotency-Key");
    return r;
}

static int call_operation(struct api *api, const struct route *route, const struct principal *principal,
                          struct http_request *request, struct op_call *call, struct http_response *response,
                          struct err *err) {
    _cleanup_(json_decrefp) json_t *params = NULL;
    bool dry_run;
    int r = request_params(route, request, &params, &dry_run, err);
    if (r < 0) return r;
    op_call_init(call, route->op, principal, params, http_arena(request));
    call->dry_run = dry_run;
    r = idempotency_key(request, &call->idempotency_key, err);
    if (r < 0) return r;
    r = ops_call(api->options.ops, call, err);
    if (r < 0) return r;
    answer_json(response, call->status, &call->body);
    answer_position(request, response, call->position);
    if (call->replayed) http_response_header(response, "Idempotency-Replayed", "true");
    return 0;
}

/* Whoever asks for a position that never comes must not keep all control threads from the others. */
static int wait_for_position(struct api *api, struct http_request *request, struct err *err) {
    struct position after;
    int r = after_position(request, &after, err);
    if (r < 0) return r;
    bool may_wait = atomic_fetch_add(&api->waiting, 1) < api->options.waiters;
    r = live_wait(api->options.ops->live, after, may_wait ? AFTER_WAIT_US : 0, err);
    atomic_fetch_sub(&api->waiting, 1);
    return r;
}

/* A store that is away is told once; a position that never comes and a stream too many are what any client can ask for. */
static bool is_failure(enum err_code code) {
    return err_status(code) >= 500 && code != ERR_STORE_UNAVAILABLE && code != ERR_UNAVAILABLE &&
           code != ERR_TOO_MANY_STREAMS && code != ERR_OUTCOMES_BUSY;
}

static void log_failure(struct api *api, const struct op *op, const struct err *err) {
    struct err told = *err;
    err_prefix(&told, "%s: ", op->name);
    log_err(api->options.ops->log, is_failure(err->code) ? LOG_REQUEST_FAILED : LOG_REQUEST_REFUSED, &told);
}

/* A memory operation that had to wait for its position, or that is too big for a worker. */
static int answer_memory(struct api *api, const struct route *route, const struct principal *principal,
                         struct http_request *request, struct http_response *response, struct err *err) {
    struct snapshot *snapshot = publisher_get(api->options.publisher);
    int r = 0;
    if (route->op->kind == OP_STREAM)
        r = open_stream(api, route, principal, snapshot, request, response, err);
    else if (memory_answer(api, route, principal, snapshot, request, response) == HTTP_CONTROL)
        memory_control(api, route, principal, request, response);
    snapshot_unref(snapshot);
    return r;
}

static void answer_on_control(struct api *api, const struct route *route, const struct principal *principal,
                              struct http_request *request, struct http_response *response) {
    struct err err = ERR_INIT;
    struct op_call call = {.op = route->op, .current = -1};
    int r = wait_for_position(api, request, &err);
    if (r == 0 && (route->op->kind == OP_READ || route->op->kind == OP_CHANGE))
        r = call_operation(api, route, principal, request, &call, response, &err);
    else if (r == 0 && route->op->kind == OP_INTAKE)
        r = outcomes_answer(api, principal, request, &call, response, &err);
    else if (r == 0)
        r = answer_memory(api, route, principal, request, response, &err);
    if (r < 0) {
        problem_answer(&err, &call, response);
        log_failure(api, route->op, &err);
    }
    op_call_deinit(&call);
    count_answer(api, route->op, response->status);
}

static void control(void *ctx, struct http_request *request, struct http_response *response) {
    struct api *api = ctx;
    if (is_read(request, METRICS_PATH)) {
        (void)metrics_answer(api, false, request, response);
        return;
    }
    struct err err = ERR_INIT;
    struct route route;
    const char *allow;
    struct principal borrowed, principal;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    int r = route_find(http_method(request), http_path(request), http_arena(request), &route, &allow, &err);
    if (r == 0) r = request_principal(api, request, borrow.snapshot, &borrowed, &err);
    if (r == 0 && principal_copy(&borrowed, http_arena(request), &principal) < 0) r = err_no_memory(&err);
    publisher_return(api->options.publisher, borrow);

    if (r == 0) answer_on_control(api, &route, &principal, request, response);
    if (r < 0) problem_answer(&err, NULL, response);
}

static void refuse(void *ctx, const struct err *err, struct arena *arena, struct http_response *response) {
    problem_answer(err, NULL, response);
}

struct http_handler api_handler(struct api *api) {
    return (struct http_handler){.ctx = api, .fast = fast, .control = control, .refuse = refuse};
}
