/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_pieces_are_zeroed_aligned_and_apart(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    unsigned char *pieces[200];
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        pieces[i] = arena_alloc(&arena, i + 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        for (size_t b = 0; b <= i; b++)
            assert_int_equal(pieces[i][b], 0);
        memset(pieces[i], (int)i + 1, i + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t b = 0; b <= i; b++)
            assert_int_equal(pieces[i][b], i + 1);
}

static void test_large_piece_leaves_room_in_the_head(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    char *before = arena_alloc(&arena, 16);
    char *large = arena_alloc(&arena, (size_t)4 * 1024 * 1024);
    char *after = arena_alloc(&arena, 16);
    assert_non_null(large);
    memset(large, 1, (size_t)4 * 1024 * 1024);
    assert_ptr_equal(after, before + 16);
}

static void test_nothing_is_a_piece_too(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    char *a = arena_alloc(&arena, 0), *b = arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
}

static void test_limit(void **state) {
    _cleanup_(arena_deinit) struct arena arena = {.limit = 100};
    assert_non_null(arena_alloc(&arena, 64));
    assert_null(arena_alloc(&arena, 64));
    assert_non_null(arena_alloc(&arena, 16));
    assert_true(arena.used <= arena.limit);
    assert_null(arena_alloc(&arena, SIZE_MAX));
}

static void test_sizes_that_overflow(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    assert_null(arena_array(&arena, SIZE_MAX / 16 + 2, 16));
    assert_null(arena_alloc(&arena, SIZE_MAX - 4));
    assert_null(arena_strndup(&arena, "x", SIZE_MAX));
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_array(&arena, 3, 7));
    assert_non_null(arena_array(&arena, 0, 7));
}

static void test_texts(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    assert_string_equal(arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
    assert_string_equal(arena_strndup(&arena, NULL, 0), "");
    assert_string_equal(arena_printf(&arena, "%s@%d", "support", 42), "support@42");
    char *wide = arena_printf(&arena, "%5000d", 7);
    assert_int_equal(strlen(wide), 5000);
}

static void test_lent_memory_is_used_first_and_comes_back_zeroed(void **state) {
    _Alignas(max_align_t) char memory[256];
    struct arena arena = ARENA_INIT;
    memset(memory, 'x', sizeof(memory));
    arena_lend(&arena, memory, sizeof(memory));
    for (int turn = 0; turn < 3; turn++) {
        char *piece = arena_alloc(&arena, 100);
        assert_true(piece > memory && piece + 100 <= memory + sizeof(memory));
        for (size_t i = 0; i < 100; i++)
            assert_int_equal(piece[i], 0);
        memset(piece, 'y', 100);
        char *more = arena_alloc(&arena, 200), *large = arena_alloc(&arena, 100000);
        assert_true(more < memory || more >= memory + sizeof(memory));
        assert_int_equal(more[199], 0);
        assert_int_equal(large[99999], 0);
        memset(large, 'z', 100000);
        arena_deinit(&arena);
        assert_int_equal(arena.used, 0);
    }
}

static void test_deinit_leaves_an_empty_arena(void **state) {
    struct arena arena = {.limit = 4096};
    assert_non_null(arena_alloc(&arena, 10));
    arena_deinit(&arena);
    assert_null(arena.head);
    assert_int_equal(arena.used, 0);
    assert_int_equal(arena.limit, 4096);
    assert_non_null(arena_alloc(&arena, 4000));
    arena_deinit(&arena);
    arena_deinit(&arena);
}

static void test_slices(void **state) {
    assert_int_equal(slice_of(NULL).len, 0);
    assert_true(slice_equal(slice_of("abc"), SLICE_LIT("abc")));
    assert_false(slice_equal(slice_of("abc"), slice_of("abd")));
    assert_false(slice_equal(slice_of("abc"), slice_of("ab")));
    assert_true(slice_equal(slice_of(NULL), slice_of("")));
    assert_true(slice_equal_text((struct slice){"abcdef", 3}, "abc"));
    assert_false(slice_equal_text((struct slice){"ab\0c", 4}, "ab"));
}

static void test_take_ptr(void **state) {
    int number = 1, *p = &number;
    int *taken = TAKE_PTR(p);
    assert_ptr_equal(taken, &number);
    assert_null(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_large_piece_leaves_room_in_the_head),
        cmocka_unit_test(test_nothing_is_a_piece_too),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lent_memory_is_used_first_and_comes_back_zeroed),
        cmocka_unit_test(test_deinit_leaves_an_empty_arena),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_take_ptr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
