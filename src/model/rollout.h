/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout as a plan: its steps, and the metrics by which it is judged. Plain records like those of nouns.h, the same for the analysis, the
 * store, the snapshot and the controller. Shares count in thousandths of a percent (SHARE_ALL is everybody), times in microseconds.
 */
#ifndef SERIN_MODEL_ROLLOUT_H
#define SERIN_MODEL_ROLLOUT_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARE_ALL 100000
#define ROLLOUT_STEPS_MAX 20
#define ROLLOUT_METRICS_MAX 12

/* How a metric is measured on a unit, and with that how it is tested. */
enum metric_kind {
    METRIC_EVENT, /* it happened to the unit or not: error, tool_errors, feedback (a thumb down). Margins are ratios */
    METRIC_SCORE, /* 0 … 1: score.<name>. Margins are differences */
    METRIC_SIZE,  /* a number that is not negative, less is better: latency, cost, tokens. Margins are ratios */
};

struct metric {
    const char *name;
    enum metric_kind kind;
    bool lower_is_better; /* METRIC_SCORE; the others always are */
    double weight;        /* of its evidence of harm among that of all metrics; they sum to 1 */
    double harm;          /* up to this much worse is acceptable: what must be refuted to roll back */
    double
        accept; /* this much worse is harmful: what must be refuted to go on; a step may say otherwise for METRIC_EVENT */
    double harm_floor;   /* METRIC_EVENT: a stable rate below it counts as this, to roll back */
    double accept_floor; /* the same, to go on */
    double limit;        /* the candidate's rate or mean past which it is rolled back without evidence; 0 = none */
    int64_t limit_units; /* of at least so many candidate units */
};

struct rollout_step {
    int32_t share;
    int64_t min_time;  /* at this step before the next */
    int64_t min_units; /* candidate units at this step before the next */
    double accept;     /* the ratio that METRIC_EVENT metrics must refute here; 0 = the metric's own */
    bool approval;     /* the next step waits for a person */
};

enum rollout_judge { JUDGE_EVIDENCE, JUDGE_RATIO };

struct rollout_plan {
    struct rollout_step steps[ROLLOUT_STEPS_MAX];
    size_t step_count;
    struct metric metrics[ROLLOUT_METRICS_MAX];
    size_t metric_count;
    enum rollout_judge judge;
    double alpha;      /* chance of a false rollback, over all metrics, steps and looks */
    double beta;       /* chance of going on with a harmful candidate */
    double alpha_srm;  /* chance of a false alarm of the sample ratio */
    int64_t settle;    /* evidence to go on is of units assigned at least so long ago */
    int64_t watermark; /* the same for evidence of harm */
};

/* One rollout of a candidate in the place of a ref, and where it stands. Strings as in nouns.h. */
enum rollout_state {
    ROLLOUT_RUNNING,
    ROLLOUT_PAUSED,
    ROLLOUT_HELD,
    ROLLOUT_PROMOTED,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED
};

struct rollout {
    const char *id;
    const char *agent, *environment;
    int64_t candidate, stable; /* versions */
    const char *salt;          /* of its buckets and units; stays over restarts */
    const char *audience;      /* targeting rule, canonical JSON; NULL = everybody */
    const char *plan;          /* canonical JSON, as rollout_plan_write() makes it */
    const char *reason;
    const char *created_by;
    int64_t created_at;
    int64_t seq; /* of its start */

    enum rollout_state state;
    unsigned step;     /* index into the plan's steps */
    int32_t share;     /* in force; 0 once it has ended */
    int64_t step_at;   /* when this share came into force */
    const char *words; /* why it stands so: a person's reason, or the controller's verdict */
    const char *moved_by;
    int64_t moved_at;
    int64_t moved_seq;
};

/* One move of a rollout: its start, a step, a change of state. Every one is kept: together they are its journal. */
struct rollout_move {
    const char *rollout; /* its id */
    enum rollout_state state;
    unsigned step;
    int32_t share;
    const char *action;    /* start, pause, resume, hold, advance, promote, rollback, abort, end */
    const char *words;     /* why, for people */
    struct slice evidence; /* what a verdict was reached from, to be replayed; empty for a person's word */
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* Everything of an agent in an environment, or of all agents there, frozen on one version. */
struct panic {
    const char *agent; /* "" = every agent of the environment, each on what its ref serves: stable, without rollouts */
    const char *environment;
    int64_t version; /* 0 = disabled: decisions say so and carry no configuration */
    const char *reason;
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* What resolving a ref depended on from a moment on, for conversations that began then. */
struct era {
    int64_t from; /* time */
    int64_t version;
    int64_t candidate; /* 0 = no rollout then */
    int32_t share;
    const char *salt, *audience; /* of that rollout; audience NULL = everybody */
};

#endif
