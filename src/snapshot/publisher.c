/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing without locks for readers.
 *
 * A reader adds itself to a counter, then reads the pointer. The publisher swaps the pointer, then reads the counters. Both pairs are
 * sequentially consistent, so of a reader and a publisher at least one sees the other: a reader that still got the old pointer is
 * in its counter, and a counter seen at zero after the swap has nobody with the old pointer behind it. Each counter need be
 * seen at zero once.
 *
 * New readers could keep a busy counter above zero for ever; hence the two phases. The publisher waits for the phase that nobody
 * enters any more (but for readers who looked at the phase before the last flip), flips, and waits for the other one,
 * which now drains as well. A reader always leaves the counter that it entered, so counters of different slots and phases are
 * independent and the order in which they are looked at does not matter.
 *
 * Slots are chosen by a hash of the thread: no registration, and threads seldom share a line. Sharing one costs time, never truth.
 */
#include "snapshot/publisher.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define SLOT_BITS 6
#define SLOTS (1u << SLOT_BITS)
#define LINES 128 /* processors fetch cache lines in pairs */
#define PATIENCE 1000
#define PAUSE_NS 50000

struct publisher {
    _Alignas(LINES) struct snapshot *_Atomic current;
    atomic_uint phase;
    struct {
        _Alignas(LINES) atomic_uint readers[2];
    } slots[SLOTS];
};

int publisher_new(struct publisher **ret) {
    struct snapshot *empty;
    int r = snapshot_new(&empty);
    if (r < 0) return r;
    struct publisher *publisher = aligned_alloc(LINES, sizeof(*publisher));
    if (!publisher) {
        snapshot_unref(empty);
        return -ERR_NO_MEMORY;
    }
    atomic_init(&publisher->current, empty);
    atomic_init(&publisher->phase, 0);
    for (unsigned i = 0; i < SLOTS; i++) {
        atomic_init(&publisher->slots[i].readers[0], 0);
        atomic_init(&publisher->slots[i].readers[1], 0);
    }
    *ret = publisher;
    return 0;
}

struct publisher *publisher_free(struct publisher *publisher) {
    if (!publisher) return NULL;
    snapshot_unref(atomic_load(&publisher->current));
    free(publisher);
    return NULL;
}

static unsigned slot_of_thread(void) {
    return (unsigned)((uint64_t)(uintptr_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS));
}

struct publisher_borrow publisher_borrow(struct publisher *publisher) {
    struct publisher_borrow borrow = {
        .slot = slot_of_thread(),
        .phase = atomic_load_explicit(&publisher->phase, memory_order_relaxed),
    };
    atomic_fetch_add(&publisher->slots[borrow.slot].readers[borrow.phase], 1);
    borrow.snapshot = atomic_load(&publisher->current);
    return borrow;
}

void publisher_return(struct publisher *publisher, struct publisher_borrow borrow) {
    atomic_fetch_sub_explicit(&publisher->slots[borrow.slot].readers[borrow.phase], 1, memory_order_release);
}

struct snapshot *publisher_get(struct publisher *publisher) {
    struct publisher_borrow borrow = publisher_borrow(publisher);
    struct snapshot *snapshot = snapshot_ref((struct snapshot *)(uintptr_t)borrow.snapshot);
    publisher_return(publisher, borrow);
    return snapshot;
}

/* A borrow is short, so giving way is enough; a reader that was put to sleep by the system is worth sleeping for. */
static void give_way(unsigned turn) {
    if (turn < PATIENCE) {
        sched_yield();
        return;
    }
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static void wait_for_phase(struct publisher *publisher, unsigned phase) {
    for (unsigned i = 0; i < SLOTS; i++)
        for (unsigned turn = 0; atomic_load(&publisher->slots[i].readers[phase]) != 0; turn += turn < PATIENCE)
            give_way(turn);
}

void publisher_publish(struct publisher *publisher, struct snapshot *snapshot) {
    struct snapshot *old = atomic_exchange(&publisher->current, snapshot);
    unsigned phase = atomic_load_explicit(&publisher->phase, memory_order_relaxed);
    wait_for_phase(publisher, !phase);
    atomic_store_explicit(&publisher->phase, !phase, memory_order_relaxed);
    wait_for_phase(publisher, phase);
    snapshot_unref(old);
}
