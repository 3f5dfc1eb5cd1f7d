/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restricted Damerau-Levenshtein distance (insertions, deletions, substitutions, swaps of neighbours) over
 * bytes, for words of at most WORD_MAX bytes. A third of the word may be wrong, and at most three
 * letters: past that a suggestion is more often misleading than right.
 */
#include "model/model_impl.h"

#include <string.h>

#define WORD_MAX 64
#define DISTANCE_NONE SIZE_MAX

static char folded(char c) {
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c == '-' || c == ' ' ? '_' : c;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t distance(const char *a, const char *b) {
    size_t rows[3][WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    if (a_len > WORD_MAX || b_len > WORD_MAX) return DISTANCE_NONE;
    for (size_t j = 0; j <= b_len; j++) {
        last[j] = before[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t cost = folded(a[i - 1]) != folded(b[j - 1]);
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + cost);
            bool swapped =
                i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
            if (swapped) now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

void nearest_init(struct nearest *nearest, const char *word) {
    *nearest = (struct nearest){.word = word, .distance = DISTANCE_NONE};
}

void nearest_offer(struct nearest *nearest, const char *candidate) {
    size_t d = distance(nearest->word, candidate);
    if (d >= nearest->distance) return;
    nearest->distance = d;
    nearest->best = candidate;
}

const char *nearest_found(const struct nearest *nearest) {
    size_t allowed = least(3, (strlen(nearest->word) + 2) / 3);
    return nearest->distance <= allowed ? nearest->best : NULL;
}
