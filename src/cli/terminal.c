/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to a terminal. Text from a server may come from anybody who can push an agent: an escape sequence in it
 * could rename the window, hide lines, or type. Widths follow Unicode's East Asian Width for the common wide ranges; the C
 * library's wcwidth() depends on a locale that need not be installed.
 */
#include "cli/text.h"

#include <string.h>

void colour_add(struct str *out, bool on, enum colour colour, const char *text) {
    static const char *const codes[] = {"", "1", "2", "31", "32", "33", "36"};
    bool coloured = on && colour != COLOUR_NONE && *text;
    if (coloured) str_printf(out, "\033[%sm", codes[colour]);
    str_add_text(out, text);
    if (coloured) str_add_text(out, "\033[0m");
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}

/* Control characters, and marks that reorder or hide what stands around them. */
static bool is_unsafe(uint32_t c) {
    static const struct range unsafe[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0x200E, 0x200F}, {0x2028, 0x202E},
                                          {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};
    return in_ranges(c, unsafe, ARRAY_LEN(unsafe));
}

uint32_t text_character(const char *text, size_t len, size_t *ret_size, bool *ret_valid) {
    const unsigned char *p = (const unsigned char *)text;
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    *ret_valid = want <= len && utf8_valid(text, want);
    *ret_size = *ret_valid ? want : 1;
    if (!*ret_valid || want == 1) return p[0];
    uint32_t c = p[0] & (0xFFu >> (want + 1));
    for (size_t i = 1; i < want; i++)
        c = c << 6 | (p[i] & 0x3Fu);
    return c;
}

static void add_shown(struct str *out, uint32_t c, bool valid) {
    if (!valid)
        str_printf(out, "\\x%02x", c);
    else if (c == '\n')
        str_add_text(out, "\\n");
    else if (c == '\t')
        str_add_text(out, "\\t");
    else
        str_printf(out, c < 0x100 ? "\\x%02x" : "\\u{%x}", c);
}

void text_add_safe(struct str *out, const char *text, size_t len, bool lines) {
    for (size_t i = 0, size; i < len; i += size) {
        bool valid;
        uint32_t c = text_character(text + i, len - i, &size, &valid);
        if (valid && (!is_unsafe(c) || (lines && c == '\n')))
            str_add(out, text + i, size);
        else
            add_shown(out, c, valid);
    }
}

/* Outside of its texts JSON has only the white space that is let through here. */
void text_add_safe_json(struct str *out, const char *json, size_t len) {
    for (size_t i = 0, size; i < len; i += size) {
        bool valid;
        uint32_t c = text_character(json + i, len - i, &size, &valid);
        if (!valid)
            str_add_text(out, "\\ufffd");
        else if (c == '\n' || c == '\t' || c == '\r' || !is_unsafe(c))
            str_add(out, json + i, size);
        else if (c < 0x10000)
            str_printf(out, "\\u%04x", c);
        else
            str_printf(out, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
}

static size_t character_width(uint32_t c) {
    static const struct range none[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD},  {0x0610, 0x061A},
                                        {0x064B, 0x065F}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},  {0x0E47, 0x0E4E},
                                        {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200D},  {0x20D0, 0x20FF},
                                        {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0x1F3FB, 0x1F3FF}};
    static const struct range wide[] = {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x2705, 0x2705},
                                        {0x274C, 0x274C},   {0x2E80, 0x303E},   {0x3041, 0x4DBF},   {0x4E00, 0xA4CF},
                                        {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                                        {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
                                        {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD}};
    if (in_ranges(c, none, ARRAY_LEN(none))) return 0;
    return in_ranges(c, wide, ARRAY_LEN(wide)) ? 2 : 1;
}

size_t text_fit(const char *text, size_t len, size_t width) {
    size_t used = 0;
    for (size_t i = 0, size; i < len; i += size) {
        bool valid;
        used += character_width(text_character(text + i, len - i, &size, &valid));
        if (used > width) return i;
    }
    return len;
}

size_t text_width(const char *text, size_t len) {
    size_t width = 0;
    for (size_t i = 0, size; i < len; i += size) {
        bool valid;
        width += character_width(text_character(text + i, len - i, &size, &valid));
    }
    return width;
}

void text_wrap(struct str *out, const char *text, size_t indent, size_t width) {
    size_t column = indent;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " "), word = text_width(p, len);
        if (column > indent && column + 1 + word > width) {
            str_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            str_add_char(out, ' ');
            column++;
        }
        str_add(out, p, len);
        column += word;
        p += len;
        p += strspn(p, " ");
    }
}
