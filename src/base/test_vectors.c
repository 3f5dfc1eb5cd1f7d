/* SPDX-License-Identifier: Apache-2.0 */
/* The published vectors, read from the folder that the first argument names. */
#include "base/hash.h"
#include "base/json.h"

#include <endian.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;

static int load(void **state, const char *name) {
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    *state = json_load_file(path, 0, &error);
    if (!*state) print_error("%s: %s\n", path, error.text);
    return *state ? 0 : -1;
}

static int load_canonical(void **state) {
    return load(state, "canonical.json");
}

static int load_hashes(void **state) {
    return load(state, "hashes.json");
}

static int unload(void **state) {
    json_decref(*state);
    return 0;
}

static const json_t *section(void **state, const char *name, size_t at_least) {
    const json_t *cases = json_get(*state, name);
    assert_true(json_array_size(cases) >= at_least);
    return cases;
}

/* The bytes of `input`, or those that `input_hex` spells. */
static void read_input(const json_t *one, struct str *out) {
    const json_t *input = json_get(one, "input");
    const char *hex = json_get_text(one, "input_hex");
    if (input) {
        str_add(out, json_string_value(input), json_string_length(input));
        return;
    }
    assert_non_null(hex);
    str_reserve(out, strlen(hex) / 2);
    assert_true(hex_decode(hex, strlen(hex), (uint8_t *)out->data));
    out->len = strlen(hex) / 2;
}

static int canonical_of(const json_t *one, struct str *out, struct err *err) {
    struct str input = STR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;
    read_input(one, &input);
    int r = json_parse(input.data, input.len, JSON_DEPTH_MAX, &value, err);
    str_deinit(&input);
    return r < 0 ? r : json_canonical(value, out, err);
}

static void test_canonical(void **state) {
    const json_t *cases = section(state, "canonical", 20), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        struct str out = STR_INIT;
        assert_int_equal(canonical_of(one, &out, NULL), 0);
        assert_string_equal(out.data, json_get_text(one, "canonical"));

        _cleanup_(json_decrefp) json_t *again = NULL;
        struct str twice = STR_INIT;
        assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &again, NULL), 0);
        assert_int_equal(json_canonical(again, &twice, NULL), 0);
        assert_string_equal(twice.data, out.data);
        str_deinit(&twice);
        str_deinit(&out);
    }
}

static void test_refused(void **state) {
    const json_t *cases = section(state, "refused", 30), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        struct str out = STR_INIT;
        struct err err = ERR_INIT;
        int r = canonical_of(one, &out, &err);
        if (r != -(int)err_by_name(json_get_text(one, "code"))) fail_msg("%s: %d", json_get_text(one, "name"), r);
        assert_string_equal(err.at, json_get_text(one, "at"));
        if (err.code != ERR_INVALID) assert_true(err.line > 0 && err.column > 0);
        str_deinit(&out);
    }
}

static void test_numbers(void **state) {
    const json_t *cases = section(state, "numbers", 100), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        uint64_t bits;
        double value;
        struct str out = STR_INIT;
        assert_true(hex_decode(json_get_text(one, "bits"), 16, (uint8_t *)&bits));
        bits = be64toh(bits);
        memcpy(&value, &bits, sizeof(value));
        json_add_double(&out, value);
        assert_string_equal(out.data, json_get_text(one, "text"));
        str_deinit(&out);
    }
}

static void test_sha256(void **state) {
    const json_t *cases = section(state, "sha256", 20), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        struct str out = STR_INIT;
        struct sha256 hash;
        char text[HASH_TEXT_SIZE];
        assert_int_equal(canonical_of(one, &out, NULL), 0);
        assert_int_equal(sha256_bytes(out.data, out.len, &hash), 0);
        sha256_text(&hash, text);
        assert_string_equal(text, json_get_text(one, "sha256"));
        str_deinit(&out);
    }
}

static void test_murmur3(void **state) {
    const json_t *cases = section(state, "murmur3", 30), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        struct str input = STR_INIT;
        read_input(one, &input);
        uint32_t seed = (uint32_t)json_integer_value(json_get(one, "seed"));
        assert_int_equal(murmur3_32(input.data, input.len, seed), json_integer_value(json_get(one, "hash")));
        str_deinit(&input);
    }
}

static void test_buckets(void **state) {
    const json_t *cases = section(state, "buckets", 50), *one;
    size_t i;
    json_array_foreach(cases, i, one) {
        struct str bytes = STR_INIT;
        char unit[25];
        str_printf(&bytes, "%s/%s", json_get_text(one, "salt"), json_get_text(one, "key"));
        uint32_t hash[3];
        for (uint32_t seed = 0; seed < ARRAY_LEN(hash); seed++)
            hash[seed] = murmur3_32(bytes.data, bytes.len, seed);
        snprintf(unit, sizeof(unit), "%08" PRIx32 "%08" PRIx32 "%08" PRIx32, hash[0], hash[1], hash[2]);
        assert_int_equal(hash[0], json_integer_value(json_get(one, "hash")));
        assert_int_equal((uint64_t)hash[0] * 100000 >> 32, json_integer_value(json_get(one, "bucket")));
        assert_string_equal(unit, json_get_text(one, "unit"));
        str_deinit(&bytes);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_canonical, load_canonical, unload),
        cmocka_unit_test_setup_teardown(test_refused, load_canonical, unload),
        cmocka_unit_test_setup_teardown(test_numbers, load_canonical, unload),
        cmocka_unit_test_setup_teardown(test_sha256, load_hashes, unload),
        cmocka_unit_test_setup_teardown(test_murmur3, load_hashes, unload),
        cmocka_unit_test_setup_teardown(test_buckets, load_hashes, unload),
    };
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
