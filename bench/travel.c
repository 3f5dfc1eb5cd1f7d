/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a look into the past costs in the store: the first agent's ref as of positions, and as of times, spread evenly over its
 * whole history. Microseconds, as JSON, with the first and the last position of that history.
 *
 *   bench-travel FILE        a store made by bench-fill with MOVES
 */
#include "world.h"

#include <stdio.h>

#define LOOKUPS 2000

struct travel {
    char agent[WORLD_NAME_SIZE];
    struct position last;
    int64_t first_seq, first_at, last_at;
    double by_position[LOOKUPS], by_time[LOOKUPS];
};

static int read_span(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct travel *travel = arg;
    struct deployment *oldest;
    int64_t before = 0;
    size_t count;

    int r = store_head(tx, &travel->last, &travel->last_at, err);
    while (r == 0) {
        r = store_deployments(tx, travel->agent, WORLD_ENVIRONMENT, before, 1000, &arena, &oldest, &count, err);
        if (r != 0 || count == 0) return r;
        before = travel->first_seq = oldest[count - 1].seq;
        travel->first_at = oldest[count - 1].created_at;
    }
    return r;
}

static int look_back(void *arg, struct store_tx *tx, struct err *err) {
    struct travel *travel = arg;
    struct deployment ref;
    struct position position;

    for (int i = 0; i < LOOKUPS; i++) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        int64_t seq = travel->first_seq + (travel->last.seq - travel->first_seq) * i / LOOKUPS;
        int64_t at = travel->first_at + (travel->last_at - travel->first_at) / LOOKUPS * i;
        int64_t start = clock_monotonic(&clock_system);
        int r = store_ref_at(tx, travel->agent, WORLD_ENVIRONMENT, seq, &arena, &ref, err);
        int64_t middle = clock_monotonic(&clock_system);
        if (r == 0) r = store_position_at(tx, at, &position, err);
        if (r == 0) r = store_ref_at(tx, travel->agent, WORLD_ENVIRONMENT, position.seq, &arena, &ref, err);
        if (r != 0) return r;
        travel->by_position[i] = (double)(middle - start);
        travel->by_time[i] = (double)(clock_monotonic(&clock_system) - middle);
    }
    return 0;
}

int main(int argc, char **argv) {
    static struct travel travel;
    struct err err = ERR_INIT;

    if (argc != 2) die("usage: bench-travel FILE", NULL);
    agent_name(0, travel.agent);
    struct store *store = open_store(argv[1]);
    if (store_read(store, read_span, &travel, &err) != 0) die("reading the history", &err);
    if (store_read(store, look_back, &travel, &err) != 0) die("looking back", &err);
    printf("{\"epoch\": %lld, \"first\": %lld, \"last\": %lld, ", (long long)travel.last.epoch,
           (long long)travel.first_seq, (long long)travel.last.seq);
    print_times("by_position", travel.by_position, LOOKUPS);
    printf(", ");
    print_times("by_time", travel.by_time, LOOKUPS);
    printf("}\n");
    store_close(store);
    return 0;
}
