/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about models: names that float, parameters that are refused. */
#include "model/config.h"

#include "model/test_kit.h"

static void check(const char *model, const char *parameters, const char *expected) {
    _cleanup_(json_decrefp) json_t *input = json_object(), *config = NULL;
    struct faults faults = FAULTS_INIT;

    json_object_set_new(input, "model", model[0] == '{' ? kit_json(model) : json_string(model));
    json_object_set_new(input, "parameters", kit_json(parameters));
    assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
    assert_int_equal(config_validate(config, &faults, NULL), 0);
    kit_faults(model, &faults, expected);
    assert_int_equal(faults.errors, 0);
    faults_deinit(&faults);
}

static void test_names_that_float(void **state) {
    static const char *const floating[] = {"claude-3-5-sonnet-latest", "llama3:latest", "acme/model@latest",
                                           "chatgpt-4o-latest"};
    static const char *const fixed[] = {"gpt-4o",        "gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929",
                                        "latest",        "mylatest",          "latest-model",
                                        "gemini-2.5-pro"};

    for (size_t i = 0; i < ARRAY_LEN(floating); i++) {
        check(floating[i], "{}", "warning /model: names another model when the provider moves it");
    }
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        check(fixed[i], "{}", "");
    }
    check("{'id':'x-latest'}", "{}", "warning /model/id: names another model");
    check("{'id':'x','fallbacks':[{'id':'y'},{'id':'z-latest'}]}", "{}",
          "warning /model/fallbacks/1/id: names another model");
}

static void test_anthropic(void **state) {
    check("claude-sonnet-4-5-20250929", "{'temperature':0.5,'max_tokens':1000,'top_k':5,'stop_sequences':['x']}", "");
    check("claude-sonnet-4-5-20250929", "{'temperature':1}", "");
    check("claude-sonnet-4-5-20250929", "{'temperature':1.2}",
          "warning /parameters/temperature: refuses a \"temperature\" other than from 0 to 1");
    check("claude-sonnet-4-5-20250929", "{'seed':1,'frequency_penalty':1,'presence_penalty':1,'top_logprobs':1}",
          "warning /parameters/seed: refuses requests with \"seed\"\nwarning /parameters/frequency_penalty: refuses\n"
          "warning /parameters/presence_penalty: refuses\nwarning /parameters/top_logprobs: refuses");
    check("claude-sonnet-4-5-20250929", "{'temperature':0.5,'top_p':0.5}",
          "warning /parameters/top_p: together; keep one");
    check("claude-3-5-haiku-20241022", "{'temperature':0.5,'top_p':0.5}", "");
    check("claude-opus-4-7", "{'temperature':1,'top_p':1,'top_k':1}",
          "warning /parameters/temperature: refuses\nwarning /parameters/top_p: refuses\nwarning /parameters/top_k: "
          "refuses");
    check("claude-opus-4-6", "{'temperature':1,'top_k':1}", "");
}

static void test_names_of_gateways(void **state) {
    check("anthropic/claude-opus-4-7", "{'temperature':0.5}",
          "warning /parameters/temperature: claude-opus-4-7 refuses");
    check("us.anthropic.claude-opus-4-7-v1:0", "{'temperature':0.5}", "warning /parameters/temperature: refuses");
    check("openrouter/openai/o3", "{'temperature':0.5}", "warning /parameters/temperature: o3 refuses");
    check("acme/my-claude-opus-4-7", "{'temperature':0.5}", "");
}

static void test_openai(void **state) {
    check("gpt-4o",
          "{'temperature':2,'top_p':0.5,'frequency_penalty':1,'presence_penalty':1,'seed':3,'top_logprobs':2}", "");
    check("gpt-4o", "{'top_k':3}", "warning /parameters/top_k: refuses requests with \"top_k\"");
    check("gpt-4o", "{'reasoning':{'effort':'low'}}", "warning /parameters/reasoning: refuses");
    check("gpt-5", "{'reasoning':{'effort':'low'},'verbosity':'low','max_tokens':5}", "");
    check("gpt-5", "{'temperature':1,'top_p':1}", "");
    check("gpt-5", "{'temperature':0.2,'top_p':0.9}",
          "warning /parameters/temperature: refuses a \"temperature\" other than 1\nwarning /parameters/top_p: other "
          "than 1");
    check("gpt-5-2025-08-07", "{'temperature':0.2}", "warning /parameters/temperature: refuses");
    check("gpt-5-mini", "{'frequency_penalty':0.5,'presence_penalty':0}",
          "warning /parameters/frequency_penalty: other than 0");
    check("gpt-5-chat", "{'temperature':0.2}", "");
    check("gpt-5.1", "{'temperature':0.2}", "");
    check("o3", "{'stop_sequences':['x'],'temperature':1}", "warning /parameters/stop_sequences: refuses");
    check("o4-mini", "{'temperature':0}", "warning /parameters/temperature: refuses");
}

static void test_others_are_left_alone(void **state) {
    check("gemini-2.5-pro", "{'temperature':2,'top_k':40,'seed':1}", "");
    check("llama-3.3-70b", "{'temperature':2,'top_k':40,'top_p':0.5,'reasoning':{'mode':'on'}}", "");
}

static void test_fallbacks_have_their_own(void **state) {
    check("{'id':'gpt-4o','fallbacks':[{'id':'claude-opus-4-7','parameters':{'temperature':0.3}},{'id':'gpt-4o-mini','"
          "parameters':{'temperature':0.3}}]}",
          "{'temperature':1.5}", "warning /model/fallbacks/0/parameters/temperature: refuses");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_float),      cmocka_unit_test(test_anthropic),
        cmocka_unit_test(test_names_of_gateways),     cmocka_unit_test(test_openai),
        cmocka_unit_test(test_others_are_left_alone), cmocka_unit_test(test_fallbacks_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
