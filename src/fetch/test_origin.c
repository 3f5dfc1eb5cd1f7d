/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses no name may lead to. */
#include "fetch/fetch_impl.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *fault_of(const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return address_fault((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_fault((const struct sockaddr *)&v6);
}

static void test_forbidden(void **state) {
    static const char *const forbidden[] = {
        "0.0.0.0",          "0.255.255.255",      "169.254.0.0",
        "169.254.169.254",  "169.254.255.255",    "224.0.0.1",
        "239.255.255.255",  "255.255.255.255",    "::",
        "fe80::1",          "febf:ffff::1",       "ff00::",
        "ff02::1",          "::ffff:0.0.0.0",     "::ffff:169.254.169.254",
        "::ffff:224.0.0.1", "64:ff9b::a9fe:a9fe",
    };
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        if (!fault_of(forbidden[i])) fail_msg("%s may be reached", forbidden[i]);
}

static void test_allowed(void **state) {
    static const char *const good[] = {
        "127.0.0.1",       "10.0.0.1",       "192.168.1.1",
        "169.253.255.255", "169.255.0.0",    "223.255.255.255",
        "240.0.0.1",       "1.0.0.0",        "::1",
        "fc00::1",         "fd00::1",        "fe7f:ffff::1",
        "fec0::1",         "2001:db8::1",    "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a9fe:a9fe",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (fault_of(good[i])) fail_msg("%s is %s", good[i], fault_of(good[i]));
}

static void test_unknown_family(void **state) {
    struct sockaddr address = {.sa_family = AF_UNIX};
    assert_non_null(address_fault(&address));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_unknown_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
