/* SPDX-License-Identifier: Apache-2.0 */
/* For targets whose bytes are several JSON texts, one after the other. */
#ifndef SERIN_TESTS_FUZZ_PARTS_H
#define SERIN_TESTS_FUZZ_PARTS_H

#include "base/json.h"
#include "fuzz.h"

#include <string.h>

/* To be let go; NULL: it is none. */
static inline json_t *fuzz_json(struct slice text) {
    json_t *value;
    return json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &value, NULL) < 0 ? NULL : value;
}

/* The bytes up to a NUL, taken away with it. */
static inline struct slice fuzz_part(struct slice *rest) {
    const char *nul = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
    struct slice part = {rest->ptr, nul ? (size_t)(nul - rest->ptr) : rest->len};
    *rest = nul ? (struct slice){nul + 1, rest->len - part.len - 1} : (struct slice){NULL, 0};
    return part;
}

#endif
