/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The published snapshot: one atomic pointer, read without a lock by any thread, replaced by one publisher
 * at a time. Readers mark themselves in counters spread over cache lines (two phases, as in SRCU: a reader
 * counts itself in under the current phase, the publisher flips the phase and waits for the old one to drain), so a borrow costs
 * two uncontended atomic additions and the thread needs no registration.
 *
 * A borrow must be short (no blocking inside); whoever needs a snapshot longer takes snapshot_ref() while borrowing.
 */
#ifndef SERIN_SNAPSHOT_PUBLISHER_H
#define SERIN_SNAPSHOT_PUBLISHER_H

#include "snapshot/snapshot.h"

struct publisher;
struct publisher_borrow {
    const struct snapshot *snapshot;
    unsigned slot, phase;
};

/* Starts with an empty snapshot. */
int publisher_new(struct publisher **ret) MUST_CHECK;
/* No reader may be left. */
struct publisher *publisher_free(struct publisher *publisher);
/* Never fails, never waits. */
struct publisher_borrow publisher_borrow(struct publisher *publisher);
void publisher_return(struct publisher *publisher, struct publisher_borrow borrow);
/* A counted reference to the current snapshot, for long use. */
struct snapshot *publisher_get(struct publisher *publisher);
/* Takes over the caller's reference; visible to every borrow that starts after it returns. Waits until the readers of the old
 * one have let go, then drops it. Callers serialise themselves. */
void publisher_publish(struct publisher *publisher, struct snapshot *snapshot);

#endif
