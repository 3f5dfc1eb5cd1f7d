/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_set_clears_what_was(void **state) {
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, ERR_INVALID, "first"), -ERR_INVALID);
    err_at(&err, "/tools/%d", 3);
    err_position(&err, 4, 5);
    err_remedy(&err, "do %s", "this");
    assert_string_equal(err.at, "/tools/3");
    assert_int_equal(err.line, 4);
    assert_int_equal(err.column, 5);
    assert_string_equal(err_remedy_text(&err), "do this");

    assert_int_equal(err_set(&err, ERR_STALE, "second: %s", err.message), -ERR_STALE);
    assert_int_equal(err.code, ERR_STALE);
    assert_string_equal(err.message, "second: first");
    assert_string_equal(err.at, "");
    assert_int_equal(err.line, 0);
    assert_int_equal(err.column, 0);
    assert_string_equal(err_remedy_text(&err), err_advice(ERR_STALE));
}

static void test_null_is_accepted(void **state) {
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), -ERR_BUSY);
    assert_int_equal(err_set_errno(NULL, ERR_FILE, ENOENT, "x"), -ERR_FILE);
    assert_int_equal(err_no_memory(NULL), -ERR_NO_MEMORY);
    err_at(NULL, "x");
    err_position(NULL, 1, 1);
    err_remedy(NULL, "x");
    err_prefix(NULL, "x");
}

static void test_prefix(void **state) {
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, ERR_FILE, "no such file"), -ERR_FILE);
    err_at(&err, "agent.yaml");
    err_prefix(&err, "reading %s: ", "agent.yaml");
    assert_string_equal(err.message, "reading agent.yaml: no such file");
    assert_string_equal(err.at, "agent.yaml");
    err_prefix(&err, "%s", "");
    assert_string_equal(err.message, "reading agent.yaml: no such file");
}

static void test_errno_text(void **state) {
    struct err err = ERR_INIT;
    assert_int_equal(err_set_errno(&err, ERR_FILE, ENOENT, "opening %s", "a"), -ERR_FILE);
    assert_string_equal(err.message, "opening a: No such file or directory");
}

/* Three bytes a character: the cut falls at each of its bytes in turn. */
static void test_cuts_at_a_character(void **state) {
    char text[3 * sizeof(((struct err *)0)->message)];
    for (size_t shift = 0; shift < 4; shift++) {
        struct err err = ERR_INIT;
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4);
        assert_int_equal(err_set(&err, ERR_INVALID, "%s", text), -ERR_INVALID);
        size_t len = strlen(err.message);
        assert_true(len >= sizeof(err.message) - 3);
        assert_int_equal((len - shift) % 3, 0);
        err_prefix(&err, "%s", "y");
        assert_int_equal((strlen(err.message) - 1 - shift) % 3, 0);
        err_at(&err, "%s", text);
        assert_int_equal((strlen(err.at) - shift) % 3, 0);
    }
}

static void test_cut_drops_no_whole_character(void **state) {
    struct err err = ERR_INIT;
    char text[sizeof(err.message) + 8];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text + sizeof(err.message) - 1 - 4, "\xF0\x9F\x98\x80", 4);
    assert_int_equal(err_set(&err, ERR_INVALID, "%s", text), -ERR_INVALID);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void test_every_code_is_complete(void **state) {
    for (unsigned code = ERR_NONE + 1; code < ERR_CODE_COUNT_; code++) {
        assert_int_equal(err_by_name(err_name((enum err_code)code)), code);
        assert_true(err_title((enum err_code)code)[0] != '\0');
        assert_true(err_advice((enum err_code)code)[0] != '\0');
        assert_in_range(err_status((enum err_code)code), 400, 599);
    }
    assert_int_equal(err_by_name("no such"), ERR_NONE);
    assert_int_equal(err_by_name("none"), ERR_NONE);
    assert_string_equal(err_name((enum err_code)9999), "internal");
    assert_int_equal(err_status(ERR_NOT_DEPLOYED), 404);
}

static void test_faults_are_collected(void **state) {
    struct faults faults = FAULTS_INIT;
    char at[] = "/name";
    struct fault *fault = faults_add(&faults, at, "must match %s", "[a-z]+");
    assert_non_null(fault);
    fault->line = 7;
    at[1] = 'X';
    assert_non_null(faults_warn(&faults, NULL, "unusual"));
    assert_int_equal(faults.count, 2);
    assert_int_equal(faults.errors, 1);
    assert_string_equal(faults.items[0].at, "/name");
    assert_string_equal(faults.items[0].message, "must match [a-z]+");
    assert_int_equal(faults.items[0].line, 7);
    assert_int_equal(faults.items[0].warning, 0);
    assert_string_equal(faults.items[1].at, "");
    assert_int_equal(faults.items[1].warning, 1);
    faults_deinit(&faults);
    assert_int_equal(faults.count, 0);
    faults_deinit(&faults);
}

static void test_faults_have_a_bound(void **state) {
    struct faults faults = FAULTS_INIT;
    for (int i = 0; i < FAULTS_MAX; i++)
        assert_non_null(faults_add(&faults, "", "%d", i));
    assert_null(faults_add(&faults, "", "one more"));
    assert_null(faults_warn(&faults, "", "and a warning"));
    assert_int_equal(faults.count, FAULTS_MAX);
    assert_int_equal(faults.dropped, 2);
    assert_int_equal(faults.errors, FAULTS_MAX + 1);
    assert_string_equal(faults.items[0].message, "0");
    assert_string_equal(faults.items[FAULTS_MAX - 1].message, "199");
    assert_int_equal(faults.failed, 0);
    faults_deinit(&faults);
}

static void test_faults_tell_when_memory_ends(void **state) {
    struct faults faults = {.arena.limit = 64};
    assert_null(faults_add(&faults, "/a", "x"));
    assert_int_equal(faults.failed, 1);
    assert_int_equal(faults.errors, 1);
    faults_deinit(&faults);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_clears_what_was),
        cmocka_unit_test(test_null_is_accepted),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_errno_text),
        cmocka_unit_test(test_cuts_at_a_character),
        cmocka_unit_test(test_cut_drops_no_whole_character),
        cmocka_unit_test(test_every_code_is_complete),
        cmocka_unit_test(test_faults_are_collected),
        cmocka_unit_test(test_faults_have_a_bound),
        cmocka_unit_test(test_faults_tell_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
