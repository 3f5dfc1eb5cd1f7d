/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the API. */
#ifndef SERIN_API_API_IMPL_H
#define SERIN_API_API_IMPL_H

#include "api/api.h"
#include "api/quota.h"
#include "api/stream.h"
#include "base/jw.h"
#include "intake/intake.h"

#include <stdatomic.h>

#define STATUS_CLASSES 6 /* answers are counted by the first digit of their status */

/* What OpenFeature's clients ask (ofrep.c). */
enum ofrep_op { OFREP_EVALUATE, OFREP_EVALUATE_ALL, OFREP_STREAM, OFREP_COUNT_ };
const char *ofrep_op_name(enum ofrep_op op); /* "ofrep_evaluate" */

struct api {
    struct api_options options;
    struct hub *hub;
    struct quota *quota;
    struct str openapi;
    char *cors_origins;  /* NULL: nobody's */
    uint64_t tag_key[2]; /* for the tags of OpenFeature's lists: another one for each process */
    uint8_t stream_secret
        [SHA256_SIZE]; /* signs the tokens of OpenFeature's event streams, for as long as this process lives */
    _Atomic(const struct http_server *) server; /* NULL until it was started */
    _Atomic bool draining;
    _Atomic uint64_t answers[OP_COUNT_][STATUS_CLASSES];
    _Atomic uint64_t ofrep_answers[OFREP_COUNT_][STATUS_CLASSES];
    _Atomic uint64_t refused_keys, over_quota;
    _Atomic bool stale;                                    /* a change is kept but not served */
    unsigned ticks;                                        /* api_tick()'s */
    _Atomic unsigned waiting;                              /* requests that wait for a position */
    _Atomic uint64_t outcome_faults[OUTCOME_FAULT_COUNT_]; /* of batches that were refused */
};

/* What a request is about, found from its method and path. */
struct route {
    const struct op *op;
    struct {
        const char *name;
        struct slice value;
    } path_params[4];
    size_t path_param_count;
};

/* 0, or NO_ROUTE, or METHOD with *ret_allow set (a list for the Allow header, in `arena`). */
int route_find(const char *method, const char *path, struct arena *arena, struct route *ret, const char **ret_allow,
               struct err *err) MUST_CHECK;

/* All parameters of a request, checked: path, query, body. *ret_dry_run from the query of a change. */
int request_params(const struct route *route, struct http_request *request, json_t **ret, bool *ret_dry_run,
                   struct err *err) MUST_CHECK;

#define REQUEST_DEPTH_MAX 40 /* the envelope around a configuration of depth 32 */
/* UNSUPPORTED_MEDIA unless the body is said, or not denied, to be JSON. */
int request_media(struct http_request *request, struct err *err) MUST_CHECK;

/* Whether the client says that it has the entity of that tag, so that 304 answers; request_has() of a GET alone. */
bool request_has(const struct http_request *request, const char *etag);
bool request_has_tag(const struct http_request *request, const char *etag);

/* Who asks, from the request's headers. Borrowed from the snapshot. UNAUTHENTICATED. */
int request_principal(struct api *api, struct http_request *request, const struct snapshot *snapshot,
                      struct principal *ret, struct err *err) MUST_CHECK;

/* Counts a request of a key that was found right, once for each request. TOO_MANY_REQUESTS. */
int request_quota(struct api *api, const struct principal *principal, struct err *err) MUST_CHECK;

/* The answer in the form of RFC 9457. `call` may be NULL. */
void problem_answer(const struct err *err, const struct op_call *call, struct http_response *response);
void answer_json(struct http_response *response, int status, struct str *body); /* takes the body over */
/* Adds Serin-Position. */
void answer_position(struct http_request *request, struct http_response *response, struct position position);
void count_in(_Atomic uint64_t classes[STATUS_CLASSES], int status);
void count_answer(struct api *api, const struct op *op, int status);

/* Operations that memory answers (memory.c). On a worker, or on a control thread after waiting. HTTP_CONTROL: not from memory. */
enum http_verdict memory_answer(struct api *api, const struct route *route, const struct principal *principal,
                                const struct snapshot *snapshot, struct http_request *request,
                                struct http_response *response);
/* What is left of them for a control thread: the past, and whole snapshots. */
void memory_control(struct api *api, const struct route *route, const struct principal *principal,
                    struct http_request *request, struct http_response *response);
/* What a resolve asks, from any form. Texts without `ptr` were not given. */
struct asked {
    struct slice agent, environment, key;
    struct slice session_started_at; /* as it was written */
    struct logic_context attributes;
    const char *at;
    bool explain;
};
/* For the attributes of a question that is read without allocating. Need not be cleared. */
struct context_room {
    _Alignas(max_align_t) char bytes[6144];
};
/* A plain question, {agent, environment?, context?: {targetingKey?, session?: {started_at?, …}, …}}, borrowed from `body`, its attributes in `room`; false: it
 * is not plain, or wrong (question.c). */
bool question_read(struct slice body, struct context_room *room, struct asked *ret) MUST_CHECK;
/* The same of an evaluation of flags, {context?: {…}}. */
bool evaluation_read(struct slice body, struct context_room *room, struct asked *ret) MUST_CHECK;
/* The attributes of a request's query: attr.NAME=…, a name with dots being a path, and key and session.… under the names that they have in a context. All are texts.
 * False: the memory, aligned for any type, is too small (context.c). */
bool query_attributes(struct http_request *request, void *memory, size_t size, struct logic_context *ret) MUST_CHECK;
/* Memory that is large enough for it. */
size_t query_attributes_size(struct http_request *request);
/* When a session began; 0: it says nothing that is a time, or a time that is still to come. */
int64_t session_time(struct slice started_at, int64_t now);

/* Resolving (resolve.c). The hot path, past router and table; false: go the common way. */
bool resolve_quickly(struct api *api, struct http_request *request, struct http_response *response);
/* The common way. ANSWER_IS_PAST: it is about the past, which a control thread answers by resolve_past(). */
#define ANSWER_IS_PAST 1
int resolve_answer(struct api *api, const struct op *op, const json_t *params, const struct principal *principal,
                   const struct snapshot *snapshot, struct http_request *request, struct http_response *response,
                   struct err *err) MUST_CHECK;
int resolve_past(struct api *api, const struct op *op, const json_t *params, const struct principal *principal,
                 struct http_request *request, struct http_response *response, struct err *err) MUST_CHECK;
/* The error for an outcome of resolve(). */
int resolve_missing(int outcome, struct slice agent, struct slice environment, struct err *err);
/* The environment of a question: named, or (without `ptr`) the key's only one. */
int question_environment(const struct principal *principal, struct slice named, struct slice *ret,
                         struct err *err) MUST_CHECK;

/* The time for flags whose rules ask for it, in seconds; 0: none of the environment's does. */
int64_t time_for_flags(struct api *api, const struct snapshot *snapshot, struct slice environment);
/* Whoever has a session: when it began. The clock is read only for that. */
int64_t asked_session(struct api *api, const struct asked *asked);

/* OpenFeature's remote evaluation (ofrep.c): everything below /ofrep/. False: it is another address. */
bool ofrep_answer(struct api *api, struct http_request *request, struct http_response *response);
int ofrep_origins_check(const char *origins, struct err *err) MUST_CHECK;

/* Takes outcomes in, in any form (outcomes.c). On a control thread. With INVALID, call->faults. */
int outcomes_answer(struct api *api, const struct principal *principal, struct http_request *request,
                    struct op_call *call, struct http_response *response, struct err *err) MUST_CHECK;

struct api_standing standing_of(const struct api *api);

/* ---- /metrics (metrics.c) ---- */

/* Without a key what names nobody; with one also the series of agents. On a worker HTTP_CONTROL when they are many. */
enum http_verdict metrics_answer(struct api *api, bool on_worker, struct http_request *request,
                                 struct http_response *response);
/* Families that are more than one number, from the table. */
enum metric_family {
#define FAMILY(id, ...) FAMILY_##id,
#define NAMED(id, ...) FAMILY_##id,
#include "api/metrics.def"
    FAMILY_COUNT_
};
/* Appends HELP and TYPE of the family; answers its name. */
const char *metrics_family(enum metric_family family, struct str *out);
void metrics_label(struct str *out, const char *value); /* quoted and escaped */
void metrics_number(struct str *out, double value);     /* and the end of the line */

/* The series that name agents, of environments that the principal sees (metrics_agents.c). NO_MEMORY. */
int metrics_agents(struct api *api, const struct principal *principal, struct str *out) MUST_CHECK;
size_t metrics_agents_size(struct api *api); /* lines, about */
/* Lets series of versions go that have been gone for long. Once in a while. */
void metrics_sweep(struct api *api);

#endif
