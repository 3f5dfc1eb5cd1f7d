/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a document that somebody wrote. The steps are the same for every form: get the bytes, see that they are
 * text, parse them with the place of each value, put the named files in place (source_inline.c). Nothing here knows
 * what a configuration means beyond where a file may be named; that is config.c's.
 */
#include "model/source.h"

#include "model/config.h"
#include "model/model_impl.h"
#include "model/names.h"

#include <stdio.h>
#include <string.h>

/* ---- text ---- */

int source_text_err(const struct source_text *text, int r, unsigned line, unsigned column, struct err *err) {
    if (text->file) err_at(err, "%s", text->file);
    err_position(err, line + text->line_offset, column);
    return r;
}

static void position_of(struct slice bytes, size_t offset, unsigned *ret_line, unsigned *ret_column) {
    *ret_line = *ret_column = 1;
    for (size_t i = 0; i < offset; i++) {
        bool line_end = bytes.ptr[i] == '\n';
        *ret_line += line_end;
        *ret_column = line_end ? 1 : *ret_column + (((unsigned char)bytes.ptr[i] & 0xc0) != 0x80);
    }
}

int source_text_open(struct slice raw, const char *file, struct source_text *ret, struct err *err) {
    static const char bom[] = "\xef\xbb\xbf";
    struct source_text text = {.bytes = raw, .file = file};
    unsigned line, column;
    size_t offset;
    int r;

    if (raw.len > CONFIG_SIZE_MAX) {
        r = err_set(err, ERR_TOO_LARGE, "%zu bytes, at most %d are read", raw.len, CONFIG_SIZE_MAX);
        return source_text_err(&text, r, 0, 0, err);
    }
    if (raw.len >= 3 && memcmp(raw.ptr, bom, 3) == 0) text.bytes = (struct slice){raw.ptr + 3, raw.len - 3};
    if (!utf8_check(text.bytes.ptr, text.bytes.len, &offset)) {
        position_of(text.bytes, offset, &line, &column);
        r = err_set(err, ERR_INVALID_UTF8, "the byte 0x%02x is not UTF-8 there", (unsigned char)text.bytes.ptr[offset]);
        return source_text_err(&text, r, line, column, err);
    }
    *ret = text;
    return 0;
}

/* ---- paths ---- */

static const char *part_fault(struct slice part) {
    if (part.len == 0) return "has an empty part";
    if (slice_equal_text(part, ".")) return "has a \".\" part";
    if (slice_equal_text(part, "..")) return "leads outside the folder";
    for (size_t i = 0; i < part.len; i++) {
        if ((unsigned char)part.ptr[i] < 0x20 || part.ptr[i] == 0x7f) return "has a control character";
        if (part.ptr[i] == '\\') return "has a backslash; parts are separated by /";
    }
    return NULL;
}

const char *source_path_fault(const char *path) {
    if (*path == '\0') return "is empty";
    if (*path == '/') return "leads outside the folder";
    for (;;) {
        size_t len = strcspn(path, "/");
        const char *fault = part_fault((struct slice){path, len});
        if (fault) return fault;
        if (path[len] == '\0') return NULL;
        path += len + 1;
    }
}

static bool ends_with(const char *text, const char *end) {
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder of a path, without the last slash; "" for the root. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return strndup(path, slash ? (size_t)(slash - path) : 0);
}

/* "agents/support/agent.yaml" and "support.md" are both about `support`. */
static void name_agent(const struct source_reader *reader, const char *path, const char *folder, char ret[64]) {
    const char *base = base_of(path), *name = base;
    size_t len = strcspn(base, ".");

    if (len == 5 && strncmp(base, "agent", 5) == 0) {
        name = *folder ? base_of(folder) : reader->name ? reader->name : "";
        len = strlen(name);
    }
    ret[0] = '\0';
    if (!name_valid((struct slice){name, len})) return;
    memcpy(ret, name, len);
    ret[len] = '\0';
}

/* ---- forms ---- */

static struct slice after_line(struct slice text) {
    const char *end = memchr(text.ptr, '\n', text.len);
    size_t len = end ? (size_t)(end - text.ptr) + 1 : text.len;
    return (struct slice){text.ptr + len, text.len - len};
}

static bool is_fence(struct slice text) {
    if (text.len < 3 || memcmp(text.ptr, "---", 3) != 0) return false;
    for (size_t i = 3; i < text.len && text.ptr[i] != '\n'; i++) {
        if (!strchr(" \t\r", text.ptr[i])) return false;
    }
    return true;
}

static bool is_blank_line(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') return true;
        if (!strchr(" \t\r", text.ptr[i])) return false;
    }
    return text.len > 0;
}

/* Cuts Markdown into what stands between the fences and what follows them. */
static int split_markdown(const struct source_text *text, struct source_text *ret_matter, struct source_text *ret_body,
                          struct err *err) {
    struct slice rest = text->bytes;
    unsigned lines = 0;

    *ret_matter = (struct source_text){.file = text->file};
    if (is_fence(rest)) {
        struct slice start = after_line(rest);
        for (rest = start, lines = 1; !is_fence(rest); rest = after_line(rest), lines++) {
            if (rest.len > 0) continue;
            int r = err_set(err, ERR_MALFORMED_YAML, "the front matter is not closed by a line of ---");
            return source_text_err(text, r, 1, 1, err);
        }
        ret_matter->bytes = (struct slice){start.ptr, start.len - rest.len};
        ret_matter->line_offset = 1;
        rest = after_line(rest);
        lines++;
    }
    for (; is_blank_line(rest); rest = after_line(rest)) {
        lines++;
    }
    *ret_body = (struct source_text){.bytes = rest, .file = text->file, .line_offset = lines};
    return 0;
}

static bool is_blank(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!strchr(" \t\r\n", text.ptr[i]) || text.ptr[i] == '\0') return false;
    }
    return true;
}

/* Comments alone are no document to YAML, but good front matter. */
static int read_matter(const struct source_text *matter, const struct source_target *target, json_t **ret,
                       struct err *err) {
    struct slice rest = matter->bytes;
    bool nothing = true;

    for (; rest.len > 0 && nothing; rest = after_line(rest)) {
        nothing = is_blank_line(rest) || rest.ptr[0] == '#';
    }
    if (!nothing) return source_yaml(matter, target, ret, err);
    *ret = json_object();
    return *ret ? 0 : err_no_memory(err);
}

static int add_body(const struct source_text *body, const struct source_target *target, json_t *config,
                    struct faults *faults, struct err *err) {
    const char *other = json_get(config, "system_prompt") ? "system_prompt" : "instructions";
    struct source_spot spot = {target->file, body->line_offset + 1, 1};

    if (is_blank(body->bytes)) return 0;
    if (body->bytes.len && memchr(body->bytes.ptr, '\0', body->bytes.len)) {
        int r = err_set(err, ERR_INVALID_UTF8, "the text holds a NUL character");
        return source_text_err(body, r, 1, 1, err);
    }
    if (json_get(config, other)) {
        struct fault *fault =
            faults_add(faults, "/system_prompt",
                       "the prompt is given as \"%s\" in the front matter and as the text below; keep one", other);
        if (fault) fault->line = spot.line;
        return 0;
    }
    json_t *text = json_stringn(body->bytes.ptr, body->bytes.len);
    if (json_object_set_new(config, "system_prompt", text) < 0) return err_no_memory(err);
    source_node_add(target->map, target->node, "system_prompt", 0, spot);
    return 0;
}

static int read_markdown(const struct source_text *text, const struct source_target *target, struct faults *faults,
                         json_t **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    struct source_text matter = {0}, body = {0};
    int r;

    r = split_markdown(text, &matter, &body, err);
    if (r < 0) return r;
    r = read_matter(&matter, target, &config, err);
    if (r < 0) return r;
    if (!json_is_object(config)) {
        r = err_set(err, ERR_MALFORMED_YAML, "the front matter is no list of \"key: value\"");
        return source_text_err(&matter, r, 1, 1, err);
    }
    r = add_body(&body, target, config, faults, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(config);
    return 0;
}

static int read_form(const struct source_text *text, const struct source_target *target, struct faults *faults,
                     json_t **ret, struct err *err) {
    const char *file = text->file;

    if (ends_with(file, ".yaml") || ends_with(file, ".yml")) return source_yaml(text, target, ret, err);
    if (ends_with(file, ".json")) return source_json(text, target, ret, err);
    if (ends_with(file, ".md") || ends_with(file, ".markdown")) return read_markdown(text, target, faults, ret, err);
    int r = err_set(err, ERR_FILE, "the form of %s is not known", file);
    err_at(err, "%s", file);
    err_remedy(err, "Name the file .yaml, .yml, .json or .md");
    return r;
}

/* ---- the document ---- */

/* The root's own document, when the caller names none. */
static int find_document(const struct source_reader *reader, struct arena *arena, const char **ret, struct err *err) {
    static const char *const known[] = {"agent.yaml", "agent.yml", "agent.json", "agent.md"};
    const char **names, *found = NULL;
    int r;

    if (!reader->list) {
        *ret = known[0];
        return 0;
    }
    r = reader->list(reader->ctx, "", arena, &names, err);
    if (r < 0) return r;
    for (; *names; names++) {
        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            if (strcmp(*names, known[i]) != 0) continue;
            if (found) return err_set(err, ERR_FILE, "the folder has both %s and %s; keep one", found, known[i]);
            found = known[i];
        }
    }
    if (!found) {
        r = err_set(err, ERR_FILE, "the folder has no agent.yaml");
        err_remedy(err, "Name the agent's document agent.yaml, agent.yml, agent.json or agent.md");
        return r;
    }
    *ret = found;
    return 0;
}

static int read_document(const struct source_reader *reader, const char *path, struct arena *arena,
                         struct faults *faults, struct source_document *document, struct err *err) {
    struct source_target target = {document->map, source_map_root(document->map), source_map_keep(document->map, path)};
    _cleanup_(freep) char *folder = folder_of(path);
    struct source_text text;
    struct slice raw;
    int r;

    if (!folder || !target.file) return err_no_memory(err);
    source_node_replace(target.node, (struct source_spot){target.file, 1, 1});
    r = reader->read(reader->ctx, path, arena, &raw, err);
    if (r < 0) return r;
    r = source_text_open(raw, path, &text, err);
    if (r < 0) return r;
    r = read_form(&text, &target, faults, &document->config, err);
    if (r < 0) return r;
    name_agent(reader, path, folder, document->agent);
    return source_inline(reader, folder, document->config, document->map, faults, err);
}

int source_read(const struct source_reader *reader, const char *path, struct faults *faults,
                struct source_document *ret, struct err *err) {
    struct source_document document = {.map = source_map_new()};
    struct arena arena = ARENA_INIT;
    const char *fault;
    int r = document.map ? 0 : err_no_memory(err);

    if (r == 0 && *path == '\0') r = find_document(reader, &arena, &path, err);
    fault = r == 0 ? source_path_fault(path) : NULL;
    if (fault) {
        char shown[SHOW_SIZE];
        r = err_set(err, ERR_OUTSIDE_FOLDER, "the path \"%s\" %s", show_text(path, shown), fault);
    }
    if (r == 0) r = read_document(reader, path, &arena, faults, &document, err);
    if (r == 0 && (faults->failed || source_map_failed(document.map))) r = err_no_memory(err);
    arena_deinit(&arena);
    if (r < 0) {
        source_document_deinit(&document);
        return r;
    }
    *ret = document;
    return 0;
}

void source_document_deinit(struct source_document *document) {
    json_decref(document->config);
    source_map_free(document->map);
    *document = (struct source_document){0};
}

int source_parse_yaml(struct slice text, json_t **ret, struct source_map *map, struct err *err) {
    struct source_target target = {map, map ? source_map_root(map) : NULL, NULL};
    struct source_text opened;
    int r;

    r = source_text_open(text, NULL, &opened, err);
    if (r < 0) return r;
    return source_yaml(&opened, &target, ret, err);
}
