/* SPDX-License-Identifier: Apache-2.0 */
/* A rollout's plan as canonical JSON: members in order of name (RFC 8785), numbers in their shortest form. */
#include "base/jw.h"
#include "model/rollout.h"

static void write_duration(struct jw *jw, const char *key, int64_t duration) {
    char text[DURATION_TEXT_SIZE];
    duration_text(duration, text);
    jw_text(jw, key, text);
}

static void write_metric(struct jw *jw, const struct metric *metric) {
    jw_object(jw, NULL);
    jw_double(jw, "accept", metric->accept);
    if (metric->kind == METRIC_EVENT) jw_double(jw, "accept_floor", metric->accept_floor);
    jw_double(jw, "harm", metric->harm);
    if (metric->kind == METRIC_EVENT) jw_double(jw, "harm_floor", metric->harm_floor);
    if (metric->kind == METRIC_SCORE) jw_bool(jw, "lower_is_better", metric->lower_is_better);
    jw_text(jw, "name", metric->name);
    jw_double(jw, "weight", metric->weight);
    jw_end_object(jw);
}

static void write_analysis(struct jw *jw, const struct rollout_plan *plan) {
    jw_object(jw, "analysis");
    jw_double(jw, "alpha", plan->alpha);
    jw_double(jw, "alpha_srm", plan->alpha_srm);
    jw_double(jw, "beta", plan->beta);
    jw_array(jw, "metrics");
    for (size_t i = 0; i < plan->metric_count; i++)
        write_metric(jw, &plan->metrics[i]);
    jw_end_array(jw);
    write_duration(jw, "settle", plan->settle);
    write_duration(jw, "watermark", plan->watermark);
    jw_end_object(jw);
}

static void write_guard(struct jw *jw, const struct guard *guard) {
    static const char *const compares[] = {
        [GUARD_GT] = ">", [GUARD_GE] = ">=", [GUARD_LT] = "<", [GUARD_LE] = "<=", [GUARD_EQ] = "==", [GUARD_NE] = "!=",
    };
    _cleanup_(str_deinit) struct str condition = STR_INIT;
    str_printf(&condition, "%s ", compares[guard->compare]);
    json_add_double(&condition, guard->threshold);
    if (condition.failed) jw->out->failed = true;

    jw_object(jw, NULL);
    jw_text(jw, "action", guard->action == REACTION_HOLD ? "hold" : "roll_back");
    jw_text(jw, "condition", condition.data);
    write_duration(jw, "for", guard->lasting);
    jw_text(jw, "name", guard->name);
    jw_text(jw, "query", guard->query);
    jw_text(jw, "url", guard->url);
    jw_end_object(jw);
}

/* The member names of `limits` are the metrics', whose order in the plan is free. */
static const struct metric *next_limit(const struct rollout_plan *plan, const char *after) {
    const struct metric *next = NULL;
    for (size_t i = 0; i < plan->metric_count; i++) {
        const struct metric *metric = &plan->metrics[i];
        if (metric->limit == 0 || strcmp(metric->name, after) <= 0) continue;
        if (!next || strcmp(metric->name, next->name) < 0) next = metric;
    }
    return next;
}

static void write_limits(struct jw *jw, const struct rollout_plan *plan) {
    jw_object(jw, "limits");
    for (const struct metric *metric = next_limit(plan, ""); metric; metric = next_limit(plan, metric->name)) {
        jw_object(jw, metric->name);
        jw_double(jw, "past", metric->limit);
        jw_int(jw, "units", metric->limit_units);
        jw_end_object(jw);
    }
    jw_end_object(jw);
}

static void write_step(struct jw *jw, const struct rollout_step *step) {
    jw_object(jw, NULL);
    if (step->accept != 0) jw_double(jw, "accept", step->accept);
    if (step->approval) jw_bool(jw, "approval", true);
    write_duration(jw, "max_time", step->max_time);
    write_duration(jw, "min_time", step->min_time);
    jw_int(jw, "min_units", step->min_units);
    jw_double(jw, "share", step->share / 1000.0);
    jw_end_object(jw);
}

void rollout_plan_write(const struct rollout_plan *plan, struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    write_analysis(&jw, plan);
    jw_array(&jw, "guards");
    for (size_t i = 0; i < plan->guard_count; i++)
        write_guard(&jw, &plan->guards[i]);
    jw_end_array(&jw);
    jw_text(&jw, "judge", plan->judge == JUDGE_RATIO ? "ratio" : "evidence");
    write_limits(&jw, plan);
    write_duration(&jw, "no_data_after", plan->no_data_after);
    jw_text(&jw, "on_end", plan->on_end == END_ASK ? "ask" : "promote");
    jw_text(&jw, "on_harm", plan->on_harm == REACTION_HOLD ? "hold" : "roll_back");
    if (plan->judge == JUDGE_RATIO) {
        jw_object(&jw, "ratio");
        jw_double(&jw, "go_on", plan->ratio.go_on);
        jw_int(&jw, "min_units", plan->ratio.min_units);
        jw_double(&jw, "roll_back", plan->ratio.roll_back);
        jw_end_object(&jw);
    }
    jw_array(&jw, "steps");
    for (size_t i = 0; i < plan->step_count; i++)
        write_step(&jw, &plan->steps[i]);
    jw_end_array(&jw);
    jw_end_object(&jw);
}
