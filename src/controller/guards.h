/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the servers of guards: a thread of its own sends each query every few seconds, once for all guards that have the same server and query, and keeps
 * what came of it. Looking never waits, so a server that is slow, gone or wrong keeps nobody from anything: its guards become unknown.
 *
 *   - A state is the last answer's (guard_judge()), and since when it has been the same. An answer without a number makes it unknown at once.
 *   - When answers stop or are none (fetch/fetch.h, prometheus_read()), the last state stands for three times the interval, then it is unknown.
 *   - The log says once when a query falls silent, and once when it gives numbers again.
 *
 * What nobody has looked at for a minute is not asked any more. Nothing is kept over a restart: since begins anew.
 */
#ifndef SERIN_CONTROLLER_GUARDS_H
#define SERIN_CONTROLLER_GUARDS_H

#include "ops/ops.h"

#define GUARDS_EVERY_MS 5000

struct guards_options {
    const struct clock *clock;
    const struct log *log;
    struct fetch_allow *allow; /* not NULL: that would be anywhere */
    int64_t every_ms;          /* between two askings; an answer may take four fifths of it. 0: GUARDS_EVERY_MS */
};

struct guards;
int guards_new(const struct guards_options *options, struct guards **ret, struct err *err) MUST_CHECK;
int guards_start(struct guards *guards, struct err *err) MUST_CHECK;
/* Ends the thread when there is one, without waiting for an answer. */
struct guards *guards_free(struct guards *guards);
struct guard_source guards_source(struct guards *guards);

/* Any thread. */
struct guards_stats {
    uint64_t queries, failures; /* sent; of these without a usable answer */
};
void guards_stats(struct guards *guards, struct guards_stats *ret);

#endif
