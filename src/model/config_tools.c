/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between tools, MCP servers, and the places that name either. */
#include "model/model_impl.h"

#include <inttypes.h>
#include <string.h>

struct tools {
    const json_t *config;
    const json_t *servers; /* `mcp_servers`, NULL when there are none */
    json_t *names;         /* tool name -> index of its first use */
    json_t *listed;        /* MCP server -> index of its first use */
    bool open;             /* more tools may exist than can be read here */
    struct faults *faults;
};

static bool has_kind(const json_t *tool, const char *kind) {
    const char *own = json_get_text(tool, "kind");
    return own && strcmp(own, kind) == 0;
}

static void told_unknown(struct faults *faults, const struct place *place, const char *name, const json_t *known,
                         const char *where) {
    char shown[SHOW_SIZE];
    const char *key;
    json_t *value;

    struct suggestion near = SUGGESTION_INIT(name);
    json_object_foreach((json_t *)known, key, value) {
        suggestion_try(&near, key);
    }
    place_fault(faults, place, "\"%s\" is not in %s%s%s%s", show_text(name, shown), where,
                near.best ? "; did you mean \"" : "", near.best ? near.best : "", near.best ? "\"?" : "");
}

/* Notes the first use of a name; tells of the second. */
static int note_name(struct tools *tools, json_t *seen, const char *name, const struct place *place) {
    const json_t *first = json_get(seen, name);
    char shown[SHOW_SIZE];

    if (!first) return json_object_set_new(seen, name, json_integer((json_int_t)place->index));
    place_fault(tools->faults, place, "\"%s\" is already the name of /tools/%" JSON_INTEGER_FORMAT,
                show_text(name, shown), json_integer_value(first));
    return 0;
}

static int check_tool(struct tools *tools, const json_t *tool, const struct place *place) {
    const char *server = has_kind(tool, "mcp") ? json_get_text(tool, "server") : NULL;
    const char *name = has_kind(tool, "mcp") ? NULL : tool_name(tool);

    if (has_kind(tool, "mcp") || has_kind(tool, "openapi")) tools->open = true;
    if (name && note_name(tools, tools->names, name, place) < 0) return -1;
    if (!server) return 0;
    if (!json_get(tools->servers, server)) {
        const struct place at = {place, "server", 0};
        told_unknown(tools->faults, &at, server, tools->servers, "mcp_servers");
    }
    return note_name(tools, tools->listed, server, place);
}

static int read_tools(struct tools *tools) {
    const struct place top = {0}, list = {&top, "tools", 0};
    size_t i;
    json_t *tool;

    json_array_foreach(json_get(tools->config, "tools"), i, tool) {
        const struct place place = {&list, NULL, i};
        if (check_tool(tools, tool, &place) < 0) return -1;
    }
    /* A handoff is a tool to the model, under a name that the runtime makes. */
    if (json_array_size(json_get(tools->config, "handoffs")) > 0) tools->open = true;
    return 0;
}

static void check_tool_choice(const struct tools *tools) {
    const struct place top = {0}, parameters = {&top, "parameters", 0}, choice = {&parameters, "tool_choice", 0};
    const struct place at_server = {&choice, "server", 0}, at_tool = {&choice, "tool", 0};
    const json_t *value = json_get(json_get(tools->config, "parameters"), "tool_choice");
    const char *server = json_get_text(value, "server"), *tool = json_get_text(value, "tool");

    if (server && !json_get(tools->servers, server)) {
        told_unknown(tools->faults, &at_server, server, tools->servers, "mcp_servers");
    }
    if (tool && !server && !tools->open && !json_get(tools->names, tool)) {
        told_unknown(tools->faults, &at_tool, tool, tools->names, "tools");
    }
}

static void check_guardrail_tools(const struct tools *tools) {
    const struct place top = {0}, guardrails = {&top, "guardrails", 0};
    const char *name;
    json_t *guardrail;

    if (tools->open) return;
    json_object_foreach(json_get(tools->config, "guardrails"), name, guardrail) {
        const struct place place = {&guardrails, name, 0}, list = {&place, "tools", 0};
        size_t i;
        json_t *tool;
        json_array_foreach(json_get(guardrail, "tools"), i, tool) {
            const struct place at = {&list, NULL, i};
            char shown[SHOW_SIZE];
            if (!json_is_string(tool) || json_get(tools->names, json_string_value(tool))) continue;
            place_warn(tools->faults, &at, "the agent has no tool \"%s\"", show_text(json_string_value(tool), shown));
        }
    }
}

int config_check_tools(const json_t *config, struct faults *faults) {
    _cleanup_(json_decrefp) json_t *names = json_object(), *listed = json_object();
    struct tools tools = {.config = config,
                          .servers = json_get(config, "mcp_servers"),
                          .names = names,
                          .listed = listed,
                          .faults = faults};

    if (!names || !listed || read_tools(&tools) < 0) return -ERR_NO_MEMORY;
    check_tool_choice(&tools);
    check_guardrail_tools(&tools);
    return 0;
}
