/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>

struct fixture {
    struct arena arena;
    struct args args;
    struct err err;
};

static void deinit(struct fixture *fixture) {
    arena_deinit(&fixture->arena);
}

static int parse(struct fixture *f, enum command_id id, const char *const *words) {
    int argc = 0;
    while (words[argc])
        argc++;
    *f = (struct fixture){0};
    return args_parse(command_get(id), argc, (char *const *)words, &f->arena, &f->args, &f->err);
}

#define PARSE(f, id, ...) parse(f, COMMAND_##id, (const char *const[]){__VA_ARGS__, NULL})

static void test_reads_every_form(void **state) {
    _cleanup_(deinit) struct fixture f;
    assert_int_equal(
        PARSE(&f, deploy, "-e", "production", "support@42", "--message=why not", "--expected", "41", "--json"), 0);
    assert_string_equal(args_get(&f.args, "spec"), "support@42");
    assert_string_equal(args_get(&f.args, "environment"), "production");
    assert_string_equal(args_get(&f.args, "reason"), "why not");
    assert_string_equal(args_get(&f.args, "expected"), "41");
    assert_true(args_on(&f.args, "json"));
    assert_false(args_on(&f.args, "dry_run"));
    assert_null(args_get(&f.args, "idempotency_key"));
    deinit(&f);
    assert_int_equal(PARSE(&f, deploy, "-eproduction", "-m", "", "a@1"), 0);
    assert_string_equal(args_get(&f.args, "environment"), "production");
    assert_string_equal(args_get(&f.args, "reason"), "");
    deinit(&f);
    assert_int_equal(PARSE(&f, deploy, "a@1", "--message=a=b"), 0);
    assert_string_equal(args_get(&f.args, "reason"), "a=b");
}

static void test_two_hyphens_end_options(void **state) {
    _cleanup_(deinit) struct fixture f;
    assert_int_equal(PARSE(&f, push, "--", "-e", "--agent"), 0);
    size_t index = 0;
    assert_string_equal(args_next(&f.args, "source", &index), "-e");
    assert_string_equal(args_next(&f.args, "source", &index), "--agent");
    assert_null(args_next(&f.args, "source", &index));
}

static void test_keeps_the_order_of_many(void **state) {
    _cleanup_(deinit) struct fixture f;
    assert_int_equal(PARSE(&f, override_set, "qa", "support@1", "-e", "x", "--user", "b", "-u", "a"), 0);
    size_t index = 0;
    assert_string_equal(args_get(&f.args, "override"), "qa");
    assert_string_equal(args_get(&f.args, "spec"), "support@1");
    assert_string_equal(args_next(&f.args, "keys", &index), "b");
    assert_string_equal(args_next(&f.args, "keys", &index), "a");
    assert_null(args_next(&f.args, "keys", &index));
}

static void test_switches_stand_for_values(void **state) {
    _cleanup_(deinit) struct fixture f;
    assert_int_equal(PARSE(&f, env_create, "x", "--no-protected"), 0);
    assert_string_equal(args_get(&f.args, "protected"), "false");
    assert_false(args_on(&f.args, "protected"));
}

static void test_help_needs_nothing_else(void **state) {
    _cleanup_(deinit) struct fixture f;
    assert_int_equal(PARSE(&f, deploy, "-h"), 0);
    assert_true(args_on(&f.args, "help"));
}

static void test_refuses(void **state) {
    static const struct {
        enum command_id id;
        const char *words[5];
        const char *says, *at;
    } cases[] = {
        {COMMAND_deploy,
         {"a@1", "--enviroment", "x"},
         "unknown option --enviroment; did you mean --environment?",
         "--enviroment"},
        {COMMAND_deploy,
         {"a@1", "--enviroment=x"},
         "unknown option --enviroment; did you mean --environment?",
         "--enviroment"},
        {COMMAND_deploy, {"a@1", "--qqqqqq"}, "`serin deploy` has no option --qqqqqq", "--qqqqqq"},
        {COMMAND_deploy, {"a@1", "-q"}, "`serin deploy` has no option -q", "-q"},
        {COMMAND_deploy, {"a@1", "-e"}, "-e needs a value: ENV", "-e"},
        {COMMAND_deploy, {"a@1", "--message"}, "--message needs a value", "--message"},
        {COMMAND_deploy, {"a@1", "-e", "x", "--environment=y"}, "--environment is given twice", "--environment"},
        {COMMAND_deploy, {"a@1", "-e", ""}, "--environment is empty", "--environment"},
        {COMMAND_deploy, {"a@1", "--json=yes"}, "--json takes no value", "--json"},
        {COMMAND_deploy, {"a@1", "--expected", "-1"}, "--expected must be a whole number, not \"-1\"", "--expected"},
        {COMMAND_deploy, {"a@1", "--expected", "99999999999999999999"}, "whole number", "--expected"},
        {COMMAND_deploy, {"-e", "x"}, "AGENT@VERSION is missing", ""},
        {COMMAND_deploy, {"", "-e", "x"}, "AGENT@VERSION is empty", "AGENT@VERSION"},
        {COMMAND_deploy, {"a@1\xff"}, "AGENT@VERSION is not UTF-8", "AGENT@VERSION"},
        {COMMAND_env_create,
         {"x", "--protected", "--no-protected"},
         "--protected and --no-protected do not go together",
         "--no-protected"},
        {COMMAND_agent_show, {"a", "b\033"}, "unexpected argument \"b\\x1b\" behind `serin agent show`", "b\\x1b"},
        {COMMAND_env, {"creat"}, "did you mean `serin env create`?", "creat"},
        {COMMAND_resolve, {"a", "--attr", "plan"}, "--attr must be NAME=VALUE, not \"plan\"", "--attr"},
        {COMMAND_resolve, {"a", "--attr", "=x"}, "--attr must be NAME=VALUE", "--attr"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(deinit) struct fixture f;
        int r = parse(&f, cases[i].id, cases[i].words);
        if (r != -ERR_USAGE) fail_msg("case %zu is taken", i);
        assert_has(f.err.message, cases[i].says);
        assert_string_equal(f.err.at, cases[i].at);
        assert_has(f.err.remedy, "--help");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_form),        cmocka_unit_test(test_two_hyphens_end_options),
        cmocka_unit_test(test_keeps_the_order_of_many), cmocka_unit_test(test_switches_stand_for_values),
        cmocka_unit_test(test_help_needs_nothing_else), cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
