/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets and units, against the published vectors (the folder is the first argument) and against the plain hash. */
#include "base/json.h"
#include "base/ticker.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;

/* ---- the vectors ---- */

static int load(void **state) {
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/hashes.json", folder);
    *state = json_load_file(path, 0, &error);
    if (!*state) print_error("%s: %s\n", path, error.text);
    return *state ? 0 : -1;
}

static int unload(void **state) {
    json_decref(*state);
    return 0;
}

static struct slice text_at(const json_t *one, const char *key) {
    const json_t *text = json_get(one, key);
    assert_non_null(text);
    return (struct slice){json_string_value(text), json_string_length(text)};
}

static void test_vectors(void **state) {
    const json_t *cases = json_get(*state, "buckets"), *one;
    size_t i;
    assert_true(json_array_size(cases) >= 50);
    json_array_foreach(cases, i, one) {
        struct slice salt = text_at(one, "salt"), key = text_at(one, "key");
        char unit[UNIT_TEXT_SIZE];
        resolve_unit(salt, key, unit);
        assert_int_equal(resolve_bucket(salt, key), json_integer_value(json_get(one, "bucket")));
        assert_string_equal(unit, json_get_text(one, "unit"));
    }
}

/* ---- the plain way ---- */

static void plain_unit(struct slice salt, struct slice key, char ret[UNIT_TEXT_SIZE]) {
    struct str bytes = STR_INIT;
    str_add_slice(&bytes, salt);
    str_add_char(&bytes, '/');
    str_add_slice(&bytes, key);
    for (uint32_t seed = 0; seed < 3; seed++)
        snprintf(ret + (size_t)8 * seed, 9, "%08x", murmur3_32(bytes.data, bytes.len, seed));
    str_deinit(&bytes);
}

static uint32_t plain_bucket(struct slice salt, struct slice key) {
    char unit[UNIT_TEXT_SIZE];
    plain_unit(salt, key, unit);
    unit[8] = '\0';
    return (uint32_t)(strtoull(unit, NULL, 16) * BUCKETS / (UINT64_C(1) << 32));
}

static void assert_as_plain(struct slice salt, struct slice key) {
    char got[UNIT_TEXT_SIZE], want[UNIT_TEXT_SIZE];
    memset(got, '#', sizeof(got));
    resolve_unit(salt, key, got);
    plain_unit(salt, key, want);
    assert_string_equal(got, want);
    assert_int_equal(resolve_bucket(salt, key), plain_bucket(salt, key));
}

/* Both pieces of every length around the blocks and windows that the one pass works in. */
static void test_every_length(void **state) {
    static const size_t around[] = {0,   1,   2,   3,   4,   5,   7,   8,   9,   15,   16,   17,  63,
                                    64,  127, 251, 252, 253, 254, 255, 256, 257, 258,  259,  260, 507,
                                    508, 509, 510, 511, 512, 513, 767, 768, 769, 1023, 1024, 1025};
    static char bytes[2100];
    uint64_t random = 9;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)test_random(&random);
    for (size_t s = 0; s < ARRAY_LEN(around); s++)
        for (size_t k = 0; k < ARRAY_LEN(around); k++)
            assert_as_plain((struct slice){bytes, around[s]}, (struct slice){bytes + 1030, around[k]});
}

static void test_very_long(void **state) {
    const size_t size = (size_t)3 << 20;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, 0xa5, size);
    assert_as_plain(SLICE_LIT("support/production"), (struct slice){bytes, size});
    assert_as_plain((struct slice){bytes, size - 1}, (struct slice){bytes, 3});
    free(bytes);
}

static void test_random_texts(void **state) {
    uint64_t random = 10;
    char salt[64], key[64];
    for (int i = 0; i < 20000; i++) {
        size_t salt_len = test_random(&random) % sizeof(salt), key_len = test_random(&random) % sizeof(key);
        for (size_t c = 0; c < sizeof(salt); c++) {
            salt[c] = (char)test_random(&random);
            key[c] = (char)test_random(&random);
        }
        assert_as_plain((struct slice){salt, salt_len}, (struct slice){key, key_len});
    }
}

/* Where the salt ends is not part of what is hashed: "a/b" with "c" is "a" with "b/c". That is the written rule. */
static void test_only_the_joined_text_counts(void **state) {
    char one[UNIT_TEXT_SIZE], other[UNIT_TEXT_SIZE];
    resolve_unit(SLICE_LIT("a/b"), SLICE_LIT("c"), one);
    resolve_unit(SLICE_LIT("a"), SLICE_LIT("b/c"), other);
    assert_string_equal(one, other);
    resolve_unit(SLICE_LIT("a"), SLICE_LIT("b-c"), other);
    assert_string_not_equal(one, other);
}

static void test_empty_pieces(void **state) {
    assert_as_plain((struct slice){NULL, 0}, (struct slice){NULL, 0});
    assert_as_plain((struct slice){NULL, 0}, SLICE_LIT("u1"));
    assert_as_plain(SLICE_LIT("salt"), (struct slice){NULL, 0});
}

/* ---- what buckets are for ---- */

/* A thousand users for each of a hundred buckets of the hundred thousand: far from 1,000 anywhere would be a broken hash. */
static void test_buckets_are_even(void **state) {
    static unsigned counts[100];
    char key[24];
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(key, sizeof(key), "user-%d", i);
        uint32_t bucket = resolve_bucket(SLICE_LIT("support/production"), (struct slice){key, (size_t)len});
        assert_true(bucket < BUCKETS);
        counts[bucket / 1000]++;
    }
    for (size_t i = 0; i < 100; i++)
        assert_in_range(counts[i], 850, 1150); /* 4.7 standard deviations */
}

/* Raising a share moves nobody out: the bucket does not know the share. Other salts choose other users. */
static void test_salts_choose_independently(void **state) {
    unsigned both = 0, first = 0, second = 0;
    char key[24];
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(key, sizeof(key), "user-%d", i);
        bool a = resolve_bucket(SLICE_LIT("support/production"), (struct slice){key, (size_t)len}) < 10000;
        bool b = resolve_bucket(SLICE_LIT("billing/production"), (struct slice){key, (size_t)len}) < 10000;
        first += a;
        second += b;
        both += a && b;
    }
    assert_in_range(first, 9550, 10450);
    assert_in_range(second, 9550, 10450);
    assert_in_range(both, 850, 1150);
}

/* The unit's first eight digits are the hash that the bucket comes from: whoever has the unit knows the arm. */
static void test_unit_tells_bucket(void **state) {
    char key[24], unit[UNIT_TEXT_SIZE];
    for (int i = 0; i < 10000; i++) {
        int len = snprintf(key, sizeof(key), "user-%d", i);
        struct slice slice = {key, (size_t)len};
        resolve_unit(SLICE_LIT("support/production"), slice, unit);
        assert_int_equal(strlen(unit), UNIT_TEXT_SIZE - 1);
        assert_int_equal(strspn(unit, "0123456789abcdef"), UNIT_TEXT_SIZE - 1);
        unit[8] = '\0';
        uint64_t hash = strtoull(unit, NULL, 16);
        assert_int_equal(hash * BUCKETS >> 32, resolve_bucket(SLICE_LIT("support/production"), slice));
    }
}

static void test_no_allocation(void **state) {
    static char key[10000];
    char unit[UNIT_TEXT_SIZE];
    memset(key, 'k', sizeof(key));
    ticker_start(1);
    resolve_unit(SLICE_LIT("support/production"), (struct slice){key, sizeof(key)}, unit);
    uint32_t bucket = resolve_bucket(SLICE_LIT("support/production"), (struct slice){key, sizeof(key)});
    assert_false(ticker_stop());
    assert_true(bucket < BUCKETS);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vectors, load, unload),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_very_long),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_only_the_joined_text_counts),
        cmocka_unit_test(test_empty_pieces),
        cmocka_unit_test(test_buckets_are_even),
        cmocka_unit_test(test_salts_choose_independently),
        cmocka_unit_test(test_unit_tells_bucket),
        cmocka_unit_test(test_no_allocation),
    };
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
