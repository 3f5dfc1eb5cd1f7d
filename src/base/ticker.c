/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ticker.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

/* The linker's --wrap sends calls of malloc to __wrap_malloc and keeps the real one as __real_malloc. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);

static _Atomic size_t left; /* allocations until the one that fails, 0 = none will */
static atomic_bool fired;

static bool fails_now(void) {
    if (atomic_load(&left) == 0 || atomic_fetch_sub(&left, 1) > 1) return false;
    fired = true;
    return true;
}

void *__wrap_malloc(size_t size) {
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size) {
    return fails_now() ? NULL : __real_aligned_alloc(align, size);
}

void ticker_start(size_t nth) {
    json_set_alloc_funcs(__wrap_malloc, free);
    left = nth;
    fired = false;
}

bool ticker_stop(void) {
    left = 0;
    return fired;
}
