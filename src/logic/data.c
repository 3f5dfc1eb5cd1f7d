/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts as values: built piece by piece in a caller's memory, or from a parsed one. Members and items of one object or list lie together. */
#include "logic/logic_impl.h"

#include <string.h>

void logic_build_init(struct logic_build *build, void *memory, size_t size) {
    size -= size % sizeof(struct logic_member);
    *build = (struct logic_build){.members = memory, .end = (char *)memory + size};
}

static size_t room_left(const struct logic_build *build) {
    return (size_t)(build->end - (const char *)(build->members + build->open));
}

bool logic_build_add(struct logic_build *build, struct slice name, struct logic_value value) {
    if (room_left(build) < sizeof(*build->members)) return false;
    build->members[build->open++] = (struct logic_member){name, value};
    return true;
}

/* From what is open to behind the end of it. Each piece is copied once: those inside were closed before. One byte at least, so that no two are the same. */
bool logic_build_close(struct logic_build *build, uint32_t mark, enum logic_type type, struct logic_value *ret) {
    uint32_t count = build->open - mark;
    size_t each = type == LOGIC_OBJECT ? sizeof(struct logic_member) : sizeof(struct logic_value);
    size_t need = (count ? count : 1) * each;
    if (room_left(build) < need) return false;
    build->end -= need;
    struct logic_value *items = (struct logic_value *)(void *)build->end;
    if (type == LOGIC_OBJECT && count) memcpy(items, build->members + mark, need);
    for (uint32_t i = 0; type == LOGIC_LIST && i < count; i++)
        items[i] = build->members[mark + i].value;
    build->open = mark;
    *ret = (struct logic_value){.type = (uint8_t)type, .count = count, .items = items};
    return true;
}

/* ---- of a parsed value ---- */

static int from_list(const json_t *list, struct arena *arena, struct logic_value *ret) {
    size_t count = json_array_size(list);
    struct logic_value *items = arena_array(arena, count + 1, sizeof(*items));
    if (!items) return -ERR_NO_MEMORY;
    *ret = (struct logic_value){.type = LOGIC_LIST, .count = (uint32_t)count, .items = items};
    for (size_t i = 0; i < count; i++)
        if (logic_from_json(json_array_get(list, i), arena, items + i) < 0) return -ERR_NO_MEMORY;
    return 0;
}

static int from_object(const json_t *object, struct arena *arena, struct logic_value *ret) {
    size_t count = json_object_size(object), i = 0;
    struct logic_member *members = arena_array(arena, count + 1, sizeof(*members));
    const char *name;
    size_t len;
    json_t *value;
    if (!members) return -ERR_NO_MEMORY;
    *ret = (struct logic_value){.type = LOGIC_OBJECT, .count = (uint32_t)count, .members = members};
    json_object_keylen_foreach((json_t *)(uintptr_t)object, name, len, value) { /* jansson's iterators change nothing */
        members[i].name = (struct slice){name, len};
        if (logic_from_json(value, arena, &members[i++].value) < 0) return -ERR_NO_MEMORY;
    }
    return 0;
}

int logic_from_json(const json_t *json, struct arena *arena, struct logic_value *ret) {
    *ret = logic_null();
    if (json_is_array(json)) return from_list(json, arena, ret);
    if (json_is_object(json)) return from_object(json, arena, ret);
    if (json_is_boolean(json)) *ret = logic_bool(json_is_true(json));
    if (json_is_number(json)) *ret = logic_number(json_number_value(json));
    if (json_is_string(json)) *ret = logic_text((struct slice){json_string_value(json), json_string_length(json)});
    return 0;
}
