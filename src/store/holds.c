/* SPDX-License-Identifier: Apache-2.0 */
/* Holds: a log of taking and releasing, and those in force. */
#include "store/store_impl.h"

#define HOLD_COLUMNS "agent, environment, reason, created_by, created_at, seq"

static int read_hold(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct hold hold = {.agent = row_text(&row)};

    hold.environment = row_text(&row);
    hold.reason = row_text(&row);
    hold.created_by = row_text(&row);
    hold.created_at = row_int(&row);
    hold.seq = row_int(&row);
    *(struct hold *)ret = hold;
    return row_end(&row, err);
}

int store_hold_get(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                   struct hold *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] = "SELECT " HOLD_COLUMNS " FROM holds_now WHERE environment = $1 AND agent = $2";
    static const char then[] =
        "SELECT " HOLD_COLUMNS " FROM (SELECT " HOLD_COLUMNS ", held FROM hold_log "
        "WHERE environment = $1 AND agent = $2 AND seq <= $3 ORDER BY seq DESC LIMIT 1) h WHERE held = 1";

    int r = tx_prepare(tx, seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, agent);
    if (seq) db_bind_int(stmt, 3, seq);
    return tx_one(tx, stmt, read_hold, arena, ret, err);
}

int store_holds(struct store_tx *tx, const char *environment, struct arena *arena, struct hold **ret, size_t *ret_count,
                struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char everywhere[] = "SELECT " HOLD_COLUMNS " FROM holds_now ORDER BY environment, agent";
    static const char there[] = "SELECT " HOLD_COLUMNS " FROM holds_now WHERE environment = $1 ORDER BY agent";
    struct row_list list;

    int r = tx_prepare(tx, environment ? there : everywhere, &stmt, err);
    if (r < 0) return r;
    if (environment) db_bind_text(stmt, 1, environment);
    r = tx_all(tx, stmt, read_hold, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

static int log_hold(struct store_tx *tx, const struct hold *hold, bool held, struct err *err) {
    return tx_write(tx, "INSERT INTO hold_log (" HOLD_COLUMNS ", held) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    PARAMS(P_TEXT(hold->agent), P_TEXT(hold->environment), P_TEXT(hold->reason),
                           P_TEXT(hold->created_by), P_INT(hold->created_at), P_INT(hold->seq), P_INT(held)),
                    err);
}

int store_hold_put(struct store_tx *tx, const struct hold *hold, struct err *err) {
    int r = log_hold(tx, hold, true, err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO holds_now (" HOLD_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6) "
                    "ON CONFLICT (environment, agent) DO UPDATE SET reason = excluded.reason, "
                    "created_by = excluded.created_by, created_at = excluded.created_at, seq = excluded.seq",
                    PARAMS(P_TEXT(hold->agent), P_TEXT(hold->environment), P_TEXT(hold->reason),
                           P_TEXT(hold->created_by), P_INT(hold->created_at), P_INT(hold->seq)),
                    err);
}

int store_hold_release(struct store_tx *tx, const struct hold *hold, struct err *err) {
    int r = tx_write(tx, "DELETE FROM holds_now WHERE environment = $1 AND agent = $2 RETURNING seq",
                     PARAMS(P_TEXT(hold->environment), P_TEXT(hold->agent)), err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    return log_hold(tx, hold, false, err);
}
