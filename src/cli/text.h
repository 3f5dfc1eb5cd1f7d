/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for people at a terminal: safe, measured, coloured, aligned, wrapped, and times as they say them (terminal.c, layout.c,
 * when.c). Nothing here knows of commands or servers. Widths are columns of a terminal, lengths are bytes of UTF-8.
 */
#ifndef SERIN_CLI_TEXT_H
#define SERIN_CLI_TEXT_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* The first character; its size in bytes goes to *ret_size. Bytes that are no UTF-8 come one by one, with *ret_valid false. */
uint32_t text_character(const char *text, size_t len, size_t *ret_size, bool *ret_valid);

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_DIM, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_CYAN };
void colour_add(struct str *out, bool on, enum colour colour, const char *text);
/* Appends text from outside, fit for a terminal: control characters, marks that turn the direction of writing, and bytes that
 * are no UTF-8 are shown by their numbers. Newlines stay when `lines`. */
void text_add_safe(struct str *out, const char *text, size_t len, bool lines);
/* The same for JSON, which stays JSON: such characters become \uXXXX. */
void text_add_safe_json(struct str *out, const char *json, size_t len);
/* Columns that the UTF-8 text takes on a terminal. */
size_t text_width(const char *text, size_t len);
/* Bytes of the longest start of the text that takes at most `width` columns. */
size_t text_fit(const char *text, size_t len, size_t width);
/* Appends words, wrapped at `width` columns, each line behind `indent` spaces; the first line's indent is already there. */
void text_wrap(struct str *out, const char *text, size_t indent, size_t width);

struct cell {
    const char *text; /* made safe by the layout */
    enum colour colour;
};
struct layout_column {
    const char *title; /* NULL: without a title */
    bool right;        /* numbers */
    bool shrinks;      /* may be cut with "…" */
};
struct layout {
    const struct layout_column *columns;
    size_t column_count;
    const struct cell *cells; /* row by row */
    size_t row_count;
};
/* Appends an aligned table; at most `width` columns wide when it can be (0: as wide as needed). Empty columns are left out. */
int layout_add(const struct layout *layout, size_t width, bool colour, struct arena *arena, struct str *out,
               struct err *err) MUST_CHECK;

#define WHEN_SIZE 64
/* "2026-11-23 14:05:07" in the user's time zone. */
void when_date(int64_t wall, char ret[WHEN_SIZE]);
/* "2026-11-23 14:05:07 (3h ago)": how long ago for what is at most a week old. */
void when_text(int64_t wall, int64_t now, char ret[WHEN_SIZE]);
/* A duration in its two largest units: "3d4h", "5m20s"; above 0. */
void when_about(int64_t duration, char ret[WHEN_SIZE]);
/* A moment as users write it (14:05, 2026-11-23 14:05) to RFC 3339; other text is handed through for the server to judge. */
int when_read(const char *text, int64_t now, char ret[WHEN_SIZE], struct err *err) MUST_CHECK;

#endif
