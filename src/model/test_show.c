/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void shows(const char *text, const char *expected) {
    char out[SHOW_SIZE];
    assert_string_equal(show_text(text, out), expected);
}

static void test_plain(void **state) {
    shows("", "");
    shows("support", "support");
    shows("café – naïve", "café – naïve");
    shows(NULL, "");
}

static void test_control(void **state) {
    shows("a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f");
    shows("\x1b[31mred", "\\x1b[31mred");
}

static void test_not_utf8(void **state) {
    shows("caf\xe9", "caf\\xe9");
    shows("\xff\xfe", "\\xff\\xfe");
}

static void test_nul_inside(void **state) {
    char out[SHOW_SIZE];
    assert_string_equal(show_slice((struct slice){"a\0b", 3}, out), "a\\x00b");
}

/* Whatever the bytes and wherever the cut falls, the answer fits, is UTF-8 and one line. */
static void test_cut(void **state) {
    static const char *const units[] = {"a", "é", "…", "🐦", "\n", "\xff"};
    char text[512], out[SHOW_SIZE];

    for (size_t unit = 0; unit < ARRAY_LEN(units); unit++) {
        size_t step = strlen(units[unit]), len = 0;
        for (size_t n = 0; n < 100 && len + step < sizeof(text); n++) {
            memcpy(text + len, units[unit], step);
            len += step;
            show_slice((struct slice){text, len}, out);
            assert_true(strlen(out) < SHOW_SIZE);
            assert_true(utf8_valid(out, strlen(out)));
            assert_null(strchr(out, '\n'));
            if (len > 60) assert_non_null(strstr(out, "…"));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),      cmocka_unit_test(test_control), cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_nul_inside), cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
