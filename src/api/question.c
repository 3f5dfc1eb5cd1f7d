/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a plain question, read in place: one pass, no allocation, texts borrowed from the body. Parsing into values costs more than
 * all the rest of a resolve.
 *
 * Only the plain part of JSON is known here: texts without escapes, numbers of few digits and without exponent, objects of few members,
 * nested a few levels deep. Anything else, right or wrong, is "not plain" and goes the common way, where json_parse() has the last word. So this
 * reader may say no to a question that is right; it must never say yes to one that json_parse() or the table of operations refuses
 * (test_question.c compares the two).
 */
#include "api/api_impl.h"

#include <string.h>

#define MEMBERS_MAX 16
#define DEPTH_MAX 6
#define DIGITS_MAX 15

struct reader {
    const char *p, *end;
    unsigned depth;
};

/* Reads the value of a member; `ctx` is the owner's. */
typedef bool read_member(struct reader *reader, struct slice name, void *ctx);

static bool read_value(struct reader *reader);

static void skip_space(struct reader *reader) {
    while (reader->p < reader->end &&
           (*reader->p == ' ' || *reader->p == '\n' || *reader->p == '\r' || *reader->p == '\t'))
        reader->p++;
}

static bool skip_char(struct reader *reader, char c) {
    if (reader->p == reader->end || *reader->p != c) return false;
    reader->p++;
    return true;
}

static bool read_text(struct reader *reader, struct slice *ret) {
    if (!skip_char(reader, '"')) return false;
    const char *begin = reader->p, *p = begin;
    unsigned char seen = 0;
    while (p < reader->end && (unsigned char)*p >= ' ' && *p != '"' && *p != '\\')
        seen |= (unsigned char)*p++;
    *ret = (struct slice){begin, (size_t)(p - begin)};
    reader->p = p;
    return skip_char(reader, '"') && (seen < 0x80 || utf8_valid(ret->ptr, ret->len));
}

static size_t skip_digits(struct reader *reader) {
    const char *begin = reader->p;
    while (reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9')
        reader->p++;
    return (size_t)(reader->p - begin);
}

static bool read_number(struct reader *reader) {
    (void)skip_char(reader, '-');
    const char *first = reader->p;
    size_t digits = skip_digits(reader);
    if (digits == 0 || digits > DIGITS_MAX || (*first == '0' && digits > 1)) return false;
    if (skip_char(reader, '.')) {
        digits = skip_digits(reader);
        if (digits == 0 || digits > DIGITS_MAX) return false;
    }
    return reader->p == reader->end || (*reader->p != 'e' && *reader->p != 'E');
}

static bool read_word(struct reader *reader, struct slice word) {
    if ((size_t)(reader->end - reader->p) < word.len || memcmp(reader->p, word.ptr, word.len) != 0) return false;
    reader->p += word.len;
    return true;
}

static bool is_among(struct slice name, const struct slice *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(names[i], name)) return true;
    return false;
}

/* `"name":` and its value; the name must be none of those before it. */
static bool read_one(struct reader *reader, struct slice *names, size_t count, read_member *member, void *ctx) {
    struct slice *name = names + count;
    if (count == MEMBERS_MAX || !read_text(reader, name) || is_among(*name, names, count)) return false;
    skip_space(reader);
    if (!skip_char(reader, ':')) return false;
    skip_space(reader);
    if (!member(reader, *name, ctx)) return false;
    skip_space(reader);
    return true;
}

static bool read_object(struct reader *reader, read_member *member, void *ctx) {
    struct slice names[MEMBERS_MAX];
    size_t count = 0;
    if (!skip_char(reader, '{') || reader->depth++ == DEPTH_MAX) return false;
    skip_space(reader);
    if (!skip_char(reader, '}')) {
        do {
            if (count > 0) skip_space(reader);
            if (!read_one(reader, names, count++, member, ctx)) return false;
        } while (skip_char(reader, ','));
        if (!skip_char(reader, '}')) return false;
    }
    reader->depth--;
    return true;
}

static bool read_array(struct reader *reader) {
    if (!skip_char(reader, '[') || reader->depth++ == DEPTH_MAX) return false;
    skip_space(reader);
    if (!skip_char(reader, ']')) {
        do {
            skip_space(reader);
            if (!read_value(reader)) return false;
            skip_space(reader);
        } while (skip_char(reader, ','));
        if (!skip_char(reader, ']')) return false;
    }
    reader->depth--;
    return true;
}

static bool read_any_member(struct reader *reader, struct slice name, void *ctx) {
    return read_value(reader);
}

static bool read_value(struct reader *reader) {
    struct slice text;
    switch (reader->p < reader->end ? *reader->p : '\0') {
    case '"':
        return read_text(reader, &text);
    case '{':
        return read_object(reader, read_any_member, NULL);
    case '[':
        return read_array(reader);
    case 't':
        return read_word(reader, SLICE_LIT("true"));
    case 'f':
        return read_word(reader, SLICE_LIT("false"));
    case 'n':
        return read_word(reader, SLICE_LIT("null"));
    default:
        return read_number(reader);
    }
}

static bool read_context_member(struct reader *reader, struct slice name, void *ctx) {
    struct asked *asked = ctx;
    return slice_equal(name, SLICE_LIT("targetingKey")) ? read_text(reader, &asked->key) : read_value(reader);
}

static bool read_question_member(struct reader *reader, struct slice name, void *ctx) {
    struct asked *asked = ctx;
    if (slice_equal(name, SLICE_LIT("agent"))) return read_text(reader, &asked->agent);
    if (slice_equal(name, SLICE_LIT("environment"))) return read_text(reader, &asked->environment);
    return slice_equal(name, SLICE_LIT("context")) && read_object(reader, read_context_member, asked);
}

bool question_read(struct slice body, struct asked *ret) {
    if (body.len == 0) return false;
    struct reader reader = {.p = body.ptr, .end = body.ptr + body.len};
    *ret = (struct asked){0};
    skip_space(&reader);
    if (!read_object(&reader, read_question_member, ret)) return false;
    skip_space(&reader);
    return reader.p == reader.end && ret->agent.ptr;
}
