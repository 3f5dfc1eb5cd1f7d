/* SPDX-License-Identifier: Apache-2.0 */
#include "simulate/world.h"

#include "base/suggest.h"

#include <math.h>
#include <string.h>

#define HORIZON_MAX INT64_C(1000000000)
#define RATE_MAX 1e6
#define POINTER_SIZE 128

/* An object at a place of the document. */
struct from {
    const json_t *object;
    char at[POINTER_SIZE];
    struct world *world;
    struct faults *faults;
};

#define FAULT(from, key, ...) fault_at(from, key, __VA_ARGS__)
PRINTF_LIKE(3, 4)
static void fault_at(const struct from *from, const char *key, const char *fmt, ...) {
    char at[2 * POINTER_SIZE], message[POINTER_SIZE * 3];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    snprintf(at, sizeof(at), "%s%s%s", from->at, key ? "/" : "", key ? key : "");
    (void)faults_add(from->faults, at, "%s", message);
}

static struct from inside(const struct from *from, const char *key) {
    struct from ret = {.object = json_get(from->object, key), .world = from->world, .faults = from->faults};
    snprintf(ret.at, sizeof(ret.at), "%.*s/%s", POINTER_SIZE / 2, from->at, key);
    if (ret.object && !json_is_object(ret.object)) {
        FAULT(&ret, NULL, "must be an object");
        ret.object = NULL;
    }
    return ret;
}

static void only(const struct from *from, const char *const *known, bool metrics_too) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)from->object, key, value) {
        struct suggestion suggestion = SUGGESTION_INIT(key);
        bool found = false;
        for (size_t i = 0; known[i]; i++) {
            found |= strcmp(key, known[i]) == 0;
            suggestion_try(&suggestion, known[i]);
        }
        for (size_t m = 0; metrics_too && m < from->world->plan.metric_count; m++) {
            found |= strcmp(key, from->world->plan.metrics[m].name) == 0;
            suggestion_try(&suggestion, from->world->plan.metrics[m].name);
        }
        if (!found && suggestion.best)
            FAULT(from, key, "unknown field; did you mean \"%s\"?", suggestion.best);
        else if (!found)
            FAULT(from, key, "unknown field");
    }
}

/* What is not said keeps its value. */
static bool take_number(const struct from *from, const char *key, double least, double most, double *value) {
    const json_t *found = json_get(from->object, key);
    if (!found) return false;
    double number = json_number_value(found);
    if (json_is_number(found) && number >= least && number <= most) {
        *value = number;
        return true;
    }
    FAULT(from, key, "must be a number from %g to %g", least, most);
    return false;
}

static bool take_count(const struct from *from, const char *key, int64_t least, int64_t most, int64_t *value) {
    const json_t *found = json_get(from->object, key);
    if (!found) return false;
    int64_t number = json_integer_value(found);
    if (json_is_integer(found) && number >= least && number <= most) {
        *value = number;
        return true;
    }
    FAULT(from, key, "must be a whole number from %lld to %lld", (long long)least, (long long)most);
    return false;
}

static bool take_duration(const struct from *from, const char *key, int64_t least, int64_t *value) {
    const json_t *found = json_get(from->object, key);
    const char *text = json_string_value(found);
    if (!found) return false;
    if (text && duration_from_text(text, value) && *value >= least) return true;
    FAULT(from, key, "must be a duration: \"1s\", \"10m\", \"1h30m\"");
    return false;
}

/* 0 or 1, for what may also be left as it is. */
static void take_switch(const struct from *from, const char *key, double *value) {
    const json_t *found = json_get(from->object, key);
    if (!found) return;
    if (json_is_boolean(found))
        *value = json_is_true(found);
    else
        FAULT(from, key, "must be true or false");
}

/* ---- arms ---- */

#define ARM_FIELDS "lost", "unscored", "errors_unscored", "silent"

static void read_measure(const struct from *from, const struct metric *metric, struct measure *measure) {
    static const char *const size[] = {"median", "sigma", NULL}, *const score[] = {"mean", "sd", NULL};
    if (metric->kind == METRIC_EVENT) {
        take_number(from, metric->name, 0, 1, &measure->at);
        return;
    }
    bool is_score = metric->kind == METRIC_SCORE;
    struct from own = inside(from, metric->name);
    only(&own, is_score ? score : size, false);
    take_number(&own, is_score ? "mean" : "median", is_score ? 0 : 1e-6, is_score ? 1 : 1e9, &measure->at);
    take_number(&own, is_score ? "sd" : "sigma", 0, 10, &measure->spread);
}

static void read_arm(const struct from *from, struct arm_world *arm) {
    for (size_t m = 0; m < from->world->plan.metric_count; m++)
        read_measure(from, &from->world->plan.metrics[m], &arm->measures[m]);
    take_number(from, "lost", 0, 1, &arm->lost);
    take_number(from, "unscored", 0, 1, &arm->unscored);
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
    only(&stable, known, true);
    only(&candidate, known, true);
    read_arm(&stable, &arms[0]);
    arms[1] = arms[0];
    read_arm(&candidate, &arms[1]);
}

/* ---- changes ---- */

static void read_when(const struct from *from, struct change *change) {
    int64_t step = 0;
    int said = json_get(from->object, "step") != NULL;
    said += json_get(from->object, "units") != NULL;
    said += json_get(from->object, "time") != NULL;
    if (said != 1) FAULT(from, NULL, "must say when: one of step, units and time");
    if (take_count(from, "step", 1, (int64_t)from->world->plan.step_count, &step))
        *change = (struct change){.on = CHANGE_AT_STEP, .when = step - 1};
    if (take_count(from, "units", 0, HORIZON_MAX, &change->when)) change->on = CHANGE_AT_UNITS;
    if (take_duration(from, "time", 0, &change->when)) change->on = CHANGE_AT_TIME;
}

static void read_change(const struct from *from, struct change *change) {
    static const char *const known[] = {"step", "units", "time", "arm", ARM_FIELDS, NULL};
    static const char *const arms[] = {"stable", "candidate", "both"};
    const char *arm = json_get_text(from->object, "arm");
    only(from, known, true);
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
    const json_t *list = json_get(top->object, "changes");
    if (!list) return;
    if (!json_is_array(list) || json_array_size(list) > WORLD_CHANGES_MAX) {
        FAULT(top, "changes", "must be a list of at most %d changes", WORLD_CHANGES_MAX);
        return;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct from from = {.object = json_array_get(list, i), .world = top->world, .faults = top->faults};
        snprintf(from.at, sizeof(from.at), "/changes/%zu", i);
        if (json_is_object(from.object))
            read_change(&from, &top->world->changes[top->world->change_count++]);
        else
            FAULT(&from, NULL, "must be an object");
    }
}

/* ---- the whole ---- */

/* A built-in template's content is in order: tests read all of them. */
static int read_plan(const struct from *top, struct arena *arena, struct err *err) {
    const json_t *wish = json_get(top->object, "plan");
    const char *name = json_get_text(top->object, "template");
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
    return r < 0 ? r : rollout_plan_parse(merged, "/plan", false, arena, &top->world->plan, top->faults, err);
}

static void read_requests(const struct from *top) {
    static const char *const known[] = {"per_second", "candidates_per_look", NULL};
    struct from from = inside(top, "requests");
    only(&from, known, false);
    bool fixed = take_number(&from, "candidates_per_look", 0.001, 1e5, &top->world->candidates_per_look);
    bool said = take_number(&from, "per_second", 1e-6, RATE_MAX, &top->world->per_second);
    if (fixed && said) FAULT(&from, NULL, "must say one of per_second and candidates_per_look");
    if (fixed) top->world->per_second = 0;
}

static void read_users(const struct from *top) {
    static const char *const known[] = {"share", "error", NULL};
    struct from from = inside(top, "prone");
    take_count(top, "users", 0, WORLD_USERS_MAX, &top->world->users);
    only(&from, known, false);
    take_number(&from, "share", 0, 1, &top->world->prone_share);
    take_number(&from, "error", 0, 1, &top->world->prone_error);
    if (from.object && !top->world->users) FAULT(&from, NULL, "goes with `users` only: who comes once has no habits");
}

static void read_bursts(const struct from *top) {
    static const char *const known[] = {"chance", "error", NULL};
    struct from from = inside(top, "bursts");
    only(&from, known, false);
    take_number(&from, "chance", 0, 1, &top->world->burst_chance);
    take_number(&from, "error", 0, 1, &top->world->burst_error);
}

static int read_texts(const struct from *top, struct arena *arena, struct err *err) {
    const char *name = json_get_text(top->object, "name"), *description = json_get_text(top->object, "description");
    top->world->name = arena_strdup(arena, name ? name : "a world");
    top->world->description = arena_strdup(arena, description ? description : "");
    return top->world->name && top->world->description ? 0 : err_no_memory(err);
}

int world_parse(const json_t *json, struct arena *arena, struct world *ret, struct faults *faults, struct err *err) {
    static const char *const known[] = {"name",   "description", "plan",    "template",  "requests",
                                        "look",   "users",       "prone",   "stable",    "candidate",
                                        "bursts", "changes",     "horizon", "protected", NULL};
    struct from top = {.object = json, .world = ret, .faults = faults};
    *ret = (struct world){.per_second = 50, .look = 1000000, .horizon = 20000};
    if (!json_is_object(json)) {
        FAULT(&top, NULL, "must be an object");
        return faults->failed ? err_no_memory(err) : 0;
    }
    int r = read_texts(&top, arena, err);
    if (r == 0) r = read_plan(&top, arena, err);
    if (r < 0) return r;
    double is_protected = 0;
    only(&top, known, false);
    read_requests(&top);
    take_duration(&top, "look", 1, &ret->look);
    read_users(&top);
    read_arms(&top);
    read_bursts(&top);
    read_changes(&top);
    take_count(&top, "horizon", 1, HORIZON_MAX, &ret->horizon);
    take_switch(&top, "protected", &is_protected);
    ret->is_protected = is_protected != 0;
    return faults->failed ? err_no_memory(err) : 0;
}
