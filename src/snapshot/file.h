/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole snapshot as bytes: what a node keeps in a file, so that it can answer when it starts without its store. All that a snapshot
 * answers comes back: entries, agents, environments, keys in force (their hashes, no secrets), the position.
 *
 * Two snapshots with the same truth at the same position are the same bytes. The last 32 of them are the SHA-256 of all before.
 *
 * Pure. Reading takes the bytes for hostile: it allocates in proportion to their number and refuses what a snapshot cannot be.
 */
#ifndef SERIN_SNAPSHOT_FILE_H
#define SERIN_SNAPSHOT_FILE_H

#include "snapshot/snapshot.h"

/* Takes the next bytes; below 0 ends the writing and is passed up. */
typedef int (*snapshot_sink)(void *ctx, struct slice bytes, struct err *err);

/* Gives the bytes to the sink in pieces of some 100 KB. NO_MEMORY, or the sink's failure. */
int snapshot_file_write(const struct snapshot *snapshot, snapshot_sink sink, void *ctx, struct err *err) MUST_CHECK;
/* SNAPSHOT_FILE with what is wrong, or NO_MEMORY. */
int snapshot_file_read(struct slice bytes, struct snapshot **ret, struct err *err) MUST_CHECK;

/* The position that the first SNAPSHOT_FILE_HEAD bytes tell, without a look at the rest; false when they are no head of such a file. */
#define SNAPSHOT_FILE_HEAD 28
bool snapshot_file_position(struct slice head, struct position *ret);

/* The SHA-256 that ends the bytes: equal for snapshots with the same truth at the same position. */
int snapshot_file_sum(const struct snapshot *snapshot, struct sha256 *ret, struct err *err) MUST_CHECK;

#endif
