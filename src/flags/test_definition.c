/* SPDX-License-Identifier: Apache-2.0 */
#include "flags/test_kit.h"

#include "base/ticker.h"

static void test_what_was_written_is_there(void **state) {
    struct flag *flag = flag_with(
        &(struct flag_texts){"{'state':'ENABLED','variants':{'small':1.0,'big':12},'defaultVariant':'small','metadata':"
                             "{'owner':'care','x':true},"
                             "'targeting':{'if':[{'==':[{'var':'plan'},'pro']},'big',null]}}",
                             "[{'agent':'support','parameter':'temperature'},{'agent':'*','parameter':'model'}]", NULL,
                             "{'owner':'all','team':'a'}"});
    assert_true(slice_equal_text(flag->key, "web_search"));
    assert_true(flag->enabled);
    assert_int_equal(flag->type, FLAG_NUMBER);
    assert_int_equal(flag->variant_count, 2);
    assert_true(slice_equal_text(flag->variants[0].name, "big"));
    assert_true(slice_equal_text(flag->variants[0].value, "12"));
    assert_true(slice_equal_text(flag->variants[1].value, "1.0"));
    assert_int_equal(flag->default_variant, 1);
    assert_non_null(flag->targeting);
    assert_int_equal(flag->binding_count, 2);
    assert_true(slice_equal_text(flag->bindings[0].agent, "support"));
    assert_int_equal(flag->bindings[0].kind, FLAG_PARAMETER);
    assert_true(slice_equal_text(flag->bindings[1].agent, "*"));
    assert_true(slice_equal_text(flag->metadata, "\"owner\":\"care\",\"team\":\"a\",\"x\":true"));
    assert_true(slice_equal_text(flag->bound, "[{\"agent\":\"support\",\"parameter\":\"temperature\"},"
                                              "{\"agent\":\"*\",\"parameter\":\"model\"}]"));
    struct flag *again = flag_ref(flag);
    flag_unref(flag);
    assert_null(flag_unref(again));
    assert_null(flag_unref(NULL));
}

static void test_the_definition_gives_the_same_flag(void **state) {
    struct flag *first =
        flag_of("{'defaultVariant':null,'variants':{'b':{'z':1,'a':[1.50,2e3]},'a':{}},'state':'DISABLED'}");
    char text[400];
    snprintf(text, sizeof(text), "%.*s", (int)first->definition.len, first->definition.ptr);
    struct flag *second = flag_of(text);
    assert_true(slice_equal(first->definition, second->definition));
    assert_string_equal(
        text,
        "{\"defaultVariant\":null,\"state\":\"DISABLED\",\"variants\":{\"a\":{},\"b\":{\"a\":[1.5,2000.0],\"z\":1}}}");
    assert_int_equal(second->default_variant, FLAG_NO_VARIANT);
    assert_false(second->enabled);
    assert_int_equal(second->metadata.len, 0);
    assert_true(slice_equal_text(second->bound, "[]"));
    flag_unref(first);
    flag_unref(second);
}

/* What must be told: a pointer, a colon, a piece of the message. */
static const struct {
    struct flag_texts texts;
    const char *told[4];
} wrong[] = {
    {{"[]"}, {": must be an object"}},
    {{"{}"}, {"/state: is missing", "/variants: is missing"}},
    {{"{'state':'on','variants':{}}"}, {"/state: must be \"ENABLED\" or \"DISABLED\"", "/variants: is wrong"}},
    {{"{'state':'ENABLED','variants':{'a':1,'b':'x'},'defaultVariant':'c','varaints':1}"},
     {"/variants/b: is of type string", "/defaultVariant: there is no variant \"c\"", "/varaints: unknown field"}},
    {{"{'state':'ENABLED','variants':{'a':[1]}}"}, {"/variants/a: must be true or false"}},
    {{"{'state':'ENABLED','variants':{'':1}}"}, {"/variants/: a variant's name"}},
    {{"{'state':'ENABLED','variants':{'on':true,'off':false},'defaultVariant':'onn'}"}, {"did you mean \"on\"?"}},
    {{"{'state':'ENABLED','variants':{'on':true},'defaultVariant':1}"}, {"/defaultVariant: must be the name"}},
    {{"{" ON_OFF ",'targeting':'on'}"}, {"/targeting: must be a rule"}},
    {{"{" ON_OFF ",'targeting':{'iff':[1]}}"}, {"/targeting/iff: "}},
    {{"{" ON_OFF ",'targeting':{'$ref':'nobody'}}"}, {"/targeting/$ref: "}},
    {{"{" ON_OFF ",'targeting':{'fractional':[['on',1.5],['off',1]]}}"}, {"/targeting/fractional/0/1: "}},
    {{"{" ON_OFF ",'metadata':{'a':{}}}"}, {"/metadata/a: must be true or false, text or a number"}},
    {{"{" ON_OFF ",'metadata':[]}"}, {"/metadata: must be an object"}},
    {{"{" ON_OFF "}", "{}"}, {"/bindings: must be a list"}},
    {{"{" ON_OFF "}",
      "[1,{'agent':'Support','tool':'a'},{'agent':'support'},{'agent':'a','tool':'x','guardrail':'y'}]"},
     {"/bindings/0: must be an object", "/bindings/1/agent: must be an agent's name", "/bindings/2: must name one of",
      "/bindings/3: must name one of"}},
    {{"{" ON_OFF "}", "[{'agent':'a','tool':'x'},{'agent':'a','tool':'x'},{'agent':'a','tol':'x'}]"},
     {"/bindings/1: stands in the list already", "/bindings/2/tol: unknown field", "/bindings/2: must name"}},
    {{"{'state':'ENABLED','variants':{'a':'x'}}", "[{'agent':'a','tool':'x'},{'agent':'a','tool':''}]"},
     {"/bindings/0/tool: a tool is on or off", "/bindings/1/tool: must be a name"}},
};

static bool is_told(const struct faults *faults, const char *told) {
    char line[600];
    for (size_t i = 0; i < faults->count; i++) {
        snprintf(line, sizeof(line), "%s: %s", faults->items[i].at, faults->items[i].message);
        if (strstr(line, told)) return true;
    }
    return false;
}

static void test_every_fault_is_told_with_its_place(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct faults faults = FAULTS_INIT;
        struct flag *flag = NULL;
        assert_int_equal(try_flag(&wrong[i].texts, &flag, &faults, NULL), -ERR_INVALID);
        assert_null(flag);
        for (size_t j = 0; j < ARRAY_LEN(wrong[i].told) && wrong[i].told[j]; j++) {
            if (is_told(&faults, wrong[i].told[j])) continue;
            for (size_t k = 0; k < faults.count; k++)
                print_error("told: %s: %s\n", faults.items[k].at, faults.items[k].message);
            fail_msg("%s: not told: %s", wrong[i].texts.definition, wrong[i].told[j]);
        }
        faults_deinit(&faults);
    }
}

static void test_keys(void **state) {
    static const char *const good[] = {"a", "web_search", "New-UI.v2", "9lives"},
                             *const bad[] = {"", "-a", "_a", "a b", "a/b", "\xc3\xa4", "agent.support"};
    char long_key[FLAG_KEY_MAX + 2];
    memset(long_key, 'k', sizeof(long_key));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(flag_key_valid(slice_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(flag_key_valid(slice_of(bad[i])));
    assert_true(flag_key_valid((struct slice){long_key, FLAG_KEY_MAX}));
    assert_false(flag_key_valid((struct slice){long_key, FLAG_KEY_MAX + 1}));
    assert_true(flag_evaluator_name_valid(SLICE_LIT("agent.support")));
}

static void test_shared_rules_are_found(void **state) {
    struct flag *flag =
        flag_with(&(struct flag_texts){"{" ON_OFF ",'targeting':{'if':[{'$ref':'staff'},'on',null]}}", NULL,
                                       "{'staff':{'ends_with':[{'var':'email'},'@serin.example']}}", NULL});
    assert_non_null(flag->targeting);
    flag_unref(flag);
}

static void test_memory_ends(void **state) {
    static const struct flag_texts texts = {
        "{" ON_OFF ",'metadata':{'a':1},'targeting':{'if':[{'$ref':'staff'},'on',null]}}",
        "[{'agent':'support','tool':'refund'}]", "{'staff':{'var':'staff'}}", "{'b':2}"};
    json_t *parts[] = {json_of(texts.definition), json_of(texts.bindings), json_of(texts.evaluators),
                       json_of(texts.metadata)};
    struct flag_source source = {"web_search", parts[0], parts[1], "", "/bindings", parts[2], parts[3]};
    int r;
    for (size_t n = 1;; n++) {
        struct faults faults = FAULTS_INIT;
        struct flag *flag = NULL;
        ticker_start(n);
        r = flag_new(&source, &flag, &faults, NULL);
        bool failed = ticker_stop();
        faults_deinit(&faults);
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        assert_true((r == 0) == (flag != NULL));
        flag_unref(flag);
        if (!failed) break;
    }
    assert_int_equal(r, 0);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        json_decref(parts[i]);
}

/* ---- documents ---- */

static int read_document(const char *text, const char *bindings_text, struct faults *faults) {
    json_t *document = json_of(text), *bindings = bindings_text ? json_of(bindings_text) : NULL;
    struct flag_document parts;
    int r = flag_document_read(document, bindings, "", &parts, faults, NULL);
    json_decref(document);
    json_decref(bindings);
    return r;
}

static void test_documents(void **state) {
    struct faults faults = FAULTS_INIT;
    assert_int_equal(read_document("{'$schema':'https://flagd.dev/schema/v0/flags.json','flags':{'a':{" ON_OFF
                                   ",'targeting':{'$ref':'r'}}},"
                                   "'$evaluators':{'r':{'var':'x'}},'metadata':{'team':'care'}}",
                                   "{'a':[{'agent':'*','tool':'t'}]}", &faults),
                     0);
    assert_int_equal(faults.count, 0);
    assert_int_equal(
        read_document("{'flags':{'a b':{" ON_OFF "},'c':{'state':1},'d':{" ON_OFF
                      ",'targeting':{'$ref':'p'}}},'extra':1,"
                      "'$evaluators':{'p':{'$ref':'q'},'q':{'$ref':'p'},'-':{'var':'x'}},'metadata':{'m':null}}",
                      "{'zz':[],'d':{}}", &faults),
        -ERR_INVALID);
    assert_true(is_told(&faults, "/flags/a b: a flag's key"));
    assert_true(is_told(&faults, "/flags/c/state: "));
    assert_true(is_told(&faults, "/flags/d/targeting/$ref: "));
    assert_true(is_told(&faults, "/extra: unknown field"));
    assert_true(is_told(&faults, "/$evaluators/p"));
    assert_true(is_told(&faults, "/$evaluators/-: a rule's name"));
    assert_true(is_told(&faults, "/metadata/m: "));
    assert_true(is_told(&faults, "/bindings/zz: the document has no flag of that key"));
    assert_true(is_told(&faults, "/bindings/d: must be a list"));
    faults_deinit(&faults);
    faults = FAULTS_INIT;
    assert_int_equal(read_document("{}", NULL, &faults), -ERR_INVALID);
    assert_true(is_told(&faults, "/flags: is missing"));
    assert_int_equal(read_document("[]", "[]", &faults), -ERR_INVALID);
    assert_true(is_told(&faults, "/bindings: must be an object"));
    faults_deinit(&faults);
}

static void test_what_evaluations_set_is_left_out(void **state) {
    struct flag *flag =
        flag_with(&(struct flag_texts){"{" ON_OFF ",'metadata':{'version':'v1','owner':'care','contextId':1}}",
                                       .metadata = "{'flagSetId':'theirs','team':'a'}"});
    assert_true(slice_equal_text(flag->metadata, "\"owner\":\"care\",\"team\":\"a\""));
    flag_unref(flag);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_there),
        cmocka_unit_test(test_the_definition_gives_the_same_flag),
        cmocka_unit_test(test_every_fault_is_told_with_its_place),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_shared_rules_are_found),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_what_evaluations_set_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
