/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the fold: what it holds. */
#ifndef SERIN_INTAKE_FOLD_IMPL_H
#define SERIN_INTAKE_FOLD_IMPL_H

#include "intake/fold.h"
#include "intake/pack.h"

#define RUN_SETS 1024
#define RUN_WAYS 4 /* of a set; the oldest goes first */
#define MINUTE INT64_C(60000000)
#define MINUTES_FULL 65536

/* What a late score needs to know of the outcome that it belongs to. */
struct run {
    uint64_t run; /* 0: free */
    uint64_t unit;
    int64_t at;
    uint32_t had; /* bit i: metric i has its value already */
    uint16_t stage;
    bool candidate;
};

struct run_set {
    uint32_t next; /* the way that is overwritten next */
    struct run ways[RUN_WAYS];
};

struct stage {
    unsigned step;
    int32_t share;
    int64_t at;
};

/* From which part of an outcome a metric takes its value. */
enum source {
    FROM_NOTHING,
    FROM_ERROR,
    FROM_TOOL_ERRORS,
    FROM_FEEDBACK,
    FROM_LATENCY,
    FROM_COST,
    FROM_TOKENS,
    FROM_SCORE
};

/* A failing outcome, to be looked at. */
struct failure {
    int64_t number;
    int64_t at, version;
    uint32_t has, bucket_hash;
    uint64_t unit;
    enum outcome_arm arm;
    double latency_ms;
    char session[OUTCOME_TEXT_MAX + 1], error_type[OUTCOME_TEXT_MAX + 1];
};

struct trial {
    char id[FOLD_ID_MAX + 1], agent[NAME_MAX_LEN + 1], environment[NAME_MAX_LEN + 1];
    int64_t candidate, stable;
    char *plan_text;
    struct rollout_plan plan;
    struct arena arena; /* of the plan's texts */
    enum source sources[ROLLOUT_METRICS_MAX];
    struct stage stages[FOLD_STAGES_MAX];
    size_t stage_count;
    void *evidence;
    struct fold_counts counts;
    struct run_set *runs;         /* RUN_SETS of them; NULL until one is named */
    struct failure *failures;     /* that wait for a checkpoint, a ring of FOLD_FAILURES once there is one */
    int64_t failed, failed_saved; /* number of the newest failure, and of the newest in the store */
    bool closed, dirty;
};

struct minute_key {
    uint32_t place; /* of fold->places */
    enum outcome_arm arm;
    int64_t minute;
};

/* A store_minute, but its texts. */
struct minute {
    struct minute_key key;
    int64_t outcomes, errors, latencies, latency, input_tokens, output_tokens, cost, up, down, tool_errors;
};

struct fold_place {
    const char *agent, *environment;
    int64_t version;
};

struct minute_table {
    struct minute *items; /* in order of arrival */
    size_t count, capacity;
    uint32_t *slots; /* open addressing: index + 1, 0 = free; a power of two, at least twice `capacity` */
    size_t slot_count;
    struct fold_place *places;
    size_t place_count, place_capacity;
    struct arena arena;
};

struct fold {
    const struct judge *judge;
    struct trial **trials; /* in order of id; closed ones stay until the next checkpoint */
    size_t trial_count, trial_capacity;
    struct minute_table minutes;
    struct tally *tally; /* borrowed; or NULL */
};

/* The open rollout of that id, or NULL. */
struct trial *fold_trial(const struct fold *fold, struct slice id);
/* An empty one in its place of the order. NULL: no memory. */
struct trial *fold_trial_new(struct fold *fold, const char *id) MUST_CHECK;
void fold_trial_drop(struct fold *fold, struct trial *trial);
/* Reads plan_text into the plan. */
int trial_plan(struct trial *trial, struct err *err) MUST_CHECK;
const struct stage *trial_stage(const struct trial *trial, int64_t at);

/* ---- minutes (fold_minutes.c) ---- */

/* The place's number; -1: no memory. */
int64_t minutes_place(struct minute_table *table, const struct outcome_place *place);
/* Zeroed when it is new; NULL: no memory. */
struct minute *minutes_get(struct minute_table *table, const struct minute_key *key);
void minutes_clear(struct minute_table *table);
void minutes_deinit(struct minute_table *table);
void minute_add(struct minute *minute, const struct outcome *outcome);

/* ---- bytes (fold_save.c) ---- */

int trial_pack(const struct fold *fold, const struct trial *trial, struct str *out);
void failure_write(const struct failure *failure, struct str *out);

#endif
