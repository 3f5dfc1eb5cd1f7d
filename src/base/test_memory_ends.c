/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the module fails once: no crash, no leak (the sanitizers look), the right error. */
#include "base/clock.h"
#include "base/json.h"
#include "base/jw.h"
#include "base/log.h"
#include "base/sm.h"
#include "base/ticker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT                                                                                                           \
    "{\"b\":[1,2.5,\"a text that is longer than the first room of a string, so that it must grow\"],"                  \
    "\"a\":{\"z\":null,\"y\":[[],{}],\"x\":[1,2,3,4,5,6,7,8,9,10]},\"c\":\"\\u00e4\"}"

static void walk(int (*scenario)(void), size_t at_least) {
    size_t failures = 0;
    for (size_t n = 1;; n++) {
        ticker_start(n);
        int r = scenario();
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
        failures++;
    }
    assert_true(failures >= at_least);
}

static int parse_scenario(void) {
    struct err err = ERR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;
    int r = json_parse(TEXT, strlen(TEXT), 8, &value, &err);
    if (r < 0) assert_int_equal(err.code, ERR_NO_MEMORY);
    return r;
}

static json_t *parsed;

static int canonical_scenario(void) {
    struct str out = STR_INIT;
    struct err err = ERR_INIT;
    int r = json_canonical(parsed, &out, &err);
    if (r < 0) assert_int_equal(err.code, ERR_NO_MEMORY);
    str_deinit(&out);
    return r;
}

static int pretty_scenario(void) {
    struct str out = STR_INIT;
    int r = json_pretty(parsed, 2, true, &out);
    str_deinit(&out);
    return r;
}

static int jw_scenario(void) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_array(&jw, NULL);
    for (int i = 0; i < 100; i++)
        jw_printf(&jw, NULL, "text %d", i);
    jw_end_array(&jw);
    char *text = str_take(&out);
    int r = text ? 0 : -ERR_NO_MEMORY;
    free(text);
    return r;
}

static int arena_scenario(void) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    for (size_t i = 0; i < 500; i++)
        if (!arena_printf(&arena, "piece %zu", i)) return -ERR_NO_MEMORY;
    return arena_alloc(&arena, 1 << 20) ? 0 : -ERR_NO_MEMORY;
}

static int faults_scenario(void) {
    struct faults faults = FAULTS_INIT;
    for (int i = 0; i < 100; i++)
        faults_add(&faults, "/a", "fault %d", i);
    int r = faults.failed ? -ERR_NO_MEMORY : 0;
    assert_int_equal(faults.errors, 100);
    faults_deinit(&faults);
    return r;
}

static int sm_scenario(void) {
    static const char *const states[] = {"open", "closed"};
    static const struct sm_move moves[] = {{0, 1, "close"}};
    const struct sm sm = {"a door", states, 2, moves, 1};
    int r = sm_check(&sm, 0, 0, NULL);
    return r == -ERR_CONFLICT ? 0 : r;
}

static void test_every_allocation(void **state) {
    walk(parse_scenario, 20);
    assert_int_equal(json_parse(TEXT, strlen(TEXT), 8, &parsed, NULL), 0);
    walk(canonical_scenario, 4);
    walk(pretty_scenario, 4);
    json_decref(parsed);
    walk(jw_scenario, 5);
    walk(arena_scenario, 4);
    walk(faults_scenario, 4);
    walk(sm_scenario, 1);
}

static json_t *at_root;

static int at_scenario(void) {
    return json_at(at_root, "/a/y/1") ? 0 : -ERR_NO_MEMORY;
}

static void test_pointer(void **state) {
    assert_int_equal(json_parse(TEXT, strlen(TEXT), 8, &at_root, NULL), 0);
    walk(at_scenario, 1);
    json_decref(at_root);
}

/* A refused number is told even when there is no memory for its place. */
static void test_refusal_without_memory(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(json_parse("[9007199254740993,1e17]", 23, 8, &value, NULL), 0);
    for (size_t n = 1;; n++) {
        struct str out = STR_INIT;
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = json_canonical(value, &out, &err);
        bool failed = ticker_stop();
        assert_true(r == -ERR_INVALID || (failed && r == -ERR_NO_MEMORY));
        str_deinit(&out);
        if (!failed) break;
    }
}

static void test_log_tells_of_lost_lines(void **state) {
    struct clock clock;
    clock_fake_init(&clock, 0);
    for (size_t n = 1;; n++) {
        int ends[2];
        char text[512] = "";
        assert_int_equal(pipe(ends), 0);
        struct log log = {.fd = ends[1], .json = n % 2, .clock = &clock};
        ticker_start(n);
        log_write(&log, LOG_STARTING, "starting", "store", "sqlite", NULL);
        bool failed = ticker_stop();
        assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(strstr(text, "lost: out of memory") != NULL, failed);
        if (!failed) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_refusal_without_memory),
        cmocka_unit_test(test_log_tells_of_lost_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
