/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of model share: words for messages, and the small readers that
 * config_validate() and source_read() are made of.
 */
#ifndef SERIN_MODEL_IMPL_H
#define SERIN_MODEL_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/json.h"
#include "base/suggest.h"
#include "model/members.h"
#include "model/schema.h"
#include "model/show.h"
#include "model/source.h"

#include <pcre2.h>

/* ---- words for messages ---- */

/* What kind of secret the text holds ("an OpenAI API key"), or NULL. */
const char *secret_kind(struct slice text);

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
/* Append: the value in short; "a string or an object" of a `type`; the texts and numbers of an `enum`; "; did you
 * mean …?" or nothing; the known key that was meant, or all of them when they are few. */
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

/* Bytes that were read, ready for a parser: UTF-8 without a byte order mark. */
struct source_text {
    struct slice bytes;
    const char *file;     /* for errors; may be NULL */
    unsigned line_offset; /* lines of the file before these bytes */
};
/* INVALID_UTF8 and TOO_LARGE with the place. */
int source_text_open(struct slice raw, const char *file, struct source_text *ret, struct err *err) MUST_CHECK;
/* Puts the text's file, and the line within that file, into an error of a parser. */
int source_text_err(const struct source_text *text, int r, unsigned line, unsigned column, struct err *err);

/* One value in a source map. Places are added while a document is read, in order; nothing is looked up then. */
struct source_node;
struct source_spot {
    const char *file; /* lives as long as the map: source_map_keep() */
    unsigned line, column;
};
struct source_node *source_map_root(struct source_map *map);
const char *source_map_keep(struct source_map *map, const char *text); /* a copy, or NULL without memory */
/* A new last child; `key` NULL for the item `index`. NULL map or parent: nothing is done, NULL is answered. */
struct source_node *source_node_add(struct source_map *map, struct source_node *parent, const char *key, size_t index,
                                    struct source_spot spot);
struct source_node *source_node_find(struct source_node *parent, const char *key, size_t index);
/* Puts `count` items (1 or more) where one was, at its spot; the later ones move up. */
void source_node_expand(struct source_map *map, struct source_node *array, size_t index, size_t count);
/* The node now stands for another value: its place changes, what was below it is forgotten. */
void source_node_replace(struct source_node *node, struct source_spot spot);
void source_node_rename(struct source_map *map, struct source_node *node, const char *key); /* NULL node: nothing */
void source_map_fail(struct source_map *map);         /* a place could not be added */
bool source_map_failed(const struct source_map *map); /* memory ran out while adding */

/* Where a parser puts the places that it finds. All zero: nowhere. */
struct source_target {
    struct source_map *map;
    struct source_node *node;
    const char *file; /* kept by the map */
};
int source_yaml(const struct source_text *text, const struct source_target *target, json_t **ret,
                struct err *err) MUST_CHECK;
int source_json(const struct source_text *text, const struct source_target *target, json_t **ret,
                struct err *err) MUST_CHECK;

/* Replaces the {file: …} of a document. `folder` is where its paths begin: "" or "agents/support". */
int source_inline(const struct source_reader *reader, const char *folder, json_t *config, struct source_map *map,
                  struct faults *faults, struct err *err) MUST_CHECK;

/* What is wrong with a path inside a source ("leads outside the folder"), or NULL. */
const char *source_path_fault(const char *path);

#endif
