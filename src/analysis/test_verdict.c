/* SPDX-License-Identifier: Apache-2.0 */
/* What the evidence says: each outcome, what comes before what, minimums, limits, margins of steps, and the words. */
#include "analysis/test_kit.h"
#include "analysis/verdict.h"

static const double healthy[] = {0.02, 0.02};

/* Counts made to order: units of both arms, of them with an error. */
struct tally {
    int candidates, candidate_errors, stables, stable_errors;
};

static void add_arm(struct evidence *evidence, bool candidate, int units, int errors) {
    static uint64_t next = 1;
    for (int i = 0; i < units; i++) {
        struct observation seen = {.unit = next++, .candidate = candidate, .at = START, .events = i < errors};
        seen.stage = (unsigned)evidence_step(evidence);
        kit_add(evidence, &seen);
    }
}

static void add_tally(struct evidence *evidence, struct tally tally) {
    add_arm(evidence, true, tally.candidates, tally.candidate_errors);
    add_arm(evidence, false, tally.stables, tally.stable_errors);
}

static struct verdict judge_tally(const struct rollout_plan *plan, struct tally tally) {
    struct verdict verdict;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(plan);
    add_tally(evidence, tally);
    analysis_judge(plan, evidence, 0, &verdict);
    return verdict;
}

static const int32_t five[] = {5000};

static double mixed(double log_value) {
    return log(0.5 * exp(log_value) + 0.5);
}

/* ---- the numbers ---- */

/* Vector TV9 through everything: 24 of 600 against 228 of 11400. */
static void test_vector(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    struct verdict verdict = judge_tally(&plan, (struct tally){600, 24, 11400, 228});
    const struct metric_verdict *error = &verdict.metrics[0];
    assert_true(fabs(error->harm_log - mixed(2.090945017665)) < 1e-9);
    assert_true(fabs(error->go_on_log - -4.007267592608) < 1e-9);
    assert_true(fabs(verdict.harm_log - error->harm_log) < 1e-12);
    assert_true(fabs(error->compared.estimate - 2) < 1e-9);
    assert_true(fabs(error->compared.low - 0.902288594837) < 1e-9);
    assert_true(fabs(error->compared.high - 3.853362089894) < 1e-9);
    assert_true(error->candidate.units == 600 && error->candidate.events == 24 && error->stable.units == 11400);
    assert_true(fabs(error->candidate.mean - 0.04) < 1e-15 && fabs(error->stable.mean - 0.02) < 1e-15);
    assert_true(isnan(error->candidate.p95));
    assert_int_equal(verdict.outcome, VERDICT_GOING_ON);
    assert_true(verdict.units == 600 && verdict.step_units == 600 && verdict.split_units == 12000);
    assert_true(verdict.split_candidates == 600 && fabs(verdict.split_expected - 600) < 1e-9);
}

/* TV10 through the restart snapshots: 1000 units with (10, 150), 1000 more to (18, 210), then to (30, 258). */
static void test_vector_of_restarts(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    plan.metrics[0].harm_floor = 0; /* the vector is of K1 alone */
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_tally(evidence, (struct tally){1000, 10, 19000, 140});
    evidence_tick(evidence, START);
    add_tally(evidence, (struct tally){1000, 8, 19000, 52});
    evidence_tick(evidence, START);
    add_tally(evidence, (struct tally){500, 12, 9500, 36});
    evidence_tick(evidence, START);
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(fabs(verdict.metrics[0].harm_log - 8.015479340620) < 1e-9);
}

/* The floor: a stable rate of nothing counts as 0.1 % to roll back and as 0.5 % to go on. */
static void test_floors(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1), bare = plan;
    bare.metrics[0].harm_floor = bare.metrics[0].accept_floor = 0;
    struct tally few = {4000, 3, 76000, 0}, none = {834, 0, 15846, 0};
    assert_int_equal(judge_tally(&plan, few).outcome, VERDICT_PASS);
    assert_int_equal(judge_tally(&bare, few).outcome, VERDICT_HARM);
    struct verdict with = judge_tally(&plan, none), without = judge_tally(&bare, none);
    assert_int_equal(with.outcome, VERDICT_PASS);
    assert_true(fabs(with.metrics[0].go_on_log - (3.690996268588 - log(2) + log1p(exp(-3.690996268588)))) < 1e-9);
    assert_int_equal(without.outcome, VERDICT_GOING_ON);
    assert_true(without.metrics[0].go_on_log == 0);
    plan.metrics[0].harm_floor = 1; /* nothing can be past 110 % */
    assert_int_equal(judge_tally(&plan, (struct tally){600, 600, 11400, 1}).outcome, VERDICT_GOING_ON);
}

/* ---- outcomes ---- */

static void test_harm(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    struct verdict verdict = judge_tally(&plan, (struct tally){600, 60, 11400, 228});
    assert_int_equal(verdict.outcome, VERDICT_HARM);
    assert_true(verdict.metric == 0 && !verdict.by_limit && verdict.harm_log >= log(20));
}

static void test_pass(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    struct tally good = {3000, 60, 57000, 1140};
    assert_int_equal(judge_tally(&plan, good).outcome, VERDICT_PASS);
    plan.steps[0].min_units = 3001;
    assert_int_equal(judge_tally(&plan, good).outcome, VERDICT_GOING_ON);
    plan.steps[0].min_units = 3000;
    assert_int_equal(judge_tally(&plan, good).outcome, VERDICT_PASS);
}

static void test_going_on(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    assert_int_equal(judge_tally(&plan, (struct tally){0}).outcome, VERDICT_GOING_ON);
    assert_int_equal(judge_tally(&plan, (struct tally){300, 6, 5700, 114}).outcome, VERDICT_GOING_ON);
}

static void test_split(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    struct verdict verdict = judge_tally(&plan, (struct tally){400, 60, 9600, 200});
    assert_true(fabs(verdict.split_log - 9.070277234234) < 1e-9);
    assert_true(verdict.harm_log > log(20));
    assert_int_equal(verdict.outcome, VERDICT_SPLIT); /* before harm: no comparison holds */
    assert_int_equal(judge_tally(&plan, (struct tally){500, 10, 9500, 190}).outcome, VERDICT_GOING_ON);
}

/* Two candidate errors against none of thousands are not enough, however unlikely. */
static void test_minimum(void **state) {
    static const int32_t one[] = {1000};
    struct rollout_plan plan = kit_plan_errors(one, 1);
    struct verdict two = judge_tally(&plan, (struct tally){8, 2, 792, 0});
    assert_true(two.metrics[0].harm_log > log(20) && !two.metrics[0].has_minimum);
    assert_true(isinf(two.harm_log) && two.harm_log < 0);
    assert_int_equal(two.outcome, VERDICT_GOING_ON);
    struct verdict three = judge_tally(&plan, (struct tally){8, 3, 792, 0});
    assert_true(three.metrics[0].has_minimum);
    assert_int_equal(three.outcome, VERDICT_HARM);
}

/* Weights average e-values; a metric without its minimum takes no part and hinders nobody. */
static void test_weights(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    plan.metrics[1] = kit_error;
    plan.metrics[1].name = "tool_errors";
    plan.metric_count = 2;
    plan.metrics[0].weight = 0.25;
    plan.metrics[1].weight = 0.75;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (uint64_t i = 0; i < 2000; i++) {
        struct observation seen = {.unit = i, .candidate = i % 20 == 0, .at = START};
        seen.events = (i % 20 == 0 && i < 200) | (unsigned)(i % 25 == 0) << 1;
        kit_add(evidence, &seen);
    }
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    const struct metric_verdict *m = verdict.metrics;
    assert_true(m[0].has_minimum && m[1].has_minimum && m[0].candidate.events == 10 && m[1].stable.events > 0);
    assert_true(fabs(verdict.harm_log - log(0.25 * exp(m[0].harm_log) + 0.75 * exp(m[1].harm_log))) < 1e-9);
    assert_int_equal(verdict.metric, 0);
    plan.metrics[0].weight = 25; /* only their proportion counts */
    plan.metrics[1].weight = 75;
    struct verdict same;
    analysis_judge(&plan, evidence, 0, &same);
    assert_true(fabs(same.harm_log - verdict.harm_log) < 1e-12);
    plan.metrics[0].weight = 0;
    analysis_judge(&plan, evidence, 0, &same);
    assert_true(fabs(same.harm_log - m[1].harm_log) < 1e-12);
}

/* ---- steps ---- */

static void test_margin_of_the_step(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    struct tally tally = {1000, 20, 19000, 380};
    assert_true(judge_tally(&plan, tally).metrics[0].accept == 1.5);
    plan.steps[0].accept = 2;
    struct verdict wide = judge_tally(&plan, tally);
    assert_true(wide.metrics[0].accept == 2);
    assert_int_equal(wide.outcome, VERDICT_PASS);
    plan.steps[0].accept = 1.25;
    assert_int_equal(judge_tally(&plan, tally).outcome, VERDICT_GOING_ON);
}

/* Evidence to go on is of the step that stands. */
static void test_other_step(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct verdict verdict;
    add_tally(evidence, (struct tally){3000, 60, 57000, 1140});
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_int_equal(verdict.outcome, VERDICT_PASS);
    evidence_enter(evidence, 1, START);
    for (size_t step = 0; step < 2; step++) {
        analysis_judge(&plan, evidence, step, &verdict);
        assert_int_equal(verdict.outcome, VERDICT_GOING_ON);
        assert_true(verdict.step_units == 0 && verdict.metrics[0].go_on_log == 0 && verdict.units == 3000);
    }
    add_tally(evidence, (struct tally){4000, 80, 12000, 240});
    analysis_judge(&plan, evidence, 1, &verdict);
    assert_int_equal(verdict.outcome, VERDICT_PASS);
    assert_int_equal(verdict.step_units, 4000);
    analysis_judge(&plan, evidence, 55, &verdict); /* no step at all */
    assert_int_equal(verdict.outcome, VERDICT_GOING_ON);
}

/* With everybody on the candidate there is nobody to compare with: units alone decide. */
static void test_all_on_the_candidate(void **state) {
    static const int32_t shares[] = {5000, 100000};
    struct rollout_plan plan = kit_plan_errors(shares, 2);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct verdict verdict;
    add_tally(evidence, (struct tally){300, 6, 5700, 114});
    evidence_enter(evidence, 1, START);
    add_tally(evidence, (struct tally){99, 2, 0, 0});
    analysis_judge(&plan, evidence, 1, &verdict);
    assert_int_equal(verdict.outcome, VERDICT_GOING_ON);
    add_tally(evidence, (struct tally){1, 0, 0, 0});
    analysis_judge(&plan, evidence, 1, &verdict);
    assert_int_equal(verdict.outcome, VERDICT_PASS);
    assert_int_equal(verdict.split_units, 6000);
    assert_true(fabs(verdict.metrics[0].compared.estimate - 1) < 1e-6);
}

/* ---- scores and sizes ---- */

/* Draws outcomes with values moved for the candidate, ticking every hundred. */
struct shift {
    double quality, latency, cost;
};

static struct evidence *with_values(const struct rollout_plan *plan, uint64_t seed, int outcomes, struct shift shift) {
    struct evidence *evidence = kit_new(plan);
    struct dice dice = {seed};
    for (int i = 0; i < outcomes; i++) {
        struct observation seen = kit_draw(&dice, plan, (unsigned)evidence_step(evidence), healthy);
        if (seen.candidate) seen.values[QUALITY] = clamp01(seen.values[QUALITY] + shift.quality);
        if (seen.candidate) seen.values[LATENCY] *= shift.latency;
        if (seen.candidate) seen.values[COST] *= shift.cost;
        seen.at = START - 2 * MINUTE;
        kit_add(evidence, &seen);
        if (i % 100 == 0) evidence_tick(evidence, START);
    }
    return evidence;
}

static void test_each_metric_can_show_harm(void **state) {
    static const struct shift shifts[] = {{-0.1, 1, 1}, {0, 2, 1}, {0, 1, 2.5}};
    struct rollout_plan plan = kit_plan_full();
    for (size_t i = 0; i < 3; i++) {
        _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 30 + i, 8000, shifts[i]);
        struct verdict verdict;
        analysis_judge(&plan, evidence, 0, &verdict);
        assert_int_equal(verdict.outcome, VERDICT_HARM);
        assert_int_equal(verdict.metric, QUALITY + i);
        assert_false(verdict.metrics[QUALITY + i].goes_on);
    }
}

static void test_healthy_passes(void **state) {
    struct rollout_plan plan = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 40, 60000, (struct shift){0, 1, 1});
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_int_equal(verdict.outcome, VERDICT_PASS);
    const struct metric_verdict *quality = &verdict.metrics[QUALITY], *latency = &verdict.metrics[LATENCY];
    assert_true(fabs(quality->compared.estimate) < 0.02);
    assert_true(quality->compared.low < quality->compared.estimate && quality->compared.high > 0);
    assert_true(fabs(latency->stable.p50 / 900 - 1) < 0.04);
    assert_true(latency->stable.p50 < latency->stable.p95 && latency->stable.p95 < latency->stable.p99);
    assert_true(fabs(latency->compared.estimate - 1) < 0.1 && isnan(latency->compared.low));
    assert_true(latency->candidate.units == verdict.units && quality->stable.units + quality->candidate.units == 60000);
}

/* A lower score may be the better one. */
static void test_direction_of_scores(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.metrics[QUALITY].lower_is_better = true;
    _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 41, 8000, (struct shift){-0.1, 1, 1});
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(verdict.metrics[QUALITY].goes_on && verdict.metrics[QUALITY].harm_log < 0);
}

/* The 99th percentile takes long to show itself unharmed: it is asked for from a share of a quarter on. */
static void test_tail_from_a_quarter_on(void **state) {
    static const int32_t below[] = {24999}, at[] = {25000};
    struct verdict verdicts[2];
    for (int i = 0; i < 2; i++) {
        struct rollout_plan plan = kit_plan_of(i ? at : below, 1);
        for (size_t m = 0; m < 4; m++)
            plan.metrics[m] = kit_latency;
        plan.metric_count = 4;
        _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 42, 2500, (struct shift){0, 1, 1});
        analysis_judge(&plan, evidence, 0, &verdicts[i]);
    }
    assert_true(verdicts[0].metrics[LATENCY].goes_on);
    assert_true(verdicts[1].metrics[LATENCY].go_on_log < verdicts[0].metrics[LATENCY].go_on_log);
    assert_false(verdicts[1].metrics[LATENCY].goes_on);
}

/* A metric that nobody reports never goes on, and never rolls back. */
static void test_metric_without_data(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.settle = 0;
    struct verdict verdict = judge_tally(&plan, (struct tally){3000, 60, 57000, 1140});
    assert_int_equal(verdict.outcome, VERDICT_GOING_ON);
    assert_true(verdict.metrics[ERROR_].goes_on && !verdict.metrics[QUALITY].goes_on && !verdict.metrics[COST].goes_on);
    assert_false(verdict.metrics[QUALITY].has_minimum);
    assert_true(isnan(verdict.metrics[QUALITY].compared.estimate) && isnan(verdict.metrics[COST].candidate.mean));
}

/* ---- hard limits ---- */

static void test_limit_of_a_rate(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    plan.metrics[0].limit = 0.2;
    plan.metrics[0].limit_units = 50;
    struct verdict verdict = judge_tally(&plan, (struct tally){50, 11, 950, 300}); /* stable is as bad: no evidence */
    assert_int_equal(verdict.outcome, VERDICT_HARM);
    assert_true(verdict.by_limit && verdict.harm_log < log(20));
    assert_int_equal(judge_tally(&plan, (struct tally){50, 10, 950, 300}).outcome, VERDICT_GOING_ON);
    assert_int_equal(judge_tally(&plan, (struct tally){49, 49, 951, 900}).by_limit, false);
    assert_int_equal(judge_tally(&plan, (struct tally){400, 90, 9600, 3000}).outcome,
                     VERDICT_HARM); /* before the split */
    plan.metrics[0].limit = 0;
    assert_int_equal(judge_tally(&plan, (struct tally){50, 11, 950, 300}).outcome, VERDICT_GOING_ON);
}

static void test_limits_of_values(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct verdict verdict;
    _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 43, 2000, (struct shift){0, 1, 1});
    plan.metrics[QUALITY].limit = 0.9; /* more is better: the mean of 0.79 is past it */
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(verdict.by_limit && verdict.metric == QUALITY);
    plan.metrics[QUALITY].limit = 0.5;
    plan.metrics[LATENCY].limit = 500;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(verdict.by_limit && verdict.metric == LATENCY);
    plan.metrics[LATENCY].limit = 50000;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_false(verdict.by_limit);
    plan.metrics[QUALITY].lower_is_better = true;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(verdict.by_limit && verdict.metric == QUALITY);
}

/* ---- the plain rule ---- */

static void test_plain_rule(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    plan.judge = JUDGE_RATIO;
    assert_int_equal(judge_tally(&plan, (struct tally){100, 4, 1900, 38}).outcome, VERDICT_HARM);
    assert_int_equal(judge_tally(&plan, (struct tally){100, 3, 1900, 38}).outcome, VERDICT_GOING_ON);
    assert_int_equal(judge_tally(&plan, (struct tally){100, 2, 1900, 38}).outcome, VERDICT_PASS);
    assert_int_equal(judge_tally(&plan, (struct tally){99, 40, 1901, 38}).outcome, VERDICT_GOING_ON);
    assert_int_equal(judge_tally(&plan, (struct tally){100, 0, 0, 0}).outcome, VERDICT_GOING_ON);
    plan.metrics[0].limit = 0.2; /* limits hold here too */
    assert_int_equal(judge_tally(&plan, (struct tally){90, 40, 1900, 38}).outcome, VERDICT_HARM);
    plan.steps[0].min_units = 0;
    assert_int_equal(judge_tally(&plan, (struct tally){0}).outcome, VERDICT_GOING_ON);
}

static void test_plain_rule_of_values(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.judge = JUDGE_RATIO;
    plan.metrics[ERROR_] = kit_quality;
    plan.metrics[ERROR_].name = "score.unused";
    plan.metric_count = 4;
    struct verdict verdict;
    _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 44, 8000, (struct shift){-0.3, 1, 1});
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(verdict.outcome == VERDICT_HARM && verdict.metric == QUALITY); /* badness 0.5 against 0.2 */
}

/* ---- words ---- */

static void assert_words(const struct rollout_plan *plan, const struct verdict *verdict, const char *want) {
    struct str words = STR_INIT;
    verdict_words(plan, verdict, &words);
    assert_string_equal(words.data, want);
    str_deinit(&words);
}

static void assert_words_of(const struct rollout_plan *plan, struct tally tally, const char *want) {
    struct verdict verdict = judge_tally(plan, tally);
    assert_words(plan, &verdict, want);
}

static void test_words(void **state) {
    struct rollout_plan plan = kit_plan_errors(five, 1);
    assert_words_of(&plan, (struct tally){600, 40, 11400, 228},
                    "error ratio 3.3 (95 % CS 1.8 to 5.8) after 600 units; evidence 683139:1 against <= 1.1");
    assert_words_of(&plan, (struct tally){600, 300, 11400, 228},
                    "error ratio 25 (95 % CS 18 to 34) after 600 units; evidence more than 1000000:1 against <= 1.1");
    assert_words_of(&plan, (struct tally){600, 12, 11400, 228},
                    "error ratio 1 (95 % CS 0.32 to 2.3) with 1:1 against >= 1.5 after 600 units of this step; 20:1 "
                    "for each is enough to go on");
    assert_words_of(
        &plan, (struct tally){3000, 60, 57000, 1140},
        "error ratio 1 (95 % CS 0.61 to 1.5) with 37:1 against >= 1.5 after 3000 units of this step; enough to go on");
    assert_words_of(
        &plan, (struct tally){400, 8, 9600, 192},
        "400 of 10000 units were with the candidate where 500 were planned; evidence 8693:1 against a split by chance");
    assert_words_of(&plan, (struct tally){0},
                    "error without data to compare with 1:1 against >= 1.5 after 0 units of this step; 20:1 for each "
                    "is enough to go on");
    plan.metrics[0].limit = 0.2;
    assert_words_of(&plan, (struct tally){50, 12, 950, 19}, "error rate 24 % is past its limit of 20 % after 50 units");
    plan.metrics[0].limit = 0;
    plan.judge = JUDGE_RATIO;
    assert_words_of(
        &plan, (struct tally){100, 4, 1900, 38},
        "error ratio 2 (95 % CS 0.25 to 7.7) after 100 units; more than 1.5 times stable by the plain rule");
    assert_words_of(&plan, (struct tally){100, 3, 1900, 38},
                    "error ratio 1.5 (95 % CS 0.13 to 6.5) after 100 units of this step; not yet enough to go on");
}

static void test_words_of_values(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct str words = STR_INIT;
    struct verdict verdict;
    _cleanup_(evidence_freep) struct evidence *evidence = with_values(&plan, 45, 4000, (struct shift){-0.2, 1, 1});
    analysis_judge(&plan, evidence, 0, &verdict);
    verdict_words(&plan, &verdict, &words);
    assert_non_null(strstr(words.data, "score.quality difference -0.2 (95 % CS -0.34 to -0.05"));
    assert_non_null(strstr(words.data, " against <= 0.01 worse"));
    str_clear(&words);
    verdict.outcome = VERDICT_GOING_ON;
    verdict_words(&plan, &verdict, &words);
    assert_non_null(strstr(words.data, ", latency ratio of means 1"));
    assert_non_null(strstr(words.data, " against >= 0.05 worse, "));
    str_clear(&words);
    verdict.by_limit = true;
    verdict.metric = LATENCY;
    plan.metrics[LATENCY].limit = 750;
    verdict_words(&plan, &verdict, &words);
    assert_non_null(strstr(words.data, "latency mean 1"));
    assert_non_null(strstr(words.data, " is past its limit of 750 after "));
    str_deinit(&words);
}

static void test_names(void **state) {
    assert_string_equal(verdict_outcome_name(VERDICT_GOING_ON), "going on");
    assert_string_equal(verdict_outcome_name(VERDICT_PASS), "pass");
    assert_string_equal(verdict_outcome_name(VERDICT_SPLIT), "split");
    assert_string_equal(verdict_outcome_name(VERDICT_HARM), "harm");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_vector_of_restarts),
        cmocka_unit_test(test_floors),
        cmocka_unit_test(test_harm),
        cmocka_unit_test(test_pass),
        cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_minimum),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_margin_of_the_step),
        cmocka_unit_test(test_other_step),
        cmocka_unit_test(test_all_on_the_candidate),
        cmocka_unit_test(test_each_metric_can_show_harm),
        cmocka_unit_test(test_healthy_passes),
        cmocka_unit_test(test_direction_of_scores),
        cmocka_unit_test(test_tail_from_a_quarter_on),
        cmocka_unit_test(test_metric_without_data),
        cmocka_unit_test(test_limit_of_a_rate),
        cmocka_unit_test(test_limits_of_values),
        cmocka_unit_test(test_plain_rule),
        cmocka_unit_test(test_plain_rule_of_values),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_of_values),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
