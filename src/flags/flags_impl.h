/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the module. */
#ifndef SERIN_FLAGS_IMPL_H
#define SERIN_FLAGS_IMPL_H

#include "flags/flags.h"
#include "model/members.h"

/* A definition while it is read. What is wrong goes to the faults; reading goes on. */
struct reading {
    struct members members;
    struct flag *flag;
    const struct flag_source *source;
    bool no_memory;
};

#define READING_FAULT(reading, name, ...) MEMBER_FAULT(&(reading)->members, name, __VA_ARGS__)

/* A copy in the flag's arena. */
struct slice reading_keep(struct reading *reading, struct slice text);
/* Compact JSON in the flag's arena. */
struct slice reading_keep_json(struct reading *reading, const json_t *value);

/* bindings.c */
void flag_read_bindings(struct reading *reading);

/* split.c: finds out whether the rule is a plain split. */
void flag_read_split(struct reading *reading);

#endif
