/* SPDX-License-Identifier: Apache-2.0 */
/* The audit table: the list of all changes, each entry's hash continuing the chain that the head carries. */
#include "store/store_impl.h"

#include "model/audit.h"

#define AUDIT_COLUMNS "epoch, seq, at, actor, actor_name, operation, agent, environment, reason, detail, previous, hash"

static int read_entry(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct audit_entry entry = {.position.epoch = row_int(&row)};

    entry.position.seq = row_int(&row);
    entry.at = row_int(&row);
    entry.actor = row_text(&row);
    entry.actor_name = row_text(&row);
    entry.operation = row_text(&row);
    entry.agent = row_text(&row);
    entry.environment = row_text(&row);
    entry.reason = row_text(&row);
    entry.detail = row_text(&row);
    entry.previous = row_hash(&row);
    entry.hash = row_hash(&row);
    *(struct audit_entry *)ret = entry;
    return row_end(&row, err);
}

static int insert_entry(struct store_tx *tx, const struct audit_entry *entry, struct err *err) {
    return tx_write(
        tx, "INSERT INTO audit (" AUDIT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        PARAMS(P_INT(entry->position.epoch), P_INT(entry->position.seq), P_INT(entry->at), P_TEXT(entry->actor),
               P_TEXT(entry->actor_name), P_TEXT(entry->operation), P_TEXT(entry->agent), P_TEXT(entry->environment),
               P_TEXT(entry->reason), P_TEXT(entry->detail), P_HASH(&entry->previous), P_HASH(&entry->hash)),
        err);
}

int store_audit_append(struct store_tx *tx, struct audit_entry *entry, struct err *err) {
    if (tx->audited) return err_set(err, ERR_INTERNAL, "a change wanted a second audit entry");
    if (position_compare(entry->position, tx->head.position) != 0 || entry->at != tx->head.at)
        return err_set(err, ERR_INTERNAL, "an audit entry bears another position or time than its change");
    entry->previous = tx->head.audit_hash;
    int r = audit_entry_hash(entry, &entry->hash, err);
    if (r < 0) return r;
    r = insert_entry(tx, entry, err);
    if (r < 0) return r;
    tx->head.audit_hash = entry->hash;
    tx->audited = true;
    return 0;
}

int store_audit(struct store_tx *tx, int64_t after_seq, size_t limit, struct arena *arena, struct audit_entry **ret,
                size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, "SELECT " AUDIT_COLUMNS " FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, after_seq);
    db_bind_int(stmt, 2, (int64_t)limit);
    r = tx_all(tx, stmt, read_entry, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}
