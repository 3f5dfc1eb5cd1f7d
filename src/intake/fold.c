/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Applying records. What an outcome is evidence of:
 *
 *  - The rollout is the one that it names, or, when it names none, the one that is open where its agent is served.
 *  - The stage is the newest one that began at or before `at`, the time of the decision.
 *  - The arm is the server's: candidate when the unit's bucket lies below that stage's share. A client that says another is counted.
 *  - The version must be that arm's. A unit that saw another one (an override, a pinned session, a panic, a decision made while the share
 *    was changing) says nothing about its arm and is left out, whatever came of it. So is an outcome whose `reason` says that
 *    the bucket did not choose. Both depend on the decision alone and not on its outcome, so leaving them out favours no arm.
 *  - An error without a score counts as the worst score, else the survivors of a failing candidate would look good.
 */
#include "intake/fold_impl.h"

#include "base/json.h"

#include <stdio.h>

enum record { RECORD_BATCH = 1, RECORD_OPEN, RECORD_STAGE, RECORD_CLOSE, RECORD_TICK };

#define BUCKETS UINT64_C(100000)

/* ---- records ---- */

void fold_record_batch(struct str *out, const struct outcomes *batch, const bool *unknown) {
    pack_count(out, RECORD_BATCH);
    pack_count(out, batch->place_count);
    for (size_t i = 0; i < batch->place_count; i++)
        str_add_char(out, (char)unknown[i]);
    pack_text(out, str_slice(&batch->packed));
}

void fold_record_open(struct str *out, const struct fold_rollout *rollout) {
    pack_count(out, RECORD_OPEN);
    pack_text(out, slice_of(rollout->id));
    pack_text(out, slice_of(rollout->agent));
    pack_text(out, slice_of(rollout->environment));
    pack_int(out, rollout->candidate);
    pack_int(out, rollout->stable);
    pack_text(out, slice_of(rollout->plan));
    pack_int(out, rollout->at);
    pack_int(out, rollout->share);
}

void fold_record_stage(struct str *out, const char *rollout, unsigned step, int32_t share, int64_t at) {
    pack_count(out, RECORD_STAGE);
    pack_text(out, slice_of(rollout));
    pack_count(out, step);
    pack_int(out, share);
    pack_int(out, at);
}

void fold_record_close(struct str *out, const char *rollout) {
    pack_count(out, RECORD_CLOSE);
    pack_text(out, slice_of(rollout));
}

void fold_record_tick(struct str *out, int64_t now) {
    pack_count(out, RECORD_TICK);
    pack_int(out, now);
}

/* ---- rollouts ---- */

/* As strcmp(), of a text and a slice. */
static int compare(const char *id, struct slice wanted) {
    size_t i = 0;
    while (i < wanted.len && id[i] && id[i] == wanted.ptr[i])
        i++;
    int other = i < wanted.len ? (unsigned char)wanted.ptr[i] : 0;
    return (unsigned char)id[i] - other;
}

/* Where the rollout of that id stands, or belongs. */
static size_t trial_place(const struct fold *fold, struct slice id) {
    size_t low = 0, high = fold->trial_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(fold->trials[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct trial *find_any(const struct fold *fold, struct slice id) {
    size_t place = trial_place(fold, id);
    bool found = place < fold->trial_count && compare(fold->trials[place]->id, id) == 0;
    return found ? fold->trials[place] : NULL;
}

struct trial *fold_trial(const struct fold *fold, struct slice id) {
    struct trial *trial = find_any(fold, id);
    return trial && !trial->closed ? trial : NULL;
}

struct trial *fold_trial_new(struct fold *fold, const char *id) {
    if (fold->trial_count == fold->trial_capacity) {
        size_t capacity = fold->trial_capacity ? 2 * fold->trial_capacity : 16;
        struct trial **trials = realloc(fold->trials, capacity * sizeof(struct trial *));
        if (!trials) return NULL;
        fold->trials = trials;
        fold->trial_capacity = capacity;
    }
    struct trial *trial = calloc(1, sizeof(*trial));
    if (!trial) return NULL;
    snprintf(trial->id, sizeof(trial->id), "%s", id);
    size_t place = trial_place(fold, slice_of(id));
    memmove(&fold->trials[place + 1], &fold->trials[place], (fold->trial_count - place) * sizeof(struct trial *));
    fold->trials[place] = trial;
    fold->trial_count++;
    return trial;
}

static void trial_free(const struct fold *fold, struct trial *trial) {
    if (trial->evidence) fold->judge->free(trial->evidence);
    arena_deinit(&trial->arena);
    free(trial->plan_text);
    free(trial->runs);
    free(trial->failures);
    free(trial);
}

void fold_trial_drop(struct fold *fold, struct trial *trial) {
    size_t place = trial_place(fold, slice_of(trial->id));
    fold->trial_count--;
    memmove(&fold->trials[place], &fold->trials[place + 1], (fold->trial_count - place) * sizeof(struct trial *));
    trial_free(fold, trial);
}

int fold_new(const struct judge *judge, struct fold **ret) {
    *ret = calloc(1, sizeof(**ret));
    if (!*ret) return -ERR_NO_MEMORY;
    (*ret)->judge = judge;
    return 0;
}

void fold_count_into(struct fold *fold, struct tally *tally) {
    fold->tally = tally;
}

struct fold *fold_free(struct fold *fold) {
    if (!fold) return NULL;
    for (size_t i = 0; i < fold->trial_count; i++)
        trial_free(fold, fold->trials[i]);
    minutes_deinit(&fold->minutes);
    free(fold->trials);
    free(fold);
    return NULL;
}

static enum source source_of(const char *name) {
    static const struct {
        const char *name;
        enum source source;
    } sources[] = {{"error", FROM_ERROR},       {"tool_errors", FROM_TOOL_ERRORS},
                   {"feedback", FROM_FEEDBACK}, {"latency", FROM_LATENCY},
                   {"cost", FROM_COST},         {"tokens", FROM_TOKENS}};
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (!strcmp(sources[i].name, name)) return sources[i].source;
    return strncmp(name, "score.", 6) ? FROM_NOTHING : FROM_SCORE;
}

int trial_plan(struct trial *trial, struct err *err) {
    struct faults faults = FAULTS_INIT;
    _cleanup_(json_decrefp) json_t *json = NULL;
    int r = json_parse(trial->plan_text, strlen(trial->plan_text), JSON_DEPTH_MAX, &json, err);
    if (r == 0) r = rollout_plan_parse(json, "", false, &trial->arena, &trial->plan, &faults, err);
    if (r == 0 && faults.errors)
        r = err_set(err, ERR_INTERNAL, "a rollout's plan is refused: %s", faults.items[0].message);
    faults_deinit(&faults);
    for (size_t i = 0; r == 0 && i < trial->plan.metric_count; i++)
        trial->sources[i] = source_of(trial->plan.metrics[i].name);
    return r;
}

const struct stage *trial_stage(const struct trial *trial, int64_t at) {
    for (size_t i = trial->stage_count; i-- > 0;)
        if (trial->stages[i].at <= at) return &trial->stages[i];
    return NULL;
}

static void add_stage(struct trial *trial, struct stage stage) {
    if (trial->stage_count == FOLD_STAGES_MAX) {
        memmove(trial->stages, trial->stages + 1, sizeof(trial->stages) - sizeof(trial->stages[0]));
        trial->stage_count--;
    }
    trial->stages[trial->stage_count++] = stage;
}

static void copy_name(char *to, size_t size, struct slice from) {
    size_t len = from.len < size ? from.len : size - 1;
    memcpy(to, from.ptr, len);
    to[len] = '\0';
}

static int corrupt(struct err *err) {
    return err_set(err, ERR_STORE_CORRUPT, "a row of the outcomes' log holds what was never written there");
}

static int read_trial(struct trial *trial, struct unpack *from, struct err *err) {
    copy_name(trial->agent, sizeof(trial->agent), unpack_text(from));
    copy_name(trial->environment, sizeof(trial->environment), unpack_text(from));
    trial->candidate = unpack_int(from);
    trial->stable = unpack_int(from);
    struct slice plan = unpack_text(from);
    trial->plan_text = strndup(plan.ptr, plan.len);
    struct stage stage = {.at = unpack_int(from)};
    stage.share = (int32_t)unpack_int(from);
    if (from->failed) return corrupt(err);
    if (!trial->plan_text) return err_no_memory(err);
    int r = trial_plan(trial, err);
    if (r < 0) return r;
    add_stage(trial, stage);
    trial->dirty = true;
    return 0;
}

/* Opening what is open already changes nothing: whoever asks may ask again. */
static int apply_open(struct fold *fold, struct unpack *from, struct err *err) {
    char id[FOLD_ID_MAX + 1];
    struct trial spare = {0};
    copy_name(id, sizeof(id), unpack_text(from));
    struct trial *trial = find_any(fold, slice_of(id));
    bool is_open = trial != NULL;
    if (!is_open) trial = fold_trial_new(fold, id);
    if (!trial) return err_no_memory(err);
    int r = read_trial(is_open ? &spare : trial, from, err);
    if (r == 0 && !is_open) r = fold->judge->make(&trial->plan, trial->stages[0].at, &trial->evidence, err);
    arena_deinit(&spare.arena);
    free(spare.plan_text);
    return r;
}

static int apply_stage(struct fold *fold, struct unpack *from, struct err *err) {
    struct trial *trial = fold_trial(fold, unpack_text(from));
    struct stage stage = {.step = (unsigned)unpack_count(from)};
    stage.share = (int32_t)unpack_int(from);
    stage.at = unpack_int(from);
    if (from->failed || stage.step >= ROLLOUT_STEPS_MAX) return corrupt(err);
    if (!trial) return 0;
    const struct stage *last = &trial->stages[trial->stage_count - 1];
    bool further = stage.step > last->step;
    if (!further && stage.share == last->share) return 0;
    if (stage.at < last->at) stage.at = last->at;
    add_stage(trial, stage);
    if (further) fold->judge->enter(trial->evidence, stage.step, stage.at);
    trial->dirty = true;
    return 0;
}

static int apply_close(struct fold *fold, struct unpack *from, struct err *err) {
    struct trial *trial = fold_trial(fold, unpack_text(from));
    if (from->failed) return corrupt(err);
    if (trial) trial->closed = trial->dirty = true;
    return 0;
}

static int apply_tick(struct fold *fold, struct unpack *from, struct err *err) {
    int64_t now = unpack_int(from);
    if (from->failed) return corrupt(err);
    for (size_t i = 0; i < fold->trial_count; i++) {
        if (fold->trials[i]->closed) continue;
        fold->judge->tick(fold->trials[i]->evidence, now);
        fold->trials[i]->dirty = true;
    }
    return 0;
}

/* ---- outcomes ---- */

/* A place of the batch that is applied, looked up once. */
struct known_place {
    bool looked_up;
    struct trial *trial; /* NULL: no rollout is open there */
    bool unknown;
    int64_t place;                   /* of the minutes */
    struct tally_series *counted[3]; /* by arm */
};

struct applying {
    struct fold *fold;
    struct known_place places[OUTCOME_PLACES_MAX];
    struct minute *minute; /* the one used last */
    struct tally *tally;   /* NULL: they were counted before */
    struct fold_result *result;
};

static struct trial *trial_at(const struct fold *fold, const struct outcome_place *place) {
    if (place->rollout.len) return fold_trial(fold, place->rollout);
    for (size_t i = 0; i < fold->trial_count; i++) {
        struct trial *trial = fold->trials[i];
        if (!trial->closed && slice_equal_text(place->agent, trial->agent) &&
            slice_equal_text(place->environment, trial->environment))
            return trial;
    }
    return NULL;
}

static struct known_place *look_up(struct applying *applying, const struct outcome *outcome) {
    struct known_place *known = &applying->places[outcome->place_index];
    if (known->looked_up) return known;
    known->looked_up = true;
    if (known->unknown) return known;
    known->trial = trial_at(applying->fold, &outcome->place);
    known->place = minutes_place(&applying->fold->minutes, &outcome->place);
    return known;
}

static int count_minute(struct applying *applying, const struct known_place *known, enum outcome_arm arm,
                        const struct outcome *outcome) {
    struct minute_key key = {(uint32_t)known->place, arm, outcome->at - outcome->at % MINUTE};
    struct minute *minute = applying->minute;
    if (known->place < 0) return -ERR_NO_MEMORY;
    if (!minute || minute->key.place != key.place || minute->key.arm != arm || minute->key.minute != key.minute)
        minute = applying->minute = minutes_get(&applying->fold->minutes, &key);
    if (!minute) return -ERR_NO_MEMORY;
    minute_add(minute, outcome);
    return 0;
}

static bool score_of(const struct outcome *outcome, const char *name, double *ret) {
    for (size_t i = 0; i < outcome->score_count; i++) {
        *ret = outcome->scores[i].value;
        if (slice_equal_text(outcome->scores[i].name, name)) return true;
    }
    return false;
}

/* Whether the outcome says something about the metric: its value, or for events 1 when it happened. */
static bool value_of(const struct trial *trial, size_t metric, const struct outcome *outcome, double *ret) {
    bool failed = outcome->has & OUTCOME_HAS(OK) && !outcome->ok;
    uint32_t tokens = OUTCOME_HAS(INPUT_TOKENS) | OUTCOME_HAS(OUTPUT_TOKENS);
    switch (trial->sources[metric]) {
    case FROM_ERROR:
        *ret = failed;
        return true;
    case FROM_TOOL_ERRORS:
        *ret = outcome->tool_errors > 0;
        return true;
    case FROM_FEEDBACK:
        *ret = outcome->has & OUTCOME_HAS(FEEDBACK) && !outcome->feedback_up;
        return true;
    case FROM_LATENCY:
        *ret = outcome->latency_ms;
        return outcome->has & OUTCOME_HAS(LATENCY);
    case FROM_COST:
        *ret = outcome->cost_usd;
        return outcome->has & OUTCOME_HAS(COST);
    case FROM_TOKENS:
        *ret = (double)(outcome->input_tokens + outcome->output_tokens);
        return outcome->has & tokens;
    case FROM_SCORE:
        if (score_of(outcome, trial->plan.metrics[metric].name + 6, ret)) return true;
        *ret = trial->plan.metrics[metric].lower_is_better; /* the worst */
        return failed;
    default:
        return false;
    }
}

static void observe(const struct trial *trial, const struct outcome *outcome, uint32_t had,
                    struct judge_observation *ret) {
    for (size_t i = 0; i < trial->plan.metric_count; i++) {
        double value;
        if (had & 1u << i || !value_of(trial, i, outcome, &value)) continue;
        if (trial->plan.metrics[i].kind == METRIC_EVENT) {
            ret->events |= (uint32_t)(value > 0) << i;
        } else {
            ret->present |= 1u << i;
            ret->values[i] = value;
        }
    }
}

static struct run *find_run(const struct trial *trial, uint64_t run) {
    if (!trial->runs) return NULL;
    struct run_set *set = &trial->runs[run % RUN_SETS];
    for (size_t i = 0; i < RUN_WAYS; i++)
        if (set->ways[i].run == run) return &set->ways[i];
    return NULL;
}

static int remember_run(struct trial *trial, uint64_t run, const struct judge_observation *seen) {
    if (!trial->runs) trial->runs = calloc(RUN_SETS, sizeof(*trial->runs));
    if (!trial->runs) return -ERR_NO_MEMORY;
    struct run_set *set = &trial->runs[run % RUN_SETS];
    struct run *way = find_run(trial, run);
    if (!way) way = &set->ways[set->next++ % RUN_WAYS];
    *way = (struct run){run, seen->unit, seen->at, seen->present, (uint16_t)seen->stage, seen->candidate};
    return 0;
}

static int keep_failure(struct trial *trial, const struct outcome *outcome, enum outcome_arm arm) {
    if (!trial->failures) trial->failures = calloc(FOLD_FAILURES, sizeof(*trial->failures));
    if (!trial->failures) return -ERR_NO_MEMORY;
    struct failure *failure = &trial->failures[trial->failed++ % FOLD_FAILURES];
    *failure = (struct failure){.number = trial->failed,
                                .at = outcome->at,
                                .version = outcome->place.version,
                                .has = outcome->has,
                                .bucket_hash = outcome->bucket_hash,
                                .unit = outcome->unit,
                                .arm = arm,
                                .latency_ms = outcome->latency_ms};
    copy_name(failure->session, sizeof(failure->session), outcome->session);
    copy_name(failure->error_type, sizeof(failure->error_type), outcome->error_type);
    return 0;
}

/* Scores and feedback that follow an outcome. */
static int apply_late(struct applying *applying, struct trial *trial, const struct outcome *outcome,
                      enum outcome_arm *ret) {
    struct run *run = find_run(trial, outcome->run);
    if (!run) {
        trial->counts.unattached++;
        return 0;
    }
    struct judge_observation seen = {
        .candidate = run->candidate, .stage = run->stage, .unit = run->unit, .at = run->at};
    observe(trial, outcome, run->had, &seen);
    run->had |= seen.present;
    trial->counts.late++;
    *ret = run->candidate ? ARM_CANDIDATE : ARM_STABLE;
    return applying->fold->judge->add(trial->evidence, &seen);
}

/* Where no rollout is open, everybody is stable. */
static void count_besides(const struct applying *applying, struct known_place *known, enum outcome_arm arm,
                          const struct outcome *outcome) {
    if (!applying->tally) return;
    if (!known->trial && !outcome->place.rollout.len) arm = ARM_STABLE;
    if (!known->counted[arm]) known->counted[arm] = tally_find(applying->tally, &outcome->place, arm);
    tally_add(known->counted[arm], outcome);
}

/* Whether the bucket chose what the outcome is about; the arm when it did. */
static bool is_evidence(struct applying *applying, struct trial *trial, const struct stage *stage,
                        const struct outcome *outcome, enum outcome_arm *ret) {
    if (!stage) {
        trial->counts.outside++;
        return false;
    }
    if (outcome->reason != OUTCOME_REASON_NOT_GIVEN && outcome->reason != OUTCOME_REASON_ROLLOUT) {
        trial->counts.other_reasons++;
        return false;
    }
    bool candidate = (int64_t)(outcome->bucket_hash * BUCKETS >> 32) < stage->share;
    enum outcome_arm arm = candidate ? ARM_CANDIDATE : ARM_STABLE;
    bool same = outcome->place.version == (candidate ? trial->candidate : trial->stable);
    if (!same || (outcome->arm != ARM_UNKNOWN && outcome->arm != arm)) {
        trial->counts.mismatched++;
        applying->result->mismatched++;
    }
    if (same) *ret = arm;
    return same;
}

static int apply_to_trial(struct applying *applying, struct trial *trial, const struct outcome *outcome,
                          enum outcome_arm *ret) {
    trial->dirty = true;
    if (outcome->at > trial->counts.last_at) trial->counts.last_at = outcome->at;
    if (!(outcome->has & OUTCOME_HAS(OK))) return apply_late(applying, trial, outcome, ret);
    const struct stage *stage = trial_stage(trial, outcome->at);
    if (!is_evidence(applying, trial, stage, outcome, ret)) return 0;
    struct judge_observation seen = {
        .candidate = *ret == ARM_CANDIDATE, .stage = stage->step, .unit = outcome->unit, .at = outcome->at};
    observe(trial, outcome, 0, &seen);
    trial->counts.outcomes[seen.candidate]++;
    applying->result->evidence++;
    int r = applying->fold->judge->add(trial->evidence, &seen);
    if (r == 0 && outcome->run) r = remember_run(trial, outcome->run, &seen);
    if (r == 0 && !outcome->ok) r = keep_failure(trial, outcome, *ret);
    return r;
}

static int apply_outcome(struct applying *applying, const struct outcome *outcome) {
    struct known_place *known = look_up(applying, outcome);
    enum outcome_arm arm = ARM_UNKNOWN;
    applying->result->accepted++;
    applying->result->unknown += known->unknown || (outcome->place.rollout.len && !known->trial);
    if (known->unknown) return 0;
    int r = known->trial ? apply_to_trial(applying, known->trial, outcome, &arm) : 0;
    if (r == 0) r = count_minute(applying, known, arm, outcome);
    if (r == 0) count_besides(applying, known, arm, outcome);
    return r;
}

static int apply_outcomes(struct applying *applying, struct slice bytes, struct err *err) {
    struct outcome_pack pack;
    struct outcome outcome;
    pack.place_count = pack.name_count = 0;
    pack.at = 0;
    int r;
    while ((r = outcome_unpack(&pack, &bytes, &outcome)) == 1) {
        r = apply_outcome(applying, &outcome);
        if (r < 0) return err_no_memory(err);
    }
    return r < 0 ? corrupt(err) : 0;
}

static int apply_batch(struct fold *fold, struct unpack *from, struct tally *tally, struct fold_result *result,
                       struct err *err) {
    struct applying applying = {.fold = fold, .tally = tally, .result = result};

    uint64_t places = unpack_count(from);
    if (places > OUTCOME_PLACES_MAX || places > (uint64_t)(from->end - from->p)) return corrupt(err);
    for (size_t i = 0; i < places; i++)
        applying.places[i].unknown = *from->p++ != 0;
    struct slice bytes = unpack_text(from);
    if (from->failed) return corrupt(err);
    if (tally) tally_begin(tally);
    int r = apply_outcomes(&applying, bytes, err);
    if (tally) tally_end(tally);
    return r;
}

int fold_apply(struct fold *fold, struct slice records, struct fold_result *results, struct err *err) {
    struct unpack from = UNPACK(records);
    int r = 0;
    for (size_t i = 0; from.p < from.end && r == 0; i++) {
        struct fold_result spare = {0};
        struct fold_result *result = results ? &results[i] : &spare;
        switch ((enum record)unpack_count(&from)) {
        case RECORD_BATCH:
            r = apply_batch(fold, &from, results ? fold->tally : NULL, result, err);
            break;
        case RECORD_OPEN:
            r = apply_open(fold, &from, err);
            break;
        case RECORD_STAGE:
            r = apply_stage(fold, &from, err);
            break;
        case RECORD_CLOSE:
            r = apply_close(fold, &from, err);
            break;
        case RECORD_TICK:
            r = apply_tick(fold, &from, err);
            break;
        default:
            r = corrupt(err);
        }
    }
    return r;
}

/* ---- looking ---- */

bool fold_is_full(const struct fold *fold) {
    return fold->minutes.count >= MINUTES_FULL;
}

size_t fold_count(const struct fold *fold) {
    size_t count = 0;
    for (size_t i = 0; i < fold->trial_count; i++)
        count += !fold->trials[i]->closed;
    return count;
}

int fold_each(const struct fold *fold, bool evidence, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
              struct err *err) {
    _cleanup_(str_deinit) struct str bytes = STR_INIT;
    for (size_t i = 0; i < fold->trial_count; i++) {
        const struct trial *trial = fold->trials[i];
        if (trial->closed) continue;
        str_clear(&bytes);
        if (evidence && fold->judge->write(trial->evidence, JUDGE_SHORT, &bytes) < 0) return err_no_memory(err);
        struct fold_view view = {trial->id, trial->agent, trial->environment, trial->counts, str_slice(&bytes)};
        int r = each(ctx, &view);
        if (r != 0) return r;
    }
    return 0;
}
