/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store keeps what happened and answers what is so.
 *
 * Tables of truth only grow. Each row carries the seq of the change that wrote it, so the state as of any moment is the newest row
 * with a seq not past that moment. Derived tables (…_now) hold the newest row of each thing, because most
 * questions are about now; they are written in the same transaction and can be made anew (rebuild.c).
 *
 * Invariants:
 *  - The head row is locked first in each change and moved last. Positions are handed out under that lock, so they are committed
 *    in order and a cursor over seq misses nothing.
 *  - A change has one position, one commit time later than all before it, and exactly one audit entry, whose hash continues
 *    the chain; write.c refuses to commit anything else. store_position_at() leans on this: the audit table is the
 *    list of all changes with their times.
 *  - Whatever a caller may do wrong in good faith (a stale ref, a number already taken) is found by asking before
 *    writing. A statement that fails spoils its change, since PostgreSQL would refuse all that follow it.
 *
 * Who owns what: the struct store owns one writing connection, used by whoever leads the write queue, and a pool of
 * reading ones, each lent to one reader at a time. Files: write.c (group commit), read.c (pool), order.c (head, time, epochs),
 * migrate.c, rebuild.c, row.c, and one file for each kind of record.
 */
#include "store/store_impl.h"

#include <string.h>

int store_open_db(struct store *store, enum db_mode mode, struct db **ret, struct err *err) {
    struct db *db;

    int r = db_open(store->url, mode, &db, err);
    if (r < 0 || !store->options.wrap) {
        if (r == 0) *ret = db;
        return r;
    }
    r = store->options.wrap(store->options.wrap_ctx, db, ret);
    return r < 0 ? err_set(err, (enum err_code) - r, "wrapping the database failed") : 0;
}

int store_new(const struct store_options *options, struct store **ret, struct err *err) {
    struct store *store = calloc(1, sizeof *store);
    char *url = strdup(options->url);

    if (!store || !url) {
        free(store);
        free(url);
        return err_no_memory(err);
    }
    *store = (struct store){.url = url, .options = *options, .reading = DB_READER};
    store->options.url = url;
    store->queue.end = &store->queue.first;
    pthread_mutex_init(&store->queue.mutex, NULL);
    pthread_mutex_init(&store->readers.mutex, NULL);
    pthread_cond_init(&store->readers.returned, NULL);
    *ret = store;
    return 0;
}

int store_admit(const struct store *store, struct err *err) {
    enum store_state state = atomic_load_explicit(&store->state, memory_order_acquire);

    if (state == STORE_OPEN || (state == STORE_TRIED && pthread_equal(store->trier, pthread_self()))) return 0;
    return err_set(err, ERR_STORE_UNAVAILABLE, "this server has no store at the moment");
}

bool store_is_open(const struct store *store) {
    return atomic_load_explicit(&store->state, memory_order_acquire) == STORE_OPEN;
}

static int missing(const struct store *store, struct err *err) {
    int r = err_set(err, ERR_STORE_MISSING, "the store is not there, and what it served is");
    err_at(err, "%s", store->url);
    return r;
}

static int try_out(struct store *store, int (*use)(void *ctx, struct err *err), void *ctx, struct err *err) {
    if (store->options.must_exist && !db_exists(store->url)) return missing(store, err);
    int r = store_open_db(store, DB_WRITER, &store->writer, err);
    if (r == 0) r = store_migrate(store, err);
    return r == 0 && use ? use(ctx, err) : r;
}

int store_try(struct store *store, int (*use)(void *ctx, struct err *err), void *ctx, struct err *err) {
    store->trier = pthread_self();
    atomic_store_explicit(&store->state, STORE_TRIED, memory_order_release);
    int r = try_out(store, use, ctx, err);
    if (r < 0) {
        store_pool_drain(&store->readers);
        store->writer = db_close(store->writer);
    }
    atomic_store_explicit(&store->state, r < 0 ? STORE_SHUT : STORE_OPEN, memory_order_release);
    return r;
}

int store_open(const struct store_options *options, struct store **ret, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;

    int r = store_new(options, &store, err);
    if (r == 0) r = store_try(store, NULL, NULL, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(store);
    return 0;
}

struct store *store_close(struct store *store) {
    if (!store) return NULL;
    /* The writer goes last: as the last connection it brings the log into the file. */
    store_pool_drain(&store->readers);
    db_close(store->writer);
    pthread_cond_destroy(&store->readers.returned);
    pthread_mutex_destroy(&store->readers.mutex);
    pthread_mutex_destroy(&store->queue.mutex);
    free(store->url);
    free(store);
    return NULL;
}

int store_schema(const struct store *store) {
    return store->schema;
}

int store_schema_from(const struct store *store) {
    return store->schema_from;
}
