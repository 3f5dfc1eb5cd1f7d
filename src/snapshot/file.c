/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of the bytes. Numbers are little-endian; a text is its length (4 bytes), its bytes and a NUL, so that reading borrows it in
 * place; a list is its length (4 bytes) and its items:
 *
 *   "SERINSNP" · format (4) · epoch (8) · seq (8)
 *   agents: names · environments: names
 *   keys:    id · name · role · secret hash (32) · environments (JSON, as the store has it) · materialises defaults (1)
 *   entries: agent · environment · move · held (1) · sessions (1) · rollout · panic · eras · overrides · versions
 *     move:      id · version (8) · previous (8) · kind · reason · by · at (8) · seq (8)
 *     rollout:   a list of one or none: id · state · candidate (8) · share (8) · salt · audience · seq (8)
 *     panic:     a list of one or none: agent ("" = the whole environment) · version (8, 0 = switched off) · reason · by · at (8) · seq (8)
 *     eras:      from (8) · version (8) · released (1) · candidate (8); and with a candidate: released (1) · share (8) · salt · audience
 *     overrides: name · version (8) · keys · audience
 *     versions:  number (8) · content hash (32) · config hash (32) · configuration
 *   flags:   environment · seq (8) · what they share: rules (JSON) · metadata (JSON) · flags: key · seq (8) · definition (JSON) · bindings (JSON)
 *   SHA-256 of all before (32)
 *
 * Agents, environments, keys (by id), entries (by environment, then agent) and flags (by environment, then key) stand in strict order, which makes the form unique
 * and a doubled item impossible. An entry brings the versions that no entry of its agent before it has brought. Roles and kinds are words,
 * so that their numbers in the program may change. What a snapshot does not answer (a move's release, who made a key) is not kept.
 *
 * Format 1 had no sessions, rollout, panic and eras, format 2 no flags, format 3 no audiences of overrides, format 4 nothing of defaults with a key; all are still read. A later format gets another number; a program that does not know it says so and starts as
 * if there were no file.
 */
#include "snapshot/file.h"

#include "base/jw.h"
#include "model/names.h"
#include "snapshot/flags_impl.h"

#include <endian.h>
#include <inttypes.h>

#define MAGIC "SERINSNP"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define FORMAT 5
#define FORMAT_OLDEST 1
#define PIECE (128 * 1024)
#define TEXT_MIN 5                           /* bytes of an empty text */
#define NUMBER_MAX (INT64_C(1) << 53)        /* of epochs, seqs and versions: what every reader of JSON can hold */
#define TIME_MAX INT64_C(253402300799999999) /* the year 9999 */

/* ---- writing ---- */

struct writer {
    const struct snapshot *snapshot;
    struct sha256_sum *sum;
    struct str piece;
    snapshot_sink sink;
    void *ctx;
    struct err *err;
};

static void writer_deinit(struct writer *writer) {
    str_deinit(&writer->piece);
    sha256_sum_free(writer->sum);
}

static void put_count(struct writer *writer, size_t value) {
    uint32_t bytes = htole32((uint32_t)value);
    str_add(&writer->piece, (const char *)&bytes, sizeof(bytes));
}

static void put_number(struct writer *writer, int64_t value) {
    uint64_t bytes = htole64((uint64_t)value);
    str_add(&writer->piece, (const char *)&bytes, sizeof(bytes));
}

static void put_text(struct writer *writer, struct slice text) {
    put_count(writer, text.len);
    str_add_slice(&writer->piece, text);
    str_add_char(&writer->piece, '\0');
}

static void put_hash(struct writer *writer, const struct sha256 *hash) {
    str_add(&writer->piece, (const char *)hash->bytes, SHA256_SIZE);
}

static void put_flag(struct writer *writer, bool flag) {
    str_add_char(&writer->piece, flag ? 1 : 0);
}

static int flush(struct writer *writer) {
    if (writer->piece.failed) return err_no_memory(writer->err);
    int r = sha256_sum_add(writer->sum, str_slice(&writer->piece));
    if (r < 0) return err_set(writer->err, (enum err_code) - r, "the snapshot cannot be hashed");
    r = writer->sink(writer->ctx, str_slice(&writer->piece), writer->err);
    str_clear(&writer->piece);
    return r;
}

static int flush_full(struct writer *writer) {
    return writer->piece.len < PIECE && !writer->piece.failed ? 0 : flush(writer);
}

static int compare_named(const void *a, const void *b) {
    return slice_compare((*(const struct named *const *)a)->name, (*(const struct named *const *)b)->name);
}

/* All agents, in order; the table knows none. To be freed; NULL when memory ran out. */
static const struct named **sorted_agents(const struct table *table) {
    const struct named **agents = calloc(table->size + 1, sizeof(struct named *));
    size_t count = 0;
    for (size_t i = 0; agents && i < (size_t)1 << table->depth; i++) {
        struct page *page = page_of(table->pages[i]);
        if (i && page == page_of(table->pages[i - 1])) continue; /* the directory slots of a page are neighbours */
        for (uint32_t n = 0; n < page->used; n++)
            agents[count++] = (const struct named *)page_records(page, page->log2_slots)[n].item;
    }
    if (agents) qsort(agents, count, sizeof(struct named *), compare_named);
    return agents;
}

static int put_agents(struct writer *writer) {
    const struct table *table = writer->snapshot->agents;
    _cleanup_(freep) const struct named **agents = sorted_agents(table);
    if (!agents) return err_no_memory(writer->err);
    put_count(writer, table->size);
    int r = 0;
    for (size_t i = 0; i < table->size && r == 0; i++) {
        put_text(writer, agents[i]->name);
        r = flush_full(writer);
    }
    return r;
}

static void put_environments(struct writer *writer) {
    const struct rosters *rosters = writer->snapshot->rosters;
    put_count(writer, rosters->used);
    for (size_t i = 0; i < rosters->used; i++)
        put_text(writer, rosters->items[i]->environment->name);
}

static int put_key(struct writer *writer, const struct snapshot_key *key) {
    _cleanup_(str_deinit) struct str environments = STR_INIT;
    struct jw jw = JW_INIT(&environments);
    jw_array(&jw, NULL);
    if (key->all_environments) jw_text(&jw, NULL, "*");
    for (const char *const *name = key->environments; *name; name++)
        jw_text(&jw, NULL, *name);
    jw_end_array(&jw);
    if (environments.failed) return err_no_memory(writer->err);
    put_text(writer, slice_of(key->id));
    put_text(writer, slice_of(key->name));
    put_text(writer, slice_of(role_name(key->role)));
    put_hash(writer, &key->secret_hash);
    put_text(writer, str_slice(&environments));
    put_flag(writer, key->materialise_defaults);
    return flush_full(writer);
}

static int put_keys(struct writer *writer) {
    const struct key_set *keys = writer->snapshot->keys;
    size_t count = keys ? keys->used : 0;
    put_count(writer, count);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = put_key(writer, keys->by_id + i);
    return r;
}

static void put_move(struct writer *writer, const struct deployment *deployment) {
    put_text(writer, slice_of(deployment->id));
    put_number(writer, deployment->version);
    put_number(writer, deployment->previous);
    put_text(writer, slice_of(deployment_kind_name(deployment->kind)));
    put_text(writer, slice_of(deployment->reason));
    put_text(writer, slice_of(deployment->created_by));
    put_number(writer, deployment->created_at);
    put_number(writer, deployment->seq);
}

static void put_override(struct writer *writer, const struct snapshot_override *override) {
    put_text(writer, override->name);
    put_number(writer, override->version->number);
    put_count(writer, override->key_count);
    const char *key = override->keys;
    for (uint32_t i = 0; i < override->key_count; i++, key += strlen(key) + 1)
        put_text(writer, slice_of(key));
    put_text(writer, override->audience_text);
}

/* Whether an entry of the same agent in an environment before this one has brought that version. */
static bool is_written(const struct writer *writer, const struct snapshot_entry *entry, int64_t number) {
    const struct rosters *rosters = writer->snapshot->rosters;
    for (size_t i = 0; i < rosters->used; i++) {
        struct slice environment = rosters->items[i]->environment->name;
        if (slice_equal(environment, entry->environment)) return false;
        if (entry_version(snapshot_find(writer->snapshot, environment, entry->agent), number)) return true;
    }
    return false;
}

static void put_versions(struct writer *writer, const struct entry *entry) {
    size_t count = 0;
    for (uint32_t i = 0; i < entry->version_count; i++)
        count += !is_written(writer, &entry->shown, entry->versions[i]->number);
    put_count(writer, count);
    for (uint32_t i = 0; i < entry->version_count; i++) {
        const struct snapshot_version *version = entry->versions[i];
        if (is_written(writer, &entry->shown, version->number)) continue;
        put_number(writer, version->number);
        put_hash(writer, &version->content_hash);
        put_hash(writer, &version->config_hash);
        put_text(writer, version->config);
    }
}

static void put_rollout(struct writer *writer, const struct snapshot_rollout *rollout) {
    put_count(writer, rollout != NULL);
    if (!rollout) return;
    put_text(writer, rollout->id);
    put_text(writer, slice_of(rollout_state_name(rollout->state)));
    put_number(writer, rollout->candidate->number);
    put_number(writer, rollout->share);
    put_text(writer, rollout->salt);
    put_text(writer, rollout->audience_text);
    put_number(writer, rollout->seq);
}

static void put_panic(struct writer *writer, const struct snapshot_entry *entry) {
    const struct snapshot_panic *panic = entry->beside ? entry->beside->panic : NULL;
    put_count(writer, panic != NULL);
    if (!panic) return;
    put_text(writer, panic->whole_environment ? SLICE_LIT("") : entry->agent);
    put_number(writer, panic->version->number);
    put_text(writer, panic->reason);
    put_text(writer, panic->created_by);
    put_number(writer, panic->created_at);
    put_number(writer, panic->seq);
}

static void put_era(struct writer *writer, const struct snapshot_era *era) {
    put_number(writer, era->from);
    put_number(writer, era->version->number);
    put_flag(writer, era->version_released);
    put_number(writer, era->candidate ? era->candidate->number : 0);
    if (!era->candidate) return;
    put_flag(writer, era->candidate_released);
    put_number(writer, era->share);
    put_text(writer, era->salt);
    put_text(writer, era->audience_text);
}

static int put_entry(void *ctx, const struct snapshot_entry *entry) {
    struct writer *writer = ctx;
    put_text(writer, entry->agent);
    put_text(writer, entry->environment);
    put_move(writer, &entry->deployment);
    put_flag(writer, entry->held);
    put_flag(writer, entry->sessions == SESSION_FOLLOW);
    put_rollout(writer, snapshot_entry_rollout(entry));
    put_panic(writer, entry);
    put_count(writer, entry->era_count);
    for (uint32_t i = 0; i < entry->era_count; i++)
        put_era(writer, entry->eras + i);
    put_count(writer, entry->override_count);
    for (uint32_t i = 0; i < entry->override_count; i++)
        put_override(writer, entry->overrides + i);
    put_versions(writer, entry_of(entry));
    return flush_full(writer);
}

static int put_flag_set(struct writer *writer, const struct snapshot_flags *set) {
    int r = 0;
    put_text(writer, set->environment);
    put_number(writer, set->seq);
    put_text(writer, set->evaluators);
    put_text(writer, set->metadata);
    put_count(writer, set->flag_count);
    for (uint32_t i = 0; i < set->flag_count && r == 0; i++) {
        const struct flag *flag = snapshot_flags_at(set, i);
        put_text(writer, flag->key);
        put_number(writer, flag->seq);
        put_text(writer, flag->definition);
        put_text(writer, flag->bound);
        r = flush_full(writer);
    }
    return r;
}

static int put_flag_sets(struct writer *writer) {
    const struct flag_sets *sets = writer->snapshot->flags;
    int r = 0;
    put_count(writer, sets ? sets->used : 0);
    for (size_t i = 0; sets && i < sets->used && r == 0; i++)
        r = put_flag_set(writer, sets->items[i]);
    return r;
}

static int put_all(struct writer *writer) {
    str_reserve(&writer->piece, PIECE + PIECE / 4);
    str_add_text(&writer->piece, MAGIC);
    put_count(writer, FORMAT);
    put_number(writer, writer->snapshot->position.epoch);
    put_number(writer, writer->snapshot->position.seq);
    int r = put_agents(writer);
    if (r < 0) return r;
    put_environments(writer);
    r = put_keys(writer);
    if (r < 0) return r;
    put_count(writer, snapshot_entry_count(writer->snapshot));
    r = snapshot_each(writer->snapshot, NULL, put_entry, writer);
    if (r == 0) r = put_flag_sets(writer);
    return r < 0 ? r : flush(writer);
}

static int write_with_sum(const struct snapshot *snapshot, snapshot_sink sink, void *ctx, struct sha256 *ret,
                          struct err *err) {
    _cleanup_(writer_deinit) struct writer writer = {.snapshot = snapshot, .sink = sink, .ctx = ctx, .err = err};
    if (sha256_sum_new(&writer.sum) < 0) return err_no_memory(err);
    int r = put_all(&writer);
    if (r < 0) return r;
    r = sha256_sum_end(writer.sum, ret);
    return r < 0 ? err_set(err, (enum err_code) - r, "the snapshot cannot be hashed") : 0;
}

int snapshot_file_write(const struct snapshot *snapshot, snapshot_sink sink, void *ctx, struct err *err) {
    struct sha256 sum;
    int r = write_with_sum(snapshot, sink, ctx, &sum, err);
    return r < 0 ? r : sink(ctx, (struct slice){(const char *)sum.bytes, SHA256_SIZE}, err);
}

static int no_sink(void *ctx, struct slice bytes, struct err *err) {
    return 0;
}

int snapshot_file_sum(const struct snapshot *snapshot, struct sha256 *ret, struct err *err) {
    return write_with_sum(snapshot, no_sink, NULL, ret, err);
}

/* ---- reading ---- */

/* What is read past the end, or is not possible, is 0 or empty and sets `bad`; who reads looks at it after each item. */
struct reader {
    const char *begin, *at, *end;
    uint32_t format;
    bool bad;
    struct snapshot_edit *edit;
    struct arena arena; /* of one list or entry */
    struct err *err;
};

static void reader_deinit(struct reader *reader) {
    snapshot_edit_free(reader->edit);
    arena_deinit(&reader->arena);
}

static size_t left(const struct reader *reader) {
    return (size_t)(reader->end - reader->at);
}

static const char *take(struct reader *reader, size_t size) {
    if (reader->bad || left(reader) < size) {
        reader->bad = true;
        return NULL;
    }
    const char *at = reader->at;
    reader->at += size;
    return at;
}

static uint32_t take_u32(struct reader *reader) {
    uint32_t value = 0;
    const char *at = take(reader, sizeof(value));
    if (at) memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static int64_t take_number(struct reader *reader, int64_t min, int64_t max) {
    uint64_t bytes = 0;
    const char *at = take(reader, sizeof(bytes));
    if (at) memcpy(&bytes, at, sizeof(bytes));
    int64_t value = (int64_t)le64toh(bytes);
    if (value >= min && value <= max) return value;
    reader->bad = true;
    return min;
}

/* The length of a list whose items have at least `size` bytes each: never more than could be there. */
static size_t take_count(struct reader *reader, size_t size) {
    uint32_t count = take_u32(reader);
    if (!reader->bad && count <= left(reader) / size) return count;
    reader->bad = true;
    return 0;
}

static struct slice take_slice(struct reader *reader) {
    size_t len = take_u32(reader);
    const char *at = len < SIZE_MAX ? take(reader, len + 1) : NULL;
    if (at && at[len] == '\0') return (struct slice){at, len};
    reader->bad = true;
    return SLICE_LIT("");
}

static const char *take_text(struct reader *reader) {
    struct slice text = take_slice(reader);
    if (strlen(text.ptr) != text.len || !utf8_valid(text.ptr, text.len)) reader->bad = true;
    return text.ptr;
}

static const char *take_name(struct reader *reader) {
    const char *name = take_text(reader);
    if (!name_valid(slice_of(name))) reader->bad = true;
    return name;
}

static bool take_flag(struct reader *reader) {
    const char *at = take(reader, 1);
    if (at && (unsigned char)*at > 1) reader->bad = true;
    return at && *at == 1;
}

static void take_hash(struct reader *reader, struct sha256 *ret) {
    const char *at = take(reader, SHA256_SIZE);
    if (at) memcpy(ret->bytes, at, SHA256_SIZE);
}

static int refuse(struct err *err, const char *why) {
    return err_set(err, ERR_SNAPSHOT_FILE, "%s", why);
}

static int impossible(const struct reader *reader) {
    return err_set(reader->err, ERR_SNAPSHOT_FILE, "it holds what no snapshot can hold, before byte %zu",
                   (size_t)(reader->at - reader->begin));
}

/* Each item's name is past the one before. */
static void in_order(struct reader *reader, const char **last, const char *name) {
    if (*last && strcmp(*last, name) >= 0) reader->bad = true;
    *last = name;
}

static int take_names(struct reader *reader, int (*put)(struct snapshot_edit *edit, const char *name),
                      size_t *ret_count) {
    const char *last = NULL;
    *ret_count = take_count(reader, TEXT_MIN);
    for (size_t i = 0; i < *ret_count && !reader->bad; i++) {
        const char *name = take_name(reader);
        in_order(reader, &last, name);
        if (!reader->bad && put(reader->edit, name) < 0) return err_no_memory(reader->err);
    }
    return reader->bad ? impossible(reader) : 0;
}

static int take_keys(struct reader *reader) {
    const char *last = NULL;
    size_t count = take_count(reader, 4 * TEXT_MIN + SHA256_SIZE);
    struct key *keys = arena_array(&reader->arena, count + 1, sizeof(*keys));
    if (!keys) return err_no_memory(reader->err);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        keys[i].id = take_text(reader);
        keys[i].name = take_text(reader);
        if (!role_from_text(take_text(reader), &keys[i].role)) reader->bad = true;
        take_hash(reader, &keys[i].secret_hash);
        keys[i].environments = take_text(reader);
        keys[i].materialise_defaults = reader->format >= 5 && take_flag(reader);
        in_order(reader, &last, keys[i].id);
    }
    if (reader->bad) return impossible(reader);
    int r = snapshot_edit_keys(reader->edit, keys, count, reader->err);
    return r == -ERR_INTERNAL ? impossible(reader) : r;
}

static void take_move(struct reader *reader, struct deployment *ret) {
    ret->id = take_text(reader);
    ret->version = take_number(reader, 1, NUMBER_MAX);
    ret->previous = take_number(reader, 0, NUMBER_MAX);
    if (!deployment_kind_from_text(take_text(reader), &ret->kind)) reader->bad = true;
    ret->reason = take_text(reader);
    ret->created_by = take_text(reader);
    ret->created_at = take_number(reader, 0, TIME_MAX);
    ret->seq = take_number(reader, 0, NUMBER_MAX);
}

/* NULL: everybody. */
static const char *take_audience(struct reader *reader) {
    const char *audience = take_text(reader);
    return *audience ? audience : NULL;
}

/* A list of one or none. */
static bool take_one(struct reader *reader, size_t size) {
    size_t count = take_count(reader, size);
    if (count > 1) reader->bad = true;
    return count == 1;
}

static int take_rollout(struct reader *reader, struct snapshot_entry_spec *spec) {
    if (!take_one(reader, 4 * TEXT_MIN + 3 * sizeof(int64_t))) return 0;
    struct rollout *rollout = arena_alloc(&reader->arena, sizeof(*rollout));
    if (!rollout) return err_no_memory(reader->err);
    rollout->id = take_text(reader);
    if (!rollout_state_from_text(take_text(reader), &rollout->state) || !rollout_is_open(rollout->state))
        reader->bad = true;
    rollout->candidate = take_number(reader, 1, NUMBER_MAX);
    rollout->share = (int32_t)take_number(reader, 0, SHARE_ALL);
    rollout->salt = take_text(reader);
    rollout->audience = take_audience(reader);
    rollout->seq = take_number(reader, 0, NUMBER_MAX);
    spec->rollout = rollout;
    return 0;
}

static int take_panic(struct reader *reader, struct snapshot_entry_spec *spec) {
    if (!take_one(reader, 3 * TEXT_MIN + 3 * sizeof(int64_t))) return 0;
    struct panic *panic = arena_alloc(&reader->arena, sizeof(*panic));
    if (!panic) return err_no_memory(reader->err);
    panic->agent = take_text(reader);
    if (*panic->agent && strcmp(panic->agent, spec->deployment.agent) != 0) reader->bad = true;
    panic->version = take_number(reader, 0, NUMBER_MAX);
    panic->reason = take_text(reader);
    panic->created_by = take_text(reader);
    panic->created_at = take_number(reader, 0, TIME_MAX);
    panic->seq = take_number(reader, 0, NUMBER_MAX);
    spec->panic = panic;
    return 0;
}

static void take_era(struct reader *reader, struct snapshot_era_spec *ret) {
    ret->era.from = take_number(reader, 0, TIME_MAX);
    ret->era.version = take_number(reader, 1, NUMBER_MAX);
    ret->version_released = take_flag(reader);
    ret->era.candidate = take_number(reader, 0, NUMBER_MAX);
    if (!ret->era.candidate) return;
    ret->candidate_released = take_flag(reader);
    ret->era.share = (int32_t)take_number(reader, 0, SHARE_ALL);
    ret->era.salt = take_text(reader);
    ret->era.audience = take_audience(reader);
}

static int take_eras(struct reader *reader, struct snapshot_entry_spec *spec) {
    size_t count = take_count(reader, 3 * sizeof(int64_t) + 1);
    if (count > SESSION_ERAS_MAX) reader->bad = true;
    if (reader->bad) return 0;
    struct snapshot_era_spec *eras = arena_array(&reader->arena, count + 1, sizeof(*eras));
    if (!eras) return err_no_memory(reader->err);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        take_era(reader, eras + i);
        if (i && eras[i].era.from >= eras[i - 1].era.from) reader->bad = true;
    }
    spec->eras = eras;
    spec->era_count = count;
    return 0;
}

static int take_beside(struct reader *reader, struct snapshot_entry_spec *spec) {
    if (reader->format < 2) return 0;
    spec->sessions = take_flag(reader) ? SESSION_FOLLOW : SESSION_PIN;
    int r = take_rollout(reader, spec);
    if (r == 0) r = take_panic(reader, spec);
    if (r == 0) r = take_eras(reader, spec);
    return r;
}

static const char *const *take_override_keys(struct reader *reader) {
    const char *last = NULL;
    size_t count = take_count(reader, TEXT_MIN);
    const char **keys = arena_array(&reader->arena, count + 1, sizeof(*keys));
    for (size_t i = 0; keys && i < count && !reader->bad; i++) {
        keys[i] = take_text(reader);
        in_order(reader, &last, keys[i]);
    }
    return keys;
}

static int take_overrides(struct reader *reader, struct snapshot_entry_spec *spec) {
    const char *last = NULL;
    spec->override_count = take_count(reader, TEXT_MIN + sizeof(int64_t) + sizeof(uint32_t));
    struct snapshot_override_spec *overrides =
        arena_array(&reader->arena, spec->override_count + 1, sizeof(*overrides));
    if (!overrides) return err_no_memory(reader->err);
    for (size_t i = 0; i < spec->override_count && !reader->bad; i++) {
        overrides[i].name = take_name(reader);
        overrides[i].version = take_number(reader, 1, NUMBER_MAX);
        overrides[i].keys = take_override_keys(reader);
        if (!overrides[i].keys) return err_no_memory(reader->err);
        overrides[i].audience = reader->format < 4 ? NULL : take_audience(reader);
        in_order(reader, &last, overrides[i].name);
    }
    spec->overrides = overrides;
    return 0;
}

static int take_versions(struct reader *reader, struct snapshot_entry_spec *spec) {
    size_t count = take_count(reader, sizeof(int64_t) + (size_t)2 * SHA256_SIZE + TEXT_MIN);
    struct version *versions = arena_array(&reader->arena, count + 1, sizeof(*versions));
    const struct version **pointers = arena_array(&reader->arena, count + 1, sizeof(struct version *));
    if (!versions || !pointers) return err_no_memory(reader->err);
    for (size_t i = 0; i < count && !reader->bad; i++) {
        versions[i].agent = spec->deployment.agent;
        versions[i].number = take_number(reader, 1, NUMBER_MAX);
        take_hash(reader, &versions[i].content_hash);
        take_hash(reader, &versions[i].config_hash);
        versions[i].config = take_slice(reader);
        pointers[i] = versions + i;
    }
    spec->versions = pointers;
    spec->version_count = count;
    return 0;
}

static int take_entry(struct reader *reader, struct deployment *last) {
    struct snapshot_entry_spec spec = {0};
    spec.deployment.agent = take_name(reader);
    spec.deployment.environment = take_name(reader);
    int order = last->agent ? strcmp(last->environment, spec.deployment.environment) : -1;
    if (order > 0 || (order == 0 && strcmp(last->agent, spec.deployment.agent) >= 0)) reader->bad = true;
    take_move(reader, &spec.deployment);
    spec.held = take_flag(reader);
    int r = take_beside(reader, &spec);
    if (r == 0) r = take_overrides(reader, &spec);
    if (r == 0) r = take_versions(reader, &spec);
    if (r < 0) return r;
    if (reader->bad) return impossible(reader);
    *last = spec.deployment;
    r = snapshot_edit_entry(reader->edit, &spec, reader->err);
    return r == -ERR_INTERNAL ? impossible(reader) : r; /* a version that nobody brought */
}

static int take_entries(struct reader *reader, size_t *ret_count) {
    struct deployment last = {0};
    int r = 0;
    *ret_count = take_count(reader, 8 * TEXT_MIN);
    for (size_t i = 0; i < *ret_count && r == 0; i++) {
        r = take_entry(reader, &last);
        arena_deinit(&reader->arena);
    }
    if (r < 0) return r;
    return reader->bad ? impossible(reader) : 0;
}

static int take_flags(struct reader *reader, struct snapshot_flags_spec *spec) {
    const char *last = NULL;
    spec->count = take_count(reader, 3 * TEXT_MIN + sizeof(int64_t));
    struct snapshot_flag_spec *flags = arena_array(&reader->arena, spec->count + 1, sizeof(*flags));
    if (!flags) return err_no_memory(reader->err);
    for (size_t i = 0; i < spec->count && !reader->bad; i++) {
        flags[i].key = take_text(reader);
        flags[i].seq = take_number(reader, 0, NUMBER_MAX);
        flags[i].definition = take_text(reader);
        flags[i].bindings = take_text(reader);
        in_order(reader, &last, flags[i].key);
    }
    spec->flags = flags;
    return 0;
}

/* A flag that cannot be read was never in a snapshot. */
static int take_flag_set(struct reader *reader, const char **last) {
    struct snapshot_flags_spec spec = {0};
    size_t left_out = 0;
    spec.environment = take_name(reader);
    in_order(reader, last, spec.environment);
    spec.seq = take_number(reader, 0, NUMBER_MAX);
    spec.evaluators = take_text(reader);
    spec.metadata = take_text(reader);
    int r = take_flags(reader, &spec);
    if (r < 0) return r;
    if (reader->bad) return impossible(reader);
    r = snapshot_edit_flags(reader->edit, &spec, &left_out, reader->err);
    return r == 0 && left_out ? impossible(reader) : r;
}

static int take_flag_sets(struct reader *reader) {
    const char *last = NULL;
    int r = 0;
    size_t count = reader->format < 3 ? 0 : take_count(reader, 3 * TEXT_MIN + sizeof(int64_t) + sizeof(uint32_t));
    for (size_t i = 0; i < count && r == 0; i++) {
        r = take_flag_set(reader, &last);
        arena_deinit(&reader->arena);
    }
    if (r < 0) return r;
    return reader->bad || left(reader) ? impossible(reader) : 0;
}

static int take_all(struct reader *reader, struct position *ret) {
    size_t agents = 0, environments = 0, entries = 0;
    (void)take(reader, MAGIC_SIZE);
    reader->format = take_u32(reader);
    ret->epoch = take_number(reader, 0, NUMBER_MAX);
    ret->seq = take_number(reader, 0, NUMBER_MAX);
    int r = take_names(reader, snapshot_edit_agent, &agents);
    if (r == 0) r = take_names(reader, snapshot_edit_environment, &environments);
    if (r == 0) r = take_keys(reader);
    if (r == 0) r = take_entries(reader, &entries);
    if (r == 0) r = take_flag_sets(reader);
    if (r < 0) return r;
    /* Entries of agents or environments that are not listed would have made them. */
    bool listed =
        snapshot_edit_agents(reader->edit) == agents && snapshot_edit_environments(reader->edit) == environments;
    return listed ? 0 : impossible(reader);
}

static bool format_is_known(uint32_t format) {
    return format >= FORMAT_OLDEST && format <= FORMAT;
}

static int check_whole(struct slice bytes, struct err *err) {
    uint32_t format;
    struct sha256 sum;
    if (bytes.len < MAGIC_SIZE || memcmp(bytes.ptr, MAGIC, MAGIC_SIZE) != 0)
        return refuse(err, "it is no snapshot file");
    if (bytes.len < SNAPSHOT_FILE_HEAD + SHA256_SIZE) return refuse(err, "it is cut short");
    memcpy(&format, bytes.ptr + MAGIC_SIZE, sizeof(format));
    if (!format_is_known(le32toh(format)))
        return err_set(err, ERR_SNAPSHOT_FILE, "it has format %u, and this program knows %u to %u", le32toh(format),
                       FORMAT_OLDEST, FORMAT);
    if (sha256_bytes(bytes.ptr, bytes.len - SHA256_SIZE, &sum) < 0) return err_no_memory(err);
    if (memcmp(sum.bytes, bytes.ptr + bytes.len - SHA256_SIZE, SHA256_SIZE) == 0) return 0;
    return refuse(err, "it is damaged or cut short: its checksum does not match");
}

int snapshot_file_read(struct slice bytes, struct snapshot **ret, struct err *err) {
    int r = check_whole(bytes, err);
    if (r < 0) return r;
    _cleanup_(snapshot_unrefp) struct snapshot *empty = NULL;
    _cleanup_(reader_deinit) struct reader reader = {
        .begin = bytes.ptr, .at = bytes.ptr, .end = bytes.ptr + bytes.len - SHA256_SIZE, .err = err};
    if (snapshot_new(&empty) < 0 || snapshot_edit_new(empty, &reader.edit) < 0) return err_no_memory(err);
    struct position position;
    r = take_all(&reader, &position);
    if (r < 0) return r;
    return snapshot_edit_finish(TAKE_PTR(reader.edit), position, ret);
}

bool snapshot_file_position(struct slice head, struct position *ret) {
    struct reader reader = {.at = head.ptr, .end = head.ptr + head.len};
    const char *magic = take(&reader, MAGIC_SIZE);
    if (!magic || memcmp(magic, MAGIC, MAGIC_SIZE) != 0 || !format_is_known(take_u32(&reader))) return false;
    ret->epoch = take_number(&reader, 0, NUMBER_MAX);
    ret->seq = take_number(&reader, 0, NUMBER_MAX);
    return !reader.bad;
}
