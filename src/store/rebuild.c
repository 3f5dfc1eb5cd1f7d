/* SPDX-License-Identifier: Apache-2.0 */
/* The derived tables from the truth: how they are made, and a hash that tells whether two makings agree. */
#include "base/failpoint.h"
#include "store/store_impl.h"

/* clang-format off */
#define AGENTS_NOW "agents_now"
#define AGENTS_NOW_COLUMNS "name, description, latest, created_by, created_at, seq, session"
#define AGENTS_NOW_TRUTH \
    "SELECT r.agent, l.description, COALESCE(v.latest, 0), f.created_by, f.created_at," \
    " CASE WHEN COALESCE(v.seq, 0) > l.seq THEN v.seq ELSE l.seq END, l.session " \
    "FROM (SELECT agent, min(seq) AS first_seq, max(seq) AS last_seq FROM agent_log GROUP BY agent) r " \
    "JOIN agent_log f ON f.agent = r.agent AND f.seq = r.first_seq " \
    "JOIN agent_log l ON l.agent = r.agent AND l.seq = r.last_seq " \
    "LEFT JOIN (SELECT agent, max(number) AS latest, max(seq) AS seq FROM versions GROUP BY agent) v ON v.agent = " \
    "r.agent"

#define ENVIRONMENTS_NOW "environments_now"
#define ENVIRONMENTS_NOW_COLUMNS "name, description, is_protected, created_by, created_at, seq"
#define ENVIRONMENTS_NOW_TRUTH \
    "SELECT r.environment, l.description, l.is_protected, f.created_by, f.created_at, l.seq " \
    "FROM (SELECT environment, min(seq) AS first_seq, max(seq) AS last_seq FROM environment_log GROUP BY environment) " \
    "r " \
    "JOIN environment_log f ON f.environment = r.environment AND f.seq = r.first_seq " \
    "JOIN environment_log l ON l.environment = r.environment AND l.seq = r.last_seq"

#define REFS_NOW "refs_now"
#define REFS_NOW_COLUMNS "environment, agent, version, seq"
#define REFS_NOW_TRUTH \
    "SELECT d.environment, d.agent, d.version, d.seq " \
    "FROM (SELECT agent, environment, max(seq) AS seq FROM deployments GROUP BY agent, environment) r " \
    "JOIN deployments d ON d.agent = r.agent AND d.environment = r.environment AND d.seq = r.seq"

#define HOLDS_NOW "holds_now"
#define HOLDS_NOW_COLUMNS "agent, environment, reason, created_by, created_at, seq"
#define HOLDS_NOW_TRUTH \
    "SELECT h.agent, h.environment, h.reason, h.created_by, h.created_at, h.seq " \
    "FROM (SELECT agent, environment, max(seq) AS seq FROM hold_log GROUP BY agent, environment) r " \
    "JOIN hold_log h ON h.agent = r.agent AND h.environment = r.environment AND h.seq = r.seq WHERE h.held = 1"

#define OVERRIDES_NOW "overrides_now"
#define OVERRIDES_NOW_COLUMNS "agent, environment, name, keys, audience, version, reason, created_by, created_at, seq"
#define OVERRIDES_NOW_TRUTH \
    "SELECT o.agent, o.environment, o.name, o.keys, o.audience, o.version, o.reason, o.created_by, o.created_at, o.seq " \
    "FROM (SELECT agent, environment, name, max(seq) AS seq FROM override_log GROUP BY agent, environment, name) r " \
    "JOIN override_log o ON o.agent = r.agent AND o.environment = r.environment AND o.name = r.name AND o.seq = r.seq " \
    "WHERE o.removed = 0"

#define ROLLOUTS_NOW "rollouts_now"
#define ROLLOUTS_NOW_COLUMNS \
    "id, agent, environment, state, step, share, step_at, words, moved_by, moved_at, moved_seq"
#define ROLLOUTS_NOW_TRUTH \
    "SELECT m.rollout, m.agent, m.environment, m.state, m.step, m.share, m.step_at, m.words, m.created_by, " \
    "m.created_at, m.seq FROM (SELECT rollout, max(seq) AS seq FROM rollout_moves GROUP BY rollout) r " \
    "JOIN rollout_moves m ON m.rollout = r.rollout AND m.seq = r.seq"

#define PANICS_NOW "panics_now"
#define PANICS_NOW_COLUMNS "environment, agent, version, reason, created_by, created_at, seq"
#define PANICS_NOW_TRUTH \
    "SELECT p.environment, p.agent, p.version, p.reason, p.created_by, p.created_at, p.seq " \
    "FROM (SELECT environment, agent, max(seq) AS seq FROM panic_log GROUP BY environment, agent) r " \
    "JOIN panic_log p ON p.environment = r.environment AND p.agent = r.agent AND p.seq = r.seq WHERE p.is_on = 1"

#define TEMPLATES_NOW "rollout_templates_now"
#define TEMPLATES_NOW_COLUMNS "name, description, content, created_by, created_at, seq"
#define TEMPLATES_NOW_TRUTH \
    "SELECT t.name, t.description, t.content, t.created_by, t.created_at, t.seq " \
    "FROM (SELECT name, max(seq) AS seq FROM rollout_template_log GROUP BY name) r " \
    "JOIN rollout_template_log t ON t.name = r.name AND t.seq = r.seq"

#define WEBHOOKS_NOW "webhooks_now"
#define WEBHOOKS_NOW_COLUMNS "name, url, environment, agent, events, created_by, created_at, seq"
#define WEBHOOKS_NOW_TRUTH \
    "SELECT w.name, w.url, w.environment, w.agent, w.events, w.created_by, w.created_at, w.seq " \
    "FROM (SELECT name, max(seq) AS seq FROM webhook_log GROUP BY name) r " \
    "JOIN webhook_log w ON w.name = r.name AND w.seq = r.seq WHERE w.removed = 0"

#define FLAGS_NOW "flags_now"
#define FLAGS_NOW_COLUMNS "environment, part, key, content, bindings, reason, created_by, created_at, seq"
#define FLAGS_NOW_TRUTH \
    "SELECT f.environment, f.part, f.key, f.content, f.bindings, f.reason, f.created_by, f.created_at, f.seq " \
    "FROM (SELECT environment, part, key, max(seq) AS seq FROM flag_log GROUP BY environment, part, key) r " \
    "JOIN flag_log f ON f.environment = r.environment AND f.part = r.part AND f.key = r.key AND f.seq = r.seq " \
    "WHERE f.removed = 0"

#define MADE_ANEW(table, columns, truth) "DELETE FROM " table "; INSERT INTO " table " (" columns ") " truth ";"
static const char rebuild_sql[] =
    MADE_ANEW(AGENTS_NOW, AGENTS_NOW_COLUMNS, AGENTS_NOW_TRUTH)
    MADE_ANEW(ENVIRONMENTS_NOW, ENVIRONMENTS_NOW_COLUMNS, ENVIRONMENTS_NOW_TRUTH)
    MADE_ANEW(REFS_NOW, REFS_NOW_COLUMNS, REFS_NOW_TRUTH)
    MADE_ANEW(HOLDS_NOW, HOLDS_NOW_COLUMNS, HOLDS_NOW_TRUTH)
    MADE_ANEW(OVERRIDES_NOW, OVERRIDES_NOW_COLUMNS, OVERRIDES_NOW_TRUTH)
    MADE_ANEW(ROLLOUTS_NOW, ROLLOUTS_NOW_COLUMNS, ROLLOUTS_NOW_TRUTH)
    MADE_ANEW(PANICS_NOW, PANICS_NOW_COLUMNS, PANICS_NOW_TRUTH)
    MADE_ANEW(TEMPLATES_NOW, TEMPLATES_NOW_COLUMNS, TEMPLATES_NOW_TRUTH)
    MADE_ANEW(WEBHOOKS_NOW, WEBHOOKS_NOW_COLUMNS, WEBHOOKS_NOW_TRUTH)
    MADE_ANEW(FLAGS_NOW, FLAGS_NOW_COLUMNS, FLAGS_NOW_TRUTH);

/* Rows that only one side has. */
#define DIFFERENCE(table, columns, truth) \
    {table, "SELECT (SELECT count(*) FROM (SELECT " columns " FROM " table " EXCEPT " truth ")) + " \
            "(SELECT count(*) FROM (" truth " EXCEPT SELECT " columns " FROM " table "))"},
static const struct {
    const char *table, *sql;
} differences[] = {
    DIFFERENCE(AGENTS_NOW, AGENTS_NOW_COLUMNS, AGENTS_NOW_TRUTH)
    DIFFERENCE(ENVIRONMENTS_NOW, ENVIRONMENTS_NOW_COLUMNS, ENVIRONMENTS_NOW_TRUTH)
    DIFFERENCE(REFS_NOW, REFS_NOW_COLUMNS, REFS_NOW_TRUTH)
    DIFFERENCE(HOLDS_NOW, HOLDS_NOW_COLUMNS, HOLDS_NOW_TRUTH)
    DIFFERENCE(OVERRIDES_NOW, OVERRIDES_NOW_COLUMNS, OVERRIDES_NOW_TRUTH)
    DIFFERENCE(ROLLOUTS_NOW, ROLLOUTS_NOW_COLUMNS, ROLLOUTS_NOW_TRUTH)
    DIFFERENCE(PANICS_NOW, PANICS_NOW_COLUMNS, PANICS_NOW_TRUTH)
    DIFFERENCE(TEMPLATES_NOW, TEMPLATES_NOW_COLUMNS, TEMPLATES_NOW_TRUTH)
    DIFFERENCE(WEBHOOKS_NOW, WEBHOOKS_NOW_COLUMNS, WEBHOOKS_NOW_TRUTH)
    DIFFERENCE(FLAGS_NOW, FLAGS_NOW_COLUMNS, FLAGS_NOW_TRUTH)
};
/* clang-format on */

int store_rebuild_in(struct db *db, struct err *err) {
    return db_exec(db, rebuild_sql, err);
}

/* Rebuilding is no change: it takes no position, and the head is written back as it was. */
static int rebuild(void *arg, struct store_tx *tx, struct err *err) {
    tx->advanced = tx->audited = true;
    int r = tx_write_plain(tx, rebuild_sql, err);
    FAILPOINT(rebuild_written);
    return r;
}

int store_rebuild(struct store *store, struct err *err) {
    return store_write(store, rebuild, NULL, err);
}

#define COLUMNS_MAX 11

struct derived_table {
    const char *sql;
    int columns;
};

static const struct derived_table derived_tables[] = {
    {"SELECT name, description, latest, created_by, created_at, seq, session FROM agents_now ORDER BY name", 7},
    {"SELECT name, description, is_protected, created_by, created_at, seq FROM environments_now ORDER BY name", 6},
    {"SELECT environment, agent, version, seq FROM refs_now ORDER BY environment, agent", 4},
    {"SELECT environment, agent, reason, created_by, created_at, seq FROM holds_now ORDER BY environment, agent", 6},
    {"SELECT " OVERRIDES_NOW_COLUMNS " FROM overrides_now ORDER BY agent, environment, name", 10},
    {"SELECT " ROLLOUTS_NOW_COLUMNS " FROM rollouts_now ORDER BY id", 11},
    {"SELECT " PANICS_NOW_COLUMNS " FROM panics_now ORDER BY environment, agent", 7},
    {"SELECT " TEMPLATES_NOW_COLUMNS " FROM rollout_templates_now ORDER BY name", 6},
    {"SELECT " WEBHOOKS_NOW_COLUMNS " FROM webhooks_now ORDER BY name", 8},
    {"SELECT " FLAGS_NOW_COLUMNS " FROM flags_now ORDER BY environment, part, key", 9},
};

/* hash := SHA-256(hash, then each column as its length and its text) */
static int hash_row(struct db_stmt *stmt, int columns, struct sha256 *hash, struct err *err) {
    struct slice pieces[1 + 2 * COLUMNS_MAX];
    uint64_t lengths[COLUMNS_MAX];
    size_t count = 0;

    pieces[count++] = (struct slice){(const char *)hash->bytes, SHA256_SIZE};
    for (int i = 0; i < columns; i++) {
        struct slice value = db_slice(stmt, i);
        lengths[i] = value.len;
        pieces[count++] = (struct slice){(const char *)&lengths[i], sizeof lengths[i]};
        pieces[count++] = value;
    }
    return sha256_pieces(pieces, count, hash) < 0 ? err_no_memory(err) : 0;
}

static int hash_table(struct store_tx *tx, const struct derived_table *table, struct sha256 *hash, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    int r = tx_prepare(tx, table->sql, &stmt, err);
    if (r < 0) return r;
    r = sha256_pieces((struct slice[]){{(const char *)hash->bytes, SHA256_SIZE}, slice_of(table->sql)}, 2, hash);
    if (r < 0) return err_no_memory(err);
    while ((r = tx_step(tx, stmt, err)) == DB_ROW) {
        r = hash_row(stmt, table->columns, hash, err);
        if (r < 0) return r;
    }
    return r;
}

static int hash_tables(void *arg, struct store_tx *tx, struct err *err) {
    struct sha256 *hash = arg;

    for (size_t i = 0; i < ARRAY_LEN(derived_tables); i++) {
        int r = hash_table(tx, &derived_tables[i], hash, err);
        if (r < 0) return r;
    }
    return 0;
}

int store_derived_hash(struct store *store, struct sha256 *ret, struct err *err) {
    struct sha256 hash = {0};

    int r = store_read(store, hash_tables, &hash, err);
    if (r == 0) *ret = hash;
    return r;
}

/* A store that is visited with an older schema has its derived tables made anew when it is migrated. */
static int find_difference(void *arg, struct store_tx *tx, struct err *err) {
    if (tx->store->schema < store_migration_count) return 0;
    for (size_t i = 0; i < ARRAY_LEN(differences); i++) {
        _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
        int r = tx_prepare(tx, differences[i].sql, &stmt, err);
        if (r == 0) r = tx_step(tx, stmt, err);
        if (r < 0) return r;
        long long rows = (long long)db_int(stmt, 0);
        if (!rows) continue;
        r = err_set(err, ERR_STORE_CORRUPT, "%lld rows of %s are not what the history says", rows,
                    differences[i].table);
        err_remedy(err, "Stop the server and run `serin rebuild`");
        return r;
    }
    return 0;
}

int store_derived_check(struct store *store, struct err *err) {
    return store_read(store, find_difference, NULL, err);
}
