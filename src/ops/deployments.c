/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ref moved: deploy, roll back, and the history of moves.
 *
 * Going back is undoing: a rollback remembers which deployment it restored (`restores`), and the next rollback goes on from
 * there. So with deployments of 1, 2 and 3, a first rollback answers 2, a second 1, and a third has nothing before it; it never
 * swings back to 3.
 */
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <stdio.h>
#include <string.h>

struct move_plan {
    struct deployment deployment; /* the move; when unchanged, the one that stands */
    bool held;
    const struct rollout *ends; /* the rollout that this move ends, or NULL */
};

static int check_expected(struct op_run *run, int64_t current, struct err *err) {
    int64_t expected = run_int(run, "expected", -1);
    if (expected < 0 || expected == current) return 0;
    int r = current ? run_stale(run, current, err, "%s serves %s@%lld, not %lld", run->environment, run->agent,
                                (long long)current, (long long)expected)
                    : run_stale(run, current, err, "%s serves no version of %s", run->environment, run->agent);
    err_at(err, "/expected");
    return r;
}

/* What deploy and rollback find out alike: agent, environment, what is served, whether it is as expected. */
static int begin_move(struct op_run *run, struct store_tx *tx, struct move_plan *plan, struct deployment *ret_current,
                      struct err *err) {
    int r = need_place(run, tx, err);
    if (r < 0) return r;
    r = current_ref(run, tx, run->agent, run->environment, ret_current, err);
    if (r < 0) return r;
    r = is_held(run, tx, run->agent, run->environment, &plan->held, err);
    if (r < 0) return r;
    return check_expected(run, ret_current->version, err);
}

/* Fills what every move has; or, when the version is served already, notes that nothing changes. */
static int finish_plan(struct op_run *run, struct store_tx *tx, struct move_plan *plan,
                       const struct deployment *current, struct err *err) {
    struct deployment *move = &plan->deployment;
    if (move->version == current->version) {
        *move = *current;
        run->unchanged = true;
        return 0;
    }
    move->agent = run->agent;
    move->environment = run->environment;
    move->previous = current->version;
    move->reason = run->reason;
    move->created_by = run_by(run);
    move->created_at = clock_wall(run->ops->clock);
    run->created = true;
    int r = find_open_rollout(run, tx, run->agent, run->environment, &plan->ends, err);
    return r < 0 ? r : run_uuid(run, &move->id, err);
}

int op_deploy_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct move_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    struct deployment current;
    int r = begin_move(run, tx, plan, &current, err);
    if (r < 0) return r;

    struct version version;
    r = need_version(run, tx, run->agent, json_get(run->call->params, "version"), false, &version, err);
    if (r < 0) return r;
    plan->deployment = (struct deployment){.version = version.number, .kind = DEPLOYMENT_DEPLOY};
    return finish_plan(run, tx, plan, &current, err);
}

/* Ends the open rollout as `end`, then moves the ref. */
static int apply_move(struct op_run *run, struct store_tx *tx, enum rollout_state end, struct err *err) {
    struct move_plan *plan = run->plan;
    int r = end_rollout(run, tx, plan->ends, end, err);
    if (r < 0) return r;
    plan->deployment.created_at = run->at;
    plan->deployment.seq = run->position.seq;
    return store_deployment_add(tx, &plan->deployment, err);
}

int op_deploy_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    return apply_move(run, tx, ROLLOUT_ABORTED, err);
}

void op_deploy_answer(struct op_run *run, struct jw *jw) {
    struct move_plan *plan = run->plan;
    write_deployment(jw, "deployment", &plan->deployment);
    jw_bool(jw, "held", plan->held);
    if (plan->ends) jw_text(jw, "rollout_ended", plan->ends->id);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_deploy_detail(struct op_run *run, struct jw *jw) {
    const struct move_plan *plan = run->plan;
    const struct deployment *move = &plan->deployment;
    jw_text(jw, "deployment", move->id);
    jw_text(jw, "kind", deployment_kind_name(move->kind));
    jw_int(jw, "previous", move->previous);
    jw_int(jw, "version", move->version);
    if (plan->ends) jw_text(jw, "rollout_ended", plan->ends->id);
}

/* ---- rollback ---- */

static int nothing_before(const struct deployment *current, struct err *err) {
    int r = current->version
                ? err_set(err, ERR_NOTHING_BEFORE, "%s has served nothing of %s before version %lld",
                          current->environment, current->agent, (long long)current->version)
                : err_set(err, ERR_NOTHING_BEFORE, "%s serves no version of %s", current->environment, current->agent);
    err_at(err, "/version");
    err_remedy(err, "Deploy a version: `serin deploy %s@N -e %s`", current->agent, current->environment);
    return r;
}

int plan_undo(struct op_run *run, struct store_tx *tx, const struct deployment *current, struct deployment *ret,
              struct err *err) {
    if (!current->version) return nothing_before(current, err);
    int64_t base = current->restores ? current->restores : current->seq;
    struct deployment *before;
    size_t count;
    int r = store_deployments(tx, current->agent, current->environment, base, 1, run->arena, &before, &count, err);
    if (r < 0) return r;
    if (!count) return nothing_before(current, err);
    *ret = (struct deployment){
        .version = before->version,
        .kind = DEPLOYMENT_ROLLBACK,
        .restores = before->restores ? before->restores : before->seq,
    };
    return 0;
}

/* Back to a named version: it must have been served there. */
static int plan_return(struct op_run *run, struct store_tx *tx, const json_t *wanted, struct deployment *ret,
                       struct err *err) {
    struct version version;
    int r = need_version(run, tx, run->agent, wanted, false, &version, err);
    if (r < 0) return r;
    struct deployment served;
    r = store_deployment_of(tx, run->agent, run->environment, version.number, 0, run->arena, &served, err);
    if (r == STORE_NONE) {
        r = err_set(err, ERR_NOTHING_BEFORE, "%s has never served %s@%lld", run->environment, run->agent,
                    (long long)version.number);
        err_at(err, "/version");
        err_remedy(err, "Deploy it instead: `serin deploy %s@%lld -e %s`", run->agent, (long long)version.number,
                   run->environment);
    }
    if (r < 0) return r;
    *ret = (struct deployment){
        .version = version.number,
        .kind = DEPLOYMENT_ROLLBACK,
        .restores = served.restores ? served.restores : served.seq,
    };
    return 0;
}

int op_rollback_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct move_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    struct deployment current;
    int r = begin_move(run, tx, plan, &current, err);
    if (r < 0) return r;

    const json_t *wanted = json_get(run->call->params, "version");
    r = wanted ? plan_return(run, tx, wanted, &plan->deployment, err)
               : plan_undo(run, tx, &current, &plan->deployment, err);
    if (r < 0) return r;
    r = finish_plan(run, tx, plan, &current, err);
    if (!run->unchanged) plan->held = true;
    return r;
}

int op_rollback_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    int r = apply_move(run, tx, ROLLOUT_ROLLED_BACK, err);
    if (r < 0) return r;
    return put_hold(run, tx, run->agent, run->environment, err);
}

void op_rollback_answer(struct op_run *run, struct jw *jw) {
    op_deploy_answer(run, jw);
}

void op_rollback_detail(struct op_run *run, struct jw *jw) {
    op_deploy_detail(run, jw);
    jw_bool(jw, "held", true);
}

/* ---- history ---- */

int op_deployment_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct agent agent;
    int r = need_agent(run, tx, run_text(run, "agent"), &agent, err);
    if (r < 0) return r;
    struct environment known;
    const char *environment = run_text(run, "environment");
    if (environment && (r = need_environment(run, tx, environment, &known, err)) < 0) return r;

    size_t count, limit = page_limit(run);
    struct deployment *moves;
    r = store_deployments(tx, agent.name, environment, run_int(run, "before", 0), limit + 1, run->arena, &moves, &count,
                          err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "deployments");
    for (size_t i = 0; i < shown; i++)
        if (principal_sees(&run->call->principal, slice_of(moves[i].environment)))
            write_deployment(jw, NULL, &moves[i]);
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", moves[shown - 1].seq);
    return 0;
}
