/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier over a real store and the real operations; only the network is a double, which answers when the test says so. */
#include "notify/notify.h"

#include "db/db.h"
#include "notify/notify_impl.h"
#include "ops/test_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define DAY (24 * 3600 * SECOND)

/* ---- a network ---- */

struct posted {
    char url[128], id[MESSAGE_ID_SIZE], timestamp[24], signature[128];
    char type[40], body[2048];
    fetch_done *done;
    void *ctx;
    bool ended;
};

#define POSTED_MAX 64
static struct posted posted[POSTED_MAX];
static size_t posted_count;
static bool refuse_sends;
static struct world world;
static struct db_fault fault;
static struct notifier *notifier;

static const char *header_of(const struct fetch_request *request, const char *name) {
    for (size_t i = 0; i < request->header_count; i++)
        if (!strcmp(request->headers[i].name, name)) return request->headers[i].value;
    fail_msg("no header %s", name);
    return NULL;
}

static int send_to_double(void *ctx, const struct fetch_request *request, fetch_done *done, void *done_ctx,
                          struct err *err) {
    if (refuse_sends) return err_set(err, ERR_NOT_ALLOWED, "the server may not send requests to it");
    assert_true(posted_count < POSTED_MAX);
    struct posted *to = &posted[posted_count++];
    *to = (struct posted){.done = done, .ctx = done_ctx};
    assert_string_equal(request->method, "POST");
    assert_string_equal(header_of(request, "Content-Type"), "application/json");
    snprintf(to->url, sizeof(to->url), "%s", request->url);
    snprintf(to->id, sizeof(to->id), "%s", header_of(request, "webhook-id"));
    snprintf(to->timestamp, sizeof(to->timestamp), "%s", header_of(request, "webhook-timestamp"));
    snprintf(to->signature, sizeof(to->signature), "%s", header_of(request, "webhook-signature"));
    snprintf(to->body, sizeof(to->body), "%.*s", (int)request->body.len, request->body.ptr);
    json_t *json = NULL;
    assert_int_equal(json_parse(request->body.ptr, request->body.len, 4, &json, NULL), 0);
    snprintf(to->type, sizeof(to->type), "%s", json_get_text(json, "type"));
    json_decref(json);
    return 0;
}

/* ---- the story's means ---- */

static void new_notifier(void) {
    struct notifier_options options = {.ops = &world.ops, .send = send_to_double};
    notifier_free(notifier);
    notifier = NULL;
    assert_int_equal(notifier_new(&options, &notifier, NULL), 0);
}

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:notify%d", number++);
    fault = (struct db_fault){0};
    struct store_options options = {.url = url, .wrap = wrap, .wrap_ctx = &fault};
    world_open(&world, &options);
    posted_count = 0;
    refuse_sends = false;
    static const char *const agents[] = {"billing", "support"}, *const environments[] = {"production", "staging"};
    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        world_push(&world, agents[i], "one");
        world_push(&world, agents[i], "two");
    }
    for (size_t i = 0; i < ARRAY_LEN(environments); i++) {
        char params[256];
        snprintf(params, sizeof(params), "{'environment':'%s'}", environments[i]);
        world_do(&world, "environment_put", params);
        for (size_t j = 0; j < ARRAY_LEN(agents); j++) {
            snprintf(params, sizeof(params), "{'agent':'%s','environment':'%s','version':1,'reason':''}", agents[j],
                     environments[i]);
            world_do(&world, "deploy", params);
        }
    }
    new_notifier();
    return 0;
}

static int teardown(void **state) {
    notifier = notifier_free(notifier);
    world_close(&world);
    return 0;
}

static int look(void) {
    struct err err = ERR_INIT;
    int wait_ms;
    if (notifier_look(notifier, &wait_ms, &err) < 0) fail_msg("%s", err.message);
    return wait_ms;
}

static void hook(const char *name, const char *more) {
    char params[400];
    snprintf(params, sizeof(params), "{'webhook':'%s','url':'https://hooks.example/%s'%s}", name, name, more);
    world_do(&world, "webhook_put", params);
}

static void start_in(const char *agent, const char *environment) {
    char params[256];
    snprintf(params, sizeof(params),
             "{'agent':'%s','environment':'%s','version':2,'reason':'try','steps':[{'share':10},{'share':50}]}", agent,
             environment);
    world_do(&world, "rollout_start", params);
}

static void move(const char *op) {
    char params[128];
    snprintf(params, sizeof(params), "{'agent':'support','rollout':'production','reason':'because'}");
    world_do(&world, op, params);
}

/* The message posted last, which has not ended. */
static struct posted *newest(void) {
    assert_true(posted_count > 0);
    return &posted[posted_count - 1];
}

static void answer_to(struct posted *of, int status) {
    struct fetch_answer answer = {.status = status};
    struct err err = ERR_INIT;
    int r = status ? 0 : err_set(&err, ERR_TIMEOUT, "no answer in time");
    assert_false(of->ended);
    of->ended = true;
    of->done(of->ctx, r, &answer, &err);
}

static void answer(int status) {
    answer_to(newest(), status);
}

/* Looks and answers 200 until there is nothing to post: the types in order. */
static const char *take_all(void) {
    static char types[600];
    size_t len = 0;
    *types = 0;
    for (size_t before = posted_count;; before = posted_count) {
        look();
        if (posted_count == before) return types;
        assert_int_equal(posted_count, before + 1); /* one at a time */
        len += (size_t)snprintf(types + len, sizeof(types) - len, "%s%s", len ? " " : "", newest()->type);
        answer(200);
    }
}

static const char *member(const char *name, const char *key) {
    char params[64];
    snprintf(params, sizeof(params), "{'webhook':'%s'}", name);
    const char *text = json_get_text(world_do(&world, "webhook_get", params), key);
    return text ? text : "";
}

static int64_t delivered(const char *name) {
    (void)member(name, "state");
    return json_integer_value(json_get(world.answer, "delivered"));
}

/* ---- order and filters ---- */

static void test_moves_come_in_order_and_one_at_a_time(void **state) {
    hook("chat", "");
    start_in("support", "production");
    move("rollout_pause");
    move("rollout_resume");
    int64_t resumed = world_seq(&world);
    move("rollout_advance");
    look();
    assert_int_equal(posted_count, 1);
    assert_string_equal(newest()->url, "https://hooks.example/chat");
    look();
    assert_int_equal(posted_count, 1); /* as long as it is not answered */
    answer(204);
    assert_string_equal(take_all(), "rollout.paused rollout.resumed rollout.advanced");
    assert_int_equal(delivered("chat"), resumed + 1);
    move("rollout_promote");
    start_in("support", "staging");
    assert_string_equal(take_all(), "rollout.promoted rollout.started");
    assert_int_equal(look(), 30000);
}

static void test_a_new_one_begins_at_the_present(void **state) {
    start_in("support", "production");
    hook("chat", "");
    assert_string_equal(take_all(), "");
    move("rollout_abort");
    assert_string_equal(take_all(), "rollout.aborted");
}

static void test_filters(void **state) {
    hook("none", ",'agent':'billing','environment':'staging'");
    assert_string_equal(take_all(), "");
    start_in("support", "production");
    move("rollout_abort");
    assert_string_equal(take_all(), "");
    start_in("billing", "staging");
    assert_string_equal(take_all(), "rollout.started");
    hook("none", ",'events':['rollout.aborted']");
    start_in("support", "production");
    move("rollout_pause");
    move("rollout_abort");
    assert_string_equal(take_all(), "rollout.aborted");
}

static void test_much_to_pass_over(void **state) {
    hook("chat", ",'events':['rollout.promoted']");
    for (int i = 0; i < 40; i++) {
        start_in("support", "production");
        move("rollout_abort");
    }
    assert_string_equal(take_all(), "");
    start_in("support", "production");
    move("rollout_promote");
    assert_string_equal(take_all(), "rollout.promoted");
}

/* A release ends the rollouts of all its agents in one change. */
static void test_several_moves_of_one_change(void **state) {
    hook("chat", "");
    start_in("support", "production");
    start_in("billing", "production");
    assert_string_equal(take_all(), "rollout.started rollout.started");
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'support','version':2},{'agent':'billing',"
             "'version':2}]}");
    look();
    answer(200);
    look();
    assert_string_equal(newest()->type, "rollout.aborted");
    new_notifier(); /* the program ends between the two */
    size_t before = posted_count;
    assert_string_equal(take_all(), "rollout.aborted");
    assert_string_equal(posted[before].id, posted[before - 1].id);
    assert_string_not_equal(posted[before].id, posted[before - 2].id);
}

/* ---- failures ---- */

static void test_it_is_tried_again_with_the_same_id(void **state) {
    static const int answers[] = {500, 302, 0, 404};
    hook("chat", "");
    start_in("support", "production");
    move("rollout_pause");
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        look();
        assert_int_equal(posted_count, i + 1);
        assert_string_equal(newest()->id, posted[0].id);
        assert_string_equal(newest()->body, posted[0].body);
        answer(answers[i]);
        int wait_ms = look();
        assert_int_equal(posted_count, i + 1);
        assert_in_range(wait_ms, 0, 5000 << i);
        assert_string_equal(member("chat", "state"), "failing");
        assert_int_equal(json_integer_value(json_get(world.answer, "attempts")), i + 1);
        clock_fake_advance(&world.clock, (5 << i) * SECOND);
    }
    assert_string_equal(member("chat", "last_error"), "it answered 404");
    assert_string_equal(take_all(), "rollout.started rollout.paused");
    assert_string_not_equal(posted[4].timestamp, posted[0].timestamp);
    assert_string_not_equal(posted[4].signature, posted[0].signature);
    assert_string_equal(member("chat", "state"), "on");
    struct notifier_stats stats;
    notifier_stats(notifier, &stats);
    assert_int_equal(stats.failed, 4);
    assert_int_equal(stats.delivered, 2);
    assert_int_equal(stats.failing, 0);
}

static void test_none_waits_for_another(void **state) {
    hook("bad", "");
    hook("good", "");
    start_in("support", "production");
    move("rollout_pause");
    look();
    assert_int_equal(posted_count, 2);
    struct posted *bad = &posted[0], *good = &posted[1];
    assert_string_equal(bad->url, "https://hooks.example/bad");
    answer_to(good, 200); /* the other one has not even answered */
    look();
    assert_int_equal(posted_count, 3);
    assert_string_equal(newest()->type, "rollout.paused");
    answer(200);
    answer_to(bad, 500);
    look();
    struct notifier_stats stats;
    notifier_stats(notifier, &stats);
    assert_int_equal(stats.failing, 1);
    assert_string_equal(member("good", "state"), "on");
    assert_string_equal(member("bad", "state"), "failing");
}

static void test_what_cannot_begin_has_failed(void **state) {
    hook("chat", "");
    start_in("support", "production");
    refuse_sends = true;
    assert_int_equal(look(), 0);
    look();
    assert_string_equal(member("chat", "last_error"), "the server may not send requests to it");
    refuse_sends = false;
    clock_fake_advance(&world.clock, 5 * SECOND);
    assert_string_equal(take_all(), "rollout.started");
}

static void test_gone_and_put_again(void **state) {
    hook("chat", "");
    start_in("support", "production");
    look();
    answer(410);
    look();
    assert_string_equal(member("chat", "state"), "disabled");
    move("rollout_pause");
    clock_fake_advance(&world.clock, 30 * DAY);
    assert_string_equal(take_all(), "");
    new_notifier();
    assert_string_equal(take_all(), "");
    hook("chat", "");
    assert_string_equal(take_all(), "rollout.started rollout.paused");
    assert_string_equal(posted[1].id, posted[0].id);
}

static void test_given_up_after_three_days(void **state) {
    hook("chat", "");
    start_in("support", "production");
    int64_t from = clock_wall(&world.clock);
    while (!*member("chat", "disabled_at")) {
        posted_count = 0;
        look();
        if (posted_count) answer(503);
        look();
        clock_fake_advance(&world.clock, 3600 * SECOND);
    }
    assert_in_range(clock_wall(&world.clock) - from, 3 * DAY, 3 * DAY + 3 * 3600 * SECOND);
    assert_int_equal(look(), 30000);
}

/* ---- ends and new beginnings ---- */

static void test_what_was_not_noted_comes_again(void **state) {
    hook("chat", "");
    start_in("support", "production");
    move("rollout_pause");
    look();
    answer(200); /* and the program ends before it notes that */
    new_notifier();
    assert_string_equal(take_all(), "rollout.started rollout.paused");
    assert_string_equal(posted[1].id, posted[0].id);
    new_notifier();
    assert_string_equal(take_all(), "");
}

static void test_a_store_that_fails(void **state) {
    struct err err = ERR_INIT;
    int wait_ms;
    hook("chat", "");
    start_in("support", "production");
    look();
    answer(200);
    for (uint64_t n = 1; n < 4; n++) {
        fault = (struct db_fault){.fail_at = n, .code = ERR_STORE_FULL};
        assert_int_equal(notifier_look(notifier, &wait_ms, &err), -ERR_STORE_FULL);
        assert_int_equal(wait_ms, 1000);
    }
    fault = (struct db_fault){0};
    move("rollout_pause");
    assert_string_equal(take_all(), "rollout.paused"); /* the first is not posted again */
    assert_int_equal(posted_count, 2);
}

static void test_replaced_while_a_message_is_under_way(void **state) {
    hook("chat", "");
    start_in("support", "production");
    look();
    struct posted *old = newest();
    world_do(&world, "webhook_put", "{'webhook':'chat','url':'https://hooks.example/new'}");
    look();
    assert_int_equal(posted_count, 2);
    assert_string_equal(newest()->url, "https://hooks.example/new");
    assert_string_equal(newest()->id, old->id);
    answer_to(old, 200);
    look();
    answer_to(&posted[1], 500);
    look();
    assert_string_equal(member("chat", "state"), "failing");
    clock_fake_advance(&world.clock, 5 * SECOND);
    assert_string_equal(take_all(), "rollout.started");
}

static void test_removed_while_a_message_is_under_way(void **state) {
    hook("chat", "");
    start_in("support", "production");
    look();
    world_do(&world, "webhook_delete", "{'webhook':'chat'}");
    look();
    answer(500);
    assert_string_equal(take_all(), "");
    hook("chat", "");
    assert_string_equal(take_all(), "");
    move("rollout_pause");
    assert_string_equal(take_all(), "rollout.paused");
}

static void test_signatures(void **state) {
    char secret[WEBHOOK_SECRET_SIZE], expected[WEBHOOK_SIGNATURE_SIZE];
    hook("chat", "");
    snprintf(secret, sizeof(secret), "%s", json_get_text(world.answer, "secret"));
    start_in("support", "production");
    look();
    struct posted *first = newest();
    int64_t at = strtoll(first->timestamp, NULL, 10);
    assert_int_equal(at, clock_wall(&world.clock) / SECOND);
    assert_int_equal(webhook_sign(secret, first->id, at, slice_of(first->body), expected, NULL), 0);
    assert_string_equal(first->signature, expected);
    answer(200);
    world_do(&world, "webhook_rotate", "{'webhook':'chat'}");
    move("rollout_pause");
    look();
    assert_int_equal(strlen(newest()->signature), 47 + 1 + 47);
    answer(200);
    clock_fake_advance(&world.clock, DAY);
    move("rollout_abort");
    look();
    assert_int_equal(strlen(newest()->signature), 47);
    answer(200);
}

/* ---- the thread ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sent = PTHREAD_COND_INITIALIZER;
static int sends;

static int send_and_tell(void *ctx, const struct fetch_request *request, fetch_done *done, void *done_ctx,
                         struct err *err) {
    pthread_mutex_lock(&lock);
    sends++;
    pthread_cond_signal(&sent);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void news(void *ctx) {
    if (notifier) notifier_wake(notifier);
}

/* It posts when it is woken, and ends while nobody answers. */
static void test_the_thread_is_woken_and_ends(void **state) {
    struct notifier_options options = {.ops = &world.ops, .send = send_and_tell};
    struct live_options live = {
        .store = world.store, .publisher = world.publisher, .clock = &world.clock, .news = news};
    notifier = notifier_free(notifier);
    live_free(world.live);
    assert_int_equal(live_new(&live, &world.live, NULL), 0);
    world.ops.live = world.live;
    sends = 0;
    assert_int_equal(notifier_new(&options, &notifier, NULL), 0);
    assert_int_equal(notifier_start(notifier, NULL), 0);
    hook("chat", "");
    start_in("support", "production");
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20; /* less than it would sleep */
    pthread_mutex_lock(&lock);
    for (int r = 0; !sends && r == 0;)
        r = pthread_cond_timedwait(&sent, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(sends, 1);
    notifier = notifier_free(notifier);
    assert_string_equal(member("chat", "state"), "on");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_moves_come_in_order_and_one_at_a_time),
        TEST(test_a_new_one_begins_at_the_present),
        TEST(test_filters),
        TEST(test_much_to_pass_over),
        TEST(test_several_moves_of_one_change),
        TEST(test_it_is_tried_again_with_the_same_id),
        TEST(test_none_waits_for_another),
        TEST(test_what_cannot_begin_has_failed),
        TEST(test_gone_and_put_again),
        TEST(test_given_up_after_three_days),
        TEST(test_what_was_not_noted_comes_again),
        TEST(test_a_store_that_fails),
        TEST(test_replaced_while_a_message_is_under_way),
        TEST(test_removed_while_a_message_is_under_way),
        TEST(test_signatures),
        TEST(test_the_thread_is_woken_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
