/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network, for the life of the program, so that requests in a row share a connection. The key goes into a header only: never into
 * an address, a message or a redirect.
 */
#include "cli/cli_impl.h"
#include "fetch/fetch.h"

#include <errno.h>
#include <time.h>

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
/* A stream speaks at least every few seconds (stream_keepalive_s); past this the connection is dead. */
#define STREAM_SILENCE_S 90
#define HEADERS_MAX 4

struct transport {
    struct cli_transport transport;
    struct fetch *fetch;
};

/* `bearer` is where the key's value is made. */
static size_t make_headers(const struct cli_request *request, struct str *bearer,
                           struct fetch_header headers[HEADERS_MAX]) {
    size_t count = 0;
    headers[count++] = (struct fetch_header){"Accept", request->data ? "text/event-stream" : "application/json"};
    if (request->body.ptr) headers[count++] = (struct fetch_header){"Content-Type", "application/json"};
    if (request->key) {
        str_printf(bearer, "Bearer %s", request->key);
        if (!bearer->failed) headers[count++] = (struct fetch_header){"Authorization", bearer->data};
    }
    if (request->idempotency_key) headers[count++] = (struct fetch_header){"Idempotency-Key", request->idempotency_key};
    return count;
}

/* At the first request: most of what the program does needs no network. */
static int start(struct transport *transport, struct err *err) {
    const struct fetch_options anywhere = {.allow = NULL};
    return transport->fetch ? 0 : fetch_new(&anywhere, &transport->fetch, err);
}

static int send_request(void *ctx, const struct cli_request *request, struct cli_response *ret, struct err *err) {
    struct transport *transport = ctx;
    _cleanup_(str_deinit) struct str bearer = STR_INIT;
    struct fetch_header headers[HEADERS_MAX];
    struct fetch_answer answer = {0};
    struct fetch_request fetch = {
        .method = request->method,
        .url = request->url,
        .headers = headers,
        .header_count = make_headers(request, &bearer, headers),
        .body = request->body,
        .timeout_ms = request->timeout_ms,
        .silence_s = request->data ? STREAM_SILENCE_S : 0,
        .answer_max = ANSWER_MAX,
        .timeout_remedy = "Try again, or wait longer with --timeout SECONDS",
        .data = request->data,
        .data_ctx = request->data_ctx,
    };
    int r = start(transport, err);
    if (r < 0 || bearer.failed) return r < 0 ? r : err_no_memory(err);
    r = fetch_now(transport->fetch, &fetch, &answer, err);
    *ret = (struct cli_response){.status = answer.status, .body = answer.body};
    return r;
}

static void pause_for(void *ctx, unsigned milliseconds) {
    struct timespec wait = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    while (nanosleep(&wait, &wait) < 0 && errno == EINTR)
        ;
}

int transport_new(struct cli_transport **ret, struct err *err) {
    struct transport *transport = calloc(1, sizeof(*transport));
    if (!transport) return err_no_memory(err);
    transport->transport = (struct cli_transport){.ctx = transport, .request = send_request, .pause = pause_for};
    *ret = &transport->transport;
    return 0;
}

void transport_free(struct cli_transport *given) {
    if (!given) return;
    struct transport *transport = given->ctx;
    fetch_free(transport->fetch);
    free(transport);
}
