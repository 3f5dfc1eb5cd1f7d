/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/murmur.h"
#include "base/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_sha256(void **state) {
    struct sha256 hash, pieces;
    char text[HASH_TEXT_SIZE];
    assert_int_equal(sha256_bytes("abc", 3, &hash), 0);
    sha256_text(&hash, text);
    assert_string_equal(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const struct slice parts[] = {SLICE_LIT("a"), {NULL, 0}, SLICE_LIT("bc")};
    assert_int_equal(sha256_pieces(parts, ARRAY_LEN(parts), &pieces), 0);
    assert_memory_equal(&pieces, &hash, sizeof(hash));
    assert_int_equal(sha256_bytes(NULL, 0, &hash), 0);
    assert_int_equal(sha256_pieces(NULL, 0, &pieces), 0);
    assert_memory_equal(&pieces, &hash, sizeof(hash));
    sha256_text(&hash, text);
    assert_string_equal(text, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_sha256_bit_by_bit(void **state) {
    struct sha256 whole, sum;
    struct sha256_sum *adding = NULL;
    assert_int_equal(sha256_bytes("one and two", 11, &whole), 0);
    assert_int_equal(sha256_sum_new(&adding), 0);
    assert_int_equal(sha256_sum_add(adding, SLICE_LIT("one ")), 0);
    assert_int_equal(sha256_sum_add(adding, (struct slice){0}), 0);
    assert_int_equal(sha256_sum_add(adding, SLICE_LIT("and two")), 0);
    assert_int_equal(sha256_sum_end(adding, &sum), 0);
    assert_memory_equal(&sum, &whole, sizeof(whole));
    assert_null(sha256_sum_free(adding));
}

static void test_sha256_text_reads_back(void **state) {
    struct sha256 hash, again;
    char text[HASH_TEXT_SIZE + 1];
    assert_int_equal(sha256_bytes("x", 1, &hash), 0);
    sha256_text(&hash, text);
    assert_true(sha256_from_text(text, &again));
    assert_memory_equal(&again, &hash, sizeof(hash));
    text[7] = 'A';
    assert_false(sha256_from_text(text, &again));
    text[7] = 'g';
    assert_false(sha256_from_text(text, &again));
    text[7] = 'a';
    text[70] = '\0';
    assert_false(sha256_from_text(text, &again));
    memcpy(text + 70, "aa", 3);
    assert_false(sha256_from_text(text, &again));
    assert_false(sha256_from_text("", &again));
    assert_false(sha256_from_text("sha1:00", &again));
}

static void test_murmur3(void **state) {
    const struct {
        const char *text;
        uint32_t hash;
    } cases[] = {{"", 0},       {"a", 0x3c2569b2},     {"hello", 0x248bfa47},
                 {"ejOoVL", 0}, {"SI7p-", 2147483647}, {"ceQdGm", 4294967295u}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(murmur3_32(cases[i].text, strlen(cases[i].text), 0), cases[i].hash);
    assert_int_equal(murmur3_32("", 0, 1), 0x514e28b7);
    assert_int_equal(murmur3_32("\xff\xff\xff\xff", 4, 0), 0x76293b50);
}

/* Cut anywhere, with all seeds and with one alone. */
static void test_murmur3_in_pieces(void **state) {
    static const char text[] = "Serin's hash of a text that comes in pieces";
    for (size_t len = 0; len < sizeof(text); len++)
        for (size_t cut = 0; cut <= len; cut++) {
            const struct murmur first = murmur_add(MURMUR_START, (struct slice){text, cut});
            const struct slice rest = {text + cut, len - cut};
            uint32_t hash[MURMUR_SEEDS];
            murmur_end(murmur_add(first, rest), hash);
            for (uint32_t seed = 0; seed < MURMUR_SEEDS; seed++)
                assert_int_equal(hash[seed], murmur3_32(text, len, seed));
            assert_int_equal(murmur_end_alone(first, rest), hash[0]);
        }
}

/* Key and message 00 01 02 …; what `openssl mac -macopt c-rounds:1 -macopt d-rounds:3 SIPHASH` says of them. */
static void test_siphash(void **state) {
    static const uint64_t key[] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)},
                          expected[] = {UINT64_C(0xabac0158050fc4dc), UINT64_C(0x369095118d299a8e)};
    struct siphash hash = siphash_begin(key);
    assert_true(siphash_end(hash) == expected[0]);
    siphash_word(&hash, key[0]);
    assert_true(siphash_end(hash) == expected[1]);
    struct siphash texts = siphash_begin(key), words = texts;
    siphash_bytes(&texts, SLICE_LIT("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"));
    siphash_word(&words, key[0]);
    siphash_word(&words, 0x0908);
    assert_true(siphash_end(texts) == siphash_end(words));
}

static void test_murmur3_at_any_address(void **state) {
    char room[40];
    const char *text = "0123456789abcdefghi";
    for (size_t len = 0; len <= 19; len++) {
        uint32_t first = murmur3_32(text, len, 7);
        for (size_t shift = 0; shift < 8; shift++) {
            memcpy(room + shift, text, len);
            assert_int_equal(murmur3_32(room + shift, len, 7), first);
        }
    }
}

static void test_hex(void **state) {
    char text[9];
    uint8_t bytes[4];
    hex_encode("\x00\x1f\xa0\xff", 4, text);
    assert_string_equal(text, "001fa0ff");
    assert_true(hex_decode(text, 8, bytes));
    assert_memory_equal(bytes, "\x00\x1f\xa0\xff", 4);
    assert_false(hex_decode("001fa0f", 7, bytes));
    assert_false(hex_decode("001fa0fF", 8, bytes));
    assert_false(hex_decode("0x", 2, bytes));
    assert_true(hex_decode("", 0, bytes));
}

static void test_crc32(void **state) {
    assert_int_equal(crc32_bytes("123456789", 9), 0xcbf43926);
    assert_int_equal(crc32_bytes("", 0), 0);
}

static void test_random_bytes_differ(void **state) {
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(random_bytes(a, sizeof(a), NULL), 0);
    assert_int_equal(random_bytes(b, sizeof(b), NULL), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(random_bytes(a, 0, NULL), 0);
}

static void test_secrets(void **state) {
    char secret[] = "secret";
    assert_true(secret_equal("secret", secret, 6));
    assert_false(secret_equal("secres", secret, 6));
    assert_true(secret_equal("x", "y", 0));
    const char long_one[] = "a secret of more than a few words, and some bytes";
    char other[sizeof(long_one)];
    for (size_t len = 1; len < sizeof(long_one); len++)
        for (size_t at = 0; at < sizeof(long_one); at++) {
            memcpy(other, long_one, sizeof(other));
            other[at] ^= (char)0x80;
            assert_int_equal(secret_equal(long_one, other, len), at >= len);
        }
    secret_clear(secret, sizeof(secret));
    assert_memory_equal(secret, "\0\0\0\0\0\0\0", sizeof(secret));
}

/* RFC 8032 section 7.1, test 2. */
static void test_ed25519_known_answer(void **state) {
    uint8_t private_key[32], public_key[32], made[32], signature[64], expected[64];
    assert_true(hex_decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", 64, private_key));
    assert_true(hex_decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", 64, public_key));
    assert_true(hex_decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                           "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                           128, expected));
    assert_int_equal(ed25519_public(private_key, made, NULL), 0);
    assert_memory_equal(made, public_key, sizeof(made));
    assert_int_equal(ed25519_sign(private_key, SLICE_LIT("\x72"), signature, NULL), 0);
    assert_memory_equal(signature, expected, sizeof(signature));
}

static void test_ed25519_verifies(void **state) {
    uint8_t private_key[32], public_key[32], signature[64];
    const struct slice messages[] = {SLICE_LIT("checkpoint 1"), {NULL, 0}};
    assert_int_equal(ed25519_new(private_key, public_key, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        assert_int_equal(ed25519_sign(private_key, messages[i], signature, NULL), 0);
        assert_true(ed25519_verify(public_key, messages[i], signature));
        assert_false(ed25519_verify(public_key, SLICE_LIT("checkpoint 2"), signature));
        signature[3] ^= 1;
        assert_false(ed25519_verify(public_key, messages[i], signature));
    }
}

/* RFC 4231, test cases 2 and 6: a short key, and one longer than a block. */
static void test_hmac(void **state) {
    char key[131], text[HASH_TEXT_SIZE];
    struct sha256 hash;
    memset(key, 0xaa, sizeof(key));
    assert_int_equal(hmac_sha256(SLICE_LIT("Jefe"), SLICE_LIT("what do ya want for nothing?"), &hash), 0);
    sha256_text(&hash, text);
    assert_string_equal(text, "sha256:5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    struct slice message = SLICE_LIT("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_int_equal(hmac_sha256((struct slice){key, sizeof(key)}, message, &hash), 0);
    sha256_text(&hash, text);
    assert_string_equal(text, "sha256:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_bit_by_bit),
        cmocka_unit_test(test_sha256_text_reads_back),
        cmocka_unit_test(test_murmur3),
        cmocka_unit_test(test_murmur3_in_pieces),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_murmur3_at_any_address),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_crc32),
        cmocka_unit_test(test_random_bytes_differ),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_ed25519_known_answer),
        cmocka_unit_test(test_ed25519_verifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
