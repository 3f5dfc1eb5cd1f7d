/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside, made fit for a message. */
#ifndef SERIN_MODEL_SHOW_H
#define SERIN_MODEL_SHOW_H

#include "base/mem.h"

#define SHOW_SIZE 80

/* Text from outside made fit for a message: one line of valid UTF-8, cut to about 60 bytes. Control characters,
 * and every byte beyond ASCII when the text is not UTF-8, become \xNN; a cut is marked with "…". What looks like a secret
 * is not shown at all. Returns `ret`. */
const char *show_slice(struct slice text, char ret[SHOW_SIZE]);
const char *show_text(const char *text, char ret[SHOW_SIZE]);

#endif
