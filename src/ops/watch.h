/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen of the controller from outside: its own figures, and every open rollout as of its last look. Nothing is decided by it. */
#ifndef SERIN_OPS_WATCH_H
#define SERIN_OPS_WATCH_H

#include "model/rollout.h"

struct controller_stats {
    uint64_t looks, judged, moved, refused,
        failed; /* refused: somebody else moved it first, or a person's word stood against it */
    uint64_t advanced, promoted, held, rolled_back; /* moved, by what it did */
    uint64_t rollouts, look_us;                     /* open now; how long the last look took */
};

/* Evidence is logs of e-values. Texts are borrowed for the call that shows it. */
struct watched_rollout {
    const char *id, *agent, *environment;
    int64_t stable, candidate; /* versions */
    enum rollout_state state;
    unsigned step, steps;
    int32_t share;
    bool judged;                                  /* what follows is there */
    int64_t units, step_units;                    /* of the candidate: in all; in this step, old enough to count */
    double harm_log, harm_enough;                 /* over all metrics, and what rolls back; -INFINITY: too few units */
    double split_log, split_enough, go_on_enough; /* against the planned split; what each metric needs to go on */
    size_t metric_count;
    struct {
        const char *name;
        double harm_log, go_on_log;
    } metrics[ROLLOUT_METRICS_MAX];
};

/* Calls `each` with every open rollout in order of id. Stops at other than 0 and answers that. */
typedef int each_rollout(void *ctx, const struct watched_rollout *rollout);

#endif
