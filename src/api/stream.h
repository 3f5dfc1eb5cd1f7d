/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of changes (server-sent events). The hub keeps the newest changes in a ring; each is formatted once and shared by
 * all streams. A stream is a cursor into the ring. One that falls behind the ring, or resumes from a position that it
 * no longer holds, is told to fetch the snapshot again (`refetch`).
 *
 * Frames: `ready` first, with the stream's id and the position at which it begins; then one `change` for each change of the environment,
 * its position as the id; `refetch` with the position to continue from; comments while nothing happens.
 *
 * A reader may confirm what it has applied. Its stream's id is a slot and a nonce: found without a search, and that of a closed stream is
 * never taken for the one that has its slot now. A confirmation costs the same whatever is open; only a listing looks at all streams. What is
 * confirmed belongs to this hub, is kept nowhere else, and goes when the stream closes.
 *
 * A stream whose key is revoked ends at once, without the rest of what it was being told.
 *
 * One lock guards ring and streams; it is held while a stream is woken. Any thread.
 */
#ifndef SERIN_API_STREAM_H
#define SERIN_API_STREAM_H

#include "auth/auth.h"
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
/* What a stream says: all above, or for OpenFeature's clients only that there is something new (`message`), once for all that waits to be sent. */
enum hub_form { HUB_CHANGES, HUB_NOTICES };
/* Who reads, copied: `name` as the reader calls itself (at most OPS_LABEL_MAX bytes, or without `ptr`), `key` the name of its key, `key_id` (at most
 * HUB_KEY_ID_MAX bytes) what it is known by: once it is revoked the stream ends. Without `key_id`: nobody's. */
#define HUB_KEY_ID_MAX 63
struct hub_reader {
    struct slice environment, name, key, key_id;
    const struct position *after; /* NULL: from now on */
    enum hub_form form;
};
/* A new stream. It is owned by the answer that carries it. TOO_MANY_STREAMS. */
int hub_open(struct hub *hub, const struct hub_reader *reader, struct http_stream **ret, struct err *err) MUST_CHECK;

#define STREAM_ID_SIZE 25
struct hub_confirmation {
    struct slice stream; /* its id, as `ready` told it */
    const struct principal *principal;
    struct position position; /* everything up to here is applied */
};
/* Takes note of it; *ret is what the stream has confirmed now, which never goes back. STREAM_NOT_FOUND: it is closed, or its environment
 * is none that the principal sees. */
int hub_confirm(struct hub *hub, const struct hub_confirmation *confirmation, struct position *ret,
                struct err *err) MUST_CHECK;

#define HUB_LAGGARDS_MAX 100
struct hub_laggard {
    char id[STREAM_ID_SIZE];
    const char *name, *key; /* in the arena; name "": it gave none */
    struct position confirmed;
    int64_t opened_at;
};
struct hub_standing {
    struct position position; /* that was asked about */
    size_t streams;           /* open in the environment */
    size_t confirming;        /* of these, how many ever confirmed anything */
    size_t confirmed;         /* of the confirming, how many have what the environment had at the position */
    size_t laggard_count;
    struct hub_laggard
        laggards[HUB_LAGGARDS_MAX]; /* of the other confirming ones those furthest behind, furthest first */
};
/* How far the readers of an environment are. `position` NULL: with its newest change. Looks at all streams. */
int hub_standing(struct hub *hub, struct slice environment, const struct position *position, struct arena *arena,
                 struct hub_standing *ret) MUST_CHECK;

void hub_tick(struct hub *hub); /* comments on silent streams */
void hub_end(struct hub *hub);  /* ends all streams; new ones end at once */
struct hub_stats {
    size_t streams, limit;
    size_t confirming;        /* open streams that ever confirmed anything */
    uint64_t events, refused; /* refused: streams, because of the limit */
    uint64_t confirmations;
};
void hub_stats(struct hub *hub, struct hub_stats *ret);

#endif
