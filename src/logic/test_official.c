/* SPDX-License-Identifier: Apache-2.0 */
/* The official cases of JsonLogic (the file is the first argument): those of the operations known, and that all others are refused. */
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *file;

/* A list that is computed has no place in a rule yet. */
static const char *const without_place[] = {"[1,{\"var\":\"x\"},3]"};

static bool is_known(const char *name) {
    static const char *const known[] = {"var", "==", "!=", "===", "!==", ">",  ">=",          "<",
                                        "<=",  "!",  "!!", "and", "or",  "in", "starts_with", "ends_with"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], name) == 0) return true;
    return false;
}

static bool only_known(json_t *rule) {
    const char *name;
    json_t *value;
    size_t i;
    if (json_is_object(rule) && json_object_size(rule) != 1) return false;
    json_object_foreach(rule, name, value) if (!is_known(name) || !only_known(value)) return false;
    json_array_foreach(rule, i, value) if (!only_known(value)) return false;
    return true;
}

static bool truth_of(const json_t *result) {
    if (json_is_string(result)) return json_string_length(result) > 0;
    if (json_is_array(result)) return json_array_size(result) > 0;
    return json_is_true(result) || (json_is_number(result) && json_number_value(result) != 0);
}

/* 1 when the rule was taken. */
static int check(const json_t *one) {
    json_t *rule = json_get(one, "rule");
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    struct logic_context context = kit_context(json_get(one, "data"));
    int r = logic_compile(rule, "", &compiled, &faults, &err);
    faults_deinit(&faults);
    if (r < 0) return 0;
    if (logic_matches(compiled, &context) != truth_of(json_get(one, "result")))
        fail_msg("%s", json_get_text(one, "description"));
    logic_free(compiled);
    return 1;
}

static void test_official(void **state) {
    json_error_t error;
    json_t *cases = json_load_file(file, 0, &error), *one;
    size_t i, taken = 0, refused = 0;
    assert_non_null(cases);
    json_array_foreach(cases, i, one) {
        if (json_is_string(one)) continue; /* a heading */
        bool known = only_known(json_get(one, "rule"));
        for (size_t n = 0; n < ARRAY_LEN(without_place); n++)
            known &= strcmp(json_get_text(one, "description"), without_place[n]) != 0;
        int r = check(one);
        if (r != known) fail_msg("%s: %s", json_get_text(one, "description"), r ? "taken" : "refused");
        taken += known;
        refused += !known;
    }
    assert_int_equal(taken, 115);
    assert_true(refused > 150);
    json_decref(cases);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_official)};
    if (argc != 2) return 2;
    file = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
