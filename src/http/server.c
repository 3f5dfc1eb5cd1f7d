/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server over libmicrohttpd (written against 0.9.75).
 *
 * Threads: the workers are libmicrohttpd's (one epoll loop each, connections stay where they were accepted), control threads run
 * what may block (control.c), and one watch keeps the deadlines (watch.c). A request goes through exchange.c; guard.c refuses what
 * two readers could understand differently; answer.c and stream.c write.
 *
 * What libmicrohttpd answers by itself, before anything of ours is called and in its own words: a request line or header without
 * its separators, an HTTP version other than 1.x, chunks that are malformed (400, 505), a head that does not fit into the
 * connection's memory (431, 414), a chunk's first line that does not (500). It closes the connection each time. A Content-Length
 * that is no number, and cookies that do not fit, it would answer with two heads, the second as the body of the first:
 * exchange_complaint() answers in its place.
 *
 * Chunked bodies are read by libmicrohttpd more leniently than the standard allows (bare LF, any extension), so a connection ends
 * after a chunked request: whatever a client and a proxy before us read differently is then never taken for a next request.
 *
 * Stopping. The listening socket is replaced by one that never listens, which takes it out of every worker's epoll set at once.
 * (MHD_quiesce_daemon() does it from outside while the workers do it too, and aborts the process when both do.) Idle connections are
 * shut for reading, streams end, answers carry "Connection: close"; when the deadline has passed all sockets are shut down. The
 * control threads are joined and all streams woken before MHD_stop_daemon(), which aborts on suspended connections.
 */
#include "http/http_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_MIN 4096
#define STOP_STEP_MS 5

/* The request's own copy is decoded; libmicrohttpd's stays as it came. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *mhd, char *text) {
    return strlen(text);
}

static unsigned connections_for_workers(const struct http_options *options) {
    /* libmicrohttpd divides its limit by the workers and stops to accept at it; ours is connection_admit(). */
    uint64_t limit = ((uint64_t)options->connections + 16) * options->workers;
    return limit > INT32_MAX ? INT32_MAX : (unsigned)limit;
}

static int daemon_start(struct http_server *server, struct err *err) {
    const struct http_options *options = &server->options;
    const struct MHD_OptionItem pool[] = {
        {options->workers > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, options->workers, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK | MHD_USE_ERROR_LOG,
        0, connection_admit, server, exchange_step, server, MHD_OPTION_EXTERNAL_LOGGER, exchange_complaint, server,
        MHD_OPTION_LISTEN_SOCKET, server->listener, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, server, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->header_limit,
        MHD_OPTION_CONNECTION_LIMIT, connections_for_workers(options), MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (!server->daemon) return err_set(err, ERR_INTERNAL, "cannot start the HTTP server");
    return 0;
}

static int check_options(const struct http_options *options, struct err *err) {
    if (options->workers == 0 || options->control_threads == 0 || options->connections == 0)
        return err_set(err, ERR_CONFIG, "workers, control threads and connections must be 1 or more");
    if (options->header_limit < MEMORY_MIN)
        return err_set(err, ERR_CONFIG, "the header limit must be %d or more", MEMORY_MIN);
    if (options->request_timeout_s == 0 || options->idle_timeout_s == 0)
        return err_set(err, ERR_CONFIG, "the timeouts must be 1 second or more");
    return 0;
}

static void server_free(struct http_server *server) {
    watch_stop(server);
    control_deinit(&server->pool);
    if (server->listener >= 0) (void)close(server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server->table);
    free(server);
}

static int server_run(struct http_server *server, struct err *err) {
    int r = listen_open(&server->options, &server->listener, server->address, err);
    if (r < 0) return r;
    r = watch_start(server, err);
    if (r < 0) return r;
    r = control_start(&server->pool, server, err);
    if (r < 0) return r;
    return daemon_start(server, err);
}

int http_server_start(const struct http_options *options, struct http_server **ret, struct err *err) {
    int r = check_options(options, err);
    if (r < 0) return r;
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server) return err_no_memory(err);
    server->options = *options;
    server->listener = server->watch.epoll = server->watch.event = -1;
    pthread_mutex_init(&server->lock, NULL);
    atomic_store(&server->second, -1);
    watch_read_clocks(server);
    r = server_run(server, err);
    if (r < 0) {
        control_stop(&server->pool);
        server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

const char *http_server_address(const struct http_server *server) {
    return server->address;
}

void server_count_refusal(struct http_server *server, enum http_limit limit) {
    atomic_fetch_add_explicit(&server->refused[limit], 1, memory_order_relaxed);
}

void http_server_stats(const struct http_server *const_server, struct http_stats *ret) {
    struct http_server *server = (struct http_server *)const_server; /* its locks */
    const struct http_options *options = &server->options;
    *ret = (struct http_stats){
        .limit = {options->header_limit, options->body_limit, options->connections, options->connections_per_address,
                  options->control_queue, options->request_timeout_s, options->idle_timeout_s},
        .refused_framing = atomic_load(&server->refused_framing),
        .connections_total = atomic_load(&server->connections_total),
        .looks = atomic_load(&server->watch.looks),
        .streams_open = atomic_load(&server->streams_open),
    };
    control_stats(&server->pool, ret);
    for (size_t i = 0; i < HTTP_LIMIT_COUNT_; i++)
        ret->refused[i] = atomic_load_explicit(&server->refused[i], memory_order_relaxed);
    pthread_mutex_lock(&server->lock);
    ret->requests = atomic_load(&server->closed_requests);
    ret->connections_open = server->open;
    for (size_t fd = 0; fd < server->table_size; fd++)
        if (server->table[fd])
            ret->requests += atomic_load_explicit(&server->table[fd]->requests, memory_order_relaxed);
    pthread_mutex_unlock(&server->lock);
}

/* A socket that was never told to listen takes the descriptor's place: accept() on it fails, epoll has forgotten the old one. */
static void stop_listening(struct http_server *server) {
    int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (deaf < 0) return; /* connection_admit() refuses then */
    (void)dup3(deaf, server->listener, O_CLOEXEC);
    (void)close(deaf);
}

/* Answers how many connections are open. */
static size_t drain(struct http_server *server, bool cutting) {
    pthread_mutex_lock(&server->lock);
    for (size_t fd = 0; fd < server->table_size; fd++) {
        struct http_connection *connection = server->table[fd];
        if (!connection) continue;
        stream_end(connection);
        if (cutting)
            (void)shutdown(connection->fd, SHUT_RDWR);
        else if (atomic_load(&connection->phase) == PHASE_IDLE)
            (void)shutdown(connection->fd, SHUT_RD);
    }
    size_t open = server->open;
    pthread_mutex_unlock(&server->lock);
    return open;
}

static void drain_until(struct http_server *server, unsigned deadline_ms) {
    const struct timespec step = {.tv_nsec = STOP_STEP_MS * 1000000L};
    int64_t until = clock_monotonic(&clock_system) + deadline_ms * 1000LL;
    while (drain(server, false) > 0 && clock_monotonic(&clock_system) < until)
        (void)nanosleep(&step, NULL);
}

struct http_server *http_server_stop(struct http_server *server, unsigned deadline_ms) {
    if (!server) return NULL;
    atomic_store(&server->stopping, true);
    stop_listening(server);
    drain_until(server, deadline_ms);
    control_stop(&server->pool);
    (void)drain(server, true);
    MHD_stop_daemon(server->daemon);
    server->listener = -1;
    server_free(server);
    return NULL;
}

const char *http_library(void) {
    return MHD_get_version();
}
