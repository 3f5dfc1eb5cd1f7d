/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocation ticker, for tests only: lets the n-th allocation fail, so that a test can walk through
 * every place where memory may end. A test program that links `ticker_dep` has malloc, calloc, realloc and aligned_alloc
 * of all its objects (and jansson's) counted. Allocations of all threads count; two at once are one after the other in
 * some order.
 *
 *     for (size_t n = 1;; n++) {
 *         ticker_start(n);
 *         int r = scenario();
 *         if (!ticker_stop()) break; // n is past the last allocation: r must be a success
 *         assert_int_equal(r, -ERR_NO_MEMORY);
 *     }
 */
#ifndef SERIN_BASE_TICKER_H
#define SERIN_BASE_TICKER_H

#include <stdbool.h>
#include <stddef.h>

/* From now on the `nth` allocation fails (1 is the next one), once. */
void ticker_start(size_t nth);
/* Allocations succeed again; true when one has failed since ticker_start(). */
bool ticker_stop(void);

#endif
