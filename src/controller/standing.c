/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the rollout is and which words of people stand against it comes from the store, in the state that is read; only the evidence, the flow of outcomes and the
 * guards are the controller's. So the answer is right about the state also between a move and the look behind it.
 */
#include "controller/standing.h"

#include "controller/journal.h"
#include "controller/loop.h"

#include <math.h>

#define ODDS_MAX 1e9 /* what is more is shown as this */

/* ---- members ---- */

static void write_time(struct jw *jw, const char *key, int64_t at) {
    char text[CLOCK_TEXT_SIZE];
    if (at <= 0) return;
    clock_text(at, text);
    jw_text(jw, key, text);
}

static void write_number(struct jw *jw, const char *key, double number) {
    if (isfinite(number)) jw_double(jw, key, number);
}

/* 412 stands for 412:1; no evidence at all is 0. */
static void write_odds(struct jw *jw, const char *key, double log_value) {
    jw_double(jw, key, isnan(log_value) ? 0 : fmin(exp(log_value), ODDS_MAX));
}

static void write_missing(struct jw *jw, unsigned missing) {
    static const char *const names[] = {"time", "units", "evidence", "guard", "release", "person"};
    jw_array(jw, "missing");
    for (size_t bit = 0; bit < ARRAY_LEN(names); bit++)
        if (missing & 1U << bit) jw_text(jw, NULL, names[bit]);
    jw_end_array(jw);
}

static void write_arm(struct jw *jw, const char *key, const struct arm_figures *arm) {
    jw_object(jw, key);
    jw_int(jw, "units", arm->units);
    jw_int(jw, "events", arm->events);
    write_number(jw, "mean", arm->mean);
    write_number(jw, "p50", arm->p50);
    write_number(jw, "p95", arm->p95);
    write_number(jw, "p99", arm->p99);
    jw_end_object(jw);
}

static void write_metric(struct jw *jw, const struct metric *metric, const struct metric_verdict *seen) {
    static const char *const kinds[] = {[METRIC_EVENT] = "event", [METRIC_SCORE] = "score", [METRIC_SIZE] = "size"};
    jw_object(jw, NULL);
    jw_text(jw, "name", metric->name);
    jw_text(jw, "kind", kinds[metric->kind]);
    write_arm(jw, "stable", &seen->stable);
    write_arm(jw, "candidate", &seen->candidate);
    write_number(jw, "compared", seen->compared.estimate);
    write_number(jw, "low", seen->compared.low);
    write_number(jw, "high", seen->compared.high);
    jw_double(jw, "harm", metric->harm);
    write_odds(jw, "harm_evidence", seen->harm_log);
    jw_double(jw, "accept", seen->accept);
    write_odds(jw, "go_on_evidence", seen->go_on_log);
    jw_bool(jw, "goes_on", seen->goes_on);
    jw_end_object(jw);
}

static void write_next(struct jw *jw, const struct rollout_plan *plan, const struct rollout_facts *facts,
                       const struct verdict *verdict) {
    struct rollout_outlook outlook;
    rollout_look_ahead(plan, facts, verdict, &outlook);
    if (outlook.next == ROLLOUT_WAIT) return;
    jw_object(jw, "next");
    jw_text(jw, "action", rollout_action_name(outlook.next));
    if (outlook.next == ROLLOUT_ADVANCE) jw_double(jw, "share", plan->steps[facts->step + 1].share / 1000.0);
    write_missing(jw, outlook.missing);
    write_time(jw, "time_at", outlook.time_at);
    write_time(jw, "units_at", outlook.units_at);
    write_time(jw, "evidence_at", outlook.evidence_at);
    write_time(jw, "earliest", outlook.earliest);
    if (outlook.missing & MISSING_EVIDENCE && outlook.metric < plan->metric_count)
        jw_text(jw, "metric", plan->metrics[outlook.metric].name);
    write_time(jw, "asks_at", outlook.asks_at);
    jw_end_object(jw);
}

static void write_split(struct jw *jw, const struct rollout_plan *plan, const struct verdict *verdict) {
    jw_object(jw, "split");
    jw_int(jw, "units", verdict->split_units);
    jw_int(jw, "candidates", verdict->split_candidates);
    write_number(jw, "expected", verdict->split_expected);
    write_odds(jw, "evidence", verdict->split_log);
    jw_double(jw, "needed", 1 / plan->alpha_srm);
    jw_end_object(jw);
}

static int write_ruling(struct jw *jw, const struct rollout_plan *plan, const struct rollout_facts *facts,
                        const struct verdict *verdict, const struct rollout_ruling *ruling, struct err *err) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    rollout_words(plan, facts, verdict, ruling, &words);
    if (words.failed) return err_no_memory(err);
    write_time(jw, "as_of", facts->now);
    jw_text(jw, "reason", rollout_reason_name(ruling->reason));
    jw_slice(jw, "says", str_slice(&words));
    jw_text(jw, "remedy", rollout_reason_remedy(ruling->reason));
    return 0;
}

static int write_members(struct jw *jw, const struct rollout_plan *plan, const struct rollout_facts *facts,
                         const struct evidence *evidence, struct err *err) {
    struct verdict verdict;
    analysis_judge(plan, evidence, facts->step, &verdict);
    struct rollout_ruling ruling = rollout_decide(plan, facts, &verdict);
    int r = write_ruling(jw, plan, facts, &verdict, &ruling, err);
    if (r < 0) return r;
    jw_int(jw, "units", verdict.units);
    jw_int(jw, "step_units", verdict.step_units);
    write_odds(jw, "harm_evidence", verdict.harm_log);
    jw_double(jw, "harm_needed", 1 / plan->alpha);
    jw_double(jw, "go_on_needed", 1 / plan->beta);
    jw_array(jw, "metrics");
    for (size_t m = 0; m < verdict.metric_count; m++)
        write_metric(jw, &plan->metrics[m], &verdict.metrics[m]);
    jw_end_array(jw);
    write_split(jw, plan, &verdict);
    /* Else the move itself is next, or what a person says. */
    if (ruling.action == ROLLOUT_WAIT && facts->state != ROLLOUT_HELD) write_next(jw, plan, facts, &verdict);
    return 0;
}

int standing_write(const struct rollout_plan *plan, const struct rollout_facts *facts, struct slice judged,
                   struct jw *jw, struct err *err) {
    _cleanup_(evidence_freep) struct evidence *evidence = NULL;
    int r = judged.len ? evidence_read(plan, judged, &evidence, err) : evidence_new(plan, facts->now, &evidence, err);
    return r < 0 ? r : write_members(jw, plan, facts, evidence, err);
}

/* ---- of a rollout in the store ---- */

static int read_plan(const struct rollout *rollout, struct arena *arena, struct rollout_plan *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    int r = json_parse(rollout->plan, strlen(rollout->plan), JSON_DEPTH_MAX, &json, err);
    if (r < 0) return r;
    r = rollout_plan_parse(json, "", false, arena, ret, &faults, err);
    if (r < 0) return r;
    if (!faults.errors && rollout->step < ret->step_count) return 0;
    return err_set(err, ERR_STORE_CORRUPT, "the plan of rollout %s cannot be read", rollout->id);
}

static int write_open(struct controller *controller, const struct rollout_asked *asked, const struct rollout_plan *plan,
                      struct jw *jw, struct err *err) {
    _cleanup_(str_deinit) struct str judged = STR_INIT;
    struct rollout_facts facts = {0};
    controller_seen(controller, asked->rollout->id, &facts, &judged);
    facts.state = asked->rollout->state;
    facts.step = asked->rollout->step;
    facts.step_at = asked->rollout->step_at;
    facts.moved_at = asked->rollout->moved_at;
    facts.now = asked->now;
    facts.ref_held = asked->held;
    facts.panic = asked->panic;
    facts.may_promote = true;
    return judged.failed ? err_no_memory(err) : standing_write(plan, &facts, str_slice(&judged), jw, err);
}

static int write_ended(const struct rollout_asked *asked, const struct rollout_plan *plan, struct jw *jw,
                       struct err *err) {
    struct journal_entry entry;
    if (!asked->verdict.len) return 0;
    int r = journal_read(plan, asked->verdict, &entry, err);
    return r < 0 ? r : standing_write(plan, &entry.facts, entry.evidence, jw, err);
}

int controller_standing(void *ctx, const struct rollout_asked *asked, struct jw *jw, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct rollout_plan plan;
    int r = read_plan(asked->rollout, &arena, &plan, err);
    if (r < 0) return r;
    return rollout_is_open(asked->rollout->state) ? write_open(ctx, asked, &plan, jw, err)
                                                  : write_ended(asked, &plan, jw, err);
}
