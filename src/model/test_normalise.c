/* SPDX-License-Identifier: Apache-2.0 */
/* config_normalise(): every accepted spelling ends in the stored form, and the input is left as it was. */
#include "model/config.h"

#include "model/model_impl.h"
#include "model/test_kit.h"

struct row {
    const char *input, *stored, *faults;
};

static void check_row(const struct row *row) {
    _cleanup_(json_decrefp) json_t *input = kit_json(row->input), *before = kit_json(row->input), *config = NULL;
    struct faults faults = FAULTS_INIT;

    assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
    kit_faults(row->input, &faults, row->faults);
    kit_same(config, row->stored);
    assert_true(json_equal(input, before));
    faults_deinit(&faults);
}

static void check_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        check_row(&rows[i]);
    }
}

#define S "'schema':'agent/v1'"

static void test_schema_is_set(void **state) {
    static const struct row rows[] = {
        {"{}", "{" S "}", ""},
        {"{'model':'m'}", "{'model':'m'," S "}", ""},
        {"{'schema':'agent/v1'}", "{" S "}", ""},
        {"{'schema':'agent/v9'}", "{'schema':'agent/v9'}", ""},
        {"{'schema':null}", "{'schema':null}", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_what_is_no_object_stays(void **state) {
    static const struct row rows[] = {{"[]", "[]", ""}, {"'x'", "'x'", ""}, {"null", "null", ""}, {"3", "3", ""}};
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_instructions(void **state) {
    static const struct row rows[] = {
        {"{'instructions':'hi'}", "{'system_prompt':'hi'," S "}", ""},
        {"{'instructions':[{'text':'a'}]}", "{'system_prompt':[{'text':'a'}]," S "}", ""},
        {"{'instructions':null}", "{'system_prompt':null," S "}", ""},
        {"{'instructions':'a','system_prompt':'b'}", "{'system_prompt':'b'," S "}",
         "/instructions: another name of \"system_prompt\""},
        {"{'instructions':'a','system_prompt':'a'}", "{'system_prompt':'a'," S "}", "/instructions: keep one"},
        {"{'ext':{'a':{'instructions':'x'}}}", "{'ext':{'a':{'instructions':'x'}}," S "}", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_parameters_at_the_top(void **state) {
    static const struct row rows[] = {
        {"{'temperature':0.7}", "{'parameters':{'temperature':0.7}," S "}", ""},
        {"{'temperature':0.7,'max_tokens':4096}", "{'parameters':{'max_tokens':4096,'temperature':0.7}," S "}", ""},
        {"{'temperature':0.7,'parameters':{'top_p':1}}", "{'parameters':{'temperature':0.7,'top_p':1}," S "}", ""},
        {"{'temperature':null}", "{'parameters':{'temperature':null}," S "}", ""},
        {"{'temperature':0.7,'parameters':{'temperature':0.2}}", "{'parameters':{'temperature':0.2}," S "}",
         "/temperature: given here and in \"parameters\""},
        {"{'temperature':0.7,'seed':1,'parameters':{'temperature':0.7,'seed':1}}",
         "{'parameters':{'seed':1,'temperature':0.7}," S "}", "/temperature: keep one\n/seed: keep one"},
        {"{'temperature':0.7,'parameters':7}", "{'parameters':7," S "}", ""},
        {"{'temperature':0.7,'parameters':[]}", "{'parameters':[]," S "}", ""},
        {"{'temperature':0.7,'parameters':null}", "{'parameters':null," S "}", ""},
        {"{'parameters':{}}", "{'parameters':{}," S "}", ""},
        {"{'tools':[{'temperature':1}]}", "{'tools':[{'temperature':1}]," S "}", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* The table of names that are moved is the schema's own list. */
static void test_every_parameter_is_moved(void **state) {
    struct slice text = config_schema();
    json_t *schema;
    size_t count = 0;

    assert_int_equal(json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &schema, NULL), 0);
    const json_t *known = json_at(schema, "/$defs/parameters/properties");
    assert_true(json_is_object(known));
    for (; config_parameter_names[count]; count++) {
        const char *name = config_parameter_names[count];
        if (!json_get(known, name)) fail_msg("%s is no parameter", name);
        if (json_get(json_get(schema, "properties"), name)) fail_msg("%s is also a member of its own", name);
    }
    assert_int_equal(count, json_object_size(known));
    json_decref(schema);
}

static void test_a_whole_mcp_json(void **state) {
    static const struct row rows[] = {
        {"{'mcp_servers':{'mcpServers':{'a':{'command':'x'}}}}", "{'mcp_servers':{'a':{'command':'x'}}," S "}", ""},
        {"{'mcp_servers':{'a':{'command':'x'}}}", "{'mcp_servers':{'a':{'command':'x'}}," S "}", ""},
        {"{'mcp_servers':{'mcpServers':{},'b':{}}}", "{'mcp_servers':{'mcpServers':{},'b':{}}," S "}", ""},
        {"{'mcp_servers':{'mcpServers':7}}", "{'mcp_servers':{'mcpServers':7}," S "}", ""},
        {"{'mcp_servers':7}", "{'mcp_servers':7," S "}", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_line_ends(void **state) {
    static const struct row rows[] = {
        {"{'system_prompt':'a\\r\\nb'}", "{'system_prompt':'a\\nb'," S "}", ""},
        {"{'system_prompt':'a\\rb'}", "{'system_prompt':'a\\nb'," S "}", ""},
        {"{'system_prompt':'\\r\\r\\n\\n\\r'}", "{'system_prompt':'\\n\\n\\n\\n'," S "}", ""},
        {"{'system_prompt':'\\r'}", "{'system_prompt':'\\n'," S "}", ""},
        {"{'system_prompt':[{'text':'x\\r\\n'}]}", "{'system_prompt':[{'text':'x\\n'}]," S "}", ""},
        {"{'tools':[{'description':'a\\r\\nb','parameters':{'enum':['c\\rd']}}]}",
         "{'tools':[{'description':'a\\nb','parameters':{'enum':['c\\nd']}}]," S "}", ""},
        {"{'system_prompt':'kept\\ttab'}", "{'system_prompt':'kept\\ttab'," S "}", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_all_at_once(void **state) {
    static const struct row row = {
        "{'system_prompt':'You "
        "are…','model':'gpt-4o','temperature':0.7,'max_tokens':4096,'tools':['search'],'guardrails':{}}",
        "{" S ",'system_prompt':'You "
        "are…','model':'gpt-4o','parameters':{'temperature':0.7,'max_tokens':4096},'tools':['search'],'guardrails':{}}",
        ""};
    check_row(&row);
}

/* The stored form is normalised already. */
static void test_twice_is_once(void **state) {
    _cleanup_(json_decrefp) json_t *input =
        kit_json("{'instructions':'a\\r\\nb','temperature':1,'model':'m','x-a':[1,{'b':null}]}");
    _cleanup_(json_decrefp) json_t *once = NULL, *twice = NULL;
    struct faults faults = FAULTS_INIT;

    assert_int_equal(config_normalise(input, &faults, &once, NULL), 0);
    assert_int_equal(config_normalise(once, &faults, &twice, NULL), 0);
    assert_true(json_equal(once, twice));
    assert_int_equal(faults.count, 0);
}

static void test_tool_name(void **state) {
    static const struct {
        const char *tool, *name;
    } rows[] = {
        {"'search'", "search"},
        {"{'kind':'function','name':'f'}", "f"},
        {"{'kind':'agent','agent':'billing'}", "billing"},
        {"{'kind':'agent','agent':'billing','name':'ask_billing'}", "ask_billing"},
        {"{'kind':'mcp','server':'s'}", NULL},
        {"{}", NULL},
        {"7", NULL},
        {"{'name':7}", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(json_decrefp) json_t *tool = kit_json(rows[i].tool);
        const char *name = tool_name(tool);
        if (!rows[i].name) {
            assert_null(name);
        } else {
            assert_string_equal(name, rows[i].name);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_is_set),
        cmocka_unit_test(test_what_is_no_object_stays),
        cmocka_unit_test(test_instructions),
        cmocka_unit_test(test_parameters_at_the_top),
        cmocka_unit_test(test_every_parameter_is_moved),
        cmocka_unit_test(test_a_whole_mcp_json),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_twice_is_once),
        cmocka_unit_test(test_tool_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
