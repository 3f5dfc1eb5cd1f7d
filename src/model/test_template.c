/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: which names are declared, which tags can be read, which inputs are used. */
#include "model/config.h"

#include "model/test_kit.h"

/* Checks one prompt beside the given `inputs` (NULL: none). */
static void check(const char *prompt, const char *inputs, const char *expected) {
    _cleanup_(json_decrefp) json_t *input = kit_json("{'model':'gpt-4o'}"), *config = NULL;
    struct faults faults = FAULTS_INIT;

    json_object_set_new(input, "system_prompt", json_string(prompt));
    if (inputs) json_object_set_new(input, "inputs", kit_json(inputs));
    assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
    assert_int_equal(config_validate(config, &faults, NULL), 0);
    kit_faults(prompt, &faults, expected);
    faults_deinit(&faults);
}

#define NAME "{'properties':{'name':{'type':'string'}}}"
#define NO_INPUTS "{'type':'object','properties':{}}"

static void test_no_inputs_no_declarations(void **state) {
    check("Hi {{name}}, {{#a}}{{b}}{{/a}}", NULL, "");
    check("No variables", NULL, "");
    check("", NULL, "");
    check("single { brace } and }} alone", NULL, "");
}

static void test_declared(void **state) {
    check("Hi {{name}}", NAME, "");
    check("Hi {{ name }}", NAME, "");
    check("Hi {{\tname\n}}", NAME, "");
    check("Hi {{{name}}}", NAME, "");
    check("Hi {{{ name }}}", NAME, "");
    check("Hi {{&name}}", NAME, "");
    check("Hi {{& name }}", NAME, "");
    check("{{#name}}x{{/name}}", NAME, "");
    check("{{^name}}x{{/name}}", NAME, "");
    check("{{# name }}x{{/ name }}", NAME, "");
    check("{{name.first}} {{name.a.b}}", NAME, "");
    check("{{! any comment, even with name }}{{name}}", NAME, "");
    check("{{name}}{{name}}{{name}}", NAME, "");
}

static void test_undeclared(void **state) {
    check("{{nam}}", NAME,
          "/system_prompt: the variable \"nam\" is not declared in \"inputs\"; did you mean \"name\"?\nwarning "
          "/inputs/properties/name: no template uses it");
    check("{{name}} {{order}}", NAME, "/system_prompt: line 1 of the text: the variable \"order\" is not declared");
    check("{{name}}\n\n{{order}}", NAME, "/system_prompt: line 3 of the text");
    check("{{name}} {{{order}}} {{&thing}}", NAME, "/system_prompt: \"order\"\n/system_prompt: \"thing\"");
    check("{{name}} {{order.id}}", NAME, "/system_prompt: the variable \"order\"");
    check("{{name}} {{#order}}x{{/order}}", NAME, "/system_prompt: \"order\"");
    check("{{name}} {{^order}}x{{/order}}", NAME, "/system_prompt: \"order\"");
    check("{{a}}", NO_INPUTS, "/system_prompt: \"a\" is not declared");
    check("{{a}}", "{'type':'object'}", "/system_prompt: \"a\" is not declared");
}

static void test_the_same_name_is_told_once(void **state) {
    check("{{name}} {{x}} {{x}} {{#x}}{{/x}}\n{{x.y}}", NAME, "/system_prompt: line 1 of the text: the variable \"x\"");
}

static void test_variables_beside_properties(void **state) {
    check("{{who}}", "{'who':{'type':'string'}}",
          "/system_prompt: \"inputs\" is a JSON Schema: declare variables under \"properties\"");
}

static void test_unused(void **state) {
    check("{{name}}", "{'properties':{'name':{},'plan':{},'a/b':{}}}",
          "warning /inputs/properties/plan: no template uses it\nwarning /inputs/properties/a~1b: no template uses it");
    check("{{! name }}", NAME, "warning /inputs/properties/name: no template uses it");
}

/* ---- sections ---- */

#define ITEMS                                                                                                          \
    "{'properties':{'name':{'type':'string'},'items':{'type':'array','items':{'type':'object','properties':{'sku':{'"  \
    "type':'string'},"                                                                                                 \
    "'parts':{'type':'array','items':{'properties':{'id':{}}}}}}}}}"

static void test_lists_of_objects(void **state) {
    check("{{name}} {{#items}}{{sku}} {{name}}{{/items}}", ITEMS, "");
    check("{{name}} {{#items}}{{sk}}{{/items}}", ITEMS, "/system_prompt: \"sk\" is not declared");
    check("{{name}} {{#items}}x{{/items}} {{sku}}", ITEMS, "/system_prompt: \"sku\" is not declared");
    check("{{name}} {{#items}}{{#parts}}{{id}}{{sku}}{{name}}{{/parts}}{{/items}}", ITEMS, "");
    check("{{name}} {{#items}}{{#parts}}x{{/parts}}{{id}}{{/items}}", ITEMS, "/system_prompt: \"id\" is not declared");
    check("{{name}} {{^items}}{{sku}}{{/items}}", ITEMS, "/system_prompt: \"sku\" is not declared");
    check("{{name}} {{#items}}{{.}}{{/items}}", ITEMS, "");
}

static void test_objects(void **state) {
    check("{{#user}}{{first}}{{/user}}", "{'properties':{'user':{'type':'object','properties':{'first':{}}}}}", "");
    check("{{#user}}{{last}}{{/user}}", "{'properties':{'user':{'type':'object','properties':{'first':{}}}}}",
          "/system_prompt: \"last\"");
}

static void test_members_that_are_not_known(void **state) {
    check("{{#user}}{{any}}{{/user}}", "{'properties':{'user':{'type':'object'}}}", "");
    check("{{#user}}{{any}}{{/user}}", "{'properties':{'user':{}}}", "");
    check("{{#list}}{{any}}{{/list}}", "{'properties':{'list':{'type':'array'}}}", "");
    check("{{#list}}{{any}}{{/list}}", "{'properties':{'list':{'type':'array','items':{'type':'object'}}}}", "");
    check("{{#list}}{{any}}{{/list}}", "{'properties':{'list':{'type':['array','null']}}}", "");
    check("{{#user.address}}{{any}}{{/user.address}}", "{'properties':{'user':{'type':'string'}}}", "");
    check("{{#user}}{{plan}}{{/user}}", "{'properties':{'user':{'type':'object'},'plan':{}}}", "");
}

static void test_scalars_open_no_scope(void **state) {
    check("{{#on}}{{any}}{{/on}}", "{'properties':{'on':{'type':'boolean'}}}",
          "/system_prompt: \"any\" is not declared");
    check("{{#on}}{{name}}{{/on}}", "{'properties':{'on':{'type':'boolean'},'name':{}}}", "");
    check("{{#l}}{{.}}{{x}}{{/l}}", "{'properties':{'l':{'type':'array','items':{'type':'string'}}}}",
          "/system_prompt: \"x\" is not declared");
}

/* ---- tags that cannot be read ---- */

static void test_broken_tags(void **state) {
    check("Hi {{name", NULL, "/system_prompt: line 1 of the text: {{ is not closed");
    check("Hi\n{{{name}}", NULL, "/system_prompt: line 2 of the text: {{ is not closed");
    check("{{", NULL, "/system_prompt: {{ is not closed");
    check("{{}}", NULL, "/system_prompt: {{}} does not name a variable");
    check("{{ }}", NULL, "/system_prompt: does not name a variable");
    check("{{a b}}", NULL, "/system_prompt: {{a b}} does not name a variable");
    check("{{\"a\": 1}}", NULL, "/system_prompt: set template.engine to \"none\"");
    check("{{a..b}}", NULL, "/system_prompt: does not name a variable");
    check("{{.a}}", NULL, "/system_prompt: does not name a variable");
    check("{{a.}}", NULL, "/system_prompt: does not name a variable");
    check("{{.}}", NULL, "/system_prompt: {{.}} does not name a variable");
    check("{{ x | upper }}", NULL, "/system_prompt: does not name a variable");
    check("{{a b}} {{c d}}", NULL, "/system_prompt: {{a b}}\n/system_prompt: {{c d}}");
    check("{{naïve}} {{a-b}} {{a_b}} {{A1}} {{z9}} {{Z0}}", NULL, "");
}

static void test_broken_sections(void **state) {
    check("{{#a}}x", NULL, "/system_prompt: line 1 of the text: {{a}} is a section that is not closed");
    check(
        "\n{{#a}}{{^b}}x", NULL,
        "/system_prompt: {{a}} is a section that is not closed\n/system_prompt: {{b}} is a section that is not closed");
    check("x{{/a}}", NULL, "/system_prompt: {{a}} closes a section that is not open");
    check("{{#a}}\n{{#b}}\n{{/a}}{{/b}}", NULL, "/system_prompt: line 3 of the text: {{/a}} closes {{#b}} of line 2");
    check("{{#a b}}x{{/a b}}", NULL, "/system_prompt: {{a b}} does not name a variable");
    check("{{#}}x{{/}}", NULL, "/system_prompt: does not name a variable");
}

static void test_what_is_not_supported(void **state) {
    check("{{> header}}", NULL, "/system_prompt: {{header}} is a partial, which is not supported");
    check("{{=<% %>=}} <%name%>", NULL, "/system_prompt: changes the delimiters, which is not supported");
}

static void test_deep_sections(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;

    for (int i = 0; i < 32; i++) {
        str_add_text(&text, "{{#a}}");
    }
    for (int i = 0; i < 32; i++) {
        str_add_text(&text, "{{/a}}");
    }
    check(text.data, NULL, "");
    str_clear(&text);
    for (int i = 0; i < 33; i++) {
        str_add_text(&text, "{{#a}}");
    }
    check(text.data, NULL, "/system_prompt: {{a}} is nested too deep");
}

/* ---- where templates are ---- */

static void whole(const char *text, const char *expected) {
    _cleanup_(json_decrefp) json_t *input = kit_json(text), *config = NULL;
    struct faults faults = FAULTS_INIT;

    assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
    assert_int_equal(config_validate(config, &faults, NULL), 0);
    kit_faults(text, &faults, expected);
    faults_deinit(&faults);
}

static void test_every_text_is_looked_at(void **state) {
    whole("{'model':'gpt-4o','inputs':{'properties':{}},'system_prompt':[{'text':'ok'},{'text':'{{a}}'}],"
          "'messages':[{'role':'user','content':'{{b}}'},{'placeholder':'history'},{'role':'assistant','content':'{{c}}"
          "'}],'greeting':'{{d}}'}",
          "/system_prompt/1/text: \"a\"\n/messages/0/content: \"b\"\n/messages/2/content: \"c\"\n/greeting: \"d\"");
    whole("{'model':'gpt-4o','inputs':{'properties':{'a':{},'b':{},'c':{}}},'system_prompt':'{{a}}','messages':[{'role'"
          ":'user','content':'{{b}}'}],'greeting':'{{c}}'}",
          "");
}

static void test_descriptions_are_no_templates(void **state) {
    whole("{'model':'gpt-4o','inputs':{'properties':{}},'description':'{{a}}','tools':[{'kind':'function','name':'t','"
          "description':'{{b}}'}]}",
          "");
}

static void test_templates_turned_off(void **state) {
    whole("{'model':'gpt-4o','template':{'engine':'none'},'inputs':{'properties':{'a':{}}},'system_prompt':'{{b}} {{ "
          "{{#x}} {{\\'q\\':1}}'}",
          "");
    whole("{'model':'gpt-4o','template':{'engine':'mustache'},'inputs':{'properties':{}},'system_prompt':'{{b}}'}",
          "/system_prompt: \"b\"");
    whole("{'model':'gpt-4o','template':{},'inputs':{'properties':{}},'system_prompt':'{{b}}'}",
          "/system_prompt: \"b\"");
}

static void test_many_tags(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;

    for (int i = 0; i < 100000; i++) {
        str_add_text(&text, "{{name}}\n");
    }
    check(text.data, NAME, "");
    str_clear(&text);
    for (int i = 0; i < 300000; i++) {
        str_add_text(&text, "{{");
    }
    check(text.data, NULL, "/system_prompt: {{ is not closed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_inputs_no_declarations),
        cmocka_unit_test(test_declared),
        cmocka_unit_test(test_undeclared),
        cmocka_unit_test(test_the_same_name_is_told_once),
        cmocka_unit_test(test_variables_beside_properties),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_lists_of_objects),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_members_that_are_not_known),
        cmocka_unit_test(test_scalars_open_no_scope),
        cmocka_unit_test(test_broken_tags),
        cmocka_unit_test(test_broken_sections),
        cmocka_unit_test(test_what_is_not_supported),
        cmocka_unit_test(test_deep_sections),
        cmocka_unit_test(test_every_text_is_looked_at),
        cmocka_unit_test(test_descriptions_are_no_templates),
        cmocka_unit_test(test_templates_turned_off),
        cmocka_unit_test(test_many_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
