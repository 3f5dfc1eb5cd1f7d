/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan's steps before there is a rollout, from a rate of units and a rate of errors (design page "analysis", section 2.5): units come evenly, a step's share of
 * them is the candidate's, and what evidence needs is a number of them.
 */
#include "controller/decide.h"

#include <math.h>
#include <string.h>

#define DAY 86400e6
#define RATE_AT_LEAST 1e-6
#define HALVINGS 60
#define LOG_RESTARTS 0x1.62e42fefa39efp-1 /* the copy that began with the rollout has half of the wealth */

const struct metric *rollout_ahead_metric(const struct rollout_plan *plan) {
    const struct metric *first = NULL;
    for (size_t m = 0; m < plan->metric_count; m++) {
        const struct metric *metric = &plan->metrics[m];
        if (!strcmp(metric->name, "error")) return metric;
        if (!first && metric->kind == METRIC_EVENT) first = metric;
    }
    return first;
}

struct step_view {
    const struct rollout_plan *plan;
    const struct rollout_step *step;
    const struct metric *metric;
    double share, stable_rate;
};

static struct step_view view_of(const struct rollout_plan *plan, const struct traffic *traffic, size_t step) {
    return (struct step_view){
        .plan = plan,
        .step = &plan->steps[step],
        .metric = rollout_ahead_metric(plan),
        .share = (double)plan->steps[step].share / SHARE_ALL,
        .stable_rate = fmax(traffic->error_rate, RATE_AT_LEAST),
    };
}

static bool compares(const struct step_view *view) {
    return view->share > 0 && view->share < 1;
}

/* `late`: how old a unit must be to count. */
static int64_t wait_for(double units, double units_per_day, int64_t late) {
    if (units <= 0) return 0;
    double wait = units / units_per_day * DAY + (double)late;
    return isfinite(wait) && wait < 0x1p60 ? (int64_t)wait : OUTLOOK_UNKNOWN;
}

static double go_on_units(const struct step_view *view) {
    struct ratio_truth truth = {view->share, view->stable_rate, 1};
    if (!compares(view)) return 0;
    if (view->plan->judge == JUDGE_RATIO) return (double)view->plan->ratio.min_units;
    if (!view->metric) return INFINITY;
    double accept = view->step->accept > 0 ? view->step->accept : view->metric->accept;
    return plan_go_on_units(view->metric, accept, &truth, log(1 / view->plan->beta));
}

/* Candidate units until a candidate with that error rate is rolled back. */
static double harm_units(const struct step_view *view, double rate) {
    struct ratio_truth truth = {view->share, view->stable_rate, rate / view->stable_rate};
    bool by_evidence = view->metric && view->metric->weight > 0 && view->plan->judge == JUDGE_EVIDENCE;
    if (!by_evidence || rate >= 1) return INFINITY;
    return plan_harm_units(view->metric, &truth, log(1 / view->plan->alpha / view->metric->weight) + LOG_RESTARTS);
}

/* The larger the rate, the fewer units: halved until it stands. */
static double smallest_found(const struct step_view *view, double units_per_day) {
    double units = units_per_day * fmax((double)(view->step->max_time - view->plan->watermark), 0) / DAY;
    double low = view->stable_rate, high = 1 - RATE_AT_LEAST;
    if (harm_units(view, high) > units) return NAN;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (harm_units(view, middle) > units)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static int64_t latest_of(const struct step_ahead *ahead) {
    const int64_t parts[] = {ahead->time, ahead->units, ahead->evidence};
    int64_t latest = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i] == OUTLOOK_UNKNOWN) return OUTLOOK_UNKNOWN;
        if (parts[i] > latest) latest = parts[i];
    }
    return latest;
}

void rollout_step_ahead(const struct rollout_plan *plan, const struct traffic *traffic, size_t step,
                        struct step_ahead *ret) {
    struct step_view view = view_of(plan, traffic, step);
    double units_per_day = traffic->units_per_day * view.share;
    *ret = (struct step_ahead){
        .units_per_day = units_per_day,
        .time = view.step->min_time,
        .units = wait_for((double)view.step->min_units, units_per_day, plan->settle),
        .evidence = wait_for(go_on_units(&view), units_per_day, plan->settle),
        .twice = wait_for(harm_units(&view, 2 * view.stable_rate), units_per_day, plan->watermark),
        .found = smallest_found(&view, units_per_day),
    };
    ret->earliest = latest_of(ret);
    ret->asks = ret->earliest == OUTLOOK_UNKNOWN || ret->earliest > view.step->max_time;
}
