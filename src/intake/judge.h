/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the evidence of a rollout is kept: the analysis behind a table of functions, so that the intake is tested with sums that can be counted by hand.
 * All of it must be a pure function of the calls in their order: what a restart replays must give the same bytes.
 */
#ifndef SERIN_INTAKE_JUDGE_H
#define SERIN_INTAKE_JUDGE_H

#include "base/err.h"
#include "base/str.h"
#include "model/rollout.h"

/* One outcome as evidence. */
struct judge_observation {
    bool candidate;
    unsigned stage;
    uint64_t unit;
    int64_t at;
    uint32_t events;  /* bit i: metric i (METRIC_EVENT) has happened */
    uint32_t present; /* bit i: values[i] is there */
    double values[ROLLOUT_METRICS_MAX];
};

/* JUDGE_SHORT is what a verdict needs; JUDGE_WHOLE can be gone on with. */
enum judge_part { JUDGE_SHORT, JUDGE_WHOLE };

struct judge {
    int (*make)(const struct rollout_plan *plan, int64_t now, void **ret, struct err *err);
    void (*free)(void *evidence);
    int (*add)(void *evidence, const struct judge_observation *observation); /* 0 or NO_MEMORY */
    void (*tick)(void *evidence, int64_t now);
    void (*enter)(void *evidence, size_t step, int64_t now); /* the rollout came to another step */
    int (*write)(const void *evidence, enum judge_part part, struct str *out);
    int (*read)(const struct rollout_plan *plan, struct slice bytes, void **ret, struct err *err);
};

extern const struct judge judge_analysis; /* analysis/evidence.h */

#endif
