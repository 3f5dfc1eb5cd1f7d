/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "resolve/resolve.h"

static void write_override(struct jw *jw, const struct snapshot_override *override, bool matched) {
    jw_object(jw, NULL);
    jw_text(jw, "rule", "override");
    jw_slice(jw, "name", override->name);
    jw_int(jw, "version", override->version->number);
    jw_int(jw, "keys", override->key_count);
    jw_bool(jw, "matched", matched);
    jw_end_object(jw);
}

static void write_rules(struct jw *jw, const struct decision *decision) {
    const struct snapshot_entry *entry = decision->entry;
    jw_array(jw, "rules");
    for (uint32_t i = 0; i < entry->override_count; i++) {
        const struct snapshot_override *override = entry->overrides + i;
        write_override(jw, override, override == decision->override);
        if (override == decision->override) break;
    }
    if (!decision->override) {
        jw_object(jw, NULL);
        jw_text(jw, "rule", "ref");
        jw_int(jw, "version", entry->version->number);
        jw_bool(jw, "matched", true);
        jw_end_object(jw);
    }
    jw_end_array(jw);
}

static void write_deployment(struct jw *jw, const struct deployment *deployment) {
    char at[CLOCK_TEXT_SIZE];
    clock_text(deployment->created_at, at);
    jw_object(jw, "deployment");
    jw_text(jw, "id", deployment->id);
    jw_int(jw, "version", deployment->version);
    if (deployment->previous) jw_int(jw, "previous", deployment->previous);
    jw_text(jw, "kind", deployment_kind_name(deployment->kind));
    jw_text(jw, "reason", deployment->reason);
    jw_text(jw, "by", deployment->created_by);
    jw_text(jw, "at", at);
    jw_int(jw, "seq", deployment->seq);
    jw_end_object(jw);
}

static void write_explain(struct jw *jw, const struct decision *decision) {
    struct slice salt = snapshot_entry_salt(decision->entry);
    jw_object(jw, "explain");
    write_rules(jw, decision);
    write_deployment(jw, &decision->entry->deployment);
    if (decision->targeting_key.len) jw_int(jw, "bucket", resolve_bucket(salt, decision->targeting_key));
    jw_slice(jw, "salt", salt);
    jw_bool(jw, "held", decision->entry->held);
    jw_end_object(jw);
}

/* The decision is written by the one function that writes decisions; its closing brace gives way to one more member. */
void decision_explain(const struct decision *decision, struct jw *jw) {
    struct str text = STR_INIT;
    decision_write(decision, &text);
    if (!text.failed) text.len--;
    struct jw inner = {.out = &text, .has_items = 1};
    write_explain(&inner, decision);
    str_add_char(&text, '}');
    if (text.failed) jw->out->failed = true;
    jw_raw(jw, NULL, str_slice(&text));
    str_deinit(&text);
}
