/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the rules is their meaning, so each stands in one function that either rules or passes on.
 *
 * Times that run out (max_time, no data, a guard's `for`) count from the newest move when that is later: a person who resumes a held
 * rollout says "go on", and must not be answered by the same hold a second later. Evidence knows no such mercy: harm and a split that stand, stand.
 *
 * A guard that is unknown neither holds nor rolls back, because a server that is away says nothing about the candidate; but nothing goes on without
 * it, and the step's max_time still asks a person.
 */
#include "controller/decide.h"

#include <string.h>

/* What most functions here need. */
struct deciding {
    const struct rollout_plan *plan;
    const struct rollout_facts *facts;
    const struct verdict *verdict;
    const struct rollout_step *step;
    struct rollout_ruling *ruling;
};

static const struct {
    const char *name, *meaning, *remedy;
    enum rollout_action action;
} reasons[] = {
#define REASON(id, name, action, meaning, remedy) [REASON_##id] = {name, meaning, remedy, ROLLOUT_##action},
#include "controller/reasons.def"
#undef REASON
};

const char *rollout_action_name(enum rollout_action action) {
    static const char *const names[] = {"wait", "hold", "advance", "promote", "rollback"};
    return names[action];
}

const char *rollout_reason_name(enum rollout_reason reason) {
    return reasons[reason].name;
}

const char *rollout_reason_meaning(enum rollout_reason reason) {
    return reasons[reason].meaning;
}

const char *rollout_reason_remedy(enum rollout_reason reason) {
    return reasons[reason].remedy;
}

enum rollout_action rollout_reason_action(enum rollout_reason reason) {
    return reasons[reason].action;
}

bool rollout_reason_from_text(struct slice name, enum rollout_reason *ret) {
    for (size_t i = 0; i < REASON_COUNT_; i++) {
        if (!slice_equal_text(name, reasons[i].name)) continue;
        *ret = (enum rollout_reason)i;
        return true;
    }
    return false;
}

static bool rule(struct deciding *deciding, enum rollout_reason reason) {
    deciding->ruling->reason = reason;
    deciding->ruling->action = reasons[reason].action;
    return true;
}

/* From the later of the two until now; what lies ahead (a clock that was put back) is no time at all. */
static int64_t lasted(const struct rollout_facts *facts, int64_t since) {
    int64_t from = since > facts->moved_at ? since : facts->moved_at;
    return facts->now > from ? facts->now - from : 0;
}

/* ---- guards ---- */

static bool guard_acts(const struct deciding *deciding, enum rollout_reaction action) {
    for (size_t i = 0; i < deciding->plan->guard_count; i++) {
        const struct guard *guard = &deciding->plan->guards[i];
        const struct guard_seen *seen = &deciding->facts->guards[i];
        if (guard->action != action || seen->state != GUARD_BAD) continue;
        /* Rolling back asks nobody, so no resume begins its time anew. */
        int64_t bad =
            action == REACTION_ROLL_BACK ? deciding->facts->now - seen->since : lasted(deciding->facts, seen->since);
        if (bad < guard->lasting) continue;
        deciding->ruling->guard = i;
        return true;
    }
    return false;
}

static bool guards_fine(const struct deciding *deciding) {
    for (size_t i = 0; i < deciding->plan->guard_count; i++) {
        if (deciding->facts->guards[i].state == GUARD_FINE) continue;
        deciding->ruling->guard = i;
        return false;
    }
    return true;
}

/* ---- going back ---- */

static bool is_harm(const struct deciding *deciding) {
    return deciding->verdict->outcome == VERDICT_HARM && !deciding->verdict->by_limit;
}

static bool goes_back(struct deciding *deciding) {
    if (deciding->verdict->outcome == VERDICT_HARM && deciding->verdict->by_limit) return rule(deciding, REASON_LIMIT);
    if (is_harm(deciding) && deciding->plan->on_harm == REACTION_ROLL_BACK) return rule(deciding, REASON_HARM);
    return guard_acts(deciding, REACTION_ROLL_BACK) && rule(deciding, REASON_GUARD);
}

/* ---- asking a person ---- */

/* Decisions flow, and for long nobody has told what came of them. The candidate first: its silence says more. */
static bool lacks_data(const struct deciding *deciding) {
    int64_t after = deciding->plan->no_data_after;
    for (unsigned arm = 2; after > 0 && arm-- > 0;) {
        const struct arm_flow *flow = &deciding->facts->flow[arm];
        if (!flow->unanswered_since || lasted(deciding->facts, flow->unanswered_since) < after) continue;
        if (deciding->facts->now - flow->decision_at >= after) continue; /* nobody asks any more */
        deciding->ruling->arm = arm;
        return true;
    }
    return false;
}

/* Only what automation lacks makes a step inconclusive; a person takes the time that a person needs. */
static bool is_inconclusive(const struct deciding *deciding) {
    return (deciding->ruling->missing & (MISSING_UNITS | MISSING_EVIDENCE | MISSING_GUARD)) &&
           lasted(deciding->facts, deciding->facts->step_at) >= deciding->step->max_time;
}

static bool asks_person(struct deciding *deciding) {
    if (deciding->verdict->outcome == VERDICT_SPLIT) return rule(deciding, REASON_SAMPLE_RATIO);
    if (is_harm(deciding)) return rule(deciding, REASON_HARM_HELD);
    if (guard_acts(deciding, REACTION_HOLD)) return rule(deciding, REASON_GUARD_HELD);
    if (lacks_data(deciding)) return rule(deciding, REASON_NO_DATA);
    return is_inconclusive(deciding) && rule(deciding, REASON_INCONCLUSIVE);
}

/* ---- going on ---- */

static bool is_last(const struct deciding *deciding) {
    return deciding->facts->step + 1 == deciding->plan->step_count;
}

static bool end_asks(const struct deciding *deciding) {
    return deciding->plan->on_end == END_ASK || deciding->step->approval || !deciding->facts->may_promote;
}

static unsigned what_is_missing(const struct deciding *deciding) {
    const struct rollout_facts *facts = deciding->facts;
    bool units = deciding->verdict->step_units >= deciding->step->min_units, evidence = true;
    if (deciding->plan->judge == JUDGE_RATIO || units) evidence = deciding->verdict->outcome == VERDICT_PASS;
    for (size_t m = 0; deciding->plan->judge == JUDGE_EVIDENCE && m < deciding->verdict->metric_count; m++)
        evidence = evidence && deciding->verdict->metrics[m].goes_on;
    bool person = is_last(deciding) ? end_asks(deciding) : deciding->step->approval;
    return (facts->now - facts->step_at < deciding->step->min_time ? MISSING_TIME : 0u) | (units ? 0u : MISSING_UNITS) |
           (evidence ? 0u : MISSING_EVIDENCE) | (guards_fine(deciding) ? 0u : MISSING_GUARD) |
           (facts->ref_held || facts->panic ? MISSING_RELEASE : 0u) | (person ? MISSING_PERSON : 0u);
}

static bool nobody_asks(const struct deciding *deciding) {
    int64_t after = deciding->plan->no_data_after, last = deciding->facts->flow[1].decision_at;
    return deciding->verdict->step_units == 0 && (last == 0 || (after > 0 && deciding->facts->now - last >= after));
}

static enum rollout_reason why_it_waits(const struct deciding *deciding) {
    unsigned missing = deciding->ruling->missing;
    if ((missing & MISSING_UNITS) && nobody_asks(deciding)) return REASON_NO_TRAFFIC;
    if (missing & MISSING_TIME) return REASON_TIME;
    if (missing & MISSING_UNITS) return REASON_UNITS;
    if (missing & MISSING_EVIDENCE) return REASON_EVIDENCE;
    if (missing & MISSING_GUARD) return REASON_GUARD_UNSURE;
    if (missing & MISSING_RELEASE) return deciding->facts->ref_held ? REASON_REF_HELD : REASON_PANIC;
    return REASON_APPROVAL;
}

#define MISSING_OF_STEP (MISSING_TIME | MISSING_UNITS | MISSING_EVIDENCE | MISSING_GUARD)

static bool goes_on(struct deciding *deciding) {
    unsigned missing = deciding->ruling->missing;
    if (missing & MISSING_OF_STEP) return false;
    /* To ask is not to go on: a hold does not stand against it. */
    if (is_last(deciding) && (missing & MISSING_PERSON)) {
        bool by_plan = deciding->plan->on_end == END_ASK || deciding->step->approval;
        return rule(deciding, by_plan ? REASON_ASKS : REASON_PROTECTED);
    }
    if (missing) return false;
    return rule(deciding, is_last(deciding) ? REASON_PASSED : REASON_STEP_PASSED);
}

struct rollout_ruling rollout_decide(const struct rollout_plan *plan, const struct rollout_facts *facts,
                                     const struct verdict *verdict) {
    struct rollout_ruling ruling = {.action = ROLLOUT_WAIT, .reason = REASON_ENDED};
    if (!rollout_is_open(facts->state) || facts->step >= plan->step_count) return ruling;
    struct deciding deciding = {plan, facts, verdict, &plan->steps[facts->step], &ruling};
    ruling.missing = what_is_missing(&deciding);
    if (goes_back(&deciding)) return ruling;
    if (facts->state != ROLLOUT_RUNNING) {
        rule(&deciding, facts->state == ROLLOUT_PAUSED ? REASON_PAUSED : REASON_HELD);
        return ruling;
    }
    if (asks_person(&deciding) || goes_on(&deciding)) return ruling;
    rule(&deciding, why_it_waits(&deciding));
    return ruling;
}
