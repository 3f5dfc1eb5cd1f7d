/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the way from a source to a sealed configuration fails once: no crash, no leak (the sanitizers
 * look), the right error, and nothing handed over. */
#include "base/ticker.h"
#include "model/audit.h"
#include "model/config.h"
#include "model/rollout.h"
#include "model/test_kit.h"

static const struct kit_file files[] = {
    {"agents/support/agent.yaml",
     "schema: agent/v1\n"
     "instructions:\n  - {name: core, file: prompt.md}\n  - text: \"more\\r\\n{{custmer}} "
     "{{#items}}{{sku}}{{/items}}\"\n"
     "model: {id: claude-3-5-sonnet-latest, fallbacks: [{id: o3, parameters: {temperature: 0}}]}\n"
     "temperature: 1.5\nnonsense: 1\ngreeting: {file: partials/hello.txt}\n"
     "inputs:\n  properties:\n    customer: &c {type: string}\n    unused: *c\n    items: {type: array, items: "
     "{properties: {sku: {}}}}\n"
     "tools:\n  - search\n  - {file: tools/*.json}\n  - {file: missing.json}\n  - {kind: mcp, server: crn}\n  - "
     "search\n  - {kind: fnction}\n"
     "mcp_servers: {file: mcp.json}\nguardrails: {pii: {stage: inptu, check: {type: pii}, tools: [none]}}\n"
     "messages: [{role: usr, content: x}]\nmetadata: {tags: [a, b, a]}\next: {acme: {big: 1e10}}\n"},
    {"agents/support/prompt.md", "You are…\n"},
    {"agents/support/tools/a.json", "{\"kind\":\"function\",\"name\":\"a\",\"parameters\":{\"file\":\"p.json\"}}"},
    {"agents/support/tools/b.json", "{\"kind\":\"function\",\"name\":\"b\",\"approval\":7}"},
    {"agents/support/p.json", "{\"type\":\"object\",\"required\":\"x\"}"},
    {"agents/support/mcp.json", "{\"mcpServers\":{\"crm\":{\"command\":\"x\",\"env\":{\"A\":\"${B}\"}}}}"},
    {"partials/hello.txt", "Hello"},
    {"prompt.md", "---\nmodel: m\n---\nYou are {{name}}\n"},
    {"good.yaml", "model: m\nsystem_prompt: hi\ntools: [b, {kind: function, name: a}]\nmetadata: {owner: o}\n"},
    {NULL},
};

static void walk(int (*scenario)(void), size_t at_least) {
    size_t failures = 0;

    for (size_t n = 1;; n++) {
        ticker_start(n);
        int r = scenario();
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            break;
        }
        if (r != -ERR_NO_MEMORY) fail_msg("allocation %zu of %p: answered %d", n, (void *)(uintptr_t)scenario, r);
        failures++;
    }
    assert_true(failures >= at_least);
}

static int read_file(const char *path) {
    struct source_reader reader = kit_reader(files);
    struct source_document document = {0};
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    int r = source_read(&reader, path, &faults, &document, &err);

    if (r < 0) {
        assert_int_equal(err.code, ERR_NO_MEMORY);
        assert_null(document.config);
        assert_null(document.map);
    }
    source_document_deinit(&document);
    faults_deinit(&faults);
    return r;
}

static int read_folder(void) {
    return read_file("agents/support/agent.yaml");
}

static int read_markdown(void) {
    return read_file("prompt.md");
}

static int read_json(void) {
    return read_file("agents/support/mcp.json");
}

static json_t *document_of(const char *path) {
    struct source_reader reader = kit_reader(files);
    struct source_document document;
    struct faults faults = FAULTS_INIT;

    assert_int_equal(source_read(&reader, path, &faults, &document, NULL), 0);
    json_t *config = json_incref(document.config);
    source_document_deinit(&document);
    faults_deinit(&faults);
    return config;
}

static json_t *input;

static int normalise(void) {
    struct faults faults = FAULTS_INIT;
    json_t *config = NULL;
    int r = config_normalise(input, &faults, &config, NULL);

    if (r < 0) assert_null(config);
    json_decref(config);
    faults_deinit(&faults);
    return r;
}

static int validate(void) {
    struct faults faults = FAULTS_INIT;
    int r = config_validate(input, &faults, NULL);
    if (r == 0) assert_true(faults.count > 15);
    faults_deinit(&faults);
    return r;
}

static int seal(void) {
    struct config_sealed sealed = {0};
    int r = config_seal(input, &sealed, NULL);
    if (r < 0) assert_null(sealed.bytes);
    config_sealed_deinit(&sealed);
    return r;
}

static int hash_entry(void) {
    struct audit_entry entry = {.actor = "a",
                                .actor_name = "b",
                                .operation = "c",
                                .agent = "",
                                .environment = "",
                                .reason = "",
                                .detail = "{\"a\":[1,2]}"};
    struct sha256 hash;
    return audit_entry_hash(&entry, &hash, NULL);
}

static void test_reading(void **state) {
    walk(read_folder, 200);
    walk(read_markdown, 8);
    walk(read_json, 8);
}

static void test_checking(void **state) {
    json_t *document = document_of("agents/support/agent.yaml");
    struct faults faults = FAULTS_INIT;

    input = document;
    walk(normalise, 50);
    assert_int_equal(config_normalise(document, &faults, &input, NULL), 0);
    walk(validate, 300);
    json_decref(input);
    json_decref(document);
    faults_deinit(&faults);
}

static void test_sealing(void **state) {
    input = document_of("good.yaml");
    walk(seal, 15);
    json_decref(input);
}

static void test_hashing_an_entry(void **state) {
    walk(hash_entry, 5);
}

static int read_plan(void) {
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct rollout_plan plan;
    int r = rollout_plan_parse(input, "", false, &arena, &plan, &faults, NULL);
    if (r == 0) assert_int_equal(faults.count, 2);
    faults_deinit(&faults);
    arena_deinit(&arena);
    return r;
}

static int merge_plan(void) {
    json_t *merged = NULL;
    int r = rollout_plan_merge(input, input, &merged, NULL);
    if (r < 0) assert_null(merged);
    json_decref(merged);
    return r;
}

static int write_plan(void) {
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct rollout_plan plan;
    struct str out = STR_INIT;
    int r = rollout_plan_parse(input, "", false, &arena, &plan, &faults, NULL);
    if (r == 0) rollout_plan_write(&plan, &out);
    if (out.failed) r = -ERR_NO_MEMORY;
    str_deinit(&out);
    faults_deinit(&faults);
    arena_deinit(&arena);
    return r;
}

static void test_plans_of_rollouts(void **state) {
    input =
        kit_json("{'steps':[{'share':5},{'share':0}],'nonsense':1,'analysis':{'metrics':['error',{'name':'score.q'}]},"
                 "'guards':[{'name':'a','url':'http://p','query':'q','condition':'> 0.5'}]}");
    walk(read_plan, 8);
    walk(merge_plan, 3);
    walk(write_plan, 10);
    json_decref(input);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),           cmocka_unit_test(test_checking),
        cmocka_unit_test(test_sealing),           cmocka_unit_test(test_hashing_an_entry),
        cmocka_unit_test(test_plans_of_rollouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
