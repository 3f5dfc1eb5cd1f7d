/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How evidence is laid out. Everything that adds up lies in three rows of numbers, so that maturing, restarts, merging and bytes are loops over rows:
 *
 *   seen    counted at once: units ever in either arm; per step, units first seen there (for the split); per metric the arms' figures; per channel
 *           the stable badness (for the next centre); what was left out
 *   harm    [0] candidate units; per event metric: events of the candidate, then of both arms step by step; per channel eight sums of bets
 *   go_on   of the step that stands: [0] candidate and [1] stable units; per event metric: of the candidate, of both; per channel eight sums
 *
 * A channel is one way to make a unit's value a badness in [0, 1]. A score has one. A size has its rank among stable's, whether it exceeds stable's 95th and
 * 99th percentile, and for cost its share of a cap.
 */
#ifndef SERIN_ANALYSIS_EVIDENCE_IMPL_H
#define SERIN_ANALYSIS_EVIDENCE_IMPL_H

#include "analysis/betting.h"
#include "analysis/evidence.h"
#include "analysis/sketch.h"
#include "analysis/sums.h"
#include "analysis/units.h"

#define ARMS 2 /* [0] stable, [1] candidate, everywhere */
#define CHANNELS_PER_SIZE 4
#define CHANNELS_MAX ((size_t)ROLLOUT_METRICS_MAX * CHANNELS_PER_SIZE)
#define RING_SLOTS 64
#define RESTARTS_MAX 64
#define RESTART_SPACING 1000 /* candidate units */

/* ---- the layout: a pure function of the plan ---- */

enum channel_kind { CHANNEL_SCORE, CHANNEL_RANK, CHANNEL_P95, CHANNEL_P99, CHANNEL_MEAN };

struct channel {
    enum channel_kind kind;
    size_t metric;
    double margin[DIRECTIONS]; /* of badness: a score's own; 0 for a size, whose margin divides the value */
};

struct layout_metric {
    enum metric_kind kind;
    bool lower_is_better;
    double log_margin[DIRECTIONS]; /* METRIC_SIZE: the candidate's value is divided by exp of it */
    size_t channel, channel_count; /* METRIC_SCORE, METRIC_SIZE */
    size_t sketch;                 /* METRIC_SIZE: its number among those */
    size_t seen, harm,
        go_on; /* where its counts begin in each row; METRIC_EVENT in all three, METRIC_SCORE in `seen` */
};

struct layout {
    uint64_t fingerprint; /* of all that the numbers depend on */
    size_t steps, metric_count, channel_count, sketch_count;
    double share[ROLLOUT_STEPS_MAX];
    struct layout_metric metrics[ROLLOUT_METRICS_MAX];
    struct channel channels[CHANNELS_MAX];
    uint32_t event_metrics, value_metrics;             /* bit per metric */
    size_t seen_channels, seen_len;                    /* per channel: count, sum of badness in quanta */
    size_t harm_bets, harm_len, go_on_bets, go_on_len; /* BETS numbers per channel */
};

/* `seen` begins with these; per metric follow, for each arm, an event's count, or a score's count and sum in quanta. */
enum { SEEN_UNITS, SEEN_REFUSED = SEEN_UNITS + ARMS, SEEN_THINNED, SEEN_LATE, SEEN_FIRST };
static inline size_t seen_first(size_t step, bool candidate) {
    return SEEN_FIRST + step * ARMS + candidate;
}

int layout_init(struct layout *layout, const struct rollout_plan *plan, struct err *err) MUST_CHECK;
/* Between 0 and 1 there is somebody to compare with. */
static inline bool layout_compares(const struct layout *layout, size_t step) {
    return layout->share[step] > 0 && layout->share[step] < 1;
}

/* ---- what waits ---- */

#define RING_UNSET (INT64_MIN / 2) /* no time is known yet */
struct ring {
    int64_t wait, width; /* microseconds */
    int64_t first;       /* number of the oldest slot that still waits; a slot's number is its time / width */
    size_t len;
    int64_t *slots; /* RING_SLOTS rows of `len`; NULL when nothing waits */
};

/* Where an outcome assigned at `at` is added: the row `mature`, a slot, or NULL past the ring's reach. */
int64_t *ring_row(const struct ring *ring, int64_t *mature, int64_t at);
void ring_mature(struct ring *ring, int64_t *mature, int64_t now);
void ring_clear(struct ring *ring);

/* ---- restarts ---- */

struct restarts {
    int64_t started, spacing, last_units; /* all ever; candidate units between two; candidate units at the last */
    size_t count;                         /* those that are kept */
    int64_t index[RESTARTS_MAX];          /* the how-manieth each is, from 1: its weight goes by that */
    int64_t *rows;                        /* RESTARTS_MAX rows like `harm` */
};

/* ---- the tick ---- */

/* Stable badness of strictly earlier ticks. */
struct basis {
    int64_t count, sum;
};

/* Made from the basis and the fixed sketch at each tick. */
struct channel_now {
    double centre;
    bool open;        /* it knows enough of stable to bet */
    size_t threshold; /* exceedance: places past it */
    double cap;       /* CHANNEL_MEAN */
};

/* Bets of one channel in one step, and for exceedances all that can come of them: [direction][arm][exceeds]. */
struct channel_bets {
    struct wager wagers[DIRECTIONS];
    int64_t logs[DIRECTIONS][ARMS][2][BETS];
};

struct size_state {
    struct sketch arms[ARMS]; /* first values in the rollout */
    struct sketch fixed;      /* stable's at the last tick: thresholds come from it */
    double ranks[SKETCH_PLACES];
};

struct evidence {
    struct arena arena; /* of everything but the units */
    struct layout layout;
    int64_t ticks, now;
    size_t step;
    int64_t *seen, *harm, *go_on;
    struct ring harm_ring, go_on_ring;
    struct restarts restarts;
    struct units units;
    struct size_state *sizes;
    struct basis basis[CHANNELS_MAX];
    struct channel_now channels[CHANNELS_MAX];
    struct channel_bets *bets; /* steps x channels */
    bool bets_ready[ROLLOUT_STEPS_MAX];
};

/* Puts the clock of an evidence that has nothing waiting. */
void evidence_set_time(struct evidence *evidence, int64_t now);
/* Fixes what a tick stands on from `basis` and the fixed sketches. */
void evidence_fix(struct evidence *evidence);
/* The bets of a step's channels, made when first asked for in a tick. */
const struct channel_bets *evidence_bets(struct evidence *evidence, size_t step);

static inline int64_t *restart_row(const struct evidence *evidence, size_t i) {
    return evidence->restarts.rows + i * evidence->layout.harm_len;
}

#endif
