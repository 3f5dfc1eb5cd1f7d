/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nouns of Serin as plain records, the same for the store, the operations and the snapshot. Strings
 * are borrowed from the arena that the reader gave. Times are microseconds since 1970 UTC. Ids are UUIDv7 text.
 */
#ifndef SERIN_MODEL_NOUNS_H
#define SERIN_MODEL_NOUNS_H

#include "base/hash.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* A place in the order of all changes. A later epoch is later whatever its seq; seq goes on counting
 * through epochs. Text form "epoch.seq". */
struct position {
    int64_t epoch;
    int64_t seq;
};
#define POSITION_TEXT_SIZE 48
void position_text(struct position position, char ret[POSITION_TEXT_SIZE]);
bool position_from_text(const char *text, struct position *ret);
int position_compare(struct position a, struct position b);

enum role { ROLE_NONE, ROLE_RESOLVE, ROLE_VIEWER, ROLE_EDITOR, ROLE_RELEASER, ROLE_ADMIN };
const char *role_name(enum role role);
bool role_from_text(const char *text, enum role *ret);

enum deployment_kind { DEPLOYMENT_DEPLOY, DEPLOYMENT_ROLLBACK, DEPLOYMENT_PROMOTE, DEPLOYMENT_PANIC };
const char *deployment_kind_name(enum deployment_kind kind);
bool deployment_kind_from_text(const char *text, enum deployment_kind *ret);

/* What a conversation holds to that says when it began: what was in force then, or what is in force at each turn. */
enum session_policy { SESSION_PIN, SESSION_FOLLOW };
const char *session_policy_name(enum session_policy policy);
bool session_policy_from_text(const char *text, enum session_policy *ret);

struct agent {
    const char *name;
    const char *description; /* "" when none */
    int64_t latest;          /* newest version number, 0 = none yet */
    enum session_policy session;
    int64_t created_at;
    const char *created_by;
    int64_t seq; /* of the newest change to this record */
};

/* An immutable configuration. `config` are the canonical bytes; empty when only the record was asked for. */
struct version {
    const char *agent;
    int64_t number;
    struct sha256 content_hash, config_hash;
    struct slice config;
    int64_t size;            /* bytes of the canonical configuration */
    const char *description; /* change_description, "" when none */
    const char *source;      /* JSON object: {"kind":"api"} | {"kind":"cli"} | {"kind":"git","commit":…,"path":…} */
    int64_t parent;          /* 0 = none */
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

struct environment {
    const char *name;
    const char *description;
    bool is_protected; /* flags and automation need a releaser there */
    int64_t created_at;
    const char *created_by;
    int64_t seq;
};

/* One move of the ref (agent, environment). */
struct deployment {
    const char *id;
    const char *agent, *environment;
    int64_t version;
    int64_t previous; /* what was served before, 0 = nothing */
    enum deployment_kind kind;
    const char *reason;
    const char *release; /* id of the release it belongs to, or NULL */
    int64_t restores;    /* a rollback: seq of the deployment that it goes back to; else 0 */
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* Several refs moved as one. `rolls_back` is the release that this one undoes, or NULL. */
struct release {
    const char *id;
    const char *environment;
    const char *reason;
    const char *rolls_back;
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* A person's word that automation must not move this ref. */
struct hold {
    const char *agent, *environment;
    const char *reason;
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* Named users get a fixed version. Exact targeting keys; a later row may carry a targeting rule instead. */
struct override {
    const char *name; /* unique within agent and environment, same form as an agent's name */
    const char *agent, *environment;
    const char *keys;     /* JSON array of targeting keys, sorted, unique; [] with an audience */
    const char *audience; /* targeting rule, canonical JSON; NULL: it names its users */
    int64_t version;
    const char *reason;
    const char *created_by;
    int64_t created_at;
    int64_t seq;
};

/* One audit entry: every change writes exactly one, under the seq of the change. */
struct audit_entry {
    struct position position;
    int64_t at;
    const char *actor;       /* key id, or "system" */
    const char *actor_name;  /* the key's name at that moment */
    const char *operation;   /* name in ops.def */
    const char *agent;       /* "" when it is about none or several */
    const char *environment; /* "" when it is about none */
    const char *reason;
    const char *detail; /* canonical JSON object of what was changed */
    struct sha256 previous, hash;
};

/* An API key. The secret itself is never kept. */
struct key {
    const char *id;
    const char *name;
    enum role role;
    const char *environments; /* JSON array of names; ["*"] = all */
    struct sha256 secret_hash;
    bool materialise_defaults; /* OFREP: a disabled flag is answered with its default value */
    int64_t created_at;
    const char *created_by;
    int64_t revoked_at; /* 0 = in force */
    const char *revoked_by;
    int64_t seq;
};

#endif
