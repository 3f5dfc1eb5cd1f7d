/* SPDX-License-Identifier: Apache-2.0 */
/* What commands ask the server, and what they make of its answers. */
#include "base/uuid.h"
#include "cli/test_world.h"

#include <string.h>

#define OK(text) ((struct test_answer){0, 200, text})
#define LOST ((struct test_answer){-ERR_UNAVAILABLE, 0, NULL})
#define DEPLOYED                                                                                                       \
    "{\"deployment\":{\"id\":\"d\",\"agent\":\"support\",\"environment\":\"production\",\"version\":42,\"previous\":"  \
    "41,"                                                                                                              \
    "\"kind\":\"deploy\",\"reason\":\"r\",\"by\":\"k\",\"at\":\"2026-11-23T14:05:00.000000Z\",\"seq\":7},"             \
    "\"held\":false,\"changed\":true,\"position\":\"1.7\"}"
#define PROBLEM(status, code, at)                                                                                      \
    "{\"type\":\"urn:serin:error:" code "\",\"title\":\"t\",\"status\":" #status                                       \
    ",\"detail\":\"it is wrong\",\"code\":\"" code "\",\"at\":\"" at "\",\"remedy\":\"mend it\"}"

/* ---- requests ---- */

static void test_each_parameter_finds_its_place(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *words, *method, *url, *body;
    } cases[] = {
        {"agents", "GET", "/v1/agents", NULL},
        {"agents --after a -n 5", "GET", "/v1/agents?after=a&limit=5", NULL},
        {"agent create support --description 'two words'", "PUT", "/v1/agents/support",
         "{\"description\":\"two words\"}"},
        {"agent show a/../b?c#d", "GET", "/v1/agents/a%2F..%2Fb%3Fc%23d", NULL},
        {"log support --before 10", "GET", "/v1/agents/support/versions?before=10", NULL},
        {"show support", "GET", "/v1/agents/support/versions/latest", NULL},
        {"show support@sha256:1f2e3d4c", "GET", "/v1/agents/support/versions/sha256%3A1f2e3d4c", NULL},
        {"deploy support@42 -e production -m why --expected 41", "POST", "/v1/agents/support/deployments",
         "{\"environment\":\"production\",\"version\":\"42\",\"reason\":\"why\",\"expected\":41}"},
        {"deploy support@42 -e production --dry-run", "POST", "/v1/agents/support/deployments?dry_run=true",
         "{\"environment\":\"production\",\"version\":\"42\",\"reason\":\"from the command line by ada@lab\"}"},
        {"deploy a@1 b@latest -e production -m both", "POST", "/v1/releases",
         "{\"environment\":\"production\",\"reason\":\"both\",\"moves\":[{\"agent\":\"a\",\"version\":\"1\"},{"
         "\"agent\":\"b\",\"version\":\"latest\"}]}"},
        {"rollback support -e production --to 40", "POST", "/v1/agents/support/rollback",
         "{\"environment\":\"production\",\"version\":\"40\",\"reason\":\"from the command line by ada@lab\"}"},
        {"history support", "GET", "/v1/agents/support/deployments", NULL},
        {"history support -e production", "GET", "/v1/agents/support/deployments?environment=production", NULL},
        {"release rollback 0191 -m back", "POST", "/v1/releases/0191/rollback", "{\"reason\":\"back\"}"},
        {"env create staging --no-protected", "PUT", "/v1/environments/staging", "{\"protected\":false}"},
        {"env create production --protected", "PUT", "/v1/environments/production", "{\"protected\":true}"},
        {"hold support -e production -m x", "POST", "/v1/hold",
         "{\"agent\":\"support\",\"environment\":\"production\",\"reason\":\"x\"}"},
        {"hold release support -e production", "DELETE", "/v1/hold?agent=support&environment=production", NULL},
        {"hold release support -e production -m 'a b' --dry-run", "DELETE",
         "/v1/hold?agent=support&environment=production&reason=a%20b&dry_run=true", NULL},
        {"override set qa support@43 -e production -u ada -u alan -m t", "PUT", "/v1/agents/support/overrides/qa",
         "{\"environment\":\"production\",\"version\":\"43\",\"keys\":[\"ada\",\"alan\"],\"reason\":\"t\"}"},
        {"override remove qa support -e production", "DELETE", "/v1/agents/support/overrides/qa?environment=production",
         NULL},
        {"resolve support -e production -u 'user 42' -a plan=pro -a 'x=a=b&c' --explain", "POST", "/v1/resolve",
         "{\"agent\":\"support\",\"environment\":\"production\",\"context\":{\"plan\":\"pro\",\"targetingKey\":\"user "
         "42\","
         "\"x\":\"a=b&c\"},\"explain\":true}"},
        {"resolve support -c '{\"targetingKey\":\"v\",\"plan\":\"free\",\"n\":1.0}' -a plan=pro -u u", "POST",
         "/v1/resolve", "{\"agent\":\"support\",\"context\":{\"n\":1.0,\"plan\":\"pro\",\"targetingKey\":\"u\"}}"},
        {"resolve support --at 14:00", "POST", "/v1/resolve",
         "{\"agent\":\"support\",\"context\":{},\"at\":\"2026-11-23T14:00:00.000000Z\"}"},
        {"resolve support --at 1.7", "POST", "/v1/resolve", "{\"agent\":\"support\",\"context\":{},\"at\":\"1.7\"}"},
        {"snapshot --agent support", "GET", "/v1/snapshot?agent=support", NULL},
        {"audit --after 5 --limit 9", "GET", "/v1/audit?after=5&limit=9", NULL},
        {"key create --role resolve -e production -e staging --name web", "POST", "/v1/keys",
         "{\"name\":\"web\",\"role\":\"resolve\",\"environment\":[\"production\",\"staging\"]}"},
        {"key revoke ab12 -m gone", "DELETE", "/v1/keys/ab12?reason=gone", NULL},
    };
    ANSWERS(world, OK("{\"config\":{}}"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char url[256];
        snprintf(url, sizeof(url), "http://127.0.0.1:7420%s", cases[i].url);
        if (test_world_run(world, cases[i].words) != 0) fail_msg("%s: %s", cases[i].words, world->err);
        assert_int_equal(world->request_count, 1);
        const struct test_request *request = &world->requests[0];
        assert_string_equal(request->method, cases[i].method);
        assert_string_equal(request->url, url);
        if (cases[i].body) assert_string_equal(request->body, cases[i].body);
        if (!cases[i].body) assert_null(request->body);
        bool changes = strcmp(cases[i].method, "GET") && strcmp(cases[i].url, "/v1/resolve");
        if (changes) assert_true(uuid_valid(request->idempotency_key));
        if (!changes) assert_string_equal(request->idempotency_key, "");
    }
}

static void test_the_configured_environment_steps_in(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, OK("{}"));
    assert_int_equal(test_world_run(world, "deploy a@1"), 2);
    assert_has(world->err, "say where: -e ENV");
    test_world_file(world, ".config/serin/config.toml", "environment = \"staging\"\n", 0644);
    assert_int_equal(test_world_run(world, "deploy a@1"), 0);
    assert_has(world->requests[0].body, "\"environment\":\"staging\"");
    assert_int_equal(test_world_run(world, "deploy a@1 -e production"), 0);
    assert_has(world->requests[0].body, "\"environment\":\"production\"");
    assert_int_equal(test_world_run(world, "resolve a"), 0);
    assert_has(world->requests[0].body, "\"environment\":\"staging\"");
    assert_int_equal(test_world_run(world, "history a"), 0);
    assert_has_not(world->requests[0].url, "environment");
}

static void test_deploy_wants_versions(void **state) {
    struct test_world *world = *state;
    static const char *const wrong[] = {"deploy a -e x", "deploy a@ -e x", "deploy @1 -e x", "deploy a@1 b -e x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(test_world_run(world, wrong[i]), 2);
        assert_has(world->err, "which version of");
        assert_int_equal(world->request_count, 0);
    }
    assert_int_equal(test_world_run(world, "deploy a@1 b@2 -e x --expected 1"), 2);
    assert_has(world->err, "--expected goes with one AGENT@VERSION only");
}

/* ---- trying again ---- */

static void test_lost_changes_go_again_with_the_same_key(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, LOST, {0, 503, PROBLEM(503, "unknown_outcome", "")}, LOST, {0, 201, DEPLOYED});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 0);
    assert_int_equal(world->request_count, 4);
    for (size_t i = 1; i < 4; i++) {
        assert_string_equal(world->requests[i].idempotency_key, world->requests[0].idempotency_key);
        assert_string_equal(world->requests[i].body, world->requests[0].body);
    }
    assert_int_equal(world->pause_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(world->pauses[i] <= 250u << i);
    assert_string_equal(world->out, "production serves support@42 now, before it @41\n");
}

static void test_an_unknown_outcome_names_the_key(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, LOST);
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 1);
    assert_int_equal(world->request_count, 4);
    assert_has(world->err, "whether the change was made is not known");
    assert_has(world->err, "--idempotency-key");
    assert_has(world->err, world->requests[0].idempotency_key);
    ANSWERS(world, {-ERR_TIMEOUT, 0, NULL});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production --idempotency-key mine"), 1);
    assert_int_equal(world->request_count, 1);
    assert_string_equal(world->requests[0].idempotency_key, "mine");
    assert_has(world->err, "--idempotency-key mine");
}

static void test_what_was_never_sent_is_not_tried_again(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {-ERR_CONNECT, 0, NULL});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 1);
    assert_int_equal(world->request_count, 1);
    assert_has(world->err, "scripted failure");
    ANSWERS(world, {0, 409, PROBLEM(409, "stale", "/expected")});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production --expected 3"), 1);
    assert_int_equal(world->request_count, 1);
}

static void test_a_busy_server_says_its_own_words_at_last(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 503, PROBLEM(503, "busy", "")});
    assert_int_equal(test_world_run(world, "agents"), 1);
    assert_int_equal(world->request_count, 4);
    assert_string_equal(world->err, "serin: it is wrong\n  try: mend it\n");
}

/* ---- answers ---- */

static void test_problems_name_the_users_own_words(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 404, PROBLEM(404, "version_not_found", "/version")});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 1);
    assert_string_equal(world->err, "serin: it is wrong\n  at: AGENT@VERSION\n  try: mend it\n");
    assert_string_equal(world->out, "");
    ANSWERS(world, {0, 409, PROBLEM(409, "stale", "expected")});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 1);
    assert_has(world->err, "  at: --expected\n");
    ANSWERS(world, {0, 400, PROBLEM(400, "bad_request", "/moves/0")});
    assert_int_equal(test_world_run(world, "deploy support@42 -e production"), 1);
    assert_has(world->err, "  at: /moves/0\n");
}

static void test_control_characters_never_reach_the_terminal(void **state) {
    struct test_world *world = *state;
    ANSWERS(
        world,
        {0, 404,
         "{\"detail\":\"\\u001b[2J no\",\"code\":\"not_found\",\"at\":\"\\u001b]0;x\\u0007\",\"remedy\":\"\\u009b\"}"});
    assert_int_equal(test_world_run(world, "agents"), 1);
    assert_null(strchr(world->err, '\033'));
    ANSWERS(world, OK("{\"agents\":[{\"name\":\"a\\u001b[2J\",\"latest\":1,\"description\":\"x\\ny\"}]}"));
    assert_int_equal(test_world_run(world, "agents"), 0);
    assert_null(strchr(world->out, '\033'));
    assert_has(world->out, "a\\x1b[2J");
    assert_has(world->out, "x\\ny");
    ANSWERS(world, OK("{\"key\":{\"id\":\"k\",\"name\":\"\\u001b[2J\"},\"changed\":true}"));
    assert_int_equal(test_world_run(world, "key revoke k"), 0);
    assert_string_equal(world->out, "Revoked the key k (\\x1b[2J)\n");
}

static void test_json_is_handed_through(void **state) {
    struct test_world *world = *state;
    static const char body[] = "{ \"agents\" :[],  \"n\":1.50, \"bad\":\"\x7f\xc2\x9b\" }";
    ANSWERS(world, OK(body));
    assert_int_equal(test_world_run(world, "agents --json"), 0);
    assert_int_equal(strncmp(world->out, body, sizeof(body) - 1), 0);
    assert_string_equal(world->out + sizeof(body) - 1, "\n");
    world->world.out_is_terminal = true;
    assert_int_equal(test_world_run(world, "agents --json"), 0);
    assert_has(world->out, "\"bad\":\"\\u007f\\u009b\"");
    world->world.out_is_terminal = false;
    ANSWERS(world, {0, 404, PROBLEM(404, "not_found", "")});
    assert_int_equal(test_world_run(world, "agents --json"), 1);
    assert_string_equal(world->out, PROBLEM(404, "not_found", "") "\n");
    assert_has(world->err, "serin: it is wrong");
}

static void test_tells_what_is_not_serin(void **state) {
    struct test_world *world = *state;
    static const struct test_answer strangers[] = {
        {0, 200, "<html>hello</html>"}, {0, 200, ""}, {0, 302, "moved"}, {0, 404, "{\"error\":\"x\"}"}};
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        test_world_answers(world, &strangers[i], 1);
        assert_int_equal(test_world_run(world, "agents"), 1);
        assert_has(world->err, "is not Serin");
        assert_has(world->err, "http://127.0.0.1:7420");
    }
}

static void test_keys_go_into_the_header_only(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 401, PROBLEM(401, "unauthenticated", "")});
    assert_int_equal(test_world_run(world, "agents"), 1);
    assert_has(world->err, "Set SERIN_KEY");
    assert_int_equal(test_world_run(world, "agents --key serin_secret --json"), 1);
    assert_string_equal(world->requests[0].key, "serin_secret");
    assert_has_not(world->requests[0].url, "secret");
    assert_has_not(world->err, "secret");
    assert_has_not(world->out, "secret");
    assert_has(world->err, "wrong or revoked");
}

static void test_lists_say_that_there_is_more(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, OK("{\"versions\":[],\"next\":17}"));
    assert_int_equal(test_world_run(world, "log support"), 0);
    assert_has(world->err, "there is more: --before 17");
    ANSWERS(world, OK("{\"agents\":[],\"next\":\"m\"}"));
    assert_int_equal(test_world_run(world, "agents"), 0);
    assert_has(world->err, "there is more: --after m");
}

static void test_shows_the_configuration(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, OK("{\"agent\":\"a\",\"version\":1,\"config\":{\"model\":\"m\",\"temperature\":0.1,\"tools\":[]}}"));
    assert_int_equal(test_world_run(world, "show a@1"), 0);
    assert_string_equal(world->out, "{\n  \"model\": \"m\",\n  \"temperature\": 0.1,\n  \"tools\": []\n}\n");
    ANSWERS(world, OK("{\"agent\":\"a\"}"));
    assert_int_equal(test_world_run(world, "show a@1"), 1);
    assert_has(world->err, "the answer has no configuration");
}

static void test_status(void **state) {
    struct test_world *world = *state;
    static const char whoami[] = "{\"id\":\"ab\",\"name\":\"ci\",\"role\":\"editor\",\"environments\":[\"a\",\"b\"],"
                                 "\"server\":\"0.1.0\",\"position\":\"1.7\"}";
    ANSWERS(world, {0, 503, "{\"status\":\"draining\",\"position\":\"1.7\"}"}, {0, 200, whoami});
    assert_int_equal(test_world_run(world, "status"), 0);
    assert_has(world->out, "state         draining\n");
    assert_has(world->out, "environments  a, b\n");
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/readyz");
    assert_int_equal(test_world_run(world, "status --json"), 0);
    assert_has(world->out, whoami);
    ANSWERS(world, {-ERR_CONNECT, 0, NULL});
    assert_int_equal(test_world_run(world, "status"), 1);
    assert_int_equal(world->request_count, 1);
}

/* ---- commands ---- */

static void test_finds_commands(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *words, *says;
    } wrong[] = {
        {"agnets", "did you mean `serin agents`?"},
        {"release shwo x", "did you mean `serin release show`?"},
        {"release", "`serin release` needs one more word"},
        {"frobnicate", "unknown command \"frobnicate\""},
        {"a\033b", "unknown command \"a\\x1bb\""},
        {"--josn agents", "did you mean --json?"},
        {"help depoly", "did you mean `serin help deploy`?"},
        {"completion csh", "bash, zsh and fish"},
        {"agents --timeout 0", "--timeout must be 1 to"},
        {"agents --server ftp://x", "http://HOST"},
        {"agents --server http://u:p@x", "http://HOST"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(test_world_run(world, wrong[i].words), 2);
        assert_has(world->err, wrong[i].says);
        assert_string_equal(world->out, "");
    }
    ANSWERS(world, OK("{\"agents\":[]}"));
    assert_int_equal(test_world_run(world, "--server http://x:1/ agents"), 0);
    assert_string_equal(world->requests[0].url, "http://x:1/v1/agents");
    assert_int_equal(test_world_run(world, "--version"), 0);
    assert_string_equal(world->out, "serin " SERIN_VERSION "\n");
    assert_int_equal(test_world_run(world, "version --json"), 0);
    assert_string_equal(world->out, "{\"version\":\"" SERIN_VERSION "\"}\n");
}

static void test_colour_only_where_it_is_wanted(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, OK("{\"agents\":[{\"name\":\"a\",\"latest\":1}]}"));
    world->world.out_is_terminal = true;
    assert_int_equal(test_world_run(world, "agents"), 0);
    assert_has(world->out, "\033[");
    assert_int_equal(test_world_run(world, "agents --no-color"), 0);
    assert_has_not(world->out, "\033[");
    test_world_variable(world, "NO_COLOR=1");
    assert_int_equal(test_world_run(world, "agents"), 0);
    assert_has_not(world->out, "\033[");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_each_parameter_finds_its_place),
        WORLD_TEST(test_the_configured_environment_steps_in),
        WORLD_TEST(test_deploy_wants_versions),
        WORLD_TEST(test_lost_changes_go_again_with_the_same_key),
        WORLD_TEST(test_an_unknown_outcome_names_the_key),
        WORLD_TEST(test_what_was_never_sent_is_not_tried_again),
        WORLD_TEST(test_a_busy_server_says_its_own_words_at_last),
        WORLD_TEST(test_problems_name_the_users_own_words),
        WORLD_TEST(test_control_characters_never_reach_the_terminal),
        WORLD_TEST(test_json_is_handed_through),
        WORLD_TEST(test_tells_what_is_not_serin),
        WORLD_TEST(test_keys_go_into_the_header_only),
        WORLD_TEST(test_lists_say_that_there_is_more),
        WORLD_TEST(test_shows_the_configuration),
        WORLD_TEST(test_status),
        WORLD_TEST(test_finds_commands),
        WORLD_TEST(test_colour_only_where_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
