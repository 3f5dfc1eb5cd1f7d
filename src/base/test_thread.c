/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static int priority_of_thread(void) {
    errno = 0;
    int priority = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    assert_int_equal(errno, 0);
    return priority;
}

static void *give_way(void *ctx) {
    thread_give_way();
    *(int *)ctx = priority_of_thread();
    return NULL;
}

static void test_one_thread_gives_way(void **state) {
    (void)state;
    pthread_t thread;
    int before = priority_of_thread(), other = before;
    assert_int_equal(pthread_create(&thread, NULL, give_way, &other), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(other >= 10 && other > before);
    assert_int_equal(priority_of_thread(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
