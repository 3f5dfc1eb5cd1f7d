/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control threads: requests that wait for the disk. The connection is suspended before its request goes into the queue, so a
 * control thread can never resume what is not yet suspended; after the resume the request belongs to its worker again.
 */
#include "http/http_impl.h"

#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

bool control_submit(struct control_pool *pool, struct http_request *request) {
    pthread_mutex_lock(&pool->lock);
    bool taken = !pool->closed && pool->waiting < pool->limit;
    if (taken) {
        MHD_suspend_connection(request->connection->mhd);
        request->step = STEP_CONTROL;
        request->next = NULL;
        if (pool->last)
            pool->last->next = request;
        else
            pool->first = request;
        pool->last = request;
        pool->waiting++;
        pthread_cond_signal(&pool->ready);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

/* NULL when the pool is closed and empty. */
static struct http_request *control_take(struct control_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->closed)
        pthread_cond_wait(&pool->ready, &pool->lock);
    struct http_request *request = pool->first;
    if (request) {
        pool->first = request->next;
        if (!pool->first) pool->last = NULL;
        pool->waiting--;
        pool->running++;
        request->dropped = pool->drop;
    }
    pthread_mutex_unlock(&pool->lock);
    return request;
}

static void control_done(struct control_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->running--;
    pthread_mutex_unlock(&pool->lock);
}

static void *control_run(void *ctx) {
    struct control_pool *pool = ctx;
    const struct http_handler *handler = &pool->server->options.handler;
    thread_give_way();
    for (struct http_request *request; (request = control_take(pool));) {
        if (!request->dropped) handler->control(handler->ctx, request, &request->response);
        request->step = STEP_CONTROL_DONE;
        control_done(pool);
        MHD_resume_connection(request->connection->mhd);
    }
    return NULL;
}

void control_stats(struct control_pool *pool, struct http_stats *ret) {
    pthread_mutex_lock(&pool->lock);
    ret->control_waiting = pool->waiting;
    ret->control_running = pool->running;
    pthread_mutex_unlock(&pool->lock);
}

int control_start(struct control_pool *pool, struct http_server *server, struct err *err) {
    unsigned count = server->options.control_threads;
    pool->server = server;
    pool->limit = server->options.control_queue;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->ready, NULL);
    pool->threads = calloc(count ? count : 1, sizeof(*pool->threads));
    if (!pool->threads) return err_no_memory(err);
    for (; pool->thread_count < count; pool->thread_count++) {
        int errnum = pthread_create(&pool->threads[pool->thread_count], NULL, control_run, pool);
        if (errnum != 0) return err_set_errno(err, ERR_INTERNAL, errnum, "cannot start a control thread");
    }
    return 0;
}

/* What a control thread has begun is finished; what waits is given back unrun. */
void control_stop(struct control_pool *pool) {
    if (!pool->server) return;
    pthread_mutex_lock(&pool->lock);
    pool->closed = pool->drop = true;
    pthread_cond_broadcast(&pool->ready);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pool->thread_count = 0;
}

/* Not before the workers have ended: they still ask the closed pool. */
void control_deinit(struct control_pool *pool) {
    if (!pool->server) return;
    free(pool->threads);
    pthread_cond_destroy(&pool->ready);
    pthread_mutex_destroy(&pool->lock);
}
