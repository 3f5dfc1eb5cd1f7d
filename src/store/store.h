/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: the only SQL in the project. Tables of truth are append-only; derived tables (what is current)
 * can be rebuilt from them. One sequence orders all changes: the head row is locked first in each change.
 *
 * Writing goes through store_write(): callers that come while a transaction is being committed are carried
 * out together in the next one (group commit), so that one client waits for one fsync and sixteen clients share it; one that
 * fails is undone without its neighbours (redo.c). A callback may therefore run on another caller's thread; its caller waits meanwhile.
 * store_record() takes part in the same transactions. After a commit that was not certain (UNKNOWN_OUTCOME) every caller of that transaction gets this code.
 *
 * A struct store may be used by any number of threads. A struct store_tx belongs to the callback it was given to.
 * Rows are copied into the arena that the caller names. Outcomes above 0: STORE_NONE, STORE_AMBIGUOUS.
 */
#ifndef SERIN_STORE_STORE_H
#define SERIN_STORE_STORE_H

#include "base/clock.h"
#include "base/err.h"
#include "model/nouns.h"

struct db;
struct db_watch;
struct store;
struct store_tx;

#define STORE_NONE 1
#define STORE_AMBIGUOUS 2

struct store_options {
    const char *url; /* "sqlite:PATH" */
    const struct clock *clock;
    bool must_exist; /* a store that is not there is not made: STORE_MISSING */
    /* Test double: wraps each connection after it was opened, or NULL. Takes over `inner`, also when it fails. */
    int (*wrap)(void *ctx, struct db *inner, struct db **ret);
    void *wrap_ctx;
};

/* A store that is not open yet: store_write() and store_read() answer STORE_UNAVAILABLE until store_try() has opened it. */
int store_new(const struct store_options *options, struct store **ret, struct err *err) MUST_CHECK;
/* Opens or makes the store and migrates it forward, then runs `use` (NULL: nothing), which may already read and write; others may when all went
 * well. After a failure the store is as before, to be tried again. STORE_NEWER when its schema is newer than this program. One thread
 * at a time, until it answered 0 once. */
int store_try(struct store *store, int (*use)(void *ctx, struct err *err), void *ctx, struct err *err) MUST_CHECK;
bool store_is_open(const struct store *store);
/* Both in one. */
int store_open(const struct store_options *options, struct store **ret, struct err *err) MUST_CHECK;
struct store *store_close(struct store *store);
DEFINE_CLEANUP(struct store *, store_close)
int store_schema(const struct store *store);      /* the number it has now */
int store_schema_from(const struct store *store); /* the number it had when it was opened, 0 = new */

typedef int (*store_fn)(void *arg, struct store_tx *tx, struct err *err);

/* Runs `fn` inside a write transaction. It answers 0 to commit; anything else undoes what it did and is passed up. When it has
 * not called store_advance() nothing is committed. After 0 the change is durable. Rows can be written only after store_advance(), and a change
 * without its audit entry is refused (INTERNAL), as is one that goes on after a statement of it failed. `fn` must not call
 * store_write() or store_read(). */
int store_write(struct store *store, store_fn fn, void *arg, struct err *err) MUST_CHECK;
/* The same for what is no change of the world: no position, no audit entry, no store_advance(). What outcomes add up to is written so. */
int store_record(struct store *store, store_fn fn, void *arg, struct err *err) MUST_CHECK;
/* Runs `fn` over a stable view of the newest committed state; its answer is passed up. Does not wait for writers. */
int store_read(struct store *store, store_fn fn, void *arg, struct err *err) MUST_CHECK;

/* ---- order ---- */

/* Takes the next position for this change, once: seq + 1 and a commit time that is later than every earlier one
 * (wall clock, or the last time + 1 µs when the clock went back). Every row of the change carries these. */
int store_advance(struct store_tx *tx, struct position *ret_position, int64_t *ret_at, struct err *err) MUST_CHECK;
int store_head(struct store_tx *tx, struct position *ret_position, int64_t *ret_at, struct err *err) MUST_CHECK;
/* The newest position whose commit time is at or before `at`. STORE_NONE before the first change. */
int store_position_at(struct store_tx *tx, int64_t at, struct position *ret, struct err *err) MUST_CHECK;
/* 0 when this history went through that position; STORE_NONE otherwise (another epoch's lost tail, or the future). *ret_at (NULL: not asked): the commit time
 * of the newest change up to it, 0 before the first. */
int store_position_known(struct store_tx *tx, struct position position, int64_t *ret_at, struct err *err) MUST_CHECK;
/* Begins a new epoch at the head (after a restore), later than the store's own and than `after`: a change of its own, by "system", operation
 * "epoch_begin". */
int store_epoch_begin(struct store *store, int64_t after, const char *reason, struct err *err) MUST_CHECK;

/* What a range of changes touched: one row a (seq, agent, environment, what). */
enum store_touched {
    TOUCHED_NOUNS, /* an agent, an environment, or what an environment serves for an agent */
    TOUCHED_KEYS,  /* keys were made or revoked */
    TOUCHED_FLAGS, /* flags of the environment, or what they share */
};
struct store_touch {
    int64_t seq;
    const char *agent;       /* "" when the change is about no agent */
    const char *environment; /* "" when it is about none: the agent or the keys themselves */
    enum store_touched what;
};
/* Touches with seq > after, in order, at most `limit` (rows of one seq are never split). */
int store_touches(struct store_tx *tx, int64_t after, size_t limit, struct arena *arena, struct store_touch **ret,
                  size_t *ret_count, struct err *err) MUST_CHECK;

/* ---- agents and versions ---- */

int store_agent_get(struct store_tx *tx, const char *name, struct arena *arena, struct agent *ret,
                    struct err *err) MUST_CHECK;
/* In order of name, names > `after` ("" = from the start). */
int store_agents(struct store_tx *tx, const char *after, size_t limit, struct arena *arena, struct agent **ret,
                 size_t *ret_count, struct err *err) MUST_CHECK;
/* Makes the agent, or appends a new description to an existing one. Uses name, description, created_by, seq and created_at. */
int store_agent_put(struct store_tx *tx, const struct agent *agent, struct err *err) MUST_CHECK;

/* `number` 0 = the newest. Without `with_config` the config slice is empty. */
int store_version_get(struct store_tx *tx, const char *agent, int64_t number, bool with_config, struct arena *arena,
                      struct version *ret, struct err *err) MUST_CHECK;
/* Without its configuration, by the first 8 to 64 lower-case hex digits of its content hash; the newest when the same content was pushed twice. STORE_AMBIGUOUS when different contents match. */
int store_version_by_hash(struct store_tx *tx, const char *agent, const char *hex, struct arena *arena,
                          struct version *ret, struct err *err) MUST_CHECK;
/* Newest first, numbers < before (0 = from the newest), without configs. */
int store_versions(struct store_tx *tx, const char *agent, int64_t before, size_t limit, struct arena *arena,
                   struct version **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* Number must be latest + 1 (CONFLICT otherwise). The configuration is kept once for each content hash. */
int store_version_add(struct store_tx *tx, const struct version *version, struct err *err) MUST_CHECK;

/* ---- environments ---- */

int store_environment_get(struct store_tx *tx, const char *name, struct arena *arena, struct environment *ret,
                          struct err *err) MUST_CHECK;
int store_environments(struct store_tx *tx, struct arena *arena, struct environment **ret, size_t *ret_count,
                       struct err *err) MUST_CHECK;
int store_environment_put(struct store_tx *tx, const struct environment *environment, struct err *err) MUST_CHECK;

/* ---- refs and deployments ---- */

/* The deployment behind the ref now. STORE_NONE: nothing is served there. */
int store_ref_get(struct store_tx *tx, const char *agent, const char *environment, struct arena *arena,
                  struct deployment *ret, struct err *err) MUST_CHECK;
/* All refs, ordered by (environment, agent), after the given pair ("" "" = from the start); environment_filter NULL = all; agent_filter NULL = all. */
struct store_refs_query {
    const char *environment, *agent; /* filters, NULL = all */
    const char *after_environment, *after_agent;
    size_t limit;
};
int store_refs(struct store_tx *tx, const struct store_refs_query *query, struct arena *arena, struct deployment **ret,
               size_t *ret_count, struct err *err) MUST_CHECK;
/* The deployment behind the ref as of seq. */
int store_ref_at(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                 struct deployment *ret, struct err *err) MUST_CHECK;
/* Moves the ref: compare-and-swap on deployment->previous (CONFLICT when the ref is elsewhere). */
int store_deployment_add(struct store_tx *tx, const struct deployment *deployment, struct err *err) MUST_CHECK;
/* Newest first, seq < before (0 = from the newest). environment NULL = all of them. */
int store_deployments(struct store_tx *tx, const char *agent, const char *environment, int64_t before, size_t limit,
                      struct arena *arena, struct deployment **ret, size_t *ret_count, struct err *err) MUST_CHECK;
/* The newest deployment of that version there with seq <= max_seq (0 = any). */
int store_deployment_of(struct store_tx *tx, const char *agent, const char *environment, int64_t version,
                        int64_t max_seq, struct arena *arena, struct deployment *ret, struct err *err) MUST_CHECK;

/* Before the deployments that belong to it. */
int store_release_add(struct store_tx *tx, const struct release *release, struct err *err) MUST_CHECK;
int store_release_get(struct store_tx *tx, const char *id, struct arena *arena, struct release *ret,
                      struct err *err) MUST_CHECK;
/* Newest first, seq < before; environment NULL = all. */
int store_releases(struct store_tx *tx, const char *environment, int64_t before, size_t limit, struct arena *arena,
                   struct release **ret, size_t *ret_count, struct err *err) MUST_CHECK;
int store_release_moves(struct store_tx *tx, const char *id, struct arena *arena, struct deployment **ret,
                        size_t *ret_count, struct err *err) MUST_CHECK; /* in order of agent */
/* The id of the release that rolled this one back, or STORE_NONE. */
int store_release_undone_by(struct store_tx *tx, const char *id, struct arena *arena, const char **ret,
                            struct err *err) MUST_CHECK;

/* ---- holds and overrides ---- */

/* As of seq (0 = now). */
int store_hold_get(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                   struct hold *ret, struct err *err) MUST_CHECK;
int store_holds(struct store_tx *tx, const char *environment /* NULL = all */, struct arena *arena, struct hold **ret,
                size_t *ret_count, struct err *err) MUST_CHECK;
int store_hold_put(struct store_tx *tx, const struct hold *hold, struct err *err) MUST_CHECK;
int store_hold_release(struct store_tx *tx, const struct hold *hold,
                       struct err *err) MUST_CHECK; /* who, why and when; STORE_NONE when not held */

int store_override_put(struct store_tx *tx, const struct override *override, struct err *err) MUST_CHECK;
int store_override_remove(struct store_tx *tx, const struct override *override,
                          struct err *err) MUST_CHECK; /* STORE_NONE */
int store_override_get(struct store_tx *tx, const char *agent, const char *environment, const char *name,
                       struct arena *arena, struct override *ret, struct err *err) MUST_CHECK;
/* In force as of seq (0 = now), in order of name. */
int store_overrides(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                    struct override **ret, size_t *ret_count, struct err *err) MUST_CHECK;

/* ---- keys ---- */

int store_key_add(struct store_tx *tx, const struct key *key, struct err *err) MUST_CHECK;
int store_key_revoke(struct store_tx *tx, const char *id, const char *by, int64_t at, int64_t seq,
                     struct err *err) MUST_CHECK; /* STORE_NONE when there is none, or none in force */
int store_key_get(struct store_tx *tx, const char *id, struct arena *arena, struct key *ret,
                  struct err *err) MUST_CHECK;
int store_keys(struct store_tx *tx, struct arena *arena, struct key **ret, size_t *ret_count,
               struct err *err) MUST_CHECK; /* revoked ones too, in order of making */

/* ---- audit ---- */

/* Appends the entry of this change, exactly one, with its position and time: sets `previous` from the chain and computes `hash`. */
int store_audit_append(struct store_tx *tx, struct audit_entry *entry, struct err *err) MUST_CHECK;
int store_audit(struct store_tx *tx, int64_t after_seq, size_t limit, struct arena *arena, struct audit_entry **ret,
                size_t *ret_count, struct err *err) MUST_CHECK;

/* ---- repeated requests ---- */

struct store_answer {
    const char *principal; /* key id */
    const char *key;       /* the Idempotency-Key */
    struct sha256 request; /* of what was asked */
    int status;
    const char *body;
    struct position position; /* of the change */
    int64_t at;
};
#define STORE_ANSWER_LIFE (24LL * 3600 * 1000000)
/* A remembered answer that is not older than STORE_ANSWER_LIFE, or STORE_NONE. */
int store_answer_get(struct store_tx *tx, const char *principal, const char *key, struct arena *arena,
                     struct store_answer *ret, struct err *err) MUST_CHECK;
/* Remembers an answer and forgets a few that are too old. CONFLICT when one in force has this key. */
int store_answer_put(struct store_tx *tx, const struct store_answer *answer, struct err *err) MUST_CHECK;

/* ---- care ---- */

/* Empties the derived tables and makes them anew from the truth. */
int store_rebuild(struct store *store, struct err *err) MUST_CHECK;
/* A hash over all derived tables, to prove that rebuilding changes nothing. */
int store_derived_hash(struct store *store, struct sha256 *ret, struct err *err) MUST_CHECK;
/* Compares the derived tables with what the truth says, and writes nothing. STORE_CORRUPT names the first table that differs. */
int store_derived_check(struct store *store, struct err *err) MUST_CHECK;

/* Opens what is there to be read, and only that: no lock, no migration, no writing; store_write() must not be called. SHARED: another process
 * may be writing it. STILL: nobody is, as a backup, or a store at rest; nothing is made beside it. STORE_NEWER; an older schema is fine. */
enum store_visit { STORE_SHARED, STORE_STILL };
int store_visit(const struct store_options *options, enum store_visit visit, struct store **ret,
                struct err *err) MUST_CHECK;

/* What a store holds up to: its newest change. */
struct store_moment {
    struct position position;
    int64_t at;
    struct sha256 audit_hash;
};
/* The newest change of a store at rest, whatever its schema. */
int store_peek(const struct store_options *options, struct store_moment *ret, struct err *err) MUST_CHECK;
/* Copies the store as it is at this moment, while others may write, into the empty file at `path`. */
int store_backup(struct store *store, const char *path, const struct db_watch *watch, struct store_moment *ret,
                 struct err *err) MUST_CHECK;
/* Walks the audit log and holds it to its rule and to the store's head. `each` (or NULL) sees the chain after every entry. CONFLICT. */
struct audit_chain;
struct store_walk {
    bool tail; /* only the newest STORE_TAIL entries */
    void (*each)(void *ctx, const struct audit_chain *chain);
    void *ctx;
    const struct db_watch *watch;
};
#define STORE_TAIL 1000
int store_audit_walk(struct store_tx *tx, const struct store_walk *walk, struct audit_chain *ret,
                     struct err *err) MUST_CHECK;
/* Holds the store to what it must be: every page readable, and the audit chain unbroken up to the head. `quick` leaves out the comparison of
 * indexes with their tables and looks at the newest STORE_TAIL entries of the chain. STORE_CORRUPT, CONFLICT (the chain). */
int store_verify(struct store *store, bool quick, const struct db_watch *watch, struct store_moment *ret,
                 struct err *err) MUST_CHECK;

#endif
