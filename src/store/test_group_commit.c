/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group commit that fails: nobody may keep an answer that leans on it. The first job holds the writer until the other two
 * wait behind it, so that they share a transaction; it looks into the queue to know when.
 */
#include "base/clock.h"
#include "db/db.h"
#include "store/store_impl.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct store *store;
static struct db_fault fault;

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

static _Atomic bool begun; /* the first job has the writer */

static size_t waiting(void) {
    pthread_mutex_lock(&store->queue.mutex);
    size_t count = store->queue.waiting;
    pthread_mutex_unlock(&store->queue.mutex);
    return count;
}

static int wait_for_others(void *arg, struct store_tx *tx, struct err *err) {
    size_t others = *(size_t *)arg;
    begun = true;
    while (waiting() < others)
        sched_yield();
    return 1;
}

static int make_agent(void *arg, struct store_tx *tx, struct err *err) {
    struct agent agent = {.name = "a", .description = "", .created_by = "t"};
    struct position position;
    int r = store_advance(tx, &position, &agent.created_at, err);
    if (r < 0) return r;
    agent.seq = position.seq;
    r = store_agent_put(tx, &agent, err);
    if (r < 0) return r;
    struct audit_entry entry = {.position = position,
                                .at = agent.created_at,
                                .actor = "t",
                                .actor_name = "t",
                                .operation = "agent_put",
                                .agent = "a",
                                .environment = "",
                                .reason = "",
                                .detail = "{}"};
    return store_audit_append(tx, &entry, err);
}

/* Answers 7 when the agent is there already, after arming the fault that ends the common transaction. */
static int find_agent(void *arg, struct store_tx *tx, struct err *err) {
    struct arena arena = ARENA_INIT;
    struct agent agent;
    int r = store_agent_get(tx, "a", &arena, &agent, err);
    arena_deinit(&arena);
    if (arg) fault = (struct db_fault){.calls = 0, .fail_at = 2, .code = ERR_STORE_FULL};
    return r == 0 ? 7 : 8;
}

struct call {
    store_fn fn;
    void *arg;
    int result;
    struct err err;
};

static void *run(void *arg) {
    struct call *call = arg;
    call->result = store_write(store, call->fn, call->arg, &call->err);
    return NULL;
}

/* The calls, each on its own thread, queued in this order. */
static void run_in_order(struct call *calls, size_t count) {
    pthread_t threads[4];
    begun = false;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, &calls[i]), 0);
        while (!begun || (i + 1 < count && waiting() < i))
            sched_yield();
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void test_answers_fall_with_the_transaction_they_saw(void **state) {
    size_t others = 2;
    int armed;
    struct call calls[] = {{wait_for_others, &others}, {make_agent}, {find_agent, &armed}};
    run_in_order(calls, 3);
    assert_int_equal(calls[0].result, 1); /* ran before anything was uncommitted: its answer stands */
    assert_int_equal(calls[1].result, -ERR_STORE_FULL);
    assert_int_equal(calls[2].result, -ERR_STORE_FULL);

    fault = (struct db_fault){0};
    struct call again[] = {{wait_for_others, &others}, {make_agent}, {find_agent}};
    run_in_order(again, 3);
    assert_int_equal(again[1].result, 0);
    assert_int_equal(again[2].result, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers_fall_with_the_transaction_they_saw)};
    struct store_options options = {
        .url = "sqlite::memory:group", .clock = &clock_system, .wrap = wrap, .wrap_ctx = &fault};
    struct err err = ERR_INIT;
    if (store_open(&options, &store, &err) < 0) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    store_close(store);
    return failed;
}
