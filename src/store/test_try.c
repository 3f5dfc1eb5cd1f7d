/* SPDX-License-Identifier: Apache-2.0 */
/* A store that is not open yet: who may use it when, and what a failed attempt leaves behind. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/serin-try-XXXXXX";
static char path[64], url[80];
static struct store *store;
static struct err err;

static void path_of(const char *ending, char ret[80]) {
    snprintf(ret, 80, "%s%s", path, ending);
}

static int setup(void **state) {
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof(path), "%s/serin.db", folder);
    snprintf(url, sizeof(url), "sqlite:%s", path);
    return 0;
}

static int teardown(void **state) {
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    char name[80];
    store = store_close(store);
    for (size_t i = 0; i < 4; i++) {
        path_of(endings[i], name);
        unlink(name);
    }
    rmdir(folder);
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    return 0;
}

static void make(bool must_exist) {
    struct store_options options = {.url = url, .clock = &clock_system, .must_exist = must_exist};
    assert_int_equal(store_new(&options, &store, &err), 0);
}

static int look(void *arg, struct store_tx *tx, struct err *why) {
    struct position head;
    int64_t at;
    return store_head(tx, &head, &at, why);
}

static void *read_elsewhere(void *arg) {
    *(int *)arg = store_read(store, look, NULL, NULL);
    return NULL;
}

static int from_another_thread(void) {
    pthread_t thread;
    int r = 0;
    assert_int_equal(pthread_create(&thread, NULL, read_elsewhere, &r), 0);
    pthread_join(thread, NULL);
    return r;
}

static int use(void *ctx, struct err *why) {
    int r = store_read(store, look, NULL, why);
    assert_int_equal(r, 0);
    assert_int_equal(from_another_thread(), -ERR_STORE_UNAVAILABLE);
    assert_false(store_is_open(store));
    return ctx ? err_set(why, ERR_FILE, "not yet") : 0;
}

static void nobody_uses_a_store_that_is_not_open(void **state) {
    make(false);
    assert_false(store_is_open(store));
    assert_int_equal(store_read(store, look, NULL, &err), -ERR_STORE_UNAVAILABLE);
    assert_int_equal(store_write(store, look, NULL, &err), -ERR_STORE_UNAVAILABLE);
    assert_int_equal(store_epoch_begin(store, 0, "", &err), -ERR_STORE_UNAVAILABLE);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void others_use_it_when_all_went_well(void **state) {
    make(false);
    assert_int_equal(store_try(store, use, NULL, &err), 0);
    assert_true(store_is_open(store));
    assert_int_equal(from_another_thread(), 0);
}

static void a_failed_attempt_leaves_it_as_it_was(void **state) {
    struct store *other = NULL;
    struct store_options options = {.url = url, .clock = &clock_system};
    make(false);
    for (int i = 0; i < 12; i++) /* more often than there are readers */
        assert_int_equal(store_try(store, use, store, &err), -ERR_FILE);
    assert_string_equal(err.message, "not yet");
    assert_int_equal(store_read(store, look, NULL, &err), -ERR_STORE_UNAVAILABLE);
    assert_int_equal(store_open(&options, &other, &err), 0); /* the lock is free */
    assert_int_equal(store_try(store, use, NULL, &err), -ERR_STORE_LOCKED);
    store_close(other);
    assert_int_equal(store_try(store, use, NULL, &err), 0);
}

static void what_must_exist_is_not_made(void **state) {
    char lock[80];
    struct stat st;
    make(true);
    path_of(".lock", lock);
    assert_int_equal(store_try(store, NULL, NULL, &err), -ERR_STORE_MISSING);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(lock, F_OK), 0);

    FILE *empty = fopen(path, "we");
    assert_non_null(empty);
    fclose(empty);
    assert_int_equal(store_try(store, NULL, NULL, &err), -ERR_STORE_MISSING);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_uses_a_store_that_is_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(others_use_it_when_all_went_well, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_attempt_leaves_it_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(what_must_exist_is_not_made, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
