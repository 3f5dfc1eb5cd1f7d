/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of the last good snapshot. It opens the store; when that fails the server begins with the snapshot file, read-only, and
 * the keeper goes on trying, with back-off and full jitter. While the store is open its thread writes the file
 * whenever the published snapshot has moved. No change waits for it, and when it fails nothing else does.
 *
 * Only who holds the store writes the file, so two servers never do.
 */
#ifndef SERIN_SERVER_KEEPER_H
#define SERIN_SERVER_KEEPER_H

#include "api/api.h"
#include "config/config.h"

struct keeper;

struct keeper_options {
    struct store *store; /* not open yet; must_exist as keeper_finds_file() says */
    struct live *live;
    struct publisher *publisher;
    const char *path; /* of the snapshot file; copied */
    const struct log *log;
    /* What a store needs that was just opened, before anybody else uses it: keys. The snapshot is loaded after it. */
    int (*opened)(void *ctx, struct err *err);
    void *ctx;
};

/* Where the settings say that the snapshot file lies; to be freed, NULL when memory ran out. */
char *keeper_path(const struct config *config) MUST_CHECK;
/* Whether something is there: then a store was, too. */
bool keeper_finds_file(const char *path);

int keeper_new(const struct keeper_options *options, struct keeper **ret, struct err *err) MUST_CHECK;
struct keeper *keeper_free(struct keeper *keeper);
/* Opens the store, or begins with the file. Fails when neither is possible, and on what only a person can mend: settings, another server on
 * the store. */
int keeper_begin(struct keeper *keeper, struct err *err) MUST_CHECK;
/* From here on a thread keeps. */
int keeper_start(struct keeper *keeper, struct err *err) MUST_CHECK;
/* Ends the thread; the file is written a last time when it lacks something. */
void keeper_stop(struct keeper *keeper);
/* Any thread. */
void keeper_standing(struct keeper *keeper, struct api_standing *ret);

#endif
