/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the evidence is made of: whole numbers that are only ever added. Addition of whole numbers is exact, so neither the order of outcomes nor the way
 * in which they were split among machines can be told from the result. They stop at SUM_MAX, where a difference of two still fits; nothing
 * real comes near it.
 */
#ifndef SERIN_ANALYSIS_SUMS_H
#define SERIN_ANALYSIS_SUMS_H

#include <stddef.h>
#include <stdint.h>

#define SUM_MAX ((INT64_C(1) << 62) - 1)

static inline int64_t sum_add(int64_t a, int64_t b) {
    int64_t sum = a + b;
    if (sum > SUM_MAX) return SUM_MAX;
    return sum < -SUM_MAX ? -SUM_MAX : sum;
}

static inline void sums_add(int64_t *sums, const int64_t *more, size_t count) {
    for (size_t i = 0; i < count; i++)
        sums[i] = sum_add(sums[i], more[i]);
}

#endif
