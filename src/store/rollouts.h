/* SPDX-License-Identifier: Apache-2.0 */
/* The store's part about rollouts, panics and what a ref depended on; see store.h for what holds of all of it. */
#ifndef SERIN_STORE_ROLLOUTS_H
#define SERIN_STORE_ROLLOUTS_H

#include "model/rollout.h"
#include "store/store.h"

/* A new rollout, with its first move (action "start"). CONFLICT when one is open there: running, paused or held. */
int store_rollout_add(struct store_tx *tx, const struct rollout *rollout, struct err *err) MUST_CHECK;
/* Appends a move; the rollout stands as it says from then on. */
int store_rollout_move(struct store_tx *tx, const struct rollout_move *move, struct err *err) MUST_CHECK;
int store_rollout_get(struct store_tx *tx, const char *id, struct arena *arena, struct rollout *ret,
                      struct err *err) MUST_CHECK;
/* The open rollout of a ref as of seq (0 = now). STORE_NONE: none is. */
int store_rollout_of(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                     struct rollout *ret, struct err *err) MUST_CHECK;
/* Newest start first, seq of the start < before (0 = from the newest). */
struct store_rollouts_query {
    const char *agent, *environment; /* filters, NULL = all */
    bool open;                       /* only running, paused and held ones */
    int64_t candidate; /* only those of this version; counts with agent and environment given and `open` not; 0 = any */
    int64_t before;
    size_t limit;
};
int store_rollouts(struct store_tx *tx, const struct store_rollouts_query *query, struct arena *arena,
                   struct rollout **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* The journal: newest first, seq < before (0 = from the newest); evidence only when asked for. */
int store_rollout_moves(struct store_tx *tx, const char *rollout, int64_t before, size_t limit, bool with_evidence,
                        struct arena *arena, struct rollout_move **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* What the ref depended on, newest first: every era that was in force at `since` or began later, as of seq (0 = now), at most `limit`. Neighbours that do
 * not differ are one. */
int store_eras(struct store_tx *tx, const struct deployment *ref, int64_t seq, int64_t since, size_t limit,
               struct arena *arena, struct era **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* When that version was rolled back from there last (a deployment of kind rollback or panic that left it, or a rollout of it that ended rolled back), as of seq.
 * STORE_NONE: never. */
int store_left_at(struct store_tx *tx, const struct deployment *ref, int64_t version, int64_t seq, int64_t *ret_at,
                  struct err *err) MUST_CHECK;

int store_panic_put(struct store_tx *tx, const struct panic *panic, struct err *err) MUST_CHECK;
/* Who, why and when; STORE_NONE when there is none. */
int store_panic_release(struct store_tx *tx, const struct panic *panic, struct err *err) MUST_CHECK;
/* Exactly that place ("" = the whole environment), as of seq (0 = now). STORE_NONE. */
int store_panic_get(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                    struct panic *ret, struct err *err) MUST_CHECK;
int store_panics(struct store_tx *tx, const char *environment /* NULL = all */, struct arena *arena, struct panic **ret,
                 size_t *ret_count, struct err *err) MUST_CHECK;

/* Templates that were written over the built-in ones or beside them. STORE_NONE. */
int store_template_get(struct store_tx *tx, const char *name, struct arena *arena, struct rollout_template *ret,
                       struct err *err) MUST_CHECK;
int store_templates(struct store_tx *tx, struct arena *arena, struct rollout_template **ret, size_t *ret_count,
                    struct err *err) MUST_CHECK; /* in order of name */
int store_template_put(struct store_tx *tx, const struct rollout_template *wanted, struct err *err) MUST_CHECK;

#endif
