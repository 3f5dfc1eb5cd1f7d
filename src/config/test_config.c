/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char path[64];
    struct config *config;
    struct faults faults;
    struct err err;
};

static int setup(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){.path = "/tmp/serin-test-XXXXXX"};
    int fd = mkstemp(fixture.path);
    if (fd < 0) return -1;
    close(fd);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    f->config = config_free(f->config);
    faults_deinit(&f->faults);
    return unlink(f->path);
}

static void write_file(const struct fixture *f, const char *text) {
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* `words` and `environment` end with NULL; "@" among the words stands for the settings file. */
static int load(struct fixture *f, const char *const *words, const char *const *environment) {
    static char *argv[16];
    struct config_sources sources = {.argv = argv, .environment = (char *const *)environment};
    for (; words && words[sources.argc]; sources.argc++)
        argv[sources.argc] = strcmp(words[sources.argc], "@") ? (char *)words[sources.argc] : f->path;
    f->config = config_free(f->config);
    faults_deinit(&f->faults);
    f->faults = FAULTS_INIT;
    f->err = ERR_INIT;
    return config_load(&sources, &f->config, &f->faults, &f->err);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *fault_line(const struct fixture *f, size_t i) {
    static struct str line;
    assert_true(i < f->faults.count);
    str_deinit(&line);
    config_fault_text(&f->faults.items[i], &line);
    return line.data;
}

static void test_defaults_are_valid(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, NULL, NULL), 0);
    assert_string_equal(config_text(f->config, SETTING_STORE), "sqlite:serin.db");
    assert_string_equal(config_text(f->config, SETTING_LISTEN), "127.0.0.1:7420");
    assert_int_equal(config_int(f->config, SETTING_BODY_LIMIT), 2 * 1024 * 1024);
    assert_int_equal(config_source(f->config, SETTING_LISTEN), SETTING_DEFAULT);
    for (unsigned id = 0; id < SETTING_COUNT_; id++) {
        char flag[SETTING_NAME_SIZE];
        const struct setting *setting = setting_get(id);
        setting_flag(setting, flag);
        const char *words[] = {flag, setting->preset, NULL};
        if (load(f, words, NULL) < 0) fail_msg("the default of %s is refused: %s", setting->name, f->err.message);
        assert_non_null(config_text(f->config, id));
    }
}

static void test_names_in_three_forms(void **state) {
    char name[SETTING_NAME_SIZE];
    setting_flag(setting_get(SETTING_IDLE_TIMEOUT), name);
    assert_string_equal(name, "--idle-timeout-s");
    setting_variable(setting_get(SETTING_IDLE_TIMEOUT), name);
    assert_string_equal(name, "SERIN_IDLE_TIMEOUT_S");
}

static void test_sources_rise_in_priority(void **state) {
    struct fixture *f = *state;
    write_file(f, "workers = 2\ncontrol_threads = 3\nlog_level = \"warn\"\n");
    int r = load(f, WORDS("--workers=9", "--settings", "@"),
                 WORDS("SERIN_WORKERS=5", "SERIN_CONTROL_THREADS=6", "PATH=/bin", "SERIN_NO_EQUALS"));
    assert_int_equal(r, 0);
    assert_int_equal(config_int(f->config, SETTING_WORKERS), 9);
    assert_int_equal(config_source(f->config, SETTING_WORKERS), SETTING_FLAG);
    assert_int_equal(config_int(f->config, SETTING_CONTROL_THREADS), 6);
    assert_int_equal(config_source(f->config, SETTING_CONTROL_THREADS), SETTING_ENVIRONMENT);
    assert_string_equal(config_text(f->config, SETTING_LOG_LEVEL), "warn");
    assert_int_equal(config_source(f->config, SETTING_LOG_LEVEL), SETTING_FILE);
}

static void test_file_faults_have_line_and_column(void **state) {
    struct fixture *f = *state;
    char expected[256];
    write_file(f, "workers = 2000\n\n  wrokers = 1\nstore = 5\nlog_level = \"loud\"\nlisten = \"\"\nx =\n");
    assert_int_equal(load(f, WORDS("--settings", "@"), NULL), -ERR_CONFIG);
    assert_null(f->config);
    assert_int_equal(f->faults.count, 6);
    snprintf(expected, sizeof(expected), "%s:7:4: expected a value behind =", f->path);
    assert_string_equal(fault_line(f, 0), expected);
    snprintf(expected, sizeof(expected), "%s:1:1: workers must be a whole number from 0 to 1024", f->path);
    assert_string_equal(fault_line(f, 1), expected);
    snprintf(expected, sizeof(expected), "%s:3:3: unknown setting wrokers; did you mean workers?", f->path);
    assert_string_equal(fault_line(f, 2), expected);
    assert_non_null(strstr(fault_line(f, 3), ":4:1: store must be a text"));
    assert_non_null(strstr(fault_line(f, 4), "one of: debug info warn error"));
    assert_non_null(strstr(fault_line(f, 5), "listen must be a text of 1 to 255 bytes"));
    assert_string_equal(f->err.at, f->path);
    assert_int_equal(f->err.line, 7);
}

static void test_missing_file(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, WORDS("--settings", "/nowhere/serin.toml"), NULL), -ERR_FILE);
    assert_non_null(strstr(f->err.message, "/nowhere/serin.toml"));
}

static void test_environment_faults(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, NULL, WORDS("SERIN_WORKERS=many", "SERIN_WROKERS=1", "SERIN_LOG_LEVEL=in")), -ERR_CONFIG);
    assert_int_equal(f->faults.count, 3);
    assert_string_equal(fault_line(f, 0), "SERIN_WORKERS: workers must be a whole number from 0 to 1024");
    assert_string_equal(fault_line(f, 1), "SERIN_WROKERS: unknown variable SERIN_WROKERS; did you mean SERIN_WORKERS?");
    assert_string_equal(f->err.at, "SERIN_WORKERS");
}

static void test_leaves_foreign_variables_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(
        load(f, NULL,
             WORDS("SERIN_URL=http://x", "SERIN_KEY=k", "SERIN_BOOTSTRAP_KEY=b", "SERIN_SERVICE_HOST=10.0.0.1",
                   "SERIN_PORT=tcp://10.0.0.1:7420", "SERIN_PORT_7420_TCP_ADDR=10.0.0.1")),
        0);
}

static void test_flag_faults_are_usage(void **state) {
    struct fixture *f = *state;
    write_file(f, "workers = 5000\n");
    assert_int_equal(load(f, WORDS("--wrokers", "1", "stray", "--settings", "@", "--log-level=x", "--listen"), NULL),
                     -ERR_USAGE);
    assert_int_equal(f->faults.count, 4);
    assert_string_equal(fault_line(f, 0), "--wrokers: unknown option --wrokers; did you mean --workers?");
    assert_non_null(strstr(fault_line(f, 1), "stray: not expected here"));
    assert_non_null(strstr(fault_line(f, 2), "--log-level: log_level must be one of"));
    assert_non_null(strstr(fault_line(f, 3), "--listen: a value is missing"));
}

static void test_range_ends_are_inside(void **state) {
    struct fixture *f = *state;
    assert_int_equal(load(f, WORDS("--stream-ring", "16"), NULL), 0);
    assert_int_equal(load(f, WORDS("--stream-ring", "15"), NULL), -ERR_USAGE);
    assert_int_equal(load(f, WORDS("--stream-ring", "1048576"), NULL), 0);
    assert_int_equal(load(f, WORDS("--stream-ring", "1048577"), NULL), -ERR_USAGE);
    assert_int_equal(load(f, WORDS("--stream-ring", "16x"), NULL), -ERR_USAGE);
}

static void test_reload_changes_what_may_change(void **state) {
    struct fixture *f = *state;
    _cleanup_(str_deinit) struct str restart = STR_INIT;
    write_file(f, "workers = 2\nlog_level = \"warn\"\n");
    assert_int_equal(load(f, WORDS("--settings", "@"), NULL), 0);
    write_file(f, "workers = 3\nlisten = \"0.0.0.0:1\"\nlog_level = \"debug\"\n");
    assert_int_equal(config_reload(f->config, &restart, &f->faults, &f->err), 0);
    assert_string_equal(restart.data, "listen, workers");
    assert_int_equal(config_int(f->config, SETTING_WORKERS), 2);
    assert_string_equal(config_text(f->config, SETTING_LISTEN), "127.0.0.1:7420");
    assert_string_equal(config_text(f->config, SETTING_LOG_LEVEL), "debug");
}

static void test_reload_with_a_fault_keeps_everything(void **state) {
    struct fixture *f = *state;
    _cleanup_(str_deinit) struct str restart = STR_INIT;
    write_file(f, "log_level = \"warn\"\ndrain_timeout_s = 3\n");
    assert_int_equal(load(f, WORDS("--settings", "@"), NULL), 0);
    write_file(f, "log_level = \"debug\"\ndrain_timeout_s = -1\n");
    assert_int_equal(config_reload(f->config, &restart, &f->faults, &f->err), -ERR_CONFIG);
    assert_int_equal(f->err.line, 2);
    assert_string_equal(config_text(f->config, SETTING_LOG_LEVEL), "warn");
    assert_int_equal(config_int(f->config, SETTING_DRAIN_TIMEOUT), 3);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_defaults_are_valid),
        cmocka_unit_test(test_names_in_three_forms),
        WITH_FILE(test_sources_rise_in_priority),
        WITH_FILE(test_file_faults_have_line_and_column),
        WITH_FILE(test_missing_file),
        WITH_FILE(test_environment_faults),
        WITH_FILE(test_leaves_foreign_variables_alone),
        WITH_FILE(test_flag_faults_are_usage),
        WITH_FILE(test_range_ends_are_inside),
        WITH_FILE(test_reload_changes_what_may_change),
        WITH_FILE(test_reload_with_a_fault_keeps_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
