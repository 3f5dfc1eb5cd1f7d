/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K2: betting on a number in [0, 1] ("badness", less is better) that each unit of either arm brings (design page "analysis", section 3; Waudby-Smith and
 * Ramdas, arXiv 2010.09686; Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, arXiv 2210.10768).
 *
 * Each unit is turned into z, an unbiased reading of (mean badness of the candidate - of stable), and a stake of c_k w(z) of the wealth is bet on it, for
 * eight fractions c_k. The log of each wealth is a sum over units, kept as a whole number of quanta; sums from anywhere may be added.
 *
 * Exact for any distribution and drift, as long as units are assigned by chance with the share stated, and centre and badness were fixed before
 * the unit was assigned or seen.
 */
#ifndef SERIN_ANALYSIS_BETTING_H
#define SERIN_ANALYSIS_BETTING_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define BETS 8
#define BET_QUANTA 68719476736.0 /* quanta in a nat: 2^36, so that a rounding is at most 7.3e-12 */

enum direction { HARM, GO_ON, DIRECTIONS };

/* What one bet is about. `share` in (0, 1): the candidate's; `centre` in (0, 1): a guess of stable's mean badness; `margin`: the difference of means to be
 * refuted, at most it (HARM) or at least it (GO_ON). */
struct bet_terms {
    double share, centre, margin;
    enum direction direction;
};

/* The bound B that keeps a stake from losing more than everything. Not above 0: no bet is possible. */
double bet_bound(const struct bet_terms *terms);

/* w as a line in the badness, for stable [0] and the candidate [1]. */
struct wager {
    double offset[2], slope[2];
};
void wager_init(struct wager *wager, const struct bet_terms *terms);
/* What a unit adds to the log of each wealth, in quanta. */
void wager_logs(const struct wager *wager, bool candidate, double badness, int64_t ret[BETS]);

/* The log e-value of sums since `before` (NULL: since the start). */
double bets_log(const int64_t sums[BETS], const int64_t *before);

/* log(x) in quanta, rounded to the nearest: the same on every machine. 2^-20 <= x <= 2^40. */
int64_t log_quanta(double x);

#endif
