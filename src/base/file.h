/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: settings, keys, checkpoints. */
#ifndef SERIN_BASE_FILE_H
#define SERIN_BASE_FILE_H

#include "base/str.h"

#include "base/err.h"

/* Appends the bytes of a regular file; "-" is no special name. Errors, with the path as place: FILE, TOO_LARGE past
 * `limit` bytes, NO_MEMORY. A missing file is FILE too; *ret_missing (may be NULL) tells it from the others. */
int file_read(const char *path, size_t limit, struct str *out, bool *ret_missing, struct err *err) MUST_CHECK;

#endif
