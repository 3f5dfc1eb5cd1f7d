/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measuring programs share: a store filled through its own interface, and how times are told. Agents are called
 * agent-00000, agent-00001 …; all are served in "production". A program that cannot go on says why and ends.
 */
#ifndef SERIN_BENCH_WORLD_H
#define SERIN_BENCH_WORLD_H

#include "base/clock.h"
#include "store/store.h"

#define WORLD_ENVIRONMENT "production"
#define WORLD_AUTHOR "0192f0c1-8d2e-7aaa-9bbb-000000000001"
#define WORLD_NAME_SIZE 32

void die(const char *what, const struct err *err) __attribute__((noreturn)); /* err may be NULL */

void agent_name(unsigned number, char ret[WORLD_NAME_SIZE]);
struct store *open_store(const char *path);
void remove_store(const char *path);

/* A canonical configuration of exactly `size` bytes that no other (agent, number) has, into version->config and its hashes. */
void make_config(unsigned agent, int64_t number, char *config, size_t size, struct version *version);

/* One change: advanced by change_begin(), closed by its audit entry. */
struct change {
    struct position position;
    int64_t at;
};
int change_begin(struct store_tx *tx, struct change *change, struct err *err) MUST_CHECK;
int change_end(struct store_tx *tx, const struct change *change, struct err *err) MUST_CHECK;
int change_agent(struct store_tx *tx, const struct change *change, const char *name, struct err *err) MUST_CHECK;
/* Moves the agent's ref from one version to another. */
int change_ref(struct store_tx *tx, const struct change *change, const char *agent, int64_t from, int64_t to,
               struct err *err) MUST_CHECK;

/* Sorts the times and prints them as `"name": {"median": …, "p99": …, "max": …}`. */
void print_times(const char *name, double *times, size_t count);

#endif
