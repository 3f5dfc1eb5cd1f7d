/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void world_open(struct world *world, const struct store_options *options) {
    static const char *const none[] = {NULL};
    memset(world, 0, sizeof(*world));
    clock_fake_init(&world->clock, INT64_C(1790000000000000));
    struct store_options opened = *options;
    opened.clock = &world->clock;
    assert_int_equal(store_open(&opened, &world->store, &world->err), 0);
    assert_int_equal(publisher_new(&world->publisher), 0);
    struct live_options live = {.store = world->store, .publisher = world->publisher, .clock = &world->clock};
    assert_int_equal(live_new(&live, &world->live, NULL), 0);
    uint8_t public_key[ED25519_PUBLIC_SIZE];
    assert_int_equal(ed25519_new(world->audit_key, public_key, NULL), 0);
    world->ops =
        (struct ops){.store = world->store, .live = world->live, .clock = &world->clock, .audit_key = world->audit_key};
    assert_int_equal(fetch_allow_new("https://hooks.example", &world->outgoing, NULL), 0);
    world->ops.outgoing = world->outgoing;
    world->admin = (struct principal){
        .id = "k1", .name = "ada", .role = ROLE_ADMIN, .all_environments = true, .environments = none};
    assert_int_equal(live_catch_up(world->live, &world->err), 0);
}

void world_close(struct world *world) {
    json_decref(world->answer);
    live_free(world->live);
    publisher_free(world->publisher);
    store_close(world->store);
    fetch_allow_free(world->outgoing);
}

static json_t *parse_params(const char *text) {
    char copy[8192];
    size_t len = strlen(text);
    assert_true(len < sizeof(copy));
    for (size_t i = 0; i <= len; i++)
        copy[i] = text[i] == '\'' ? '"' : text[i];
    json_t *params = NULL;
    struct err err = ERR_INIT;
    if (json_parse(copy, len, JSON_DEPTH_MAX, &params, &err) < 0) fail_msg("%s: %s", copy, err.message);
    return params;
}

int world_call(struct world *world, const char *op, const char *params) {
    struct arena arena = ARENA_INIT;
    struct op_call call;
    json_t *values = parse_params(params);
    assert_non_null(op_by_name(op));
    op_call_init(&call, op_by_name(op), world->as ? world->as : &world->admin, values, &arena);
    call.dry_run = world->dry_run;
    call.idempotency_key = world->idempotency_key;
    world->err = ERR_INIT;
    clock_fake_advance(&world->clock, 1000000);
    int r = ops_call(&world->ops, &call, &world->err);
    assert_true(r <= 0);

    json_decref(world->answer);
    world->answer = NULL;
    world->status = call.status;
    world->replayed = call.replayed;
    world->current = call.current;
    if (r == 0) assert_int_equal(json_parse(call.body.data, call.body.len, JSON_DEPTH_MAX, &world->answer, NULL), 0);
    op_call_deinit(&call);
    json_decref(values);
    arena_deinit(&arena);
    return -r;
}

const json_t *world_do(struct world *world, const char *op, const char *params) {
    int code = world_call(world, op, params);
    if (code) fail_msg("%s %s: %s (%s)", op, params, world->err.message, err_name(world->err.code));
    return world->answer;
}

int64_t world_served(struct world *world, const char *agent, const char *environment, const char *key) {
    struct resolve_question question = {slice_of(agent), slice_of(environment), slice_of(key)};
    struct decision decision;
    struct publisher_borrow borrow = publisher_borrow(world->publisher);
    int64_t version = resolve(borrow.snapshot, &question, &decision) == 0 ? decision.version->number : 0;
    publisher_return(world->publisher, borrow);
    return version;
}

static int read_seq(void *arg, struct store_tx *tx, struct err *err) {
    int64_t at;
    return store_head(tx, arg, &at, err);
}

int64_t world_seq(struct world *world) {
    struct position position;
    assert_int_equal(store_read(world->store, read_seq, &position, &world->err), 0);
    return position.seq;
}

int64_t world_push(struct world *world, const char *agent, const char *prompt) {
    char params[1024];
    snprintf(params, sizeof(params), "{'agent':'%s','config':{'model':'m-1','system_prompt':'%s'}}", agent, prompt);
    return json_integer_value(json_at(world_do(world, "version_push", params), "/version/version"));
}
