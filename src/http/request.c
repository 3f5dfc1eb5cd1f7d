/* SPDX-License-Identifier: Apache-2.0 */
/* The request as a handler sees it. It lives in its connection and is used again for the next one. */
#include "http/http_impl.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void request_init(struct http_request *request, struct http_connection *connection) {
    request->connection = connection;
    request->target = request->target_inline;
    request->target_capacity = sizeof(request->target_inline);
    arena_lend(&request->arena, request->arena_lent, sizeof(request->arena_lent));
}

static void target_forget(struct http_request *request) {
    request->query = NULL;
    request->arguments = NULL;
    request->argument_count = 0;
    request->arguments_split = request->query_coded = request->target_known = false;
}

bool request_begin(struct http_request *request, const char *target) {
    size_t len = strlen(target);
    request->raw_target = target;
    if (request->target_known && len == request->target_len && memcmp(request->target_seen, target, len) == 0)
        return true;
    target_forget(request);
    if (len >= request->target_capacity) {
        char *larger = malloc(len + 1);
        if (!larger) return false;
        request->target = larger;
        request->target_capacity = len + 1;
    }
    memcpy(request->target, target, len + 1);
    if (len < sizeof(request->target_seen)) memcpy(request->target_seen, target, len);
    request->target_len = len;
    return true;
}

static void target_free(struct http_request *request) {
    if (request->target != request->target_inline) free(request->target);
    request->target = request->target_inline;
    request->target_capacity = sizeof(request->target_inline);
}

/* libmicrohttpd has sent the answer, or will not: it does not look at the bytes again. */
static void keep_answer(struct http_request *request) {
    struct str *body = &request->response.body;
    if (body->capacity > ANSWER_KEPT || request->body_kept.data) {
        answer_forget(&request->kept);
        str_deinit(body);
        return;
    }
    str_clear(body);
    request->body_kept = *body;
    *body = STR_INIT;
}

void request_reset(struct http_request *request) {
    if (request->target_capacity != sizeof(request->target_inline)) target_free(request);
    if (request->body.capacity > BODY_KEPT)
        str_deinit(&request->body);
    else if (request->body.data)
        str_clear(&request->body);
    if (request->arena.used) arena_deinit(&request->arena);
    answer_drop_stream(&request->response);
    if (request->response.body.data) keep_answer(request);
    if (!request->target_known) target_forget(request);
    request->first_header = NULL;
    request->chunked = request->dropped = false;
    request->step = STEP_HEADERS;
}

void request_deinit(struct http_request *request) {
    target_free(request);
    secret_clear(request->headers.bytes, sizeof(request->headers.bytes));
    str_deinit(&request->body);
    answer_forget(&request->kept);
    str_deinit(&request->response.body);
    str_deinit(&request->body_kept);
    arena_deinit(&request->arena);
}

static size_t count_arguments(const char *query) {
    size_t count = 1;
    for (const char *p = strchr(query, '&'); p; p = strchr(p + 1, '&'))
        count++;
    return count;
}

static bool split_one(char *text, size_t len, bool coded, struct http_argument *ret) {
    char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    text[len] = '\0';
    if (!coded) {
        text[name_len] = '\0';
        *ret = (struct http_argument){text, equals ? equals + 1 : text + len};
        return true;
    }
    size_t value_len = equals ? target_decode(equals + 1, len - name_len - 1, true) : 0;
    name_len = target_decode(text, name_len, true);
    ret->name = text;
    ret->value = equals ? equals + 1 : text + name_len;
    return utf8_valid(text, name_len) && utf8_valid(ret->value, value_len);
}

int request_split_query(struct http_request *request, struct err *err) {
    request->arguments_split = true;
    if (!request->query) return 0;
    size_t count = count_arguments(request->query);
    request->arguments = request->arguments_inline;
    if (count > ARGUMENTS_INLINE) {
        request->arguments = arena_array(&request->arena, count, sizeof(*request->arguments));
        if (!request->arguments) return err_no_memory(err);
    }
    for (char *text = request->query; text;) {
        char *next = strchr(text, '&');
        size_t len = next ? (size_t)(next - text) : strlen(text);
        if (len > 0 && !split_one(text, len, request->query_coded, &request->arguments[request->argument_count++])) {
            int r = err_set(err, ERR_INVALID_UTF8, "the query is not UTF-8");
            err_at(err, "request line");
            return r;
        }
        text = next ? next + 1 : NULL;
    }
    return 0;
}

/* Whatever can fail was split when the request came in. */
static void split_late(const struct http_request *request) {
    if (!request->arguments_split) (void)!request_split_query((struct http_request *)request, NULL);
}

const char *http_method(const struct http_request *request) {
    const char *method = request->method;
    return method[0] == 'H' && strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : method;
}

const char *http_path(const struct http_request *request) {
    return request->target;
}

const char *http_query(const struct http_request *request, const char *name) {
    split_late(request);
    for (size_t i = 0; i < request->argument_count; i++)
        if (strcmp(request->arguments[i].name, name) == 0) return request->arguments[i].value;
    return NULL;
}

int http_query_each(const struct http_request *request, int (*each)(void *ctx, const char *name, const char *value),
                    void *ctx) {
    split_late(request);
    for (size_t i = 0; i < request->argument_count; i++) {
        int r = each(ctx, request->arguments[i].name, request->arguments[i].value);
        if (r != 0) return r;
    }
    return 0;
}

static const char *find_header(const struct http_request *request, struct slice name, size_t *ret_len) {
    const struct headers_kept *headers = &request->headers;
    const char *value = NULL;
    if (!request->first_header) {
        (void)MHD_lookup_connection_value_n(request->connection->mhd, MHD_HEADER_KIND, name.ptr, name.len, &value,
                                            ret_len);
        return value;
    }
    for (const struct header_field *field = headers->fields; field < headers->fields + headers->count; field++) {
        if (field->name_len != name.len || strncasecmp(request->first_header + field->name, name.ptr, name.len) != 0)
            continue;
        *ret_len = field->value_len;
        return request->first_header + field->value;
    }
    return NULL;
}

/* libmicrohttpd keeps white space at the end of a value, which is no part of it. */
const char *http_header_named(const struct http_request *request, struct slice name) {
    if (!(request->headers.marks & header_mark(name.ptr, name.len))) return NULL;
    size_t len = 0;
    const char *value = find_header(request, name, &len);
    if (!value) return NULL;
    size_t trimmed = len;
    while (trimmed > 0 && (value[trimmed - 1] == ' ' || value[trimmed - 1] == '\t'))
        trimmed--;
    if (trimmed == len) return value;
    return arena_strndup(&((struct http_request *)request)->arena, value, trimmed);
}

struct slice http_body(const struct http_request *request) {
    return str_slice(&request->body);
}

struct arena *http_arena(struct http_request *request) {
    return &request->arena;
}

/* A client of IPv4 on a socket of IPv6 is shown as what it is. */
static const char *write_address(const struct sockaddr *address, char *text, socklen_t size) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return inet_ntop(AF_INET, &v4->sin_addr, text, size);
    }
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) return inet_ntop(AF_INET, v6->s6_addr + 12, text, size);
    return inet_ntop(AF_INET6, v6, text, size);
}

const char *http_peer(struct http_request *request) {
    struct http_connection *connection = request->connection;
    if (connection->peer[0]) return connection->peer;
    const struct sockaddr *address = connection_address(connection->mhd);
    return address && write_address(address, connection->peer, sizeof(connection->peer)) ? connection->peer : "";
}

void **http_connection_slot(struct http_request *request, void (*release)(void *)) {
    request->connection->slot_release = release;
    return &request->connection->slot;
}
