/* SPDX-License-Identifier: Apache-2.0 */
#include "config/toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct faults faults;
    struct toml_file file;
};

static void deinit(struct fixture *fixture) {
    faults_deinit(&fixture->faults);
    arena_deinit(&fixture->arena);
}

static void parse_bytes(struct fixture *fixture, const char *text, size_t len) {
    struct err err = ERR_INIT;
    *fixture = (struct fixture){0};
    assert_int_equal(
        toml_parse((struct slice){text, len}, "a.toml", &fixture->arena, &fixture->faults, &fixture->file, &err), 0);
}

static void parse(struct fixture *fixture, const char *text) {
    parse_bytes(fixture, text, strlen(text));
}

static void test_reads_what_settings_need(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse(&f, "# a comment\n"
              "store = \"sqlite:/var/lib/x.db\"   # behind a value\n"
              "\n"
              "  workers=4\r\n"
              "big = 1_000_000\n"
              "low = -5\n"
              "plus = +7\n"
              "on = true\n"
              "off = false\n"
              "path = 'C:\\temp # no comment'\n"
              "empty = \"\"");
    assert_int_equal(f.faults.count, 0);
    assert_int_equal(f.file.count, 9);
    const struct toml_entry *e = f.file.entries;
    assert_string_equal(e[0].key, "store");
    assert_int_equal(e[0].type, TOML_TEXT);
    assert_string_equal(e[0].text, "sqlite:/var/lib/x.db");
    assert_int_equal(e[0].line, 2);
    assert_int_equal(e[0].column, 1);
    assert_int_equal(e[1].type, TOML_INT);
    assert_int_equal(e[1].number, 4);
    assert_string_equal(e[1].text, "4");
    assert_int_equal(e[1].line, 4);
    assert_int_equal(e[1].column, 3);
    assert_int_equal(e[2].number, 1000000);
    assert_string_equal(e[2].text, "1000000");
    assert_int_equal(e[3].number, -5);
    assert_string_equal(e[4].text, "7");
    assert_int_equal(e[5].type, TOML_BOOL);
    assert_int_equal(e[5].number, 1);
    assert_int_equal(e[6].type, TOML_BOOL);
    assert_int_equal(e[6].number, 0);
    assert_string_equal(e[7].text, "C:\\temp # no comment");
    assert_string_equal(e[8].text, "");
}

static void test_reads_escapes(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse(&f, "a = \"\\b\\t\\n\\f\\r\\\"\\\\\"\nb = \"\\u00e9\\u20AC\\U0001F426\"\n");
    assert_int_equal(f.faults.count, 0);
    assert_string_equal(f.file.entries[0].text, "\b\t\n\f\r\"\\");
    assert_string_equal(f.file.entries[1].text, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa6");
}

static void test_empty_text_has_no_entries(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse(&f, "");
    assert_int_equal(f.file.count, 0);
    assert_int_equal(f.faults.count, 0);
    parse_bytes(&f, NULL, 0); /* an empty file as it was read */
    assert_int_equal(f.file.count, 0);
}

/* Each line alone, the column of its fault, and a word of the message. */
static void test_refuses_each_with_its_place(void **state) {
    static const struct {
        const char *line;
        unsigned column;
        const char *says;
    } cases[] = {
        {"[server]", 1, "tables"},
        {"= 1", 1, "key"},
        {"\"quoted\" = 1", 1, "key"},
        {"a.b = 1", 2, "="},
        {"a", 2, "="},
        {"a =", 4, "value"},
        {"a = # nothing", 5, "value"},
        {"a = [1]", 5, "lists"},
        {"a = {}", 5, "lists"},
        {"a = yes", 5, "expected"},
        {"a = True", 5, "expected"},
        {"a = 1.5", 5, "expected"},
        {"a = 1e3", 5, "expected"},
        {"a = 0x10", 5, "expected"},
        {"a = 007", 5, "expected"},
        {"a = 1__0", 5, "expected"},
        {"a = _1", 5, "expected"},
        {"a = 1_", 5, "expected"},
        {"a = -", 5, "expected"},
        {"a = 99999999999999999999", 5, "expected"},
        {"a = 99999999999999999999999999999999999999999", 5, "expected"},
        {"a = 1 2", 7, "end of the line"},
        {"a = \"x\" y", 9, "end of the line"},
        {"a = \"\xc3\xa9\" y", 9, "end of the line"},
        {"a = \"open", 5, "not closed"},
        {"a = 'open", 5, "not closed"},
        {"a = \"open\\", 10, "escape"},
        {"a = \"\"\"x\"\"\"", 5, "several lines"},
        {"a = '''x'''", 5, "several lines"},
        {"a = \"\\x41\"", 6, "escape"},
        {"a = \"\\u12\"", 6, "hex digits"},
        {"a = \"\\ud800\"", 6, "no character"},
        {"a = \"\\u0000\"", 6, "no character"},
        {"a = \"\\UFFFFFFFF\"", 6, "no character"},
        {"a = \"x\x01\"", 7, "control"},
        {"# \x7f", 3, "control"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(deinit) struct fixture f;
        parse(&f, cases[i].line);
        if (f.faults.count != 1 || f.file.count) fail_msg("%s: %zu faults", cases[i].line, f.faults.count);
        const struct fault *fault = &f.faults.items[0];
        assert_string_equal(fault->at, "a.toml");
        if (fault->line != 1 || fault->column != cases[i].column || !strstr(fault->message, cases[i].says))
            fail_msg("%s: %u:%u %s", cases[i].line, fault->line, fault->column, fault->message);
    }
}

static void test_goes_on_behind_a_fault(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse(&f, "a = \nb = 2\nc = [\nb = 3\n");
    assert_int_equal(f.faults.count, 3);
    assert_int_equal(f.faults.items[1].line, 3);
    assert_int_equal(f.faults.items[2].line, 4);
    assert_non_null(strstr(f.faults.items[2].message, "b is set twice; first in line 2"));
    assert_int_equal(f.file.count, 1);
    assert_int_equal(f.file.entries[0].number, 2);
}

static void test_refuses_what_is_not_utf8(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse(&f, "a = 1\nb = \"\xff\"\n");
    assert_int_equal(f.faults.count, 1);
    assert_int_equal(f.faults.items[0].line, 2);
    assert_int_equal(f.file.count, 0);
}

static void test_refuses_nul(void **state) {
    _cleanup_(deinit) struct fixture f;
    parse_bytes(&f, "a = 1\0 2\n", 9);
    assert_int_equal(f.faults.count, 1);
    assert_int_equal(f.faults.items[0].column, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_settings_need),
        cmocka_unit_test(test_reads_escapes),
        cmocka_unit_test(test_empty_text_has_no_entries),
        cmocka_unit_test(test_refuses_each_with_its_place),
        cmocka_unit_test(test_goes_on_behind_a_fault),
        cmocka_unit_test(test_refuses_what_is_not_utf8),
        cmocka_unit_test(test_refuses_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
