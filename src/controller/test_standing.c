/* SPDX-License-Identifier: Apache-2.0 */
/* The members that are shown, from evidence made by hand. */
#include "controller/test_kit.h"

#include "base/json.h"
#include "controller/standing.h"

struct scene {
    struct rollout_plan plan;
    struct rollout_facts facts;
    struct str judged;
    json_t *shown;
};

/* 5 %: so many users in all, of whom every n-th fails in stable and every m-th in the candidate; 0: none. */
static void see(struct scene *scene, unsigned users, unsigned stable, unsigned candidate) {
    struct evidence *evidence = NULL;
    unsigned seen_of[2] = {0};
    assert_int_equal(evidence_new(&scene->plan, START, &evidence, NULL), 0);
    for (unsigned i = 0; i < users; i++) {
        struct observation seen = {.candidate = i % 20 == 0, .unit = i * UINT64_C(0x9e3779b97f4a7c15), .at = START};
        unsigned every = seen.candidate ? candidate : stable;
        seen.events = every && ++seen_of[seen.candidate] % every == 0;
        assert_int_equal(evidence_add(evidence, &seen), 0);
    }
    evidence_tick(evidence, START + HOUR);
    assert_int_equal(evidence_write(evidence, EVIDENCE_JUDGED, &scene->judged), 0);
    evidence_free(evidence);
}

static void show(struct scene *scene) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    jw_object(&jw, NULL);
    assert_int_equal(standing_write(&scene->plan, &scene->facts, str_slice(&scene->judged), &jw, NULL), 0);
    jw_end_object(&jw);
    json_decref(scene->shown);
    assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &scene->shown, NULL), 0);
}

static int setup(void **state) {
    static struct scene scene;
    scene = (struct scene){.plan = kit_plan(), .facts = kit_facts()};
    *state = &scene;
    return 0;
}

static int teardown(void **state) {
    struct scene *scene = *state;
    str_deinit(&scene->judged);
    json_decref(scene->shown);
    return 0;
}

static double number(const struct scene *scene, const char *pointer) {
    const json_t *value = json_at(scene->shown, pointer);
    if (!json_is_number(value)) fail_msg("no number at %s", pointer);
    return json_number_value(value);
}

static const char *text(const struct scene *scene, const char *pointer) {
    const char *value = json_string_value(json_at(scene->shown, pointer));
    if (!value) fail_msg("no text at %s", pointer);
    return value;
}

static void test_going_on(void **state) {
    struct scene *scene = *state;
    see(scene, 4000, 50, 50);
    show(scene);
    assert_string_equal(text(scene, "/reason"), "evidence");
    assert_memory_equal(text(scene, "/says"), "waits at 5 %: ", 14);
    assert_true(number(scene, "/units") == 200 && number(scene, "/step_units") == 200);
    assert_true(number(scene, "/metrics/0/stable/units") == 3800 && number(scene, "/metrics/0/stable/events") == 76);
    assert_true(number(scene, "/metrics/0/candidate/mean") == 0.02);
    assert_true(fabs(number(scene, "/metrics/0/compared") - 1) < 0.05);
    assert_true(number(scene, "/metrics/0/low") < 1 && number(scene, "/metrics/0/high") > 1);
    assert_true(number(scene, "/harm_needed") == 20 && number(scene, "/harm_evidence") < 1);
    assert_true(number(scene, "/metrics/0/go_on_evidence") > 0.2 && number(scene, "/metrics/0/go_on_evidence") < 20);
    assert_string_equal(text(scene, "/next/action"), "advance");
    assert_true(number(scene, "/next/share") == 25);
    assert_string_equal(text(scene, "/next/metric"), "error");
    assert_int_equal(json_array_size(json_at(scene->shown, "/next/missing")), 1);
    assert_string_equal(text(scene, "/next/missing/0"), "evidence");
    assert_string_equal(text(scene, "/next/earliest"), text(scene, "/next/evidence_at"));
    assert_null(json_at(scene->shown, "/next/time_at"));
    assert_true(number(scene, "/split/candidates") == 200 && number(scene, "/split/expected") == 200);
}

static void test_harm_moves_now(void **state) {
    struct scene *scene = *state;
    see(scene, 4000, 50, 5);
    show(scene);
    assert_string_equal(text(scene, "/reason"), "harm");
    assert_memory_equal(text(scene, "/says"), "rolled back at 5 %: error ratio ", 32);
    assert_true(number(scene, "/harm_evidence") > 20);
    assert_null(json_at(scene->shown, "/next"));
}

static void test_held_waits_for_a_person(void **state) {
    struct scene *scene = *state;
    scene->facts.state = ROLLOUT_HELD;
    see(scene, 400, 50, 50);
    show(scene);
    assert_string_equal(text(scene, "/reason"), "held");
    assert_null(json_at(scene->shown, "/next"));
    scene->facts.state = ROLLOUT_PAUSED;
    show(scene);
    assert_string_equal(text(scene, "/next/action"), "advance");
}

static void test_nothing_came_yet(void **state) {
    struct scene *scene = *state;
    show(scene);
    assert_true(number(scene, "/units") == 0 && number(scene, "/harm_evidence") == 0);
    assert_null(json_at(scene->shown, "/metrics/0/stable/mean"));
    assert_null(json_at(scene->shown, "/metrics/0/compared"));
    assert_null(json_at(scene->shown, "/next/earliest"));
}

static void test_what_is_past_all_bounds(void **state) {
    struct scene *scene = *state;
    see(scene, 200000, 0, 1);
    show(scene);
    assert_true(number(scene, "/metrics/0/harm_evidence") == 1e9);
    assert_null(json_at(scene->shown, "/metrics/0/high"));
}

static void test_the_plain_rule(void **state) {
    struct scene *scene = *state;
    scene->plan.judge = JUDGE_RATIO;
    see(scene, 400, 50, 50);
    show(scene);
    assert_true(number(scene, "/metrics/0/harm_evidence") >= 0 && number(scene, "/metrics/0/go_on_evidence") >= 0);
}

static void test_evidence_of_another_plan(void **state) {
    struct scene *scene = *state;
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    struct err err = ERR_INIT;
    see(scene, 400, 50, 50);
    scene->plan.metric_count = 2;
    scene->plan.metrics[1] = scene->plan.metrics[0];
    scene->plan.metrics[1].name = "tool_errors";
    jw_object(&jw, NULL);
    assert_int_equal(standing_write(&scene->plan, &scene->facts, str_slice(&scene->judged), &jw, &err), -ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_going_on),
        TEST(test_harm_moves_now),
        TEST(test_held_waits_for_a_person),
        TEST(test_nothing_came_yet),
        TEST(test_what_is_past_all_bounds),
        TEST(test_the_plain_rule),
        TEST(test_evidence_of_another_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
