/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of minutes. Whole numbers: they add up exactly, in any order. A sum that would overflow stays at the largest number. */
#include "intake/fold_impl.h"

#include <math.h>

#define FIRST 64

static void add(int64_t *sum, int64_t more) {
    if (__builtin_add_overflow(*sum, more, sum)) *sum = INT64_MAX;
}

void minute_add(struct minute *minute, const struct outcome *outcome) {
    uint32_t has = outcome->has;
    add(&minute->outcomes, (has & OUTCOME_HAS(OK)) != 0);
    add(&minute->errors, has & OUTCOME_HAS(OK) && !outcome->ok);
    if (has & OUTCOME_HAS(LATENCY)) {
        add(&minute->latencies, 1);
        add(&minute->latency, llround(outcome->latency_ms * 1e3));
    }
    if (has & OUTCOME_HAS(COST)) add(&minute->cost, llround(outcome->cost_usd * 1e9));
    add(&minute->input_tokens, outcome->input_tokens);
    add(&minute->output_tokens, outcome->output_tokens);
    add(&minute->tool_errors, outcome->tool_errors);
    if (has & OUTCOME_HAS(FEEDBACK)) add(outcome->feedback_up ? &minute->up : &minute->down, 1);
}

/* ---- places ---- */

static bool place_is(const struct fold_place *place, const struct outcome_place *wanted) {
    return place->version == wanted->version && slice_equal_text(wanted->agent, place->agent) &&
           slice_equal_text(wanted->environment, place->environment);
}

int64_t minutes_place(struct minute_table *table, const struct outcome_place *place) {
    for (size_t i = table->place_count; i-- > 0;)
        if (place_is(&table->places[i], place)) return (int64_t)i;
    if (table->place_count == table->place_capacity) {
        size_t capacity = table->place_capacity ? 2 * table->place_capacity : FIRST;
        struct fold_place *places = realloc(table->places, capacity * sizeof(*places));
        if (!places) return -1;
        table->places = places;
        table->place_capacity = capacity;
    }
    const char *agent = arena_strndup(&table->arena, place->agent.ptr, place->agent.len);
    const char *environment = arena_strndup(&table->arena, place->environment.ptr, place->environment.len);
    if (!agent || !environment) return -1;
    table->places[table->place_count] = (struct fold_place){agent, environment, place->version};
    return (int64_t)table->place_count++;
}

/* ---- minutes ---- */

static size_t slot_of(const struct minute_table *table, const struct minute_key *key) {
    uint64_t mixed =
        (uint64_t)key->place * 4 + key->arm + (uint64_t)(key->minute / MINUTE) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(mixed >> 32) & (table->slot_count - 1);
}

static bool same_key(const struct minute_key *a, const struct minute_key *b) {
    return a->place == b->place && a->arm == b->arm && a->minute == b->minute;
}

static uint32_t *find_slot(const struct minute_table *table, const struct minute_key *key) {
    size_t slot = slot_of(table, key);
    while (table->slots[slot] && !same_key(&table->items[table->slots[slot] - 1].key, key))
        slot = (slot + 1) & (table->slot_count - 1);
    return &table->slots[slot];
}

static bool grow(struct minute_table *table) {
    size_t capacity = table->capacity ? 2 * table->capacity : FIRST;
    struct minute *items = realloc(table->items, capacity * sizeof(*items));
    if (items) table->items = items;
    uint32_t *slots = items ? calloc(2 * capacity, sizeof(*slots)) : NULL;
    if (!slots) return false;
    free(table->slots);
    table->slots = slots;
    table->capacity = capacity;
    table->slot_count = 2 * capacity;
    for (size_t i = 0; i < table->count; i++)
        *find_slot(table, &table->items[i].key) = (uint32_t)i + 1;
    return true;
}

struct minute *minutes_get(struct minute_table *table, const struct minute_key *key) {
    if (table->count == table->capacity && !grow(table)) return NULL;
    uint32_t *slot = find_slot(table, key);
    if (!*slot) {
        table->items[table->count] = (struct minute){.key = *key};
        *slot = (uint32_t)++table->count;
    }
    return &table->items[*slot - 1];
}

void minutes_clear(struct minute_table *table) {
    table->count = table->place_count = 0;
    arena_deinit(&table->arena);
    table->arena = ARENA_INIT;
    if (table->slots) memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
}

void minutes_deinit(struct minute_table *table) {
    free(table->items);
    free(table->slots);
    free(table->places);
    arena_deinit(&table->arena);
}
