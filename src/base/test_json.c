/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse_text(const char *text, unsigned max_depth, json_t **ret, struct err *err) {
    return json_parse(text, strlen(text), max_depth, ret, err);
}

static void check_refused(const char *text, enum err_code code, unsigned line, unsigned column) {
    struct err err = ERR_INIT;
    json_t *value = NULL;
    assert_int_equal(parse_text(text, 8, &value, &err), -(int)code);
    assert_null(value);
    assert_int_equal(err.code, code);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
    assert_true(err.message[0] != '\0');
}

static void check_canonical(const char *text, const char *expected) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct str out = STR_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(parse_text(text, 8, &value, &err), 0);
    assert_int_equal(json_canonical(value, &out, &err), 0);
    assert_string_equal(out.data, expected);
    str_deinit(&out);
}

static void test_parse_takes_any_top_value(void **state) {
    const char *texts[] = {"null", " true ", "1", "-1.5e3", "\"a\"", "[]", "{}", "\n{\"a\" : [1, 2]}\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(json_decrefp) json_t *value = NULL;
        assert_int_equal(parse_text(texts[i], 8, &value, NULL), 0);
        assert_non_null(value);
    }
}

static void test_parse_keeps_integers_apart_from_reals(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(parse_text("[1, 1.0, 1e0]", 8, &value, NULL), 0);
    assert_true(json_is_integer(json_array_get(value, 0)));
    assert_true(json_is_real(json_array_get(value, 1)));
    assert_true(json_is_real(json_array_get(value, 2)));
}

static void test_parse_refuses_what_is_malformed(void **state) {
    check_refused("", ERR_MALFORMED_JSON, 1, 1);
    check_refused("[1,]", ERR_MALFORMED_JSON, 1, 4);
    check_refused("{\n  \"a\": 1,\n  b\n}", ERR_MALFORMED_JSON, 3, 3);
    check_refused("[1] 2", ERR_MALFORMED_JSON, 1, 5);
    check_refused("\"\\ud800\"", ERR_MALFORMED_JSON, 1, 2);
    check_refused("[01]", ERR_MALFORMED_JSON, 1, 2);
    check_refused("[1e400]", ERR_MALFORMED_JSON, 1, 2);
    check_refused(" 9223372036854775808", ERR_MALFORMED_JSON, 1, 2);
    check_refused("NaN", ERR_MALFORMED_JSON, 1, 1);
}

static void check_message(const char *text, const char *message) {
    struct err err = ERR_INIT;
    json_t *value = NULL;
    assert_int_equal(parse_text(text, 8, &value, &err), -ERR_MALFORMED_JSON);
    assert_string_equal(err.message, message);
}

static void test_parse_says_what_is_wrong(void **state) {
    check_message("", "malformed JSON: expected a value, but the text ends");
    check_message("[1,]", "malformed JSON: expected a value, found ']'");
    check_message("[1;2]", "malformed JSON: expected ',' or ']', found ';'");
    check_message("{\"a\":1 \"b\":2}", "malformed JSON: expected ',' or '}', found '\"'");
    check_message("{a:1}", "malformed JSON: expected a key in quotes, found 'a'");
    check_message("{\"a\",1}", "malformed JSON: expected ':', found ','");
    check_message("1 \xE2\x82\xAC", "malformed JSON: expected the end of the text, found '\xE2\x82\xAC'");
    check_message("\x01", "malformed JSON: expected a value, found the byte 0x01");
    check_message("-x", "malformed JSON: expected a digit, found 'x'");
    check_message("1.", "malformed JSON: expected a digit, but the text ends");
    check_message("[\"abc", "malformed JSON: the text that begins here has no end");
    check_message("\"a\nb\"", "malformed JSON: the byte 0x0a must be written with a backslash");
    check_message("\"\\x\"", "malformed JSON: unknown escape in a text");
    check_message("\"\\u12g4\"", "malformed JSON: \\u wants four hexadecimal digits");
    check_message("\"\\ud800\\u0041\"", "malformed JSON: the first half of a surrogate pair lacks its second");
    check_message("\"\\udc00\"", "malformed JSON: the second half of a surrogate pair lacks its first");
    check_message("[007]", "malformed JSON: a number must not begin with 0");
    check_message("1e999", "malformed JSON: the number is too large for a double");
    check_message("-9223372036854775809", "malformed JSON: the integer does not fit into 64 bits");
    check_message("{\"a\":1,\"a\":2}", "malformed JSON: the key \"a\" stands twice");
}

/* Cut at every prefix: always refused, never read past its end (the copy is exactly as long). */
static void test_parse_of_every_prefix(void **state) {
    const char *text = "{\"a\":[true,false,null,-12.5e+3,\"x\\u00e4\\ud83d\\ude00\\n\xC3\xA4\"],\"b\":{}}";
    for (size_t len = 0; len < strlen(text); len++) {
        json_t *value = NULL;
        char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        assert_true(json_parse(copy, len, 8, &value, NULL) < 0);
        assert_null(value);
        free(copy);
    }
    json_t *whole = NULL;
    assert_int_equal(parse_text(text, 8, &whole, NULL), 0);
    json_decref(whole);
}

static void test_parse_cuts_long_keys_at_a_character(void **state) {
    for (size_t shift = 0; shift < 3; shift++) {
        struct str text = STR_INIT;
        struct err err = ERR_INIT;
        json_t *value = NULL;
        str_add_text(&text, "{");
        for (int twice = 0; twice < 2; twice++) {
            str_printf(&text, "%s\"%.*s", twice ? "," : "", (int)shift, "xxx");
            for (int i = 0; i < 100; i++)
                str_add_text(&text, "\xE2\x82\xAC");
            str_add_text(&text, "\":1");
        }
        str_add_text(&text, "}");
        assert_int_equal(json_parse(text.data, text.len, 8, &value, &err), -ERR_MALFORMED_JSON);
        assert_true(utf8_valid(err.message, strlen(err.message)));
        assert_non_null(strstr(err.message, "stands twice"));
        str_deinit(&text);
    }
}

static void test_parse_keeps_keys_of_open_objects_apart(void **state) {
    check_canonical("{\"a\":{\"a\":{\"a\":1,\"b\":2},\"b\":3},\"b\":{\"a\":4}}",
                    "{\"a\":{\"a\":{\"a\":1,\"b\":2},\"b\":3},\"b\":{\"a\":4}}");
}

static void test_parse_reads_numbers_as_the_library_does(void **state) {
    const char *texts[] = {"1.5",     "-0.1",    "123456789.123456789",   "1e-400", "4.9e-324", "0.30000000000000004",
                           "2.5E+10", "9.5e-10", "1.7976931348623157e308"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(json_decrefp) json_t *value = NULL;
        assert_int_equal(parse_text(texts[i], 8, &value, NULL), 0);
        assert_true(json_real_value(value) == strtod(texts[i], NULL));
    }
    _cleanup_(json_decrefp) json_t *ends = NULL;
    assert_int_equal(parse_text("[9223372036854775807,-9223372036854775808]", 8, &ends, NULL), 0);
    assert_true(json_integer_value(json_array_get(ends, 0)) == INT64_MAX);
    assert_true(json_integer_value(json_array_get(ends, 1)) == INT64_MIN);
}

static void test_parse_refuses_duplicate_keys(void **state) {
    check_refused("{\"a\":1,\"a\":2}", ERR_MALFORMED_JSON, 1, 8);
    check_refused("{\"a\":1,\"\\u0061\":2}", ERR_MALFORMED_JSON, 1, 8);
}

static void test_parse_refuses_nul(void **state) {
    struct err err = ERR_INIT;
    json_t *value = NULL;
    check_refused("{\"a\\u0000b\":1}", ERR_MALFORMED_JSON, 1, 4);
    check_refused("\"a\\u0000b\"", ERR_MALFORMED_JSON, 1, 3);
    assert_int_equal(json_parse("[1]\0[2]", 7, 8, &value, &err), -ERR_MALFORMED_JSON);
}

static void test_parse_tells_bad_utf8_apart(void **state) {
    check_refused("\"\xC3\x28\"", ERR_INVALID_UTF8, 1, 2);
    check_refused("[\"\xC3\xA4\",\n \"\xC3\xA4\xED\xA0\x80\"]", ERR_INVALID_UTF8, 2, 4);
    check_refused("[1]\xFF", ERR_INVALID_UTF8, 1, 4);
}

static void test_parse_bounds_depth_before_it_recurses(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(parse_text("[[[]]]", 3, &value, &err), 0);
    json_t *none = NULL, *wide = NULL;
    assert_int_equal(parse_text("[{},{},{},[],[],[]]", 2, &wide, &err), 0);
    json_decref(wide);
    assert_int_equal(parse_text("[[[]]]", 2, &none, &err), -ERR_MALFORMED_JSON);
    assert_int_equal(err.column, 3);
    assert_non_null(strstr(err.message, "2 levels"));
    assert_int_equal(parse_text("[]", 0, &none, &err), -ERR_MALFORMED_JSON);

    enum { SIZE = 1000000 };
    char *deep = malloc(SIZE);
    assert_non_null(deep);
    memset(deep, '[', SIZE);
    assert_int_equal(json_parse(deep, SIZE, UINT32_MAX, &none, &err), -ERR_MALFORMED_JSON);
    assert_int_equal(err.column, JSON_DEPTH_MAX + 1);
    free(deep);
}

static void test_parse_counts_no_brackets_in_texts(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(parse_text("[\"[[[[\\\"[[[[\", [], {\"{{{{\\\\\": [\"]\"]}, []]", 3, &value, NULL), 0);
}

static void test_canonical_numbers(void **state) {
    check_canonical("[1.0,-0,-0.0,1e2,0.1,1E-7,123456789012345.678]", "[1,0,0,100,0.1,1e-7,123456789012345.67]");
    check_canonical("[9007199254740992,-9007199254740992,9007199254740992.0]",
                    "[9007199254740992,-9007199254740992,9007199254740992]");
    check_canonical("[1e21,1.5e300,-5e-324,1.7976931348623157e308]",
                    "[1e+21,1.5e+300,-5e-324,1.7976931348623157e+308]");
}

static void test_canonical_refuses_what_json_cannot_hold(void **state) {
    const char *texts[] = {"{\"a/b\":[0,{\"~\":9007199254740993}]}", "{\"a/b\":[0,{\"~\":-9007199254740993}]}",
                           "{\"a/b\":[0,{\"~\":1e17}]}", "{\"a/b\":[0,{\"~\":-9.9e20}]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(json_decrefp) json_t *value = NULL;
        struct str out = STR_INIT;
        struct err err = ERR_INIT;
        assert_int_equal(parse_text(texts[i], 8, &value, &err), 0);
        assert_int_equal(json_canonical(value, &out, &err), -ERR_INVALID);
        assert_string_equal(err.at, "/a~1b/1/~0");
        str_deinit(&out);
    }
}

static void test_canonical_sorts_by_utf16(void **state) {
    check_canonical("{\"\xEE\x80\x80\":1,\"\xF0\x9F\x98\x80\":2,\"\xE2\x82\xAC\":3,\"b\":4,\"\":5,\"a\":6,\"aa\":7}",
                    "{\"\":5,\"a\":6,\"aa\":7,\"b\":4,\"\xE2\x82\xAC\":3,\"\xF0\x9F\x98\x80\":2,\"\xEE\x80\x80\":1}");
}

static void test_canonical_escapes_only_what_it_must(void **state) {
    check_canonical("\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\\\/\\u007f\\u20ac\\ud83d\\ude00\"",
                    "\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\/\x7F\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

static void test_canonical_reads_back_the_same(void **state) {
    const char *text = "{\"b\":[1.50,{\"z\":null,\"y\":[true,false]}],\"a\":{\"k\":1e-9}}";
    const char *form = "{\"a\":{\"k\":1e-9},\"b\":[1.5,{\"y\":[true,false],\"z\":null}]}";
    check_canonical(text, form);
    check_canonical(form, form);
}

static void test_canonical_bounds_depth(void **state) {
    json_t *value = json_array();
    for (int i = 0; i < JSON_DEPTH_MAX + 1; i++) {
        json_t *outer = json_array();
        assert_int_equal(json_array_append_new(outer, value), 0);
        value = outer;
    }
    struct str out = STR_INIT;
    assert_int_equal(json_canonical(value, &out, NULL), -ERR_INVALID);
    str_deinit(&out);
    json_decref(value);
}

static void test_pretty(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct str out = STR_INIT;
    assert_int_equal(parse_text("{\"b\":[1.0,{}],\"a\":[],\"c\":9007199254740993}", 8, &value, NULL), 0);
    assert_int_equal(json_pretty(value, 2, false, &out), 0);
    assert_string_equal(out.data, "{\n  \"b\": [\n    1.0,\n    {}\n  ],\n  \"a\": [],\n  \"c\": 9007199254740993\n}");
    str_clear(&out);
    assert_int_equal(json_pretty(value, 1, true, &out), 0);
    assert_string_equal(out.data, "{\n \"a\": [],\n \"b\": [\n  1.0,\n  {}\n ],\n \"c\": 9007199254740993\n}");
    str_deinit(&out);
}

static void check_double(double value, const char *expected) {
    struct str out = STR_INIT;
    json_add_double(&out, value);
    assert_string_equal(out.data, expected);
    str_deinit(&out);
}

static void test_doubles_in_shortest_form(void **state) {
    check_double(0.0, "0");
    check_double(-0.0, "0");
    check_double(123456.0, "123456");
    check_double(0.000001, "0.000001");
    check_double(0.0000012345, "0.0000012345");
    check_double(0.0000001, "1e-7");
    check_double(-1.25e-10, "-1.25e-10");
    check_double(0.1 + 0.2, "0.30000000000000004");
    check_double(1e20, "100000000000000000000");
    check_double(1e21, "1e+21");
    check_double(5e-324, "5e-324");
    check_double(2.2250738585072014e-308, "2.2250738585072014e-308");
    check_double(0x1p-44, "5.684341886080802e-14");
    check_double(0x1p68, "295147905179352830000");
    check_double(1e23, "1e+23");
    check_double(9.999999999999997e22, "9.999999999999997e+22");
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

static void test_doubles_read_back(void **state) {
    uint64_t seed = 20261123;
    struct str out = STR_INIT;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&seed);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) continue;
        str_clear(&out);
        json_add_double(&out, value);
        double again = strtod(out.data, NULL);
        assert_memory_equal(&again, &value, sizeof(value));
    }
    str_deinit(&out);
}

static void test_at_follows_pointers(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(parse_text("{\"a/b\":[10,{\"~\":20}],\"\":30,\"01\":40,\"~1\":50,\"ab\":60}", 8, &value, NULL), 0);
    assert_ptr_equal(json_at(value, ""), value);
    assert_int_equal(json_integer_value(json_at(value, "/a~1b/0")), 10);
    assert_int_equal(json_integer_value(json_at(value, "/a~1b/1/~0")), 20);
    assert_int_equal(json_integer_value(json_at(value, "/")), 30);
    assert_int_equal(json_integer_value(json_at(value, "/01")), 40);
    assert_int_equal(json_integer_value(json_at(value, "/~01")), 50);
    const char *none[] = {"a",        "/a",  "/a~1b/2", "/a~1b/01", "/a~1b/-",   "/a~1b/-0",
                          "/a~1b/+1", "/a~", "/a~2b",   "//x",      "/a~1b/0/0", "/a~1b/99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_null(json_at(value, none[i]));
}

static void test_pointers_escape(void **state) {
    struct str pointer = STR_INIT;
    json_pointer_add(&pointer, "a/b~c");
    json_pointer_add_index(&pointer, 12);
    json_pointer_add(&pointer, "");
    assert_string_equal(pointer.data, "/a~1b~0c/12/");
    str_deinit(&pointer);
}

static void test_getters(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(parse_text("{\"a\":\"x\",\"b\":1}", 8, &value, NULL), 0);
    assert_string_equal(json_get_text(value, "a"), "x");
    assert_null(json_get_text(value, "b"));
    assert_null(json_get_text(value, "c"));
    assert_int_equal(json_integer_value(json_get(value, "b")), 1);
    assert_null(json_get(json_get(value, "b"), "c"));
    assert_null(json_get(NULL, "c"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_takes_any_top_value),
        cmocka_unit_test(test_parse_keeps_integers_apart_from_reals),
        cmocka_unit_test(test_parse_refuses_what_is_malformed),
        cmocka_unit_test(test_parse_says_what_is_wrong),
        cmocka_unit_test(test_parse_of_every_prefix),
        cmocka_unit_test(test_parse_cuts_long_keys_at_a_character),
        cmocka_unit_test(test_parse_keeps_keys_of_open_objects_apart),
        cmocka_unit_test(test_parse_reads_numbers_as_the_library_does),
        cmocka_unit_test(test_parse_refuses_duplicate_keys),
        cmocka_unit_test(test_parse_refuses_nul),
        cmocka_unit_test(test_parse_tells_bad_utf8_apart),
        cmocka_unit_test(test_parse_bounds_depth_before_it_recurses),
        cmocka_unit_test(test_parse_counts_no_brackets_in_texts),
        cmocka_unit_test(test_canonical_numbers),
        cmocka_unit_test(test_canonical_refuses_what_json_cannot_hold),
        cmocka_unit_test(test_canonical_sorts_by_utf16),
        cmocka_unit_test(test_canonical_escapes_only_what_it_must),
        cmocka_unit_test(test_canonical_reads_back_the_same),
        cmocka_unit_test(test_canonical_bounds_depth),
        cmocka_unit_test(test_pretty),
        cmocka_unit_test(test_doubles_in_shortest_form),
        cmocka_unit_test(test_doubles_read_back),
        cmocka_unit_test(test_at_follows_pointers),
        cmocka_unit_test(test_pointers_escape),
        cmocka_unit_test(test_getters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
