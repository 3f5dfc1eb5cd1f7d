/* SPDX-License-Identifier: Apache-2.0 */
/* What rules answer. The tables were made with json-logic-js and the language's own definition; see test_official.c for the official cases. */
#include "base/ticker.h"
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *rule, *data;
    bool matches;
};

static void check(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (kit_matches(rows[i].rule, rows[i].data) != rows[i].matches)
            fail_msg("%s over %s is not %s", rows[i].rule, rows[i].data ? rows[i].data : "nothing",
                     rows[i].matches ? "true" : "false");
}

static void test_truth(void **state) {
    static const struct row rows[] = {
        {"true", NULL, true},       {"false", NULL, false}, {"null", NULL, false}, {"0", NULL, false},
        {"-0.0", NULL, false},      {"0.1", NULL, true},    {"\"\"", NULL, false}, {"\"0\"", NULL, true},
        {"\"false\"", NULL, true},  {"[]", NULL, false},    {"[0]", NULL, true},   {"{\"!\":[[0]]}", NULL, false},
        {"{\"!!\":\"\"}", NULL, 0}, {"-1", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

/* Every pair of kinds under both equalities. */
static void test_equality(void **state) {
    static const struct row rows[] = {
        {"{\"==\":[1,1.0]}", NULL, true},
        {"{\"===\":[1,1.0]}", NULL, true},
        {"{\"==\":[1,\"1\"]}", NULL, true},
        {"{\"==\":[1,\" 1.0 \"]}", NULL, true},
        {"{\"==\":[1,\"1e0\"]}", NULL, true},
        {"{\"==\":[16,\"0x10\"]}", NULL, true},
        {"{\"==\":[1,\"one\"]}", NULL, false},
        {"{\"==\":[0,\"\"]}", NULL, true},
        {"{\"==\":[0,\" \\t\\n\"]}", NULL, true},
        {"{\"==\":[0,\"\u2003\"]}", NULL, true},
        {"{\"==\":[0,false]}", NULL, true},
        {"{\"==\":[1,true]}", NULL, true},
        {"{\"==\":[2,true]}", NULL, false},
        {"{\"==\":[\"1\",true]}", NULL, true},
        {"{\"==\":[\"true\",true]}", NULL, false},
        {"{\"==\":[\"\",false]}", NULL, true},
        {"{\"==\":[null,false]}", NULL, false},
        {"{\"==\":[null,0]}", NULL, false},
        {"{\"==\":[null,\"\"]}", NULL, false},
        {"{\"==\":[null,null]}", NULL, true},
        {"{\"===\":[null,null]}", NULL, true},
        {"{\"==\":[{\"var\":\"a\"},null]}", "{}", true},
        {"{\"===\":[{\"var\":\"a\"},null]}", "{}", true},
        {"{\"==\":[\"a\",\"a\"]}", NULL, true},
        {"{\"==\":[\"a\",\"A\"]}", NULL, false},
        {"{\"==\":[\"1\",\"1.0\"]}", NULL, false},
        {"{\"===\":[true,1]}", NULL, false},
        {"{\"!==\":[true,1]}", NULL, true},
        {"{\"!=\":[true,1]}", NULL, false},
        {"{\"!=\":[\"x\",1]}", NULL, true},
        {"{\"==\":[\"\",\"\"]}", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_order(void **state) {
    static const struct row rows[] = {
        {"{\"<\":[1,2]}", NULL, true},
        {"{\"<\":[2,1]}", NULL, false},
        {"{\"<\":[\"10\",\"9\"]}", NULL, true},
        {"{\"<\":[\"10\",9]}", NULL, false},
        {"{\"<\":[\"a\",\"b\"]}", NULL, true},
        {"{\"<\":[\"a\",\"aa\"]}", NULL, true},
        {"{\"<=\":[\"a\",\"a\"]}", NULL, true},
        {"{\">\":[\"a\",\"A\"]}", NULL, true},
        {"{\">=\":[\"a\",\"b\"]}", NULL, false},
        {"{\"<\":[\"x\",1]}", NULL, false},
        {"{\">\":[\"x\",1]}", NULL, false},
        {"{\"<=\":[\"x\",\"x \"]}", NULL, true},
        {"{\"<\":[null,1]}", NULL, true},
        {"{\"<=\":[null,0]}", NULL, true},
        {"{\"<\":[{\"var\":\"age\"},18]}", "{}", true}, /* as the language has it; logic.h warns */
        {"{\"<\":[false,true]}", NULL, true},
        {"{\"<\":[1,2,3]}", NULL, true},
        {"{\"<\":[1,3,2]}", NULL, false},
        {"{\"<=\":[1,1,1]}", NULL, true},
        {"{\"<\":[1,1,1]}", NULL, false},
        {"{\"<\":[\"Infinity\",1]}", NULL, false},
        {"{\"<\":[\"-Infinity\",1]}", NULL, true},
        /* in UTF-16 an emoji comes before U+FF5E, though its bytes come after */
        {"{\"<\":[\"\U0001F600\",\"\uFF5E\"]}", NULL, true},
        {"{\"<\":[\"\uFF5E\",\"\U0001F600\"]}", NULL, false},
        {"{\"<\":[\"\u00e9\",\"\U0001F600\"]}", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_numbers_in_texts(void **state) {
    static const struct row rows[] = {
        {"{\"==\":[0.5,\".5\"]}", NULL, true},     {"{\"==\":[5,\"5.\"]}", NULL, true},
        {"{\"==\":[5,\".\"]}", NULL, false},       {"{\"==\":[5,\"5e\"]}", NULL, false},
        {"{\"==\":[50,\"5e1\"]}", NULL, true},     {"{\"==\":[50,\"5E+1\"]}", NULL, true},
        {"{\"==\":[0.5,\"5e-1\"]}", NULL, true},   {"{\"==\":[-5,\"-5\"]}", NULL, true},
        {"{\"==\":[5,\"+5\"]}", NULL, true},       {"{\"==\":[5,\"--5\"]}", NULL, false},
        {"{\"==\":[5,\"5 5\"]}", NULL, false},     {"{\"==\":[8,\"0o10\"]}", NULL, true},
        {"{\"==\":[3,\"0b11\"]}", NULL, true},     {"{\"==\":[3,\"0b12\"]}", NULL, false},
        {"{\"==\":[0,\"0x\"]}", NULL, false},      {"{\"==\":[-16,\"-0x10\"]}", NULL, false},
        {"{\"==\":[255,\"0xfF\"]}", NULL, true},   {"{\"==\":[1,\"1f\"]}", NULL, false},
        {"{\"==\":[1,\"1,0\"]}", NULL, false},     {"{\"<\":[\"nan\",1]}", NULL, false},
        {"{\"<\":[1,\"infinity\"]}", NULL, false}, {"{\"<\":[1,\"+Infinity\"]}", NULL, true},
        {"{\"==\":[10,\"010\"]}", NULL, true},     {"{\"==\":[0,\"0\"]}", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_long_number_is_none(void **state) {
    char rule[400];
    for (int len = 119; len <= 123; len++) {
        snprintf(rule, sizeof(rule), "{\"==\":[1,\"%0*d\"]}", len, 1);
        assert_int_equal(kit_matches(rule, NULL), len <= 120);
    }
}

static void test_junctions(void **state) {
    static const struct row rows[] = {
        {"{\"and\":[1,2,3]}", NULL, true},
        {"{\"and\":[1,0,3]}", NULL, false},
        {"{\"or\":[0,\"\",null]}", NULL, false},
        {"{\"or\":[0,\"\",\"x\",null]}", NULL, true},
        {"{\"and\":true}", NULL, true},
        {"{\"or\":false}", NULL, false},
        /* they answer an argument, not its truth */
        {"{\"==\":[{\"and\":[1,3]},3]}", NULL, true},
        {"{\"==\":[{\"or\":[0,3,4]},3]}", NULL, true},
        {"{\"==\":[{\"and\":[0,3]},0]}", NULL, true},
        {"{\"===\":[{\"or\":[0,\"\"]},\"\"]}", NULL, true},
        {"{\"and\":[{\"or\":[0,{\"and\":[1,1]}]},{\"or\":[{\"and\":[1,0]},1]}]}", NULL, true},
        {"{\"and\":[{\"or\":[0,{\"and\":[1,0]}]},{\"or\":[{\"and\":[1,0]},1]}]}", NULL, false},
        {"{\"<\":[{\"or\":[0,1]},{\"and\":[1,2]},{\"or\":[3,9]}]}", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_in(void **state) {
    static const struct row rows[] = {
        {"{\"in\":[{\"var\":\"plan\"},[\"pro\",\"team\"]]}", "{\"plan\":\"team\"}", true},
        {"{\"in\":[{\"var\":\"plan\"},[\"pro\",\"team\"]]}", "{\"plan\":\"free\"}", false},
        {"{\"in\":[{\"var\":\"plan\"},[\"pro\",\"team\"]]}", "{}", false},
        {"{\"in\":[{\"var\":\"plan\"},[]]}", "{\"plan\":\"free\"}", false},
        {"{\"in\":[1,[1]]}", NULL, true},
        {"{\"in\":[1,[\"1\"]]}", NULL, false},
        {"{\"in\":[\"1\",[1]]}", NULL, false},
        {"{\"in\":[true,[1,true]]}", NULL, true},
        {"{\"in\":[{\"var\":\"x\"},[null]]}", "{}", true},
        {"{\"in\":[\"ring\",\"Springfield\"]}", NULL, true},
        {"{\"in\":[\"\",\"Springfield\"]}", NULL, true},
        {"{\"in\":[\"\",\"\"]}", NULL, false},
        {"{\"in\":[23,\"1234\"]}", NULL, true},
        {"{\"in\":[2.5,\"12.50\"]}", NULL, true},
        {"{\"in\":[1e21,\"1e+21\"]}", NULL, true},
        {"{\"in\":[true,\"untrue\"]}", NULL, true},
        {"{\"in\":[false,\"true\"]}", NULL, false},
        {"{\"in\":[null,\"annual\"]}", NULL, false},
        {"{\"in\":[null,\"nullify\"]}", NULL, true},
        {"{\"in\":[\"1\",123]}", NULL, false},
        {"{\"in\":[\"x\",{\"var\":\"y\"}]}", "{\"y\":\"xyz\"}", true},
        {"{\"in\":[\"x\",{\"var\":\"y\"}]}", "{}", false},
    };
    check(rows, ARRAY_LEN(rows));
}

/* A long list of texts is searched, one with anything else looked through; both find every item and nothing else. */
static void test_in_long_lists(void **state) {
    for (int count = 1; count <= 400; count = count * 3 / 2 + 1)
        for (int mixed = 0; mixed < 2; mixed++) {
            _cleanup_(str_deinit) struct str rule = STR_INIT;
            str_add_text(&rule, "{\"in\":[{\"var\":\"x\"},[");
            for (int i = 0; i < count; i++)
                str_printf(&rule, "%s\"%0*d\"", i ? "," : "", i % 7, i * 7919 % 1000);
            str_add_text(&rule, mixed ? ",5,\"\",\"\"]]}" : ",\"\",\"\"]]}");
            _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile(rule.data);
            for (int i = -2; i < count; i++) {
                char data[64];
                snprintf(data, sizeof(data), "{\"x\":\"%0*d\"}", i < 0 ? 8 : i % 7, i < 0 ? 0 : i * 7919 % 1000);
                _cleanup_(freep) char *result = kit_evaluate(compiled, data, NULL, NULL);
                assert_string_equal(result, i < 0 ? "false" : "true");
            }
            static const struct {
                const char *data, *pure, *mixed;
            } rows[] = {{"{\"x\":\"\"}", "true", "true"},
                        {"{\"x\":5}", "false", "true"},
                        {"{}", "false", "false"},
                        {"{\"x\":[\"\"]}", "false", "false"},
                        {"{\"x\":\"zzzzzzzzzzzz\"}", "false", "false"}};
            for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                _cleanup_(freep) char *result = kit_evaluate(compiled, rows[i].data, NULL, NULL);
                assert_string_equal(result, mixed ? rows[i].mixed : rows[i].pure);
            }
        }
}

static void test_ends(void **state) {
    static const struct row rows[] = {
        {"{\"starts_with\":[{\"var\":\"email\"},\"ann@\"]}", "{\"email\":\"ann@serin.dev\"}", true},
        {"{\"ends_with\":[{\"var\":\"email\"},\"@serin.dev\"]}", "{\"email\":\"ann@serin.dev\"}", true},
        {"{\"ends_with\":[{\"var\":\"email\"},\"@serin.dev\"]}", "{\"email\":\"ann@serin.de\"}", false},
        {"{\"ends_with\":[\"b\",\"ab\"]}", NULL, false},
        {"{\"starts_with\":[\"a\",\"ab\"]}", NULL, false},
        {"{\"starts_with\":[\"ab\",\"\"]}", NULL, true},
        {"{\"ends_with\":[\"\",\"\"]}", NULL, true},
        {"{\"starts_with\":[12,\"1\"]}", NULL, false},
        {"{\"starts_with\":[\"12\",1]}", NULL, false},
        {"{\"starts_with\":[{\"var\":\"x\"},\"\"]}", "{}", false},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_var(void **state) {
    static const struct row rows[] = {
        {"{\"var\":\"a\"}", "{\"a\":true}", true},
        {"{\"var\":[\"a\"]}", "{\"a\":\"x\"}", true},
        {"{\"var\":\"a.b.c\"}", "{\"a\":{\"b\":{\"c\":1}}}", true},
        {"{\"var\":\"a.b.c\"}", "{\"a\":{\"b\":1}}", false},
        {"{\"var\":[\"a\",true]}", "{}", true},
        {"{\"var\":[\"a\",true]}", "{\"a\":false}", false},
        {"{\"var\":[\"a\",{\"var\":\"b\"}]}", "{\"b\":1}", true},
        {"{\"var\":[\"a\",{\"var\":[\"b\",{\"var\":\"c\"}]}]}", "{\"c\":1}", true},
        {"{\"==\":[{\"var\":[\"a\",7]},7]}", "{}", true},
        {"{\"var\":0}", "[true]", true},
        {"{\"var\":\"\"}", "5", true},
        {"{\"var\":\"a\"}", NULL, false},
        {"{\"var\":[\"a\",1]}", NULL, true},
    };
    check(rows, ARRAY_LEN(rows));
}

/* What is not needed is not computed: the scratch would not hold it. */
static void test_stops_early(void **state) {
    struct str text = STR_INIT;
    str_add_text(&text, "{\"and\":[{\"or\":[1,{\"cat\":[{\"var\":\"long\"},{\"var\":\"long\"}]}]},0,"
                        "{\"cat\":[{\"var\":\"long\"},{\"var\":\"long\"}]}]}");
    struct str data = STR_INIT;
    str_add_text(&data, "{\"long\":\"");
    for (int i = 0; i < LOGIC_SCRATCH_SIZE; i++)
        str_add_char(&data, 'x');
    str_add_text(&data, "\"}");
    char *result = kit_result(text.data, data.data);
    assert_string_equal(result, "0");
    free(result);
    str_deinit(&text);
    str_deinit(&data);
}

static void test_no_allocation(void **state) {
    static const char *const rules[] = {
        ("{\"and\":[{\"in\":[0.1,\"0.1\"]},{\"<\":[\"1.5\",\" 2.5 \"]},{\"==\":[1.25,\"1.25\"]},"
         "{\"in\":[{\"var\":[\"a\",\"x\"]},[\"x\",\"y\"]]}]}"),
        "{\"cat\":[1.5,[1,[2,null]],{\"substr\":[12345,-2]},{\"merge\":[1,[2]]},{\"missing\":[\"a\"]}]}",
        "{\"map\":[[1,2,3],{\"reduce\":[[4,5],{\"+\":[{\"var\":\"current\"},{\"var\":\"accumulator\"}]},0]}]}",
        "{\"fractional\":[\"u\",[\"a\",{\"+\":[1,2]}],[\"b\"]]}",
        "{\"sem_ver\":[1.5,\"<\",\"v1.6\"]}",
        "{\"<\":[[1],[2,[3]]]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct logic_rule *rule = kit_compile(rules[i]);
        struct logic_scratch scratch;
        struct logic_value result;
        ticker_start(1);
        int r = logic_evaluate(rule, &kit_flag, &scratch, NULL, &result);
        bool matches = logic_matches(rule, NULL);
        assert_false(ticker_stop());
        assert_int_equal(r, 0);
        assert_int_equal(matches, i > 0); /* " 2.5 " sorts before "1.5" as a text */
        logic_free(rule);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_numbers_in_texts),
        cmocka_unit_test(test_long_number_is_none),
        cmocka_unit_test(test_junctions),
        cmocka_unit_test(test_in),
        cmocka_unit_test(test_in_long_lists),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_var),
        cmocka_unit_test(test_stops_early),
        cmocka_unit_test(test_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
