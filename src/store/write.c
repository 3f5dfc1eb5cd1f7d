/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. A durable commit costs one fsync however much it holds, so callers share them: whoever finds nobody
 * leading becomes the leader and carries out the jobs of the queue one after the other in one transaction,
 * its own among them; those that come while it works join as long as there is room. Then it commits once, wakes
 * everybody whose job is done, and makes the first of those still waiting the next leader. Nobody is woken in vain and no thread
 * exists for it.
 *
 * A job that fails must not harm its neighbours: it runs under a savepoint, unless it is the first that the transaction keeps,
 * where undoing the whole transaction is the same and cheaper (the usual case, a lone client, pays for no savepoint). When
 * the engine gave up the transaction, or savepoints fail, all jobs kept so far fail with that code.
 *
 * The head is read once, by a statement that also locks its row, moved in memory by each job, and written once before
 * the commit; a job that is undone leaves no trace in it.
 */
#include "store/store_impl.h"

#include <errno.h>
#include <semaphore.h>

#define JOBS_MAX 64

struct write_job {
    store_fn fn;
    void *arg;
    struct err *err;
    int result;
    bool kept;  /* part of the open transaction */
    bool leans; /* saw what that transaction had not committed yet, so its answer stands or falls with it */
    bool lead;  /* woken to lead instead of being done */
    sem_t wake;
    struct write_job *next; /* in the queue, then among the carried out */
};

struct batch {
    struct store *store;
    bool open;              /* a transaction is under way */
    bool broken;            /* no further job may run in it */
    struct head head;       /* as the kept jobs left it */
    struct write_job *done; /* newest first */
    size_t count, kept;
};

static struct write_job *queue_take(struct write_queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    struct write_job *job = queue->first;
    if (job) {
        queue->first = job->next;
        if (!queue->first) queue->end = &queue->first;
        queue->waiting--;
    }
    pthread_mutex_unlock(&queue->mutex);
    return job;
}

static int batch_begin(struct batch *batch, struct err *err) {
    struct db *db = batch->store->writer;

    int r = db_begin(db, err);
    if (r < 0) return r;
    r = tx_read_head(db, "UPDATE head SET id = id WHERE id = 1 RETURNING epoch, seq, at, audit_hash", &batch->head,
                     err);
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    batch->open = true;
    return 0;
}

/* Undoes the whole transaction; every job that it kept gets this failure, and so does every job that was refused, or
 * found nothing to do, because of what it saw there: that never happened. */
static void batch_fail(struct batch *batch, int r, const struct err *why) {
    db_rollback(batch->store->writer);
    batch->open = false;
    batch->kept = 0;
    for (struct write_job *job = batch->done; job; job = job->next) {
        if (!job->kept && !job->leans) continue;
        job->kept = false;
        job->leans = false;
        job->result = r;
        if (job->err) *job->err = *why;
    }
}

static int batch_write_head(struct batch *batch, struct err *err) {
    _cleanup_(db_resetp) struct db_stmt *stmt = NULL;
    const struct head *head = &batch->head;
    char hash[HEX_SIZE];

    int r = db_prepare(batch->store->writer,
                       "UPDATE head SET epoch = $1, seq = $2, at = $3, audit_hash = $4 WHERE id = 1", &stmt, err);
    if (r < 0) return r;
    db_bind_int(stmt, 1, head->position.epoch);
    db_bind_int(stmt, 2, head->position.seq);
    db_bind_int(stmt, 3, head->at);
    bind_hash(stmt, 4, &head->audit_hash, hash);
    return db_step(stmt, err);
}

static void batch_commit(struct batch *batch) {
    struct err err = ERR_INIT;

    if (!batch->open) return;
    if (!batch->kept) {
        db_rollback(batch->store->writer);
        return;
    }
    int r = batch_write_head(batch, &err);
    if (r == 0) r = db_commit(batch->store->writer, &err);
    if (r < 0) batch_fail(batch, r, &err);
}

static int job_check(const struct store_tx *tx, struct err *err) {
    if (tx->failed)
        return err_set(err, (enum err_code) - tx->failed, "a change went on after one of its statements failed");
    if (tx->advanced && !tx->audited) return err_set(err, ERR_INTERNAL, "a change wrote no audit entry");
    return 0;
}

static void job_undo(struct batch *batch, bool guarded) {
    struct err err = ERR_INIT;

    if (!guarded) {
        db_rollback(batch->store->writer);
        batch->open = false;
        return;
    }
    int r = db_rollback_to(batch->store->writer, &err);
    if (r == 0) return;
    batch_fail(batch, r, &err);
    batch->broken = true;
}

static int job_release(struct batch *batch, bool guarded, struct err *err) {
    if (!guarded) return 0;
    int r = db_release(batch->store->writer, err);
    if (r < 0) {
        batch_fail(batch, r, err);
        batch->broken = true;
    }
    return r;
}

/* `err` is never NULL here: neighbours may need its words. */
static int job_run(struct batch *batch, struct write_job *job, struct err *err) {
    bool guarded = batch->kept > 0;

    int r = batch->open ? 0 : batch_begin(batch, err);
    job->leans = guarded;
    if (r == 0 && guarded) r = db_savepoint(batch->store->writer, err);
    if (r < 0) {
        batch->broken = true;
        if (batch->open) batch_fail(batch, r, err);
        return r;
    }
    struct store_tx tx = {.store = batch->store, .db = batch->store->writer, .writing = true, .head = batch->head};
    r = job->fn(job->arg, &tx, err);
    if (r == 0) r = job_check(&tx, err);
    if (r != 0 || !tx.advanced) {
        job_undo(batch, guarded);
        return r;
    }
    r = job_release(batch, guarded, err);
    if (r < 0) return r;
    batch->head = tx.head;
    batch->kept++;
    job->kept = true;
    return 0;
}

/* Wakes everybody whose job was carried out. A job is its owner's again, and may be gone, once its semaphore is posted. */
static void batch_wake(struct batch *batch, const struct write_job *mine) {
    for (struct write_job *job = batch->done, *next; job; job = next) {
        next = job->next;
        if (job != mine) sem_post(&job->wake);
    }
}

static void queue_hand_over(struct write_queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    struct write_job *next = queue->first;
    if (!next) queue->led = false;
    pthread_mutex_unlock(&queue->mutex);
    if (!next) return;
    /* It cannot be taken meanwhile: only a leader takes jobs. */
    next->lead = true;
    sem_post(&next->wake);
}

static void lead(struct store *store, const struct write_job *mine) {
    struct batch batch = {.store = store};
    struct write_job *job;

    while (batch.count < JOBS_MAX && !batch.broken && (job = queue_take(&store->queue))) {
        struct err spare = ERR_INIT;
        job->result = job_run(&batch, job, job->err ? job->err : &spare);
        job->next = batch.done;
        batch.done = job;
        batch.count++;
    }
    batch_commit(&batch);
    batch_wake(&batch, mine);
    queue_hand_over(&store->queue);
}

int store_write(struct store *store, store_fn fn, void *arg, struct err *err) {
    struct write_queue *queue = &store->queue;
    struct write_job job = {.fn = fn, .arg = arg, .err = err};

    sem_init(&job.wake, 0, 0);
    pthread_mutex_lock(&queue->mutex);
    bool leading = !queue->led;
    queue->led = true;
    *queue->end = &job;
    queue->end = &job.next;
    queue->waiting++;
    pthread_mutex_unlock(&queue->mutex);
    if (!leading) {
        while (sem_wait(&job.wake) < 0 && errno == EINTR)
            ;
        leading = job.lead;
    }
    if (leading) lead(store, &job);
    sem_destroy(&job.wake);
    return job.result;
}
