/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Prometheus, right and wrong, and what conditions make of their numbers. */
#include "base/ticker.h"
#include "controller/prometheus.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define VECTOR(samples)                                                                                                \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" samples "]},\"warnings\":[\"slow\"]}"
#define SERIES(number) "{\"metric\":{\"job\":\"a\"},\"value\":[1435781451.781,\"" number "\"]}"
#define SCALAR(number)                                                                                                 \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1435781451,\"" number "\"]}}"

static int read_text(int status, const char *text, struct prometheus_values *ret, struct err *err) {
    return prometheus_read(status, slice_of(text), ret, err);
}

static void test_numbers(void **state) {
    static const struct {
        const char *text;
        size_t count;
        double first;
    } cases[] = {
        {VECTOR(SERIES("0.25")), 1, 0.25},
        {VECTOR(SERIES("-3") "," SERIES("7")), 2, -3},
        {VECTOR(""), 0, 0},
        {VECTOR(SERIES("1e-05")), 1, 1e-05},
        {VECTOR(SERIES("+Inf")), 1, INFINITY},
        {VECTOR(SERIES("-Inf")), 1, -INFINITY},
        {SCALAR("12"), 1, 12},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prometheus_values values;
        struct err err = ERR_INIT;
        if (read_text(200, cases[i].text, &values, &err) < 0) fail_msg("%s: %s", cases[i].text, err.message);
        assert_int_equal(values.count, cases[i].count);
        if (values.count) assert_true(values.items[0] == cases[i].first);
        prometheus_values_deinit(&values);
    }
    struct prometheus_values values;
    assert_int_equal(read_text(200, SCALAR("NaN"), &values, NULL), 0);
    assert_true(isnan(values.items[0]));
    prometheus_values_deinit(&values);
}

static void test_no_numbers(void **state) {
    static const struct {
        int status;
        const char *text, *words;
    } cases[] = {
        {200, "", "not JSON"},
        {200, "<html>Welcome</html>", "not JSON"},
        {200, VECTOR(SERIES("1")) "x", "not JSON"},
        {200, "[1]", "answered 200"},
        {200, "{}", "answered 200"},
        {200, "{\"status\":\"success\"}", "not Prometheus'"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":5}}", "not Prometheus'"},
        {200, "{\"status\":\"error\",\"error\":\"too busy\"}", "too busy"},
        {400, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error at char 3\"}",
         "answered 400: parse error at char 3"},
        {500, "<html>", "answered 500"},
        {302, "", "answered 302, and redirects are not followed"},
        {201, VECTOR(SERIES("1")), "answered 201"},
        {200, VECTOR(SERIES("one")), "no number"},
        {200, VECTOR(SERIES("")), "no number"},
        {200, VECTOR(SERIES("Inf")), "no number"},
        {200, VECTOR(SERIES("nan")), "no number"},
        {200, VECTOR(SERIES("0x10")), "no number"},
        {200, VECTOR(SERIES("[1]")), "no number"},
        {200, VECTOR(SERIES("1") ",{\"metric\":{},\"histogram\":[1,{}]}"), "no number"},
        {200, VECTOR("{\"value\":[1,2]}"), "no number"},
        {200, VECTOR("{\"value\":[1,\"2\",3]}"), "no number"},
        {200, VECTOR("7"), "no number"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"string\",\"result\":[1,\"2\"]}}", "a text"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}", "a range"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[]}}", "no number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prometheus_values values;
        struct err err = ERR_INIT;
        if (read_text(cases[i].status, cases[i].text, &values, &err) != -ERR_UNAVAILABLE)
            fail_msg("%s is taken", cases[i].text);
        if (!strstr(err.message, cases[i].words)) fail_msg("%s: %s", cases[i].text, err.message);
        assert_null(values.items);
        assert_int_equal(values.count, 0);
    }
}

static void test_conditions(void **state) {
    static const struct {
        enum guard_compare compare;
        double threshold;
        double numbers[3];
        size_t count;
        enum guard_state expected;
        double value;
    } cases[] = {
        {GUARD_GT, 5, {5}, 1, GUARD_FINE, 5},
        {GUARD_GT, 5, {5.1}, 1, GUARD_BAD, 5.1},
        {GUARD_GE, 5, {5}, 1, GUARD_BAD, 5},
        {GUARD_LT, 5, {5}, 1, GUARD_FINE, 5},
        {GUARD_LT, 5, {4}, 1, GUARD_BAD, 4},
        {GUARD_LE, 5, {5}, 1, GUARD_BAD, 5},
        {GUARD_EQ, 5, {5}, 1, GUARD_BAD, 5},
        {GUARD_EQ, 5, {4}, 1, GUARD_FINE, 4},
        {GUARD_NE, 5, {4}, 1, GUARD_BAD, 4},
        {GUARD_NE, 5, {5}, 1, GUARD_FINE, 5},
        {GUARD_GT, 5, {INFINITY}, 1, GUARD_BAD, INFINITY},
        {GUARD_GT, 5, {-INFINITY}, 1, GUARD_FINE, -INFINITY},
        /* of several, the worst */
        {GUARD_GT, 5, {1, 9, 3}, 3, GUARD_BAD, 9},
        {GUARD_GT, 5, {1, 4, 3}, 3, GUARD_FINE, 4},
        {GUARD_LT, 5, {9, 1, 7}, 3, GUARD_BAD, 1},
        {GUARD_EQ, 5, {9, 5, 7}, 3, GUARD_BAD, 5},
        {GUARD_NE, 5, {5, 5, 7}, 3, GUARD_BAD, 7},
        /* nothing, and what is no number */
        {GUARD_GT, 5, {0}, 0, GUARD_UNKNOWN, NAN},
        {GUARD_GT, 5, {NAN}, 1, GUARD_UNKNOWN, NAN},
        {GUARD_NE, 5, {NAN}, 1, GUARD_UNKNOWN, NAN},
        {GUARD_GT, 5, {1, NAN}, 2, GUARD_UNKNOWN, NAN},
        {GUARD_GT, 5, {NAN, 9}, 2, GUARD_BAD, 9},
        {GUARD_GT, 5, {9, NAN, 1}, 3, GUARD_BAD, 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double numbers[3], value;
        memcpy(numbers, cases[i].numbers, sizeof(numbers));
        const struct guard guard = {.compare = cases[i].compare, .threshold = cases[i].threshold};
        const struct prometheus_values values = {.items = numbers, .count = cases[i].count};
        enum guard_state seen = guard_judge(&guard, &values, &value);
        if (seen != cases[i].expected) fail_msg("case %zu: %s", i, guard_state_name(seen));
        assert_true(isnan(cases[i].value) ? isnan(value) : value == cases[i].value);
    }
}

static void test_memory_ends(void **state) {
    for (size_t n = 1;; n++) {
        struct prometheus_values values;
        ticker_start(n);
        int r = read_text(200, VECTOR(SERIES("1") "," SERIES("NaN")), &values, NULL);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        prometheus_values_deinit(&values);
        if (!failed) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_no_numbers),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
