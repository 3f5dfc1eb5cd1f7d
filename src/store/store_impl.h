/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the store: what a transaction is, and how rows become records. */
#ifndef SERIN_STORE_STORE_IMPL_H
#define SERIN_STORE_STORE_IMPL_H

#include "db/db.h"
#include "store/store.h"

#include <pthread.h>

#define HEX_SIZE (2 * SHA256_SIZE + 1)
#define READERS_MAX 8

struct write_job;

/* Callers waiting to write, first come first served. Guarded by `mutex`. */
struct write_queue {
    pthread_mutex_t mutex;
    struct write_job *first, **end;
    size_t waiting; /* jobs between first and end */
    bool led;       /* somebody is carrying out jobs, or was told to */
};

/* Idle connections are kept; `open` counts those that exist. Guarded by `mutex`. */
struct reader_pool {
    pthread_mutex_t mutex;
    pthread_cond_t returned;
    struct db *idle[READERS_MAX];
    size_t idle_count, open_count;
};

/* While it is tried, the store is open for the thread that tries. */
enum store_state { STORE_SHUT, STORE_TRIED, STORE_OPEN };

struct store {
    char *url;
    struct store_options options;
    _Atomic enum store_state state;
    _Atomic pthread_t trier;
    int schema, schema_from;
    enum db_mode reading; /* how readers open it */
    struct db *writer;    /* used by the leader of the queue only; NULL: the store is only visited */
    struct write_queue queue;
    struct reader_pool readers;
};

struct head {
    struct position position;
    int64_t at;
    struct sha256 audit_hash;
};

struct store_tx {
    struct store *store;
    struct db *db;
    struct redo *redo; /* NULL: reading */
    struct head head;  /* writing: as this change has moved it so far */
    bool advanced, audited;
    bool record; /* store_record(): writes without a position */
    int failed;  /* the first failure of a statement: the change cannot be committed any more */
};

/* STORE_UNAVAILABLE unless this thread may use the store. */
int store_admit(const struct store *store, struct err *err) MUST_CHECK;
int store_open_db(struct store *store, enum db_mode mode, struct db **ret, struct err *err) MUST_CHECK;
struct db *store_pool_drain(struct reader_pool *pool);

/* ---- statements ---- */

/* As db_prepare(), db_step(); a failure is remembered in the transaction. */
int tx_prepare(struct store_tx *tx, const char *sql, struct db_stmt **ret, struct err *err) MUST_CHECK;
int tx_step(struct store_tx *tx, struct db_stmt *stmt, struct err *err) MUST_CHECK;
int tx_read_head(struct db *db, const char *sql, struct head *ret, struct err *err) MUST_CHECK;

/* ---- writing ---- */

/* One value of a writing statement. */
struct param {
    bool is_text, is_bytes;
    int64_t number;
    struct slice text;         /* ptr NULL: NULL */
    const struct sha256 *hash; /* bound as hex; NULL otherwise */
};
#define P_INT(value)                                                                                                   \
    { .number = (value) }
#define P_TEXT(value)                                                                                                  \
    { .is_text = true, .text = slice_of(value) }
#define P_SLICE(value)                                                                                                 \
    { .is_text = true, .text = (value) }
#define P_BYTES(value)                                                                                                 \
    { .is_text = true, .is_bytes = true, .text = (value) }
#define P_HASH(value)                                                                                                  \
    { .is_text = true, .hash = (value) }
#define PARAMS(...)                                                                                                    \
    (const struct param[]){__VA_ARGS__}, sizeof((const struct param[]){__VA_ARGS__}) / sizeof(struct param)

/* Carries out a statement whose values $1, $2 … are `params`. DB_ROW when it answered a row (RETURNING), 0 when none. Refuses readers
 * and changes (not records) that took no position yet. `sql` is a literal. */
int tx_write(struct store_tx *tx, const char *sql, const struct param *params, size_t count,
             struct err *err) MUST_CHECK;
/* As db_exec(). */
int tx_write_plain(struct store_tx *tx, const char *sql, struct err *err) MUST_CHECK;

/* What the jobs of a transaction wrote. */
struct redo_entry;
struct redo {
    struct arena arena;
    struct redo_entry *first, **end;
};
void redo_init(struct redo *redo);
void redo_deinit(struct redo *redo);
struct redo_entry **redo_mark(struct redo *redo);
void redo_cut(struct redo *redo, struct redo_entry **mark); /* forgets what came after the mark */
int redo_run(const struct redo *redo, struct db *db, struct err *err) MUST_CHECK;

/* ---- rows ---- */

/* Reads the columns of the current row one after the other. Running out of memory and malformed hashes stick in `failed`. */
struct row {
    struct db_stmt *stmt;
    struct arena *arena;
    int column;
    int failed; /* 0, or -(enum err_code) */
};
#define ROW_INIT(statement, arena_) ((struct row){.stmt = (statement), .arena = (arena_)})
int64_t row_int(struct row *row);
const char *row_text(struct row *row); /* NULL for NULL */
struct slice row_slice(struct row *row);
struct sha256 row_hash(struct row *row);
/* 0, or the failure in words. */
int row_end(const struct row *row, struct err *err) MUST_CHECK;

/* How one kind of record is read from the current row. */
typedef int (*row_reader)(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err);

/* The first row into `ret`, or STORE_NONE. */
int tx_one(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, struct arena *arena, void *ret,
           struct err *err) MUST_CHECK;
/* All rows into an array of records of `size` bytes. */
struct row_list {
    void *items;
    size_t count, capacity;
};
int tx_all(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, size_t size, struct arena *arena,
           struct row_list *ret, struct err *err) MUST_CHECK;

/* ---- schema ---- */

struct store_migration {
    int number;
    const char *name;
    const char *truth, *derived; /* SQL, or NULL */
};
extern const struct store_migration store_migrations[];
extern const int store_migration_count;

int store_migrate(struct store *store, struct err *err) MUST_CHECK;
/* The schema that is there, 0 = none; writes nothing. STORE_NEWER. */
int store_schema_look(struct store_tx *tx, int *ret, struct err *err) MUST_CHECK;
int store_rebuild_in(struct db *db, struct err *err) MUST_CHECK;

#endif
