/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One handle for the life of the program, so that requests in a row share a connection. The key goes into a header only: never into
 * an address, a message or a redirect.
 */
#include "cli/cli_impl.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_MAX (256 * 1024 * 1024)
/* A stream speaks at least every few seconds (stream_keepalive_s); past this the connection is dead. */
#define STREAM_SILENCE_S 90

struct transport {
    struct cli_transport transport;
    CURL *curl;
};

struct transfer {
    CURL *curl;
    const struct cli_request *request;
    struct cli_response *response;
    bool too_large;
};

static size_t receive(char *bytes, size_t size, size_t count, void *ctx) {
    struct transfer *transfer = ctx;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->request->data && status >= 200 && status < 300)
        return transfer->request->data(transfer->request->data_ctx, bytes, len) ? 0 : len;
    transfer->too_large = transfer->response->body.len + len > ANSWER_MAX;
    if (transfer->too_large) return 0;
    str_add(&transfer->response->body, bytes, len);
    return transfer->response->body.failed ? 0 : len;
}

static int add_header(struct curl_slist **headers, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int add_header(struct curl_slist **headers, struct err *err, const char *fmt, ...) {
    char line[2048];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line)) return err_set(err, ERR_USAGE, "a header would be too long");
    struct curl_slist *more = curl_slist_append(*headers, line);
    if (!more) return err_no_memory(err);
    *headers = more;
    return 0;
}

static int make_headers(const struct cli_request *request, struct curl_slist **ret, struct err *err) {
    int r = add_header(ret, err, "Expect:");
    if (r == 0) r = add_header(ret, err, "Accept: %s", request->data ? "text/event-stream" : "application/json");
    if (r == 0 && request->body.ptr) r = add_header(ret, err, "Content-Type: application/json");
    if (r == 0 && request->key) r = add_header(ret, err, "Authorization: Bearer %s", request->key);
    if (r == 0 && request->idempotency_key) r = add_header(ret, err, "Idempotency-Key: %s", request->idempotency_key);
    return r;
}

static void set_body(CURL *curl, const struct cli_request *request) {
    if (request->body.ptr) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.ptr);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    if (strcmp(request->method, "GET")) curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_options(CURL *curl, struct transfer *transfer) {
    const struct cli_request *request = transfer->request;
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "serin/" SERIN_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    bool short_wait = request->timeout_ms && request->timeout_ms < CONNECT_TIMEOUT_MS;
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     short_wait ? (long)request->timeout_ms : (long)CONNECT_TIMEOUT_MS);
    if (!request->data) return;
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STREAM_SILENCE_S);
}

/* Whether the request may have reached the server. */
static enum err_code code_of(CURL *curl, CURLcode result) {
    curl_off_t connected = 0;
    curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &connected);
    if (!connected) return ERR_CONNECT;
    return result == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE;
}

static int fail(const struct transfer *transfer, CURLcode result, struct err *err) {
    if (transfer->response->body.failed) return err_no_memory(err);
    if (transfer->too_large) return err_set(err, ERR_TOO_LARGE, "the answer is larger than %d MiB", ANSWER_MAX >> 20);
    enum err_code code = code_of(transfer->curl, result);
    size_t origin = strcspn(transfer->request->url, ":") + 3;
    origin += strcspn(transfer->request->url + origin, "/");
    int r = err_set(err, code, "%s %.*s: %s", code == ERR_CONNECT ? "cannot reach" : "lost the connection to",
                    (int)origin, transfer->request->url, curl_easy_strerror(result));
    if (code == ERR_TIMEOUT) err_remedy(err, "Try again, or wait longer with --timeout SECONDS");
    return r;
}

/* At the first request: most of what the program does needs no network. */
static int start(struct transport *transport, struct err *err) {
    if (!transport->curl && curl_global_init(CURL_GLOBAL_DEFAULT) == 0) transport->curl = curl_easy_init();
    return transport->curl ? 0 : err_set(err, ERR_INTERNAL, "libcurl does not start");
}

static int curl_request(void *ctx, const struct cli_request *request, struct cli_response *ret, struct err *err) {
    struct transport *transport = ctx;
    int r = start(transport, err);
    if (r < 0) return r;
    struct transfer transfer = {.curl = transport->curl, .request = request, .response = ret};
    struct curl_slist *headers = NULL;
    long status = 0;
    r = make_headers(request, &headers, err);
    if (r == 0) {
        curl_easy_reset(transport->curl);
        set_options(transport->curl, &transfer);
        set_body(transport->curl, request);
        curl_easy_setopt(transport->curl, CURLOPT_HTTPHEADER, headers);
        CURLcode result = curl_easy_perform(transport->curl);
        curl_easy_getinfo(transport->curl, CURLINFO_RESPONSE_CODE, &status);
        ret->status = (int)status;
        if (result != CURLE_OK) r = fail(&transfer, result, err);
    }
    curl_slist_free_all(headers);
    return r;
}

static void pause_for(void *ctx, unsigned milliseconds) {
    struct timespec wait = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    while (nanosleep(&wait, &wait) < 0 && errno == EINTR)
        ;
}

int curl_transport_new(struct cli_transport **ret, struct err *err) {
    struct transport *transport = calloc(1, sizeof(*transport));
    if (!transport) return err_no_memory(err);
    transport->transport = (struct cli_transport){.ctx = transport, .request = curl_request, .pause = pause_for};
    *ret = &transport->transport;
    return 0;
}

void curl_transport_free(struct cli_transport *given) {
    if (!given) return;
    struct transport *transport = given->ctx;
    if (transport->curl) {
        curl_easy_cleanup(transport->curl);
        curl_global_cleanup();
    }
    free(transport);
}
