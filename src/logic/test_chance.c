/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fractions are for, over many users: weights within chance, ramps in which nobody leaves, and flags that choose independently of one another. The seed is
 * printed; TEST_SEED repeats a run. Bounds are at about one run in a million.
 */
#include "logic/test_kit.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#ifdef SERIN_SANITIZED
#define USERS 50000
#else
#define USERS 1000000
#endif
#define FLAGS 20
#define ENTRIES 8

static uint64_t first_seed(void) {
    const char *given = getenv("TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20261128;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* The entry that a user gets; results are the numbers of the entries. */
static int entry_of(const struct logic_rule *rule, const char *flag, const char *key) {
    struct logic_member member = {SLICE_LIT("targetingKey"), logic_text(slice_of(key))};
    const struct logic_context context = {.data = {.type = LOGIC_OBJECT, .count = 1, .members = &member},
                                          .flag_key = slice_of(flag)};
    struct logic_scratch scratch;
    struct logic_value result;
    assert_int_equal(logic_evaluate(rule, &context, &scratch, NULL, &result), 0);
    assert_int_equal(result.type, LOGIC_NUMBER);
    return (int)result.number;
}

static struct logic_rule *rule_of(const uint32_t *weights, size_t count) {
    struct str text = STR_INIT;
    str_add_text(&text, "{\"fractional\":[");
    for (size_t i = 0; i < count; i++)
        str_printf(&text, "%s[%zu,%" PRIu32 "]", i ? "," : "", i, weights[i]);
    str_add_text(&text, "]}");
    struct logic_rule *rule = kit_compile(text.data);
    str_deinit(&text);
    return rule;
}

static double chi_square(const uint64_t *got, const uint32_t *weights, size_t count) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        total += weights[i];
    for (size_t i = 0; i < count; i++) {
        double expected = USERS * (weights[i] / total), off = (double)got[i] - expected;
        if (weights[i]) sum += off * off / expected;
        if (!weights[i]) assert_int_equal(got[i], 0);
    }
    return sum;
}

static void test_weights(void **state) {
    static const struct {
        size_t count;
        uint32_t weights[ENTRIES];
        double most; /* of as many degrees of freedom as there are entries less one */
    } rows[] = {{2, {20, 80}, 24},
                {5, {1, 5, 19, 25, 50}, 35},
                {8, {1, 2, 3, 5, 7, 11, 13, 17}, 42},
                {4, {0, 1000000, 0, 2000000000}, 24}};
    uint64_t seed = first_seed();
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        _cleanup_(logic_freep) struct logic_rule *rule = rule_of(rows[r].weights, rows[r].count);
        uint64_t got[ENTRIES] = {0};
        char flag[40], key[40];
        snprintf(flag, sizeof(flag), "flag-%" PRIu64 "-%zu", seed, r);
        for (int i = 0; i < USERS; i++) {
            snprintf(key, sizeof(key), "user-%d", i);
            got[entry_of(rule, flag, key)]++;
        }
        double sum = chi_square(got, rows[r].weights, rows[r].count);
        print_message("chi-square of %zu entries: %.1f\n", rows[r].count, sum);
        assert_true(sum < rows[r].most);
    }
}

/* Up from nobody to everybody nobody leaves, and finer weights move nobody. */
static void test_ramp(void **state) {
    enum { PEOPLE = 2000, ALL = 100 };
    static int came[PEOPLE];
    uint64_t seed = first_seed();
    for (uint32_t on = 0; on <= ALL; on++) {
        const uint32_t weights[] = {on, ALL - on}, finer[] = {on * 1000, (ALL - on) * 1000};
        _cleanup_(logic_freep) struct logic_rule *rule = rule_of(weights, 2), *same = rule_of(finer, 2);
        for (int i = 0; i < PEOPLE; i++) {
            char key[40];
            snprintf(key, sizeof(key), "%" PRIu64 "-%d", seed, i);
            bool is_on = entry_of(rule, "a-ramp", key) == 0;
            assert_int_equal(entry_of(same, "a-ramp", key) == 0, is_on);
            if (is_on && !came[i]) came[i] = (int)on;
            assert_int_equal(is_on, came[i] != 0);
        }
    }
    for (int i = 0; i < PEOPLE; i++)
        assert_int_not_equal(came[i], 0);
}

/* Chi-square of the table of two flags, one degree of freedom. */
static double dependence(uint64_t both, uint64_t one, uint64_t other) {
    double n = USERS, a = (double)both, b = (double)one - a, c = (double)other - a, d = n - a - b - c;
    return n * (a * d - b * c) * (a * d - b * c) / ((a + b) * (c + d) * (a + c) * (b + d));
}

static void test_flags_are_independent(void **state) {
    static const uint32_t half[] = {50, 50};
    static char flags[FLAGS][24];
    uint64_t both[FLAGS] = {0}, one[FLAGS] = {0}, seed = first_seed();
    _cleanup_(logic_freep) struct logic_rule *rule = rule_of(half, 2);
    for (size_t f = 0; f < FLAGS; f++)
        snprintf(flags[f], sizeof(flags[f]), "f%" PRIu64 "-%zu", seed % 100000, f);
    for (int i = 0; i < USERS; i++) {
        char key[40];
        snprintf(key, sizeof(key), "user-%d", i);
        bool on[FLAGS];
        for (size_t f = 0; f < FLAGS; f++) {
            on[f] = entry_of(rule, flags[f], key) == 0;
            one[f] += on[f];
            both[f] += f && on[f] && on[f - 1];
        }
    }
    double sum = 0;
    for (size_t f = 1; f < FLAGS; f++) {
        double pair = dependence(both[f], one[f], one[f - 1]);
        if (pair > 25) fail_msg("%s and %s: chi-square %.1f", flags[f - 1], flags[f], pair);
        sum += pair;
    }
    print_message("chi-square of %d pairs of flags: %.1f\n", FLAGS - 1, sum);
    assert_true(sum < 65); /* of 19 degrees of freedom */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_ramp),
        cmocka_unit_test(test_flags_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
