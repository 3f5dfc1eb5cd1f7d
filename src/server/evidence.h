/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the controller gets evidence: from the intake, which keeps it, and from the API, which knows when decisions were made. The intake hears of every share
 * before anybody is served by it, for it works out the arm of each outcome from the share at its time. What is remembered here of a rollout between two
 * ticks may be lost: silence is then counted from the first tick on. Any thread.
 */
#ifndef SERIN_SERVER_EVIDENCE_H
#define SERIN_SERVER_EVIDENCE_H

#include "api/flow.h"
#include "controller/loop.h"
#include "intake/intake.h"

struct evidence_keeper;

struct evidence_keeper_options {
    struct intake *intake;
    struct flow *flow; /* in seconds of clock_monotonic_coarse() */
    const struct clock *clock;
};
int evidence_keeper_new(const struct evidence_keeper_options *options, struct evidence_keeper **ret,
                        struct err *err) MUST_CHECK;
struct evidence_keeper *evidence_keeper_free(struct evidence_keeper *keeper);
/* How an open rollout stands: an evidence_source's `tell`, and what the live part calls before it publishes (live_options). Any thread that may wait for the disk. */
int evidence_keeper_tell(void *keeper, const struct rollout *rollout, struct err *err) MUST_CHECK;
struct evidence_source evidence_keeper_source(struct evidence_keeper *keeper);

#endif
