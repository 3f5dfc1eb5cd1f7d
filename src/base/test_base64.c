/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *bytes, *text;
} cases[] = {{"", ""},
             {"f", "Zg=="},
             {"fo", "Zm8="},
             {"foo", "Zm9v"},
             {"foob", "Zm9vYg=="},
             {"fooba", "Zm9vYmE="},
             {"foobar", "Zm9vYmFy"},
             {"\xff\xfe\xfd", "//79"}};

static void test_vectors_of_the_rfc(void **state) {
    char text[32];
    uint8_t bytes[32];
    size_t len;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        base64_encode(cases[i].bytes, strlen(cases[i].bytes), text);
        assert_string_equal(text, cases[i].text);
        assert_true(base64_decode(text, strlen(text), bytes, &len));
        assert_int_equal(len, strlen(cases[i].bytes));
        assert_memory_equal(bytes, cases[i].bytes, len);
    }
}

static void test_what_is_not_base64(void **state) {
    static const char *const wrong[] = {"Z",        "Zg",    "Zg=",  "=",      "==",        "===",
                                        "====",     "Zh==",  "Zm9=", "Z===",   "Zm9v=",     "Zm=v",
                                        "Zg==Zg==", "Zm 9v", "Zm-_", "Zm9v\n", "\xc3\xa4zz"};
    uint8_t bytes[32];
    size_t len;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (base64_decode(wrong[i], strlen(wrong[i]), bytes, &len)) fail_msg("\"%s\"", wrong[i]);
    assert_false(base64_decode("Zm\0v", 4, bytes, &len));
}

static void test_every_length_comes_back(void **state) {
    uint8_t bytes[64] = {0}, again[64];
    char text[100];
    for (size_t len = 0; len < sizeof(bytes); len++) {
        size_t found;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 37 + len * 101);
        base64_encode(bytes, len, text);
        assert_int_equal(strlen(text), (len + 2) / 3 * 4);
        assert_true(base64_decode(text, strlen(text), again, &found));
        assert_int_equal(found, len);
        if (len) assert_memory_equal(bytes, again, len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_of_the_rfc),
        cmocka_unit_test(test_what_is_not_base64),
        cmocka_unit_test(test_every_length_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
