/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever shows the series copies them, so that the writer waits for no longer than that takes. Names belong to a cell and are freed with it, in
 * tally_sweep(); `reading` keeps that apart from those who show.
 */
#include "intake/tally.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS (2 * TALLY_SERIES_MAX) /* a power of two */

struct cell {
    struct tally_series series; /* its names lie behind the struct */
    uint64_t hash, seen;        /* seen: outcomes at the last sweep */
    int64_t newest;             /* second of the last sweep that saw it grow, or served */
};

struct tally {
    pthread_mutex_t reading; /* taken before `lock` */
    pthread_mutex_t lock;    /* for what follows */
    struct cell **cells;
    uint32_t count, capacity;
    uint32_t slots[SLOTS]; /* cells by hash: number + 1, 0 = free */
    struct tally_series left_out;
};

int tally_new(struct tally **ret, struct err *err) {
    struct tally *tally = calloc(1, sizeof(*tally));
    if (!tally) return err_no_memory(err);
    pthread_mutex_init(&tally->reading, NULL);
    pthread_mutex_init(&tally->lock, NULL);
    *ret = tally;
    return 0;
}

struct tally *tally_free(struct tally *tally) {
    if (!tally) return NULL;
    for (uint32_t i = 0; i < tally->count; i++)
        free(tally->cells[i]);
    free(tally->cells);
    pthread_mutex_destroy(&tally->reading);
    pthread_mutex_destroy(&tally->lock);
    free(tally);
    return NULL;
}

/* ---- finding ---- */

static uint64_t hash_of(const struct outcome_place *place, enum outcome_arm arm) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)place->version << 2 ^ arm;
    const struct slice names[] = {place->agent, SLICE_LIT("/"), place->environment};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t j = 0; j < names[i].len; j++)
            hash = (hash ^ (unsigned char)names[i].ptr[j]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static bool is(const struct cell *cell, uint64_t hash, const struct outcome_place *place, enum outcome_arm arm) {
    return cell->hash == hash && cell->series.version == place->version && cell->series.arm == arm &&
           slice_equal_text(place->agent, cell->series.agent) &&
           slice_equal_text(place->environment, cell->series.environment);
}

static struct cell *cell_new(uint64_t hash, const struct outcome_place *place, enum outcome_arm arm) {
    struct cell *cell = calloc(1, sizeof(*cell) + place->agent.len + place->environment.len + 2);
    if (!cell) return NULL;
    char *agent = (char *)(cell + 1), *environment = agent + place->agent.len + 1;
    memcpy(agent, place->agent.ptr, place->agent.len);
    memcpy(environment, place->environment.ptr, place->environment.len);
    cell->series =
        (struct tally_series){.agent = agent, .environment = environment, .version = place->version, .arm = arm};
    cell->hash = hash;
    return cell;
}

static bool make_room(struct tally *tally) {
    if (tally->count < tally->capacity) return true;
    uint32_t capacity = tally->capacity ? 2 * tally->capacity : 64;
    if (capacity > TALLY_SERIES_MAX) return false;
    struct cell **cells = realloc(tally->cells, capacity * sizeof(struct cell *));
    if (!cells) return false;
    tally->cells = cells;
    tally->capacity = capacity;
    return true;
}

struct tally_series *tally_find(struct tally *tally, const struct outcome_place *place, enum outcome_arm arm) {
    uint64_t hash = hash_of(place, arm);
    uint32_t i = (uint32_t)hash % SLOTS;
    for (; tally->slots[i]; i = (i + 1) % SLOTS)
        if (is(tally->cells[tally->slots[i] - 1], hash, place, arm)) return &tally->cells[tally->slots[i] - 1]->series;
    struct cell *cell = make_room(tally) ? cell_new(hash, place, arm) : NULL;
    if (!cell) return &tally->left_out;
    tally->cells[tally->count] = cell;
    tally->slots[i] = ++tally->count;
    return &cell->series;
}

/* ---- adding ---- */

void tally_begin(struct tally *tally) {
    pthread_mutex_lock(&tally->lock);
}

void tally_end(struct tally *tally) {
    pthread_mutex_unlock(&tally->lock);
}

static size_t bucket_of(double seconds) {
    static const double ends[TALLY_BUCKETS] = TALLY_LATENCIES;
    size_t bucket = 0;
    while (bucket < TALLY_BUCKETS && seconds > ends[bucket])
        bucket++;
    return bucket;
}

void tally_add(struct tally_series *series, const struct outcome *outcome) {
    uint32_t has = outcome->has;
    if (has & OUTCOME_HAS(OK)) ++*(outcome->ok ? &series->ok : &series->failed);
    if (has & OUTCOME_HAS(LATENCY)) {
        series->latencies[bucket_of(outcome->latency_ms / 1e3)]++;
        series->latency_s += outcome->latency_ms / 1e3;
    }
    if (has & OUTCOME_HAS(COST)) series->cost_usd += outcome->cost_usd;
    series->input_tokens += (uint64_t)outcome->input_tokens;
    series->output_tokens += (uint64_t)outcome->output_tokens;
}

/* ---- showing ---- */

static int by_names(const void *a, const void *b) {
    const struct tally_series *x = a, *y = b;
    int order = strcmp(x->environment, y->environment);
    if (order == 0) order = strcmp(x->agent, y->agent);
    if (order != 0) return order;
    if (x->version != y->version) return x->version < y->version ? -1 : 1;
    return (x->arm > y->arm) - (x->arm < y->arm);
}

static struct tally_series *list_series(struct tally *tally, size_t *ret_count) {
    tally_begin(tally);
    struct tally_series *list = malloc((tally->count + 1) * sizeof(*list));
    *ret_count = tally->count;
    for (uint32_t i = 0; list && i < tally->count; i++)
        list[i] = tally->cells[i]->series;
    tally_end(tally);
    return list;
}

int tally_each(struct tally *tally, int (*each)(void *ctx, const struct tally_series *series), void *ctx) {
    size_t count;
    pthread_mutex_lock(&tally->reading);
    struct tally_series *list = list_series(tally, &count);
    int r = list ? 0 : -ERR_NO_MEMORY;
    if (list) qsort(list, count, sizeof(*list), by_names);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = each(ctx, &list[i]);
    free(list);
    pthread_mutex_unlock(&tally->reading);
    return r;
}

size_t tally_size(struct tally *tally) {
    tally_begin(tally);
    size_t size = tally->count;
    tally_end(tally);
    return size;
}

static uint64_t outcomes_of(const struct tally_series *series) {
    return series->ok + series->failed;
}

uint64_t tally_left_out(struct tally *tally) {
    tally_begin(tally);
    uint64_t count = outcomes_of(&tally->left_out);
    tally_end(tally);
    return count;
}

/* ---- letting series go ---- */

static bool is_done(struct cell *cell, int64_t second, bool served) {
    uint64_t outcomes = outcomes_of(&cell->series);
    if (served || outcomes > cell->seen || !cell->newest) cell->newest = second;
    cell->seen = outcomes;
    return second - cell->newest >= TALLY_KEPT;
}

static void fill_slots(struct tally *tally) {
    memset(tally->slots, 0, sizeof(tally->slots));
    for (uint32_t i = 0; i < tally->count; i++) {
        uint32_t slot = (uint32_t)tally->cells[i]->hash % SLOTS;
        while (tally->slots[slot])
            slot = (slot + 1) % SLOTS;
        tally->slots[slot] = i + 1;
    }
}

void tally_sweep(struct tally *tally, int64_t second, bool (*serves)(void *ctx, const struct tally_series *series),
                 void *ctx) {
    pthread_mutex_lock(&tally->reading);
    tally_begin(tally);
    uint32_t kept = 0, count = tally->count;
    for (uint32_t i = 0; i < count; i++) {
        struct cell *cell = tally->cells[i];
        if (is_done(cell, second, serves(ctx, &cell->series)))
            free(cell);
        else
            tally->cells[kept++] = cell;
    }
    tally->count = kept;
    if (kept < count) fill_slots(tally);
    tally_end(tally);
    pthread_mutex_unlock(&tally->reading);
}
