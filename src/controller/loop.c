/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look: the store's truth about open rollouts (only when its head has moved), the evidence as of this tick, decisions, moves. A rollout is remembered
 * by the seq of its newest move; with another seq it is another thing to decide about, and everything known of it is forgotten but its verdict's bytes.
 *
 * The evidence source shows its rollouts on its own thread and must not be kept waiting, so there only bytes are copied. Judging them,
 * which is what costs, is done after, and only for those whose bytes are not those of the last look.
 */
#include "controller/loop.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/thread.h"
#include "controller/journal.h"
#include "store/rollouts.h"

#include <math.h>
#include <pthread.h>

#define SECOND INT64_C(1000000)
#define PAGE 500

/* An open rollout, as of its newest move. */
struct tracked {
    struct arena arena; /* of the texts of `rollout` and `plan` */
    struct rollout rollout;
    struct rollout_plan plan;
    bool usable; /* the plan can be read */
    bool listed; /* in the reading that is going on */
    bool synced; /* the source knows it as it stands */
    bool ref_held, panic;
    struct str judged; /* of the newest tick */
    bool has_news, has_verdict;
    struct arm_flow flow[2];
    struct verdict verdict; /* quick */
};

/* What the source shows and the store does not know as open. */
#define ORPHANS_MAX 64
struct orphans {
    char id[ORPHANS_MAX][64 + 1];
    size_t count;
};

/* What can be seen of open rollouts, as of the last look. */
struct shown {
    struct arena arena;
    struct watched_rollout *items;
    size_t count;
};

struct controller {
    struct controller_options options;
    struct principal principal;
    struct position head;
    bool read;                       /* `head` is what was read */
    struct controller_stats counted; /* the looking thread's own; shown after each look */
    struct tracked **tracked;        /* in order of id */
    size_t count, capacity;
    struct orphans orphans, known_orphans; /* of this look; of the one before */

    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    bool stopping, woken;
    struct controller_stats stats;

    pthread_mutex_t shown_lock; /* for what follows */
    struct shown shown;
};

static void shown_deinit(struct shown *shown) {
    arena_deinit(&shown->arena);
    free(shown->items);
}

/* ---- what is tracked ---- */

static struct tracked *tracked_free(struct tracked *tracked) {
    if (!tracked) return NULL;
    str_deinit(&tracked->judged);
    arena_deinit(&tracked->arena);
    free(tracked);
    return NULL;
}

static int by_id(const void *a, const void *b) {
    return strcmp((*(struct tracked *const *)a)->rollout.id, (*(struct tracked *const *)b)->rollout.id);
}

static struct tracked *find(const struct controller *controller, const char *id) {
    size_t low = 0, high = controller->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(id, controller->tracked[middle]->rollout.id);
        if (order == 0) return controller->tracked[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int make_room(struct controller *controller, struct err *err) {
    if (controller->count < controller->capacity) return 0;
    size_t capacity = controller->capacity ? 2 * controller->capacity : 16;
    struct tracked **grown = realloc(controller->tracked, capacity * sizeof(struct tracked *));
    if (!grown) return err_no_memory(err);
    controller->tracked = grown;
    controller->capacity = capacity;
    return 0;
}

/* ---- reading the store ---- */

/* What loop and decide use of a rollout, in the arena. */
static int copy_rollout(struct tracked *to, const struct rollout *from, struct err *err) {
    to->rollout = *from;
    to->rollout.id = arena_strdup(&to->arena, from->id);
    to->rollout.agent = arena_strdup(&to->arena, from->agent);
    to->rollout.environment = arena_strdup(&to->arena, from->environment);
    to->rollout.salt = arena_strdup(&to->arena, from->salt);
    to->rollout.plan = arena_strdup(&to->arena, from->plan);
    to->rollout.audience = to->rollout.reason = to->rollout.created_by = to->rollout.words = to->rollout.moved_by =
        NULL;
    bool copied =
        to->rollout.id && to->rollout.agent && to->rollout.environment && to->rollout.salt && to->rollout.plan;
    return copied ? 0 : err_no_memory(err);
}

/* A plan that this program cannot read leaves its rollout as it stands: it is told once for each move. */
static int read_plan(const struct controller *controller, struct tracked *tracked, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct err why = ERR_INIT;
    int r = json_parse(tracked->rollout.plan, strlen(tracked->rollout.plan), JSON_DEPTH_MAX, &json, &why);
    if (r == 0) r = rollout_plan_parse(json, "", false, &tracked->arena, &tracked->plan, &faults, &why);
    if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    tracked->usable = r == 0 && !faults.errors && tracked->rollout.step < tracked->plan.step_count;
    if (tracked->usable) return 0;
    err_set(&why, ERR_STORE_CORRUPT, "the plan of rollout %s cannot be read", tracked->rollout.id);
    log_err(controller->options.ops->log, LOG_ROLLOUT_FAILED, &why);
    return 0;
}

static int track_new(struct controller *controller, const struct rollout *rollout, struct tracked **ret,
                     struct err *err) {
    struct tracked *tracked = calloc(1, sizeof(*tracked));
    int r = tracked ? copy_rollout(tracked, rollout, err) : err_no_memory(err);
    if (r == 0) r = read_plan(controller, tracked, err);
    if (r == 0) r = make_room(controller, err);
    if (r < 0) {
        tracked_free(tracked);
        return r;
    }
    controller->tracked[controller->count++] = *ret = tracked;
    qsort(controller->tracked, controller->count, sizeof(struct tracked *), by_id);
    return 0;
}

/* It stands otherwise than before: what changes with a move is taken over. */
static void note_move(struct tracked *tracked, const struct rollout *rollout) {
    if (tracked->rollout.moved_seq == rollout->moved_seq) return;
    tracked->rollout.state = rollout->state;
    tracked->rollout.step = rollout->step;
    tracked->rollout.share = rollout->share;
    tracked->rollout.step_at = rollout->step_at;
    tracked->rollout.moved_at = rollout->moved_at;
    tracked->rollout.moved_seq = rollout->moved_seq;
    tracked->usable = tracked->usable && rollout->step < tracked->plan.step_count;
    tracked->synced = tracked->has_verdict = false;
}

struct reading {
    struct controller *controller;
    struct arena arena;
    struct position head;
    struct hold *holds;
    struct panic *panics;
    size_t hold_count, panic_count;
};

static int read_words_of_people(struct reading *reading, struct store_tx *tx, struct err *err) {
    int r = store_holds(tx, NULL, &reading->arena, &reading->holds, &reading->hold_count, err);
    return r < 0 ? r : store_panics(tx, NULL, &reading->arena, &reading->panics, &reading->panic_count, err);
}

static void note_words_of_people(const struct reading *reading, struct tracked *tracked) {
    const char *agent = tracked->rollout.agent, *environment = tracked->rollout.environment;
    tracked->ref_held = tracked->panic = false;
    for (size_t i = 0; i < reading->hold_count && !tracked->ref_held; i++)
        tracked->ref_held =
            !strcmp(reading->holds[i].agent, agent) && !strcmp(reading->holds[i].environment, environment);
    for (size_t i = 0; i < reading->panic_count && !tracked->panic; i++)
        tracked->panic = (!*reading->panics[i].agent || !strcmp(reading->panics[i].agent, agent)) &&
                         !strcmp(reading->panics[i].environment, environment);
}

static int read_one(struct reading *reading, const struct rollout *rollout, struct err *err) {
    struct tracked *tracked = find(reading->controller, rollout->id);
    int r = tracked ? 0 : track_new(reading->controller, rollout, &tracked, err);
    if (r < 0) return r;
    note_move(tracked, rollout);
    tracked->listed = true;
    note_words_of_people(reading, tracked);
    return 0;
}

static int read_open(void *arg, struct store_tx *tx, struct err *err) {
    struct reading *reading = arg;
    struct controller *controller = reading->controller;
    struct store_rollouts_query query = {.open = true, .limit = PAGE};
    size_t count;
    int64_t at;
    int r = store_head(tx, &reading->head, &at, err);
    if (r < 0) return r;
    if (controller->read && reading->head.epoch == controller->head.epoch && reading->head.seq == controller->head.seq)
        return 0;
    for (size_t i = 0; i < controller->count; i++)
        controller->tracked[i]->listed = false;
    r = read_words_of_people(reading, tx, err);
    if (r < 0) return r;
    do {
        struct rollout *rollouts;
        r = store_rollouts(tx, &query, &reading->arena, &rollouts, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
            r = read_one(reading, &rollouts[i], err);
            query.before = rollouts[i].seq;
        }
    } while (r == 0 && count == PAGE);
    return r;
}

static int read_store(struct controller *controller, struct err *err) {
    struct reading reading = {.controller = controller};
    int r = store_read(controller->options.ops->store, read_open, &reading, err);
    arena_deinit(&reading.arena);
    controller->read = r == 0;
    if (r == 0) controller->head = reading.head;
    return r;
}

/* ---- the source ---- */

static int sync_one(struct controller *controller, struct tracked *tracked, struct err *err) {
    const struct evidence_source *source = &controller->options.source;
    if (tracked->synced || !tracked->usable) return 0;
    int r = source->tell(source->ctx, &tracked->rollout, err);
    tracked->synced = r == 0;
    return r;
}

static int sync_source(struct controller *controller, struct err *err) {
    const struct evidence_source *source = &controller->options.source;
    size_t kept = 0;
    int r = 0;
    for (size_t i = 0; i < controller->count; i++) {
        struct tracked *tracked = controller->tracked[i];
        int one =
            tracked->listed ? sync_one(controller, tracked, err) : source->close(source->ctx, tracked->rollout.id, err);
        if (one < 0) r = one;
        if (tracked->listed || one < 0)
            controller->tracked[kept++] = tracked;
        else
            tracked_free(tracked);
    }
    controller->count = kept;
    return r;
}

static void note_orphan(struct orphans *orphans, const char *id) {
    if (orphans->count < ORPHANS_MAX && strlen(id) < sizeof(orphans->id[0]))
        memcpy(orphans->id[orphans->count++], id, strlen(id) + 1);
}

static bool is_orphan(const struct orphans *orphans, const char *id) {
    for (size_t i = 0; i < orphans->count; i++)
        if (!strcmp(orphans->id[i], id)) return true;
    return false;
}

/* A rollout that began since the store was read looks like an orphan for one look. Who still does after the next reading has ended, and a crash kept the source
 * from hearing of it. */
static int close_orphans(struct controller *controller, struct err *err) {
    const struct evidence_source *source = &controller->options.source;
    int r = 0;
    for (size_t i = 0; r == 0 && i < controller->orphans.count; i++) {
        const char *id = controller->orphans.id[i];
        if (is_orphan(&controller->known_orphans, id)) r = source->close(source->ctx, id, err);
    }
    if (controller->orphans.count) controller->read = false;
    controller->known_orphans = controller->orphans;
    controller->orphans.count = 0;
    return r;
}

/* On the source's thread: copies. */
static int take_evidence(void *ctx, const struct evidence_seen *seen) {
    struct controller *controller = ctx;
    struct tracked *tracked = find(controller, seen->rollout);
    if (!tracked) note_orphan(&controller->orphans, seen->rollout);
    if (!tracked || !tracked->listed) return 0;
    memcpy(tracked->flow, seen->flow, sizeof(tracked->flow));
    if (slice_equal(str_slice(&tracked->judged), seen->judged)) return 0;
    str_clear(&tracked->judged);
    str_add_slice(&tracked->judged, seen->judged);
    if (tracked->judged.failed) {
        str_clear(&tracked->judged);
        return -ERR_NO_MEMORY;
    }
    tracked->has_news = true;
    return 0;
}

/* ---- deciding ---- */

static struct rollout_facts facts_of(const struct tracked *tracked, int64_t now) {
    struct rollout_facts facts = {.state = tracked->rollout.state,
                                  .step = tracked->rollout.step,
                                  .step_at = tracked->rollout.step_at,
                                  .moved_at = tracked->rollout.moved_at,
                                  .now = now,
                                  .ref_held = tracked->ref_held,
                                  .panic = tracked->panic,
                                  .may_promote = true}; /* the environment had its say in the plan's on_end */
    memcpy(facts.flow, tracked->flow, sizeof(facts.flow));
    for (size_t i = 0; i < tracked->plan.guard_count; i++)
        facts.guards[i] = (struct guard_seen){.state = GUARD_UNKNOWN, .value = NAN};
    return facts;
}

static int judge(struct controller *controller, struct tracked *tracked, struct evidence **ret_evidence,
                 struct err *err) {
    int r = evidence_read(&tracked->plan, str_slice(&tracked->judged), ret_evidence, err);
    if (r < 0) return r;
    analysis_judge_quick(&tracked->plan, *ret_evidence, tracked->rollout.step, &tracked->verdict);
    tracked->has_news = false;
    tracked->has_verdict = true;
    controller->counted.judged++;
    return 0;
}

/* ---- acting ---- */

/* {rollout, expected, action, words, evidence} */
static int make_params(const struct tracked *tracked, const struct rollout_ruling *ruling, const struct str *words,
                       const struct str *entry, json_t **ret, struct err *err) {
    _cleanup_(freep) char *text = words->failed || entry->failed ? NULL : malloc((entry->len + 2) / 3 * 4 + 1);
    if (!text) return err_no_memory(err);
    base64_encode(entry->data, entry->len, text);
    *ret = json_pack("{s:s, s:I, s:s, s:s, s:s}", "rollout", tracked->rollout.id, "expected",
                     (json_int_t)tracked->rollout.moved_seq, "action", rollout_action_name(ruling->action), "words",
                     words->data, "evidence", text);
    return *ret ? 0 : err_no_memory(err);
}

/* Words and the journal's entry come from the full verdict, which replay makes again. */
static int write_verdict(const struct tracked *tracked, const struct rollout_facts *facts,
                         const struct rollout_ruling *ruling, const struct evidence *evidence, json_t **ret,
                         struct str *words, struct err *err) {
    _cleanup_(str_deinit) struct str entry = STR_INIT;
    struct verdict verdict;
    struct journal_entry journal = {ruling->action, ruling->reason, *facts, str_slice(&tracked->judged)};
    analysis_judge(&tracked->plan, evidence, facts->step, &verdict);
    rollout_words(&tracked->plan, facts, &verdict, ruling, words);
    journal_write(&tracked->plan, &journal, &entry);
    return make_params(tracked, ruling, words, &entry, ret, err);
}

static int call_verdict(struct controller *controller, json_t *params, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct op_call call;
    op_call_init(&call, op_get(OP_rollout_verdict), &controller->principal, params, &arena);
    FAILPOINT(verdict_begin);
    int r = ops_call(controller->options.ops, &call, err);
    FAILPOINT(verdict_done);
    op_call_deinit(&call);
    return r;
}

static void count_move(struct controller_stats *counted, enum rollout_action action) {
    counted->moved++;
    counted->advanced += action == ROLLOUT_ADVANCE;
    counted->promoted += action == ROLLOUT_PROMOTE;
    counted->held += action == ROLLOUT_HOLD;
    counted->rolled_back += action == ROLLOUT_ROLL_BACK;
}

static void tell_moved(struct controller *controller, const struct tracked *tracked,
                       const struct rollout_ruling *ruling, const char *words) {
    count_move(&controller->counted, ruling->action);
    log_write(controller->options.ops->log, LOG_ROLLOUT_MOVED, words, "rollout", tracked->rollout.id, "agent",
              tracked->rollout.agent, "environment", tracked->rollout.environment, "action",
              rollout_action_name(ruling->action), "reason", rollout_reason_name(ruling->reason), NULL);
}

static bool somebody_was_first(int r) {
    return r == -ERR_STALE || r == -ERR_HELD || r == -ERR_CONFLICT || r == -ERR_NOT_FOUND;
}

static int act(struct controller *controller, const struct tracked *tracked, const struct rollout_facts *facts,
               const struct rollout_ruling *ruling, const struct evidence *evidence, struct err *err) {
    _cleanup_(json_decrefp) json_t *params = NULL;
    _cleanup_(str_deinit) struct str words = STR_INIT;
    int r = write_verdict(tracked, facts, ruling, evidence, &params, &words, err);
    if (r == 0) r = call_verdict(controller, params, err);
    controller->read = false; /* whatever came of it, look at the store again */
    if (r == 0) {
        tell_moved(controller, tracked, ruling, words.data);
        return 0;
    }
    if (!somebody_was_first(r)) return r;
    controller->counted.refused++;
    return 0;
}

static int look_at(struct controller *controller, struct tracked *tracked, int64_t now, struct err *err) {
    _cleanup_(evidence_freep) struct evidence *evidence = NULL;
    int r = 0;
    if (!tracked->usable || !tracked->synced || !tracked->judged.len) return 0;
    if (tracked->has_news || !tracked->has_verdict) r = judge(controller, tracked, &evidence, err);
    if (r < 0) return r;
    struct rollout_facts facts = facts_of(tracked, now);
    struct rollout_ruling ruling = rollout_decide(&tracked->plan, &facts, &tracked->verdict);
    if (ruling.action == ROLLOUT_WAIT) return 0;
    if (!evidence) r = evidence_read(&tracked->plan, str_slice(&tracked->judged), &evidence, err);
    return r < 0 ? r : act(controller, tracked, &facts, &ruling, evidence, err);
}

/* ---- what can be seen ---- */

static void show_verdict(struct arena *arena, const struct tracked *tracked, struct watched_rollout *ret) {
    const struct rollout_plan *plan = &tracked->plan;
    const struct verdict *verdict = &tracked->verdict;
    ret->judged = true;
    ret->units = verdict->units;
    ret->step_units = verdict->step_units;
    ret->harm_log = verdict->harm_log;
    ret->harm_enough = log(1 / plan->alpha);
    ret->split_log = verdict->split_log;
    ret->split_enough = log(1 / plan->alpha_srm);
    ret->go_on_enough = log(1 / plan->beta);
    for (size_t i = 0; i < verdict->metric_count; i++) {
        const char *name = arena_strdup(arena, plan->metrics[i].name);
        if (!name) return;
        ret->metrics[i].name = name;
        ret->metrics[i].harm_log = verdict->metrics[i].harm_log;
        ret->metrics[i].go_on_log = verdict->metrics[i].go_on_log;
        ret->metric_count = i + 1;
    }
}

/* False: no memory. */
static bool show_one(struct arena *arena, const struct tracked *tracked, struct watched_rollout *ret) {
    const struct rollout *rollout = &tracked->rollout;
    *ret = (struct watched_rollout){
        .id = arena_strdup(arena, rollout->id),
        .agent = arena_strdup(arena, rollout->agent),
        .environment = arena_strdup(arena, rollout->environment),
        .stable = rollout->stable,
        .candidate = rollout->candidate,
        .state = rollout->state,
        .step = rollout->step,
        .steps = (unsigned)tracked->plan.step_count,
        .share = rollout->share,
    };
    if (tracked->usable && tracked->has_verdict) show_verdict(arena, tracked, ret);
    return ret->id && ret->agent && ret->environment;
}

/* What memory does not reach for is not seen until the next look. */
static void show_all(struct controller *controller) {
    struct shown shown = {0}, before;
    if (controller->count) shown.items = malloc(controller->count * sizeof(*shown.items));
    for (size_t i = 0; shown.items && i < controller->count; i++)
        shown.count += show_one(&shown.arena, controller->tracked[i], &shown.items[shown.count]);
    pthread_mutex_lock(&controller->shown_lock);
    before = controller->shown;
    controller->shown = shown;
    pthread_mutex_unlock(&controller->shown_lock);
    shown_deinit(&before);
}

int controller_each(struct controller *controller, each_rollout *each, void *ctx) {
    int r = 0;
    pthread_mutex_lock(&controller->shown_lock);
    for (size_t i = 0; r == 0 && i < controller->shown.count; i++)
        r = each(ctx, &controller->shown.items[i]);
    pthread_mutex_unlock(&controller->shown_lock);
    return r;
}

/* ---- a look ---- */

static void look_at_all(struct controller *controller, int64_t now) {
    for (size_t i = 0; i < controller->count; i++) {
        struct err err = ERR_INIT;
        if (look_at(controller, controller->tracked[i], now, &err) >= 0) continue;
        controller->counted.failed++;
        log_err(controller->options.ops->log, LOG_ROLLOUT_FAILED, &err);
    }
}

int controller_look(struct controller *controller, struct err *err) {
    const struct evidence_source *source = &controller->options.source;
    const struct clock *clock = controller->options.ops->clock;
    int64_t from = clock_monotonic(clock), now = clock_wall(clock);
    int r = read_store(controller, err);
    if (r == 0) r = sync_source(controller, err);
    if (r == 0) r = source->tick(source->ctx, now, take_evidence, controller, err);
    if (r == 0) r = close_orphans(controller, err);
    if (r == 0) look_at_all(controller, now);
    show_all(controller);
    controller->counted.looks++;
    controller->counted.rollouts = controller->count;
    controller->counted.look_us = (uint64_t)(clock_monotonic(clock) - from);
    pthread_mutex_lock(&controller->lock);
    controller->stats = controller->counted;
    pthread_mutex_unlock(&controller->lock);
    return r;
}

/* ---- life ---- */

int controller_new(const struct controller_options *options, struct controller **ret, struct err *err) {
    struct controller *controller = calloc(1, sizeof(*controller));
    if (!controller) return err_no_memory(err);
    controller->options = *options;
    controller->principal = principal_controller();
    pthread_mutex_init(&controller->lock, NULL);
    pthread_mutex_init(&controller->shown_lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&controller->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = controller;
    return 0;
}

static bool wait_a_turn(struct controller *controller) {
    int64_t due = clock_monotonic(&clock_system) + SECOND;
    struct timespec at = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND * 1000};
    pthread_mutex_lock(&controller->lock);
    for (int r = 0; !controller->stopping && !controller->woken && r == 0;)
        r = pthread_cond_timedwait(&controller->wake, &controller->lock, &at);
    controller->woken = false;
    bool stopping = controller->stopping;
    pthread_mutex_unlock(&controller->lock);
    return !stopping;
}

/* A store that is away says so elsewhere; here it only means to look again. */
static void *turn(void *ctx) {
    struct controller *controller = ctx;
    thread_give_way();
    while (wait_a_turn(controller)) {
        struct err err = ERR_INIT;
        int r = controller_look(controller, &err);
        if (r < 0 && r != -ERR_STORE_UNAVAILABLE) log_err(controller->options.ops->log, LOG_ROLLOUT_FAILED, &err);
    }
    return NULL;
}

int controller_start(struct controller *controller, struct err *err) {
    int r = pthread_create(&controller->thread, NULL, turn, controller);
    if (r) return err_set_errno(err, ERR_UNAVAILABLE, r, "the controller's thread cannot be made");
    controller->running = true;
    return 0;
}

void controller_wake(struct controller *controller) {
    pthread_mutex_lock(&controller->lock);
    controller->woken = true;
    pthread_cond_signal(&controller->wake);
    pthread_mutex_unlock(&controller->lock);
}

static void stop(struct controller *controller) {
    pthread_mutex_lock(&controller->lock);
    controller->stopping = true;
    pthread_cond_signal(&controller->wake);
    pthread_mutex_unlock(&controller->lock);
    if (controller->running) pthread_join(controller->thread, NULL);
}

struct controller *controller_free(struct controller *controller) {
    if (!controller) return NULL;
    stop(controller);
    for (size_t i = 0; i < controller->count; i++)
        tracked_free(controller->tracked[i]);
    free(controller->tracked);
    shown_deinit(&controller->shown);
    pthread_cond_destroy(&controller->wake);
    pthread_mutex_destroy(&controller->lock);
    pthread_mutex_destroy(&controller->shown_lock);
    free(controller);
    return NULL;
}

void controller_stats(struct controller *controller, struct controller_stats *ret) {
    pthread_mutex_lock(&controller->lock);
    *ret = controller->stats;
    pthread_mutex_unlock(&controller->lock);
}
