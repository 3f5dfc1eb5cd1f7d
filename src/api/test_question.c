/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of plain questions beside the parser that has the last word: what the first takes, the second must take and understand alike. */
#include "api/api_impl.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MUTATIONS 200000

static struct context_room room;

static bool takes(const char *text, struct asked *ret) {
    return question_read(slice_of(text), &room, ret);
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
    assert_false(question_read((struct slice){"{\"agent\":\"a\0b\"}", 15}, &room, &asked));
}

static double number_at(const char *question) {
    struct asked asked;
    assert_true(takes(question, &asked));
    const struct logic_value *a = logic_get(&asked.attributes.data, SLICE_LIT("a")),
                             *list = a ? logic_get(a, SLICE_LIT("b")) : NULL,
                             *number = list ? logic_get(list, SLICE_LIT("1")) : NULL;
    assert_non_null(number);
    assert_int_equal(number->type, LOGIC_NUMBER);
    return number->number;
}

/* As strtod() has them, to the last bit. */
static void test_plain_numbers(void **state) {
    static const char *const texts[] = {"0",
                                        "-0.0",
                                        "7",
                                        "-7",
                                        "0.1",
                                        "-0.3",
                                        "123456789012345",
                                        "1.00000000000001",
                                        "0.00000000000001",
                                        "99999.9999999999",
                                        "3.14159265358979"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char question[100];
        snprintf(question, sizeof(question), "{\"agent\":\"x\",\"context\":{\"a\": {\"b\" : [ 1 , %s ] } }}", texts[i]);
        double want = strtod(texts[i], NULL), got = number_at(question);
        assert_memory_equal(&got, &want, sizeof(got));
    }
}

static void test_sessions(void **state) {
    struct asked asked;
    assert_true(takes("{\"agent\":\"a\",\"context\":{\"session\":{\"id\":\"s\",\"started_at\":\"x\"}}}", &asked));
    assert_true(slice_equal_text(asked.session_started_at, "x"));
    static const char *const none[] = {"{\"agent\":\"a\",\"context\":{\"session\":\"s\"}}",
                                       "{\"agent\":\"a\",\"context\":{\"session\":{\"id\":\"s\"}}}",
                                       "{\"agent\":\"a\",\"context\":{\"session\":{\"started_at\":5}}}",
                                       "{\"agent\":\"a\",\"context\":{\"session\":{\"started_at\":null}}}",
                                       "{\"agent\":\"a\",\"context\":{\"session\":null}}",
                                       "{\"agent\":\"a\",\"context\":{\"started_at\":\"x\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_true(takes(none[i], &asked));
        assert_null(asked.session_started_at.ptr);
    }
}

static void test_session_times(void **state) {
    const int64_t now = INT64_C(1795442400000000);
    assert_int_equal(session_time(SLICE_LIT("2026-11-23T14:00:00Z"), now), now);
    assert_int_equal(session_time(SLICE_LIT("2026-11-23T14:00:00.000001Z"), now), 0); /* still to come */
    assert_int_equal(session_time(SLICE_LIT("2026-11-23T15:00:00+02:00"), now), now - INT64_C(3600000000));
    static const char *const none[] = {
        "", "now", "1795442400", "2026-11-23", "2026-11-23T14:00:00", "2026-13-23T14:00:00Z", "2026-11-23T14:00:00Zz"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(session_time(slice_of(none[i]), now), 0);
    char text[200];
    memset(text, '0', sizeof(text));
    for (size_t len = 50; len < sizeof(text); len++)
        assert_int_equal(session_time((struct slice){text, len}, now), 0);
}

static void test_many_members_are_left_alone(void **state) {
    struct asked asked;
    for (size_t count = 0; count <= 40; count++) {
        struct str text = STR_INIT;
        str_add_text(&text, "{\"agent\":\"a\",\"context\":{\"targetingKey\":\"u\"");
        for (size_t i = 0; i < count; i++)
            str_printf(&text, ",\"m%zu\":%zu", i, i);
        str_add_text(&text, "}}");
        assert_int_equal(question_read(str_slice(&text), &room, &asked), count < 16);
        str_deinit(&text);
    }
}

/* As much as there is room for, and not a value more. */
static void test_much_is_left_alone(void **state) {
    size_t taken = 0;
    for (size_t count = 0; count <= 300; count++) {
        struct str text = STR_INIT;
        struct asked asked;
        str_add_text(&text, "{\"agent\":\"a\",\"context\":{\"list\":[0");
        for (size_t i = 1; i < count; i++)
            str_printf(&text, ",%zu", i);
        str_add_text(&text, "]}}");
        if (question_read(str_slice(&text), &room, &asked)) {
            const struct logic_value *list = logic_get(&asked.attributes.data, SLICE_LIT("list"));
            assert_int_equal(list->count, count ? count : 1);
            for (size_t i = 0; i < list->count; i++)
                assert_true(list->items[i].number == (double)i);
            assert_int_equal(taken, count);
            taken++;
        }
        str_deinit(&text);
    }
    assert_true(taken > 100 && taken < 300);
}

/* ---- beside the parser ---- */

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool same_value(const struct logic_value *a, const struct logic_value *b) {
    if (a->type != b->type || a->count != b->count || a->truth != b->truth) return false;
    if (a->type == LOGIC_NUMBER) return a->number == b->number && !signbit(a->number) == !signbit(b->number);
    if (a->type == LOGIC_TEXT) return slice_equal(logic_slice(a), logic_slice(b));
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->type == LOGIC_LIST && !same_value(a->items + i, b->items + i)) return false;
        if (a->type == LOGIC_OBJECT && (!slice_equal(a->members[i].name, b->members[i].name) ||
                                        !same_value(&a->members[i].value, &b->members[i].value)))
            return false;
    }
    return true;
}

/* What a rule may look into: of the plain context the same as of the parsed one. */
static void check_attributes(struct slice text, const struct asked *asked, const json_t *context) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct logic_value parsed;
    assert_int_equal(logic_from_json(context, &arena, &parsed), 0);
    if (!same_value(&asked->attributes.data, &parsed)) fail_msg("the attributes of %.*s", (int)text.len, text.ptr);
}

static void check_session(const struct asked *asked, const json_t *context) {
    const char *began = json_string_value(json_get(json_get(context, "session"), "started_at"));
    assert_int_equal(asked->session_started_at.ptr != NULL, began != NULL);
    if (began) assert_true(slice_equal_text(asked->session_started_at, began));
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
    check_attributes(text, asked, context);
    check_session(asked, context);
    size_t known = 1u + (environment != NULL) + (context != NULL);
    assert_int_equal(json_object_size(value), known);
}

static void test_whatever_is_taken_the_parser_takes_too(void **state) {
    static const char seed_text[] =
        "{\"agent\":\"support\",\"environment\":\"production\",\"context\":{\"targetingKey\":\"user-42\","
        "\"plan\":\"pr\xc3\xb6\",\"list\":[1,2.5,-3,true,null,{\"a\":\"b\"}],\"o\":{\"x\":0.125},"
        "\"session\":{\"id\":\"s\",\"started_at\":\"2026-11-28T01:02:03Z\"}}}";
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
        if (!question_read(question, &room, &asked)) continue;
        taken++;
        check_against_parser(question, &asked);
    }
    assert_true(taken > MUTATIONS / 8 && taken < MUTATIONS);
}

static void test_evaluations(void **state) {
    static const char *const strange[] = {"", "[]", "{\"agent\":\"a\"}", "{\"context\":{\"targetingKey\":5}}",
                                          "{\"context\":{}}x"};
    struct asked asked;
    assert_true(evaluation_read(SLICE_LIT("{}"), &room, &asked));
    assert_null(asked.key.ptr);
    assert_true(evaluation_read(
        SLICE_LIT("{\"context\":{\"targetingKey\":\"u\",\"session\":{\"started_at\":\"now\"}}}"), &room, &asked));
    assert_true(slice_equal_text(asked.key, "u"));
    assert_true(slice_equal_text(asked.session_started_at, "now"));
    assert_int_equal(asked.attributes.data.count, 2);
    for (size_t i = 0; i < ARRAY_LEN(strange); i++)
        if (evaluation_read(slice_of(strange[i]), &room, &asked)) fail_msg("taken: %s", strange[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_questions_are_taken),
        cmocka_unit_test(test_what_is_not_plain_is_left_alone),
        cmocka_unit_test(test_plain_numbers),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_evaluations),
        cmocka_unit_test(test_session_times),
        cmocka_unit_test(test_many_members_are_left_alone),
        cmocka_unit_test(test_much_is_left_alone),
        cmocka_unit_test(test_whatever_is_taken_the_parser_takes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
