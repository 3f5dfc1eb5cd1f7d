/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin restore FILE`. The backup is copied beside the store, verified there, and given its new epoch there: what is finished
 * then takes the store's name in one rename. A kill at any moment leaves the old store or the new one, and running it again works.
 *
 * The lock is held throughout, so no server can start between two steps. Before the rename the log of the store in place is brought into
 * its file, because a log that stays behind would be taken for the new file's; then the file gets a second name,
 * under which it is kept. When it is damaged its log cannot be brought into it, and is kept beside it instead.
 *
 * Positions are never used twice: the new epoch is later than those of the backup and of the store in place. The last good snapshot
 * shows the old state and is removed.
 */
#include "base/failpoint.h"
#include "server/care.h"
#include "server/parts.h"
#include "server/serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RESTORE_REASON_MAX 1000

enum { FILE_NAME, REASON };
static const struct cli_option items[] = {
    [FILE_NAME] = {NULL, "FILE", "A backup made by `serin backup`", true, true},
    [REASON] = {"--reason", "TEXT", "Why; kept for ever in the audit log (default: which backup was restored)", false,
                false},
};
const struct cli_options restore_options = {"restore", items, ARRAY_LEN(items)};

struct restore {
    struct care *care;
    struct db_lock *lock;
    const char *file, *path; /* the backup, and the store's own file */
    char *fresh;             /* where the new store is made */
    int fd;                  /* of `fresh` */
    struct store_moment backup, now;
    bool in_place;    /* there is a store */
    int64_t epoch;    /* its epoch; 0: not known */
    struct err fault; /* why it is not known */
    char *kept;       /* its second name */
};

static int url_of(const char *path, char **ret, struct err *err) {
    *ret = care_beside("sqlite:", path);
    return *ret ? 0 : err_no_memory(err);
}

/* ---- before anything is done ---- */

static int check_names(const struct restore *restore, struct err *err) {
    if (!care_same_file(restore->file, restore->path) && !care_same_file(restore->file, restore->fresh)) return 0;
    int r = err_set(err, ERR_USAGE, "this is the store itself, and no backup of it");
    err_at(err, "%s", restore->file);
    err_remedy(err, "Name a file that `serin backup` made");
    return r;
}

static int check_reason(const char *reason, struct err *err) {
    if (!reason || (strlen(reason) <= RESTORE_REASON_MAX && utf8_valid(reason, strlen(reason)))) return 0;
    int r = err_set(err, ERR_USAGE, "the reason must be UTF-8 and have at most %d bytes", RESTORE_REASON_MAX);
    err_at(err, "--reason");
    return r;
}

static int take_lock(struct restore *restore, struct err *err) {
    int r = db_lock_take(restore->care->url, &restore->lock, err);
    if (r == -ERR_STORE_LOCKED)
        err_remedy(err, "Stop the server first: it would go on serving and writing the old state");
    if (r < 0) return r;
    restore->path = db_lock_path(restore->lock);
    restore->fresh = care_beside(restore->path, ".restoring");
    return restore->fresh ? 0 : err_no_memory(err);
}

/* ---- the store in place ---- */

static int link_as(const char *from, const char *to, struct err *err) {
    if (link(from, to) == 0 || errno == ENOENT || (errno == EEXIST && care_same_file(from, to))) return 0;
    return care_file_error(err, errno, "the store in place cannot be kept under a second name", to);
}

/* A second name that nothing has. */
static int name_kept(struct restore *restore, struct err *err) {
    char moment[32];
    time_t now = (time_t)(clock_wall(&clock_system) / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(moment, sizeof(moment), "%Y%m%dT%H%M%SZ", &tm);
    for (int i = 1; i < 1000; i++) {
        struct stat st;
        free(restore->kept);
        if (asprintf(&restore->kept, i > 1 ? "%s.before-%s-%d" : "%s.before-%s", restore->path, moment, i) < 0) {
            restore->kept = NULL;
            return err_no_memory(err);
        }
        if (lstat(restore->kept, &st) < 0) return 0;
    }
    return care_file_error(err, EEXIST, "the store in place cannot be kept under a second name", restore->kept);
}

/* SQLite throws away a log of which it can make nothing. Its second name keeps it until it is known to be in the file. */
static int hold_log(struct restore *restore, bool hold, struct err *err) {
    _cleanup_(freep) char *log = care_beside(restore->path, "-wal");
    _cleanup_(freep) char *held = care_beside(restore->kept, "-wal");
    if (!log || !held) return err_no_memory(err);
    if (hold) return link_as(log, held, err);
    unlink(held);
    return 0;
}

/* A store that is damaged may be replaced; one that cannot be read for another reason (no right, somebody has it open) may not. */
static int read_old(struct restore *restore, struct err *err) {
    struct store_moment moment;
    _cleanup_(freep) char *url = NULL;
    int r = url_of(restore->path, &url, err);
    if (r < 0) return r;
    struct store_options options = {.url = url, .clock = &clock_system};
    r = db_lock_settle(restore->lock, err);
    if (r == 0) r = store_peek(&options, &moment, err);
    if (r == 0) restore->epoch = moment.position.epoch;
    if (r != -ERR_STORE_CORRUPT && r != -ERR_STORE_IO) {
        int dropped = hold_log(restore, false, err);
        return r < 0 ? r : dropped;
    }
    restore->fault = *err;
    *err = ERR_INIT;
    return 0;
}

static int look_at_old(struct restore *restore, struct err *err) {
    restore->in_place = access(restore->path, F_OK) == 0;
    int r = name_kept(restore, err);
    if (r < 0 || !restore->in_place) return r;
    r = hold_log(restore, true, err);
    return r < 0 ? r : read_old(restore, err);
}

/* What lies beside the file belongs to it, and would be taken for the new file's. */
static int set_aside(const struct restore *restore, const char *ending, struct err *err) {
    _cleanup_(freep) char *from = care_beside(restore->path, ending);
    _cleanup_(freep) char *to = care_beside(restore->kept, ending);
    if (!from || !to) return err_no_memory(err);
    int r = link_as(from, to, err);
    if (r == 0 && unlink(from) < 0 && errno != ENOENT)
        return care_file_error(err, errno, "the old log cannot be moved aside", from);
    return r;
}

static int keep_old(const struct restore *restore, struct err *err) {
    int r = link_as(restore->path, restore->kept, err);
    if (r == 0) r = set_aside(restore, "-wal", err);
    if (r == 0) r = set_aside(restore, "-shm", err);
    if (r == 0) r = set_aside(restore, "-journal", err);
    return r < 0 ? r : care_sync_folder(restore->path, err);
}

/* ---- the new store ---- */

/* What is wrong with the copy was wrong with the backup; a place in the audit log stays. */
static void blame_backup(const struct restore *restore, const char *prefix, struct err *err) {
    bool is_file = !*err->at || strchr(err->at, '/');
    err_prefix(err, "%s", prefix);
    if (is_file) err_at(err, "%s", restore->file);
    err_remedy(err, "Restore another backup; nothing was changed");
}

static int copy(struct restore *restore, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    _cleanup_(freep) char *url = NULL;
    int r = url_of(restore->file, &url, err);
    if (r < 0) return r;
    struct store_options options = {.url = url, .clock = &clock_system};
    r = store_visit(&options, STORE_STILL, &store, err);
    care_doing(restore->care, "checking");
    if (r == 0) r = db_seal_check(restore->file, &restore->care->watch, err);
    care_doing(restore->care, "copying");
    if (r == 0) r = store_backup(store, restore->fresh, &restore->care->watch, &restore->backup, err);
    if (r == -ERR_STORE_CORRUPT) blame_backup(restore, "", err);
    return r;
}

static int verify(struct restore *restore, const char *url, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    struct store_options options = {.url = url, .clock = &clock_system};
    care_doing(restore->care, "verifying");
    int r = store_visit(&options, STORE_STILL, &store, err);
    if (r == 0) r = store_verify(store, false, &restore->care->watch, &restore->backup, err);
    if (r == -ERR_STORE_CORRUPT || r == -ERR_CONFLICT) blame_backup(restore, "the backup is not whole: ", err);
    return r;
}

static int read_head(void *arg, struct store_tx *tx, struct err *err) {
    struct restore *restore = arg;
    return store_head(tx, &restore->now.position, &restore->now.at, err);
}

static int begin_epoch(struct restore *restore, const char *url, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    struct store_options options = {.url = url, .clock = &clock_system};
    char at[CLOCK_TEXT_SIZE], reason[64];
    clock_text(restore->backup.at, at);
    snprintf(reason, sizeof(reason), "restored the backup of %s", at);
    const char *given = restore->care->values[REASON];
    int r = store_open(&options, &store, err);
    if (r == 0) r = store_epoch_begin(store, restore->epoch, given ? given : reason, err);
    return r < 0 ? r : store_read(store, read_head, restore, err);
}

/* Closing has brought the log into the file; were it still there, the rename would leave it behind. */
static int finish_file(struct restore *restore, struct err *err) {
    _cleanup_(freep) char *log = care_beside(restore->fresh, "-wal");
    if (!log) return err_no_memory(err);
    if (access(log, F_OK) == 0) return err_set(err, ERR_INTERNAL, "the restored store could not be closed");
    if (fsync(restore->fd) < 0)
        return care_file_error(err, errno, "the restored store cannot be made durable", restore->fresh);
    return 0;
}

static int make_fresh(struct restore *restore, struct err *err) {
    _cleanup_(freep) char *url = NULL;
    int r = url_of(restore->fresh, &url, err);
    if (r == 0) r = copy(restore, err);
    FAILPOINT(restore_copied);
    if (r == 0) r = verify(restore, url, err);
    if (r == 0) r = look_at_old(restore, err);
    if (r == 0) r = begin_epoch(restore, url, err);
    FAILPOINT(restore_begun);
    return r < 0 ? r : finish_file(restore, err);
}

static void remove_fresh(const struct restore *restore) {
    _cleanup_(freep) char *lock = care_beside(restore->fresh, ".lock");
    care_remove(restore->fresh);
    if (lock) unlink(lock);
}

/* ---- one in the place of the other ---- */

static int remove_snapshot(const struct restore *restore, struct err *err) {
    _cleanup_(freep) char *path = keeper_path(restore->care->config);
    if (!path) return err_no_memory(err);
    if (unlink(path) == 0 || errno == ENOENT) return 0;
    return care_file_error(err, errno, "the last good snapshot of the old state cannot be removed", path);
}

static int place(struct restore *restore, struct err *err) {
    int r = care_interrupted(restore->care, err);
    if (r == 0) r = keep_old(restore, err);
    FAILPOINT(restore_kept);
    if (r == 0) r = remove_snapshot(restore, err);
    if (r < 0) return r;
    if (rename(restore->fresh, restore->path) < 0)
        return care_file_error(err, errno, "the restored store cannot get its name", restore->path);
    FAILPOINT(restore_placed);
    remove_fresh(restore);
    return care_sync_folder(restore->path, err);
}

/* ---- the whole ---- */

static int run(struct restore *restore, struct err *err) {
    int r = check_reason(restore->care->values[REASON], err);
    if (r == 0) r = take_lock(restore, err);
    if (r == 0) r = check_names(restore, err);
    if (r == 0) r = care_new_file(restore->fresh, &restore->fd, err);
    if (r < 0) return r;
    r = make_fresh(restore, err);
    if (r == 0) r = place(restore, err);
    if (r < 0) remove_fresh(restore);
    close(restore->fd);
    return r;
}

static void tell(const struct restore *restore) {
    char position[POSITION_TEXT_SIZE], at[CLOCK_TEXT_SIZE], hash[HASH_TEXT_SIZE];
    _cleanup_(freep) char *key = audit_key_path(restore->care->config);
    position_text(restore->backup.position, position);
    clock_text(restore->backup.at, at);
    sha256_text(&restore->backup.audit_hash, hash);
    printf("Restored %s to %s\n\n", restore->file, restore->path);
    printf("position   %s\nas of      %s\naudit      %s\n", position, at, hash);
    position_text(restore->now.position, position);
    printf("now        %s: epoch %lld has begun\n", position, (long long)restore->now.position.epoch);
    if (restore->in_place) printf("before     %s\n", restore->kept);
    printf("\n");
    if (restore->in_place && !restore->epoch)
        printf("The store that was in place could not be read (%s). The new epoch follows that of the backup; when "
               "that store "
               "was itself restored after this backup was made, tell its readers to read anew.\n",
               restore->fault.message);
    if (key && access(key, F_OK) < 0)
        printf("There is no %s: put back the one that was kept with the backup, or the server makes a new one and "
               "checkpoints "
               "are signed by another key from now on.\n",
               key);
    printf("Start the server. `serin audit verify --checkpoint FILE` says whether a kept checkpoint is still in the "
           "log.\n");
}

int restore_main(int argc, char **argv) {
    struct care care;
    struct err err = ERR_INIT;
    int code = care_begin(&care, &restore_options, argc, argv);
    if (code) return code;
    struct restore restore = {.care = &care, .file = care.values[FILE_NAME], .fd = -1};
    int r = run(&restore, &err);
    if (r < 0) code = care_failed(&care, &err);
    if (r == 0) {
        care_doing(&care, "");
        tell(&restore);
    }
    db_lock_release(restore.lock);
    free(restore.fresh);
    free(restore.kept);
    care_end(&care);
    return code;
}
