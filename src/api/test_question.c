/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of plain questions beside the parser that has the last word: what the first takes, the second must take and understand alike. */
#include "api/api_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MUTATIONS 200000

static bool takes(const char *text, struct asked *ret) {
    return question_read(slice_of(text), ret);
}

static void test_plain_questions_are_taken(void **state) {
    struct asked asked;
    assert_true(takes("{\"agent\":\"support\"}", &asked));
    assert_true(slice_equal_text(asked.agent, "support"));
    assert_null(asked.environment.ptr);
    assert_null(asked.key.ptr);

    assert_true(takes(" {\"context\" : {\"plan\":\"pro\", \"targetingKey\" : "
                      "\"user-42\",\"n\":[1,-2.5,[],{}],\"deep\":{\"a\":null}},\n"
                      "\t\"environment\":\"production\",\"agent\":\"support\"} ",
                      &asked));
    assert_true(slice_equal_text(asked.agent, "support"));
    assert_true(slice_equal_text(asked.environment, "production"));
    assert_true(slice_equal_text(asked.key, "user-42"));
    assert_true(takes(
        "{\"agent\":\"support\",\"context\":{\"targetingKey\":\"J\xc3\xb6rg\",\"yes\":true,\"no\":false}}", &asked));
    assert_true(slice_equal_text(asked.key, "J\xc3\xb6rg"));
    assert_true(takes("{\"agent\":\"\",\"context\":{}}", &asked));
    assert_non_null(asked.agent.ptr);
}

static void test_what_is_not_plain_is_left_alone(void **state) {
    static const char *const texts[] = {
        "",
        " ",
        "{}",
        "[]",
        "\"agent\"",
        "{\"agent\":\"support\"",
        "{\"agent\":\"support\"}}",
        "{\"agent\":\"support\"} x",
        "{\"agent\":\"support\",}",
        "{,\"agent\":\"support\"}",
        "{\"agent\" \"support\"}",
        "{\"agent\":5}",
        "{\"agent\":null}",
        "{\"environment\":\"production\"}",
        "{\"agent\":\"a\",\"agent\":\"a\"}",
        "{\"agent\":\"a\",\"context\":{\"x\":1,\"x\":2}}",
        "{\"agent\":\"a\",\"context\":{\"x\":{\"y\":1,\"y\":1}}}",
        "{\"agent\":\"a\",\"context\":[]}",
        "{\"agent\":\"a\",\"context\":{\"targetingKey\":5}}",
        "{\"agent\":\"a\",\"at\":\"2026-01-01T00:00:00Z\"}",
        "{\"agent\":\"a\",\"explain\":true}",
        "{\"agent\":\"a\\u0062\"}",
        "{\"agent\":\"a\nb\"}",
        "{\"agent\":\"a\xff\"}",
        "{\"agent\":\"a\",\"context\":{\"x\":01}}",
        "{\"agent\":\"a\",\"context\":{\"x\":1e3}}",
        "{\"agent\":\"a\",\"context\":{\"x\":1.}}",
        "{\"agent\":\"a\",\"context\":{\"x\":-}}",
        "{\"agent\":\"a\",\"context\":{\"x\":12345678901234567890}}",
        "{\"agent\":\"a\",\"context\":{\"x\":tru}}",
        "{\"agent\":\"a\",\"context\":{\"x\":[1,]}}",
        "{\"agent\":\"a\",\"context\":{\"x\":[[[[[[[[1]]]]]]]]}}",
    };
    struct asked asked;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (takes(texts[i], &asked)) fail_msg("taken: %s", texts[i]);
    assert_false(question_read((struct slice){"{\"agent\":\"a\0b\"}", 15}, &asked));
}

static void test_many_members_are_left_alone(void **state) {
    struct asked asked;
    for (size_t count = 0; count <= 40; count++) {
        struct str text = STR_INIT;
        str_add_text(&text, "{\"agent\":\"a\",\"context\":{\"targetingKey\":\"u\"");
        for (size_t i = 0; i < count; i++)
            str_printf(&text, ",\"m%zu\":%zu", i, i);
        str_add_text(&text, "}}");
        assert_int_equal(question_read(str_slice(&text), &asked), count < 16);
        str_deinit(&text);
    }
}

/* ---- beside the parser ---- */

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void check_against_parser(struct slice text, const struct asked *asked) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    if (json_parse(text.ptr, text.len, REQUEST_DEPTH_MAX, &value, NULL) < 0)
        fail_msg("refused: %.*s", (int)text.len, text.ptr);
    const json_t *context = json_get(value, "context"), *key = json_get(context, "targetingKey");
    const char *environment = json_get_text(value, "environment");
    assert_true(slice_equal_text(asked->agent, json_get_text(value, "agent")));
    assert_int_equal(asked->environment.ptr != NULL, environment != NULL);
    if (environment) assert_true(slice_equal_text(asked->environment, environment));
    assert_true(!context || json_is_object(context));
    assert_int_equal(asked->key.ptr != NULL, key != NULL);
    if (key) assert_true(slice_equal_text(asked->key, json_string_value(key)));
    size_t known = 1u + (environment != NULL) + (context != NULL);
    assert_int_equal(json_object_size(value), known);
}

static void test_whatever_is_taken_the_parser_takes_too(void **state) {
    static const char seed_text[] =
        "{\"agent\":\"support\",\"environment\":\"production\",\"context\":{\"targetingKey\":\"user-42\","
        "\"plan\":\"pr\xc3\xb6\",\"list\":[1,2.5,-3,true,null,{\"a\":\"b\"}],\"o\":{\"x\":0}}}";
    static const char bytes[] = "\"\\{}[]:,.-+eE0123456789 \n\tatrufnlsegk\x01\x7f\xc3\xb6\xff";
    uint32_t random = 20261125, taken = 0;
    char text[sizeof(seed_text) + 8];
    for (int i = 0; i < MUTATIONS; i++) {
        size_t len = sizeof(seed_text) - 1;
        memcpy(text, seed_text, len);
        for (uint32_t n = next_random(&random) % 4; n > 0; n--) {
            size_t at = next_random(&random) % len;
            uint32_t kind = next_random(&random) % 3;
            char byte = bytes[next_random(&random) % (sizeof(bytes) - 1)];
            if (kind == 0) text[at] = byte;
            if (kind == 1) memmove(text + at, text + at + 1, --len - at);
            if (kind == 2) {
                memmove(text + at + 1, text + at, len++ - at);
                text[at] = byte;
            }
        }
        struct asked asked;
        struct slice question = {text, len};
        if (!question_read(question, &asked)) continue;
        taken++;
        check_against_parser(question, &asked);
    }
    assert_true(taken > MUTATIONS / 8 && taken < MUTATIONS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_questions_are_taken),
        cmocka_unit_test(test_what_is_not_plain_is_left_alone),
        cmocka_unit_test(test_many_members_are_left_alone),
        cmocka_unit_test(test_whatever_is_taken_the_parser_takes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
