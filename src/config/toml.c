/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line at a time: a fault ends its line and reading goes on with the next, so that all faults of a file are told
 * at once. What TOML allows and settings do not use is recognised and named, rather than called a syntax error.
 */
#include "config/toml.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define DIGITS_SIZE 32

struct parser {
    const char *name;
    struct arena *arena;
    struct faults *faults;
    const char *p, *end; /* what is left of the line */
    const char *line_start;
    unsigned line;
    bool failed; /* memory ran out */
};

static unsigned column_at(const struct parser *parser, const char *place) {
    unsigned column = 1;
    for (const char *p = parser->line_start; p < place; p++)
        column += ((unsigned char)*p & 0xC0) != 0x80;
    return column;
}

/* Adds a fault at the place and gives the line up. */
static bool refuse(struct parser *parser, const char *place, const char *message) {
    struct fault *fault = faults_add(parser->faults, parser->name, "%s", message);
    if (!fault) return false;
    fault->line = parser->line;
    fault->column = column_at(parser, place);
    return false;
}

static void skip_blanks(struct parser *parser) {
    while (parser->p < parser->end && (*parser->p == ' ' || *parser->p == '\t'))
        parser->p++;
}

static bool is_key_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool read_key(struct parser *parser, struct toml_entry *entry) {
    const char *start = parser->p;
    while (parser->p < parser->end && is_key_char(*parser->p))
        parser->p++;
    size_t len = (size_t)(parser->p - start);
    if (len == 0 && *start == '[') return refuse(parser, start, "tables are not used here; write key = value");
    if (len == 0) return refuse(parser, start, "expected a key of letters, digits, - and _, then =");
    entry->column = column_at(parser, start);
    entry->key = arena_strndup(parser->arena, start, len);
    if (!entry->key) parser->failed = true;
    skip_blanks(parser);
    if (parser->p == parser->end || *parser->p != '=') return refuse(parser, parser->p, "expected = behind the key");
    parser->p++;
    skip_blanks(parser);
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static void add_utf8(struct str *out, uint32_t c) {
    if (c < 0x80) {
        str_add_char(out, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    str_add_char(out, (char)(leads[more] | (c >> (6 * more))));
    while (more-- > 0)
        str_add_char(out, (char)(0x80 | ((c >> (6 * more)) & 0x3F)));
}

/* \uXXXX or \UXXXXXXXX, the parser standing behind the letter. */
static bool read_code_point(struct parser *parser, unsigned digits, struct str *out) {
    const char *start = parser->p - 2;
    uint32_t c = 0;
    for (unsigned i = 0; i < digits; i++, parser->p++) {
        int value = parser->p < parser->end ? hex_value(*parser->p) : -1;
        if (value < 0) return refuse(parser, start, "expected 4 hex digits behind \\u, or 8 behind \\U");
        c = c << 4 | (uint32_t)value;
    }
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return refuse(parser, start, "this escape stands for no character that a text may hold");
    add_utf8(out, c);
    return true;
}

static bool read_escape(struct parser *parser, struct str *out) {
    static const char letters[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    const char *start = parser->p++;
    char c = parser->p < parser->end ? *parser->p++ : '\0';
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        str_add_char(out, values[found - letters]);
        return true;
    }
    if (c == 'u' || c == 'U') return read_code_point(parser, c == 'u' ? 4 : 8, out);
    return refuse(parser, start, "unknown escape; use \\\\ for a backslash, or a text in single quotes");
}

static bool read_text(struct parser *parser, struct toml_entry *entry) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    const char *start = parser->p;
    char quote = *start;
    if (parser->end - start >= 3 && start[1] == quote && start[2] == quote)
        return refuse(parser, start, "texts of several lines are not used here");
    parser->p++;
    str_reserve(&out, 0);
    while (parser->p < parser->end && *parser->p != quote) {
        if (quote == '"' && *parser->p == '\\') {
            if (!read_escape(parser, &out)) return false;
            continue;
        }
        str_add_char(&out, *parser->p++);
    }
    if (parser->p == parser->end) return refuse(parser, start, "the text is not closed on its line");
    parser->p++;
    entry->type = TOML_TEXT;
    entry->text = out.failed ? NULL : arena_strndup(parser->arena, out.data, out.len);
    if (!entry->text) parser->failed = true;
    return true;
}

/* Digits with single underscores between them become plain digits; false when they are not that. */
static bool plain_digits(const char *word, size_t len, char *ret, size_t size) {
    size_t used = 0, i = 0;
    if (len > 0 && (word[0] == '+' || word[0] == '-')) {
        if (word[0] == '-') ret[used++] = '-';
        i++;
    }
    if (i == len || (word[i] == '0' && len - i > 1)) return false;
    for (size_t first = i; i < len; i++) {
        bool digit = word[i] >= '0' && word[i] <= '9';
        bool separates = word[i] == '_' && i > first && word[i - 1] != '_' && i + 1 < len;
        if (!digit && !separates) return false;
        if (digit && used + 1 >= size) return false;
        if (digit) ret[used++] = word[i];
    }
    ret[used] = '\0';
    return true;
}

static bool read_number(struct slice word, struct toml_entry *entry, char digits[DIGITS_SIZE]) {
    entry->type = TOML_INT;
    return plain_digits(word.ptr, word.len, digits, DIGITS_SIZE) &&
           text_to_int(digits, INT64_MIN, INT64_MAX, &entry->number);
}

static bool read_bool(struct slice word, struct toml_entry *entry, char digits[DIGITS_SIZE]) {
    entry->type = TOML_BOOL;
    entry->number = slice_equal_text(word, "true");
    snprintf(digits, DIGITS_SIZE, "%s", entry->number ? "true" : "false");
    return entry->number || slice_equal_text(word, "false");
}

static bool read_word(struct parser *parser, struct toml_entry *entry) {
    const char *start = parser->p;
    char plain[DIGITS_SIZE];
    while (parser->p < parser->end && !strchr(" \t#", *parser->p))
        parser->p++;
    struct slice word = {start, (size_t)(parser->p - start)};
    if (word.len == 0) return refuse(parser, start, "expected a value behind =");
    if (*start == '[' || *start == '{') return refuse(parser, start, "lists and tables are not used here");
    if (!read_bool(word, entry, plain) && !read_number(word, entry, plain))
        return refuse(parser, start, "expected a text in quotes, a whole number, or true or false");
    entry->text = arena_strdup(parser->arena, plain);
    if (!entry->text) parser->failed = true;
    return true;
}

static bool find_control(struct parser *parser) {
    for (const char *p = parser->p; p < parser->end; p++)
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7F) {
            refuse(parser, p, "control characters are not allowed");
            return true;
        }
    return false;
}

static bool read_line(struct parser *parser, struct toml_entry *entry) {
    if (find_control(parser)) return false;
    skip_blanks(parser);
    if (parser->p == parser->end || *parser->p == '#') return false;
    entry->line = parser->line;
    if (!read_key(parser, entry)) return false;
    bool quoted = parser->p < parser->end && (*parser->p == '"' || *parser->p == '\'');
    if (!(quoted ? read_text(parser, entry) : read_word(parser, entry))) return false;
    skip_blanks(parser);
    if (parser->p < parser->end && *parser->p != '#')
        return refuse(parser, parser->p, "expected the end of the line behind the value");
    return true;
}

static bool is_repeated(struct parser *parser, const struct toml_file *file, const struct toml_entry *entry) {
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->entries[i].key, entry->key)) continue;
        struct fault *fault = faults_add(parser->faults, parser->name, "%s is set twice; first in line %u", entry->key,
                                         file->entries[i].line);
        if (fault) fault->line = entry->line, fault->column = entry->column;
        return true;
    }
    return false;
}

static size_t count_lines(struct slice text) {
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

static bool check_utf8(struct slice text, const char *name, struct faults *faults) {
    size_t offset;
    if (utf8_check(text.ptr, text.len, &offset)) return true;
    struct fault *fault = faults_add(faults, name, "the text is not UTF-8");
    if (fault) fault->line = (unsigned)count_lines((struct slice){text.ptr, offset});
    return false;
}

int toml_parse(struct slice text, const char *name, struct arena *arena, struct faults *faults, struct toml_file *ret,
               struct err *err) {
    struct parser parser = {.name = name, .arena = arena, .faults = faults};
    *ret = (struct toml_file){0};
    if (text.len == 0 || !check_utf8(text, name, faults)) return 0;
    const char *end = text.ptr + text.len;
    ret->entries = arena_array(arena, count_lines(text), sizeof(*ret->entries));
    if (!ret->entries) return err_no_memory(err);
    for (const char *next = text.ptr; next < end && !parser.failed;) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        parser.p = parser.line_start = next;
        parser.end = newline ? newline : end;
        parser.line++;
        next = newline ? newline + 1 : end;
        if (newline && parser.end > parser.p && parser.end[-1] == '\r') parser.end--;
        struct toml_entry entry = {0};
        if (!read_line(&parser, &entry) || parser.failed || is_repeated(&parser, ret, &entry)) continue;
        ret->entries[ret->count++] = entry;
    }
    return parser.failed || faults->failed ? err_no_memory(err) : 0;
}
