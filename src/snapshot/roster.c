/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order. The table answers "what does this environment serve for this agent" and knows no order; a roster lists an environment's agents by
 * name, so that a reader goes through them without sorting. It changes only when an agent is first served there: a
 * deploy of an agent that is already listed shares the roster as it is. Filling one in order of name, as the store does,
 * appends.
 */
#include "snapshot/snapshot_impl.h"

#define ROSTER_FIRST 8

int slice_compare(struct slice a, struct slice b) {
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.ptr, b.ptr, shorter) : 0;
    if (order) return order;
    return (a.len > b.len) - (a.len < b.len);
}

static struct names named_names(const struct item *item) {
    return (struct names){.first = ((const struct named *)item)->name};
}

static void named_fill(const struct item *item, struct record *record) {
}

static void named_free(struct item *item) {
    free(item);
}

const struct table_kind named_kind = {named_names, named_fill, named_free};

int named_new(struct slice name, struct named **ret) {
    struct named *named = malloc(sizeof(*named) + name.len + 1);
    if (!named) return -ERR_NO_MEMORY;
    *named = (struct named){.item = {text_hash(name), 1}, .name = {named->text, name.len}};
    if (name.len) memcpy(named->text, name.ptr, name.len);
    named->text[name.len] = '\0';
    *ret = named;
    return 0;
}

struct named *named_find(const struct table *table, struct slice name) {
    const struct record *record = table_find(table, text_hash(name), (struct names){.first = name});
    return record ? (struct named *)record->item : NULL;
}

static void named_unref(struct named *named) {
    if (count_down(&named->item.count)) free(named);
}

static struct roster *roster_unref(struct roster *roster) {
    if (!count_down(&roster->count)) return NULL;
    named_unref(roster->environment);
    free(roster);
    return NULL;
}

/* Takes a count of `environment`. */
static struct roster *roster_new(struct named *environment, size_t capacity, uint64_t stamp) {
    struct roster *roster = malloc(sizeof(*roster) + capacity * sizeof(struct named *));
    if (!roster) return NULL;
    *roster = (struct roster){.count = 1, .stamp = stamp, .environment = environment, .capacity = capacity};
    count_up(&environment->item.count);
    return roster;
}

static struct roster *roster_new_named(struct slice environment, uint64_t stamp) {
    struct named *named = NULL;
    if (named_new(environment, &named) < 0) return NULL;
    struct roster *roster = roster_new(named, ROSTER_FIRST, stamp);
    named_unref(named);
    return roster;
}

/* Makes the roster the edit's own, with room for one more. */
static int roster_prepare(struct roster **roster, uint64_t stamp) {
    struct roster *from = *roster;
    if (from->stamp == stamp && from->used < from->capacity) return 0;
    size_t capacity = from->used < from->capacity ? from->capacity : from->capacity * 2;
    struct roster *copy = roster_new(from->environment, capacity, stamp);
    if (!copy) return -ERR_NO_MEMORY;
    memcpy(copy->agents, from->agents, from->used * sizeof(struct named *));
    copy->used = from->used;
    roster_unref(from);
    *roster = copy;
    return 0;
}

void roster_add(struct roster *roster, const struct named *agent) {
    size_t at = roster->used, low = 0;
    if (at && slice_compare(roster->agents[at - 1]->name, agent->name) > 0) {
        while (low < at) {
            size_t middle = low + (at - low) / 2;
            if (slice_compare(roster->agents[middle]->name, agent->name) < 0)
                low = middle + 1;
            else
                at = middle;
        }
    }
    memmove(roster->agents + at + 1, roster->agents + at, (roster->used - at) * sizeof(struct named *));
    roster->agents[at] = agent;
    roster->used++;
}

static struct rosters *rosters_alloc(size_t capacity, uint64_t stamp) {
    struct rosters *rosters = malloc(sizeof(*rosters) + capacity * sizeof(struct roster *));
    if (rosters) *rosters = (struct rosters){.count = 1, .stamp = stamp, .capacity = capacity};
    return rosters;
}

int rosters_new(struct rosters **ret) {
    *ret = rosters_alloc(ROSTER_FIRST, 0);
    return *ret ? 0 : -ERR_NO_MEMORY;
}

struct rosters *rosters_ref(struct rosters *rosters) {
    count_up(&rosters->count);
    return rosters;
}

struct rosters *rosters_unref(struct rosters *rosters) {
    if (!rosters || !count_down(&rosters->count)) return NULL;
    for (size_t i = 0; i < rosters->used; i++)
        roster_unref(rosters->items[i]);
    free(rosters);
    return NULL;
}

/* Where the environment is, or would be. */
static size_t rosters_index(const struct rosters *rosters, struct slice environment, bool *ret_found) {
    size_t low = 0, high = rosters->used;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(rosters->items[middle]->environment->name, environment);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct roster *rosters_find(const struct rosters *rosters, struct slice environment) {
    bool found;
    size_t index = rosters_index(rosters, environment, &found);
    return found ? rosters->items[index] : NULL;
}

/* Makes the list the edit's own, with room for one more. */
static int rosters_own(struct rosters **rosters, uint64_t stamp) {
    struct rosters *from = *rosters;
    if (from->stamp == stamp && from->used < from->capacity) return 0;
    size_t capacity = from->used < from->capacity ? from->capacity : from->capacity * 2;
    struct rosters *copy = rosters_alloc(capacity, stamp);
    if (!copy) return -ERR_NO_MEMORY;
    for (size_t i = 0; i < from->used; i++) {
        copy->items[i] = from->items[i];
        count_up(&copy->items[i]->count);
    }
    copy->used = from->used;
    rosters_unref(from);
    *rosters = copy;
    return 0;
}

int rosters_prepare(struct rosters **rosters, struct slice environment, uint64_t stamp, struct roster_place *ret) {
    int r = rosters_own(rosters, stamp);
    if (r < 0) return r;

    bool found;
    struct roster_place place = {.index = rosters_index(*rosters, environment, &found)};
    place.fresh = !found;
    if (found) {
        r = roster_prepare(&(*rosters)->items[place.index], stamp);
        if (r < 0) return r;
        place.roster = (*rosters)->items[place.index];
    } else {
        place.roster = roster_new_named(environment, stamp);
        if (!place.roster) return -ERR_NO_MEMORY;
    }
    *ret = place;
    return 0;
}

void rosters_put(struct rosters *rosters, struct roster_place *place) {
    if (!place->fresh) return;
    struct roster **at = rosters->items + place->index;
    memmove(at + 1, at, (rosters->used - place->index) * sizeof(struct roster *));
    *at = place->roster;
    rosters->used++;
    place->fresh = false;
}

void roster_place_deinit(struct roster_place *place) {
    if (place->fresh) roster_unref(place->roster);
}
