/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct slice text(const char *bytes) {
    return slice_of(bytes);
}

static const struct snapshot_entry *found(const struct snapshot *snapshot, const char *environment, const char *agent) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, text(environment), text(agent));
    assert_non_null(entry);
    return entry;
}

static void assert_slice(struct slice slice, const char *expected) {
    assert_int_equal(slice.len, strlen(expected));
    assert_memory_equal(slice.ptr, expected, slice.len);
}

static void assert_writes(const struct snapshot_entry *entry, const struct test_entry *expected) {
    struct str got = STR_INIT, want = STR_INIT;
    snapshot_entry_write(entry, &got);
    test_write_entry(expected, &want);
    assert_false(got.failed || want.failed);
    assert_string_equal(got.data, want.data);
    str_deinit(&got);
    str_deinit(&want);
}

static int count_entry(void *ctx, const struct snapshot_entry *entry) {
    ++*(size_t *)ctx;
    return 0;
}

static const struct test_entry support = {
    .agent = "support", .environment = "production", .version = 42, .previous = 41, .seq = 7};

/* ---- an empty snapshot ---- */

static void test_empty(void **state) {
    struct snapshot *snapshot;
    struct sha256 hash = {{0}};
    size_t count = 0;
    assert_int_equal(snapshot_new(&snapshot), 0);

    assert_int_equal(snapshot_position(snapshot).epoch, 0);
    assert_int_equal(snapshot_position(snapshot).seq, 0);
    assert_int_equal(snapshot_entry_count(snapshot), 0);
    assert_int_equal(snapshot_agent_count(snapshot), 0);
    assert_null(snapshot_find(snapshot, text("production"), text("support")));
    assert_null(snapshot_find(snapshot, text(""), text("")));
    assert_false(snapshot_has_agent(snapshot, text("support")));
    assert_false(snapshot_has_environment(snapshot, text("production")));
    assert_null(snapshot_key_by_id(snapshot, text("")));
    assert_null(snapshot_key_by_hash(snapshot, &hash));
    assert_int_equal(snapshot_each(snapshot, NULL, count_entry, &count), 0);
    assert_int_equal(snapshot_each(snapshot, "production", count_entry, &count), 0);
    assert_int_equal(count, 0);
    assert_null(snapshot_unref(snapshot));
}

static void test_unref_takes_null(void **state) {
    assert_null(snapshot_unref(NULL));
    assert_null(snapshot_edit_free(NULL));
}

/* ---- what an entry says ---- */

static void test_entry_members(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&support, 1);
    const struct snapshot_entry *entry = found(snapshot, "production", "support");
    struct sha256 config_hash = test_config_hash("support", 42), content_hash = test_content_hash("support", 42);
    struct str config = STR_INIT;
    test_config("support", 42, &config);

    assert_slice(entry->agent, "support");
    assert_slice(entry->environment, "production");
    assert_slice(snapshot_entry_salt(entry), "support/production");
    assert_false(entry->held);
    assert_int_equal(entry->override_count, 0);
    assert_null(entry->overrides);
    assert_int_equal(entry->version->number, 42);
    assert_slice(entry->version->agent, "support");
    assert_slice(entry->version->config, config.data);
    assert_memory_equal(&entry->version->config_hash, &config_hash, sizeof(config_hash));
    assert_memory_equal(&entry->version->content_hash, &content_hash, sizeof(content_hash));
    assert_int_equal(snapshot_position(snapshot).epoch, 1);
    assert_int_equal(snapshot_position(snapshot).seq, 7);
    assert_int_equal(snapshot_entry_count(snapshot), 1);
    assert_int_equal(snapshot_agent_count(snapshot), 1);
    assert_true(snapshot_has_agent(snapshot, text("support")));
    assert_true(snapshot_has_environment(snapshot, text("production")));
    str_deinit(&config);
    snapshot_unref(snapshot);
}

static void test_entry_deployment(void **state) {
    struct test_entry moved = support;
    moved.kind = DEPLOYMENT_ROLLBACK;
    moved.held = true;
    struct snapshot *snapshot = test_snapshot_of(&moved, 1);
    const struct snapshot_entry *entry = found(snapshot, "production", "support");

    assert_true(entry->held);
    assert_string_equal(entry->deployment.id, "move-7");
    assert_string_equal(entry->deployment.agent, "support");
    assert_string_equal(entry->deployment.environment, "production");
    assert_int_equal(entry->deployment.version, 42);
    assert_int_equal(entry->deployment.previous, 41);
    assert_int_equal(entry->deployment.kind, DEPLOYMENT_ROLLBACK);
    assert_string_equal(entry->deployment.reason, "because");
    assert_null(entry->deployment.release);
    assert_string_equal(entry->deployment.created_by, "key-1");
    assert_int_equal(entry->deployment.seq, 7);
    snapshot_unref(snapshot);
}

/* How answers begin and end is part of the header: resolve and the client copy these bytes. */
static void test_entry_slices(void **state) {
    struct test_entry entry = support;
    entry.overrides[0] = (struct test_override){.name = "staff", .version = 40, .keys = {"u1"}};
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    const struct snapshot_entry *served = found(snapshot, "production", "support");
    struct str want = STR_INIT, got = STR_INIT;

    test_write_decision(&entry, NULL, "1.7", NULL, &want);
    str_add_slice(&got, served->head.text);
    str_add_text(&got, "\"position\":\"1.7\",");
    str_add_slice(&got, served->version->decision_tail);
    assert_string_equal(got.data, want.data);

    str_clear(&want);
    str_clear(&got);
    test_write_decision(&entry, entry.overrides, "1.7", NULL, &want);
    str_add_slice(&got, served->overrides[0].head.text);
    str_add_text(&got, "\"position\":\"1.7\",");
    str_add_slice(&got, served->overrides[0].version->decision_tail);
    assert_string_equal(got.data, want.data);
    str_deinit(&want);
    str_deinit(&got);
    snapshot_unref(snapshot);
}

/* Everything in a spec is copied: it may change and go away as soon as the call is over. */
static void test_entry_copies(void **state) {
    char agent[] = "support", environment[] = "production", reason[] = "first", id[] = "d-1", by[] = "k",
         release[] = "r-1";
    char config[] = "{\"model\":\"m\"}", name[] = "staff", key[] = "u1";
    const char *keys[] = {key, NULL};
    struct version version = {.agent = agent, .number = 3, .config = {config, strlen(config)}};
    const struct version *versions[] = {&version};
    struct snapshot_override_spec override = {name, 3, keys};
    struct snapshot_entry_spec spec = {.deployment = {.id = id,
                                                      .agent = agent,
                                                      .environment = environment,
                                                      .version = 3,
                                                      .reason = reason,
                                                      .release = release,
                                                      .created_by = by},
                                       .overrides = &override,
                                       .override_count = 1,
                                       .versions = versions,
                                       .version_count = 1};
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_entry(edit, &spec, NULL), 0);
    char *all[] = {agent, environment, reason, id, by, release, config, name, key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        memset(all[i], '#', strlen(all[i]));
    version.number = 99;
    keys[0] = NULL;
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 1}, &snapshot), 0);
    snapshot_unref(empty);

    const struct snapshot_entry *entry = found(snapshot, "production", "support");
    assert_string_equal(entry->deployment.reason, "first");
    assert_string_equal(entry->deployment.id, "d-1");
    assert_string_equal(entry->deployment.created_by, "k");
    assert_string_equal(entry->deployment.release, "r-1");
    assert_slice(entry->version->config, "{\"model\":\"m\"}");
    assert_int_equal(entry->version->number, 3);
    const struct snapshot_override *staff = snapshot_entry_override(entry, text("u1"));
    assert_non_null(staff);
    assert_slice(staff->name, "staff");
    snapshot_unref(snapshot);
}

/* ---- names ---- */

static void test_names_near_misses(void **state) {
    static const struct test_entry entries[] = {
        {.agent = "support", .environment = "production", .version = 1, .seq = 1},
        {.agent = "support-eu", .environment = "staging", .version = 1, .seq = 2},
        {.agent = "production", .environment = "support-eu", .version = 1, .seq = 3},
        {.agent = "a", .environment = "b", .version = 1, .seq = 4},
    };
    static const struct {
        const char *environment, *agent;
    } misses[] = {
        {"production", "suppor"},
        {"production", "support-"},
        {"production", "support-eu"},
        {"productio", "support"},
        {"production-", "support"},
        {"support", "production"},
        {"staging", "support"},
        {"Production", "support"},
        {"production", "Support"},
        {"", "support"},
        {"production", ""},
        {"", ""},
        {"b", ""},
        {"", "a"},
        {"a", "b"},
        {"", "ab"},
        {"ab", ""},
        {"b", "a/b"},
        {"a/b", "b"},
        {"productions", "upport"},
        {"production\n", "support"},
        {"b ", "a"},
        {"productionsupport", ""},
        {"", "productionsupport"},
        {"support-eu", "productio"},
        {"support-e", "uproduction"},
    };
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        assert_writes(found(snapshot, entries[i].environment, entries[i].agent), entries + i);
    for (size_t i = 0; i < ARRAY_LEN(misses); i++)
        assert_null(snapshot_find(snapshot, text(misses[i].environment), text(misses[i].agent)));
    snapshot_unref(snapshot);
}

static void test_names_with_nul(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&support, 1);
    assert_null(snapshot_find(snapshot, text("production"), (struct slice){"support\0", 8}));
    assert_null(snapshot_find(snapshot, text("production"), (struct slice){"supp\0rt", 7}));
    assert_null(snapshot_find(snapshot, (struct slice){"production\0", 11}, text("support")));
    assert_false(snapshot_has_agent(snapshot, (struct slice){"support\0", 8}));
    assert_false(snapshot_has_environment(snapshot, (struct slice){"production\0", 11}));
    snapshot_unref(snapshot);
}

/* A slice is not a C string: what follows it must not matter. */
static void test_names_are_slices(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&support, 1);
    const char *request = "GET /resolve/support?environment=production&key=u1";
    const struct snapshot_entry *entry =
        snapshot_find(snapshot, (struct slice){request + 33, 10}, (struct slice){request + 13, 7});
    assert_ptr_equal(entry, found(snapshot, "production", "support"));
    snapshot_unref(snapshot);
}

/* All lengths up to the longest, so that names stand inside and outside of the table's records. */
static void test_names_of_all_lengths(void **state) {
    enum { LONGEST = 63 };
    static char names[LONGEST + 1][LONGEST + 1];
    static struct test_entry entries[LONGEST * 3];
    size_t count = 0;
    for (int len = 1; len <= LONGEST; len++) {
        memset(names[len], 'a' + len % 26, (size_t)len);
        for (int other = 0; other < 3; other++) {
            static const char *const environments[] = {"e", "production", "an-environment-with-a-name-of-some-length"};
            entries[count] = (struct test_entry){
                .agent = names[len], .environment = environments[other], .version = len, .seq = (int64_t)count + 1};
            count++;
        }
    }
    struct snapshot *snapshot = test_snapshot_of(entries, count);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot_entry *entry = found(snapshot, entries[i].environment, entries[i].agent);
        assert_writes(entry, entries + i);
        struct slice agent = entry->agent;
        agent.len--;
        assert_null(snapshot_find(snapshot, entry->environment, agent));
    }
    snapshot_unref(snapshot);
}

/* A question may carry anything at all. */
static void test_names_too_long(void **state) {
    static char longest[100000];
    memset(longest, 'a', sizeof(longest));
    struct snapshot *snapshot = test_snapshot_of(&support, 1);
    for (size_t len = 1; len <= sizeof(longest); len = len * 2 + 1) {
        assert_null(snapshot_find(snapshot, text("production"), (struct slice){longest, len}));
        assert_null(snapshot_find(snapshot, (struct slice){longest, len}, text("support")));
        assert_false(snapshot_has_agent(snapshot, (struct slice){longest, len}));
    }
    snapshot_unref(snapshot);
}

static void test_look_says_what_find_says(void **state) {
    struct test_entry entries[2] = {support, support};
    entries[1].environment = "staging";
    entries[1].overrides[0] = (struct test_override){.name = "o", .version = 1, .keys = {"u1"}};
    struct snapshot *snapshot = test_snapshot_of(entries, 2);
    for (size_t i = 0; i < 2; i++) {
        struct snapshot_served served;
        assert_true(snapshot_look(snapshot, text(entries[i].environment), text("support"), &served));
        assert_ptr_equal(served.entry, found(snapshot, entries[i].environment, "support"));
        assert_ptr_equal(served.beside, served.entry->beside);
        assert_int_equal(served.beside != NULL, i == 1);
        assert_ptr_equal(i ? served.beside->version : served.version, served.entry->version);
        if (i) assert_null(served.version);
        assert_int_equal(served.has_overrides, i == 1);
    }
    struct snapshot_served served;
    assert_false(snapshot_look(snapshot, text("dev"), text("support"), &served));
    snapshot_unref(snapshot);
}

/* ---- agents and environments without entries ---- */

static void test_agents_and_environments(void **state) {
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    size_t count = 0;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(snapshot_edit_agent(edit, "support"), 0);
        assert_int_equal(snapshot_edit_agent(edit, "billing"), 0);
        assert_int_equal(snapshot_edit_environment(edit, "production"), 0);
        assert_int_equal(snapshot_edit_environment(edit, "staging"), 0);
    }
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 2}, &snapshot), 0);

    assert_int_equal(snapshot_agent_count(snapshot), 2);
    assert_int_equal(snapshot_entry_count(snapshot), 0);
    assert_true(snapshot_has_agent(snapshot, text("support")));
    assert_true(snapshot_has_agent(snapshot, text("billing")));
    assert_false(snapshot_has_agent(snapshot, text("production")));
    assert_true(snapshot_has_environment(snapshot, text("production")));
    assert_true(snapshot_has_environment(snapshot, text("staging")));
    assert_false(snapshot_has_environment(snapshot, text("support")));
    assert_false(snapshot_has_environment(snapshot, text("stagin")));
    assert_null(snapshot_find(snapshot, text("production"), text("support")));
    assert_int_equal(snapshot_each(snapshot, NULL, count_entry, &count), 0);
    assert_int_equal(count, 0);
    assert_false(snapshot_has_agent(empty, text("support")));
    assert_false(snapshot_has_environment(empty, text("production")));
    snapshot_unref(empty);
    snapshot_unref(snapshot);
}

static void test_entry_makes_agent_and_environment(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&support, 1);
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(snapshot, &edit), 0);
    assert_int_equal(snapshot_edit_agent(edit, "support"), 0);
    assert_int_equal(snapshot_edit_environment(edit, "production"), 0);
    struct snapshot *next;
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 8}, &next), 0);
    assert_int_equal(snapshot_agent_count(next), 1);
    assert_ptr_equal(found(next, "production", "support"), found(snapshot, "production", "support"));
    snapshot_unref(next);
    snapshot_unref(snapshot);
}

static void test_many_environments(void **state) {
    enum { MANY = 300 };
    static char names[MANY][16];
    static struct test_entry entries[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "env-%d", i * 7 % MANY);
        entries[i] = (struct test_entry){.agent = "support", .environment = names[i], .version = 1, .seq = i + 1};
    }
    struct snapshot *snapshot = test_snapshot_of(entries, MANY);
    const struct snapshot_version *shared = found(snapshot, "env-0", "support")->version;
    assert_int_equal(snapshot_agent_count(snapshot), 1);
    assert_int_equal(snapshot_entry_count(snapshot), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_true(snapshot_has_environment(snapshot, text(names[i])));
        assert_ptr_equal(found(snapshot, names[i], "support")->version, shared);
    }
    snapshot_unref(snapshot);
}

/* ---- order ---- */

struct listing {
    char text[2000];
    size_t stop_after; /* 0 = never */
    size_t seen;
};

static int list_entry(void *ctx, const struct snapshot_entry *entry) {
    struct listing *listing = ctx;
    size_t len = strlen(listing->text);
    snprintf(listing->text + len, sizeof(listing->text) - len, "%.*s/%.*s ", (int)entry->environment.len,
             entry->environment.ptr, (int)entry->agent.len, entry->agent.ptr);
    return ++listing->seen == listing->stop_after ? -77 : 0;
}

static const struct test_entry unordered[] = {
    {.agent = "m", .environment = "staging", .version = 1, .seq = 1},
    {.agent = "z", .environment = "production", .version = 1, .seq = 2},
    {.agent = "a-b", .environment = "production", .version = 1, .seq = 3},
    {.agent = "a", .environment = "production", .version = 1, .seq = 4},
    {.agent = "a0", .environment = "production", .version = 1, .seq = 5},
    {.agent = "a", .environment = "dev", .version = 1, .seq = 6},
    {.agent = "10", .environment = "production", .version = 1, .seq = 7},
    {.agent = "9", .environment = "production", .version = 1, .seq = 8},
    {.agent = "a", .environment = "staging", .version = 1, .seq = 9},
};

static void test_each_in_order(void **state) {
    struct snapshot *snapshot = test_snapshot_of(unordered, ARRAY_LEN(unordered));
    struct listing all = {{0}}, production = {{0}}, none = {{0}};
    assert_int_equal(snapshot_each(snapshot, NULL, list_entry, &all), 0);
    assert_string_equal(all.text, "dev/a production/10 production/9 production/a production/a-b production/a0 "
                                  "production/z staging/a staging/m ");
    assert_int_equal(snapshot_each(snapshot, "production", list_entry, &production), 0);
    assert_string_equal(production.text, "production/10 production/9 production/a production/a-b production/a0 "
                                         "production/z ");
    assert_int_equal(snapshot_each(snapshot, "prod", list_entry, &none), 0);
    assert_string_equal(none.text, "");
    snapshot_unref(snapshot);
}

static void test_each_stops(void **state) {
    struct snapshot *snapshot = test_snapshot_of(unordered, ARRAY_LEN(unordered));
    for (size_t stop = 1; stop <= ARRAY_LEN(unordered); stop++) {
        struct listing listing = {.stop_after = stop};
        assert_int_equal(snapshot_each(snapshot, NULL, list_entry, &listing), -77);
        assert_int_equal(listing.seen, stop);
    }
    struct listing listing = {.stop_after = 2};
    assert_int_equal(snapshot_each(snapshot, "staging", list_entry, &listing), -77);
    snapshot_unref(snapshot);
}

/* ---- edits ---- */

static void test_edit_leaves_base(void **state) {
    struct snapshot *base = test_snapshot_of(unordered, ARRAY_LEN(unordered));
    struct test_entry moved = {.agent = "a", .environment = "production", .version = 2, .previous = 1, .seq = 10};
    struct test_entry added = {.agent = "new", .environment = "new-place", .version = 5, .seq = 11};
    const struct test_entry both[] = {moved, added};
    struct snapshot *next = test_snapshot(base, both, 2);

    for (size_t i = 0; i < ARRAY_LEN(unordered); i++)
        assert_writes(found(base, unordered[i].environment, unordered[i].agent), unordered + i);
    assert_false(snapshot_has_agent(base, text("new")));
    assert_false(snapshot_has_environment(base, text("new-place")));
    assert_int_equal(snapshot_entry_count(base), ARRAY_LEN(unordered));
    assert_int_equal(snapshot_position(base).seq, 9);

    assert_writes(found(next, "production", "a"), &moved);
    assert_writes(found(next, "new-place", "new"), &added);
    assert_int_equal(snapshot_entry_count(next), ARRAY_LEN(unordered) + 1);
    assert_int_equal(snapshot_position(next).seq, 11);
    snapshot_unref(base);
    assert_writes(found(next, "staging", "m"), unordered);
    snapshot_unref(next);
}

static void test_edit_shares(void **state) {
    struct snapshot *base = test_snapshot_of(unordered, ARRAY_LEN(unordered));
    struct test_entry moved = {.agent = "a", .environment = "production", .version = 2, .seq = 10};
    struct snapshot *next = test_snapshot(base, &moved, 1);
    for (size_t i = 0; i < ARRAY_LEN(unordered); i++) {
        const char *environment = unordered[i].environment, *agent = unordered[i].agent;
        bool touched = strcmp(agent, "a") == 0 && strcmp(environment, "production") == 0;
        assert_int_equal(found(base, environment, agent) == found(next, environment, agent), !touched);
    }
    snapshot_unref(next);
    snapshot_unref(base);
}

static void test_edit_last_put_wins(void **state) {
    struct test_entry twice[] = {support, support};
    twice[1].version = 43;
    twice[1].seq = 8;
    struct snapshot *snapshot = test_snapshot_of(twice, 2);
    assert_int_equal(snapshot_entry_count(snapshot), 1);
    assert_writes(found(snapshot, "production", "support"), twice + 1);
    struct listing listing = {{0}};
    assert_int_equal(snapshot_each(snapshot, NULL, list_entry, &listing), 0);
    assert_string_equal(listing.text, "production/support ");
    snapshot_unref(snapshot);
}

static void test_edit_without_change(void **state) {
    struct snapshot *base = test_snapshot_of(unordered, ARRAY_LEN(unordered)), *next;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){2, 10}, &next), 0);
    assert_int_equal(snapshot_position(next).epoch, 2);
    assert_int_equal(snapshot_position(next).seq, 10);
    assert_int_equal(snapshot_position(base).seq, 9);
    for (size_t i = 0; i < ARRAY_LEN(unordered); i++)
        assert_ptr_equal(found(base, unordered[i].environment, unordered[i].agent),
                         found(next, unordered[i].environment, unordered[i].agent));
    snapshot_unref(base);
    snapshot_unref(next);
}

static void test_edit_given_up(void **state) {
    struct snapshot *base = test_snapshot_of(unordered, ARRAY_LEN(unordered));
    struct snapshot_edit *edit;
    struct test_entry moved = {.agent = "a", .environment = "production", .version = 2, .seq = 10};
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    assert_int_equal(test_put(edit, &moved, GIVE_ALL, NULL), 0);
    assert_int_equal(test_put(edit, &support, GIVE_ALL, NULL), 0);
    assert_int_equal(snapshot_edit_agent(edit, "another"), 0);
    assert_null(snapshot_edit_free(edit));
    assert_writes(found(base, "production", "a"), unordered + 3);
    assert_false(snapshot_has_agent(base, text("another")));
    assert_int_equal(snapshot_entry_count(base), ARRAY_LEN(unordered));
    snapshot_unref(base);
}

/* Two edits of one base know nothing of each other. */
static void test_edits_side_by_side(void **state) {
    struct snapshot *base = test_snapshot_of(unordered, ARRAY_LEN(unordered)), *left, *right;
    struct snapshot_edit *one, *two;
    struct test_entry a = {.agent = "a", .environment = "production", .version = 2, .seq = 10};
    struct test_entry z = {.agent = "z", .environment = "production", .version = 3, .seq = 11};
    assert_int_equal(snapshot_edit_new(base, &one), 0);
    assert_int_equal(snapshot_edit_new(base, &two), 0);
    assert_int_equal(test_put(one, &a, GIVE_ALL, NULL), 0);
    assert_int_equal(test_put(two, &z, GIVE_ALL, NULL), 0);
    assert_int_equal(snapshot_edit_finish(one, (struct position){1, 10}, &left), 0);
    assert_int_equal(snapshot_edit_finish(two, (struct position){1, 11}, &right), 0);

    assert_writes(found(left, "production", "a"), &a);
    assert_writes(found(left, "production", "z"), unordered + 1);
    assert_writes(found(right, "production", "a"), unordered + 3);
    assert_writes(found(right, "production", "z"), &z);
    struct snapshot *after = test_snapshot(left, &z, 1);
    assert_writes(found(after, "production", "a"), &a);
    assert_writes(found(after, "production", "z"), &z);
    assert_writes(found(left, "production", "z"), unordered + 1);
    snapshot_unref(base);
    snapshot_unref(left);
    snapshot_unref(right);
    snapshot_unref(after);
}

/* ---- versions ---- */

static void test_version_is_shared(void **state) {
    struct test_entry entries[] = {support, support, support};
    entries[1].environment = "staging";
    entries[2].environment = "dev";
    entries[2].version = 41;
    entries[2].overrides[0] = (struct test_override){.name = "staff", .version = 42, .keys = {"u1"}};
    struct snapshot *snapshot = test_snapshot_of(entries, 3);
    const struct snapshot_version *version = found(snapshot, "production", "support")->version;
    assert_ptr_equal(found(snapshot, "staging", "support")->version, version);
    assert_ptr_equal(found(snapshot, "dev", "support")->overrides[0].version, version);
    assert_ptr_not_equal(found(snapshot, "dev", "support")->version, version);

    struct test_entry again = support;
    again.seq = 9;
    struct snapshot *next = test_snapshot(snapshot, &again, 1);
    assert_ptr_equal(found(next, "production", "support")->version, version);
    snapshot_unref(snapshot);
    assert_writes(found(next, "production", "support"), &again);
    snapshot_unref(next);
}

static void test_version_known(void **state) {
    struct test_entry entries[] = {support, support};
    entries[0].overrides[0] = (struct test_override){.name = "staff", .version = 40, .keys = {"u1"}};
    entries[1].agent = "billing";
    entries[1].version = 7;
    struct snapshot *base = test_snapshot_of(entries, 2);
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);

    assert_true(snapshot_edit_knows_version(edit, "support", 42));
    assert_true(snapshot_edit_knows_version(edit, "support", 40));
    assert_true(snapshot_edit_knows_version(edit, "billing", 7));
    assert_false(snapshot_edit_knows_version(edit, "support", 7));
    assert_false(snapshot_edit_knows_version(edit, "support", 41));
    assert_false(snapshot_edit_knows_version(edit, "billing", 42));
    assert_false(snapshot_edit_knows_version(edit, "nobody", 42));

    struct test_entry other = support;
    other.environment = "staging";
    other.version = 43;
    assert_int_equal(test_put(edit, &other, GIVE_ALL, NULL), 0);
    assert_true(snapshot_edit_knows_version(edit, "support", 43));
    snapshot_edit_free(edit);
    snapshot_unref(base);
}

/* Moving the only ref away from a version, the base still has it for later steps of the same edit. */
static void test_version_known_after_moving_away(void **state) {
    struct snapshot *base = test_snapshot_of(&support, 1), *next;
    struct snapshot_edit *edit;
    struct test_entry away = support, back = support;
    away.version = 43;
    back.environment = "staging";
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    assert_int_equal(test_put(edit, &away, GIVE_ALL, NULL), 0);
    assert_true(snapshot_edit_knows_version(edit, "support", 42));
    assert_int_equal(test_put(edit, &back, GIVE_NONE, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 9}, &next), 0);
    snapshot_unref(base);
    assert_writes(found(next, "production", "support"), &away);
    assert_writes(found(next, "staging", "support"), &back);

    assert_int_equal(snapshot_edit_new(next, &edit), 0);
    assert_true(snapshot_edit_knows_version(edit, "support", 42));
    snapshot_edit_free(edit);
    struct test_entry last = back;
    last.version = 43;
    struct snapshot *gone = test_snapshot(next, &last, 1);
    assert_int_equal(snapshot_edit_new(gone, &edit), 0);
    assert_false(snapshot_edit_knows_version(edit, "support", 42));
    snapshot_edit_free(edit);
    snapshot_unref(next);
    snapshot_unref(gone);
}

static void test_version_missing(void **state) {
    static const struct {
        int64_t version, override;
        enum test_given given;
    } cases[] = {{43, 42, GIVE_NONE}, {42, 43, GIVE_NONE}, {43, 43, GIVE_OTHERS}, {1, 2, GIVE_OTHERS}};
    struct snapshot *base = test_snapshot_of(&support, 1), *next;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_entry entry = support;
        struct err err = ERR_INIT;
        entry.version = cases[i].version;
        entry.overrides[0] = (struct test_override){.name = "staff", .version = cases[i].override, .keys = {"u1"}};
        assert_int_equal(test_put(edit, &entry, cases[i].given, &err), -ERR_INTERNAL);
        assert_int_equal(err.code, ERR_INTERNAL);
        assert_non_null(strstr(err.message, "support@"));
        entry.agent = "unknown";
        entry.environment = "elsewhere";
        assert_int_equal(test_put(edit, &entry, cases[i].given, NULL), -ERR_INTERNAL);
    }
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 8}, &next), 0);
    assert_ptr_equal(found(next, "production", "support"), found(base, "production", "support"));
    assert_false(snapshot_has_agent(next, text("unknown")));
    assert_false(snapshot_has_environment(next, text("elsewhere")));
    snapshot_unref(base);
    snapshot_unref(next);
}

/* A record without its configuration is no version to serve, and another agent's version is another version. */
static void test_version_of_no_use(void **state) {
    struct version bare = {.agent = "support", .number = 42},
                   foreign = {.agent = "billing", .number = 42, .config = SLICE_LIT("{}")};
    const struct version *lists[] = {&bare, &foreign};
    const struct snapshot_entry_spec spec = {
        .deployment =
            {.id = "", .agent = "support", .environment = "production", .version = 42, .reason = "", .created_by = ""},
        .versions = lists,
        .version_count = 2};
    struct snapshot *empty;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_entry(edit, &spec, NULL), -ERR_INTERNAL);
    snapshot_edit_free(edit);
    snapshot_unref(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_unref_takes_null),
        cmocka_unit_test(test_entry_members),
        cmocka_unit_test(test_entry_deployment),
        cmocka_unit_test(test_entry_slices),
        cmocka_unit_test(test_entry_copies),
        cmocka_unit_test(test_names_near_misses),
        cmocka_unit_test(test_names_with_nul),
        cmocka_unit_test(test_names_are_slices),
        cmocka_unit_test(test_names_of_all_lengths),
        cmocka_unit_test(test_names_too_long),
        cmocka_unit_test(test_look_says_what_find_says),
        cmocka_unit_test(test_agents_and_environments),
        cmocka_unit_test(test_entry_makes_agent_and_environment),
        cmocka_unit_test(test_many_environments),
        cmocka_unit_test(test_each_in_order),
        cmocka_unit_test(test_each_stops),
        cmocka_unit_test(test_edit_leaves_base),
        cmocka_unit_test(test_edit_shares),
        cmocka_unit_test(test_edit_last_put_wins),
        cmocka_unit_test(test_edit_without_change),
        cmocka_unit_test(test_edit_given_up),
        cmocka_unit_test(test_edits_side_by_side),
        cmocka_unit_test(test_version_is_shared),
        cmocka_unit_test(test_version_known),
        cmocka_unit_test(test_version_known_after_moving_away),
        cmocka_unit_test(test_version_missing),
        cmocka_unit_test(test_version_of_no_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
