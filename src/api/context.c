/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule may ask of a context that was parsed, or given in a query; and when a session began. */
#include "api/api_impl.h"

#include <string.h>

static const json_t *member(const json_t *value, const char *name, size_t len) {
    char text[8];
    int64_t index;
    if (json_is_object(value)) return json_object_getn(value, name, len);
    if (!json_is_array(value) || len >= sizeof(text)) return NULL;
    memcpy(text, name, len);
    text[len] = '\0';
    return text_to_int(text, 0, 999999, &index) ? json_array_get(value, (size_t)index) : NULL;
}

static struct logic_value value_of(const json_t *value) {
    if (json_is_string(value))
        return (struct logic_value){.type = LOGIC_TEXT, .text = {json_string_value(value), json_string_length(value)}};
    if (json_is_number(value)) return (struct logic_value){.type = LOGIC_NUMBER, .number = json_number_value(value)};
    if (json_is_boolean(value)) return (struct logic_value){.type = LOGIC_BOOL, .truth = json_is_true(value)};
    return (struct logic_value){.type = LOGIC_NULL};
}

static struct logic_value find_in_json(const void *ctx, struct slice path) {
    const json_t *value = ctx;
    if (!path.len) return value_of(NULL);
    for (const char *at = path.ptr, *end = at + path.len; value && at <= end;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        size_t len = (size_t)((dot ? dot : end) - at);
        value = member(value, at, len);
        at += len + 1;
    }
    return value_of(value);
}

struct logic_context json_attributes(const json_t *context) {
    return (struct logic_context){find_in_json, context};
}

/* ---- of a query ---- */

struct query_search {
    struct slice path;
    const char *found;
};

/* The first of a name, as for all arguments. */
static int search_argument(void *ctx, const char *name, const char *value) {
    struct query_search *search = ctx;
    bool is = strncmp(name, "attr.", 5) == 0 ? slice_equal_text(search->path, name + 5)
              : strcmp(name, "key") == 0     ? slice_equal_text(search->path, "targetingKey")
                                         : strncmp(name, "session.", 8) == 0 && slice_equal_text(search->path, name);
    if (is) search->found = value;
    return is;
}

static struct logic_value find_in_query(const void *ctx, struct slice path) {
    struct query_search search = {.path = path};
    const struct http_request *request = ctx;
    (void)http_query_each((struct http_request *)(uintptr_t)request, search_argument, &search);
    if (!search.found) return (struct logic_value){.type = LOGIC_NULL};
    return (struct logic_value){.type = LOGIC_TEXT, .text = slice_of(search.found)};
}

struct logic_context query_attributes(struct http_request *request) {
    return (struct logic_context){find_in_query, request};
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
