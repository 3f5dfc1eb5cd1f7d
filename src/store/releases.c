/* SPDX-License-Identifier: Apache-2.0 */
/* Releases: the headings under which several refs moved as one; the moves themselves are deployments. */
#include "store/store_impl.h"

#define RELEASE_COLUMNS "id, environment, reason, rolls_back, created_by, created_at, seq"

static int read_release(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct release release = {.id = row_text(&row)};

    release.environment = row_text(&row);
    release.reason = row_text(&row);
    release.rolls_back = row_text(&row);
    release.created_by = row_text(&row);
    release.created_at = row_int(&row);
    release.seq = row_int(&row);
    *(struct release *)ret = release;
    return row_end(&row, err);
}

int store_release_add(struct store_tx *tx, const struct release *release, struct err *err) {
    return tx_write(tx, "INSERT INTO releases (" RELEASE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    PARAMS(P_TEXT(release->id), P_TEXT(release->environment), P_TEXT(release->reason),
                           P_TEXT(release->rolls_back), P_TEXT(release->created_by), P_INT(release->created_at),
                           P_INT(release->seq)),
                    err);
}

int store_release_get(struct store_tx *tx, const char *id, struct arena *arena, struct release *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT " RELEASE_COLUMNS " FROM releases WHERE id = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, id);
    return tx_one(tx, stmt, read_release, arena, ret, err);
}

int store_releases(struct store_tx *tx, const char *environment, int64_t before, size_t limit, struct arena *arena,
                   struct release **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char everywhere[] =
        "SELECT " RELEASE_COLUMNS " FROM releases WHERE seq < $1 ORDER BY seq DESC LIMIT $2";
    static const char there[] =
        "SELECT " RELEASE_COLUMNS " FROM releases WHERE seq < $1 AND environment = $3 ORDER BY seq DESC LIMIT $2";
    struct row_list list;

    int r = tx_prepare(tx, environment ? there : everywhere, &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, before ? before : INT64_MAX);
    db_bind_int(stmt, 2, (int64_t)limit);
    if (environment) db_bind_text(stmt, 3, environment);
    r = tx_all(tx, stmt, read_release, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

static int read_id(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);

    *(const char **)ret = row_text(&row);
    return row_end(&row, err);
}

int store_release_undone_by(struct store_tx *tx, const char *id, struct arena *arena, const char **ret,
                            struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT id FROM releases WHERE rolls_back = $1 ORDER BY seq DESC LIMIT 1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, id);
    return tx_one(tx, stmt, read_id, arena, ret, err);
}
