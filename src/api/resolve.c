/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving over HTTP. The hot path goes past router and table: a GET's query and a POST's body are read in place, without
 * allocation; the decision is copied from slices serialised when the snapshot was built. Whatever is not plain (an
 * unknown member, a moment of the past, `explain`, a position to wait for, any failure) goes the common way, so that there is one
 * place that says what is wrong.
 */
#include "api/api_impl.h"
#include "model/names.h"

#include <string.h>

int resolve_missing(int outcome, struct slice agent, struct slice environment, struct err *err) {
    int r;
    switch (outcome) {
    case RESOLVE_NO_ENVIRONMENT:
        r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "there is no environment \"%.*s\"", (int)environment.len,
                    environment.ptr);
        err_at(err, "environment");
        return r;
    case RESOLVE_NO_AGENT:
        r = err_set(err, ERR_AGENT_NOT_FOUND, "there is no agent \"%.*s\"", (int)agent.len, agent.ptr);
        err_at(err, "agent");
        return r;
    default:
        r = err_set(err, ERR_NOT_DEPLOYED, "%.*s serves no version of %.*s", (int)environment.len, environment.ptr,
                    (int)agent.len, agent.ptr);
        err_at(err, "agent");
        err_remedy(err, "Deploy a version: `serin deploy %.*s@latest -e %.*s`", (int)agent.len, agent.ptr,
                   (int)environment.len, environment.ptr);
        return r;
    }
}

/* In one piece, each with its NUL; copied, because the snapshot may be gone before the answer is. Answers the ETag, or NULL: no memory,
 * and the headers are left out. */
static const char *add_headers(struct http_request *request, struct http_response *response,
                               const struct decision *decision) {
    struct slice position = decision->position;
    char *text = arena_alloc(http_arena(request), position.len + 1 + DECISION_ETAG_SIZE);
    if (!text) return NULL;
    char *tag = text + position.len + 1;
    memcpy(text, position.ptr, position.len + 1);
    size_t tag_len = decision_etag(decision, tag);
    http_response_text(response, "Serin-Position", (struct slice){text, position.len});
    http_response_text(response, "ETag", (struct slice){tag, tag_len});
    return tag;
}

int64_t asked_session(struct api *api, const struct asked *asked) {
    if (!asked->session_started_at.len) return 0;
    return session_time(asked->session_started_at, clock_wall(api->options.ops->clock));
}

static struct resolve_question question_of(struct api *api, const struct asked *asked) {
    return (struct resolve_question){
        .agent = asked->agent,
        .targeting_key = asked->key,
        .session_started_at = asked_session(api, asked),
        .attributes = &asked->attributes,
    };
}

int64_t time_for_flags(struct api *api, const struct snapshot *snapshot, struct slice environment) {
    const struct snapshot_flags *flags = snapshot_flags(snapshot, environment);
    return flags && snapshot_flags_read_time(flags) ? clock_wall(api->options.ops->clock) / 1000000 : 0;
}

static int resolve_now(struct api *api, const struct asked *asked, const struct principal *principal,
                       const struct snapshot *snapshot, struct http_request *request, struct http_response *response,
                       struct err *err) {
    struct resolve_question question = question_of(api, asked);
    int r = question_environment(principal, asked->environment, &question.environment, err);
    if (r < 0) return r;
    struct decision decision;
    question.now = time_for_flags(api, snapshot, question.environment);
    r = resolve(snapshot, &question, &decision);
    if (r > 0) return resolve_missing(r, asked->agent, question.environment, err);

    response->status = 200;
    response->content_type = "application/json";
    const char *etag = add_headers(request, response, &decision);
    if (asked->explain || !request_has(request, etag))
        ops_write_decision(&decision, &question, asked->explain, &response->body);
    else
        response->status = 304;
    /* Explaining is looking, not using. What it reads is at hand now. */
    if (!asked->explain) flow_count(api->options.flow, &decision);
    return response->body.failed ? err_no_memory(err) : 0;
}

/* ---- the hot path ---- */

static int read_quick_query(void *ctx, const char *name, const char *value) {
    struct asked *asked = ctx;
    if (!strcmp(name, "key") && !asked->key.ptr) {
        asked->key = slice_of(value);
        return 0;
    }
    if (!strcmp(name, "environment") && !asked->environment.ptr) {
        asked->environment = slice_of(value);
        return 0;
    }
    if (!strcmp(name, "session.started_at") && !asked->session_started_at.ptr) {
        asked->session_started_at = slice_of(value);
        return 0;
    }
    if (!strcmp(name, "session.id")) return 0;
    return strncmp(name, "attr.", 5) || !name[5];
}

/* GET /v1/resolve/{agent}?key=…&environment=…&attr.…=… */
static bool read_quick_get(struct http_request *request, struct context_room *room, struct asked *asked) {
    static const char prefix[] = "/v1/resolve/";
    const char *path = http_path(request);
    if (strncmp(path, prefix, sizeof(prefix) - 1) || strcmp(http_method(request), "GET")) return false;
    asked->agent = slice_of(path + sizeof(prefix) - 1);
    return asked->agent.len > 0 && !memchr(asked->agent.ptr, '/', asked->agent.len) &&
           http_query_each(request, read_quick_query, asked) == 0 &&
           query_attributes(request, room->bytes, sizeof(room->bytes), &asked->attributes);
}

static int refuse_query(void *ctx, const char *name, const char *value) {
    return 1;
}

/* POST /v1/resolve {agent, environment?, context?} */
static bool read_quick_post(struct http_request *request, struct context_room *room, struct asked *asked) {
    if (strcmp(http_path(request), "/v1/resolve") || strcmp(http_method(request), "POST")) return false;
    if (http_query_each(request, refuse_query, NULL) || request_media(request, NULL) < 0) return false;
    return question_read(http_body(request), room, asked);
}

bool resolve_quickly(struct api *api, struct http_request *request, struct http_response *response) {
    struct asked asked = {0};
    struct context_room room;
    bool get = read_quick_get(request, &room, &asked);
    if (!get && !read_quick_post(request, &room, &asked)) return false;
    if (http_header(request, "Serin-After") || asked.key.len > TARGETING_KEY_MAX) return false;

    struct principal principal;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    int r = request_principal(api, request, borrow.snapshot, &principal, NULL);
    if (r == 0) r = resolve_now(api, &asked, &principal, borrow.snapshot, request, response, NULL);
    bool over = r == 0 && !quota_take(api->quota, principal.id); /* last: what goes the common way is counted there */
    publisher_return(api->options.publisher, borrow);
    if (r < 0 || over) return false;
    count_answer(api, op_get(get ? OP_resolve_get : OP_resolve), response->status);
    return true;
}

/* ---- the common way ---- */

static int check_key(struct slice key, const char *at, struct err *err) {
    if (key.ptr && key.len <= TARGETING_KEY_MAX) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "a targeting key must be text of at most %d bytes", TARGETING_KEY_MAX);
    err_at(err, "%s", at);
    return r;
}

static int read_attributes(const json_t *context, bool post, struct http_request *request, struct logic_context *ret,
                           struct err *err) {
    struct arena *arena = http_arena(request);
    if (post) return logic_from_json(context, arena, &ret->data) < 0 ? err_no_memory(err) : 0;
    size_t size = query_attributes_size(request);
    void *memory = arena_alloc(arena, size);
    return memory && query_attributes(request, memory, size, ret) ? 0 : err_no_memory(err);
}

static int read_asked(const struct op *op, const json_t *params, struct http_request *request, struct asked *asked,
                      struct err *err) {
    bool post = op->id == OP_resolve;
    const json_t *context = json_get(params, "context"),
                 *key = post ? json_get(context, "targetingKey") : json_get(params, "key"),
                 *session = post ? json_get(json_get(context, "session"), "started_at")
                                 : json_get(params, "session.started_at");
    *asked = (struct asked){
        .agent = slice_of(json_get_text(params, "agent")),
        .environment = slice_of(json_get_text(params, "environment")),
        .key = slice_of(json_string_value(key)),
        .session_started_at = slice_of(json_string_value(session)),
        .at = json_get_text(params, "at"),
        .explain = json_is_true(json_get(params, "explain")),
    };
    int r = key ? check_key(asked->key, post ? "/context/targetingKey" : "key", err) : 0;
    return r < 0 ? r : read_attributes(context, post, request, &asked->attributes, err);
}

int resolve_answer(struct api *api, const struct op *op, const json_t *params, const struct principal *principal,
                   const struct snapshot *snapshot, struct http_request *request, struct http_response *response,
                   struct err *err) {
    struct asked asked;
    int r = read_asked(op, params, request, &asked, err);
    if (r < 0) return r;
    return asked.at ? ANSWER_IS_PAST : resolve_now(api, &asked, principal, snapshot, request, response, err);
}

int resolve_past(struct api *api, const struct op *op, const json_t *params, const struct principal *principal,
                 struct http_request *request, struct http_response *response, struct err *err) {
    struct asked asked;
    int r = read_asked(op, params, request, &asked, err);
    if (r < 0) return r;
    struct ops_past past = {
        .question = question_of(api, &asked),
        .moment = asked.at,
        .explain = asked.explain,
    };
    r = question_environment(principal, asked.environment, &past.question.environment, err);
    if (r < 0) return r;
    response->status = 200;
    response->content_type = "application/json";
    r = ops_resolve_past(api->options.ops, &past, http_arena(request), &response->body, err);
    if (r < 0) return r;
    return response->body.failed ? err_no_memory(err) : 0;
}
