/* SPDX-License-Identifier: Apache-2.0 */
#include "api/flow.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PROBES 16u

struct place {
    _Atomic int64_t rollout; /* 0 = free */
    _Atomic int64_t last[2];
};

struct flow {
    struct place places[FLOW_ROLLOUTS];
};

int flow_new(struct flow **ret, struct err *err) {
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : err_no_memory(err);
}

struct flow *flow_free(struct flow *flow) {
    free(flow);
    return NULL;
}

static uint32_t first_place(int64_t rollout) {
    return (uint32_t)(((uint64_t)rollout * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Places are freed, so a search goes on behind free ones. NULL: it has none. */
static struct place *find(const struct flow *flow, int64_t rollout) {
    uint32_t first = first_place(rollout);
    for (uint32_t i = 0; i < PROBES; i++) {
        const struct place *place = &flow->places[(first + i) % FLOW_ROLLOUTS];
        if (atomic_load_explicit(&place->rollout, memory_order_acquire) == rollout) return (struct place *)place;
    }
    return NULL;
}

/* Two threads may take two places for the same rollout; find() then knows the first of them. */
static struct place *take(struct flow *flow, int64_t rollout) {
    uint32_t first = first_place(rollout);
    for (uint32_t i = 0; i < PROBES; i++) {
        struct place *place = &flow->places[(first + i) % FLOW_ROLLOUTS];
        int64_t free = 0;
        if (!atomic_compare_exchange_strong(&place->rollout, &free, rollout)) continue;
        atomic_store_explicit(&place->last[0], 0, memory_order_relaxed);
        atomic_store_explicit(&place->last[1], 0, memory_order_relaxed);
        return place;
    }
    return NULL;
}

void flow_note(struct flow *flow, int64_t rollout, bool candidate, int64_t second) {
    struct place *place = find(flow, rollout);
    if (!place && !(place = take(flow, rollout))) return;
    _Atomic int64_t *last = &place->last[candidate];
    if (atomic_load_explicit(last, memory_order_relaxed) != second)
        atomic_store_explicit(last, second, memory_order_relaxed);
}

void flow_last(const struct flow *flow, int64_t rollout, int64_t ret[2]) {
    struct place *place = find(flow, rollout);
    for (int arm = 0; arm < 2; arm++)
        ret[arm] = place ? atomic_load_explicit(&place->last[arm], memory_order_relaxed) : 0;
}

void flow_forget(struct flow *flow, int64_t rollout) {
    for (struct place *place; (place = find(flow, rollout));)
        atomic_store_explicit(&place->rollout, 0, memory_order_release);
}
