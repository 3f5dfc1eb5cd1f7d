/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of loading and reloading fails once: no crash, no leak, and what is in force stays. */
#include "base/ticker.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/serin-test-XXXXXX";

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_file(void **state) {
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    return unlink(path);
}

static const char *const argv[] = {"--workers=3", "--settings", path};
static const char *const environment[] = {"SERIN_CONTROL_THREADS=5", NULL};
static const struct config_sources sources = {3, (char *const *)argv, (char *const *)environment};

static void test_loading(void **state) {
    write_file("log_level = \"warn\"\nlisten = '127.0.0.1:1'\n");
    size_t n = 1;
    for (bool failed = true; failed; n++) {
        struct config *config = NULL;
        struct faults faults = FAULTS_INIT;
        struct err err = ERR_INIT;
        ticker_start(n);
        int r = config_load(&sources, &config, &faults, &err);
        failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        config_free(config);
        faults_deinit(&faults);
    }
    assert_true(n > 3);
}

static void test_reloading(void **state) {
    struct config *config = NULL;
    struct err err = ERR_INIT;
    struct faults faults = FAULTS_INIT;
    write_file("log_level = \"warn\"\n");
    assert_int_equal(config_load(&sources, &config, &faults, &err), 0);
    write_file("log_level = \"debug\"\nlisten = '0.0.0.0:1'\n");
    size_t n = 1;
    for (bool failed = true; failed; n++) {
        struct str restart = STR_INIT;
        ticker_start(n);
        int r = config_reload(config, &restart, &faults, &err);
        failed = ticker_stop();
        if (r < 0) assert_int_equal(r, -ERR_NO_MEMORY);
        assert_string_equal(config_text(config, SETTING_LOG_LEVEL), r < 0 ? "warn" : "debug");
        assert_string_equal(config_text(config, SETTING_LISTEN), "127.0.0.1:7420");
        str_deinit(&restart);
        if (r == 0) break;
    }
    assert_true(n > 3);
    config_free(config);
    faults_deinit(&faults);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_loading), cmocka_unit_test(test_reloading)};
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
