/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and texts as bytes, for the log and the checkpoints: little-endian, and whole numbers in groups of seven bits, the lowest first. */
#ifndef SERIN_INTAKE_PACK_H
#define SERIN_INTAKE_PACK_H

#include "base/str.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void pack_count(struct str *out, uint64_t value) {
    char bytes[10];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    str_add(out, bytes, len);
}

static inline void pack_int(struct str *out, int64_t value) {
    pack_count(out, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline void pack_word(struct str *out, uint64_t value) {
    value = htole64(value);
    str_add(out, &value, sizeof(value));
}

static inline void pack_real(struct str *out, double value) {
    uint64_t word;
    memcpy(&word, &value, sizeof(word));
    pack_word(out, word);
}

static inline void pack_text(struct str *out, struct slice text) {
    pack_count(out, text.len);
    str_add(out, text.ptr, text.len);
}

/* Reading: `failed` once the bytes end too early, and zeros from then on. */
struct unpack {
    const char *p, *end;
    bool failed;
};
#define UNPACK(bytes_) ((struct unpack){.p = (bytes_).ptr, .end = (bytes_).ptr + (bytes_).len})

static inline uint64_t unpack_count(struct unpack *unpack) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (unpack->p == unpack->end) break;
        uint8_t byte = (uint8_t)*unpack->p++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    unpack->failed = true;
    return 0;
}

static inline int64_t unpack_int(struct unpack *unpack) {
    uint64_t value = unpack_count(unpack);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static inline uint64_t unpack_word(struct unpack *unpack) {
    uint64_t value = 0;
    if (unpack->end - unpack->p < (ptrdiff_t)sizeof(value)) {
        unpack->failed = true;
        return 0;
    }
    memcpy(&value, unpack->p, sizeof(value));
    unpack->p += sizeof(value);
    return le64toh(value);
}

static inline double unpack_real(struct unpack *unpack) {
    uint64_t word = unpack_word(unpack);
    double value;
    memcpy(&value, &word, sizeof(value));
    return value;
}

static inline struct slice unpack_text(struct unpack *unpack) {
    uint64_t len = unpack_count(unpack);
    if (unpack->failed || len > (uint64_t)(unpack->end - unpack->p)) {
        unpack->failed = true;
        return (struct slice){"", 0};
    }
    struct slice text = {unpack->p, (size_t)len};
    unpack->p += len;
    return text;
}

#endif
