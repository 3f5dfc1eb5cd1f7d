/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are made in one allocation: the struct, then all texts one after the other, each with its NUL, then the arrays. The
 * texts are first written into one string, in this order, and handed out again in the same order once their home is known:
 *
 *   agent/environment · head · deployment: id agent environment reason release created_by · what entry_beside.c has ·
 *   for each override: name · head · keys · audience
 *
 * A head is two texts: how a decision begins, and its ETag.
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
    record->mark = (shown->beside ? MARK_BESIDE : 0) | (shown->override_count ? MARK_OVERRIDES : 0);
    record->extra = shown->beside ? (const void *)shown->beside : shown->version;
}

static void entry_free(struct item *item) {
    struct entry *entry = (struct entry *)item;
    for (uint32_t i = 0; i < entry->version_count; i++)
        version_unref(entry->versions[i]);
    for (size_t i = 0; i < entry->rule_count; i++)
        logic_free(entry->rules[i]);
    free(entry);
}

const struct table_kind entry_kind = {entry_names, entry_fill, entry_free};

struct entry *entry_unref(struct entry *entry) {
    if (entry && count_down(&entry->item.count)) entry_free(&entry->item);
    return NULL;
}

/* ---- texts ---- */

void making_add_text(struct making *making, const char *text) {
    if (text) str_add_text(&making->texts, text);
    str_add_char(&making->texts, '\0');
}

static void add_etag(struct making *making, const struct head_words *words) {
    const struct snapshot_entry_spec *spec = making->spec;
    str_printf(&making->texts, "W/\"%" PRId64 ".%" PRId64, spec->deployment.seq, words->version->number);
    if (spec->rollout) str_printf(&making->texts, ".%" PRId64, spec->rollout->seq);
    str_add_text(&making->texts, words->tag);
    str_add_char(&making->texts, '"');
    str_add_char(&making->texts, '\0');
}

void making_add_head(struct making *making, const struct head_words *words) {
    const struct deployment *deployment = &making->spec->deployment;
    const struct snapshot_version *version = words->version;
    struct jw jw = JW_INIT(&making->texts);
    jw_object(&jw, NULL);
    jw_text(&jw, "agent", deployment->agent);
    jw_text(&jw, "environment", deployment->environment);
    jw_int(&jw, "version", version->number);
    jw_text(&jw, "arm", words->candidate ? "candidate" : "stable");
    if (version != &snapshot_disabled) {
        char hash[HASH_TEXT_SIZE];
        sha256_text(&version->config_hash, hash);
        jw_text(&jw, "config_hash", hash);
    }
    jw_text(&jw, "reason", words->reason);
    if (version == &snapshot_disabled) jw_bool(&jw, "disabled", true);
    if (words->key) jw_text(&jw, words->key, words->value);
    str_add_char(&making->texts, ',');
    str_add_char(&making->texts, '\0');
    add_etag(making, words);
}

const struct snapshot_version *making_version(const struct making *making, int64_t number) {
    for (size_t i = 0; i < making->version_count; i++)
        if (making->versions[i]->number == number) return making->versions[i];
    abort(); /* needed_numbers() left out one that the spec names */
}

static void making_deinit(struct making *making) {
    for (size_t i = 0; i < making->rule_count; i++)
        logic_free(making->rules[i]);
    str_deinit(&making->texts);
}

/* Who is put on the candidate by name is on its arm, without being counted. */
static void write_override(struct making *making, const struct snapshot_override_spec *override) {
    const struct rollout *rollout = making->spec->rollout;
    making_add_text(making, override->name);
    making_add_head(making, &(struct head_words){.version = making_version(making, override->version),
                                                 .candidate = rollout && rollout->candidate == override->version,
                                                 .reason = "OVERRIDE",
                                                 .key = "override",
                                                 .value = override->name,
                                                 .tag = ".OVERRIDE"});
    for (const char *const *key = override->keys; *key; key++, making->key_count++)
        making_add_text(making, *key);
    making_add_text(making, override->audience);
}

static void write_texts(struct making *making) {
    const struct deployment *deployment = &making->spec->deployment;
    str_printf(&making->texts, "%s/%s", deployment->agent, deployment->environment);
    str_add_char(&making->texts, '\0');
    making_add_head(making, &(struct head_words){.version = making_version(making, deployment->version),
                                                 .reason = making->spec->rollout ? "ROLLOUT" : "DEPLOYED",
                                                 .tag = ""});
    making_add_text(making, deployment->id);
    making_add_text(making, deployment->agent);
    making_add_text(making, deployment->environment);
    making_add_text(making, deployment->reason);
    making_add_text(making, deployment->release);
    making_add_text(making, deployment->created_by);
    beside_write_texts(making);
    for (size_t i = 0; i < making->spec->override_count; i++)
        write_override(making, making->spec->overrides + i);
}

struct slice next_text(const char **at) {
    struct slice text = {*at, strlen(*at)};
    *at += text.len + 1;
    return text;
}

struct snapshot_head next_head(const char **at) {
    struct snapshot_head head;
    head.text = next_text(at);
    head.etag = next_text(at);
    return head;
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

static void read_overrides(struct entry *entry, const struct making *making, struct snapshot_override *overrides,
                           const char **at) {
    const struct snapshot_override_spec *specs = making->spec->overrides;
    for (uint32_t i = 0; i < entry->shown.override_count; i++) {
        struct snapshot_override *override = overrides + i;
        override->version = making_version(making, specs[i].version);
        override->key_count = keys_length(specs[i].keys);
        override->name = next_text(at);
        override->head = next_head(at);
        override->keys = *at;
        read_keys(entry, i, at);
        override->audience = making_rule(making, specs[i].audience);
        override->audience_text = next_text(at);
        entry->shown.audience_count += override->audience_text.len > 0;
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

/* Where the parts of the one allocation stand that lie behind the texts. */
struct places {
    size_t beside, panic, eras, versions, overrides, slots, rules, end;
};

static size_t place(size_t *end, size_t count, size_t size) {
    size_t begin = *end;
    *end += count * size;
    return begin;
}

/* What chooses an arm begins a cache line. All others are of words, one behind the other. */
static struct places find_places(const struct making *making) {
    const struct snapshot_entry_spec *spec = making->spec;
    bool beside = beside_is_needed(spec);
    struct places places;
    size_t end = round_up(sizeof(struct entry) + making->texts.len, beside ? CACHE_LINE : _Alignof(max_align_t));
    places.beside = place(&end, beside, sizeof(struct snapshot_beside));
    places.panic = place(&end, spec->panic != NULL, sizeof(struct snapshot_panic));
    places.eras = place(&end, spec->era_count, sizeof(struct snapshot_era));
    places.versions = place(&end, making->version_count, sizeof(struct snapshot_version *));
    places.overrides = place(&end, spec->override_count, sizeof(struct snapshot_override));
    places.slots = place(&end, making->slot_count, sizeof(struct override_slot));
    places.rules = place(&end, making->rule_count, sizeof(struct logic_rule *));
    places.end = round_up(end, CACHE_LINE);
    return places;
}

static void *part(char *bytes, size_t offset, bool there) {
    return there ? bytes + offset : NULL;
}

/* The entry takes over the rules. */
static void take_rules(struct entry *entry, struct making *making, struct logic_rule **place) {
    entry->rules = place;
    entry->rule_count = making->rule_count;
    for (size_t i = 0; i < making->rule_count; i++)
        place[i] = making->rules[i];
}

static void take_versions(struct entry *entry, const struct making *making, const struct snapshot_version **place) {
    entry->versions = place;
    entry->version_count = (uint32_t)making->version_count;
    for (size_t i = 0; i < making->version_count; i++) {
        place[i] = making->versions[i];
        version_ref(place[i]);
    }
}

static void fill(struct entry *entry, struct making *making, const struct places *places) {
    const struct snapshot_entry_spec *spec = making->spec;
    struct snapshot_entry *shown = &entry->shown;
    char *bytes = (char *)entry;
    const char *at = entry->text;
    struct snapshot_beside *beside = part(bytes, places->beside, beside_is_needed(spec));
    struct snapshot_era *eras = part(bytes, places->eras, spec->era_count);
    struct snapshot_override *overrides = part(bytes, places->overrides, spec->override_count);

    entry->slots = part(bytes, places->slots, making->slot_count);
    entry->slot_mask = making->slot_count ? (uint32_t)making->slot_count - 1 : 0;
    take_versions(entry, making, part(bytes, places->versions, true));
    *shown = (struct snapshot_entry){
        .version = making_version(making, spec->deployment.version),
        .beside = beside,
        .overrides = overrides,
        .eras = eras,
        .override_count = (uint32_t)spec->override_count,
        .era_count = (uint32_t)spec->era_count,
        .sessions = spec->sessions,
        .held = spec->held,
        .deployment = spec->deployment,
    };
    struct slice salt = next_text(&at);
    shown->head = next_head(&at);
    read_deployment(&shown->deployment, &at);
    beside_read(making, beside, part(bytes, places->panic, spec->panic), eras, &at);
    read_overrides(entry, making, overrides, &at);
    shown->agent = (struct slice){salt.ptr, strlen(shown->deployment.agent)};
    shown->environment = (struct slice){salt.ptr + shown->agent.len + 1, strlen(shown->deployment.environment)};
    entry->item.hash = pair_hash(text_hash(shown->environment), text_hash(shown->agent));
    entry->item.count = 1;
    take_rules(entry, making, part(bytes, places->rules, true));
    making->rule_count = 0;
}

int entry_new(const struct snapshot_entry_spec *spec, const struct snapshot_version *const *versions,
              size_t version_count, struct entry **ret) {
    _cleanup_(making_deinit) struct making making = {
        .spec = spec, .versions = versions, .version_count = version_count};
    int r = beside_compile(&making);
    if (r < 0) return r;
    write_texts(&making);
    r = count_slots(&making);
    if (r < 0) return r;
    if (making.texts.failed) return -ERR_NO_MEMORY;
    struct places places = find_places(&making);
    struct entry *entry = aligned_alloc(CACHE_LINE, places.end);
    if (!entry) return -ERR_NO_MEMORY;
    memset(entry, 0, places.end);
    memcpy(entry->text, making.texts.data, making.texts.len);
    fill(entry, &making, &places);
    *ret = entry;
    return 0;
}
