/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <string.h>

static bool is_continuation(unsigned char c) {
    return (c & 0xC0) == 0x80;
}

/* Bytes of the well-formed character at `p`, 0 when there is none. The narrower range of the second
 * byte after E0, ED, F0 and F4 keeps out overlong forms, surrogates and what lies past U+10FFFF
 * (RFC 3629 section 4). */
static size_t character_size(const unsigned char *p, size_t len) {
    unsigned char c = p[0];
    if (c < 0x80) return 1;
    size_t size = c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (size == 0 || size > len) return 0;
    for (size_t i = 1; i < size; i++)
        if (!is_continuation(p[i])) return 0;
    if (c == 0xE0 && p[1] < 0xA0) return 0;
    if (c == 0xED && p[1] > 0x9F) return 0;
    if (c == 0xF0 && p[1] < 0x90) return 0;
    if (c == 0xF4 && p[1] > 0x8F) return 0;
    return size;
}

bool utf8_check(const char *bytes, size_t len, size_t *ret_offset) {
    const unsigned char *p = (const unsigned char *)bytes;
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        if (len - i >= sizeof(eight)) {
            memcpy(&eight, p + i, sizeof(eight));
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += sizeof(eight);
                continue;
            }
        }
        size_t size = character_size(p + i, len - i);
        if (size == 0) {
            *ret_offset = i;
            return false;
        }
        i += size;
    }
    return true;
}

bool utf8_valid(const char *bytes, size_t len) {
    size_t offset;
    return utf8_check(bytes, len, &offset);
}

char *text_from_int(char *at, int64_t value) {
    char digits[INT_TEXT_MAX], *end = digits + sizeof(digits), *p = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) *--p = '-';
    memcpy(at, p, (size_t)(end - p));
    return at + (end - p);
}

bool text_to_int(const char *text, int64_t min, int64_t max, int64_t *ret) {
    if (!text) return false;
    bool negative = *text == '-';
    const char *p = text + negative;
    if (!*p) return false;
    int64_t value = 0;
    for (; *p; p++) {
        if (*p < '0' || *p > '9') return false;
        int digit = *p - '0';
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, negative ? -digit : digit, &value)) return false;
    }
    if (value < min || value > max) return false;
    *ret = value;
    return true;
}
