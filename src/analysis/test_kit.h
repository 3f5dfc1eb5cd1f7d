/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of analysis: randomness with a printed seed, a plan to start from, observations in a few words. */
#ifndef SERIN_ANALYSIS_TEST_KIT_H
#define SERIN_ANALYSIS_TEST_KIT_H

#include "analysis/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MINUTE INT64_C(60000000)
#define START INT64_C(1760000000000000)

/* ---- randomness: SplitMix64, so that a seed means the same everywhere ---- */

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice) {
    uint64_t x = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline double dice_uniform(struct dice *dice) {
    return (double)(dice_next(dice) >> 11) * 0x1p-53;
}

static inline bool dice_hits(struct dice *dice, double chance) {
    return dice_uniform(dice) < chance;
}

static inline double dice_normal(struct dice *dice) {
    double u = 1 - dice_uniform(dice);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * dice_uniform(dice));
}

static inline double dice_lognormal(struct dice *dice, double median, double sigma) {
    return median * exp(sigma * dice_normal(dice));
}

static inline double clamp01(double x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* SERIN_TEST_SEED=… runs a property with another seed; the one in use is printed. */
static inline struct dice dice_of_test(const char *what, uint64_t usual) {
    const char *given = getenv("SERIN_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : usual;
    print_message("%s: seed %llu\n", what, (unsigned long long)seed);
    return (struct dice){seed};
}

/* ---- plans ---- */

static const struct metric kit_error = {.name = "error",
                                        .kind = METRIC_EVENT,
                                        .lower_is_better = true,
                                        .weight = 0.4,
                                        .harm = 1.1,
                                        .accept = 1.5,
                                        .harm_floor = 0.001,
                                        .accept_floor = 0.005};
static const struct metric kit_quality = {
    .name = "score.quality", .kind = METRIC_SCORE, .weight = 0.2, .harm = 0.01, .accept = 0.05};
static const struct metric kit_latency = {
    .name = "latency", .kind = METRIC_SIZE, .lower_is_better = true, .weight = 0.2, .harm = 1.1, .accept = 1.5};
static const struct metric kit_cost = {
    .name = "cost", .kind = METRIC_SIZE, .lower_is_better = true, .weight = 0.2, .harm = 1.1, .accept = 1.5};

enum { ERROR_, QUALITY, LATENCY, COST }; /* metrics of kit_plan_full() */

static inline struct rollout_plan kit_plan_of(const int32_t *shares, size_t count) {
    struct rollout_plan plan = {
        .step_count = count, .alpha = 0.05, .beta = 0.05, .alpha_srm = 0.001, .judge = JUDGE_EVIDENCE};
    for (size_t s = 0; s < count; s++)
        plan.steps[s] = (struct rollout_step){.share = shares[s], .min_units = 100};
    return plan;
}

/* Errors only, weight 1, at these shares (thousandths of a percent). */
static inline struct rollout_plan kit_plan_errors(const int32_t *shares, size_t count) {
    struct rollout_plan plan = kit_plan_of(shares, count);
    plan.metrics[plan.metric_count++] = kit_error;
    plan.metrics[0].weight = 1;
    return plan;
}

static const int32_t kit_shares[] = {5000, 25000, 50000};

/* Four metrics, three steps, settle one minute. */
static inline struct rollout_plan kit_plan_full(void) {
    struct rollout_plan plan = kit_plan_of(kit_shares, ARRAY_LEN(kit_shares));
    plan.metrics[plan.metric_count++] = kit_error;
    plan.metrics[plan.metric_count++] = kit_quality;
    plan.metrics[plan.metric_count++] = kit_latency;
    plan.metrics[plan.metric_count++] = kit_cost;
    plan.settle = MINUTE;
    return plan;
}

/* ---- evidence ---- */

static inline struct evidence *kit_new(const struct rollout_plan *plan) {
    struct evidence *evidence = NULL;
    struct err err = ERR_INIT;
    if (evidence_new(plan, START, &evidence, &err) < 0) fail_msg("%s", err.message);
    return evidence;
}

static inline void kit_add(struct evidence *evidence, const struct observation *observation) {
    assert_int_equal(evidence_add(evidence, observation), 0);
}

/* One outcome of a unit by a fair draw of its arm: an error with chance `rates[arm]`, healthy values. */
static inline struct observation kit_draw(struct dice *dice, const struct rollout_plan *plan, unsigned stage,
                                          const double rates[2]) {
    struct observation seen = {.unit = dice_next(dice), .stage = stage, .at = START};
    seen.candidate = dice_hits(dice, (double)plan->steps[stage].share / SHARE_ALL);
    seen.events = dice_hits(dice, rates[seen.candidate]);
    if (plan->metric_count == 1) return seen;
    seen.present = 14;
    seen.values[QUALITY] = clamp01(0.8 + 0.15 * dice_normal(dice));
    seen.values[LATENCY] = dice_lognormal(dice, 900, 0.8);
    seen.values[COST] = dice_lognormal(dice, 0.02, 1.2);
    return seen;
}

static inline struct str kit_bytes(const struct evidence *evidence) {
    struct str bytes = STR_INIT;
    assert_int_equal(evidence_write(evidence, EVIDENCE_WHOLE, &bytes), 0);
    return bytes;
}

static inline void kit_assert_same(const struct evidence *a, const struct evidence *b) {
    struct str x = kit_bytes(a), y = kit_bytes(b);
    assert_true(slice_equal(str_slice(&x), str_slice(&y)));
    str_deinit(&x);
    str_deinit(&y);
}

#endif
