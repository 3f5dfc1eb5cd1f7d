/* SPDX-License-Identifier: Apache-2.0 */
/* YAML alone: what its values mean, where they are, and what is refused. */
#include "model/config.h"

#include "model/test_kit.h"

static void reads(const char *yaml, const char *expected) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct err err = ERR_INIT;

    if (source_parse_yaml(slice_of(yaml), &value, NULL, &err) < 0)
        fail_msg("%s (%u:%u) in\n%s", err.message, err.line, err.column, yaml);
    kit_same(value, expected);
}

static void refused(const char *yaml, unsigned line, unsigned column, const char *part) {
    json_t *value = NULL;
    struct err err = ERR_INIT;

    if (source_parse_yaml(slice_of(yaml), &value, NULL, &err) != -ERR_MALFORMED_YAML) fail_msg("taken: %s", yaml);
    assert_null(value);
    if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    if (err.line != line || err.column != column)
        fail_msg("%s: at %u:%u, not %u:%u", part, err.line, err.column, line, column);
}

static void test_texts(void **state) {
    reads("a: b", "{'a':'b'}");
    reads("a: two words ", "{'a':'two words'}");
    reads("a: 'it''s'", "{'a':'it\\u0027s'}");
    reads("a: \"x\\ty\\u00e9\\x41\"", "{'a':'x\\tyéA'}");
    reads("a: |\n  one\n  two\n", "{'a':'one\\ntwo\\n'}");
    reads("a: |-\n  one\n  two\n", "{'a':'one\\ntwo'}");
    reads("a: >\n  one\n  two\n\n  three\n", "{'a':'one two\\nthree\\n'}");
    reads("a: |2\n   x\n", "{'a':' x\\n'}");
    reads("a: 'äöü 東京 🐦'", "{'a':'äöü 東京 🐦'}");
    reads("a: first\n  second", "{'a':'first second'}");
    reads("a: http://x:80/#y", "{'a':'http://x:80/#y'}");
    reads("a: b # comment", "{'a':'b'}");
}

/* The names that YAML 1.1 took for booleans and numbers are texts. */
static void test_texts_of_the_core_schema(void **state) {
    static const char *const texts[] = {
        "no",      "No",        "yes",      "on",    "off",       "y",    "n",     "NO",   "tRUE", "nUll",
        "12:30",   "190:20:30", "1_000",    "0b101", "0o8",       "0xg",  "0x",    "0o",   "1e",   "1e+",
        "e5",      ".",         "..5",      "1.2.3", "+",         "-x",   "+-1",   "--1",  "1-2",  "2001-12-14",
        "0.0.0.0", "1,000",     "Infinity", "NaN",   ".Infinity", ".nAn", "-.nan", "0X1F", "0O17", "- 1x",
        "1 2",     "=",         "~x",       "nulls", "True!",     "-0x10"};
    char yaml[100], expected[100];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(texts[i], "- 1x") == 0) continue;
        snprintf(yaml, sizeof(yaml), "a: %s\n", texts[i]);
        snprintf(expected, sizeof(expected), "{'a':'%s'}", texts[i]);
        reads(yaml, expected);
    }
}

static void test_nulls_and_booleans(void **state) {
    reads("[~, null, Null, NULL, ]", "[null,null,null,null]");
    reads("a:\nb: ~", "{'a':null,'b':null}");
    reads("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]");
    reads("['true', \"null\", '~', '1', '']", "['true','null','~','1','']");
}

static void test_numbers(void **state) {
    reads("[0, 1, -1, +1, 42, 007, -0, 9007199254740992]", "[0,1,-1,1,42,7,0,9007199254740992]");
    reads("[0o17, 0x1F, 0xff, 0o0]", "[15,31,255,0]");
    reads("[1.5, -1.5, +1.5, .5, -.5, 5., 05.50, 0.0, 00.1]", "[1.5,-1.5,1.5,0.5,-0.5,5.0,5.5,0,0.1]");
    reads("[1e3, 1E3, 1e+3, 1e-3, 1.5e2, .5e1, 5.e1, 0e5, -1e3]", "[1000,1000,1000,0.001,150,5,50,0,-1000]");
    reads("[1e-400]", "[0]");
}

static void test_numbers_that_json_cannot_hold(void **state) {
    refused("a: 9223372036854775808", 1, 4, "too large; put it in quotes");
    refused("a: -99999999999999999999", 1, 4, "too large");
    refused("a: 1e999", 1, 4, "too large");
    refused("a: 0xffffffffffffffff", 1, 4, "too large");
    refused("a: .inf", 1, 4, "JSON has no number .inf");
    refused("a: -.INF", 1, 4, "JSON has no number");
    refused("- 1\n- .nan", 2, 3, "JSON has no number .nan");
    reads("a: '.inf'", "{'a':'.inf'}");
}

static void test_structures(void **state) {
    reads("a:\n  - b\n  - c: d\n    e: f\n", "{'a':['b',{'c':'d','e':'f'}]}");
    reads("a:\n- b\n-\n  - c\n", "{'a':['b',['c']]}");
    reads("{a: 1, b: [2, {c: 3}], 'd': {}}", "{'a':1,'b':[2,{'c':3}],'d':{}}");
    reads("[]", "[]");
    reads("{}", "{}");
    reads("just a text", "'just a text'");
    reads("---\na: 1\n...\n", "{'a':1}");
    reads("%YAML 1.2\n---\na: 1\n", "{'a':1}");
    reads("# comment\n\na: 1 # more\n# end", "{'a':1}");
    reads("? a\n: 1\n", "{'a':1}");
}

static void test_keys(void **state) {
    reads("1: a\ntrue: b\nnull: c\n1.0: d\n'': e\n~: f\n", "{'1':'a','true':'b','null':'c','1.0':'d','':'e','~':'f'}");
    reads("'<<': a", "{'<<':'a'}");
    reads("\"a\\tb\": 1", "{'a\\tb':1}");
}

/* JSON is YAML; both readers agree on it. */
static void test_json_is_yaml(void **state) {
    static const char *const texts[] = {
        "{'a': [1, 2.5, -3e2, true, false, null, 'x\\u00e9\\n', {}, []], 'b': {'c': {'d': [[]]}}}", "[]", "'text'", "3",
        "{'model': 'gpt-4o', 'temperature': 0.7}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(json_decrefp) json_t *value = kit_json(texts[i]);
        _cleanup_(freep) char *text = kit_text(value);
        reads(text, texts[i]);
    }
}

static void test_syntax(void **state) {
    refused("a: b: c", 1, 5, "mapping values are not allowed");
    refused("a: [1, 2", 2, 1, "did not find expected ',' or ']'");
    refused("a: {b: 1", 2, 1, "did not find expected ',' or '}'");
    refused("a: \"open", 1, 9, "unexpected end of stream");
    refused("a: 1\n b: 2", 2, 3, "mapping values are not allowed");
    refused("\ta: 1", 1, 1, "cannot start any token");
    refused("a: @x", 1, 4, "cannot start any token");
    refused("- a\nb: 1", 2, 1, "did not find expected '-' indicator");
    refused("a: 'x' y", 1, 8, "did not find expected key");
    refused("", 1, 1, "the document is empty");
    refused("# nothing\n", 2, 1, "the document is empty");
    refused("a: 1\n?\n: x", 2, 2, "a key is missing before the colon");
}

static void test_tabs_have_a_remedy(void **state) {
    struct err err = ERR_INIT;
    json_t *value;

    assert_int_equal(source_parse_yaml(slice_of("a:\n\tb: 1\n"), &value, NULL, &err), -ERR_MALFORMED_YAML);
    assert_int_equal(err.line, 2);
    assert_non_null(strstr(err_remedy_text(&err), "spaces, not tabs"));
}

static void test_what_means_different_things_to_different_readers(void **state) {
    refused("a: 1\nb: 2\na: 3\n", 3, 1, "the key \"a\" is given twice");
    refused("a: {b: 1, 'b': 2}", 1, 11, "the key \"b\" is given twice");
    refused("base: &b {x: 1}\nall:\n  <<: *b\n", 3, 3, "merge keys (<<) are not taken");
    refused("a: !!str 1", 1, 4, "the tag tag:yaml.org,2002:str is not taken");
    refused("a: !!python/object:os.system x", 1, 4, "the tag tag:yaml.org,2002:python/object:os.system is not taken");
    refused("a: !secret X", 1, 4, "the tag !secret is not taken");
    refused("a: !!set {x}", 1, 4, "is not taken");
    refused("!!map\na: 1", 1, 1, "is not taken");
    refused("!!str a: 1", 1, 1, "tags are not taken");
    refused("a: ! x", 1, 4, "the tag ! is not taken");
    refused("a: 1\n---\nb: 2\n", 2, 1, "a second document begins");
    refused("a: 1\n---\n", 2, 1, "a second document begins");
    refused("? [a, b]\n: 1", 1, 3, "a key must be a text");
    refused("? {a: b}\n: 1", 1, 3, "a key must be a text");
    refused("{{a}}: 1", 1, 1, "a key must be a text");
    refused("a: &k x\n*k : 1", 2, 1, "a key must be a text");
}

static void test_nul(void **state) {
    refused("a: \"x\\0y\"", 1, 4, "NUL");
    refused("\"x\\0y\": 1", 1, 1, "NUL");
}

/* ---- anchors ---- */

static void test_aliases_are_copies(void **state) {
    reads("a: &x [1, {b: c}]\nd: *x\n", "{'a':[1,{'b':'c'}],'d':[1,{'b':'c'}]}");
    reads("a: &x text\nb: *x\nc: *x", "{'a':'text','b':'text','c':'text'}");
    reads("a: &x 1\nb: &x 2\nc: *x", "{'a':1,'b':2,'c':2}");
    reads("- &a {k: v}\n- &b [*a, *a]\n- *b", "[{'k':'v'},[{'k':'v'},{'k':'v'}],[{'k':'v'},{'k':'v'}]]");
    reads("a: &x\nb: *x", "{'a':null,'b':null}");
}

static void test_a_copy_is_its_own(void **state) {
    _cleanup_(json_decrefp) json_t *value = NULL;

    assert_int_equal(source_parse_yaml(SLICE_LIT("a: &x {k: 1}\nb: *x"), &value, NULL, NULL), 0);
    json_object_set_new(json_get(value, "a"), "k", json_integer(2));
    kit_same(value, "{'a':{'k':2},'b':{'k':1}}");
}

static void test_broken_aliases(void **state) {
    refused("a: *nobody", 1, 4, "there is no anchor &nobody before this");
    refused("a: *later\nb: &later 1", 1, 4, "no anchor &later");
    refused("a: &self [*self]", 1, 11, "no anchor &self");
    refused("&self a: *self", 1, 10, "no anchor &self");
}

/* ---- bounds ---- */

static void test_depth(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;

    for (int i = 0; i < CONFIG_DEPTH_MAX; i++) {
        str_add_char(&text, '[');
    }
    for (int i = 0; i < CONFIG_DEPTH_MAX; i++) {
        str_add_char(&text, ']');
    }
    assert_int_equal(source_parse_yaml(str_slice(&text), &value, NULL, NULL), 0);
    str_clear(&text);
    for (int i = 0; i <= CONFIG_DEPTH_MAX; i++) {
        str_add_char(&text, '[');
    }
    refused(text.data, 1, 33, "nested deeper than 32 levels");
    for (int i = 0; i < 100000; i++) {
        str_add_char(&text, '[');
    }
    refused(text.data, 1, 33, "nested deeper than 32 levels");
}

/* Each alias adds the depth of what it stands for. */
static void test_depth_through_aliases(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;

    str_add_text(&text, "- &a0 [x]\n");
    for (int i = 1; i < 31; i++) {
        str_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
    }
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(source_parse_yaml(str_slice(&text), &value, NULL, NULL), 0);
    str_printf(&text, "- &a31 [*a30]\n");
    refused(text.data, 32, 9, "nested deeper than 32 levels");
}

static void test_nodes(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;

    str_add_char(&text, '[');
    for (int i = 0; i < 99999; i++) {
        str_add_text(&text, "1,");
    }
    str_add_char(&text, ']');
    assert_int_equal(source_parse_yaml(str_slice(&text), &value, NULL, NULL), 0);
    assert_int_equal(json_array_size(value), 99999);
    text.data[text.len - 1] = '2';
    str_add_char(&text, ']');
    refused(text.data, 1, 200000, "more than 100000 values");
}

static void test_laughs(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;

    str_add_text(&text, "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n");
    for (int i = 1; i < 20; i++) {
        str_printf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++) {
            str_printf(&text, "*a%d,", i - 1);
        }
        str_add_text(&text, "]\n");
    }
    refused(text.data, 6, 10, "more than 100000 values, with aliases expanded");
}

/* Few values, but long ones. */
static void test_long_laughs(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;

    str_add_text(&text, "- &a ");
    for (int i = 0; i < 500000; i++) {
        str_add_char(&text, 'x');
    }
    str_add_char(&text, '\n');
    for (int i = 0; i < 7; i++) {
        str_add_text(&text, "- *a\n");
    }
    _cleanup_(json_decrefp) json_t *value = NULL;
    assert_int_equal(source_parse_yaml(str_slice(&text), &value, NULL, NULL), 0);
    str_add_text(&text, "- *a\n");
    refused(text.data, 9, 3, "more than 4194304 bytes");
}

static void test_anchors(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    _cleanup_(json_decrefp) json_t *value = NULL;

    for (int i = 0; i < 1000; i++) {
        str_printf(&text, "- &a%d x\n", i);
    }
    assert_int_equal(source_parse_yaml(str_slice(&text), &value, NULL, NULL), 0);
    str_add_text(&text, "- &more x\n");
    refused(text.data, 1001, 3, "more than 1000 anchors");
}

static void test_size(void **state) {
    _cleanup_(freep) char *text = malloc(CONFIG_SIZE_MAX + 1);
    _cleanup_(json_decrefp) json_t *value = NULL;
    struct err err = ERR_INIT;

    assert_non_null(text);
    memset(text, 'x', CONFIG_SIZE_MAX + 1);
    assert_int_equal(source_parse_yaml((struct slice){text, CONFIG_SIZE_MAX}, &value, NULL, NULL), 0);
    json_t *other = NULL;
    assert_int_equal(source_parse_yaml((struct slice){text, CONFIG_SIZE_MAX + 1}, &other, NULL, &err), -ERR_TOO_LARGE);
}

static void test_encodings(void **state) {
    static const struct {
        const char *name;
        struct slice text;
        unsigned line, column;
    } rows[] = {
        {"Latin-1", SLICE_LIT("a: caf\xe9\n"), 1, 7},
        {"UTF-16",
         SLICE_LIT("\xff\xfe"
                   "a\0:\0 \0b\0"),
         1, 1},
        {"a surrogate", SLICE_LIT("a: ok\nb: \xed\xa0\x80"), 2, 4},
        {"an overlong form", SLICE_LIT("a: \xc0\x80"), 1, 4},
    };
    json_t *value;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        if (source_parse_yaml(rows[i].text, &value, NULL, &err) != -ERR_INVALID_UTF8)
            fail_msg("%s was taken", rows[i].name);
        if (err.line != rows[i].line || err.column != rows[i].column)
            fail_msg("%s: at %u:%u", rows[i].name, err.line, err.column);
    }
    reads("\xef\xbb\xbf"
          "a: 1",
          "{'a':1}");
    refused("a: 1\nb: \x01", 2, 4, "control characters are not allowed");
}

static void test_nul_byte(void **state) {
    struct err err = ERR_INIT;
    json_t *value;

    assert_int_equal(source_parse_yaml(SLICE_LIT("a: x\nb: y\0z"), &value, NULL, &err), -ERR_MALFORMED_YAML);
    assert_int_equal(err.line, 2);
    assert_int_equal(err.column, 5);
}

/* ---- places ---- */

static void place(const struct source_map *map, const char *pointer, unsigned line, unsigned column) {
    const char *file;
    unsigned found_line, found_column;

    if (!source_map_find(map, pointer, &file, &found_line, &found_column)) fail_msg("%s is not known", pointer);
    if (found_line != line || found_column != column)
        fail_msg("%s is at %u:%u, not %u:%u", pointer, found_line, found_column, line, column);
}

static void test_places(void **state) {
    static const char yaml[] = "model: gpt-4o\n"
                               "parameters:\n"
                               "  temperature: 0.7\n"
                               "tools:\n"
                               "  - search\n"
                               "  - kind: function\n"
                               "    name: f\n"
                               "    parameters: {type: object, properties: {é: {type: string}, b: 1}}\n"
                               "'a/b~c': |\n"
                               "  text\n"
                               "after: 1\n";
    struct source_map *map = source_map_new();
    json_t *value;

    assert_int_equal(source_parse_yaml(slice_of(yaml), &value, map, NULL), 0);
    place(map, "", 1, 1);
    place(map, "/model", 1, 1);
    place(map, "/parameters", 2, 1);
    place(map, "/parameters/temperature", 3, 3);
    place(map, "/tools/0", 5, 5);
    place(map, "/tools/1", 6, 5);
    place(map, "/tools/1/name", 7, 5);
    place(map, "/tools/1/parameters/properties/b", 8, 64);
    place(map, "/a~1b~0c", 9, 1);
    place(map, "/after", 11, 1);
    json_decref(value);
    source_map_free(map);
}

static void test_nearest_parent(void **state) {
    struct source_map *map = source_map_new();
    json_t *value;

    assert_int_equal(source_parse_yaml(SLICE_LIT("a:\n  b: [1, &x {c: 2}]\nd: *x"), &value, map, NULL), 0);
    place(map, "/a/b/1/c/nothing/0", 2, 14);
    place(map, "/a/zzz", 1, 1);
    place(map, "/a/b/7", 2, 3);
    place(map, "/zzz", 1, 1);
    place(map, "/d/c", 3, 1);
    json_decref(value);
    source_map_free(map);
}

/* Members that config_normalise() moves are found where they were written. */
static void test_moved_members(void **state) {
    struct source_map *map = source_map_new();
    json_t *value;

    assert_int_equal(
        source_parse_yaml(SLICE_LIT("model: m\ninstructions:\n  - text: x\ntemperature: 3\nparameters:\n  seed: 1\n"
                                    "mcp_servers:\n  mcpServers:\n    crm: {url: x}\nmax_tokens: 0\n"),
                          &value, map, NULL),
        0);
    place(map, "/system_prompt", 2, 1);
    place(map, "/system_prompt/0/text", 3, 5);
    place(map, "/parameters/temperature", 4, 1);
    place(map, "/parameters/max_tokens", 10, 1);
    place(map, "/parameters/seed", 6, 3);
    place(map, "/parameters/unknown", 5, 1);
    place(map, "/mcp_servers/crm/url", 9, 11);
    place(map, "/parameters", 5, 1);
    json_decref(value);
    source_map_free(map);
}

static void test_moved_members_without_parameters(void **state) {
    struct source_map *map = source_map_new();
    json_t *value;

    assert_int_equal(source_parse_yaml(SLICE_LIT("model: m\ntemperature: 3\n"), &value, map, NULL), 0);
    place(map, "/parameters/temperature", 2, 1);
    place(map, "/parameters/seed", 1, 1);
    json_decref(value);
    source_map_free(map);
}

static void test_empty_map(void **state) {
    struct source_map *map = source_map_new();
    const char *file;
    unsigned line, column;

    assert_false(source_map_find(map, "", &file, &line, &column));
    assert_false(source_map_find(map, "/a", &file, &line, &column));
    source_map_free(map);
    source_map_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_texts_of_the_core_schema),
        cmocka_unit_test(test_nulls_and_booleans),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_that_json_cannot_hold),
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_json_is_yaml),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_tabs_have_a_remedy),
        cmocka_unit_test(test_what_means_different_things_to_different_readers),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_aliases_are_copies),
        cmocka_unit_test(test_a_copy_is_its_own),
        cmocka_unit_test(test_broken_aliases),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_through_aliases),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_laughs),
        cmocka_unit_test(test_long_laughs),
        cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_nearest_parent),
        cmocka_unit_test(test_moved_members),
        cmocka_unit_test(test_moved_members_without_parameters),
        cmocka_unit_test(test_empty_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
