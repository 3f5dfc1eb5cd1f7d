/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/test_world.h"

#include "resolve/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world world;

#define ON_OFF "'state':'ENABLED','variants':{'on':true,'off':false}"
#define HERE "'environment':'staging','flag':'web_search'"
#define PUT(definition, more) "{" HERE ",'definition':{" definition "},'reason':'why'" more "}"
#define OFF PUT(ON_OFF ",'defaultVariant':'off'", "")

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:flags%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    world_do(&world, "environment_put", "{'environment':'staging'}");
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_do(&world, "version_push",
             "{'agent':'support','config':{'model':'m','system_prompt':'p','tools':['search','mail']}}");
    world_do(&world, "deploy", "{'agent':'support','environment':'staging','version':1,'reason':'first'}");
    return 0;
}

static int teardown(void **state) {
    world_close(&world);
    return 0;
}

static const char *text(const char *pointer) {
    const char *found = json_string_value(json_at(world.answer, pointer));
    return found ? found : "";
}

static int64_t number(const char *pointer) {
    return json_integer_value(json_at(world.answer, pointer));
}

/* Tools that somebody gets now. */
static size_t tools(void) {
    struct publisher_borrow borrow = publisher_borrow(world.publisher);
    struct resolve_question question = {
        .agent = SLICE_LIT("support"), .environment = SLICE_LIT("staging"), .targeting_key = SLICE_LIT("u")};
    struct decision decision;
    struct str out = STR_INIT;
    json_t *answer;
    assert_int_equal(resolve(borrow.snapshot, &question, &decision), 0);
    decision_write(&decision, &out);
    assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &answer, NULL), 0);
    size_t count = json_array_size(json_at(answer, "/config/tools"));
    json_decref(answer);
    str_deinit(&out);
    publisher_return(world.publisher, borrow);
    return count;
}

static void test_a_flag_is_set_and_does_something(void **state) {
    assert_int_equal(tools(), 2);
    world_do(&world, "flag_put",
             PUT(ON_OFF ",'defaultVariant':'off'", ",'bindings':[{'agent':'support','tool':'mail'}]"));
    assert_int_equal(world.status, 201);
    assert_true(json_is_true(json_at(world.answer, "/changed")));
    assert_int_equal(json_array_size(json_at(world.answer, "/warnings")), 0);
    assert_string_equal(text("/flag/summary"), "off for all");
    int64_t seq = number("/flag/seq");
    assert_int_equal(seq, world_seq(&world));
    assert_int_equal(tools(), 1);
    world_do(&world, "flag_get", "{" HERE "}");
    assert_string_equal(text("/key"), "web_search");
    assert_string_equal(text("/state"), "ENABLED");
    assert_string_equal(text("/type"), "boolean");
    assert_string_equal(text("/summary"), "off for all");
    assert_string_equal(text("/reason"), "why");
    assert_string_equal(text("/definition/defaultVariant"), "off");
    assert_string_equal(text("/bindings/0/tool"), "mail");
    assert_int_equal(number("/seq"), seq);
    world_do(&world, "flag_put", OFF); /* what it is bound to stays */
    assert_false(json_is_true(json_at(world.answer, "/changed")));
    assert_int_equal(world.status, 200);
    world_do(&world, "flag_put", PUT(ON_OFF ",'defaultVariant':'on'", ""));
    assert_int_equal(tools(), 2);
}

static void test_on_and_off(void **state) {
    world_do(&world, "flag_put",
             PUT(ON_OFF ",'defaultVariant':'off','metadata':{'state':'DISABLED'}",
                 ",'bindings':[{'agent':'*','tool':'mail'}]"));
    assert_string_equal(text("/flag/state"), "ENABLED");
    assert_int_equal(tools(), 1);
    world_do(&world, "flag_disable", "{" HERE ",'reason':'fire'}");
    assert_string_equal(text("/flag/state"), "DISABLED");
    assert_int_equal(tools(), 1); /* a switch for emergencies takes the tool from everybody */
    world_do(&world, "flag_disable", "{" HERE "}");
    assert_false(json_is_true(json_at(world.answer, "/changed")));
    world_do(&world, "flag_enable", "{" HERE "}");
    assert_string_equal(text("/flag/state"), "ENABLED");
    assert_int_equal(tools(), 1);
    assert_int_equal(world_call(&world, "flag_enable", "{'environment':'staging','flag':'other'}"), ERR_NOT_FOUND);
}

static void test_what_is_wrong_is_told_at_once_and_changes_nothing(void **state) {
    world_do(&world, "flag_put", OFF);
    int64_t seq = world_seq(&world);
    assert_int_equal(world_call(&world, "flag_put",
                                PUT("'state':'on','variants':{'a':1,'b':'x'}", ",'bindings':[{'agent':'support'}]")),
                     ERR_INVALID);
    assert_string_equal(world.err.at, "/definition/state");
    assert_non_null(strstr(world.err.message, "more"));
    assert_int_equal(world_call(&world, "flag_put", PUT(ON_OFF ",'targeting':{'$ref':'nobody'}", "")), ERR_INVALID);
    assert_string_equal(world.err.at, "/definition/targeting/$ref");
    assert_int_equal(world_call(&world, "flag_put", PUT(ON_OFF, ",'expected':0")), ERR_STALE);
    assert_int_equal(world.current, seq);
    assert_int_equal(world_call(&world, "flag_put",
                                "{'environment':'staging','flag':'new','definition':{" ON_OFF
                                "},'reason':'','expected':3}"),
                     ERR_STALE);
    assert_int_equal(
        world_call(&world, "flag_put", "{'environment':'nowhere','flag':'new','definition':{" ON_OFF "},'reason':''}"),
        ERR_ENVIRONMENT_NOT_FOUND);
    assert_int_equal(world_seq(&world), seq);
    char params[300];
    snprintf(params, sizeof(params), PUT(ON_OFF ",'defaultVariant':'on'", ",'expected':%lld"), (long long)seq);
    world_do(&world, "flag_put", params);
}

static void test_what_may_not_be_meant_is_told(void **state) {
    world_do(&world, "flag_put",
             PUT(ON_OFF, ",'bindings':[{'agent':'support','tool':'fax'},{'agent':'nobody','tool':'x'},{'agent':'"
                         "support','guardrail':'g'},"
                         "{'agent':'support','tool':'mail'},{'agent':'*','tool':'any'}]"));
    assert_int_equal(json_array_size(json_at(world.answer, "/warnings")), 3);
    assert_string_equal(text("/warnings/0/at"), "/bindings/0");
    assert_non_null(strstr(text("/warnings/0/detail"), "has no tool \"fax\""));
    assert_non_null(strstr(text("/warnings/1/detail"), "no agent \"nobody\""));
    assert_non_null(strstr(text("/warnings/2/detail"), "no guardrail \"g\""));
    world_do(&world, "flag_put",
             PUT(ON_OFF, ",'bindings':[{'agent':'*','parameter':'temprature'},"
                         "{'agent':'support','parameter':'model'},{'agent':'support','parameter':'seed'}]"));
    assert_int_equal(json_array_size(json_at(world.answer, "/warnings")), 1);
    assert_non_null(strstr(text("/warnings/0/detail"), "no parameter \"temprature\""));
    world_do(&world, "flag_document_put",
             "{'environment':'staging','document':{'flags':{'a':{" ON_OFF "},'b':{" ON_OFF
             "}}},'bindings':{'b':[{'agent':'support','tool':'mail'},{'agent':'nobody','tool':'x'}]},'reason':''}");
    assert_int_equal(json_array_size(json_at(world.answer, "/warnings")), 1);
    assert_string_equal(text("/warnings/0/at"), "/bindings/b/1");
}

static bool was_on(const char *moment) {
    struct arena arena = ARENA_INIT;
    struct str out = STR_INIT;
    json_t *answer;
    const struct ops_past past = {.question = {SLICE_LIT("support"), SLICE_LIT("staging"), SLICE_LIT("u")},
                                  .moment = moment};
    assert_int_equal(ops_resolve_past(&world.ops, &past, &arena, &out, &world.err), 0);
    assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &answer, NULL), 0);
    bool on = json_is_true(json_at(answer, "/flags/web_search"));
    json_decref(answer);
    str_deinit(&out);
    arena_deinit(&arena);
    return on;
}

/* A rule that reads the time reads that of the moment, which for a position is when it was reached. */
static void test_the_time_of_the_past(void **state) {
    char params[400], moment[CLOCK_TEXT_SIZE], position[POSITION_TEXT_SIZE];
    int64_t now = clock_wall(&world.clock);
    snprintf(params, sizeof(params),
             PUT(ON_OFF ",'defaultVariant':'off','targeting':{'if':[{'<':[{'var':'$flagd.timestamp'},%lld]},'on']}",
                 ",'bindings':[{'agent':'*','tool':'mail'}]"),
             (long long)now / 1000000 + 1800);
    world_do(&world, "flag_put", params);
    snprintf(position, sizeof(position), "%s", text("/position"));
    clock_text(clock_wall(&world.clock), moment);
    clock_fake_advance(&world.clock, INT64_C(3600) * 1000000);
    assert_true(was_on(position) && was_on(moment));
    world_do(&world, "flag_put", PUT(ON_OFF ",'defaultVariant':'off'", ""));
    world_do(&world, "flag_put", params);
    snprintf(position, sizeof(position), "%s", text("/position"));
    clock_text(clock_wall(&world.clock), moment);
    assert_false(was_on(position) || was_on(moment));
}

static void test_history_and_the_past(void **state) {
    world_do(&world, "flag_put", OFF);
    int64_t first = world_seq(&world);
    world_do(&world, "flag_disable", "{" HERE ",'reason':'fire'}");
    world_do(&world, "flag_delete", "{" HERE ",'reason':'gone'}");
    assert_int_equal(world_call(&world, "flag_get", "{" HERE "}"), ERR_NOT_FOUND);
    assert_int_equal(world_call(&world, "flag_delete", "{" HERE "}"), ERR_NOT_FOUND);
    world_do(&world, "flag_history", "{" HERE "}");
    assert_int_equal(json_array_size(json_at(world.answer, "/entries")), 3);
    assert_true(json_is_true(json_at(world.answer, "/entries/0/removed")));
    assert_string_equal(text("/entries/0/flag/reason"), "gone");
    assert_string_equal(text("/entries/1/flag/state"), "DISABLED");
    assert_string_equal(text("/entries/2/flag/summary"), "off for all");
    char params[200];
    snprintf(params, sizeof(params), "{" HERE ",'at':'1.%lld'}", (long long)first);
    world_do(&world, "flag_get", params);
    assert_string_equal(text("/state"), "ENABLED");
    snprintf(params, sizeof(params), "{'environment':'staging','at':'1.%lld'}", (long long)first);
    world_do(&world, "flag_list", params);
    assert_int_equal(json_array_size(json_at(world.answer, "/flags")), 1);
    world_do(&world, "flag_list", "{'environment':'staging'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/flags")), 0);
    assert_int_equal(world_call(&world, "flag_get", "{" HERE ",'at':'1.9999'}"), ERR_POSITION_UNKNOWN);
    assert_int_equal(world_call(&world, "flag_history", "{'environment':'staging','flag':'never'}"), ERR_NOT_FOUND);
}

static const char *difference(size_t i) {
    static char text[300];
    const json_t *change = json_array_get(json_at(world.answer, "/changes"), i);
    char *was = json_dumps(json_get(change, "was"), JSON_COMPACT | JSON_ENCODE_ANY),
         *is = json_dumps(json_get(change, "is"), JSON_COMPACT | JSON_ENCODE_ANY);
    snprintf(text, sizeof(text), "%s %s -> %s", json_get_text(change, "at"), was ? was : "", is ? is : "");
    free(was);
    free(is);
    return text;
}

static size_t differences(const char *more) {
    char params[200];
    snprintf(params, sizeof(params), "{" HERE "%s}", more);
    return json_array_size(json_get(world_do(&world, "flag_diff", params), "changes"));
}

static void test_what_differs(void **state) {
    char more[100];
    assert_int_equal(world_call(&world, "flag_diff", "{" HERE "}"), ERR_NOT_FOUND);
    world_do(&world, "flag_put", PUT(ON_OFF ",'targeting':{'if':[{'var':'a~b'},'on','off']}", ""));
    int64_t first = world_seq(&world);
    assert_int_equal(differences(""), 2); /* it and its bindings were not there */
    assert_string_equal(difference(0), "/bindings  -> []");
    assert_int_equal(number("/from"), 0);
    assert_int_equal(number("/to"), first);
    world_do(&world, "flag_put",
             PUT("'state':'DISABLED','variants':{'on':true,'off':false,'a/b':true},'targeting':{'if':[{'var':'a~b'},"
                 "'off']}",
                 ",'bindings':[{'agent':'support','tool':'mail'}]"));
    int64_t second = world_seq(&world);
    assert_int_equal(differences(""), 5);
    assert_string_equal(difference(0), "/bindings/0  -> {\"agent\":\"support\",\"tool\":\"mail\"}");
    assert_string_equal(difference(1), "/definition/state \"ENABLED\" -> \"DISABLED\"");
    assert_string_equal(difference(2), "/definition/targeting/if/1 \"on\" -> \"off\"");
    assert_string_equal(difference(3), "/definition/targeting/if/2 \"off\" -> ");
    assert_string_equal(difference(4), "/definition/variants/a~1b  -> true");
    world_do(&world, "flag_delete", "{" HERE "}");
    assert_int_equal(differences(""), 2);
    assert_non_null(strstr(difference(1), "/definition {"));
    snprintf(more, sizeof(more), ",'from':'%lld','to':'1.%lld'", (long long)first, (long long)second);
    assert_int_equal(differences(more), 5);
    snprintf(more, sizeof(more), ",'from':'%lld','to':'%lld'", (long long)second, (long long)second);
    assert_int_equal(differences(more), 0);
    snprintf(more, sizeof(more), ",'to':'%lld'", (long long)first);
    assert_int_equal(differences(more), 2);
    assert_int_equal(differences(",'from':'0'"), 0); /* neither then nor now */
    assert_int_equal(world_call(&world, "flag_diff", "{" HERE ",'from':'9999'}"), ERR_POSITION_UNKNOWN);
    assert_string_equal(world.err.at, "from");
    assert_int_equal(world_call(&world, "flag_diff", "{" HERE ",'to':'yesterday'}"), ERR_BAD_REQUEST);
    assert_int_equal(world_call(&world, "flag_diff", "{" HERE ",'to':'0'}"), ERR_NOT_FOUND);
}

static void test_protected_environments_need_a_releaser(void **state) {
    struct principal editor = world.admin, releaser = world.admin;
    editor.role = ROLE_EDITOR;
    releaser.role = ROLE_RELEASER;
    const char *there = "{'environment':'production','flag':'f','definition':{" ON_OFF "},'reason':''}";
    world.as = &editor;
    world_do(&world, "flag_put", OFF);
    assert_int_equal(world_call(&world, "flag_put", there), ERR_FORBIDDEN);
    assert_int_equal(
        world_call(&world, "flag_document_put", "{'environment':'production','document':{'flags':{}},'reason':''}"),
        ERR_FORBIDDEN);
    world.as = &releaser;
    world_do(&world, "flag_put", there);
    world.as = &editor;
    assert_int_equal(world_call(&world, "flag_disable", "{'environment':'production','flag':'f'}"), ERR_FORBIDDEN);
    assert_int_equal(world_call(&world, "flag_delete", "{'environment':'production','flag':'f'}"), ERR_FORBIDDEN);
    world.as = NULL;
}

#define RULES "'$evaluators':{'staff':{'ends_with':[{'var':'email'},'@a.example']}}"
#define DOCUMENT                                                                                                       \
    "'document':{'flags':{'a':{" ON_OFF                                                                                \
    ",'targeting':{'if':[{'$ref':'staff'},'on','off']}},'b':{'state':'ENABLED','variants':{'v':1.0}}}," RULES          \
    ",'metadata':{'team':'care'}},'bindings':{'a':[{'agent':'support','tool':'mail'}]}"

/* As deep as a rule may be, so that it cannot stand in another one. */
#define FOUR(x) "{'!':{'!':{'!':{'!':" x "}}}}"
#define DEEP FOUR(FOUR(FOUR(FOUR(FOUR(FOUR(FOUR("{'!':{'!':{'!':{'var':'x'}}}}")))))))

static char *document_of(const char *environment) {
    char params[100];
    snprintf(params, sizeof(params), "{'environment':'%s'}", environment);
    json_t *copy = json_deep_copy(world_do(&world, "flag_document_get", params));
    json_object_del(copy, "seq");
    json_object_del(copy, "position");
    char *dumped = json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT);
    json_decref(copy);
    return dumped;
}

static void test_documents_come_and_go(void **state) {
    world_do(&world, "flag_document_put", "{'environment':'staging'," DOCUMENT ",'reason':'import'}");
    assert_int_equal(json_array_size(json_at(world.answer, "/set")), 2);
    assert_int_equal(tools(), 1);
    char *here = document_of("staging");
    char params[2000];
    snprintf(params, sizeof(params), "{'environment':'production','reason':'copy',%s", here + 1);
    world_do(&world, "flag_document_put", params);
    char *there = document_of("production");
    assert_string_equal(here, there);
    world_do(&world, "flag_document_put", params);
    assert_false(json_is_true(json_at(world.answer, "/changed")));
    assert_int_equal(number("/unchanged"), 2);
    free(here);
    free(there);
}

static void test_a_document_is_taken_whole_or_not(void **state) {
    world_do(&world, "flag_document_put", "{'environment':'staging'," DOCUMENT ",'reason':'import'}");
    int64_t seq = world_seq(&world);
    assert_int_equal(world_call(&world, "flag_document_put",
                                "{'environment':'staging','document':{'flags':{'c':{" ON_OFF
                                "},'d':{'state':1}}},'reason':''}"),
                     ERR_INVALID);
    assert_string_equal(world.err.at, "/document/flags/d/state");
    /* What stays refers to a rule that would be no rule any more. */
    assert_int_equal(
        world_call(
            &world, "flag_document_put",
            "{'environment':'staging','document':{'flags':{},'$evaluators':{'staff':{'$ref':'gone'}}},'reason':''}"),
        ERR_INVALID);
    assert_int_equal(world_call(&world, "flag_document_put",
                                "{'environment':'staging','document':{'flags':{},'$evaluators':7},'reason':''}"),
                     ERR_INVALID);
    assert_int_equal(world_call(&world, "flag_document_put",
                                "{'environment':'staging','document':{'flags':{}},'bindings':{'a':1},'reason':''}"),
                     ERR_INVALID);
    assert_int_equal(world_seq(&world), seq);
    /* Merged, rules that are there may be used; replaced, they may not. */
    world_do(&world, "flag_document_put",
             "{'environment':'staging','document':{'flags':{'c':{" ON_OFF
             ",'targeting':{'if':[{'$ref':'staff'},'on']}}}},'reason':''}");
    assert_int_equal(world_call(&world, "flag_document_put",
                                "{'environment':'staging','replace':true,'document':{'flags':{'c':{" ON_OFF
                                ",'targeting':{'if':[{'$ref':'staff'},'on']}}}},'reason':''}"),
                     ERR_INVALID);
    seq = world_seq(&world);
    assert_int_equal(world_call(&world, "flag_document_put",
                                "{'environment':'staging','document':{'flags':{},'$evaluators':{'staff':" DEEP
                                "}},'reason':''}"),
                     ERR_CONFLICT);
    assert_non_null(strstr(world.err.message, "2 flags would stay and not go with these rules: a, c"));
    assert_int_equal(world_seq(&world), seq);
    world_do(&world, "flag_document_put",
             "{'environment':'staging','replace':true,'document':{'flags':{'b':{'state':'ENABLED','variants':{'v':1.0}}"
             "}},'reason':''}");
    assert_int_equal(json_array_size(json_at(world.answer, "/removed")), 2);
    char *left = document_of("staging");
    assert_string_equal(
        left, "{\"bindings\":{},\"document\":{\"flags\":{\"b\":{\"state\":\"ENABLED\",\"variants\":{\"v\":1.0}}}}}");
    free(left);
    assert_int_equal(tools(), 2);
}

static void test_an_agent_takes_so_many(void **state) {
    char params[400];
    for (int i = 0; i < BOUND_FLAGS_MAX; i++) {
        snprintf(params, sizeof(params),
                 "{'environment':'staging','flag':'f%d','definition':{" ON_OFF
                 "},'bindings':[{'agent':'%s','tool':'mail'}],'reason':''}",
                 i, i % 2 ? "*" : "support");
        world_do(&world, "flag_put", params);
    }
    world_do(&world, "flag_put",
             "{'environment':'staging','flag':'f0','definition':{" ON_OFF ",'defaultVariant':'on'},'reason':''}");
    assert_int_equal(world_call(&world, "flag_put", PUT(ON_OFF, ",'bindings':[{'agent':'support','tool':'mail'}]")),
                     ERR_CONFLICT);
    assert_non_null(strstr(world.err.message, "65 flags"));
    world_do(&world, "flag_put", PUT(ON_OFF, ",'bindings':[{'agent':'other','tool':'mail'}]"));
}

static void test_a_dry_run_changes_nothing(void **state) {
    int64_t seq = world_seq(&world);
    world.dry_run = true;
    world_do(&world, "flag_put", OFF);
    world_do(&world, "flag_document_put", "{'environment':'staging'," DOCUMENT ",'reason':'import'}");
    world.dry_run = false;
    assert_int_equal(world_seq(&world), seq);
    assert_int_equal(world_call(&world, "flag_get", "{" HERE "}"), ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_flag_is_set_and_does_something),
        TEST(test_on_and_off),
        TEST(test_what_is_wrong_is_told_at_once_and_changes_nothing),
        TEST(test_what_may_not_be_meant_is_told),
        TEST(test_the_time_of_the_past),
        TEST(test_history_and_the_past),
        TEST(test_what_differs),
        TEST(test_protected_environments_need_a_releaser),
        TEST(test_documents_come_and_go),
        TEST(test_a_document_is_taken_whole_or_not),
        TEST(test_an_agent_takes_so_many),
        TEST(test_a_dry_run_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
