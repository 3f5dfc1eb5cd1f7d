/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are slow on purpose. Time is a fake clock's, except where the kernel keeps it. */
#include "http/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND 1000000LL

struct world {
    struct http_options options;
    struct http_server *server;
    struct clock clock;
    _Atomic int closed;
};

static ssize_t zeros_read(void *ctx, char *buffer, size_t max) {
    memset(buffer, 'z', max);
    return (ssize_t)max;
}

static void zeros_close(void *ctx) {
    struct world *world = *(struct world **)ctx;
    atomic_fetch_add(&world->closed, 1);
    free(ctx);
}

struct zeros {
    struct world *world;
    struct http_stream stream;
};

static enum http_verdict fast(void *ctx, struct http_request *request, struct http_response *response) {
    response->status = 200;
    if (strcmp(http_path(request), "/large") == 0) {
        for (int i = 0; i < 20000000; i += 100)
            str_printf(&response->body, "%100d", i);
    } else if (strcmp(http_path(request), "/zeros") == 0) {
        struct zeros *zeros = calloc(1, sizeof(*zeros));
        assert_non_null(zeros);
        zeros->world = ctx;
        zeros->stream = (struct http_stream){.ctx = zeros, .read = zeros_read, .close = zeros_close};
        response->stream = &zeros->stream;
    } else {
        str_add_text(&response->body, "ok");
    }
    return HTTP_ANSWER;
}

static void start(struct world *world) {
    *world = (struct world){.options = test_options()};
    clock_fake_init(&world->clock, 0);
    world->options.clock = &world->clock;
    world->options.idle_timeout_s = 60;
    world->options.request_timeout_s = 10;
    world->options.handler.ctx = world;
    world->options.handler.fast = fast;
    world->server = test_start(&world->options);
}

static void start_in_real_time(struct world *world) {
    *world = (struct world){.options = test_options()};
    world->options.request_timeout_s = 1;
    world->options.handler.ctx = world;
    world->options.handler.fast = fast;
    world->server = test_start(&world->options);
}

static void pass(struct world *world, int seconds) {
    clock_fake_advance(&world->clock, seconds * SECOND);
    wait_looks(world->server, 1);
}

static uint64_t refused(const struct world *world, enum http_limit limit) {
    struct http_stats stats;
    http_server_stats(world->server, &stats);
    return stats.refused[limit];
}

static void wait_for_connections(const struct world *world, uint64_t count) {
    struct http_stats stats;
    for (int i = 0; i < 1000; i++) {
        http_server_stats(world->server, &stats);
        if (stats.connections_open == count) return;
        sleep_ms(10);
    }
    fail_msg("%u connections", (unsigned)stats.connections_open);
}

static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static void test_slow_requests_are_cut(void **state) {
    struct world world;
    start(&world);
    int headers = client_connect(world.server), body = client_connect(world.server),
        chunks = client_connect(world.server), good = client_connect(world.server);
    client_text(headers, "GET / HTTP/1.1\r\nHost: x\r\nX-Sl");
    client_text(body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
    client_text(chunks, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    free(client_ask(good, ask, 200));
    pass(&world, 6);
    client_text(headers, "ow: a\r\n"); /* dripping does not help */
    client_text(body, "c");
    client_text(chunks, "c");
    sleep_ms(50);
    assert_false(client_closed(headers, 0));
    pass(&world, 6);
    assert_true(client_closed(headers, 20000));
    assert_true(client_closed(body, 20000));
    assert_true(client_closed(chunks, 20000));
    assert_int_equal(refused(&world, HTTP_LIMIT_REQUEST_TIME), 3);
    free(client_ask(good, ask, 200)); /* quiet for as long, but between requests */
    pass(&world, 50);
    free(client_ask(good, ask, 200));
    close(headers);
    close(body);
    close(chunks);
    close(good);
    http_server_stop(world.server, 1000);
}

static void test_idle_connections_are_closed(void **state) {
    struct world world;
    start(&world);
    int fresh = client_connect(world.server), used = client_connect(world.server);
    free(client_ask(used, ask, 200));
    pass(&world, 59);
    assert_false(client_closed(fresh, 0));
    free(client_ask(used, ask, 200));
    pass(&world, 2);
    assert_true(client_closed(fresh, 20000));
    free(client_ask(used, ask, 200));
    pass(&world, 61);
    assert_true(client_closed(used, 20000));
    assert_int_equal(refused(&world, HTTP_LIMIT_REQUEST_TIME), 0);
    assert_int_equal(refused(&world, HTTP_LIMIT_IDLE_TIME), 2);
    close(fresh);
    close(used);
    http_server_stop(world.server, 1000);
}

/* A request line that never ends: bytes come in, so the connection is not idle, but no request begins. */
static void test_drip_without_a_request_line(void **state) {
    struct world world;
    start(&world);
    int fd = client_connect(world.server);
    client_text(fd, "GET /");
    wait_for_connections(&world, 1);
    clock_fake_advance(&world.clock, 61 * SECOND);
    for (int i = 0; i < 6; i++) { /* no look finds it quiet */
        client_text(fd, "a");
        wait_looks(world.server, 1);
    }
    assert_false(client_closed(fd, 0));
    clock_fake_advance(&world.clock, 10 * SECOND);
    bool closed = false;
    for (int i = 0; i < 400 && !closed; i++) {
        client_text(fd, "a");
        closed = client_closed(fd, 5);
    }
    assert_true(closed);
    assert_int_equal(refused(&world, HTTP_LIMIT_REQUEST_TIME), 1);
    close(fd);
    http_server_stop(world.server, 1000);
}

static int small_window(const struct http_server *server, const char *request) {
    int fd = client_connect(server), size = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    client_text(fd, request);
    return fd;
}

/* The kernel's timeout: real seconds. */
static void test_readers_that_stop_reading_are_cut(void **state) {
    struct world world;
    start_in_real_time(&world);
    int large = small_window(world.server, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"),
        zeros = small_window(world.server, "GET /zeros HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(wait_for(&world.closed, 1) || wait_for(&world.closed, 1));
    wait_for_connections(&world, 0);
    close(large);
    close(zeros);
    http_server_stop(world.server, 1000);
}

static void test_slow_but_steady_reader_gets_all(void **state) {
    struct world world;
    start_in_real_time(&world);
    int fd = client_connect(world.server);
    client_text(fd, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    size_t got = 0;
    char buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0; got += (size_t)n)
        if (got < 2000000) sleep_ms(100);
    assert_true(got > 20000000);
    close(fd);
    http_server_stop(world.server, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_requests_are_cut),
        cmocka_unit_test(test_idle_connections_are_closed),
        cmocka_unit_test(test_drip_without_a_request_line),
        cmocka_unit_test(test_readers_that_stop_reading_are_cut),
        cmocka_unit_test(test_slow_but_steady_reader_gets_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
