/* SPDX-License-Identifier: Apache-2.0 */
/* What is posted, and what comes of an attempt. */
#include "notify/notify_impl.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1790000000123456)
#define DAY (INT64_C(24) * 3600 * 1000000)

/* ---- messages ---- */

static const struct store_told_move told = {
    .move = {.rollout = "0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10",
             .state = ROLLOUT_ROLLED_BACK,
             .step = 1,
             .share = 12345,
             .action = "rollback",
             .words = "worse: \"ratio\" 2.9",
             .created_by = "controller",
             .created_at = NOW,
             .seq = 1207},
    .agent = "support",
    .environment = "production",
    .candidate = 43,
    .stable = 42,
    .position = {2, 1207},
};

static void test_the_form_of_a_message(void **state) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    char id[MESSAGE_ID_SIZE];
    message_body(&told, EVENT_ROLLED_BACK, &body);
    assert_string_equal(body.data, "{\"type\":\"rollout.rolled_back\",\"timestamp\":\"2026-09-21T14:13:20.123456Z\","
                                   "\"data\":{\"agent\":\"support\","
                                   "\"environment\":\"production\",\"rollout\":\"0191f3a0-7c1d-7e1a-9b1f-"
                                   "2f6a54c0aa10\",\"candidate\":43,\"stable\":42,"
                                   "\"step\":2,\"share\":12.345,\"state\":\"rolled_back\",\"action\":\"rollback\","
                                   "\"words\":\"worse: \\\"ratio\\\" "
                                   "2.9\",\"by\":\"controller\",\"position\":\"2.1207\"}}");
    message_id(&told, id);
    assert_string_equal(id, "msg_0191f3a0-7c1d-7e1a-9b1f-2f6a54c0aa10_2_1207");
    assert_null(strchr(id, '.'));
}

static void test_the_previous_secret_signs_for_a_while(void **state) {
    static const char example[] = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    struct webhook webhook = {.secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                              .previous = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                              .previous_until = INT64_C(1614265330999999) + 1};
    struct slice body = SLICE_LIT("{\"test\": 2432232314}");
    const char *id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    for (int late = 0; late < 2; late++) {
        _cleanup_(str_deinit) struct str out = STR_INIT;
        assert_int_equal(message_sign(&webhook, id, INT64_C(1614265330999999) + late, body, &out, NULL), 0);
        assert_int_equal(out.len, late ? 47 : 47 + 1 + 47);
        if (!late) assert_string_equal(out.data + 48, example);
        if (!late) assert_string_not_equal(out.data, example);
    }
    webhook.secret = "none";
    _cleanup_(str_deinit) struct str out = STR_INIT;
    assert_int_equal(message_sign(&webhook, id, NOW, body, &out, NULL), -ERR_STORE_CORRUPT);
}

/* ---- attempts ---- */

static void test_a_message_that_was_taken(void **state) {
    char error[DELIVERY_ERROR_SIZE];
    for (int status = 200; status < 300; status += 99) {
        struct webhook_delivery delivery = {.attempts = 3, .failing_since = 5, .next_at = 6, .error = "x"};
        delivery_note(&delivery, &(struct attempt){.status = status, .now = NOW}, error);
        assert_int_equal(delivery.attempts + delivery.failing_since + delivery.next_at + delivery.disabled_at, 0);
        assert_int_equal(delivery.delivered_at, NOW);
        assert_string_equal(delivery.error, "");
        assert_true(delivery_due(&delivery, NOW));
    }
}

/* The span doubles from 5 s up to an hour; the moment lies anywhere in it. */
static void test_it_is_tried_later_and_later(void **state) {
    struct webhook_delivery delivery = {.error = ""};
    char error[DELIVERY_ERROR_SIZE];
    int64_t span = RETRY_FIRST, since = NOW;
    for (int i = 1; i <= 15; i++, span = span * 2 < RETRY_LAST ? span * 2 : RETRY_LAST) {
        struct webhook_delivery least = delivery, most = delivery;
        delivery_note(&least, &(struct attempt){.status = 500, .now = NOW, .chance = 0}, error);
        delivery_note(&most, &(struct attempt){.status = 500, .now = NOW, .chance = (uint64_t)span}, error);
        assert_int_equal(least.next_at, NOW);
        assert_int_equal(most.next_at, NOW + span);
        delivery_note(&delivery, &(struct attempt){.status = 500, .now = NOW, .chance = UINT64_MAX - 7}, error);
        assert_in_range(delivery.next_at, NOW, NOW + span);
        assert_int_equal(delivery.attempts, i);
        assert_int_equal(delivery.failing_since, since);
        assert_false(delivery_due(&most, NOW + span - 1));
        assert_true(delivery_due(&most, NOW + span));
    }
    assert_int_equal(span, RETRY_LAST);
    assert_int_equal(delivery.disabled_at, 0);
}

static void test_it_waits_as_long_as_it_is_asked_to(void **state) {
    static const struct {
        int status;
        int64_t asked_s, waits_s;
    } cases[] = {{503, 120, 120}, {429, 1, 1},   {503, 0, 0},        {503, -5, 0},
                 {500, 120, 0},   {404, 120, 0}, {429, 86400, 3600}, {503, INT64_MAX, 3600}};
    char error[DELIVERY_ERROR_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct webhook_delivery delivery = {.error = ""};
        struct attempt attempt = {.status = cases[i].status, .retry_after_s = cases[i].asked_s, .now = NOW};
        delivery_note(&delivery, &attempt, error);
        assert_int_equal(delivery.next_at - NOW, cases[i].waits_s * 1000000);
        assert_true(delivery_due(&delivery, delivery.next_at));
    }
    struct webhook_delivery delivery = {.error = ""};
    delivery_note(&delivery, &(struct attempt){.status = 503, .retry_after_s = 1, .now = NOW, .chance = 4000000},
                  error);
    assert_int_equal(delivery.next_at - NOW, 4000000); /* chance keeps many webhooks of one receiver apart */
}

static void test_what_it_says(void **state) {
    struct webhook_delivery delivery = {.error = ""};
    char error[DELIVERY_ERROR_SIZE];
    delivery_note(&delivery, &(struct attempt){.status = 404, .now = NOW}, error);
    assert_string_equal(delivery.error, "it answered 404");
    delivery_note(&delivery, &(struct attempt){.status = 302, .now = NOW}, error);
    assert_string_equal(delivery.error, "it answered 302; redirects are not followed");
    delivery_note(&delivery, &(struct attempt){.why = "cannot reach it", .now = NOW}, error);
    assert_string_equal(delivery.error, "cannot reach it");
    assert_int_equal(delivery.delivered_at, 0);
}

static void test_gone_is_gone(void **state) {
    struct webhook_delivery delivery = {.error = ""};
    char error[DELIVERY_ERROR_SIZE];
    delivery_note(&delivery, &(struct attempt){.status = 410, .now = NOW}, error);
    assert_int_equal(delivery.disabled_at, NOW);
    assert_false(delivery_due(&delivery, NOW + 30 * DAY));
}

/* Three days, and tried often enough meanwhile: a server that was away for three days has tried once. */
static void test_given_up_after_days(void **state) {
    char error[DELIVERY_ERROR_SIZE];
    struct webhook_delivery often = {.attempts = 100, .failing_since = NOW, .error = ""}, seldom = often;
    seldom.attempts = 1;
    struct attempt failed = {.status = 500, .now = NOW + 3 * DAY - 1};
    delivery_note(&often, &failed, error);
    assert_int_equal(often.disabled_at, 0);
    failed.now++;
    delivery_note(&often, &failed, error);
    assert_int_equal(often.disabled_at, failed.now);
    for (int i = 2; i < FAILING_ATTEMPTS; i++)
        delivery_note(&seldom, &failed, error);
    assert_int_equal(seldom.disabled_at, 0);
    delivery_note(&seldom, &failed, error);
    assert_int_equal(seldom.disabled_at, failed.now);
}

static void test_a_clock_that_went_back(void **state) {
    struct webhook_delivery delivery = {.attempts = 1, .next_at = NOW + 30 * DAY, .error = ""};
    assert_true(delivery_due(&delivery, NOW));
    delivery.next_at = NOW + RETRY_LAST;
    assert_false(delivery_due(&delivery, NOW));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_form_of_a_message),
        cmocka_unit_test(test_the_previous_secret_signs_for_a_while),
        cmocka_unit_test(test_a_message_that_was_taken),
        cmocka_unit_test(test_it_is_tried_later_and_later),
        cmocka_unit_test(test_it_waits_as_long_as_it_is_asked_to),
        cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_gone_is_gone),
        cmocka_unit_test(test_given_up_after_days),
        cmocka_unit_test(test_a_clock_that_went_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
