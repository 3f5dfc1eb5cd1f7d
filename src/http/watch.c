/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch: one thread that sees to time and to clients that are gone.
 *
 * - libmicrohttpd knows only inactivity, and keeping that costs a lock for every read and write; so its own timeout is off, and
 *   the watch looks at all connections every WATCH_TICK_MS. It never closes a descriptor: it shuts the socket down, and the
 *   worker sees the end.
 * - A suspended connection is not polled by its worker, so the watch polls the sockets of streams for the client's end.
 * - A socket that is closed while it has unread bytes is reset, and the reset may overtake a refusal. A refused socket's
 *   double is read to its end here, for a short time and a bounded amount.
 */
#include "http/http_impl.h"

#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define QUIET_LOOKS 4
#define LINGER_S 2
#define LINGER_BYTES (8 * 1024 * 1024)
#define SECOND 1000000LL

/* What an event is about: a stream's descriptor, or one of these above all descriptors. */
#define EVENT_LINGER (1ULL << 40)
#define EVENT_WAKE (1ULL << 41)

static int watch_add(struct watch *watch, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event);
}

void watch_stream(struct http_server *server, struct http_connection *connection) {
    (void)watch_add(&server->watch, connection->fd, EPOLLRDHUP | EPOLLET, (uint64_t)connection->fd);
}

void watch_forget_stream(struct http_server *server, struct http_connection *connection) {
    struct epoll_event unused = {0};
    (void)epoll_ctl(server->watch.epoll, EPOLL_CTL_DEL, connection->fd, &unused);
}

/* The event may be about a connection that had this descriptor before: ask the socket again. */
static void stream_event(struct http_server *server, size_t fd) {
    pthread_mutex_lock(&server->lock);
    struct http_connection *connection = fd < server->table_size ? server->table[fd] : NULL;
    if (connection) {
        struct pollfd state = {.fd = connection->fd, .events = POLLRDHUP};
        if (poll(&state, 1, 0) > 0) stream_end(connection);
    }
    pthread_mutex_unlock(&server->lock);
}

static void linger_end(struct lingering *linger) {
    (void)close(linger->fd);
    linger->fd = -1;
}

void watch_linger(struct http_server *server, int fd) {
    struct watch *watch = &server->watch;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < LINGER_MAX; i++) {
        struct lingering *linger = &watch->lingers[i];
        if (linger->fd >= 0) continue;
        *linger = (struct lingering){
            .fd = dup(fd), .until = atomic_load(&server->now) + LINGER_S * SECOND, .left = LINGER_BYTES};
        if (linger->fd >= 0 && watch_add(watch, linger->fd, EPOLLIN | EPOLLRDHUP, EVENT_LINGER | i) < 0)
            linger_end(linger);
        break;
    }
    pthread_mutex_unlock(&server->lock);
}

static void linger_event(struct http_server *server, size_t i) {
    char waste[16384];
    pthread_mutex_lock(&server->lock);
    struct lingering *linger = &server->watch.lingers[i];
    if (linger->fd >= 0) {
        ssize_t n = recv(linger->fd, waste, sizeof(waste), MSG_DONTWAIT);
        bool go_on = n > 0 ? (size_t)n < linger->left : n < 0 && (errno == EAGAIN || errno == EINTR);
        if (n > 0 && go_on) linger->left -= (size_t)n;
        if (!go_on) linger_end(linger);
    }
    pthread_mutex_unlock(&server->lock);
}

/* False: its worker has begun something else with it since. */
static bool take_for_cutting(struct http_connection *connection, int phase) {
    return atomic_compare_exchange_strong(&connection->phase, &phase, PHASE_CUT);
}

/* Counted first: whoever sees the connection end finds it in the figures. */
static void cut_for(struct http_connection *connection, int phase, int how, enum http_limit limit) {
    if (!take_for_cutting(connection, phase)) return;
    server_count_refusal(connection->server, limit);
    (void)shutdown(connection->fd, how);
}

static uint64_t bytes_received(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_received : 0;
}

/* Whether nothing came for QUIET_LOOKS looks. */
static bool is_quiet(struct http_connection *connection) {
    uint64_t bytes = bytes_received(connection->fd);
    if (bytes != connection->bytes_seen) connection->quiet_looks = 0;
    connection->bytes_seen = bytes;
    return ++connection->quiet_looks > QUIET_LOOKS;
}

/* Between requests: after idle_timeout a quiet connection goes. One on which bytes come in without ever making a request line is
 * given request_timeout more. Its last bytes may be a whole request that no worker has seen yet: only reading is shut down, and
 * what has come is still answered. */
static void judge_idle(struct http_connection *connection, int64_t age) {
    const struct http_options *options = &connection->server->options;
    int64_t idle = options->idle_timeout_s * SECOND;
    if (age <= idle) {
        connection->quiet_looks = 0;
        return;
    }
    if (age > idle + options->request_timeout_s * SECOND) {
        cut_for(connection, PHASE_IDLE, SHUT_RDWR, HTTP_LIMIT_REQUEST_TIME);
        return;
    }
    if (is_quiet(connection)) cut_for(connection, PHASE_IDLE, SHUT_RD, HTTP_LIMIT_IDLE_TIME);
}

/* The worker's edge-triggered epoll does not tell of a client's end that came in with the bytes before it, and libmicrohttpd does
 * not read again to find it. One look in each phase is enough: an end that comes later makes an edge of its own. */
static void look_for_end(struct http_connection *connection, int phase, int64_t since) {
    struct pollfd state = {.fd = connection->fd, .events = POLLRDHUP};
    if (connection->end_looked_for == since) return;
    connection->end_looked_for = since;
    if (poll(&state, 1, 0) > 0 && take_for_cutting(connection, phase)) (void)shutdown(connection->fd, SHUT_RD);
}

static void judge(struct http_connection *connection, int64_t now) {
    int phase = atomic_load_explicit(&connection->phase, memory_order_acquire);
    int64_t since = atomic_load_explicit(&connection->since, memory_order_relaxed), age = now - since;
    if (age > 0 && (phase == PHASE_IDLE || phase == PHASE_RECEIVING)) look_for_end(connection, phase, since);
    if (phase == PHASE_IDLE) {
        judge_idle(connection, age);
        return;
    }
    if (phase == PHASE_RECEIVING && age > connection->server->options.request_timeout_s * SECOND)
        cut_for(connection, PHASE_RECEIVING, SHUT_RDWR, HTTP_LIMIT_REQUEST_TIME);
}

static void sweep(struct http_server *server, int64_t now) {
    pthread_mutex_lock(&server->lock);
    for (size_t fd = 0; fd < server->table_size; fd++)
        if (server->table[fd]) judge(server->table[fd], now);
    for (size_t i = 0; i < LINGER_MAX; i++) {
        struct lingering *linger = &server->watch.lingers[i];
        if (linger->fd >= 0 && now > linger->until) linger_end(linger);
    }
    pthread_mutex_unlock(&server->lock);
}

static void watch_event(struct http_server *server, uint64_t data) {
    if (data == EVENT_WAKE) return;
    if (data & EVENT_LINGER)
        linger_event(server, (size_t)(data & ~EVENT_LINGER));
    else
        stream_event(server, (size_t)data);
}

/* A worker may still read the text of the last second while the next is written: they have slots of their own. */
static void write_date(struct http_server *server, int64_t second) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t time = (time_t)second;
    struct tm tm = {0};
    if (!gmtime_r(&time, &tm)) return;
    (void)snprintf(server->dates[second % DATES], DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
                   (unsigned)tm.tm_mday % 100, months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
                   (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    atomic_store_explicit(&server->second, second, memory_order_release);
}

void watch_read_clocks(struct http_server *server) {
    const struct clock *clock = server->options.clock;
    int64_t second = clock_wall(clock) / SECOND;
    atomic_store_explicit(&server->now, clock_monotonic(clock), memory_order_relaxed);
    if (second != atomic_load_explicit(&server->second, memory_order_relaxed) && second >= 0)
        write_date(server, second);
}

static void *watch_run(void *ctx) {
    struct http_server *server = ctx;
    struct watch *watch = &server->watch;
    int64_t next = 0;
    while (!atomic_load(&watch->stop)) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int n = epoll_wait(watch->epoll, events, EVENTS_AT_ONCE, WATCH_TICK_MS);
        watch_read_clocks(server);
        for (int i = 0; i < n; i++)
            watch_event(server, events[i].data.u64);
        int64_t real = clock_monotonic(&clock_system);
        if (real < next) continue;
        next = real + WATCH_TICK_MS * 1000LL;
        sweep(server, atomic_load(&server->now));
        atomic_fetch_add_explicit(&watch->looks, 1, memory_order_release);
    }
    return NULL;
}

int watch_start(struct http_server *server, struct err *err) {
    struct watch *watch = &server->watch;
    for (size_t i = 0; i < LINGER_MAX; i++)
        watch->lingers[i].fd = -1;
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    watch->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->epoll < 0 || watch->event < 0 || watch_add(watch, watch->event, EPOLLIN, EVENT_WAKE) < 0)
        return err_set_errno(err, ERR_INTERNAL, errno, "cannot watch connections");
    int errnum = pthread_create(&watch->thread, NULL, watch_run, server);
    if (errnum != 0) return err_set_errno(err, ERR_INTERNAL, errnum, "cannot start a thread");
    watch->running = true;
    return 0;
}

void watch_stop(struct http_server *server) {
    struct watch *watch = &server->watch;
    if (watch->running) {
        atomic_store(&watch->stop, true);
        (void)eventfd_write(watch->event, 1);
        pthread_join(watch->thread, NULL);
        for (size_t i = 0; i < LINGER_MAX; i++)
            if (watch->lingers[i].fd >= 0) linger_end(&watch->lingers[i]);
    }
    if (watch->epoll >= 0) (void)close(watch->epoll);
    if (watch->event >= 0) (void)close(watch->event);
}
