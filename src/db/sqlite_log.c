/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's log, written in few system calls.
 *
 * SQLite writes each page of a commit to the log by two calls, of 24 and of 4,096 bytes; they were half of the processor
 * time of a change. This VFS stands before the system's own and gathers bytes that follow one another in the log until somebody needs
 * them in the file: the sync that makes a commit durable, a read, a cut, or a buffer that is full. With synchronous = FULL
 * SQLite lets no reader know of a commit before that sync, so nobody looks for bytes that are still gathered.
 *
 * A write that fails is told by the call that needed the bytes. For a commit that is the sync, which SQLite takes as it takes a
 * failed write: the frames behind the last commit do not count and are written over.
 *
 * Only a writer's log is opened like this. Every other file is the system's own.
 */
#include "db/db_impl.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define GATHERED_MAX (30 * 4120) /* frames of 4 KB; SQLite's VFS takes less than 128 KB in one call */

struct log_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *system;
};

struct log_file {
    sqlite3_file base;
    sqlite3_int64 start; /* where the gathered bytes belong */
    int len;
    char *bytes;
    sqlite3_int64 system[]; /* the system's file; its size is known when the program runs */
};

static struct log_file *log_of(sqlite3_file *file) {
    return (struct log_file *)(void *)file;
}

static sqlite3_file *system_of(sqlite3_file *file) {
    return (sqlite3_file *)(void *)log_of(file)->system;
}

/* Afterwards nothing is gathered, also when it failed. */
static int flush(sqlite3_file *file) {
    struct log_file *log = log_of(file);
    int len = log->len;

    log->len = 0;
    return len ? system_of(file)->pMethods->xWrite(system_of(file), log->bytes, len, log->start) : SQLITE_OK;
}

static int log_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset) {
    struct log_file *log = log_of(file);

    if (offset != log->start + log->len || len > GATHERED_MAX - log->len) {
        int rc = flush(file);
        if (rc != SQLITE_OK) return rc;
        log->start = offset;
    }
    if (len > GATHERED_MAX) return system_of(file)->pMethods->xWrite(system_of(file), bytes, len, offset);
    memcpy(log->bytes + log->len, bytes, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset) {
    int rc = flush(file);
    return rc == SQLITE_OK ? system_of(file)->pMethods->xRead(system_of(file), bytes, len, offset) : rc;
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    int rc = flush(file);
    return rc == SQLITE_OK ? system_of(file)->pMethods->xTruncate(system_of(file), size) : rc;
}

static int log_sync(sqlite3_file *file, int flags) {
    int rc = flush(file);
    return rc == SQLITE_OK ? system_of(file)->pMethods->xSync(system_of(file), flags) : rc;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *ret) {
    int rc = flush(file);
    return rc == SQLITE_OK ? system_of(file)->pMethods->xFileSize(system_of(file), ret) : rc;
}

/* What is still gathered belongs to no commit. */
static int log_close(sqlite3_file *file) {
    free(log_of(file)->bytes);
    return system_of(file)->pMethods->xClose(system_of(file));
}

static int log_lock(sqlite3_file *file, int level) {
    return system_of(file)->pMethods->xLock(system_of(file), level);
}

static int log_unlock(sqlite3_file *file, int level) {
    return system_of(file)->pMethods->xUnlock(system_of(file), level);
}

static int log_check_lock(sqlite3_file *file, int *ret) {
    return system_of(file)->pMethods->xCheckReservedLock(system_of(file), ret);
}

static int log_control(sqlite3_file *file, int what, void *arg) {
    return system_of(file)->pMethods->xFileControl(system_of(file), what, arg);
}

static int log_sector_size(sqlite3_file *file) {
    return system_of(file)->pMethods->xSectorSize(system_of(file));
}

static int log_device(sqlite3_file *file) {
    return system_of(file)->pMethods->xDeviceCharacteristics(system_of(file));
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_device,
};

static int open_log(sqlite3_vfs *system, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    struct log_file *log = log_of(file);

    *log = (struct log_file){.bytes = malloc(GATHERED_MAX)};
    if (!log->bytes) return SQLITE_NOMEM;
    int rc = system->xOpen(system, name, system_of(file), flags, ret_flags);
    /* Methods say that the file wants to be closed, also after a failure. */
    if (system_of(file)->pMethods)
        log->base.pMethods = &log_methods;
    else
        free(log->bytes);
    return rc;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
    sqlite3_vfs *system = ((struct log_vfs *)(void *)vfs)->system;

    if (flags & SQLITE_OPEN_WAL) return open_log(system, name, file, flags, ret_flags);
    return system->xOpen(system, name, file, flags, ret_flags);
}

/* SQLite keeps VFSes in a list of its own, for as long as the program runs. All that is not about opening files is the system's. */
static void add_vfs(void) {
    static struct log_vfs added;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);

    if (!system) return;
    added = (struct log_vfs){.vfs = *system, .system = system};
    added.vfs.zName = DB_LOG_VFS;
    added.vfs.pNext = NULL;
    added.vfs.szOsFile = (int)sizeof(struct log_file) + system->szOsFile;
    added.vfs.xOpen = vfs_open;
    (void)sqlite3_vfs_register(&added.vfs, 0); /* without it, opening the store fails and says so */
}

void db_log_vfs_add(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, add_vfs);
}
