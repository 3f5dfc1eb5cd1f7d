/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of rollouts: the built-in ones, and those that a store has over them or beside them. */
#include "ops/ops_impl.h"

#include <string.h>

static const struct rollout_template *built_in(const char *name) {
    size_t count;
    const struct rollout_template *templates = rollout_templates(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(templates[i].name, name)) return &templates[i];
    return NULL;
}

int find_template(struct op_run *run, struct store_tx *tx, const char *name, struct rollout_template *ret,
                  struct err *err) {
    int r = store_template_get(tx, name, run->arena, ret, err);
    const struct rollout_template *own = built_in(name);
    if (r != STORE_NONE || !own) return r;
    *ret = *own;
    return 0;
}

static void write_members(struct jw *jw, const struct rollout_template *found) {
    bool own = !*found->created_by;
    jw_text(jw, "name", found->name);
    jw_text(jw, "description", found->description);
    jw_bool(jw, "built_in", own);
    jw_raw(jw, "content", slice_of(found->content));
    if (own) return;
    jw_text(jw, "by", found->created_by);
    write_time(jw, "at", found->created_at);
}

static void write_template(struct jw *jw, const char *key, const struct rollout_template *found) {
    jw_object(jw, key);
    write_members(jw, found);
    jw_end_object(jw);
}

int op_rollout_template_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    size_t own_count, count, i = 0, j = 0;
    const struct rollout_template *own = rollout_templates(&own_count);
    struct rollout_template *stored;
    int r = store_templates(tx, run->arena, &stored, &count, err);
    if (r < 0) return r;
    jw_array(jw, "templates");
    while (i < own_count || j < count) {
        int order = i == own_count ? 1 : j == count ? -1 : strcmp(own[i].name, stored[j].name);
        write_template(jw, NULL, order < 0 ? &own[i] : &stored[j]);
        if (order <= 0) i++;
        if (order >= 0) j++;
    }
    jw_end_array(jw);
    return 0;
}

int op_rollout_template_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    const char *name = run_text(run, "template");
    struct rollout_template found;
    int r = find_template(run, tx, name, &found, err);
    if (r == STORE_NONE) {
        r = err_set(err, ERR_NOT_FOUND, "there is no template \"%s\"", name);
        err_at(err, "template");
        err_remedy(err, "`serin rollout template list` lists them");
    }
    if (r == 0) write_members(jw, &found);
    return r;
}

/* A template must be a whole plan by itself, but is kept as it was written: what it leaves open stays open. */
static int check_content(struct op_run *run, const char **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *wish = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct rollout_plan *plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = run_plan_wish(run, &wish, err);
    if (r == 0) r = rollout_plan_parse(wish, "", false, run->arena, plan, &run->call->faults, err);
    if (r < 0) return r;
    if (run->call->faults.errors) return run_refuse_faults(run, "", err);
    r = json_canonical(wish, &text, err);
    if (r < 0) return r;
    *ret = text.failed ? NULL : arena_strdup(run->arena, text.data);
    return *ret ? 0 : err_no_memory(err);
}

int op_rollout_template_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct rollout_template *wanted = run->plan = run_alloc(run, sizeof(*wanted), err), old;
    if (!wanted) return -ERR_NO_MEMORY;
    const char *content = "";
    int r = check_content(run, &content, err);
    if (r < 0) return r;
    r = find_template(run, tx, run_text(run, "template"), &old, err);
    if (r < 0) return r;
    run->created = r == STORE_NONE;
    const char *description = run_text_or(run, "description", run->created ? "" : old.description);
    run->unchanged = !run->created && !strcmp(old.content, content) && !strcmp(old.description, description);
    *wanted = (struct rollout_template){
        .name = run_text(run, "template"),
        .description = description,
        .content = content,
        .created_by = run_by(run),
        .created_at = clock_wall(run->ops->clock),
    };
    if (run->unchanged) *wanted = old;
    return 0;
}

int op_rollout_template_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct rollout_template *wanted = run->plan;
    wanted->created_at = run->at;
    wanted->seq = run->position.seq;
    return store_template_put(tx, wanted, err);
}

void op_rollout_template_put_answer(struct op_run *run, struct jw *jw) {
    write_template(jw, "template", run->plan);
    jw_bool(jw, "created", run->created);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_rollout_template_put_detail(struct op_run *run, struct jw *jw) {
    const struct rollout_template *wanted = run->plan;
    jw_text(jw, "template", wanted->name);
    jw_text(jw, "description", wanted->description);
    jw_raw(jw, "content", slice_of(wanted->content));
}
