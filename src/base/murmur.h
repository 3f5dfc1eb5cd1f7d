/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MurmurHash3 x86 32-bit of one text with the seeds 0, 1 and 2 at once, in pieces: what texts have in common is hashed once, and hashing goes on from a copy.
 * The chains of the seeds do not depend on one another, so all three take nearly the time of one. Pieces of any length; no allocation.
 * The whole is murmur3_32() of the joined pieces (hash.h). Inline, because it is the inner loop of resolving.
 */
#ifndef SERIN_BASE_MURMUR_H
#define SERIN_BASE_MURMUR_H

#include "base/mem.h"

#include <endian.h>
#include <stdint.h>

#define MURMUR_SEEDS 3

struct murmur {
    uint32_t hash[MURMUR_SEEDS];
    uint32_t total;      /* bytes so far; the algorithm takes the length modulo 2^32 */
    uint32_t rest;       /* of the last block, whose other bytes are to come */
    uint32_t rest_bytes; /* 0 … 3 */
};

#define MURMUR_START ((struct murmur){.hash = {0, 1, 2}})

static inline uint32_t murmur_rotate(uint32_t x, unsigned bits) {
    return x << bits | x >> (32 - bits);
}

static inline uint32_t murmur_scramble(uint32_t block) {
    return murmur_rotate(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static inline uint32_t murmur_turn(uint32_t hash, uint32_t block) {
    return murmur_rotate(hash ^ block, 13) * 5 + 0xe6546b64u;
}

/* One by one, not in a loop: in a loop the compiler keeps the hashes in memory, which takes twice the time. */
static inline void murmur_block(struct murmur *murmur, uint32_t block, bool alone) {
    block = murmur_scramble(block);
    murmur->hash[0] = murmur_turn(murmur->hash[0], block);
    if (alone) return;
    murmur->hash[1] = murmur_turn(murmur->hash[1], block);
    murmur->hash[2] = murmur_turn(murmur->hash[2], block);
}

/* `alone`: of seed 0 only. `state` is by value, so that it stays in registers. */
static inline __attribute__((always_inline)) struct murmur murmur_go_on(struct murmur state, struct slice bytes,
                                                                        bool alone) {
    const char *at = bytes.ptr;
    size_t len = bytes.len;
    unsigned bits = 8 * state.rest_bytes;
    uint64_t next = state.rest;
    uint32_t word;
    state.total += (uint32_t)len;
    for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        next |= (uint64_t)le32toh(word) << bits;
        murmur_block(&state, (uint32_t)next, alone);
        next >>= 32;
    }
    for (size_t i = 0; i < len; i++, bits += 8)
        next |= (uint64_t)(uint8_t)at[i] << bits;
    if (bits >= 32) {
        murmur_block(&state, (uint32_t)next, alone);
        next >>= 32;
        bits -= 32;
    }
    state.rest = (uint32_t)next;
    state.rest_bytes = bits / 8;
    return state;
}

static inline struct murmur murmur_add(struct murmur state, struct slice bytes) {
    return murmur_go_on(state, bytes, false);
}

static inline uint32_t murmur_mix(uint32_t hash) {
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static inline void murmur_end(struct murmur state, uint32_t ret[MURMUR_SEEDS]) {
    uint32_t last = murmur_scramble(state.rest) ^ state.total;
    ret[0] = murmur_mix(state.hash[0] ^ last);
    ret[1] = murmur_mix(state.hash[1] ^ last);
    ret[2] = murmur_mix(state.hash[2] ^ last);
}

/* The hash with seed 0 of all so far and `bytes`, for who needs no other. */
static inline uint32_t murmur_end_alone(struct murmur state, struct slice bytes) {
    state = murmur_go_on(state, bytes, true);
    return murmur_mix(state.hash[0] ^ murmur_scramble(state.rest) ^ state.total);
}

#endif
