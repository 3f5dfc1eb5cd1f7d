/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jw.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_commas_and_nesting(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_object(&jw, NULL);
    jw_text(&jw, "agent", "support");
    jw_array(&jw, "list");
    jw_int(&jw, NULL, 1);
    jw_object(&jw, NULL);
    jw_end_object(&jw);
    jw_array(&jw, NULL);
    jw_end_array(&jw);
    jw_text(&jw, NULL, "x");
    jw_end_array(&jw);
    jw_object(&jw, "inner");
    jw_bool(&jw, "a", true);
    jw_bool(&jw, "b", false);
    jw_end_object(&jw);
    jw_null(&jw, "none");
    jw_end_object(&jw);
    assert_string_equal(
        out.data, "{\"agent\":\"support\",\"list\":[1,{},[],\"x\"],\"inner\":{\"a\":true,\"b\":false},\"none\":null}");
    assert_false(out.failed);
    str_deinit(&out);
}

static void test_values(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_array(&jw, NULL);
    jw_text(&jw, NULL, NULL);
    jw_text(&jw, NULL, "a\"b");
    jw_slice(&jw, NULL, (struct slice){"xyz", 2});
    jw_slice(&jw, NULL, (struct slice){NULL, 0});
    jw_printf(&jw, NULL, "%d\n%s", 1, "q");
    jw_printf(&jw, NULL, "%s", "");
    jw_int(&jw, NULL, INT64_MIN);
    jw_double(&jw, NULL, 1.0);
    jw_double(&jw, NULL, 0.1);
    jw_double(&jw, NULL, NAN);
    jw_double(&jw, NULL, -INFINITY);
    jw_raw(&jw, NULL, SLICE_LIT("{\"b\":1}"));
    jw_end_array(&jw);
    assert_string_equal(out.data,
                        "[null,\"a\\\"b\",\"xy\",\"\",\"1\\nq\",\"\",-9223372036854775808,1,0.1,null,null,{\"b\":1}]");
    str_deinit(&out);
}

static void test_keys_are_escaped(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_object(&jw, NULL);
    jw_int(&jw, "a\"\n", 1);
    jw_int(&jw, "", 2);
    jw_end_object(&jw);
    assert_string_equal(out.data, "{\"a\\\"\\n\":1,\"\":2}");
    str_deinit(&out);
}

static void test_top_value_alone(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_int(&jw, NULL, 5);
    assert_string_equal(out.data, "5");
    str_deinit(&out);
}

static void test_depth_is_bounded(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    for (int i = 0; i < 63; i++)
        jw_array(&jw, NULL);
    jw_int(&jw, NULL, 1);
    jw_int(&jw, NULL, 2);
    for (int i = 0; i < 63; i++)
        jw_end_array(&jw);
    assert_false(out.failed);
    assert_int_equal(out.len, 63 * 2 + 3);

    str_clear(&out);
    jw = JW_INIT(&out);
    for (int i = 0; i < 64; i++)
        jw_array(&jw, NULL);
    assert_true(out.failed);
    str_deinit(&out);
}

static void test_closing_too_often_fails(void **state) {
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_end_object(&jw);
    assert_true(out.failed);
    str_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_and_nesting), cmocka_unit_test(test_values),
        cmocka_unit_test(test_keys_are_escaped),   cmocka_unit_test(test_top_value_alone),
        cmocka_unit_test(test_depth_is_bounded),   cmocka_unit_test(test_closing_too_often_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
