/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of evidence, version 1: "SE", the version, the part (0 judged, 1 whole), the plan's fingerprint (8 bytes, low first); then numbers, each
 * zigzag and in groups of seven bits, low first:
 *
 *   ticks, now, step; the rows seen, harm, go_on; restarts: started, spacing, units at the last, how many; each its index and its row as difference from
 *   the one before; for each size, the sketches of stable and of the candidate
 *   whole only: for each channel the basis; for each size the fixed sketch; both rings; the units
 *
 * A sketch is the number of its places in use, then for each the distance from the one before and the count. A ring is its first slot and how many slots are in
 * use, each with its distance from the first and its row. Units are their level and number; in order of key each the distance from the one before, and its
 * bits. How long rows are follows from the plan.
 *
 * Reading trusts nothing: what cannot have been written is refused, so that whatever is read is a state that could have come about, or at least one that can be judged
 * and gone on with.
 */
#include "analysis/evidence_impl.h"

#define VERSION 1
#define HEADER_SIZE 12
#define STARTED_MAX (INT64_C(1) << 40)
#define TIME_MAX (INT64_C(1) << 60)

/* ---- writing ---- */

static void put_unsigned(struct str *out, uint64_t number) {
    char bytes[10];
    size_t n = 0;
    for (; number >= 0x80; number >>= 7)
        bytes[n++] = (char)(number | 0x80);
    bytes[n++] = (char)number;
    str_add(out, bytes, n);
}

static void put(struct str *out, int64_t number) {
    put_unsigned(out, (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

static void put_row(struct str *out, const int64_t *row, size_t len) {
    for (size_t i = 0; i < len; i++)
        put(out, row[i]);
}

static void put_header(struct str *out, const struct layout *layout, enum evidence_part part) {
    uint8_t bytes[HEADER_SIZE] = {'S', 'E', VERSION, (uint8_t)part};
    for (size_t i = 0; i < 8; i++)
        bytes[4 + i] = (uint8_t)(layout->fingerprint >> 8 * i);
    str_add(out, bytes, sizeof(bytes));
}

static void put_sketch(struct str *out, const struct sketch *sketch) {
    int64_t used = 0, last = 0;
    for (size_t p = 0; p < SKETCH_PLACES; p++)
        used += sketch->counts[p] != 0;
    put(out, used);
    for (size_t p = 0; p < SKETCH_PLACES; p++) {
        if (sketch->counts[p] == 0) continue;
        put(out, (int64_t)p - last);
        put(out, sketch->counts[p]);
        last = (int64_t)p;
    }
}

static void put_restarts(struct str *out, const struct evidence *evidence) {
    const struct restarts *restarts = &evidence->restarts;
    size_t len = evidence->layout.harm_len;
    put(out, restarts->started);
    put(out, restarts->spacing);
    put(out, restarts->last_units);
    put(out, (int64_t)restarts->count);
    for (size_t i = 0; i < restarts->count; i++) {
        put(out, restarts->index[i]);
        for (size_t k = 0; k < len; k++)
            put(out, restart_row(evidence, i)[k] - (i ? restart_row(evidence, i - 1)[k] : 0));
    }
}

static bool row_is_empty(const int64_t *row, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (row[i]) return false;
    return true;
}

static int64_t *ring_slot(const struct ring *ring, int64_t distance) {
    return ring->slots + ((uint64_t)(ring->first + distance) % RING_SLOTS) * ring->len;
}

static void put_ring(struct str *out, const struct ring *ring) {
    int64_t used = 0;
    if (!ring->slots) return;
    for (int64_t d = 0; d < RING_SLOTS; d++)
        used += !row_is_empty(ring_slot(ring, d), ring->len);
    put(out, ring->first);
    put(out, used);
    for (int64_t d = 0; d < RING_SLOTS; d++) {
        if (row_is_empty(ring_slot(ring, d), ring->len)) continue;
        put(out, d);
        put_row(out, ring_slot(ring, d), ring->len);
    }
}

static uint32_t unit_bits(const struct unit *unit) {
    return (uint32_t)unit->in_rollout | (uint32_t)unit->in_step << 12 | (uint32_t)unit->step << 24 |
           (uint32_t)unit->candidate << 29 | (uint32_t)unit->was_candidate << 30 | (uint32_t)unit->was_stable << 31;
}

static struct unit unit_of(uint64_t key, uint32_t bits) {
    return (struct unit){key,       bits & 0xfff, bits >> 12 & 0xfff, bits >> 24 & 31, bits >> 29 & 1, bits >> 30 & 1,
                         bits >> 31};
}

static int put_units(struct str *out, const struct units *units) {
    _cleanup_(freep) struct unit *sorted = units_sorted(units);
    if (!sorted && units->count) return -ERR_NO_MEMORY;
    put(out, units->level);
    put(out, (int64_t)units->count);
    for (size_t i = 0; i < units->count; i++) {
        put_unsigned(out, sorted[i].key - (i ? sorted[i - 1].key : 0));
        put_unsigned(out, unit_bits(&sorted[i]));
    }
    return 0;
}

static int put_rest(struct str *out, const struct evidence *evidence) {
    for (size_t c = 0; c < evidence->layout.channel_count; c++) {
        put(out, evidence->basis[c].count);
        put(out, evidence->basis[c].sum);
    }
    for (size_t i = 0; i < evidence->layout.sketch_count; i++)
        put_sketch(out, &evidence->sizes[i].fixed);
    put_ring(out, &evidence->harm_ring);
    put_ring(out, &evidence->go_on_ring);
    return put_units(out, &evidence->units);
}

int evidence_write(const struct evidence *evidence, enum evidence_part part, struct str *out) {
    const struct layout *layout = &evidence->layout;
    put_header(out, layout, part);
    put(out, evidence->ticks);
    put(out, evidence->now);
    put(out, (int64_t)evidence->step);
    put_row(out, evidence->seen, layout->seen_len);
    put_row(out, evidence->harm, layout->harm_len);
    put_row(out, evidence->go_on, layout->go_on_len);
    put_restarts(out, evidence);
    for (size_t i = 0; i < layout->sketch_count; i++)
        for (unsigned arm = 0; arm < ARMS; arm++)
            put_sketch(out, &evidence->sizes[i].arms[arm]);
    int r = part == EVIDENCE_WHOLE ? put_rest(out, evidence) : 0;
    return out->failed ? -ERR_NO_MEMORY : r;
}

/* ---- reading ---- */

/* `bad` stays set; everything read from then on is 0. */
struct reader {
    const uint8_t *at, *end;
    bool bad, no_memory;
};

static uint64_t get_unsigned(struct reader *in) {
    uint64_t number = 0;
    for (unsigned shift = 0; !in->bad && shift < 64 && in->at < in->end; shift += 7) {
        uint8_t byte = *in->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return number;
    }
    in->bad = true;
    return 0;
}

static int64_t get(struct reader *in, int64_t least, int64_t most) {
    uint64_t coded = get_unsigned(in);
    int64_t number = (int64_t)(coded >> 1) ^ -(int64_t)(coded & 1);
    if (number >= least && number <= most) return number;
    in->bad = true;
    return 0;
}

static int64_t get_count(struct reader *in) {
    return get(in, 0, SUM_MAX);
}

/* A row whose first `counts` numbers cannot be below 0. */
static void get_row(struct reader *in, int64_t *row, size_t counts, size_t len) {
    for (size_t i = 0; i < len; i++)
        row[i] = get(in, i < counts ? 0 : -SUM_MAX, SUM_MAX);
}

/* The same, as difference from `before`; counts never fall. */
static void get_row_after(struct reader *in, int64_t *row, const int64_t *before, const struct layout *layout) {
    for (size_t i = 0; i < layout->harm_len; i++) {
        bool count = i < layout->harm_bets;
        int64_t difference = get(in, count ? 0 : -2 * SUM_MAX, 2 * SUM_MAX), from = before ? before[i] : 0;
        if (difference > SUM_MAX - from || difference < -SUM_MAX - from)
            in->bad = true;
        else
            row[i] = from + difference;
    }
}

static void get_sketch(struct reader *in, struct sketch *sketch) {
    int64_t used = get(in, 0, (int64_t)SKETCH_PLACES), place = 0;
    for (int64_t i = 0; i < used && !in->bad; i++) {
        place += get(in, i ? 1 : 0, (int64_t)SKETCH_PLACES - 1 - place);
        if (in->bad) return;
        sketch->counts[place] = get(in, 1, SUM_MAX);
        sketch->total = sum_add(sketch->total, sketch->counts[place]);
    }
}

static void get_restarts(struct reader *in, struct evidence *evidence) {
    struct restarts *restarts = &evidence->restarts;
    const struct layout *layout = &evidence->layout;
    restarts->started = get(in, 0, STARTED_MAX);
    restarts->spacing = get(in, 1, SUM_MAX / 2);
    restarts->last_units = get_count(in); /* of all parts together, so it may be more than this one has */
    restarts->count = (size_t)get(in, 0, RESTARTS_MAX);
    int64_t last = 0;
    for (size_t i = 0; i < restarts->count && !in->bad; i++) {
        last = restarts->index[i] = get(in, last + 1, restarts->started);
        get_row_after(in, restart_row(evidence, i), i ? restart_row(evidence, i - 1) : NULL, layout);
    }
    for (size_t k = 0; k < layout->harm_bets && restarts->count && !in->bad; k++)
        if (restart_row(evidence, restarts->count - 1)[k] > evidence->harm[k]) in->bad = true;
}

/* A mean of badness lies between 0 and 1. */
static void check_basis(struct reader *in, const struct basis *basis) {
    if ((double)basis->sum > (double)basis->count * BET_QUANTA) in->bad = true;
}

static void get_basis(struct reader *in, struct evidence *evidence) {
    for (size_t c = 0; c < evidence->layout.channel_count; c++) {
        const int64_t *seen = evidence->seen + evidence->layout.seen_channels + 2 * c;
        evidence->basis[c].count = get_count(in);
        evidence->basis[c].sum = get_count(in);
        check_basis(in, &evidence->basis[c]);
        check_basis(in, &(struct basis){seen[0], seen[1]});
    }
}

static void get_ring(struct reader *in, struct ring *ring, size_t counts) {
    if (!ring->slots) return;
    int64_t first = get(in, ring->first, ring->first); /* follows from the time */
    int64_t used = get(in, 0, RING_SLOTS), distance = -1;
    for (int64_t i = 0; i < used && !in->bad && first == ring->first; i++) {
        distance = get(in, distance + 1, RING_SLOTS - 1);
        if (!in->bad) get_row(in, ring_slot(ring, distance), counts, ring->len);
    }
}

static void get_unit(struct reader *in, struct evidence *evidence, uint64_t key) {
    uint64_t bits = get_unsigned(in);
    struct unit unit = unit_of(key, (uint32_t)bits), *put;
    if (bits > UINT32_MAX || unit.step > evidence->step || !(unit.candidate ? unit.was_candidate : unit.was_stable) ||
        !units_eligible(&evidence->units, key)) {
        in->bad = true;
        return;
    }
    int r = units_put(&evidence->units, key, &put);
    if (r < 0) in->no_memory = in->bad = true;
    if (r == 0) *put = unit;
}

static void get_units(struct reader *in, struct evidence *evidence) {
    evidence->units.level = (unsigned)get(in, 0, UNITS_LEVEL_MAX);
    int64_t count = get(in, 0, (int64_t)UNITS_MAX);
    uint64_t key = 0;
    for (int64_t i = 0; i < count && !in->bad; i++) {
        uint64_t distance = get_unsigned(in);
        if ((i && distance == 0) || distance > UINT64_MAX - key) in->bad = true;
        key += distance;
        if (!in->bad) get_unit(in, evidence, key);
    }
}

static void get_rest(struct reader *in, struct evidence *evidence) {
    get_basis(in, evidence);
    for (size_t i = 0; i < evidence->layout.sketch_count; i++)
        get_sketch(in, &evidence->sizes[i].fixed);
    get_ring(in, &evidence->harm_ring, evidence->layout.harm_bets);
    get_ring(in, &evidence->go_on_ring, evidence->layout.go_on_bets);
    get_units(in, evidence);
}

static void get_body(struct reader *in, struct evidence *evidence) {
    const struct layout *layout = &evidence->layout;
    get_row(in, evidence->seen, layout->seen_len, layout->seen_len);
    get_row(in, evidence->harm, layout->harm_bets, layout->harm_len);
    get_row(in, evidence->go_on, layout->go_on_bets, layout->go_on_len);
    get_restarts(in, evidence);
    for (size_t i = 0; i < layout->sketch_count && !in->bad; i++)
        for (unsigned arm = 0; arm < ARMS; arm++)
            get_sketch(in, &evidence->sizes[i].arms[arm]);
}

static int check_header(struct slice bytes, const struct layout *layout, struct err *err) {
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    uint64_t fingerprint = 0;
    if (bytes.len < HEADER_SIZE || at[0] != 'S' || at[1] != 'E' || at[3] > EVIDENCE_WHOLE)
        return err_set(err, ERR_INVALID, "these bytes are no evidence of a rollout");
    if (at[2] != VERSION) return err_set(err, ERR_INVALID, "the evidence is of version %d, not %d", at[2], VERSION);
    for (size_t i = 0; i < 8; i++)
        fingerprint |= (uint64_t)at[4 + i] << 8 * i;
    if (fingerprint != layout->fingerprint) return err_set(err, ERR_INVALID, "the evidence is of another plan");
    return 0;
}

int evidence_read(const struct rollout_plan *plan, struct slice bytes, struct evidence **ret, struct err *err) {
    _cleanup_(evidence_freep) struct evidence *evidence = NULL;
    int r = evidence_new(plan, 0, &evidence, err);
    if (r < 0) return r;
    r = check_header(bytes, &evidence->layout, err);
    if (r < 0) return r;
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    struct reader in = {.at = at + HEADER_SIZE, .end = at + bytes.len};
    int64_t ticks = get_count(&in), now = get(&in, -TIME_MAX, TIME_MAX);
    evidence_set_time(evidence, now);
    evidence->ticks = ticks;
    evidence->step = (size_t)get(&in, 0, (int64_t)evidence->layout.steps - 1);
    get_body(&in, evidence);
    if (at[3] == EVIDENCE_WHOLE && !in.bad) get_rest(&in, evidence);
    if (in.no_memory) return err_no_memory(err);
    if (in.bad || in.at != in.end) return err_set(err, ERR_INVALID, "the evidence is damaged");
    evidence_fix(evidence);
    *ret = TAKE_PTR(evidence);
    return 0;
}
