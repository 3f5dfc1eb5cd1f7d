/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets and units. Both hash `salt "/" key` with MurmurHash3 x86 32-bit. The unit needs three seeds, and murmur.h takes them in one pass; a rollout brings its
 * salt hashed already.
 */
#include "resolve/resolve_impl.h"

#include <endian.h>
#include <string.h>

void unit_hash(struct slice salt, struct slice targeting_key, uint32_t ret[UNIT_SEEDS]) {
    struct murmur murmur = murmur_add(MURMUR_START, salt);
    murmur = murmur_add(murmur, SLICE_LIT("/"));
    murmur_end(murmur_add(murmur, targeting_key), ret);
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
