/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON writer over struct str: commas and quoting are kept right, order is the caller's. Raw pieces
 * (canonical bytes of a stored configuration) are spliced in unchanged. Failure is sticky in `out`.
 * A nesting of at most 63. With key == NULL an element of an array (or the top value) is written.
 */
#ifndef SERIN_BASE_JW_H
#define SERIN_BASE_JW_H

#include "base/str.h"

struct jw {
    struct str *out;
    uint64_t has_items; /* bit d: level d already has an item */
    unsigned depth;
};

#define JW_INIT(str) ((struct jw){.out = (str)})
void jw_object(struct jw *jw, const char *key); /* opens; key NULL inside arrays and at the top */
void jw_array(struct jw *jw, const char *key);
void jw_end_object(struct jw *jw);
void jw_end_array(struct jw *jw);
void jw_text(struct jw *jw, const char *key, const char *value); /* value NULL writes null */
void jw_slice(struct jw *jw, const char *key, struct slice value);
void jw_printf(struct jw *jw, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
void jw_int(struct jw *jw, const char *key, int64_t value);
void jw_double(struct jw *jw, const char *key, double value); /* shortest form (ECMAScript); not finite: null */
void jw_bool(struct jw *jw, const char *key, bool value);
void jw_null(struct jw *jw, const char *key);
void jw_raw(struct jw *jw, const char *key, struct slice json); /* already JSON */

#endif
