/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_layout(void **state) {
    struct clock clock;
    char id[UUID_TEXT_SIZE];
    /* 0x0199c7e8f400 ms and half a millisecond: the 12 bits behind the version are 0x800. */
    clock_fake_init(&clock, INT64_C(0x0199c7e8f400) * 1000 + 500);
    assert_int_equal(uuid_new(&clock, id, NULL), 0);
    assert_int_equal(strlen(id), 36);
    assert_memory_equal(id, "0199c7e8-f400-7800-", 19);
    assert_non_null(strchr("89ab", id[19]));
    assert_true(uuid_valid(id));
}

static void test_ordered_by_time(void **state) {
    struct clock clock;
    char id[UUID_TEXT_SIZE], last[UUID_TEXT_SIZE] = "";
    clock_fake_init(&clock, INT64_C(1795442700000000));
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(uuid_new(&clock, id, NULL), 0);
        assert_true(strcmp(id, last) > 0);
        memcpy(last, id, sizeof(last));
        clock_fake_advance(&clock, 1);
    }
}

static int compare(const void *a, const void *b) {
    return strcmp(a, b);
}

static void test_never_twice(void **state) {
    enum { COUNT = 20000 };
    struct clock clock;
    clock_fake_init(&clock, INT64_C(1795442700000000));
    char(*ids)[UUID_TEXT_SIZE] = calloc(COUNT, sizeof(*ids));
    assert_non_null(ids);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(uuid_new(&clock, ids[i], NULL), 0);
    qsort(ids, COUNT, sizeof(*ids), compare);
    for (int i = 1; i < COUNT; i++)
        assert_true(strcmp(ids[i - 1], ids[i]) < 0);
    free(ids);
}

static void test_valid(void **state) {
    assert_true(uuid_valid("00000000-0000-0000-0000-000000000000"));
    const char *bad[] = {"",
                         "0199c7e8-f400-7800-8000-00000000000",
                         "0199c7e8-f400-7800-8000-0000000000000",
                         "0199C7E8-f400-7800-8000-000000000000",
                         "0199c7e8f400-7800-8000-000000000000-",
                         "0199c7e8-f400-7800-8000-00000000000g",
                         "0199c7e8-f400-7800-8000 000000000000"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(uuid_valid(bad[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_ordered_by_time),
        cmocka_unit_test(test_never_twice),
        cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
