/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A distribution of numbers that are not negative, as counts in buckets whose borders grow by a factor: every quantile is right within SKETCH_ERROR of its
 * value (DDSketch: Masson, Rim and Lee, VLDB 2019; design page "analysis", section 4). Sketches of parts, added, are the sketch of the whole, bit for bit.
 *
 * Buckets are numbered by *places* in order of value: 0 holds the zeros, place p > 0 the values in (gamma^(i-1), gamma^i] with i = SKETCH_FIRST + p - 1.
 * The range is fixed: about 8e-7 to 4e9; what lies beyond it counts in the outermost bucket. A plain record of 14 KiB, no allocation.
 */
#ifndef SERIN_ANALYSIS_SKETCH_H
#define SERIN_ANALYSIS_SKETCH_H

#include "base/mem.h"

#include <stdint.h>

#define SKETCH_ERROR 0.01
#define SKETCH_LOG_GAMMA 0x1.47b0e059d0597p-6 /* log((1 + 0.01) / (1 - 0.01)) */
#define SKETCH_FIRST (-700)
#define SKETCH_LAST 1100
#define SKETCH_PLACES ((size_t)(SKETCH_LAST - SKETCH_FIRST + 2))

struct sketch {
    int64_t total;
    int64_t counts[SKETCH_PLACES];
};

/* The place of a value, and of one above 0 by its natural logarithm. NaN, infinities and what is below 0 are the caller's to keep away: they
 * go to an outermost place. */
size_t sketch_place(double value);
size_t sketch_place_of_log(double log_value);
/* What a place stands for: within SKETCH_ERROR of everything in it. */
double sketch_value(size_t place);
/* ceil(log(value) / log(gamma)), not clamped; value > 0. */
double sketch_index(double value);

void sketch_add(struct sketch *sketch, size_t place);
void sketch_add_many(struct sketch *sketch, size_t place, int64_t count);
void sketch_merge(struct sketch *sketch, const struct sketch *more);

/* The place of the q-quantile: the first with at least q of all counts at or before it. 0 for an empty sketch. */
size_t sketch_quantile_place(const struct sketch *sketch, double q);
/* Its value; NAN for an empty sketch. */
double sketch_quantile(const struct sketch *sketch, double q);
/* The mean, within SKETCH_ERROR; NAN for an empty sketch. */
double sketch_mean(const struct sketch *sketch);
int64_t sketch_above(const struct sketch *sketch, size_t place); /* counts at later places */
/* For each place the mid-ECDF: (counts before it + half of its own) / total. An empty sketch: 1/2 everywhere. */
void sketch_ranks(const struct sketch *sketch, double ret[SKETCH_PLACES]);

#endif
