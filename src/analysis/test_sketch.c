/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/sketch.h"
#include "analysis/test_kit.h"

static struct sketch *sketch_of(const double *values, size_t count) {
    struct sketch *sketch = calloc(1, sizeof(*sketch));
    assert_non_null(sketch);
    for (size_t i = 0; i < count; i++)
        sketch_add(sketch, sketch_place(values[i]));
    return sketch;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against the sorted values themselves. */
static void test_quantiles(void **state) {
    enum { COUNT = 5000 };
    static double values[COUNT];
    struct dice dice = dice_of_test("quantiles", 1);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = dice_lognormal(&dice, 500, 1.5);
    struct sketch *sketch = sketch_of(values, COUNT);
    qsort(values, COUNT, sizeof(values[0]), by_value);
    for (double q = 0.001; q < 1; q += 0.001) {
        double exact = values[(size_t)ceil(q * COUNT) - 1];
        assert_true(fabs(sketch_quantile(sketch, q) - exact) <= (SKETCH_ERROR + 1e-9) * exact);
    }
    double sum = 0;
    for (size_t i = 0; i < COUNT; i++)
        sum += values[i];
    assert_true(fabs(sketch_mean(sketch) * COUNT / sum - 1) <= SKETCH_ERROR);
    free(sketch);
}

static void test_places(void **state) {
    assert_int_equal(sketch_place(0), 0);
    assert_int_equal(sketch_place(1e-300), 1);
    assert_int_equal(sketch_place(1e300), SKETCH_PLACES - 1);
    assert_true(sketch_place(NAN) < SKETCH_PLACES && sketch_place(INFINITY) == SKETCH_PLACES - 1);
    assert_int_equal(sketch_place(-5), 0);
    assert_true(sketch_value(0) == 0);
    size_t last = 0;
    for (double x = 1e-6; x < 1e9; x *= 1.003) {
        size_t place = sketch_place(x);
        assert_true(place >= last && place <= last + 1000);
        assert_true(fabs(sketch_value(place) - x) <= (SKETCH_ERROR + 1e-9) * x);
        assert_int_equal(sketch_place_of_log(log(x)), place);
        last = place;
    }
    for (size_t place = 1; place < SKETCH_PLACES; place++)
        assert_int_equal(sketch_place(sketch_value(place)), place);
}

static void test_merge(void **state) {
    double values[300];
    struct dice dice = dice_of_test("merge", 2);
    for (size_t i = 0; i < 300; i++)
        values[i] = i % 17 ? dice_lognormal(&dice, 3, 2) : 0;
    struct sketch *whole = sketch_of(values, 300), *a = sketch_of(values, 100), *b = sketch_of(values + 100, 200);
    struct sketch *ab = sketch_of(values, 100);
    sketch_merge(ab, b);
    sketch_merge(b, a);
    assert_memory_equal(ab, whole, sizeof(*whole));
    assert_memory_equal(b, whole, sizeof(*whole));
    free(whole);
    free(a);
    free(b);
    free(ab);
}

static void test_ranks(void **state) {
    static double ranks[SKETCH_PLACES];
    double values[] = {0, 0, 1, 1, 5, 5, 5, 90};
    struct sketch *sketch = sketch_of(values, 8);
    sketch_ranks(sketch, ranks);
    assert_true(ranks[0] == 1.0 / 8 && ranks[sketch_place(1)] == 3.0 / 8);
    assert_true(ranks[sketch_place(5)] == 5.5 / 8 && ranks[sketch_place(90)] == 7.5 / 8);
    assert_true(ranks[sketch_place(2)] == 4.0 / 8 && ranks[SKETCH_PLACES - 1] == 1);
    double mean = 0; /* of stable's own ranks: one half, exactly */
    for (size_t i = 0; i < 8; i++)
        mean += ranks[sketch_place(values[i])] / 8;
    assert_true(fabs(mean - 0.5) < 1e-15);
    assert_int_equal(sketch_above(sketch, sketch_place(1)), 4);
    assert_int_equal(sketch_above(sketch, 0), 6);
    assert_int_equal(sketch_above(sketch, SKETCH_PLACES - 1), 0);
    free(sketch);
}

static void test_empty(void **state) {
    static double ranks[SKETCH_PLACES];
    struct sketch *sketch = sketch_of(NULL, 0);
    sketch_ranks(sketch, ranks);
    assert_true(isnan(sketch_quantile(sketch, 0.5)) && isnan(sketch_mean(sketch)));
    assert_true(ranks[0] == 0.5 && ranks[700] == 0.5);
    assert_int_equal(sketch_quantile_place(sketch, 0.99), 0);
    free(sketch);
}

static void test_one_value(void **state) {
    struct sketch *sketch = sketch_of((const double[]){42}, 1);
    for (double q = 0; q <= 1; q += 0.25)
        assert_int_equal(sketch_quantile_place(sketch, q), sketch_place(42));
    free(sketch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles), cmocka_unit_test(test_places), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_ranks),     cmocka_unit_test(test_empty),  cmocka_unit_test(test_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
