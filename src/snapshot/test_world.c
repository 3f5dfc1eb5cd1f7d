/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/test_world.h"

#include "base/clock.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEST_EPOCH INT64_C(1764000000000000)

void test_config(const char *agent, int64_t number, struct str *out) {
    str_printf(out, "{\"model\":\"m-%" PRId64 "\",\"system_prompt\":\"You are %s.\\nBe brief: \\\"%" PRId64 "\\\".\"}",
               number, agent, number);
}

static struct sha256 made_up_hash(const char *what, const char *agent, int64_t number) {
    struct sha256 hash = {{0}};
    char text[200];
    int len = snprintf(text, sizeof(text), "%s %s %" PRId64, what, agent, number);
    assert_int_equal(sha256_bytes(text, (size_t)len, &hash), 0);
    return hash;
}

struct sha256 test_config_hash(const char *agent, int64_t number) {
    return made_up_hash("config", agent, number);
}

struct sha256 test_content_hash(const char *agent, int64_t number) {
    return made_up_hash("content", agent, number);
}

static size_t overrides_of(const struct test_entry *entry) {
    size_t count = 0;
    while (count < TEST_OVERRIDES_MAX && entry->overrides[count].name)
        count++;
    return count;
}

static size_t keys_of(const struct test_override *override) {
    size_t count = 0;
    while (override->keys[count])
        count++;
    return count;
}

static const char *reason_of(const struct test_entry *entry) {
    return entry->reason ? entry->reason : "because";
}

static void add_version(struct test_spec *spec, const char *agent, int64_t number) {
    struct str *config = spec->configs + spec->spec.version_count;
    struct version *version = spec->versions + spec->spec.version_count;
    test_config(agent, number, config);
    assert_false(config->failed);
    *version = (struct version){
        .agent = agent,
        .number = number,
        .config_hash = test_config_hash(agent, number),
        .content_hash = test_content_hash(agent, number),
        .config = str_slice(config),
        .size = (int64_t)config->len,
    };
    spec->pointers[spec->spec.version_count++] = version;
}

/* Every version that is named but the entry's own, in order, each once. */
static size_t other_versions(const struct test_entry *entry, int64_t ret[TEST_VERSIONS_MAX]) {
    int64_t all[2 + TEST_OVERRIDES_MAX + 2 * SESSION_ERAS_MAX];
    size_t count = 0, used = 0;
    if (entry->rollout) all[count++] = entry->rollout->candidate;
    if (entry->panic) all[count++] = entry->panic->version;
    for (size_t i = 0; i < overrides_of(entry); i++)
        all[count++] = entry->overrides[i].version;
    for (size_t i = 0; i < entry->era_count; i++) {
        all[count++] = entry->eras[i].era.version;
        all[count++] = entry->eras[i].era.candidate;
    }
    for (int64_t least = 0;;) {
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < count; i++)
            if (all[i] > least && all[i] < next) next = all[i];
        if (next == INT64_MAX) return used;
        if (next != entry->version) ret[used++] = next;
        least = next;
    }
}

static void add_versions(struct test_spec *spec, const struct test_entry *entry, enum test_given given) {
    int64_t shift = given == GIVE_OTHERS ? 1000 : 0, others[TEST_VERSIONS_MAX];
    spec->spec.versions = spec->pointers;
    if (given == GIVE_NONE) return;
    size_t count = other_versions(entry, others);
    for (size_t i = 0; i < count; i++)
        add_version(spec, entry->agent, others[i] + shift);
    add_version(spec, entry->agent, entry->version + shift);
}

void test_spec_init(struct test_spec *spec, const struct test_entry *entry, enum test_given given) {
    memset(spec, 0, sizeof(*spec));
    snprintf(spec->id, sizeof(spec->id), "move-%" PRId64, entry->seq);
    spec->spec.deployment = (struct deployment){
        .id = spec->id,
        .agent = entry->agent,
        .environment = entry->environment,
        .version = entry->version,
        .previous = entry->previous,
        .kind = entry->kind,
        .reason = reason_of(entry),
        .created_by = "key-1",
        .created_at = TEST_EPOCH + entry->seq * 1000000,
        .seq = entry->seq,
    };
    spec->spec.held = entry->held;
    spec->spec.sessions = entry->sessions;
    spec->spec.rollout = entry->rollout;
    spec->spec.panic = entry->panic;
    spec->spec.eras = entry->eras;
    spec->spec.era_count = entry->era_count;
    spec->spec.overrides = spec->overrides;
    spec->spec.override_count = overrides_of(entry);
    for (size_t i = 0; i < spec->spec.override_count; i++)
        spec->overrides[i] = (struct snapshot_override_spec){entry->overrides[i].name, entry->overrides[i].version,
                                                             entry->overrides[i].keys, entry->overrides[i].audience};
    add_versions(spec, entry, given);
}

void test_spec_deinit(struct test_spec *spec) {
    for (size_t i = 0; i < ARRAY_LEN(spec->configs); i++)
        str_deinit(spec->configs + i);
}

int test_put(struct snapshot_edit *edit, const struct test_entry *entry, enum test_given given, struct err *err) {
    struct test_spec spec;
    test_spec_init(&spec, entry, given);
    int r = snapshot_edit_entry(edit, &spec.spec, err);
    test_spec_deinit(&spec);
    return r;
}

struct snapshot *test_snapshot(struct snapshot *base, const struct test_entry *entries, size_t count) {
    struct snapshot_edit *edit;
    struct snapshot *next;
    struct err err = ERR_INIT;
    struct position position = snapshot_position(base);
    assert_int_equal(snapshot_edit_new(base, &edit), 0);
    for (size_t i = 0; i < count; i++) {
        if (test_put(edit, entries + i, GIVE_ALL, &err) < 0) fail_msg("%s", err.message);
        position = (struct position){1, entries[i].seq};
    }
    assert_int_equal(snapshot_edit_finish(edit, position, &next), 0);
    return next;
}

struct snapshot *test_snapshot_of(const struct test_entry *entries, size_t count) {
    struct snapshot *empty;
    assert_int_equal(snapshot_new(&empty), 0);
    struct snapshot *snapshot = test_snapshot(empty, entries, count);
    snapshot_unref(empty);
    return snapshot;
}

const struct test_override *test_override_of(const struct test_entry *entry, const char *targeting_key) {
    for (size_t i = 0; i < overrides_of(entry); i++)
        for (size_t k = 0; k < keys_of(entry->overrides + i); k++)
            if (strcmp(entry->overrides[i].keys[k], targeting_key) == 0) return entry->overrides + i;
    return NULL;
}

/* ---- what should be answered ---- */

static void add_hash(struct str *out, const char *key, struct sha256 hash) {
    char text[HASH_TEXT_SIZE];
    sha256_text(&hash, text);
    str_printf(out, "\"%s\":\"%s\",", key, text);
}

static void add_config(struct str *out, const struct test_entry *entry, int64_t number) {
    str_add_text(out, "\"config\":");
    test_config(entry->agent, number, out);
}

static void write_deployment(const struct test_entry *entry, struct str *out) {
    static const char *const kinds[] = {"deploy", "rollback", "promote", "panic"};
    char at[CLOCK_TEXT_SIZE];
    clock_text(TEST_EPOCH + entry->seq * 1000000, at);
    str_printf(out, "\"deployment\":{\"id\":\"move-%" PRId64 "\",\"kind\":\"%s\",\"version\":%" PRId64, entry->seq,
               kinds[entry->kind], entry->version);
    if (entry->previous) str_printf(out, ",\"previous\":%" PRId64, entry->previous);
    str_add_text(out, ",\"reason\":");
    str_add_json(out, reason_of(entry), strlen(reason_of(entry)));
    str_printf(out, ",\"by\":\"key-1\",\"at\":\"%s\"},", at);
}

static void write_overrides(const struct test_entry *entry, struct str *out) {
    str_add_text(out, "\"overrides\":[");
    for (size_t i = 0; i < overrides_of(entry); i++) {
        const struct test_override *override = entry->overrides + i;
        str_printf(out, "%s{\"name\":\"%s\",\"version\":%" PRId64 ",", i ? "," : "", override->name, override->version);
        if (override->audience) {
            str_printf(out, "\"audience\":%s}", override->audience);
            continue;
        }
        str_add_text(out, "\"keys\":[");
        for (size_t k = 0; k < keys_of(override); k++) {
            if (k) str_add_char(out, ',');
            str_add_json(out, override->keys[k], strlen(override->keys[k]));
        }
        str_add_text(out, "]}");
    }
    str_add_text(out, "],");
}

static void write_rule(const char *salt, const char *audience, struct str *out) {
    str_printf(out, ",\"salt\":\"%s\"", salt);
    if (audience) str_printf(out, ",\"audience\":%s", audience);
}

static void write_rollout(const struct rollout *rollout, struct str *out) {
    static const char *const states[] = {"running", "paused", "held"};
    str_printf(out, "\"rollout\":{\"id\":\"%s\",\"state\":\"%s\",\"candidate\":%" PRId64 ",\"share\":%" PRId32,
               rollout->id, states[rollout->state], rollout->candidate, rollout->share);
    write_rule(rollout->salt, rollout->audience, out);
    str_add_text(out, "},");
}

static void write_era(const struct snapshot_era_spec *spec, struct str *out) {
    const struct era *era = &spec->era;
    str_printf(out, "{\"from\":%" PRId64 ",\"version\":%" PRId64, era->from, era->version);
    if (era->candidate) {
        str_printf(out, ",\"candidate\":%" PRId64 ",\"share\":%" PRId32, era->candidate, era->share);
        write_rule(era->salt, era->audience, out);
    }
    if (spec->version_released && spec->candidate_released)
        str_printf(out, ",\"released\":[%" PRId64 ",%" PRId64 "]", era->version, era->candidate);
    else if (spec->version_released || spec->candidate_released)
        str_printf(out, ",\"released\":[%" PRId64 "]", spec->version_released ? era->version : era->candidate);
    str_add_text(out, "}");
}

static void write_beside(const struct test_entry *entry, struct str *out) {
    if (entry->rollout) write_rollout(entry->rollout, out);
    str_printf(out, "\"sessions\":{\"policy\":\"%s\",\"eras\":[", entry->sessions ? "follow" : "pin");
    for (size_t i = 0; i < entry->era_count; i++) {
        if (i) str_add_char(out, ',');
        write_era(entry->eras + i, out);
    }
    str_add_text(out, "]},");
    const struct panic *panic = entry->panic;
    if (!panic) return;
    char at[CLOCK_TEXT_SIZE];
    clock_text(panic->created_at, at);
    str_add_text(out, "\"panic\":{");
    if (panic->version == 0)
        str_add_text(out, "\"disabled\":true");
    else
        str_printf(out, "\"version\":%" PRId64, panic->version < 0 ? entry->version : panic->version);
    str_printf(out, ",\"whole_environment\":%s,\"reason\":\"%s\",\"by\":\"%s\",\"at\":\"%s\"},",
               *panic->agent ? "false" : "true", panic->reason, panic->created_by, at);
}

void test_write_entry(const struct test_entry *entry, struct str *out) {
    int64_t others[TEST_VERSIONS_MAX];
    size_t count = other_versions(entry, others);
    str_printf(out, "{\"agent\":\"%s\",\"environment\":\"%s\",\"version\":%" PRId64 ",", entry->agent,
               entry->environment, entry->version);
    add_hash(out, "config_hash", test_config_hash(entry->agent, entry->version));
    add_hash(out, "content_hash", test_content_hash(entry->agent, entry->version));
    write_deployment(entry, out);
    str_printf(out, "\"held\":%s,", entry->held ? "true" : "false");
    write_overrides(entry, out);
    write_beside(entry, out);
    add_config(out, entry, entry->version);
    str_add_text(out, ",\"versions\":{");
    for (size_t i = 0; i < count; i++) {
        str_printf(out, "%s\"%" PRId64 "\":{", i ? "," : "", others[i]);
        add_hash(out, "config_hash", test_config_hash(entry->agent, others[i]));
        add_config(out, entry, others[i]);
        str_add_char(out, '}');
    }
    str_add_text(out, "}}");
}

void test_write_decision(const struct test_entry *entry, const struct test_override *override, const char *position,
                         const char *unit, struct str *out) {
    int64_t number = override ? override->version : entry->version;
    str_printf(out, "{\"agent\":\"%s\",\"environment\":\"%s\",\"version\":%" PRId64 ",\"arm\":\"stable\",",
               entry->agent, entry->environment, number);
    add_hash(out, "config_hash", test_config_hash(entry->agent, number));
    if (override)
        str_printf(out, "\"reason\":\"OVERRIDE\",\"override\":\"%s\",", override->name);
    else
        str_add_text(out, "\"reason\":\"DEPLOYED\",");
    str_printf(out, "\"position\":\"%s\",", position);
    if (unit) str_printf(out, "\"unit\":\"%s\",", unit);
    add_config(out, entry, number);
    str_add_text(out, ",\"flags\":{}}");
}

static int dump_entry(void *ctx, const struct snapshot_entry *entry) {
    snapshot_entry_write(entry, ctx);
    str_add_char(ctx, '\n');
    return 0;
}

void test_dump(const struct snapshot *snapshot, struct str *out) {
    struct position position = snapshot_position(snapshot);
    str_printf(out, "%" PRId64 ".%" PRId64 " %zu agents, %zu entries, keys %" PRIu64 "\n", position.epoch, position.seq,
               snapshot_agent_count(snapshot), snapshot_entry_count(snapshot), snapshot_keys_generation(snapshot));
    assert_int_equal(snapshot_each(snapshot, NULL, dump_entry, out), 0);
    assert_false(out->failed);
}

uint64_t test_random(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}
