/* SPDX-License-Identifier: Apache-2.0 */
/* A ruling in words. They stand in the journal and are compared when it is replayed, so they depend on nothing but what decide saw. */
#include "controller/decide.h"

#include <math.h>

#define PERCENT 1000.0 /* thousandths of a percent */

static void add_duration(struct str *out, int64_t duration) {
    char text[DURATION_TEXT_SIZE];
    duration_text(duration, text);
    str_add_text(out, text);
}

static void add_share(struct str *out, const struct rollout_plan *plan, unsigned step) {
    if (step < plan->step_count) str_printf(out, "%g %%", plan->steps[step].share / PERCENT);
}

/* ---- what was done ---- */

static void add_done(struct str *out, const struct rollout_plan *plan, unsigned step,
                     const struct rollout_ruling *ruling) {
    static const char *const done[] = {[ROLLOUT_WAIT] = "waits at ",
                                       [ROLLOUT_HOLD] = "held at ",
                                       [ROLLOUT_ADVANCE] = "went on from ",
                                       [ROLLOUT_PROMOTE] = "promoted from ",
                                       [ROLLOUT_ROLL_BACK] = "rolled back at "};
    str_add_text(out, done[ruling->action]);
    add_share(out, plan, step);
    if (ruling->action == ROLLOUT_ADVANCE) {
        str_add_text(out, " to ");
        add_share(out, plan, step + 1);
    }
    str_add_text(out, ": ");
}

/* ---- why ---- */

/* "guard p99: 0.07 > 0.05 for 5m" */
static void add_guard(struct str *out, const struct rollout_plan *plan, const struct rollout_facts *facts, size_t i) {
    static const char *const signs[] = {[GUARD_GT] = ">",  [GUARD_GE] = ">=", [GUARD_LT] = "<",
                                        [GUARD_LE] = "<=", [GUARD_EQ] = "=",  [GUARD_NE] = "is not"};
    const struct guard *guard = &plan->guards[i];
    const struct guard_seen *seen = &facts->guards[i];
    str_printf(out, "guard %s", guard->name);
    if (seen->state == GUARD_UNKNOWN) {
        str_add_text(out, " is unknown");
    } else {
        str_printf(out, ": %g %s%s %g", seen->value, seen->state == GUARD_BAD ? "" : "not ", signs[guard->compare],
                   guard->threshold);
    }
    if (!seen->since) return;
    str_add_text(out, " for ");
    add_duration(out, facts->now > seen->since ? facts->now - seen->since : 0);
}

static void add_silence(struct str *out, const struct rollout_facts *facts, unsigned arm) {
    const struct arm_flow *flow = &facts->flow[arm];
    str_printf(out, "decisions for %s flow, but no outcome of it came for ", arm ? "the candidate" : "stable");
    add_duration(out, facts->now - flow->unanswered_since);
}

static void add_units(struct str *out, const struct rollout_step *step, const struct verdict *verdict) {
    str_printf(out, "%lld of %lld units of this step", (long long)verdict->step_units, (long long)step->min_units);
}

static void add_time(struct str *out, const struct rollout_step *step, const struct rollout_facts *facts) {
    add_duration(out, facts->now > facts->step_at ? facts->now - facts->step_at : 0);
    str_add_text(out, " of ");
    add_duration(out, step->min_time);
}

static void add_why(struct str *out, const struct rollout_plan *plan, const struct rollout_facts *facts,
                    const struct verdict *verdict, const struct rollout_ruling *ruling) {
    const struct rollout_step *step = &plan->steps[facts->step];
    switch (ruling->reason) {
    case REASON_GUARD:
    case REASON_GUARD_HELD:
    case REASON_GUARD_UNSURE:
        add_guard(out, plan, facts, ruling->guard);
        return;
    case REASON_NO_DATA:
        add_silence(out, facts, ruling->arm);
        return;
    case REASON_INCONCLUSIVE:
        str_add_text(out, "no verdict within ");
        add_duration(out, step->max_time);
        str_add_text(out, "; ");
        if (ruling->missing & MISSING_UNITS)
            add_units(out, step, verdict);
        else
            verdict_words(plan, verdict, out);
        return;
    case REASON_ASKS:
    case REASON_PROTECTED:
        str_add_text(out, ruling->reason == REASON_ASKS ? "passed, and the plan asks a person; "
                                                        : "passed, and the environment asks a person; ");
        verdict_words(plan, verdict, out);
        return;
    case REASON_TIME:
        add_time(out, step, facts);
        return;
    case REASON_UNITS:
        add_units(out, step, verdict);
        return;
    case REASON_HARM:
    case REASON_LIMIT:
    case REASON_HARM_HELD:
    case REASON_SAMPLE_RATIO:
    case REASON_STEP_PASSED:
    case REASON_PASSED:
    case REASON_EVIDENCE:
        verdict_words(plan, verdict, out);
        return;
    case REASON_ENDED:
    case REASON_PAUSED:
    case REASON_HELD:
    case REASON_NO_TRAFFIC:
    case REASON_REF_HELD:
    case REASON_PANIC:
    case REASON_APPROVAL:
    case REASON_COUNT_:
        break;
    }
    str_add_text(out, rollout_reason_meaning(ruling->reason));
}

/* Twelve metrics with their intervals stay under the limit by far; only then the text is cut, at a border of UTF-8. */
static void cut(struct str *out, size_t from) {
    static const char more[] = " …";
    if (out->failed || out->len - from <= RULING_WORDS_MAX) return;
    size_t len = from + RULING_WORDS_MAX - (sizeof(more) - 1);
    while (len > from && ((unsigned char)out->data[len] & 0xC0) == 0x80)
        len--;
    out->len = len;
    out->data[len] = '\0';
    str_add_text(out, more);
}

void rollout_words(const struct rollout_plan *plan, const struct rollout_facts *facts, const struct verdict *verdict,
                   const struct rollout_ruling *ruling, struct str *out) {
    size_t from = out->len;
    if (facts->step >= plan->step_count || ruling->reason == REASON_ENDED) {
        str_add_text(out, rollout_reason_meaning(ruling->reason));
        return;
    }
    add_done(out, plan, facts->step, ruling);
    add_why(out, plan, facts, verdict, ruling);
    cut(out, from);
}
