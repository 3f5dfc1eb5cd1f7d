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
        size_t more = skip_digits(reader);
        if (more == 0 || digits + more > DIGITS_MAX) return false;
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

/* A time that is no text, like a session that is no object, is none. */
static bool read_session_member(struct reader *reader, struct slice name, void *ctx) {
    struct asked *asked = ctx;
    bool text = reader->p < reader->end && *reader->p == '"';
    if (text && slice_equal(name, SLICE_LIT("started_at"))) return read_text(reader, &asked->session_started_at);
    return read_value(reader);
}

static bool read_context_member(struct reader *reader, struct slice name, void *ctx) {
    struct asked *asked = ctx;
    bool object = reader->p < reader->end && *reader->p == '{';
    if (slice_equal(name, SLICE_LIT("targetingKey"))) return read_text(reader, &asked->key);
    if (object && slice_equal(name, SLICE_LIT("session"))) return read_object(reader, read_session_member, asked);
    return read_value(reader);
}

static bool read_context(struct reader *reader, struct asked *asked) {
    const char *begin = reader->p;
    if (!read_object(reader, read_context_member, asked)) return false;
    asked->context = (struct slice){begin, (size_t)(reader->p - begin)};
    return true;
}

static bool read_question_member(struct reader *reader, struct slice name, void *ctx) {
    struct asked *asked = ctx;
    if (slice_equal(name, SLICE_LIT("agent"))) return read_text(reader, &asked->agent);
    if (slice_equal(name, SLICE_LIT("environment"))) return read_text(reader, &asked->environment);
    return slice_equal(name, SLICE_LIT("context")) && read_context(reader, asked);
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

/* ---- attributes: what was read once is read again, up to the one that is asked for ---- */

struct search {
    struct slice path;  /* what is left of it */
    struct slice found; /* the value's bytes */
};

static bool search_value(struct reader *reader, struct search *search);

/* The first name of the path: everything up to a dot. */
static struct slice first_name(struct slice path) {
    const char *dot = path.len ? memchr(path.ptr, '.', path.len) : NULL;
    return dot ? (struct slice){path.ptr, (size_t)(dot - path.ptr)} : path;
}

/* Goes down into this value if it is the one that the path names; else over it. */
static bool search_here(struct reader *reader, struct search *search, bool here) {
    if (!here) return read_value(reader);
    struct search inner = {.path = search->path};
    size_t name = first_name(search->path).len;
    bool last = name == search->path.len;
    inner.path =
        last ? (struct slice){NULL, 0} : (struct slice){search->path.ptr + name + 1, search->path.len - name - 1};
    const char *begin = reader->p;
    if (!(last ? read_value(reader) : search_value(reader, &inner))) return false;
    search->found = last ? (struct slice){begin, (size_t)(reader->p - begin)} : inner.found;
    return true;
}

static bool search_member(struct reader *reader, struct slice name, void *ctx) {
    struct search *search = ctx;
    return search_here(reader, search, !search->found.ptr && slice_equal(name, first_name(search->path)));
}

static bool search_items(struct reader *reader, struct search *search) {
    struct slice name = first_name(search->path);
    char text[8];
    int64_t wanted = -1;
    if (name.len < sizeof(text)) {
        if (name.len) memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        if (!text_to_int(text, 0, 999999, &wanted)) wanted = -1;
    }
    (void)skip_char(reader, '[');
    skip_space(reader);
    if (skip_char(reader, ']')) return true;
    for (int64_t i = 0;; i++) {
        skip_space(reader);
        if (!search_here(reader, search, i == wanted)) return false;
        skip_space(reader);
        if (!skip_char(reader, ',')) return skip_char(reader, ']');
    }
}

static bool search_value(struct reader *reader, struct search *search) {
    if (reader->p < reader->end && *reader->p == '{') return read_object(reader, search_member, search);
    if (reader->p < reader->end && *reader->p == '[') return search_items(reader, search);
    return read_value(reader);
}

/* A number of few digits: the digits and the power of ten are exact, so that their quotient is the nearest double, as the parser's is. */
static double plain_number(struct slice text) {
    double digits = 0, power = 1;
    bool part = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.') part = true;
        if (text.ptr[i] < '0' || text.ptr[i] > '9') continue;
        digits = digits * 10 + (text.ptr[i] - '0');
        if (part) power *= 10;
    }
    return text.ptr[0] == '-' ? -(digits / power) : digits / power;
}

static struct logic_value plain_value(struct slice text) {
    switch (text.len ? text.ptr[0] : 'n') {
    case '"':
        return (struct logic_value){.type = LOGIC_TEXT, .text = {text.ptr + 1, text.len - 2}};
    case 't':
    case 'f':
        return (struct logic_value){.type = LOGIC_BOOL, .truth = text.ptr[0] == 't'};
    case 'n':
    case '{':
    case '[':
        return (struct logic_value){.type = LOGIC_NULL};
    default:
        return (struct logic_value){.type = LOGIC_NUMBER, .number = plain_number(text)};
    }
}

static struct logic_value find_plain(const void *ctx, struct slice path) {
    const struct slice *context = ctx;
    struct search search = {.path = path};
    struct reader reader = {.p = context->ptr, .end = context->ptr + context->len};
    if (!context->len || !path.len || !search_value(&reader, &search) || !search.found.ptr)
        return (struct logic_value){.type = LOGIC_NULL};
    return plain_value(search.found);
}

struct logic_context question_attributes(const struct slice *context) {
    return (struct logic_context){find_plain, context};
}
