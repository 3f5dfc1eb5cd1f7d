/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const char *safe(const char *text, size_t len, bool lines) {
    static struct str out;
    str_deinit(&out);
    text_add_safe(&out, text, len, lines);
    assert_false(out.failed);
    return out.data ? out.data : "";
}

static void test_shows_what_could_steer_a_terminal(void **state) {
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain text", "plain text"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6"},
        {"\033[2J", "\\x1b[2J"},
        {"\033]0;title\007", "\\x1b]0;title\\x07"},
        {"a\nb\tc\rd", "a\\nb\\tc\\x0dd"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m"},
        {"\xe2\x80\xae+\xe2\x80\xac", "\\u{202e}+\\u{202c}"},
        {"\xe2\x81\xa6\xe2\x81\xa9", "\\u{2066}\\u{2069}"},
        {"\xef\xbb\xbf", "\\u{feff}"},
        {"\xf3\xa0\x80\xa1", "\\u{e0021}"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc3", "\\xc3"},
        {"\xe2\x82", "\\xe2\\x82"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(safe(cases[i].text, strlen(cases[i].text), false), cases[i].shown);
    assert_string_equal(safe("a\0b", 3, false), "a\\x00b");
    assert_string_equal(safe("a\nb", 3, true), "a\nb");
}

static void test_json_stays_json(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    static const char json[] = "{\n  \"a\": \"x\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\xa1\xc3\xa9\"\n}\n";
    text_add_safe_json(&out, json, sizeof(json) - 1);
    assert_string_equal(out.data, "{\n  \"a\": \"x\\u007f\\u009b\\u202e\\udb40\\udc21\xc3\xa9\"\n}\n");
}

static void test_measures_columns(void **state) {
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"caf\xc3\xa9", 4},
        {"cafe\xcc\x81", 4},                     /* e and a combining accent */
        {"\xe6\x97\xa5\xe6\x9c\xac", 4},         /* two wide characters */
        {"\xea\xb0\x80", 2},                     /* Hangul */
        {"\xf0\x9f\x90\xa6", 2},                 /* a bird */
        {"\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", 2}, /* a thumb and its colour */
        {"\xef\xbd\xb1", 1},                     /* half-width katakana */
        {"\xff", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(text_width(cases[i].text, strlen(cases[i].text)), cases[i].width);
}

static void test_fits_whole_characters(void **state) {
    assert_int_equal(text_fit("abc", 3, 2), 2);
    assert_int_equal(text_fit("abc", 3, 3), 3);
    assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 6, 3), 3);
    assert_int_equal(text_fit("\xe6\x97\xa5\xe6\x9c\xac", 6, 1), 0);
    assert_int_equal(text_fit("e\xcc\x81"
                              "a",
                              4, 1),
                     3);
}

static void test_wraps_at_words(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    text_wrap(&out, "one two three  four averyveryverylongword end", 2, 12);
    assert_string_equal(out.data, "one two\n  three four\n  averyveryverylongword\n  end");
}

static void test_colours_only_when_asked(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    colour_add(&out, false, COLOUR_RED, "a");
    colour_add(&out, true, COLOUR_NONE, "b");
    colour_add(&out, true, COLOUR_RED, "");
    assert_string_equal(out.data, "ab");
    colour_add(&out, true, COLOUR_RED, "c");
    assert_string_equal(out.data, "ab\033[31mc\033[0m");
}

/* ---- tables ---- */

static const char *laid_out(const struct layout *layout, size_t width, bool colour) {
    static struct str out;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    str_deinit(&out);
    assert_int_equal(layout_add(layout, width, colour, &arena, &out, &err), 0);
    arena_deinit(&arena);
    return out.data;
}

static void test_aligns_columns(void **state) {
    static const struct layout_column columns[] = {
        {.title = "NAME"}, {.title = "N", .right = true}, {.title = "TEXT", .shrinks = true}};
    struct cell cells[] = {
        {"\xe6\x97\xa5\xe6\x9c\xac"}, {"7"}, {"short"}, {"abc"}, {"1234"}, {""}, {""}, {""}, {"last"}};
    struct layout layout = {columns, 3, cells, 3};
    assert_string_equal(laid_out(&layout, 0, false), "NAME     N  TEXT\n"
                                                     "\xe6\x97\xa5\xe6\x9c\xac     7  short\n"
                                                     "abc   1234\n"
                                                     "            last\n");
}

static void test_leaves_out_empty_columns(void **state) {
    static const struct layout_column columns[] = {{.title = "A"}, {.title = "HELD"}, {.title = "B"}};
    struct cell cells[] = {{"1"}, {""}, {"2"}, {"3"}, {NULL}, {"4"}};
    struct layout layout = {columns, 3, cells, 2};
    assert_string_equal(laid_out(&layout, 0, false), "A  B\n1  2\n3  4\n");
}

static void test_cuts_to_the_terminal(void **state) {
    static const struct layout_column columns[] = {{.title = "ID"}, {.title = "REASON", .shrinks = true}};
    struct cell cells[] = {{"0123456789"},
                           {"a reason that is much too long"},
                           {"x"},
                           {"\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5"}};
    struct layout layout = {columns, 2, cells, 2};
    assert_string_equal(laid_out(&layout, 24, false),
                        "ID          REASON\n"
                        "0123456789  a reason th\xe2\x80\xa6\n"
                        "x           \xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\n");
    assert_string_equal(laid_out(&layout, 5, false),
                        "ID          REASON\n"
                        "0123456789  a reason \xe2\x80\xa6\n"
                        "x           \xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe2\x80\xa6\n");
}

static void test_cells_are_made_safe(void **state) {
    static const struct layout_column columns[] = {{.title = "A"}};
    struct cell cells[] = {{"\033[31mred\n", COLOUR_GREEN}};
    struct layout layout = {columns, 1, cells, 1};
    assert_string_equal(laid_out(&layout, 0, true), "\033[1mA\033[0m\n\033[32m\\x1b[31mred\\n\033[0m\n");
}

/* ---- times ---- */

#define NOW INT64_C(1795442700000000) /* 2026-11-23 14:05:00 UTC */

static void set_zone(const char *zone) {
    setenv("TZ", zone, 1);
    tzset();
}

static void test_says_how_long_ago(void **state) {
    static const struct {
        int64_t seconds;
        const char *shown;
    } cases[] = {
        {0, "2026-11-23 14:05:00 (just now)"},
        {59, "2026-11-23 14:04:01 (59s ago)"},
        {60, "2026-11-23 14:04:00 (1m ago)"},
        {3599, "2026-11-23 13:05:01 (59m ago)"},
        {3600, "2026-11-23 13:05:00 (1h ago)"},
        {86400, "2026-11-22 14:05:00 (1d ago)"},
        {7 * 86400, "2026-11-16 14:05:00 (7d ago)"},
        {8 * 86400, "2026-11-15 14:05:00"},
        {-5, "2026-11-23 14:05:05"},
    };
    char text[WHEN_SIZE];
    set_zone("UTC");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        when_text(NOW - cases[i].seconds * 1000000, NOW, text);
        assert_string_equal(text, cases[i].shown);
    }
    set_zone("CET-1");
    when_text(NOW, NOW, text);
    assert_string_equal(text, "2026-11-23 15:05:00 (just now)");
}

static void test_reads_moments_in_the_own_zone(void **state) {
    static const struct {
        const char *text, *sent;
    } cases[] = {
        {"14:05", "2026-11-23T13:05:00.000000Z"},
        {"14:05:30", "2026-11-23T13:05:30.000000Z"},
        {"16:00", "2026-11-22T15:00:00.000000Z"}, /* still to come today: yesterday's */
        {"2026-11-20 08:00", "2026-11-20T07:00:00.000000Z"},
        {"2026-11-20 08:00:07", "2026-11-20T07:00:07.000000Z"},
        {"2026-11-20T08:00", "2026-11-20T07:00:00.000000Z"},
        {"2026-11-20", "2026-11-19T23:00:00.000000Z"},
        {"2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"},
        {"1.1207", "1.1207"},
        {"nonsense", "nonsense"},
        {"25:99", "25:99"},
    };
    char text[WHEN_SIZE];
    struct err err = ERR_INIT;
    set_zone("CET-1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(when_read(cases[i].text, NOW, text, &err), 0);
        assert_string_equal(text, cases[i].sent);
    }
    assert_int_equal(
        when_read("a text that is much longer than any moment of this world could ever be", NOW, text, &err),
        -ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shows_what_could_steer_a_terminal),
        cmocka_unit_test(test_json_stays_json),
        cmocka_unit_test(test_measures_columns),
        cmocka_unit_test(test_fits_whole_characters),
        cmocka_unit_test(test_wraps_at_words),
        cmocka_unit_test(test_colours_only_when_asked),
        cmocka_unit_test(test_aligns_columns),
        cmocka_unit_test(test_leaves_out_empty_columns),
        cmocka_unit_test(test_cuts_to_the_terminal),
        cmocka_unit_test(test_cells_are_made_safe),
        cmocka_unit_test(test_says_how_long_ago),
        cmocka_unit_test(test_reads_moments_in_the_own_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
