/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"sem_ver": [version, operator, version]}: Semantic Versioning 2.0.0 with what flagd allows besides: a "v" before it, only the first number or the first two
 * (the others are 0), and numbers that are no texts (1.2 is "1.2"). What is built (behind a plus) makes no difference. Numbers may have any length.
 */
#include "logic/logic_impl.h"

#include <string.h>

struct version {
    struct slice numbers[3];
    struct slice pre; /* behind the dash; without `ptr`: it is a release */
};

bool sem_ver_operator_of(struct slice text, enum sem_ver_operator *ret) {
    static const char *const names[] = {"=", "!=", "<", "<=", ">", ">=", "^", "~"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!slice_equal_text(text, names[i])) continue;
        *ret = (enum sem_ver_operator)i;
        return true;
    }
    return false;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word_char(char c) {
    return is_digit(c) || c == '-' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_number(struct slice word) {
    for (size_t i = 0; i < word.len; i++)
        if (!is_digit(word.ptr[i])) return false;
    return word.len > 0;
}

static struct slice rest_of(struct slice text, size_t len) {
    return (struct slice){text.ptr + len, text.len - len};
}

/* A number without zeros before it, from the start of `text`, which goes on behind it. */
static bool take_number(struct slice *text, struct slice *ret) {
    size_t len = 0;
    while (len < text->len && is_digit(text->ptr[len]))
        len++;
    *ret = (struct slice){text->ptr, len};
    *text = rest_of(*text, len);
    return len == 1 || (len > 1 && ret->ptr[0] != '0');
}

/* The words up to the next dot, taken away with it. */
static struct slice take_word(struct slice *words) {
    const char *dot = memchr(words->ptr, '.', words->len);
    struct slice word = {words->ptr, dot ? (size_t)(dot - words->ptr) : words->len};
    *words = dot ? rest_of(*words, word.len + 1) : (struct slice){NULL, 0};
    return word;
}

/* Words with dots between them; `strict`: those that are numbers have no zeros before them. */
static bool are_words(struct slice words, bool strict) {
    if (!words.len) return false;
    while (words.ptr) {
        struct slice word = take_word(&words);
        for (size_t i = 0; i < word.len; i++)
            if (!is_word_char(word.ptr[i])) return false;
        if (!word.len || (strict && word.len > 1 && word.ptr[0] == '0' && is_number(word))) return false;
    }
    return true;
}

static bool take_tail(struct slice text, struct version *ret) {
    const char *plus = memchr(text.ptr, '+', text.len);
    size_t len = plus ? (size_t)(plus - text.ptr) : text.len;
    if (plus && !are_words(rest_of(text, len + 1), false)) return false;
    if (!len) return true;
    ret->pre = (struct slice){text.ptr + 1, len - 1};
    return text.ptr[0] == '-' && are_words(ret->pre, true);
}

static bool read_version(struct slice text, struct version *ret) {
    *ret = (struct version){.numbers = {SLICE_LIT("0"), SLICE_LIT("0"), SLICE_LIT("0")}};
    if (text.len && (text.ptr[0] | 0x20) == 'v') text = rest_of(text, 1);
    for (size_t i = 0; i < ARRAY_LEN(ret->numbers); i++) {
        if (i && text.ptr[0] != '.') return false;
        if (i) text = rest_of(text, 1);
        if (!take_number(&text, ret->numbers + i)) return false;
        if (!text.len) return true;
    }
    return take_tail(text, ret);
}

static bool version_of(const struct logic_value *value, char room[LOGIC_NUMBER_ROOM], struct version *ret) {
    struct slice text;
    if (value->type != LOGIC_TEXT && value->type != LOGIC_NUMBER) return false;
    return logic_result_text(value, room, &text) && read_version(text, ret);
}

bool sem_ver_is(const struct logic_value *value) {
    char room[LOGIC_NUMBER_ROOM];
    struct version version;
    return version_of(value, room, &version);
}

/* ---- order ---- */

static int compare_bytes(struct slice a, struct slice b) {
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Neither has zeros before it: the longer one is larger. */
static int compare_numbers(struct slice a, struct slice b) {
    return a.len == b.len ? compare_bytes(a, b) : a.len < b.len ? -1 : 1;
}

static int compare_word(struct slice a, struct slice b) {
    bool number = is_number(a);
    if (number != is_number(b)) return number ? -1 : 1;
    return number ? compare_numbers(a, b) : compare_bytes(a, b);
}

/* A release comes behind all that leads to it; of two of those, the one with more words comes later. */
static int compare_pre(struct slice a, struct slice b) {
    if (!a.ptr || !b.ptr) return !a.ptr - !b.ptr;
    while (a.ptr && b.ptr) {
        int order = compare_word(take_word(&a), take_word(&b));
        if (order) return order;
    }
    return (a.ptr != NULL) - (b.ptr != NULL);
}

static int compare_parts(const struct version *a, const struct version *b, size_t count) {
    int order = 0;
    for (size_t i = 0; i < count && !order; i++)
        order = compare_numbers(a->numbers[i], b->numbers[i]);
    return order;
}

static bool is_so(const struct version *a, enum sem_ver_operator operator_, const struct version *b) {
    int order = compare_parts(a, b, ARRAY_LEN(a->numbers));
    if (!order) order = compare_pre(a->pre, b->pre);
    switch (operator_) {
    case VERSION_EQUAL:
        return order == 0;
    case VERSION_NOT_EQUAL:
        return order != 0;
    case VERSION_LESS:
        return order < 0;
    case VERSION_LESS_EQUAL:
        return order <= 0;
    case VERSION_GREATER:
        return order > 0;
    case VERSION_GREATER_EQUAL:
        return order >= 0;
    case VERSION_SAME_MAJOR:
        return compare_parts(a, b, 1) == 0;
    default:
        return compare_parts(a, b, 2) == 0;
    }
}

struct logic_value sem_ver_compare(const struct logic_value *a, enum sem_ver_operator operator_,
                                   const struct logic_value *b) {
    char rooms[2][LOGIC_NUMBER_ROOM];
    struct version left, right;
    if (!version_of(a, rooms[0], &left) || !version_of(b, rooms[1], &right)) return logic_null();
    return logic_bool(is_so(&left, operator_, &right));
}
