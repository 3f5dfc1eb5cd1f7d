/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread. A round takes what waits, makes one row of the log of it, commits, applies, answers.
 *
 * What was decided inside the transaction (which batches are new) counts only once it is committed. When the commit failed, or nobody knows, memory may
 * be behind the store: it is thrown away and read again, checkpoint and log, before the next round. The windows of instances are
 * written through: the store's row is the truth, memory a cache of it that a failure empties.
 *
 * Owners: a job belongs to its caller, who waits for it; the fold, the cache and the log's numbers to the writer; the queue to its mutex.
 */
#include "intake/intake.h"

#include "base/failpoint.h"
#include "base/thread.h"
#include "intake/window.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>

#define QUEUE_DEFAULT 1024
#define LOG_BYTES_DEFAULT (16u << 20)
#define AGE_DEFAULT INT64_C(60000000)
#define ROUND_JOBS 256
#define ROUND_BYTES (8u << 20)
#define CACHE_SLOTS 1024 /* instances whose window is in memory */
#define REPLAY_ROWS 16
#define KNOWN_SLOTS 4096
#define FORGET_AT_ONCE 500
#define INSTANCE_LIFE INT64_C(691200000000) /* 8 days: a day more than the oldest outcome that is taken */
#define OTLP_LIFE INT64_C(3600000000)       /* an exporter gives up within minutes */
#define SECOND INT64_C(1000000)

enum job_kind { JOB_BATCH, JOB_MOVE, JOB_TICK, JOB_LOOK, JOB_CHECKPOINT, JOB_DIGEST };

struct job {
    enum job_kind kind;
    const struct outcomes *batch;
    bool unknown[OUTCOME_PLACES_MAX];
    const struct str *record; /* JOB_MOVE, JOB_TICK */
    int (*each)(void *ctx, const struct fold_view *view);
    void *ctx;
    struct intake_answer answer;
    struct sha256 digest;
    bool logged; /* its record is in the row of this round */
    int result;
    struct err *err;
    sem_t done;
    struct job *next;
};

struct cached {
    char name[OUTCOME_TEXT_MAX + 1];
    struct window *window; /* NULL: the slot is free */
};

struct intake {
    struct intake_options options;
    pthread_t thread;
    bool started;

    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job *first, **end;
    size_t waiting;
    bool ending;

    /* the writer's */
    struct fold *fold; /* NULL: to be read from the store */
    struct tally *tally;
    int64_t log;      /* the last row */
    size_t log_bytes; /* since the last checkpoint */
    int64_t checkpoint_at, retry_at;
    struct cached cache[CACHE_SLOTS];
    struct str row, packed;

    pthread_mutex_t known_mutex;
    uint64_t known[KNOWN_SLOTS]; /* hashes of versions that exist */

    _Atomic uint64_t batches, outcomes, duplicates, too_old, mismatched, unknown, evidence, busy, checkpoints, failures,
        log_size, rollouts;
};

/* ---- which versions exist ---- */

struct question {
    const struct outcome_place *place;
    bool exists;
};

static int ask_store(void *arg, struct store_tx *tx, struct err *err) {
    struct question *question = arg;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    char agent[NAME_MAX_LEN + 1], environment[NAME_MAX_LEN + 1];
    struct version version;
    struct environment there;
    snprintf(agent, sizeof(agent), "%.*s", (int)question->place->agent.len, question->place->agent.ptr);
    snprintf(environment, sizeof(environment), "%.*s", (int)question->place->environment.len,
             question->place->environment.ptr);
    int r = store_version_get(tx, agent, question->place->version, false, &arena, &version, err);
    if (r == 0) r = store_environment_get(tx, environment, &arena, &there, err);
    question->exists = r == 0;
    return r < 0 ? r : 0;
}

static uint64_t place_hash(const struct outcome_place *place) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const struct slice texts[] = {place->agent,
                                  SLICE_LIT("/"),
                                  place->environment,
                                  SLICE_LIT("@"),
                                  {(const char *)&place->version, sizeof(place->version)}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t j = 0; j < texts[i].len; j++)
            hash = (hash ^ (unsigned char)texts[i].ptr[j]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

/* Versions and environments stay once they are there, so an answer of yes is kept. */
static int find_unknown(struct intake *intake, const struct outcomes *batch, bool *ret, struct err *err) {
    for (size_t i = 0; i < batch->place_count; i++) {
        uint64_t hash = place_hash(&batch->places[i]);
        pthread_mutex_lock(&intake->known_mutex);
        bool known = intake->known[hash % KNOWN_SLOTS] == hash;
        pthread_mutex_unlock(&intake->known_mutex);
        struct question question = {.place = &batch->places[i], .exists = known};
        int r = known ? 0 : store_read(intake->options.store, ask_store, &question, err);
        if (r < 0) return r;
        ret[i] = !question.exists;
        if (known || !question.exists) continue;
        pthread_mutex_lock(&intake->known_mutex);
        intake->known[hash % KNOWN_SLOTS] = hash;
        pthread_mutex_unlock(&intake->known_mutex);
    }
    return 0;
}

/* ---- windows ---- */

static void forget_windows(struct intake *intake) {
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        free(intake->cache[i].window);
        intake->cache[i].window = NULL;
    }
}

static int load_window(const char *name, struct store_tx *tx, struct window *ret, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct store_instance instance;
    int r = store_instance_get(tx, name, &arena, &instance, err);
    ret->low = ret->gap = 0;
    ret->count = 0;
    if (r != 0) return r < 0 ? r : 0;
    ret->low = instance.low;
    ret->gap = instance.gap;
    if (window_unpack(ret, instance.above)) return 0;
    return err_set(err, ERR_STORE_CORRUPT, "the window of an instance cannot be read");
}

static int find_window(struct intake *intake, const char *name, struct store_tx *tx, struct window **ret,
                       struct err *err) {
    uint32_t slot = murmur3_32(name, strlen(name), 0) % CACHE_SLOTS;
    struct cached *cached = &intake->cache[slot];
    if (cached->window && !strcmp(cached->name, name)) {
        *ret = cached->window;
        return 0;
    }
    if (!cached->window) cached->window = malloc(sizeof(*cached->window));
    if (!cached->window) return err_no_memory(err);
    snprintf(cached->name, sizeof(cached->name), "%s", name);
    *ret = cached->window;
    return load_window(name, tx, cached->window, err);
}

static int put_window(struct intake *intake, const char *name, const struct window *window, struct store_tx *tx,
                      struct err *err) {
    str_clear(&intake->packed);
    window_pack(window, &intake->packed);
    if (intake->packed.failed) return err_no_memory(err);
    const struct store_instance instance = {name, window->low, window->gap, str_slice(&intake->packed),
                                            clock_wall(intake->options.clock)};
    return store_instance_put(tx, &instance, err);
}

/* ---- a round ---- */

struct round {
    struct intake *intake;
    struct job *jobs;
};

static int log_batch(struct intake *intake, struct job *job, struct store_tx *tx, struct err *err) {
    struct window *window = NULL;
    int r = find_window(intake, job->batch->instance, tx, &window, err);
    if (r < 0) return r;
    switch (window_take(window, job->batch->batch)) {
    case WINDOW_TAKEN:
        job->answer.duplicate = true;
        return 0;
    case WINDOW_TOO_OLD:
        job->result =
            err_set(job->err, ERR_OUTCOMES_TOO_OLD, "batch %lld of this instance is older than what is kept of it",
                    (long long)job->batch->batch);
        err_at(job->err, "/batch");
        return 0;
    case WINDOW_NEW:
        break;
    }
    fold_record_batch(&intake->row, job->batch, job->unknown);
    job->logged = true;
    return put_window(intake, job->batch->instance, window, tx, err);
}

static int log_jobs(void *arg, struct store_tx *tx, struct err *err) {
    struct round *round = arg;
    struct intake *intake = round->intake;
    int r = 0;
    for (struct job *job = round->jobs; job && r == 0; job = job->next) {
        if (job->kind == JOB_BATCH) r = log_batch(intake, job, tx, err);
        if (!job->record) continue;
        str_add_slice(&intake->row, str_slice(job->record));
        job->logged = true;
    }
    if (r == 0 && intake->row.failed) r = err_no_memory(err);
    if (r < 0 || !intake->row.len) return r;
    const struct store_outcome_log row = {intake->log + 1, clock_wall(intake->options.clock), str_slice(&intake->row)};
    r = store_outcome_log_add(tx, &row, err);
    FAILPOINT(outcomes_logged);
    return r;
}

static void count_batch(struct intake *intake, const struct job *job) {
    const struct fold_result *result = &job->answer.result;
    atomic_fetch_add(&intake->batches, job->logged);
    atomic_fetch_add(&intake->duplicates, job->answer.duplicate);
    atomic_fetch_add(&intake->too_old, job->result == -ERR_OUTCOMES_TOO_OLD);
    atomic_fetch_add(&intake->outcomes, result->accepted);
    atomic_fetch_add(&intake->mismatched, result->mismatched);
    atomic_fetch_add(&intake->unknown, result->unknown);
    atomic_fetch_add(&intake->evidence, result->evidence);
}

static int apply_row(struct intake *intake, struct job *jobs, struct err *err) {
    struct fold_result results[ROUND_JOBS] = {0};
    int r = fold_apply(intake->fold, str_slice(&intake->row), results, err);
    size_t i = 0;
    for (struct job *job = jobs; job && r == 0; job = job->next)
        if (job->logged) job->answer.result = results[i++];
    return r;
}

/* Memory is thrown away, to be read again: it may lack what is in the store. */
static void distrust(struct intake *intake) {
    intake->fold = fold_free(intake->fold);
    forget_windows(intake);
}

static int write_round(struct intake *intake, struct job *jobs, struct err *err) {
    struct round round = {intake, jobs};
    bool any = false;
    str_clear(&intake->row);
    for (struct job *job = jobs; job; job = job->next)
        any |= job->kind == JOB_BATCH || job->record;
    int r = any ? store_record(intake->options.store, log_jobs, &round, err) : 0;
    if (r == 0 && intake->row.len) {
        FAILPOINT(outcomes_committed);
        intake->log++;
        intake->log_bytes += intake->row.len;
        r = apply_row(intake, jobs, err);
        FAILPOINT(outcomes_applied);
    }
    if (r < 0) distrust(intake);
    return r;
}

/* ---- checkpoints ---- */

static int write_checkpoint(void *arg, struct store_tx *tx, struct err *err) {
    struct intake *intake = arg;
    int64_t now = clock_wall(intake->options.clock);
    int r = fold_save(intake->fold, tx, intake->log, err);
    if (r == 0) r = store_instances_forget(tx, "", "", now - INSTANCE_LIFE, FORGET_AT_ONCE, err);
    if (r == 0) r = store_instances_forget(tx, "otlp:", "otlp;", now - OTLP_LIFE, FORGET_AT_ONCE, err);
    FAILPOINT(outcomes_saving);
    return r;
}

static int make_checkpoint(struct intake *intake, struct err *err) {
    int r = store_record(intake->options.store, write_checkpoint, intake, err);
    FAILPOINT(outcomes_checkpointed);
    int64_t now = clock_monotonic(intake->options.clock);
    intake->retry_at = now + SECOND;
    if (r < 0) {
        atomic_fetch_add(&intake->failures, 1);
        /* Committed or not, nobody knows: memory would add the same minutes again. */
        if (r == -ERR_UNKNOWN_OUTCOME) distrust(intake);
        return r;
    }
    fold_saved(intake->fold);
    /* What was forgotten must not live on in the cache. */
    forget_windows(intake);
    intake->log_bytes = 0;
    intake->checkpoint_at = now;
    atomic_fetch_add(&intake->checkpoints, 1);
    return 0;
}

static bool checkpoint_is_due(const struct intake *intake) {
    int64_t now = clock_monotonic(intake->options.clock);
    if (!intake->fold || !intake->log_bytes || now < intake->retry_at) return false;
    return intake->log_bytes >= intake->options.checkpoint_bytes || fold_is_full(intake->fold) ||
           now - intake->checkpoint_at >= intake->options.checkpoint_us;
}

/* ---- from the store ---- */

static int replay(struct intake *intake, struct store_tx *tx, struct err *err) {
    for (size_t count = REPLAY_ROWS; count == REPLAY_ROWS;) {
        _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
        struct store_outcome_log *rows;
        int r = store_outcome_logs(tx, intake->log, REPLAY_ROWS, &arena, &rows, &count, err);
        for (size_t i = 0; i < count && r == 0; i++) {
            r = fold_apply(intake->fold, rows[i].body, NULL, err);
            intake->log = rows[i].id;
            intake->log_bytes += rows[i].body.len;
        }
        if (r < 0) return r;
    }
    return 0;
}

static int read_all(void *arg, struct store_tx *tx, struct err *err) {
    struct intake *intake = arg;
    if (fold_new(intake->options.judge, &intake->fold) < 0) return err_no_memory(err);
    fold_count_into(intake->fold, intake->tally);
    int r = fold_load(intake->fold, tx, &intake->log, err);
    intake->log_bytes = 0;
    return r < 0 ? r : replay(intake, tx, err);
}

static int make_ready(struct intake *intake, struct err *err) {
    if (intake->fold) return 0;
    int r = store_read(intake->options.store, read_all, intake, err);
    if (r < 0) distrust(intake);
    if (r == 0) intake->checkpoint_at = clock_monotonic(intake->options.clock);
    return r;
}

/* ---- the thread ---- */

static void answer(struct intake *intake, struct job *job, int r, const struct err *err) {
    if (r < 0 && (job->result == 0 || job->logged)) {
        job->result = r;
        *job->err = *err;
        job->answer = (struct intake_answer){0};
    } else if (r == 0 && job->kind == JOB_BATCH) {
        count_batch(intake, job);
    }
    sem_post(&job->done); /* the job is its caller's again */
}

/* What only looks, after the round's row is applied. */
static int look(struct intake *intake, struct job *job) {
    if (job->kind == JOB_TICK || job->kind == JOB_LOOK) {
        return job->each ? fold_each(intake->fold, job->kind == JOB_TICK, job->each, job->ctx, job->err) : 0;
    }
    if (job->kind == JOB_CHECKPOINT) return make_checkpoint(intake, job->err);
    return job->kind == JOB_DIGEST ? fold_digest(intake->fold, &job->digest, job->err) : 0;
}

static void do_round(struct intake *intake, struct job *jobs) {
    struct err err = ERR_INIT;
    int r = make_ready(intake, &err);
    if (r == 0) r = write_round(intake, jobs, &err);
    for (struct job *job = jobs, *next; job; job = next) {
        next = job->next;
        if (r == 0 && job->kind != JOB_BATCH) {
            job->result =
                intake->fold ? look(intake, job) : err_set(job->err, ERR_UNAVAILABLE, "outcomes are read again");
            sem_post(&job->done);
            continue;
        }
        answer(intake, job, r, &err);
    }
}

static void show_figures(struct intake *intake) {
    atomic_store(&intake->log_size, intake->log_bytes);
    atomic_store(&intake->rollouts, intake->fold ? fold_count(intake->fold) : 0);
}

/* All that waits, as far as it goes into one round. */
static struct job *take_jobs(struct intake *intake) {
    struct job *jobs = intake->first, *last = NULL;
    size_t count = 0, bytes = 0;
    for (struct job *job = jobs; job && count < ROUND_JOBS && bytes < ROUND_BYTES; job = job->next) {
        bytes += job->batch ? job->batch->packed.len : 0;
        last = job;
        count++;
    }
    if (!last) return NULL;
    intake->first = last->next;
    if (!intake->first) intake->end = &intake->first;
    last->next = NULL;
    intake->waiting -= count;
    return jobs;
}

static void wait_for_work(struct intake *intake) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    if (!intake->first && !intake->ending) pthread_cond_timedwait(&intake->work, &intake->mutex, &until);
}

static void checkpoint_if_due(struct intake *intake) {
    struct err err = ERR_INIT;
    /* What a killed server left in the log waits for nobody's outcome. */
    if (!intake->fold && store_is_open(intake->options.store) && make_ready(intake, &err) < 0 && intake->options.log)
        log_err(intake->options.log, LOG_OUTCOMES_CHECKPOINT, &err);
    if (!checkpoint_is_due(intake)) return;
    if (make_checkpoint(intake, &err) < 0 && intake->options.log)
        log_err(intake->options.log, LOG_OUTCOMES_CHECKPOINT, &err);
}

static void *write_outcomes(void *arg) {
    struct intake *intake = arg;
    thread_give_way();
    for (bool ending = false; !ending;) {
        pthread_mutex_lock(&intake->mutex);
        wait_for_work(intake);
        struct job *jobs = take_jobs(intake);
        ending = intake->ending && !jobs;
        pthread_mutex_unlock(&intake->mutex);
        if (jobs) do_round(intake, jobs);
        checkpoint_if_due(intake);
        show_figures(intake);
    }
    return NULL;
}

/* ---- callers ---- */

static int submit(struct intake *intake, struct job *job, struct err *err) {
    job->err = err;
    pthread_mutex_lock(&intake->mutex);
    bool full = job->kind == JOB_BATCH && intake->waiting >= intake->options.queue, ending = intake->ending;
    if (!full && !ending) {
        sem_init(&job->done, 0, 0);
        *intake->end = job;
        intake->end = &job->next;
        intake->waiting++;
        pthread_cond_signal(&intake->work);
    }
    pthread_mutex_unlock(&intake->mutex);
    if (ending) return err_set(err, ERR_UNAVAILABLE, "this server is ending");
    if (full) {
        atomic_fetch_add(&intake->busy, 1);
        return err_set(err, ERR_OUTCOMES_BUSY, "%zu batches wait already", intake->options.queue);
    }
    while (sem_wait(&job->done) < 0 && errno == EINTR)
        ;
    sem_destroy(&job->done);
    return job->result;
}

int intake_take(struct intake *intake, const struct outcomes *batch, struct intake_answer *ret, struct err *err) {
    struct job job = {.kind = JOB_BATCH, .batch = batch};
    int r = find_unknown(intake, batch, job.unknown, err);
    if (r == 0) r = submit(intake, &job, err);
    *ret = job.answer;
    return r;
}

static int submit_record(struct intake *intake, struct job *job, struct str *record, struct err *err) {
    job->record = record;
    int r = record->failed ? err_no_memory(err) : submit(intake, job, err);
    str_deinit(record);
    return r;
}

int intake_open(struct intake *intake, const struct fold_rollout *rollout, struct err *err) {
    struct job job = {.kind = JOB_MOVE};
    struct str record = STR_INIT;
    fold_record_open(&record, rollout);
    return submit_record(intake, &job, &record, err);
}

int intake_stage(struct intake *intake, const char *rollout, unsigned step, int32_t share, int64_t at,
                 struct err *err) {
    struct job job = {.kind = JOB_MOVE};
    struct str record = STR_INIT;
    fold_record_stage(&record, rollout, step, share, at);
    return submit_record(intake, &job, &record, err);
}

int intake_close(struct intake *intake, const char *rollout, struct err *err) {
    struct job job = {.kind = JOB_MOVE};
    struct str record = STR_INIT;
    fold_record_close(&record, rollout);
    return submit_record(intake, &job, &record, err);
}

int intake_tick(struct intake *intake, int64_t now, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
                struct err *err) {
    struct job job = {.kind = JOB_TICK, .each = each, .ctx = ctx};
    struct str record = STR_INIT;
    fold_record_tick(&record, now);
    return submit_record(intake, &job, &record, err);
}

int intake_look(struct intake *intake, int (*each)(void *ctx, const struct fold_view *view), void *ctx,
                struct err *err) {
    struct job job = {.kind = JOB_LOOK, .each = each, .ctx = ctx};
    return submit(intake, &job, err);
}

int intake_checkpoint(struct intake *intake, struct err *err) {
    struct job job = {.kind = JOB_CHECKPOINT};
    return submit(intake, &job, err);
}

int intake_digest(struct intake *intake, struct sha256 *ret, struct err *err) {
    struct job job = {.kind = JOB_DIGEST};
    int r = submit(intake, &job, err);
    *ret = job.digest;
    return r;
}

/* ---- beginning and end ---- */

static void init_sync(struct intake *intake) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&intake->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&intake->mutex, NULL);
    pthread_mutex_init(&intake->known_mutex, NULL);
    intake->end = &intake->first;
}

int intake_new(const struct intake_options *options, struct intake **ret, struct err *err) {
    struct intake *intake = calloc(1, sizeof(*intake));
    if (!intake) return err_no_memory(err);
    intake->options = *options;
    if (!options->queue) intake->options.queue = QUEUE_DEFAULT;
    if (!options->checkpoint_bytes) intake->options.checkpoint_bytes = LOG_BYTES_DEFAULT;
    if (!options->checkpoint_us) intake->options.checkpoint_us = AGE_DEFAULT;
    init_sync(intake);
    int r = tally_new(&intake->tally, err);
    if (r < 0) {
        (void)intake_free(intake);
        return r;
    }
    int errnum = pthread_create(&intake->thread, NULL, write_outcomes, intake);
    intake->started = errnum == 0;
    if (errnum) {
        (void)intake_free(intake);
        return err_set_errno(err, ERR_INTERNAL, errnum, "starting the thread for outcomes");
    }
    *ret = intake;
    return 0;
}

static void last_checkpoint(struct intake *intake) {
    struct err err = ERR_INIT;
    if (intake->fold && intake->log_bytes && make_checkpoint(intake, &err) < 0 && intake->options.log)
        log_err(intake->options.log, LOG_OUTCOMES_CHECKPOINT, &err);
}

struct intake *intake_free(struct intake *intake) {
    if (!intake) return NULL;
    pthread_mutex_lock(&intake->mutex);
    intake->ending = true;
    pthread_cond_signal(&intake->work);
    pthread_mutex_unlock(&intake->mutex);
    if (intake->started) pthread_join(intake->thread, NULL);
    last_checkpoint(intake);
    distrust(intake);
    tally_free(intake->tally);
    str_deinit(&intake->row);
    str_deinit(&intake->packed);
    pthread_cond_destroy(&intake->work);
    pthread_mutex_destroy(&intake->mutex);
    pthread_mutex_destroy(&intake->known_mutex);
    free(intake);
    return NULL;
}

struct tally *intake_tally(const struct intake *intake) {
    return intake->tally;
}

void intake_stats(const struct intake *intake, struct intake_stats *ret) {
    struct intake *mutable = (struct intake *)(uintptr_t)intake;
    *ret = (struct intake_stats){
        .batches = atomic_load(&intake->batches),
        .outcomes = atomic_load(&intake->outcomes),
        .duplicates = atomic_load(&intake->duplicates),
        .too_old = atomic_load(&intake->too_old),
        .mismatched = atomic_load(&intake->mismatched),
        .unknown = atomic_load(&intake->unknown),
        .evidence = atomic_load(&intake->evidence),
        .busy = atomic_load(&intake->busy),
        .checkpoints = atomic_load(&intake->checkpoints),
        .failures = atomic_load(&intake->failures),
        .log_bytes = atomic_load(&intake->log_size),
        .rollouts = atomic_load(&intake->rollouts),
        .queue = intake->options.queue,
    };
    pthread_mutex_lock(&mutable->mutex);
    ret->waiting = intake->waiting;
    pthread_mutex_unlock(&mutable->mutex);
}
