/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intake of outcomes: exactly once, durable before it is answered, and added up in memory.
 *
 * One writer thread owns what outcomes add up to (fold.h). Everything comes to it through one bounded queue: batches, ticks, and moves of rollouts. It takes all
 * that waits, writes it as one row of the log together with which batches are taken, in one transaction, applies the row, and answers.
 * So memory is what the log says, in its order, and a restart comes to the same bytes from the last checkpoint and the log behind it.
 *
 * A batch that is answered is on disk and counted once. One that is not answered may be sent again: it is taken or found to be a repetition. When the queue
 * is full nothing is taken (OUTCOMES_BUSY): the sender keeps it.
 *
 * Memory: the fold's; 8 KiB for each of at most 1,024 instances seen lately; what waits in the queue is its callers'.
 *
 * Every function wants a struct err. All functions but intake_new() and intake_free() may be called by any thread that may wait for the disk.
 */
#ifndef SERIN_INTAKE_INTAKE_H
#define SERIN_INTAKE_INTAKE_H

#include "base/log.h"
#include "intake/fold.h"

struct intake;

struct intake_options {
    struct store *store; /* need not be open yet: until then everything is STORE_UNAVAILABLE */
    const struct clock *clock;
    const struct log *log;
    const struct judge *judge;
    size_t queue;            /* batches that may wait; 0 = 1024 */
    size_t checkpoint_bytes; /* of log after which a checkpoint is made; 0 = 16 MiB */
    int64_t checkpoint_us;   /* and after this time; 0 = 60 s */
};

int intake_new(const struct intake_options *options, struct intake **ret, struct err *err) MUST_CHECK;
/* Finishes what waits, makes a last checkpoint, ends the thread. Nobody may call in any more. */
struct intake *intake_free(struct intake *intake);

/* What became of a batch. */
struct intake_answer {
    bool duplicate; /* it was taken before: nothing was counted */
    struct fold_result result;
};
/* Takes a batch that was read without faults. OUTCOMES_BUSY (the queue is full), OUTCOMES_TOO_OLD (nothing is known any more of batches so old), or what the store
 * answers; after UNKNOWN_OUTCOME and the like the same batch may be sent again. */
int intake_take(struct intake *intake, const struct outcomes *batch, struct intake_answer *ret,
                struct err *err) MUST_CHECK;

/* Moves of rollouts, by the controller. Repeating one changes nothing. After 0 they are durable; outcomes answered before are counted before. */
int intake_open(struct intake *intake, const struct fold_rollout *rollout, struct err *err) MUST_CHECK;
int intake_stage(struct intake *intake, const char *rollout, unsigned step, int32_t share, int64_t at,
                 struct err *err) MUST_CHECK;
int intake_close(struct intake *intake, const char *rollout, struct err *err) MUST_CHECK;
/* Ends a tick of all open rollouts and shows each with its evidence as of this tick, in order of id. `each` runs on the writer thread: it copies what it
 * needs and must not call the intake. */
int intake_tick(struct intake *intake, int64_t now, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
                struct err *err) MUST_CHECK;
/* Shows them as they stand, without evidence, a tick or the disk. */
int intake_look(struct intake *intake, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
                struct err *err) MUST_CHECK;
/* Makes a checkpoint now. */
int intake_checkpoint(struct intake *intake, struct err *err) MUST_CHECK;
/* A hash over all that it holds in memory, for tests. */
int intake_digest(struct intake *intake, struct sha256 *ret, struct err *err) MUST_CHECK;

struct intake_stats {
    uint64_t batches, outcomes, duplicates, too_old, mismatched, unknown, evidence, busy, checkpoints, failures;
    uint64_t waiting, queue, log_bytes, rollouts;
};
void intake_stats(const struct intake *intake, struct intake_stats *ret);
/* What it took since the process began, by arm. */
struct tally *intake_tally(const struct intake *intake);

#endif
