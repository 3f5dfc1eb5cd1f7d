/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of TOML that settings need: `key = value` lines with comments. Values are texts ("basic" or 'literal'), whole
 * numbers and booleans; keys are bare. Tables, arrays, dates, real numbers and texts of several lines are refused by
 * name, so that nothing in a file is silently without effect.
 */
#ifndef SERIN_CONFIG_TOML_H
#define SERIN_CONFIG_TOML_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum toml_type { TOML_TEXT, TOML_INT, TOML_BOOL };

struct toml_entry {
    const char *key;
    enum toml_type type;
    const char *text; /* the value; of an INT its plain digits, of a BOOL true or false */
    int64_t number;   /* INT; BOOL: 0 or 1 */
    unsigned line, column;
};

struct toml_file {
    struct toml_entry *entries; /* in the order of the file; those with faults are left out */
    size_t count;
};

/* Reads `text`; everything that is kept lives in `arena`. All faults of the text go to `faults` with `name` as place, and
 * with line and column (in characters). Below 0 only NO_MEMORY. */
int toml_parse(struct slice text, const char *name, struct arena *arena, struct faults *faults, struct toml_file *ret,
               struct err *err) MUST_CHECK;

#endif
