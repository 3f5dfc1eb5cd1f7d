/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The narrow driver: what Serin needs of a database and nothing else. One SQL text serves every engine: TEXT,
 * BIGINT, DOUBLE PRECISION, BLOB (for what only this program reads; hashes are kept as lower-case hex TEXT), ON CONFLICT,
 * RETURNING, keyset paging. Parameters are written $1, $2 … and bound by that number.
 *
 * A connection belongs to one thread at a time. Statements are prepared once a connection and text, and are
 * found again by the address of the text (string literals), so preparing in a loop costs nothing.
 *
 * Every failure carries a class through its err_code: BUSY (try again), CONFLICT (a constraint or serialisation),
 * UNAVAILABLE (connection gone before commit), UNKNOWN_OUTCOME (connection gone in commit), STORE_FULL, STORE_READ_ONLY,
 * STORE_CORRUPT, STORE_LOCKED, STORE_IO, NO_MEMORY, INTERNAL (a bug of ours).
 */
#ifndef SERIN_DB_DB_H
#define SERIN_DB_DB_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct db_stmt;

/* A VISITOR reads a file as it lies there, which nobody may be writing: a backup, a store that is at rest. It takes no lock and makes nothing
 * beside it. When a log lies beside the file, it is a READER. */
enum db_mode { DB_WRITER, DB_READER, DB_VISITOR };

/* Opens "sqlite:PATH", "sqlite::memory:NAME" (shared by name inside the process, for tests). A WRITER creates the file (0600). One WRITER
 * may exist a store: it takes a lock that another process's writer finds (STORE_LOCKED, at once). */
int db_open(const char *url, enum db_mode mode, struct db **ret, struct err *err) MUST_CHECK;
/* Whether there is a store at that address that a WRITER would not have to make; true when that cannot be told. */
bool db_exists(const char *url);
struct db *db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close)
const char *db_engine(const struct db *db); /* "sqlite", "fault(sqlite)" */

/* `sql` must outlive the connection (a string literal). The statement belongs to the connection; do not free it. It is reset and unbound. */
int db_prepare(struct db *db, const char *sql, struct db_stmt **ret, struct err *err) MUST_CHECK;
/* Binding keeps the first failure and db_step() reports it. Bytes must stay until the statement is reset. */
void db_bind_int(struct db_stmt *stmt, int number, int64_t value);
void db_bind_text(struct db_stmt *stmt, int number, const char *value); /* NULL binds NULL */
void db_bind_slice(struct db_stmt *stmt, int number, struct slice value);
/* Any bytes, for a BLOB column; db_slice() reads them. */
void db_bind_bytes(struct db_stmt *stmt, int number, struct slice value);
void db_bind_null(struct db_stmt *stmt, int number);

#define DB_ROW 1
/* DB_ROW, 0 at the end, or a failure. */
int db_step(struct db_stmt *stmt, struct err *err) MUST_CHECK;
void db_reset(struct db_stmt *stmt);
DEFINE_CLEANUP(struct db_stmt *, db_reset)
/* Columns count from 0. Borrowed until the next step or reset. */
int64_t db_int(struct db_stmt *stmt, int column);
struct slice db_slice(struct db_stmt *stmt, int column); /* NULL gives ptr NULL */
bool db_is_null(struct db_stmt *stmt, int column);

/* Prepares, steps to the end, ignores rows: for statements without parameters. `sql` may hold several statements; need not be a literal. */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;

int db_begin(struct db *db,
             struct err *err) MUST_CHECK; /* WRITER: takes the write lock at once; READER: a stable view */
int db_commit(struct db *db,
              struct err *err) MUST_CHECK; /* on failure the transaction is gone, except UNKNOWN_OUTCOME */
void db_rollback(struct db *db);

/* ---- care of the whole ---- */

/* Told now and then by what takes long; `total` is 0 when it is not known. Below 0 ends the work and is passed up. NULL instead of a struct
 * db_watch: nobody is told. */
struct db_watch {
    int (*step)(void *ctx, int64_t done, int64_t total, struct err *err);
    void *ctx;
};

/* Copies everything that this READER or VISITOR sees into the empty file at `path`: one moment, whatever is written meanwhile,
 * when a transaction is open and has read. The copy is one file without a log beside it; making it durable is the caller's work. */
int db_backup(struct db *db, const char *path, const struct db_watch *watch, struct err *err) MUST_CHECK;
/* Seals a copy that nobody has open: a checksum over all of it, in its header. Any byte that changes later is found; a writer that opens it breaks
 * the seal, for then it is a store. */
int db_seal(const char *path, const struct db_watch *watch, struct err *err) MUST_CHECK;
/* STORE_CORRUPT when it was sealed and has changed since. 0 for a file without a seal. */
int db_seal_check(const char *path, const struct db_watch *watch, struct err *err) MUST_CHECK;
/* Looks at every page and, unless `quick`, compares indexes with their tables. STORE_CORRUPT with the first thing that is wrong. */
int db_check(struct db *db, bool quick, const struct db_watch *watch, struct err *err) MUST_CHECK;

/* The writer's lock without a connection, for who replaces the store's file. Makes nothing but the lock file. */
struct db_lock;
int db_lock_take(const char *url, struct db_lock **ret, struct err *err) MUST_CHECK;
struct db_lock *db_lock_release(struct db_lock *lock);
DEFINE_CLEANUP(struct db_lock *, db_lock_release)
const char *db_lock_path(const struct db_lock *lock); /* the store's file, absolute and without symbolic links */
/* Brings the log into the file, so that the file alone is the store. BUSY while another program has it open. */
int db_lock_settle(struct db_lock *lock, struct err *err) MUST_CHECK;

const char *db_library(void); /* the version of SQLite that is loaded: "3.51.3" */

/* ---- the fault driver: a wrapper whose n-th call fails ---- */

/* Counts calls of prepare, step, exec, begin and commit through `inner` (taken over, also when wrapping fails) and
 * fails the `fail_at`-th (1-based; 0 = never) with `code`. With `after` true the call is carried out first and then reported
 * as failed (a commit whose answer is lost: UNKNOWN_OUTCOME). Several connections may share one struct db_fault;
 * `code` and `after` are changed only while `fail_at` is 0 or no call is under way. */
struct db_fault {
    _Atomic uint64_t calls, fail_at;
    enum err_code code;
    bool after;
};
/* From one call that fails to the next where a test walks through all of them. Under a sanitizer, where a walk takes five times as long, it leaves most of them out. */
#ifdef SERIN_SANITIZED
#define DB_FAULT_STRIDE 7
#else
#define DB_FAULT_STRIDE 1
#endif
int db_fault_wrap(struct db *inner, struct db_fault *fault, struct db **ret) MUST_CHECK;

#endif
