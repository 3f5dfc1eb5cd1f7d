/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollouts in a described world, under a clock of its own: the decisions are those of the controller (decide), the evidence and verdicts those of the
 * analysis, buckets and units those of the resolver. Only chance, time and the people are made up. A run depends on world, seed and its number
 * alone, not on the machine, the number of threads, or the other runs.
 *
 * Each look of the controller: requests fall to the arms by their buckets; outcomes become evidence; a tick; a verdict; a decision. A rollout ends
 * when it is promoted, rolled back or held (nobody answers), or at the world's horizon.
 */
#ifndef SERIN_SIMULATE_SIMULATE_H
#define SERIN_SIMULATE_SIMULATE_H

#include "controller/decide.h"
#include "simulate/world.h"

enum fate { FATE_PROMOTED, FATE_ROLLED_BACK, FATE_HELD, FATE_UNFINISHED, FATES };
const char *fate_name(enum fate fate); /* "rolled back" */

struct run_result {
    enum fate fate;
    enum rollout_reason reason;
    unsigned step; /* where it ended */
    int64_t units; /* of the candidate */
    int64_t requests;
    int64_t time; /* since the start, microseconds */
};

/* Told of every move of a rollout, with the evidence it was reached from. NULL: nobody. Answers below 0 end the run with that failure. */
struct run_watcher {
    int (*moved)(void *ctx, const struct rollout_plan *plan, const struct rollout_facts *facts,
                 const struct evidence *evidence, const struct rollout_ruling *ruling);
    void *ctx;
};

/* One run. `judge` takes the place of the plan's. NO_MEMORY, or the watcher's failure. */
int simulate_run(const struct world *world, enum rollout_judge judge, uint64_t seed, uint64_t run,
                 const struct run_watcher *watcher, struct run_result *ret, struct err *err) MUST_CHECK;

/* All of one rule. Figures of those runs that had the fate; 0 when none had. */
struct fate_figures {
    int64_t runs;
    double low, high; /* share of all runs: 95 % interval (Wilson) */
    int64_t units_median, units_p90, time_median, time_p90;
};
struct rule_figures {
    int64_t runs, units, requests; /* units and requests: of all runs together */
    struct fate_figures fates[FATES];
    int64_t reasons[REASON_COUNT_];   /* of the last decision */
    int64_t steps[ROLLOUT_STEPS_MAX]; /* where runs ended */
};
struct simulation {
    struct rule_figures rules[2]; /* by enum rollout_judge; [JUDGE_RATIO] without runs unless compared */
};
struct simulate_options {
    int64_t runs;
    uint64_t seed;
    bool compare;     /* the plain ratio rule in the same worlds too */
    unsigned threads; /* 0 = 1 */
};
int simulate(const struct world *world, const struct simulate_options *options, struct simulation *ret,
             struct err *err) MUST_CHECK;

#endif
