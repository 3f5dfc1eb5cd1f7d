/* SPDX-License-Identifier: Apache-2.0 */
/* Many runs, on as many threads as wished, and what they come to. Each run writes its own place of the list, so threads share nothing else. */
#include "simulate/simulate.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 64
#define Z_95 1.959963984540054

const char *fate_name(enum fate fate) {
    static const char *const names[] = {"promoted", "rolled back", "held", "unfinished"};
    return names[fate];
}

/* ---- runs ---- */

struct crew {
    const struct world *world;
    const struct simulate_options *options;
    enum rollout_judge judge;
    struct run_result *results;
    _Atomic int64_t next;
    _Atomic int failure;
};

static void *work(void *ctx) {
    struct crew *crew = ctx;
    for (;;) {
        int64_t i = atomic_fetch_add(&crew->next, 1);
        if (i >= crew->options->runs || atomic_load(&crew->failure)) return NULL;
        int r = simulate_run(crew->world, crew->judge, crew->options->seed, (uint64_t)i, NULL, &crew->results[i], NULL);
        if (r < 0) atomic_store(&crew->failure, r);
    }
}

/* This thread is one of them; without more threads it does all. */
static int run_all(struct crew *crew, struct err *err) {
    pthread_t threads[THREADS_MAX];
    unsigned started = 0, wanted = crew->options->threads < THREADS_MAX ? crew->options->threads : THREADS_MAX;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, work, crew) == 0)
        started++;
    (void)work(crew);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    int r = atomic_load(&crew->failure);
    return r < 0 ? err_no_memory(err) : 0;
}

/* ---- figures ---- */

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The q-quantile, of sorted numbers. */
static int64_t quantile(const int64_t *sorted, int64_t count, double q) {
    int64_t at = (int64_t)ceil(q * (double)count) - 1;
    return count == 0 ? 0 : sorted[at < 0 ? 0 : at];
}

/* Wilson's interval for a share. */
static void share_interval(int64_t hits, int64_t tries, double *ret_low, double *ret_high) {
    double n = (double)tries, p = (double)hits / n, z2 = Z_95 * Z_95;
    double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = Z_95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    *ret_low = hits == 0 ? 0 : middle - half;
    *ret_high = hits == tries ? 1 : middle + half;
}

static void figures_of_fate(const struct run_result *results, int64_t runs, enum fate fate, int64_t *scratch,
                            struct fate_figures *ret) {
    int64_t n = 0;
    for (int64_t i = 0; i < runs; i++)
        if (results[i].fate == fate) scratch[n++] = results[i].units;
    qsort(scratch, (size_t)n, sizeof(*scratch), by_number);
    ret->runs = n;
    ret->units_median = quantile(scratch, n, 0.5);
    ret->units_p90 = quantile(scratch, n, 0.9);
    n = 0;
    for (int64_t i = 0; i < runs; i++)
        if (results[i].fate == fate) scratch[n++] = results[i].time;
    qsort(scratch, (size_t)n, sizeof(*scratch), by_number);
    ret->time_median = quantile(scratch, n, 0.5);
    ret->time_p90 = quantile(scratch, n, 0.9);
    share_interval(n, runs, &ret->low, &ret->high);
}

static void figures_of_rule(const struct run_result *results, int64_t runs, int64_t *scratch,
                            struct rule_figures *ret) {
    ret->runs = runs;
    for (int64_t i = 0; i < runs; i++) {
        ret->units += results[i].units;
        ret->requests += results[i].requests;
        ret->reasons[results[i].reason]++;
        ret->steps[results[i].step]++;
    }
    for (enum fate fate = FATE_PROMOTED; fate < FATES; fate++)
        figures_of_fate(results, runs, fate, scratch, &ret->fates[fate]);
}

int simulate(const struct world *world, const struct simulate_options *options, struct simulation *ret,
             struct err *err) {
    *ret = (struct simulation){0};
    if (options->runs <= 0) return 0;
    _cleanup_(freep) struct run_result *results = calloc((size_t)options->runs, sizeof(*results));
    _cleanup_(freep) int64_t *scratch = calloc((size_t)options->runs, sizeof(*scratch));
    if (!results || !scratch) return err_no_memory(err);
    for (enum rollout_judge judge = JUDGE_EVIDENCE; judge <= JUDGE_RATIO; judge++) {
        if (judge == JUDGE_RATIO && !options->compare) continue;
        struct crew crew = {.world = world, .options = options, .judge = judge, .results = results};
        int r = run_all(&crew, err);
        if (r < 0) return r;
        figures_of_rule(results, options->runs, scratch, &ret->rules[judge]);
    }
    return 0;
}
