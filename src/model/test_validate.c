/* SPDX-License-Identifier: Apache-2.0 */
/* config_validate() against the embedded schema and the rules beside it. Inputs are normalised first, as callers do. */
#include "model/config.h"

#include "model/test_kit.h"

static void check_value(const char *what, const json_t *input, const char *expected) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(config_normalise(input, &faults, &config, &err), 0);
    if (config_validate(config, &faults, &err) < 0) fail_msg("%s: %s", what, err.message);
    kit_faults(what, &faults, expected);
    faults_deinit(&faults);
}

static void check(const char *text, const char *expected) {
    _cleanup_(json_decrefp) json_t *input = kit_json(text);
    check_value(text, input, expected);
}

/* One member beside a model. */
static void member(const char *text, const char *expected) {
    _cleanup_(str_deinit) struct str whole = STR_INIT;

    str_printf(&whole, "{'model':'gpt-4o',%s}", text);
    assert_false(whole.failed);
    check(whole.data, expected);
}

/* ---- documents ---- */

static void test_small_documents(void **state) {
    check("{'model':'gpt-4o'}", "");
    check("{'system_prompt':'You "
          "are…','model':'gpt-4o','temperature':0.7,'max_tokens':4096,'tools':['search'],'guardrails':{}}",
          "");
    check("{'$schema':'agent.v1.schema.json','schema':'agent/v1','model':{'id':'m'}}", "");
    check("{'model':'gpt-4o','x-anything':[1,{'a':null}]}", "");
}

static void test_what_is_no_document(void **state) {
    check("[]", ": expected an object, found an array");
    check("null", ": expected an object, found null");
    check("'model: gpt-4o'", ": expected an object, found \"model: gpt-4o\"");
    check("3", ": expected an object, found 3");
    check("{}", ": \"model\" is missing");
}

static void test_every_member_may_be_given(void **state) {
    check("{'schema':'agent/v1','description':'d','display_name':'D','system_prompt':[{'name':'core','text':'Hi "
          "{{who}}','cache':true},"
          "{'text':'more'}],'messages':[{'role':'user','content':'x'},{'role':'assistant','content':'y','name':'z'},"
          "{'placeholder':'history','optional':true}],'greeting':'Hello','template':{'engine':'mustache','undefined':'"
          "error'},"
          "'inputs':{'type':'object','properties':{'who':{'type':'string'}},'required':['who']},"
          "'output':{'format':'json','schema':{'type':'object','properties':{'a':{'type':['string','null']}}},'name':'"
          "answer','strict':true},"
          "'model':{'id':'gpt-4o','provider':'openai','api':'responses','connection':'main','region':'eu',"
          "'fallbacks':[{'id':'gpt-4o-mini','provider':'openai','connection':'main','parameters':{'temperature':0}}]},"
          "'parameters':{'temperature':1,'top_p':0.9,'max_tokens':100,'stop_sequences':['END'],'frequency_penalty':-2,"
          "'presence_penalty':2,'seed':-7,'verbosity':'medium','tool_choice':'auto','parallel_tool_calls':false,'top_"
          "logprobs':20,"
          "'service_tier':'flex','timeout_s':30,'max_retries':0,'extra':{'anything':1}},"
          "'tools':['search',{'kind':'function','name':'refund','description':'d','parameters':{'type':'object'},'"
          "returns':{'type':'string'},"
          "'strict':true,'approval':'always','timeout_s':5,'ref':'r','annotations':{'read_only':false,'destructive':"
          "true,'idempotent':false,'open_world':false}},"
          "{'kind':'mcp','server':'crm','allow':['a'],'deny':['b'],'approval':{'always':['c'],'never':['d']},'prefix':"
          "true},"
          "{'kind':'builtin','name':'web_search','config':{'max':3},'approval':'never'},"
          "{'kind':'openapi','name':'orders','spec':{'openapi':'3.1.0'},'operations':['get'],'connection':'orders','"
          "approval':'never'},"
          "{'kind':'agent','agent':'billing-triage','name':'ask_billing','description':'d','approval':'never'}],"
          "'mcp_servers':{'crm':{'type':'http','url':'https://crm.example.com/mcp','headers':{'Authorization':'Bearer "
          "${secret:CRM}'},"
          "'registry':{'name':'n','version':'1'},'timeout_s':3,'required':true},'fs':{'type':'stdio','command':'npx','"
          "args':['-y','x'],"
          "'env':{'A':'${env:HOME_DIR}','B':'plain $5'},'cwd':'/srv'}},"
          "'guardrails':{'pii':{'stage':'output','check':{'type':'pii','entities':['EMAIL']},'on_fail':'redact','on_"
          "error':'closed','blocking':true,"
          "'sample_rate':0.5,'tools':['refund'],'message':'m'},'free':{'anything':['goes']}},"
          "'handoffs':[{'agent':'human-desk','description':'d','tool_name':'t','mode':'transfer','pin':'bundle','"
          "history':'summary','a2a':'https://x','inputs':{'type':'object'}}],"
          "'limits':{'max_turns':10,'max_tool_calls':0,'max_cost_usd':0.5,'max_total_tokens':1000,'timeout_s':60},"
          "'knowledge':[{'name':'faq','ref':'kb://faq','top_k':5,'score_threshold':0.2,'config':{}}],'skills':['a'],"
          "'metadata':{'owner':'o','tags':['t'],'labels':{'a':'b'},'links':{'a':'b'},'version_label':'v'},'ext':{'acme."
          "tracing':{'on':true}},'x-note':1}",
          "");
}

/* ---- the schema's own faults, a few of each part ---- */

static void test_unknown_members(void **state) {
    member("'systm_prompt':'x'", "/systm_prompt: did you mean \"system_prompt\"?");
    member("'tempertaure':1", "/tempertaure: did you mean \"temperature\"?");
    member("'guardrials':{}", "/guardrials: did you mean \"guardrails\"?");
    member("'zzz':1", "/zzz: unknown key \"zzz\"");
    member("'a\\u0007b':1", "/a\ab: unknown key \"a\\x07b\"");
    member("'name':'support'", "/name: the agent's name is given beside the configuration");
    member("'prompt':'x'", "/prompt: the prompt is \"system_prompt\"");
    member("'stop':['x']", "/stop: \"stop_sequences\"");
    member("'functions':[]", "/functions: \"tools\" of kind \"function\"");
    member("'variables':{}", "/variables: declared in \"inputs\"");
    member("'response_format':{}", "/response_format: \"output\"");
    member("'api_key':'x'", "/api_key: name a \"connection\"");
    member("'parameters':{'max_output_tokens':1}", "/parameters/max_output_tokens: this is \"max_tokens\"");
    member("'parameters':{'temprature':1}", "/parameters/temprature: did you mean \"temperature\"?");
    check("{'model':{'id':'m','base_url':'https://x'}}", "/model/base_url: endpoints are no part of a version");
    check("{'model':{'id':'m','name':'x'}}", "/model/name: unknown key \"name\"; known here: ");
}

static void test_model(void **state) {
    check("{'model':''}", "/model: may not be empty");
    check("{'model':7}", "/model: expected a string or an object, found 7");
    check("{'model':null}", "/model: expected a string or an object, found null");
    check("{'model':{}}", "/model: \"id\" is missing");
    check("{'model':{'id':'m','provider':'Open AI'}}", "/model/provider: \"Open AI\" does not have the form");
    check("{'model':{'id':'m','api':'chat_completions'}}", "/model/api: expected one of \"chat\"");
    check("{'model':{'id':'m','fallbacks':[{}]}}", "/model/fallbacks/0: \"id\" is missing");
    check("{'model':{'id':'m','fallbacks':[{'id':'n','parameters':{'top_p':0}}]}}",
          "/model/fallbacks/0/parameters/top_p: 0 is not greater than 0");
}

static void test_parameters(void **state) {
    member("'parameters':[]", "/parameters: expected an object, found an array");
    member("'temperature':2.5", "/parameters/temperature: 2.5 is above the maximum of 2");
    member("'temperature':-1", "/parameters/temperature: -1 is below the minimum of 0");
    member("'temperature':'hot'", "/parameters/temperature: expected a number, found \"hot\"");
    member("'temperature':null", "/parameters/temperature: expected a number, found null");
    member("'top_p':0", "/parameters/top_p: 0 is not greater than 0");
    member("'max_tokens':0", "/parameters/max_tokens: 0 is below the minimum of 1");
    member("'max_tokens':10.5", "/parameters/max_tokens: expected an integer, found 10.5");
    member("'max_tokens':4096.0", "");
    member("'stop_sequences':['']", "/parameters/stop_sequences/0: may not be empty");
    member("'verbosity':'loud'", "/parameters/verbosity: expected one of \"low\", \"medium\", \"high\"");
    member("'tool_choice':'any'",
           "/parameters/tool_choice: expected one of \"auto\", \"none\", \"required\", found \"any\"");
    member("'tool_choice':{}", "/parameters/tool_choice: \"tool\" is missing");
    check("{'model':'m','parameters':{'reasoning':{'effort':'hihg','mode':'on'}}}",
          "/parameters/reasoning/effort: did you mean \"high\"?");
    member("'extra':{'logit_bias':{'50256':-100}}", "");
}

static void test_messages(void **state) {
    member("'messages':[{'role':'usr','content':'x'}]", "/messages/0/role: did you mean \"user\"?");
    member("'messages':[{'role':'user'}]", "/messages/0: \"content\" is missing");
    member("'messages':[{'placeholder':'1x'}]", "/messages/0/placeholder: \"1x\" does not have the form");
    member("'messages':['hi']", "/messages/0: expected an object, found \"hi\"");
    member("'messages':{}", "/messages: expected an array");
}

static void test_schemas_inside(void **state) {
    member("'inputs':{'type':'string'}", "/inputs/type: expected \"object\", found \"string\"");
    member("'inputs':{'type':'objct'}", "/inputs/type: expected \"object\", found \"objct\"");
    member("'inputs':[]", "/inputs: expected an object");
    member("'output':{'schema':{'type':'strng'}}", "/output/schema/type: did you mean \"string\"?");
    member("'output':{'schema':{'type':['string','nul']}}", "/output/schema/type/1: did you mean \"null\"?");
    member("'output':{'schema':{'properties':{'a':7}}}",
           "/output/schema/properties/a: expected an object or true or false");
    member("'output':{'schema':{'required':true}}", "/output/schema/required: expected an array");
    member("'output':{'schema':{'required':['a','a']}}", "/output/schema/required/1: a second time");
    member("'output':{'schema':{'items':{'minimum':'0'}}}", "/output/schema/items/minimum: expected a number");
    member("'output':{'schema':{'items':[{'type':'string'},{'type':'x'}]}}",
           "/output/schema/items/1/type: expected one of");
    member("'output':{'schema':{'anyOf':[]}}", "/output/schema/anyOf: has 0 items");
    member("'output':{'schema':{'enum':[]}}", "/output/schema/enum: has 0 items");
    member("'output':{'schema':{'x-own-keyword':1,'default':{'file':'a'},'const':null}}", "");
    member("'output':{'schema':{'properties':{'$ref':{'type':'string'},'type':{'type':'string'},'file':{'type':'string'"
           "}}}}",
           "");
}

static void test_files_that_are_left(void **state) {
    member("'system_prompt':{'file':'prompt.md'}",
           "/system_prompt: expected a string or an array, found an object; files are put in place by pushing");
    member("'system_prompt':[{'file':'prompt.md'}]",
           "/system_prompt/0: \"text\" is missing\n/system_prompt/0/file: files are put in place by pushing");
    member("'greeting':{'file':'g.md'}", "/greeting: files are put in place");
    member("'inputs':{'file':'i.json'}", "/inputs/file: files are put in place");
    member("'tools':[{'file':'tools/a.json'}]", "/tools/0: \"kind\" is missing; expected one of \"function\", \"mcp\", "
                                                "\"builtin\", \"openapi\", \"agent\"; files are put in place");
    member("'tools':[{'kind':'function','name':'a','parameters':{'file':'a.json'}}]",
           "/tools/0/parameters/file: files are put in place");
    member("'tools':[{'kind':'openapi','name':'a','spec':{'file':'a.json'}}]",
           "/tools/0/spec/file: files are put in place");
}

static void test_tools(void **state) {
    member("'tools':'search'", "/tools: expected an array, found \"search\"");
    member("'tools':['a b']", "/tools/0: \"a b\" does not have the form expected here: 1 to 128 letters");
    member("'tools':[7]", "/tools/0: expected a string or an object, found 7");
    member("'tools':[{}]", "/tools/0: \"kind\" is missing; expected one of");
    member("'tools':[{'kind':'fnction','name':'a'}]", "/tools/0/kind: did you mean \"function\"?");
    member("'tools':[{'kind':'function'}]", "/tools/0: \"name\" is missing");
    member("'tools':[{'kind':'function','name':'a','descripton':'x'}]",
           "/tools/0/descripton: did you mean \"description\"?");
    member("'tools':[{'kind':'function','name':'a.b'}]", "/tools/0/name: does not have the form");
    member("'tools':[{'kind':'function','name':'a','approval':'sometimes'}]",
           "/tools/0/approval: expected one of \"never\", \"always\"");
    member("'tools':[{'kind':'function','name':'a','approval':{'alway':[]}}]",
           "/tools/0/approval/alway: did you mean \"always\"?");
    member("'tools':[{'kind':'function','name':'a','annotations':{'readonly':true}}]",
           "/tools/0/annotations/readonly: did you mean \"read_only\"?");
    member("'tools':[{'kind':'builtin'}]", "/tools/0: \"name\" is missing");
    member("'tools':[{'kind':'openapi','name':'a'}]", "/tools/0: \"spec\" is missing");
    member("'tools':[{'kind':'agent','agent':'Bad Name'}]", "/tools/0/agent: an agent's name: 1 to 63");
    member("'tools':[{'type':'function','function':{'name':'a'}}]",
           "/tools/0: \"kind\" is missing; expected one of \"function\", \"mcp\", \"builtin\", \"openapi\", \"agent\"; "
           "write {\"kind\": \"function\"");
}

static void test_tool_names_are_unique(void **state) {
    member("'tools':['a','b','a']", "/tools/2: \"a\" is already the name of /tools/0");
    member("'tools':['a',{'kind':'function','name':'a'}]", "/tools/1: already the name of /tools/0");
    member("'tools':[{'kind':'agent','agent':'b'},{'kind':'builtin','name':'b'}]",
           "/tools/1: already the name of /tools/0");
    member("'tools':[{'kind':'agent','agent':'b','name':'c'},'b']", "");
    member("'tools':['a','a','a']", "/tools/1: already\n/tools/2: already");
    member("'mcp_servers':{'s':{'command':'x'}},'tools':[{'kind':'mcp','server':'s'},{'kind':'mcp','server':'s'}]",
           "/tools/1: \"s\" is already");
    member("'mcp_servers':{'s':{'command':'x'}},'tools':[{'kind':'mcp','server':'s'},'s']", "");
}

static void test_mcp_servers(void **state) {
    member("'mcp_servers':[]", "/mcp_servers: expected an object");
    member("'mcp_servers':{'a b':{'command':'x'}}", "/mcp_servers/a b: \"a b\" does not have the form");
    member("'mcp_servers':{'a':{}}", "/mcp_servers/a: one of \"command\", \"url\" is needed");
    member("'mcp_servers':{'a':{'command':'x','url':'y'}}", "/mcp_servers/a: only one of");
    member("'mcp_servers':{'a':{'command':'x','comand':'y'}}", "/mcp_servers/a/comand: did you mean \"command\"?");
    member("'mcp_servers':{'a':{'command':'x','endpoint':'y'}}", "/mcp_servers/a/endpoint: known here:");
    member("'mcp_servers':{'a':{'command':'x','env':{'T':'${TOKEN}'}}}",
           "/mcp_servers/a/env/T: ${secret:NAME} or ${env:NAME}");
    member("'mcp_servers':{'a':{'command':'x','env':{'T':'a ${secret:X} b ${env:Y_1} $Z'}}}", "");
    member("'mcp_servers':{'a':{'command':'x','env':{'T':7}}}", "/mcp_servers/a/env/T: expected a string, found 7");
    member("'mcp_servers':{'a':{'url':'https://x','tools_digest':'sha256:12'}}",
           "/mcp_servers/a/tools_digest: does not have the form");
    member("'tools':[{'kind':'mcp','server':'crm'}]", "/tools/0/server: \"crm\" is not in mcp_servers");
    member("'mcp_servers':{'crm':{'url':'x'}},'tools':[{'kind':'mcp','server':'crn'}]",
           "/tools/0/server: did you mean \"crm\"?");
    member("'mcp_servers':7,'tools':[{'kind':'mcp','server':'crm'}]",
           "/mcp_servers: expected an object\n/tools/0/server: is not in mcp_servers");
}

static void test_tool_choice(void **state) {
    member("'tools':['a'],'tool_choice':{'tool':'a'}", "");
    member("'tools':['search'],'tool_choice':{'tool':'serch'}",
           "/parameters/tool_choice/tool: \"serch\" is not in tools; did you mean \"search\"?");
    member("'tool_choice':{'tool':'a'}", "/parameters/tool_choice/tool: is not in tools");
    member("'tool_choice':{'tool':'a','server':'s'}", "/parameters/tool_choice/server: \"s\" is not in mcp_servers");
    member("'mcp_servers':{'s':{'url':'x'}},'tools':[{'kind':'mcp','server':'s'}],'tool_choice':{'tool':'anything'}",
           "");
    member("'handoffs':[{'agent':'b'}],'tool_choice':{'tool':'transfer_to_b'}", "");
}

static void test_guardrails(void **state) {
    member("'guardrails':[]", "/guardrails: expected an object");
    member("'guardrails':{'a b':{}}", "/guardrails/a b: does not have the form");
    member("'guardrails':{'free':{'anything':1},'list':['a'],'switch':true,'number':3}", "");
    member("'guardrails':{'g':{'stage':'inptu','check':{'type':'regex'}}}",
           "/guardrails/g/stage: did you mean \"input\"?");
    member("'guardrails':{'free':{'a':1},'g':{'stage':'inptu','check':{'type':'pii'}}}",
           "/guardrails/g/stage: did you mean");
    member("'guardrails':{'g':{'stage':'input'}}", "/guardrails/g: \"check\" is missing");
    member("'guardrails':{'g':{'stage':'input','check':{}}}", "/guardrails/g/check: \"type\" is missing");
    member("'guardrails':{'g':{'stage':'input','check':{'type':'regexp'}}}",
           "/guardrails/g/check/type: did you mean \"regex\"?");
    member("'guardrails':{'g':{'stage':'input','check':{'type':'regex','pattern':'('}}}", "");
    member("'guardrails':{'g':{'stage':'input','check':{'type':'pii'},'onfail':'block'}}",
           "/guardrails/g/onfail: did you mean \"on_fail\"?");
    member("'guardrails':{'g':{'stage':'input','check':{'type':'pii'},'sample_rate':1.5}}",
           "/guardrails/g/sample_rate: 1.5 is above");
    member("'guardrails':{'a/b':{'stage':'x','check':{'type':'pii'}}}",
           "/guardrails/a~1b: does not have the form\n/guardrails/a~1b/stage: expected one of");
    member("'tools':['a'],'guardrails':{'g':{'stage':'tool_input','check':{'type':'pii'},'tools':['a','b']}}",
           "warning /guardrails/g/tools/1: the agent has no tool \"b\"");
    member("'mcp_servers':{'s':{'url':'x'}},'tools':[{'kind':'mcp','server':'s'}],'guardrails':{'g':{'stage':'tool_"
           "input','check':{'type':'pii'},'tools':['b']}}",
           "");
}

static void test_the_rest(void **state) {
    member("'limits':{'max_turns':0}", "/limits/max_turns: 0 is below the minimum of 1");
    member("'limits':{'max_cost_usd':0}", "/limits/max_cost_usd: not greater than 0");
    member("'metadata':{'tags':['a','a']}", "/metadata/tags/1: a second time");
    member("'metadata':{'labels':{'a':1}}", "/metadata/labels/a: expected a string, found 1");
    member("'metadata':{'ownr':'x'}", "/metadata/ownr: did you mean \"owner\"?");
    member("'ext':{'Acme':{}}", "/ext/Acme: does not have the form");
    member("'knowledge':[{'name':'a'}]", "/knowledge/0: \"ref\" is missing");
    member("'handoffs':[{'agent':'B'}]", "/handoffs/0/agent: an agent's name");
    member("'handoffs':[{'agent':'b','mode':'tranfer'}]", "/handoffs/0/mode: did you mean \"transfer\"?");
    member("'template':{'engine':'jinja'}",
           "/template/engine: expected one of \"mustache\", \"none\", found \"jinja\"");
    member("'output':{'name':'a b'}", "/output/name: 1 to 64 letters");
    member("'schema':'agent/v2'", "/schema: expected \"agent/v1\", found \"agent/v2\"");
}

/* ---- secrets ---- */

static void test_secrets(void **state) {
    _cleanup_(json_decrefp) json_t *input =
        kit_json("{'model':'gpt-4o','system_prompt':'x','mcp_servers':{'a':{'command':'x','env':{}}}}");
    char secret[100], pem[100];

    snprintf(secret, sizeof(secret), "sk-%s", "ant-api03-A1b2C3d4E5f6G7h8I9j0");
    snprintf(pem, sizeof(pem), "-----BEGIN %s KEY-----\nMIIE", "RSA PRIVATE");
    json_object_set_new(json_at(input, "/mcp_servers/a/env"), "KEY", json_string(secret));
    json_object_set_new(json_at(input, ""), "system_prompt", json_string(pem));
    check_value("secrets", input,
                "/mcp_servers/a/env/KEY: looks like an Anthropic API key\n/system_prompt: looks like a private key");
}

static void test_a_secret_is_never_told(void **state) {
    _cleanup_(json_decrefp) json_t *input = json_object(), *config = NULL;
    struct faults faults = FAULTS_INIT;
    char secret[100];

    snprintf(secret, sizeof(secret), "sk-%s", "ant-api03-A1b2C3d4E5f6G7h8I9j0");
    json_object_set_new(input, "model", json_pack("{s:s}", "api", secret));
    json_object_set_new(input, secret, json_string("x"));
    json_object_set_new(input, "tools", json_pack("[s,s,{s:s,s:s}]", secret, secret, "kind", "mcp", "server", secret));
    json_object_set_new(input, "parameters", json_pack("{s:s}", "temperature", secret));
    json_object_set_new(input, "system_prompt", json_sprintf("{{%s}} and {{#%s}}", secret, secret));
    json_object_set_new(input, "inputs", json_pack("{s:{}}", "properties"));
    assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
    assert_int_equal(config_validate(config, &faults, NULL), 0);
    assert_true(faults.count > 8);
    for (size_t i = 0; i < faults.count; i++) {
        if (strstr(faults.items[i].message, "A1b2") || strstr(faults.items[i].at, "A1b2"))
            fail_msg("%s: %s", faults.items[i].at, faults.items[i].message);
    }
    faults_deinit(&faults);
}

/* ---- limits ---- */

static json_t *nested(unsigned depth) {
    json_t *value = json_object();
    for (unsigned i = 1; i < depth; i++) {
        json_t *outer = json_object();
        json_object_set_new(outer, "a", value);
        value = outer;
    }
    return value;
}

static void test_depth(void **state) {
    _cleanup_(json_decrefp) json_t *fits = kit_json("{'model':'m'}"),
                                   *deep = kit_json("{'model':'m','temperature':'x'}");
    _cleanup_(json_decrefp) json_t *very_deep = kit_json("{'model':'m'}");

    json_object_set_new(fits, "x-a", nested(CONFIG_DEPTH_MAX - 1));
    check_value("deep as allowed", fits, "");
    json_object_set_new(deep, "x-a", nested(CONFIG_DEPTH_MAX));
    check_value("too deep", deep,
                "/x-a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a: nested deeper than 32 levels");
    json_object_set_new(very_deep, "x-a", nested(1000));
    check_value("very deep", very_deep,
                "/x-a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a: nested deeper");
}

static void test_size(void **state) {
    _cleanup_(json_decrefp) json_t *input = kit_json("{'model':'m'}");
    _cleanup_(freep) char *text = malloc(CONFIG_SIZE_MAX + 1);
    size_t rest = strlen("{\"model\":\"m\",\"schema\":\"agent/v1\",\"system_prompt\":\"\"}");

    assert_non_null(text);
    memset(text, 'x', CONFIG_SIZE_MAX + 1);
    json_object_set_new(input, "system_prompt", json_stringn(text, CONFIG_SIZE_MAX - rest));
    check_value("as large as allowed", input, "");
    json_object_set_new(input, "system_prompt", json_stringn(text, CONFIG_SIZE_MAX - rest + 1));
    check_value("one byte too large", input, ": is 1048577 bytes in canonical form, at most 1048576 are kept");
}

static void test_count_of_tools(void **state) {
    _cleanup_(json_decrefp) json_t *input = kit_json("{'model':'m'}"), *tools = json_array();

    for (int i = 0; i < CONFIG_TOOLS_MAX; i++) {
        json_array_append_new(tools, json_sprintf("t%d", i));
    }
    json_object_set(input, "tools", tools);
    check_value("256 tools", input, "");
    json_array_append_new(tools, json_string("more"));
    check_value("257 tools", input, "/tools: has 257 items, expected at most 256");
}

static void test_numbers(void **state) {
    member("'x-a':9007199254740992", "");
    member("'x-a':[1,9007199254740993]", "/x-a/1: 9007199254740993 is an integer beyond 2^53");
    member("'x-a':{'b':-9007199254740993,'c':9007199254740995}", "/x-a/b: beyond 2^53\n/x-a/c: beyond 2^53");
    member("'x-a':1e20", "/x-a: beyond 2^53");
    member("'x-a':1e300", "");
}

static void test_nul(void **state) {
    _cleanup_(json_decrefp) json_t *input = kit_json("{'model':'m'}");

    json_object_set_new(input, "system_prompt", json_stringn("a\0b", 3));
    check_value("NUL", input, "/system_prompt: NUL");
}

/* ---- everything at once ---- */

static void test_all_faults_at_once(void **state) {
    check("{'instructions':'Hi {{custmer_name}}, {{open','model':'claude-3-5-sonnet-latest','temperature':1.5,"
          "'inputs':{'type':'object','properties':{'customer_name':{'type':'strng'}}},"
          "'tools':['search',{'kind':'function','name':'search'},{'kind':'mcp','server':'githb'}],"
          "'mcp_servers':{'github':{'command':'npx','env':{'T':'${TOKEN}'}}},'guardrails':{'pii':{'stage':'inptu','"
          "check':{}}},"
          "'messages':[{'role':'usr','content':'x'}],'limits':{'max_turns':0},'nonsense':1}",
          "/system_prompt: \"custmer_name\" is not declared\n/system_prompt: {{ is not closed\n"
          "/inputs/properties/customer_name/type: did you mean \"string\"?\n/tools/1: already the "
          "name\n/tools/2/server: did you mean \"github\"?\n"
          "/mcp_servers/github/env/T: ${secret:NAME}\n/guardrails/pii/stage: did you mean\n/guardrails/pii/check: "
          "\"type\" is missing\n"
          "/messages/0/role: did you mean\n/limits/max_turns: below\n/nonsense: unknown key\n"
          "warning /inputs/properties/customer_name: no template uses it\nwarning /model: names another model\n"
          "warning /parameters/temperature: refuses");
}

/* Whatever is put in the place of a part, the check says something and goes on. */
static void test_any_value_in_any_place(void **state) {
    static const char *const parts[] = {"system_prompt", "messages",   "greeting", "template",    "inputs", "output",
                                        "model",         "parameters", "tools",    "mcp_servers", "skills", "knowledge",
                                        "guardrails",    "handoffs",   "limits",   "metadata",    "ext"};
    static const char *const values[] = {"null",
                                         "true",
                                         "7",
                                         "1.5",
                                         "''",
                                         "'x'",
                                         "[]",
                                         "{}",
                                         "[null]",
                                         "[[]]",
                                         "[{}]",
                                         "[7]",
                                         "{'a':null}",
                                         "{'a':{}}",
                                         "{'a':[]}",
                                         "{'stage':1}",
                                         "{'a':{'stage':{}}}",
                                         "{'properties':7}",
                                         "{'properties':{'a':7}}",
                                         "[{'kind':null}]",
                                         "[{'kind':'mcp','server':7}]",
                                         "[{'name':{}}]",
                                         "{'id':7}",
                                         "{'tool_choice':{'tool':7}}"};
    char text[300];

    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            _cleanup_(json_decrefp) json_t *input = NULL, *config = NULL;
            struct faults faults = FAULTS_INIT;
            snprintf(text, sizeof(text), "{'system_prompt':'{{a}}{{#b}}{{c}}{{/b}}','model':'m','%s':%s}", parts[p],
                     values[v]);
            if (strcmp(parts[p], "system_prompt") == 0 || strcmp(parts[p], "model") == 0)
                snprintf(text, sizeof(text), "{'%s':%s}", parts[p], values[v]);
            input = kit_json(text);
            assert_int_equal(config_normalise(input, &faults, &config, NULL), 0);
            assert_int_equal(config_validate(config, &faults, NULL), 0);
            faults_deinit(&faults);
        }
    }
}

static void test_the_embedded_schema(void **state) {
    _cleanup_(json_decrefp) json_t *schema = NULL;
    struct slice text = config_schema();

    assert_int_equal(json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &schema, NULL), 0);
    assert_string_equal(json_get_text(schema, "$id"), "agent.v1.schema.json");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_documents),
        cmocka_unit_test(test_what_is_no_document),
        cmocka_unit_test(test_every_member_may_be_given),
        cmocka_unit_test(test_unknown_members),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_schemas_inside),
        cmocka_unit_test(test_files_that_are_left),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_tool_names_are_unique),
        cmocka_unit_test(test_mcp_servers),
        cmocka_unit_test(test_tool_choice),
        cmocka_unit_test(test_guardrails),
        cmocka_unit_test(test_the_rest),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_a_secret_is_never_told),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_count_of_tools),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_any_value_in_any_place),
        cmocka_unit_test(test_the_embedded_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
