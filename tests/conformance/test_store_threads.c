/* SPDX-License-Identifier: Apache-2.0 */
/* Many callers at once: shared commits, failing neighbours, one winner a compare-and-swap, readers meanwhile. Run once a driver. */
#include "conformance/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define WRITERS 16
#define PUSHES 20

static enum kit_driver driver;

static int setup(void **state) {
    return kit_setup(state, driver);
}

struct writer {
    pthread_t thread;
    struct kit kit; /* the same store, its own error */
    char agent[16];
    int faults;
    atomic_bool *writing;
};

static void start(struct kit *kit, struct writer *writer, size_t number, void *(*run)(void *)) {
    *writer = (struct writer){.kit = {.store = kit->store}};
    snprintf(writer->agent, sizeof writer->agent, "agent-%02zu", number);
    assert_int_equal(pthread_create(&writer->thread, NULL, run, writer), 0);
}

/* ---- every writer its own agent, every third change fails after it wrote ---- */

static int write_and_fail(void *arg, struct store_tx *tx, struct err *err) {
    struct agent agent = {.name = arg, .description = "must not stay", .created_by = "k"};
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    agent.seq = change.position.seq;
    agent.created_at = change.at;
    r = store_agent_put(tx, &agent, err);
    if (r == 0) r = kit_end(tx, &change, "agent.put", agent.name, "", err);
    return r == 0 ? err_set(err, ERR_HELD, "changed its mind") : r;
}

static void *push_many(void *arg) {
    struct writer *writer = arg;
    char text[32];

    writer->faults += kit_agent(&writer->kit, writer->agent, "stays") != 0;
    for (int i = 0; i < PUSHES; i++) {
        snprintf(text, sizeof text, "%s %d", writer->agent, i);
        writer->faults += kit_push(&writer->kit, writer->agent, text) != 0;
        if (i % 3) continue;
        writer->faults += store_write(writer->kit.store, write_and_fail, writer->agent, &writer->kit.err) != -ERR_HELD;
        writer->faults += strcmp(writer->kit.err.message, "changed its mind") != 0;
    }
    return NULL;
}

static int check_agents(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct version version;
    struct agent *agents;
    size_t count;

    assert_int_equal(store_agents(tx, "", 100, &arena, &agents, &count, err), 0);
    assert_int_equal(count, WRITERS);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(agents[i].description, "stays");
        assert_int_equal(agents[i].latest, PUSHES);
        assert_int_equal(store_version_get(tx, agents[i].name, 1, false, &arena, &version, err), 0);
    }
    return 0;
}

static void failing_neighbours_do_no_harm(void **state) {
    struct kit *kit = *state;
    struct writer writers[WRITERS];
    int faults = 0;

    for (size_t i = 0; i < WRITERS; i++)
        start(kit, &writers[i], i, push_many);
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        faults += writers[i].faults;
    }
    assert_int_equal(faults, 0);
    assert_int_equal(kit_head(kit, NULL).seq, WRITERS * (PUSHES + 1));
    kit_read(kit, check_agents, NULL);
    struct sha256 before = kit_fingerprint(kit);
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    struct sha256 after = kit_fingerprint(kit);
    assert_memory_equal(&before, &after, sizeof before);
}

/* ---- one ref, many movers ---- */

static int read_version(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct deployment ref;

    int r = store_ref_get(tx, "a", "prod", &arena, &ref, err);
    if (r == 0) *(int64_t *)arg = ref.version;
    return r;
}

static void *move_ref(void *arg) {
    struct writer *writer = arg;
    int moved = 0;

    while (moved < 10) {
        int64_t version = 0;
        int r = store_read(writer->kit.store, read_version, &version, &writer->kit.err);
        if (r < 0) writer->faults++;
        r = kit_deploy(&writer->kit, "a", "prod", version % 3 + 1, version);
        if (r == 0) moved++;
        if (r != 0 && r != -ERR_CONFLICT) writer->faults++;
        if (writer->faults) break;
    }
    return NULL;
}

static int check_moves(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct deployment *moves;
    size_t count;

    assert_int_equal(store_deployments(tx, "a", "prod", 0, 1000, &arena, &moves, &count, err), 0);
    assert_int_equal(count, 80);
    for (size_t i = 0; i + 1 < count; i++)
        assert_int_equal(moves[i].previous, moves[i + 1].version);
    return 0;
}

static void no_update_is_lost(void **state) {
    struct kit *kit = *state;
    struct writer writers[8];

    kit_ok(kit, kit_agent(kit, "a", ""));
    for (int i = 1; i <= 3; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", i);
        kit_ok(kit, kit_push(kit, "a", text));
    }
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        start(kit, &writers[i], i, move_ref);
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].faults, 0);
    }
    kit_read(kit, check_moves, NULL);
    kit_verify_chain(kit);
}

/* ---- readers while others write ---- */

/* In one view everything agrees: the head, the newest audit entry, versions and their agents. */
static int view_agrees(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct writer *reader = arg;
    struct audit_entry *entries;
    struct version *versions;
    struct position head;
    struct agent *agents;
    int64_t at, pushed = 0;
    size_t count, more;

    int r = store_head(tx, &head, &at, err);
    if (r == 0) r = store_agents(tx, "", 100, &arena, &agents, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = store_versions(tx, agents[i].name, 0, 1000, &arena, &versions, &more, err);
        if (r == 0) reader->faults += (int64_t)more != agents[i].latest;
        pushed += 1 + agents[i].latest;
    }
    if (r == 0) r = store_audit(tx, head.seq - 1, 10, &arena, &entries, &more, err);
    if (r != 0) return r;
    reader->faults += pushed != head.seq || (head.seq && more != 1);
    return 0;
}

static void *read_views(void *arg) {
    struct writer *reader = arg;

    do
        reader->faults += store_read(reader->kit.store, view_agrees, reader, &reader->kit.err) != 0;
    while (atomic_load(reader->writing));
    return NULL;
}

static void readers_see_whole_changes(void **state) {
    struct kit *kit = *state;
    struct writer writers[4], readers[2];
    atomic_bool writing = true;

    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        readers[i] = (struct writer){.kit = {.store = kit->store}, .writing = &writing};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_views, &readers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        start(kit, &writers[i], i, push_many);
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        pthread_join(writers[i].thread, NULL);
    atomic_store(&writing, false);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        pthread_join(readers[i].thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(writers); i++)
        assert_int_equal(writers[i].faults, 0);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        assert_int_equal(readers[i].faults, 0);
}

/* More readers at once than the pool has connections: some wait, all are served. */
static int slow_view(void *arg, struct store_tx *tx, struct err *err) {
    struct position head;
    int64_t at;

    int r = store_head(tx, &head, &at, err);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return r;
}

static void *read_slowly(void *arg) {
    struct writer *reader = arg;

    for (int i = 0; i < 5; i++)
        reader->faults += store_read(reader->kit.store, slow_view, NULL, &reader->kit.err) != 0;
    return NULL;
}

static void readers_share_the_pool(void **state) {
    struct kit *kit = *state;
    struct writer readers[24];

    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        start(kit, &readers[i], i, read_slowly);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].faults, 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failing_neighbours_do_no_harm, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(no_update_is_lost, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(readers_see_whole_changes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(readers_share_the_pool, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : strcmp(argv[1], "fault") == 0 ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
