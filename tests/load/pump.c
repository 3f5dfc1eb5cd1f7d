/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load generator for the proofs: one request again and again over many keep-alive connections.
 *
 * With a rate the load is open: requests fall due by the clock, whether or not earlier ones were answered, and a latency counts from
 * the moment at which its request was due. So a server that stops for a second shows this second in all requests of it,
 * as its users would see it. What falls due while every connection waits for an answer is sent when one is free.
 *
 *   pump ADDRESS CONNECTIONS RATE SECONDS FILE
 *
 * RATE 0: as fast as answers come. FILE holds the bytes of the request; ten '@' in it are replaced by a number that is new for each one.
 * Prints one JSON object: requests sent, answers by status, connections that the server cut, due requests that were never sent, answers
 * of 429 and 503 without Retry-After, and the latency of the answers below 300 in milliseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define REQUEST_MAX 65536
#define SLOT_US 10 /* of the histogram */
#define SLOTS 1000000
#define MARK "@@@@@@@@@@"
#define DRAIN_US 5000000 /* for the answers that are still open at the end */

struct connection {
    int fd;      /* -1: cut */
    int64_t due; /* of the request under way, 0 = none */
    char *out;   /* the request */
    size_t sent; /* of it */
    char in[HEAD_MAX];
    size_t in_len;
    int64_t body_left; /* -1: the head is not complete */
    int status;
};

struct pump {
    struct sockaddr_in address;
    struct connection *connections;
    size_t count, idle_count;
    size_t *idle;
    double rate;
    int64_t begin, end;
    char request[REQUEST_MAX];
    size_t request_len;
    char *mark; /* in request, or NULL */
    int epoll;
    uint64_t sent, answered, statuses[600], cut, unsent, without_retry;
    uint32_t slots[SLOTS + 1];
    uint64_t good;
    int64_t longest;
};

static void die(const char *what) {
    fprintf(stderr, "pump: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void read_request(struct pump *pump, const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) die(path);
    pump->request_len = fread(pump->request, 1, REQUEST_MAX - 1, file);
    fclose(file);
    pump->mark = strstr(pump->request, MARK);
}

static void read_address(struct pump *pump, const char *text) {
    const char *colon = strrchr(text, ':');
    char host[64];
    if (!colon || (size_t)(colon - text) >= sizeof(host)) die("the address is not HOST:PORT");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    pump->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    if (inet_pton(AF_INET, host, &pump->address.sin_addr) != 1) die("the address is not HOST:PORT");
}

static bool connect_one(struct pump *pump, size_t number) {
    struct connection *connection = pump->connections + number;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    connection->fd = -1;
    if (connect(fd, (const struct sockaddr *)&pump->address, sizeof(pump->address)) < 0) {
        close(fd);
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = number};
    if (epoll_ctl(pump->epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    connection->fd = fd;
    connection->due = 0;
    pump->idle[pump->idle_count++] = number;
    return true;
}

static void cut(struct pump *pump, size_t number) {
    struct connection *connection = pump->connections + number;
    close(connection->fd);
    connection->fd = -1;
    if (connection->due) pump->cut++;
    for (size_t i = 0; i < pump->idle_count; i++)
        if (pump->idle[i] == number) pump->idle[i--] = pump->idle[--pump->idle_count];
    if (now_us() < pump->end && !connect_one(pump, number)) pump->cut++;
}

/* ---- sending ---- */

static void send_rest(struct pump *pump, size_t number) {
    struct connection *connection = pump->connections + number;
    while (connection->sent < pump->request_len) {
        ssize_t done = send(connection->fd, connection->out + connection->sent, pump->request_len - connection->sent,
                            MSG_NOSIGNAL);
        if (done < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u64 = number};
            epoll_ctl(pump->epoll, EPOLL_CTL_MOD, connection->fd, &event);
            return;
        }
        if (done <= 0) {
            cut(pump, number);
            return;
        }
        connection->sent += (size_t)done;
    }
}

static void send_one(struct pump *pump, int64_t due) {
    size_t number = pump->idle[--pump->idle_count];
    struct connection *connection = pump->connections + number;
    char digits[24];
    memcpy(connection->out, pump->request, pump->request_len);
    if (pump->mark) {
        snprintf(digits, sizeof(digits), "%010" PRIu64, pump->sent % UINT64_C(10000000000));
        memcpy(connection->out + (pump->mark - pump->request), digits, sizeof(MARK) - 1);
    }
    connection->sent = connection->in_len = 0;
    connection->body_left = -1;
    connection->due = due;
    pump->sent++;
    send_rest(pump, number);
}

/* The first is due at once. */
static uint64_t due_count(const struct pump *pump, int64_t now) {
    return (uint64_t)((double)(now - pump->begin) * pump->rate / 1e6) + 1;
}

static int64_t due_time(const struct pump *pump, uint64_t number) {
    return pump->begin + (int64_t)((double)number / pump->rate * 1e6);
}

static void send_due(struct pump *pump, int64_t now) {
    if (now >= pump->end) return;
    while (pump->idle_count && (pump->rate == 0 || pump->sent < due_count(pump, now))) {
        send_one(pump, pump->rate == 0 ? now : due_time(pump, pump->sent));
    }
}

/* ---- receiving ---- */

static void count_answer(struct pump *pump, const struct connection *connection, int64_t now) {
    int64_t took = now - connection->due;
    pump->statuses[connection->status]++;
    pump->answered++;
    bool later = connection->status == 429 || connection->status == 503;
    if (later && !strcasestr(connection->in, "\r\nRetry-After:")) pump->without_retry++;
    if (connection->status >= 300) return;
    pump->good++;
    pump->slots[took / SLOT_US < SLOTS ? took / SLOT_US : SLOTS]++;
    if (took > pump->longest) pump->longest = took;
}

/* False when this is no answer. */
static bool read_head(struct connection *connection, const char *body) {
    const char *length = strcasestr(connection->in, "\r\nContent-Length:");
    if (strncmp(connection->in, "HTTP/1.1 ", 9) != 0) return false;
    connection->status = (int)strtol(connection->in + 9, NULL, 10);
    if (connection->status < 100 || connection->status > 599) return false;
    connection->body_left = length ? strtoll(length + 17, NULL, 10) : 0;
    connection->body_left -= connection->in + connection->in_len - body;
    return connection->body_left >= 0;
}

/* 1: complete; 0: more is to come; -1: the connection is lost. */
static int receive(struct connection *connection) {
    char scrap[16384];
    for (;;) {
        bool head = connection->body_left < 0;
        char *to = head ? connection->in + connection->in_len : scrap;
        size_t room = head ? HEAD_MAX - 1 - connection->in_len : sizeof(scrap);
        ssize_t got = room ? recv(connection->fd, to, room, 0) : -1;
        if (got < 0 && errno == EAGAIN) return 0;
        if (got <= 0) return -1;
        if (head) {
            connection->in_len += (size_t)got;
            connection->in[connection->in_len] = '\0';
            const char *body = strstr(connection->in, "\r\n\r\n");
            if (!body) continue;
            if (!read_head(connection, body + 4)) return -1;
        } else {
            connection->body_left -= got;
        }
        if (connection->body_left == 0) return 1;
    }
}

static void on_event(struct pump *pump, const struct epoll_event *event) {
    size_t number = event->data.u64;
    struct connection *connection = pump->connections + number;
    if (connection->fd < 0) return;
    if (event->events & EPOLLOUT) {
        struct epoll_event quiet = {.events = EPOLLIN, .data.u64 = number};
        epoll_ctl(pump->epoll, EPOLL_CTL_MOD, connection->fd, &quiet);
        send_rest(pump, number);
    }
    if (!(event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || connection->fd < 0) return;
    int r = connection->due ? receive(connection) : -1;
    if (r < 0) cut(pump, number);
    if (r <= 0) return;
    count_answer(pump, connection, now_us());
    connection->due = 0;
    pump->idle[pump->idle_count++] = number;
}

/* Microseconds until the next request is due. */
static int64_t wait_us(const struct pump *pump, int64_t now) {
    if (pump->rate == 0 || now >= pump->end || !pump->idle_count) return 50000;
    int64_t next = due_time(pump, pump->sent);
    return next > now ? next - now : 0;
}

static int wait_events(const struct pump *pump, int64_t now, struct epoll_event *events, int max) {
    int64_t wait = wait_us(pump, now);
    struct timespec timeout = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    return epoll_pwait2(pump->epoll, events, max, &timeout, NULL);
}

static void run(struct pump *pump) {
    struct epoll_event events[256];
    for (;;) {
        int64_t now = now_us();
        send_due(pump, now);
        if (now >= pump->end && (pump->idle_count == pump->count || now >= pump->end + DRAIN_US)) break;
        int count = wait_events(pump, now, events, 256);
        for (int i = 0; i < count; i++)
            on_event(pump, events + i);
    }
    uint64_t due = pump->rate == 0 ? pump->sent : due_count(pump, pump->end);
    pump->unsent = due > pump->sent ? due - pump->sent : 0;
}

static double percentile(const struct pump *pump, double part) {
    uint64_t below = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        below += pump->slots[i];
        if ((double)below >= part * (double)pump->good) return (double)(i + 1) * SLOT_US / 1000;
    }
    return (double)pump->longest / 1000;
}

static void print(const struct pump *pump) {
    printf("{\"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"good\": %" PRIu64 ", \"cut\": %" PRIu64
           ", \"unsent\": %" PRIu64 ", \"without_retry_after\": %" PRIu64
           ", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"statuses\": {",
           pump->sent, pump->answered, pump->good, pump->cut, pump->unsent, pump->without_retry, percentile(pump, 0.5),
           percentile(pump, 0.99), (double)pump->longest / 1000);
    const char *comma = "";
    for (size_t i = 0; i < 600; i++) {
        if (!pump->statuses[i]) continue;
        printf("%s\"%zu\": %" PRIu64, comma, i, pump->statuses[i]);
        comma = ", ";
    }
    printf("}}\n");
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: pump ADDRESS CONNECTIONS RATE SECONDS FILE\n");
        return 2;
    }
    struct pump *pump = calloc(1, sizeof(*pump));
    if (!pump) die("memory");
    read_address(pump, argv[1]);
    pump->count = strtoul(argv[2], NULL, 10);
    pump->rate = strtod(argv[3], NULL);
    read_request(pump, argv[5]);
    pump->connections = calloc(pump->count, sizeof(struct connection));
    pump->idle = calloc(pump->count, sizeof(size_t));
    pump->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!pump->connections || !pump->idle || pump->epoll < 0) die("memory");
    for (size_t i = 0; i < pump->count; i++) {
        pump->connections[i].out = malloc(pump->request_len);
        if (!pump->connections[i].out) die("memory");
        if (!connect_one(pump, i)) die("connect");
    }
    pump->begin = now_us();
    pump->end = pump->begin + (int64_t)(strtod(argv[4], NULL) * 1e6);
    run(pump);
    print(pump);
    return 0;
}
