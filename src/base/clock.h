/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. The only caller of the system's clocks. Wall time is for records (microseconds since 1970-01-01
 * UTC), monotonic time for durations (microseconds since an arbitrary start). A fake clock stands still
 * until it is moved, so that tests run weeks in milliseconds.
 *
 * A struct clock is shared by threads; the fake one is moved with atomic stores.
 */
#ifndef SERIN_BASE_CLOCK_H
#define SERIN_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 32

struct clock {
    bool fake;
    _Atomic int64_t fake_wall, fake_monotonic;
};

extern const struct clock clock_system;

int64_t clock_wall(const struct clock *clock);
int64_t clock_monotonic(const struct clock *clock);
/* The same, up to 10 ms behind, for a quarter of the cost: for what is asked with every request. */
int64_t clock_monotonic_coarse(const struct clock *clock);
void clock_fake_init(struct clock *clock, int64_t wall);
void clock_fake_advance(struct clock *clock, int64_t microseconds); /* moves both */
void clock_fake_set_wall(struct clock *clock, int64_t wall);        /* a jump; monotonic stays */

/* RFC 3339 in UTC with microseconds: "2026-11-23T14:05:00.000000Z". Years 1970 to 9999. */
void clock_text(int64_t wall, char ret[CLOCK_TEXT_SIZE]);
/* Reads RFC 3339 with any offset and up to 9 fraction digits (cut to microseconds); false when malformed or out of range. */
bool clock_from_text(const char *text, int64_t *ret);

#endif
