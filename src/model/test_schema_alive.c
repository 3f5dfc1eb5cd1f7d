/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every word of spec/agent.schema.json has an effect. The schema is walked as data; for each member that it knows, a
 * document is made that holds the member at its place, once as the schema wants it and once broken in each way that
 * the member's schema forbids. The first must be without fault there, each of the others must have one at exactly that pointer.
 *
 * So a rule that is added to the schema is tested with it, and a keyword that lost its effect is found.
 */
#include "model/config.h"
#include "model/model_impl.h"
#include "model/test_kit.h"

/* ---- examples: a value that fits a schema ---- */

static json_t *fitting(const json_t *root, const json_t *node, unsigned depth);

static const json_t *resolved(const json_t *root, const json_t *node) {
    const char *ref = json_get_text(node, "$ref");
    return ref ? json_at(root, ref + 1) : node;
}

static const char *type_of(const json_t *root, const json_t *node) {
    const json_t *type = json_get(node, "type");
    if (!type) type = json_get(resolved(root, node), "type");
    if (json_is_array(type)) type = json_array_get(type, 0);
    return json_string_value(type);
}

/* Words that each pattern of the schema takes. */
static const char *matching(const char *pattern) {
    static const char *const words[] = {"word",
                                        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    return strstr(pattern, "sha256") ? words[1] : words[0];
}

static void add_required(const json_t *root, const json_t *node, json_t *object, unsigned depth) {
    size_t i;
    json_t *name;

    json_array_foreach(json_get(node, "required"), i, name) {
        const char *key = json_string_value(name);
        const json_t *rule = json_get(json_get(node, "properties"), key);
        if (!json_get(object, key))
            json_object_set_new(object, key, rule ? fitting(root, rule, depth + 1) : json_string("word"));
    }
}

static json_t *fitting_object(const json_t *root, const json_t *node, unsigned depth) {
    json_t *object = json_object();
    const json_t *form = json_array_get(json_get(node, "oneOf"), 0);

    if (form) add_required(root, form, object, depth);
    add_required(root, node, object, depth);
    return object;
}

static json_t *fitting_number(const json_t *node) {
    const json_t *least = json_get(node, "minimum"), *above = json_get(node, "exclusiveMinimum");
    if (least) return json_copy((json_t *)least);
    return json_integer(above ? json_integer_value(above) + 1 : 1);
}

static json_t *fitting(const json_t *root, const json_t *node, unsigned depth) {
    const json_t *target = resolved(root, node);
    const char *type = type_of(root, node);

    assert_true(depth < 10);
    if (json_is_true(node)) return json_string("anything");
    if (json_get(target, "const")) return json_copy(json_get(target, "const"));
    if (json_get(target, "enum")) return json_copy(json_array_get(json_get(target, "enum"), 0));
    if (!type && json_get(target, "oneOf"))
        return fitting(root, json_array_get(json_get(target, "oneOf"), 0), depth + 1);
    if (!type || strcmp(type, "object") == 0) return fitting_object(root, target, depth);
    if (strcmp(type, "array") == 0) {
        json_t *array = json_array();
        if (json_get(target, "minItems"))
            json_array_append_new(array, fitting(root, json_get(target, "items"), depth + 1));
        return array;
    }
    if (strcmp(type, "string") == 0)
        return json_string(json_get(target, "pattern") ? matching(json_get_text(target, "pattern")) : "word");
    if (strcmp(type, "boolean") == 0) return json_true();
    return fitting_number(target);
}

/* ---- breaking a value ---- */

struct probe {
    const json_t *root;
    json_t *document;
    json_t *holder; /* the object or array inside the document that holds the member */
    const char *pointer;
    size_t *count;
    const struct probe *outer;
    const json_t *rule; /* whose members are walked here */
};

static size_t faults_at(const json_t *document, const char *pointer) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    struct faults faults = FAULTS_INIT;
    size_t found = 0;

    assert_int_equal(config_normalise(document, &faults, &config, NULL), 0);
    assert_int_equal(config_validate(config, &faults, NULL), 0);
    for (size_t i = 0; i < faults.count; i++) {
        found += !faults.items[i].warning && strcmp(faults.items[i].at, pointer) == 0;
    }
    faults_deinit(&faults);
    return found;
}

static void put(const struct probe *probe, const char *key, json_t *value) {
    if (json_is_array(probe->holder)) {
        json_array_clear(probe->holder);
        assert_int_equal(json_array_append_new(probe->holder, value), 0);
    } else {
        assert_int_equal(json_object_set_new(probe->holder, key, value), 0);
    }
}

static void must_fault(const struct probe *probe, const char *key, json_t *broken, const char *how) {
    put(probe, key, broken);
    if (faults_at(probe->document, probe->pointer) == 0) fail_msg("%s: %s is not told", probe->pointer, how);
    (*probe->count)++;
}

static json_t *text_of_length(size_t len) {
    _cleanup_(freep) char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, 'x', len);
    return json_stringn(text, len);
}

static void break_text(const struct probe *probe, const char *key, const json_t *rule) {
    const json_t *most = json_get(rule, "maxLength");

    if (json_get(rule, "minLength")) must_fault(probe, key, json_string(""), "an empty text");
    if (most) must_fault(probe, key, text_of_length((size_t)json_integer_value(most) + 1), "a long text");
    if (json_get(rule, "pattern")) must_fault(probe, key, json_string("${A B}"), "a text of the wrong form");
    if (json_get(rule, "pattern"))
        must_fault(probe, key, json_string("${A B}\n"), "a text of the wrong form and a line feed");
    if (json_get(rule, "enum")) must_fault(probe, key, json_string("none of them"), "a word that is none of them");
    if (json_get(rule, "const")) must_fault(probe, key, json_string("another"), "another constant");
}

static void break_number(const struct probe *probe, const char *key, const json_t *rule) {
    const json_t *least = json_get(rule, "minimum"), *most = json_get(rule, "maximum"),
                 *above = json_get(rule, "exclusiveMinimum");
    const char *type = json_get_text(rule, "type");

    if (least) must_fault(probe, key, json_real(json_number_value(least) - 0.5), "a number that is too small");
    if (least) must_fault(probe, key, json_integer((json_int_t)json_number_value(least) - 1), "a number one too small");
    if (most) must_fault(probe, key, json_integer((json_int_t)json_number_value(most) + 1), "a number one too large");
    if (above) must_fault(probe, key, json_copy((json_t *)above), "the bound itself");
    if (type && strcmp(type, "integer") == 0) must_fault(probe, key, json_real(1.5), "half of something");
}

static void break_list(const struct probe *probe, const char *key, const json_t *rule) {
    const json_t *most = json_get(rule, "maxItems");
    json_t *list;

    if (json_get(rule, "minItems")) must_fault(probe, key, json_array(), "an empty list");
    if (!most) return;
    list = json_array();
    for (json_int_t i = 0; i <= json_integer_value(most); i++) {
        json_t *item = fitting(probe->root, json_get(rule, "items"), 0);
        json_array_append_new(list, item);
    }
    must_fault(probe, key, list, "a long list");
}

static void break_object(const struct probe *probe, const char *key, const json_t *rule) {
    const json_t *most = json_get(rule, "maxProperties");
    size_t i;
    json_t *name;

    json_array_foreach(json_get(rule, "required"), i, name) {
        json_t *object = fitting(probe->root, rule, 0);
        json_object_del(object, json_string_value(name));
        must_fault(probe, key, object, "a required member that is missing");
    }
    if (!most) return;
    json_t *object = json_object();
    for (json_int_t n = 0; n <= json_integer_value(most); n++) {
        char member[32];
        snprintf(member, sizeof(member), "m%lld", (long long)n);
        json_object_set_new(object, member, json_string("x"));
    }
    must_fault(probe, key, object, "too many members");
}

/* A value of every type that the schema does not name. */
static void break_type(const struct probe *probe, const char *key, const json_t *rule) {
    static const struct {
        const char *type, *value;
    } others[] = {{"string", "'x y'"}, {"integer", "7"},    {"array", "[7]"},
                  {"object", "{}"},    {"boolean", "true"}, {"null", "null"}};
    const json_t *types = json_get(rule, "type");
    bool any = !types && !json_get(rule, "enum") && !json_get(rule, "const");

    for (size_t i = 0; !any && i < ARRAY_LEN(others); i++) {
        _cleanup_(freep) char *known = types ? kit_text(types) : strdup("\"string\"");
        if (strstr(known, others[i].type) || (strcmp(others[i].type, "integer") == 0 && strstr(known, "number")))
            continue;
        must_fault(probe, key, kit_json(others[i].value), others[i].type);
    }
}

/* ---- the walk over the schema ---- */

static void walk(const struct probe *outer, const json_t *rule, const char *key, unsigned depth);

/* `beside` is the rule whose reference led here, or NULL: what it says of a member itself is stricter. */
static void walk_members(const struct probe *outer, const json_t *rule, const json_t *beside, json_t *object,
                         unsigned depth) {
    const char *key, *form_key = NULL;
    json_t *member;

    json_object_foreach(json_get(rule, "properties"), key, member) {
        _cleanup_(str_deinit) struct str pointer = STR_INIT;
        if (json_get(member, "const")) form_key = key;
        if (form_key == key) continue; /* it names the form; with another it is another form */
        if (json_get(json_get(beside, "properties"), key)) continue;
        str_add_text(&pointer, outer->pointer);
        json_pointer_add(&pointer, key);
        const struct probe inner = {outer->root, outer->document, object, pointer.data, outer->count, outer, rule};
        json_t *kept = json_incref(json_get(object, key));
        walk(&inner, member, key, depth + 1);
        if (kept) {
            json_object_set_new(object, key, kept);
        } else {
            json_object_del(object, key);
        }
    }
    if (json_is_false(json_get(rule, "additionalProperties"))) {
        _cleanup_(str_deinit) struct str pointer = STR_INIT;
        str_printf(&pointer, "%s/nobody-knows-this", outer->pointer);
        const struct probe inner = {outer->root, outer->document, object, pointer.data, outer->count, outer, rule};
        must_fault(&inner, "nobody-knows-this", json_true(), "an unknown member");
        json_object_del(object, "nobody-knows-this");
    }
}

static void walk_items(const struct probe *outer, const json_t *rule, json_t *array, unsigned depth) {
    _cleanup_(str_deinit) struct str pointer = STR_INIT;

    if (!json_get(rule, "items")) return;
    str_printf(&pointer, "%s/0", outer->pointer);
    const struct probe inner = {outer->root, outer->document, array, pointer.data, outer->count, outer, rule};
    walk(&inner, json_get(rule, "items"), NULL, depth + 1);
}

static void walk_values(const struct probe *outer, const json_t *rule, json_t *object, unsigned depth) {
    const json_t *others = json_get(rule, "additionalProperties"), *names = json_get(rule, "propertyNames");
    _cleanup_(str_deinit) struct str pointer = STR_INIT;

    if (json_is_object(others)) {
        str_printf(&pointer, "%s/word", outer->pointer);
        const struct probe inner = {outer->root, outer->document, object, pointer.data, outer->count, outer, rule};
        walk(&inner, others, "word", depth + 1);
        json_object_del(object, "word");
    }
    if (!names) return;
    str_clear(&pointer);
    str_printf(&pointer, "%s/a b", outer->pointer);
    const struct probe inner = {outer->root, outer->document, object, pointer.data, outer->count, outer, rule};
    must_fault(&inner, "a b", json_object(), "a name of the wrong form");
    json_object_del(object, "a b");
}

/* A schema may lead to itself; once on each way is enough. */
static bool on_path(const struct probe *probe, const json_t *rule) {
    for (; probe; probe = probe->outer) {
        if (probe->rule == rule) return true;
    }
    return false;
}

static void walk_inside(const struct probe *probe, const json_t *rule, const json_t *beside, json_t *value,
                        unsigned depth) {
    if (on_path(probe, rule)) return;
    if (json_is_object(value)) walk_members(probe, rule, beside, value, depth);
    if (json_is_object(value)) walk_values(probe, rule, value, depth);
    if (json_is_array(value)) walk_items(probe, rule, value, depth);
    if (json_get(rule, "$ref")) walk_inside(probe, resolved(probe->root, rule), rule, value, depth);
}

/* One form of a value: it must be taken, then each way to break it must be told. */
static void walk_form(const struct probe *probe, const json_t *rule, const char *key, unsigned depth) {
    json_t *value = fitting(probe->root, rule, 0);

    put(probe, key, value);
    if (faults_at(probe->document, probe->pointer) > 0) fail_msg("%s: a good value is refused", probe->pointer);
    walk_inside(probe, rule, NULL, value, depth);
    break_text(probe, key, rule);
    break_number(probe, key, rule);
    if (json_get(rule, "items")) break_list(probe, key, rule);
    if (json_get(rule, "properties") || json_get(rule, "maxProperties")) break_object(probe, key, rule);
    put(probe, key, fitting(probe->root, rule, 0));
}

static bool only_required(const json_t *forms) {
    return json_object_size(json_array_get(forms, 0)) == 1 && json_get(json_array_get(forms, 0), "required");
}

static void walk(const struct probe *probe, const json_t *rule, const char *key, unsigned depth) {
    const json_t *target = resolved(probe->root, rule), *forms = json_get(target, "oneOf");
    size_t i;
    json_t *form;

    if (json_is_boolean(target)) return;
    if (!forms || only_required(forms)) {
        walk_form(probe, target, key, depth);
        break_type(probe, key, target);
        put(probe, key, fitting(probe->root, target, 0));
        return;
    }
    json_array_foreach(forms, i, form) {
        walk_form(probe, resolved(probe->root, form), key, depth);
    }
}

static void test_every_rule_has_an_effect(void **state) {
    _cleanup_(json_decrefp) json_t *root = NULL, *document = NULL;
    struct slice text = config_schema();
    size_t count = 0;

    assert_int_equal(json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &root, NULL), 0);
    /* The members that others refer to by the word that every fitting text is. */
    document =
        kit_json("{'schema':'agent/v1','model':'gpt-4o','tools':['word'],'mcp_servers':{'word':{'command':'x'}}}");
    const struct probe top = {root, document, document, "", &count};
    walk_members(&top, root, NULL, document, 0);
    /* As many as there were when this was written; fewer means that the walk lost a part of the schema. */
    if (count < 1500) fail_msg("only %zu ways to break a document were tried", count);
}

static void test_every_word_of_a_guardrail(void **state) {
    _cleanup_(json_decrefp)
        json_t *root = NULL,
               *document = kit_json("{'schema':'agent/v1','model':'gpt-4o','tools':['word'],'guardrails':{}}");
    struct slice text = config_schema();
    size_t count = 0;

    assert_int_equal(json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &root, NULL), 0);
    const json_t *rule = json_at(root, "/$defs/guardrail");
    json_t *guardrail = kit_json("{'stage':'input','check':{'type':'pii'}}");
    json_object_set_new(json_get(document, "guardrails"), "word", guardrail);
    const struct probe probe = {root, document, json_get(document, "guardrails"), "/guardrails/word", &count};
    walk_members(&probe, rule, NULL, guardrail, 0);
    if (count < 40) fail_msg("only %zu ways to break a guardrail were tried", count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_has_an_effect),
        cmocka_unit_test(test_every_word_of_a_guardrail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
