/* SPDX-License-Identifier: Apache-2.0 */
/*
 * People think in their own time zone and in "three hours ago"; the server only knows UTC. Both ways between them stand here.
 */
#include "cli/text.h"

#include "base/clock.h"
#include "model/rollout.h"
#include "model/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000LL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

void when_date(int64_t wall, char ret[WHEN_SIZE]) {
    time_t seconds = (time_t)(wall / SECOND);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || !strftime(ret, WHEN_SIZE, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(ret, WHEN_SIZE, "?");
}

void when_text(int64_t wall, int64_t now, char ret[WHEN_SIZE]) {
    static const struct {
        int64_t below, unit;
        const char *name;
    } steps[] = {{MINUTE, SECOND, "s"}, {HOUR, MINUTE, "m"}, {DAY, HOUR, "h"}, {8 * DAY, DAY, "d"}};
    int64_t age = now - wall;
    when_date(wall, ret);
    size_t len = strlen(ret);
    if (age >= 0 && age < 10 * SECOND) {
        snprintf(ret + len, WHEN_SIZE - len, " (just now)");
        return;
    }
    for (size_t i = 0; age >= 0 && i < ARRAY_LEN(steps); i++) {
        if (age >= steps[i].below) continue;
        snprintf(ret + len, WHEN_SIZE - len, " (%lld%s ago)", (long long)(age / steps[i].unit), steps[i].name);
        return;
    }
}

/* Whether all of the text has the format. */
static bool reads_as(const char *text, const char *format, struct tm *tm) {
    const char *end = strptime(text, format, tm);
    return end && !*end;
}

/* A time of the day is the last one there was: today's, or yesterday's when today's is still to come. */
static time_t last_time(struct tm tm, time_t now) {
    tm.tm_isdst = -1;
    struct tm yesterday = tm;
    yesterday.tm_mday--;
    time_t seconds = mktime(&tm);
    return seconds > now ? mktime(&yesterday) : seconds;
}

static bool local_moment(const char *text, int64_t now, time_t *ret) {
    static const char *const times[] = {"%H:%M:%S", "%H:%M"};
    static const char *const dates[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d"};
    time_t today = (time_t)(now / SECOND);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct tm tm;
        if (!localtime_r(&today, &tm)) return false;
        tm.tm_sec = 0;
        if (!reads_as(text, times[i], &tm)) continue;
        *ret = last_time(tm, today);
        return *ret >= 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        struct tm tm = {.tm_isdst = -1};
        if (!reads_as(text, dates[i], &tm)) continue;
        tm.tm_isdst = -1;
        *ret = mktime(&tm);
        return *ret >= 0;
    }
    return false;
}

int when_read(const char *text, int64_t now, char ret[WHEN_SIZE], struct err *err) {
    time_t seconds;
    char shown[SHOW_SIZE];
    if (local_moment(text, now, &seconds)) {
        clock_text((int64_t)seconds * SECOND, ret);
        return 0;
    }
    if (strlen(text) < WHEN_SIZE) {
        snprintf(ret, WHEN_SIZE, "%s", text);
        return 0;
    }
    int r = err_set(err, ERR_USAGE, "\"%s\" is no moment", show_text(text, shown));
    err_remedy(err, "Write 14:05, \"2026-11-23 14:05\", 2026-11-23T14:05:00Z, or a position");
    return r;
}

void when_about(int64_t duration, char ret[WHEN_SIZE]) {
    static const int64_t units[] = {DAY, HOUR, MINUTE, SECOND};
    char text[DURATION_TEXT_SIZE];
    int64_t grain = units[3];
    for (size_t i = 0; i + 1 < ARRAY_LEN(units) && grain == units[3]; i++)
        if (duration >= units[i]) grain = units[i + 1];
    duration_text((duration + grain / 2) / grain * grain, text);
    snprintf(ret, WHEN_SIZE, "%s", text);
}
