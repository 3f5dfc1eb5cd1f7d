/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of JSON or YAML that commands send on. What is wrong in them is told by file, line and column, whoever found it. JSON past what a
 * source may have (1 MiB, 32 levels) has no places.
 */
#include "base/file.h"
#include "cli/cli_impl.h"

#include <string.h>

#define FILE_MAX (16 * 1024 * 1024)
#define STDIN_NAME "standard input"

void document_file_deinit(struct document_file *file) {
    source_document_deinit(&file->document);
}

void cli_print_fault(const struct cli *cli, const char *file, unsigned row, unsigned column,
                     const struct fault *fault) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    str_add_text(&line, file);
    if (row) str_printf(&line, ":%u", row);
    if (row && column) str_printf(&line, ":%u", column);
    if (*file) str_add_text(&line, ": ");
    str_printf(&line, "%s%s", fault->warning ? "warning: " : "", fault->message);
    if (*fault->at) str_printf(&line, " (%s)", fault->at);
    if (!line.failed) cli_print_line(cli, line.data);
}

void document_fault_print(const struct cli *cli, const struct document_file *file, const struct fault *fault) {
    const char *name = NULL;
    unsigned row = 0, column = 0;
    const struct source_map *map = file->document.map;
    if (!map || !source_map_find(map, fault->at, &name, &row, &column)) row = column = 0;
    cli_print_fault(cli, file->path ? file->path : "", row, column, fault);
}

static int read_input(struct str *out, struct err *err) {
    char part[8192];
    for (size_t size; (size = fread(part, 1, sizeof(part), stdin)) > 0;) {
        str_add(out, part, size);
        if (out->failed) return err_no_memory(err);
        if (out->len > FILE_MAX) return err_set(err, ERR_TOO_LARGE, "it is longer than %d bytes", FILE_MAX);
    }
    return ferror(stdin) ? err_set(err, ERR_FILE, "standard input cannot be read") : 0;
}

/* The text stands for the one file of a folder. */
static int give_text(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err) {
    *ret = str_slice(ctx);
    return 0;
}

static bool is_json(const char *path, const struct str *text) {
    size_t len = strlen(path), start = text->data ? strspn(text->data, " \t\r\n") : 0;
    if (len > 5 && !strcmp(path + len - 5, ".json")) return true;
    return text->data && (text->data[start] == '{' || text->data[start] == '[');
}

static int read_placed(struct str *text, const char *name, struct source_document *ret, struct err *err) {
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct source_reader reader = {.ctx = text, .read = give_text};
    return source_read(&reader, name, &faults, ret, err);
}

static int parse(const char *path, struct str *text, struct source_document *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    if (!is_json(path, text)) return read_placed(text, "file.yaml", ret, err);
    int r = json_parse(text->data ? text->data : "", text->len, JSON_DEPTH_MAX, &value, err);
    if (r < 0) return r;
    r = read_placed(text, "file.json", ret, NULL);
    if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    json_decref(ret->config);
    ret->config = TAKE_PTR(value);
    return 0;
}

int document_file_read(struct cli *cli, const char *path, struct document_file *ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    bool input = !strcmp(path, "-");
    *ret = (struct document_file){.path = input ? STDIN_NAME : path};
    int r = input ? read_input(&text, err) : file_read(path, FILE_MAX, &text, NULL, err);
    if (r == 0) r = parse(path, &text, &ret->document, err);
    if (r == 0 || r == -ERR_NO_MEMORY) return r;
    err_at(err, "%s", ret->path);
    if (!err->line) return r;
    cli_print_fault(cli, ret->path, err->line, err->column, &(struct fault){.at = "", .message = err->message});
    return 1;
}
