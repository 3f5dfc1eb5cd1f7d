/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes touched, read off the tables of truth themselves, so that no change can forget to tell. Each branch is cut at
 * the limit by its own index; a seq that the cut may have split is left for the next call.
 */
#include "store/store_impl.h"

#define TOUCH_BRANCH(columns, table)                                                                                   \
    "SELECT t.seq, t.agent, t.environment, t.what FROM (SELECT DISTINCT seq, " columns " FROM " table                  \
    " WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) t "

/* Changes to what stands behind refs touch each of them: those that are served now, as those that are not have nothing to be loaded. */
#define SESSION_CHANGES                                                                                                \
    "(SELECT l.seq AS seq, r.agent AS agent, r.environment AS environment FROM agent_log l "                           \
    "JOIN refs_now r ON r.agent = l.agent WHERE l.session <> COALESCE((SELECT p.session FROM agent_log p "             \
    "WHERE p.agent = l.agent AND p.seq < l.seq ORDER BY p.seq DESC LIMIT 1), 'pin')) s"
#define PANICS                                                                                                         \
    "(SELECT p.seq AS seq, r.agent AS agent, r.environment AS environment FROM panic_log p "                           \
    "JOIN refs_now r ON r.environment = p.environment AND (p.agent = '' OR p.agent = r.agent)) s"

/* clang-format off */
static const char touches_sql[] = "SELECT u.seq, u.agent, u.environment, u.what FROM ("
    TOUCH_BRANCH("agent, '' AS environment, 0 AS what", "agent_log") "UNION "
    TOUCH_BRANCH("agent, '' AS environment, 0 AS what", "versions") "UNION "
    TOUCH_BRANCH("'' AS agent, environment, 0 AS what", "environment_log") "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", "deployments") "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", "hold_log") "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", "override_log") "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", "rollout_moves") "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", PANICS) "UNION "
    TOUCH_BRANCH("agent, environment, 0 AS what", SESSION_CHANGES) "UNION "
    TOUCH_BRANCH("'' AS agent, '' AS environment, 1 AS what", "keys") "UNION "
    TOUCH_BRANCH("'' AS agent, '' AS environment, 1 AS what", "key_revocations") "UNION "
    TOUCH_BRANCH("'' AS agent, environment, 2 AS what", "flag_log")
    ") u ORDER BY u.seq, u.agent, u.environment, u.what LIMIT $3";
/* clang-format on */

static int read_touch(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_touch touch = {.seq = row_int(&row)};

    touch.agent = row_text(&row);
    touch.environment = row_text(&row);
    touch.what = (enum store_touched)row_int(&row);
    *(struct store_touch *)ret = touch;
    return row_end(&row, err);
}

static int touches_between(struct store_tx *tx, int64_t after, int64_t last, int64_t limit, struct arena *arena,
                           struct row_list *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, touches_sql, &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, after);
    db_bind_int(stmt, 2, last);
    db_bind_int(stmt, 3, limit);
    return tx_all(tx, stmt, read_touch, sizeof(struct store_touch), arena, ret, err);
}

int store_touches(struct store_tx *tx, int64_t after, size_t limit, struct arena *arena, struct store_touch **ret,
                  size_t *ret_count, struct err *err) {
    struct row_list list;

    int r = touches_between(tx, after, INT64_MAX, (int64_t)limit + 1, arena, &list, err);
    if (r < 0) return r;
    struct store_touch *touches = list.items;
    size_t count = list.count;
    if (count > limit) {
        int64_t split = touches[count - 1].seq;
        while (count && touches[count - 1].seq == split)
            count--;
        if (!count) {
            r = touches_between(tx, split - 1, split, INT64_MAX, arena, &list, err);
            if (r < 0) return r;
            touches = list.items;
            count = list.count;
        }
    }
    *ret = touches;
    *ret_count = count;
    return 0;
}
