/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/test_kit.h"
#include "analysis/units.h"
#include "base/ticker.h"

static void put(struct units *units, uint64_t key) {
    struct unit *unit;
    int r = units_put(units, key, &unit);
    assert_true(r == 0 || r == UNITS_NOT_ELIGIBLE);
    if (r == 0) unit->was_stable = 1;
}

static void assert_same(const struct units *a, const struct units *b) {
    struct unit *x = units_sorted(a), *y = units_sorted(b);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->level, b->level);
    if (a->count) assert_memory_equal(x, y, a->count * sizeof(*x));
    free(x);
    free(y);
}

static void test_put_and_find(void **state) {
    struct units units = UNITS_INIT;
    struct dice dice = {3}, again = {3};
    assert_null(units_find(&units, 5));
    for (int i = 0; i < 50000; i++) {
        struct unit *unit;
        assert_int_equal(units_put(&units, dice_next(&dice), &unit), 0);
        unit->was_candidate = 1;
        unit->in_rollout = (unsigned)i & 0xfff;
    }
    assert_int_equal(units.count, 50000);
    for (int i = 0; i < 50000; i++) {
        struct unit *unit;
        uint64_t key = dice_next(&again);
        assert_int_equal(units_put(&units, key, &unit), 0);
        assert_true(unit->key == key && unit->in_rollout == ((unsigned)i & 0xfff));
        assert_ptr_equal(units_find(&units, key), unit);
    }
    assert_int_equal(units.count, 50000);
    units_deinit(&units);
}

/* Keys 0 and its neighbours are units like any other. */
static void test_small_keys(void **state) {
    struct units units = UNITS_INIT;
    for (uint64_t key = 0; key < 100; key++)
        put(&units, key);
    assert_int_equal(units.count, 100);
    for (uint64_t key = 0; key < 100; key++)
        assert_non_null(units_find(&units, key));
    assert_null(units_find(&units, 100));
    units_deinit(&units);
}

static void test_sorted(void **state) {
    struct units units = UNITS_INIT;
    struct dice dice = {4};
    for (int i = 0; i < 1000; i++)
        put(&units, dice_next(&dice));
    struct unit *sorted = units_sorted(&units);
    for (size_t i = 1; i < units.count; i++)
        assert_true(sorted[i - 1].key < sorted[i].key);
    free(sorted);
    units_deinit(&units);
    assert_null(units_sorted(&units));
}

/* Thinning keeps just the eligible ones, all of them, and each halving halves. */
static void test_thin(void **state) {
    struct units units = UNITS_INIT;
    struct dice dice = {5}, again = {5};
    for (int i = 0; i < 40000; i++)
        put(&units, dice_next(&dice));
    units_thin(&units, 2);
    assert_true(units.count > 9500 && units.count < 10500);
    for (int i = 0; i < 40000; i++) {
        uint64_t key = dice_next(&again);
        assert_int_equal(units_find(&units, key) != NULL, units_eligible(&units, key));
    }
    units_thin(&units, 500);
    assert_int_equal(units.level, UNITS_LEVEL_MAX);
    assert_int_equal(units.count, 0);
    units_deinit(&units);
}

/* Whatever the keys look like: numbers in a row, all even, all in high bits. Else who counts would depend on how keys are made, and perhaps on the arm. */
static void test_thin_is_fair_to_keys(void **state) {
    for (unsigned shift = 0; shift <= 40; shift += 10) {
        struct units units = UNITS_INIT;
        for (uint64_t i = 0; i < 20000; i++)
            put(&units, i << shift);
        units_thin(&units, 1);
        assert_in_range(units.count, 9600, 10400);
        units_deinit(&units);
    }
}

/* However many come, memory is bounded, and what is kept is a fair half of a half. */
static void test_bound(void **state) {
    struct units units = UNITS_INIT;
    struct dice dice = {6};
    size_t refused = 0, count = 3 * UNITS_MAX;
    for (size_t i = 0; i < count; i++) {
        struct unit *unit;
        int r = units_put(&units, dice_next(&dice), &unit);
        refused += r == UNITS_NOT_ELIGIBLE;
        if (r == 0) unit->was_stable = 1;
        assert_true(units.count <= UNITS_MAX);
    }
    assert_int_equal(units.level, 2);
    assert_int_equal((size_t)1 << units.log2_slots, 2 * UNITS_MAX);
    assert_true(fabs((double)units.count / (double)count - 0.25) < 0.005);
    assert_true(refused > count / 4);
    units_deinit(&units);
}

/* Small sets stay small. */
static void test_small(void **state) {
    struct units units = UNITS_INIT;
    assert_null(units.slots);
    for (uint64_t key = 0; key < 48; key++)
        put(&units, key);
    assert_int_equal(sizeof(struct unit) << units.log2_slots, 1024);
    units_deinit(&units);
}

static void fill(struct units *units, uint64_t seed, size_t count) {
    struct dice dice = {seed};
    for (size_t i = 0; i < count; i++)
        put(units, dice_next(&dice));
}

static void test_merge(void **state) {
    for (int big = 0; big < 2; big++) {
        size_t each = big ? UNITS_MAX / 2 + 40000 : 700;
        struct units a = UNITS_INIT, b = UNITS_INIT, c = UNITS_INIT, other = UNITS_INIT;
        fill(&a, 100, each);
        fill(&b, 200, each);
        fill(&c, 300, each);
        fill(&other, 200, each);
        assert_int_equal(units_merge(&a, &b), 0); /* (a + b) + c */
        assert_int_equal(units_merge(&a, &c), 0);
        assert_int_equal(units_merge(&c, &other), 0); /* (c + b) + a */
        struct units first = UNITS_INIT;
        fill(&first, 100, each);
        assert_int_equal(units_merge(&c, &first), 0);
        assert_same(&a, &c);
        assert_true(a.count <= UNITS_MAX && a.level == (big ? 1 : 0));
        units_deinit(&a);
        units_deinit(&b);
        units_deinit(&c);
        units_deinit(&other);
        units_deinit(&first);
    }
}

static void test_merge_of_nothing(void **state) {
    struct units a = UNITS_INIT, b = UNITS_INIT;
    assert_int_equal(units_merge(&a, &b), 0);
    put(&b, 7);
    assert_int_equal(units_merge(&a, &b), 0);
    assert_int_equal(a.count, 1);
    assert_int_equal(units_merge(&a, &b), UNITS_SHARED);
    assert_int_equal(a.count, 1);
    units_deinit(&a);
    units_deinit(&b);
}

static void test_memory_ends(void **state) {
    struct units units = UNITS_INIT, more = UNITS_INIT;
    struct unit *unit;
    ticker_start(1);
    assert_int_equal(units_put(&units, 1, &unit), -ERR_NO_MEMORY);
    assert_true(ticker_stop() && units.count == 0);
    fill(&units, 9, 48);
    fill(&more, 10, 60);
    ticker_start(1);
    assert_int_equal(units_put(&units, 1, &unit), -ERR_NO_MEMORY);
    assert_true(ticker_stop() && units.count == 48);
    ticker_start(1);
    assert_int_equal(units_merge(&units, &more), -ERR_NO_MEMORY);
    assert_true(ticker_stop() && units.count == 48);
    ticker_start(1);
    assert_null(units_sorted(&units));
    assert_true(ticker_stop());
    units_deinit(&units);
    units_deinit(&more);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_find),
        cmocka_unit_test(test_small_keys),
        cmocka_unit_test(test_sorted),
        cmocka_unit_test(test_thin),
        cmocka_unit_test(test_thin_is_fair_to_keys),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_of_nothing),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
