/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The intake over a store in a file, with evidence that a test can count: sums, and a hash of the calls in their order, so that anything that is replayed
 * in another order or twice is found.
 */
#include "base/file.h"
#include "base/hash.h"
#include "intake/intake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW INT64_C(1793000000000000)
#define SECOND INT64_C(1000000)

/* ---- evidence that can be counted ---- */

struct sums {
    int64_t units[2], errors[2], scored[2], ticks, step;
    double score[2], latency[2];
    uint64_t order; /* of all calls */
};

static void mix(struct sums *sums, const void *bytes, size_t len) {
    sums->order = sums->order * UINT64_C(6364136223846793005) + murmur3_32(bytes, len, 3);
}

static int sums_make(const struct rollout_plan *plan, int64_t now, void **ret, struct err *err) {
    *ret = calloc(1, sizeof(struct sums));
    return *ret ? 0 : err_no_memory(err);
}

/* Metrics of the plan below: 0 error, 1 latency, 2 score.quality. */
static int sums_add(void *evidence, const struct judge_observation *seen) {
    struct sums *sums = evidence;
    sums->units[seen->candidate]++;
    sums->errors[seen->candidate] += seen->events & 1;
    if (seen->present & 2) sums->latency[seen->candidate] += seen->values[1];
    if (seen->present & 4) {
        sums->scored[seen->candidate]++;
        sums->score[seen->candidate] += seen->values[2];
    }
    mix(sums, &seen->unit, sizeof(seen->unit));
    mix(sums, &seen->stage, sizeof(seen->stage));
    return 0;
}

static void sums_tick(void *evidence, int64_t now) {
    struct sums *sums = evidence;
    sums->ticks++;
    mix(sums, &now, sizeof(now));
}

static void sums_enter(void *evidence, size_t step, int64_t now) {
    struct sums *sums = evidence;
    sums->step = (int64_t)step;
    mix(sums, &step, sizeof(step));
}

static int sums_write(const void *evidence, enum judge_part part, struct str *out) {
    str_add(out, evidence, sizeof(struct sums));
    return 0;
}

static int sums_read(const struct rollout_plan *plan, struct slice bytes, void **ret, struct err *err) {
    assert_int_equal(bytes.len, sizeof(struct sums));
    *ret = calloc(1, sizeof(struct sums));
    if (*ret) memcpy(*ret, bytes.ptr, bytes.len);
    return *ret ? 0 : err_no_memory(err);
}

static const struct judge sums = {sums_make, free, sums_add, sums_tick, sums_enter, sums_write, sums_read};

static const char plan[] = "{\"steps\":[{\"share\":25},{\"share\":50},{\"share\":100}],\"analysis\":{\"metrics\":["
                           "{\"name\":\"error\"},{\"name\":\"latency\"},{\"name\":\"score.quality\"}]}}";

/* ---- the world ---- */

struct world {
    char folder[64], url[128];
    struct clock clock;
    struct store *store;
    struct intake *intake;
    struct err err;
};

static int append(struct store_tx *tx, struct position position, int64_t at, struct err *err) {
    struct audit_entry entry = {.position = position,
                                .at = at,
                                .actor = "k",
                                .actor_name = "k",
                                .operation = "o",
                                .agent = "",
                                .environment = "",
                                .reason = "",
                                .detail = "{}"};
    return store_audit_append(tx, &entry, err);
}

static int make_version(void *arg, struct store_tx *tx, struct err *err) {
    int64_t number = *(int64_t *)arg, at;
    struct position position;
    int r = store_advance(tx, &position, &at, err);
    struct environment environment = {
        .name = "production", .description = "", .created_by = "k", .created_at = at, .seq = position.seq};
    struct agent agent = {
        .name = "support", .description = "", .created_by = "k", .created_at = at, .seq = position.seq};
    struct version version = {.agent = "support",
                              .number = number,
                              .description = "",
                              .source = "{}",
                              .created_by = "k",
                              .parent = number - 1,
                              .created_at = at,
                              .seq = position.seq,
                              .config = SLICE_LIT("{}"),
                              .size = 2};
    version.content_hash.bytes[0] = (uint8_t)number;
    if (r == 0 && number == 1) r = store_environment_put(tx, &environment, err);
    if (r == 0 && number == 1) r = store_agent_put(tx, &agent, err);
    if (r == 0) r = store_version_add(tx, &version, err);
    return r < 0 ? r : append(tx, position, at, err);
}

static void ok(struct world *world, int r) {
    if (r != 0) fail_msg("%d: %s at %s", r, world->err.message, world->err.at);
}

static void start(struct world *world) {
    struct store_options store = {.url = world->url, .clock = &world->clock};
    ok(world, store_open(&store, &world->store, &world->err));
    struct intake_options options = {.store = world->store, .clock = &world->clock, .judge = &sums, .queue = 64};
    ok(world, intake_new(&options, &world->intake, &world->err));
}

static int setup(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    snprintf(world->folder, sizeof(world->folder), "/tmp/serin-intake-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->url, sizeof(world->url), "sqlite:%s/serin.db", world->folder);
    clock_fake_init(&world->clock, NOW);
    start(world);
    for (int64_t number = 1; number <= 2; number++)
        ok(world, store_write(world->store, make_version, &number, &world->err));
    *state = world;
    return 0;
}

static const char *const store_files[] = {"serin.db", "serin.db-wal", "serin.db-shm"};
#define LOCK_FILE "serin.db.lock"
#define KEPT "kept-"

static void remove_file(const struct world *world, const char *name) {
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", world->folder, name);
    (void)unlink(path);
}

static void remove_files(const struct world *world) {
    for (size_t i = 0; i < ARRAY_LEN(store_files); i++)
        remove_file(world, store_files[i]);
    remove_file(world, LOCK_FILE);
    (void)rmdir(world->folder);
}

static int teardown(void **state) {
    struct world *world = *state;
    world->intake = intake_free(world->intake);
    world->store = store_close(world->store);
    remove_files(world);
    free(world);
    return 0;
}

/* ---- batches ---- */

/* A unit whose bucket lies at so many thousandths of a percent, and that is told apart by `number`. */
static void unit_at(uint32_t bucket, unsigned number, char ret[25]) {
    uint32_t hash = (uint32_t)((((uint64_t)bucket << 32) + UINT32_MAX / 2) / 100000);
    snprintf(ret, 25, "%08x%016x", hash, number);
}

static unsigned next_unit;

/* Adds an item at that bucket. */
static void add_item(struct str *items, uint32_t bucket, int64_t version, const char *more) {
    char unit[25];
    unit_at(bucket, ++next_unit, unit);
    str_printf(items, "%s{\"agent\":\"support\",\"version\":%lld,\"unit\":\"%s\",\"at\":\"2026-10-26T06:13:20Z\"%s}",
               items->len ? "," : "", (long long)version, unit, more);
}

static int send(struct world *world, const char *instance, int64_t batch, const char *items,
                struct intake_answer *ret) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    struct outcomes *outcomes = malloc(sizeof(*outcomes));
    str_printf(&body, "{\"instance\":\"%s\",\"batch\":%lld,\"items\":[%s]}", instance, (long long)batch, items);
    struct outcome_source source = {.body = str_slice(&body), .now = NOW, .environment = "production"};
    ok(world, outcomes_read(&source, outcomes, &world->err));
    int r = intake_take(world->intake, outcomes, ret, &world->err);
    outcomes_deinit(outcomes);
    free(outcomes);
    return r;
}

static struct intake_answer sent(struct world *world, const char *instance, int64_t batch, const char *items) {
    struct intake_answer answer;
    ok(world, send(world, instance, batch, items, &answer));
    return answer;
}

static void open_rollout(struct world *world, int64_t at) {
    struct fold_rollout rollout = {.id = "r-1",
                                   .agent = "support",
                                   .environment = "production",
                                   .candidate = 2,
                                   .stable = 1,
                                   .plan = plan,
                                   .at = at,
                                   .share = 25000};
    ok(world, intake_open(world->intake, &rollout, &world->err));
}

struct seen {
    size_t count;
    struct sums sums;
    struct fold_counts counts;
};

static int copy_view(void *ctx, const struct fold_view *view) {
    struct seen *seen = ctx;
    seen->count++;
    seen->counts = view->counts;
    if (view->evidence.len) memcpy(&seen->sums, view->evidence.ptr, sizeof(seen->sums));
    return 0;
}

static struct seen tick(struct world *world) {
    struct seen seen = {0};
    ok(world, intake_tick(world->intake, NOW, copy_view, &seen, &world->err));
    return seen;
}

static struct sha256 digest(struct world *world) {
    struct sha256 hash;
    ok(world, intake_digest(world->intake, &hash, &world->err));
    return hash;
}

static void copy_file(const char *from, const char *to) {
    _cleanup_(str_deinit) struct str bytes = STR_INIT;
    bool missing;
    if (file_read(from, SIZE_MAX / 2, &bytes, &missing, NULL) < 0) {
        assert_true(missing);
        (void)remove(to);
        return;
    }
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data ? bytes.data : "", 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

/* Puts the store's files beside themselves, or back. */
static void copy_store(const struct world *world, bool back) {
    char here[128], beside[128];
    for (size_t i = 0; i < ARRAY_LEN(store_files); i++) {
        snprintf(here, sizeof(here), "%s/%s", world->folder, store_files[i]);
        snprintf(beside, sizeof(beside), "%s/%s%s", world->folder, KEPT, store_files[i]);
        copy_file(back ? beside : here, back ? here : beside);
        if (back) (void)remove(beside);
    }
}

/* As after kill -9: what memory holds is gone, what the files hold is there. */
static void kill_and_start(struct world *world) {
    copy_store(world, false);
    world->intake = intake_free(world->intake);
    world->store = store_close(world->store);
    copy_store(world, true);
    start(world);
}

struct minutes {
    struct arena arena;
    struct store_minute *items;
    size_t count;
};

static int read_minutes(void *arg, struct store_tx *tx, struct err *err) {
    struct minutes *minutes = arg;
    return store_minutes(tx, "support", "production", 0, INT64_MAX, &minutes->arena, &minutes->items, &minutes->count,
                         err);
}

/* ---- tests ---- */

#define OK ",\"ok\":true"
#define FAILED ",\"ok\":false,\"error_type\":\"timeout\",\"session\":\"s-1\""

static void test_each_batch_counts_once(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    for (int i = 0; i < 5; i++)
        add_item(&items, 50000, 1, OK ",\"latency_ms\":1.5,\"cost_usd\":0.25,\"input_tokens\":3");
    assert_int_equal(sent(world, "a", 2, items.data).result.accepted, 5);
    assert_true(sent(world, "a", 2, items.data).duplicate);
    assert_false(sent(world, "a", 1, items.data).duplicate);
    assert_true(sent(world, "a", 1, items.data).duplicate);
    assert_false(sent(world, "b", 1, items.data).duplicate);
    ok(world, intake_checkpoint(world->intake, &world->err));
    assert_true(sent(world, "b", 1, items.data).duplicate);
    struct minutes minutes = {0};
    ok(world, store_read(world->store, read_minutes, &minutes, &world->err));
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
    add_item(&items, 1, 1, OK);
    for (int64_t batch = 2; batch <= 1026; batch++)
        sent(world, "a", batch + (batch == 1026), items.data);
    assert_int_equal(send(world, "a", 1, items.data, &answer), -ERR_OUTCOMES_TOO_OLD);
    assert_string_equal(world->err.at, "/batch");
    kill_and_start(world);
    assert_int_equal(send(world, "a", 1, items.data, &answer), -ERR_OUTCOMES_TOO_OLD);
    assert_true(sent(world, "a", 1027, items.data).duplicate);
    assert_false(sent(world, "a", 1026, items.data).duplicate);
    str_deinit(&items);
}

static void test_the_server_chooses_the_arm(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    open_rollout(world, NOW - 9000 * SECOND);
    add_item(&items, 24999, 2, OK);                            /* candidate */
    add_item(&items, 25001, 1, FAILED);                        /* stable */
    add_item(&items, 24998, 2, OK ",\"arm\":\"stable\"");      /* candidate, whatever it says */
    add_item(&items, 60000, 1, OK ",\"rollout\":\"r-1\"");     /* stable, named */
    add_item(&items, 60000, 2, FAILED);                        /* saw the other version: left out */
    add_item(&items, 100, 1, OK);                              /* the same */
    add_item(&items, 100, 2, OK ",\"reason\":\"OVERRIDE\"");   /* its bucket did not choose */
    add_item(&items, 60000, 1, OK ",\"rollout\":\"r-other\""); /* not open */
    struct intake_answer answer = sent(world, "a", 1, items.data);
    assert_int_equal(answer.result.accepted, 8);
    assert_int_equal(answer.result.mismatched, 3);
    assert_int_equal(answer.result.unknown, 1);
    assert_int_equal(answer.result.evidence, 4);
    struct seen seen = tick(world);
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
    add_item(&items, 60000, 1, OK);
    sent(world, "a", 1, items.data);
    open_rollout(world, NOW - 9000 * SECOND);
    add_item(&items, 24999, 2, FAILED);                        /* candidate */
    add_item(&items, 100, 1, OK);                              /* saw the other version */
    add_item(&items, 60000, 1, OK ",\"rollout\":\"r-other\""); /* not open */
    add_item(&items, 60000, 7, OK);                            /* no such version */
    sent(world, "a", 2, items.data);
    assert_true(sent(world, "a", 2, items.data).duplicate);
    assert_arms(world, "support@1 none 2+0; support@1 stable 2+0; support@2 candidate 0+1; ");
    kill_and_start(world);
    assert_arms(world, "");
    sent(world, "a", 3, items.data);
    assert_arms(world, "support@1 none 2+0; support@1 stable 1+0; support@2 candidate 0+1; ");
    str_deinit(&items);
}

static void test_shares_of_their_time(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    open_rollout(world, NOW - 3600 * SECOND);
    /* The outcomes' time is 4,800 s before NOW: before the start; then the second stage begins before them. */
    add_item(&items, 30000, 1, OK);
    struct fold_rollout early = {.id = "r-0",
                                 .agent = "other",
                                 .environment = "production",
                                 .candidate = 2,
                                 .stable = 1,
                                 .plan = plan,
                                 .at = NOW - 9000 * SECOND,
                                 .share = 25000};
    ok(world, intake_open(world->intake, &early, &world->err));
    ok(world, intake_stage(world->intake, "r-0", 1, 50000, NOW - 6000 * SECOND, &world->err));
    ok(world, intake_stage(world->intake, "r-0", 2, 100000, NOW - 1000 * SECOND, &world->err));
    sent(world, "a", 1, items.data);
    str_clear(&items);
    add_item(&items, 30000, 2, OK ",\"rollout\":\"r-0\"");
    add_item(&items, 60000, 1, OK ",\"rollout\":\"r-0\"");
    assert_int_equal(sent(world, "a", 2, items.data).result.evidence, 2);
    ok(world, intake_close(world->intake, "r-0", &world->err));
    assert_int_equal(sent(world, "a", 3, items.data).result.unknown, 2);
    struct seen seen = tick(world);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.counts.outside, 1);
    str_deinit(&items);
}

static void test_scores(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    open_rollout(world, NOW - 3600 * SECOND);
    ok(world, intake_stage(world->intake, "r-1", 0, 25001, NOW - 3600 * SECOND, &world->err));
    struct fold_rollout early = {.id = "r-0",
                                 .agent = "x",
                                 .environment = "production",
                                 .candidate = 2,
                                 .stable = 1,
                                 .plan = plan,
                                 .at = NOW - 9000 * SECOND,
                                 .share = 25000};
    ok(world, intake_close(world->intake, "r-1", &world->err));
    ok(world, intake_open(world->intake, &early, &world->err));
    add_item(&items, 10, 2, OK ",\"rollout\":\"r-0\",\"run\":\"run-1\"");
    add_item(&items, 11, 2, FAILED ",\"rollout\":\"r-0\",\"run\":\"run-2\""); /* counts as score 0 */
    add_item(&items, 12, 2, OK ",\"rollout\":\"r-0\",\"scores\":{\"quality\":0.5}");
    sent(world, "a", 1, items.data);
    ok(world, intake_checkpoint(world->intake, &world->err));
    kill_and_start(world); /* what a late score needs to know is in the checkpoint */
    static const char late[] = "{\"agent\":\"support\",\"version\":2,\"at\":\"2026-10-26T06:13:20Z\",\"rollout\":\"r-"
                               "0\",\"run\":\"%s\",\"scores\":{\"quality\":0.75}}";
    char item[300];
    for (int i = 1; i <= 3; i++) { /* run-3 is not known; each twice: a score counts once */
        char name[16];
        snprintf(name, sizeof(name), "run-%d", i);
        snprintf(item, sizeof(item), late, name);
        sent(world, "a", 2 * i, item);
        sent(world, "a", 2 * i + 1, item);
    }
    struct seen seen = tick(world);
    assert_int_equal(seen.sums.scored[1], 3);
    assert_true(seen.sums.score[1] == 0.5 + 0.75);
    assert_int_equal(seen.counts.late, 4);
    assert_int_equal(seen.counts.unattached, 2);
    str_deinit(&items);
}

static void test_unknown_versions_are_said(void **state) {
    struct world *world = *state;
    struct str items = STR_INIT;
    add_item(&items, 1, 7, OK);
    add_item(&items, 1, 1, OK);
    struct intake_answer answer = sent(world, "a", 1, items.data);
    assert_true(answer.result.accepted == 2 && answer.result.unknown == 1);
    ok(world, intake_checkpoint(world->intake, &world->err));
    struct minutes minutes = {0};
    ok(world, store_read(world->store, read_minutes, &minutes, &world->err));
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
    struct fold_rollout early = {.id = "r-0",
                                 .agent = "support",
                                 .environment = "production",
                                 .candidate = 2,
                                 .stable = 1,
                                 .plan = plan,
                                 .at = NOW - 9000 * SECOND,
                                 .share = 25000};
    ok(world, intake_open(world->intake, &early, &world->err));
    for (int64_t batch = 1; batch <= 5; batch++) {
        struct str items = STR_INIT;
        for (int i = 0; i < 300; i++)
            add_item(&items, 60000, 1, FAILED);
        sent(world, "a", batch, items.data);
        if (batch == 2) ok(world, intake_checkpoint(world->intake, &world->err));
        if (batch == 3) kill_and_start(world);
        str_deinit(&items);
    }
    ok(world, intake_checkpoint(world->intake, &world->err));
    struct failures failures = {0};
    ok(world, store_read(world->store, read_failures, &failures, &world->err));
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
    struct fold_rollout early = {.id = "r-0",
                                 .agent = "support",
                                 .environment = "production",
                                 .candidate = 2,
                                 .stable = 1,
                                 .plan = plan,
                                 .at = NOW - 9000 * SECOND,
                                 .share = 25000};
    ok(world, intake_open(world->intake, &early, &world->err));
    for (int i = 0; i < 120; i++) {
        struct str items = STR_INIT;
        int count = 1 + rand_r(&seed) % 40;
        for (int j = 0; j < count; j++) {
            bool failed = rand_r(&seed) % 10 == 0;
            uint32_t bucket = (uint32_t)rand_r(&seed) % 100000;
            char more[200];
            snprintf(more, sizeof(more), "%s,\"latency_ms\":%u.5,\"run\":\"run-%u\"%s", failed ? FAILED : OK,
                     rand_r(&seed) % 900, next_unit, rand_r(&seed) % 2 ? ",\"scores\":{\"quality\":0.5}" : "");
            add_item(&items, bucket, bucket < 25000 ? 2 : 1, more);
            errors += failed;
        }
        outcomes += count;
        batch++;
        assert_false(sent(world, "a", batch, items.data).duplicate);
        if (rand_r(&seed) % 3 == 0) assert_true(sent(world, "a", batch, items.data).duplicate);
        if (rand_r(&seed) % 4 == 0) tick(world);
        if (rand_r(&seed) % 7 == 0) ok(world, intake_checkpoint(world->intake, &world->err));
        if (i == 60) ok(world, intake_stage(world->intake, "r-0", 1, 25000, NOW - 8000 * SECOND, &world->err));
        if (rand_r(&seed) % 5 == 0) {
            struct sha256 before = digest(world);
            kill_and_start(world);
            struct sha256 after = digest(world);
            assert_memory_equal(&before, &after, sizeof(before));
        }
        str_deinit(&items);
    }
    struct seen seen = tick(world);
    assert_int_equal(seen.counts.outcomes[0] + seen.counts.outcomes[1], outcomes);
    assert_int_equal(seen.sums.errors[0] + seen.sums.errors[1], errors);
    ok(world, intake_checkpoint(world->intake, &world->err));
    struct minutes minutes = {0};
    ok(world, store_read(world->store, read_minutes, &minutes, &world->err));
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
        cmocka_unit_test_setup_teardown(test_each_batch_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_gap_given_up_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_server_chooses_the_arm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arms_are_counted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shares_of_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scores, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_versions_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_newest_failures_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_it_is_what_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_senders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
