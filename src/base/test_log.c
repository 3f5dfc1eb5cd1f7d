/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct clock clock;
    struct log log;
    int reader;
    char text[4096];
};

static void setup(struct fixture *f, bool json) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    f->reader = ends[0];
    clock_fake_init(&f->clock, INT64_C(1795442700000000));
    f->log = (struct log){.fd = ends[1], .json = json, .level = LOG_INFO, .clock = &f->clock};
}

/* What was written, and closes both ends. */
static const char *finish(struct fixture *f) {
    close(f->log.fd);
    ssize_t n = read(f->reader, f->text, sizeof(f->text) - 1);
    close(f->reader);
    assert_true(n >= 0);
    f->text[n] = '\0';
    return f->text;
}

static void test_for_people(void **state) {
    struct fixture f;
    setup(&f, false);
    log_write(&f.log, LOG_LISTENING, "listening", "address", "127.0.0.1:7420", "name", "two words", "none", NULL, "q",
              "a\"b\\c", NULL);
    assert_string_equal(finish(&f), "2026-11-23T14:05:00Z INFO  listening address=127.0.0.1:7420 name=\"two words\" "
                                    "none=\"\" q=\"a\\\"b\\\\c\"\n");
}

static void test_as_json(void **state) {
    struct fixture f;
    setup(&f, true);
    log_write(&f.log, LOG_LISTENING, "listening", "address", "a\"b", NULL);
    assert_string_equal(finish(&f),
                        "{\"time\":\"2026-11-23T14:05:00.000000Z\",\"level\":\"info\",\"event\":\"listening\","
                        "\"message\":\"listening\",\"address\":\"a\\\"b\"}\n");
}

static void test_level_keeps_lines_out(void **state) {
    struct fixture f;
    setup(&f, false);
    log_write(&f.log, LOG_REQUEST_REFUSED, "debug line", NULL);
    f.log.level = LOG_ERROR;
    log_write(&f.log, LOG_LISTENING, "info line", NULL);
    log_write(NULL, LOG_FATAL, "nowhere", NULL);
    f.log.level = LOG_DEBUG;
    log_write(&f.log, LOG_REQUEST_REFUSED, "shown", NULL);
    assert_string_equal(finish(&f), "2026-11-23T14:05:00Z DEBUG shown\n");
}

static void test_nothing_breaks_out_of_its_line(void **state) {
    struct fixture f;
    setup(&f, false);
    log_write(&f.log, LOG_STOPPED, "a\nb\x1b[31m\x7f", "x", "1\n2\xC2\x9B\xFF", NULL);
    assert_string_equal(finish(&f),
                        "2026-11-23T14:05:00Z INFO  a\\x0ab\\x1b[31m\\x7f x=\"1\\x0a2\\x9b\xEF\xBF\xBD\"\n");
    setup(&f, true);
    log_write(&f.log, LOG_STOPPED, "a\nb\xC3", "x", "\xFFy", NULL);
    assert_string_equal(finish(&f),
                        "{\"time\":\"2026-11-23T14:05:00.000000Z\",\"level\":\"info\",\"event\":\"stopped\","
                        "\"message\":\"a\\nb\xEF\xBF\xBD\",\"x\":\"\xEF\xBF\xBDy\"}\n");
}

static void test_colour(void **state) {
    struct fixture f;
    setup(&f, false);
    f.log.colour = true;
    log_write(&f.log, LOG_FATAL, "x", NULL);
    assert_string_equal(finish(&f), "2026-11-23T14:05:00Z \033[31mERROR\033[0m x\n");
}

static void test_errors(void **state) {
    struct fixture f;
    struct err err = ERR_INIT;
    setup(&f, false);
    assert_int_equal(err_set(&err, ERR_MALFORMED_YAML, "bad indent"), -ERR_MALFORMED_YAML);
    err_at(&err, "agent.yaml");
    err_position(&err, 3, 9);
    err_remedy(&err, "Indent it");
    log_err(&f.log, LOG_REQUEST_FAILED, &err);
    log_err(NULL, LOG_FATAL, &err);
    assert_string_equal(finish(&f), "2026-11-23T14:05:00Z ERROR bad indent code=malformed_yaml at=agent.yaml line=3 "
                                    "column=9 remedy=\"Indent it\"\n");
    setup(&f, true);
    assert_int_equal(err_set(&err, ERR_BUSY, "busy"), -ERR_BUSY);
    log_err(&f.log, LOG_REQUEST_FAILED, &err);
    assert_string_equal(finish(&f),
                        "{\"time\":\"2026-11-23T14:05:00.000000Z\",\"level\":\"error\",\"event\":\"request_failed\","
                        "\"message\":\"busy\",\"code\":\"busy\",\"remedy\":\"Retry with back-off\"}\n");
}

static void test_closed_descriptor_is_borne(void **state) {
    struct log log = {.fd = -1, .clock = &clock_system};
    log_write(&log, LOG_STOPPED, "x", NULL);
}

static void test_levels_and_events(void **state) {
    enum log_level level = LOG_DEBUG;
    assert_true(log_level_from_text("warn", &level));
    assert_int_equal(level, LOG_WARN);
    assert_false(log_level_from_text("WARN", &level));
    assert_false(log_level_from_text("", &level));
    assert_int_equal(level, LOG_WARN);
    for (unsigned event = 0; event < LOG_EVENT_COUNT_; event++) {
        assert_true(log_event_name((enum log_event)event)[0] != '\0');
        assert_true(log_event_meaning((enum log_event)event)[0] != '\0');
        assert_true(log_event_advice((enum log_event)event)[0] != '\0');
    }
    assert_int_equal(log_event_level(LOG_SETTINGS_REFUSED), LOG_WARN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_people),
        cmocka_unit_test(test_as_json),
        cmocka_unit_test(test_level_keeps_lines_out),
        cmocka_unit_test(test_nothing_breaks_out_of_its_line),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_closed_descriptor_is_borne),
        cmocka_unit_test(test_levels_and_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
