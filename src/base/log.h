/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event to a file descriptor, as JSON or for people. Every event has a stable code
 * from log.def (so that operators can alert on it), a message and fields. A line is written with one
 * write(2); lines of several threads do not mix. Secrets are never passed in.
 */
#ifndef SERIN_BASE_LOG_H
#define SERIN_BASE_LOG_H

#include "base/clock.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_event {
#define LOG_EVENT(id, name, level, meaning, advice) LOG_##id,
#include "base/log.def"
#undef LOG_EVENT
    LOG_EVENT_COUNT_
};

struct log {
    int fd;
    bool json;                    /* else for people */
    bool colour;                  /* people only */
    _Atomic enum log_level level; /* may be changed while others write */
    const struct clock *clock;
};

/* Writes the event when its level is at or above the log's. Fields are pairs of name and text, ended by NULL:
 * log_write(log, LOG_LISTENING, "listening", "address", "127.0.0.1:7420", NULL). NULL log: nothing happens. */
void log_write(const struct log *log, enum log_event event, const char *message, ...) __attribute__((sentinel));
/* The same for an error: code, place and remedy become fields. */
void log_err(const struct log *log, enum log_event event, const struct err *err);

const char *log_event_name(enum log_event event);
const char *log_event_meaning(enum log_event event);
const char *log_event_advice(enum log_event event); /* what to do; "Nothing" is said in so many words */
enum log_level log_event_level(enum log_event event);
bool log_level_from_text(const char *text, enum log_level *ret); /* debug, info, warn, error */

#endif
