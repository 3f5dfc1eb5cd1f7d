/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>
#include <unistd.h>

#define PUSHED(agent, number)                                                                                          \
    "{\"version\":{\"agent\":\"" agent "\",\"version\":" #number                                                       \
    "},\"created\":true,\"agent_created\":false,\"warnings\":[],\"position\":\"1.9\"}"
#define TAKEN ((struct test_answer){0, 201, PUSHED("support", 3)})

/* Runs with the home folder as working folder. */
static int push(struct test_world *world, const char *words) {
    assert_int_equal(chdir(world->home), 0);
    int code = test_world_run(world, words);
    assert_int_equal(chdir("/"), 0);
    return code;
}

static void write_folder(struct test_world *world) {
    test_world_file(world, "agents/support/agent.yaml",
                    "# the support agent\nsystem_prompt: {file: prompt.md}\nmodel: m-1\ntemperature: 0.5\n", 0644);
    test_world_file(world, "agents/support/prompt.md", "You help.\n", 0644);
}

static void test_a_folder_becomes_one_closed_document(void **state) {
    struct test_world *world = *state;
    write_folder(world);
    ANSWERS(world, TAKEN);
    assert_int_equal(push(world, "push agents/support/ -m 'first words' --expected 2"), 0);
    assert_int_equal(world->request_count, 1);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/agents/support/versions");
    assert_string_equal(world->requests[0].method, "POST");
    assert_string_equal(world->requests[0].body,
                        "{\"config\":{\"model\":\"m-1\",\"system_prompt\":\"You help.\\n\",\"temperature\":0.5},"
                        "\"change_description\":\"first words\",\"expected_latest\":2,"
                        "\"source\":{\"kind\":\"cli\",\"path\":\"agents/support\"}}");
    assert_string_equal(world->out, "support@3 pushed\n");
}

static void test_single_files_of_each_form(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *file, *text, *agent, *config;
    } cases[] = {
        {"billing.json", "{\"model\":\"m\",\"system_prompt\":\"x\"}", "billing",
         "{\"model\":\"m\",\"system_prompt\":\"x\"}"},
        {"triage.yml", "model: m\nsystem_prompt: x\n", "triage", "{\"model\":\"m\",\"system_prompt\":\"x\"}"},
        {"voice.md", "---\nmodel: m\n---\nSpeak.\n", "voice", "{\"model\":\"m\",\"system_prompt\":\"Speak.\\n\"}"},
    };
    ANSWERS(world, TAKEN);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char words[64], url[128];
        test_world_file(world, cases[i].file, cases[i].text, 0644);
        snprintf(words, sizeof(words), "push %s", cases[i].file);
        snprintf(url, sizeof(url), "http://127.0.0.1:7420/v1/agents/%s/versions", cases[i].agent);
        assert_int_equal(push(world, words), 0);
        assert_string_equal(world->requests[0].url, url);
        assert_has(world->requests[0].body, cases[i].config);
    }
    assert_int_equal(push(world, "push voice.md --agent receptionist --dry-run"), 0);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/agents/receptionist/versions?dry_run=true");
}

static void test_the_servers_faults_are_told_in_the_authors_file(void **state) {
    struct test_world *world = *state;
    write_folder(world);
    ANSWERS(world, {0, 422,
                    "{\"detail\":\"2 faults\",\"code\":\"invalid\",\"at\":\"/config\",\"remedy\":\"r\",\"errors\":["
                    "{\"at\":\"/config/parameters/temperature\",\"detail\":\"too hot\"},"
                    "{\"at\":\"/config\",\"detail\":\"a \\u001b is missing\"}]}"});
    assert_int_equal(push(world, "push agents/support"), 1);
    assert_has(world->err, "agents/support/agent.yaml:4:1: too hot (/parameters/temperature)\n");
    assert_has(world->err, "a \\x1b is missing\n");
    assert_string_equal(world->out, "");
}

static void test_warnings_do_not_stop(void **state) {
    struct test_world *world = *state;
    write_folder(world);
    ANSWERS(world, {0, 201,
                    "{\"version\":{\"agent\":\"support\",\"version\":3},\"created\":true,\"warnings\":["
                    "{\"at\":\"/config/model\",\"detail\":\"floats\"}],\"position\":\"1.9\"}"});
    assert_int_equal(push(world, "push agents/support"), 0);
    assert_string_equal(world->err, "agents/support/agent.yaml:3:1: warning: floats (/model)\n");
}

static void test_unreadable_sources_send_nothing(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"bad.yaml", "model: [\n", "bad.yaml:2:1: "},
        {"twice.json", "{\"a\":1,\n \"a\":2}", "twice.json:2:"},
        {"escape.yaml", "model: m\nsystem_prompt: {file: ../secret}\n", "escape.yaml:2:"},
        {"huge.json", "{\"model\":\"m\",\"n\":99999999999999999}", "huge.json:1:"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char words[64];
        test_world_file(world, cases[i].file, cases[i].text, 0644);
        snprintf(words, sizeof(words), "push %s", cases[i].file);
        assert_int_equal(push(world, words), 1);
        assert_has(world->err, cases[i].says);
        assert_int_equal(world->request_count, 0);
    }
    assert_int_equal(push(world, "push nowhere"), 1);
    assert_has(world->err, "there is no file or folder nowhere");
}

static void test_several_are_all_checked_first(void **state) {
    struct test_world *world = *state;
    write_folder(world);
    test_world_file(world, "billing.json", "{\"model\":\"m\"}", 0644);
    ANSWERS(world, TAKEN);
    assert_int_equal(push(world, "push agents/support billing.json"), 0);
    assert_int_equal(world->request_count, 4);
    assert_has(world->requests[0].url, "/support/versions?dry_run=true");
    assert_has(world->requests[1].url, "/billing/versions?dry_run=true");
    assert_has_not(world->requests[2].url, "dry_run");
    assert_has_not(world->requests[3].url, "dry_run");

    ANSWERS(
        world, TAKEN,
        {0, 422, "{\"detail\":\"d\",\"code\":\"invalid\",\"errors\":[{\"at\":\"/config/model\",\"detail\":\"bad\"}]}"});
    assert_int_equal(push(world, "push agents/support billing.json"), 1);
    assert_int_equal(world->request_count, 2);
    assert_has(world->err, "billing.json:1:2: bad (/model)\n");

    test_world_file(world, "broken.json", "{", 0644);
    assert_int_equal(push(world, "push broken.json agents/support"), 1);
    assert_int_equal(world->request_count, 0);
}

static void test_usage(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "Bad_Name.json", "{\"model\":\"m\"}", 0644);
    test_world_file(world, "good.json", "{\"model\":\"m\"}", 0644);
    assert_int_equal(push(world, "push Bad_Name.json"), 2);
    assert_has(world->err, "Name it with --agent NAME");
    assert_int_equal(push(world, "push good.json Bad_Name.json --agent x"), 2);
    assert_has(world->err, "--agent goes with one PATH only");
    assert_int_equal(push(world, "push"), 2);
    assert_has(world->err, "PATH is missing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_folder_becomes_one_closed_document),
        WORLD_TEST(test_single_files_of_each_form),
        WORLD_TEST(test_the_servers_faults_are_told_in_the_authors_file),
        WORLD_TEST(test_warnings_do_not_stop),
        WORLD_TEST(test_unreadable_sources_send_nothing),
        WORLD_TEST(test_several_are_all_checked_first),
        WORLD_TEST(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
