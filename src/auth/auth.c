/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: made here, checked here against the snapshot. A token of our own form names its id, so one look-up and one hash
 * decide; any other token can only be a bootstrap key and is looked up by its hash. The secret never leaves this file
 * except in the text that auth_key_new() hands over.
 */
#include "auth/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PREFIX "serin_"
#define ID_DIGITS 16
#define SECRET_DIGITS 64
#define CHECK_DIGITS 8
#define TOKEN_LEN (sizeof(PREFIX) - 1 + ID_DIGITS + 1 + SECRET_DIGITS + CHECK_DIGITS)

static void add_checksum(char *text, size_t len) {
    uint32_t sum = crc32_bytes(text, len);
    snprintf(text + len, CHECK_DIGITS + 1, "%08x", sum);
}

int auth_key_new(char ret_id[AUTH_KEY_ID_SIZE], char ret_text[AUTH_KEY_TEXT_SIZE], struct sha256 *ret_hash,
                 struct err *err) {
    uint8_t random[(ID_DIGITS + SECRET_DIGITS) / 2];
    int r = random_bytes(random, sizeof(random), err);
    if (r < 0) return r;

    char secret[SECRET_DIGITS + 1];
    hex_encode(random, ID_DIGITS / 2, ret_id);
    hex_encode(random + ID_DIGITS / 2, SECRET_DIGITS / 2, secret);
    int len = snprintf(ret_text, AUTH_KEY_TEXT_SIZE, PREFIX "%s_%s", ret_id, secret);
    add_checksum(ret_text, (size_t)len);
    secret_clear(random, sizeof(random));
    secret_clear(secret, sizeof(secret));
    if (sha256_bytes(ret_text, TOKEN_LEN, ret_hash) < 0) return err_set(err, ERR_INTERNAL, "hashing a new key failed");
    return 0;
}

/* The id inside a token of our own form whose checksum is right; empty otherwise. */
static struct slice token_id(struct slice token) {
    size_t prefix = sizeof(PREFIX) - 1;
    if (token.len != TOKEN_LEN || memcmp(token.ptr, PREFIX, prefix) || token.ptr[prefix + ID_DIGITS] != '_')
        return (struct slice){0};

    char check[CHECK_DIGITS + 1];
    snprintf(check, sizeof(check), "%08x", crc32_bytes(token.ptr, TOKEN_LEN - CHECK_DIGITS));
    if (memcmp(check, token.ptr + TOKEN_LEN - CHECK_DIGITS, CHECK_DIGITS)) return (struct slice){0};
    return (struct slice){token.ptr + prefix, ID_DIGITS};
}

const struct snapshot_key *auth_check(const struct snapshot *snapshot, struct slice token) {
    if (!token.len || token.len > AUTH_BOOTSTRAP_MAX) return NULL;

    struct sha256 hash;
    if (sha256_bytes(token.ptr, token.len, &hash) < 0) return NULL;

    struct slice id = token_id(token);
    const struct snapshot_key *key = id.len ? snapshot_key_by_id(snapshot, id) : snapshot_key_by_hash(snapshot, &hash);
    if (!key || !secret_equal(&key->secret_hash, &hash, sizeof(hash))) return NULL;
    return key;
}

struct slice auth_token(const char *authorization, const char *api_key) {
    static const char bearer[] = "Bearer ";
    if (authorization && !strncasecmp(authorization, bearer, sizeof(bearer) - 1)) {
        const char *token = authorization + sizeof(bearer) - 1;
        return slice_of(token + strspn(token, " "));
    }
    return slice_of(api_key);
}

struct principal principal_of(const struct snapshot_key *key) {
    return (struct principal){
        .id = key->id,
        .name = key->name,
        .role = key->role,
        .all_environments = key->all_environments,
        .environments = key->environments,
        .materialise_defaults = key->materialise_defaults,
    };
}

struct principal principal_controller(void) {
    static const char *const none[] = {NULL};
    return (struct principal){
        .id = AUTH_CONTROLLER_ID,
        .name = AUTH_CONTROLLER_ID,
        .role = ROLE_RELEASER,
        .all_environments = true,
        .environments = none,
        .robot = true,
    };
}

static size_t list_len(const char *const *list) {
    size_t len = 0;
    while (list && list[len])
        len++;
    return len;
}

int principal_copy(const struct principal *principal, struct arena *arena, struct principal *ret) {
    size_t count = list_len(principal->environments);
    const char **environments = arena_array(arena, count + 1, sizeof(*environments));
    if (!environments) return -ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!(environments[i] = arena_strdup(arena, principal->environments[i]))) return -ERR_NO_MEMORY;

    struct principal copy = *principal;
    copy.id = arena_strdup(arena, principal->id);
    copy.name = arena_strdup(arena, principal->name);
    copy.environments = environments;
    if (!copy.id || !copy.name) return -ERR_NO_MEMORY;
    *ret = copy;
    return 0;
}

bool principal_sees(const struct principal *principal, struct slice environment) {
    if (principal->all_environments) return true;
    for (size_t i = 0; principal->environments[i]; i++)
        if (slice_equal_text(environment, principal->environments[i])) return true;
    return false;
}

const char *principal_own_environment(const struct principal *principal) {
    if (principal->all_environments || list_len(principal->environments) != 1) return NULL;
    return principal->environments[0];
}
