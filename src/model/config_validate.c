/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a normalised document. First what holds for every value in it (depth, numbers, secrets), then the
 * schema, then the rules that relate one part to another. Each part reads the document defensively: it meets whatever
 * the schema's check has just complained about, and stays silent on it.
 */
#include "model/config.h"
#include "model/model_impl.h"

#include <stdatomic.h>
#include <string.h>

/* ---- every value ---- */

struct walk {
    struct faults *faults;
    struct str number; /* room for one number at a time */
    bool too_deep;
    bool no_memory;
};

static void check_secret(struct walk *walk, struct slice text, const char *what, const struct place *place) {
    const char *kind = secret_kind(text);
    if (!kind) return;
    place_fault(
        walk->faults, place,
        "%s looks like %s; versions are kept for ever and shown to everybody who may read them: revoke it, and refer "
        "to it by ${secret:NAME} or ${env:NAME} in mcp_servers, or by the model's \"connection\"",
        what, kind);
}

static void check_text(struct walk *walk, const json_t *value, const struct place *place) {
    struct slice text = {json_string_value(value), json_string_length(value)};

    if (memchr(text.ptr, '\0', text.len)) place_fault(walk->faults, place, "the text holds a NUL character");
    check_secret(walk, text, "the text", place);
}

static void check_number(struct walk *walk, const json_t *value, const struct place *place) {
    struct err err = ERR_INIT;
    int r;

    str_clear(&walk->number);
    r = json_canonical(value, &walk->number, &err);
    if (r == -ERR_NO_MEMORY) walk->no_memory = true;
    if (r == -ERR_INVALID) place_fault(walk->faults, place, "%s; write it as a text", err.message);
}

static void walk_value(struct walk *walk, const json_t *value, const struct place *place, unsigned depth);

static void walk_object(struct walk *walk, const json_t *value, const struct place *place, unsigned depth) {
    const char *key;
    json_t *member;

    json_object_foreach((json_t *)value, key, member) {
        struct place at = {place, key, 0};
        check_secret(walk, slice_of(key), "a key", place);
        walk_value(walk, member, &at, depth);
    }
}

static void walk_array(struct walk *walk, const json_t *value, const struct place *place, unsigned depth) {
    size_t i;
    json_t *item;

    json_array_foreach(value, i, item) {
        struct place at = {place, NULL, i};
        walk_value(walk, item, &at, depth);
    }
}

static void walk_value(struct walk *walk, const json_t *value, const struct place *place, unsigned depth) {
    bool container = json_is_object(value) || json_is_array(value);

    if (container && depth == CONFIG_DEPTH_MAX) {
        place_fault(walk->faults, place, "is nested deeper than %d levels", CONFIG_DEPTH_MAX);
        walk->too_deep = true;
        return;
    }
    if (json_is_object(value)) walk_object(walk, value, place, depth + 1);
    if (json_is_array(value)) walk_array(walk, value, place, depth + 1);
    if (json_is_string(value)) check_text(walk, value, place);
    if (json_is_number(value)) check_number(walk, value, place);
}

/* A number without canonical form was told by the walk. */
static int check_size(const json_t *config, struct faults *faults, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    int r = json_canonical(config, &text, NULL);

    if (r == -ERR_INVALID) return 0;
    if (r < 0) return err_no_memory(err);
    if (text.len > CONFIG_SIZE_MAX) {
        faults_add(faults, "", "is %zu bytes in canonical form, at most %d are kept", text.len, CONFIG_SIZE_MAX);
    }
    return 0;
}

/* ---- the schema ---- */

static const struct hint {
    const char *key;
    const char *hint;
} hints[] = {
    {"file", "files are put in place by pushing the agent's folder; here the content itself is expected"},
    {"name", "the agent's name is given beside the configuration (folder, file or command), not in it"},
    {"prompt", "the prompt is \"system_prompt\""},
    {"system", "the prompt is \"system_prompt\""},
    {"system_message", "the prompt is \"system_prompt\""},
    {"max_output_tokens", "this is \"max_tokens\" in \"parameters\""},
    {"max_completion_tokens", "this is \"max_tokens\" in \"parameters\""},
    {"stop", "this is \"stop_sequences\" in \"parameters\""},
    {"reasoning_effort", "this is \"effort\" in \"reasoning\" in \"parameters\""},
    {"functions", "functions are \"tools\" of kind \"function\""},
    {"response_format", "this is \"output\": {\"format\", \"schema\"}"},
    {"variables", "variables are declared in \"inputs\", as a JSON Schema"},
    {"api_key", "keys are no part of a version; name a \"connection\" in \"model\""},
    {"base_url", "endpoints are no part of a version; name a \"connection\" in \"model\""},
    {"endpoint", "endpoints are no part of a version; name a \"connection\" in \"model\""},
};

/* A parameter that is misspelt at the top was not moved into `parameters`. */
static bool add_nearest_parameter(const char *key, struct str *out) {

    struct suggestion near = SUGGESTION_INIT(key);
    for (const char *const *name = config_parameter_names; *name; name++) {
        suggestion_try(&near, *name);
    }
    if (near.best) str_printf(out, "; did you mean \"%s\"?", near.best);
    return near.best != NULL;
}

static const char *hint_about(const char *key) {
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        if (strcmp(hints[i].key, key) == 0) return hints[i].hint;
    }
    return NULL;
}

/* The hints speak of the document itself, its model and its parameters. Tools and servers have other words. */
static bool add_hint(const json_t *parent, const char *key, struct str *out) {
    bool top = json_get_text(parent, "schema") != NULL, file = strcmp(key, "file") == 0;
    bool elsewhere = json_get(parent, "kind") || json_get(parent, "url") || json_get(parent, "command");
    const char *hint = hint_about(key);

    if (strcmp(key, "function") == 0 && json_is_object(json_get(parent, key))) {
        hint = "write {\"kind\": \"function\", \"name\", \"description\", \"parameters\"} without the inner object";
    } else if ((strcmp(key, "name") == 0 && !top) || (elsewhere && !file)) {
        return false;
    }
    if (!hint) return top && add_nearest_parameter(key, out);
    str_printf(out, "; %s", hint);
    return true;
}

static int check_guardrails(const struct schema *schema, const json_t *config, struct faults *faults, struct err *err) {
    const struct place top = {0}, guardrails = {&top, "guardrails", 0};
    const char *name;
    json_t *guardrail;

    json_object_foreach(json_get(config, "guardrails"), name, guardrail) {
        _cleanup_(str_deinit) struct str at = STR_INIT;
        const struct place place = {&guardrails, name, 0};
        if (!json_get(guardrail, "stage")) continue;
        place_pointer(&place, &at);
        if (at.failed) return err_no_memory(err);
        struct schema_check check = {.definition = "guardrail", .at = at.data, .hint = add_hint};
        int r = schema_check(schema, &check, guardrail, faults, err);
        if (r < 0) return r;
    }
    return 0;
}

/* Reading the schema takes longer than checking a document against it; once read it is a constant of the program. */
static int read_schema_once(const struct schema **ret, struct err *err) {
    static struct schema *_Atomic read;
    struct schema *schema = atomic_load(&read), *first = NULL;

    if (!schema) {
        int r = schema_new(config_schema(), &schema, err);
        if (r < 0) return r;
        if (!atomic_compare_exchange_strong(&read, &first, schema)) {
            schema_free(schema);
            schema = first;
        }
    }
    *ret = schema;
    return 0;
}

static int check_schema(const json_t *config, struct faults *faults, struct err *err) {
    const struct schema *schema;
    struct schema_check check = {.at = "", .hint = add_hint};
    int r;

    r = read_schema_once(&schema, err);
    if (r < 0) return r;
    r = schema_check(schema, &check, config, faults, err);
    if (r < 0) return r;
    return check_guardrails(schema, config, faults, err);
}

/* ---- templates ---- */

static bool templates_off(const json_t *config) {
    const char *engine = json_get_text(json_get(config, "template"), "engine");
    return engine && strcmp(engine, "none") == 0;
}

static int check_template_text(struct template_check *check, const json_t *text, const struct place *place) {
    if (!json_is_string(text)) return 0;
    struct slice slice = {json_string_value(text), json_string_length(text)};
    return template_check(check, slice, place);
}

/* The texts that a list's items hold under `key`. */
static int check_template_list(struct template_check *check, const json_t *list, const char *key,
                               const struct place *place) {
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item) {
        const struct place at_item = {place, NULL, i}, at_text = {&at_item, key, 0};
        int r = check_template_text(check, json_get(item, key), &at_text);
        if (r < 0) return r;
    }
    return 0;
}

static int check_all_texts(struct template_check *check, const json_t *config) {
    const struct place top = {0}, prompt = {&top, "system_prompt", 0}, messages = {&top, "messages", 0};
    const struct place greeting = {&top, "greeting", 0};
    int r;

    r = check_template_text(check, json_get(config, "system_prompt"), &prompt);
    if (r < 0) return r;
    r = check_template_list(check, json_get(config, "system_prompt"), "text", &prompt);
    if (r < 0) return r;
    r = check_template_list(check, json_get(config, "messages"), "content", &messages);
    if (r < 0) return r;
    return check_template_text(check, json_get(config, "greeting"), &greeting);
}

static void warn_unused(const json_t *inputs, const json_t *used, struct faults *faults) {
    const struct place top = {0}, at_inputs = {&top, "inputs", 0}, properties = {&at_inputs, "properties", 0};
    const char *name;
    json_t *input;

    json_object_foreach(json_get(inputs, "properties"), name, input) {
        const struct place place = {&properties, name, 0};
        if (!json_get(used, name)) place_warn(faults, &place, "declared, but no template uses it");
    }
}

static int check_templates(const json_t *config, struct faults *faults, struct err *err) {
    _cleanup_(json_decrefp) json_t *used = json_object();
    const json_t *inputs = json_get(config, "inputs");
    struct template_check check = {.inputs = json_is_object(inputs) ? inputs : NULL, .used = used, .faults = faults};

    if (!used) return err_no_memory(err);
    if (templates_off(config)) return 0;
    if (check_all_texts(&check, config) < 0) return err_no_memory(err);
    warn_unused(inputs, used, faults);
    return 0;
}

int config_validate(const json_t *config, struct faults *faults, struct err *err) {
    struct walk walk = {.faults = faults, .number = STR_INIT};
    const struct place top = {0};
    int r;

    walk_value(&walk, config, &top, 0);
    str_deinit(&walk.number);
    if (walk.no_memory || faults->failed) return err_no_memory(err);
    if (walk.too_deep) return 0;
    r = check_size(config, faults, err);
    if (r < 0) return r;
    r = check_schema(config, faults, err);
    if (r < 0) return r;
    if (config_check_tools(config, faults) < 0) return err_no_memory(err);
    r = check_templates(config, faults, err);
    if (r < 0) return r;
    config_warn_models(config, faults);
    return faults->failed ? err_no_memory(err) : 0;
}
