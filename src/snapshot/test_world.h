/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of snapshot and resolve: entries described in a few words, and what the program should answer about
 * them, written down a second time in the simplest way (printf, no shared code), so that a test compares two routes to one truth.
 */
#ifndef SERIN_SNAPSHOT_TEST_WORLD_H
#define SERIN_SNAPSHOT_TEST_WORLD_H

#include "snapshot/snapshot.h"

#define TEST_OVERRIDES_MAX 8
#define TEST_KEYS_MAX 16
#define TEST_VERSIONS_MAX 160 /* of one entry */

struct test_override {
    const char *name;
    int64_t version;
    const char *keys[TEST_KEYS_MAX + 1]; /* NULL-terminated */
    const char *audience;                /* NULL: it names its users */
};

/* What one environment serves for one agent. Left out: reason "because", by "key-1", id "move-<seq>". */
struct test_entry {
    const char *agent, *environment;
    int64_t version, previous, seq;
    bool held;
    enum deployment_kind kind;
    const char *reason;
    struct test_override overrides[TEST_OVERRIDES_MAX]; /* ends at the first without a name */
    enum session_policy sessions;
    const struct rollout *rollout;
    const struct panic *panic;
    const struct snapshot_era_spec *eras;
    size_t era_count;
};

/* Which versions a test hands over: those needed, none, or only ones that are not needed. */
enum test_given { GIVE_ALL, GIVE_NONE, GIVE_OTHERS };

/* A spec with all that it points to. The configuration of agent@n is test_config(). */
struct test_spec {
    struct snapshot_entry_spec spec;
    struct snapshot_override_spec overrides[TEST_OVERRIDES_MAX];
    struct version versions[TEST_VERSIONS_MAX];
    const struct version *pointers[TEST_VERSIONS_MAX];
    struct str configs[TEST_VERSIONS_MAX];
    char id[32];
};
void test_spec_init(struct test_spec *spec, const struct test_entry *entry, enum test_given given);
void test_spec_deinit(struct test_spec *spec);
/* Puts the entry into the edit. */
int test_put(struct snapshot_edit *edit, const struct test_entry *entry, enum test_given given,
             struct err *err) MUST_CHECK;
/* A snapshot like `base` with those entries put, at position 1.<seq of the last>. Fails the test when it cannot be made. */
struct snapshot *test_snapshot(struct snapshot *base, const struct test_entry *entries, size_t count);
/* The same from an empty one. */
struct snapshot *test_snapshot_of(const struct test_entry *entries, size_t count);

/* The configuration of a version, and its hashes, made up from the agent's name and the number. */
void test_config(const char *agent, int64_t number, struct str *out);
struct sha256 test_config_hash(const char *agent, int64_t number);
struct sha256 test_content_hash(const char *agent, int64_t number);

/* The override that names the key, or NULL. */
const struct test_override *test_override_of(const struct test_entry *entry, const char *targeting_key);
/* What snapshot_entry_write() should append. */
void test_write_entry(const struct test_entry *entry, struct str *out);
/* What decision_write() should append at that position; `unit` NULL: no targeting key, which `override` is then, too. */
void test_write_decision(const struct test_entry *entry, const struct test_override *override, const char *position,
                         const char *unit, struct str *out);

/* All that a snapshot answers, in one text: position, counts, entries in order. */
void test_dump(const struct snapshot *snapshot, struct str *out);

/* A generator of its own, so that a run can be repeated from its seed on any machine. */
uint64_t test_random(uint64_t *state);

#endif
