/* SPDX-License-Identifier: Apache-2.0 */
/* An intake over a store in a file, with evidence that a test can count: sums, and a hash of the calls in their order. */
#ifndef SERIN_INTAKE_TEST_WORLD_H
#define SERIN_INTAKE_TEST_WORLD_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/hash.h"
#include "db/db.h"
#include "intake/intake.h"

#define NOW INT64_C(1793000000000000)
#define SECOND INT64_C(1000000)
#define OK ",\"ok\":true"
#define FAILED ",\"ok\":false,\"error_type\":\"timeout\",\"session\":\"s-1\""

struct sums {
    int64_t units[2], errors[2], scored[2], ticks, step;
    double score[2], latency[2];
    uint64_t order; /* of all calls */
};

struct world {
    char folder[64], url[128];
    struct clock clock;
    struct store *store;
    struct intake *intake;
    struct db_fault fault; /* of the store's connections */
    struct err err;
};

struct seen {
    size_t count;
    struct sums sums;
    struct fold_counts counts;
};

struct minutes {
    struct arena arena;
    struct store_minute *items;
    size_t count;
};

extern const char world_plan[]; /* metrics: 0 error, 1 latency, 2 score.quality */
extern unsigned world_unit;     /* the number of the last unit */

/* Ends the test unless `r` is 0. */
void world_ok(struct world *world, int r);
void world_start(struct world *world);
int world_setup(void **state);
int world_teardown(void **state);
/* Adds an item at that bucket. */
void world_add_item(struct str *items, uint32_t bucket, int64_t version, const char *more);
/* Sends a batch of these items; answers what intake_take() did. */
int world_send(struct world *world, const char *instance, int64_t batch, const char *items, struct intake_answer *ret);
struct intake_answer world_sent(struct world *world, const char *instance, int64_t batch, const char *items);
void world_open_rollout(struct world *world, const char *id, const char *agent, int64_t at);
struct seen world_tick(struct world *world);
struct sha256 world_digest(struct world *world);
/* As after kill -9: what memory holds is gone, what the files hold is there. */
void world_kill_and_start(struct world *world);
int world_read_minutes(void *arg, struct store_tx *tx, struct err *err);

#endif
