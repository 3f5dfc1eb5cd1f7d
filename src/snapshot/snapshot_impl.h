/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of snapshot share: counted objects, the persistent table, the rosters, the making of entries and keys.
 *
 * Copy on write goes by stamps. Every edit has a stamp one above its base's, and what it copies or makes carries the edit's stamp.
 * An edit sees only objects of its base's ancestry (lower stamps) and its own, so "is this mine to change?" is one comparison.
 *
 * "prepare" functions do all that can fail and change nothing that a reader could see; what follows them cannot fail.
 */
#ifndef SERIN_SNAPSHOT_SNAPSHOT_IMPL_H
#define SERIN_SNAPSHOT_SNAPSHOT_IMPL_H

#include "snapshot/snapshot.h"

#include <stdatomic.h>
#include <string.h>

#define CACHE_LINE 64

static inline void count_up(atomic_uint *count) {
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/* True for the one who must free the object. */
static inline bool count_down(atomic_uint *count) {
    return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}

/* -1, 0 or 1 by bytes, a prefix first: the order in which SQL gives names, too. */
int slice_compare(struct slice a, struct slice b);

/* ---- hashes of the in-memory tables: never stored, never shown ---- */

__extension__ typedef unsigned __int128 uint128;

/* Both halves of a full product: one multiplication that carries every bit of both factors into every bit of the result. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b) {
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_load(const char *p, size_t len) {
    uint64_t word = 0;
    memcpy(&word, p, len);
    return word;
}

static inline uint64_t text_hash(struct slice text) {
    const uint64_t k0 = UINT64_C(0x9e3779b97f4a7c15), k1 = UINT64_C(0xd1b54a32d192ed03);
    const char *p = text.ptr;
    size_t rest = text.len;
    uint64_t hash = k0 ^ text.len;
    for (; rest > 16; rest -= 16, p += 16)
        hash = hash_fold(hash_load(p, 8) ^ hash, hash_load(p + 8, 8) ^ k1);
    uint64_t a = 0, b = 0;
    if (rest >= 8) {
        a = hash_load(p, 8);
        b = hash_load(p + rest - 8, 8);
    } else if (rest >= 4) {
        a = hash_load(p, 4);
        b = hash_load(p + rest - 4, 4);
    } else if (rest) {
        a = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[rest / 2] << 8 | (uint8_t)p[rest - 1];
    }
    return hash_fold(hash_fold(a ^ hash, b ^ k1), k0);
}

/* Of an entry, from the hashes of its two names. */
static inline uint64_t pair_hash(uint64_t environment, uint64_t agent) {
    return environment ^ (agent << 23 | agent >> 41);
}

/* ---- table.c: the persistent hash table ---- */

/* The start of everything that a table holds. */
struct item {
    uint64_t hash;
    atomic_uint count;
};

/* What an item is found by: one name, or two that belong together. */
struct names {
    struct slice first, second;
};

/* One cache line: all that a lookup needs, so that the item itself is not touched. */
struct record {
    struct item *item;  /* NULL: free */
    const void *extra;  /* the kind's own */
    uint32_t hash;      /* other bits than those that lead here */
    uint8_t mark;       /* the kind's own */
    uint8_t first, all; /* lengths of the first name and of both; `all` RECORD_ELSEWHERE: they are not in `text` */
    char text[41];      /* both names, nothing between them */
};
_Static_assert(sizeof(struct record) == CACHE_LINE, "a record is one cache line");
#define RECORD_ELSEWHERE UINT8_MAX

struct table_kind {
    struct names (*names)(const struct item *item);
    void (*fill)(const struct item *item, struct record *record); /* extra and mark */
    void (*free)(struct item *item);
};

struct table {
    atomic_uint count;
    unsigned depth, shift; /* 1 << depth pages, chosen by hash >> shift */
    size_t size;           /* items */
    uint64_t stamp;
    const struct table_kind *kind;
    uintptr_t pages[]; /* struct page *, with log2 of its slots in the low bits */
};

/* Slots are found by linear probing from the low bits of the hash. A slot is the number of a record plus one, and a tag from
 * the hash; 0 = free. Records lie without gaps, which is what keeps the working set of lookups small. */
struct page {
    atomic_uint count;                   /* how many directory slots point here, over all tables */
    unsigned depth;                      /* leading bits that the hashes of its items share */
    uint32_t used, capacity, log2_slots; /* records */
    uint64_t stamp;
    _Alignas(CACHE_LINE) uint16_t slots[]; /* 1 << log2_slots; then the records */
};

#define PAGE_LOG2_MIN 6u
#define PAGE_LOG2_MAX 10u
#define PAGE_LOG2_MASK ((uintptr_t)CACHE_LINE - 1)
#define SLOT_NUMBER ((1u << PAGE_LOG2_MAX) - 1)

static inline struct page *page_of(uintptr_t ref) {
    return (struct page *)(ref & ~PAGE_LOG2_MASK);
}

static inline struct record *page_records(struct page *page, unsigned log2_slots) {
    return (struct record *)(void *)(page->slots + ((size_t)1 << log2_slots));
}

static inline bool bytes_same(const char *a, struct slice b) {
    return b.len == 0 || memcmp(a, b.ptr, b.len) == 0;
}

static inline uint32_t record_hash(uint64_t hash) {
    return (uint32_t)(hash >> 16);
}

static inline unsigned slot_tag(uint64_t hash) {
    return (unsigned)(hash >> 16) & (UINT16_MAX & ~SLOT_NUMBER);
}

static inline bool record_is(const struct table *table, const struct record *record, uint64_t hash,
                             struct names names) {
    if (record->hash != record_hash(hash)) return false;
    if (record->all != RECORD_ELSEWHERE)
        return record->first == names.first.len && record->all == names.first.len + names.second.len &&
               bytes_same(record->text, names.first) && bytes_same(record->text + record->first, names.second);
    struct names own = table->kind->names(record->item);
    return slice_equal(own.first, names.first) && slice_equal(own.second, names.second);
}

static inline struct record *table_find(const struct table *table, uint64_t hash, struct names names) {
    uintptr_t ref = table->pages[hash >> table->shift];
    unsigned log2_slots = ref & PAGE_LOG2_MASK, tag = slot_tag(hash);
    const uint16_t *slots = page_of(ref)->slots;
    struct record *records = page_records(page_of(ref), log2_slots);
    uint64_t mask = (UINT64_C(1) << log2_slots) - 1;
    for (uint64_t i = hash & mask; slots[i]; i = (i + 1) & mask) {
        if ((slots[i] & ~SLOT_NUMBER) != tag) continue;
        struct record *record = records + (slots[i] & SLOT_NUMBER) - 1;
        if (record_is(table, record, hash, names)) return record;
    }
    return NULL;
}

int table_new(const struct table_kind *kind, struct table **ret) MUST_CHECK;
struct table *table_ref(struct table *table);
struct table *table_unref(struct table *table);
/* Makes `*table` (by a copy in its place, if need be) and the page for `hash` the edit's own, with room for one more item. */
int table_prepare(struct table **table, uint64_t hash, uint64_t stamp) MUST_CHECK;
/* After table_prepare() for item->hash: takes over the item; drops the one that it replaces. */
void table_put(struct table *table, struct item *item);

/* ---- roster.c: which agents an environment serves, in order of name ---- */

struct named {
    struct item item;
    struct slice name;
    char text[];
};
extern const struct table_kind named_kind;
int named_new(struct slice name, struct named **ret) MUST_CHECK;
struct named *named_find(const struct table *table, struct slice name);

/* Agents are borrowed from the table of agents, which never loses one. */
struct roster {
    atomic_uint count;
    uint64_t stamp;
    struct named *environment; /* counted */
    size_t used, capacity;
    const struct named *agents[];
};

struct rosters {
    atomic_uint count;
    uint64_t stamp;
    size_t used, capacity;
    struct roster *items[]; /* in order of environment */
};

int rosters_new(struct rosters **ret) MUST_CHECK;
struct rosters *rosters_ref(struct rosters *rosters);
struct rosters *rosters_unref(struct rosters *rosters);
struct roster *rosters_find(const struct rosters *rosters, struct slice environment);

/* The place of a name in the rosters of an edit. */
struct roster_place {
    struct roster *roster; /* the edit's own, with room for one more agent */
    size_t index;
    bool fresh; /* not yet among the rosters */
};
int rosters_prepare(struct rosters **rosters, struct slice environment, uint64_t stamp,
                    struct roster_place *ret) MUST_CHECK;
void rosters_put(struct rosters *rosters, struct roster_place *place);
void roster_place_deinit(struct roster_place *place); /* drops a fresh roster that was not put */
void roster_add(struct roster *roster, const struct named *agent);

/* ---- entry.c ---- */

struct entry {
    struct item item;
    uint32_t version_count, slot_mask;
    const struct snapshot_version **versions; /* counted; each once, in order of number */
    struct override_slot *slots;              /* of all override keys, slot_mask + 1 of them; NULL without keys */
    struct logic_rule **rules;                /* owned: audiences, each once */
    size_t rule_count;
    struct snapshot_entry shown;
    char text[]; /* right behind `shown`, as snapshot.h promises */
};

struct override_slot {
    struct slice key; /* ptr NULL: free */
    uint32_t hash;
    uint32_t override; /* index */
};

/* Marks of an entry's record: `extra` is then its `beside`, else its version; and there are overrides. */
#define MARK_BESIDE 1
#define MARK_OVERRIDES 2

extern const struct table_kind entry_kind;

static inline struct entry *entry_of(const struct snapshot_entry *shown) {
    return (struct entry *)(void *)((char *)(uintptr_t)shown - offsetof(struct entry, shown));
}

/* `versions` are all that the spec needs, each once, in order of number; the entry counts itself in. */
int entry_new(const struct snapshot_entry_spec *spec, const struct snapshot_version *const *versions,
              size_t version_count, struct entry **ret) MUST_CHECK;
struct entry *entry_unref(struct entry *entry);
DEFINE_CLEANUP(struct entry *, entry_unref)

/* An entry in the making: its texts, in the order in which they are handed out again, and the compiled audiences. */
#define RULES_MAX (SESSION_ERAS_MAX + 1 + OVERRIDE_AUDIENCES_MAX)
struct making {
    const struct snapshot_entry_spec *spec;
    const struct snapshot_version *const *versions;
    size_t version_count;
    size_t key_count, slot_count; /* over all overrides; slots are a power of two or 0 */
    struct str texts;
    struct logic_rule *rules[RULES_MAX]; /* until an entry takes them over */
    const char *rule_texts[RULES_MAX];
    size_t rule_count;
};
const struct snapshot_version *making_version(const struct making *making, int64_t number);
/* How a decision begins; `version` &snapshot_disabled says so. `key` with its value is one member more; NULL: none. */
struct head_words {
    const struct snapshot_version *version;
    bool candidate;
    const char *reason, *key, *value;
    const char *tag; /* what the ETag has behind version and rollout */
};
void making_add_head(struct making *making, const struct head_words *words);
void making_add_text(struct making *making, const char *text); /* NULL as "" */
/* What this text was compiled to; NULL: it is NULL, empty, or one too many. */
const struct logic_rule *making_rule(const struct making *making, const char *text);
struct slice next_text(const char **at);
struct snapshot_head next_head(const char **at);

/* ---- entry_beside.c ---- */

bool beside_is_needed(const struct snapshot_entry_spec *spec);
int beside_compile(struct making *making) MUST_CHECK;
void beside_write_texts(struct making *making);
/* The same texts in the same order, into place; `beside` NULL: not needed. `panic` stands behind it. */
void beside_read(const struct making *making, struct snapshot_beside *beside, struct snapshot_panic *panic,
                 struct snapshot_era *eras, const char **at);

int version_new(const struct version *from, const struct snapshot_version **ret) MUST_CHECK;
void version_ref(const struct snapshot_version *version);
void version_unref(const struct snapshot_version *version);

/* ---- keys.c ---- */

struct key_set {
    atomic_uint count;
    struct arena arena;
    uint64_t generation;
    size_t used;
    struct snapshot_key *by_id;          /* sorted by id */
    const struct snapshot_key **by_hash; /* sorted by secret_hash */
};

/* *ret is NULL when no key is in force. */
int key_set_new(const struct key *keys, size_t count, struct key_set **ret, struct err *err) MUST_CHECK;
struct key_set *key_set_ref(struct key_set *set);   /* takes NULL */
struct key_set *key_set_unref(struct key_set *set); /* takes NULL */

/* ---- snapshot.c ---- */

struct snapshot {
    struct table *entries, *agents;
    struct rosters *rosters;
    struct key_set *keys;    /* NULL: none in force */
    struct flag_sets *flags; /* NULL: no environment has any */
    struct position position;
    char position_text[POSITION_TEXT_SIZE];
    size_t position_len;
    uint64_t stamp;
    atomic_uint count;
};

size_t snapshot_edit_agents(const struct snapshot_edit *edit);
size_t snapshot_edit_environments(const struct snapshot_edit *edit);
/* The version of that number that the entry serves to anybody, or NULL. `entry` may be NULL. */
const struct snapshot_version *entry_version(const struct snapshot_entry *entry, int64_t number);

#endif
