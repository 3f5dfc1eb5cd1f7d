/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken counts once, whatever is killed, resent or out of order; whatever is replayed in another order or twice is found. */
#include "intake/test_world.h"

#include <pthread.h>
#include <stdio.h>

static void test_each_batch_counts_once(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    for (int i = 0; i < 5; i++)
        world_add_item(&items, 50000, 1, OK ",\"latency_ms\":1.5,\"cost_usd\":0.25,\"input_tokens\":3");
    assert_int_equal(world_sent(world, "a", 2, items.data).result.accepted, 5);
    assert_true(world_sent(world, "a", 2, items.data).duplicate);
    assert_false(world_sent(world, "a", 1, items.data).duplicate);
    assert_true(world_sent(world, "a", 1, items.data).duplicate);
    assert_false(world_sent(world, "b", 1, items.data).duplicate);
    world_ok(world, intake_checkpoint(world->intake, &world->err));
    assert_true(world_sent(world, "b", 1, items.data).duplicate);
    struct minutes minutes = {0};
    world_ok(world, store_read(world->store, world_read_minutes, &minutes, &world->err));
    assert_int_equal(minutes.count, 1);
    assert_true(minutes.items[0].outcomes == 15 && minutes.items[0].latency == 15 * 1500 &&
                minutes.items[0].input_tokens == 45);
    assert_true(minutes.items[0].cost == 15 * INT64_C(250000000) && minutes.items[0].errors == 0);
    arena_deinit(&minutes.arena);
    struct intake_stats stats;
    intake_stats(world->intake, &stats);
    assert_true(stats.batches == 3 && stats.duplicates == 3 && stats.outcomes == 15 && stats.checkpoints == 1);
    str_deinit(&items);
}

static void test_a_gap_given_up_is_refused(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    struct intake_answer answer;
    world_add_item(&items, 1, 1, OK);
    for (int64_t batch = 2; batch <= 1026; batch++)
        world_sent(world, "a", batch + (batch == 1026), items.data);
    assert_int_equal(world_send(world, "a", 1, items.data, &answer), -ERR_OUTCOMES_TOO_OLD);
    assert_string_equal(world->err.at, "/batch");
    world_kill_and_start(world);
    assert_int_equal(world_send(world, "a", 1, items.data, &answer), -ERR_OUTCOMES_TOO_OLD);
    assert_true(world_sent(world, "a", 1027, items.data).duplicate);
    assert_false(world_sent(world, "a", 1026, items.data).duplicate);
    str_deinit(&items);
}

static void test_the_server_chooses_the_arm(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    world_open_rollout(world, "r-1", "support", NOW - 9000 * SECOND);
    world_add_item(&items, 24999, 2, OK);                            /* candidate */
    world_add_item(&items, 25001, 1, FAILED);                        /* stable */
    world_add_item(&items, 24998, 2, OK ",\"arm\":\"stable\"");      /* candidate, whatever it says */
    world_add_item(&items, 60000, 1, OK ",\"rollout\":\"r-1\"");     /* stable, named */
    world_add_item(&items, 60000, 2, FAILED);                        /* saw the other version: left out */
    world_add_item(&items, 100, 1, OK);                              /* the same */
    world_add_item(&items, 100, 2, OK ",\"reason\":\"OVERRIDE\"");   /* its bucket did not choose */
    world_add_item(&items, 60000, 1, OK ",\"rollout\":\"r-other\""); /* not open */
    struct intake_answer answer = world_sent(world, "a", 1, items.data);
    assert_int_equal(answer.result.accepted, 8);
    assert_int_equal(answer.result.mismatched, 3);
    assert_int_equal(answer.result.unknown, 1);
    assert_int_equal(answer.result.evidence, 4);
    struct seen seen = world_tick(world);
    assert_int_equal(seen.count, 1);
    assert_true(seen.sums.units[0] == 2 && seen.sums.units[1] == 2 && seen.sums.errors[0] == 1 &&
                seen.sums.errors[1] == 0);
    assert_true(seen.counts.mismatched == 3 && seen.counts.other_reasons == 1 &&
                seen.counts.last_at == INT64_C(1792995200000000));
    str_deinit(&items);
}

static int show_arm(void *ctx, const struct tally_series *series) {
    static const char *const arms[] = {"none", "stable", "candidate"};
    str_printf(ctx, "%s@%lld %s %llu+%llu; ", series->agent, (long long)series->version, arms[series->arm],
               (unsigned long long)series->ok, (unsigned long long)series->failed);
    return 0;
}

static void assert_arms(struct world *world, const char *expected) {
    struct str text = STR_INIT;
    assert_int_equal(tally_each(intake_tally(world->intake), show_arm, &text), 0);
    assert_string_equal(text.data ? text.data : "", expected);
    str_deinit(&text);
}

/* As the metrics show them: each when it is taken, and not again when the log is read. */
static void test_arms_are_counted_once(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    world_add_item(&items, 60000, 1, OK);
    world_sent(world, "a", 1, items.data);
    world_open_rollout(world, "r-1", "support", NOW - 9000 * SECOND);
    world_add_item(&items, 24999, 2, FAILED);                        /* candidate */
    world_add_item(&items, 100, 1, OK);                              /* saw the other version */
    world_add_item(&items, 60000, 1, OK ",\"rollout\":\"r-other\""); /* not open */
    world_add_item(&items, 60000, 7, OK);                            /* no such version */
    world_sent(world, "a", 2, items.data);
    assert_true(world_sent(world, "a", 2, items.data).duplicate);
    assert_arms(world, "support@1 none 2+0; support@1 stable 2+0; support@2 candidate 0+1; ");
    world_kill_and_start(world);
    assert_arms(world, "");
    world_sent(world, "a", 3, items.data);
    assert_arms(world, "support@1 none 2+0; support@1 stable 1+0; support@2 candidate 0+1; ");
    str_deinit(&items);
}

static void test_shares_of_their_time(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    world_open_rollout(world, "r-1", "support", NOW - 3600 * SECOND);
    /* The outcomes' time is 4,800 s before NOW: before the start; then the second stage begins before them. */
    world_add_item(&items, 30000, 1, OK);
    world_open_rollout(world, "r-0", "other", NOW - 9000 * SECOND);
    world_ok(world, intake_stage(world->intake, "r-0", 1, 50000, NOW - 6000 * SECOND, &world->err));
    world_ok(world, intake_stage(world->intake, "r-0", 2, 100000, NOW - 1000 * SECOND, &world->err));
    world_sent(world, "a", 1, items.data);
    str_clear(&items);
    world_add_item(&items, 30000, 2, OK ",\"rollout\":\"r-0\"");
    world_add_item(&items, 60000, 1, OK ",\"rollout\":\"r-0\"");
    assert_int_equal(world_sent(world, "a", 2, items.data).result.evidence, 2);
    world_ok(world, intake_close(world->intake, "r-0", &world->err));
    assert_int_equal(world_sent(world, "a", 3, items.data).result.unknown, 2);
    struct seen seen = world_tick(world);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.counts.outside, 1);
    str_deinit(&items);
}

static void test_scores(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    world_open_rollout(world, "r-1", "support", NOW - 3600 * SECOND);
    world_ok(world, intake_stage(world->intake, "r-1", 0, 25001, NOW - 3600 * SECOND, &world->err));
    world_ok(world, intake_close(world->intake, "r-1", &world->err));
    world_open_rollout(world, "r-0", "x", NOW - 9000 * SECOND);
    world_add_item(&items, 10, 2, OK ",\"rollout\":\"r-0\",\"run\":\"run-1\"");
    world_add_item(&items, 11, 2, FAILED ",\"rollout\":\"r-0\",\"run\":\"run-2\""); /* counts as score 0 */
    world_add_item(&items, 12, 2, OK ",\"rollout\":\"r-0\",\"scores\":{\"quality\":0.5}");
    world_sent(world, "a", 1, items.data);
    world_ok(world, intake_checkpoint(world->intake, &world->err));
    world_kill_and_start(world); /* what a late score needs to know is in the checkpoint */
    static const char late[] = "{\"agent\":\"support\",\"version\":2,\"at\":\"2026-10-26T06:13:20Z\",\"rollout\":\"r-"
                               "0\",\"run\":\"%s\",\"scores\":{\"quality\":0.75}}";
    char item[300];
    for (int i = 1; i <= 3; i++) { /* run-3 is not known; each twice: a score counts once */
        char name[16];
        snprintf(name, sizeof(name), "run-%d", i);
        snprintf(item, sizeof(item), late, name);
        world_sent(world, "a", 2 * i, item);
        world_sent(world, "a", 2 * i + 1, item);
    }
    struct seen seen = world_tick(world);
    assert_int_equal(seen.sums.scored[1], 3);
    assert_true(seen.sums.score[1] == 0.5 + 0.75);
    assert_int_equal(seen.counts.late, 4);
    assert_int_equal(seen.counts.unattached, 2);
    str_deinit(&items);
}

static void test_unknown_versions_are_said(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    world_add_item(&items, 1, 7, OK);
    world_add_item(&items, 1, 1, OK);
    struct intake_answer answer = world_sent(world, "a", 1, items.data);
    assert_true(answer.result.accepted == 2 && answer.result.unknown == 1);
    world_ok(world, intake_checkpoint(world->intake, &world->err));
    struct minutes minutes = {0};
    world_ok(world, store_read(world->store, world_read_minutes, &minutes, &world->err));
    assert_int_equal(minutes.count, 1);
    arena_deinit(&minutes.arena);
    str_deinit(&items);
}

struct failures {
    struct arena arena;
    struct store_failure *items;
    size_t count;
};

static int read_failures(void *arg, struct store_tx *tx, struct err *err) {
    struct failures *failures = arg;
    return store_failures(tx, "r-0", 0, 5000, &failures->arena, &failures->items, &failures->count, err);
}

static void test_the_newest_failures_are_kept(void **state) {
    struct world *world = *state;
    world_open_rollout(world, "r-0", "support", NOW - 9000 * SECOND);
    for (int64_t batch = 1; batch <= 5; batch++) {
        struct str items = STR_INIT;
        for (int i = 0; i < 300; i++)
            world_add_item(&items, 60000, 1, FAILED);
        world_sent(world, "a", batch, items.data);
        if (batch == 2) world_ok(world, intake_checkpoint(world->intake, &world->err));
        if (batch == 3) world_kill_and_start(world);
        str_deinit(&items);
    }
    world_ok(world, intake_checkpoint(world->intake, &world->err));
    struct failures failures = {0};
    world_ok(world, store_read(world->store, read_failures, &failures, &world->err));
    assert_int_equal(failures.count, FOLD_FAILURES);
    assert_true(failures.items[0].number == 1500 && failures.items[999].number == 501);
    assert_non_null(strstr(failures.items[0].body, "\"error_type\":\"timeout\""));
    arena_deinit(&failures.arena);
}

/* Random batches, moves and ticks, killed at random: memory is what it was, and the sums are the ledger's. */
static void test_killed_it_is_what_it_was(void **state) {
    struct world *world = *state;
    unsigned seed = 11;
    int64_t batch = 0, outcomes = 0, errors = 0;
    world_open_rollout(world, "r-0", "support", NOW - 9000 * SECOND);
    for (int i = 0; i < 120; i++) {
        struct str items = STR_INIT;
        int count = 1 + rand_r(&seed) % 40;
        for (int j = 0; j < count; j++) {
            bool failed = rand_r(&seed) % 10 == 0;
            uint32_t bucket = (uint32_t)rand_r(&seed) % 100000;
            char more[200];
            snprintf(more, sizeof(more), "%s,\"latency_ms\":%u.5,\"run\":\"run-%u\"%s", failed ? FAILED : OK,
                     rand_r(&seed) % 900, world_unit, rand_r(&seed) % 2 ? ",\"scores\":{\"quality\":0.5}" : "");
            world_add_item(&items, bucket, bucket < 25000 ? 2 : 1, more);
            errors += failed;
        }
        outcomes += count;
        batch++;
        assert_false(world_sent(world, "a", batch, items.data).duplicate);
        if (rand_r(&seed) % 3 == 0) assert_true(world_sent(world, "a", batch, items.data).duplicate);
        if (rand_r(&seed) % 4 == 0) world_tick(world);
        if (rand_r(&seed) % 7 == 0) world_ok(world, intake_checkpoint(world->intake, &world->err));
        if (i == 60) world_ok(world, intake_stage(world->intake, "r-0", 1, 25000, NOW - 8000 * SECOND, &world->err));
        if (rand_r(&seed) % 5 == 0) {
            struct sha256 before = world_digest(world);
            world_kill_and_start(world);
            struct sha256 after = world_digest(world);
            assert_memory_equal(&before, &after, sizeof(before));
        }
        str_deinit(&items);
    }
    struct seen seen = world_tick(world);
    assert_int_equal(seen.counts.outcomes[0] + seen.counts.outcomes[1], outcomes);
    assert_int_equal(seen.sums.errors[0] + seen.sums.errors[1], errors);
    world_ok(world, intake_checkpoint(world->intake, &world->err));
    struct minutes minutes = {0};
    world_ok(world, store_read(world->store, world_read_minutes, &minutes, &world->err));
    int64_t sum = 0, failed = 0;
    for (size_t i = 0; i < minutes.count; i++) {
        sum += minutes.items[i].outcomes;
        failed += minutes.items[i].errors;
    }
    assert_int_equal(sum, outcomes);
    assert_int_equal(failed, errors);
    arena_deinit(&minutes.arena);
}

struct sender {
    struct world *world;
    char name[16];
};

static void *send_many(void *arg) {
    struct sender *sender = arg;
    struct str items = STR_INIT;
    for (int i = 0; i < 10; i++)
        str_printf(&items,
                   "%s{\"agent\":\"support\",\"version\":1,\"unit\":\"c0000000000000000000%04d\",\"at\":\"2026-10-"
                   "26T06:13:20Z\"" OK "}",
                   i ? "," : "", i);
    for (int64_t batch = 1; batch <= 40; batch++) {
        struct outcomes *outcomes = malloc(sizeof(*outcomes));
        struct str body = STR_INIT;
        struct err err;
        struct intake_answer answer;
        str_printf(&body, "{\"instance\":\"%s\",\"batch\":%lld,\"items\":[%s]}", sender->name, (long long)batch,
                   items.data);
        struct outcome_source source = {.body = str_slice(&body), .now = NOW, .environment = "production"};
        if (outcomes_read(&source, outcomes, &err) < 0 ||
            intake_take(sender->world->intake, outcomes, &answer, &err) < 0 || answer.duplicate)
            abort();
        outcomes_deinit(outcomes);
        str_deinit(&body);
        free(outcomes);
    }
    str_deinit(&items);
    return NULL;
}

static void test_many_senders(void **state) {
    struct world *world = *state;
    struct sender senders[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        senders[i].world = world;
        snprintf(senders[i].name, sizeof(senders[i].name), "s-%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    struct intake_stats stats;
    intake_stats(world->intake, &stats);
    assert_int_equal(stats.outcomes, 8 * 40 * 10);
    assert_int_equal(stats.waiting, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_batch_counts_once, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_a_gap_given_up_is_refused, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_the_server_chooses_the_arm, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_arms_are_counted_once, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_shares_of_their_time, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_scores, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_versions_are_said, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_the_newest_failures_are_kept, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_killed_it_is_what_it_was, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_many_senders, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
