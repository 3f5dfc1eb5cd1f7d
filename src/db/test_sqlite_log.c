/* SPDX-License-Identifier: Apache-2.0 */
/* How the writer's log reaches the file, seen from a VFS underneath that counts, and fails on demand. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "db/db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the VFS underneath ---- */

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *system;
    sqlite3_io_methods methods; /* the system's, with our xWrite */
    int (*write)(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset);
    int writes; /* to logs */
    int fail;   /* what the next of them answers, once */
} under;

static int counted_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset) {
    int fail = under.fail;

    under.writes++;
    under.fail = SQLITE_OK;
    return fail ? fail : under.write(file, bytes, len, offset);
}

static int counted_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    int rc = under.system->xOpen(under.system, name, file, flags, ret_flags);

    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL)) return rc;
    under.methods = *file->pMethods;
    under.write = under.methods.xWrite;
    under.methods.xWrite = counted_write;
    file->pMethods = &under.methods;
    return rc;
}

static int put_under(void **state) {
    under.system = sqlite3_vfs_find(NULL);
    under.vfs = *under.system;
    under.vfs.zName = "counted";
    under.vfs.pNext = NULL;
    under.vfs.xOpen = counted_open;
    return sqlite3_vfs_register(&under.vfs, 1) == SQLITE_OK ? 0 : -1;
}

/* ---- a store ---- */

struct fixture {
    char folder[64], path[96], url[112];
    struct db *db; /* the writer, with table t (id, text) */
    struct err err;
};

static void ok(struct fixture *f, int r) {
    if (r != 0) fail_msg("answered %d: %s", r, f->err.message);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    if (!f) return -1;
    snprintf(f->folder, sizeof f->folder, "/tmp/serin-log-XXXXXX");
    if (!mkdtemp(f->folder)) return -1;
    snprintf(f->path, sizeof f->path, "%s/x.db", f->folder);
    snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
    ok(f, db_open(f->url, DB_WRITER, &f->db, &f->err));
    ok(f, db_exec(f->db, "CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT)", &f->err));
    *state = f;
    return 0;
}

static void remove_files(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    char name[128];

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

static int teardown(void **state) {
    struct fixture *f = *state;

    db_close(f->db);
    remove_files(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

/* Rows of `size` bytes, in the open transaction. */
static int insert(struct fixture *f, int64_t first, int64_t count, size_t size) {
    _cleanup_(freep) char *text = malloc(size);

    assert_non_null(text);
    memset(text, 'x', size);
    for (int64_t id = first; id < first + count; id++) {
        _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
        int r = db_prepare(f->db, "INSERT INTO t (id, text) VALUES ($1, $2)", &stmt, &f->err);
        if (r < 0) return r;
        db_bind_int(stmt, 1, id);
        db_bind_slice(stmt, 2, (struct slice){text, size});
        r = db_step(stmt, &f->err);
        if (r < 0) return r;
    }
    return 0;
}

static int insert_and_commit(struct fixture *f, int64_t first, int64_t count, size_t size) {
    int r = db_begin(f->db, &f->err);

    if (r == 0) r = insert(f, first, count, size);
    if (r == 0) return db_commit(f->db, &f->err);
    db_rollback(f->db);
    return r;
}

static int64_t ask(struct fixture *f, struct db *db, const char *sql) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = db_prepare(db, sql, &stmt, &f->err);
    if (r == 0) r = db_step(stmt, &f->err);
    if (r != DB_ROW) fail_msg("%s answered %d: %s", sql, r, f->err.message);
    return db_int(stmt, 0);
}

static void copy_file(const char *from, const char *to, const char *ending) {
    char a[128], b[128], bytes[4096];
    size_t len;

    snprintf(a, sizeof a, "%s%s", from, ending);
    snprintf(b, sizeof b, "%s%s", to, ending);
    FILE *in = fopen(a, "re"), *out = fopen(b, "we");
    assert_non_null(in);
    assert_non_null(out);
    while ((len = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

/* The rows that somebody finds who gets the files as they are now, as after kill -9. */
static int64_t rows_in_files(struct fixture *f) {
    char path[112], url[128];
    struct db *db;

    snprintf(path, sizeof path, "%s/copy.db", f->folder);
    snprintf(url, sizeof url, "sqlite:%s", path);
    copy_file(f->path, path, "");
    copy_file(f->path, path, "-wal");
    ok(f, db_open(url, DB_WRITER, &db, &f->err));
    int64_t rows = ask(f, db, "SELECT count(*) FROM t");
    assert_int_equal(ask(f, db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    db_close(db);
    remove_files(path);
    return rows;
}

/* ---- tests ---- */

static void test_a_commit_is_in_the_files_when_it_is_told(void **state) {
    struct fixture *f = *state;

    for (int64_t i = 0; i < 20; i++) {
        ok(f, insert_and_commit(f, i * 10, 10, 3000));
        assert_int_equal(rows_in_files(f), (i + 1) * 10);
    }
}

static void test_pages_share_a_write(void **state) {
    struct fixture *f = *state;

    ok(f, insert_and_commit(f, 0, 20, 3000));
    under.writes = 0;
    ok(f, insert_and_commit(f, 20, 20, 3000)); /* at least 20 pages */
    assert_in_range(under.writes, 1, 2);
}

static void test_what_no_buffer_holds(void **state) {
    struct fixture *f = *state;
    struct db *reader;

    /* More than the cache: pages go to the log early and come back from it. */
    ok(f, db_begin(f->db, &f->err));
    ok(f, insert(f, 0, 4000, 3500));
    assert_int_equal(ask(f, f->db, "SELECT count(*) FROM t WHERE length(text) = 3500"), 4000);
    ok(f, db_open(f->url, DB_READER, &reader, &f->err));
    assert_int_equal(ask(f, reader, "SELECT count(*) FROM t"), 0);
    ok(f, db_commit(f->db, &f->err));
    assert_int_equal(ask(f, reader, "SELECT count(*) FROM t WHERE length(text) = 3500"), 4000);
    db_close(reader);
    assert_int_equal(rows_in_files(f), 4000);
}

static void fail_once(struct fixture *f, int fail, enum err_code expected) {
    int64_t rows = ask(f, f->db, "SELECT count(*) FROM t");

    under.fail = fail;
    assert_int_equal(insert_and_commit(f, 1000, 20, 3000), -(int)expected);
    assert_int_equal(ask(f, f->db, "SELECT count(*) FROM t"), rows);
    ok(f, insert_and_commit(f, rows, 20, 3000));
    assert_int_equal(rows_in_files(f), rows + 20);
}

static void test_a_write_that_fails_fails_the_commit(void **state) {
    struct fixture *f = *state;

    ok(f, insert_and_commit(f, 0, 20, 3000));
    fail_once(f, SQLITE_FULL, ERR_STORE_FULL);
    fail_once(f, SQLITE_IOERR_WRITE, ERR_UNKNOWN_OUTCOME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_commit_is_in_the_files_when_it_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_share_a_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_no_buffer_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_that_fails_fails_the_commit, setup, teardown),
    };
    return cmocka_run_group_tests_name("db/sqlite_log", tests, put_under, NULL);
}
