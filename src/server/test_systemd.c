/* SPDX-License-Identifier: Apache-2.0 */
#include "server/systemd.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const variables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"};

static int clear(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        unsetenv(variables[i]);
    return 0;
}

static void set_listen(pid_t pid, const char *count) {
    char text[24];
    snprintf(text, sizeof(text), "%d", (int)pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", count, 1);
    setenv("LISTEN_FDNAMES", "serin.socket", 1);
}

static void check_nothing_is_left(void) {
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        assert_null(getenv(variables[i]));
}

static struct systemd init(void) {
    struct systemd systemd;
    struct err err = ERR_INIT;
    if (systemd_init(&systemd, &err) < 0) fail_msg("%s", err.message);
    check_nothing_is_left();
    return systemd;
}

static void test_without_systemd(void **state) {
    struct systemd systemd = init();
    assert_int_equal(systemd.socket, 0);
    assert_string_equal(systemd.notify, "");
    systemd_notify(&systemd, "READY=1");
}

static void test_the_socket(void **state) {
    set_listen(getpid(), "1");
    assert_int_equal(init().socket, 3);
    set_listen(getpid(), "0");
    assert_int_equal(init().socket, 0);
    set_listen(getppid(), "1"); /* meant for our parent */
    assert_int_equal(init().socket, 0);
    set_listen(getppid(), "7");
    assert_int_equal(init().socket, 0);
    setenv("LISTEN_FDS", "1", 1); /* for nobody */
    assert_int_equal(init().socket, 0);
}

static void test_more_than_one_socket(void **state) {
    static const char *const counts[] = {"2", "99999999999", "-1", "x", ""};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct systemd systemd;
        struct err err = ERR_INIT;
        set_listen(getpid(), counts[i]);
        assert_int_equal(systemd_init(&systemd, &err), -ERR_CONFIG);
        assert_string_equal(err.at, "LISTEN_FDS");
        assert_true(*err.remedy != 0);
        assert_int_equal(systemd.socket, 0);
        check_nothing_is_left();
    }
}

static void test_addresses_that_are_none(void **state) {
    char text[SYSTEMD_PATH_SIZE + 1];
    memset(text, 'x', sizeof(text));
    text[0] = '/';
    text[SYSTEMD_PATH_SIZE] = '\0';
    const char *const wrong[] = {"", "/", "@", "relative", "vsock:2:1234", text};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        assert_string_equal(init().notify, "");
    }
    text[SYSTEMD_PATH_SIZE - 1] = '\0'; /* the longest that fits */
    setenv("NOTIFY_SOCKET", text, 1);
    struct systemd systemd = init();
    assert_string_equal(systemd.notify, text);
    systemd_notify(&systemd, "READY=1"); /* nobody listens there */
}

static void check_notices(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char got[64] = "";
    memcpy(address.sun_path, name, strlen(name));
    if (*name == '@') address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    struct systemd systemd = init();
    systemd_notify(&systemd, "READY=1\nSTATUS=%s %d", "one", 2);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 5000), 1);
    assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
    assert_string_equal(got, "READY=1\nSTATUS=one 2");
    close(fd);
}

static void test_notices(void **state) {
    char name[64];
    snprintf(name, sizeof(name), "/tmp/serin-test-notify-%d", (int)getpid());
    check_notices(name);
    unlink(name);
    snprintf(name, sizeof(name), "@serin-test-notify-%d", (int)getpid());
    check_notices(name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_systemd, clear),         cmocka_unit_test_setup(test_the_socket, clear),
        cmocka_unit_test_setup(test_more_than_one_socket, clear),    cmocka_unit_test_setup(test_notices, clear),
        cmocka_unit_test_setup(test_addresses_that_are_none, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
