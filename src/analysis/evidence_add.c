/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking in one outcome: which unit is it, what of it counts for the first time, and to which rows is that added.
 *
 * A unit that a rising share moves from stable to the candidate keeps what it was counted for: it had its one event. That is what makes events of
 * sticky, unlike users as good as events of strangers. Only its evidence to go on begins anew with the step.
 */
#include "analysis/evidence_impl.h"

#include <math.h>

/* One outcome on its way: what it is of, and the rows to which it goes. */
struct intake {
    struct evidence *evidence;
    const struct observation *seen;
    struct unit *unit;
    int64_t *harm, *go_on;           /* `go_on` NULL: it does not count there */
    const struct channel_bets *bets; /* NULL: nobody to compare with */
    int64_t count;                   /* so many of the kind */
};

static void count_one(int64_t *counter) {
    *counter = sum_add(*counter, 1);
}

static void count(const struct intake *intake, int64_t *counter) {
    *counter = sum_add(*counter, intake->count);
}

static bool bit_of(unsigned bits, size_t m) {
    return bits >> m & 1;
}

/* ---- the unit ---- */

static bool is_new(const struct unit *unit) {
    return !unit->was_candidate && !unit->was_stable;
}

static void enter_step(struct intake *intake) {
    struct unit *unit = intake->unit;
    unit->step = intake->seen->stage & 31;
    unit->in_step = 0;
    unit->candidate = intake->seen->candidate;
    if (intake->go_on) count(intake, &intake->go_on[intake->seen->candidate ? 0 : 1]);
}

/* Marks the unit as met; an outcome for an earlier step than its latest changes nothing but the arms it was ever in. */
static void meet(struct intake *intake) {
    struct unit *unit = intake->unit;
    int64_t *seen = intake->evidence->seen;
    bool candidate = intake->seen->candidate, is_first = is_new(unit);
    if (is_first) count(intake, &seen[seen_first(intake->seen->stage, candidate)]);
    if (is_first || intake->seen->stage > unit->step) enter_step(intake);
    if (candidate ? unit->was_candidate : unit->was_stable) return;
    count(intake, &seen[SEEN_UNITS + candidate]);
    if (candidate) count(intake, &intake->harm[0]);
    if (candidate)
        unit->was_candidate = 1;
    else
        unit->was_stable = 1;
}

/* A unit has one arm in a step: what says otherwise is a retry on the other arm, or an override. */
static bool contradicts(const struct unit *unit, const struct observation *seen) {
    return !is_new(unit) && unit->step == seen->stage && unit->candidate != seen->candidate;
}

/* What is still uncounted of metric m, marked as counted from now on. */
struct firsts {
    bool in_rollout, in_step;
};

static struct firsts take_firsts(struct intake *intake, size_t m) {
    struct unit *unit = intake->unit;
    struct firsts firsts = {!bit_of(unit->in_rollout, m), intake->go_on && !bit_of(unit->in_step, m)};
    unit->in_rollout |= 1u << m;
    if (firsts.in_step) unit->in_step |= 1u << m;
    return firsts;
}

/* ---- events ---- */

static void take_event(struct intake *intake, size_t m) {
    const struct layout_metric *metric = &intake->evidence->layout.metrics[m];
    bool candidate = intake->seen->candidate;
    struct firsts firsts = take_firsts(intake, m);
    if (firsts.in_rollout) {
        count(intake, &intake->evidence->seen[metric->seen + candidate]);
        if (candidate) count(intake, &intake->harm[metric->harm]);
        count(intake, &intake->harm[metric->harm + 1 + intake->seen->stage]);
    }
    if (firsts.in_step) {
        if (candidate) count(intake, &intake->go_on[metric->go_on]);
        count(intake, &intake->go_on[metric->go_on + 1]);
    }
}

/* ---- values ---- */

/* A value's badness in one channel, for each direction: the two differ when the margin divides the candidate's value. */
struct badness {
    double of[DIRECTIONS];
};

static void add_logs(const struct intake *intake, int64_t *row, const int64_t logs[BETS]) {
    for (size_t k = 0; k < BETS; k++)
        row[k] = sum_add(row[k], intake->count * logs[k]);
}

static void bet(const struct intake *intake, size_t c, enum direction d, const struct badness *badness) {
    const struct layout *layout = &intake->evidence->layout;
    const struct channel_bets *bets = &intake->bets[c];
    bool candidate = intake->seen->candidate;
    int64_t *row = (d == HARM ? intake->harm + layout->harm_bets : intake->go_on + layout->go_on_bets) + c * BETS;
    enum channel_kind kind = layout->channels[c].kind;
    if (kind == CHANNEL_P95 || kind == CHANNEL_P99)
        add_logs(intake, row, bets->logs[d][candidate][badness->of[d] > 0]);
    else {
        int64_t logs[BETS];
        wager_logs(&bets->wagers[d], candidate, badness->of[d], logs);
        add_logs(intake, row, logs);
    }
}

/* Bets on the badness, and lets stable's have its part in later centres. */
static void take_badness(const struct intake *intake, size_t c, struct firsts firsts, const struct badness *badness) {
    if (firsts.in_rollout && !intake->seen->candidate) {
        int64_t *known = intake->evidence->seen + intake->evidence->layout.seen_channels + 2 * c;
        count(intake, &known[0]);
        known[1] = sum_add(known[1], intake->count * (int64_t)(badness->of[HARM] * BET_QUANTA + 0.5));
    }
    if (!intake->bets) return;
    if (firsts.in_rollout) bet(intake, c, HARM, badness);
    if (firsts.in_step) bet(intake, c, GO_ON, badness);
}

static void take_score(struct intake *intake, size_t m, double score) {
    const struct layout_metric *metric = &intake->evidence->layout.metrics[m];
    struct firsts firsts = take_firsts(intake, m);
    double badness = metric->lower_is_better ? score : 1 - score;
    if (firsts.in_rollout) {
        int64_t *figures = intake->evidence->seen + metric->seen + (size_t)2 * intake->seen->candidate;
        count(intake, &figures[0]);
        figures[1] = sum_add(figures[1], intake->count * (int64_t)(score * BET_QUANTA + 0.5));
    }
    take_badness(intake, metric->channel, firsts, &(struct badness){{badness, badness}});
}

/* A size as it is compared with stable's, in one direction. */
struct compared {
    double size;
    size_t place;
};

static double badness_of_size(const struct evidence *evidence, size_t c, const struct compared *compared) {
    const struct channel *channel = &evidence->layout.channels[c];
    const struct channel_now *now = &evidence->channels[c];
    switch (channel->kind) {
    case CHANNEL_P95:
    case CHANNEL_P99:
        return compared->place > now->threshold;
    case CHANNEL_MEAN:
        return compared->size < now->cap ? compared->size / now->cap : compared->size > 0;
    case CHANNEL_RANK:
    case CHANNEL_SCORE:
        break;
    }
    return evidence->sizes[evidence->layout.metrics[channel->metric].sketch].ranks[compared->place];
}

static void take_size(struct intake *intake, size_t m, double size) {
    const struct layout_metric *metric = &intake->evidence->layout.metrics[m];
    struct firsts firsts = take_firsts(intake, m);
    if (!firsts.in_rollout && !firsts.in_step) return;
    bool candidate = intake->seen->candidate;
    double log_size = log(size);
    if (firsts.in_rollout)
        sketch_add_many(&intake->evidence->sizes[metric->sketch].arms[candidate],
                        size > 0 ? sketch_place_of_log(log_size) : 0, intake->count);
    if (!intake->evidence->channels[metric->channel].open) return;
    struct compared compared[DIRECTIONS];
    for (enum direction d = HARM; d < DIRECTIONS; d++) {
        compared[d].size = candidate ? size / metric->margin[d] : size;
        compared[d].place = size > 0 ? sketch_place_of_log(candidate ? log_size - metric->log_margin[d] : log_size) : 0;
    }
    for (size_t c = metric->channel; c < metric->channel + metric->channel_count; c++) {
        struct badness badness;
        for (enum direction d = HARM; d < DIRECTIONS; d++)
            badness.of[d] = badness_of_size(intake->evidence, c, &compared[d]);
        take_badness(intake, c, firsts, &badness);
    }
}

static bool value_counts(const struct layout_metric *metric, double value) {
    return isfinite(value) && value >= 0 && (metric->kind == METRIC_SIZE || value <= 1);
}

static void take_value(struct intake *intake, size_t m) {
    struct evidence *evidence = intake->evidence;
    double value = intake->seen->values[m];
    if (!value_counts(&evidence->layout.metrics[m], value))
        count(intake, &evidence->seen[SEEN_REFUSED]);
    else if (evidence->layout.metrics[m].kind == METRIC_SCORE)
        take_score(intake, m, value);
    else
        take_size(intake, m, value);
}

/* ---- the outcome ---- */

static void take_metrics(struct intake *intake) {
    const struct layout *layout = &intake->evidence->layout;
    for (uint32_t bits = intake->seen->events & layout->event_metrics; bits; bits &= bits - 1)
        take_event(intake, (size_t)__builtin_ctz(bits));
    for (uint32_t bits = intake->seen->present & layout->value_metrics; bits; bits &= bits - 1)
        take_value(intake, (size_t)__builtin_ctz(bits));
}

/* The unit is known, and the row of harm. */
static void take_in(struct intake *intake) {
    struct evidence *evidence = intake->evidence;
    size_t stage = intake->seen->stage;
    if (stage == evidence->step) {
        intake->go_on = ring_row(&evidence->go_on_ring, evidence->go_on, intake->seen->at);
        if (!intake->go_on) count(intake, &evidence->seen[SEEN_LATE]);
    }
    if (layout_compares(&evidence->layout, stage)) intake->bets = evidence_bets(evidence, stage);
    meet(intake);
    take_metrics(intake);
}

static int refuse(struct evidence *evidence) {
    count_one(&evidence->seen[SEEN_REFUSED]);
    return 0;
}

int evidence_add(struct evidence *evidence, const struct observation *observation) {
    size_t stage = observation->stage;
    if (stage > evidence->step) return refuse(evidence);
    int64_t *harm = ring_row(&evidence->harm_ring, evidence->harm, observation->at);
    if (!harm) return refuse(evidence);
    struct intake intake = {.evidence = evidence, .seen = observation, .harm = harm, .count = 1};
    int r = units_put(&evidence->units, observation->unit, &intake.unit);
    if (r < 0) return r;
    if (r == UNITS_NOT_ELIGIBLE) {
        count_one(&evidence->seen[SEEN_THINNED]);
        return 0;
    }
    if (contradicts(intake.unit, observation)) return refuse(evidence);
    take_in(&intake);
    return 0;
}

void evidence_add_strangers(struct evidence *evidence, const struct observation *observation, int64_t count) {
    struct unit unit = {0};
    struct intake intake = {.evidence = evidence, .seen = observation, .unit = &unit, .count = count};
    intake.harm = ring_row(&evidence->harm_ring, evidence->harm, observation->at);
    if (count <= 0) return;
    if (observation->stage > evidence->step || !intake.harm || count > STRANGERS_MAX)
        evidence->seen[SEEN_REFUSED] = sum_add(evidence->seen[SEEN_REFUSED], count);
    else
        take_in(&intake);
}
