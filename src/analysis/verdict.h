/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the evidence of a rollout says. A pure function of plan, evidence and step: whoever keeps the evidence's bytes can have every verdict again, bit for bit.
 *
 * Harm: the wealths of all metrics' bets, averaged with the metrics' weights (an average of e-values is one, however they depend on each other), over copies
 * that started with the rollout and at every restart snapshot. Rolling back when it reaches 1/alpha is wrong with a chance of at most alpha over all
 * metrics, steps and looks together. Going on asks each metric by itself for 1/beta, of the evidence of the step that stands (an intersection-union test: no
 * correction for their number is due). Design page "analysis", sections 2.3, 4 and 6.
 *
 * What nobody can be compared with (a step of share 0 or all) gives no evidence: such a step passes by its number of units.
 */
#ifndef SERIN_ANALYSIS_VERDICT_H
#define SERIN_ANALYSIS_VERDICT_H

#include "analysis/evidence.h"
#include "analysis/kernels.h"

/* Candidate units with the event, or with a value, before that metric may roll back by evidence. */
#define VERDICT_EVENTS_MIN 3
/* Going on asks for the 99th percentile from this share on: below it, it would take too long. */
#define VERDICT_TAIL_SHARE 0.25

enum verdict_outcome {
    VERDICT_GOING_ON, /* not enough evidence either way */
    VERDICT_PASS,     /* every metric goes on, and there are units enough */
    VERDICT_SPLIT,    /* the arms' units are not split as planned: nothing else can be trusted */
    VERDICT_HARM,
};
const char *verdict_outcome_name(enum verdict_outcome outcome); /* "going on" */

/* One arm by one metric, over the whole rollout. NAN: no data. */
struct arm_figures {
    int64_t units; /* METRIC_EVENT: all that were in the arm; else those with a value */
    int64_t events;
    double mean;          /* METRIC_EVENT: the rate; METRIC_SIZE: within 1 % */
    double p50, p95, p99; /* METRIC_SIZE, within 1 % */
};

struct metric_verdict {
    struct arm_figures candidate, stable;
    double harm_log;  /* log e-value against "at most `harm` worse", with restarts */
    double go_on_log; /* log e-value against "at least `accept` worse", of this step */
    double accept;    /* what of that holds in this step */
    bool has_minimum; /* VERDICT_EVENTS_MIN */
    bool goes_on;
    bool past_limit;
    /* The candidate against stable. METRIC_EVENT: the ratio of rates, by K1, with its 1 - alpha confidence sequence. METRIC_SCORE: the difference of means, with
     * the bounds from both arms' mean_interval() at alpha / 2: valid at all times, and wider than the evidence. METRIC_SIZE: the ratio of means, no bounds (NAN). */
    struct interval compared;
};

struct verdict {
    enum verdict_outcome outcome;
    size_t metric;    /* HARM: the one with most weight in it */
    bool by_limit;    /* HARM: it is past its hard limit; that is no evidence */
    double harm_log;  /* of the metrics that have their minimum; -INFINITY when none has */
    double split_log; /* log e-value against the planned split */
    /* Units by the step that first saw them: of both arms, of the candidate, and how many candidates the plan lets expect. */
    int64_t split_units, split_candidates;
    double split_expected;
    int64_t units;      /* of the candidate, in the rollout */
    int64_t step_units; /* of the candidate, in this step, old enough to count to go on */
    size_t metric_count;
    struct metric_verdict metrics[ROLLOUT_METRICS_MAX];
};

/* `step` is the evidence's own; for another there is no evidence to go on. The plan is the one of the evidence. */
void analysis_judge(const struct rollout_plan *plan, const struct evidence *evidence, size_t step, struct verdict *ret);

/* The same without the figures that are for people only: `compared`, and of a METRIC_SIZE the percentiles, and the mean where no rule needs it, are NAN. All
 * else has the same bits, at a tenth of the cost: for looks at which most often nothing happens. */
void analysis_judge_quick(const struct rollout_plan *plan, const struct evidence *evidence, size_t step,
                          struct verdict *ret);

/* Appends in words what decided: "error ratio 2.9 (95 % CS 1.6 to 5.3) after 640 units; evidence 412:1 against <= 1.1". */
void verdict_words(const struct rollout_plan *plan, const struct verdict *verdict, struct str *out);

#endif
