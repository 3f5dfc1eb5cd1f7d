/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. A durable commit costs one fsync however much it holds, so callers share them: whoever finds nobody
 * leading becomes the leader and carries out the jobs of the queue one after the other in one transaction,
 * its own among them; those that come while it works join as long as there is room. Then it commits once, wakes
 * everybody whose job is done, and makes the first of those still waiting the next leader. Nobody is woken in vain and no thread
 * exists for it.
 *
 * A job that fails must not harm its neighbours. Most fail in a check, before they write anything, and leave nothing to undo;
 * after one that did write, the transaction is begun anew and what the others wrote is written again (redo.c). When that
 * fails too, or the commit does, all jobs kept so far fail with that code.
 *
 * The head is read once, by a statement that also locks its row, moved in memory by each job, and written once before
 * the commit; a job that is undone leaves no trace in it.
 */
#include "base/failpoint.h"
#include "store/store_impl.h"

#include <errno.h>
#include <semaphore.h>

#define JOBS_MAX 64
#define REDO_MAX (4 * 1024 * 1024) /* bytes of notes after which no further job joins */

struct write_job {
    store_fn fn;
    void *arg;
    struct err *err;
    int result;
    bool kept;   /* part of the open transaction */
    bool leans;  /* saw what that transaction had not committed yet, so its answer stands or falls with it */
    bool lead;   /* woken to lead instead of being done */
    bool record; /* no change: it takes no position */
    sem_t wake;
    struct write_job *next; /* in the queue, then among the carried out */
};

struct batch {
    struct store *store;
    bool open;   /* a transaction is under way */
    bool broken; /* no further job may run in it */
    bool moved;  /* a kept job took a position */
    struct redo redo;
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

    FAILPOINT(write_begin);
    int r = db_begin(db, err);
    if (r < 0) return r;
    r = tx_read_head(db, "UPDATE head SET id = id WHERE id = 1 RETURNING epoch, seq, at, audit_hash", &batch->head,
                     err);
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    batch->open = true;
    FAILPOINT(write_begun);
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
    struct store_tx tx = {.db = batch->store->writer, .redo = &batch->redo, .advanced = true};
    const struct head *head = &batch->head;

    return tx_write(
        &tx, "UPDATE head SET epoch = $1, seq = $2, at = $3, audit_hash = $4 WHERE id = 1",
        PARAMS(P_INT(head->position.epoch), P_INT(head->position.seq), P_INT(head->at), P_HASH(&head->audit_hash)),
        err);
}

static void batch_commit(struct batch *batch) {
    struct err err = ERR_INIT;

    if (!batch->open) return;
    if (!batch->kept) {
        db_rollback(batch->store->writer);
        return;
    }
    FAILPOINT(write_finished);
    int r = batch->moved ? batch_write_head(batch, &err) : 0;
    FAILPOINT(write_commit);
    if (r == 0) r = db_commit(batch->store->writer, &err);
    FAILPOINT(write_committed);
    if (r < 0) batch_fail(batch, r, &err);
}

static int job_check(const struct store_tx *tx, struct err *err) {
    if (tx->failed)
        return err_set(err, (enum err_code) - tx->failed, "a change went on after one of its statements failed");
    if (tx->advanced && !tx->audited) return err_set(err, ERR_INTERNAL, "a change wrote no audit entry");
    return 0;
}

/* Takes back what was written after `mark`, and a transaction that a failed statement may have spoilt. A failure means that the
 * others could not be written again. */
static int job_undo(struct batch *batch, const struct store_tx *tx, struct redo_entry **mark, struct err *err) {
    struct head head = batch->head;
    struct err why = ERR_INIT;

    if (redo_mark(&batch->redo) == mark && !tx->failed) return 0;
    redo_cut(&batch->redo, mark);
    db_rollback(batch->store->writer);
    batch->open = false;
    if (!batch->kept) return 0;
    int r = batch_begin(batch, &why);
    if (r == 0) r = redo_run(&batch->redo, batch->store->writer, &why);
    batch->head = head;
    if (r == 0) return 0;
    batch_fail(batch, r, &why);
    batch->broken = true;
    *err = why;
    return r;
}

/* `err` is never NULL here. */
static int job_run(struct batch *batch, struct write_job *job, struct err *err) {
    int r = batch->open ? 0 : batch_begin(batch, err);
    if (r < 0) {
        batch->broken = true;
        return r;
    }
    job->leans = batch->kept > 0;
    struct redo_entry **mark = redo_mark(&batch->redo);
    struct store_tx tx = {.store = batch->store,
                          .db = batch->store->writer,
                          .redo = &batch->redo,
                          .head = batch->head,
                          .record = job->record};
    r = job->fn(job->arg, &tx, err);
    if (r == 0) r = job_check(&tx, err);
    bool wrote = job->record ? redo_mark(&batch->redo) != mark : tx.advanced;
    if (r != 0 || !wrote) {
        int lost = job_undo(batch, &tx, mark, err);
        return lost < 0 ? lost : r;
    }
    batch->head = tx.head;
    batch->moved |= tx.advanced;
    batch->kept++;
    job->kept = true;
    FAILPOINT(write_kept);
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

    redo_init(&batch.redo);
    while (batch.count < JOBS_MAX && batch.redo.arena.used < REDO_MAX && !batch.broken &&
           (job = queue_take(&store->queue))) {
        struct err spare = ERR_INIT;
        job->result = job_run(&batch, job, job->err ? job->err : &spare);
        job->next = batch.done;
        batch.done = job;
        batch.count++;
    }
    batch_commit(&batch);
    redo_deinit(&batch.redo);
    batch_wake(&batch, mine);
    queue_hand_over(&store->queue);
}

static int write_by(struct store *store, store_fn fn, void *arg, bool record, struct err *err) {
    struct write_queue *queue = &store->queue;
    struct write_job job = {.fn = fn, .arg = arg, .err = err, .record = record};

    int r = store_admit(store, err);
    if (r < 0) return r;
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

int store_write(struct store *store, store_fn fn, void *arg, struct err *err) {
    return write_by(store, fn, arg, false, err);
}

int store_record(struct store *store, store_fn fn, void *arg, struct err *err) {
    return write_by(store, fn, arg, true, err);
}
