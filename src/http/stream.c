/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams. When read() has nothing the connection is suspended and costs nothing until it is woken. A wake may come at any moment
 * between, so the state goes
 *
 *     AWAKE --read() has nothing, suspended--> ASLEEP --wake, resumed--> ASKED --read() begins--> AWAKE
 *     AWAKE --wake--> ASKED: the reader finds it when it wants to sleep, and resumes itself
 *
 * Whoever moves it out of ASLEEP resumes the connection, exactly once. A suspended connection cannot end, so it is there for the
 * one who resumes it. After that it may end at any time: this is why the owner of the stream holds a lock of its own around
 * http_stream_wake() and takes the same in close(), and why the server holds server->lock, which it takes before a connection is
 * freed.
 */
#include "http/http_impl.h"

#define BUFFER_WITHOUT_CHUNKS 1024 /* for clients of HTTP/1.0; others are written to the connection's own memory */

void http_stream_wake(struct http_wake *wake) {
    if (atomic_exchange(&wake->state, WAKE_ASKED) == WAKE_ASLEEP) MHD_resume_connection(wake->mhd);
}

void stream_end(struct http_connection *connection) {
    atomic_store(&connection->wake.end, true);
    http_stream_wake(&connection->wake);
}

static void stream_sleep(struct http_wake *wake) {
    MHD_suspend_connection(wake->mhd);
    int expected = WAKE_AWAKE;
    if (!atomic_compare_exchange_strong(&wake->state, &expected, WAKE_ASLEEP)) MHD_resume_connection(wake->mhd);
}

static ssize_t stream_read(void *ctx, uint64_t position, char *buffer, size_t max) {
    struct http_connection *connection = ctx;
    struct http_stream *stream = connection->stream;
    struct http_wake *wake = &connection->wake;
    atomic_store(&wake->state, WAKE_AWAKE);
    if (atomic_load(&wake->end) || atomic_load(&connection->server->stopping)) return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t n = stream->read(stream->ctx, buffer, max);
    if (n < 0) return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0) stream_sleep(wake);
    return n;
}

static void stream_close(void *ctx) {
    struct http_connection *connection = ctx;
    struct http_stream *stream = TAKE_PTR(connection->stream);
    watch_forget_stream(connection->server, connection);
    atomic_fetch_sub_explicit(&connection->server->streams_open, 1, memory_order_relaxed);
    stream->close(stream->ctx);
}

struct MHD_Response *stream_answer(struct http_connection *connection, struct http_stream *stream) {
    struct MHD_Response *mhd = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BUFFER_WITHOUT_CHUNKS, stream_read,
                                                                 connection, stream_close);
    if (!mhd) return NULL;
    connection->stream = stream;
    atomic_store(&connection->wake.end, false);
    atomic_store(&connection->wake.state, WAKE_AWAKE);
    stream->wake = &connection->wake;
    atomic_fetch_add_explicit(&connection->server->streams_open, 1, memory_order_relaxed);
    watch_stream(connection->server, connection);
    return mhd;
}
