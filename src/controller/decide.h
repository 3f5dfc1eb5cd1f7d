/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be done about a rollout, as a pure function of its plan, of where it stands, of the facts around it and of what the analysis says. The controller
 * acts by it, the simulator and replay call the same function, and whoever has what it saw can have its answer again, bit for bit.
 *
 * The rules, in their order:
 *   - going back is always possible, from any open state and past any hold: a hard limit, then evidence of harm, then a guard that rolls back. A
 *     split that is not as planned takes the say away from the evidence of harm, not from limits and guards;
 *   - asking a person (hold) is possible while it runs: split, harm where the plan asks, a guard, no data, no verdict within the step's max_time;
 *   - going on needs time, units and evidence of the step and every guard known to be fine, and nobody's word against it: a hold, a panic,
 *     a step that waits for approval, an end that asks. Without a verdict nothing ever goes on by itself.
 * A paused or held rollout is not held again: it waits for a person already.
 *
 * No allocation, no clock; words go into a string that the caller owns.
 */
#ifndef SERIN_CONTROLLER_DECIDE_H
#define SERIN_CONTROLLER_DECIDE_H

#include "analysis/verdict.h"
#include "model/rollout.h"

enum rollout_action {
    ROLLOUT_WAIT,
    ROLLOUT_HOLD,
    ROLLOUT_ADVANCE,
    ROLLOUT_PROMOTE,
    ROLLOUT_ROLL_BACK,
    ROLLOUT_ACTION_COUNT_
};
const char *rollout_action_name(enum rollout_action action); /* as in the journal: "rollback"; "wait" stands in none */

enum rollout_reason {
#define REASON(id, name, action, meaning, remedy) REASON_##id,
#include "controller/reasons.def"
#undef REASON
    REASON_COUNT_
};
const char *rollout_reason_name(enum rollout_reason reason);    /* "sample_ratio" */
const char *rollout_reason_meaning(enum rollout_reason reason); /* for people */
const char *rollout_reason_remedy(enum rollout_reason reason);
enum rollout_action rollout_reason_action(enum rollout_reason reason); /* the one action that it goes with */
bool rollout_reason_from_text(struct slice name, enum rollout_reason *ret);

/* Times are microseconds, 0 = never. */

/* Decisions and outcomes of one arm. `unanswered_since`: the first decision after its newest outcome. */
struct arm_flow {
    int64_t outcome_at, decision_at, unanswered_since;
};

/* Where the rollout stands, and what else matters. */
struct rollout_facts {
    enum rollout_state state;
    unsigned step;
    int64_t step_at;  /* this share came into force */
    int64_t moved_at; /* its newest move: what runs out while it runs begins anew with a person's resume */
    int64_t now;
    bool ref_held;                                /* a person's hold on the ref */
    bool panic;                                   /* one is in force there */
    bool may_promote;                             /* the environment lets automation promote */
    struct arm_flow flow[2];                      /* [0] stable, [1] candidate */
    struct guard_seen guards[ROLLOUT_GUARDS_MAX]; /* the plan's */
};

/* What going on still asks for, bit by bit. */
enum rollout_missing {
    MISSING_TIME = 1,
    MISSING_UNITS = 2,
    MISSING_EVIDENCE = 4,
    MISSING_GUARD = 8,
    MISSING_RELEASE = 16, /* of a hold or panic */
    MISSING_PERSON = 32,  /* approval of the step, or a promotion at the end */
};

struct rollout_ruling {
    enum rollout_action action;
    enum rollout_reason reason;
    unsigned missing; /* of enum rollout_missing */
    size_t guard;     /* GUARD, GUARD_HELD, GUARD_UNSURE: which of the plan's */
    unsigned arm;     /* NO_DATA: which */
};

/* `verdict` is analysis_judge() of this plan's evidence at facts->step. A step that the plan does not have: WAIT, ENDED. */
struct rollout_ruling rollout_decide(const struct rollout_plan *plan, const struct rollout_facts *facts,
                                     const struct verdict *verdict);

/* Appends the ruling in words: "rolled back at 5 %: error ratio 2.9 (95 % CS 1.6 to 5.3) after 640 units; evidence 412:1 against <= 1.1". At most
 * RULING_WORDS_MAX bytes. */
#define RULING_WORDS_MAX 2000
void rollout_words(const struct rollout_plan *plan, const struct rollout_facts *facts, const struct verdict *verdict,
                   const struct rollout_ruling *ruling, struct str *out);

/* ---- what comes next (outlook.c) ---- */

#define OUTLOOK_UNKNOWN (-1) /* nothing to reckon with yet */

/* When going on may come at the earliest, if the candidate is as good as stable and units come as they did at this step. Planning figures: within some
 * 25 % of the median, not promises. A part that is there already has the time 0; OUTLOOK_UNKNOWN where nothing can be said. */
struct rollout_outlook {
    enum rollout_action next; /* ADVANCE, PROMOTE, HOLD when the end asks; WAIT: nothing, it ended */
    unsigned missing;         /* of enum rollout_missing */
    int64_t time_at, units_at, evidence_at;
    int64_t earliest; /* the latest of the three */
    size_t metric;    /* the one whose evidence takes longest */
    int64_t asks_at;  /* max_time: a person is asked then */
};
void rollout_look_ahead(const struct rollout_plan *plan, const struct rollout_facts *facts,
                        const struct verdict *verdict, struct rollout_outlook *ret);
/* Candidate units that one metric's evidence to go on takes on average until it reaches log_enough, from 0: at a stable rate and share, for a candidate as good
 * as stable. INFINITY: never. */
double plan_go_on_units(const struct metric *metric, double accept, const struct ratio_truth *truth, double log_enough);
/* The same of its evidence of harm, for a candidate that is as bad as `truth` says. */
double plan_harm_units(const struct metric *metric, const struct ratio_truth *truth, double log_enough);

/* ---- before it is started (ahead.c) ---- */

struct traffic {
    double units_per_day;
    double error_rate; /* of stable, by unit */
};
/* What a step takes from its beginning on, by its error metric (else its first METRIC_EVENT) alone; microseconds, or OUTLOOK_UNKNOWN: never, or not to be reckoned.
 * Medians, within some 25 %. */
struct step_ahead {
    double units_per_day;          /* of the candidate */
    int64_t time, units, evidence; /* until min_time, min_units, and the evidence of a candidate as good as stable */
    int64_t earliest;              /* the latest of the three */
    bool asks;                     /* max_time comes first: a person is asked */
    int64_t twice;                 /* until a candidate that fails twice as often is found */
    double found;                  /* the smallest error rate of a candidate that is found within max_time; NAN: none */
};
void rollout_step_ahead(const struct rollout_plan *plan, const struct traffic *traffic, size_t step,
                        struct step_ahead *ret);
/* Which metric that goes by; NULL: none, and evidence and harm are unknown. */
const struct metric *rollout_ahead_metric(const struct rollout_plan *plan);

#endif
