/* SPDX-License-Identifier: Apache-2.0 */
/* The nouns as users see them: the shapes of answers.def. */
#include "ops/ops_impl.h"

void write_time(struct jw *jw, const char *key, int64_t at) {
    char text[CLOCK_TEXT_SIZE];
    clock_text(at, text);
    jw_text(jw, key, text);
}

static void write_hash(struct jw *jw, const char *key, const struct sha256 *hash) {
    char text[HASH_TEXT_SIZE];
    sha256_text(hash, text);
    jw_text(jw, key, text);
}

static void write_who_when(struct jw *jw, const char *reason, const char *by, int64_t at) {
    jw_text(jw, "reason", reason);
    jw_text(jw, "by", by);
    write_time(jw, "at", at);
}

void write_agent(struct jw *jw, const char *key, const struct agent *agent) {
    jw_object(jw, key);
    write_agent_members(jw, agent);
    jw_end_object(jw);
}

void write_agent_members(struct jw *jw, const struct agent *agent) {
    jw_text(jw, "name", agent->name);
    jw_text(jw, "description", agent->description);
    jw_int(jw, "latest", agent->latest);
    jw_text(jw, "session", session_policy_name(agent->session));
    write_time(jw, "created_at", agent->created_at);
    jw_text(jw, "created_by", agent->created_by);
}

void write_version(struct jw *jw, const char *key, const struct version *version, const char *const *served_in) {
    jw_object(jw, key);
    write_version_members(jw, version, served_in);
    jw_end_object(jw);
}

void write_version_members(struct jw *jw, const struct version *version, const char *const *served_in) {
    jw_text(jw, "agent", version->agent);
    jw_int(jw, "version", version->number);
    write_hash(jw, "content_hash", &version->content_hash);
    write_hash(jw, "config_hash", &version->config_hash);
    jw_int(jw, "size", version->size);
    jw_text(jw, "change_description", version->description);
    jw_raw(jw, "source", slice_of(version->source));
    if (version->parent) jw_int(jw, "parent", version->parent);
    write_time(jw, "created_at", version->created_at);
    jw_text(jw, "created_by", version->created_by);
    if (served_in) {
        jw_array(jw, "served_in");
        for (; *served_in; served_in++)
            jw_text(jw, NULL, *served_in);
        jw_end_array(jw);
    }
    if (version->config.len) jw_raw(jw, "config", version->config);
}

void write_environment(struct jw *jw, const char *key, const struct environment *environment) {
    jw_object(jw, key);
    jw_text(jw, "name", environment->name);
    jw_text(jw, "description", environment->description);
    jw_bool(jw, "protected", environment->is_protected);
    write_time(jw, "created_at", environment->created_at);
    jw_text(jw, "created_by", environment->created_by);
    jw_end_object(jw);
}

void write_ref(struct jw *jw, const char *key, const struct deployment *deployment, bool held) {
    jw_object(jw, key);
    jw_text(jw, "agent", deployment->agent);
    jw_text(jw, "environment", deployment->environment);
    jw_int(jw, "version", deployment->version);
    jw_text(jw, "deployment", deployment->id);
    write_who_when(jw, deployment->reason, deployment->created_by, deployment->created_at);
    jw_bool(jw, "held", held);
    jw_end_object(jw);
}

void write_deployment(struct jw *jw, const char *key, const struct deployment *deployment) {
    jw_object(jw, key);
    jw_text(jw, "id", deployment->id);
    jw_text(jw, "agent", deployment->agent);
    jw_text(jw, "environment", deployment->environment);
    jw_int(jw, "version", deployment->version);
    if (deployment->previous) jw_int(jw, "previous", deployment->previous);
    jw_text(jw, "kind", deployment_kind_name(deployment->kind));
    if (deployment->release) jw_text(jw, "release", deployment->release);
    write_who_when(jw, deployment->reason, deployment->created_by, deployment->created_at);
    jw_int(jw, "seq", deployment->seq);
    jw_end_object(jw);
}

void write_hold(struct jw *jw, const char *key, const struct hold *hold) {
    jw_object(jw, key);
    jw_text(jw, "agent", hold->agent);
    jw_text(jw, "environment", hold->environment);
    write_who_when(jw, hold->reason, hold->created_by, hold->created_at);
    jw_end_object(jw);
}

void write_override(struct jw *jw, const char *key, const struct override *override) {
    jw_object(jw, key);
    jw_text(jw, "name", override->name);
    jw_text(jw, "agent", override->agent);
    jw_text(jw, "environment", override->environment);
    jw_int(jw, "version", override->version);
    if (override->audience)
        jw_raw(jw, "audience", slice_of(override->audience));
    else
        jw_raw(jw, "keys", slice_of(override->keys));
    write_who_when(jw, override->reason, override->created_by, override->created_at);
    jw_end_object(jw);
}

void write_faults(struct jw *jw, const char *key, const struct faults *faults, bool warnings) {
    jw_array(jw, key);
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->items[i].warning != warnings) continue;
        jw_object(jw, NULL);
        jw_text(jw, "at", faults->items[i].at);
        jw_text(jw, "detail", faults->items[i].message);
        jw_end_object(jw);
    }
    jw_end_array(jw);
}
