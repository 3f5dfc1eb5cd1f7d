/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides: a log of setting and removing, and those in force, now or as of an earlier seq. */
#include "store/store_impl.h"

#define OVERRIDE_COLUMNS "agent, environment, name, keys, audience, version, reason, created_by, created_at, seq"

static int read_override(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct override override = {.agent = row_text(&row)};

    override.environment = row_text(&row);
    override.name = row_text(&row);
    override.keys = row_text(&row);
    override.audience = row_text(&row);
    override.version = row_int(&row);
    override.reason = row_text(&row);
    override.created_by = row_text(&row);
    override.created_at = row_int(&row);
    override.seq = row_int(&row);
    *(struct override *)ret = override;
    return row_end(&row, err);
}

int store_override_get(struct store_tx *tx, const char *agent, const char *environment, const char *name,
                       struct arena *arena, struct override *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(
        tx, "SELECT " OVERRIDE_COLUMNS " FROM overrides_now WHERE agent = $1 AND environment = $2 AND name = $3", &stmt,
        err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, environment);
    db_bind_text(stmt, 3, name);
    return tx_one(tx, stmt, read_override, arena, ret, err);
}

int store_overrides(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                    struct override **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] =
        "SELECT " OVERRIDE_COLUMNS " FROM overrides_now WHERE agent = $1 AND environment = $2 ORDER BY name";
    static const char then[] =
        "SELECT o.agent, o.environment, o.name, o.keys, o.audience, o.version, o.reason, o.created_by, o.created_at, "
        "o.seq FROM "
        "(SELECT name, max(seq) AS seq FROM override_log WHERE agent = $1 AND environment = $2 AND seq <= $3 "
        "GROUP BY name) n JOIN override_log o "
        "ON o.agent = $1 AND o.environment = $2 AND o.name = n.name AND o.seq = n.seq "
        "WHERE o.removed = 0 ORDER BY o.name";
    struct row_list list;

    int r = tx_prepare(tx, seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, environment);
    if (seq) db_bind_int(stmt, 3, seq);
    r = tx_all(tx, stmt, read_override, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

static int log_override(struct store_tx *tx, const struct override *override, bool removed, struct err *err) {
    return tx_write(tx,
                    "INSERT INTO override_log (" OVERRIDE_COLUMNS
                    ", removed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                    PARAMS(P_TEXT(override->agent), P_TEXT(override->environment), P_TEXT(override->name),
                           P_TEXT(override->keys), P_TEXT(override->audience), P_INT(override->version),
                           P_TEXT(override->reason), P_TEXT(override->created_by), P_INT(override->created_at),
                           P_INT(override->seq), P_INT(removed)),
                    err);
}

int store_override_put(struct store_tx *tx, const struct override *override, struct err *err) {
    int r = log_override(tx, override, false, err);
    if (r < 0) return r;
    return tx_write(
        tx,
        "INSERT INTO overrides_now (" OVERRIDE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
        "ON CONFLICT (agent, environment, name) DO UPDATE SET keys = excluded.keys, audience = excluded.audience, "
        "version = excluded.version, reason = excluded.reason, created_by = excluded.created_by, "
        "created_at = excluded.created_at, seq = excluded.seq",
        PARAMS(P_TEXT(override->agent), P_TEXT(override->environment), P_TEXT(override->name), P_TEXT(override->keys),
               P_TEXT(override->audience), P_INT(override->version), P_TEXT(override->reason),
               P_TEXT(override->created_by), P_INT(override->created_at), P_INT(override->seq)),
        err);
}

int store_override_remove(struct store_tx *tx, const struct override *override, struct err *err) {
    struct override last = *override;

    int r = tx_write(tx, "DELETE FROM overrides_now WHERE agent = $1 AND environment = $2 AND name = $3 RETURNING seq",
                     PARAMS(P_TEXT(override->agent), P_TEXT(override->environment), P_TEXT(override->name)), err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    last.keys = "[]";
    last.audience = NULL;
    last.version = 0;
    return log_override(tx, &last, true, err);
}
