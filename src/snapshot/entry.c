/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are made in one allocation: the struct, then all texts one after the other, each with its NUL, then the arrays. The
 * texts are first written into one string, in this order, and handed out again in the same order once their home is known:
 *
 *   agent/environment · decision head · ETag · deployment: id agent environment reason release created_by ·
 *   for each override: name · decision head · ETag · keys
 */
#include "base/jw.h"
#include "snapshot/snapshot_impl.h"

#include <inttypes.h>

#define SLOTS_MAX (UINT32_C(1) << 31)

static struct names entry_names(const struct item *item) {
    const struct snapshot_entry *shown = &((const struct entry *)item)->shown;
    return (struct names){shown->environment, shown->agent};
}

static void entry_fill(const struct item *item, struct record *record) {
    const struct snapshot_entry *shown = &((const struct entry *)item)->shown;
    record->extra = shown->version;
    record->mark = shown->override_count > 0;
}

static void entry_free(struct item *item) {
    struct entry *entry = (struct entry *)item;
    for (uint32_t i = 0; i < entry->version_count; i++)
        version_unref(entry->versions[i]);
    free(entry);
}

const struct table_kind entry_kind = {entry_names, entry_fill, entry_free};

struct entry *entry_unref(struct entry *entry) {
    if (entry && count_down(&entry->item.count)) entry_free(&entry->item);
    return NULL;
}

/* ---- texts ---- */

static void add_text(struct str *texts, const char *text) {
    if (text) str_add_text(texts, text);
    str_add_char(texts, '\0');
}

/* How a decision begins, up to the members that differ from one request to the next; and its ETag. */
static void add_head(struct str *texts, const struct deployment *deployment, const struct snapshot_version *version,
                     const char *override) {
    char hash[HASH_TEXT_SIZE];
    struct jw jw = JW_INIT(texts);
    jw_object(&jw, NULL);
    jw_text(&jw, "agent", deployment->agent);
    jw_text(&jw, "environment", deployment->environment);
    jw_int(&jw, "version", version->number);
    jw_text(&jw, "arm", "stable");
    sha256_text(&version->config_hash, hash);
    jw_text(&jw, "config_hash", hash);
    jw_text(&jw, "reason", override ? "OVERRIDE" : "DEPLOYED");
    if (override) jw_text(&jw, "override", override);
    str_add_char(texts, ',');
    str_add_char(texts, '\0');
    str_printf(texts, "W/\"%" PRId64 ".%" PRId64 "%s\"", deployment->seq, version->number, override ? ".OVERRIDE" : "");
    str_add_char(texts, '\0');
}

static const struct snapshot_version *version_of(const struct snapshot_version *const *versions, size_t count,
                                                 int64_t number) {
    for (size_t i = 0; i < count; i++)
        if (versions[i]->number == number) return versions[i];
    return NULL;
}

struct making {
    const struct snapshot_entry_spec *spec;
    const struct snapshot_version *const *versions;
    size_t version_count;
    size_t key_count, slot_count; /* over all overrides; slots are a power of two or 0 */
    struct str texts;
};

static void making_deinit(struct making *making) {
    str_deinit(&making->texts);
}

static void write_texts(struct making *making) {
    const struct deployment *deployment = &making->spec->deployment;
    struct str *texts = &making->texts;
    str_printf(texts, "%s/%s", deployment->agent, deployment->environment);
    str_add_char(texts, '\0');
    add_head(texts, deployment, version_of(making->versions, making->version_count, deployment->version), NULL);
    add_text(texts, deployment->id);
    add_text(texts, deployment->agent);
    add_text(texts, deployment->environment);
    add_text(texts, deployment->reason);
    add_text(texts, deployment->release);
    add_text(texts, deployment->created_by);
    for (size_t i = 0; i < making->spec->override_count; i++) {
        const struct snapshot_override_spec *override = making->spec->overrides + i;
        add_text(texts, override->name);
        add_head(texts, deployment, version_of(making->versions, making->version_count, override->version),
                 override->name);
        for (const char *const *key = override->keys; *key; key++, making->key_count++)
            add_text(texts, *key);
    }
}

static struct slice next_text(const char **at) {
    struct slice text = slice_of(*at);
    *at += text.len + 1;
    return text;
}

static void read_deployment(struct deployment *deployment, const char **at) {
    bool released = deployment->release != NULL;
    deployment->id = next_text(at).ptr;
    deployment->agent = next_text(at).ptr;
    deployment->environment = next_text(at).ptr;
    deployment->reason = next_text(at).ptr;
    deployment->release = next_text(at).ptr;
    if (!released) deployment->release = NULL;
    deployment->created_by = next_text(at).ptr;
}

/* ---- keys of overrides ---- */

/* Twice as many slots as keys, so that probing is short and ends. */
static int count_slots(struct making *making) {
    if (making->key_count == 0) return 0;
    if (making->key_count > SLOTS_MAX / 2 || making->spec->override_count > UINT32_MAX) return -ERR_NO_MEMORY;
    making->slot_count = 2;
    while (making->slot_count < making->key_count * 2)
        making->slot_count *= 2;
    return 0;
}

/* The slot of the key, or the free one where it belongs. */
static struct override_slot *slot_of(const struct entry *entry, struct slice key) {
    uint32_t hash = (uint32_t)text_hash(key);
    for (uint32_t i = hash & entry->slot_mask;; i = (i + 1) & entry->slot_mask) {
        struct override_slot *slot = entry->slots + i;
        if (!slot->key.ptr || (slot->hash == hash && slice_equal(slot->key, key))) return slot;
    }
}

static void read_keys(struct entry *entry, uint32_t override, const char **at) {
    for (uint32_t i = 0; i < entry->shown.overrides[override].key_count; i++) {
        struct slice key = next_text(at);
        struct override_slot *slot = slot_of(entry, key);
        if (slot->key.ptr) continue; /* an override earlier in the order of names has it */
        *slot = (struct override_slot){key, (uint32_t)text_hash(key), override};
    }
}

static uint32_t keys_length(const char *const *keys) {
    uint32_t count = 0;
    while (keys[count])
        count++;
    return count;
}

static void read_overrides(struct entry *entry, struct snapshot_override *overrides,
                           const struct snapshot_override_spec *specs, const char **at) {
    for (uint32_t i = 0; i < entry->shown.override_count; i++) {
        struct snapshot_override *override = overrides + i;
        override->version = version_of(entry->versions, entry->version_count, specs[i].version);
        override->key_count = keys_length(specs[i].keys);
        override->name = next_text(at);
        override->decision_head = next_text(at);
        override->etag = next_text(at);
        override->keys = *at;
        read_keys(entry, i, at);
    }
}

const struct snapshot_override *snapshot_entry_override(const struct snapshot_entry *entry,
                                                        struct slice targeting_key) {
    const struct entry *whole = entry_of(entry);
    if (!whole->slots) return NULL;
    const struct override_slot *slot = slot_of(whole, targeting_key);
    return slot->key.ptr ? entry->overrides + slot->override : NULL;
}

/* ---- the whole ---- */

static size_t round_up(size_t size, size_t unit) {
    return (size + unit - 1) / unit * unit;
}

/* The struct with its arrays in place, the texts copied, nothing else filled. NULL without memory. */
static struct entry *entry_alloc(const struct making *making, struct snapshot_override **ret_overrides) {
    size_t versions = round_up(sizeof(struct entry) + making->texts.len, _Alignof(struct override_slot));
    size_t overrides = versions + making->version_count * sizeof(struct snapshot_version *);
    size_t slots = overrides + making->spec->override_count * sizeof(struct snapshot_override);
    size_t size = round_up(slots + making->slot_count * sizeof(struct override_slot), CACHE_LINE);
    char *bytes = aligned_alloc(CACHE_LINE, size);
    if (!bytes) return NULL;
    memset(bytes, 0, size);

    struct entry *entry = (struct entry *)(void *)bytes;
    memcpy(entry->text, making->texts.data, making->texts.len);
    entry->versions = (const struct snapshot_version **)(void *)(bytes + versions);
    *ret_overrides = making->spec->override_count ? (struct snapshot_override *)(void *)(bytes + overrides) : NULL;
    if (making->slot_count) {
        entry->slots = (struct override_slot *)(void *)(bytes + slots);
        entry->slot_mask = (uint32_t)making->slot_count - 1;
    }
    return entry;
}

static void fill(struct entry *entry, const struct making *making, struct snapshot_override *overrides) {
    const struct snapshot_entry_spec *spec = making->spec;
    struct snapshot_entry *shown = &entry->shown;
    const char *at = entry->text;

    for (size_t i = 0; i < making->version_count; i++) {
        entry->versions[i] = making->versions[i];
        version_ref(entry->versions[i]);
    }
    entry->version_count = (uint32_t)making->version_count;
    *shown = (struct snapshot_entry){
        .version = version_of(making->versions, making->version_count, spec->deployment.version),
        .overrides = overrides,
        .override_count = (uint32_t)spec->override_count,
        .held = spec->held,
        .deployment = spec->deployment,
    };
    struct slice salt = next_text(&at);
    shown->decision_head = next_text(&at);
    shown->etag = next_text(&at);
    read_deployment(&shown->deployment, &at);
    read_overrides(entry, overrides, spec->overrides, &at);
    shown->agent = (struct slice){salt.ptr, strlen(shown->deployment.agent)};
    shown->environment = (struct slice){salt.ptr + shown->agent.len + 1, strlen(shown->deployment.environment)};
    entry->item.hash = pair_hash(text_hash(shown->environment), text_hash(shown->agent));
    entry->item.count = 1;
}

int entry_new(const struct snapshot_entry_spec *spec, const struct snapshot_version *const *versions,
              size_t version_count, struct entry **ret) {
    _cleanup_(making_deinit) struct making making = {
        .spec = spec, .versions = versions, .version_count = version_count};
    write_texts(&making);
    int r = count_slots(&making);
    if (r < 0) return r;
    struct snapshot_override *overrides;
    struct entry *entry = making.texts.failed ? NULL : entry_alloc(&making, &overrides);
    if (!entry) return -ERR_NO_MEMORY;
    fill(entry, &making, overrides);
    *ret = entry;
    return 0;
}
