/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that mirrors the document. Pointers are never stored as text: a document with one long key and many
 * values below it would cost the key once for each of them.
 */
#include "model/model_impl.h"

#include <string.h>

struct source_node {
    const char *key; /* NULL: an item */
    size_t index;
    struct source_spot spot;
    struct source_node *first, *last, *next;
};

struct source_map {
    struct arena arena;
    struct source_node root;
    bool failed;
};

struct source_map *source_map_new(void) {
    return calloc(1, sizeof(struct source_map));
}

struct source_map *source_map_free(struct source_map *map) {
    if (!map) return NULL;
    arena_deinit(&map->arena);
    free(map);
    return NULL;
}

bool source_map_failed(const struct source_map *map) {
    return map->failed;
}

struct source_node *source_map_root(struct source_map *map) {
    return &map->root;
}

const char *source_map_keep(struct source_map *map, const char *text) {
    const char *copy = arena_strdup(&map->arena, text);
    if (!copy) map->failed = true;
    return copy;
}

static struct source_node *node_new(struct source_map *map, const char *key, size_t index, struct source_spot spot) {
    struct source_node *node = arena_alloc(&map->arena, sizeof(*node));

    if (node) *node = (struct source_node){.index = index, .spot = spot};
    if (node && key) node->key = source_map_keep(map, key);
    if (!node || (key && !node->key)) map->failed = true;
    return map->failed ? NULL : node;
}

struct source_node *source_node_add(struct source_map *map, struct source_node *parent, const char *key, size_t index,
                                    struct source_spot spot) {
    struct source_node *node = map && parent ? node_new(map, key, index, spot) : NULL;

    if (!node) return NULL;
    if (parent->last) {
        parent->last->next = node;
    } else {
        parent->first = node;
    }
    parent->last = node;
    return node;
}

struct source_node *source_node_find(struct source_node *parent, const char *key, size_t index) {
    for (struct source_node *node = parent ? parent->first : NULL; node; node = node->next) {
        bool same = key ? node->key && strcmp(node->key, key) == 0 : !node->key && node->index == index;
        if (same) return node;
    }
    return NULL;
}

void source_node_expand(struct source_map *map, struct source_node *array, size_t index, size_t count) {
    struct source_node *at = source_node_find(array, NULL, index), *rest;

    if (!at) return;
    rest = at->next;
    for (size_t i = 1; i < count; i++) {
        struct source_node *node = node_new(map, NULL, index + i, at->spot);
        if (!node) return;
        at->next = node;
        at = node;
    }
    at->next = rest;
    if (!rest) array->last = at;
    for (; rest; rest = rest->next) {
        rest->index += count - 1;
    }
}

void source_node_replace(struct source_node *node, struct source_spot spot) {
    if (!node) return;
    node->spot = spot;
    node->first = node->last = NULL;
}

void source_node_rename(struct source_map *map, struct source_node *node, const char *key) {
    if (node) node->key = source_map_keep(map, key);
}

/* ---- finding ---- */

/* Takes the next token off a pointer, with ~1 and ~0 undone. False when there is none. */
static bool next_token(const char **pointer, struct str *ret) {
    const char *p = *pointer;

    if (*p != '/') return false;
    str_clear(ret);
    str_add(ret, "", 0);
    for (p++; *p && *p != '/'; p++) {
        bool escape = p[0] == '~' && (p[1] == '0' || p[1] == '1');
        str_add_char(ret, !escape ? *p : p[1] == '1' ? '/' : '~');
        p += escape;
    }
    *pointer = p;
    return !ret->failed;
}

static struct source_node *child(const struct source_node *parent, const char *token) {
    int64_t index;
    struct source_node *node = source_node_find((struct source_node *)parent, token, 0);

    if (node || !text_to_int(token, 0, INT64_MAX, &index)) return node;
    return source_node_find((struct source_node *)parent, NULL, (size_t)index);
}

static bool is_parameter(const char *name) {
    for (const char *const *each = config_parameter_names; *each; each++) {
        if (strcmp(*each, name) == 0) return true;
    }
    return false;
}

/* Where config_normalise() took a member from. NULL when it has not moved. */
static struct source_node *moved(const struct source_map *map, const struct source_node *parent, const char *token,
                                 const char *after) {
    const struct source_node *root = &map->root;
    struct str next = STR_INIT;
    struct source_node *found = NULL;

    if (parent == root && strcmp(token, "system_prompt") == 0) found = child(root, "instructions");
    if (parent == child(root, "parameters") && is_parameter(token)) found = child(root, token);
    if (parent == root && strcmp(token, "parameters") == 0 && next_token(&after, &next) && is_parameter(next.data)) {
        found = (struct source_node *)root;
    }
    if (parent == child(root, "mcp_servers") && child(parent, "mcpServers")) {
        found = child(child(parent, "mcpServers"), token);
    }
    str_deinit(&next);
    return found;
}

bool source_map_find(const struct source_map *map, const char *pointer, const char **ret_file, unsigned *ret_line,
                     unsigned *ret_column) {
    const struct source_node *node = &map->root;
    struct str token = STR_INIT;
    const struct source_spot *spot = node->spot.line ? &node->spot : NULL;

    while (node && next_token(&pointer, &token)) {
        const struct source_node *next = child(node, token.data);
        node = next ? next : moved(map, node, token.data, pointer);
        if (node && node->spot.line) spot = &node->spot;
    }
    str_deinit(&token);
    if (!spot) return false;
    *ret_file = spot->file;
    *ret_line = spot->line;
    *ret_column = spot->column;
    return true;
}
