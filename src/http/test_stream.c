/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, control threads, and stopping with both of them busy. */
#include "http/test_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a channel: every stream of it is sent the same numbered lines ---- */

struct channel {
    pthread_mutex_t lock; /* the owner's lock of its streams */
    struct listener *first;
    int sent;          /* lines 1 … sent exist */
    bool wakes_itself; /* the first read() is woken while it runs */
    int last;          /* > 0: the stream ends behind this line */
    bool burst;        /* read() hands out one line at a time */
    _Atomic int opened, closed, reads;
};

struct listener {
    struct http_stream stream;
    struct channel *channel;
    struct listener *next;
    int seen, closed;
    bool sleeping; /* a read() has answered 0: from then on there is a wake */
};

struct gate { /* a control handler waits here */
    pthread_mutex_t lock;
    pthread_cond_t opens;
    bool open;
    _Atomic int inside, done;
};

struct world {
    struct http_options options;
    struct http_server *server;
    struct channel channel;
    struct gate gate;
};

static ssize_t listener_read(void *ctx, char *buffer, size_t max) {
    struct listener *listener = ctx;
    struct channel *channel = listener->channel;
    size_t len = 0;
    atomic_fetch_add(&channel->reads, 1);
    pthread_mutex_lock(&channel->lock);
    assert_int_equal(listener->closed, 0);
    bool ends = channel->last > 0 && listener->seen >= channel->last;
    while (!ends && listener->seen < channel->sent && max - len >= 16 && !(channel->burst && len > 0))
        len += (size_t)snprintf(buffer + len, max - len, "%d\n", ++listener->seen);
    listener->sleeping = !ends && len == 0;
    if (channel->wakes_itself) http_stream_wake(listener->stream.wake);
    channel->wakes_itself = false;
    pthread_mutex_unlock(&channel->lock);
    return ends ? -1 : (ssize_t)len;
}

static void listener_close(void *ctx) {
    struct listener *listener = ctx;
    struct channel *channel = listener->channel;
    pthread_mutex_lock(&channel->lock);
    assert_int_equal(listener->closed++, 0);
    struct listener **place = &channel->first;
    while (*place != listener)
        place = &(*place)->next;
    *place = listener->next;
    pthread_mutex_unlock(&channel->lock);
    free(listener);
    atomic_fetch_add(&channel->closed, 1);
}

static void listen_to(struct channel *channel, struct http_response *response) {
    struct listener *listener = calloc(1, sizeof(*listener));
    assert_non_null(listener);
    listener->channel = channel;
    listener->stream = (struct http_stream){.ctx = listener, .read = listener_read, .close = listener_close};
    pthread_mutex_lock(&channel->lock);
    listener->next = channel->first;
    channel->first = listener;
    pthread_mutex_unlock(&channel->lock);
    response->status = 200;
    response->content_type = "text/plain";
    response->stream = &listener->stream;
    atomic_fetch_add(&channel->opened, 1);
}

static void channel_say(struct channel *channel, int lines) {
    pthread_mutex_lock(&channel->lock);
    channel->sent += lines;
    for (struct listener *listener = channel->first; listener; listener = listener->next)
        if (listener->sleeping) http_stream_wake(listener->stream.wake);
    pthread_mutex_unlock(&channel->lock);
}

static void channel_end(struct channel *channel) {
    pthread_mutex_lock(&channel->lock);
    channel->last = channel->sent;
    pthread_mutex_unlock(&channel->lock);
    channel_say(channel, 0);
}

/* ---- the server ---- */

static void gate_wait(struct gate *gate) {
    atomic_fetch_add(&gate->inside, 1);
    pthread_mutex_lock(&gate->lock);
    while (!gate->open)
        pthread_cond_wait(&gate->opens, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
    atomic_fetch_add(&gate->done, 1);
}

static void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->opens);
    pthread_mutex_unlock(&gate->lock);
}

static void say(struct http_response *response, const char *text) {
    str_add_text(&response->body, text);
    response->status = 200;
}

static enum http_verdict fast(void *ctx, struct http_request *request, struct http_response *response) {
    struct world *world = ctx;
    const char *path = http_path(request);
    if (strcmp(path, "/fast") == 0) {
        say(response, "fast");
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/stream") == 0) {
        listen_to(&world->channel, response);
        return HTTP_ANSWER;
    }
    return HTTP_CONTROL;
}

static void control(void *ctx, struct http_request *request, struct http_response *response) {
    struct world *world = ctx;
    const char *path = http_path(request);
    if (strcmp(path, "/gate") == 0) gate_wait(&world->gate);
    if (strcmp(path, "/control-stream") == 0) {
        listen_to(&world->channel, response);
        return;
    }
    str_add_slice(&response->body, http_body(request));
    say(response, path);
}

static void start(struct world *world) {
    *world = (struct world){.options = test_options()};
    pthread_mutex_init(&world->channel.lock, NULL);
    pthread_mutex_init(&world->gate.lock, NULL);
    pthread_cond_init(&world->gate.opens, NULL);
    world->options.handler =
        (struct http_handler){.ctx = world, .fast = fast, .control = control, .refuse = test_refuse};
}

static void run(struct world *world) {
    world->server = test_start(&world->options);
}

#define ASK(method, path) method " " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void check_text(int fd, const char *request, const char *want) {
    _cleanup_(freep) char *got = client_ask(fd, request, 200);
    assert_string_equal(got, want);
}

/* ---- control threads ---- */

static void test_workers_go_on_while_control_waits(void **state) {
    struct world world;
    start(&world);
    run(&world);
    int a = client_connect(world.server), b = client_connect(world.server), c = client_connect(world.server);
    client_text(a, ASK("GET", "/gate"));
    client_text(b, "POST /gate HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(wait_for(&world.gate.inside, 2)); /* both at once */
    for (int i = 0; i < 100; i++)
        check_text(c, ASK("GET", "/fast"), "fast");
    gate_open(&world.gate);
    check_text(a, "", "/gate");
    check_text(b, "", "abc/gate");
    for (int i = 0; i < 100; i++) {
        check_text(a, ASK("GET", "/control"), "/control");
        check_text(a, ASK("GET", "/fast"), "fast");
    }
    close(a);
    close(b);
    close(c);
    http_server_stop(world.server, 1000);
}

static void test_full_queue(void **state) {
    struct world world;
    struct http_stats stats;
    int fds[6];
    start(&world);
    run(&world);
    for (int i = 0; i < 6; i++) {
        fds[i] = client_connect(world.server);
        client_text(fds[i], ASK("GET", "/gate"));
        if (i < 2) assert_true(wait_for(&world.gate.inside, i + 1));
    }
    do
        http_server_stats(world.server, &stats);
    while (stats.control_waiting < 4);
    int over = client_connect(world.server);
    for (int i = 0; i < 3; i++) {
        struct answer answer;
        char after[16];
        client_text(over, ASK("GET", "/gate"));
        assert_true(client_answer(over, false, &answer));
        assert_int_equal(answer.status, 503);
        assert_string_equal(answer_header(&answer, "Retry-After", after, sizeof(after)), "1");
        str_deinit(&answer.body);
    }
    check_text(over, ASK("GET", "/fast"), "fast"); /* the connection stays */
    gate_open(&world.gate);
    for (int i = 0; i < 6; i++) {
        check_text(fds[i], "", "/gate");
        close(fds[i]);
    }
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.refused[HTTP_LIMIT_CONTROL_QUEUE], 3);
    assert_int_equal(stats.control_waiting, 0);
    close(over);
    http_server_stop(world.server, 1000);
}

static void test_client_goes_while_control_works(void **state) {
    struct world world;
    start(&world);
    run(&world);
    for (int i = 0; i < 4; i++) {
        int fd = client_connect(world.server);
        client_text(fd, ASK("GET", "/gate"));
        close(fd);
    }
    assert_true(wait_for(&world.gate.inside, 2));
    gate_open(&world.gate);
    assert_true(wait_for(&world.gate.done, 4));
    http_server_stop(world.server, 1000);
}

/* ---- streams ---- */

static void check_lines(const char *text, int count) {
    char want[16];
    for (int i = 1; i <= count; i++) {
        size_t len = (size_t)snprintf(want, sizeof(want), "%d\n", i);
        assert_int_equal(strncmp(text, want, len), 0);
        text += len;
    }
    assert_string_equal(text, "");
}

static void check_stream(const char *request, bool burst) {
    struct world world;
    struct answer answer;
    start(&world);
    world.channel.burst = burst;
    run(&world);
    int fd = client_connect(world.server);
    client_text(fd, request);
    assert_true(wait_for(&world.channel.reads, 1));
    for (int i = 0; i < 2000; i++)
        channel_say(&world.channel, 1 + i % 3);
    channel_end(&world.channel);
    assert_true(client_answer(fd, false, &answer));
    assert_true(answer.complete);
    check_lines(answer.body.data, world.channel.sent);
    str_deinit(&answer.body);
    assert_true(wait_for(&world.channel.closed, 1));
    struct http_stats stats;
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.streams_open, 0);
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_stream_brings_everything_in_order(void **state) {
    check_stream(ASK("GET", "/stream"), false);
    check_stream(ASK("GET", "/stream"), true);
    check_stream(ASK("GET", "/control-stream"), false);
    check_stream("GET /stream HTTP/1.0\r\n\r\n", false);
    check_stream("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true);
}

static void test_sleeping_stream_is_not_read(void **state) {
    struct world world;
    start(&world);
    run(&world);
    int fd = client_connect(world.server);
    client_text(fd, ASK("GET", "/stream"));
    assert_true(wait_for(&world.channel.reads, 1));
    sleep_ms(300);
    assert_in_range(atomic_load(&world.channel.reads), 1, 2);
    channel_say(&world.channel, 1);
    assert_true(wait_for(&world.channel.reads, 2));
    close(fd);
    assert_true(wait_for(&world.channel.closed, 1)); /* without another wake */
    http_server_stop(world.server, 1000);
}

static void test_wake_while_reading_is_not_lost(void **state) {
    struct world world;
    start(&world);
    world.channel.wakes_itself = true;
    run(&world);
    int fd = client_connect(world.server);
    client_text(fd, ASK("GET", "/stream"));
    assert_true(wait_for(&world.channel.reads, 2));
    channel_say(&world.channel, 1);
    channel_end(&world.channel);
    struct answer answer;
    assert_true(client_answer(fd, false, &answer));
    assert_true(answer.complete);
    str_deinit(&answer.body);
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_head_of_a_stream(void **state) {
    struct world world;
    struct answer answer;
    start(&world);
    run(&world);
    int fd = client_connect(world.server);
    client_text(fd, ASK("HEAD", "/stream"));
    assert_true(client_answer(fd, true, &answer));
    assert_int_equal(answer.status, 200);
    assert_true(wait_for(&world.channel.closed, 1));
    check_text(fd, ASK("GET", "/fast"), "fast");
    close(fd);
    http_server_stop(world.server, 1000);
}

struct speaker {
    struct channel *channel;
    _Atomic bool stop;
};

static void *speak(void *ctx) {
    struct speaker *speaker = ctx;
    while (!atomic_load(&speaker->stop)) {
        channel_say(speaker->channel, 1);
        sleep_ms(1);
    }
    return NULL;
}

/* 200 streams are opened and cut in no order while two threads wake all of them. */
static void test_streams_opened_and_cut_at_random(void **state) {
    struct world world;
    int fds[40];
    unsigned random = 12345;
    start(&world);
    world.options.workers = 2;
    run(&world);
    struct speaker speaker = {.channel = &world.channel};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, speak, &speaker);
    for (int i = 0; i < 40; i++)
        fds[i] = -1;
    for (int i = 0; i < 240; i++) {
        random = random * 1664525 + 1013904223;
        int *fd = &fds[(random >> 16) % 40];
        if (*fd >= 0) {
            char some[64];
            if (random & 0x100) (void)recv(*fd, some, sizeof(some), MSG_DONTWAIT);
            close(*fd);
        }
        *fd = client_connect(world.server);
        client_text(*fd, random & 0x200 ? ASK("GET", "/stream") : ASK("GET", "/control-stream"));
        if (random & 0x400) sleep_ms(1);
    }
    for (int i = 0; i < 40; i += 2)
        if (fds[i] >= 0) close(fds[i]);
    http_server_stop(world.server, 300);
    atomic_store(&speaker.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&world.channel.opened), atomic_load(&world.channel.closed));
    assert_null(world.channel.first);
    for (int i = 1; i < 40; i += 2)
        if (fds[i] >= 0) close(fds[i]);
}

/* ---- stopping ---- */

static void test_stop_finishes_what_is_open(void **state) {
    struct world world;
    struct answer answer;
    start(&world);
    run(&world);
    int streaming = client_connect(world.server), idle = client_connect(world.server),
        waiting = client_connect(world.server);
    check_text(idle, ASK("GET", "/fast"), "fast");
    client_text(streaming, ASK("GET", "/stream"));
    client_text(waiting, ASK("GET", "/gate"));
    assert_true(wait_for(&world.channel.reads, 1));
    assert_true(wait_for(&world.gate.inside, 1));
    gate_open(&world.gate);
    http_server_stop(world.server, 5000);

    assert_true(client_answer(streaming, false, &answer));
    assert_true(answer.complete); /* ended in order */
    str_deinit(&answer.body);
    check_text(waiting, "", "/gate");
    assert_true(client_closed(idle, 1000));
    assert_true(client_closed(waiting, 1000));
    close(idle);
    close(waiting);
    close(streaming);
}

struct stopper {
    struct http_server *server;
    unsigned deadline_ms;
};

static void *stop_server(void *ctx) {
    struct stopper *stopper = ctx;
    http_server_stop(stopper->server, stopper->deadline_ms);
    return NULL;
}

static void test_stop_takes_nothing_new_and_says_close(void **state) {
    struct world world;
    struct answer answer;
    char connection[16];
    pthread_t thread;
    start(&world);
    run(&world);
    int working = client_connect(world.server), half = client_connect(world.server);
    client_text(working, ASK("GET", "/gate"));
    client_text(half, "POST /control HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    assert_true(wait_for(&world.gate.inside, 1));
    struct stopper stopper = {world.server, 5000};
    char address[64];
    (void)snprintf(address, sizeof(address), "%s", http_server_address(world.server));
    pthread_create(&thread, NULL, stop_server, &stopper);
    sleep_ms(50);

    struct http_options again = world.options; /* the port is free already */
    again.address = address;
    struct http_server *second = test_start(&again);
    int other = client_connect(second);
    check_text(other, ASK("GET", "/fast"), "fast");

    client_text(half, "cd");
    assert_true(client_answer(half, false, &answer));
    assert_string_equal(answer.body.data, "abcd/control");
    assert_string_equal(answer_header(&answer, "Connection", connection, sizeof(connection)), "close");
    str_deinit(&answer.body);
    gate_open(&world.gate);
    assert_true(client_answer(working, false, &answer));
    assert_string_equal(answer_header(&answer, "Connection", connection, sizeof(connection)), "close");
    str_deinit(&answer.body);
    pthread_join(thread, NULL);
    http_server_stop(second, 1000);
    close(half);
    close(working);
    close(other);
}

static void test_stop_cuts_at_its_deadline(void **state) {
    struct world world;
    pthread_t thread;
    int fds[10];
    start(&world);
    run(&world);
    for (int i = 0; i < 6; i++) { /* two run, four wait */
        fds[i] = client_connect(world.server);
        client_text(fds[i], ASK("GET", "/gate"));
    }
    for (int i = 6; i < 10; i++) { /* never complete */
        fds[i] = client_connect(world.server);
        client_text(fds[i], "POST /control HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab");
    }
    assert_true(wait_for(&world.gate.inside, 2));
    struct stopper stopper = {world.server, 100};
    pthread_create(&thread, NULL, stop_server, &stopper);
    sleep_ms(200);
    gate_open(&world.gate); /* what has begun is finished, even past the deadline */
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&world.gate.done), 2);
    for (int i = 0; i < 10; i++) {
        assert_true(client_closed(fds[i], 1000));
        close(fds[i]);
    }
}

static void test_stop_under_load(void **state) {
    for (int round = 0; round < 20; round++) {
        struct world world;
        int fds[30];
        start(&world);
        world.options.workers = 1 + (unsigned)round % 3;
        gate_open(&world.gate);
        run(&world);
        static const char *const requests[] = {ASK("GET", "/fast"), ASK("GET", "/gate"), ASK("GET", "/stream"),
                                               ASK("GET", "/control-stream"), "GET /fa"};
        for (int i = 0; i < 30; i++) {
            fds[i] = client_connect(world.server);
            client_text(fds[i], requests[i % 5]);
        }
        http_server_stop(world.server, round % 2 ? 20 : 0);
        assert_int_equal(atomic_load(&world.channel.opened), atomic_load(&world.channel.closed));
        for (int i = 0; i < 30; i++)
            close(fds[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_go_on_while_control_waits),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_client_goes_while_control_works),
        cmocka_unit_test(test_stream_brings_everything_in_order),
        cmocka_unit_test(test_sleeping_stream_is_not_read),
        cmocka_unit_test(test_wake_while_reading_is_not_lost),
        cmocka_unit_test(test_head_of_a_stream),
        cmocka_unit_test(test_streams_opened_and_cut_at_random),
        cmocka_unit_test(test_stop_finishes_what_is_open),
        cmocka_unit_test(test_stop_takes_nothing_new_and_says_close),
        cmocka_unit_test(test_stop_cuts_at_its_deadline),
        cmocka_unit_test(test_stop_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
