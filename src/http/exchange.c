/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from its first line to its answer, on its worker. libmicrohttpd calls exchange_begin() when it has the request line,
 * exchange_step() when it has the headers, for each piece of the body and once more when all is there (and again when a control
 * thread has resumed the connection), exchange_completed() at the end.
 */
#include "http/http_impl.h"

#include <string.h>
#include <sys/socket.h>

#define COMPLAINT "Error processing request" /* how libmicrohttpd begins when it refuses a request */

/* An unchangeable text to its callers, but the request's own memory: cutting it behind the '?' keeps libmicrohttpd from splitting
 * the query into records, which costs time for every request and, when the records do not fit, leaves the parser in a state in
 * which it goes on reading a request that it has refused. */
static void hide_query(const struct http_request *request, const char *target) {
    if (request->target_known && !request->query) return;
    char *query = request->target_known ? (char *)(uintptr_t)target + (request->query - request->target) - 1
                                        : strchr(target, '?');
    if (query) query[1] = '\0';
}

void *exchange_begin(void *ctx, const char *target, struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *connection = info ? info->socket_context : NULL;
    if (!connection || !target || !request_begin(&connection->request, target)) return NULL;
    connection_enter(connection, PHASE_RECEIVING);
    hide_query(&connection->request, target);
    return connection;
}

/* What libmicrohttpd refused in its own words. */
static void count_own_refusal(struct http_server *server, struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_HTTP_STATUS);
    unsigned status = info ? info->http_status : 0;
    if (status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE || status == MHD_HTTP_URI_TOO_LONG)
        server_count_refusal(server, HTTP_LIMIT_HEADER);
    else if (status == MHD_HTTP_CONTENT_TOO_LARGE)
        server_count_refusal(server, HTTP_LIMIT_BODY);
    else
        atomic_fetch_add_explicit(&server->refused_framing, 1, memory_order_relaxed);
}

void exchange_completed(void *ctx, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code) {
    struct http_server *server = ctx;
    struct http_connection *connection = *context;
    *context = NULL;
    if (!connection) return;
    const struct http_request *request = &connection->request;
    if (code == MHD_REQUEST_TERMINATED_WITH_ERROR &&
        (request->step == STEP_HEADERS || (request->step == STEP_BODY && request->chunked))) {
        count_own_refusal(server, mhd);
        watch_linger(server, connection->fd);
    }
    request_reset(&connection->request);
    connection_enter(connection, PHASE_IDLE);
}

static void count_refusal(struct http_server *server, const struct err *err) {
    if (err->code == ERR_TOO_LARGE)
        server_count_refusal(server, HTTP_LIMIT_BODY);
    else if (err->code == ERR_HEADERS_TOO_LARGE)
        server_count_refusal(server, HTTP_LIMIT_HEADER);
    else
        atomic_fetch_add_explicit(&server->refused_framing, 1, memory_order_relaxed);
}

/* Ends the connection with an answer that is written past libmicrohttpd: in the middle of a body it takes none, and behind a
 * head that fills the connection's memory it has no room for one. What the client still sends is read and thrown away for a
 * while, because closing a socket with unread bytes would destroy the answer. */
static enum MHD_Result refuse_and_close(struct http_request *request, const struct err *err) {
    struct http_connection *connection = request->connection;
    count_refusal(connection->server, err);
    answer_refuse(request, err);
    request->step = STEP_ANSWERED;
    watch_linger(connection->server, connection->fd);
    answer_write_now(request);
    return MHD_NO;
}

/* Of this worker, with a complete head that no callback has seen: only its own worker moves a connection to there and away. */
static struct http_connection *find_complained(struct http_server *server) {
    struct http_connection *found = NULL;
    pthread_mutex_lock(&server->lock);
    for (size_t fd = 0; fd < server->table_size && !found; fd++) {
        struct http_connection *connection = server->table[fd];
        if (connection && pthread_equal(connection->worker, pthread_self()) &&
            atomic_load(&connection->phase) == PHASE_RECEIVING && connection->request.step == STEP_HEADERS &&
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE))
            found = connection;
    }
    pthread_mutex_unlock(&server->lock);
    return found;
}

static void explain_complaint(const struct http_connection *connection, struct err *err) {
    const char *length = MHD_lookup_connection_value(connection->mhd, MHD_HEADER_KIND, "Content-Length");
    size_t digits = length ? strspn(length, "0123456789") : 0;
    int64_t number;
    if (length && (digits == 0 || length[digits])) {
        (void)err_set(err, ERR_BAD_REQUEST, "Content-Length is no number");
        err_at(err, "Content-Length");
    } else if (length && !text_to_int(length, 0, INT64_MAX, &number)) {
        (void)err_set(err, ERR_TOO_LARGE, "the body is larger than %zu bytes", connection->server->options.body_limit);
        err_at(err, "Content-Length");
    } else {
        (void)err_set(err, ERR_HEADERS_TOO_LARGE, "the headers take too much of the memory set aside for them");
        err_at(err, "headers");
    }
}

/* libmicrohttpd complains before it answers. What it finds between the last header and the first callback it answers with two
 * heads; it is answered here, and the socket shut so that its own answer goes nowhere. */
void exchange_complaint(void *ctx, const char *format, va_list arguments) {
    if (strncmp(format, COMPLAINT, sizeof(COMPLAINT) - 1) != 0) return;
    struct http_connection *connection = find_complained(ctx);
    if (!connection) return;
    struct err err = ERR_INIT;
    explain_complaint(connection, &err);
    connection->request.method =
        MHD_HTTP_METHOD_GET; /* not told yet; a body behind HEAD harms nobody, for this is the end */
    (void)refuse_and_close(&connection->request, &err);
    (void)shutdown(connection->fd, SHUT_WR);
}

static enum MHD_Result take_headers(struct http_request *request, const char *version) {
    struct http_connection *connection = request->connection;
    struct err err = ERR_INIT;
    uint64_t requests = atomic_load_explicit(&connection->requests, memory_order_relaxed);
    atomic_store_explicit(&connection->requests, requests + 1, memory_order_relaxed);
    request->step = STEP_BODY;
    return guard_request(request, version, &err) < 0 ? refuse_and_close(request, &err) : MHD_YES;
}

static enum MHD_Result refuse_body(struct http_request *request) {
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_TOO_LARGE, "the body is larger than %zu bytes",
                  request->connection->server->options.body_limit);
    err_at(&err, "body");
    return refuse_and_close(request, &err);
}

static enum MHD_Result take_body(struct http_request *request, const char *data, size_t *data_size) {
    size_t size = *data_size;
    *data_size = 0;
    if (size > request->connection->server->options.body_limit - request->body.len) return refuse_body(request);
    str_add(&request->body, data, size);
    return MHD_YES;
}

static bool has_header(const struct http_response *response, const char *name) {
    for (size_t i = 0; i < response->header_count; i++)
        if (strcmp(response->headers[i].name, name) == 0) return true;
    return false;
}

static enum MHD_Result refuse_with(struct http_request *request, enum err_code code, const char *message) {
    struct err err = ERR_INIT;
    (void)err_set(&err, code, "%s", message);
    answer_refuse(request, &err);
    if (code == ERR_UNAVAILABLE && !has_header(&request->response, "Retry-After"))
        http_response_header(&request->response, "Retry-After", "1");
    return answer_queue(request);
}

static enum MHD_Result refuse_control(struct http_request *request) {
    struct http_server *server = request->connection->server;
    if (atomic_load(&server->stopping)) return refuse_with(request, ERR_UNAVAILABLE, "the server stops");
    server_count_refusal(server, HTTP_LIMIT_CONTROL_QUEUE);
    return refuse_with(request, ERR_UNAVAILABLE, "too many requests wait already");
}

static enum MHD_Result handle(struct http_request *request) {
    struct http_server *server = request->connection->server;
    const struct http_handler *handler = &server->options.handler;
    if (request->body.failed) return refuse_with(request, ERR_NO_MEMORY, "no memory for the body");
    answer_begin(request);
    if (handler->fast(handler->ctx, request, &request->response) == HTTP_ANSWER) return answer_queue(request);
    connection_enter(request->connection, PHASE_HANDLING);
    if (!control_submit(&server->pool, request)) return refuse_control(request);
    return MHD_YES;
}

static enum MHD_Result answer_control(struct http_request *request) {
    if (request->dropped) return refuse_with(request, ERR_UNAVAILABLE, "the server stops");
    return answer_queue(request);
}

enum MHD_Result exchange_step(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                              const char *version, const char *data, size_t *data_size, void **context) {
    struct http_connection *connection = *context;
    if (!connection) return MHD_NO;
    struct http_request *request = &connection->request;
    request->method = method;
    switch (request->step) {
    case STEP_HEADERS:
        return take_headers(request, version);
    case STEP_BODY:
        return *data_size > 0 ? take_body(request, data, data_size) : handle(request);
    case STEP_CONTROL_DONE:
        return answer_control(request);
    case STEP_CONTROL:
    case STEP_ANSWERED:
        break;
    }
    return MHD_YES;
}
