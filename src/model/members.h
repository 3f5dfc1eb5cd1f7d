/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the members of a JSON object that people write: each reader takes one member, says with its JSON pointer what is wrong with it, and leaves
 * what is not said as it is. So a document's reader has all its faults told in one go.
 */
#ifndef SERIN_MODEL_MEMBERS_H
#define SERIN_MODEL_MEMBERS_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* The way from the top of a document to a value, on the stack of a walk. */
struct place {
    const struct place *parent;
    const char *key; /* NULL: `index` counts; at the top: the JSON pointer where the walk began, or NULL */
    size_t index;
};
/* Appends the JSON pointer. It ends early, at a parent, where it would be longer than 1 KiB or would show a secret. */
void place_pointer(const struct place *place, struct str *out);
struct fault *place_fault(struct faults *faults, const struct place *place, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct fault *place_warn(struct faults *faults, const struct place *place, const char *fmt, ...) PRINTF_LIKE(3, 4);

struct members {
    const json_t *object; /* NULL, or none: every member is not said */
    struct place place;
    struct faults *faults;
};

#define MEMBER_FAULT(members, name, ...)                                                                               \
    ((void)place_fault((members)->faults, &(struct place){.parent = &(members)->place, .key = (name)}, __VA_ARGS__))

/* Whether it is an object; else that is a fault. */
bool members_is_object(const struct members *members);
/* The object must have no other members. `known` ends with NULL. */
void members_only(const struct members *members, const char *const *known);

/* Each answers whether the member was said and is right; *value is only written then. */
bool member_number(const struct members *members, const char *name, double least, double most, double *value);
bool member_count(const struct members *members, const char *name, int64_t least, int64_t most, int64_t *value);
/* As "90s", "10m", "1h30m", "3d"; in microseconds, `least` to 365d. */
bool member_duration(const struct members *members, const char *name, int64_t least, int64_t *value);
bool member_bool(const struct members *members, const char *name, bool *value);
/* One of two words; answers its number, or `otherwise`. */
int member_word(const struct members *members, const char *name, const char *first, const char *second, int otherwise);

#endif
