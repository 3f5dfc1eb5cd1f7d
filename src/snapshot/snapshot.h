/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot: everything that a resolve needs, in memory, immutable. A new one is made from an old one by an
 * edit that copies only the pages it touches; all else is shared by reference count. Answers are serialised
 * when an entry is built, never per request.
 *
 * Pure: no I/O, no clock, no log, no globals. A published snapshot may be read by any number of threads. An edit has one owner.
 * Publishing is one atomic pointer swap; the old snapshot is freed when its last reader has let go (publisher.h).
 *
 * Invariants: an entry's version objects outlive it; an entry is found by (environment, agent) in O(1) with
 * at most three dependent cache misses at any number of agents; two snapshots with the same truth answer the same bytes.
 */
#ifndef SERIN_SNAPSHOT_SNAPSHOT_H
#define SERIN_SNAPSHOT_SNAPSHOT_H

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "model/nouns.h"

struct snapshot;

/* A served configuration, shared by all entries that serve it. Counted. */
struct snapshot_version {
    int64_t number;
    struct slice agent; /* owned by this object */
    struct sha256 content_hash, config_hash;
    struct slice config; /* canonical bytes */
};

/* An override that names users exactly. */
struct snapshot_override {
    struct slice name;
    const struct snapshot_version *version;
    uint32_t key_count;
    /* keys are found by snapshot_entry_override() */
};

/* What one environment serves for one agent. */
struct snapshot_entry {
    struct slice agent, environment;
    const struct snapshot_version *version; /* what the ref serves */
    struct deployment deployment;           /* the move behind the ref; strings owned by the entry */
    bool held;
    const struct snapshot_override *overrides;
    uint32_t override_count;
};

/* A key, as the data plane needs it. */
struct snapshot_key {
    const char *id, *name;
    enum role role;
    struct sha256 secret_hash;
    bool all_environments;
    const char *const *environments; /* NULL-terminated, sorted; names only */
};

/* ---- reading: no lock, no allocation ---- */

struct position snapshot_position(const struct snapshot *snapshot);
/* NULL when the environment serves no version of that agent. */
const struct snapshot_entry *snapshot_find(const struct snapshot *snapshot, struct slice environment,
                                           struct slice agent);
bool snapshot_has_agent(const struct snapshot *snapshot, struct slice agent);
bool snapshot_has_environment(const struct snapshot *snapshot, struct slice environment);
/* The override that names this key exactly, or NULL. The first in order of name wins. */
const struct snapshot_override *snapshot_entry_override(const struct snapshot_entry *entry, struct slice targeting_key);
/* Keys in force. By the key's id, or by the hash of the whole secret (for the bootstrap key, which has no id inside). */
const struct snapshot_key *snapshot_key_by_id(const struct snapshot *snapshot, struct slice id);
const struct snapshot_key *snapshot_key_by_hash(const struct snapshot *snapshot, const struct sha256 *hash);
/* Changes with every change to keys; a cached check of a key holds while it stays the same. */
uint64_t snapshot_keys_generation(const struct snapshot *snapshot);
size_t snapshot_entry_count(const struct snapshot *snapshot);
size_t snapshot_agent_count(const struct snapshot *snapshot);
/* Calls `each` for every entry of an environment in order of agent name (NULL environment: all, by environment then agent). Stops when
 * it answers other than 0, and answers that. */
int snapshot_each(const struct snapshot *snapshot, const char *environment,
                  int (*each)(void *ctx, const struct snapshot_entry *entry), void *ctx) MUST_CHECK;

/* ---- building ---- */

/* An empty snapshot at position 0.0. */
int snapshot_new(struct snapshot **ret) MUST_CHECK;
struct snapshot *snapshot_ref(struct snapshot *snapshot);
struct snapshot *snapshot_unref(struct snapshot *snapshot); /* answers NULL */

struct snapshot_override_spec {
    const char *name;
    int64_t version;
    const char *const *keys; /* NULL-terminated, sorted, unique */
};
/* What an entry is made from. Everything is copied. */
struct snapshot_entry_spec {
    struct deployment deployment; /* names agent and environment */
    bool held;
    const struct snapshot_override_spec *overrides; /* in order of name */
    size_t override_count;
    const struct version *const *versions; /* with config bytes: deployment.version and each override's version */
    size_t version_count; /* those already in the base snapshot under the same agent and number may be left out */
};

struct snapshot_edit;
/* Starts from `base` (borrowed until the edit is finished or freed). */
int snapshot_edit_new(struct snapshot *base, struct snapshot_edit **ret) MUST_CHECK;
struct snapshot_edit *snapshot_edit_free(struct snapshot_edit *edit);
DEFINE_CLEANUP(struct snapshot_edit *, snapshot_edit_free)
int snapshot_edit_agent(struct snapshot_edit *edit, const char *agent) MUST_CHECK; /* the agent exists */
int snapshot_edit_environment(struct snapshot_edit *edit,
                              const char *environment) MUST_CHECK; /* the environment exists */
/* 0, NO_MEMORY, or INTERNAL when a version it needs was neither given nor known. On failure the edit is as before. */
int snapshot_edit_entry(struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, struct err *err) MUST_CHECK;
/* Whether a version object of that number is already shared with the base, so that its config need not be loaded again. */
bool snapshot_edit_knows_version(const struct snapshot_edit *edit, const char *agent, int64_t number);
int snapshot_edit_keys(struct snapshot_edit *edit, const struct key *keys, size_t count,
                       struct err *err) MUST_CHECK; /* replaces all; revoked ones are left out */
/* Makes the new snapshot and ends the edit (which is freed in any case). */
int snapshot_edit_finish(struct snapshot_edit *edit, struct position position, struct snapshot **ret) MUST_CHECK;

#endif
