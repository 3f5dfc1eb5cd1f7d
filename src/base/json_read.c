/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading. The values are jansson's, the parser is our own: it must tell every error with its place, keep
 * running out of memory apart from malformed text, and stand up to both. (jansson's lexer passes over
 * failed growth of its buffer, which loses bytes of a text without a word.)
 *
 * Duplicate keys and NULs are refused: a reader that keeps the first of two keys and one that keeps the
 * last would see two configurations under one hash, and a text that ends at its NUL would pass a check
 * that its whole would not.
 *
 * UTF-8 is checked once for the whole input, before anything else, so that a wrong encoding is told as
 * such and no text needs a check of its own. Recursion is bounded by `depth`. Keys of the objects that are
 * open stand one behind the other in `keys`, each with its NUL: a stack without a call of malloc per key.
 */
#include "base/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#define KEY_SHOWN_MAX 100

struct reader {
    const char *start, *p, *end;
    unsigned depth, max_depth;
    struct str keys, text;
    struct err *err;
};

static int read_value(struct reader *r, json_t **ret);

static void set_position(struct err *err, const char *start, const char *at) {
    unsigned line = 1, column = 1;
    for (const char *p = start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            column++;
        }
    }
    err_position(err, line, column);
}

PRINTF_LIKE(3, 4)
static int malformed(struct reader *r, const char *at, const char *fmt, ...) {
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    int result = err_set(r->err, ERR_MALFORMED_JSON, "malformed JSON: %s", what);
    set_position(r->err, r->start, at);
    return result;
}

static int expected(struct reader *r, const char *what) {
    if (r->p == r->end) return malformed(r, r->p, "expected %s, but the text ends", what);
    unsigned char c = (unsigned char)*r->p;
    if (c < 0x20 || c == 0x7F) return malformed(r, r->p, "expected %s, found the byte 0x%02x", what, c);
    int size = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return malformed(r, r->p, "expected %s, found '%.*s'", what, size, r->p);
}

static void skip_space(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static bool skip_char(struct reader *r, char c) {
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static bool at_digit(const struct reader *r) {
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

/* ---- texts ---- */

static bool read_hex4(struct reader *r, uint32_t *ret) {
    if (r->end - r->p < 4) return false;
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)r->p[i];
        if (!isxdigit(c)) return false;
        unit = unit << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    r->p += 4;
    *ret = unit;
    return true;
}

static void add_utf8(struct str *out, uint32_t c) {
    char bytes[4];
    size_t len = 0;
    if (c < 0x80) {
        bytes[len++] = (char)c;
    } else if (c < 0x800) {
        bytes[len++] = (char)(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (char)(0xE0 | c >> 12);
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
    } else {
        bytes[len++] = (char)(0xF0 | c >> 18);
        bytes[len++] = (char)(0x80 | (c >> 12 & 0x3F));
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
    }
    if (c >= 0x80) bytes[len++] = (char)(0x80 | (c & 0x3F));
    str_add(out, bytes, len);
}

/* Behind "\u". `at` is the backslash. */
static int read_code_point(struct reader *r, const char *at, struct str *out) {
    uint32_t c, low;
    if (!read_hex4(r, &c)) return malformed(r, at, "\\u wants four hexadecimal digits");
    if (c == 0) return malformed(r, at, "NUL (\\u0000) is not allowed in a text");
    if (c >= 0xD800 && c <= 0xDBFF) {
        bool pair = r->end - r->p >= 2 && r->p[0] == '\\' && r->p[1] == 'u';
        r->p += pair ? 2 : 0;
        if (!pair || !read_hex4(r, &low) || low < 0xDC00 || low > 0xDFFF)
            return malformed(r, at, "the first half of a surrogate pair lacks its second");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xDC00 && c <= 0xDFFF) {
        return malformed(r, at, "the second half of a surrogate pair lacks its first");
    }
    add_utf8(out, c);
    return 0;
}

static int read_escape(struct reader *r, struct str *out) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at = r->p++;
    char c = r->p < r->end ? *r->p++ : '\0';
    if (c == 'u') return read_code_point(r, at, out);
    const char *name = c ? strchr(names, c) : NULL;
    if (!name) return malformed(r, at, "unknown escape in a text");
    str_add_char(out, meant[name - names]);
    return 0;
}

/* Appends what stands between the quotes; the opening one is read already. */
static int read_text(struct reader *r, const char *open, struct str *out) {
    for (;;) {
        const char *plain = r->p;
        while (r->p < r->end && (unsigned char)*r->p >= 0x20 && *r->p != '"' && *r->p != '\\')
            r->p++;
        str_add(out, plain, (size_t)(r->p - plain));
        if (r->p == r->end) return malformed(r, open, "the text that begins here has no end");
        if (*r->p == '"') break;
        if (*r->p != '\\')
            return malformed(r, r->p, "the byte 0x%02x must be written with a backslash", (unsigned char)*r->p);
        int result = read_escape(r, out);
        if (result < 0) return result;
    }
    r->p++;
    return out->failed ? err_no_memory(r->err) : 0;
}

static int read_text_value(struct reader *r, json_t **ret) {
    const char *open = r->p++;
    str_clear(&r->text);
    int result = read_text(r, open, &r->text);
    if (result < 0) return result;
    *ret = json_stringn_nocheck(r->text.data, r->text.len);
    return *ret ? 0 : err_no_memory(r->err);
}

/* ---- numbers ---- */

/* Moves behind the number and tells whether it is a real; its grammar is that of RFC 8259. */
static int scan_number(struct reader *r, bool *ret_real) {
    *ret_real = false;
    skip_char(r, '-');
    if (!at_digit(r)) return expected(r, "a digit");
    if (*r->p == '0' && r->p + 1 < r->end && r->p[1] >= '0' && r->p[1] <= '9')
        return malformed(r, r->p, "a number must not begin with 0");
    while (at_digit(r))
        r->p++;
    if (skip_char(r, '.')) {
        *ret_real = true;
        if (!at_digit(r)) return expected(r, "a digit");
        while (at_digit(r))
            r->p++;
    }
    if (!skip_char(r, 'e') && !skip_char(r, 'E')) return 0;
    *ret_real = true;
    if (!skip_char(r, '+')) skip_char(r, '-');
    if (!at_digit(r)) return expected(r, "a digit");
    while (at_digit(r))
        r->p++;
    return 0;
}

static int read_integer(struct reader *r, const char *first, json_t **ret) {
    bool negative = *first == '-';
    int64_t value = 0;
    for (const char *p = first + negative; p < r->p; p++) {
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return malformed(r, first, "the integer does not fit into 64 bits");
    }
    *ret = json_integer(value);
    return *ret ? 0 : err_no_memory(r->err);
}

/* strtod() reads the decimal point of the process's locale, which is a caller's of libserin to set. */
static int read_real(struct reader *r, const char *first, json_t **ret) {
    str_clear(&r->text);
    for (const char *p = first; p < r->p; p++) {
        if (*p == '.')
            str_add_text(&r->text, localeconv()->decimal_point);
        else
            str_add_char(&r->text, *p);
    }
    if (r->text.failed) return err_no_memory(r->err);
    double value = strtod(r->text.data, NULL);
    if (!isfinite(value)) return malformed(r, first, "the number is too large for a double");
    *ret = json_real(value);
    return *ret ? 0 : err_no_memory(r->err);
}

static int read_number(struct reader *r, json_t **ret) {
    const char *first = r->p;
    bool real;
    int result = scan_number(r, &real);
    if (result < 0) return result;
    return real ? read_real(r, first, ret) : read_integer(r, first, ret);
}

/* ---- arrays and objects ---- */

static int enter(struct reader *r) {
    if (r->depth == r->max_depth) return malformed(r, r->p, "nested deeper than %u levels", r->max_depth);
    r->depth++;
    r->p++;
    skip_space(r);
    return 0;
}

static int read_items(struct reader *r, json_t *array) {
    for (;;) {
        json_t *item;
        int result = read_value(r, &item);
        if (result < 0) return result;
        if (json_array_append_new(array, item) < 0) return err_no_memory(r->err);
        skip_space(r);
        if (skip_char(r, ']')) return 0;
        if (!skip_char(r, ',')) return expected(r, "',' or ']'");
        skip_space(r);
    }
}

static int read_array(struct reader *r, json_t **ret) {
    int result = enter(r);
    if (result < 0) return result;
    _cleanup_(json_decrefp) json_t *array = json_array();
    if (!array) return err_no_memory(r->err);
    if (!skip_char(r, ']')) result = read_items(r, array);
    if (result < 0) return result;
    r->depth--;
    *ret = TAKE_PTR(array);
    return 0;
}

static int twice(struct reader *r, const char *at, const char *key) {
    size_t shown = strnlen(key, KEY_SHOWN_MAX);
    while (((unsigned char)key[shown] & 0xC0) == 0x80)
        shown--;
    return malformed(r, at, "the key \"%.*s\" stands twice", (int)shown, key);
}

/* The key's bytes and a NUL go on top of `keys`. */
static int read_key(struct reader *r, json_t *object, size_t base) {
    if (r->p == r->end || *r->p != '"') return expected(r, "a key in quotes");
    const char *open = r->p++;
    int result = read_text(r, open, &r->keys);
    str_add(&r->keys, "", 1);
    if (result < 0) return result;
    if (r->keys.failed) return err_no_memory(r->err);
    const char *key = r->keys.data + base;
    if (json_object_get(object, key)) return twice(r, open, key);
    skip_space(r);
    if (!skip_char(r, ':')) return expected(r, "':'");
    skip_space(r);
    return 0;
}

static int read_members(struct reader *r, json_t *object) {
    size_t base = r->keys.len;
    for (;;) {
        json_t *member = NULL;
        int result = read_key(r, object, base);
        if (result == 0) result = read_value(r, &member);
        if (result < 0) return result;
        if (json_object_set_new_nocheck(object, r->keys.data + base, member) < 0) return err_no_memory(r->err);
        r->keys.len = base;
        skip_space(r);
        if (skip_char(r, '}')) return 0;
        if (!skip_char(r, ',')) return expected(r, "',' or '}'");
        skip_space(r);
    }
}

static int read_object(struct reader *r, json_t **ret) {
    int result = enter(r);
    if (result < 0) return result;
    _cleanup_(json_decrefp) json_t *object = json_object();
    if (!object) return err_no_memory(r->err);
    if (!skip_char(r, '}')) result = read_members(r, object);
    if (result < 0) return result;
    r->depth--;
    *ret = TAKE_PTR(object);
    return 0;
}

static bool skip_word(struct reader *r, struct slice word) {
    if ((size_t)(r->end - r->p) < word.len || memcmp(r->p, word.ptr, word.len) != 0) return false;
    r->p += word.len;
    return true;
}

static int read_value(struct reader *r, json_t **ret) {
    char c = r->p < r->end ? *r->p : '\0';
    if (c == '"') return read_text_value(r, ret);
    if (c == '{') return read_object(r, ret);
    if (c == '[') return read_array(r, ret);
    if (c == '-' || at_digit(r)) return read_number(r, ret);
    if (skip_word(r, SLICE_LIT("true")))
        *ret = json_true();
    else if (skip_word(r, SLICE_LIT("false")))
        *ret = json_false();
    else if (skip_word(r, SLICE_LIT("null")))
        *ret = json_null();
    else
        return expected(r, "a value");
    return 0;
}

static int read_top(struct reader *r, json_t **ret) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    skip_space(r);
    int result = read_value(r, &value);
    if (result < 0) return result;
    skip_space(r);
    if (r->p < r->end) return expected(r, "the end of the text");
    *ret = TAKE_PTR(value);
    return 0;
}

int json_parse(const char *bytes, size_t len, unsigned max_depth, json_t **ret, struct err *err) {
    size_t bad;
    if (!utf8_check(bytes, len, &bad)) {
        int result = err_set(err, ERR_INVALID_UTF8, "the byte 0x%02x is not UTF-8 there", (unsigned char)bytes[bad]);
        set_position(err, bytes, bytes + bad);
        return result;
    }
    struct reader r = {.start = bytes,
                       .p = bytes,
                       .end = len ? bytes + len : bytes,
                       .max_depth = max_depth < JSON_DEPTH_MAX ? max_depth : JSON_DEPTH_MAX,
                       .err = err};
    int result = read_top(&r, ret);
    str_deinit(&r.keys);
    str_deinit(&r.text);
    return result;
}
