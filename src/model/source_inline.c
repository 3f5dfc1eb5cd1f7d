/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting files in place. Where a {file: …} means a file is decided by where it stands, never by its form alone: a
 * tool's schema may well have a default of {"file": "x"}. Each place is visited once, from the outside in, so that a
 * tool read from a file may name a file for its parameters, and no file can include itself.
 */
#include "model/model_impl.h"

#include <stdio.h>
#include <string.h>

#define TOTAL_MAX (4 * 1024 * 1024)

struct inliner {
    const struct source_reader *reader;
    const char *folder;
    struct source_map *map;
    struct faults *faults;
    struct err *err;
    size_t total;
};

enum want { WANT_TEXT, WANT_DATA };

/* One member or item that may be a reference. */
struct spot {
    json_t *holder;
    struct place place; /* its key or index says which of the holder's values it is */
    struct source_node *node;
};

/* ---- reading one file ---- */

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_yaml(const char *path) {
    return ends_with(path, ".yaml") || ends_with(path, ".yml");
}

/* A fault at a reference, told with the place where the reference was written. Answers 0. */
static int fault_at(struct inliner *inliner, const struct place *place, const char *path, const char *what) {
    _cleanup_(str_deinit) struct str pointer = STR_INIT;
    char shown[SHOW_SIZE];
    const char *file;
    struct fault *fault = place_fault(inliner->faults, place, "the file \"%s\" %s", show_text(path, shown), what);

    place_pointer(place, &pointer);
    if (pointer.failed) inliner->faults->failed = 1;
    if (fault && pointer.data) source_map_find(inliner->map, pointer.data, &file, &fault->line, &fault->column);
    return 0;
}

/* The path as the reader takes it. */
static char *joined(const char *folder, const char *path) {
    char *whole = NULL;
    if (*folder == '\0') return strdup(path);
    return asprintf(&whole, "%s/%s", folder, path) < 0 ? NULL : whole;
}

static int read_at(struct inliner *inliner, const char *folder, const char *path, struct arena *arena,
                   struct slice *ret_raw, const char **ret_path, struct err *err) {
    _cleanup_(freep) char *whole = joined(folder, path);

    if (!whole) return err_no_memory(err);
    *ret_path = arena_strdup(arena, whole);
    if (!*ret_path) return err_no_memory(err);
    return inliner->reader->read(inliner->reader->ctx, whole, arena, ret_raw, err);
}

/* The agent's own folder comes first; what agents share lies in partials/ at the root. */
static int read_raw(struct inliner *inliner, const char *path, struct arena *arena, struct slice *ret_raw,
                    const char **ret_path, struct err *err) {
    int r = read_at(inliner, inliner->folder, path, arena, ret_raw, ret_path, err);

    if (r != -ERR_FILE || *inliner->folder == '\0' || strncmp(path, "partials/", 9) != 0) return r;
    return read_at(inliner, "", path, arena, ret_raw, ret_path, err);
}

static int make_text(struct inliner *inliner, const struct source_text *text, json_t **ret) {
    if (memchr(text->bytes.ptr, '\0', text->bytes.len)) {
        int r = err_set(inliner->err, ERR_INVALID_UTF8, "the text holds a NUL character");
        return source_text_err(text, r, 0, 0, inliner->err);
    }
    *ret = json_stringn(text->bytes.len ? text->bytes.ptr : "", text->bytes.len);
    return *ret ? 0 : err_no_memory(inliner->err);
}

/* Makes the value of a file that was read. Its syntax errors end the reading, with the file's place. */
static int make_value(struct inliner *inliner, struct slice raw, const char *path, enum want want,
                      struct source_node *node, json_t **ret) {
    struct source_target target = {inliner->map, node, source_map_keep(inliner->map, path)};
    struct source_text text;
    int r;

    if (!target.file) return err_no_memory(inliner->err);
    r = source_text_open(raw, path, &text, inliner->err);
    if (r < 0) return r;
    source_node_replace(node, (struct source_spot){target.file, 1, 1});
    if (want == WANT_TEXT) return make_text(inliner, &text, ret);
    return is_yaml(path) ? source_yaml(&text, &target, ret, inliner->err)
                         : source_json(&text, &target, ret, inliner->err);
}

static int charge(struct inliner *inliner, size_t len) {
    inliner->total += len;
    if (inliner->total <= TOTAL_MAX) return 0;
    return err_set(inliner->err, ERR_TOO_LARGE, "the document and its files are more than %d bytes", TOTAL_MAX);
}

/* *ret stays NULL when the file cannot be had; that is a fault of the reference. */
static int load(struct inliner *inliner, const char *path, enum want want, const struct spot *spot, json_t **ret) {
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct slice raw;
    const char *whole;
    int r;

    r = read_raw(inliner, path, &arena, &raw, &whole, &err);
    if (r == -ERR_FILE || r == -ERR_OUTSIDE_FOLDER || r == -ERR_TOO_LARGE) {
        r = fault_at(inliner, &spot->place, path, err.message);
    } else if (r < 0) {
        if (inliner->err) *inliner->err = err;
    } else {
        r = charge(inliner, raw.len);
        if (r == 0) r = make_value(inliner, raw, whole, want, spot->node, ret);
    }
    arena_deinit(&arena);
    return r;
}

/* ---- references ---- */

static json_t *value_of(const struct spot *spot) {
    return spot->place.key ? json_get(spot->holder, spot->place.key) : json_array_get(spot->holder, spot->place.index);
}

static int set_value(struct inliner *inliner, const struct spot *spot, json_t *value) {
    int r = spot->place.key ? json_object_set_new(spot->holder, spot->place.key, value)
                            : json_array_set_new(spot->holder, spot->place.index, value);
    return r < 0 ? err_no_memory(inliner->err) : 0;
}

static const char *reference(const json_t *value) {
    return json_object_size(value) == 1 ? json_get_text(value, "file") : NULL;
}

static const char *form_fault(const char *path, enum want want) {
    if (want == WANT_TEXT || is_yaml(path) || ends_with(path, ".json")) return NULL;
    return "is expected to be .json, .yaml or .yml here";
}

static int resolve(struct inliner *inliner, const char *path, enum want want, const struct spot *spot, json_t **ret) {
    const char *fault = source_path_fault(path);

    if (!fault) fault = form_fault(path, want);
    if (fault) return fault_at(inliner, &spot->place, path, fault);
    return load(inliner, path, want, spot, ret);
}

static int inline_spot(struct inliner *inliner, const struct spot *spot, enum want want) {
    const char *path = reference(value_of(spot));
    json_t *value = NULL;
    int r;

    if (!path) return 0;
    r = resolve(inliner, path, want, spot, &value);
    if (r < 0 || !value) return r;
    return set_value(inliner, spot, value);
}

static struct spot member_of(json_t *holder, const struct place *parent, struct source_node *node, const char *key) {
    return (struct spot){holder, {parent, key, 0}, source_node_find(node, key, 0)};
}

static struct spot item_of(json_t *holder, const struct place *parent, struct source_node *node, size_t index) {
    return (struct spot){holder, {parent, NULL, index}, source_node_find(node, NULL, index)};
}

static int inline_member(struct inliner *inliner, json_t *holder, const struct place *parent, struct source_node *node,
                         const char *key, enum want want) {
    struct spot spot = member_of(holder, parent, node, key);
    return inline_spot(inliner, &spot, want);
}

/* ---- where files may be named ---- */

/* A segment keeps its other members: {name, file, cache} becomes {name, text, cache}. */
static int inline_segment(struct inliner *inliner, json_t *segment, const struct place *place,
                          struct source_node *node) {
    const char *path = json_get_text(segment, "file");
    struct spot spot = member_of(segment, place, node, "file");
    json_t *text = NULL;
    int r;

    if (!path || json_get(segment, "text")) return 0;
    r = resolve(inliner, path, WANT_TEXT, &spot, &text);
    if (r < 0 || !text) return r;
    if (json_object_set_new(segment, "text", text) < 0) return err_no_memory(inliner->err);
    source_node_rename(inliner->map, spot.node, "text");
    return json_object_del(segment, "file") < 0 ? err_no_memory(inliner->err) : 0;
}

static int inline_prompt(struct inliner *inliner, json_t *config, struct source_node *root, const char *key) {
    const struct place top = {0};
    struct spot prompt = member_of(config, &top, root, key);
    size_t i;
    json_t *segment;
    int r;

    r = inline_spot(inliner, &prompt, WANT_TEXT);
    if (r < 0) return r;
    json_array_foreach(json_get(config, key), i, segment) {
        struct spot spot = item_of(json_get(config, key), &prompt.place, prompt.node, i);
        r = inline_segment(inliner, segment, &spot.place, spot.node);
        if (r < 0) return r;
    }
    return 0;
}

static int inline_list(struct inliner *inliner, json_t *config, struct source_node *root, const char *list,
                       const char *key, enum want want) {
    const struct place top = {0};
    struct spot all = member_of(config, &top, root, list);
    size_t i;
    json_t *item;

    json_array_foreach(json_get(config, list), i, item) {
        struct spot spot = item_of(json_get(config, list), &all.place, all.node, i);
        int r = inline_member(inliner, item, &spot.place, spot.node, key, want);
        if (r < 0) return r;
    }
    return 0;
}

static int inline_guardrails(struct inliner *inliner, json_t *config, struct source_node *root) {
    const struct place top = {0};
    struct spot all = member_of(config, &top, root, "guardrails");
    const char *key;
    json_t *value;
    void *next;
    int r;

    r = inline_spot(inliner, &all, WANT_DATA);
    if (r < 0) return r;
    json_object_foreach_safe(json_get(config, "guardrails"), next, key, value) {
        r = inline_member(inliner, json_get(config, "guardrails"), &all.place, all.node, key, WANT_DATA);
        if (r < 0) return r;
    }
    return 0;
}

static int inline_output(struct inliner *inliner, json_t *config, struct source_node *root) {
    const struct place top = {0};
    struct spot output = member_of(config, &top, root, "output");
    return inline_member(inliner, json_get(config, "output"), &output.place, output.node, "schema", WANT_DATA);
}

/* ---- tools ---- */

/* A star for all names of a folder with an ending; false when the path is no such pattern. */
static bool is_pattern(const char *path, const char **ret_ending) {
    const char *star = strchr(path, '*');

    if (!star || star[1] != '.' || strpbrk(star + 1, "*/")) return false;
    if (star != path && star[-1] != '/') return false;
    *ret_ending = star + 1;
    return true;
}

/* Appends {file: …} for each file that the pattern stands for. *ret_count 0: told as a fault. */
static int add_matches(struct inliner *inliner, const char *pattern, const char *ending, const struct place *place,
                       json_t *out, size_t *ret_count) {
    _cleanup_(freep) char *stem = strndup(pattern, (size_t)(strchr(pattern, '*') - pattern));
    _cleanup_(freep) char *folder = stem ? joined(inliner->folder, stem) : NULL;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    const char **names = NULL;
    int r;

    *ret_count = 0;
    if (!folder) return err_no_memory(inliner->err);
    size_t len = strlen(folder);
    if (len > 0 && folder[len - 1] == '/') folder[len - 1] = '\0';
    r = inliner->reader->list(inliner->reader->ctx, folder, &arena, &names, &err);
    if (r < 0) names = NULL;
    if (r == -ERR_NO_MEMORY) inliner->faults->failed = 1;
    if (r < 0 && r != -ERR_NO_MEMORY) fault_at(inliner, place, pattern, err.message);
    for (; names && *names && inliner->faults->failed == 0; names++) {
        if (!ends_with(*names, ending)) continue;
        json_t *path = json_sprintf("%s%s", stem, *names), *item = json_pack("{s:o}", "file", path);
        if (json_array_append_new(out, item) < 0) inliner->faults->failed = 1;
        (*ret_count)++;
    }
    arena_deinit(&arena);
    if (inliner->faults->failed) return err_no_memory(inliner->err);
    if (r == 0 && *ret_count == 0) fault_at(inliner, place, pattern, "stands for no file");
    return 0;
}

/* The item itself, or what its pattern stands for. */
static int add_expanded(struct inliner *inliner, json_t *item, const struct place *place, json_t *out,
                        size_t *ret_count) {
    const char *path = reference(item), *ending, *fault;
    int r;

    *ret_count = 0;
    if (path && is_pattern(path, &ending)) {
        fault = source_path_fault(path);
        if (!fault && !inliner->reader->list) fault = "cannot be looked for in this source; name each file";
        if (fault) {
            r = fault_at(inliner, place, path, fault);
        } else {
            r = add_matches(inliner, path, ending, place, out, ret_count);
        }
        if (r < 0 || *ret_count > 0) return r;
    }
    *ret_count = 1;
    return json_array_append(out, item) < 0 ? err_no_memory(inliner->err) : 0;
}

static int expand_patterns(struct inliner *inliner, json_t *config, const struct spot *tools) {
    _cleanup_(json_decrefp) json_t *out = json_array();
    size_t i;
    json_t *item;

    if (!out) return err_no_memory(inliner->err);
    json_array_foreach(json_get(config, "tools"), i, item) {
        const struct place place = {&tools->place, NULL, i};
        size_t at = json_array_size(out), count;
        int r = add_expanded(inliner, item, &place, out, &count);
        if (r < 0) return r;
        if (count > 1) source_node_expand(inliner->map, tools->node, at, count);
    }
    if (!json_is_array(json_get(config, "tools"))) return 0;
    return json_object_set_new(config, "tools", TAKE_PTR(out)) < 0 ? err_no_memory(inliner->err) : 0;
}

/* A pattern that stands for nothing was told; it must not be opened as a file as well. */
static int inline_tool(struct inliner *inliner, const struct spot *spot) {
    static const char *const members[] = {"parameters", "returns", "spec"};
    const char *path = reference(value_of(spot)), *ending;
    int r;

    if (path && is_pattern(path, &ending)) return 0;
    r = inline_spot(inliner, spot, WANT_DATA);
    if (r < 0) return r;
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        r = inline_member(inliner, value_of(spot), &spot->place, spot->node, members[i], WANT_DATA);
        if (r < 0) return r;
    }
    return 0;
}

static int inline_tools(struct inliner *inliner, json_t *config, struct source_node *root) {
    const struct place top = {0};
    struct spot tools = member_of(config, &top, root, "tools");
    int r;

    r = inline_spot(inliner, &tools, WANT_DATA);
    if (r < 0) return r;
    r = expand_patterns(inliner, config, &tools);
    if (r < 0) return r;
    for (size_t i = 0; i < json_array_size(json_get(config, "tools")); i++) {
        struct spot spot = item_of(json_get(config, "tools"), &tools.place, tools.node, i);
        r = inline_tool(inliner, &spot);
        if (r < 0) return r;
    }
    return 0;
}

static int inline_all(struct inliner *inliner, json_t *config, struct source_node *root) {
    const struct place top = {0};
    int r;

    r = inline_prompt(inliner, config, root, "system_prompt");
    if (r < 0) return r;
    r = inline_prompt(inliner, config, root, "instructions");
    if (r < 0) return r;
    r = inline_member(inliner, config, &top, root, "greeting", WANT_TEXT);
    if (r < 0) return r;
    r = inline_list(inliner, config, root, "messages", "content", WANT_TEXT);
    if (r < 0) return r;
    r = inline_member(inliner, config, &top, root, "inputs", WANT_DATA);
    if (r < 0) return r;
    r = inline_output(inliner, config, root);
    if (r < 0) return r;
    r = inline_member(inliner, config, &top, root, "mcp_servers", WANT_DATA);
    if (r < 0) return r;
    r = inline_guardrails(inliner, config, root);
    if (r < 0) return r;
    r = inline_list(inliner, config, root, "handoffs", "inputs", WANT_DATA);
    if (r < 0) return r;
    return inline_tools(inliner, config, root);
}

int source_inline(const struct source_reader *reader, const char *folder, json_t *config, struct source_map *map,
                  struct faults *faults, struct err *err) {
    struct inliner inliner = {.reader = reader, .folder = folder, .map = map, .faults = faults, .err = err};

    if (!json_is_object(config)) return 0;
    return inline_all(&inliner, config, source_map_root(map));
}
