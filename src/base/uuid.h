/* SPDX-License-Identifier: Apache-2.0 */
/* UUID version 7 (RFC 9562): ordered by time, made by the program, never by the database. */
#ifndef SERIN_BASE_UUID_H
#define SERIN_BASE_UUID_H

#include "base/clock.h"
#include "base/err.h"

#define UUID_TEXT_SIZE 37

/* A new UUIDv7 in lower-case text. The first 48 bits are Unix milliseconds from `clock`, then 12 bits of
 * the sub-millisecond part (RFC 9562 section 6.2 method 3), then 62 random bits. */
int uuid_new(const struct clock *clock, char ret[UUID_TEXT_SIZE], struct err *err) MUST_CHECK;
bool uuid_valid(const char *text); /* any version, lower-case, with hyphens */

#endif
