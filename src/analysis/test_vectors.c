/* SPDX-License-Identifier: Apache-2.0 */
/* The formulas against the published vectors (the folder is the first argument): every case to 1e-9. */
#include "analysis/betting.h"
#include "analysis/kernels.h"
#include "analysis/sketch.h"
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EPSILON 1e-9

static const char *folder;

static int load(void **state) {
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/analysis.json", folder);
    *state = json_load_file(path, 0, &error);
    if (!*state) print_error("%s: %s\n", path, error.text);
    return *state ? 0 : -1;
}

static int unload(void **state) {
    json_decref(*state);
    return 0;
}

/* ---- reading cases ---- */

static double number_at(const json_t *one, const char *key) {
    const json_t *value = json_get(one, key);
    if (!json_is_number(value)) fail_msg("%s has no number %s", json_get_text(one, "name"), key);
    return json_number_value(value);
}

static int64_t integer_at(const json_t *one, const char *key) {
    assert_true(json_is_integer(json_get(one, key)));
    return json_integer_value(json_get(one, key));
}

static bool is_harm(const json_t *one) {
    const char *direction = json_get_text(one, "direction");
    assert_true(direction && (strcmp(direction, "harm") == 0 || strcmp(direction, "go_on") == 0));
    return strcmp(direction, "harm") == 0;
}

static struct ratio_counts counts_at(const json_t *one) {
    struct ratio_counts counts = {.candidate = integer_at(one, "candidate")};
    const json_t *stage;
    size_t i;
    json_array_foreach(json_get(one, "stages"), i, stage) {
        counts.stages[counts.stage_count++] = (struct stage_events){json_number_value(json_array_get(stage, 0)),
                                                                    json_integer_value(json_array_get(stage, 1))};
    }
    assert_true(counts.stage_count > 0);
    return counts;
}

static void assert_near(const json_t *one, const char *what, double got, double want) {
    double scale = fabs(want) > 1 ? fabs(want) : 1;
    if (!(fabs(got - want) <= EPSILON * scale))
        fail_msg("%s: %s is %.12f, not %.12f", json_get_text(one, "name"), what, got, want);
}

static void assert_at(const json_t *one, const char *key, double got) {
    assert_near(one, key, got, number_at(one, key));
}

/* Calls `check` for each case; a section that is gone fails. */
static void each(const json_t *document, const char *section, void (*check)(const json_t *one)) {
    const json_t *cases = json_get(document, section), *one;
    size_t i;
    assert_true(json_array_size(cases) > 0);
    json_array_foreach(cases, i, one) {
        check(one);
    }
}

/* ---- the checks ---- */

static double k1(const json_t *one, const struct ratio_counts *counts) {
    double ratio = number_at(one, "ratio");
    return is_harm(one) ? ratio_harm(counts, ratio) : ratio_go_on(counts, ratio);
}

static double k0(const json_t *one, int64_t events) {
    double rate = number_at(one, "rate");
    int64_t units = integer_at(one, "units");
    return is_harm(one) ? rate_harm(events, units, rate) : rate_go_on(events, units, rate);
}

static void check_k1(const json_t *one) {
    struct ratio_counts counts = counts_at(one);
    assert_at(one, "log", k1(one, &counts));
}

/* The points of a grid cannot be seen from outside, but their mixture can be made again from the likelihood. */
static void check_grid(const json_t *one) {
    struct ratio_counts counts = {.candidate = 17, .stage_count = 1, .stages = {{0.2, 51}}};
    double a[16], boundary = log(number_at(one, "ratio"));
    const json_t *point;
    size_t i;
    json_array_foreach(json_get(one, "points"), i, point) {
        a[i] = ratio_likelihood(&counts, boundary + json_number_value(point)) - ratio_likelihood(&counts, boundary);
    }
    size_t count = json_array_size(json_get(one, "points"));
    assert_near(one, "mixture", k1(one, &counts), log_sum_exp(a, count) - log((double)count));
}

static void check_k0(const json_t *one) {
    assert_at(one, "log", k0(one, integer_at(one, "events")));
}

static void check_event(const json_t *one) {
    struct ratio_counts counts = counts_at(one);
    double ratio = k1(one, &counts), rate = k0(one, counts.candidate);
    assert_at(one, "ratio_log", ratio);
    if (json_get(one, "rate_log")) assert_at(one, "rate_log", rate);
    assert_at(one, "log", is_harm(one) ? event_harm(ratio, rate) : event_go_on(ratio, rate));
}

static void check_restarts(const json_t *one) {
    const json_t *snapshots = json_get(one, "snapshots"), *copies = json_get(one, "copies");
    size_t count = json_array_size(snapshots);
    double a[16];
    assert_int_equal(json_array_size(copies), count + 1);
    for (size_t i = 0; i <= count; i++) {
        const json_t *before = i ? json_array_get(snapshots, i - 1) : NULL;
        struct ratio_counts since = {
            integer_at(one, "candidate") - json_integer_value(json_array_get(before, 0)),
            1,
            {{number_at(one, "share"), integer_at(one, "events") - json_integer_value(json_array_get(before, 1))}}};
        double copy = ratio_harm(&since, number_at(one, "ratio"));
        assert_near(one, "copy", copy, json_number_value(json_array_get(copies, i)));
        a[i] = log(restart_weight((int64_t)i)) + copy;
    }
    a[count + 1] = log(restart_rest((int64_t)count));
    assert_at(one, "log", log_sum_exp(a, count + 2));
}

static void check_k2(const json_t *one) {
    struct bet_terms terms = {number_at(one, "share"), number_at(one, "centre"), number_at(one, "margin"),
                              is_harm(one) ? HARM : GO_ON};
    struct wager wager;
    int64_t sums[BETS] = {0}, logs[BETS];
    const json_t *observation;
    size_t i;
    assert_at(one, "bound", bet_bound(&terms));
    wager_init(&wager, &terms);
    json_array_foreach(json_get(one, "observations"), i, observation) {
        bool candidate = json_integer_value(json_array_get(observation, 0)) == 1;
        wager_logs(&wager, candidate, json_number_value(json_array_get(observation, 1)), logs);
        for (size_t k = 0; k < BETS; k++)
            sums[k] += logs[k];
    }
    if (json_get(one, "first_log")) assert_at(one, "first_log", (double)sums[0] / BET_QUANTA);
    assert_at(one, "log", bets_log(sums, NULL));
}

static struct arm_counts arms_at(const json_t *one) {
    int64_t candidate = integer_at(one, "candidate");
    return (struct arm_counts){number_at(one, "share"), candidate, integer_at(one, "units") - candidate};
}

static void check_split(const json_t *one) {
    struct arm_counts arms = arms_at(one);
    assert_at(one, "log", split_log(&arms, 1));
}

static void check_split_grid(const json_t *one) {
    struct arm_counts arms = arms_at(one);
    assert_at(one, "log", split_grid_log(&arms, 1));
}

static void check_ratio_interval(const json_t *one) {
    struct ratio_counts counts = counts_at(one);
    struct interval interval = ratio_interval(&counts, number_at(one, "alpha"));
    assert_at(one, "estimate", interval.estimate);
    assert_at(one, "low", interval.low);
    assert_at(one, "high", interval.high);
}

static void check_rate_interval(const json_t *one) {
    struct interval interval =
        rate_interval(integer_at(one, "events"), integer_at(one, "units"), number_at(one, "alpha"));
    assert_near(one, "estimate", interval.estimate,
                (double)integer_at(one, "events") / (double)integer_at(one, "units"));
    assert_at(one, "low", interval.low);
    assert_at(one, "high", interval.high);
}

static void check_sketch(const json_t *one) {
    double value = number_at(one, "value");
    assert_at(one, "log_gamma", SKETCH_LOG_GAMMA);
    assert_at(one, "index", sketch_index(value));
    assert_at(one, "estimate", sketch_value(sketch_place(value)));
    assert_int_equal(sketch_place(value), integer_at(one, "index") - SKETCH_FIRST + 1);
}

static void test_grids(void **state) {
    each(*state, "grids", check_grid);
}

static void test_k1(void **state) {
    each(*state, "k1", check_k1);
}

static void test_k0(void **state) {
    each(*state, "k0", check_k0);
}

static void test_event(void **state) {
    each(*state, "event", check_event);
}

static void test_restarts(void **state) {
    each(*state, "restarts", check_restarts);
}

static void test_k2(void **state) {
    each(*state, "k2", check_k2);
}

static void test_split(void **state) {
    each(*state, "split", check_split);
    each(*state, "split_grid", check_split_grid);
}

static void test_intervals(void **state) {
    each(*state, "ratio_interval", check_ratio_interval);
    each(*state, "rate_interval", check_rate_interval);
}

static void test_sketch(void **state) {
    each(*state, "sketch", check_sketch);
}

int main(int argc, char **argv) {
    folder = argc > 1 ? argv[1] : "spec/vectors";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grids), cmocka_unit_test(test_k1),        cmocka_unit_test(test_k0),
        cmocka_unit_test(test_event), cmocka_unit_test(test_restarts),  cmocka_unit_test(test_k2),
        cmocka_unit_test(test_split), cmocka_unit_test(test_intervals), cmocka_unit_test(test_sketch),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
