/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a server, put together in the order of their levels and taken apart in the opposite one. */
#ifndef SERIN_SERVER_PARTS_H
#define SERIN_SERVER_PARTS_H

#include "api/api.h"
#include "config/config.h"
#include "controller/guards.h"
#include "notify/notify.h"
#include "ops/ops.h"
#include "server/evidence.h"
#include "server/keeper.h"
#include "server/systemd.h"

struct parts {
    struct systemd systemd; /* filled before the parts are made */
    struct config *config;
    struct log log;
    struct fetch_allow *outgoing; /* where the server may send requests */
    struct store *store;
    struct publisher *publisher;
    struct live *live;
    uint8_t audit_key[ED25519_PRIVATE_SIZE];
    struct ops ops;
    struct intake *intake;
    _Atomic int64_t outcomes_due; /* monotonic: from then on somebody who reads makes the intake save */
    struct api *api;
    struct flow *flow;
    struct evidence_keeper *evidence;
    struct controller *controller;
    struct guards *guards;
    struct notifier *notifier;
    struct keeper *keeper;
    struct http_server *http;
};

/* Settings and log. Faults of settings are printed to standard error by the caller. */
int parts_settings(struct parts *parts, int argc, char **argv, struct faults *faults, struct err *err) MUST_CHECK;
/* The store that the settings name, not open yet. */
int parts_store(struct parts *parts, bool must_exist, struct err *err) MUST_CHECK;
/* Everything, up to an answering server. */
int parts_start(struct parts *parts, struct err *err) MUST_CHECK;
/* Reads the settings again and puts in force those that may change. */
void parts_reload(struct parts *parts);
void parts_stop(struct parts *parts);

/* Where the settings say that the audit key lies; to be freed, NULL when memory ran out. */
char *audit_key_path(const struct config *config) MUST_CHECK;
/* Raises the limit of open files to what `*connections` and so many threads need. When the system does not allow it, *connections becomes
 * what it does, and the log says so. CONFIG when not even one is left. */
int files_for_connections(unsigned threads, unsigned *connections, const struct log *log, struct err *err) MUST_CHECK;

/* The Ed25519 key of the audit: read from its file, or made with mode 0600 when there is none. FILE. */
int audit_key_load(const char *path, uint8_t ret[ED25519_PRIVATE_SIZE], struct err *err) MUST_CHECK;

#endif
