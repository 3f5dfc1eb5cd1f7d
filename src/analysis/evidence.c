/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and ticks of evidence.
 *
 * Whatever is decided by looking at the sums is decided at a tick: the centres of bets, the thresholds, whether a restart snapshot is due. Between two
 * ticks there is only addition. That makes the tests exact (a bet is fixed before its unit is seen: "predictable"), and it makes parts of evidence
 * mergeable: the parts do what their leader did, at the same tick, to their own share of the sums.
 *
 * A restart snapshot is the row `harm` as it was, to be subtracted from the row as it is. The i-th copy has its weight 1 / (2 i (i + 1)) for good, given before
 * anything was seen. When RESTARTS_MAX are kept, every second is dropped (the first, the third, …) and from then on they are taken half as often. Dropping a copy
 * takes something that is not negative out of the mixture, which leaves it valid; its weight cannot be handed to another without knowing
 * how both fared.
 *
 * Restart snapshots and evidence of steps do not mind when the set of units is thinned (units.c).
 */
#include "analysis/evidence_impl.h"

#include <math.h>

#define WAIT_MAX (INT64_C(1) << 50)
#define TIME_MAX (INT64_C(1) << 60)
#define WAIT_SLOTS 32              /* slots that a wait is divided into */
#define WIDTH_MIN INT64_C(1000000) /* so that the ring reaches a minute ahead of the last tick however short the wait */
#define WARM_UP                                                                                                        \
    200 /* stable values before a size's channels bet; what threshold they bet on matters to their power, not to their truth */
#define PRIOR_WEIGHT 20
#define PRIOR_WEIGHT_TAIL 50
#define CAP_OVER_P99 1.5

static int64_t clamp_time(int64_t time) {
    if (time > TIME_MAX) return TIME_MAX;
    return time < -TIME_MAX ? -TIME_MAX : time;
}

/* ---- life ---- */

static bool init_ring(struct arena *arena, struct ring *ring, int64_t wait, size_t len) {
    *ring = (struct ring){.len = len, .first = RING_UNSET};
    if (wait <= 0) return true;
    ring->wait = wait < WAIT_MAX ? wait : WAIT_MAX;
    ring->width = (ring->wait + WAIT_SLOTS - 1) / WAIT_SLOTS;
    if (ring->width < WIDTH_MIN) ring->width = WIDTH_MIN;
    ring->slots = arena_array(arena, RING_SLOTS * len, sizeof(*ring->slots));
    return ring->slots != NULL;
}

static int allocate(struct evidence *evidence, const struct rollout_plan *plan) {
    const struct layout *layout = &evidence->layout;
    struct arena *arena = &evidence->arena;
    evidence->seen = arena_array(arena, layout->seen_len, sizeof(int64_t));
    evidence->harm = arena_array(arena, layout->harm_len, sizeof(int64_t));
    evidence->go_on = arena_array(arena, layout->go_on_len, sizeof(int64_t));
    evidence->restarts.rows = arena_array(arena, RESTARTS_MAX * layout->harm_len, sizeof(int64_t));
    evidence->sizes = arena_array(arena, layout->sketch_count + 1, sizeof(*evidence->sizes));
    evidence->bets = arena_array(arena, layout->steps * layout->channel_count + 1, sizeof(*evidence->bets));
    bool rings = init_ring(arena, &evidence->harm_ring, plan->watermark, layout->harm_len) &&
                 init_ring(arena, &evidence->go_on_ring, plan->settle, layout->go_on_len);
    return rings && evidence->seen && evidence->harm && evidence->go_on && evidence->restarts.rows && evidence->sizes &&
                   evidence->bets
               ? 0
               : -ERR_NO_MEMORY;
}

void evidence_set_time(struct evidence *evidence, int64_t now) {
    evidence->now = clamp_time(now);
    evidence->harm_ring.first = evidence->go_on_ring.first = RING_UNSET;
    ring_mature(&evidence->harm_ring, evidence->harm, evidence->now);
    ring_mature(&evidence->go_on_ring, evidence->go_on, evidence->now);
}

int evidence_new(const struct rollout_plan *plan, int64_t now, struct evidence **ret, struct err *err) {
    _cleanup_(evidence_freep) struct evidence *evidence = calloc(1, sizeof(*evidence));
    if (!evidence) return err_no_memory(err);
    int r = layout_init(&evidence->layout, plan, err);
    if (r < 0) return r;
    if (allocate(evidence, plan) < 0) return err_no_memory(err);
    evidence->restarts.spacing = RESTART_SPACING;
    evidence_set_time(evidence, now);
    evidence_fix(evidence);
    *ret = TAKE_PTR(evidence);
    return 0;
}

struct evidence *evidence_free(struct evidence *evidence) {
    if (!evidence) return NULL;
    units_deinit(&evidence->units);
    arena_deinit(&evidence->arena);
    free(evidence);
    return NULL;
}

size_t evidence_step(const struct evidence *evidence) {
    return evidence->step;
}

struct left_out evidence_left_out(const struct evidence *evidence) {
    const int64_t *seen = evidence->seen;
    return (struct left_out){seen[SEEN_REFUSED], seen[SEEN_THINNED], seen[SEEN_LATE]};
}

size_t evidence_memory(const struct evidence *evidence) {
    size_t units = evidence->units.slots ? sizeof(struct unit) << evidence->units.log2_slots : 0;
    return sizeof(*evidence) + evidence->arena.used + units;
}

/* ---- what a tick stands on ---- */

/* A guess of stable's mean badness before any is known. It costs power where it is wrong, for some twenty units. */
static double prior_centre(enum channel_kind kind) {
    switch (kind) {
    case CHANNEL_RANK:
        return 0.5;
    case CHANNEL_P95:
        return 0.05;
    case CHANNEL_P99:
        return 0.01;
    case CHANNEL_SCORE:
    case CHANNEL_MEAN:
        break;
    }
    return 0.2;
}

static double centre_of(enum channel_kind kind, const struct basis *basis) {
    double weight = kind == CHANNEL_P95 || kind == CHANNEL_P99 ? PRIOR_WEIGHT_TAIL : PRIOR_WEIGHT;
    return (weight * prior_centre(kind) + (double)basis->sum / BET_QUANTA) / (weight + (double)basis->count);
}

static void fix_channel(struct evidence *evidence, size_t c) {
    const struct channel *channel = &evidence->layout.channels[c];
    struct channel_now *now = &evidence->channels[c];
    *now = (struct channel_now){.centre = centre_of(channel->kind, &evidence->basis[c]), .open = true};
    if (channel->kind == CHANNEL_SCORE) return;
    const struct sketch *fixed = &evidence->sizes[evidence->layout.metrics[channel->metric].sketch].fixed;
    now->open = fixed->total >= WARM_UP;
    now->threshold = sketch_quantile_place(fixed, channel->kind == CHANNEL_P95 ? 0.95 : 0.99);
    now->cap = CAP_OVER_P99 * sketch_value(now->threshold);
}

void evidence_fix(struct evidence *evidence) {
    for (size_t i = 0; i < evidence->layout.sketch_count; i++)
        sketch_ranks(&evidence->sizes[i].fixed, evidence->sizes[i].ranks);
    for (size_t c = 0; c < evidence->layout.channel_count; c++)
        fix_channel(evidence, c);
    memset(evidence->bets_ready, 0, sizeof(evidence->bets_ready));
}

static void make_bets(const struct evidence *evidence, size_t step, size_t c, struct channel_bets *bets) {
    const struct channel *channel = &evidence->layout.channels[c];
    for (enum direction d = HARM; d < DIRECTIONS; d++) {
        struct bet_terms terms = {evidence->layout.share[step], evidence->channels[c].centre, channel->margin[d], d};
        wager_init(&bets->wagers[d], &terms);
        for (unsigned arm = 0; arm < ARMS; arm++)
            for (unsigned exceeds = 0; exceeds < 2; exceeds++)
                wager_logs(&bets->wagers[d], arm, exceeds, bets->logs[d][arm][exceeds]);
    }
}

const struct channel_bets *evidence_bets(struct evidence *evidence, size_t step) {
    struct channel_bets *bets = evidence->bets + step * evidence->layout.channel_count;
    if (evidence->bets_ready[step]) return bets;
    for (size_t c = 0; c < evidence->layout.channel_count; c++)
        make_bets(evidence, step, c, &bets[c]);
    evidence->bets_ready[step] = true;
    return bets;
}

/* ---- ticks ---- */

static void drop_every_second(struct restarts *restarts, size_t row_len) {
    size_t kept = 0;
    for (size_t i = 1; i < restarts->count; i += 2, kept++) {
        restarts->index[kept] = restarts->index[i];
        memmove(restarts->rows + kept * row_len, restarts->rows + i * row_len, row_len * sizeof(*restarts->rows));
    }
    restarts->count = kept;
    restarts->spacing *= 2;
}

static void take_snapshot(struct evidence *evidence) {
    struct restarts *restarts = &evidence->restarts;
    if (restarts->count == RESTARTS_MAX) drop_every_second(restarts, evidence->layout.harm_len);
    memcpy(restart_row(evidence, restarts->count), evidence->harm, evidence->layout.harm_len * sizeof(int64_t));
    restarts->index[restarts->count++] = ++restarts->started;
}

static void mature(struct evidence *evidence, int64_t now) {
    now = clamp_time(now);
    if (now > evidence->now) evidence->now = now;
    ring_mature(&evidence->harm_ring, evidence->harm, evidence->now);
    ring_mature(&evidence->go_on_ring, evidence->go_on, evidence->now);
    evidence->ticks++;
}

static void come_to(struct evidence *evidence, size_t step) {
    evidence->step = step;
    memset(evidence->go_on, 0, evidence->layout.go_on_len * sizeof(int64_t));
    ring_clear(&evidence->go_on_ring);
}

static void fix_from_own(struct evidence *evidence) {
    const struct layout *layout = &evidence->layout;
    for (size_t c = 0; c < layout->channel_count; c++) {
        const int64_t *seen = evidence->seen + layout->seen_channels + 2 * c;
        evidence->basis[c] = (struct basis){seen[0], seen[1]};
    }
    for (size_t i = 0; i < layout->sketch_count; i++)
        evidence->sizes[i].fixed = evidence->sizes[i].arms[0];
    evidence_fix(evidence);
}

void evidence_tick(struct evidence *evidence, int64_t now) {
    mature(evidence, now);
    if (evidence->harm[0] - evidence->restarts.last_units >= evidence->restarts.spacing) {
        evidence->restarts.last_units = evidence->harm[0];
        take_snapshot(evidence);
    }
    fix_from_own(evidence);
}

void evidence_enter(struct evidence *evidence, size_t step, int64_t now) {
    if (step <= evidence->step || step >= evidence->layout.steps) return;
    mature(evidence, now);
    evidence->restarts.last_units = evidence->harm[0];
    take_snapshot(evidence);
    come_to(evidence, step);
    fix_from_own(evidence);
}

int evidence_follow(struct evidence *evidence, const struct evidence *leader, struct err *err) {
    if (evidence->layout.fingerprint != leader->layout.fingerprint || evidence->ticks + 1 != leader->ticks)
        return err_set(err, ERR_CONFLICT, "the leader is not one tick ahead of this part");
    mature(evidence, leader->now);
    if (leader->restarts.started > evidence->restarts.started) take_snapshot(evidence);
    evidence->restarts.last_units = leader->restarts.last_units;
    if (leader->step > evidence->step) come_to(evidence, leader->step);
    if (leader->units.level > evidence->units.level)
        units_thin(&evidence->units, leader->units.level - evidence->units.level);
    memcpy(evidence->basis, leader->basis, sizeof(evidence->basis));
    for (size_t i = 0; i < evidence->layout.sketch_count; i++)
        evidence->sizes[i].fixed = leader->sizes[i].fixed;
    evidence_fix(evidence);
    return 0;
}

/* ---- merging ---- */

static bool same_restarts(const struct restarts *a, const struct restarts *b) {
    return a->started == b->started && a->spacing == b->spacing && a->count == b->count &&
           a->last_units == b->last_units && memcmp(a->index, b->index, a->count * sizeof(a->index[0])) == 0;
}

static bool same_tick(const struct evidence *a, const struct evidence *b) {
    if (a->layout.fingerprint != b->layout.fingerprint || a->ticks != b->ticks || a->now != b->now ||
        a->step != b->step)
        return false;
    if (!same_restarts(&a->restarts, &b->restarts)) return false;
    for (size_t i = 0; i < a->layout.sketch_count; i++)
        if (memcmp(&a->sizes[i].fixed, &b->sizes[i].fixed, sizeof(struct sketch)) != 0) return false;
    return memcmp(a->basis, b->basis, a->layout.channel_count * sizeof(a->basis[0])) == 0;
}

static void merge_ring(struct ring *ring, const struct ring *more) {
    if (ring->slots) sums_add(ring->slots, more->slots, RING_SLOTS * ring->len);
}

int evidence_merge(struct evidence *evidence, const struct evidence *more, struct err *err) {
    const struct layout *layout = &evidence->layout;
    if (!same_tick(evidence, more))
        return err_set(err, ERR_CONFLICT, "parts of evidence merge at the same tick of the same plan only");
    int r = units_merge(&evidence->units, &more->units);
    if (r < 0) return err_no_memory(err);
    if (r == UNITS_SHARED)
        return err_set(err, ERR_CONFLICT, "a unit is in both parts of the evidence: it would count twice");
    sums_add(evidence->seen, more->seen, layout->seen_len);
    sums_add(evidence->harm, more->harm, layout->harm_len);
    sums_add(evidence->go_on, more->go_on, layout->go_on_len);
    sums_add(evidence->restarts.rows, more->restarts.rows, more->restarts.count * layout->harm_len);
    merge_ring(&evidence->harm_ring, &more->harm_ring);
    merge_ring(&evidence->go_on_ring, &more->go_on_ring);
    for (size_t i = 0; i < layout->sketch_count; i++)
        for (unsigned arm = 0; arm < ARMS; arm++)
            sketch_merge(&evidence->sizes[i].arms[arm], &more->sizes[i].arms[arm]);
    return 0;
}
