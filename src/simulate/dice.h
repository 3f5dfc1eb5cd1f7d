/* SPDX-License-Identifier: Apache-2.0 */
/* Chance from a seed: SplitMix64 (Steele, Lea and Flood, 2014), so that a seed means the same run everywhere. One owner. */
#ifndef SERIN_SIMULATE_DICE_H
#define SERIN_SIMULATE_DICE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
    double spare; /* the second of a pair of normal numbers */
    bool has_spare;
};

static inline uint64_t dice_next(struct dice *dice) {
    uint64_t x = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The dice of one run: runs have nothing in common, in whatever order they are made. */
static inline struct dice dice_of_run(uint64_t seed, uint64_t run) {
    struct dice mixer = {.state = seed}, ret = {.state = dice_next(&mixer) ^ run * UINT64_C(0xd1342543de82ef95)};
    ret.state = dice_next(&ret);
    return ret;
}

static inline double dice_uniform(struct dice *dice) {
    return (double)(dice_next(dice) >> 11) * 0x1p-53;
}

static inline bool dice_hits(struct dice *dice, double chance) {
    return dice_uniform(dice) < chance;
}

/* Marsaglia's polar method: two numbers at a time. */
static inline double dice_normal(struct dice *dice) {
    double x, y, square;
    if (dice->has_spare) {
        dice->has_spare = false;
        return dice->spare;
    }
    do {
        x = 2 * dice_uniform(dice) - 1;
        y = 2 * dice_uniform(dice) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    double scale = sqrt(-2 * log(square) / square);
    dice->spare = y * scale;
    dice->has_spare = true;
    return x * scale;
}

/* How many of `tries` hit, by the gaps between hits: the cost goes by the hits, not by the tries. */
static inline int64_t dice_count(struct dice *dice, int64_t tries, double chance) {
    int64_t hits = 0;
    if (tries <= 0 || !(chance > 0)) return 0;
    if (chance >= 1) return tries;
    if (chance > 0.5) return tries - dice_count(dice, tries, 1 - chance);
    double per_miss = 1 / log1p(-chance);
    for (double at = 0;; hits++) {
        at += floor(log(1 - dice_uniform(dice)) * per_miss) + 1;
        if (at > (double)tries) return hits;
    }
}

#endif
