/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failure is sticky: who builds a long text checks once, at its end. The room doubles, and one byte
 * more than the text needs is always there for the NUL.
 */
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CAPACITY_FIRST 64

void str_deinit(struct str *str) {
    free(str->data);
    *str = STR_INIT;
}

void str_clear(struct str *str) {
    str->len = 0;
    str->failed = false;
    if (str->data) str->data[0] = '\0';
}

void str_reserve(struct str *str, size_t more) {
    if (str->failed || (str->data && more < str->capacity - str->len)) return;
    if (more >= SIZE_MAX / 2 - str->len) {
        str->failed = true;
        return;
    }
    size_t need = str->len + more + 1, capacity = str->capacity ? str->capacity : CAPACITY_FIRST;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(str->data, capacity);
    if (!data) {
        str->failed = true;
        return;
    }
    str->data = data;
    str->capacity = capacity;
    str->data[str->len] = '\0';
}

void str_add(struct str *str, const void *bytes, size_t len) {
    str_reserve(str, len);
    if (str->failed) return;
    if (len) memcpy(str->data + str->len, bytes, len);
    str->len += len;
    str->data[str->len] = '\0';
}

void str_add_text(struct str *str, const char *text) {
    str_add(str, text, strlen(text));
}

void str_add_slice(struct str *str, struct slice slice) {
    str_add(str, slice.ptr, slice.len);
}

void str_add_char(struct str *str, char c) {
    str_add(str, &c, 1);
}

void str_add_int(struct str *str, int64_t value) {
    char text[INT_TEXT_MAX];
    str_add(str, text, (size_t)(text_from_int(text, value) - text));
}

void str_vprintf(struct str *str, const char *fmt, va_list args) {
    str_reserve(str, 0);
    if (str->failed) return;
    va_list again;
    va_copy(again, args);
    size_t room = str->capacity - str->len;
    int len = vsnprintf(str->data + str->len, room, fmt, args);
    if (len >= 0 && (size_t)len >= room) {
        str->data[str->len] = '\0';
        str_reserve(str, (size_t)len);
        if (!str->failed) vsnprintf(str->data + str->len, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    if (len < 0) str->failed = true;
    if (!str->failed) str->len += (size_t)len;
}

void str_printf(struct str *str, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    str_vprintf(str, fmt, args);
    va_end(args);
}

/* The letter of a short escape, 'u' for a long one, 0 when the byte stands for itself. */
static char escape_of(unsigned char c) {
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\t':
        return 't';
    case '\n':
        return 'n';
    case '\f':
        return 'f';
    case '\r':
        return 'r';
    default:
        return c < 0x20 ? 'u' : 0;
    }
}

void str_add_json(struct str *str, const char *text, size_t len) {
    static const char digits[] = "0123456789abcdef";
    str_reserve(str, len + 2);
    str_add_char(str, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape = escape_of(c);
        if (!escape) continue;
        char form[6] = {'\\', escape, '0', '0', digits[c >> 4], digits[c & 15]};
        str_add(str, text + start, i - start);
        str_add(str, form, escape == 'u' ? 6 : 2);
        start = i + 1;
    }
    if (len > start) str_add(str, text + start, len - start);
    str_add_char(str, '"');
}

char *str_take(struct str *str) {
    str_reserve(str, 0);
    char *data = str->failed ? NULL : TAKE_PTR(str->data);
    str_deinit(str);
    return data;
}

struct slice str_slice(const struct str *str) {
    return (struct slice){str->data, str->len};
}
