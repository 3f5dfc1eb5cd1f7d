/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases: several refs moved in one transaction, and moved back as one. Agents that serve the wished version already are
 * left out; a release that would move nothing is not made.
 */
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <string.h>

struct release_plan {
    struct release release;
    struct deployment *moves; /* in order of agent */
    size_t count;
    const struct rollout **ends; /* beside each move the rollout that it ends, or NULL */
};

static int by_agent(const void *a, const void *b) {
    return strcmp(((const struct deployment *)a)->agent, ((const struct deployment *)b)->agent);
}

static int stale_move(struct op_run *run, const struct deployment *current, int64_t expected, size_t i,
                      struct err *err) {
    int r = run_stale(run, current->version, err, "%s serves %s@%lld, not %lld", run->environment, current->agent,
                      (long long)current->version, (long long)expected);
    err_at(err, "/moves/%zu/expected", i);
    return r;
}

/* One wished move; adds it to the plan unless it is served already. */
static int plan_move(struct op_run *run, struct store_tx *tx, const json_t *wish, size_t i, struct err *err) {
    struct release_plan *plan = run->plan;
    struct agent agent;
    struct version version;
    struct deployment current;
    int r = need_agent(run, tx, json_get_text(wish, "agent"), &agent, err);
    if (r >= 0) r = need_version(run, tx, agent.name, json_get(wish, "version"), false, &version, err);
    if (r < 0) {
        err_at(err, "/moves/%zu", i);
        return r;
    }
    r = current_ref(run, tx, agent.name, run->environment, &current, err);
    if (r < 0) return r;

    const json_t *expected = json_get(wish, "expected");
    if (expected && json_integer_value(expected) != current.version)
        return stale_move(run, &current, json_integer_value(expected), i, err);
    if (version.number == current.version) return 0;
    plan->moves[plan->count++] = (struct deployment){
        .agent = agent.name,
        .version = version.number,
        .previous = current.version,
        .kind = DEPLOYMENT_DEPLOY,
    };
    return 0;
}

/* Which rollouts the moves end. */
static int find_ends(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct release_plan *plan = run->plan;
    plan->ends = arena_array(run->arena, plan->count + 1, sizeof(*plan->ends));
    if (!plan->ends) return err_no_memory(err);
    int r = 0;
    for (size_t i = 0; i < plan->count && r == 0; i++)
        r = find_open_rollout(run, tx, plan->moves[i].agent, run->environment, &plan->ends[i], err);
    return r;
}

/* What every move of the plan carries. */
static int finish_plan(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct release_plan *plan = run->plan;
    run->unchanged = !plan->count;
    run->created = !run->unchanged;
    plan->release.environment = run->environment;
    plan->release.reason = run->reason;
    plan->release.created_by = run_by(run);
    plan->release.created_at = clock_wall(run->ops->clock);
    int r = run->unchanged ? 0 : run_uuid(run, &plan->release.id, err);
    for (size_t i = 0; i < plan->count && r == 0; i++) {
        struct deployment *move = &plan->moves[i];
        move->environment = run->environment;
        move->release = plan->release.id;
        move->reason = run->reason;
        move->created_by = run_by(run);
        move->created_at = plan->release.created_at;
        r = run_uuid(run, &move->id, err);
    }
    if (r < 0) return r;
    qsort(plan->moves, plan->count, sizeof(*plan->moves), by_agent);
    return find_ends(run, tx, err);
}

static struct release_plan *plan_new(struct op_run *run, size_t moves, struct err *err) {
    struct release_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return NULL;
    plan->moves = arena_array(run->arena, moves ? moves : 1, sizeof(*plan->moves));
    if (!plan->moves) err_no_memory(err);
    return plan->moves ? plan : NULL;
}

int op_release_create_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    const json_t *wishes = json_get(run->call->params, "moves");
    if (!plan_new(run, json_array_size(wishes), err)) return -ERR_NO_MEMORY;
    struct environment environment;
    run->environment = run_text(run, "environment");
    int r = need_environment(run, tx, run->environment, &environment, err);
    if (r < 0) return r;

    size_t i;
    json_t *wish;
    json_array_foreach(wishes, i, wish) {
        r = plan_move(run, tx, wish, i, err);
        if (r < 0) return r;
    }
    return finish_plan(run, tx, err);
}

static int apply_release(struct op_run *run, struct store_tx *tx, enum rollout_state end, struct err *err) {
    struct release_plan *plan = run->plan;
    plan->release.created_at = run->at;
    plan->release.seq = run->position.seq;
    int r = store_release_add(tx, &plan->release, err);
    for (size_t i = 0; i < plan->count && r == 0; i++) {
        plan->moves[i].created_at = run->at;
        plan->moves[i].seq = run->position.seq;
        r = end_rollout(run, tx, plan->ends[i], end, err);
        if (r == 0) r = store_deployment_add(tx, &plan->moves[i], err);
    }
    return r;
}

int op_release_create_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply_release(run, tx, ROLLOUT_ABORTED, err);
}

static void write_ends(const struct release_plan *plan, struct jw *jw) {
    size_t ended = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (!plan->ends[i]) continue;
        if (!ended++) jw_array(jw, "rollouts_ended");
        jw_text(jw, NULL, plan->ends[i]->id);
    }
    if (ended) jw_end_array(jw);
}

static void write_release_members(struct jw *jw, const struct release *release, const char *undone_by,
                                  const struct deployment *moves, size_t count) {
    if (release->id) jw_text(jw, "id", release->id);
    jw_text(jw, "environment", release->environment);
    jw_text(jw, "reason", release->reason);
    if (release->rolls_back) jw_text(jw, "rolls_back", release->rolls_back);
    if (undone_by) jw_text(jw, "rolled_back_by", undone_by);
    jw_text(jw, "by", release->created_by);
    write_time(jw, "at", release->created_at);
    jw_int(jw, "seq", release->seq);
    jw_array(jw, "moves");
    for (size_t i = 0; i < count; i++)
        write_deployment(jw, NULL, &moves[i]);
    jw_end_array(jw);
}

void op_release_create_answer(struct op_run *run, struct jw *jw) {
    struct release_plan *plan = run->plan;
    jw_object(jw, "release");
    write_release_members(jw, &plan->release, NULL, plan->moves, plan->count);
    jw_end_object(jw);
    write_ends(plan, jw);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_release_create_detail(struct op_run *run, struct jw *jw) {
    struct release_plan *plan = run->plan;
    jw_text(jw, "release", plan->release.id);
    if (plan->release.rolls_back) jw_text(jw, "rolls_back", plan->release.rolls_back);
    jw_array(jw, "moves");
    for (size_t i = 0; i < plan->count; i++) {
        jw_object(jw, NULL);
        jw_text(jw, "agent", plan->moves[i].agent);
        jw_int(jw, "previous", plan->moves[i].previous);
        jw_int(jw, "version", plan->moves[i].version);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    write_ends(plan, jw);
}

/* ---- roll back ---- */

static int need_release(struct op_run *run, struct store_tx *tx, struct release *ret, struct err *err) {
    const char *id = run_text(run, "release");
    int r = store_release_get(tx, id, run->arena, ret, err);
    if (r < 0) return r;
    if (r != STORE_NONE && principal_sees(&run->call->principal, slice_of(ret->environment))) return 0;
    r = err_set(err, ERR_NOT_FOUND, "there is no release %s", id);
    err_at(err, "release");
    err_remedy(err, "`serin releases` lists the releases");
    return r;
}

static int check_not_undone(struct op_run *run, struct store_tx *tx, const char *id, struct err *err) {
    const char *undone_by;
    int r = store_release_undone_by(tx, id, run->arena, &undone_by, err);
    if (r < 0 || r == STORE_NONE) return r < 0 ? r : 0;
    r = err_set(err, ERR_CONFLICT, "release %s was rolled back already, by release %s", id, undone_by);
    err_at(err, "release");
    return r;
}

/* One move taken back; refused when the ref has moved on since. */
static int plan_back(struct op_run *run, struct store_tx *tx, const struct deployment *done, struct err *err) {
    struct release_plan *plan = run->plan;
    struct deployment current, *back = &plan->moves[plan->count];
    int r = current_ref(run, tx, done->agent, done->environment, &current, err);
    if (r < 0) return r;
    if (current.seq != done->seq) {
        r = run_stale(run, current.version, err, "%s has moved on since: %s serves %s@%lld", done->agent,
                      done->environment, done->agent, (long long)current.version);
        err_at(err, "release");
        err_remedy(err, "Roll the agents back one by one: `serin rollback %s -e %s`", done->agent, done->environment);
        return r;
    }
    r = plan_undo(run, tx, &current, back, err);
    if (r < 0) {
        err_at(err, "release");
        return r;
    }
    back->agent = done->agent;
    back->previous = current.version;
    plan->count++;
    return 0;
}

int op_release_rollback_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct release release;
    int r = need_release(run, tx, &release, err);
    if (r < 0) return r;
    r = check_not_undone(run, tx, release.id, err);
    if (r < 0) return r;

    struct deployment *done;
    size_t count;
    r = store_release_moves(tx, release.id, run->arena, &done, &count, err);
    if (r < 0) return r;
    struct release_plan *plan = plan_new(run, count, err);
    if (!plan) return -ERR_NO_MEMORY;
    run->environment = release.environment;
    plan->release.rolls_back = release.id;
    for (size_t i = 0; i < count; i++) {
        r = plan_back(run, tx, &done[i], err);
        if (r < 0) return r;
    }
    return finish_plan(run, tx, err);
}

int op_release_rollback_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct release_plan *plan = run->plan;
    int r = apply_release(run, tx, ROLLOUT_ROLLED_BACK, err);
    for (size_t i = 0; i < plan->count && r == 0; i++)
        r = put_hold(run, tx, plan->moves[i].agent, run->environment, err);
    return r;
}

void op_release_rollback_answer(struct op_run *run, struct jw *jw) {
    op_release_create_answer(run, jw);
}

void op_release_rollback_detail(struct op_run *run, struct jw *jw) {
    op_release_create_detail(run, jw);
}

/* ---- list and show ---- */

static int write_stored(struct op_run *run, struct store_tx *tx, struct jw *jw, const struct release *release,
                        struct err *err) {
    struct deployment *moves;
    size_t count;
    int r = store_release_moves(tx, release->id, run->arena, &moves, &count, err);
    if (r < 0) return r;
    const char *undone_by = NULL;
    r = store_release_undone_by(tx, release->id, run->arena, &undone_by, err);
    if (r < 0) return r;
    write_release_members(jw, release, r == STORE_NONE ? NULL : undone_by, moves, count);
    return 0;
}

int op_release_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct release release;
    int r = need_release(run, tx, &release, err);
    if (r < 0) return r;
    return write_stored(run, tx, jw, &release, err);
}

int op_release_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    const char *environment = run_text(run, "environment");
    struct environment known;
    int r = environment ? need_environment(run, tx, environment, &known, err) : 0;
    if (r < 0) return r;

    size_t count, limit = page_limit(run);
    struct release *releases;
    r = store_releases(tx, environment, run_int(run, "before", 0), limit + 1, run->arena, &releases, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "releases");
    for (size_t i = 0; i < shown && r >= 0; i++) {
        if (!principal_sees(&run->call->principal, slice_of(releases[i].environment))) continue;
        jw_object(jw, NULL);
        r = write_stored(run, tx, jw, &releases[i], err);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", releases[shown - 1].seq);
    return r;
}
