/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most of the time of taking in an outcome goes into the logarithms here, eight for every channel and direction. log_quanta() is therefore its own:
 * take off the exponent, multiply the rest by the tabled inverse of its neighbourhood, and five terms of the series do for what remains
 * (|r| <= 2^-8, the next term is below 6e-16). It is a few multiplications and additions of IEEE doubles in a fixed order and no call of libm, so that
 * two machines, and two versions of a C library, add up the very same whole numbers.
 */
#include "analysis/betting.h"
#include "analysis/kernels.h"

#include <math.h>
#include <string.h>

#define LN2 0x1.62e42fefa39efp-1
#define MANTISSA_BITS 52
#define ROW_BITS 7
#define EXPONENT_BIAS 1023
#define LEFT_AT_LEAST 0x1p-10 /* of the wealth after any bet; by the bound it is 0.1, but for rounding */

/* 0.9 x 0.6^k */
static const double fractions[BETS] = {0.9, 0.54, 0.324, 0.1944, 0.11664, 0.069984, 0.0419904, 0.02519424};

static const struct {
    double inverse, log;
} rows[1 << ROW_BITS] = {
#define LOG_ROW(inverse, log) {inverse, log},
#include "analysis/log_table.def"
#undef LOG_ROW
};

int64_t log_quanta(double x) {
    uint64_t bits, one = (uint64_t)EXPONENT_BIAS << MANTISSA_BITS, mantissa;
    memcpy(&bits, &x, sizeof(bits));
    mantissa = (bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | one;
    size_t row = bits >> (MANTISSA_BITS - ROW_BITS) & ((1u << ROW_BITS) - 1);
    int exponent = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    double rest;
    memcpy(&rest, &mantissa, sizeof(rest));
    double r = rest * rows[row].inverse - 1;
    double series = r * (1 - r * (1.0 / 2 - r * (1.0 / 3 - r * (1.0 / 4 - r * (1.0 / 5)))));
    double quanta = (exponent * LN2 + (rows[row].log + series)) * BET_QUANTA;
    return (int64_t)(quanta + (quanta < 0 ? -0.5 : 0.5));
}

double bet_bound(const struct bet_terms *terms) {
    double m = terms->centre, pi = terms->share;
    return terms->direction == HARM ? fmax(m / pi, (1 - m) / (1 - pi)) + terms->margin
                                    : fmax((1 - m) / pi, m / (1 - pi)) - terms->margin;
}

void wager_init(struct wager *wager, const struct bet_terms *terms) {
    double m = terms->centre, pi = terms->share, bound = bet_bound(terms);
    *wager = (struct wager){0};
    if (!(bound > 0)) return;
    /* z = (badness - m) / pi for the candidate, -(badness - m) / (1 - pi) for stable; w = (z - margin) / B, or its negative to go on. */
    double sign = (terms->direction == HARM ? 1 : -1) / bound;
    wager->slope[1] = sign / pi;
    wager->offset[1] = sign * (-m / pi - terms->margin);
    wager->slope[0] = -sign / (1 - pi);
    wager->offset[0] = sign * (m / (1 - pi) - terms->margin);
}

void wager_logs(const struct wager *wager, bool candidate, double badness, int64_t ret[BETS]) {
    double w = wager->offset[candidate] + wager->slope[candidate] * badness;
    for (size_t k = 0; k < BETS; k++) {
        double left = 1 + fractions[k] * w;
        ret[k] = log_quanta(left > LEFT_AT_LEAST ? left : LEFT_AT_LEAST);
    }
}

double bets_log(const int64_t sums[BETS], const int64_t *before) {
    double a[BETS];
    for (size_t k = 0; k < BETS; k++)
        a[k] = (double)(sums[k] - (before ? before[k] : 0)) / BET_QUANTA;
    return log_sum_exp(a, BETS) - log(BETS);
}
