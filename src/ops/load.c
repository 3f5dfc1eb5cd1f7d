/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows to an entry of a snapshot: the same way for what is served now and for any moment of the past, so that history is
 * only another snapshot to the resolver.
 */
#include "base/json.h"
#include "ops/live.h"

#include <string.h>

/* The keys of an override as a NULL-terminated list in the arena. */
static int read_keys(const char *text, struct arena *arena, const char *const **ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *list = NULL;
    int r = json_parse(text, strlen(text), 2, &list, err);
    if (r < 0) return r;
    size_t count = json_array_size(list);
    const char **keys = arena_array(arena, count + 1, sizeof(*keys));
    if (!keys) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!(keys[i] = arena_strdup(arena, json_string_value(json_array_get(list, i))))) return err_no_memory(err);
    *ret = keys;
    return 0;
}

/* Adds the version with its configuration, unless the snapshot shares it already or it is in the list. */
static int add_version(struct store_tx *tx, const struct snapshot_edit *edit, const char *agent, int64_t number,
                       struct arena *arena, const struct version **versions, size_t *count, struct err *err) {
    if (snapshot_edit_knows_version(edit, agent, number)) return 0;
    for (size_t i = 0; i < *count; i++)
        if (versions[i]->number == number) return 0;
    struct version *version = arena_alloc(arena, sizeof(*version));
    if (!version) return err_no_memory(err);
    int r = store_version_get(tx, agent, number, true, arena, version, err);
    if (r < 0) return r;
    if (r == STORE_NONE)
        return err_set(err, ERR_STORE_CORRUPT, "%s@%lld is served but not in the store", agent, (long long)number);
    versions[(*count)++] = version;
    return 0;
}

static int fill_overrides(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct arena *arena,
                          struct snapshot_entry_spec *spec, struct err *err) {
    struct override *rows;
    size_t count;
    int r = store_overrides(tx, ref->agent, ref->environment, seq, arena, &rows, &count, err);
    if (r < 0 || !count) return r;
    struct snapshot_override_spec *overrides = arena_array(arena, count, sizeof(*overrides));
    if (!overrides) return err_no_memory(err);
    for (size_t i = 0; i < count && r == 0; i++) {
        overrides[i].name = rows[i].name;
        overrides[i].version = rows[i].version;
        r = read_keys(rows[i].keys, arena, &overrides[i].keys, err);
    }
    spec->overrides = overrides;
    spec->override_count = count;
    return r;
}

static int fill_versions(struct store_tx *tx, const struct snapshot_edit *edit, struct arena *arena,
                         struct snapshot_entry_spec *spec, struct err *err) {
    const struct version **versions = arena_array(arena, spec->override_count + 1, sizeof(struct version *));
    if (!versions) return err_no_memory(err);
    const char *agent = spec->deployment.agent;
    size_t count = 0;
    int r = add_version(tx, edit, agent, spec->deployment.version, arena, versions, &count, err);
    for (size_t i = 0; i < spec->override_count && r == 0; i++)
        r = add_version(tx, edit, agent, spec->overrides[i].version, arena, versions, &count, err);
    spec->versions = versions;
    spec->version_count = count;
    return r;
}

static int load_entry(struct store_tx *tx, struct snapshot_edit *edit, const char *agent, const char *environment,
                      int64_t seq, struct arena *arena, struct err *err) {
    struct snapshot_entry_spec spec = {0};
    int r = seq ? store_ref_at(tx, agent, environment, seq, arena, &spec.deployment, err)
                : store_ref_get(tx, agent, environment, arena, &spec.deployment, err);
    if (r != 0) return r;

    struct hold hold;
    r = store_hold_get(tx, agent, environment, seq, arena, &hold, err);
    if (r < 0) return r;
    spec.held = r != STORE_NONE;
    r = fill_overrides(tx, &spec.deployment, seq, arena, &spec, err);
    if (r < 0) return r;
    r = fill_versions(tx, edit, arena, &spec, err);
    if (r < 0) return r;
    return snapshot_edit_entry(edit, &spec, err);
}

int live_load_entry(struct store_tx *tx, struct snapshot_edit *edit, const char *agent, const char *environment,
                    int64_t seq, struct err *err) {
    struct arena arena = ARENA_INIT;
    int r = load_entry(tx, edit, agent, environment, seq, &arena, err);
    arena_deinit(&arena);
    return r;
}
