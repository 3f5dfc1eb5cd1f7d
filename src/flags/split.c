/* SPDX-License-Identifier: Apache-2.0 */
/* Only the plainest form is taken, with weights and variants that stand in the rule; whatever else there is goes by the rule. test_split.c holds the two to each other. */
#include "flags/flags_impl.h"

#include <string.h>

static int32_t variant_named(const struct flag *flag, const char *name) {
    for (uint32_t i = 0; i < flag->variant_count; i++)
        if (slice_equal_text(flag->variants[i].name, name)) return (int32_t)i;
    return FLAG_NO_VARIANT;
}

/* ["on", 20]; a weight that is not written is 1, one below 0 is 0. */
static bool read_part(const struct flag *flag, const json_t *entry, uint64_t *sum, struct flag_share *ret) {
    const char *name = json_string_value(json_array_get(entry, 0));
    const json_t *weight = json_array_get(entry, 1);
    if (!name || json_array_size(entry) > 2 || (weight && !json_is_integer(weight))) return false;
    ret->variant = variant_named(flag, name);
    json_int_t number = weight ? json_integer_value(weight) : 1;
    if (ret->variant == FLAG_NO_VARIANT || number > INT32_MAX) return false;
    *sum += number > 0 ? (uint64_t)number : 0;
    ret->end = (uint32_t)*sum;
    return *sum <= INT32_MAX;
}

static bool read_parts(const struct flag *flag, const json_t *entries, struct flag_split *split) {
    uint64_t sum = 0;
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (!read_part(flag, json_array_get(entries, i), &sum, &split->parts[i])) return false;
    split->total = (uint32_t)sum;
    split->count = (uint32_t)json_array_size(entries);
    split->key = murmur_add(MURMUR_START, flag->key);
    return sum > 0;
}

void flag_read_split(struct reading *reading) {
    struct flag *flag = reading->flag;
    const json_t *rule = json_get(reading->members.object, "targeting"), *entries = json_get(rule, "fractional");
    size_t count = json_array_size(entries);
    if (!flag->targeting || json_object_size(rule) != 1 || !count) return;
    struct flag_split *split = arena_alloc(&flag->arena, sizeof(*split) + count * sizeof(struct flag_share));
    reading->no_memory |= !split;
    if (split && read_parts(flag, entries, split)) flag->split = split;
}
