/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenFeature's remote evaluation protocol, OFREP 0.3: what providers in every language ask. All of it is answered on the worker, from the snapshot: one borrow, so that a
 * list is of one position. Agents are read as flags whose value is the configuration that was decided.
 *
 * What cannot be understood (400) and a flag that is not there (404) are told in OFREP's form; whatever else goes wrong in that of all other addresses, as no
 * provider reads more than the status of those.
 */
#include "api/ofrep_impl.h"
#include "model/show.h"

#include <string.h>

#define ROOT "/ofrep/"
#define FLAGS ROOT "v1/evaluate/flags"

/* ---- failures ---- */

static const char *code_of(enum err_code code) {
    if (code == ERR_INVALID) return "GENERAL"; /* nothing is wrong with the request */
    return code == ERR_MALFORMED_JSON || code == ERR_INVALID_UTF8 ? "PARSE_ERROR" : "INVALID_CONTEXT";
}

/* `key` NULL: it is about no single flag. */
static void fail(const struct err *err, const char *key, struct http_response *response) {
    if (err_status(err->code) != 400 && err->code != ERR_INVALID) {
        problem_answer(err, NULL, response);
        return;
    }
    str_clear(&response->body);
    ofrep_write_failure(key, code_of(err->code), err, &response->body);
    response->status = 400;
    response->content_type = "application/json";
    response->header_count = 0;
}

static int answer_missing(const struct ofrep *ofrep, const char *key, struct http_response *response) {
    struct err err = ERR_INIT;
    char shown[SHOW_SIZE];
    size_t prefix = sizeof(FLAG_AGENT_PREFIX) - 1;
    bool agent = !strncmp(key, FLAG_AGENT_PREFIX, prefix);
    (void)err_set(&err, ERR_NOT_FOUND, agent ? "%.*s serves no agent \"%s\"" : "%.*s has no flag \"%s\"",
                  (int)ofrep->environment.len, ofrep->environment.ptr, show_text(agent ? key + prefix : key, shown));
    ofrep_write_failure(key, "FLAG_NOT_FOUND", &err, &response->body);
    return 404;
}

/* ---- one flag ---- */

static int answer_agent(const struct ofrep *ofrep, const char *key, struct http_response *response) {
    struct decision decision;
    struct slice agent = slice_of(key + sizeof(FLAG_AGENT_PREFIX) - 1);
    if (ofrep_write_agent(ofrep, agent, &decision, &response->body)) return answer_missing(ofrep, key, response);
    flow_count(ofrep->api->options.flow, &decision);
    return 200;
}

static int answer_flag(const struct ofrep *ofrep, const char *key, struct http_response *response) {
    const struct flag *flag = ofrep->flags ? snapshot_flags_find(ofrep->flags, slice_of(key)) : NULL;
    return flag ? ofrep_write_flag(ofrep, flag, &response->body) : answer_missing(ofrep, key, response);
}

static int answer_one(struct ofrep *ofrep, const char *key, struct http_response *response, struct err *err) {
    int r = ofrep_prepare(ofrep, err);
    if (r < 0) return r;
    bool agent = !strncmp(key, FLAG_AGENT_PREFIX, sizeof(FLAG_AGENT_PREFIX) - 1);
    response->status = agent ? answer_agent(ofrep, key, response) : answer_flag(ofrep, key, response);
    response->content_type = "application/json";
    return response->body.failed ? err_no_memory(err) : 0;
}

/* ---- what both have ---- */

/* The key's own, or the one that the query names. Which others there are is not told. */
static int choose_environment(struct ofrep *ofrep, struct err *err) {
    struct slice named = slice_of(http_query(ofrep->request, "environment"));
    int r = question_environment(&ofrep->principal, named, &ofrep->environment, err);
    if (r == -ERR_MISSING_FIELD)
        return err_set(err, ERR_BAD_REQUEST,
                       "which environment? This key is not bound to a single one: use one that is, or add "
                       "?environment=NAME to the address");
    if (r < 0) {
        r = err_set(err, ERR_FORBIDDEN, "this key sees no such environment");
        err_at(err, "environment");
        err_remedy(err, "Leave ?environment= away, or use a key of that environment");
        return r;
    }
    if (snapshot_has_environment(ofrep->snapshot, ofrep->environment)) return 0;
    return err_set(err, ERR_BAD_REQUEST, "there is no environment \"%.*s\"", (int)ofrep->environment.len,
                   ofrep->environment.ptr);
}

static int evaluate(struct ofrep *ofrep, const char *key, struct http_response *response, struct err *err) {
    struct context_room room;
    int r = request_principal(ofrep->api, ofrep->request, ofrep->snapshot, &ofrep->principal, err);
    if (r == 0) r = request_quota(ofrep->api, &ofrep->principal, err);
    if (r == 0) r = choose_environment(ofrep, err);
    if (r == 0) r = ofrep_read_context(ofrep, &room, err);
    if (r < 0) return r;
    ofrep->flags = snapshot_flags(ofrep->snapshot, ofrep->environment);
    ofrep->asked.attributes.timestamp = time_for_flags(ofrep->api, ofrep->snapshot, ofrep->environment);
    return key ? answer_one(ofrep, key, response, err) : ofrep_bulk(ofrep, response, err);
}

/* `key` NULL: all flags. */
static void answer_evaluation(struct api *api, const char *key, struct http_request *request,
                              struct http_response *response) {
    struct err err = ERR_INIT;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    struct ofrep ofrep = {.api = api, .snapshot = borrow.snapshot, .request = request};
    int r = evaluate(&ofrep, key, response, &err);
    if (r < 0) fail(&err, key, response);
    json_decref(ofrep.body);
    publisher_return(api->options.publisher, borrow);
}

static void answer_stream(struct api *api, struct http_request *request, struct http_response *response) {
    struct err err = ERR_INIT;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    struct ofrep ofrep = {.api = api, .snapshot = borrow.snapshot, .request = request};
    if (ofrep_open_stream(&ofrep, response, &err) < 0) problem_answer(&err, NULL, response);
    publisher_return(api->options.publisher, borrow);
}

/* ---- addresses ---- */

static bool is_method(struct http_request *request, const char *method, struct http_response *response) {
    struct err err = ERR_INIT;
    char shown[SHOW_SIZE];
    if (!strcmp(http_method(request), method)) return true;
    (void)err_set(&err, ERR_METHOD, "%s takes no %s", show_text(http_path(request), shown), http_method(request));
    problem_answer(&err, NULL, response);
    http_response_header(response, "Allow", method);
    return false;
}

static void answer_nothing(struct http_request *request, struct http_response *response) {
    struct err err = ERR_INIT;
    char shown[SHOW_SIZE];
    (void)err_set(&err, ERR_NO_ROUTE, "there is nothing at %s", show_text(http_path(request), shown));
    problem_answer(&err, NULL, response);
}

const char *ofrep_op_name(enum ofrep_op op) {
    static const char *const names[] = {"ofrep_evaluate", "ofrep_evaluate_all", "ofrep_stream"};
    return names[op];
}

/* OFREP_COUNT_: there is nothing at that address. */
static enum ofrep_op op_at(const char *path, const char **ret_key) {
    *ret_key = NULL;
    if (!strcmp(path, OFREP_STREAM_PATH)) return OFREP_STREAM;
    if (strncmp(path, FLAGS, sizeof(FLAGS) - 1) != 0) return OFREP_COUNT_;
    path += sizeof(FLAGS) - 1;
    if (!*path) return OFREP_EVALUATE_ALL;
    if (*path != '/') return OFREP_COUNT_;
    *ret_key = path + 1;
    return OFREP_EVALUATE;
}

static void answer_op(struct api *api, enum ofrep_op op, const char *key, struct http_request *request,
                      struct http_response *response) {
    if (!is_method(request, op == OFREP_STREAM ? "GET" : "POST", response)) return;
    if (op == OFREP_STREAM)
        answer_stream(api, request, response);
    else
        answer_evaluation(api, key, request, response);
}

bool ofrep_answer(struct api *api, struct http_request *request, struct http_response *response) {
    const char *key;
    if (strncmp(http_path(request), ROOT, sizeof(ROOT) - 1) != 0) return false;
    enum ofrep_op op = op_at(http_path(request), &key);
    bool preflight = op != OFREP_COUNT_ && !strcmp(http_method(request), "OPTIONS");
    if (op == OFREP_COUNT_)
        answer_nothing(request, response);
    else if (preflight)
        ofrep_preflight(request, response);
    else
        answer_op(api, op, key, request, response);
    ofrep_allow_origin(api, request, response);
    if (op != OFREP_COUNT_ && !preflight) count_in(api->ofrep_answers[op], response->status);
    return true;
}
