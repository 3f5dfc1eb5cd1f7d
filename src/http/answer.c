/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: one buffer each, so that head and body leave in one system call. */
#include "http/http_impl.h"

#include <string.h>
#include <sys/socket.h>

void http_response_text(struct http_response *response, const char *name, struct slice value) {
    if (response->header_count >= HTTP_HEADERS_MAX) return;
    response->headers[response->header_count].name = name;
    response->headers[response->header_count].value = value.ptr;
    response->headers[response->header_count].len = value.len;
    response->header_count++;
}

void http_response_header(struct http_response *response, const char *name, const char *value) {
    http_response_text(response, name, slice_of(value));
}

void answer_drop_stream(struct http_response *response) {
    struct http_stream *stream = TAKE_PTR(response->stream);
    if (stream) stream->close(stream->ctx);
}

void answer_begin(struct http_request *request) {
    struct http_response *response = &request->response; /* field by field: the room for headers is large */
    response->status = 0;
    response->content_type = NULL;
    response->header_count = 0;
    response->body = request->body_kept;
    response->stream = NULL;
    request->body_kept = STR_INIT;
}

void answer_refuse(struct http_request *request, const struct err *err) {
    const struct http_options *options = &request->connection->server->options;
    answer_drop_stream(&request->response);
    struct str body = request->response.body;
    str_clear(&body);
    request->response = (struct http_response){.body = body};
    options->handler.refuse(options->handler.ctx, err, &request->arena, &request->response);
    if (request->response.status == 0) request->response.status = err_status(err->code);
    log_err(options->log, LOG_REQUEST_REFUSED, err);
}

static const char no_body[] = "";

/* A small body stays in the request, which outlives the answer. */
static struct MHD_Response *body_response(struct str *body) {
    if (body->len == 0) return MHD_create_response_from_buffer(0, (void *)(uintptr_t)no_body, MHD_RESPMEM_PERSISTENT);
    size_t len = body->len;
    if (body->capacity <= ANSWER_KEPT) return MHD_create_response_from_buffer(len, body->data, MHD_RESPMEM_PERSISTENT);
    char *bytes = str_take(body);
    if (!bytes) return NULL;
    struct MHD_Response *mhd = MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
    if (!mhd) free(bytes);
    return mhd;
}

static bool is_last(const struct http_request *request) {
    return request->chunked || atomic_load_explicit(&request->connection->server->stopping, memory_order_relaxed);
}

static bool add_headers(const struct http_request *request, struct MHD_Response *mhd, int64_t second) {
    const struct http_response *response = &request->response;
    const struct http_server *server = request->connection->server;
    if (MHD_add_response_header(mhd, "Date", server->dates[second % DATES]) == MHD_NO) return false;
    if (is_last(request) && MHD_add_response_header(mhd, "Connection", "close") == MHD_NO) return false;
    if (response->content_type && MHD_add_response_header(mhd, "Content-Type", response->content_type) == MHD_NO)
        return false;
    for (size_t i = 0; i < response->header_count; i++) {
        const char *value = response->headers[i].value;
        if (!value || MHD_add_response_header(mhd, response->headers[i].name, value) == MHD_NO) return false;
    }
    return true;
}

static bool response_sound(const struct http_response *response) {
    return response->status >= 200 && response->status <= 599 && !response->body.failed;
}

/* libmicrohttpd would end the chunks of a stream even where HEAD forbids a body. */
static struct MHD_Response *content_response(struct http_request *request) {
    struct http_response *response = &request->response;
    if (response->stream && strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0) answer_drop_stream(response);
    if (!response->stream) return body_response(&response->body);
    struct MHD_Response *mhd = stream_answer(request->connection, response->stream);
    if (mhd) response->stream = NULL;
    return mhd;
}

/* NULL: memory ran out, or the handler made an answer that cannot be sent. */
static struct MHD_Response *build(struct http_request *request, int64_t second) {
    if (!response_sound(&request->response)) return NULL;
    struct MHD_Response *mhd = content_response(request);
    if (!mhd) return NULL;
    if (add_headers(request, mhd, second)) return mhd;
    MHD_destroy_response(mhd);
    return NULL;
}

static struct MHD_Response *build_or_refuse(struct http_request *request, int64_t second) {
    struct MHD_Response *mhd = build(request, second);
    if (mhd) return mhd;
    struct err err = ERR_INIT;
    (void)err_set(&err, request->response.body.failed ? ERR_NO_MEMORY : ERR_INTERNAL,
                  "the answer could not be written");
    answer_refuse(request, &err);
    return build(request, second);
}

void answer_forget(struct answer_kept *kept) {
    struct MHD_Response *mhd = TAKE_PTR(kept->mhd);
    if (mhd) MHD_destroy_response(mhd);
}

static const char *body_data(const struct http_response *response) {
    return response->body.len > 0 ? response->body.data : no_body;
}

static bool kept_fits(const struct answer_kept *kept, const struct http_response *response, int64_t second) {
    if (!kept->mhd || kept->second != second || kept->len != response->body.len || kept->data != body_data(response) ||
        kept->content_type != response->content_type || kept->header_count != response->header_count)
        return false;
    const char *value = kept->values;
    for (size_t i = 0; i < kept->header_count; i++) {
        if (kept->names[i] != response->headers[i].name || !response->headers[i].value ||
            kept->lens[i] != response->headers[i].len || memcmp(value, response->headers[i].value, kept->lens[i]) != 0)
            return false;
        value += kept->lens[i];
    }
    return true;
}

/* False: the values are too long to be kept. Names are literals, as is the content type. */
static bool keep_headers(struct answer_kept *kept, const struct http_response *response) {
    size_t used = 0;
    for (size_t i = 0; i < response->header_count; i++) {
        size_t len = response->headers[i].len;
        if (len > sizeof(kept->values) - used) return false;
        memcpy(kept->values + used, response->headers[i].value, len);
        kept->names[i] = response->headers[i].name;
        kept->lens[i] = len;
        used += len;
    }
    kept->header_count = response->header_count;
    return true;
}

/* Keeps a reference to `mhd` when its bytes stay where they are. */
static void keep(struct http_request *request, struct MHD_Response *mhd, int64_t second) {
    struct answer_kept *kept = &request->kept;
    const struct http_response *response = &request->response;
    answer_forget(kept);
    bool stays = response->body.len == 0 || (response->body.data && response->body.capacity <= ANSWER_KEPT);
    if (!stays || request->connection->stream || is_last(request) || !keep_headers(kept, response)) return;
    kept->mhd = mhd;
    kept->data = body_data(response);
    kept->len = response->body.len;
    kept->second = second;
    kept->content_type = response->content_type;
}

static enum MHD_Result answer_send(struct http_request *request, struct MHD_Response *mhd) {
    struct http_connection *connection = request->connection;
    request->step = STEP_ANSWERED;
    connection_enter(connection, connection->stream ? PHASE_STREAMING : PHASE_SENDING);
    return MHD_queue_response(connection->mhd, (unsigned)request->response.status, mhd);
}

enum MHD_Result answer_queue(struct http_request *request) {
    int64_t second = atomic_load_explicit(&request->connection->server->second, memory_order_acquire);
    if (kept_fits(&request->kept, &request->response, second) && response_sound(&request->response) &&
        !is_last(request))
        return answer_send(request, request->kept.mhd);
    struct MHD_Response *mhd = build_or_refuse(request, second);
    if (!mhd) return MHD_NO;
    keep(request, mhd, second);
    bool kept = request->kept.mhd == mhd;
    enum MHD_Result queued = answer_send(request, mhd);
    if (!kept) MHD_destroy_response(mhd);
    return queued;
}

/* Nothing else is on its way on this connection, so the socket's buffer takes it whole; when it does not, the client
 * sees the connection end. */
void answer_write_now(struct http_request *request) {
    const struct http_response *response = &request->response;
    const struct http_server *server = request->connection->server;
    _cleanup_(str_deinit) struct str out = STR_INIT;
    const char *reason = MHD_get_reason_phrase_for((unsigned)response->status);
    str_printf(&out, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n", response->status, reason ? reason : "",
               server->dates[atomic_load(&server->second) % DATES]);
    if (response->content_type) str_printf(&out, "Content-Type: %s\r\n", response->content_type);
    for (size_t i = 0; i < response->header_count; i++)
        str_printf(&out, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
    str_printf(&out, "Content-Length: %zu\r\n\r\n", response->body.len);
    if (strcmp(request->method, MHD_HTTP_METHOD_HEAD) != 0) str_add_slice(&out, str_slice(&response->body));
    if (out.failed) return;
    (void)!send(request->connection->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}
