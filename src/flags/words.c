/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flag in one line: "on for plan=pro, 20 % of others". Its rule is taken apart into clauses, who gets what, in the order in which they are asked; clauses that give the same variant
 * stand together, and what the default says anyway is left out at the end.
 */
#include "flags/flags.h"

#include <math.h>
#include <string.h>

#define CLAUSES_MAX 200
#define SHOWN_MAX 60 /* bytes of a rule that has no words */
#define DEPTH_MAX 8

struct clause {
    const char *variant; /* NULL: the default */
    struct str who;
};

struct clauses {
    struct clause list[CLAUSES_MAX];
    size_t count;
    bool full;
    bool failed; /* memory ran out */
};

/* Nothing may have been appended. */
static const char *text_of(const struct str *str) {
    return str->data ? str->data : "";
}

static void add_condition(const json_t *rule, unsigned depth, struct str *out);

static void add_json(const json_t *value, struct str *out) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (json_compact(value, &text) < 0) {
        out->failed = true;
        return;
    }
    if (text.len <= SHOWN_MAX) {
        str_add_slice(out, str_slice(&text));
        return;
    }
    size_t len = SHOWN_MAX;
    while (((unsigned char)text.data[len] & 0xC0) == 0x80)
        len--;
    str_add(out, text.data, len);
    str_add_text(out, "…");
}

/* The one operation of a rule, and its arguments; NULL: it is none. */
static const char *operation_of(const json_t *rule, const json_t **ret_arguments) {
    if (json_object_size(rule) != 1) return NULL;
    void *at = json_object_iter((json_t *)rule);
    *ret_arguments = json_object_iter_value(at);
    return json_object_iter_key(at);
}

/* An operation with one argument may have it without a list. */
static const json_t *argument(const json_t *arguments, size_t i) {
    if (json_is_array(arguments)) return json_array_get(arguments, i);
    return i == 0 ? arguments : NULL;
}

static void add_operand(const json_t *value, unsigned depth, struct str *out) {
    const json_t *arguments = NULL;
    const char *operation = operation_of(value, &arguments), *path;
    if (operation && !strcmp(operation, "var") && (path = json_string_value(argument(arguments, 0))))
        str_add_text(out, path);
    else if (json_string_length(value) && !strchr(json_string_value(value), ' '))
        str_add_text(out, json_string_value(value));
    else if (json_array_size(value))
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) str_add_text(out, "|");
            add_operand(json_array_get(value, i), depth, out);
        }
    else if (operation && depth < DEPTH_MAX)
        add_condition(value, depth + 1, out);
    else
        add_json(value, out);
}

static void add_joined(const json_t *arguments, const char *word, unsigned depth, struct str *out) {
    if (depth) str_add_char(out, '(');
    for (size_t i = 0; i < json_array_size(arguments); i++) {
        if (i) str_printf(out, " %s ", word);
        add_operand(json_array_get(arguments, i), depth, out);
    }
    if (depth) str_add_char(out, ')');
}

static const struct {
    const char *operation, *words;
} binaries[] = {
    {"==", "="},
    {"===", "="},
    {"!=", "!="},
    {"!==", "!="},
    {">", ">"},
    {">=", ">="},
    {"<", "<"},
    {"<=", "<="},
    {"starts_with", " starts with "},
    {"ends_with", " ends with "},
};

static const char *binary_words(const char *operation) {
    for (size_t i = 0; i < ARRAY_LEN(binaries); i++)
        if (!strcmp(operation, binaries[i].operation)) return binaries[i].words;
    return NULL;
}

static void add_two(const json_t *left, const char *words, const json_t *right, unsigned depth, struct str *out) {
    add_operand(left, depth, out);
    str_add_text(out, words);
    add_operand(right, depth, out);
}

/* "plan=pro|team" for a list of constants, "roles has staff" for a text in an attribute. */
static void add_in(const json_t *arguments, unsigned depth, struct str *out) {
    const json_t *what = argument(arguments, 0), *where = argument(arguments, 1);
    if (json_is_array(where))
        add_two(what, "=", where, depth, out);
    else
        add_two(where, " has ", what, depth, out);
}

static bool add_known(const char *operation, const json_t *arguments, unsigned depth, struct str *out) {
    const char *binary = binary_words(operation), *text = json_string_value(argument(arguments, 1));
    size_t count = json_is_array(arguments) ? json_array_size(arguments) : 1;
    if (binary && count == 2)
        add_two(argument(arguments, 0), binary, argument(arguments, 1), depth, out);
    else if (!strcmp(operation, "in") && count == 2)
        add_in(arguments, depth, out);
    else if (!strcmp(operation, "and") || !strcmp(operation, "or"))
        add_joined(arguments, operation, depth, out);
    else if (!strcmp(operation, "!") && count == 1) {
        str_add_text(out, "not ");
        add_operand(argument(arguments, 0), depth + 1, out);
    } else if (!strcmp(operation, "!!") || !strcmp(operation, "var"))
        add_operand(!strcmp(operation, "var") ? NULL : argument(arguments, 0), depth, out);
    else if (!strcmp(operation, "sem_ver") && count == 3 && text)
        add_two(argument(arguments, 0), text, argument(arguments, 2), depth, out);
    else if (!strcmp(operation, "$ref") && json_is_string(arguments))
        str_add_text(out, json_string_value(arguments));
    else
        return false;
    return true;
}

static void add_condition(const json_t *rule, unsigned depth, struct str *out) {
    const json_t *arguments = NULL;
    const char *operation = operation_of(rule, &arguments);
    bool is_var = operation && !strcmp(operation, "var");
    if (depth >= DEPTH_MAX || !operation || is_var)
        is_var ? add_operand(rule, depth, out) : add_json(rule, out);
    else if (!add_known(operation, arguments, depth, out))
        add_json(rule, out);
}

void flag_condition_words(const json_t *rule, struct str *out) {
    add_condition(rule, 0, out);
}

/* ---- clauses ---- */

static struct str *new_clause(struct clauses *clauses, const char *variant) {
    if (clauses->count == CLAUSES_MAX) {
        clauses->full = true;
        return NULL;
    }
    struct clause *clause = &clauses->list[clauses->count++];
    *clause = (struct clause){.variant = variant};
    return &clause->who;
}

static bool is_entry(const json_t *value) {
    return json_is_array(value) && json_is_string(json_array_get(value, 0)) && json_array_size(value) <= 2;
}

static double weight_of(const json_t *entry) {
    const json_t *weight = json_array_get(entry, 1);
    return weight ? fmax(json_number_value(weight), 0) : 1;
}

/* False: its entries are computed. */
static bool split(const json_t *arguments, const char *of_whom, struct clauses *clauses) {
    size_t count = json_array_size(arguments), first = count && !is_entry(json_array_get(arguments, 0)) ? 1 : 0;
    double total = 0;
    for (size_t i = first; i < count; i++) {
        const json_t *entry = json_array_get(arguments, i), *weight = json_array_get(entry, 1);
        if (!is_entry(entry) || (weight && !json_is_number(weight))) return false;
        total += weight_of(entry);
    }
    if (!(total > 0)) return false;
    for (size_t i = first; i < count; i++) {
        const json_t *entry = json_array_get(arguments, i);
        struct str *who = new_clause(clauses, json_string_value(json_array_get(entry, 0)));
        if (who) str_printf(who, "%.4g %%%s", 100 * weight_of(entry) / total, of_whom);
    }
    return true;
}

static void take_result(const json_t *rule, const struct str *whom, bool first, unsigned depth,
                        struct clauses *clauses);

/* {"if": [condition, result, condition, result, …, otherwise]} */
static void take_choices(const json_t *arguments, bool first, unsigned depth, struct clauses *clauses) {
    size_t count = json_array_size(arguments);
    for (size_t i = 0; i + 1 < count; i += 2) {
        _cleanup_(str_deinit) struct str condition = STR_INIT;
        add_condition(json_array_get(arguments, i), 0, &condition);
        clauses->failed |= condition.failed;
        take_result(json_array_get(arguments, i + 1), &condition, false, depth + 1, clauses);
    }
    if (count % 2) take_result(json_array_get(arguments, count - 1), NULL, first && count == 1, depth + 1, clauses);
}

static void take_result(const json_t *rule, const struct str *whom, bool first, unsigned depth,
                        struct clauses *clauses) {
    const json_t *arguments = NULL;
    const char *operation = operation_of(rule, &arguments), *others = first ? "all" : "others";
    _cleanup_(str_deinit) struct str of_whom = STR_INIT;
    if (whom || !first) str_printf(&of_whom, " of %s", whom ? text_of(whom) : others);
    clauses->failed |= of_whom.failed;
    bool choice = operation && (!strcmp(operation, "if") || !strcmp(operation, "?:")) && json_is_array(arguments);
    if (operation && !strcmp(operation, "fractional") && split(arguments, text_of(&of_whom), clauses)) return;
    if (choice && !whom && depth < DEPTH_MAX) {
        take_choices(arguments, first, depth, clauses);
        return;
    }
    bool plain = json_is_string(rule) || json_is_null(rule) || json_is_boolean(rule);
    const char *variant = json_is_boolean(rule) ? (json_is_true(rule) ? "true" : "false") : json_string_value(rule);
    struct str *who = new_clause(clauses, plain ? variant : "by rule");
    if (!who) return;
    str_add_text(who, whom ? text_of(whom) : others);
    if (!plain) str_add_text(who, ": ");
    if (!plain) add_json(rule, who);
}

static const char *default_name(const struct flag *flag) {
    return flag->default_variant == FLAG_NO_VARIANT ? NULL : flag->variants[flag->default_variant].name.ptr;
}

static bool is_default(const struct flag *flag, const char *variant) {
    const char *name = default_name(flag);
    return !variant || (name && !strcmp(variant, name));
}

static const char *shown(const char *variant) {
    return variant ? variant : "the caller's default";
}

static void write_clauses(const struct flag *flag, const struct clauses *clauses, struct str *out) {
    size_t count = clauses->count;
    while (count && is_default(flag, clauses->list[count - 1].variant))
        count--;
    for (size_t i = 0; i < count; i++) {
        const struct clause *clause = &clauses->list[i];
        const char *variant = clause->variant ? clause->variant : default_name(flag);
        bool same = i && clauses->list[i - 1].variant && clause->variant &&
                    !strcmp(clauses->list[i - 1].variant, clause->variant);
        if (same)
            str_add_text(out, ", ");
        else
            str_printf(out, "%s%s for ", i ? "; " : "", shown(variant));
        str_add_slice(out, str_slice(&clause->who));
    }
    if (!count) str_printf(out, "%s for all", shown(default_name(flag)));
}

static void describe(const struct flag *flag, const json_t *definition, struct str *out) {
    const json_t *rule = json_get(definition, "targeting");
    struct clauses clauses = {.count = 0};
    if (json_object_size(rule)) take_result(rule, NULL, true, 0, &clauses);
    write_clauses(flag, &clauses, out);
    if (clauses.full) str_add_text(out, "; …");
    out->failed |= clauses.failed;
    for (size_t i = 0; i < clauses.count; i++) {
        out->failed |= clauses.list[i].who.failed;
        str_deinit(&clauses.list[i].who);
    }
}

void flag_words(const struct flag *flag, struct str *out) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    if (!flag->enabled) str_add_text(out, "disabled; enabled it is ");
    if (json_parse(flag->definition.ptr, flag->definition.len, JSON_DEPTH_MAX, &definition, NULL) == 0)
        describe(flag, definition, out);
    else
        out->failed = true;
}
