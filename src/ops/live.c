/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot in step with the store. Catching up reads the touches behind the snapshot's position, rebuilds
 * those entries in an edit, publishes, and then tells the listener, all under one lock, so that positions never go back
 * and the listener hears changes in order. A failure leaves everything as it was; the next call begins at the same place.
 */
#include "ops/live.h"

#include "snapshot/file.h"
#include "store/rollouts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOUCHES_MAX 1000
#define PAGE 1000

struct live {
    struct live_options options;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct position position; /* of the published snapshot; under the lock */
    bool loaded;              /* the published snapshot is the store's */
    live_listener listener;
    void *listener_ctx;
};

int live_new(const struct live_options *options, struct live **ret, struct err *err) {
    struct live *live = calloc(1, sizeof(*live));
    if (!live) return err_no_memory(err);
    live->options = *options;
    pthread_mutex_init(&live->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&live->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = live;
    return 0;
}

struct live *live_free(struct live *live) {
    if (!live) return NULL;
    pthread_cond_destroy(&live->moved);
    pthread_mutex_destroy(&live->lock);
    free(live);
    return NULL;
}

void live_listen(struct live *live, live_listener listener, void *ctx) {
    live->listener = listener;
    live->listener_ctx = ctx;
}

/* One catching up: an edit of the current snapshot, and what it was told. */
struct step {
    struct live *live;
    struct snapshot_edit *edit;
    struct arena arena;
    struct position position;
    struct store_touch *touches;
    size_t touch_count;
    bool more;
};

static int load_keys(struct step *step, struct store_tx *tx, struct err *err) {
    struct key *keys;
    size_t count;
    int r = store_keys(tx, &step->arena, &keys, &count, err);
    if (r < 0) return r;
    return snapshot_edit_keys(step->edit, keys, count, err);
}

/* ---- the first load ---- */

static int load_agents(struct step *step, struct store_tx *tx, struct err *err) {
    const char *after = "";
    struct agent *agents;
    size_t count = PAGE;
    while (count == PAGE) {
        int r = store_agents(tx, after, PAGE, &step->arena, &agents, &count, err);
        for (size_t i = 0; i < count && r == 0; i++)
            r = snapshot_edit_agent(step->edit, agents[i].name);
        if (r < 0) return r;
        if (count) after = agents[count - 1].name;
    }
    return 0;
}

static int load_environments(struct step *step, struct store_tx *tx, struct err *err) {
    struct environment *environments;
    size_t count;
    int r = store_environments(tx, &step->arena, &environments, &count, err);
    for (size_t i = 0; i < count && r == 0; i++)
        r = snapshot_edit_environment(step->edit, environments[i].name);
    return r;
}

static int load_refs(struct step *step, struct store_tx *tx, struct err *err) {
    struct store_refs_query query = {.after_environment = "", .after_agent = "", .limit = PAGE};
    struct deployment *refs;
    size_t count = PAGE;
    while (count == PAGE) {
        int r = store_refs(tx, &query, &step->arena, &refs, &count, err);
        for (size_t i = 0; i < count && r == 0; i++)
            r = live_load_entry(tx, step->edit, refs[i].agent, refs[i].environment, 0, err);
        if (r < 0) return r;
        if (!count) break;
        query.after_environment = refs[count - 1].environment;
        query.after_agent = refs[count - 1].agent;
    }
    return 0;
}

static int load_flags(struct step *step, struct store_tx *tx, struct err *err) {
    struct environment *environments;
    size_t count;
    int r = store_environments(tx, &step->arena, &environments, &count, err);
    for (size_t i = 0; i < count && r == 0; i++)
        r = live_load_flags(tx, step->edit, environments[i].name, 0, err);
    return r;
}

static int load_all(void *arg, struct store_tx *tx, struct err *err) {
    struct step *step = arg;
    int64_t at;
    int r = store_head(tx, &step->position, &at, err);
    if (r == 0) r = load_agents(step, tx, err);
    if (r == 0) r = load_environments(step, tx, err);
    if (r == 0) r = load_refs(step, tx, err);
    if (r == 0) r = load_flags(step, tx, err);
    if (r == 0) r = load_keys(step, tx, err);
    return r;
}

/* ---- a step behind the position ---- */

static int tell_rollout(struct step *step, struct store_tx *tx, const struct store_touch *touch, struct err *err) {
    const struct live_options *options = &step->live->options;
    struct rollout rollout;
    if (!options->rollout) return 0;
    int r = store_rollout_of(tx, touch->agent, touch->environment, 0, &step->arena, &rollout, err);
    if (r != 0) return r < 0 ? r : 0;
    return options->rollout(options->rollout_ctx, &rollout, err);
}

/* All changes of an environment's flags in this step come with the first touch of them. */
static int follow_flags(struct step *step, struct store_tx *tx, const struct store_touch *touch, struct err *err) {
    for (const struct store_touch *before = step->touches; before < touch; before++)
        if (before->what == TOUCHED_FLAGS && !strcmp(before->environment, touch->environment)) return 0;
    return live_follow_flags(tx, step->edit, touch->environment, step->live->position.seq, step->position.seq, err);
}

static int load_touch(struct step *step, struct store_tx *tx, const struct store_touch *touch, struct err *err) {
    int r = 0;
    if (touch->what == TOUCHED_KEYS) return load_keys(step, tx, err);
    if (touch->what == TOUCHED_FLAGS) return follow_flags(step, tx, touch, err);
    if (*touch->agent) r = snapshot_edit_agent(step->edit, touch->agent);
    if (r == 0 && *touch->environment) r = snapshot_edit_environment(step->edit, touch->environment);
    if (r < 0) return err_no_memory(err);
    if (!*touch->agent || !*touch->environment) return 0;
    r = live_load_entry(tx, step->edit, touch->agent, touch->environment, 0, err);
    return r < 0 ? r : tell_rollout(step, tx, touch, err);
}

static int load_step(void *arg, struct store_tx *tx, struct err *err) {
    struct step *step = arg;
    int64_t at;
    int r = store_head(tx, &step->position, &at, err);
    if (r < 0) return r;
    r = store_touches(tx, step->live->position.seq, TOUCHES_MAX, &step->arena, &step->touches, &step->touch_count, err);
    if (r < 0) return r;
    int64_t last = step->touch_count ? step->touches[step->touch_count - 1].seq : step->position.seq;
    step->more = last < step->position.seq; /* a page was full: what is behind it comes with the next step */
    if (step->more) step->position.seq = last;
    for (size_t i = 0; i < step->touch_count && r == 0; i++)
        r = load_touch(step, tx, &step->touches[i], err);
    return r;
}

/* Changes of webhooks touch nothing that is served. */
static bool is_news(const struct live_news *news) {
    if (news->anew || !news->count) return true;
    for (size_t i = 0; i < news->count; i++)
        if (*news->touches[i].agent && *news->touches[i].environment) return true;
    return false;
}

static void publish(struct live *live, struct snapshot *snapshot, const struct live_news *news) {
    publisher_publish(live->options.publisher, snapshot_ref(snapshot));
    live->position = snapshot_position(snapshot);
    pthread_cond_broadcast(&live->moved);
    if (live->listener) live->listener(live->listener_ctx, snapshot, news);
    if (live->options.news && is_news(news)) live->options.news(live->options.news_ctx);
}

/* *ret stays NULL when there is nothing new. */
static int take_step(struct step *step, struct snapshot *base, store_fn load, struct snapshot **ret, struct err *err) {
    int r = snapshot_edit_new(base, &step->edit);
    if (r < 0) return err_no_memory(err);
    r = store_read(step->live->options.store, load, step, err);
    if (r < 0 || (load == load_step && position_compare(step->position, step->live->position) <= 0)) {
        snapshot_edit_free(step->edit);
        return r < 0 ? r : 0;
    }
    return snapshot_edit_finish(step->edit, step->position, ret) < 0 ? err_no_memory(err) : 0;
}

static int follow(struct live *live, bool *ret_more, struct err *err) {
    struct step step = {.live = live};
    _cleanup_(snapshot_unrefp) struct snapshot *base = publisher_get(live->options.publisher), *next = NULL;
    int r = take_step(&step, base, load_step, &next, err);
    if (next) publish(live, next, &(struct live_news){.touches = step.touches, .count = step.touch_count});
    *ret_more = step.more;
    arena_deinit(&step.arena);
    return r;
}

/* ---- the first catching up ---- */

/* From nothing, so that what is served without the store leaves no trace. */
static int load_whole(struct live *live, struct snapshot **ret, struct err *err) {
    struct step step = {.live = live};
    _cleanup_(snapshot_unrefp) struct snapshot *empty = NULL;
    if (snapshot_new(&empty) < 0) return err_no_memory(err);
    int r = take_step(&step, empty, load_all, ret, err);
    arena_deinit(&step.arena);
    return r;
}

static int is_served(struct live *live, const struct snapshot *loaded, bool *ret, struct err *err) {
    struct sha256 ours, theirs;
    _cleanup_(snapshot_unrefp) struct snapshot *served = publisher_get(live->options.publisher);
    int r = snapshot_file_sum(served, &ours, err);
    if (r == 0) r = snapshot_file_sum(loaded, &theirs, err);
    if (r == 0) *ret = memcmp(&ours, &theirs, sizeof(ours)) == 0;
    return r;
}

/* The store does not lead on from what was served: it lost its tail, or is another one. */
static int leave_behind(struct live *live, struct position head, struct err *err) {
    char served[POSITION_TEXT_SIZE], store[POSITION_TEXT_SIZE], reason[160];
    position_text(live->position, served);
    position_text(head, store);
    snprintf(reason, sizeof(reason), "the store was at %s, and this server had served %s", store, served);
    int r = store_epoch_begin(live->options.store, live->position.epoch, reason, err);
    if (r == 0)
        log_write(live->options.log, LOG_STORE_BEHIND, "the store lacks what was served", "store", store, "served",
                  served, NULL);
    return r;
}

static int load_first(struct live *live, struct err *err) {
    while (!live->loaded) {
        _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
        int r = load_whole(live, &snapshot, err);
        if (r < 0) return r;
        int order = position_compare(snapshot_position(snapshot), live->position);
        if (order > 0) publish(live, snapshot, &(struct live_news){.anew = true});
        live->loaded = order > 0;
        if (order == 0) r = is_served(live, snapshot, &live->loaded, err);
        if (r == 0 && !live->loaded) r = leave_behind(live, snapshot_position(snapshot), err);
        if (r < 0) return r;
    }
    return 0;
}

void live_begin_with(struct live *live, struct snapshot *snapshot) {
    pthread_mutex_lock(&live->lock);
    publish(live, snapshot, &(struct live_news){.anew = true});
    pthread_mutex_unlock(&live->lock);
}

static int catch_up_locked(struct live *live, struct err *err) {
    bool more = live->loaded;
    int r = live->loaded ? 0 : load_first(live, err);
    while (r == 0 && more)
        r = follow(live, &more, err);
    return r;
}

int live_catch_up(struct live *live, struct err *err) {
    pthread_mutex_lock(&live->lock);
    int r = catch_up_locked(live, err);
    pthread_mutex_unlock(&live->lock);
    return r;
}

int live_reach(struct live *live, struct position position, struct err *err) {
    pthread_mutex_lock(&live->lock);
    int r = position_compare(live->position, position) < 0 ? catch_up_locked(live, err) : 0;
    pthread_mutex_unlock(&live->lock);
    return r;
}

static struct timespec deadline_in(const struct clock *clock, int64_t microseconds) {
    int64_t at = clock_monotonic(clock) + microseconds;
    return (struct timespec){.tv_sec = at / 1000000, .tv_nsec = at % 1000000 * 1000};
}

int live_wait(struct live *live, struct position position, int64_t microseconds, struct err *err) {
    struct timespec deadline = deadline_in(live->options.clock, microseconds);
    int timed_out = 0;
    pthread_mutex_lock(&live->lock);
    while (position_compare(live->position, position) < 0 && !timed_out)
        timed_out = pthread_cond_timedwait(&live->moved, &live->lock, &deadline);
    struct position reached = live->position;
    pthread_mutex_unlock(&live->lock);
    if (position_compare(reached, position) >= 0) return 0;

    char wanted[POSITION_TEXT_SIZE], here[POSITION_TEXT_SIZE];
    position_text(position, wanted);
    position_text(reached, here);
    int r = err_set(err, ERR_UNAVAILABLE, "this node is at position %s and did not reach %s in time", here, wanted);
    err_at(err, "Serin-After");
    return r;
}
