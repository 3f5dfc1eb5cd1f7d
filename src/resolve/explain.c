/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "resolve/resolve_impl.h"

#include <string.h>

struct told {
    const struct decision *decision;
    const struct resolve_question *question;
};

static void begin_rule(struct jw *jw, const char *rule) {
    jw_object(jw, NULL);
    jw_text(jw, "rule", rule);
}

static void end_rule(struct jw *jw, bool matched) {
    jw_bool(jw, "matched", matched);
    jw_end_object(jw);
}

static void write_time(struct jw *jw, const char *key, int64_t time) {
    char text[CLOCK_TEXT_SIZE];
    clock_text(time, text);
    jw_text(jw, key, text);
}

static void write_panic(struct jw *jw, const struct snapshot_panic *panic) {
    begin_rule(jw, "panic");
    jw_bool(jw, "whole_environment", panic->whole_environment);
    if (panic->version == &snapshot_disabled)
        jw_bool(jw, "disabled", true);
    else
        jw_int(jw, "version", panic->version->number);
    jw_slice(jw, "reason", panic->reason);
    jw_slice(jw, "by", panic->created_by);
    write_time(jw, "at", panic->created_at);
    jw_int(jw, "seq", panic->seq);
    end_rule(jw, true);
}

static void write_override(struct jw *jw, const struct snapshot_override *override, const struct told *told) {
    bool matched = override == told->decision->override;
    begin_rule(jw, "override");
    jw_slice(jw, "name", override->name);
    jw_int(jw, "version", override->version->number);
    if (override->audience_text.len)
        jw_raw(jw, "audience", override->audience_text);
    else
        jw_int(jw, "keys", override->key_count);
    end_rule(jw, matched);
}

/* What a rollout asks of a user, and what the user has for it. */
struct asked_of {
    const struct snapshot_version *candidate;
    int32_t share;
    struct slice salt, audience_text;
    const struct logic_rule *audience;
};

static void write_asked(struct jw *jw, const struct asked_of *asked, const struct resolve_question *question) {
    jw_int(jw, "candidate", asked->candidate->number);
    jw_int(jw, "share", asked->share);
    jw_slice(jw, "salt", asked->salt);
    if (question->targeting_key.len) jw_int(jw, "bucket", resolve_bucket(asked->salt, question->targeting_key));
    if (!asked->audience) return;
    jw_raw(jw, "audience", asked->audience_text);
    jw_bool(jw, "in_audience", in_audience(asked->audience, question));
}

static void write_era(struct jw *jw, const struct snapshot_era *era, const struct resolve_question *question) {
    struct pinned pinned = session_pinned(era, question);
    jw_object(jw, "era");
    write_time(jw, "from", era->from);
    jw_int(jw, "version", era->version->number);
    if (era->candidate)
        write_asked(jw, &(struct asked_of){era->candidate, era->share, era->salt, era->audience_text, era->audience},
                    question);
    jw_int(jw, "chosen", pinned.version->number);
    if (pinned.released) jw_bool(jw, "released", true);
    jw_end_object(jw);
}

static void write_session(struct jw *jw, const struct told *told) {
    const struct snapshot_entry *entry = told->decision->entry;
    const struct snapshot_era *era = session_era(entry, told->question);
    begin_rule(jw, "session");
    jw_text(jw, "policy", session_policy_name(entry->sessions));
    write_time(jw, "started_at", told->question->session_started_at);
    if (era) write_era(jw, era, told->question);
    end_rule(jw, told->decision->reason == RESOLVE_SESSION);
}

static void write_rollout(struct jw *jw, const struct snapshot_rollout *rollout, const struct told *told) {
    begin_rule(jw, "rollout");
    jw_slice(jw, "id", rollout->id);
    jw_text(jw, "state", rollout_state_name(rollout->state));
    write_asked(jw,
                &(struct asked_of){rollout->candidate, rollout->share, rollout->salt, rollout->audience_text,
                                   rollout->audience},
                told->question);
    end_rule(jw, told->decision->candidate);
}

static void write_ref(struct jw *jw, const struct snapshot_entry *entry) {
    begin_rule(jw, "ref");
    jw_int(jw, "version", entry->version->number);
    end_rule(jw, true);
}

/* Those that name users, or those with a rule. False: one of them chose. */
static bool write_overrides(struct jw *jw, const struct told *told, bool ruled) {
    const struct snapshot_entry *entry = told->decision->entry;
    for (uint32_t i = 0; i < entry->override_count; i++) {
        const struct snapshot_override *override = entry->overrides + i;
        if ((override->audience_text.len > 0) != ruled) continue;
        write_override(jw, override, told);
        if (override == told->decision->override) return false;
    }
    return true;
}

/* Up to the rule that chose. */
static void write_each_rule(struct jw *jw, const struct told *told) {
    const struct decision *decision = told->decision;
    const struct snapshot_entry *entry = decision->entry;
    const struct snapshot_rollout *rollout = snapshot_entry_rollout(entry);
    if (decision->reason == RESOLVE_PANIC) {
        write_panic(jw, entry->beside->panic);
        return;
    }
    if (!write_overrides(jw, told, false) || !write_overrides(jw, told, true)) return;
    if (told->question->session_started_at > 0) write_session(jw, told);
    if (decision->reason == RESOLVE_SESSION) return;
    if (rollout) write_rollout(jw, rollout, told);
    if (!decision->candidate) write_ref(jw, entry);
}

static void write_deployment(struct jw *jw, const struct deployment *deployment) {
    jw_object(jw, "deployment");
    jw_text(jw, "id", deployment->id);
    jw_int(jw, "version", deployment->version);
    if (deployment->previous) jw_int(jw, "previous", deployment->previous);
    jw_text(jw, "kind", deployment_kind_name(deployment->kind));
    jw_text(jw, "reason", deployment->reason);
    jw_text(jw, "by", deployment->created_by);
    write_time(jw, "at", deployment->created_at);
    jw_int(jw, "seq", deployment->seq);
    jw_end_object(jw);
}

static void write_explain(struct jw *jw, const struct told *told) {
    const struct snapshot_entry *entry = told->decision->entry;
    struct slice salt = snapshot_entry_salt(entry), key = told->decision->targeting_key;
    jw_object(jw, "explain");
    jw_array(jw, "rules");
    write_each_rule(jw, told);
    jw_end_array(jw);
    explain_flags(told->decision, told->question, jw);
    write_deployment(jw, &entry->deployment);
    if (key.len) jw_int(jw, "bucket", resolve_bucket(salt, key));
    jw_slice(jw, "salt", salt);
    jw_bool(jw, "held", entry->held);
    jw_end_object(jw);
}

/* The decision is written by the one function that writes decisions; its closing brace gives way to one more member. */
void decision_explain(const struct decision *decision, const struct resolve_question *question, struct jw *jw) {
    const struct told told = {decision, question};
    struct str text = STR_INIT;
    decision_write(decision, &text);
    if (!text.failed) text.len--;
    struct jw inner = {.out = &text, .has_items = 1};
    write_explain(&inner, &told);
    str_add_char(&text, '}');
    if (text.failed) jw->out->failed = true;
    jw_raw(jw, NULL, str_slice(&text));
    str_deinit(&text);
}
