/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain is computed over canonical JSON (RFC 8785) so that anybody can check it from the exported entries
 * with a JSON library and SHA-256 alone. `detail` is brought to canonical form here rather than trusted: an entry
 * whose hash holds only for the bytes that the store happened to keep could not be checked by a reader
 * of the JSON.
 */
#include "model/audit.h"

#include "base/clock.h"
#include "base/json.h"

#include <string.h>

static int add_canonical_detail(const char *detail, struct str *out, struct err *err) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    int r;

    r = json_parse(detail, strlen(detail), JSON_DEPTH_MAX, &value, err);
    if (r < 0) goto broken;
    if (!json_is_object(value)) {
        r = err_set(err, ERR_INVALID, "not a JSON object");
        goto broken;
    }
    r = json_canonical(value, out, err);
    if (r < 0) goto broken;
    return 0;

broken:
    err_prefix(err, "detail of an audit entry: ");
    return r;
}

/* Members in the order that RFC 8785 wants them. */
static void write_hashed(const struct audit_entry *entry, struct slice detail, struct str *out) {
    struct jw jw = JW_INIT(out);
    char at[CLOCK_TEXT_SIZE], position[POSITION_TEXT_SIZE], previous[HASH_TEXT_SIZE];

    clock_text(entry->at, at);
    position_text(entry->position, position);
    sha256_text(&entry->previous, previous);
    jw_object(&jw, NULL);
    jw_text(&jw, "actor", entry->actor);
    jw_text(&jw, "actor_name", entry->actor_name);
    jw_text(&jw, "agent", entry->agent);
    jw_text(&jw, "at", at);
    jw_raw(&jw, "detail", detail);
    jw_text(&jw, "environment", entry->environment);
    jw_text(&jw, "operation", entry->operation);
    jw_text(&jw, "position", position);
    jw_text(&jw, "previous", previous);
    jw_text(&jw, "reason", entry->reason);
    jw_end_object(&jw);
}

int audit_entry_hash(const struct audit_entry *entry, struct sha256 *ret, struct err *err) {
    _cleanup_(str_deinit) struct str detail = STR_INIT;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    int r;

    r = add_canonical_detail(entry->detail, &detail, err);
    if (r < 0) return r;
    write_hashed(entry, str_slice(&detail), &text);
    if (detail.failed || text.failed) return err_no_memory(err);
    r = sha256_bytes(text.data, text.len, ret);
    if (r < 0) return err_set(err, ERR_INTERNAL, "SHA-256 of an audit entry failed");
    return 0;
}

void audit_entry_write(const struct audit_entry *entry, struct jw *jw) {
    char at[CLOCK_TEXT_SIZE], position[POSITION_TEXT_SIZE], hash[HASH_TEXT_SIZE];

    clock_text(entry->at, at);
    position_text(entry->position, position);
    jw_object(jw, NULL);
    jw_text(jw, "position", position);
    jw_text(jw, "at", at);
    jw_text(jw, "actor", entry->actor);
    jw_text(jw, "actor_name", entry->actor_name);
    jw_text(jw, "operation", entry->operation);
    jw_text(jw, "agent", entry->agent);
    jw_text(jw, "environment", entry->environment);
    jw_text(jw, "reason", entry->reason);
    jw_raw(jw, "detail", slice_of(entry->detail));
    sha256_text(&entry->previous, hash);
    jw_text(jw, "previous", hash);
    sha256_text(&entry->hash, hash);
    jw_text(jw, "hash", hash);
    jw_end_object(jw);
}

int audit_broken(struct err *err, const char *at, const char *message) {
    err_set(err, ERR_CONFLICT, "the audit log is not what it was: %s", message);
    err_at(err, "%s", at);
    err_remedy(err, "Keep it as it is now, and compare it with a backup of the store");
    return -ERR_CONFLICT;
}

static bool same_hash(const struct sha256 *a, const struct sha256 *b) {
    return !memcmp(a->bytes, b->bytes, SHA256_SIZE);
}

int audit_chain_add(struct audit_chain *chain, const struct audit_entry *entry, struct err *err) {
    struct sha256 hash;
    char at[POSITION_TEXT_SIZE];

    position_text(entry->position, at);
    int r = audit_entry_hash(entry, &hash, err);
    if (r == -ERR_NO_MEMORY || r == -ERR_INTERNAL) return r;
    if (r < 0) return audit_broken(err, at, "an entry is malformed");
    bool rises = entry->position.epoch >= chain->position.epoch && entry->position.seq > chain->position.seq;
    if (!same_hash(&hash, &entry->hash))
        return audit_broken(err, at, "this entry does not have its hash; it was altered");
    if (!same_hash(&entry->previous, &chain->hash))
        return audit_broken(err, at, "this entry does not follow the one before; one was removed, added or moved");
    if (!rises) return audit_broken(err, at, "positions do not rise here");
    *chain = (struct audit_chain){entry->position, hash, chain->count + 1};
    return 0;
}

#define CHECKPOINT_TEXT_SIZE (32 + POSITION_TEXT_SIZE + HASH_TEXT_SIZE + CLOCK_TEXT_SIZE)

/* The first line keeps a signature made here from being taken for one over anything else. */
static struct slice signed_text(const struct audit_checkpoint *checkpoint, char ret[CHECKPOINT_TEXT_SIZE]) {
    char at[CLOCK_TEXT_SIZE], position[POSITION_TEXT_SIZE], hash[HASH_TEXT_SIZE];
    int len;

    position_text(checkpoint->position, position);
    sha256_text(&checkpoint->hash, hash);
    clock_text(checkpoint->at, at);
    len = snprintf(ret, CHECKPOINT_TEXT_SIZE, "serin audit checkpoint\n%s\n%s\n%s\n", position, hash, at);
    return (struct slice){ret, (size_t)len};
}

int audit_checkpoint_sign(struct audit_checkpoint *checkpoint, const uint8_t private_key[ED25519_PRIVATE_SIZE],
                          struct err *err) {
    char text[CHECKPOINT_TEXT_SIZE];
    int r;

    r = ed25519_public(private_key, checkpoint->public_key, err);
    if (r < 0) return r;
    return ed25519_sign(private_key, signed_text(checkpoint, text), checkpoint->signature, err);
}

bool audit_checkpoint_verify(const struct audit_checkpoint *checkpoint) {
    char text[CHECKPOINT_TEXT_SIZE];
    return ed25519_verify(checkpoint->public_key, signed_text(checkpoint, text), checkpoint->signature);
}

bool audit_key_from_text(struct slice text, uint8_t ret[ED25519_PRIVATE_SIZE]) {
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text.len == 2 * (size_t)ED25519_PRIVATE_SIZE && hex_decode(text.ptr, text.len, ret);
}
