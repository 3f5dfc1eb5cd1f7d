/* SPDX-License-Identifier: Apache-2.0 */
/* Overrides: named users, or those to whom a rule applies, get a fixed version. */
#include "ops/ops_impl.h"
#include "snapshot/snapshot.h"

#include <string.h>

int op_override_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    int r = need_place(run, tx, err);
    if (r < 0) return r;
    struct override *overrides;
    size_t count;
    r = store_overrides(tx, run->agent, run->environment, 0, run->arena, &overrides, &count, err);
    if (r < 0) return r;
    jw_array(jw, "overrides");
    for (size_t i = 0; i < count; i++)
        write_override(jw, NULL, &overrides[i]);
    jw_end_array(jw);
    return 0;
}

/* The keys as the store keeps them: a JSON array, sorted, each once. */
static int sorted_keys(struct op_run *run, const char **ret, struct err *err) {
    const json_t *list = json_get(run->call->params, "keys");
    size_t count = json_array_size(list);
    const char **keys = arena_array(run->arena, count + 1, sizeof(*keys));
    if (!keys) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        keys[i] = json_string_value(json_array_get(list, i));
    return run_texts(run, keys, count, ret, err);
}

/* Who it is for: exactly one of keys and audience. What is wrong is among the call's faults. */
static int read_users(struct op_run *run, struct override *override, struct err *err) {
    const json_t *params = run->call->params;
    bool keys = json_get(params, "keys") != NULL, audience = json_get(params, "audience") != NULL;
    if (keys == audience)
        faults_add(&run->call->faults, "/keys",
                   "say who gets the version: either `keys`, or `audience`, a targeting rule");
    int r = sorted_keys(run, &override->keys, err);
    return r < 0 ? r : run_audience(run, &override->audience, err);
}

/* Each costs every decision of the agent there. */
static int check_room(struct op_run *run, struct store_tx *tx, const struct override *override, struct err *err) {
    struct override *all;
    size_t count, ruled = 0;
    if (!override->audience) return 0;
    int r = store_overrides(tx, run->agent, run->environment, 0, run->arena, &all, &count, err);
    if (r < 0) return r;
    for (size_t i = 0; i < count; i++)
        ruled += all[i].audience && strcmp(all[i].name, override->name) != 0;
    if (ruled < OVERRIDE_AUDIENCES_MAX) return 0;
    faults_add(&run->call->faults, "/audience", "%s has %d overrides with an audience in %s, and more are not taken",
               run->agent, OVERRIDE_AUDIENCES_MAX, run->environment);
    return 0;
}

static bool same_users(const struct override *a, const struct override *b) {
    if (!a->audience || !b->audience) return !a->audience && !b->audience && !strcmp(a->keys, b->keys);
    return !strcmp(a->audience, b->audience);
}

/* Agent, environment and the override of that name. *ret_found tells whether there is one. */
static int find_override(struct op_run *run, struct store_tx *tx, struct override *ret, bool *ret_found,
                         struct err *err) {
    int r = need_place(run, tx, err);
    if (r < 0) return r;
    r = store_override_get(tx, run->agent, run->environment, run_text(run, "override"), run->arena, ret, err);
    if (r < 0) return r;
    *ret_found = r != STORE_NONE;
    return 0;
}

/* An override beside nothing would be found by nobody. */
static int need_deployed(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct deployment current;
    int r = current_ref(run, tx, run->agent, run->environment, &current, err);
    if (r < 0 || current.version) return r;
    r = err_set(err, ERR_NOT_DEPLOYED, "%s serves no version of %s yet, so there is nothing to override",
                run->environment, run->agent);
    err_at(err, "/environment");
    return r;
}

int op_override_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct override *override = run->plan = run_alloc(run, sizeof(*override), err);
    if (!override) return -ERR_NO_MEMORY;
    struct override old = {0};
    bool found = false;
    int r = find_override(run, tx, &old, &found, err);
    if (r < 0) return r;
    r = need_deployed(run, tx, err);
    if (r < 0) return r;
    struct version version;
    r = need_version(run, tx, run->agent, json_get(run->call->params, "version"), false, &version, err);
    if (r < 0) return r;

    *override = (struct override){
        .name = run_text(run, "override"),
        .agent = run->agent,
        .environment = run->environment,
        .version = version.number,
        .reason = run->reason,
        .created_by = run_by(run),
        .created_at = clock_wall(run->ops->clock),
    };
    r = read_users(run, override, err);
    if (r == 0) r = check_room(run, tx, override, err);
    if (r < 0) return r;
    if (run->call->faults.failed) return err_no_memory(err);
    if (run->call->faults.errors) return run_refuse_faults(run, "", err);
    run->created = !found;
    run->unchanged = found && old.version == override->version && same_users(&old, override);
    if (run->unchanged) *override = old;
    return 0;
}

int op_override_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct override *override = run->plan;
    override->created_at = run->at;
    override->seq = run->position.seq;
    return store_override_put(tx, override, err);
}

void op_override_put_answer(struct op_run *run, struct jw *jw) {
    write_override(jw, "override", run->plan);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_override_put_detail(struct op_run *run, struct jw *jw) {
    struct override *override = run->plan;
    jw_text(jw, "override", override->name);
    jw_int(jw, "version", override->version);
    if (override->audience)
        jw_raw(jw, "audience", slice_of(override->audience));
    else
        jw_raw(jw, "keys", slice_of(override->keys));
}

int op_override_delete_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct override *override = run->plan = run_alloc(run, sizeof(*override), err);
    if (!override) return -ERR_NO_MEMORY;
    bool found = false;
    int r = find_override(run, tx, override, &found, err);
    if (r < 0 || found) return r;
    r = err_set(err, ERR_NOT_FOUND, "%s has no override \"%s\" in %s", run->agent, run_text(run, "override"),
                run->environment);
    err_at(err, "override");
    err_remedy(err, "`serin override list %s -e %s` lists them", run->agent, run->environment);
    return r;
}

int op_override_delete_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct override row = *(struct override *)run->plan;
    row.reason = run->reason;
    row.created_by = run_by(run);
    row.created_at = run->at;
    row.seq = run->position.seq;
    return store_override_remove(tx, &row, err);
}

void op_override_delete_answer(struct op_run *run, struct jw *jw) {
    op_override_put_answer(run, jw);
}

void op_override_delete_detail(struct op_run *run, struct jw *jw) {
    struct override *override = run->plan;
    jw_text(jw, "override", override->name);
    jw_bool(jw, "removed", true);
}
