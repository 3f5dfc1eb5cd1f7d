/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers from values and back, as JavaScript has them: Number(), which takes a whole text, parseFloat(), which takes the beginning of one, and String(). Unlike in
 * JavaScript, what is written with more than NUMBER_TEXT_MAX bytes is no number.
 */
#include "logic/logic_impl.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#define NUMBER_TEXT_MAX 120
#define NUMBER_ROOM 64

/* ---- Number() ---- */

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

static size_t sign_len(struct slice text, size_t from) {
    return from < text.len && (text.ptr[from] == '+' || text.ptr[from] == '-');
}

/* How many bytes at the start are [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point. */
static size_t decimal_len(struct slice text) {
    size_t at = sign_len(text, 0), whole = digits_len(text, at), part = 0;
    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        part = digits_len(text, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0) return 0;
    if (at == text.len || (text.ptr[at] | 0x20) != 'e') return at;
    size_t digits = at + 1 + sign_len(text, at + 1), exponent = digits_len(text, digits);
    return exponent ? digits + exponent : at;
}

/* How many bytes at the start are [+-] Infinity. */
static size_t infinity_len(struct slice text) {
    static const char word[] = "Infinity";
    size_t sign = sign_len(text, 0), len = sizeof(word) - 1;
    return text.len >= sign + len && memcmp(text.ptr + sign, word, len) == 0 ? sign + len : 0;
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

/* The first `len` bytes, which are a number. */
static double number_at(struct slice text, size_t len) {
    if (infinity_len(text)) return text.ptr[0] == '-' ? -INFINITY : INFINITY;
    return len && len <= NUMBER_TEXT_MAX ? decimal_number((struct slice){text.ptr, len}) : NAN;
}

static double text_number(struct slice text) {
    text = trim(text);
    if (!text.len) return 0;
    if (text.len > NUMBER_TEXT_MAX) return NAN;
    if (has_prefix(text)) return prefixed_number(text);
    size_t infinity = infinity_len(text), len = infinity ? infinity : decimal_len(text);
    return len == text.len ? number_at(text, len) : NAN;
}

/* That of its text: none is the empty text, one is that item's, more have a comma between them. */
static double list_number(const struct logic_value *list) {
    if (!list->count) return 0;
    if (list->count > 1 || list->items->type == LOGIC_BOOL) return NAN;
    return value_number(list->items);
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
        return text_number(logic_slice(value));
    case LOGIC_LIST:
        return list_number(value);
    default:
        return NAN;
    }
}

/* ---- parseFloat() ---- */

static double text_parsed(struct slice text) {
    for (size_t len; (len = space_len(text));)
        text = (struct slice){text.ptr + len, text.len - len};
    return number_at(text, decimal_len(text));
}

double value_parsed(const struct logic_value *value) {
    switch (value->type) {
    case LOGIC_NUMBER:
        return value->number == 0 ? 0 : value->number; /* through a text, which knows no -0 */
    case LOGIC_TEXT:
        return text_parsed(logic_slice(value));
    case LOGIC_LIST:
        return value->count ? value_parsed(value->items) : NAN; /* behind the first item's text stands a comma */
    default:
        return NAN;
    }
}

/* ---- String() ---- */

size_t number_text(double number, char *at) {
    struct slice word = {NULL, 0};
    if (isnan(number)) word = SLICE_LIT("NaN");
    if (isinf(number)) word = number < 0 ? SLICE_LIT("-Infinity") : SLICE_LIT("Infinity");
    if (word.ptr) {
        memcpy(at, word.ptr, word.len);
        return word.len;
    }
    char room[NUMBER_ROOM];
    struct str text = {.data = room, .capacity = sizeof(room)}; /* a number never needs more: nothing is allocated */
    json_add_double(&text, number);
    memcpy(at, text.data, text.len);
    return text.len;
}
