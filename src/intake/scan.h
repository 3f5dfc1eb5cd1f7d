/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a stream: a cursor over a text in memory that hands over one value at a time, without allocation and without recursion. The grammar
 * is that of base/json.h (json_parse); what is a value here is one there, and nothing else (test_read.c compares the two).
 * The text must be UTF-8: scan_begin() looks at all of it once.
 *
 * A function that answers false met what is no JSON, or what was not asked for: `what` says what was expected and `bad` where. It goes for all
 * functions until scan_begin(): the caller passes false up.
 */
#ifndef SERIN_INTAKE_SCAN_H
#define SERIN_INTAKE_SCAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define SCAN_DEPTH_MAX 32 /* of what scan_skip() passes over */
#define SCAN_TEXT_MAX 512 /* bytes of a text with escapes; a longer one is cut, and said to be longer */

struct scan {
    const char *start, *p, *end;
    const char *bad;
    const char *what;
};

/* One text: borrowed from the input, or from `own` when it held escapes. */
struct scan_text {
    struct slice slice;
    bool cut; /* it was longer than SCAN_TEXT_MAX and had escapes */
    char own[SCAN_TEXT_MAX];
};

struct scan_number {
    bool whole; /* written without point and exponent */
    int64_t integer;
    double real; /* the same in either case */
};

enum scan_kind { SCAN_TEXT, SCAN_NUMBER, SCAN_TRUE, SCAN_FALSE, SCAN_NULL, SCAN_OBJECT, SCAN_ARRAY, SCAN_NOTHING };

bool scan_begin(struct scan *scan, struct slice text);
/* What the next value is, by its first byte; nothing is taken. */
enum scan_kind scan_peek(struct scan *scan);
bool scan_text(struct scan *scan, struct scan_text *ret);
bool scan_number(struct scan *scan, struct scan_number *ret);
bool scan_bool(struct scan *scan, bool *ret);
/* Passes over any value whose depth is at most SCAN_DEPTH_MAX. */
bool scan_skip(struct scan *scan);

/* An object or array: scan_open() takes its bracket, then scan_member() or scan_item() moves to each value; *ret_more is false behind
 * the closing bracket. `first` is the caller's, true before the first call. */
bool scan_open(struct scan *scan, char bracket);
bool scan_member(struct scan *scan, bool *first, bool *ret_more, struct scan_text *ret_key);
bool scan_item(struct scan *scan, bool *first, bool *ret_more);
/* Nothing but white space is left. */
bool scan_end(struct scan *scan);

/* The error for a false: MALFORMED_JSON or INVALID_UTF8 with line and column. */
int scan_error(const struct scan *scan, struct err *err);

#endif
