/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, randomness and secrets. SHA-256, Ed25519 and random bytes are OpenSSL's. */
#ifndef SERIN_BASE_HASH_H
#define SERIN_BASE_HASH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SHA256_SIZE 32
#define HASH_TEXT_SIZE 72 /* "sha256:" + 64 hex digits + NUL */

struct sha256 {
    uint8_t bytes[SHA256_SIZE];
};

int sha256_bytes(const void *bytes, size_t len, struct sha256 *ret) MUST_CHECK;
/* The hash over several pieces one after the other. */
int sha256_pieces(const struct slice *pieces, size_t count, struct sha256 *ret) MUST_CHECK;
/* The same for bytes that come bit by bit. */
struct sha256_sum;
int sha256_sum_new(struct sha256_sum **ret) MUST_CHECK;
int sha256_sum_add(struct sha256_sum *sum, struct slice bytes) MUST_CHECK;
int sha256_sum_end(struct sha256_sum *sum, struct sha256 *ret) MUST_CHECK; /* nothing is added any more */
struct sha256_sum *sha256_sum_free(struct sha256_sum *sum);
DEFINE_CLEANUP(struct sha256_sum *, sha256_sum_free)
/* HMAC-SHA256 (RFC 2104). */
int hmac_sha256(struct slice key, struct slice message, struct sha256 *ret) MUST_CHECK;
void sha256_text(const struct sha256 *hash, char ret[HASH_TEXT_SIZE]); /* "sha256:1f2e…" */
bool sha256_from_text(const char *text, struct sha256 *ret);           /* exactly the form above */

/* MurmurHash3 x86 32-bit (Austin Appleby, public domain algorithm). Pure, no allocation. */
uint32_t murmur3_32(const void *bytes, size_t len, uint32_t seed);

void hex_encode(const void *bytes, size_t len, char *ret);   /* 2 * len digits and a NUL */
bool hex_decode(const char *text, size_t len, uint8_t *ret); /* lower-case digits; ret has len / 2 bytes */

void base64_encode(const void *bytes, size_t len, char *ret); /* (len + 2) / 3 * 4 digits and a NUL */
/* Strict: padded, one spelling only. `ret` has room for len / 4 * 3 bytes. */
bool base64_decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len);

int random_bytes(void *ret, size_t len, struct err *err) MUST_CHECK;
/* Equality in time that depends on `len` only. */
bool secret_equal(const void *a, const void *b, size_t len);
void secret_clear(void *bytes, size_t len);
const char *crypto_library(void);                    /* "OpenSSL 3.0.11 19 Sep 2023": the one that is loaded */
uint32_t crc32_bytes(const void *bytes, size_t len); /* IEEE 802.3, for the checksum of a key */

#define ED25519_PUBLIC_SIZE 32
#define ED25519_PRIVATE_SIZE 32
#define ED25519_SIGNATURE_SIZE 64
int ed25519_new(uint8_t ret_private[ED25519_PRIVATE_SIZE], uint8_t ret_public[ED25519_PUBLIC_SIZE],
                struct err *err) MUST_CHECK;
int ed25519_public(const uint8_t private_key[ED25519_PRIVATE_SIZE], uint8_t ret_public[ED25519_PUBLIC_SIZE],
                   struct err *err) MUST_CHECK;
int ed25519_sign(const uint8_t private_key[ED25519_PRIVATE_SIZE], struct slice message,
                 uint8_t ret_signature[ED25519_SIGNATURE_SIZE], struct err *err) MUST_CHECK;
bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_SIZE], struct slice message,
                    const uint8_t signature[ED25519_SIGNATURE_SIZE]);

#endif
