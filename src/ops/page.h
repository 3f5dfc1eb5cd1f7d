/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of lists: one row more than the limit is read, and when it is there the last shown row is the cursor `next`.
 */
#ifndef SERIN_OPS_PAGE_H
#define SERIN_OPS_PAGE_H

#include "ops/ops_impl.h"

#define PAGE_LIMIT_DEFAULT 100

static inline size_t page_limit(const struct op_run *run) {
    return (size_t)run_int(run, "limit", PAGE_LIMIT_DEFAULT);
}

static inline size_t page_shown(size_t count, size_t limit) {
    return count > limit ? limit : count;
}

#endif
