/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What decide saw, as bytes that stand beside a rollout's move: with the plan they give the decision again. Version 1:
 *
 *   "SJ", the version; then numbers, each zigzag and in groups of seven bits, low first: action; the reason's name as length and bytes; state,
 *   step, step_at, moved_at, now; a bit each for ref_held, panic, may_promote; for stable and the candidate outcome_at, decision_at, unanswered_since;
 *   how many guards, and for each its state, since, and its value as eight bytes, low first; the evidence (EVIDENCE_JUDGED) as length and bytes;
 *   last the CRC-32 of all before it, four bytes, low first.
 *
 * There is one way to write an entry, and reading takes no other: a damaged or forged one is refused as far as a checksum can tell. Against a forger
 * stands the audit log, which holds the SHA-256 of each entry.
 */
#ifndef SERIN_CONTROLLER_JOURNAL_H
#define SERIN_CONTROLLER_JOURNAL_H

#include "controller/decide.h"

struct journal_entry {
    enum rollout_action action; /* as it was decided */
    enum rollout_reason reason;
    struct rollout_facts facts;
    struct slice evidence; /* borrowed from the bytes */
};

/* Appends an entry. */
void journal_write(const struct rollout_plan *plan, const struct journal_entry *entry, struct str *out);
/* Any bytes: an entry of that plan, or INVALID. The evidence is not looked into. */
int journal_read(const struct rollout_plan *plan, struct slice bytes, struct journal_entry *ret,
                 struct err *err) MUST_CHECK;

/* What came of deciding again. */
struct replayed {
    struct journal_entry entry;
    struct verdict verdict;
    struct rollout_ruling ruling;
    struct str words;
    bool same_action, same_reason, same_words; /* as the move says, and the entry */
};
void replayed_deinit(struct replayed *replayed);
static inline bool replayed_same(const struct replayed *replayed) {
    return replayed->same_action && replayed->same_reason && replayed->same_words;
}

/* Decides again from a move's evidence. INVALID: the entry or its evidence cannot be read; NO_MEMORY. *ret is empty then. */
int journal_replay(const struct rollout_plan *plan, const struct rollout_move *move, struct replayed *ret,
                   struct err *err) MUST_CHECK;

#endif
