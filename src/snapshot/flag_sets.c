/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of flags. A set is copied whole when one of its flags changes: an array of pointers, an order and an index, which for 10,000 flags is some tenths of a
 * millisecond; the flags themselves, with their compiled rules, are shared.
 */
#include "snapshot/flags_impl.h"

#include "base/json.h"

#define SLOTS_MIN 8

/* ---- reading ---- */

static const struct snapshot_flags *set_of(const struct flag_sets *sets, struct slice environment) {
    for (size_t low = 0, high = sets ? sets->used : 0; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(sets->items[middle]->environment, environment);
        if (order == 0) return sets->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct snapshot_flags *snapshot_flags(const struct snapshot *snapshot, struct slice environment) {
    return set_of(snapshot->flags, environment);
}

int64_t snapshot_flags_seq(const struct snapshot_flags *flags) {
    return flags->seq;
}

size_t snapshot_flags_count(const struct snapshot_flags *flags) {
    return flags->flag_count;
}

struct slice snapshot_flags_evaluators(const struct snapshot_flags *flags) {
    return flags->evaluators;
}

struct slice snapshot_flags_metadata(const struct snapshot_flags *flags) {
    return flags->metadata;
}

struct slice snapshot_flags_told(const struct snapshot_flags *flags) {
    return flags->told;
}

bool snapshot_flags_read_time(const struct snapshot_flags *flags) {
    return flags->reads_time;
}

/* Where in the index a key is, or would be. */
static uint32_t place_of(const struct snapshot_flags *flags, struct slice key) {
    const struct number_index *index = &flags->by_key;
    uint32_t at = (uint32_t)text_hash(key) & index->mask;
    while (index->numbers[at] && !slice_equal(flags->slots[index->numbers[at] - 1]->key, key))
        at = (at + 1) & index->mask;
    return at;
}

const struct flag *snapshot_flags_find(const struct snapshot_flags *flags, struct slice key) {
    uint32_t number = flags->by_key.numbers[place_of(flags, key)];
    return number ? flags->slots[number - 1] : NULL;
}

const struct flag *snapshot_flags_at(const struct snapshot_flags *flags, size_t i) {
    return flags->slots[flags->order[i]];
}

struct flag *const *snapshot_flags_slots(const struct snapshot_flags *flags) {
    return flags->slots;
}

/* ---- life ---- */

struct snapshot_flags *flags_unref(struct snapshot_flags *flags) {
    if (!flags || !count_down(&flags->count)) return NULL;
    for (uint32_t i = 0; flags->slots && i < flags->slot_count; i++)
        flag_unref(flags->slots[i]);
    for (uint32_t i = 0; flags->bounds && i < flags->bound_count; i++)
        bound_unref(flags->bounds[i]);
    arena_deinit(&flags->arena);
    free(flags);
    return NULL;
}

struct flag_sets *flag_sets_ref(struct flag_sets *sets) {
    if (sets) count_up(&sets->count);
    return sets;
}

struct flag_sets *flag_sets_unref(struct flag_sets *sets) {
    if (!sets || !count_down(&sets->count)) return NULL;
    for (size_t i = 0; i < sets->used; i++)
        flags_unref(sets->items[i]);
    free(sets);
    return NULL;
}

struct flag_sets *flag_sets_with(const struct flag_sets *sets, struct snapshot_flags *set) {
    size_t used = sets ? sets->used : 0, out = 0;
    bool placed = false;
    struct flag_sets *with = malloc(sizeof(*with) + (used + 1) * sizeof(struct snapshot_flags *));
    if (!with) {
        flags_unref(set);
        return NULL;
    }
    *with = (struct flag_sets){.count = 1};
    for (size_t i = 0; i < used; i++) {
        int order = slice_compare(sets->items[i]->environment, set->environment);
        if (order >= 0 && !placed) {
            with->items[out++] = set;
            placed = true;
        }
        if (order == 0) continue;
        count_up(&sets->items[i]->count);
        with->items[out++] = sets->items[i];
    }
    if (!placed) with->items[out++] = set;
    with->used = out;
    for (size_t i = 0; i < out; i++)
        with->bound += with->items[i]->bound_count;
    return with;
}

/* ---- making a set ---- */

static struct slice keep(struct snapshot_flags *set, struct slice text) {
    const char *copy = arena_strndup(&set->arena, text.ptr, text.len);
    return copy ? (struct slice){copy, text.len} : (struct slice){NULL, 0};
}

/* Room for so many slots; free ones are NULL. */
static int make_arrays(struct snapshot_flags *set, uint32_t slots) {
    uint32_t size = SLOTS_MIN;
    while (size < 2 * slots)
        size *= 2;
    set->slots = arena_array(&set->arena, slots + 1, sizeof(struct flag *));
    set->order = arena_array(&set->arena, slots + 1, sizeof(*set->order));
    set->by_key.numbers = arena_array(&set->arena, size, sizeof(*set->by_key.numbers));
    set->by_key.mask = size - 1;
    if (!set->slots || !set->order || !set->by_key.numbers) return -ERR_NO_MEMORY;
    memset(set->slots, 0, (slots + 1) * sizeof(struct flag *));
    memset(set->by_key.numbers, 0, size * sizeof(*set->by_key.numbers));
    return 0;
}

static int new_set(const struct snapshot_flags *from, struct slice environment, uint32_t slots,
                   struct snapshot_flags **ret) {
    _cleanup_(flags_unrefp) struct snapshot_flags *set = calloc(1, sizeof(*set));
    if (!set) return -ERR_NO_MEMORY;
    set->count = 1;
    set->environment = keep(set, environment);
    set->evaluators = keep(set, from ? from->evaluators : SLICE_LIT("{}"));
    set->metadata = keep(set, from ? from->metadata : SLICE_LIT("{}"));
    if (!set->environment.ptr || !set->evaluators.ptr || !set->metadata.ptr) return -ERR_NO_MEMORY;
    if (make_arrays(set, slots) < 0) return -ERR_NO_MEMORY;
    if (from) set->seq = from->seq;
    *ret = TAKE_PTR(set);
    return 0;
}

/* Flags in the slots, their order as `from` had it. Indexes and `reads_time` are made by settle(). */
static void share_flags(struct snapshot_flags *set, const struct snapshot_flags *from) {
    for (uint32_t i = 0; i < from->slot_count; i++)
        if (from->slots[i]) set->slots[i] = flag_ref(from->slots[i]);
    memcpy(set->order, from->order, from->flag_count * sizeof(*set->order));
    set->slot_count = from->slot_count;
    set->flag_count = from->flag_count;
}

static void settle(struct snapshot_flags *set) {
    set->reads_time = false;
    for (uint32_t i = 0; i < set->flag_count; i++) {
        const struct flag *flag = set->slots[set->order[i]];
        set->by_key.numbers[place_of(set, flag->key)] = set->order[i] + 1;
        set->reads_time |= flag->targeting && logic_reads(flag->targeting)->time;
    }
}

int flags_copy(const struct snapshot_flags *from, struct snapshot_flags **ret) {
    int r = new_set(from, from->environment, from->slot_count, ret);
    if (r < 0) return r;
    share_flags(*ret, from);
    settle(*ret);
    return 0;
}

/* ---- changing ---- */

/* Where in the order a key stands, or would. */
static uint32_t order_of(const struct snapshot_flags *set, struct slice key, bool *ret_found) {
    uint32_t low = 0, high = set->flag_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = slice_compare(set->slots[set->order[middle]]->key, key);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static uint32_t free_slot(struct snapshot_flags *set, uint32_t *next_free) {
    while (*next_free < set->slot_count && set->slots[*next_free])
        ++*next_free;
    if (*next_free == set->slot_count) set->slot_count++;
    return *next_free;
}

static void put_flag(struct snapshot_flags *set, struct flag *flag, uint32_t *next_free) {
    bool found;
    uint32_t at = order_of(set, flag->key, &found);
    if (found) {
        flag_unref(set->slots[set->order[at]]);
        set->slots[set->order[at]] = flag;
        return;
    }
    uint32_t slot = free_slot(set, next_free);
    set->slots[slot] = flag;
    memmove(set->order + at + 1, set->order + at, (set->flag_count - at) * sizeof(*set->order));
    set->order[at] = slot;
    set->flag_count++;
}

static void remove_flag(struct snapshot_flags *set, struct slice key, uint32_t *next_free) {
    bool found;
    uint32_t at = order_of(set, key, &found);
    if (!found) return;
    uint32_t slot = set->order[at];
    set->slots[slot] = flag_unref(set->slots[slot]);
    memmove(set->order + at, set->order + at + 1, (set->flag_count - at - 1) * sizeof(*set->order));
    set->flag_count--;
    if (slot < *next_free) *next_free = slot;
}

/* ---- from texts ---- */

struct shared {
    json_t *evaluators, *metadata;
};

static void shared_deinit(struct shared *shared) {
    json_decref(shared->evaluators);
    json_decref(shared->metadata);
}

/* *ret NULL: it is no JSON of that type. */
static int parse(struct slice text, json_type type, json_t **ret) {
    int r = json_parse(text.ptr, text.len, JSON_DEPTH_MAX, ret, NULL);
    if (r == 0 && json_typeof(*ret) != type) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r == -ERR_NO_MEMORY ? r : 0;
}

/* *ret NULL: this program cannot read it. */
static int read_flag(const struct snapshot_flag_spec *spec, const struct shared *shared, struct flag **ret) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    _cleanup_(json_decrefp) json_t *bindings = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    int r = parse(slice_of(spec->definition), JSON_OBJECT, &definition);
    if (r == 0) r = parse(slice_of(spec->bindings), JSON_ARRAY, &bindings);
    if (r < 0 || !definition || !bindings) return r;
    struct flag_source source = {spec->key, definition,         bindings,         "",
                                 "",        shared->evaluators, shared->metadata, spec->seq};
    r = flag_new(&source, ret, &faults, NULL);
    return r == -ERR_NO_MEMORY ? r : 0;
}

static int apply_one(struct snapshot_flags *set, const struct snapshot_flag_spec *spec, const struct shared *shared,
                     uint32_t *next_free, size_t *left_out) {
    struct flag *flag = NULL;
    int r = spec->definition ? read_flag(spec, shared, &flag) : 0;
    if (r < 0) return r;
    if (flag)
        put_flag(set, flag, next_free);
    else
        remove_flag(set, slice_of(spec->key), next_free);
    *left_out += spec->definition && !flag;
    return 0;
}

static int keep_told(struct snapshot_flags *set, json_t *metadata) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    flag_metadata_drop_reserved(metadata);
    if (json_compact(metadata, &text) < 0) return -ERR_NO_MEMORY;
    set->told = keep(set, (struct slice){text.data + 1, text.len - 2}); /* without the braces */
    return set->told.ptr ? 0 : -ERR_NO_MEMORY;
}

static int read_shared(struct snapshot_flags *set, const struct snapshot_flags_spec *spec, struct shared *ret) {
    if (spec->evaluators) set->evaluators = keep(set, slice_of(spec->evaluators));
    if (spec->metadata) set->metadata = keep(set, slice_of(spec->metadata));
    if (!set->evaluators.ptr || !set->metadata.ptr) return -ERR_NO_MEMORY;
    int r = parse(set->evaluators, JSON_OBJECT, &ret->evaluators);
    if (r == 0) r = parse(set->metadata, JSON_OBJECT, &ret->metadata);
    return r < 0 || !ret->metadata ? r : keep_told(set, ret->metadata);
}

int flags_change(const struct snapshot_flags *from, const struct snapshot_flags_spec *spec, size_t *ret_left_out,
                 struct snapshot_flags **ret) {
    _cleanup_(flags_unrefp) struct snapshot_flags *set = NULL;
    _cleanup_(shared_deinit) struct shared shared = {0};
    uint32_t slots = (from ? from->slot_count : 0) + (uint32_t)spec->count, next_free = 0;
    int r = new_set(from, slice_of(spec->environment), slots, &set);
    if (r < 0) return r;
    if (from) share_flags(set, from);
    r = read_shared(set, spec, &shared);
    *ret_left_out = 0;
    for (size_t i = 0; i < spec->count && r == 0; i++)
        r = apply_one(set, &spec->flags[i], &shared, &next_free, ret_left_out);
    if (r < 0) return r;
    if (spec->seq > set->seq) set->seq = spec->seq;
    settle(set);
    *ret = TAKE_PTR(set);
    return 0;
}
