/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says: its parameters, checked by the table, and who asks. */
#include "api/api_impl.h"

#include <string.h>
#include <strings.h>

static int add_param(json_t *params, const struct op_param *param, const char *name, const char *text,
                     struct err *err) {
    json_t *value = NULL;
    int r = ops_param_from_text(param, text, &value, err);
    if (r < 0) return r;
    return json_object_set_new(params, name, value) < 0 ? err_no_memory(err) : 0;
}

static int add_path_params(const struct route *route, struct arena *arena, json_t *params, struct err *err) {
    for (size_t i = 0; i < route->path_param_count; i++) {
        const char *begin = route->path_params[i].name;
        const char *name = arena_strndup(arena, begin, strcspn(begin, "}"));
        struct slice value = route->path_params[i].value;
        const char *text = arena_strndup(arena, value.ptr, value.len);
        if (!name || !text) return err_no_memory(err);
        int r = add_param(params, op_param(route->op, name), name, text, err);
        if (r < 0) return r;
    }
    return 0;
}

struct query_run {
    const struct op *op;
    json_t *params;
    bool *dry_run;
    struct err *err;
};

static int read_dry_run(struct query_run *run, const char *value) {
    *run->dry_run = !strcmp(value, "true") || !strcmp(value, "1");
    if (*run->dry_run || !strcmp(value, "false") || !strcmp(value, "0")) return 0;
    int r = err_set(run->err, ERR_BAD_REQUEST, "`dry_run` must be true or false");
    err_at(run->err, "dry_run");
    return r;
}

static int add_query_param(void *ctx, const char *name, const char *value) {
    struct query_run *run = ctx;
    if (run->op->kind == OP_CHANGE && !strcmp(name, "dry_run")) return read_dry_run(run, value);
    const struct op_param *param = op_param(run->op, name);
    if (!param || param->where != PARAM_QUERY) return ops_param_unknown(run->op, PARAM_QUERY, name, run->err);
    if (!json_get(run->params, name)) return add_param(run->params, param, name, value, run->err);
    int r = err_set(run->err, ERR_BAD_REQUEST, "`%s` is given twice", name);
    err_at(run->err, "%s", name);
    return r;
}

static bool takes_body(const struct op *op) {
    size_t count;
    const struct op_param *params = op_params(op, &count);
    for (size_t i = 0; i < count; i++)
        if (params[i].where == PARAM_BODY) return true;
    return false;
}

int request_media(struct http_request *request, struct err *err) {
    static const char json[] = "application/json";
    const char *type = http_header(request, "Content-Type");
    if (!type) return 0;
    size_t len = strcspn(type, "; \t");
    if (len == sizeof(json) - 1 && !strncasecmp(type, json, len)) return 0;
    int r = err_set(err, ERR_UNSUPPORTED_MEDIA, "the body must be application/json");
    err_at(err, "Content-Type");
    return r;
}

static int add_body_params(const struct op *op, struct http_request *request, json_t *params, struct err *err) {
    struct slice body = http_body(request);
    if (!takes_body(op)) {
        if (!body.len) return 0;
        return err_set(err, ERR_BAD_REQUEST, "%s takes no body", op->name);
    }
    if (!body.len) return 0; /* whatever is required will be found missing */
    int r = request_media(request, err);
    if (r < 0) return r;
    _cleanup_(json_decrefp) json_t *value = NULL;
    r = json_parse(body.ptr, body.len, REQUEST_DEPTH_MAX, &value, err);
    if (r < 0) return r;
    return ops_params_from_body(op, value, params, err);
}

int request_params(const struct route *route, struct http_request *request, json_t **ret, bool *ret_dry_run,
                   struct err *err) {
    _cleanup_(json_decrefp) json_t *params = json_object();
    if (!params) return err_no_memory(err);
    *ret_dry_run = false;
    int r = add_path_params(route, http_arena(request), params, err);
    if (r < 0) return r;
    struct query_run query = {.op = route->op, .params = params, .dry_run = ret_dry_run, .err = err};
    r = http_query_each(request, add_query_param, &query);
    if (r < 0) return r;
    r = add_body_params(route->op, request, params, err);
    if (r < 0) return r;
    r = ops_params_complete(route->op, params, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(params);
    return 0;
}

/* ---- what the client has already ---- */

static const char *opaque_tag(const char *tag) {
    return strncmp(tag, "W/", 2) ? tag : tag + 2;
}

/* If-None-Match is a list; weak and strong tags compare alike (RFC 9110, 13.1.2). */
bool request_has_tag(const struct http_request *request, const char *etag) {
    const char *list = http_header(request, "If-None-Match");
    if (!list || !etag) return false;
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

bool request_has(const struct http_request *request, const char *etag) {
    return !strcmp(http_method(request), "GET") && request_has_tag(request, etag);
}

/* ---- who asks ---- */

/* The last token that was found right on a connection, so that hashing it again for each request is not needed. It holds
 * while the keys stay as they are. */
struct remembered {
    uint64_t generation;
    char id[AUTH_KEY_ID_SIZE];
    size_t len;
    char token[AUTH_BOOTSTRAP_MAX];
};

static void forget(void *memory) {
    struct remembered *remembered = memory;
    if (!remembered) return;
    secret_clear(remembered, sizeof(*remembered));
    free(remembered);
}

static const struct snapshot_key *recall(const struct remembered *remembered, const struct snapshot *snapshot,
                                         struct slice token) {
    if (!remembered || remembered->generation != snapshot_keys_generation(snapshot)) return NULL;
    if (remembered->len != token.len || !secret_equal(remembered->token, token.ptr, token.len)) return NULL;
    return snapshot_key_by_id(snapshot, slice_of(remembered->id));
}

/* Forgetting to remember costs time, nothing else. */
static void remember(void **slot, const struct snapshot *snapshot, const struct snapshot_key *key, struct slice token) {
    struct remembered *remembered = *slot ? *slot : calloc(1, sizeof(*remembered));
    if (!remembered || strlen(key->id) >= sizeof(remembered->id)) {
        if (!*slot) free(remembered);
        return;
    }
    memcpy(remembered->id, key->id, strlen(key->id) + 1);
    memcpy(remembered->token, token.ptr, token.len);
    remembered->len = token.len;
    remembered->generation = snapshot_keys_generation(snapshot);
    *slot = remembered;
}

int request_principal(struct api *api, struct http_request *request, const struct snapshot *snapshot,
                      struct principal *ret, struct err *err) {
    struct slice token = auth_token(http_header(request, "Authorization"), http_header(request, "X-API-Key"));
    void **slot = http_connection_slot(request, forget);
    const struct snapshot_key *key = recall(*slot, snapshot, token);
    if (!key) {
        key = auth_check(snapshot, token);
        if (key) remember(slot, snapshot, key, token);
    }
    if (key) {
        *ret = principal_of(key);
        return 0;
    }
    atomic_fetch_add_explicit(&api->refused_keys, 1, memory_order_relaxed);
    int r = err_set(err, ERR_UNAUTHENTICATED, token.len ? "the key is wrong or was revoked" : "a key is needed");
    err_at(err, "Authorization");
    return r;
}

int request_quota(struct api *api, const struct principal *principal, struct err *err) {
    if (quota_take(api->quota, principal->id)) return 0;
    atomic_fetch_add_explicit(&api->over_quota, 1, memory_order_relaxed);
    int r = err_set(err, ERR_TOO_MANY_REQUESTS, "this key may make %u requests a second", quota_limit(api->quota));
    err_at(err, "Authorization");
    return r;
}

int question_environment(const struct principal *principal, struct slice named, struct slice *ret, struct err *err) {
    *ret = named.ptr ? named : slice_of(principal_own_environment(principal));
    if (named.ptr ? principal_sees(principal, named) : ret->ptr != NULL) return 0;
    int r = named.ptr ? err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "this key sees no environment \"%.*s\"",
                                (int)(named.len < 80 ? named.len : 80), named.ptr)
                      : err_set(err, ERR_MISSING_FIELD, "which environment? this key is not bound to a single one");
    err_at(err, "environment");
    return r;
}
