/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every change under a store whose n-th call fails, for every n: the change is there as a whole or not at all, the snapshot agrees
 * with the store, and the same request with the same idempotency key then brings it about exactly once.
 */
#include "db/db.h"
#include "ops/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct world world;
static struct db_fault fault;
static int stores;

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

#define ON_OFF "'state':'ENABLED','variants':{'on':true,'off':false}"

/* Two agents, two versions each, the first ones served, an override and a hold to remove. */
static void open_world(void) {
    char url[64];
    fault = (struct db_fault){0};
    snprintf(url, sizeof(url), "sqlite::memory:faults%d", stores++);
    struct store_options options = {.url = url, .wrap = wrap, .wrap_ctx = &fault};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'production'}");
    for (int i = 0; i < 2; i++) {
        world_push(&world, "a", i ? "a2" : "a1");
        world_push(&world, "b", i ? "b2" : "b1");
    }
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':1},{'agent':'b','version':1}]}");
    world_do(&world, "deploy", "{'agent':'b','environment':'production','version':2,'reason':''}");
    world_do(&world, "override_put",
             "{'agent':'a','override':'staff','environment':'production','version':2,'keys':['u9'],'reason':''}");
    world_do(&world, "hold_set", "{'agent':'a','environment':'production','reason':''}");
    world_push(&world, "r", "r1");
    world_push(&world, "r", "r2");
    world_do(&world, "deploy", "{'agent':'r','environment':'production','version':1,'reason':''}");
    world_do(&world, "rollout_start", "{'agent':'r','environment':'production','version':2,'reason':''}");
    world_do(&world, "panic_set", "{'agent':'a','environment':'production','version':1,'reason':''}");
    world_do(&world, "webhook_put", "{'webhook':'chat','url':'https://hooks.example/x'}");
    world_do(&world, "flag_put", "{'environment':'production','flag':'f','definition':{" ON_OFF "},'reason':''}");
}

static const struct {
    const char *op, *params;
} changes[] = {
    {"agent_put", "{'agent':'a','description':'new'}"},
    {"version_push", "{'agent':'c','config':{'model':'m'}}"},
    {"environment_put", "{'environment':'qa'}"},
    {"deploy", "{'agent':'a','environment':'production','version':2,'reason':''}"},
    {"rollback", "{'agent':'b','environment':'production','reason':''}"},
    {"release_create",
     "{'environment':'production','reason':'','moves':[{'agent':'a','version':2},{'agent':'b','version':1}]}"},
    {"hold_release", "{'agent':'a','environment':'production'}"},
    {"override_put", "{'agent':'b','override':'me','environment':'production','version':1,'keys':['u1'],'reason':''}"},
    {"override_delete", "{'agent':'a','override':'staff','environment':'production'}"},
    {"rollout_start", "{'agent':'b','environment':'production','version':1,'reason':''}"},
    {"rollout_pause", "{'agent':'r','rollout':'production','reason':''}"},
    {"rollout_advance", "{'agent':'r','rollout':'production','reason':''}"},
    {"rollout_promote", "{'agent':'r','rollout':'production','reason':''}"},
    {"rollout_abort", "{'agent':'r','rollout':'production','reason':''}"},
    {"deploy", "{'agent':'r','environment':'production','version':2,'reason':'ends the rollout'}"},
    {"rollout_template_put", "{'template':'ours','steps':[{'share':5}]}"},
    {"webhook_put", "{'webhook':'pager','url':'https://hooks.example/p','agent':'a','environment':'production'}"},
    {"webhook_put", "{'webhook':'chat','url':'https://hooks.example/other'}"},
    {"webhook_rotate", "{'webhook':'chat'}"},
    {"webhook_delete", "{'webhook':'chat'}"},
    {"panic_set", "{'environment':'production','reason':''}"},
    {"panic_release", "{'agent':'a','environment':'production'}"},
    {"agent_put", "{'agent':'a','session':'follow'}"},
    {"key_create", "{'name':'robot','role':'resolve'}"},
    {"flag_put", "{'environment':'production','flag':'g','definition':{" ON_OFF
                 "},'bindings':[{'agent':'a','parameter':'seed'},{'agent':'*','tool':'t'}],'reason':''}"},
    {"flag_put", "{'environment':'production','flag':'f','definition':{" ON_OFF ",'defaultVariant':'on'},'reason':''}"},
    {"flag_disable", "{'environment':'production','flag':'f'}"},
    {"flag_delete", "{'environment':'production','flag':'f'}"},
    {"flag_document_put",
     "{'environment':'production','replace':true,'reason':'','document':{'flags':{'h':{" ON_OFF
     ",'targeting':{'if':[{'$ref':'r'},'on']}}},'$evaluators':{'r':{'var':'x'}},'metadata':{'m':1}}}"},
};

struct state {
    int64_t seq, a, b, staff;
    struct sha256 derived;
};

static struct state look(void) {
    struct state state = {.seq = world_seq(&world)};
    assert_int_equal(store_derived_hash(world.store, &state.derived, &world.err), 0);
    state.a = world_served(&world, "a", "production", "u1");
    state.b = world_served(&world, "b", "production", "u1");
    state.staff = world_served(&world, "a", "production", "u9");
    return state;
}

static bool same(const struct state *x, const struct state *y) {
    return x->seq == y->seq && x->a == y->a && x->b == y->b && x->staff == y->staff &&
           secret_equal(&x->derived, &y->derived, sizeof(x->derived));
}

/* Rebuilding derived tables from the truth must find what is there: no half change. */
static void check_whole(const struct state *found) {
    struct sha256 again;
    assert_int_equal(store_rebuild(world.store, &world.err), 0);
    assert_int_equal(store_derived_hash(world.store, &again, &world.err), 0);
    assert_memory_equal(&again, &found->derived, sizeof(again));
}

/* One change with its n-th call failing. True while the fault struck. */
static bool fail_once(size_t i, uint64_t n, enum err_code code, bool after) {
    open_world();
    struct state before = look();
    world.idempotency_key = "once";
    fault = (struct db_fault){.fail_at = n, .code = code, .after = after};
    int answered = world_call(&world, changes[i].op, changes[i].params);
    bool struck = fault.calls >= n;
    fault = (struct db_fault){0};
    if (!answered) assert_int_equal(live_wait(world.live, (struct position){1, before.seq + 1}, 0, &world.err), 0);
    assert_int_equal(live_catch_up(world.live, &world.err), 0);

    struct state found = look();
    if (answered && !after) assert_true(same(&before, &found));
    if (!answered) assert_int_equal(found.seq, before.seq + 1);
    check_whole(&found);

    world_do(&world, changes[i].op, changes[i].params);
    assert_int_equal(world_seq(&world), before.seq + 1);
    world_close(&world);
    return struck;
}

static void test_every_call_of_every_change_fails_once(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        uint64_t n = 1 + i % DB_FAULT_STRIDE;
        while (fail_once(i, n, ERR_STORE_IO, false))
            n += DB_FAULT_STRIDE;
        assert_true(n > 8); /* the fault did strike inside the change */
    }
}

static void test_lost_answers_of_commits_are_safe_to_repeat(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        for (uint64_t n = 1 + i % DB_FAULT_STRIDE; fail_once(i, n, ERR_UNKNOWN_OUTCOME, true);)
            n += DB_FAULT_STRIDE;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_of_every_change_fails_once),
        cmocka_unit_test(test_lost_answers_of_commits_are_safe_to_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
