/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order and time. A position is (epoch, seq). Seq goes on counting through epochs; an epoch tells histories apart that
 * have the same numbers: after a restore the lost tail had positions (old epoch, n) which this history never went through.
 */
#include "store/store_impl.h"

int tx_read_head(struct db *db, const char *sql, struct head *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = db_prepare(db, sql, &stmt, err);
    if (r < 0) return r;
    r = db_step(stmt, err);
    if (r < 0) return r;
    if (r == 0) return err_set(err, ERR_STORE_CORRUPT, "the store has no head");
    struct row row = ROW_INIT(stmt, NULL);
    struct head head = {.position.epoch = row_int(&row)};
    head.position.seq = row_int(&row);
    head.at = row_int(&row);
    head.audit_hash = row_hash(&row);
    r = row_end(&row, err);
    if (r == 0) *ret = head;
    return r;
}

int store_advance(struct store_tx *tx, struct position *ret_position, int64_t *ret_at, struct err *err) {
    if (!tx->redo) return err_set(err, ERR_INTERNAL, "a reader wanted a position");
    if (tx->advanced) return err_set(err, ERR_INTERNAL, "a change wanted a second position");
    if (tx->record) return err_set(err, ERR_INTERNAL, "a record wanted a position");
    int64_t now = clock_wall(tx->store->options.clock);
    tx->head.position.seq++;
    tx->head.at = now > tx->head.at ? now : tx->head.at + 1;
    tx->advanced = true;
    *ret_position = tx->head.position;
    *ret_at = tx->head.at;
    return 0;
}

int store_head(struct store_tx *tx, struct position *ret_position, int64_t *ret_at, struct err *err) {
    struct head head = tx->head;

    if (!tx->redo) {
        int r = tx_read_head(tx->db, "SELECT epoch, seq, at, audit_hash FROM head WHERE id = 1", &head, err);
        if (r < 0) return r;
    }
    *ret_position = head.position;
    *ret_at = head.at;
    return 0;
}

struct change {
    struct position position;
    int64_t at;
};

static int read_change(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct change *change = ret;

    *change = (struct change){{db_int(stmt, 0), db_int(stmt, 1)}, db_int(stmt, 2)};
    return 0;
}

/* The newest change with a seq of at most `seq`. */
static int change_before(struct store_tx *tx, int64_t seq, struct change *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, "SELECT epoch, seq, at FROM audit WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, seq);
    return tx_one(tx, stmt, read_change, NULL, ret, err);
}

/* Times grow with seq, so halving finds the change without an index that every write would have to pay for. */
int store_position_at(struct store_tx *tx, int64_t at, struct position *ret, struct err *err) {
    struct change change;
    int64_t low = 0, high;
    bool found = false;

    int r = change_before(tx, INT64_MAX, &change, err);
    if (r != 0) return r;
    high = change.position.seq;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        r = change_before(tx, middle, &change, err);
        if (r < 0) return r;
        if (r == 0 && change.at > at) {
            high = change.position.seq - 1;
            continue;
        }
        low = middle;
        if (r == STORE_NONE) continue;
        *ret = change.position;
        found = true;
    }
    return found ? 0 : STORE_NONE;
}

struct epoch_span {
    int64_t first, next; /* next: first seq of the following epoch, 0 = this is the newest */
};

static int read_span(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct epoch_span *span = ret;

    *span = (struct epoch_span){db_int(stmt, 0), db_int(stmt, 1)};
    return 0;
}

int store_position_known(struct store_tx *tx, struct position position, int64_t *ret_at, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct epoch_span span;
    struct position head;
    int64_t at;

    int r = store_head(tx, &head, &at, err);
    if (r < 0) return r;
    r = tx_prepare(tx,
                   "SELECT e.first_seq, COALESCE((SELECT min(n.first_seq) FROM epochs n WHERE n.epoch > e.epoch), 0) "
                   "FROM epochs e WHERE e.epoch = $1",
                   &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, position.epoch);
    r = tx_one(tx, stmt, read_span, NULL, &span, err);
    if (r != 0) return r;
    bool known = position.seq >= span.first && position.seq <= head.seq && (!span.next || position.seq < span.next);
    if (!known) return STORE_NONE;
    if (!ret_at) return 0;
    struct change change = {.at = 0};
    r = change_before(tx, position.seq, &change, err);
    *ret_at = change.at;
    return r < 0 ? r : 0;
}

struct new_epoch {
    int64_t after;
    const char *reason;
};

static int begin_epoch(void *arg, struct store_tx *tx, struct err *err) {
    const struct new_epoch *wanted = arg;
    struct position position;
    int64_t at;

    if (tx->head.position.epoch < wanted->after) tx->head.position.epoch = wanted->after;
    tx->head.position.epoch++;
    int r = store_advance(tx, &position, &at, err);
    if (r < 0) return r;
    r = tx_write(tx, "INSERT INTO epochs (epoch, first_seq) VALUES ($1, $2)",
                 PARAMS(P_INT(position.epoch), P_INT(position.seq)), err);
    if (r < 0) return r;
    struct audit_entry entry = {
        .position = position,
        .at = at,
        .actor = "system",
        .actor_name = "system",
        .operation = "epoch_begin",
        .agent = "",
        .environment = "",
        .reason = wanted->reason,
        .detail = "{}",
    };
    return store_audit_append(tx, &entry, err);
}

int store_epoch_begin(struct store *store, int64_t after, const char *reason, struct err *err) {
    struct new_epoch wanted = {after, reason};
    return store_write(store, begin_epoch, &wanted, err);
}
