/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot in step: many changes at once, failures on the way, and the wait for a position. */
#include "db/db.h"
#include "ops/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world world;
static struct db_fault fault;
static char url[64];

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

static int setup(void **state) {
    static int number;
    snprintf(url, sizeof(url), "sqlite::memory:live%d", number++);
    fault = (struct db_fault){0};
    struct store_options options = {.url = url, .wrap = wrap, .wrap_ctx = &fault};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_push(&world, "a", "a1");
    world_push(&world, "a", "a2");
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

static void deploy(const char *agent, int version) {
    char params[160];
    snprintf(params, sizeof(params), "{'agent':'%s','environment':'production','version':%d,'reason':''}", agent,
             version);
    world_do(&world, "deploy", params);
}

/* A second node: a snapshot of its own over the same store. */
struct node {
    struct publisher *publisher;
    struct live *live;
    size_t told;
    int64_t last_seq;
};

static void count_touches(void *ctx, const struct snapshot *snapshot, const struct store_touch *touches, size_t count) {
    struct node *node = ctx;
    for (size_t i = 0; i < count; i++) {
        assert_true(touches[i].seq >= node->last_seq);
        node->last_seq = touches[i].seq;
    }
    node->told += count;
}

static void open_node(struct node *node) {
    *node = (struct node){0};
    assert_int_equal(publisher_new(&node->publisher), 0);
    struct live_options options = {.store = world.store, .publisher = node->publisher, .clock = &clock_system};
    assert_int_equal(live_new(&options, &node->live, NULL), 0);
    live_listen(node->live, count_touches, node);
    assert_int_equal(live_catch_up(node->live, &world.err), 0);
}

static void close_node(struct node *node) {
    live_free(node->live);
    publisher_free(node->publisher);
}

static int64_t served_by(struct node *node, const char *agent) {
    struct resolve_question question = {slice_of(agent), SLICE_LIT("production"), SLICE_LIT("u")};
    struct decision decision;
    struct publisher_borrow borrow = publisher_borrow(node->publisher);
    int64_t version = resolve(borrow.snapshot, &question, &decision) == 0 ? decision.version->number : 0;
    publisher_return(node->publisher, borrow);
    return version;
}

/* More changes than one step takes, the last page cut inside a release: nothing may be left out. */
static void test_a_node_far_behind_misses_nothing(void **state) {
    char params[64 * 40] = "{'environment':'production','reason':'','moves':[";
    char name[16];
    struct node node;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "m%02d", i);
        world_push(&world, name, "x");
        size_t len = strlen(params);
        snprintf(params + len, sizeof(params) - len, "%s{'agent':'%s','version':1}", i ? "," : "", name);
    }
    snprintf(params + strlen(params), sizeof(params) - strlen(params), "]}");
    open_node(&node);
    for (int i = 0; i < 990; i++)
        deploy("a", 1 + i % 2);
    world_do(&world, "release_create", params);
    deploy("a", 1);

    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(node.told, 990 + 30 + 1);
    assert_int_equal(served_by(&node, "m00"), 1);
    assert_int_equal(served_by(&node, "m29"), 1);
    assert_int_equal(served_by(&node, "a"), 1);
    close_node(&node);
}

static void test_a_failed_step_keeps_the_last_good_snapshot(void **state) {
    struct node node;
    deploy("a", 1);
    open_node(&node);
    deploy("a", 2);
    for (uint64_t n = 1;; n++) {
        fault = (struct db_fault){.fail_at = n, .code = ERR_STORE_IO};
        int r = live_catch_up(node.live, &world.err);
        bool struck = fault.calls >= n;
        fault = (struct db_fault){0};
        if (!struck) break;
        if (r < 0) assert_int_equal(served_by(&node, "a"), 1);
        if (r == 0) break;
    }
    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(served_by(&node, "a"), 2);
    assert_int_equal(node.told, 1);
    close_node(&node);
}

static void test_waiting_for_a_position(void **state) {
    struct node node;
    open_node(&node);
    int64_t seq = world_seq(&world);
    assert_int_equal(live_wait(node.live, (struct position){1, seq}, 0, &world.err), 0);
    assert_int_equal(live_wait(node.live, (struct position){1, seq + 1}, 1000, &world.err), -ERR_UNAVAILABLE);
    assert_string_equal(world.err.at, "Serin-After");
    deploy("a", 1);
    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(live_wait(node.live, (struct position){1, seq + 1}, 0, &world.err), 0);
    close_node(&node);
}

static void test_reaching_a_position(void **state) {
    struct node node;
    open_node(&node);
    int64_t seq = world_seq(&world);
    size_t told = node.told;
    deploy("a", 1);
    assert_int_equal(live_reach(node.live, (struct position){1, seq}, &world.err), 0);
    assert_int_equal(node.told, told); /* it is there already */
    assert_int_equal(live_reach(node.live, (struct position){1, seq + 1}, &world.err), 0);
    assert_int_equal(node.told, told + 1);
    assert_int_equal(live_wait(node.live, (struct position){1, seq + 1}, 0, &world.err), 0);
    close_node(&node);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_node_far_behind_misses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_step_keeps_the_last_good_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_for_a_position, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reaching_a_position, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
