/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one resolver: (snapshot, question) -> decision. Pure: no I/O, clock, lock, allocation or log. The server, the client library, time
 * travel and the tests call this function; history is only another snapshot.
 *
 * Order (design: contract, "The decision"): panic, override, session, rollout, ref. spec/resolving.md says it for other implementers.
 */
#ifndef SERIN_RESOLVE_RESOLVE_H
#define SERIN_RESOLVE_RESOLVE_H

#include "base/jw.h"
#include "logic/logic.h"
#include "snapshot/flags.h"

/* Outcomes above 0. */
#define RESOLVE_NO_AGENT 1
#define RESOLVE_NO_ENVIRONMENT 2
#define RESOLVE_NOT_DEPLOYED 3

enum resolve_reason { RESOLVE_DEPLOYED, RESOLVE_ROLLOUT, RESOLVE_SESSION, RESOLVE_OVERRIDE, RESOLVE_PANIC };
const char *resolve_reason_name(enum resolve_reason reason); /* "DEPLOYED" */

#define UNIT_TEXT_SIZE 25
#define BUCKETS 100000u

#define UNIT_SEEDS MURMUR_SEEDS

struct resolve_question {
    struct slice agent, environment;
    struct slice targeting_key; /* empty: none was given */
    /* When the conversation began; 0: there is none, or its time is no time. Whoever has a clock leaves out what lies in the future. */
    int64_t session_started_at;
    /* For audiences and flags, read only where there is one; its own targetingKey with it. NULL: there are none. */
    const struct logic_context *attributes;
    int64_t now; /* for flags whose rules ask for the time: seconds since 1970 */
};

/* Borrows from the snapshot and the question. */
struct decision {
    const struct snapshot_entry *entry;
    const struct snapshot_version *version; /* &snapshot_disabled when a panic has switched the agent off */
    const struct snapshot_head *head; /* how it begins; NULL: a session's, which is put together when it is written */
    const struct snapshot_override *override; /* when reason is OVERRIDE */
    const struct snapshot_rollout *rollout;   /* the open one, when it counts this decision: see decision_write() */
    const struct snapshot_era *era;           /* when reason is SESSION */
    struct slice targeting_key;
    struct slice position; /* the snapshot's, as text */
    enum resolve_reason reason;
    bool candidate; /* the arm */
    bool hashed;    /* `hash` is there: of the unit, by the entry's salt */
    uint64_t ref;   /* a hash of agent and environment, the same as long as the process lives */
    uint32_t hash[UNIT_SEEDS];
    /* What flags said; only `bound` is there when it is NULL: no flag counts for this agent. A bit stands for a flag of the agent's, in order of key. */
    const struct snapshot_bound *bound;
    struct flag *const *slots;
    const struct snapshot_pieces *pieces; /* of the version */
    uint64_t valued, off, withheld;       /* it has a value; that is false; tools are withheld (flag_takes_away()) */
    size_t valued_bytes;                  /* of the members `"key":value` of those that have one, with a comma each */
    uint64_t flags_sum; /* of what they said: another flag, definition, variant or failure makes another number */
    struct flag_result results[BOUND_FLAGS_MAX];
};

/* 0 or one of the outcomes above; what is unknown is told agent first. */
int resolve(const struct snapshot *snapshot, const struct resolve_question *question, struct decision *ret) MUST_CHECK;

/* Bucket of a user: MurmurHash3 x86 32-bit, seed 0, over UTF-8 `salt "/" key`; bucket = (hash * 100000) >> 32, 0 … 99999. */
uint32_t resolve_bucket(struct slice salt, struct slice targeting_key);
/* The unit that stands for the key in outcomes: 24 hex digits, the same hash with seeds 0, 1 and 2. Without a rollout
 * the salt is "agent/environment". */
void resolve_unit(struct slice salt, struct slice targeting_key, char ret[UNIT_TEXT_SIZE]);

/* Bytes that decision_write() will append at most. */
size_t decision_size(const struct decision *decision);
/* Appends the decision's JSON (contract, "The decision"): agent, environment, version, arm, config_hash?, reason, disabled?, override?, rollout?, position,
 * bucket?, unit?, config?, flags. With decision_size() bytes reserved it does not allocate.
 * - `unit` and `bucket` need a targeting key.
 * - `rollout` and `bucket` are there when the open rollout counts the decision: the user has a key and is of its audience, was not chosen by name, and holds
 *   no session that began under something else. What has no `rollout` is no evidence.
 * - Where a panic has switched the agent off: version 0, `"disabled":true`, no config and no config_hash. */
void decision_write(const struct decision *decision, struct str *out);
/* Appends the configuration alone, as flags leave it; nothing where a panic has switched the agent off. */
void decision_write_config(const struct decision *decision, struct str *out);
/* The unit that stands for the user; false: there is no targeting key. */
bool decision_unit(const struct decision *decision, char ret[UNIT_TEXT_SIZE]);
/* Writes the decision's ETag with a NUL; answers its length. */
#define DECISION_ETAG_SIZE 192
size_t decision_etag(const struct decision *decision, char ret[DECISION_ETAG_SIZE]);
/* Appends the same members and `explain`: {rules: […], flags?: [{key, reason, error?, result?, variant?, value?, taken?: {operation, argument}, bucket?, of?,
 * does: [{tool or guardrail, on} or {parameter, value?}], seq, definition}], deployment: {id, version, previous?, kind, reason, by, at, seq}, bucket?, salt, held}. Rules stand in the
 * order in which they were looked at, up to the one that chose, each with `matched`:
 *   {rule: "panic", whole_environment, version or disabled, reason, by, at, seq}            where one is in force
 *   {rule: "override", name, version, keys: <how many>} or {…, audience}: first those that name users, then those with a rule
 *   {rule: "session", policy, started_at, era?: {from, version, candidate?, share?, salt?, bucket?, audience?, in_audience?, chosen, released?}}    where one is given
 *   {rule: "rollout", id, state, candidate, share, salt, bucket?, audience?, in_audience?}  where one is open
 *   {rule: "ref", version}
 * A rollout matches when it chose the candidate; who stays stable is served by the ref. The bucket needs a targeting key; `question` is the one that was
 * resolved. An element of the array that is open in `jw`, or its top value. */
void decision_explain(const struct decision *decision, const struct resolve_question *question, struct jw *jw);

#endif
