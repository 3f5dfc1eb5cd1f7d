/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier: posts the moves of rollouts to webhooks, as messages of Standard Webhooks.
 *
 * Each webhook has a cursor in the store: everything up to it was answered with 2xx. What is behind it is posted in order, one message at a time, until
 * it is answered so; then the cursor moves on. A message has the same id in every attempt. Whoever is killed between the answer and the cursor posts it once
 * more: every message comes at least once, and receivers know by the id what they have.
 *
 * An attempt that fails is made again after a random time of up to 5 s, 10 s, 20 s … an hour. No webhook waits for another. One that answers 410, or failed for 3
 * days, is disabled until somebody puts it again.
 */
#ifndef SERIN_NOTIFY_NOTIFY_H
#define SERIN_NOTIFY_NOTIFY_H

#include "ops/ops.h"

/* As fetch_begin(). */
typedef int notifier_send(void *ctx, const struct fetch_request *request, fetch_done *done, void *done_ctx,
                          struct err *err);

struct notifier_options {
    const struct ops *ops;
    notifier_send *send; /* test double; NULL: over the network, to the origins that ops->outgoing lists */
    void *send_ctx;
};

struct notifier;
int notifier_new(const struct notifier_options *options, struct notifier **ret, struct err *err) MUST_CHECK;
/* Ends the thread when there is one, at once: messages under way are dropped, and posted again by the next notifier. */
struct notifier *notifier_free(struct notifier *notifier);
/* A thread that posts from now on, when it is woken and when something is due. */
int notifier_start(struct notifier *notifier, struct err *err) MUST_CHECK;
/* Something changed. Any thread. */
void notifier_wake(struct notifier *notifier);

/* Notes what came of messages, reads what is new, and begins what is due; on the caller's thread, without notifier_start(). *ret_wait_ms is until
 * when there is nothing to do. Errors: of the store. */
int notifier_look(struct notifier *notifier, int *ret_wait_ms, struct err *err) MUST_CHECK;

/* Any thread. */
struct notifier_stats {
    uint64_t delivered, failed; /* messages that were answered with 2xx; attempts that were not */
    uint64_t failing;           /* webhooks whose last attempt failed, or that are disabled */
};
void notifier_stats(struct notifier *notifier, struct notifier_stats *ret);

#endif
