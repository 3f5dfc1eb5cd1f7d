/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ticker.h"
#include "controller/journal.h"
#include "resolve/resolve.h"
#include "simulate/dice.h"
#include "simulate/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct reading {
    struct world world;
    struct arena arena;
    struct faults faults;
};

static void read_text(const char *text, struct reading *ret) {
    json_t *json;
    *ret = (struct reading){0};
    assert_int_equal(json_parse(text, strlen(text), JSON_DEPTH_MAX, &json, NULL), 0);
    assert_int_equal(world_parse(json, &ret->arena, &ret->world, &ret->faults, NULL), 0);
    json_decref(json);
}

static void reading_deinit(struct reading *reading) {
    faults_deinit(&reading->faults);
    arena_deinit(&reading->arena);
}

/* ---- worlds ---- */

static void test_scenarios_can_be(void **state) {
    size_t count;
    const struct scenario *all = scenarios(&count);
    for (size_t i = 0; i < count; i++) {
        struct reading reading;
        read_text(all[i].json, &reading);
        if (reading.faults.errors)
            fail_msg("%s: %s %s", all[i].name, reading.faults.items[0].at, reading.faults.items[0].message);
        if (i) assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
        assert_ptr_equal(scenario_find(all[i].name), &all[i]);
        reading_deinit(&reading);
    }
    assert_null(scenario_find("t"));
}

static void test_templates_are_the_default(void **state) {
    struct reading reading;
    read_text("{}", &reading);
    assert_int_equal(reading.faults.errors, 0);
    assert_int_equal(reading.world.plan.step_count, 4);
    assert_true(reading.world.arms[1].measures[0].at == 0.02);
    reading_deinit(&reading);
}

static void test_every_fault_has_its_place(void **state) {
    static const struct {
        const char *text, *at, *words;
    } cases[] = {
        {"[]", "", "object"},
        {"{\"plan\":{\"steps\":[{\"share\":200}]}}", "/plan/steps/0/share", "percentage"},
        {"{\"template\":\"bold\"}", "/template", "no template"},
        {"{\"requests\":{\"per_second\":-1}}", "/requests/per_second", "number"},
        {"{\"requests\":{\"per_second\":1,\"candidates_per_look\":1}}", "/requests", "one of"},
        {"{\"look\":\"often\"}", "/look", "duration"},
        {"{\"users\":1.5}", "/users", "whole number"},
        {"{\"prone\":{\"share\":0.1}}", "/prone", "users"},
        {"{\"stable\":{\"eror\":0.1}}", "/stable/eror", "did you mean \"error\""},
        {"{\"stable\":{\"error\":1.1}}", "/stable/error", "from 0 to 1"},
        {"{\"candidate\":{\"latency\":3}}", "/candidate/latency", "object"},
        {"{\"candidate\":{\"latency\":{\"median\":0}}}", "/candidate/latency/median", "number"},
        {"{\"candidate\":{\"silent\":1}}", "/candidate/silent", "true or false"},
        {"{\"bursts\":{\"often\":1}}", "/bursts/often", "unknown"},
        {"{\"changes\":{}}", "/changes", "list"},
        {"{\"changes\":[{\"arm\":\"both\"}]}", "/changes/0", "when"},
        {"{\"changes\":[{\"step\":9,\"arm\":\"both\"}]}", "/changes/0/step", "from 1 to 4"},
        {"{\"changes\":[{\"units\":9}]}", "/changes/0/arm", "both"},
        {"{\"horizon\":0}", "/horizon", "whole number"},
        {"{\"wrold\":0}", "/wrold", "unknown"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reading reading;
        read_text(cases[i].text, &reading);
        if (reading.faults.errors != 1) fail_msg("%s: %zu faults", cases[i].text, reading.faults.errors);
        assert_string_equal(reading.faults.items[0].at, cases[i].at);
        if (!strstr(reading.faults.items[0].message, cases[i].words))
            fail_msg("%s: %s", cases[i].text, reading.faults.items[0].message);
        reading_deinit(&reading);
    }
}

/* ---- chance ---- */

static void test_counts_are_binomial(void **state) {
    struct dice dice = {.state = 7};
    static const double chances[] = {0.001, 0.05, 0.3, 0.8};
    for (size_t i = 0; i < ARRAY_LEN(chances); i++) {
        double sum = 0, squares = 0, n = 200, p = chances[i], runs = 20000;
        for (int k = 0; k < (int)runs; k++) {
            double hits = (double)dice_count(&dice, (int64_t)n, p);
            assert_true(hits >= 0 && hits <= n);
            sum += hits;
            squares += hits * hits;
        }
        double mean = sum / runs, variance = squares / runs - mean * mean, expected = n * p * (1 - p);
        assert_true(fabs(mean - n * p) < 5 * sqrt(expected / runs));
        assert_true(fabs(variance - expected) < 0.1 * expected);
    }
    assert_int_equal(dice_count(&dice, 10, 0), 0);
    assert_int_equal(dice_count(&dice, 10, 1), 10);
    assert_int_equal(dice_count(&dice, 0, 0.5), 0);
}

/* ---- runs ---- */

static void test_same_seed_same_runs(void **state) {
    struct reading reading;
    struct simulation one, again, other;
    struct simulate_options options = {.runs = 40, .seed = 5, .compare = true, .threads = 1};
    read_text(scenario_find("trap-sticky")->json, &reading);
    assert_int_equal(simulate(&reading.world, &options, &one, NULL), 0);
    options.threads = 4;
    assert_int_equal(simulate(&reading.world, &options, &again, NULL), 0);
    assert_memory_equal(&one, &again, sizeof(one));
    options.seed = 6;
    assert_int_equal(simulate(&reading.world, &options, &other, NULL), 0);
    assert_memory_not_equal(&one, &other, sizeof(one));
    reading_deinit(&reading);
}

/* The quick way by counts and the way through each user's bucket and unit tell the same story. */
static void test_users_and_counts_agree(void **state) {
    static const char text[] = "{\"plan\":{\"steps\":[{\"share\":25,\"min_time\":\"0s\",\"min_units\":0,\"accept\":1.5}"
                               "],\"analysis\":{\"metrics\":[\"error\"],"
                               "\"settle\":\"0s\"}},\"requests\":{\"candidates_per_look\":50},\"stable\":{\"error\":0."
                               "02},\"candidate\":{\"error\":0.06},\"users\":%d}";
    double medians[2];
    for (int users = 0; users < 2; users++) {
        char world[600];
        struct reading reading;
        struct simulation done;
        struct simulate_options options = {.runs = 100, .seed = 3, .threads = 2};
        snprintf(world, sizeof(world), text, users * 50000);
        read_text(world, &reading);
        assert_int_equal(simulate(&reading.world, &options, &done, NULL), 0);
        assert_true(done.rules[JUDGE_EVIDENCE].fates[FATE_ROLLED_BACK].runs >= 99);
        medians[users] = (double)done.rules[JUDGE_EVIDENCE].fates[FATE_ROLLED_BACK].units_median;
        reading_deinit(&reading);
    }
    assert_true(fabs(log(medians[0] / medians[1])) < 0.3);
}

/* ---- every move can be had again from its bytes ---- */

struct replaying {
    int moves, advances;
};

static int replay_move(void *ctx, const struct rollout_plan *plan, const struct rollout_facts *facts,
                       const struct evidence *evidence, const struct rollout_ruling *ruling) {
    struct replaying *replaying = ctx;
    struct verdict verdict;
    struct replayed again;
    _cleanup_(str_deinit) struct str words = STR_INIT;
    _cleanup_(str_deinit) struct str judged = STR_INIT;
    _cleanup_(str_deinit) struct str bytes = STR_INIT;
    analysis_judge(plan, evidence, facts->step, &verdict);
    rollout_words(plan, facts, &verdict, ruling, &words);
    assert_int_equal(evidence_write(evidence, EVIDENCE_JUDGED, &judged), 0);
    struct journal_entry entry = {ruling->action, ruling->reason, *facts, str_slice(&judged)};
    journal_write(plan, &entry, &bytes);
    struct rollout_move move = {
        .action = rollout_action_name(ruling->action), .words = words.data, .evidence = str_slice(&bytes)};
    assert_int_equal(journal_replay(plan, &move, &again, NULL), 0);
    if (!replayed_same(&again)) fail_msg("%s\n%s", words.data, again.words.data);
    replayed_deinit(&again);
    replaying->moves++;
    replaying->advances += ruling->action == ROLLOUT_ADVANCE;
    return 0;
}

static void test_replay_of_simulated_rollouts(void **state) {
    static const char *const names[] = {"s6-error-10", "t1-2", "trap-sticky", "trap-silent", "trap-split", "trap-ramp"};
    struct replaying replaying = {0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct reading reading;
        read_text(scenario_find(names[i])->json, &reading);
        for (uint64_t run = 0; run < 5; run++) {
            struct run_watcher watcher = {replay_move, &replaying};
            struct run_result result;
            assert_int_equal(simulate_run(&reading.world, JUDGE_EVIDENCE, 11, run, &watcher, &result, NULL), 0);
            if (result.fate != FATE_UNFINISHED)
                assert_int_not_equal(rollout_reason_action(result.reason), ROLLOUT_WAIT);
        }
        reading_deinit(&reading);
    }
    assert_true(replaying.moves >= 25 && replaying.advances >= 5);
}

/* ---- without data ---- */

static void test_silence_is_held(void **state) {
    struct reading reading;
    struct run_result result;
    read_text(scenario_find("trap-silent")->json, &reading);
    assert_int_equal(simulate_run(&reading.world, JUDGE_EVIDENCE, 1, 0, NULL, &result, NULL), 0);
    assert_int_equal(result.reason, REASON_NO_DATA);
    reading_deinit(&reading);
}

static void test_protected_worlds_ask(void **state) {
    struct reading reading;
    struct run_result result;
    read_text("{\"template\":\"fast\",\"protected\":true,\"stable\":{\"error\":0.02},\"candidate\":{\"error\":0.005},"
              "\"requests\":{\"per_second\":20},\"horizon\":100000}",
              &reading);
    assert_int_equal(simulate_run(&reading.world, JUDGE_EVIDENCE, 1, 0, NULL, &result, NULL), 0);
    assert_int_equal(result.reason, REASON_PROTECTED);
    assert_int_equal(result.step, 2);
    reading_deinit(&reading);
}

static void test_nobody_asks(void **state) {
    struct reading reading;
    struct run_result result;
    read_text("{\"requests\":{\"per_second\":0.000001},\"look\":\"1h\"}", &reading);
    assert_int_equal(simulate_run(&reading.world, JUDGE_EVIDENCE, 1, 0, NULL, &result, NULL), 0);
    assert_int_equal(result.reason, REASON_INCONCLUSIVE); /* after max_time, and never promoted */
    reading_deinit(&reading);
}

static void test_when_memory_ends(void **state) {
    struct reading reading;
    read_text(scenario_find("trap-sticky")->json, &reading);
    reading.world.users = 200;
    for (size_t n = 1;; n++) {
        struct simulation done;
        struct simulate_options options = {.runs = 1, .seed = 5, .threads = 1};
        ticker_start(n);
        int r = simulate(&reading.world, &options, &done, NULL);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
    }
    reading_deinit(&reading);
}

static void test_parsing_when_memory_ends(void **state) {
    json_t *json;
    const char *text = scenario_find("trap-ramp")->json;
    assert_int_equal(json_parse(text, strlen(text), JSON_DEPTH_MAX, &json, NULL), 0);
    for (size_t n = 1;; n++) {
        struct reading reading = {0};
        ticker_start(n);
        int r = world_parse(json, &reading.arena, &reading.world, &reading.faults, NULL);
        bool failed = ticker_stop();
        reading_deinit(&reading);
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        if (!failed) break;
    }
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenarios_can_be),
        cmocka_unit_test(test_templates_are_the_default),
        cmocka_unit_test(test_every_fault_has_its_place),
        cmocka_unit_test(test_counts_are_binomial),
        cmocka_unit_test(test_same_seed_same_runs),
        cmocka_unit_test(test_users_and_counts_agree),
        cmocka_unit_test(test_replay_of_simulated_rollouts),
        cmocka_unit_test(test_silence_is_held),
        cmocka_unit_test(test_protected_worlds_ask),
        cmocka_unit_test(test_nobody_asks),
        cmocka_unit_test(test_when_memory_ends),
        cmocka_unit_test(test_parsing_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
