/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/world.h"

#include "model/members.h"

#include <math.h>
#include <string.h>

#define HORIZON_MAX INT64_C(1000000000)
#define RATE_MAX 1e6
#define SECOND INT64_C(1000000)
#define KNOWN_MAX 16 /* of an object with metrics */

/* An object at a place of the document. */
struct from {
    struct members members;
    struct world *world;
};

#define FAULT(from, name, ...) MEMBER_FAULT(&(from)->members, name, __VA_ARGS__)
#define FAULT_ITSELF(from, ...) ((void)place_fault((from)->members.faults, &(from)->members.place, __VA_ARGS__))

/* Absent: as if it were empty. */
static struct from inside(const struct from *from, const char *key) {
    struct place place = {.parent = &from->members.place, .key = key};
    struct from ret = {{json_get(from->members.object, key), place, from->members.faults}, from->world};
    if (ret.members.object && !members_is_object(&ret.members)) ret.members.object = NULL;
    return ret;
}

/* The members in `known`, and the plan's metrics. */
static void only_with_metrics(const struct from *from, const char *const *known) {
    const char *all[KNOWN_MAX + ROLLOUT_METRICS_MAX + 1];
    size_t count = 0;
    while (known[count] && count < KNOWN_MAX) {
        all[count] = known[count];
        count++;
    }
    for (size_t m = 0; m < from->world->plan.metric_count; m++)
        all[count++] = from->world->plan.metrics[m].name;
    all[count] = NULL;
    members_only(&from->members, all);
}

/* 0 or 1, for what may also be left as it is. */
static void take_switch(const struct from *from, const char *key, double *value) {
    bool on;
    if (member_bool(&from->members, key, &on)) *value = on;
}

/* ---- arms ---- */

#define ARM_FIELDS "lost", "unscored", "errors_unscored", "silent"

static void read_measure(const struct from *from, const struct metric *metric, struct measure *measure) {
    static const char *const size[] = {"median", "sigma", NULL}, *const score[] = {"mean", "sd", NULL};
    if (metric->kind == METRIC_EVENT) {
        member_number(&from->members, metric->name, 0, 1, &measure->at);
        return;
    }
    bool is_score = metric->kind == METRIC_SCORE;
    struct from own = inside(from, metric->name);
    members_only(&own.members, is_score ? score : size);
    member_number(&own.members, is_score ? "mean" : "median", is_score ? 0 : 1e-6, is_score ? 1 : 1e9, &measure->at);
    member_number(&own.members, is_score ? "sd" : "sigma", 0, 10, &measure->spread);
}

static void read_arm(const struct from *from, struct arm_world *arm) {
    for (size_t m = 0; m < from->world->plan.metric_count; m++)
        read_measure(from, &from->world->plan.metrics[m], &arm->measures[m]);
    member_number(&from->members, "lost", 0, 1, &arm->lost);
    member_number(&from->members, "unscored", 0, 1, &arm->unscored);
    take_switch(from, "errors_unscored", &arm->errors_unscored);
    take_switch(from, "silent", &arm->silent);
}

static void read_arms(const struct from *top) {
    static const char *const known[] = {ARM_FIELDS, NULL};
    struct from stable = inside(top, "stable"), candidate = inside(top, "candidate");
    struct arm_world *arms = top->world->arms;
    for (size_t m = 0; m < top->world->plan.metric_count; m++) {
        enum metric_kind kind = top->world->plan.metrics[m].kind;
        arms[0].measures[m] = kind == METRIC_EVENT   ? (struct measure){0.02, 0}
                              : kind == METRIC_SCORE ? (struct measure){0.8, 0.15}
                                                     : (struct measure){1, 0.8};
    }
    only_with_metrics(&stable, known);
    only_with_metrics(&candidate, known);
    read_arm(&stable, &arms[0]);
    arms[1] = arms[0];
    read_arm(&candidate, &arms[1]);
}

/* ---- changes ---- */

static void read_when(const struct from *from, struct change *change) {
    int64_t step = 0;
    int said = json_get(from->members.object, "step") != NULL;
    said += json_get(from->members.object, "units") != NULL;
    said += json_get(from->members.object, "time") != NULL;
    if (said != 1) FAULT_ITSELF(from, "must say when: one of step, units and time");
    if (member_count(&from->members, "step", 1, (int64_t)from->world->plan.step_count, &step))
        *change = (struct change){.on = CHANGE_AT_STEP, .when = step - 1};
    if (member_count(&from->members, "units", 0, HORIZON_MAX, &change->when)) change->on = CHANGE_AT_UNITS;
    if (member_duration(&from->members, "time", 0, &change->when)) change->on = CHANGE_AT_TIME;
}

static void read_change(const struct from *from, struct change *change) {
    static const char *const known[] = {"step", "units", "time", "arm", ARM_FIELDS, NULL};
    static const char *const arms[] = {"stable", "candidate", "both"};
    const char *arm = json_get_text(from->members.object, "arm");
    only_with_metrics(from, known);
    read_when(from, change);
    for (unsigned i = 0; arm && i < ARRAY_LEN(arms); i++)
        if (strcmp(arm, arms[i]) == 0) change->arms = i + 1;
    if (!change->arms) FAULT(from, "arm", "must be \"both\", \"stable\" or \"candidate\"");
    for (size_t m = 0; m < ROLLOUT_METRICS_MAX; m++)
        change->to.measures[m] = (struct measure){NAN, NAN};
    change->to.lost = change->to.unscored = change->to.errors_unscored = change->to.silent = NAN;
    read_arm(from, &change->to);
}

static void read_changes(const struct from *top) {
    const json_t *list = json_get(top->members.object, "changes");
    if (!list) return;
    if (!json_is_array(list) || json_array_size(list) > WORLD_CHANGES_MAX) {
        FAULT(top, "changes", "must be a list of at most %d changes", WORLD_CHANGES_MAX);
        return;
    }
    struct place place = {.parent = &top->members.place, .key = "changes"};
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct place at = {.parent = &place, .index = i};
        struct from from = {{json_array_get(list, i), at, top->members.faults}, top->world};
        if (members_is_object(&from.members)) read_change(&from, &top->world->changes[top->world->change_count++]);
    }
}

/* ---- the whole ---- */

/* A built-in template's content is in order: tests read all of them. */
static int read_plan(const struct from *top, struct arena *arena, struct err *err) {
    const json_t *wish = json_get(top->members.object, "plan");
    const char *name = json_get_text(top->members.object, "template");
    _cleanup_(json_decrefp) json_t *content = NULL;
    _cleanup_(json_decrefp) json_t *merged = NULL;
    size_t count, i = 0;
    const struct rollout_template *templates = rollout_templates(&count);
    if (!name && !wish) name = ROLLOUT_TEMPLATE_DEFAULT;
    while (name && i < count && strcmp(templates[i].name, name) != 0)
        i++;
    if (name && i == count) {
        FAULT(top, "template", "there is no template of that name built in");
        return 0;
    }
    int r = name ? json_parse(templates[i].content, strlen(templates[i].content), JSON_DEPTH_MAX, &content, err) : 0;
    if (r == 0) r = rollout_plan_merge(content, json_is_object(wish) ? wish : NULL, &merged, err);
    return r < 0 ? r : rollout_plan_parse(merged, "/plan", false, arena, &top->world->plan, top->members.faults, err);
}

static void read_requests(const struct from *top) {
    static const char *const known[] = {"per_second", "candidates_per_look", NULL};
    struct from from = inside(top, "requests");
    members_only(&from.members, known);
    bool fixed = member_number(&from.members, "candidates_per_look", 0.001, 1e5, &top->world->candidates_per_look);
    bool said = member_number(&from.members, "per_second", 1e-6, RATE_MAX, &top->world->per_second);
    if (fixed && said) FAULT_ITSELF(&from, "must say one of per_second and candidates_per_look");
    if (fixed) top->world->per_second = 0;
}

static void read_users(const struct from *top) {
    static const char *const known[] = {"share", "error", NULL};
    struct from from = inside(top, "prone");
    member_count(&top->members, "users", 0, WORLD_USERS_MAX, &top->world->users);
    members_only(&from.members, known);
    member_number(&from.members, "share", 0, 1, &top->world->prone_share);
    member_number(&from.members, "error", 0, 1, &top->world->prone_error);
    if (from.members.object && !top->world->users)
        FAULT_ITSELF(&from, "goes with `users` only: who comes once has no habits");
}

static void read_bursts(const struct from *top) {
    static const char *const known[] = {"chance", "error", NULL};
    struct from from = inside(top, "bursts");
    members_only(&from.members, known);
    member_number(&from.members, "chance", 0, 1, &top->world->burst_chance);
    member_number(&from.members, "error", 0, 1, &top->world->burst_error);
}

static int read_texts(const struct from *top, struct arena *arena, struct err *err) {
    const char *name = json_get_text(top->members.object, "name"),
               *description = json_get_text(top->members.object, "description");
    top->world->name = arena_strdup(arena, name ? name : "a world");
    top->world->description = arena_strdup(arena, description ? description : "");
    return top->world->name && top->world->description ? 0 : err_no_memory(err);
}

int world_parse(const json_t *json, struct arena *arena, struct world *ret, struct faults *faults, struct err *err) {
    static const char *const known[] = {"name",   "description", "plan",    "template",  "requests",
                                        "look",   "users",       "prone",   "stable",    "candidate",
                                        "bursts", "changes",     "horizon", "protected", NULL};
    struct from top = {{json, {.key = ""}, faults}, ret};
    *ret = (struct world){.per_second = 50, .look = SECOND, .horizon = 20000};
    if (!members_is_object(&top.members)) return faults->failed ? err_no_memory(err) : 0;
    int r = read_texts(&top, arena, err);
    if (r == 0) r = read_plan(&top, arena, err);
    if (r < 0) return r;
    double is_protected = 0;
    members_only(&top.members, known);
    read_requests(&top);
    member_duration(&top.members, "look", SECOND, &ret->look);
    read_users(&top);
    read_arms(&top);
    read_bursts(&top);
    read_changes(&top);
    member_count(&top.members, "horizon", 1, HORIZON_MAX, &ret->horizon);
    take_switch(&top, "protected", &is_protected);
    ret->is_protected = is_protected != 0;
    return faults->failed ? err_no_memory(err) : 0;
}
