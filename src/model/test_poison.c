/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The corpus of bad documents, tests/poison (the first argument): each is refused, or has faults, exactly as
 * expected.json there says. Every file stands in the list, so that none is forgotten.
 *
 * With "--print" the list is written anew from what is found, to be read through before it is kept.
 */
#include "model/config.h"
#include "model/source.h"
#include "model/test_kit.h"

#include <dirent.h>

static const char *folder = "tests/poison";

static json_t *fault_of(const struct fault *fault, const struct source_map *map) {
    const char *file = "";
    unsigned line = 0, column = 0;

    source_map_find(map, fault->at, &file, &line, &column);
    return json_pack("{s:s,s:s,s:s?,s:i,s:i,s:s*}", "at", fault->at, "message", fault->message, "file", file, "line",
                     line, "column", column, "kind", fault->warning ? "warning" : NULL);
}

#define SHOWN 12

static json_t *faults_of(const struct faults *faults, const struct source_map *map) {
    json_t *list = json_array();
    for (size_t i = 0; i < faults->count && i < SHOWN; i++) {
        json_array_append_new(list, fault_of(&faults->items[i], map));
    }
    return json_pack("{s:i,s:o}", "errors", (int)faults->errors, "faults", list);
}

/* What becomes of one document, as expected.json writes it. */
static json_t *outcome(const char *name) {
    struct source_reader reader;
    struct source_document document = {0};
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    json_t *result;

    if (source_folder_open(folder, &reader, &err) < 0) fail_msg("%s: %s", folder, err.message);
    if (source_read(&reader, name, &faults, &document, &err) < 0) {
        result = json_pack("{s:s,s:s,s:s,s:i,s:i}", "code", err_name(err.code), "message", err.message, "file", err.at,
                           "line", err.line, "column", err.column);
    } else {
        _cleanup_(json_decrefp) json_t *config = NULL;
        assert_int_equal(config_normalise(document.config, &faults, &config, NULL), 0);
        if (faults.errors == 0) assert_int_equal(config_validate(config, &faults, NULL), 0);
        result = faults_of(&faults, document.map);
    }
    source_document_deinit(&document);
    faults_deinit(&faults);
    source_folder_close(&reader);
    assert_non_null(result);
    return result;
}

static json_t *read_expected(void) {
    char path[512];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/expected.json", folder);
    json_t *expected = json_load_file(path, 0, &error);
    if (!expected) fail_msg("%s: %s", path, error.text);
    return expected;
}

static bool is_document(const char *name) {
    return name[0] != '.' && strcmp(name, "expected.json") != 0;
}

static void test_each_is_refused_as_expected(void **state) {
    _cleanup_(json_decrefp) json_t *expected = read_expected();
    const char *name;
    json_t *one;
    int wrong = 0;

    assert_true(json_object_size(expected) >= 90);
    json_object_foreach(expected, name, one) {
        _cleanup_(json_decrefp) json_t *found = outcome(name);
        _cleanup_(freep) char *text = kit_text(found);
        if (json_equal(found, one)) continue;
        print_error("%s: %s\n", name, text);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* Nothing here is fit to be stored. */
static void test_none_is_taken(void **state) {
    _cleanup_(json_decrefp) json_t *expected = read_expected();
    const char *name;
    json_t *one;

    json_object_foreach(expected, name, one) {
        if (json_get(one, "code") || json_integer_value(json_get(one, "errors")) > 0) continue;
        fail_msg("%s has no error", name);
    }
}

static void test_every_file_is_listed(void **state) {
    _cleanup_(json_decrefp) json_t *expected = read_expected();
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (!is_document(entry->d_name)) continue;
        if (!json_get(expected, entry->d_name)) fail_msg("%s is not in expected.json", entry->d_name);
        count++;
    }
    closedir(dir);
    assert_int_equal(count, json_object_size(expected));
}

static int print(void) {
    json_t *all = json_object();
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    if (!dir || !all) return 1;
    while ((entry = readdir(dir))) {
        if (is_document(entry->d_name)) json_object_set_new(all, entry->d_name, outcome(entry->d_name));
    }
    closedir(dir);
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
    printf("\n");
    json_decref(all);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_refused_as_expected),
        cmocka_unit_test(test_none_is_taken),
        cmocka_unit_test(test_every_file_is_listed),
    };
    if (argc > 1) folder = argv[1];
    if (argc > 2 && strcmp(argv[2], "--print") == 0) return print();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
