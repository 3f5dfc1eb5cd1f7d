/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct snapshot_entry *entry_in(const struct snapshot *snapshot) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, SLICE_LIT("production"), SLICE_LIT("support"));
    assert_non_null(entry);
    return entry;
}

static void assert_override(const struct snapshot_entry *entry, struct slice key, const char *name) {
    const struct snapshot_override *override = snapshot_entry_override(entry, key);
    assert_true(slice_equal_text(override ? override->name : (struct slice){NULL, 0}, name));
}

static const struct test_entry named = {
    .agent = "support",
    .environment = "production",
    .version = 5,
    .seq = 3,
    .overrides = {{.name = "a-beta", .version = 6, .keys = {"ann", "bob"}},
                  {.name = "b-staff", .version = 4, .keys = {"bob", "cy", "dee"}},
                  {.name = "c-empty", .version = 4, .keys = {NULL}},
                  {.name = "d-same", .version = 5, .keys = {"cy", "eve"}}},
};

static void test_first_in_order_wins(void **state) {
    static const struct {
        const char *key, *name;
    } cases[] = {{"ann", "a-beta"}, {"bob", "a-beta"}, {"cy", "b-staff"}, {"dee", "b-staff"}, {"eve", "d-same"},
                 {"an", NULL},      {"anna", NULL},    {"Ann", NULL},     {"", NULL},         {"a-beta", NULL},
                 {" ann", NULL},    {"ann ", NULL},    {"ann\n", NULL},   {"annbob", NULL}};
    struct snapshot *snapshot = test_snapshot_of(&named, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_override(entry_in(snapshot), slice_of(cases[i].key), cases[i].name);
    assert_override(entry_in(snapshot), (struct slice){"ann\0", 4}, NULL);
    assert_override(entry_in(snapshot), (struct slice){"anna", 3}, "a-beta");
    snapshot_unref(snapshot);
}

static void test_members(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&named, 1);
    const struct snapshot_entry *entry = entry_in(snapshot);
    assert_int_equal(entry->override_count, 4);
    assert_true(slice_equal_text(entry->head.etag, "W/\"3.5\""));
    for (size_t i = 0; i < 4; i++) {
        const struct snapshot_override *override = entry->overrides + i;
        const char *key = override->keys;
        assert_true(slice_equal_text(override->name, named.overrides[i].name));
        assert_int_equal(override->version->number, named.overrides[i].version);
        char etag[64];
        snprintf(etag, sizeof(etag), "W/\"3.%d.OVERRIDE\"", (int)named.overrides[i].version);
        assert_string_equal(override->head.etag.ptr, etag);
        assert_int_equal(override->head.etag.len, strlen(etag));
        for (uint32_t k = 0; k < override->key_count; k++, key += strlen(key) + 1)
            assert_string_equal(key, named.overrides[i].keys[k]);
        assert_null(named.overrides[i].keys[override->key_count]);
    }
    assert_ptr_equal(entry->overrides[3].version, entry->version);
    assert_ptr_equal(entry->overrides[1].version, entry->overrides[2].version);
    snapshot_unref(snapshot);
}

static void test_none(void **state) {
    struct test_entry plain = named;
    plain.overrides[0].name = NULL;
    struct snapshot *snapshot = test_snapshot_of(&plain, 1);
    assert_null(entry_in(snapshot)->overrides);
    assert_override(entry_in(snapshot), SLICE_LIT("ann"), NULL);
    assert_override(entry_in(snapshot), (struct slice){NULL, 0}, NULL);
    snapshot_unref(snapshot);
}

/* Overrides without any key are kept and match nobody. */
static void test_only_without_keys(void **state) {
    struct test_entry empty = named;
    memset(empty.overrides, 0, sizeof(empty.overrides));
    empty.overrides[0] = (struct test_override){.name = "nobody", .version = 4, .keys = {NULL}};
    struct snapshot *snapshot = test_snapshot_of(&empty, 1);
    assert_int_equal(entry_in(snapshot)->override_count, 1);
    assert_int_equal(entry_in(snapshot)->overrides[0].key_count, 0);
    assert_override(entry_in(snapshot), SLICE_LIT("ann"), NULL);
    assert_override(entry_in(snapshot), SLICE_LIT("nobody"), NULL);
    snapshot_unref(snapshot);
}

/* Keys are the caller's own: any text, of any length that is allowed, and they come out of JSON as they went in. */
static void test_any_text(void **state) {
    static char longest[513];
    memset(longest, 'k', 512);
    struct test_entry odd = named;
    memset(odd.overrides, 0, sizeof(odd.overrides));
    odd.overrides[0] = (struct test_override){
        .name = "odd",
        .version = 6,
        .keys = {"\x01", " ", "\"quoted\"", "a/b", "back\\slash", "käse", "line\nbreak", "用户-1", "😀", longest}};
    struct snapshot *snapshot = test_snapshot_of(&odd, 1);
    struct str got = STR_INIT, want = STR_INIT;
    for (size_t i = 0; odd.overrides[0].keys[i]; i++) {
        struct slice key = slice_of(odd.overrides[0].keys[i]);
        assert_override(entry_in(snapshot), key, "odd");
        key.len--;
        assert_override(entry_in(snapshot), key, NULL);
    }
    snapshot_entry_write(entry_in(snapshot), &got);
    test_write_entry(&odd, &want);
    assert_string_equal(got.data, want.data);
    str_deinit(&got);
    str_deinit(&want);
    snapshot_unref(snapshot);
}

/* ---- many ---- */

enum { MANY = 20000, EACH = 2500 };

struct crowd {
    char names[MANY / EACH][16];
    char keys[MANY][16];
    const char *lists[MANY / EACH][EACH + 1];
    struct snapshot_override_spec overrides[MANY / EACH];
};

/* Eight overrides that between them name user-0 … user-19999, each user twice: the second time in the override after. */
static struct crowd *crowd_new(void) {
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    assert_non_null(crowd);
    for (size_t i = 0; i < MANY; i++)
        snprintf(crowd->keys[i], sizeof(crowd->keys[i]), "user-%zu", i);
    for (size_t o = 0; o < MANY / EACH; o++) {
        snprintf(crowd->names[o], sizeof(crowd->names[o]), "group-%zu", o);
        for (size_t k = 0; k < EACH; k++)
            crowd->lists[o][k] = crowd->keys[(o * EACH / 2 + k) % MANY];
        crowd->overrides[o] = (struct snapshot_override_spec){crowd->names[o], 1, crowd->lists[o]};
    }
    return crowd;
}

static void test_many_keys(void **state) {
    struct crowd *crowd = crowd_new();
    struct version version = {.agent = "support", .number = 1, .config = SLICE_LIT("{}")};
    const struct version *versions[] = {&version};
    const struct snapshot_entry_spec spec = {
        .deployment =
            {.id = "", .agent = "support", .environment = "production", .version = 1, .reason = "", .created_by = ""},
        .overrides = crowd->overrides,
        .override_count = MANY / EACH,
        .versions = versions,
        .version_count = 1};
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_entry(edit, &spec, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 1}, &snapshot), 0);
    snapshot_unref(empty);

    for (size_t i = 0; i < MANY; i++) {
        size_t first = i < EACH ? 0 : (i - EACH) / (EACH / 2) + 1;
        const char *name = first < MANY / EACH ? crowd->names[first] : NULL;
        assert_override(entry_in(snapshot), slice_of(crowd->keys[i]), name);
    }
    assert_override(entry_in(snapshot), SLICE_LIT("user-20000"), NULL);
    free(crowd);
    snapshot_unref(snapshot);
}

/* ---- as readers see it ---- */

static void test_written(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&named, 1);
    struct str got = STR_INIT, want = STR_INIT;
    str_add_text(&got, "before ");
    str_add_text(&want, "before ");
    snapshot_entry_write(entry_in(snapshot), &got);
    test_write_entry(&named, &want);
    assert_string_equal(got.data, want.data);
    str_deinit(&got);
    str_deinit(&want);
    snapshot_unref(snapshot);
}

/* The form in full, once, written by hand: what SDKs parse. */
static void test_written_by_hand(void **state) {
    const char *keys[] = {"u1", "u2", NULL};
    struct version two = {.agent = "a", .number = 2, .config = SLICE_LIT("{\"model\":\"x\"}")};
    struct version ten = {.agent = "a", .number = 10, .config = SLICE_LIT("{\"model\":\"y\"}")};
    memset(two.config_hash.bytes, 0x11, SHA256_SIZE);
    memset(two.content_hash.bytes, 0x22, SHA256_SIZE);
    memset(ten.config_hash.bytes, 0x33, SHA256_SIZE);
    const struct version *versions[] = {&ten, &two};
    const struct snapshot_override_spec override = {"beta", 10, keys};
    const struct snapshot_entry_spec spec = {.deployment = {.id = "d1",
                                                            .agent = "a",
                                                            .environment = "production",
                                                            .version = 2,
                                                            .previous = 1,
                                                            .kind = DEPLOYMENT_ROLLBACK,
                                                            .reason = "say \"why\"",
                                                            .created_by = "k1",
                                                            .created_at = INT64_C(1795442700123456),
                                                            .seq = 9},
                                             .held = true,
                                             .overrides = &override,
                                             .override_count = 1,
                                             .versions = versions,
                                             .version_count = 2};
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    struct str got = STR_INIT;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_entry(edit, &spec, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 9}, &snapshot), 0);
    snapshot_entry_write(snapshot_find(snapshot, SLICE_LIT("production"), SLICE_LIT("a")), &got);
    assert_string_equal(
        got.data, "{\"agent\":\"a\",\"environment\":\"production\",\"version\":2,"
                  "\"config_hash\":\"sha256:1111111111111111111111111111111111111111111111111111111111111111\","
                  "\"content_hash\":\"sha256:2222222222222222222222222222222222222222222222222222222222222222\","
                  "\"deployment\":{\"id\":\"d1\",\"kind\":\"rollback\",\"version\":2,\"previous\":1,\"reason\":\"say "
                  "\\\"why\\\"\","
                  "\"by\":\"k1\",\"at\":\"2026-11-23T14:05:00.123456Z\"},\"held\":true,"
                  "\"overrides\":[{\"name\":\"beta\",\"version\":10,\"keys\":[\"u1\",\"u2\"]}],"
                  "\"sessions\":{\"policy\":\"pin\",\"eras\":[]},\"config\":{\"model\":\"x\"},"
                  "\"versions\":{\"10\":{\"config_hash\":\"sha256:"
                  "3333333333333333333333333333333333333333333333333333333333333333\","
                  "\"config\":{\"model\":\"y\"}}}}");
    str_deinit(&got);
    snapshot_unref(empty);
    snapshot_unref(snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_order_wins),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_only_without_keys),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_written_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
