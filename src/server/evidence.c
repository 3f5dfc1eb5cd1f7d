/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intake counts outcomes of each arm; that a count has grown since the tick before is news of that arm, and a decision after the last news begins a silence.
 * Without open rollouts the intake is left alone: a tick is a row in its log.
 */
#include "server/evidence.h"

#include "base/json.h"

#include <pthread.h>
#include <string.h>

#define SECOND INT64_C(1000000)

struct kept {
    char id[FOLD_ID_MAX + 1];
    int64_t seq;     /* of its start: its name in the flow of decisions */
    int64_t step_at; /* of the step that the intake was told last, 0 = none */
    int64_t outcomes[2];
    struct arm_flow flow[2];
};

struct evidence_keeper {
    struct evidence_keeper_options options;
    pthread_mutex_t lock; /* for what follows */
    struct kept **kept;   /* in order of id */
    size_t count, capacity;
};

int evidence_keeper_new(const struct evidence_keeper_options *options, struct evidence_keeper **ret, struct err *err) {
    struct evidence_keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper) return err_no_memory(err);
    keeper->options = *options;
    pthread_mutex_init(&keeper->lock, NULL);
    *ret = keeper;
    return 0;
}

struct evidence_keeper *evidence_keeper_free(struct evidence_keeper *keeper) {
    if (!keeper) return NULL;
    for (size_t i = 0; i < keeper->count; i++)
        free(keeper->kept[i]);
    free(keeper->kept);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
    return NULL;
}

static int compare_id(const void *id, const void *kept) {
    return strcmp(id, (*(struct kept *const *)kept)->id);
}

static int by_id(const void *a, const void *b) {
    return compare_id((*(struct kept *const *)a)->id, b);
}

static struct kept **find(const struct evidence_keeper *keeper, const char *id) {
    return keeper->count ? bsearch(id, keeper->kept, keeper->count, sizeof(struct kept *), compare_id) : NULL;
}

static int make_room(struct evidence_keeper *keeper, struct err *err) {
    if (keeper->count < keeper->capacity) return 0;
    size_t capacity = keeper->capacity ? 2 * keeper->capacity : 16;
    struct kept **grown = realloc(keeper->kept, capacity * sizeof(struct kept *));
    if (!grown) return err_no_memory(err);
    keeper->kept = grown;
    keeper->capacity = capacity;
    return 0;
}

/* ---- how rollouts stand ---- */

/* The share of the first step, which was in force from the start on, whatever is now. */
static int first_share(const struct rollout *rollout, int32_t *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct rollout_plan plan;
    int r = json_parse(rollout->plan, strlen(rollout->plan), JSON_DEPTH_MAX, &json, err);
    if (r == 0) r = rollout_plan_parse(json, "", false, &arena, &plan, &faults, err);
    if (r == 0) *ret = plan.steps[0].share;
    return r;
}

static int keep(struct evidence_keeper *keeper, const struct rollout *rollout, struct kept **ret, struct err *err) {
    struct kept **at = find(keeper, rollout->id), *kept = at ? *at : NULL;
    int r = kept ? 0 : make_room(keeper, err);
    if (!kept && r == 0) {
        kept = calloc(1, sizeof(*kept));
        if (!kept) return err_no_memory(err);
        strncpy(kept->id, rollout->id, FOLD_ID_MAX);
        kept->seq = rollout->seq;
        keeper->kept[keeper->count++] = kept;
        qsort(keeper->kept, keeper->count, sizeof(struct kept *), by_id);
    }
    *ret = kept;
    return r;
}

static int tell(struct evidence_keeper *keeper, const struct rollout *rollout, struct err *err) {
    struct fold_rollout opened = {
        .id = rollout->id,
        .agent = rollout->agent,
        .environment = rollout->environment,
        .candidate = rollout->candidate,
        .stable = rollout->stable,
        .plan = rollout->plan,
        .at = rollout->created_at,
    };
    struct kept *kept = NULL;
    int r = keep(keeper, rollout, &kept, err);
    if (r < 0 || kept->step_at == rollout->step_at) return r;
    r = kept->step_at ? 0 : first_share(rollout, &opened.share, err);
    if (r == 0 && !kept->step_at) r = intake_open(keeper->options.intake, &opened, err);
    if (r == 0)
        r = intake_stage(keeper->options.intake, rollout->id, rollout->step, rollout->share, rollout->step_at, err);
    if (r == 0) kept->step_at = rollout->step_at;
    return r;
}

int evidence_keeper_tell(void *ctx, const struct rollout *rollout, struct err *err) {
    struct evidence_keeper *keeper = ctx;
    pthread_mutex_lock(&keeper->lock);
    int r = tell(keeper, rollout, err);
    pthread_mutex_unlock(&keeper->lock);
    return r;
}

static int forget(struct evidence_keeper *keeper, const char *id, struct err *err) {
    struct kept **at = find(keeper, id);
    int r = intake_close(keeper->options.intake, id, err);
    if (r < 0 || !at) return r;
    flow_forget(keeper->options.flow, (*at)->seq);
    free(*at);
    memmove(at, at + 1, (size_t)(keeper->kept + --keeper->count - at) * sizeof(struct kept *));
    return 0;
}

static int close_rollout(void *ctx, const char *id, struct err *err) {
    struct evidence_keeper *keeper = ctx;
    pthread_mutex_lock(&keeper->lock);
    int r = forget(keeper, id, err);
    pthread_mutex_unlock(&keeper->lock);
    return r;
}

/* ---- ticks ---- */

struct tick {
    struct evidence_keeper *keeper;
    int64_t now, second; /* the same moment: of the wall, and of the flow */
    int (*each)(void *ctx, const struct evidence_seen *seen);
    void *ctx;
};

static void follow_arm(const struct tick *tick, struct arm_flow *flow, int64_t *known, int64_t outcomes,
                       int64_t decided) {
    if (outcomes > *known) {
        flow->outcome_at = tick->now;
        flow->unanswered_since = 0;
    }
    *known = outcomes;
    if (!decided) return;
    flow->decision_at = tick->now - (tick->second - decided) * SECOND;
    if (!flow->unanswered_since && flow->decision_at > flow->outcome_at) flow->unanswered_since = flow->decision_at;
}

static void follow(const struct tick *tick, struct kept *kept, const struct fold_view *view) {
    int64_t decided[2];
    flow_last(tick->keeper->options.flow, kept->seq, decided);
    for (int arm = 0; arm < 2; arm++)
        follow_arm(tick, &kept->flow[arm], &kept->outcomes[arm], view->counts.outcomes[arm], decided[arm]);
}

/* On the intake's thread, while the controller's waits with the lock. One that nobody told of is shown too: its end may have been lost in a crash. */
static int show(void *ctx, const struct fold_view *view) {
    const struct tick *tick = ctx;
    struct kept **kept = find(tick->keeper, view->id);
    struct evidence_seen seen = {.rollout = view->id, .judged = view->evidence};
    if (kept) {
        follow(tick, *kept, view);
        memcpy(seen.flow, (*kept)->flow, sizeof(seen.flow));
    }
    return tick->each(tick->ctx, &seen);
}

/* Also one that the intake found in its log and nobody has told of. */
static bool has_rollouts(const struct evidence_keeper *keeper) {
    struct intake_stats stats;
    intake_stats(keeper->options.intake, &stats);
    return keeper->count || stats.rollouts;
}

static int end_tick(void *ctx, int64_t now, int (*each)(void *each_ctx, const struct evidence_seen *seen),
                    void *each_ctx, struct err *err) {
    struct evidence_keeper *keeper = ctx;
    struct tick tick = {.keeper = keeper, .now = now, .each = each, .ctx = each_ctx};
    tick.second = clock_monotonic_coarse(keeper->options.clock) / SECOND;
    pthread_mutex_lock(&keeper->lock);
    if (keeper->count) flow_look(keeper->options.flow, tick.second);
    int r = has_rollouts(keeper) ? intake_tick(keeper->options.intake, now, show, &tick, err) : 0;
    pthread_mutex_unlock(&keeper->lock);
    return r;
}

struct evidence_source evidence_keeper_source(struct evidence_keeper *keeper) {
    return (struct evidence_source){evidence_keeper_tell, close_rollout, end_tick, keeper};
}
