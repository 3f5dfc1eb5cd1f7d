/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of changes (server-sent events). The hub keeps the newest changes in a ring; each is formatted once and shared by
 * all streams. A stream is a cursor into the ring. One that falls behind the ring, or resumes from a position that it
 * no longer holds, is told to fetch the snapshot again (`refetch`).
 *
 * Frames: `ready` first, with the position at which the stream begins; then one `change` for each change of the environment, its
 * position as the id; `refetch` with the position to continue from; comments while nothing happens.
 *
 * One lock guards ring and streams; it is held while a stream is woken. Any thread.
 */
#ifndef SERIN_API_STREAM_H
#define SERIN_API_STREAM_H

#include "base/clock.h"
#include "http/http.h"
#include "ops/live.h"

struct hub;

struct hub_options {
    size_t ring;  /* events that are kept */
    size_t limit; /* streams open at once */
    int64_t keepalive_us;
    const struct clock *clock;
};
int hub_new(const struct hub_options *options, struct hub **ret, struct err *err) MUST_CHECK;
/* No stream may be left. */
struct hub *hub_free(struct hub *hub);
/* A live_listener. */
void hub_changed(void *ctx, const struct snapshot *snapshot, const struct live_news *news);
/* The position of the newest change of an environment, or where the hub began when there was none since: what an ETag of its snapshot
 * stands for. */
struct position hub_environment_position(struct hub *hub, struct slice environment);
/* A new stream of an environment. `after` NULL: from now on. The stream is owned by the answer that carries it. TOO_MANY_STREAMS. */
int hub_open(struct hub *hub, struct slice environment, const struct position *after, struct http_stream **ret,
             struct err *err) MUST_CHECK;
void hub_tick(struct hub *hub); /* comments on silent streams */
void hub_end(struct hub *hub);  /* ends all streams; new ones end at once */
struct hub_stats {
    size_t streams, limit;
    uint64_t events, refused; /* refused: streams, because of the limit */
};
void hub_stats(struct hub *hub, struct hub_stats *ret);

#endif
