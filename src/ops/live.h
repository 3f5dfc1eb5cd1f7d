/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the published snapshot in step with the store: loads it at the start, and after each commit reads which refs
 * were touched since the snapshot's position, rebuilds those entries and publishes. The same path serves this node's own
 * changes and, later, those of other nodes.
 *
 * It may begin with a snapshot from elsewhere, while the store is away. That one is never continued: the first catching up loads
 * everything from the store. A store that does not lead on from what was served gets a new epoch, so positions never go back and none stands
 * for two states.
 *
 * When a rebuild fails the last good snapshot goes on serving, the log says so, and the next call tries again.
 * Any thread; catching up is serialised inside.
 */
#ifndef SERIN_OPS_LIVE_H
#define SERIN_OPS_LIVE_H

#include "base/log.h"
#include "model/rollout.h"
#include "resolve/resolve.h"
#include "snapshot/publisher.h"
#include "store/store.h"

struct live;

struct live_options {
    struct store *store;
    struct publisher *publisher; /* the live part is its only publisher */
    const struct clock *clock;
    const struct log *log;
    /* Is told how an open rollout stands, before anybody is served by that: whoever sees a decision under a share can say what came of it. NULL: nobody. When it
     * fails nothing is published, and it is tried again. Not for what the first load finds. */
    int (*rollout)(void *ctx, const struct rollout *rollout, struct err *err);
    void *rollout_ctx;
    /* Is told that something may be new for who reads rollouts or webhooks from the store: after it was published, and with the live part's lock held, so it must not
     * call back. NULL: nobody. */
    void (*news)(void *ctx);
    void *news_ctx;
};

int live_new(const struct live_options *options, struct live **ret, struct err *err) MUST_CHECK;
struct live *live_free(struct live *live);

/* What a listener is told: the touches behind the position before, or that everything may be another (`anew`, without touches). */
struct live_news {
    const struct store_touch *touches;
    size_t count;
    bool anew;
};
/* Who is told of changes, in order, after they were published. Set before the first live_catch_up(). Called with the live part's lock
 * held: it must not call back. */
typedef void (*live_listener)(void *ctx, const struct snapshot *snapshot, const struct live_news *news);
void live_listen(struct live *live, live_listener listener, void *ctx);

/* Serves this snapshot (counted up) until the store can be read, and as what the store must lead on from. Before the first live_catch_up() that
 * goes well. */
void live_begin_with(struct live *live, struct snapshot *snapshot);
/* Brings the snapshot to the store's head. The first call loads everything. */
int live_catch_up(struct live *live, struct err *err) MUST_CHECK;
/* The same, unless the snapshot is at or past `position` already. */
int live_reach(struct live *live, struct position position, struct err *err) MUST_CHECK;
/* Waits until the snapshot is at or past `position`, at most `microseconds`. 0, or UNAVAILABLE. Blocks: not on a worker. */
int live_wait(struct live *live, struct position position, int64_t microseconds, struct err *err) MUST_CHECK;

/* Puts what the store says of one ref as of `seq` (0 = now) into the edit. STORE_NONE when nothing was served there. */
int live_load_entry(struct store_tx *tx, struct snapshot_edit *edit, const char *agent, const char *environment,
                    int64_t seq, struct err *err) MUST_CHECK;
/* Puts all flags of an environment as of `seq` (0 = now) into the edit; nothing, when there never were any. */
int live_load_flags(struct store_tx *tx, struct snapshot_edit *edit, const char *environment, int64_t seq,
                    struct err *err) MUST_CHECK;
/* Puts those into the edit that have changed behind `after`, up to `last`. */
int live_follow_flags(struct store_tx *tx, struct snapshot_edit *edit, const char *environment, int64_t after,
                      int64_t last, struct err *err) MUST_CHECK;

#endif
