/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share that care for a store without a server: settings and arguments, progress and interruption, files. */
#ifndef SERIN_SERVER_CARE_H
#define SERIN_SERVER_CARE_H

#include "cli/cli.h"
#include "config/config.h"
#include "db/db.h"
#include "store/store.h"

#include <signal.h>

#define CARE_VALUES_MAX 4

struct care {
    struct config *config;
    const char *values[CARE_VALUES_MAX]; /* of the command's own options, by their place in the table */
    const char *url;                     /* of the store */
    char *path;                          /* of its file, as the settings name it */
    struct db_watch watch;               /* shows progress on a terminal; fails when a signal asks to end */
    sigset_t signals;
    bool terminal, shown;
    const char *doing; /* "copying" */
    int64_t shown_at;
};

/* Reads arguments and settings; tells what is wrong with them. The exit code, 0 to go on. From here on SIGINT, SIGTERM and SIGHUP
 * end nothing by themselves. */
int care_begin(struct care *care, const struct cli_options *options, int argc, char **argv);
void care_end(struct care *care);
/* Tells the error; 1. */
int care_failed(struct care *care, const struct err *err);
/* Names what is done next, for the progress that is shown. */
void care_doing(struct care *care, const char *doing);
/* UNAVAILABLE when a signal asked to end. */
int care_interrupted(struct care *care, struct err *err) MUST_CHECK;

/* FILE with the system's words, or STORE_FULL. */
int care_file_error(struct err *err, int errnum, const char *what, const char *path);
int care_sync_folder(const char *path, struct err *err) MUST_CHECK; /* of the file at `path` */
/* Removes a file and what SQLite may have left beside it. */
void care_remove(const char *path);
/* Whether both names are one file. */
bool care_same_file(const char *a, const char *b);
/* `path` with `ending`; to be freed, NULL when memory ran out. */
char *care_beside(const char *path, const char *ending) MUST_CHECK;
/* An empty file with mode 0600 that no other program of ours is writing, in place of what an earlier run left there. */
int care_new_file(const char *path, int *ret_fd, struct err *err) MUST_CHECK;
/* "1.5 GB" */
#define CARE_SIZE_TEXT 32
void care_size_text(int64_t bytes, char ret[CARE_SIZE_TEXT]);

#endif
