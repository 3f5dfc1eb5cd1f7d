/* SPDX-License-Identifier: Apache-2.0 */
/* What a flag does to configurations: [{agent, tool | guardrail | parameter}]. Its type must fit: what can be removed needs a boolean. */
#include "flags/flags_impl.h"

#include "model/names.h"

#include <string.h>

#define NAME_MAX 128

const char *flag_binding_kind_name(enum flag_binding_kind kind) {
    static const char *const names[] = {"tool", "guardrail", "parameter"};
    return names[kind];
}

/* Which of the three it names; false: none, or several. */
static bool read_kind(const struct members *members, enum flag_binding_kind *ret) {
    int found = 0;
    for (int kind = FLAG_TOOL; kind <= FLAG_PARAMETER; kind++) {
        if (!json_get(members->object, flag_binding_kind_name((enum flag_binding_kind)kind))) continue;
        *ret = (enum flag_binding_kind)kind;
        found++;
    }
    if (found == 1) return true;
    (void)place_fault(members->faults, &members->place, "must name one of tool, guardrail and parameter");
    return false;
}

static bool is_agent(const char *text) {
    return text && (!strcmp(text, FLAG_EVERY_AGENT) || name_valid(slice_of(text)));
}

static void read_binding(struct reading *reading, const struct members *members, struct flag_binding *ret) {
    static const char *const known[] = {"agent", "tool", "guardrail", "parameter", NULL};
    if (!members_is_object(members)) return;
    members_only(members, known);
    const char *agent = json_get_text(members->object, "agent");
    if (!is_agent(agent)) MEMBER_FAULT(members, "agent", "must be an agent's name, or \"*\" for all");
    if (!read_kind(members, &ret->kind)) return;
    const char *what = flag_binding_kind_name(ret->kind), *name = json_get_text(members->object, what);
    size_t len = name ? strlen(name) : 0;
    if (len < 1 || len > NAME_MAX) MEMBER_FAULT(members, what, "must be a name of 1 to %d bytes", NAME_MAX);
    if (ret->kind != FLAG_PARAMETER && reading->flag->variant_count && reading->flag->type != FLAG_BOOLEAN)
        MEMBER_FAULT(members, what, "a %s is on or off: the flag's variants must be true and false, and are of type %s",
                     what, flag_type_name(reading->flag->type));
    ret->agent = reading_keep(reading, slice_of(agent));
    ret->name = reading_keep(reading, slice_of(name));
}

static bool same(const struct flag_binding *a, const struct flag_binding *b) {
    return a->kind == b->kind && slice_equal(a->agent, b->agent) && slice_equal(a->name, b->name);
}

static void refuse_twice(const struct members *members, const struct flag_binding *list, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (list[i].name.len && same(&list[i], &list[j]))
            (void)place_fault(members->faults, &members->place, "stands in the list already");
}

void flag_read_bindings(struct reading *reading) {
    const json_t *bindings = reading->source->bindings;
    struct place top = {.key = reading->source->bindings_at};
    size_t count = json_array_size(bindings);
    if (bindings && (!json_is_array(bindings) || count > FLAG_BINDINGS_MAX)) {
        (void)place_fault(reading->members.faults, &top, "must be a list of at most %d bindings", FLAG_BINDINGS_MAX);
        return;
    }
    struct flag_binding *list = arena_array(&reading->flag->arena, count + 1, sizeof(*list));
    reading->no_memory |= !list;
    for (size_t i = 0; i < count && !reading->no_memory; i++) {
        struct members members = {json_array_get(bindings, i), {.parent = &top, .index = i}, reading->members.faults};
        list[i] = (struct flag_binding){0};
        read_binding(reading, &members, &list[i]);
        refuse_twice(&members, list, i);
    }
    if (reading->no_memory) return;
    reading->flag->bindings = list;
    reading->flag->binding_count = (uint32_t)count;
    reading->flag->bound = bindings ? reading_keep_json(reading, bindings) : SLICE_LIT("[]");
}
