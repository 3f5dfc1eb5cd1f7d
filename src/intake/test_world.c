/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/test_world.h"

#include "base/file.h"

#include <stdio.h>
#include <unistd.h>

/* ---- evidence that can be counted ---- */

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

const char world_plan[] = "{\"steps\":[{\"share\":25},{\"share\":50},{\"share\":100}],\"analysis\":{\"metrics\":["
                          "{\"name\":\"error\"},{\"name\":\"latency\"},{\"name\":\"score.quality\"}]}}";

/* ---- the world ---- */

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

void world_ok(struct world *world, int r) {
    if (r != 0) fail_msg("%d: %s at %s", r, world->err.message, world->err.at);
}

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

void world_start(struct world *world) {
    struct store_options store = {.url = world->url, .clock = &world->clock, .wrap = wrap, .wrap_ctx = &world->fault};
    world_ok(world, store_open(&store, &world->store, &world->err));
    struct intake_options options = {.store = world->store, .clock = &world->clock, .judge = &sums, .queue = 64};
    world_ok(world, intake_new(&options, &world->intake, &world->err));
}

int world_setup(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    snprintf(world->folder, sizeof(world->folder), "/tmp/serin-intake-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->url, sizeof(world->url), "sqlite:%s/serin.db", world->folder);
    clock_fake_init(&world->clock, NOW);
    world_start(world);
    for (int64_t number = 1; number <= 2; number++)
        world_ok(world, store_write(world->store, make_version, &number, &world->err));
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

int world_teardown(void **state) {
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

unsigned world_unit;

/* Adds an item at that bucket. */
void world_add_item(struct str *items, uint32_t bucket, int64_t version, const char *more) {
    char unit[25];
    unit_at(bucket, ++world_unit, unit);
    str_printf(items, "%s{\"agent\":\"support\",\"version\":%lld,\"unit\":\"%s\",\"at\":\"2026-10-26T06:13:20Z\"%s}",
               items->len ? "," : "", (long long)version, unit, more);
}

int world_send(struct world *world, const char *instance, int64_t batch, const char *items, struct intake_answer *ret) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    struct outcomes *outcomes = malloc(sizeof(*outcomes));
    str_printf(&body, "{\"instance\":\"%s\",\"batch\":%lld,\"items\":[%s]}", instance, (long long)batch, items);
    struct outcome_source source = {.body = str_slice(&body), .now = NOW, .environment = "production"};
    world_ok(world, outcomes_read(&source, outcomes, &world->err));
    int r = intake_take(world->intake, outcomes, ret, &world->err);
    outcomes_deinit(outcomes);
    free(outcomes);
    return r;
}

struct intake_answer world_sent(struct world *world, const char *instance, int64_t batch, const char *items) {
    struct intake_answer answer;
    world_ok(world, world_send(world, instance, batch, items, &answer));
    return answer;
}

void world_open_rollout(struct world *world, const char *id, const char *agent, int64_t at) {
    struct fold_rollout rollout = {.id = id,
                                   .agent = agent,
                                   .environment = "production",
                                   .candidate = 2,
                                   .stable = 1,
                                   .plan = world_plan,
                                   .at = at,
                                   .share = 25000};
    world_ok(world, intake_open(world->intake, &rollout, &world->err));
}

static int copy_view(void *ctx, const struct fold_view *view) {
    struct seen *seen = ctx;
    seen->count++;
    seen->counts = view->counts;
    if (view->evidence.len) memcpy(&seen->sums, view->evidence.ptr, sizeof(seen->sums));
    return 0;
}

struct seen world_tick(struct world *world) {
    struct seen seen = {0};
    world_ok(world, intake_tick(world->intake, NOW, copy_view, &seen, &world->err));
    return seen;
}

struct sha256 world_digest(struct world *world) {
    struct sha256 hash;
    world_ok(world, intake_digest(world->intake, &hash, &world->err));
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
void world_kill_and_start(struct world *world) {
    copy_store(world, false);
    world->intake = intake_free(world->intake);
    world->store = store_close(world->store);
    copy_store(world, true);
    world_start(world);
}

int world_read_minutes(void *arg, struct store_tx *tx, struct err *err) {
    struct minutes *minutes = arg;
    return store_minutes(tx, "support", "production", 0, INT64_MAX, &minutes->arena, &minutes->items, &minutes->count,
                         err);
}
