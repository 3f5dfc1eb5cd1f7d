/* SPDX-License-Identifier: Apache-2.0 */
/* The same page as text for a terminal, as roff for man, and as Markdown for the reference. */
#include "cli/cli_impl.h"

#include <ctype.h>
#include <string.h>

#define WIDTH 80
#define TERM_COLUMN 30

static void add_roff_character(struct str *out, uint32_t c) {
    if (c == '\\')
        str_add_text(out, "\\e");
    else if (c == '-')
        str_add_text(out, "\\-");
    else if (c > 0x7F)
        str_printf(out, "\\[u%04X]", c);
    else
        str_add_char(out, (char)c);
}

/* A hyphen in roff is a dash unless it is escaped, a line that begins with a dot is a command, and what is beyond ASCII depends on
 * how it is read unless it is named. `code` becomes bold. */
static void add_roff(struct str *out, const char *text) {
    bool code = false, line_start = true;
    for (size_t i = 0, size, len = strlen(text); i < len; i += size) {
        bool valid;
        uint32_t c = text_character(text + i, len - i, &size, &valid);
        if (line_start && (c == '.' || c == '\'')) str_add_text(out, "\\&");
        line_start = c == '\n';
        if (c != '`') {
            add_roff_character(out, c);
            continue;
        }
        code = !code;
        str_add_text(out, code ? "\\fB" : "\\fR");
    }
}

/* < and > would be taken for HTML; nothing is special inside of code. */
static void add_markdown(struct str *out, const char *text) {
    bool code = false;
    for (const char *p = text; *p; p++) {
        if (*p == '`') code = !code;
        if (!code && strchr("<>*_", *p)) str_add_char(out, '\\');
        str_add_char(out, *p);
    }
}

void page_title(struct page *page, const char *name, const char *summary) {
    switch (page->form) {
    case PAGE_TEXT:
        str_printf(page->out, "%s\n", summary);
        break;
    case PAGE_MAN:
        str_add_text(page->out, ".TH ");
        for (const char *p = name; *p; p++)
            str_add_char(page->out, (char)toupper((unsigned char)*p));
        str_add_text(page->out, " 1 \"\" \"serin " SERIN_VERSION "\" \"Serin\"\n.SH NAME\n");
        add_roff(page->out, name);
        str_add_text(page->out, " \\- ");
        add_roff(page->out, summary);
        str_add_char(page->out, '\n');
        break;
    case PAGE_MARKDOWN:
        str_printf(page->out, "\n## %s\n\n", name);
        add_markdown(page->out, summary);
        str_add_text(page->out, ".\n");
    }
}

void page_heading(struct page *page, const char *text) {
    if (page->form == PAGE_TEXT) {
        str_add_char(page->out, '\n');
        colour_add(page->out, page->colour, COLOUR_BOLD, text);
        str_add_text(page->out, ":\n");
        return;
    }
    str_add_text(page->out, page->form == PAGE_MAN ? ".SH " : "\n### ");
    for (const char *p = text; *p; p++)
        str_add_char(page->out, page->form == PAGE_MAN ? (char)toupper((unsigned char)*p) : *p);
    str_add_text(page->out, page->form == PAGE_MAN ? "\n" : "\n\n");
}

static void add_paragraph(struct page *page, const char *text) {
    switch (page->form) {
    case PAGE_TEXT:
        str_add_char(page->out, '\n');
        text_wrap(page->out, text, 0, WIDTH);
        break;
    case PAGE_MAN:
        str_add_text(page->out, ".PP\n");
        add_roff(page->out, text);
        break;
    case PAGE_MARKDOWN:
        str_add_char(page->out, '\n');
        add_markdown(page->out, text);
    }
    str_add_char(page->out, '\n');
}

void page_text(struct page *page, const char *text) {
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        while (len && text[len - 1] == '\n')
            len--;
        char *paragraph = strndup(text, len);
        if (!paragraph) page->out->failed = true;
        if (paragraph && len) add_paragraph(page, paragraph);
        free(paragraph);
        if (!end) return;
        text = end + strspn(end, "\n");
    }
}

void page_usage(struct page *page, const char *line) {
    if (page->form == PAGE_TEXT) str_printf(page->out, "\nUsage: %s\n", line);
    if (page->form == PAGE_MARKDOWN) str_printf(page->out, "\n```\n%s\n```\n", line);
    if (page->form != PAGE_MAN) return;
    str_add_text(page->out, ".SH SYNOPSIS\n");
    add_roff(page->out, line);
    str_add_text(page->out, "\n.SH DESCRIPTION\n");
}

static void add_text_item(struct page *page, const char *term, const char *text) {
    size_t width = text_width(term, strlen(term));
    bool fits = width + 4 <= TERM_COLUMN;
    str_printf(page->out, "  %s", term);
    if (*text && !fits) str_printf(page->out, "\n%*s", TERM_COLUMN, "");
    if (*text && fits) str_printf(page->out, "%*s", (int)(TERM_COLUMN - 2 - width), "");
    text_wrap(page->out, text, TERM_COLUMN, WIDTH);
    str_add_char(page->out, '\n');
}

void page_item(struct page *page, const char *term, const char *text) {
    switch (page->form) {
    case PAGE_TEXT:
        add_text_item(page, term, text);
        break;
    case PAGE_MAN:
        str_add_text(page->out, ".TP\n\\fB");
        add_roff(page->out, term);
        str_add_text(page->out, "\\fR\n");
        add_roff(page->out, text);
        str_add_char(page->out, '\n');
        break;
    case PAGE_MARKDOWN:
        str_printf(page->out, "- `%s`%s", term, *text ? ": " : "");
        add_markdown(page->out, text);
        str_add_char(page->out, '\n');
    }
}

void page_example(struct page *page, const char *line, const char *doc) {
    switch (page->form) {
    case PAGE_TEXT:
        if (*doc) str_printf(page->out, "  # %s\n", doc);
        str_printf(page->out, "  %s\n", line);
        break;
    case PAGE_MAN:
        if (*doc) str_add_text(page->out, ".PP\n");
        add_roff(page->out, doc);
        str_add_text(page->out, *doc ? "\n.RS 4\n.nf\n" : ".RS 4\n.nf\n");
        add_roff(page->out, line);
        str_add_text(page->out, "\n.fi\n.RE\n");
        break;
    case PAGE_MARKDOWN:
        str_printf(page->out, "```sh\n%s%s%s%s\n```\n", *doc ? "# " : "", doc, *doc ? "\n" : "", line);
    }
}
