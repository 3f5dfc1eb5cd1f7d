/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated users against scripted answers: what is asked and reported, and how it ends. */
#include "cli/test_world.h"

#include <string.h>

/* An answer to either question. */
#define DECIDED                                                                                                        \
    {                                                                                                                  \
        0, 200,                                                                                                        \
            "{\"agent\":\"support\",\"version\":5,\"arm\":\"candidate\",\"reason\":\"ROLLOUT\",\"rollout\":\"r-1\","   \
            "\"unit\":\"c4d6cdcdc147db089b3044f7\",\"accepted\":1}"                                                    \
    }
#define AWAY                                                                                                           \
    { -ERR_CONNECT, 0, NULL }
#define ONE_AGENT "demo traffic -e production --agent support --per-second 1 --seed 7 "

static json_t *item_of(const struct test_world *world, size_t request) {
    json_t *batch = NULL;
    const char *body = world->requests[request].body;
    if (!body) {
        fail_msg("request %zu has no body: %s", request, world->requests[request].url);
        return NULL;
    }
    assert_int_equal(json_parse(body, strlen(body), JSON_DEPTH_MAX, &batch, NULL), 0);
    return batch;
}

static size_t nth_batch(const struct test_world *world, size_t n) {
    for (size_t i = 0; i < world->request_count; i++)
        if (world->requests[i].body && n-- == 0) return i;
    fail_msg("so many batches were not sent");
    return 0;
}

static void test_a_run_is_a_decision_and_its_outcome(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DECIDED);
    assert_int_equal(test_world_run(world, ONE_AGENT "--for 3 --error support@5=1 --latency-ms support=1000"), 0);
    assert_has(world->out,
               "A simulation: made-up users and made-up outcomes, 1 runs a second of each of 1 agents in production.");
    assert_has(world->out, "No model is called and nobody is asked.");
    assert_has(world->out, "support: @5 2 (100.0 % failed)");
    assert_int_equal(strncmp(world->requests[1].url,
                             "http://127.0.0.1:7420/v1/resolve/support?environment=production&key=user-", 72),
                     0);
    json_t *batch = item_of(world, nth_batch(world, 0));
    assert_int_equal(json_integer_value(json_get(batch, "batch")), 1);
    const json_t *item = json_array_get(json_get(batch, "items"), 0);
    static const char *const texts[][2] = {
        {"agent", "support"},  {"environment", "production"},        {"rollout", "r-1"},         {"arm", "candidate"},
        {"reason", "ROLLOUT"}, {"unit", "c4d6cdcdc147db089b3044f7"}, {"error_type", "no_answer"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_string_equal(json_get_text(item, texts[i][0]), texts[i][1]);
    assert_true(json_is_false(json_get(item, "ok")) && !json_get(item, "scores"));
    double latency = json_number_value(json_get(item, "latency_ms"));
    assert_true(latency > 100 && latency < 10000);
    json_decref(batch);
}

static void test_batches_are_numbered_and_none_is_lost(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DECIDED, DECIDED, AWAY, DECIDED);
    assert_int_equal(test_world_run(world, ONE_AGENT "--for 4"), 0);
    json_t *first = item_of(world, nth_batch(world, 0)), *again = item_of(world, nth_batch(world, 1)),
           *next = item_of(world, nth_batch(world, 2));
    assert_true(json_equal(first, again)); /* the answer was lost */
    assert_int_equal(json_integer_value(json_get(next, "batch")), 2);
    assert_string_equal(json_get_text(first, "instance"), json_get_text(next, "instance"));
    json_decref(first);
    json_decref(again);
    json_decref(next);
}

static void test_it_ends_when_the_server_is_gone(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DECIDED, AWAY);
    assert_int_equal(test_world_run(world, ONE_AGENT), 1);
    assert_has(world->err, "the server is gone, so this ends: ");
    unsigned waited = 0;
    for (size_t i = 0; i < world->pause_count && i < TEST_CALLS_MAX; i++)
        waited += world->pauses[i];
    assert_true(waited > 0);
}

static void test_what_is_refused_ends_it(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DECIDED,
            {0, 403, "{\"detail\":\"the key may not\",\"code\":\"forbidden\",\"at\":\"\",\"remedy\":\"r\"}"});
    assert_int_equal(test_world_run(world, ONE_AGENT), 1);
    assert_has(world->err, "the key may not");
}

static void test_nobody_to_play(void **state) {
    struct test_world *world = *state;
    ANSWERS(
        world,
        {0, 404,
         "{\"detail\":\"there is no agent support\",\"code\":\"agent_not_found\",\"at\":\"agent\",\"remedy\":\"r\"}"});
    assert_int_equal(test_world_run(world, ONE_AGENT), 1);
    assert_has(world->err, "there is no agent support");
    assert_int_equal(test_world_run(world, "demo traffic -e production"), 1);
    assert_has(world->err, "production serves none of the example agents");
    assert_string_equal(world->out, "");
}

static void test_what_it_takes(void **state) {
    struct test_world *world = *state;
    static const char *const wrong[] = {
        "--per-second 0",     "--per-second 501",       "--for 0", "--error support=2", "--error support@5=x",
        "--quality support=", "--latency-ms support=-1"};
    ANSWERS(world, DECIDED);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char words[128];
        snprintf(words, sizeof(words), "demo traffic -e production --agent support %s", wrong[i]);
        assert_int_equal(test_world_run(world, words), 2);
        assert_has(world->err, "takes");
        assert_int_equal(world->request_count, 0);
    }
}

static void test_rollouts_are_started_once(void **state) {
    struct test_world *world = *state;
    static const struct test_answer had = {0, 200, "{\"version\":5,\"accepted\":1,\"rollouts\":[{}]}"};
    ANSWERS(world, had);
    assert_int_equal(test_world_run(world, "demo traffic -e production --agent code-reviewer --rollouts --for 1"), 0);
    assert_string_equal(world->requests[1].url,
                        "http://127.0.0.1:7420/v1/agents/code-reviewer/rollouts?environment=production&limit=1");
    for (size_t i = 0; i < world->request_count; i++)
        assert_true(!world->requests[i].body || strstr(world->requests[i].url, "/v1/outcomes"));
    ANSWERS(world, DECIDED, {0, 200, "{\"rollouts\":[]}"}, {0, 201, "{\"rollout\":{\"share\":2}}"}, DECIDED);
    assert_int_equal(test_world_run(world, "demo traffic -e production --agent code-reviewer --rollouts --for 1"), 0);
    assert_string_equal(world->requests[2].url, "http://127.0.0.1:7420/v1/agents/code-reviewer/rollouts");
    assert_has(world->requests[2].body, "\"steps\":[{\"share\":2,");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_run_is_a_decision_and_its_outcome),
        WORLD_TEST(test_batches_are_numbered_and_none_is_lost),
        WORLD_TEST(test_it_ends_when_the_server_is_gone),
        WORLD_TEST(test_what_is_refused_ends_it),
        WORLD_TEST(test_nobody_to_play),
        WORLD_TEST(test_what_it_takes),
        WORLD_TEST(test_rollouts_are_started_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
