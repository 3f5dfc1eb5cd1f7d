/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log and its signed checkpoints. */
#include "model/audit.h"
#include "ops/ops_impl.h"
#include "ops/page.h"

int op_audit_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    size_t count, limit = page_limit(run);
    struct audit_entry *entries;
    int r = store_audit(tx, run_int(run, "after", 0), limit + 1, run->arena, &entries, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "entries");
    for (size_t i = 0; i < shown; i++)
        audit_entry_write(&entries[i], jw);
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", entries[shown - 1].position.seq);
    return 0;
}

int op_audit_checkpoint_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct audit_checkpoint checkpoint = {.position = run->call->position, .at = clock_wall(run->ops->clock)};
    struct audit_entry *newest;
    size_t count;
    int r = store_audit(tx, checkpoint.position.seq - 1, 1, run->arena, &newest, &count, err);
    if (r < 0) return r;
    if (count) checkpoint.hash = newest[0].hash;
    r = audit_checkpoint_sign(&checkpoint, run->ops->audit_key, err);
    if (r < 0) return r;

    char hex[2 * ED25519_SIGNATURE_SIZE + 1], hash[HASH_TEXT_SIZE], position[POSITION_TEXT_SIZE];
    position_text(checkpoint.position, position);
    sha256_text(&checkpoint.hash, hash);
    jw_text(jw, "position", position);
    jw_text(jw, "hash", hash);
    write_time(jw, "at", checkpoint.at);
    hex_encode(checkpoint.public_key, sizeof(checkpoint.public_key), hex);
    jw_text(jw, "public_key", hex);
    hex_encode(checkpoint.signature, sizeof(checkpoint.signature), hex);
    jw_text(jw, "signature", hex);
    return 0;
}
