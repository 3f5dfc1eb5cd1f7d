/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many streams of one server, read by one thread with epoll, and the deploys whose events they get. When every stream has had its first
 * event: with DEPLOYS 0, prints `ready` and holds the streams until its input ends; with `watch`, prints `ready`, waits for the next event and prints when
 * the last stream had it, in microseconds of the monotonic clock; else deploys so often, each time waiting until all
 * streams have the event, and prints as JSON how many milliseconds after the deploy was sent, and after it was answered, they had
 * it. An event that comes before the answer counts as 0 after it.
 *
 *   bench-streams PORT KEY STREAMS DEPLOYS|watch  on 127.0.0.1; agent-00000 needs two versions, the second one served
 */
#include "world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define BUFFER 65536

/* An event ends with an empty line and the end of its chunk. Nothing else on a stream does: its comments are told not to come. */
#define EVENT_END "\n\n\r\n"
#define TAIL (sizeof(EVENT_END) - 1)

struct stream {
    int fd;
    char tail[TAIL]; /* the newest bytes */
    bool has_event;
};

struct bench {
    struct sockaddr_in address;
    const char *key;
    struct stream *streams;
    size_t count, waiting; /* `waiting` streams do not have the event yet */
    int epoll, control;    /* `control`: the connection that deploys */
    double *arrived;       /* of this deploy, by stream, microseconds on the monotonic clock */
};

static int connect_to(const struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) die("connecting", NULL);
    return fd;
}

static void send_all(int fd, const char *text, size_t size) {
    if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size) die("sending a request", NULL);
}

static void open_stream(struct bench *bench, struct stream *stream) {
    char request[400];
    int size = snprintf(request, sizeof request,
                        "GET /v1/stream?environment=" WORLD_ENVIRONMENT " HTTP/1.1\r\nHost: bench\r\n"
                        "Authorization: Bearer %s\r\n\r\n",
                        bench->key);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};

    stream->fd = connect_to(&bench->address);
    send_all(stream->fd, request, (size_t)size);
    if (epoll_ctl(bench->epoll, EPOLL_CTL_ADD, stream->fd, &event) < 0) die("epoll", NULL);
}

static void keep_tail(struct stream *stream, const char *bytes, size_t size) {
    size_t new = size < TAIL ? size : TAIL;
    memmove(stream->tail, stream->tail + new, TAIL - new);
    memcpy(stream->tail + TAIL - new, bytes + size - new, new);
}

static void read_stream(struct bench *bench, struct stream *stream) {
    static char buffer[BUFFER];
    ssize_t got = recv(stream->fd, buffer, sizeof buffer, 0);

    if (got <= 0) die("a stream ended", NULL);
    keep_tail(stream, buffer, (size_t)got);
    if (memcmp(stream->tail, EVENT_END, TAIL) != 0) return;
    if (stream->has_event) die("a stream got an event that no deploy made", NULL);
    stream->has_event = true;
    bench->arrived[stream - bench->streams] = (double)clock_monotonic(&clock_system);
    bench->waiting--;
}

/* Answers are small: one read has the whole of it. */
static double read_answer(int fd) {
    char answer[4096];
    ssize_t got = recv(fd, answer, sizeof answer - 1, 0);
    double at = (double)clock_monotonic(&clock_system);

    if (got <= 0) die("the server closed the connection", NULL);
    answer[got] = '\0';
    if (strncmp(answer, "HTTP/1.1 201 ", 13) != 0) die(answer, NULL);
    return at;
}

/* Until every stream has its event, and when `answered` is given also the answer. */
static void read_events(struct bench *bench, double *answered) {
    struct epoll_event events[256];

    while (bench->waiting || (answered && *answered == 0)) {
        int count = epoll_wait(bench->epoll, events, ARRAY_LEN(events), PATIENCE_MS);
        if (count <= 0) die("streams wait for an event that does not come", NULL);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                read_stream(bench, events[i].data.ptr);
            else if (answered)
                *answered = read_answer(bench->control);
        }
    }
}

static void expect_events(struct bench *bench) {
    for (size_t i = 0; i < bench->count; i++)
        bench->streams[i].has_event = false;
    bench->waiting = bench->count;
}

static void deploy(struct bench *bench, int version, double *after_sent, double *after_answer) {
    char body[200], request[600];
    int length = snprintf(body, sizeof body,
                          "{\"environment\":\"" WORLD_ENVIRONMENT "\",\"version\":%d,\"reason\":\"b\"}", version);
    int size = snprintf(request, sizeof request,
                        "POST /v1/agents/agent-00000/deployments HTTP/1.1\r\nHost: bench\r\n"
                        "Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                        bench->key, length, body);
    double answered = 0;

    expect_events(bench);
    double sent = (double)clock_monotonic(&clock_system);
    send_all(bench->control, request, (size_t)size);
    read_events(bench, &answered);
    for (size_t i = 0; i < bench->count; i++) {
        double late = bench->arrived[i] - answered;
        after_sent[i] = (bench->arrived[i] - sent) / 1000;
        after_answer[i] = late > 0 ? late / 1000 : 0;
    }
}

static void deploy_often(struct bench *bench, size_t deploys) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    double *sent = calloc(bench->count * deploys, sizeof *sent);
    double *answered = calloc(bench->count * deploys, sizeof *answered);
    if (!sent || !answered) die("out of memory", NULL);

    bench->control = connect_to(&bench->address);
    if (epoll_ctl(bench->epoll, EPOLL_CTL_ADD, bench->control, &event) < 0) die("epoll", NULL);
    for (size_t i = 0; i < deploys; i++)
        deploy(bench, i % 2 ? 2 : 1, sent + i * bench->count, answered + i * bench->count);
    printf("{");
    print_times("after_sent", sent, bench->count * deploys);
    printf(", ");
    print_times("after_answer", answered, bench->count * deploys);
    printf("}\n");
    close(bench->control);
    free(answered);
    free(sent);
}

static void say_ready(void) {
    printf("ready\n");
    fflush(stdout);
}

static void watch(struct bench *bench) {
    double last = 0;
    expect_events(bench);
    say_ready();
    read_events(bench, NULL);
    for (size_t i = 0; i < bench->count; i++)
        if (bench->arrived[i] > last) last = bench->arrived[i];
    printf("%.0f\n", last);
}

static void hold_streams(void) {
    say_ready();
    while (getchar() != EOF) {
    }
}

static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("reading the limit of open files", NULL);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("raising the limit of open files", NULL);
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: bench-streams PORT KEY STREAMS DEPLOYS|watch", NULL);
    struct bench bench = {.address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                          .key = argv[2],
                          .count = strtoul(argv[3], NULL, 10),
                          .epoll = epoll_create1(EPOLL_CLOEXEC)};
    size_t deploys = strtoul(argv[4], NULL, 10);

    raise_limit();
    bench.streams = calloc(bench.count, sizeof *bench.streams);
    bench.arrived = calloc(bench.count, sizeof *bench.arrived);
    if (!bench.streams || !bench.arrived || bench.epoll < 0) die("out of memory", NULL);
    for (size_t i = 0; i < bench.count; i++)
        open_stream(&bench, bench.streams + i);
    expect_events(&bench);
    read_events(&bench, NULL);
    if (!strcmp(argv[4], "watch"))
        watch(&bench);
    else if (deploys)
        deploy_often(&bench, deploys);
    else
        hold_streams();
    for (size_t i = 0; i < bench.count; i++)
        close(bench.streams[i].fd);
    close(bench.epoll);
    free(bench.arrived);
    free(bench.streams);
    return 0;
}
