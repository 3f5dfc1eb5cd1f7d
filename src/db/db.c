/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to the drivers. What lies here is only what every driver would otherwise repeat: choosing the
 * driver by the URL, the forms of binding that can be said through another one, and answers for NULL.
 *
 * Drivers keep to one rule that the store builds on: after a failed commit, and after any failure by which the engine
 * itself gave up the transaction, nothing more can be written until db_rollback() and a new db_begin(). Without it
 * a caller that overlooks one failure would go on outside of any transaction and leave half a change behind.
 */
#include "db/db_impl.h"

#include <stdlib.h>
#include <string.h>

/* What follows "sqlite:", or NULL with the error set. */
static const char *sqlite_address(const char *url, struct err *err) {
    static const char sqlite[] = "sqlite:";

    if (strncmp(url, sqlite, sizeof sqlite - 1) == 0) return url + sizeof sqlite - 1;
    err_set(err, ERR_CONFIG, "\"%s\" names no kind of store that this program knows", url);
    err_remedy(err, "Write the store as sqlite:PATH");
    return NULL;
}

int db_open(const char *url, enum db_mode mode, struct db **ret, struct err *err) {
    const char *address = sqlite_address(url, err);
    return address ? db_sqlite_open(address, mode, ret, err) : -ERR_CONFIG;
}

bool db_exists(const char *url) {
    const char *address = sqlite_address(url, NULL);
    return !address || db_sqlite_exists(address);
}

struct db *db_close(struct db *db) {
    if (db) db->driver->close(db);
    return NULL;
}

const char *db_engine(const struct db *db) {
    return db->driver->engine(db);
}

int db_prepare(struct db *db, const char *sql, struct db_stmt **ret, struct err *err) {
    return db->driver->prepare(db, sql, ret, err);
}

void db_bind_int(struct db_stmt *stmt, int number, int64_t value) {
    stmt->driver->bind_int(stmt, number, value);
}

void db_bind_text(struct db_stmt *stmt, int number, const char *value) {
    stmt->driver->bind_slice(stmt, number, (struct slice){value, value ? strlen(value) : 0});
}

void db_bind_slice(struct db_stmt *stmt, int number, struct slice value) {
    stmt->driver->bind_slice(stmt, number, value.ptr ? value : SLICE_LIT(""));
}

void db_bind_bytes(struct db_stmt *stmt, int number, struct slice value) {
    stmt->driver->bind_bytes(stmt, number, value.ptr ? value : SLICE_LIT(""));
}

void db_bind_null(struct db_stmt *stmt, int number) {
    stmt->driver->bind_slice(stmt, number, (struct slice){NULL, 0});
}

int db_step(struct db_stmt *stmt, struct err *err) {
    return stmt->driver->step(stmt, err);
}

void db_reset(struct db_stmt *stmt) {
    stmt->driver->reset(stmt);
}

int64_t db_int(struct db_stmt *stmt, int column) {
    return stmt->driver->column_int(stmt, column);
}

struct slice db_slice(struct db_stmt *stmt, int column) {
    return stmt->driver->column_slice(stmt, column);
}

bool db_is_null(struct db_stmt *stmt, int column) {
    return !stmt->driver->column_slice(stmt, column).ptr;
}

int db_exec(struct db *db, const char *sql, struct err *err) {
    return db->driver->exec(db, sql, err);
}

int db_begin(struct db *db, struct err *err) {
    return db->driver->begin(db, err);
}

int db_commit(struct db *db, struct err *err) {
    return db->driver->commit(db, err);
}

void db_rollback(struct db *db) {
    db->driver->rollback(db);
}

int db_backup(struct db *db, const char *path, const struct db_watch *watch, struct err *err) {
    return db->driver->backup(db, path, watch, err);
}

int db_check(struct db *db, bool quick, const struct db_watch *watch, struct err *err) {
    return db->driver->check(db, quick, watch, err);
}

const char *db_library(void) {
    return db_sqlite_library();
}

/* ---- the lock alone ---- */

struct db_lock {
    struct db_file file;
};

int db_lock_take(const char *url, struct db_lock **ret, struct err *err) {
    _cleanup_(db_lock_releasep) struct db_lock *lock = calloc(1, sizeof *lock);
    const char *address = sqlite_address(url, err);

    if (!lock) return err_no_memory(err);
    lock->file = DB_FILE_INIT;
    if (!address) return -ERR_CONFIG;
    int r = db_file_lock(address, &lock->file, err);
    if (r == 0) *ret = TAKE_PTR(lock);
    return r;
}

struct db_lock *db_lock_release(struct db_lock *lock) {
    if (lock) db_file_deinit(&lock->file);
    free(lock);
    return NULL;
}

const char *db_lock_path(const struct db_lock *lock) {
    return lock->file.path;
}

int db_lock_settle(struct db_lock *lock, struct err *err) {
    return db_sqlite_settle(lock->file.path, err);
}
