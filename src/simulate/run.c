/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rollout. What happens to a request is drawn in a fixed order, so that a run can be had again; but two rules in the same world stop being
 * comparable request by request as soon as one of them moves.
 *
 * Three ways to the same evidence, from the quickest on:
 *   - strangers and nothing but one event: how many of a look's requests are the candidate's, are lost, have the event are counts; the evidence
 *     takes each kind in at once (evidence_add_strangers());
 *   - strangers with values: one by one, for each has its own values;
 *   - users: one by one through bucket and unit, which are worked out once a run by the resolver's own functions.
 */
#include "resolve/resolve.h"
#include "simulate/dice.h"
#include "simulate/simulate.h"

#include <stdio.h>
#include <string.h>

#define START INT64_C(1760000000000000)
#define SECONDS 1e6
#define KEY_SIZE 32
#define SALT_SIZE 48
#define REQUESTS_PER_LOOK_MAX 1e8

struct user {
    uint64_t unit;
    uint32_t bucket;
    bool prone;
};

struct run {
    const struct world *world;
    struct rollout_plan plan;
    const struct run_watcher *watcher;
    struct dice dice;
    struct evidence *evidence;
    struct rollout_facts facts;
    struct arm_world arms[2];
    struct user *users;
    bool changes_done[WORLD_CHANGES_MAX];
    bool only_events;            /* one event, no values, strangers */
    bool burst;                  /* in this look */
    double carried;              /* part of a request left over from the last look */
    size_t event;                /* only_events: the metric */
    int64_t decided[2], told[2]; /* decisions and outcomes of this look, by arm */
    struct run_result result;
};

static void run_deinit(struct run *run) {
    evidence_free(run->evidence);
    free(run->users);
}

/* ---- beginning ---- */

/* Eight hex digits. */
static uint32_t hex_part(const char *text) {
    uint32_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 4 | (uint32_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    return number;
}

/* Everybody's bucket and unit under this run's salt. */
static int make_users(struct run *run, uint64_t seed, uint64_t number, struct err *err) {
    char salt[SALT_SIZE], key[KEY_SIZE], unit[UNIT_TEXT_SIZE];
    size_t count = (size_t)run->world->users;
    if (count == 0) return 0;
    run->users = calloc(count, sizeof(*run->users));
    if (!run->users) return err_no_memory(err);
    snprintf(salt, sizeof(salt), "%llx-%llx", (unsigned long long)seed, (unsigned long long)number);
    for (size_t i = 0; i < count; i++) {
        struct slice text = {key, (size_t)snprintf(key, sizeof(key), "user-%zu", i)};
        resolve_unit(slice_of(salt), text, unit);
        run->users[i] = (struct user){.unit = (uint64_t)hex_part(unit + 8) << 32 | hex_part(unit + 16),
                                      .bucket = (uint32_t)((uint64_t)hex_part(unit) * BUCKETS >> 32),
                                      .prone = dice_hits(&run->dice, run->world->prone_share)};
    }
    return 0;
}

static int begin(struct run *run, const struct world *world, enum rollout_judge judge, struct err *err) {
    size_t events = 0;
    run->world = world;
    run->plan = world->plan;
    run->plan.judge = judge;
    run->plan.guard_count = 0; /* no server is asked here */
    run->facts = (struct rollout_facts){.state = ROLLOUT_RUNNING,
                                        .step_at = START,
                                        .moved_at = START,
                                        .now = START,
                                        .may_promote = !world->is_protected};
    memcpy(run->arms, world->arms, sizeof(run->arms));
    run->only_events = world->users == 0;
    for (size_t m = 0; m < run->plan.metric_count; m++) {
        if (run->plan.metrics[m].kind != METRIC_EVENT) run->only_events = false;
        events++;
    }
    if (events != 1) run->only_events = false;
    return evidence_new(&run->plan, START, &run->evidence, err);
}

/* ---- what changes ---- */

static bool is_due(const struct run *run, const struct change *change) {
    switch (change->on) {
    case CHANGE_AT_STEP:
        return (int64_t)run->facts.step >= change->when;
    case CHANGE_AT_UNITS:
        return run->result.units >= change->when;
    case CHANGE_AT_TIME:
        break;
    }
    return run->facts.now - START >= change->when;
}

static void set_said(double *value, double said) {
    if (!isnan(said)) *value = said;
}

static void change_arm(struct arm_world *arm, const struct arm_world *to) {
    for (size_t m = 0; m < ROLLOUT_METRICS_MAX; m++) {
        set_said(&arm->measures[m].at, to->measures[m].at);
        set_said(&arm->measures[m].spread, to->measures[m].spread);
    }
    set_said(&arm->lost, to->lost);
    set_said(&arm->unscored, to->unscored);
    set_said(&arm->errors_unscored, to->errors_unscored);
    set_said(&arm->silent, to->silent);
}

static void make_changes(struct run *run) {
    for (size_t i = 0; i < run->world->change_count; i++) {
        const struct change *change = &run->world->changes[i];
        if (run->changes_done[i] || !is_due(run, change)) continue;
        run->changes_done[i] = true;
        for (unsigned arm = 0; arm < 2; arm++)
            if (change->arms >> arm & 1) change_arm(&run->arms[arm], &change->to);
    }
}

/* ---- requests ---- */

static double error_chance(const struct run *run, bool candidate, size_t m, const struct user *user) {
    if (run->burst) return run->world->burst_error;
    return user && user->prone ? run->world->prone_error : run->arms[candidate].measures[m].at;
}

static void tell_kind(struct run *run, bool candidate, uint32_t events, int64_t count) {
    struct observation seen = {
        .candidate = candidate, .stage = run->facts.step, .at = run->facts.now, .events = events};
    while (count > 0) {
        int64_t part = count < STRANGERS_MAX ? count : STRANGERS_MAX;
        evidence_add_strangers(run->evidence, &seen, part);
        count -= part;
    }
}

/* Whole looks at once. */
static void ask_by_counts(struct run *run, int64_t requests) {
    double share = (double)run->plan.steps[run->facts.step].share / SHARE_ALL;
    int64_t of_arm[2];
    of_arm[1] = dice_count(&run->dice, requests, share);
    of_arm[0] = requests - of_arm[1];
    for (unsigned arm = 0; arm < 2; arm++) {
        const struct arm_world *world = &run->arms[arm];
        run->decided[arm] = of_arm[arm];
        int64_t told = world->silent != 0 ? 0 : of_arm[arm] - dice_count(&run->dice, of_arm[arm], world->lost);
        int64_t bad = dice_count(&run->dice, told, error_chance(run, arm, run->event, NULL));
        run->told[arm] = told;
        tell_kind(run, arm, UINT32_C(1) << run->event, bad);
        tell_kind(run, arm, 0, told - bad);
    }
}

static double draw_value(struct run *run, const struct metric *metric, const struct measure *measure) {
    double normal = dice_normal(&run->dice);
    if (metric->kind == METRIC_SIZE) return measure->at * exp(measure->spread * normal);
    double score = measure->at + measure->spread * normal;
    return score < 0 ? 0 : score > 1 ? 1 : score;
}

/* What comes of one run. */
static void draw_outcome(struct run *run, const struct user *user, struct observation *seen) {
    const struct arm_world *world = &run->arms[seen->candidate];
    for (size_t m = 0; m < run->plan.metric_count; m++)
        if (run->plan.metrics[m].kind == METRIC_EVENT &&
            dice_hits(&run->dice, error_chance(run, seen->candidate, m, user)))
            seen->events |= UINT32_C(1) << m;
    bool scored = !(world->errors_unscored != 0 && seen->events) && !dice_hits(&run->dice, world->unscored);
    for (size_t m = 0; m < run->plan.metric_count; m++) {
        const struct metric *metric = &run->plan.metrics[m];
        if (metric->kind == METRIC_EVENT || (metric->kind == METRIC_SCORE && !scored)) continue;
        seen->values[m] = draw_value(run, metric, &world->measures[m]);
        seen->present |= UINT32_C(1) << m;
    }
}

static int ask_one(struct run *run) {
    struct observation seen = {.stage = run->facts.step, .at = run->facts.now};
    const struct user *user = run->users ? &run->users[dice_next(&run->dice) % (uint64_t)run->world->users] : NULL;
    uint32_t bucket = user ? user->bucket : (uint32_t)((dice_next(&run->dice) >> 32) * BUCKETS >> 32);
    seen.candidate = bucket < (uint32_t)run->plan.steps[run->facts.step].share;
    run->decided[seen.candidate]++;
    const struct arm_world *world = &run->arms[seen.candidate];
    if (world->silent != 0 || dice_hits(&run->dice, world->lost)) return 0;
    run->told[seen.candidate]++;
    draw_outcome(run, user, &seen);
    if (user) {
        seen.unit = user->unit;
        return evidence_add(run->evidence, &seen);
    }
    evidence_add_strangers(run->evidence, &seen, 1);
    return 0;
}

static int64_t requests_of_look(struct run *run) {
    const struct world *world = run->world;
    double share = (double)run->plan.steps[run->facts.step].share / SHARE_ALL;
    double wanted = world->candidates_per_look > 0 ? world->candidates_per_look / share
                                                   : world->per_second * (double)world->look / SECONDS;
    wanted = fmin(wanted, REQUESTS_PER_LOOK_MAX) + run->carried;
    run->carried = wanted - floor(wanted);
    return (int64_t)floor(wanted);
}

static void note_flow(struct run *run, unsigned arm) {
    struct arm_flow *flow = &run->facts.flow[arm];
    if (run->told[arm]) {
        flow->outcome_at = run->facts.now;
        flow->unanswered_since = 0;
    }
    if (!run->decided[arm]) return;
    flow->decision_at = run->facts.now;
    if (!run->told[arm] && !flow->unanswered_since) flow->unanswered_since = run->facts.now;
}

static int ask_all(struct run *run) {
    int64_t requests = requests_of_look(run);
    run->burst = dice_hits(&run->dice, run->world->burst_chance);
    run->result.requests += requests;
    memset(run->decided, 0, sizeof(run->decided));
    memset(run->told, 0, sizeof(run->told));
    if (run->only_events) {
        ask_by_counts(run, requests);
    } else {
        for (int64_t i = 0; i < requests; i++) {
            int r = ask_one(run);
            if (r < 0) return r;
        }
    }
    note_flow(run, 0);
    note_flow(run, 1);
    return 0;
}

/* ---- decisions ---- */

static int tell_watcher(const struct run *run, const struct rollout_ruling *ruling) {
    if (!run->watcher || ruling->action == ROLLOUT_WAIT) return 0;
    return run->watcher->moved(run->watcher->ctx, &run->plan, &run->facts, run->evidence, ruling);
}

/* Answers whether the rollout goes on. */
static bool act(struct run *run, const struct rollout_ruling *ruling) {
    static const enum fate fates[] = {
        [ROLLOUT_HOLD] = FATE_HELD, [ROLLOUT_PROMOTE] = FATE_PROMOTED, [ROLLOUT_ROLL_BACK] = FATE_ROLLED_BACK};
    run->result.reason = ruling->reason;
    if (ruling->action == ROLLOUT_WAIT) return true;
    if (ruling->action == ROLLOUT_ADVANCE) {
        run->facts.step++;
        run->facts.step_at = run->facts.moved_at = run->facts.now;
        evidence_enter(run->evidence, run->facts.step, run->facts.now);
        return true;
    }
    run->result.fate = fates[ruling->action];
    return false;
}

static int look(struct run *run, bool *ret_goes_on) {
    struct verdict verdict;
    run->facts.now += run->world->look;
    evidence_tick(run->evidence, run->facts.now);
    analysis_judge_quick(&run->plan, run->evidence, run->facts.step, &verdict);
    struct rollout_ruling ruling = rollout_decide(&run->plan, &run->facts, &verdict);
    run->result.units = verdict.units;
    run->result.step = run->facts.step;
    run->result.time = run->facts.now - START;
    int r = tell_watcher(run, &ruling);
    *ret_goes_on = act(run, &ruling) && verdict.units < run->world->horizon;
    return r;
}

static int go(struct run *run, struct err *err) {
    int r = 0;
    for (bool goes_on = true; r == 0 && goes_on;) {
        make_changes(run);
        r = ask_all(run);
        if (r < 0) return err_no_memory(err);
        r = look(run, &goes_on);
    }
    return r;
}

int simulate_run(const struct world *world, enum rollout_judge judge, uint64_t seed, uint64_t number,
                 const struct run_watcher *watcher, struct run_result *ret, struct err *err) {
    struct run run = {.dice = dice_of_run(seed, number), .watcher = watcher, .result = {.fate = FATE_UNFINISHED}};
    int r = begin(&run, world, judge, err);
    if (r == 0) r = make_users(&run, seed, number, err);
    if (r == 0) r = go(&run, err);
    *ret = run.result;
    run_deinit(&run);
    return r;
}
