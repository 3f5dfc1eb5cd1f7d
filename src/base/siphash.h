/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-1-3 (Aumasson, Bernstein; the form for tables of hashes) of a message that comes in words of 64 bits: a hash that is quick for short messages, and that nobody foresees who does not have
 * the key. Whoever hashes texts says their lengths before them. Inline, no allocation.
 */
#ifndef SERIN_BASE_SIPHASH_H
#define SERIN_BASE_SIPHASH_H

#include "base/mem.h"

#include <endian.h>

struct siphash {
    uint64_t v[4];
    uint64_t words; /* so far */
};

static inline uint64_t siphash_rotate(uint64_t x, unsigned bits) {
    return x << bits | x >> (64 - bits);
}

static inline void siphash_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = siphash_rotate(v[1], 13) ^ v[0];
    v[3] = siphash_rotate(v[3], 16) ^ v[2];
    v[0] = siphash_rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = siphash_rotate(v[1], 17) ^ v[2];
    v[3] = siphash_rotate(v[3], 21) ^ v[0];
    v[2] = siphash_rotate(v[2], 32);
}

static inline struct siphash siphash_begin(const uint64_t key[2]) {
    return (struct siphash){.v = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                                  key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)}};
}

static inline void siphash_word(struct siphash *hash, uint64_t word) {
    hash->v[3] ^= word;
    siphash_round(hash->v);
    hash->v[0] ^= word;
    hash->words++;
}

/* The bytes, filled up with zeros to whole words. */
static inline void siphash_bytes(struct siphash *hash, struct slice bytes) {
    uint64_t word;
    for (; bytes.len >= sizeof(word); bytes.ptr += sizeof(word), bytes.len -= sizeof(word)) {
        memcpy(&word, bytes.ptr, sizeof(word));
        siphash_word(hash, le64toh(word));
    }
    if (!bytes.len) return;
    word = 0;
    for (size_t i = 0; i < bytes.len; i++)
        word |= (uint64_t)(uint8_t)bytes.ptr[i] << 8 * i;
    siphash_word(hash, word);
}

/* By value: hashing may go on. */
static inline uint64_t siphash_end(struct siphash hash) {
    siphash_word(&hash, hash.words << 59); /* the bytes so far, modulo 256 */
    hash.v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        siphash_round(hash.v);
    return hash.v[0] ^ hash.v[1] ^ hash.v[2] ^ hash.v[3];
}

#endif
