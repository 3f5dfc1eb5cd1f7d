/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bringing the schema forward. All missing migrations are applied in one transaction, so that a store is never found between
 * two of them, and derived tables that changed are filled from the truth before it commits. There is no way back: an
 * older program refuses the store (STORE_NEWER).
 */
#include "base/failpoint.h"
#include "store/store_impl.h"

static int schema_number(struct db *db, int *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = db_exec(db,
                    "CREATE TABLE IF NOT EXISTS schema_migrations "
                    "(number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
                    err);
    if (r < 0) return r;
    r = db_prepare(db, "SELECT COALESCE(max(number), 0) FROM schema_migrations", &stmt, err);
    if (r < 0) return r;
    r = db_step(stmt, err);
    if (r < 0) return r;
    *ret = r == DB_ROW ? (int)db_int(stmt, 0) : 0;
    return 0;
}

static int too_new(int schema, struct err *err) {
    return err_set(err, ERR_STORE_NEWER, "the store has schema %d; this program knows up to %d", schema,
                   store_migration_count);
}

int store_schema_look(struct store_tx *tx, int *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT COALESCE(max(number), 0) FROM schema_migrations", &stmt, err);
    if (r == 0) r = tx_step(tx, stmt, err);
    if (r < 0) return r;
    *ret = (int)db_int(stmt, 0);
    return *ret > store_migration_count ? too_new(*ret, err) : 0;
}

static int record(struct store *store, const struct store_migration *migration, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = db_prepare(store->writer, "INSERT INTO schema_migrations (number, name, applied_at) VALUES ($1, $2, $3)",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, migration->number);
    db_bind_text(stmt, 2, migration->name);
    db_bind_int(stmt, 3, clock_wall(store->options.clock));
    return db_step(stmt, err);
}

static int apply(struct store *store, const struct store_migration *migration, struct err *err) {
    int r = migration->truth ? db_exec(store->writer, migration->truth, err) : 0;
    if (r == 0 && migration->derived) r = db_exec(store->writer, migration->derived, err);
    if (r == 0) r = record(store, migration, err);
    if (r < 0) err_prefix(err, "migration %d (%s): ", migration->number, migration->name);
    return r;
}

static int apply_missing(struct store *store, struct err *err) {
    bool derived = false;

    int r = schema_number(store->writer, &store->schema_from, err);
    if (r < 0) return r;
    if (store->schema_from > store_migration_count) return too_new(store->schema_from, err);
    if (store->schema_from == 0 && store->options.must_exist)
        return err_set(err, ERR_STORE_MISSING, "there is an empty file where the store was");
    for (int i = store->schema_from; i < store_migration_count; i++) {
        r = apply(store, &store_migrations[i], err);
        if (r < 0) return r;
        FAILPOINT(migrate_step);
        derived |= store_migrations[i].derived != NULL;
    }
    return derived ? store_rebuild_in(store->writer, err) : 0;
}

int store_migrate(struct store *store, struct err *err) {
    int r = db_begin(store->writer, err);
    if (r < 0) return r;
    FAILPOINT(migrate_begun);
    r = apply_missing(store, err);
    FAILPOINT(migrate_applied);
    if (r == 0 && store->schema_from < store_migration_count) r = db_commit(store->writer, err);
    FAILPOINT(migrate_committed);
    db_rollback(store->writer);
    store->schema = store_migration_count;
    return r;
}
