/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys in force, replaced as one whole: they are few and change seldom. Their generation is made from what they are, so a
 * program that rebuilds its snapshot from the store, or restores a backup, never meets an old generation with other keys.
 */
#include "base/json.h"
#include "snapshot/snapshot_impl.h"

struct key_set *key_set_ref(struct key_set *set) {
    if (set) count_up(&set->count);
    return set;
}

struct key_set *key_set_unref(struct key_set *set) {
    if (!set || !count_down(&set->count)) return NULL;
    arena_deinit(&set->arena);
    free(set);
    return NULL;
}

DEFINE_CLEANUP(struct key_set *, key_set_unref)

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_ids(const void *a, const void *b) {
    return strcmp(((const struct snapshot_key *)a)->id, ((const struct snapshot_key *)b)->id);
}

static int compare_hashes(const void *a, const void *b) {
    const struct snapshot_key *const *x = a, *const *y = b;
    return memcmp((*x)->secret_hash.bytes, (*y)->secret_hash.bytes, SHA256_SIZE);
}

static int malformed(const struct key *key, struct err *err) {
    return err_set(err, ERR_INTERNAL, "key %s: environments are no list of names", key->id);
}

static int read_environments(struct arena *arena, const struct key *key, struct snapshot_key *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *list = NULL;
    int r = json_parse(key->environments, strlen(key->environments), 2, &list, err);
    if (r == -ERR_NO_MEMORY) return r;
    if (r < 0 || !json_is_array(list)) return malformed(key, err);

    size_t count = json_array_size(list);
    const char **names = arena_array(arena, count + 1, sizeof(*names));
    if (!names) return err_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name) return malformed(key, err);
        if (strcmp(name, "*") == 0) ret->all_environments = true;
        names[i] = arena_strdup(arena, name);
        if (!names[i]) return err_no_memory(err);
    }
    qsort(names, count, sizeof(*names), compare_names);
    if (ret->all_environments) names[0] = NULL;
    ret->environments = names;
    return 0;
}

static int read_key(struct arena *arena, const struct key *from, struct snapshot_key *ret, struct err *err) {
    ret->id = arena_strdup(arena, from->id);
    ret->name = arena_strdup(arena, from->name);
    if (!ret->id || !ret->name) return err_no_memory(err);
    ret->role = from->role;
    ret->secret_hash = from->secret_hash;
    ret->materialise_defaults = from->materialise_defaults;
    return read_environments(arena, from, ret, err);
}

static void str_cleanup(struct str *str) {
    str_deinit(str);
}

static int set_generation(struct key_set *set, struct err *err) {
    _cleanup_(str_cleanup) struct str text = STR_INIT;
    struct sha256 hash;
    for (size_t i = 0; i < set->used; i++) {
        const struct snapshot_key *key = set->by_id + i;
        str_printf(&text, "%s%c%s%c%d%c%d%c%d%c", key->id, 0, key->name, 0, (int)key->role, 0, key->all_environments, 0,
                   key->materialise_defaults, 0);
        str_add(&text, key->secret_hash.bytes, SHA256_SIZE);
        for (const char *const *name = key->environments; *name; name++)
            str_add(&text, *name, strlen(*name) + 1);
        str_add_char(&text, '\0');
    }
    if (text.failed) return err_no_memory(err);
    int r = sha256_bytes(text.data, text.len, &hash);
    if (r < 0) return err_set(err, (enum err_code) - r, "the keys cannot be hashed");
    memcpy(&set->generation, hash.bytes, sizeof(set->generation));
    return 0;
}

static void set_order(struct key_set *set) {
    qsort(set->by_id, set->used, sizeof(*set->by_id), compare_ids);
    for (size_t i = 0; i < set->used; i++)
        set->by_hash[i] = set->by_id + i;
    qsort(set->by_hash, set->used, sizeof(struct snapshot_key *), compare_hashes);
}

int key_set_new(const struct key *keys, size_t count, struct key_set **ret, struct err *err) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += keys[i].revoked_at == 0;
    if (used == 0) {
        *ret = NULL;
        return 0;
    }

    _cleanup_(key_set_unrefp) struct key_set *set = calloc(1, sizeof(*set));
    if (!set) return err_no_memory(err);
    set->count = 1;
    set->by_id = arena_array(&set->arena, used, sizeof(*set->by_id));
    set->by_hash = arena_array(&set->arena, used, sizeof(struct snapshot_key *));
    if (!set->by_id || !set->by_hash) return err_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].revoked_at) continue;
        int r = read_key(&set->arena, keys + i, set->by_id + set->used, err);
        if (r < 0) return r;
        set->used++;
    }
    set_order(set);
    int r = set_generation(set, err);
    if (r < 0) return r;
    *ret = TAKE_PTR(set);
    return 0;
}
