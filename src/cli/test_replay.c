/* SPDX-License-Identifier: Apache-2.0 */
/* What may be wrong with a journal that a server tells; journals that are right are replayed in tests/scenario/test_replay.py. */
#include "cli/test_world.h"

#define PLAN "\"plan\":{\"steps\":[{\"share\":10}]}"
#define ROLLOUT(plan)                                                                                                  \
    "\"rollout\":{\"id\":\"0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10\",\"agent\":\"support\",\"environment\":"              \
    "\"production\"," plan "}"
#define MOVE(seq, more)                                                                                                \
    "{\"action\":\"hold\",\"step\":1,\"by\":\"controller\",\"words\":\"held\",\"at\":\"2026-11-23T14:04:00.000000Z\"," \
    "\"seq\":" #seq more "}"
#define JOURNAL(...)                                                                                                   \
    { 0, 200, "{" ROLLOUT(PLAN) ",\"moves\":[" __VA_ARGS__ "]}" }

static void test_evidence_that_cannot_be_read_is_a_difference(void **state) {
    struct test_world *world = *state;
    static const char *const evidence[] = {"%%%", "AAAA", "U0oCAAAAAAAAAAA=", ""};
    for (size_t i = 0; i < ARRAY_LEN(evidence); i++) {
        char body[1024];
        snprintf(body, sizeof(body), "{" ROLLOUT(PLAN) ",\"moves\":[" MOVE(7, ",\"evidence\":\"%s\"") "]}",
                 evidence[i]);
        ANSWERS(world, {0, 200, body});
        assert_int_equal(test_world_run(world, "rollout replay support -e production"), 1);
        assert_has(world->err, "1 of 1 decisions DIFFERENT");
        assert_has(world->out, "At seq 7 the journal says hold, and now it comes to nothing:");
    }
}

static void test_pages_until_there_are_no_more(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, "{" ROLLOUT(PLAN) ",\"moves\":[" MOVE(9, "") "," MOVE(8, "") "],\"next\":8}"},
            JOURNAL(MOVE(7, "")));
    assert_int_equal(test_world_run(world, "rollout replay support -e production"), 0);
    assert_has(world->out, "No decision yet that was reached from evidence.");
    assert_string_equal(world->requests[0].url,
                        "http://127.0.0.1:7420/v1/agents/support/rollouts/production?evidence=true&limit=50");
    /* The newest rollout there may be another one by now. */
    assert_string_equal(world->requests[1].url, "http://127.0.0.1:7420/v1/agents/support/rollouts/"
                                                "0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10?evidence=true&limit=50&before=8");
    assert_int_equal(test_world_run(world, "rollout replay support -e production --json"), 0);
    assert_has(world->out, "\"decisions\":0,\"different\":0");
}

static void test_by_id(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, "{\"rollouts\":[{\"agent\":\"support\"}]}"}, JOURNAL(MOVE(7, "")));
    assert_int_equal(test_world_run(world, "rollout replay 0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10"), 0);
    assert_string_equal(world->requests[0].url,
                        "http://127.0.0.1:7420/v1/rollouts?id=0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10");
    ANSWERS(world, {0, 200, "{\"rollouts\":[]}"});
    assert_int_equal(test_world_run(world, "rollout replay 0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10"), 1);
    assert_has(world->err, "there is no rollout 0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10");
}

static void test_a_plan_of_another_version(void **state) {
    struct test_world *world = *state;
    static const char *const plans[] = {"\"plan\":{\"steps\":[{\"share\":10,\"moon\":\"full\"}]}", "\"plan\":3",
                                        "\"none\":0"};
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        char body[1024];
        snprintf(body, sizeof(body), "{" ROLLOUT("%s") ",\"moves\":[" MOVE(7, "") "]}", plans[i]);
        ANSWERS(world, {0, 200, body});
        assert_int_equal(test_world_run(world, "rollout replay support -e production"), 1);
        assert_has(world->err, "cannot read the rollout's plan");
        assert_string_equal(world->out, "");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_evidence_that_cannot_be_read_is_a_difference),
        WORLD_TEST(test_pages_until_there_are_no_more),
        WORLD_TEST(test_by_id),
        WORLD_TEST(test_a_plan_of_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
