/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager and its services agree: a socket that it opened before the service began (LISTEN_FDS), and notices about the state
 * of the service (NOTIFY_SOCKET). Both are documented as stable for programs that speak them by themselves; docs/decisions says
 * why Serin does. Where the environment names neither, nothing happens.
 */
#ifndef SERIN_SERVER_SYSTEMD_H
#define SERIN_SERVER_SYSTEMD_H

#include "base/err.h"

#define SYSTEMD_PATH_SIZE 108 /* of an AF_UNIX address */

struct systemd {
    int socket;                     /* that was handed over, or 0 */
    char notify[SYSTEMD_PATH_SIZE]; /* where notices go; empty = nowhere */
};

/* Reads the variables and removes them from the environment: call it before any thread starts. CONFIG when more than
 * one socket is handed over. */
int systemd_init(struct systemd *systemd, struct err *err) MUST_CHECK;
/* Sends lines of NAME=value. A notice that does not arrive is not worth an error: the manager has deadlines of its own. */
void systemd_notify(const struct systemd *systemd, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
