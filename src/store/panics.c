/* SPDX-License-Identifier: Apache-2.0 */
/* Panics: a log of calling and releasing, and those in force. */
#include "store/rollouts.h"
#include "store/store_impl.h"

#define PANIC_COLUMNS "environment, agent, version, reason, created_by, created_at, seq"

static int read_panic(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct panic panic = {.environment = row_text(&row)};

    panic.agent = row_text(&row);
    panic.version = row_int(&row);
    panic.reason = row_text(&row);
    panic.created_by = row_text(&row);
    panic.created_at = row_int(&row);
    panic.seq = row_int(&row);
    *(struct panic *)ret = panic;
    return row_end(&row, err);
}

int store_panic_get(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                    struct panic *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] = "SELECT " PANIC_COLUMNS " FROM panics_now WHERE environment = $1 AND agent = $2";
    static const char then[] =
        "SELECT " PANIC_COLUMNS " FROM (SELECT " PANIC_COLUMNS ", is_on FROM panic_log "
        "WHERE environment = $1 AND agent = $2 AND seq <= $3 ORDER BY seq DESC LIMIT 1) p WHERE is_on = 1";

    int r = tx_prepare(tx, seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, agent);
    if (seq) db_bind_int(stmt, 3, seq);
    return tx_one(tx, stmt, read_panic, arena, ret, err);
}

int store_panics(struct store_tx *tx, const char *environment, struct arena *arena, struct panic **ret,
                 size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char everywhere[] = "SELECT " PANIC_COLUMNS " FROM panics_now ORDER BY environment, agent";
    static const char there[] = "SELECT " PANIC_COLUMNS " FROM panics_now WHERE environment = $1 ORDER BY agent";
    struct row_list list;

    int r = tx_prepare(tx, environment ? there : everywhere, &stmt, err);
    if (r < 0) return r;
    if (environment) db_bind_text(stmt, 1, environment);
    r = tx_all(tx, stmt, read_panic, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

static int log_panic(struct store_tx *tx, const struct panic *panic, bool is_on, struct err *err) {
    return tx_write(tx, "INSERT INTO panic_log (" PANIC_COLUMNS ", is_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    PARAMS(P_TEXT(panic->environment), P_TEXT(panic->agent), P_INT(panic->version),
                           P_TEXT(panic->reason), P_TEXT(panic->created_by), P_INT(panic->created_at),
                           P_INT(panic->seq), P_INT(is_on)),
                    err);
}

int store_panic_put(struct store_tx *tx, const struct panic *panic, struct err *err) {
    int r = log_panic(tx, panic, true, err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO panics_now (" PANIC_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7) "
                    "ON CONFLICT (environment, agent) DO UPDATE SET version = excluded.version, "
                    "reason = excluded.reason, created_by = excluded.created_by, created_at = excluded.created_at, "
                    "seq = excluded.seq",
                    PARAMS(P_TEXT(panic->environment), P_TEXT(panic->agent), P_INT(panic->version),
                           P_TEXT(panic->reason), P_TEXT(panic->created_by), P_INT(panic->created_at),
                           P_INT(panic->seq)),
                    err);
}

int store_panic_release(struct store_tx *tx, const struct panic *panic, struct err *err) {
    int r = tx_write(tx, "DELETE FROM panics_now WHERE environment = $1 AND agent = $2 RETURNING seq",
                     PARAMS(P_TEXT(panic->environment), P_TEXT(panic->agent)), err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    return log_panic(tx, panic, false, err);
}
