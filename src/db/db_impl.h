/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For implementers of a driver: the table of functions behind db.h. A driver puts `struct db` first in its
 * connection and `struct db_stmt` first in its statement. The contracts are those of db.h.
 */
#ifndef SERIN_DB_DB_IMPL_H
#define SERIN_DB_DB_IMPL_H

#include "db/db.h"

struct db_driver {
    const char *(*engine)(const struct db *db);
    void (*close)(struct db *db);
    int (*prepare)(struct db *db, const char *sql, struct db_stmt **ret, struct err *err);
    int (*exec)(struct db *db, const char *sql, struct err *err);
    int (*begin)(struct db *db, struct err *err);
    int (*commit)(struct db *db, struct err *err);
    int (*backup)(struct db *db, const char *path, const struct db_watch *watch, struct err *err);
    int (*check)(struct db *db, bool quick, const struct db_watch *watch, struct err *err);
    void (*rollback)(struct db *db);

    void (*bind_int)(struct db_stmt *stmt, int number, int64_t value);
    void (*bind_slice)(struct db_stmt *stmt, int number, struct slice value); /* ptr NULL binds NULL */
    void (*bind_bytes)(struct db_stmt *stmt, int number, struct slice value);
    int (*step)(struct db_stmt *stmt, struct err *err);
    void (*reset)(struct db_stmt *stmt);
    int64_t (*column_int)(struct db_stmt *stmt, int column);
    struct slice (*column_slice)(struct db_stmt *stmt, int column); /* NULL gives ptr NULL, an empty text does not */
};

struct db {
    const struct db_driver *driver;
};

struct db_stmt {
    const struct db_driver *driver;
};

/* `address` is what follows "sqlite:" in the URL. */
int db_sqlite_open(const char *address, enum db_mode mode, struct db **ret, struct err *err) MUST_CHECK;

bool db_sqlite_exists(const char *address);

/* Where a SQLite store lies, and the lock by which one process at a time may write it. */
struct db_file {
    char *path;  /* absolute, symbolic links resolved */
    int lock_fd; /* -1: not locked */
};
#define DB_FILE_INIT ((struct db_file){.lock_fd = -1})
void db_file_deinit(struct db_file *file);
/* Finds the path; a WRITER also takes the lock at "<path>.lock" and makes the file when it is not there. */
int db_file_open(const char *path, enum db_mode mode, struct db_file *ret, struct err *err) MUST_CHECK;
/* Takes the lock as a WRITER does, but makes no store. */
int db_file_lock(const char *path, struct db_file *ret, struct err *err) MUST_CHECK;
bool db_file_has_log(const char *path); /* whether "<path>-wal" is there */

/* What SQLite does for the care of a whole store (sqlite_care.c). */
struct sqlite3;
enum err_code db_sqlite_class(int extended, int system_errno);
int db_sqlite_copy(struct sqlite3 *from, const char *path, const struct db_watch *watch, struct err *err) MUST_CHECK;
int db_sqlite_check(struct sqlite3 *db, bool quick, const struct db_watch *watch, struct err *err) MUST_CHECK;
int db_sqlite_settle(const char *path, struct err *err) MUST_CHECK;
const char *db_sqlite_library(void);

/* The VFS through which a writer opens a SQLite store: it writes the log in few system calls. For connections that sync each
 * commit (synchronous = FULL) on a file that takes half-written sectors well (SQLITE_FCNTL_POWERSAFE_OVERWRITE). */
#define DB_LOG_VFS "serin-log"
void db_log_vfs_add(void); /* once for the whole program; further calls do nothing */

#endif
