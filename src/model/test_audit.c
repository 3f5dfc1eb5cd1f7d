/* SPDX-License-Identifier: Apache-2.0 */
#include "model/audit.h"

#include "base/clock.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The example of spec/audit.md; its hash was computed with sha256sum over the text that stands there. */
static struct audit_entry example(void) {
    struct audit_entry entry = {
        .position = {1, 1},
        .actor = "system",
        .actor_name = "system",
        .operation = "environment_put",
        .agent = "",
        .environment = "production",
        .reason = "first start",
        .detail = "{\"name\":\"production\"}",
    };
    assert_true(clock_from_text("2026-11-23T14:05:00Z", &entry.at));
    return entry;
}

static void hash_of(const struct audit_entry *entry, char ret[HASH_TEXT_SIZE]) {
    struct err err = ERR_INIT;
    struct sha256 hash;
    assert_int_equal(audit_entry_hash(entry, &hash, &err), 0);
    sha256_text(&hash, ret);
}

static void test_hash_of_the_specification(void **state) {
    struct audit_entry entry = example();
    char text[HASH_TEXT_SIZE];

    hash_of(&entry, text);
    assert_string_equal(text, "sha256:87959907ed20247591312504ab3b6b939794b6ed57c314aacad9205a2480cc0a");
}

static void test_detail_is_brought_to_canonical_form(void **state) {
    struct audit_entry entry = example(), same = example();
    char a[HASH_TEXT_SIZE], b[HASH_TEXT_SIZE];

    entry.detail = "{\"a\":1,\"b\":[true,null]}";
    same.detail = " { \"b\" : [true, null], \"a\": 1.0 } ";
    hash_of(&entry, a);
    hash_of(&same, b);
    assert_string_equal(a, b);
}

static void test_every_member_counts(void **state) {
    struct audit_entry base = example(), changed[11];
    char expected[HASH_TEXT_SIZE], got[HASH_TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        changed[i] = base;
    }
    changed[0].actor = "key";
    changed[1].actor_name = "release bot";
    changed[2].agent = "support";
    changed[3].at += 1;
    changed[4].detail = "{}";
    changed[5].environment = "";
    changed[6].operation = "deploy";
    changed[7].position.seq = 2;
    changed[8].position.epoch = 2;
    changed[9].previous.bytes[31] = 1;
    changed[10].reason = "";

    hash_of(&base, expected);
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        hash_of(&changed[i], got);
        if (strcmp(expected, got) == 0) fail_msg("change %zu did not change the hash", i);
    }
    /* The hash itself is not part of what is hashed. */
    base.hash.bytes[0] = 9;
    hash_of(&base, got);
    assert_string_equal(expected, got);
}

static void test_text_cannot_pass_for_structure(void **state) {
    struct audit_entry a = example(), b = example();
    char left[HASH_TEXT_SIZE], right[HASH_TEXT_SIZE];

    a.actor = "x\",\"actor_name\":\"y";
    b.actor = "x";
    b.actor_name = "y";
    hash_of(&a, left);
    hash_of(&b, right);
    assert_string_not_equal(left, right);
}

static void test_bad_detail(void **state) {
    static const char *const bad[] = {"", "{", "[]", "null", "\"text\"", "{\"a\":1,\"a\":2}", "{} {}"};
    struct audit_entry entry = example();
    struct sha256 hash;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;
        entry.detail = bad[i];
        if (audit_entry_hash(&entry, &hash, &err) >= 0) fail_msg("detail %s was taken", bad[i]);
        assert_non_null(strstr(err.message, "detail of an audit entry"));
    }
}

static void test_write(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    struct audit_entry entry = example();
    struct jw jw = JW_INIT(&out);

    assert_int_equal(audit_entry_hash(&entry, &entry.hash, NULL), 0);
    audit_entry_write(&entry, &jw);
    assert_false(out.failed);
    assert_string_equal(
        out.data,
        "{\"position\":\"1.1\",\"at\":\"2026-11-23T14:05:00.000000Z\",\"actor\":\"system\","
        "\"actor_name\":\"system\",\"operation\":\"environment_put\",\"agent\":\"\",\"environment\":\"production\","
        "\"reason\":\"first start\",\"detail\":{\"name\":\"production\"},"
        "\"previous\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\","
        "\"hash\":\"sha256:87959907ed20247591312504ab3b6b939794b6ed57c314aacad9205a2480cc0a\"}");
}

/* What a reader does: take the written entry apart, leave `hash` out, and hash the canonical form. */
static void test_a_reader_finds_the_same_hash(void **state) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    _cleanup_(str_deinit) struct str canonical = STR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct audit_entry entry = example();
    struct jw jw = JW_INIT(&out);
    struct sha256 hash;

    entry.reason = "\"quoted\" – naïve 🐦\n";
    entry.detail = "{\"z\":1e21,\"a\":{\"n\":0.1}}";
    assert_int_equal(audit_entry_hash(&entry, &entry.hash, NULL), 0);
    audit_entry_write(&entry, &jw);
    assert_int_equal(json_parse(out.data, out.len, 64, &value, NULL), 0);
    assert_int_equal(json_object_del(value, "hash"), 0);
    assert_int_equal(json_canonical(value, &canonical, NULL), 0);
    assert_int_equal(sha256_bytes(canonical.data, canonical.len, &hash), 0);
    assert_memory_equal(hash.bytes, entry.hash.bytes, SHA256_SIZE);
}

static struct audit_checkpoint signed_checkpoint(void) {
    uint8_t private_key[ED25519_PRIVATE_SIZE], public_key[ED25519_PUBLIC_SIZE];
    struct audit_checkpoint checkpoint = {.position = {1, 1207}, .at = 1795442700000000};

    memset(checkpoint.hash.bytes, 0xab, SHA256_SIZE);
    assert_int_equal(ed25519_new(private_key, public_key, NULL), 0);
    assert_int_equal(audit_checkpoint_sign(&checkpoint, private_key, NULL), 0);
    assert_memory_equal(checkpoint.public_key, public_key, ED25519_PUBLIC_SIZE);
    return checkpoint;
}

static void test_checkpoint(void **state) {
    struct audit_checkpoint checkpoint = signed_checkpoint();
    assert_true(audit_checkpoint_verify(&checkpoint));
}

static void test_checkpoint_signs_the_text_of_the_specification(void **state) {
    struct audit_checkpoint checkpoint = signed_checkpoint();
    char text[512], at[CLOCK_TEXT_SIZE], hash[HASH_TEXT_SIZE];
    int len;

    clock_text(checkpoint.at, at);
    sha256_text(&checkpoint.hash, hash);
    len = snprintf(text, sizeof(text), "serin audit checkpoint\n1.1207\n%s\n%s\n", hash, at);
    assert_true(ed25519_verify(checkpoint.public_key, (struct slice){text, (size_t)len}, checkpoint.signature));
}

static void test_forged_checkpoints(void **state) {
    struct audit_checkpoint good = signed_checkpoint(), forged[6];

    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        forged[i] = good;
    }
    forged[0].position.seq++;
    forged[1].position.epoch++;
    forged[2].hash.bytes[0] ^= 1;
    forged[3].at++;
    forged[4].signature[63] ^= 1;
    forged[5].public_key[0] ^= 1;
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        if (audit_checkpoint_verify(&forged[i])) fail_msg("forgery %zu was taken", i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_of_the_specification),
        cmocka_unit_test(test_detail_is_brought_to_canonical_form),
        cmocka_unit_test(test_every_member_counts),
        cmocka_unit_test(test_text_cannot_pass_for_structure),
        cmocka_unit_test(test_bad_detail),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_a_reader_finds_the_same_hash),
        cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_checkpoint_signs_the_text_of_the_specification),
        cmocka_unit_test(test_forged_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
