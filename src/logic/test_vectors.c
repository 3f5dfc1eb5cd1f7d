/* SPDX-License-Identifier: Apache-2.0 */
/* spec/vectors/flags.json (the folder is the first argument): what SDKs hold themselves to. */
#include "base/hash.h"
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;
static json_t *all;

static int load(void **state) {
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/flags.json", folder);
    all = json_load_file(path, 0, &error);
    return all ? 0 : -1;
}

static int unload(void **state) {
    json_decref(all);
    return 0;
}

static void test_hashes(void **state) {
    json_t *one;
    size_t i;
    json_array_foreach(json_get(all, "hashes"), i, one) {
        struct slice text = slice_of(json_get_text(one, "text"));
        assert_int_equal(murmur3_32(text.ptr, text.len, 0), json_integer_value(json_get(one, "hash")));
    }
    assert_true(i >= 10);
}

static struct logic_rule *compile(const json_t *rule) {
    const struct logic_source source = {
        .rule = rule, .at = "", .evaluators = json_get(all, "evaluators"), .flagd = true};
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    if (logic_compile_source(&source, &compiled, &faults, &err) < 0) fail_msg("%s at %s", err.message, err.at);
    faults_deinit(&faults);
    return compiled;
}

static void check_rule(const json_t *one) {
    _cleanup_(logic_freep) struct logic_rule *rule = compile(json_get(one, "rule"));
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    _cleanup_(str_deinit) struct str got = STR_INIT, want = STR_INIT;
    struct logic_context context = {.flag_key = slice_of(json_get_text(one, "flag")),
                                    .timestamp = json_integer_value(json_get(one, "timestamp"))};
    struct logic_scratch scratch;
    struct logic_value result, wanted;
    assert_int_equal(logic_from_json(json_get(one, "context"), &arena, &context.data), 0);
    assert_int_equal(logic_from_json(json_get(one, "result"), &arena, &wanted), 0);
    assert_int_equal(logic_evaluate(rule, &context, &scratch, NULL, &result), 0);
    kit_write(&got, &result);
    kit_write(&want, &wanted);
    if (strcmp(got.data, want.data) == 0) return;
    _cleanup_(freep) char *text = json_dumps(one, 0);
    fail_msg("%s: %s", text, got.data);
}

static void test_rules(void **state) {
    json_t *one;
    size_t i;
    json_array_foreach(json_get(all, "rules"), i, one) check_rule(one);
    assert_true(i >= 200);
}

static bool is_among(const char *at, const json_t *places) {
    json_t *place;
    size_t i;
    json_array_foreach(places, i, place) if (strcmp(json_string_value(place), at) == 0) return true;
    return false;
}

/* As many places as said, and none other; a place may have two faults. */
static void check_refused(const json_t *one) {
    _cleanup_(json_decrefp) json_t *evaluators = json_copy(json_get(all, "evaluators"));
    const struct logic_source source = {
        .rule = json_get(one, "rule"), .at = "", .evaluators = evaluators, .flagd = true};
    const json_t *places = json_get(one, "at");
    _cleanup_(freep) char *text = json_dumps(one, 0);
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    size_t different = 0;
    json_object_update(evaluators, json_get(one, "evaluators"));
    if (logic_compile_source(&source, &rule, &faults, NULL) != -ERR_INVALID) fail_msg("%s is taken", text);
    for (size_t i = 0; i < faults.count; i++) {
        if (faults.items[i].warning) continue;
        if (!is_among(faults.items[i].at, places)) fail_msg("%s: \"%s\"", text, faults.items[i].at);
        different += !i || strcmp(faults.items[i].at, faults.items[i - 1].at) != 0;
    }
    if (different != json_array_size(places)) fail_msg("%s: %zu places", text, different);
    faults_deinit(&faults);
}

static void test_refused(void **state) {
    json_t *one;
    size_t i;
    json_array_foreach(json_get(all, "refused"), i, one) check_refused(one);
    assert_true(i >= 30);
}

static void test_evaluators(void **state) {
    struct faults faults = FAULTS_INIT;
    assert_int_equal(logic_check_evaluators(json_get(all, "evaluators"), "/$evaluators", &faults, NULL), 0);
    assert_int_equal(faults.count, 0);
    faults_deinit(&faults);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hashes), cmocka_unit_test(test_rules),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_evaluators)};
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, load, unload);
}
