/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>

#define FILE_PATH ".config/serin/config.toml"

static int load(struct test_world *world, const char *server, const char *key, struct arena *arena, struct profile *ret,
                struct err *err) {
    const struct arg *list[COMMAND_ARGS_MAX];
    size_t count = command_args(command_get(COMMAND_agents), list);
    struct arg_value values[2];
    struct args args = {.command = command_get(COMMAND_agents), .values = values};
    for (size_t i = 0; i < count; i++) {
        if (server && !strcmp(list[i]->param, "server")) values[args.count++] = (struct arg_value){list[i], server};
        if (key && !strcmp(list[i]->param, "api_key")) values[args.count++] = (struct arg_value){list[i], key};
    }
    *err = ERR_INIT;
    return profile_load(&world->world, &args, arena, ret, err);
}

static void test_later_sources_win(void **state) {
    struct test_world *world = *state;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct profile profile;
    struct err err;
    assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), 0);
    assert_string_equal(profile.url, "http://127.0.0.1:7420");
    assert_null(profile.key);
    assert_null(profile.environment);
    test_world_file(world, FILE_PATH, "server = \"https://file:1/\"\nkey = \"filekey\"\nenvironment = \"staging\"\n",
                    0600);
    assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), 0);
    assert_string_equal(profile.url, "https://file:1");
    assert_string_equal(profile.key, "filekey");
    assert_string_equal(profile.environment, "staging");
    test_world_variable(world, "SERIN_URL=http://variable:2");
    test_world_variable(world, "SERIN_KEY=variablekey");
    assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), 0);
    assert_string_equal(profile.url, "http://variable:2");
    assert_string_equal(profile.key, "variablekey");
    assert_int_equal(load(world, "http://flag:3//", "flagkey", &arena, &profile, &err), 0);
    assert_string_equal(profile.url, "http://flag:3");
    assert_string_equal(profile.key, "flagkey");
}

static void test_other_folder_by_xdg(void **state) {
    struct test_world *world = *state;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct profile profile;
    struct err err;
    char variable[128];
    test_world_file(world, "xdg/serin/config.toml", "environment = \"x\"\n", 0600);
    snprintf(variable, sizeof(variable), "XDG_CONFIG_HOME=%s/xdg", world->home);
    test_world_variable(world, variable);
    assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), 0);
    assert_string_equal(profile.environment, "x");
}

static void test_a_key_that_others_can_read_is_refused(void **state) {
    struct test_world *world = *state;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct profile profile;
    struct err err;
    static const unsigned open_modes[] = {0640, 0604, 0620, 0644};
    for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
        test_world_file(world, FILE_PATH, "key = \"k\"\n", open_modes[i]);
        assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), -ERR_CONFIG);
        assert_has(err.remedy, "chmod 600 ");
        assert_has(err.remedy, FILE_PATH);
    }
    test_world_file(world, FILE_PATH, "server = \"http://x\"\n", 0644);
    assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), 0);
}

static void test_faults_of_the_file_have_their_place(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
    } cases[] = {
        {"server = \"http://x\"\n sever = \"x\"\n", 2, 2, "unknown setting sever; did you mean server?"},
        {"zzzzz = 1\n", 1, 1, "unknown setting zzzzz"},
        {"key = 5\n", 1, 1, "key must be a text in quotes"},
        {"key = \n", 1, 7, "expected a value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        struct profile profile;
        struct err err;
        test_world_file(world, FILE_PATH, cases[i].text, 0600);
        assert_int_equal(load(world, NULL, NULL, &arena, &profile, &err), -ERR_CONFIG);
        assert_has(err.message, cases[i].says);
        assert_has(err.at, FILE_PATH);
        assert_int_equal(err.line, cases[i].line);
        assert_int_equal(err.column, cases[i].column);
    }
}

static void test_addresses_and_keys_must_be_plain(void **state) {
    struct test_world *world = *state;
    static const char *const urls[] = {"",
                                       "x",
                                       "ftp://x",
                                       "http://",
                                       "file:///etc/passwd",
                                       "http://a b",
                                       "http://u:p@x",
                                       "http://x?y",
                                       "http://x\r\nEvil:1",
                                       "http://x\t",
                                       "http://x#y"};
    static const char *const keys[] = {"a b", "a\r\nEvil: 1", "a\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        struct profile profile;
        struct err err;
        assert_int_equal(load(world, urls[i], NULL, &arena, &profile, &err), -ERR_USAGE);
        assert_string_equal(err.at, "--server");
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        struct profile profile;
        struct err err;
        assert_int_equal(load(world, NULL, keys[i], &arena, &profile, &err), -ERR_USAGE);
        assert_has_not(err.message, keys[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_later_sources_win),
        WORLD_TEST(test_other_folder_by_xdg),
        WORLD_TEST(test_a_key_that_others_can_read_is_refused),
        WORLD_TEST(test_faults_of_the_file_have_their_place),
        WORLD_TEST(test_addresses_and_keys_must_be_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
