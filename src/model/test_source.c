/* SPDX-License-Identifier: Apache-2.0 */
/* source_read() over files in memory: forms, names, files put in place, and where everything came from. */
#include "model/source.h"

#include "model/config.h"
#include "model/model_impl.h"
#include "model/test_kit.h"

/* Reads `path`, expects `config` (with ' for ") and `faults`. */
static void reads(const struct kit_file *files, const char *path, const char *config, const char *expected_faults) {
    struct source_reader reader = kit_reader(files);
    struct source_document document;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    if (source_read(&reader, path, &faults, &document, &err) < 0)
        fail_msg("%s: %s (%s:%u:%u)", path, err.message, err.at, err.line, err.column);
    kit_faults(path, &faults, expected_faults);
    kit_same(document.config, config);
    source_document_deinit(&document);
    faults_deinit(&faults);
}

static void refused(const struct kit_file *files, const char *path, int code, const char *at, unsigned line,
                    unsigned column, const char *part) {
    struct source_reader reader = kit_reader(files);
    struct source_document document = {0};
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    int r = source_read(&reader, path, &faults, &document, &err);

    if (r != -code) fail_msg("%s: answered %d, \"%s\"", path, r, err.message);
    if (!strstr(err.message, part)) fail_msg("\"%s\" does not say \"%s\"", err.message, part);
    assert_string_equal(err.at, at);
    if (err.line != line || err.column != column)
        fail_msg("%s: at %u:%u, not %u:%u", err.message, err.line, err.column, line, column);
    assert_null(document.config);
    faults_deinit(&faults);
}

static void place(const struct source_document *document, const char *pointer, const char *file, unsigned line,
                  unsigned column) {
    const char *found;
    unsigned found_line, found_column;

    if (!source_map_find(document->map, pointer, &found, &found_line, &found_column))
        fail_msg("%s is not known", pointer);
    if (strcmp(found, file) != 0 || found_line != line || found_column != column) {
        fail_msg("%s is at %s:%u:%u, not %s:%u:%u", pointer, found, found_line, found_column, file, line, column);
    }
}

static void open_document(const struct kit_file *files, const char *path, struct source_document *ret) {
    struct source_reader reader = kit_reader(files);
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    if (source_read(&reader, path, &faults, ret, &err) < 0) fail_msg("%s: %s", path, err.message);
    kit_faults(path, &faults, "");
}

/* ---- forms ---- */

static void test_forms(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "model: m\ntemperature: 0.5\n"},
        {"a.yml", "model: m"},
        {"a.json", "{\"model\": \"m\"}\n"},
        {"a.md", "---\nmodel: m\n---\nYou are…\n"},
        {"a.markdown", "---\nmodel: m\n---\n"},
        {"bom.yaml", "\xef\xbb\xbfmodel: m"},
        {"bom.json", "\xef\xbb\xbf{\"model\":\"m\"}"},
        {"bom.md", "\xef\xbb\xbf---\nmodel: m\n---\nx"},
        {"a.txt", "model: m"},
        {"noending", "model: m"},
        {NULL},
    };

    reads(files, "a.yaml", "{'model':'m','temperature':0.5}", "");
    reads(files, "a.yml", "{'model':'m'}", "");
    reads(files, "a.json", "{'model':'m'}", "");
    reads(files, "a.md", "{'model':'m','system_prompt':'You are…\\n'}", "");
    reads(files, "a.markdown", "{'model':'m'}", "");
    reads(files, "bom.yaml", "{'model':'m'}", "");
    reads(files, "bom.json", "{'model':'m'}", "");
    reads(files, "bom.md", "{'model':'m','system_prompt':'x'}", "");
    refused(files, "a.txt", ERR_FILE, "a.txt", 0, 0, "the form of a.txt is not known");
    refused(files, "noending", ERR_FILE, "noending", 0, 0, "not known");
    refused(files, "missing.yaml", ERR_FILE, "", 0, 0, "does not exist");
}

static void test_paths(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "model: m"}, {NULL}};

    refused(files, "../a.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "\"../a.yaml\" leads outside the folder");
    refused(files, "/a.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "leads outside");
    refused(files, "./a.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "has a \".\" part");
    refused(files, "x//a.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "has an empty part");
    refused(files, "x/", ERR_OUTSIDE_FOLDER, "", 0, 0, "has an empty part");
    refused(files, "x\\a.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "has a backslash");
    refused(files, "a\n.yaml", ERR_OUTSIDE_FOLDER, "", 0, 0, "has a control character");
}

static void test_path_faults(void **state) {
    static const char *const good[] = {"a",     "a.yaml",  "a/b/c.json",    "...",    "a..b", "..a",
                                       "a../b", ".hidden", "partials/x.md", "ä ö.md", "a b/c"};
    static const char *const bad[] = {"",       "/",   "/a",  "a/",   "a//b",  ".",     "..",    "a/..",
                                      "a/../b", "./a", "a/.", "a\\b", "..\\a", "a\x01", "a\x7f", "a\tb"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (source_path_fault(good[i])) fail_msg("\"%s\" %s", good[i], source_path_fault(good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!source_path_fault(bad[i])) fail_msg("\"%s\" was taken", bad[i]);
    }
}

static void test_syntax_errors_have_a_place(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "model: m\n  x: 1\n"},
        {"a.json", "{\"model\":\n  \"m\",,}"},
        {"a.md", "---\nmodel: m\nmodel: n\n---\nx"},
        {"list.md", "---\n- a\n---\nx"},
        {"open.md", "---\nmodel: m\n\nYou are…\n"},
        {"latin.yaml", "a: 1\nb: \xe9"},
        {"deep.json", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
        {NULL},
    };

    refused(files, "a.yaml", ERR_MALFORMED_YAML, "a.yaml", 2, 4, "mapping values are not allowed");
    refused(files, "a.json", ERR_MALFORMED_JSON, "a.json", 2, 7, "malformed JSON");
    refused(files, "a.md", ERR_MALFORMED_YAML, "a.md", 3, 1, "the key \"model\" is given twice");
    refused(files, "list.md", ERR_MALFORMED_YAML, "list.md", 2, 1, "no list of \"key: value\"");
    refused(files, "open.md", ERR_MALFORMED_YAML, "open.md", 1, 1, "not closed by a line of ---");
    refused(files, "latin.yaml", ERR_INVALID_UTF8, "latin.yaml", 2, 4, "0xe9 is not UTF-8");
    refused(files, "deep.json", ERR_MALFORMED_JSON, "deep.json", 1, 33, "nested deeper than 32 levels");
}

static void test_markdown(void **state) {
    static const struct kit_file files[] = {
        {"plain.md", "# Title\n\nYou are…\n"},
        {"blank.md", "---\nmodel: m\n---\n\n\n  \nYou are…\n\n"},
        {"crlf.md", "---\r\nmodel: m\r\n---\r\nYou\r\n"},
        {"spaces.md", "--- \nmodel: m\n---\t\nx"},
        {"empty.md", ""},
        {"nothing.md", "---\n---\nx"},
        {"comment.md", "---\n# none\n\n---\nx"},
        {"rule.md", "---\nmodel: m\n---\na\n\n---\n\nb\n"},
        {"dashes.md", "----\nx\n"},
        {"both.md", "---\nmodel: m\nsystem_prompt: a\n---\nb"},
        {"other.md", "---\nmodel: m\ninstructions: a\n---\nb"},
        {"fence.md", "---\nmodel: m\n---"},
        {"given.md", "---\nmodel: m\nsystem_prompt: a\n---\n\n  \n"},
        {NULL},
    };

    reads(files, "plain.md", "{'system_prompt':'# Title\\n\\nYou are…\\n'}", "");
    reads(files, "blank.md", "{'model':'m','system_prompt':'You are…\\n\\n'}", "");
    reads(files, "crlf.md", "{'model':'m','system_prompt':'You\\r\\n'}", "");
    reads(files, "spaces.md", "{'model':'m','system_prompt':'x'}", "");
    reads(files, "empty.md", "{}", "");
    reads(files, "nothing.md", "{'system_prompt':'x'}", "");
    reads(files, "comment.md", "{'system_prompt':'x'}", "");
    reads(files, "rule.md", "{'model':'m','system_prompt':'a\\n\\n---\\n\\nb\\n'}", "");
    reads(files, "dashes.md", "{'system_prompt':'----\\nx\\n'}", "");
    reads(files, "both.md", "{'model':'m','system_prompt':'a'}",
          "/system_prompt: given as \"system_prompt\" in the front matter and as the text below");
    reads(files, "other.md", "{'model':'m','instructions':'a'}", "/system_prompt: given as \"instructions\"");
    reads(files, "fence.md", "{'model':'m'}", "");
    reads(files, "given.md", "{'model':'m','system_prompt':'a'}", "");
}

static void test_nul_in_markdown(void **state) {
    static const struct kit_file files[] = {{"a.md", "---\nmodel: m\n---\na\0b", 20}, {NULL}};
    refused(files, "a.md", ERR_INVALID_UTF8, "a.md", 4, 1, "NUL");
}

static void test_places_in_markdown(void **state) {
    static const struct kit_file files[] = {{"a.md", "---\n# c\nmodel: m\n---\n\nYou\n"}, {NULL}};
    struct source_document document;

    open_document(files, "a.md", &document);
    place(&document, "/model", "a.md", 3, 1);
    place(&document, "/system_prompt", "a.md", 6, 1);
    source_document_deinit(&document);
}

static void test_places_in_json(void **state) {
    static const struct kit_file files[] = {{"a.json", "\n{ \"model\": \"m\",\n  \"é\\n\\\"x\": [1, {\"a\": -2.5e3},\n "
                                                       "   [\"]\", \"}\"], true],\n\"t\":{}, \"u\":[], \"z\" : null}"},
                                            {NULL}};
    struct source_document document;

    open_document(files, "a.json", &document);
    place(&document, "", "a.json", 2, 1);
    place(&document, "/model", "a.json", 2, 3);
    place(&document, "/é\n\"x", "a.json", 3, 3);
    place(&document, "/é\n\"x/0", "a.json", 3, 14);
    place(&document, "/é\n\"x/1/a", "a.json", 3, 18);
    place(&document, "/é\n\"x/2/1", "a.json", 4, 11);
    place(&document, "/é\n\"x/3", "a.json", 4, 17);
    place(&document, "/t", "a.json", 5, 1);
    place(&document, "/u", "a.json", 5, 9);
    place(&document, "/z", "a.json", 5, 17);
    source_document_deinit(&document);
}

/* ---- the agent's name ---- */

static void test_agent_names(void **state) {
    static const struct kit_file files[] = {
        {"support.yaml", "model: m"}, {"agents/billing-triage/agent.yaml", "model: m"},
        {"agents/support.md", "x"},   {"agent.yaml", "model: m"},
        {"Support.yaml", "model: m"}, {"agents/Bad Name/agent.json", "{}"},
        {"x.agent.yaml", "model: m"}, {NULL},
    };
    static const struct {
        const char *path, *agent;
    } rows[] = {
        {"support.yaml", "support"},
        {"agents/billing-triage/agent.yaml", "billing-triage"},
        {"agents/support.md", "support"},
        {"agent.yaml", ""},
        {"Support.yaml", ""},
        {"agents/Bad Name/agent.json", ""},
        {"x.agent.yaml", "x"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct source_document document;
        open_document(files, rows[i].path, &document);
        assert_string_equal(document.agent, rows[i].agent);
        source_document_deinit(&document);
    }
}

static void test_name_of_the_root(void **state) {
    static const struct kit_file files[] = {{"agent.yaml", "model: m"}, {NULL}};
    struct source_reader reader = kit_reader(files);
    struct source_document document;
    struct faults faults = FAULTS_INIT;

    reader.name = "voice-receptionist";
    assert_int_equal(source_read(&reader, "", &faults, &document, NULL), 0);
    assert_string_equal(document.agent, "voice-receptionist");
    source_document_deinit(&document);
}

static void test_the_root_s_own_document(void **state) {
    static const struct kit_file yaml[] = {
        {"prompt.md", "x"}, {"agent.yaml", "model: y"}, {"sub/agent.json", "{}"}, {NULL}};
    static const struct kit_file json[] = {{"agent.json", "{\"model\":\"j\"}"}, {NULL}};
    static const struct kit_file md[] = {{"agent.md", "---\nmodel: d\n---\n"}, {NULL}};
    static const struct kit_file yml[] = {{"agent.yml", "model: l"}, {NULL}};
    static const struct kit_file two[] = {{"agent.yaml", "model: y"}, {"agent.json", "{}"}, {NULL}};
    static const struct kit_file none[] = {{"readme.md", "x"}, {NULL}};

    reads(yaml, "", "{'model':'y'}", "");
    reads(json, "", "{'model':'j'}", "");
    reads(md, "", "{'model':'d'}", "");
    reads(yml, "", "{'model':'l'}", "");
    refused(two, "", ERR_FILE, "", 0, 0, "both agent.yaml and agent.json");
    refused(none, "", ERR_FILE, "", 0, 0, "the folder has no agent.yaml");
}

static void test_a_root_that_cannot_be_listed(void **state) {
    static const struct kit_file files[] = {{"agent.yaml", "model: m\ntools: [{file: tools/*.json}]"}, {NULL}};
    struct source_reader reader = kit_reader(files);
    struct source_document document;
    struct faults faults = FAULTS_INIT;

    reader.list = NULL;
    assert_int_equal(source_read(&reader, "", &faults, &document, NULL), 0);
    kit_faults("no list", &faults, "/tools/0: cannot be looked for in this source; name each file");
    source_document_deinit(&document);
    faults_deinit(&faults);
}

/* ---- files put in place ---- */

static void test_every_place_of_a_file(void **state) {
    static const struct kit_file files[] = {
        {"agent.yaml", "system_prompt: {file: prompt.md}\n"
                       "greeting: {file: greeting.txt}\n"
                       "messages:\n  - {role: user, content: {file: m/user.md}}\n  - {placeholder: history}\n"
                       "inputs: {file: inputs.json}\n"
                       "output: {format: json, schema: {file: out.yaml}}\n"
                       "mcp_servers: {file: .mcp.json}\n"
                       "guardrails: {pii: {file: g/pii.yaml}, free: {a: 1}}\n"
                       "handoffs: [{agent: b, inputs: {file: inputs.json}}]\n"
                       "tools:\n  - search\n  - {file: tools/refund.json}\n"
                       "  - {kind: function, name: f, parameters: {file: inputs.json}, returns: {file: out.yaml}}\n"
                       "  - {kind: openapi, name: o, spec: {file: api.yml}}\n"},
        {"prompt.md", "You are…\n"},
        {"greeting.txt", "Hello"},
        {"m/user.md", "hi"},
        {"inputs.json", "{\"type\":\"object\"}"},
        {"out.yaml", "type: string\n"},
        {".mcp.json", "{\"mcpServers\":{\"a\":{\"command\":\"x\"}}}"},
        {"g/pii.yaml", "stage: output\ncheck: {type: pii}\n"},
        {"tools/refund.json", "{\"kind\":\"function\",\"name\":\"refund\",\"parameters\":{\"file\":\"inputs.json\"}}"},
        {"api.yml", "openapi: 3.1.0"},
        {NULL},
    };

    reads(files, "",
          "{'system_prompt':'You "
          "are…\\n','greeting':'Hello','messages':[{'role':'user','content':'hi'},{'placeholder':'history'}],"
          "'inputs':{'type':'object'},'output':{'format':'json','schema':{'type':'string'}},'mcp_servers':{'mcpServers'"
          ":{'a':{'command':'x'}}},"
          "'guardrails':{'pii':{'stage':'output','check':{'type':'pii'}},'free':{'a':1}},'handoffs':[{'agent':'b','"
          "inputs':{'type':'object'}}],"
          "'tools':['search',{'kind':'function','name':'refund','parameters':{'type':'object'}},"
          "{'kind':'function','name':'f','parameters':{'type':'object'},'returns':{'type':'string'}},"
          "{'kind':'openapi','name':'o','spec':{'openapi':'3.1.0'}}]}",
          "");
}

static void test_whole_parts_from_files(void **state) {
    static const struct kit_file files[] = {
        {"agent.yaml", "tools: {file: tools.json}\nguardrails: {file: guardrails.yaml}\ninstructions: {file: p.md}"},
        {"tools.json", "[\"a\",{\"file\":\"b.json\"}]"},
        {"b.json", "{\"kind\":\"builtin\",\"name\":\"b\"}"},
        {"guardrails.yaml", "g: {file: g.json}"},
        {"g.json", "{\"free\":true}"},
        {"p.md", "x"},
        {NULL},
    };

    reads(files, "",
          "{'tools':['a',{'kind':'builtin','name':'b'}],'guardrails':{'g':{'free':true}},'instructions':'x'}", "");
}

static void test_segments(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "system_prompt:\n  - {name: core, file: core.md, cache: true}\n  - file: more.md\n  - text: own\n  "
                   "- {file: x.md, text: both}\n"},
        {"b.yaml", "instructions:\n  - file: core.md\n"},
        {"core.md", "core\n"},
        {"more.md", "more"},
        {NULL},
    };

    reads(files, "a.yaml",
          "{'system_prompt':[{'name':'core','text':'core\\n','cache':true},{'text':'more'},{'text':'own'},{'file':'x."
          "md','text':'both'}]}",
          "");
    reads(files, "b.yaml", "{'instructions':[{'text':'core\\n'}]}", "");
}

/* What only looks like a reference is data. */
static void test_where_a_file_is_none(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "ext: {a: {file: x}}\nmetadata: {file: x}\ndescription: {file: x}\nx-note: {file: x}\n"
                   "tools:\n  - kind: function\n    name: f\n    parameters: {type: object, properties: {file: {type: "
                   "string}}, default: {file: x}}\n"
                   "  - {kind: builtin, name: b, config: {file: x}}\n"
                   "inputs: {properties: {file: {default: x}}}\n"
                   "system_prompt: {file: x, more: 1}\n"
                   "greeting: {file: 7}\n"},
        {NULL},
    };

    reads(files, "a.yaml",
          "{'ext':{'a':{'file':'x'}},'metadata':{'file':'x'},'description':{'file':'x'},'x-note':{'file':'x'},"
          "'tools':[{'kind':'function','name':'f','parameters':{'type':'object','properties':{'file':{'type':'string'}}"
          ",'default':{'file':'x'}}},"
          "{'kind':'builtin','name':'b','config':{'file':'x'}}],'inputs':{'properties':{'file':{'default':'x'}}},"
          "'system_prompt':{'file':'x','more':1},'greeting':{'file':7}}",
          "");
}

static void test_text_is_taken_as_it_is(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "system_prompt: {file: p.json}\ngreeting: {file: g}\n"},
                                            {"p.json", "{\"not\": \"parsed\"}\n\n"},
                                            {"g", "\xef\xbb\xbf\r\n x \r\n"},
                                            {NULL}};

    reads(files, "a.yaml",
          "{'system_prompt':'{\\u0022not\\u0022: \\u0022parsed\\u0022}\\n\\n','greeting':'\\r\\n x \\r\\n'}", "");
}

static void test_empty_files(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "system_prompt: {file: p.md}"},
                                            {"p.md", ""},
                                            {"b.yaml", "inputs: {file: i.json}"},
                                            {"i.json", ""},
                                            {NULL}};

    reads(files, "a.yaml", "{'system_prompt':''}", "");
    refused(files, "b.yaml", ERR_MALFORMED_JSON, "i.json", 1, 1, "malformed JSON");
}

static void test_references_that_fail(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "system_prompt: {file: missing.md}\n"
                   "greeting: {file: ../secret.md}\n"
                   "inputs: {file: /etc/passwd}\n"
                   "messages: [{role: user, content: {file: a/./b}}]\n"
                   "tools:\n  - {file: tools/x.md}\n  - {file: ''}\n  - {file: '~/x.json'}\n"
                   "guardrails: {g: {file: 'a\\b.json'}}\n"
                   "output: {schema: {file: \"a\\nb.json\"}}\n"},
        {NULL},
    };

    reads(files, "a.yaml",
          "{'system_prompt':{'file':'missing.md'},'greeting':{'file':'../secret.md'},'inputs':{'file':'/etc/passwd'},"
          "'messages':[{'role':'user','content':{'file':'a/./b'}}],'tools':[{'file':'tools/"
          "x.md'},{'file':''},{'file':'~/x.json'}],"
          "'guardrails':{'g':{'file':'a\\\\b.json'}},'output':{'schema':{'file':'a\\nb.json'}}}",
          "/system_prompt: the file \"missing.md\" does not exist\n"
          "/greeting: the file \"../secret.md\" leads outside the folder\n"
          "/inputs: the file \"/etc/passwd\" leads outside the folder\n"
          "/messages/0/content: has a \".\" part\n"
          "/tools/0: is expected to be .json, .yaml or .yml here\n"
          "/tools/1: is empty\n"
          "/tools/2: does not exist\n"
          "/guardrails/g: has a backslash\n"
          "/output/schema: the file \"a\\x0ab.json\" has a control character");
}

static void test_faults_of_references_have_a_place(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "model: m\ntools:\n  - search\n  - {file: missing.json}\n"},
                                            {NULL}};
    struct source_reader reader = kit_reader(files);
    struct source_document document;
    struct faults faults = FAULTS_INIT;

    assert_int_equal(source_read(&reader, "a.yaml", &faults, &document, NULL), 0);
    assert_int_equal(faults.count, 1);
    assert_int_equal(faults.items[0].line, 4);
    assert_int_equal(faults.items[0].column, 5);
    source_document_deinit(&document);
    faults_deinit(&faults);
}

static void test_bad_files(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "tools: [{file: x.json}]"},
        {"x.json", "{\n \"a\": }"},
        {"b.yaml", "inputs: {file: x.yaml}"},
        {"x.yaml", "a: 1\na: 2"},
        {"c.yaml", "system_prompt: {file: p.md}"},
        {"p.md", "ok\nca\xf1"},
        {"d.yaml", "greeting: {file: nul}"},
        {"nul", "a\0b", 3},
        {NULL},
    };

    refused(files, "a.yaml", ERR_MALFORMED_JSON, "x.json", 2, 7, "malformed JSON");
    refused(files, "b.yaml", ERR_MALFORMED_YAML, "x.yaml", 2, 1, "given twice");
    refused(files, "c.yaml", ERR_INVALID_UTF8, "p.md", 2, 3, "0xf1");
    refused(files, "d.yaml", ERR_INVALID_UTF8, "nul", 0, 0, "NUL");
}

/* ---- folders ---- */

static void test_paths_begin_at_the_document(void **state) {
    static const struct kit_file files[] = {
        {"agents/support/agent.yaml", "system_prompt:\n  - file: prompt.md\n  - file: partials/tone.md\n  - file: "
                                      "partials/own.md\ntools: [{file: tools/a.json}]"},
        {"agents/support/prompt.md", "mine"},
        {"agents/support/tools/a.json", "\"a\""},
        {"agents/support/partials/own.md", "own"},
        {"partials/own.md", "not this one"},
        {"partials/tone.md", "shared"},
        {"prompt.md", "not this one"},
        {NULL},
    };

    reads(files, "agents/support/agent.yaml",
          "{'system_prompt':[{'text':'mine'},{'text':'shared'},{'text':'own'}],'tools':['a']}", "");
}

static void test_nothing_else_is_shared(void **state) {
    static const struct kit_file files[] = {
        {"agents/a/agent.yaml", "system_prompt: {file: shared/x.md}\ngreeting: {file: partials/none.md}"},
        {"shared/x.md", "x"},
        {NULL}};

    reads(files, "agents/a/agent.yaml",
          "{'system_prompt':{'file':'shared/x.md'},'greeting':{'file':'partials/none.md'}}",
          "/system_prompt: \"shared/x.md\" does not exist\n/greeting: \"partials/none.md\" does not exist");
}

static void test_all_tools_of_a_folder(void **state) {
    static const struct kit_file files[] = {
        {"agents/a/agent.yaml", "tools:\n  - first\n  - {file: tools/*.json}\n  - file: tools/*.yaml\n  - last\n  - "
                                "kind: function\n    name: f\n    parameters: {file: p.json}\n"},
        {"agents/a/tools/b.json", "{\"kind\":\"builtin\",\"name\":\"b\"}"},
        {"agents/a/tools/c.json", "{\"kind\":\"builtin\",\n\"name\":\"c\"}"},
        {"agents/a/tools/d.yaml", "kind: builtin\nname: d\n"},
        {"agents/a/tools/readme.md", "not a tool"},
        {"agents/a/tools/sub/e.json", "\"not below\""},
        {"agents/a/p.json", "{\"type\":\"object\"}"},
        {NULL},
    };
    struct source_document document;

    reads(files, "agents/a/agent.yaml",
          "{'tools':['first',{'kind':'builtin','name':'b'},{'kind':'builtin','name':'c'},{'kind':'builtin','name':'d'},"
          "'last',"
          "{'kind':'function','name':'f','parameters':{'type':'object'}}]}",
          "");
    open_document(files, "agents/a/agent.yaml", &document);
    place(&document, "/tools/0", "agents/a/agent.yaml", 2, 5);
    place(&document, "/tools/1/name", "agents/a/tools/b.json", 1, 19);
    place(&document, "/tools/2/name", "agents/a/tools/c.json", 2, 1);
    place(&document, "/tools/3/name", "agents/a/tools/d.yaml", 2, 1);
    place(&document, "/tools/4", "agents/a/agent.yaml", 5, 5);
    place(&document, "/tools/5/name", "agents/a/agent.yaml", 7, 5);
    place(&document, "/tools/5/parameters/type", "agents/a/p.json", 1, 2);
    source_document_deinit(&document);
}

static void test_patterns_that_stand_for_nothing(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "tools: [{file: tools/*.yaml}, {file: none/*.json}, {file: "
                                                       "../*.json}, {file: tools/a*.json}, {file: '*'}, b]"},
                                            {"tools/x.json", "{}"},
                                            {NULL}};

    reads(files, "a.yaml",
          "{'tools':[{'file':'tools/*.yaml'},{'file':'none/*.json'},{'file':'../*.json'},{'file':'tools/"
          "a*.json'},{'file':'*'},'b']}",
          "/tools/0: \"tools/*.yaml\" stands for no file\n/tools/1: \"none/*.json\" does not exist\n/tools/2: "
          "\"../*.json\" leads outside\n"
          "/tools/3: does not exist\n/tools/4: is expected to be .json");
}

static void test_all_tools_beside_the_document(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "tools: [{file: '*.json'}]"}, {"x.json", "\"x\""}, {"y.json", "\"y\""}, {NULL}};
    reads(files, "a.yaml", "{'tools':['x','y']}", "");
}

static void test_places_of_files(void **state) {
    static const struct kit_file files[] = {
        {"agent.yaml", "model: m\nsystem_prompt:\n  - name: core\n    file: prompt.md\ngreeting: {file: g.md}\ninputs: "
                       "{file: i.yaml}\nafter: 1\n"},
        {"prompt.md", "x"},
        {"g.md", "x"},
        {"i.yaml", "# c\ntype: object\nproperties:\n  a: {}\n"},
        {NULL}};
    struct source_document document;

    open_document(files, "", &document);
    place(&document, "/model", "agent.yaml", 1, 1);
    place(&document, "/system_prompt/0", "agent.yaml", 3, 5);
    place(&document, "/system_prompt/0/text", "prompt.md", 1, 1);
    place(&document, "/greeting", "g.md", 1, 1);
    place(&document, "/inputs", "i.yaml", 1, 1);
    place(&document, "/inputs/properties/a", "i.yaml", 4, 3);
    place(&document, "/after", "agent.yaml", 7, 1);
    source_document_deinit(&document);
}

/* ---- bounds ---- */

static void test_large_files(void **state) {
    _cleanup_(freep) char *big = malloc(CONFIG_SIZE_MAX + 2);
    _cleanup_(str_deinit) struct str many = STR_INIT;

    assert_non_null(big);
    memset(big, 'x', CONFIG_SIZE_MAX + 1);
    big[CONFIG_SIZE_MAX + 1] = '\0';
    str_add_text(&many, "messages:\n");
    for (int i = 0; i < 5; i++) {
        str_add_text(&many, "  - {role: user, content: {file: fits}}\n");
    }
    const struct kit_file files[] = {{"a.yaml", "greeting: {file: big}"},
                                     {"big", big},
                                     {"fits", big, CONFIG_SIZE_MAX},
                                     {"big.yaml", big},
                                     {"many.yaml", many.data},
                                     {NULL}};

    refused(files, "a.yaml", ERR_TOO_LARGE, "big", 0, 0, "at most 1048576");
    refused(files, "big.yaml", ERR_TOO_LARGE, "big.yaml", 0, 0, "at most 1048576");
    refused(files, "many.yaml", ERR_TOO_LARGE, "", 0, 0, "more than 4194304 bytes");
}

/* A file that names itself is read once, and what is then left is no text. */
static void test_no_circles(void **state) {
    static const struct kit_file files[] = {{"a.yaml", "tools: [{file: t.json}]\ninputs: {file: i.json}"},
                                            {"t.json", "{\"file\":\"t.json\"}"},
                                            {"i.json", "{\"file\":\"i.json\"}"},
                                            {NULL}};
    reads(files, "a.yaml", "{'tools':[{'file':'t.json'}],'inputs':{'file':'i.json'}}", "");
}

static void test_documents_that_are_no_objects(void **state) {
    static const struct kit_file files[] = {
        {"a.yaml", "- a"},
        {"b.json", "7"},
        {"c.yaml", "tools: 7\nmessages: {a: 1}\nguardrails: []\noutput: x\nsystem_prompt: [7]\nhandoffs: [1]"},
        {NULL}};

    reads(files, "a.yaml", "['a']", "");
    reads(files, "b.json", "7", "");
    reads(files, "c.yaml",
          "{'tools':7,'messages':{'a':1},'guardrails':[],'output':'x','system_prompt':[7],'handoffs':[1]}", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_path_faults),
        cmocka_unit_test(test_syntax_errors_have_a_place),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_nul_in_markdown),
        cmocka_unit_test(test_places_in_markdown),
        cmocka_unit_test(test_places_in_json),
        cmocka_unit_test(test_agent_names),
        cmocka_unit_test(test_name_of_the_root),
        cmocka_unit_test(test_the_root_s_own_document),
        cmocka_unit_test(test_a_root_that_cannot_be_listed),
        cmocka_unit_test(test_every_place_of_a_file),
        cmocka_unit_test(test_whole_parts_from_files),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_where_a_file_is_none),
        cmocka_unit_test(test_text_is_taken_as_it_is),
        cmocka_unit_test(test_empty_files),
        cmocka_unit_test(test_references_that_fail),
        cmocka_unit_test(test_faults_of_references_have_a_place),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_paths_begin_at_the_document),
        cmocka_unit_test(test_nothing_else_is_shared),
        cmocka_unit_test(test_all_tools_of_a_folder),
        cmocka_unit_test(test_patterns_that_stand_for_nothing),
        cmocka_unit_test(test_all_tools_beside_the_document),
        cmocka_unit_test(test_places_of_files),
        cmocka_unit_test(test_large_files),
        cmocka_unit_test(test_no_circles),
        cmocka_unit_test(test_documents_that_are_no_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
