/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define WORD_MAX 64

static unsigned min(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* People mix up letter case and the signs that part words more often than they mean something by it. */
static char folded(char c) {
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    return c == '-' || c == ' ' ? '_' : c;
}

static bool same(char a, char b) {
    return folded(a) == folded(b);
}

/* Optimal string alignment: Levenshtein's distance where swapping two neighbours counts as one step. Three rows of
 * the matrix are kept. Both words are shorter than WORD_MAX. */
static unsigned distance_of(const char *a, const char *b) {
    unsigned rows[3][WORD_MAX];
    size_t a_len = strlen(a), b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replace = above[j - 1] + !same(a[i - 1], b[j - 1]);
            row[j] = min(replace, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = min(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void suggestion_try(struct suggestion *suggestion, const char *candidate) {
    if (!candidate || strlen(candidate) >= WORD_MAX || strlen(suggestion->word) >= WORD_MAX) return;
    unsigned limit = (unsigned)strlen(suggestion->word) / 3;
    unsigned distance = distance_of(suggestion->word, candidate);
    if (distance > (limit > 0 ? limit : 1)) return;
    if (suggestion->best && distance >= suggestion->distance) return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}
