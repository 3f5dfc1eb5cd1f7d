/* SPDX-License-Identifier: Apache-2.0 */
/* Flags from files and in short, whole documents, and what is computed here: one context, and who would change. */
#include "cli/test_world.h"

#include <string.h>
#include <unistd.h>

#define CHANGED                                                                                                        \
    ((struct test_answer){0, 201,                                                                                      \
                          "{\"flag\":{\"key\":\"f\",\"environment\":\"e\",\"summary\":\"on for "                       \
                          "all\"},\"changed\":true,\"warnings\":[]}"})
#define FLAGS(flags, more)                                                                                             \
    { 0, 200, "{\"document\":{\"flags\":{" flags "}" more ",\"seq\":3}" }
#define ON_OFF "\"state\":\"ENABLED\",\"variants\":{\"on\":true,\"off\":false},\"defaultVariant\":\"off\""
#define RULE(rule) "\"f\":{" ON_OFF ",\"targeting\":" rule "}"
#define BOUND "},\"bindings\":{\"f\":[{\"agent\":\"a\",\"tool\":\"t\"},{\"agent\":\"*\",\"guardrail\":\"g\"}]}"
#define FREE "},\"bindings\":{}"

/* With the home folder as working folder. */
static int run(struct test_world *world, const char *words) {
    assert_int_equal(chdir(world->home), 0);
    int code = test_world_run(world, words);
    assert_int_equal(chdir("/"), 0);
    return code;
}

/* ---- setting ---- */

static void test_files_and_short_forms(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *words, *body;
    } cases[] = {
        {"f.json --expected 4 -m why",
         "{\"expected\":4,\"reason\":\"why\",\"definition\":{\"state\":\"ENABLED\",\"variants\":{\"v\":1.0}}}"},
        {"f.yaml -m why", "\"definition\":{\"state\":\"DISABLED\",\"variants\":{\"off\":false,\"on\":true}}}"},
        {"noending", "\"reason\":\"from the command line by ada@lab\",\"definition\":{\"state\":\"ENABLED\","
                     "\"variants\":{\"v\":1.0}}}"},
        {"--on",
         "\"definition\":{\"defaultVariant\":\"on\",\"state\":\"ENABLED\",\"variants\":{\"off\":false,\"on\":true}}}"},
        {"--off", "\"definition\":{\"defaultVariant\":\"off\","},
        {"--percent 20",
         "\"defaultVariant\":\"off\",\"state\":\"ENABLED\",\"targeting\":{\"fractional\":[[\"on\",20],[\"off\",80]]},"},
        {"--value [1.0]",
         "\"definition\":{\"defaultVariant\":\"value\",\"state\":\"ENABLED\",\"variants\":{\"value\":[1.0]}}}"},
        {"--on --bind support:tool=a=b --bind *:parameter=model",
         "\"bindings\":[{\"agent\":\"support\",\"tool\":\"a=b\"},{\"agent\":\"*\",\"parameter\":\"model\"}]}"},
    };
    test_world_file(world, "f.json", "{\"state\":\"ENABLED\",\"variants\":{\"v\":1.0}}", 0600);
    test_world_file(world, "noending", " \n{\"state\":\"ENABLED\",\"variants\":{\"v\":1.0}}", 0600);
    test_world_file(world, "f.yaml", "# off\nstate: DISABLED\nvariants: {\"on\": true, \"off\": false}\n", 0600);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char words[256];
        ANSWERS(world, CHANGED);
        snprintf(words, sizeof(words), "flag set f %s -e e", cases[i].words);
        assert_int_equal(run(world, words), 0);
        assert_string_equal(world->requests[0].method, "PUT");
        assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/environments/e/flags/f");
        assert_has(world->requests[0].body, cases[i].body);
        assert_string_equal(world->out, "f in e: on for all\n");
    }
}

static void test_wrong_usage(void **state) {
    struct test_world *world = *state;
    static const struct {
        const char *words, *said;
    } cases[] = {
        {"flag set f -e e", "one of FILE, --on, --off, --percent and --value"},
        {"flag set f x.json --on -e e", "one of FILE, --on, --off, --percent and --value"},
        {"flag set f --on --off -e e", "one of FILE, --on, --off, --percent and --value"},
        {"flag set f --on --percent 20 -e e", "one of FILE, --on, --off, --percent and --value"},
        {"flag set f --percent 101 -e e", "--percent takes 0 to 100"},
        {"flag set f --value {x -e e", "--value must be JSON"},
        {"flag set f --on --bind support -e e", "--bind takes AGENT:tool=NAME"},
        {"flag set f --on --bind support:tol=x -e e", "--bind takes AGENT:tool=NAME"},
        {"flag set f --on --bind :tool=x -e e", "--bind takes AGENT:tool=NAME"},
        {"flag set f --on --bind support:tool= -e e", "--bind takes AGENT:tool=NAME"},
        {"flag set f --on", "say where: -e ENV"},
        {"flag try f -e e --context [1]", "a context is an object"},
        {"flag try f -e e --context {", "--context must be JSON"},
        {"flag preview f --on -e e --population 0", "--population takes 1 to 1000000"},
        {"flag preview f --on -e e --seed 99999999999", "--seed takes 1 to"},
        {"flag preview f --on -e e --contexts x --seed 1", "--contexts goes with neither"},
        {"flag preview f -e e", "one of FILE, --on, --off, --percent and --value"},
    };
    ANSWERS(world, CHANGED);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(run(world, cases[i].words), 2);
        assert_has(world->err, cases[i].said);
        assert_int_equal(world->request_count, 0);
    }
}

static void test_files_that_cannot_be_read(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "bad.json", "{\n \"state\": }", 0600);
    test_world_file(world, "bad.yaml", "a: [1\nb: 2\n", 0600);
    test_world_file(world, "list.json", "[1]", 0600);
    ANSWERS(world, CHANGED);
    assert_int_equal(run(world, "flag set f missing.json -e e"), 1);
    assert_has(world->err, "missing.json");
    assert_int_equal(run(world, "flag set f bad.json -e e"), 1);
    assert_has(world->err, "bad.json:2:11: ");
    assert_int_equal(run(world, "flag import bad.yaml -e e"), 1);
    assert_has(world->err, "bad.yaml:2:2: ");
    assert_int_equal(run(world, "flag import list.json -e e --bindings bad.json"), 1);
    assert_has(world->err, "bad.json:2:11: ");
    assert_int_equal(run(world, "flag set f list.json -e e"), 1);
    assert_has(world->err, "a flag is an object");
    assert_int_equal(world->request_count, 0);
}

static void test_faults_stand_in_the_file(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "f.yaml", "state: ENABLED\nvariants:\n  a: 1\n  b: x\n", 0600);
    ANSWERS(world, {0, 422,
                    "{\"detail\":\"d\",\"code\":\"invalid\",\"errors\":[{\"at\":\"/definition/variants/"
                    "b\",\"detail\":\"is of type string\"},{\"at\":\"/bindings/0/agent\",\"detail\":\"is none\"}]}"});
    assert_int_equal(run(world, "flag set f f.yaml -e e"), 1);
    assert_string_equal(world->err, "f.yaml:4:3: is of type string (/variants/b)\nis none (/bindings/0/agent)\n");
    assert_int_equal(run(world, "flag set f --on -e e"), 1);
    assert_has(world->err, "is of type string (/definition/variants/b)\n");
    ANSWERS(world, {0, 200,
                    "{\"flag\":{\"key\":\"f\",\"environment\":\"e\",\"summary\":\"s\"},\"changed\":true,\"warnings\":[{"
                    "\"at\":\"/bindings/0\",\"detail\":\"there is no agent\"}]}"});
    assert_int_equal(run(world, "flag set f f.yaml -e e"), 0);
    assert_string_equal(world->err, "warning: there is no agent (/bindings/0)\n");
}

/* ---- documents ---- */

static void test_documents_go_in(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "d.yaml", "flags:\n  f: {state: ENABLED, variants: {v: 1.0}}\n", 0600);
    test_world_file(world, "b.json", "{\n \"f\": []}", 0600);
    ANSWERS(world, {0, 200, "{\"set\":[\"f\"],\"removed\":[],\"unchanged\":3,\"changed\":true,\"warnings\":[]}"});
    assert_int_equal(run(world, "flag import d.yaml -e e --bindings b.json --replace -m why"), 0);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/environments/e/flag-document");
    assert_string_equal(world->requests[0].body,
                        "{\"replace\":true,\"reason\":\"why\",\"document\":{\"flags\":{\"f\":{\"state\":\"ENABLED\","
                        "\"variants\":{\"v\":1.0}}}},\"bindings\":{\"f\":[]}}");
    assert_string_equal(world->out, "1 set (f), 0 removed, 3 as they were\n");
    ANSWERS(world, {0, 422,
                    "{\"detail\":\"d\",\"code\":\"invalid\",\"errors\":[{\"at\":\"/document/flags/f/"
                    "variants\",\"detail\":\"one\"},{\"at\":\"/bindings/f\",\"detail\":\"two\"},{\"at\":\"/"
                    "reason\",\"detail\":\"three\"}]}"});
    assert_int_equal(run(world, "flag import d.yaml -e e --bindings b.json"), 1);
    assert_string_equal(world->err, "d.yaml:2:23: one (/flags/f/variants)\nb.json:2:2: two (/f)\nthree (/reason)\n");
}

/* A source has at most 32 levels and 1 MiB; a rule may have more, and so may a document. */
static void test_deep_and_large_documents(void **state) {
    struct test_world *world = *state;
    struct str deep = STR_INIT, large = STR_INIT;
    for (int i = 0; i < 40; i++)
        str_add_text(&deep, "{\"!\":");
    str_add_text(&deep, "1");
    for (int i = 0; i < 40; i++)
        str_add_text(&deep, "}");
    str_printf(&large, "{\"flags\":{},%*s\"x\":1}", 1024 * 1024, "");
    test_world_file(world, "deep.json", deep.data, 0600);
    test_world_file(world, "large.json", large.data, 0600);
    ANSWERS(world, {0, 200, "{\"set\":[],\"removed\":[],\"unchanged\":0,\"changed\":false,\"warnings\":[]}"});
    assert_int_equal(run(world, "flag import deep.json -e e"), 0);
    assert_has(world->requests[0].body, deep.data);
    assert_int_equal(run(world, "flag import large.json -e e"), 0);
    assert_has(world->requests[0].body, "\"document\":{\"flags\":{},\"x\":1}}");
    str_deinit(&deep);
    str_deinit(&large);
}

static void test_documents_go_out(void **state) {
    struct test_world *world = *state;
    char path[128];
    ANSWERS(world, FLAGS(RULE("{}"), BOUND));
    assert_int_equal(run(world, "flag export -e e"), 0);
    assert_has(world->out, "{\n  \"flags\": {\n    \"f\": {\n");
    assert_has_not(world->out, "bindings");
    assert_has(world->err, "--bindings FILE writes that, too");
    assert_int_equal(run(world, "flag export -e e --bindings out.json"), 0);
    assert_string_equal(world->err, "");
    snprintf(path, sizeof(path), "%s/out.json", world->home);
    char text[512] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_has(text, "\"tool\": \"t\"");
    assert_int_equal(run(world, "flag export -e e --bindings no/such/out.json"), 1);
    assert_has(world->err, "no/such/out.json cannot be written");
}

static void test_answers_that_lack_what_is_to_be_printed(void **state) {
    struct test_world *world = *state;
    static const char *const commands[] = {"flag get f -e e", "flag export -e e", "flag export -e e --bindings b.json"};
    ANSWERS(world, {0, 200, "{\"key\":\"f\"}"});
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        assert_int_equal(run(world, commands[i]), 1);
        assert_has(world->err, "the answer ");
    }
}

/* ---- one context ---- */

#define TRY(world, rule, context) try(world, &(struct test_answer)FLAGS(RULE(rule), BOUND), context)

static int try(struct test_world *world, const struct test_answer *answer, const char *context) {
    char words[256];
    test_world_answers(world, answer, 1);
    snprintf(words, sizeof(words), "flag try f -e e %s", context);
    return run(world, words);
}

static void test_one_context(void **state) {
    struct test_world *world = *state;
    assert_int_equal(TRY(world, "{\"if\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]},\"on\",{\"==\":[1,2]},\"on\"]}",
                         "--context {\"plan\":\"pro\"}"),
                     0);
    assert_string_equal(world->requests[0].url, "http://127.0.0.1:7420/v1/environments/e/flag-document");
    assert_string_equal(world->out,
                        "flag     f\nvariant  on\nvalue    true\nreason   TARGETING_MATCH\nbranch   plan=pro\n"
                        "does     a: tool t stays; all agents: guardrail g stays\n");
    assert_int_equal(TRY(world, "{\"if\":[{\"var\":\"plan\"},\"on\"]}", "--at 1.2"), 0);
    assert_has(world->requests[0].url, "flag-document?at=1.2");
    assert_has(world->out, "branch   no condition holds\n");
    assert_has(world->out, "variant  off\nvalue    false\nreason   DEFAULT\n");
    assert_has(world->out, "a: tool t is taken away");
    /* "hello" is hashed to 0x248bfa47 without the key; with it, the bucket is what evaluation says. */
    assert_int_equal(TRY(world, "{\"fractional\":[{\"var\":\"account\"},[\"on\",50],[\"off\",50]]}",
                         "--context {\"account\":\"hello\"} --json"),
                     0);
    assert_has(world->out, "\"bucket\":14,\"of\":100}");
    assert_int_equal(TRY(world, "{\"fractional\":[[\"on\",1]]}", "--user ada"), 0);
    assert_has(world->out, "bucket   0 of 1\n");
    assert_int_equal(TRY(world, "{\"var\":\"x\"}", "--context {\"x\":\"up\"}"), 1);
    assert_has(world->out, "value   the rule gives \"up\", which is no variant\nreason  ERROR\n");
    assert_int_equal(TRY(world, "{\"and\":[{\"var\":\"x\"},\"on\"]}", "--context {\"x\":1}"), 0);
    assert_has(world->out, "branch   argument 2 of and\n");
}

static void test_flags_that_are_not_there_or_not_ours(void **state) {
    struct test_world *world = *state;
    ANSWERS(world, FLAGS("", FREE));
    assert_int_equal(run(world, "flag try f -e e"), 1);
    assert_has(world->err, "e has no flag \"f\"");
    ANSWERS(world, FLAGS(RULE("{\"later\":[1]}"), FREE));
    assert_int_equal(run(world, "flag try f -e e"), 1);
    assert_has(world->err, "this program cannot read the flag f");
}

/* ---- what flags do to an agent ---- */

#define DECISION(config, flags)                                                                                        \
    {                                                                                                                  \
        0, 200,                                                                                                        \
            "{\"agent\":\"a\",\"version\":4,\"environment\":\"e\",\"config\":{" config                                 \
            "},\"explain\":{\"flags\":[" flags "]}}"                                                                   \
    }

static void test_what_is_there_and_by_which_flag(void **state) {
    struct test_world *world = *state;
    ANSWERS(
        world,
        DECISION(
            "\"tools\":[\"t\",{\"name\":\"u\"}],\"guardrails\":{\"g\":{}}",
            "{\"key\":\"one\",\"reason\":\"TARGETING_MATCH\",\"variant\":\"off\",\"taken\":{\"operation\":\"if\","
            "\"argument\":1},"
            "\"bucket\":3,\"of\":100,\"definition\":{\"targeting\":{\"if\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]},"
            "\"off\"]}},"
            "\"does\":[{\"tool\":\"gone\",\"on\":false},{\"parameter\":\"model\"}]},"
            "{\"key\":\"two\",\"reason\":\"STATIC\",\"variant\":\"m\",\"does\":[{\"parameter\":\"model\",\"value\":"
            "\"big\"},"
            "{\"guardrail\":\"g\",\"on\":true},{\"guardrail\":\"none\",\"on\":true},{\"tool\":\"gone\",\"on\":true}]},"
            "{\"key\":\"three\",\"reason\":\"ERROR\",\"error\":\"GENERAL\",\"does\":[{\"parameter\":\"model\"}]}"));
    assert_int_equal(run(world, "flag explain a -e e -u ada -a plan=pro --at 1.2"), 0);
    assert_string_equal(
        world->requests[0].body,
        "{\"explain\":true,\"agent\":\"a\",\"environment\":\"e\",\"context\":{\"plan\":\"pro\",\"targetingKey\":"
        "\"ada\"},\"at\":\"1.2\"}");
    assert_string_equal(world->out, "a@4 in e for ada\n\n"
                                    "FLAG   GIVES           REASON           BRANCH\n"
                                    "one    off             TARGETING_MATCH  plan=pro; bucket 3 of 100\n"
                                    "two    m               STATIC\n"
                                    "three  error: GENERAL  ERROR\n\n"
                                    "KIND       NAME   STATE      BY THE FLAG\n"
                                    "tool       t      on\n"
                                    "tool       u      on\n"
                                    "tool       gone   off        one, two\n"
                                    "guardrail  g      on         two\n"
                                    "guardrail  none   not there  two\n"
                                    "parameter  model  \"big\"      one, two, three\n");
    ANSWERS(world,
            {0, 200, "{\"agent\":\"a\",\"version\":4,\"environment\":\"e\",\"reason\":\"PANIC\",\"explain\":{}}"});
    assert_int_equal(run(world, "flag explain a -e e"), 0);
    assert_string_equal(world->out, "a@4 in e\nUnder a panic no flag counts\n");
    ANSWERS(world, DECISION("", ""));
    assert_int_equal(run(world, "flag explain a -e e"), 0);
    assert_string_equal(world->out, "a@4 in e\nNo flag is bound to it\n");
}

/* ---- who would change ---- */

#define PLANS "{\"if\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]},\"on\"]}"

static void test_a_file_of_contexts(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "c",
                    "{\"plan\":\"pro\",\"targetingKey\":\"a\"}\n\n  \n{\"plan\":\"team\",\"targetingKey\":\"b\"}\r\n"
                    "{\"targetingKey\":\"c\"}",
                    0600);
    test_world_file(world, "f.json",
                    "{" ON_OFF ",\"targeting\":{\"if\":[{\"==\":[{\"var\":\"plan\"},\"team\"]},\"on\"]}}", 0600);
    ANSWERS(world, FLAGS(RULE(PLANS), BOUND));
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts c"), 0);
    assert_string_equal(world->requests[0].method, "GET");
    assert_int_equal(world->request_count, 1);
    assert_string_equal(world->out, "f in e\n  now:  on for plan=pro\n  then: on for plan=team\n\n"
                                    "2 of 3 contexts would get something else:\n\n"
                                    "NOW  THEN      USERS     %\n"
                                    "off  on            1  33.3\n"
                                    "on   off           1  33.3\n"
                                    "off  the same      1  33.3\n\n"
                                    "What this flag does to agents:\n"
                                    "  a: tool t appears for 1, disappears for 1\n"
                                    "  all agents: guardrail g appears for 1, disappears for 1\n\n"
                                    "For example:\n"
                                    "  on -> off  {\"plan\":\"pro\",\"targetingKey\":\"a\"}\n"
                                    "  off -> on  {\"plan\":\"team\",\"targetingKey\":\"b\"}\n");
    test_world_file(world, "bad", "{}\n{\"a\":}\n", 0600);
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts bad"), 1);
    assert_has(world->err, "bad:2:6: ");
    test_world_file(world, "bad", "{}\n\n[]\n", 0600);
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts bad"), 1);
    assert_has(world->err, "bad:3: a context is an object");
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts missing"), 1);
    assert_has(world->err, "missing cannot be read");
    struct str large = STR_INIT;
    str_printf(&large, "{}\n{\"a\":\"%*s\"}\n", 1024 * 1024, "");
    test_world_file(world, "large", large.data, 0600);
    str_deinit(&large);
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts large"), 1);
    assert_has(world->err, "large:2: a context has at most 1 MiB");
    test_world_file(world, "empty", "", 0600);
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts empty"), 0);
    assert_has(world->out, "0 of 0 contexts would get something else.\n");
}

/* As decisions have it: a flag that is disabled or fails withholds a tool, and leaves a guardrail. */
static void test_what_a_disabled_or_failing_flag_does(void **state) {
    struct test_world *world = *state;
    static const char *const changed[] = {
        "{\"state\":\"DISABLED\",\"variants\":{\"on\":true},\"defaultVariant\":\"on\"}",
        "{" ON_OFF ",\"targeting\":{\"cat\":[\"re\",\"d\"]}}"};
    test_world_file(world, "c", "{}\n", 0600);
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        test_world_file(world, "f.json", changed[i], 0600);
        ANSWERS(world,
                FLAGS("\"f\":{\"state\":\"ENABLED\",\"variants\":{\"on\":true},\"defaultVariant\":\"on\"}", BOUND));
        assert_int_equal(run(world, "flag preview f f.json -e e --contexts c --json"), 0);
        assert_has(world->out, "\"tool\":\"t\",\"appears\":0,\"disappears\":1}");
        assert_has(world->out, "\"guardrail\":\"g\",\"appears\":0,\"disappears\":0}");
    }
    /* Already off: disabling it gives the tool to nobody. */
    test_world_file(world, "f.json", changed[0], 0600);
    ANSWERS(world, FLAGS("\"f\":{" ON_OFF "}", BOUND));
    assert_int_equal(run(world, "flag preview f f.json -e e --contexts c --json"), 0);
    assert_has(world->out, "\"tool\":\"t\",\"appears\":0,\"disappears\":0}");
    assert_has(world->out, "\"guardrail\":\"g\",\"appears\":1,\"disappears\":0}");
}

static void test_bindings_and_values_that_change(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "c", "{}\n", 0600);
    ANSWERS(world, FLAGS("\"f\":{\"state\":\"ENABLED\",\"variants\":{\"value\":\"big\"},\"defaultVariant\":\"value\"}",
                         "},\"bindings\":{\"f\":[{\"agent\":\"a\",\"parameter\":\"model\"}]}"));
    assert_int_equal(run(world, "flag preview f --value \"small\" -e e --contexts c"), 0);
    assert_has(world->out, "value: \"big\"  value: \"small\"      1  100.0\n");
    assert_has(world->out, "  a: parameter model changes for 1\n");
    assert_int_equal(run(world, "flag preview f --value \"big\" -e e --contexts c --bind b:parameter=model --json"), 0);
    assert_has(world->out, "\"changed\":0,");
    assert_has(world->out, "\"effects\":[{\"agent\":\"a\",\"parameter\":\"model\",\"changes\":1},"
                           "{\"agent\":\"b\",\"parameter\":\"model\",\"changes\":1}]");
    ANSWERS(world, FLAGS("", FREE)); /* a new one */
    assert_int_equal(run(world, "flag preview f --off -e e --contexts c --bind a:tool=t"), 0);
    assert_has(world->out, "  now:  no flag\n");
    assert_has(world->out, "no value  off       1  100.0\n");
    assert_has(world->out, "  a: tool t disappears for 1\n");
    assert_int_equal(run(world, "flag preview agent.x --off -e e"), 2);
    assert_has(world->err, "a flag's key is");
}

static void test_faults_of_what_is_wished(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "f.yaml", "state: ENABLED\nvariants: {a: 1}\ntargeting:\n  $ref: nobody\n", 0600);
    ANSWERS(world, FLAGS(RULE("{}"), BOUND));
    assert_int_equal(run(world, "flag preview f f.yaml -e e"), 1);
    assert_has(world->err, "f.yaml:4:3: ");
    assert_has(world->err, "(/bindings/0/tool)");
    assert_string_equal(world->out, "");
}

/* ---- made-up users ---- */

static size_t count(const char *text, const char *part) {
    size_t found = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        found++;
    return found;
}

/* All users that a rule makes up, as JSON. */
static char *users_of(const char *rule, const char *evaluators, int64_t seed, int64_t number) {
    struct arena arena = ARENA_INIT;
    struct population population;
    struct str out = STR_INIT;
    json_t *parsed = json_loads(rule, 0, NULL), *shared = json_loads(evaluators, 0, NULL);
    assert_non_null(parsed);
    assert_non_null(shared);
    population_init(&population, seed, &arena);
    population_read(&population, parsed, shared);
    assert_int_equal(population_finish(&population, NULL), 0);
    for (int64_t i = 0; i < number; i++) {
        json_t *user;
        assert_int_equal(population_user(&population, i, &user, NULL), 0);
        assert_int_equal(json_compact(user, &out), 0);
        str_add_char(&out, '\n');
        json_decref(user);
    }
    population_deinit(&population);
    arena_deinit(&arena);
    json_decref(parsed);
    json_decref(shared);
    return str_take(&out);
}

/* About as many of 600 have it as of `of` values one. */
static void assert_share(const char *users, const char *part, size_t of) {
    size_t found = count(users, part);
    if (found < 420 / of || found > 800 / of) fail_msg("%zu of 600 have %s", found, part);
}

static void test_values_come_from_the_rules(void **state) {
    char *users = users_of("{\"if\":[{\"in\":[{\"var\":\"plan\"},[\"pro\",\"team\"]]},1,"
                           "{\">=\":[{\"var\":\"user.age\"},18]},2,{\"!\":{\"var\":[\"beta\",false]}},3,"
                           "{\"ends_with\":[{\"var\":\"email\"},\"@a.example\"]},4,{\"$ref\":\"new\"},5]}",
                           "{\"new\":{\"sem_ver\":[{\"var\":\"app\"},\">=\",\"2.1.0\"]}}", 7, 600);
    static const struct {
        const char *part;
        size_t of;
    } parts[] = {{"\"plan\":\"pro\"", 3},      {"\"plan\":\"team\"", 3},     {"\"plan\":\"other\"", 3},
                 {"\"user\":{\"age\":17}", 3}, {"\"user\":{\"age\":18}", 3}, {"\"user\":{\"age\":19}", 3},
                 {"\"beta\":true", 2},         {"\"beta\":false", 2},        {"\"email\":\"x@a.example\"", 2},
                 {"\"email\":\"other\"", 2},   {"\"app\":\"2.1.0\"", 4},     {"\"app\":\"999.0.0\"", 4}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_share(users, parts[i].part, parts[i].of);
    assert_null(strstr(users, ">=\""));
    free(users);
}

static void test_the_same_seed_makes_the_same_users(void **state) {
    static const char rule[] = "{\"==\":[{\"var\":\"plan\"},\"pro\"]}";
    char *first = users_of(rule, "{}", 7, 50), *again = users_of(rule, "{}", 7, 50),
         *other = users_of(rule, "{}", 8, 50);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    free(first);
    free(again);
    free(other);
}

static void test_named_users_and_what_splits_users(void **state) {
    char *users =
        users_of("{\"if\":[{\"in\":[{\"var\":\"targetingKey\"},[\"ada\",\"bob\"]]},1,"
                 "{\"fractional\":[{\"cat\":[{\"var\":\"$flagd.flagKey\"},{\"var\":\"account\"}]},[\"a\",1]]}]}",
                 "{}", 1, 600);
    assert_int_equal(count(users, "\"targetingKey\":\"ada\""), 1);
    assert_int_equal(count(users, "\"targetingKey\":\"bob\""), 1);
    assert_int_equal(count(users, "\"targetingKey\":\"user-"), 598);
    assert_int_equal(count(users, "\"account\":\"id-"), 600);
    assert_null(strstr(users, "flagd"));
    free(users);
}

static void test_odd_rules(void **state) {
    char *users = users_of(
        "{\"and\":[{\"==\":[{\"var\":\"a\"},1]},{\"==\":[{\"var\":\"a.b\"},2]},{\"var\":\"\"},{\"var\":1},{\"var\":[]},"
        "{\"==\":[{\"var\":\"n\"},9223372036854775807]},{\"<\":[{\"var\":\"f\"},0.5]},{\"==\":[{\"var\":\"z\"},null]}]"
        "}",
        "{}", 1, 20);
    assert_int_equal(count(users, "\n"), 20);
    assert_has(users, "\"f\":-0.5");
    assert_has(users, "\"z\":null");
    free(users);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_files_and_short_forms),
        WORLD_TEST(test_wrong_usage),
        WORLD_TEST(test_files_that_cannot_be_read),
        WORLD_TEST(test_faults_stand_in_the_file),
        WORLD_TEST(test_documents_go_in),
        WORLD_TEST(test_deep_and_large_documents),
        WORLD_TEST(test_documents_go_out),
        WORLD_TEST(test_answers_that_lack_what_is_to_be_printed),
        WORLD_TEST(test_what_is_there_and_by_which_flag),
        WORLD_TEST(test_one_context),
        WORLD_TEST(test_flags_that_are_not_there_or_not_ours),
        WORLD_TEST(test_a_file_of_contexts),
        WORLD_TEST(test_what_a_disabled_or_failing_flag_does),
        WORLD_TEST(test_bindings_and_values_that_change),
        WORLD_TEST(test_faults_of_what_is_wished),
        cmocka_unit_test(test_values_come_from_the_rules),
        cmocka_unit_test(test_the_same_seed_makes_the_same_users),
        cmocka_unit_test(test_named_users_and_what_splits_users),
        cmocka_unit_test(test_odd_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
