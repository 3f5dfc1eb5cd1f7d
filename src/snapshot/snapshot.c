/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot is four shared parts: the table of entries by (environment, agent), the table of agents, the rosters that give
 * order and environments, and the keys. Each is immutable once its edit is finished, and counted; a new snapshot takes
 * the parts of its base and replaces only what the edit touches (table.c, roster.c say how).
 *
 * Ownership: a snapshot counts its parts, a table its pages, a page its items, an entry its versions. Nothing points upwards or back in
 * time, so the last unref frees exactly what no other snapshot shares. Agents are listed by rosters without being counted: the table of agents never
 * loses one, and whoever shares a roster has the agents in its table.
 *
 * Invariants: an agent is in an environment's roster if and only if the table has the entry; an edit changes only objects of its own stamp;
 * everything that can fail comes before the first change that could be seen.
 */
#include "snapshot/flags_impl.h"

#include <inttypes.h>

#define AFFECTED_MAX 32 /* of more, all are bound anew */

/* Names of the edit's tables. */
struct place {
    struct slice environment, agent;
};

struct snapshot_edit {
    struct snapshot *base; /* borrowed */
    struct snapshot *next;
    struct place *moved; /* entries that were put while there were flags */
    size_t moved_count, moved_room;
};

/* ---- reading ---- */

struct position snapshot_position(const struct snapshot *snapshot) {
    return snapshot->position;
}

struct slice snapshot_position_text(const struct snapshot *snapshot) {
    return (struct slice){snapshot->position_text, snapshot->position_len};
}

bool snapshot_look(const struct snapshot *snapshot, struct slice environment, struct slice agent,
                   struct snapshot_served *ret) {
    uint64_t hash = pair_hash(text_hash(environment), text_hash(agent));
    const struct record *record = table_find(snapshot->entries, hash, (struct names){environment, agent});
    if (!record) return false;
    ret->entry = &((struct entry *)record->item)->shown;
    ret->version = record->mark ? NULL : record->extra;
    ret->beside = record->mark ? record->extra : NULL;
    ret->has_overrides = record->mark & MARK_OVERRIDES;
    ret->has_flags = snapshot->flags && snapshot->flags->bound;
    ret->ref = hash;
    return true;
}

const struct snapshot_entry *snapshot_find(const struct snapshot *snapshot, struct slice environment,
                                           struct slice agent) {
    struct snapshot_served served;
    return snapshot_look(snapshot, environment, agent, &served) ? served.entry : NULL;
}

bool snapshot_has_agent(const struct snapshot *snapshot, struct slice agent) {
    return named_find(snapshot->agents, agent) != NULL;
}

bool snapshot_has_environment(const struct snapshot *snapshot, struct slice environment) {
    return rosters_find(snapshot->rosters, environment) != NULL;
}

size_t snapshot_entry_count(const struct snapshot *snapshot) {
    return snapshot->entries->size;
}

size_t snapshot_agent_count(const struct snapshot *snapshot) {
    return snapshot->agents->size;
}

static int each_of_roster(const struct snapshot *snapshot, const struct roster *roster,
                          int (*each)(void *ctx, const struct snapshot_entry *entry), void *ctx) {
    int r = 0;
    for (size_t i = 0; i < roster->used && r == 0; i++)
        r = each(ctx, snapshot_find(snapshot, roster->environment->name, roster->agents[i]->name));
    return r;
}

int snapshot_each(const struct snapshot *snapshot, const char *environment,
                  int (*each)(void *ctx, const struct snapshot_entry *entry), void *ctx) {
    if (environment) {
        const struct roster *roster = rosters_find(snapshot->rosters, slice_of(environment));
        return roster ? each_of_roster(snapshot, roster, each, ctx) : 0;
    }
    int r = 0;
    for (size_t i = 0; i < snapshot->rosters->used && r == 0; i++)
        r = each_of_roster(snapshot, snapshot->rosters->items[i], each, ctx);
    return r;
}

const struct snapshot_key *snapshot_key_by_id(const struct snapshot *snapshot, struct slice id) {
    const struct key_set *set = snapshot->keys;
    for (size_t low = 0, high = set ? set->used : 0; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(slice_of(set->by_id[middle].id), id);
        if (order == 0) return set->by_id + middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct snapshot_key *snapshot_key_by_hash(const struct snapshot *snapshot, const struct sha256 *hash) {
    const struct key_set *set = snapshot->keys;
    for (size_t low = 0, high = set ? set->used : 0; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(set->by_hash[middle]->secret_hash.bytes, hash->bytes, SHA256_SIZE);
        if (order == 0) return set->by_hash[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

uint64_t snapshot_keys_generation(const struct snapshot *snapshot) {
    return snapshot->keys ? snapshot->keys->generation : 0;
}

/* ---- life ---- */

static void set_position(struct snapshot *snapshot, struct position position) {
    snapshot->position = position;
    position_text(position, snapshot->position_text);
    snapshot->position_len = strlen(snapshot->position_text);
}

struct snapshot *snapshot_ref(struct snapshot *snapshot) {
    count_up(&snapshot->count);
    return snapshot;
}

struct snapshot *snapshot_unref(struct snapshot *snapshot) {
    if (!snapshot || !count_down(&snapshot->count)) return NULL;
    table_unref(snapshot->entries);
    table_unref(snapshot->agents);
    rosters_unref(snapshot->rosters);
    key_set_unref(snapshot->keys);
    flag_sets_unref(snapshot->flags);
    free(snapshot);
    return NULL;
}

int snapshot_new(struct snapshot **ret) {
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot) return -ERR_NO_MEMORY;
    snapshot->count = 1;
    int r = table_new(&entry_kind, &snapshot->entries);
    if (r == 0) r = table_new(&named_kind, &snapshot->agents);
    if (r == 0) r = rosters_new(&snapshot->rosters);
    if (r < 0) return r;
    set_position(snapshot, (struct position){0});
    *ret = TAKE_PTR(snapshot);
    return 0;
}

/* ---- editing ---- */

int snapshot_edit_new(struct snapshot *base, struct snapshot_edit **ret) {
    struct snapshot_edit *edit = malloc(sizeof(*edit));
    struct snapshot *next = edit ? malloc(sizeof(*next)) : NULL;
    if (!next) {
        free(edit);
        return -ERR_NO_MEMORY;
    }
    *next = (struct snapshot){
        .entries = table_ref(base->entries),
        .agents = table_ref(base->agents),
        .rosters = rosters_ref(base->rosters),
        .keys = key_set_ref(base->keys),
        .flags = flag_sets_ref(base->flags),
        .stamp = base->stamp + 1,
        .count = 1,
    };
    *edit = (struct snapshot_edit){.base = base, .next = next};
    *ret = edit;
    return 0;
}

struct snapshot_edit *snapshot_edit_free(struct snapshot_edit *edit) {
    if (!edit) return NULL;
    snapshot_unref(edit->next);
    free(edit->moved);
    free(edit);
    return NULL;
}

/* ---- flags ---- */

static int put_set(struct snapshot *next, struct snapshot_flags *set) {
    struct flag_sets *sets = flag_sets_with(next->flags, set);
    if (!sets) return -ERR_NO_MEMORY;
    flag_sets_unref(next->flags);
    next->flags = sets;
    return 0;
}

/* Whom it concerns that a flag is set or removed: those whom it was bound to, and whom it is. */
static bool add_bound_agents(const struct flag *flag, struct affected *affected, struct slice *agents) {
    for (uint32_t i = 0; flag && i < flag->binding_count; i++) {
        if (slice_equal_text(flag->bindings[i].agent, FLAG_EVERY_AGENT) || affected->count == AFFECTED_MAX)
            return false;
        agents[affected->count++] = flag->bindings[i].agent;
    }
    return true;
}

static bool bound_alike(const struct flag *a, const struct flag *b) {
    bool none = (!a || !a->binding_count) && (!b || !b->binding_count);
    return none || (a && b && slice_equal(a->bound, b->bound));
}

static void find_affected(const struct snapshot_flags *before, const struct snapshot_flags *after,
                          const struct snapshot_flags_spec *spec, struct affected *affected, struct slice *agents) {
    *affected = (struct affected){.agents = agents};
    for (size_t i = 0; i < spec->count && !affected->all; i++) {
        struct slice key = slice_of(spec->flags[i].key);
        const struct flag *old = before ? snapshot_flags_find(before, key) : NULL,
                          *new = snapshot_flags_find(after, key);
        if (bound_alike(old, new)) continue;
        affected->all = !add_bound_agents(old, affected, agents) || !add_bound_agents(new, affected, agents);
    }
}

int snapshot_edit_flags(struct snapshot_edit *edit, const struct snapshot_flags_spec *spec, size_t *ret_left_out,
                        struct err *err) {
    const struct snapshot_flags *before = snapshot_flags(edit->next, slice_of(spec->environment));
    _cleanup_(flags_unrefp) struct snapshot_flags *after = NULL;
    struct slice agents[AFFECTED_MAX];
    struct affected affected;
    if (flags_change(before, spec, ret_left_out, &after) < 0) return err_no_memory(err);
    find_affected(before, after, spec, &affected, agents);
    if (flags_bind(edit->next, after, before, &affected) < 0) return err_no_memory(err);
    return put_set(edit->next, TAKE_PTR(after)) < 0 ? err_no_memory(err) : 0;
}

static bool concerns(const struct snapshot_flags *set, struct slice agent) {
    for (uint32_t i = 0; i < set->flag_count; i++) {
        const struct flag *flag = snapshot_flags_at(set, i);
        for (uint32_t b = 0; b < flag->binding_count; b++)
            if (slice_equal_text(flag->bindings[b].agent, FLAG_EVERY_AGENT) ||
                slice_equal(flag->bindings[b].agent, agent))
                return true;
    }
    return false;
}

/* The entries of one environment that were put, together. */
static int bind_moved(struct snapshot_edit *edit, const struct snapshot_flags *before) {
    struct slice agents[AFFECTED_MAX];
    struct affected affected = {.agents = agents};
    for (size_t i = 0; i < edit->moved_count && !affected.all; i++) {
        if (!slice_equal(edit->moved[i].environment, before->environment) || !concerns(before, edit->moved[i].agent))
            continue;
        affected.all = affected.count == AFFECTED_MAX;
        if (!affected.all) agents[affected.count++] = edit->moved[i].agent;
    }
    if (!affected.count) return 0;
    _cleanup_(flags_unrefp) struct snapshot_flags *after = NULL;
    int r = flags_copy(before, &after);
    if (r == 0) r = flags_bind(edit->next, after, before, &affected);
    return r < 0 ? r : put_set(edit->next, TAKE_PTR(after));
}

static int bind_all_moved(struct snapshot_edit *edit) {
    int r = 0;
    for (size_t i = 0; edit->moved_count && edit->next->flags && i < edit->next->flags->used && r == 0; i++)
        r = bind_moved(edit, edit->next->flags->items[i]);
    return r;
}

/* Room for one more in the list of what moved. */
static int prepare_moved(struct snapshot_edit *edit) {
    if (edit->moved_count < edit->moved_room) return 0;
    size_t room = edit->moved_room ? 2 * edit->moved_room : 16;
    struct place *moved = realloc(edit->moved, room * sizeof(*moved));
    if (!moved) return -ERR_NO_MEMORY;
    edit->moved = moved;
    edit->moved_room = room;
    return 0;
}

/* Flags are bound to versions: where an entry moves, they are bound anew. */
static void note_moved(struct snapshot_edit *edit, struct slice environment, struct slice agent) {
    const struct roster *roster = rosters_find(edit->next->rosters, environment);
    if (edit->next->flags)
        edit->moved[edit->moved_count++] =
            (struct place){roster->environment->name, named_find(edit->next->agents, agent)->name};
}

int snapshot_edit_finish(struct snapshot_edit *edit, struct position position, struct snapshot **ret) {
    if (bind_all_moved(edit) < 0) {
        snapshot_edit_free(edit);
        return -ERR_NO_MEMORY;
    }
    *ret = TAKE_PTR(edit->next);
    set_position(*ret, position);
    snapshot_edit_free(edit);
    return 0;
}

size_t snapshot_edit_agents(const struct snapshot_edit *edit) {
    return edit->next->agents->size;
}

size_t snapshot_edit_environments(const struct snapshot_edit *edit) {
    return edit->next->rosters->used;
}

int snapshot_edit_agent(struct snapshot_edit *edit, const char *agent) {
    struct snapshot *next = edit->next;
    struct slice name = slice_of(agent);
    if (named_find(next->agents, name)) return 0;
    int r = table_prepare(&next->agents, text_hash(name), next->stamp);
    if (r < 0) return r;
    struct named *named;
    r = named_new(name, &named);
    if (r < 0) return r;
    table_put(next->agents, &named->item);
    return 0;
}

int snapshot_edit_environment(struct snapshot_edit *edit, const char *environment) {
    struct snapshot *next = edit->next;
    if (rosters_find(next->rosters, slice_of(environment))) return 0;
    struct roster_place place;
    int r = rosters_prepare(&next->rosters, slice_of(environment), next->stamp, &place);
    if (r == 0) rosters_put(next->rosters, &place);
    return r;
}

int snapshot_edit_keys(struct snapshot_edit *edit, const struct key *keys, size_t count, struct err *err) {
    struct key_set *set;
    int r = key_set_new(keys, count, &set, err);
    if (r < 0) return r;
    key_set_unref(edit->next->keys);
    edit->next->keys = set;
    return 0;
}

/* ---- entries: find or make the versions, make the entry, make room, put ---- */

const struct snapshot_version *entry_version(const struct snapshot_entry *entry, int64_t number) {
    const struct entry *whole = entry ? entry_of(entry) : NULL;
    for (uint32_t i = 0; whole && i < whole->version_count; i++)
        if (whole->versions[i]->number == number) return whole->versions[i];
    return NULL;
}

/* Any environment that serves it will do: the object is shared by all. */
static const struct snapshot_version *served_version(const struct snapshot *snapshot, struct slice agent,
                                                     int64_t number) {
    const struct snapshot_version *version = NULL;
    for (size_t i = 0; i < snapshot->rosters->used && !version; i++)
        version = entry_version(snapshot_find(snapshot, snapshot->rosters->items[i]->environment->name, agent), number);
    return version;
}

static const struct snapshot_version *known_version(const struct snapshot_edit *edit, struct slice agent,
                                                    int64_t number) {
    const struct snapshot_version *version = served_version(edit->next, agent, number);
    return version ? version : served_version(edit->base, agent, number);
}

bool snapshot_edit_knows_version(const struct snapshot_edit *edit, const char *agent, int64_t number) {
    return known_version(edit, slice_of(agent), number) != NULL;
}

/* The versions that an entry needs, each once, counted. */
struct needed {
    int64_t *numbers;
    const struct snapshot_version **versions;
    size_t count;
};

static void needed_deinit(struct needed *needed) {
    for (size_t i = 0; needed->versions && i < needed->count; i++)
        version_unref(needed->versions[i]);
    free(needed->versions);
    free(needed->numbers);
}

static int compare_numbers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static size_t count_numbers(const struct snapshot_entry_spec *spec) {
    return 3 + spec->override_count + 2 * spec->era_count;
}

/* All numbers that the spec names, doubles and nothings (0, and below 0) with them. */
static size_t list_numbers(const struct snapshot_entry_spec *spec, int64_t *ret) {
    size_t count = 0;
    ret[count++] = spec->deployment.version;
    if (spec->rollout) ret[count++] = spec->rollout->candidate;
    if (spec->panic) ret[count++] = spec->panic->version;
    for (size_t i = 0; i < spec->override_count; i++)
        ret[count++] = spec->overrides[i].version;
    for (size_t i = 0; i < spec->era_count; i++) {
        ret[count++] = spec->eras[i].era.version;
        ret[count++] = spec->eras[i].era.candidate;
    }
    qsort(ret, count, sizeof(*ret), compare_numbers);
    return count;
}

static int needed_numbers(const struct snapshot_entry_spec *spec, struct needed *needed) {
    needed->numbers = calloc(count_numbers(spec), sizeof(*needed->numbers));
    needed->versions = calloc(count_numbers(spec), sizeof(struct snapshot_version *));
    if (!needed->numbers || !needed->versions) return -ERR_NO_MEMORY;
    size_t all = list_numbers(spec, needed->numbers);
    for (size_t i = 0; i < all; i++) {
        int64_t number = needed->numbers[i];
        if (number > 0 && (needed->count == 0 || number != needed->numbers[needed->count - 1]))
            needed->numbers[needed->count++] = number;
    }
    return 0;
}

static const struct version *given_version(const struct snapshot_entry_spec *spec, int64_t number) {
    for (size_t i = 0; i < spec->version_count; i++) {
        const struct version *version = spec->versions[i];
        if (version->number == number && version->config.len && strcmp(version->agent, spec->deployment.agent) == 0)
            return version;
    }
    return NULL;
}

static int need_version(const struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, int64_t number,
                        const struct snapshot_version **ret, struct err *err) {
    const struct snapshot_version *known = known_version(edit, slice_of(spec->deployment.agent), number);
    if (known) {
        version_ref(known);
        *ret = known;
        return 0;
    }
    const struct version *given = given_version(spec, number);
    if (!given)
        return err_set(err, ERR_INTERNAL, "the snapshot lacks the configuration of %s@%" PRId64, spec->deployment.agent,
                       number);
    return version_new(given, ret) < 0 ? err_no_memory(err) : 0;
}

static int make_entry(const struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, struct entry **ret,
                      struct err *err) {
    _cleanup_(needed_deinit) struct needed needed = {0};
    if (spec->era_count > SESSION_ERAS_MAX)
        return err_set(err, ERR_INTERNAL, "an entry takes at most %d eras, not %zu", SESSION_ERAS_MAX, spec->era_count);
    if (needed_numbers(spec, &needed) < 0) return err_no_memory(err);
    for (size_t i = 0; i < needed.count; i++) {
        int r = need_version(edit, spec, needed.numbers[i], needed.versions + i, err);
        if (r < 0) return r;
    }
    return entry_new(spec, needed.versions, needed.count, ret) < 0 ? err_no_memory(err) : 0;
}

/* Puts the first entry of this agent there: the agent and the environment may be new as well. */
static int put_first(struct snapshot *next, struct entry **entry) {
    struct slice name = (*entry)->shown.agent;
    _cleanup_(roster_place_deinit) struct roster_place place = {0};
    int r = table_prepare(&next->agents, text_hash(name), next->stamp);
    if (r == 0) r = rosters_prepare(&next->rosters, (*entry)->shown.environment, next->stamp, &place);
    if (r < 0) return r;
    struct named *agent = named_find(next->agents, name);
    if (!agent) {
        r = named_new(name, &agent);
        if (r < 0) return r;
        table_put(next->agents, &agent->item);
    }
    roster_add(place.roster, agent);
    rosters_put(next->rosters, &place);
    table_put(next->entries, &(*entry)->item);
    *entry = NULL;
    return 0;
}

int snapshot_edit_entry(struct snapshot_edit *edit, const struct snapshot_entry_spec *spec, struct err *err) {
    struct snapshot *next = edit->next;
    _cleanup_(entry_unrefp) struct entry *entry = NULL;
    int r = make_entry(edit, spec, &entry, err);
    if (!entry) return r;
    if (table_prepare(&next->entries, entry->item.hash, next->stamp) < 0 || prepare_moved(edit) < 0)
        return err_no_memory(err);
    if (snapshot_find(next, entry->shown.environment, entry->shown.agent))
        table_put(next->entries, &TAKE_PTR(entry)->item);
    else if (put_first(next, &entry) < 0)
        return err_no_memory(err);
    note_moved(edit, slice_of(spec->deployment.environment), slice_of(spec->deployment.agent));
    return 0;
}
