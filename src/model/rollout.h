/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout as a plan: its steps, and the metrics by which it is judged. Plain records like those of nouns.h, the same for the analysis, the
 * store, the snapshot and the controller. Shares count in thousandths of a percent (SHARE_ALL is everybody), times in microseconds.
 */
#ifndef SERIN_MODEL_ROLLOUT_H
#define SERIN_MODEL_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARE_ALL 100000
#define ROLLOUT_STEPS_MAX 20
#define ROLLOUT_METRICS_MAX 12

/* How a metric is measured on a unit, and with that how it is tested. */
enum metric_kind {
    METRIC_EVENT, /* it happened to the unit or not: error, tool_errors, feedback (a thumb down). Margins are ratios */
    METRIC_SCORE, /* 0 … 1: score.<name>. Margins are differences */
    METRIC_SIZE,  /* a number that is not negative, less is better: latency, cost, tokens. Margins are ratios */
};

struct metric {
    const char *name;
    enum metric_kind kind;
    bool lower_is_better; /* METRIC_SCORE; the others always are */
    double weight;        /* of its evidence of harm among that of all metrics; they sum to 1 */
    double harm;          /* up to this much worse is acceptable: what must be refuted to roll back */
    double accept;        /* this much worse is harmful: what must be refuted to go on; a step may say otherwise for METRIC_EVENT */
    double harm_floor;    /* METRIC_EVENT: a stable rate below it counts as this, to roll back */
    double accept_floor;  /* the same, to go on */
    double limit;         /* the candidate's rate or mean past which it is rolled back without evidence; 0 = none */
    int64_t limit_units;  /* of at least so many candidate units */
};

struct rollout_step {
    int32_t share;
    int64_t min_time;  /* at this step before the next */
    int64_t min_units; /* candidate units at this step before the next */
    double accept;     /* the ratio that METRIC_EVENT metrics must refute here; 0 = the metric's own */
    bool approval;     /* the next step waits for a person */
};

enum rollout_judge { JUDGE_EVIDENCE, JUDGE_RATIO };

struct rollout_plan {
    struct rollout_step steps[ROLLOUT_STEPS_MAX];
    size_t step_count;
    struct metric metrics[ROLLOUT_METRICS_MAX];
    size_t metric_count;
    enum rollout_judge judge;
    double alpha;     /* chance of a false rollback, over all metrics, steps and looks */
    double beta;      /* chance of going on with a harmful candidate */
    double alpha_srm; /* chance of a false alarm of the sample ratio */
    int64_t settle;    /* evidence to go on is of units assigned at least so long ago */
    int64_t watermark; /* the same for evidence of harm */
};

#endif
