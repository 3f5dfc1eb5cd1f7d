/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder of the file system as a source. Every part of a path is opened on its own, relative to the part before and
 * without following links, so that no link, and nobody who swaps one in meanwhile, can lead outside of it. The
 * root itself is the caller's word and may be a link.
 */
#include "model/config.h"
#include "model/model_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 1000

struct folder {
    int fd;
    char name[NAME_MAX + 1];
};

static void closep(int *fd) {
    if (*fd >= 0) close(*fd);
}

static void closedirp(DIR **dir) {
    if (*dir) closedir(*dir);
}

static bool is_link(int parent, const char *name) {
    struct stat st;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* Opens one part below `parent`. */
static int open_part(int parent, struct slice part, int flags, int *ret, struct err *err) {
    _cleanup_(freep) char *name = strndup(part.ptr, part.len);
    int errnum;

    if (!name) return err_no_memory(err);
    *ret = openat(parent, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (*ret >= 0) return 0;
    errnum = errno;
    if (is_link(parent, name)) return err_set(err, ERR_OUTSIDE_FOLDER, "is or goes through a symbolic link");
    if (errnum == ENOENT) return err_set(err, ERR_FILE, "does not exist");
    return err_set_errno(err, ERR_FILE, errnum, "cannot be opened");
}

/* Opens the path's parts one below the other; "" is the folder itself. */
static int open_path(int root, const char *path, int last_flags, int *ret, struct err *err) {
    _cleanup_(closep) int at = dup(root);

    if (at < 0) return err_set_errno(err, ERR_FILE, errno, "cannot be opened");
    while (*path) {
        size_t len = strcspn(path, "/");
        bool last = path[len] == '\0';
        int below = -1;
        int r = open_part(at, (struct slice){path, len}, last ? last_flags : O_DIRECTORY, &below, err);
        if (r < 0) return r;
        close(at);
        at = below;
        path += len + !last;
    }
    *ret = at;
    at = -1;
    return 0;
}

static int read_all(int fd, struct arena *arena, struct slice *ret, struct err *err) {
    char *bytes = arena_alloc(arena, CONFIG_SIZE_MAX + 1);
    size_t len = 0;

    if (!bytes) return err_no_memory(err);
    while (len <= CONFIG_SIZE_MAX) {
        ssize_t n = read(fd, bytes + len, CONFIG_SIZE_MAX + 1 - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_set_errno(err, ERR_FILE, errno, "cannot be read");
        if (n == 0) break;
        len += (size_t)n;
    }
    if (len > CONFIG_SIZE_MAX) return err_set(err, ERR_TOO_LARGE, "is larger than %d bytes", CONFIG_SIZE_MAX);
    *ret = (struct slice){bytes, len};
    return 0;
}

static int read_opened(int fd, struct arena *arena, struct slice *ret, struct err *err) {
    struct stat st;

    if (fstat(fd, &st) < 0) return err_set_errno(err, ERR_FILE, errno, "cannot be read");
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_FILE, "is no regular file");
    if (st.st_size > CONFIG_SIZE_MAX) return err_set(err, ERR_TOO_LARGE, "is larger than %d bytes", CONFIG_SIZE_MAX);
    return read_all(fd, arena, ret, err);
}

/* The words of an error are kept short of the path, which the caller names in words of its own. */
static int check_path(const char *path, struct err *err) {
    const char *fault = source_path_fault(path);
    return fault ? err_set(err, ERR_OUTSIDE_FOLDER, "%s", fault) : 0;
}

static int folder_read(void *ctx, const char *path, struct arena *arena, struct slice *ret, struct err *err) {
    const struct folder *folder = ctx;
    _cleanup_(closep) int fd = -1;
    int r;

    r = check_path(path, err);
    if (r == 0) r = open_path(folder->fd, path, 0, &fd, err);
    if (r == 0) r = read_opened(fd, arena, ret, err);
    if (r < 0) err_at(err, "%s", path);
    return r;
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int list_opened(DIR *dir, struct arena *arena, const char **names, struct err *err) {
    size_t count = 0;
    const struct dirent *entry;

    while ((entry = readdir(dir))) {
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) continue;
        if (count == NAMES_MAX) return err_set(err, ERR_TOO_LARGE, "holds more than %d files", NAMES_MAX);
        names[count] = arena_strdup(arena, entry->d_name);
        if (!names[count++]) return err_no_memory(err);
    }
    qsort(names, count, sizeof(*names), compare_names);
    return 0;
}

static int folder_list(void *ctx, const char *path, struct arena *arena, const char ***ret, struct err *err) {
    const struct folder *folder = ctx;
    _cleanup_(closep) int fd = -1;
    _cleanup_(closedirp) DIR *dir = NULL;
    const char **names = arena_array(arena, NAMES_MAX + 1, sizeof(*names));
    int r = names ? 0 : err_no_memory(err);

    if (r == 0 && *path) r = check_path(path, err);
    if (r == 0) r = open_path(folder->fd, *path ? path : ".", O_DIRECTORY, &fd, err);
    if (r == 0) {
        dir = fdopendir(fd);
        r = dir ? 0 : err_set_errno(err, ERR_FILE, errno, "cannot be read");
    }
    if (dir) fd = -1;
    if (r == 0) r = list_opened(dir, arena, names, err);
    if (r < 0) {
        err_at(err, "%s", path);
        return r;
    }
    *ret = names;
    return 0;
}

static void name_folder(struct folder *folder, const char *path) {
    _cleanup_(freep) char *real = realpath(path, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;

    if (!slash || strlen(slash + 1) >= sizeof(folder->name)) return;
    memcpy(folder->name, slash + 1, strlen(slash + 1) + 1);
}

int source_folder_open(const char *path, struct source_reader *ret, struct err *err) {
    _cleanup_(freep) struct folder *folder = calloc(1, sizeof(*folder));
    int r;

    if (!folder) return err_no_memory(err);
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0) {
        r = err_set_errno(err, ERR_FILE, errno, "the folder cannot be opened");
        err_at(err, "%s", path);
        return r;
    }
    name_folder(folder, path);
    *ret = (struct source_reader){.name = folder->name, .read = folder_read, .list = folder_list};
    ret->ctx = TAKE_PTR(folder);
    return 0;
}

void source_folder_close(struct source_reader *reader) {
    struct folder *folder = reader->ctx;

    if (folder) close(folder->fd);
    free(folder);
    *reader = (struct source_reader){0};
}
