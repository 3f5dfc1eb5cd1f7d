/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking a value. One walk over schema and value; every keyword reports on its own, so that all faults are told
 * at once. Two rules keep the list readable: a value of the wrong type (or outside of an enumeration) is told once and not
 * looked into further; and where a value may have one of several forms, the form that was probably meant is
 * chosen first and only its faults are told. The choice is made by a member that names the form (`kind`), else by the
 * value's type, else by the fewest faults, for which the same walk runs without reporting.
 */
#include "model/model_impl.h"

#include <math.h>
#include <string.h>

#define WALK_DEPTH_MAX 256 /* a $ref that leads to itself ends here */

/* Patterns come from the project's own schemas, but run over texts from outside. */
#define MATCH_LIMIT 1000000
#define MATCH_HEAP_KIB 8192

struct run {
    const struct schema *schema;
    schema_hint_fn hint;
    struct faults *faults; /* NULL: faults are counted only */
    size_t errors;
    unsigned depth;
    unsigned again; /* inside a $ref whose place was already checked by the keywords beside it */
    pcre2_match_data *match;
    pcre2_match_context *limits;
    int failed; /* the error that ended the walk, below 0 */
};

static void check_value(struct run *run, const json_t *node, const json_t *value, const struct place *place);

/* Counts a fault; true when counting is all that is wanted. */
static bool counted(struct run *run) {
    run->errors++;
    return run->faults == NULL;
}

static bool told_already(struct run *run, const struct place *place) {
    _cleanup_(str_deinit) struct str pointer = STR_INIT;

    if (!run->again) return false;
    place_pointer(place, &pointer);
    if (pointer.failed) run->failed = -ERR_NO_MEMORY;
    for (size_t i = 0; i < run->faults->count; i++) {
        if (pointer.data && strcmp(run->faults->items[i].at, pointer.data) == 0) return true;
    }
    return false;
}

static void tell(struct run *run, const struct place *place, struct str *message) {
    if (message->failed) {
        run->failed = -ERR_NO_MEMORY;
    } else if (!told_already(run, place)) {
        place_fault(run->faults, place, "%s", message->data);
    }
    str_deinit(message);
}

static bool is_integer(const json_t *value) {
    if (json_is_integer(value)) return true;
    return json_is_real(value) && json_real_value(value) == trunc(json_real_value(value));
}

static bool has_type(const json_t *value, const char *type) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return strcmp(type, "number") == 0 || (strcmp(type, "integer") == 0 && is_integer(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    default:
        return strcmp(type, "null") == 0;
    }
}

static bool has_type_of(const json_t *value, const json_t *types) {
    size_t i;
    json_t *type;

    if (json_is_string(types)) return has_type(value, json_string_value(types));
    json_array_foreach(types, i, type) {
        if (has_type(value, json_string_value(type))) return true;
    }
    return false;
}

/* What an object holds may tell what was meant by it. */
static void add_hint(const struct run *run, const json_t *object, struct str *message) {
    const char *key;
    json_t *value;

    if (!run->hint) return;
    json_object_foreach((json_t *)object, key, value) {
        if (run->hint(object, key, message)) return;
    }
}

static void tell_type(struct run *run, const json_t *types, const json_t *value, const struct place *place) {
    struct str message = STR_INIT;

    str_add_text(&message, "expected ");
    words_add_types(&message, types);
    str_add_text(&message, ", found ");
    words_add_value(&message, value);
    if (json_object_size(value) == 1) add_hint(run, value, &message);
    tell(run, place, &message);
}

static bool check_type(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const json_t *types = json_get(node, "type");

    if (!types || has_type_of(value, types)) return true;
    if (!counted(run)) tell_type(run, types, value, place);
    return false;
}

static bool check_const(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const json_t *expected = json_get(node, "const");
    struct str message = STR_INIT;

    if (!expected || json_equal(expected, value)) return true;
    if (counted(run)) return false;
    str_add_text(&message, "expected ");
    words_add_value(&message, expected);
    str_add_text(&message, ", found ");
    words_add_value(&message, value);
    tell(run, place, &message);
    return false;
}

static void tell_choices(struct run *run, const json_t *choices, const json_t *value, const struct place *place) {
    struct str message = STR_INIT;

    str_add_text(&message, "expected one of ");
    words_add_choices(&message, choices);
    str_add_text(&message, ", found ");
    words_add_value(&message, value);
    words_add_nearest_choice(&message, choices, value);
    tell(run, place, &message);
}

static bool check_enum(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const json_t *choices = json_get(node, "enum");
    size_t i;
    json_t *choice;

    if (!choices) return true;
    json_array_foreach(choices, i, choice) {
        if (json_equal(choice, value)) return true;
    }
    if (!counted(run)) tell_choices(run, choices, value, place);
    return false;
}

/* ---- strings and numbers ---- */

static size_t character_count(const char *text, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

static void check_length(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    size_t count = character_count(json_string_value(value), json_string_length(value));
    const json_t *least = json_get(node, "minLength"), *most = json_get(node, "maxLength");
    struct str message = STR_INIT;

    if (least && count < (size_t)json_integer_value(least) && !counted(run)) {
        if (count == 0) {
            str_add_text(&message, "may not be empty");
        } else {
            str_printf(&message, "is %zu character%s, expected at least %lld", count, count == 1 ? "" : "s",
                       (long long)json_integer_value(least));
        }
        tell(run, place, &message);
    }
    if (most && count > (size_t)json_integer_value(most) && !counted(run)) {
        str_printf(&message, "is %zu characters, expected at most %lld", count, (long long)json_integer_value(most));
        tell(run, place, &message);
    }
}

/* 1 matches, 0 does not, below 0 it could not be found out. */
static int matches(struct run *run, const char *pattern, const char *text, size_t len) {
    const pcre2_code *code = schema_pattern(run->schema, pattern);
    int r = pcre2_match(code, (PCRE2_SPTR)text, len, 0, 0, run->match, run->limits);

    if (r >= 0) return 1;
    if (r == PCRE2_ERROR_NOMATCH) return 0;
    if (r == PCRE2_ERROR_NOMEMORY) run->failed = -ERR_NO_MEMORY;
    return -1;
}

static void check_pattern(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const char *pattern = json_get_text(node, "pattern"), *words = json_get_text(node, "description");
    struct str message = STR_INIT;
    int r;

    if (!pattern) return;
    r = matches(run, pattern, json_string_value(value), json_string_length(value));
    if (r == 1 || run->failed || counted(run)) return;
    words_add_value(&message, value);
    if (r < 0) {
        str_add_text(&message, " is too long or too tangled to be checked");
    } else if (words) {
        str_printf(&message, " does not have the form expected here: %s", words);
    } else {
        str_printf(&message, " does not match %s", pattern);
    }
    tell(run, place, &message);
}

static void tell_bound(struct run *run, const json_t *value, const char *words, const json_t *bound,
                       const struct place *place) {
    struct str message = STR_INIT;

    words_add_value(&message, value);
    str_printf(&message, " is %s ", words);
    words_add_value(&message, bound);
    tell(run, place, &message);
}

static void check_number(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    double number = json_number_value(value);
    const json_t *least = json_get(node, "minimum"), *most = json_get(node, "maximum");
    const json_t *above = json_get(node, "exclusiveMinimum");

    if (least && number < json_number_value(least) && !counted(run)) {
        tell_bound(run, value, "below the minimum of", least, place);
    }
    if (most && number > json_number_value(most) && !counted(run)) {
        tell_bound(run, value, "above the maximum of", most, place);
    }
    if (above && number <= json_number_value(above) && !counted(run)) {
        tell_bound(run, value, "not greater than", above, place);
    }
}

/* ---- arrays ---- */

static void check_count(struct run *run, size_t count, const char *what, const json_t *least, const json_t *most,
                        const struct place *place) {
    struct str message = STR_INIT;

    if (least && count < (size_t)json_integer_value(least) && !counted(run)) {
        str_printf(&message, "has %zu %s, expected at least %lld", count, what, (long long)json_integer_value(least));
        tell(run, place, &message);
    }
    if (most && count > (size_t)json_integer_value(most) && !counted(run)) {
        str_printf(&message, "has %zu %s, expected at most %lld", count, what, (long long)json_integer_value(most));
        tell(run, place, &message);
    }
}

static void tell_repeated(struct run *run, const json_t *value, size_t first, const struct place *place) {
    struct str message = STR_INIT;

    words_add_value(&message, value);
    str_printf(&message, " stands here a second time (first as item %zu)", first);
    tell(run, place, &message);
}

/* By the canonical text of each item, so that the cost grows with the length and not with its square. */
static void check_unique(struct run *run, const json_t *array, const struct place *place) {
    _cleanup_(json_decrefp) json_t *seen = json_object();
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item) {
        _cleanup_(str_deinit) struct str text = STR_INIT;
        int r = json_canonical(item, &text, NULL);
        if (r == -ERR_NO_MEMORY || !seen) {
            run->failed = -ERR_NO_MEMORY;
            return;
        }
        if (r < 0) continue;
        const json_t *first = json_object_get(seen, text.data);
        struct place at = {place, NULL, i};
        if (!first && json_object_set_new(seen, text.data, json_integer((json_int_t)i)) < 0)
            run->failed = -ERR_NO_MEMORY;
        if (first && !counted(run)) tell_repeated(run, item, (size_t)json_integer_value(first), &at);
    }
}

static void check_array(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const json_t *items = json_get(node, "items");
    size_t i;
    json_t *item;

    check_count(run, json_array_size(value), "items", json_get(node, "minItems"), json_get(node, "maxItems"), place);
    if (json_is_true(json_get(node, "uniqueItems"))) check_unique(run, value, place);
    if (!items) return;
    json_array_foreach(value, i, item) {
        struct place at = {place, NULL, i};
        check_value(run, items, item, &at);
    }
}

/* ---- objects ---- */

/* The member by which every one of several forms names itself by a constant, or NULL. */
static const char *discriminator(const struct schema *schema, const json_t *forms) {
    const json_t *first = schema_resolve(schema, json_array_get(forms, 0));
    const char *key;
    json_t *property;

    json_object_foreach(json_get(first, "properties"), key, property) {
        size_t i, with = 0;
        json_t *form;
        json_array_foreach(forms, i, form) {
            with += json_get(json_get(json_get(schema_resolve(schema, form), "properties"), key), "const") != NULL;
        }
        if (with == json_array_size(forms)) return key;
    }
    return NULL;
}

/* Jansson's lists of what to say: memory that ends while one is made ends the walk. */
static void append(struct run *run, json_t *list, json_t *value) {
    if (json_array_append(list, value) < 0) run->failed = -ERR_NO_MEMORY;
}

static json_t *discriminator_choices(struct run *run, const json_t *forms, const char *key) {
    json_t *choices = json_array();
    size_t i;
    json_t *form;

    json_array_foreach(forms, i, form) {
        const json_t *property = json_get(json_get(schema_resolve(run->schema, form), "properties"), key);
        append(run, choices, json_get(property, "const"));
    }
    return choices;
}

static void tell_missing(struct run *run, const json_t *node, const json_t *object, const char *key,
                         const struct place *place) {
    struct str message = STR_INIT;
    const json_t *forms = json_get(node, "oneOf");
    const char *by = forms ? discriminator(run->schema, forms) : NULL;

    str_printf(&message, "\"%s\" is missing", key);
    if (by && strcmp(by, key) == 0) {
        _cleanup_(json_decrefp) json_t *choices = discriminator_choices(run, forms, key);
        str_add_text(&message, "; expected one of ");
        words_add_choices(&message, choices);
        add_hint(run, object, &message);
    }
    tell(run, place, &message);
}

static void check_required(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    size_t i;
    json_t *name;

    json_array_foreach(json_get(node, "required"), i, name) {
        const char *key = json_string_value(name);
        if (json_get(value, key) || counted(run)) continue;
        tell_missing(run, node, value, key, place);
    }
}

static void tell_unknown(struct run *run, const json_t *node, const json_t *object, const char *key,
                         const struct place *place) {
    struct str message = STR_INIT;
    char shown[SHOW_SIZE];

    str_printf(&message, "unknown key \"%s\"", show_text(key, shown));
    if (!run->hint || !run->hint(object, key, &message)) words_add_keys(&message, json_get(node, "properties"), key);
    tell(run, place, &message);
}

/* True when a pattern of patternProperties speaks for the key. */
static bool check_by_pattern(struct run *run, const json_t *node, const char *key, const json_t *value,
                             const struct place *place) {
    const char *pattern;
    json_t *rule;
    bool found = false;

    json_object_foreach(json_get(node, "patternProperties"), pattern, rule) {
        if (matches(run, pattern, key, strlen(key)) != 1) continue;
        check_value(run, rule, value, place);
        found = true;
    }
    return found;
}

static void check_name(struct run *run, const json_t *rule, const char *key, const struct place *place) {
    _cleanup_(json_decrefp) json_t *name = json_string(key);

    if (!name) {
        run->failed = -ERR_NO_MEMORY;
        return;
    }
    check_value(run, rule, name, place);
}

static void check_member(struct run *run, const json_t *node, const json_t *object, const char *key,
                         const struct place *place) {
    const json_t *value = json_get(object, key), *rule = json_get(json_get(node, "properties"), key);
    const json_t *names = json_get(node, "propertyNames"), *others = json_get(node, "additionalProperties");

    if (names) check_name(run, names, key, place);
    if (rule) check_value(run, rule, value, place);
    if (check_by_pattern(run, node, key, value, place) || rule || !others) return;
    if (!json_is_false(others)) {
        check_value(run, others, value, place);
        return;
    }
    if (!counted(run)) tell_unknown(run, node, object, key, place);
}

static void check_object(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const char *key;
    json_t *member;

    check_required(run, node, value, place);
    check_count(run, json_object_size(value), "members", NULL, json_get(node, "maxProperties"), place);
    json_object_foreach((json_t *)value, key, member) {
        struct place at = {place, key, 0};
        check_member(run, node, value, key, &at);
    }
}

/* Of the uses of `not`, only the one that forbids members has clear words. */
static void check_not(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    size_t i;
    json_t *name;

    json_array_foreach(json_get(json_get(node, "not"), "required"), i, name) {
        const char *key = json_string_value(name);
        struct place at = {place, key, 0};
        if (!json_get(value, key) || counted(run)) continue;
        tell_unknown(run, NULL, value, key, &at);
    }
}

/* ---- one of several forms ---- */

static size_t count_faults(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    struct run probe = *run;

    probe.faults = NULL;
    probe.errors = 0;
    check_value(&probe, node, value, place);
    run->failed = probe.failed;
    return probe.errors;
}

static bool only_required(const json_t *forms) {
    size_t i;
    json_t *form;

    json_array_foreach(forms, i, form) {
        if (json_object_size(form) != 1 || !json_get(form, "required")) return false;
    }
    return true;
}

/* Forms that differ only in which member they need. */
static void check_which_required(struct run *run, const json_t *forms, const json_t *value, const struct place *place) {
    struct str message = STR_INIT;
    size_t i, present = 0;
    json_t *form;

    json_array_foreach(forms, i, form) {
        present += count_faults(run, form, value, place) == 0;
    }
    if (present == 1 || counted(run)) return;
    str_add_text(&message, present == 0 ? "one of " : "only one of ");
    json_array_foreach(forms, i, form) {
        if (i > 0) str_add_text(&message, ", ");
        words_add_value(&message, json_array_get(json_get(form, "required"), 0));
    }
    str_add_text(&message, present == 0 ? " is needed" : " may be given");
    tell(run, place, &message);
}

static void check_by_discriminator(struct run *run, const json_t *node, const char *key, const json_t *value,
                                   const struct place *place) {
    const json_t *forms = json_get(node, "oneOf"), *name = json_get(value, key);
    _cleanup_(json_decrefp) json_t *choices = NULL;
    struct place at = {place, key, 0};
    size_t i;
    json_t *form;

    if (!name) return; /* `required` beside the forms has told it */
    json_array_foreach(forms, i, form) {
        const json_t *property = json_get(json_get(schema_resolve(run->schema, form), "properties"), key);
        if (!json_equal(json_get(property, "const"), name)) continue;
        check_value(run, form, value, place);
        return;
    }
    if (counted(run)) return;
    choices = discriminator_choices(run, forms, key);
    tell_choices(run, choices, name, &at);
}

/* Whether a value of this type can have the form at all. */
static bool permits_type(const struct schema *schema, const json_t *form, const json_t *value) {
    const json_t *types = json_get(form, "type"), *choices = json_get(form, "enum");
    size_t i;
    json_t *choice;

    if (json_get(form, "$ref") && !types) return permits_type(schema, schema_resolve(schema, form), value);
    if (types) return has_type_of(value, types);
    if (!choices) return true;
    json_array_foreach(choices, i, choice) {
        if (json_typeof(choice) == json_typeof(value)) return true;
    }
    return false;
}

static void add_type(struct run *run, json_t *types, json_t *type) {
    size_t i;
    json_t *known;

    json_array_foreach(types, i, known) {
        if (json_equal(known, type)) return;
    }
    append(run, types, type);
}

/* `type` of a form, or of the texts it enumerates. */
static void add_form_types(struct run *run, const json_t *form, json_t *types) {
    json_t *own = json_get(schema_resolve(run->schema, form), "type");
    size_t i;
    json_t *type;

    if (!own && json_get(form, "enum")) {
        _cleanup_(json_decrefp) json_t *string = json_string("string");
        add_type(run, types, string);
    }
    if (json_is_string(own)) add_type(run, types, own);
    json_array_foreach(own, i, type) {
        add_type(run, types, type);
    }
}

static void tell_no_form(struct run *run, const json_t *forms, const json_t *value, const struct place *place) {
    _cleanup_(json_decrefp) json_t *types = json_array();
    size_t i;
    json_t *form;

    json_array_foreach(forms, i, form) {
        add_form_types(run, form, types);
    }
    tell_type(run, types, value, place);
}

struct choice {
    const json_t *form; /* of those that the value's type permits, the one with the fewest faults */
    size_t faults;
    size_t permitted, fitting;
};

static struct choice choose(struct run *run, const json_t *forms, const json_t *value, const struct place *place) {
    struct choice choice = {.faults = SIZE_MAX};
    size_t i;
    json_t *form;

    json_array_foreach(forms, i, form) {
        if (!permits_type(run->schema, form, value)) continue;
        size_t faults = count_faults(run, form, value, place);
        choice.permitted++;
        choice.fitting += faults == 0;
        if (faults >= choice.faults) continue;
        choice.faults = faults;
        choice.form = form;
    }
    return choice;
}

static void check_forms(struct run *run, const json_t *forms, const json_t *value, const struct place *place) {
    struct choice choice = choose(run, forms, value, place);
    struct str message = STR_INIT;

    if (choice.fitting == 1 || run->failed) return;
    if (choice.fitting == 0 && choice.form && run->faults) {
        check_value(run, choice.form, value, place);
        return;
    }
    if (counted(run)) return;
    if (choice.permitted == 0) {
        tell_no_form(run, forms, value, place);
        return;
    }
    str_printf(&message, "has %zu of the possible forms at once; expected exactly one", choice.fitting);
    tell(run, place, &message);
}

static void check_one_of(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    const json_t *forms = json_get(node, "oneOf");
    const char *key;

    if (!forms) return;
    if (only_required(forms)) {
        check_which_required(run, forms, value, place);
        return;
    }
    key = json_is_object(value) ? discriminator(run->schema, forms) : NULL;
    if (key) {
        check_by_discriminator(run, node, key, value, place);
        return;
    }
    check_forms(run, forms, value, place);
}

/* ---- the walk ---- */

static void check_reference(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    unsigned beside = json_object_size(node) > 1;

    if (!json_get(node, "$ref")) return;
    run->again += beside;
    check_value(run, schema_resolve(run->schema, node), value, place);
    run->again -= beside;
}

static void check_node(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    if (!check_type(run, node, value, place)) return;
    if (!check_const(run, node, value, place) || !check_enum(run, node, value, place)) return;
    if (json_is_string(value)) {
        check_length(run, node, value, place);
        check_pattern(run, node, value, place);
    }
    if (json_is_number(value)) check_number(run, node, value, place);
    if (json_is_array(value)) check_array(run, node, value, place);
    if (json_is_object(value)) {
        check_not(run, node, value, place);
        check_object(run, node, value, place);
    }
    check_one_of(run, node, value, place);
    check_reference(run, node, value, place);
}

static void check_value(struct run *run, const json_t *node, const json_t *value, const struct place *place) {
    struct str message = STR_INIT;

    if (run->failed || json_is_true(node)) return;
    if (json_is_false(node)) {
        if (counted(run)) return;
        str_add_text(&message, "is not allowed here");
        tell(run, place, &message);
        return;
    }
    if (run->depth == WALK_DEPTH_MAX) {
        run->failed = -ERR_INTERNAL;
        return;
    }
    run->depth++;
    check_node(run, node, value, place);
    run->depth--;
}

static void match_data_freep(pcre2_match_data **data) {
    pcre2_match_data_free(*data);
}

static void match_context_freep(pcre2_match_context **context) {
    pcre2_match_context_free(*context);
}

int schema_check(const struct schema *schema, const struct schema_check *check, const json_t *value,
                 struct faults *faults, struct err *err) {
    _cleanup_(match_data_freep) pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    _cleanup_(match_context_freep) pcre2_match_context *limits = pcre2_match_context_create(NULL);
    struct run run = {.schema = schema, .hint = check->hint, .faults = faults, .match = match, .limits = limits};
    struct place top = {NULL, check->at, 0};
    const json_t *node = schema->root;

    if (!match || !limits) return err_no_memory(err);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_heap_limit(limits, MATCH_HEAP_KIB);
    if (check->definition) node = json_get(json_get(schema->root, "$defs"), check->definition);
    if (!node) return err_set(err, ERR_INTERNAL, "the schema has no definition \"%s\"", check->definition);
    check_value(&run, node, value, &top);
    if (run.failed == -ERR_NO_MEMORY || faults->failed) return err_no_memory(err);
    if (run.failed) return err_set(err, ERR_INTERNAL, "a schema leads to itself without end");
    return 0;
}
