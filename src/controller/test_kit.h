/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the controller: a plan of three steps, a rollout that could go on, verdicts made by hand. */
#ifndef SERIN_CONTROLLER_TEST_KIT_H
#define SERIN_CONTROLLER_TEST_KIT_H

#include "controller/decide.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define START INT64_C(1760000000000000)

/* 5, 25, 50 %; ten minutes to a day and 100 units each; errors of weight 1. */
static inline struct rollout_plan kit_plan(void) {
    struct rollout_plan plan = {.step_count = 3,
                                .metric_count = 1,
                                .no_data_after = 10 * MINUTE,
                                .alpha = 0.05,
                                .beta = 0.05,
                                .alpha_srm = 0.001,
                                .ratio = {1.5, 1.1, 100}};
    static const int32_t shares[] = {5000, 25000, 50000};
    for (size_t s = 0; s < plan.step_count; s++)
        plan.steps[s] =
            (struct rollout_step){.share = shares[s], .min_time = 10 * MINUTE, .max_time = 24 * HOUR, .min_units = 100};
    plan.metrics[0] = (struct metric){.name = "error",
                                      .kind = METRIC_EVENT,
                                      .lower_is_better = true,
                                      .weight = 1,
                                      .harm = 1.1,
                                      .accept = 1.5,
                                      .harm_floor = 0.001,
                                      .accept_floor = 0.005};
    return plan;
}

/* Running at the first step for an hour, everything in order. */
static inline struct rollout_facts kit_facts(void) {
    struct rollout_facts facts = {
        .state = ROLLOUT_RUNNING, .step_at = START, .moved_at = START, .now = START + HOUR, .may_promote = true};
    for (unsigned arm = 0; arm < 2; arm++)
        facts.flow[arm] = (struct arm_flow){.outcome_at = facts.now, .decision_at = facts.now};
    return facts;
}

static inline struct verdict kit_verdict(enum verdict_outcome outcome) {
    bool pass = outcome == VERDICT_PASS;
    struct verdict verdict = {.outcome = outcome,
                              .harm_log = outcome == VERDICT_HARM ? 6.02 : -1,
                              .units = 640,
                              .step_units = 640,
                              .metric_count = 1};
    verdict.metrics[0] = (struct metric_verdict){.candidate = {640, 37, 0.058, NAN, NAN, NAN},
                                                 .stable = {12160, 243, 0.02, NAN, NAN, NAN},
                                                 .harm_log = outcome == VERDICT_HARM ? 6.02 : -1,
                                                 .go_on_log = pass ? 3.5 : 1,
                                                 .accept = 1.5,
                                                 .has_minimum = true,
                                                 .goes_on = pass,
                                                 .compared = {2.9, 1.6, 5.3}};
    return verdict;
}

#endif
