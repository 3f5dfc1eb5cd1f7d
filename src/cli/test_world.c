/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test_world.h"

#include "base/ticker.h"

#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fake_request(void *ctx, const struct cli_request *request, struct cli_response *ret, struct err *err) {
    struct test_world *world = ctx;
    assert_true(world->request_count < TEST_CALLS_MAX);
    assert_true(world->answer_count > 0);
    size_t turn = world->request_count < world->answer_count ? world->request_count : world->answer_count - 1;
    const struct test_answer *answer = &world->answers[turn];
    struct test_request *kept = &world->requests[world->request_count++];
    snprintf(kept->method, sizeof(kept->method), "%s", request->method);
    snprintf(kept->url, sizeof(kept->url), "%s", request->url);
    snprintf(kept->key, sizeof(kept->key), "%s", request->key ? request->key : "");
    snprintf(kept->idempotency_key, sizeof(kept->idempotency_key), "%s",
             request->idempotency_key ? request->idempotency_key : "");
    kept->body = request->body.ptr ? strndup(request->body.ptr, request->body.len) : NULL;
    if (answer->r < 0) return err_set(err, (enum err_code) - answer->r, "scripted failure");
    ret->status = answer->status;
    if (request->data && answer->status == 200)
        return request->data(request->data_ctx, answer->body, strlen(answer->body));
    str_add_text(&ret->body, answer->body);
    return 0;
}

static void fake_pause(void *ctx, unsigned milliseconds) {
    struct test_world *world = ctx;
    assert_true(world->pause_count < TEST_CALLS_MAX);
    world->pauses[world->pause_count++] = milliseconds;
    clock_fake_advance(&world->clock, milliseconds * INT64_C(1000));
}

static void forget_requests(struct test_world *world) {
    for (size_t i = 0; i < world->request_count; i++)
        free(world->requests[i].body);
    memset(world->requests, 0, sizeof(world->requests));
    world->request_count = world->pause_count = 0;
}

int test_world_setup(void **state) {
    struct test_world *world = calloc(1, sizeof(*world));
    if (!world) return -1;
    setenv("TZ", "UTC", 1);
    snprintf(world->home, sizeof(world->home), "/tmp/serin-test-XXXXXX");
    if (!mkdtemp(world->home)) return -1;
    clock_fake_init(&world->clock, TEST_NOW);
    world->transport = (struct cli_transport){.ctx = world, .request = fake_request, .pause = fake_pause};
    world->world = (struct cli_world){
        .environment = world->environment, .who = "ada@lab", .clock = &world->clock, .transport = &world->transport};
    char home[80];
    snprintf(home, sizeof(home), "HOME=%s", world->home);
    test_world_variable(world, home);
    *state = world;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

int test_world_teardown(void **state) {
    struct test_world *world = *state;
    forget_requests(world);
    free(world->out);
    free(world->err);
    for (size_t i = 0; world->environment[i]; i++)
        free(world->environment[i]);
    nftw(world->home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

void test_world_answers(struct test_world *world, const struct test_answer *answers, size_t count) {
    world->answers = answers;
    world->answer_count = count;
}

void test_world_variable(struct test_world *world, const char *variable) {
    size_t i = 0;
    while (world->environment[i])
        i++;
    assert_true(i + 1 < ARRAY_LEN(world->environment));
    world->environment[i] = strdup(variable);
    assert_non_null(world->environment[i]);
}

/* Cuts the words apart in place. */
static int split(char *words, char **argv, int max) {
    int count = 0;
    for (char *p = words; *p;) {
        bool quoted = *p == '\'';
        assert_true(count < max);
        argv[count++] = p += quoted;
        p += strcspn(p, quoted ? "'" : " ");
        if (*p) *p++ = '\0';
        if (quoted && *p == ' ') p++;
    }
    return count;
}

int test_world_run(struct test_world *world, const char *words) {
    char *copy = strdup(words), name[] = "serin", *argv[32] = {name};
    size_t out_len, err_len;
    assert_non_null(copy);
    int argc = 1 + split(copy, argv + 1, 31);
    forget_requests(world);
    free(world->out);
    free(world->err);
    world->out = world->err = NULL;
    world->world.out = open_memstream(&world->out, &out_len);
    world->world.err = open_memstream(&world->err, &err_len);
    assert_non_null(world->world.out);
    assert_non_null(world->world.err);
    if (world->fail_allocation) ticker_start(world->fail_allocation);
    int code = cli_run(&world->world, argc, argv, NULL, 0);
    world->allocation_failed = ticker_stop();
    fclose(world->world.out);
    fclose(world->world.err);
    free(copy);
    return code;
}

void test_world_file(struct test_world *world, const char *path, const char *text, unsigned mode) {
    char whole[256];
    snprintf(whole, sizeof(whole), "%s/%s", world->home, path);
    for (char *p = whole + strlen(world->home) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(whole, 0700);
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(whole, mode), 0);
}

void assert_has(const char *text, const char *part) {
    if (!text || !strstr(text, part)) fail_msg("\"%s\" is not in:\n%s", part, text ? text : "(nothing)");
}

void assert_has_not(const char *text, const char *part) {
    if (text && strstr(text, part)) fail_msg("\"%s\" is in:\n%s", part, text);
}
