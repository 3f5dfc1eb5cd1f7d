/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: a log of descriptions and session policies, and the newest of each with the number of its newest version. */
#include "store/store_impl.h"

#define AGENT_COLUMNS "name, description, latest, created_by, created_at, seq, session"

static int read_agent(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct agent agent = {.name = row_text(&row)};

    agent.description = row_text(&row);
    agent.latest = row_int(&row);
    agent.created_by = row_text(&row);
    agent.created_at = row_int(&row);
    agent.seq = row_int(&row);
    struct slice session = db_slice(stmt, row.column++);
    if (!session.ptr || !session_policy_from_text(session.ptr, &agent.session)) row.failed = -ERR_STORE_CORRUPT;
    *(struct agent *)ret = agent;
    return row_end(&row, err);
}

int store_agent_get(struct store_tx *tx, const char *name, struct arena *arena, struct agent *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT " AGENT_COLUMNS " FROM agents_now WHERE name = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, name);
    return tx_one(tx, stmt, read_agent, arena, ret, err);
}

int store_agents(struct store_tx *tx, const char *after, size_t limit, struct arena *arena, struct agent **ret,
                 size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r =
        tx_prepare(tx, "SELECT " AGENT_COLUMNS " FROM agents_now WHERE name > $1 ORDER BY name LIMIT $2", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, after);
    db_bind_int(stmt, 2, (int64_t)limit);
    r = tx_all(tx, stmt, read_agent, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

int store_agent_put(struct store_tx *tx, const struct agent *agent, struct err *err) {
    int r = tx_write(tx,
                     "INSERT INTO agent_log (agent, description, created_by, created_at, seq, session) VALUES ($1, $2, "
                     "$3, $4, $5, $6)",
                     PARAMS(P_TEXT(agent->name), P_TEXT(agent->description), P_TEXT(agent->created_by),
                            P_INT(agent->created_at), P_INT(agent->seq), P_TEXT(session_policy_name(agent->session))),
                     err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO agents_now (" AGENT_COLUMNS ") VALUES ($1, $2, 0, $3, $4, $5, $6) "
                    "ON CONFLICT (name) DO UPDATE SET description = excluded.description, seq = excluded.seq, "
                    "session = excluded.session",
                    PARAMS(P_TEXT(agent->name), P_TEXT(agent->description), P_TEXT(agent->created_by),
                           P_INT(agent->created_at), P_INT(agent->seq), P_TEXT(session_policy_name(agent->session))),
                    err);
}
