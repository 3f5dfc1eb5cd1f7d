/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow of decisions, counted where they are made: by agent, environment, version and arm, and apart from that by the open rollout that counts them. What the
 * metrics show, and what tells an agent whose outcomes are missing from one that nobody asks.
 *
 * Counting is a look at one cache line that no other thread writes: no lock, no allocation, no clock. Only the first decision of its kind on a thread takes a
 * lock, for as long as it takes to find or make its place.
 *
 * A count never goes back while its series is there. A series goes once its version has been neither served nor decided for FLOW_KEPT seconds; when it comes
 * back it begins at 0. Seconds are of any one clock, above 0.
 *
 * Memory: FLOW_SERIES_MAX series of some 200 bytes, and for each thread that decides at most 5 MB; a server with few agents needs a few kilobytes.
 */
#ifndef SERIN_API_FLOW_H
#define SERIN_API_FLOW_H

#include "base/err.h"
#include "resolve/resolve.h"

#define FLOW_SERIES_MAX 131072u /* decisions of more are counted together: flow_left_out() */
#define FLOW_KEPT 86400

struct flow;
int flow_new(struct flow **ret, struct err *err) MUST_CHECK;
struct flow *flow_free(struct flow *flow);

/* A decision that somebody will use. While the snapshot that it borrows from is borrowed. Any thread. */
void flow_count(struct flow *flow, const struct decision *decision);

/* ---- looking: any thread that may wait for another that looks ---- */

/* Adds up what was counted since the last look: it was decided by this second. */
void flow_look(struct flow *flow, int64_t second);
/* As of the last look, the newest second in which a decision of stable and of the candidate was counted by the rollout that was started as `rollout` (its seq,
 * above 0); 0 = none. */
void flow_last(struct flow *flow, int64_t rollout, int64_t ret[2]);
/* The rollout is over: its counts go on as those of its versions. */
void flow_forget(struct flow *flow, int64_t rollout);

struct flow_series {
    const char *agent, *environment;
    int64_t version; /* 0: switched off by a panic */
    bool candidate;
    uint64_t count;
};
/* Looks, and shows every series in order of environment, agent, version and arm. Stops at other than 0 and answers that; NO_MEMORY. */
int flow_each(struct flow *flow, int64_t second, int (*each)(void *ctx, const struct flow_series *series),
              void *ctx) MUST_CHECK;
/* Series, at most. */
size_t flow_size(struct flow *flow);
/* Decisions of series that found no room, as of the last look. */
uint64_t flow_left_out(struct flow *flow);

/* Whether the version is served to anybody now. */
typedef bool flow_serves(void *ctx, const struct flow_series *series);
/* Looks, and lets series go. */
void flow_sweep(struct flow *flow, int64_t second, flow_serves *serves, void *ctx);

#endif
