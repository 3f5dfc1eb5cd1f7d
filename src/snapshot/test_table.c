/* SPDX-License-Identifier: Apache-2.0 */
/* The persistent table by itself, with hashes that are chosen: what good names would meet once in a lifetime happens here every time. */
#include "snapshot/snapshot_impl.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- items that count their deaths ---- */

struct thing {
    struct item item;
    char name[64];
    int value;
};

static size_t alive;

/* "first" or "first|second" */
static struct names names_in(const char *name) {
    const char *border = strchr(name, '|');
    if (!border) return (struct names){.first = slice_of(name)};
    return (struct names){{name, (size_t)(border - name)}, slice_of(border + 1)};
}

static struct names thing_names(const struct item *item) {
    return names_in(((const struct thing *)item)->name);
}

static void thing_fill(const struct item *item, struct record *record) {
    record->extra = &((const struct thing *)item)->value;
    record->mark = ((const struct thing *)item)->value % 2;
}

static void thing_free(struct item *item) {
    assert_true(alive > 0);
    alive--;
    free(item);
}

static const struct table_kind things = {thing_names, thing_fill, thing_free};

static struct item *thing_new(uint64_t hash, const char *name, int value) {
    struct thing *thing = malloc(sizeof(*thing));
    assert_non_null(thing);
    *thing = (struct thing){.item = {hash, 1}, .value = value};
    snprintf(thing->name, sizeof(thing->name), "%s", name);
    alive++;
    return &thing->item;
}

static void put(struct table **table, uint64_t stamp, uint64_t hash, const char *name, int value) {
    assert_int_equal(table_prepare(table, hash, stamp), 0);
    table_put(*table, thing_new(hash, name, value));
}

/* -1 when it is not there. */
static int value_of(const struct table *table, uint64_t hash, const char *name) {
    const struct record *record = table_find(table, hash, names_in(name));
    if (!record) return -1;
    int value = ((const struct thing *)record->item)->value;
    assert_ptr_equal(record->extra, &((const struct thing *)record->item)->value);
    assert_int_equal(record->mark, value % 2);
    return value;
}

static struct table *new_table(void) {
    struct table *table;
    assert_int_equal(table_new(&things, &table), 0);
    return table;
}

static int nothing_alive(void **state) {
    return alive == 0 ? 0 : -1;
}

/* ---- ways to choose a hash ---- */

typedef uint64_t (*choose_fn)(size_t i);

static uint64_t spread(size_t i) {
    uint64_t state = i;
    return test_random(&state);
}

static uint64_t all_equal(size_t i) {
    return UINT64_C(0x0123456789abcdef);
}

static uint64_t all_zero(size_t i) {
    return 0;
}

static uint64_t all_ones(size_t i) {
    return UINT64_MAX;
}

/* One page takes all, and no split parts them until 40 bits are used. */
static uint64_t long_prefix(size_t i) {
    return UINT64_C(0xaaaaaaaaaa000000) | (uint64_t)i;
}

/* Pages are found well, records inside them badly. */
static uint64_t same_tail(size_t i) {
    return (uint64_t)i << 44 | 63;
}

/* Two crowds at the two ends. */
static uint64_t two_ends(size_t i) {
    return i % 2 ? UINT64_MAX - i : (uint64_t)i;
}

static const struct {
    const char *name;
    choose_fn choose;
    size_t count;
} ways[] = {
    {"spread", spread, 20000},    {"all equal", all_equal, 700},     {"all zero", all_zero, 700},
    {"all ones", all_ones, 700},  {"long prefix", long_prefix, 700}, {"same tail", same_tail, 3000},
    {"two ends", two_ends, 1400},
};

static void fill(struct table **table, uint64_t stamp, choose_fn choose, size_t from, size_t to, int plus) {
    char name[32];
    for (size_t i = from; i < to; i++) {
        snprintf(name, sizeof(name), "thing-%zu", i);
        put(table, stamp, choose(i), name, (int)i + plus);
    }
}

static void check(const struct table *table, choose_fn choose, size_t count, int plus) {
    char name[32];
    assert_int_equal(table->size, count);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "thing-%zu", i);
        assert_int_equal(value_of(table, choose(i), name), (int)i + plus);
    }
    for (size_t i = count; i < count + 50; i++) {
        snprintf(name, sizeof(name), "thing-%zu", i);
        assert_int_equal(value_of(table, choose(i), name), -1);
    }
}

/* ---- tests ---- */

static void test_empty(void **state) {
    struct table *table = new_table();
    assert_int_equal(table->size, 0);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(value_of(table, spread(i), "x"), -1);
    assert_int_equal(value_of(table, 0, ""), -1);
    assert_int_equal(value_of(table, UINT64_MAX, ""), -1);
    assert_null(table_unref(table));
    assert_null(table_unref(NULL));
}

static void test_every_way_in_one_edit(void **state) {
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct table *table = new_table();
        fill(&table, 1, ways[w].choose, 0, ways[w].count, 0);
        check(table, ways[w].choose, ways[w].count, 0);
        table_unref(table);
        assert_int_equal(alive, 0);
    }
}

static void test_every_way_backwards(void **state) {
    char name[32];
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct table *table = new_table();
        for (size_t i = ways[w].count; i > 0; i--) {
            snprintf(name, sizeof(name), "thing-%zu", i - 1);
            put(&table, 1, ways[w].choose(i - 1), name, (int)i - 1);
        }
        check(table, ways[w].choose, ways[w].count, 0);
        table_unref(table);
    }
}

/* A table for each stamp: every one keeps what it had. */
static void test_every_way_kept(void **state) {
    enum { TABLES = 7 };
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct table *tables[TABLES] = {new_table()};
        size_t step = ways[w].count / TABLES;
        for (size_t t = 1; t < TABLES; t++) {
            tables[t] = table_ref(tables[t - 1]);
            fill(&tables[t], t, ways[w].choose, (t - 1) * step, t * step, 0);
        }
        for (size_t t = 0; t < TABLES; t++)
            check(tables[t], ways[w].choose, t * step, 0);
        for (size_t t = 0; t < TABLES; t++) { /* 3, 6, 2, 5, 1, 4, 0 */
            size_t gone = (t * 3 + 3) % TABLES;
            tables[gone] = table_unref(tables[gone]);
            for (size_t left = 0; left < TABLES; left++)
                if (tables[left]) check(tables[left], ways[w].choose, left * step, 0);
        }
        assert_int_equal(alive, 0);
    }
}

static void test_every_way_replaced(void **state) {
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct table *table = new_table();
        fill(&table, 1, ways[w].choose, 0, ways[w].count, 0);
        struct table *next = table_ref(table);
        fill(&next, 2, ways[w].choose, 0, ways[w].count, 7);
        check(table, ways[w].choose, ways[w].count, 0);
        check(next, ways[w].choose, ways[w].count, 7);
        assert_int_equal(alive, 2 * ways[w].count);
        table_unref(table);
        assert_int_equal(alive, ways[w].count);
        check(next, ways[w].choose, ways[w].count, 7);
        fill(&next, 2, ways[w].choose, 0, ways[w].count, 9);
        assert_int_equal(alive, ways[w].count);
        check(next, ways[w].choose, ways[w].count, 9);
        table_unref(next);
        assert_int_equal(alive, 0);
    }
}

/* One hash, several names: short ones inside the record, long ones in the item, one the beginning of another. */
static void test_names_decide(void **state) {
    static const char *const names[] = {
        "",
        "a",
        "ab",
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmn",                /* 40 */
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmno",               /* 41: the longest inside */
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop",              /* 42 */
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq",             /* 43 */
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz012", /* 55 */
    };
    struct table *table = new_table();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t later = i; later < ARRAY_LEN(names); later++)
            assert_int_equal(value_of(table, 5, names[later]), -1);
        put(&table, 1, 5, names[i], (int)i);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(value_of(table, 5, names[i]), (int)i);
        put(&table, 1, 5, names[i], (int)i + 100);
        assert_int_equal(value_of(table, 5, names[i]), (int)i + 100);
    }
    assert_int_equal(table->size, ARRAY_LEN(names));
    table_unref(table);
}

/* Both names decide, and where the first one ends: with one hash for all, inside the records and outside. */
static void test_two_names_decide(void **state) {
    static const char *const names[] = {
        "production|support",
        "production|suppor",
        "production|suppory",
        "productio|nsupport",
        "productionsupport",
        "|productionsupport",
        "production|",
        "|",
        "aa|aa",
        "a|aaa",
        "aaa|a",
        "an-environment-with-a-long-name|an-agent-with-a-long-name",
        "an-environment-with-a-long-name|an-agent-with-a-long-namf",
        "an-environment-with-a-long-namf|an-agent-with-a-long-name",
        "an-environment-with-a-long-namean-|agent-with-a-long-name",
        "an-environment-with-a-long-namean-agent-with-a-long-name",
    };
    struct table *table = new_table();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t later = i; later < ARRAY_LEN(names); later++)
            assert_int_equal(value_of(table, 5, names[later]), -1);
        put(&table, 1, 5, names[i], (int)i);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(value_of(table, 5, names[i]), (int)i);
    assert_int_equal(table->size, ARRAY_LEN(names));
    table_unref(table);
}

/* The zeros behind a short name are no part of it, whatever a question brings along. */
static void test_padding_is_no_name(void **state) {
    struct table *table = new_table();
    put(&table, 1, 5, "aa|aa", 1);
    assert_null(table_find(table, 5, (struct names){SLICE_LIT("a"), SLICE_LIT("aa\0")}));
    assert_null(table_find(table, 5, (struct names){SLICE_LIT("aa"), SLICE_LIT("aa\0")}));
    assert_null(table_find(table, 5, (struct names){SLICE_LIT("aaaa"), {NULL, 0}}));
    assert_non_null(table_find(table, 5, (struct names){SLICE_LIT("aa"), SLICE_LIT("aa")}));
    table_unref(table);
}

/* Preparing changes nothing that can be seen, and again changes nothing at all. */
static void test_prepare_only(void **state) {
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        size_t count = ways[w].count / 2;
        struct table *table = new_table();
        fill(&table, 1, ways[w].choose, 0, count, 0);
        struct table *next = table_ref(table);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(table_prepare(&next, ways[w].choose(i), 2), 0);
        check(next, ways[w].choose, count, 0);
        const struct table *before = next;
        for (size_t i = 0; i < count; i++)
            assert_int_equal(table_prepare(&next, ways[w].choose(i), 2), 0);
        assert_ptr_equal(before, next);
        table_unref(table);
        check(next, ways[w].choose, count, 0);
        table_unref(next);
    }
}

/* What an edit does not touch it shares: one page, not all, is another. */
static void test_untouched_pages_are_shared(void **state) {
    struct table *table = new_table();
    fill(&table, 1, spread, 0, 20000, 0);
    struct table *next = table_ref(table);
    put(&next, 2, spread(77), "thing-77", 1000);
    assert_int_equal(table->depth, next->depth);
    size_t other = 0, slots = (size_t)1 << table->depth;
    for (size_t i = 0; i < slots; i++)
        other += page_of(table->pages[i]) != page_of(next->pages[i]);
    const struct page *page = page_of(next->pages[spread(77) >> next->shift]);
    assert_int_equal(other, (size_t)1 << (next->depth - page->depth));
    table_unref(table);
    table_unref(next);
}

/* The directory stays in proportion, whatever the hashes are. */
static void test_directory_size(void **state) {
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        struct table *table = new_table();
        fill(&table, 1, ways[w].choose, 0, ways[w].count, 0);
        bool beyond_a_page =
            ways[w].choose == same_tail; /* so many of one prefix that only a deep directory parts them */
        assert_true((size_t)1 << table->depth <= 2 + ways[w].count / (beyond_a_page ? 1 : 4));
        table_unref(table);
    }
    struct table *table = new_table();
    fill(&table, 1, spread, 0, 100000, 0);
    assert_in_range((size_t)1 << table->depth, 2048, 32768);
    table_unref(table);
}

/* More items of one hash than a page can hold: an honest refusal, and the table is as good as before. */
static void test_more_than_fit(void **state) {
    struct table *table = new_table();
    char name[32];
    size_t count = 0;
    while (table_prepare(&table, 7, 1) == 0) {
        snprintf(name, sizeof(name), "thing-%zu", count);
        table_put(table, thing_new(7, name, (int)count));
        count++;
        assert_true(count < 2000);
    }
    assert_true(count >= 700);
    assert_int_equal(table_prepare(&table, 7, 1), -ERR_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "thing-%zu", i);
        assert_int_equal(value_of(table, 7, name), (int)i);
    }
    put(&table, 1, UINT64_MAX, "elsewhere", 5);
    assert_int_equal(value_of(table, UINT64_MAX, "elsewhere"), 5);
    table_unref(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_empty, nothing_alive),
        cmocka_unit_test_teardown(test_every_way_in_one_edit, nothing_alive),
        cmocka_unit_test_teardown(test_every_way_backwards, nothing_alive),
        cmocka_unit_test_teardown(test_every_way_kept, nothing_alive),
        cmocka_unit_test_teardown(test_every_way_replaced, nothing_alive),
        cmocka_unit_test_teardown(test_names_decide, nothing_alive),
        cmocka_unit_test_teardown(test_two_names_decide, nothing_alive),
        cmocka_unit_test_teardown(test_padding_is_no_name, nothing_alive),
        cmocka_unit_test_teardown(test_prepare_only, nothing_alive),
        cmocka_unit_test_teardown(test_untouched_pages_are_shared, nothing_alive),
        cmocka_unit_test_teardown(test_directory_size, nothing_alive),
        cmocka_unit_test_teardown(test_more_than_fit, nothing_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
