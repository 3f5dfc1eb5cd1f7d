/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit chain. Each entry's hash covers the hash before it, so that no entry can be altered, removed or moved
 * without changing all that follow; a checkpoint signs the newest hash, so that the tail cannot be cut unseen.
 *
 *   hash = SHA-256( canonical JSON of {actor, actor_name, agent, at, detail, environment, operation, position, previous, reason} )
 *
 * with `at` as RFC 3339 text, `position` as text, `previous` as "sha256:…" (64 zeros before the first entry) and
 * `detail` as the JSON object itself. Written down for others in spec/audit.md.
 */
#ifndef SERIN_MODEL_AUDIT_H
#define SERIN_MODEL_AUDIT_H

#include "base/err.h"
#include "base/jw.h"
#include "model/nouns.h"

/* Computes entry->hash from the other members (`previous` included). */
int audit_entry_hash(const struct audit_entry *entry, struct sha256 *ret, struct err *err) MUST_CHECK;
/* Writes the entry as users see it: position, at, actor, actor_name, operation, agent, environment, reason, detail,
 * previous, hash. */
void audit_entry_write(const struct audit_entry *entry, struct jw *jw);

/* The chain as read so far; all zeros before the first entry. */
struct audit_chain {
    struct position position; /* of the entry read last */
    struct sha256 hash;
    int64_t count;
};
/* Holds the next entry to the rule: its hash is that of its content, it names the hash before it, its position rises. CONFLICT with
 * the entry's position as place when it does not; the chain is then as it was. */
int audit_chain_add(struct audit_chain *chain, const struct audit_entry *entry, struct err *err) MUST_CHECK;
/* The error of a chain that is broken at that place; answers -ERR_CONFLICT. */
int audit_broken(struct err *err, const char *at, const char *message);

/* {"position","hash","at","public_key","signature"}; the signature covers
 * "serin audit checkpoint\n<position>\n<hash>\n<at>\n". */
struct audit_checkpoint {
    struct position position;
    struct sha256 hash;
    int64_t at;
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
};
int audit_checkpoint_sign(struct audit_checkpoint *checkpoint, const uint8_t private_key[ED25519_PRIVATE_SIZE],
                          struct err *err) MUST_CHECK; /* fills public_key and signature */
/* The private key as it lies in its file: 64 hex digits and the line's end; false for anything else. */
bool audit_key_from_text(struct slice text, uint8_t ret[ED25519_PRIVATE_SIZE]);
bool audit_checkpoint_verify(
    const struct audit_checkpoint *checkpoint); /* against its own public_key; the caller knows which key to trust */

#endif
