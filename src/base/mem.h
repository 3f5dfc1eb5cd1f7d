/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: ownership helpers and arenas.
 *
 * An arena holds what lives and dies together (a request, a parsed document). Its pieces are never
 * freed one by one; arena_deinit() frees all of them. An arena has one owner and no lock.
 */
#ifndef SERIN_BASE_MEM_H
#define SERIN_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Hands over the pointer: yields its value and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                                    \
    __extension__({                                                                                                    \
        __auto_type taken_ = (p);                                                                                      \
        (p) = NULL;                                                                                                    \
        taken_;                                                                                                        \
    })

/* Declares `fn##p`, a cleanup handler for a variable of type `type` whose destructor is `fn`. */
#define DEFINE_CLEANUP(type, fn)                                                                                       \
    static inline void fn##p(type *p) {                                                                                \
        if (*p) fn(*p);                                                                                                \
    }

static inline void freep(void *p) {
    free(*(void **)p);
}

/* A borrowed run of bytes; not terminated by NUL. `ptr` may be NULL only when `len` is 0. */
struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(s), sizeof(s) - 1})
/* NULL gives the empty slice. */
static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text ? strlen(text) : 0};
}

/* Of texts of one length, where a call, as slice_equal() is, would cost too much. Most are short: loads that overlap cost less. */
static inline bool bytes_equal(const char *a, const char *b, size_t len) {
    if (len > 16) return memcmp(a, b, len) == 0;
    if (len >= 8) {
        uint64_t words[4];
        memcpy(words, a, 8);
        memcpy(words + 1, b, 8);
        memcpy(words + 2, a + len - 8, 8);
        memcpy(words + 3, b + len - 8, 8);
        return words[0] == words[1] && words[2] == words[3];
    }
    if (len >= 4) {
        uint32_t words[4];
        memcpy(words, a, 4);
        memcpy(words + 1, b, 4);
        memcpy(words + 2, a + len - 4, 4);
        memcpy(words + 3, b + len - 4, 4);
        return words[0] == words[1] && words[2] == words[3];
    }
    return !len || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

int slice_equal(struct slice a, struct slice b);
int slice_equal_text(struct slice a, const char *text);

/* Copies the bytes to where there is room for them, and answers what is behind them. Most texts are some ten bytes: two words that overlap are quicker than a call. */
static inline char *slice_put(char *at, struct slice bytes) {
    uint64_t first, last;
    if (bytes.len < sizeof(first) || bytes.len > 2 * sizeof(first)) {
        memcpy(at, bytes.ptr, bytes.len);
        return at + bytes.len;
    }
    memcpy(&first, bytes.ptr, sizeof(first));
    memcpy(&last, bytes.ptr + bytes.len - sizeof(last), sizeof(last));
    memcpy(at, &first, sizeof(first));
    memcpy(at + bytes.len - sizeof(last), &last, sizeof(last));
    return at + bytes.len;
}

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used;              /* bytes handed out */
    size_t limit;             /* 0 = no limit; past it arena_alloc answers NULL */
    struct arena_block *lent; /* NULL: none */
};

#define ARENA_INIT ((struct arena){0})

/* Lends the arena memory of its owner's, aligned for any type, to be used up before any other; it stays lent over arena_deinit(). Once,
 * before the first piece. */
void arena_lend(struct arena *arena, void *memory, size_t size);
/* Zeroed memory aligned for any type, or NULL when memory or the limit is used up. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
void *arena_array(struct arena *arena, size_t count, size_t size) MUST_CHECK; /* checks count * size */
char *arena_strdup(struct arena *arena, const char *text) MUST_CHECK;
char *arena_strndup(struct arena *arena, const char *text, size_t len) MUST_CHECK; /* adds the NUL */
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
char *arena_vprintf(struct arena *arena, const char *fmt, va_list args) PRINTF_LIKE(2, 0) MUST_CHECK;
void arena_deinit(struct arena *arena);

#endif
