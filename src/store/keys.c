/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, and their revocations beside them, because rows of truth are never changed. */
#include "store/store_impl.h"

#define SELECT_KEYS                                                                                                    \
    "SELECT k.id, k.name, k.role, k.environments, k.secret_hash, k.materialise_defaults, k.created_by, k.created_at, " \
    "COALESCE(r.revoked_at, 0), r.revoked_by, k.seq FROM keys k LEFT JOIN key_revocations r ON r.id = k.id "

static int read_key(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct key key = {.id = row_text(&row)};

    key.name = row_text(&row);
    struct slice role = db_slice(stmt, row.column++);
    key.environments = row_text(&row);
    key.secret_hash = row_hash(&row);
    key.materialise_defaults = row_int(&row) != 0;
    key.created_by = row_text(&row);
    key.created_at = row_int(&row);
    key.revoked_at = row_int(&row);
    key.revoked_by = row_text(&row);
    key.seq = row_int(&row);
    if (!role.ptr || !role_from_text(role.ptr, &key.role)) row.failed = -ERR_STORE_CORRUPT;
    *(struct key *)ret = key;
    return row_end(&row, err);
}

int store_key_add(struct store_tx *tx, const struct key *key, struct err *err) {
    return tx_write(tx,
                    "INSERT INTO keys (id, name, role, environments, secret_hash, materialise_defaults, created_by, "
                    "created_at, seq) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    PARAMS(P_TEXT(key->id), P_TEXT(key->name), P_TEXT(role_name(key->role)), P_TEXT(key->environments),
                           P_HASH(&key->secret_hash), P_INT(key->materialise_defaults), P_TEXT(key->created_by),
                           P_INT(key->created_at), P_INT(key->seq)),
                    err);
}

int store_key_revoke(struct store_tx *tx, const char *id, const char *by, int64_t at, int64_t seq, struct err *err) {
    int r = tx_write(tx,
                     "INSERT INTO key_revocations (id, revoked_by, revoked_at, seq) "
                     "SELECT id, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM keys WHERE id = $1 "
                     "ON CONFLICT (id) DO NOTHING RETURNING id",
                     PARAMS(P_TEXT(id), P_TEXT(by), P_INT(at), P_INT(seq)), err);
    return r == 0 ? STORE_NONE : r < 0 ? r : 0;
}

int store_key_get(struct store_tx *tx, const char *id, struct arena *arena, struct key *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, SELECT_KEYS "WHERE k.id = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, id);
    return tx_one(tx, stmt, read_key, arena, ret, err);
}

int store_keys(struct store_tx *tx, struct arena *arena, struct key **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, SELECT_KEYS "ORDER BY k.seq, k.id", &stmt, err);
    if (r < 0) return r;
    r = tx_all(tx, stmt, read_key, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}
