/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DAY TALLY_KEPT

static struct tally *tally;

static int setup(void **state) {
    return tally_new(&tally, NULL);
}

static int teardown(void **state) {
    tally = tally_free(tally);
    return 0;
}

static void add(unsigned agent, int64_t version, enum outcome_arm arm, const struct outcome *outcome) {
    char name[32];
    int len = snprintf(name, sizeof(name), "agent-%05u", agent);
    const struct outcome_place place = {
        .agent = {name, (size_t)len}, .environment = SLICE_LIT("live"), .version = version};
    tally_begin(tally);
    tally_add(tally_find(tally, &place, arm), outcome);
    tally_end(tally);
}

static const struct outcome fine = {.has = OUTCOME_HAS(OK), .ok = true};

static int show(void *ctx, const struct tally_series *series) {
    static const char *const arms[] = {"none", "stable", "candidate"};
    str_printf(ctx, "%s/%s@%lld %s %llu+%llu\n", series->environment, series->agent, (long long)series->version,
               arms[series->arm], (unsigned long long)series->ok, (unsigned long long)series->failed);
    return 0;
}

static void assert_series(const char *expected) {
    struct str text = STR_INIT;
    assert_int_equal(tally_each(tally, show, &text), 0);
    assert_string_equal(text.data ? text.data : "", expected);
    str_deinit(&text);
}

static int copy_one(void *ctx, const struct tally_series *series) {
    *(struct tally_series *)ctx = *series;
    return 0;
}

static void test_what_is_added(void **state) {
    const struct outcome failed = {.has = OUTCOME_HAS(OK) | OUTCOME_HAS(LATENCY) | OUTCOME_HAS(COST) |
                                          OUTCOME_HAS(INPUT_TOKENS),
                                   .latency_ms = 2600,
                                   .cost_usd = 0.25,
                                   .input_tokens = 7};
    const struct outcome late = {.has = OUTCOME_HAS(FEEDBACK), .feedback_up = true};
    const struct outcome exact = {
        .has = OUTCOME_HAS(OK) | OUTCOME_HAS(LATENCY), .ok = true, .latency_ms = 250, .output_tokens = 3};
    const struct outcome forever = {.has = OUTCOME_HAS(LATENCY), .latency_ms = 1e7};
    struct tally_series seen;
    add(1, 1, ARM_STABLE, &failed);
    add(1, 1, ARM_STABLE, &late);
    add(1, 1, ARM_STABLE, &exact);
    add(1, 1, ARM_STABLE, &forever);
    assert_int_equal(tally_each(tally, copy_one, &seen), 0);
    assert_int_equal(seen.ok, 1);
    assert_int_equal(seen.failed, 1);
    for (size_t i = 0; i <= TALLY_BUCKETS; i++)
        assert_int_equal(seen.latencies[i], i == 1 || i == 5 || i == TALLY_BUCKETS); /* 0.25: its end belongs to it */
    assert_true(seen.latency_s == 2.6 + 0.25 + 1e4);
    assert_true(seen.cost_usd == 0.25);
    assert_int_equal(seen.input_tokens, 7);
    assert_int_equal(seen.output_tokens, 3);
}

static void test_each_has_its_own(void **state) {
    add(2, 1, ARM_UNKNOWN, &fine);
    add(1, 12, ARM_CANDIDATE, &fine);
    add(1, 12, ARM_STABLE, &fine);
    add(1, 2, ARM_STABLE, &fine);
    add(1, 12, ARM_CANDIDATE, &fine);
    assert_series("live/agent-00001@2 stable 1+0\nlive/agent-00001@12 stable 1+0\n"
                  "live/agent-00001@12 candidate 2+0\nlive/agent-00002@1 none 1+0\n");
    assert_int_equal(tally_left_out(tally), 0);
}

static bool serves_version_1(void *ctx, const struct tally_series *series) {
    return series->version == 1;
}

static void test_series_go_a_day_after_they_were_served(void **state) {
    for (int64_t version = 1; version <= 3; version++)
        add(1, version, ARM_STABLE, &fine);
    tally_sweep(tally, 100, serves_version_1, NULL);
    add(1, 3, ARM_STABLE, &fine);
    tally_sweep(tally, 101, serves_version_1, NULL);
    tally_sweep(tally, 99 + DAY, serves_version_1, NULL);
    assert_series("live/agent-00001@1 stable 1+0\nlive/agent-00001@2 stable 1+0\nlive/agent-00001@3 stable 2+0\n");
    tally_sweep(tally, 100 + DAY, serves_version_1, NULL);
    assert_series("live/agent-00001@1 stable 1+0\nlive/agent-00001@3 stable 2+0\n");
    add(1, 3, ARM_STABLE, &fine);
    add(1, 2, ARM_STABLE, &fine);
    assert_series("live/agent-00001@1 stable 1+0\nlive/agent-00001@2 stable 1+0\nlive/agent-00001@3 stable 3+0\n");
}

static int count_one(void *ctx, const struct tally_series *series) {
    ++*(size_t *)ctx;
    assert_int_equal(series->ok, 2);
    return 0;
}

static void test_too_many(void **state) {
    size_t count = 0;
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < TALLY_SERIES_MAX + 10; i++)
            add(i, 2, ARM_STABLE, &fine);
    assert_int_equal(tally_each(tally, count_one, &count), 0);
    assert_int_equal(count, TALLY_SERIES_MAX);
    assert_int_equal(tally_left_out(tally), 20);
    tally_sweep(tally, 1, serves_version_1, NULL);
    tally_sweep(tally, 1 + DAY, serves_version_1, NULL);
    add(TALLY_SERIES_MAX + 5, 2, ARM_STABLE, &fine);
    assert_series("live/agent-08197@2 stable 1+0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_series_go_a_day_after_they_were_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
