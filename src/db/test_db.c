/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's contract: values, statements, transactions, error classes; and the fault driver's. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "db/db.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    char path[96], url[112];
    struct db *db; /* the writer, with table t (id, name) */
    struct err err;
};

static void ok(struct fixture *f, int r) {
    if (r != 0) fail_msg("answered %d: %s", r, f->err.message);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    if (!f) return -1;
    snprintf(f->folder, sizeof f->folder, "/tmp/serin-db-XXXXXX");
    if (!mkdtemp(f->folder)) return -1;
    snprintf(f->path, sizeof f->path, "%s/x.db", f->folder);
    snprintf(f->url, sizeof f->url, "sqlite:%s", f->path);
    ok(f, db_open(f->url, DB_WRITER, &f->db, &f->err));
    ok(f, db_exec(f->db, "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)", &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    char path[128];

    db_close(f->db);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        snprintf(path, sizeof path, "%s%s", f->path, endings[i]);
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

static int insert(struct db *db, int64_t id, const char *name, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = db_prepare(db, "INSERT INTO t (id, name) VALUES ($1, $2)", &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, id);
    db_bind_text(stmt, 2, name);
    return db_step(stmt, err);
}

static int64_t count(struct db *db) {
    struct db_stmt *stmt;
    struct err err = ERR_INIT;

    int r = db_prepare(db, "SELECT count(*) FROM t", &stmt, &err);
    if (r == 0) r = db_step(stmt, &err);
    if (r != DB_ROW) fail_msg("counting answered %d: %s", r, err.message);
    int64_t n = db_int(stmt, 0);
    db_reset(stmt);
    return n;
}

/* ---- values and statements ---- */

static void values_come_back_as_they_went(void **state) {
    struct fixture *f = *state;
    static const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    struct db_stmt *stmt;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        ok(f, insert(f->db, numbers[i], i == 0 ? NULL : i == 1 ? "" : "äöü 😀", &f->err));
    ok(f, db_prepare(f->db, "SELECT id, name FROM t WHERE id = $1", &stmt, &f->err));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        db_bind_int(stmt, 1, numbers[i]);
        assert_int_equal(db_step(stmt, &f->err), DB_ROW);
        assert_int_equal(db_int(stmt, 0), numbers[i]);
        assert_int_equal(db_is_null(stmt, 1), i == 0);
        struct slice name = db_slice(stmt, 1);
        if (i == 0) assert_null(name.ptr);
        if (i == 1) assert_true(name.ptr && name.len == 0);
        if (i > 1) assert_true(slice_equal_text(name, "äöü 😀"));
        ok(f, db_step(stmt, &f->err));
        db_reset(stmt);
    }
}

static void parameters_are_bound_by_number_not_by_place(void **state) {
    struct fixture *f = *state;
    struct db_stmt *stmt;

    ok(f, insert(f->db, 7, "seven", &f->err));
    ok(f, db_prepare(f->db, "SELECT id FROM t WHERE name = $2 AND id = $1 AND $3 = 'x'", &stmt, &f->err));
    db_bind_int(stmt, 1, 7);
    db_bind_slice(stmt, 2, (struct slice){"sevenfold", 5});
    db_bind_text(stmt, 3, "x");
    assert_int_equal(db_step(stmt, &f->err), DB_ROW);
    db_reset(stmt);
    db_bind_int(stmt, 4, 1);
    assert_int_equal(db_step(stmt, &f->err), -ERR_INTERNAL);
    db_reset(stmt);
    ok(f, db_step(stmt, &f->err)); /* nothing bound any more: NULL matches nothing */
}

static void a_statement_is_found_again_and_comes_clean(void **state) {
    struct fixture *f = *state;
    static const char sql[] = "SELECT id FROM t WHERE id >= $1 ORDER BY id";
    struct db_stmt *first, *again;

    for (int64_t id = 1; id <= 3; id++)
        ok(f, insert(f->db, id, "x", &f->err));
    ok(f, db_prepare(f->db, sql, &first, &f->err));
    db_bind_int(first, 1, 2);
    assert_int_equal(db_step(first, &f->err), DB_ROW);
    ok(f, db_prepare(f->db, sql, &again, &f->err));
    assert_ptr_equal(first, again);
    db_bind_int(again, 1, 1);
    assert_int_equal(db_step(again, &f->err), DB_ROW);
    assert_int_equal(db_int(again, 0), 1);
    db_reset(again);
    assert_int_equal(db_prepare(f->db, "SELEKT 1", &again, &f->err), -ERR_INTERNAL);
}

/* More statements than the table that finds them had room for at first. */
static void many_statements_are_kept(void **state) {
    struct fixture *f = *state;
    static char texts[300][32];
    struct db_stmt *stmts[300], *again;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        snprintf(texts[i], sizeof texts[i], "SELECT %zu", i);
        ok(f, db_prepare(f->db, texts[i], &stmts[i], &f->err));
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        ok(f, db_prepare(f->db, texts[i], &again, &f->err));
        assert_ptr_equal(again, stmts[i]);
        assert_int_equal(db_step(again, &f->err), DB_ROW);
        assert_int_equal(db_int(again, 0), (int64_t)i);
        db_reset(again);
    }
}

/* ---- transactions ---- */

static void what_is_rolled_back_is_gone(void **state) {
    struct fixture *f = *state;

    ok(f, db_begin(f->db, &f->err));
    ok(f, insert(f->db, 1, "x", &f->err));
    db_rollback(f->db);
    assert_int_equal(count(f->db), 0);
    ok(f, db_begin(f->db, &f->err));
    ok(f, insert(f->db, 1, "x", &f->err));
    assert_int_equal(insert(f->db, 1, "y", &f->err), -ERR_CONFLICT);
    ok(f, db_commit(f->db, &f->err));
    db_rollback(f->db);
    assert_int_equal(count(f->db), 1);
}

static void a_reader_has_a_stable_view_and_cannot_write(void **state) {
    struct fixture *f = *state;
    struct db *reader;

    ok(f, db_open(f->url, DB_READER, &reader, &f->err));
    ok(f, db_begin(reader, &f->err));
    assert_int_equal(count(reader), 0);
    ok(f, insert(f->db, 1, "x", &f->err));
    assert_int_equal(count(reader), 0);
    db_rollback(reader);
    assert_int_equal(count(reader), 1);
    assert_int_equal(insert(reader, 2, "y", &f->err), -ERR_STORE_READ_ONLY);
    db_close(reader);
}

/* SQLite gives up the transaction when the file may not grow; nothing may slip through afterwards. */
static void a_lost_transaction_takes_nothing_more(void **state) {
    struct fixture *f = *state;
    static const char big[] = "INSERT INTO t (id, name) VALUES (2, hex(zeroblob(100000)))";

    ok(f, db_exec(f->db, "PRAGMA max_page_count = 8", &f->err));
    ok(f, db_begin(f->db, &f->err));
    ok(f, insert(f->db, 1, "x", &f->err));
    assert_int_equal(db_exec(f->db, big, &f->err), -ERR_STORE_FULL);
    assert_int_equal(insert(f->db, 3, "z", &f->err), -ERR_STORE_FULL);
    assert_int_equal(db_exec(f->db, "DELETE FROM t", &f->err), -ERR_STORE_FULL);
    assert_int_equal(db_commit(f->db, &f->err), -ERR_STORE_FULL);
    assert_int_equal(count(f->db), 0);
    ok(f, insert(f->db, 4, "after", &f->err));
    assert_int_equal(count(f->db), 1);
}

/* ---- opening ---- */

static void an_address_that_names_no_store_is_refused(void **state) {
    struct fixture *f = *state;
    struct db *db;

    assert_int_equal(db_open("mysql://x", DB_WRITER, &db, &f->err), -ERR_CONFIG);
    assert_int_equal(db_open("sqlite:", DB_WRITER, &db, &f->err), -ERR_CONFIG);
    assert_int_equal(db_open("sqlite:/tmp/serin-no-such-folder/x.db", DB_WRITER, &db, &f->err), -ERR_STORE_IO);
    assert_string_equal(f->err.at, "/tmp/serin-no-such-folder/x.db");
    assert_int_equal(db_open("sqlite:/tmp/serin-no-such-file.db", DB_READER, &db, &f->err), -ERR_STORE_IO);
    assert_int_equal(access("/tmp/serin-no-such-file.db", F_OK), -1);
    assert_int_equal(db_open("sqlite:/tmp", DB_WRITER, &db, &f->err), -ERR_STORE_IO);
    assert_int_equal(db_open("sqlite::memory:a/b", DB_WRITER, &db, &f->err), -ERR_CONFIG);
    assert_int_equal(access("/tmp.lock", F_OK), -1);
}

static void the_file_is_private(void **state) {
    struct fixture *f = *state;
    struct stat st;
    char path[128];

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s-wal", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void one_writer_a_store_whatever_its_name(void **state) {
    struct fixture *f = *state;
    char link[128], url[160];
    struct db *db;

    assert_int_equal(db_open(f->url, DB_WRITER, &db, &f->err), -ERR_STORE_LOCKED);
    snprintf(link, sizeof link, "%s/link.db", f->folder);
    snprintf(url, sizeof url, "sqlite:%s", link);
    assert_int_equal(symlink(f->path, link), 0);
    assert_int_equal(db_open(url, DB_WRITER, &db, &f->err), -ERR_STORE_LOCKED);
    unlink(link);
    f->db = db_close(f->db);
    ok(f, db_open(f->url, DB_WRITER, &f->db, &f->err));
}

static void another_process_is_named(void **state) {
    struct fixture *f = *state;
    char text[64];
    int ready[2], leave[2];
    struct db *db;
    char byte;

    f->db = db_close(f->db);
    assert_int_equal(pipe(ready) | pipe(leave), 0);
    pid_t child = fork();
    if (child == 0) {
        int r = db_open(f->url, DB_WRITER, &db, NULL);
        (void)!write(ready[1], r == 0 ? "y" : "n", 1);
        (void)!read(leave[0], &byte, 1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(db_open(f->url, DB_WRITER, &db, &f->err), -ERR_STORE_LOCKED);
    snprintf(text, sizeof text, "process %d has the store", (int)child);
    assert_string_equal(f->err.message, text);
    assert_string_equal(f->err.at, f->path);
    assert_int_equal(write(leave[1], "x", 1), 1);
    waitpid(child, NULL, 0);
    ok(f, db_open(f->url, DB_WRITER, &f->db, &f->err)); /* the lock died with its owner */
    close(ready[0]);
    close(ready[1]);
    close(leave[0]);
    close(leave[1]);
}

static void another_programs_database_is_left_alone(void **state) {
    struct fixture *f = *state;
    struct db *db;

    ok(f, db_exec(f->db, "PRAGMA application_id = 1", &f->err));
    f->db = db_close(f->db);
    assert_int_equal(db_open(f->url, DB_WRITER, &db, &f->err), -ERR_STORE_CORRUPT);
    assert_non_null(strstr(f->err.message, "not one of Serin"));
}

/* ---- the fault driver ---- */

static void the_chosen_call_fails(void **state) {
    struct fixture *f = *state;
    struct db_fault fault = {.code = ERR_STORE_IO};

    ok(f, db_fault_wrap(f->db, &fault, &f->db));
    assert_string_equal(db_engine(f->db), "fault(sqlite)");
    ok(f, insert(f->db, 1, "x", &f->err));
    assert_int_equal(fault.calls, 2); /* prepare, step */
    fault.fail_at = 4;
    assert_int_equal(insert(f->db, 2, "y", &f->err), -ERR_STORE_IO);
    assert_int_equal(count(f->db), 1);
    fault.fail_at = fault.calls + 2;
    fault.after = true;
    assert_int_equal(insert(f->db, 3, "z", &f->err), -ERR_STORE_IO);
    assert_int_equal(count(f->db), 2); /* it was carried out all the same */
}

static void a_commit_fails_before_or_after_it_was_made(void **state) {
    struct fixture *f = *state;
    struct db_fault fault = {.code = ERR_STORE_IO};

    ok(f, db_fault_wrap(f->db, &fault, &f->db));
    for (int after = 0; after < 2; after++) {
        fault.fail_at = 0;
        ok(f, db_begin(f->db, &f->err));
        ok(f, insert(f->db, after, "x", &f->err));
        fault.fail_at = fault.calls + 1;
        fault.after = after;
        fault.code = after ? ERR_UNKNOWN_OUTCOME : ERR_STORE_IO;
        assert_int_equal(db_commit(f->db, &f->err), -(int)fault.code);
        assert_int_equal(count(f->db), after);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(values_come_back_as_they_went),
        TEST(parameters_are_bound_by_number_not_by_place),
        TEST(a_statement_is_found_again_and_comes_clean),
        TEST(many_statements_are_kept),
        TEST(what_is_rolled_back_is_gone),
        TEST(a_reader_has_a_stable_view_and_cannot_write),
        TEST(a_lost_transaction_takes_nothing_more),
        TEST(an_address_that_names_no_store_is_refused),
        TEST(the_file_is_private),
        TEST(one_writer_a_store_whatever_its_name),
        TEST(another_process_is_named),
        TEST(another_programs_database_is_left_alone),
        TEST(the_chosen_call_fails),
        TEST(a_commit_fails_before_or_after_it_was_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
