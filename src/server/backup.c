/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin backup FILE`. A reader of the store copies the moment at which it began into FILE.partial; the copy is held to what a store
 * must be, made durable, and only then gets its name. So FILE is always a whole backup: the new one or the one before.
 * A server may run and write meanwhile; its log cannot be brought into its file until the copy is made, and grows for so long.
 */
#include "base/failpoint.h"
#include "server/care.h"
#include "server/parts.h"
#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_NAME, FORCE };
static const struct cli_option items[] = {
    [FILE_NAME] = {NULL, "FILE", "The backup; written as FILE.partial until it is whole", true, true},
    [FORCE] = {"--force", NULL, "Replace FILE when it is there", false, false},
};
const struct cli_options backup_options = {"backup", items, ARRAY_LEN(items)};

struct backup {
    struct care *care;
    const char *file;
    char *partial;
    int fd;
    struct store_moment moment;
    int64_t began, size;
};

/* Not even --force replaces what the store lives on. */
static int refuse_own_files(const struct backup *backup, struct err *err) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock", ".audit-key"};
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        _cleanup_(freep) char *own = care_beside(backup->care->path, endings[i]);
        if (!own) return err_no_memory(err);
        if (!care_same_file(own, backup->file)) continue;
        int r = err_set(err, ERR_USAGE, "this is a file of the store itself");
        err_at(err, "%s", backup->file);
        err_remedy(err, "Name another file for the backup, best on another disk");
        return r;
    }
    return 0;
}

static int check_target(const struct backup *backup, struct err *err) {
    struct stat st;
    int r = refuse_own_files(backup, err);
    if (r < 0 || (lstat(backup->file, &st) < 0 && errno == ENOENT)) return r;
    bool regular = S_ISREG(st.st_mode);
    if (regular && backup->care->values[FORCE]) return 0;
    r = err_set(err, ERR_FILE, regular ? "the file is there already" : "there is something that is no regular file");
    err_at(err, "%s", backup->file);
    err_remedy(err, regular ? "Name another file, or replace this one with --force" : "Name another file");
    return r;
}

static int copy(struct backup *backup, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    struct store_options options = {.url = backup->care->url, .clock = &clock_system};
    int r = store_visit(&options, STORE_SHARED, &store, err);
    if (r < 0) return r;
    care_doing(backup->care, "copying");
    return store_backup(store, backup->partial, &backup->care->watch, &backup->moment, err);
}

/* What is looked at is the copy, so that whatever went wrong on the way is found. */
static int verify(struct backup *backup, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;
    _cleanup_(freep) char *url = NULL;
    struct store_moment found;
    if (asprintf(&url, "sqlite:%s", backup->partial) < 0) {
        url = NULL;
        return err_no_memory(err);
    }
    struct store_options options = {.url = url, .clock = &clock_system};
    care_doing(backup->care, "verifying");
    int r = store_visit(&options, STORE_STILL, &store, err);
    if (r == 0) r = store_verify(store, false, &backup->care->watch, &found, err);
    if (r < 0) {
        err_prefix(err, "the copy is not whole: ");
        err_remedy(err, "Look at the store with `serin doctor`; when it is sound, the disk of the backup is not");
    }
    return r;
}

static int place(struct backup *backup, struct err *err) {
    struct stat st;
    bool force = backup->care->values[FORCE];
    if (fsync(backup->fd) < 0 || fstat(backup->fd, &st) < 0)
        return care_file_error(err, errno, "the backup cannot be made durable", backup->partial);
    int r = care_interrupted(backup->care, err);
    if (r < 0) return r;
    backup->size = st.st_size;
    int failed = renameat2(AT_FDCWD, backup->partial, AT_FDCWD, backup->file, force ? 0 : RENAME_NOREPLACE);
    if (failed && (errno == EINVAL || errno == ENOSYS)) failed = rename(backup->partial, backup->file);
    if (failed) return care_file_error(err, errno, "the backup cannot get its name", backup->file);
    FAILPOINT(backup_named);
    return care_sync_folder(backup->file, err);
}

static int make(struct backup *backup, struct err *err) {
    int r = check_target(backup, err);
    if (r == 0) r = care_new_file(backup->partial, &backup->fd, err);
    if (r < 0) return r;
    r = copy(backup, err);
    FAILPOINT(backup_copied);
    if (r == 0) r = verify(backup, err);
    if (r == 0) r = db_seal(backup->partial, &backup->care->watch, err);
    FAILPOINT(backup_verified);
    if (r == 0) r = place(backup, err);
    if (r < 0) care_remove(backup->partial);
    close(backup->fd);
    return r;
}

static void tell(const struct backup *backup) {
    char position[POSITION_TEXT_SIZE], at[CLOCK_TEXT_SIZE], hash[HASH_TEXT_SIZE], size[CARE_SIZE_TEXT];
    _cleanup_(freep) char *key = audit_key_path(backup->care->config);
    position_text(backup->moment.position, position);
    clock_text(backup->moment.at, at);
    sha256_text(&backup->moment.audit_hash, hash);
    care_size_text(backup->size, size);
    double seconds = (double)(clock_monotonic(&clock_system) - backup->began) / 1e6;
    printf("Made and verified the backup %s\n\n", backup->file);
    printf("position   %s\nas of      %s\naudit      %s\nsize       %s in %.1f s\n", position, at, hash, size, seconds);
    printf("\nKeep with it %s, which signs audit checkpoints: it is not in the backup.\n", key ? key : "the audit key");
}

int backup_main(int argc, char **argv) {
    struct care care;
    struct err err = ERR_INIT;
    int code = care_begin(&care, &backup_options, argc, argv);
    if (code) return code;
    struct backup backup = {.care = &care, .file = care.values[FILE_NAME], .began = clock_monotonic(&clock_system)};
    backup.partial = care_beside(backup.file, ".partial");
    int r = backup.partial ? make(&backup, &err) : err_no_memory(&err);
    if (r < 0) code = care_failed(&care, &err);
    if (r == 0) {
        care_doing(&care, "");
        tell(&backup);
    }
    free(backup.partial);
    care_end(&care);
    return code;
}
