/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_appends(void **state) {
    struct str str = STR_INIT;
    assert_null(str_slice(&str).ptr);
    str_add_text(&str, "ab");
    str_add_char(&str, 'c');
    str_add_slice(&str, SLICE_LIT("de"));
    str_add_slice(&str, (struct slice){NULL, 0});
    str_printf(&str, "-%d-%s", 7, "x");
    str_add_int(&str, -12);
    assert_string_equal(str.data, "abcde-7-x-12");
    assert_int_equal(str.len, 12);
    assert_true(slice_equal_text(str_slice(&str), "abcde-7-x-12"));
    str_clear(&str);
    assert_string_equal(str.data, "");
    str_add(&str, "a\0b", 3);
    assert_int_equal(str.len, 3);
    assert_int_equal(str.data[3], 0);
    str_deinit(&str);
    assert_null(str.data);
}

static void test_grows_over_every_border(void **state) {
    struct str str = STR_INIT;
    for (size_t i = 0; i < 5000; i++) {
        str_printf(&str, "%c", (int)('a' + i % 26));
        assert_int_equal(str.len, i + 1);
        assert_int_equal(strlen(str.data), i + 1);
        assert_true(str.capacity > str.len);
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(str.data[i], 'a' + i % 26);
    str_clear(&str);
    str_printf(&str, "%9000d", 1);
    assert_int_equal(strlen(str.data), 9000);
    str_deinit(&str);
}

static void test_integers(void **state) {
    const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        {0, "0"}, {-1, "-1"}, {10, "10"}, {INT64_MAX, "9223372036854775807"}, {INT64_MIN, "-9223372036854775808"}};
    struct str str = STR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        str_clear(&str);
        str_add_int(&str, cases[i].value);
        assert_string_equal(str.data, cases[i].text);
        int64_t back;
        assert_true(text_to_int(cases[i].text, INT64_MIN, INT64_MAX, &back));
        assert_true(back == cases[i].value);
    }
    str_deinit(&str);
}

static void test_failure_sticks(void **state) {
    struct str str = STR_INIT;
    str_add_text(&str, "kept");
    str_reserve(&str, SIZE_MAX - 2);
    assert_true(str.failed);
    str_add_text(&str, "lost");
    str_printf(&str, "%s", "lost");
    str_add_json(&str, "lost", 4);
    assert_string_equal(str.data, "kept");
    assert_null(str_take(&str));
    assert_null(str.data);
    assert_false(str.failed);
    str.failed = true;
    str_clear(&str);
    assert_false(str.failed);
}

static void test_take(void **state) {
    struct str str = STR_INIT;
    char *empty = str_take(&str);
    assert_string_equal(empty, "");
    free(empty);
    str_add_text(&str, "abc");
    char *text = str_take(&str);
    assert_string_equal(text, "abc");
    assert_null(str.data);
    assert_int_equal(str.len, 0);
    free(text);
}

static void check_json(const char *text, size_t len, const char *expected) {
    struct str str = STR_INIT;
    str_add_json(&str, text, len);
    assert_string_equal(str.data, expected);
    str_deinit(&str);
}

static void test_json_escapes(void **state) {
    check_json(NULL, 0, "\"\"");
    check_json("plain", 5, "\"plain\"");
    check_json("\"\\/", 3, "\"\\\"\\\\/\"");
    check_json("\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\"");
    check_json("a\0\x01\x0b\x1f\x7f", 6, "\"a\\u0000\\u0001\\u000b\\u001f\x7f\"");
    check_json("\xE2\x82\xAC\xE2\x80\xA8", 6, "\"\xE2\x82\xAC\xE2\x80\xA8\"");
    check_json("x\ny", 3, "\"x\\ny\"");
}

/* At every distance from a border of eight bytes, and with eight more behind. */
static void check_utf8(const char *bytes, size_t len, size_t bad) {
    char room[40];
    for (size_t shift = 0; shift < 18; shift++) {
        size_t before = shift / 2, after = shift % 2 * 8, offset = 999;
        bool valid = bad == len;
        memset(room, 'x', sizeof(room));
        memcpy(room + before, bytes, len);
        assert_int_equal(utf8_check(room, before + len + after, &offset), valid);
        if (!valid) assert_int_equal(offset, before + bad);
        assert_int_equal(utf8_valid(room, before + len + after), valid);
    }
}

static void test_utf8_well_formed(void **state) {
    const char *texts[] = {"",
                           "ascii",
                           "\xC2\x80",
                           "\xDF\xBF",
                           "\xE0\xA0\x80",
                           "\xED\x9F\xBF",
                           "\xEE\x80\x80",
                           "\xEF\xBF\xBF",
                           "\xF0\x90\x80\x80",
                           "\xF4\x8F\xBF\xBF",
                           "aaaaaaa\xC3\xA4zzzzzzzzz"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check_utf8(texts[i], strlen(texts[i]), strlen(texts[i]));
    check_utf8("a\0b", 3, 3);
}

static void test_utf8_malformed(void **state) {
    const struct {
        const char *bytes;
        size_t bad;
    } cases[] = {
        {"\x80", 0},
        {"a\xBF", 1},
        {"\xC0\x80", 0},
        {"\xC1\xBF", 0},
        {"\xC2", 0},
        {"\xC2x", 0},
        {"\xE0\x9F\xBF", 0},
        {"\xE2\x82", 0},
        {"\xE2\x82x", 0},
        {"\xED\xA0\x80", 0},
        {"\xED\xBF\xBF", 0},
        {"\xF0\x8F\xBF\xBF", 0},
        {"\xF4\x90\x80\x80", 0},
        {"\xF5\x80\x80\x80", 0},
        {"\xFF", 0},
        {"\xC3\xA4\xF0\x9F\x98", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_utf8(cases[i].bytes, strlen(cases[i].bytes), cases[i].bad);
}

static void test_whole_numbers(void **state) {
    int64_t value = 5;
    assert_true(text_to_int("007", 0, 10, &value));
    assert_int_equal(value, 7);
    assert_true(text_to_int("-3", -3, 0, &value));
    assert_int_equal(value, -3);
    const char *bad[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "0x1", "--1", "1e3", "9223372036854775808", "-9223372036854775809"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(text_to_int(bad[i], INT64_MIN, INT64_MAX, &value));
    assert_false(text_to_int("11", 0, 10, &value));
    assert_false(text_to_int("-1", 0, 10, &value));
    assert_false(text_to_int(NULL, 0, 10, &value));
    assert_int_equal(value, -3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_grows_over_every_border),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_failure_sticks),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_json_escapes),
        cmocka_unit_test(test_utf8_well_formed),
        cmocka_unit_test(test_utf8_malformed),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
