/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of edits beside a model that is an array. The seed is printed; TEST_SEED repeats a run.
 */
#include "snapshot/file.h"
#include "snapshot/test_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ENVIRONMENTS = 4, AGENTS = 60, KEYS = 24, KEPT = 12, STEPS = 400 };

static char agent_names[AGENTS][40], key_names[KEYS][16];
static const char *const environment_names[ENVIRONMENTS] = {"dev", "pre-production", "production", "staging"};

struct model {
    bool known[AGENTS], exists[ENVIRONMENTS];
    bool present[ENVIRONMENTS][AGENTS];
    struct test_entry entries[ENVIRONMENTS][AGENTS];
    int64_t seq;
};

static uint64_t first_seed(void) {
    const char *given = getenv("TEST_SEED"); /* NOLINT(concurrency-mt-unsafe) */
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20261123;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static size_t below(uint64_t *random, size_t limit) {
    return (size_t)(test_random(random) % limit);
}

/* Entries only point to what stands beside their refs, so there is a pool of it. */
enum { POOL = 8, POOL_ERAS = 5 };
static struct rollout pool_rollouts[POOL];
static struct panic pool_panics[POOL];
static struct snapshot_era_spec pool_eras[POOL][POOL_ERAS];
static const char *const audiences[] = {NULL, "true", "{\"==\":[{\"var\":\"plan\"},\"pro\"]}", "{\"unknown\":1}"};

static int make_pool(void) {
    static const int64_t panics[] = {PANIC_STABLE, PANIC_DISABLED, 1, 5};
    for (int i = 0; i < POOL; i++) {
        pool_rollouts[i] = (struct rollout){.id = i % 2 ? "r-1" : "r-2",
                                            .candidate = 1 + i % 5,
                                            .salt = i % 3 ? "salt" : "",
                                            .share = i * 12345,
                                            .seq = i,
                                            .state = (enum rollout_state)(i % 3),
                                            .audience = audiences[i % 4]};
        pool_panics[i] = (struct panic){.agent = i % 2 ? "" : "x",
                                        .version = panics[i % 4],
                                        .reason = "fire",
                                        .created_by = "ann",
                                        .created_at = i,
                                        .seq = 50 + i};
        for (int n = 0; n < POOL_ERAS; n++) {
            struct snapshot_era_spec *spec = pool_eras[i] + n;
            spec->era = (struct era){.from = 1000 - 10 * n, .version = 1 + (i + n) % 5};
            spec->version_released = (i + n) % 3 == 0;
            if ((i + n) % 2) continue;
            spec->era.candidate = 1 + (i + n + 1) % 5;
            spec->era.salt = "salt";
            spec->era.share = n * 1000;
            spec->era.audience = audiences[(i + n) % 4];
            spec->candidate_released = (i + n) % 4 == 0;
        }
    }
    return 0;
}

static int make_names(void **state) {
    for (int i = 0; i < AGENTS; i++)
        snprintf(agent_names[i], sizeof(agent_names[i]), "agent-%d%s", i * 37 % AGENTS,
                 i % 3 ? "" : "-with-quite-a-long-name");
    for (int i = 0; i < KEYS; i++)
        snprintf(key_names[i], sizeof(key_names[i]), "user-%02d", i);
    return make_pool();
}

/* ---- random changes ---- */

static void random_override(uint64_t *random, size_t place, struct test_override *override) {
    static const char *const names[TEST_OVERRIDES_MAX] = {"o-a", "o-b", "o-c", "o-d", "o-e", "o-f", "o-g", "o-h"};
    *override = (struct test_override){.name = names[place], .version = 1 + (int64_t)below(random, 5)};
    size_t count = 0;
    if (below(random, 3) == 0) override->audience = below(random, 2) ? "{\"var\":\"a\"}" : "{\"!\":{\"var\":\"b\"}}";
    for (size_t k = 0; !override->audience && k < KEYS && count < TEST_KEYS_MAX; k++)
        if (below(random, 6) == 0) override->keys[count++] = key_names[k];
}

static void random_beside(uint64_t *random, struct test_entry *entry) {
    entry->sessions = (enum session_policy)below(random, 2);
    if (below(random, 3) == 0) entry->rollout = pool_rollouts + below(random, POOL);
    if (below(random, 5) == 0)
        entry->panic = pool_panics + below(random, POOL / 2) * 2 + 1; /* of the whole environment */
    entry->eras = pool_eras[below(random, POOL)];
    entry->era_count = below(random, 2) ? below(random, POOL_ERAS + 1) : 0;
}

static struct test_entry random_entry(uint64_t *random, int64_t seq) {
    struct test_entry entry = {
        .agent = agent_names[below(random, AGENTS)],
        .environment = environment_names[below(random, ENVIRONMENTS)],
        .version = 1 + (int64_t)below(random, 5),
        .previous = (int64_t)below(random, 3),
        .seq = seq,
        .held = below(random, 4) == 0,
        .kind = (enum deployment_kind)below(random, 4),
        .reason = below(random, 2) ? "a \"reason\"\n" : NULL,
    };
    size_t overrides = below(random, 3) ? 0 : below(random, TEST_OVERRIDES_MAX + 1);
    for (size_t i = 0; i < overrides; i++)
        random_override(random, i, entry.overrides + i);
    random_beside(random, &entry);
    return entry;
}

static size_t agent_index(const char *name) {
    size_t i = 0;
    while (strcmp(agent_names[i], name) != 0)
        i++;
    return i;
}

static size_t environment_index(const char *name) {
    size_t i = 0;
    while (strcmp(environment_names[i], name) != 0)
        i++;
    return i;
}

static void model_put(struct model *model, const struct test_entry *entry) {
    size_t e = environment_index(entry->environment), a = agent_index(entry->agent);
    model->known[a] = true;
    model->exists[e] = true;
    model->present[e][a] = true;
    model->entries[e][a] = *entry;
}

static bool knows_all(const struct snapshot_edit *edit, const struct test_entry *entry) {
    bool all = snapshot_edit_knows_version(edit, entry->agent, entry->version);
    for (size_t i = 0; i < TEST_OVERRIDES_MAX && entry->overrides[i].name; i++)
        all = all && snapshot_edit_knows_version(edit, entry->agent, entry->overrides[i].version);
    if (entry->rollout) all = all && snapshot_edit_knows_version(edit, entry->agent, entry->rollout->candidate);
    if (entry->panic && entry->panic->version > 0)
        all = all && snapshot_edit_knows_version(edit, entry->agent, entry->panic->version);
    for (size_t i = 0; i < entry->era_count; i++) {
        const struct era *era = &entry->eras[i].era;
        all = all && snapshot_edit_knows_version(edit, entry->agent, era->version);
        all = all && (!era->candidate || snapshot_edit_knows_version(edit, entry->agent, era->candidate));
    }
    return all;
}

/* One random call on the edit, done to the model as well unless it is refused. */
static void random_call(struct snapshot_edit *edit, struct model *model, uint64_t *random) {
    size_t what = below(random, 12);
    if (what == 0) {
        size_t a = below(random, AGENTS);
        assert_int_equal(snapshot_edit_agent(edit, agent_names[a]), 0);
        model->known[a] = true;
        return;
    }
    if (what == 1) {
        size_t e = below(random, ENVIRONMENTS);
        assert_int_equal(snapshot_edit_environment(edit, environment_names[e]), 0);
        model->exists[e] = true;
        return;
    }
    struct test_entry entry = random_entry(random, model->seq);
    bool known = knows_all(edit, &entry);
    enum test_given given = below(random, 2) ? GIVE_ALL : GIVE_OTHERS;
    int r = test_put(edit, &entry, given, NULL);
    assert_int_equal(r, given == GIVE_ALL || known ? 0 : -ERR_INTERNAL);
    if (r == 0) model_put(model, &entry);
}

static struct snapshot *random_edit(struct snapshot *base, struct model *model, uint64_t *random) {
    struct snapshot_edit *edit;
    struct snapshot *next;
    model->seq++;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    for (size_t calls = below(random, 6); calls > 0; calls--)
        random_call(edit, model, random);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, model->seq}, &next), 0);
    return next;
}

/* ---- comparing ---- */

static void check_overrides(const struct snapshot_entry *entry, const struct test_entry *expected) {
    for (size_t k = 0; k < KEYS; k++) {
        const struct snapshot_override *got = snapshot_entry_override(entry, slice_of(key_names[k]));
        const struct test_override *want = test_override_of(expected, key_names[k]);
        assert_int_equal(got == NULL, want == NULL);
        if (got && want) assert_true(slice_equal_text(got->name, want->name) && got->version->number == want->version);
    }
}

static void check_entry(const struct snapshot *snapshot, const struct model *model, size_t e, size_t a) {
    const struct snapshot_entry *entry =
        snapshot_find(snapshot, slice_of(environment_names[e]), slice_of(agent_names[a]));
    assert_int_equal(entry != NULL, model->present[e][a]);
    if (!entry) return;
    struct str got = STR_INIT, want = STR_INIT;
    snapshot_entry_write(entry, &got);
    test_write_entry(&model->entries[e][a], &want);
    assert_string_equal(got.data, want.data);
    check_overrides(entry, &model->entries[e][a]);
    str_deinit(&got);
    str_deinit(&want);
}

struct order {
    const struct snapshot_entry *last;
    size_t seen;
};

static int check_order(void *ctx, const struct snapshot_entry *entry) {
    struct order *order = ctx;
    if (order->last) {
        int environments = strcmp(order->last->deployment.environment, entry->deployment.environment);
        int agents = strcmp(order->last->deployment.agent, entry->deployment.agent);
        assert_true(environments < 0 || (environments == 0 && agents < 0));
    }
    order->last = entry;
    order->seen++;
    return 0;
}

static void check(const struct snapshot *snapshot, const struct model *model) {
    size_t agents = 0, entries = 0;
    struct order order = {0};
    for (size_t a = 0; a < AGENTS; a++) {
        assert_int_equal(snapshot_has_agent(snapshot, slice_of(agent_names[a])), model->known[a]);
        agents += model->known[a];
    }
    for (size_t e = 0; e < ENVIRONMENTS; e++) {
        assert_int_equal(snapshot_has_environment(snapshot, slice_of(environment_names[e])), model->exists[e]);
        for (size_t a = 0; a < AGENTS; a++) {
            check_entry(snapshot, model, e, a);
            entries += model->present[e][a];
        }
    }
    assert_int_equal(snapshot_agent_count(snapshot), agents);
    assert_int_equal(snapshot_entry_count(snapshot), entries);
    assert_int_equal(snapshot_position(snapshot).seq, model->seq);
    assert_int_equal(snapshot_each(snapshot, NULL, check_order, &order), 0);
    assert_int_equal(order.seen, entries);
}

static int collect(void *ctx, struct slice bytes, struct err *err) {
    str_add_slice(ctx, bytes);
    return 0;
}

/* Through the form of the file and back: the same answers, and the same bytes once more. */
static void check_file(struct snapshot *snapshot, const struct model *model) {
    struct str bytes = STR_INIT, again = STR_INIT;
    struct snapshot *read = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(snapshot_file_write(snapshot, collect, &bytes, &err), 0);
    if (snapshot_file_read(str_slice(&bytes), &read, &err) < 0) fail_msg("%s", err.message);
    check(read, model);
    assert_int_equal(snapshot_file_write(read, collect, &again, &err), 0);
    assert_int_equal(bytes.len, again.len);
    assert_memory_equal(bytes.data, again.data, bytes.len);
    snapshot_unref(read);
    str_deinit(&bytes);
    str_deinit(&again);
}

/* ---- the properties ---- */

struct kept {
    struct snapshot *snapshot;
    struct model model;
};

/* Every snapshot stays what it was when it was made, whatever is made from it and in whatever order they go. */
static void test_edits_beside_model(void **state) {
    uint64_t random = first_seed();
    struct kept *kept = calloc(KEPT, sizeof(*kept));
    assert_non_null(kept);
    assert_int_equal(snapshot_new(&kept[0].snapshot), 0);
    size_t newest = 0;
    for (size_t step = 0; step < STEPS; step++) {
        size_t from = newest, to = below(&random, KEPT);
        if (below(&random, 10) == 0) from = below(&random, KEPT); /* an edit of an older one: another branch */
        if (!kept[from].snapshot) from = newest;
        struct model model = kept[from].model;
        struct snapshot *next = random_edit(kept[from].snapshot, &model, &random);
        snapshot_unref(kept[to].snapshot);
        kept[to] = (struct kept){next, model};
        newest = to;
        if (step % 8 == 0) check(next, &model);
        if (step % 8 == 4) check_file(next, &model);
    }
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].snapshot) check(kept[i].snapshot, &kept[i].model);
    for (size_t i = KEPT; i > 0; i--)
        snapshot_unref(kept[i - 1].snapshot);
    free(kept);
}

static void put_model(struct snapshot_edit *edit, const struct model *model, size_t e, size_t a) {
    if (!model->present[e][a]) return;
    assert_int_equal(test_put(edit, &model->entries[e][a], GIVE_ALL, NULL), 0);
}

/* The same truth in one edit, forwards or backwards. */
static struct snapshot *straight_way(const struct model *model, bool backwards) {
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    for (size_t a = 0; a < AGENTS; a++)
        if (model->known[a]) assert_int_equal(snapshot_edit_agent(edit, agent_names[a]), 0);
    for (size_t i = 0; i < (size_t)ENVIRONMENTS * AGENTS; i++) {
        size_t at = backwards ? (size_t)ENVIRONMENTS * AGENTS - 1 - i : i;
        put_model(edit, model, at / AGENTS, at % AGENTS);
    }
    for (size_t e = 0; e < ENVIRONMENTS; e++)
        if (model->exists[e]) assert_int_equal(snapshot_edit_environment(edit, environment_names[e]), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, model->seq}, &snapshot), 0);
    snapshot_unref(empty);
    return snapshot;
}

static void test_two_routes_same_bytes(void **state) {
    uint64_t random = first_seed() + 1;
    struct model *model = calloc(1, sizeof(*model));
    struct snapshot *snapshot;
    assert_non_null(model);
    assert_int_equal(snapshot_new(&snapshot), 0);
    for (size_t step = 0; step < STEPS; step++) {
        struct snapshot *next = random_edit(snapshot, model, &random);
        snapshot_unref(snapshot);
        snapshot = next;
    }
    struct str long_way = STR_INIT, forwards = STR_INIT, backwards = STR_INIT;
    struct snapshot *one = straight_way(model, false), *other = straight_way(model, true);
    test_dump(snapshot, &long_way);
    test_dump(one, &forwards);
    test_dump(other, &backwards);
    assert_string_equal(long_way.data, forwards.data);
    assert_string_equal(long_way.data, backwards.data);
    check(one, model);
    str_deinit(&long_way);
    str_deinit(&forwards);
    str_deinit(&backwards);
    snapshot_unref(snapshot);
    snapshot_unref(one);
    snapshot_unref(other);
    free(model);
}

/* ---- many agents: pages split, the directory doubles ---- */

enum { CROWD = 6000 };

static struct test_entry crowd_entry(size_t i, int64_t version) {
    static char names[CROWD][24];
    snprintf(names[i], sizeof(names[i]), "agent-%zu", i);
    return (struct test_entry){
        .agent = names[i], .environment = i % 2 ? "production" : "staging", .version = version, .seq = (int64_t)i + 1};
}

static void check_crowd(const struct snapshot *snapshot, size_t count, size_t moved) {
    assert_int_equal(snapshot_entry_count(snapshot), count);
    assert_int_equal(snapshot_agent_count(snapshot), count);
    for (size_t i = 0; i < CROWD; i++) {
        struct test_entry entry = crowd_entry(i, 1);
        const struct snapshot_entry *got = snapshot_find(snapshot, slice_of(entry.environment), slice_of(entry.agent));
        assert_int_equal(got != NULL, i < count);
        if (!got) continue;
        assert_int_equal(got->version->number, i < moved ? 2 : 1);
        assert_true(slice_equal_text(got->agent, entry.agent));
        assert_null(snapshot_find(snapshot, slice_of(i % 2 ? "staging" : "production"), slice_of(entry.agent)));
    }
}

static struct snapshot *crowd_step(struct snapshot *base, size_t from, size_t to, int64_t version) {
    struct snapshot_edit *edit;
    struct snapshot *next;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    for (size_t i = from; i < to; i++) {
        struct test_entry entry = crowd_entry(i, version);
        assert_int_equal(test_put(edit, &entry, GIVE_ALL, NULL), 0);
    }
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 1}, &next), 0);
    return next;
}

static void test_crowd(void **state) {
    struct snapshot *empty, *half, *all, *moved;
    assert_int_equal(snapshot_new(&empty), 0);
    half = crowd_step(empty, 0, CROWD / 2, 1);
    all = snapshot_ref(half);
    for (size_t i = CROWD / 2; i < CROWD; i++) { /* one at a time, as in life */
        struct snapshot *next = crowd_step(all, i, i + 1, 1);
        snapshot_unref(all);
        all = next;
    }
    moved = crowd_step(all, 0, 1000, 2);
    check_crowd(empty, 0, 0);
    check_crowd(half, CROWD / 2, 0);
    check_crowd(all, CROWD, 0);
    check_crowd(moved, CROWD, 1000);
    snapshot_unref(half);
    check_crowd(all, CROWD, 0);
    snapshot_unref(all);
    check_crowd(moved, CROWD, 1000);
    snapshot_unref(moved);
    snapshot_unref(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits_beside_model),
        cmocka_unit_test(test_two_routes_same_bytes),
        cmocka_unit_test(test_crowd),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
