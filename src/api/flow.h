/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When decisions were last made under each open rollout, by arm: what tells an agent whose outcomes are missing from one that nobody asks. Noting is two loads
 * for a decision within the same second as the one before; no lock. A note may be lost while a rollout gets its place; the next decision makes it again.
 */
#ifndef SERIN_API_FLOW_H
#define SERIN_API_FLOW_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOW_ROLLOUTS 4096u /* at once; of one more nothing is known */

struct flow;
int flow_new(struct flow **ret, struct err *err) MUST_CHECK;
struct flow *flow_free(struct flow *flow);

/* A decision under the rollout that was started as `rollout` (its seq, above 0), at this second of any clock, above 0. Any thread. */
void flow_note(struct flow *flow, int64_t rollout, bool candidate, int64_t second);
/* The newest second of stable and of the candidate; 0 = none. */
void flow_last(const struct flow *flow, int64_t rollout, int64_t ret[2]);
/* The rollout is over; its place is free again. */
void flow_forget(struct flow *flow, int64_t rollout);

#endif
