/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable pushes of a 3 KB version through the store, by one client and by sixteen, against plain inserts of the same bytes
 * into SQLite with the same settings. Rounds take turns, so that a disk that slows down slows all alike. Commits a second, as JSON.
 *
 *   bench-push FOLDER ROUNDS SECONDS        FOLDER must be on the disk to be measured
 */
#include "world.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_SIZE 3072
#define CLIENTS 16
#define ROUNDS_MAX 100

/* ---- plain SQLite ---- */

static void sql(sqlite3 *db, const char *text) {
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) die(sqlite3_errmsg(db), NULL);
}

static sqlite3 *open_plain(const char *path) {
    sqlite3 *db;
    remove_store(path);
    if (sqlite3_open(path, &db) != SQLITE_OK) die("cannot open SQLite", NULL);
    sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size "
            "= -8192;"
            "CREATE TABLE objects (content_hash TEXT NOT NULL PRIMARY KEY, config TEXT NOT NULL)");
    return db;
}

static void insert_one(sqlite3 *db, sqlite3_stmt *insert, int64_t number) {
    char config[CONFIG_SIZE], hash[HASH_TEXT_SIZE];
    struct version version = {0};

    make_config(0, number, config, sizeof config, &version);
    sha256_text(&version.content_hash, hash);
    sqlite3_bind_text(insert, 1, hash, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, config, CONFIG_SIZE, SQLITE_STATIC);
    if (sqlite3_step(insert) != SQLITE_DONE) die(sqlite3_errmsg(db), NULL);
    sqlite3_reset(insert);
}

static double plain_round(const char *path, int64_t duration) {
    sqlite3 *db = open_plain(path);
    sqlite3_stmt *insert;
    int64_t count = 0;

    if (sqlite3_prepare_v2(db, "INSERT INTO objects VALUES (?, ?)", -1, &insert, NULL) != SQLITE_OK)
        die(sqlite3_errmsg(db), NULL);
    int64_t start = clock_monotonic(&clock_system), now = start;
    for (; now - start < duration; now = clock_monotonic(&clock_system))
        insert_one(db, insert, ++count);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    remove_store(path);
    return (double)count * 1e6 / (double)(now - start);
}

/* ---- the store ---- */

struct client {
    pthread_t thread;
    struct store *store;
    unsigned number;
    char agent[WORLD_NAME_SIZE];
    int64_t until, count;
};

static int make_agent(void *arg, struct store_tx *tx, struct err *err) {
    struct change change;
    int r = change_begin(tx, &change, err);
    if (r == 0) r = change_agent(tx, &change, arg, err);
    return r != 0 ? r : change_end(tx, &change, err);
}

static int push(void *arg, struct store_tx *tx, struct err *err) {
    struct version *version = arg;
    struct change change;

    int r = change_begin(tx, &change, err);
    version->created_at = change.at;
    version->seq = change.position.seq;
    if (r == 0) r = store_version_add(tx, version, err);
    return r != 0 ? r : change_end(tx, &change, err);
}

static void *client_run(void *arg) {
    struct client *client = arg;
    char config[CONFIG_SIZE];
    struct version version = {
        .agent = client->agent, .description = "measured", .source = "{\"kind\":\"api\"}", .created_by = WORLD_AUTHOR};
    struct err err = ERR_INIT;

    while (clock_monotonic(&clock_system) < client->until) {
        version.parent = client->count++;
        version.number = client->count;
        make_config(client->number, version.number, config, sizeof config, &version);
        if (store_write(client->store, push, &version, &err) != 0) die("push", &err);
    }
    return NULL;
}

static double store_round(const char *path, int64_t duration, unsigned clients) {
    struct client client[CLIENTS];
    struct err err = ERR_INIT;
    int64_t count = 0;

    remove_store(path);
    struct store *store = open_store(path);
    for (unsigned i = 0; i < clients; i++) {
        client[i] = (struct client){.store = store, .number = i};
        agent_name(i, client[i].agent);
        if (store_write(store, make_agent, client[i].agent, &err) != 0) die("agent", &err);
    }
    int64_t start = clock_monotonic(&clock_system);
    for (unsigned i = 0; i < clients; i++) {
        client[i].until = start + duration;
        if (pthread_create(&client[i].thread, NULL, client_run, &client[i]) != 0) die("thread", NULL);
    }
    for (unsigned i = 0; i < clients; i++) {
        pthread_join(client[i].thread, NULL);
        count += client[i].count;
    }
    int64_t end = clock_monotonic(&clock_system);
    store_close(store);
    remove_store(path);
    return (double)count * 1e6 / (double)(end - start);
}

/* ---- rounds ---- */

static void print_rates(const char *name, const double *rates, size_t count) {
    printf("\"%s\": [", name);
    for (size_t i = 0; i < count; i++)
        printf("%s%.1f", i ? ", " : "", rates[i]);
    printf("]");
}

int main(int argc, char **argv) {
    double plain[ROUNDS_MAX], one[ROUNDS_MAX], many[ROUNDS_MAX];
    char path[512];

    if (argc != 4) die("usage: bench-push FOLDER ROUNDS SECONDS", NULL);
    size_t rounds = strtoul(argv[2], NULL, 10);
    int64_t duration = (int64_t)(strtod(argv[3], NULL) * 1e6);
    if (rounds < 1 || rounds > ROUNDS_MAX || duration <= 0) die("1 to 100 rounds of more than no time", NULL);
    snprintf(path, sizeof path, "%s/push.db", argv[1]);
    for (size_t i = 0; i < rounds; i++) {
        plain[i] = plain_round(path, duration);
        one[i] = store_round(path, duration, 1);
        many[i] = store_round(path, duration, CLIENTS);
    }
    printf("{");
    print_rates("sqlite", plain, rounds);
    printf(", ");
    print_rates("one", one, rounds);
    printf(", ");
    print_rates("sixteen", many, rounds);
    printf("}\n");
    return 0;
}
