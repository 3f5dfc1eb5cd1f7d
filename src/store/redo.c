/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing statements, and the notes by which they can be done again.
 *
 * Neighbours in one transaction must not suffer when one of them fails after it wrote. Savepoints would do, but every job pays for them
 * (SQLite copies each page before its first change, PostgreSQL takes two more round trips), and jobs that fail so late are
 * rare. Instead each writing statement is noted with its values; to undo one job, the transaction is rolled back and the notes of
 * the others are carried out once more. They run in the same order over the same state under the same lock, so they do the same; where one
 * answers otherwise, nothing is committed.
 */
#include "store/store_impl.h"

#include <string.h>

struct redo_entry {
    const char *sql;
    bool plain; /* for db_exec(): several statements, no values */
    int result;
    struct redo_entry *next;
    size_t count;
    struct param params[];
};

void redo_init(struct redo *redo) {
    *redo = (struct redo){.arena = ARENA_INIT};
    redo->end = &redo->first;
}

void redo_deinit(struct redo *redo) {
    arena_deinit(&redo->arena);
}

struct redo_entry **redo_mark(struct redo *redo) {
    return redo->end;
}

void redo_cut(struct redo *redo, struct redo_entry **mark) {
    *mark = NULL;
    redo->end = mark;
}

/* The values are copied: what a callback binds may be gone when it returns. */
static bool copy_param(struct arena *arena, const struct param *from, struct param *to) {
    *to = *from;
    if (from->hash) {
        char *hex = arena_alloc(arena, HEX_SIZE);
        if (hex) hex_encode(from->hash->bytes, SHA256_SIZE, hex);
        to->hash = NULL;
        to->text = (struct slice){hex, HEX_SIZE - 1};
        return hex != NULL;
    }
    if (!from->text.ptr) return true;
    to->text.ptr = arena_strndup(arena, from->text.ptr, from->text.len);
    return to->text.ptr != NULL;
}

static struct redo_entry *redo_add(struct redo *redo, const char *sql, const struct param *params, size_t count) {
    struct redo_entry *entry = arena_alloc(&redo->arena, sizeof *entry + count * sizeof(struct param));

    if (!entry) return NULL;
    *entry = (struct redo_entry){.sql = sql, .count = count};
    for (size_t i = 0; i < count; i++)
        if (!copy_param(&redo->arena, &params[i], &entry->params[i])) return NULL;
    *redo->end = entry;
    redo->end = &entry->next;
    return entry;
}

static int entry_run(struct db *db, const struct redo_entry *entry, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;

    if (entry->plain) return db_exec(db, entry->sql, err);
    int r = db_prepare(db, entry->sql, &stmt, err);
    if (r < 0) return r;
    for (size_t i = 0; i < entry->count; i++) {
        const struct param *param = &entry->params[i];
        if (!param->is_text)
            db_bind_int(stmt, (int)i + 1, param->number);
        else if (param->is_bytes)
            db_bind_bytes(stmt, (int)i + 1, param->text);
        else if (param->text.ptr)
            db_bind_slice(stmt, (int)i + 1, param->text);
        else
            db_bind_null(stmt, (int)i + 1);
    }
    return db_step(stmt, err);
}

int redo_run(const struct redo *redo, struct db *db, struct err *err) {
    for (const struct redo_entry *entry = redo->first; entry; entry = entry->next) {
        int r = entry_run(db, entry, err);
        if (r < 0) return r;
        if (r != entry->result)
            return err_set(err, ERR_INTERNAL, "a statement did something else when it was done again");
    }
    return 0;
}

static int may_write(const struct store_tx *tx, struct err *err) {
    if (!tx->redo) return err_set(err, ERR_INTERNAL, "a reader wanted to write");
    if (!tx->advanced && !tx->record) return err_set(err, ERR_INTERNAL, "a change took no position before it wrote");
    return 0;
}

static int write_entry(struct store_tx *tx, struct redo_entry *entry, struct err *err) {
    if (!entry) return err_no_memory(err);
    entry->result = entry_run(tx->db, entry, err);
    if (entry->result < 0 && !tx->failed) tx->failed = entry->result;
    return entry->result;
}

int tx_write(struct store_tx *tx, const char *sql, const struct param *params, size_t count, struct err *err) {
    int r = may_write(tx, err);
    if (r < 0) return r;
    return write_entry(tx, redo_add(tx->redo, sql, params, count), err);
}

int tx_write_plain(struct store_tx *tx, const char *sql, struct err *err) {
    int r = may_write(tx, err);
    if (r < 0) return r;
    struct redo_entry *entry = redo_add(tx->redo, sql, NULL, 0);
    if (entry) entry->plain = true;
    return write_entry(tx, entry, err);
}
