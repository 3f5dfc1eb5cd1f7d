/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of an error are formatted into a buffer aside before they replace what the error held, so
 * that a caller may build the new message from the old one. Text that does not fit is cut where a
 * character ends: an error goes into JSON answers, which must stay UTF-8.
 */
#define ERR_IMPLEMENTATION
#include "base/err.h"

#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name, *title, *remedy;
    int status;
};

static const struct code_row codes[ERR_CODE_COUNT_] = {
    [ERR_NONE] = {"none", "No error", "", 200},
#define ERR(id, name_, status_, title_, remedy_) [ERR_##id] = {name_, title_, remedy_, status_},
#include "base/err.def"
#undef ERR
};

static const struct code_row *row_of(enum err_code code) {
    return &codes[(unsigned)code < ERR_CODE_COUNT_ ? code : ERR_INTERNAL];
}

/* Drops a character that the cut at the end of `text` left incomplete. */
static void trim_to_character(char *text) {
    size_t len = strlen(text), start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0) return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (want > len - start + 1) text[start - 1] = '\0';
}

PRINTF_LIKE(3, 0)
static void format_cut(char *dest, size_t size, const char *fmt, va_list args) {
    int len = vsnprintf(dest, size, fmt, args);
    if (len < 0) dest[0] = '\0';
    if (len >= 0 && (size_t)len >= size) trim_to_character(dest);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...) {
    if (!err) return -(int)code;
    char message[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    format_cut(message, sizeof(message), fmt, args);
    va_end(args);
    *err = (struct err){.code = code};
    memcpy(err->message, message, sizeof(message));
    return -(int)code;
}

void err_at(struct err *err, const char *fmt, ...) {
    if (!err) return;
    char at[sizeof(err->at)];
    va_list args;
    va_start(args, fmt);
    format_cut(at, sizeof(at), fmt, args);
    va_end(args);
    memcpy(err->at, at, sizeof(at));
}

void err_position(struct err *err, unsigned line, unsigned column) {
    if (!err) return;
    err->line = line;
    err->column = column;
}

void err_remedy(struct err *err, const char *fmt, ...) {
    if (!err) return;
    char remedy[sizeof(err->remedy)];
    va_list args;
    va_start(args, fmt);
    format_cut(remedy, sizeof(remedy), fmt, args);
    va_end(args);
    memcpy(err->remedy, remedy, sizeof(remedy));
}

/* Puts `tail` behind `head` in a message of its size, cut at a character. */
static void join(char *dest, size_t size, const char *head, const char *tail) {
    size_t head_len = strnlen(head, size - 1), tail_len = strlen(tail);
    size_t room = size - 1 - head_len, take = tail_len < room ? tail_len : room;
    memmove(dest + head_len, tail, take);
    memcpy(dest, head, head_len);
    dest[head_len + take] = '\0';
    if (take < tail_len) trim_to_character(dest);
}

void err_prefix(struct err *err, const char *fmt, ...) {
    if (!err) return;
    char prefix[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    format_cut(prefix, sizeof(prefix), fmt, args);
    va_end(args);
    join(err->message, sizeof(err->message), prefix, err->message);
}

int err_set_errno(struct err *err, enum err_code code, int errnum, const char *fmt, ...) {
    if (!err) return -(int)code;
    char message[sizeof(err->message)], buffer[128];
    va_list args;
    va_start(args, fmt);
    format_cut(message, sizeof(message), fmt, args);
    va_end(args);
    return err_set(err, code, "%s: %s", message, strerror_r(errnum, buffer, sizeof(buffer)));
}

int err_no_memory(struct err *err) {
    return err_set(err, ERR_NO_MEMORY, "out of memory");
}

const char *err_name(enum err_code code) {
    return row_of(code)->name;
}

const char *err_title(enum err_code code) {
    return row_of(code)->title;
}

const char *err_advice(enum err_code code) {
    return row_of(code)->remedy;
}

int err_status(enum err_code code) {
    return row_of(code)->status;
}

const char *err_remedy_text(const struct err *err) {
    return err->remedy[0] ? err->remedy : err_advice(err->code);
}

enum err_code err_by_name(const char *name) {
    for (unsigned code = ERR_NONE + 1; code < ERR_CODE_COUNT_; code++)
        if (strcmp(codes[code].name, name) == 0) return (enum err_code)code;
    return ERR_NONE;
}
