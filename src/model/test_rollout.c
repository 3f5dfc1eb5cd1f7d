/* SPDX-License-Identifier: Apache-2.0 */
/* Rollouts: which moves are allowed, what they are called, durations, and the built-in templates. */
#include "model/rollout.h"
#include "model/test_kit.h"

static bool allowed(enum rollout_state from, enum rollout_state to) {
    return sm_check(&rollout_sm, from, to, NULL) == 0;
}

static void test_the_table_of_moves(void **state) {
    static const char expected[6][7] = {
        /* to: running, paused, held, promoted, rolled back, aborted */
        "-xxxxx", "x---xx", "x--xxx", "------", "------", "------",
    };
    for (int from = 0; from < 6; from++)
        for (int to = 0; to < 6; to++)
            if (allowed((enum rollout_state)from, (enum rollout_state)to) != (expected[from][to] == 'x'))
                fail_msg("%s to %s", rollout_state_name((enum rollout_state)from),
                         rollout_state_name((enum rollout_state)to));
}

static void test_refused_moves_say_what_is_allowed(void **state) {
    struct err err = ERR_INIT;
    assert_int_equal(sm_check(&rollout_sm, ROLLOUT_PAUSED, ROLLOUT_PROMOTED, &err), -ERR_CONFLICT);
    assert_string_equal(err.message,
                        "a rollout cannot go from paused to promoted, only to running (resume), rolled_back "
                        "(rollback), aborted (abort)");
    assert_int_equal(sm_check(&rollout_sm, ROLLOUT_ABORTED, ROLLOUT_RUNNING, &err), -ERR_CONFLICT);
    assert_string_equal(err.message, "a rollout cannot go from aborted to running: aborted is its end");
}

static void test_the_diagram_has_every_move(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    sm_diagram(&rollout_sm, &out);
    assert_non_null(strstr(out.data, "[*] --> running"));
    assert_non_null(strstr(out.data, "running --> held: hold"));
    assert_non_null(strstr(out.data, "held --> running: resume"));
    assert_non_null(strstr(out.data, "promoted --> [*]"));
    assert_null(strstr(out.data, "promoted --> running"));
}

static void test_states_have_names(void **state) {
    enum rollout_state found;
    for (int i = ROLLOUT_RUNNING; i <= ROLLOUT_ABORTED; i++) {
        assert_true(rollout_state_from_text(rollout_state_name((enum rollout_state)i), &found));
        assert_int_equal(found, i);
        assert_int_equal(rollout_is_open(found), i <= ROLLOUT_HELD);
    }
    assert_false(rollout_state_from_text("walking", &found));
    assert_false(rollout_state_from_text("", &found));
}

static const struct {
    const char *text;
    int64_t seconds; /* -1: none */
    const char *again;
} durations[] = {
    {"0s", 0, "0s"},
    {"1s", 1, "1s"},
    {"90s", 90, "1m30s"},
    {"10m", 600, "10m"},
    {"2h", 7200, "2h"},
    {"1h30m", 5400, "1h30m"},
    {"3d", 259200, "3d"},
    {"1d1s", 86401, "1d1s"},
    {"1d2h3m4s", 93784, "1d2h3m4s"},
    {"24h", 86400, "1d"},
    {"0d0h0m0s", 0, "0s"},
    {"007s", 7, "7s"},
    {"100000000s", 100000000, "1157d9h46m40s"},
    {"", -1, NULL},
    {"5", -1, NULL},
    {"m", -1, NULL},
    {"5x", -1, NULL},
    {"5M", -1, NULL},
    {"-5m", -1, NULL},
    {"+5m", -1, NULL},
    {"5 m", -1, NULL},
    {" 5m", -1, NULL},
    {"5m ", -1, NULL},
    {"1.5h", -1, NULL},
    {"5m5m", -1, NULL},
    {"5m1h", -1, NULL},
    {"5s1m", -1, NULL},
    {"5ms", -1, NULL},
    {"100000001s", -1, NULL},
    {"99999999999999999999s", -1, NULL},
    {"1h30", -1, NULL},
};

static void test_durations(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        int64_t found = -1;
        char text[DURATION_TEXT_SIZE];
        bool read = duration_from_text(durations[i].text, &found);
        if (read != (durations[i].seconds >= 0)) fail_msg("\"%s\"", durations[i].text);
        if (!read) continue;
        assert_int_equal(found, durations[i].seconds * 1000000);
        duration_text(found, text);
        assert_string_equal(text, durations[i].again);
    }
}

static void test_durations_written_are_read_again(void **state) {
    for (int64_t seconds = 0; seconds < 200000; seconds += 37) {
        char text[DURATION_TEXT_SIZE];
        int64_t again;
        duration_text(seconds * 1000000, text);
        assert_true(duration_from_text(text, &again));
        assert_int_equal(again, seconds * 1000000);
    }
}

static void test_built_in_templates_are_valid_and_ordered(void **state) {
    size_t count;
    const struct rollout_template *templates = rollout_templates(&count);
    bool has_default = false;
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        struct arena arena = ARENA_INIT;
        struct faults faults = FAULTS_INIT;
        struct rollout_plan plan;
        json_t *content = kit_json(templates[i].content);
        char *canonical = kit_text(content);
        assert_string_equal(canonical, templates[i].content);
        assert_int_equal(rollout_plan_parse(content, "", false, &arena, &plan, &faults, NULL), 0);
        kit_faults(templates[i].name, &faults, "");
        assert_true(plan.step_count >= 3);
        assert_true(plan.steps[plan.step_count - 1].share < SHARE_ALL); /* there is somebody to compare with */
        assert_true(plan.metrics[0].limit > 0);
        if (i) assert_true(strcmp(templates[i - 1].name, templates[i].name) < 0);
        has_default |= !strcmp(templates[i].name, ROLLOUT_TEMPLATE_DEFAULT);
        free(canonical);
        json_decref(content);
        faults_deinit(&faults);
        arena_deinit(&arena);
    }
    assert_true(has_default);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_of_moves),
        cmocka_unit_test(test_refused_moves_say_what_is_allowed),
        cmocka_unit_test(test_the_diagram_has_every_move),
        cmocka_unit_test(test_states_have_names),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_durations_written_are_read_again),
        cmocka_unit_test(test_built_in_templates_are_valid_and_ordered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
