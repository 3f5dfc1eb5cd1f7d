/* SPDX-License-Identifier: Apache-2.0 */
#include "api/flow.h"

#include "base/hash.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#define THREADS 4
#define DAY FLOW_KEPT

static struct flow *flow;

static int setup(void **state) {
    return flow_new(&flow, NULL);
}

static int teardown(void **state) {
    flow = flow_free(flow);
    return 0;
}

/* ---- decisions as resolve() makes them ---- */

struct asked {
    unsigned agent;
    int64_t version, rollout;
    bool candidate;
};

static void count(struct asked asked) {
    char agent[32];
    int len = snprintf(agent, sizeof(agent), "agent-%05u", asked.agent);
    const struct snapshot_entry entry = {.agent = {agent, (size_t)len}, .environment = SLICE_LIT("production")};
    const struct snapshot_version version = {.number = asked.version};
    const struct snapshot_rollout rollout = {.seq = asked.rollout};
    const struct decision decision = {.entry = &entry,
                                      .version = &version,
                                      .rollout = asked.rollout ? &rollout : NULL,
                                      .candidate = asked.candidate,
                                      .ref = (asked.agent + 1) * UINT64_C(0x9e3779b97f4a7c15)};
    flow_count(flow, &decision);
}

static void count_times(unsigned times, struct asked asked) {
    while (times--)
        count(asked);
}

/* ---- what it comes to ---- */

struct seen {
    struct str text;
    size_t series;
    uint64_t count;
    char last[200];
};

static int see(void *ctx, const struct flow_series *series) {
    struct seen *seen = ctx;
    char line[200];
    snprintf(line, sizeof(line), "%s/%s@%lld %s", series->environment, series->agent, (long long)series->version,
             series->candidate ? "candidate" : "stable");
    assert_true(!seen->series || strcmp(seen->last, line) < 0 || series->version > 9); /* in order, each once */
    memcpy(seen->last, line, sizeof(line));
    if (seen->series < 20) str_printf(&seen->text, "%s %llu\n", line, (unsigned long long)series->count);
    seen->series++;
    seen->count += series->count;
    return 0;
}

static void assert_series(int64_t second, const char *expected) {
    struct seen seen = {0};
    assert_int_equal(flow_each(flow, second, see, &seen), 0);
    assert_string_equal(seen.text.data ? seen.text.data : "", expected);
    str_deinit(&seen.text);
}

static void assert_last(int64_t rollout, int64_t stable, int64_t candidate) {
    int64_t last[2];
    flow_last(flow, rollout, last);
    assert_int_equal(last[0], stable);
    assert_int_equal(last[1], candidate);
}

static void test_series(void **state) {
    assert_series(1, "");
    count_times(3, (struct asked){.agent = 2, .version = 1});
    count_times(2, (struct asked){.agent = 1, .version = 2, .candidate = true});
    count_times(5, (struct asked){.agent = 1, .version = 1});
    count((struct asked){.agent = 1});
    assert_series(2, "production/agent-00001@0 stable 1\nproduction/agent-00001@1 stable 5\n"
                     "production/agent-00001@2 candidate 2\nproduction/agent-00002@1 stable 3\n");
    assert_int_equal(flow_left_out(flow), 0);
}

/* What a rollout counts is told of it alone, and is part of its version's series before and after its end. */
static void test_rollouts(void **state) {
    assert_last(7, 0, 0);
    count((struct asked){.agent = 1, .version = 1}); /* an override, say */
    count((struct asked){.agent = 1, .version = 1, .rollout = 7});
    assert_last(7, 0, 0);
    flow_look(flow, 100);
    assert_last(7, 100, 0);
    count_times(2, (struct asked){.agent = 1, .version = 2, .rollout = 7, .candidate = true});
    count((struct asked){.agent = 2, .version = 1, .rollout = 8});
    flow_look(flow, 101);
    flow_look(flow, 102);
    assert_last(7, 100, 101);
    assert_last(8, 101, 0);
    assert_series(103, "production/agent-00001@1 stable 2\nproduction/agent-00001@2 candidate 2\n"
                       "production/agent-00002@1 stable 1\n");
    flow_forget(flow, 7);
    flow_forget(flow, 7);
    flow_look(flow, 104);
    assert_last(7, 0, 0);
    assert_last(8, 101, 0);
    count((struct asked){.agent = 1, .version = 2, .rollout = 7, .candidate = true}); /* who borrowed it still */
    count((struct asked){.agent = 1, .version = 1});
    assert_series(105, "production/agent-00001@1 stable 3\nproduction/agent-00001@2 candidate 3\n"
                       "production/agent-00002@1 stable 1\n");
}

/* ---- letting go ---- */

static bool serves_version_1(void *ctx, const struct flow_series *series) {
    return series->version == 1;
}

static bool serves_none(void *ctx, const struct flow_series *series) {
    return false;
}

static void test_series_go_a_day_after_they_were_served(void **state) {
    count_times(5, (struct asked){.agent = 1, .version = 1});
    count_times(4, (struct asked){.agent = 1, .version = 2});
    count_times(3, (struct asked){.agent = 1, .version = 2, .rollout = 9});
    flow_look(flow, 1000);
    flow_sweep(flow, 1000 + DAY - 1, serves_version_1, NULL);
    assert_series(1000 + DAY - 1, "production/agent-00001@1 stable 5\nproduction/agent-00001@2 stable 7\n");
    flow_sweep(flow, 1000 + DAY, serves_version_1, NULL); /* what the rollout counted goes together with the rest */
    flow_sweep(flow, 1000 + DAY, serves_version_1, NULL);
    assert_series(1000 + DAY, "production/agent-00001@1 stable 5\n");
    count((struct asked){.agent = 1, .version = 2});
    count((struct asked){.agent = 1, .version = 1});
    assert_series(1001 + DAY, "production/agent-00001@1 stable 6\nproduction/agent-00001@2 stable 1\n");
    flow_sweep(flow, 1000 + 2 * DAY, serves_none, NULL);
    assert_series(1000 + 2 * DAY, "production/agent-00001@1 stable 6\nproduction/agent-00001@2 stable 1\n");
    flow_sweep(flow, 1001 + 2 * DAY, serves_none, NULL);
    assert_series(1001 + 2 * DAY, "");
}

/* More than there is room for: counted together, nothing false of the others; room that comes free is used. */
static void test_too_many(void **state) {
    const unsigned more = 1000;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < FLOW_SERIES_MAX + more; i++)
            count((struct asked){.agent = i, .version = 10});
    struct seen seen = {0};
    assert_int_equal(flow_each(flow, 1, see, &seen), 0);
    assert_int_equal(seen.series, FLOW_SERIES_MAX - 1);
    assert_int_equal(seen.count, 3 * (FLOW_SERIES_MAX - 1));
    assert_int_equal(flow_left_out(flow), 3 * (more + 1));
    str_deinit(&seen.text);
    flow_sweep(flow, 1 + DAY, serves_none, NULL);
    assert_series(1 + DAY, "");
    count_times(2, (struct asked){.agent = FLOW_SERIES_MAX + more - 1, .version = 1});
    assert_series(2 + DAY, "production/agent-132071@1 stable 2\n");
    assert_int_equal(flow_left_out(flow), 3 * (more + 1));
}

/* ---- threads ---- */

#define AGENTS 300u
#define ROUNDS 2000u

static atomic_uint running;

static void *count_all(void *arg) {
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned agent = 0; agent < AGENTS; agent++)
            count((struct asked){.agent = agent, .version = 10, .rollout = agent % 3 ? 0 : 5, .candidate = agent % 2});
    atomic_fetch_sub(&running, 1);
    return NULL;
}

/* Nothing is lost, and nothing goes back, whoever looks meanwhile. */
static void test_threads(void **state) {
    pthread_t threads[THREADS];
    atomic_store(&running, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_all, NULL), 0);
    struct seen before = {0};
    for (int64_t second = 1; atomic_load(&running); second++) {
        struct seen seen = {0};
        assert_int_equal(flow_each(flow, second, see, &seen), 0);
        flow_sweep(flow, second, serves_none, NULL);
        assert_true(seen.series >= before.series && seen.count >= before.count);
        str_deinit(&before.text);
        before = seen;
    }
    str_deinit(&before.text);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct seen seen = {0};
    assert_int_equal(flow_each(flow, 1, see, &seen), 0);
    assert_int_equal(seen.series, AGENTS);
    assert_int_equal(seen.count, (uint64_t)THREADS * ROUNDS * AGENTS);
    str_deinit(&seen.text);
}

static void *count_one(void *arg) {
    count((struct asked){.agent = 1, .version = 1});
    pthread_barrier_wait(arg);
    count((struct asked){.agent = 1, .version = 1});
    return NULL;
}

/* More threads than there are lanes. */
static void test_many_threads(void **state) {
    pthread_t threads[100];
    pthread_barrier_t all;
    pthread_barrier_init(&all, NULL, ARRAY_LEN(threads));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_one, &all), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all);
    assert_series(1, "production/agent-00001@1 stable 200\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_series, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rollouts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_series_go_a_day_after_they_were_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
