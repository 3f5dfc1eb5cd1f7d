/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout's plan from its JSON. Everything wrong is told at once, each fault with its pointer; what is not said has a default of
 * the analysis (its section 6). Weights are brought to the sum 1, so that evidence means the same whatever scale they were written in; weights that sum to it
 * already stay as they are to the last bit, which makes reading what was written give the same plan.
 *
 * The ratio that a step must refute (`accept`) grows stricter with the share, because a strict margin cannot be proven by the few units of a small
 * one. When a metric names its own, that holds at every step that does not say otherwise.
 */
#include "model/model_impl.h"
#include "model/names.h"
#include "model/rollout.h"

#include <math.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define DAY (86400 * SECOND)
#define UNITS_MAX INT64_C(1000000000000)
#define RATIO_MAX 100.0
#define TEXT_MAX 4096
#define URL_MAX 1024
#define SCORE_PREFIX "score."

/* An object whose members are read. */
struct from {
    struct members members;
    struct arena *arena;
    bool no_memory;
};

#define FAULT(from, name, ...) MEMBER_FAULT(&(from)->members, name, __VA_ARGS__)

static struct from inside(const struct from *from, const struct place *place, const json_t *object) {
    return (struct from){.members = {object, *place, from->members.faults}, .arena = from->arena};
}

static bool take_count(const struct from *from, const char *name, int64_t least, int64_t *value) {
    return member_count(&from->members, name, least, UNITS_MAX, value);
}

static bool take_duration(const struct from *from, const char *name, int64_t *value) {
    return member_duration(&from->members, name, 0, value);
}

static const char *keep(struct from *from, const char *text) {
    const char *copy = arena_strdup(from->arena, text);
    from->no_memory |= !copy;
    return copy;
}

/* ---- steps ---- */

/* Thousandths of a percent, when the number is exactly one with three decimals. */
static bool share_of(const json_t *value, int32_t *ret) {
    double percent = json_number_value(value), thousandths = nearbyint(percent * 1000);
    if (!json_is_number(value) || !(percent > 0 && percent <= 100) || thousandths / 1000 != percent) return false;
    *ret = (int32_t)thousandths;
    return *ret > 0;
}

static double accept_at(int32_t share) {
    if (share < 5000) return 2.0;
    return share < 50000 ? 1.5 : 1.25;
}

static void read_step(const struct from *from, int32_t share_before, struct rollout_step *step) {
    static const char *const known[] = {"share", "min_time", "max_time", "min_units", "accept", "approval", NULL};
    *step = (struct rollout_step){.min_time = 10 * MINUTE, .max_time = DAY, .min_units = 100};
    if (!members_is_object(&from->members)) return;
    members_only(&from->members, known);
    const json_t *share = json_get(from->members.object, "share");
    if (!share)
        FAULT(from, "share", "is missing: the candidate's share at this step, in percent");
    else if (!share_of(share, &step->share))
        FAULT(from, "share", "must be a percentage over 0, up to 100, with at most three decimals");
    else if (step->share <= share_before)
        FAULT(from, "share", "must be more than the %g of the step before: shares only rise", share_before / 1000.0);
    take_count(from, "min_units", 0, &step->min_units);
    member_number(&from->members, "accept", 1, RATIO_MAX, &step->accept);
    member_bool(&from->members, "approval", &step->approval);
    bool least = take_duration(from, "min_time", &step->min_time);
    if (!take_duration(from, "max_time", &step->max_time) && step->max_time < step->min_time)
        step->max_time = step->min_time;
    if (step->max_time < step->min_time || step->max_time == 0)
        FAULT(from, json_get(from->members.object, "max_time") || !least ? "max_time" : "min_time",
              "max_time must be over 0 and at least min_time");
}

static void read_steps(const struct from *from, struct rollout_plan *plan) {
    const json_t *steps = json_get(from->members.object, "steps");
    if (!steps) {
        FAULT(from, "steps", "is missing: one to %d steps, each with a share", ROLLOUT_STEPS_MAX);
        return;
    }
    size_t count = json_array_size(steps);
    if (count < 1 || count > ROLLOUT_STEPS_MAX) {
        FAULT(from, "steps", "must be a list of 1 to %d steps", ROLLOUT_STEPS_MAX);
        return;
    }
    struct place list = {.parent = &from->members.place, .key = "steps"};
    int32_t before = 0;
    for (size_t i = 0; i < count; i++) {
        struct place place = {.parent = &list, .index = i};
        struct from item = inside(from, &place, json_array_get(steps, i));
        read_step(&item, before, &plan->steps[i]);
        if (plan->steps[i].share > before) before = plan->steps[i].share;
    }
    plan->step_count = count;
}

/* ---- metrics ---- */

static const struct metric known_metrics[] = {
    {.name = "error", .kind = METRIC_EVENT, .weight = 0.4},
    {.name = "tool_errors", .kind = METRIC_EVENT, .weight = 0.2},
    {.name = "feedback", .kind = METRIC_EVENT, .weight = 0.2},
    {.name = "latency", .kind = METRIC_SIZE, .weight = 0.2},
    {.name = "cost", .kind = METRIC_SIZE, .weight = 0.2},
    {.name = "tokens", .kind = METRIC_SIZE, .weight = 0.2},
};

static bool score_name_valid(const char *name) {
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return len >= 1 && len <= 63 && !name[len];
}

/* The metric of that name with its defaults. */
static bool metric_begin(struct from *from, const char *name, struct metric *ret) {
    *ret = (struct metric){.kind = METRIC_SCORE, .weight = 0.2};
    bool found =
        !strncmp(name, SCORE_PREFIX, sizeof(SCORE_PREFIX) - 1) && score_name_valid(name + sizeof(SCORE_PREFIX) - 1);
    for (size_t i = 0; i < ARRAY_LEN(known_metrics) && !found; i++) {
        found = !strcmp(known_metrics[i].name, name);
        if (found) *ret = known_metrics[i];
    }
    if (!found) return false;
    ret->name = keep(from, name);
    ret->lower_is_better = ret->kind != METRIC_SCORE;
    ret->harm = ret->kind == METRIC_SCORE ? 0.01 : 1.1;
    ret->accept = ret->kind == METRIC_SCORE ? 0.05 : 1.5;
    if (ret->kind == METRIC_EVENT) {
        ret->harm_floor = 0.001;
        ret->accept_floor = 0.005;
    }
    return true;
}

static void unknown_metric(const struct from *from, const struct place *place, const char *name) {
    char shown[SHOW_SIZE];
    struct suggestion suggestion = SUGGESTION_INIT(name);
    for (size_t i = 0; i < ARRAY_LEN(known_metrics); i++)
        suggestion_try(&suggestion, known_metrics[i].name);
    (void)place_fault(from->members.faults, place,
                      "unknown metric \"%s\"%s%s%s: error, latency, cost, tokens, tool_errors, feedback, or score.NAME",
                      show_text(name, shown), suggestion.best ? "; did you mean \"" : "",
                      suggestion.best ? suggestion.best : "", suggestion.best ? "\"?" : "");
}

static void check_margins(const struct from *from, const struct metric *metric) {
    if (!(metric->accept > metric->harm))
        FAULT(from, json_get(from->members.object, "accept") ? "accept" : "harm",
              "the margins are the wrong way round: accept (%g) must be more than harm (%g)", metric->accept,
              metric->harm);
    if (metric->kind != METRIC_EVENT) return;
    if (metric->harm * metric->harm_floor >= 1 || metric->accept * metric->accept_floor >= 1)
        FAULT(from, json_get(from->members.object, "harm_floor") ? "harm_floor" : "accept_floor",
              "a floor times its margin must stay under 1: it is a rate");
}

static void read_metric_members(const struct from *from, struct metric *metric, bool *event_accept) {
    static const char *const events[] = {"name", "weight", "harm", "accept", "harm_floor", "accept_floor", NULL},
                             *const scores[] = {"name", "weight", "harm", "accept", "lower_is_better", NULL},
                             *const sizes[] = {"name", "weight", "harm", "accept", NULL};
    members_only(&from->members, metric->kind == METRIC_EVENT ? events : metric->kind == METRIC_SCORE ? scores : sizes);
    double least = metric->kind == METRIC_SCORE ? 0 : 1, most = metric->kind == METRIC_SCORE ? 1 : RATIO_MAX;
    member_number(&from->members, "weight", 0, 1000, &metric->weight);
    member_number(&from->members, "harm", least, most, &metric->harm);
    bool accept = member_number(&from->members, "accept", least, most, &metric->accept);
    if (metric->kind == METRIC_EVENT) {
        *event_accept |= accept;
        member_number(&from->members, "harm_floor", 1e-9, 0.5, &metric->harm_floor);
        member_number(&from->members, "accept_floor", 1e-9, 0.5, &metric->accept_floor);
    }
    if (metric->kind == METRIC_SCORE) member_bool(&from->members, "lower_is_better", &metric->lower_is_better);
    check_margins(from, metric);
}

static bool metric_named(const struct rollout_plan *plan, const char *name, size_t *ret) {
    for (size_t i = 0; i < plan->metric_count; i++) {
        if (strcmp(plan->metrics[i].name, name)) continue;
        *ret = i;
        return true;
    }
    return false;
}

/* A name, or an object with the name. */
static void read_metric(struct from *from, struct rollout_plan *plan, bool *event_accept) {
    struct place at = {.parent = &from->members.place, .key = "name"};
    const struct place *place = json_is_object(from->members.object) ? &at : &from->members.place;
    const json_t *named =
        json_is_object(from->members.object) ? json_get(from->members.object, "name") : from->members.object;
    const char *name = json_string_value(named);
    struct metric *metric = &plan->metrics[plan->metric_count];
    size_t other;
    if (!name) {
        (void)place_fault(from->members.faults, place, "must be the name of a metric, or an object with its `name`");
        return;
    }
    if (!metric_begin(from, name, metric)) {
        if (!from->no_memory) unknown_metric(from, place, name);
        return;
    }
    if (from->no_memory) return;
    if (metric_named(plan, name, &other)) {
        (void)place_fault(from->members.faults, place, "the metric %s stands in the list already", name);
        return;
    }
    if (json_is_object(from->members.object)) read_metric_members(from, metric, event_accept);
    plan->metric_count++;
}

static void default_metrics(struct from *from, struct rollout_plan *plan) {
    static const char *const names[] = {"error", "latency", "cost"};
    for (size_t i = 0; i < ARRAY_LEN(names) && !from->no_memory; i++)
        if (metric_begin(from, names[i], &plan->metrics[plan->metric_count])) plan->metric_count++;
}

static void settle_weights(const struct from *from, struct rollout_plan *plan) {
    double sum = 0;
    for (size_t i = 0; i < plan->metric_count; i++)
        sum += plan->metrics[i].weight;
    if (plan->metric_count && sum <= 0) FAULT(from, "metrics", "at least one metric needs a weight over 0");
    if (sum <= 0 || fabs(sum - 1) < 1e-12) return;
    for (size_t i = 0; i < plan->metric_count; i++)
        plan->metrics[i].weight /= sum;
}

static void read_metrics(struct from *from, struct rollout_plan *plan, bool *event_accept) {
    const json_t *metrics = json_get(from->members.object, "metrics");
    if (!metrics) {
        default_metrics(from, plan);
    } else if (json_array_size(metrics) < 1 || json_array_size(metrics) > ROLLOUT_METRICS_MAX) {
        FAULT(from, "metrics", "must be a list of 1 to %d metrics", ROLLOUT_METRICS_MAX);
        return;
    }
    struct place list = {.parent = &from->members.place, .key = "metrics"};
    for (size_t i = 0; i < json_array_size(metrics) && !from->no_memory; i++) {
        struct place place = {.parent = &list, .index = i};
        struct from item = inside(from, &place, json_array_get(metrics, i));
        read_metric(&item, plan, event_accept);
        from->no_memory |= item.no_memory;
    }
    if (!from->no_memory) settle_weights(from, plan);
}

static void read_analysis(struct from *top, struct rollout_plan *plan, bool *event_accept) {
    static const char *const known[] = {"alpha", "beta", "alpha_srm", "settle", "watermark", "metrics", NULL};
    struct place place = {.parent = &top->members.place, .key = "analysis"};
    struct from from = inside(top, &place, json_get(top->members.object, "analysis"));
    if (from.members.object && members_is_object(&from.members)) {
        members_only(&from.members, known);
        member_number(&from.members, "alpha", 1e-9, 0.5, &plan->alpha);
        member_number(&from.members, "beta", 1e-9, 0.5, &plan->beta);
        member_number(&from.members, "alpha_srm", 1e-9, 0.5, &plan->alpha_srm);
        take_duration(&from, "settle", &plan->settle);
        take_duration(&from, "watermark", &plan->watermark);
    }
    read_metrics(&from, plan, event_accept);
    top->no_memory |= from.no_memory;
}

/* ---- limits and the plain rule ---- */

static void read_limit(const struct from *from, struct metric *metric) {
    static const char *const known[] = {"past", "units", NULL};
    if (!members_is_object(&from->members)) return;
    members_only(&from->members, known);
    metric->limit_units = 50;
    if (!json_get(from->members.object, "past")) FAULT(from, "past", "is missing: the rate or mean that is too bad");
    member_number(&from->members, "past", 1e-9, metric->kind == METRIC_SIZE ? 1e15 : 1, &metric->limit);
    take_count(from, "units", 1, &metric->limit_units);
}

static void read_limits(const struct from *top, struct rollout_plan *plan) {
    const char *name;
    json_t *value;
    struct place place = {.parent = &top->members.place, .key = "limits"};
    struct from from = inside(top, &place, json_get(top->members.object, "limits"));
    if (!from.members.object || !members_is_object(&from.members)) return;
    json_object_foreach((json_t *)from.members.object, name, value) {
        struct place at = {.parent = &place, .key = name};
        struct from item = inside(top, &at, value);
        size_t index;
        if (metric_named(plan, name, &index))
            read_limit(&item, &plan->metrics[index]);
        else
            (void)place_fault(top->members.faults, &at, "is none of the plan's metrics");
    }
}

static void read_ratio(const struct from *top, struct rollout_plan *plan) {
    static const char *const known[] = {"roll_back", "go_on", "min_units", NULL};
    struct place place = {.parent = &top->members.place, .key = "ratio"};
    struct from from = inside(top, &place, json_get(top->members.object, "ratio"));
    if (!from.members.object || !members_is_object(&from.members)) return;
    members_only(&from.members, known);
    if (plan->judge != JUDGE_RATIO)
        (void)place_fault(top->members.faults, &place, "goes with \"judge\": \"ratio\" only");
    member_number(&from.members, "roll_back", 1, RATIO_MAX, &plan->ratio.roll_back);
    member_number(&from.members, "go_on", 0, RATIO_MAX, &plan->ratio.go_on);
    take_count(&from, "min_units", 1, &plan->ratio.min_units);
    if (plan->ratio.go_on > plan->ratio.roll_back)
        FAULT(&from, "go_on", "the margins are the wrong way round: go_on (%g) must not be more than roll_back (%g)",
              plan->ratio.go_on, plan->ratio.roll_back);
}

/* ---- guards ---- */

static const char *const compare_names[] = {
    [GUARD_GT] = ">", [GUARD_GE] = ">=", [GUARD_LT] = "<", [GUARD_LE] = "<=", [GUARD_EQ] = "==", [GUARD_NE] = "!=",
};

/* "> 0.05". The number is read as JSON reads it, so that no locale and no "inf" comes in. */
static void read_condition(struct from *from, const char *text, struct guard *guard) {
    size_t len = strspn(text, "<>=!"), i = 0;
    _cleanup_(json_decrefp) json_t *number = NULL;
    while (i < ARRAY_LEN(compare_names) && (strlen(compare_names[i]) != len || memcmp(compare_names[i], text, len)))
        i++;
    int r = json_parse(text + len, strlen(text + len), 1, &number, NULL);
    from->no_memory |= r == -ERR_NO_MEMORY;
    if (i == ARRAY_LEN(compare_names) || r < 0 || !json_is_number(number)) {
        FAULT(from, "condition", "must be > >= < <= == or != and a number: \"> 0.05\"");
        return;
    }
    guard->compare = (enum guard_compare)i;
    guard->threshold = json_number_value(number);
}

static const char *take_text(struct from *from, const char *name, size_t most) {
    const json_t *found = json_get(from->members.object, name);
    size_t len = json_string_length(found);
    if (json_is_string(found) && len >= 1 && len <= most) return keep(from, json_string_value(found));
    FAULT(from, name, found ? "must be text of 1 to %zu bytes" : "is missing: text of 1 to %zu bytes", most);
    return NULL;
}

static bool is_web_address(const char *url) {
    size_t len = !strncmp(url, "https://", 8) ? 8 : !strncmp(url, "http://", 7) ? 7 : 0;
    if (!len || !url[len] || url[len] == '/') return false;
    for (; *url; url++)
        if ((unsigned char)*url <= ' ' || *url == 0x7F) return false;
    return true;
}

static void read_guard(struct from *from, struct guard *guard) {
    static const char *const known[] = {"name", "url", "query", "condition", "for", "action", NULL};
    *guard = (struct guard){.action = REACTION_HOLD};
    if (!members_is_object(&from->members)) return;
    members_only(&from->members, known);
    guard->name = take_text(from, "name", 63);
    guard->url = take_text(from, "url", URL_MAX);
    guard->query = take_text(from, "query", TEXT_MAX);
    const char *condition = take_text(from, "condition", 64);
    if (guard->name && !name_valid(slice_of(guard->name)))
        FAULT(from, "name", "must be a-z, 0-9 and hyphens, not at an end");
    if (guard->url && !is_web_address(guard->url)) FAULT(from, "url", "must begin with https:// or http:// and a host");
    if (condition) read_condition(from, condition, guard);
    take_duration(from, "for", &guard->lasting);
    guard->action = (enum rollout_reaction)member_word(&from->members, "action", "roll_back", "hold", REACTION_HOLD);
}

static void read_guards(struct from *top, struct rollout_plan *plan) {
    const json_t *guards = json_get(top->members.object, "guards");
    if (!guards) return;
    size_t count = json_array_size(guards);
    if (!json_is_array(guards) || count > ROLLOUT_GUARDS_MAX) {
        FAULT(top, "guards", "must be a list of at most %d guards", ROLLOUT_GUARDS_MAX);
        return;
    }
    struct place list = {.parent = &top->members.place, .key = "guards"};
    for (size_t i = 0; i < count; i++) {
        struct place place = {.parent = &list, .index = i};
        struct from item = inside(top, &place, json_array_get(guards, i));
        read_guard(&item, &plan->guards[i]);
        for (size_t j = 0; j < i; j++)
            if (plan->guards[i].name && plan->guards[j].name && !strcmp(plan->guards[i].name, plan->guards[j].name))
                FAULT(&item, "name", "the guard %s stands in the list already", plan->guards[i].name);
        top->no_memory |= item.no_memory;
    }
    plan->guard_count = count;
}

/* ---- the whole ---- */

/* Each step's ratio to refute, and whether it leaves room over what is acceptable. */
static void settle_accept(const struct from *top, struct rollout_plan *plan, bool event_accept) {
    struct place list = {.parent = &top->members.place, .key = "steps"};
    for (size_t i = 0; i < plan->step_count; i++) {
        struct rollout_step *step = &plan->steps[i];
        struct place place = {.parent = &list, .index = i}, at = {.parent = &place, .key = "accept"};
        if (step->accept == 0 && !event_accept) step->accept = accept_at(step->share);
        for (size_t m = 0; m < plan->metric_count && step->accept != 0; m++) {
            if (plan->metrics[m].kind != METRIC_EVENT || plan->metrics[m].harm < step->accept) continue;
            (void)place_fault(top->members.faults, &at, "must be more than the margin `harm` of %s: %g is not over %g",
                              plan->metrics[m].name, step->accept, plan->metrics[m].harm);
        }
    }
}

int rollout_plan_parse(const json_t *json, const char *at, bool asks, struct arena *arena, struct rollout_plan *ret,
                       struct faults *faults, struct err *err) {
    static const char *const known[] = {"steps",   "analysis", "limits",        "judge",  "ratio",
                                        "on_harm", "on_end",   "no_data_after", "guards", NULL};
    struct from top = {.members = {json, {.key = at}, faults}, .arena = arena};
    bool event_accept = false;
    *ret = (struct rollout_plan){
        .ratio = {1.5, 1.1, 100},
        .no_data_after = 10 * MINUTE,
        .alpha = 0.05,
        .beta = 0.05,
        .alpha_srm = 0.001,
        .settle = 60 * SECOND,
    };
    if (!members_is_object(&top.members)) return faults->failed ? err_no_memory(err) : 0;
    members_only(&top.members, known);
    ret->judge = (enum rollout_judge)member_word(&top.members, "judge", "evidence", "ratio", JUDGE_EVIDENCE);
    ret->on_harm = (enum rollout_reaction)member_word(&top.members, "on_harm", "roll_back", "hold", REACTION_ROLL_BACK);
    ret->on_end = (enum rollout_end)member_word(&top.members, "on_end", "promote", "ask", asks ? END_ASK : END_PROMOTE);
    take_duration(&top, "no_data_after", &ret->no_data_after);
    read_steps(&top, ret);
    read_analysis(&top, ret, &event_accept);
    if (!top.no_memory) {
        read_limits(&top, ret);
        read_ratio(&top, ret);
        read_guards(&top, ret);
        settle_accept(&top, ret, event_accept);
    }
    return top.no_memory || faults->failed ? err_no_memory(err) : 0;
}

static int merge_into(json_t *merged, const json_t *wish, struct err *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)wish, key, value) {
        json_t *below = json_get(merged, key);
        int r = 0;
        if (!strcmp(key, "analysis") && json_is_object(value) && json_is_object(below))
            r = json_object_update(below, value);
        else
            r = json_object_set(merged, key, value);
        if (r < 0) return err_no_memory(err);
    }
    return 0;
}

int rollout_plan_merge(const json_t *template, const json_t *wish, json_t **ret, struct err *err) {
    json_t *merged = template ? json_deep_copy(template) : json_object();
    if (!merged) return err_no_memory(err);
    int r = wish ? merge_into(merged, wish, err) : 0;
    if (r < 0)
        json_decref(merged);
    else
        *ret = merged;
    return r;
}
