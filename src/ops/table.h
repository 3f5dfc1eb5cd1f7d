/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations as data: ops.def and answers.def behind typed getters. Everybody who needs to know what operations exist
 * (router, permissions, OpenAPI, command line, docs) asks here. Constant; any thread.
 */
#ifndef SERIN_OPS_TABLE_H
#define SERIN_OPS_TABLE_H

#include "model/nouns.h"

#include <stdbool.h>
#include <stddef.h>

enum op_id {
#define OP(id, ...) OP_##id,
#define PARAM(...)
#include "ops/ops.def"
#undef OP
#undef PARAM
    OP_COUNT_
};

enum op_method { OP_GET, OP_PUT, OP_POST, OP_DELETE };
enum op_kind { OP_MEMORY, OP_READ, OP_CHANGE, OP_STREAM, OP_INTAKE };
/* OP_ROBOT: no way in from outside, only ops_call() by a principal that is a robot. */
enum op_scope { OP_ANY, OP_ALL_ENVIRONMENTS, OP_ROBOT };
enum param_where { PARAM_PATH, PARAM_QUERY, PARAM_BODY };
enum param_type {
    PARAM_TEXT,     /* text, at most 512 bytes */
    PARAM_REASON,   /* text, at most REASON_MAX bytes */
    PARAM_NAME,     /* a name (model/names.h) */
    PARAM_FLAG,     /* a flag's key (flags/flags.h) */
    PARAM_NUMBER,   /* whole number >= 0 */
    PARAM_LIMIT,    /* 1 … 1000 */
    PARAM_BOOL,     /* true, false; in a query also 1, 0 */
    PARAM_VERSION,  /* whole number, or what version_ref_parse() reads */
    PARAM_OBJECT,   /* a JSON object */
    PARAM_KEYS,     /* list of 1 … 10000 targeting keys */
    PARAM_MOVES,    /* list of {agent, version, expected?} */
    PARAM_MOMENT,   /* RFC 3339 time or position */
    PARAM_POSITION, /* epoch.seq */
    PARAM_ROLE,     /* name of a role */
    PARAM_NAMES,    /* one name or a list of names */
    PARAM_UUID,     /* lower-case UUID */
    PARAM_LIST,     /* a JSON array */
    PARAM_BYTES,    /* base64 text of at most OPS_BYTES_MAX bytes */
    PARAM_OUTCOMES, /* list of outcomes (intake/fields.def) */
    PARAM_SPANS,    /* list of OTLP's ResourceSpans */
    PARAM_EVENTS,   /* list of events of rollouts (model/events.def) */
    PARAM_LABEL,    /* 1 … OPS_LABEL_MAX visible ASCII characters */
};

struct op_param {
    enum op_id op;
    const char *name; /* "attr.*" stands for any name with that start */
    enum param_where where;
    enum param_type type;
    bool required;
    const char *doc;
};

struct op {
    enum op_id id;
    const char *name; /* "version_push" */
    enum op_method method;
    const char *path; /* "/agents/{agent}/versions", under /v1 */
    enum role role;
    enum op_kind kind;
    enum op_scope scope;
    int status;
    const char *answer; /* schema */
    const char *summary, *description;
};

const struct op *op_get(enum op_id id);
const struct op *op_by_name(const char *name); /* or NULL */
const char *op_method_name(enum op_method method);
/* Its parameters, in the order of the table. */
const struct op_param *op_params(const struct op *op, size_t *ret_count);
/* The parameter that takes `name` (attr.plan is taken by attr.*), or NULL. */
const struct op_param *op_param(const struct op *op, const char *name);
const char *param_type_name(enum param_type type);

enum field_type {
    FIELD_TEXT,
    FIELD_INT,
    FIELD_NUMBER,
    FIELD_BOOL,
    FIELD_TIME,
    FIELD_HASH,
    FIELD_OBJECT,
    FIELD_TEXTS,
    FIELD_ANY,
    FIELD_REF,
    FIELD_LIST
};
struct answer_field {
    const char *schema, *name;
    enum field_type type;
    const char *of; /* schema of REF and LIST */
    bool required;
    const char *doc;
};
struct answer_schema {
    const char *name, *doc;
};
const struct answer_schema *answer_schemas(size_t *ret_count);
/* All fields, those of a schema side by side, in order. */
const struct answer_field *answer_fields(size_t *ret_count);

#endif
