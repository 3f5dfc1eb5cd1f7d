/* SPDX-License-Identifier: Apache-2.0 */
/* A command line in a world of its own: scripted answers instead of a server, memory instead of a terminal, a clock that moves in pauses only. */
#ifndef SERIN_CLI_TEST_WORLD_H
#define SERIN_CLI_TEST_WORLD_H

#include "cli/cli_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* 2026-11-23 14:05:00 UTC */
#define TEST_NOW INT64_C(1795442700000000)
#define TEST_CALLS_MAX 512

struct test_answer {
    int r; /* below 0: no answer, with this error */
    int status;
    const char *body;
};

struct test_request {
    char method[8], url[512], key[128], idempotency_key[64];
    char *body; /* NULL: none */
};

struct test_world {
    struct cli_world world;
    struct cli_transport transport;
    struct clock clock;
    const struct test_answer *answers; /* in turn; the last one again and again */
    size_t answer_count;
    struct test_request requests[TEST_CALLS_MAX];
    size_t request_count;
    unsigned pauses[TEST_CALLS_MAX];
    size_t pause_count;
    size_t fail_allocation; /* the n-th one of a run; 0: none */
    bool allocation_failed;
    char *environment[8];
    char home[64];
    char *out, *err; /* of the last run */
};

/* Setup and teardown for cmocka: *state is the world. It has a home folder of its own and no variables but HOME. */
int test_world_setup(void **state);
int test_world_teardown(void **state);
void test_world_answers(struct test_world *world, const struct test_answer *answers, size_t count);
#define ANSWERS(world, ...)                                                                                            \
    test_world_answers(world, (const struct test_answer[]){__VA_ARGS__},                                               \
                       sizeof((const struct test_answer[]){__VA_ARGS__}) / sizeof(struct test_answer))
void test_world_variable(struct test_world *world, const char *variable); /* "SERIN_KEY=…" */
/* Runs `serin` with the words, separated by single spaces; words with spaces stand in '…'. Answers the exit code. */
int test_world_run(struct test_world *world, const char *words);
/* Writes a file below the home folder, making folders. */
void test_world_file(struct test_world *world, const char *path, const char *text, unsigned mode);
void assert_has(const char *text, const char *part);
void assert_has_not(const char *text, const char *part);

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, test_world_setup, test_world_teardown)

#endif
