/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that mirrors the document. Pointers are never stored as text: a document with one long key and many
 * values below it would cost the key once for each of them.
 */
#include "model/config.h"
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

void source_map_fail(struct source_map *map) {
    map->failed = true;
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

/* ---- finding: nothing is copied, tokens are compared as they stand in the pointer ---- */

/* Takes the next token off a pointer. False when there is none. */
static bool next_token(const char **pointer, struct slice *ret) {
    const char *start = *pointer + 1;
    size_t len;

    if (**pointer != '/') return false;
    len = strcspn(start, "/");
    *ret = (struct slice){start, len};
    *pointer = start + len;
    return true;
}

/* In a pointer ~1 stands for / and ~0 for ~. */
static bool token_is(struct slice token, const char *key) {
    size_t i = 0;

    for (; i < token.len && *key; key++) {
        bool escape = token.ptr[i] == '~' && i + 1 < token.len && (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1');
        char c = !escape ? token.ptr[i] : token.ptr[i + 1] == '1' ? '/' : '~';
        if (c != *key) return false;
        i += escape ? 2 : 1;
    }
    return i == token.len && *key == '\0';
}

static bool token_index(struct slice token, size_t *ret) {
    size_t index = 0;

    if (token.len == 0 || token.len > 9) return false;
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < '0' || token.ptr[i] > '9') return false;
        index = index * 10 + (size_t)(token.ptr[i] - '0');
    }
    *ret = index;
    return true;
}

static const struct source_node *child(const struct source_node *parent, struct slice token) {
    size_t index = 0;
    bool is_index = token_index(token, &index);

    for (const struct source_node *node = parent ? parent->first : NULL; node; node = node->next) {
        if (node->key ? token_is(token, node->key) : is_index && node->index == index) return node;
    }
    return NULL;
}

static const struct source_node *member(const struct source_node *parent, const char *key) {
    return child(parent, slice_of(key));
}

static bool is_parameter(struct slice name) {
    for (const char *const *each = config_parameter_names; *each; each++) {
        if (slice_equal_text(name, *each)) return true;
    }
    return false;
}

/* Where config_normalise() took a member from, which is not where it is now. NULL when it has not moved. `after` is the
 * rest of the pointer. */
static const struct source_node *moved(const struct source_node *root, const struct source_node *parent,
                                       struct slice token, const char *after) {
    struct slice next;

    if (parent == root && slice_equal_text(token, "system_prompt")) return member(root, "instructions");
    if (parent == root && slice_equal_text(token, "parameters")) {
        return next_token(&after, &next) && is_parameter(next) ? root : NULL;
    }
    if (parent == member(root, "parameters") && is_parameter(token)) return child(root, token);
    if (parent == member(root, "mcp_servers")) return child(member(parent, "mcpServers"), token);
    return NULL;
}

bool source_map_find(const struct source_map *map, const char *pointer, const char **ret_file, unsigned *ret_line,
                     unsigned *ret_column) {
    const struct source_node *root = &map->root, *node = root;
    const struct source_spot *spot = root->spot.line ? &root->spot : NULL;
    struct slice token;

    while (node && next_token(&pointer, &token)) {
        const struct source_node *next = child(node, token);
        node = next ? next : moved(root, node, token, pointer);
        if (node && node->spot.line) spot = &node->spot;
    }
    if (!spot) return false;
    *ret_file = spot->file;
    *ret_line = spot->line;
    *ret_column = spot->column;
    return true;
}
