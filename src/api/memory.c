/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory answers: resolve, whoami, and whether a snapshot has changed. The hot path, GET /v1/resolve/{agent}, goes past
 * the router and builds no JSON values: its query is read in place, the decision is copied from slices serialised when the
 * snapshot was built, and nothing is allocated but the answer's buffer and the position header.
 */
#include "api/api_impl.h"
#include "model/names.h"

#include <stdio.h>
#include <string.h>

/* What a resolve asks, from either form. */
struct asked {
    const char *agent, *environment, *key, *at;
    bool explain;
};

static int check_key(const char *key, struct err *err) {
    if (!key || strlen(key) <= TARGETING_KEY_MAX) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "a targeting key has at most %d bytes", TARGETING_KEY_MAX);
    err_at(err, "key");
    return r;
}

/* Names that were not found may be no names at all: say that first. */
static int resolve_failed(int outcome, const struct asked *asked, struct slice environment, struct err *err) {
    int r = name_check("agent", asked->agent, "agent", err);
    if (r < 0) return r;
    if (outcome == RESOLVE_NO_ENVIRONMENT) {
        r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "there is no environment \"%.*s\"", (int)environment.len,
                    environment.ptr);
        err_at(err, "environment");
        return r;
    }
    if (outcome == RESOLVE_NO_AGENT) {
        r = err_set(err, ERR_AGENT_NOT_FOUND, "there is no agent \"%s\"", asked->agent);
        err_at(err, "agent");
        return r;
    }
    r = err_set(err, ERR_NOT_DEPLOYED, "%.*s serves no version of %s", (int)environment.len, environment.ptr,
                asked->agent);
    err_at(err, "agent");
    err_remedy(err, "Deploy a version: `serin deploy %s@latest -e %.*s`", asked->agent, (int)environment.len,
               environment.ptr);
    return r;
}

static const char *opaque_tag(const char *tag) {
    return strncmp(tag, "W/", 2) ? tag : tag + 2;
}

/* Whether the tag is in an If-None-Match: a list; weak and strong tags compare alike (RFC 9110, 13.1.2). */
static bool etag_listed(const char *list, const char *etag) {
    const char *wanted = opaque_tag(etag);
    size_t len = strlen(wanted);
    while (*(list += strspn(list, " \t,"))) {
        list = opaque_tag(list);
        size_t item = strcspn(list, " \t,");
        if (item == len && !memcmp(list, wanted, len)) return true;
        list += item;
    }
    return false;
}

/* A decision stays the same as long as these do; the unit depends on the key alone. W/"<seq>.<version>" or, for an override,
 * W/"<seq>.<version>.OVERRIDE". */
static const char *decision_etag(const struct decision *decision, struct arena *arena) {
    char *text = arena_alloc(arena, 2 * INT_TEXT_MAX + 32), *at = text;
    if (!text) return NULL;
    *at++ = 'W';
    *at++ = '/';
    *at++ = '"';
    at = text_from_int(at, decision->entry->deployment.seq);
    *at++ = '.';
    at = text_from_int(at, decision->version->number);
    if (decision->reason == RESOLVE_OVERRIDE) at = stpcpy(at, ".OVERRIDE");
    *at++ = '"';
    *at = '\0';
    return text;
}

static int resolve_now(const struct asked *asked, const struct principal *principal, const struct snapshot *snapshot,
                       struct http_request *request, struct http_response *response, struct err *err) {
    struct resolve_question question = {.agent = slice_of(asked->agent), .targeting_key = slice_of(asked->key)};
    int r = question_environment(principal, asked->environment, &question.environment, err);
    if (r < 0) return r;
    struct decision decision;
    r = resolve(snapshot, &question, &decision);
    if (r > 0) return resolve_failed(r, asked, question.environment, err);

    response->status = 200;
    response->content_type = "application/json";
    answer_position(request, response, decision.position);
    const char *match = http_header(request, "If-None-Match");
    const char *etag = decision_etag(&decision, http_arena(request));
    if (etag) http_response_header(response, "ETag", etag);
    if (match && etag && !asked->explain && etag_listed(match, etag)) {
        response->status = 304;
        return 0;
    }
    ops_write_decision(&decision, asked->explain, &response->body);
    return response->body.failed ? err_no_memory(err) : 0;
}

/* ---- the hot path ---- */

struct quick_query {
    struct asked *asked;
    struct err *err;
    bool common; /* something that needs the common way */
};

static int read_quick_query(void *ctx, const char *name, const char *value) {
    struct quick_query *query = ctx;
    if (!strcmp(name, "key") && !query->asked->key)
        query->asked->key = value;
    else if (!strcmp(name, "environment") && !query->asked->environment)
        query->asked->environment = value;
    else
        query->common = strncmp(name, "attr.", 5) || !name[5];
    return query->common;
}

bool resolve_quickly(struct api *api, struct http_request *request, struct http_response *response) {
    static const char prefix[] = "/v1/resolve/";
    const char *path = http_path(request), *method = http_method(request);
    if (strncmp(path, prefix, sizeof(prefix) - 1) || (strcmp(method, "GET") && strcmp(method, "HEAD"))) return false;
    struct asked asked = {.agent = path + sizeof(prefix) - 1};
    if (!*asked.agent || strchr(asked.agent, '/')) return false;
    struct quick_query query = {.asked = &asked};
    if (http_query_each(request, read_quick_query, &query) || http_header(request, "Serin-After")) return false;

    struct err err = ERR_INIT;
    struct principal principal;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    int r = request_principal(api, request, borrow.snapshot, &principal, &err);
    if (r == 0) r = check_key(asked.key, &err);
    if (r == 0) r = resolve_now(&asked, &principal, borrow.snapshot, request, response, &err);
    publisher_return(api->options.publisher, borrow);
    if (r < 0) problem_answer(&err, NULL, response);
    count_answer(api, op_get(OP_resolve_get), response->status);
    return true;
}

/* ---- the common way ---- */

static int read_context(const json_t *params, struct asked *asked, struct err *err) {
    const json_t *key = json_get(json_get(params, "context"), "targetingKey");
    if (!key) return 0;
    asked->key = json_string_value(key);
    if (asked->key && strlen(asked->key) <= TARGETING_KEY_MAX) return 0;
    int r = err_set(err, ERR_BAD_REQUEST, "`targetingKey` must be text of at most %d bytes", TARGETING_KEY_MAX);
    err_at(err, "/context/targetingKey");
    return r;
}

static int read_asked(const struct op *op, const json_t *params, struct asked *asked, struct err *err) {
    *asked = (struct asked){
        .agent = json_get_text(params, "agent"),
        .environment = json_get_text(params, "environment"),
        .key = json_get_text(params, "key"),
        .at = json_get_text(params, "at"),
        .explain = json_is_true(json_get(params, "explain")),
    };
    return op->id == OP_resolve ? read_context(params, asked, err) : check_key(asked->key, err);
}

static int resolve_past(struct api *api, const struct asked *asked, const struct principal *principal,
                        struct http_request *request, struct http_response *response, struct err *err) {
    struct ops_past past = {
        .question = {.agent = slice_of(asked->agent), .targeting_key = slice_of(asked->key)},
        .moment = asked->at,
        .explain = asked->explain,
    };
    int r = question_environment(principal, asked->environment, &past.question.environment, err);
    if (r < 0) return r;
    response->status = 200;
    response->content_type = "application/json";
    r = ops_resolve_past(api->options.ops, &past, http_arena(request), &response->body, err);
    if (r < 0) return r;
    return response->body.failed ? err_no_memory(err) : 0;
}

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
    const char *match = http_header(request, "If-None-Match");
    struct slice environment;
    if (!match || question_environment(principal, json_get_text(params, "environment"), &environment, NULL) < 0)
        return false;
    const char *etag = snapshot_etag(api, environment, http_arena(request));
    if (!etag || !etag_listed(match, etag)) return false;
    response->status = 304;
    http_response_header(response, "ETag", etag);
    return true;
}

enum http_verdict memory_answer(struct api *api, const struct route *route, const struct principal *principal,
                                const struct snapshot *snapshot, struct http_request *request,
                                struct http_response *response) {
    struct err err = ERR_INIT;
    _cleanup_(json_decrefp) json_t *params = NULL;
    struct asked asked;
    bool dry_run;
    int r = request_params(route, request, &params, &dry_run, &err);
    if (r == 0 && route->op->id == OP_snapshot && !snapshot_unchanged(api, params, principal, request, response))
        return HTTP_CONTROL;
    if (r == 0 && (route->op->id == OP_resolve || route->op->id == OP_resolve_get)) {
        r = read_asked(route->op, params, &asked, &err);
        if (r == 0 && asked.at) return HTTP_CONTROL;
        if (r == 0) r = resolve_now(&asked, principal, snapshot, request, response, &err);
    }
    if (r == 0 && route->op->id == OP_whoami) {
        struct str body = STR_INIT;
        write_whoami(principal, snapshot, &body);
        answer_json(response, 200, &body);
        answer_position(request, response, snapshot_position(snapshot));
    }
    if (r < 0) problem_answer(&err, NULL, response);
    return HTTP_ANSWER;
}

/* ---- whole snapshots ---- */

struct entries {
    struct jw *jw;
};

static int write_entry(void *ctx, const struct snapshot_entry *entry) {
    struct entries *entries = ctx;
    char name[NAME_MAX_LEN + 1];
    struct str text = STR_INIT;
    snprintf(name, sizeof(name), "%.*s", (int)entry->agent.len, entry->agent.ptr);
    snapshot_entry_write(entry, &text);
    if (text.failed) entries->jw->out->failed = true;
    jw_raw(entries->jw, name, str_slice(&text));
    str_deinit(&text);
    return entries->jw->out->failed ? -ERR_NO_MEMORY : 0;
}

static int write_entries(const struct snapshot *snapshot, const char *environment, const char *agent, struct jw *jw,
                         struct err *err) {
    struct entries entries = {.jw = jw};
    if (!agent) return snapshot_each(snapshot, environment, write_entry, &entries) < 0 ? err_no_memory(err) : 0;
    const struct snapshot_entry *entry = snapshot_find(snapshot, slice_of(environment), slice_of(agent));
    if (entry) return write_entry(&entries, entry) < 0 ? err_no_memory(err) : 0;
    struct asked asked = {.agent = agent};
    bool known = snapshot_has_agent(snapshot, slice_of(agent));
    return resolve_failed(known ? RESOLVE_NOT_DEPLOYED : RESOLVE_NO_AGENT, &asked, slice_of(environment), err);
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
    jw_end_object(&jw);
    if (r == 0 && out->failed) return err_no_memory(err);
    return r;
}

static int answer_snapshot(struct api *api, const json_t *params, const struct principal *principal,
                           struct http_request *request, struct http_response *response, struct err *err) {
    struct slice environment;
    int r = question_environment(principal, json_get_text(params, "environment"), &environment, err);
    if (r < 0) return r;

    /* The tag is taken before the snapshot: it may stand for less than the answer holds, never for more. */
    const char *etag = snapshot_etag(api, environment, http_arena(request));
    struct snapshot *snapshot = publisher_get(api->options.publisher);
    struct asked asked = {.agent = "any"};
    if (!snapshot_has_environment(snapshot, environment))
        r = resolve_failed(RESOLVE_NO_ENVIRONMENT, &asked, environment, err);
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
    struct asked asked;
    bool dry_run;
    int r = request_params(route, request, &params, &dry_run, &err);
    if (r == 0 && route->op->id == OP_snapshot) {
        r = answer_snapshot(api, params, principal, request, response, &err);
    } else if (r == 0) {
        r = read_asked(route->op, params, &asked, &err);
        if (r == 0) r = resolve_past(api, &asked, principal, request, response, &err);
    }
    if (r < 0) problem_answer(&err, NULL, response);
}
