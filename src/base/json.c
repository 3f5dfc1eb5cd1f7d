/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. jansson recurses once a level, so the depth is counted before it sees a byte; the same pass
 * is preceded by one for UTF-8, which tells a wrong encoding apart from wrong JSON and gives its exact
 * place. Duplicate keys and NULs are refused: a reader that keeps the first of two keys and one that
 * keeps the last would see two configurations under one hash, and a text that ends at its NUL would
 * pass a check that its whole would not.
 */
#include "base/json.h"

#include <string.h>

struct position {
    unsigned line, column;
};

static struct position position_of(const char *bytes, size_t offset) {
    struct position position = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        if (bytes[i] == '\n')
            position = (struct position){position.line + 1, 1};
        else if (((unsigned char)bytes[i] & 0xC0) != 0x80)
            position.column++;
    }
    return position;
}

/* False when brackets outside strings nest deeper than `max_depth`; *ret_offset is the one that does. */
static bool depth_within(const char *bytes, size_t len, unsigned max_depth, size_t *ret_offset) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        if (in_string) {
            if (c == '\\') i++;
            if (c == '"') in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if ((c == ']' || c == '}') && depth > 0) depth--;
        if ((c == '[' || c == '{') && ++depth > max_depth) {
            *ret_offset = i;
            return false;
        }
    }
    return true;
}

static int err_of_jansson(const json_error_t *error, struct err *err) {
    if (json_error_code(error) == json_error_out_of_memory) return err_no_memory(err);
    int r = err_set(err, ERR_MALFORMED_JSON, "malformed JSON: %s", error->text);
    err_position(err, error->line > 0 ? (unsigned)error->line : 1, error->column > 0 ? (unsigned)error->column : 1);
    return r;
}

int json_parse(const char *bytes, size_t len, unsigned max_depth, json_t **ret, struct err *err) {
    size_t offset;
    if (max_depth > JSON_DEPTH_MAX) max_depth = JSON_DEPTH_MAX;
    if (!utf8_check(bytes, len, &offset)) {
        struct position position = position_of(bytes, offset);
        int r = err_set(err, ERR_INVALID_UTF8, "the byte 0x%02x is not UTF-8 there", (unsigned char)bytes[offset]);
        err_position(err, position.line, position.column);
        return r;
    }
    if (!depth_within(bytes, len, max_depth, &offset)) {
        struct position position = position_of(bytes, offset);
        int r = err_set(err, ERR_MALFORMED_JSON, "malformed JSON: nested deeper than %u levels", max_depth);
        err_position(err, position.line, position.column);
        return r;
    }
    json_error_t error;
    json_t *value = json_loadb(len ? bytes : "", len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!value) return err_of_jansson(&error, err);
    *ret = value;
    return 0;
}

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
