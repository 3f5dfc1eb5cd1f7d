/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets and units. Both hash `salt "/" key` with MurmurHash3 x86 32-bit. The unit needs three seeds: their chains do not depend on one another, so one
 * pass computes all three in nearly the time of one. The text is the two pieces and the slash between them, which
 * never stand together in memory: they pass through a window, whole blocks at a time, and texts of any length need no allocation.
 */
#include "resolve/resolve_impl.h"

#include <endian.h>
#include <string.h>

#define SEEDS UNIT_SEEDS
#define WINDOW 256 /* a multiple of the block of four bytes */

struct murmur {
    uint32_t hash[SEEDS];
    uint32_t total; /* bytes so far; the algorithm takes the length modulo 2^32 */
    size_t waiting; /* bytes in the window */
    uint8_t window[WINDOW];
};

static inline uint32_t rotate(uint32_t x, unsigned bits) {
    return x << bits | x >> (32 - bits);
}

static inline uint32_t scramble(uint32_t block) {
    return rotate(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static void take_blocks(struct murmur *murmur, size_t bytes) {
    uint32_t a = murmur->hash[0], b = murmur->hash[1], c = murmur->hash[2], block;
    for (size_t i = 0; i < bytes; i += sizeof(block)) {
        memcpy(&block, murmur->window + i, sizeof(block));
        block = scramble(le32toh(block));
        a = rotate(a ^ block, 13) * 5 + 0xe6546b64u;
        b = rotate(b ^ block, 13) * 5 + 0xe6546b64u;
        c = rotate(c ^ block, 13) * 5 + 0xe6546b64u;
    }
    murmur->hash[0] = a;
    murmur->hash[1] = b;
    murmur->hash[2] = c;
}

static void add(struct murmur *murmur, struct slice bytes) {
    murmur->total += (uint32_t)bytes.len;
    while (bytes.len) {
        size_t room = WINDOW - murmur->waiting, take = bytes.len < room ? bytes.len : room;
        memcpy(murmur->window + murmur->waiting, bytes.ptr, take);
        murmur->waiting += take;
        bytes = (struct slice){bytes.ptr + take, bytes.len - take};
        if (murmur->waiting < WINDOW) return;
        take_blocks(murmur, WINDOW);
        murmur->waiting = 0;
    }
}

static uint32_t mix(uint32_t hash) {
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

/* What is left in the window: whole blocks, then up to three bytes as a block that is not carried on. */
static void finish(struct murmur *murmur) {
    size_t whole = murmur->waiting & ~(size_t)3;
    take_blocks(murmur, whole);
    uint32_t last = 0;
    for (size_t i = whole; i < murmur->waiting; i++)
        last |= (uint32_t)murmur->window[i] << 8 * (i - whole);
    for (size_t i = 0; i < SEEDS; i++)
        murmur->hash[i] = mix(murmur->hash[i] ^ scramble(last) ^ murmur->total);
}

/* Most texts fit the window whole. */
static bool fill_window(struct murmur *murmur, struct slice salt, struct slice targeting_key) {
    if (salt.len >= WINDOW || targeting_key.len >= WINDOW - salt.len) return false;
    if (salt.len) memcpy(murmur->window, salt.ptr, salt.len);
    murmur->window[salt.len] = '/';
    if (targeting_key.len) memcpy(murmur->window + salt.len + 1, targeting_key.ptr, targeting_key.len);
    murmur->waiting = salt.len + 1 + targeting_key.len;
    murmur->total = (uint32_t)murmur->waiting;
    return true;
}

static void hash_of(struct slice salt, struct slice targeting_key, struct murmur *ret) {
    ret->hash[0] = 0;
    ret->hash[1] = 1;
    ret->hash[2] = 2;
    ret->total = 0;
    ret->waiting = 0;
    if (!fill_window(ret, salt, targeting_key)) {
        add(ret, salt);
        add(ret, SLICE_LIT("/"));
        add(ret, targeting_key);
    }
    finish(ret);
}

void unit_hash(struct slice salt, struct slice targeting_key, uint32_t ret[UNIT_SEEDS]) {
    struct murmur murmur;
    hash_of(salt, targeting_key, &murmur);
    memcpy(ret, murmur.hash, sizeof(murmur.hash));
}

uint32_t resolve_bucket(struct slice salt, struct slice targeting_key) {
    uint32_t hash[UNIT_SEEDS];
    unit_hash(salt, targeting_key, hash);
    return unit_bucket(hash);
}

/* Eight hex digits of a number, all at once: a nibble to each byte, then each byte to its letter. */
static void put_hex(uint32_t number, char *ret) {
    uint64_t x = number;
    x = (x << 16 | x) & UINT64_C(0x0000ffff0000ffff);
    x = (x << 8 | x) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x << 4 | x) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x = htobe64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '9' - 1));
    memcpy(ret, &x, sizeof(x));
}

void unit_text(const uint32_t hash[UNIT_SEEDS], char ret[UNIT_TEXT_SIZE]) {
    for (size_t i = 0; i < UNIT_SEEDS; i++)
        put_hex(hash[i], ret + 8 * i);
    ret[UNIT_TEXT_SIZE - 1] = '\0';
}

void resolve_unit(struct slice salt, struct slice targeting_key, char ret[UNIT_TEXT_SIZE]) {
    uint32_t hash[UNIT_SEEDS];
    unit_hash(salt, targeting_key, hash);
    unit_text(hash, ret);
}
