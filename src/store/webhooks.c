/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: a log of what each was, and the ones in force, as with everything that people set. Secrets and deliveries lie in rows of their own: secrets
 * must be forgotten, which the log cannot, and deliveries are written by the one who delivers, beside all changes.
 */
#include "store/webhooks.h"

#include "store/store_impl.h"

#define WEBHOOK_COLUMNS "name, url, environment, agent, events, created_by, created_at, seq"
#define SELECT_WEBHOOKS                                                                                                \
    "SELECT w.name, w.url, w.environment, w.agent, w.events, w.created_by, w.created_at, w.seq, "                      \
    "COALESCE(s.secret, ''), COALESCE(s.previous, ''), COALESCE(s.previous_until, 0), COALESCE(s.seq, 0), "            \
    "COALESCE(d.seq, 0), COALESCE(d.delivered, w.seq), COALESCE(d.rollout, ''), COALESCE(d.delivered_at, 0), "         \
    "COALESCE(d.attempts, 0), COALESCE(d.failing_since, 0), COALESCE(d.next_at, 0), COALESCE(d.disabled_at, 0), "      \
    "COALESCE(d.error, '') "                                                                                           \
    "FROM webhooks_now w LEFT JOIN webhook_secrets s ON s.name = w.name "                                              \
    "LEFT JOIN webhook_deliveries d ON d.name = w.name "

static int read_webhook(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct webhook webhook = {.name = row_text(&row)};
    struct webhook_delivery *delivery = &webhook.delivery;

    webhook.url = row_text(&row);
    webhook.environment = row_text(&row);
    webhook.agent = row_text(&row);
    webhook.events = row_text(&row);
    webhook.created_by = row_text(&row);
    webhook.created_at = row_int(&row);
    webhook.seq = row_int(&row);
    webhook.secret = row_text(&row);
    webhook.previous = row_text(&row);
    webhook.previous_until = row_int(&row);
    webhook.secret_seq = row_int(&row);
    delivery->seq = row_int(&row);
    delivery->delivered = row_int(&row);
    delivery->rollout = row_text(&row);
    delivery->delivered_at = row_int(&row);
    delivery->attempts = row_int(&row);
    delivery->failing_since = row_int(&row);
    delivery->next_at = row_int(&row);
    delivery->disabled_at = row_int(&row);
    delivery->error = row_text(&row);
    *(struct webhook *)ret = webhook;
    return row_end(&row, err);
}

int store_webhook_get(struct store_tx *tx, const char *name, struct arena *arena, struct webhook *ret,
                      struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, SELECT_WEBHOOKS "WHERE w.name = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, name);
    return tx_one(tx, stmt, read_webhook, arena, ret, err);
}

int store_webhooks(struct store_tx *tx, struct arena *arena, struct webhook **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, SELECT_WEBHOOKS "ORDER BY w.name", &stmt, err);
    if (r < 0) return r;
    r = tx_all(tx, stmt, read_webhook, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

static int log_webhook(struct store_tx *tx, const struct webhook *webhook, bool removed, struct err *err) {
    return tx_write(
        tx, "INSERT INTO webhook_log (" WEBHOOK_COLUMNS ", removed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        PARAMS(P_TEXT(webhook->name), P_TEXT(webhook->url), P_TEXT(webhook->environment), P_TEXT(webhook->agent),
               P_TEXT(webhook->events), P_TEXT(webhook->created_by), P_INT(webhook->created_at), P_INT(webhook->seq),
               P_INT(removed)),
        err);
}

static int begin_delivery(struct store_tx *tx, const struct webhook *webhook, struct err *err) {
    return tx_write(
        tx,
        "INSERT INTO webhook_deliveries (name, seq, delivered, rollout, delivered_at, attempts, failing_since, "
        "next_at, disabled_at, error) VALUES ($1, $2, $2, '', 0, 0, 0, 0, 0, '') "
        "ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, attempts = 0, failing_since = 0, next_at = 0, "
        "disabled_at = 0, error = ''",
        PARAMS(P_TEXT(webhook->name), P_INT(webhook->seq)), err);
}

int store_webhook_put(struct store_tx *tx, const struct webhook *webhook, struct err *err) {
    int r = log_webhook(tx, webhook, false, err);
    if (r < 0) return r;
    r = tx_write(tx,
                 "INSERT INTO webhooks_now (" WEBHOOK_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
                 "ON CONFLICT (name) DO UPDATE SET url = excluded.url, environment = excluded.environment, "
                 "agent = excluded.agent, events = excluded.events, created_by = excluded.created_by, "
                 "created_at = excluded.created_at, seq = excluded.seq",
                 PARAMS(P_TEXT(webhook->name), P_TEXT(webhook->url), P_TEXT(webhook->environment),
                        P_TEXT(webhook->agent), P_TEXT(webhook->events), P_TEXT(webhook->created_by),
                        P_INT(webhook->created_at), P_INT(webhook->seq)),
                 err);
    return r < 0 ? r : begin_delivery(tx, webhook, err);
}

int store_webhook_secret_put(struct store_tx *tx, const struct webhook *webhook, struct err *err) {
    return tx_write(tx,
                    "INSERT INTO webhook_secrets (name, secret, previous, previous_until, seq) "
                    "VALUES ($1, $2, $3, $4, $5) "
                    "ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, previous = excluded.previous, "
                    "previous_until = excluded.previous_until, seq = excluded.seq",
                    PARAMS(P_TEXT(webhook->name), P_TEXT(webhook->secret), P_TEXT(webhook->previous),
                           P_INT(webhook->previous_until), P_INT(webhook->secret_seq)),
                    err);
}

int store_webhook_remove(struct store_tx *tx, const struct webhook *webhook, struct err *err) {
    int r = tx_write(tx, "DELETE FROM webhooks_now WHERE name = $1 RETURNING seq", PARAMS(P_TEXT(webhook->name)), err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    r = log_webhook(tx, webhook, true, err);
    if (r == 0) r = tx_write(tx, "DELETE FROM webhook_secrets WHERE name = $1", PARAMS(P_TEXT(webhook->name)), err);
    if (r < 0) return r;
    return tx_write(tx, "DELETE FROM webhook_deliveries WHERE name = $1", PARAMS(P_TEXT(webhook->name)), err);
}

int store_webhook_delivery_put(struct store_tx *tx, const char *name, const struct webhook_delivery *delivery,
                               struct err *err) {
    int r =
        tx_write(tx,
                 "UPDATE webhook_deliveries SET delivered = $3, rollout = $10, delivered_at = $4, "
                 "attempts = $5, failing_since = $6, next_at = $7, disabled_at = $8, error = $9 "
                 "WHERE name = $1 AND seq = $2 RETURNING seq",
                 PARAMS(P_TEXT(name), P_INT(delivery->seq), P_INT(delivery->delivered), P_INT(delivery->delivered_at),
                        P_INT(delivery->attempts), P_INT(delivery->failing_since), P_INT(delivery->next_at),
                        P_INT(delivery->disabled_at), P_TEXT(delivery->error), P_TEXT(delivery->rollout)),
                 err);
    return r < 0 ? r : r == 0 ? STORE_NONE : 0;
}

/* ---- what there is to tell ---- */

static int read_told(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_told_move told = {.move.rollout = row_text(&row)};

    struct slice state = db_slice(stmt, row.column++);
    told.move.step = (unsigned)row_int(&row);
    told.move.share = (int32_t)row_int(&row);
    told.move.action = row_text(&row);
    told.move.words = row_text(&row);
    told.move.created_by = row_text(&row);
    told.move.created_at = row_int(&row);
    told.move.seq = told.position.seq = row_int(&row);
    told.agent = row_text(&row);
    told.environment = row_text(&row);
    told.candidate = row_int(&row);
    told.stable = row_int(&row);
    told.position.epoch = row_int(&row);
    if (!state.ptr || !rollout_state_from_text(state.ptr, &told.move.state)) row.failed = -ERR_STORE_CORRUPT;
    *(struct store_told_move *)ret = told;
    return row_end(&row, err);
}

/* The epoch stands in the audit log, in which every change has its entry. */
int store_told_moves(struct store_tx *tx, const struct store_told_query *query, struct arena *arena,
                     struct store_told_move **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx,
                       "SELECT m.rollout, m.state, m.step, m.share, m.action, m.words, m.created_by, m.created_at, "
                       "m.seq, m.agent, m.environment, r.candidate, r.stable, a.epoch FROM rollout_moves m "
                       "JOIN rollouts r ON r.id = m.rollout JOIN audit a ON a.seq = m.seq WHERE m.seq >= $1 "
                       "AND (m.seq > $1 OR m.rollout > $5) "
                       "AND ($2 = '' OR m.environment = $2) AND ($3 = '' OR m.agent = $3) "
                       "ORDER BY m.seq, m.rollout LIMIT $4",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, query->after);
    db_bind_text(stmt, 2, query->environment);
    db_bind_text(stmt, 3, query->agent);
    db_bind_int(stmt, 4, (int64_t)query->limit);
    db_bind_text(stmt, 5, query->after_rollout);
    r = tx_all(tx, stmt, read_told, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}
