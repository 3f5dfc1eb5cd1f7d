/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns. Only on a terminal of known width are cells cut, the widest of those that may be first. */
#include "cli/text.h"

#include <string.h>

#define GAP 2
#define SHRUNK_MIN 10

struct column {
    size_t width;
    bool used;
};

static const struct cell *cell_at(const struct layout *layout, size_t row, size_t column) {
    return &layout->cells[row * layout->column_count + column];
}

/* A copy of the cells that can be printed as it is; NULL when memory ran out. */
static const struct cell *safe_cells(const struct layout *layout, struct arena *arena) {
    size_t count = layout->row_count * layout->column_count;
    struct cell *cells = arena_array(arena, count, sizeof(*cells));
    for (size_t i = 0; cells && i < count; i++) {
        _cleanup_(str_deinit) struct str safe = STR_INIT;
        const char *text = layout->cells[i].text ? layout->cells[i].text : "";
        text_add_safe(&safe, text, strlen(text), false);
        cells[i] = (struct cell){.colour = layout->cells[i].colour};
        cells[i].text = safe.failed ? NULL : arena_strndup(arena, safe.data ? safe.data : "", safe.len);
        if (!cells[i].text) return NULL;
    }
    return cells;
}

static void measure(const struct layout *layout, struct column *columns) {
    for (size_t c = 0; c < layout->column_count; c++) {
        const char *title = layout->columns[c].title;
        for (size_t r = 0; r < layout->row_count; r++) {
            const char *text = cell_at(layout, r, c)->text;
            size_t width = text_width(text, strlen(text));
            if (*text) columns[c].used = true;
            if (width > columns[c].width) columns[c].width = width;
        }
        if (columns[c].used && title && strlen(title) > columns[c].width) columns[c].width = strlen(title);
    }
}

static size_t total_width(const struct layout *layout, const struct column *columns) {
    size_t total = 0;
    for (size_t c = 0; c < layout->column_count; c++)
        if (columns[c].used) total += columns[c].width + (total ? GAP : 0);
    return total;
}

static void shrink(const struct layout *layout, struct column *columns, size_t width) {
    size_t total = total_width(layout, columns);
    while (width && total > width) {
        struct column *widest = NULL;
        for (size_t c = 0; c < layout->column_count; c++)
            if (layout->columns[c].shrinks && columns[c].used && columns[c].width > SHRUNK_MIN &&
                (!widest || columns[c].width > widest->width))
                widest = &columns[c];
        if (!widest) return;
        widest->width--;
        total--;
    }
}

static void add_spaces(struct str *out, size_t count) {
    str_printf(out, "%*s", (int)count, "");
}

/* One cell in its width; what would only be spaces at the end of a line is left out. */
static void add_cell(const struct layout_column *column, size_t width, const struct cell *cell, bool last, bool colour,
                     struct arena *arena, struct str *out) {
    const char *text = cell->text;
    size_t len = strlen(text), used = text_width(text, len);
    if (used > width) {
        size_t fits = text_fit(text, len, width - 1);
        text = arena_printf(arena, "%.*s…", (int)fits, text);
        if (!text) {
            out->failed = true;
            return;
        }
        used = text_width(text, strlen(text));
    }
    if (column->right) add_spaces(out, width - used);
    colour_add(out, colour, cell->colour, text);
    if (!column->right && !last) add_spaces(out, width - used);
}

static void add_row(const struct layout *layout, const struct column *columns, const struct cell *cells, bool colour,
                    struct arena *arena, struct str *out) {
    size_t last = 0;
    bool first = true;
    for (size_t c = 0; c < layout->column_count; c++)
        if (columns[c].used && *cells[c].text) last = c;
    for (size_t c = 0; c <= last; c++) {
        if (!columns[c].used) continue;
        if (!first) add_spaces(out, GAP);
        first = false;
        add_cell(&layout->columns[c], columns[c].width, &cells[c], c == last, colour, arena, out);
    }
    str_add_char(out, '\n');
}

static int add_titles(const struct layout *layout, const struct column *columns, bool colour, struct arena *arena,
                      struct str *out, struct err *err) {
    struct cell *titles = arena_array(arena, layout->column_count, sizeof(*titles));
    if (!titles) return err_no_memory(err);
    for (size_t c = 0; c < layout->column_count; c++) {
        if (!layout->columns[c].title) return 0;
        titles[c] = (struct cell){layout->columns[c].title, COLOUR_BOLD};
    }
    add_row(layout, columns, titles, colour, arena, out);
    return 0;
}

int layout_add(const struct layout *given, size_t width, bool colour, struct arena *arena, struct str *out,
               struct err *err) {
    struct column *columns = arena_array(arena, given->column_count, sizeof(*columns));
    struct layout layout = *given;
    layout.cells = safe_cells(given, arena);
    if (!columns || !layout.cells) return err_no_memory(err);
    measure(&layout, columns);
    shrink(&layout, columns, width);
    int r = add_titles(&layout, columns, colour, arena, out, err);
    if (r < 0) return r;
    for (size_t row = 0; row < layout.row_count; row++)
        add_row(&layout, columns, cell_at(&layout, row, 0), colour, arena, out);
    return out->failed ? err_no_memory(err) : 0;
}
