/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout as a plan: its steps, and the metrics by which it is judged. Plain records like those of nouns.h, the same for the analysis, the
 * store, the snapshot and the controller. Shares count in thousandths of a percent (SHARE_ALL is everybody), times in microseconds.
 */
#ifndef SERIN_MODEL_ROLLOUT_H
#define SERIN_MODEL_ROLLOUT_H

#include "base/json.h"
#include "base/sm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARE_ALL 100000
#define ROLLOUT_STEPS_MAX 20
#define ROLLOUT_METRICS_MAX 12
#define ROLLOUT_GUARDS_MAX 8

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
    int64_t max_time;  /* at this step without a verdict; then a person is asked */
    int64_t min_units; /* candidate units at this step before the next */
    double accept;     /* the ratio that METRIC_EVENT metrics must refute here; 0 = the metric's own */
    bool approval;     /* the next step waits for a person */
};

enum rollout_judge { JUDGE_EVIDENCE, JUDGE_RATIO };
enum rollout_reaction { REACTION_ROLL_BACK, REACTION_HOLD };
enum rollout_end { END_PROMOTE, END_ASK };

/* The plain rule of JUDGE_RATIO, over error rates: candidate > roll_back × stable goes back, <= go_on × stable goes on. */
struct ratio_rule {
    double roll_back, go_on;
    int64_t min_units; /* of the candidate, before either is said */
};

/* A query against a Prometheus server that can hold or roll back, and carries no weight in the evidence. Kept and checked for form here; asked
 * by controller/guards.h. */
enum guard_compare { GUARD_GT, GUARD_GE, GUARD_LT, GUARD_LE, GUARD_EQ, GUARD_NE };
struct guard {
    const char *name, *url, *query;
    enum guard_compare compare; /* of the query's value with the threshold: true is bad */
    double threshold;
    int64_t lasting; /* true for so long before it acts */
    enum rollout_reaction action;
};

/* What a guard's server said last. `since`: the state has been the same since then. */
enum guard_state { GUARD_UNKNOWN, GUARD_FINE, GUARD_BAD };
struct guard_seen {
    enum guard_state state;
    int64_t since;
    double value; /* NAN when it is unknown */
};
const char *guard_state_name(enum guard_state state); /* "unknown" */

struct rollout_plan {
    struct rollout_step steps[ROLLOUT_STEPS_MAX];
    size_t step_count;
    struct metric metrics[ROLLOUT_METRICS_MAX];
    size_t metric_count;
    struct guard guards[ROLLOUT_GUARDS_MAX];
    size_t guard_count;
    enum rollout_judge judge;
    struct ratio_rule ratio;
    enum rollout_reaction on_harm; /* what evidence of harm does */
    enum rollout_end on_end;       /* what the end of the last step does */
    int64_t no_data_after;         /* so long without an outcome while decisions flow holds; 0 = never */
    double alpha;                  /* chance of a false rollback, over all metrics, steps and looks */
    double beta;                   /* chance of going on with a harmful candidate */
    double alpha_srm;              /* chance of a false alarm of the sample ratio */
    int64_t settle;                /* evidence to go on is of units assigned at least so long ago */
    int64_t watermark;             /* the same for evidence of harm */
};

/* ---- a plan's text (rollout_plan.c) ---- */

/* Reads {steps, analysis, limits, judge, ratio, on_harm, on_end, no_data_after, guards}: only `steps` must be there. Every fault carries the JSON
 * pointer `at` and what follows it. `asks` is what on_end is when it is not said: a protected environment asks a person. Texts of the plan are put into
 * the arena. 0 also with faults, and then the plan is of no use; NO_MEMORY. */
int rollout_plan_parse(const json_t *json, const char *at, bool asks, struct arena *arena, struct rollout_plan *ret,
                       struct faults *faults, struct err *err) MUST_CHECK;
/* Appends the canonical JSON of everything the plan says, defaults too: parsing it gives the same plan again. */
void rollout_plan_write(const struct rollout_plan *plan, struct str *out);
/* A template under what was wished: the wish's members win, those of `analysis` one by one. Either may be NULL. A new reference. */
int rollout_plan_merge(const json_t *template, const json_t *wish, json_t **ret, struct err *err) MUST_CHECK;

/* Templates that every store begins with. `content` is JSON as rollout_plan_parse() reads it. */
struct rollout_template {
    const char *name;
    const char *description;
    const char *content;
    const char *created_by; /* "" = built in */
    int64_t created_at;
    int64_t seq; /* 0 = built in */
};
#define ROLLOUT_TEMPLATE_DEFAULT "standard"
const struct rollout_template *rollout_templates(size_t *ret_count); /* the built-in ones, in order of name */

/* "90s", "10m", "1h30m", "3d": whole numbers of d, h, m and s in this order, each at most once. */
#define DURATION_TEXT_SIZE 32
bool duration_from_text(const char *text, int64_t *ret);
void duration_text(int64_t duration, char ret[DURATION_TEXT_SIZE]); /* of whole seconds; "0s" */

/* ---- rollouts (rollout.c) ---- */

/* One rollout of a candidate in the place of a ref, and where it stands. Strings as in nouns.h. */
enum rollout_state {
    ROLLOUT_RUNNING,
    ROLLOUT_PAUSED,
    ROLLOUT_HELD,
    ROLLOUT_PROMOTED,
    ROLLOUT_ROLLED_BACK,
    ROLLOUT_ABORTED
};
/* What may become of a rollout. A move to the same state (a step, a share) needs no row. */
extern const struct sm rollout_sm;
const char *rollout_state_name(enum rollout_state state);
bool rollout_state_from_text(const char *text, enum rollout_state *ret);
bool rollout_is_open(enum rollout_state state); /* running, paused or held: it may still move */

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
#define PANIC_DISABLED 0  /* decisions say so and carry no configuration */
#define PANIC_STABLE (-1) /* what the ref serves, without rollouts, overrides and sessions */
struct panic {
    const char *agent; /* "" = every agent of the environment */
    const char *environment;
    int64_t version; /* or PANIC_DISABLED, PANIC_STABLE; with agent "" one of these two */
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
