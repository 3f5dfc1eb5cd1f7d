/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of model share: words for messages, places in a document, and the small readers that
 * config_validate() and source_read() are made of.
 */
#ifndef SERIN_MODEL_IMPL_H
#define SERIN_MODEL_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/json.h"
#include "model/schema.h"
#include "model/show.h"
#include "model/source.h"

#include <pcre2.h>

/* ---- words for messages ---- */

/* What kind of secret the text holds ("an OpenAI API key"), or NULL. */
const char *secret_kind(struct slice text);

/* The candidate nearest to a word that was probably mistyped. Letter case and - _ count as equal. */
struct nearest {
    const char *word;
    const char *best; /* borrowed from the candidates */
    size_t distance;
};
void nearest_init(struct nearest *nearest, const char *word);
void nearest_offer(struct nearest *nearest, const char *candidate);
const char *nearest_found(const struct nearest *nearest); /* NULL when none is near enough to be meant */

/* ---- places ---- */

/* The way from the top of a document to a value, on the stack of a walk. */
struct place {
    const struct place *parent;
    const char *key; /* NULL: `index` counts; at the top: the JSON pointer where the walk began, or NULL */
    size_t index;
};
/* Appends the JSON pointer. It ends early, at a parent, where it would be longer than 1 KiB or would show a secret. */
void place_pointer(const struct place *place, struct str *out);
struct fault *place_fault(struct faults *faults, const struct place *place, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct fault *place_warn(struct faults *faults, const struct place *place, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- schema ---- */

#define SCHEMA_PATTERNS_MAX 32

struct schema {
    json_t *root;
    struct schema_pattern {
        const char *text; /* borrowed from root */
        pcre2_code *code;
    } patterns[SCHEMA_PATTERNS_MAX];
    size_t pattern_count;
};
/* The compiled form of a pattern that stands in the schema, or NULL. */
const pcre2_code *schema_pattern(const struct schema *schema, const char *text);
/* Append: the value in short; "a string or an object" of a `type`; the texts and numbers of an `enum`; "; did you mean …?" or
 * nothing; the known key that was meant, or all of them when they are few. */
void words_add_value(struct str *out, const json_t *value);
void words_add_types(struct str *out, const json_t *types);
void words_add_choices(struct str *out, const json_t *choices);
void words_add_nearest_choice(struct str *out, const json_t *choices, const json_t *found);
void words_add_keys(struct str *out, const json_t *properties, const char *wrong);
/* What a node's $ref leads to, or the node itself. */
const json_t *schema_resolve(const struct schema *schema, const json_t *node);

/* ---- configuration ---- */

extern const char agent_schema_json[]; /* spec/agent.schema.json */
extern const size_t agent_schema_json_len;

/* The members of `parameters`, which are also taken at the top level; ended by NULL. */
extern const char *const config_parameter_names[];

/* The name under which a tool is known to the model: its text, `name`, else `agent`; NULL for an MCP server
 * and for what is no tool. */
const char *tool_name(const json_t *tool);

/* Checks the mustache tags of one text. */
struct template_check {
    const json_t *inputs; /* the configuration's `inputs`, NULL when anything may be named */
    json_t *used;         /* object: names of inputs that were used are added; may be NULL */
    struct faults *faults;
};
/* 0 or NO_MEMORY. */
int template_check(struct template_check *check, struct slice text, const struct place *place) MUST_CHECK;

/* Warnings: model names that do not stay the same, and parameters that the model's provider refuses. */
void config_warn_models(const json_t *config, struct faults *faults);

/* Names of tools, MCP servers that must exist, tool_choice. 0 or NO_MEMORY. */
int config_check_tools(const json_t *config, struct faults *faults) MUST_CHECK;

/* ---- source ---- */

struct source_text {
    struct slice bytes;   /* UTF-8 without NUL */
    unsigned line_offset; /* lines of the file before these bytes */
};

struct source_node; /* one value in a source map */
struct source_node *source_map_root(struct source_map *map);
/* The child of that name, made when it is new. NULL when memory is out. `key` NULL: the item `index`. */
struct source_node *source_node_child(struct source_map *map, struct source_node *parent, const char *key,
                                      size_t index);
void source_node_place(struct source_node *node, const char *file, unsigned line, unsigned column);
/* The node at the pointer, made (with its parents) when it is new. */
struct source_node *source_map_node(struct source_map *map, const char *pointer);
/* Forgets what is known below the node. */
void source_node_clear(struct source_node *node);
const char *source_map_file(struct source_map *map, const char *file); /* a copy that lives as long as the map */

struct source_target {
    struct source_map *map; /* may be NULL */
    struct source_node *node;
    const char *file; /* lives as long as the map */
};
int source_yaml(const struct source_text *text, const struct source_target *target, json_t **ret,
                struct err *err) MUST_CHECK;
int source_json(const struct source_text *text, const struct source_target *target, json_t **ret,
                struct err *err) MUST_CHECK;

/* What is wrong with a path inside a source ("leads outside the folder"), or NULL. */
const char *source_path_fault(const char *path);

#endif
