/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which a verdict is found: a hard limit first, which is no statistics; then the split, because when units do not fall to the arms as planned no
 * comparison holds; then harm; then going on.
 *
 * A metric without its minimum of candidate events is left out of the average rather than vetoing it: taking something that is not negative out of an e-value
 * leaves less than an e-value, so the promise of alpha stands, and one flaky metric cannot hide what another shows.
 */
#include "analysis/verdict.h"
#include "analysis/evidence_impl.h"

#include <math.h>

#define RATE_NEARLY_ALL 0.999 /* a boundary past it cannot be exceeded: no test of one rate is left */

/* What most functions here need. */
struct judging {
    const struct rollout_plan *plan;
    const struct evidence *evidence;
    size_t step;
    bool own_step; /* the evidence to go on is of this step */
    bool figures;  /* those that no rule needs, too */
};

const char *verdict_outcome_name(enum verdict_outcome outcome) {
    switch (outcome) {
    case VERDICT_GOING_ON:
        return "going on";
    case VERDICT_PASS:
        return "pass";
    case VERDICT_SPLIT:
        return "split";
    case VERDICT_HARM:
        break;
    }
    return "harm";
}

/* ---- evidence of harm ---- */

static int64_t since(const int64_t *row, const int64_t *before, size_t i) {
    return row[i] - (before ? before[i] : 0);
}

static struct ratio_counts harm_counts(const struct judging *judging, size_t m, const int64_t *before) {
    const struct layout *layout = &judging->evidence->layout;
    const int64_t *harm = judging->evidence->harm;
    size_t at = layout->metrics[m].harm;
    struct ratio_counts counts = {.candidate = since(harm, before, at), .stage_count = layout->steps};
    for (size_t s = 0; s < layout->steps; s++)
        counts.stages[s] = (struct stage_events){layout->share[s], since(harm, before, at + 1 + s)};
    return counts;
}

/* What the tests of one event metric have in common, over all copies. */
struct event_tests {
    struct ratio_table ratio;
    struct rate_table rate;
    bool has_rate, never; /* never: no rate is past the floor */
};

/* The test of one rate has a say only when there is a floor: without one "max(stable, floor)" is stable. */
static bool tests_rate(double boundary) {
    return boundary > 0 && boundary < RATE_NEARLY_ALL;
}

static void event_tests_init(const struct judging *judging, size_t m, struct event_tests *ret) {
    const struct metric *metric = &judging->plan->metrics[m];
    double boundary = metric->harm * metric->harm_floor;
    ret->never = boundary >= RATE_NEARLY_ALL;
    ret->has_rate = tests_rate(boundary);
    /* No event is of a step to come. */
    ratio_table_init(&ret->ratio, TEST_HARM, metric->harm, judging->evidence->layout.share,
                     judging->evidence->step + 1);
    if (ret->has_rate) rate_table_init(&ret->rate, TEST_HARM, boundary);
}

static double event_harm_since(const struct judging *judging, size_t m, const struct event_tests *tests,
                               const int64_t *before) {
    const int64_t *harm = judging->evidence->harm;
    size_t at = judging->evidence->layout.metrics[m].harm;
    int64_t events[ROLLOUT_STEPS_MAX];
    if (tests->never) return -INFINITY;
    for (size_t s = 0; s < tests->ratio.stage_count; s++)
        events[s] = since(harm, before, at + 1 + s);
    double ratio = ratio_table_log(&tests->ratio, since(harm, before, at), events);
    if (!tests->has_rate) return ratio;
    return event_harm(ratio, rate_table_log(&tests->rate, since(harm, before, at), since(harm, before, 0)));
}

static double value_harm_since(const struct judging *judging, size_t m, const int64_t *before) {
    const struct layout *layout = &judging->evidence->layout;
    const struct layout_metric *metric = &layout->metrics[m];
    double a[CHANNELS_PER_SIZE];
    for (size_t c = 0; c < metric->channel_count; c++) {
        size_t at = layout->harm_bets + (metric->channel + c) * BETS;
        a[c] = bets_log(judging->evidence->harm + at, before ? before + at : NULL);
    }
    return log_sum_exp(a, metric->channel_count) - log((double)metric->channel_count);
}

/* The mixture over the copy from the start, those from each snapshot, and those that have not started. */
static double harm_with_restarts(const struct judging *judging, size_t m) {
    const struct restarts *restarts = &judging->evidence->restarts;
    bool is_event = judging->plan->metrics[m].kind == METRIC_EVENT;
    struct event_tests tests;
    double a[RESTARTS_MAX + 2];
    if (is_event) event_tests_init(judging, m, &tests);
    for (size_t i = 0; i <= restarts->count; i++) {
        const int64_t *before = i ? restart_row(judging->evidence, i - 1) : NULL;
        double weight = restart_weight(i ? restarts->index[i - 1] : 0);
        a[i] = log(weight) +
               (is_event ? event_harm_since(judging, m, &tests, before) : value_harm_since(judging, m, before));
    }
    a[1 + restarts->count] = log(restart_rest(restarts->started));
    return log_sum_exp(a, restarts->count + 2);
}

/* ---- evidence to go on ---- */

static double event_go_on_log(const struct judging *judging, size_t m, double accept) {
    const struct layout *layout = &judging->evidence->layout;
    const int64_t *row = judging->evidence->go_on + layout->metrics[m].go_on;
    struct ratio_counts counts = {row[0], 1, {{layout->share[judging->step], row[1]}}};
    double ratio = ratio_go_on(&counts, accept), boundary = accept * judging->plan->metrics[m].accept_floor;
    if (!tests_rate(boundary)) return ratio;
    return event_go_on(ratio, rate_go_on(row[0], judging->evidence->go_on[0], boundary));
}

/* Every channel must go on: the least of them decides. */
static double value_go_on_log(const struct judging *judging, size_t m) {
    const struct layout *layout = &judging->evidence->layout;
    const struct layout_metric *metric = &layout->metrics[m];
    double least = INFINITY;
    for (size_t c = metric->channel; c < metric->channel + metric->channel_count; c++) {
        if (layout->channels[c].kind == CHANNEL_P99 && layout->share[judging->step] < VERDICT_TAIL_SHARE) continue;
        least = fmin(least, bets_log(judging->evidence->go_on + layout->go_on_bets + c * BETS, NULL));
    }
    return least;
}

static void judge_going_on(const struct judging *judging, size_t m, struct metric_verdict *ret) {
    const struct metric *metric = &judging->plan->metrics[m];
    double of_step = judging->plan->steps[judging->step].accept;
    bool is_event = metric->kind == METRIC_EVENT;
    ret->accept = is_event && of_step > 0 ? of_step : metric->accept;
    if (!layout_compares(&judging->evidence->layout, judging->step)) {
        ret->goes_on = true;
        return;
    }
    if (!judging->own_step) return;
    ret->go_on_log = is_event ? event_go_on_log(judging, m, ret->accept) : value_go_on_log(judging, m);
    ret->goes_on = ret->go_on_log >= log(1 / judging->plan->beta);
}

/* ---- figures ---- */

static struct arm_figures event_figures(const struct evidence *evidence, size_t m, unsigned arm) {
    int64_t units = evidence->seen[SEEN_UNITS + arm], events = evidence->seen[evidence->layout.metrics[m].seen + arm];
    return (struct arm_figures){units, events, units > 0 ? (double)events / (double)units : NAN, NAN, NAN, NAN};
}

static struct arm_figures score_figures(const struct evidence *evidence, size_t m, unsigned arm) {
    const int64_t *figures = evidence->seen + evidence->layout.metrics[m].seen + (size_t)2 * arm;
    double mean = figures[0] > 0 ? (double)figures[1] / BET_QUANTA / (double)figures[0] : NAN;
    return (struct arm_figures){figures[0], 0, mean, NAN, NAN, NAN};
}

static struct arm_figures size_figures(const struct judging *judging, size_t m, unsigned arm) {
    const struct evidence *evidence = judging->evidence;
    const struct sketch *sketch = &evidence->sizes[evidence->layout.metrics[m].sketch].arms[arm];
    struct arm_figures figures = {sketch->total, 0, NAN, NAN, NAN, NAN};
    if (judging->figures || judging->plan->judge == JUDGE_RATIO || judging->plan->metrics[m].limit > 0)
        figures.mean = sketch_mean(sketch);
    if (!judging->figures) return figures;
    figures.p50 = sketch_quantile(sketch, 0.5);
    figures.p95 = sketch_quantile(sketch, 0.95);
    figures.p99 = sketch_quantile(sketch, 0.99);
    return figures;
}

static struct arm_figures figures_of(const struct judging *judging, size_t m, unsigned arm) {
    switch (judging->plan->metrics[m].kind) {
    case METRIC_EVENT:
        return event_figures(judging->evidence, m, arm);
    case METRIC_SCORE:
        return score_figures(judging->evidence, m, arm);
    case METRIC_SIZE:
        break;
    }
    return size_figures(judging, m, arm);
}

/* Each arm's bounds hold with alpha / 2 to spare, so their difference holds with alpha. */
static struct interval difference(const struct metric_verdict *metric, double alpha) {
    double n = (double)metric->candidate.units, k = (double)metric->stable.units;
    struct interval c = mean_interval(metric->candidate.mean * n, metric->candidate.units, alpha / 2);
    struct interval s = mean_interval(metric->stable.mean * k, metric->stable.units, alpha / 2);
    return (struct interval){c.estimate - s.estimate, c.low - s.high, c.high - s.low};
}

static struct interval compare(const struct judging *judging, size_t m, const struct metric_verdict *metric) {
    struct ratio_counts counts;
    switch (judging->plan->metrics[m].kind) {
    case METRIC_EVENT:
        counts = harm_counts(judging, m, NULL);
        return ratio_interval(&counts, judging->plan->alpha);
    case METRIC_SCORE:
        return difference(metric, judging->plan->alpha);
    case METRIC_SIZE:
        break;
    }
    double stable = metric->stable.mean;
    return (struct interval){stable > 0 ? metric->candidate.mean / stable : NAN, NAN, NAN};
}

static bool is_past_limit(const struct metric *metric, const struct arm_figures *candidate) {
    if (!(metric->limit > 0) || candidate->units <= 0 || candidate->units < metric->limit_units) return false;
    bool more_is_worse = metric->kind != METRIC_SCORE || metric->lower_is_better;
    return more_is_worse ? candidate->mean > metric->limit : candidate->mean < metric->limit;
}

static void judge_metric(const struct judging *judging, size_t m, struct metric_verdict *ret) {
    const struct metric *metric = &judging->plan->metrics[m];
    *ret = (struct metric_verdict){.candidate = figures_of(judging, m, 1), .stable = figures_of(judging, m, 0)};
    ret->compared = judging->figures ? compare(judging, m, ret) : (struct interval){NAN, NAN, NAN};
    ret->past_limit = is_past_limit(metric, &ret->candidate);
    int64_t enough = metric->kind == METRIC_EVENT ? judging->evidence->harm[judging->evidence->layout.metrics[m].harm]
                                                  : ret->candidate.units;
    ret->has_minimum = enough >= VERDICT_EVENTS_MIN;
    ret->harm_log = harm_with_restarts(judging, m);
    judge_going_on(judging, m, ret);
}

/* ---- all metrics together ---- */

static void judge_split(const struct judging *judging, struct verdict *ret) {
    const struct layout *layout = &judging->evidence->layout;
    struct arm_counts stages[ROLLOUT_STEPS_MAX];
    for (size_t s = 0; s < layout->steps; s++) {
        const int64_t *first = judging->evidence->seen + seen_first(s, false);
        stages[s] = (struct arm_counts){layout->share[s], first[1], first[0]};
        if (!layout_compares(layout, s)) continue;
        ret->split_candidates = sum_add(ret->split_candidates, first[1]);
        ret->split_units = sum_add(ret->split_units, sum_add(first[0], first[1]));
        ret->split_expected += layout->share[s] * (double)(first[0] + first[1]);
    }
    ret->split_log = split_log(stages, layout->steps);
}

static void judge_harm(const struct judging *judging, struct verdict *ret) {
    double a[ROLLOUT_METRICS_MAX], weights = 0, most = -INFINITY;
    size_t count = 0;
    for (size_t m = 0; m < ret->metric_count; m++)
        weights += judging->plan->metrics[m].weight;
    for (size_t m = 0; m < ret->metric_count; m++) {
        if (!ret->metrics[m].has_minimum) continue;
        a[count] = log(judging->plan->metrics[m].weight / weights) + ret->metrics[m].harm_log;
        if (a[count] > most) {
            most = a[count];
            ret->metric = m;
        }
        count++;
    }
    ret->harm_log = log_sum_exp(a, count);
}

static bool find_limit(struct verdict *verdict) {
    for (size_t m = 0; m < verdict->metric_count; m++) {
        if (!verdict->metrics[m].past_limit) continue;
        verdict->metric = m;
        verdict->by_limit = true;
        return true;
    }
    return false;
}

static enum verdict_outcome decide_by_evidence(const struct judging *judging, const struct verdict *verdict) {
    if (verdict->split_log >= log(1 / judging->plan->alpha_srm)) return VERDICT_SPLIT;
    if (verdict->harm_log >= log(1 / judging->plan->alpha)) return VERDICT_HARM;
    if (verdict->step_units < judging->plan->steps[judging->step].min_units) return VERDICT_GOING_ON;
    for (size_t m = 0; m < verdict->metric_count; m++)
        if (!verdict->metrics[m].goes_on) return VERDICT_GOING_ON;
    return VERDICT_PASS;
}

/* ---- the plain rule ---- */

/* The plan's two numbers; a plan made by hand may leave them out. */
static enum plain_answer plain_answer_of(const struct rollout_plan *plan, size_t m,
                                         const struct metric_verdict *figures) {
    const struct metric *metric = &plan->metrics[m];
    double candidate = figures->candidate.mean, stable = figures->stable.mean;
    if (metric->kind == METRIC_SCORE && !metric->lower_is_better) {
        candidate = 1 - candidate;
        stable = 1 - stable;
    }
    if (!(plan->ratio.roll_back > 0)) return plain_rule(candidate, stable);
    if (isnan(candidate) || isnan(stable)) return PLAIN_WAIT;
    if (candidate > plan->ratio.roll_back * stable) return PLAIN_ROLL_BACK;
    return candidate <= plan->ratio.go_on * stable ? PLAIN_GO_ON : PLAIN_WAIT;
}

/* The rule has a minimum of its own; the step's is for going on, and stands in where a plan made by hand has none. */
static bool has_units_for_ratio(const struct judging *judging, const struct verdict *verdict) {
    int64_t of_step = judging->plan->steps[judging->step].min_units, of_rule = judging->plan->ratio.min_units;
    int64_t least = of_rule > 0 ? of_rule : of_step;
    return verdict->step_units >= (least > 0 ? least : 1);
}

static enum verdict_outcome decide_by_ratio(const struct judging *judging, struct verdict *verdict) {
    if (!has_units_for_ratio(judging, verdict)) return VERDICT_GOING_ON;
    if (!layout_compares(&judging->evidence->layout, judging->step)) return VERDICT_PASS;
    bool all_go_on = true;
    for (size_t m = 0; m < verdict->metric_count; m++) {
        enum plain_answer answer = plain_answer_of(judging->plan, m, &verdict->metrics[m]);
        all_go_on = all_go_on && answer == PLAIN_GO_ON;
        if (answer != PLAIN_ROLL_BACK) continue;
        verdict->metric = m;
        return VERDICT_HARM;
    }
    bool enough = verdict->step_units >= judging->plan->steps[judging->step].min_units;
    return all_go_on && enough ? VERDICT_PASS : VERDICT_GOING_ON;
}

static void judge(const struct rollout_plan *plan, const struct evidence *evidence, size_t step, bool figures,
                  struct verdict *ret) {
    struct judging judging = {plan, evidence, step, step == evidence->step, figures};
    *ret = (struct verdict){.metric_count = evidence->layout.metric_count};
    if (step >= evidence->layout.steps) return;
    ret->units = evidence->seen[SEEN_UNITS + 1];
    ret->step_units = judging.own_step ? evidence->go_on[0] : 0;
    for (size_t m = 0; m < ret->metric_count; m++)
        judge_metric(&judging, m, &ret->metrics[m]);
    judge_split(&judging, ret);
    judge_harm(&judging, ret);
    if (find_limit(ret))
        ret->outcome = VERDICT_HARM;
    else
        ret->outcome = plan->judge == JUDGE_RATIO ? decide_by_ratio(&judging, ret) : decide_by_evidence(&judging, ret);
}

void analysis_judge(const struct rollout_plan *plan, const struct evidence *evidence, size_t step,
                    struct verdict *ret) {
    judge(plan, evidence, step, true, ret);
}

void analysis_judge_quick(const struct rollout_plan *plan, const struct evidence *evidence, size_t step,
                          struct verdict *ret) {
    judge(plan, evidence, step, false, ret);
}
