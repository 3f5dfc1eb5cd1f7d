/* SPDX-License-Identifier: Apache-2.0 */
#include "model/test_kit.h"

json_t *kit_json(const char *text) {
    _cleanup_(freep) char *copy = strdup(text);
    struct err err = ERR_INIT;
    json_t *value;

    assert_non_null(copy);
    for (char *p = copy; *p; p++) {
        if (*p == '\'') *p = '"';
    }
    if (json_parse(copy, strlen(copy), JSON_DEPTH_MAX, &value, &err) < 0) fail_msg("%s in %s", err.message, copy);
    return value;
}

char *kit_text(const json_t *value) {
    struct str text = STR_INIT;
    char *taken;

    assert_int_equal(json_canonical(value, &text, NULL), 0);
    taken = str_take(&text);
    assert_non_null(taken);
    return taken;
}

void kit_same(const json_t *value, const char *expected) {
    _cleanup_(json_decrefp) json_t *other = kit_json(expected);
    _cleanup_(freep) char *a = kit_text(value), *b = kit_text(other);
    assert_string_equal(a, b);
}

static void print_faults(const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        print_error("  found: %s%s: %s\n", fault->warning ? "warning " : "", fault->at, fault->message);
    }
}

/* Whether one line of the expectation speaks of that fault. */
static bool speaks_of(const char *line, size_t len, const struct fault *fault) {
    _cleanup_(freep) char *copy = strndup(line, len);
    char *at = copy, *colon;
    bool warning;

    assert_non_null(copy);
    warning = strncmp(at, "warning ", 8) == 0;
    if (warning) at += 8;
    colon = strstr(at, ": ");
    if (!colon) fail_msg("no colon in the expectation \"%s\"", copy);
    *colon = '\0';
    return warning == (fault->warning != 0) && strcmp(at, fault->at) == 0 && strstr(fault->message, colon + 2) != NULL;
}

static void check_line(const char *what, const char *line, size_t len, const struct faults *faults, bool *taken) {
    for (size_t i = 0; i < faults->count; i++) {
        if (taken[i] || !speaks_of(line, len, &faults->items[i])) continue;
        taken[i] = true;
        return;
    }
    print_faults(faults);
    fail_msg("%s: not told: %.*s", what, (int)len, line);
}

void kit_faults(const char *what, const struct faults *faults, const char *expected) {
    bool taken[FAULTS_MAX] = {0};
    size_t lines = 0;

    while (*expected) {
        size_t len = strcspn(expected, "\n");
        check_line(what, expected, len, faults, taken);
        lines++;
        expected += len + (expected[len] == '\n');
    }
    if (lines == faults->count) return;
    print_faults(faults);
    fail_msg("%s: %zu faults, expected %zu", what, faults->count, lines);
}

static int kit_read(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err) {
    for (const struct kit_file *file = ctx; file->path; file++) {
        if (strcmp(file->path, path) != 0) continue;
        size_t len = file->len ? file->len : strlen(file->text);
        char *copy = arena_strndup(arena, file->text, len);
        if (!copy) return err_no_memory(err);
        *ret = (struct slice){copy, len};
        return 0;
    }
    return err_set(err, ERR_FILE, "does not exist");
}

static int kit_list(void *ctx, const char *path, struct arena *arena, const char ***ret, struct err *err) {
    const char **names = arena_array(arena, 64, sizeof(*names));
    size_t count = 0, len = strlen(path);

    if (!names) return err_no_memory(err);
    for (const struct kit_file *file = ctx; file->path; file++) {
        const char *rest = file->path;
        if (len > 0 && (strncmp(rest, path, len) != 0 || rest[len] != '/')) continue;
        rest += len > 0 ? len + 1 : 0;
        if (!strchr(rest, '/')) names[count++] = rest;
    }
    if (count == 0) return err_set(err, ERR_FILE, "does not exist");
    *ret = names;
    return 0;
}

struct source_reader kit_reader(const struct kit_file *files) {
    return (struct source_reader){.ctx = (void *)files, .read = kit_read, .list = kit_list};
}
