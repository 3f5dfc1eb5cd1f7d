/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outgoing HTTP: the only module that knows libcurl.
 *
 * The command line goes wherever its user says. The server goes only to origins that its operator has listed (the setting outgoing_allow), because addresses
 * in plans and webhooks are written by people who could not reach the machines around the server otherwise. With a list (fetch_options.allow):
 *   - scheme, host and port of the address must be those of an entry; it must not carry a user name or password;
 *   - no proxy of the environment is used;
 *   - the address that a name resolves to must not be link-local (where clouds keep their credentials), multicast or unspecified, unless the
 *     entry itself is that literal address.
 * For everybody: http and https only, certificates are verified, redirects are answers and not followed, cookies and .netrc are not
 * used, time and size are bounded. Errors name the origin and the reason, never path, query or headers.
 *
 * Threads: a struct fetch belongs to one thread; fetch_wake() and fetch_stop() are for any. A struct fetch_allow is for any number of them.
 */
#ifndef SERIN_FETCH_FETCH_H
#define SERIN_FETCH_FETCH_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- where the server may go (origin.c) ---- */

struct fetch_allow;
/* Origins, separated by spaces or commas: "https://prometheus.internal:9090 http://10.0.0.7"; the scheme's port when none is named. "": nothing may be reached.
 * CONFIG for what is none (a path, a user, another scheme); NO_MEMORY. */
int fetch_allow_new(const char *origins, struct fetch_allow **ret, struct err *err) MUST_CHECK;
/* Puts another list in force, for requests that begin from now on. On failure everything stays as it was. */
int fetch_allow_set(struct fetch_allow *allow, const char *origins, struct err *err) MUST_CHECK;
/* Whether the server may send requests to this address; without a list nowhere. INVALID: it is no such address; NOT_ALLOWED: its origin is not in the list. */
int fetch_allow_check(struct fetch_allow *allow, const char *url, struct err *err) MUST_CHECK;
struct fetch_allow *fetch_allow_free(struct fetch_allow *allow);
DEFINE_CLEANUP(struct fetch_allow *, fetch_allow_free)

/* ---- requests ---- */

struct fetch_header {
    const char *name, *value; /* no line ends in either */
};

/* Borrowed until the request has ended. */
struct fetch_request {
    const char *method, *url;
    const struct fetch_header *headers;
    size_t header_count;
    struct slice body;          /* ptr NULL: none */
    int64_t timeout_ms;         /* from the beginning to the last byte; 0 = none */
    int64_t silence_s;          /* without a byte for so long it has failed; 0 = no limit */
    size_t answer_max;          /* bytes of the body; more is TOO_LARGE */
    const char *timeout_remedy; /* or NULL */
    /* When set, the body of a 2xx answer goes there in pieces as it comes; other than 0 ends the request with UNAVAILABLE. */
    int (*data)(void *ctx, const char *bytes, size_t len);
    void *data_ctx;
};

struct fetch_answer {
    int status;            /* 0: none came */
    int64_t retry_after_s; /* what Retry-After asks for, as seconds or as a date; 0: nothing */
    struct str body;
};

struct fetch_options {
    struct fetch_allow *allow; /* NULL: anywhere, for what a user's own program asks */
};

struct fetch;
int fetch_new(const struct fetch_options *options, struct fetch **ret, struct err *err) MUST_CHECK;
/* What is under way is dropped, without a call of its `done`. */
struct fetch *fetch_free(struct fetch *fetch);
DEFINE_CLEANUP(struct fetch *, fetch_free)

/* One request from beginning to end; `ret` is empty before and belongs to the caller after. An answer with any status is a success. INVALID and NOT_ALLOWED as
 * fetch_allow_check(); CONNECT: nothing was sent; UNAVAILABLE: the connection was lost in between, or fetch_stop(); TIMEOUT; TOO_LARGE; NO_MEMORY. */
int fetch_now(struct fetch *fetch, const struct fetch_request *request, struct fetch_answer *ret,
              struct err *err) MUST_CHECK;

/* Several at once: each is begun, and fetch_run() calls its `done` when it has ended, once, with 0 or the error (codes as above). `done` may take over
 * answer->body, and may begin others. */
typedef void fetch_done(void *ctx, int result, struct fetch_answer *answer, const struct err *err);
int fetch_begin(struct fetch *fetch, const struct fetch_request *request, fetch_done *done, void *ctx,
                struct err *err) MUST_CHECK;
/* Works until something happened, somebody called fetch_wake(), or `wait_ms` passed. Waits also when nothing is under way. */
int fetch_run(struct fetch *fetch, int wait_ms, struct err *err) MUST_CHECK;
size_t fetch_under_way(const struct fetch *fetch);

void fetch_wake(struct fetch *fetch);
/* Ends what is under way, at once, and everything begun later: for good. fetch_run() is woken and calls the `done` of each. */
void fetch_stop(struct fetch *fetch);

#endif
