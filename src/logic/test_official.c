/* SPDX-License-Identifier: Apache-2.0 */
/* The official cases of JsonLogic (the file is the first argument): every one is taken, and has its result. */
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *file;

static void check(const json_t *one) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    _cleanup_(logic_freep) struct logic_rule *rule = NULL;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    struct logic_context context = {0};
    struct logic_scratch scratch;
    struct logic_value result;
    const char *name = json_get_text(one, "description");
    if (logic_compile(json_get(one, "rule"), "", &rule, &faults, &err) < 0) fail_msg("%s: %s", name, err.message);
    faults_deinit(&faults);
    assert_int_equal(logic_from_json(json_get(one, "data"), &arena, &context.data), 0);
    assert_int_equal(logic_evaluate(rule, &context, &scratch, NULL, &result), 0);
    _cleanup_(str_deinit) struct str got = STR_INIT, want = STR_INIT;
    kit_write(&got, &result);
    assert_int_equal(logic_from_json(json_get(one, "result"), &arena, &result), 0);
    kit_write(&want, &result);
    if (strcmp(got.data, want.data) != 0) fail_msg("%s: %s, not %s", name, got.data, want.data);
}

static void test_official(void **state) {
    json_error_t error;
    json_t *cases = json_load_file(file, 0, &error), *one;
    size_t i, checked = 0;
    assert_non_null(cases);
    json_array_foreach(cases, i, one) {
        if (json_is_string(one)) continue; /* a heading */
        check(one);
        checked++;
    }
    assert_int_equal(checked, 278);
    json_decref(cases);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_official)};
    if (argc != 2) return 2;
    file = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
