/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a command fails once: it ends with an error or with its whole output, never with half of it. */
#include "base/ticker.h"
#include "cli/test_world.h"

#include <string.h>
#include <unistd.h>

static void walk(struct test_world *world, const char *words) {
    size_t failures = 0;
    assert_int_equal(test_world_run(world, words), 0);
    char *whole = strdup(world->out);
    assert_non_null(whole);
    for (size_t n = 1;; n++) {
        world->fail_allocation = n;
        int code = test_world_run(world, words);
        if (code == 0) assert_string_equal(world->out, whole);
        if (code == 1) assert_string_equal(world->out, "");
        if (code > 1) fail_msg("%s, allocation %zu: exit code %d: %s", words, n, code, world->err);
        if (!world->allocation_failed) break;
        failures += code != 0;
    }
    world->fail_allocation = 0;
    free(whole);
    assert_true(failures > 5);
}

static void test_commands(void **state) {
    struct test_world *world = *state;
    ANSWERS(world,
            {0, 200,
             "{\"agents\":[{\"name\":\"a\",\"latest\":1,\"created_at\":\"2026-11-23T14:05:00.000000Z\",\"description\":"
             "\"d\"},{\"name\":\"b\"}]}"});
    walk(world, "agents");
    walk(world, "help");
    walk(world, "deploy --help");
    walk(world, "help --markdown");
    ANSWERS(
        world,
        {0, 200,
         "{\"agent\":\"a\",\"version\":1,\"config\":{\"model\":\"m\"},\"explain\":{\"rules\":[{\"rule\":\"ref\"}]}}"});
    walk(world, "show a@1");
    walk(world, "resolve a -e production -u ada -a plan=pro --at 14:00 --explain");
    ANSWERS(world, {0, 201,
                    "{\"release\":{\"id\":\"r\",\"environment\":\"e\",\"moves\":[{\"agent\":\"a\",\"version\":1}]},"
                    "\"changed\":true}"});
    walk(world, "deploy a@1 b@2 -e production -m why");
}

static void test_the_configuration_file(void **state) {
    struct test_world *world = *state;
    test_world_file(world, ".config/serin/config.toml", "server = \"http://x:1\"\nkey = \"k\"\n", 0600);
    ANSWERS(world, {0, 200, "{\"agents\":[]}"});
    walk(world, "agents");
}

static void test_push(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "support.json", "{\"model\":\"m\",\"system_prompt\":\"x\"}", 0600);
    ANSWERS(world, {0, 201, "{\"version\":{\"agent\":\"support\",\"version\":3},\"created\":true,\"warnings\":[]}"});
    assert_int_equal(chdir(world->home), 0);
    walk(world, "push support.json -m why");
    assert_int_equal(chdir("/"), 0);
}

#define WEB_SEARCH                                                                                                     \
    "{\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":\"off\",\"targeting\":{"       \
    "\"if\":["                                                                                                         \
    "{\"==\":[{\"var\":\"user.plan\"},\"pro\"]},\"on\",{\"fractional\":[[\"on\",20],[\"off\",80]]}]}}"

static void test_flags(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "flag.json", WEB_SEARCH, 0600);
    test_world_file(world, "contexts", "{\"targetingKey\":\"u1\",\"user\":{\"plan\":\"pro\"}}\n{}\n", 0600);
    assert_int_equal(chdir(world->home), 0);
    ANSWERS(world,
            {0, 201,
             "{\"flag\":{\"key\":\"f\",\"environment\":\"e\",\"summary\":\"s\"},\"changed\":true,\"warnings\":[]}"});
    walk(world, "flag set f flag.json -e e --bind a:tool=t");
    ANSWERS(world, {0, 200, "{\"set\":[\"f\"],\"removed\":[],\"unchanged\":0,\"changed\":true,\"warnings\":[]}"});
    walk(world, "flag import flag.json -e e --bindings flag.json");
    ANSWERS(world, {0, 200,
                    "{\"document\":{\"flags\":{\"f\":" WEB_SEARCH
                    "}},\"bindings\":{\"f\":[{\"agent\":\"a\",\"tool\":\"t\"}]},\"seq\":3}"});
    walk(world, "flag export -e e --bindings bindings.json");
    walk(world, "flag try f -e e --user u1");
    walk(world, "flag preview f --on -e e --contexts contexts");
    walk(world, "flag preview f flag.json -e e --population 2 --bind a:parameter=p --json");
    ANSWERS(world,
            {0, 200,
             "{\"agent\":\"a\",\"version\":1,\"environment\":\"e\",\"config\":{\"tools\":[\"y\"]},\"explain\":{"
             "\"flags\":[{\"key\":\"f\",\"reason\":\"STATIC\",\"variant\":\"b\",\"does\":[{\"tool\":\"y\",\"on\":"
             "false},{\"parameter\":\"model\",\"value\":1}]}]}}"});
    walk(world, "flag explain a -e e -u u");
    assert_int_equal(chdir("/"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_commands),
        WORLD_TEST(test_the_configuration_file),
        WORLD_TEST(test_push),
        WORLD_TEST(test_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
