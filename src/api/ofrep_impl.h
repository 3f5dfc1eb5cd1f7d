/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of OpenFeature's remote evaluation. */
#ifndef SERIN_API_OFREP_IMPL_H
#define SERIN_API_OFREP_IMPL_H

#include "api/api_impl.h"

#define OFREP_BODY_MAX (1 << 20)
#define OFREP_BULK_MAX (16 << 20)        /* bytes of a list */
#define OFREP_STEPS_MAX 2000000          /* of all its rules over the lists and texts of the context: some 10 ms */
#define OFREP_AGENTS_MAX 100             /* agents that a list shows; where more are served it shows none */
#define OFREP_AGENTS_BYTES_MAX (1 << 20) /* the same of their bytes */

/* An evaluation. Borrows from the request, the snapshot and `body`. */
struct ofrep {
    struct api *api;
    struct principal principal;
    const struct snapshot *snapshot;
    const struct snapshot_flags *flags; /* NULL: the environment has none */
    struct slice environment;
    struct asked asked;
    json_t *body;     /* when the context could not be read in place; NULL else */
    struct slice set; /* how metadata ends: `","flagSetId":…,"contextId":…}` */
    struct http_request *request;
};

/* ---- ofrep_context.c ---- */

/* The context of the body, in `room` where it is plain. TOO_LARGE, UNSUPPORTED_MEDIA, MALFORMED_JSON, INVALID_UTF8; BAD_REQUEST: it is no context. */
int ofrep_read_context(struct ofrep *ofrep, struct context_room *room, struct err *err) MUST_CHECK;
/* A hash of the numbers, who asks, the environment and the context, the same for the same members in any order. Only this process can tell what it will be. */
uint64_t ofrep_hash(const struct ofrep *ofrep, const int64_t *numbers, size_t count);

/* ---- ofrep_write.c ---- */

/* Makes ofrep->set. NO_MEMORY. */
int ofrep_prepare(struct ofrep *ofrep, struct err *err) MUST_CHECK;
/* Appends what the flag says to the context: {key, reason, value?, variant, metadata}, or in error {key, errorCode, errorDetails, metadata}, and answers the status
 * that goes with it, 200 or 400. */
int ofrep_write_flag(const struct ofrep *ofrep, const struct flag *flag, struct str *out);
/* The same of an agent: its decision as a flag, which stays in `ret`. 0, or an outcome of resolve(), and nothing is written. */
int ofrep_write_agent(const struct ofrep *ofrep, struct slice agent, struct decision *ret, struct str *out);
/* Appends the member `metadata`: the given members, of which none is ours, and ours. */
void ofrep_write_metadata(const struct ofrep *ofrep, struct slice members, int64_t version, struct str *out);
/* Appends {key?, errorCode, errorDetails}. */
void ofrep_write_failure(const char *key, const char *code, const struct err *err, struct str *out);

/* ---- ofrep_stream.c: telling of changes ---- */

/* What opens a stream of the environment for who has this key, until then: a claim that is signed, in the request's arena, or NULL. No secret of the key is in it, and
 * it holds for OFREP_TOKEN_LIFE at most; within half of that it stays the same. */
#define OFREP_TOKEN_LIFE 3600
int64_t ofrep_token_until(const struct ofrep *ofrep);
const char *ofrep_token(const struct ofrep *ofrep, int64_t until);
#define OFREP_STREAM_PATH "/ofrep/v1/stream"
/* Opens one for the request's token. UNAUTHENTICATED, TOO_MANY_STREAMS, TOO_MANY_REQUESTS. */
int ofrep_open_stream(struct ofrep *ofrep, struct http_response *response, struct err *err) MUST_CHECK;

/* ---- ofrep_cors.c: pages of other origins ---- */

/* Adds what tells a browser that the page may read the answer. */
void ofrep_allow_origin(struct api *api, struct http_request *request, struct http_response *response);
/* Answers what a browser asks before. */
void ofrep_preflight(struct http_request *request, struct http_response *response);

/* ---- ofrep_bulk.c ---- */

/* All flags of the environment, and its agents; or 304. INVALID: they come to more than OFREP_BULK_MAX, or their rules to more than OFREP_STEPS_MAX. NO_MEMORY. */
int ofrep_bulk(struct ofrep *ofrep, struct http_response *response, struct err *err) MUST_CHECK;

#endif
