/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for tests of operations: a store in memory, a fake clock, a snapshot kept in step, and calls by name. */
#ifndef SERIN_OPS_TEST_WORLD_H
#define SERIN_OPS_TEST_WORLD_H

#include "ops/ops.h"

struct world {
    struct clock clock;
    struct store *store;
    struct publisher *publisher;
    struct live *live;
    uint8_t audit_key[ED25519_PRIVATE_SIZE];
    struct fetch_allow *outgoing; /* https://hooks.example */
    struct ops ops;
    struct principal admin; /* who calls, unless `as` is set */
    const struct principal *as;
    bool dry_run;
    const char *idempotency_key;

    /* of the last call */
    int status;
    bool replayed;
    int64_t current;
    struct err err;
    json_t *answer;
};

void world_open(struct world *world, const struct store_options *options);
void world_close(struct world *world);
/* Calls an operation with JSON text as parameters (single quotes stand for double ones). The code it answers: 0, or an enum
 * err_code. The answer, or the error, is in the world. */
int world_call(struct world *world, const char *op, const char *params);
/* As world_call(), and the test fails when it is not 0. Answers world->answer. */
const json_t *world_do(struct world *world, const char *op, const char *params);
/* The version that resolves now, 0 when nothing is served. */
int64_t world_served(struct world *world, const char *agent, const char *environment, const char *key);
/* The seq of the store's head. */
int64_t world_seq(struct world *world);
/* A configuration whose prompt says `prompt`, pushed; answers its number. */
int64_t world_push(struct world *world, const char *agent, const char *prompt);

#endif
