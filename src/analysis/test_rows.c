/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that evidence is made of, each by itself: sums, the ring of what waits, the layout of rows. */
#include "analysis/evidence_impl.h"
#include "analysis/test_kit.h"

/* ---- sums ---- */

static void test_sum_add(void **state) {
    assert_true(sum_add(2, 3) == 5 && sum_add(2, -3) == -1);
    assert_true(sum_add(SUM_MAX, 1) == SUM_MAX && sum_add(1, SUM_MAX) == SUM_MAX &&
                sum_add(SUM_MAX, SUM_MAX) == SUM_MAX);
    assert_true(sum_add(-SUM_MAX, -1) == -SUM_MAX && sum_add(-SUM_MAX, -SUM_MAX) == -SUM_MAX);
    assert_true(sum_add(SUM_MAX, -SUM_MAX) == 0 && sum_add(SUM_MAX - 1, 1) == SUM_MAX);
    int64_t sums[] = {1, -2, SUM_MAX}, more[] = {10, -20, 5};
    sums_add(sums, more, 3);
    assert_true(sums[0] == 11 && sums[1] == -22 && sums[2] == SUM_MAX);
    sums_add(sums, more, 0);
    assert_true(sums[0] == 11);
}

/* ---- the ring ---- */

#define LEN 3

struct waiting {
    struct ring ring;
    int64_t slots[RING_SLOTS * LEN], mature[LEN];
};

static void wait_for(struct waiting *waiting, int64_t wait, int64_t width, int64_t now) {
    *waiting = (struct waiting){.ring = {wait, width, RING_UNSET, LEN, NULL}};
    waiting->ring.slots = waiting->slots;
    ring_mature(&waiting->ring, waiting->mature, now);
}

static void test_ring_without_wait(void **state) {
    int64_t mature[LEN] = {0};
    struct ring ring = {.len = LEN};
    assert_ptr_equal(ring_row(&ring, mature, INT64_MAX), mature);
    ring_mature(&ring, mature, 5);
    ring_clear(&ring);
    assert_true(mature[0] == 0);
}

static void test_ring_rows(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, 1000); /* the oldest slot that waits is 680 … 689 */
    assert_int_equal(waiting.ring.first, 68);
    assert_ptr_equal(ring_row(&waiting.ring, waiting.mature, 679), waiting.mature);
    assert_ptr_equal(ring_row(&waiting.ring, waiting.mature, INT64_MIN), waiting.mature);
    int64_t *first = ring_row(&waiting.ring, waiting.mature, 680);
    assert_true(first && first != waiting.mature);
    assert_ptr_equal(ring_row(&waiting.ring, waiting.mature, 689), first);
    assert_ptr_not_equal(ring_row(&waiting.ring, waiting.mature, 690), first);
    assert_non_null(ring_row(&waiting.ring, waiting.mature, 1319));
    assert_null(ring_row(&waiting.ring, waiting.mature, 1320));
    assert_null(ring_row(&waiting.ring, waiting.mature, INT64_MAX));
}

/* Sixty-four slots are sixty-four rows: none is handed out twice. */
static void test_ring_rows_are_apart(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, 1000);
    for (int64_t at = 680; at < 1320; at++)
        ring_row(&waiting.ring, waiting.mature, at)[0]++;
    for (size_t i = 0; i < RING_SLOTS; i++)
        assert_int_equal(waiting.slots[i * LEN], 10);
}

static void test_ring_matures_in_order(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, 1000);
    for (int64_t at = 680; at < 1320; at += 10)
        ring_row(&waiting.ring, waiting.mature, at)[1] = at;
    int64_t sum = 0, next = 680;
    for (int64_t now = 1000; now < 1700; now++) {
        ring_mature(&waiting.ring, waiting.mature, now);
        for (; next < 1320 && next + 10 + 320 <= now; next += 10)
            sum += next;
        assert_int_equal(waiting.mature[1], sum);
    }
    assert_int_equal(next, 1320);
    ring_mature(&waiting.ring, waiting.mature, 100000); /* nothing is left, nothing counts twice */
    assert_int_equal(waiting.mature[1], sum);
}

/* A tick that comes very late matures all at once, and slots are free for others. */
static void test_ring_after_a_pause(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, 1000);
    ring_row(&waiting.ring, waiting.mature, 1319)[2] = 7;
    ring_mature(&waiting.ring, waiting.mature, INT64_C(1) << 55);
    assert_int_equal(waiting.mature[2], 7);
    int64_t *row = ring_row(&waiting.ring, waiting.mature, INT64_C(1) << 55);
    assert_true(row && row != waiting.mature && row[2] == 0);
    ring_mature(&waiting.ring, waiting.mature, 5); /* back in time: stays */
    assert_ptr_equal(ring_row(&waiting.ring, waiting.mature, INT64_C(1) << 55), row);
}

static void test_ring_before_the_epoch(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, -1000);
    assert_int_equal(waiting.ring.first, -132);
    assert_ptr_equal(ring_row(&waiting.ring, waiting.mature, -1321), waiting.mature);
    ring_row(&waiting.ring, waiting.mature, -1315)[0] = 3;
    ring_mature(&waiting.ring, waiting.mature, -991);
    assert_int_equal(waiting.mature[0], 0);
    ring_mature(&waiting.ring, waiting.mature, -990);
    assert_int_equal(waiting.mature[0], 3);
}

static void test_ring_cleared(void **state) {
    struct waiting waiting;
    wait_for(&waiting, 320, 10, 1000);
    for (int64_t at = 680; at < 1320; at += 10)
        ring_row(&waiting.ring, waiting.mature, at)[0] = 1;
    ring_clear(&waiting.ring);
    ring_mature(&waiting.ring, waiting.mature, 5000);
    assert_int_equal(waiting.mature[0], 0);
}

/* ---- the layout ---- */

static struct layout layout_of(const struct rollout_plan *plan) {
    struct layout layout;
    assert_int_equal(layout_init(&layout, plan, NULL), 0);
    return layout;
}

static void test_layout(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct layout layout = layout_of(&plan);
    assert_int_equal(layout.channel_count, 8);
    assert_int_equal(layout.sketch_count, 2);
    assert_int_equal(layout.event_metrics, 1);
    assert_int_equal(layout.value_metrics, 14);
    assert_int_equal(layout.harm_len, 1 + (1 + 3) + 8 * BETS);
    assert_int_equal(layout.go_on_len, 2 + 2 + 8 * BETS);
    assert_int_equal(layout.seen_len, 5 + 3 * 2 + 2 + 4 + 8 * 2);
    static const enum channel_kind kinds[] = {CHANNEL_SCORE, CHANNEL_RANK, CHANNEL_P95, CHANNEL_P99,
                                              CHANNEL_RANK,  CHANNEL_P95,  CHANNEL_P99, CHANNEL_MEAN};
    static const size_t metrics[] = {QUALITY, LATENCY, LATENCY, LATENCY, COST, COST, COST, COST};
    for (size_t c = 0; c < 8; c++)
        assert_true(layout.channels[c].kind == kinds[c] && layout.channels[c].metric == metrics[c]);
    assert_true(layout.share[1] == 0.25 && layout_compares(&layout, 1));
    assert_true(layout.channels[0].margin[HARM] == 0.01 && layout.channels[0].margin[GO_ON] == 0.05);
    assert_true(layout.channels[1].margin[HARM] == 0);
}

/* No two counts share a number of a row, and all of a row is used. */
static void test_layout_rows(void **state) {
    struct rollout_plan plan = kit_plan_of(kit_shares, 3);
    plan.metric_count = ROLLOUT_METRICS_MAX;
    static const struct metric *const kinds[] = {&kit_error, &kit_quality, &kit_latency, &kit_cost};
    for (size_t m = 0; m < plan.metric_count; m++)
        plan.metrics[m] = *kinds[(m * 7 + 1) % 4];
    struct layout layout = layout_of(&plan);
    int64_t *used = calloc(layout.harm_len + layout.seen_len, sizeof(*used)), *seen = used + layout.harm_len;
    used[0] = 1;
    for (size_t i = 0; i < seen_first(3, false); i++)
        seen[i] = 1;
    for (size_t m = 0; m < plan.metric_count; m++) {
        const struct layout_metric *metric = &layout.metrics[m];
        for (size_t i = 0; metric->kind == METRIC_EVENT && i < 1 + layout.steps; i++)
            used[metric->harm + i]++;
        for (size_t i = 0; metric->kind != METRIC_SIZE && i < (metric->kind == METRIC_EVENT ? 2u : 4u); i++)
            seen[metric->seen + i]++;
    }
    for (size_t i = 0; i < BETS * layout.channel_count; i++)
        used[layout.harm_bets + i]++;
    for (size_t i = 0; i < 2 * layout.channel_count; i++)
        seen[layout.seen_channels + i]++;
    for (size_t i = 0; i < layout.harm_len + layout.seen_len; i++)
        assert_int_equal(used[i], 1);
    free(used);
}

/* Whatever the numbers depend on makes another fingerprint; what matters to the judge alone does not. */
static void test_fingerprint(void **state) {
    struct rollout_plan plan = kit_plan_full(), other;
    uint64_t seen[16], own = layout_of(&plan).fingerprint;
    size_t count = 0;
#define ANOTHER(change)                                                                                                \
    other = plan;                                                                                                      \
    change;                                                                                                            \
    seen[count++] = layout_of(&other).fingerprint
    ANOTHER(other.steps[0].share++);
    ANOTHER(other.step_count--);
    ANOTHER(other.metric_count--);
    ANOTHER(other.metrics[QUALITY].harm = 0.02);
    ANOTHER(other.metrics[QUALITY].accept = 0.06);
    ANOTHER(other.metrics[QUALITY].lower_is_better = true);
    ANOTHER(other.metrics[LATENCY].harm = 1.2);
    ANOTHER(other.metrics[COST].name = "tokens");
    ANOTHER(other.metrics[ERROR_].kind = METRIC_SIZE);
    ANOTHER(other.settle++);
    ANOTHER(other.watermark++);
    for (size_t i = 0; i < count; i++) {
        assert_true(seen[i] != own);
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
    count = 0;
    ANOTHER(other.alpha = 0.01);
    ANOTHER(other.metrics[LATENCY].weight = 7);
    ANOTHER(other.metrics[ERROR_].accept = 2);
    ANOTHER(other.steps[1].min_units = 5);
    ANOTHER(other.judge = JUDGE_RATIO);
    ANOTHER(other.metrics[LATENCY].name = "first_token");
    for (size_t i = 0; i < count; i++)
        assert_true(seen[i] == own);
#undef ANOTHER
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_add),
        cmocka_unit_test(test_ring_without_wait),
        cmocka_unit_test(test_ring_rows),
        cmocka_unit_test(test_ring_rows_are_apart),
        cmocka_unit_test(test_ring_matures_in_order),
        cmocka_unit_test(test_ring_after_a_pause),
        cmocka_unit_test(test_ring_before_the_epoch),
        cmocka_unit_test(test_ring_cleared),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_layout_rows),
        cmocka_unit_test(test_fingerprint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
