/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ref depended on, moment by moment: two histories, of the ref's deployments and of its rollouts' moves, laid side by side. Both are
 * read from the newest back to the one that was in force at `since`, so the cost is that of the time looked at and not of the whole past.
 */
#include "store/rollouts.h"
#include "store/store_impl.h"

#include <string.h>

#define POINTS_MAX 4096 /* of each history; what is older is left out, as what is beyond the limit is */

/* One of the histories at a moment. */
struct point {
    int64_t seq, at;
    int64_t version;   /* of a deployment; 0 for a move */
    int64_t candidate; /* of a move; 0 when it ended the rollout, and for a deployment */
    int32_t share;
    const char *salt, *audience;
};

static int read_point(struct db_stmt *stmt, struct arena *arena, struct point *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct point point = {.seq = row_int(&row)};

    point.at = row_int(&row);
    point.version = row_int(&row);
    point.candidate = row_int(&row);
    point.share = (int32_t)row_int(&row);
    point.salt = row_text(&row);
    point.audience = row_text(&row);
    *ret = point;
    return row_end(&row, err);
}

struct points {
    struct point *items; /* newest first */
    size_t count, capacity;
};

static struct point *points_add(struct points *points, struct arena *arena) {
    if (points->count == points->capacity) {
        size_t capacity = points->capacity ? 2 * points->capacity : 16;
        struct point *items = arena_array(arena, capacity, sizeof(*items));
        if (!items) return NULL;
        if (points->count) memcpy(items, points->items, points->count * sizeof(*items));
        points->items = items;
        points->capacity = capacity;
    }
    return &points->items[points->count++];
}

static int read_points(struct store_tx *tx, struct db_stmt *stmt, int64_t since, struct arena *arena,
                       struct points *ret, struct err *err) {
    int r;
    while (ret->count < POINTS_MAX && (r = tx_step(tx, stmt, err)) != 0) {
        if (r < 0) return r;
        struct point *point = points_add(ret, arena);
        if (!point) return err_no_memory(err);
        r = read_point(stmt, arena, point, err);
        if (r < 0) return r;
        if (point->at <= since) break;
    }
    return 0;
}

static const char deployments_sql[] = "SELECT seq, created_at, version, 0, 0, NULL, NULL FROM deployments "
                                      "WHERE agent = $1 AND environment = $2 AND seq <= $3 ORDER BY seq DESC";
static const char moves_sql[] =
    "SELECT m.seq, m.created_at, 0, CASE WHEN m.state IN ('running', 'paused', 'held') THEN r.candidate ELSE 0 END, "
    "m.share, r.salt, r.audience FROM rollout_moves m JOIN rollouts r ON r.id = m.rollout "
    "WHERE m.agent = $1 AND m.environment = $2 AND m.seq <= $3 ORDER BY m.seq DESC";

static int history(struct store_tx *tx, const char *sql, const struct deployment *ref, int64_t seq, int64_t since,
                   struct arena *arena, struct points *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, sql, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, ref->agent);
    db_bind_text(stmt, 2, ref->environment);
    db_bind_int(stmt, 3, seq ? seq : INT64_MAX);
    return read_points(tx, stmt, since, arena, ret, err);
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_era(const struct era *a, const struct era *b) {
    return a->version == b->version && a->candidate == b->candidate && a->share == b->share &&
           same_text(a->salt, b->salt) && same_text(a->audience, b->audience);
}

/* The era that began with the newer of the two points, either of which may be NULL. */
static struct era era_of(const struct point *deployment, const struct point *move) {
    struct era era = {.version = deployment->version};

    era.from = move && move->at > deployment->at ? move->at : deployment->at;
    if (!move || !move->candidate) return era;
    era.candidate = move->candidate;
    era.share = move->share;
    era.salt = move->salt;
    era.audience = move->audience;
    return era;
}

int store_eras(struct store_tx *tx, const struct deployment *ref, int64_t seq, int64_t since, size_t limit,
               struct arena *arena, struct era **ret, size_t *ret_count, struct err *err) {
    struct points deployments = {0}, moves = {0};
    size_t d = 0, m = 0, count = 0;

    int r = history(tx, deployments_sql, ref, seq, since, arena, &deployments, err);
    if (r == 0) r = history(tx, moves_sql, ref, seq, since, arena, &moves, err);
    if (r < 0) return r;
    struct era *eras = arena_array(arena, deployments.count + moves.count + 1, sizeof(*eras));
    if (!eras) return err_no_memory(err);
    while (d < deployments.count) {
        const struct point *deployment = &deployments.items[d], *move = m < moves.count ? &moves.items[m] : NULL;
        struct era era = era_of(deployment, move);
        if (count && same_era(&eras[count - 1], &era))
            eras[count - 1].from = era.from;
        else if (count == limit)
            break;
        else
            eras[count++] = era;
        if (era.from <= since || (m == moves.count && m == POINTS_MAX)) break;
        /* what began last is taken away; a change may have moved both */
        int64_t newest = move && move->seq > deployment->seq ? move->seq : deployment->seq;
        if (move && move->seq == newest) m++;
        if (deployment->seq == newest) d++;
    }
    *ret = eras;
    *ret_count = count;
    return 0;
}

static int read_left_at(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    *(int64_t *)ret = db_int(stmt, 0);
    return 0;
}

int store_left_at(struct store_tx *tx, const struct deployment *ref, int64_t version, int64_t seq, int64_t *ret_at,
                  struct err *err) {
    static const char *const sources[] = {
        "SELECT created_at FROM deployments WHERE agent = $1 AND environment = $2 AND previous = $3 AND seq <= $4 "
        "AND kind IN ('rollback', 'panic') ORDER BY seq DESC LIMIT 1",
        "SELECT m.created_at FROM rollouts r JOIN rollout_moves m ON m.rollout = r.id WHERE r.agent = $1 "
        "AND r.environment = $2 AND r.candidate = $3 AND m.seq <= $4 AND m.state = 'rolled_back' "
        "ORDER BY m.seq DESC LIMIT 1",
    };
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
        int64_t at;
        int r = tx_prepare(tx, sources[i], &stmt, err);
        if (r < 0) return r;
        db_bind_text(stmt, 1, ref->agent);
        db_bind_text(stmt, 2, ref->environment);
        db_bind_int(stmt, 3, version);
        db_bind_int(stmt, 4, seq ? seq : INT64_MAX);
        r = tx_one(tx, stmt, read_left_at, NULL, &at, err);
        if (r < 0) return r;
        if (r == STORE_NONE || (found && at < *ret_at)) continue;
        *ret_at = at;
        found = true;
    }
    return found ? 0 : STORE_NONE;
}
