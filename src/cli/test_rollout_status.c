/* SPDX-License-Identifier: Apache-2.0 */
/* Watching a rollout; what one look shows are golden files (rollout-status*). */
#include "cli/test_world.h"

#include <string.h>

#define STATUS(state, share, units, says)                                                                              \
    "{\"rollout\":{\"id\":\"r\",\"agent\":\"support\",\"environment\":\"production\",\"candidate\":3,\"stable\":2,"    \
    "\"state\":\"" state "\",\"step\":1,\"step_count\":2,\"share\":" #share                                            \
    ",\"step_at\":\"2026-11-23T14:04:00.000000Z\",\"words\":\"" says "\"},\"says\":\"" says "\",\"units\":" #units     \
    ",\"metrics\":[{\"name\":\"error\",\"kind\":\"event\",\"compared\":2.5,\"low\":1.25,\"harm_evidence\":412,"        \
    "\"go_on_evidence\":0.5}],\"moves\":[]}"
#define RUNNING(units)                                                                                                 \
    { 0, 200, STATUS("running", 5, units, "waits") }
#define ENDED                                                                                                          \
    { 0, 200, STATUS("rolled_back", 0, 90, "rolled back at 5 %") }
#define AWAY                                                                                                           \
    { -ERR_CONNECT, 0, NULL }
#define FIGURES "error 2.5x (1.25 or more) harm 412:1 on 0.5:1; "

static void test_a_pipe_gets_a_line_when_something_changed(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, RUNNING(10), RUNNING(10), RUNNING(20), ENDED);
    assert_int_equal(test_world_run(world, "rollout status support -e production --watch"), 0);
    assert_string_equal(world->out, "2026-11-23 14:05:00  running 5 %, 10 users of the candidate; " FIGURES "waits\n"
                                    "2026-11-23 14:05:02  running 5 %, 20 users of the candidate; " FIGURES "waits\n"
                                    "2026-11-23 14:05:03  rolled_back 0 %, 90 users of the candidate; " FIGURES
                                    "rolled back at 5 %\n");
    assert_int_equal(world->pause_count, 3);
    assert_int_equal(world->pauses[0], 1000);
    assert_string_equal(world->requests[3].url, "http://127.0.0.1:7420/v1/agents/support/rollouts/production/status");
}

static void test_json_is_the_answer_each_time(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, RUNNING(10), AWAY, ENDED);
    assert_int_equal(test_world_run(world, "rollout status support -e production -w --json"), 0);
    assert_string_equal(world->out,
                        STATUS("running", 5, 10, "waits") "\n" STATUS("rolled_back", 0, 90, "rolled back at 5 %") "\n");
}

static void test_a_terminal_gets_a_screen_and_has_its_own_back(void **state) {
    struct test_world *world = *state;
    world->world.out_is_terminal = true;
    ANSWERS(world, RUNNING(10), AWAY, RUNNING(20), ENDED);
    assert_int_equal(test_world_run(world, "rollout status support -e production --watch --no-color"), 0);
    assert_int_equal(strncmp(world->out, "\x1b[?1049h\x1b[?25l\x1b[H", 17), 0);
    assert_has(world->out, "The server does not answer; trying again.");
    const char *back = strstr(world->out, "\x1b[?25h\x1b[?1049l");
    assert_non_null(back);
    assert_has_not(back + 14, "\x1b");
    assert_has(back, "rolled_back, step 1 of 2"); /* the end stays to be read */
}

static void test_one_that_has_ended_needs_no_watching(void **state) {
    struct test_world *world = *state;
    world->world.out_is_terminal = true;
    ANSWERS(world, ENDED);
    assert_int_equal(test_world_run(world, "rollout status support -e production --watch --no-color"), 0);
    assert_int_equal(world->request_count, 1);
    assert_has_not(world->out, "\x1b[?1049h");
    assert_has(world->out, "rolled back at 5 %");
}

static void test_what_is_refused_ends_it(void **state) {
    struct test_world *world = *state;
    static const struct test_answer refused = {
        0, 404, "{\"detail\":\"it is gone\",\"code\":\"not_found\",\"at\":\"rollout\",\"remedy\":\"r\"}"};
    world->world.out_is_terminal = true;
    ANSWERS(world, RUNNING(10), refused);
    assert_int_equal(test_world_run(world, "rollout status support -e production --watch"), 1);
    assert_has(world->out, "\x1b[?1049l");
    assert_has(world->err, "it is gone");
    ANSWERS(world, AWAY);
    assert_int_equal(test_world_run(world, "rollout status support -e production --watch"), 1);
    assert_string_equal(world->out, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_a_pipe_gets_a_line_when_something_changed),
        WORLD_TEST(test_json_is_the_answer_each_time),
        WORLD_TEST(test_a_terminal_gets_a_screen_and_has_its_own_back),
        WORLD_TEST(test_one_that_has_ended_needs_no_watching),
        WORLD_TEST(test_what_is_refused_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
