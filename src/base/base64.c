/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 section 4), strict: with padding, without white space, and only one spelling of any bytes. */
#include "base/hash.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t len, char *ret) {
    const uint8_t *in = bytes;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < len) group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < len) group |= in[i + 2];
        *ret++ = alphabet[group >> 18];
        *ret++ = alphabet[group >> 12 & 63];
        *ret++ = i + 1 < len ? alphabet[group >> 6 & 63] : '=';
        *ret++ = i + 2 < len ? alphabet[group & 63] : '=';
    }
    *ret = '\0';
}

/* How many '=' end the text. */
static size_t padding(const char *text, size_t len) {
    if (len && text[len - 1] != '=') return 0;
    return len > 1 && text[len - 2] == '=' ? 2 : len ? 1 : 0;
}

bool base64_decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len) {
    size_t pad = padding(text, len), count = 0;
    uint32_t group = 0;
    if (len % 4) return false;
    for (size_t i = 0; i < len; i++) {
        const char *digit = i < len - pad && text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!digit && i < len - pad) return false;
        group = group << 6 | (digit ? (uint32_t)(digit - alphabet) : 0);
        if (i % 4 < 3) continue;
        size_t whole = i + 1 == len ? 3 - pad : 3;
        for (size_t j = 0; j < 3; j++, group <<= 8) {
            if (j < whole) ret[count++] = (uint8_t)(group >> 16);
            if (j >= whole && (group >> 16 & 0xFF)) return false; /* bits that nobody asked for */
        }
        group = 0;
    }
    *ret_len = count;
    return true;
}
