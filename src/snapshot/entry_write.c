/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/jw.h"
#include "snapshot/flags_impl.h"

#include <inttypes.h>
#include <stdio.h>

static void write_hash(struct jw *jw, const char *key, const struct sha256 *hash) {
    char text[HASH_TEXT_SIZE];
    sha256_text(hash, text);
    jw_text(jw, key, text);
}

static void write_deployment(struct jw *jw, const struct deployment *deployment) {
    char at[CLOCK_TEXT_SIZE];
    clock_text(deployment->created_at, at);
    jw_object(jw, "deployment");
    jw_text(jw, "id", deployment->id);
    jw_text(jw, "kind", deployment_kind_name(deployment->kind));
    jw_int(jw, "version", deployment->version);
    if (deployment->previous) jw_int(jw, "previous", deployment->previous);
    jw_text(jw, "reason", deployment->reason);
    jw_text(jw, "by", deployment->created_by);
    jw_text(jw, "at", at);
    jw_end_object(jw);
}

static void write_keys(struct jw *jw, const struct snapshot_override *override) {
    const char *key = override->keys;
    jw_array(jw, "keys");
    for (uint32_t i = 0; i < override->key_count; i++, key += strlen(key) + 1)
        jw_text(jw, NULL, key);
    jw_end_array(jw);
}

static void write_override(struct jw *jw, const struct snapshot_override *override) {
    jw_object(jw, NULL);
    jw_slice(jw, "name", override->name);
    jw_int(jw, "version", override->version->number);
    if (override->audience_text.len)
        jw_raw(jw, "audience", override->audience_text);
    else
        write_keys(jw, override);
    jw_end_object(jw);
}

static void write_rule(struct jw *jw, struct slice salt, struct slice audience) {
    jw_slice(jw, "salt", salt);
    if (audience.len) jw_raw(jw, "audience", audience);
}

static void write_rollout(struct jw *jw, const struct snapshot_rollout *rollout) {
    jw_object(jw, "rollout");
    jw_slice(jw, "id", rollout->id);
    jw_text(jw, "state", rollout_state_name(rollout->state));
    jw_int(jw, "candidate", rollout->candidate->number);
    jw_int(jw, "share", rollout->share);
    write_rule(jw, rollout->salt, rollout->audience_text);
    jw_end_object(jw);
}

static void write_released(struct jw *jw, const struct snapshot_era *era) {
    if (!era->version_released && !era->candidate_released) return;
    jw_array(jw, "released");
    if (era->version_released) jw_int(jw, NULL, era->version->number);
    if (era->candidate_released && era->candidate) jw_int(jw, NULL, era->candidate->number);
    jw_end_array(jw);
}

static void write_sessions(struct jw *jw, const struct snapshot_entry *entry) {
    jw_object(jw, "sessions");
    jw_text(jw, "policy", session_policy_name(entry->sessions));
    jw_array(jw, "eras");
    for (uint32_t i = 0; i < entry->era_count; i++) {
        const struct snapshot_era *era = entry->eras + i;
        jw_object(jw, NULL);
        jw_int(jw, "from", era->from);
        jw_int(jw, "version", era->version->number);
        if (era->candidate) {
            jw_int(jw, "candidate", era->candidate->number);
            jw_int(jw, "share", era->share);
            write_rule(jw, era->salt, era->audience_text);
        }
        write_released(jw, era);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    jw_end_object(jw);
}

static void write_panic(struct jw *jw, const struct snapshot_panic *panic) {
    char at[CLOCK_TEXT_SIZE];
    clock_text(panic->created_at, at);
    jw_object(jw, "panic");
    if (panic->version == &snapshot_disabled)
        jw_bool(jw, "disabled", true);
    else
        jw_int(jw, "version", panic->version->number);
    jw_bool(jw, "whole_environment", panic->whole_environment);
    jw_slice(jw, "reason", panic->reason);
    jw_slice(jw, "by", panic->created_by);
    jw_text(jw, "at", at);
    jw_end_object(jw);
}

static void write_other_version(struct jw *jw, const struct snapshot_version *version) {
    char number[24];
    snprintf(number, sizeof(number), "%" PRId64, version->number);
    jw_object(jw, number);
    write_hash(jw, "config_hash", &version->config_hash);
    jw_raw(jw, "config", version->config);
    jw_end_object(jw);
}

void snapshot_entry_write(const struct snapshot_entry *entry, struct str *out) {
    const struct entry *whole = entry_of(entry);
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_slice(&jw, "agent", entry->agent);
    jw_slice(&jw, "environment", entry->environment);
    jw_int(&jw, "version", entry->version->number);
    write_hash(&jw, "config_hash", &entry->version->config_hash);
    write_hash(&jw, "content_hash", &entry->version->content_hash);
    write_deployment(&jw, &entry->deployment);
    jw_bool(&jw, "held", entry->held);
    jw_array(&jw, "overrides");
    for (uint32_t i = 0; i < entry->override_count; i++)
        write_override(&jw, entry->overrides + i);
    jw_end_array(&jw);
    if (snapshot_entry_rollout(entry)) write_rollout(&jw, snapshot_entry_rollout(entry));
    write_sessions(&jw, entry);
    if (entry->beside && entry->beside->panic) write_panic(&jw, entry->beside->panic);
    jw_raw(&jw, "config", entry->version->config);
    jw_object(&jw, "versions");
    for (uint32_t i = 0; i < whole->version_count; i++)
        if (whole->versions[i] != entry->version) write_other_version(&jw, whole->versions[i]);
    jw_end_object(&jw);
    jw_end_object(&jw);
}

static void write_flag(struct jw *jw, const struct flag *flag) {
    jw_object(jw, flag->key.ptr);
    jw_raw(jw, "definition", flag->definition);
    jw_raw(jw, "bindings", flag->bound);
    jw_int(jw, "seq", flag->seq);
    jw_end_object(jw);
}

void snapshot_flags_write(const struct snapshot_flags *flags, struct jw *jw) {
    jw_object(jw, "flags");
    jw_int(jw, "seq", flags->seq);
    jw_raw(jw, "$evaluators", flags->evaluators);
    jw_raw(jw, "metadata", flags->metadata);
    jw_object(jw, "flags");
    for (uint32_t i = 0; i < flags->flag_count; i++)
        write_flag(jw, snapshot_flags_at(flags, i));
    jw_end_object(jw);
    jw_end_object(jw);
}
