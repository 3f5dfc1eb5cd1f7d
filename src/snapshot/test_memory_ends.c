/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n: the call says so, and both the base and the edit are what they were. */
#include "base/ticker.h"
#include "snapshot/publisher.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BASE = 120 };

static struct snapshot *base;
static struct str base_dump;

static struct test_entry base_entry(size_t i) {
    static char names[BASE][24];
    snprintf(names[i], sizeof(names[i]), "agent-%zu", i);
    struct test_entry entry = {
        .agent = names[i], .environment = i % 3 ? "production" : "staging", .version = 3, .seq = (int64_t)i + 1};
    if (i % 10 == 0) entry.overrides[0] = (struct test_override){.name = "staff", .version = 2, .keys = {"u1", "u2"}};
    return entry;
}

static struct key a_key(const char *id) {
    return (struct key){.id = id, .name = "ci", .role = ROLE_ADMIN, .environments = "[\"b\",\"a\",\"c\"]"};
}

static int make_base(void **state) {
    struct test_entry entries[BASE];
    struct snapshot_edit *edit;
    const struct key key = a_key("k-1");
    for (size_t i = 0; i < BASE; i++)
        entries[i] = base_entry(i);
    struct snapshot *without = test_snapshot_of(entries, BASE);
    assert_int_equal(snapshot_edit_new(without, &edit), 0);
    assert_int_equal(snapshot_edit_keys(edit, &key, 1, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, BASE}, &base), 0);
    snapshot_unref(without);
    test_dump(base, &base_dump);
    return 0;
}

static int drop_base(void **state) {
    snapshot_unref(base);
    str_deinit(&base_dump);
    return 0;
}

static void assert_dumps(const struct snapshot *snapshot, const char *expected) {
    struct str dump = STR_INIT;
    test_dump(snapshot, &dump);
    assert_string_equal(dump.data, expected);
    str_deinit(&dump);
}

/* ---- one call of an edit ---- */

typedef int (*call_fn)(struct snapshot_edit *edit, const void *arg, struct err *err);

static int call_entry(struct snapshot_edit *edit, const void *arg, struct err *err) {
    return snapshot_edit_entry(edit, arg, err);
}

static int call_agent(struct snapshot_edit *edit, const void *arg, struct err *err) {
    return snapshot_edit_agent(edit, arg);
}

static int call_environment(struct snapshot_edit *edit, const void *arg, struct err *err) {
    return snapshot_edit_environment(edit, arg);
}

static int call_keys(struct snapshot_edit *edit, const void *arg, struct err *err) {
    return snapshot_edit_keys(edit, arg, 1, err);
}

static struct snapshot *finish(struct snapshot_edit *edit) {
    struct snapshot *snapshot;
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, BASE}, &snapshot), 0);
    return snapshot;
}

/* The edit, with `before` put when it is given. */
static struct snapshot_edit *new_edit(const struct test_entry *before) {
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    if (before) assert_int_equal(test_put(edit, before, GIVE_ALL, NULL), 0);
    return edit;
}

/* Whatever failed, the edit comes to the same as if it had not been asked. `before` is done first and must survive. Answers how
 * many allocations the call makes. */
static size_t fail_every_allocation(call_fn call, const void *arg, const struct test_entry *before) {
    struct str expected = STR_INIT;
    struct snapshot *without = finish(new_edit(before));
    test_dump(without, &expected);
    snapshot_unref(without);
    for (size_t n = 1;; n++) {
        struct snapshot_edit *edit = new_edit(before);
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = call(edit, arg, &err);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        struct snapshot *after = finish(edit);
        if (failed) assert_dumps(after, expected.data);
        assert_dumps(base, base_dump.data);
        snapshot_unref(after);
        if (failed) continue;
        str_deinit(&expected);
        return n - 1;
    }
}

static size_t fail_entry(const struct test_entry *entry, enum test_given given, const struct test_entry *before) {
    struct test_spec spec;
    test_spec_init(&spec, entry, given);
    size_t allocations = fail_every_allocation(call_entry, &spec.spec, before);
    test_spec_deinit(&spec);
    return allocations;
}

/* ---- tests ---- */

static void test_entry_moved(void **state) {
    struct test_entry entry = base_entry(7);
    entry.version = 4;
    assert_true(fail_entry(&entry, GIVE_ALL, NULL) >= 5);
    entry.version = 3;
    assert_true(fail_entry(&entry, GIVE_NONE, NULL) >= 4);
}

static void test_entry_with_overrides(void **state) {
    struct test_entry entry = base_entry(10);
    entry.overrides[1] = (struct test_override){.name = "testers", .version = 9, .keys = {"u3", "u4", "u5"}};
    entry.overrides[2] = (struct test_override){.name = "who", .version = 8, .keys = {NULL}};
    assert_true(fail_entry(&entry, GIVE_ALL, NULL) >= 6);
}

static void test_entry_of_new_agent(void **state) {
    struct test_entry entry = {.agent = "new", .environment = "production", .version = 1, .seq = 500};
    assert_true(fail_entry(&entry, GIVE_ALL, NULL) >= 8);
    entry.environment = "new-environment";
    assert_true(fail_entry(&entry, GIVE_ALL, NULL) >= 9);
    entry.agent = "agent-7";
    assert_true(fail_entry(&entry, GIVE_ALL, NULL) >= 8);
}

/* What the same edit did before stays done. */
static void test_entry_after_another(void **state) {
    const struct test_entry before = {.agent = "earlier", .environment = "earlier", .version = 77, .seq = BASE};
    struct test_entry entry = {.agent = "new", .environment = "earlier", .version = 1, .seq = 500};
    assert_true(fail_entry(&entry, GIVE_ALL, &before) >= 5);
    struct test_entry moved = base_entry(3);
    moved.version = 8;
    assert_true(fail_entry(&moved, GIVE_ALL, &before) >= 4);
}

/* Through the splits of pages and the doubling of the directory. */
static void test_entries_while_growing(void **state) {
    char name[24];
    struct snapshot *kept = snapshot_ref(base);
    for (size_t i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "more-%zu", i);
        struct test_entry entry = {.agent = name, .environment = "production", .version = 1, .seq = BASE};
        fail_entry(&entry, GIVE_ALL, NULL);
        struct snapshot *next = test_snapshot(base, &entry, 1);
        snapshot_unref(base);
        base = next;
        str_clear(&base_dump);
        test_dump(base, &base_dump);
    }
    snapshot_unref(base);
    base = kept;
    str_clear(&base_dump);
    test_dump(base, &base_dump);
}

static void test_agent(void **state) {
    assert_true(fail_every_allocation(call_agent, "new", NULL) >= 3);
    assert_int_equal(fail_every_allocation(call_agent, "agent-1", NULL), 0);
}

static void test_environment(void **state) {
    assert_true(fail_every_allocation(call_environment, "new", NULL) >= 3);
    assert_int_equal(fail_every_allocation(call_environment, "staging", NULL), 0);
}

static void test_keys(void **state) {
    const struct key key = a_key("k-2");
    size_t allocations = fail_every_allocation(call_keys, &key, NULL);
    assert_true(allocations >= 5);
}

static void test_new(void **state) {
    for (size_t n = 1;; n++) {
        struct snapshot *snapshot = NULL;
        ticker_start(n);
        int r = snapshot_new(&snapshot);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            assert_true(n > 5);
            snapshot_unref(snapshot);
            return;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
    }
}

static void test_edit_new(void **state) {
    for (size_t n = 1;; n++) {
        struct snapshot_edit *edit = NULL;
        ticker_start(n);
        int r = snapshot_edit_new(base, &edit);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            assert_true(n > 2);
            snapshot_edit_free(edit);
            return;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
        assert_dumps(base, base_dump.data);
    }
}

/* Nothing can fail any more when an edit is finished. */
static void test_finish_needs_nothing(void **state) {
    struct snapshot_edit *edit;
    struct snapshot *next;
    struct test_entry entry = base_entry(7);
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    assert_int_equal(test_put(edit, &entry, GIVE_ALL, NULL), 0);
    ticker_start(1);
    int r = snapshot_edit_finish(edit, (struct position){1, BASE}, &next);
    assert_false(ticker_stop());
    assert_int_equal(r, 0);
    snapshot_unref(next);
}

static void test_publisher(void **state) {
    for (size_t n = 1;; n++) {
        struct publisher *publisher = NULL;
        ticker_start(n);
        int r = publisher_new(&publisher);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            ticker_start(1);
            struct publisher_borrow borrow = publisher_borrow(publisher);
            publisher_return(publisher, borrow);
            publisher_publish(publisher, snapshot_ref(base));
            struct snapshot *got = publisher_get(publisher);
            assert_false(ticker_stop());
            assert_ptr_equal(got, base);
            snapshot_unref(got);
            publisher_free(publisher);
            return;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
    }
}

/* Reading never allocates. */
static void test_reading(void **state) {
    ticker_start(1);
    for (size_t i = 0; i < 100; i++) {
        const struct snapshot_entry *entry = snapshot_find(base, SLICE_LIT("staging"), SLICE_LIT("agent-0"));
        const struct snapshot_override *override = snapshot_entry_override(entry, SLICE_LIT("u2"));
        if (!override || !snapshot_has_agent(base, SLICE_LIT("agent-1"))) break;
        if (!snapshot_key_by_id(base, SLICE_LIT("k-1"))) break;
    }
    assert_false(ticker_stop());
}

static int count_entry(void *ctx, const struct snapshot_entry *entry) {
    ++*(size_t *)ctx;
    return 0;
}

static void test_each(void **state) {
    size_t count = 0;
    ticker_start(1);
    int r = snapshot_each(base, NULL, count_entry, &count);
    assert_false(ticker_stop());
    assert_int_equal(r, 0);
    assert_int_equal(count, BASE);
}

/* An entry that cannot be written to its end leaves a text that says so. */
static void test_write(void **state) {
    const struct snapshot_entry *entry = snapshot_find(base, SLICE_LIT("staging"), SLICE_LIT("agent-30"));
    assert_non_null(entry);
    for (size_t n = 1;; n++) {
        struct str out = STR_INIT;
        ticker_start(n);
        snapshot_entry_write(entry, &out);
        bool failed = ticker_stop();
        assert_int_equal(out.failed, failed);
        str_deinit(&out);
        if (!failed) return;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_moved),
        cmocka_unit_test(test_entry_with_overrides),
        cmocka_unit_test(test_entry_of_new_agent),
        cmocka_unit_test(test_entry_after_another),
        cmocka_unit_test(test_entries_while_growing),
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_edit_new),
        cmocka_unit_test(test_finish_needs_nothing),
        cmocka_unit_test(test_publisher),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, make_base, drop_base);
}
