/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot's number is the time of assignment divided by the slot's width, its place the number modulo RING_SLOTS. What is in a slot is old enough when the
 * slot's last microsecond is; `first` is the oldest one that is not, so at any time the slots first … first + RING_SLOTS - 1 have a place each.
 */
#include "analysis/evidence_impl.h"

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static int64_t *slot_at(const struct ring *ring, int64_t number) {
    return ring->slots + ((uint64_t)number % RING_SLOTS) * ring->len;
}

int64_t *ring_row(const struct ring *ring, int64_t *mature, int64_t at) {
    if (!ring->slots) return mature;
    int64_t number = floor_div(at, ring->width);
    if (number < ring->first) return mature;
    return number < ring->first + RING_SLOTS ? slot_at(ring, number) : NULL;
}

void ring_mature(struct ring *ring, int64_t *mature, int64_t now) {
    if (!ring->slots) return;
    int64_t first = floor_div(now - ring->wait, ring->width);
    for (int64_t number = ring->first; number < first && number < ring->first + RING_SLOTS; number++) {
        int64_t *slot = slot_at(ring, number);
        sums_add(mature, slot, ring->len);
        memset(slot, 0, ring->len * sizeof(*slot));
    }
    if (first > ring->first) ring->first = first;
}

void ring_clear(struct ring *ring) {
    if (ring->slots) memset(ring->slots, 0, RING_SLOTS * ring->len * sizeof(*ring->slots));
}
