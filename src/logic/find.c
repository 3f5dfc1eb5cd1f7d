/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where `var`, `missing` and `missing_some` look: down the names of a path, through objects by name and through lists by number. Only what JSON has is there: a
 * text has no members, and nothing has JavaScript's (`length`, `constructor`).
 */
#include "logic/logic_impl.h"

#include <string.h>

#define INDEX_DIGITS 9

/* As JavaScript writes it: digits without a zero before them. */
static bool index_of(struct slice name, size_t *ret) {
    if (!name.len || name.len > INDEX_DIGITS || (name.ptr[0] == '0' && name.len > 1)) return false;
    *ret = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') return false;
        *ret = *ret * 10 + (size_t)(name.ptr[i] - '0');
    }
    return true;
}

const struct logic_value *logic_get(const struct logic_value *value, struct slice name) {
    size_t index;
    if (value->type == LOGIC_OBJECT) return member_of(value, name);
    if (value->type != LOGIC_LIST || !index_of(name, &index) || index >= value->count) return NULL;
    return value->items + index;
}

const struct logic_value *find_name(struct machine *machine, const struct logic_value *data, struct slice name) {
    if (data->type == LOGIC_OBJECT && data->count > NAMES_A_STEP)
        (void)machine_spend(machine, data->count / NAMES_A_STEP);
    return logic_get(data, name);
}

const struct logic_value *find_names(struct machine *machine, const struct logic_value *names, size_t count) {
    const struct logic_value *at = &machine->data;
    for (size_t i = 0; i < count && at; i++)
        at = find_name(machine, at, logic_slice(names + i));
    return at;
}

/* ---- $flagd ---- */

const struct logic_value *find_flagd(struct machine *machine) {
    const struct logic_context *context = machine->context;
    if (!context || !context->flag_key.ptr) return NULL;
    /* The object and its two members, each as large as two values. */
    struct logic_value *flagd = machine_values(machine, 5);
    if (!flagd) return NULL;
    struct logic_member *members = (struct logic_member *)(void *)(flagd + 1);
    members[0] = (struct logic_member){SLICE_LIT("flagKey"), logic_text(context->flag_key)};
    members[1] = (struct logic_member){SLICE_LIT("timestamp"), logic_number((double)context->timestamp)};
    *flagd = (struct logic_value){.type = LOGIC_OBJECT, .count = 2, .members = members};
    return flagd;
}

/* ---- paths that are computed ---- */

/* The first name of a path, up to a dot; `path` goes on behind it, and ends without `ptr`. */
static struct slice next_name(struct slice *path) {
    const char *dot = path->len ? memchr(path->ptr, '.', path->len) : NULL;
    struct slice name = {path->ptr, dot ? (size_t)(dot - path->ptr) : path->len};
    *path = dot ? (struct slice){dot + 1, path->len - name.len - 1} : (struct slice){NULL, 0};
    return name;
}

const struct logic_value *find_path(struct machine *machine, const struct logic_value *path) {
    if (path->type == LOGIC_NULL) return &machine->data;
    char *low = machine->low;
    struct slice rest = machine_text(machine, path);
    if (!rest.len) return &machine->data;
    struct slice name = next_name(&rest);
    bool flagd = !machine->scoped && slice_equal(name, SLICE_LIT("$flagd"));
    const struct logic_value *at = flagd ? find_flagd(machine) : find_name(machine, &machine->data, name);
    while (rest.ptr && at)
        at = find_name(machine, at, next_name(&rest));
    if (!flagd) machine->low = low;
    return at;
}

/* ---- missing ---- */

static bool is_missing(struct machine *machine, const struct logic_value *key) {
    const struct logic_value *found = find_path(machine, key);
    (void)machine_spend(machine, 1);
    return !found || found->type == LOGIC_NULL || (found->type == LOGIC_TEXT && !found->count);
}

struct logic_value find_missing(struct machine *machine, const struct logic_value *keys, size_t count) {
    if (count && keys->type == LOGIC_LIST) {
        count = keys->count;
        keys = keys->items;
    }
    struct logic_value *missing = machine_values(machine, count);
    uint32_t found = 0;
    for (size_t i = 0; missing && i < count && !machine->outcome; i++)
        if (is_missing(machine, keys + i)) missing[found++] = keys[i];
    return (struct logic_value){.type = LOGIC_LIST, .count = found, .items = missing};
}

/* {"missing_some": [how many are needed, keys]}: the missing ones, unless enough are there. */
struct logic_value find_missing_some(struct machine *machine, const struct logic_value *arguments) {
    struct logic_value missing = find_missing(machine, arguments + 1, 1);
    size_t count = arguments[1].type == LOGIC_LIST ? arguments[1].count : 1;
    if ((double)(count - missing.count) >= value_number(arguments)) missing.count = 0;
    return missing;
}
