/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/table.h"

#include <string.h>

/* clang-format off */
static const struct op table[] = {
#define OP(id, method, path, role, kind, scope, status, answer, summary, description) \
    {OP_##id, #id, OP_##method, path, ROLE_##role, OP_##kind, OP_##scope, status, #answer, summary, description},
#define PARAM(...)
#include "ops/ops.def"
#undef OP
#undef PARAM
};

static const struct op_param params[] = {
#define OP(...)
#define PARAM(op, name, where, type, required, doc) {OP_##op, name, PARAM_##where, PARAM_##type, required, doc},
#include "ops/ops.def"
#undef OP
#undef PARAM
};

static const struct answer_schema schemas[] = {
#define SCHEMA(name, doc) {#name, doc},
#define FIELD(...)
#include "ops/answers.def"
#undef SCHEMA
#undef FIELD
};

static const struct answer_field fields[] = {
#define SCHEMA(...)
#define FIELD(schema, name, type, of, required, doc) {#schema, name, FIELD_##type, #of, required, doc},
#include "ops/answers.def"
#undef SCHEMA
#undef FIELD
};
/* clang-format on */

const struct op *op_get(enum op_id id) {
    return &table[id];
}

const struct op *op_by_name(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (!strcmp(table[i].name, name)) return &table[i];
    return NULL;
}

const char *op_method_name(enum op_method method) {
    static const char *const names[] = {"GET", "PUT", "POST", "DELETE"};
    return names[method];
}

const struct op_param *op_params(const struct op *op, size_t *ret_count) {
    size_t first = 0;
    while (first < ARRAY_LEN(params) && params[first].op != op->id)
        first++;
    size_t end = first;
    while (end < ARRAY_LEN(params) && params[end].op == op->id)
        end++;
    *ret_count = end - first;
    return params + first;
}

/* "attr.*" takes every name that begins with "attr.". */
static bool param_takes(const struct op_param *param, const char *name) {
    size_t len = strlen(param->name);
    if (len > 1 && param->name[len - 1] == '*') return !strncmp(param->name, name, len - 1) && name[len - 1];
    return !strcmp(param->name, name);
}

const struct op_param *op_param(const struct op *op, const char *name) {
    size_t count;
    const struct op_param *list = op_params(op, &count);
    for (size_t i = 0; i < count; i++)
        if (param_takes(&list[i], name)) return &list[i];
    return NULL;
}

const char *param_type_name(enum param_type type) {
    static const char *const names[] = {
        [PARAM_TEXT] = "text",
        [PARAM_REASON] = "text",
        [PARAM_NAME] = "a name",
        [PARAM_NUMBER] = "a whole number",
        [PARAM_LIMIT] = "a whole number from 1 to 1000",
        [PARAM_BOOL] = "true or false",
        [PARAM_VERSION] = "a version",
        [PARAM_OBJECT] = "an object",
        [PARAM_KEYS] = "a list of texts",
        [PARAM_MOVES] = "a list of moves",
        [PARAM_MOMENT] = "a time (RFC 3339) or a position (epoch.seq)",
        [PARAM_POSITION] = "a position (epoch.seq)",
        [PARAM_ROLE] = "a role",
        [PARAM_NAMES] = "a name or a list of names",
        [PARAM_UUID] = "an id (UUID)",
        [PARAM_LIST] = "a list",
        [PARAM_BYTES] = "base64",
        [PARAM_OUTCOMES] = "a list of outcomes",
        [PARAM_SPANS] = "a list of resources with their spans",
        [PARAM_EVENTS] = "a list of events",
        [PARAM_FLAG] = "a flag's key: 1 to 128 letters, digits, . _ and -, a letter or digit first, not \"agent.…\"",
        [PARAM_LABEL] = "1 to 64 visible characters",
    };
    return names[type];
}

const struct answer_schema *answer_schemas(size_t *ret_count) {
    *ret_count = ARRAY_LEN(schemas);
    return schemas;
}

const struct answer_field *answer_fields(size_t *ret_count) {
    *ret_count = ARRAY_LEN(fields);
    return fields;
}
