/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, where, and all at once; and that memory may end anywhere. */
#include "base/ticker.h"
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_unknown(void **state) {
    kit_refused("{\"equals\":[1,1]}", "/equals", "no operation \"equals\"");
    kit_refused("{\"start_with\":[\"a\",\"b\"]}", "/start_with", "did you mean \"starts_with\"?");
    kit_refused("{\"and\":[true,{\"mapp\":[1,2]}]}", "/and/1/mapp", "did you mean \"map\"?");
    kit_refused("{\"!\":{\"^\":[1,2]}}", "/!/^", "no operation");
    kit_refused("{\"log\":\"x\"}", "/log", "no operation");
    kit_refused("{\"a/b~c\":1}", "/a~1b~0c", "no operation");
    kit_refused("{\"if\":[true,{\"method\":[1,2]},2]}", "/if/1/method", "no operation");
}

static void test_no_operation(void **state) {
    kit_refused("{}", "", "one key");
    kit_refused("{\"==\":[1,1],\"!=\":[1,1]}", "", "one key");
    kit_refused("{\"or\":[{},{\"!\":{}}]}", "/or/0", "one key");
    kit_refused("{\"or\":[{},{\"!\":{}}]}", "/or/1/!", "one key");
}

static void test_counts(void **state) {
    kit_refused("{\"==\":[1]}", "/==", "takes 2 arguments, not 1");
    kit_refused("{\"==\":1}", "/==", "takes 2 arguments, not 1");
    kit_refused("{\"==\":[1,2,3]}", "/==", "takes 2 arguments, not 3");
    kit_refused("{\"!\":[]}", "/!", "takes 1 argument, not 0");
    kit_refused("{\"!\":[1,2]}", "/!", "takes 1 argument, not 2");
    kit_refused("{\"and\":[]}", "/and", "at least 1 argument");
    kit_refused("{\"<\":[1,2,3,4]}", "/<", "takes 2 to 3 arguments, not 4");
    kit_refused("{\">\":[3,2,1]}", "/>", "takes 2 arguments, not 3");
    kit_refused("{\"var\":[\"a\",1,2]}", "/var", "takes 0 to 2 arguments, not 3");
    kit_refused("{\"in\":\"a\"}", "/in", "takes 2 arguments");
    kit_refused("{\"ends_with\":[]}", "/ends_with", "takes 2 arguments, not 0");
    kit_refused("{\"*\":[]}", "/*", "at least 1 argument");
    kit_refused("{\"max\":[]}", "/max", "at least 1 argument");
    kit_refused("{\"-\":[3,2,1]}", "/-", "takes 1 to 2 arguments, not 3");
    kit_refused("{\"%\":3}", "/%", "takes 2 arguments, not 1");
    kit_refused("{\"substr\":[\"x\"]}", "/substr", "takes 2 to 3 arguments, not 1");
    kit_refused("{\"reduce\":[[],1,2,3]}", "/reduce", "takes 2 to 3 arguments, not 4");
    kit_refused("{\"map\":[[]]}", "/map", "takes 2 arguments, not 1");
    kit_refused("{\"missing_some\":[1]}", "/missing_some", "takes 2 arguments, not 1");
    kit_refused("{\"missing_some\":[1,\"a\"]}", "/missing_some/1", "a list of names");
    kit_refused("{\"sem_ver\":[\"1\",\"=\"]}", "/sem_ver", "takes 3 arguments, not 2");
}

static void test_paths(void **state) {
    kit_refused("{\"var\":true}", "/var", "is a text");
    kit_refused("{\"var\":1.5}", "/var", "is a text");
    kit_refused("{\"var\":[[\"a\"]]}", "/var/0", "is a text");
}

static struct faults faults_of(const char *text, const char *at, int outcome) {
    json_t *value;
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    assert_int_equal(json_parse(text, strlen(text), JSON_DEPTH_MAX, &value, NULL), 0);
    assert_int_equal(logic_compile(value, at, &rule, &faults, NULL), outcome);
    logic_free(rule);
    json_decref(value);
    return faults;
}

static void test_every_fault_at_once(void **state) {
    struct faults faults =
        faults_of("{\"and\":[{\"nope\":1},{\"==\":[1]},{\"or\":[{\"in\":[1,[{}]]}]}]}", "", -ERR_INVALID);
    assert_int_equal(faults.count, 3);
    assert_string_equal(faults.items[0].at, "/and/0/nope");
    assert_string_equal(faults.items[1].at, "/and/1/==");
    assert_string_equal(faults.items[2].at, "/and/2/or/0/in/1/0");
    faults_deinit(&faults);
}

/* Faults that were there before are not this rule's. */
static void test_only_own_faults(void **state) {
    json_t *good = json_true(), *bad = json_object();
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    struct err err = ERR_INIT;
    faults_add(&faults, "/other", "something else");
    assert_int_equal(logic_compile(good, "/rule", &rule, &faults, &err), 0);
    logic_free(rule);
    assert_int_equal(logic_compile(bad, "/rule", &rule, &faults, &err), -ERR_INVALID);
    assert_string_equal(err.at, "/rule");
    assert_int_equal(faults.count, 2);
    faults_deinit(&faults);
    json_decref(bad);
}

static char *nested(int depth) {
    struct str text = STR_INIT;
    for (int i = 0; i < depth; i++)
        str_add_text(&text, "{\"!\":");
    str_add_text(&text, "1");
    for (int i = 0; i < depth; i++)
        str_add_text(&text, "}");
    return str_take(&text);
}

static void test_depth(void **state) {
    for (int depth = LOGIC_DEPTH_MAX - 1; depth <= LOGIC_DEPTH_MAX + 30; depth++) {
        char *text = nested(depth);
        struct faults faults = faults_of(text, "", depth <= LOGIC_DEPTH_MAX ? 0 : -ERR_INVALID);
        assert_int_equal(faults.count, depth > LOGIC_DEPTH_MAX); /* told once */
        if (faults.count) assert_non_null(strstr(faults.items[0].message, "too deep"));
        faults_deinit(&faults);
        free(text);
    }
}

static char *listed(const char *before, int count, const char *after) {
    struct str text = STR_INIT;
    str_add_text(&text, before);
    for (int i = 0; i < count; i++)
        str_printf(&text, "%s%d", i ? "," : "", i);
    str_add_text(&text, after);
    return str_take(&text);
}

static void test_length(void **state) {
    static const struct {
        const char *before, *after;
        int most;
    } rows[] = {
        {"{\"in\":[0,[", "]]}", LOGIC_SIZE_MAX - 2},
        {"{\"merge\":[0,[", "]]}", LOGIC_SIZE_MAX - 3},
        {"[", "]", LOGIC_SIZE_MAX - 1},
        {"{\"or\":[", "]}", LOGIC_SIZE_MAX / 2},
        {"{\"and\":[", "]}", LOGIC_SIZE_MAX / 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int over = 0; over < 40000; over = over * 10 + 1) {
            char *text = listed(rows[i].before, rows[i].most + over, rows[i].after);
            struct faults faults = faults_of(text, "", over ? -ERR_INVALID : 0);
            assert_int_equal(faults.count, over > 0);
            if (over) assert_non_null(strstr(faults.items[0].message, "too long"));
            faults_deinit(&faults);
            free(text);
        }
}

static void test_memory_ends(void **state) {
    static const char *const rules[] = {
        "{\"and\":[{\"in\":[{\"var\":\"plan\"},[\"pro\",\"team\"]]},{\"==\":[{\"var\":[\"country\",\"CH\"]},\"CH\"]}]}",
        "{\"or\":[{\"nope\":1},{\"==\":[1]}]}",
        ("{\"if\":[{\"$ref\":\"staff\"},{\"fractional\":[[\"a\",1],[{\"var\":\"a.b\"},2]]},{\"sem_ver\":[1,\"=\",\"x\"]"
         "}"
         "]}"),
        "{\"and\":[{\"$ref\":\"staff\"},{\"$ref\":\"bad\"}]}",
    };
    _cleanup_(json_decrefp) json_t *others =
        kit_parse("{\"staff\":{\"in\":[{\"var\":\"a\"},[1,[2]]]},\"bad\":{\"x\":1}}");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        json_t *value;
        int r = 0;
        assert_int_equal(json_parse(rules[i], strlen(rules[i]), JSON_DEPTH_MAX, &value, NULL), 0);
        for (size_t n = 1;; n++) {
            struct faults faults = FAULTS_INIT;
            struct logic_rule *rule = NULL;
            struct err err = ERR_INIT;
            ticker_start(n);
            const struct logic_source source = {.rule = value, .at = "/audience", .evaluators = others};
            r = logic_compile_source(&source, &rule, &faults, &err);
            bool failed = ticker_stop();
            logic_free(rule);
            faults_deinit(&faults);
            if (!failed) break;
            assert_int_equal(r, -ERR_NO_MEMORY);
            assert_int_equal(err.code, ERR_NO_MEMORY);
        }
        assert_int_equal(r, i % 2 ? -ERR_INVALID : 0);
        json_decref(value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_no_operation),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_every_fault_at_once),
        cmocka_unit_test(test_only_own_faults),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
