/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollouts: start, list, show. A rollout is decided whole at its start: its plan is the wish over a template over the defaults, written out with everything it
 * says, so that what a template or a default becomes later changes no rollout that is under way.
 */
#include "base/hash.h"
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SALT_MAX 128

/* ---- as users see them ---- */

static void write_share(struct jw *jw, int32_t share) {
    jw_double(jw, "share", share / 1000.0);
}

/* The stored plan is as rollout_plan_write() made it, so its steps can be counted without understanding it. */
static int64_t count_steps(const char *plan) {
    json_t *json = NULL;
    if (json_parse(plan, strlen(plan), JSON_DEPTH_MAX, &json, NULL) < 0) return 0;
    int64_t count = (int64_t)json_array_size(json_get(json, "steps"));
    json_decref(json);
    return count;
}

void write_rollout(struct jw *jw, const char *key, const struct rollout *rollout) {
    jw_object(jw, key);
    jw_text(jw, "id", rollout->id);
    jw_text(jw, "agent", rollout->agent);
    jw_text(jw, "environment", rollout->environment);
    jw_int(jw, "candidate", rollout->candidate);
    jw_int(jw, "stable", rollout->stable);
    jw_text(jw, "state", rollout_state_name(rollout->state));
    jw_int(jw, "step", (int64_t)rollout->step + 1);
    jw_int(jw, "step_count", count_steps(rollout->plan));
    write_share(jw, rollout->share);
    write_time(jw, "step_at", rollout->step_at);
    jw_text(jw, "salt", rollout->salt);
    if (rollout->audience) jw_raw(jw, "audience", slice_of(rollout->audience));
    jw_raw(jw, "plan", slice_of(rollout->plan));
    jw_text(jw, "reason", rollout->reason);
    jw_text(jw, "by", rollout->created_by);
    write_time(jw, "at", rollout->created_at);
    jw_int(jw, "seq", rollout->seq);
    jw_text(jw, "words", rollout->words);
    jw_text(jw, "moved_by", rollout->moved_by);
    write_time(jw, "moved_at", rollout->moved_at);
    jw_int(jw, "moved_seq", rollout->moved_seq);
    jw_end_object(jw);
}

static int write_evidence(struct op_run *run, struct jw *jw, struct slice evidence, struct err *err) {
    if (!evidence.len) return 0;
    char *text = run_alloc(run, (evidence.len + 2) / 3 * 4 + 1, err);
    if (!text) return -ERR_NO_MEMORY;
    base64_encode(evidence.ptr, evidence.len, text);
    jw_text(jw, "evidence", text);
    return 0;
}

static int write_move(struct op_run *run, struct jw *jw, const struct rollout_move *move, struct err *err) {
    jw_object(jw, NULL);
    jw_text(jw, "action", move->action);
    jw_text(jw, "state", rollout_state_name(move->state));
    jw_int(jw, "step", (int64_t)move->step + 1);
    write_share(jw, move->share);
    jw_text(jw, "words", move->words);
    jw_text(jw, "by", move->created_by);
    write_time(jw, "at", move->created_at);
    jw_int(jw, "seq", move->seq);
    int r = write_evidence(run, jw, move->evidence, err);
    jw_end_object(jw);
    return r;
}

/* ---- start ---- */

struct start {
    struct rollout rollout;
    struct rollout_plan plan;
    bool held;
};

int run_plan_wish(struct op_run *run, json_t **ret, struct err *err) {
    static const char *const members[] = {"steps",   "analysis", "limits",        "judge", "ratio",
                                          "on_harm", "on_end",   "no_data_after", "guards"};
    json_t *wish = json_object();
    if (!wish) return err_no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_t *value = json_get(run->call->params, members[i]);
        if (!value || json_object_set(wish, members[i], value) == 0) continue;
        json_decref(wish);
        return err_no_memory(err);
    }
    *ret = wish;
    return 0;
}

static int unknown_template(const char *name, struct err *err) {
    int r = err_set(err, ERR_NOT_FOUND, "there is no template \"%s\"", name);
    err_at(err, "/template");
    err_remedy(err, "`serin rollout template list` lists them");
    return r;
}

/* The template that the wish is laid over; no steps and no template named: the usual one. */
static int plan_wished(struct op_run *run, struct store_tx *tx, json_t **ret, struct err *err) {
    const char *name = run_text(run, "template");
    _cleanup_(json_decrefp) json_t *wish = NULL, *below = NULL;
    int r = run_plan_wish(run, &wish, err);
    if (r < 0) return r;
    if (!name && !json_get(wish, "steps")) name = ROLLOUT_TEMPLATE_DEFAULT;
    if (name) {
        struct rollout_template found;
        r = find_template(run, tx, name, &found, err);
        if (r == STORE_NONE) r = unknown_template(name, err);
        if (r == 0) r = json_parse(found.content, strlen(found.content), JSON_DEPTH_MAX, &below, err);
        if (r < 0) return r;
    }
    return rollout_plan_merge(below, wish, ret, err);
}

static int read_plan(struct op_run *run, struct store_tx *tx, bool asks, struct start *start, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    int r = plan_wished(run, tx, &json, err);
    if (r == 0) r = rollout_plan_parse(json, "", asks, run->arena, &start->plan, &run->call->faults, err);
    if (r < 0 || run->call->faults.errors) return r;
    rollout_plan_write(&start->plan, &text);
    start->rollout.plan = text.failed ? NULL : arena_strdup(run->arena, text.data);
    return start->rollout.plan ? 0 : err_no_memory(err);
}

/* Told at the start, where somebody can do something about it; asking checks it again. */
static int check_guards(struct op_run *run, const struct start *start, struct err *err) {
    struct faults *faults = &run->call->faults;
    for (size_t i = 0; i < start->plan.guard_count; i++) {
        struct err why = ERR_INIT;
        char at[32];
        int r = fetch_allow_check(run->ops->outgoing, start->plan.guards[i].url, &why);
        if (r == -ERR_NO_MEMORY) return err_no_memory(err);
        if (r == 0) continue;
        (void)snprintf(at, sizeof(at), "/guards/%zu/url", i);
        struct fault *fault = faults_add(faults, at, "%s", why.message);
        if (!fault) continue;
        fault->code = err_name(why.code);
        fault->remedy = arena_strdup(&faults->arena, err_remedy_text(&why));
    }
    return 0;
}

static int check_open(struct op_run *run, struct store_tx *tx, struct err *err) {
    const struct rollout *open;
    int r = find_open_rollout(run, tx, run->agent, run->environment, &open, err);
    if (r < 0 || !open) return r;
    r = err_set(err, ERR_CONFLICT, "rollout %s of %s@%lld in %s is %s", open->id, run->agent,
                (long long)open->candidate, run->environment, rollout_state_name(open->state));
    err_at(err, "/environment");
    err_remedy(err, "Wait for its end, or abort it: `serin rollout abort %s -e %s`", run->agent, run->environment);
    return r;
}

static int same_as_stable(const struct op_run *run, int64_t version, struct err *err) {
    int r = err_set(err, ERR_INVALID, "%s serves %s@%lld already, so there is nothing to roll out", run->environment,
                    run->agent, (long long)version);
    err_at(err, "/version");
    return r;
}

/* What is served and what is to be tried. */
static int check_versions(struct op_run *run, struct store_tx *tx, struct start *start, struct err *err) {
    struct deployment current;
    struct version candidate;
    int r = current_ref(run, tx, run->agent, run->environment, &current, err);
    if (r < 0) return r;
    if (!current.version) {
        r = err_set(err, ERR_NOT_DEPLOYED, "%s serves no version of %s yet, so there is nothing to compare with",
                    run->environment, run->agent);
        err_at(err, "/environment");
        return r;
    }
    r = need_version(run, tx, run->agent, json_get(run->call->params, "version"), false, &candidate, err);
    if (r < 0) return r;
    if (candidate.number == current.version) return same_as_stable(run, current.version, err);
    start->rollout.candidate = candidate.number;
    start->rollout.stable = current.version;
    return 0;
}

/* The salt that was wished; else that of the last rollout of this candidate here, so that the same users get it; else its own. */
static int choose_salt(struct op_run *run, struct store_tx *tx, struct start *start, struct err *err) {
    const char *wished = run_text(run, "salt");
    if (wished && (!*wished || strlen(wished) > SALT_MAX)) {
        int r = err_set(err, ERR_BAD_REQUEST, "`salt` must be text of 1 to %d bytes", SALT_MAX);
        err_at(err, "/salt");
        return r;
    }
    start->rollout.salt = wished ? wished : start->rollout.id;
    if (wished) return 0;
    struct store_rollouts_query query = {
        .agent = run->agent, .environment = run->environment, .candidate = start->rollout.candidate, .limit = 1};
    struct rollout *before;
    size_t count;
    int r = store_rollouts(tx, &query, run->arena, &before, &count, err);
    if (r == 0 && count) start->rollout.salt = before->salt;
    return r;
}

static void begin(struct op_run *run, struct start *start, int64_t at, int64_t seq) {
    struct rollout *rollout = &start->rollout;
    rollout->agent = run->agent;
    rollout->environment = run->environment;
    rollout->reason = rollout->words = run->reason;
    rollout->created_by = rollout->moved_by = run_by(run);
    rollout->created_at = rollout->moved_at = rollout->step_at = at;
    rollout->seq = rollout->moved_seq = seq;
    rollout->state = ROLLOUT_RUNNING;
    rollout->share = start->plan.steps[0].share;
}

int op_rollout_start_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct start *start = run->plan = run_alloc(run, sizeof(*start), err);
    if (!start) return -ERR_NO_MEMORY;
    struct environment environment;
    int r = need_place(run, tx, err);
    if (r == 0) r = need_environment(run, tx, run->environment, &environment, err);
    if (r == 0) r = check_versions(run, tx, start, err);
    if (r == 0) r = check_open(run, tx, err);
    if (r == 0) r = check_robot_may(run, tx, err);
    if (r == 0) r = read_plan(run, tx, environment.is_protected, start, err);
    if (r == 0 && !run->call->faults.errors) r = check_guards(run, start, err);
    if (r == 0) r = run_audience(run, &start->rollout.audience, err);
    if (r < 0) return r;
    if (run->call->faults.failed) return err_no_memory(err);
    if (run->call->faults.errors) return run_refuse_faults(run, "", err);

    r = run_uuid(run, &start->rollout.id, err);
    if (r == 0) r = choose_salt(run, tx, start, err);
    if (r == 0) r = is_held(run, tx, run->agent, run->environment, &start->held, err);
    begin(run, start, clock_wall(run->ops->clock), 0);
    run->created = true;
    return r;
}

int op_rollout_start_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct start *start = run->plan;
    begin(run, start, run->at, run->position.seq);
    return store_rollout_add(tx, &start->rollout, err);
}

void op_rollout_start_answer(struct op_run *run, struct jw *jw) {
    struct start *start = run->plan;
    write_rollout(jw, "rollout", &start->rollout);
    jw_bool(jw, "held", start->held);
    jw_bool(jw, "changed", true);
}

void op_rollout_start_detail(struct op_run *run, struct jw *jw) {
    const struct rollout *rollout = &((struct start *)run->plan)->rollout;
    jw_text(jw, "rollout", rollout->id);
    jw_int(jw, "candidate", rollout->candidate);
    jw_int(jw, "stable", rollout->stable);
    jw_text(jw, "salt", rollout->salt);
    if (rollout->audience) jw_raw(jw, "audience", slice_of(rollout->audience));
    jw_raw(jw, "plan", slice_of(rollout->plan));
}

/* ---- list and show ---- */

/* A page of those that the key may see. */
static int list_page(struct op_run *run, struct store_tx *tx, struct store_rollouts_query *query, struct jw *jw,
                     struct err *err) {
    size_t count, limit = page_limit(run);
    struct rollout *rollouts;
    query->open = run_bool(run, "open", false);
    query->before = run_int(run, "before", 0);
    query->limit = limit + 1;
    int r = store_rollouts(tx, query, run->arena, &rollouts, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "rollouts");
    for (size_t i = 0; i < shown; i++)
        if (principal_sees(&run->call->principal, slice_of(rollouts[i].environment)))
            write_rollout(jw, NULL, &rollouts[i]);
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", rollouts[shown - 1].seq);
    return 0;
}

int op_rollout_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct agent agent;
    struct environment known;
    struct store_rollouts_query query = {.environment = run_text(run, "environment")};
    int r = need_agent(run, tx, run_text(run, "agent"), &agent, err);
    if (r == 0 && query.environment) r = need_environment(run, tx, query.environment, &known, err);
    query.agent = agent.name;
    return r < 0 ? r : list_page(run, tx, &query, jw, err);
}

/* None, or the one with that id where all that was asked is true of it. */
static int list_one(struct op_run *run, struct store_tx *tx, const char *id, struct jw *jw, struct err *err) {
    struct rollout rollout;
    const char *environment = run_text(run, "environment");
    int r = store_rollout_get(tx, id, run->arena, &rollout, err);
    if (r < 0) return r;
    bool shown = r != STORE_NONE && principal_sees(&run->call->principal, slice_of(rollout.environment)) &&
                 (!environment || !strcmp(environment, rollout.environment)) &&
                 (!run_bool(run, "open", false) || rollout_is_open(rollout.state));
    jw_array(jw, "rollouts");
    if (shown) write_rollout(jw, NULL, &rollout);
    jw_end_array(jw);
    return 0;
}

int op_rollouts_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct environment known;
    struct store_rollouts_query query = {.environment = run_text(run, "environment")};
    const char *id = run_text(run, "id");
    int r = query.environment ? need_environment(run, tx, query.environment, &known, err) : 0;
    if (r < 0) return r;
    return id ? list_one(run, tx, id, jw, err) : list_page(run, tx, &query, jw, err);
}

int op_rollout_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct rollout rollout;
    int r = need_rollout(run, tx, &rollout, err);
    if (r < 0) return r;
    size_t count, limit = page_limit(run);
    struct rollout_move *moves;
    r = store_rollout_moves(tx, rollout.id, run_int(run, "before", 0), limit + 1, run_bool(run, "evidence", false),
                            run->arena, &moves, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    write_rollout(jw, "rollout", &rollout);
    jw_array(jw, "moves");
    for (size_t i = 0; i < shown && r == 0; i++)
        r = write_move(run, jw, &moves[i], err);
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", moves[shown - 1].seq);
    return r;
}

/* ---- how it stands ---- */

#define MOVES_SHOWN 20

static int panic_there(struct op_run *run, struct store_tx *tx, bool *ret, struct err *err) {
    struct panic panic;
    int r = store_panic_get(tx, run->agent, run->environment, 0, run->arena, &panic, err);
    if (r == STORE_NONE) r = store_panic_get(tx, "", run->environment, 0, run->arena, &panic, err);
    *ret = r == 0;
    return r < 0 ? r : 0;
}

static int ask_standing(struct op_run *run, struct store_tx *tx, struct rollout_asked *asked, struct jw *jw,
                        struct err *err) {
    if (!run->ops->standing) return 0;
    int r = is_held(run, tx, run->agent, run->environment, &asked->held, err);
    if (r == 0) r = panic_there(run, tx, &asked->panic, err);
    return r < 0 ? r : run->ops->standing(run->ops->standing_ctx, asked, jw, err);
}

static void write_guard(struct jw *jw, const struct guard *guard, const struct guard_told *told) {
    jw_object(jw, NULL);
    jw_text(jw, "name", guard->name);
    jw_text(jw, "state", guard_state_name(told->seen.state));
    if (isfinite(told->seen.value)) jw_double(jw, "value", told->seen.value);
    if (told->seen.since) write_time(jw, "since", told->seen.since);
    if (told->why[0]) jw_text(jw, "why", told->why);
    jw_end_object(jw);
}

/* As they are seen now; of an ended rollout nobody asks any more. */
static int write_guards(struct op_run *run, const struct rollout *rollout, struct jw *jw, struct err *err) {
    const struct guard_source *source = &run->ops->guards;
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct rollout_plan *plan = run_alloc(run, sizeof(*plan), err);
    struct guard_told told[ROLLOUT_GUARDS_MAX];
    if (!plan) return -ERR_NO_MEMORY;
    if (!source->look || !rollout_is_open(rollout->state)) return 0;
    int r = json_parse(rollout->plan, strlen(rollout->plan), JSON_DEPTH_MAX, &json, err);
    if (r == 0) r = rollout_plan_parse(json, "", false, run->arena, plan, &faults, err);
    if (r < 0 || faults.errors || !plan->guard_count) return r;
    source->look(source->ctx, plan->guards, plan->guard_count, told);
    jw_array(jw, "guards");
    for (size_t i = 0; i < plan->guard_count; i++)
        write_guard(jw, &plan->guards[i], &told[i]);
    jw_end_array(jw);
    return 0;
}

int op_rollout_status_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct rollout rollout;
    struct rollout_asked asked = {.rollout = &rollout, .now = clock_wall(run->ops->clock)};
    struct rollout_move *moves;
    size_t count;
    int r = need_rollout(run, tx, &rollout, err);
    if (r < 0) return r;
    r = store_rollout_moves(tx, rollout.id, 0, MOVES_SHOWN, true, run->arena, &moves, &count, err);
    if (r < 0) return r;
    for (size_t i = 0; i < count && !asked.verdict.len; i++)
        asked.verdict = moves[i].evidence;
    write_rollout(jw, "rollout", &rollout);
    r = ask_standing(run, tx, &asked, jw, err);
    if (r == 0) r = write_guards(run, &rollout, jw, err);
    jw_array(jw, "moves");
    for (size_t i = 0; i < count && r == 0; i++) {
        moves[i].evidence = (struct slice){0};
        r = write_move(run, jw, &moves[i], err);
    }
    jw_end_array(jw);
    return r;
}
