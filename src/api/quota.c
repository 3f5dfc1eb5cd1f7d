/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket is one number: the time at which it will be full. A request moves that time on by one interval (a second divided by the limit),
 * and is refused when it would then lie more than a second ahead. A time that has passed says nothing any more, so such a bucket may be
 * given to another key; there is nothing to clean up.
 *
 * A key's hash chooses a set of buckets, in which it is looked for. When all of a set are in use by others, keys share:
 * with 1,000 keys busy in the same second this happens to one in a million. A key that takes a bucket over while another thread still counts on it
 * costs that one a request too many or too few, once.
 */
#include "api/quota.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#define SETS 2048
#define WAYS 8
#define CACHE_LINE 64
#define SECOND_NS INT64_C(1000000000)

struct bucket {
    _Atomic uint32_t key; /* hash of its id */
    _Atomic int64_t full_at;
};

struct quota {
    const struct clock *clock;
    _Atomic unsigned per_second;
    _Alignas(CACHE_LINE) struct bucket buckets[SETS][WAYS];
};

int quota_new(const struct clock *clock, unsigned per_second, struct quota **ret, struct err *err) {
    struct quota *quota = aligned_alloc(CACHE_LINE, sizeof(*quota));
    if (!quota) return err_no_memory(err);
    memset(quota, 0, sizeof(*quota));
    quota->clock = clock;
    quota_set(quota, per_second);
    *ret = quota;
    return 0;
}

struct quota *quota_free(struct quota *quota) {
    free(quota);
    return NULL;
}

void quota_set(struct quota *quota, unsigned per_second) {
    atomic_store_explicit(&quota->per_second, per_second < QUOTA_MAX ? per_second : QUOTA_MAX, memory_order_relaxed);
}

unsigned quota_limit(const struct quota *quota) {
    return atomic_load_explicit(&quota->per_second, memory_order_relaxed);
}

/* Whether the bucket is the key's from now on. */
static bool claim(struct bucket *bucket, uint32_t key, int64_t now) {
    uint32_t other = atomic_load_explicit(&bucket->key, memory_order_relaxed);
    if (atomic_load_explicit(&bucket->full_at, memory_order_relaxed) > now) return false;
    return atomic_compare_exchange_strong_explicit(&bucket->key, &other, key, memory_order_relaxed,
                                                   memory_order_relaxed) ||
           other == key;
}

static struct bucket *find(struct quota *quota, uint32_t key, int64_t now) {
    struct bucket *set = quota->buckets[key % SETS];
    for (size_t i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&set[i].key, memory_order_relaxed) == key) return &set[i];
    for (size_t i = 0; i < WAYS; i++)
        if (claim(&set[i], key, now)) return &set[i];
    return &set[key / SETS % WAYS];
}

static bool take(struct bucket *bucket, int64_t now, int64_t interval) {
    int64_t full_at = atomic_load_explicit(&bucket->full_at, memory_order_relaxed), next;
    do {
        next = (full_at > now ? full_at : now) + interval;
        if (next - now > SECOND_NS) return false;
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_at, &full_at, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool quota_take(struct quota *quota, const char *key_id) {
    unsigned per_second = quota_limit(quota);
    if (per_second == 0) return true;
    int64_t now = clock_monotonic_coarse(quota->clock) * 1000;
    uint32_t key = murmur3_32(key_id, strlen(key_id), 0);
    return take(find(quota, key, now), now, SECOND_NS / per_second);
}
