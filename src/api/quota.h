/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests a second one key may make. Each key has a bucket that holds one second's worth of requests, is full at first and
 * fills again steadily. Only keys that were found right may be asked about, so nobody without one can use the buckets up.
 *
 * No lock, no allocation after quota_new(): any thread, a few nanoseconds. Memory is bounded: a bucket that is full again is
 * free for any key.
 */
#ifndef SERIN_API_QUOTA_H
#define SERIN_API_QUOTA_H

#include "base/clock.h"
#include "base/err.h"

#define QUOTA_MAX 1000000 /* requests a second */

struct quota;

/* 0 requests a second: no limit. */
int quota_new(const struct clock *clock, unsigned per_second, struct quota **ret, struct err *err) MUST_CHECK;
struct quota *quota_free(struct quota *quota);
/* In force at once; what a key has used of its second stays used. */
void quota_set(struct quota *quota, unsigned per_second);
unsigned quota_limit(const struct quota *quota);
/* Takes one request from the key's bucket; false when it is empty, for a second at most. */
bool quota_take(struct quota *quota, const char *key_id);

#endif
