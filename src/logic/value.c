/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a rule and what JsonLogic takes from JavaScript for them: truth, both equalities, order and the two conversions. Unlike JavaScript, a number
 * written with more than NUMBER_TEXT_MAX bytes is none.
 */
#include "logic/logic_impl.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#define NUMBER_TEXT_MAX 120

bool value_truth(const struct logic_value *value) {
    switch (value->type) {
    case LOGIC_NULL:
        return false;
    case LOGIC_BOOL:
        return value->truth;
    case LOGIC_NUMBER:
        return value->number != 0 && !isnan(value->number);
    case LOGIC_TEXT:
        return value->text.len > 0;
    }
    return false;
}

bool value_same(const struct logic_value *a, const struct logic_value *b) {
    if (a->type != b->type) return false;
    switch (a->type) {
    case LOGIC_NULL:
        return true;
    case LOGIC_BOOL:
        return a->truth == b->truth;
    case LOGIC_NUMBER:
        return a->number == b->number;
    case LOGIC_TEXT:
        return slice_equal(a->text, b->text);
    }
    return false;
}

bool value_equal(const struct logic_value *a, const struct logic_value *b) {
    if (a->type == b->type) return value_same(a, b);
    if (a->type == LOGIC_NULL || b->type == LOGIC_NULL) return false;
    return value_number(a) == value_number(b); /* never of NaN */
}

/* ---- numbers in texts ---- */

/* The length of the white space or line end at the start: of JavaScript's, all that UTF-8 writes. */
static size_t space_len(struct slice text) {
    static const char *const wide[] = {"\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9",
                                       "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80", "\xef\xbb\xbf"};
    if (!text.len) return 0;
    if (text.ptr[0] == ' ' || (text.ptr[0] >= '\t' && text.ptr[0] <= '\r')) return 1;
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        size_t len = strlen(wide[i]);
        if (text.len >= len && memcmp(text.ptr, wide[i], len) == 0) return len;
    }
    /* U+2000 … U+200A */
    bool quad = text.len >= 3 && memcmp(text.ptr, "\xe2\x80", 2) == 0 && (unsigned char)text.ptr[2] >= 0x80 &&
                (unsigned char)text.ptr[2] <= 0x8a;
    return quad ? 3 : 0;
}

static struct slice trim(struct slice text) {
    for (size_t len; (len = space_len(text));)
        text = (struct slice){text.ptr + len, text.len - len};
    for (size_t len = 1; len <= 3 && len <= text.len; len++) {
        if (space_len((struct slice){text.ptr + text.len - len, len}) != len) continue;
        text.len -= len;
        len = 0;
    }
    return text;
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* 0x1F, 0o17, 0b11: whole numbers without a sign. */
static double prefixed_number(struct slice text) {
    char kind = (char)(text.ptr[1] | 0x20);
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : 2;
    double number = 0;
    for (size_t i = 2; i < text.len; i++) {
        int digit = digit_value(text.ptr[i]);
        if (digit >= base) return NAN;
        number = number * base + digit;
    }
    return text.len > 2 ? number : NAN;
}

static bool has_prefix(struct slice text) {
    return text.len >= 2 && text.ptr[0] == '0' && strchr("xXoObB", text.ptr[1]) && text.ptr[1];
}

static size_t digits_len(struct slice text, size_t from) {
    size_t at = from;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9')
        at++;
    return at - from;
}

/* Whether it is [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point. */
static bool is_decimal(struct slice text) {
    size_t at = text.len && (text.ptr[0] == '+' || text.ptr[0] == '-');
    size_t whole = digits_len(text, at), part = 0;
    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        part = digits_len(text, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0) return false;
    if (at == text.len) return true;
    if ((text.ptr[at++] | 0x20) != 'e') return false;
    if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-')) at++;
    size_t exponent = digits_len(text, at);
    return exponent && at + exponent == text.len;
}

static bool is_infinity(struct slice text) {
    size_t sign = text.len && (text.ptr[0] == '+' || text.ptr[0] == '-');
    return slice_equal((struct slice){text.ptr + sign, text.len - sign}, SLICE_LIT("Infinity"));
}

/* strtod() reads the decimal point of the process's locale, which is a caller's of libserin to set. */
static double decimal_number(struct slice text) {
    char copy[NUMBER_TEXT_MAX + 1];
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *point = strchr(copy, '.');
    if (point) *point = localeconv()->decimal_point[0];
    return strtod(copy, NULL);
}

static double text_number(struct slice text) {
    text = trim(text);
    if (!text.len) return 0;
    if (text.len > NUMBER_TEXT_MAX) return NAN;
    if (is_infinity(text)) return text.ptr[0] == '-' ? -INFINITY : INFINITY;
    if (has_prefix(text)) return prefixed_number(text);
    return is_decimal(text) ? decimal_number(text) : NAN;
}

double value_number(const struct logic_value *value) {
    switch (value->type) {
    case LOGIC_NULL:
        return 0;
    case LOGIC_BOOL:
        return value->truth;
    case LOGIC_NUMBER:
        return value->number;
    case LOGIC_TEXT:
        return text_number(value->text);
    }
    return NAN;
}

/* ---- texts ---- */

struct slice value_text(const struct logic_value *value, char room[VALUE_TEXT_ROOM]) {
    if (value->type == LOGIC_TEXT) return value->text;
    if (value->type == LOGIC_NULL) return SLICE_LIT("null");
    if (value->type == LOGIC_BOOL) return value->truth ? SLICE_LIT("true") : SLICE_LIT("false");
    if (isnan(value->number)) return SLICE_LIT("NaN");
    if (isinf(value->number)) return value->number < 0 ? SLICE_LIT("-Infinity") : SLICE_LIT("Infinity");
    struct str text = {.data = room, .capacity = VALUE_TEXT_ROOM}; /* a number never needs more: nothing is allocated */
    json_add_double(&text, value->number);
    return str_slice(&text);
}

/* Where a byte stands in the order of UTF-16: characters past U+FFFF (from F0) come before U+E000 … U+FFFF (EE, EF). */
static int utf16_rank(char c) {
    int byte = (unsigned char)c;
    if (byte >= 0xf0) return byte - 2;
    return byte >= 0xee ? byte + 5 : byte;
}

static int text_compare(struct slice a, struct slice b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < shorter; i++)
        if (a.ptr[i] != b.ptr[i]) return utf16_rank(a.ptr[i]) - utf16_rank(b.ptr[i]);
    return (a.len > b.len) - (a.len < b.len);
}

static bool both_texts(const struct logic_value *a, const struct logic_value *b) {
    return a->type == LOGIC_TEXT && b->type == LOGIC_TEXT;
}

bool value_less(const struct logic_value *a, const struct logic_value *b) {
    return both_texts(a, b) ? text_compare(a->text, b->text) < 0 : value_number(a) < value_number(b);
}

bool value_less_equal(const struct logic_value *a, const struct logic_value *b) {
    return both_texts(a, b) ? text_compare(a->text, b->text) <= 0 : value_number(a) <= value_number(b);
}
