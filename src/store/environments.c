/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: a log of descriptions, and the newest of each. Who made one and when stays as it was first. */
#include "store/store_impl.h"

#define ENVIRONMENT_COLUMNS "name, description, is_protected, created_by, created_at, seq"

static int read_environment(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct environment environment = {.name = row_text(&row)};

    environment.description = row_text(&row);
    environment.is_protected = row_int(&row) != 0;
    environment.created_by = row_text(&row);
    environment.created_at = row_int(&row);
    environment.seq = row_int(&row);
    *(struct environment *)ret = environment;
    return row_end(&row, err);
}

int store_environment_get(struct store_tx *tx, const char *name, struct arena *arena, struct environment *ret,
                          struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT " ENVIRONMENT_COLUMNS " FROM environments_now WHERE name = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, name);
    return tx_one(tx, stmt, read_environment, arena, ret, err);
}

int store_environments(struct store_tx *tx, struct arena *arena, struct environment **ret, size_t *ret_count,
                       struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, "SELECT " ENVIRONMENT_COLUMNS " FROM environments_now ORDER BY name", &stmt, err);
    if (r < 0) return r;
    r = tx_all(tx, stmt, read_environment, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

int store_environment_put(struct store_tx *tx, const struct environment *environment, struct err *err) {
    const struct param params[] = {P_TEXT(environment->name),        P_TEXT(environment->description),
                                   P_INT(environment->is_protected), P_TEXT(environment->created_by),
                                   P_INT(environment->created_at),   P_INT(environment->seq)};

    int r =
        tx_write(tx,
                 "INSERT INTO environment_log (environment, description, is_protected, created_by, created_at, seq) "
                 "VALUES ($1, $2, $3, $4, $5, $6)",
                 params, ARRAY_LEN(params), err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO environments_now (" ENVIRONMENT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6) "
                    "ON CONFLICT (name) DO UPDATE SET description = excluded.description, "
                    "is_protected = excluded.is_protected, seq = excluded.seq",
                    params, ARRAY_LEN(params), err);
}
