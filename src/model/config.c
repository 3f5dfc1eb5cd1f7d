/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration's way in has three steps, each in a file of its own: the accepted spellings are brought to the
 * stored form (here), the stored form is checked (config_validate.c and what it calls), and what passed is closed into
 * canonical bytes and hashes (config_seal.c).
 *
 * Invariants: a document is never changed in place, each step makes a new one; faults are told all at once; and
 * two spellings of the same configuration end in the same bytes, so that they have the same hashes and pushing the
 * second makes no new version.
 */
#include "model/config.h"

#include "model/model_impl.h"

#include <string.h>

const char *const config_parameter_names[] = {
    "temperature",      "top_p",        "top_k",     "max_tokens",  "stop_sequences", "frequency_penalty",
    "presence_penalty", "seed",         "reasoning", "verbosity",   "tool_choice",    "parallel_tool_calls",
    "top_logprobs",     "service_tier", "timeout_s", "max_retries", "extra",          NULL,
};

const char *tool_name(const json_t *tool) {
    const char *name = json_is_string(tool) ? json_string_value(tool) : json_get_text(tool, "name");
    return name ? name : json_get_text(tool, "agent");
}

struct slice config_schema(void) {
    return (struct slice){agent_schema_json, agent_schema_json_len};
}

/* ---- copying, with line ends made LF ---- */

static json_t *copy_text(const json_t *value) {
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    _cleanup_(freep) char *copy = NULL;
    size_t kept = 0;

    if (!memchr(text, '\r', len)) return json_stringn(text, len);
    copy = malloc(len);
    if (!copy) return NULL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n') continue;
        copy[kept++] = text[i] == '\r' ? '\n' : text[i];
    }
    return json_stringn(copy, kept);
}

static json_t *copy_value(const json_t *value);

static json_t *copy_object(const json_t *value) {
    _cleanup_(json_decrefp) json_t *copy = json_object();
    const char *key;
    json_t *member;

    json_object_foreach((json_t *)value, key, member) {
        if (json_object_set_new(copy, key, copy_value(member)) < 0) return NULL;
    }
    return TAKE_PTR(copy);
}

static json_t *copy_array(const json_t *value) {
    _cleanup_(json_decrefp) json_t *copy = json_array();
    size_t i;
    json_t *item;

    json_array_foreach(value, i, item) {
        if (json_array_append_new(copy, copy_value(item)) < 0) return NULL;
    }
    return TAKE_PTR(copy);
}

static json_t *copy_value(const json_t *value) {
    if (json_is_object(value)) return copy_object(value);
    if (json_is_array(value)) return copy_array(value);
    if (json_is_string(value)) return copy_text(value);
    return json_copy((json_t *)value);
}

/* ---- spellings ---- */

/* Moves a member to another object (or name). -1 when memory is out. */
static int move_member(json_t *from, const char *key, json_t *to, const char *new_key) {
    if (json_object_set(to, new_key, json_get(from, key)) < 0) return -1;
    return json_object_del(from, key);
}

static int rename_instructions(json_t *config, struct faults *faults) {
    if (!json_get(config, "instructions")) return 0;
    if (!json_get(config, "system_prompt")) return move_member(config, "instructions", config, "system_prompt");
    faults_add(faults, "/instructions",
               "\"instructions\" is another name of \"system_prompt\", which is given too; keep one");
    return json_object_del(config, "instructions");
}

static int move_parameter(json_t *config, json_t *parameters, const char *name, struct faults *faults) {
    _cleanup_(str_deinit) struct str at = STR_INIT;

    if (json_is_object(parameters) && !json_get(parameters, name)) return move_member(config, name, parameters, name);
    json_pointer_add(&at, name);
    if (at.failed) return -1;
    if (json_is_object(parameters)) {
        faults_add(faults, at.data, "\"%s\" is given here and in \"parameters\"; keep one", name);
    }
    return json_object_del(config, name);
}

/* When `parameters` is no object the schema's check tells so; what would belong into it is left out then. */
static int move_parameters(json_t *config, struct faults *faults) {
    for (const char *const *name = config_parameter_names; *name; name++) {
        if (!json_get(config, *name)) continue;
        if (!json_get(config, "parameters") && json_object_set_new(config, "parameters", json_object()) < 0) return -1;
        if (move_parameter(config, json_get(config, "parameters"), *name, faults) < 0) return -1;
    }
    return 0;
}

/* A whole .mcp.json may stand as the value: {"mcpServers": {…}}. */
static int unwrap_mcp_servers(json_t *config) {
    json_t *servers = json_get(config, "mcp_servers"), *inner = json_get(servers, "mcpServers");

    if (!json_is_object(inner) || json_object_size(servers) != 1) return 0;
    return json_object_set(config, "mcp_servers", inner);
}

static int set_schema(json_t *config) {
    if (json_get(config, "schema")) return 0;
    return json_object_set_new(config, "schema", json_string("agent/v1"));
}

int config_normalise(const json_t *input, struct faults *faults, json_t **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *config = copy_value(input);

    if (!config) return err_no_memory(err);
    if (json_is_object(config)) {
        bool failed = rename_instructions(config, faults) < 0 || move_parameters(config, faults) < 0 ||
                      unwrap_mcp_servers(config) < 0 || set_schema(config) < 0;
        if (failed || faults->failed) return err_no_memory(err);
    }
    *ret = TAKE_PTR(config);
    return 0;
}
