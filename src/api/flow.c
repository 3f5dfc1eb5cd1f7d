/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread that decides has a lane of its own: a small table of keys and counts, four to a cache line, that it alone writes. A lane is a cache of the newest
 * counts; the book has a cell for every series, and what the series comes to is the cell's base and what stands for it in the lanes. A count that gives way to
 * another is added to its cell's base.
 *
 * Invariants:
 *  - keys and cell numbers of a lane change under `lock` only, by its owner, or by whoever lets series go, who only clears;
 *  - a count is written by the lane's owner only. Who clears a place may meet its owner counting there: then that one count is lost, and
 *    the place is zeroed by the owner when it takes it again, so that nothing comes to another series;
 *  - cells are freed under `reading` and `lock`, so whoever has either of them may use them.
 *
 * Two kinds of decisions with the same key (63 bits of a hash) would be counted as one.
 */
#include "api/flow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64
#define LANE_BITS 6
#define LANES (1u << LANE_BITS)
#define WAYS 4u
#define SETS_FIRST 32u
#define SETS_MAX 65536u
#define LEFT_OUT 0u /* the cell of all that found no room */
#define GONE UINT32_MAX

struct set {
    _Alignas(CACHE_LINE) struct {
        _Atomic uint64_t key; /* 0 = free */
        _Atomic uint64_t count;
    } ways[WAYS];
};
_Static_assert(sizeof(struct set) == CACHE_LINE, "a set is one cache line");

struct lane {
    _Alignas(2 * CACHE_LINE) _Atomic(pthread_t) owner; /* 0 = nobody yet */
    struct set *sets;
    uint32_t *cells; /* WAYS for each set: whose counts they are */
    uint64_t set_count;
};

/* What is counted together. */
struct kind {
    struct slice agent, environment; /* a NUL behind each when they are a cell's */
    int64_t version, rollout;        /* 0: no rollout counts it */
    bool candidate;
};

struct cell {
    struct kind kind;               /* its texts lie behind the struct */
    uint64_t ref;                   /* of a decision */
    uint64_t key, base, sum, total; /* total: as of the last look; sum: in the making */
    int64_t grown_at, served_at;
    bool over;       /* its rollout is */
    bool goes;       /* with the next drop_cells() */
    uint32_t number; /* after it */
};

struct last {
    int64_t rollout, second;
    bool candidate;
};

struct flow {
    struct lane lanes[LANES];
    pthread_mutex_t reading; /* taken before `lock`, for as long as it takes to show everything */
    pthread_mutex_t lock;    /* for what follows, and what is said above */
    struct cell **cells;
    uint32_t cell_count, cell_capacity;
    uint32_t *slots; /* cells by key: open addressing, number + 1, 0 = free; twice cell_capacity, a power of two */
    struct last *lasts;
    size_t last_count;
};

/* ---- the book: under the lock ---- */

static uint32_t *slot_of(const struct flow *flow, uint64_t key) {
    uint32_t mask = 2 * flow->cell_capacity - 1, i = (uint32_t)(key >> 1) & mask;
    while (flow->slots[i] && flow->cells[flow->slots[i] - 1]->key != key)
        i = (i + 1) & mask;
    return &flow->slots[i];
}

static void fill_slots(struct flow *flow) {
    memset(flow->slots, 0, 2 * flow->cell_capacity * sizeof(*flow->slots));
    for (uint32_t i = 0; i < flow->cell_count; i++)
        *slot_of(flow, flow->cells[i]->key) = i + 1;
}

static bool grow_book(struct flow *flow) {
    uint32_t capacity = flow->cell_capacity ? 2 * flow->cell_capacity : 64;
    if (capacity > FLOW_SERIES_MAX) return false;
    struct cell **cells = realloc(flow->cells, capacity * sizeof(struct cell *));
    if (cells) flow->cells = cells;
    uint32_t *slots = cells ? malloc(2 * capacity * sizeof(*slots)) : NULL;
    if (!slots) return false;
    free(flow->slots);
    flow->slots = slots;
    flow->cell_capacity = capacity;
    fill_slots(flow);
    return true;
}

static struct cell *cell_new(uint64_t key, const struct kind *kind) {
    struct cell *cell = calloc(1, sizeof(*cell) + kind->agent.len + kind->environment.len + 2);
    if (!cell) return NULL;
    char *agent = (char *)(cell + 1), *environment = agent + kind->agent.len + 1;
    memcpy(agent, kind->agent.ptr, kind->agent.len);
    memcpy(environment, kind->environment.ptr, kind->environment.len);
    cell->kind = *kind;
    cell->kind.agent.ptr = agent;
    cell->kind.environment.ptr = environment;
    cell->key = key;
    return cell;
}

/* The cell of that key, new when it is the first of its kind. LEFT_OUT: there is no room. */
static uint32_t find_cell(struct flow *flow, uint64_t key, const struct kind *kind) {
    uint32_t found = *slot_of(flow, key);
    if (found) return found - 1;
    if (flow->cell_count == flow->cell_capacity && !grow_book(flow)) return LEFT_OUT;
    struct cell *cell = cell_new(key, kind);
    if (!cell) return LEFT_OUT;
    flow->cells[flow->cell_count] = cell;
    *slot_of(flow, key) = ++flow->cell_count;
    return flow->cell_count - 1;
}

/* ---- keys ---- */

static uint64_t key_of(uint64_t ref, int64_t version, int64_t rollout, bool candidate) {
    uint64_t arm = (uint64_t)rollout * 2 + candidate;
    uint64_t key = ref + (uint64_t)version * UINT64_C(0x9e3779b97f4a7c15) + arm * UINT64_C(0xd1b54a32d192ed03);
    key = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (key ^ key >> 32) | 1;
}

/* ---- lanes: under the lock ---- */

static uint32_t first_lane(pthread_t self) {
    return (uint32_t)((uint64_t)self * UINT64_C(0x9e3779b97f4a7c15) >> (64 - LANE_BITS));
}

/* The thread's lane, or LANES: it has none. */
static uint32_t find_lane(struct flow *flow, pthread_t self) {
    for (uint32_t i = 0, first = first_lane(self); i < LANES; i++) {
        uint32_t number = (first + i) % LANES;
        pthread_t owner = atomic_load_explicit(&flow->lanes[number].owner, memory_order_relaxed);
        if (owner == self) return number;
        if (!owner) break;
    }
    return LANES;
}

static struct set *sets_new(uint64_t count) {
    struct set *sets = aligned_alloc(CACHE_LINE, count * sizeof(*sets));
    if (sets) memset(sets, 0, count * sizeof(*sets));
    return sets;
}

/* More threads than lanes, or no memory: LANES, and the thread counts in the book. */
static uint32_t take_lane(struct flow *flow, pthread_t self) {
    for (uint32_t i = 0, first = first_lane(self); i < LANES; i++) {
        uint32_t number = (first + i) % LANES;
        struct lane *lane = &flow->lanes[number];
        if (atomic_load_explicit(&lane->owner, memory_order_relaxed)) continue;
        if (!lane->sets) lane->sets = sets_new(SETS_FIRST);
        if (!lane->cells) lane->cells = calloc((size_t)SETS_FIRST * WAYS, sizeof(*lane->cells));
        if (!lane->sets || !lane->cells) return LANES;
        lane->set_count = SETS_FIRST;
        atomic_store_explicit(&lane->owner, self, memory_order_relaxed);
        return number;
    }
    return LANES;
}

static uint64_t set_of(const struct lane *lane, uint64_t key) {
    return key >> 1 & (lane->set_count - 1);
}

static uint64_t read_key(const struct set *set, uint32_t way) {
    return atomic_load_explicit(&set->ways[way].key, memory_order_relaxed);
}

static uint64_t read_count(const struct set *set, uint32_t way) {
    return atomic_load_explicit(&set->ways[way].count, memory_order_relaxed);
}

static void put_count(struct lane *lane, uint64_t place, uint64_t key, uint64_t count) {
    struct set *set = &lane->sets[place / WAYS];
    atomic_store_explicit(&set->ways[place % WAYS].count, count, memory_order_relaxed);
    atomic_store_explicit(&set->ways[place % WAYS].key, key, memory_order_relaxed);
}

/* Of what shares a set in the larger table, each has at least the room that it had. */
static bool grow_lane(struct lane *lane) {
    struct lane grown = {.set_count = 2 * lane->set_count};
    if (grown.set_count > SETS_MAX) return false;
    grown.sets = sets_new(grown.set_count);
    grown.cells = calloc(grown.set_count * WAYS, sizeof(*grown.cells));
    if (!grown.sets || !grown.cells) {
        free(grown.sets);
        free(grown.cells);
        return false;
    }
    for (uint64_t place = 0; place < lane->set_count * WAYS; place++) {
        uint64_t key = read_key(&lane->sets[place / WAYS], place % WAYS);
        if (!key) continue;
        uint64_t to = set_of(&grown, key) * WAYS + place % WAYS;
        grown.cells[to] = lane->cells[place];
        put_count(&grown, to, key, read_count(&lane->sets[place / WAYS], place % WAYS));
    }
    free(lane->sets);
    free(lane->cells);
    lane->sets = grown.sets;
    lane->cells = grown.cells;
    lane->set_count = grown.set_count;
    return true;
}

static int free_way(const struct set *set) {
    for (int way = 0; way < (int)WAYS; way++)
        if (!read_key(set, (uint32_t)way)) return way;
    return -1;
}

/* A place for the key, given up by another count when there is none. */
static uint64_t make_place(struct flow *flow, struct lane *lane, uint64_t key) {
    int way = free_way(&lane->sets[set_of(lane, key)]);
    while (way < 0 && grow_lane(lane))
        way = free_way(&lane->sets[set_of(lane, key)]);
    if (way >= 0) return set_of(lane, key) * WAYS + (uint32_t)way;
    uint64_t place = set_of(lane, key) * WAYS + (key >> 32) % WAYS;
    flow->cells[lane->cells[place]]->base += read_count(&lane->sets[place / WAYS], place % WAYS);
    return place;
}

/* ---- counting ---- */

__attribute__((noinline)) static void count_first(struct flow *flow, uint64_t key, const struct decision *decision) {
    const struct kind kind = {.agent = decision->entry->agent,
                              .environment = decision->entry->environment,
                              .version = decision->version->number,
                              .rollout = decision->rollout ? decision->rollout->seq : 0,
                              .candidate = decision->candidate};
    pthread_t self = pthread_self();
    pthread_mutex_lock(&flow->lock);
    uint32_t cell = find_cell(flow, key, &kind);
    if (cell != LEFT_OUT) flow->cells[cell]->ref = decision->ref;
    uint32_t number = find_lane(flow, self);
    if (number == LANES) number = take_lane(flow, self);
    if (number < LANES) {
        struct lane *lane = &flow->lanes[number];
        uint64_t place = make_place(flow, lane, key);
        lane->cells[place] = cell;
        put_count(lane, place, key, 1);
    } else {
        flow->cells[cell]->base++;
    }
    pthread_mutex_unlock(&flow->lock);
}

void flow_count(struct flow *flow, const struct decision *decision) {
    int64_t rollout = decision->rollout ? decision->rollout->seq : 0;
    uint64_t key = key_of(decision->ref, decision->version->number, rollout, decision->candidate);
    uint32_t number = find_lane(flow, pthread_self());
    if (number < LANES) {
        const struct lane *lane = &flow->lanes[number];
        struct set *set = &lane->sets[set_of(lane, key)];
        for (uint32_t way = 0; way < WAYS; way++) {
            if (read_key(set, way) != key) continue;
            atomic_store_explicit(&set->ways[way].count, read_count(set, way) + 1, memory_order_relaxed);
            return;
        }
    }
    count_first(flow, key, decision);
}

/* ---- looking ---- */

static void add_up(struct flow *flow, int64_t second) {
    for (uint32_t i = 0; i < flow->cell_count; i++)
        flow->cells[i]->sum = flow->cells[i]->base;
    for (uint32_t i = 0; i < LANES; i++) {
        const struct lane *lane = &flow->lanes[i];
        for (uint64_t place = 0; place < lane->set_count * WAYS; place++) {
            const struct set *set = &lane->sets[place / WAYS];
            if (read_key(set, place % WAYS)) flow->cells[lane->cells[place]]->sum += read_count(set, place % WAYS);
        }
    }
    for (uint32_t i = 0; i < flow->cell_count; i++) {
        struct cell *cell = flow->cells[i];
        if (cell->sum > cell->total) cell->grown_at = second;
        cell->total = cell->sum;
    }
}

static int by_rollout(const void *a, const void *b) {
    const struct last *x = a, *y = b;
    if (x->rollout != y->rollout) return x->rollout < y->rollout ? -1 : 1;
    return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

/* Without memory for them nothing is known of any rollout until the next look. */
static void note_rollouts(struct flow *flow) {
    size_t count = 0;
    for (uint32_t i = 0; i < flow->cell_count; i++)
        count += flow->cells[i]->kind.rollout != 0;
    free(flow->lasts);
    flow->last_count = 0;
    flow->lasts = count ? calloc(count, sizeof(*flow->lasts)) : NULL;
    for (uint32_t i = 0; flow->lasts && i < flow->cell_count; i++) {
        const struct cell *cell = flow->cells[i];
        if (cell->kind.rollout && !cell->over)
            flow->lasts[flow->last_count++] = (struct last){cell->kind.rollout, cell->grown_at, cell->kind.candidate};
    }
    if (flow->last_count) qsort(flow->lasts, flow->last_count, sizeof(*flow->lasts), by_rollout);
}

void flow_last(struct flow *flow, int64_t rollout, int64_t ret[2]) {
    ret[0] = ret[1] = 0;
    pthread_mutex_lock(&flow->lock);
    size_t low = 0, high = flow->last_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (flow->lasts[middle].rollout < rollout)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < flow->last_count && flow->lasts[low].rollout == rollout; low++) {
        const struct last *last = &flow->lasts[low];
        if (last->second > ret[last->candidate]) ret[last->candidate] = last->second;
    }
    pthread_mutex_unlock(&flow->lock);
}

void flow_forget(struct flow *flow, int64_t rollout) {
    pthread_mutex_lock(&flow->lock);
    for (uint32_t i = 0; i < flow->cell_count; i++)
        if (flow->cells[i]->kind.rollout == rollout) flow->cells[i]->over = true;
    pthread_mutex_unlock(&flow->lock);
}

/* ---- letting go: under both locks, after adding up ---- */

/* What a rollout counted goes on as its version's; without room for that it stays as it is. */
static void merge(struct flow *flow, struct cell *cell) {
    struct kind kind = cell->kind;
    kind.rollout = 0;
    uint32_t to = find_cell(flow, key_of(cell->ref, kind.version, 0, kind.candidate), &kind);
    if (to == LEFT_OUT) return;
    struct cell *into = flow->cells[to];
    into->ref = cell->ref;
    into->base += cell->total;
    into->total += cell->total;
    if (cell->grown_at > into->grown_at) into->grown_at = cell->grown_at;
    if (cell->served_at > into->served_at) into->served_at = cell->served_at;
    cell->goes = true;
}

/* What was left out gets another chance: there is room now. */
static void clear_lane(struct flow *flow, struct lane *lane) {
    for (uint64_t place = 0; place < lane->set_count * WAYS; place++) {
        struct set *set = &lane->sets[place / WAYS];
        uint32_t number = lane->cells[place];
        if (!read_key(set, place % WAYS)) continue;
        lane->cells[place] = flow->cells[number]->number;
        if (number != LEFT_OUT && !flow->cells[number]->goes) continue;
        if (number == LEFT_OUT) flow->cells[LEFT_OUT]->base += read_count(set, place % WAYS);
        atomic_store_explicit(&set->ways[place % WAYS].key, 0, memory_order_relaxed);
    }
}

/* Frees the cells that go; the others move together. */
static void drop_cells(struct flow *flow) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < flow->cell_count; i++)
        flow->cells[i]->number = flow->cells[i]->goes ? LEFT_OUT : kept++;
    if (kept == flow->cell_count) return;
    for (uint32_t i = 0; i < LANES; i++)
        clear_lane(flow, &flow->lanes[i]);
    kept = 0;
    for (uint32_t i = 0; i < flow->cell_count; i++) {
        struct cell *cell = flow->cells[i];
        if (cell->goes)
            free(cell);
        else
            flow->cells[kept++] = cell;
    }
    flow->cell_count = kept;
    fill_slots(flow);
}

static void end_rollouts(struct flow *flow) {
    for (uint32_t i = 0, count = flow->cell_count; i < count; i++)
        if (flow->cells[i]->over) merge(flow, flow->cells[i]);
    drop_cells(flow);
}

void flow_look(struct flow *flow, int64_t second) {
    pthread_mutex_lock(&flow->reading);
    pthread_mutex_lock(&flow->lock);
    add_up(flow, second);
    end_rollouts(flow);
    note_rollouts(flow);
    pthread_mutex_unlock(&flow->lock);
    pthread_mutex_unlock(&flow->reading);
}

static struct flow_series series_of(const struct cell *cell) {
    return (struct flow_series){.agent = cell->kind.agent.ptr,
                                .environment = cell->kind.environment.ptr,
                                .version = cell->kind.version,
                                .candidate = cell->kind.candidate,
                                .count = cell->total};
}

/* ---- showing ---- */

static int by_names(const void *a, const void *b) {
    const struct flow_series *x = a, *y = b;
    int order = strcmp(x->environment, y->environment);
    if (order == 0) order = strcmp(x->agent, y->agent);
    if (order != 0) return order;
    if (x->version != y->version) return x->version < y->version ? -1 : 1;
    return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

/* All series as of now; those of rollouts stand apart. NULL: no memory. */
static struct flow_series *list_series(struct flow *flow, int64_t second, size_t *ret_count) {
    pthread_mutex_lock(&flow->lock);
    add_up(flow, second);
    end_rollouts(flow);
    note_rollouts(flow);
    struct flow_series *list = malloc(flow->cell_count * sizeof(*list));
    *ret_count = flow->cell_count - 1;
    for (uint32_t i = LEFT_OUT + 1; list && i < flow->cell_count; i++)
        list[i - 1] = series_of(flow->cells[i]);
    pthread_mutex_unlock(&flow->lock);
    return list;
}

int flow_each(struct flow *flow, int64_t second, int (*each)(void *ctx, const struct flow_series *series), void *ctx) {
    size_t count;
    pthread_mutex_lock(&flow->reading);
    struct flow_series *list = list_series(flow, second, &count);
    int r = list ? 0 : -ERR_NO_MEMORY;
    if (list) qsort(list, count, sizeof(*list), by_names);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct flow_series series = list[i];
        while (i + 1 < count && by_names(&series, &list[i + 1]) == 0)
            series.count += list[++i].count;
        r = each(ctx, &series);
    }
    free(list);
    pthread_mutex_unlock(&flow->reading);
    return r;
}

size_t flow_size(struct flow *flow) {
    pthread_mutex_lock(&flow->lock);
    size_t size = flow->cell_count - 1;
    pthread_mutex_unlock(&flow->lock);
    return size;
}

uint64_t flow_left_out(struct flow *flow) {
    pthread_mutex_lock(&flow->lock);
    uint64_t count = flow->cells[LEFT_OUT]->total;
    pthread_mutex_unlock(&flow->lock);
    return count;
}

/* ---- letting series go ---- */

static struct cell **list_cells(struct flow *flow, uint32_t *ret_count) {
    pthread_mutex_lock(&flow->lock);
    struct cell **list = malloc(flow->cell_count * sizeof(struct cell *));
    *ret_count = flow->cell_count;
    if (list) memcpy(list, flow->cells, flow->cell_count * sizeof(struct cell *));
    pthread_mutex_unlock(&flow->lock);
    return list;
}

/* Without `lock`, which threads that decide wait for: nobody else frees cells meanwhile. */
static void note_served(struct flow *flow, int64_t second, flow_serves *serves, void *ctx) {
    uint32_t count;
    struct cell **list = list_cells(flow, &count);
    for (uint32_t i = LEFT_OUT + 1; list && i < count; i++) {
        const struct flow_series series = series_of(list[i]);
        if (serves(ctx, &series)) list[i]->served_at = second;
    }
    free(list);
}

static bool is_done(const struct cell *cell, int64_t second) {
    int64_t newest = cell->grown_at > cell->served_at ? cell->grown_at : cell->served_at;
    return second - newest >= FLOW_KEPT;
}

void flow_sweep(struct flow *flow, int64_t second, flow_serves *serves, void *ctx) {
    pthread_mutex_lock(&flow->reading);
    note_served(flow, second, serves, ctx);
    pthread_mutex_lock(&flow->lock);
    add_up(flow, second);
    for (uint32_t i = LEFT_OUT + 1; i < flow->cell_count; i++) {
        struct cell *cell = flow->cells[i];
        bool done = is_done(cell, second);
        cell->over |= done && cell->kind.rollout;
        cell->goes |= done && !cell->kind.rollout;
    }
    end_rollouts(flow);
    pthread_mutex_unlock(&flow->lock);
    pthread_mutex_unlock(&flow->reading);
}

/* ---- beginning and end ---- */

int flow_new(struct flow **ret, struct err *err) {
    static const struct kind left_out = {.agent = {"", 0}, .environment = {"", 0}};
    struct flow *flow = aligned_alloc(_Alignof(struct flow), sizeof(*flow));
    if (!flow) return err_no_memory(err);
    memset(flow, 0, sizeof(*flow));
    pthread_mutex_init(&flow->reading, NULL);
    pthread_mutex_init(&flow->lock, NULL);
    if (!grow_book(flow) || !(flow->cells[LEFT_OUT] = cell_new(0, &left_out))) {
        (void)flow_free(flow);
        return err_no_memory(err);
    }
    flow->cell_count = 1;
    fill_slots(flow);
    *ret = flow;
    return 0;
}

struct flow *flow_free(struct flow *flow) {
    if (!flow) return NULL;
    for (uint32_t i = 0; i < LANES; i++) {
        free(flow->lanes[i].sets);
        free(flow->lanes[i].cells);
    }
    for (uint32_t i = 0; i < flow->cell_count; i++)
        free(flow->cells[i]);
    free(flow->cells);
    free(flow->slots);
    free(flow->lasts);
    pthread_mutex_destroy(&flow->reading);
    pthread_mutex_destroy(&flow->lock);
    free(flow);
    return NULL;
}
