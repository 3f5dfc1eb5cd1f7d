/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes next and when, by the planning formulas (design page "analysis", section 2.5). Evidence to go on grows, on average, by the same amount with
 * each unit of the candidate; so the rest is what is still missing divided by it. For events it is known from the stable rate. For scores and sizes it depends on
 * how they are spread, so what the step has seen so far is carried on in a straight line.
 */
#include "controller/decide.h"

#include <math.h>

#define RATE_AT_LEAST 1e-6

/* What the average of the two tests' e-values (event_go_on()) takes off whichever of them carries it. */
#define LOG_HALF 0x1.62e42fefa39efp-1
#define LOG_GRID 1                /* what the mixture over alternatives costs where the outermost does the work */
#define LOWEST_ALTERNATIVE (-1.5) /* of the grid of rate_go_on() */

/* Per unit, by the candidate's rate against its floor. */
static double rate_growth(double rate, double boundary) {
    if (!(boundary > 0 && boundary < 1) || rate >= boundary) return 0;
    double other = fmax(rate, boundary * exp(LOWEST_ALTERNATIVE));
    return rate * log(other / boundary) + (1 - rate) * (log1p(-other) - log1p(-boundary));
}

double plan_go_on_units(const struct metric *metric, double accept, const struct ratio_truth *truth,
                        double log_enough) {
    if (metric->kind != METRIC_EVENT || !(truth->share > 0 && truth->share < 1)) return INFINITY;
    if (!(log_enough > 0)) return 0;
    struct ratio_truth sane = *truth;
    sane.stable_rate = fmax(sane.stable_rate, RATE_AT_LEAST);
    double by_ratio = plan_growth(&sane, accept), boundary = accept * metric->accept_floor;
    double by_rate = rate_growth(sane.stable_rate * sane.ratio, boundary), enough = log_enough + LOG_HALF;
    return fmin(by_ratio > 0 ? enough / by_ratio : INFINITY, by_rate > 0 ? (enough + LOG_GRID) / by_rate : INFINITY);
}

/* Against the floor, at the alternative that is right. */
static double floor_growth(double rate, double boundary) {
    if (!(boundary > 0 && boundary < rate && rate < 1)) return 0;
    return rate * log(rate / boundary) + (1 - rate) * (log1p(-rate) - log1p(-boundary));
}

/* Both of its tests must say harm (event_harm()), and VERDICT_EVENTS_MIN units must have failed. */
double plan_harm_units(const struct metric *metric, const struct ratio_truth *truth, double log_enough) {
    double rate = truth->stable_rate * truth->ratio;
    if (metric->kind != METRIC_EVENT || !(truth->share > 0 && truth->share < 1) || !(rate > 0)) return INFINITY;
    double by_ratio = truth->ratio > metric->harm ? plan_growth(truth, metric->harm) : 0;
    double by_rate = floor_growth(fmin(rate, 1 - RATE_AT_LEAST), metric->harm * metric->harm_floor);
    if (by_ratio <= 0 || by_rate <= 0) return INFINITY;
    double enough = log_enough + LOG_GRID;
    return fmax(fmax(enough / by_ratio, enough / by_rate), VERDICT_EVENTS_MIN / rate);
}

/* Candidate units that the metric still needs at this step; NAN: nothing to reckon with. */
static double units_left(const struct rollout_plan *plan, const struct verdict *verdict, double share, size_t m) {
    const struct metric *metric = &plan->metrics[m];
    const struct metric_verdict *seen = &verdict->metrics[m];
    double enough = log(1 / plan->beta);
    if (seen->goes_on) return 0;
    if (metric->kind == METRIC_EVENT && !isnan(seen->stable.mean)) {
        struct ratio_truth truth = {share, seen->stable.mean, 1};
        return plan_go_on_units(metric, seen->accept, &truth, fmax(enough - seen->go_on_log, 0));
    }
    if (verdict->step_units <= 0 || !(seen->go_on_log > 0)) return NAN;
    return (enough - seen->go_on_log) * (double)verdict->step_units / seen->go_on_log;
}

/* The moment at which so many more units have come, at the pace of this step. */
static int64_t moment_after(const struct rollout_facts *facts, const struct verdict *verdict, double units) {
    double took = (double)(facts->now - facts->step_at);
    if (units <= 0) return 0;
    if (isnan(units) || verdict->step_units <= 0 || took <= 0) return OUTLOOK_UNKNOWN;
    double wait = took / (double)verdict->step_units * units;
    return wait < 0x1p60 ? facts->now + (int64_t)wait : OUTLOOK_UNKNOWN;
}

static int64_t later(int64_t a, int64_t b) {
    if (a == OUTLOOK_UNKNOWN || b == OUTLOOK_UNKNOWN) return OUTLOOK_UNKNOWN;
    return a > b ? a : b;
}

static void look_at_evidence(const struct rollout_plan *plan, const struct rollout_facts *facts,
                             const struct verdict *verdict, struct rollout_outlook *ret) {
    double share = (double)plan->steps[facts->step].share / SHARE_ALL;
    if (plan->judge == JUDGE_RATIO) {
        ret->evidence_at = ret->missing & MISSING_EVIDENCE ? OUTLOOK_UNKNOWN : 0;
        return;
    }
    for (size_t m = 0; m < verdict->metric_count; m++) {
        int64_t at = moment_after(facts, verdict, units_left(plan, verdict, share, m));
        if (ret->evidence_at == OUTLOOK_UNKNOWN) return;
        if (at != OUTLOOK_UNKNOWN && at <= ret->evidence_at) continue;
        ret->evidence_at = at;
        ret->metric = m;
    }
}

void rollout_look_ahead(const struct rollout_plan *plan, const struct rollout_facts *facts,
                        const struct verdict *verdict, struct rollout_outlook *ret) {
    struct rollout_ruling ruling = rollout_decide(plan, facts, verdict);
    *ret = (struct rollout_outlook){.next = ROLLOUT_WAIT, .missing = ruling.missing};
    if (ruling.reason == REASON_ENDED) return;
    const struct rollout_step *step = &plan->steps[facts->step];
    bool last = facts->step + 1 == plan->step_count;
    ret->next = !last ? ROLLOUT_ADVANCE : ruling.missing & MISSING_PERSON ? ROLLOUT_HOLD : ROLLOUT_PROMOTE;
    ret->time_at = ruling.missing & MISSING_TIME ? facts->step_at + step->min_time : 0;
    ret->units_at = moment_after(facts, verdict, (double)step->min_units - (double)verdict->step_units);
    look_at_evidence(plan, facts, verdict, ret);
    ret->earliest = later(later(ret->time_at, ret->units_at), ret->evidence_at);
    ret->asks_at = (facts->step_at > facts->moved_at ? facts->step_at : facts->moved_at) + step->max_time;
}
