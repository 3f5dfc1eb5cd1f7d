/* SPDX-License-Identifier: Apache-2.0 */
/* The fast ways give what the slow ones give: strangers by the handful, and looks without the figures for people. */
#include "analysis/evidence_impl.h"
#include "analysis/test_kit.h"
#include "analysis/verdict.h"

static struct str judged(const struct evidence *evidence) {
    struct str bytes = STR_INIT;
    assert_int_equal(evidence_write(evidence, EVIDENCE_JUDGED, &bytes), 0);
    return bytes;
}

static void assert_same_judged(const struct evidence *a, const struct evidence *b) {
    struct str x = judged(a), y = judged(b);
    assert_true(slice_equal(str_slice(&x), str_slice(&y)));
    str_deinit(&x);
    str_deinit(&y);
}

/* The same kind of outcome, of different units one by one and of strangers at once; now and then a tick, twice a step. */
static void test_strangers_are_units(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("strangers", 81);
    static const double rates[2] = {0.1, 0.2};
    struct evidence *one_by_one = kit_new(&plan), *at_once = kit_new(&plan);
    for (int64_t i = 0; i < 900; i++) {
        struct observation seen = kit_draw(&dice, &plan, (unsigned)evidence_step(at_once), rates);
        int64_t count = 1 + (int64_t)(dice_next(&dice) % 30);
        seen.at = START + i * 1000000;
        evidence_add_strangers(at_once, &seen, count);
        for (int64_t k = 0; k < count; k++) {
            seen.unit = dice_next(&dice);
            kit_add(one_by_one, &seen);
        }
        if (i % 50 == 49) {
            evidence_tick(at_once, seen.at);
            evidence_tick(one_by_one, seen.at);
        }
        if (i % 300 == 299) {
            evidence_enter(at_once, evidence_step(at_once) + 1, seen.at);
            evidence_enter(one_by_one, evidence_step(one_by_one) + 1, seen.at);
        }
    }
    assert_same_judged(one_by_one, at_once);
    assert_true(at_once->units.count == 0 && evidence_memory(at_once) < evidence_memory(one_by_one));
    evidence_free(one_by_one);
    evidence_free(at_once);
}

static void test_strangers_that_cannot_be(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct evidence *evidence = kit_new(&plan);
    struct observation seen = {.stage = 1, .at = START};
    evidence_add_strangers(evidence, &seen, 7);
    seen.stage = 0;
    evidence_add_strangers(evidence, &seen, STRANGERS_MAX + 1);
    assert_int_equal(evidence_left_out(evidence).refused, 7 + STRANGERS_MAX + 1);
    evidence_add_strangers(evidence, &seen, 0);
    evidence_add_strangers(evidence, &seen, -5);
    assert_int_equal(evidence_left_out(evidence).refused, 7 + STRANGERS_MAX + 1);
    assert_int_equal(evidence->seen[SEEN_UNITS], 0);
    evidence_free(evidence);
}

static void assert_same_number(double a, double b) {
    assert_memory_equal(&a, &b, sizeof(a));
}

/* Every rule's number has the same bits. */
static void test_quick_look(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("quick look", 82);
    static const double rates[2] = {0.02, 0.05};
    struct evidence *evidence = kit_new(&plan);
    plan.metrics[COST].limit = 1000;
    for (int64_t i = 0; i < 40; i++) {
        struct verdict slow, quick;
        for (int k = 0; k < 500; k++) {
            struct observation seen = kit_draw(&dice, &plan, (unsigned)evidence_step(evidence), rates);
            kit_add(evidence, &seen);
        }
        evidence_tick(evidence, START + i * MINUTE);
        if (i % 15 == 14) evidence_enter(evidence, evidence_step(evidence) + 1, START + i * MINUTE);
        analysis_judge(&plan, evidence, evidence_step(evidence), &slow);
        analysis_judge_quick(&plan, evidence, evidence_step(evidence), &quick);
        assert_int_equal(slow.outcome, quick.outcome);
        assert_int_equal(slow.metric, quick.metric);
        assert_same_number(slow.harm_log, quick.harm_log);
        assert_same_number(slow.split_log, quick.split_log);
        for (size_t m = 0; m < plan.metric_count; m++) {
            assert_same_number(slow.metrics[m].harm_log, quick.metrics[m].harm_log);
            assert_same_number(slow.metrics[m].go_on_log, quick.metrics[m].go_on_log);
            assert_int_equal(slow.metrics[m].goes_on, quick.metrics[m].goes_on);
        }
        assert_same_number(slow.metrics[COST].candidate.mean, quick.metrics[COST].candidate.mean);
    }
    evidence_free(evidence);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strangers_are_units),
        cmocka_unit_test(test_strangers_that_cannot_be),
        cmocka_unit_test(test_quick_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
