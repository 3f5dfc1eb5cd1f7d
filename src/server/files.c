/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. A connection is one, and a process that has none left can neither accept (libmicrohttpd then tries again and again) nor open its
 * store. So the limit is raised as far as the system allows before anything is opened, and what it leaves is how many
 * connections are taken: accepting ends by a count of our own, never by the system's.
 */
#include "server/parts.h"

#include <stdio.h>
#include <sys/resource.h>

#define FILES_BESIDE                                                                                                   \
    160 /* the store and its readers, the log, refused sockets that are read to their end, and some more */
#define FILES_OF_A_THREAD                                                                                              \
    4 /* a worker's epoll and event, the connection it is about to refuse, a control thread's file */

static rlim_t raise_limit(rlim_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return wanted;
    if (limit.rlim_cur >= wanted) return limit.rlim_cur;
    struct rlimit raised = {.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max, .rlim_max = limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

static void warn(const struct log *log, unsigned wanted, unsigned left, rlim_t limit) {
    char texts[3][24];
    snprintf(texts[0], sizeof(texts[0]), "%u", wanted);
    snprintf(texts[1], sizeof(texts[1]), "%u", left);
    snprintf(texts[2], sizeof(texts[2]), "%llu", (unsigned long long)limit);
    log_write(log, LOG_FILES_SHORT, "fewer connections are taken than the setting says", "connections", texts[0],
              "taken", texts[1], "open_files", texts[2], "remedy",
              "raise LimitNOFILE= of the unit or ulimit -Hn, or lower connections", NULL);
}

int files_for_connections(unsigned threads, unsigned *connections, const struct log *log, struct err *err) {
    rlim_t beside = FILES_BESIDE + (rlim_t)threads * FILES_OF_A_THREAD, wanted = beside + *connections;
    rlim_t limit = raise_limit(wanted);
    if (limit >= wanted) return 0;
    if (limit <= beside) {
        int r = err_set(err, ERR_CONFIG, "the process may open %llu files and needs more than %llu",
                        (unsigned long long)limit, (unsigned long long)beside);
        err_remedy(err, "Raise LimitNOFILE= of the unit or ulimit -Hn");
        return r;
    }
    unsigned left = (unsigned)(limit - beside);
    warn(log, *connections, left, limit);
    *connections = left;
    return 0;
}
