/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread, two tasks, each with the moment at which it is due: trying the store while it is away, writing the file while it is there.
 *
 * The file is written under another name, made durable, and then gets its name: whenever the process ends, the file is one whole snapshot.
 * It is written at most once a second, and so seldom that writing takes at most a twentieth of the time; changes in
 * between go together into the next one. The snapshot is held by a counted reference meanwhile, so publishing waits for nothing.
 *
 * The store counts as open only when all that a server needs of it went well: migrated, keys made, snapshot loaded. Until then everybody
 * else is told STORE_UNAVAILABLE.
 */
#include "server/keeper.h"

#include "base/failpoint.h"
#include "base/file.h"
#include "server/care.h"
#include "snapshot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define BACKOFF_MIN (SECOND / 20)
#define BACKOFF_MAX (30 * SECOND)
#define SHARE 20 /* of the time that one writing takes must pass until the next */

/* Waits of any length up to a bound that doubles: clients that lost the same thing at once do not come back at once. */
struct backoff {
    int64_t bound;
};

struct keeper {
    struct keeper_options options;
    char *path, *partial;
    pthread_t thread;
    bool running;
    int64_t store_due, file_due; /* monotonic; the thread's own */
    struct backoff store_backoff, file_backoff;
    bool file_good; /* the file at `path` is known to hold the snapshot at file_position */

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    bool stopping;
    struct err store_err; /* why the store is away */
    struct position file_position;
    uint64_t file_failures;
    bool file_failing;
};

/* ---- life ---- */

char *keeper_path(const struct config *config) {
    static const char sqlite[] = "sqlite:";
    const char *path = config_text(config, SETTING_SNAPSHOT_FILE), *store = config_text(config, SETTING_STORE);
    if (*path) return strdup(path);
    bool is_file = !strncmp(store, sqlite, sizeof(sqlite) - 1);
    return care_beside(is_file ? store + sizeof(sqlite) - 1 : "serin", ".snapshot");
}

bool keeper_finds_file(const char *path) {
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int keeper_new(const struct keeper_options *options, struct keeper **ret, struct err *err) {
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    if (!keeper) return err_no_memory(err);
    keeper->options = *options;
    keeper->store_backoff.bound = keeper->file_backoff.bound = SECOND;
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    keeper->path = strdup(options->path);
    keeper->partial = care_beside(options->path, ".partial");
    *ret = keeper;
    return keeper->path && keeper->partial ? 0 : err_no_memory(err);
}

struct keeper *keeper_free(struct keeper *keeper) {
    if (!keeper) return NULL;
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper->path);
    free(keeper->partial);
    free(keeper);
    return NULL;
}

static int64_t now(void) {
    return clock_monotonic(&clock_system);
}

static int64_t backoff_next(struct backoff *backoff) {
    uint64_t random;
    if (random_bytes(&random, sizeof(random), NULL) < 0) random = (uint64_t)backoff->bound / 2;
    int64_t wait = (int64_t)(random % (uint64_t)backoff->bound);
    backoff->bound = backoff->bound < BACKOFF_MAX / 2 ? backoff->bound * 2 : BACKOFF_MAX;
    return now() + (wait < BACKOFF_MIN ? BACKOFF_MIN : wait);
}

/* ---- the file, read ---- */

static int read_file(struct keeper *keeper, struct snapshot **ret, struct err *err) {
    _cleanup_(str_deinit) struct str bytes = STR_INIT;
    int r = file_read(keeper->path, SIZE_MAX, &bytes, NULL, err);
    if (r == 0) r = snapshot_file_read(str_slice(&bytes), ret, err);
    if (r < 0 && !*err->at) err_at(err, "%s", keeper->path);
    return r;
}

/* Serves what the file holds. */
static int begin_with_file(struct keeper *keeper, struct err *err) {
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    int r = read_file(keeper, &snapshot, err);
    if (r < 0) return r;
    live_begin_with(keeper->options.live, snapshot);
    keeper->file_position = snapshot_position(snapshot);
    keeper->file_good = true;
    return 0;
}

static bool read_position(const struct keeper *keeper, struct position *ret) {
    char head[SNAPSHOT_FILE_HEAD];
    int fd = open(keeper->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return false;
    ssize_t size = read(fd, head, sizeof(head));
    close(fd);
    return size == sizeof(head) && snapshot_file_position((struct slice){head, sizeof(head)}, ret);
}

/* ---- the store ---- */

static int read_head(void *arg, struct store_tx *tx, struct err *err) {
    int64_t at;
    return store_head(tx, arg, &at, err);
}

/* A store that is behind the file must not hand out once more what was served: the live part sees to that when it knows the file. */
static int compare_with_file(struct keeper *keeper, struct err *err) {
    struct position file, head;
    struct err unusable;
    if (keeper->file_good || !read_position(keeper, &file)) return 0;
    int r = store_read(keeper->options.store, read_head, &head, err);
    if (r < 0 || position_compare(head, file) >= 0) return r;
    (void)!begin_with_file(keeper, &unusable); /* a damaged file says nothing */
    return 0;
}

static void log_loaded(const struct keeper *keeper, int64_t began) {
    struct publisher_borrow borrow = publisher_borrow(keeper->options.publisher);
    char refs[24], position[POSITION_TEXT_SIZE], milliseconds[24];
    snprintf(refs, sizeof(refs), "%zu", snapshot_entry_count(borrow.snapshot));
    snprintf(milliseconds, sizeof(milliseconds), "%lld", (long long)(now() - began) / 1000);
    position_text(snapshot_position(borrow.snapshot), position);
    publisher_return(keeper->options.publisher, borrow);
    log_write(keeper->options.log, LOG_SNAPSHOT_READY, "the snapshot is loaded", "refs", refs, "position", position,
              "ms", milliseconds, NULL);
}

static int use_store(void *ctx, struct err *err) {
    struct keeper *keeper = ctx;
    int r = keeper->options.opened(keeper->options.ctx, err);
    if (r == 0) r = compare_with_file(keeper, err);
    int64_t began = now();
    if (r == 0) r = live_catch_up(keeper->options.live, err);
    if (r == 0) log_loaded(keeper, began);
    return r;
}

static int try_store(struct keeper *keeper, struct err *err) {
    return store_try(keeper->options.store, use_store, keeper, err);
}

/* Told once for each reason. */
static void note_away(struct keeper *keeper, const struct err *why) {
    pthread_mutex_lock(&keeper->lock);
    bool same = keeper->store_err.code == why->code && !strcmp(keeper->store_err.message, why->message);
    keeper->store_err = *why;
    pthread_mutex_unlock(&keeper->lock);
    if (!same) log_err(keeper->options.log, LOG_STORE_AWAY, why);
}

static void try_again(struct keeper *keeper) {
    struct err err = ERR_INIT;
    if (try_store(keeper, &err) < 0) {
        note_away(keeper, &err);
        keeper->store_due = backoff_next(&keeper->store_backoff);
        return;
    }
    log_write(keeper->options.log, LOG_STORE_BACK, "the store is open again", NULL);
}

/* What trying again cannot mend, and what a person at the start must see. */
static bool is_for_a_person(int r) {
    return r == -ERR_CONFIG || r == -ERR_STORE_LOCKED || r == -ERR_BAD_REQUEST || r == -ERR_NO_MEMORY;
}

static int both_failed(const struct err *store, const struct err *file, struct err *err) {
    *err = *store;
    int r = err_set(err, store->code, "%s; and the snapshot file %s cannot be used: %s", store->message, file->at,
                    file->message);
    err_at(err, "%s", store->at);
    err_remedy(err, "%s", err_remedy_text(store));
    return r;
}

int keeper_begin(struct keeper *keeper, struct err *err) {
    int r = try_store(keeper, err);
    if (r == 0 || is_for_a_person(r) || !keeper_finds_file(keeper->path)) return r;
    struct err away = *err, unusable = ERR_INIT;
    if (!keeper->file_good && begin_with_file(keeper, &unusable) < 0) return both_failed(&away, &unusable, err);
    note_away(keeper, &away);
    keeper->store_due = backoff_next(&keeper->store_backoff);
    return 0;
}

/* ---- the file, written ---- */

struct file_sink {
    int fd;
    const char *path;
};

static int sink(void *ctx, struct slice bytes, struct err *err) {
    const struct file_sink *file = ctx;
    while (bytes.len) {
        ssize_t done = write(file->fd, bytes.ptr, bytes.len);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return care_file_error(err, errno, "the snapshot file cannot be written", file->path);
        bytes = (struct slice){bytes.ptr + done, bytes.len - (size_t)done};
    }
    return 0;
}

static int write_partial(const struct keeper *keeper, const struct snapshot *snapshot, struct err *err) {
    struct file_sink file = {.path = keeper->partial};
    int r = care_new_file(keeper->partial, &file.fd, err);
    if (r < 0) return r;
    FAILPOINT(snapshot_file_made);
    r = snapshot_file_write(snapshot, sink, &file, err);
    if (r == 0 && fsync(file.fd) < 0)
        r = care_file_error(err, errno, "the snapshot file cannot be made durable", keeper->partial);
    close(file.fd);
    return r;
}

static int take_name(const struct keeper *keeper, struct err *err) {
    FAILPOINT(snapshot_file_synced);
    if (rename(keeper->partial, keeper->path) < 0)
        return care_file_error(err, errno, "the snapshot file cannot get its name", keeper->path);
    FAILPOINT(snapshot_file_named);
    return care_sync_folder(keeper->path, err);
}

static int write_file(const struct keeper *keeper, const struct snapshot *snapshot, struct err *err) {
    int r = write_partial(keeper, snapshot, err);
    if (r == 0) r = take_name(keeper, err);
    if (r < 0) unlink(keeper->partial);
    return r;
}

/* Told once until it goes well. */
static void note_failed(struct keeper *keeper, const struct err *why) {
    pthread_mutex_lock(&keeper->lock);
    bool told = keeper->file_failing;
    keeper->file_failing = true;
    keeper->file_failures++;
    pthread_mutex_unlock(&keeper->lock);
    if (!told) log_err(keeper->options.log, LOG_SNAPSHOT_FILE_FAILED, why);
    keeper->file_due = backoff_next(&keeper->file_backoff);
}

static void note_written(struct keeper *keeper, struct position position, int64_t took) {
    pthread_mutex_lock(&keeper->lock);
    bool failed = keeper->file_failing;
    keeper->file_failing = false;
    keeper->file_position = position;
    pthread_mutex_unlock(&keeper->lock);
    if (failed) log_write(keeper->options.log, LOG_SNAPSHOT_FILE_WRITTEN, "the snapshot file is written again", NULL);
    keeper->file_good = true;
    keeper->file_backoff.bound = SECOND;
    keeper->file_due = now() + (took * SHARE > SECOND ? took * SHARE : SECOND);
}

static void write_if_moved(struct keeper *keeper) {
    struct err err = ERR_INIT;
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = publisher_get(keeper->options.publisher);
    struct position position = snapshot_position(snapshot);
    if (keeper->file_good && position_compare(position, keeper->file_position) == 0) return;
    int64_t began = now();
    if (write_file(keeper, snapshot, &err) < 0)
        note_failed(keeper, &err);
    else
        note_written(keeper, position, now() - began);
}

/* ---- the thread ---- */

/* Whether to go on, after a second or when it is asked to stop. */
static bool wait_a_turn(struct keeper *keeper) {
    int64_t due = now() + (store_is_open(keeper->options.store) ? SECOND : BACKOFF_MIN);
    struct timespec at = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND * 1000};
    pthread_mutex_lock(&keeper->lock);
    for (int r = 0; !keeper->stopping && r == 0;)
        r = pthread_cond_timedwait(&keeper->wake, &keeper->lock, &at);
    bool stopping = keeper->stopping;
    pthread_mutex_unlock(&keeper->lock);
    return !stopping;
}

static void *keep(void *ctx) {
    struct keeper *keeper = ctx;
    do {
        if (!store_is_open(keeper->options.store) && now() >= keeper->store_due) try_again(keeper);
        if (store_is_open(keeper->options.store) && now() >= keeper->file_due) write_if_moved(keeper);
    } while (wait_a_turn(keeper));
    if (store_is_open(keeper->options.store)) write_if_moved(keeper);
    return NULL;
}

int keeper_start(struct keeper *keeper, struct err *err) {
    int failed = pthread_create(&keeper->thread, NULL, keep, keeper);
    if (failed) return err_set_errno(err, ERR_NO_MEMORY, failed, "the keeper's thread cannot be made");
    keeper->running = true;
    return 0;
}

void keeper_stop(struct keeper *keeper) {
    if (!keeper->running) return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    keeper->running = false;
}

void keeper_standing(struct keeper *keeper, struct api_standing *ret) {
    pthread_mutex_lock(&keeper->lock);
    *ret = (struct api_standing){
        .store_open = store_is_open(keeper->options.store),
        .store_err = keeper->store_err,
        .file = keeper->file_position,
        .file_failures = keeper->file_failures,
    };
    pthread_mutex_unlock(&keeper->lock);
}
