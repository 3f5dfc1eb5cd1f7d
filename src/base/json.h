/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON over jansson's values: bounded, strict parsing with a place for every error, and the canonical form of
 * RFC 8785 (JSON Canonicalization Scheme).
 *
 * Values are reference-counted by jansson; functions named *_new hand over a reference, getters borrow.
 * For `_cleanup_` jansson brings json_decrefp().
 */
#ifndef SERIN_BASE_JSON_H
#define SERIN_BASE_JSON_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

#define JSON_DEPTH_MAX 64

/* Parses one JSON text (any top value). Refuses duplicate keys, invalid UTF-8, NUL in keys and texts (so that
 * every text of a value is a C string), depth past `max_depth` (<= JSON_DEPTH_MAX; found before any recursion;
 * "[]" has depth 1), trailing bytes, integers beyond 64 bits, numbers beyond double.
 * Errors: MALFORMED_JSON or INVALID_UTF8 with line and column (in characters); NO_MEMORY. */
int json_parse(const char *bytes, size_t len, unsigned max_depth, json_t **ret, struct err *err) MUST_CHECK;

/* Appends the canonical form: keys in UTF-16 code unit order, numbers in ECMAScript's shortest form,
 * no white space. Integers beyond 2^53 are refused (INVALID, with `at` a JSON pointer) because RFC 8785 cannot hold them,
 * and with them the reals whose form would be such an integer (1e17), so that canonical bytes can always be read again
 * with the same result. On failure `out` holds part of the text. */
int json_canonical(const json_t *value, struct str *out, struct err *err) MUST_CHECK;
/* The canonical form but for numbers: one that was written with a point or an exponent keeps a point (1.0 stays 1.0), and none is refused. */
int json_compact(const json_t *value, struct str *out) MUST_CHECK;
/* The same numbers and key order as stored, but indented by `indent` spaces, for people. Keys keep
 * the order of the object when `sorted` is false. */
int json_pretty(const json_t *value, unsigned indent, bool sorted, struct str *out) MUST_CHECK;
/* Appends one number in ECMAScript's Number::toString form. `value` must be finite. */
void json_add_double(struct str *out, double value);

/* Borrowed member of an object, or NULL. The text getter answers NULL when the member is no string. */
json_t *json_get(const json_t *object, const char *key);
const char *json_get_text(const json_t *object, const char *key);
/* Value at a JSON pointer (RFC 6901), or NULL. */
json_t *json_at(const json_t *root, const char *pointer);
/* Appends "/token" with ~ and / escaped. */
void json_pointer_add(struct str *pointer, const char *token);
void json_pointer_add_index(struct str *pointer, size_t index);

#endif
