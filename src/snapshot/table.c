/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The persistent hash table: extendible hashing with copy on write.
 *
 * The leading bits of a hash choose a slot of the directory, the slot names a page, and inside the page the record is found from the
 * trailing bits. A page that is full is split in two by one more leading bit; only when it was alone with all its bits
 * does the directory double. So growth, too, costs one page and at most a copy of the directory, and a change to a table
 * of any size is never a rebuild. An edit copies the directory once and each page that it touches once; all other
 * pages, and all items, are shared with the base and counted.
 *
 * What a lookup waits for is memory, so it reads little: one directory slot, one line of a page's slots, and one record, which
 * is a cache line with the (short) names inside. The item is touched only when its names are long. Records lie
 * without gaps, and the number of slots comes with the pointer, not from the page's head.
 *
 * Names whose hashes share long prefixes could make the directory double without end: while it is large for
 * the items it holds, a full page gets more slots instead, as far as they go. Such a table is slower and hardly larger.
 */
#include "snapshot/snapshot_impl.h"

#define RECORDS_AT_ONCE 8
#define DEPTH_MAX 20

static uintptr_t page_ref(const struct page *page) {
    return (uintptr_t)page | page->log2_slots;
}

static struct record *records_of(struct page *page) {
    return page_records(page, page->log2_slots);
}

/* Three quarters: probing stays short and always meets a free slot. */
static uint32_t page_limit(unsigned log2_slots) {
    return (UINT32_C(1) << log2_slots) / 4 * 3;
}

/* Room for `records` and for a few more. */
static struct page *page_new(unsigned depth, unsigned log2_slots, uint32_t records, uint64_t stamp) {
    uint32_t capacity = records / RECORDS_AT_ONCE * RECORDS_AT_ONCE + RECORDS_AT_ONCE;
    size_t head = sizeof(struct page) + (sizeof(uint16_t) << log2_slots),
           size = head + capacity * sizeof(struct record);
    struct page *page = aligned_alloc(CACHE_LINE, size);
    if (!page) return NULL;
    memset(page, 0, head);
    page->depth = depth;
    page->capacity = capacity;
    page->log2_slots = log2_slots;
    page->stamp = stamp;
    return page;
}

static void page_free(struct page *page, const struct table_kind *kind) {
    for (uint32_t i = 0; i < page->used; i++) {
        struct item *item = records_of(page)[i].item;
        if (count_down(&item->count)) kind->free(item);
    }
    free(page);
}

static void page_unref(struct page *page, const struct table_kind *kind) {
    if (count_down(&page->count)) page_free(page, kind);
}

/* A record with a slot that leads to it, to be filled. There is room. */
static struct record *page_add(struct page *page, uint64_t hash) {
    uint64_t mask = (UINT64_C(1) << page->log2_slots) - 1, i = hash & mask;
    while (page->slots[i])
        i = (i + 1) & mask;
    page->slots[i] = (uint16_t)(++page->used | slot_tag(hash));
    return records_of(page) + page->used - 1;
}

static void record_fill(struct record *record, struct item *item, const struct table_kind *kind) {
    struct names names = kind->names(item);
    *record = (struct record){.item = item, .hash = record_hash(item->hash), .all = RECORD_ELSEWHERE};
    kind->fill(item, record);
    if (names.first.len > sizeof(record->text) || names.second.len > sizeof(record->text) - names.first.len) return;
    record->first = (uint8_t)names.first.len;
    record->all = (uint8_t)(names.first.len + names.second.len);
    if (names.first.len) memcpy(record->text, names.first.ptr, names.first.len);
    if (names.second.len) memcpy(record->text + names.first.len, names.second.ptr, names.second.len);
}

/* Which half an item goes to when a page of that depth is split. */
static unsigned side_of(const struct item *item, unsigned depth) {
    return (unsigned)(item->hash >> (63 - depth)) & 1;
}

struct derived {
    unsigned depth, log2_slots;
    unsigned side; /* which half, when the depth is another */
    uint64_t stamp;
};

static bool goes_over(struct page *from, const struct derived *how, uint32_t i) {
    return how->depth == from->depth || side_of(records_of(from)[i].item, from->depth) == how->side;
}

/* A new page with the items of another, or with half of them. */
static struct page *page_derive(struct page *from, struct derived how) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < from->used; i++)
        count += goes_over(from, &how, i);
    struct page *page = page_new(how.depth, how.log2_slots, count, how.stamp);
    if (!page) return NULL;
    for (uint32_t i = 0; i < from->used; i++) {
        struct record *record = records_of(from) + i;
        if (!goes_over(from, &how, i)) continue;
        count_up(&record->item->count);
        *page_add(page, record->item->hash) = *record;
    }
    return page;
}

/* The directory slots of a page are neighbours: they share its leading bits. */
static size_t page_span(const struct table *table, const struct page *page) {
    return (size_t)1 << (table->depth - page->depth);
}

static size_t first_slot(const struct table *table, const struct page *page, uint64_t hash) {
    return (size_t)(hash >> table->shift) & ~(page_span(table, page) - 1);
}

static void table_set(struct table *table, size_t from, size_t count, struct page *page) {
    for (size_t i = from; i < from + count; i++) {
        count_up(&page->count);
        page_unref(page_of(table->pages[i]), table->kind);
        table->pages[i] = page_ref(page);
    }
}

static int page_replace(struct table *table, struct page *page, uint64_t hash, unsigned log2_slots) {
    struct page *copy = page_derive(page, (struct derived){page->depth, log2_slots, 0, table->stamp});
    if (!copy) return -ERR_NO_MEMORY;
    table_set(table, first_slot(table, page, hash), page_span(table, page), copy);
    return 0;
}

static int page_split(struct table *table, struct page *page, uint64_t hash) {
    struct derived how = {page->depth + 1, page->log2_slots, 0, table->stamp};
    struct page *low = page_derive(page, how);
    how.side = 1;
    struct page *high = low ? page_derive(page, how) : NULL;
    if (!high) {
        if (low) page_free(low, table->kind);
        return -ERR_NO_MEMORY;
    }
    size_t first = first_slot(table, page, hash), half = page_span(table, page) / 2;
    table_set(table, first, half, low);
    table_set(table, first + half, half, high);
    return 0;
}

static struct table *table_alloc(const struct table_kind *kind, unsigned depth, uint64_t stamp) {
    struct table *table = malloc(sizeof(*table) + (sizeof(table->pages[0]) << depth));
    if (!table) return NULL;
    *table = (struct table){.count = 1, .depth = depth, .shift = 64 - depth, .stamp = stamp, .kind = kind};
    return table;
}

int table_new(const struct table_kind *kind, struct table **ret) {
    struct page *page = page_new(0, PAGE_LOG2_MIN, 0, 0);
    struct table *table = page ? table_alloc(kind, 1, 0) : NULL;
    if (!table) {
        free(page);
        return -ERR_NO_MEMORY;
    }
    table->pages[0] = table->pages[1] = page_ref(page);
    page->count = 2;
    *ret = table;
    return 0;
}

struct table *table_ref(struct table *table) {
    count_up(&table->count);
    return table;
}

struct table *table_unref(struct table *table) {
    if (!table || !count_down(&table->count)) return NULL;
    for (size_t i = 0; i < (size_t)1 << table->depth; i++)
        page_unref(page_of(table->pages[i]), table->kind);
    free(table);
    return NULL;
}

/* Puts a copy that belongs to the edit, `more` levels deeper, in the place of the caller's reference. */
static int table_copy(struct table **table, unsigned more, uint64_t stamp) {
    struct table *from = *table, *copy = table_alloc(from->kind, from->depth + more, stamp);
    if (!copy) return -ERR_NO_MEMORY;
    copy->size = from->size;
    for (size_t i = 0; i < (size_t)1 << copy->depth; i++) {
        copy->pages[i] = from->pages[i >> more];
        count_up(&page_of(copy->pages[i])->count);
    }
    table_unref(from);
    *table = copy;
    return 0;
}

/* One step towards room in a page that has none. */
static int make_room(struct table **table, struct page *page, uint64_t hash, uint64_t stamp) {
    bool small_directory = (size_t)2 << (*table)->depth <= (*table)->size / 4;
    if (page->depth < (*table)->depth) return page_split(*table, page, hash);
    if (!small_directory && page->log2_slots < PAGE_LOG2_MAX)
        return page_replace(*table, page, hash, page->log2_slots + 1);
    if ((*table)->depth < DEPTH_MAX) return table_copy(table, 1, stamp);
    return -ERR_NO_MEMORY;
}

int table_prepare(struct table **table, uint64_t hash, uint64_t stamp) {
    int r = (*table)->stamp == stamp ? 0 : table_copy(table, 0, stamp);
    while (r == 0) {
        struct page *page = page_of((*table)->pages[hash >> (*table)->shift]);
        bool room = page->used < page_limit(page->log2_slots);
        if (room && page->stamp == stamp && page->used < page->capacity) return 0;
        r = room ? page_replace(*table, page, hash, page->log2_slots) : make_room(table, page, hash, stamp);
    }
    return r;
}

void table_put(struct table *table, struct item *item) {
    struct record *record = table_find(table, item->hash, table->kind->names(item));
    struct item *old = record ? record->item : NULL;
    if (!record) {
        record = page_add(page_of(table->pages[item->hash >> table->shift]), item->hash);
        table->size++;
    }
    record_fill(record, item, table->kind);
    if (old && count_down(&old->count)) table->kind->free(old);
}
