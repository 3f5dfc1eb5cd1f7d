/* SPDX-License-Identifier: Apache-2.0 */
#include "api/quota.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define SECOND 1000000
#define KEYS 1000
#define THREADS 4
#define ASKED 20000 /* by each thread */

static struct clock test_clock;
static struct quota *quota;
static pthread_barrier_t begun;

static int setup(void **state) {
    clock_fake_init(&test_clock, 0);
    return quota_new(&test_clock, 10, &quota, NULL);
}

static int teardown(void **state) {
    quota = quota_free(quota);
    return 0;
}

/* How many of `count` requests one after the other are let through. */
static int taken(const char *key, int count) {
    int passed = 0;
    for (int i = 0; i < count; i++)
        passed += quota_take(quota, key);
    return passed;
}

static void test_a_burst_is_one_second(void **state) {
    assert_int_equal(taken("a", 100), 10);
    clock_fake_advance(&test_clock, 3600 * (int64_t)SECOND);
    assert_int_equal(taken("a", 100), 10);
}

static void test_it_fills_again_steadily(void **state) {
    assert_int_equal(taken("a", 20), 10);
    clock_fake_advance(&test_clock, SECOND / 10 - 1);
    assert_int_equal(taken("a", 20), 0);
    clock_fake_advance(&test_clock, 1);
    assert_int_equal(taken("a", 20), 1);
    clock_fake_advance(&test_clock, SECOND / 2);
    assert_int_equal(taken("a", 20), 5);
    int passed = 0;
    for (int i = 0; i < 1000; i++) { /* ten seconds */
        clock_fake_advance(&test_clock, SECOND / 100);
        passed += taken("a", 3);
    }
    assert_int_equal(passed, 100);
}

static void test_what_is_refused_costs_nothing(void **state) {
    assert_int_equal(taken("a", 100000), 10);
    clock_fake_advance(&test_clock, SECOND / 10);
    assert_int_equal(taken("a", 2), 1);
}

/* Shapes of limits that do not divide a second evenly. */
static void test_any_limit_is_met(void **state) {
    static const unsigned limits[] = {1, 2, 3, 7, 64, 999, 20000, 333333, QUOTA_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        quota_set(quota, limits[i]);
        assert_int_equal(quota_limit(quota), limits[i]);
        clock_fake_advance(&test_clock, 2 * SECOND);
        assert_in_range(taken("a", 2 * (int)limits[i] + 1), limits[i], limits[i] + limits[i] / 1000);
    }
}

static void test_each_key_has_its_own(void **state) {
    char key[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < KEYS; i++) {
            snprintf(key, sizeof(key), "%016x", (unsigned)i * 2654435761u);
            assert_int_equal(taken(key, 11), 10);
        }
        clock_fake_advance(&test_clock, SECOND);
    }
}

/* More keys than there are buckets, all over: those that are idle give theirs up. */
static void test_idle_keys_need_no_bucket(void **state) {
    char key[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        assert_true(quota_take(quota, key));
        if (i % KEYS == 0) clock_fake_advance(&test_clock, SECOND);
    }
}

static void test_too_many_busy_keys_share(void **state) {
    char key[32];
    int passed = 0;
    quota_set(quota, 1);
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        passed += quota_take(quota, key);
    }
    assert_in_range(passed, 10000, 20000);
    clock_fake_advance(&test_clock, SECOND);
    assert_true(quota_take(quota, "0"));
}

static void test_no_limit(void **state) {
    quota_set(quota, 0);
    assert_int_equal(taken("a", 100000), 100000);
    quota_set(quota, 10); /* what was asked without one is not held against the key */
    assert_int_equal(taken("a", 100), 10);
    quota_set(quota, 20); /* half of a second is used up as before */
    assert_int_equal(taken("a", 100), 0);
    clock_fake_advance(&test_clock, SECOND / 2);
    assert_int_equal(taken("a", 100), 10);
}

static void *ask(void *ctx) {
    const char *const *keys = ctx;
    intptr_t passed = 0;
    pthread_barrier_wait(&begun);
    for (int i = 0; i < ASKED; i++)
        passed += quota_take(quota, keys[i % 2]);
    return (void *)passed;
}

/* Together the threads get what one would. */
static void test_threads_share_exactly(void **state) {
    static const char *const keys[] = {"a", "b"};
    pthread_t threads[THREADS];
    quota_set(quota, 10000);
    assert_int_equal(pthread_barrier_init(&begun, NULL, THREADS), 0);
    for (int round = 0; round < 20; round++) {
        intptr_t passed = 0;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, ask, (void *)(uintptr_t)keys), 0);
        for (int i = 0; i < THREADS; i++) {
            void *one;
            pthread_join(threads[i], &one);
            passed += (intptr_t)one;
        }
        assert_int_equal(passed, 2 * 10000);
        clock_fake_advance(&test_clock, SECOND);
    }
    pthread_barrier_destroy(&begun);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_burst_is_one_second, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_fills_again_steadily, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_refused_costs_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_limit_is_met, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_key_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_keys_need_no_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_busy_keys_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_share_exactly, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
