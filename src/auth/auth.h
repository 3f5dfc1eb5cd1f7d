/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and what they may do.
 *
 * A key is written serin_<id>_<secret>: 16 hex digits of id, 64 of secret (256 bits), 8 of CRC-32 over all before
 * them, so that a mistyped key is told from a wrong one without asking anybody. The store and the snapshot hold only the
 * SHA-256 of the whole text; it is compared in constant time. A bootstrap key given by the operator may have any form of
 * 32 characters or more; it has the id "bootstrap" and is found by its hash.
 *
 * Checking reads the snapshot alone, so keys work while the database is away.
 */
#ifndef SERIN_AUTH_AUTH_H
#define SERIN_AUTH_AUTH_H

#include "snapshot/snapshot.h"

#define AUTH_KEY_TEXT_SIZE 96
#define AUTH_KEY_ID_SIZE 17
#define AUTH_BOOTSTRAP_ID "bootstrap"
#define AUTH_BOOTSTRAP_MIN 32
#define AUTH_BOOTSTRAP_MAX 512

/* Makes a new key: its id, the whole text (clear it with secret_clear() when it was shown) and the hash to keep. */
int auth_key_new(char ret_id[AUTH_KEY_ID_SIZE], char ret_text[AUTH_KEY_TEXT_SIZE], struct sha256 *ret_hash,
                 struct err *err) MUST_CHECK;

/* Who asks. Borrows from the snapshot, or from an arena after principal_copy(). */
struct principal {
    const char *id, *name;
    enum role role;
    bool all_environments;
    const char *const *environments; /* NULL-terminated; unused when all_environments */
    bool materialise_defaults;       /* the key's, for OFREP */
    bool robot;                      /* automation inside the server: held to what people decided. No key is one */
};

/* The rollout controller: a releaser everywhere, and the only caller of operations of the scope ROBOT. It has no key, so nobody can be it from
 * outside. */
#define AUTH_CONTROLLER_ID "controller"
struct principal principal_controller(void);

/* The key behind a token, or NULL: unknown, mistyped or revoked. Takes the same time for every wrong secret. */
const struct snapshot_key *auth_check(const struct snapshot *snapshot, struct slice token);
/* The token of an Authorization header ("Bearer …", any case) or of X-API-Key; empty when there is none. */
struct slice auth_token(const char *authorization, const char *api_key);

struct principal principal_of(const struct snapshot_key *key);
int principal_copy(const struct principal *principal, struct arena *arena, struct principal *ret) MUST_CHECK;
bool principal_sees(const struct principal *principal, struct slice environment);
/* The one environment that the key is bound to, or NULL. */
const char *principal_own_environment(const struct principal *principal);

#endif
