/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI 3.1 document, made from the table of operations and the shapes of their answers. */
#include "api/openapi_impl.h"
#include "intake/outcome.h"
#include "model/names.h"
#include "model/webhook.h"

#include <stdio.h>
#include <string.h>

#define NAME_PATTERN "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
#define FLAG_PATTERN "(?!agent\\.)[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
#define NUMBER_PATTERN "(0|[1-9][0-9]{0,17})"
#define POSITION_PATTERN NUMBER_PATTERN "\\." NUMBER_PATTERN
#define TIME_PATTERN                                                                                                   \
    "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"               \
    "(\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

/* ---- schemas of parameters ---- */

static void write_type(struct jw *jw, const char *type) {
    jw_text(jw, "type", type);
}

static void write_items(struct jw *jw, const char *type) {
    write_type(jw, "array");
    jw_object(jw, "items");
    write_type(jw, type);
    jw_end_object(jw);
}

static void write_text(struct jw *jw, int64_t max) {
    write_type(jw, "string");
    jw_int(jw, "maxLength", max);
    jw_text(jw, "pattern", "^[^\\u0000]*$");
}

static void write_pattern(struct jw *jw, const char *pattern) {
    jw_printf(jw, "pattern", "^(%s)$", pattern);
}

static void write_list_length(struct jw *jw, int64_t max) {
    jw_int(jw, "minItems", 1);
    jw_int(jw, "maxItems", max);
}

static void write_ref_schema(struct jw *jw, const char *schema) {
    jw_printf(jw, "$ref", "#/components/schemas/%s", schema);
}

static void write_either(struct jw *jw, const char *a, const char *b) {
    jw_array(jw, "type");
    jw_text(jw, NULL, a);
    jw_text(jw, NULL, b);
    jw_end_array(jw);
}

static void write_roles(struct jw *jw) {
    write_type(jw, "string");
    jw_array(jw, "enum");
    for (enum role role = ROLE_RESOLVE; role <= ROLE_ADMIN; role++)
        jw_text(jw, NULL, role_name(role));
    jw_end_array(jw);
}

static void write_whole_number(struct jw *jw, int64_t minimum, int64_t maximum) {
    write_type(jw, "integer");
    jw_int(jw, "minimum", minimum);
    jw_int(jw, "maximum", maximum);
}

static void write_version(struct jw *jw) {
    write_either(jw, "integer", "string");
    jw_int(jw, "minimum", 1);
    write_pattern(jw, "sha256:[0-9a-f]{8,64}|" NAME_PATTERN);
}

static void write_keys(struct jw *jw) {
    write_type(jw, "array");
    jw_object(jw, "items");
    write_text(jw, TARGETING_KEY_MAX);
    jw_int(jw, "minLength", 1);
    jw_end_object(jw);
    write_list_length(jw, OPS_KEYS_MAX);
}

static void write_names(struct jw *jw) {
    write_either(jw, "string", "array");
    write_pattern(jw, NAME_PATTERN);
    jw_object(jw, "items");
    write_type(jw, "string");
    write_pattern(jw, NAME_PATTERN);
    jw_end_object(jw);
    write_list_length(jw, OPS_KEYS_MAX);
}

static void write_list_of(struct jw *jw, const char *schema, int64_t max) {
    write_type(jw, "array");
    jw_object(jw, "items");
    write_ref_schema(jw, schema);
    jw_end_object(jw);
    write_list_length(jw, max);
}

static void write_events(struct jw *jw) {
    write_type(jw, "array");
    jw_object(jw, "items");
    write_type(jw, "string");
    jw_array(jw, "enum");
    jw_text(jw, NULL, "*");
    for (int event = 0; event < EVENT_COUNT_; event++)
        jw_text(jw, NULL, rollout_event_type((enum rollout_event)event));
    jw_end_array(jw);
    jw_end_object(jw);
    write_list_length(jw, EVENT_COUNT_);
    jw_bool(jw, "uniqueItems", true);
}

static void write_moves(struct jw *jw) {
    write_type(jw, "array");
    jw_object(jw, "items");
    write_ref_schema(jw, "move");
    jw_end_object(jw);
    write_list_length(jw, OPS_MOVES_MAX);
}

static void write_patterned(struct jw *jw, const char *pattern) {
    write_type(jw, "string");
    write_pattern(jw, pattern);
}

static void write_param_schema(struct jw *jw, const struct op_param *param) {
    switch (param->type) {
    case PARAM_NUMBER:
        write_whole_number(jw, 0, OPS_NUMBER_MAX);
        break;
    case PARAM_LIMIT:
        write_whole_number(jw, 1, OPS_LIMIT_MAX);
        break;
    case PARAM_BOOL:
        write_type(jw, "boolean");
        break;
    case PARAM_VERSION:
        write_version(jw);
        break;
    case PARAM_OBJECT:
        write_type(jw, "object");
        break;
    case PARAM_KEYS:
        write_keys(jw);
        break;
    case PARAM_NAMES:
        write_names(jw);
        break;
    case PARAM_OUTCOMES:
        write_list_of(jw, "outcome", OUTCOME_ITEMS_MAX);
        break;
    case PARAM_SPANS:
        write_type(jw, "array");
        break;
    case PARAM_MOVES:
        write_moves(jw);
        break;
    case PARAM_EVENTS:
        write_events(jw);
        break;
    case PARAM_ROLE:
        write_roles(jw);
        break;
    case PARAM_NAME:
        write_patterned(jw, NAME_PATTERN);
        break;
    case PARAM_FLAG:
        write_patterned(jw, FLAG_PATTERN);
        break;
    case PARAM_UUID:
        write_patterned(jw, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
        break;
    case PARAM_LABEL:
        write_patterned(jw, "[!-~]{1,64}");
        break;
    case PARAM_POSITION:
        write_patterned(jw, POSITION_PATTERN);
        break;
    case PARAM_MOMENT:
        write_patterned(jw, POSITION_PATTERN "|" TIME_PATTERN);
        break;
    case PARAM_REASON:
        write_text(jw, REASON_MAX);
        break;
    case PARAM_TEXT:
        write_text(jw, OPS_TEXT_MAX);
        break;
    case PARAM_LIST:
        write_type(jw, "array");
        break;
    case PARAM_BYTES:
        write_text(jw, OPS_BYTES_MAX / 3 * 4);
        break;
    }
}

/* ---- schemas of answers ---- */

static void write_field_schema(struct jw *jw, const struct answer_field *field) {
    static const char *const types[] = {
        [FIELD_TEXT] = "string",   [FIELD_INT] = "integer", [FIELD_BOOL] = "boolean",  [FIELD_TIME] = "string",
        [FIELD_NUMBER] = "number", [FIELD_HASH] = "string", [FIELD_OBJECT] = "object",
    };
    jw_object(jw, field->name);
    if (field->type == FIELD_REF) {
        write_ref_schema(jw, field->of);
    } else if (field->type == FIELD_LIST) {
        write_type(jw, "array");
        jw_object(jw, "items");
        write_ref_schema(jw, field->of);
        jw_end_object(jw);
    } else if (field->type == FIELD_TEXTS) {
        write_items(jw, "string");
    } else if (field->type != FIELD_ANY) {
        write_type(jw, types[field->type]);
    }
    if (field->type == FIELD_TIME) jw_text(jw, "format", "date-time");
    if (field->type == FIELD_HASH) jw_text(jw, "pattern", "^sha256:[0-9a-f]{64}$");
    jw_text(jw, "description", field->doc);
    jw_end_object(jw);
}

static void write_schema(struct jw *jw, const struct answer_schema *schema) {
    size_t count;
    const struct answer_field *fields = answer_fields(&count);
    jw_object(jw, schema->name);
    write_type(jw, "object");
    jw_text(jw, "description", schema->doc);
    jw_object(jw, "properties");
    for (size_t i = 0; i < count; i++)
        if (!strcmp(fields[i].schema, schema->name)) write_field_schema(jw, &fields[i]);
    jw_end_object(jw);
    jw_array(jw, "required");
    for (size_t i = 0; i < count; i++)
        if (!strcmp(fields[i].schema, schema->name) && fields[i].required) jw_text(jw, NULL, fields[i].name);
    jw_end_array(jw);
    jw_bool(jw, "additionalProperties", false);
    jw_end_object(jw);
}

/* The one shape of a request that is no plain type. */
static void write_move_schema(struct jw *jw) {
    static const struct op_param version = {.type = PARAM_VERSION}, agent = {.type = PARAM_NAME},
                                 expected = {.type = PARAM_NUMBER};
    jw_object(jw, "move");
    jw_text(jw, "description", "One ref that a release moves");
    write_type(jw, "object");
    jw_object(jw, "properties");
    jw_object(jw, "agent");
    write_param_schema(jw, &agent);
    jw_end_object(jw);
    jw_object(jw, "version");
    write_param_schema(jw, &version);
    jw_end_object(jw);
    jw_object(jw, "expected");
    write_param_schema(jw, &expected);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_array(jw, "required");
    jw_text(jw, NULL, "agent");
    jw_text(jw, NULL, "version");
    jw_end_array(jw);
    jw_bool(jw, "additionalProperties", false);
    jw_end_object(jw);
}

static void write_components(struct jw *jw) {
    size_t count;
    const struct answer_schema *schemas = answer_schemas(&count);
    jw_object(jw, "components");
    jw_object(jw, "schemas");
    for (size_t i = 0; i < count; i++)
        write_schema(jw, &schemas[i]);
    write_move_schema(jw);
    jw_end_object(jw);
    jw_object(jw, "securitySchemes");
    jw_object(jw, "key");
    jw_text(jw, "type", "http");
    jw_text(jw, "scheme", "bearer");
    jw_end_object(jw);
    jw_object(jw, "apiKey");
    jw_text(jw, "type", "apiKey");
    jw_text(jw, "in", "header");
    jw_text(jw, "name", "X-API-Key");
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
}

/* ---- operations ---- */

static void write_parameter(struct jw *jw, const char *name, const char *in, bool required, const char *doc,
                            const struct op_param *param) {
    jw_object(jw, NULL);
    jw_text(jw, "name", name);
    jw_text(jw, "in", in);
    if (required) jw_bool(jw, "required", true);
    jw_text(jw, "description", doc);
    jw_object(jw, "schema");
    write_param_schema(jw, param);
    jw_end_object(jw);
    jw_end_object(jw);
}

/* attr.* has no exact form in OpenAPI: a free-form object whose members become arguments comes nearest. */
static bool is_pattern(const struct op_param *param) {
    return strchr(param->name, '*') != NULL;
}

static void write_parameters(struct jw *jw, const struct op *op) {
    static const struct op_param flag = {.type = PARAM_BOOL}, text = {.type = PARAM_TEXT},
                                 position = {.type = PARAM_POSITION};
    size_t count;
    const struct op_param *params = op_params(op, &count);
    jw_array(jw, "parameters");
    for (size_t i = 0; i < count; i++) {
        if (params[i].where == PARAM_BODY || is_pattern(&params[i])) continue;
        write_parameter(jw, params[i].name, params[i].where == PARAM_PATH ? "path" : "query", params[i].required,
                        params[i].doc, &params[i]);
    }
    if (op->kind == OP_CHANGE) {
        write_parameter(jw, "dry_run", "query", false, "Check only; write nothing", &flag);
        write_parameter(jw, "Idempotency-Key", "header", false,
                        "A repeat of the request within 24 hours gets the same answer and changes nothing", &text);
    }
    write_parameter(jw, "Serin-After", "header", false, "Answer from this position or a later one (epoch.seq)",
                    &position);
    jw_end_array(jw);
}

static size_t count_body_params(const struct op *op, bool required) {
    size_t count, found = 0;
    const struct op_param *params = op_params(op, &count);
    for (size_t i = 0; i < count; i++)
        if (params[i].where == PARAM_BODY && (params[i].required || !required)) found++;
    return found;
}

static void write_body_properties(struct jw *jw, const struct op_param *params, size_t count) {
    bool open = false; /* OTLP has receivers pass over what they do not know */
    jw_object(jw, "properties");
    for (size_t i = 0; i < count; i++) {
        if (params[i].where != PARAM_BODY) continue;
        open |= params[i].type == PARAM_SPANS;
        jw_object(jw, params[i].name);
        write_param_schema(jw, &params[i]);
        jw_text(jw, "description", params[i].doc);
        jw_end_object(jw);
    }
    jw_end_object(jw);
    jw_array(jw, "required");
    for (size_t i = 0; i < count; i++)
        if (params[i].where == PARAM_BODY && params[i].required) jw_text(jw, NULL, params[i].name);
    jw_end_array(jw);
    jw_bool(jw, "additionalProperties", open);
}

static void write_request_body(struct jw *jw, const struct op *op) {
    if (count_body_params(op, false) == 0) return;
    size_t count;
    const struct op_param *params = op_params(op, &count);
    jw_object(jw, "requestBody");
    if (count_body_params(op, true) > 0) jw_bool(jw, "required", true);
    jw_object(jw, "content");
    jw_object(jw, "application/json");
    jw_object(jw, "schema");
    write_type(jw, "object");
    write_body_properties(jw, params, count);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
}

void openapi_response(struct jw *jw, const char *status, const char *description, const char *media,
                      const char *schema) {
    jw_object(jw, status);
    jw_text(jw, "description", description);
    jw_object(jw, "content");
    jw_object(jw, media);
    jw_object(jw, "schema");
    write_ref_schema(jw, schema);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
}

static bool has_tag(const struct op *op) {
    return op->id == OP_resolve_get || op->id == OP_snapshot;
}

static void write_responses(struct jw *jw, const struct op *op) {
    char status[8];
    snprintf(status, sizeof(status), "%d", op->status);
    const char *media = op->kind == OP_STREAM ? "text/event-stream" : "application/json";
    jw_object(jw, "responses");
    openapi_response(jw, status, op->status == 201 ? "Done" : "The answer", media, op->answer);
    if (op->status == 201) openapi_response(jw, "200", "Nothing changed, or a dry run", media, op->answer);
    if (has_tag(op)) {
        jw_object(jw, "304");
        jw_text(jw, "description", "Not changed since If-None-Match");
        jw_end_object(jw);
    }
    openapi_response(jw, "default", "An error", "application/problem+json", "problem");
    jw_end_object(jw);
}

static void write_operation(struct jw *jw, const struct op *op) {
    static const char *const kinds[] = {"memory", "read", "change", "stream", "intake"};
    static const char *const methods[] = {"get", "put", "post", "delete"};
    jw_object(jw, methods[op->method]);
    jw_text(jw, "operationId", op->name);
    jw_text(jw, "summary", op->summary);
    jw_text(jw, "description", op->description);
    jw_text(jw, "x-serin-role", role_name(op->role));
    jw_text(jw, "x-serin-kind", kinds[op->kind]);
    jw_text(jw, "x-serin-scope", op->scope == OP_ANY ? "any" : "all_environments");
    write_parameters(jw, op);
    write_request_body(jw, op);
    write_responses(jw, op);
    jw_end_object(jw);
}

/* Each path once, with all its methods; it is written where it stands first in the table. */
static void write_paths(struct jw *jw) {
    jw_object(jw, "paths");
    for (enum op_id id = 0; id < OP_COUNT_; id++) {
        bool first = true;
        for (enum op_id before = 0; before < id; before++)
            first &= strcmp(op_get(before)->path, op_get(id)->path) != 0;
        if (!first || op_get(id)->scope == OP_ROBOT) continue;
        char path[128];
        snprintf(path, sizeof(path), "/v1%s", op_get(id)->path);
        jw_object(jw, path);
        for (enum op_id same = id; same < OP_COUNT_; same++)
            if (!strcmp(op_get(same)->path, op_get(id)->path)) write_operation(jw, op_get(same));
        jw_end_object(jw);
    }
    openapi_ofrep(jw);
    jw_end_object(jw);
}

static void write_security(struct jw *jw) {
    jw_array(jw, "security");
    jw_object(jw, NULL);
    jw_array(jw, "key");
    jw_end_array(jw);
    jw_end_object(jw);
    jw_object(jw, NULL);
    jw_array(jw, "apiKey");
    jw_end_array(jw);
    jw_end_object(jw);
    jw_end_array(jw);
}

void api_openapi(struct str *out) {
    struct jw writer = JW_INIT(out), *jw = &writer;
    jw_object(jw, NULL);
    jw_text(jw, "openapi", "3.1.0");
    jw_object(jw, "info");
    jw_text(jw, "title", "Serin");
    jw_text(jw, "version", SERIN_VERSION);
    jw_text(jw, "description", "The release engine for AI agents.");
    jw_object(jw, "license");
    jw_text(jw, "name", "Apache-2.0");
    jw_text(jw, "identifier", "Apache-2.0");
    jw_end_object(jw);
    jw_end_object(jw);
    write_security(jw);
    write_paths(jw);
    write_components(jw);
    jw_end_object(jw);
}
