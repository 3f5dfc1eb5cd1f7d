/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's part about outcomes; see store.h for what holds of all of it. These rows are written inside store_record(): they belong to no position.
 * Their one writer is the intake, which says what they mean.
 */
#ifndef SERIN_STORE_OUTCOMES_H
#define SERIN_STORE_OUTCOMES_H

#include "store/store.h"

/* Which batches of a sender are taken: all up to `low`, those in `above` (bytes of the intake's), and nothing is known of those up to `gap`. */
struct store_instance {
    const char *name;
    int64_t low, gap;
    struct slice above;
    int64_t seen_at;
};
int store_instance_get(struct store_tx *tx, const char *name, struct arena *arena, struct store_instance *ret,
                       struct err *err) MUST_CHECK; /* or STORE_NONE */
int store_instance_put(struct store_tx *tx, const struct store_instance *instance, struct err *err) MUST_CHECK;
/* Forgets at most `limit` that were seen last before `at`; only names from `from` on and below `below` ("" = all). */
int store_instances_forget(struct store_tx *tx, const char *from, const char *below, int64_t at, size_t limit,
                           struct err *err) MUST_CHECK;

struct store_outcome_log {
    int64_t id, at;
    struct slice body;
};
int store_outcome_log_add(struct store_tx *tx, const struct store_outcome_log *row, struct err *err) MUST_CHECK;
/* In order, ids > after. */
int store_outcome_logs(struct store_tx *tx, int64_t after, size_t limit, struct arena *arena,
                       struct store_outcome_log **ret, size_t *ret_count, struct err *err) MUST_CHECK;
int store_outcome_log_cut(struct store_tx *tx, int64_t last, struct err *err) MUST_CHECK; /* ids <= last are gone */

struct store_checkpoint {
    const char *rollout; /* "" = how far the log is in all of them */
    int64_t log;         /* the last id that is in it */
    struct slice body;
};
int store_checkpoint_put(struct store_tx *tx, const struct store_checkpoint *checkpoint, struct err *err) MUST_CHECK;
int store_checkpoint_remove(struct store_tx *tx, const char *rollout, struct err *err) MUST_CHECK;
int store_checkpoints(struct store_tx *tx, struct arena *arena, struct store_checkpoint **ret, size_t *ret_count,
                      struct err *err) MUST_CHECK; /* in order of rollout */

/* Sums of one minute. */
struct store_minute {
    const char *agent, *environment;
    int64_t version;
    const char *arm; /* "stable", "candidate", or "" outside a rollout */
    int64_t minute;  /* when it begins */
    int64_t outcomes, errors;
    int64_t latencies, latency; /* how many said how long they took; microseconds in all */
    int64_t input_tokens, output_tokens;
    int64_t cost; /* billionths of a dollar */
    int64_t up, down, tool_errors;
};
int store_minute_add(struct store_tx *tx, const struct store_minute *minute,
                     struct err *err) MUST_CHECK; /* to what is there */
/* In order of version, arm and minute, with from <= minute < below. */
int store_minutes(struct store_tx *tx, const char *agent, const char *environment, int64_t from, int64_t below,
                  struct arena *arena, struct store_minute **ret, size_t *ret_count, struct err *err) MUST_CHECK;

/* Sums over spans of `width` microseconds each, which begin at multiples of it: newest span first, then in order of version and arm. `minute` is when the span
 * begins. */
struct store_sums_query {
    const char *agent, *environment;
    int64_t from, below;          /* of the minutes */
    int64_t width;                /* a whole number of minutes */
    int64_t after, after_version; /* behind this row; after_arm NULL: from the newest */
    const char *after_arm;
    size_t limit;
};
int store_outcome_sums(struct store_tx *tx, const struct store_sums_query *query, struct arena *arena,
                       struct store_minute **ret, size_t *ret_count, struct err *err) MUST_CHECK;

int store_failure_put(struct store_tx *tx, const char *rollout, int64_t number, const char *body,
                      struct err *err) MUST_CHECK;
int store_failures_cut(struct store_tx *tx, const char *rollout, int64_t last, struct err *err) MUST_CHECK;
struct store_failure {
    int64_t number;
    const char *body;
};
/* Newest first, numbers < before (0 = from the newest). */
int store_failures(struct store_tx *tx, const char *rollout, int64_t before, size_t limit, struct arena *arena,
                   struct store_failure **ret, size_t *ret_count, struct err *err) MUST_CHECK;

#endif
