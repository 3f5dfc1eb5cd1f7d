/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of resolve share. */
#ifndef SERIN_RESOLVE_RESOLVE_IMPL_H
#define SERIN_RESOLVE_RESOLVE_IMPL_H

#include "resolve/resolve.h"

/* The hash of `salt "/" key` with each seed: bucket and unit in one pass. */
void unit_hash(struct slice salt, struct slice targeting_key, uint32_t ret[UNIT_SEEDS]);
void unit_text(const uint32_t hash[UNIT_SEEDS], char ret[UNIT_TEXT_SIZE]);

static inline uint32_t unit_bucket(const uint32_t hash[UNIT_SEEDS]) {
    return (uint32_t)((uint64_t)hash[0] * BUCKETS >> 32);
}

/* What a session that began in an era is to get. */
struct pinned {
    const struct snapshot_version *version;
    bool candidate;
    bool in_audience; /* of the era's rollout */
    bool released;    /* it has been rolled back from since: it holds nobody */
};

/* The era in which a session began; NULL: there is none, or the entry's sessions follow, or it is older than all eras. */
const struct snapshot_era *session_era(const struct snapshot_entry *entry, const struct resolve_question *question);
struct pinned session_pinned(const struct snapshot_era *era, const struct resolve_question *question);
/* Whether the user is among those for whom the rollout is. */
bool in_audience(const struct logic_rule *audience, const struct resolve_question *question);

/* ---- flags.c ---- */

/* Asks the flags that are bound to the agent, once the version is chosen; ret->bound is NULL before. */
void decide_flags(const struct snapshot *snapshot, const struct resolve_question *question, struct decision *ret);
/* For decisions that have `bound`: how they end; of that the configuration alone; the most bytes of either. */
char *put_flagged_tail(const struct decision *decision, char *at);
char *put_flagged_config(const struct decision *decision, char *at);
size_t flagged_size(const struct decision *decision);
/* The member `flags` of `explain`, if there are any. */
void explain_flags(const struct decision *decision, const struct resolve_question *question, struct jw *jw);

#endif
