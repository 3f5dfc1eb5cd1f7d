/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading numbers is most of the work. A decimal of at most 15 digits whose power of ten is at most 22 is one exact integer divided by one
 * exact power, so a single rounding gives the nearest double (Clinger 1990, the fast path); everything else goes to strtod().
 */
#include "intake/scan.h"

#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 400 /* bytes of a number that strtod() reads; a longer one is refused */
#define EXACT_DIGITS 15
#define EXACT_POWER 22

static bool wrong(struct scan *scan, const char *at, const char *what) {
    if (!scan->what) {
        scan->bad = at;
        scan->what = what;
    }
    scan->p = scan->end;
    return false;
}

static bool expected(struct scan *scan, const char *what) {
    return wrong(scan, scan->p, what);
}

bool scan_begin(struct scan *scan, struct slice text) {
    size_t bad;
    *scan = (struct scan){.start = text.ptr, .p = text.ptr, .end = text.len ? text.ptr + text.len : text.ptr};
    return utf8_check(text.ptr, text.len, &bad) || wrong(scan, text.ptr + bad, "UTF-8");
}

static inline void skip_space(struct scan *scan) {
    const char *p = scan->p, *end = scan->end;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    scan->p = p;
}

static inline bool skip_char(struct scan *scan, char c) {
    if (scan->p == scan->end || *scan->p != c) return false;
    scan->p++;
    return true;
}

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

enum scan_kind scan_peek(struct scan *scan) {
    skip_space(scan);
    switch (scan->p < scan->end ? *scan->p : '\0') {
    case '"':
        return SCAN_TEXT;
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_ARRAY;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        return scan->p < scan->end && (*scan->p == '-' || is_digit(*scan->p)) ? SCAN_NUMBER : SCAN_NOTHING;
    }
}

/* ---- texts ---- */

static bool hex4(struct scan *scan, uint32_t *ret) {
    uint32_t unit = 0;
    if (scan->end - scan->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        char c = *scan->p++, lower = (char)(c | 0x20);
        if (!is_digit(c) && (lower < 'a' || lower > 'f')) return false;
        unit = unit << 4 | (uint32_t)(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    *ret = unit;
    return true;
}

static bool code_point(struct scan *scan, const char *at, uint32_t *ret) {
    uint32_t c, low;
    if (!hex4(scan, &c)) return wrong(scan, at, "four hexadecimal digits behind \\u");
    if (c == 0) return wrong(scan, at, "a text without NUL");
    if (c >= 0xDC00 && c <= 0xDFFF) return wrong(scan, at, "the first half of the surrogate pair");
    if (c >= 0xD800 && c <= 0xDBFF) {
        bool pair = skip_char(scan, '\\') && skip_char(scan, 'u') && hex4(scan, &low);
        if (!pair || low < 0xDC00 || low > 0xDFFF) return wrong(scan, at, "the second half of the surrogate pair");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    *ret = c;
    return true;
}

static size_t put_utf8(uint32_t c, char *ret) {
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len; i-- > 1; c >>= 6)
        ret[i] = (char)(0x80 | (c & 0x3F));
    ret[0] = (char)(lead[len] | c);
    return len;
}

static void add_bytes(struct scan_text *text, const char *bytes, size_t len) {
    if (text->cut || len > SCAN_TEXT_MAX - text->slice.len) {
        text->cut = true;
        return;
    }
    memcpy(text->own + text->slice.len, bytes, len);
    text->slice.len += len;
}

static bool escape(struct scan *scan, struct scan_text *text) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = scan->p++;
    char c = scan->p < scan->end ? *scan->p++ : '\0', bytes[4];
    uint32_t point;
    if (c == 'u') {
        if (!code_point(scan, at, &point)) return false;
        add_bytes(text, bytes, put_utf8(point, bytes));
        return true;
    }
    const char *name = c ? strchr(names, c) : NULL;
    if (!name) return wrong(scan, at, "an escape that JSON knows");
    add_bytes(text, &meant[name - names], 1);
    return true;
}

static inline const char *plain_end(const char *p, const char *end) {
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* The text has escapes: its pieces are put together. */
static bool escaped_text(struct scan *scan, const char *open, struct scan_text *ret) {
    ret->slice = (struct slice){ret->own, 0};
    for (scan->p = open + 1;;) {
        const char *plain = scan->p;
        scan->p = plain_end(plain, scan->end);
        add_bytes(ret, plain, (size_t)(scan->p - plain));
        if (scan->p == scan->end) return wrong(scan, open, "an end of the text that begins here");
        if (skip_char(scan, '"')) return true;
        if (*scan->p != '\\') return expected(scan, "an escape instead of a control character");
        if (!escape(scan, ret)) return false;
    }
}

bool scan_text(struct scan *scan, struct scan_text *ret) {
    skip_space(scan);
    if (scan->p == scan->end || *scan->p != '"') return expected(scan, "a text");
    const char *open = scan->p, *end = plain_end(open + 1, scan->end);
    ret->cut = false;
    if (end == scan->end || *end != '"') return escaped_text(scan, open, ret);
    ret->slice = (struct slice){open + 1, (size_t)(end - open - 1)};
    scan->p = end + 1;
    return true;
}

/* ---- numbers ---- */

static bool slow_number(struct scan *scan, const char *first, double *ret) {
    char text[NUMBER_TEXT_MAX + 8];
    const char *point = localeconv()->decimal_point;
    size_t len = 0, wide = strlen(point);
    if (scan->p - first > NUMBER_TEXT_MAX || wide > 4) return wrong(scan, first, "a number of fewer digits");
    for (const char *p = first; p < scan->p; p++) {
        if (*p != '.') {
            text[len++] = *p;
            continue;
        }
        memcpy(text + len, point, wide);
        len += wide;
    }
    text[len] = '\0';
    *ret = strtod(text, NULL);
    return isfinite(*ret) || wrong(scan, first, "a number that fits into a double");
}

struct decimal {
    bool negative, whole;
    uint64_t digits; /* of the whole mantissa, right while `count` <= 18 */
    int count, exponent;
};

static bool digits(struct scan *scan, struct decimal *decimal) {
    const char *p = scan->p, *end = scan->end;
    if (p == end || !is_digit(*p)) return expected(scan, "a digit");
    for (; p < end && is_digit(*p); p++) {
        decimal->digits = decimal->digits * 10 + (uint64_t)(*p - '0');
        if (decimal->digits || decimal->count) decimal->count++;
    }
    scan->p = p;
    return true;
}

static bool exponent(struct scan *scan, struct decimal *decimal) {
    bool negative = false;
    int value = 0;
    if (!skip_char(scan, '+')) negative = skip_char(scan, '-');
    if (scan->p == scan->end || !is_digit(*scan->p)) return expected(scan, "a digit");
    for (; scan->p < scan->end && is_digit(*scan->p); scan->p++)
        if (value < 100000) value = value * 10 + (*scan->p - '0');
    decimal->exponent += negative ? -value : value;
    decimal->whole = false;
    return true;
}

static bool decimal(struct scan *scan, struct decimal *ret) {
    *ret = (struct decimal){.negative = skip_char(scan, '-'), .whole = true};
    const char *first = scan->p;
    if (!digits(scan, ret)) return false;
    if (*first == '0' && scan->p - first > 1) return wrong(scan, first, "a number that does not begin with 0");
    if (skip_char(scan, '.')) {
        const char *fraction = scan->p;
        ret->whole = false;
        if (!digits(scan, ret)) return false;
        ret->exponent = (int)(fraction - scan->p);
    }
    return (!skip_char(scan, 'e') && !skip_char(scan, 'E')) || exponent(scan, ret);
}

static bool whole_number(struct scan *scan, const char *first, const struct decimal *decimal, struct scan_number *ret) {
    uint64_t largest = (uint64_t)INT64_MAX + decimal->negative;
    if (decimal->count > 19 || decimal->digits > largest) return wrong(scan, first, "an integer of 64 bits");
    ret->integer = (int64_t)(decimal->negative ? 0 - decimal->digits : decimal->digits);
    ret->real = (double)ret->integer;
    return true;
}

bool scan_number(struct scan *scan, struct scan_number *ret) {
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    skip_space(scan);
    const char *first = scan->p;
    struct decimal read;
    if (first == scan->end || (*first != '-' && !is_digit(*first))) return expected(scan, "a number");
    if (!decimal(scan, &read)) return false;
    *ret = (struct scan_number){.whole = read.whole};
    if (read.whole) return whole_number(scan, first, &read, ret);
    if (read.count > EXACT_DIGITS || read.exponent > EXACT_POWER || read.exponent < -EXACT_POWER)
        return slow_number(scan, first, &ret->real);
    double mantissa = (double)read.digits;
    ret->real = read.exponent < 0 ? mantissa / powers[-read.exponent] : mantissa * powers[read.exponent];
    if (read.negative) ret->real = -ret->real;
    return true;
}

/* ---- words, brackets ---- */

static bool skip_word(struct scan *scan, struct slice word) {
    if ((size_t)(scan->end - scan->p) < word.len || memcmp(scan->p, word.ptr, word.len) != 0) return false;
    scan->p += word.len;
    return true;
}

bool scan_bool(struct scan *scan, bool *ret) {
    skip_space(scan);
    *ret = skip_word(scan, SLICE_LIT("true"));
    return *ret || skip_word(scan, SLICE_LIT("false")) || expected(scan, "true or false");
}

bool scan_open(struct scan *scan, char bracket) {
    skip_space(scan);
    return skip_char(scan, bracket) || expected(scan, bracket == '{' ? "an object" : "an array");
}

/* Moves to the next value of what is open, over the comma. */
static bool next(struct scan *scan, bool *first, bool *ret_more, char closing, const char *what) {
    skip_space(scan);
    *ret_more = !skip_char(scan, closing);
    if (*ret_more && !*first) {
        if (!skip_char(scan, ',')) return expected(scan, what);
        skip_space(scan);
    }
    *first = false;
    return true;
}

bool scan_member(struct scan *scan, bool *first, bool *ret_more, struct scan_text *ret_key) {
    if (!next(scan, first, ret_more, '}', "',' or '}'")) return false;
    if (!*ret_more) return true;
    if (scan->p == scan->end || *scan->p != '"') return expected(scan, "a key in quotes");
    if (!scan_text(scan, ret_key)) return false;
    skip_space(scan);
    return skip_char(scan, ':') || expected(scan, "':'");
}

bool scan_item(struct scan *scan, bool *first, bool *ret_more) {
    return next(scan, first, ret_more, ']', "',' or ']'");
}

bool scan_end(struct scan *scan) {
    skip_space(scan);
    if (scan->what) return false;
    return scan->p == scan->end || expected(scan, "the end of the text");
}

static bool skip_plain(struct scan *scan) {
    struct scan_text text;
    struct scan_number number;
    bool truth;
    switch (scan_peek(scan)) {
    case SCAN_TEXT:
        return scan_text(scan, &text);
    case SCAN_NUMBER:
        return scan_number(scan, &number);
    case SCAN_NULL:
        return skip_word(scan, SLICE_LIT("null")) || expected(scan, "null");
    case SCAN_TRUE:
    case SCAN_FALSE:
        return scan_bool(scan, &truth);
    default:
        return expected(scan, "a value");
    }
}

bool scan_skip(struct scan *scan) {
    bool object[SCAN_DEPTH_MAX], first[SCAN_DEPTH_MAX];
    size_t depth = 0;
    struct scan_text key;
    do {
        enum scan_kind kind = scan_peek(scan);
        if (kind == SCAN_OBJECT || kind == SCAN_ARRAY) {
            if (depth == SCAN_DEPTH_MAX) return expected(scan, "less nesting");
            scan->p++;
            object[depth] = kind == SCAN_OBJECT;
            first[depth++] = true;
        } else if (!skip_plain(scan)) {
            return false;
        }
        for (bool more = false; depth && !more; depth -= !more) {
            bool *begun = &first[depth - 1];
            if (object[depth - 1] ? !scan_member(scan, begun, &more, &key) : !scan_item(scan, begun, &more))
                return false;
        }
    } while (depth);
    return true;
}

int scan_error(const struct scan *scan, struct err *err) {
    unsigned line = 1, column = 1;
    for (const char *p = scan->start; p < scan->bad; p++) {
        bool end = *p == '\n';
        line += end;
        column = end ? 1 : column + (((unsigned char)*p & 0xC0) != 0x80);
    }
    bool encoding = !strcmp(scan->what, "UTF-8");
    int r = err_set(err, encoding ? ERR_INVALID_UTF8 : ERR_MALFORMED_JSON, "malformed JSON: expected %s%s", scan->what,
                    scan->bad == scan->end ? ", but the text ends" : "");
    err_position(err, line, column);
    return r;
}
