/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arenas are lists of blocks that double in size, so that a document of any size costs a handful of
 * calls to calloc. Blocks come zeroed and no piece is handed out twice, which makes every piece zeroed.
 * The head is the block with room; a piece that is larger than the next block would be gets a block of
 * its own behind the head, so that it does not waste what the head still has. What is used up again and again
 * can begin in memory that its owner lends, which costs no call of malloc at all; it is zeroed when it is given back.
 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_FIRST 1024
#define BLOCK_LARGEST (1024 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    max_align_t data[];
};

int slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && bytes_equal(a.ptr, b.ptr, a.len);
}

int slice_equal_text(struct slice a, const char *text) {
    return slice_equal(a, slice_of(text));
}

static struct arena_block *block_new(size_t size) {
    struct arena_block *block = calloc(1, sizeof(*block) + size);
    if (block) block->size = size;
    return block;
}

void arena_lend(struct arena *arena, void *memory, size_t size) {
    struct arena_block *block = memory;
    memset(memory, 0, size);
    block->size = size - sizeof(*block);
    arena->lent = arena->head = block;
}

static size_t next_block_size(const struct arena_block *head) {
    if (!head || head->size < BLOCK_FIRST / 2) return BLOCK_FIRST - sizeof(struct arena_block);
    return head->size < BLOCK_LARGEST / 2 ? head->size * 2 : BLOCK_LARGEST;
}

static void *block_take(struct arena_block *block, size_t size) {
    void *piece = (char *)block->data + block->used;
    block->used += size;
    return piece;
}

static void *arena_take_from_new(struct arena *arena, size_t size) {
    size_t usual = next_block_size(arena->head);
    struct arena_block *block = block_new(size > usual ? size : usual);
    if (!block) return NULL;
    if (size > usual && arena->head) {
        block->next = arena->head->next;
        arena->head->next = block;
        return block_take(block, size);
    }
    block->next = arena->head;
    arena->head = block;
    return block_take(block, size);
}

void *arena_alloc(struct arena *arena, size_t size) {
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2) return NULL;
    size_t rounded = size ? (size + align - 1) / align * align : align;
    if (arena->limit && (arena->used > arena->limit || rounded > arena->limit - arena->used)) return NULL;

    void *piece;
    if (arena->head && rounded <= arena->head->size - arena->head->used)
        piece = block_take(arena->head, rounded);
    else
        piece = arena_take_from_new(arena, rounded);
    if (piece) arena->used += rounded;
    return piece;
}

void *arena_array(struct arena *arena, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    return arena_alloc(arena, total);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len) {
    if (len == SIZE_MAX) return NULL;
    char *copy = arena_alloc(arena, len + 1);
    if (copy && len) memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text) {
    return arena_strndup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list args) {
    va_list measure;
    va_copy(measure, args);
    int len = vsnprintf(NULL, 0, fmt, measure);
    va_end(measure);
    if (len < 0) return NULL;
    char *text = arena_alloc(arena, (size_t)len + 1);
    if (text) vsnprintf(text, (size_t)len + 1, fmt, args);
    return text;
}

char *arena_printf(struct arena *arena, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(arena, fmt, args);
    va_end(args);
    return text;
}

void arena_deinit(struct arena *arena) {
    struct arena_block *block = arena->head;
    while (block) {
        struct arena_block *next = block->next;
        if (block != arena->lent) free(block);
        block = next;
    }
    struct arena_block *lent = arena->lent;
    if (lent) {
        memset(lent->data, 0, lent->used);
        lent->used = 0;
        lent->next = NULL;
    }
    *arena = (struct arena){.head = lent, .limit = arena->limit, .lent = lent};
}
