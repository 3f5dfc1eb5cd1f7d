/* SPDX-License-Identifier: Apache-2.0 */
/* The store's part about webhooks; see store.h for what holds of all of it. */
#ifndef SERIN_STORE_WEBHOOKS_H
#define SERIN_STORE_WEBHOOKS_H

#include "model/webhook.h"
#include "store/store.h"

int store_webhook_get(struct store_tx *tx, const char *name, struct arena *arena, struct webhook *ret,
                      struct err *err) MUST_CHECK; /* or STORE_NONE */
int store_webhooks(struct store_tx *tx, struct arena *arena, struct webhook **ret, size_t *ret_count,
                   struct err *err) MUST_CHECK; /* in order of name */
/* Makes it, or writes it anew. A new one is told of what comes after it; one that was goes on where it stood, at once and without what failed before. Its
 * secret is not written. */
int store_webhook_put(struct store_tx *tx, const struct webhook *webhook, struct err *err) MUST_CHECK;
/* secret, previous, previous_until and secret_seq of it. */
int store_webhook_secret_put(struct store_tx *tx, const struct webhook *webhook, struct err *err) MUST_CHECK;
/* Who and when; its secrets are forgotten. STORE_NONE when there is none. */
int store_webhook_remove(struct store_tx *tx, const struct webhook *webhook, struct err *err) MUST_CHECK;
/* Inside store_record(). STORE_NONE when the definition that it is about is not in force any more. */
int store_webhook_delivery_put(struct store_tx *tx, const char *name, const struct webhook_delivery *delivery,
                               struct err *err) MUST_CHECK;

/* A rollout's move with what it is about. */
struct store_told_move {
    struct rollout_move move; /* without evidence */
    const char *agent, *environment;
    int64_t candidate, stable;
    struct position position;
};
/* In order of seq and rollout, behind the given pair; environment and agent "" = all. */
struct store_told_query {
    const char *environment, *agent;
    int64_t after;
    const char *after_rollout;
    size_t limit;
};
int store_told_moves(struct store_tx *tx, const struct store_told_query *query, struct arena *arena,
                     struct store_told_move **ret, size_t *ret_count, struct err *err) MUST_CHECK;

#endif
