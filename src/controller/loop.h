/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's loop: each second, and when it is woken, it looks at every open rollout, decides (decide.h) and acts through the same door as people, by the
 * operation rollout_verdict.
 *
 * Exactly once: a verdict names the newest move that it had seen, and the store takes it only while that is the newest one. Whoever is killed before the
 * commit has done nothing, whoever is killed behind it finds the rollout moved when he looks again; two controllers on one store cannot both
 * win. What the controller keeps in memory can be lost at any moment.
 *
 * Without news it does next to nothing: the store is read when its head has moved, evidence is judged when its bytes are others. Only the rules that go by the
 * clock are asked each time.
 */
#ifndef SERIN_CONTROLLER_LOOP_H
#define SERIN_CONTROLLER_LOOP_H

#include "controller/decide.h"
#include "ops/ops.h"
#include "ops/watch.h"

/* One rollout's evidence as of a tick. */
struct evidence_seen {
    const char *rollout; /* its id */
    struct arm_flow flow[2];
    struct slice judged; /* EVIDENCE_JUDGED */
};

/* Who keeps the evidence of open rollouts. Each call may be repeated: what is so already changes nothing. */
struct evidence_source {
    int (*tell)(void *ctx, const struct rollout *rollout,
                struct err *err); /* it is open, and at its step since step_at */
    int (*close)(void *ctx, const char *rollout, struct err *err);
    /* Ends a tick and shows every rollout that it keeps. `each` copies what it needs and calls nothing; other than 0 from it ends the tick with that. */
    int (*tick)(void *ctx, int64_t now, int (*each)(void *each_ctx, const struct evidence_seen *seen), void *each_ctx,
                struct err *err);
    void *ctx;
};

struct controller_options {
    struct ops *ops;
    struct evidence_source source;
};

struct controller;
int controller_new(const struct controller_options *options, struct controller **ret, struct err *err) MUST_CHECK;
/* Ends the thread when there is one. */
struct controller *controller_free(struct controller *controller);
/* A thread that looks each second from now on. */
int controller_start(struct controller *controller, struct err *err) MUST_CHECK;
/* Look now: something changed. Any thread. */
void controller_wake(struct controller *controller);

/* One look at everything, on the caller's thread; without controller_start(). A rollout that could not be moved does not keep others from it. Errors: of the
 * store or the source, when nothing could be looked at. */
int controller_look(struct controller *controller, struct err *err) MUST_CHECK;

/* Any thread. */
void controller_stats(struct controller *controller, struct controller_stats *ret);
/* Open rollouts as of the last look. Any thread; the controller waits meanwhile. */
int controller_each(struct controller *controller, each_rollout *each, void *ctx) MUST_CHECK;

#endif
