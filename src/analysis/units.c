/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing over slots of 16 bytes; nothing is ever deleted but by thinning, which builds the table anew.
 *
 * Why thinning leaves every test valid. A unit counts or does not by a hash of its key that has nothing to do with its arm (the mixer below is unlike the
 * MurmurHash3 that makes buckets, and the key should be made of other bits than the bucket) nor with what happens to it. So among the eligible units the
 * arm of the next one, given all that was seen before, is still a toss of the same coin, which is all that K1, K2 and the test of the split assume; when to thin
 * may even depend on the past. Evidence comes half as fast from then on, in both arms alike, and what is already counted stays: a rollout
 * that has 262,144 units in hand is not short of evidence. A unit that becomes ineligible is not needed any more to know what it has been counted for.
 */
#include "analysis/units.h"

#include "base/err.h"

#include <string.h>

#define LOG2_SLOTS_MIN 6

_Static_assert(sizeof(struct unit) == 16, "a unit is 16 bytes");

/* The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the key changes half of the bits of the result. */
static uint64_t mix(uint64_t key) {
    uint64_t x = key + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static bool taken(const struct unit *unit) {
    return unit->was_candidate || unit->was_stable;
}

/* The unit's slot, or the free one where it belongs. Low bits of the hash say who is eligible, high bits where it lies. */
static struct unit *slot_of(const struct units *units, uint64_t key) {
    size_t mask = ((size_t)1 << units->log2_slots) - 1;
    size_t i = (size_t)(mix(key) >> (64 - units->log2_slots));
    while (taken(&units->slots[i]) && units->slots[i].key != key)
        i = (i + 1) & mask;
    return &units->slots[i];
}

void units_deinit(struct units *units) {
    free(units->slots);
    *units = UNITS_INIT;
}

bool units_eligible(const struct units *units, uint64_t key) {
    return (mix(key) & ((UINT64_C(1) << units->level) - 1)) == 0;
}

const struct unit *units_find(const struct units *units, uint64_t key) {
    if (!units->slots) return NULL;
    const struct unit *unit = slot_of(units, key);
    return taken(unit) ? unit : NULL;
}

/* At most three quarters full, so that probes stay short; the full set fits into twice its number. */
static bool has_room(const struct units *units, size_t count) {
    return units->slots && count <= ((size_t)3 << units->log2_slots) / 4;
}

static int grow(struct units *units, size_t count) {
    struct units grown = *units;
    if (!units->slots) grown.log2_slots = LOG2_SLOTS_MIN - 1;
    do
        grown.log2_slots++;
    while (count > ((size_t)3 << grown.log2_slots) / 4);
    grown.slots = calloc((size_t)1 << grown.log2_slots, sizeof(*grown.slots));
    if (!grown.slots) return -ERR_NO_MEMORY;
    for (size_t i = 0; units->slots && i < (size_t)1 << units->log2_slots; i++)
        if (taken(&units->slots[i])) *slot_of(&grown, units->slots[i].key) = units->slots[i];
    free(units->slots);
    *units = grown;
    return 0;
}

/* Moves the last run of a probe chain into the hole, as far as its units may move: the usual deletion for linear probing. */
static void close_hole(struct units *units, size_t hole) {
    size_t mask = ((size_t)1 << units->log2_slots) - 1;
    for (size_t i = (hole + 1) & mask; taken(&units->slots[i]); i = (i + 1) & mask) {
        size_t home = (size_t)(mix(units->slots[i].key) >> (64 - units->log2_slots));
        if (((i - home) & mask) < ((i - hole) & mask)) continue; /* its home lies behind the hole */
        units->slots[hole] = units->slots[i];
        hole = i;
    }
    units->slots[hole] = (struct unit){0};
}

void units_thin(struct units *units, unsigned levels) {
    units->level = units->level + levels < UNITS_LEVEL_MAX ? units->level + levels : UNITS_LEVEL_MAX;
    size_t slots = units->slots ? (size_t)1 << units->log2_slots : 0;
    for (size_t i = 0; i < slots;) {
        if (!taken(&units->slots[i]) || units_eligible(units, units->slots[i].key)) {
            i++;
            continue;
        }
        close_hole(units, i); /* another unit may have come to this slot */
        units->count--;
    }
}

int units_put(struct units *units, uint64_t key, struct unit **ret) {
    if (!units_eligible(units, key)) return UNITS_NOT_ELIGIBLE;
    if (units->slots) {
        struct unit *found = slot_of(units, key);
        if (taken(found)) {
            *ret = found;
            return 0;
        }
    }
    while (units->count >= UNITS_MAX) {
        units_thin(units, 1);
        if (!units_eligible(units, key)) return UNITS_NOT_ELIGIBLE;
    }
    if (!has_room(units, units->count + 1)) {
        int r = grow(units, units->count + 1);
        if (r < 0) return r;
    }
    *ret = slot_of(units, key);
    **ret = (struct unit){.key = key};
    units->count++;
    return 0;
}

static bool shares_any(const struct units *units, const struct units *more) {
    for (size_t i = 0; more->slots && i < (size_t)1 << more->log2_slots; i++)
        if (taken(&more->slots[i]) && units_find(units, more->slots[i].key)) return true;
    return false;
}

static size_t eligible_of(const struct units *units, const struct units *by) {
    size_t count = 0;
    for (size_t i = 0; units->slots && i < (size_t)1 << units->log2_slots; i++)
        count += taken(&units->slots[i]) && units_eligible(by, units->slots[i].key);
    return count;
}

int units_merge(struct units *units, const struct units *more) {
    if (shares_any(units, more)) return UNITS_SHARED;
    struct units target = {.level = units->level > more->level ? units->level : more->level};
    size_t count;
    while ((count = eligible_of(units, &target) + eligible_of(more, &target)) > UNITS_MAX)
        target.level++;
    if (count && !has_room(units, count)) {
        int r = grow(units, count > units->count ? count : units->count);
        if (r < 0) return r;
    }
    units_thin(units, target.level - units->level);
    for (size_t i = 0; more->slots && i < (size_t)1 << more->log2_slots; i++) {
        if (!taken(&more->slots[i]) || !units_eligible(units, more->slots[i].key)) continue;
        *slot_of(units, more->slots[i].key) = more->slots[i];
        units->count++;
    }
    return 0;
}

static int by_key(const void *a, const void *b) {
    uint64_t x = ((const struct unit *)a)->key, y = ((const struct unit *)b)->key;
    return (x > y) - (x < y);
}

struct unit *units_sorted(const struct units *units) {
    struct unit *sorted = units->count ? malloc(units->count * sizeof(*sorted)) : NULL;
    if (!sorted) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < (size_t)1 << units->log2_slots; i++)
        if (taken(&units->slots[i])) sorted[n++] = units->slots[i];
    qsort(sorted, n, sizeof(*sorted), by_key);
    return sorted;
}
