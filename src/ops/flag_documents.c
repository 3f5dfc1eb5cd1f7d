/* SPDX-License-Identifier: Apache-2.0 */
/* All flags of an environment as one document of flagd's, out and in. What comes in is taken in one change, or nothing of it. */
#include "ops/flags_impl.h"

#include <string.h>

/* ---- out ---- */

static void write_part(struct jw *jw, const char *key, const struct flag_record *records, size_t count) {
    jw_object(jw, key);
    for (size_t i = 0; i < count; i++)
        jw_raw(jw, records[i].key, slice_of(records[i].content));
    jw_end_object(jw);
}

static void write_bindings(struct jw *jw, const struct flag_record *records, size_t count) {
    jw_object(jw, "bindings");
    for (size_t i = 0; i < count; i++)
        if (strcmp(records[i].bindings, "[]") != 0) jw_raw(jw, records[i].key, slice_of(records[i].bindings));
    jw_end_object(jw);
}

int op_flag_document_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct flag_record *flags = NULL, *rules = NULL, metadata;
    size_t flag_count = 0, rule_count = 0;
    int64_t seq = 0, newest = 0;
    int r = need_flag_environment(run, tx, err);
    if (r == 0) r = flag_moment(run, tx, "at", &seq, err);
    if (r == 0) r = flag_records(run, tx, FLAG_PART_FLAG, seq, &flags, &flag_count, err);
    if (r == 0) r = flag_records(run, tx, FLAG_PART_EVALUATOR, seq, &rules, &rule_count, err);
    if (r == 0) r = store_flags_seq(tx, run->environment, seq, &newest, err);
    if (r < 0) return r;
    r = store_flag_get(tx, run->environment, FLAG_PART_METADATA, "", seq, run->arena, &metadata, err);
    if (r < 0) return r;
    jw_object(jw, "document");
    if (rule_count) write_part(jw, "$evaluators", rules, rule_count);
    write_part(jw, "flags", flags, flag_count);
    if (r == 0) jw_raw(jw, "metadata", slice_of(metadata.content));
    jw_end_object(jw);
    write_bindings(jw, flags, flag_count);
    jw_int(jw, "seq", newest);
    return 0;
}

/* ---- in ---- */

/* So many flags are named in an error; all are counted. */
#define NAMED_MAX 10

struct records {
    struct flag_record *items;
    size_t count;
};

struct document_plan {
    struct records set, removed; /* of all parts */
    size_t unchanged;            /* flags of the document */
};

/* What is there, and what comes. */
struct import {
    struct op_run *run;
    struct flag_document document;
    struct records flags, rules;
    struct flag_record metadata; /* seq 0: none */
    struct document_plan *plan;
    bool replace;
};

static const struct flag_record *find(const struct records *records, const char *key) {
    for (size_t i = 0; i < records->count; i++)
        if (!strcmp(records->items[i].key, key)) return &records->items[i];
    return NULL;
}

static int text_of(struct import *import, const json_t *value, const char **ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (json_compact(value, &text) < 0) return err_no_memory(err);
    *ret = arena_strdup(import->run->arena, text.data);
    return *ret ? 0 : err_no_memory(err);
}

/* What the metadata stands under belongs to make_plan(), and the record outlives that. */
static struct flag_record new_record(const struct import *import, enum flag_part part, const char *key) {
    return (struct flag_record){.environment = import->run->environment,
                                .part = part,
                                .key = part == FLAG_PART_METADATA ? "" : key,
                                .content = "{}",
                                .bindings = "[]",
                                .reason = import->run->reason,
                                .created_by = run_by(import->run)};
}

/* One member of the document beside what is there. */
static int take(struct import *import, enum flag_part part, const char *key, const json_t *value,
                const struct flag_record *old, struct err *err) {
    struct flag_record record = new_record(import, part, key);
    const json_t *bindings = part == FLAG_PART_FLAG ? json_get(import->document.bindings, key) : NULL;
    int r = text_of(import, value, &record.content, err);
    if (old) record.bindings = old->bindings;
    if (r == 0 && bindings) r = text_of(import, bindings, &record.bindings, err);
    if (r < 0) return r;
    if (!old || strcmp(old->content, record.content) != 0 || strcmp(old->bindings, record.bindings) != 0)
        import->plan->set.items[import->plan->set.count++] = record;
    else if (part == FLAG_PART_FLAG)
        import->plan->unchanged++;
    return 0;
}

static int take_all(struct import *import, enum flag_part part, const json_t *values, const struct records *there,
                    struct err *err) {
    const char *key;
    json_t *value;
    int r = 0;
    json_object_foreach((json_t *)values, key, value) {
        if (r == 0) r = take(import, part, key, value, find(there, key), err);
    }
    return r;
}

static void remove_rest(struct import *import, const json_t *values, const struct records *there) {
    for (size_t i = 0; import->replace && i < there->count; i++) {
        if (json_get(values, there->items[i].key)) continue;
        struct flag_record *record = &import->plan->removed.items[import->plan->removed.count++];
        *record = there->items[i];
        record->reason = import->run->reason;
        record->created_by = run_by(import->run);
    }
}

static int make_plan(struct import *import, struct err *err) {
    struct op_run *run = import->run;
    struct document_plan *plan = import->plan;
    size_t set = json_object_size(import->document.flags) + json_object_size(import->document.evaluators) + 1,
           removed = import->flags.count + import->rules.count + 1;
    plan->set.items = arena_array(run->arena, set, sizeof(struct flag_record));
    plan->removed.items = arena_array(run->arena, removed, sizeof(struct flag_record));
    if (!plan->set.items || !plan->removed.items) return err_no_memory(err);
    struct records metadata = {&import->metadata, import->metadata.seq ? 1 : 0};
    _cleanup_(json_decrefp) json_t *whole =
        import->document.metadata ? json_pack("{s:O}", "", import->document.metadata) : json_object();
    if (!whole) return err_no_memory(err);
    int r = take_all(import, FLAG_PART_EVALUATOR, import->document.evaluators, &import->rules, err);
    if (r == 0) r = take_all(import, FLAG_PART_METADATA, whole, &metadata, err);
    if (r == 0) r = take_all(import, FLAG_PART_FLAG, import->document.flags, &import->flags, err);
    remove_rest(import, import->document.evaluators, &import->rules);
    remove_rest(import, whole, &metadata);
    remove_rest(import, import->document.flags, &import->flags);
    return r;
}

/* ---- what is in force afterwards must be in order ---- */

/* Rules that stay, and those of the document over them. A new reference. */
static int merged_rules(const struct import *import, json_t **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *rules = json_object();
    int r = rules ? 0 : err_no_memory(err);
    for (size_t i = 0; r == 0 && !import->replace && i < import->rules.count; i++) {
        json_t *rule = NULL;
        r = json_parse(import->rules.items[i].content, strlen(import->rules.items[i].content), JSON_DEPTH_MAX, &rule,
                       err);
        if (r == 0 && json_object_set_new(rules, import->rules.items[i].key, rule) < 0) r = err_no_memory(err);
    }
    const json_t *given = import->document.evaluators;
    if (r == 0 && json_is_object(given) && json_object_update(rules, (json_t *)given) < 0) r = err_no_memory(err);
    if (r == 0) *ret = TAKE_PTR(rules);
    return r;
}

static int refuse_broken(const struct str *names, size_t count, struct err *err) {
    if (names->failed) return err_no_memory(err);
    int r = err_set(err, ERR_CONFLICT, "%zu flag%s would stay and not go with these rules: %s%s", count,
                    count == 1 ? "" : "s", names->data, count > NAMED_MAX ? " and others" : "");
    err_at(err, "/document/$evaluators");
    err_remedy(err, "Import these flags too, with the rules that they then refer to");
    return r;
}

/* Flags that stay refer to rules that may be others now. */
static int check_staying(struct import *import, json_t *rules, struct err *err) {
    _cleanup_(str_deinit) struct str names = STR_INIT;
    struct flag_shared shared = {.evaluators = rules};
    size_t broken = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && !import->replace && i < import->flags.count; i++) {
        const struct flag_record *record = &import->flags.items[i];
        struct flag *flag = NULL;
        if (json_get(import->document.flags, record->key) || !strstr(record->content, "\"$ref\"")) continue;
        r = flag_of_record(record, &shared, &flag, err);
        if (r == 0 && !flag && broken++ < NAMED_MAX) str_printf(&names, "%s%s", names.len ? ", " : "", record->key);
        flag_unref(flag);
    }
    return r < 0 || !broken ? r : refuse_broken(&names, broken, err);
}

/* ---- what may not be meant ---- */

static int warn_record(struct import *import, struct store_tx *tx, const struct flag_record *record,
                       const struct flag_shared *shared, struct err *err) {
    _cleanup_(flag_unrefp) struct flag *flag = NULL;
    _cleanup_(str_deinit) struct str at = STR_INIT;
    if (record->part != FLAG_PART_FLAG || !json_get(import->document.bindings, record->key)) return 0;
    str_add_text(&at, "/bindings");
    json_pointer_add(&at, record->key);
    if (at.failed) return err_no_memory(err);
    int r = flag_of_record(record, shared, &flag, err);
    return r < 0 || !flag ? r : flag_warn(import->run, tx, flag, at.data, err);
}

static int warn_all(struct import *import, struct store_tx *tx, json_t *rules, struct err *err) {
    struct flag_shared shared = {.evaluators = rules};
    int r = 0;
    for (size_t i = 0; r == 0 && i < import->plan->set.count; i++)
        r = warn_record(import, tx, &import->plan->set.items[i], &shared, err);
    return r;
}

/* ---- the check ---- */

/* The document with all rules that it may refer to: every fault at once. */
static int read_document(struct import *import, json_t *rules, struct err *err) {
    struct op_run *run = import->run;
    const json_t *given = json_get(run->call->params, "document");
    _cleanup_(json_decrefp) json_t *whole = json_object();
    struct flag_document checked;
    if (!whole || json_object_update(whole, (json_t *)given) < 0) return err_no_memory(err);
    bool readable = !import->document.evaluators || json_is_object(import->document.evaluators);
    if (readable && json_object_size(rules) && json_object_set(whole, "$evaluators", rules) < 0)
        return err_no_memory(err);
    int r = flag_document_read(whole, json_get(run->call->params, "bindings"), "/document", &checked,
                               &run->call->faults, err);
    return r == -ERR_INVALID ? run_refuse_faults(run, "", err) : r;
}

static int check_sizes(struct import *import, struct err *err) {
    size_t flags = import->replace ? 0 : import->flags.count;
    for (size_t i = 0; i < import->plan->set.count; i++)
        flags += import->plan->set.items[i].part == FLAG_PART_FLAG &&
                 (import->replace || !find(&import->flags, import->plan->set.items[i].key));
    if (flags + (import->replace ? import->plan->unchanged : 0) <= FLAGS_MAX) return 0;
    return err_set(err, ERR_CONFLICT, "%s would have %zu flags; at most %d are taken", import->run->environment, flags,
                   FLAGS_MAX);
}

static int read_there(struct import *import, struct store_tx *tx, struct err *err) {
    struct op_run *run = import->run;
    int r = flag_records(run, tx, FLAG_PART_FLAG, 0, &import->flags.items, &import->flags.count, err);
    if (r == 0) r = flag_records(run, tx, FLAG_PART_EVALUATOR, 0, &import->rules.items, &import->rules.count, err);
    if (r < 0) return r;
    r = store_flag_get(tx, run->environment, FLAG_PART_METADATA, "", 0, run->arena, &import->metadata, err);
    if (r == STORE_NONE) import->metadata.seq = 0;
    return r < 0 ? r : 0;
}

int op_flag_document_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    const json_t *document = json_get(run->call->params, "document");
    _cleanup_(json_decrefp) json_t *rules = NULL;
    struct document_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    struct import import = {.run = run,
                            .plan = plan,
                            .replace = run_bool(run, "replace", false),
                            .document = {.flags = json_get(document, "flags"),
                                         .evaluators = json_get(document, "$evaluators"),
                                         .metadata = json_get(document, "metadata"),
                                         .bindings = json_get(run->call->params, "bindings")}};
    if (!plan) return -ERR_NO_MEMORY;
    int r = need_flag_change(run, tx, err);
    if (r == 0) r = read_there(&import, tx, err);
    if (r == 0) r = merged_rules(&import, &rules, err);
    if (r == 0)
        r = read_document(
            &import,
            json_is_object(json_get(document, "$evaluators")) || !json_get(document, "$evaluators") ? rules : NULL,
            err);
    if (r == 0) r = check_staying(&import, rules, err);
    if (r == 0) r = make_plan(&import, err);
    if (r == 0) r = check_sizes(&import, err);
    if (r == 0)
        r = flag_bound_check(run, import.replace ? NULL : import.flags.items, import.replace ? 0 : import.flags.count,
                             plan->set.items, plan->set.count, err);
    if (r == 0) r = warn_all(&import, tx, rules, err);
    if (r < 0) return r;
    run->unchanged = !plan->set.count && !plan->removed.count;
    return 0;
}

static int apply_all(struct op_run *run, struct store_tx *tx, struct records *records, bool remove, struct err *err) {
    int r = 0;
    for (size_t i = 0; i < records->count && r == 0; i++) {
        records->items[i].created_at = run->at;
        records->items[i].seq = run->position.seq;
        r = remove ? store_flag_remove(tx, &records->items[i], err) : store_flag_put(tx, &records->items[i], err);
    }
    return r;
}

int op_flag_document_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct document_plan *plan = run->plan;
    int r = apply_all(run, tx, &plan->removed, true, err);
    return r < 0 ? r : apply_all(run, tx, &plan->set, false, err);
}

static void write_keys(struct jw *jw, const char *key, const struct records *records) {
    jw_array(jw, key);
    for (size_t i = 0; i < records->count; i++)
        if (records->items[i].part == FLAG_PART_FLAG) jw_text(jw, NULL, records->items[i].key);
    jw_end_array(jw);
}

void op_flag_document_put_answer(struct op_run *run, struct jw *jw) {
    const struct document_plan *plan = run->plan;
    write_keys(jw, "set", &plan->set);
    write_keys(jw, "removed", &plan->removed);
    jw_int(jw, "unchanged", (int64_t)plan->unchanged);
    jw_bool(jw, "changed", !run->unchanged);
    write_faults(jw, "warnings", &run->call->faults, true);
}

void op_flag_document_put_detail(struct op_run *run, struct jw *jw) {
    const struct document_plan *plan = run->plan;
    write_keys(jw, "set", &plan->set);
    write_keys(jw, "removed", &plan->removed);
}
