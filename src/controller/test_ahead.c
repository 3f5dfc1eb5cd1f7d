/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's steps by traffic, against the simulated tables of the design page "analysis" (sections 2, 6 and 8). */
#include "controller/test_kit.h"

#define DAY (24 * HOUR)

/* 24,000 units a day, 2 % of them fail. */
static const struct traffic traffic = {24000, 0.02};

static bool about(int64_t time, double units, double units_per_day) {
    double wait = units / units_per_day * (double)DAY;
    return (double)time > 0.7 * wait && (double)time < 1.35 * wait;
}

static void test_a_step(void **state) {
    struct rollout_plan plan = kit_plan();
    struct step_ahead ahead;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(ahead.units_per_day == 1200);
    assert_int_equal(ahead.time, 10 * MINUTE);
    assert_true(about(ahead.units, 100, 1200));
    assert_true(about(ahead.evidence, 1995, 1200)); /* table T4: 2 -> 2 % */
    assert_int_equal(ahead.earliest, ahead.evidence);
    assert_true(ahead.asks); /* it takes longer than the day that the step has */
    plan.steps[0].max_time = 3 * DAY;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_false(ahead.asks);
}

static void test_harm(void **state) {
    struct rollout_plan plan = kit_plan();
    struct step_ahead ahead;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(about(ahead.twice, 821, 1200)); /* section 2.3: with restarts */
    plan.metrics[0].weight = 0.4;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(about(ahead.twice, 944, 1200)); /* section 6: one of four metrics */
    assert_true(ahead.found > 0.03 && ahead.found < 0.04);
    plan.steps[0].max_time = 10 * DAY;
    double before = ahead.found;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(ahead.found < before && ahead.found > 1.1 * 0.02);
}

static void test_no_errors_yet(void **state) {
    struct rollout_plan plan = kit_plan();
    struct traffic clean = {24000, 0};
    struct step_ahead ahead;
    plan.metrics[0].accept_floor = 0.005;
    rollout_step_ahead(&plan, &clean, 0, &ahead);
    assert_true(about(ahead.evidence, 829, 1200)); /* section 2.2 */
    assert_true(ahead.found > 0.001 && ahead.found < 0.02);
}

static void test_settle_and_watermark(void **state) {
    struct rollout_plan plan = kit_plan();
    struct step_ahead before, after;
    rollout_step_ahead(&plan, &traffic, 0, &before);
    plan.settle = HOUR;
    plan.watermark = MINUTE;
    rollout_step_ahead(&plan, &traffic, 0, &after);
    assert_int_equal(after.evidence - before.evidence, HOUR);
    assert_int_equal(after.units - before.units, HOUR);
    assert_int_equal(after.twice - before.twice, MINUTE);
    assert_int_equal(after.time, before.time);
}

/* Nobody can be compared with: time and units alone. */
static void test_a_step_for_all(void **state) {
    struct rollout_plan plan = kit_plan();
    struct step_ahead ahead;
    plan.steps[0].share = SHARE_ALL;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(ahead.units_per_day == 24000);
    assert_int_equal(ahead.evidence, 0);
    assert_int_equal(ahead.earliest, ahead.time);
    assert_true(ahead.twice == OUTLOOK_UNKNOWN && isnan(ahead.found));
}

static void test_what_cannot_be_reckoned(void **state) {
    struct rollout_plan plan = kit_plan();
    struct traffic none = {0, 0.02};
    struct step_ahead ahead;
    rollout_step_ahead(&plan, &none, 0, &ahead);
    assert_true(ahead.units == OUTLOOK_UNKNOWN && ahead.evidence == OUTLOOK_UNKNOWN &&
                ahead.earliest == OUTLOOK_UNKNOWN);
    assert_true(ahead.asks && ahead.twice == OUTLOOK_UNKNOWN && isnan(ahead.found));
    plan.metrics[0].name = "latency";
    plan.metrics[0].kind = METRIC_SIZE;
    assert_null(rollout_ahead_metric(&plan));
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(ahead.evidence == OUTLOOK_UNKNOWN && ahead.twice == OUTLOOK_UNKNOWN && isnan(ahead.found));
}

/* Everything fails already: nothing is worse. */
static void test_rates_at_the_end(void **state) {
    struct rollout_plan plan = kit_plan();
    static const double rates[] = {0, 1e-9, 0.3, 0.5, 0.99, 1};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct step_ahead ahead;
        rollout_step_ahead(&plan, &(struct traffic){1e9, rates[i]}, 0, &ahead);
        assert_true(ahead.time > 0 && (isnan(ahead.found) || (ahead.found > rates[i] && ahead.found <= 1)));
        assert_true(ahead.twice == OUTLOOK_UNKNOWN || rates[i] < 0.5);
    }
}

static void test_the_plain_rule(void **state) {
    struct rollout_plan plan = kit_plan();
    struct step_ahead ahead;
    plan.judge = JUDGE_RATIO;
    rollout_step_ahead(&plan, &traffic, 0, &ahead);
    assert_true(about(ahead.evidence, 100, 1200));
    assert_true(ahead.twice == OUTLOOK_UNKNOWN && isnan(ahead.found));
}

static void test_the_metric_that_counts(void **state) {
    struct rollout_plan plan = kit_plan();
    plan.metrics[1] = plan.metrics[0];
    plan.metrics[0].name = "tool_errors";
    plan.metric_count = 2;
    assert_ptr_equal(rollout_ahead_metric(&plan), &plan.metrics[1]);
    plan.metric_count = 1;
    assert_ptr_equal(rollout_ahead_metric(&plan), &plan.metrics[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step),
        cmocka_unit_test(test_harm),
        cmocka_unit_test(test_no_errors_yet),
        cmocka_unit_test(test_settle_and_watermark),
        cmocka_unit_test(test_a_step_for_all),
        cmocka_unit_test(test_what_cannot_be_reckoned),
        cmocka_unit_test(test_rates_at_the_end),
        cmocka_unit_test(test_the_plain_rule),
        cmocka_unit_test(test_the_metric_that_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
