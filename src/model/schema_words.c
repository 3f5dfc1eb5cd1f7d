/* SPDX-License-Identifier: Apache-2.0 */
/* The words for values, types and choices in the messages of the schema's interpreter. */
#include "model/model_impl.h"

#include <string.h>

#define CHOICES_SHOWN 16

static const struct type_words {
    const char *name, *words;
} type_words[] = {
    {"string", "a string"},    {"object", "an object"},      {"array", "an array"}, {"number", "a number"},
    {"integer", "an integer"}, {"boolean", "true or false"}, {"null", "null"},
};

void words_add_value(struct str *out, const json_t *value) {
    char shown[SHOW_SIZE];

    switch (json_typeof(value)) {
    case JSON_OBJECT:
        str_add_text(out, "an object");
        break;
    case JSON_ARRAY:
        str_add_text(out, "an array");
        break;
    case JSON_STRING:
        show_slice((struct slice){json_string_value(value), json_string_length(value)}, shown);
        str_printf(out, "\"%s\"", shown);
        break;
    case JSON_INTEGER:
        str_add_int(out, json_integer_value(value));
        break;
    case JSON_REAL:
        json_add_double(out, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        str_add_text(out, json_is_true(value) ? "true" : "false");
        break;
    default:
        str_add_text(out, "null");
    }
}

static void add_type(struct str *out, const char *name, bool first) {
    for (size_t i = 0; i < ARRAY_LEN(type_words); i++) {
        if (strcmp(type_words[i].name, name) != 0) continue;
        if (!first) str_add_text(out, " or ");
        str_add_text(out, type_words[i].words);
    }
}

void words_add_types(struct str *out, const json_t *types) {
    size_t i;
    json_t *type;

    if (json_is_string(types)) {
        add_type(out, json_string_value(types), true);
        return;
    }
    json_array_foreach(types, i, type) {
        add_type(out, json_string_value(type), i == 0);
    }
}

void words_add_choices(struct str *out, const json_t *choices) {
    size_t i;
    json_t *choice;

    json_array_foreach(choices, i, choice) {
        if (i > 0) str_add_text(out, ", ");
        if (i == CHOICES_SHOWN) {
            str_add_text(out, "…");
            return;
        }
        words_add_value(out, choice);
    }
}

void words_add_nearest_choice(struct str *out, const json_t *choices, const json_t *found) {
    size_t i;
    json_t *choice;

    if (!json_is_string(found) || secret_kind(slice_of(json_string_value(found)))) return;
    struct suggestion near = SUGGESTION_INIT(json_string_value(found));
    json_array_foreach(choices, i, choice) {
        if (json_is_string(choice)) suggestion_try(&near, json_string_value(choice));
    }
    if (near.best) str_printf(out, "; did you mean \"%s\"?", near.best);
}

/* The keys nearest to the wrong one, or all of them when they are few. */
void words_add_keys(struct str *out, const json_t *properties, const char *wrong) {
    const char *key;
    json_t *value;
    bool first = true;

    struct suggestion near = SUGGESTION_INIT(wrong);
    json_object_foreach((json_t *)properties, key, value) {
        suggestion_try(&near, key);
    }
    if (near.best) {
        str_printf(out, "; did you mean \"%s\"?", near.best);
        return;
    }
    if (json_object_size(properties) > CHOICES_SHOWN) return;
    json_object_foreach((json_t *)properties, key, value) {
        str_printf(out, "%s\"%s\"", first ? "; known here: " : ", ", key);
        first = false;
    }
}
