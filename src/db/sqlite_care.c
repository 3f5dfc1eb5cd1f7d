/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying, checking and settling a whole SQLite file.
 *
 * A copy is made with the library's own online backup. It begins anew whenever its source is seen to change, so under steady writing it
 * might never end; a source that holds one read transaction open sees no change, and the copy is that moment. The target
 * gets no journal and no syncs while it is written: until it is whole it is nothing, and its maker throws it away on failure.
 * The header of a copy says "write-ahead log" as its source's does; it is changed, so that the copy is one file that every SQLite opens
 * without making others beside it.
 */
#include "db/db_impl.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_AT_ONCE 256
#define CHECK_STEPS 200000 /* of SQLite's machine between two looks at the watch */
#define SETTLE_WAIT_MS 5000

static void closep(sqlite3 **db) {
    sqlite3_close(*db);
}

static int step(const struct db_watch *watch, int64_t done, int64_t total, struct err *err) {
    return watch ? watch->step(watch->ctx, done, total, err) : 0;
}

/* ---- copying ---- */

static int target_error(sqlite3 *to, int rc, const char *path, struct err *err) {
    enum err_code code = db_sqlite_class(rc, to ? sqlite3_system_errno(to) : ENOMEM);
    int r = err_set(err, code, "the copy cannot be written: %s", sqlite3_errstr(rc));
    err_at(err, "%s", path);
    if (code == ERR_STORE_FULL) err_remedy(err, "Free space there, or name a file on another disk");
    if (code == ERR_STORE_IO) err_remedy(err, "Check that disk, or name a file on another one");
    return r;
}

/* Reading is what can fail on the source's side. */
static bool is_of_source(int rc) {
    return rc == SQLITE_IOERR_READ || rc == SQLITE_IOERR_SHORT_READ || (rc & 0xff) == SQLITE_CORRUPT ||
           (rc & 0xff) == SQLITE_NOTADB;
}

static int open_target(const char *path, sqlite3 **ret, struct err *err) {
    int rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(*ret, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF", NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : target_error(*ret, rc, path, err);
}

/* 0, or what the watch answered; *ret_rc is the library's word. */
static int copy_pages(sqlite3_backup *backup, const struct db_watch *watch, int *ret_rc, struct err *err) {
    do {
        *ret_rc = sqlite3_backup_step(backup, PAGES_AT_ONCE);
        int total = sqlite3_backup_pagecount(backup);
        int r = step(watch, total - sqlite3_backup_remaining(backup), total, err);
        if (r < 0) return r;
    } while (*ret_rc == SQLITE_OK);
    return 0;
}

static int copy_all(sqlite3 *from, const char *path, const struct db_watch *watch, struct err *err) {
    _cleanup_(closep) sqlite3 *to = NULL;
    int rc;

    int r = open_target(path, &to, err);
    if (r < 0) return r;
    sqlite3_exec(to, "PRAGMA journal_mode = OFF", NULL, NULL, NULL);
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup) return target_error(to, sqlite3_extended_errcode(to), path, err);
    r = copy_pages(backup, watch, &rc, err);
    sqlite3_backup_finish(backup);
    if (r < 0 || rc == SQLITE_DONE) return r;
    if (!is_of_source(rc)) return target_error(to, rc, path, err);
    return err_set(err, db_sqlite_class(rc, EIO), "the store cannot be read: %s", sqlite3_errstr(rc));
}

static int make_single_file(const char *path, struct err *err) {
    _cleanup_(closep) sqlite3 *to = NULL;

    int r = open_target(path, &to, err);
    if (r < 0) return r;
    int rc = sqlite3_exec(to, "PRAGMA journal_mode = DELETE; PRAGMA user_version = 0", NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : target_error(to, rc, path, err);
}

int db_sqlite_copy(sqlite3 *from, const char *path, const struct db_watch *watch, struct err *err) {
    int r = copy_all(from, path, watch, err);
    return r < 0 ? r : make_single_file(path, err);
}

/* ---- checking ---- */

struct watched {
    const struct db_watch *watch;
    struct err *err;
    int r;
};

static int interrupt_check(void *arg) {
    struct watched *watched = arg;
    watched->r = step(watched->watch, 0, 0, watched->err);
    return watched->r < 0;
}

static int check_error(sqlite3 *db, const char *found, struct err *err) {
    if (found) return err_set(err, ERR_STORE_CORRUPT, "the file is damaged: %s", found);
    enum err_code code = db_sqlite_class(sqlite3_extended_errcode(db), sqlite3_system_errno(db));
    return err_set(err, code, "the file cannot be checked: %s", sqlite3_errmsg(db));
}

int db_sqlite_check(sqlite3 *db, bool quick, const struct db_watch *watch, struct err *err) {
    struct watched watched = {.watch = watch, .err = err};
    sqlite3_stmt *stmt = NULL;

    sqlite3_progress_handler(db, CHECK_STEPS, interrupt_check, &watched);
    int rc = sqlite3_prepare_v2(db, quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", -1, &stmt, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
    const char *found = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    int r = watched.r;
    if (r == 0 && (!found || strcmp(found, "ok") != 0)) r = check_error(db, found, err);
    sqlite3_finalize(stmt);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    return r;
}

/* ---- the seal ---- */

/*
 * SQLite keeps no checksums of pages, so a flipped bit in somebody's prompt would go unseen. A sealed file bears in its header, where
 * SQLite leaves 32 bits to the application ("user version"), the start of a hash over all its other bytes. 0: not sealed.
 */
#define SEAL_OFFSET 60
#define SEAL_SIZE 4
#define CHUNK (1024 * 1024)

struct sealed {
    uint32_t stands, computed;
};

static int seal_error(const char *path, int errnum, struct err *err) {
    int r = err_set_errno(err, ERR_STORE_IO, errnum, "the file cannot be read through");
    err_at(err, "%s", path);
    return r;
}

/* hash := SHA-256(hash, chunk), the seal's own bytes being zero. */
static int hash_chunk(char *chunk, size_t len, off_t offset, struct sha256 *hash, struct sealed *sealed) {
    uint8_t *seal = (uint8_t *)chunk + SEAL_OFFSET;

    if (offset == 0 && len >= SEAL_OFFSET + SEAL_SIZE) {
        sealed->stands = (uint32_t)seal[0] << 24 | (uint32_t)seal[1] << 16 | (uint32_t)seal[2] << 8 | seal[3];
        memset(seal, 0, SEAL_SIZE);
    }
    struct slice pieces[] = {{(const char *)hash->bytes, SHA256_SIZE}, {chunk, len}};
    return sha256_pieces(pieces, 2, hash);
}

static int hash_file(int fd, const char *path, const struct db_watch *watch, struct sealed *ret, struct err *err) {
    _cleanup_(freep) char *chunk = malloc(CHUNK);
    struct sha256 hash = {0};
    struct stat st;
    ssize_t n;

    if (!chunk) return err_no_memory(err);
    if (fstat(fd, &st) < 0) return seal_error(path, errno, err);
    for (off_t offset = 0; (n = pread(fd, chunk, CHUNK, offset)) != 0; offset += n) {
        if (n < 0) return seal_error(path, errno, err);
        if (hash_chunk(chunk, (size_t)n, offset, &hash, ret) < 0) return err_no_memory(err);
        int r = step(watch, offset, st.st_size, err);
        if (r < 0) return r;
    }
    /* 31 bits, since SQLite shows the field as a signed number; never 0. */
    ret->computed = (uint32_t)(hash.bytes[0] & 0x7f) << 24 | (uint32_t)hash.bytes[1] << 16 |
                    (uint32_t)hash.bytes[2] << 8 | hash.bytes[3] | 1;
    return 0;
}

static void close_filep(int *fd) {
    if (*fd >= 0) close(*fd);
}

int db_seal(const char *path, const struct db_watch *watch, struct err *err) {
    _cleanup_(close_filep) int fd = open(path, O_RDWR | O_CLOEXEC);
    struct sealed sealed = {0};

    if (fd < 0) return seal_error(path, errno, err);
    int r = hash_file(fd, path, watch, &sealed, err);
    if (r < 0) return r;
    uint8_t seal[SEAL_SIZE] = {(uint8_t)(sealed.computed >> 24), (uint8_t)(sealed.computed >> 16),
                               (uint8_t)(sealed.computed >> 8), (uint8_t)sealed.computed};
    return pwrite(fd, seal, SEAL_SIZE, SEAL_OFFSET) == SEAL_SIZE ? 0 : seal_error(path, errno, err);
}

int db_seal_check(const char *path, const struct db_watch *watch, struct err *err) {
    _cleanup_(close_filep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct sealed sealed = {0};

    if (fd < 0) return seal_error(path, errno, err);
    int r = hash_file(fd, path, watch, &sealed, err);
    if (r < 0 || !sealed.stands || sealed.stands == sealed.computed) return r;
    r = err_set(err, ERR_STORE_CORRUPT, "the file is not as it was when it was made: its checksum does not hold");
    err_at(err, "%s", path);
    return r;
}

/* ---- settling ---- */

static int settle_error(sqlite3 *db, const char *path, int rc, struct err *err) {
    enum err_code code = db_sqlite_class(rc, db ? sqlite3_system_errno(db) : ENOMEM);
    int r = err_set(err, code, "the store's log cannot be brought into its file: %s", sqlite3_errstr(rc));
    err_at(err, "%s", path);
    return r;
}

static int checkpoint(const char *path, struct err *err) {
    _cleanup_(closep) sqlite3 *db = NULL;

    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc == SQLITE_OK) sqlite3_busy_timeout(db, SETTLE_WAIT_MS);
    if (rc == SQLITE_OK) rc = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : settle_error(db, path, rc, err);
}

/* The last connection to close removes the log: when it is still there, this was not the last one. */
int db_sqlite_settle(const char *path, struct err *err) {
    int r = checkpoint(path, err);
    if (r < 0 || !db_file_has_log(path)) return r;
    r = err_set(err, ERR_BUSY, "another program has the store open");
    err_at(err, "%s", path);
    err_remedy(err, "End it (a backup that is under way, or sqlite3), and try again");
    return r;
}

const char *db_sqlite_library(void) {
    return sqlite3_libversion();
}
