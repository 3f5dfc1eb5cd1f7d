/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outcomes by agent, environment, version and arm since the process began, for the metrics: not kept, and not what rollouts are judged by. Batches are added once, when
 * they are taken; what a restart reads again is not.
 *
 * A count never goes back while its series is there. A series goes once its version has been neither served nor told of for TALLY_KEPT seconds; when it comes back
 * it begins at 0. Seconds are of any one clock, above 0. Memory: TALLY_SERIES_MAX series of some 350 bytes. Any thread; tally_begin() to tally_end() keeps others waiting.
 */
#ifndef SERIN_INTAKE_TALLY_H
#define SERIN_INTAKE_TALLY_H

#include "intake/outcome.h"

#define TALLY_SERIES_MAX 8192u /* outcomes of more are counted together: tally_left_out() */
#define TALLY_KEPT 86400

/* Upper ends of the latency's buckets, in seconds; one more bucket has the rest. */
#define TALLY_LATENCIES                                                                                                \
    { 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300 }
#define TALLY_BUCKETS 12

/* Whose outcome it is, as far as the metrics say: that of an arm, or ARM_UNKNOWN during a rollout that it is no evidence for. */
struct tally_series {
    const char *agent, *environment;
    int64_t version;
    enum outcome_arm arm;
    uint64_t ok, failed;
    uint64_t latencies[TALLY_BUCKETS + 1]; /* by bucket, not added up */
    double latency_s, cost_usd;
    uint64_t input_tokens, output_tokens;
};

struct tally;
int tally_new(struct tally **ret, struct err *err) MUST_CHECK;
struct tally *tally_free(struct tally *tally);

void tally_begin(struct tally *tally);
/* Between begin and end: the series, to which outcomes may be added until then. Never NULL. */
struct tally_series *tally_find(struct tally *tally, const struct outcome_place *place, enum outcome_arm arm);
void tally_add(struct tally_series *series, const struct outcome *outcome);
void tally_end(struct tally *tally);

/* Calls `each` with every series in order of environment, agent, version and arm, as of now. Stops at other than 0 and answers that; NO_MEMORY. */
int tally_each(struct tally *tally, int (*each)(void *ctx, const struct tally_series *series), void *ctx) MUST_CHECK;
size_t tally_size(struct tally *tally);
/* Outcomes of series that found no room. */
uint64_t tally_left_out(struct tally *tally);
/* Lets series go; `serves` says whether the version is served to anybody now. */
void tally_sweep(struct tally *tally, int64_t second, bool (*serves)(void *ctx, const struct tally_series *series),
                 void *ctx);

#endif
