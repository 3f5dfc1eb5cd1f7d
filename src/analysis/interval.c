/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confidence sequences: all values that a mixture has not refuted at level alpha. Each likelihood here is concave with its top at the estimate, so
 * the set is an interval and each end is found by halving between the estimate (inside) and the edge (outside).
 */
#include "analysis/kernels.h"
#include "analysis/sums.h"

#include <math.h>

#define POINTS 64
#define STEPS 60
#define EDGE 20.0           /* log ratios beyond it are not told apart from 0 and infinity */
#define NORMAL_MIXTURE 12.0 /* variance at which mean_interval() is tightest is some ten times that: about 500 units */

struct search {
    double (*likelihood)(const void *counts, double at);
    const void *counts;
    double least; /* what is inside has more */
};

static double end_of(const struct search *search, double inside, double outside) {
    for (int i = 0; i < STEPS; i++) {
        double middle = (inside + outside) / 2;
        if (search->likelihood(search->counts, middle) > search->least)
            inside = middle;
        else
            outside = middle;
    }
    return (inside + outside) / 2;
}

/* ---- the ratio ---- */

static double of_ratio(const void *counts, double log_ratio) {
    return ratio_likelihood(counts, log_ratio);
}

/* The derivative of the likelihood: candidate events more than this ratio lets expect. */
static double surplus(const struct ratio_counts *counts, double log_ratio) {
    double ratio = exp(log_ratio), more = (double)counts->candidate;
    for (size_t j = 0; j < counts->stage_count; j++) {
        double tilted = counts->stages[j].share * ratio;
        more -= (double)counts->stages[j].events * tilted / (1 - counts->stages[j].share + tilted);
    }
    return more;
}

static double most_likely(const struct ratio_counts *counts) {
    double low = -EDGE, high = EDGE;
    for (int i = 0; i < STEPS; i++) {
        double middle = (low + high) / 2;
        if (surplus(counts, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static double ratio_least(const struct ratio_counts *counts, double alpha) {
    double a[POINTS];
    for (size_t i = 0; i < POINTS; i++)
        a[i] = ratio_likelihood(counts, -3 + 7 * (double)i / (POINTS - 1));
    return log_sum_exp(a, POINTS) - log(POINTS) + log(alpha);
}

struct interval ratio_interval(const struct ratio_counts *given, double alpha) {
    struct ratio_counts counts = {.candidate = given->candidate};
    int64_t events = 0;
    /* With nobody or everybody on the candidate an event tells nothing of the ratio: its likelihood is flat, and the search would stray. */
    for (size_t j = 0; j < given->stage_count; j++) {
        const struct stage_events *stage = &given->stages[j];
        if (stage->share >= 1) counts.candidate = sum_add(counts.candidate, -stage->events);
        if (stage->share <= 0 || stage->share >= 1 || stage->events <= 0) continue;
        counts.stages[counts.stage_count++] = *stage;
        events = sum_add(events, stage->events);
    }
    if (events == 0) return (struct interval){NAN, 0, INFINITY};
    if (counts.candidate < 0) counts.candidate = 0;
    if (counts.candidate > events) counts.candidate = events;
    struct search search = {of_ratio, &counts, ratio_least(&counts, alpha)};
    double top = most_likely(&counts);
    struct interval found = {exp(top), 0, INFINITY};
    if (counts.candidate == 0) found.estimate = 0;
    if (counts.candidate == events) found.estimate = INFINITY;
    if (counts.candidate > 0) found.low = exp(end_of(&search, top, -EDGE));
    if (counts.candidate < events) found.high = exp(end_of(&search, top, EDGE));
    return found;
}

/* ---- one rate ---- */

struct rate_counts {
    double bad, good;
};

static double of_rate(const void *ctx, double rate) {
    const struct rate_counts *counts = ctx;
    return (counts->bad > 0 ? counts->bad * log(rate) : 0) + (counts->good > 0 ? counts->good * log1p(-rate) : 0);
}

struct interval rate_interval(int64_t events, int64_t units, double alpha) {
    if (units <= 0) return (struct interval){NAN, 0, 1};
    struct rate_counts counts = {(double)events, units > events ? (double)(units - events) : 0};
    double n = counts.bad + counts.good, estimate = counts.bad / n;
    double least =
        log_gamma(counts.bad + 0.5) + log_gamma(counts.good + 0.5) - log_gamma(n + 1) - 2 * log_gamma(0.5) + log(alpha);
    struct search search = {of_rate, &counts, least};
    return (struct interval){estimate, counts.bad > 0 ? end_of(&search, estimate, 0) : 0,
                             counts.good > 0 ? end_of(&search, estimate, 1) : 1};
}

/* ---- one mean ---- */

struct interval mean_interval(double sum, int64_t units, double alpha) {
    if (units <= 0) return (struct interval){NAN, 0, 1};
    double n = (double)units, variance = n / 4 + NORMAL_MIXTURE, mean = sum / n;
    double half = sqrt(variance * log(variance / (NORMAL_MIXTURE * alpha * alpha))) / n;
    return (struct interval){mean, fmax(0, mean - half), fmin(1, mean + half)};
}
