/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void closep(int *fd) {
    if (*fd >= 0) close(*fd);
}

static int fail(const char *path, int errnum, struct err *err) {
    int r = err_set_errno(err, ERR_FILE, errnum, "cannot read %s", path);
    err_at(err, "%s", path);
    return r;
}

/* Opened without blocking, so that a FIFO of that name cannot hold the program up before it is refused. */
static int open_regular(const char *path, int *ret, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fail(path, errno, err);
    *ret = fd;
    if (fstat(fd, &st) < 0) return fail(path, errno, err);
    if (S_ISDIR(st.st_mode)) return fail(path, EISDIR, err);
    if (S_ISREG(st.st_mode)) return 0;
    int r = err_set(err, ERR_FILE, "%s is not a regular file", path);
    err_at(err, "%s", path);
    return r;
}

int file_read(const char *path, size_t limit, struct str *out, bool *ret_missing, struct err *err) {
    _cleanup_(closep) int fd = -1;
    char buffer[8192];
    size_t total = 0;
    errno = 0;
    int r = open_regular(path, &fd, err);
    if (ret_missing) *ret_missing = r < 0 && fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (r < 0) return r;
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(path, errno, err);
        if (n == 0) break;
        total += (size_t)n;
        if (total > limit) {
            r = err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, limit);
            err_at(err, "%s", path);
            return r;
        }
        str_add(out, buffer, (size_t)n);
    }
    return out->failed ? err_no_memory(err) : 0;
}
