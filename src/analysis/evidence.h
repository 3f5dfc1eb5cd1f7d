/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evidence of one rollout: what its outcomes add up to, under a plan. Whole numbers only (sums.h), so the order of outcomes of different units does not
 * matter and parts may be merged; no clock: the caller says what time it is.
 *
 * Two kinds, kept apart all the way:
 *   - evidence of HARM counts a unit's first event and first value in the whole rollout, over all steps: the test that may roll back is rigorous;
 *   - evidence to GO ON counts its first in the step where the rollout stands, and begins anew with each step, so that a small population that
 *     comes back every day can still pass the later ones.
 * Either waits until a unit was assigned long enough ago: the plan's `watermark` and `settle`. What waits is kept by time of assignment in 64 slots, each
 * a 32nd of the wait and at least a second, so evidence is at most that much late. They reach as far ahead of the last tick as the wait, or a minute when that is more;
 * so tick at least once a minute, also while old outcomes pour in: what is assigned further ahead is not counted.
 *
 * Time goes in ticks. Within a tick everything that decides how an outcome counts stands still (thresholds, the centres of bets); evidence_tick()
 * fixes it anew from the stable arm of strictly earlier ticks, lets what is old enough count, and takes restart snapshots.
 *
 * One owner, no lock. Memory is bounded (evidence_memory()); evidence_add() allocates only when the set of units grows.
 */
#ifndef SERIN_ANALYSIS_EVIDENCE_H
#define SERIN_ANALYSIS_EVIDENCE_H

#include "base/err.h"
#include "base/str.h"
#include "model/rollout.h"

#include <stdbool.h>
#include <stdint.h>

/* The outcome of one run of a unit. */
struct observation {
    bool candidate; /* the arm, by the unit and the share at `at` */
    unsigned stage; /* the step in whose time `at` lies */
    /* Stands for the unit; two units share one with a chance of 2^-64. Made of other bits than the bucket's: the last sixteen digits of the unit's text. */
    uint64_t unit;
    int64_t at;       /* time of the decision, microseconds */
    uint32_t events;  /* bit i: what the plan's metric i (METRIC_EVENT) counts has happened */
    uint32_t present; /* bit i: values[i] is there (METRIC_SCORE, METRIC_SIZE) */
    double values[ROLLOUT_METRICS_MAX];
};

struct evidence;

/* No evidence yet, at the plan's first step. Copies what it needs of the plan. Errors: NO_MEMORY; INVALID when the plan has no step, no
 * metric, or more than there may be. */
int evidence_new(const struct rollout_plan *plan, int64_t now, struct evidence **ret, struct err *err) MUST_CHECK;
struct evidence *evidence_free(struct evidence *evidence);
DEFINE_CLEANUP(struct evidence *, evidence_free)

/* Takes in an outcome. Always safe: what cannot count is left out and counted (evidence_left_out()). 0, or NO_MEMORY with nothing changed. */
int evidence_add(struct evidence *evidence, const struct observation *observation) MUST_CHECK;
/* Takes in `count` outcomes (at most STRANGERS_MAX) that are all alike, of as many different units of which no other outcome ever comes: the same evidence, without
 * remembering who they were, so no set of units grows. For simulations, whose users may be without number; `unit` is not looked at. */
#define STRANGERS_MAX (INT64_C(1) << 20)
void evidence_add_strangers(struct evidence *evidence, const struct observation *observation, int64_t count);
/* Ends the tick; `now` in microseconds, taken as the last one when it goes back. */
void evidence_tick(struct evidence *evidence, int64_t now);
/* The rollout has come to another step: a tick, a restart snapshot, and evidence to go on from nothing. Steps only go up. */
void evidence_enter(struct evidence *evidence, size_t step, int64_t now);
size_t evidence_step(const struct evidence *evidence);

/* `refused`: a step that has not begun, the other arm than before in the same step, a value that is no number or out of range; with a `watermark`,
 * assigned too far ahead of the last tick. `thinned`: of units that are not eligible any more (units.h). `late`: counted as harm but not to go
 * on, because assigned too far ahead of the last tick; to be seen when ticks stop. */
struct left_out {
    int64_t refused, thinned, late;
};
struct left_out evidence_left_out(const struct evidence *evidence);
size_t evidence_memory(const struct evidence *evidence); /* bytes it has allocated */

/* ---- parts ---- */

/* Outcomes may be split among several evidences of one plan, all outcomes of a unit to the same one. At the end of a tick they are merged into one, the leader,
 * which does the tick or enters a step; each part then follows: it does what the leader did and takes over what the leader fixed. Merged
 * parts have the bytes of the whole, as long as no set of units was thinned.
 *
 * Adds `more` to `evidence`. CONFLICT, and nothing changed, when they are of different plans or ticks or have a unit in common; NO_MEMORY. */
int evidence_merge(struct evidence *evidence, const struct evidence *more, struct err *err) MUST_CHECK;
/* CONFLICT when the leader is not exactly one tick ahead, or of another plan. */
int evidence_follow(struct evidence *evidence, const struct evidence *leader, struct err *err) MUST_CHECK;

/* ---- bytes ---- */

/* EVIDENCE_WHOLE can be gone on with. EVIDENCE_JUDGED is what a verdict needs (verdict.h) and nothing else: small, for a journal. */
enum evidence_part { EVIDENCE_JUDGED, EVIDENCE_WHOLE };
/* Appends the bytes; the same evidence always has the same. The units need a moment's copy of them. */
int evidence_write(const struct evidence *evidence, enum evidence_part part, struct str *out) MUST_CHECK;
/* Any bytes: an evidence, or INVALID (damaged, another plan, a newer version), or NO_MEMORY. An evidence read from EVIDENCE_JUDGED is for judging only. */
int evidence_read(const struct rollout_plan *plan, struct slice bytes, struct evidence **ret,
                  struct err *err) MUST_CHECK;

#endif
