/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions and the objects they name. A configuration is kept once for each content hash; versions of one agent, or of
 * several, that were pushed with the same content share it.
 */
#include "store/store_impl.h"

#include <string.h>

#define VERSION_COLUMNS                                                                                                \
    "v.agent, v.number, v.content_hash, o.config_hash, o.size, v.description, v.source, v.parent, v.created_by, "      \
    "v.created_at, v.seq"
#define VERSION_TABLES " FROM versions v JOIN objects o ON o.content_hash = v.content_hash "

static struct version version_columns(struct row *row) {
    struct version version = {.agent = row_text(row)};

    version.number = row_int(row);
    version.content_hash = row_hash(row);
    version.config_hash = row_hash(row);
    version.size = row_int(row);
    version.description = row_text(row);
    version.source = row_text(row);
    version.parent = row_int(row);
    version.created_by = row_text(row);
    version.created_at = row_int(row);
    version.seq = row_int(row);
    return version;
}

static int read_version(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);

    *(struct version *)ret = version_columns(&row);
    return row_end(&row, err);
}

static int read_version_with_config(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct row row = ROW_INIT(stmt, arena);
    struct version version = version_columns(&row);

    version.config = row_slice(&row);
    *(struct version *)ret = version;
    return row_end(&row, err);
}

int store_version_get(struct store_tx *tx, const char *agent, int64_t number, bool with_config, struct arena *arena,
                      struct version *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    static const char bare[] =
        "SELECT " VERSION_COLUMNS VERSION_TABLES "WHERE v.agent = $1 AND v.number <= $2 ORDER BY v.number DESC LIMIT 1";
    static const char full[] = "SELECT " VERSION_COLUMNS ", o.config" VERSION_TABLES
                               "WHERE v.agent = $1 AND v.number <= $2 ORDER BY v.number DESC LIMIT 1";

    int r = tx_prepare(tx, with_config ? full : bare, &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_int(stmt, 2, number ? number : INT64_MAX);
    struct version version;
    r = tx_one(tx, stmt, with_config ? read_version_with_config : read_version, arena, &version, err);
    if (r != 0) return r;
    if (number && version.number != number) return STORE_NONE;
    *ret = version;
    return 0;
}

struct hash_match {
    bool any, several;
    int64_t newest;
};

static int read_match(struct db_stmt *stmt, struct arena *arena, void *ret, struct err *err) {
    struct slice first = db_slice(stmt, 0), last = db_slice(stmt, 1);

    *(struct hash_match *)ret =
        (struct hash_match){.any = first.ptr != NULL, .several = !slice_equal(first, last), .newest = db_int(stmt, 2)};
    return 0;
}

int store_version_by_hash(struct store_tx *tx, const char *agent, const char *hex, struct arena *arena,
                          struct version *ret, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct hash_match match;
    size_t len = strlen(hex);
    char end[HEX_SIZE + 1];

    if (len < 8 || len >= HEX_SIZE || strspn(hex, "0123456789abcdef") != len) return STORE_NONE;
    memcpy(end, hex, len);
    memcpy(end + len, "g", 2); /* follows every longer text of hex digits */
    int r = tx_prepare(tx,
                       "SELECT min(content_hash), max(content_hash), max(number) FROM versions "
                       "WHERE agent = $1 AND content_hash >= $2 AND content_hash < $3",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_text(stmt, 2, hex);
    db_bind_text(stmt, 3, end);
    r = tx_one(tx, stmt, read_match, NULL, &match, err);
    if (r != 0) return r;
    if (!match.any) return STORE_NONE;
    if (match.several) return STORE_AMBIGUOUS;
    return store_version_get(tx, agent, match.newest, false, arena, ret, err);
}

int store_versions(struct store_tx *tx, const char *agent, int64_t before, size_t limit, struct arena *arena,
                   struct version **ret, size_t *ret_count, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    struct row_list list;

    int r = tx_prepare(tx,
                       "SELECT " VERSION_COLUMNS VERSION_TABLES
                       "WHERE v.agent = $1 AND v.number < $2 ORDER BY v.number DESC LIMIT $3",
                       &stmt, err);
    if (r < 0) return r;
    db_bind_text(stmt, 1, agent);
    db_bind_int(stmt, 2, before ? before : INT64_MAX);
    db_bind_int(stmt, 3, (int64_t)limit);
    r = tx_all(tx, stmt, read_version, sizeof **ret, arena, &list, err);
    if (r < 0) return r;
    *ret = list.items;
    *ret_count = list.count;
    return 0;
}

/* Moves agents_now.latest from number - 1 to number: the check and the write are one statement. */
static int take_number(struct store_tx *tx, const struct version *version, struct err *err) {
    int r = tx_write(
        tx, "UPDATE agents_now SET latest = $1, seq = $2 WHERE name = $3 AND latest = $4 RETURNING latest",
        PARAMS(P_INT(version->number), P_INT(version->seq), P_TEXT(version->agent), P_INT(version->number - 1)), err);
    if (r != 0) return r < 0 ? r : 0;
    return err_set(err, ERR_CONFLICT, "version %lld of %s is not the next one", (long long)version->number,
                   version->agent);
}

int store_version_add(struct store_tx *tx, const struct version *version, struct err *err) {
    int r = take_number(tx, version, err);
    if (r < 0) return r;
    r = tx_write(tx,
                 "INSERT INTO objects (content_hash, config_hash, size, config) VALUES ($1, $2, $3, $4) "
                 "ON CONFLICT (content_hash) DO NOTHING",
                 PARAMS(P_HASH(&version->content_hash), P_HASH(&version->config_hash),
                        P_INT((int64_t)version->config.len), P_SLICE(version->config)),
                 err);
    if (r < 0) return r;
    return tx_write(tx,
                    "INSERT INTO versions (agent, number, content_hash, description, source, parent, created_by, "
                    "created_at, seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                    PARAMS(P_TEXT(version->agent), P_INT(version->number), P_HASH(&version->content_hash),
                           P_TEXT(version->description), P_TEXT(version->source), P_INT(version->parent),
                           P_TEXT(version->created_by), P_INT(version->created_at), P_INT(version->seq)),
                    err);
}
