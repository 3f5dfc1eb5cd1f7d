/* SPDX-License-Identifier: Apache-2.0 */
/* config_seal() against spec/vectors/config_hash.json, whose path is the first argument, and on its own. */
#include "model/config.h"

#include "model/test_kit.h"

static const char *vectors_path;

static json_t *read_vectors(void) {
    json_error_t error;
    json_t *vectors = json_load_file(vectors_path, 0, &error);
    if (!vectors) fail_msg("%s: %s", vectors_path, error.text);
    return vectors;
}

static json_t *normalised(const char *text, struct faults *faults) {
    json_t *config;
    json_t *input;
    struct err err = ERR_INIT;

    if (json_parse(text, strlen(text), JSON_DEPTH_MAX, &input, &err) < 0) fail_msg("%s in %s", err.message, text);
    assert_int_equal(config_normalise(input, faults, &config, NULL), 0);
    json_decref(input);
    return config;
}

static void seal(const char *text, struct config_sealed *ret) {
    struct faults faults = FAULTS_INIT;
    _cleanup_(json_decrefp) json_t *config = normalised(text, &faults);

    assert_int_equal(faults.count, 0);
    assert_int_equal(config_seal(config, ret, NULL), 0);
}

static void check_hash(const json_t *one, const char *which, const struct sha256 *hash) {
    char text[HASH_TEXT_SIZE];

    sha256_text(hash, text);
    const char *expected = json_get_text(one, which);
    if (!expected || strcmp(text, expected) != 0)
        fail_msg("%s of \"%s\" is %s", which, json_get_text(one, "name"), text);
}

static void check_refused(const json_t *one) {
    struct faults faults = FAULTS_INIT;
    _cleanup_(json_decrefp) json_t *config = normalised(json_get_text(one, "input"), &faults);
    size_t i;
    json_t *at;

    assert_non_null(config);
    assert_int_equal(faults.count, json_array_size(json_get(one, "refused")));
    json_array_foreach(json_get(one, "refused"), i, at) {
        bool found = false;
        for (size_t f = 0; f < faults.count; f++) {
            found = found || strcmp(faults.items[f].at, json_string_value(at)) == 0;
        }
        if (!found) fail_msg("%s is not told", json_string_value(at));
    }
    faults_deinit(&faults);
}

static void test_vectors(void **state) {
    _cleanup_(json_decrefp) json_t *vectors = read_vectors();
    size_t i;
    json_t *one;

    assert_true(json_array_size(json_get(vectors, "cases")) >= 30);
    json_array_foreach(json_get(vectors, "cases"), i, one) {
        struct config_sealed sealed;
        if (json_get(one, "refused")) {
            check_refused(one);
            continue;
        }
        seal(json_get_text(one, "input"), &sealed);
        check_hash(one, "content_hash", &sealed.content_hash);
        check_hash(one, "config_hash", &sealed.config_hash);
        config_sealed_deinit(&sealed);
    }
}

static void test_bytes(void **state) {
    struct config_sealed sealed;
    struct sha256 hash;

    seal("{\"model\":\"gpt-4o\",\"temperature\":1.0,\"description\":\"d\"}", &sealed);
    assert_string_equal(
        sealed.bytes,
        "{\"description\":\"d\",\"model\":\"gpt-4o\",\"parameters\":{\"temperature\":1},\"schema\":\"agent/v1\"}");
    assert_int_equal(sealed.len, strlen(sealed.bytes));
    assert_int_equal(sha256_bytes(sealed.bytes, sealed.len, &hash), 0);
    assert_memory_equal(hash.bytes, sealed.content_hash.bytes, SHA256_SIZE);
    assert_memory_not_equal(sealed.config_hash.bytes, sealed.content_hash.bytes, SHA256_SIZE);
    config_sealed_deinit(&sealed);
    assert_null(sealed.bytes);
    config_sealed_deinit(&sealed);
}

/* The order in which a person writes tools changes the bytes and not the behaviour. */
static void test_order_of_tools_stays_in_the_bytes(void **state) {
    struct config_sealed a, b;

    seal("{\"model\":\"m\",\"tools\":[\"x\",\"y\"]}", &a);
    seal("{\"model\":\"m\",\"tools\":[\"y\",\"x\"]}", &b);
    assert_string_equal(b.bytes, "{\"model\":\"m\",\"schema\":\"agent/v1\",\"tools\":[\"y\",\"x\"]}");
    assert_memory_equal(a.config_hash.bytes, b.config_hash.bytes, SHA256_SIZE);
    assert_memory_not_equal(a.content_hash.bytes, b.content_hash.bytes, SHA256_SIZE);
    config_sealed_deinit(&a);
    config_sealed_deinit(&b);
}

static void test_the_document_is_left_as_it_was(void **state) {
    _cleanup_(json_decrefp) json_t *config = kit_json("{'model':'m','tools':['b','a'],'description':'d','x-a':1}");
    _cleanup_(json_decrefp) json_t *before = json_deep_copy(config);
    struct config_sealed sealed;

    assert_int_equal(config_seal(config, &sealed, NULL), 0);
    assert_true(json_equal(config, before));
    config_sealed_deinit(&sealed);
}

/* The sealed bytes are a document that seals to the same bytes. */
static void test_sealing_again(void **state) {
    _cleanup_(json_decrefp) json_t *again = NULL;
    struct config_sealed first, second;

    seal("{\"model\":\"m\",\"system_prompt\":\"a\\r\\nb\",\"ext\":{\"a\":{\"n\":[0.1,1e21,-5]}}}", &first);
    assert_int_equal(json_parse(first.bytes, first.len, CONFIG_DEPTH_MAX, &again, NULL), 0);
    assert_int_equal(config_seal(again, &second, NULL), 0);
    assert_string_equal(first.bytes, second.bytes);
    assert_memory_equal(first.config_hash.bytes, second.config_hash.bytes, SHA256_SIZE);
    config_sealed_deinit(&first);
    config_sealed_deinit(&second);
}

static void test_size(void **state) {
    _cleanup_(freep) char *text = malloc(CONFIG_SIZE_MAX);
    _cleanup_(json_decrefp) json_t *config = json_object();
    struct config_sealed sealed;
    struct err err = ERR_INIT;

    assert_non_null(text);
    memset(text, 'x', CONFIG_SIZE_MAX);
    json_object_set_new(config, "a", json_stringn(text, CONFIG_SIZE_MAX - strlen("{\"a\":\"\"}")));
    assert_int_equal(config_seal(config, &sealed, &err), 0);
    assert_int_equal(sealed.len, CONFIG_SIZE_MAX);
    config_sealed_deinit(&sealed);
    json_object_set_new(config, "a", json_stringn(text, CONFIG_SIZE_MAX));
    assert_int_equal(config_seal(config, &sealed, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "at most 1048576"));
}

static void test_refused(void **state) {
    static const struct {
        const char *text, *at;
    } rows[] = {
        {"[]", ""},
        {"'x'", ""},
        {"{'a':9007199254740993}", "/a"},
        {"{'tools':[{'name':'x','n':[1,9007199254740993]}]}", "/tools/0/n/1"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(json_decrefp) json_t *config = kit_json(rows[i].text);
        struct config_sealed sealed;
        struct err err = ERR_INIT;
        assert_int_equal(config_seal(config, &sealed, &err), -ERR_INVALID);
        assert_string_equal(err.at, rows[i].at);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_order_of_tools_stays_in_the_bytes),
        cmocka_unit_test(test_the_document_is_left_as_it_was),
        cmocka_unit_test(test_sealing_again),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_refused),
    };
    vectors_path = argc > 1 ? argv[1] : "spec/vectors/config_hash.json";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
