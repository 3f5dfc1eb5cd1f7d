/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing. One walk serves all forms: the canonical one of RFC 8785, on whose bytes the hashes of the
 * project stand, the compact one for values whose readers tell 1.0 from 1, and the indented one for people. They differ in white space,
 * in whether keys are sorted, and in that only the canonical one refuses numbers.
 */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define INTEGER_MAX (INT64_C(1) << 53)
#define INTEGER_FORM_END 1e21 /* from here on ECMAScript writes an exponent */

struct writer {
    struct str *out;
    struct err *err;
    unsigned indent;
    bool sorted, canonical;
    bool compact;    /* in one line, as the canonical form is */
    bool keep_reals; /* 1.0 stays 1.0 */
};

/* The way from the top to a value, on the stack of the walk; told only when something is wrong there. */
struct place {
    const struct place *parent;
    const char *key; /* NULL: `index` counts */
    size_t index;
    unsigned depth;
};

static int write_value(struct writer *w, const json_t *value, const struct place *place);

static void place_text(const struct place *place, struct str *out) {
    if (!place->parent) return;
    place_text(place->parent, out);
    if (place->key)
        json_pointer_add(out, place->key);
    else
        json_pointer_add_index(out, place->index);
}

static void set_place(struct err *err, const struct place *place) {
    struct str pointer = STR_INIT;
    place_text(place, &pointer);
    if (pointer.data) err_at(err, "%s", pointer.data);
    str_deinit(&pointer);
}

static int refuse_number(struct writer *w, const struct place *place, const char *number) {
    int r = err_set(w->err, ERR_INVALID, "%s is an integer beyond 2^53 (%" PRId64 "), which JSON cannot hold exactly",
                    number, INTEGER_MAX);
    err_remedy(w->err, "Write the number as a text, or take a smaller one");
    set_place(w->err, place);
    return r;
}

static int write_integer(struct writer *w, json_int_t value, const struct place *place) {
    if (w->canonical && (value > INTEGER_MAX || value < -INTEGER_MAX)) {
        struct str number = STR_INIT;
        str_add_int(&number, value);
        int r = refuse_number(w, place, number.data ? number.data : "the number");
        str_deinit(&number);
        return r;
    }
    str_add_int(w->out, value);
    return 0;
}

static int write_real(struct writer *w, double value, const struct place *place) {
    double size = fabs(value);
    if (w->canonical && size > (double)INTEGER_MAX && size < INTEGER_FORM_END) {
        struct str number = STR_INIT;
        json_add_double(&number, value);
        int r = refuse_number(w, place, number.data ? number.data : "the number");
        str_deinit(&number);
        return r;
    }
    json_add_double(w->out, value);
    if (w->keep_reals && value == trunc(value) && size < INTEGER_FORM_END) str_add_text(w->out, ".0");
    return 0;
}

/* UTF-16 code unit order of UTF-8 texts. It is the order of the bytes but for one thing: characters past
 * U+FFFF (lead bytes from F0) are surrogates D800…DFFF in UTF-16 and so stand before U+E000…U+FFFF (lead
 * bytes EE and EF). */
static int compare_keys(const void *left, const void *right) {
    const unsigned char *a = *(const unsigned char *const *)left, *b = *(const unsigned char *const *)right;
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (*a >= 0xEE && *b >= 0xEE && (*a >= 0xF0) != (*b >= 0xF0)) return *a >= 0xF0 ? -1 : 1;
    return *a - *b;
}

static void new_line(struct writer *w, unsigned depth) {
    if (w->compact) return;
    str_add_char(w->out, '\n');
    for (unsigned i = 0; i < depth * w->indent; i++)
        str_add_char(w->out, ' ');
}

static int write_member(struct writer *w, const char *key, const json_t *value, const struct place *place) {
    new_line(w, place->depth);
    str_add_json(w->out, key, strlen(key));
    str_add_char(w->out, ':');
    if (!w->compact) str_add_char(w->out, ' ');
    return write_value(w, value, place);
}

static const char **keys_new(const json_t *object, bool sorted) {
    const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys)), *key;
    if (!keys) return NULL;
    size_t count = 0;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) keys[count++] = key;
    if (sorted) qsort(keys, count, sizeof(*keys), compare_keys);
    return keys;
}

static int write_object(struct writer *w, const json_t *object, const struct place *place) {
    _cleanup_(freep) const char **keys = keys_new(object, w->sorted);
    if (!keys) return err_no_memory(w->err);
    str_add_char(w->out, '{');
    for (const char **key = keys; *key; key++) {
        if (key != keys) str_add_char(w->out, ',');
        struct place member = {.parent = place, .key = *key, .depth = place->depth + 1};
        int r = write_member(w, *key, json_object_get(object, *key), &member);
        if (r < 0) return r;
    }
    if (keys[0]) new_line(w, place->depth);
    str_add_char(w->out, '}');
    return 0;
}

static int write_array(struct writer *w, const json_t *array, const struct place *place) {
    size_t count = json_array_size(array);
    str_add_char(w->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) str_add_char(w->out, ',');
        struct place item = {.parent = place, .index = i, .depth = place->depth + 1};
        new_line(w, item.depth);
        int r = write_value(w, json_array_get(array, i), &item);
        if (r < 0) return r;
    }
    if (count) new_line(w, place->depth);
    str_add_char(w->out, ']');
    return 0;
}

static int write_value(struct writer *w, const json_t *value, const struct place *place) {
    if (place->depth > JSON_DEPTH_MAX) {
        int r = err_set(w->err, ERR_INVALID, "nested deeper than %d levels", JSON_DEPTH_MAX);
        set_place(w->err, place);
        return r;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_object(w, value, place);
    case JSON_ARRAY:
        return write_array(w, value, place);
    case JSON_STRING:
        str_add_json(w->out, json_string_value(value), json_string_length(value));
        return 0;
    case JSON_INTEGER:
        return write_integer(w, json_integer_value(value), place);
    case JSON_REAL:
        return write_real(w, json_real_value(value), place);
    case JSON_TRUE:
    case JSON_FALSE:
        str_add_text(w->out, json_is_true(value) ? "true" : "false");
        return 0;
    default:
        str_add_text(w->out, "null");
        return 0;
    }
}

static int write_top(struct writer *w, const json_t *value) {
    struct place top = {0};
    int r = write_value(w, value, &top);
    if (r < 0) return r;
    return w->out->failed ? err_no_memory(w->err) : 0;
}

int json_canonical(const json_t *value, struct str *out, struct err *err) {
    struct writer w = {.out = out, .err = err, .sorted = true, .canonical = true, .compact = true};
    return write_top(&w, value);
}

int json_compact(const json_t *value, struct str *out) {
    struct writer w = {.out = out, .sorted = true, .compact = true, .keep_reals = true};
    return write_top(&w, value);
}

int json_pretty(const json_t *value, unsigned indent, bool sorted, struct str *out) {
    struct writer w = {.out = out, .indent = indent, .sorted = sorted, .keep_reals = true};
    return write_top(&w, value);
}
