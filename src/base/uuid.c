/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/hash.h"

#include <string.h>

int uuid_new(const struct clock *clock, char ret[UUID_TEXT_SIZE], struct err *err) {
    uint8_t bytes[16];
    int r = random_bytes(bytes + 8, 8, err);
    if (r < 0) return r;

    uint64_t wall = (uint64_t)clock_wall(clock), millis = wall / 1000;
    uint64_t fraction = wall % 1000 * 4096 / 1000;
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(millis >> 8 * (5 - i));
    bytes[6] = (uint8_t)(0x70 | fraction >> 8);
    bytes[7] = (uint8_t)fraction;
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3F));

    static const uint8_t group_end[] = {4, 6, 8, 10, 16};
    char *p = ret;
    for (size_t group = 0, start = 0; group < sizeof(group_end); start = group_end[group++]) {
        size_t size = group_end[group] - start;
        hex_encode(bytes + start, size, p);
        p += 2 * size;
        *p++ = '-';
    }
    p[-1] = '\0';
    return 0;
}

bool uuid_valid(const char *text) {
    for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        char c = text[i];
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return text[UUID_TEXT_SIZE - 1] == '\0';
}
