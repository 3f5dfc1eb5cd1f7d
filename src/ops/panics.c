/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Panics: an agent, or an environment, frozen. One agent is frozen on a number, found out when the panic is called, so that nothing that happens meanwhile
 * moves it; a whole environment on what each ref serves.
 */
#include "ops/ops_impl.h"

#include <string.h>

static void write_panic(struct jw *jw, const char *key, const struct panic *panic) {
    jw_object(jw, key);
    if (*panic->agent) jw_text(jw, "agent", panic->agent);
    jw_text(jw, "environment", panic->environment);
    if (panic->version > 0) jw_int(jw, "version", panic->version);
    jw_bool(jw, "disabled", panic->version == PANIC_DISABLED);
    jw_text(jw, "reason", panic->reason);
    jw_text(jw, "by", panic->created_by);
    write_time(jw, "at", panic->created_at);
    jw_end_object(jw);
}

int op_panic_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    const char *environment = run_text(run, "environment");
    struct environment known;
    int r = environment ? need_environment(run, tx, environment, &known, err) : 0;
    if (r < 0) return r;
    struct panic *panics;
    size_t count;
    r = store_panics(tx, environment, run->arena, &panics, &count, err);
    if (r < 0) return r;
    jw_array(jw, "panics");
    for (size_t i = 0; i < count; i++)
        if (principal_sees(&run->call->principal, slice_of(panics[i].environment))) write_panic(jw, NULL, &panics[i]);
    jw_end_array(jw);
    return 0;
}

/* The place of the parameters: an agent there, or the whole environment. */
static int need_panic_place(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct environment environment;
    if (run_text(run, "agent")) return need_place(run, tx, err);
    run->environment = run_text(run, "environment");
    return need_environment(run, tx, run->environment, &environment, err);
}

/* The panic in force there, or one by whoever asks. *ret_found tells which. */
static int find_panic(struct op_run *run, struct store_tx *tx, struct panic *ret, bool *ret_found, struct err *err) {
    int r = need_panic_place(run, tx, err);
    if (r < 0) return r;
    const char *agent = run->agent ? run->agent : "";
    r = store_panic_get(tx, agent, run->environment, 0, run->arena, ret, err);
    if (r < 0) return r;
    *ret_found = r != STORE_NONE;
    if (*ret_found) return 0;
    *ret = (struct panic){
        .agent = agent,
        .environment = run->environment,
        .version = PANIC_STABLE,
        .reason = run->reason,
        .created_by = run_by(run),
        .created_at = clock_wall(run->ops->clock),
    };
    return 0;
}

static int contradiction(const char *at, const char *message, struct err *err) {
    int r = err_set(err, ERR_BAD_REQUEST, "%s", message);
    err_at(err, "/%s", at);
    return r;
}

static int agent_version(struct op_run *run, struct store_tx *tx, int64_t *ret, struct err *err) {
    const json_t *wanted = json_get(run->call->params, "version");
    struct deployment current;
    struct version version;
    int r = current_ref(run, tx, run->agent, run->environment, &current, err);
    if (r < 0) return r;
    if (!current.version) {
        r = err_set(err, ERR_NOT_DEPLOYED, "%s serves no version of %s, so there is nothing to freeze",
                    run->environment, run->agent);
        err_at(err, "/environment");
        return r;
    }
    r = wanted ? need_version(run, tx, run->agent, wanted, false, &version, err) : 0;
    *ret = wanted ? version.number : current.version;
    return r;
}

static int wanted_version(struct op_run *run, struct store_tx *tx, int64_t *ret, struct err *err) {
    bool named = json_get(run->call->params, "version") != NULL, disabled = run_bool(run, "disabled", false);
    if (named && disabled) return contradiction("disabled", "a panic is either on a version or off", err);
    if (named && !run->agent) return contradiction("version", "a version belongs to one agent: name it", err);
    int r = run->agent ? agent_version(run, tx, ret, err) : 0;
    if (!run->agent) *ret = PANIC_STABLE;
    if (disabled) *ret = PANIC_DISABLED;
    return r;
}

int op_panic_set_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct panic *panic = run->plan = run_alloc(run, sizeof(*panic), err);
    if (!panic) return -ERR_NO_MEMORY;
    bool found = false;
    int64_t version = 0;
    int r = find_panic(run, tx, panic, &found, err);
    if (r == 0) r = wanted_version(run, tx, &version, err);
    if (r < 0) return r;
    run->created = !found;
    run->unchanged = found && panic->version == version;
    if (run->unchanged) return 0;
    panic->version = version;
    panic->reason = run->reason;
    panic->created_by = run_by(run);
    panic->created_at = clock_wall(run->ops->clock);
    return 0;
}

int op_panic_set_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct panic *panic = run->plan;
    panic->created_at = run->at;
    panic->seq = run->position.seq;
    return store_panic_put(tx, panic, err);
}

static void write_change(struct op_run *run, struct jw *jw, bool in_force) {
    write_panic(jw, "panic", run->plan);
    jw_bool(jw, "in_force", in_force);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_panic_set_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, true);
}

void op_panic_set_detail(struct op_run *run, struct jw *jw) {
    const struct panic *panic = run->plan;
    jw_bool(jw, "panic", true);
    jw_bool(jw, "disabled", panic->version == PANIC_DISABLED);
    if (panic->version > 0) jw_int(jw, "version", panic->version);
}

int op_panic_release_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct panic *panic = run->plan = run_alloc(run, sizeof(*panic), err);
    if (!panic) return -ERR_NO_MEMORY;
    bool found = false;
    int r = find_panic(run, tx, panic, &found, err);
    run->unchanged = !found;
    return r;
}

int op_panic_release_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct panic row = *(struct panic *)run->plan;
    row.reason = run->reason;
    row.created_by = run_by(run);
    row.created_at = run->at;
    row.seq = run->position.seq;
    return store_panic_release(tx, &row, err);
}

void op_panic_release_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, false);
}

void op_panic_release_detail(struct op_run *run, struct jw *jw) {
    jw_bool(jw, "panic", false);
}
