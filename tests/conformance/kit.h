/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store under test with its fake clock, its folder and small whole changes (position, rows, audit entry), so that a
 * test reads as a story. kit_* functions that write answer what store_write() answered; `err` holds the words.
 */
#ifndef SERIN_TESTS_CONFORMANCE_KIT_H
#define SERIN_TESTS_CONFORMANCE_KIT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "db/db.h"
#include "store/rollouts.h"
#include "store/webhooks.h"

#define KIT_START INT64_C(1790000000000000)

enum kit_driver { KIT_FILE, KIT_MEMORY, KIT_FAULT, KIT_FAULT_MEMORY };

struct kit {
    enum kit_driver driver;
    char folder[64];
    char url[128];
    struct clock clock;
    struct db_fault fault;
    struct store *store;
    struct arena arena; /* what reads answer; freed with the kit */
    struct err err;
};

void kit_init(struct kit *kit, enum kit_driver driver);
void kit_deinit(struct kit *kit);
int kit_open(struct kit *kit);
void kit_close(struct kit *kit);
/* Closes and opens again; a store in memory is only opened a second time beside the first. */
void kit_reopen(struct kit *kit);
void kit_path(const struct kit *kit, const char *suffix, char ret[160]);

/* Runs a callback, which must answer 0. */
void kit_read(struct kit *kit, store_fn fn, void *arg);

/* A position and a time; the audit entry is appended by kit_end(). For tests that write their own changes. */
struct kit_change {
    struct position position;
    int64_t at;
};
int kit_begin(struct store_tx *tx, struct kit_change *change, struct err *err);
int kit_end(struct store_tx *tx, const struct kit_change *change, const char *operation, const char *agent,
            const char *environment, struct err *err);

/* A kit of its own for each test: *state is a struct kit with its store open. */
int kit_setup(void **state, enum kit_driver driver);
int kit_teardown(void **state);
/* The test fails unless `r` is 0. */
void kit_ok(struct kit *kit, int r);

int kit_agent(struct kit *kit, const char *name, const char *description);
int kit_environment(struct kit *kit, const char *name, bool is_protected);
/* A version whose configuration holds `text`; makes the number from the newest one. */
int kit_push(struct kit *kit, const char *agent, const char *text);
int kit_deploy(struct kit *kit, const char *agent, const char *environment, int64_t version, int64_t previous);
int kit_hold(struct kit *kit, const char *agent, const char *environment, bool held);
int kit_override(struct kit *kit, const char *agent, const char *environment, const char *name, int64_t version);
int kit_override_for(struct kit *kit, const char *agent, const char *environment, const char *name, int64_t version,
                     const char *audience);
int kit_override_remove(struct kit *kit, const char *agent, const char *environment, const char *name);
int kit_key(struct kit *kit, const char *id, enum role role);
int kit_key_revoke(struct kit *kit, const char *id);
struct kit_release {
    const char *id, *environment, *rolls_back;
    const char *agents[4];
    int64_t versions[4], previous[4];
};
int kit_release(struct kit *kit, const struct kit_release *release);
int kit_session(struct kit *kit, const char *agent, enum session_policy session);
/* Begins at step 0 with a share of 5 %; the salt is "salt-" and the id, the plan "{}". */
int kit_rollout(struct kit *kit, const char *id, const char *agent, const char *environment, int64_t stable,
                int64_t candidate);
struct kit_move {
    const char *rollout, *action;
    enum rollout_state state;
    unsigned step;
    int32_t share;
    struct slice evidence;
};
int kit_move(struct kit *kit, const struct kit_move *move);
/* A move and the deployment that goes with it in one change, as promoting has it. */
int kit_promote(struct kit *kit, const char *rollout, const char *agent, const char *environment, int64_t version,
                int64_t previous);
int kit_panic(struct kit *kit, const char *agent, const char *environment, int64_t version, bool on);
/* With the secret "whsec_" and its name; its events are all. */
int kit_webhook(struct kit *kit, const char *name, const char *url, const char *environment);
int kit_webhook_remove(struct kit *kit, const char *name);
int kit_template(struct kit *kit, const char *name, const char *content);
int kit_answer(struct kit *kit, const char *key, const char *body);

struct position kit_head(struct kit *kit, int64_t *ret_at);
/* A configuration's canonical bytes and hashes as kit_push() makes them; `buffer` holds the bytes. */
void kit_config(const char *text, char *buffer, size_t size, struct version *ret);

/* Everything that a user could see, as one hash: derived tables, audit chain (verified on the way), versions, deployments, answers of `keys`. */
struct sha256 kit_fingerprint(struct kit *kit);
/* Walks the audit chain from the start: hashes, order, times. */
void kit_verify_chain(struct kit *kit);

#endif
