/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollouts: what each is, which never changes, and the journal of its moves, of which the newest says how it stands. `step_at`, the
 * moment at which the share in force came, is written with each move, so that pausing and resuming do not begin a step anew.
 *
 * As of an earlier seq a rollout stands as its newest move until then says. One ref has at most one open rollout at any time, so the open one as of a seq can
 * only be the newest that had started.
 */
#include "store/rollouts.h"

#include "store/store_impl.h"

#include <string.h>

#define IS_OPEN(row) row ".state IN ('running', 'paused', 'held')"
#define ROLLOUT_COLUMNS                                                                                                \
    "r.id, r.agent, r.environment, r.candidate, r.stable, r.salt, r.audience, r.plan, r.reason, r.created_by, "        \
    "r.created_at, r.seq"
#define SELECT_NOW                                                                                                     \
    "SELECT " ROLLOUT_COLUMNS ", n.state, n.step, n.share, n.step_at, n.words, n.moved_by, n.moved_at, n.moved_seq "
#define ALL_NOW SELECT_NOW "FROM rollouts r JOIN rollouts_now n ON n.id = r.id "
#define OPEN_NOW SELECT_NOW "FROM rollouts_now n JOIN rollouts r ON r.id = n.id WHERE " IS_OPEN("n")

static int read_rollout(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct rollout rollout = {.id = row_text(&row)};

    rollout.agent = row_text(&row);
    rollout.environment = row_text(&row);
    rollout.candidate = row_int(&row);
    rollout.stable = row_int(&row);
    rollout.salt = row_text(&row);
    rollout.audience = row_text(&row);
    rollout.plan = row_text(&row);
    rollout.reason = row_text(&row);
    rollout.created_by = row_text(&row);
    rollout.created_at = row_int(&row);
    rollout.seq = row_int(&row);
    struct slice state = db_slice(stmt, row.column++);
    rollout.step = (unsigned)row_int(&row);
    rollout.share = (int32_t)row_int(&row);
    rollout.step_at = row_int(&row);
    rollout.words = row_text(&row);
    rollout.moved_by = row_text(&row);
    rollout.moved_at = row_int(&row);
    rollout.moved_seq = row_int(&row);
    if (!state.ptr || !rollout_state_from_text(state.ptr, &rollout.state)) row.failed = -ERR_STORE_CORRUPT;
    *(struct rollout *)ret = rollout;
    return row_end(&row, err);
}

int store_rollout_get(struct store_tx *tx, const char *id, struct arena *arena, struct rollout *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, ALL_NOW "WHERE r.id = $1", &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, id);
    return tx_one(tx, stmt, read_rollout, arena, ret, err);
}

int store_rollout_of(struct store_tx *tx, const char *agent, const char *environment, int64_t seq, struct arena *arena,
                     struct rollout *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char now[] = OPEN_NOW " AND n.environment = $1 AND n.agent = $2";
    static const char then[] =
        "SELECT " ROLLOUT_COLUMNS ", m.state, m.step, m.share, m.step_at, m.words, m.created_by, m.created_at, m.seq "
        "FROM (SELECT * FROM rollouts WHERE agent = $2 AND environment = $1 AND seq <= $3 ORDER BY seq DESC LIMIT 1) r "
        "JOIN rollout_moves m ON m.rollout = r.id "
        "AND m.seq = (SELECT max(x.seq) FROM rollout_moves x WHERE x.rollout = r.id AND x.seq <= $3) "
        "WHERE " IS_OPEN("m");

    int r = tx_prepare(tx, seq ? then : now, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, environment);
    db_bind_text(stmt, 2, agent);
    if (seq) db_bind_int(stmt, 3, seq);
    return tx_one(tx, stmt, read_rollout, arena, ret, err);
}

/* A statement for each choice of filters, so that each is answered from an index. */
static const char *rollouts_sql(const struct store_rollouts_query *query) {
#define NEWEST_FIRST " AND r.seq < $1 ORDER BY r.seq DESC LIMIT $2"
    if (query->open) {
        if (query->agent && query->environment) return OPEN_NOW " AND n.agent = $3 AND n.environment = $4" NEWEST_FIRST;
        if (query->agent) return OPEN_NOW " AND n.agent = $3" NEWEST_FIRST;
        if (query->environment) return OPEN_NOW " AND n.environment = $4" NEWEST_FIRST;
        return OPEN_NOW NEWEST_FIRST;
    }
    if (query->agent && query->environment && query->candidate)
        return ALL_NOW "WHERE r.agent = $3 AND r.environment = $4 AND r.candidate = $5" NEWEST_FIRST;
    if (query->agent && query->environment) return ALL_NOW "WHERE r.agent = $3 AND r.environment = $4" NEWEST_FIRST;
    if (query->agent) return ALL_NOW "WHERE r.agent = $3" NEWEST_FIRST;
    if (query->environment) return ALL_NOW "WHERE r.environment = $4" NEWEST_FIRST;
    return ALL_NOW "WHERE 1 = 1" NEWEST_FIRST;
}

int store_rollouts(struct store_tx *tx, const struct store_rollouts_query *query, struct arena *arena,
                   struct rollout **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx, rollouts_sql(query), &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, query->before ? query->before : INT64_MAX);
    db_bind_int(stmt, 2, (int64_t)query->limit);
    if (query->agent) db_bind_text(stmt, 3, query->agent);
    if (query->environment) db_bind_text(stmt, 4, query->environment);
    if (query->candidate && query->agent && query->environment && !query->open) db_bind_int(stmt, 5, query->candidate);
    r = tx_all(tx, stmt, read_rollout, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

/* ---- the journal ---- */

static int read_move(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct rollout_move move = {.rollout = row_text(&row)};

    struct slice state = db_slice(stmt, row.column++);
    move.step = (unsigned)row_int(&row);
    move.share = (int32_t)row_int(&row);
    move.action = row_text(&row);
    move.words = row_text(&row);
    struct slice hex = db_slice(stmt, row.column++);
    move.created_by = row_text(&row);
    move.created_at = row_int(&row);
    move.seq = row_int(&row);
    if (!state.ptr || !rollout_state_from_text(state.ptr, &move.state)) row.failed = -ERR_STORE_CORRUPT;
    if (hex.len) {
        uint8_t *bytes = arena_alloc(arena, hex.len / 2 + 1);
        if (!bytes) return err_no_memory(err);
        if (hex.len % 2 || !hex_decode(hex.ptr, hex.len, bytes)) row.failed = -ERR_STORE_CORRUPT;
        move.evidence = (struct slice){(const char *)bytes, hex.len / 2};
    }
    *(struct rollout_move *)ret = move;
    return row_end(&row, err);
}

int store_rollout_moves(struct store_tx *tx, const char *rollout, int64_t before, size_t limit, bool with_evidence,
                        struct arena *arena, struct rollout_move **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char whole[] =
        "SELECT rollout, state, step, share, action, words, evidence, created_by, created_at, seq FROM rollout_moves "
        "WHERE rollout = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    static const char without[] =
        "SELECT rollout, state, step, share, action, words, '', created_by, created_at, seq FROM rollout_moves "
        "WHERE rollout = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    struct row_list list;

    int r = tx_prepare(tx, with_evidence ? whole : without, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, rollout);
    db_bind_int(stmt, 2, before ? before : INT64_MAX);
    db_bind_int(stmt, 3, (int64_t)limit);
    r = tx_all(tx, stmt, read_move, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

/* The move with what its rollout is about and when its share came. */
struct placed_move {
    const struct rollout_move *move;
    const char *agent, *environment;
    int64_t step_at;
};

static int write_move(struct store_tx *tx, const struct placed_move *placed, struct err *err) {
    const struct rollout_move *move = placed->move;
    _cleanup_(freep) char *hex = malloc(2 * move->evidence.len + 1);

    if (!hex) return err_no_memory(err);
    hex_encode(move->evidence.ptr ? move->evidence.ptr : "", move->evidence.len, hex);
    return tx_write(tx,
                    "INSERT INTO rollout_moves (rollout, seq, agent, environment, state, step, share, step_at, action, "
                    "words, evidence, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
                    "$12, $13)",
                    PARAMS(P_TEXT(move->rollout), P_INT(move->seq), P_TEXT(placed->agent), P_TEXT(placed->environment),
                           P_TEXT(rollout_state_name(move->state)), P_INT(move->step), P_INT(move->share),
                           P_INT(placed->step_at), P_TEXT(move->action), P_TEXT(move->words), P_TEXT(hex),
                           P_TEXT(move->created_by), P_INT(move->created_at)),
                    err);
}

static int write_stand(struct store_tx *tx, const struct placed_move *placed, struct err *err) {
    const struct rollout_move *move = placed->move;

    return tx_write(
        tx,
        "INSERT INTO rollouts_now (id, agent, environment, state, step, share, step_at, words, moved_by, moved_at, "
        "moved_seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
        "ON CONFLICT (id) DO UPDATE SET state = excluded.state, step = excluded.step, share = excluded.share, "
        "step_at = excluded.step_at, words = excluded.words, moved_by = excluded.moved_by, "
        "moved_at = excluded.moved_at, moved_seq = excluded.moved_seq",
        PARAMS(P_TEXT(move->rollout), P_TEXT(placed->agent), P_TEXT(placed->environment),
               P_TEXT(rollout_state_name(move->state)), P_INT(move->step), P_INT(move->share), P_INT(placed->step_at),
               P_TEXT(move->words), P_TEXT(move->created_by), P_INT(move->created_at), P_INT(move->seq)),
        err);
}

struct last_move {
    const char *agent, *environment;
    int64_t step, share, step_at;
};

static int read_last_move(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct last_move last = {.agent = row_text(&row)};

    last.environment = row_text(&row);
    last.step = row_int(&row);
    last.share = row_int(&row);
    last.step_at = row_int(&row);
    *(struct last_move *)ret = last;
    return row_end(&row, err);
}

int store_rollout_move(struct store_tx *tx, const struct rollout_move *move, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct last_move last;

    int r = tx_prepare(tx,
                       "SELECT agent, environment, step, share, step_at FROM rollout_moves WHERE rollout = $1 "
                       "ORDER BY seq DESC LIMIT 1",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, move->rollout);
    r = tx_one(tx, stmt, read_last_move, &arena, &last, err);
    if (r < 0) return r;
    if (r == STORE_NONE) return err_set(err, ERR_CONFLICT, "there is no rollout %s to be moved", move->rollout);
    bool stays = last.step == move->step && last.share == move->share;
    struct placed_move placed = {move, last.agent, last.environment, stays ? last.step_at : move->created_at};
    r = write_move(tx, &placed, err);
    return r < 0 ? r : write_stand(tx, &placed, err);
}

int store_rollout_add(struct store_tx *tx, const struct rollout *rollout, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct rollout open;

    int r = store_rollout_of(tx, rollout->agent, rollout->environment, 0, &arena, &open, err);
    if (r < 0) return r;
    if (r != STORE_NONE)
        return err_set(err, ERR_CONFLICT, "rollout %s of %s in %s is open", open.id, open.agent, open.environment);
    r = tx_write(tx,
                 "INSERT INTO rollouts (id, agent, environment, candidate, stable, salt, audience, plan, reason, "
                 "created_by, created_at, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                 PARAMS(P_TEXT(rollout->id), P_TEXT(rollout->agent), P_TEXT(rollout->environment),
                        P_INT(rollout->candidate), P_INT(rollout->stable), P_TEXT(rollout->salt),
                        P_TEXT(rollout->audience), P_TEXT(rollout->plan), P_TEXT(rollout->reason),
                        P_TEXT(rollout->created_by), P_INT(rollout->created_at), P_INT(rollout->seq)),
                 err);
    if (r < 0) return r;
    struct rollout_move start = {
        .rollout = rollout->id,
        .state = rollout->state,
        .step = rollout->step,
        .share = rollout->share,
        .action = "start",
        .words = rollout->reason,
        .created_by = rollout->created_by,
        .created_at = rollout->created_at,
        .seq = rollout->seq,
    };
    struct placed_move placed = {&start, rollout->agent, rollout->environment, rollout->created_at};
    r = write_move(tx, &placed, err);
    return r < 0 ? r : write_stand(tx, &placed, err);
}
