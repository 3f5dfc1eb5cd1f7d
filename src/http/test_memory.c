/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of ours fails once while requests are served: no crash, no leak (the sanitizers look), an answer or the end of
 * the connection each time, and the server serves on. The allocations are those of all threads, so base/ticker.h does not do.
 */
#include "http/test_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static _Atomic long left; /* the allocation that fails; 0 or below: none */
static _Atomic int failures;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void) {
    if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1) return false;
    atomic_fetch_add(&failures, 1);
    return true;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails() ? NULL : __real_realloc(old, size);
}

struct once {
    struct http_stream stream;
    bool said;
};

static ssize_t once_read(void *ctx, char *buffer, size_t max) {
    struct once *once = ctx;
    if (once->said) return -1;
    once->said = true;
    memcpy(buffer, "once", 4);
    return 4;
}

static void answer(void *ctx, struct http_request *request, struct http_response *response) {
    struct slice body = http_body(request);
    const char *padded = http_header(request, "X-Padded"), *last = http_query(request, "k9");
    response->status = 200;
    response->content_type = "text/plain";
    str_printf(&response->body, "%s %s %s ", http_path(request), padded ? padded : "", last ? last : "");
    str_add_slice(&response->body, body);
    http_response_header(response, "X-Copy", arena_printf(http_arena(request), "%zu", body.len));
}

static enum http_verdict fast(void *ctx, struct http_request *request, struct http_response *response) {
    if (strcmp(http_path(request), "/control") == 0) return HTTP_CONTROL;
    if (strcmp(http_path(request), "/stream") == 0) {
        struct once *once = calloc(1, sizeof(*once));
        if (!once) return HTTP_ANSWER; /* without a status */
        once->stream = (struct http_stream){.ctx = once, .read = once_read, .close = free};
        response->status = 200;
        response->stream = &once->stream;
        return HTTP_ANSWER;
    }
    answer(ctx, request, response);
    return HTTP_ANSWER;
}

/* Tells whether it was answered as it is when there is memory. */
static bool ask(struct http_server *server, const char *head, size_t body_len, bool chunked) {
    static char body[8192];
    struct answer got;
    char size[16];
    int fd = client_connect(server);
    client_text(fd, head);
    if (chunked) {
        (void)snprintf(size, sizeof(size), "%zx\r\n", body_len);
        client_text(fd, size);
    }
    memset(body, 'b', sizeof(body));
    (void)client_send(fd, body, body_len);
    if (chunked) client_text(fd, "\r\n0\r\n\r\n");
    bool answered = client_answer(fd, false, &got) && got.complete && got.status == 200;
    str_deinit(&got.body);
    close(fd);
    return answered;
}

static bool scenario(struct http_server *server) {
    struct str target = {0};
    bool well = true;
    long armed = atomic_exchange(&left, 0);
    str_add_text(&target, "GET /long");
    for (int i = 0; i < 10; i++)
        str_printf(&target, "%ck%d=%030d%%20", i ? '&' : '?', i, i);
    str_add_text(&target, " HTTP/1.1\r\nHost: x\r\nX-Padded: a  \r\n\r\n");
    atomic_store(&left, armed);
    well &= ask(server, target.data, 0, false);
    well &= ask(server, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n", 6000, false);
    well &= ask(server, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 6000, true);
    well &= ask(server, "POST /control HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", 100, false);
    well &= ask(server, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", 0, false);
    atomic_store(&left, 0);
    str_deinit(&target);
    (void)ask(server, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 8000,
              true); /* too large */
    return well;
}

static struct http_options options(void) {
    struct http_options options = test_options();
    options.body_limit = 7000;
    options.connections_per_address = 100;
    options.handler = (struct http_handler){.fast = fast, .control = answer, .refuse = test_refuse};
    return options;
}

static void test_requests_without_memory(void **state) {
    struct http_options wanted = options();
    struct http_server *server = test_start(&wanted);
    assert_true(scenario(server));
    int before;
    long n = 0;
    do {
        before = atomic_load(&failures);
        atomic_store(&left, ++n);
        (void)scenario(server);
        assert_true(scenario(server)); /* and on it goes */
    } while (atomic_load(&failures) > before);
    assert_true(n > 30);
    http_server_stop(server, 1000);
}

static void test_start_without_memory(void **state) {
    struct http_options wanted = options();
    for (long n = 1;; n++) {
        struct http_server *server = NULL;
        struct err err = ERR_INIT;
        int before = atomic_load(&failures);
        atomic_store(&left, n);
        int r = http_server_start(&wanted, &server, &err);
        atomic_store(&left, 0);
        if (atomic_load(&failures) == before) {
            assert_int_equal(r, 0);
            http_server_stop(server, 1000);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
        assert_null(server);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_without_memory),
        cmocka_unit_test(test_start_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
