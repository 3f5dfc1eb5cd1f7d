/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks through the door: who may make them, where to, what is shown of them, and where their secrets do not go. */
#include "ops/test_world.h"
#include "store/webhooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct world world;

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:webhooks%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_do(&world, "environment_put", "{'environment':'staging'}");
    world_push(&world, "support", "one");
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

static const char *text_at(const char *pointer) {
    return json_string_value(json_at(world.answer, pointer));
}

#define CHAT "'webhook':'chat','url':'https://hooks.example/T0K3N'"

struct found {
    struct arena arena;
    struct webhook webhook;
};

static int read_stored(void *arg, struct store_tx *tx, struct err *err) {
    struct found *found = arg;
    return store_webhook_get(tx, "chat", &found->arena, &found->webhook, err);
}

static struct found stored(void) {
    struct found found = {0};
    assert_int_equal(store_read(world.store, read_stored, &found, &world.err), 0);
    return found;
}

/* Nothing that the world can be asked tells the text. */
static void assert_untold(const char *secret) {
    static const char *const questions[][2] = {
        {"webhook_list", "{}"}, {"webhook_get", "{'webhook':'chat'}"}, {"audit_list", "{'limit':1000}"}};
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        world_do(&world, questions[i][0], questions[i][1]);
        char *text = json_dumps(world.answer, 0);
        assert_non_null(text);
        assert_null(strstr(text, secret));
        free(text);
    }
}

static void test_a_webhook_is_made_and_shown(void **state) {
    world_do(&world, "webhook_put",
             "{" CHAT ",'environment':'production','agent':'support','events':['rollout.held','rollout.started']}");
    assert_int_equal(world.status, 201);
    assert_int_equal(strlen(text_at("/secret")), 50);
    assert_string_equal(text_at("/webhook/state"), "on");
    int64_t seq = world_seq(&world);
    assert_int_equal(json_integer_value(json_at(world.answer, "/webhook/delivered")), seq);
    world_do(&world, "webhook_get", "{'webhook':'chat'}");
    assert_string_equal(text_at("/url"), "https://hooks.example/T0K3N");
    assert_string_equal(text_at("/environment"), "production");
    assert_string_equal(text_at("/agent"), "support");
    assert_string_equal(text_at("/events/0"), "rollout.started");
    assert_int_equal(json_array_size(json_at(world.answer, "/events")), 2);
    assert_int_equal(json_integer_value(json_at(world.answer, "/delivered")), seq);
    world_do(&world, "webhook_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/webhooks")), 1);
}

static void test_replacing_keeps_secret_and_place(void **state) {
    world_do(&world, "webhook_put", "{" CHAT "}");
    struct found before = stored();
    world_do(&world, "webhook_put", "{" CHAT "}");
    assert_int_equal(world.status, 200);
    assert_true(json_is_false(json_at(world.answer, "/changed")));
    assert_null(json_at(world.answer, "/secret"));
    world_push(&world, "support", "two");
    world_do(&world, "webhook_put", "{" CHAT ",'events':['*'],'environment':'staging'}");
    assert_true(json_is_true(json_at(world.answer, "/changed")) && json_is_false(json_at(world.answer, "/created")));
    assert_null(json_at(world.answer, "/secret"));
    struct found after = stored();
    assert_string_equal(after.webhook.secret, before.webhook.secret);
    assert_int_equal(after.webhook.delivery.delivered, before.webhook.delivery.delivered);
    assert_int_equal(json_integer_value(json_at(world.answer, "/webhook/delivered")), after.webhook.delivery.delivered);
    arena_deinit(&before.arena);
    arena_deinit(&after.arena);
}

static int disable(void *arg, struct store_tx *tx, struct err *err) {
    struct webhook_delivery *delivery = arg;
    delivery->attempts = 1;
    delivery->disabled_at = delivery->failing_since = 5;
    delivery->error = "answered 410";
    return store_webhook_delivery_put(tx, "chat", delivery, err);
}

static void test_a_disabled_one_is_enabled_by_putting_it_again(void **state) {
    world_do(&world, "webhook_put", "{" CHAT "}");
    struct found found = stored();
    assert_int_equal(store_record(world.store, disable, &found.webhook.delivery, &world.err), 0);
    arena_deinit(&found.arena);
    world_do(&world, "webhook_get", "{'webhook':'chat'}");
    assert_string_equal(text_at("/state"), "disabled");
    assert_string_equal(text_at("/last_error"), "answered 410");
    assert_non_null(text_at("/disabled_at"));
    assert_null(text_at("/next_attempt_at"));
    world_do(&world, "webhook_put", "{" CHAT "}");
    assert_true(json_is_true(json_at(world.answer, "/changed")));
    assert_string_equal(text_at("/webhook/state"), "on");
    world_do(&world, "webhook_get", "{'webhook':'chat'}");
    assert_string_equal(text_at("/state"), "on");
}

static void test_where_it_may_go(void **state) {
    static const struct {
        const char *url;
        enum err_code code;
    } wrong[] = {
        {"https://elsewhere.example/x", ERR_NOT_ALLOWED}, {"http://hooks.example/x", ERR_NOT_ALLOWED},
        {"https://hooks.example:444/x", ERR_NOT_ALLOWED}, {"ftp://hooks.example/x", ERR_INVALID},
        {"https://me:pw@hooks.example/", ERR_INVALID},    {"chat", ERR_INVALID},
    };
    int64_t seq = world_seq(&world);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char params[200];
        snprintf(params, sizeof(params), "{'webhook':'chat','url':'%s'}", wrong[i].url);
        assert_int_equal(world_call(&world, "webhook_put", params), wrong[i].code);
        assert_string_equal(world.err.at, "/url");
        if (wrong[i].code == ERR_NOT_ALLOWED) assert_non_null(strstr(world.err.remedy, "outgoing_allow"));
    }
    assert_int_equal(world_seq(&world), seq);
}

static void test_what_it_is_about_must_exist(void **state) {
    assert_int_equal(world_call(&world, "webhook_put", "{" CHAT ",'environment':'nowhere'}"),
                     ERR_ENVIRONMENT_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_put", "{" CHAT ",'agent':'nobody'}"), ERR_AGENT_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_get", "{'webhook':'chat'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_rotate", "{'webhook':'chat'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_delete", "{'webhook':'chat'}"), ERR_NOT_FOUND);
}

static void test_secrets_are_told_once(void **state) {
    char first[WEBHOOK_SECRET_SIZE];
    world.idempotency_key = "once";
    world_do(&world, "webhook_put", "{" CHAT "}");
    snprintf(first, sizeof(first), "%s", text_at("/secret"));
    world_do(&world, "webhook_put", "{" CHAT "}");
    assert_true(world.replayed);
    assert_null(text_at("/secret"));
    world.idempotency_key = NULL;
    world.dry_run = true;
    world_do(&world, "webhook_rotate", "{'webhook':'chat'}");
    assert_null(text_at("/secret"));
    world_do(&world, "webhook_put", "{'webhook':'other','url':'https://hooks.example/'}");
    assert_null(text_at("/secret"));
    world.dry_run = false;
    assert_untold(first);
    assert_untold("whsec_");
}

/* Viewers read the audit: a token in a URL is nothing for them. */
static void test_the_audit_has_the_origin(void **state) {
    world_do(&world, "webhook_put", "{" CHAT ",'environment':'staging'}");
    world_do(&world, "webhook_rotate", "{'webhook':'chat'}");
    world_do(&world, "webhook_delete", "{'webhook':'chat'}");
    world_do(&world, "audit_list", "{'limit':1000}");
    char *text = json_dumps(world.answer, 0);
    assert_null(strstr(text, "T0K3N"));
    free(text);
    json_t *entries = json_get(world.answer, "entries");
    for (size_t back = 1; back <= 3; back++) {
        const json_t *entry = json_array_get(entries, json_array_size(entries) - back);
        assert_string_equal(json_string_value(json_at(entry, "/detail/origin")), "https://hooks.example");
        assert_string_equal(json_string_value(json_at(entry, "/environment")), "staging");
        assert_int_equal(strlen(json_string_value(json_at(entry, "/detail/url_hash"))), 71);
    }
}

static void test_a_new_secret_overlaps_with_the_old_one(void **state) {
    world_do(&world, "webhook_put", "{" CHAT "}");
    struct found before = stored();
    world_do(&world, "webhook_rotate", "{'webhook':'chat'}");
    assert_int_equal(world.status, 200);
    struct found after = stored();
    assert_string_equal(after.webhook.secret, text_at("/secret"));
    assert_string_equal(after.webhook.previous, before.webhook.secret);
    assert_int_equal(after.webhook.previous_until, clock_wall(&world.clock) + WEBHOOK_SECRET_OVERLAP);
    assert_non_null(text_at("/webhook/previous_secret_until"));
    clock_fake_advance(&world.clock, WEBHOOK_SECRET_OVERLAP);
    world_do(&world, "webhook_get", "{'webhook':'chat'}");
    assert_null(text_at("/previous_secret_until"));
    arena_deinit(&before.arena);
    arena_deinit(&after.arena);
}

static void test_keys_for_some_environments(void **state) {
    static const char *const here[] = {"staging", NULL}, *const both[] = {"production", "staging", NULL};
    struct principal one = {.id = "k2", .name = "bob", .role = ROLE_ADMIN, .environments = here}, two = one;
    two.environments = both;
    world_do(&world, "webhook_put", "{" CHAT "}");
    world_do(&world, "webhook_put", "{'webhook':'prod','url':'https://hooks.example/','environment':'production'}");
    world.as = &one;
    world_do(&world, "webhook_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/webhooks")), 0);
    assert_int_equal(world_call(&world, "webhook_get", "{'webhook':'chat'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_rotate", "{'webhook':'prod'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_delete", "{'webhook':'chat'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "webhook_put", "{" CHAT "}"), ERR_CONFLICT);
    world_do(&world, "webhook_put", "{'webhook':'mine','url':'https://hooks.example/'}");
    assert_string_equal(text_at("/webhook/environment"), "staging");
    world.as = &two;
    assert_int_equal(world_call(&world, "webhook_put", "{'webhook':'ours','url':'https://hooks.example/'}"),
                     ERR_MISSING_FIELD);
    world_do(&world, "webhook_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/webhooks")), 2);
}

static void test_there_is_an_end_of_them(void **state) {
    char params[100];
    for (int i = 0; i < WEBHOOKS_MAX; i++) {
        snprintf(params, sizeof(params), "{'webhook':'w%d','url':'https://hooks.example/'}", i);
        world_do(&world, "webhook_put", params);
    }
    assert_int_equal(world_call(&world, "webhook_put", "{" CHAT "}"), ERR_CONFLICT);
    world_do(&world, "webhook_put", "{'webhook':'w7','url':'https://hooks.example/x'}");
    world_do(&world, "webhook_delete", "{'webhook':'w7'}");
    world_do(&world, "webhook_put", "{" CHAT "}");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_webhook_is_made_and_shown),
        TEST(test_replacing_keeps_secret_and_place),
        TEST(test_a_disabled_one_is_enabled_by_putting_it_again),
        TEST(test_where_it_may_go),
        TEST(test_what_it_is_about_must_exist),
        TEST(test_secrets_are_told_once),
        TEST(test_the_audit_has_the_origin),
        TEST(test_a_new_secret_overlaps_with_the_old_one),
        TEST(test_keys_for_some_environments),
        TEST(test_there_is_an_end_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
