/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to requests that may be repeated, by the key they came with. An answer is written in the same transaction as
 * its change, so either both are there or neither; it is forgotten after a day, a few at each new one.
 */
#include "store/store_impl.h"

#define FORGET_AT_ONCE 8

static int read_answer(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_answer answer = {.principal = row_text(&row)};

    answer.key = row_text(&row);
    answer.request = row_hash(&row);
    answer.status = (int)row_int(&row);
    answer.body = row_text(&row);
    answer.position.epoch = row_int(&row);
    answer.position.seq = row_int(&row);
    answer.at = row_int(&row);
    *(struct store_answer *)ret = answer;
    return row_end(&row, err);
}

static int64_t oldest_kept(struct store_tx *tx) {
    return clock_wall(tx->store->options.clock) - STORE_ANSWER_LIFE;
}

int store_answer_get(struct store_tx *tx, const char *principal, const char *key, struct arena *arena,
                     struct store_answer *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx,
                       "SELECT principal, key, request, status, body, epoch, seq, at FROM answers "
                       "WHERE principal = $1 AND key = $2 AND at >= $3",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, principal);
    db_bind_text(stmt, 2, key);
    db_bind_int(stmt, 3, oldest_kept(tx));
    return tx_one(tx, stmt, read_answer, arena, ret, err);
}

int store_answer_put(struct store_tx *tx, const struct store_answer *answer, struct err *err) {
    int r = tx_write(tx,
                     "DELETE FROM answers WHERE (principal, key) IN "
                     "(SELECT principal, key FROM answers WHERE at < $1 ORDER BY at LIMIT $2)",
                     PARAMS(P_INT(oldest_kept(tx)), P_INT(FORGET_AT_ONCE)), err);
    if (r < 0) return r;
    r = tx_write(tx,
                 "INSERT INTO answers (principal, key, request, status, body, epoch, seq, at) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
                 "ON CONFLICT (principal, key) DO UPDATE SET request = excluded.request, status = excluded.status, "
                 "body = excluded.body, epoch = excluded.epoch, seq = excluded.seq, at = excluded.at "
                 "WHERE answers.at < $9 RETURNING at",
                 PARAMS(P_TEXT(answer->principal), P_TEXT(answer->key), P_HASH(&answer->request), P_INT(answer->status),
                        P_TEXT(answer->body), P_INT(answer->position.epoch), P_INT(answer->position.seq),
                        P_INT(answer->at), P_INT(oldest_kept(tx))),
                 err);
    if (r < 0) return r;
    return r == 0 ? err_set(err, ERR_CONFLICT, "the Idempotency-Key was used already") : 0;
}
