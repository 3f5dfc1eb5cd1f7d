/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags in decisions: what comes out of the pieces is compared with what a model makes of the parsed configuration, in the plainest way; and a snapshot that was
 * changed step by step with one that was made at once.
 */
#include "base/ticker.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FLAGS_COUNT 24

/* ---- a world: what is served, and its flags ---- */

struct served {
    const char *agent, *environment;
    int64_t version, candidate; /* candidate 0: no rollout */
    const char *configs[2];     /* of version and candidate */
};

static int put_entry(struct snapshot_edit *edit, const struct served *served, struct err *err) {
    struct version versions[2] = {
        {.agent = served->agent, .number = served->version, .config = slice_of(served->configs[0])},
        {.agent = served->agent, .number = served->candidate, .config = slice_of(served->configs[1])}};
    const struct version *pointers[] = {&versions[0], &versions[1]};
    struct rollout rollout = {.id = "r", .candidate = served->candidate, .salt = "s", .share = 50000, .seq = 3};
    struct snapshot_entry_spec spec = {.deployment = {.id = "d",
                                                      .agent = served->agent,
                                                      .environment = served->environment,
                                                      .version = served->version,
                                                      .reason = "",
                                                      .created_by = "k",
                                                      .seq = 2},
                                       .rollout = served->candidate ? &rollout : NULL,
                                       .versions = pointers,
                                       .version_count = served->candidate ? 2 : 1};
    return snapshot_edit_entry(edit, &spec, err);
}

static int put_flags(struct snapshot_edit *edit, const char *environment, const struct snapshot_flag_spec *flags,
                     size_t count, struct err *err) {
    struct snapshot_flags_spec spec = {.environment = environment, .flags = flags, .count = count};
    size_t left_out = 99;
    for (size_t i = 0; i < count; i++)
        if (flags[i].seq > spec.seq) spec.seq = flags[i].seq;
    int r = snapshot_edit_flags(edit, &spec, &left_out, err);
    if (r == 0) assert_int_equal(left_out, 0);
    return r;
}

struct change {
    const struct served *served;
    size_t served_count;
    const char *environment;
    const struct snapshot_flag_spec *flags;
    size_t flag_count;
    bool flags_first;
};

static int try_change(struct snapshot *base, const struct change *change, struct snapshot **ret) {
    struct snapshot_edit *edit;
    int r = snapshot_edit_new(base, &edit);
    if (r < 0) return r;
    if (change->flags_first) r = put_flags(edit, change->environment, change->flags, change->flag_count, NULL);
    for (size_t i = 0; i < change->served_count && r == 0; i++)
        r = put_entry(edit, &change->served[i], NULL);
    if (r == 0 && !change->flags_first && change->flag_count)
        r = put_flags(edit, change->environment, change->flags, change->flag_count, NULL);
    if (r < 0) {
        snapshot_edit_free(edit);
        return r;
    }
    return snapshot_edit_finish(edit, (struct position){1, 9}, ret);
}

/* Lets go of `base`. */
static struct snapshot *changed(struct snapshot *base, const struct change *change) {
    struct snapshot *next = NULL;
    assert_int_equal(try_change(base, change, &next), 0);
    snapshot_unref(base);
    return next;
}

static struct snapshot *nothing(void) {
    struct snapshot *empty;
    assert_int_equal(snapshot_new(&empty), 0);
    return empty;
}

static struct snapshot *world_of(const struct served *served, const struct snapshot_flag_spec *flags, size_t count) {
    return changed(nothing(), &(struct change){served, 1, served->environment, flags, count, false});
}

/* ---- asking ---- */

static struct decision decide(const struct snapshot *snapshot, const char *agent, const char *key) {
    struct resolve_question question = {
        .agent = slice_of(agent), .environment = SLICE_LIT("production"), .targeting_key = slice_of(key)};
    struct decision decision;
    memset(&decision, 0xa5, sizeof(decision));
    assert_int_equal(resolve(snapshot, &question, &decision), 0);
    return decision;
}

static json_t *written(const struct decision *decision) {
    struct str text = STR_INIT;
    json_t *json;
    size_t most = decision_size(decision);
    decision_write(decision, &text);
    assert_true(text.len <= most);
    struct err err = ERR_INIT;
    if (json_parse(text.data, text.len, JSON_DEPTH_MAX, &json, &err) < 0) fail_msg("%s: %s", text.data, err.message);
    str_deinit(&text);
    return json;
}

/* Without the quotes that are around them. */
static void expect_config(const struct snapshot *snapshot, const char *agent, const char *config) {
    struct decision decision = decide(snapshot, agent, "u");
    struct str text = STR_INIT;
    decision_write(&decision, &text);
    const char *from = strstr(text.data, "\"config\":") + 9, *to = strstr(from, ",\"flags\":");
    if ((size_t)(to - from) != strlen(config) || memcmp(from, config, strlen(config)))
        fail_msg("is     %s\nshould %s", from, config);
    struct str alone = STR_INIT;
    decision_write_config(&decision, &alone);
    assert_string_equal(alone.data, config);
    str_deinit(&alone);
    str_deinit(&text);
}

#define BOOL(key, on, bindings)                                                                                        \
    { key, "{\"state\":\"ENABLED\",\"variants\":{\"v\":" on "},\"defaultVariant\":\"v\"}", bindings, 5 }
#define VALUE(key, value, bindings) BOOL(key, value, bindings)

#define FULL                                                                                                           \
    "{\"guardrails\":{\"pii\":{\"x\":1},\"tone\":{}},\"model\":{\"id\":\"big\",\"provider\":\"p\"},\"parameters\":{"   \
    "\"max_tokens\":5,"                                                                                                \
    "\"temperature\":0.5},\"schema\":\"agent/v1\",\"system_prompt\":\"a ] } \\\" , "                                   \
    "b\",\"tools\":[\"search\",{\"kind\":\"function\",\"name\":"                                                       \
    "\"refund\"},\"mail\"]}"

static const struct served full = {"support", "production", 1, 0, {FULL}};

static void expect_with(const char *key, const char *value, const char *bindings, const char *config) {
    struct snapshot_flag_spec flags[] = {{key, NULL, bindings, 5}};
    char definition[400];
    snprintf(definition, sizeof(definition), "{\"state\":\"ENABLED\",\"variants\":{\"v\":%s},\"defaultVariant\":\"v\"}",
             value);
    flags[0].definition = definition;
    struct snapshot *snapshot = world_of(&full, flags, 1);
    expect_config(snapshot, "support", config);
    snapshot_unref(snapshot);
}

#define TO(kind, name) "[{\"agent\":\"support\",\"" kind "\":\"" name "\"}]"
#define REST_GUARDRAILS "\"guardrails\":{\"pii\":{\"x\":1},\"tone\":{}},"
#define REST_MODEL "\"model\":{\"id\":\"big\",\"provider\":\"p\"},"
#define REST_PARAMETERS "\"parameters\":{\"max_tokens\":5,\"temperature\":0.5},"
#define REST_PROMPT "\"schema\":\"agent/v1\",\"system_prompt\":\"a ] } \\\" , b\","
#define REST_TOOLS "\"tools\":[\"search\",{\"kind\":\"function\",\"name\":\"refund\"},\"mail\"]}"

static void test_each_piece(void **state) {
    expect_with("f", "true", TO("tool", "refund"), FULL);
    expect_with("f", "false", TO("tool", "refund"),
                "{" REST_GUARDRAILS REST_MODEL REST_PARAMETERS REST_PROMPT "\"tools\":[\"search\",\"mail\"]}");
    expect_with("f", "false", TO("tool", "search"),
                "{" REST_GUARDRAILS REST_MODEL REST_PARAMETERS REST_PROMPT
                "\"tools\":[{\"kind\":\"function\",\"name\":\"refund\"},\"mail\"]}");
    expect_with("f", "false", TO("tool", "mail"),
                "{" REST_GUARDRAILS REST_MODEL REST_PARAMETERS REST_PROMPT
                "\"tools\":[\"search\",{\"kind\":\"function\",\"name\":\"refund\"}]}");
    expect_with("f", "false", TO("tool", "other"), FULL);
    expect_with("f", "false", TO("guardrail", "pii"),
                "{\"guardrails\":{\"tone\":{}}," REST_MODEL REST_PARAMETERS REST_PROMPT REST_TOOLS);
    expect_with("f", "false", TO("guardrail", "tone"),
                "{\"guardrails\":{\"pii\":{\"x\":1}}," REST_MODEL REST_PARAMETERS REST_PROMPT REST_TOOLS);
    expect_with("f", "\"small\"", TO("parameter", "model"),
                "{" REST_GUARDRAILS
                "\"model\":{\"id\":\"small\",\"provider\":\"p\"}," REST_PARAMETERS REST_PROMPT REST_TOOLS);
    expect_with("f", "{\"id\":\"x\"}", TO("parameter", "model"),
                "{" REST_GUARDRAILS "\"model\":{\"id\":\"x\"}," REST_PARAMETERS REST_PROMPT REST_TOOLS);
    expect_with("f", "1.0", TO("parameter", "temperature"),
                "{" REST_GUARDRAILS REST_MODEL
                "\"parameters\":{\"max_tokens\":5,\"temperature\":1.0}," REST_PROMPT REST_TOOLS);
    expect_with("f", "7", TO("parameter", "max_tokens"),
                "{" REST_GUARDRAILS REST_MODEL
                "\"parameters\":{\"max_tokens\":7,\"temperature\":0.5}," REST_PROMPT REST_TOOLS);
    expect_with("f", "3", TO("parameter", "seed"),
                "{" REST_GUARDRAILS REST_MODEL
                "\"parameters\":{\"max_tokens\":5,\"seed\":3,\"temperature\":0.5}," REST_PROMPT REST_TOOLS);
    expect_with(
        "f", "0", TO("parameter", "frequency_penalty"),
        "{" REST_GUARDRAILS REST_MODEL
        "\"parameters\":{\"frequency_penalty\":0,\"max_tokens\":5,\"temperature\":0.5}," REST_PROMPT REST_TOOLS);
    expect_with("f", "0.9", TO("parameter", "top_p"),
                "{" REST_GUARDRAILS REST_MODEL
                "\"parameters\":{\"max_tokens\":5,\"temperature\":0.5,\"top_p\":0.9}," REST_PROMPT REST_TOOLS);
}

static void test_what_the_configuration_lacks(void **state) {
    static const struct served bare = {"support", "production", 1, 0, {"{\"schema\":\"agent/v1\",\"tools\":[]}"}};
    static const struct snapshot_flag_spec flags[] = {
        VALUE("a", "\"m\"", TO("parameter", "model")),
        VALUE("b", "0.5", TO("parameter", "temperature")),
        VALUE("c", "2", TO("parameter", "seed")),
        BOOL("d", "false", TO("tool", "none")),
        BOOL("e", "false", TO("guardrail", "none")),
        {"f", "{\"state\":\"DISABLED\",\"variants\":{\"v\":1},\"defaultVariant\":\"v\"}", TO("parameter", "top_p"), 5}};
    struct snapshot *snapshot = world_of(&bare, flags, ARRAY_LEN(flags));
    expect_config(
        snapshot, "support",
        "{\"model\":\"m\",\"parameters\":{\"seed\":2,\"temperature\":0.5},\"schema\":\"agent/v1\",\"tools\":[]}");
    snapshot_unref(snapshot);
    snapshot = world_of(&bare, flags + 5, 1);
    expect_config(snapshot, "support", bare.configs[0]);
    snapshot_unref(snapshot);
}

/* ---- the model ---- */

struct model_flag {
    char key[8], definition[300], bindings[300];
    json_t *value; /* NULL: none */
    const char *kind, *name;
    bool disabled;
    bool boolean;
    bool every;
};

static void remove_tool(json_t *tools, const char *named) {
    for (size_t i = json_array_size(tools); i-- > 0;) {
        const json_t *tool = json_array_get(tools, i);
        const char *name = json_is_string(tool) ? json_string_value(tool) : json_get_text(tool, "name");
        if (name && !strcmp(name, named)) json_array_remove(tools, i);
    }
}

/* Of several flags on one thing, the first that has a value says what a parameter is; any of them takes a tool away. */
static bool is_first(const struct model_flag *flags, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (flags[i].value && !strcmp(flags[i].kind, flags[n].kind) && !strcmp(flags[i].name, flags[n].name))
            return false;
    return true;
}

static void model_apply(json_t *config, const struct model_flag *flags, size_t count) {
    for (size_t n = 0; n < count; n++) {
        const struct model_flag *flag = &flags[n];
        if (!strcmp(flag->kind, "tool") && (flag->disabled || json_is_false(flag->value)))
            remove_tool(json_object_get(config, "tools"), flag->name);
        if (!flag->value || !strcmp(flag->kind, "tool") || (!flag->boolean && !is_first(flags, n))) continue;
        if (!strcmp(flag->kind, "guardrail")) {
            if (json_is_false(flag->value)) json_object_del(json_object_get(config, "guardrails"), flag->name);
        } else if (!strcmp(flag->name, "model")) {
            json_t *model = json_object_get(config, "model");
            if (json_is_string(flag->value) && json_object_get(model, "id"))
                json_object_set(model, "id", flag->value);
            else
                json_object_set(config, "model", flag->value);
        } else {
            if (!json_object_get(config, "parameters")) json_object_set_new(config, "parameters", json_object());
            json_object_set(json_object_get(config, "parameters"), flag->name, flag->value);
        }
    }
}

static uint64_t dice;

static unsigned roll(unsigned sides) {
    return (unsigned)(test_random(&dice) % sides);
}

static const char *const tool_names[] = {"a", "b", "search", "refund"}, *const guardrail_names[] = {"g", "pii", "tone"},
                         *const parameter_names[] = {"max_tokens", "seed", "temperature", "top_p", "model"};

static char *random_config(void) {
    json_t *config = json_pack("{s:s, s:s}", "schema", "agent/v1", "system_prompt", roll(2) ? "}],\"" : "plain");
    struct str text = STR_INIT;
    if (roll(4)) {
        json_t *tools = json_array();
        for (size_t i = 0; i < ARRAY_LEN(tool_names); i++) {
            if (roll(2)) continue;
            json_array_append_new(
                tools, roll(2) ? json_string(tool_names[i])
                               : json_pack("{s:s, s:{s:[s,s]}}", "name", tool_names[i], "parameters", "x", "]", "}"));
        }
        json_object_set_new(config, "tools", tools);
    }
    if (roll(4)) {
        json_t *guardrails = json_object();
        for (size_t i = 0; i < ARRAY_LEN(guardrail_names); i++)
            if (roll(2)) json_object_set_new(guardrails, guardrail_names[i], json_pack("{s:[i]}", "x", 1));
        json_object_set_new(config, "guardrails", guardrails);
    }
    if (roll(4)) {
        json_t *parameters = json_object();
        for (size_t i = 0; i + 1 < ARRAY_LEN(parameter_names); i++)
            if (roll(2)) json_object_set_new(parameters, parameter_names[i], json_integer((json_int_t)roll(9)));
        json_object_set_new(config, "parameters", parameters);
    }
    unsigned kind = roll(3);
    if (kind)
        json_object_set_new(config, "model",
                            kind == 1 ? json_string("m") : json_pack("{s:s, s:s}", "api", "r", "id", "m"));
    assert_int_equal(json_canonical(config, &text, NULL), 0);
    json_decref(config);
    return str_take(&text);
}

static void random_flag(struct model_flag *flag, unsigned i, bool bound) {
    static const char *const kinds[] = {"tool", "guardrail", "parameter"};
    unsigned kind = roll(3);
    snprintf(flag->key, sizeof(flag->key), "f%02u", i);
    flag->kind = kinds[kind];
    flag->name = kind == 0 ? tool_names[roll(4)] : kind == 1 ? guardrail_names[roll(3)] : parameter_names[roll(5)];
    flag->boolean = kind < 2;
    flag->every = roll(3) == 0;
    unsigned form = flag->boolean ? 0 : 1 + roll(2);
    flag->value = form == 0   ? json_boolean(roll(2))
                  : form == 1 ? json_string("x")
                              : json_pack("{s:i}", "id", (int)roll(9));
    struct str value = STR_INIT;
    assert_int_equal(json_compact(flag->value, &value), 0);
    unsigned off = roll(6);
    flag->disabled = off == 0;
    snprintf(flag->definition, sizeof(flag->definition),
             "{\"defaultVariant\":%s,\"state\":\"%s\",\"variants\":{\"v\":%s}}", off == 1 ? "null" : "\"v\"",
             off == 0 ? "DISABLED" : "ENABLED", value.data);
    if (off < 2) {
        json_decref(flag->value);
        flag->value = NULL;
    }
    str_deinit(&value);
    if (bound)
        snprintf(flag->bindings, sizeof(flag->bindings), "[{\"agent\":\"%s\",\"%s\":\"%s\"}]",
                 flag->every ? "*" : "support", flag->kind, flag->name);
    else
        snprintf(flag->bindings, sizeof(flag->bindings), "[{\"agent\":\"other\",\"%s\":\"%s\"}]", flag->kind,
                 flag->name);
}

static void check_against_model(const struct snapshot *snapshot, const char *text, const struct model_flag *flags,
                                size_t count) {
    struct decision decision = decide(snapshot, "support", "u");
    json_t *answer = written(&decision), *config;
    assert_int_equal(json_parse(text, strlen(text), JSON_DEPTH_MAX, &config, NULL), 0);
    model_apply(config, flags, count);
    if (!json_equal(config, json_object_get(answer, "config"))) {
        char *is = json_dumps(json_object_get(answer, "config"), JSON_SORT_KEYS),
             *should = json_dumps(config, JSON_SORT_KEYS);
        fail_msg("%s\n is     %s\n should %s", text, is, should);
    }
    const json_t *told = json_object_get(answer, "flags");
    size_t valued = 0;
    for (size_t i = 0; i < count; i++) {
        valued += flags[i].value != NULL;
        if (flags[i].value) assert_true(json_equal(json_get(told, flags[i].key), flags[i].value));
    }
    assert_int_equal(json_object_size(told), valued);
    json_decref(config);
    json_decref(answer);
}

static void test_random_configurations(void **state) {
    dice = 20261128;
    for (int round = 0; round < 3000; round++) {
        static struct model_flag flags[FLAGS_COUNT];
        struct snapshot_flag_spec specs[FLAGS_COUNT];
        size_t count = 1 + roll(FLAGS_COUNT);
        char *config = random_config();
        struct served served = {"support", "production", 1, 0, {config}};
        for (size_t i = 0; i < count; i++) {
            random_flag(&flags[i], (unsigned)i, true);
            specs[i] = (struct snapshot_flag_spec){flags[i].key, flags[i].definition, flags[i].bindings, 5};
        }
        struct snapshot *snapshot = world_of(&served, specs, count);
        check_against_model(snapshot, config, flags, count);
        snapshot_unref(snapshot);
        for (size_t i = 0; i < count; i++)
            json_decref(flags[i].value);
        free(config);
    }
}

/* ---- changes ---- */

/* All decisions of a snapshot, in one text. */
static void dump(const struct snapshot *snapshot, struct str *out) {
    static const char *const agents[] = {"support", "billing", "other"};
    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        struct resolve_question question = {
            .agent = slice_of(agents[i]), .environment = SLICE_LIT("production"), .targeting_key = SLICE_LIT("u")};
        struct decision decision;
        char etag[DECISION_ETAG_SIZE];
        if (resolve(snapshot, &question, &decision) != 0) continue;
        decision_write(&decision, out);
        decision_etag(&decision, etag);
        str_printf(out, " %s\n", etag);
    }
}

static void expect_same(const struct snapshot *a, const struct snapshot *b) {
    struct str one = STR_INIT, two = STR_INIT;
    dump(a, &one);
    dump(b, &two);
    assert_string_equal(one.data ? one.data : "", two.data ? two.data : "");
    str_deinit(&one);
    str_deinit(&two);
}

/* Flags and entries are changed one by one; each time the snapshot answers as one that is made at once. */
static void test_step_by_step_as_at_once(void **state) {
    static const char *const agents[] = {"support", "billing", "other"};
    dice = 7;
    for (int round = 0; round < 60; round++) {
        static struct model_flag flags[FLAGS_COUNT];
        struct snapshot_flag_spec present[FLAGS_COUNT] = {0};
        struct served served[3] = {0};
        char *configs[3] = {0};
        struct snapshot *snapshot = nothing();
        for (int step = 0; step < 40; step++) {
            struct change change = {.environment = "production", .flags_first = roll(2)};
            struct snapshot_flag_spec spec = {0};
            unsigned which = roll(3), n = roll(FLAGS_COUNT);
            if (roll(3) == 0 || !configs[0]) {
                which = configs[0] ? which : 0;
                free(configs[which]);
                configs[which] = random_config();
                served[which] = (struct served){agents[which], "production", step + 1, 0, {configs[which]}};
                change.served = &served[which];
                change.served_count = 1;
                change.flags_first = false;
            } else if (present[n].definition && roll(3) == 0) {
                spec = (struct snapshot_flag_spec){present[n].key, NULL, NULL, step + 1};
                present[n].definition = NULL;
            } else {
                json_decref(flags[n].value);
                random_flag(&flags[n], n, roll(4) != 0);
                present[n] = spec =
                    (struct snapshot_flag_spec){flags[n].key, flags[n].definition, flags[n].bindings, step + 1};
            }
            change.flags = &spec;
            change.flag_count = spec.key != NULL;
            snapshot = changed(snapshot, &change);
            struct snapshot_flag_spec all[FLAGS_COUNT];
            size_t count = 0;
            for (size_t i = 0; i < FLAGS_COUNT; i++)
                if (present[i].definition) all[count++] = present[i];
            struct snapshot *fresh = nothing();
            for (size_t i = 0; i < 3; i++)
                if (configs[i]) fresh = changed(fresh, &(struct change){.served = &served[i], .served_count = 1});
            if (count)
                fresh =
                    changed(fresh, &(struct change){.environment = "production", .flags = all, .flag_count = count});
            expect_same(snapshot, fresh);
            snapshot_unref(fresh);
        }
        snapshot_unref(snapshot);
        for (size_t i = 0; i < FLAGS_COUNT; i++) {
            json_decref(flags[i].value);
            flags[i].value = NULL;
        }
        for (size_t i = 0; i < 3; i++)
            free(configs[i]);
    }
}

static void test_etags(void **state) {
    static const struct snapshot_flag_spec
        one[] = {BOOL("a", "false", TO("tool", "mail")), BOOL("b", "true", "[]")},
        unbound[] = {{"b", "{\"state\":\"DISABLED\",\"variants\":{\"v\":true}}", "[]", 6}},
        other[] = {
            {"a", "{\"state\":\"ENABLED\",\"variants\":{\"v\":true},\"defaultVariant\":\"v\"}", TO("tool", "mail"), 7}};
    char before[DECISION_ETAG_SIZE], after[DECISION_ETAG_SIZE];
    struct snapshot *snapshot = world_of(&full, one, 2);
    struct decision decision = decide(snapshot, "support", "u");
    size_t len = decision_etag(&decision, before);
    assert_int_equal(len, strlen(before));
    snapshot = changed(snapshot, &(struct change){.environment = "production", .flags = unbound, .flag_count = 1});
    decision = decide(snapshot, "support", "u");
    decision_etag(&decision, after);
    assert_string_equal(before, after);
    snapshot = changed(snapshot, &(struct change){.environment = "production", .flags = other, .flag_count = 1});
    decision = decide(snapshot, "support", "u");
    decision_etag(&decision, after);
    assert_string_not_equal(before, after);
    snapshot_unref(snapshot);
}

/* Set by one change, so that nothing but what they say tells them apart. */
static void test_an_etag_knows_which_flag_says_what(void **state) {
#define EITHER(key, variant)                                                                                           \
    {                                                                                                                  \
        key, "{\"state\":\"ENABLED\",\"variants\":{\"x\":1,\"y\":2},\"defaultVariant\":\"" variant "\"}",              \
            TO("parameter", key), 5                                                                                    \
    }
    static const struct snapshot_flag_spec worlds[][2] = {{EITHER("a", "x"), EITHER("b", "y")},
                                                          {EITHER("a", "y"), EITHER("b", "x")}};
    char etags[2][DECISION_ETAG_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct snapshot *snapshot = world_of(&full, worlds[i], 2);
        struct decision decision = decide(snapshot, "support", "u");
        decision_etag(&decision, etags[i]);
        snapshot_unref(snapshot);
    }
    assert_string_not_equal(etags[0], etags[1]);
}

/* The same flag says nothing to one and fails for another, from whom the tool is withheld. */
static void test_an_etag_knows_of_failures(void **state) {
    static const struct snapshot_flag_spec flag = {"t",
                                                   "{\"state\":\"ENABLED\",\"variants\":{\"v\":true},\"targeting\":{"
                                                   "\"if\":[{\"==\":[{\"var\":\"plan\"},\"x\"]},\"w\","
                                                   "null]}}",
                                                   TO("tool", "mail"), 5};
    struct snapshot *snapshot = world_of(&full, &flag, 1);
    char etags[2][DECISION_ETAG_SIZE];
    for (size_t i = 0; i < 2; i++) {
        struct logic_member plan = {SLICE_LIT("plan"), logic_text(i ? SLICE_LIT("x") : SLICE_LIT("y"))};
        struct logic_context context = {.data = {.type = LOGIC_OBJECT, .count = 1, .members = &plan}};
        struct resolve_question question = {SLICE_LIT("support"), SLICE_LIT("production"), SLICE_LIT("u")};
        question.attributes = &context;
        struct decision decision;
        assert_int_equal(resolve(snapshot, &question, &decision), 0);
        assert_int_equal(decision.withheld, i);
        decision_etag(&decision, etags[i]);
    }
    assert_string_not_equal(etags[0], etags[1]);
    snapshot_unref(snapshot);
}

/* What is reserved counts a value at each place at which it stands. */
static void test_there_is_room_for_long_values(void **state) {
    static const char *const bindings[] = {
        TO("parameter", "temperature"), TO("parameter", "seed"), TO("parameter", "model"),
        ("[{\"agent\":\"support\",\"parameter\":\"temperature\"},{\"agent\":\"support\",\"parameter\":\"seed\"},"
         "{\"agent\":\"support\",\"parameter\":\"model\"}]")};
    char definition[FLAG_VALUE_MAX + 200], value[FLAG_VALUE_MAX - 1];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    snprintf(definition, sizeof(definition),
             "{\"state\":\"ENABLED\",\"variants\":{\"v\":\"%s\"},\"defaultVariant\":\"v\"}", value);
    for (size_t i = 0; i < ARRAY_LEN(bindings); i++) {
        struct snapshot_flag_spec flag = {"f", definition, bindings[i], 5};
        struct snapshot *snapshot = world_of(&full, &flag, 1);
        struct decision decision = decide(snapshot, "support", "u");
        json_decref(written(&decision));
        assert_true(decision_size(&decision) < (i + 2) * FLAG_VALUE_MAX + 4096);
        snapshot_unref(snapshot);
    }
}

/* The candidate's configuration has flags of its own. */
static void test_flags_apply_to_what_was_chosen(void **state) {
    static const struct served two = {
        "support",
        "production",
        1,
        2,
        {"{\"schema\":\"agent/v1\",\"tools\":[\"a\",\"b\"]}", "{\"schema\":\"agent/v1\",\"tools\":[\"a\",\"c\"]}"}};
    static const struct snapshot_flag_spec flags[] = {BOOL("f", "false", TO("tool", "a"))};
    struct snapshot *snapshot = world_of(&two, flags, 1);
    bool seen[2] = {false, false};
    for (int i = 0; i < 64; i++) {
        char key[8];
        snprintf(key, sizeof(key), "u%d", i);
        struct decision decision = decide(snapshot, "support", key);
        json_t *answer = written(&decision);
        const json_t *tools = json_at(answer, "/config/tools");
        assert_int_equal(json_array_size(tools), 1);
        assert_string_equal(json_string_value(json_array_get(tools, 0)), decision.candidate ? "c" : "b");
        seen[decision.candidate] = true;
        json_decref(answer);
    }
    assert_true(seen[0] && seen[1]);
    snapshot_unref(snapshot);
}

/* A switch for emergencies must not open what it was to guard. */
static void test_the_safe_side(void **state) {
    static const char *const definitions[] = {
        "{\"state\":\"DISABLED\",\"variants\":{\"v\":true},\"defaultVariant\":\"v\"}",
        "{\"state\":\"ENABLED\",\"variants\":{\"v\":true},\"defaultVariant\":\"v\",\"targeting\":{\"cat\":[\"no\"]}}",
        "{\"state\":\"ENABLED\",\"variants\":{\"v\":true}}"};
    static const char *const without_mail = "{" REST_GUARDRAILS REST_MODEL REST_PARAMETERS REST_PROMPT
                                            "\"tools\":[\"search\",{\"kind\":\"function\",\"name\":\"refund\"}]}";
    for (size_t i = 0; i < ARRAY_LEN(definitions); i++) {
        struct snapshot_flag_spec flags[] = {{"g", definitions[i], TO("guardrail", "pii"), 5},
                                             {"t", definitions[i], TO("tool", "mail"), 5}};
        struct snapshot *snapshot = world_of(&full, flags, ARRAY_LEN(flags));
        expect_config(snapshot, "support", i < 2 ? without_mail : FULL);
        snapshot_unref(snapshot);
    }
}

/* One snapshot answers of one position: who holds the old one gets the old flags with the old version. */
static void test_no_mix(void **state) {
    static const struct snapshot_flag_spec on[] = {BOOL("f", "true", TO("tool", "mail"))},
                                           off[] = {BOOL("f", "false", TO("tool", "mail"))};
    struct snapshot *first = world_of(&full, on, 1), *second = NULL;
    assert_int_equal(
        try_change(first, &(struct change){.environment = "production", .flags = off, .flag_count = 1}, &second), 0);
    expect_config(first, "support", FULL);
    snapshot_unref(first);
    struct decision decision = decide(second, "support", "u");
    assert_true(decision.off == 1 && decision.valued == 1);
    snapshot_unref(second);
}

static void test_of_more_flags_than_count(void **state) {
    static char keys[BOUND_FLAGS_MAX + 6][8];
    struct snapshot_flag_spec flags[BOUND_FLAGS_MAX + 6];
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        snprintf(keys[i], sizeof(keys[i]), "f%02zu", i);
        flags[i] = (struct snapshot_flag_spec)BOOL(keys[i], "true", TO("tool", "mail"));
    }
    struct snapshot *snapshot = world_of(&full, flags, ARRAY_LEN(flags));
    struct decision decision = decide(snapshot, "support", "u");
    assert_int_equal(decision.bound->flag_count, BOUND_FLAGS_MAX);
    assert_true(decision.valued == UINT64_MAX);
    json_t *answer = written(&decision);
    assert_int_equal(json_object_size(json_get(answer, "flags")), BOUND_FLAGS_MAX);
    json_decref(answer);
    snapshot_unref(snapshot);
}

static void test_explained(void **state) {
    static const struct snapshot_flag_spec flags[] = {
        {"pro",
         "{\"defaultVariant\":\"off\",\"state\":\"ENABLED\",\"targeting\":{\"if\":[{\"==\":[{\"var\":\"plan\"},\"pro\"]"
         "},\"on\","
         "{\"fractional\":[[\"on\",1],[\"off\",0]]}]},\"variants\":{\"off\":false,\"on\":true}}",
         TO("tool", "mail"), 5},
        {"strange", "{\"state\":\"ENABLED\",\"targeting\":{\"cat\":[\"bl\",\"ue\"]},\"variants\":{\"v\":2}}",
         TO("parameter", "seed"), 6}};
    struct snapshot *snapshot = world_of(&full, flags, 2);
    struct resolve_question question = {
        .agent = SLICE_LIT("support"), .environment = SLICE_LIT("production"), .targeting_key = SLICE_LIT("u")};
    struct decision decision;
    struct str text = STR_INIT;
    struct jw jw = JW_INIT(&text);
    json_t *json;
    assert_int_equal(resolve(snapshot, &question, &decision), 0);
    decision_explain(&decision, &question, &jw);
    struct err err = ERR_INIT;
    if (json_parse(text.data, text.len, JSON_DEPTH_MAX, &json, &err) < 0) fail_msg("%s: %s", text.data, err.message);
    const json_t *first = json_at(json, "/explain/flags/0"), *second = json_at(json, "/explain/flags/1");
    assert_string_equal(json_get_text(first, "key"), "pro");
    assert_string_equal(json_get_text(first, "reason"), "TARGETING_MATCH");
    assert_string_equal(json_get_text(first, "variant"), "on");
    assert_int_equal(json_integer_value(json_at(first, "/taken/argument")), 2);
    assert_int_equal(json_integer_value(json_get(first, "of")), 1);
    assert_string_equal(json_string_value(json_at(first, "/does/0/tool")), "mail");
    assert_true(json_is_true(json_at(first, "/does/0/on")));
    assert_string_equal(json_get_text(second, "error"), "GENERAL");
    assert_string_equal(json_get_text(second, "result"), "blue");
    assert_null(json_get(second, "variant"));
    assert_string_equal(json_string_value(json_at(second, "/does/0/parameter")), "seed");
    json_decref(json);
    str_deinit(&text);
    snapshot_unref(snapshot);
}

static void test_memory_ends(void **state) {
    static const struct snapshot_flag_spec first[] = {BOOL("a", "false", TO("tool", "mail"))},
                                           then[] = {BOOL("b", "false", "[{\"agent\":\"*\",\"tool\":\"search\"}]"),
                                                     {"a", NULL, NULL, 6}};
    struct snapshot *base = world_of(&full, first, 1);
    struct change change = {&full, 1, "production", then, 2, true};
    for (size_t n = 1;; n++) {
        struct snapshot *next = NULL;
        ticker_start(n);
        int r = try_change(base, &change, &next);
        bool failed = ticker_stop();
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        snapshot_unref(next);
        struct decision decision = decide(base, "support", "u");
        assert_int_equal(decision.bound->flag_count, 1);
        if (!failed) break;
    }
    snapshot_unref(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_piece),
        cmocka_unit_test(test_what_the_configuration_lacks),
        cmocka_unit_test(test_random_configurations),
        cmocka_unit_test(test_step_by_step_as_at_once),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_an_etag_knows_which_flag_says_what),
        cmocka_unit_test(test_an_etag_knows_of_failures),
        cmocka_unit_test(test_there_is_room_for_long_values),
        cmocka_unit_test(test_flags_apply_to_what_was_chosen),
        cmocka_unit_test(test_the_safe_side),
        cmocka_unit_test(test_no_mix),
        cmocka_unit_test(test_of_more_flags_than_count),
        cmocka_unit_test(test_explained),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
