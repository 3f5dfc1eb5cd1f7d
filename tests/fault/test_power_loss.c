/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes while the store is opened, written, brought into its file or closed, at any write, sync or change of a name. What is found
 * afterwards must hold every acknowledged change, in order, and nothing half. kill -9 cannot show this: the page cache survives it.
 *
 * SERIN_SCALE=long cuts 5,000 times instead of 200; SERIN_SEED repeats a run as far as threads allow.
 */
#include "conformance/kit.h"
#include "fault/power.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WRITERS 4
#define CUTS_A_STORE 20
#define PUSHES_MAX 4000 /* of one writer in one store */

struct push {
    int64_t seq, at;
};

struct writer {
    pthread_t thread;
    struct kit kit; /* the same store, its own error */
    char agent[16];
    bool made;                      /* its agent was acknowledged */
    int wanted;                     /* pushes in this life of the store */
    size_t count;                   /* acknowledged */
    struct push pushes[PUSHES_MAX]; /* version n is at n - 1 */
};

struct world {
    struct kit kit;
    struct writer writers[WRITERS];
    struct position head; /* nothing may be behind it */
    char complaint[700];  /* what was found wrong, "" = nothing */
    uint64_t cuts, cuts_in[POWER_EVENTS_], acknowledged;
};

/* ---- writing ---- */

struct push_job {
    const char *agent;
    int64_t number;
    struct kit_change change;
};

static void make_text(const char *agent, int64_t number, char text[3000]) {
    int len = snprintf(text, 3000, "%s says %lld ", agent, (long long)number);
    size_t wanted = 20 + (size_t)(number * 7919) % 2900;
    if ((size_t)len >= wanted) return;
    memset(text + len, 'x', wanted - (size_t)len);
    text[wanted] = 0;
}

static int push_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct push_job *job = arg;
    char text[3000], buffer[4000];
    struct version version = {.agent = job->agent,
                              .number = job->number,
                              .parent = job->number - 1,
                              .description = "more",
                              .source = "{\"kind\":\"api\"}",
                              .created_by = "k"};

    make_text(job->agent, job->number, text);
    kit_config(text, buffer, sizeof buffer, &version);
    int r = kit_begin(tx, &job->change, err);
    if (r < 0) return r;
    version.created_at = job->change.at;
    version.seq = job->change.position.seq;
    r = store_version_add(tx, &version, err);
    return r != 0 ? r : kit_end(tx, &job->change, "version.push", job->agent, "", err);
}

static bool push(struct writer *writer) {
    struct push_job job = {.agent = writer->agent, .number = (int64_t)writer->count + 1};
    if (store_write(writer->kit.store, push_fn, &job, &writer->kit.err) != 0) return false;
    writer->pushes[writer->count++] = (struct push){job.change.position.seq, job.change.at};
    return true;
}

static void *write_on(void *arg) {
    struct writer *writer = arg;
    if (!writer->made && kit_agent(&writer->kit, writer->agent, "") != 0) return NULL;
    writer->made = true;
    for (int i = 0; i < writer->wanted && writer->count < PUSHES_MAX; i++)
        if (!push(writer)) break;
    return NULL;
}

static void write_until_cut(struct world *world, int pushes) {
    for (size_t i = 0; i < WRITERS; i++) {
        struct writer *writer = &world->writers[i];
        writer->kit.store = world->kit.store;
        writer->wanted = pushes;
        assert_int_equal(pthread_create(&writer->thread, NULL, write_on, writer), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(world->writers[i].thread, NULL);
}

/* ---- what is left ---- */

#define COMPLAIN(world, ...) (snprintf((world)->complaint, sizeof(world)->complaint, __VA_ARGS__), -1)

static int check_version(struct world *world, struct store_tx *tx, struct writer *writer, int64_t number,
                         struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    char text[3000], buffer[4000];
    struct version found, wanted;

    make_text(writer->agent, number, text);
    kit_config(text, buffer, sizeof buffer, &wanted);
    int r = store_version_get(tx, writer->agent, number, true, &arena, &found, err);
    if (r != 0) return COMPLAIN(world, "%s@%lld is lost (%d %s)", writer->agent, (long long)number, r, err->message);
    if (memcmp(&found.content_hash, &wanted.content_hash, sizeof found.content_hash) != 0 ||
        found.config.len != wanted.config.len || memcmp(found.config.ptr, wanted.config.ptr, found.config.len) != 0)
        return COMPLAIN(world, "%s@%lld holds something else", writer->agent, (long long)number);
    struct push *push = &writer->pushes[number - 1];
    if (number > (int64_t)writer->count) *push = (struct push){found.seq, found.created_at};
    if (push->seq != found.seq || push->at != found.created_at)
        return COMPLAIN(world, "%s@%lld was acknowledged at %lld, found at %lld", writer->agent, (long long)number,
                        (long long)push->seq, (long long)found.seq);
    return 0;
}

/* The acknowledged versions, and at most the one that was under way. */
static int check_writer(struct world *world, struct store_tx *tx, struct writer *writer, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct agent agent;

    int r = store_agent_get(tx, writer->agent, &arena, &agent, err);
    if (r == STORE_NONE && !writer->made) return 0;
    if (r != 0) return COMPLAIN(world, "%s is lost (%d %s)", writer->agent, r, err->message);
    writer->made = true;
    if (agent.latest < (int64_t)writer->count || agent.latest > (int64_t)writer->count + 1)
        return COMPLAIN(world, "%s: %zu versions were acknowledged, %lld are there", writer->agent, writer->count,
                        (long long)agent.latest);
    for (int64_t number = 1; number <= agent.latest; number++)
        if (check_version(world, tx, writer, number, err) < 0) return -1;
    writer->count = (size_t)agent.latest;
    return 0;
}

static int check_writers(void *arg, struct store_tx *tx, struct err *err) {
    struct world *world = arg;
    for (size_t i = 0; i < WRITERS; i++)
        if (check_writer(world, tx, &world->writers[i], err) < 0) return 1;
    return 0;
}

/* Every page, the chain, every version, and that the derived tables are what history makes of them. */
static int check_store(struct world *world) {
    struct kit *kit = &world->kit;
    struct store_moment moment;
    struct sha256 before, after;

    int r = store_verify(kit->store, false, NULL, &moment, &kit->err);
    if (r < 0) return COMPLAIN(world, "the store does not verify: %s", kit->err.message);
    if (position_compare(moment.position, world->head) < 0)
        return COMPLAIN(world, "the head went back to %lld", (long long)moment.position.seq);
    world->head = moment.position;
    if (store_read(kit->store, check_writers, world, &kit->err) != 0)
        return *world->complaint ? -1 : COMPLAIN(world, "reading failed: %s", kit->err.message);
    if (store_derived_hash(kit->store, &before, &kit->err) < 0 || store_rebuild(kit->store, &kit->err) < 0 ||
        store_derived_hash(kit->store, &after, &kit->err) < 0)
        return COMPLAIN(world, "rebuilding failed: %s", kit->err.message);
    return memcmp(&before, &after, sizeof before) == 0 ? 0 : COMPLAIN(world, "rebuilding changed something");
}

/* ---- one life of the store ---- */

/* Anywhere, or in one of the first events of a kind that is rare. */
static void arm(void) {
    switch (power_random(10)) {
    case 0 ... 3:
        return power_cut_at(POWER_ANY, 1 + power_random(600));
    case 4 ... 5:
        return power_cut_at(POWER_FILE_WRITE, 1 + power_random(100));
    case 6:
        return power_cut_at(POWER_FILE_SYNC, 1 + power_random(3));
    case 7:
        return power_cut_at(POWER_SIZE, 1);
    case 8:
        return power_cut_at(POWER_NAME, 1 + power_random(4));
    default:
        return power_cut_at(POWER_ANY, 1 + power_random(5000));
    }
}

/* Now and then so much that the log is brought into the file while clients write. */
static int choose_pushes(void) {
    return 1 + (int)power_random(power_random(20) ? 30 : 400);
}

/* Opens, writes, closes, until the power goes; it goes at the latest when the store is closed. */
static void live_until_cut(struct world *world) {
    arm();
    while (!power_is_cut()) {
        if (kit_open(&world->kit) == 0) write_until_cut(world, choose_pushes());
        kit_close(&world->kit);
        if (world->writers[0].count + 400 >= PUSHES_MAX) power_cut_at(POWER_ANY, 1);
    }
}

static int cut_and_look(struct world *world) {
    live_until_cut(world);
    world->cuts++;
    world->cuts_in[power_cut_in()]++;
    power_restore();
    int r = kit_open(&world->kit);
    if (r < 0) return COMPLAIN(world, "the store does not open: %s", world->kit.err.message);
    r = check_store(world);
    kit_close(&world->kit);
    return r;
}

static void world_begin(struct world *world) {
    kit_init(&world->kit, KIT_FILE);
    world->head = (struct position){0};
    for (size_t i = 0; i < WRITERS; i++) {
        struct writer *writer = &world->writers[i];
        writer->count = 0;
        writer->made = false;
        snprintf(writer->agent, sizeof writer->agent, "agent-%zu", i);
    }
}

static void world_end(struct world *world) {
    power_cut_at(POWER_ANY, 0);
    kit_deinit(&world->kit);
    power_forget();
    for (size_t i = 0; i < WRITERS; i++)
        world->acknowledged += world->writers[i].count;
}

/* Cuts on store after store until something is wrong. */
static void run_cuts(struct world *world, uint64_t cuts) {
    while (world->cuts < cuts && !*world->complaint) {
        world_begin(world);
        for (int i = 0; i < CUTS_A_STORE && world->cuts < cuts && !*world->complaint; i++)
            (void)cut_and_look(world);
        world_end(world);
    }
}

static bool is_long(void) {
    const char *scale = getenv("SERIN_SCALE");
    return scale && strcmp(scale, "long") == 0;
}

static int setup(void **state) {
    static bool installed;
    const char *given = getenv("SERIN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003 % UINT32_MAX;

    if (!installed) power_install();
    installed = true;
    power_seed(seed);
    print_message("seed %llu: repeat with SERIN_SEED=%llu\n", (unsigned long long)seed, (unsigned long long)seed);
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    power_faulty(POWER_HONEST);
    free(*state);
    return 0;
}

static void nothing_acknowledged_is_lost(void **state) {
    static const char *const kinds[] = {"log writes", "log syncs",       "file writes",
                                        "file syncs", "changes of size", "changes of names"};
    struct world *world = *state;

    run_cuts(world, is_long() ? 5000 : 200);
    print_message("%llu cuts of the power, %llu changes acknowledged; cut in", (unsigned long long)world->cuts,
                  (unsigned long long)world->acknowledged);
    for (size_t i = 0; i < POWER_EVENTS_; i++)
        print_message(" %llu %s", (unsigned long long)world->cuts_in[i], kinds[i]);
    print_message("\n");
    if (*world->complaint) fail_msg("cut %llu: %s", (unsigned long long)world->cuts, world->complaint);
    for (size_t i = 0; i < POWER_EVENTS_; i++)
        assert_true(world->cuts_in[i] > 0);
}

/* Tests of the test: a disk that lies loses acknowledged changes, and that is noticed. */
static void a_lie_about(void **state, enum power_fault fault) {
    struct world *world = *state;

    power_faulty(fault);
    run_cuts(world, 100);
    assert_true(*world->complaint);
    print_message("noticed at cut %llu: %s\n", (unsigned long long)world->cuts, world->complaint);
}

static void a_sync_that_does_nothing_is_noticed(void **state) {
    a_lie_about(state, POWER_SYNC_LIES);
}

static void a_folder_that_is_not_synced_is_noticed(void **state) {
    a_lie_about(state, POWER_FOLDER_SYNC_LIES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_acknowledged_is_lost),
        TEST(a_sync_that_does_nothing_is_noticed),
        TEST(a_folder_that_is_not_synced_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
