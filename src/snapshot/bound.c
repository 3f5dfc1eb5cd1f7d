/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What flags do to agents, worked out for those whom a change concerns: when bindings change, the agents that they name; when an entry changes, its agent. A
 * flag that comes to say something else, but stays bound as it was, concerns nobody: what is bound names its slot.
 */
#include "snapshot/flags_impl.h"

#define INDEX_MIN 8

/* ---- reading ---- */

const struct snapshot_bound *snapshot_flags_bound(const struct snapshot_flags *flags, struct slice agent) {
    const struct number_index *index = &flags->by_agent;
    if (!flags->bound_count) return NULL;
    for (uint32_t at = (uint32_t)text_hash(agent) & index->mask; index->numbers[at]; at = (at + 1) & index->mask) {
        const struct bound *bound = flags->bounds[index->numbers[at] - 1];
        if (slice_equal(bound->shown.agent, agent)) return &bound->shown;
    }
    return NULL;
}

const struct snapshot_pieces *snapshot_bound_pieces(const struct snapshot_bound *bound,
                                                    const struct snapshot_version *version) {
    for (uint32_t i = 0; i < bound->version_count; i++)
        if (bound->versions[i].version == version) return &bound->versions[i];
    return NULL;
}

/* ---- one agent ---- */

struct bound *bound_unref(struct bound *bound) {
    if (!bound || !count_down(&bound->count)) return NULL;
    for (uint32_t i = 0; bound->held && i < bound->shown.version_count; i++)
        version_unref(bound->held[i]);
    arena_deinit(&bound->arena);
    free(bound);
    return NULL;
}
DEFINE_CLEANUP(struct bound *, bound_unref)

/* A flag's binding, and where the flag stands in the order of keys. */
struct pair {
    const struct flag_binding *binding;
    uint32_t slot, order;
};

/* All that is bound, by agent and then in order of key; FLAG_EVERY_AGENT stands before all names. */
struct pairs {
    struct pair *items;
    size_t count, every; /* the first `every` are for every agent */
};

static int by_agent(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    int order = slice_compare(x->binding->agent, y->binding->agent);
    if (order) return order;
    return (x->order > y->order) - (x->order < y->order);
}

static int pairs_init(struct pairs *pairs, const struct snapshot_flags *set) {
    size_t count = 0;
    *pairs = (struct pairs){0};
    for (uint32_t i = 0; i < set->flag_count; i++)
        count += set->slots[set->order[i]]->binding_count;
    pairs->items = calloc(count + 1, sizeof(*pairs->items));
    if (!pairs->items) return -ERR_NO_MEMORY;
    for (uint32_t i = 0; i < set->flag_count; i++) {
        const struct flag *flag = set->slots[set->order[i]];
        for (uint32_t b = 0; b < flag->binding_count; b++)
            pairs->items[pairs->count++] = (struct pair){&flag->bindings[b], set->order[i], i};
    }
    qsort(pairs->items, pairs->count, sizeof(*pairs->items), by_agent);
    while (pairs->every < pairs->count && slice_equal_text(pairs->items[pairs->every].binding->agent, FLAG_EVERY_AGENT))
        pairs->every++;
    return 0;
}

static void pairs_deinit(struct pairs *pairs) {
    free(pairs->items);
}

/* The first pair of that agent, or of one behind it. */
static size_t first_of(const struct pairs *pairs, struct slice agent) {
    size_t low = pairs->every, high = pairs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(pairs->items[middle].binding->agent, agent) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The uses of an agent, in order of key: its own and those of every agent. */
struct uses {
    struct use *items;
    size_t count;
    uint32_t slots[BOUND_FLAGS_MAX], flag_count;
};

static void add_use(struct uses *uses, const struct pair *pair) {
    bool new = !uses->flag_count || uses->slots[uses->flag_count - 1] != pair->slot;
    if (new && uses->flag_count == BOUND_FLAGS_MAX) return;
    if (new) uses->slots[uses->flag_count++] = pair->slot;
    uses->items[uses->count++] = (struct use){pair->binding, uses->flag_count - 1};
}

static int find_uses(const struct pairs *pairs, struct slice agent, struct uses *ret) {
    size_t own = first_of(pairs, agent), every = 0, own_end = own;
    while (own_end < pairs->count && slice_equal(pairs->items[own_end].binding->agent, agent))
        own_end++;
    *ret = (struct uses){.items = calloc(pairs->every + own_end - own + 1, sizeof(*ret->items))};
    if (!ret->items) return -ERR_NO_MEMORY;
    while (own < own_end || every < pairs->every) {
        bool take_own =
            own < own_end && (every == pairs->every || pairs->items[own].order <= pairs->items[every].order);
        add_use(ret, take_own ? &pairs->items[own++] : &pairs->items[every++]);
    }
    return 0;
}

static void uses_deinit(struct uses *uses) {
    free(uses->items);
}

static int make_slots(struct bound *bound, const struct uses *uses) {
    uint32_t *slots = arena_array(&bound->arena, uses->flag_count, sizeof(*slots));
    if (!slots) return -ERR_NO_MEMORY;
    memcpy(slots, uses->slots, uses->flag_count * sizeof(*slots));
    bound->shown.slots = slots;
    bound->shown.flag_count = uses->flag_count;
    return 0;
}

static int make_versions(struct bound *bound, const struct entry *entry, const struct uses *uses) {
    struct snapshot_pieces *versions = arena_array(&bound->arena, entry->version_count + 1, sizeof(*versions));
    bound->held = arena_array(&bound->arena, entry->version_count + 1, sizeof(struct snapshot_version *));
    if (!versions || !bound->held) return -ERR_NO_MEMORY;
    for (uint32_t i = 0; i < entry->version_count; i++) {
        const struct snapshot_version *version = entry->versions[i];
        if (pieces_make(version->config, uses->items, uses->count, &bound->arena, &versions[i]) < 0)
            return -ERR_NO_MEMORY;
        versions[i].version = bound->held[i] = version;
        version_ref(version);
        bound->shown.version_count++;
    }
    bound->shown.versions = versions;
    return 0;
}

/* *ret NULL: nothing is bound to it, or nothing of it is served. */
static int make_bound(const struct snapshot *snapshot, const struct snapshot_flags *set, const struct pairs *pairs,
                      struct slice agent, struct bound **ret) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, set->environment, agent);
    _cleanup_(bound_unrefp) struct bound *bound = NULL;
    _cleanup_(uses_deinit) struct uses uses = {0};
    *ret = NULL;
    if (!entry) return 0;
    int r = find_uses(pairs, agent, &uses);
    if (r < 0 || !uses.count) return r;
    bound = calloc(1, sizeof(*bound));
    if (!bound) return -ERR_NO_MEMORY;
    bound->count = 1;
    bound->shown.agent.ptr = arena_strndup(&bound->arena, agent.ptr, agent.len);
    bound->shown.agent.len = agent.len;
    if (!bound->shown.agent.ptr) return -ERR_NO_MEMORY;
    r = make_slots(bound, &uses);
    if (r == 0) r = make_versions(bound, entry_of(entry), &uses);
    if (r == 0) *ret = TAKE_PTR(bound);
    return r;
}

/* ---- all agents of a set ---- */

struct binding_run {
    const struct snapshot *snapshot;
    struct snapshot_flags *set;
    const struct affected *affected;
    struct pairs pairs;
};

static bool is_affected(const struct affected *affected, struct slice agent) {
    for (size_t i = 0; i < affected->count; i++)
        if (slice_equal(affected->agents[i], agent)) return true;
    return affected->all;
}

static int build(struct binding_run *run, struct slice agent) {
    struct bound *bound;
    int r = make_bound(run->snapshot, run->set, &run->pairs, agent, &bound);
    if (r == 0 && bound) run->set->bounds[run->set->bound_count++] = bound;
    return r;
}

static bool is_twice(const struct affected *affected, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (slice_equal(affected->agents[j], affected->agents[i])) return true;
    return false;
}

static int build_each(struct binding_run *run) {
    int r = 0;
    for (size_t i = 0; i < run->affected->count && r == 0; i++)
        if (!is_twice(run->affected, i)) r = build(run, run->affected->agents[i]);
    return r;
}

static int build_all(struct binding_run *run) {
    const struct roster *roster = rosters_find(run->snapshot->rosters, run->set->environment);
    const struct pairs *pairs = &run->pairs;
    int r = 0;
    for (size_t i = 0; pairs->every && roster && i < roster->used && r == 0; i++)
        r = build(run, roster->agents[i]->name);
    for (size_t i = pairs->every; !pairs->every && i < pairs->count && r == 0; i++)
        if (i == 0 || !slice_equal(pairs->items[i].binding->agent, pairs->items[i - 1].binding->agent))
            r = build(run, pairs->items[i].binding->agent);
    return r;
}

static int by_name(const void *a, const void *b) {
    return slice_compare((*(struct bound *const *)a)->shown.agent, (*(struct bound *const *)b)->shown.agent);
}

static int make_index(struct snapshot_flags *set) {
    uint32_t size = INDEX_MIN;
    while (size < 2 * set->bound_count)
        size *= 2;
    set->by_agent = (struct number_index){arena_array(&set->arena, size, sizeof(uint32_t)), size - 1};
    if (!set->by_agent.numbers) return -ERR_NO_MEMORY;
    memset(set->by_agent.numbers, 0, size * sizeof(uint32_t));
    for (uint32_t i = 0; i < set->bound_count; i++) {
        uint32_t at = (uint32_t)text_hash(set->bounds[i]->shown.agent) & set->by_agent.mask;
        while (set->by_agent.numbers[at])
            at = (at + 1) & set->by_agent.mask;
        set->by_agent.numbers[at] = i + 1;
    }
    return 0;
}

/* As many as there may be: those that stay, and those that are built. */
static size_t most_bounds(const struct binding_run *run, const struct snapshot_flags *from) {
    const struct roster *roster = rosters_find(run->snapshot->rosters, run->set->environment);
    size_t stay = from && !run->affected->all ? from->bound_count : 0;
    if (!run->affected->all) return stay + run->affected->count;
    return run->pairs.every ? (roster ? roster->used : 0) : run->pairs.count;
}

static int bind(struct binding_run *run, const struct snapshot_flags *from) {
    struct snapshot_flags *set = run->set;
    set->bounds = arena_array(&set->arena, most_bounds(run, from) + 1, sizeof(struct bound *));
    if (!set->bounds) return -ERR_NO_MEMORY;
    for (uint32_t i = 0; from && i < from->bound_count; i++) {
        if (is_affected(run->affected, from->bounds[i]->shown.agent)) continue;
        count_up(&from->bounds[i]->count);
        set->bounds[set->bound_count++] = from->bounds[i];
    }
    int r = run->affected->all ? build_all(run) : build_each(run);
    if (r < 0) return r;
    qsort(set->bounds, set->bound_count, sizeof(struct bound *), by_name);
    return make_index(set);
}

int flags_bind(const struct snapshot *snapshot, struct snapshot_flags *set, const struct snapshot_flags *from,
               const struct affected *affected) {
    struct binding_run run = {.snapshot = snapshot, .set = set, .affected = affected};
    int r = pairs_init(&run.pairs, set);
    if (r == 0) r = bind(&run, from);
    pairs_deinit(&run.pairs);
    return r;
}
