/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What buckets are for, over many users: shares within chance, ramps in which nobody leaves, and agents, and flags beside rollouts, that choose independently of one another. The seed is
 * printed; TEST_SEED repeats a run. Bounds are at 5 standard deviations, and for sums of chi-squares at about one run in a million.
 */
#include "base/json.h"
#include "flags/flags.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#ifdef SERIN_SANITIZED
#define USERS 50000
#else
#define USERS 1000000
#endif
#define SALTS 100
#define FLAGS 20
#define STEPS 5

static const int32_t shares[STEPS] = {1000, 5000, 25000, 50000, SHARE_ALL};

static uint64_t first_seed(void) {
    const char *given = getenv("TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20261128;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

struct counts {
    uint64_t below[STEPS];     /* users on the candidate at each share */
    uint64_t both, one, other; /* with the salt before, at half: on both candidates, on one of them */
};

/* A salt like a rollout's id, hashed as the snapshot does. */
static struct murmur salted(uint64_t *random) {
    char salt[40];
    int len = snprintf(salt, sizeof(salt), "%016" PRIx64 "-%08" PRIx64, test_random(random), test_random(random) >> 32);
    return murmur_add(murmur_add(MURMUR_START, (struct slice){salt, (size_t)len}), SLICE_LIT("/"));
}

static uint32_t bucket_of(struct murmur salt, struct slice key) {
    uint32_t hash[MURMUR_SEEDS];
    murmur_end(murmur_add(salt, key), hash);
    return (uint32_t)((uint64_t)hash[0] * BUCKETS >> 32);
}

static void count_user(struct counts *counts, uint32_t bucket, uint32_t before) {
    for (size_t s = 0; s < STEPS; s++)
        counts->below[s] += bucket < (uint32_t)shares[s];
    bool one = bucket < BUCKETS / 2, other = before < BUCKETS / 2;
    counts->both += one && other;
    counts->one += one;
    counts->other += other;
}

static void assert_share(uint64_t got, int32_t share) {
    double p = (double)share / SHARE_ALL, expected = USERS * p, deviation = sqrt(USERS * p * (1 - p));
    if (fabs((double)got - expected) > 5 * deviation + 0.5)
        fail_msg("%" PRIu64 " of %d users at a share of %" PRId32, got, USERS, share);
}

/* Chi-square of the table of two agents' arms, one degree of freedom. */
static double chi_square(const struct counts *counts) {
    double n = USERS, a = (double)counts->both, b = (double)counts->one - a, c = (double)counts->other - a,
           d = n - a - b - c;
    return n * (a * d - b * c) * (a * d - b * c) / ((a + b) * (c + d) * (a + c) * (b + d));
}

static void test_shares_and_independence(void **state) {
    static struct murmur salts[SALTS];
    static struct counts counts[SALTS];
    uint64_t random = first_seed(), start = test_random(&random);
    for (size_t i = 0; i < SALTS; i++)
        salts[i] = salted(&random);
    for (uint64_t user = 0; user < USERS; user++) {
        char key[24];
        int len = snprintf(key, sizeof(key), "u%" PRIu64, start % 1000000007 + user);
        uint32_t before = bucket_of(salts[SALTS - 1], (struct slice){key, (size_t)len});
        for (size_t i = 0; i < SALTS; i++) {
            uint32_t bucket = bucket_of(salts[i], (struct slice){key, (size_t)len});
            count_user(counts + i, bucket, before);
            before = bucket;
        }
    }
    double sum = 0;
    for (size_t i = 0; i < SALTS; i++) {
        for (size_t s = 0; s < STEPS; s++)
            assert_share(counts[i].below[s], shares[s]);
        double one = chi_square(counts + i);
        if (one > 25) fail_msg("salts %zu: chi-square %.1f", i, one); /* 5 deviations */
        sum += one;
    }
    print_message("chi-square of %d pairs of agents: %.1f\n", SALTS, sum);
    assert_true(sum > 45 && sum < 190); /* of 100 degrees of freedom: 100 ± 14.1 */
}

/* `{"fractional": [["on", 20], ["off", 80]]}` under a key of its own. */
static struct flag *fifth(size_t number, uint64_t seed) {
    char key[40];
    struct faults faults = FAULTS_INIT;
    struct flag *flag = NULL;
    snprintf(key, sizeof(key), "flag-%" PRIu64 "-%zu", seed % 100000, number);
    json_t *definition = json_pack("{s:s, s:{s:b, s:b}, s:{s:[[s, i], [s, i]]}}", "state", "ENABLED", "variants", "off",
                                   0, "on", 1, "targeting", "fractional", "on", 20, "off", 80);
    const struct flag_source source = {.key = key, .definition = definition, .at = "", .bindings_at = ""};
    assert_int_equal(flag_new(&source, &flag, &faults, NULL), 0);
    assert_non_null(flag->split);
    json_decref(definition);
    faults_deinit(&faults);
    return flag;
}

/* Who is in a flag's fifth says nothing of who is on the candidate, whatever the salt: here a flag for each of some rollouts. */
static void test_flags_and_rollouts_are_independent(void **state) {
    static struct murmur salts[FLAGS];
    static struct counts counts[FLAGS];
    struct flag *flags[FLAGS];
    uint64_t random = first_seed(), seed = test_random(&random);
    double sum = 0;
    for (size_t i = 0; i < FLAGS; i++) {
        salts[i] = salted(&random);
        flags[i] = fifth(i, seed);
    }
    for (uint64_t user = 0; user < USERS; user++) {
        char text[24];
        struct slice key = {text, (size_t)snprintf(text, sizeof(text), "u%" PRIu64, seed % 1000000007 + user)};
        for (size_t i = 0; i < FLAGS; i++) {
            struct flag_result result;
            flag_evaluate_split(flags[i]->split, key, &result);
            bool one = slice_equal_text(flags[i]->variants[result.variant].name, "on"),
                 other = bucket_of(salts[i], key) < BUCKETS / 2;
            counts[i].both += one && other;
            counts[i].one += one;
            counts[i].other += other;
        }
    }
    for (size_t i = 0; i < FLAGS; i++) {
        assert_share(counts[i].one, SHARE_ALL / 5);
        double pair = chi_square(counts + i);
        if (pair > 25) fail_msg("flag and rollout %zu: chi-square %.1f", i, pair);
        sum += pair;
        flag_unref(flags[i]);
    }
    print_message("chi-square of %d flags, each with a rollout: %.1f\n", FLAGS, sum);
    assert_true(sum < 68); /* of 20 degrees of freedom */
}

/* Through the resolver: up a ramp nobody leaves, down it who came last goes first, and a pause or a restart with the same salt moves nobody. */
static void test_ramp(void **state) {
    enum { RAMP = 40, PEOPLE = 2000 };
    static int came[PEOPLE], went[PEOPLE];
    uint64_t seed = first_seed();
    for (int direction = 0; direction < 2; direction++) {
        for (int step = 0; step <= RAMP; step++) {
            int up = direction ? RAMP - step : step;
            const struct rollout rollout = {.id = direction ? "again" : "first",
                                            .candidate = 2,
                                            .salt = "one salt",
                                            .share = SHARE_ALL / RAMP * up,
                                            .state = step % 3 ? ROLLOUT_RUNNING : ROLLOUT_PAUSED,
                                            .seq = direction + 1};
            const struct test_entry entry = {
                .agent = "a", .environment = "e", .version = 1, .seq = 1, .rollout = &rollout};
            struct snapshot *snapshot = test_snapshot_of(&entry, 1);
            for (int i = 0; i < PEOPLE; i++) {
                char key[40];
                int len = snprintf(key, sizeof(key), "%" PRIu64 "-%d", seed, i);
                struct resolve_question question = {SLICE_LIT("a"), SLICE_LIT("e"), {key, (size_t)len}};
                struct decision decision;
                assert_int_equal(resolve(snapshot, &question, &decision), 0);
                if (direction == 0 && decision.candidate && !came[i]) came[i] = up;
                if (direction == 0) assert_int_equal(decision.candidate, came[i] != 0);
                if (direction == 1 && !decision.candidate && !went[i]) went[i] = up + 1;
                if (direction == 1) assert_int_equal(decision.candidate, went[i] == 0);
            }
            snapshot_unref(snapshot);
        }
    }
    for (int i = 0; i < PEOPLE; i++)
        assert_int_equal(went[i], came[i]); /* last in, first out */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_and_independence),
        cmocka_unit_test(test_flags_and_rollouts_are_independent),
        cmocka_unit_test(test_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
