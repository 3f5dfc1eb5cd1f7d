/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing a configuration. spec/hashes.md says the same in words for others; spec/vectors/config_hash.json
 * holds examples that both are checked against.
 */
#include "model/config.h"
#include "model/model_impl.h"

#include <string.h>

/* Members that say something about a configuration and change nothing in what the agent does. */
static bool changes_behaviour(const char *key) {
    static const char *const not_counted[] = {"description", "display_name", "metadata", "$schema"};

    if (strncmp(key, "x-", 2) == 0) return false;
    for (size_t i = 0; i < ARRAY_LEN(not_counted); i++) {
        if (strcmp(key, not_counted[i]) == 0) return false;
    }
    return true;
}

struct sortable {
    const char *name;
    char *text; /* canonical, owned */
    json_t *tool;
};

static int compare_tools(const void *left, const void *right) {
    const struct sortable *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : strcmp(a->text, b->text);
}

static int fill(struct sortable *item, json_t *tool, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    const char *name = tool_name(tool);
    int r;

    if (!name) name = json_get_text(tool, "server");
    r = json_canonical(tool, &text, err);
    if (r < 0) return r;
    item->name = name ? name : "";
    item->tool = tool;
    item->text = str_take(&text);
    return item->text ? 0 : err_no_memory(err);
}

static int sort_into(const json_t *tools, struct sortable *items, json_t *sorted, struct err *err) {
    size_t count = json_array_size(tools);

    for (size_t i = 0; i < count; i++) {
        int r = fill(&items[i], json_array_get(tools, i), err);
        if (r < 0) return r;
    }
    qsort(items, count, sizeof(*items), compare_tools);
    for (size_t i = 0; i < count; i++) {
        if (json_array_append(sorted, items[i].tool) < 0) return err_no_memory(err);
    }
    return 0;
}

static int sorted_tools(const json_t *tools, json_t **ret, struct err *err) {
    size_t count = json_array_size(tools);
    _cleanup_(freep) struct sortable *items = calloc(count + 1, sizeof(*items));
    _cleanup_(json_decrefp) json_t *sorted = json_array();
    int r;

    if (!items || !sorted) return err_no_memory(err);
    r = sort_into(tools, items, sorted, err);
    for (size_t i = 0; i < count; i++) {
        free(items[i].text);
    }
    if (r < 0) return r;
    *ret = TAKE_PTR(sorted);
    return 0;
}

/* What config_hash is taken over. */
static int behaviour(const json_t *config, json_t **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *kept = json_object();
    const char *key;
    json_t *member;

    json_object_foreach((json_t *)config, key, member) {
        if (changes_behaviour(key) && json_object_set(kept, key, member) < 0) return err_no_memory(err);
    }
    if (json_is_array(json_get(kept, "tools"))) {
        json_t *tools = NULL;
        int r = sorted_tools(json_get(kept, "tools"), &tools, err);
        if (r < 0) return r;
        if (json_object_set_new(kept, "tools", tools) < 0) return err_no_memory(err);
    }
    *ret = TAKE_PTR(kept);
    return 0;
}

static int hash(const struct str *text, struct sha256 *ret, struct err *err) {
    int r = sha256_bytes(text->data, text->len, ret);
    return r < 0 ? err_set(err, ERR_INTERNAL, "SHA-256 of a configuration failed") : 0;
}

static int hash_behaviour(const json_t *config, struct sha256 *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *kept = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    int r;

    r = behaviour(config, &kept, err);
    if (r < 0) return r;
    r = json_canonical(kept, &text, err);
    if (r < 0) return r;
    return hash(&text, ret, err);
}

int config_seal(const json_t *config, struct config_sealed *ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    struct config_sealed sealed = {0};
    int r;

    if (!json_is_object(config)) return err_set(err, ERR_INVALID, "a configuration is an object");
    r = json_canonical(config, &text, err);
    if (r < 0) return r;
    if (text.len > CONFIG_SIZE_MAX) {
        return err_set(err, ERR_INVALID, "the configuration is %zu bytes in canonical form, at most %d are kept",
                       text.len, CONFIG_SIZE_MAX);
    }
    r = hash(&text, &sealed.content_hash, err);
    if (r < 0) return r;
    r = hash_behaviour(config, &sealed.config_hash, err);
    if (r < 0) return r;
    sealed.len = text.len;
    sealed.bytes = str_take(&text);
    *ret = sealed;
    return 0;
}

void config_sealed_deinit(struct config_sealed *sealed) {
    free(sealed->bytes);
    *sealed = (struct config_sealed){0};
}
