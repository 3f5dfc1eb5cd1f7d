/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string. Appending never fails at once: when memory runs out `failed` is set, later
 * appends do nothing, and the one who finishes the string checks it. Always NUL-terminated when
 * `data` is not NULL.
 */
#ifndef SERIN_BASE_STR_H
#define SERIN_BASE_STR_H

#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    char *data;
    size_t len, capacity;
    bool failed;
};

#define STR_INIT ((struct str){0})
void str_deinit(struct str *str);
void str_clear(struct str *str); /* empty again, memory kept, `failed` forgotten */
void str_reserve(struct str *str, size_t more);
void str_add(struct str *str, const void *bytes, size_t len);
void str_add_text(struct str *str, const char *text);
void str_add_slice(struct str *str, struct slice slice);
void str_add_char(struct str *str, char c);
void str_add_int(struct str *str, int64_t value);
void str_printf(struct str *str, const char *fmt, ...) PRINTF_LIKE(2, 3);
void str_vprintf(struct str *str, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* Appends a JSON string with its quotes: escapes of RFC 8785 (only what must be escaped). */
void str_add_json(struct str *str, const char *text, size_t len);
/* Hands over the bytes (free() them); the string is empty again. NULL when it failed. */
char *str_take(struct str *str) MUST_CHECK;
struct slice str_slice(const struct str *str);

/* 1 when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(const char *bytes, size_t len);
/* As utf8_valid(); *ret_offset is the first offending byte when it is not. */
bool utf8_check(const char *bytes, size_t len, size_t *ret_offset);

/* Writes the decimal digits of `value` at `at`, without a NUL; answers the byte behind them. At most INT_TEXT_MAX bytes. */
#define INT_TEXT_MAX 20
char *text_from_int(char *at, int64_t value);

/* Whole decimal number in [min, max]; false on anything else, signs other than one '-' and spaces included. */
bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *ret);

#endif
