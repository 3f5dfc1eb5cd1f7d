/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_in_order(void **state) {
    struct window window = {0};
    for (int64_t batch = 1; batch <= 3000; batch++)
        assert_int_equal(window_take(&window, batch), WINDOW_NEW);
    assert_true(window.low == 3000 && window.count == 0 && window.gap == 0);
    assert_int_equal(window_take(&window, 1), WINDOW_TAKEN);
    assert_int_equal(window_take(&window, 3000), WINDOW_TAKEN);
}

static void test_gaps_close(void **state) {
    struct window window = {0};
    assert_int_equal(window_take(&window, 3), WINDOW_NEW);
    assert_int_equal(window_take(&window, 3), WINDOW_TAKEN);
    assert_int_equal(window_take(&window, 5), WINDOW_NEW);
    assert_int_equal(window_take(&window, 1), WINDOW_NEW);
    assert_int_equal(window.low, 1);
    assert_int_equal(window_take(&window, 2), WINDOW_NEW);
    assert_true(window.low == 3 && window.count == 1);
    assert_int_equal(window_take(&window, 4), WINDOW_NEW);
    assert_true(window.low == 5 && window.count == 0);
}

static void test_a_gap_is_given_up_and_said(void **state) {
    struct window window = {0};
    for (int64_t batch = 2; batch <= WINDOW_MAX + 1; batch++)
        assert_int_equal(window_take(&window, batch), WINDOW_NEW);
    assert_true(window.count == WINDOW_MAX && window.gap == 0);
    assert_int_equal(window_take(&window, WINDOW_MAX + 3), WINDOW_NEW);
    assert_int_equal(window.gap, 1);
    assert_int_equal(window.low, WINDOW_MAX + 1);
    assert_int_equal(window_take(&window, 1), WINDOW_TOO_OLD);
    assert_int_equal(window_take(&window, 2), WINDOW_TAKEN);
    assert_int_equal(window_take(&window, WINDOW_MAX + 2), WINDOW_NEW);
    assert_int_equal(window.low, WINDOW_MAX + 3);
}

static void test_full_and_before_all(void **state) {
    struct window window = {0};
    for (int64_t i = 0; i < WINDOW_MAX; i++)
        assert_int_equal(window_take(&window, 10 + 2 * i), WINDOW_NEW);
    assert_int_equal(window_take(&window, 5), WINDOW_NEW);
    assert_true(window.gap == 4 && window.low == 5);
    assert_int_equal(window_take(&window, 4), WINDOW_TOO_OLD);
    assert_int_equal(window_take(&window, 5), WINDOW_TAKEN);
    assert_int_equal(window_take(&window, 10), WINDOW_TAKEN);
}

/* Against a table of all numbers: never twice new; what is not new was taken, or lies in a gap that was given up. */
static void test_against_a_table(void **state) {
    enum { NUMBERS = 20000 };
    static bool taken[NUMBERS + 1];
    unsigned seed = 7;
    for (int round = 0; round < 20; round++) {
        struct window window = {0}, again;
        memset(taken, 0, sizeof(taken));
        int64_t base = 0;
        size_t lost = 0;
        for (int i = 0; i < 30000; i++) {
            if (rand_r(&seed) % 3 == 0 && base < NUMBERS - 3000) base++;
            int64_t batch = 1 + base + rand_r(&seed) % (round % 2 ? 1500 : 300);
            enum window_answer answer = window_take(&window, batch);
            if (answer == WINDOW_NEW) assert_false(taken[batch]);
            if (answer == WINDOW_TAKEN) assert_true(taken[batch]);
            if (answer == WINDOW_TOO_OLD) assert_true(batch <= window.gap);
            lost += answer == WINDOW_TOO_OLD && !taken[batch];
            taken[batch] = taken[batch] || answer == WINDOW_NEW;
            assert_true(window.count <= WINDOW_MAX && window.gap <= window.low);
        }
        _cleanup_(str_deinit) struct str bytes = STR_INIT;
        window_pack(&window, &bytes);
        again.low = window.low;
        again.gap = window.gap;
        assert_true(window_unpack(&again, str_slice(&bytes)));
        assert_int_equal(again.count, window.count);
        assert_memory_equal(again.above, window.above, window.count * sizeof(window.above[0]));
        if (round % 2 == 0) assert_int_equal(lost, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_gaps_close),
        cmocka_unit_test(test_a_gap_is_given_up_and_said),
        cmocka_unit_test(test_full_and_before_all),
        cmocka_unit_test(test_against_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
