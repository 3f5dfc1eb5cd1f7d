/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rows to an entry of a snapshot: the same way for what is served now and for any moment of the past, so that history is
 * only another snapshot to the resolver.
 */
#include "base/json.h"
#include "ops/live.h"
#include "store/rollouts.h"

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

/* Adds the version with its configuration, unless it is none, the snapshot shares it already, or it is in the list. */
static int add_version(struct store_tx *tx, const struct snapshot_edit *edit, const char *agent, int64_t number,
                       struct arena *arena, const struct version **versions, size_t *count, struct err *err) {
    if (number <= 0 || snapshot_edit_knows_version(edit, agent, number)) return 0;
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
        overrides[i].audience = rows[i].audience;
        r = read_keys(rows[i].keys, arena, &overrides[i].keys, err);
    }
    spec->overrides = overrides;
    spec->override_count = count;
    return r;
}

/* ---- what stands beside the ref ---- */

static int fill_rollout(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct arena *arena,
                        struct snapshot_entry_spec *spec, struct err *err) {
    struct rollout *rollout = arena_alloc(arena, sizeof(*rollout));
    if (!rollout) return err_no_memory(err);
    int r = store_rollout_of(tx, ref->agent, ref->environment, seq, arena, rollout, err);
    if (r == 0) spec->rollout = rollout;
    return r < 0 ? r : 0;
}

/* An environment that is switched off is off for every agent; otherwise the agent's own panic says more than that of all. */
static int fill_panic(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct arena *arena,
                      struct snapshot_entry_spec *spec, struct err *err) {
    struct panic *panics = arena_array(arena, 2, sizeof(*panics)), *own = panics, *whole = panics + 1;
    if (!panics) return err_no_memory(err);
    int of_agent = store_panic_get(tx, ref->agent, ref->environment, seq, arena, own, err);
    if (of_agent < 0) return of_agent;
    int of_all = store_panic_get(tx, "", ref->environment, seq, arena, whole, err);
    if (of_all < 0) return of_all;
    if (of_all == 0) spec->panic = whole;
    if (of_agent == 0 && !(spec->panic && whole->version == PANIC_DISABLED)) spec->panic = own;
    return 0;
}

/* Whether the version was rolled back from after a moment. */
static int left_since(struct store_tx *tx, const struct deployment *ref, int64_t version, int64_t seq, int64_t since,
                      bool *ret, struct err *err) {
    int64_t at;
    int r = store_left_at(tx, ref, version, seq, &at, err);
    *ret = r == 0 && at > since;
    return r < 0 ? r : 0;
}

static int fill_released(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct snapshot_era_spec *spec,
                         struct err *err) {
    const struct era *era = &spec->era;
    int r = left_since(tx, ref, era->version, seq, era->from, &spec->version_released, err);
    if (r == 0 && era->candidate)
        r = left_since(tx, ref, era->candidate, seq, era->from, &spec->candidate_released, err);
    return r;
}

/* How many eras a session younger than SESSION_LIFE may have begun in, counted back from the newest change and not from now: so the same truth makes the same
 * entry, whenever it is loaded. */
static size_t count_needed(const struct era *eras, size_t count) {
    size_t needed = 0;
    while (needed < count && (needed == 0 || eras[needed - 1].from > eras[0].from - SESSION_LIFE))
        needed++;
    return needed;
}

static int fill_eras(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct arena *arena,
                     struct snapshot_entry_spec *spec, struct err *err) {
    struct era *eras;
    size_t count, used = 0;
    int r = store_eras(tx, ref, seq, ref->created_at - SESSION_LIFE, SESSION_ERAS_MAX, arena, &eras, &count, err);
    if (r < 0) return r;
    count = count_needed(eras, count);
    struct snapshot_era_spec *specs = arena_array(arena, count + 1, sizeof(*specs));
    if (!specs) return err_no_memory(err);
    for (size_t i = 0; i < count && r == 0; i++) {
        /* The clock went back in between: no session leads there. */
        if (used && eras[i].from >= specs[used - 1].era.from) continue;
        specs[used].era = eras[i];
        if (i) r = fill_released(tx, ref, seq, specs + used, err); /* nobody can have left what is in force */
        used++;
    }
    spec->eras = specs;
    spec->era_count = used;
    return r;
}

static int fill_sessions(struct store_tx *tx, const struct deployment *ref, int64_t seq, struct arena *arena,
                         struct snapshot_entry_spec *spec, struct err *err) {
    struct agent agent;
    int r = store_agent_get(tx, ref->agent, arena, &agent, err);
    if (r < 0) return r;
    if (r == 0) spec->sessions = agent.session;
    return fill_eras(tx, ref, seq, arena, spec, err);
}

static int fill_versions(struct store_tx *tx, const struct snapshot_edit *edit, struct arena *arena,
                         struct snapshot_entry_spec *spec, struct err *err) {
    size_t most = 3 + spec->override_count + 2 * spec->era_count;
    const struct version **versions = arena_array(arena, most, sizeof(struct version *));
    if (!versions) return err_no_memory(err);
    const char *agent = spec->deployment.agent;
    size_t count = 0;
    int r = add_version(tx, edit, agent, spec->deployment.version, arena, versions, &count, err);
    for (size_t i = 0; i < spec->override_count && r == 0; i++)
        r = add_version(tx, edit, agent, spec->overrides[i].version, arena, versions, &count, err);
    if (r == 0 && spec->rollout)
        r = add_version(tx, edit, agent, spec->rollout->candidate, arena, versions, &count, err);
    if (r == 0 && spec->panic) r = add_version(tx, edit, agent, spec->panic->version, arena, versions, &count, err);
    for (size_t i = 0; i < spec->era_count && r == 0; i++) {
        r = add_version(tx, edit, agent, spec->eras[i].era.version, arena, versions, &count, err);
        if (r == 0) r = add_version(tx, edit, agent, spec->eras[i].era.candidate, arena, versions, &count, err);
    }
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
    if (r == 0) r = fill_rollout(tx, &spec.deployment, seq, arena, &spec, err);
    if (r == 0) r = fill_panic(tx, &spec.deployment, seq, arena, &spec, err);
    if (r == 0) r = fill_sessions(tx, &spec.deployment, seq, arena, &spec, err);
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
