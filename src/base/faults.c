/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

#define CAPACITY_FIRST 8

void faults_deinit(struct faults *faults) {
    arena_deinit(&faults->arena);
    *faults = FAULTS_INIT;
}

/* The old array stays in the arena: together the copies cost less than twice the last one. */
static struct fault *reserve(struct faults *faults) {
    if (faults->count < faults->capacity) return &faults->items[faults->count];
    size_t capacity = faults->capacity ? faults->capacity * 2 : CAPACITY_FIRST;
    struct fault *items = arena_array(&faults->arena, capacity, sizeof(*items));
    if (!items) return NULL;
    if (faults->count) memcpy(items, faults->items, faults->count * sizeof(*items));
    faults->items = items;
    faults->capacity = capacity;
    return &faults->items[faults->count];
}

PRINTF_LIKE(4, 0)
static struct fault *add(struct faults *faults, int warning, const char *at, const char *fmt, va_list args) {
    if (!warning) faults->errors++;
    if (faults->count >= FAULTS_MAX) {
        faults->dropped++;
        return NULL;
    }
    struct fault *fault = reserve(faults);
    const char *place = arena_strdup(&faults->arena, at ? at : "");
    const char *message = arena_vprintf(&faults->arena, fmt, args);
    if (!fault || !place || !message) {
        faults->failed = 1;
        return NULL;
    }
    *fault = (struct fault){.at = place, .message = message, .warning = warning};
    faults->count++;
    return fault;
}

struct fault *faults_add(struct faults *faults, const char *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct fault *fault = add(faults, 0, at, fmt, args);
    va_end(args);
    return fault;
}

struct fault *faults_warn(struct faults *faults, const char *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct fault *fault = add(faults, 1, at, fmt, args);
    va_end(args);
    return fault;
}
