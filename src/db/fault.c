/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault driver: passes everything on to another driver and fails one chosen call. It proves that whoever stands above
 * survives a failure at any place. A call fails either before it was carried out (the usual case) or
 * after it (`after`: the work was done, its answer was lost).
 *
 * What a failure means is kept as the inner driver would: a failed commit leaves no transaction behind.
 */
#include "db/db_impl.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct fault_stmt {
    struct db_stmt base;
    struct fault_db *db;
    struct db_stmt *inner;
    struct fault_stmt *next;
};

struct fault_db {
    struct db base;
    struct db *inner;
    struct db_fault *fault;
    struct fault_stmt *stmts;
    char engine[32];
};

static const struct db_driver fault_driver;

static struct fault_db *fault_of(struct db *db) {
    return (struct fault_db *)db;
}

static struct fault_stmt *fault_stmt_of(struct db_stmt *stmt) {
    return (struct fault_stmt *)stmt;
}

static bool due(struct fault_db *db) {
    uint64_t call = atomic_fetch_add(&db->fault->calls, 1) + 1;
    return call == atomic_load(&db->fault->fail_at);
}

static int fail(struct fault_db *db, struct err *err) {
    return err_set(err, db->fault->code, "a fault was injected at driver call %llu",
                   (unsigned long long)atomic_load(&db->fault->fail_at));
}

static int pass(struct db *base, int (*call)(struct db *, struct err *), struct err *err) {
    struct fault_db *db = fault_of(base);
    bool failing = due(db);

    if (failing && !db->fault->after) return fail(db, err);
    int r = call(db->inner, err);
    return r == 0 && failing ? fail(db, err) : r;
}

static int fault_begin(struct db *base, struct err *err) {
    int r = pass(base, db_begin, err);
    if (r < 0) db_rollback(fault_of(base)->inner);
    return r;
}

static int fault_commit(struct db *base, struct err *err) {
    int r = pass(base, db_commit, err);
    if (r < 0) db_rollback(fault_of(base)->inner);
    return r;
}

static void fault_rollback(struct db *base) {
    db_rollback(fault_of(base)->inner);
}

static int fault_exec(struct db *base, const char *sql, struct err *err) {
    struct fault_db *db = fault_of(base);
    bool failing = due(db);

    if (failing && !db->fault->after) return fail(db, err);
    int r = db_exec(db->inner, sql, err);
    return r == 0 && failing ? fail(db, err) : r;
}

static int fault_backup(struct db *base, const char *path, const struct db_watch *watch, struct err *err) {
    struct fault_db *db = fault_of(base);
    return due(db) ? fail(db, err) : db_backup(db->inner, path, watch, err);
}

static int fault_check(struct db *base, bool quick, const struct db_watch *watch, struct err *err) {
    struct fault_db *db = fault_of(base);
    return due(db) ? fail(db, err) : db_check(db->inner, quick, watch, err);
}

static int wrap_stmt(struct fault_db *db, struct db_stmt *inner, struct db_stmt **ret, struct err *err) {
    for (struct fault_stmt *stmt = db->stmts; stmt; stmt = stmt->next) {
        if (stmt->inner != inner) continue;
        *ret = &stmt->base;
        return 0;
    }
    struct fault_stmt *stmt = malloc(sizeof *stmt);
    if (!stmt) return err_no_memory(err);
    *stmt = (struct fault_stmt){.base.driver = &fault_driver, .db = db, .inner = inner, .next = db->stmts};
    db->stmts = stmt;
    *ret = &stmt->base;
    return 0;
}

static int fault_prepare(struct db *base, const char *sql, struct db_stmt **ret, struct err *err) {
    struct fault_db *db = fault_of(base);
    struct db_stmt *inner;

    if (due(db)) return fail(db, err);
    int r = db_prepare(db->inner, sql, &inner, err);
    if (r < 0) return r;
    return wrap_stmt(db, inner, ret, err);
}

static void fault_bind_int(struct db_stmt *base, int number, int64_t value) {
    db_bind_int(fault_stmt_of(base)->inner, number, value);
}

static void fault_bind_slice(struct db_stmt *base, int number, struct slice value) {
    if (value.ptr) {
        db_bind_slice(fault_stmt_of(base)->inner, number, value);
        return;
    }
    db_bind_null(fault_stmt_of(base)->inner, number);
}

static void fault_bind_bytes(struct db_stmt *base, int number, struct slice value) {
    db_bind_bytes(fault_stmt_of(base)->inner, number, value);
}

static int fault_step(struct db_stmt *base, struct err *err) {
    struct fault_stmt *stmt = fault_stmt_of(base);
    bool failing = due(stmt->db);

    if (failing && !stmt->db->fault->after) return fail(stmt->db, err);
    int r = db_step(stmt->inner, err);
    return r >= 0 && failing ? fail(stmt->db, err) : r;
}

static void fault_reset(struct db_stmt *base) {
    db_reset(fault_stmt_of(base)->inner);
}

static int64_t fault_column_int(struct db_stmt *base, int column) {
    return db_int(fault_stmt_of(base)->inner, column);
}

static struct slice fault_column_slice(struct db_stmt *base, int column) {
    return db_slice(fault_stmt_of(base)->inner, column);
}

static void fault_close(struct db *base) {
    struct fault_db *db = fault_of(base);

    while (db->stmts) {
        struct fault_stmt *stmt = db->stmts;
        db->stmts = stmt->next;
        free(stmt);
    }
    db_close(db->inner);
    free(db);
}

static const char *fault_engine(const struct db *base) {
    return ((const struct fault_db *)base)->engine;
}

static const struct db_driver fault_driver = {
    .engine = fault_engine,
    .close = fault_close,
    .prepare = fault_prepare,
    .exec = fault_exec,
    .begin = fault_begin,
    .commit = fault_commit,
    .rollback = fault_rollback,
    .backup = fault_backup,
    .check = fault_check,
    .bind_int = fault_bind_int,
    .bind_slice = fault_bind_slice,
    .bind_bytes = fault_bind_bytes,
    .step = fault_step,
    .reset = fault_reset,
    .column_int = fault_column_int,
    .column_slice = fault_column_slice,
};

int db_fault_wrap(struct db *inner, struct db_fault *fault, struct db **ret) {
    struct fault_db *db = calloc(1, sizeof *db);

    if (!db) {
        db_close(inner);
        return -ERR_NO_MEMORY;
    }
    snprintf(db->engine, sizeof db->engine, "fault(%s)", db_engine(inner));
    db->base.driver = &fault_driver;
    db->inner = inner;
    db->fault = fault;
    *ret = &db->base;
    return 0;
}
