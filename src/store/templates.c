/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of rollouts: a log of what each was, and the newest. Those built into the program are not here until they are written over. */
#include "store/rollouts.h"
#include "store/store_impl.h"

#define TEMPLATE_COLUMNS "name, description, content, created_by, created_at, seq"

static int read_template(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct rollout_template found = {.name = row_text(&row)};

    found.description = row_text(&row);
    found.content = row_text(&row);
    found.created_by = row_text(&row);
    found.created_at = row_int(&row);
    found.seq = row_int(&row);
    *(struct rollout_template *)ret = found;
    return row_end(&row, err);
}

int store_template_get(struct store_tx *tx, const char *name, struct arena *arena, struct rollout_template *ret,
                       struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT " TEMPLATE_COLUMNS " FROM rollout_templates_now WHERE name = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, name);
    return tx_one(tx, stmt, read_template, arena, ret, err);
}

int store_templates(struct store_tx *tx, struct arena *arena, struct rollout_template **ret, size_t *ret_count,
                    struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, "SELECT " TEMPLATE_COLUMNS " FROM rollout_templates_now ORDER BY name", &stmt, err);
    if (r < 0) return r;
    r = tx_all(tx, stmt, read_template, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

int store_template_put(struct store_tx *tx, const struct rollout_template *wanted, struct err *err) {
    int r = tx_write(tx, "INSERT INTO rollout_template_log (" TEMPLATE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)",
                     PARAMS(P_TEXT(wanted->name), P_TEXT(wanted->description), P_TEXT(wanted->content),
                            P_TEXT(wanted->created_by), P_INT(wanted->created_at), P_INT(wanted->seq)),
                     err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO rollout_templates_now (" TEMPLATE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6) "
                    "ON CONFLICT (name) DO UPDATE SET description = excluded.description, content = excluded.content, "
                    "created_by = excluded.created_by, created_at = excluded.created_at, seq = excluded.seq",
                    PARAMS(P_TEXT(wanted->name), P_TEXT(wanted->description), P_TEXT(wanted->content),
                           P_TEXT(wanted->created_by), P_INT(wanted->created_at), P_INT(wanted->seq)),
                    err);
}
