/* SPDX-License-Identifier: Apache-2.0 */
/* From a template, options and measured sums to the table of a plan; the figures themselves are those of controller/test_ahead.c. */
#include "cli/test_world.h"

#define TEMPLATE                                                                                                       \
    {                                                                                                                  \
        0, 200,                                                                                                        \
            "{\"name\":\"ours\",\"content\":{\"steps\":[{\"share\":5,\"min_time\":\"1h\",\"min_units\":100,"           \
            "\"max_time\":\"2d\"},{\"share\":100,\"min_time\":\"10m\"}],\"analysis\":{\"metrics\":[\"error\"]}}}"      \
    }
#define SUM(at, arm, outcomes, errors)                                                                                 \
    "{\"at\":\"" at "\",\"version\":1," arm "\"outcomes\":" #outcomes ",\"errors\":" #errors "}"
#define SUMS(...)                                                                                                      \
    { 0, 200, "{\"sums\":[" __VA_ARGS__ "]}" }

static void test_what_is_given_is_not_measured(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, TEMPLATE);
    assert_int_equal(
        test_world_run(world, "rollout plan support --units-per-day 48000 --error-rate 0.02 --template ours"), 0);
    assert_int_equal(world->request_count, 1);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/rollout-templates/ours");
    assert_string_equal(
        world->out, "support: 48000 units a day, 2 % of them fail\n\n"
                    "STEP  SHARE %  UNITS/DAY  MIN TIME  MIN UNITS  EVIDENCE  GOES ON  TWICE FOUND    LEAST FOUND\n"
                    "   1        5       2400        1h       1h1m    20h53m   20h53m        8h30m  2.9 % (1.46x)\n"
                    "   2      100      48000       10m         4m        0s      10m\n\n"
                    "All steps together: 21h3m for a candidate as good as stable; medians, right within some 25 %.\n");
}

static void test_what_came_in_is_measured(void **state) {
    struct test_world *world = *state;
    ANSWERS(world,
            {0, 200,
             "{\"sums\":[" SUM("2026-11-23T14:04:00.000000Z", "\"arm\":\"stable\",", 900, 18) "],\"next\":\"a b\"}"},
            SUMS(SUM("2026-11-23T14:04:00.000000Z", "\"arm\":\"candidate\",", 100,
                     90) "," SUM("2026-11-23T13:05:00.000000Z", "", 1000, 20)),
            TEMPLATE);
    assert_int_equal(test_world_run(world, "rollout plan support -e production --template ours"), 0);
    assert_has(world->requests[0].url,
               "/v1/agents/support/outcomes?environment=production&from=2026-11-22T14%3A05%3A00.000000Z&limit=1000");
    assert_has(world->requests[1].url, "&after=a%20b");
    /* 2000 in an hour; 38 of stable's 1900 failed. */
    assert_has(world->out, "support: 48000 units a day, 2 % of them fail (measured: 2000 outcomes in 1h)\n");
    assert_has(world->out, "say --units-per-day when they come back");
    ANSWERS(world, SUMS(SUM("2026-11-23T13:05:00.000000Z", "", 1000, 20)), TEMPLATE);
    assert_int_equal(test_world_run(world, "rollout plan support -e production --units-per-day 500 --template ours"),
                     0);
    assert_has(world->out, "support: 500 units a day, 2 % of them fail");
}

static void test_nothing_to_go_by(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, SUMS(""));
    assert_int_equal(test_world_run(world, "rollout plan support -e production"), 1);
    assert_has(world->err, "no outcomes of support came there in the last 24 hours");
    assert_has(world->err, "--units-per-day");
    assert_int_equal(test_world_run(world, "rollout plan support"), 2);
    assert_has(world->err, "say where: -e ENV");
}

static void test_what_it_takes(void **state) {
    struct test_world *world = *state;
    static const char *const wrong[] = {"--error-rate 2", "--error-rate x", "--units-per-day -1",
                                        "--units-per-day 1e16"};
    ANSWERS(world, TEMPLATE);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char words[128];
        snprintf(words, sizeof(words), "rollout plan support -e production %s", wrong[i]);
        assert_int_equal(test_world_run(world, words), 2);
        assert_has(world->err, "takes a number from 0 to");
        assert_int_equal(world->request_count, 0);
    }
    assert_int_equal(
        test_world_run(world,
                       "rollout plan support --units-per-day 9 --error-rate 0.1 --steps [{\"share\":5,\"moon\":1}]"),
        1);
    assert_has(world->err, "/steps/0/moon");
    assert_has(world->err, "the plan cannot be: 1 fault");
}

static void test_steps_that_never_pass(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, TEMPLATE);
    assert_int_equal(
        test_world_run(world, "rollout plan support --units-per-day 0 --error-rate 0.02 --template ours --json"), 0);
    assert_has(
        world->out,
        "\"evidence_s\":null,\"goes_on_s\":null,\"asks\":true,\"twice_found_s\":null,\"least_found_rate\":null}");
    assert_has(world->out, "\"total_s\":null}\n");
    assert_int_equal(test_world_run(world, "rollout plan support --units-per-day 500 --error-rate 0 --template ours"),
                     0);
    assert_has(world->out, "asks at 2d");
    assert_has(world->out, "Where it asks, max_time comes before the evidence");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_what_is_given_is_not_measured),
        WORLD_TEST(test_what_came_in_is_measured),
        WORLD_TEST(test_nothing_to_go_by),
        WORLD_TEST(test_what_it_takes),
        WORLD_TEST(test_steps_that_never_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
