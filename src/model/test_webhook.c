/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a rollout's moves, sets of them, and signatures against the example of Standard Webhooks' own tests. */
#include "model/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *type_of(const char *action, enum rollout_state state) {
    struct rollout_move move = {.action = action, .state = state};
    enum rollout_event event;
    return rollout_event_of(&move, &event) ? rollout_event_type(event) : "";
}

static void test_every_move_has_its_event(void **state) {
    assert_string_equal(type_of("start", ROLLOUT_RUNNING), "rollout.started");
    assert_string_equal(type_of("advance", ROLLOUT_RUNNING), "rollout.advanced");
    assert_string_equal(type_of("hold", ROLLOUT_HELD), "rollout.held");
    assert_string_equal(type_of("pause", ROLLOUT_PAUSED), "rollout.paused");
    assert_string_equal(type_of("resume", ROLLOUT_RUNNING), "rollout.resumed");
    assert_string_equal(type_of("promote", ROLLOUT_PROMOTED), "rollout.promoted");
    assert_string_equal(type_of("rollback", ROLLOUT_ROLLED_BACK), "rollout.rolled_back");
    assert_string_equal(type_of("abort", ROLLOUT_ABORTED), "rollout.aborted");
    assert_string_equal(type_of("end", ROLLOUT_ABORTED), "rollout.aborted");
    assert_string_equal(type_of("end", ROLLOUT_PROMOTED), "rollout.promoted");
    assert_string_equal(type_of("wave", ROLLOUT_RUNNING), "");
}

static int read_set(const char *text, uint32_t *ret, struct err *err) {
    json_t *list = NULL;
    assert_int_equal(json_parse(text, strlen(text), 3, &list, NULL), 0);
    int r = events_read(list, "/events", ret, err);
    json_decref(list);
    return r;
}

static void assert_same_set(const char *text, const char *expected) {
    char written[EVENTS_TEXT_SIZE];
    struct err err = ERR_INIT;
    uint32_t events;
    assert_int_equal(read_set(text, &events, &err), 0);
    events_write(events, written);
    assert_string_equal(written, expected);
}

static void test_sets(void **state) {
    assert_same_set("[\"*\"]", "[\"*\"]");
    assert_same_set("[\"rollout.aborted\",\"rollout.started\"]", "[\"rollout.started\",\"rollout.aborted\"]");
    assert_same_set("[]", "[]");
    for (int event = 0; event < EVENT_COUNT_; event++) {
        char text[EVENTS_TEXT_SIZE];
        events_write(UINT32_C(1) << event, text);
        assert_same_set(text, text);
    }
    char longest[EVENTS_TEXT_SIZE];
    events_write(EVENTS_ALL - 1, longest);
    assert_same_set(longest, longest);
}

static void test_wrong_sets(void **state) {
    static const char *const wrong[] = {"[\"rollout.started\",\"rollout.ended\"]", "[\"*\",1]",
                                        "[\"*\",\"rollout.held\"]", "[\"rollout.held\",\"rollout.held\"]"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = ERR_INIT;
        uint32_t events;
        assert_int_equal(read_set(wrong[i], &events, &err), -ERR_INVALID);
        assert_string_equal(err.at, "/events/1");
        for (int event = 0; event < EVENT_COUNT_; event++)
            assert_non_null(strstr(err.remedy, rollout_event_type((enum rollout_event)event)));
    }
}

/* The example that the libraries of Standard Webhooks test themselves with. */
static void test_signature_of_the_example(void **state) {
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct slice body = SLICE_LIT("{\"test\": 2432232314}");
    assert_int_equal(webhook_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                                  body, signature, NULL),
                     0);
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void test_secrets(void **state) {
    char one[WEBHOOK_SECRET_SIZE], other[WEBHOOK_SECRET_SIZE], signature[WEBHOOK_SIGNATURE_SIZE];
    assert_int_equal(webhook_secret_new(one, NULL), 0);
    assert_int_equal(webhook_secret_new(other, NULL), 0);
    assert_int_equal(strlen(one), 50);
    assert_memory_equal(one, "whsec_", 6);
    assert_string_not_equal(one, other);
    assert_int_equal(webhook_sign(one, "msg_1", 1, SLICE_LIT("{}"), signature, NULL), 0);

    static const char *const wrong[] = {"",
                                        "whsec_",
                                        "whsec",
                                        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                        "whsec_MfKQ9r8GKYqrTw",
                                        "whsec_****",
                                        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(webhook_sign(wrong[i], "msg_1", 1, SLICE_LIT("{}"), signature, NULL), -ERR_STORE_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_move_has_its_event),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_wrong_sets),
        cmocka_unit_test(test_signature_of_the_example),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
