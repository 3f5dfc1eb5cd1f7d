/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outcomes add up to, in memory: a fold over the log's records in their order. A pure function of checkpoint and log: no clock, no
 * I/O, nothing random, so that a restart comes to the same bytes. One owner.
 *
 * Memory: of each open rollout its evidence (the analysis's bound), 1,000 failing outcomes of at most 400 bytes, and 4,096 runs of 48
 * bytes: under 600 KB besides the evidence. Minutes and failures wait here until a checkpoint; fold_is_full() says that it is due.
 */
#ifndef SERIN_INTAKE_FOLD_H
#define SERIN_INTAKE_FOLD_H

#include "intake/judge.h"
#include "intake/outcome.h"
#include "intake/tally.h"
#include "store/outcomes.h"

#define FOLD_FAILURES 1000
#define FOLD_STAGES_MAX 64
#define FOLD_ID_MAX 64 /* bytes of a rollout's id */

struct fold;

int fold_new(const struct judge *judge, struct fold **ret) MUST_CHECK;
struct fold *fold_free(struct fold *fold);
/* Where outcomes are counted besides, when they are applied for the first time: with `results`. NULL: nowhere. */
void fold_count_into(struct fold *fold, struct tally *tally);

/* ---- records: what a row of the log is made of ---- */

struct fold_rollout {
    const char *id, *agent, *environment;
    int64_t candidate, stable;
    const char *plan; /* JSON, as rollout_plan_write() makes it */
    int64_t at;       /* of its start; the share of its first stage is in force from then on */
    int32_t share;
};

/* Unknown places are those of versions that do not exist. */
void fold_record_batch(struct str *out, const struct outcomes *batch, const bool *unknown);
void fold_record_open(struct str *out, const struct fold_rollout *rollout);
void fold_record_stage(struct str *out, const char *rollout, unsigned step, int32_t share, int64_t at);
void fold_record_close(struct str *out, const char *rollout);
void fold_record_tick(struct str *out, int64_t now);

/* What became of one record. */
struct fold_result {
    size_t accepted;   /* outcomes in the batch */
    size_t mismatched; /* said another arm than the server's, or saw another version than that arm's */
    size_t unknown;    /* of a version that does not exist, or of a rollout that is not open */
    size_t evidence;   /* that became evidence */
};
/* Applies the records of one row. `results` NULL, or one for each record. NO_MEMORY, STORE_CORRUPT: the fold is to be thrown away. */
int fold_apply(struct fold *fold, struct slice records, struct fold_result *results, struct err *err) MUST_CHECK;

/* ---- what it came to ---- */

struct fold_counts {
    int64_t outcomes[2]; /* evidence of stable [0] and candidate [1] */
    int64_t mismatched;
    int64_t outside;          /* of a time in which no stage was in force */
    int64_t other_reasons;    /* overrides, sessions, panics, decisions from before */
    int64_t late, unattached; /* scores and feedback that came later: found their run, or did not */
    int64_t last_at;          /* newest `at` */
};
struct fold_view {
    const char *id, *agent, *environment;
    struct fold_counts counts;
    struct slice evidence; /* JUDGE_SHORT */
};
size_t fold_count(const struct fold *fold); /* open rollouts */
/* Calls `each` for every open rollout in order of id, with evidence when asked for. Stops at other than 0, and answers that. */
int fold_each(const struct fold *fold, bool evidence, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
              struct err *err) MUST_CHECK;

/* ---- checkpoints ---- */

bool fold_is_full(const struct fold *fold); /* minutes wait for a checkpoint, and should not wait longer */
/* Writes what has changed since the last fold_saved(); `log` is the last row applied. Inside store_record(). */
int fold_save(const struct fold *fold, struct store_tx *tx, int64_t log, struct err *err) MUST_CHECK;
/* The checkpoint is committed. */
void fold_saved(struct fold *fold);
/* Puts back what fold_save() wrote, into a new fold. *ret_log: from where the log goes on. */
int fold_load(struct fold *fold, struct store_tx *tx, int64_t *ret_log, struct err *err) MUST_CHECK;

/* A hash over all that it holds, for tests: two folds over the same log have the same. */
int fold_digest(const struct fold *fold, struct sha256 *ret, struct err *err) MUST_CHECK;

#endif
