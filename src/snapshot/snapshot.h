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
#include "base/murmur.h"
#include "base/str.h"
#include "logic/logic.h"
#include "model/nouns.h"
#include "model/rollout.h"

struct snapshot;

/* A served configuration, shared by all entries that serve it. Counted. The text of decision_tail lies right behind the struct. */
struct snapshot_version {
    int64_t number;
    struct slice decision_tail; /* how every decision for it ends: `"config":{…},"flags":{}}` */
    struct slice config;        /* canonical bytes, a part of decision_tail */
    struct slice agent;         /* owned by this object */
    struct sha256 content_hash, config_hash;
};

/* What is served where a panic has switched an agent off: number 0, no configuration; its decision_tail is `"flags":{}}`. Always there. */
extern const struct snapshot_version snapshot_disabled;

/* How a decision begins, from `{"agent":…` to what is the same for all whom it is for; and their ETag, `W/"<seq>.<version>…"`, a NUL behind it. A decision
 * stays the same as long as its ETag does: what else is in it depends on the question alone. */
struct snapshot_head {
    struct slice text, etag;
};

/* An override: of users that it names exactly, or of those to whom a rule applies. */
struct snapshot_override {
    struct slice name;
    const struct snapshot_version *version;
    uint32_t key_count;
    const char
        *keys; /* key_count texts one after the other, each with its NUL, sorted; found by snapshot_entry_override() */
    const struct logic_rule *audience; /* with `audience_text`; a text without a rule is nobody */
    struct slice audience_text;        /* canonical JSON; empty: it names its users */
    struct snapshot_head head;
};
#define OVERRIDE_AUDIENCES_MAX 64 /* of one agent in one environment */

/* The open rollout of an entry: running, paused or held. What choosing an arm needs stands first. */
struct snapshot_rollout {
    const struct snapshot_version *candidate; /* NULL: no rollout is open */
    const struct logic_rule *audience;        /* NULL: everybody */
    struct murmur salted;                     /* `salt "/"`, hashed: a user's hash goes on from here */
    int32_t share;                            /* in force */
    enum rollout_state state;
    struct snapshot_head heads[2]; /* of decisions for those whom it counts: stable, candidate */
    struct slice member;           /* how decisions name it: `"rollout":"<id>",` */
    struct slice id, salt;
    struct slice audience_text; /* canonical JSON; empty: everybody */
    int64_t seq;                /* of its start */
};

/* A panic that is in force on an agent in an environment: its own, or that of the whole environment. */
struct snapshot_panic {
    const struct snapshot_version *version; /* &snapshot_disabled: switched off */
    struct snapshot_head head;
    bool whole_environment;
    struct slice reason, created_by;
    int64_t created_at, seq;
};

/* What can choose another version than the ref. The first cache line has all that choosing an arm needs. */
struct snapshot_beside {
    const struct snapshot_version *version; /* what the ref serves, once more */
    const struct snapshot_panic *panic;     /* NULL: none is in force */
    struct snapshot_rollout rollout;
};

/* What the ref depended on from a moment on; see struct era. */
struct snapshot_era {
    int64_t from;
    const struct snapshot_version *version;
    const struct snapshot_version *candidate; /* NULL: no rollout was open */
    const struct logic_rule *audience;        /* NULL: everybody */
    struct slice salt, audience_text;
    int32_t share;
    bool version_released, candidate_released; /* it has been rolled back from since: it holds no session any more */
};

/* How far back sessions reach, from the last change of what a ref depends on; and how many such changes they reach back over. */
#define SESSION_LIFE (INT64_C(24) * 3600 * 1000000)
#define SESSION_ERAS_MAX 64

/* What one environment serves for one agent. The texts of the names and of the head lie right behind the struct. */
struct snapshot_entry {
    const struct snapshot_version *version;    /* what the ref serves */
    const struct snapshot_beside *beside;      /* NULL: nothing can choose another version, but for sessions */
    const struct snapshot_override *overrides; /* in order of name; NULL when there is none */
    const struct snapshot_era *eras;           /* newest first; the first is in force now. NULL when there is none */
    struct slice agent, environment;           /* parts of one text, see snapshot_entry_salt() */
    struct snapshot_head head;                 /* of decisions by the ref for those whom no rollout counts */
    uint32_t override_count, era_count;
    uint32_t audience_count; /* overrides that have a rule */
    enum session_policy sessions;
    bool held;
    struct deployment deployment; /* the move behind the ref; strings owned by the entry */
};

/* The rollout that is open, or NULL. */
static inline const struct snapshot_rollout *snapshot_entry_rollout(const struct snapshot_entry *entry) {
    return entry->beside && entry->beside->rollout.candidate ? &entry->beside->rollout : NULL;
}

/* The salt of units: the open rollout's, else "agent/environment". */
static inline struct slice snapshot_entry_salt(const struct snapshot_entry *entry) {
    const struct snapshot_rollout *rollout = snapshot_entry_rollout(entry);
    if (rollout) return rollout->salt;
    return (struct slice){entry->agent.ptr, entry->agent.len + 1 + entry->environment.len};
}

/* A key, as the data plane needs it. */
struct snapshot_key {
    const char *id, *name;
    enum role role;
    struct sha256 secret_hash;
    bool all_environments;
    const char *const *environments; /* NULL-terminated, sorted; names only */
    bool materialise_defaults;       /* OFREP: a disabled flag is answered with its default value */
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
    const struct snapshot_beside *beside;   /* entry->beside */
    const struct snapshot_version *version; /* entry->version; NULL when `beside` is there, which has it */
    bool has_overrides;                     /* entry->override_count > 0 */
    bool has_flags;                         /* flags are bound to some agent, in some environment */
    uint64_t ref;                           /* a hash of both names, the same as long as the process lives */
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
 * deployment: {id, kind, version, previous?, reason, by, at}, held, overrides: [{name, version, keys}
 * or {name, version, audience}],
 * rollout?: {id, state, candidate, share, salt, audience?}, sessions: {policy, eras: [{from, version, candidate?, share?, salt?, audience?, released?: [version]}]},
 * panic?: {version or disabled, whole_environment, reason, by, at}, config, versions: {"<n>": {config_hash, config}}}, where `versions` are all that somebody may
 * get and are not the entry's own. Shares are in thousandths of a percent, `from` in microseconds since 1970. */
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
    const char *audience;    /* canonical JSON; NULL: it names its users */
};
struct snapshot_era_spec {
    struct era era;
    bool version_released, candidate_released;
};
/* What an entry is made from. Everything is copied. */
struct snapshot_entry_spec {
    struct deployment deployment; /* names agent and environment */
    bool held;
    enum session_policy sessions;
    const struct rollout *rollout; /* the open one; NULL: none is */
    const struct panic *panic;     /* that is in force; NULL: none is. A version below 0 is what the ref serves */
    const struct snapshot_era_spec *eras; /* newest first, at most SESSION_ERAS_MAX */
    size_t era_count;
    const struct snapshot_override_spec *overrides; /* in order of name */
    size_t override_count;
    const struct version *const *versions; /* with config bytes: deployment.version and each other's that is named */
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
 * when a version it needs was neither given nor known. An audience that this program cannot read is nobody. On failure the edit is as before. */
int snapshot_edit_entry(struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, struct err *err) MUST_CHECK;
/* Whether a version object of that number is served by the base or the edit, so that its config need not be loaded again. */
bool snapshot_edit_knows_version(const struct snapshot_edit *edit, const char *agent, int64_t number);
int snapshot_edit_keys(struct snapshot_edit *edit, const struct key *keys, size_t count,
                       struct err *err) MUST_CHECK; /* replaces all; revoked ones are left out */
/* Makes the new snapshot and ends the edit (which is freed in any case). */
int snapshot_edit_finish(struct snapshot_edit *edit, struct position position, struct snapshot **ret) MUST_CHECK;

#endif
