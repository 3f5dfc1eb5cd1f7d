/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers, shown by the view rows of their command. Everything that comes from the server passes text_add_safe() on its
 * way, in the layout or in a sentence.
 */
#include "cli/cli_impl.h"

#include <string.h>

#define WIDE 120
#define HASH_SHOWN 19 /* "sha256:" and 12 digits: enough to name a version by */

struct view {
    struct cli *cli;
    const json_t *answer;
    struct str *out;
    bool said; /* a sentence was found */
};

/* Value at a dotted path ("deployment.version"; "" is the whole), or NULL. */
static json_t *value_at(const json_t *value, const char *path) {
    while (value && *path) {
        char name[64];
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        value = json_get(value, name);
        path += len + (path[len] == '.');
    }
    return (json_t *)value;
}

static void add_joined(const json_t *list, struct str *out) {
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item) {
        if (index) str_add_text(out, ", ");
        const char *text = json_string_value(item);
        if (text) str_add_text(out, strcmp(text, "*") ? text : "all");
    }
}

static void add_moves(const json_t *moves, struct str *out) {
    size_t index;
    json_t *move;
    json_array_foreach(moves, index, move) {
        const char *agent = json_get_text(move, "agent");
        str_printf(out, "%s%s@%lld", index ? ", " : "", agent ? agent : "",
                   (long long)json_integer_value(json_get(move, "version")));
    }
}

static void add_time(const struct cli *cli, const char *text, bool ago, struct str *out) {
    char when[WHEN_SIZE];
    int64_t wall;
    if (!clock_from_text(text, &wall)) {
        str_add_text(out, text);
        return;
    }
    when_date(wall, when);
    if (ago) when_text(wall, clock_wall(cli->world->clock), when);
    str_add_text(out, when);
}

static void add_text(const struct cli *cli, const char *text, enum style style, struct str *out) {
    if (style == STYLE_TIME || style == STYLE_DATE)
        add_time(cli, text, style == STYLE_TIME, out);
    else if (style == STYLE_HASH)
        str_printf(out, "%.*s", HASH_SHOWN, text);
    else
        str_add_text(out, text);
}

static void add_real(double value, enum style style, struct str *out) {
    if (style != STYLE_FIGURE)
        json_add_double(out, value);
    else
        str_printf(out, value < 1000 ? "%.4g" : "%.0f", value);
}

static void add_value(const struct cli *cli, const json_t *value, enum style style, struct str *out) {
    if (style == STYLE_JSON) {
        if (value && json_compact(value, out) < 0) out->failed = true;
        return;
    }
    if (json_is_string(value)) add_text(cli, json_string_value(value), style, out);
    if (json_is_integer(value)) str_add_int(out, json_integer_value(value));
    if (json_is_real(value)) add_real(json_real_value(value), style, out);
    if (json_is_boolean(value) && (json_is_true(value) || style == STYLE_YES))
        str_add_text(out, json_is_true(value) ? "yes" : "no");
    if (json_is_array(value) && style == STYLE_MOVES) add_moves(value, out);
    if (json_is_array(value) && style != STYLE_MOVES) add_joined(value, out);
}

static enum colour colour_of(enum style style, const char *text) {
    bool set_back = !strcmp(text, "rollback") || !strcmp(text, "OVERRIDE") || !strcmp(text, "release_rollback");
    switch (style) {
    case STYLE_WARN:
        return COLOUR_YELLOW;
    case STYLE_GOOD:
        return COLOUR_GREEN;
    case STYLE_NAME:
        return COLOUR_CYAN;
    case STYLE_HASH:
        return COLOUR_DIM;
    case STYLE_KIND:
        return set_back ? COLOUR_YELLOW : COLOUR_NONE;
    default:
        return COLOUR_NONE;
    }
}

static int make_cell(const struct cli *cli, const json_t *object, const struct view_row *row, struct arena *arena,
                     struct cell *ret) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    add_value(cli, value_at(object, row->path), row->style, &text);
    ret->text = text.failed ? NULL : arena_strdup(arena, text.data ? text.data : "");
    if (!ret->text) return -ERR_NO_MEMORY;
    ret->colour = colour_of(row->style, ret->text);
    return 0;
}

static int add_layout(struct view *view, const struct layout *layout, struct err *err) {
    const struct cli_world *world = view->cli->world;
    size_t width = world->out_is_terminal ? world->width : 0;
    return layout_add(layout, width, view->cli->colour, &view->cli->arena, view->out, err);
}

/* A title stands off from what was printed before it. */
static void add_title(struct view *view, const char *title) {
    if (!*title) return;
    if (view->out->len) str_add_char(view->out, '\n');
    str_printf(view->out, "%s\n", title);
}

/* `rows` are the columns behind the FIELDS row. */
static int add_fields(struct view *view, const struct view_row *block, const struct view_row *rows, size_t count,
                      struct err *err) {
    static const struct layout_column columns[] = {{.title = NULL}, {.title = NULL, .shrinks = true}};
    struct arena *arena = &view->cli->arena;
    const json_t *object = value_at(view->answer, block->path);
    if (!json_is_object(object)) return 0;
    struct cell *cells = arena_array(arena, 2 * count, sizeof(*cells));
    struct layout layout = {.columns = columns, .column_count = 2, .cells = cells};
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct cell *label = &cells[2 * layout.row_count];
        if (make_cell(view->cli, object, &rows[i], arena, &label[1]) < 0) return err_no_memory(err);
        if (!*label[1].text) continue;
        label[0] = (struct cell){rows[i].title, COLOUR_DIM};
        layout.row_count++;
    }
    add_title(view, block->title);
    return add_layout(view, &layout, err);
}

static struct layout_column column_of(const struct view_row *row) {
    return (struct layout_column){
        .title = row->title,
        .right = row->style == STYLE_NUMBER || row->style == STYLE_FIGURE,
        .shrinks = row->style == STYLE_TEXT || row->style == STYLE_LIST || row->style == STYLE_MOVES ||
                   row->style == STYLE_JSON,
    };
}

/* No room to say how long ago in every row. */
static bool is_narrow(const struct cli_world *world) {
    return world->out_is_terminal && world->width && world->width < WIDE;
}

static int add_table(struct view *view, const struct view_row *block, const struct view_row *rows, size_t count,
                     struct err *err) {
    struct arena *arena = &view->cli->arena;
    const json_t *list = value_at(view->answer, block->path);
    size_t size = json_array_size(list);
    if (!json_is_array(list)) return 0;
    if (size == 0) {
        if (*block->empty) str_printf(view->out, "%s%s\n", view->out->len ? "\n" : "", block->empty);
        return 0;
    }
    struct layout_column *columns = arena_array(arena, count, sizeof(*columns));
    struct cell *cells = arena_array(arena, size * count, sizeof(*cells));
    if (!columns || !cells) return err_no_memory(err);
    for (size_t c = 0; c < count; c++) {
        struct view_row row = rows[c];
        if (row.style == STYLE_TIME && is_narrow(view->cli->world)) row.style = STYLE_DATE;
        columns[c] = column_of(&row);
        for (size_t r = 0; r < size; r++)
            if (make_cell(view->cli, json_array_get(list, r), &row, arena, &cells[r * count + c]) < 0)
                return err_no_memory(err);
    }
    add_title(view, block->title);
    return add_layout(view, &(struct layout){columns, count, cells, size}, err);
}

static bool holds(const struct view *view, const char *condition) {
    bool wanted = *condition != '!';
    const json_t *value = value_at(view->answer, condition + !wanted);
    return (value && !json_is_false(value) && !json_is_null(value)) == wanted;
}

/* {path} and {=param} in the template, everything else as it stands. */
static void add_sentence(struct view *view, const char *template) {
    if (json_is_true(json_get(view->answer, "dry_run"))) str_add_text(view->out, "Dry run, nothing was written: ");
    for (const char *p = template; *p;) {
        size_t len = strcspn(p, "{");
        str_add(view->out, p, len);
        p += len;
        if (!*p) break;
        _cleanup_(str_deinit) struct str value = STR_INIT;
        char name[64];
        len = strcspn(p, "}");
        snprintf(name, sizeof(name), "%.*s", (int)len - 1, p + 1);
        add_value(view->cli, value_at(view->answer, name), STYLE_TEXT, &value);
        text_add_safe(view->out, value.data ? value.data : "", value.len, false);
        if (value.failed) view->out->failed = true;
        p += len + 1;
    }
    str_add_char(view->out, '\n');
    view->said = true;
}

static size_t count_columns(const struct view_row *rows, size_t count) {
    size_t columns = 0;
    while (columns < count && rows[columns].type == VIEW_COLUMN)
        columns++;
    return columns;
}

static int add_rows(struct view *view, const struct view_row *rows, size_t count, struct err *err) {
    for (size_t i = 0; i < count;) {
        const struct view_row *row = &rows[i++];
        size_t columns = count_columns(rows + i, count - i);
        int r = 0;
        if (row->type == VIEW_SAY && !view->said && holds(view, row->path)) add_sentence(view, row->title);
        if (row->type == VIEW_FIELDS) r = add_fields(view, row, rows + i, columns, err);
        if (row->type == VIEW_TABLE) r = add_table(view, row, rows + i, columns, err);
        if (r < 0) return r;
        i += columns;
    }
    return view->out->failed ? err_no_memory(err) : 0;
}

/* Where the list goes on. */
static void note_next(const struct cli *cli, const json_t *answer) {
    const struct op *op = command_op(cli->args.command);
    const json_t *next = json_get(answer, "next");
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (!next || !op) return;
    add_value(cli, next, STYLE_TEXT, &text);
    if (text.data) cli_note(cli, "there is more: %s %s", op_param(op, "before") ? "--before" : "--after", text.data);
}

int view_print(struct cli *cli, const struct answer *answer, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct view view = {.cli = cli, .answer = answer->json, .out = &out};
    if (cli->json) return view_print_raw(cli, str_slice(&answer->body), err);
    size_t count;
    const struct view_row *rows = command_view(cli->args.command, &count);
    int r = add_rows(&view, rows, count, err);
    if (r == 0) r = cli_write(cli, &out, err);
    if (r == 0) note_next(cli, answer->json);
    return r;
}

/* A terminal gets the same value with what could steer it written as \u. */
int view_print_raw(struct cli *cli, struct slice bytes, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    if (cli->world->out_is_terminal)
        text_add_safe_json(&out, bytes.ptr, bytes.len);
    else
        str_add_slice(&out, bytes);
    if (bytes.len && bytes.ptr[bytes.len - 1] != '\n') str_add_char(&out, '\n');
    return cli_write(cli, &out, err);
}

int view_print_json(struct cli *cli, const json_t *value, struct err *err) {
    if (!value) return err_set(err, ERR_INTERNAL, "the answer lacks what is to be printed");
    _cleanup_(str_deinit) struct str pretty = STR_INIT;
    int r = json_pretty(value, 2, false, &pretty);
    if (r < 0 || pretty.failed) return err_no_memory(err);
    return view_print_raw(cli, str_slice(&pretty), err);
}
