/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: the only door for change. Everybody, people and robots, comes in through ops_call() with the same rows
 * of the same table; it checks the permission, runs `check` (which finds what is wrong and changes nothing), and carries the change
 * out in one transaction together with its audit entry and its position. A dry run is `check` alone.
 *
 * A struct ops may be used by any number of threads. ops_call() blocks on the store: never call it on a worker.
 */
#ifndef SERIN_OPS_OPS_H
#define SERIN_OPS_OPS_H

#include "auth/auth.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/jw.h"
#include "base/log.h"
#include "fetch/fetch.h"
#include "model/rollout.h"
#include "ops/live.h"
#include "ops/table.h"
#include "store/store.h"

/* What a guard's server said last; why nothing is known when its state is unknown, else "". */
#define GUARD_WHY_SIZE 200
struct guard_told {
    struct guard_seen seen;
    char why[GUARD_WHY_SIZE];
};

/* Who asks the servers of guards. */
struct guard_source {
    /* Any thread; does not wait. A guard is asked while somebody looks at it again and again. */
    void (*look)(void *ctx, const struct guard *guards, size_t count, struct guard_told *ret);
    void *ctx;
};

/* A rollout as the store has it, whose evidence somebody else keeps. */
struct rollout_asked {
    const struct rollout *rollout;
    int64_t now;
    bool held, panic;     /* the words of people that stand against it */
    struct slice verdict; /* what its newest verdict was reached from; empty: none was */
};

struct ops {
    struct store *store;
    struct live *live;
    const struct clock *clock;
    const struct log *log;
    const uint8_t *audit_key;     /* Ed25519 private key */
    struct fetch_allow *outgoing; /* where the server may send requests; NULL: nowhere */
    struct guard_source guards;   /* look NULL: nobody asks, and none is known */
    /* Brings the store's tables of outcomes up to what was taken, or to a few seconds before. NULL: they are so. */
    void (*save_outcomes)(void *ctx);
    void *save_outcomes_ctx;
    /* Writes what the evidence of a rollout says, as members of rollout_status. NULL: nothing is known of it. */
    int (*standing)(void *ctx, const struct rollout_asked *asked, struct jw *jw, struct err *err);
    void *standing_ctx;
};

/* One call, from the question to the answer. The caller owns it and ends it with op_call_deinit(). */
struct op_call {
    /* the question */
    const struct op *op;
    struct principal principal;
    json_t *params; /* checked by ops_params_*(); borrowed */
    bool dry_run;
    const char *idempotency_key; /* or NULL */
    struct arena *arena;

    /* the answer */
    int status;
    struct str body;          /* JSON */
    struct position position; /* of the change, or of the state that was read */
    bool replayed;            /* the remembered answer to an earlier request with this idempotency key */

    /* with an error */
    struct faults faults;  /* INVALID: all of them */
    const char *faults_at; /* JSON pointer that goes before theirs */
    int64_t current;       /* STALE: what is there now; else -1 */
};

void op_call_init(struct op_call *call, const struct op *op, const struct principal *principal, json_t *params,
                  struct arena *arena);
void op_call_deinit(struct op_call *call);

/* Whether the principal may call the operation at all: FORBIDDEN, or ENVIRONMENT_NOT_FOUND for one it may not see. */
int ops_permit(const struct op *op, const struct principal *principal, const json_t *params,
               struct err *err) MUST_CHECK;

/* Carries out a READ or CHANGE. After a change the snapshot of this node has it. */
int ops_call(struct ops *ops, struct op_call *call, struct err *err) MUST_CHECK;

/* Appends the decision's JSON (an object), with the reasons when asked for. */
void ops_write_decision(const struct decision *decision, const struct resolve_question *question, bool explain,
                        struct str *out);

/* The decision as of a moment of the past, from the history in the store, by the one resolver. Appends the decision's JSON (an object) to `out`. */
struct ops_past {
    struct resolve_question question;
    const char *moment; /* RFC 3339, or a position */
    bool explain;
};
int ops_resolve_past(struct ops *ops, const struct ops_past *past, struct arena *arena, struct str *out,
                     struct err *err) MUST_CHECK;

/* Makes the first admin key of a new store: `text` when given (BAD_REQUEST when it is too short), else a new one, written to `ret_text`.
 * 1 when the store has keys already. */
int ops_bootstrap(struct ops *ops, const char *text, char ret_text[AUTH_KEY_TEXT_SIZE], struct err *err) MUST_CHECK;

/* ---- parameters (params.c): the same check for every way in ---- */

#define OPS_TEXT_MAX 512 /* bytes */
#define OPS_LABEL_MAX 64
#define OPS_KEYS_MAX 10000
#define OPS_MOVES_MAX 200
#define OPS_BYTES_MAX (4 * 1024 * 1024)
#define OPS_LIMIT_MAX 1000
#define OPS_NUMBER_MAX INT64_C(9007199254740991) /* 2^53 - 1: what every client's JSON holds exactly */

/* A path or query argument, from its text to its value. */
int ops_param_from_text(const struct op_param *param, const char *text, json_t **ret, struct err *err) MUST_CHECK;
/* Adds the members of a request's body to `params`, each checked; unknown ones are errors. */
int ops_params_from_body(const struct op *op, const json_t *body, json_t *params, struct err *err) MUST_CHECK;
/* Unknown query argument: the error with the nearest name. */
int ops_param_unknown(const struct op *op, enum param_where where, const char *name, struct err *err);
/* MISSING_FIELD when a required one is absent. */
int ops_params_complete(const struct op *op, const json_t *params, struct err *err) MUST_CHECK;

#endif
