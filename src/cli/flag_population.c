/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made-up users for a rule. What an attribute may be is read off the rule: the constants beside which it stands, what is just past them, and something that the
 * rule does not know. All of them are as likely, so how many users change says nothing about real ones; which ones do, says much.
 */
#include "cli/cli_impl.h"

#include <string.h>

#define DEPTH_MAX JSON_DEPTH_MAX
#define TARGETING_KEY "targetingKey"

void population_init(struct population *population, int64_t seed, struct arena *arena) {
    *population = (struct population){.arena = arena, .keys = json_array()};
    population->failed = !population->keys;
    for (size_t i = 0; i < ARRAY_LEN(population->dice); i++)
        population->dice[i] = (unsigned short)((uint64_t)seed >> 16 * i);
}

void population_deinit(struct population *population) {
    for (size_t i = 0; i < population->count; i++)
        json_decref(population->attributes[i].values);
    json_decref(population->keys);
}

/* ---- what rules read ---- */

static bool has(const json_t *list, const json_t *value) {
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item) {
        if (json_equal(item, value)) return true;
    }
    return false;
}

/* Takes the reference. */
static void add_value(struct population *population, json_t *list, json_t *value) {
    if (!value) population->failed = true;
    if (value && json_array_size(list) < POPULATION_VALUES_MAX && !has(list, value) &&
        json_array_append(list, value) < 0)
        population->failed = true;
    json_decref(value);
}

/* NULL: what the flag itself brings along, or one too many. */
static struct population_attribute *attribute_of(struct population *population, const char *path) {
    if (!*path || !strncmp(path, "$flagd", 6) || !strcmp(path, TARGETING_KEY)) return NULL;
    for (size_t i = 0; i < population->count; i++)
        if (!strcmp(population->attributes[i].path, path)) return &population->attributes[i];
    if (population->count == POPULATION_ATTRIBUTES_MAX) return NULL;
    struct population_attribute *attribute = &population->attributes[population->count++];
    *attribute = (struct population_attribute){arena_strdup(population->arena, path), json_array(), false};
    if (attribute->path && attribute->values) return attribute;
    population->failed = true;
    json_decref(attribute->values);
    population->count--;
    return NULL;
}

/* The path that {"var": path} or {"var": [path, default]} names, or NULL. */
static const char *path_of(const json_t *rule) {
    const json_t *name = json_object_size(rule) == 1 ? json_get(rule, "var") : NULL;
    return json_string_value(json_is_array(name) ? json_array_get(name, 0) : name);
}

static void add_text(struct population *population, json_t *list, const char *before, const char *text,
                     const char *behind) {
    const char *whole = arena_printf(population->arena, "%s%s%s", before, text, behind);
    add_value(population, list, whole ? json_string(whole) : NULL);
}

static json_t *number_beside(const json_t *constant, int step) {
    json_int_t whole = json_integer_value(constant);
    bool small = json_is_integer(constant) && whole > -(INT64_C(1) << 53) && whole < INT64_C(1) << 53;
    return small ? json_integer(whole + step) : json_real(json_number_value(constant) + step);
}

/* A constant in the way in which the operation compares with it. */
static void add_constant(struct population *population, json_t *list, const char *operation, json_t *constant) {
    bool ordered = operation[0] == '<' || operation[0] == '>';
    if (!strcmp(operation, "starts_with") && json_is_string(constant)) {
        add_text(population, list, "", json_string_value(constant), "x");
        return;
    }
    if (!strcmp(operation, "ends_with") && json_is_string(constant)) {
        add_text(population, list, "x", json_string_value(constant), "");
        return;
    }
    if (ordered && json_is_number(constant)) add_value(population, list, number_beside(constant, -1));
    add_value(population, list, json_incref(constant));
    if (json_is_number(constant)) add_value(population, list, number_beside(constant, 1));
    if (strcmp(operation, "sem_ver") != 0) return;
    add_value(population, list, json_string("0.0.1"));
    add_value(population, list, json_string("999.0.0"));
}

static void add_constants(struct population *population, json_t *list, const char *operation, json_t *operand) {
    size_t index;
    json_t *item;
    if (json_is_object(operand)) return;
    if (!json_is_array(operand)) {
        add_constant(population, list, operation, operand);
        return;
    }
    json_array_foreach(operand, index, item) {
        if (!json_is_object(item) && !json_is_array(item)) add_constant(population, list, operation, item);
    }
}

static bool compares(const char *operation) {
    static const char *const operations[] = {
        "==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "sem_ver", "starts_with", "ends_with"};
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (!strcmp(operation, operations[i])) return true;
    return false;
}

/* Each attribute among the arguments, beside the constants among them. */
static void read_comparison(struct population *population, const char *operation, const json_t *arguments) {
    size_t count = json_array_size(arguments);
    bool version = !strcmp(operation, "sem_ver");
    for (size_t i = 0; i < count; i++) {
        const char *path = path_of(json_array_get(arguments, i));
        bool is_key = path && !strcmp(path, TARGETING_KEY);
        struct population_attribute *attribute = path && !is_key ? attribute_of(population, path) : NULL;
        json_t *list = is_key ? population->keys : attribute ? attribute->values : NULL;
        for (size_t j = 0; list && j < count; j++)
            if (j != i && !(version && j == 1)) /* the comparison that is wished */
                add_constants(population, list, operation, json_array_get(arguments, j));
    }
}

struct reading {
    struct population *population;
    const json_t *evaluators;
};

/* `splits`: users are split by what is read. */
static void read_rule(const struct reading *reading, const json_t *rule, bool splits, unsigned depth) {
    struct population *population = reading->population;
    const char *path = path_of(rule), *operation;
    size_t index;
    json_t *item, *arguments;
    if (depth == DEPTH_MAX || population->failed) return;
    json_array_foreach(rule, index, item) {
        read_rule(reading, item, splits, depth + 1);
    }
    if (path) {
        struct population_attribute *attribute = attribute_of(population, path);
        if (attribute) attribute->is_id |= splits;
        return;
    }
    json_object_foreach((json_t *)rule, operation, arguments) {
        if (compares(operation)) read_comparison(population, operation, arguments);
        if (!strcmp(operation, "$ref") && json_is_string(arguments))
            read_rule(reading, json_get(reading->evaluators, json_string_value(arguments)), splits, depth + 1);
        read_rule(reading, arguments, splits || !strcmp(operation, "fractional"), depth + 1);
    }
}

void population_read(struct population *population, const json_t *rule, const json_t *evaluators) {
    read_rule(&(struct reading){population, evaluators}, rule, false, 0);
}

/* What no constant stands beside is asked for its truth. */
static void add_others(struct population *population, struct population_attribute *attribute) {
    json_t *values = attribute->values, *first = json_array_get(values, 0);
    if (!json_array_size(values) || json_is_boolean(first)) {
        add_value(population, values, json_true());
        add_value(population, values, json_false());
    }
    if (json_is_string(first)) add_value(population, values, json_string("other"));
}

int population_finish(struct population *population, struct err *err) {
    for (size_t i = 0; i < population->count; i++)
        if (!population->attributes[i].is_id) add_others(population, &population->attributes[i]);
    return population->failed ? err_no_memory(err) : 0;
}

/* ---- users ---- */

static unsigned long long throw(struct population * population) {
    unsigned long long high = (unsigned long long)nrand48(population->dice);
    return high << 31 | (unsigned long long)nrand48(population->dice);
}

static json_t *new_id(struct population *population, const char *what) {
    char text[64];
    snprintf(text, sizeof(text), "%.30s-%016llx", what, throw(population));
    return json_string(text);
}

static json_t *value_of(struct population *population, const struct population_attribute *attribute) {
    size_t count = json_array_size(attribute->values), other = attribute->is_id ? 1 : 0;
    size_t picked = (size_t)(throw(population) % (count + other));
    return picked < count ? json_incref(json_array_get(attribute->values, picked)) : new_id(population, "id");
}

/* Sets a value at "a.b.c", making objects on the way; what is no object on the way stays. Takes the reference. */
static int put(json_t *user, const char *path, json_t *value) {
    char name[256];
    json_t *at = user;
    size_t len = strcspn(path, ".");
    for (; path[len] == '.' && json_is_object(at); path += len + 1, len = strcspn(path, ".")) {
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        json_t *next = json_get(at, name);
        if (!next && json_object_set_new(at, name, next = json_object()) < 0) at = NULL;
        if (at) at = next;
    }
    if (at && !json_is_object(at)) {
        json_decref(value);
        return 0;
    }
    snprintf(name, sizeof(name), "%s", path);
    return json_object_set_new(at, name, value);
}

int population_user(struct population *population, int64_t number, json_t **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *user = json_object();
    bool named = number < (int64_t)json_array_size(population->keys);
    json_t *key = named ? json_incref(json_array_get(population->keys, (size_t)number)) : new_id(population, "user");
    int r = json_object_set_new(user, TARGETING_KEY, key);
    for (size_t i = 0; r == 0 && i < population->count; i++) {
        const struct population_attribute *attribute = &population->attributes[i];
        r = put(user, attribute->path, value_of(population, attribute));
    }
    if (r < 0) return err_no_memory(err);
    *ret = TAKE_PTR(user);
    return 0;
}
