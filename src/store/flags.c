/* SPDX-License-Identifier: Apache-2.0 */
/* Flags: a log of setting and removing, and those in force, now or as of an earlier seq. */
#include "store/flags.h"

#include "store/store_impl.h"

#include <string.h>

#define COLUMNS "environment, part, key, content, bindings, reason, created_by, created_at, seq"
#define LOGGED "l.environment, l.part, l.key, l.content, l.bindings, l.reason, l.created_by, l.created_at, l.seq"

static const char *const part_names[] = {"flag", "evaluator", "metadata"};

const char *flag_part_name(enum flag_part part) {
    return part_names[part];
}

static int part_from_text(const char *text, enum flag_part *ret, struct err *err) {
    for (size_t i = 0; text && i < ARRAY_LEN(part_names); i++) {
        if (strcmp(text, part_names[i])) continue;
        *ret = (enum flag_part)i;
        return 0;
    }
    return err_set(err, ERR_STORE_CORRUPT, "flags have no part \"%.40s\"", text ? text : "");
}

static int read_record(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct flag_record record = {.environment = row_text(&row)};
    const char *part = row_text(&row);

    record.key = row_text(&row);
    record.content = row_text(&row);
    record.bindings = row_text(&row);
    record.reason = row_text(&row);
    record.created_by = row_text(&row);
    record.created_at = row_int(&row);
    record.seq = row_int(&row);
    int r = row_end(&row, err);
    if (r == 0) r = part_from_text(part, &record.part, err);
    *(struct flag_record *)ret = record;
    return r;
}

/* The same, and whether it was removed then. */
static int read_logged(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct flag_record *record = ret;
    int r = read_record(stmt, arena, record, err);
    record->removed = db_int(stmt, 9) != 0;
    return r;
}

int store_flag_get(struct store_tx *tx, const char *environment, enum flag_part part, const char *key, int64_t seq,
                   struct arena *arena, struct flag_record *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] = "SELECT " COLUMNS " FROM flags_now WHERE environment = $1 AND part = $2 AND key = $3";
    static const char then[] = "SELECT " COLUMNS " FROM (SELECT " COLUMNS ", removed FROM flag_log "
                               "WHERE environment = $1 AND part = $2 AND key = $3 AND seq <= $4 ORDER BY seq DESC "
                               "LIMIT 1) f WHERE removed = 0";

    int r = tx_prepare(tx, seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, flag_part_name(part));
    db_bind_text(stmt, 3, key);
    if (seq) db_bind_int(stmt, 4, seq);
    return tx_one(tx, stmt, read_record, arena, ret, err);
}

static int read_all(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, struct arena *arena,
                    struct flag_record **ret, size_t *ret_count, struct err *err) {
    struct row_list list;
    int r = tx_all(tx, stmt, reader, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

int store_flags(struct store_tx *tx, const struct store_flags_query *query, struct arena *arena,
                struct flag_record **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] = "SELECT " COLUMNS " FROM flags_now WHERE environment = $1 AND part = $2 AND key > $3 "
                              "ORDER BY key LIMIT $4";
    static const char then[] =
        "SELECT " LOGGED " FROM (SELECT key, max(seq) AS seq FROM flag_log "
        "WHERE environment = $1 AND part = $2 AND key > $3 AND seq <= $5 GROUP BY key) n "
        "JOIN flag_log l ON l.environment = $1 AND l.part = $2 AND l.key = n.key AND l.seq = n.seq "
        "WHERE l.removed = 0 ORDER BY l.key LIMIT $4";

    int r = tx_prepare(tx, query->seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, query->environment);
    db_bind_text(stmt, 2, flag_part_name(query->part));
    db_bind_text(stmt, 3, query->after);
    db_bind_int(stmt, 4, (int64_t)query->limit);
    if (query->seq) db_bind_int(stmt, 5, query->seq);
    return read_all(tx, stmt, read_record, arena, ret, ret_count, err);
}

int store_flags_seq(struct store_tx *tx, const char *environment, int64_t seq, int64_t *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r =
        tx_prepare(tx, "SELECT COALESCE(max(seq), 0) FROM flag_log WHERE environment = $1 AND seq <= $2", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_int(stmt, 2, seq ? seq : INT64_MAX);
    r = tx_step(tx, stmt, err);
    if (r < 0) return r;
    *ret = db_int(stmt, 0);
    return 0;
}

int store_flag_count(struct store_tx *tx, const char *environment, enum flag_part part, int64_t *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT count(*) FROM flags_now WHERE environment = $1 AND part = $2", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, flag_part_name(part));
    r = tx_step(tx, stmt, err);
    if (r < 0) return r;
    *ret = db_int(stmt, 0);
    return 0;
}

int store_flag_history(struct store_tx *tx, const char *environment, const char *key, int64_t before, size_t limit,
                       struct arena *arena, struct flag_record **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char all[] = "SELECT " LOGGED ", l.removed FROM flag_log l WHERE l.environment = $1 AND l.seq < $2 "
                              "ORDER BY l.seq DESC, l.part, l.key LIMIT $3";
    static const char one[] =
        "SELECT " LOGGED ", l.removed FROM flag_log l WHERE l.environment = $1 AND l.part = 'flag' AND l.key = $4 "
        "AND l.seq < $2 ORDER BY l.seq DESC LIMIT $3";

    int r = tx_prepare(tx, key ? one : all, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_int(stmt, 2, before ? before : INT64_MAX);
    db_bind_int(stmt, 3, (int64_t)limit);
    if (key) db_bind_text(stmt, 4, key);
    return read_all(tx, stmt, read_logged, arena, ret, ret_count, err);
}

int store_flags_changed(struct store_tx *tx, const char *environment, int64_t after, int64_t last, struct arena *arena,
                        struct flag_record **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx,
                       "SELECT " LOGGED ", l.removed FROM (SELECT part, key, max(seq) AS seq FROM flag_log "
                       "WHERE environment = $1 AND seq > $2 AND seq <= $3 GROUP BY part, key) n "
                       "JOIN flag_log l ON l.environment = $1 AND l.part = n.part AND l.key = n.key AND l.seq = n.seq "
                       "ORDER BY l.part, l.key",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_int(stmt, 2, after);
    db_bind_int(stmt, 3, last);
    return read_all(tx, stmt, read_logged, arena, ret, ret_count, err);
}

static int log_record(struct store_tx *tx, const struct flag_record *record, bool removed, struct err *err) {
    return tx_write(tx, "INSERT INTO flag_log (" COLUMNS ", removed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    PARAMS(P_TEXT(record->environment), P_TEXT(flag_part_name(record->part)), P_TEXT(record->key),
                           P_TEXT(record->content), P_TEXT(record->bindings), P_TEXT(record->reason),
                           P_TEXT(record->created_by), P_INT(record->created_at), P_INT(record->seq), P_INT(removed)),
                    err);
}

int store_flag_put(struct store_tx *tx, const struct flag_record *record, struct err *err) {
    int r = log_record(tx, record, false, err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO flags_now (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                    "ON CONFLICT (environment, part, key) DO UPDATE SET content = excluded.content, "
                    "bindings = excluded.bindings, reason = excluded.reason, created_by = excluded.created_by, "
                    "created_at = excluded.created_at, seq = excluded.seq",
                    PARAMS(P_TEXT(record->environment), P_TEXT(flag_part_name(record->part)), P_TEXT(record->key),
                           P_TEXT(record->content), P_TEXT(record->bindings), P_TEXT(record->reason),
                           P_TEXT(record->created_by), P_INT(record->created_at), P_INT(record->seq)),
                    err);
}

int store_flag_remove(struct store_tx *tx, const struct flag_record *record, struct err *err) {
    int r =
        tx_write(tx, "DELETE FROM flags_now WHERE environment = $1 AND part = $2 AND key = $3 RETURNING seq",
                 PARAMS(P_TEXT(record->environment), P_TEXT(flag_part_name(record->part)), P_TEXT(record->key)), err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    return log_record(tx, record, true, err);
}
