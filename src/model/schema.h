/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON Schema interpreter for the part of draft 2020-12 that the project's own schemas use. It reports every fault
 * of a value at once, each at its JSON pointer, in words for the person who wrote the value: what was found, what is
 * expected, what was probably meant. Of several forms (oneOf) it explains the one that was probably meant.
 *
 * Keywords: type, const, enum, minLength, maxLength, pattern, minimum, maximum, exclusiveMinimum, items, minItems,
 * maxItems, uniqueItems, properties, patternProperties, additionalProperties, propertyNames, required, maxProperties,
 * oneOf, not (of a `required` only), $ref (to #/$defs/… only), $defs; $schema, $id, title, description and default
 * say nothing. A `description` beside a `pattern` takes the pattern's place in messages. Any other keyword is refused
 * when the schema is read, so that nothing in it can be silently without effect.
 *
 * A struct schema does not change after schema_new() and may be used by several threads.
 */
#ifndef SERIN_MODEL_SCHEMA_H
#define SERIN_MODEL_SCHEMA_H

#include "base/err.h"
#include "base/json.h"

struct schema;

/* Reads a schema. INTERNAL when it is malformed or uses what is not in the list above. */
int schema_new(struct slice text, struct schema **ret, struct err *err) MUST_CHECK;
struct schema *schema_free(struct schema *schema);
DEFINE_CLEANUP(struct schema *, schema_free)

/* Appends more words about a member that is not allowed ("; this is …"), where it belongs instead, and answers true;
 * else false. `parent` is the object that holds it. */
typedef bool (*schema_hint_fn)(const json_t *parent, const char *key, struct str *out);

struct schema_check {
    const char *definition; /* "guardrail": check against #/$defs/guardrail; NULL: the schema itself */
    const char *at;         /* pointer of the value, "" for a whole document */
    schema_hint_fn hint;    /* may be NULL */
};
/* Adds all faults of the value. 0 whether or not there are any; NO_MEMORY or INTERNAL below 0. */
int schema_check(const struct schema *schema, const struct schema_check *check, const json_t *value,
                 struct faults *faults, struct err *err) MUST_CHECK;

#endif
