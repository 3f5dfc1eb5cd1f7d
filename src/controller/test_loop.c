/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over a real store and the real operations; only the keeper of the evidence is a double. */
#include "controller/journal.h"
#include "controller/loop.h"
#include "controller/test_kit.h"
#include "ops/test_world.h"
#include "store/rollouts.h"

/* ---- a keeper of evidence ---- */

#define KEPT_MAX 1200

struct kept {
    char id[64];
    struct rollout_plan plan;
    struct evidence *evidence;
    struct arm_flow flow[2];
    struct str judged;
    bool fresh; /* something came since it was written */
};

static struct kept kept[KEPT_MAX];
static size_t kept_count;
static bool fail_next_tell;
static struct world world;
static struct controller *controller;

static struct kept *find_kept(const char *id) {
    for (size_t i = 0; i < kept_count; i++)
        if (!strcmp(kept[i].id, id)) return &kept[i];
    return NULL;
}

static struct kept *keep(const struct rollout *rollout) {
    static struct arena arena; /* of the tests */
    struct faults faults = FAULTS_INIT;
    json_t *json;
    struct kept *to = &kept[kept_count++];
    *to = (struct kept){.fresh = true};
    snprintf(to->id, sizeof(to->id), "%s", rollout->id);
    assert_int_equal(json_parse(rollout->plan, strlen(rollout->plan), JSON_DEPTH_MAX, &json, NULL), 0);
    assert_int_equal(rollout_plan_parse(json, "", false, &arena, &to->plan, &faults, NULL), 0);
    json_decref(json);
    assert_int_equal(evidence_new(&to->plan, rollout->created_at, &to->evidence, NULL), 0);
    return to;
}

static int keep_tell(void *ctx, const struct rollout *rollout, struct err *err) {
    struct kept *of = find_kept(rollout->id);
    if (!of) of = keep(rollout);
    if (fail_next_tell) {
        fail_next_tell = false;
        return err_set(err, ERR_STORE_FULL, "the disk is full");
    }
    of->fresh = true;
    evidence_enter(of->evidence, rollout->step, rollout->step_at);
    return 0;
}

static void forget(struct kept *of) {
    evidence_free(of->evidence);
    str_deinit(&of->judged);
    *of = kept[--kept_count];
}

static int keep_close(void *ctx, const char *rollout, struct err *err) {
    struct kept *of = find_kept(rollout);
    if (of) forget(of);
    return 0;
}

static int keep_tick(void *ctx, int64_t now, int (*each)(void *, const struct evidence_seen *), void *each_ctx,
                     struct err *err) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < kept_count; i++) {
        struct kept *of = &kept[i];
        if (of->fresh) {
            evidence_tick(of->evidence, now);
            str_clear(&of->judged);
            assert_int_equal(evidence_write(of->evidence, EVIDENCE_JUDGED, &of->judged), 0);
            of->fresh = false;
        }
        struct evidence_seen seen = {.rollout = of->id, .judged = str_slice(&of->judged)};
        memcpy(seen.flow, of->flow, sizeof(seen.flow));
        r = each(each_ctx, &seen);
    }
    return r;
}

/* ---- the story's means ---- */

#define TWO_STEPS                                                                                                      \
    "'steps':[{'share':20,'min_time':'0s','min_units':50},{'share':50,'min_time':'0s','min_units':50}],"               \
    "'analysis':{'metrics':['error'],'settle':'0s'}"

static void new_controller(void) {
    struct controller_options options = {.ops = &world.ops, .source = {keep_tell, keep_close, keep_tick, NULL}};
    controller_free(controller);
    controller = NULL;
    assert_int_equal(controller_new(&options, &controller, NULL), 0);
}

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:controller%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'staging'}");
    world_push(&world, "support", "one");
    world_push(&world, "support", "two");
    world_do(&world, "deploy", "{'agent':'support','environment':'staging','version':1,'reason':'first'}");
    new_controller();
    return 0;
}

static int teardown(void **state) {
    controller = controller_free(controller);
    while (kept_count)
        forget(&kept[0]);
    world_close(&world);
    return 0;
}

static struct kept *start(const char *more) {
    char params[600];
    snprintf(params, sizeof(params),
             "{'agent':'support','environment':'staging','version':2,'reason':'try'," TWO_STEPS "%s}", more);
    world_do(&world, "rollout_start", params);
    struct err err = ERR_INIT;
    if (controller_look(controller, &err) < 0) fail_msg("%s", err.message);
    return &kept[kept_count - 1];
}

static void look(void) {
    struct err err = ERR_INIT;
    clock_fake_advance(&world.clock, SECOND);
    if (controller_look(controller, &err) < 0) fail_msg("%s", err.message);
}

/* So many units of the candidate and what goes with them of stable; every so manieth of either has an error, 0 = none. */
static void outcomes(struct kept *of, unsigned units, unsigned stable_every, unsigned candidate_every) {
    static uint64_t next = 1;
    unsigned stage = (unsigned)evidence_step(of->evidence), seen_of[2] = {0, 0};
    unsigned one_in = (unsigned)(SHARE_ALL / of->plan.steps[stage].share);
    int64_t now = clock_wall(&world.clock);
    for (unsigned i = 0; i < units * one_in; i++) {
        struct observation seen = {
            .candidate = i % one_in == 0, .stage = stage, .unit = next++ * UINT64_C(0x9e3779b97f4a7c15), .at = now};
        unsigned every = seen.candidate ? candidate_every : stable_every;
        seen.events = every && ++seen_of[seen.candidate] % every == 0;
        assert_int_equal(evidence_add(of->evidence, &seen), 0);
    }
    of->flow[0] = of->flow[1] = (struct arm_flow){.outcome_at = now, .decision_at = now};
    of->fresh = true;
}

static const json_t *rollout_now(void) {
    return json_at(world_do(&world, "rollout_get", "{'agent':'support','rollout':'staging'}"), "/rollout");
}

static void expect_state(const char *expected, int step) {
    const json_t *rollout = rollout_now();
    assert_string_equal(json_get_text(rollout, "state"), expected);
    assert_int_equal(json_integer_value(json_get(rollout, "step")), step);
}

static size_t move_count(void) {
    return json_array_size(
        json_get(world_do(&world, "rollout_get", "{'agent':'support','rollout':'staging'}"), "moves"));
}

static struct controller_stats stats(void) {
    struct controller_stats ret;
    controller_stats(controller, &ret);
    return ret;
}

/* ---- stories ---- */

struct seen {
    size_t count;
    char text[200];
};

static int see(void *ctx, const struct watched_rollout *rollout) {
    struct seen *seen = ctx;
    seen->count++;
    snprintf(seen->text, sizeof(seen->text), "%s/%s %d to %d, %s at step %u of %u, %d", rollout->agent,
             rollout->environment, (int)rollout->stable, (int)rollout->candidate, rollout_state_name(rollout->state),
             rollout->step, rollout->steps, rollout->share);
    if (!rollout->judged) return 0;
    assert_string_equal(rollout->metrics[0].name, "error");
    bool enough = rollout->metrics[0].go_on_log >= rollout->go_on_enough;
    snprintf(seen->text + strlen(seen->text), 60, "; %d units, %s", (int)rollout->units,
             enough ? "enough" : "not enough");
    return 0;
}

static void expect_seen(const char *expected) {
    struct seen seen = {0};
    assert_int_equal(controller_each(controller, see, &seen), 0);
    assert_int_equal(seen.count, *expected != 0);
    assert_string_equal(seen.text, expected);
}

static void test_what_can_be_seen(void **state) {
    struct kept *of = start("");
    expect_seen("support/staging 1 to 2, running at step 0 of 2, 20000; 0 units, not enough");
    outcomes(of, 30, 20, 60);
    look();
    expect_seen("support/staging 1 to 2, running at step 0 of 2, 20000; 30 units, not enough");
    assert_int_equal(stats().advanced, 0);
    outcomes(of, 1200, 20, 60);
    look();
    look();
    expect_seen("support/staging 1 to 2, running at step 1 of 2, 50000; 1230 units, not enough");
    assert_true(stats().advanced == 1 && stats().moved == 1);
    outcomes(of, 600, 50, 2);
    look();
    look();
    expect_seen("");
    assert_true(stats().rolled_back == 1 && stats().moved == 2);
}

static void test_a_good_candidate_is_promoted(void **state) {
    struct kept *of = start("");
    outcomes(of, 1200, 20, 60);
    look();
    expect_state("running", 2);
    look(); /* the evidence enters the step */
    assert_int_equal(evidence_step(of->evidence), 1);
    outcomes(of, 2500, 20, 60);
    look();
    expect_state("promoted", 2);
    assert_int_equal(world_served(&world, "support", "staging", NULL), 2);
    look();
    assert_int_equal(kept_count, 0); /* closed */
    assert_int_equal(stats().moved, 2);
    assert_int_equal(stats().rollouts, 0);
}

static void test_harm_is_rolled_back_and_held(void **state) {
    struct kept *of = start("");
    outcomes(of, 200, 50, 4);
    look();
    const json_t *rollout = rollout_now();
    assert_string_equal(json_get_text(rollout, "state"), "rolled_back");
    assert_non_null(strstr(json_get_text(rollout, "words"), "rolled back at 20 %: error ratio"));
    world_do(&world, "hold_list", "{'environment':'staging'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/holds")), 1);
    assert_int_equal(world_served(&world, "support", "staging", NULL), 1);
}

/* Every move of the controller can be had again from the store alone. */
struct journal {
    struct rollout_plan *plan;
    int replayed;
};

static int replay_all(void *arg, struct store_tx *tx, struct err *err) {
    struct journal *journal = arg;
    struct arena arena = ARENA_INIT;
    struct rollout *rollout;
    struct rollout_move *moves;
    size_t count;
    struct store_rollouts_query query = {.limit = 1};
    assert_int_equal(store_rollouts(tx, &query, &arena, &rollout, &count, err), 0);
    assert_int_equal(store_rollout_moves(tx, rollout->id, 0, 100, true, &arena, &moves, &count, err), 0);
    for (size_t i = 0; i < count; i++) {
        struct replayed again;
        if (!moves[i].evidence.len) continue;
        assert_int_equal(journal_replay(journal->plan, &moves[i], &again, err), 0);
        assert_true(replayed_same(&again));
        replayed_deinit(&again);
        journal->replayed++;
    }
    arena_deinit(&arena);
    return 0;
}

static void test_the_journal_replays(void **state) {
    struct kept *of = start("");
    struct rollout_plan plan = of->plan;
    struct journal journal = {.plan = &plan};
    outcomes(of, 1200, 20, 60);
    look();
    look();
    outcomes(of, 400, 50, 4);
    look();
    expect_state("rolled_back", 2);
    assert_int_equal(store_read(world.store, replay_all, &journal, NULL), 0);
    assert_int_equal(journal.replayed, 2);
}

/* Killed anywhere: another controller on the same store and evidence does each thing once. */
static void test_restarts_do_nothing_twice(void **state) {
    struct kept *of = start("");
    outcomes(of, 1200, 20, 60);
    new_controller(); /* killed before it decided */
    look();
    expect_state("running", 2);
    new_controller(); /* killed after the move, before the evidence knew */
    look();
    assert_int_equal(evidence_step(of->evidence), 1);
    for (int i = 0; i < 5; i++) {
        new_controller();
        look();
    }
    assert_int_equal(move_count(), 2);
    outcomes(of, 400, 50, 4);
    new_controller();
    look();
    expect_state("rolled_back", 2);
    for (int i = 0; i < 3; i++) {
        new_controller();
        look();
    }
    assert_int_equal(move_count(), 3);
}

static void test_never_past_a_person(void **state) {
    struct kept *of = start("");
    outcomes(of, 1200, 20, 60);
    world_do(&world, "hold_set", "{'agent':'support','environment':'staging','reason':'wait'}");
    look();
    look();
    expect_state("running", 1);
    world_do(&world, "hold_release", "{'agent':'support','environment':'staging','reason':'go'}");
    look();
    expect_state("running", 2);
    world_do(&world, "rollout_pause", "{'agent':'support','rollout':'staging','reason':'lunch'}");
    look();
    outcomes(of, 2500, 20, 60);
    look();
    expect_state("paused", 2);
    outcomes(of, 2500, 20, 2); /* harm knows no lunch */
    look();
    expect_state("rolled_back", 2);
}

static void test_silence_holds_once(void **state) {
    struct kept *of = start("");
    outcomes(of, 60, 50, 50);
    look();
    of->flow[1].unanswered_since = clock_wall(&world.clock);
    for (int i = 0; i < 12 * 60; i++) {
        of->flow[1].decision_at = clock_wall(&world.clock);
        look();
    }
    expect_state("held", 1);
    assert_int_equal(move_count(), 2);
}

static void test_a_source_that_fails_is_asked_again(void **state) {
    struct kept *of = start("");
    outcomes(of, 1200, 20, 60);
    look();
    fail_next_tell = true;
    assert_int_equal(controller_look(controller, NULL), -ERR_STORE_FULL);
    assert_int_equal(evidence_step(of->evidence), 0);
    look();
    assert_int_equal(evidence_step(of->evidence), 1);
}

/* Killed between a rollout's end and its telling: the source still keeps it. */
static void test_what_has_ended_is_closed_after_a_crash(void **state) {
    struct kept *of = start("");
    char id[64];
    snprintf(id, sizeof(id), "%s", of->id);
    world_do(&world, "rollout_abort", "{'agent':'support','rollout':'staging','reason':'enough'}");
    new_controller();
    look();
    assert_non_null(find_kept(id));
    look();
    assert_null(find_kept(id));
}

/* Told by whoever started it, before the loop has read of it: one that begins is not closed. */
static void test_what_begins_is_no_stranger(void **state) {
    (void)start("");
    kept[kept_count++] = kept[0];
    snprintf(kept[1].id, sizeof(kept[1].id), "0191f1c4-5d2e-7c3a-9b1f-0123456789ab");
    kept[1].judged = STR_INIT;
    assert_int_equal(evidence_new(&kept[1].plan, clock_wall(&world.clock), &kept[1].evidence, NULL), 0);
    look();
    assert_int_equal(kept_count, 2);
}

static void test_without_news_nothing_is_judged(void **state) {
    struct kept *of = start("");
    outcomes(of, 60, 50, 50);
    look();
    uint64_t judged = stats().judged;
    for (int i = 0; i < 50; i++)
        look();
    assert_int_equal(stats().judged, judged);
    outcomes(of, 10, 50, 50);
    look();
    assert_int_equal(stats().judged, judged + 1);
}

static int see_nothing(void *ctx, const struct evidence_seen *seen) {
    return 0;
}

static int64_t timed_look(void) {
    int64_t from = clock_monotonic(&clock_system);
    look();
    return clock_monotonic(&clock_system) - from;
}

static int64_t shorter(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* A thousand running rollouts, all with news each time. The limit is far from what a machine at rest takes; the figure is printed. */
static void test_a_thousand_rollouts(void **state) {
    char params[700];
    for (int i = 0; i < 1000; i++) {
        char agent[32];
        snprintf(agent, sizeof(agent), "agent-%d", i);
        world_push(&world, agent, "one");
        world_push(&world, agent, "two");
        snprintf(params, sizeof(params), "{'agent':'%s','environment':'staging','version':1,'reason':'first'}", agent);
        world_do(&world, "deploy", params);
        snprintf(params, sizeof(params),
                 "{'agent':'%s','environment':'staging','version':2,'reason':'try'," TWO_STEPS "}", agent);
        world_do(&world, "rollout_start", params);
    }
    look();
    assert_int_equal(kept_count, 1000);
    int64_t with_news = INT64_MAX, idle = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < kept_count; i++)
            outcomes(&kept[i], 2, 50, 0);
        assert_int_equal(keep_tick(NULL, clock_wall(&world.clock), see_nothing, NULL, NULL),
                         0); /* not the loop's work */
        with_news = shorter(with_news, timed_look());
        idle = shorter(idle, timed_look());
    }
    print_message("a look at 1000 rollouts: %lld us with news of all, %lld us without\n", (long long)with_news,
                  (long long)idle);
    assert_true(with_news < 20 * 50000);
    assert_int_equal(stats().judged, 1000 * 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_can_be_seen),
        TEST(test_a_good_candidate_is_promoted),
        TEST(test_harm_is_rolled_back_and_held),
        TEST(test_the_journal_replays),
        TEST(test_restarts_do_nothing_twice),
        TEST(test_never_past_a_person),
        TEST(test_silence_holds_once),
        TEST(test_a_source_that_fails_is_asked_again),
        TEST(test_what_has_ended_is_closed_after_a_crash),
        TEST(test_what_begins_is_no_stranger),
        TEST(test_without_news_nothing_is_judged),
        TEST(test_a_thousand_rollouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
