/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence as bytes: back again and on, the journal's part, damage. */
#include "analysis/test_kit.h"
#include "analysis/verdict.h"
#include "base/ticker.h"

static const double rates[] = {0.05, 0.09};

/* Some life: two steps, ticks, waiting outcomes. */
static struct evidence *lived(const struct rollout_plan *plan, struct dice *dice, int outcomes) {
    struct evidence *evidence = kit_new(plan);
    for (int i = 0; i < outcomes; i++) {
        struct observation seen = kit_draw(dice, plan, (unsigned)evidence_step(evidence), rates);
        seen.at = START + (int64_t)i * MINUTE / 300;
        seen.unit = dice_next(dice) % 5000 * UINT64_C(0x9e3779b97f4a7c15);
        kit_add(evidence, &seen);
        if (i % 100 == 0) evidence_tick(evidence, START + (int64_t)i * MINUTE / 300);
        if (i == outcomes / 2) evidence_enter(evidence, 1, START + (int64_t)i * MINUTE / 300);
    }
    return evidence;
}

static struct evidence *read_back(const struct rollout_plan *plan, const struct str *bytes) {
    struct evidence *evidence = NULL;
    struct err err = ERR_INIT;
    if (evidence_read(plan, str_slice(bytes), &evidence, &err) < 0) fail_msg("%s", err.message);
    return evidence;
}

static void test_round_trip(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("round trip", 21);
    plan.watermark = MINUTE / 4;
    for (int outcomes = 0; outcomes < 20000; outcomes = outcomes * 3 + 1) {
        _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, outcomes);
        struct str bytes = kit_bytes(evidence);
        _cleanup_(evidence_freep) struct evidence *again = read_back(&plan, &bytes);
        kit_assert_same(evidence, again);
        str_deinit(&bytes);
    }
}

/* What was read goes on as what was written would have, to the bit. */
static void test_go_on_after_reading(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("after reading", 22);
    plan.watermark = MINUTE / 4;
    _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, 6000);
    struct str bytes = kit_bytes(evidence);
    _cleanup_(evidence_freep) struct evidence *again = read_back(&plan, &bytes);
    str_deinit(&bytes);
    struct evidence *both[] = {evidence, again};
    struct dice from = dice;
    for (int i = 0; i < 2; i++) {
        dice = from;
        for (int k = 0; k < 3000; k++) {
            struct observation seen = kit_draw(&dice, &plan, 1, rates);
            seen.at = START + 20 * MINUTE + k * (MINUTE / 300);
            seen.unit = dice_next(&dice) % 5000 * UINT64_C(0x9e3779b97f4a7c15);
            kit_add(both[i], &seen);
            if (k % 250 == 0) evidence_tick(both[i], seen.at);
        }
        evidence_enter(both[i], 2, START + 31 * MINUTE);
    }
    kit_assert_same(evidence, again);
}

static void assert_same_number(double a, double b) {
    assert_memory_equal(&a, &b, sizeof(a));
}

static void assert_same_interval(const struct interval *a, const struct interval *b) {
    assert_same_number(a->estimate, b->estimate);
    assert_same_number(a->low, b->low);
    assert_same_number(a->high, b->high);
}

static void assert_same_figures(const struct arm_figures *a, const struct arm_figures *b) {
    assert_true(a->units == b->units && a->events == b->events);
    assert_same_number(a->mean, b->mean);
    assert_same_number(a->p50, b->p50);
    assert_same_number(a->p95, b->p95);
    assert_same_number(a->p99, b->p99);
}

static void assert_same_verdict(const struct verdict *a, const struct verdict *b) {
    assert_true(a->outcome == b->outcome && a->metric == b->metric && a->units == b->units);
    assert_true(a->step_units == b->step_units && a->by_limit == b->by_limit && a->metric_count == b->metric_count);
    assert_same_number(a->harm_log, b->harm_log);
    assert_same_number(a->split_log, b->split_log);
    for (size_t m = 0; m < a->metric_count; m++) {
        const struct metric_verdict *x = &a->metrics[m], *y = &b->metrics[m];
        assert_same_number(x->harm_log, y->harm_log);
        assert_same_number(x->go_on_log, y->go_on_log);
        assert_true(x->goes_on == y->goes_on && x->has_minimum == y->has_minimum && x->past_limit == y->past_limit);
        assert_same_figures(&x->candidate, &y->candidate);
        assert_same_figures(&x->stable, &y->stable);
        assert_same_interval(&x->compared, &y->compared);
    }
}

/* The journal's bytes give the verdict again, bit for bit, and are much fewer. */
static void test_replay(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("replay", 23);
    for (int run = 0; run < 6; run++) {
        _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, 500 + 3000 * run);
        struct str judged = STR_INIT, whole = kit_bytes(evidence), words[2] = {STR_INIT, STR_INIT};
        assert_int_equal(evidence_write(evidence, EVIDENCE_JUDGED, &judged), 0);
        _cleanup_(evidence_freep) struct evidence *again = read_back(&plan, &judged);
        struct verdict first, second;
        for (size_t step = 0; step < plan.step_count; step++) {
            analysis_judge(&plan, evidence, step, &first);
            analysis_judge(&plan, again, step, &second);
            assert_same_verdict(&first, &second);
        }
        verdict_words(&plan, &first, &words[0]);
        verdict_words(&plan, &second, &words[1]);
        assert_string_equal(words[0].data, words[1].data);
        print_message("%zu bytes judged, %zu whole\n", judged.len, whole.len);
        assert_true(judged.len < whole.len / 2);
        str_deinit(&judged);
        str_deinit(&whole);
        str_deinit(&words[0]);
        str_deinit(&words[1]);
    }
}

/* ---- damage ---- */

static int try_to_read(const struct rollout_plan *plan, const char *bytes, size_t len) {
    struct evidence *evidence = NULL;
    struct err err = ERR_INIT;
    char *exact = malloc(len ? len : 1); /* so that a sanitizer sees a step past the end */
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    int r = evidence_read(plan, (struct slice){exact, len}, &evidence, &err);
    free(exact);
    if (r < 0) {
        assert_int_equal(r, -ERR_INVALID);
        assert_true(!evidence && err.message[0]);
        return r;
    }
    struct verdict verdict;
    analysis_judge(plan, evidence, evidence_step(evidence), &verdict);
    assert_false(isnan(verdict.harm_log));
    struct observation seen = {
        .unit = 1, .candidate = true, .at = START, .events = 1, .present = 14, .values = {0, 1, 1, 1}};
    kit_add(evidence, &seen);
    evidence_tick(evidence, START + 100 * MINUTE);
    evidence_free(evidence);
    return 0;
}

static void test_cut(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = {24};
    _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, 60);
    struct str bytes = kit_bytes(evidence);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(try_to_read(&plan, bytes.data, len), -ERR_INVALID);
    assert_int_equal(try_to_read(&plan, bytes.data, bytes.len), 0);
    str_add_char(&bytes, '\0');
    assert_int_equal(try_to_read(&plan, bytes.data, bytes.len), -ERR_INVALID);
    str_deinit(&bytes);
}

static void test_every_byte_spoilt(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.watermark = MINUTE / 4;
    struct dice dice = {25};
    _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, 60);
    struct str bytes = kit_bytes(evidence);
    size_t refused = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        char was = bytes.data[i];
        bytes.data[i] = (char)(was ^ (1 << dice_next(&dice) % 8));
        refused += try_to_read(&plan, bytes.data, bytes.len) < 0;
        bytes.data[i] = was;
    }
    print_message("%zu of %zu damages refused, the others are other evidence\n", refused, bytes.len);
    assert_true(refused > bytes.len / 10);
    str_deinit(&bytes);
}

static void test_nonsense(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = dice_of_test("nonsense", 26);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct str bytes = kit_bytes(evidence);
    for (int i = 0; i < 4000; i++) {
        char copy[600];
        size_t len = bytes.len < sizeof(copy) ? bytes.len : sizeof(copy);
        memcpy(copy, bytes.data, len);
        for (size_t k = 12; k < len; k++)
            if (dice_hits(&dice, 0.3)) copy[k] = (char)dice_next(&dice);
        (void)try_to_read(&plan, copy, len);
    }
    str_deinit(&bytes);
}

static void assert_refused(const struct rollout_plan *plan, const struct str *bytes, const char *why) {
    struct evidence *evidence = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(evidence_read(plan, str_slice(bytes), &evidence, &err), -ERR_INVALID);
    if (!strstr(err.message, why)) fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void test_header(void **state) {
    struct rollout_plan plan = kit_plan_full(), other = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct str bytes = kit_bytes(evidence), empty = STR_INIT;
    other.steps[2].share = 60000;
    assert_refused(&other, &bytes, "another plan");
    other = kit_plan_full();
    other.settle++;
    assert_refused(&other, &bytes, "another plan");
    other = kit_plan_full();
    other.metrics[ERROR_].harm = 1.2; /* of an event metric: the judge's alone */
    other.alpha = 0.01;
    assert_int_equal(try_to_read(&other, bytes.data, bytes.len), 0);
    assert_refused(&plan, &empty, "no evidence");
    bytes.data[2]++;
    assert_refused(&plan, &bytes, "version 2");
    bytes.data[0] = 'X';
    assert_refused(&plan, &bytes, "no evidence");
    str_deinit(&bytes);
}

/* The bytes of a new evidence never change without a new version: what is stored today must be read tomorrow. */
static void test_golden(void **state) {
    static const int32_t share[] = {5000};
    struct rollout_plan plan = kit_plan_errors(share, 1);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (uint64_t unit = 1; unit <= 3; unit++) {
        struct observation seen = {.unit = unit, .candidate = unit == 3, .events = unit > 1, .at = START};
        kit_add(evidence, &seen);
    }
    struct str bytes = kit_bytes(evidence), hex = STR_INIT;
    for (size_t i = 0; i < bytes.len; i++)
        str_printf(&hex, "%02x", (uint8_t)bytes.data[i]);
    assert_string_equal(hex.data, "53450101"             /* magic, version, whole */
                                  "87ba98ffe1c7cab9"     /* the plan */
                                  "008080f0ecbdada00600" /* ticks, now, step */
                                  "040200000004020202"   /* seen: units, left out, first, events */
                                  "020204"               /* harm: candidates, events */
                                  "02040204"             /* go on: units, events */
                                  "00d00f0000"           /* restarts */
                                  "0006"                 /* units: level, how many */
                                  "018080808008"
                                  "0181a0808008"
                                  "0181a0808006" /* each */);
    str_deinit(&bytes);
    str_deinit(&hex);
}

/* A unit that was in no arm, in another arm than it stands in, in a step that has not begun, or out of order: none of these can have been written. */
static void test_impossible_units(void **state) {
    static const int32_t share[] = {5000};
    static const uint32_t bits[] = {0, UINT32_C(1) << 29 | UINT32_C(1) << 31, UINT32_C(1) << 30,
                                    UINT32_C(1) << 24 | UINT32_C(1) << 31};
    struct rollout_plan plan = kit_plan_errors(share, 1);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct str empty = kit_bytes(evidence);
    for (size_t i = 0; i <= ARRAY_LEN(bits); i++) {
        struct str bytes = STR_INIT;
        str_add(&bytes, empty.data, empty.len - 1); /* all but the number of units */
        str_add(&bytes, "\x02\x07", 2);
        uint32_t rest = i < ARRAY_LEN(bits) ? bits[i] : UINT32_C(1) << 31;
        for (; rest >= 0x80; rest >>= 7)
            str_add_char(&bytes, (char)(rest | 0x80));
        str_add_char(&bytes, (char)rest);
        assert_int_equal(try_to_read(&plan, bytes.data, bytes.len), i < ARRAY_LEN(bits) ? -ERR_INVALID : 0);
        str_deinit(&bytes);
    }
    str_deinit(&empty);
}

static void test_memory_ends(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = {27};
    plan.watermark = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = lived(&plan, &dice, 300);
    struct str bytes = kit_bytes(evidence);
    size_t n = 1;
    for (bool failed = true; failed; n++) {
        struct str out = STR_INIT;
        ticker_start(n);
        int r = evidence_write(evidence, EVIDENCE_WHOLE, &out);
        failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        str_deinit(&out);
    }
    n = 1;
    for (bool failed = true; failed; n++) {
        struct evidence *again = NULL;
        ticker_start(n);
        int r = evidence_read(&plan, str_slice(&bytes), &again, NULL);
        failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        assert_true(failed == !again);
        evidence_free(again);
    }
    assert_true(n > 8);
    str_deinit(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_go_on_after_reading),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_every_byte_spoilt),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_impossible_units),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
