/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outcomes.h"

#include "store/store_impl.h"

/* ---- instances ---- */

static int read_instance(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_instance instance = {.name = row_text(&row)};

    instance.low = row_int(&row);
    instance.gap = row_int(&row);
    instance.above = row_slice(&row);
    instance.seen_at = row_int(&row);
    *(struct store_instance *)ret = instance;
    return row_end(&row, err);
}

int store_instance_get(struct store_tx *tx, const char *name, struct arena *arena, struct store_instance *ret,
                       struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT instance, low, gap, above, seen_at FROM outcome_instances WHERE instance = $1",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, name);
    return tx_one(tx, stmt, read_instance, arena, ret, err);
}

int store_instance_put(struct store_tx *tx, const struct store_instance *instance, struct err *err) {
    return tx_write(
        tx,
        "INSERT INTO outcome_instances (instance, low, gap, above, seen_at) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (instance) DO UPDATE SET low = excluded.low, gap = excluded.gap, above = excluded.above, "
        "seen_at = excluded.seen_at",
        PARAMS(P_TEXT(instance->name), P_INT(instance->low), P_INT(instance->gap), P_BYTES(instance->above),
               P_INT(instance->seen_at)),
        err);
}

int store_instances_forget(struct store_tx *tx, const char *from, const char *below, int64_t at, size_t limit,
                           struct err *err) {
    return tx_write(tx,
                    "DELETE FROM outcome_instances WHERE instance IN (SELECT instance FROM outcome_instances "
                    "WHERE seen_at < $3 AND instance >= $1 AND ($2 = '' OR instance < $2) ORDER BY seen_at LIMIT $4)",
                    PARAMS(P_TEXT(from), P_TEXT(below), P_INT(at), P_INT((int64_t)limit)), err);
}

/* ---- log ---- */

static int read_log(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_outcome_log log = {.id = row_int(&row)};

    log.at = row_int(&row);
    log.body = row_slice(&row);
    *(struct store_outcome_log *)ret = log;
    return row_end(&row, err);
}

int store_outcome_log_add(struct store_tx *tx, const struct store_outcome_log *row, struct err *err) {
    return tx_write(tx, "INSERT INTO outcome_log (id, at, body) VALUES ($1, $2, $3)",
                    PARAMS(P_INT(row->id), P_INT(row->at), P_BYTES(row->body)), err);
}

static int all_rows(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, size_t size, struct arena *arena,
                    void *ret, size_t *ret_count, struct err *err) {
    struct row_list list;

    int r = tx_all(tx, stmt, reader, size, arena, &list, err);
    if (r < 0) return r;
    memcpy(ret, &list.items, sizeof list.items);
    *ret_count = list.count;
    return 0;
}

int store_outcome_logs(struct store_tx *tx, int64_t after, size_t limit, struct arena *arena,
                       struct store_outcome_log **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT id, at, body FROM outcome_log WHERE id > $1 ORDER BY id LIMIT $2", &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, after);
    db_bind_int(stmt, 2, (int64_t)limit);
    return all_rows(tx, stmt, read_log, sizeof **ret, arena, ret, ret_count, err);
}

int store_outcome_log_cut(struct store_tx *tx, int64_t last, struct err *err) {
    return tx_write(tx, "DELETE FROM outcome_log WHERE id <= $1", PARAMS(P_INT(last)), err);
}

/* ---- checkpoints ---- */

static int read_checkpoint(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_checkpoint checkpoint = {.rollout = row_text(&row)};

    checkpoint.log = row_int(&row);
    checkpoint.body = row_slice(&row);
    *(struct store_checkpoint *)ret = checkpoint;
    return row_end(&row, err);
}

int store_checkpoint_put(struct store_tx *tx, const struct store_checkpoint *checkpoint, struct err *err) {
    return tx_write(tx,
                    "INSERT INTO outcome_checkpoints (rollout, log, body) VALUES ($1, $2, $3) "
                    "ON CONFLICT (rollout) DO UPDATE SET log = excluded.log, body = excluded.body",
                    PARAMS(P_TEXT(checkpoint->rollout), P_INT(checkpoint->log), P_BYTES(checkpoint->body)), err);
}

int store_checkpoint_remove(struct store_tx *tx, const char *rollout, struct err *err) {
    return tx_write(tx, "DELETE FROM outcome_checkpoints WHERE rollout = $1", PARAMS(P_TEXT(rollout)), err);
}

int store_checkpoints(struct store_tx *tx, struct arena *arena, struct store_checkpoint **ret, size_t *ret_count,
                      struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT rollout, log, body FROM outcome_checkpoints ORDER BY rollout", &stmt, err);
    if (r < 0) return r;
    return all_rows(tx, stmt, read_checkpoint, sizeof **ret, arena, ret, ret_count, err);
}

/* ---- minutes ---- */

#define MINUTE_COLUMNS                                                                                                 \
    "agent, environment, version, arm, minute, outcomes, errors, latencies, latency, input_tokens, output_tokens, "    \
    "cost, up, down, tool_errors"

int store_minute_add(struct store_tx *tx, const struct store_minute *m, struct err *err) {
    return tx_write(
        tx,
        "INSERT INTO outcome_minutes (" MINUTE_COLUMNS ") "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
        "ON CONFLICT (agent, environment, version, arm, minute) DO UPDATE SET "
        "outcomes = outcome_minutes.outcomes + excluded.outcomes, errors = outcome_minutes.errors + excluded.errors, "
        "latencies = outcome_minutes.latencies + excluded.latencies, latency = outcome_minutes.latency + "
        "excluded.latency, "
        "input_tokens = outcome_minutes.input_tokens + excluded.input_tokens, "
        "output_tokens = outcome_minutes.output_tokens + excluded.output_tokens, "
        "cost = outcome_minutes.cost + excluded.cost, up = outcome_minutes.up + excluded.up, "
        "down = outcome_minutes.down + excluded.down, tool_errors = outcome_minutes.tool_errors + excluded.tool_errors",
        PARAMS(P_TEXT(m->agent), P_TEXT(m->environment), P_INT(m->version), P_TEXT(m->arm), P_INT(m->minute),
               P_INT(m->outcomes), P_INT(m->errors), P_INT(m->latencies), P_INT(m->latency), P_INT(m->input_tokens),
               P_INT(m->output_tokens), P_INT(m->cost), P_INT(m->up), P_INT(m->down), P_INT(m->tool_errors)),
        err);
}

static int read_minute(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_minute minute = {.agent = row_text(&row)};

    minute.environment = row_text(&row);
    minute.version = row_int(&row);
    minute.arm = row_text(&row);
    minute.minute = row_int(&row);
    minute.outcomes = row_int(&row);
    minute.errors = row_int(&row);
    minute.latencies = row_int(&row);
    minute.latency = row_int(&row);
    minute.input_tokens = row_int(&row);
    minute.output_tokens = row_int(&row);
    minute.cost = row_int(&row);
    minute.up = row_int(&row);
    minute.down = row_int(&row);
    minute.tool_errors = row_int(&row);
    *(struct store_minute *)ret = minute;
    return row_end(&row, err);
}

int store_minutes(struct store_tx *tx, const char *agent, const char *environment, int64_t from, int64_t below,
                  struct arena *arena, struct store_minute **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx,
                       "SELECT " MINUTE_COLUMNS " FROM outcome_minutes WHERE agent = $1 AND environment = $2 "
                       "AND minute >= $3 AND minute < $4 ORDER BY version, arm, minute",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, environment);
    db_bind_int(stmt, 3, from);
    db_bind_int(stmt, 4, below);
    return all_rows(tx, stmt, read_minute, sizeof **ret, arena, ret, ret_count, err);
}

int store_outcome_sums(struct store_tx *tx, const struct store_sums_query *query, struct arena *arena,
                       struct store_minute **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(
        tx,
        "SELECT agent, environment, version, arm, minute - minute % $5 AS span, SUM(outcomes), SUM(errors), "
        "SUM(latencies), SUM(latency), SUM(input_tokens), SUM(output_tokens), SUM(cost), SUM(up), SUM(down), "
        "SUM(tool_errors) FROM outcome_minutes WHERE agent = $1 AND environment = $2 AND minute >= $3 AND minute < $4 "
        "AND ($6 = 0 OR minute - minute % $5 < $7 OR (minute - minute % $5 = $7 AND (version > $8 OR (version = $8 AND "
        "arm > $9)))) GROUP BY agent, environment, version, arm, span ORDER BY span DESC, version, arm LIMIT $10",
        &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, query->agent);
    db_bind_text(stmt, 2, query->environment);
    db_bind_int(stmt, 3, query->from);
    db_bind_int(stmt, 4, query->below);
    db_bind_int(stmt, 5, query->width);
    db_bind_int(stmt, 6, query->after_arm != NULL);
    db_bind_int(stmt, 7, query->after);
    db_bind_int(stmt, 8, query->after_version);
    db_bind_text(stmt, 9, query->after_arm ? query->after_arm : "");
    db_bind_int(stmt, 10, (int64_t)query->limit);
    return all_rows(tx, stmt, read_minute, sizeof **ret, arena, ret, ret_count, err);
}

/* ---- failures ---- */

int store_failure_put(struct store_tx *tx, const char *rollout, int64_t number, const char *body, struct err *err) {
    return tx_write(tx, "INSERT INTO outcome_failures (rollout, number, body) VALUES ($1, $2, $3)",
                    PARAMS(P_TEXT(rollout), P_INT(number), P_TEXT(body)), err);
}

int store_failures_cut(struct store_tx *tx, const char *rollout, int64_t last, struct err *err) {
    return tx_write(tx, "DELETE FROM outcome_failures WHERE rollout = $1 AND number <= $2",
                    PARAMS(P_TEXT(rollout), P_INT(last)), err);
}

static int read_failure(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct store_failure failure = {.number = row_int(&row)};

    failure.body = row_text(&row);
    *(struct store_failure *)ret = failure;
    return row_end(&row, err);
}

int store_failures(struct store_tx *tx, const char *rollout, int64_t before, size_t limit, struct arena *arena,
                   struct store_failure **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx,
                       "SELECT number, body FROM outcome_failures WHERE rollout = $1 AND ($2 = 0 OR number < $2) "
                       "ORDER BY number DESC LIMIT $3",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, rollout);
    db_bind_int(stmt, 2, before);
    db_bind_int(stmt, 3, (int64_t)limit);
    return all_rows(tx, stmt, read_failure, sizeof **ret, arena, ret, ret_count, err);
}
