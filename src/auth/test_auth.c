/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char bootstrap_text[] = "a bootstrap key of the operator's own form";

struct world {
    struct snapshot *snapshot;
    char id[AUTH_KEY_ID_SIZE], text[AUTH_KEY_TEXT_SIZE];
    char revoked_id[AUTH_KEY_ID_SIZE], revoked_text[AUTH_KEY_TEXT_SIZE];
};

static int setup(void **state) {
    static struct world world;
    struct key keys[3] = {0};
    assert_int_equal(auth_key_new(world.id, world.text, &keys[0].secret_hash, NULL), 0);
    keys[0].id = world.id, keys[0].name = "staging robot", keys[0].role = ROLE_RESOLVE,
    keys[0].environments = "[\"staging\"]";
    assert_int_equal(auth_key_new(world.revoked_id, world.revoked_text, &keys[1].secret_hash, NULL), 0);
    keys[1].id = world.revoked_id, keys[1].name = "old", keys[1].role = ROLE_ADMIN, keys[1].environments = "[\"*\"]";
    keys[1].revoked_at = 1;
    keys[2].id = AUTH_BOOTSTRAP_ID, keys[2].name = "bootstrap", keys[2].role = ROLE_ADMIN,
    keys[2].environments = "[\"*\"]";
    assert_int_equal(sha256_bytes(bootstrap_text, strlen(bootstrap_text), &keys[2].secret_hash), 0);

    struct snapshot *empty = NULL;
    struct snapshot_edit *edit = NULL;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_keys(edit, keys, 3, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){1, 1}, &world.snapshot), 0);
    snapshot_unref(empty);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    struct world *world = *state;
    snapshot_unref(world->snapshot);
    return 0;
}

static void test_form(void **state) {
    struct world *world = *state;
    assert_int_equal(strlen(world->text), 6 + 16 + 1 + 64 + 8);
    assert_memory_equal(world->text, "serin_", 6);
    assert_memory_equal(world->text + 6, world->id, 16);
    assert_string_not_equal(world->text, world->revoked_text);
}

static void test_right_key(void **state) {
    struct world *world = *state;
    const struct snapshot_key *key = auth_check(world->snapshot, slice_of(world->text));
    assert_non_null(key);
    assert_string_equal(key->id, world->id);
    key = auth_check(world->snapshot, slice_of(bootstrap_text));
    assert_non_null(key);
    assert_string_equal(key->id, AUTH_BOOTSTRAP_ID);
}

static void test_every_changed_digit_is_refused(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < strlen(world->text); i++) {
        char wrong[AUTH_KEY_TEXT_SIZE];
        memcpy(wrong, world->text, sizeof(wrong));
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        assert_null(auth_check(world->snapshot, slice_of(wrong)));
    }
}

static void test_right_checksum_with_wrong_secret_is_refused(void **state) {
    struct world *world = *state;
    char wrong[AUTH_KEY_TEXT_SIZE];
    memcpy(wrong, world->text, sizeof(wrong));
    wrong[40] = wrong[40] == 'a' ? 'b' : 'a';
    snprintf(wrong + 87, 9, "%08x", crc32_bytes(wrong, 87));
    assert_null(auth_check(world->snapshot, slice_of(wrong)));
}

static void test_revoked_empty_and_foreign_keys_are_refused(void **state) {
    struct world *world = *state;
    assert_null(auth_check(world->snapshot, slice_of(world->revoked_text)));
    assert_null(auth_check(world->snapshot, slice_of("")));
    assert_null(auth_check(world->snapshot, slice_of(NULL)));
    assert_null(auth_check(world->snapshot, slice_of("bootstrap")));
    assert_null(auth_check(world->snapshot, (struct slice){bootstrap_text, sizeof(bootstrap_text) - 2}));
}

static void test_token(void **state) {
    assert_true(slice_equal_text(auth_token("Bearer abc", NULL), "abc"));
    assert_true(slice_equal_text(auth_token("bearer   abc", "other"), "abc"));
    assert_true(slice_equal_text(auth_token(NULL, "abc"), "abc"));
    assert_true(slice_equal_text(auth_token("Basic abc", "key"), "key"));
    assert_int_equal(auth_token("Basic abc", NULL).len, 0);
    assert_int_equal(auth_token("Bearer", NULL).len, 0);
    assert_int_equal(auth_token(NULL, NULL).len, 0);
}

static void test_environments(void **state) {
    struct world *world = *state;
    struct principal bound = principal_of(auth_check(world->snapshot, slice_of(world->text)));
    struct principal all = principal_of(auth_check(world->snapshot, slice_of(bootstrap_text)));
    assert_true(principal_sees(&bound, SLICE_LIT("staging")));
    assert_false(principal_sees(&bound, SLICE_LIT("production")));
    assert_false(principal_sees(&bound, SLICE_LIT("stag")));
    assert_true(principal_sees(&all, SLICE_LIT("production")));
    assert_string_equal(principal_own_environment(&bound), "staging");
    assert_null(principal_own_environment(&all));

    struct arena arena = ARENA_INIT;
    struct principal copy;
    assert_int_equal(principal_copy(&bound, &arena, &copy), 0);
    assert_ptr_not_equal(copy.id, bound.id);
    assert_string_equal(copy.name, "staging robot");
    assert_true(principal_sees(&copy, SLICE_LIT("staging")));
    assert_false(principal_sees(&copy, SLICE_LIT("production")));
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_right_key),
        cmocka_unit_test(test_every_changed_digit_is_refused),
        cmocka_unit_test(test_right_checksum_with_wrong_secret_is_refused),
        cmocka_unit_test(test_revoked_empty_and_foreign_keys_are_refused),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_environments),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
