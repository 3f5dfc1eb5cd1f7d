/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves of a rollout: by people, by the controller's verdict, and the end that another move of the ref brings. Whether a state may follow
 * another is the table's to say (model/rollout.c); here is who may make the move.
 *
 * A verdict was reached from what the controller saw, so it names the newest move that it had seen: when anybody moved the rollout since, it is refused and
 * the controller looks again. Going on is refused where a person's word stands against it, whatever the evidence; going back never is.
 */
#include "base/uuid.h"
#include "ops/ops_impl.h"

#include <string.h>

struct moving {
    struct rollout rollout;       /* as it stands, then as it will stand */
    struct rollout_move move;     /* action NULL: none */
    struct deployment deployment; /* of a promotion; id NULL: none */
    bool sets_hold, held;
    struct sha256 evidence_hash;
};

/* ---- finding it ---- */

static int no_rollout(const char *agent, const char *wanted, struct err *err) {
    int r = uuid_valid(wanted) ? err_set(err, ERR_NOT_FOUND, "%s has no rollout %s", agent, wanted)
                               : err_set(err, ERR_NOT_FOUND, "%s has no rollout in %s", agent, wanted);
    err_at(err, "rollout");
    err_remedy(err, "`serin rollout list %s` lists its rollouts", agent);
    return r;
}

static int newest_in(struct op_run *run, struct store_tx *tx, const char *environment, struct rollout *ret,
                     struct err *err) {
    struct store_rollouts_query query = {.agent = run->agent, .environment = environment, .limit = 1};
    struct rollout *newest;
    size_t count;
    int r = store_rollouts(tx, &query, run->arena, &newest, &count, err);
    if (r < 0) return r;
    if (count) *ret = *newest;
    return count ? 0 : STORE_NONE;
}

int need_rollout(struct op_run *run, struct store_tx *tx, struct rollout *ret, struct err *err) {
    struct agent agent;
    const char *wanted = run_text(run, "rollout");
    run->agent = run_text(run, "agent");
    int r = need_agent(run, tx, run->agent, &agent, err);
    if (r < 0) return r;
    r = uuid_valid(wanted) ? store_rollout_get(tx, wanted, run->arena, ret, err) : newest_in(run, tx, wanted, ret, err);
    if (r < 0) return r;
    if (r == STORE_NONE || strcmp(ret->agent, run->agent) != 0 ||
        !principal_sees(&run->call->principal, slice_of(ret->environment)))
        return no_rollout(run->agent, wanted, err);
    run->environment = ret->environment;
    return 0;
}

int find_open_rollout(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
                      const struct rollout **ret, struct err *err) {
    struct rollout *rollout = run_alloc(run, sizeof(*rollout), err);
    if (!rollout) return -ERR_NO_MEMORY;
    int r = store_rollout_of(tx, agent, environment, 0, run->arena, rollout, err);
    if (r < 0) return r;
    *ret = r == STORE_NONE ? NULL : rollout;
    return 0;
}

int check_robot_may(struct op_run *run, struct store_tx *tx, struct err *err) {
    bool held;
    struct panic panic;
    if (!run->call->principal.robot) return 0;
    int r = is_held(run, tx, run->agent, run->environment, &held, err);
    if (r < 0) return r;
    if (held) return err_set(err, ERR_HELD, "%s in %s is held by a person", run->agent, run->environment);
    r = store_panic_get(tx, run->agent, run->environment, 0, run->arena, &panic, err);
    if (r == STORE_NONE) r = store_panic_get(tx, "", run->environment, 0, run->arena, &panic, err);
    if (r < 0 || r == STORE_NONE) return r < 0 ? r : 0;
    r = err_set(err, ERR_HELD, "a panic is in force on %s in %s", run->agent, run->environment);
    err_remedy(err, "Release the panic first: `serin unpanic`");
    return r;
}

/* ---- making a move ---- */

static int moving_begin(struct op_run *run, struct store_tx *tx, struct moving **ret, struct err *err) {
    struct moving *moving = *ret = run->plan = run_alloc(run, sizeof(*moving), err);
    if (!moving) return -ERR_NO_MEMORY;
    int r = need_rollout(run, tx, &moving->rollout, err);
    return r < 0 ? r : is_held(run, tx, run->agent, run->environment, &moving->held, err);
}

/* Lays the move over the rollout, as it will stand. */
static void settle(struct op_run *run, struct moving *moving, int64_t at, int64_t seq) {
    struct rollout_move *move = &moving->move;
    struct rollout *rollout = &moving->rollout;
    bool stays = rollout->step == move->step && rollout->share == move->share;
    move->rollout = rollout->id;
    move->created_by = run_by(run);
    move->created_at = at;
    move->seq = seq;
    rollout->state = move->state;
    rollout->step = move->step;
    rollout->share = move->share;
    if (!stays) rollout->step_at = at;
    rollout->words = move->words;
    rollout->moved_by = move->created_by;
    rollout->moved_at = at;
    rollout->moved_seq = seq;
}

/* Plans the move to another state, at the same step; nothing when it stands so already. */
static int plan_state(struct op_run *run, struct moving *moving, enum rollout_state state, const char *action,
                      struct err *err) {
    const struct rollout *rollout = &moving->rollout;
    run->unchanged = rollout->state == state;
    if (run->unchanged) return 0;
    int r = sm_check(&rollout_sm, (int)rollout->state, (int)state, err);
    if (r < 0) {
        err_at(err, "rollout");
        return r;
    }
    moving->move = (struct rollout_move){
        .state = state,
        .step = rollout->step,
        .share = rollout_is_open(state) ? rollout->share : 0,
        .action = action,
        .words = run->reason,
    };
    return 0;
}

static int plan_promotion(struct op_run *run, struct store_tx *tx, struct moving *moving, struct err *err) {
    int r = plan_state(run, moving, ROLLOUT_PROMOTED, "promote", err);
    if (r < 0 || run->unchanged) return r;
    struct deployment current;
    r = current_ref(run, tx, run->agent, run->environment, &current, err);
    if (r < 0) return r;
    moving->deployment = (struct deployment){
        .agent = run->agent,
        .environment = run->environment,
        .version = moving->rollout.candidate,
        .previous = current.version,
        .kind = DEPLOYMENT_PROMOTE,
        .reason = run->reason,
        .created_by = run_by(run),
    };
    return run_uuid(run, &moving->deployment.id, err);
}

static int stored_plan(struct op_run *run, const struct moving *moving, struct rollout_plan *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    const char *text = moving->rollout.plan;
    int r = json_parse(text, strlen(text), JSON_DEPTH_MAX, &json, err);
    if (r == 0) r = rollout_plan_parse(json, "", false, run->arena, ret, &faults, err);
    if (r == 0 && faults.errors)
        r = err_set(err, ERR_STORE_CORRUPT, "the plan of rollout %s cannot be read", moving->rollout.id);
    return r;
}

static int wrong_step(const char *at, struct err *err, const struct moving *moving, size_t count) {
    int r = moving->rollout.step + 1 >= count
                ? err_set(err, ERR_CONFLICT, "the rollout is at its last step, %zu of %zu", count, count)
                : err_set(err, ERR_INVALID, "the step must be a later one: %u to %zu", moving->rollout.step + 2, count);
    err_at(err, "%s", at);
    err_remedy(err,
               moving->rollout.step + 1 >= count ? "Promote it, or abort it" : "Shares only rise; abort it to go back");
    return r;
}

/* To the step with that number, the first being 1. */
static int plan_step(struct op_run *run, struct moving *moving, const struct rollout_plan *plan, int64_t number,
                     struct err *err) {
    const struct rollout *rollout = &moving->rollout;
    if (rollout->state != ROLLOUT_RUNNING) {
        int r = err_set(err, ERR_CONFLICT, "the rollout is %s; only a running one goes on to a step",
                        rollout_state_name(rollout->state));
        err_at(err, "rollout");
        if (rollout_is_open(rollout->state))
            err_remedy(err, "Resume it first: `serin rollout resume %s -e %s`", run->agent, run->environment);
        return r;
    }
    if (number <= (int64_t)rollout->step + 1 || number > (int64_t)plan->step_count)
        return wrong_step(json_get(run->call->params, "step") ? "/step" : "rollout", err, moving, plan->step_count);
    moving->move = (struct rollout_move){
        .state = ROLLOUT_RUNNING,
        .step = (unsigned)number - 1,
        .share = plan->steps[number - 1].share,
        .action = "advance",
        .words = run->reason,
    };
    return 0;
}

/* What a dry run shows. */
static int planned(struct op_run *run, struct moving *moving, int r) {
    if (r < 0 || run->unchanged) return r;
    int64_t now = clock_wall(run->ops->clock);
    moving->deployment.created_at = now;
    if (run->call->dry_run) settle(run, moving, now, 0);
    moving->held |= moving->sets_hold;
    return 0;
}

static int apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving = run->plan;
    settle(run, moving, run->at, run->position.seq);
    int r = store_rollout_move(tx, &moving->move, err);
    if (r == 0 && moving->deployment.id) {
        moving->deployment.created_at = run->at;
        moving->deployment.seq = run->position.seq;
        r = store_deployment_add(tx, &moving->deployment, err);
    }
    if (r == 0 && moving->sets_hold) r = put_hold(run, tx, run->agent, run->environment, err);
    return r;
}

static void answer(struct op_run *run, struct jw *jw) {
    struct moving *moving = run->plan;
    write_rollout(jw, "rollout", &moving->rollout);
    if (moving->deployment.id) write_deployment(jw, "deployment", &moving->deployment);
    jw_bool(jw, "held", moving->held);
    jw_bool(jw, "changed", !run->unchanged);
}

static void detail(struct op_run *run, struct jw *jw) {
    struct moving *moving = run->plan;
    jw_text(jw, "rollout", moving->rollout.id);
    jw_text(jw, "action", moving->move.action);
    jw_text(jw, "state", rollout_state_name(moving->move.state));
    jw_int(jw, "step", (int64_t)moving->move.step + 1);
    jw_double(jw, "share", moving->move.share / 1000.0);
    if (moving->deployment.id) {
        jw_text(jw, "deployment", moving->deployment.id);
        jw_int(jw, "previous", moving->deployment.previous);
        jw_int(jw, "version", moving->deployment.version);
    }
    if (moving->sets_hold) jw_bool(jw, "held", true);
}

/* clang-format off */
#define MOVED(op) \
    int op_##op##_apply(struct op_run *run, struct store_tx *tx, struct err *err) { return apply(run, tx, err); } \
    void op_##op##_answer(struct op_run *run, struct jw *jw) { answer(run, jw); }
#define DETAILED(op) \
    void op_##op##_detail(struct op_run *run, struct jw *jw) { detail(run, jw); }
MOVED(rollout_pause) DETAILED(rollout_pause)
MOVED(rollout_resume) DETAILED(rollout_resume)
MOVED(rollout_advance) DETAILED(rollout_advance)
MOVED(rollout_promote) DETAILED(rollout_promote)
MOVED(rollout_abort) DETAILED(rollout_abort)
MOVED(rollout_verdict)
    /* clang-format on */

    /* ---- people ---- */

    int op_rollout_pause_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving;
    int r = moving_begin(run, tx, &moving, err);
    return r < 0 ? r : planned(run, moving, plan_state(run, moving, ROLLOUT_PAUSED, "pause", err));
}

int op_rollout_resume_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving;
    int r = moving_begin(run, tx, &moving, err);
    return r < 0 ? r : planned(run, moving, plan_state(run, moving, ROLLOUT_RUNNING, "resume", err));
}

int op_rollout_abort_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving;
    int r = moving_begin(run, tx, &moving, err);
    return r < 0 ? r : planned(run, moving, plan_state(run, moving, ROLLOUT_ABORTED, "abort", err));
}

int op_rollout_promote_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving;
    int r = moving_begin(run, tx, &moving, err);
    return r < 0 ? r : planned(run, moving, plan_promotion(run, tx, moving, err));
}

int op_rollout_advance_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving;
    int r = moving_begin(run, tx, &moving, err);
    if (r < 0) return r;
    struct rollout_plan *plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    r = stored_plan(run, moving, plan, err);
    if (r == 0) r = plan_step(run, moving, plan, run_int(run, "step", (int64_t)moving->rollout.step + 2), err);
    return planned(run, moving, r);
}

/* ---- the controller ---- */

static int waits_for_person(const char *what, struct err *err) {
    int r = err_set(err, ERR_HELD, "%s waits for a person", what);
    err_at(err, "/action");
    return r;
}

static int need_rollout_by_id(struct op_run *run, struct store_tx *tx, struct rollout *ret, struct err *err) {
    const char *id = run_text(run, "rollout");
    int r = store_rollout_get(tx, id, run->arena, ret, err);
    if (r < 0) return r;
    if (r == STORE_NONE) {
        r = err_set(err, ERR_NOT_FOUND, "there is no rollout %s", id);
        err_at(err, "/rollout");
        return r;
    }
    run->agent = ret->agent;
    run->environment = ret->environment;
    return 0;
}

static int check_seen(struct op_run *run, const struct rollout *rollout, struct err *err) {
    if (run_int(run, "expected", -1) == rollout->moved_seq) return 0;
    int r = run_stale(run, rollout->moved_seq, err, "rollout %s was moved since: it is %s by %s", rollout->id,
                      rollout_state_name(rollout->state), rollout->moved_by);
    err_at(err, "/expected");
    return r;
}

static int take_evidence(struct op_run *run, struct moving *moving, struct err *err) {
    const char *text = run_text_or(run, "evidence", "");
    size_t len = strlen(text);
    uint8_t *bytes = run_alloc(run, len / 4 * 3 + 1, err);
    if (!bytes) return -ERR_NO_MEMORY;
    if (!base64_decode(text, len, bytes, &moving->move.evidence.len)) {
        int r = err_set(err, ERR_BAD_REQUEST, "`evidence` must be base64");
        err_at(err, "/evidence");
        return r;
    }
    moving->move.evidence.ptr = (const char *)bytes;
    return sha256_bytes(bytes, moving->move.evidence.len, &moving->evidence_hash) < 0 ? err_no_memory(err) : 0;
}

/* Going on: where no person's word is against it. */
static int plan_going_on(struct op_run *run, struct store_tx *tx, struct moving *moving, bool promote,
                         struct err *err) {
    struct rollout_plan *plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = check_robot_may(run, tx, err);
    if (r == 0) r = stored_plan(run, moving, plan, err);
    if (r < 0) return r;
    if (moving->rollout.state == ROLLOUT_HELD) return waits_for_person("a held rollout", err);
    if (plan->steps[moving->rollout.step].approval) return waits_for_person("this step", err);
    if (!promote) return plan_step(run, moving, plan, (int64_t)moving->rollout.step + 2, err);
    if (plan->on_end == END_ASK) return waits_for_person("the end of this rollout", err);
    return plan_promotion(run, tx, moving, err);
}

static int plan_action(struct op_run *run, struct store_tx *tx, struct moving *moving, struct err *err) {
    const char *action = run_text_or(run, "action", "");
    if (!strcmp(action, "hold")) return plan_state(run, moving, ROLLOUT_HELD, "hold", err);
    if (!strcmp(action, "advance")) return plan_going_on(run, tx, moving, false, err);
    if (!strcmp(action, "promote")) return plan_going_on(run, tx, moving, true, err);
    if (!strcmp(action, "rollback")) {
        moving->sets_hold = true;
        return plan_state(run, moving, ROLLOUT_ROLLED_BACK, "rollback", err);
    }
    int r = err_set(err, ERR_BAD_REQUEST, "`action` must be hold, advance, promote or rollback");
    err_at(err, "/action");
    return r;
}

int op_rollout_verdict_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct moving *moving = run->plan = run_alloc(run, sizeof(*moving), err);
    if (!moving) return -ERR_NO_MEMORY;
    run->reason = run_text_or(run, "words", "");
    int r = need_rollout_by_id(run, tx, &moving->rollout, err);
    if (r == 0) r = is_held(run, tx, run->agent, run->environment, &moving->held, err);
    if (r == 0) r = check_seen(run, &moving->rollout, err);
    if (r == 0) r = plan_action(run, tx, moving, err);
    if (r == 0 && !run->unchanged) r = take_evidence(run, moving, err);
    return planned(run, moving, r);
}

void op_rollout_verdict_detail(struct op_run *run, struct jw *jw) {
    char hash[HASH_TEXT_SIZE];
    sha256_text(&((struct moving *)run->plan)->evidence_hash, hash);
    detail(run, jw);
    jw_text(jw, "evidence", hash);
}

/* ---- the end that another move of the ref brings ---- */

int end_rollout(struct op_run *run, struct store_tx *tx, const struct rollout *rollout, enum rollout_state state,
                struct err *err) {
    if (!rollout) return 0;
    const char *words = arena_printf(run->arena, "%s: %s", run->call->op->name, run->reason);
    if (!words) return err_no_memory(err);
    int r = sm_check(&rollout_sm, (int)rollout->state, (int)state, err);
    if (r < 0) return r;
    struct rollout_move move = {
        .rollout = rollout->id,
        .state = state,
        .step = rollout->step,
        .action = "end",
        .words = words,
        .created_by = run_by(run),
        .created_at = run->at,
        .seq = run->position.seq,
    };
    return store_rollout_move(tx, &move, err);
}
