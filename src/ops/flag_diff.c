/* SPDX-License-Identifier: Apache-2.0 */
/* A flag beside what it was: every place of its definition and of its bindings that differs. Members of objects go by name, items of lists by place, because the
 * arguments of a rule mean something by their place. */
#include "ops/flags_impl.h"

#include <string.h>

struct comparison {
    struct jw *jw;
    struct str at; /* the JSON pointer so far */
    int r;
};

static void compare(struct comparison *comparison, const json_t *was, const json_t *is);

/* ---- values ---- */

static void add_value(struct comparison *comparison, const char *name, const json_t *value) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (!value) return;
    if (json_compact(value, &text) < 0) comparison->r = -ERR_NO_MEMORY;
    if (comparison->r == 0) jw_raw(comparison->jw, name, str_slice(&text));
}

static void add_difference(struct comparison *comparison, const json_t *was, const json_t *is) {
    jw_object(comparison->jw, NULL);
    jw_slice(comparison->jw, "at", str_slice(&comparison->at));
    add_value(comparison, "was", was);
    add_value(comparison, "is", is);
    jw_end_object(comparison->jw);
}

/* A member or an item further down; the pointer is as before afterwards. */
static void step(struct comparison *comparison, size_t len, const json_t *was, const json_t *is) {
    if (comparison->at.failed) comparison->r = -ERR_NO_MEMORY;
    if (comparison->r < 0) return;
    compare(comparison, was, is);
    comparison->at.len = len;
    comparison->at.data[len] = '\0';
}

/* Both in order of name, as they are kept. */
static void compare_members(struct comparison *comparison, const json_t *was, const json_t *is) {
    size_t len = comparison->at.len;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)was, name, value) {
        json_pointer_add(&comparison->at, name);
        step(comparison, len, value, json_get(is, name));
    }
    json_object_foreach((json_t *)is, name, value) {
        if (json_get(was, name)) continue;
        json_pointer_add(&comparison->at, name);
        step(comparison, len, NULL, value);
    }
}

static void compare_items(struct comparison *comparison, const json_t *was, const json_t *is) {
    size_t len = comparison->at.len, old = json_array_size(was), new = json_array_size(is);
    for (size_t i = 0; i < old || i < new; i++) {
        json_pointer_add_index(&comparison->at, i);
        step(comparison, len, json_array_get(was, i), json_array_get(is, i));
    }
}

static void compare(struct comparison *comparison, const json_t *was, const json_t *is) {
    if (was && is && json_equal(was, is)) return;
    if (json_is_object(was) && json_is_object(is))
        compare_members(comparison, was, is);
    else if (json_is_array(was) && json_is_array(is))
        compare_items(comparison, was, is);
    else
        add_difference(comparison, was, is);
}

/* ---- flags ---- */

/* One side: what set the flag, or removed it. NULL: it had never been there. */
static json_t *part_of(const struct flag_record *record, const char *text, struct err *err, int *r) {
    json_t *value = NULL;
    if (*r < 0 || !record || record->removed) return NULL;
    *r = json_parse(text, strlen(text), JSON_DEPTH_MAX, &value, err);
    return value;
}

static int compare_parts(struct comparison *comparison, const char *name, json_t *was, json_t *is, struct err *err) {
    json_pointer_add(&comparison->at, name);
    if (was || is) step(comparison, 0, was, is);
    json_decref(was);
    json_decref(is);
    return comparison->r < 0 ? err_no_memory(err) : 0;
}

static int write_changes(struct comparison *comparison, const struct flag_record *was, const struct flag_record *is,
                         struct err *err) {
    int r = 0;
    json_t *old = part_of(was, was ? was->bindings : NULL, err, &r),
           *new = part_of(is, is ? is->bindings : NULL, err, &r);
    int bound = compare_parts(comparison, "bindings", old, new, err);
    if (r < 0 || bound < 0) return r < 0 ? r : bound;
    old = part_of(was, was ? was->content : NULL, err, &r);
    new = part_of(is, is ? is->content : NULL, err, &r);
    int defined = compare_parts(comparison, "definition", old, new, err);
    return r < 0 ? r : defined;
}

/* ---- moments ---- */

/* *ret 0: nothing is given. */
static int read_moment(struct op_run *run, struct store_tx *tx, const char *param, int64_t *ret, struct err *err) {
    const char *text = run_text(run, param);
    struct position head;
    int64_t at;
    if (!text || !text_to_int(text, 0, OPS_NUMBER_MAX, ret)) return flag_moment(run, tx, param, ret, err);
    int r = store_head(tx, &head, &at, err);
    if (r < 0 || *ret <= head.seq) return r;
    r = err_set(err, ERR_POSITION_UNKNOWN, "nothing was changed at %lld yet; the newest change is %lld",
                (long long)*ret, (long long)head.seq);
    err_at(err, "%s", param);
    return r;
}

/* The newest changes up to a moment. */
static int changes_until(struct op_run *run, struct store_tx *tx, int64_t seq, size_t limit, struct flag_record **ret,
                         size_t *ret_count, struct err *err) {
    return store_flag_history(tx, run->environment, run_text(run, "flag"), seq + 1, limit, run->arena, ret, ret_count,
                              err);
}

struct sides {
    const struct flag_record *was, *is; /* NULL: it had never been there */
};

static int find_sides(struct op_run *run, struct store_tx *tx, struct sides *ret, struct err *err) {
    struct flag_record *records = NULL, *earlier = NULL;
    size_t count = 0, earlier_count = 0;
    int64_t from = 0, to = 0;
    int r = read_moment(run, tx, "to", &to, err);
    if (r == 0) r = read_moment(run, tx, "from", &from, err);
    if (r == 0) r = changes_until(run, tx, run_text(run, "to") ? to : OPS_NUMBER_MAX, 2, &records, &count, err);
    if (r == 0 && run_text(run, "from")) r = changes_until(run, tx, from, 1, &earlier, &earlier_count, err);
    if (r < 0) return r;
    ret->is = count ? &records[0] : NULL;
    ret->was = count > 1 ? &records[1] : NULL;
    if (run_text(run, "from")) ret->was = earlier_count ? &earlier[0] : NULL;
    return ret->is || ret->was ? 0 : no_flag(run, err);
}

int op_flag_diff_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct comparison comparison = {.jw = jw};
    struct sides sides = {0};
    int r = need_flag_environment(run, tx, err);
    if (r == 0) r = find_sides(run, tx, &sides, err);
    if (r < 0) return r;
    jw_text(jw, "flag", run_text(run, "flag"));
    jw_text(jw, "environment", run->environment);
    jw_int(jw, "from", sides.was ? sides.was->seq : 0);
    jw_int(jw, "to", sides.is ? sides.is->seq : 0);
    jw_array(jw, "changes");
    r = write_changes(&comparison, sides.was, sides.is, err);
    jw_end_array(jw);
    str_deinit(&comparison.at);
    return r;
}
