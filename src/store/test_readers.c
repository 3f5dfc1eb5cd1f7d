/* SPDX-License-Identifier: Apache-2.0 */
/* Readers whose connection cannot be made, or not be used, must not use up the pool. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "db/db.h"
#include "store/store.h"

struct double_ {
    bool refuse;
    struct db_fault fault;
};

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    struct double_ *test = ctx;

    if (!test->refuse) return db_fault_wrap(inner, &test->fault, ret);
    db_close(inner);
    return -ERR_NO_MEMORY;
}

static int look(void *arg, struct store_tx *tx, struct err *err) {
    struct position head;
    int64_t at;

    return store_head(tx, &head, &at, err);
}

static void a_reader_that_fails_leaves_its_place(void **state) {
    struct double_ test = {.fault.code = ERR_STORE_IO};
    struct store_options options = {
        .url = "sqlite::memory:readers", .clock = &clock_system, .wrap = wrap, .wrap_ctx = &test};
    struct err err = ERR_INIT;
    struct store *store;

    assert_int_equal(store_open(&options, &store, &err), 0);
    test.refuse = true;
    for (int i = 0; i < 40; i++)
        assert_int_equal(store_read(store, look, NULL, &err), -ERR_NO_MEMORY);
    test.refuse = false;
    for (int i = 0; i < 40; i++) {
        test.fault.fail_at = test.fault.calls + 1;
        assert_int_equal(store_read(store, look, NULL, &err), -ERR_STORE_IO);
    }
    test.fault.code = ERR_UNAVAILABLE; /* a connection that is gone is not lent again */
    for (int i = 0; i < 40; i++) {
        test.fault.fail_at = test.fault.calls + 1;
        assert_int_equal(store_read(store, look, NULL, &err), -ERR_UNAVAILABLE);
    }
    assert_int_equal(store_read(store, look, NULL, &err), 0);
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_reader_that_fails_leaves_its_place)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
