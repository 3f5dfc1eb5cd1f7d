/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite behind db.h: write-ahead log, every commit synced.
 *
 * One connection writes and checkpoints; readers never checkpoint, not even when they close, because library versions before
 * 3.51.3 can corrupt the log when one connection checkpoints while another starts it anew. The pages are read through
 * read(2), not mmap, so that an I/O error is an error and no signal. The file is treated as foreign: no functions or
 * views of its schema are trusted, and SQL cannot write the schema table.
 *
 * A page that many commits change is written to the file once a checkpoint, so the log may grow to 16 MB before it is brought into the
 * file; that is still read in a few milliseconds after a crash.
 *
 * SQLite gives up a transaction by itself after some failures (disk full, I/O error, no memory). The connection
 * notices it (`lost`) and refuses every statement until it is rolled back, as db.c promises.
 *
 * A failed COMMIT has a certain outcome except when reading or writing failed in it: then the commit record may be in the log
 * although its sync was not confirmed. SQLite goes on as if it were not there, but a process that
 * died in this moment would find it again. That is UNKNOWN_OUTCOME.
 *
 * Memory-backed stores (":memory:NAME", for tests) use the memdb VFS. It has no log, so readers and the writer wait for each other.
 */
#include "db/db_impl.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY ":memory:"
#define PARAMS_MAX 24
#define BUSY_WAIT_MS 5000
#define APPLICATION_ID 0x5352494e /* "SRIN", in the header of the file */

struct sqlite_stmt {
    struct db_stmt base;
    struct sqlite_db *db;
    const char *sql;
    sqlite3_stmt *handle;
    /* SQLite takes $3 as a name whose index follows first appearance. */
    unsigned char index[PARAMS_MAX + 1];
    int bind_error;
};

struct sqlite_db {
    struct db base;
    sqlite3 *handle;
    enum db_mode mode;
    struct db_file file;
    bool memory;
    bool in_transaction;
    enum err_code lost; /* why SQLite gave up the transaction, 0 = it did not */
    /* Prepared statements by the address of their text: open addressing, a power of two, at most half full. */
    struct sqlite_stmt **stmts;
    size_t stmt_count, stmt_capacity;
};

static struct sqlite_db *sqlite_of(struct db *db) {
    return (struct sqlite_db *)db;
}

static struct sqlite_stmt *sqlite_stmt_of(struct db_stmt *stmt) {
    return (struct sqlite_stmt *)stmt;
}

/* ---- errors ---- */

static enum err_code io_class(int extended, int system_errno) {
    if (extended == SQLITE_IOERR_NOMEM) return ERR_NO_MEMORY;
    if (system_errno == ENOSPC || system_errno == EDQUOT) return ERR_STORE_FULL;
    return ERR_STORE_IO;
}

enum err_code db_sqlite_class(int extended, int system_errno) {
    switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_FULL:
        return ERR_STORE_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_STORE_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_STORE_CORRUPT;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_CANTOPEN:
        if (system_errno == EACCES || system_errno == EROFS) return ERR_STORE_READ_ONLY;
        return io_class(extended, system_errno);
    case SQLITE_IOERR:
        return io_class(extended, system_errno);
    default:
        return ERR_INTERNAL;
    }
}

static int sqlite_error(struct sqlite_db *db, struct err *err, const char *doing) {
    enum err_code code = db_sqlite_class(sqlite3_extended_errcode(db->handle), sqlite3_system_errno(db->handle));

    if (db->in_transaction && sqlite3_get_autocommit(db->handle) && !db->lost) db->lost = code;
    int r = err_set(err, code, "%s: %s", doing, sqlite3_errmsg(db->handle));
    if (db->file.path) err_at(err, "%s", db->file.path);
    return r;
}

static int refuse_lost(struct sqlite_db *db, struct err *err) {
    return err_set(err, db->lost, "the transaction was given up after an earlier failure");
}

/* ---- statements ---- */

static size_t stmt_slot(struct sqlite_stmt *const *stmts, size_t capacity, const char *sql) {
    size_t slot = (size_t)(((uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (capacity - 1);

    while (stmts[slot] && stmts[slot]->sql != sql)
        slot = (slot + 1) & (capacity - 1);
    return slot;
}

static int stmts_grow(struct sqlite_db *db, struct err *err) {
    if (2 * (db->stmt_count + 1) <= db->stmt_capacity) return 0;
    size_t capacity = db->stmt_capacity ? 2 * db->stmt_capacity : 128;
    struct sqlite_stmt **stmts = calloc(capacity, sizeof(struct sqlite_stmt *));

    if (!stmts) return err_no_memory(err);
    for (size_t i = 0; i < db->stmt_capacity; i++)
        if (db->stmts[i]) stmts[stmt_slot(stmts, capacity, db->stmts[i]->sql)] = db->stmts[i];
    free(db->stmts);
    db->stmts = stmts;
    db->stmt_capacity = capacity;
    return 0;
}

static void stmt_free(struct sqlite_stmt *stmt) {
    sqlite3_finalize(stmt->handle);
    free(stmt);
}
DEFINE_CLEANUP(struct sqlite_stmt *, stmt_free)

static const struct db_driver sqlite_driver;

static int stmt_new(struct sqlite_db *db, const char *sql, struct sqlite_stmt **ret, struct err *err) {
    _cleanup_(stmt_freep) struct sqlite_stmt *stmt = calloc(1, sizeof *stmt);
    char name[8];

    if (!stmt) return err_no_memory(err);
    *stmt = (struct sqlite_stmt){.base.driver = &sqlite_driver, .db = db, .sql = sql};
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL) != SQLITE_OK)
        return sqlite_error(db, err, "preparing a statement");
    int count = sqlite3_bind_parameter_count(stmt->handle);
    if (count > PARAMS_MAX) return err_set(err, ERR_INTERNAL, "a statement has %d parameters", count);
    for (int number = 1; number <= PARAMS_MAX; number++) {
        snprintf(name, sizeof name, "$%d", number);
        stmt->index[number] = (unsigned char)sqlite3_bind_parameter_index(stmt->handle, name);
    }
    *ret = TAKE_PTR(stmt);
    return 0;
}

static void sqlite_reset(struct db_stmt *base) {
    struct sqlite_stmt *stmt = sqlite_stmt_of(base);

    sqlite3_reset(stmt->handle); /* repeats the failure of the last step, which was reported */
    sqlite3_clear_bindings(stmt->handle);
    stmt->bind_error = SQLITE_OK;
}

static int sqlite_prepare(struct db *base, const char *sql, struct db_stmt **ret, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);

    int r = stmts_grow(db, err);
    if (r < 0) return r;
    size_t slot = stmt_slot(db->stmts, db->stmt_capacity, sql);
    if (!db->stmts[slot]) {
        r = stmt_new(db, sql, &db->stmts[slot], err);
        if (r < 0) return r;
        db->stmt_count++;
    }
    sqlite_reset(&db->stmts[slot]->base);
    *ret = &db->stmts[slot]->base;
    return 0;
}

/* The index of parameter $number, or 0 after noting that there is none. */
static int param_index(struct sqlite_stmt *stmt, int number) {
    int index = number >= 1 && number <= PARAMS_MAX ? stmt->index[number] : 0;

    if (!index && !stmt->bind_error) stmt->bind_error = SQLITE_RANGE;
    return index;
}

static void keep_bind_error(struct sqlite_stmt *stmt, int rc) {
    if (rc != SQLITE_OK && !stmt->bind_error) stmt->bind_error = rc;
}

static void sqlite_bind_int(struct db_stmt *base, int number, int64_t value) {
    struct sqlite_stmt *stmt = sqlite_stmt_of(base);
    int index = param_index(stmt, number);

    if (index) keep_bind_error(stmt, sqlite3_bind_int64(stmt->handle, index, value));
}

static void sqlite_bind_slice(struct db_stmt *base, int number, struct slice value) {
    struct sqlite_stmt *stmt = sqlite_stmt_of(base);
    int index = param_index(stmt, number);

    if (!index) return;
    keep_bind_error(
        stmt, value.ptr ? sqlite3_bind_text64(stmt->handle, index, value.ptr, value.len, SQLITE_STATIC, SQLITE_UTF8)
                        : sqlite3_bind_null(stmt->handle, index));
}

static void sqlite_bind_bytes(struct db_stmt *base, int number, struct slice value) {
    struct sqlite_stmt *stmt = sqlite_stmt_of(base);
    int index = param_index(stmt, number);

    if (index) keep_bind_error(stmt, sqlite3_bind_blob64(stmt->handle, index, value.ptr, value.len, SQLITE_STATIC));
}

static int sqlite_step(struct db_stmt *base, struct err *err) {
    struct sqlite_stmt *stmt = sqlite_stmt_of(base);
    struct sqlite_db *db = stmt->db;

    if (db->lost) return refuse_lost(db, err);
    if (stmt->bind_error == SQLITE_NOMEM) return err_no_memory(err);
    if (stmt->bind_error)
        return err_set(err, ERR_INTERNAL, "binding a parameter: %s", sqlite3_errstr(stmt->bind_error));
    int rc = sqlite3_step(stmt->handle);
    if (rc == SQLITE_ROW) return DB_ROW;
    int r = rc == SQLITE_DONE ? 0 : sqlite_error(db, err, "running a statement");
    sqlite3_reset(stmt->handle);
    return r;
}

static int64_t sqlite_column_int(struct db_stmt *base, int column) {
    return sqlite3_column_int64(sqlite_stmt_of(base)->handle, column);
}

static struct slice sqlite_column_slice(struct db_stmt *base, int column) {
    sqlite3_stmt *handle = sqlite_stmt_of(base)->handle;
    bool bytes = sqlite3_column_type(handle, column) == SQLITE_BLOB;
    const char *text = bytes ? sqlite3_column_blob(handle, column) : (const char *)sqlite3_column_text(handle, column);

    if (bytes && !text) return SLICE_LIT("");
    return (struct slice){text, text ? (size_t)sqlite3_column_bytes(handle, column) : 0};
}

static int sqlite_exec(struct db *base, const char *sql, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);

    if (db->lost) return refuse_lost(db, err);
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK) return 0;
    return sqlite_error(db, err, "running SQL");
}

/* ---- transactions ---- */

static int run(struct sqlite_db *db, const char *sql, struct err *err) {
    struct db_stmt *stmt;

    int r = sqlite_prepare(&db->base, sql, &stmt, err);
    if (r < 0) return r;
    return sqlite_step(stmt, err);
}

static void sqlite_rollback(struct db *base) {
    struct sqlite_db *db = sqlite_of(base);

    /* Without a transaction there is nothing to do; a failure leaves it for the next begin. */
    if (!sqlite3_get_autocommit(db->handle)) (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
    db->lost = ERR_NONE;
}

static int sqlite_begin(struct db *base, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);

    sqlite_rollback(base);
    int r = run(db, db->mode == DB_WRITER ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (r == 0) db->in_transaction = true;
    return r;
}

static int sqlite_commit(struct db *base, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);

    bool lost = db->lost; /* before: a COMMIT that fails gives the transaction up, too */
    int r = run(db, "COMMIT", err);
    bool unsure = r < 0 && !lost && (sqlite3_extended_errcode(db->handle) & 0xff) == SQLITE_IOERR;
    sqlite_rollback(base);
    if (r == -ERR_STORE_IO && unsure) {
        r = err_set(err, ERR_UNKNOWN_OUTCOME, "the disk failed while a change was committed");
        if (db->file.path) err_at(err, "%s", db->file.path);
    }
    return r;
}

/* ---- care ---- */

static int at_file(const struct sqlite_db *db, int r, struct err *err) {
    if (r < 0 && db->file.path && err && !*err->at) err_at(err, "%s", db->file.path);
    return r;
}

static int sqlite_backup(struct db *base, const char *path, const struct db_watch *watch, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);
    return at_file(db, db_sqlite_copy(db->handle, path, watch, err), err);
}

static int sqlite_check(struct db *base, bool quick, const struct db_watch *watch, struct err *err) {
    struct sqlite_db *db = sqlite_of(base);
    return at_file(db, db_sqlite_check(db->handle, quick, watch, err), err);
}

/* ---- opening ---- */

static const char *sqlite_engine(const struct db *base) {
    return "sqlite";
}

static void sqlite_close(struct db *base) {
    struct sqlite_db *db = sqlite_of(base);

    for (size_t i = 0; i < db->stmt_capacity; i++)
        if (db->stmts[i]) stmt_free(db->stmts[i]);
    free(db->stmts);
    sqlite3_close(db->handle);
    db_file_deinit(&db->file);
    free(db);
}

static void sqlite_closep(struct sqlite_db **db) {
    if (*db) sqlite_close(&(*db)->base);
}

static void without_counters(void) {
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* too late when somebody used the library before: no harm */
}

/* The library counts its memory under one lock for all connections. Nobody reads the counters. */
static void configure_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, without_counters);
}

static int open_handle(struct sqlite_db *db, const char *name, int flags, struct err *err) {
    const char *vfs = db->mode == DB_WRITER ? DB_LOG_VFS : NULL; /* the address of a store in memory names another */

    if (!(flags & SQLITE_OPEN_READONLY)) flags |= SQLITE_OPEN_READWRITE;
    if (sqlite3_open_v2(name, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs) != SQLITE_OK)
        return db->handle ? sqlite_error(db, err, "opening the store") : err_no_memory(err);
    sqlite3_busy_timeout(db->handle, BUSY_WAIT_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (db->mode != DB_WRITER) sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return sqlite_exec(&db->base, "PRAGMA foreign_keys = ON; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY", err);
}

static int pragma_int(struct sqlite_db *db, const char *sql, int64_t *ret, struct err *err) {
    struct db_stmt *stmt;

    *ret = 0;
    int r = sqlite_prepare(&db->base, sql, &stmt, err);
    if (r < 0) return r;
    r = sqlite_step(stmt, err);
    if (r == DB_ROW) *ret = sqlite_column_int(stmt, 0);
    sqlite_reset(stmt);
    if (r == 0) return err_set(err, ERR_INTERNAL, "no answer from: %s", sql);
    return r < 0 ? r : 0;
}

/* Another program's database must not get our tables: an empty one is marked as ours by the writer, any other must bear the mark. */
static int claim(struct sqlite_db *db, struct err *err) {
    int64_t id, tables;

    int r = pragma_int(db, "PRAGMA application_id", &id, err);
    if (r < 0 || id == APPLICATION_ID) return r;
    r = pragma_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (r < 0) return r;
    if (id == 0 && tables == 0 && db->mode == DB_WRITER) {
        char sql[64];

        snprintf(sql, sizeof sql, "PRAGMA application_id = %d", APPLICATION_ID);
        return sqlite_exec(&db->base, sql, err);
    }
    r = err_set(err, ERR_STORE_CORRUPT,
                tables || id ? "this is a database, but not one of Serin" : "this file is empty");
    err_at(err, "%s", db->file.path);
    err_remedy(err, "Name another file%s",
               db->mode == DB_WRITER ? " for the store; this one belongs to another program" : "");
    return r;
}

static int use_log(struct sqlite_db *db, struct err *err) {
    struct db_stmt *stmt;

    int r = sqlite_prepare(&db->base, "PRAGMA journal_mode = WAL", &stmt, err);
    if (r < 0) return r;
    r = sqlite_step(stmt, err);
    bool wal = r == DB_ROW && slice_equal_text(sqlite_column_slice(stmt, 0), "wal");
    sqlite_reset(stmt);
    if (r < 0 || wal) return r < 0 ? r : 0;
    r = err_set(err, ERR_STORE_IO, "the file system cannot hold a write-ahead log");
    err_at(err, "%s", db->file.path);
    err_remedy(err, "Keep the store on a local disk");
    return r;
}

/* What is written from now on is not what a backup's seal stands for. */
static int break_seal(struct sqlite_db *db, struct err *err) {
    int64_t seal;

    int r = pragma_int(db, "PRAGMA user_version", &seal, err);
    return r < 0 || !seal ? r : sqlite_exec(&db->base, "PRAGMA user_version = 0", err);
}

static int setup_writer(struct sqlite_db *db, struct err *err) {
    int powersafe = 1;

    (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_POWERSAFE_OVERWRITE, &powersafe); /* see DB_LOG_VFS */
    if (sqlite3_db_readonly(db->handle, "main") == 1) {
        int r = err_set(err, ERR_STORE_READ_ONLY, "the store's file may not be written");
        err_at(err, "%s", db->file.path);
        return r;
    }
    int r =
        sqlite_exec(&db->base,
                    "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -8192; PRAGMA "
                    "journal_size_limit = 67108864",
                    err);
    if (r == 0) r = claim(db, err);
    if (r == 0) r = use_log(db, err);
    return r < 0 ? r : break_seal(db, err);
}

static int open_memory(struct sqlite_db *db, const char *name, struct err *err) {
    char uri[160];

    int n = snprintf(uri, sizeof uri, "file:/serin-%s?vfs=memdb", name);
    if (n >= (int)sizeof uri || strpbrk(name, "?#%/"))
        return err_set(err, ERR_CONFIG, "\"%s\" is no name for a store in memory", name);
    return open_handle(db, uri, SQLITE_OPEN_URI | SQLITE_OPEN_CREATE, err);
}

static void free_textp(char **text) {
    sqlite3_free(*text);
}

/* Without locks, log and index: right for a file that nobody writes, and the only way on a medium that cannot be written. */
static int open_still(struct sqlite_db *db, struct err *err) {
    _cleanup_(free_textp) char *uri = sqlite3_mprintf("file:");

    for (const char *p = db->file.path; uri && *p; p++) {
        bool plain = !strchr("%?#", *p);
        char *longer = sqlite3_mprintf(plain ? "%s%c" : "%s%%%02X", uri, plain ? *p : (unsigned char)*p);
        sqlite3_free(uri);
        uri = longer;
    }
    _cleanup_(free_textp) char *whole = uri ? sqlite3_mprintf("%s?immutable=1", uri) : NULL;
    return whole ? open_handle(db, whole, SQLITE_OPEN_URI | SQLITE_OPEN_READONLY, err) : err_no_memory(err);
}

static int open_file(struct sqlite_db *db, const char *path, struct err *err) {
    int r = db_file_open(path, db->mode, &db->file, err);
    if (r < 0) return r;
    bool still = db->mode == DB_VISITOR && !db_file_has_log(db->file.path);
    r = still ? open_still(db, err) : open_handle(db, db->file.path, 0, err);
    if (r < 0) return r;
    if (db->mode == DB_WRITER) return setup_writer(db, err);
    r = sqlite_exec(&db->base, "PRAGMA wal_autocheckpoint = 0; PRAGMA query_only = ON; PRAGMA cache_size = -1024", err);
    return r < 0 ? r : claim(db, err);
}

bool db_sqlite_exists(const char *address) {
    struct stat st;

    if (strncmp(address, MEMORY, sizeof MEMORY - 1) == 0) return true;
    if (stat(address, &st) < 0) return errno != ENOENT && errno != ENOTDIR;
    return !S_ISREG(st.st_mode) || st.st_size > 0;
}

int db_sqlite_open(const char *address, enum db_mode mode, struct db **ret, struct err *err) {
    _cleanup_(sqlite_closep) struct sqlite_db *db = calloc(1, sizeof *db);

    if (!db) return err_no_memory(err);
    configure_library();
    db_log_vfs_add();
    *db = (struct sqlite_db){.base.driver = &sqlite_driver, .mode = mode, .file = DB_FILE_INIT};
    if (!*address) {
        int r = err_set(err, ERR_CONFIG, "the store's address names no file");
        err_remedy(err, "Write the store as sqlite:PATH");
        return r;
    }
    db->memory = strncmp(address, MEMORY, sizeof MEMORY - 1) == 0;
    int r = db->memory ? open_memory(db, address + sizeof MEMORY - 1, err) : open_file(db, address, err);
    if (r < 0) return r;
    *ret = &TAKE_PTR(db)->base;
    return 0;
}

static const struct db_driver sqlite_driver = {
    .engine = sqlite_engine,
    .close = sqlite_close,
    .prepare = sqlite_prepare,
    .exec = sqlite_exec,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .backup = sqlite_backup,
    .check = sqlite_check,
    .bind_int = sqlite_bind_int,
    .bind_slice = sqlite_bind_slice,
    .bind_bytes = sqlite_bind_bytes,
    .step = sqlite_step,
    .reset = sqlite_reset,
    .column_int = sqlite_column_int,
    .column_slice = sqlite_column_slice,
};
