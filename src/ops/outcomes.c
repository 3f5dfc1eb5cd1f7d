/* SPDX-License-Identifier: Apache-2.0 */
/* What came of decisions, as the store has it: sums, and the failing ones of a rollout. The intake writes them. */
#include "store/outcomes.h"
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MINUTE INT64_C(60000000)
#define CURSOR_SIZE 96

static int save_outcomes(struct op_run *run) {
    if (run->ops->save_outcomes) run->ops->save_outcomes(run->ops->save_outcomes_ctx);
    return 0;
}

/* ---- sums ---- */

static int wrong(const char *name, struct err *err, const char *what) {
    int r = err_set(err, ERR_BAD_REQUEST, "`%s` must be %s", name, what);
    err_at(err, "%s", name);
    return r;
}

static int read_width(const struct op_run *run, int64_t *ret, struct err *err) {
    static const struct {
        const char *name;
        int64_t width;
    } spans[] = {{"minute", MINUTE}, {"hour", 60 * MINUTE}, {"day", 24 * 60 * MINUTE}};
    const char *per = run_text_or(run, "per", spans[0].name);
    for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
        *ret = spans[i].width;
        if (!strcmp(per, spans[i].name)) return 0;
    }
    return wrong("per", err, "minute, hour or day");
}

static int read_time(const struct op_run *run, const char *name, int64_t *time, struct err *err) {
    const char *text = run_text(run, name);
    return !text || clock_from_text(text, time) ? 0 : wrong(name, err, "a time (RFC 3339)");
}

/* "2026-11-23T14:05:00.000000Z/43/candidate" */
static void cursor_write(const struct store_minute *last, char ret[CURSOR_SIZE]) {
    char at[CLOCK_TEXT_SIZE];
    clock_text(last->minute, at);
    snprintf(ret, CURSOR_SIZE, "%s/%" PRId64 "/%s", at, last->version, last->arm);
}

static int cursor_read(struct op_run *run, struct store_sums_query *query, struct err *err) {
    const char *text = run_text(run, "after"), *slash = text ? strchr(text, '/') : NULL;
    const char *arm = slash ? strchr(slash + 1, '/') : NULL;
    if (!text) return 0;
    const char *at = arm ? arena_strndup(run->arena, text, (size_t)(slash - text)) : "";
    const char *version = arm ? arena_strndup(run->arena, slash + 1, (size_t)(arm - slash - 1)) : "";
    if (!at || !version) return err_no_memory(err);
    if (!arm || !clock_from_text(at, &query->after) || !text_to_int(version, 1, OPS_NUMBER_MAX, &query->after_version))
        return wrong("after", err, "the `next` of the page before");
    query->after_arm = arm + 1;
    return 0;
}

static void write_sum(struct jw *jw, const struct store_minute *sum) {
    jw_object(jw, NULL);
    write_time(jw, "at", sum->minute);
    jw_int(jw, "version", sum->version);
    if (*sum->arm) jw_text(jw, "arm", sum->arm);
    jw_int(jw, "outcomes", sum->outcomes);
    jw_int(jw, "errors", sum->errors);
    if (sum->outcomes) jw_double(jw, "error_rate", (double)sum->errors / (double)sum->outcomes);
    if (sum->latencies) jw_double(jw, "latency_ms", (double)sum->latency / (double)sum->latencies / 1000);
    jw_int(jw, "input_tokens", sum->input_tokens);
    jw_int(jw, "output_tokens", sum->output_tokens);
    jw_double(jw, "cost_usd", (double)sum->cost / 1e9);
    jw_int(jw, "up", sum->up);
    jw_int(jw, "down", sum->down);
    jw_int(jw, "tool_errors", sum->tool_errors);
    jw_end_object(jw);
}

int op_outcome_sums_prepare(struct op_run *run, struct err *err) {
    return save_outcomes(run);
}

int op_outcome_sums_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    size_t count, limit = page_limit(run);
    struct store_minute *sums;
    struct store_sums_query query = {.below = INT64_MAX, .limit = limit + 1};
    int r = need_place(run, tx, err);
    if (r == 0) r = read_width(run, &query.width, err);
    if (r == 0) r = read_time(run, "from", &query.from, err);
    if (r == 0) r = read_time(run, "to", &query.below, err);
    if (r == 0) r = cursor_read(run, &query, err);
    if (r < 0) return r;
    query.agent = run->agent;
    query.environment = run->environment;
    r = store_outcome_sums(tx, &query, run->arena, &sums, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    char next[CURSOR_SIZE];
    jw_array(jw, "sums");
    for (size_t i = 0; i < shown; i++)
        write_sum(jw, &sums[i]);
    jw_end_array(jw);
    if (count == shown) return 0;
    cursor_write(&sums[shown - 1], next);
    jw_text(jw, "next", next);
    return 0;
}

/* ---- failures of a rollout ---- */

int op_rollout_failures_prepare(struct op_run *run, struct err *err) {
    return save_outcomes(run);
}

/* The stored text is an object that the intake wrote. */
static int write_failure(struct op_run *run, struct jw *jw, const struct store_failure *failure, struct err *err) {
    const char *text = arena_printf(run->arena, "{\"number\":%" PRId64 ",%s", failure->number, failure->body + 1);
    if (!text) return err_no_memory(err);
    jw_raw(jw, NULL, slice_of(text));
    return 0;
}

int op_rollout_failures_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct rollout rollout;
    size_t count, limit = page_limit(run);
    struct store_failure *failures;
    int r = need_rollout(run, tx, &rollout, err);
    if (r < 0) return r;
    r = store_failures(tx, rollout.id, run_int(run, "before", 0), limit + 1, run->arena, &failures, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "failures");
    for (size_t i = 0; i < shown && r == 0; i++)
        r = write_failure(run, jw, &failures[i], err);
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", failures[shown - 1].number);
    return r;
}
