/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refs and the deployments that moved them. A ref is the newest deployment of (agent, environment): as of now it is
 * found through refs_now, as of an earlier seq through the key of the deployments themselves, which is one step in an index
 * however many moves there were.
 */
#include "store/store_impl.h"

#define DEPLOYMENT_COLUMNS                                                                                             \
    "d.id, d.agent, d.environment, d.version, d.previous, d.kind, d.reason, d.release_id, d.restores, d.created_by, "  \
    "d.created_at, d.seq"
#define SELECT_DEPLOYMENTS "SELECT " DEPLOYMENT_COLUMNS " FROM deployments d "
#define SELECT_REFS                                                                                                    \
    "SELECT " DEPLOYMENT_COLUMNS " FROM refs_now r JOIN deployments d "                                                \
    "ON d.agent = r.agent AND d.environment = r.environment AND d.seq = r.seq "

static int read_deployment(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct deployment deployment = {.id = row_text(&row)};

    deployment.agent = row_text(&row);
    deployment.environment = row_text(&row);
    deployment.version = row_int(&row);
    deployment.previous = row_int(&row);
    struct slice kind = db_slice(stmt, row.column++);
    deployment.reason = row_text(&row);
    deployment.release = row_text(&row);
    deployment.restores = row_int(&row);
    deployment.created_by = row_text(&row);
    deployment.created_at = row_int(&row);
    deployment.seq = row_int(&row);
    if (!kind.ptr || !deployment_kind_from_text(kind.ptr, &deployment.kind)) row.failed = -ERR_STORE_CORRUPT;
    *(struct deployment *)ret = deployment;
    return row_end(&row, err);
}

static int all_deployments(struct store_tx *tx, struct db_stmt *stmt, struct arena *arena, struct deployment **ret,
                           size_t *ret_count, struct err *err) {
    struct row_list list;

    int r = tx_all(tx, stmt, read_deployment, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

int store_ref_get(struct store_tx *tx, const char *agent, const char *environment, struct arena *arena,
                  struct deployment *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, SELECT_REFS "WHERE r.environment = $1 AND r.agent = $2", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, agent);
    return tx_one(tx, stmt, read_deployment, arena, ret, err);
}

/* A statement for each choice of filters, so that each is answered from an index. */
static const char *refs_sql(const struct store_refs_query *query) {
    if (query->environment && query->agent)
        return SELECT_REFS "WHERE r.environment = $4 AND r.agent = $5 AND (r.environment, r.agent) > ($1, $2) "
                           "ORDER BY r.environment, r.agent LIMIT $3";
    if (query->environment)
        return SELECT_REFS "WHERE r.environment = $4 AND (r.environment, r.agent) > ($1, $2) "
                           "ORDER BY r.environment, r.agent LIMIT $3";
    if (query->agent)
        return SELECT_REFS "WHERE r.agent = $5 AND (r.environment, r.agent) > ($1, $2) "
                           "ORDER BY r.environment, r.agent LIMIT $3";
    return SELECT_REFS "WHERE (r.environment, r.agent) > ($1, $2) ORDER BY r.environment, r.agent LIMIT $3";
}

int store_refs(struct store_tx *tx, const struct store_refs_query *query, struct arena *arena, struct deployment **ret,
               size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, refs_sql(query), &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, query->after_environment ? query->after_environment : "");
    db_bind_text(stmt, 2, query->after_agent ? query->after_agent : "");
    db_bind_int(stmt, 3, (int64_t)query->limit);
    if (query->environment) db_bind_text(stmt, 4, query->environment);
    if (query->agent) db_bind_text(stmt, 5, query->agent);
    return all_deployments(tx, stmt, arena, ret, ret_count, err);
}

int store_ref_at(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                 struct deployment *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(
        tx, SELECT_DEPLOYMENTS "WHERE d.agent = $1 AND d.environment = $2 AND d.seq <= $3 ORDER BY d.seq DESC LIMIT 1",
        &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, environment);
    db_bind_int(stmt, 3, seq);
    return tx_one(tx, stmt, read_deployment, arena, ret, err);
}

int store_deployment_of(struct store_tx *tx, const char *agent, const char *environment, int64_t version,
                        int64_t max_seq, struct arena *arena, struct deployment *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r =
        tx_prepare(tx,
                   SELECT_DEPLOYMENTS "WHERE d.agent = $1 AND d.environment = $2 AND d.version = $3 AND d.seq <= $4 "
                                      "ORDER BY d.seq DESC LIMIT 1",
                   &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, environment);
    db_bind_int(stmt, 3, version);
    db_bind_int(stmt, 4, max_seq ? max_seq : INT64_MAX);
    return tx_one(tx, stmt, read_deployment, arena, ret, err);
}

int store_deployments(struct store_tx *tx, const char *agent, const char *environment, int64_t before, size_t limit,
                      struct arena *arena, struct deployment **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char everywhere[] =
        SELECT_DEPLOYMENTS "WHERE d.agent = $1 AND d.seq < $2 ORDER BY d.seq DESC, d.environment LIMIT $3";
    static const char there[] =
        SELECT_DEPLOYMENTS "WHERE d.agent = $1 AND d.seq < $2 AND d.environment = $4 ORDER BY d.seq DESC LIMIT $3";

    int r = tx_prepare(tx, environment ? there : everywhere, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_int(stmt, 2, before ? before : INT64_MAX);
    db_bind_int(stmt, 3, (int64_t)limit);
    if (environment) db_bind_text(stmt, 4, environment);
    return all_deployments(tx, stmt, arena, ret, ret_count, err);
}

int store_release_moves(struct store_tx *tx, const char *id, struct arena *arena, struct deployment **ret,
                        size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, SELECT_DEPLOYMENTS "WHERE d.release_id = $1 ORDER BY d.agent", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, id);
    return all_deployments(tx, stmt, arena, ret, ret_count, err);
}

/* ---- moving ---- */

static int read_version_number(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    *(int64_t *)ret = db_int(stmt, 0);
    return 0;
}

static int check_previous(struct store_tx *tx, const struct deployment *deployment, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    int64_t served = 0;

    int r = tx_prepare(tx, "SELECT version FROM refs_now WHERE environment = $1 AND agent = $2", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, deployment->environment);
    db_bind_text(stmt, 2, deployment->agent);
    r = tx_one(tx, stmt, read_version_number, NULL, &served, err);
    if (r < 0) return r;
    if (served == deployment->previous) return 0;
    return err_set(err, ERR_CONFLICT, "%s serves %s@%lld, not @%lld", deployment->environment, deployment->agent,
                   (long long)served, (long long)deployment->previous);
}

int store_deployment_add(struct store_tx *tx, const struct deployment *deployment, struct err *err) {
    int r = check_previous(tx, deployment, err);
    if (r < 0) return r;
    r = tx_write(tx,
                 "INSERT INTO deployments (id, agent, environment, version, previous, kind, reason, release_id, "
                 "restores, created_by, created_at, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                 PARAMS(P_TEXT(deployment->id), P_TEXT(deployment->agent), P_TEXT(deployment->environment),
                        P_INT(deployment->version), P_INT(deployment->previous),
                        P_TEXT(deployment_kind_name(deployment->kind)), P_TEXT(deployment->reason),
                        P_TEXT(deployment->release), P_INT(deployment->restores), P_TEXT(deployment->created_by),
                        P_INT(deployment->created_at), P_INT(deployment->seq)),
                 err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO refs_now (environment, agent, version, seq) VALUES ($1, $2, $3, $4) "
                    "ON CONFLICT (environment, agent) DO UPDATE SET version = excluded.version, seq = excluded.seq",
                    PARAMS(P_TEXT(deployment->environment), P_TEXT(deployment->agent), P_INT(deployment->version),
                           P_INT(deployment->seq)),
                    err);
}
