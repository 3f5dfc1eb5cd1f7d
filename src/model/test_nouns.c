/* SPDX-License-Identifier: Apache-2.0 */
#include "model/nouns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_position_text(void **state) {
    char text[POSITION_TEXT_SIZE];

    position_text((struct position){1, 1207}, text);
    assert_string_equal(text, "1.1207");
    position_text((struct position){0, 0}, text);
    assert_string_equal(text, "0.0");
    position_text((struct position){INT64_MAX, INT64_MAX}, text);
    assert_string_equal(text, "9223372036854775807.9223372036854775807");
}

static void test_position_from_text(void **state) {
    struct position position;

    assert_true(position_from_text("1.1207", &position));
    assert_int_equal(position.epoch, 1);
    assert_int_equal(position.seq, 1207);
    assert_true(position_from_text("0.0", &position));
    assert_true(position_from_text("9223372036854775807.9223372036854775807", &position));
    assert_true(position.epoch == INT64_MAX && position.seq == INT64_MAX);
}

static void test_position_refused(void **state) {
    static const char *const bad[] = {
        "",
        ".",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "-1.2",
        "1.-2",
        "+1.2",
        " 1.2",
        "1.2 ",
        "1 .2",
        "a.b",
        "0x1.2",
        "01.2",
        "1.02",
        "1.2\n",
        "1,2",
        "1..2",
        "00.0",
        "9223372036854775808.1",
        "1.9223372036854775808",
        "111111111111111111111111111111111111111111111111111111111111.1",
    };
    struct position position = {7, 8};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (position_from_text(bad[i], &position)) fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(position.epoch, 7);
    assert_int_equal(position.seq, 8);
}

static void test_position_round_trip(void **state) {
    static const struct position places[] = {{0, 1}, {1, 0}, {3, 99999999}, {INT64_MAX, 5}};
    char text[POSITION_TEXT_SIZE];
    struct position back;

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        position_text(places[i], text);
        assert_true(position_from_text(text, &back));
        assert_int_equal(position_compare(places[i], back), 0);
    }
}

static void test_position_compare(void **state) {
    /* In rising order: a later epoch is later whatever its seq. */
    static const struct position rising[] = {{1, 1}, {1, 2}, {1, 900}, {2, 1}, {2, 900}, {3, 0}};

    for (size_t i = 0; i < ARRAY_LEN(rising); i++) {
        for (size_t j = 0; j < ARRAY_LEN(rising); j++) {
            int expected = i < j ? -1 : i > j;
            assert_int_equal(position_compare(rising[i], rising[j]), expected);
        }
    }
}

static void test_roles(void **state) {
    static const struct {
        enum role role;
        const char *name;
    } rows[] = {
        {ROLE_RESOLVE, "resolve"},   {ROLE_VIEWER, "viewer"}, {ROLE_EDITOR, "editor"},
        {ROLE_RELEASER, "releaser"}, {ROLE_ADMIN, "admin"},
    };
    enum role role;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(role_name(rows[i].role), rows[i].name);
        assert_true(role_from_text(rows[i].name, &role));
        assert_int_equal(role, rows[i].role);
        if (i > 0) assert_true(rows[i].role > rows[i - 1].role);
    }
    assert_string_equal(role_name(ROLE_NONE), "none");
}

static void test_roles_refused(void **state) {
    static const char *const bad[] = {"", "none", "Admin", "admin ", "root", "viewers"};
    enum role role = ROLE_VIEWER;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (role_from_text(bad[i], &role)) fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(role, ROLE_VIEWER);
}

static void test_deployment_kinds(void **state) {
    static const struct {
        enum deployment_kind kind;
        const char *name;
    } rows[] = {
        {DEPLOYMENT_DEPLOY, "deploy"},
        {DEPLOYMENT_ROLLBACK, "rollback"},
        {DEPLOYMENT_PROMOTE, "promote"},
        {DEPLOYMENT_PANIC, "panic"},
    };
    enum deployment_kind kind;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(deployment_kind_name(rows[i].kind), rows[i].name);
        assert_true(deployment_kind_from_text(rows[i].name, &kind));
        assert_int_equal(kind, rows[i].kind);
    }
    assert_false(deployment_kind_from_text("", &kind));
    assert_false(deployment_kind_from_text("Deploy", &kind));
    assert_false(deployment_kind_from_text("release", &kind));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_position_text),    cmocka_unit_test(test_position_from_text),
        cmocka_unit_test(test_position_refused), cmocka_unit_test(test_position_round_trip),
        cmocka_unit_test(test_position_compare), cmocka_unit_test(test_roles),
        cmocka_unit_test(test_roles_refused),    cmocka_unit_test(test_deployment_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
