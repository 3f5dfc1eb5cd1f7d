/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of http/ share. Who may touch what:
 *
 *   server->lock     guards `table` (connections by file descriptor), `open`, the addresses and the stopping of streams.
 *                    A file descriptor in the table is open for as long as the lock is held.
 *   pool->lock       guards the queue of requests that wait for a control thread.
 *   a connection     belongs to its worker; while it is suspended for a control thread its request belongs to that thread.
 *                    `phase`, `since` and `requests` are written by the worker and read by the watch.
 *
 * Order of locks: the owner's lock of a stream, then libmicrohttpd's own; server->lock, then libmicrohttpd's own; pool->lock,
 * then libmicrohttpd's own. None of the first three is ever taken while another of them is held, and no callback of a handler
 * is called with one of them held.
 */
#ifndef SERIN_HTTP_HTTP_IMPL_H
#define SERIN_HTTP_HTTP_IMPL_H

#include "base/hash.h"
#include "http/http.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TARGET_INLINE 256  /* request targets up to this are copied without allocation */
#define ARGUMENTS_INLINE 8 /* query arguments up to this are split without allocation */
#define ARENA_LENT 512     /* of the request's arena, without allocation */
#define ARGUMENTS_MAX 256  /* more are refused */
#define HEADERS_COUNT_MAX 100
#define HEADER_RECORD 64         /* libmicrohttpd's record of one header, in the connection's memory */
#define ANSWER_HEAD_RESERVE 1536 /* of the connection's memory, for the head of the answer */
#define BODY_KEPT 2048           /* a body buffer up to this stays with the connection for the next request */
#define ANSWER_KEPT 4096         /* the same for the body of an answer */
#define ANSWER_VALUES 256        /* values of an answer's headers up to this are kept for comparison */
#define HEADERS_KEPT 512         /* headers up to so many bytes, and FIELDS_KEPT of them, are remembered */
#define FIELDS_KEPT 16
#define DATES 16 /* slots for the text of the Date header, used in turn */
#define DATE_SIZE 32
#define WATCH_TICK_MS 250
#define ADDRESS_BUCKETS 1024
#define ADDRESS_KEY_SIZE 16

/* What a connection does, for the watch. */
enum http_phase {
    PHASE_IDLE,      /* no request line yet: since accept or since the last answer */
    PHASE_RECEIVING, /* the request line came; the rest is on its way */
    PHASE_HANDLING,  /* with a handler */
    PHASE_SENDING,
    PHASE_STREAMING,
    PHASE_CUT, /* the watch has closed it */
};

/* How far a request has come, for its worker. */
enum http_step {
    STEP_HEADERS, /* headers are complete, not looked at yet */
    STEP_BODY,
    STEP_CONTROL, /* with a control thread */
    STEP_CONTROL_DONE,
    STEP_ANSWERED,
};

enum http_wake_state {
    WAKE_AWAKE,  /* the reader runs or will run */
    WAKE_ASKED,  /* and was woken since it began */
    WAKE_ASLEEP, /* the connection is suspended */
};

struct http_wake {
    struct MHD_Connection *mhd;
    _Atomic int state; /* enum http_wake_state */
    _Atomic bool end;  /* the stream is to end: the server stops, or the client is gone */
};

/* The last small answer of a connection as libmicrohttpd has it. The next one of the same shape is sent with the same object: it
 * points to the connection's own buffer, in which only the bytes are new. */
struct answer_kept {
    struct MHD_Response *mhd; /* NULL: none */
    const char *data;
    size_t len;
    int64_t second; /* of its Date */
    const char *content_type;
    size_t header_count;
    const char *names[HTTP_HEADERS_MAX];
    size_t lens[HTTP_HEADERS_MAX];
    char values[ANSWER_VALUES]; /* one after the other */
};

/* One header, by its distance from the first. */
struct header_field {
    uint16_t name, name_len, value, value_len;
};

/* The headers of a connection's last sound request. A client says the same ones again and again: when the bytes are the same and
 * libmicrohttpd cut them at the same places, all that was found out about them still holds. */
struct headers_kept {
    size_t len;     /* 0: none */
    uint64_t marks; /* header_mark() of every header: most that are asked for are not there */
    size_t count;
    struct header_field fields[FIELDS_KEPT];
    char bytes[HEADERS_KEPT]; /* as libmicrohttpd left them; with the client's key among them */
};

struct http_argument {
    const char *name, *value;
};

struct http_request {
    struct http_connection *connection;
    const char *method;
    char *target; /* own copy: the path, then (after its NUL) the query */
    size_t target_len, target_capacity;
    char target_inline[TARGET_INLINE];
    char target_seen[TARGET_INLINE]; /* how the target came, while target_known */
    const char *raw_target;          /* where libmicrohttpd has it: for the check of the layout */
    const char *first_header;        /* where libmicrohttpd has the headers that `headers` tells of; NULL: look there */
    struct headers_kept headers;
    char *query; /* in target, or NULL */
    struct http_argument *arguments;
    size_t argument_count;
    struct http_argument arguments_inline[ARGUMENTS_INLINE];
    bool arguments_split;
    bool query_coded;  /* the query has bytes to decode or to check */
    bool target_known; /* the target is the last request's: what was read from it still holds */
    bool chunked;      /* the body comes in chunks */
    bool dropped;      /* the server stopped before a control thread took it */
    enum http_step step;
    struct str body;
    struct arena arena;
    _Alignas(max_align_t) char arena_lent[ARENA_LENT];
    struct http_response response;
    struct str body_kept; /* the memory of the last answer's body, for the next */
    struct answer_kept kept;
    struct http_request *next; /* in the control queue */
};

struct address_count;

struct http_connection {
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    pthread_t worker;
    _Atomic int phase;         /* enum http_phase */
    _Atomic int64_t since;     /* the server's coarse time at which the phase began */
    _Atomic uint64_t requests; /* written by the worker only */
    struct address_count *address;
    uint64_t bytes_seen;    /* the watch's: bytes received when it last looked at an idle connection */
    int64_t end_looked_for; /* the watch's: `since` of the phase in which it did */
    unsigned quiet_looks;
    void *slot;
    void (*slot_release)(void *);
    struct http_wake wake;
    struct http_stream *stream;
    char peer[INET6_ADDRSTRLEN];
    struct http_request request;
};

/* Connections by address: IPv4, or the first 64 bits of IPv6 (what one client is given). */
struct address_count {
    struct address_count *next;
    uint8_t key[ADDRESS_KEY_SIZE];
    unsigned count;
};

struct control_pool {
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct http_request *first, *last;
    size_t waiting, running, limit;
    bool closed; /* nothing more is taken in; threads end when the queue is empty */
    bool drop;   /* what still waits is not run any more */
    pthread_t *threads;
    unsigned thread_count;
};

/* A socket that is read to its end although its request was refused, so that the refusal reaches the client. */
#define LINGER_MAX 64
struct lingering {
    int fd; /* -1 = free */
    int64_t until;
    size_t left;
};

struct watch {
    pthread_t thread;
    bool running;
    int epoll, event;
    _Atomic bool stop;
    _Atomic uint64_t looks;
    struct lingering lingers[LINGER_MAX]; /* guarded by server->lock */
};

struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    int listener; /* owned by the daemon once it runs */
    char address[HTTP_ADDRESS_SIZE];
    pthread_mutex_t lock;
    struct http_connection **table;
    size_t table_size;
    size_t open;
    struct address_count *addresses[ADDRESS_BUCKETS];
    struct control_pool pool;
    struct watch watch;
    _Atomic int64_t now;    /* monotonic microseconds, refreshed every WATCH_TICK_MS */
    _Atomic int64_t second; /* Unix time, refreshed with it; its text is dates[second % DATES] */
    char dates[DATES][DATE_SIZE];
    _Atomic bool stopping; /* finish what is open */
    _Atomic bool cutting;  /* and now end it */
    _Atomic uint64_t closed_requests, refused_framing, connections_total, streams_open;
    _Atomic uint64_t refused[HTTP_LIMIT_COUNT_];
};

/* server.c */
void server_count_refusal(struct http_server *server, enum http_limit limit);

/* connection.c */
enum MHD_Result connection_admit(void *server, const struct sockaddr *address, socklen_t len);
void connection_notify(void *server, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code);
void connection_enter(struct http_connection *connection, enum http_phase phase);
const struct sockaddr *connection_address(struct MHD_Connection *mhd);

/* address.c */
struct address_count *address_find(struct http_server *server, const struct sockaddr *address);
struct address_count *address_take(struct http_server *server, const struct sockaddr *address); /* NULL: no memory */
void address_give_back(struct http_server *server, struct address_count *count);

/* request.c */
/* One of 64 bits, the same for names that differ in case only. */
static inline uint64_t header_mark(const char *name, size_t len) {
    return UINT64_C(1) << ((len * 7 ^ (size_t)(name[0] | 0x20)) & 63);
}
void request_init(struct http_request *request, struct http_connection *connection);
bool request_begin(struct http_request *request, const char *target);
void request_reset(struct http_request *request);
void request_deinit(struct http_request *request);
/* Splits and decodes the query. INVALID_UTF8, BAD_REQUEST, NO_MEMORY. */
int request_split_query(struct http_request *request, struct err *err) MUST_CHECK;

/* target.c: decodes path and query; refuses what no client sends by mistake. */
int target_read(struct http_request *request, struct err *err) MUST_CHECK;
/* Decodes %xx (and '+' when `form`) in place; answers the new length. The text was checked before. */
size_t target_decode(char *text, size_t len, bool form);

/* guard.c: everything about a request's head that is refused before a handler sees it. */
int guard_request(struct http_request *request, const char *version, struct err *err) MUST_CHECK;

/* exchange.c: libmicrohttpd's callbacks of a request */
void *exchange_begin(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_step(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
                              const char *version, const char *data, size_t *data_size, void **context);
void exchange_completed(void *server, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code);
/* What libmicrohttpd would write into its log. */
void exchange_complaint(void *server, const char *format, va_list arguments);

/* answer.c */
void answer_begin(struct http_request *request);
void answer_drop_stream(struct http_response *response); /* closes it when it was never begun */
void answer_forget(struct answer_kept *kept);
void answer_refuse(struct http_request *request, const struct err *err);
enum MHD_Result answer_queue(struct http_request *request);
/* Writes the refusal to the socket itself, where libmicrohttpd takes no answer. */
void answer_write_now(struct http_request *request);

/* stream.c */
struct MHD_Response *stream_answer(struct http_connection *connection, struct http_stream *stream);
void stream_end(struct http_connection *connection); /* with server->lock held */

/* control.c */
int control_start(struct control_pool *pool, struct http_server *server, struct err *err) MUST_CHECK;
bool control_submit(struct control_pool *pool, struct http_request *request); /* suspends the connection; false: full */
void control_stop(struct control_pool *pool);
void control_deinit(struct control_pool *pool);
void control_stats(struct control_pool *pool, struct http_stats *ret); /* its two figures */

/* watch.c */
void watch_read_clocks(struct http_server *server);
int watch_start(struct http_server *server, struct err *err) MUST_CHECK;
void watch_stop(struct http_server *server);
void watch_stream(struct http_server *server, struct http_connection *connection);
void watch_forget_stream(struct http_server *server, struct http_connection *connection);
/* Keeps a second descriptor of the socket and reads it empty, so that closing it does not destroy the answer on its way. */
void watch_linger(struct http_server *server, int fd);

/* listen.c */
int listen_open(const struct http_options *options, int *ret_fd, char ret_address[HTTP_ADDRESS_SIZE],
                struct err *err) MUST_CHECK;

#endif
