/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_FAILPOINTS
#define SERIN_FAILPOINTS /* also in a build that has none */
#endif
#include "base/failpoint.c" /* NOLINT(bugprone-suspicious-include): the module itself, with its failpoints */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void arm(const char *text, int expected) {
    struct err err = ERR_INIT;

    setenv(VARIABLE, text, 1);
    assert_int_equal(failpoint_arm(&err), expected);
    if (expected < 0) assert_string_equal(err.at, VARIABLE);
    if (expected == 0) assert_null(getenv(VARIABLE));
    unsetenv(VARIABLE);
}

static void unknown_names_are_refused(void **state) {
    static const char *const wrong[] = {
        "", "nowhere:1", "write_commit", "write_commit:", "write_commit:0", "write_commit:x", "write_commi:1", ":1"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        arm(wrong[i], -ERR_CONFIG);
}

/* The passage at which a process ended, 0 = at none. */
static int passages_until_killed(const char *text, int passages) {
    int pipes[2], seen = 0, status;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct err err = ERR_INIT;
        setenv(VARIABLE, text, 1);
        if (failpoint_arm(&err) < 0) _exit(1);
        for (int i = 0; i < passages; i++) {
            if (write(pipes[1], "x", 1) != 1) _exit(1);
            FAILPOINT(write_begin);
            FAILPOINT(write_commit);
        }
        _exit(0);
    }
    close(pipes[1]);
    while (read(pipes[0], &byte, 1) == 1)
        seen++;
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? seen : 0;
}

static void the_nth_passage_is_the_end(void **state) {
    assert_int_equal(passages_until_killed("write_commit:1", 5), 1);
    assert_int_equal(passages_until_killed("write_commit:4", 5), 4);
    assert_int_equal(passages_until_killed("write_commit:6", 5), 0);
    assert_int_equal(passages_until_killed("rebuild_written:1", 5), 0);
}

static void without_the_variable_nothing_happens(void **state) {
    struct err err = ERR_INIT;

    unsetenv(VARIABLE);
    assert_int_equal(failpoint_arm(&err), 0);
    FAILPOINT(write_begin);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(the_nth_passage_is_the_end),
        cmocka_unit_test(without_the_variable_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
