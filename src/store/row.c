/* SPDX-License-Identifier: Apache-2.0 */
/* Statements inside a transaction, and rows on their way into records. */
#include "store/store_impl.h"

#include <string.h>

static int note(struct store_tx *tx, int r) {
    if (r < 0 && !tx->failed) tx->failed = r;
    return r;
}

int tx_prepare(struct store_tx *tx, const char *sql, struct db_stmt **ret, struct err *err) {
    return note(tx, db_prepare(tx->db, sql, ret, err));
}

int tx_step(struct store_tx *tx, struct db_stmt *stmt, struct err *err) {
    return note(tx, db_step(stmt, err));
}

int64_t row_int(struct row *row) {
    return db_int(row->stmt, row->column++);
}

struct slice row_slice(struct row *row) {
    struct slice slice = db_slice(row->stmt, row->column++);

    if (!slice.ptr) return (struct slice){NULL, 0};
    char *copy = arena_strndup(row->arena, slice.ptr, slice.len);
    if (!copy && !row->failed) row->failed = -ERR_NO_MEMORY;
    return copy ? (struct slice){copy, slice.len} : (struct slice){NULL, 0};
}

const char *row_text(struct row *row) {
    return row_slice(row).ptr;
}

struct sha256 row_hash(struct row *row) {
    struct slice slice = db_slice(row->stmt, row->column++);
    struct sha256 hash = {0};

    if ((slice.len != HEX_SIZE - 1 || !hex_decode(slice.ptr, slice.len, hash.bytes)) && !row->failed)
        row->failed = -ERR_STORE_CORRUPT;
    return hash;
}

int row_end(const struct row *row, struct err *err) {
    if (row->failed == -ERR_STORE_CORRUPT)
        return err_set(err, ERR_STORE_CORRUPT, "a row of the store holds a value that was never written there");
    return row->failed ? err_no_memory(err) : 0;
}

int tx_one(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, struct arena *arena, void *ret,
           struct err *err) {
    int r = tx_step(tx, stmt, err);
    if (r <= 0) return r < 0 ? r : STORE_NONE;
    return reader(stmt, arena, ret, err);
}

static int list_grow(struct row_list *list, size_t size, struct arena *arena, struct err *err) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    void *items = arena_array(arena, capacity, size);

    if (!items) return err_no_memory(err);
    if (list->count) memcpy(items, list->items, list->count * size);
    list->items = items;
    list->capacity = capacity;
    return 0;
}

int tx_all(struct store_tx *tx, struct db_stmt *stmt, row_reader reader, size_t size, struct arena *arena,
           struct row_list *ret, struct err *err) {
    struct row_list list = {0};
    int r;

    while ((r = tx_step(tx, stmt, err)) == DB_ROW) {
        if (list.count == list.capacity && (r = list_grow(&list, size, arena, err)) < 0) return r;
        r = reader(stmt, arena, (char *)list.items + list.count * size, err);
        if (r < 0) return r;
        list.count++;
    }
    if (r == 0) *ret = list;
    return r;
}
