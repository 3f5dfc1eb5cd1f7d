/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/sketch.h"
#include "analysis/sums.h"

#include <math.h>

double sketch_index(double value) {
    return ceil(log(value) / SKETCH_LOG_GAMMA);
}

size_t sketch_place_of_log(double log_value) {
    double exact = log_value / SKETCH_LOG_GAMMA - SKETCH_FIRST; /* the place is this, rounded up, and one more */
    if (!(exact > 0)) return 1;
    if (exact >= SKETCH_LAST - SKETCH_FIRST) return SKETCH_PLACES - 1;
    size_t below = (size_t)exact;
    return below + (exact > (double)below) + 1;
}

size_t sketch_place(double value) {
    return value > 0 ? sketch_place_of_log(log(value)) : 0;
}

double sketch_value(size_t place) {
    if (place == 0) return 0;
    double index = SKETCH_FIRST + (double)place - 1;
    return 2 * exp(index * SKETCH_LOG_GAMMA) / (exp(SKETCH_LOG_GAMMA) + 1);
}

void sketch_add_many(struct sketch *sketch, size_t place, int64_t count) {
    sketch->counts[place] = sum_add(sketch->counts[place], count);
    sketch->total = sum_add(sketch->total, count);
}

void sketch_add(struct sketch *sketch, size_t place) {
    sketch_add_many(sketch, place, 1);
}

void sketch_merge(struct sketch *sketch, const struct sketch *more) {
    sums_add(sketch->counts, more->counts, SKETCH_PLACES);
    sketch->total = sum_add(sketch->total, more->total);
}

size_t sketch_quantile_place(const struct sketch *sketch, double q) {
    double wanted = q * (double)sketch->total, seen = 0;
    size_t last = 0;
    for (size_t p = 0; p < SKETCH_PLACES; p++) {
        if (sketch->counts[p] == 0) continue;
        seen += (double)sketch->counts[p];
        last = p;
        if (seen >= wanted) break;
    }
    return last;
}

double sketch_quantile(const struct sketch *sketch, double q) {
    return sketch->total > 0 ? sketch_value(sketch_quantile_place(sketch, q)) : NAN;
}

double sketch_mean(const struct sketch *sketch) {
    double sum = 0;
    for (size_t p = 1; p < SKETCH_PLACES; p++)
        if (sketch->counts[p]) sum += (double)sketch->counts[p] * sketch_value(p);
    return sketch->total > 0 ? sum / (double)sketch->total : NAN;
}

int64_t sketch_above(const struct sketch *sketch, size_t place) {
    int64_t sum = 0;
    for (size_t p = place + 1; p < SKETCH_PLACES; p++)
        sum = sum_add(sum, sketch->counts[p]);
    return sum;
}

void sketch_ranks(const struct sketch *sketch, double ret[SKETCH_PLACES]) {
    double before = 0, total = (double)sketch->total;
    for (size_t p = 0; p < SKETCH_PLACES; p++) {
        double own = (double)sketch->counts[p];
        ret[p] = total > 0 ? (before + own / 2) / total : 0.5;
        before += own;
    }
}
