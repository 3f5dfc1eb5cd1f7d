/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/test_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct key a_key(const char *id, const char *environments) {
    struct key key = {
        .id = id, .name = "ci", .role = ROLE_RESOLVE, .environments = environments, .created_by = "system"};
    assert_int_equal(sha256_bytes(id, strlen(id), &key.secret_hash), 0);
    return key;
}

static int try_keys(struct snapshot *base, const struct key *keys, size_t count, struct snapshot **ret,
                    struct err *err) {
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    int r = snapshot_edit_keys(edit, keys, count, err);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 1}, ret), 0);
    return r;
}

static struct snapshot *with_keys(const struct key *keys, size_t count) {
    struct snapshot *empty, *snapshot;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(try_keys(empty, keys, count, &snapshot, NULL), 0);
    snapshot_unref(empty);
    return snapshot;
}

static const struct snapshot_key *by_id(const struct snapshot *snapshot, const char *id) {
    return snapshot_key_by_id(snapshot, slice_of(id));
}

static uint64_t generation_of(const struct key *keys, size_t count) {
    struct snapshot *snapshot = with_keys(keys, count);
    uint64_t generation = snapshot_keys_generation(snapshot);
    snapshot_unref(snapshot);
    return generation;
}

/* ---- finding ---- */

static void test_members(void **state) {
    struct key key = a_key("0191aa", "[\"staging\",\"production\"]");
    key.role = ROLE_RELEASER;
    key.name = "deploy bot";
    key.materialise_defaults = true;
    struct snapshot *snapshot = with_keys(&key, 1);
    const struct snapshot_key *found = by_id(snapshot, "0191aa");
    assert_non_null(found);
    assert_string_equal(found->id, "0191aa");
    assert_string_equal(found->name, "deploy bot");
    assert_int_equal(found->role, ROLE_RELEASER);
    assert_false(found->all_environments);
    assert_true(found->materialise_defaults);
    assert_memory_equal(&found->secret_hash, &key.secret_hash, sizeof(key.secret_hash));
    assert_string_equal(found->environments[0], "production");
    assert_string_equal(found->environments[1], "staging");
    assert_null(found->environments[2]);
    assert_ptr_equal(snapshot_key_by_hash(snapshot, &key.secret_hash), found);
    snapshot_unref(snapshot);
}

static void test_environments(void **state) {
    static const struct {
        const char *json;
        bool all;
        size_t count;
    } cases[] = {{"[\"*\"]", true, 0},
                 {"[]", false, 0},
                 {"[\"production\"]", false, 1},
                 {"[\"production\",\"*\"]", true, 0},
                 {"[\"c\",\"a\",\"b\"]", false, 3},
                 {" [ \"a\" ] ", false, 1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct key key = a_key("k", cases[i].json);
        struct snapshot *snapshot = with_keys(&key, 1);
        const struct snapshot_key *found = by_id(snapshot, "k");
        size_t count = 0;
        assert_int_equal(found->all_environments, cases[i].all);
        while (found->environments[count])
            count++;
        assert_int_equal(count, cases[i].count);
        for (size_t e = 1; e < count; e++)
            assert_true(strcmp(found->environments[e - 1], found->environments[e]) < 0);
        snapshot_unref(snapshot);
    }
}

static void test_many(void **state) {
    enum { MANY = 500 };
    static char ids[MANY][16];
    static struct key keys[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof(ids[i]), "key-%d", i * 321 % MANY);
        keys[i] = a_key(ids[i], "[\"*\"]");
        keys[i].role = (enum role)(1 + i % 5);
        keys[i].revoked_at = i % 7 == 0;
    }
    struct snapshot *snapshot = with_keys(keys, MANY);
    for (int i = 0; i < MANY; i++) {
        const struct snapshot_key *found = by_id(snapshot, ids[i]);
        assert_ptr_equal(found, snapshot_key_by_hash(snapshot, &keys[i].secret_hash));
        assert_int_equal(found == NULL, i % 7 == 0);
        if (found) assert_int_equal(found->role, keys[i].role);
    }
    snapshot_unref(snapshot);
}

static void test_near_misses(void **state) {
    const struct key keys[] = {a_key("0191ab", "[]"), a_key("0191aa", "[]"), a_key("0191", "[]")};
    struct snapshot *snapshot = with_keys(keys, ARRAY_LEN(keys));
    static const char *const misses[] = {"", "0", "019", "0191a", "0191aaa", "0191ac", "0191AA", "9", " 0191"};
    for (size_t i = 0; i < ARRAY_LEN(misses); i++)
        assert_null(by_id(snapshot, misses[i]));
    assert_null(snapshot_key_by_id(snapshot, (struct slice){"0191\0", 5}));
    assert_non_null(snapshot_key_by_id(snapshot, (struct slice){"0191aaXX", 6}));
    for (size_t byte = 0; byte < SHA256_SIZE; byte++) {
        struct sha256 hash = keys[0].secret_hash;
        hash.bytes[byte] ^= 1;
        assert_null(snapshot_key_by_hash(snapshot, &hash));
    }
    snapshot_unref(snapshot);
}

/* ---- replacing ---- */

static void test_replaced_as_a_whole(void **state) {
    const struct key first[] = {a_key("a", "[\"*\"]"), a_key("b", "[\"*\"]")}, second[] = {a_key("c", "[\"*\"]")};
    struct snapshot *one = with_keys(first, 2), *two, *three;
    assert_int_equal(try_keys(one, second, 1, &two, NULL), 0);
    assert_int_equal(try_keys(two, NULL, 0, &three, NULL), 0);
    assert_non_null(by_id(one, "a"));
    assert_null(by_id(one, "c"));
    assert_null(by_id(two, "a"));
    assert_non_null(by_id(two, "c"));
    assert_null(by_id(three, "c"));
    snapshot_unref(one);
    assert_non_null(by_id(two, "c"));
    snapshot_unref(two);
    snapshot_unref(three);
}

static void test_carried_over(void **state) {
    const struct key key = a_key("a", "[\"*\"]");
    const struct test_entry entry = {.agent = "support", .environment = "production", .version = 1, .seq = 2};
    struct snapshot *one = with_keys(&key, 1), *two = test_snapshot(one, &entry, 1);
    assert_ptr_equal(by_id(one, "a"), by_id(two, "a"));
    assert_true(snapshot_keys_generation(one) == snapshot_keys_generation(two));
    snapshot_unref(one);
    assert_non_null(by_id(two, "a"));
    snapshot_unref(two);
}

static void test_copied(void **state) {
    char id[] = "key-1", name[] = "ci", environments[] = "[\"production\"]";
    struct key key = a_key(id, environments);
    key.name = name;
    struct snapshot *snapshot = with_keys(&key, 1);
    memset(id, '#', strlen(id));
    memset(name, '#', strlen(name));
    memset(environments, '#', strlen(environments));
    const struct snapshot_key *found = by_id(snapshot, "key-1");
    assert_non_null(found);
    assert_string_equal(found->name, "ci");
    assert_string_equal(found->environments[0], "production");
    snapshot_unref(snapshot);
}

static void test_malformed(void **state) {
    static const char *const bad[] = {"",       "[",         "{}",   "\"*\"",    "[1]",
                                      "[null]", "[[\"a\"]]", "null", "[\"a\"]]", "[\"a\",\"a"};
    const struct key good = a_key("good", "[\"*\"]");
    struct snapshot *base = with_keys(&good, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct key keys[] = {a_key("first", "[]"), a_key("broken", bad[i])};
        struct err err = ERR_INIT;
        struct snapshot *next;
        assert_int_equal(try_keys(base, keys, 2, &next, &err), -ERR_INTERNAL);
        assert_int_equal(err.code, ERR_INTERNAL);
        assert_non_null(strstr(err.message, "broken"));
        assert_non_null(by_id(next, "good"));
        assert_null(by_id(next, "first"));
        assert_true(snapshot_keys_generation(next) == snapshot_keys_generation(base));
        snapshot_unref(next);
    }
    snapshot_unref(base);
}

/* ---- generations ---- */

static void test_generation_changes(void **state) {
    const struct key base = a_key("a", "[\"x\",\"y\"]");
    uint64_t before = generation_of(&base, 1);
    struct key other[10];
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        other[i] = base;
    other[0].id = "b";
    other[1].name = "cj";
    other[2].role = ROLE_ADMIN;
    other[3].secret_hash.bytes[31] ^= 0x80;
    other[4].environments = "[\"x\"]";
    other[5].environments = "[\"*\"]";
    other[6].environments = "[]";
    other[7].environments = "[\"xy\"]";
    other[8].revoked_at = 1;
    other[9].materialise_defaults = true;
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_true(generation_of(other + i, 1) != before);
    const struct key both[] = {base, other[0]};
    assert_true(generation_of(both, 2) != before);
    assert_true(generation_of(NULL, 0) == 0);
    assert_true(before != 0);
}

/* The same keys are the same generation, on any node and after any rebuild: how they came does not matter. */
static void test_generation_stays(void **state) {
    const struct key forwards[] = {a_key("a", "[\"x\",\"y\"]"), a_key("b", "[\"*\"]")};
    struct key backwards[] = {a_key("b", "[\"*\"]"), a_key("gone", "[]"), a_key("a", "[\"y\",\"x\"]")};
    backwards[1].revoked_at = 5;
    assert_true(generation_of(forwards, 2) == generation_of(backwards, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_environments),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_near_misses),
        cmocka_unit_test(test_replaced_as_a_whole),
        cmocka_unit_test(test_carried_over),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_generation_changes),
        cmocka_unit_test(test_generation_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
