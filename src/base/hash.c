/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <endian.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define SHA256_PREFIX "sha256:"
#define SHA256_PREFIX_LEN (sizeof(SHA256_PREFIX) - 1)

int sha256_bytes(const void *bytes, size_t len, struct sha256 *ret) {
    if (!SHA256(len ? bytes : (const void *)"", len, ret->bytes)) return -ERR_NO_MEMORY;
    return 0;
}

static void md_ctx_freep(EVP_MD_CTX **ctx) {
    EVP_MD_CTX_free(*ctx);
}

int sha256_pieces(const struct slice *pieces, size_t count, struct sha256 *ret) {
    _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) return -ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!EVP_DigestUpdate(ctx, pieces[i].ptr, pieces[i].len)) return -ERR_INTERNAL;
    return EVP_DigestFinal_ex(ctx, ret->bytes, NULL) ? 0 : -ERR_INTERNAL;
}

/* The sum is OpenSSL's object under another name. */
static EVP_MD_CTX *ctx_of(struct sha256_sum *sum) {
    return (EVP_MD_CTX *)sum;
}

int sha256_sum_new(struct sha256_sum **ret) {
    _cleanup_(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) return -ERR_NO_MEMORY;
    *ret = (struct sha256_sum *)TAKE_PTR(ctx);
    return 0;
}

int sha256_sum_add(struct sha256_sum *sum, struct slice bytes) {
    return EVP_DigestUpdate(ctx_of(sum), bytes.ptr, bytes.len) ? 0 : -ERR_INTERNAL;
}

int sha256_sum_end(struct sha256_sum *sum, struct sha256 *ret) {
    return EVP_DigestFinal_ex(ctx_of(sum), ret->bytes, NULL) ? 0 : -ERR_INTERNAL;
}

struct sha256_sum *sha256_sum_free(struct sha256_sum *sum) {
    EVP_MD_CTX_free(ctx_of(sum));
    return NULL;
}

int hmac_sha256(struct slice key, struct slice message, struct sha256 *ret) {
    const unsigned char *bytes = (const unsigned char *)message.ptr;
    if (key.len > INT_MAX) return -ERR_INTERNAL;
    return HMAC(EVP_sha256(), key.ptr, (int)key.len, bytes, message.len, ret->bytes, NULL) ? 0 : -ERR_NO_MEMORY;
}

void sha256_text(const struct sha256 *hash, char ret[HASH_TEXT_SIZE]) {
    memcpy(ret, SHA256_PREFIX, SHA256_PREFIX_LEN);
    hex_encode(hash->bytes, SHA256_SIZE, ret + SHA256_PREFIX_LEN);
}

bool sha256_from_text(const char *text, struct sha256 *ret) {
    if (strncmp(text, SHA256_PREFIX, SHA256_PREFIX_LEN) != 0) return false;
    const char *digits = text + SHA256_PREFIX_LEN;
    return strlen(digits) == (size_t)2 * SHA256_SIZE && hex_decode(digits, (size_t)2 * SHA256_SIZE, ret->bytes);
}

static uint32_t rotate(uint32_t x, unsigned bits) {
    return x << bits | x >> (32 - bits);
}

static uint32_t murmur_scramble(uint32_t block) {
    return rotate(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

uint32_t murmur3_32(const void *bytes, size_t len, uint32_t seed) {
    const uint8_t *p = bytes;
    uint32_t hash = seed, block;
    size_t rest = len;
    for (; rest >= sizeof(block); rest -= sizeof(block), p += sizeof(block)) {
        memcpy(&block, p, sizeof(block));
        hash = rotate(hash ^ murmur_scramble(le32toh(block)), 13) * 5 + 0xe6546b64u;
    }
    block = 0;
    for (size_t i = 0; i < rest; i++)
        block |= (uint32_t)p[i] << 8 * i;
    hash ^= murmur_scramble(block);
    hash ^= (uint32_t)len;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

void hex_encode(const void *bytes, size_t len, char *ret) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * len] = '\0';
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t len, uint8_t *ret) {
    if (len % 2) return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit_value(text[i]), low = digit_value(text[i + 1]);
        if (high < 0 || low < 0) return false;
        ret[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int random_bytes(void *ret, size_t len, struct err *err) {
    if (len > INT_MAX || RAND_bytes(ret, (int)len) != 1)
        return err_set(err, ERR_INTERNAL, "the system gave no random bytes");
    return 0;
}

/* Keeps the compiler from finding out that the rest no longer matters. */
static inline uint64_t opaque(uint64_t word) {
    __asm__("" : "+r"(word));
    return word;
}

/* A word at a time: the key of every request comes through here. */
bool secret_equal(const void *a, const void *b, size_t len) {
    const char *x = a, *y = b;
    uint64_t difference = 0, left, right;
    for (; len >= sizeof(left); len -= sizeof(left), x += sizeof(left), y += sizeof(left)) {
        memcpy(&left, x, sizeof(left));
        memcpy(&right, y, sizeof(right));
        difference = opaque(difference | (left ^ right));
    }
    for (; len > 0; len--, x++, y++)
        difference = opaque(difference | (unsigned char)(*x ^ *y));
    return difference == 0;
}

void secret_clear(void *bytes, size_t len) {
    OPENSSL_cleanse(bytes, len);
}

/* Half a byte a step: a key is short, and sixteen numbers can be checked by eye. */
uint32_t crc32_bytes(const void *bytes, size_t len) {
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    const uint8_t *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

const char *crypto_library(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}
