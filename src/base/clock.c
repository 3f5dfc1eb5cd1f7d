/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates are counted with whole numbers here and not with gmtime_r(): the C library takes a process-wide
 * lock around its time zone data, and timestamps are written by every thread.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
#define WALL_END (INT64_C(253402300800) * SECOND) /* 10000-01-01T00:00:00Z */

const struct clock clock_system = {.fake = false};

static int64_t read_system(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall(const struct clock *clock) {
    return clock->fake ? atomic_load(&clock->fake_wall) : read_system(CLOCK_REALTIME);
}

int64_t clock_monotonic(const struct clock *clock) {
    return clock->fake ? atomic_load(&clock->fake_monotonic) : read_system(CLOCK_MONOTONIC);
}

int64_t clock_monotonic_coarse(const struct clock *clock) {
    return clock->fake ? atomic_load(&clock->fake_monotonic) : read_system(CLOCK_MONOTONIC_COARSE);
}

void clock_fake_init(struct clock *clock, int64_t wall) {
    clock->fake = true;
    atomic_init(&clock->fake_wall, wall);
    atomic_init(&clock->fake_monotonic, 0);
}

void clock_fake_advance(struct clock *clock, int64_t microseconds) {
    atomic_fetch_add(&clock->fake_wall, microseconds);
    atomic_fetch_add(&clock->fake_monotonic, microseconds);
}

void clock_fake_set_wall(struct clock *clock, int64_t wall) {
    atomic_store(&clock->fake_wall, wall);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0001-01-01 to the first day of `year`. */
static int64_t days_before_year(int64_t year) {
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400;
}

static int64_t days_of_month(int64_t year, int64_t month) {
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int64_t m = 1; m < month; m++)
        days += days_of_month(year, m);
    return days;
}

/* Writes `width` digits and the character that follows them. */
static char *put(char *p, int64_t value, int width, char then) {
    for (int i = width; i-- > 0; value /= 10)
        p[i] = (char)('0' + value % 10);
    p[width] = then;
    return p + width + 1;
}

void clock_text(int64_t wall, char ret[CLOCK_TEXT_SIZE]) {
    if (wall < 0) wall = 0;
    if (wall >= WALL_END) wall = WALL_END - 1;
    int64_t seconds = wall / SECOND, of_day = seconds % DAY_SECONDS, days = seconds / DAY_SECONDS;
    int64_t year = 1970 + days / 366, month = 1;
    while (days_since_1970(year + 1, 1, 1) <= days)
        year++;
    days -= days_since_1970(year, 1, 1);
    for (; days >= days_of_month(year, month); month++)
        days -= days_of_month(year, month);

    char *p = put(ret, year, 4, '-');
    p = put(p, month, 2, '-');
    p = put(p, days + 1, 2, 'T');
    p = put(p, of_day / 3600, 2, ':');
    p = put(p, of_day / 60 % 60, 2, ':');
    p = put(p, of_day % 60, 2, '.');
    p = put(p, wall % SECOND, 6, 'Z');
    *p = '\0';
}

/* Reads exactly `width` digits of a value in [min, max] and one of the characters in `then`. */
static bool take(const char **p, int width, int64_t min, int64_t max, const char *then, int64_t *ret) {
    int64_t value = 0;
    for (int i = 0; i < width; i++, (*p)++) {
        if (**p < '0' || **p > '9') return false;
        value = value * 10 + (**p - '0');
    }
    if (value < min || value > max) return false;
    if (then && (!**p || !strchr(then, **p))) return false;
    if (then) (*p)++;
    *ret = value;
    return true;
}

static bool take_fraction(const char **p, int64_t *ret) {
    int64_t scale = SECOND;
    int digits = 0;
    *ret = 0;
    if (**p != '.') return true;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, digits++) {
        scale /= 10;
        *ret += (**p - '0') * scale;
    }
    return digits >= 1 && digits <= 9;
}

static bool take_offset(const char **p, int64_t *ret_seconds) {
    char sign = *(*p)++;
    *ret_seconds = 0;
    if (sign == 'Z' || sign == 'z') return true;
    int64_t hours, minutes;
    if (sign != '+' && sign != '-') return false;
    if (!take(p, 2, 0, 23, ":", &hours) || !take(p, 2, 0, 59, NULL, &minutes)) return false;
    *ret_seconds = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

bool clock_from_text(const char *text, int64_t *ret) {
    int64_t year, month, day, hour, minute, second, micros, offset;
    const char *p = text;
    if (!take(&p, 4, 1, 9999, "-", &year) || !take(&p, 2, 1, 12, "-", &month)) return false;
    if (!take(&p, 2, 1, days_of_month(year, month), "Tt", &day)) return false;
    if (!take(&p, 2, 0, 23, ":", &hour) || !take(&p, 2, 0, 59, ":", &minute)) return false;
    if (!take(&p, 2, 0, 60, NULL, &second) || !take_fraction(&p, &micros)) return false;
    if (!take_offset(&p, &offset) || *p) return false;

    int64_t seconds = days_since_1970(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
    /* A leap second is the last of a UTC day; it is counted as the first of the next. */
    if (second == 60 && seconds % DAY_SECONDS != 0) return false;
    int64_t wall = seconds * SECOND + micros;
    if (wall < 0 || wall >= WALL_END) return false;
    *ret = wall;
    return true;
}
