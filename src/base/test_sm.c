/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OPEN, WAITING, CLOSED };

static const char *const states[] = {"open", "waiting", "closed"};
static const struct sm_move moves[] = {{OPEN, WAITING, "pause"}, {WAITING, OPEN, "resume"}, {OPEN, CLOSED, "close"}};
static const struct sm door = {.name = "a door",
                               .states = states,
                               .state_count = ARRAY_LEN(states),
                               .moves = moves,
                               .move_count = ARRAY_LEN(moves)};

static void test_moves_of_the_table(void **state) {
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(moves); i++)
        assert_int_equal(sm_check(&door, moves[i].from, moves[i].to, &err), 0);
    assert_int_equal(err.code, ERR_NONE);
}

static void test_other_moves_are_refused(void **state) {
    struct err err = ERR_INIT;
    assert_int_equal(sm_check(&door, OPEN, OPEN, &err), -ERR_CONFLICT);
    assert_string_equal(err.message, "a door cannot go from open to open, only to waiting (pause), closed (close)");
    assert_int_equal(sm_check(&door, WAITING, CLOSED, NULL), -ERR_CONFLICT);
    assert_int_equal(sm_check(&door, CLOSED, OPEN, &err), -ERR_CONFLICT);
    assert_string_equal(err.message, "a door cannot go from closed to open: closed is its end");
    assert_int_equal(sm_check(&door, -1, 99, &err), -ERR_CONFLICT);
    assert_non_null(strstr(err.message, "an unknown state"));
}

static void test_names(void **state) {
    assert_int_equal(sm_state_by_name(&door, "waiting"), WAITING);
    assert_int_equal(sm_state_by_name(&door, "ajar"), -1);
}

static void test_diagram(void **state) {
    struct str out = STR_INIT;
    sm_diagram(&door, &out);
    assert_string_equal(out.data, "stateDiagram-v2\n"
                                  "    [*] --> open\n"
                                  "    open --> waiting: pause\n"
                                  "    waiting --> open: resume\n"
                                  "    open --> closed: close\n"
                                  "    closed --> [*]\n");
    str_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_of_the_table),
        cmocka_unit_test(test_other_moves_are_refused),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_diagram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
