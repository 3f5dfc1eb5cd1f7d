/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a snapshot: what comes back, what is refused, and memory that ends. Random worlds go this way in test_random.c. */
#include "base/ticker.h"
#include "snapshot/file.h"
#include "snapshot/flags.h"
#include "snapshot/test_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct snapshot *world;
static struct str bytes;

static int collect(void *ctx, struct slice piece, struct err *err) {
    str_add_slice(ctx, piece);
    return ((struct str *)ctx)->failed ? err_no_memory(err) : 0;
}

static const struct snapshot_flag_spec flags[] = {
    {"big", "{\"defaultVariant\":\"v\",\"state\":\"ENABLED\",\"variants\":{\"v\":1.0}}",
     "[{\"agent\":\"a\",\"parameter\":\"seed\"}]", 70},
    {"staff_only",
     "{\"defaultVariant\":null,\"state\":\"ENABLED\",\"targeting\":{\"if\":[{\"$ref\":\"staff\"},\"on\",null]},"
     "\"variants\":{\"on\":true}}",
     "[]", 71},
};
static const struct snapshot_flags_spec flags_there = {.environment = "production",
                                                       .seq = 75,
                                                       .evaluators = "{\"staff\":{\"var\":\"staff\"}}",
                                                       .metadata = "{\"team\":\"care\"}",
                                                       .flags = flags,
                                                       .count = ARRAY_LEN(flags)};

static struct snapshot *with_keys(struct snapshot *base) {
    struct snapshot_edit *edit;
    struct snapshot *next;
    size_t left_out;
    struct key keys[] = {
        {.id = "0f", .name = "every \"where\"", .role = ROLE_ADMIN, .environments = "[\"*\"]"},
        {.id = "1e",
         .name = "some",
         .role = ROLE_RESOLVE,
         .environments = "[\"staging\",\"production\"]",
         .materialise_defaults = true},
        {.id = "2d", .name = "gone", .role = ROLE_VIEWER, .environments = "[\"*\"]", .revoked_at = 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(sha256_bytes(keys[i].id, 2, &keys[i].secret_hash), 0);
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    assert_int_equal(snapshot_edit_agent(edit, "never-served"), 0);
    assert_int_equal(snapshot_edit_environment(edit, "empty"), 0);
    assert_int_equal(snapshot_edit_keys(edit, keys, ARRAY_LEN(keys), NULL), 0);
    assert_int_equal(snapshot_edit_flags(edit, &flags_there, &left_out, NULL), 0);
    assert_int_equal(left_out, 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){3, 77}, &next), 0);
    snapshot_unref(base);
    return next;
}

static const struct rollout rollout = {.id = "r-1",
                                       .candidate = 6,
                                       .salt = "salt",
                                       .share = 5000,
                                       .seq = 13,
                                       .state = ROLLOUT_RUNNING,
                                       .audience = "{\"==\":[{\"var\":\"plan\"},\"pro\"]}"};
static const struct panic fire = {
    .agent = "d", .version = 7, .reason = "fire", .created_by = "ann", .created_at = 5, .seq = 14};
static const struct panic all_off = {
    .agent = "", .version = PANIC_DISABLED, .reason = "all", .created_by = "bob", .seq = 15};
static const struct snapshot_era_spec eras[] = {
    {.era = {.from = 30, .version = 5, .candidate = 6, .share = 5000, .salt = "salt"}, .candidate_released = true},
    {.era = {.from = 20, .version = 5, .candidate = 6, .share = 100, .salt = "salt", .audience = "true"},
     .version_released = true},
    {.era = {.from = 10, .version = 4}},
};

static int make_world(void **state) {
    const struct test_entry entries[] = {
        {.agent = "b", .environment = "production", .version = 2, .previous = 1, .seq = 9, .held = true},
        {.agent = "a",
         .environment = "production",
         .version = 3,
         .seq = 10,
         .overrides = {{"staff", 4, {"ada", "bob"}, NULL},
                       {"testers", 3, {"bob", "eve"}, NULL},
                       {"us", 3, {NULL}, "{\"var\":\"us\"}"}}},
        {.agent = "d",
         .environment = "production",
         .version = 5,
         .seq = 12,
         .sessions = SESSION_FOLLOW,
         .rollout = &rollout,
         .panic = &fire,
         .eras = eras,
         .era_count = ARRAY_LEN(eras)},
        {.agent = "d", .environment = "staging", .version = 6, .seq = 13, .panic = &all_off},
        {.agent = "a", .environment = "staging", .version = 4, .seq = 11, .kind = DEPLOYMENT_PANIC, .reason = "né\n"},
        {.agent = "c", .environment = "staging", .version = 1, .seq = 12},
    };
    world = with_keys(test_snapshot_of(entries, ARRAY_LEN(entries)));
    return snapshot_file_write(world, collect, &bytes, NULL);
}

static int drop_world(void **state) {
    snapshot_unref(world);
    str_deinit(&bytes);
    return 0;
}

static void assert_refused(struct slice file, const char *words) {
    struct snapshot *read = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(snapshot_file_read(file, &read, &err), -ERR_SNAPSHOT_FILE);
    assert_null(read);
    if (!strstr(err.message, words)) fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void test_everything_comes_back(void **state) {
    struct snapshot *read = NULL;
    struct str before = STR_INIT, after = STR_INIT;
    struct err err = ERR_INIT;
    if (snapshot_file_read(str_slice(&bytes), &read, &err) < 0) fail_msg("%s", err.message);
    test_dump(world, &before);
    test_dump(read, &after);
    assert_string_equal(before.data, after.data);
    assert_true(snapshot_has_agent(read, SLICE_LIT("never-served")));
    assert_true(snapshot_has_environment(read, SLICE_LIT("empty")));
    const struct snapshot_entry *entry = snapshot_find(read, SLICE_LIT("production"), SLICE_LIT("a"));
    assert_true(slice_equal_text(snapshot_entry_override(entry, SLICE_LIT("bob"))->name, "staff"));
    assert_true(slice_equal_text(snapshot_entry_override(entry, SLICE_LIT("eve"))->name, "testers"));
    assert_ptr_equal(snapshot_entry_override(entry, SLICE_LIT("bob"))->version,
                     snapshot_find(read, SLICE_LIT("staging"), SLICE_LIT("a"))->version);
    snapshot_unref(read);
    str_deinit(&before);
    str_deinit(&after);
}

static void test_rollouts_come_back(void **state) {
    struct snapshot *read;
    assert_int_equal(snapshot_file_read(str_slice(&bytes), &read, NULL), 0);
    const struct snapshot_entry *entry = snapshot_find(read, SLICE_LIT("production"), SLICE_LIT("d")),
                                *staging = snapshot_find(read, SLICE_LIT("staging"), SLICE_LIT("d"));
    const struct snapshot_rollout *open = snapshot_entry_rollout(entry);
    assert_int_equal(open->seq, 13); /* readers do not see these */
    assert_true(slice_equal_text(open->heads[1].etag, "W/\"12.6.13.candidate\""));
    assert_int_equal(entry->beside->panic->seq, 14);
    assert_ptr_equal(open->candidate, staging->version);
    assert_ptr_equal(staging->beside->panic->version, &snapshot_disabled);
    assert_true(staging->beside->panic->whole_environment);
    snapshot_unref(read);
}

/* ---- the format before: no sessions, rollout, panic and eras ---- */

static void seal(char *copy, size_t len) {
    struct sha256 sum;
    assert_int_equal(sha256_bytes(copy, len - SHA256_SIZE, &sum), 0);
    memcpy(copy + len - SHA256_SIZE, sum.bytes, SHA256_SIZE);
}

/* A world of one entry without any of it, with what format 2 brought cut out: a flag and three empty lists behind `held`. */
static void test_format_1_is_read(void **state) {
    const struct test_entry entry = {.agent = "a", .environment = "production", .version = 2, .seq = 9, .held = true};
    struct snapshot *new = test_snapshot_of(&entry, 1), *old = NULL;
    struct str file = STR_INIT, before = STR_INIT, after = STR_INIT;
    struct position position;
    assert_int_equal(snapshot_file_write(new, collect, &file, NULL), 0);
    file.len -= sizeof(uint32_t); /* the flags of format 3 */
    char *by = memmem(file.data, file.len, "key-1", 6), *brought = by + 6 + 2 * sizeof(int64_t) + 1;
    const size_t more = 1 + 3 * sizeof(uint32_t);
    assert_int_equal(brought[-1], 1);
    memmove(brought, brought + more, file.len - (size_t)(brought + more - file.data));
    file.len -= more;
    file.data[8] = 1;
    seal(file.data, file.len);
    assert_true(snapshot_file_position((struct slice){file.data, SNAPSHOT_FILE_HEAD}, &position));
    assert_int_equal(position.seq, 9);
    assert_int_equal(snapshot_file_read(str_slice(&file), &old, NULL), 0);
    test_dump(new, &before);
    test_dump(old, &after);
    assert_string_equal(before.data, after.data);
    for (int format = 0; format < 256; format++) {
        if (format >= 1 && format <= 5) continue;
        file.data[8] = (char)format;
        seal(file.data, file.len);
        assert_refused(str_slice(&file), "format");
        assert_false(snapshot_file_position((struct slice){file.data, SNAPSHOT_FILE_HEAD}, &position));
    }
    snapshot_unref(old);
    snapshot_unref(new);
    str_deinit(&file);
    str_deinit(&before);
    str_deinit(&after);
}

/* The format before flags: the list of their sets is cut off. */
static void test_format_2_is_read(void **state) {
    const struct test_entry entry = {.agent = "a", .environment = "production", .version = 2, .seq = 9, .held = true};
    struct snapshot *new = test_snapshot_of(&entry, 1), *old = NULL;
    struct str file = STR_INIT;
    assert_int_equal(snapshot_file_write(new, collect, &file, NULL), 0);
    file.len -= sizeof(uint32_t);
    file.data[8] = 2;
    seal(file.data, file.len);
    assert_int_equal(snapshot_file_read(str_slice(&file), &old, NULL), 0);
    assert_int_equal(snapshot_entry_count(old), 1);
    assert_null(snapshot_flags(old, SLICE_LIT("production")));
    snapshot_unref(old);
    snapshot_unref(new);
    str_deinit(&file);
}

/* The format before audiences of overrides: an empty text less behind the keys. */
static void test_format_3_is_read(void **state) {
    const struct test_entry entry = {.agent = "a",
                                     .environment = "production",
                                     .version = 2,
                                     .seq = 9,
                                     .overrides = {{"staff", 2, {"ada"}, NULL}, {"us", 2, {"bob"}, NULL}}};
    struct snapshot *new = test_snapshot_of(&entry, 1), *old = NULL;
    struct str file = STR_INIT;
    assert_int_equal(snapshot_file_write(new, collect, &file, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        char *behind = (char *)memmem(file.data, file.len, i ? "bob" : "ada", 4) + 4;
        memmove(behind, behind + 5, file.len - (size_t)(behind + 5 - file.data));
        file.len -= 5;
    }
    file.data[8] = 3;
    seal(file.data, file.len);
    assert_int_equal(snapshot_file_read(str_slice(&file), &old, NULL), 0);
    struct str before = STR_INIT, after = STR_INIT;
    test_dump(new, &before);
    test_dump(old, &after);
    assert_string_equal(before.data, after.data);
    snapshot_unref(old);
    snapshot_unref(new);
    str_deinit(&file);
    str_deinit(&before);
    str_deinit(&after);
}

/* The format before defaults of keys: a byte less behind each key. */
static void test_format_4_is_read(void **state) {
    static const char *const ends[] = {"[\"*\"]", "[\"production\",\"staging\"]"};
    struct snapshot *old = NULL;
    struct str file = STR_INIT;
    str_add_slice(&file, str_slice(&bytes));
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t size = strlen(ends[i]) + 1; /* with its NUL */
        char *behind = (char *)memmem(file.data, file.len, ends[i], size) + size;
        memmove(behind, behind + 1, file.len - (size_t)(behind + 1 - file.data));
        file.len--;
    }
    file.data[8] = 4;
    seal(file.data, file.len);
    assert_int_equal(snapshot_file_read(str_slice(&file), &old, NULL), 0);
    const struct snapshot_key *some = snapshot_key_by_id(old, SLICE_LIT("1e"));
    assert_non_null(some);
    assert_false(some->materialise_defaults);
    assert_int_equal(snapshot_flags_count(snapshot_flags(old, SLICE_LIT("production"))), 2);
    snapshot_unref(old);
    str_deinit(&file);
}

static void test_flags_come_back(void **state) {
    struct snapshot *read;
    assert_int_equal(snapshot_file_read(str_slice(&bytes), &read, NULL), 0);
    const struct snapshot_flags *set = snapshot_flags(read, SLICE_LIT("production"));
    assert_null(snapshot_flags(read, SLICE_LIT("staging")));
    assert_int_equal(snapshot_flags_count(set), 2);
    assert_int_equal(snapshot_flags_seq(set), 75);
    assert_true(slice_equal_text(snapshot_flags_evaluators(set), flags_there.evaluators));
    assert_true(slice_equal_text(snapshot_flags_metadata(set), flags_there.metadata));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *flag = snapshot_flags_at(set, i);
        assert_ptr_equal(flag, snapshot_flags_find(set, slice_of(flags[i].key)));
        assert_true(slice_equal_text(flag->key, flags[i].key));
        assert_true(slice_equal_text(flag->definition, flags[i].definition));
        assert_true(slice_equal_text(flag->bound, flags[i].bindings));
        assert_int_equal(flag->seq, flags[i].seq);
        assert_true(slice_equal_text(flag->metadata, "\"team\":\"care\""));
    }
    assert_non_null(snapshot_flags_bound(set, SLICE_LIT("a")));
    assert_null(snapshot_flags_bound(set, SLICE_LIT("b")));
    assert_null(snapshot_flags_find(set, SLICE_LIT("bigger")));
    snapshot_unref(read);
}

static void test_keys_come_back(void **state) {
    struct snapshot *read;
    assert_int_equal(snapshot_file_read(str_slice(&bytes), &read, NULL), 0);
    assert_int_equal(snapshot_keys_generation(read), snapshot_keys_generation(world));
    const struct snapshot_key *all = snapshot_key_by_id(read, SLICE_LIT("0f")),
                              *some = snapshot_key_by_id(read, SLICE_LIT("1e"));
    assert_true(all->all_environments && all->role == ROLE_ADMIN);
    assert_true(some->materialise_defaults && !all->materialise_defaults);
    assert_string_equal(all->name, "every \"where\"");
    assert_string_equal(some->environments[0], "production");
    assert_string_equal(some->environments[1], "staging");
    assert_null(some->environments[2]);
    assert_ptr_equal(snapshot_key_by_hash(read, &some->secret_hash), some);
    assert_null(snapshot_key_by_id(read, SLICE_LIT("2d")));
    snapshot_unref(read);
}

static void test_an_empty_snapshot(void **state) {
    struct snapshot *empty, *read;
    struct str file = STR_INIT;
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_file_write(empty, collect, &file, NULL), 0);
    assert_int_equal(snapshot_file_read(str_slice(&file), &read, NULL), 0);
    assert_int_equal(snapshot_entry_count(read), 0);
    assert_int_equal(snapshot_position(read).epoch, 0);
    snapshot_unref(empty);
    snapshot_unref(read);
    str_deinit(&file);
}

static void test_the_head_tells_the_position(void **state) {
    struct position position;
    assert_true(snapshot_file_position((struct slice){bytes.data, SNAPSHOT_FILE_HEAD}, &position));
    assert_true(position.epoch == 3 && position.seq == 77);
    assert_false(snapshot_file_position((struct slice){bytes.data, SNAPSHOT_FILE_HEAD - 1}, &position));
    assert_false(snapshot_file_position((struct slice){bytes.data + 1, SNAPSHOT_FILE_HEAD}, &position));
}

/* The sum is the file's last bytes, and another one for any other truth. */
static void test_the_sum(void **state) {
    const struct test_entry moved = {.agent = "b", .environment = "production", .version = 2, .previous = 1, .seq = 77};
    struct sha256 sum, other;
    assert_int_equal(snapshot_file_sum(world, &sum, NULL), 0);
    assert_memory_equal(sum.bytes, bytes.data + bytes.len - SHA256_SIZE, SHA256_SIZE);
    struct snapshot *next = test_snapshot(world, &moved, 1);
    assert_int_equal(snapshot_file_sum(next, &other, NULL), 0);
    assert_memory_not_equal(sum.bytes, other.bytes, SHA256_SIZE);
    snapshot_unref(next);
}

/* ---- what is refused ---- */

/* A copy in a block of its own size, so that a sanitizer sees the first byte past the end. */
static char *copy_of(size_t len) {
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, len);
    return copy;
}

static void test_every_cut(void **state) {
    for (size_t len = 0; len < bytes.len; len++) {
        char *cut = copy_of(len);
        assert_refused((struct slice){cut, len}, len < 8 ? "no snapshot file" : "cut short");
        free(cut);
    }
}

static void test_every_bit(void **state) {
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        char *copy = copy_of(bytes.len);
        copy[bit / 8] ^= (char)(1 << bit % 8);
        bool other_format = bit < 96 && bit != 64 && bit != 66; /* these make formats that are known */
        assert_refused((struct slice){copy, bytes.len}, bit < 64       ? "no snapshot file"
                                                        : other_format ? "format"
                                                                       : "damaged");
        free(copy);
    }
}

/* Behind a right checksum: whatever is taken is a snapshot that can be read to its end; nothing is allocated beyond reason. */
static void test_every_byte_behind_a_right_checksum(void **state) {
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t refused = 0;
    for (size_t i = 12; i < bytes.len - SHA256_SIZE; i++) {
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            char *copy = copy_of(bytes.len);
            struct snapshot *read = NULL;
            struct err err = ERR_INIT;
            copy[i] = (char)values[v];
            seal(copy, bytes.len);
            int r = snapshot_file_read((struct slice){copy, bytes.len}, &read, &err);
            assert_true(r == 0 || r == -ERR_SNAPSHOT_FILE);
            if (r == 0) {
                struct str dump = STR_INIT;
                test_dump(read, &dump);
                str_deinit(&dump);
                snapshot_unref(read);
            }
            refused += r < 0;
            free(copy);
        }
    }
    assert_true(refused > bytes.len);
}

/* Replaces the first `from` (length and text) in the file by `to`, of the same length. */
static void assert_text_refused(const char *from, const char *to) {
    char *copy = copy_of(bytes.len);
    char *at = memmem(copy, bytes.len, from, strlen(from) + 1);
    assert_non_null(at);
    memcpy(at, to, strlen(from));
    seal(copy, bytes.len);
    assert_refused((struct slice){copy, bytes.len}, "no snapshot can hold");
    free(copy);
}

static void test_what_no_snapshot_can_hold(void **state) {
    assert_text_refused("never-served", "Never-served"); /* no name */
    assert_text_refused("never-served", "aever-served"); /* listed in order, or not at all */
    assert_text_refused("admin", "owner");
    assert_text_refused("panic", "panik");
    assert_text_refused("[\"*\"]", "[\"*\",");
    assert_text_refused("empty", "empt\xff");
    assert_text_refused("staff", "utter"); /* overrides are in order */
    assert_text_refused("running", "runners");
    assert_text_refused("running", "aborted"); /* what has ended is not kept */
}

/* Sessions look for the first era that had begun: one behind a newer or equal one would never be found. */
static void test_eras_stand_in_order(void **state) {
    static const int64_t befores[] = {9, 10, 11};
    for (size_t i = 0; i < ARRAY_LEN(befores); i++) {
        const struct snapshot_era_spec two[] = {{.era = {.from = 10, .version = 2}},
                                                {.era = {.from = befores[i], .version = 1}}};
        const struct test_entry entry = {
            .agent = "a", .environment = "production", .version = 2, .seq = 9, .eras = two, .era_count = 2};
        struct snapshot *snapshot = test_snapshot_of(&entry, 1), *read = NULL;
        struct str file = STR_INIT;
        assert_int_equal(snapshot_file_write(snapshot, collect, &file, NULL), 0);
        if (befores[i] < 10)
            assert_int_equal(snapshot_file_read(str_slice(&file), &read, NULL), 0);
        else
            assert_refused(str_slice(&file), "no snapshot can hold");
        snapshot_unref(read);
        snapshot_unref(snapshot);
        str_deinit(&file);
    }
}

static int count_pieces(void *ctx, struct slice piece, struct err *err) {
    size_t *left = ctx;
    return (*left)-- ? 0 : err_set(err, ERR_STORE_FULL, "no room");
}

static void test_a_sink_that_fails(void **state) {
    for (size_t pieces = 0; pieces < 2; pieces++) {
        size_t left = pieces;
        struct err err = ERR_INIT;
        assert_int_equal(snapshot_file_write(world, count_pieces, &left, &err), -ERR_STORE_FULL);
        assert_string_equal(err.message, "no room");
    }
}

/* ---- memory ends ---- */

static void test_memory_ends_while_writing(void **state) {
    for (size_t n = 1;; n++) {
        struct str file = STR_INIT;
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = snapshot_file_write(world, collect, &file, &err);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        if (!failed) assert_memory_equal(file.data, bytes.data, bytes.len);
        str_deinit(&file);
        if (!failed) return;
    }
}

static void test_memory_ends_while_reading(void **state) {
    for (size_t n = 1;; n++) {
        struct snapshot *read = NULL;
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = snapshot_file_read(str_slice(&bytes), &read, &err);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        if (failed) continue;
        assert_true(n > 40);
        snapshot_unref(read);
        return;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_rollouts_come_back),
        cmocka_unit_test(test_format_1_is_read),
        cmocka_unit_test(test_format_2_is_read),
        cmocka_unit_test(test_format_3_is_read),
        cmocka_unit_test(test_format_4_is_read),
        cmocka_unit_test(test_flags_come_back),
        cmocka_unit_test(test_keys_come_back),
        cmocka_unit_test(test_an_empty_snapshot),
        cmocka_unit_test(test_the_head_tells_the_position),
        cmocka_unit_test(test_the_sum),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_every_byte_behind_a_right_checksum),
        cmocka_unit_test(test_what_no_snapshot_can_hold),
        cmocka_unit_test(test_eras_stand_in_order),
        cmocka_unit_test(test_a_sink_that_fails),
        cmocka_unit_test(test_memory_ends_while_writing),
        cmocka_unit_test(test_memory_ends_while_reading),
    };
    return cmocka_run_group_tests(tests, make_world, drop_world);
}
