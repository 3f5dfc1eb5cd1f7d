/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)

static void test_system_clock_moves_on(void **state) {
    int64_t wall = clock_wall(&clock_system), start = clock_monotonic(&clock_system);
    assert_true(wall > INT64_C(1700000000) * SECOND);
    assert_true(clock_monotonic(&clock_system) >= start);
    assert_true(wall / SECOND - (int64_t)time(NULL) <= 1);
}

static void test_fake_clock_stands_still(void **state) {
    struct clock clock;
    clock_fake_init(&clock, 1000);
    assert_int_equal(clock_wall(&clock), 1000);
    assert_int_equal(clock_wall(&clock), 1000);
    int64_t start = clock_monotonic(&clock);
    clock_fake_advance(&clock, 50);
    assert_int_equal(clock_wall(&clock), 1050);
    assert_int_equal(clock_monotonic(&clock) - start, 50);
    clock_fake_set_wall(&clock, 7);
    assert_int_equal(clock_wall(&clock), 7);
    assert_int_equal(clock_monotonic(&clock) - start, 50);
}

static void check_text(int64_t wall, const char *expected) {
    char text[CLOCK_TEXT_SIZE];
    clock_text(wall, text);
    assert_string_equal(text, expected);
}

static void test_text(void **state) {
    check_text(0, "1970-01-01T00:00:00.000000Z");
    check_text(INT64_C(1795442700) * SECOND + 42, "2026-11-23T14:05:00.000042Z");
    check_text(INT64_C(951782400) * SECOND, "2000-02-29T00:00:00.000000Z");
    check_text(INT64_C(4107542400) * SECOND - 1, "2100-02-28T23:59:59.999999Z");
    check_text(INT64_C(4107542400) * SECOND, "2100-03-01T00:00:00.000000Z");
    check_text(INT64_C(253402300799) * SECOND + 999999, "9999-12-31T23:59:59.999999Z");
    check_text(-5, "1970-01-01T00:00:00.000000Z");
    check_text(INT64_MAX, "9999-12-31T23:59:59.999999Z");
}

/* Against the C library, day by day over all years. */
static void test_text_agrees_with_gmtime(void **state) {
    for (int64_t day = 0; day < INT64_C(2932897); day += 1 + day % 3) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm parts;
        char expected[40], text[CLOCK_TEXT_SIZE];
        assert_non_null(gmtime_r(&seconds, &parts));
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", &parts);
        clock_text((int64_t)seconds * SECOND, text);
        if (strcmp(text, expected) != 0) assert_string_equal(text, expected);
        int64_t back = -1;
        if (!clock_from_text(text, &back) || back != (int64_t)seconds * SECOND) fail_msg("%s does not read back", text);
    }
}

static void check_read(const char *text, int64_t expected) {
    int64_t wall = -1;
    assert_true(clock_from_text(text, &wall));
    assert_true(wall == expected);
}

static void test_reads_rfc3339(void **state) {
    const int64_t base = INT64_C(1795442700) * SECOND;
    check_read("2026-11-23T14:05:00Z", base);
    check_read("2026-11-23t14:05:00z", base);
    check_read("2026-11-23T16:05:00+02:00", base);
    check_read("2026-11-23T08:35:00-05:30", base);
    check_read("2026-11-24T00:00:00+09:55", base);
    check_read("2026-11-23T14:05:00-00:00", base);
    check_read("2026-11-23T14:05:00.5Z", base + 500000);
    check_read("2026-11-23T14:05:00.000001Z", base + 1);
    check_read("2026-11-23T14:05:00.123456789Z", base + 123456);
    check_read("1969-12-31T23:00:00-01:00", 0);
    check_read("2016-12-31T23:59:60Z", INT64_C(1483228800) * SECOND);
    check_read("2017-01-01T08:59:60+09:00", INT64_C(1483228800) * SECOND);
}

static void test_refuses_what_is_no_time(void **state) {
    const char *bad[] = {
        "",
        "2026-11-23",
        "2026-11-23 14:05:00Z",
        "2026-11-23T14:05:00",
        "2026-11-23T14:05Z",
        "2026-11-23T14:05:00Zx",
        "2026-13-23T14:05:00Z",
        "2026-00-23T14:05:00Z",
        "2026-11-31T14:05:00Z",
        "2026-11-00T14:05:00Z",
        "2026-02-29T14:05:00Z",
        "2100-02-29T14:05:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T14:60:00Z",
        "2026-11-23T14:05:61Z",
        "2026-11-23T14:05:60Z",
        "2026-11-23T14:05:00.Z",
        "2026-11-23T14:05:00.1234567890Z",
        "2026-11-23T14:05:00,5Z",
        "2026-11-23T14:05:00+2:00",
        "2026-11-23T14:05:00+24:00",
        "2026-11-23T14:05:00+02:60",
        "2026-11-23T14:05:00+0200",
        "+2026-11-23T14:05:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t wall = -7;
        if (clock_from_text(bad[i], &wall)) fail_msg("took %s", bad[i]);
        assert_int_equal(wall, -7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_clock_moves_on),
        cmocka_unit_test(test_fake_clock_stands_still),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_agrees_with_gmtime),
        cmocka_unit_test(test_reads_rfc3339),
        cmocka_unit_test(test_refuses_what_is_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
