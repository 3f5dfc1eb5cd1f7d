/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often is the verdict wrong, and how soon right? Many rollouts of described worlds, looked at some 20 candidate units apart, each until it ends; beside it what
 * the plain rule (1.5 x stable: back, 1.1 x: on, after 100 units) does with the very same outcomes. Everything is seeded: the counts are the same on every run
 * of one machine.
 *
 * Tolerances. A chance that is promised to be at most p may show as p + 3 sqrt(p (1 - p) / runs) in so many runs: a correct program fails such a line in one of a
 * thousand seeds at the very boundary, and practically never where the design's own simulations put it far below. Detection rates and medians are held to loose ranges
 * around the figures of the design page (sections 2.3, 4, 6 and 8), which come from other code, other random numbers and other looks.
 */
#include "analysis/test_kit.h"
#include "analysis/verdict.h"

#define USERS 3000
#define RUNS_MAX 300
#define LOOK 20.0 /* candidate units between two looks, about */

struct world {
    const char *name;
    struct rollout_plan plan;
    double rates[2]; /* of errors: stable, candidate */
    int64_t horizon; /* candidate units until it counts as undecided */
    int runs;
    bool never_passes; /* going on is not looked at: harm comes late */
    /* Changes a drawn outcome, number `i` of about `all`; `users` are this run's. NULL: nothing. */
    void (*change)(const struct world *world, struct dice *dice, double progress, struct observation *seen);
    /* The step that stands at this progress; NULL: always the first. */
    size_t (*step)(double progress);
    double late; /* progress at which the candidate turns bad */
};

/* What became of the runs under one rule. */
struct fate {
    int harmed, passed;
    int64_t when[RUNS_MAX]; /* candidate units at which harm was found */
};

static struct dice run_dice; /* the users of this run: their proneness and bucket follow from it */

/* ---- running ---- */

static void note(struct fate *fate, bool *done, const struct world *world, const struct verdict *verdict) {
    if (*done) return;
    if (verdict->outcome == VERDICT_HARM) {
        fate->when[fate->harmed++] = verdict->units;
        *done = true;
    }
    if (verdict->outcome == VERDICT_PASS && !world->never_passes) {
        fate->passed++;
        *done = true;
    }
}

static void draw(const struct world *world, struct dice *dice, size_t step, double progress,
                 struct evidence *evidence) {
    struct observation seen = kit_draw(dice, &world->plan, (unsigned)step, world->rates);
    if (world->change) world->change(world, dice, progress, &seen);
    kit_add(evidence, &seen);
}

static void run_once(const struct world *world, struct dice *dice, struct fate *by_evidence, struct fate *by_ratio) {
    struct rollout_plan ratio = world->plan;
    struct verdict verdict;
    bool done[2] = {false, false};
    int64_t units = 0;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&world->plan);
    ratio.judge = JUDGE_RATIO;
    for (int64_t tick = 1; units < world->horizon && !(done[0] && done[1]); tick++) {
        double progress = (double)units / (double)world->horizon;
        size_t step = world->step ? world->step(progress) : 0;
        if (step > evidence_step(evidence)) evidence_enter(evidence, step, START + tick);
        int outcomes = (int)(LOOK * SHARE_ALL / world->plan.steps[step].share);
        for (int i = 0; i < outcomes; i++)
            draw(world, dice, step, progress, evidence);
        evidence_tick(evidence, START + tick);
        analysis_judge(&world->plan, evidence, step, &verdict);
        note(by_evidence, &done[0], world, &verdict);
        units = units + (int64_t)LOOK;
        if (done[1]) continue;
        analysis_judge(&ratio, evidence, step, &verdict);
        note(by_ratio, &done[1], world, &verdict);
    }
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(struct fate *fate) {
    if (fate->harmed == 0) return 0;
    qsort(fate->when, (size_t)fate->harmed, sizeof(fate->when[0]), by_number);
    return fate->when[fate->harmed / 2];
}

static void print_fate(const char *rule, struct fate *fate, int runs) {
    print_message("    %-8s rolled back %5.1f %% (median %5lld units), went on %5.1f %%\n", rule,
                  100.0 * fate->harmed / runs, (long long)median(fate), 100.0 * fate->passed / runs);
}

static void run_world(const struct world *world, uint64_t seed, struct fate *by_evidence, struct fate *by_ratio) {
    struct dice dice = dice_of_test(world->name, seed);
    *by_evidence = *by_ratio = (struct fate){0};
    for (int run = 0; run < world->runs; run++) {
        run_dice = (struct dice){dice_next(&dice)};
        run_once(world, &dice, by_evidence, by_ratio);
    }
    print_fate("evidence", by_evidence, world->runs);
    print_fate("ratio", by_ratio, world->runs);
}

/* ---- holding to promises ---- */

static void assert_at_most(int count, int runs, double promised) {
    double allowed = promised + 3 * sqrt(promised * (1 - promised) / runs);
    if (count > allowed * runs) fail_msg("%d of %d is more than %.1f %%", count, runs, 100 * allowed);
}

static void assert_at_least(int count, int runs, double wanted) {
    if (count < wanted * runs) fail_msg("%d of %d is less than %.1f %%", count, runs, 100 * wanted);
}

static struct world world_of(const char *name, const int32_t *shares, size_t steps, double stable, double candidate) {
    struct world world = {.name = name, .plan = kit_plan_errors(shares, steps), .rates = {stable, candidate}};
    world.horizon = 5000;
    world.runs = RUNS_MAX;
    return world;
}

static const int32_t quarter[] = {25000}, twentieth[] = {5000};

/* ---- errors ---- */

static void test_same(void **state) {
    struct world world = world_of("A/A 2 %", quarter, 1, 0.02, 0.02);
    struct fate evidence, ratio;
    run_world(&world, 51, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
    assert_true(evidence.harmed * 4 < ratio.harmed); /* the plain rule does it every third time or so */
}

static void test_boundary(void **state) {
    struct world world = world_of("2 -> 2.2 %, the boundary", quarter, 1, 0.02, 0.022);
    struct fate evidence, ratio;
    run_world(&world, 52, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
}

/* Without going on to end the run: every look is another chance to be wrong. */
static void test_boundary_without_end(void **state) {
    struct world world = world_of("10 -> 11 %, the boundary, no end", quarter, 1, 0.1, 0.11);
    struct fate evidence, ratio;
    world.never_passes = true;
    run_world(&world, 53, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
}

/* The other boundary: 1.5 times worse must not go on. */
static void test_false_promotion(void **state) {
    struct world world = world_of("2 -> 3 %, the other boundary", quarter, 1, 0.02, 0.03);
    struct fate evidence, ratio;
    run_world(&world, 54, &evidence, &ratio);
    assert_at_most(evidence.passed, world.runs, 0.05);
    assert_true(ratio.passed > world.runs / 10);
}

static void test_detection(void **state) {
    static const struct {
        const char *name;
        double stable, candidate;
        int64_t least,
            most; /* median; design page, table T5: 824, 88 and 189 at this share, looked at twice as often */
    } cases[] = {
        {"2 -> 4 %", 0.02, 0.04, 500, 1400}, {"2 -> 10 %", 0.02, 0.1, 50, 180}, {"0 -> 2 %", 0, 0.02, 120, 360}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world = world_of(cases[i].name, quarter, 1, cases[i].stable, cases[i].candidate);
        struct fate evidence, ratio;
        world.runs = 200;
        world.horizon = 10000;
        run_world(&world, 55 + i, &evidence, &ratio);
        assert_at_least(evidence.harmed, world.runs, 0.98);
        assert_in_range(median(&evidence), cases[i].least, cases[i].most);
        assert_at_most(evidence.passed, world.runs, 0.01);
    }
}

/* At the usual first share of a rollout. */
static void test_small_share(void **state) {
    struct world world = world_of("2 -> 10 % at a share of 5 %", twentieth, 1, 0.02, 0.1);
    struct fate evidence, ratio;
    world.runs = 200;
    run_world(&world, 58, &evidence, &ratio);
    assert_at_least(evidence.harmed, world.runs, 0.99);
    assert_in_range(median(&evidence), 40, 130);
}

static void test_good_passes(void **state) {
    struct world world = world_of("2 -> 1 %", quarter, 1, 0.02, 0.01);
    struct fate evidence, ratio;
    world.runs = 200;
    run_world(&world, 59, &evidence, &ratio);
    assert_at_least(evidence.passed, world.runs, 0.98);
}

/* ---- worlds that fool pooled rules ---- */

static const int32_t ramp[] = {5000, 50000};

static size_t second_half(double progress) {
    return progress >= 0.5;
}

/* A provider's incident quadruples errors of both arms while the share goes from 5 to 50 %. */
static void drift(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    seen->events = dice_hits(dice, progress < 0.5 ? 0.01 : 0.04);
}

static void test_ramp_with_drift(void **state) {
    struct world world = world_of("A/A, 1 -> 4 % of both arms in the ramp", ramp, 2, 0, 0);
    struct fate evidence, ratio;
    world.change = drift;
    world.step = second_half;
    world.never_passes = true;
    world.horizon = 4000;
    world.runs = 150;
    run_world(&world, 60, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
    assert_at_least(ratio.harmed, world.runs, 0.9);
}

static const int32_t three_steps[] = {5000, 25000, 50000};

static size_t thirds(double progress) {
    return progress < 0.2 ? 0 : progress < 0.5 ? 1 : 2;
}

static uint64_t user_number(uint64_t user, uint64_t what) {
    struct dice dice = {run_dice.state ^ (user * 2 + what) * UINT64_C(0xd1342543de82ef95)};
    return dice_next(&dice);
}

/* 3000 users come again and again; each has a bucket for good, and one in ten has errors most of the time. */
static void sticky(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    uint64_t user = dice_next(dice) % USERS;
    double bucket = (double)(user_number(user, 0) >> 11) * 0x1p-53;
    bool prone = user_number(user, 1) % 10 == 0;
    seen->unit = user_number(user, 0) ^ user;
    seen->candidate = bucket < (double)world->plan.steps[seen->stage].share / SHARE_ALL;
    seen->events = dice_hits(dice, prone ? 0.5 : 0.005);
}

static void test_sticky_users(void **state) {
    struct world world = world_of("A/A, unlike users who come back, over three steps", three_steps, 3, 0, 0);
    struct fate evidence, ratio;
    world.change = sticky;
    world.step = thirds;
    world.never_passes = true;
    world.horizon = 6000;
    world.runs = 150;
    run_world(&world, 61, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
    assert_true(ratio.harmed > evidence.harmed);
}

/* In 2 % of the time half of all outcomes fail, in both arms. */
static void bursts(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    struct dice weather = {run_dice.state + (uint64_t)(progress * 1e6)};
    seen->events = dice_hits(dice, dice_hits(&weather, 0.02) ? 0.5 : 0.02);
}

static void test_bursts(void **state) {
    struct world world = world_of("A/A, bursts in both arms", quarter, 1, 0, 0);
    struct fate evidence, ratio;
    world.change = bursts;
    world.never_passes = true;
    world.runs = 200;
    run_world(&world, 62, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
    assert_true(ratio.harmed > 3 * evidence.harmed);
}

static void turns_bad(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    if (seen->candidate && progress >= world->late) seen->events = dice_hits(dice, 0.06);
}

/* 6000 healthy units, then three times the errors. Without restarts the banked confidence has to be lost first: some 900 units more. */
static void test_late_regression(void **state) {
    struct world world = world_of("healthy for 6000 units, then 2 -> 6 %", quarter, 1, 0.02, 0.02);
    struct fate evidence, ratio;
    world.change = turns_bad;
    world.never_passes = true;
    world.horizon = 9000;
    world.late = 6000.0 / 9000;
    world.runs = 100;
    run_world(&world, 63, &evidence, &ratio);
    assert_at_least(evidence.harmed, world.runs, 0.98);
    int early = 0;
    for (int i = 0; i < evidence.harmed; i++)
        early += evidence.when[i] < 5900;
    assert_at_most(early, world.runs, 0.05);
    assert_in_range(median(&evidence), 6150, 6900);
}

/* ---- scores and sizes: the full plan ---- */

static struct world full_world(const char *name) {
    struct world world = {.name = name, .plan = kit_plan_full(), .rates = {0.02, 0.02}, .horizon = 3000, .runs = 60};
    world.plan.step_count = 1;
    world.plan.steps[0].share = 25000;
    world.plan.settle = 0;
    return world;
}

static void worse_quality(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    if (seen->candidate) seen->values[QUALITY] = clamp01(seen->values[QUALITY] - 0.05);
}

static void slower(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    if (seen->candidate) seen->values[LATENCY] *= 1.5;
}

static void dearer(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    if (seen->candidate) seen->values[COST] *= 1.5;
}

/* Every metric exactly where it is still acceptable. */
static void at_every_boundary(const struct world *world, struct dice *dice, double progress, struct observation *seen) {
    if (!seen->candidate) return;
    seen->events = dice_hits(dice, 0.022);
    seen->values[QUALITY] = clamp01(seen->values[QUALITY] - 0.01);
    seen->values[LATENCY] *= 1.1;
    seen->values[COST] *= 1.1;
}

static void test_full_boundary(void **state) {
    struct world world = full_world("four metrics at their boundary");
    struct fate evidence, ratio;
    world.change = at_every_boundary;
    world.never_passes = true;
    world.runs = 100;
    run_world(&world, 70, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
}

static void test_full_detection(void **state) {
    static const struct {
        const char *name;
        void (*change)(const struct world *, struct dice *, double, struct observation *);
        int64_t most; /* median; design page, section 6: 211, 122 and 235 at a share of 5 %, and twice that at half */
    } cases[] = {
        {"quality .80 -> .75", worse_quality, 600}, {"latency x 1.5", slower, 500}, {"cost x 1.5", dearer, 900}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world world = full_world(cases[i].name);
        struct fate evidence, ratio;
        world.change = cases[i].change;
        run_world(&world, 71 + i, &evidence, &ratio);
        assert_at_least(evidence.harmed, world.runs, 0.98);
        assert_in_range(median(&evidence), 20, cases[i].most);
    }
}

static void test_full_same(void **state) {
    struct world world = full_world("A/A of four metrics");
    struct fate evidence, ratio;
    world.horizon = 8000;
    run_world(&world, 75, &evidence, &ratio);
    assert_at_most(evidence.harmed, world.runs, 0.05);
    assert_at_least(evidence.passed, world.runs, 0.9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_boundary),
        cmocka_unit_test(test_boundary_without_end),
        cmocka_unit_test(test_false_promotion),
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_small_share),
        cmocka_unit_test(test_good_passes),
        cmocka_unit_test(test_ramp_with_drift),
        cmocka_unit_test(test_sticky_users),
        cmocka_unit_test(test_bursts),
        cmocka_unit_test(test_late_regression),
        cmocka_unit_test(test_full_boundary),
        cmocka_unit_test(test_full_detection),
        cmocka_unit_test(test_full_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
