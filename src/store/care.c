/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a whole: visited without its lock, copied while it is written, held to what it must be. */
#include "store/store_impl.h"

#include "model/audit.h"

#include <string.h>

/* ---- visiting ---- */

static int look(void *arg, struct store_tx *tx, struct err *err) {
    struct store *store = arg;

    int r = store_schema_look(tx, &store->schema, err);
    if (r < 0 && err && !*err->at) err_at(err, "%s", store->url);
    store->schema_from = store->schema;
    return r;
}

/* Open for reading from the start: each reader finds out for itself whether there is something. */
static int visitor_new(const struct store_options *options, enum db_mode mode, struct store **ret, struct err *err) {
    int r = store_new(options, ret, err);
    if (r < 0) return r;
    (*ret)->reading = mode;
    (*ret)->state = STORE_OPEN;
    return 0;
}

int store_visit(const struct store_options *options, enum store_visit visit, struct store **ret, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;

    int r = visitor_new(options, visit == STORE_SHARED ? DB_READER : DB_VISITOR, &store, err);
    if (r < 0) return r;
    r = store_read(store, look, store, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(store);
    return 0;
}

static int read_moment(struct store_tx *tx, struct store_moment *ret, struct err *err) {
    struct head head;

    int r = tx_read_head(tx->db, "SELECT epoch, seq, at, audit_hash FROM head WHERE id = 1", &head, err);
    if (r == 0) *ret = (struct store_moment){head.position, head.at, head.audit_hash};
    return r;
}

static int peek(void *arg, struct store_tx *tx, struct err *err) {
    return read_moment(tx, arg, err);
}

int store_peek(const struct store_options *options, struct store_moment *ret, struct err *err) {
    _cleanup_(store_closep) struct store *store = NULL;

    int r = visitor_new(options, DB_VISITOR, &store, err);
    return r < 0 ? r : store_read(store, peek, ret, err);
}

/* ---- copying ---- */

struct backup {
    const char *path;
    const struct db_watch *watch;
    struct store_moment *moment;
};

/* Reading the head first is what fixes the moment that is copied. */
static int backup(void *arg, struct store_tx *tx, struct err *err) {
    const struct backup *backup = arg;

    int r = read_moment(tx, backup->moment, err);
    return r < 0 ? r : db_backup(tx->db, backup->path, backup->watch, err);
}

int store_backup(struct store *store, const char *path, const struct db_watch *watch, struct store_moment *ret,
                 struct err *err) {
    struct backup job = {path, watch, ret};
    return store_read(store, backup, &job, err);
}

/* ---- verifying ---- */

#define PAGE 1000

struct walked {
    struct audit_chain chain;
    int64_t at; /* of the entry read last */
};

static int walk_page(struct store_tx *tx, const struct store_walk *walk, struct walked *walked, size_t *ret_count,
                     struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct audit_entry *entries;

    int r = store_audit(tx, walked->chain.position.seq, PAGE, &arena, &entries, ret_count, err);
    for (size_t i = 0; r == 0 && i < *ret_count; i++) {
        r = audit_chain_add(&walked->chain, &entries[i], err);
        walked->at = entries[i].at;
        if (r == 0 && walk->each) walk->each(walk->ctx, &walked->chain);
    }
    return r;
}

/* The entry from which the newest STORE_TAIL ones go on. */
static int start_at_tail(struct store_tx *tx, const struct store_moment *moment, struct audit_chain *ret,
                         struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct audit_entry *entry;
    size_t count;
    int64_t first = moment->position.seq - STORE_TAIL;

    if (first < 1) return 0;
    int r = store_audit(tx, first - 1, 1, &arena, &entry, &count, err);
    if (r == 0 && count) *ret = (struct audit_chain){entry->position, entry->hash, 0};
    return r;
}

static int check_end(const struct walked *walked, const struct store_moment *head, struct err *err) {
    char at[POSITION_TEXT_SIZE];

    position_text(head->position, at);
    int order = position_compare(walked->chain.position, head->position);
    if (order < 0) return audit_broken(err, at, "entries are missing at its end, for the store's head is there");
    if (order > 0) return audit_broken(err, at, "it goes on behind the store's head");
    if (memcmp(&walked->chain.hash, &head->audit_hash, SHA256_SIZE) != 0)
        return audit_broken(err, at, "its newest entry is not the one that the store's head names");
    if (walked->at != head->at) return audit_broken(err, at, "its newest entry and the store's head differ in time");
    return 0;
}

int store_audit_walk(struct store_tx *tx, const struct store_walk *walk, struct audit_chain *ret, struct err *err) {
    struct walked walked = {0};
    struct store_moment head = {0};
    size_t count = 1;

    int r = read_moment(tx, &head, err);
    if (r < 0) return r;
    /* Before the first change there is nothing to walk. */
    if (!head.position.seq) walked = (struct walked){{head.position, head.audit_hash, 0}, head.at};
    if (walk->tail) r = start_at_tail(tx, &head, &walked.chain, err);
    while (r == 0 && count) {
        r = walk_page(tx, walk, &walked, &count, err);
        if (r == 0 && walk->watch)
            r = walk->watch->step(walk->watch->ctx, walked.chain.position.seq, head.position.seq, err);
    }
    if (r == 0) r = check_end(&walked, &head, err);
    if (r == 0) *ret = walked.chain;
    return r;
}

struct verify {
    bool quick;
    const struct db_watch *watch;
    struct store_moment *moment;
};

static int verify(void *arg, struct store_tx *tx, struct err *err) {
    const struct verify *job = arg;

    int r = db_check(tx->db, job->quick, job->watch, err);
    if (r == 0) r = read_moment(tx, job->moment, err);
    if (r < 0) return r;
    struct store_walk walk = {.tail = job->quick, .watch = job->watch};
    struct audit_chain chain;
    return store_audit_walk(tx, &walk, &chain, err);
}

int store_verify(struct store *store, bool quick, const struct db_watch *watch, struct store_moment *ret,
                 struct err *err) {
    struct verify job = {quick, watch, ret};
    return store_read(store, verify, &job, err);
}
