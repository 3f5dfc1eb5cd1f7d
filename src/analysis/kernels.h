/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formulas of sequential analysis: counts in, natural logarithms of e-values out. An e-value is the wealth of somebody who
 * starts with 1 and bets against a hypothesis at fair odds: while the hypothesis is true it exceeds 1/alpha at ANY moment with a chance of at
 * most alpha (Ville), so it may be looked at as often as one likes.
 *
 * Two directions, everywhere: HARM bets against "the candidate is at most so much worse"; GO ON bets against "the candidate is at least so
 * much worse". Everything here is pure and total: any counts give a number, never NaN; -INFINITY is possible only where the text says so.
 *
 * Sources: design page "analysis", sections 2 (K1, K0, restarts, confidence sequences, planning) and 5 (sample ratio); behind it Lindon and Malek
 * (NeurIPS 2022, arXiv 2011.03567), Turner, Ly and Gruenwald (arXiv 2106.02693), Waudby-Smith and Ramdas (arXiv 2010.09686),
 * Shin, Ramdas and Rinaldo (E-detectors, arXiv 2203.03532), Lindon, Sanden and Shirikian (KDD 2022, arXiv 2205.14762).
 */
#ifndef SERIN_ANALYSIS_KERNELS_H
#define SERIN_ANALYSIS_KERNELS_H

#include "base/mem.h"
#include "model/rollout.h"

/* log(sum(exp(a))); -INFINITY when there is nothing in it. */
double log_sum_exp(const double *a, size_t count);
/* The logarithm of the gamma function, for x > 0. libm's own lgamma() also writes the sign into a global, which several threads must not. */
double log_gamma(double x);

/* ---- K1: the ratio of two rates, by which arm each event falls to (section 2.1) ---- */

/* What happened while the candidate's share was `share` (0 … 1, at the moment of assignment). */
struct stage_events {
    double share;
    int64_t events; /* of both arms */
};

struct ratio_counts {
    int64_t candidate; /* events of the candidate, over all stages */
    size_t stage_count;
    struct stage_events stages[ROLLOUT_STEPS_MAX];
};

/* Log likelihood of the ratio exp(`log_ratio`), given which events happened: X u - SUM_j N_j log(1 - pi_j + pi_j e^u). */
double ratio_likelihood(const struct ratio_counts *counts, double log_ratio);
/* Against "ratio <= `ratio`": a mixture of eight alternatives, 1.22 to 55 times worse. */
double ratio_harm(const struct ratio_counts *counts, double ratio);
/* Against "ratio >= `ratio`": six alternatives below, drawn in when the margin is less than 1.5. */
double ratio_go_on(const struct ratio_counts *counts, double ratio);

/* The same two with what depends on plan and shares alone reckoned beforehand: a look then costs no logarithm but the last. ratio_harm() and
 * ratio_go_on() make such a table and ask it, so both ways give the same bits. */
#define GRID_MAX 8
enum test_direction { TEST_HARM, TEST_GO_ON };
struct ratio_table {
    size_t points, stage_count;
    double gain[GRID_MAX];                    /* of an event of the candidate */
    double cost[ROLLOUT_STEPS_MAX][GRID_MAX]; /* of any event in the stage */
};
void ratio_table_init(struct ratio_table *table, enum test_direction direction, double ratio, const double *shares,
                      size_t stage_count);
/* `events[j]` of both arms in stage j. */
double ratio_table_log(const struct ratio_table *table, int64_t candidate, const int64_t *events);

/* ---- K0: one rate against a fixed one (section 2.2) ---- */

/* `events` units of `units` candidate units had the event; more events than units count as all of them. `rate` in (0, 1). */
double rate_harm(int64_t events, int64_t units, double rate);  /* against "the rate is at most `rate`" */
double rate_go_on(int64_t events, int64_t units, double rate); /* against "the rate is at least `rate`" */

struct rate_table {
    size_t points;
    double bad[GRID_MAX], good[GRID_MAX];
};
void rate_table_init(struct rate_table *table, enum test_direction direction, double rate);
double rate_table_log(const struct rate_table *table, int64_t events, int64_t units);

/* Both tests of a metric that counts events, with a floor under the stable rate. "At most r times max(stable, floor)" is a union of two hypotheses: both must
 * be refuted, and the smaller e-value does that. "At least …" is their intersection: the average of the two does. */
double event_harm(double ratio, double rate);
double event_go_on(double ratio, double rate);

/* ---- restarts (section 2.3) ---- */

/* Weight of the copy that started with the rollout (`index` 0) or at the index-th snapshot: 1/2, then 1 / (2 i (i + 1)). */
double restart_weight(int64_t index);
/* Weight of all that have not started after `started` snapshots; their e-value is 1. */
double restart_rest(int64_t started);

/* ---- intervals for people (section 2.4) ---- */

struct interval {
    double estimate, low, high; /* NAN: there is none */
};

/* The ratio with its 1 - alpha confidence sequence: true at all times together. `low` 0 without a candidate event, `high` INFINITY without
 * a stable one; no event at all, or none under a share between 0 and 1: no estimate, and 0 to INFINITY. */
struct interval ratio_interval(const struct ratio_counts *counts, double alpha);
/* One rate, by Robbins' mixture with Beta(1/2, 1/2). No units: no estimate, and 0 to 1. */
struct interval rate_interval(int64_t events, int64_t units, double alpha);
/* The mean of `units` numbers in [0, 1] with sum `sum`, by the normal mixture for bounded differences (Robbins; Howard, Ramdas, McAuliffe and
 * Sekhon, Ann. Stat. 2021, Prop. 5, with the variance at its bound 1/4). Holds for the running average of drifting means too. */
struct interval mean_interval(double sum, int64_t units, double alpha);

/* ---- planning (section 2.5) ---- */

/* Log evidence against `boundary` that one candidate unit brings on average when the truth is `ratio`, at a stable rate and a share. */
struct ratio_truth {
    double share, stable_rate, ratio;
};
double plan_growth(const struct ratio_truth *truth, double boundary);
/* Median number of candidate units until the evidence reaches 1/alpha: (log(1/alpha) + 1) / growth, within about 25 %; INFINITY when it never grows. */
double plan_units(double growth, double alpha);

/* ---- the split between the arms (section 5) ---- */

struct arm_counts {
    double share; /* 0 and 1 say nothing: such a stage counts nothing */
    int64_t candidate, stable;
};

/* Against "each unit fell to the candidate with chance share": Dirichlet-multinomial Bayes factors (kappa 1000), multiplied over stages. */
double split_log(const struct arm_counts *stages, size_t count);
/* The same question by K1 on both sides of ratio 1. For more than some ten million units, where lgamma differences lose their digits. */
double split_grid_log(const struct arm_counts *stages, size_t count);

/* ---- the plain rule ---- */

enum plain_answer { PLAIN_GO_ON, PLAIN_WAIT, PLAIN_ROLL_BACK };
#define PLAIN_ROLL_BACK_RATIO 1.5
#define PLAIN_GO_ON_RATIO 1.1
/* candidate > 1.5 x stable: roll back; <= 1.1 x stable: go on; else wait. Two point estimates and no idea of chance. Anything but two numbers: wait. */
enum plain_answer plain_rule(double candidate, double stable);

#endif
