/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/verdict.h"

#include <math.h>

#define ODDS_SHOWN_MAX 1e6

/* 412:1 for log 6.02. Below even it is shown the other way round, as 1:7. */
static void add_odds(struct str *out, double log_value) {
    if (log_value > log(ODDS_SHOWN_MAX))
        str_add_text(out, "more than 1000000:1");
    else if (log_value >= 0)
        str_printf(out, "%.0f:1", exp(log_value));
    else if (log_value >= -log(ODDS_SHOWN_MAX))
        str_printf(out, "1:%.0f", exp(-log_value));
    else
        str_add_text(out, "less than 1:1000000");
}

/* Two digits that matter, never 1e+02. */
static void add_number(struct str *out, double number) {
    if (isinf(number))
        str_add_text(out, "infinity");
    else if (fabs(number) >= 10)
        str_printf(out, "%.0f", number);
    else
        str_printf(out, "%.2g", number);
}

static void add_interval(struct str *out, const struct interval *interval, double alpha) {
    if (isnan(interval->low)) return;
    str_printf(out, " (%g %% CS ", 100 * (1 - alpha));
    add_number(out, interval->low);
    str_add_text(out, " to ");
    add_number(out, interval->high);
    str_add_char(out, ')');
}

/* "error ratio 2.9 (95 % CS 1.6 to 5.3)" */
static void add_metric(struct str *out, const struct rollout_plan *plan, const struct verdict *verdict, size_t m) {
    static const char *const what[] = {
        [METRIC_EVENT] = "ratio", [METRIC_SCORE] = "difference", [METRIC_SIZE] = "ratio of means"};
    const struct interval *compared = &verdict->metrics[m].compared;
    str_add_text(out, plan->metrics[m].name);
    if (isnan(compared->estimate)) {
        str_add_text(out, " without data to compare");
        return;
    }
    str_printf(out, " %s ", what[plan->metrics[m].kind]);
    add_number(out, compared->estimate);
    add_interval(out, compared, plan->alpha);
}

/* "<= 1.1", or for a score "<= 0.01 worse" */
static void add_margin(struct str *out, const struct metric *metric, const char *sign, double margin) {
    str_printf(out, " against %s %g%s", sign, margin, metric->kind == METRIC_SCORE ? " worse" : "");
}

static void add_limit(struct str *out, const struct rollout_plan *plan, const struct verdict *verdict) {
    const struct metric *metric = &plan->metrics[verdict->metric];
    const struct arm_figures *candidate = &verdict->metrics[verdict->metric].candidate;
    bool rate = metric->kind == METRIC_EVENT;
    str_printf(out, "%s %s ", metric->name, rate ? "rate" : "mean");
    add_number(out, rate ? 100 * candidate->mean : candidate->mean);
    str_printf(out, "%s is past its limit of %g%s after %lld units", rate ? " %" : "",
               rate ? 100 * metric->limit : metric->limit, rate ? " %" : "", (long long)candidate->units);
}

static void add_harm(struct str *out, const struct rollout_plan *plan, const struct verdict *verdict) {
    add_metric(out, plan, verdict, verdict->metric);
    str_printf(out, " after %lld units; ", (long long)verdict->units);
    if (plan->judge == JUDGE_RATIO) {
        str_printf(out, "more than %g times stable by the plain rule",
                   plan->ratio.roll_back > 0 ? plan->ratio.roll_back : PLAIN_ROLL_BACK_RATIO);
        return;
    }
    str_add_text(out, "evidence ");
    add_odds(out, verdict->metrics[verdict->metric].harm_log);
    add_margin(out, &plan->metrics[verdict->metric], "<=", plan->metrics[verdict->metric].harm);
}

static void add_split(struct str *out, const struct verdict *verdict) {
    str_printf(out, "%lld of %lld units were with the candidate where %.0f were planned; evidence ",
               (long long)verdict->split_candidates, (long long)verdict->split_units, verdict->split_expected);
    add_odds(out, verdict->split_log);
    str_add_text(out, " against a split by chance");
}

static void add_going_on(struct str *out, const struct rollout_plan *plan, const struct verdict *verdict) {
    for (size_t m = 0; m < verdict->metric_count; m++) {
        if (m) str_add_text(out, ", ");
        add_metric(out, plan, verdict, m);
        if (plan->judge == JUDGE_RATIO) continue;
        str_add_text(out, " with ");
        add_odds(out, verdict->metrics[m].go_on_log);
        add_margin(out, &plan->metrics[m], ">=", verdict->metrics[m].accept);
    }
    str_printf(out, " after %lld units of this step; ", (long long)verdict->step_units);
    if (verdict->outcome == VERDICT_PASS)
        str_add_text(out, "enough to go on");
    else if (plan->judge == JUDGE_RATIO)
        str_add_text(out, "not yet enough to go on");
    else
        str_printf(out, "%.0f:1 for each is enough to go on", 1 / plan->beta);
}

void verdict_words(const struct rollout_plan *plan, const struct verdict *verdict, struct str *out) {
    if (verdict->by_limit)
        add_limit(out, plan, verdict);
    else if (verdict->outcome == VERDICT_HARM)
        add_harm(out, plan, verdict);
    else if (verdict->outcome == VERDICT_SPLIT)
        add_split(out, verdict);
    else
        add_going_on(out, plan, verdict);
}
