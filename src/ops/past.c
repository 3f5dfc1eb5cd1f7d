/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking back: a snapshot of one agent in one environment as of a position, made from history, and asked by the one
 * resolver.
 */
#include "ops/ops_impl.h"

#include <string.h>

struct past_run {
    const struct ops_past *past;
    struct arena *arena;
    const char *agent, *environment;
    struct resolve_question question;
    struct position position;
    struct snapshot_edit *edit;
};

static int before_history(const struct past_run *run, struct err *err) {
    int r = err_set(err, ERR_BEFORE_HISTORY, "at %s %s served no version of %s", run->past->moment, run->environment,
                    run->agent);
    err_at(err, "at");
    return r;
}

/* A session that had not begun then is none, and rules that read the time read that of the moment. */
static void set_time(struct past_run *run, int64_t at) {
    if (run->question.session_started_at > at) run->question.session_started_at = 0;
    run->question.now = at / 1000000;
}

/* The moment as a position of this history; a position's time is that of its change. */
static int find_position(struct past_run *run, struct store_tx *tx, struct err *err) {
    int64_t at;
    if (clock_from_text(run->past->moment, &at)) {
        set_time(run, at);
        int r = store_position_at(tx, at, &run->position, err);
        return r == STORE_NONE ? before_history(run, err) : r;
    }
    if (!position_from_text(run->past->moment, &run->position))
        return err_set(err, ERR_BAD_REQUEST, "`at` must be a time (RFC 3339) or a position (epoch.seq)");
    int r = store_position_known(tx, run->position, &at, err);
    if (r == 0) set_time(run, at);
    if (r != STORE_NONE) return r;
    r = err_set(err, ERR_POSITION_UNKNOWN, "this store's history has no position %s", run->past->moment);
    err_at(err, "at");
    err_remedy(err, "`serin audit` lists the positions");
    return r;
}

static int need_known(struct past_run *run, struct store_tx *tx, struct err *err) {
    struct agent agent;
    struct environment environment;
    int r = store_agent_get(tx, run->agent, run->arena, &agent, err);
    if (r == STORE_NONE) {
        r = err_set(err, ERR_AGENT_NOT_FOUND, "there is no agent \"%s\"", run->agent);
        err_at(err, "agent");
    }
    if (r < 0) return r;
    r = store_environment_get(tx, run->environment, run->arena, &environment, err);
    if (r == STORE_NONE) {
        r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "there is no environment \"%s\"", run->environment);
        err_at(err, "environment");
    }
    return r;
}

static int load_past(void *arg, struct store_tx *tx, struct err *err) {
    struct past_run *run = arg;
    int r = need_known(run, tx, err);
    if (r < 0) return r;
    r = find_position(run, tx, err);
    if (r < 0) return r;
    if (!run->position.seq) return before_history(run, err);

    r = snapshot_edit_agent(run->edit, run->agent);
    if (r == 0) r = snapshot_edit_environment(run->edit, run->environment);
    if (r < 0) return err_no_memory(err);
    r = live_load_entry(tx, run->edit, run->agent, run->environment, run->position.seq, err);
    if (r == 0) r = live_load_flags(tx, run->edit, run->environment, run->position.seq, err);
    return r == STORE_NONE ? before_history(run, err) : r;
}

/* The snapshot of that moment; the edit is gone afterwards. */
static int snapshot_of_past(struct ops *ops, struct past_run *run, struct snapshot **ret, struct err *err) {
    struct snapshot *empty = NULL;
    if (snapshot_new(&empty) < 0) return err_no_memory(err);
    int r = snapshot_edit_new(empty, &run->edit);
    if (r < 0) {
        snapshot_unref(empty);
        return err_no_memory(err);
    }
    r = store_read(ops->store, load_past, run, err);
    if (r < 0) snapshot_edit_free(run->edit);
    if (r == 0 && snapshot_edit_finish(run->edit, run->position, ret) < 0) r = err_no_memory(err);
    snapshot_unref(empty);
    return r;
}

void ops_write_decision(const struct decision *decision, const struct resolve_question *question, bool explain,
                        struct str *out) {
    struct jw jw = JW_INIT(out);
    if (explain) decision_explain(decision, question, &jw);
    if (!explain) decision_write(decision, out);
}

int ops_resolve_past(struct ops *ops, const struct ops_past *past, struct arena *arena, struct str *out,
                     struct err *err) {
    struct past_run run = {
        .past = past,
        .question = past->question,
        .arena = arena,
        .agent = arena_strndup(arena, past->question.agent.ptr, past->question.agent.len),
        .environment = arena_strndup(arena, past->question.environment.ptr, past->question.environment.len),
    };
    if (!run.agent || !run.environment) return err_no_memory(err);

    struct snapshot *snapshot = NULL;
    int r = snapshot_of_past(ops, &run, &snapshot, err);
    if (r < 0) return r;
    struct decision decision;
    r = resolve(snapshot, &run.question, &decision);
    if (r == 0) ops_write_decision(&decision, &run.question, past->explain, out);
    snapshot_unref(snapshot);
    return r == 0 ? 0 : err_set(err, ERR_INTERNAL, "the past could not be resolved");
}
