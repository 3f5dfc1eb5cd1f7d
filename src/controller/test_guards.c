/* SPDX-License-Identifier: Apache-2.0 */
/* Guards whose server is the test's: fine, bad, slow, wrong, gone, and back. */
#include "controller/guards.h"
#include "fetch/test_server.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define EVERY_MS 100
#define PATIENCE_US INT64_C(10000000)
#define NUMBER(number)                                                                                                 \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"" number    \
    "\"]}]}}"

struct world {
    struct test_server *server;
    struct fetch_allow *allow;
    struct log log;
    FILE *log_file;
    struct guards *guards;
    struct guard_source source;
    char url[64];
};

static int setup(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->server = server_start(false);
    (void)snprintf(world->url, sizeof(world->url), "http://127.0.0.1:%d/prometheus/", server_port(world->server));
    world->log_file = tmpfile();
    assert_non_null(world->log_file);
    world->log = (struct log){.fd = fileno(world->log_file), .json = true, .clock = &clock_system};
    assert_int_equal(fetch_allow_new("", &world->allow, NULL), 0);
    char origin[64];
    (void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%d", server_port(world->server));
    assert_int_equal(fetch_allow_set(world->allow, origin, NULL), 0);
    struct guards_options options = {
        .clock = &clock_system, .log = &world->log, .allow = world->allow, .every_ms = EVERY_MS};
    assert_int_equal(guards_new(&options, &world->guards, NULL), 0);
    assert_int_equal(guards_start(world->guards, NULL), 0);
    world->source = guards_source(world->guards);
    *state = world;
    return 0;
}

static int teardown(void **state) {
    struct world *world = *state;
    guards_free(world->guards);
    fetch_allow_free(world->allow);
    server_stop(world->server);
    fclose(world->log_file);
    free(world);
    return 0;
}

static struct guard guard_of(const struct world *world, const char *query) {
    return (struct guard){
        .name = "p99", .url = world->url, .query = query, .compare = GUARD_GT, .threshold = 5, .lasting = 0};
}

static void nap(void) {
    const struct timespec wait = {.tv_nsec = 5000000};
    nanosleep(&wait, NULL);
}

static struct guard_told told(const struct world *world, const struct guard *guard) {
    struct guard_told ret;
    world->source.look(world->source.ctx, guard, 1, &ret);
    return ret;
}

/* Until the guard is seen so, and for unknown ones until the reason says so. */
static struct guard_told wait_state(const struct world *world, const struct guard *guard, enum guard_state state,
                                    const char *why) {
    int64_t until = clock_monotonic(&clock_system) + PATIENCE_US;
    for (;;) {
        struct guard_told ret = told(world, guard);
        if (ret.seen.state == state && (!why || strstr(ret.why, why))) return ret;
        if (clock_monotonic(&clock_system) > until) fail_msg("%s: %s", guard_state_name(ret.seen.state), ret.why);
        nap();
    }
}

static size_t logged(const struct world *world, const char *event) {
    char text[65536];
    size_t count = 0;
    ssize_t len = pread(world->log.fd, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, event)); at += strlen(event))
        count++;
    return count;
}

static struct guards_stats stats(const struct world *world) {
    struct guards_stats ret;
    guards_stats(world->guards, &ret);
    return ret;
}

/* ---- stories ---- */

static void test_fine_and_bad(void **state) {
    const struct world *world = *state;
    char line[SERVER_LINE_SIZE];
    struct guard guard = guard_of(world, "rate(errors[5m]) / \"ä\" + 1");
    server_say(world->server, 200, NUMBER("4"));
    struct guard_told first = told(world, &guard);
    assert_int_equal(first.seen.state, GUARD_UNKNOWN);
    assert_true(isnan(first.seen.value));
    assert_string_equal(first.why, "the server was not asked yet");
    struct guard_told fine = wait_state(world, &guard, GUARD_FINE, NULL);
    assert_true(fine.seen.value == 4);
    assert_true(fine.seen.since >= first.seen.since);
    server_line(world->server, line);
    assert_string_equal(line,
                        "GET /prometheus/api/v1/query?query=rate%28errors%5B5m%5D%29%20%2F%20%22%C3%A4%22%20%2B%201 "
                        "HTTP/1.1");
    server_say(world->server, 200, NUMBER("6"));
    struct guard_told bad = wait_state(world, &guard, GUARD_BAD, NULL);
    assert_true(bad.seen.value == 6);
    assert_true(bad.seen.since > fine.seen.since);
    server_say(world->server, 200, NUMBER("7"));
    struct guard_told worse = bad;
    while (worse.seen.value != 7)
        worse = wait_state(world, &guard, GUARD_BAD, NULL);
    assert_int_equal(worse.seen.since, bad.seen.since);
    assert_int_equal(stats(world).failures, 0);
    assert_int_equal(logged(world, "guard_silent"), 0);
}

/* An answer without a number is no reason to go on, at once. */
static void test_nothing_known(void **state) {
    const struct world *world = *state;
    struct guard guard = guard_of(world, "up");
    server_say(world->server, 200, NUMBER("4"));
    wait_state(world, &guard, GUARD_FINE, NULL);
    server_say(world->server, 200, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}");
    wait_state(world, &guard, GUARD_UNKNOWN, "no series");
    server_say(world->server, 200, NUMBER("NaN"));
    wait_state(world, &guard, GUARD_UNKNOWN, "NaN");
    assert_int_equal(logged(world, "\"guard_silent\""), 1);
    server_say(world->server, 200, NUMBER("9"));
    wait_state(world, &guard, GUARD_BAD, NULL);
    assert_int_equal(logged(world, "\"guard_answers\""), 1);
}

/* Every kind of wrong: never a state but unknown, counted, told once, and over when it is right again. */
static void test_wrong_answers(void **state) {
    const struct world *world = *state;
    static const struct {
        int status;
        const char *body, *why;
    } wrongs[] = {
        {200, "<html>", "not JSON"},
        {500, "", "answered 500"},
        {302, "", "redirects are not followed"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":[1,\"1\"]}}", "a text"},
        {400, "{\"status\":\"error\",\"error\":\"parse error\"}", "answered 400: parse error"},
        {0, "", "http://127.0.0.1:"},
    };
    struct guard guard = guard_of(world, "up");
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        uint64_t failures = stats(world).failures;
        server_say(world->server, wrongs[i].status, wrongs[i].body);
        wait_state(world, &guard, GUARD_UNKNOWN, wrongs[i].why);
        assert_true(stats(world).failures > failures);
    }
    assert_int_equal(logged(world, "\"guard_silent\""), 1);
    server_say(world->server, 200, NUMBER("1"));
    wait_state(world, &guard, GUARD_FINE, NULL);
    assert_int_equal(logged(world, "\"guard_answers\""), 1);
}

static void test_huge_answer(void **state) {
    const struct world *world = *state;
    size_t size = 300000;
    char *huge = malloc(size + 1);
    assert_non_null(huge);
    memset(huge, ' ', size);
    memcpy(huge + size - strlen(NUMBER("1")), NUMBER("1"), strlen(NUMBER("1")) + 1);
    struct guard guard = guard_of(world, "up");
    server_say(world->server, 200, huge);
    free(huge);
    wait_state(world, &guard, GUARD_UNKNOWN, "too large");
}

/* An answer that fails to come changes nothing; silence that lasts does. */
static void test_silence(void **state) {
    const struct world *world = *state;
    struct guard guard = guard_of(world, "up");
    server_say(world->server, 200, NUMBER("6"));
    struct guard_told bad = wait_state(world, &guard, GUARD_BAD, NULL);
    server_say(world->server, 500, "");
    struct guard_told now = wait_state(world, &guard, GUARD_UNKNOWN, "answered 500");
    assert_true(now.seen.since - bad.seen.since >= 3 * EVERY_MS * 1000);
    assert_int_equal(logged(world, "\"guard_silent\""), 1);
}

static void test_not_allowed(void **state) {
    const struct world *world = *state;
    struct guard guard = guard_of(world, "up");
    guard.url = "http://127.0.0.1:1/";
    wait_state(world, &guard, GUARD_UNKNOWN, "may not send requests to http://127.0.0.1:1");
    assert_int_equal(server_asked(world->server), 0);
    struct guard good = guard_of(world, "up");
    server_say(world->server, 200, NUMBER("1"));
    wait_state(world, &good, GUARD_FINE, NULL);
    assert_int_equal(fetch_allow_set(world->allow, "", NULL), 0);
    wait_state(world, &good, GUARD_UNKNOWN, "may not send requests");
}

/* The same query with other conditions is asked once. */
static void test_shared(void **state) {
    const struct world *world = *state;
    struct guard guards[3] = {guard_of(world, "up"), guard_of(world, "up"), guard_of(world, "up")};
    struct guard_told seen[3];
    guards[1].threshold = 3;
    guards[2].compare = GUARD_LT;
    server_say(world->server, 200, NUMBER("4"));
    do {
        nap();
        world->source.look(world->source.ctx, guards, 3, seen);
    } while (seen[0].seen.state == GUARD_UNKNOWN);
    assert_int_equal(seen[0].seen.state, GUARD_FINE);
    assert_int_equal(seen[1].seen.state, GUARD_BAD);
    assert_int_equal(seen[2].seen.state, GUARD_BAD);
    assert_true(stats(world).queries <= (uint64_t)server_asked(world->server) + 1);
    struct guard late = guard_of(world, "up");
    late.compare = GUARD_EQ;
    late.threshold = 4;
    assert_int_equal(told(world, &late).seen.state, GUARD_UNKNOWN);
    wait_state(world, &late, GUARD_BAD, NULL);
}

/* A server that never answers takes some places, and others are asked all the same. */
static void test_a_dead_server_is_no_drag(void **state) {
    const struct world *world = *state;
    struct test_server *dead = server_start(false);
    char origins[160], dead_url[64], queries[40][16];
    (void)snprintf(dead_url, sizeof(dead_url), "http://127.0.0.1:%d", server_port(dead));
    (void)snprintf(origins, sizeof(origins), "%s http://127.0.0.1:%d", dead_url, server_port(world->server));
    assert_int_equal(fetch_allow_set(world->allow, origins, NULL), 0);
    server_say(dead, 0, "");
    server_say(world->server, 200, NUMBER("1"));
    struct guard lost = guard_of(world, "up"), good = guard_of(world, "up");
    lost.url = dead_url;
    for (int i = 0; i < 40; i++) {
        (void)snprintf(queries[i], sizeof(queries[i]), "up + %d", i);
        lost.query = queries[i];
        told(world, &lost);
    }
    wait_state(world, &good, GUARD_FINE, NULL);
    assert_true(server_asked(dead) <= 8 + 8 * (int)(stats(world).failures / 8 + 1));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(told(world, &good).seen.state, GUARD_FINE);
        nap();
    }
    server_stop(dead);
}

/* Nobody waits for an answer at the end. */
static void test_end_with_a_question_open(void **state) {
    struct world *world = *state;
    struct guard guard = guard_of(world, "up");
    guards_free(world->guards);
    struct guards_options options = {
        .clock = &clock_system, .log = &world->log, .allow = world->allow, .every_ms = 60000};
    assert_int_equal(guards_new(&options, &world->guards, NULL), 0);
    assert_int_equal(guards_start(world->guards, NULL), 0);
    world->source = guards_source(world->guards);
    server_say(world->server, 0, "");
    told(world, &guard);
    assert_true(server_wait_asked(world->server, 1));
    int64_t from = clock_monotonic(&clock_system);
    world->guards = guards_free(world->guards);
    assert_true(clock_monotonic(&clock_system) - from < PATIENCE_US);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fine_and_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_huge_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_dead_server_is_no_drag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_with_a_question_open, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
