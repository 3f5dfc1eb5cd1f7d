/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire: HTTP/1.1 over libmicrohttpd, kept thin. Worker threads run an epoll loop each; a handler on a worker must never
 * block. What waits (the disk) goes to a small pool of control threads while the connection is suspended.
 * Every request has an arena that dies with it.
 *
 * Refused before any handler sees them (400, connection closed): two Content-Length headers, Content-Length together with
 * Transfer-Encoding, an unknown Transfer-Encoding, folded headers, control bytes in a header's name or value, a missing or second Host in HTTP/1.1.
 * Refused by limits: header (431), body (413), connections (closed at accept), control queue (503 with Retry-After), time (connection closed).
 * Each is counted by itself, see struct http_stats.
 */
#ifndef SERIN_HTTP_HTTP_H
#define SERIN_HTTP_HTTP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <sys/types.h>

struct http_server;
struct http_request;

/* ---- the request: borrowed until the answer is complete ---- */

const char *
http_method(const struct http_request *request); /* "GET", also for HEAD, whose answer is sent without its body */
const char *http_path(const struct http_request *request); /* percent-decoded UTF-8; no "%00"; starts with "/" */
/* Decoded query argument ('+' is a space), or NULL; "" when it has no value. A name given twice: the first; see http_query_each(). */
const char *http_query(const struct http_request *request, const char *name);
/* Calls `each` for all query arguments in order; stops when it answers other than 0, and answers that. */
int http_query_each(const struct http_request *request, int (*each)(void *ctx, const char *name, const char *value),
                    void *ctx);
const char *http_header_named(const struct http_request *request, struct slice name); /* or NULL */
/* The same; inline, so that the length of a literal is not counted for each request. */
static inline const char *http_header(const struct http_request *request, const char *name) {
    return http_header_named(request, slice_of(name));
}
struct slice http_body(const struct http_request *request);
struct arena *http_arena(struct http_request *request);
/* Numeric address of the peer, for the log. */
const char *http_peer(struct http_request *request);
/* One pointer that lives as long as the connection, for the one handler that uses it; freed with `release` when the connection ends.
 * Only the thread that handles the connection's current request may touch it. */
void **http_connection_slot(struct http_request *request, void (*release)(void *));

/* ---- the answer ---- */

#define HTTP_HEADERS_MAX 12
struct http_response {
    int status;
    const char *content_type;
    struct {
        const char *name, *value;
        size_t len;              /* of the value */
    } headers[HTTP_HEADERS_MAX]; /* names are literals; values live in the request's arena or are literals */
    size_t header_count;
    /* Empty, perhaps with memory from an earlier answer: append to it. str_deinit() it before putting another string in its
     * place. Taken over. */
    struct str body;
    struct http_stream *stream; /* when set, the answer is this stream instead of `body` */
};
void http_response_header(struct http_response *response, const char *name, const char *value);
/* The same with a value whose length is known; a NUL stands behind it. */
void http_response_text(struct http_response *response, const char *name, struct slice value);

/* A stream: an answer without end (server-sent events). */
struct http_stream {
    void *ctx;
    /* On a worker. Fills at most `max` bytes; 0 = nothing now (the connection sleeps until http_stream_wake()); -1 = the end. */
    ssize_t (*read)(void *ctx, char *buffer, size_t max);
    /* Called once when the connection is over; afterwards http_stream_wake() must not be called. */
    void (*close)(void *ctx);
    /* What http_stream_wake() takes: filled before the first read(). Other threads look at it only when they know that a read()
     * has been (a flag of the owner's, set in read() under its lock): before that nobody sleeps. */
    struct http_wake *wake;
};
/* Wakes a sleeping stream. Any thread; never blocks; many wakes before one read are one. Must not race with close(): the owner
 * of ctx holds its own lock around both. */
void http_stream_wake(struct http_wake *wake);

/* ---- the server ---- */

enum http_verdict {
    HTTP_ANSWER,  /* `response` is filled */
    HTTP_CONTROL, /* run `control` on a control thread */
};

struct http_handler {
    void *ctx;
    /* On a worker, with the whole body read. Memory only. */
    enum http_verdict (*fast)(void *ctx, struct http_request *request, struct http_response *response);
    /* On a control thread; may block. Fills `response`. */
    void (*control)(void *ctx, struct http_request *request, struct http_response *response);
    /* Fills the answer to a request that http refuses itself, in the project's error form. On a worker. */
    void (*refuse)(void *ctx, const struct err *err, struct arena *arena, struct http_response *response);
};

struct http_options {
    const char *address; /* "127.0.0.1:7420", "[::1]:7420"; port 0 = any free one */
    int socket;          /* above 0: a TCP socket that listens already, instead of `address`; taken over */
    unsigned workers, control_threads;
    size_t control_queue; /* requests that may wait for a control thread */
    size_t header_limit;  /* bytes of request line and headers (MHD's memory for a connection) */
    size_t body_limit;
    unsigned connections;             /* in all */
    unsigned connections_per_address; /* 0 = no limit */
    unsigned idle_timeout_s;          /* no bytes */
    unsigned
        request_timeout_s; /* from the first byte of a request to its last, and for writing an answer without progress */
    const struct clock *clock;
    const struct log *log;
    struct http_handler handler;
};

/* Whether `address` is written as http_options wants it, before anything is started. CONFIG. */
int http_address_check(const char *address, struct err *err) MUST_CHECK;
#define HTTP_ADDRESS_SIZE 64
/* Where a socket that somebody else opened listens. CONFIG when it is no listening TCP socket. */
int http_socket_address(int socket, char ret[HTTP_ADDRESS_SIZE], struct err *err) MUST_CHECK;
/* Starts to listen and serve. PORT_IN_USE, CONFIG (bad address), INTERNAL. Everything in options is borrowed while the server lives. */
int http_server_start(const struct http_options *options, struct http_server **ret, struct err *err) MUST_CHECK;
const char *http_server_address(const struct http_server *server); /* with the real port */
/* No new connections or requests; open requests are finished, streams are ended; after `deadline_ms` what is left is cut. Then frees the server. */
struct http_server *http_server_stop(struct http_server *server, unsigned deadline_ms);

/* What can refuse or end what a client began. */
enum http_limit {
    HTTP_LIMIT_HEADER,
    HTTP_LIMIT_BODY,
    HTTP_LIMIT_CONNECTIONS,
    HTTP_LIMIT_ADDRESS, /* connections_per_address */
    HTTP_LIMIT_CONTROL_QUEUE,
    HTTP_LIMIT_REQUEST_TIME,
    HTTP_LIMIT_IDLE_TIME,
    HTTP_LIMIT_COUNT_
};

struct http_stats {
    uint64_t requests, refused_framing, connections_total;
    uint64_t limit[HTTP_LIMIT_COUNT_], refused[HTTP_LIMIT_COUNT_]; /* each limit, and how often it did */
    uint64_t connections_open, streams_open, control_waiting, control_running;
    uint64_t looks; /* how often all connections were looked at for their deadlines */
};
void http_server_stats(const struct http_server *server, struct http_stats *ret);

const char *http_library(void); /* the version of libmicrohttpd that is loaded: "1.0.1" */

#endif
