/* SPDX-License-Identifier: Apache-2.0 */
/* Flags, one by one. */
#include "ops/flags_impl.h"
#include "ops/page.h"

#include <string.h>

/* ---- reading ---- */

int no_flag(struct op_run *run, struct err *err) {
    int r = err_set(err, ERR_NOT_FOUND, "%s has no flag \"%s\"", run->environment, run_text(run, "flag"));
    err_at(err, "flag");
    err_remedy(err, "`serin flag list -e %s` lists them", run->environment);
    return r;
}

static int find_flag(struct op_run *run, struct store_tx *tx, int64_t seq, struct flag_record *ret, struct err *err) {
    int r = store_flag_get(tx, run->environment, FLAG_PART_FLAG, run_text(run, "flag"), seq, run->arena, ret, err);
    return r == STORE_NONE ? no_flag(run, err) : r;
}

static int write_record(struct jw *jw, const char *key, const struct flag_record *record,
                        const struct flag_shared *shared, bool with_definition, struct err *err) {
    _cleanup_(flag_unrefp) struct flag *flag = NULL;
    int r = flag_of_record(record, shared, &flag, err);
    if (r == 0) write_flag(jw, key, record, flag, with_definition);
    return r;
}

static int write_members(struct jw *jw, const struct flag_record *record, const struct flag_shared *shared,
                         struct err *err) {
    _cleanup_(flag_unrefp) struct flag *flag = NULL;
    int r = flag_of_record(record, shared, &flag, err);
    if (r == 0) write_flag_members(jw, record, flag, true);
    return r;
}

int op_flag_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    _cleanup_(flag_shared_deinit) struct flag_shared shared = {0};
    struct flag_record record;
    int64_t seq = 0;
    int r = need_flag_environment(run, tx, err);
    if (r == 0) r = flag_moment(run, tx, "at", &seq, err);
    if (r == 0) r = find_flag(run, tx, seq, &record, err);
    if (r == 0) r = flag_shared_read(run, tx, seq, &shared, err);
    return r < 0 ? r : write_members(jw, &record, &shared, err);
}

int op_flag_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    _cleanup_(flag_shared_deinit) struct flag_shared shared = {0};
    size_t count = 0, limit = page_limit(run);
    struct flag_record *records = NULL;
    int64_t seq = 0;
    int r = need_flag_environment(run, tx, err);
    if (r == 0) r = flag_moment(run, tx, "at", &seq, err);
    if (r < 0) return r;
    struct store_flags_query query = {run->environment, FLAG_PART_FLAG, seq, run_text_or(run, "after", ""), limit + 1};
    r = store_flags(tx, &query, run->arena, &records, &count, err);
    if (r == 0) r = flag_shared_read(run, tx, seq, &shared, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "flags");
    for (size_t i = 0; i < shown && r == 0; i++)
        r = write_record(jw, NULL, &records[i], &shared, false, err);
    jw_end_array(jw);
    if (count > shown) jw_text(jw, "next", records[shown - 1].key);
    return r;
}

int op_flag_history_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    _cleanup_(flag_shared_deinit) struct flag_shared shared = {0};
    size_t count = 0, limit = page_limit(run);
    struct flag_record *records = NULL;
    int r = need_flag_environment(run, tx, err);
    if (r == 0)
        r = store_flag_history(tx, run->environment, run_text(run, "flag"), run_int(run, "before", 0), limit + 1,
                               run->arena, &records, &count, err);
    if (r == 0) r = flag_shared_read(run, tx, 0, &shared, err);
    if (r == 0 && !count && !run_int(run, "before", 0)) r = no_flag(run, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "entries");
    for (size_t i = 0; i < shown && r == 0; i++) {
        jw_object(jw, NULL);
        jw_bool(jw, "removed", records[i].removed);
        r = write_record(jw, "flag", &records[i], &shared, true, err);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", records[shown - 1].seq);
    return r;
}

/* ---- changing ---- */

struct flag_plan {
    struct flag_record record;
    const char *summary; /* NULL: not made */
};

/* A plan outlives check; what it parsed is kept as text in the run's arena. */
static struct flag_plan *new_plan(struct op_run *run, struct err *err) {
    return run->plan = run_alloc(run, sizeof(struct flag_plan), err);
}

static int keep(struct op_run *run, struct slice text, const char **ret, struct err *err) {
    *ret = arena_strndup(run->arena, text.ptr, text.len);
    return *ret ? 0 : err_no_memory(err);
}

static int check_expected(struct op_run *run, const struct flag_record *old, struct err *err) {
    int64_t expected = run_int(run, "expected", -1);
    if (expected < 0 || expected == old->seq) return 0;
    if (!old->seq) return run_stale(run, 0, err, "there is no flag %s in %s", run_text(run, "flag"), run->environment);
    return run_stale(run, old->seq, err, "%s was changed at %lld since", run_text(run, "flag"), (long long)old->seq);
}

static int check_room(struct op_run *run, struct store_tx *tx, struct err *err) {
    int64_t count;
    int r = store_flag_count(tx, run->environment, FLAG_PART_FLAG, &count, err);
    if (r < 0 || count < FLAGS_MAX) return r;
    return err_set(err, ERR_CONFLICT, "%s has %d flags already, as many as there may be", run->environment, FLAGS_MAX);
}

static int keep_summary(struct op_run *run, const struct flag *flag, const char **ret, struct err *err) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    flag_words(flag, &words);
    return words.failed ? err_no_memory(err) : keep(run, str_slice(&words), ret, err);
}

/* The flag as it is wished: the record's content and bindings. */
static int compile(struct op_run *run, struct store_tx *tx, const json_t *bindings, struct flag_plan *plan,
                   struct err *err) {
    _cleanup_(flag_shared_deinit) struct flag_shared shared = {0};
    _cleanup_(flag_unrefp) struct flag *flag = NULL;
    struct faults *faults = &run->call->faults;
    int r = flag_shared_read(run, tx, 0, &shared, err);
    if (r < 0) return r;
    struct flag_source source = {.key = run_text(run, "flag"),
                                 .definition = json_get(run->call->params, "definition"),
                                 .bindings = bindings,
                                 .at = "/definition",
                                 .bindings_at = "/bindings",
                                 .evaluators = shared.evaluators,
                                 .metadata = shared.metadata};
    r = flag_new(&source, &flag, faults, err);
    if (r == -ERR_INVALID) return run_refuse_faults(run, "", err);
    if (r == 0) r = keep(run, flag->definition, &plan->record.content, err);
    if (r == 0) r = keep(run, flag->bound, &plan->record.bindings, err);
    if (r == 0) r = keep_summary(run, flag, &plan->summary, err);
    return r < 0 ? r : flag_warn(run, tx, flag, "/bindings", err);
}

static int check_bound(struct op_run *run, struct store_tx *tx, const struct flag_record *record, struct err *err) {
    struct flag_record *others;
    size_t count;
    if (!strcmp(record->bindings, "[]")) return 0;
    int r = flag_records(run, tx, FLAG_PART_FLAG, 0, &others, &count, err);
    return r < 0 ? r : flag_bound_check(run, others, count, record, 1, err);
}

static void fill_record(struct op_run *run, struct flag_record *record) {
    record->environment = run->environment;
    record->part = FLAG_PART_FLAG;
    record->key = run_text(run, "flag");
    record->reason = run->reason;
    record->created_by = run_by(run);
    record->created_at = clock_wall(run->ops->clock);
}

/* The bindings that are wished, or those that are there. */
static int wished_bindings(struct op_run *run, const struct flag_record *old, json_t **ret, struct err *err) {
    const json_t *wished = json_get(run->call->params, "bindings");
    if (wished) {
        *ret = json_incref((json_t *)wished);
        return 0;
    }
    const char *text = old->seq ? old->bindings : "[]";
    return json_parse(text, strlen(text), JSON_DEPTH_MAX, ret, err);
}

static bool same(const struct flag_record *a, const struct flag_record *b) {
    return slice_equal(slice_of(a->content), slice_of(b->content)) &&
           slice_equal(slice_of(a->bindings), slice_of(b->bindings));
}

int op_flag_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    _cleanup_(json_decrefp) json_t *bindings = NULL;
    struct flag_record old = {0};
    struct flag_plan *plan = new_plan(run, err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = need_flag_change(run, tx, err);
    if (r < 0) return r;
    r = store_flag_get(tx, run->environment, FLAG_PART_FLAG, run_text(run, "flag"), 0, run->arena, &old, err);
    if (r < 0) return r;
    run->created = r == STORE_NONE;
    if (run->created) old = (struct flag_record){0};
    r = check_expected(run, &old, err);
    if (r == 0 && run->created) r = check_room(run, tx, err);
    if (r == 0) r = wished_bindings(run, &old, &bindings, err);
    if (r == 0) r = compile(run, tx, bindings, plan, err);
    fill_record(run, &plan->record);
    if (r == 0) r = check_bound(run, tx, &plan->record, err);
    if (r < 0) return r;
    run->unchanged = !run->created && same(&old, &plan->record);
    if (run->unchanged) plan->record = old;
    return 0;
}

static int apply(struct op_run *run, struct store_tx *tx, bool remove, struct err *err) {
    struct flag_record *record = &((struct flag_plan *)run->plan)->record;
    record->created_at = run->at;
    record->seq = run->position.seq;
    return remove ? store_flag_remove(tx, record, err) : store_flag_put(tx, record, err);
}

int op_flag_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply(run, tx, false, err);
}

void op_flag_put_answer(struct op_run *run, struct jw *jw) {
    const struct flag_plan *plan = run->plan;
    jw_object(jw, "flag");
    write_flag_members(jw, &plan->record, NULL, true);
    if (plan->summary) jw_text(jw, "summary", plan->summary);
    jw_end_object(jw);
    jw_bool(jw, "changed", !run->unchanged);
    write_faults(jw, "warnings", &run->call->faults, true);
}

static void write_detail(struct op_run *run, const char *what, struct jw *jw) {
    const struct flag_record *record = &((struct flag_plan *)run->plan)->record;
    jw_text(jw, "flag", record->key);
    jw_bool(jw, what, true);
    if (strcmp(what, "set") != 0) return;
    jw_raw(jw, "definition", slice_of(record->content));
    jw_raw(jw, "bindings", slice_of(record->bindings));
}

void op_flag_put_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, "set", jw);
}

int op_flag_delete_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct flag_plan *plan = new_plan(run, err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = need_flag_change(run, tx, err);
    if (r == 0) r = find_flag(run, tx, 0, &plan->record, err);
    if (r == 0) fill_record(run, &plan->record);
    return r;
}

int op_flag_delete_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply(run, tx, true, err);
}

void op_flag_delete_answer(struct op_run *run, struct jw *jw) {
    op_flag_put_answer(run, jw);
}

void op_flag_delete_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, "removed", jw);
}

/* ---- on and off ---- */

static int set_state(struct op_run *run, struct flag_record *record, const char *state, struct err *err) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    int r = json_parse(record->content, strlen(record->content), JSON_DEPTH_MAX, &definition, err);
    if (r < 0) return r;
    const char *old = json_get_text(definition, "state");
    run->unchanged = old && !strcmp(old, state);
    if (run->unchanged) return 0;
    if (json_object_set_new(definition, "state", json_string(state)) < 0 || json_compact(definition, &text) < 0)
        return err_no_memory(err);
    fill_record(run, record);
    return keep(run, str_slice(&text), &record->content, err);
}

static int check_switch(struct op_run *run, struct store_tx *tx, const char *state, struct err *err) {
    struct flag_plan *plan = new_plan(run, err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = need_flag_change(run, tx, err);
    if (r == 0) r = find_flag(run, tx, 0, &plan->record, err);
    return r < 0 ? r : set_state(run, &plan->record, state, err);
}

int op_flag_enable_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    return check_switch(run, tx, "ENABLED", err);
}

int op_flag_enable_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply(run, tx, false, err);
}

void op_flag_enable_answer(struct op_run *run, struct jw *jw) {
    op_flag_put_answer(run, jw);
}

void op_flag_enable_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, "enabled", jw);
}

int op_flag_disable_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    return check_switch(run, tx, "DISABLED", err);
}

int op_flag_disable_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply(run, tx, false, err);
}

void op_flag_disable_answer(struct op_run *run, struct jw *jw) {
    op_flag_put_answer(run, jw);
}

void op_flag_disable_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, "disabled", jw);
}
