/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this module share. Every helper fails the test on its own when something is wrong. */
#ifndef SERIN_MODEL_TEST_KIT_H
#define SERIN_MODEL_TEST_KIT_H

#include "base/json.h"
#include "model/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* JSON written with ' for ", so that cases can be read. The caller frees it. */
json_t *kit_json(const char *text);
/* The canonical text; the caller frees it. */
char *kit_text(const json_t *value);
/* Fails unless both have the same canonical form. `expected` is written with ' for ". */
void kit_same(const json_t *value, const char *expected);

/* Fails unless the faults are exactly those of `expected`, in any order: one a line, "POINTER: part of the message", with
 * "warning " in front for a warning. "" expects none. `what` names the case. */
void kit_faults(const char *what, const struct faults *faults, const char *expected);

/* A reader over files in memory; the last entry has a NULL path. */
struct kit_file {
    const char *path;
    const char *text;
    size_t len; /* 0: the length of `text` as a C string */
};
struct source_reader kit_reader(const struct kit_file *files);

#endif
