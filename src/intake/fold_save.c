/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints. Only what has changed is written: of rollouts the whole state, of minutes and failures what is new. That, and cutting the log, is one
 * transaction, so a row of the log is either still there to be applied or in what is read back, never both.
 */
#include "intake/fold_impl.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/jw.h"

#include <inttypes.h>
#include <stdio.h>

#define FORMAT 1

/* ---- a rollout's bytes ---- */

static void pack_run(struct str *out, const struct run *run) {
    pack_word(out, run->run);
    if (!run->run) return;
    pack_word(out, run->unit);
    pack_int(out, run->at);
    pack_count(out, run->had);
    pack_count(out, run->stage);
    pack_count(out, run->candidate);
}

static void pack_runs(struct str *out, const struct run_set *runs) {
    pack_count(out, runs != NULL);
    for (size_t i = 0; runs && i < RUN_SETS; i++) {
        pack_count(out, runs[i].next);
        for (size_t j = 0; runs[i].next && j < RUN_WAYS; j++)
            pack_run(out, &runs[i].ways[j]);
    }
}

static void pack_counts(struct str *out, const struct fold_counts *counts) {
    pack_int(out, counts->outcomes[0]);
    pack_int(out, counts->outcomes[1]);
    pack_int(out, counts->mismatched);
    pack_int(out, counts->outside);
    pack_int(out, counts->other_reasons);
    pack_int(out, counts->late);
    pack_int(out, counts->unattached);
    pack_int(out, counts->last_at);
}

int trial_pack(const struct fold *fold, const struct trial *trial, struct str *out) {
    _cleanup_(str_deinit) struct str evidence = STR_INIT;
    pack_count(out, FORMAT);
    pack_text(out, slice_of(trial->agent));
    pack_text(out, slice_of(trial->environment));
    pack_int(out, trial->candidate);
    pack_int(out, trial->stable);
    pack_text(out, slice_of(trial->plan_text));
    pack_count(out, trial->stage_count);
    for (size_t i = 0; i < trial->stage_count; i++) {
        pack_count(out, trial->stages[i].step);
        pack_int(out, trial->stages[i].share);
        pack_int(out, trial->stages[i].at);
    }
    pack_counts(out, &trial->counts);
    pack_int(out, trial->failed);
    int r = fold->judge->write(trial->evidence, JUDGE_WHOLE, &evidence);
    pack_text(out, str_slice(&evidence));
    pack_runs(out, trial->runs);
    return r < 0 || evidence.failed || out->failed ? -ERR_NO_MEMORY : 0;
}

static void unpack_run(struct unpack *from, struct run *run) {
    *run = (struct run){.run = unpack_word(from)};
    if (!run->run) return;
    run->unit = unpack_word(from);
    run->at = unpack_int(from);
    run->had = (uint32_t)unpack_count(from);
    run->stage = (uint16_t)unpack_count(from);
    run->candidate = unpack_count(from) != 0;
}

static bool unpack_runs(struct unpack *from, struct trial *trial) {
    if (!unpack_count(from)) return true;
    trial->runs = calloc(RUN_SETS, sizeof(*trial->runs));
    for (size_t i = 0; trial->runs && i < RUN_SETS; i++) {
        trial->runs[i].next = (uint32_t)unpack_count(from);
        for (size_t j = 0; trial->runs[i].next && j < RUN_WAYS; j++)
            unpack_run(from, &trial->runs[i].ways[j]);
    }
    return trial->runs != NULL;
}

static void unpack_counts(struct unpack *from, struct fold_counts *counts) {
    counts->outcomes[0] = unpack_int(from);
    counts->outcomes[1] = unpack_int(from);
    counts->mismatched = unpack_int(from);
    counts->outside = unpack_int(from);
    counts->other_reasons = unpack_int(from);
    counts->late = unpack_int(from);
    counts->unattached = unpack_int(from);
    counts->last_at = unpack_int(from);
}

static void unpack_name(struct unpack *from, char *to, size_t size) {
    struct slice text = unpack_text(from);
    from->failed |= text.len >= size;
    if (!from->failed) memcpy(to, text.ptr, text.len);
}

static void unpack_stages(struct unpack *from, struct trial *trial) {
    uint64_t count = unpack_count(from);
    from->failed |= count < 1 || count > FOLD_STAGES_MAX;
    for (uint64_t i = 0; i < count && !from->failed; i++) {
        struct stage *stage = &trial->stages[trial->stage_count++];
        stage->step = (unsigned)unpack_count(from);
        stage->share = (int32_t)unpack_int(from);
        stage->at = unpack_int(from);
    }
}

static int trial_unpack(struct fold *fold, struct trial *trial, struct slice bytes, struct err *err) {
    struct unpack from = UNPACK(bytes);
    from.failed = unpack_count(&from) != FORMAT;
    unpack_name(&from, trial->agent, sizeof(trial->agent));
    unpack_name(&from, trial->environment, sizeof(trial->environment));
    trial->candidate = unpack_int(&from);
    trial->stable = unpack_int(&from);
    struct slice plan = unpack_text(&from);
    unpack_stages(&from, trial);
    unpack_counts(&from, &trial->counts);
    trial->failed = trial->failed_saved = unpack_int(&from);
    struct slice evidence = unpack_text(&from);
    trial->plan_text = strndup(plan.ptr, plan.len);
    if (!trial->plan_text || !unpack_runs(&from, trial)) return err_no_memory(err);
    if (from.failed) return err_set(err, ERR_STORE_CORRUPT, "a checkpoint of a rollout's outcomes cannot be read");
    int r = trial_plan(trial, err);
    return r < 0 ? r : fold->judge->read(&trial->plan, evidence, &trial->evidence, err);
}

/* ---- failures ---- */

static const char *arm_name(enum outcome_arm arm) {
    return arm == ARM_CANDIDATE ? "candidate" : arm == ARM_STABLE ? "stable" : "";
}

void failure_write(const struct failure *failure, struct str *out) {
    struct jw jw = JW_INIT(out);
    char at[CLOCK_TEXT_SIZE];
    clock_text(failure->at, at);
    jw_object(&jw, NULL);
    jw_text(&jw, "at", at);
    jw_int(&jw, "version", failure->version);
    jw_text(&jw, "arm", arm_name(failure->arm));
    jw_printf(&jw, "unit", "%08" PRIx32 "%016" PRIx64, failure->bucket_hash, failure->unit);
    if (failure->has & OUTCOME_HAS(SESSION)) jw_text(&jw, "session", failure->session);
    if (failure->has & OUTCOME_HAS(ERROR_TYPE)) jw_text(&jw, "error_type", failure->error_type);
    if (failure->has & OUTCOME_HAS(LATENCY)) jw_double(&jw, "latency_ms", failure->latency_ms);
    jw_end_object(&jw);
}

/* The first failure that is still in the ring and not in the store. */
static int64_t first_waiting(const struct trial *trial) {
    int64_t oldest = trial->failed - FOLD_FAILURES + 1;
    return trial->failed_saved + 1 > oldest ? trial->failed_saved + 1 : oldest;
}

static int save_failures(const struct trial *trial, struct store_tx *tx, struct err *err) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    int r = 0;
    for (int64_t number = first_waiting(trial); number <= trial->failed && r == 0; number++) {
        str_clear(&body);
        failure_write(&trial->failures[(number - 1) % FOLD_FAILURES], &body);
        r = body.failed ? err_no_memory(err) : store_failure_put(tx, trial->id, number, body.data, err);
    }
    bool some = trial->failed > trial->failed_saved && trial->failed > FOLD_FAILURES;
    return r == 0 && some ? store_failures_cut(tx, trial->id, trial->failed - FOLD_FAILURES, err) : r;
}

/* ---- saving ---- */

static int save_trial(const struct fold *fold, const struct trial *trial, struct store_tx *tx, int64_t log,
                      struct err *err) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    int r = save_failures(trial, tx, err);
    if (r < 0) return r;
    if (trial->closed) return store_checkpoint_remove(tx, trial->id, err);
    if (trial_pack(fold, trial, &body) < 0) return err_no_memory(err);
    return store_checkpoint_put(tx, &(struct store_checkpoint){trial->id, log, str_slice(&body)}, err);
}

static int save_minute(const struct minute_table *table, const struct minute *minute, struct store_tx *tx,
                       struct err *err) {
    const struct fold_place *place = &table->places[minute->key.place];
    const struct store_minute row = {
        .agent = place->agent,
        .environment = place->environment,
        .version = place->version,
        .arm = arm_name(minute->key.arm),
        .minute = minute->key.minute,
        .outcomes = minute->outcomes,
        .errors = minute->errors,
        .latencies = minute->latencies,
        .latency = minute->latency,
        .input_tokens = minute->input_tokens,
        .output_tokens = minute->output_tokens,
        .cost = minute->cost,
        .up = minute->up,
        .down = minute->down,
        .tool_errors = minute->tool_errors,
    };
    return store_minute_add(tx, &row, err);
}

int fold_save(const struct fold *fold, struct store_tx *tx, int64_t log, struct err *err) {
    int r = 0;
    for (size_t i = 0; i < fold->trial_count && r == 0; i++)
        if (fold->trials[i]->dirty) r = save_trial(fold, fold->trials[i], tx, log, err);
    for (size_t i = 0; i < fold->minutes.count && r == 0; i++)
        r = save_minute(&fold->minutes, &fold->minutes.items[i], tx, err);
    if (r == 0) r = store_checkpoint_put(tx, &(struct store_checkpoint){"", log, {NULL, 0}}, err);
    return r < 0 ? r : store_outcome_log_cut(tx, log, err);
}

void fold_saved(struct fold *fold) {
    for (size_t i = fold->trial_count; i-- > 0;) {
        struct trial *trial = fold->trials[i];
        trial->failed_saved = trial->failed;
        trial->dirty = false;
        if (trial->closed) fold_trial_drop(fold, trial);
    }
    minutes_clear(&fold->minutes);
}

int fold_load(struct fold *fold, struct store_tx *tx, int64_t *ret_log, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct store_checkpoint *checkpoints;
    size_t count;
    int r = store_checkpoints(tx, &arena, &checkpoints, &count, err);
    *ret_log = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (!*checkpoints[i].rollout) {
            *ret_log = checkpoints[i].log;
            continue;
        }
        struct trial *trial = fold_trial_new(fold, checkpoints[i].rollout);
        r = trial ? trial_unpack(fold, trial, checkpoints[i].body, err) : err_no_memory(err);
    }
    return r;
}

/* ---- for tests ---- */

static int by_key(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct sha256));
}

static int digest_minutes(const struct minute_table *table, struct str *out) {
    struct sha256 *rows = calloc(table->count + 1, sizeof(*rows));
    int r = rows ? 0 : -ERR_NO_MEMORY;
    for (size_t i = 0; i < table->count && r == 0; i++) {
        const struct minute *m = &table->items[i];
        const struct fold_place *place = &table->places[m->key.place];
        _cleanup_(str_deinit) struct str row = STR_INIT;
        str_printf(&row, "%s %s %" PRId64 " %d %" PRId64, place->agent, place->environment, place->version,
                   (int)m->key.arm, m->key.minute);
        for (const int64_t *sum = &m->outcomes; sum <= &m->tool_errors; sum++)
            pack_int(&row, *sum);
        r = sha256_bytes(row.data, row.len, &rows[i]);
    }
    if (r == 0) qsort(rows, table->count, sizeof(*rows), by_key);
    if (r == 0) str_add(out, rows, table->count * sizeof(*rows));
    free(rows);
    return r;
}

int fold_digest(const struct fold *fold, struct sha256 *ret, struct err *err) {
    _cleanup_(str_deinit) struct str all = STR_INIT;
    int r = digest_minutes(&fold->minutes, &all);
    for (size_t i = 0; i < fold->trial_count && r == 0; i++) {
        const struct trial *trial = fold->trials[i];
        pack_text(&all, slice_of(trial->id));
        pack_count(&all, trial->closed);
        r = trial_pack(fold, trial, &all);
        for (int64_t number = first_waiting(trial); number <= trial->failed; number++)
            failure_write(&trial->failures[(number - 1) % FOLD_FAILURES], &all);
    }
    if (r < 0 || all.failed) return err_no_memory(err);
    return sha256_bytes(all.data, all.len, ret) < 0 ? err_no_memory(err) : 0;
}
