/* SPDX-License-Identifier: Apache-2.0 */
/* What rules look into, of a request's query; and when a session began. */
#include "api/api_impl.h"

#include <string.h>

#define DEPTH_MAX 8 /* of the dots in a name; what is behind them stays one name */

/* ---- of a query ---- */

/* An object in the making: all arguments whose paths begin alike. */
struct query_object {
    struct http_request *request;
    struct logic_build *build;
    struct slice prefix; /* of the paths of its members, with the dot */
    uint32_t mark;
    unsigned depth;
};

/* The path that an argument has in a context; without `ptr`: it is none of it. */
static struct slice path_of(const char *name) {
    if (strncmp(name, "attr.", 5) == 0) return slice_of(name + 5);
    if (strcmp(name, "key") == 0) return SLICE_LIT("targetingKey");
    return strncmp(name, "session.", 8) == 0 ? slice_of(name) : (struct slice){NULL, 0};
}

static bool has_member(const struct query_object *object, struct slice name) {
    for (uint32_t i = object->mark; i < object->build->open; i++)
        if (slice_equal(object->build->members[i].name, name)) return true;
    return false;
}

static bool build_object(struct query_object *object, struct logic_value *ret);

/* The first of a name, as for all arguments; with it all that have the same name up to the dot. 1: there is no more room. */
static int add_argument(void *ctx, const char *argument, const char *text) {
    struct query_object *object = ctx;
    struct slice path = path_of(argument), prefix = object->prefix;
    if (!path.ptr || path.len < prefix.len || (prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) != 0)) return 0;
    struct slice name = {path.ptr + prefix.len, path.len - prefix.len};
    const char *dot = name.len && object->depth < DEPTH_MAX ? memchr(name.ptr, '.', name.len) : NULL;
    if (dot) name.len = (size_t)(dot - name.ptr);
    if (has_member(object, name)) return 0;
    struct logic_value value = logic_text(slice_of(text));
    struct query_object inner = *object;
    inner.prefix.ptr = path.ptr;
    inner.prefix.len = prefix.len + name.len + 1;
    inner.depth++;
    if (dot && !build_object(&inner, &value)) return 1;
    return !logic_build_add(object->build, name, value);
}

static bool build_object(struct query_object *object, struct logic_value *ret) {
    object->mark = object->build->open;
    return http_query_each(object->request, add_argument, object) == 0 &&
           logic_build_close(object->build, object->mark, LOGIC_OBJECT, ret);
}

bool query_attributes(struct http_request *request, void *memory, size_t size, struct logic_context *ret) {
    struct logic_build build;
    struct query_object object = {.request = request, .build = &build};
    logic_build_init(&build, memory, size);
    *ret = (struct logic_context){0};
    return build_object(&object, &ret->data);
}

/* Each name between dots is a member at most, which is open and then closed; each object has one more. */
static int count_members(void *ctx, const char *name, const char *value) {
    size_t *count = ctx;
    for (*count += 2; *name; name++)
        *count += *name == '.' ? 2 : 0;
    return 0;
}

size_t query_attributes_size(struct http_request *request) {
    size_t count = 2;
    (void)http_query_each(request, count_members, &count);
    return 2 * count * sizeof(struct logic_member);
}

/* ---- sessions ---- */

int64_t session_time(struct slice started_at, int64_t now) {
    char text[64];
    int64_t time;
    if (started_at.len >= sizeof(text)) return 0;
    memcpy(text, started_at.ptr, started_at.len);
    text[started_at.len] = '\0';
    return clock_from_text(text, &time) && time <= now ? time : 0;
}
