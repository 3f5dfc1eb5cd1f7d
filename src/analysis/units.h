/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units that a rollout has seen, and what of each was counted, so that one user's tenth error is not ten errors.
 *
 * At most UNITS_MAX are kept. Past that the set is thinned: from then on only units count whose hash falls into half of the hashes so far. Those that
 * do not are forgotten (what was counted of them stays counted) and never counted again. See units.c for why no test minds.
 *
 * Memory: 16 bytes a slot, half to three quarters of the slots in use: 1 KiB for the first units, 8 MiB for UNITS_MAX (12 MiB for the moment in which it grows).
 * One owner, no lock.
 */
#ifndef SERIN_ANALYSIS_UNITS_H
#define SERIN_ANALYSIS_UNITS_H

#include "base/mem.h"
#include "model/rollout.h"

#include <stdbool.h>
#include <stdint.h>

#define UNITS_MAX ((size_t)1 << 18)
#define UNITS_LEVEL_MAX 63 /* at most two keys are eligible there: thinning always ends */

/* Above 0. */
#define UNITS_NOT_ELIGIBLE 1

struct unit {
    uint64_t key;
    unsigned in_rollout : ROLLOUT_METRICS_MAX;  /* bit per metric: counted in this rollout */
    unsigned in_step : ROLLOUT_METRICS_MAX;     /* bit per metric: counted in step `step` */
    unsigned step : 5;                          /* the latest one that saw the unit */
    unsigned candidate : 1;                     /* its arm there */
    unsigned was_candidate : 1, was_stable : 1; /* in any step; both 0: the unit is new */
};

struct units {
    struct unit *slots; /* 1 << log2_slots, NULL: none */
    unsigned log2_slots;
    unsigned level; /* units with `level` low zero bits in their hash are eligible */
    size_t count;
};

#define UNITS_INIT ((struct units){0})
void units_deinit(struct units *units);

/* The unit, added when it was not there (the caller then sets was_candidate or was_stable at once). The pointer holds until the next call.
 * 0, UNITS_NOT_ELIGIBLE, or NO_MEMORY with nothing changed. May thin the set. */
int units_put(struct units *units, uint64_t key, struct unit **ret) MUST_CHECK;
const struct unit *units_find(const struct units *units, uint64_t key); /* or NULL */
bool units_eligible(const struct units *units, uint64_t key);
/* Halves the fraction of eligible units `levels` times. */
void units_thin(struct units *units, unsigned levels);
/* Takes in units that this set has none of (UNITS_SHARED when it has one: nothing changed); thins both to the level that holds them. The result does not
 * depend on who takes in whom. */
#define UNITS_SHARED 1
int units_merge(struct units *units, const struct units *more) MUST_CHECK; /* 0, UNITS_SHARED, NO_MEMORY */
/* All units in order of key; free() it. NULL without memory, or without units. */
struct unit *units_sorted(const struct units *units) MUST_CHECK;

#endif
