/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: HTTP requests to operations and back. Routes, parameters, permissions and the OpenAPI document come from the
 * table of operations. What memory can answer is answered on the worker; the rest goes to a control thread.
 */
#ifndef SERIN_API_API_H
#define SERIN_API_API_H

#include "api/flow.h"
#include "http/http.h"
#include "ops/ops.h"
#include "ops/watch.h"

struct api;
struct intake;

/* How this server stands with its store, its snapshot file, the servers of guards and those whom it tells. */
struct api_standing {
    bool store_open;
    struct err store_err; /* why it is not */
    struct position file; /* what the file holds; epoch 0: nothing yet */
    uint64_t file_failures;
    uint64_t guard_queries, guard_failures; /* sent to servers of guards; of these without a usable answer */
    struct {
        uint64_t delivered, failed; /* messages taken, attempts that were not */
        uint64_t failing;           /* webhooks that fail or are disabled */
    } webhooks;
};

struct api_options {
    struct ops *ops;
    struct publisher *publisher;
    size_t stream_ring;          /* changes kept for streams that resume */
    size_t streams;              /* open at once */
    unsigned stream_keepalive_s; /* a comment on a silent stream */
    const char *
        cors_origins; /* whose pages browsers may let at /ofrep/, separated by spaces or commas, or "*"; NULL: nobody's. Copied */
    unsigned requests_per_key; /* a second; 0 = no limit */
    void (*standing)(void *ctx,
                     struct api_standing *ret); /* any thread; NULL: the store is open and there is no file */
    void *standing_ctx;
    /* Any thread; NULL: there is no controller. */
    void (*controller)(void *ctx, struct controller_stats *ret);
    int (*rollouts)(void *ctx, each_rollout *each, void *each_ctx);
    void *controller_ctx;
    struct intake *intake; /* of outcomes; NULL: none are taken */
    struct flow *flow;     /* counts decisions; in seconds of clock_monotonic_coarse() */
    size_t body_limit;     /* of a body that was compressed, expanded; 0 = none */
    unsigned waiters;      /* requests that may wait for a position at once: they keep control threads busy */
};

/* CONFIG: cors_origins is no such list. Registers itself as the listener of ops->live: call it before the first live_catch_up(). */
int api_new(const struct api_options *options, struct api **ret, struct err *err) MUST_CHECK;
/* After the HTTP server was stopped. */
struct api *api_free(struct api *api);
struct http_handler api_handler(struct api *api);
/* The server whose figures /metrics shows. Set once, after it was started. */
void api_serve(struct api *api, const struct http_server *server);
/* A new limit in force. Any thread. */
void api_limit_keys(struct api *api, unsigned requests_per_key);
/* Once a second, from one thread: silent streams get their comment; a snapshot that is behind is tried again; what is counted of versions long gone is let go. */
void api_tick(struct api *api);
/* Begins the end: /readyz answers 503 and streams are ended. */
void api_drain(struct api *api);

/* Appends the OpenAPI 3.1 document. */
void api_openapi(struct str *out);

#endif
