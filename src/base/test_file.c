/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], path[96];
};

static int make_place(void **state) {
    static struct place place;
    snprintf(place.folder, sizeof(place.folder), "/tmp/serin-test-XXXXXX");
    if (!mkdtemp(place.folder)) return -1;
    snprintf(place.path, sizeof(place.path), "%s/file", place.folder);
    *state = &place;
    return 0;
}

static int remove_place(void **state) {
    struct place *place = *state;
    unlink(place->path);
    return rmdir(place->folder);
}

static void write_bytes(const char *path, size_t len) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++)
        fputc('a' + (int)(i % 26), file);
    fclose(file);
}

static void test_reads_up_to_the_limit(void **state) {
    struct place *place = *state;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct err err = ERR_INIT;
    write_bytes(place->path, 20000);
    assert_int_equal(file_read(place->path, 20000, &text, NULL, &err), 0);
    assert_int_equal(text.len, 20000);
    assert_int_equal(text.data[19999], 'a' + 19999 % 26);
    str_clear(&text);
    assert_int_equal(file_read(place->path, 19999, &text, NULL, &err), -ERR_TOO_LARGE);
    assert_string_equal(err.at, place->path);
}

static void test_tells_missing_from_broken(void **state) {
    struct place *place = *state;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct err err = ERR_INIT;
    bool missing = false;
    assert_int_equal(file_read(place->path, 10, &text, &missing, &err), -ERR_FILE);
    assert_true(missing);
    assert_non_null(strstr(err.message, place->path));
    assert_int_equal(file_read(place->folder, 10, &text, &missing, &err), -ERR_FILE);
    assert_false(missing);
}

static void test_does_not_wait_for_a_fifo(void **state) {
    struct place *place = *state;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct err err = ERR_INIT;
    bool missing = true;
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_int_equal(file_read(place->path, 10, &text, &missing, &err), -ERR_FILE);
    assert_false(missing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_up_to_the_limit, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_tells_missing_from_broken, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_does_not_wait_for_a_fifo, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
