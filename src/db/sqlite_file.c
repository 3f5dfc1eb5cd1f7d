/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a SQLite store: where it is, who may write it, and that it is there.
 *
 * SQLite would let several processes write in turn. Serin allows one: its snapshot, its group commit and the rule
 * that one connection checkpoints all assume a single writer. The lock is flock() on a file beside the store: it dies with its
 * owner, is found at once, and says who holds it. The path is resolved first, so that two names of one store meet
 * at one lock. The lock file stays behind; removing it would let two processes lock two files of one name.
 */
#include "db/db_impl.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_error(struct err *err, int errnum, const char *what, const char *path) {
    enum err_code code = ERR_STORE_IO;

    if (errnum == EACCES || errnum == EPERM || errnum == EROFS) code = ERR_STORE_READ_ONLY;
    if (errnum == ENOSPC || errnum == EDQUOT) code = ERR_STORE_FULL;
    if (errnum == ENOMEM) code = ERR_NO_MEMORY;
    int r = err_set_errno(err, code, errnum, "cannot %s", what);
    err_at(err, "%s", path);
    if (errnum == ENOENT || errnum == ENOTDIR) err_remedy(err, "Make the folder first, or name another store");
    return r;
}

/* The folder of `path`, resolved; `path` itself need not be there. */
static char *resolve_folder(const char *path, const char **ret_name) {
    const char *slash = strrchr(path, '/');
    _cleanup_(freep) char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");

    *ret_name = slash ? slash + 1 : path;
    return folder ? realpath(folder, NULL) : NULL;
}

static int resolve(const char *path, char **ret, struct err *err) {
    const char *name;
    _cleanup_(freep) char *folder = NULL;

    *ret = realpath(path, NULL);
    if (*ret) return 0;
    if (errno != ENOENT) return file_error(err, errno, "find the store", path);
    folder = resolve_folder(path, &name);
    if (!folder) return file_error(err, errno, "find the store's folder", path);
    if (!*name) return file_error(err, EISDIR, "open the store", path);
    if (asprintf(ret, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) >= 0) return 0;
    *ret = NULL;
    return err_no_memory(err);
}

static int locked_by_another(int fd, const char *path, struct err *err) {
    char text[24] = "";
    int64_t pid = 0;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n > 0) text[strcspn(text, "\n")] = 0;
    int r = n > 0 && text_to_int(text, 1, INT_MAX, &pid)
                ? err_set(err, ERR_STORE_LOCKED, "process %lld has the store", (long long)pid)
                : err_set(err, ERR_STORE_LOCKED, "another process has the store");
    err_at(err, "%s", path);
    return r;
}

static int take_lock(struct db_file *file, struct err *err) {
    _cleanup_(freep) char *path = NULL;
    char text[24];

    if (asprintf(&path, "%s.lock", file->path) < 0) {
        path = NULL;
        return err_no_memory(err);
    }
    file->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->lock_fd < 0) return file_error(err, errno, "open the store's lock file", path);
    if (flock(file->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK) return locked_by_another(file->lock_fd, file->path, err);
        return file_error(err, errno, "lock the store", path);
    }
    /* The number only informs; a disk too full to take it does not matter here. */
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(file->lock_fd, 0) == 0 && pwrite(file->lock_fd, text, (size_t)len, 0) != len)
        return ftruncate(file->lock_fd, 0) == 0 ? 0 : file_error(err, errno, "write the store's lock file", path);
    return 0;
}

/* A new file is durable only when its folder's entry is. */
static int sync_folder(const char *path, struct err *err) {
    const char *name;
    _cleanup_(freep) char *folder = resolve_folder(path, &name);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd < 0) return file_error(err, errno, "open the store's folder", path);
    int r = fsync(fd) < 0 && errno != EINVAL ? file_error(err, errno, "make the store's folder durable", path) : 0;
    close(fd);
    return r;
}

static int make_file(const char *path, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) return errno == EEXIST ? 0 : file_error(err, errno, "make the store", path);
    close(fd);
    return sync_folder(path, err);
}

void db_file_deinit(struct db_file *file) {
    if (file->lock_fd >= 0) close(file->lock_fd);
    free(file->path);
    *file = DB_FILE_INIT;
}

/* A file that is not there is fine for a writer, who makes it. */
static int check_kind(const char *path, enum db_mode mode, struct err *err) {
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT && mode == DB_WRITER ? 0 : file_error(err, errno, "open the store", path);
    if (S_ISREG(st.st_mode)) return 0;
    int r = err_set(err, ERR_STORE_IO, "the store is no regular file");
    err_at(err, "%s", path);
    err_remedy(err, "Name a file for the store");
    return r;
}

static int find_file(const char *path, enum db_mode mode, struct db_file *file, struct err *err) {
    int r = resolve(path, &file->path, err);
    if (r == 0) r = check_kind(file->path, mode, err);
    return r < 0 || mode != DB_WRITER ? r : take_lock(file, err);
}

static int hand_over(struct db_file *file, int r, struct db_file *ret) {
    if (r == 0)
        *ret = *file;
    else
        db_file_deinit(file);
    return r;
}

int db_file_open(const char *path, enum db_mode mode, struct db_file *ret, struct err *err) {
    struct db_file file = DB_FILE_INIT;

    int r = find_file(path, mode, &file, err);
    if (r == 0 && mode == DB_WRITER) r = make_file(file.path, err);
    return hand_over(&file, r, ret);
}

int db_file_lock(const char *path, struct db_file *ret, struct err *err) {
    struct db_file file = DB_FILE_INIT;
    return hand_over(&file, find_file(path, DB_WRITER, &file, err), ret);
}

bool db_file_has_log(const char *path) {
    _cleanup_(freep) char *log = NULL;

    if (asprintf(&log, "%s-wal", path) < 0) {
        log = NULL;
        return true; /* then it is opened as if it had one, which is never wrong */
    }
    return access(log, F_OK) == 0;
}
