/* SPDX-License-Identifier: Apache-2.0 */
/* How the telling of a webhook stands after an attempt: exponential backoff with full jitter, and when it is given up. */
#include "notify/notify_impl.h"

#include <stdio.h>

#define SECOND INT64_C(1000000)
#define DAY (24 * 3600 * SECOND)
#define TOO_MANY 429
#define NOT_NOW 503
#define GONE 410

static int64_t longest_wait(int64_t attempts) {
    int64_t wait = RETRY_FIRST;
    for (int64_t i = 1; i < attempts && wait < RETRY_LAST; i++)
        wait *= 2;
    return wait < RETRY_LAST ? wait : RETRY_LAST;
}

/* Who asks for more time than the backoff gives gets it, up to the longest wait. */
static int64_t asked_wait(const struct attempt *attempt) {
    bool busy = attempt->status == TOO_MANY || attempt->status == NOT_NOW;
    int64_t longest = RETRY_LAST / SECOND;
    if (!busy || attempt->retry_after_s <= 0) return 0;
    return (attempt->retry_after_s < longest ? attempt->retry_after_s : longest) * SECOND;
}

static void write_error(const struct attempt *attempt, char error[DELIVERY_ERROR_SIZE]) {
    bool redirect = attempt->status >= 300 && attempt->status < 400;
    if (attempt->status)
        snprintf(error, DELIVERY_ERROR_SIZE, "it answered %d%s", attempt->status,
                 redirect ? "; redirects are not followed" : "");
    else
        snprintf(error, DELIVERY_ERROR_SIZE, "%s", attempt->why);
}

static void note_failure(struct webhook_delivery *delivery, const struct attempt *attempt) {
    if (!delivery->attempts) delivery->failing_since = attempt->now;
    delivery->attempts++;
    int64_t longest = longest_wait(delivery->attempts), asked = asked_wait(attempt);
    int64_t wait = (int64_t)(attempt->chance % (uint64_t)(longest + 1));
    delivery->next_at = attempt->now + (wait > asked ? wait : asked);
    bool long_enough = attempt->now - delivery->failing_since >= FAILING_DAYS * DAY;
    bool given_up = attempt->status == GONE || (long_enough && delivery->attempts >= FAILING_ATTEMPTS);
    if (given_up) delivery->disabled_at = attempt->now;
}

void delivery_note(struct webhook_delivery *delivery, const struct attempt *attempt, char error[DELIVERY_ERROR_SIZE]) {
    if (!attempt_delivered(attempt)) {
        write_error(attempt, error);
        delivery->error = error;
        note_failure(delivery, attempt);
        return;
    }
    delivery->delivered_at = attempt->now;
    delivery->attempts = delivery->failing_since = delivery->next_at = 0;
    delivery->error = "";
}

bool delivery_due(const struct webhook_delivery *delivery, int64_t now) {
    if (delivery->disabled_at) return false;
    return delivery->next_at <= now || delivery->next_at > now + RETRY_LAST;
}
