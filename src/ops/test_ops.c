/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world world;

static int setup(void **state) {
    static int number;
    static char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:ops%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_do(&world, "environment_put", "{'environment':'staging'}");
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

static int64_t answer_int(const char *pointer) {
    const json_t *value = json_at(world.answer, pointer);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static bool answer_true(const char *pointer) {
    const json_t *value = json_at(world.answer, pointer);
    assert_true(json_is_boolean(value));
    return json_is_true(value);
}

static const char *answer_text(const char *pointer) {
    const json_t *value = json_at(world.answer, pointer);
    assert_true(json_is_string(value));
    return json_string_value(value);
}

static void deploy(int version) {
    char params[256];
    snprintf(params, sizeof(params), "{'agent':'support','environment':'production','version':%d,'reason':'go'}",
             version);
    world_do(&world, "deploy", params);
}

static void rollback(void) {
    world_do(&world, "rollback", "{'agent':'support','environment':'production','reason':'back'}");
}

static int64_t served(void) {
    return world_served(&world, "support", "production", "u1");
}

static void push_versions(int count) {
    char prompt[32];
    for (int i = 1; i <= count; i++) {
        snprintf(prompt, sizeof(prompt), "prompt %d", i);
        assert_int_equal(world_push(&world, "support", prompt), i);
    }
}

/* ---- versions ---- */

static void test_push_numbers_versions_and_knows_equal_content(void **state) {
    assert_int_equal(world_push(&world, "support", "one"), 1);
    assert_int_equal(world.status, 201);
    assert_true(answer_true("/agent_created"));
    assert_int_equal(world_push(&world, "support", "two"), 2);
    assert_int_equal(answer_int("/version/parent"), 1);
    assert_false(answer_true("/agent_created"));

    int64_t before = world_seq(&world);
    assert_int_equal(world_push(&world, "support", "two"), 2);
    assert_int_equal(world.status, 200);
    assert_false(answer_true("/created"));
    assert_int_equal(world_seq(&world), before);

    /* Only the newest counts: going back to older content is a new version. */
    assert_int_equal(world_push(&world, "support", "one"), 3);
}

static void test_push_refuses_with_all_faults_and_changes_nothing(void **state) {
    int64_t before = world_seq(&world);
    assert_int_equal(
        world_call(&world, "version_push", "{'agent':'support','config':{'modle':'m','parameters':{'temperature':9}}}"),
        ERR_INVALID);
    assert_non_null(strstr(world.err.message, "more"));
    assert_memory_equal(world.err.at, "/config", 7);
    assert_int_equal(world_seq(&world), before);
    assert_int_equal(world_call(&world, "agent_get", "{'agent':'support'}"), ERR_AGENT_NOT_FOUND);
}

static void test_push_expected_latest(void **state) {
    push_versions(2);
    assert_int_equal(
        world_call(&world, "version_push", "{'agent':'support','config':{'model':'x'},'expected_latest':1}"),
        ERR_STALE);
    assert_int_equal(world.current, 2);
    world_do(&world, "version_push", "{'agent':'support','config':{'model':'x'},'expected_latest':2}");
}

static void test_versions_are_found_in_every_way(void **state) {
    push_versions(3);
    deploy(2);
    world_do(&world, "version_get", "{'agent':'support','version':'latest'}");
    assert_int_equal(answer_int("/version"), 3);
    world_do(&world, "version_get", "{'agent':'support','version':'production'}");
    assert_int_equal(answer_int("/version"), 2);
    assert_string_equal(answer_text("/config/system_prompt"), "prompt 2");
    assert_string_equal(answer_text("/served_in/0"), "production");

    char params[256];
    snprintf(params, sizeof(params), "{'agent':'support','version':'%.20s'}", answer_text("/content_hash"));
    world_do(&world, "version_get", params);
    assert_int_equal(answer_int("/version"), 2);
    assert_int_equal(world_call(&world, "version_get", "{'agent':'support','version':'4'}"), ERR_VERSION_NOT_FOUND);
    assert_int_equal(world_call(&world, "version_get", "{'agent':'support','version':'staging'}"), ERR_NOT_DEPLOYED);
    assert_int_equal(world_call(&world, "version_get", "{'agent':'support','version':'0'}"), ERR_BAD_REQUEST);
}

/* ---- deploy and roll back ---- */

static void test_deploy_moves_the_ref_at_once(void **state) {
    push_versions(2);
    assert_int_equal(served(), 0);
    deploy(1);
    assert_int_equal(world.status, 201);
    assert_int_equal(served(), 1);
    deploy(2);
    assert_int_equal(answer_int("/deployment/previous"), 1);
    assert_int_equal(served(), 2);
    assert_int_equal(world_served(&world, "support", "staging", "u1"), 0);
}

static void test_deploy_of_what_is_served_changes_nothing(void **state) {
    push_versions(1);
    deploy(1);
    int64_t before = world_seq(&world);
    deploy(1);
    assert_int_equal(world.status, 200);
    assert_false(answer_true("/changed"));
    assert_int_equal(world_seq(&world), before);
}

static void test_stale_deploy_names_what_is_served(void **state) {
    push_versions(2);
    deploy(1);
    int64_t before = world_seq(&world);
    assert_int_equal(world_call(&world, "deploy",
                                "{'agent':'support','environment':'production','version':2,'reason':'','expected':2}"),
                     ERR_STALE);
    assert_int_equal(world.current, 1);
    assert_int_equal(world_call(&world, "deploy",
                                "{'agent':'support','environment':'production','version':2,'reason':'','expected':0}"),
                     ERR_STALE);
    assert_int_equal(served(), 1);
    assert_int_equal(world_seq(&world), before);
    world_do(&world, "deploy", "{'agent':'support','environment':'production','version':2,'reason':'','expected':1}");
    assert_int_equal(served(), 2);
}

static void test_rollbacks_go_further_back_and_end(void **state) {
    push_versions(3);
    deploy(1);
    deploy(2);
    deploy(3);
    rollback();
    assert_int_equal(served(), 2);
    assert_string_equal(answer_text("/deployment/kind"), "rollback");
    rollback();
    assert_int_equal(served(), 1);
    assert_int_equal(world_call(&world, "rollback", "{'agent':'support','environment':'production','reason':''}"),
                     ERR_NOTHING_BEFORE);
    assert_int_equal(served(), 1);

    /* A new deployment stands on what the rollbacks reached. */
    deploy(3);
    rollback();
    assert_int_equal(served(), 1);
}

static void test_rollback_to_a_version(void **state) {
    push_versions(4);
    deploy(1);
    deploy(2);
    deploy(3);
    world_do(&world, "rollback", "{'agent':'support','environment':'production','version':1,'reason':''}");
    assert_int_equal(served(), 1);
    assert_int_equal(
        world_call(&world, "rollback", "{'agent':'support','environment':'production','version':4,'reason':''}"),
        ERR_NOTHING_BEFORE);
    assert_non_null(strstr(world.err.remedy, "serin deploy support@4"));
    assert_int_equal(world_call(&world, "rollback", "{'agent':'support','environment':'production','reason':''}"),
                     ERR_NOTHING_BEFORE);
}

static void test_rollback_sets_a_hold_once(void **state) {
    push_versions(3);
    deploy(1);
    deploy(2);
    deploy(3);
    rollback();
    assert_true(answer_true("/held"));
    rollback();
    world_do(&world, "hold_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/holds")), 1);
    deploy(3); /* a person may still move it */
    assert_true(answer_true("/held"));
    world_do(&world, "hold_release", "{'agent':'support','environment':'production'}");
    assert_true(answer_true("/changed"));
    world_do(&world, "hold_release", "{'agent':'support','environment':'production'}");
    assert_false(answer_true("/changed"));
}

/* ---- releases ---- */

static void test_release_moves_all_or_none(void **state) {
    world_push(&world, "a", "a1");
    world_push(&world, "b", "b1");
    world_push(&world, "b", "b2");
    int64_t before = world_seq(&world);
    assert_int_equal(
        world_call(
            &world, "release_create",
            "{'environment':'production','reason':'','moves':[{'agent':'a','version':1},{'agent':'b','version':3}]}"),
        ERR_VERSION_NOT_FOUND);
    assert_string_equal(world.err.at, "/moves/1");
    assert_int_equal(world_served(&world, "a", "production", "u"), 0);
    assert_int_equal(world_seq(&world), before);

    world_do(
        &world, "release_create",
        "{'environment':'production','reason':'both','moves':[{'agent':'b','version':2},{'agent':'a','version':1}]}");
    assert_int_equal(world_seq(&world), before + 1);
    assert_string_equal(answer_text("/release/moves/0/agent"), "a");
    assert_int_equal(world_served(&world, "a", "production", "u"), 1);
    assert_int_equal(world_served(&world, "b", "production", "u"), 2);
}

static void test_release_rolls_back_as_one(void **state) {
    char params[256];
    world_push(&world, "a", "a1");
    world_push(&world, "a", "a2");
    world_push(&world, "b", "b1");
    world_push(&world, "b", "b2");
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':1},{'agent':'b','version':1}]}");
    snprintf(params, sizeof(params), "{'release':'%s','reason':'undo'}", answer_text("/release/id"));
    assert_int_equal(world_call(&world, "release_rollback", params), ERR_NOTHING_BEFORE);

    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':2},{'agent':'b','version':2}]}");
    snprintf(params, sizeof(params), "{'release':'%s','reason':'undo'}", answer_text("/release/id"));
    world_do(&world, "release_rollback", params);
    assert_int_equal(world_served(&world, "a", "production", "u"), 1);
    assert_int_equal(world_served(&world, "b", "production", "u"), 1);
    assert_int_equal(world_call(&world, "release_rollback", params), ERR_CONFLICT);
    world_do(&world, "hold_list", "{'environment':'production'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/holds")), 2);
}

static void test_release_that_moved_on_is_not_rolled_back(void **state) {
    char params[256];
    world_push(&world, "a", "a1");
    world_push(&world, "a", "a2");
    world_push(&world, "b", "b1");
    world_push(&world, "b", "b2");
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':1},{'agent':'b','version':1}]}");
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':2},{'agent':'b','version':2}]}");
    snprintf(params, sizeof(params), "{'release':'%s','reason':'undo'}", answer_text("/release/id"));
    world_do(&world, "deploy", "{'agent':'b','environment':'production','version':1,'reason':''}");
    assert_int_equal(world_call(&world, "release_rollback", params), ERR_STALE);
    assert_int_equal(world_served(&world, "a", "production", "u"), 2);
}

/* ---- overrides ---- */

static void test_overrides_choose_for_named_users(void **state) {
    push_versions(2);
    assert_int_equal(
        world_call(
            &world, "override_put",
            "{'agent':'support','override':'staff','environment':'production','version':2,'keys':['u1'],'reason':''}"),
        ERR_NOT_DEPLOYED);
    deploy(1);
    world_do(&world, "override_put",
             "{'agent':'support','override':'staff','environment':'production','version':2,'keys':['u2','u1','u2'],'"
             "reason':''}");
    assert_int_equal(json_array_size(json_at(world.answer, "/override/keys")), 2);
    assert_int_equal(world_served(&world, "support", "production", "u1"), 2);
    assert_int_equal(world_served(&world, "support", "production", "u3"), 1);

    int64_t before = world_seq(&world);
    world_do(
        &world, "override_put",
        "{'agent':'support','override':'staff','environment':'production','version':2,'keys':['u1','u2'],'reason':''}");
    assert_false(answer_true("/changed"));
    assert_int_equal(world_seq(&world), before);
    world_do(&world, "override_delete", "{'agent':'support','override':'staff','environment':'production'}");
    assert_int_equal(world_served(&world, "support", "production", "u1"), 1);
    assert_int_equal(
        world_call(&world, "override_delete", "{'agent':'support','override':'staff','environment':'production'}"),
        ERR_NOT_FOUND);
}

#define OVERRIDE(name, users)                                                                                          \
    "{'agent':'support','override':'" name "','environment':'production','version':2,'reason':''" users "}"
#define MEMBERS(name) OVERRIDE(name, ",'audience':{'!':{'var':'guest'}}")

static void test_overrides_choose_by_rule(void **state) {
    push_versions(2);
    deploy(1);
    world_do(&world, "override_put", MEMBERS("members"));
    assert_string_equal(answer_text("/override/audience/!/var"), "guest");
    assert_null(json_at(world.answer, "/override/keys"));
    assert_int_equal(world_served(&world, "support", "production", "u1"), 2);
    world_do(&world, "override_put", MEMBERS("members"));
    assert_false(answer_true("/changed"));
    world_do(&world, "override_put", OVERRIDE("members", ",'keys':['v1']"));
    assert_true(answer_true("/changed"));
    assert_int_equal(world_served(&world, "support", "production", "u1"), 1);
    assert_int_equal(world_served(&world, "support", "production", "v1"), 2);
    world_do(&world, "override_put", MEMBERS("members"));
    world_do(&world, "override_delete", "{'agent':'support','override':'members','environment':'production'}");
    assert_int_equal(world_served(&world, "support", "production", "u1"), 1);
}

static void test_who_an_override_is_for_is_said_once(void **state) {
    push_versions(2);
    deploy(1);
    static const char *const wrong[][2] = {
        {OVERRIDE("o", ""), "/keys"},
        {OVERRIDE("o", ",'keys':['u1'],'audience':{'var':'x'}"), "/keys"},
        {OVERRIDE("o", ",'audience':{'nope':1}"), "/audience"},
        {OVERRIDE("o", ",'audience':{'and':[1,{'var':[]},{'starts_with':['a']}]}"), "/audience"},
    };
    int64_t before = world_seq(&world);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(world_call(&world, "override_put", wrong[i][0]), ERR_INVALID);
        if (strncmp(world.err.at, wrong[i][1], strlen(wrong[i][1])) != 0) fail_msg("%s: %s", wrong[i][0], world.err.at);
    }
    assert_int_equal(world_seq(&world), before);
}

/* Each rule costs every decision. */
static void test_so_many_overrides_have_rules(void **state) {
    push_versions(2);
    deploy(1);
    char call[256];
    for (int i = 0; i <= OVERRIDE_AUDIENCES_MAX; i++) {
        snprintf(call, sizeof(call), MEMBERS("o-%d"), i);
        if (i < OVERRIDE_AUDIENCES_MAX) world_do(&world, "override_put", call);
    }
    assert_int_equal(world_call(&world, "override_put", call), ERR_INVALID);
    assert_string_equal(world.err.at, "/audience");
    world_do(&world, "override_put", OVERRIDE("o-3", ",'audience':{'var':'x'}")); /* it has its place */
    world_do(&world, "override_put", OVERRIDE("named", ",'keys':['u1']"));
}

/* ---- the past ---- */

static int64_t resolved_at(const char *moment, int *ret_code) {
    struct arena arena = ARENA_INIT;
    struct str out = STR_INIT;
    struct ops_past past = {.question = {SLICE_LIT("support"), SLICE_LIT("production"), SLICE_LIT("u1")},
                            .moment = moment,
                            .explain = true};
    *ret_code = -ops_resolve_past(&world.ops, &past, &arena, &out, &world.err);
    int64_t version = 0;
    if (*ret_code == 0) {
        json_t *decision = NULL;
        assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &decision, NULL), 0);
        version = json_integer_value(json_get(decision, "version"));
        assert_non_null(json_get(decision, "explain"));
        json_decref(decision);
    }
    str_deinit(&out);
    arena_deinit(&arena);
    return version;
}

static void test_the_past_answers_as_it_was(void **state) {
    char moments[4][CLOCK_TEXT_SIZE], positions[4][POSITION_TEXT_SIZE];
    int code;
    push_versions(3);
    clock_text(clock_wall(&world.clock), moments[0]);
    for (int version = 1; version <= 3; version++) {
        deploy(version);
        snprintf(positions[version], sizeof(positions[version]), "%s", answer_text("/position"));
        clock_text(clock_wall(&world.clock), moments[version]);
    }
    world_do(&world, "override_put",
             "{'agent':'support','override':'me','environment':'production','version':1,'keys':['u1'],'reason':''}");

    for (int version = 1; version <= 3; version++) {
        assert_int_equal(resolved_at(moments[version], &code), version);
        assert_int_equal(resolved_at(positions[version], &code), version);
    }
    assert_int_equal(world_served(&world, "support", "production", "u1"), 1);
    resolved_at(moments[0], &code);
    assert_int_equal(code, ERR_BEFORE_HISTORY);
    resolved_at("1999-12-31T23:59:59Z", &code);
    assert_int_equal(code, ERR_BEFORE_HISTORY);
    resolved_at("7.7", &code);
    assert_int_equal(code, ERR_POSITION_UNKNOWN);
    resolved_at("1.9999", &code);
    assert_int_equal(code, ERR_POSITION_UNKNOWN);
}

/* ---- repeated requests and dry runs ---- */

static void test_idempotency_key_answers_the_same_once(void **state) {
    push_versions(2);
    world.idempotency_key = "k-1";
    deploy(1);
    char *first = json_dumps(world.answer, JSON_SORT_KEYS);
    int64_t before = world_seq(&world);
    deploy(1);
    char *second = json_dumps(world.answer, JSON_SORT_KEYS);
    assert_string_equal(first, second);
    assert_true(world.replayed);
    assert_int_equal(world.status, 201);
    assert_int_equal(world_seq(&world), before);
    free(first);
    free(second);

    assert_int_equal(
        world_call(&world, "deploy", "{'agent':'support','environment':'production','version':2,'reason':''}"),
        ERR_IDEMPOTENCY_MISMATCH);
    clock_fake_advance(&world.clock, INT64_C(25) * 3600 * 1000000);
    world_do(&world, "deploy", "{'agent':'support','environment':'production','version':2,'reason':''}");
    assert_int_equal(served(), 2);
}

static void test_secret_of_a_key_is_never_repeated(void **state) {
    world.idempotency_key = "k-2";
    world_do(&world, "key_create", "{'name':'robot','role':'resolve','environment':'staging'}");
    assert_int_equal(strlen(answer_text("/key")), 95);
    world_do(&world, "key_create", "{'name':'robot','role':'resolve','environment':'staging'}");
    assert_true(world.replayed);
    assert_null(json_get(world.answer, "key"));
}

static void test_dry_runs_change_nothing(void **state) {
    static const struct {
        const char *op, *params;
    } changes[] = {
        {"agent_put", "{'agent':'new'}"},
        {"version_push", "{'agent':'support','config':{'model':'m'}}"},
        {"environment_put", "{'environment':'qa'}"},
        {"deploy", "{'agent':'support','environment':'production','version':3,'reason':''}"},
        {"rollback", "{'agent':'support','environment':'production','reason':''}"},
        {"release_create", "{'environment':'production','reason':'','moves':[{'agent':'support','version':3}]}"},
        {"hold_set", "{'agent':'support','environment':'production','reason':''}"},
        {"override_put",
         "{'agent':'support','override':'x','environment':'production','version':1,'keys':['u1'],'reason':''}"},
        {"key_create", "{'name':'robot','role':'resolve'}"},
    };
    push_versions(3);
    deploy(1);
    deploy(2);
    int64_t before = world_seq(&world);
    world.dry_run = true;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        world_do(&world, changes[i].op, changes[i].params);
        assert_true(answer_true("/dry_run"));
        assert_int_equal(world_seq(&world), before);
        assert_null(json_get(world.answer, "key"));
    }
    assert_int_equal(served(), 2);
}

/* ---- keys and permissions ---- */

static void test_keys_whose_clients_need_values(void **state) {
    world_do(&world, "key_create", "{'name':'one','role':'resolve','materialise_defaults':true}");
    assert_true(answer_true("/materialise_defaults"));
    world_do(&world, "key_create", "{'name':'two','role':'resolve'}");
    assert_false(answer_true("/materialise_defaults"));
    world_do(&world, "key_list", "{}");
    assert_true(answer_true("/keys/0/materialise_defaults"));
    assert_false(answer_true("/keys/1/materialise_defaults"));
    world_do(&world, "audit_list", "{}");
    assert_true(answer_true("/entries/2/detail/materialise_defaults"));
    assert_null(json_at(world.answer, "/entries/3/detail/materialise_defaults"));
}

static void test_keys_never_exceed_their_maker(void **state) {
    static const char *const staging[] = {"staging", NULL};
    struct principal bound = {.id = "k2", .name = "bob", .role = ROLE_ADMIN, .environments = staging};
    world.as = &bound;
    assert_int_equal(world_call(&world, "key_create", "{'name':'x','role':'resolve','environment':'production'}"),
                     ERR_ENVIRONMENT_NOT_FOUND);
    world_do(&world, "key_create", "{'name':'x','role':'resolve'}");
    assert_string_equal(answer_text("/environments/0"), "staging");
    assert_int_equal(world_call(&world, "key_create", "{'name':'x','role':'viewer'}"), ERR_CONFLICT);
    assert_int_equal(world_call(&world, "environment_put", "{'environment':'qa'}"), ERR_FORBIDDEN);
    assert_int_equal(world_call(&world, "audit_list", "{}"), ERR_FORBIDDEN);

    char params[128];
    world.as = NULL;
    world_do(&world, "key_create", "{'name':'boss','role':'admin'}");
    snprintf(params, sizeof(params), "{'key':'%s'}", answer_text("/id"));
    world.as = &bound;
    assert_int_equal(world_call(&world, "key_revoke", params), ERR_NOT_FOUND);
    world_do(&world, "key_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/keys")), 1);
}

static void test_the_last_admin_key_stays(void **state) {
    char params[128];
    world_do(&world, "key_create", "{'name':'boss','role':'admin'}");
    snprintf(params, sizeof(params), "{'key':'%s'}", answer_text("/id"));
    assert_int_equal(world_call(&world, "key_revoke", params), ERR_CONFLICT);
    world_do(&world, "key_create", "{'name':'other boss','role':'admin'}");
    world_do(&world, "key_revoke", params);
    assert_true(answer_true("/changed"));
    world_do(&world, "key_revoke", params);
    assert_false(answer_true("/changed"));
}

static void test_unseen_environments_look_absent(void **state) {
    static const char *const staging[] = {"staging", NULL};
    struct principal bound = {.id = "k2", .name = "bob", .role = ROLE_RELEASER, .environments = staging};
    push_versions(1);
    deploy(1);
    world.as = &bound;
    assert_int_equal(
        world_call(&world, "deploy", "{'agent':'support','environment':'production','version':1,'reason':''}"),
        ERR_ENVIRONMENT_NOT_FOUND);
    assert_int_equal(world_call(&world, "version_get", "{'agent':'support','version':'production'}"),
                     ERR_ENVIRONMENT_NOT_FOUND);
    world_do(&world, "environment_list", "{}");
    assert_int_equal(json_array_size(json_at(world.answer, "/environments")), 1);
    world_do(&world, "agent_get", "{'agent':'support'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/environments")), 0);
    world_do(&world, "deployment_list", "{'agent':'support'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/deployments")), 0);
}

static void test_every_operation_asks_for_its_role(void **state) {
    for (enum op_id id = 0; id < OP_COUNT_; id++)
        for (enum role role = ROLE_RESOLVE; role <= ROLE_ADMIN; role++) {
            struct principal principal = world.admin;
            principal.role = role;
            struct err err = ERR_INIT;
            int code = -ops_permit(op_get(id), &principal, NULL, &err);
            bool allowed = role >= op_get(id)->role && op_get(id)->scope != OP_ROBOT;
            assert_int_equal(code, allowed ? 0 : ERR_FORBIDDEN);
        }
}

static void test_what_is_for_robots_is_for_no_key(void **state) {
    struct principal robot = principal_controller();
    struct err err = ERR_INIT;
    assert_int_equal(ops_permit(op_get(OP_rollout_verdict), &world.admin, NULL, &err), -ERR_FORBIDDEN);
    assert_int_equal(ops_permit(op_get(OP_rollout_verdict), &robot, NULL, &err), 0);
    assert_int_equal(ops_permit(op_get(OP_key_create), &robot, NULL, &err), -ERR_FORBIDDEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_push_numbers_versions_and_knows_equal_content),
        TEST(test_push_refuses_with_all_faults_and_changes_nothing),
        TEST(test_push_expected_latest),
        TEST(test_versions_are_found_in_every_way),
        TEST(test_deploy_moves_the_ref_at_once),
        TEST(test_deploy_of_what_is_served_changes_nothing),
        TEST(test_stale_deploy_names_what_is_served),
        TEST(test_rollbacks_go_further_back_and_end),
        TEST(test_rollback_to_a_version),
        TEST(test_rollback_sets_a_hold_once),
        TEST(test_release_moves_all_or_none),
        TEST(test_release_rolls_back_as_one),
        TEST(test_release_that_moved_on_is_not_rolled_back),
        TEST(test_overrides_choose_for_named_users),
        TEST(test_overrides_choose_by_rule),
        TEST(test_who_an_override_is_for_is_said_once),
        TEST(test_so_many_overrides_have_rules),
        TEST(test_the_past_answers_as_it_was),
        TEST(test_idempotency_key_answers_the_same_once),
        TEST(test_secret_of_a_key_is_never_repeated),
        TEST(test_dry_runs_change_nothing),
        TEST(test_keys_whose_clients_need_values),
        TEST(test_keys_never_exceed_their_maker),
        TEST(test_the_last_admin_key_stays),
        TEST(test_unseen_environments_look_absent),
        TEST(test_every_operation_asks_for_its_role),
        TEST(test_what_is_for_robots_is_for_no_key),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
