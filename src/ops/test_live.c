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
    size_t told, anew;
    int64_t last_seq;
};

static void count_touches(void *ctx, const struct snapshot *snapshot, const struct live_news *news) {
    struct node *node = ctx;
    assert_true(!news->anew || news->count == 0);
    for (size_t i = 0; i < news->count; i++) {
        assert_true(news->touches[i].seq >= node->last_seq);
        node->last_seq = news->touches[i].seq;
    }
    node->told += news->count;
    node->anew += news->anew;
}

static void make_node(struct node *node) {
    *node = (struct node){0};
    assert_int_equal(publisher_new(&node->publisher), 0);
    struct live_options options = {.store = world.store, .publisher = node->publisher, .clock = &clock_system};
    assert_int_equal(live_new(&options, &node->live, NULL), 0);
    live_listen(node->live, count_touches, node);
}

static void open_node(struct node *node) {
    make_node(node);
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

static void test_reaching_a_position_reads_the_store_only_when_behind(void **state) {
    struct node node;
    open_node(&node);
    deploy("a", 1);
    deploy("a", 2);
    struct position head = {1, world_seq(&world)}, before = {1, head.seq - 1};
    assert_int_equal(live_reach(node.live, before, &world.err), 0);
    assert_int_equal(served_by(&node, "a"), 2);
    fault = (struct db_fault){.fail_at = 1, .code = ERR_STORE_IO};
    assert_int_equal(live_reach(node.live, head, &world.err), 0);
    assert_int_equal(fault.calls, 0);
    fault = (struct db_fault){0};
    deploy("a", 1);
    assert_int_equal(live_reach(node.live, (struct position){1, head.seq + 1}, &world.err), 0);
    assert_int_equal(served_by(&node, "a"), 1);
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

/* ---- beginning with a snapshot from elsewhere ---- */

/* What the world serves, with `agent` in it when one is named, at that position. */
static struct snapshot *remembered(struct position position, const char *agent) {
    struct snapshot *served = publisher_get(world.publisher), *next;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(served, &edit), 0);
    if (agent) assert_int_equal(snapshot_edit_agent(edit, agent), 0);
    assert_int_equal(snapshot_edit_finish(edit, position, &next), 0);
    snapshot_unref(served);
    return next;
}

static struct position position_of(struct node *node) {
    struct publisher_borrow borrow = publisher_borrow(node->publisher);
    struct position position = snapshot_position(borrow.snapshot);
    publisher_return(node->publisher, borrow);
    return position;
}

static bool knows(struct node *node, const char *agent) {
    struct publisher_borrow borrow = publisher_borrow(node->publisher);
    bool known = snapshot_has_agent(borrow.snapshot, slice_of(agent));
    publisher_return(node->publisher, borrow);
    return known;
}

static void begin_with(struct node *node, struct position position, const char *agent) {
    struct snapshot *snapshot = remembered(position, agent);
    make_node(node);
    live_begin_with(node->live, snapshot);
    snapshot_unref(snapshot);
    assert_int_equal(node->anew, 1);
    assert_int_equal(position_compare(position_of(node), position), 0);
    assert_int_equal(served_by(node, "a"), 1);
    assert_int_equal(live_wait(node->live, position, 0, &world.err), 0);
}

static void test_the_same_state_is_gone_on_with(void **state) {
    struct node node;
    deploy("a", 1);
    begin_with(&node, (struct position){1, world_seq(&world)}, NULL);
    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(node.anew, 1);
    deploy("a", 2);
    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(served_by(&node, "a"), 2);
    assert_int_equal(node.told, 1);
    assert_int_equal(node.anew, 1);
    close_node(&node);
}

/* Also when the store knows the position: nothing of what was served is kept. */
static void test_a_store_that_is_ahead_is_taken_whole(void **state) {
    struct node node;
    deploy("a", 1);
    begin_with(&node, (struct position){1, world_seq(&world)}, "stray");
    deploy("a", 2);
    assert_int_equal(live_catch_up(node.live, &world.err), 0);
    assert_int_equal(served_by(&node, "a"), 2);
    assert_false(knows(&node, "stray"));
    assert_int_equal(node.anew, 2);
    assert_int_equal(position_of(&node).epoch, 1);
    close_node(&node);
}

static void check_new_epoch(struct node *node, int64_t epoch) {
    assert_int_equal(live_catch_up(node->live, &world.err), 0);
    assert_int_equal(position_of(node).epoch, epoch);
    assert_false(knows(node, "stray"));
    assert_int_equal(served_by(node, "a"), 1);
    assert_int_equal(node->anew, 2);
    close_node(node);
}

static void test_a_store_that_is_behind_gets_a_new_epoch(void **state) {
    struct node node;
    deploy("a", 1);
    begin_with(&node, (struct position){1, world_seq(&world) + 3}, "stray");
    check_new_epoch(&node, 2);
    begin_with(&node, (struct position){7, 1}, "stray");
    check_new_epoch(&node, 8);
}

static void test_another_state_at_the_same_position_gets_a_new_epoch(void **state) {
    struct node node;
    deploy("a", 1);
    begin_with(&node, (struct position){1, world_seq(&world)}, "stray");
    check_new_epoch(&node, 2);
}

/* Whatever call of the database fails on the way: what was served goes on, and the next time it is taken up. */
static void test_a_failed_first_load_keeps_what_is_served(void **state) {
    struct node node;
    deploy("a", 1);
    begin_with(&node, (struct position){1, world_seq(&world) + 3}, "stray");
    for (uint64_t n = 1;; n++) {
        fault = (struct db_fault){.fail_at = n, .code = ERR_STORE_IO};
        int r = live_catch_up(node.live, &world.err);
        fault = (struct db_fault){0};
        assert_int_equal(served_by(&node, "a"), 1);
        if (r == 0) break;
        assert_true(knows(&node, "stray"));
        assert_int_equal(node.anew, 1);
    }
    check_new_epoch(&node, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_node_far_behind_misses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_step_keeps_the_last_good_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reaching_a_position_reads_the_store_only_when_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_for_a_position, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reaching_a_position, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_same_state_is_gone_on_with, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_is_ahead_is_taken_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_is_behind_gets_a_new_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_state_at_the_same_position_gets_a_new_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_first_load_keeps_what_is_served, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
