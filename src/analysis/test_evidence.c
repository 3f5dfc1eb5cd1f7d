/* SPDX-License-Identifier: Apache-2.0 */
/* What counts, once, in which row, and when; that order and splitting do not matter; bounds. Rows are looked at directly (evidence_impl.h). */
#include "analysis/evidence_impl.h"
#include "analysis/test_kit.h"
#include "analysis/verdict.h"
#include "base/ticker.h"

#define SECOND INT64_C(1000000)

static const double healthy[] = {0.02, 0.02};

/* Rows of the one event metric of kit_plan_errors(). */
static int64_t harm_candidate(const struct evidence *evidence) {
    return evidence->harm[evidence->layout.metrics[0].harm];
}

static int64_t harm_events(const struct evidence *evidence, size_t step) {
    return evidence->harm[evidence->layout.metrics[0].harm + 1 + step];
}

static int64_t go_on_candidate(const struct evidence *evidence) {
    return evidence->go_on[evidence->layout.metrics[0].go_on];
}

static int64_t go_on_events(const struct evidence *evidence) {
    return evidence->go_on[evidence->layout.metrics[0].go_on + 1];
}

static struct observation outcome(uint64_t unit, bool candidate, bool error) {
    return (struct observation){.unit = unit, .candidate = candidate, .events = error, .at = START};
}

static void add_outcome(struct evidence *evidence, uint64_t unit, bool candidate, bool error) {
    struct observation seen = outcome(unit, candidate, error);
    kit_add(evidence, &seen);
}

static void add_healthy(struct evidence *evidence, const struct rollout_plan *plan, struct dice *dice, int count) {
    for (int i = 0; i < count; i++) {
        struct observation seen = kit_draw(dice, plan, (unsigned)evidence_step(evidence), healthy);
        kit_add(evidence, &seen);
    }
}

/* ---- once per unit ---- */

static void test_first_event_of_a_unit(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (int i = 0; i < 5; i++) {
        add_outcome(evidence, 1, true, true);
        add_outcome(evidence, 2, false, true);
        add_outcome(evidence, 3, true, false);
    }
    assert_int_equal(harm_candidate(evidence), 1);
    assert_int_equal(harm_events(evidence, 0), 2);
    assert_int_equal(go_on_candidate(evidence), 1);
    assert_int_equal(go_on_events(evidence), 2);
    assert_int_equal(evidence->harm[0], 2);
    assert_int_equal(evidence->go_on[0], 2);
    assert_int_equal(evidence->go_on[1], 1);
    struct str before = kit_bytes(evidence), after;
    add_outcome(evidence, 1, true, true);
    after = kit_bytes(evidence);
    assert_true(slice_equal(str_slice(&before), str_slice(&after)));
    str_deinit(&before);
    str_deinit(&after);
}

/* A good outcome first does not use up the unit's one event. */
static void test_event_after_a_good_outcome(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 1, true, false);
    add_outcome(evidence, 1, true, true);
    assert_int_equal(harm_candidate(evidence), 1);
    assert_int_equal(evidence->harm[0], 1);
}

/* In the next step the unit counts again to go on, and never again as harm. */
static void test_steps_begin_anew(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 1, true, true);
    add_outcome(evidence, 2, true, false);
    evidence_enter(evidence, 1, START + MINUTE);
    assert_int_equal(evidence_step(evidence), 1);
    assert_int_equal(evidence->go_on[0], 0);
    for (int i = 0; i < 3; i++)
        for (uint64_t unit = 1; unit <= 2; unit++) {
            struct observation seen = outcome(unit, true, true);
            seen.stage = 1;
            seen.at = START + MINUTE;
            kit_add(evidence, &seen);
        }
    assert_int_equal(harm_events(evidence, 0), 1);
    assert_int_equal(harm_events(evidence, 1), 1);
    assert_int_equal(go_on_events(evidence), 2);
    assert_int_equal(evidence->go_on[0], 2);
    assert_int_equal(evidence->harm[0], 2);
    assert_int_equal(evidence->seen[seen_first(0, true)], 2);
    assert_int_equal(evidence->seen[seen_first(1, true)], 0);
}

/* What comes late counts for the step of its assignment: as harm, not to go on. */
static void test_late_outcome(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    evidence_enter(evidence, 1, START + MINUTE);
    add_outcome(evidence, 5, true, true);
    assert_int_equal(harm_events(evidence, 0), 1);
    assert_int_equal(harm_events(evidence, 1), 0);
    assert_int_equal(go_on_events(evidence), 0);
    assert_int_equal(evidence->go_on[0], 0);
    assert_int_equal(evidence->seen[seen_first(0, true)], 1);
    /* a unit met in the new step has a late outcome of the old one: it keeps its place in the new */
    struct observation seen = outcome(6, true, false);
    seen.stage = 1;
    kit_add(evidence, &seen);
    add_outcome(evidence, 6, false, true);
    kit_add(evidence, &seen);
    assert_int_equal(evidence->go_on[0], 1);
    assert_int_equal(harm_events(evidence, 0), 2);
    assert_int_equal(evidence_left_out(evidence).refused, 0);
}

/* A share that rises makes a stable unit a candidate: it is one of both arms then, and first seen once. */
static void test_moved_by_the_share(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 9, false, false);
    evidence_enter(evidence, 1, START);
    struct observation seen = outcome(9, true, true);
    seen.stage = 1;
    kit_add(evidence, &seen);
    assert_int_equal(evidence->seen[SEEN_UNITS], 1);
    assert_int_equal(evidence->seen[SEEN_UNITS + 1], 1);
    assert_int_equal(evidence->seen[seen_first(0, false)], 1);
    assert_int_equal(evidence->seen[seen_first(1, true)], 0);
    assert_int_equal(evidence->harm[0], 1);
    assert_int_equal(harm_candidate(evidence), 1);
}

static void test_refused(void **state) {
    struct rollout_plan plan = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct observation seen = outcome(1, true, true);
    seen.stage = 1; /* has not begun */
    kit_add(evidence, &seen);
    seen.stage = 77;
    kit_add(evidence, &seen);
    assert_int_equal(evidence_left_out(evidence).refused, 2);
    assert_int_equal(evidence->units.count, 0);
    add_outcome(evidence, 1, true, false);
    add_outcome(evidence, 1, false, true); /* the other arm in the same step */
    assert_int_equal(evidence_left_out(evidence).refused, 3);
    assert_int_equal(harm_events(evidence, 0), 0);
    static const double bad[] = {NAN, -NAN, INFINITY, -INFINITY, -1e-9};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        seen = (struct observation){.unit = 2, .at = START, .present = 14, .values = {0, bad[i], bad[i], bad[i]}};
        kit_add(evidence, &seen);
    }
    assert_int_equal(evidence_left_out(evidence).refused, 3 + 3 * 5);
    seen = (struct observation){.unit = 2, .at = START, .present = 2, .values = {0, 1.0001}};
    kit_add(evidence, &seen);
    assert_int_equal(evidence_left_out(evidence).refused, 19);
    seen = (struct observation){.unit = 2, .at = START, .present = 14, .values = {0, 1, 0, 1e300}};
    kit_add(evidence, &seen); /* a good value is still the unit's first */
    assert_int_equal(evidence_left_out(evidence).refused, 19);
    assert_int_equal(evidence->sizes[0].arms[0].total, 1);
    /* bits that name no metric of that kind do nothing */
    seen = (struct observation){.unit = 3, .at = START, .events = ~1u, .present = ~14u};
    kit_add(evidence, &seen);
    assert_int_equal(evidence->sizes[0].arms[0].total, 1);
}

/* ---- betting through the evidence: vectors TV11 and TV12 ---- */

static const double tv11[][2] = {{0, .9}, {1, .5}, {0, .7}, {1, .2}, {1, 1}, {0, .8}, {1, 0}};

static struct rollout_plan plan_score(void) {
    struct rollout_plan plan = kit_plan_of(kit_shares, 1);
    plan.metrics[plan.metric_count++] = kit_quality;
    plan.metrics[0].weight = 1;
    return plan;
}

static void test_vector_score(void **state) {
    struct rollout_plan plan = plan_score();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (size_t i = 0; i < ARRAY_LEN(tv11); i++) {
        struct observation seen = {
            .unit = i, .candidate = tv11[i][0] > 0, .at = START, .present = 1, .values = {tv11[i][1]}};
        kit_add(evidence, &seen);
        kit_add(evidence, &seen);
    }
    assert_true(fabs(bets_log(evidence->harm + evidence->layout.harm_bets, NULL) - 1.113647783024) < 1e-9);
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_true(fabs(verdict.metrics[0].go_on_log - -0.473526944066) < 1e-9);
    assert_true(fabs(verdict.metrics[0].harm_log - log(0.5 * exp(1.113647783024) + 0.5)) < 1e-9);
    assert_int_equal(verdict.metrics[0].candidate.units, 4);
    assert_true(fabs(verdict.metrics[0].candidate.mean - 1.7 / 4) < 1e-9);
    assert_true(fabs(verdict.metrics[0].stable.mean - 2.4 / 3) < 1e-9);
}

static void test_vector_exceedance(void **state) {
    static const unsigned tv12[][2] = {{1, 1}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 0}, {0, 0}};
    struct rollout_plan plan = kit_plan_of(kit_shares, 1);
    plan.metrics[plan.metric_count++] = kit_latency;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (uint64_t unit = 1000; unit < 1400; unit++) {
        struct observation seen = {.unit = unit, .at = START, .present = 1, .values = {(double)(unit - 999)}};
        kit_add(evidence, &seen);
    }
    for (size_t i = 0; i < BETS * evidence->layout.channel_count; i++)
        assert_int_equal(evidence->harm[evidence->layout.harm_bets + i], 0); /* no bets before stable is known */
    evidence_tick(evidence, START + SECOND);
    for (size_t i = 0; i < ARRAY_LEN(tv12); i++) {
        struct observation seen = {.unit = i, .candidate = tv12[i][0], .at = START, .present = 1};
        seen.values[0] = tv12[i][1] ? 1e6 : 1;
        kit_add(evidence, &seen);
    }
    const int64_t *harm = evidence->harm + evidence->layout.harm_bets + BETS; /* the second channel */
    const int64_t *go_on = evidence->go_on + evidence->layout.go_on_bets + BETS;
    assert_int_equal(evidence->layout.channels[1].kind, CHANNEL_P95);
    assert_true(fabs(bets_log(harm, NULL) - 2.424185286193) < 1e-9);
    assert_true(fabs(bets_log(go_on, NULL) - -0.490115870584) < 1e-9);
}

/* The margin divides the candidate's value: 1.1 times slower is the very boundary of harm, and far from that of going on. */
static void test_margin_of_sizes(void **state) {
    struct rollout_plan plan = kit_plan_of(kit_shares, 1);
    plan.metrics[plan.metric_count++] = kit_cost;
    _cleanup_(evidence_freep) struct evidence *a = kit_new(&plan), *b = kit_new(&plan);
    struct evidence *both[] = {a, b};
    for (int i = 0; i < 2; i++) {
        for (uint64_t unit = 1000; unit < 1400; unit++) {
            struct observation seen = {.unit = unit, .at = START, .present = 1, .values = {(double)(unit - 999)}};
            kit_add(both[i], &seen);
        }
        evidence_tick(both[i], START + SECOND);
        struct observation seen = {.unit = 1, .candidate = i, .at = START, .present = 1, .values = {i ? 110 : 100}};
        kit_add(both[i], &seen);
    }
    /* as a candidate at 110 the unit's badness is that of stable at 100: in rank, in excess, in its part of the cap */
    assert_int_equal(a->layout.channel_count, 4);
    for (size_t c = 0; c < 4; c++) {
        struct wager wager;
        int64_t want[BETS];
        struct bet_terms terms = {0.05, a->channels[c].centre, 0, HARM};
        double badness = c == 0   ? a->sizes[0].ranks[sketch_place(100)]
                         : c == 3 ? 100 / a->channels[c].cap
                                  : (double)(sketch_place(100) > a->channels[c].threshold);
        wager_init(&wager, &terms);
        for (unsigned arm = 0; arm < 2; arm++) {
            wager_logs(&wager, arm, badness, want);
            for (size_t k = 0; k < BETS; k++)
                assert_true(llabs(both[arm]->harm[a->layout.harm_bets + c * BETS + k] - want[k]) <= 1);
        }
    }
    assert_true(b->go_on[b->layout.go_on_bets] > b->harm[b->layout.harm_bets]);
}

/* ---- ticks ---- */

/* Centre and thresholds come from stable of earlier ticks, and from nothing else. */
static void test_predictable(void **state) {
    struct rollout_plan plan = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct dice dice = {11};
    add_healthy(evidence, &plan, &dice, 500);
    assert_true(evidence->channels[0].centre == 0.2 && !evidence->channels[1].open);
    evidence_tick(evidence, START + SECOND);
    struct channel_now fixed[8];
    memcpy(fixed, evidence->channels, sizeof(fixed));
    assert_true(fixed[0].centre != 0.2 && fixed[1].open && fixed[1].centre == 0.5);
    add_healthy(evidence, &plan, &dice, 500);
    assert_memory_equal(fixed, evidence->channels, sizeof(fixed));
    for (int i = 0; i < 500; i++) { /* candidates alone */
        struct observation seen = kit_draw(&dice, &plan, 0, healthy);
        seen.candidate = true;
        kit_add(evidence, &seen);
    }
    const int64_t *known = evidence->seen + evidence->layout.seen_channels;
    double want = (20 * 0.2 + (double)known[1] / BET_QUANTA) / (20 + (double)known[0]);
    int64_t stable_scores = evidence->seen[evidence->layout.metrics[QUALITY].seen];
    assert_int_equal(known[0], stable_scores);
    evidence_tick(evidence, START + 2 * SECOND);
    assert_true(evidence->channels[0].centre == want);
    assert_int_equal(evidence->sizes[0].fixed.total, stable_scores);
}

static void test_time_never_goes_back(void **state) {
    struct rollout_plan plan = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    evidence_tick(evidence, START + MINUTE);
    evidence_tick(evidence, START - MINUTE);
    assert_true(evidence->now == START + MINUTE && evidence->ticks == 2);
    evidence_tick(evidence, INT64_MAX);
    evidence_tick(evidence, INT64_MIN);
    evidence_enter(evidence, 0, START); /* where it stands, and what is no step: nothing happens */
    evidence_enter(evidence, 9, START);
    assert_int_equal(evidence->ticks, 4);
}

/* ---- what waits ---- */

static void test_settle(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    plan.settle = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 1, true, true);
    assert_int_equal(harm_candidate(evidence), 1); /* harm waits for nothing */
    assert_int_equal(evidence->go_on[0], 0);
    for (int64_t s = 1; s < 60; s++) {
        evidence_tick(evidence, START + s * SECOND);
        assert_int_equal(evidence->go_on[0], 0);
    }
    evidence_tick(evidence, START + 62 * SECOND); /* a slot is 60 / 32 s wide */
    assert_int_equal(evidence->go_on[0], 1);
    assert_int_equal(go_on_events(evidence), 1);
    add_outcome(evidence, 2, true, false); /* assigned long ago, reported now: counts at once */
    assert_int_equal(evidence->go_on[0], 2);
}

static void test_watermark(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    plan.watermark = 10 * SECOND;
    plan.settle = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 1, true, true);
    evidence_tick(evidence, START + 9 * SECOND);
    assert_int_equal(harm_candidate(evidence), 0);
    evidence_tick(evidence, START + 11 * SECOND);
    assert_int_equal(harm_candidate(evidence), 1);
    assert_int_equal(harm_events(evidence, 0), 1);
    assert_int_equal(evidence->harm[0], 1);
    assert_int_equal(evidence->go_on[0], 0);
    evidence_tick(evidence, START + 62 * SECOND);
    assert_int_equal(evidence->go_on[0], 1);
}

/* No unit counts before its wait is over, each does within a slot's width after it, whatever the ticks. */
static void test_every_age(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 1);
    struct dice dice = dice_of_test("ages", 12);
    plan.settle = 7 * SECOND + 13;
    for (int run = 0; run < 20; run++) {
        _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
        int64_t at[400], now = START, width = SECOND;
        for (size_t i = 0; i < ARRAY_LEN(at); i++) {
            at[i] = now - (int64_t)(dice_next(&dice) % (uint64_t)(9 * SECOND));
            struct observation seen = outcome(i, true, false);
            seen.at = at[i];
            kit_add(evidence, &seen);
            now += (int64_t)(dice_next(&dice) % (uint64_t)SECOND);
            evidence_tick(evidence, now);
            int64_t least = 0, most = 0;
            for (size_t k = 0; k <= i; k++) {
                least += at[k] + plan.settle + width <= now;
                most += at[k] + plan.settle <= now;
            }
            assert_in_range(evidence->go_on[0], least, most);
        }
    }
}

static void test_beyond_the_ring(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 1);
    plan.settle = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct observation seen = outcome(1, true, true);
    seen.at = START + MINUTE - 2 * SECOND; /* as far as it reaches */
    kit_add(evidence, &seen);
    assert_int_equal(evidence_left_out(evidence).late, 0);
    seen = outcome(2, true, true);
    seen.at = START + 2 * MINUTE;
    kit_add(evidence, &seen);
    assert_int_equal(evidence_left_out(evidence).late, 1);
    assert_int_equal(harm_candidate(evidence), 2); /* harm does not suffer */
    seen.at = INT64_MAX;
    seen.unit = 3;
    kit_add(evidence, &seen);
    seen.at = INT64_MIN;
    seen.unit = 4;
    kit_add(evidence, &seen);
    evidence_tick(evidence, START + 200 * MINUTE);
    assert_int_equal(evidence->go_on[0], 2);
}

/* What still waits when a step ends belongs to the old step. */
static void test_step_ends_while_waiting(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    plan.settle = MINUTE;
    plan.watermark = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    add_outcome(evidence, 1, true, true);
    evidence_enter(evidence, 1, START + SECOND);
    evidence_tick(evidence, START + 5 * MINUTE);
    assert_int_equal(evidence->go_on[0], 0);
    assert_int_equal(go_on_events(evidence), 0);
    assert_int_equal(harm_events(evidence, 0), 1);
}

/* ---- order, parts ---- */

#define CROWD 1500

static void make_crowd(struct dice *dice, const struct rollout_plan *plan, unsigned stage, struct observation *crowd) {
    static const double rates[] = {0.05, 0.12};
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = kit_draw(dice, plan, stage, rates);
        crowd[i].at = START + (int64_t)(dice_next(dice) % (uint64_t)(3 * MINUTE));
    }
}

static void shuffle(struct dice *dice, struct observation *crowd) {
    for (size_t i = CROWD - 1; i > 0; i--) {
        size_t k = dice_next(dice) % (i + 1);
        struct observation held = crowd[i];
        crowd[i] = crowd[k];
        crowd[k] = held;
    }
}

/* Three ticks of outcomes in two steps; the order within each is shuffled by `order`. */
static struct evidence *run_shuffled(const struct rollout_plan *plan, uint64_t seed, uint64_t order) {
    static struct observation crowd[CROWD];
    struct evidence *evidence = kit_new(plan);
    struct dice dice = {seed}, shuffler = {order};
    for (int tick = 0; tick < 3; tick++) {
        make_crowd(&dice, plan, (unsigned)evidence_step(evidence), crowd);
        if (order) shuffle(&shuffler, crowd);
        for (size_t i = 0; i < CROWD; i++)
            kit_add(evidence, &crowd[i]);
        if (tick == 1)
            evidence_enter(evidence, 1, START + 2 * MINUTE);
        else
            evidence_tick(evidence, START + (tick + 1) * MINUTE);
    }
    return evidence;
}

static void test_order_does_not_matter(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.watermark = MINUTE / 2;
    struct dice dice = dice_of_test("order", 13);
    for (int run = 0; run < 5; run++) {
        uint64_t seed = dice_next(&dice);
        _cleanup_(evidence_freep) struct evidence *a = run_shuffled(&plan, seed, 0);
        _cleanup_(evidence_freep) struct evidence *b = run_shuffled(&plan, seed, dice_next(&dice));
        kit_assert_same(a, b);
    }
}

#define PARTS 3

static struct evidence *copy_of(const struct rollout_plan *plan, const struct evidence *evidence) {
    struct str bytes = kit_bytes(evidence);
    struct evidence *copy = NULL;
    assert_int_equal(evidence_read(plan, str_slice(&bytes), &copy, NULL), 0);
    str_deinit(&bytes);
    return copy;
}

/* The parts in the given order, merged into one. */
static struct evidence *merged(const struct rollout_plan *plan, struct evidence *const parts[PARTS], size_t first) {
    struct evidence *leader = copy_of(plan, parts[first]);
    for (size_t i = 1; i < PARTS; i++)
        assert_int_equal(evidence_merge(leader, parts[(first + i) % PARTS], NULL), 0);
    return leader;
}

static void do_tick(struct evidence *evidence, int tick) {
    if (tick == 2)
        evidence_enter(evidence, 1, START + tick * MINUTE);
    else
        evidence_tick(evidence, START + tick * MINUTE);
}

/* One stream as a whole and split by unit among parts that follow a leader, over five ticks and a step. */
static void test_parts_are_the_whole(void **state) {
    static struct observation crowd[CROWD];
    struct rollout_plan plan = kit_plan_full();
    plan.watermark = MINUTE / 2;
    struct dice dice = dice_of_test("parts", 14);
    _cleanup_(evidence_freep) struct evidence *whole = kit_new(&plan);
    struct evidence *parts[PARTS] = {kit_new(&plan), kit_new(&plan), kit_new(&plan)};
    for (int tick = 1; tick <= 5; tick++) {
        make_crowd(&dice, &plan, (unsigned)evidence_step(whole), crowd);
        for (size_t i = 0; i < CROWD; i++) {
            crowd[i].candidate = i % 5 > 0; /* enough candidates for restart snapshots */
            kit_add(whole, &crowd[i]);
            kit_add(parts[crowd[i].unit % PARTS], &crowd[i]);
        }
        _cleanup_(evidence_freep) struct evidence *leader = merged(&plan, parts, 0);
        for (size_t first = 1; first < PARTS; first++) {
            _cleanup_(evidence_freep) struct evidence *other = merged(&plan, parts, first);
            kit_assert_same(leader, other);
        }
        kit_assert_same(leader, whole);
        do_tick(leader, tick);
        do_tick(whole, tick);
        for (size_t i = 0; i < PARTS; i++)
            assert_int_equal(evidence_follow(parts[i], leader, NULL), 0);
    }
    assert_true(whole->restarts.count >= 3);
    _cleanup_(evidence_freep) struct evidence *end = merged(&plan, parts, 2);
    kit_assert_same(end, whole);
    for (size_t i = 0; i < PARTS; i++)
        evidence_free(parts[i]);
}

static void test_merge_refuses(void **state) {
    struct rollout_plan plan = kit_plan_full(), other = kit_plan_full();
    other.metrics[LATENCY].harm = 1.2;
    struct err err = ERR_INIT;
    _cleanup_(evidence_freep) struct evidence *a = kit_new(&plan), *b = kit_new(&plan), *c = kit_new(&other);
    add_outcome(a, 1, true, true);
    add_outcome(b, 1, true, true);
    struct str before = kit_bytes(a);
    assert_int_equal(evidence_merge(a, b, &err), -ERR_CONFLICT);
    assert_non_null(strstr(err.message, "unit"));
    assert_int_equal(evidence_merge(a, c, &err), -ERR_CONFLICT);
    assert_int_equal(evidence_follow(a, b, &err), -ERR_CONFLICT);
    evidence_tick(b, START);
    assert_int_equal(evidence_merge(a, b, &err), -ERR_CONFLICT);
    evidence_tick(b, START);
    assert_int_equal(evidence_follow(a, b, &err), -ERR_CONFLICT);
    evidence_tick(c, START);
    assert_int_equal(evidence_follow(a, c, &err), -ERR_CONFLICT);
    struct str after = kit_bytes(a);
    assert_true(slice_equal(str_slice(&before), str_slice(&after)));
    str_deinit(&before);
    str_deinit(&after);
}

/* Same tick and time, other thresholds: they would not be the same bets. */
static void test_merge_refuses_other_thresholds(void **state) {
    struct rollout_plan plan = kit_plan_full();
    struct dice dice = {15};
    _cleanup_(evidence_freep) struct evidence *a = kit_new(&plan), *b = kit_new(&plan);
    add_healthy(a, &plan, &dice, 300);
    add_healthy(b, &plan, &dice, 300);
    evidence_tick(a, START);
    evidence_tick(b, START);
    assert_int_equal(evidence_merge(a, b, NULL), -ERR_CONFLICT);
}

/* ---- monotone ---- */

static void judge_errors(const struct rollout_plan *plan, const struct evidence *evidence, double ret[2]) {
    struct verdict verdict;
    analysis_judge(plan, evidence, evidence_step(evidence), &verdict);
    ret[0] = verdict.metrics[0].harm_log;
    ret[1] = verdict.metrics[0].go_on_log;
}

static void test_an_error_is_never_good_news(void **state) {
    struct rollout_plan plan = kit_plan_errors(kit_shares, 3);
    struct dice dice = dice_of_test("error", 16);
    for (int run = 0; run < 30; run++) {
        _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
        double before[2], calm[2], after[2];
        for (int i = 0; i < 100; i++) {
            add_healthy(evidence, &plan, &dice, 30);
            if (dice_hits(&dice, 0.02)) evidence_enter(evidence, evidence_step(evidence) + 1, START);
            if (i % 10) continue;
            uint64_t unit = dice_next(&dice);
            struct observation seen = outcome(unit, true, false);
            seen.stage = (unsigned)evidence_step(evidence);
            judge_errors(&plan, evidence, before);
            kit_add(evidence, &seen);
            judge_errors(&plan, evidence, calm);
            seen.events = 1;
            kit_add(evidence, &seen);
            judge_errors(&plan, evidence, after);
            assert_true(calm[0] <= before[0] && calm[1] >= before[1]);
            assert_true(after[0] >= before[0] && after[1] <= before[1]);
        }
    }
}

/* ---- restarts ---- */

static void test_restarts(void **state) {
    static const int32_t shares[] = {90000, 95000};
    struct rollout_plan plan = kit_plan_errors(shares, 2);
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct dice dice = {17};
    const struct restarts *restarts = &evidence->restarts;
    for (int64_t i = 0; i < 64 * 1000; i++) {
        add_outcome(evidence, dice_next(&dice), true, i % 50 == 0);
        evidence_tick(evidence, START + i);
        assert_int_equal(restarts->count, (i + 1) / 1000);
    }
    assert_int_equal(restarts->started, 64);
    assert_int_equal(restart_row(evidence, 9)[0], 10000);
    assert_int_equal(restart_row(evidence, 9)[1], 200);
    evidence_enter(evidence, 1, START + 70000); /* the 65th: every second goes */
    assert_int_equal(restarts->count, 33);
    assert_int_equal(restarts->started, 65);
    assert_int_equal(restarts->spacing, 2000);
    for (size_t i = 0; i < 32; i++) {
        assert_int_equal(restarts->index[i], 2 * (i + 1));
        assert_int_equal(restart_row(evidence, i)[0], 2000 * (i + 1));
    }
    assert_int_equal(restarts->index[32], 65);
    for (int64_t i = 0; i < 4000; i++) {
        add_outcome(evidence, dice_next(&dice), true, false);
        evidence_tick(evidence, START + 80000 + i);
    }
    assert_int_equal(restarts->count, 35);
    assert_int_equal(restarts->index[34], 67);
    _cleanup_(evidence_freep) struct evidence *again = copy_of(&plan, evidence);
    kit_assert_same(evidence, again);
}

/* ---- bounds ---- */

static void test_thinning(void **state) {
    static const int32_t half[] = {50000};
    struct rollout_plan plan = kit_plan_errors(half, 1);
    plan.alpha_srm = 0.001;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct dice dice = dice_of_test("thinning", 18);
    static const double rates[] = {0.05, 0.05};
    int64_t thinned[2] = {0};
    for (int i = 0; i < 700000; i++) {
        struct observation seen = kit_draw(&dice, &plan, 0, rates);
        int64_t before = evidence_left_out(evidence).thinned;
        kit_add(evidence, &seen);
        thinned[seen.candidate] += evidence_left_out(evidence).thinned - before;
        assert_true(evidence->units.count <= UNITS_MAX);
    }
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    print_message("thinned %lld stable, %lld candidates, level %u; split %.2f, harm %.2f; %zu bytes\n",
                  (long long)thinned[0], (long long)thinned[1], evidence->units.level, verdict.split_log,
                  verdict.harm_log, evidence_memory(evidence));
    assert_int_equal(evidence->units.level, 2);
    /* a fair coin a quarter of a million times: 0.5 % is five standard errors */
    assert_true(fabs((double)thinned[0] / (double)(thinned[0] + thinned[1]) - 0.5) < 0.005);
    assert_true(verdict.split_log < log(1000) && verdict.harm_log < log(20));
    assert_true(evidence_memory(evidence) < 9 * 1024 * 1024);
    /* counted units stay counted: all that came, but those thinned */
    assert_int_equal(evidence->seen[SEEN_UNITS] + evidence->seen[SEEN_UNITS + 1], 700000 - thinned[0] - thinned[1]);
}

static void test_sums_stop(void **state) {
    assert_true(sum_add(SUM_MAX, 5) == SUM_MAX && sum_add(-SUM_MAX, -1) == -SUM_MAX && sum_add(2, -3) == -1);
    struct rollout_plan plan = kit_plan_full();
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    for (size_t i = 0; i < evidence->layout.harm_len; i++)
        evidence->harm[i] = SUM_MAX;
    for (size_t i = 0; i < evidence->layout.seen_len; i++)
        evidence->seen[i] = SUM_MAX;
    struct dice dice = {19};
    add_healthy(evidence, &plan, &dice, 300);
    evidence_tick(evidence, START + MINUTE);
    struct verdict verdict;
    analysis_judge(&plan, evidence, 0, &verdict);
    assert_false(isnan(verdict.harm_log));
}

static void test_memory_ends(void **state) {
    struct rollout_plan plan = kit_plan_full();
    plan.watermark = SECOND;
    for (size_t n = 1;; n++) {
        struct evidence *evidence = NULL;
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = evidence_new(&plan, START, &evidence, &err);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            evidence_free(evidence);
            assert_true(n > 5);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
        assert_null(evidence);
    }
    _cleanup_(evidence_freep) struct evidence *a = kit_new(&plan), *b = kit_new(&plan);
    struct observation seen = outcome(1, true, true);
    struct str before = kit_bytes(a);
    ticker_start(1);
    assert_int_equal(evidence_add(a, &seen), -ERR_NO_MEMORY);
    assert_true(ticker_stop());
    struct str after = kit_bytes(a);
    assert_true(slice_equal(str_slice(&before), str_slice(&after)));
    kit_add(a, &seen);
    ticker_start(1);
    assert_int_equal(evidence_merge(b, a, NULL), -ERR_NO_MEMORY);
    assert_true(ticker_stop());
    assert_int_equal(evidence_merge(b, a, NULL), 0);
    kit_assert_same(a, b);
    str_deinit(&before);
    str_deinit(&after);
}

static void test_plans_refused(void **state) {
    struct rollout_plan none = {0}, many = kit_plan_full(), margin = kit_plan_full(), steps = kit_plan_full();
    many.metric_count = ROLLOUT_METRICS_MAX + 1;
    margin.metrics[LATENCY].harm = 0;
    steps.step_count = ROLLOUT_STEPS_MAX + 1;
    struct rollout_plan *bad[] = {&none, &many, &margin, &steps};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct evidence *evidence = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(evidence_new(bad[i], START, &evidence, &err), -ERR_INVALID);
        assert_null(evidence);
        assert_true(err.message[0]);
    }
}

/* The largest plan there may be works. */
static void test_largest_plan(void **state) {
    struct rollout_plan plan = kit_plan_of(kit_shares, 3);
    plan.step_count = ROLLOUT_STEPS_MAX;
    for (size_t s = 0; s < ROLLOUT_STEPS_MAX; s++)
        plan.steps[s].share = (int32_t)(5000 * (s + 1));
    plan.metric_count = ROLLOUT_METRICS_MAX;
    for (size_t m = 0; m < ROLLOUT_METRICS_MAX; m++)
        plan.metrics[m] = kit_cost;
    plan.settle = plan.watermark = MINUTE;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct dice dice = {20};
    for (size_t step = 0; step < ROLLOUT_STEPS_MAX; step++) {
        if (step) evidence_enter(evidence, step, START + (int64_t)step * MINUTE);
        for (int i = 0; i < 300; i++) {
            struct observation seen = {.unit = dice_next(&dice), .stage = (unsigned)step, .present = ~0u};
            seen.candidate = dice_hits(&dice, evidence->layout.share[step]);
            seen.at = START + (int64_t)step * MINUTE;
            for (size_t m = 0; m < ROLLOUT_METRICS_MAX; m++)
                seen.values[m] = dice_lognormal(&dice, 1, 1);
            kit_add(evidence, &seen);
        }
    }
    print_message("largest plan: %zu bytes\n", evidence_memory(evidence));
    assert_true(evidence_memory(evidence) < 4 * 1024 * 1024);
    _cleanup_(evidence_freep) struct evidence *again = copy_of(&plan, evidence);
    kit_assert_same(evidence, again);
    struct verdict verdict;
    analysis_judge(&plan, evidence, evidence_step(evidence), &verdict);
    assert_int_equal(verdict.metric_count, ROLLOUT_METRICS_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_event_of_a_unit),
        cmocka_unit_test(test_event_after_a_good_outcome),
        cmocka_unit_test(test_steps_begin_anew),
        cmocka_unit_test(test_late_outcome),
        cmocka_unit_test(test_moved_by_the_share),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_vector_score),
        cmocka_unit_test(test_vector_exceedance),
        cmocka_unit_test(test_margin_of_sizes),
        cmocka_unit_test(test_predictable),
        cmocka_unit_test(test_time_never_goes_back),
        cmocka_unit_test(test_settle),
        cmocka_unit_test(test_watermark),
        cmocka_unit_test(test_every_age),
        cmocka_unit_test(test_beyond_the_ring),
        cmocka_unit_test(test_step_ends_while_waiting),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_parts_are_the_whole),
        cmocka_unit_test(test_merge_refuses),
        cmocka_unit_test(test_merge_refuses_other_thresholds),
        cmocka_unit_test(test_an_error_is_never_good_news),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_thinning),
        cmocka_unit_test(test_sums_stop),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_plans_refused),
        cmocka_unit_test(test_largest_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
