/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a rollout stands, for people and dashboards: what the evidence says of each metric, what the controller makes of it, and what comes next and when. The
 * members of the answer `rollout_status` (ops/answers.def). Computed when it is asked, by the functions that decide: of an open rollout from what the controller
 * saw at its newest look, of one that has ended from what its last verdict was reached from.
 */
#ifndef SERIN_CONTROLLER_STANDING_H
#define SERIN_CONTROLLER_STANDING_H

#include "base/jw.h"
#include "controller/decide.h"
#include "ops/ops.h"

/* Writes the members; `judged` (EVIDENCE_JUDGED) may be empty: nothing came yet. INVALID: it is not of this plan. */
int standing_write(const struct rollout_plan *plan, const struct rollout_facts *facts, struct slice judged,
                   struct jw *jw, struct err *err) MUST_CHECK;

/* The `standing` of struct ops; ctx is the controller. Any thread. */
int controller_standing(void *ctx, const struct rollout_asked *asked, struct jw *jw, struct err *err) MUST_CHECK;

#endif
