/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flag from its definition. The rules of flagd's schema, and those that it leaves to the moment of evaluation: a default that is no variant, variants of several types,
 * a rule that cannot be compiled. Numbers keep the form in which they were written, because clients of typed languages tell 1.0 from 1.
 */
#include "flags/flags_impl.h"

#include "base/suggest.h"
#include "model/show.h"

#include <string.h>

/* ---- names ---- */

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool flag_evaluator_name_valid(struct slice name) {
    if (name.len < 1 || name.len > FLAG_KEY_MAX || !is_plain(name.ptr[0])) return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_plain(name.ptr[i]) && !memchr("._-", name.ptr[i], 3)) return false;
    return true;
}

bool flag_key_valid(struct slice key) {
    struct slice prefix = SLICE_LIT(FLAG_AGENT_PREFIX);
    bool agent = key.len >= prefix.len && !memcmp(key.ptr, prefix.ptr, prefix.len);
    return flag_evaluator_name_valid(key) && !agent;
}

const char *flag_type_name(enum flag_type type) {
    static const char *const names[] = {"boolean", "string", "number", "object"};
    return names[type];
}

/* ---- memory ---- */

struct flag *flag_ref(struct flag *flag) {
    atomic_fetch_add_explicit(&flag->count, 1, memory_order_relaxed);
    return flag;
}

struct flag *flag_unref(struct flag *flag) {
    if (!flag || atomic_fetch_sub_explicit(&flag->count, 1, memory_order_acq_rel) != 1) return NULL;
    logic_free(flag->targeting);
    arena_deinit(&flag->arena);
    free(flag);
    return NULL;
}

struct slice reading_keep(struct reading *reading, struct slice text) {
    const char *copy = arena_strndup(&reading->flag->arena, text.ptr, text.len);
    reading->no_memory |= !copy;
    return copy ? (struct slice){copy, text.len} : (struct slice){0};
}

struct slice reading_keep_json(struct reading *reading, const json_t *value) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    reading->no_memory |= json_compact(value, &text) < 0;
    return reading->no_memory ? (struct slice){0} : reading_keep(reading, str_slice(&text));
}

/* ---- variants ---- */

/* False: a value of no type that a flag can have. */
static bool type_of(const json_t *value, enum flag_type *ret) {
    if (json_is_boolean(value))
        *ret = FLAG_BOOLEAN;
    else if (json_is_string(value))
        *ret = FLAG_STRING;
    else if (json_is_number(value))
        *ret = FLAG_NUMBER;
    else if (json_is_object(value))
        *ret = FLAG_OBJECT;
    else
        return false;
    return true;
}

static bool variant_name_valid(const char *name) {
    size_t len = strlen(name);
    return len >= 1 && len <= FLAG_KEY_MAX;
}

/* Keys need no escapes. */
static void keep_member(struct reading *reading, const json_t *value, struct flag_variant *ret) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    str_printf(&text, "\"%s\":", reading->source->key);
    size_t before = text.len;
    reading->no_memory |= json_compact(value, &text) < 0;
    if (reading->no_memory) return;
    ret->member = reading_keep(reading, str_slice(&text));
    if (ret->member.ptr) ret->value = (struct slice){ret->member.ptr + before, ret->member.len - before};
}

static void read_variant(struct reading *reading, const struct place *at, const json_t *value, bool first,
                         struct flag_variant *ret) {
    enum flag_type type = FLAG_BOOLEAN;
    char shown[SHOW_SIZE];
    if (!variant_name_valid(at->key))
        (void)place_fault(reading->members.faults, at, "a variant's name must have 1 to %d bytes", FLAG_KEY_MAX);
    if (!type_of(value, &type)) {
        (void)place_fault(reading->members.faults, at, "must be true or false, text, a number or an object");
        return;
    }
    if (first) reading->flag->type = type;
    if (type != reading->flag->type)
        (void)place_fault(reading->members.faults, at,
                          "is of type %s, but the variants before are of type %s: all have one type",
                          flag_type_name(type), flag_type_name(reading->flag->type));
    ret->name = reading_keep(reading, slice_of(at->key));
    ret->is_false = json_is_false(value);
    keep_member(reading, value, ret);
    if (ret->value.len > FLAG_VALUE_MAX)
        (void)place_fault(reading->members.faults, at, "the value of %s has %zu bytes; at most %d are taken",
                          show_text(at->key, shown), ret->value.len, FLAG_VALUE_MAX);
}

static int by_name(const void *a, const void *b) {
    const struct flag_variant *x = a, *y = b;
    return strcmp(x->name.ptr, y->name.ptr);
}

static void read_variants(struct reading *reading) {
    const json_t *variants = json_get(reading->members.object, "variants");
    size_t count = json_object_size(variants), used = 0;
    const char *name;
    json_t *value;
    if (!json_is_object(variants) || count < 1 || count > FLAG_VARIANTS_MAX) {
        READING_FAULT(reading, "variants",
                      "%s: an object of 1 to %d values by their names, as {\"on\": true, \"off\": false}",
                      variants ? "is wrong" : "is missing", FLAG_VARIANTS_MAX);
        return;
    }
    struct flag_variant *list = arena_array(&reading->flag->arena, count, sizeof(*list));
    reading->no_memory |= !list;
    struct place place = {.parent = &reading->members.place, .key = "variants"};
    json_object_foreach((json_t *)variants, name, value) {
        struct place at = {.parent = &place, .key = name};
        if (reading->no_memory) return;
        list[used] = (struct flag_variant){0};
        read_variant(reading, &at, value, used == 0, &list[used]);
        if (list[used].name.ptr) used++;
    }
    if (reading->no_memory) return;
    qsort(list, used, sizeof(*list), by_name);
    reading->flag->variants = list;
    reading->flag->variant_count = (uint32_t)used;
}

static int32_t find_variant(const struct flag *flag, struct slice name) {
    for (uint32_t i = 0; i < flag->variant_count; i++)
        if (slice_equal(flag->variants[i].name, name)) return (int32_t)i;
    return FLAG_NO_VARIANT;
}

static void read_default(struct reading *reading) {
    const json_t *found = json_get(reading->members.object, "defaultVariant");
    struct flag *flag = reading->flag;
    flag->default_variant = FLAG_NO_VARIANT;
    if (!found || json_is_null(found)) return;
    if (json_is_string(found)) flag->default_variant = find_variant(flag, slice_of(json_string_value(found)));
    if (flag->default_variant != FLAG_NO_VARIANT || !flag->variant_count) return;
    char shown[SHOW_SIZE];
    const char *text = json_string_value(found);
    struct suggestion suggestion = SUGGESTION_INIT(text ? text : "");
    for (uint32_t i = 0; i < flag->variant_count && text; i++)
        suggestion_try(&suggestion, flag->variants[i].name.ptr);
    if (!text)
        READING_FAULT(reading, "defaultVariant", "must be the name of a variant, or null for the caller's own default");
    else
        READING_FAULT(reading, "defaultVariant", "there is no variant \"%s\"%s%s%s", show_text(text, shown),
                      suggestion.best ? "; did you mean \"" : "", suggestion.best ? suggestion.best : "",
                      suggestion.best ? "\"?" : "");
}

/* ---- targeting and metadata ---- */

static void read_targeting(struct reading *reading, struct err *err) {
    const json_t *rule = json_get(reading->members.object, "targeting");
    _cleanup_(str_deinit) struct str at = STR_INIT;
    if (!rule || (json_is_object(rule) && !json_object_size(rule))) return;
    if (!json_is_object(rule)) {
        READING_FAULT(reading, "targeting", "must be a rule: an object");
        return;
    }
    place_pointer(&(struct place){.parent = &reading->members.place, .key = "targeting"}, &at);
    struct logic_source source = {
        .rule = rule, .at = at.data, .evaluators = reading->source->evaluators, .flagd = true};
    if (at.failed) {
        reading->no_memory = true;
        return;
    }
    int r = logic_compile_source(&source, &reading->flag->targeting, reading->members.faults, err);
    reading->no_memory |= r == -ERR_NO_MEMORY;
}

void flag_metadata_check(const json_t *metadata, const char *at, struct faults *faults) {
    struct place top = {.key = at};
    const char *name;
    json_t *value;
    if (!json_is_object(metadata) || json_object_size(metadata) > FLAG_METADATA_MAX) {
        (void)place_fault(faults, &top, "must be an object of at most %d members", FLAG_METADATA_MAX);
        return;
    }
    json_object_foreach((json_t *)metadata, name, value) {
        struct place place = {.parent = &top, .key = name};
        if (!json_is_boolean(value) && !json_is_string(value) && !json_is_number(value))
            (void)place_fault(faults, &place, "must be true or false, text or a number");
    }
}

static void check_metadata(struct reading *reading) {
    const json_t *metadata = json_get(reading->members.object, "metadata");
    _cleanup_(str_deinit) struct str at = STR_INIT;
    if (!metadata) return;
    place_pointer(&(struct place){.parent = &reading->members.place, .key = "metadata"}, &at);
    reading->no_memory |= at.failed;
    if (!at.failed) flag_metadata_check(metadata, at.data, reading->members.faults);
}

void flag_metadata_drop_reserved(json_t *metadata) {
    static const char *const reserved[] = {"version", "flagSetId", "contextId"};
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        (void)json_object_del(metadata, reserved[i]);
}

/* The flag's own members, then those of the environment that it does not have; without the braces. */
static void merge_metadata(struct reading *reading) {
    const json_t *own = json_get(reading->members.object, "metadata");
    const json_t *shared = reading->source->metadata;
    _cleanup_(json_decrefp) json_t *all = json_object();
    reading->no_memory |= !all || (shared && json_object_update(all, (json_t *)shared) < 0) ||
                          (own && json_object_update(all, (json_t *)own) < 0);
    if (reading->no_memory) return;
    flag_metadata_drop_reserved(all);
    struct slice text = reading_keep_json(reading, all);
    if (text.len >= 2) reading->flag->metadata = (struct slice){text.ptr + 1, text.len - 2};
}

/* ---- the whole ---- */

static void read_state(struct reading *reading) {
    if (!json_get(reading->members.object, "state")) READING_FAULT(reading, "state", "is missing: ENABLED or DISABLED");
    reading->flag->enabled = member_word(&reading->members, "state", "ENABLED", "DISABLED", 1) == 0;
}

static void read_definition(struct reading *reading, struct err *err) {
    static const char *const known[] = {"state", "variants", "defaultVariant", "targeting", "metadata", NULL};
    if (!members_is_object(&reading->members)) return;
    members_only(&reading->members, known);
    read_state(reading);
    read_variants(reading);
    if (!reading->no_memory) read_default(reading);
    if (!reading->no_memory) read_targeting(reading, err);
    if (!reading->no_memory) check_metadata(reading);
    if (!reading->no_memory) reading->flag->definition = reading_keep_json(reading, reading->members.object);
    if (reading->flag->definition.len > FLAG_DEFINITION_MAX)
        (void)place_fault(reading->members.faults, &reading->members.place,
                          "the definition has %zu bytes; at most %d are taken", reading->flag->definition.len,
                          FLAG_DEFINITION_MAX);
}

int flag_new(const struct flag_source *source, struct flag **ret, struct faults *faults, struct err *err) {
    _cleanup_(flag_unrefp) struct flag *flag = aligned_alloc(FLAG_LINE, sizeof(*flag));
    if (!flag) return err_no_memory(err);
    *flag = (struct flag){.count = 1};
    flag->seq = source->seq;
    size_t before = faults->errors;
    struct reading reading = {{source->definition, {.key = source->at}, faults}, flag, source, false};
    flag->key = reading_keep(&reading, slice_of(source->key));
    if (!flag_key_valid(slice_of(source->key)))
        (void)place_fault(faults, &reading.members.place,
                          "a flag's key must be 1 to %d of letters, digits, . _ and -, a letter or digit first; "
                          "\"agent.…\" are the agents themselves",
                          FLAG_KEY_MAX);
    read_definition(&reading, err);
    if (!reading.no_memory) flag_read_bindings(&reading);
    if (!reading.no_memory && faults->errors == before) merge_metadata(&reading);
    if (!reading.no_memory && faults->errors == before) flag_read_split(&reading);
    if (reading.no_memory || faults->failed) return err_no_memory(err);
    if (faults->errors > before) return err_set(err, ERR_INVALID, "the flag %s is not in order", source->key);
    *ret = TAKE_PTR(flag);
    return 0;
}
