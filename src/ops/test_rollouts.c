/* SPDX-License-Identifier: Apache-2.0 */
/* Rollouts, templates and panics through the table: what moves them, who may, and what ends them. */
#include "ops/test_world.h"
#include "store/rollouts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world world;
static struct principal controller;

/* support: four versions, 1 and 2 were served in production and 1 in staging; other: two versions, 1 served. */
static int setup(void **state) {
    static int number;
    static char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:rollouts%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    controller = principal_controller();
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_do(&world, "environment_put", "{'environment':'staging'}");
    for (int i = 1; i <= 4; i++)
        world_push(&world, "support", (const char *[]){"", "one", "two", "three", "four"}[i]);
    world_push(&world, "other", "one");
    world_push(&world, "other", "two");
    world_do(&world, "deploy", "{'agent':'support','environment':'production','version':1,'reason':''}");
    world_do(&world, "deploy", "{'agent':'support','environment':'production','version':2,'reason':''}");
    world_do(&world, "deploy", "{'agent':'support','environment':'staging','version':1,'reason':''}");
    world_do(&world, "deploy", "{'agent':'other','environment':'production','version':1,'reason':''}");
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

static const char *text_at(const char *pointer) {
    const char *text = json_string_value(json_at(world.answer, pointer));
    if (!text) fail_msg("no text at %s", pointer);
    return text;
}

static double number_at(const char *pointer) {
    const json_t *value = json_at(world.answer, pointer);
    if (!json_is_number(value)) fail_msg("no number at %s", pointer);
    return json_number_value(value);
}

static bool true_at(const char *pointer) {
    return json_is_true(json_at(world.answer, pointer));
}

#define STEPS "'steps':[{'share':5},{'share':25,'approval':true},{'share':50}]"
#define START "{'agent':'support','environment':'production','version':3,'reason':'try'," STEPS "}"

static char rollout_id[64];

static const char *start(const char *params) {
    world_do(&world, "rollout_start", params);
    snprintf(rollout_id, sizeof(rollout_id), "%s", text_at("/rollout/id"));
    return rollout_id;
}

/* One of the operations about the rollout in production; answers its code. */
static int act(const char *op, const char *more) {
    char params[300];
    snprintf(params, sizeof(params), "{'agent':'support','rollout':'production','reason':'because'%s}", more);
    return world_call(&world, op, params);
}

static void acted(const char *op, const char *state, double share) {
    if (act(op, "")) fail_msg("%s: %s", op, world.err.message);
    assert_string_equal(text_at("/rollout/state"), state);
    assert_true(number_at("/rollout/share") == share);
    assert_true(true_at("/changed"));
    assert_int_equal(number_at("/rollout/moved_seq"), world_seq(&world));
}

static void show(void) {
    world_do(&world, "rollout_get", "{'agent':'support','rollout':'production'}");
}

static int64_t moved_seq(void) {
    show();
    return (int64_t)number_at("/rollout/moved_seq");
}

static int verdict(const char *action, int64_t expected) {
    char params[400];
    snprintf(params, sizeof(params),
             "{'rollout':'%s','action':'%s','words':'so says the evidence','expected':%lld,'evidence':'AAEC'}",
             rollout_id, action, (long long)expected);
    world.as = &controller;
    int code = world_call(&world, "rollout_verdict", params);
    world.as = NULL;
    return code;
}

static bool is_held(void) {
    world_do(&world, "hold_list", "{'environment':'production'}");
    return json_array_size(json_at(world.answer, "/holds")) > 0;
}

static int64_t served(void) {
    return world_served(&world, "support", "production", NULL);
}

/* ---- starting ---- */

static void test_a_rollout_is_decided_whole_at_its_start(void **state) {
    start(START);
    assert_int_equal(world.status, 201);
    assert_string_equal(text_at("/rollout/state"), "running");
    assert_int_equal(number_at("/rollout/candidate"), 3);
    assert_int_equal(number_at("/rollout/stable"), 2);
    assert_int_equal(number_at("/rollout/step"), 1);
    assert_int_equal(number_at("/rollout/step_count"), 3);
    assert_true(number_at("/rollout/share") == 5);
    assert_string_equal(text_at("/rollout/words"), "try");
    assert_string_equal(text_at("/rollout/salt"), rollout_id);
    assert_string_equal(text_at("/rollout/plan/on_end"), "ask"); /* production is protected */
    assert_string_equal(text_at("/rollout/plan/analysis/settle"), "1m");
    assert_null(json_at(world.answer, "/rollout/audience"));
    world_do(&world, "audit_list", "{'after':12}");
    show();
    assert_int_equal(json_array_size(json_at(world.answer, "/moves")), 1);
    assert_string_equal(text_at("/moves/0/action"), "start");
}

static void test_templates_fill_what_is_open(void **state) {
    world_do(&world, "rollout_start",
             "{'agent':'support','environment':'staging','version':2,'reason':'','template':'fast','on_harm':'hold'}");
    assert_int_equal(number_at("/rollout/step_count"), 3);
    assert_string_equal(text_at("/rollout/plan/on_harm"), "hold");
    assert_string_equal(text_at("/rollout/plan/on_end"), "promote");
    world_do(&world, "rollout_start", "{'agent':'support','environment':'production','version':3,'reason':''}");
    assert_int_equal(number_at("/rollout/step_count"), 4); /* standard */
    assert_true(number_at("/rollout/plan/limits/error/past") == 0.2);
}

static void test_named_steps_take_no_template(void **state) {
    start(START);
    assert_null(json_at(world.answer, "/rollout/plan/limits/error"));
}

static const struct {
    const char *params;
    enum err_code code;
    const char *at;
} refused[] = {
    {"'environment':'production','version':2,'reason':''", ERR_INVALID, "/version"},
    {"'environment':'production','version':9,'reason':''", ERR_VERSION_NOT_FOUND, NULL},
    {"'environment':'nowhere','version':3,'reason':''", ERR_ENVIRONMENT_NOT_FOUND, NULL},
    {"'environment':'production','version':3,'reason':'','template':'none'", ERR_NOT_FOUND, "/template"},
    {"'environment':'production','version':3,'reason':'','steps':[]", ERR_INVALID, "/steps"},
    {"'environment':'production','version':3,'reason':'','steps':[{'share':5},{'share':1}]", ERR_INVALID,
     "/steps/1/share"},
    {"'environment':'production','version':3,'reason':'','judge':'coin'", ERR_INVALID, "/judge"},
    {"'environment':'production','version':3,'reason':'','limits':{'tokens':{'past':1}}", ERR_INVALID,
     "/limits/tokens"},
    {"'environment':'production','version':3,'reason':'','guards':[5]", ERR_INVALID, "/guards/0"},
    {"'environment':'production','version':3,'reason':'','analysis':{'alpha':2}", ERR_INVALID, "/analysis/alpha"},
    {"'environment':'production','version':3,'reason':'','audience':{'nonsense':[1]}", ERR_INVALID, "/audience"},
    {"'environment':'production','version':3,'reason':'','salt':''", ERR_BAD_REQUEST, "/salt"},
};

static void test_what_is_refused_changes_nothing(void **state) {
    int64_t before = world_seq(&world);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char params[400];
        snprintf(params, sizeof(params), "{'agent':'support',%s}", refused[i].params);
        int code = world_call(&world, "rollout_start", params);
        if (code != (int)refused[i].code) fail_msg("%s: %s", params, err_name((enum err_code)code));
        if (refused[i].at && strncmp(world.err.at, refused[i].at, strlen(refused[i].at)))
            fail_msg("%s: %s", params, world.err.at);
        assert_true(world.err.message[0]);
    }
    assert_int_equal(world_seq(&world), before);
}

static const char guarded[] = "{'agent':'support','environment':'production','version':3,'reason':'try','guards':["
                              "{'name':'p99','url':'https://prometheus.test/sub','query':'up','condition':'> 5'},"
                              "{'name':'other','url':'%s','query':'up','condition':'> 5'}]}";

/* Told at the start, with the setting by name. */
static void test_guards_must_be_allowed(void **state) {
    static const struct {
        const char *url, *message, *code;
    } cases[] = {
        {"http://prometheus.test", "may not send requests to http://prometheus.test:80", "outgoing_not_allowed"},
        {"http://169.254.169.254/latest", "may not send requests to http://169.254.169.254:80", "outgoing_not_allowed"},
        {"https://ada:secret@prometheus.test", "must not have a user name", "invalid"},
    };
    char params[600];
    assert_int_equal(fetch_allow_new("https://prometheus.test:443", &world.ops.outgoing, NULL), 0);
    int64_t before = world_seq(&world);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(params, sizeof(params), guarded, cases[i].url);
        assert_int_equal(world_call(&world, "rollout_start", params), ERR_INVALID);
        assert_string_equal(world.err.at, "/guards/1/url");
        if (!strstr(world.err.message, cases[i].message)) fail_msg("%s", world.err.message);
        assert_null(strstr(world.err.message, "secret"));
    }
    assert_int_equal(world_seq(&world), before);
    snprintf(params, sizeof(params), guarded, "https://Prometheus.test:443/");
    world_do(&world, "rollout_start", params);
    world.ops.outgoing = fetch_allow_free(world.ops.outgoing);
}

static void test_nothing_deployed(void **state) {
    assert_int_equal(
        world_call(&world, "rollout_start", "{'agent':'other','environment':'staging','version':2,'reason':''}"),
        ERR_NOT_DEPLOYED);
}

static void test_one_at_a_time(void **state) {
    start(START);
    assert_int_equal(
        world_call(&world, "rollout_start", "{'agent':'support','environment':'production','version':4,'reason':''}"),
        ERR_CONFLICT);
    assert_non_null(strstr(world.err.message, rollout_id));
    world_do(&world, "rollout_start", "{'agent':'support','environment':'staging','version':4,'reason':''}");
    world_do(&world, "rollout_start", "{'agent':'other','environment':'production','version':2,'reason':''}");
    acted("rollout_abort", "aborted", 0);
    world_do(&world, "rollout_start", "{'agent':'support','environment':'production','version':4,'reason':''}");
}

static void test_an_audience(void **state) {
    start("{'agent':'support','environment':'production','version':3,'reason':'','audience':{'==':[{'var':'plan'},'pro'"
          "]}}");
    assert_string_equal(text_at("/rollout/audience/==/0/var"), "plan");
}

static void test_the_same_candidate_has_the_same_canaries(void **state) {
    char salt[64];
    start(START);
    snprintf(salt, sizeof(salt), "%s", text_at("/rollout/salt"));
    acted("rollout_abort", "aborted", 0);
    start("{'agent':'support','environment':'production','version':4,'reason':''}");
    assert_string_not_equal(text_at("/rollout/salt"), salt);
    acted("rollout_abort", "aborted", 0);
    start(START);
    assert_string_equal(text_at("/rollout/salt"), salt);
    assert_string_not_equal(rollout_id, salt);
    acted("rollout_abort", "aborted", 0);
    start("{'agent':'support','environment':'production','version':3,'reason':'','salt':'spring'}");
    assert_string_equal(text_at("/rollout/salt"), "spring");
}

/* ---- moving ---- */

static void test_a_life_to_promotion(void **state) {
    start(START);
    acted("rollout_pause", "paused", 5);
    acted("rollout_resume", "running", 5);
    acted("rollout_advance", "running", 25);
    assert_int_equal(number_at("/rollout/step"), 2);
    acted("rollout_advance", "running", 50);
    assert_int_equal(act("rollout_advance", ""), ERR_CONFLICT);
    assert_int_equal(served(), 2);
    acted("rollout_promote", "promoted", 0);
    assert_string_equal(text_at("/deployment/kind"), "promote");
    assert_int_equal(number_at("/deployment/previous"), 2);
    assert_int_equal(served(), 3);
    assert_false(is_held());
    show();
    static const char *const actions[] = {"promote", "advance", "advance", "resume", "pause", "start"};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        char pointer[32];
        snprintf(pointer, sizeof(pointer), "/moves/%zu/action", i);
        assert_string_equal(text_at(pointer), actions[i]);
    }
    world_do(&world, "rollback", "{'agent':'support','environment':'production','reason':'no'}");
    assert_int_equal(served(), 2);
}

static void test_moves_again_change_nothing(void **state) {
    start(START);
    acted("rollout_pause", "paused", 5);
    int64_t before = world_seq(&world);
    assert_int_equal(act("rollout_pause", ""), 0);
    assert_false(true_at("/changed"));
    assert_int_equal(world_seq(&world), before);
}

static void test_moves_that_the_table_refuses(void **state) {
    start(START);
    acted("rollout_pause", "paused", 5);
    assert_int_equal(act("rollout_promote", ""), ERR_CONFLICT);
    assert_non_null(strstr(world.err.message, "resume"));
    assert_int_equal(act("rollout_advance", ""), ERR_CONFLICT);
    acted("rollout_abort", "aborted", 0);
    static const char *const ops[] = {"rollout_pause", "rollout_resume", "rollout_advance", "rollout_promote"};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        assert_int_equal(act(ops[i], ""), ERR_CONFLICT);
}

static void test_a_named_step(void **state) {
    start(START);
    assert_int_equal(act("rollout_advance", ",'step':1"), ERR_INVALID);
    assert_int_equal(act("rollout_advance", ",'step':4"), ERR_INVALID);
    assert_int_equal(act("rollout_advance", ",'step':0"), ERR_INVALID);
    assert_string_equal(world.err.at, "/step");
    assert_int_equal(act("rollout_advance", ",'step':3"), 0);
    assert_true(number_at("/rollout/share") == 50);
}

static void test_time_at_a_step_goes_on_through_a_pause(void **state) {
    char since[64];
    start(START);
    snprintf(since, sizeof(since), "%s", text_at("/rollout/step_at"));
    acted("rollout_pause", "paused", 5);
    assert_string_equal(text_at("/rollout/step_at"), since);
    acted("rollout_resume", "running", 5);
    show();
    assert_string_equal(text_at("/rollout/step_at"), since);
    acted("rollout_advance", "running", 25);
    assert_string_not_equal(text_at("/rollout/step_at"), since);
}

static void test_a_dry_run_shows_what_would_be(void **state) {
    start(START);
    int64_t before = world_seq(&world);
    world.dry_run = true;
    assert_int_equal(act("rollout_promote", ""), 0);
    world.dry_run = false;
    assert_string_equal(text_at("/rollout/state"), "promoted");
    assert_int_equal(number_at("/deployment/version"), 3);
    assert_int_equal(world_seq(&world), before);
    assert_int_equal(served(), 2);
}

static void test_rollouts_by_id(void **state) {
    char params[200];
    snprintf(params, sizeof(params), "{'agent':'support','rollout':'%s'}", start(START));
    world_do(&world, "rollout_get", params);
    snprintf(params, sizeof(params), "{'agent':'other','rollout':'%s'}", rollout_id);
    assert_int_equal(world_call(&world, "rollout_get", params), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "rollout_get", "{'agent':'support','rollout':'staging'}"), ERR_NOT_FOUND);
    world_do(&world, "rollout_list", "{'agent':'support','open':true}");
    assert_int_equal(json_array_size(json_at(world.answer, "/rollouts")), 1);
    acted("rollout_abort", "aborted", 0);
    world_do(&world, "rollout_list", "{'agent':'support','open':true}");
    assert_int_equal(json_array_size(json_at(world.answer, "/rollouts")), 0);
    world_do(&world, "rollout_list", "{'agent':'support','environment':'production'}");
    assert_string_equal(text_at("/rollouts/0/id"), rollout_id);
}

/* ---- what else moves the ref ---- */

static void ended(const char *op, const char *params, const char *as, bool held) {
    start(START);
    world_do(&world, op, params);
    const char *told = json_string_value(json_at(world.answer, "/rollout_ended"));
    if (!told) told = text_at("/rollouts_ended/0");
    assert_string_equal(told, rollout_id);
    show();
    assert_string_equal(text_at("/rollout/state"), as);
    assert_true(number_at("/rollout/share") == 0);
    assert_string_equal(text_at("/moves/0/action"), "end");
    assert_non_null(strstr(text_at("/moves/0/words"), op));
    assert_int_equal(number_at("/moves/0/seq"), world_seq(&world)); /* one change */
    assert_int_equal(is_held(), held);
}

static void test_a_deploy_ends_it(void **state) {
    ended("deploy", "{'agent':'support','environment':'production','version':4,'reason':'now'}", "aborted", false);
}

static void test_a_rollback_ends_it(void **state) {
    ended("rollback", "{'agent':'support','environment':'production','reason':'now'}", "rolled_back", true);
}

static void test_a_release_ends_it(void **state) {
    ended("release_create",
          "{'environment':'production','reason':'now','moves':[{'agent':'other','version':2},{'agent':'support','"
          "version':4}]}",
          "aborted", false);
}

static void test_a_releases_rollback_ends_it(void **state) {
    char params[200];
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'support','version':1}]}");
    snprintf(params, sizeof(params), "{'release':'%s','reason':'now'}", text_at("/release/id"));
    ended("release_rollback", params, "rolled_back", true);
}

static void test_what_changes_nothing_ends_nothing(void **state) {
    start(START);
    world_do(&world, "deploy", "{'agent':'support','environment':'production','version':2,'reason':''}");
    show();
    assert_string_equal(text_at("/rollout/state"), "running");
}

/* ---- verdicts ---- */

static void test_only_the_controller_gives_verdicts(void **state) {
    char params[300];
    snprintf(params, sizeof(params), "{'rollout':'%s','action':'hold','words':'x','expected':1}", start(START));
    assert_int_equal(world_call(&world, "rollout_verdict", params), ERR_FORBIDDEN);
}

static void test_a_verdict_goes_on(void **state) {
    start(START);
    if (verdict("advance", moved_seq())) fail_msg("%s", world.err.message);
    assert_true(number_at("/rollout/share") == 25);
    assert_string_equal(text_at("/rollout/moved_by"), "controller");
    assert_string_equal(text_at("/rollout/words"), "so says the evidence");
    world_do(&world, "audit_list", "{'after':0,'limit':1000}");
    const json_t *entry =
        json_array_get(json_at(world.answer, "/entries"), json_array_size(json_at(world.answer, "/entries")) - 1);
    assert_string_equal(json_get_text(entry, "operation"), "rollout_verdict");
    assert_string_equal(json_get_text(entry, "actor"), "controller");
    assert_string_equal(json_get_text(entry, "reason"), "so says the evidence");
    assert_string_equal(json_get_text(json_get(entry, "detail"), "evidence"),
                        "sha256:ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc");
}

static int read_evidence(void *arg, struct store_tx *tx, struct err *err) {
    struct arena arena = ARENA_INIT;
    struct rollout_move *moves;
    size_t count;
    assert_int_equal(store_rollout_moves(tx, rollout_id, 0, 10, true, &arena, &moves, &count, err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(moves[0].evidence.len, 3);
    assert_memory_equal(moves[0].evidence.ptr, "\0\1\2", 3);
    assert_string_equal(moves[0].action, "hold");
    arena_deinit(&arena);
    return 0;
}

static void test_evidence_is_kept_to_the_byte(void **state) {
    start(START);
    assert_int_equal(verdict("hold", moved_seq()), 0);
    assert_string_equal(text_at("/rollout/state"), "held");
    assert_int_equal(store_read(world.store, read_evidence, NULL, &world.err), 0);
    acted("rollout_resume", "running", 5);
}

static void test_a_rolled_back_rollout(void **state) {
    start(START);
    assert_int_equal(verdict("rollback", moved_seq()), 0);
    assert_string_equal(text_at("/rollout/state"), "rolled_back");
    assert_true(number_at("/rollout/share") == 0);
    assert_true(true_at("/held"));
    assert_true(is_held());
    assert_string_equal(text_at("/holds/0/by"), "controller");
    assert_int_equal(served(), 2);
}

static void test_a_verdict_is_never_late(void **state) {
    start(START);
    int64_t seen = moved_seq();
    acted("rollout_pause", "paused", 5);
    static const char *const actions[] = {"hold", "advance", "promote", "rollback"};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        assert_int_equal(verdict(actions[i], seen), ERR_STALE);
        assert_int_equal(world.current, seen + 1);
    }
    acted("rollout_resume", "running", 5);
    assert_int_equal(verdict("rollback", seen), ERR_STALE); /* it stands as it did, but a person had a hand in it */
    acted("rollout_abort", "aborted", 0);
    assert_int_equal(verdict("rollback", moved_seq()), ERR_CONFLICT);
}

static void test_harm_rolls_back_what_is_paused_or_held(void **state) {
    start(START);
    acted("rollout_pause", "paused", 5);
    assert_int_equal(verdict("advance", moved_seq()), ERR_CONFLICT);
    assert_int_equal(verdict("hold", moved_seq()), ERR_CONFLICT);
    assert_int_equal(verdict("rollback", moved_seq()), 0);
    world_do(&world, "hold_release", "{'agent':'support','environment':'production'}");
    start(START);
    assert_int_equal(verdict("hold", moved_seq()), 0);
    assert_int_equal(verdict("advance", moved_seq()), ERR_HELD);
    assert_int_equal(verdict("promote", moved_seq()), ERR_HELD);
    assert_int_equal(verdict("rollback", moved_seq()), 0);
}

static void test_a_persons_word_stands_against_going_on(void **state) {
    start("{'agent':'support','environment':'production','version':3,'reason':'','on_end':'promote'," STEPS "}");
    world_do(&world, "hold_set", "{'agent':'support','environment':'production','reason':'wait'}");
    assert_int_equal(verdict("advance", moved_seq()), ERR_HELD);
    assert_int_equal(verdict("promote", moved_seq()), ERR_HELD);
    world_do(&world, "hold_release", "{'agent':'support','environment':'production'}");
    world_do(&world, "panic_set", "{'environment':'production','reason':'fire'}");
    assert_int_equal(verdict("advance", moved_seq()), ERR_HELD);
    world_do(&world, "panic_release", "{'environment':'production'}");
    world_do(&world, "panic_set", "{'agent':'support','environment':'production','reason':'fire'}");
    assert_int_equal(verdict("promote", moved_seq()), ERR_HELD);
    world_do(&world, "panic_release", "{'agent':'support','environment':'production'}");
    assert_int_equal(verdict("advance", moved_seq()), 0);
    assert_int_equal(verdict("advance", moved_seq()), ERR_HELD); /* the step asks for approval */
    assert_non_null(strstr(world.err.message, "step"));
    assert_int_equal(verdict("promote", moved_seq()), ERR_HELD);
    acted("rollout_advance", "running", 50);
    assert_int_equal(verdict("advance", moved_seq()), ERR_CONFLICT); /* the last one */
    assert_int_equal(verdict("promote", moved_seq()), 0);
    assert_int_equal(served(), 3);
}

static void test_an_end_that_asks(void **state) {
    start("{'agent':'support','environment':'production','version':3,'reason':'','steps':[{'share':50}]}");
    assert_int_equal(verdict("promote", moved_seq()), ERR_HELD);
    assert_int_equal(served(), 2);
    assert_int_equal(verdict("hold", moved_seq()), 0);
    acted("rollout_promote", "promoted", 0); /* a person says yes to what is held */
    assert_int_equal(served(), 3);
}

static void test_odd_verdicts(void **state) {
    char params[300];
    start(START);
    assert_int_equal(verdict("applaud", moved_seq()), ERR_BAD_REQUEST);
    snprintf(params, sizeof(params), "{'rollout':'%s','action':'hold','words':'x','expected':%lld,'evidence':'AAE'}",
             rollout_id, (long long)moved_seq());
    world.as = &controller;
    assert_int_equal(world_call(&world, "rollout_verdict", params), ERR_BAD_REQUEST);
    assert_string_equal(world.err.at, "/evidence");
    assert_int_equal(
        world_call(&world, "rollout_verdict",
                   "{'rollout':'0191f3a0-0000-7000-8000-000000000000','action':'hold','words':'','expected':1}"),
        ERR_NOT_FOUND);
    assert_int_equal(
        world_call(&world, "rollout_start", "{'agent':'other','environment':'production','version':2,'reason':''}"), 0);
    world.as = NULL;
    world_do(&world, "hold_set", "{'agent':'support','environment':'staging','reason':'wait'}");
    world.as = &controller;
    assert_int_equal(
        world_call(&world, "rollout_start", "{'agent':'support','environment':'staging','version':2,'reason':''}"),
        ERR_HELD);
    world.as = NULL;
    world_do(&world, "rollout_start", "{'agent':'support','environment':'staging','version':2,'reason':''}");
}

static void test_a_verdict_is_given_once(void **state) {
    start(START);
    int64_t seen = moved_seq();
    world.idempotency_key = "verdict-1";
    assert_int_equal(verdict("advance", seen), 0);
    assert_int_equal(verdict("advance", seen), 0);
    assert_true(world.replayed);
    world.idempotency_key = NULL;
    assert_int_equal(verdict("advance", seen), ERR_STALE);
}

/* ---- templates ---- */

static void test_templates_are_read_and_written_over(void **state) {
    world_do(&world, "rollout_template_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/templates")), 3);
    assert_true(true_at("/templates/0/built_in"));
    world_do(&world, "rollout_template_put", "{'template':'fast','steps':[{'share':10}]}");
    assert_int_equal(world.status, 200);
    assert_false(true_at("/template/built_in"));
    world_do(&world, "rollout_template_put", "{'template':'ours','steps':[{'share':7}],'description':'of us'}");
    assert_int_equal(world.status, 201);
    world_do(&world, "rollout_template_list", "{}");
    static const char *const names[] = {"careful", "fast", "ours", "standard"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char pointer[32];
        snprintf(pointer, sizeof(pointer), "/templates/%zu/name", i);
        assert_string_equal(text_at(pointer), names[i]);
    }
    world_do(&world, "rollout_template_get", "{'template':'ours'}");
    assert_string_equal(text_at("/description"), "of us");
    assert_true(number_at("/content/steps/0/share") == 7);
    int64_t before = world_seq(&world);
    world_do(&world, "rollout_template_put", "{'template':'ours','steps':[{'share':7}]}");
    assert_false(true_at("/changed"));
    assert_int_equal(world_seq(&world), before);
    start("{'agent':'support','environment':'production','version':3,'reason':'','template':'ours'}");
    assert_true(number_at("/rollout/share") == 7);
    assert_int_equal(world_call(&world, "rollout_template_get", "{'template':'none'}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "rollout_template_put", "{'template':'bad','judge':'evidence'}"), ERR_INVALID);
    assert_string_equal(world.err.at, "/steps");
}

static void test_a_template_changes_no_rollout_under_way(void **state) {
    start("{'agent':'support','environment':'production','version':3,'reason':'','template':'fast'}");
    world_do(&world, "rollout_template_put", "{'template':'fast','steps':[{'share':99}]}");
    acted("rollout_advance", "running", 25);
}

/* ---- panics ---- */

static void test_panic_freezes_on_a_number(void **state) {
    world_do(&world, "panic_set", "{'agent':'support','environment':'production','reason':'fire'}");
    assert_int_equal(world.status, 201);
    assert_int_equal(number_at("/panic/version"), 2);
    assert_true(true_at("/in_force"));
    world_do(&world, "panic_set", "{'agent':'support','environment':'production','version':1,'reason':'fire'}");
    assert_int_equal(world.status, 200);
    assert_int_equal(number_at("/panic/version"), 1);
    int64_t before = world_seq(&world);
    world_do(&world, "panic_set", "{'agent':'support','environment':'production','version':1,'reason':'again'}");
    assert_false(true_at("/changed"));
    assert_int_equal(world_seq(&world), before);
    world_do(&world, "panic_set", "{'agent':'support','environment':'production','disabled':true,'reason':'off'}");
    assert_true(true_at("/panic/disabled"));
    assert_null(json_at(world.answer, "/panic/version"));
    world_do(&world, "panic_release", "{'agent':'support','environment':'production','reason':'over'}");
    assert_false(true_at("/in_force"));
    before = world_seq(&world);
    world_do(&world, "panic_release", "{'agent':'support','environment':'production'}");
    assert_false(true_at("/changed"));
    assert_int_equal(world_seq(&world), before);
}

static void test_panic_of_an_environment(void **state) {
    world_do(&world, "panic_set", "{'environment':'production','reason':'fire'}");
    assert_null(json_at(world.answer, "/panic/agent"));
    assert_null(json_at(world.answer, "/panic/version"));
    assert_false(true_at("/panic/disabled"));
    world_do(&world, "panic_set", "{'environment':'production','reason':'fire','disabled':true}");
    assert_true(true_at("/panic/disabled"));
    world_do(&world, "panic_set", "{'agent':'support','environment':'staging','reason':'fire'}");
    world_do(&world, "panic_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/panics")), 2);
    world_do(&world, "panic_list", "{'environment':'staging'}");
    assert_string_equal(text_at("/panics/0/agent"), "support");
    world_do(&world, "panic_release", "{'environment':'production'}");
}

static void test_panics_that_contradict_themselves(void **state) {
    static const struct {
        const char *params;
        enum err_code code;
    } cases[] = {
        {"{'environment':'production','version':1,'reason':''}", ERR_BAD_REQUEST},
        {"{'agent':'support','environment':'production','version':1,'disabled':true,'reason':''}", ERR_BAD_REQUEST},
        {"{'agent':'support','environment':'production','version':9,'reason':''}", ERR_VERSION_NOT_FOUND},
        {"{'agent':'other','environment':'staging','reason':''}", ERR_NOT_DEPLOYED},
        {"{'agent':'nobody','environment':'production','reason':''}", ERR_AGENT_NOT_FOUND},
        {"{'environment':'nowhere','reason':''}", ERR_ENVIRONMENT_NOT_FOUND},
    };
    int64_t before = world_seq(&world);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(world_call(&world, "panic_set", cases[i].params), cases[i].code);
    assert_int_equal(world_seq(&world), before);
}

static void test_sessions_of_an_agent(void **state) {
    world_do(&world, "agent_get", "{'agent':'support'}");
    assert_string_equal(text_at("/session"), "pin");
    world_do(&world, "agent_put", "{'agent':'support','session':'follow'}");
    assert_string_equal(text_at("/agent/session"), "follow");
    world_do(&world, "agent_put", "{'agent':'support','description':'new'}");
    assert_string_equal(text_at("/agent/session"), "follow");
    world_do(&world, "agent_put", "{'agent':'support','session':'follow'}");
    assert_false(true_at("/changed"));
    assert_int_equal(world_call(&world, "agent_put", "{'agent':'support','session':'maybe'}"), ERR_BAD_REQUEST);
    assert_string_equal(world.err.at, "/session");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_rollout_is_decided_whole_at_its_start),
        TEST(test_templates_fill_what_is_open),
        TEST(test_named_steps_take_no_template),
        TEST(test_what_is_refused_changes_nothing),
        TEST(test_guards_must_be_allowed),
        TEST(test_nothing_deployed),
        TEST(test_one_at_a_time),
        TEST(test_an_audience),
        TEST(test_the_same_candidate_has_the_same_canaries),
        TEST(test_a_life_to_promotion),
        TEST(test_moves_again_change_nothing),
        TEST(test_moves_that_the_table_refuses),
        TEST(test_a_named_step),
        TEST(test_time_at_a_step_goes_on_through_a_pause),
        TEST(test_a_dry_run_shows_what_would_be),
        TEST(test_rollouts_by_id),
        TEST(test_a_deploy_ends_it),
        TEST(test_a_rollback_ends_it),
        TEST(test_a_release_ends_it),
        TEST(test_a_releases_rollback_ends_it),
        TEST(test_what_changes_nothing_ends_nothing),
        TEST(test_only_the_controller_gives_verdicts),
        TEST(test_a_verdict_goes_on),
        TEST(test_evidence_is_kept_to_the_byte),
        TEST(test_a_rolled_back_rollout),
        TEST(test_a_verdict_is_never_late),
        TEST(test_harm_rolls_back_what_is_paused_or_held),
        TEST(test_a_persons_word_stands_against_going_on),
        TEST(test_an_end_that_asks),
        TEST(test_odd_verdicts),
        TEST(test_a_verdict_is_given_once),
        TEST(test_templates_are_read_and_written_over),
        TEST(test_a_template_changes_no_rollout_under_way),
        TEST(test_panic_freezes_on_a_number),
        TEST(test_panic_of_an_environment),
        TEST(test_panics_that_contradict_themselves),
        TEST(test_sessions_of_an_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
