/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <string.h>

json_t *json_get(const json_t *object, const char *key) {
    return json_object_get(object, key);
}

const char *json_get_text(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* Undoes ~1 and ~0 of the token that ends before `end`; false when a ~ is followed by anything else. */
static bool token_read(const char *start, const char *end, struct str *ret) {
    str_clear(ret);
    for (const char *p = start; p < end; p++) {
        if (*p != '~') {
            str_add_char(ret, *p);
            continue;
        }
        p++;
        if (p == end || (*p != '0' && *p != '1')) return false;
        str_add_char(ret, *p == '1' ? '/' : '~');
    }
    str_add(ret, "", 0);
    return !ret->failed;
}

static json_t *child_at(const json_t *value, const char *token) {
    if (json_is_object(value)) return json_object_get(value, token);
    if (!json_is_array(value)) return NULL;
    int64_t index;
    if (token[0] == '-' || (token[0] == '0' && token[1])) return NULL;
    if (!text_to_int(token, 0, INT64_MAX, &index)) return NULL;
    return json_array_get(value, (size_t)index);
}

json_t *json_at(const json_t *root, const char *pointer) {
    json_t *value = (json_t *)root;
    struct str token = STR_INIT;
    while (value && *pointer) {
        if (*pointer != '/') {
            value = NULL;
            break;
        }
        const char *start = pointer + 1, *end = start + strcspn(start, "/");
        value = token_read(start, end, &token) ? child_at(value, token.data) : NULL;
        pointer = end;
    }
    str_deinit(&token);
    return value;
}

void json_pointer_add(struct str *pointer, const char *token) {
    str_add_char(pointer, '/');
    for (const char *p = token; *p; p++) {
        if (*p == '~')
            str_add_text(pointer, "~0");
        else if (*p == '/')
            str_add_text(pointer, "~1");
        else
            str_add_char(pointer, *p);
    }
}

void json_pointer_add_index(struct str *pointer, size_t index) {
    str_add_char(pointer, '/');
    str_add_int(pointer, (int64_t)index);
}
