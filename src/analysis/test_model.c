/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole way from outcomes to verdict a second time, as plainly as it can be said: every contribution is kept in a list with its time and looked through again for
 * each sum; bets are libm's log1p in doubles; thresholds come from counting values. No code is shared but the formulas of kernels.h and the places of
 * sketch.h, which have vectors. After each tick both ways must agree on every log e-value.
 */
#include "analysis/kernels.h"
#include "analysis/sketch.h"
#include "analysis/test_kit.h"
#include "analysis/verdict.h"

#define UNITS 900
#define METRICS 4
#define CHANNELS 8 /* quality; latency by rank, p95, p99; cost by rank, p95, p99, mean */
#define BETS_ 8
#define PIECES_MAX 200000
#define EPSILON 1e-6 /* some thousand roundings of 1e-11 each, and doubles added in another order */

enum what { AN_EVENT, A_UNIT, A_BET };

/* One thing that counts, once. */
struct piece {
    enum what what;
    bool harm, candidate; /* else to go on */
    unsigned stage;
    int channel;
    int64_t at;
    double logs[BETS_];
};

struct known {
    bool met, was[2], arm, harm_done[METRICS], step_done[METRICS];
    unsigned step;
};

/* What a mixture needs, at one time. */
struct totals {
    int64_t candidate, events[ROLLOUT_STEPS_MAX], units;
    double bets[CHANNELS][BETS_];
};

struct model {
    const struct rollout_plan *plan;
    struct known known[UNITS];
    struct piece *pieces;
    size_t piece_count, restart_count;
    unsigned step;
    int64_t now, last_units;
    double centre[CHANNELS], badness_sum[CHANNELS];
    int64_t badness_count[CHANNELS];
    size_t places[2][PIECES_MAX / 10], place_count[2],
        fixed[2]; /* stable first values of latency and cost; how many at the tick */
    struct totals restarts[64];
};

/* ---- channels ---- */

static const int first_channel[METRICS] = {-1, 0, 1, 4};
static const int channel_count[METRICS] = {0, 1, 3, 4};

/* 0 score, 1 rank, 2 p95, 3 p99, 4 mean */
static int kind_of(int channel) {
    static const int kinds[CHANNELS] = {0, 1, 2, 3, 1, 2, 3, 4};
    return kinds[channel];
}

static double first_centre(int channel) {
    static const double centres[] = {0.2, 0.5, 0.05, 0.01, 0.2};
    return centres[kind_of(channel)];
}

static double first_weight(int channel) {
    return kind_of(channel) == 2 || kind_of(channel) == 3 ? 50 : 20;
}

static size_t place_at(const struct model *model, int size, double q) {
    size_t counts[SKETCH_PLACES] = {0}, seen = 0;
    for (size_t i = 0; i < model->fixed[size]; i++)
        counts[model->places[size][i]]++;
    for (size_t p = 0; p < SKETCH_PLACES; p++) {
        seen += counts[p];
        if (seen && (double)seen >= q * (double)model->fixed[size]) return p;
    }
    return 0;
}

static double rank_of(const struct model *model, int size, size_t place) {
    double below = 0;
    for (size_t i = 0; i < model->fixed[size]; i++)
        below += model->places[size][i] < place ? 1 : model->places[size][i] == place ? 0.5 : 0;
    return below / (double)model->fixed[size];
}

/* `value` already divided by the margin. */
static double badness_of(const struct model *model, int channel, double value) {
    int size = channel >= 4;
    size_t place = sketch_place(value);
    switch (kind_of(channel)) {
    case 0:
        return 1 - value;
    case 1:
        return rank_of(model, size, place);
    case 2:
        return place > place_at(model, size, 0.95);
    case 3:
        return place > place_at(model, size, 0.99);
    default:
        return fmin(1, value / (1.5 * sketch_value(place_at(model, size, 0.99))));
    }
}

/* ---- pieces ---- */

static struct piece *add_piece(struct model *model, enum what what, bool harm, const struct observation *seen) {
    assert_true(model->piece_count < PIECES_MAX);
    struct piece *piece = &model->pieces[model->piece_count++];
    *piece = (struct piece){what, harm, seen->candidate, seen->stage, -1, seen->at, {0}};
    return piece;
}

static void add_bet(struct model *model, int channel, bool harm, const struct observation *seen, double badness) {
    bool score = kind_of(channel) == 0;
    const struct metric *metric = &model->plan->metrics[QUALITY];
    double pi = (double)model->plan->steps[seen->stage].share / SHARE_ALL, m = model->centre[channel];
    double margin = score ? harm ? metric->harm : metric->accept : 0;
    double bound = harm ? fmax(m / pi, (1 - m) / (1 - pi)) + margin : fmax((1 - m) / pi, m / (1 - pi)) - margin;
    double z = seen->candidate ? (badness - m) / pi : -(badness - m) / (1 - pi);
    struct piece *piece = add_piece(model, A_BET, harm, seen);
    piece->channel = channel;
    for (int k = 0; k < BETS_; k++)
        piece->logs[k] = log1p(0.9 * pow(0.6, k) * (harm ? z - margin : margin - z) / bound);
}

static void model_event(struct model *model, struct known *known, const struct observation *seen) {
    if (!known->harm_done[ERROR_]) add_piece(model, AN_EVENT, true, seen);
    known->harm_done[ERROR_] = true;
    if (seen->stage != model->step || known->step_done[ERROR_]) return;
    add_piece(model, AN_EVENT, false, seen);
    known->step_done[ERROR_] = true;
}

static void model_value(struct model *model, struct known *known, const struct observation *seen, size_t m) {
    bool harm = !known->harm_done[m], go_on = seen->stage == model->step && !known->step_done[m];
    double value = seen->values[m];
    int size = m == COST;
    known->harm_done[m] = true;
    if (go_on) known->step_done[m] = true;
    if (m != QUALITY && harm && !seen->candidate) model->places[size][model->place_count[size]++] = sketch_place(value);
    if (m != QUALITY && model->fixed[size] < 200) return;
    for (int c = first_channel[m]; c < first_channel[m] + channel_count[m]; c++) {
        double divisor[2] = {1, 1};
        if (m != QUALITY && seen->candidate) {
            divisor[0] = model->plan->metrics[m].harm;
            divisor[1] = model->plan->metrics[m].accept;
        }
        if (harm) add_bet(model, c, true, seen, badness_of(model, c, value / divisor[0]));
        if (go_on) add_bet(model, c, false, seen, badness_of(model, c, value / divisor[1]));
        if (!harm || seen->candidate) continue;
        model->badness_sum[c] += badness_of(model, c, value);
        model->badness_count[c]++;
    }
}

static void model_add(struct model *model, size_t user, const struct observation *seen) {
    struct known *known = &model->known[user];
    if (known->met && known->step == seen->stage && known->arm != seen->candidate) return;
    if (!known->met || seen->stage > known->step) {
        known->step = seen->stage;
        known->arm = seen->candidate;
        memset(known->step_done, 0, sizeof(known->step_done));
        if (seen->stage == model->step) add_piece(model, A_UNIT, false, seen);
    }
    if (!known->was[seen->candidate]) add_piece(model, A_UNIT, true, seen);
    known->met = known->was[seen->candidate] = true;
    if (seen->events & 1) model_event(model, known, seen);
    for (size_t m = QUALITY; m <= COST; m++)
        if (seen->present >> m & 1) model_value(model, known, seen, m);
}

/* ---- sums ---- */

static bool is_old(const struct model *model, const struct piece *piece) {
    int64_t wait = piece->harm ? model->plan->watermark : model->plan->settle;
    if (wait == 0) return true;
    int64_t width = (wait + 31) / 32;
    if (width < 1000000) width = 1000000;
    return (piece->at / width + 1) * width <= (model->now - wait) / width * width;
}

static struct totals totals_of(const struct model *model, bool harm) {
    struct totals totals = {0};
    for (size_t i = 0; i < model->piece_count; i++) {
        const struct piece *piece = &model->pieces[i];
        if (piece->harm != harm || !is_old(model, piece) || (!harm && piece->stage != model->step)) continue;
        totals.units += piece->what == A_UNIT && piece->candidate;
        totals.events[piece->stage] += piece->what == AN_EVENT;
        totals.candidate += piece->what == AN_EVENT && piece->candidate;
        for (int k = 0; piece->what == A_BET && k < BETS_; k++)
            totals.bets[piece->channel][k] += piece->logs[k];
    }
    return totals;
}

static double bets_value(const struct totals *now, const struct totals *before, int channel) {
    double sum = 0;
    for (int k = 0; k < BETS_; k++)
        sum += exp(now->bets[channel][k] - before->bets[channel][k]) / BETS_;
    return sum;
}

/* The e-value itself, not its logarithm: these worlds keep it small enough. */
static double harm_value(const struct model *model, size_t m, const struct totals *now, const struct totals *before) {
    const struct metric *metric = &model->plan->metrics[m];
    double sum = 0;
    if (m == ERROR_) {
        struct ratio_counts counts = {now->candidate - before->candidate, model->plan->step_count, {{0}}};
        for (size_t s = 0; s < counts.stage_count; s++)
            counts.stages[s] = (struct stage_events){(double)model->plan->steps[s].share / SHARE_ALL,
                                                     now->events[s] - before->events[s]};
        return exp(fmin(ratio_harm(&counts, metric->harm),
                        rate_harm(counts.candidate, now->units - before->units, metric->harm * metric->harm_floor)));
    }
    for (int c = first_channel[m]; c < first_channel[m] + channel_count[m]; c++)
        sum += bets_value(now, before, c) / channel_count[m];
    return sum;
}

static double harm_with_restarts(const struct model *model, size_t m) {
    struct totals now = totals_of(model, true), nothing = {0};
    double sum = 0.5 * harm_value(model, m, &now, &nothing), n = (double)model->restart_count;
    for (size_t i = 0; i < model->restart_count; i++)
        sum += harm_value(model, m, &now, &model->restarts[i]) / (2.0 * (double)(i + 1) * (double)(i + 2));
    return log(sum + 0.5 / (n + 1));
}

static double go_on_log(const struct model *model, size_t m) {
    struct totals now = totals_of(model, false), nothing = {0};
    const struct metric *metric = &model->plan->metrics[m];
    double share = (double)model->plan->steps[model->step].share / SHARE_ALL, least = INFINITY;
    if (m == ERROR_) {
        struct ratio_counts counts = {now.candidate, 1, {{share, now.events[model->step]}}};
        double rate = rate_go_on(now.candidate, now.units, metric->accept * metric->accept_floor);
        return log((exp(ratio_go_on(&counts, metric->accept)) + exp(rate)) / 2);
    }
    for (int c = first_channel[m]; c < first_channel[m] + channel_count[m]; c++)
        if (kind_of(c) != 3 || share >= 0.25) least = fmin(least, bets_value(&now, &nothing, c));
    return log(least);
}

/* ---- ticks ---- */

static void model_tick(struct model *model, int64_t now, bool next_step) {
    model->now = now;
    struct totals totals = totals_of(model, true);
    if (next_step || totals.units - model->last_units >= 1000) {
        model->last_units = totals.units;
        model->restarts[model->restart_count++] = totals;
    }
    model->step += next_step;
    for (int size = 0; size < 2; size++)
        model->fixed[size] = model->place_count[size];
    for (int c = 0; c < CHANNELS; c++)
        model->centre[c] = (first_weight(c) * first_centre(c) + model->badness_sum[c]) /
                           (first_weight(c) + (double)model->badness_count[c]);
}

static struct model *model_new(const struct rollout_plan *plan) {
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    model->pieces = calloc(PIECES_MAX, sizeof(*model->pieces));
    assert_non_null(model->pieces);
    model->plan = plan;
    model_tick(model, START, false);
    return model;
}

static void model_free(struct model *model) {
    free(model->pieces);
    free(model);
}

static void assert_agree(const struct model *model, const struct evidence *evidence) {
    struct verdict verdict;
    analysis_judge(model->plan, evidence, model->step, &verdict);
    for (size_t m = 0; m < METRICS; m++) {
        double harm = harm_with_restarts(model, m), go_on = go_on_log(model, m);
        if (fabs(verdict.metrics[m].harm_log - harm) > EPSILON)
            fail_msg("%s: harm %.9f, plainly %.9f", model->plan->metrics[m].name, verdict.metrics[m].harm_log, harm);
        if (fabs(verdict.metrics[m].go_on_log - go_on) > EPSILON)
            fail_msg("%s: go on %.9f, plainly %.9f", model->plan->metrics[m].name, verdict.metrics[m].go_on_log, go_on);
    }
    assert_int_equal(verdict.step_units, totals_of(model, false).units);
}

/* ---- worlds ---- */

/* Few users who come often, from a shuffled past of some seconds; some outcomes lack values; late ones belong to the step before. */
static struct observation random_outcome(struct dice *dice, const struct model *model, int64_t now, size_t *ret_user) {
    static const double rates[] = {0.05, 0.08};
    struct observation seen = kit_draw(dice, model->plan, model->step, rates);
    size_t user = dice_next(dice) % UNITS;
    seen.stage = model->step - (model->step > 0 && dice_hits(dice, 0.1));
    double bucket = (double)(user * 7919 % UNITS) / UNITS; /* each user has a place in the share for good */
    seen.candidate = bucket < (double)model->plan->steps[seen.stage].share / SHARE_ALL;
    if (dice_hits(dice, 0.01)) seen.candidate = !seen.candidate;
    seen.events = dice_hits(dice, rates[seen.candidate]);
    seen.unit = user * UINT64_C(0x9e3779b97f4a7c15) + 1;
    seen.at = now - (int64_t)(dice_next(dice) % 40000000);
    seen.present &= (uint32_t)dice_next(dice) | (uint32_t)dice_next(dice);
    *ret_user = user;
    return seen;
}

static void live(const struct rollout_plan *plan, struct dice *dice, int ticks, int outcomes) {
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(plan);
    struct model *model = model_new(plan);
    int64_t now = START;
    for (int tick = 1; tick <= ticks; tick++) {
        for (int i = 0; i < outcomes; i++) {
            size_t user;
            struct observation seen = random_outcome(dice, model, now, &user);
            kit_add(evidence, &seen);
            model_add(model, user, &seen);
        }
        now += (int64_t)(dice_next(dice) % 5000000);
        bool next = tick % (ticks / 3 + 1) == 0 && model->step + 1 < plan->step_count;
        if (next)
            evidence_enter(evidence, model->step + 1, now);
        else
            evidence_tick(evidence, now);
        model_tick(model, now, next);
        if (tick % 4 == 0 || next) assert_agree(model, evidence);
    }
    assert_agree(model, evidence);
    model_free(model);
}

static struct rollout_plan model_plan(int64_t settle, int64_t watermark) {
    struct rollout_plan plan = kit_plan_full();
    plan.settle = settle;
    plan.watermark = watermark;
    return plan;
}

static void test_nothing_waits(void **state) {
    struct rollout_plan plan = model_plan(0, 0);
    struct dice dice = dice_of_test("nothing waits", 81);
    live(&plan, &dice, 30, 100);
}

static void test_both_wait(void **state) {
    struct rollout_plan plan = model_plan(45000000, 7000000);
    struct dice dice = dice_of_test("both wait", 82);
    for (int run = 0; run < 3; run++)
        live(&plan, &dice, 40, 60);
}

static void test_short_waits(void **state) {
    struct rollout_plan plan = model_plan(1, 999);
    struct dice dice = dice_of_test("short waits", 83);
    live(&plan, &dice, 24, 80);
}

static void test_other_shares(void **state) {
    struct rollout_plan plan = model_plan(10000000, 0);
    struct dice dice = dice_of_test("other shares", 84);
    plan.steps[0].share = 50000;
    plan.steps[1].share = 80000;
    plan.steps[2].share = 95000;
    live(&plan, &dice, 30, 100);
}

/* Strangers instead of regulars: enough candidates for restart snapshots by number. */
static void test_restarts_by_number(void **state) {
    struct rollout_plan plan = model_plan(0, 0);
    struct dice dice = dice_of_test("strangers", 85);
    plan.step_count = 1;
    plan.steps[0].share = 60000;
    _cleanup_(evidence_freep) struct evidence *evidence = kit_new(&plan);
    struct model *model = model_new(&plan);
    for (int tick = 1; tick <= 12; tick++) {
        static const double rates[] = {0.05, 0.06};
        memset(model->known, 0, sizeof(model->known)); /* everybody is new */
        for (size_t i = 0; i < UNITS; i++) {
            struct observation seen = kit_draw(&dice, &plan, 0, rates);
            kit_add(evidence, &seen);
            model_add(model, i, &seen);
        }
        evidence_tick(evidence, START + tick);
        model_tick(model, START + tick, false);
        if (tick % 3 == 0) assert_agree(model, evidence);
    }
    assert_true(model->restart_count >= 5);
    model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_waits),      cmocka_unit_test(test_both_wait),
        cmocka_unit_test(test_short_waits),        cmocka_unit_test(test_other_shares),
        cmocka_unit_test(test_restarts_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
