/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading the store costs where it matters: time travel over a ref that was moved 10,000 times, and what a start reads of
 * 10,000 agents with 100,000 versions of 3 KB (all refs, and the configuration that each serves).
 *
 *   store_read [FOLDER]     FOLDER must be on the disk to be measured; the store takes about 450 MB
 */
#include "base/clock.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENTS 10000
#define VERSIONS_EACH 10
#define MOVES 10000
#define CHUNK 100 /* agents a change */
#define CONFIG_SIZE 3072
#define LOOKUPS 2000

static void die(const char *what, const struct err *err) {
    fprintf(stderr, "store_read: %s: %s\n", what, err->message);
    exit(1);
}

static void remove_store(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    char name[512];

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

/* ---- filling ---- */

struct work {
    int first;      /* agent */
    int64_t number; /* version, or move */
    struct position position;
    int64_t at;
};

static int end_change(struct store_tx *tx, const struct work *work, struct err *err) {
    struct audit_entry entry = {.position = work->position,
                                .at = work->at,
                                .actor = "bench",
                                .actor_name = "bench",
                                .operation = "bench",
                                .agent = "",
                                .environment = "",
                                .reason = "",
                                .detail = "{}"};
    return store_audit_append(tx, &entry, err);
}

static int add_version(struct store_tx *tx, const struct work *work, const char *name, int number, struct err *err) {
    char config[CONFIG_SIZE];
    struct version version = {.agent = name,
                              .number = work->number,
                              .parent = work->number - 1,
                              .description = "measured",
                              .source = "{\"kind\":\"api\"}",
                              .created_by = "bench",
                              .created_at = work->at,
                              .seq = work->position.seq};

    memset(config, 'x', sizeof config);
    int n = snprintf(config, 64, "{\"agent\":%d,\"n\":%lld,\"system_prompt\":\"", number, (long long)work->number);
    config[n] = 'x';
    memcpy(config + CONFIG_SIZE - 2, "\"}", 2);
    version.config = (struct slice){config, CONFIG_SIZE};
    if (sha256_bytes(config, CONFIG_SIZE, &version.content_hash) < 0) return -ERR_INTERNAL;
    version.config_hash = version.content_hash;
    return store_version_add(tx, &version, err);
}

static int move(struct store_tx *tx, const struct work *work, const char *name, int64_t to, int64_t from,
                struct err *err) {
    struct deployment deployment = {.id = "0192f0c1-8d2e-7aaa-9bbb-000000000001",
                                    .agent = name,
                                    .environment = "production",
                                    .version = to,
                                    .previous = from,
                                    .reason = "measured",
                                    .created_by = "bench",
                                    .created_at = work->at,
                                    .seq = work->position.seq};
    return store_deployment_add(tx, &deployment, err);
}

/* A version for each of CHUNK agents; with the first also the agents, with the last also their refs. */
static int fill_chunk(void *arg, struct store_tx *tx, struct err *err) {
    struct work *work = arg;
    char name[32];

    int r = store_advance(tx, &work->position, &work->at, err);
    for (int i = work->first; r == 0 && i < work->first + CHUNK; i++) {
        snprintf(name, sizeof name, "agent-%05d", i);
        struct agent agent = {
            .name = name, .description = "", .created_by = "bench", .created_at = work->at, .seq = work->position.seq};
        if (work->number == 1) r = store_agent_put(tx, &agent, err);
        if (r == 0) r = add_version(tx, work, name, i, err);
        if (r == 0 && work->number == VERSIONS_EACH) r = move(tx, work, name, VERSIONS_EACH, 0, err);
    }
    return r != 0 ? r : end_change(tx, work, err);
}

/* The ref of the first agent goes to and fro. */
static int move_once(void *arg, struct store_tx *tx, struct err *err) {
    struct work *work = arg;
    int64_t to = work->number % 2 ? 9 : 10;

    int r = store_advance(tx, &work->position, &work->at, err);
    if (r == 0) r = move(tx, work, "agent-00000", to, to == 9 ? 10 : 9, err);
    return r != 0 ? r : end_change(tx, work, err);
}

static void fill(struct store *store) {
    struct err err = ERR_INIT;
    struct work work = {0};

    for (work.number = 1; work.number <= VERSIONS_EACH; work.number++)
        for (work.first = 0; work.first < AGENTS; work.first += CHUNK)
            if (store_write(store, fill_chunk, &work, &err) != 0) die("filling", &err);
    for (work.number = 1; work.number <= MOVES; work.number++)
        if (store_write(store, move_once, &work, &err) != 0) die("moving", &err);
}

/* ---- measuring ---- */

struct travel {
    int64_t first_seq, last_seq, first_at, last_at;
    double by_seq[LOOKUPS], by_time[LOOKUPS];
};

static int travel(void *arg, struct store_tx *tx, struct err *err) {
    struct travel *travel = arg;
    struct deployment ref;
    struct position position;

    for (int i = 0; i < LOOKUPS; i++) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        int64_t span = travel->last_seq - travel->first_seq;
        int64_t start = clock_monotonic(&clock_system);
        int r =
            store_ref_at(tx, "agent-00000", "production", travel->first_seq + span * i / LOOKUPS, &arena, &ref, err);
        if (r != 0) return r;
        int64_t middle = clock_monotonic(&clock_system);
        int64_t at = travel->first_at + (travel->last_at - travel->first_at) / LOOKUPS * i;
        r = store_position_at(tx, at, &position, err);
        if (r == 0) r = store_ref_at(tx, "agent-00000", "production", position.seq, &arena, &ref, err);
        if (r != 0) return r;
        travel->by_seq[i] = (double)(middle - start);
        travel->by_time[i] = (double)(clock_monotonic(&clock_system) - middle);
    }
    return 0;
}

static int span(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct travel *travel = arg;
    struct deployment first, last;

    int r = store_ref_get(tx, "agent-00000", "production", &arena, &last, err);
    if (r == 0) r = store_deployment_of(tx, "agent-00000", "production", 10, last.seq - MOVES, &arena, &first, err);
    if (r != 0) return r;
    *travel = (struct travel){first.seq, last.seq, first.created_at, last.created_at, {0}, {0}};
    return 0;
}

static int load(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct store_refs_query query = {.limit = 1000, .after_environment = "", .after_agent = ""};
    struct deployment *refs;
    struct version version;
    size_t count, *total = arg;

    for (;;) {
        int r = store_refs(tx, &query, &arena, &refs, &count, err);
        if (r < 0 || !count) return r;
        for (size_t i = 0; i < count; i++) {
            r = store_version_get(tx, refs[i].agent, refs[i].version, true, &arena, &version, err);
            if (r != 0) return r;
            *total += version.config.len;
        }
        query.after_environment = refs[count - 1].environment;
        query.after_agent = refs[count - 1].agent;
    }
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, double *times) {
    qsort(times, LOOKUPS, sizeof *times, compare);
    printf("%-44s median %5.0f us   p99 %5.0f us   most %5.0f us   (to reach: 2000)\n", name, times[LOOKUPS / 2],
           times[LOOKUPS * 99 / 100], times[LOOKUPS - 1]);
}

int main(int argc, char **argv) {
    char path[512], url[600];
    struct store_options options = {.url = url, .clock = &clock_system};
    struct err err = ERR_INIT;
    struct store *store;
    static struct travel times;
    size_t bytes = 0;

    snprintf(path, sizeof path, "%s/serin-bench-read.db", argc > 1 ? argv[1] : ".");
    snprintf(url, sizeof url, "sqlite:%s", path);
    remove_store(path);
    if (store_open(&options, &store, &err) < 0) die("open", &err);
    fill(store);
    store_close(store);

    int64_t start = clock_monotonic(&clock_system);
    if (store_open(&options, &store, &err) < 0) die("open", &err);
    if (store_read(store, load, &bytes, &err) != 0) die("load", &err);
    int64_t loaded = clock_monotonic(&clock_system) - start;
    printf("%d agents, %d versions, %d moves of one ref\n", AGENTS, AGENTS * VERSIONS_EACH, MOVES);
    printf("%-44s %6.0f ms, %.0f MB of configurations   (start in all: 2000)\n", "open, all refs and what they serve",
           (double)loaded / 1e3, (double)bytes / 1e6);
    if (store_read(store, span, &times, &err) != 0 || store_read(store, travel, &times, &err) != 0) die("travel", &err);
    print_times("ref as of a position", times.by_seq);
    print_times("ref as of a time", times.by_time);
    store_close(store);
    remove_store(path);
    return 0;
}
