/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one resolver: (snapshot, question) -> decision. Pure: no I/O, clock, lock, allocation or log. The server, the client library, time
 * travel and the tests call this function; history is only another snapshot.
 *
 * Order (design: contract, "The decision"): override, then the ref. Panic, session and rollout take their places here later.
 */
#ifndef SERIN_RESOLVE_RESOLVE_H
#define SERIN_RESOLVE_RESOLVE_H

#include "base/jw.h"
#include "snapshot/snapshot.h"

/* Outcomes above 0. */
#define RESOLVE_NO_AGENT 1
#define RESOLVE_NO_ENVIRONMENT 2
#define RESOLVE_NOT_DEPLOYED 3

enum resolve_reason { RESOLVE_DEPLOYED, RESOLVE_OVERRIDE };
const char *resolve_reason_name(enum resolve_reason reason); /* "DEPLOYED" */

#define UNIT_TEXT_SIZE 25
#define BUCKETS 100000u

struct resolve_question {
    struct slice agent, environment;
    struct slice targeting_key; /* empty: none was given */
};

/* Borrows from the snapshot and the question. */
struct decision {
    const struct snapshot_entry *entry;
    const struct snapshot_version *version;
    const struct snapshot_override *override; /* when reason is OVERRIDE */
    enum resolve_reason reason;
    struct slice targeting_key;
    struct slice position; /* the snapshot's, as text */
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
/* Appends the decision's JSON (contract, "The decision"): agent, environment, version, arm, config_hash, reason, override?, position, unit?,
 * config, flags. With decision_size() bytes reserved it does not allocate. */
void decision_write(const struct decision *decision, struct str *out);
/* Appends the same members and `explain`: {rules: [{rule: "override", name, version, keys: <how many>, matched}, {rule: "ref", version, matched}],
 * deployment: {id, version, previous?, kind, reason, by, at, seq}, bucket?, salt, held}. Rules stand in the order in which they were
 * looked at, up to the one that chose; the bucket needs a targeting key. An element of the array that is open in `jw`, or its top value. */
void decision_explain(const struct decision *decision, struct jw *jw);

#endif
