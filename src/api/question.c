/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a plain question, read in place: one pass, no allocation, texts borrowed from the body. Parsing into jansson's values costs more than all the rest of
 * a resolve. The context comes out as the values that rules look into.
 *
 * Only the plain part of JSON is known here: texts without escapes, numbers of few digits and without exponent, objects of few members,
 * nested a few levels deep. Anything else, right or wrong, is "not plain" and goes the common way, where json_parse() has the last word. So this
 * reader may say no to a question that is right; it must never say yes to one that json_parse() or the table of operations refuses
 * (test_question.c compares the two).
 */
#include "api/api_impl.h"

#include <endian.h>
#include <string.h>

#define MEMBERS_MAX 16
#define DEPTH_MAX 6
#define DIGITS_MAX 15

struct reader {
    const char *p, *end;
    unsigned depth;
    struct logic_build build; /* the members of what is open; of the context also what was read */
};

/* Reads the value of a member; `ctx` is the owner's. */
typedef bool read_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret);

static bool read_value(struct reader *reader, struct logic_value *ret);

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

#define EACH_BYTE(byte) ((byte)*UINT64_C(0x0101010101010101))

/* The high bits of bytes that are 0, exact up to the first one. */
static inline uint64_t zeros_of(uint64_t word) {
    return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

/* The high bits of bytes that end plain text, exact up to the first one: quotes, backslashes, and those below a space. */
static inline uint64_t ends_of(uint64_t word) {
    uint64_t control = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);
    return control | zeros_of(word ^ EACH_BYTE('"')) | zeros_of(word ^ EACH_BYTE('\\'));
}

/* Over plain text, eight bytes at a time while there are as many; answers whether some are not ASCII. */
static bool skip_plain(struct reader *reader) {
    const char *p = reader->p;
    uint64_t seen = 0, word;
    for (; reader->end - p >= 8; p += 8) {
        memcpy(&word, p, sizeof(word));
        word = le64toh(word);
        uint64_t ends = ends_of(word);
        if (ends) {
            unsigned bits = (unsigned)__builtin_ctzll(ends) - 7;
            seen |= bits ? word << (64 - bits) : 0;
            reader->p = p + bits / 8;
            return seen & EACH_BYTE(0x80);
        }
        seen |= word;
    }
    for (; p < reader->end && (unsigned char)*p >= ' ' && *p != '"' && *p != '\\'; p++)
        seen |= (unsigned char)*p;
    reader->p = p;
    return seen & EACH_BYTE(0x80);
}

static bool read_text(struct reader *reader, struct slice *ret) {
    if (!skip_char(reader, '"')) return false;
    const char *begin = reader->p;
    bool wide = skip_plain(reader);
    *ret = (struct slice){begin, (size_t)(reader->p - begin)};
    return skip_char(reader, '"') && (!wide || utf8_valid(ret->ptr, ret->len));
}

static size_t skip_digits(struct reader *reader) {
    const char *begin = reader->p;
    while (reader->p < reader->end && *reader->p >= '0' && *reader->p <= '9')
        reader->p++;
    return (size_t)(reader->p - begin);
}

/* A number of few digits: the digits and the power of ten are exact, so that their quotient is the nearest double, as the parser's is. The parser reads -0 as the
 * integer 0, and -0.0 as it stands. */
static double number_of(struct slice text) {
    double digits = 0, power = 1;
    bool part = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.') part = true;
        if (text.ptr[i] < '0' || text.ptr[i] > '9') continue;
        digits = digits * 10 + (text.ptr[i] - '0');
        if (part) power *= 10;
    }
    return text.ptr[0] == '-' && (part || digits > 0) ? -(digits / power) : digits / power;
}

static bool read_number(struct reader *reader, struct logic_value *ret) {
    const char *begin = reader->p;
    (void)skip_char(reader, '-');
    const char *first = reader->p;
    size_t digits = skip_digits(reader);
    if (digits == 0 || digits > DIGITS_MAX || (*first == '0' && digits > 1)) return false;
    if (skip_char(reader, '.')) {
        size_t more = skip_digits(reader);
        if (more == 0 || digits + more > DIGITS_MAX) return false;
    }
    *ret = logic_number(number_of((struct slice){begin, (size_t)(reader->p - begin)}));
    return reader->p == reader->end || (*reader->p != 'e' && *reader->p != 'E');
}

static bool read_word(struct reader *reader, struct slice word) {
    if ((size_t)(reader->end - reader->p) < word.len || memcmp(reader->p, word.ptr, word.len) != 0) return false;
    reader->p += word.len;
    return true;
}

static bool is_among(struct slice name, const struct logic_member *members, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (members[i].name.len == name.len && slice_equal(members[i].name, name)) return true;
    return false;
}

/* `"name":` and its value; the name must be none of those since `mark`. */
static bool read_one(struct reader *reader, uint32_t mark, read_member *member, void *ctx) {
    struct slice name;
    struct logic_value value;
    uint32_t count = reader->build.open - mark;
    if (count == MEMBERS_MAX || !read_text(reader, &name) || is_among(name, reader->build.members + mark, count))
        return false;
    skip_space(reader);
    if (!skip_char(reader, ':')) return false;
    skip_space(reader);
    if (!member(reader, name, ctx, &value)) return false;
    skip_space(reader);
    return logic_build_add(&reader->build, name, value);
}

static bool read_object(struct reader *reader, read_member *member, void *ctx, struct logic_value *ret) {
    uint32_t mark = reader->build.open;
    if (!skip_char(reader, '{') || reader->depth++ == DEPTH_MAX) return false;
    skip_space(reader);
    if (!skip_char(reader, '}')) {
        do {
            skip_space(reader);
            if (!read_one(reader, mark, member, ctx)) return false;
        } while (skip_char(reader, ','));
        if (!skip_char(reader, '}')) return false;
    }
    reader->depth--;
    return logic_build_close(&reader->build, mark, LOGIC_OBJECT, ret);
}

static bool read_array(struct reader *reader, struct logic_value *ret) {
    uint32_t mark = reader->build.open;
    struct logic_value item;
    if (!skip_char(reader, '[') || reader->depth++ == DEPTH_MAX) return false;
    skip_space(reader);
    if (!skip_char(reader, ']')) {
        do {
            skip_space(reader);
            if (!read_value(reader, &item) || !logic_build_add(&reader->build, (struct slice){NULL, 0}, item))
                return false;
            skip_space(reader);
        } while (skip_char(reader, ','));
        if (!skip_char(reader, ']')) return false;
    }
    reader->depth--;
    return logic_build_close(&reader->build, mark, LOGIC_LIST, ret);
}

static bool read_any_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret) {
    return read_value(reader, ret);
}

/* A value that must be a text. */
static bool read_only_text(struct reader *reader, struct slice *ret_text, struct logic_value *ret) {
    if (!read_text(reader, ret_text)) return false;
    *ret = logic_text(*ret_text);
    return true;
}

static bool read_value(struct reader *reader, struct logic_value *ret) {
    struct slice text;
    switch (reader->p < reader->end ? *reader->p : '\0') {
    case '"':
        return read_only_text(reader, &text, ret);
    case '{':
        return read_object(reader, read_any_member, NULL, ret);
    case '[':
        return read_array(reader, ret);
    case 't':
        *ret = logic_bool(true);
        return read_word(reader, SLICE_LIT("true"));
    case 'f':
        *ret = logic_bool(false);
        return read_word(reader, SLICE_LIT("false"));
    case 'n':
        *ret = logic_null();
        return read_word(reader, SLICE_LIT("null"));
    default:
        return read_number(reader, ret);
    }
}

/* A time that is no text, like a session that is no object, is none. */
static bool read_session_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret) {
    struct asked *asked = ctx;
    bool text = reader->p < reader->end && *reader->p == '"';
    if (text && slice_equal(name, SLICE_LIT("started_at")))
        return read_only_text(reader, &asked->session_started_at, ret);
    return read_value(reader, ret);
}

static bool read_context_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret) {
    struct asked *asked = ctx;
    bool object = reader->p < reader->end && *reader->p == '{';
    if (slice_equal(name, SLICE_LIT("targetingKey"))) return read_only_text(reader, &asked->key, ret);
    if (object && slice_equal(name, SLICE_LIT("session"))) return read_object(reader, read_session_member, asked, ret);
    return read_value(reader, ret);
}

static bool read_question_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret) {
    struct asked *asked = ctx;
    if (slice_equal(name, SLICE_LIT("agent"))) return read_only_text(reader, &asked->agent, ret);
    if (slice_equal(name, SLICE_LIT("environment"))) return read_only_text(reader, &asked->environment, ret);
    if (!slice_equal(name, SLICE_LIT("context")) || !read_object(reader, read_context_member, asked, ret)) return false;
    asked->attributes.data = *ret;
    return true;
}

static bool read_whole(struct slice body, struct context_room *room, read_member *member, struct asked *ret) {
    struct logic_value whole;
    if (body.len == 0) return false;
    struct reader reader = {.p = body.ptr, .end = body.ptr + body.len};
    logic_build_init(&reader.build, room->bytes, sizeof(room->bytes));
    *ret = (struct asked){0};
    skip_space(&reader);
    if (!read_object(&reader, member, ret, &whole)) return false;
    skip_space(&reader);
    return reader.p == reader.end;
}

bool question_read(struct slice body, struct context_room *room, struct asked *ret) {
    return read_whole(body, room, read_question_member, ret) && ret->agent.ptr;
}

static bool read_evaluation_member(struct reader *reader, struct slice name, void *ctx, struct logic_value *ret) {
    struct asked *asked = ctx;
    if (!slice_equal(name, SLICE_LIT("context")) || !read_object(reader, read_context_member, asked, ret)) return false;
    asked->attributes.data = *ret;
    return true;
}

bool evaluation_read(struct slice body, struct context_room *room, struct asked *ret) {
    return read_whole(body, room, read_evaluation_member, ret);
}
