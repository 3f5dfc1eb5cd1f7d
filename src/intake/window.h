/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which batches of an instance are taken: all up to `low`, and up to WINDOW_MAX beyond it. When more than that are taken beyond a gap, the gap is given
 * up: nothing is known any more of numbers up to `gap`, and a batch from there is refused rather than counted twice or dropped unseen. Pure.
 */
#ifndef SERIN_INTAKE_WINDOW_H
#define SERIN_INTAKE_WINDOW_H

#include "base/str.h"

#define WINDOW_MAX 1024

struct window {
    int64_t low, gap;
    size_t count;
    int64_t above[WINDOW_MAX]; /* in order, all > low + 1 */
};

enum window_answer { WINDOW_NEW, WINDOW_TAKEN, WINDOW_TOO_OLD };
/* What the batch is; a new one is taken from then on. */
enum window_answer window_take(struct window *window, int64_t batch);

void window_pack(const struct window *window, struct str *out); /* `above` */
bool window_unpack(struct window *window, struct slice bytes);

#endif
