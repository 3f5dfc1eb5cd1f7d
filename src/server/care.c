/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals are blocked and asked for in the course of the work, so that a file half written is always removed by who
 * wrote it and no handler needs to know of it.
 */
#include "server/care.h"

#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* ---- progress ---- */

int care_interrupted(struct care *care, struct err *err) {
    const struct timespec now = {0};
    if (sigtimedwait(&care->signals, NULL, &now) < 0) return 0;
    int r = err_set(err, ERR_UNAVAILABLE, "interrupted");
    err_remedy(err, "Run it again when you like; nothing was changed");
    return r;
}

static void clear_line(struct care *care) {
    if (care->shown) fputs("\r\033[K", stderr);
    care->shown = false;
}

static void show(struct care *care, int64_t done, int64_t total) {
    const int64_t pause_us = 100000;
    int64_t now = clock_monotonic(&clock_system);
    if (!care->terminal || now < care->shown_at + pause_us) return;
    care->shown_at = now;
    care->shown = true;
    if (total > 0)
        fprintf(stderr, "\r\033[K%s: %lld %%", care->doing, (long long)(done * 100 / total));
    else
        fprintf(stderr, "\r\033[K%s …", care->doing);
}

static int step(void *ctx, int64_t done, int64_t total, struct err *err) {
    struct care *care = ctx;
    show(care, done, total);
    return care_interrupted(care, err);
}

void care_doing(struct care *care, const char *doing) {
    clear_line(care);
    care->doing = doing;
}

/* ---- begin and end ---- */

static void block_signals(struct care *care) {
    sigemptyset(&care->signals);
    sigaddset(&care->signals, SIGINT);
    sigaddset(&care->signals, SIGTERM);
    sigaddset(&care->signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &care->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is then an error of the write */
}

static int find_path(struct care *care, struct err *err) {
    static const char sqlite[] = "sqlite:";
    care->url = config_text(care->config, SETTING_STORE);
    bool is_file = !strncmp(care->url, sqlite, sizeof(sqlite) - 1) && care->url[sizeof(sqlite) - 1] != ':';
    if (!is_file) {
        int r = err_set(err, ERR_CONFIG, "%s is no store in a file", care->url);
        err_at(err, "store");
        err_remedy(err, "Name it with --store sqlite:PATH");
        return r;
    }
    care->path = strdup(care->url + sizeof(sqlite) - 1);
    return care->path ? 0 : err_no_memory(err);
}

int care_begin(struct care *care, const struct cli_options *options, int argc, char **argv) {
    struct err err = ERR_INIT;
    struct faults faults = FAULTS_INIT;
    *care = (struct care){.terminal = isatty(STDERR_FILENO), .doing = "working"};
    care->watch = (struct db_watch){step, care};
    int r = cli_options_take(options, &argc, argv, care->values, &err);
    struct config_sources sources = {.argc = argc, .argv = argv, .environment = environ};
    if (r == 0) r = config_load(&sources, &care->config, &faults, &err);
    if (r == 0) r = find_path(care, &err);
    int code = r < 0 ? settings_refused(r, &faults, &err) : 0;
    faults_deinit(&faults);
    if (code == 0) block_signals(care);
    return code;
}

void care_end(struct care *care) {
    clear_line(care);
    config_free(care->config);
    free(care->path);
}

int care_failed(struct care *care, const struct err *err) {
    clear_line(care);
    cli_report(err);
    return 1;
}

/* ---- files ---- */

int care_file_error(struct err *err, int errnum, const char *what, const char *path) {
    enum err_code code = errnum == ENOSPC || errnum == EDQUOT ? ERR_STORE_FULL : ERR_FILE;
    int r = err_set_errno(err, code, errnum, "%s", what);
    err_at(err, "%s", path);
    if (code == ERR_STORE_FULL) err_remedy(err, "Free space there, or name a file on another disk");
    return r;
}

char *care_beside(const char *path, const char *ending) {
    char *text;
    return asprintf(&text, "%s%s", path, ending) < 0 ? NULL : text;
}

int care_sync_folder(const char *path, struct err *err) {
    const char *slash = strrchr(path, '/');
    _cleanup_(freep) char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder) return err_no_memory(err);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return care_file_error(err, errno, "the folder cannot be opened", folder);
    int r =
        fsync(fd) < 0 && errno != EINVAL ? care_file_error(err, errno, "the folder cannot be made durable", folder) : 0;
    close(fd);
    return r;
}

void care_remove(const char *path) {
    static const char *const endings[] = {"", "-journal", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        _cleanup_(freep) char *name = care_beside(path, endings[i]);
        if (name) unlink(name);
    }
}

bool care_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The lock may have been got on a file that its last holder has moved away since. */
static bool is_still_there(int fd, const char *path) {
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static int take_file(int fd, const char *path, struct err *err) {
    bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(fd, path);
    if (!ours) {
        int r = err_set(err, ERR_BUSY, "another program is writing there");
        err_at(err, "%s", path);
        err_remedy(err, "Wait until it has ended, or name another file");
        return r;
    }
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0) return care_file_error(err, errno, "cannot write there", path);
    return 0;
}

int care_new_file(const char *path, int *ret_fd, struct err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) return care_file_error(err, errno, "cannot write there", path);
    int r = take_file(fd, path, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    static const char *const left[] = {"-journal", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        _cleanup_(freep) char *name = care_beside(path, left[i]);
        if (name) unlink(name);
    }
    *ret_fd = fd;
    return 0;
}

void care_size_text(int64_t bytes, char ret[CARE_SIZE_TEXT]) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit < ARRAY_LEN(units) - 1; unit++)
        value /= 1000;
    snprintf(ret, CARE_SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
