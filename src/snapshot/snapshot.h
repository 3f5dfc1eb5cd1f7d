/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot: everything that a resolve needs, in memory, immutable. A new one is made from an old one by an
 * edit that copies only the pages it touches; all else is shared by reference count. Answers are serialised
 * when an entry is built, never per request.
 *
 * Pure: no I/O, no clock, no log, no globals. A published snapshot may be read by any number of threads. An edit has one owner.
 * Publishing is one atomic pointer swap; the old snapshot is freed when its last reader has let go (publisher.h).
 *
 * Invariants: an entry's version objects outlive it; an entry is found by (environment, agent) in O(1) with at most three dependent
 * cache misses at any number of agents (one more when both names together have over 41 bytes); two snapshots with the same truth
 * answer the same bytes.
 */
#ifndef SERIN_SNAPSHOT_SNAPSHOT_H
#define SERIN_SNAPSHOT_SNAPSHOT_H

#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "model/nouns.h"

struct snapshot;

/* A served configuration, shared by all entries that serve it. Counted. The text of decision_tail lies right behind the struct. */
struct snapshot_version {
    int64_t number;
    struct slice decision_tail; /* how every decision for it ends: `"config":{…},"flags":{}}` */
    struct slice config;        /* canonical bytes, a part of decision_tail */
    struct slice agent;         /* owned by this object */
    struct sha256 content_hash, config_hash;
};

/* An override that names users exactly. */
struct snapshot_override {
    struct slice name;
    const struct snapshot_version *version;
    uint32_t key_count;
    const char
        *keys; /* key_count texts one after the other, each with its NUL, sorted; found by snapshot_entry_override() */
    struct slice decision_head; /* how a decision by this override begins */
    struct slice etag;          /* as in the entry, with ".OVERRIDE" behind the version */
};

/* What one environment serves for one agent. The texts of the names and of decision_head lie right behind the struct. */
struct snapshot_entry {
    const struct snapshot_version *version;    /* what the ref serves */
    const struct snapshot_override *overrides; /* in order of name; NULL when there is none */
    struct slice agent, environment;           /* parts of one text, see snapshot_entry_salt() */
    struct slice decision_head; /* how a decision by the ref begins: `{"agent":…` to `"reason":"DEPLOYED",` */
    /* `W/"<seq>.<version>"`, a NUL behind it: a decision stays the same as long as these do; the unit depends on the key alone. */
    struct slice etag;
    uint32_t override_count;
    bool held;
    struct deployment deployment; /* the move behind the ref; strings owned by the entry */
};

/* "agent/environment": the salt of buckets and units outside a rollout. */
static inline struct slice snapshot_entry_salt(const struct snapshot_entry *entry) {
    return (struct slice){entry->agent.ptr, entry->agent.len + 1 + entry->environment.len};
}

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
struct slice snapshot_position_text(const struct snapshot *snapshot); /* a NUL stands behind it */
/* NULL when the environment serves no version of that agent. */
const struct snapshot_entry *snapshot_find(const struct snapshot *snapshot, struct slice environment,
                                           struct slice agent);
/* The same, with what most resolves need to know of the entry, so that it need not be read for that. */
struct snapshot_served {
    const struct snapshot_entry *entry;
    const struct snapshot_version *version; /* entry->version */
    bool has_overrides;                     /* entry->override_count > 0 */
};
bool snapshot_look(const struct snapshot *snapshot, struct slice environment, struct slice agent,
                   struct snapshot_served *ret);
bool snapshot_has_agent(const struct snapshot *snapshot, struct slice agent);
bool snapshot_has_environment(const struct snapshot *snapshot, struct slice environment);
/* The override that names this key exactly, or NULL. The first in order of name wins. */
const struct snapshot_override *snapshot_entry_override(const struct snapshot_entry *entry, struct slice targeting_key);
/* Keys in force. By the key's id, or by the hash of the whole secret (for the bootstrap key, which has no id inside). */
const struct snapshot_key *snapshot_key_by_id(const struct snapshot *snapshot, struct slice id);
const struct snapshot_key *snapshot_key_by_hash(const struct snapshot *snapshot, const struct sha256 *hash);
/* Made from what the keys in force are: a cached check of a key holds while it stays the same, over any publishing and rebuilding. */
uint64_t snapshot_keys_generation(const struct snapshot *snapshot);
size_t snapshot_entry_count(const struct snapshot *snapshot);
size_t snapshot_agent_count(const struct snapshot *snapshot);
/* Calls `each` for every entry of an environment in order of agent name (NULL environment: all, by environment then agent). Stops when
 * it answers other than 0, and answers that. */
int snapshot_each(const struct snapshot *snapshot, const char *environment,
                  int (*each)(void *ctx, const struct snapshot_entry *entry), void *ctx) MUST_CHECK;

/* Appends the entry as readers of the snapshot and the stream see it: {agent, environment, version, config_hash, content_hash,
 * deployment: {id, kind, version, previous?, reason, by, at}, held, overrides: [{name, version, keys}], config,
 * versions: {"<n>": {config_hash, config}}}, where `versions` are those of overrides that differ from the entry's own. */
void snapshot_entry_write(const struct snapshot_entry *entry, struct str *out);

/* ---- building ---- */

/* An empty snapshot at position 0.0. */
int snapshot_new(struct snapshot **ret) MUST_CHECK;
struct snapshot *snapshot_ref(struct snapshot *snapshot);
struct snapshot *snapshot_unref(struct snapshot *snapshot); /* answers NULL */
DEFINE_CLEANUP(struct snapshot *, snapshot_unref)

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
    size_t version_count;                  /* those that snapshot_edit_knows_version() knows may be left out */
};

struct snapshot_edit;
/* Starts from `base` (borrowed until the edit is finished or freed). */
int snapshot_edit_new(struct snapshot *base, struct snapshot_edit **ret) MUST_CHECK;
struct snapshot_edit *snapshot_edit_free(struct snapshot_edit *edit);
DEFINE_CLEANUP(struct snapshot_edit *, snapshot_edit_free)
int snapshot_edit_agent(struct snapshot_edit *edit, const char *agent) MUST_CHECK; /* the agent exists */
int snapshot_edit_environment(struct snapshot_edit *edit,
                              const char *environment) MUST_CHECK; /* the environment exists */
/* Puts the entry in the place of the one that the edit has for this agent and environment; both exist from then on. 0, NO_MEMORY, or INTERNAL
 * when a version it needs was neither given nor known. On failure the edit is as before. */
int snapshot_edit_entry(struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, struct err *err) MUST_CHECK;
/* Whether a version object of that number is served by the base or the edit, so that its config need not be loaded again. */
bool snapshot_edit_knows_version(const struct snapshot_edit *edit, const char *agent, int64_t number);
int snapshot_edit_keys(struct snapshot_edit *edit, const struct key *keys, size_t count,
                       struct err *err) MUST_CHECK; /* replaces all; revoked ones are left out */
/* Makes the new snapshot and ends the edit (which is freed in any case). */
int snapshot_edit_finish(struct snapshot_edit *edit, struct position position, struct snapshot **ret) MUST_CHECK;

#endif
