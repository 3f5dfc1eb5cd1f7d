/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: connections that are made when needed up to a bound, kept, and lent to one reader at a time. */
#include "store/store_impl.h"

/* Lends an idle connection, or answers NULL when the caller may make one more. */
static struct db *pool_take(struct reader_pool *pool) {
    struct db *db = NULL;

    pthread_mutex_lock(&pool->mutex);
    while (!pool->idle_count && pool->open_count == READERS_MAX)
        pthread_cond_wait(&pool->returned, &pool->mutex);
    if (pool->idle_count)
        db = pool->idle[--pool->idle_count];
    else
        pool->open_count++;
    pthread_mutex_unlock(&pool->mutex);
    return db;
}

/* Takes the connection back; NULL when it could not be made or is of no more use. */
static void pool_return(struct reader_pool *pool, struct db *db) {
    pthread_mutex_lock(&pool->mutex);
    if (db)
        pool->idle[pool->idle_count++] = db;
    else
        pool->open_count--;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->mutex);
}

struct db *store_pool_drain(struct reader_pool *pool) {
    for (; pool->idle_count; pool->open_count--)
        db_close(pool->idle[--pool->idle_count]);
    return NULL;
}

static int read_with(struct store *store, struct db *db, store_fn fn, void *arg, struct err *err) {
    struct store_tx tx = {.store = store, .db = db};

    int r = db_begin(db, err);
    if (r < 0) return r;
    r = fn(arg, &tx, err);
    db_rollback(db);
    return r;
}

int store_read(struct store *store, store_fn fn, void *arg, struct err *err) {
    int r = store_admit(store, err);
    if (r < 0) return r;
    struct db *db = pool_take(&store->readers);
    r = db ? 0 : store_open_db(store, store->reading, &db, err);
    if (r == 0) r = read_with(store, db, fn, arg, err);
    if (r == -ERR_UNAVAILABLE) db = db_close(db);
    pool_return(&store->readers, db);
    return r;
}
