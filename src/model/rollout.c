/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may become of a rollout, as a table: rollouts end by being promoted, rolled back or aborted, and never begin again (a new one with
 * the salt of the old takes the same users). Held differs from paused in who is waited for: a paused one waits for whoever paused it, a held one
 * for any person, because the controller could not or must not decide. So a held one may be promoted as it stands; a paused one is resumed first.
 */
#include "model/rollout.h"

#include <string.h>

static const char *const states[] = {
    [ROLLOUT_RUNNING] = "running",   [ROLLOUT_PAUSED] = "paused",           [ROLLOUT_HELD] = "held",
    [ROLLOUT_PROMOTED] = "promoted", [ROLLOUT_ROLLED_BACK] = "rolled_back", [ROLLOUT_ABORTED] = "aborted",
};

static const struct sm_move moves[] = {
    {ROLLOUT_RUNNING, ROLLOUT_PAUSED, "pause"},        {ROLLOUT_RUNNING, ROLLOUT_HELD, "hold"},
    {ROLLOUT_RUNNING, ROLLOUT_PROMOTED, "promote"},    {ROLLOUT_RUNNING, ROLLOUT_ROLLED_BACK, "rollback"},
    {ROLLOUT_RUNNING, ROLLOUT_ABORTED, "abort"},       {ROLLOUT_PAUSED, ROLLOUT_RUNNING, "resume"},
    {ROLLOUT_PAUSED, ROLLOUT_ROLLED_BACK, "rollback"}, {ROLLOUT_PAUSED, ROLLOUT_ABORTED, "abort"},
    {ROLLOUT_HELD, ROLLOUT_RUNNING, "resume"},         {ROLLOUT_HELD, ROLLOUT_PROMOTED, "promote"},
    {ROLLOUT_HELD, ROLLOUT_ROLLED_BACK, "rollback"},   {ROLLOUT_HELD, ROLLOUT_ABORTED, "abort"},
};

const struct sm rollout_sm = {
    .name = "a rollout",
    .states = states,
    .state_count = ARRAY_LEN(states),
    .moves = moves,
    .move_count = ARRAY_LEN(moves),
};

const char *guard_state_name(enum guard_state state) {
    static const char *const guard_names[] = {"unknown", "fine", "bad"};
    return guard_names[state];
}

const char *rollout_state_name(enum rollout_state state) {
    return states[state];
}

bool rollout_state_from_text(const char *text, enum rollout_state *ret) {
    int state = sm_state_by_name(&rollout_sm, text);
    if (state < 0) return false;
    *ret = (enum rollout_state)state;
    return true;
}

bool rollout_is_open(enum rollout_state state) {
    return state == ROLLOUT_RUNNING || state == ROLLOUT_PAUSED || state == ROLLOUT_HELD;
}

/* ---- durations ---- */

static const struct {
    char letter;
    int64_t seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

#define SECOND INT64_C(1000000)
#define UNITS_MAX INT64_C(100000000) /* of one letter: far from what overflows */

bool duration_from_text(const char *text, int64_t *ret) {
    int64_t sum = 0;
    size_t next = 0;
    if (!*text) return false;
    while (*text) {
        int64_t value = 0;
        if (*text < '0' || *text > '9') return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            value = value * 10 + (*text - '0');
            if (value > UNITS_MAX) return false;
        }
        while (next < ARRAY_LEN(units) && units[next].letter != *text)
            next++;
        if (next == ARRAY_LEN(units)) return false;
        sum += value * units[next++].seconds;
        text++;
    }
    *ret = sum * SECOND;
    return true;
}

void duration_text(int64_t duration, char ret[DURATION_TEXT_SIZE]) {
    int64_t seconds = duration / SECOND;
    char *at = ret;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t value = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (!value && (at > ret || i + 1 < ARRAY_LEN(units))) continue;
        at = text_from_int(at, value);
        *at++ = units[i].letter;
    }
    *at = '\0';
}

/* ---- templates ---- */

/* In canonical form. At a share of 100 % nobody is left to compare with, so they end at a half. */
/* clang-format off */
#define STEP(share, time, units, most) \
    "{\"max_time\":\"" most "\",\"min_time\":\"" time "\",\"min_units\":" units ",\"share\":" share "}"
#define LIMITS "\"limits\":{\"error\":{\"past\":0.2,\"units\":50}}"

static const struct rollout_template templates[] = {
    {.name = "careful", .created_by = "",
     .description = "Five steps from 1 %, at least eight and a half hours; asks a person at the end",
     .content = "{" LIMITS ",\"on_end\":\"ask\",\"steps\":[" STEP("1", "30m", "200", "3d") "," STEP("5", "1h", "500", "3d") ","
                STEP("10", "1h", "500", "3d") "," STEP("25", "2h", "500", "3d") "," STEP("50", "4h", "500", "3d") "]}"},
    {.name = "fast", .created_by = "",
     .description = "Three steps from 5 %, at least twelve minutes",
     .content = "{" LIMITS ",\"steps\":[" STEP("5", "2m", "100", "6h") "," STEP("25", "5m", "100", "6h") ","
                STEP("50", "5m", "100", "6h") "]}"},
    {.name = "standard", .created_by = "",
     .description = "Four steps from 1 %, at least an hour and twenty minutes",
     .content = "{" LIMITS ",\"steps\":[" STEP("1", "10m", "100", "1d") "," STEP("5", "10m", "100", "1d") ","
                STEP("25", "30m", "100", "1d") "," STEP("50", "30m", "100", "1d") "]}"},
};
/* clang-format on */

const struct rollout_template *rollout_templates(size_t *ret_count) {
    *ret_count = ARRAY_LEN(templates);
    return templates;
}
