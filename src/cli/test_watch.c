/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>

#define READY "id: 1.5\nevent: ready\ndata: {\"position\":\"1.5\",\"environment\":\"production\"}\n\n"
#define DATA                                                                                                           \
    "{\"position\":\"1.6\",\"environment\":\"production\",\"changes\":[{\"agent\":\"support\",\"entry\":{\"agent\":"   \
    "\"support\",\"version\":42,"                                                                                      \
    "\"deployment\":{\"kind\":\"deploy\",\"reason\":\"why "                                                            \
    "\\u001b\",\"at\":\"2026-11-23T14:05:00.000000Z\"},\"held\":true,\"overrides\":[{}]}}]}"
#define CHANGE "id: 1.6\nevent: change\ndata: " DATA "\n\n"
#define GONE                                                                                                           \
    ((struct test_answer){0, 403,                                                                                      \
                          "{\"detail\":\"not there any more\",\"code\":\"forbidden\",\"at\":\"\",\"remedy\":\"r\"}"})

static void test_prints_changes_and_takes_up_again(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, READY ": keepalive\n\n" CHANGE}, {-ERR_UNAVAILABLE, 0, NULL}, {-ERR_CONNECT, 0, NULL},
            GONE);
    assert_int_equal(test_world_run(world, "watch -e production"), 1);
    assert_string_equal(world->out, "1.6  2026-11-23 14:05:00  support@42 (deploy: why \\x1b) held 1 override\n");
    assert_int_equal(world->request_count, 4);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/stream?environment=production");
    for (size_t i = 1; i < 4; i++)
        assert_string_equal(world->requests[i].url, "http://127.0.0.1:7420/v1/stream?environment=production&after=1.6");
    assert_int_equal(world->pause_count, 3);
    assert_true(world->pauses[2] > world->pauses[0]);
    assert_has(world->err, "not there any more");
}

static void test_waits_longer_until_something_is_heard(void **state) {
    struct test_world *world = *state;
    static const struct test_answer lost = {-ERR_CONNECT, 0, NULL}, heard = {0, 200, READY};
    ANSWERS(world, heard, lost, lost, heard, lost, GONE);
    assert_int_equal(test_world_run(world, "watch"), 1);
    assert_int_equal(world->pause_count, 5);
    assert_true(world->pauses[0] < world->pauses[1] && world->pauses[1] < world->pauses[2]);
    assert_int_equal(world->pauses[3], world->pauses[0]);
    assert_int_equal(world->pauses[4], world->pauses[1]);
}

static void test_json_is_one_event_a_line(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, READY CHANGE}, GONE);
    assert_int_equal(test_world_run(world, "watch --json"), 1);
    assert_int_equal(strncmp(world->out, DATA "\n", strlen(DATA) + 1), 0);
}

static void test_says_when_events_were_missed(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, "id: 1.9\r\nevent: refetch\r\ndata: {\"position\":\"1.9\"}\r\n\r\n"}, GONE);
    assert_int_equal(test_world_run(world, "watch"), 1);
    assert_has(world->err, "more changed while the connection was lost");
    assert_string_equal(world->requests[1].url, "http://127.0.0.1:7420/v1/stream?after=1.9");
}

static void test_a_first_refusal_is_final(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {-ERR_CONNECT, 0, NULL});
    assert_int_equal(test_world_run(world, "watch"), 1);
    assert_int_equal(world->request_count, 1);
}

static void test_broken_data_ends_it(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, {0, 200, "event: change\ndata: {broken\n\n"});
    assert_int_equal(test_world_run(world, "watch"), 1);
    assert_int_equal(world->request_count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_prints_changes_and_takes_up_again), WORLD_TEST(test_waits_longer_until_something_is_heard),
        WORLD_TEST(test_json_is_one_event_a_line),          WORLD_TEST(test_says_when_events_were_missed),
        WORLD_TEST(test_a_first_refusal_is_final),          WORLD_TEST(test_broken_data_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
