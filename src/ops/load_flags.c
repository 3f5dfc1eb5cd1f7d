/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to the flags of a snapshot, as load.c does it for entries. What flags share is rare to change; when it does, all of them are made anew. */
#include "ops/live.h"
#include "snapshot/flags.h"
#include "store/flags.h"

#define PAGE 1000

struct loading {
    struct store_tx *tx;
    struct snapshot_edit *edit;
    const char *environment;
    int64_t seq; /* as of it; 0 = now */
    struct arena arena;
};

static int put(struct loading *loading, const struct snapshot_flags_spec *spec, struct err *err) {
    size_t left_out; /* by an older program than the one that set them: as if there were none */
    return snapshot_edit_flags(loading->edit, spec, &left_out, err);
}

static struct snapshot_flag_spec spec_of(const struct flag_record *record) {
    return (struct snapshot_flag_spec){record->key, record->removed ? NULL : record->content, record->bindings,
                                       record->seq};
}

/* All records of a part, page by page. */
static int read_part(struct loading *loading, enum flag_part part,
                     int (*take)(struct loading *loading, void *ctx, const struct flag_record *record), void *ctx,
                     struct err *err) {
    struct store_flags_query query = {loading->environment, part, loading->seq, "", PAGE};
    struct flag_record *records;
    size_t count = PAGE;
    int r = 0;
    while (r == 0 && count == PAGE) {
        r = store_flags(loading->tx, &query, &loading->arena, &records, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++)
            r = take(loading, ctx, &records[i]);
        if (r == 0 && count) query.after = records[count - 1].key;
    }
    return r;
}

static int add_evaluator(struct loading *loading, void *ctx, const struct flag_record *record) {
    struct jw *jw = ctx;
    jw_raw(jw, record->key, slice_of(record->content));
    return 0;
}

struct flag_specs {
    struct snapshot_flag_spec *items;
    size_t count, capacity;
};

static int add_flag(struct loading *loading, void *ctx, const struct flag_record *record) {
    struct flag_specs *specs = ctx;
    if (specs->count == specs->capacity) {
        size_t capacity = specs->capacity ? 2 * specs->capacity : PAGE;
        struct snapshot_flag_spec *grown = realloc(specs->items, capacity * sizeof(*grown));
        if (!grown) return -ERR_NO_MEMORY;
        specs->items = grown;
        specs->capacity = capacity;
    }
    specs->items[specs->count++] = spec_of(record);
    return 0;
}

static int read_metadata(struct loading *loading, const char **ret, struct err *err) {
    struct flag_record record;
    int r = store_flag_get(loading->tx, loading->environment, FLAG_PART_METADATA, "", loading->seq, &loading->arena,
                           &record, err);
    *ret = r == 0 ? record.content : "{}";
    return r < 0 ? r : 0;
}

/* `removed` are flags that the edit may have and that are none any more. */
static int load_whole(struct loading *loading, int64_t newest, const struct flag_specs *removed, struct err *err) {
    _cleanup_(str_deinit) struct str evaluators = STR_INIT;
    struct jw jw = JW_INIT(&evaluators);
    struct flag_specs specs = {0};
    struct snapshot_flags_spec spec = {.environment = loading->environment, .seq = newest};
    jw_object(&jw, NULL);
    int r = read_part(loading, FLAG_PART_EVALUATOR, add_evaluator, &jw, err);
    jw_end_object(&jw);
    if (r == 0) r = read_metadata(loading, &spec.metadata, err);
    for (size_t i = 0; removed && r == 0 && i < removed->count; i++)
        r = add_flag(loading, &specs, &(struct flag_record){.key = removed->items[i].key, .removed = true});
    if (r == 0) r = read_part(loading, FLAG_PART_FLAG, add_flag, &specs, err);
    if (r == -ERR_NO_MEMORY || evaluators.failed) r = err_no_memory(err);
    spec.evaluators = evaluators.data;
    spec.flags = specs.items;
    spec.count = specs.count;
    if (r == 0) r = put(loading, &spec, err);
    free(specs.items);
    return r;
}

int live_load_flags(struct store_tx *tx, struct snapshot_edit *edit, const char *environment, int64_t seq,
                    struct err *err) {
    struct loading loading = {tx, edit, environment, seq, ARENA_INIT};
    int64_t newest;
    int r = store_flags_seq(tx, environment, seq, &newest, err);
    if (r == 0 && newest) r = load_whole(&loading, newest, NULL, err);
    arena_deinit(&loading.arena);
    return r;
}

static int follow(struct loading *loading, const struct flag_record *records, size_t count, int64_t newest,
                  struct err *err) {
    struct flag_specs specs = {0};
    bool shared = false;
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        shared |= records[i].part != FLAG_PART_FLAG;
        if (records[i].part == FLAG_PART_FLAG) r = add_flag(loading, &specs, &records[i]);
    }
    if (r < 0) r = err_no_memory(err);
    struct snapshot_flags_spec spec = {
        .environment = loading->environment, .seq = newest, .flags = specs.items, .count = specs.count};
    if (r == 0) r = shared ? load_whole(loading, newest, &specs, err) : put(loading, &spec, err);
    free(specs.items);
    return r;
}

int live_follow_flags(struct store_tx *tx, struct snapshot_edit *edit, const char *environment, int64_t after,
                      int64_t last, struct err *err) {
    struct loading loading = {tx, edit, environment, last, ARENA_INIT};
    struct flag_record *records;
    size_t count;
    int64_t newest;
    int r = store_flags_changed(tx, environment, after, last, &loading.arena, &records, &count, err);
    if (r == 0) r = store_flags_seq(tx, environment, last, &newest, err);
    if (r == 0 && count) r = follow(&loading, records, count, newest, err);
    arena_deinit(&loading.arena);
    return r;
}
