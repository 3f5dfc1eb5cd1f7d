/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a schema: the text is parsed, every keyword in it is looked at once, references are resolved
 * once, and patterns are compiled. What passes here cannot fail for a reason of its own while values are checked
 * (schema_check.c), but for memory and for a pattern that would take too long.
 */
#include "model/model_impl.h"

#include <string.h>

enum shape { SHAPE_ANY, SHAPE_SCHEMA, SHAPE_SCHEMAS, SHAPE_MAP, SHAPE_PATTERN_MAP, SHAPE_REF, SHAPE_PATTERN };

static const struct keyword {
    const char *name;
    enum shape shape;
} keywords[] = {
    {"$schema", SHAPE_ANY},
    {"$id", SHAPE_ANY},
    {"title", SHAPE_ANY},
    {"description", SHAPE_ANY},
    {"default", SHAPE_ANY},
    {"type", SHAPE_ANY},
    {"const", SHAPE_ANY},
    {"enum", SHAPE_ANY},
    {"minLength", SHAPE_ANY},
    {"maxLength", SHAPE_ANY},
    {"pattern", SHAPE_PATTERN},
    {"minimum", SHAPE_ANY},
    {"maximum", SHAPE_ANY},
    {"exclusiveMinimum", SHAPE_ANY},
    {"items", SHAPE_SCHEMA},
    {"minItems", SHAPE_ANY},
    {"maxItems", SHAPE_ANY},
    {"uniqueItems", SHAPE_ANY},
    {"properties", SHAPE_MAP},
    {"patternProperties", SHAPE_PATTERN_MAP},
    {"additionalProperties", SHAPE_SCHEMA},
    {"propertyNames", SHAPE_SCHEMA},
    {"required", SHAPE_ANY},
    {"maxProperties", SHAPE_ANY},
    {"oneOf", SHAPE_SCHEMAS},
    {"not", SHAPE_SCHEMA},
    {"$ref", SHAPE_REF},
    {"$defs", SHAPE_MAP},
};

struct reader {
    struct schema *schema;
    struct err *err;
};

static int read_schema(struct reader *reader, const json_t *node);

static int refuse(struct reader *reader, const char *what, const char *name) {
    return err_set(reader->err, ERR_INTERNAL, "in a schema: %s %s", what, name ? name : "(not a text)");
}

static int read_map(struct reader *reader, const json_t *map) {
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value) {
        int r = read_schema(reader, value);
        if (r < 0) return r;
    }
    return 0;
}

static int read_list(struct reader *reader, const json_t *list) {
    size_t i;
    json_t *value;

    json_array_foreach(list, i, value) {
        int r = read_schema(reader, value);
        if (r < 0) return r;
    }
    return 0;
}

/* ECMAScript's $ is the very end, as with PCRE2_DOLLAR_ENDONLY. */
static int read_pattern(struct reader *reader, const char *text) {
    struct schema *schema = reader->schema;
    int code;
    PCRE2_SIZE offset;

    if (!text) return refuse(reader, "a pattern is", NULL);
    if (schema_pattern(schema, text)) return 0;
    if (schema->pattern_count == ARRAY_LEN(schema->patterns)) return refuse(reader, "too many patterns at", text);
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (!compiled) return refuse(reader, "a pattern that does not compile:", text);
    schema->patterns[schema->pattern_count++] = (struct schema_pattern){text, compiled};
    return 0;
}

static int read_pattern_map(struct reader *reader, const json_t *map) {
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value) {
        int r = read_pattern(reader, key);
        if (r < 0) return r;
    }
    return read_map(reader, map);
}

#define REF_START "#/$defs/"

/* Names of definitions are plain words, so nothing in a reference needs to be unescaped. */
static const json_t *definition(const struct schema *schema, const char *ref) {
    return json_get(json_get(schema->root, "$defs"), ref + strlen(REF_START));
}

static int read_ref(struct reader *reader, const char *ref) {
    if (!ref || strncmp(ref, REF_START, strlen(REF_START)) != 0) return refuse(reader, "$ref", ref);
    if (!definition(reader->schema, ref)) return refuse(reader, "nothing at $ref", ref);
    return 0;
}

static int read_keyword(struct reader *reader, const struct keyword *keyword, const json_t *value) {
    switch (keyword->shape) {
    case SHAPE_SCHEMA:
        return read_schema(reader, value);
    case SHAPE_SCHEMAS:
        return read_list(reader, value);
    case SHAPE_MAP:
        return read_map(reader, value);
    case SHAPE_PATTERN_MAP:
        return read_pattern_map(reader, value);
    case SHAPE_REF:
        return read_ref(reader, json_string_value(value));
    case SHAPE_PATTERN:
        return read_pattern(reader, json_string_value(value));
    case SHAPE_ANY:
        break;
    }
    return 0;
}

static const struct keyword *find_keyword(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        if (strcmp(keywords[i].name, name) == 0) return &keywords[i];
    }
    return NULL;
}

static int read_schema(struct reader *reader, const json_t *node) {
    const char *key;
    json_t *value;

    if (json_is_boolean(node)) return 0;
    if (!json_is_object(node)) return refuse(reader, "what should be a schema is", "neither an object nor a boolean");
    json_object_foreach((json_t *)node, key, value) {
        const struct keyword *keyword = find_keyword(key);
        if (!keyword) return refuse(reader, "unknown keyword", key);
        int r = read_keyword(reader, keyword, value);
        if (r < 0) return r;
    }
    return 0;
}

int schema_new(struct slice text, struct schema **ret, struct err *err) {
    _cleanup_(schema_freep) struct schema *schema = calloc(1, sizeof(*schema));
    struct reader reader = {schema, err};

    if (!schema) return err_no_memory(err);
    int r = json_parse(text.ptr, text.len, JSON_DEPTH_MAX, &schema->root, err);
    if (r == -ERR_NO_MEMORY) return r;
    if (r < 0) return refuse(&reader, "the text is", "malformed JSON");
    r = read_schema(&reader, schema->root);
    if (r < 0) return r;
    *ret = TAKE_PTR(schema);
    return 0;
}

struct schema *schema_free(struct schema *schema) {
    if (!schema) return NULL;
    for (size_t i = 0; i < schema->pattern_count; i++) {
        pcre2_code_free(schema->patterns[i].code);
    }
    json_decref(schema->root);
    free(schema);
    return NULL;
}

const pcre2_code *schema_pattern(const struct schema *schema, const char *text) {
    for (size_t i = 0; i < schema->pattern_count; i++) {
        if (strcmp(schema->patterns[i].text, text) == 0) return schema->patterns[i].code;
    }
    return NULL;
}

const json_t *schema_resolve(const struct schema *schema, const json_t *node) {
    const char *ref = json_get_text(node, "$ref");
    return ref ? definition(schema, ref) : node;
}
