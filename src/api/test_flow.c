/* SPDX-License-Identifier: Apache-2.0 */
#include "api/flow.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROLLOUTS 500
#define THREADS 4

static struct flow *flow;

static int setup(void **state) {
    return flow_new(&flow, NULL);
}

static int teardown(void **state) {
    flow = flow_free(flow);
    return 0;
}

static void assert_last(int64_t rollout, int64_t stable, int64_t candidate) {
    int64_t last[2];
    flow_last(flow, rollout, last);
    assert_int_equal(last[0], stable);
    assert_int_equal(last[1], candidate);
}

static void test_each_arm_has_its_own(void **state) {
    assert_last(7, 0, 0);
    flow_note(flow, 7, false, 100);
    assert_last(7, 100, 0);
    flow_note(flow, 7, true, 101);
    flow_note(flow, 7, true, 102);
    assert_last(7, 100, 102);
    assert_last(8, 0, 0);
}

static void test_what_is_over_is_forgotten(void **state) {
    flow_note(flow, 7, true, 100);
    flow_note(flow, 8, true, 200);
    flow_forget(flow, 7);
    flow_forget(flow, 7);
    assert_last(7, 0, 0);
    assert_last(8, 0, 200);
    flow_note(flow, 7, false, 300);
    assert_last(7, 300, 0);
}

/* More rollouts than there is room for, one after the other: each finds a place that another has left. */
static void test_places_are_used_again(void **state) {
    for (int64_t rollout = 1; rollout <= 3 * (int64_t)FLOW_ROLLOUTS; rollout++) {
        flow_note(flow, rollout, true, rollout);
        assert_last(rollout, 0, rollout);
        flow_forget(flow, rollout);
    }
}

/* No room: nothing is known of those that found none, and nothing false of any. */
static void test_too_many(void **state) {
    int64_t known = 0, last[2];
    for (int64_t rollout = 1; rollout <= 2 * (int64_t)FLOW_ROLLOUTS; rollout++)
        flow_note(flow, rollout, true, rollout);
    for (int64_t rollout = 1; rollout <= 2 * (int64_t)FLOW_ROLLOUTS; rollout++) {
        flow_last(flow, rollout, last);
        assert_true(last[0] == 0 && (last[1] == 0 || last[1] == rollout));
        known += last[1] != 0;
    }
    assert_in_range(known, FLOW_ROLLOUTS / 2, FLOW_ROLLOUTS);
}

static void *note_all(void *arg) {
    int64_t second = (int64_t)(intptr_t)arg;
    for (int64_t rollout = 1; rollout <= ROLLOUTS; rollout++) {
        flow_note(flow, rollout, rollout % 2, second);
        flow_note(flow, rollout, rollout % 2, second);
    }
    return NULL;
}

static void test_threads(void **state) {
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_all, (void *)(i + 1)), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    note_all((void *)(intptr_t)9);
    for (int64_t rollout = 1; rollout <= ROLLOUTS; rollout++)
        assert_last(rollout, rollout % 2 ? 0 : 9, rollout % 2 ? 9 : 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_arm_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_over_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_are_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
