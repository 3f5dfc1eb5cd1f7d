/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?": the nearest of some words to a mistyped one. */
#ifndef SERIN_BASE_SUGGEST_H
#define SERIN_BASE_SUGGEST_H

struct suggestion {
    const char *word; /* as typed */
    const char *best; /* the nearest candidate so far, borrowed; NULL when none is near enough */
    unsigned distance;
};

#define SUGGESTION_INIT(typed) ((struct suggestion){.word = (typed)})
/* Looks at one more candidate. Near enough is a third of the word's length (but one letter at least) in inserted,
 * removed, replaced or swapped bytes, letter case and - _ space counting as equal; the first of equally near ones stays. NULL candidates are skipped. */
void suggestion_try(struct suggestion *suggestion, const char *candidate);

#endif
