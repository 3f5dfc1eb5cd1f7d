/* SPDX-License-Identifier: Apache-2.0 */
/* What the formulas must do whatever the numbers: be fair, be monotone, stay finite. The numbers themselves are test_vectors.c's. */
#include "analysis/betting.h"
#include "analysis/kernels.h"
#include "analysis/test_kit.h"

static struct ratio_counts counts_of(int64_t candidate, double share, int64_t events) {
    return (struct ratio_counts){candidate, 1, {{share, events}}};
}

/* ---- fairness: an e-value's mean is at most 1, computed over all outcomes and not simulated ---- */

static double binomial(int64_t n, int64_t x, double p) {
    double a = (double)x, b = (double)(n - x);
    return exp(lgamma(a + b + 1) - lgamma(a + 1) - lgamma(b + 1) + a * log(p) + b * log1p(-p));
}

static double tilted(double share, double ratio) {
    return share * ratio / (share * ratio + 1 - share);
}

static double mean_of_ratio_test(double (*test)(const struct ratio_counts *, double), double share, double truth,
                                 double boundary) {
    double mean = 0;
    for (int64_t x = 0; x <= 60; x++) {
        struct ratio_counts counts = counts_of(x, share, 60);
        mean += binomial(60, x, tilted(share, truth)) * exp(test(&counts, boundary));
    }
    return mean;
}

static void test_k1_is_fair(void **state) {
    static const double shares[] = {0.01, 0.05, 0.25, 0.5, 0.9};
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        assert_true(fabs(mean_of_ratio_test(ratio_harm, shares[i], 1.1, 1.1) - 1) < 1e-9);
        assert_true(fabs(mean_of_ratio_test(ratio_go_on, shares[i], 1.5, 1.5) - 1) < 1e-9);
        /* inside the hypothesis it is less, outside more */
        assert_true(mean_of_ratio_test(ratio_harm, shares[i], 0.8, 1.1) < 1);
        assert_true(mean_of_ratio_test(ratio_go_on, shares[i], 2.5, 1.5) < 1);
        assert_true(mean_of_ratio_test(ratio_harm, shares[i], 2.0, 1.1) > 1);
        assert_true(mean_of_ratio_test(ratio_go_on, shares[i], 0.9, 1.5) > 1);
    }
}

static double mean_of_rate_test(double (*test)(int64_t, int64_t, double), double truth, double boundary) {
    double mean = 0;
    for (int64_t x = 0; x <= 50; x++)
        mean += binomial(50, x, truth) * exp(test(x, 50, boundary));
    return mean;
}

static void test_k0_is_fair(void **state) {
    static const double rates[] = {0.0011, 0.02, 0.1, 0.45, 0.6, 0.9};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        assert_true(fabs(mean_of_rate_test(rate_harm, rates[i], rates[i]) - 1) < 1e-9);
        assert_true(fabs(mean_of_rate_test(rate_go_on, rates[i], rates[i]) - 1) < 1e-9);
        assert_true(mean_of_rate_test(rate_harm, rates[i] / 2, rates[i]) < 1);
        assert_true(mean_of_rate_test(rate_go_on, (1 + rates[i]) / 2, rates[i]) < 1);
    }
}

static void test_split_is_fair(void **state) {
    double dirichlet = 0, grid = 0;
    for (int64_t x = 0; x <= 80; x++) {
        struct arm_counts arms = {0.2, x, 80 - x};
        dirichlet += binomial(80, x, 0.2) * exp(split_log(&arms, 1));
        grid += binomial(80, x, 0.2) * exp(split_grid_log(&arms, 1));
    }
    assert_true(fabs(dirichlet - 1) < 1e-9);
    assert_true(fabs(grid - 1) < 1e-9);
}

/* One unit, either arm, badness 0 or 1 with the same chance in both: the mean of a bet's wealth is 1 at no margin, below with one. */
static double mean_of_bet(const struct bet_terms *terms, double bad_candidate, double bad_stable) {
    double mean = 0;
    struct wager wager;
    wager_init(&wager, terms);
    for (unsigned arm = 0; arm < 2; arm++)
        for (unsigned badness = 0; badness < 2; badness++) {
            int64_t logs[BETS];
            double bad = arm ? bad_candidate : bad_stable;
            wager_logs(&wager, arm, badness, logs);
            mean += (arm ? terms->share : 1 - terms->share) * (badness ? bad : 1 - bad) * exp(bets_log(logs, NULL));
        }
    return mean;
}

static void test_k2_is_fair(void **state) {
    static const double shares[] = {0.01, 0.05, 0.5, 0.95}, centres[] = {0.01, 0.2, 0.5, 0.97};
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        for (size_t j = 0; j < ARRAY_LEN(centres); j++) {
            struct bet_terms harm = {shares[i], centres[j], 0.03, HARM}, go_on = {shares[i], centres[j], 0.03, GO_ON};
            assert_true(fabs(mean_of_bet(&harm, 0.33, 0.3) - 1) < 1e-9);
            assert_true(fabs(mean_of_bet(&go_on, 0.33, 0.3) - 1) < 1e-9);
            assert_true(mean_of_bet(&harm, 0.3, 0.3) < 1 && mean_of_bet(&harm, 0.5, 0.3) > 1);
            assert_true(mean_of_bet(&go_on, 0.5, 0.3) < 1 && mean_of_bet(&go_on, 0.3, 0.3) > 1);
        }
}

/* ---- stages ---- */

/* A baseline that triples while the share rises says nothing of the ratio, as long as each stage keeps its share. */
static void test_stages_keep_their_share(void **state) {
    struct ratio_counts staged = {5 + 150, 2, {{0.05, 100}, {0.5, 300}}};
    struct ratio_counts pooled = counts_of(155, 0.14, 400); /* four times as many units in the first stage */
    assert_true(ratio_harm(&staged, 1.1) < 0);
    assert_true(ratio_harm(&pooled, 1.1) > log(20)); /* so wrong is pooling */
    assert_true(fabs(ratio_interval(&staged, 0.05).estimate - 1) < 1e-6);
}

/* With everybody on the candidate events tell nothing. */
static void test_no_comparison(void **state) {
    struct ratio_counts all = counts_of(50, 1, 50), none = counts_of(0, 0, 50);
    assert_true(fabs(ratio_harm(&all, 1.1)) < 1e-9 && fabs(ratio_go_on(&all, 1.5)) < 1e-9);
    assert_true(fabs(ratio_harm(&none, 1.1)) < 1e-9 && fabs(ratio_go_on(&none, 1.5)) < 1e-9);
    assert_true(isnan(ratio_interval(&all, 0.05).estimate) && isnan(ratio_interval(&none, 0.05).estimate));
    struct ratio_counts both = {50 + 12, 2, {{1, 50}, {0.05, 60}}}, one = counts_of(12, 0.05, 60);
    assert_true(ratio_interval(&both, 0.05).estimate == ratio_interval(&one, 0.05).estimate);
    assert_true(split_log((const struct arm_counts[]){{1, 50, 0}, {0, 0, 50}}, 2) == 0);
}

static void test_split_stages_multiply(void **state) {
    struct arm_counts stages[] = {{0.05, 40, 1000}, {0.5, 530, 470}};
    assert_true(fabs(split_log(stages, 2) - split_log(stages, 1) - split_log(stages + 1, 1)) < 1e-12);
    /* the grid knows one tilt for all stages; both ways of counting find a large one */
    struct arm_counts tilted_much[] = {{0.05, 800, 10000}, {0.5, 6200, 4000}};
    assert_true(split_log(tilted_much, 2) > 100 && split_grid_log(tilted_much, 2) > 100);
}

/* ---- monotone ---- */

static void test_more_events_never_less_harm(void **state) {
    struct dice dice = dice_of_test("monotone", 7);
    for (int i = 0; i < 2000; i++) {
        int64_t stable = (int64_t)(dice_next(&dice) % 500), x = (int64_t)(dice_next(&dice) % 200);
        int64_t units = x + 1 + (int64_t)(dice_next(&dice) % 3000);
        double share = 0.01 + 0.9 * dice_uniform(&dice), rate = 0.001 + 0.3 * dice_uniform(&dice);
        struct ratio_counts now = counts_of(x, share, stable + x), next = counts_of(x + 1, share, stable + x + 1);
        assert_true(ratio_harm(&next, 1.1) >= ratio_harm(&now, 1.1));
        assert_true(ratio_go_on(&next, 1.5) <= ratio_go_on(&now, 1.5));
        assert_true(rate_harm(x + 1, units, rate) >= rate_harm(x, units, rate));
        assert_true(rate_go_on(x + 1, units, rate) <= rate_go_on(x, units, rate));
        struct ratio_counts calm = counts_of(x, share, stable + x + 1);
        assert_true(ratio_harm(&calm, 1.1) <= ratio_harm(&now, 1.1));
        assert_true(ratio_go_on(&calm, 1.5) >= ratio_go_on(&now, 1.5));
    }
}

static void test_worse_badness_never_less_harm(void **state) {
    struct dice dice = dice_of_test("badness", 8);
    for (int i = 0; i < 2000; i++) {
        struct bet_terms terms = {0.01 + 0.98 * dice_uniform(&dice), 0.01 + 0.98 * dice_uniform(&dice), 0.01, HARM};
        double a = dice_uniform(&dice), b = a + (1 - a) * dice_uniform(&dice);
        for (enum direction d = HARM; d < DIRECTIONS; d++)
            for (unsigned arm = 0; arm < 2; arm++) {
                struct wager wager;
                int64_t less[BETS], more[BETS];
                terms.direction = d;
                wager_init(&wager, &terms);
                wager_logs(&wager, arm, a, less);
                wager_logs(&wager, arm, b, more);
                bool up = (d == HARM) == (arm == 1);
                for (size_t k = 0; k < BETS; k++)
                    assert_true(up ? more[k] >= less[k] : more[k] <= less[k]);
            }
    }
}

/* ---- restarts, combination, planning ---- */

static void test_restart_weights(void **state) {
    for (int64_t started = 0; started < 200; started++) {
        double sum = restart_rest(started);
        for (int64_t i = 0; i <= started; i++)
            sum += restart_weight(i);
        assert_true(fabs(sum - 1) < 1e-12);
    }
    assert_true(restart_weight(0) == 0.5 && restart_weight(1) == 0.25 && fabs(restart_weight(2) - 1.0 / 12) < 1e-15);
}

static void test_combination(void **state) {
    assert_true(event_harm(2, 7) == 2 && event_harm(7, 2) == 2);
    assert_true(fabs(event_go_on(3, 3) - 3) < 1e-12);
    assert_true(fabs(event_go_on(3, -INFINITY) - (3 - log(2))) < 1e-12);
    assert_true(isinf(log_sum_exp(NULL, 0)) && log_sum_exp(NULL, 0) < 0);
    assert_true(fabs(log_sum_exp((const double[]){-2000, -2000}, 2) - (-2000 + log(2))) < 1e-9);
    assert_true(fabs(log_sum_exp((const double[]){2000, -INFINITY}, 2) - 2000) < 1e-9);
}

/* The page's own figures: 2 -> 3 %, 2 -> 4 % and 2 -> 10 % at a share of 5 %. */
static void test_planning(void **state) {
    static const struct { double ratio, units; } cases[] = {{1.5, 3260}, {2, 724}, {5, 60}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ratio_truth truth = {0.05, 0.02, cases[i].ratio};
        double units = plan_units(plan_growth(&truth, 1.1), 0.05);
        assert_true(fabs(units / cases[i].units - 1) < 0.01);
    }
    struct ratio_truth at_boundary = {0.05, 0.02, 1.1};
    assert_true(isinf(plan_units(plan_growth(&at_boundary, 1.1), 0.05)));
    assert_true(plan_growth(&at_boundary, 1.5) > 0); /* going on grows too */
}

static void test_plain_rule(void **state) {
    assert_int_equal(plain_rule(0.031, 0.02), PLAIN_ROLL_BACK);
    assert_int_equal(plain_rule(0.03, 0.02), PLAIN_WAIT);
    assert_int_equal(plain_rule(0.025, 0.02), PLAIN_WAIT);
    assert_int_equal(plain_rule(0.0219, 0.02), PLAIN_GO_ON);
    assert_int_equal(plain_rule(0, 0), PLAIN_GO_ON);
    assert_int_equal(plain_rule(0.001, 0), PLAIN_ROLL_BACK);
    assert_int_equal(plain_rule(NAN, 0.1), PLAIN_WAIT);
    assert_int_equal(plain_rule(0.1, NAN), PLAIN_WAIT);
}

/* ---- intervals ---- */

static void test_interval_edges(void **state) {
    struct ratio_counts none = counts_of(0, 0.05, 40), all = counts_of(6, 0.05, 6), nothing = counts_of(0, 0.05, 0);
    struct interval a = ratio_interval(&none, 0.05), b = ratio_interval(&all, 0.05), c = ratio_interval(&nothing, 0.05);
    assert_true(a.estimate == 0 && a.low == 0 && a.high > 0.1 && a.high < 10);
    assert_true(isinf(b.estimate) && b.low > 1 && isinf(b.high));
    assert_true(isnan(c.estimate) && c.low == 0 && isinf(c.high));
    struct interval r = rate_interval(0, 0, 0.05), m = mean_interval(0, 0, 0.05);
    assert_true(isnan(r.estimate) && r.low == 0 && r.high == 1 && isnan(m.estimate) && m.low == 0 && m.high == 1);
    r = rate_interval(7, 7, 0.05);
    assert_true(r.estimate == 1 && r.low > 0.3 && r.high == 1);
    r = rate_interval(9, 7, 0.05); /* more events than units: all of them */
    assert_true(r.estimate == 1 && r.high == 1);
}

static void test_intervals_narrow(void **state) {
    double last_ratio = INFINITY, last_rate = INFINITY, last_mean = INFINITY;
    for (int64_t n = 10; n < 1000000; n *= 4) {
        struct ratio_counts counts = counts_of(n / 10, 0.05, n);
        struct interval ratio = ratio_interval(&counts, 0.05), rate = rate_interval(n / 10, n, 0.05);
        struct interval mean = mean_interval(0.8 * (double)n, n, 0.05);
        assert_true(ratio.low < ratio.estimate && ratio.estimate < ratio.high);
        assert_true(log(ratio.high / ratio.low) < last_ratio && rate.high - rate.low < last_rate);
        assert_true(mean.high - mean.low <= last_mean);
        last_ratio = log(ratio.high / ratio.low);
        last_rate = rate.high - rate.low;
        last_mean = mean.high - mean.low;
    }
    assert_true(last_mean < 0.01);
}

/* How often does the sequence ever miss the truth in 3000 units? Allowed 5 %; 400 walks put 8.3 % three standard errors above that. */
static void test_mean_interval_covers(void **state) {
    struct dice dice = dice_of_test("mean interval", 9);
    int missed = 0;
    for (int walk = 0; walk < 400; walk++) {
        double sum = 0;
        bool miss = false;
        for (int64_t n = 1; n <= 3000; n++) {
            sum += dice_hits(&dice, 0.5);
            struct interval interval = mean_interval(sum, n, 0.05);
            miss = miss || interval.low > 0.5 || interval.high < 0.5;
        }
        missed += miss;
    }
    print_message("mean interval missed %d of 400\n", missed);
    assert_true(missed <= 33);
}

/* ---- robust ---- */

static void assert_number(double x) {
    assert_false(isnan(x));
}

static void test_any_counts(void **state) {
    static const int64_t counts[] = {0, 1, 3, 1000, 1000000000, INT64_C(1) << 53, (INT64_C(1) << 62) - 1};
    static const double shares[] = {0, 1e-5, 0.5, 1 - 1e-5, 1};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        for (size_t j = 0; j < ARRAY_LEN(counts); j++)
            for (size_t s = 0; s < ARRAY_LEN(shares); s++) {
                struct ratio_counts c = counts_of(counts[i], shares[s], counts[j]);
                struct arm_counts arms = {shares[s], counts[i], counts[j]};
                assert_number(ratio_harm(&c, 1.1));
                assert_number(ratio_go_on(&c, 1.5));
                assert_number(rate_harm(counts[i], counts[j], 0.01));
                assert_number(rate_go_on(counts[i], counts[j], 0.01));
                assert_number(split_log(&arms, 1));
                assert_number(split_grid_log(&arms, 1));
                assert_number(ratio_interval(&c, 0.05).low);
                assert_number(ratio_interval(&c, 0.05).high);
                assert_number(rate_interval(counts[i], counts[j], 0.05).high);
            }
}

/* ---- the logarithm ---- */

static void test_log_quanta(void **state) {
    struct dice dice = dice_of_test("log_quanta", 10);
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        double x = exp(30 * dice_uniform(&dice) - 8);
        if (i % 2) x = 1 + (dice_uniform(&dice) - 0.5) * 1e-3;
        double error = fabs((double)log_quanta(x) / BET_QUANTA - log(x));
        worst = error > worst ? error : worst;
    }
    print_message("log_quanta: worst error %.3g nats\n", worst);
    assert_true(worst <= 0.5000001 / BET_QUANTA + 4e-15);
    assert_int_equal(log_quanta(1), 0);
    for (double x = 0x1p-20; x < 0x1p40; x *= 2)
        assert_true(fabs((double)log_quanta(x) - log(x) * BET_QUANTA) <= 0.51);
}

/* A bound that leaves nothing to bet with: the wealth stands still. */
static void test_no_bound(void **state) {
    struct bet_terms terms = {0.5, 0.5, 1.5, GO_ON};
    struct wager wager;
    int64_t logs[BETS];
    wager_init(&wager, &terms);
    wager_logs(&wager, true, 1, logs);
    assert_true(bet_bound(&terms) <= 0 && bets_log(logs, NULL) == 0);
}

static void test_bets_since(void **state) {
    int64_t now[BETS], before[BETS], between[BETS];
    for (int64_t k = 0; k < BETS; k++) {
        now[k] = 700000000000 + k * 1000000000;
        before[k] = 100000000000 - k;
        between[k] = now[k] - before[k];
    }
    assert_true(bets_log(now, before) == bets_log(between, NULL));
    assert_true(bets_log(before, before) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_k1_is_fair),
        cmocka_unit_test(test_k0_is_fair),
        cmocka_unit_test(test_split_is_fair),
        cmocka_unit_test(test_k2_is_fair),
        cmocka_unit_test(test_stages_keep_their_share),
        cmocka_unit_test(test_no_comparison),
        cmocka_unit_test(test_split_stages_multiply),
        cmocka_unit_test(test_more_events_never_less_harm),
        cmocka_unit_test(test_worse_badness_never_less_harm),
        cmocka_unit_test(test_restart_weights),
        cmocka_unit_test(test_combination),
        cmocka_unit_test(test_planning),
        cmocka_unit_test(test_plain_rule),
        cmocka_unit_test(test_interval_edges),
        cmocka_unit_test(test_intervals_narrow),
        cmocka_unit_test(test_mean_interval_covers),
        cmocka_unit_test(test_any_counts),
        cmocka_unit_test(test_log_quanta),
        cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_bets_since),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
