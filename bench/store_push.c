/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable pushes of a 3 KB version through the store, by one client and by sixteen, against plain inserts of the same bytes
 * into SQLite with the same settings. Rounds take turns, so that a disk that slows down slows all alike.
 *
 *   store_push [FOLDER [ROUNDS [SECONDS]]]     prints one table; FOLDER must be on the disk to be measured
 */
#include "base/clock.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_SIZE 3072
#define CLIENTS_MAX 16
#define ROUNDS_MAX 32

static void die(const char *what, const struct err *err) {
    fprintf(stderr, "store_push: %s%s%s\n", what, err ? ": " : "", err ? err->message : "");
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

/* A configuration that no other push has. */
static void make_config(char *config, uint64_t number, struct version *version) {
    memset(config, 'x', CONFIG_SIZE);
    int n = snprintf(config, 64, "{\"n\":%llu,\"system_prompt\":\"", (unsigned long long)number);
    config[n] = 'x';
    memcpy(config + CONFIG_SIZE - 2, "\"}", 2);
    version->config = (struct slice){config, CONFIG_SIZE};
    if (sha256_bytes(config, CONFIG_SIZE, &version->content_hash) < 0) die("SHA-256", NULL);
    version->config_hash = version->content_hash;
}

/* ---- plain SQLite ---- */

static void sql(sqlite3 *db, const char *text) {
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) die(sqlite3_errmsg(db), NULL);
}

static double raw_round(const char *path, int64_t duration) {
    char config[CONFIG_SIZE], hash[HASH_TEXT_SIZE];
    struct version version = {0};
    sqlite3_stmt *insert;
    uint64_t count = 0;
    sqlite3 *db;

    remove_store(path);
    if (sqlite3_open(path, &db) != SQLITE_OK) die("cannot open SQLite", NULL);
    sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size "
            "= -8192;"
            "CREATE TABLE objects (content_hash TEXT NOT NULL PRIMARY KEY, config TEXT NOT NULL)");
    if (sqlite3_prepare_v2(db, "INSERT INTO objects VALUES (?, ?)", -1, &insert, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db), NULL);
    int64_t start = clock_monotonic(&clock_system), now = start;
    while (now - start < duration) {
        make_config(config, count++, &version);
        sha256_text(&version.content_hash, hash);
        sqlite3_bind_text(insert, 1, hash, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 2, config, CONFIG_SIZE, SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE) die(sqlite3_errmsg(db), NULL);
        sqlite3_reset(insert);
        now = clock_monotonic(&clock_system);
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    remove_store(path);
    return (double)count * 1e6 / (double)(now - start);
}

/* ---- the store ---- */

struct client {
    pthread_t thread;
    struct store *store;
    char agent[32];
    int64_t until;
    uint64_t first, count;
};

static int append_audit(struct store_tx *tx, struct position position, int64_t at, const char *agent, struct err *err) {
    struct audit_entry entry = {.position = position,
                                .at = at,
                                .actor = "0192f0c1-8d2e-7aaa-9bbb-000000000001",
                                .actor_name = "bench",
                                .operation = "version.push",
                                .agent = agent,
                                .environment = "",
                                .reason = "measured",
                                .detail = "{\"created\":true,\"version\":1}"};
    return store_audit_append(tx, &entry, err);
}

static int make_agent(void *arg, struct store_tx *tx, struct err *err) {
    struct agent agent = {.name = arg, .description = "", .created_by = "bench"};
    struct position position;

    int r = store_advance(tx, &position, &agent.created_at, err);
    agent.seq = position.seq;
    if (r == 0) r = store_agent_put(tx, &agent, err);
    return r != 0 ? r : append_audit(tx, position, agent.created_at, agent.name, err);
}

static int push(void *arg, struct store_tx *tx, struct err *err) {
    struct version *version = arg;
    struct position position;

    int r = store_advance(tx, &position, &version->created_at, err);
    version->seq = position.seq;
    if (r == 0) r = store_version_add(tx, version, err);
    return r != 0 ? r : append_audit(tx, position, version->created_at, version->agent, err);
}

static void *client_run(void *arg) {
    struct client *client = arg;
    char config[CONFIG_SIZE];
    struct version version = {.agent = client->agent,
                              .description = "measured",
                              .source = "{\"kind\":\"api\"}",
                              .created_by = "0192f0c1-8d2e-7aaa-9bbb-000000000001"};
    struct err err = ERR_INIT;

    while (clock_monotonic(&clock_system) < client->until) {
        make_config(config, client->first + client->count, &version);
        version.parent = version.number++;
        if (store_write(client->store, push, &version, &err) != 0) die("push", &err);
        client->count++;
    }
    return NULL;
}

static double store_round(const char *path, int64_t duration, size_t clients) {
    struct client client[CLIENTS_MAX];
    char url[600];
    struct store_options options = {.url = url, .clock = &clock_system};
    struct store *store;
    struct err err = ERR_INIT;
    uint64_t count = 0;

    remove_store(path);
    snprintf(url, sizeof url, "sqlite:%s", path);
    if (store_open(&options, &store, &err) < 0) die("open", &err);
    for (size_t i = 0; i < clients; i++) {
        client[i] = (struct client){.store = store, .first = i * 1000000000};
        snprintf(client[i].agent, sizeof client[i].agent, "agent-%zu", i);
        if (store_write(store, make_agent, client[i].agent, &err) != 0) die("agent", &err);
    }
    int64_t start = clock_monotonic(&clock_system);
    for (size_t i = 0; i < clients; i++) {
        client[i].until = start + duration;
        if (pthread_create(&client[i].thread, NULL, client_run, &client[i]) != 0) die("thread", NULL);
    }
    for (size_t i = 0; i < clients; i++) {
        pthread_join(client[i].thread, NULL);
        count += client[i].count;
    }
    int64_t end = clock_monotonic(&clock_system);
    store_close(store);
    remove_store(path);
    return (double)count * 1e6 / (double)(end - start);
}

/* ---- the table ---- */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print_line(const char *name, const double *sorted, size_t count, double middle) {
    printf("%-28s %9.0f/s   %7.0f … %.0f\n", name, middle, sorted[0], sorted[count - 1]);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
    double raw[ROUNDS_MAX], one[ROUNDS_MAX], sixteen[ROUNDS_MAX];
    int64_t duration = (int64_t)(seconds * 1e6);
    char path[512];

    if (rounds < 1 || rounds > ROUNDS_MAX || duration <= 0) die("usage: store_push [FOLDER [ROUNDS [SECONDS]]]", NULL);
    snprintf(path, sizeof path, "%s/serin-bench-push.db", folder);
    for (size_t i = 0; i < rounds; i++) {
        raw[i] = raw_round(path, duration);
        one[i] = store_round(path, duration, 1);
        sixteen[i] = store_round(path, duration, CLIENTS_MAX);
    }
    double peer = median(raw, rounds), single = median(one, rounds), many = median(sixteen, rounds);
    printf("durable writes of %d bytes, SQLite %s, %zu rounds of %.1f s\n", CONFIG_SIZE, sqlite3_libversion(), rounds,
           seconds);
    print_line("SQLite, plain insert", raw, rounds, peer);
    print_line("push, 1 client", one, rounds, single);
    print_line("push, 16 clients", sixteen, rounds, many);
    printf("1 client / SQLite   %.2f   (to reach: 0.60)\n", single / peer);
    printf("16 clients / 1      %.2f   (to reach: 5.00)\n", many / single);
    return 0;
}
