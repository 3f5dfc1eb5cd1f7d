/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K1 rests on one observation: when something bad happens to a unit, which arm the unit is in was decided by a coin of known bias, whatever the weather
 * is. Given the event, the coin is tilted only by the ratio of the two rates. So the baseline may be anything, drift, burst or be zero, the share
 * may change from stage to stage, and the test stays exact; but each stage must keep its own count and its own share. Pooling them is the classical
 * mistake (Simpson): see test_simulation.c for what it does.
 *
 * A mixture over alternatives is an average of e-values, therefore one itself. For a one-sided hypothesis each of its likelihood ratios is a
 * supermartingale under every ratio on the wrong side of the boundary, because the likelihood ratio is monotone.
 */
#include "analysis/kernels.h"

#include <math.h>

#define HARM_POINTS 8
#define GO_ON_POINTS 6
#define SPLIT_KAPPA 1000.0

double log_sum_exp(const double *a, size_t count) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        if (a[i] > most) most = a[i];
    if (isinf(most)) return most;
    for (size_t i = 0; i < count; i++)
        sum += exp(a[i] - most);
    return most + log(sum);
}

double log_gamma(double x) {
    int sign;
    return lgamma_r(x, &sign);
}

static double log_mean_exp(const double *a, size_t count) {
    return log_sum_exp(a, count) - log((double)count);
}

/* Powers written out: 20^(k/7) and 6^(k/5). */
static const double harm_factors[HARM_POINTS] = {0x1p+0,
                                                 0x1.88bc92d6cd545p+0,
                                                 0x1.2d41064cea44cp+1,
                                                 0x1.ce297a3242c8cp+1,
                                                 0x1.6281f955121c6p+2,
                                                 0x1.0fee144a79b25p+3,
                                                 0x1.a12cdde2e3bdp+3,
                                                 0x1.4p+4};
static const double go_on_factors[GO_ON_POINTS] = {
    0x1p+0, 0x1.6e53fd5cef2aap+0, 0x1.061a22020070ep+1, 0x1.770f5a7edd25bp+1, 0x1.0c59804705d3bp+2, 0x1.8p+2};

/* 0.2 to 4 in equal factors. */
static void harm_grid(double ret[GRID_MAX]) {
    for (size_t k = 0; k < HARM_POINTS; k++)
        ret[k] = 0.2 * harm_factors[k];
}

/* -0.25 to -1.5 in equal factors; a margin below 1.5 needs alternatives nearer to it, or all of them lie below ratio 1. */
static void go_on_grid(double scale, double ret[GRID_MAX]) {
    for (size_t k = 0; k < GO_ON_POINTS; k++)
        ret[k] = -0.25 * scale * go_on_factors[k];
}

static double ratio_scale(double ratio) {
    return ratio > 1 ? fmin(1, log(ratio) / log(1.5)) : 1;
}

/* ---- K1 ---- */

double ratio_likelihood(const struct ratio_counts *counts, double log_ratio) {
    double more = expm1(log_ratio), likelihood = (double)counts->candidate * log_ratio;
    for (size_t j = 0; j < counts->stage_count; j++)
        if (counts->stages[j].events > 0)
            likelihood -= (double)counts->stages[j].events * log1p(counts->stages[j].share * more);
    return likelihood;
}

/* The grid of a direction, for a boundary; how many points. */
static size_t grid_of(enum test_direction direction, double ratio, double ret[GRID_MAX]) {
    if (direction == TEST_HARM)
        harm_grid(ret);
    else
        go_on_grid(ratio_scale(ratio), ret);
    return direction == TEST_HARM ? HARM_POINTS : GO_ON_POINTS;
}

void ratio_table_init(struct ratio_table *table, enum test_direction direction, double ratio, const double *shares,
                      size_t stage_count) {
    double boundary = log(ratio);
    *table = (struct ratio_table){.stage_count = stage_count};
    table->points = grid_of(direction, ratio, table->gain);
    for (size_t j = 0; j < stage_count; j++)
        for (size_t k = 0; k < table->points; k++)
            table->cost[j][k] =
                log1p(shares[j] * expm1(boundary + table->gain[k])) - log1p(shares[j] * expm1(boundary));
}

double ratio_table_log(const struct ratio_table *table, int64_t candidate, const int64_t *events) {
    double a[GRID_MAX];
    for (size_t k = 0; k < table->points; k++)
        a[k] = (double)candidate * table->gain[k];
    for (size_t j = 0; j < table->stage_count; j++) {
        if (events[j] <= 0) continue;
        for (size_t k = 0; k < table->points; k++)
            a[k] -= (double)events[j] * table->cost[j][k];
    }
    return log_mean_exp(a, table->points);
}

static double ratio_log(const struct ratio_counts *counts, enum test_direction direction, double ratio) {
    struct ratio_table table;
    double shares[ROLLOUT_STEPS_MAX] = {0};
    int64_t events[ROLLOUT_STEPS_MAX] = {0};
    for (size_t j = 0; j < counts->stage_count; j++) {
        shares[j] = counts->stages[j].share;
        events[j] = counts->stages[j].events;
    }
    ratio_table_init(&table, direction, ratio, shares, counts->stage_count);
    return ratio_table_log(&table, counts->candidate, events);
}

double ratio_harm(const struct ratio_counts *counts, double ratio) {
    return ratio_log(counts, TEST_HARM, ratio);
}

double ratio_go_on(const struct ratio_counts *counts, double ratio) {
    return ratio_log(counts, TEST_GO_ON, ratio);
}

/* ---- K0 ---- */

/* The alternative rate; those past one half are drawn back there, or between the boundary and 1. */
static double alternative(double rate, double shift) {
    double other = rate * exp(shift);
    if (shift <= 0 || other <= 0.5) return other;
    return rate < 0.5 ? 0.5 : (1 + rate) / 2;
}

void rate_table_init(struct rate_table *table, enum test_direction direction, double rate) {
    double grid[GRID_MAX];
    *table = (struct rate_table){.points = grid_of(direction, HUGE_VAL, grid)};
    for (size_t k = 0; k < table->points; k++) {
        double other = alternative(rate, grid[k]);
        table->bad[k] = log(other / rate);
        table->good[k] = log1p(-other) - log1p(-rate);
    }
}

double rate_table_log(const struct rate_table *table, int64_t events, int64_t units) {
    double a[GRID_MAX], bad = (double)events, good = units > events ? (double)units - bad : 0;
    for (size_t k = 0; k < table->points; k++)
        a[k] = bad * table->bad[k] + good * table->good[k];
    return log_mean_exp(a, table->points);
}

static double rate_log(int64_t events, int64_t units, enum test_direction direction, double rate) {
    struct rate_table table;
    rate_table_init(&table, direction, rate);
    return rate_table_log(&table, events, units);
}

double rate_harm(int64_t events, int64_t units, double rate) {
    return rate_log(events, units, TEST_HARM, rate);
}

double rate_go_on(int64_t events, int64_t units, double rate) {
    return rate_log(events, units, TEST_GO_ON, rate);
}

double event_harm(double ratio, double rate) {
    return fmin(ratio, rate);
}

double event_go_on(double ratio, double rate) {
    return log_mean_exp((const double[]){ratio, rate}, 2);
}

/* ---- restarts ---- */

double restart_weight(int64_t index) {
    return index <= 0 ? 0.5 : 0.5 / ((double)index * ((double)index + 1));
}

double restart_rest(int64_t started) {
    return 0.5 / ((double)started + 1);
}

/* ---- planning ---- */

double plan_growth(const struct ratio_truth *truth, double boundary) {
    double pi = truth->share, candidate = truth->stable_rate * truth->ratio;
    double events = candidate + truth->stable_rate * (1 - pi) / pi;
    return candidate * log(truth->ratio / boundary) -
           events * log((1 - pi + pi * truth->ratio) / (1 - pi + pi * boundary));
}

double plan_units(double growth, double alpha) {
    return growth > 0 ? (log(1 / alpha) + 1) / growth : INFINITY;
}

/* ---- the split ---- */

static bool says_something(const struct arm_counts *stage) {
    return stage->share > 0 && stage->share < 1;
}

static double split_of_stage(const struct arm_counts *stage) {
    double a = SPLIT_KAPPA * stage->share, b = SPLIT_KAPPA - a, c = (double)stage->candidate, s = (double)stage->stable;
    return log_gamma(a + c) - log_gamma(a) + log_gamma(b + s) - log_gamma(b) - log_gamma(SPLIT_KAPPA + c + s) +
           log_gamma(SPLIT_KAPPA) - c * log(stage->share) - s * log1p(-stage->share);
}

double split_log(const struct arm_counts *stages, size_t count) {
    double sum = 0;
    for (size_t j = 0; j < count; j++)
        if (says_something(&stages[j])) sum += split_of_stage(&stages[j]);
    return sum;
}

double split_grid_log(const struct arm_counts *stages, size_t count) {
    static const double tilts[] = {0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5};
    double grid[2 * ARRAY_LEN(tilts)];
    for (size_t k = 0; k < ARRAY_LEN(tilts); k++) {
        grid[2 * k] = tilts[k];
        grid[2 * k + 1] = -tilts[k];
    }
    struct ratio_counts counts = {0};
    for (size_t j = 0; j < count && counts.stage_count < ROLLOUT_STEPS_MAX; j++) {
        if (!says_something(&stages[j])) continue;
        counts.candidate += stages[j].candidate;
        counts.stages[counts.stage_count++] =
            (struct stage_events){stages[j].share, stages[j].candidate + stages[j].stable};
    }
    double a[2 * ARRAY_LEN(tilts)];
    for (size_t k = 0; k < ARRAY_LEN(grid); k++)
        a[k] = ratio_likelihood(&counts, grid[k]);
    return log_mean_exp(a, ARRAY_LEN(grid));
}

/* ---- the plain rule ---- */

enum plain_answer plain_rule(double candidate, double stable) {
    if (isnan(candidate) || isnan(stable)) return PLAIN_WAIT;
    if (candidate > PLAIN_ROLL_BACK_RATIO * stable) return PLAIN_ROLL_BACK;
    return candidate <= PLAIN_GO_ON_RATIO * stable ? PLAIN_GO_ON : PLAIN_WAIT;
}
