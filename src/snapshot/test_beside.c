/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside a ref in an entry: rollout, panic and eras, how readers see them, and what an entry refuses. */
#include "base/ticker.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PRO "{\"==\":[{\"var\":\"plan\"},\"pro\"]}"

static const struct rollout rollout = {
    .id = "r \"1\"", .candidate = 43, .salt = "salt", .share = 5000, .seq = 11, .state = ROLLOUT_HELD, .audience = PRO};
static const struct panic panic = {.agent = "support",
                                   .version = 40,
                                   .reason = "fire",
                                   .created_by = "ann",
                                   .created_at = INT64_C(1795442400000000),
                                   .seq = 12};
static const struct snapshot_era_spec eras[] = {
    {.era = {.from = 400, .version = 42, .candidate = 43, .share = 5000, .salt = "salt", .audience = PRO}},
    {.era = {.from = 300, .version = 42, .candidate = 43, .share = 1000, .salt = "salt", .audience = PRO}},
    {.era = {.from = 200, .version = 41, .candidate = 39, .share = 1, .salt = "old"},
     .version_released = true,
     .candidate_released = true},
    {.era = {.from = 100, .version = 38}},
};

static struct test_entry whole(void) {
    return (struct test_entry){.agent = "support",
                               .environment = "production",
                               .version = 42,
                               .seq = 7,
                               .sessions = SESSION_FOLLOW,
                               .rollout = &rollout,
                               .panic = &panic,
                               .eras = eras,
                               .era_count = ARRAY_LEN(eras)};
}

static const struct snapshot_entry *entry_in(const struct snapshot *snapshot) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, SLICE_LIT("production"), SLICE_LIT("support"));
    assert_non_null(entry);
    return entry;
}

static void test_rollout_members(void **state) {
    struct test_entry spec = whole();
    struct snapshot *snapshot = test_snapshot_of(&spec, 1);
    const struct snapshot_entry *entry = entry_in(snapshot);
    const struct snapshot_rollout *got = snapshot_entry_rollout(entry);
    assert_ptr_equal(got, &entry->beside->rollout);
    assert_int_equal((uintptr_t)entry->beside % 64, 0); /* all that an arm needs is on one line */
    assert_true(offsetof(struct snapshot_beside, rollout.share) + sizeof(got->share) <= 64);
    assert_ptr_equal(entry->beside->version, entry->version);
    assert_int_equal(got->candidate->number, 43);
    assert_int_equal(got->share, 5000);
    assert_int_equal(got->state, ROLLOUT_HELD);
    assert_int_equal(got->seq, 11);
    assert_true(slice_equal_text(got->id, rollout.id));
    assert_true(slice_equal_text(got->salt, "salt"));
    assert_true(slice_equal_text(snapshot_entry_salt(entry), "salt"));
    assert_true(slice_equal_text(got->audience_text, PRO));
    assert_true(slice_equal_text(got->member, "\"rollout\":\"r \\\"1\\\"\","));
    assert_true(slice_equal_text(entry->head.etag, "W/\"7.42.11\""));
    assert_true(slice_equal_text(got->heads[0].etag, "W/\"7.42.11.stable\""));
    assert_true(slice_equal_text(got->heads[1].etag, "W/\"7.43.11.candidate\""));
    assert_non_null(strstr(entry->head.text.ptr, "\"reason\":\"ROLLOUT\","));
    assert_null(strstr(entry->head.text.ptr, "\"rollout\""));
    snapshot_unref(snapshot);
}

static void test_panic_members(void **state) {
    struct test_entry spec = whole();
    struct panic stable = panic, off = panic;
    stable.version = PANIC_STABLE;
    stable.agent = "";
    off.version = PANIC_DISABLED;
    const struct panic *panics[] = {&panic, &stable, &off};
    static const char *const etags[] = {"W/\"7.40.11.12.PANIC\"", "W/\"7.42.11.12.PANIC\"", "W/\"7.0.11.12.PANIC\""};
    static const int64_t versions[] = {40, 42, 0};
    for (size_t i = 0; i < ARRAY_LEN(panics); i++) {
        spec.panic = panics[i];
        struct snapshot *snapshot = test_snapshot_of(&spec, 1);
        const struct snapshot_panic *got = entry_in(snapshot)->beside->panic;
        assert_int_equal(got->version->number, versions[i]);
        assert_int_equal(got->whole_environment, i == 1);
        assert_true(slice_equal_text(got->head.etag, etags[i]));
        assert_true(slice_equal_text(got->reason, "fire"));
        assert_true(slice_equal_text(got->created_by, "ann"));
        assert_int_equal(got->seq, 12);
        snapshot_unref(snapshot);
    }
}

/* Each audience is compiled once, and each version is there once. */
static void test_eras_share(void **state) {
    struct test_entry spec = whole();
    struct snapshot *snapshot = test_snapshot_of(&spec, 1);
    const struct snapshot_entry *entry = entry_in(snapshot);
    const struct snapshot_rollout *open = snapshot_entry_rollout(entry);
    assert_int_equal(entry->era_count, 4);
    assert_int_equal(entry->sessions, SESSION_FOLLOW);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(entry->eras[i].version, entry->version);
        assert_ptr_equal(entry->eras[i].candidate, open->candidate);
        assert_ptr_equal(entry->eras[i].audience, open->audience);
        assert_non_null(open->audience);
    }
    assert_null(entry->eras[2].audience);
    assert_true(entry->eras[2].version_released && entry->eras[2].candidate_released);
    assert_false(entry->eras[1].version_released || entry->eras[1].candidate_released);
    assert_null(entry->eras[3].candidate);
    assert_int_equal(entry->eras[3].from, 100);
    snapshot_unref(snapshot);
}

/* Every combination of what may be there, as readers see it; the model writes it a second time. */
static void test_written(void **state) {
    for (unsigned there = 0; there < 16; there++) {
        struct test_entry spec = whole();
        struct str want = STR_INIT, got = STR_INIT;
        if (there & 1) spec.rollout = NULL;
        if (there & 2) spec.panic = NULL;
        if (there & 4) spec.era_count = 0;
        if (there & 8) spec.overrides[0] = (struct test_override){.name = "o", .version = 37, .keys = {"u1"}};
        struct rollout plain = rollout;
        plain.id = "r-1"; /* the model writes without escapes */
        if (spec.rollout) spec.rollout = &plain;
        struct snapshot *snapshot = test_snapshot_of(&spec, 1);
        snapshot_entry_write(entry_in(snapshot), &got);
        test_write_entry(&spec, &want);
        assert_string_equal(got.data, want.data);
        assert_int_equal(entry_in(snapshot)->beside != NULL, (there & 8) || !(there & 1) || !(there & 2));
        str_deinit(&got);
        str_deinit(&want);
        snapshot_unref(snapshot);
    }
}

/* A rule that this program cannot read chooses nobody; everybody else is served. */
static void test_unreadable_audience(void **state) {
    static const char *const texts[] = {"{\"fractional\":[1]}", "no JSON", "{",
                                        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct test_entry spec = whole();
        struct rollout odd = rollout;
        odd.audience = texts[i];
        spec.rollout = &odd;
        struct snapshot *snapshot = test_snapshot_of(&spec, 1);
        const struct snapshot_rollout *got = snapshot_entry_rollout(entry_in(snapshot));
        assert_non_null(got->audience);
        assert_false(logic_matches(got->audience, NULL));
        snapshot_unref(snapshot);
    }
    struct test_entry spec = whole();
    struct rollout open_to_all = rollout;
    open_to_all.audience = "";
    spec.rollout = &open_to_all;
    struct snapshot *snapshot = test_snapshot_of(&spec, 1);
    assert_null(snapshot_entry_rollout(entry_in(snapshot))->audience);
    snapshot_unref(snapshot);
}

static int try_put(const struct test_entry *entry, enum test_given given, struct err *err) {
    struct snapshot *empty;
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    int r = test_put(edit, entry, given, err);
    snapshot_edit_free(edit);
    snapshot_unref(empty);
    return r;
}

static void test_refused(void **state) {
    static struct snapshot_era_spec many[SESSION_ERAS_MAX + 1];
    struct err err = ERR_INIT;
    struct test_entry spec = whole();
    assert_int_equal(try_put(&spec, GIVE_NONE, &err), -ERR_INTERNAL);
    assert_int_equal(try_put(&spec, GIVE_OTHERS, &err), -ERR_INTERNAL);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i].era = (struct era){.from = (int64_t)(1000 - i), .version = 42};
    spec.eras = many;
    spec.era_count = SESSION_ERAS_MAX;
    assert_int_equal(try_put(&spec, GIVE_ALL, &err), 0);
    spec.era_count++;
    assert_int_equal(try_put(&spec, GIVE_ALL, &err), -ERR_INTERNAL);
    assert_non_null(strstr(err.message, "at most 64 eras"));
}

/* Versions are known from wherever anybody may get them. */
static void test_versions_are_known(void **state) {
    static const int64_t served[] = {38, 39, 40, 41, 42, 43};
    struct test_entry spec = whole();
    struct snapshot *snapshot = test_snapshot_of(&spec, 1);
    struct snapshot_edit *edit;
    assert_int_equal(snapshot_edit_new(snapshot, &edit), 0);
    for (int64_t number = 0, next = 0; number < 50; number++) {
        bool known = next < (int64_t)ARRAY_LEN(served) && served[next] == number;
        assert_int_equal(snapshot_edit_knows_version(edit, "support", number), known);
        next += known;
    }
    assert_int_equal(test_put(edit, &spec, GIVE_NONE, NULL), 0);
    snapshot_edit_free(edit);
    snapshot_unref(snapshot);
}

static void test_memory_ends(void **state) {
    struct test_entry spec = whole();
    struct snapshot *empty;
    assert_int_equal(snapshot_new(&empty), 0);
    for (size_t n = 1;; n++) {
        struct test_spec made;
        struct snapshot_edit *edit;
        struct err err = ERR_INIT;
        test_spec_init(&made, &spec, GIVE_ALL);
        assert_int_equal(snapshot_edit_new(empty, &edit), 0);
        ticker_start(n);
        int r = snapshot_edit_entry(edit, &made.spec, &err);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        snapshot_edit_free(edit);
        test_spec_deinit(&made);
        if (failed) continue;
        assert_true(n > 15);
        break;
    }
    snapshot_unref(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollout_members),     cmocka_unit_test(test_panic_members),
        cmocka_unit_test(test_eras_share),          cmocka_unit_test(test_written),
        cmocka_unit_test(test_unreadable_audience), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_versions_are_known),  cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
