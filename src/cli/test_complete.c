/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>

/* Words behind `serin`; a ~ stands for an empty word at the end. */
static const char *completed(struct test_world *world, const char *words) {
    char line[256];
    snprintf(line, sizeof(line), "__complete %s", words);
    size_t len = strlen(line);
    if (line[len - 1] == '~') snprintf(line + len - 1, 3, "''");
    assert_int_equal(test_world_run(world, line), 0);
    return world->out;
}

static void test_words(void **state) {
    struct test_world *world = *state;
    assert_has(completed(world, "~"), "deploy\tDeploy versions\n");
    assert_has(completed(world, "~"), "release\t");
    assert_has_not(completed(world, "~"), "__complete");
    assert_string_equal(completed(world, "depl"), "deploy\tDeploy versions\n");
    assert_string_equal(completed(world, "release ~"), "show\tShow a release\nrollback\tRoll a release back\n");
    assert_string_equal(completed(world, "release sh"), "show\tShow a release\n");
    assert_string_equal(completed(world, "zzz"), "");
    assert_has(completed(world, "deploy --mes"), "--message\tWhy\n");
    assert_has(completed(world, "key create --role ed"), "editor\t\n");
    assert_string_equal(completed(world, "completion z"), "zsh\t\n");
    assert_string_equal(completed(world, "push ~"), ":files\n");
    assert_string_equal(completed(world, "push a b ~"), ":files\n");
    assert_string_equal(completed(world, "push -m ~"), "");
    assert_int_equal(world->request_count, 0);
}

static void test_names_from_the_server(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200,
                    "{\"agents\":[{\"name\":\"support\",\"description\":\"Helps. "
                    "Much\"},{\"name\":\"billing\",\"description\":\"\"}]}"});
    assert_string_equal(completed(world, "log ~"), "support\tHelps\nbilling\t\n");
    assert_string_equal(completed(world, "deploy su"), "support\tHelps\n");
    assert_string_equal(completed(world, "override set qa su"), "support\tHelps\n");
    assert_string_equal(completed(world, "log -n 5 su"), "support\tHelps\n");
    assert_has(world->requests[0].url, "/v1/agents?limit=1000");
    ANSWERS(world,
            {0, 200, "{\"environments\":[{\"name\":\"production\",\"description\":\"\"},{\"name\":\"staging\"}]}"});
    assert_string_equal(completed(world, "deploy a@1 -e ~"), "production\t\nstaging\t\n");
    assert_string_equal(completed(world, "deploy a@1 --environment st"), "staging\t\n");
    assert_string_equal(completed(world, "env show pr"), "production\t\n");
    ANSWERS(world,
            {0, 200, "{\"versions\":[{\"version\":12,\"change_description\":\"why; because\"},{\"version\":3}]}"});
    assert_string_equal(completed(world, "deploy support@"),
                        "support@latest\tThe newest version\nsupport@12\twhy\nsupport@3\t\n");
    assert_has(world->requests[0].url, "/v1/agents/support/versions?limit=30");
    assert_string_equal(completed(world, "deploy support@1"), "support@12\twhy\n");
}

static void test_flags(void **state) {
    struct test_world *world = *state;
    ANSWERS(world,
            {0, 200, "{\"flags\":[{\"key\":\"web_search\",\"summary\":\"on for plan=pro\"},{\"key\":\"model\"}]}"});
    assert_string_equal(completed(world, "flag get -e production we"), "web_search\ton for plan=pro\n");
    assert_has(world->requests[0].url, "/v1/environments/production/flags?limit=1000");
    assert_string_equal(completed(world, "flag disable ~"), ""); /* where, is not said */
    assert_int_equal(world->request_count, 0);
    test_world_file(world, ".config/serin/config.toml", "environment = \"staging\"\n", 0600);
    assert_string_equal(completed(world, "flag disable ~"), "web_search\ton for plan=pro\nmodel\t\n");
    assert_has(world->requests[0].url, "/v1/environments/staging/flags");
    assert_string_equal(completed(world, "flag set model ~"), ":files\n");
}

static void test_silent_without_a_server(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {-ERR_CONNECT, 0, NULL});
    assert_string_equal(completed(world, "log ~"), "");
    assert_string_equal(world->err, "");
    ANSWERS(world, {0, 503, "{\"detail\":\"busy\",\"code\":\"busy\"}"});
    assert_string_equal(completed(world, "log ~"), "");
    assert_int_equal(world->request_count, 1);
    assert_string_equal(world->err, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_words),
        WORLD_TEST(test_names_from_the_server),
        WORLD_TEST(test_flags),
        WORLD_TEST(test_silent_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
