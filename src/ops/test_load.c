/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to entries with what stands beside their refs: a story of rollouts, sessions and panics, seen as it happens, by a node that starts anew, and looking back. */
#include "ops/test_world.h"
#include "snapshot/file.h"
#include "store/rollouts.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE (INT64_C(60) * 1000000)
#define HERE "production"

static struct world world;
static char inside[24], outside[24]; /* users under and over 5 % by the salt "salt" */

static void find_users(void) {
    char key[24];
    *inside = *outside = '\0';
    for (int i = 0; !*inside || !*outside; i++) {
        snprintf(key, sizeof(key), "user-%d", i);
        bool under = resolve_bucket(SLICE_LIT("salt"), slice_of(key)) < 5000;
        memcpy(under ? inside : outside, key, sizeof(key));
    }
}

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:load%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'" HERE "'}");
    for (int i = 1; i <= 4; i++)
        world_push(&world, "a", (char[]){(char)('0' + i), '\0'});
    find_users();
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

/* ---- changes, each a minute after the one before ---- */

struct change {
    const struct rollout *rollout;
    const struct rollout_move *move;
    const struct panic *panic;
    bool release;
    const struct agent *agent;
};

static int write_change(void *arg, struct store_tx *tx, struct err *err) {
    const struct change *change = arg;
    struct position position;
    int64_t at;
    int r = store_advance(tx, &position, &at, err);
    if (r == 0 && change->rollout) {
        struct rollout rollout = *change->rollout;
        rollout.created_at = at;
        rollout.seq = position.seq;
        r = store_rollout_add(tx, &rollout, err);
    }
    if (r == 0 && change->move) {
        struct rollout_move move = *change->move;
        move.created_at = at;
        move.seq = position.seq;
        r = store_rollout_move(tx, &move, err);
    }
    if (r == 0 && change->panic) {
        struct panic panic = *change->panic;
        panic.created_at = at;
        panic.seq = position.seq;
        r = change->release ? store_panic_release(tx, &panic, err) : store_panic_put(tx, &panic, err);
    }
    if (r == 0 && change->agent) {
        struct agent agent = *change->agent;
        agent.created_at = at;
        agent.seq = position.seq;
        r = store_agent_put(tx, &agent, err);
    }
    struct audit_entry entry = {.position = position,
                                .at = at,
                                .actor = "key-1",
                                .actor_name = "tester",
                                .operation = "change",
                                .agent = "a",
                                .environment = HERE,
                                .reason = "because",
                                .detail = "{}"};
    return r != 0 ? r : store_audit_append(tx, &entry, err);
}

static void assert_like_anew(void);

static void do_change(const struct change *change) {
    clock_fake_advance(&world.clock, MINUTE);
    int r = store_write(world.store, write_change, (void *)(uintptr_t)change, &world.err);
    if (r != 0) fail_msg("%d: %s", r, world.err.message);
    assert_int_equal(live_catch_up(world.live, &world.err), 0);
    assert_like_anew();
}

static void start(const char *id, int64_t stable, int64_t candidate, const char *audience) {
    const struct rollout rollout = {.id = id,
                                    .agent = "a",
                                    .environment = HERE,
                                    .candidate = candidate,
                                    .stable = stable,
                                    .salt = "salt",
                                    .audience = audience,
                                    .plan = "{}",
                                    .reason = "a better one",
                                    .created_by = "key-1",
                                    .state = ROLLOUT_RUNNING,
                                    .share = 5000};
    do_change(&(struct change){.rollout = &rollout});
}

static void move(const char *id, enum rollout_state state, int32_t share) {
    const struct rollout_move row = {
        .rollout = id, .state = state, .share = share, .action = "move", .words = "so", .created_by = "key-1"};
    do_change(&(struct change){.move = &row});
}

static void panic(const char *agent, int64_t version, bool release) {
    const struct panic row = {
        .agent = agent, .environment = HERE, .version = version, .reason = "fire", .created_by = "key-1"};
    do_change(&(struct change){.panic = &row, .release = release});
}

static void call(const char *op, const char *params) {
    clock_fake_advance(&world.clock, MINUTE);
    world_do(&world, op, params);
    assert_like_anew();
}

static void deploy(int version) {
    char params[160];
    snprintf(params, sizeof(params), "{'agent':'a','environment':'" HERE "','version':%d,'reason':''}", version);
    call("deploy", params);
}

/* ---- looks ---- */

static void sum_of(struct publisher *publisher, struct sha256 *ret) {
    struct snapshot *snapshot = publisher_get(publisher);
    assert_int_equal(snapshot_file_sum(snapshot, ret, NULL), 0);
    snapshot_unref(snapshot);
}

/* A node that loads everything now has the same bytes as the one that has followed every change. */
static void assert_like_anew(void) {
    struct publisher *publisher;
    struct live *live;
    struct sha256 followed, anew;
    assert_int_equal(publisher_new(&publisher), 0);
    struct live_options options = {.store = world.store, .publisher = publisher, .clock = &world.clock};
    assert_int_equal(live_new(&options, &live, NULL), 0);
    assert_int_equal(live_catch_up(live, &world.err), 0);
    sum_of(world.publisher, &followed);
    sum_of(publisher, &anew);
    assert_memory_equal(followed.bytes, anew.bytes, SHA256_SIZE);
    live_free(live);
    publisher_free(publisher);
}

struct ask {
    const char *key;
    int64_t began;
    const char *plan;
};

static struct resolve_question question_of(const struct ask *ask, struct logic_context *context) {
    static struct logic_member plan;
    plan = (struct logic_member){SLICE_LIT("plan"), logic_text(slice_of(ask->plan ? ask->plan : "free"))};
    *context = (struct logic_context){.data = {.type = LOGIC_OBJECT, .count = 1, .members = &plan}};
    return (struct resolve_question){.agent = SLICE_LIT("a"),
                                     .environment = SLICE_LIT(HERE),
                                     .targeting_key = slice_of(ask->key),
                                     .session_started_at = ask->began,
                                     .attributes = context};
}

static void assert_gets(struct ask ask, int64_t version, enum resolve_reason reason) {
    struct logic_context context;
    struct resolve_question question = question_of(&ask, &context);
    struct publisher_borrow borrow = publisher_borrow(world.publisher);
    struct decision decision;
    int r = resolve(borrow.snapshot, &question, &decision);
    int64_t got = r == 0 ? decision.version->number : -1;
    publisher_return(world.publisher, borrow);
    assert_int_equal(r, 0);
    assert_int_equal(got, version);
    assert_string_equal(resolve_reason_name(decision.reason), resolve_reason_name(reason));
}

/* ---- the story ---- */

static void test_a_rollout(void **state) {
    deploy(1);
    start("r-1", 1, 2, NULL);
    assert_gets((struct ask){.key = inside}, 2, RESOLVE_ROLLOUT);
    assert_gets((struct ask){.key = outside}, 1, RESOLVE_ROLLOUT);
    assert_gets((struct ask){0}, 1, RESOLVE_ROLLOUT);
    move("r-1", ROLLOUT_PAUSED, 5000);
    assert_gets((struct ask){.key = inside}, 2, RESOLVE_ROLLOUT);
    move("r-1", ROLLOUT_RUNNING, SHARE_ALL);
    assert_gets((struct ask){.key = outside}, 2, RESOLVE_ROLLOUT);
    move("r-1", ROLLOUT_HELD, 5000);
    assert_gets((struct ask){.key = outside}, 1, RESOLVE_ROLLOUT);
    assert_gets((struct ask){.key = inside}, 2, RESOLVE_ROLLOUT);
    move("r-1", ROLLOUT_ABORTED, 0);
    assert_gets((struct ask){.key = inside}, 1, RESOLVE_DEPLOYED);
    start("r-2", 1, 2, NULL); /* the same salt, the same users */
    assert_gets((struct ask){.key = inside}, 2, RESOLVE_ROLLOUT);
    assert_gets((struct ask){.key = outside}, 1, RESOLVE_ROLLOUT);
}

static void test_an_audience(void **state) {
    deploy(1);
    start("r-1", 1, 2, "{\"==\":[{\"var\":\"plan\"},\"pro\"]}");
    assert_gets((struct ask){.key = inside}, 1, RESOLVE_ROLLOUT);
    assert_gets((struct ask){.key = inside, .plan = "pro"}, 2, RESOLVE_ROLLOUT);
    assert_gets((struct ask){.key = outside, .plan = "pro"}, 1, RESOLVE_ROLLOUT);
}

static int64_t now(void) {
    return clock_wall(&world.clock);
}

static void test_sessions(void **state) {
    deploy(1);
    int64_t plain = now();
    start("r-1", 1, 2, NULL);
    int64_t small = now();
    move("r-1", ROLLOUT_RUNNING, SHARE_ALL);
    int64_t all = now();
    assert_gets((struct ask){.key = inside, .began = plain}, 1, RESOLVE_SESSION);
    assert_gets((struct ask){.key = inside, .began = small}, 2, RESOLVE_SESSION);
    assert_gets((struct ask){.key = outside, .began = small}, 1, RESOLVE_SESSION);
    assert_gets((struct ask){.key = outside, .began = all}, 2, RESOLVE_SESSION);
    assert_gets((struct ask){.key = outside, .began = plain - 1}, 2, RESOLVE_ROLLOUT);

    move("r-1", ROLLOUT_ROLLED_BACK, 0); /* it lets go of the candidate's, and of no other */
    assert_gets((struct ask){.key = inside, .began = small}, 1, RESOLVE_DEPLOYED);
    assert_gets((struct ask){.key = outside, .began = small}, 1, RESOLVE_SESSION);
    assert_gets((struct ask){.key = inside, .began = plain}, 1, RESOLVE_SESSION);

    deploy(3);
    assert_gets((struct ask){.key = inside, .began = plain}, 1, RESOLVE_SESSION);
    const struct agent follow = {.name = "a", .description = "", .created_by = "key-1", .session = SESSION_FOLLOW};
    do_change(&(struct change){.agent = &follow});
    assert_gets((struct ask){.key = inside, .began = plain}, 3, RESOLVE_DEPLOYED);
}

/* Back to a version of before, and forth to it again: whoever began under its second time keeps it. */
static void test_a_session_of_a_second_time(void **state) {
    deploy(1);
    deploy(2);
    int64_t first = now();
    call("rollback", "{'agent':'a','environment':'" HERE "','reason':'bad'}");
    call("hold_release", "{'agent':'a','environment':'" HERE "','reason':'ok'}");
    deploy(2);
    int64_t second = now();
    deploy(3);
    assert_gets((struct ask){.key = "u", .began = first}, 3, RESOLVE_DEPLOYED);
    assert_gets((struct ask){.key = "u", .began = second}, 2, RESOLVE_SESSION);
}

/* A day before the newest change is what sessions reach over, and 64 changes at most. */
static void test_eras_are_bounded(void **state) {
    deploy(1);
    int64_t first = now();
    clock_fake_advance(&world.clock, SESSION_LIFE - 2 * MINUTE);
    deploy(2); /* a minute later */
    assert_gets((struct ask){.key = "u", .began = first}, 1, RESOLVE_SESSION);
    clock_fake_advance(&world.clock, SESSION_LIFE);
    deploy(3);
    assert_gets((struct ask){.key = "u", .began = first}, 3, RESOLVE_DEPLOYED);
    int64_t third = now();
    for (int i = 0; i < 63; i++)
        deploy(1 + i % 2);
    assert_gets((struct ask){.key = "u", .began = third}, 3, RESOLVE_SESSION);
    deploy(4);
    assert_gets((struct ask){.key = "u", .began = third}, 4, RESOLVE_DEPLOYED);
}

/* A rollout may go on long after the deployment: the day is counted back from its newest step. */
static void test_eras_of_a_long_rollout(void **state) {
    deploy(1);
    int64_t before = now();
    start("r-1", 1, 2, NULL);
    int64_t first = now();
    clock_fake_advance(&world.clock, 2 * SESSION_LIFE);
    move("r-1", ROLLOUT_RUNNING, 40000);
    assert_gets((struct ask){.key = inside, .began = first}, 2, RESOLVE_SESSION); /* in force when the day began */
    assert_gets((struct ask){.key = inside, .began = before}, 2, RESOLVE_ROLLOUT);
    clock_fake_advance(&world.clock, 2 * SESSION_LIFE);
    move("r-1", ROLLOUT_RUNNING, SHARE_ALL);
    assert_gets((struct ask){.key = inside, .began = first}, 2, RESOLVE_ROLLOUT);
}

static int collect(void *ctx, struct slice piece, struct err *err) {
    str_add_slice(ctx, piece);
    return 0;
}

/* A clock that goes back leaves eras to which no session leads; the file can be read all the same. */
static void test_a_clock_that_goes_back(void **state) {
    deploy(1);
    deploy(2);
    clock_fake_set_wall(&world.clock, now() - 10 * MINUTE);
    deploy(3);
    deploy(4);
    struct snapshot *snapshot = publisher_get(world.publisher), *read = NULL;
    struct str file = STR_INIT;
    assert_gets((struct ask){.key = "u", .began = now() + 30 * MINUTE}, 4, RESOLVE_SESSION);
    assert_int_equal(snapshot_file_write(snapshot, collect, &file, NULL), 0);
    assert_int_equal(snapshot_file_read(str_slice(&file), &read, &world.err), 0);
    snapshot_unref(read);
    snapshot_unref(snapshot);
    str_deinit(&file);
}

static void test_panics(void **state) {
    deploy(1);
    start("r-1", 1, 2, NULL);
    panic("a", 3, false);
    assert_gets((struct ask){.key = inside}, 3, RESOLVE_PANIC);
    panic("", PANIC_STABLE, false); /* the agent's own says more */
    assert_gets((struct ask){.key = inside}, 3, RESOLVE_PANIC);
    panic("a", 0, true);
    assert_gets((struct ask){.key = inside}, 1, RESOLVE_PANIC);
    panic("", PANIC_DISABLED, false);
    assert_gets((struct ask){.key = inside}, 0, RESOLVE_PANIC);
    panic("a", 3, false); /* off is off */
    assert_gets((struct ask){.key = inside}, 0, RESOLVE_PANIC);
    panic("", 0, true);
    assert_gets((struct ask){.key = inside}, 3, RESOLVE_PANIC);
    panic("a", 0, true);
    assert_gets((struct ask){.key = inside}, 2, RESOLVE_ROLLOUT);
}

/* ---- looking back ---- */

static void assert_got_at(int64_t seq, struct ask ask, int64_t version, const char *reason) {
    struct logic_context context;
    struct arena arena = ARENA_INIT;
    struct str out = STR_INIT;
    char moment[32];
    snprintf(moment, sizeof(moment), "1.%" PRId64, seq);
    const struct ops_past past = {.question = question_of(&ask, &context), .moment = moment, .explain = true};
    int r = ops_resolve_past(&world.ops, &past, &arena, &out, &world.err);
    if (r < 0) fail_msg("%s", world.err.message);
    json_t *decision;
    assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &decision, NULL), 0);
    assert_int_equal(json_integer_value(json_get(decision, "version")), version);
    assert_string_equal(json_get_text(decision, "reason"), reason);
    json_decref(decision);
    str_deinit(&out);
    arena_deinit(&arena);
}

static void test_looking_back(void **state) {
    struct {
        int64_t seq;
        int64_t in, out;
        const char *reason;
    } then[8];
    size_t count = 0;
#define SEEN(in_, out_, reason_)                                                                                       \
    then[count].seq = world_seq(&world), then[count].in = in_, then[count].out = out_, then[count++].reason = reason_
    deploy(1);
    SEEN(1, 1, "DEPLOYED");
    start("r-1", 1, 2, NULL);
    SEEN(2, 1, "ROLLOUT");
    move("r-1", ROLLOUT_RUNNING, SHARE_ALL);
    SEEN(2, 2, "ROLLOUT");
    panic("", PANIC_DISABLED, false);
    SEEN(0, 0, "PANIC");
    panic("", 0, true);
    SEEN(2, 2, "ROLLOUT");
    move("r-1", ROLLOUT_ROLLED_BACK, 0);
    SEEN(1, 1, "DEPLOYED");
    deploy(3);
    SEEN(3, 3, "DEPLOYED");
    for (size_t i = 0; i < count; i++) {
        assert_got_at(then[i].seq, (struct ask){.key = inside}, then[i].in, then[i].reason);
        assert_got_at(then[i].seq, (struct ask){.key = outside}, then[i].out, then[i].reason);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_rollout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_audience, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_session_of_a_second_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eras_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_eras_of_a_long_rollout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_clock_that_goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_panics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_looking_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
