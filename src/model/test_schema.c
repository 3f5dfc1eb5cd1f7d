/* SPDX-License-Identifier: Apache-2.0 */
#include "model/schema.h"

#include "model/test_kit.h"

static char *double_quoted(const char *text) {
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *p = copy; *p; p++) {
        if (*p == '\'') *p = '"';
    }
    return copy;
}

static struct schema *schema_of(const char *text) {
    _cleanup_(freep) char *copy = double_quoted(text);
    struct schema *schema = NULL;
    struct err err = ERR_INIT;
    if (schema_new(slice_of(copy), &schema, &err) < 0) fail_msg("%s in %s", err.message, text);
    return schema;
}

struct row {
    const char *schema, *value, *expected;
};

static void check_with(const struct schema_check *check, const struct row *row) {
    _cleanup_(schema_freep) struct schema *schema = schema_of(row->schema);
    _cleanup_(json_decrefp) json_t *value = kit_json(row->value);
    struct faults faults = FAULTS_INIT;
    char what[300];

    assert_int_equal(schema_check(schema, check, value, &faults, NULL), 0);
    snprintf(what, sizeof(what), "%.140s against %.140s", row->value, row->schema);
    kit_faults(what, &faults, row->expected);
    faults_deinit(&faults);
}

static void check_rows(const struct row *rows, size_t count) {
    const struct schema_check check = {.at = ""};
    for (size_t i = 0; i < count; i++) {
        check_with(&check, &rows[i]);
    }
}

static void test_booleans_as_schemas(void **state) {
    static const struct row rows[] = {
        {"true", "1", ""},
        {"{}", "[1,'x',null]", ""},
        {"false", "1", ": is not allowed here"},
        {"{'properties':{'a':false}}", "{'a':1,'b':2}", "/a: is not allowed here"},
        {"{'items':false}", "[1,2]", "/0: is not allowed here\n/1: is not allowed here"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_type(void **state) {
    static const struct row rows[] = {
        {"{'type':'string'}", "'x'", ""},
        {"{'type':'string'}", "1", ": expected a string, found 1"},
        {"{'type':'string'}", "null", ": expected a string, found null"},
        {"{'type':'string'}", "{}", ": expected a string, found an object"},
        {"{'type':'string'}", "[]", ": expected a string, found an array"},
        {"{'type':'number'}", "1", ""},
        {"{'type':'number'}", "1.5", ""},
        {"{'type':'number'}", "'1.5'", ": expected a number, found \"1.5\""},
        {"{'type':'integer'}", "3", ""},
        {"{'type':'integer'}", "3.0", ""},
        {"{'type':'integer'}", "-1e3", ""},
        {"{'type':'integer'}", "3.5", ": expected an integer, found 3.5"},
        {"{'type':'boolean'}", "true", ""},
        {"{'type':'boolean'}", "false", ""},
        {"{'type':'boolean'}", "'yes'", ": expected true or false, found \"yes\""},
        {"{'type':'boolean'}", "0", ": expected true or false, found 0"},
        {"{'type':'null'}", "null", ""},
        {"{'type':'null'}", "false", ": expected null, found false"},
        {"{'type':'object'}", "{}", ""},
        {"{'type':'object'}", "[]", ": expected an object, found an array"},
        {"{'type':'array'}", "[]", ""},
        {"{'type':'array'}", "{}", ": expected an array, found an object"},
        {"{'type':['string','null']}", "null", ""},
        {"{'type':['string','null']}", "'x'", ""},
        {"{'type':['string','object']}", "true", ": expected a string or an object, found true"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* A value of the wrong type is told once, whatever else the schema says about it. */
static void test_wrong_type_is_told_once(void **state) {
    static const struct row rows[] = {
        {"{'type':'string','minLength':3,'pattern':'^a','enum':['abc']}", "7", ": expected a string"},
        {"{'type':'object','required':['a'],'properties':{'a':{'type':'string'}}}", "[]", ": expected an object"},
        {"{'enum':['a','b'],'minLength':5}", "'c'", ": expected one of"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_const_and_enum(void **state) {
    static const struct row rows[] = {
        {"{'const':'agent/v1'}", "'agent/v1'", ""},
        {"{'const':'agent/v1'}", "'agent/v2'", ": expected \"agent/v1\", found \"agent/v2\""},
        {"{'const':3}", "4", ": expected 3, found 4"},
        {"{'enum':['low','medium','high']}", "'low'", ""},
        {"{'enum':['low','medium','high']}", "'mediun'", ": did you mean \"medium\"?"},
        {"{'enum':['low','medium','high']}", "'LOW'", ": did you mean \"low\"?"},
        {"{'enum':['low','medium','high']}", "'purple'",
         ": expected one of \"low\", \"medium\", \"high\", found \"purple\""},
        {"{'enum':['low','medium','high']}", "2", ": expected one of \"low\", \"medium\", \"high\", found 2"},
        {"{'enum':[1,null,true]}", "null", ""},
        {"{'enum':[1,null,true]}", "'1'", ": expected one of 1, null, true, found \"1\""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_many_choices_are_cut(void **state) {
    static const struct row rows[] = {
        {"{'enum':[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}", "0", ": 15, 16, …, found 0"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_strings(void **state) {
    static const struct row rows[] = {
        {"{'minLength':1}", "''", ": may not be empty"},
        {"{'minLength':1}", "'x'", ""},
        {"{'minLength':3}", "'ab'", ": is 2 characters, expected at least 3"},
        {"{'maxLength':3}", "'abc'", ""},
        {"{'maxLength':3}", "'abcd'", ": is 4 characters, expected at most 3"},
        {"{'maxLength':3}", "'äöü'", ""},
        {"{'maxLength':3}", "'🐦🐦🐦'", ""},
        {"{'maxLength':2}", "'🐦🐦🐦'", ": is 3 characters"},
        {"{'maxLength':2}", "12345", ""},
        {"{'pattern':'^[a-z]+$'}", "'abc'", ""},
        {"{'pattern':'^[a-z]+$'}", "'aBc'", ": \"aBc\" does not match ^[a-z]+$"},
        {"{'pattern':'^[a-z]+$'}", "'abc\\n'", ": does not match"},
        {"{'pattern':'b'}", "'abc'", ""},
        {"{'pattern':'^a','description':'a word with a'}", "'b'",
         ": \"b\" does not have the form expected here: a word with a"},
        {"{'pattern':'^.$'}", "'ä'", ""},
        {"{'pattern':'^a'}", "7", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_numbers(void **state) {
    static const struct row rows[] = {
        {"{'minimum':0}", "0", ""},
        {"{'minimum':0}", "-0.5", ": -0.5 is below the minimum of 0"},
        {"{'maximum':2}", "2", ""},
        {"{'maximum':2}", "2.5", ": 2.5 is above the maximum of 2"},
        {"{'exclusiveMinimum':0}", "0", ": 0 is not greater than 0"},
        {"{'exclusiveMinimum':0}", "0.001", ""},
        {"{'minimum':0,'maximum':1}", "7", ": above the maximum"},
        {"{'minimum':1}", "'x'", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_arrays(void **state) {
    static const struct row rows[] = {
        {"{'minItems':1}", "[]", ": has 0 items, expected at least 1"},
        {"{'maxItems':2}", "[1,2,3]", ": has 3 items, expected at most 2"},
        {"{'maxItems':2}", "[1,2]", ""},
        {"{'items':{'type':'string'}}", "['a',1,'b',null]",
         "/1: expected a string, found 1\n/3: expected a string, found null"},
        {"{'items':{'items':{'type':'integer'}}}", "[[1],[2,'x']]", "/1/1: expected an integer"},
        {"{'uniqueItems':true}", "['a','b','c']", ""},
        {"{'uniqueItems':true}", "['a','b','a']", "/2: \"a\" stands here a second time (first as item 0)"},
        {"{'uniqueItems':true}", "[1,1.0]", "/1: a second time"},
        {"{'uniqueItems':true}", "[1,'1']", ""},
        {"{'uniqueItems':true}", "[{'a':1,'b':2},{'b':2,'a':1}]", "/1: a second time"},
        {"{'uniqueItems':false}", "[1,1]", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_unique_is_not_quadratic(void **state) {
    _cleanup_(schema_freep) struct schema *schema = schema_of("{'uniqueItems':true}");
    _cleanup_(json_decrefp) json_t *array = json_array();
    const struct schema_check check = {.at = ""};
    struct faults faults = FAULTS_INIT;

    for (int i = 0; i < 200000; i++) {
        assert_int_equal(json_array_append_new(array, json_integer(i)), 0);
    }
    assert_int_equal(schema_check(schema, &check, array, &faults, NULL), 0);
    assert_int_equal(faults.count, 0);
}

#define PERSON                                                                                                         \
    "{'type':'object','additionalProperties':false,'patternProperties':{'^x-':true},'required':['name','age'],"        \
    "'properties':{'name':{'type':'string'},'age':{'type':'integer'},'nickname':{'type':'string'}}}"

static void test_objects(void **state) {
    static const struct row rows[] = {
        {PERSON, "{'name':'a','age':3}", ""},
        {PERSON, "{'name':'a','age':3,'x-note':[1]}", ""},
        {PERSON, "{'age':3}", ": \"name\" is missing"},
        {PERSON, "{}", ": \"name\" is missing\n: \"age\" is missing"},
        {PERSON, "{'name':1,'age':'x'}", "/name: expected a string\n/age: expected an integer"},
        {PERSON, "{'name':'a','age':3,'nikname':'b'}", "/nikname: unknown key \"nikname\"; did you mean \"nickname\"?"},
        {PERSON, "{'name':'a','age':3,'colour':'b'}", "/colour: known here: \"name\", \"age\", \"nickname\""},
        {PERSON, "{'name':'a','age':3,'a/b':1,'c~d':2}", "/a~1b: unknown key \"a/b\"\n/c~0d: unknown key \"c~d\""},
        {PERSON, "{'nam':'a','age':null,'x-':1}",
         ": \"name\" is missing\n/nam: did you mean \"name\"?\n/age: expected an integer, found null"},
        {"{'maxProperties':2}", "{'a':1,'b':2}", ""},
        {"{'maxProperties':2}", "{'a':1,'b':2,'c':3}", ": has 3 members, expected at most 2"},
        {"{'additionalProperties':{'type':'string'}}", "{'a':'x','b':2}", "/b: expected a string, found 2"},
        {"{'additionalProperties':true}", "{'a':1}", ""},
        {"{'properties':{'a':{'type':'string'}},'additionalProperties':{'type':'integer'}}", "{'a':'x','b':2}", ""},
        {"{'patternProperties':{'^n':{'type':'number'}}}", "{'n1':1,'n2':'x','m':'x'}", "/n2: expected a number"},
        {"{'patternProperties':{'^n':{'type':'number'}},'additionalProperties':false}", "{'n1':1,'m':1}",
         "/m: unknown key"},
        {"{'properties':{'n1':{'maximum':5}},'patternProperties':{'^n':{'minimum':3}}}", "{'n1':1}",
         "/n1: below the minimum"},
        {"{'propertyNames':{'pattern':'^[a-z]+$','description':'small letters'}}", "{'ok':1,'Not':2}",
         "/Not: \"Not\" does not have the form expected here: small letters"},
        {"{'required':['a']}", "[]", ""},
        {"{'patternProperties':{'^a':{'type':'string'},'^b':{'type':'number'}},'additionalProperties':false}",
         "{'a1':'x','b1':'y','c':1}", "/b1: expected a number\n/c: unknown key"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_not_required(void **state) {
    static const struct row rows[] = {
        {"{'not':{'required':['file']}}", "{'a':1}", ""},
        {"{'not':{'required':['file']}}", "{'file':'x'}", "/file: unknown key \"file\""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_references(void **state) {
    static const struct row rows[] = {
        {"{'$ref':'#/$defs/name','$defs':{'name':{'type':'string'}}}", "1", ": expected a string"},
        {"{'items':{'$ref':'#/$defs/n'},'$defs':{'n':{'type':'number'}}}", "[1,'x']", "/1: expected a number"},
        /* A tree refers to itself. */
        {"{'$ref':'#/$defs/t','$defs':{'t':{'type':'object','additionalProperties':{'$ref':'#/$defs/t'}}}}",
         "{'a':{'b':{'c':1}},'d':{}}", "/a/b/c: expected an object"},
        /* What the keywords beside a reference have told is not told again by what it leads to. */
        {"{'properties':{'t':{'const':'object'}},'$ref':'#/$defs/"
         "s','$defs':{'s':{'properties':{'t':{'enum':['object','array']}}}}}",
         "{'t':'objct'}", "/t: expected \"object\", found \"objct\""},
        {"{'properties':{'t':{'const':'object'}},'$ref':'#/$defs/"
         "s','$defs':{'s':{'properties':{'t':true,'u':{'type':'string'}}}}}",
         "{'t':'x','u':1}", "/t: expected \"object\"\n/u: expected a string"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_definition(void **state) {
    static const struct row row = {"{'$defs':{'name':{'type':'string'}},'type':'object'}", "1",
                                   "/here: expected a string"};
    const struct schema_check check = {.definition = "name", .at = "/here"}, wrong = {.definition = "nobody", .at = ""};
    _cleanup_(schema_freep) struct schema *schema = schema_of(row.schema);
    struct faults faults = FAULTS_INIT;

    check_with(&check, &row);
    assert_int_equal(schema_check(schema, &wrong, json_null(), &faults, NULL), -ERR_INTERNAL);
}

/* ---- several forms ---- */

#define SHAPES                                                                                                         \
    "{'type':'object','required':['kind'],'oneOf':["                                                                   \
    "{'additionalProperties':false,'required':['kind','r'],'properties':{'kind':{'const':'circle'},'r':{'type':'"      \
    "number'}}},"                                                                                                      \
    "{'additionalProperties':false,'required':['kind','a'],'properties':{'kind':{'const':'square'},'a':{'type':'"      \
    "number'}}}]}"

static void test_form_by_its_name(void **state) {
    static const struct row rows[] = {
        {SHAPES, "{'kind':'circle','r':1}", ""},
        {SHAPES, "{'kind':'square','a':1}", ""},
        {SHAPES, "{'kind':'square','r':1}", ": \"a\" is missing\n/r: unknown key"},
        {SHAPES, "{'kind':'circle','r':'x'}", "/r: expected a number"},
        {SHAPES, "{'kind':'circel','r':1}",
         "/kind: expected one of \"circle\", \"square\", found \"circel\"; did you mean \"circle\"?"},
        {SHAPES, "{'kind':7}", "/kind: expected one of \"circle\", \"square\", found 7"},
        {SHAPES, "{'r':1}", ": \"kind\" is missing; expected one of \"circle\", \"square\""},
        {SHAPES, "[]", ": expected an object"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

#define TEXT_OR_OBJECT                                                                                                 \
    "{'oneOf':[{'type':'string','minLength':1},{'type':'object','required':['id'],'additionalProperties':false,"       \
    "'properties':{'id':{'type':'string'}}}]}"

static void test_form_by_type(void **state) {
    static const struct row rows[] = {
        {TEXT_OR_OBJECT, "'x'", ""},
        {TEXT_OR_OBJECT, "{'id':'x'}", ""},
        {TEXT_OR_OBJECT, "''", ": may not be empty"},
        {TEXT_OR_OBJECT, "{}", ": \"id\" is missing"},
        {TEXT_OR_OBJECT, "{'id':1,'b':2}", "/id: expected a string\n/b: unknown key"},
        {TEXT_OR_OBJECT, "7", ": expected a string or an object, found 7"},
        {TEXT_OR_OBJECT, "[]", ": expected a string or an object, found an array"},
        {"{'oneOf':[{'enum':['a','b']},{'type':'object'}]}", "'c'", ": expected one of \"a\", \"b\""},
        {"{'oneOf':[{'enum':['a','b']},{'type':'object'}]}", "1", ": expected a string or an object, found 1"},
        {"{'oneOf':[{'type':['array','null']},{'$ref':'#/$defs/s'}],'$defs':{'s':{'type':'string'}}}", "1",
         ": expected an array or null or a string, found 1"},
        {"{'oneOf':[{'type':'array'},{'$ref':'#/$defs/s'}],'$defs':{'s':{'type':'string','minLength':2}}}", "'x'",
         ": is 1 character, expected at least 2"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

#define MESSAGES                                                                                                       \
    "{'oneOf':[{'type':'object','additionalProperties':false,'required':['role','content'],"                           \
    "'properties':{'role':{'enum':['user','assistant']},'content':{'type':'string'}}},"                                \
    "{'type':'object','additionalProperties':false,'required':['placeholder'],"                                        \
    "'properties':{'placeholder':{'type':'string'},'optional':{'type':'boolean'}}}]}"

static void test_form_by_fewest_faults(void **state) {
    static const struct row rows[] = {
        {MESSAGES, "{'role':'user','content':'x'}", ""},
        {MESSAGES, "{'placeholder':'history'}", ""},
        {MESSAGES, "{'role':'usr','content':'x'}", "/role: did you mean \"user\"?"},
        {MESSAGES, "{'role':'user'}", ": \"content\" is missing"},
        {MESSAGES, "{'placeholder':1,'optional':'x'}",
         "/placeholder: expected a string\n/optional: expected true or false"},
        {MESSAGES, "{'placeholder':'x','role':'user'}", "/role: unknown key"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

#define COMMAND_OR_URL                                                                                                 \
    "{'properties':{'command':true,'url':true},'oneOf':[{'required':['command']},{'required':['url']}]}"

static void test_form_by_what_is_required(void **state) {
    static const struct row rows[] = {
        {COMMAND_OR_URL, "{'command':'x'}", ""},
        {COMMAND_OR_URL, "{'url':'x'}", ""},
        {COMMAND_OR_URL, "{}", ": one of \"command\", \"url\" is needed"},
        {COMMAND_OR_URL, "{'command':'x','url':'y'}", ": only one of \"command\", \"url\" may be given"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_two_forms_at_once(void **state) {
    static const struct row rows[] = {
        {"{'oneOf':[{'type':'number'},{'minimum':3}]}", "5", ": has 2 of the possible forms at once"},
        {"{'oneOf':[{'type':'number'},{'minimum':3}]}", "1", ""},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* Forms inside forms: choosing counts faults below without telling them. */
static void test_forms_inside_forms(void **state) {
    static const struct row rows[] = {
        {"{'oneOf':[{'type':'array','items':" SHAPES "},{'type':'array','items':{'type':'string'}}]}",
         "[{'kind':'circle','r':'x'}]", "/0/r: expected a number"},
        {"{'oneOf':[{'type':'array','items':" COMMAND_OR_URL "},{'type':'array','maxItems':0}]}", "[{}]",
         "/0: one of \"command\", \"url\" is needed"},
        {"{'oneOf':[{'type':'array','items':" TEXT_OR_OBJECT
         "},{'type':'array','uniqueItems':true,'items':{'pattern':'^a$','minLength':9}}]}",
         "[7]", ""},
        {"{'oneOf':[{'type':'object','properties':{'n':{'not':{'required':['x']},'maxProperties':0}}},"
         "{'type':'object','properties':{'n':{'minimum':5,'const':1}},'required':['z']}]}",
         "{'n':{'x':1}}", "/n/x: unknown key\n/n: has 1 members, expected at most 0"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* ---- hints ---- */

static bool hint(const json_t *parent, const char *key, struct str *out) {
    if (strcmp(key, "file") != 0) return false;
    str_printf(out, "; beside %zu others", json_object_size(parent) - 1);
    return true;
}

static void test_hints(void **state) {
    static const struct row rows[] = {
        {PERSON, "{'name':'a','age':3,'file':1}", "/file: unknown key \"file\"; beside 2 others"},
        {PERSON, "{'name':{'file':'x'},'age':3}", "/name: found an object; beside 0 others"},
        {PERSON, "{'name':'a','age':3,'nam':1}", "/nam: did you mean \"name\"?"},
        {SHAPES, "{'file':'x','b':1}",
         ": \"kind\" is missing; expected one of \"circle\", \"square\"; beside 1 others"},
    };
    const struct schema_check check = {.at = "", .hint = hint};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_with(&check, &rows[i]);
    }
}

static void test_messages_show_no_secrets(void **state) {
    char schema_text[] = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"a\":{\"enum\":[\"x\"]},"
                         "\"b\":{\"pattern\":\"^x\"}}}";
    _cleanup_(json_decrefp) json_t *value = json_object();
    struct faults faults = FAULTS_INIT;
    struct schema *schema = NULL;
    const struct schema_check check = {.at = ""};
    char secret[100];

    snprintf(secret, sizeof(secret), "sk-%s", "ant-api03-A1b2C3d4E5f6G7h8I9j0");
    json_object_set_new(value, "a", json_string(secret));
    json_object_set_new(value, "b", json_string(secret));
    json_object_set_new(value, secret, json_true());
    assert_int_equal(schema_new(slice_of(schema_text), &schema, NULL), 0);
    assert_int_equal(schema_check(schema, &check, value, &faults, NULL), 0);
    assert_int_equal(faults.count, 3);
    for (size_t i = 0; i < faults.count; i++) {
        assert_null(strstr(faults.items[i].message, "A1b2"));
        assert_null(strstr(faults.items[i].at, "A1b2"));
    }
    faults_deinit(&faults);
    schema_free(schema);
}

/* ---- bounds ---- */

static void test_more_faults_than_are_kept(void **state) {
    _cleanup_(schema_freep) struct schema *schema = schema_of("{'items':{'type':'string'}}");
    _cleanup_(json_decrefp) json_t *array = json_array();
    const struct schema_check check = {.at = ""};
    struct faults faults = FAULTS_INIT;

    for (int i = 0; i < 1000; i++) {
        json_array_append_new(array, json_integer(i));
    }
    assert_int_equal(schema_check(schema, &check, array, &faults, NULL), 0);
    assert_int_equal(faults.count, FAULTS_MAX);
    assert_int_equal(faults.errors, 1000);
    assert_int_equal(faults.dropped, 1000 - FAULTS_MAX);
    faults_deinit(&faults);
}

static void test_endless_reference(void **state) {
    _cleanup_(schema_freep) struct schema *schema =
        schema_of("{'$ref':'#/$defs/a','$defs':{'a':{'$ref':'#/$defs/a'}}}");
    const struct schema_check check = {.at = ""};
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(schema_check(schema, &check, json_true(), &faults, &err), -ERR_INTERNAL);
    assert_non_null(strstr(err.message, "without end"));
    faults_deinit(&faults);
}

/* A pattern that takes for ever becomes a fault of the value. */
static void test_tangled_pattern(void **state) {
    static const struct row row = {"{'pattern':'^(a+)+$'}",
                                   "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'",
                                   ": too long or too tangled"};
    const struct schema_check check = {.at = ""};
    check_with(&check, &row);
}

static void test_refused_schemas(void **state) {
    static const char *const rows[] = {
        "",
        "{",
        "7",
        "[]",
        "{'unknownKeyword':1}",
        "{'anyOf':[{}]}",
        "{'properties':{'a':{'allOf':[]}}}",
        "{'items':[{}]}",
        "{'oneOf':[7]}",
        "{'pattern':'('}",
        "{'pattern':7}",
        "{'patternProperties':{'[':true}}",
        "{'$ref':'#/$defs/nobody'}",
        "{'$ref':'other.json'}",
        "{'$ref':7}",
        "{'not':7}",
        "{'additionalProperties':'no'}",
        "{'$defs':{'a':{'x':1}}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(freep) char *text = double_quoted(rows[i]);
        struct schema *schema = NULL;
        struct err err = ERR_INIT;
        if (schema_new(slice_of(text), &schema, &err) != -ERR_INTERNAL) fail_msg("%s was taken", rows[i]);
        assert_non_null(strstr(err.message, "schema"));
        assert_null(schema);
    }
    assert_null(schema_free(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_booleans_as_schemas),
        cmocka_unit_test(test_type),
        cmocka_unit_test(test_wrong_type_is_told_once),
        cmocka_unit_test(test_const_and_enum),
        cmocka_unit_test(test_many_choices_are_cut),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_unique_is_not_quadratic),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_not_required),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_form_by_its_name),
        cmocka_unit_test(test_form_by_type),
        cmocka_unit_test(test_form_by_fewest_faults),
        cmocka_unit_test(test_form_by_what_is_required),
        cmocka_unit_test(test_two_forms_at_once),
        cmocka_unit_test(test_forms_inside_forms),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_messages_show_no_secrets),
        cmocka_unit_test(test_more_faults_than_are_kept),
        cmocka_unit_test(test_endless_reference),
        cmocka_unit_test(test_tangled_pattern),
        cmocka_unit_test(test_refused_schemas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
