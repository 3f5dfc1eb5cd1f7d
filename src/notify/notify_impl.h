/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier's parts that need no store: what is posted, and what comes of an answer. */
#ifndef SERIN_NOTIFY_NOTIFY_IMPL_H
#define SERIN_NOTIFY_NOTIFY_IMPL_H

#include "fetch/fetch.h"
#include "store/webhooks.h"

/* ---- messages (message.c) ---- */

/* The same in every attempt. The epoch is in the id because a restored store counts its seqs anew. */
#define MESSAGE_ID_SIZE 128
void message_id(const struct store_told_move *told, char ret[MESSAGE_ID_SIZE]);
/* Appends {type, timestamp, data}. */
void message_body(const struct store_told_move *told, enum rollout_event event, struct str *out);
/* Appends one signature, or two while the previous secret is good. */
int message_sign(const struct webhook *webhook, const char *id, int64_t now, struct slice body, struct str *out,
                 struct err *err) MUST_CHECK;

/* ---- what comes of an attempt (delivery.c) ---- */

#define RETRY_FIRST (INT64_C(5) * 1000000)
#define RETRY_LAST (INT64_C(3600) * 1000000)
#define FAILING_DAYS 3
#define FAILING_ATTEMPTS 20 /* so many at least before time alone disables it: the server may have been away */

struct attempt {
    int status; /* 0: none came; then `why` says what happened */
    const char *why;
    int64_t retry_after_s; /* what the answer asks for; 0: nothing */
    int64_t now;
    uint64_t chance; /* any number: where in its span the next attempt lies */
};
static inline bool attempt_delivered(const struct attempt *attempt) {
    return attempt->status >= 200 && attempt->status < 300;
}
/* How the telling stands after it. The cursor is the caller's. Writes into `error` when it failed, which `delivery` then borrows. */
#define DELIVERY_ERROR_SIZE 512
void delivery_note(struct webhook_delivery *delivery, const struct attempt *attempt, char error[DELIVERY_ERROR_SIZE]);
/* Whether an attempt is due. A time further away than any that is given out comes from a clock that went back. */
bool delivery_due(const struct webhook_delivery *delivery, int64_t now);

#endif
