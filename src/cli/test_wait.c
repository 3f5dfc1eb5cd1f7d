/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include <string.h>

#define DEPLOYED                                                                                                       \
    {                                                                                                                  \
        0, 201,                                                                                                        \
            "{\"deployment\":{\"agent\":\"support\",\"version\":2,\"previous\":1,\"environment\":\"production\"},"     \
            "\"changed\":true,\"position\":\"1.42\"}"                                                                  \
    }
#define STANDING(streams, confirming, confirmed, laggards)                                                             \
    {                                                                                                                  \
        0, 200,                                                                                                        \
            "{\"environment\":\"production\",\"position\":\"1.42\",\"streams\":" #streams                              \
            ",\"confirming\":" #confirming ",\"confirmed\":" #confirmed ",\"laggards\":[" laggards "]}"                \
    }
#define WEB                                                                                                            \
    "{\"id\":\"0000\",\"name\":\"web-3\",\"key\":\"web\",\"confirmed\":\"1.41\",\"opened_at\":\"2026-11-23T14:04:00."  \
    "000000Z\"}"
#define JOBS                                                                                                           \
    "{\"id\":\"0001\",\"key\":\"jobs\\u001b\",\"confirmed\":\"1.7\",\"opened_at\":\"2026-11-23T14:04:00.000000Z\"}"
#define NO_ROUTE                                                                                                       \
    { 0, 404, "{\"detail\":\"there is nothing\",\"code\":\"no_route\",\"at\":\"\",\"remedy\":\"r\"}" }
#define BUSY                                                                                                           \
    { 0, 503, "{\"detail\":\"it stops\",\"code\":\"unavailable\",\"at\":\"\",\"remedy\":\"r\"}" }
#define LAST_LINE "production serves support@2 now, before it @1\n"

static void test_until_all_have_it(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, STANDING(37, 37, 35, WEB), STANDING(37, 37, 36, WEB), STANDING(37, 37, 37, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_string_equal(world->out, LAST_LINE "37 of 37 confirmed in 25 ms\n");
    assert_string_equal(world->err, "");
    assert_int_equal(world->request_count, 4);
    assert_string_equal(world->requests[1].method, "GET");
    assert_string_equal(world->requests[1].url,
                        "http://127.0.0.1:7420/v1/streams?environment=production&position=1.42");
    assert_string_equal(world->requests[1].idempotency_key, "");
    assert_int_equal(world->pause_count, 2);
}

static void test_without_it_nothing_is_asked(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED);
    assert_int_equal(test_world_run(world, "deploy support@2 -e production"), 0);
    assert_int_equal(world->request_count, 1);
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait --dry-run"), 0);
    assert_int_equal(world->request_count, 1);
}

static void test_streams_that_never_confirm(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, STANDING(40, 37, 37, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_has(world->out, "37 of 37 confirmed in 0 ms; 3 more streams never confirmed anything\n");
    ANSWERS(world, DEPLOYED, STANDING(3, 0, 0, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_string_equal(world->out, LAST_LINE);
    assert_string_equal(world->err,
                        "serin: none of the 3 connected streams confirms what it has; nothing to wait for\n");
    ANSWERS(world, DEPLOYED, STANDING(1, 0, 0, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_has(world->err, "the one connected stream does not confirm");
    ANSWERS(world, DEPLOYED, STANDING(0, 0, 0, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_has(world->err, "no stream is connected; nothing to wait for");
    assert_int_equal(world->pause_count, 0);
}

static void test_laggards_are_named(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, STANDING(37, 37, 32, JOBS "," WEB));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait=1"), 1);
    assert_string_equal(world->out, LAST_LINE);
    assert_string_equal(world->err, "serin: 32 of 37 confirmed within 1 s; missing:\n"
                                    "  0001 (key: jobs\\x1b) has 1.7\n"
                                    "  web-3 (key: web) has 1.41\n"
                                    "  and 3 more\n");
    unsigned waited = 0;
    for (size_t i = 0; i < world->pause_count; i++)
        waited += world->pauses[i];
    assert_int_equal(waited, 1000);
}

/* Standard output is the answer of the change and nothing else. */
static void test_json(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, BUSY, STANDING(2, 2, 2, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait --json"), 0);
    assert_int_equal(world->out[0], '{');
    assert_has(world->out, "\"position\":\"1.42\"}\n");
    assert_has_not(world->out, "confirm");
    assert_has_not(world->out, "it stops");
    assert_string_equal(world->err, "serin: 2 of 2 confirmed in 10 ms\n");
}

static void test_a_server_that_is_away_for_a_moment(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, {-ERR_CONNECT, 0, NULL}, BUSY, {-ERR_UNAVAILABLE, 0, NULL}, STANDING(2, 2, 2, ""));
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 0);
    assert_has(world->out, "2 of 2 confirmed in ");
    ANSWERS(world, DEPLOYED, {-ERR_CONNECT, 0, NULL});
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait=1"), 1);
    assert_string_equal(world->out, LAST_LINE);
    assert_has(world->err, "the change is made; who has it is not known: ");
}

static void test_a_server_that_cannot_say(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, NO_ROUTE);
    assert_int_equal(test_world_run(world, "deploy support@2 -e production --wait"), 1);
    assert_int_equal(world->request_count, 2);
    assert_has(world->err, "the change is made; who has it is not known: there is nothing");
}

static void test_a_change_that_is_refused(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, NO_ROUTE);
    assert_int_equal(test_world_run(world, "rollback support -e production --wait"), 1);
    assert_int_equal(world->request_count, 1);
    assert_has_not(world->err, "the change is made");
}

static void test_other_changes(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, DEPLOYED, STANDING(2, 2, 2, ""));
    assert_int_equal(test_world_run(world, "rollback support -e production --wait=5"), 0);
    assert_has(world->out, "2 of 2 confirmed in 0 ms\n");
    ANSWERS(world,
            {0, 201,
             "{\"release\":{\"id\":\"r\",\"environment\":\"a b\",\"moves\":[]},\"changed\":true,\"position\":\"1.9\"}"},
            STANDING(2, 2, 2, ""));
    assert_int_equal(test_world_run(world, "release rollback r --wait"), 0);
    assert_string_equal(world->requests[1].url, "http://127.0.0.1:7420/v1/streams?environment=a%20b&position=1.9");
}

static void test_what_it_takes(void **state) {
    struct test_world *world = *state;
    static const char *const wrong[] = {"--wait=", "--wait=0", "--wait=x", "--wait=1.5", "--wait=-1", "--wait=86401"};
    ANSWERS(world, DEPLOYED, STANDING(2, 2, 2, ""));
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char words[128];
        snprintf(words, sizeof(words), "deploy support@2 -e production %s", wrong[i]);
        assert_int_equal(test_world_run(world, words), 2);
        assert_has(world->err, "--wait=SECONDS takes 1 to 86400");
        assert_int_equal(world->request_count, 0);
    }
    /* The word behind it is none of its. */
    assert_int_equal(test_world_run(world, "deploy --wait support@2 -e production"), 0);
    assert_has(world->out, "2 of 2 confirmed");
    assert_int_equal(test_world_run(world, "agents --wait"), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_until_all_have_it),
        WORLD_TEST(test_without_it_nothing_is_asked),
        WORLD_TEST(test_streams_that_never_confirm),
        WORLD_TEST(test_laggards_are_named),
        WORLD_TEST(test_json),
        WORLD_TEST(test_a_server_that_is_away_for_a_moment),
        WORLD_TEST(test_a_server_that_cannot_say),
        WORLD_TEST(test_a_change_that_is_refused),
        WORLD_TEST(test_other_changes),
        WORLD_TEST(test_what_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
