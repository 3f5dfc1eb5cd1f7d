/* SPDX-License-Identifier: Apache-2.0 */
#include "base/suggest.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *nearest(const char *word, const char *const *candidates, size_t count) {
    struct suggestion near = SUGGESTION_INIT(word);
    for (size_t i = 0; i < count; i++)
        suggestion_try(&near, candidates[i]);
    return near.best;
}

static void test_finds_the_nearest(void **state) {
    static const char *const words[] = {"deploy", "rollback", "resolve", "release", "log", NULL};
    assert_string_equal(nearest("deplyo", words, ARRAY_LEN(words)), "deploy");
    assert_string_equal(nearest("rolback", words, ARRAY_LEN(words)), "rollback");
    assert_string_equal(nearest("resolv", words, ARRAY_LEN(words)), "resolve");
    assert_string_equal(nearest("relese", words, ARRAY_LEN(words)), "release");
    assert_string_equal(nearest("lgo", words, ARRAY_LEN(words)), "log");
    assert_string_equal(nearest("log", words, ARRAY_LEN(words)), "log");
}

static void test_bears_case_and_hyphens(void **state) {
    static const char *const words[] = {"max_tokens", "temperature", "low"};
    assert_string_equal(nearest("maxTokens", words, ARRAY_LEN(words)), "max_tokens");
    assert_string_equal(nearest("MAX-TOKENS", words, ARRAY_LEN(words)), "max_tokens");
    assert_string_equal(nearest("max tokens", words, ARRAY_LEN(words)), "max_tokens");
    assert_string_equal(nearest("Temperature", words, ARRAY_LEN(words)), "temperature");
    assert_string_equal(nearest("LOW", words, ARRAY_LEN(words)), "low");
    assert_string_equal(nearest("tmeperaTure", words, ARRAY_LEN(words)), "temperature");
}

static void test_is_silent_when_nothing_is_near(void **state) {
    static const char *const words[] = {"deploy", "log"};
    assert_null(nearest("xyz", words, ARRAY_LEN(words)));
    assert_null(nearest("", words, ARRAY_LEN(words)));
    assert_null(nearest("deploymentsofalllittlethings", words, ARRAY_LEN(words)));
}

static void test_bears_long_words(void **state) {
    char word[200], candidate[200];
    for (size_t i = 0; i < sizeof(word) - 1; i++)
        word[i] = candidate[i] = 'a';
    word[sizeof(word) - 1] = candidate[sizeof(candidate) - 1] = '\0';
    const char *words[] = {candidate};
    assert_null(nearest(word, words, 1));
    assert_null(nearest("a", words, 1));
    word[63] = candidate[62] = '\0';
    assert_string_equal(nearest(word + 1, words, 1), candidate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_nearest),
        cmocka_unit_test(test_bears_case_and_hyphens),
        cmocka_unit_test(test_is_silent_when_nothing_is_near),
        cmocka_unit_test(test_bears_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
