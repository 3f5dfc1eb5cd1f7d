/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: who is told of what rollouts do, and how far the telling is. Strings and times as in nouns.h. Messages and signatures are those of
 * Standard Webhooks (https://www.standardwebhooks.com).
 */
#ifndef SERIN_MODEL_WEBHOOK_H
#define SERIN_MODEL_WEBHOOK_H

#include "model/rollout.h"

enum rollout_event {
#define OPEN_EVENT(id, type, action) EVENT_##id,
#define END_EVENT(id, type, state) EVENT_##id,
#include "model/events.def"
#undef OPEN_EVENT
#undef END_EVENT
    EVENT_COUNT_
};
const char *rollout_event_type(enum rollout_event event); /* "rollout.rolled_back" */
bool rollout_event_from_type(const char *type, enum rollout_event *ret);
/* False when nothing is told of the move. */
bool rollout_event_of(const struct rollout_move *move, enum rollout_event *ret);

/* Sets of events, a bit each. */
#define EVENTS_ALL ((UINT32_C(1) << EVENT_COUNT_) - 1)
#define EVENTS_TEXT_SIZE 256
void events_write(uint32_t events,
                  char ret[EVENTS_TEXT_SIZE]); /* a JSON array in the order of the table; ["*"] = all, later ones too */
/* An array of types as events_write() makes it. INVALID, with `at` and the place behind it, for what is no type or stands there twice. */
int events_read(const json_t *types, const char *at, uint32_t *ret, struct err *err) MUST_CHECK;

/* Signing secrets as users see them: "whsec_" and base64 of WEBHOOK_SECRET_BYTES random bytes. */
#define WEBHOOK_SECRET_BYTES 32
#define WEBHOOK_SECRET_SIZE 52
int webhook_secret_new(char ret[WEBHOOK_SECRET_SIZE], struct err *err) MUST_CHECK;
/* "v1," and base64 of the HMAC-SHA256 over "id.timestamp.body". STORE_CORRUPT when the secret has another form. */
#define WEBHOOK_SIGNATURE_SIZE 48
int webhook_sign(const char *secret, const char *id, int64_t timestamp, struct slice body,
                 char ret[WEBHOOK_SIGNATURE_SIZE], struct err *err) MUST_CHECK;

/* Where the telling is. */
struct webhook_delivery {
    int64_t seq;          /* of the definition that it is about */
    int64_t delivered;    /* the move told last: everything before its seq was delivered, */
    const char *rollout;  /* and at it the rollouts up to this one: a release may end several in one change */
    int64_t delivered_at; /* 0 = nothing yet */
    int64_t attempts;     /* that failed since; 0 = none does */
    int64_t failing_since, next_at;
    int64_t disabled_at; /* 0 = it is on */
    const char *error;   /* of the last attempt, "" = none */
};

#define WEBHOOKS_MAX 100 /* in a store */
#define WEBHOOK_SECRET_OVERLAP (INT64_C(24) * 3600 * 1000000)
struct webhook {
    const char *name;
    const char *url;
    const char *environment, *agent; /* "" = all */
    const char *events;              /* as events_write() makes it */
    const char *created_by;          /* who wrote it so, and when */
    int64_t created_at;
    int64_t seq;

    const char *secret, *previous; /* previous signs too until then; "" = none */
    int64_t previous_until;
    int64_t secret_seq;

    struct webhook_delivery delivery;
};

#endif
