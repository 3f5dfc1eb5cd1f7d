/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands beside the ref in an entry: the open rollout, the panic, and the eras for sessions. Their texts, in the entry's one string:
 *
 *   rollout: head of the stable arm · head of the candidate · salt · id · audience
 *   panic:   head · reason · created_by
 *   for each era with a rollout: salt · audience
 *
 * Audiences, those of overrides too, are compiled once a text: over the steps of one rollout they are the same.
 */
#include "snapshot/snapshot_impl.h"

#include <inttypes.h>
#include <stdio.h>

bool beside_is_needed(const struct snapshot_entry_spec *spec) {
    return spec->rollout || spec->panic || spec->override_count;
}

/* ---- audiences ---- */

/* A rule of a later program may be unknown to this one; it applies to nobody then, and everybody is served. */
static int compile_or_nobody(const char *text, struct logic_rule **ret) {
    _cleanup_(json_decrefp) json_t *rule = NULL;
    struct faults faults = FAULTS_INIT;
    int r = json_parse(text, strlen(text), JSON_DEPTH_MAX, &rule, NULL);
    if (r == 0) r = logic_compile(rule, "", ret, &faults, NULL);
    if (r < 0 && r != -ERR_NO_MEMORY) r = logic_compile(json_false(), "", ret, &faults, NULL);
    faults_deinit(&faults);
    return r;
}

const struct logic_rule *making_rule(const struct making *making, const char *text) {
    for (size_t i = 0; text && *text && i < making->rule_count; i++)
        if (strcmp(making->rule_texts[i], text) == 0) return making->rules[i];
    return NULL;
}

static int compile_once(struct making *making, const char *text) {
    if (!text || !*text || making_rule(making, text) || making->rule_count == RULES_MAX) return 0;
    int r = compile_or_nobody(text, making->rules + making->rule_count);
    if (r < 0) return r;
    making->rule_texts[making->rule_count++] = text;
    return 0;
}

int beside_compile(struct making *making) {
    const struct snapshot_entry_spec *spec = making->spec;
    int r = spec->rollout ? compile_once(making, spec->rollout->audience) : 0;
    for (size_t i = 0; i < spec->era_count && r == 0; i++)
        if (spec->eras[i].era.candidate) r = compile_once(making, spec->eras[i].era.audience);
    for (size_t i = 0; i < spec->override_count && r == 0; i++)
        r = compile_once(making, spec->overrides[i].audience);
    return r;
}

/* ---- texts ---- */

static const struct snapshot_version *panic_version(const struct making *making) {
    const struct snapshot_entry_spec *spec = making->spec;
    if (spec->panic->version == PANIC_DISABLED) return &snapshot_disabled;
    return making_version(making, spec->panic->version < 0 ? spec->deployment.version : spec->panic->version);
}

static void write_rollout(struct making *making, const struct rollout *rollout) {
    struct head_words words = {.version = making_version(making, making->spec->deployment.version),
                               .reason = "ROLLOUT",
                               .key = "rollout",
                               .value = rollout->id,
                               .tag = ".stable"};
    making_add_head(making, &words);
    words.version = making_version(making, rollout->candidate);
    words.candidate = true;
    words.tag = ".candidate";
    making_add_head(making, &words);
    making_add_text(making, rollout->salt);
    making_add_text(making, rollout->id);
    making_add_text(making, rollout->audience);
}

static void write_panic(struct making *making, const struct panic *panic) {
    char tag[40];
    snprintf(tag, sizeof(tag), ".%" PRId64 ".PANIC", panic->seq);
    making_add_head(making, &(struct head_words){.version = panic_version(making), .reason = "PANIC", .tag = tag});
    making_add_text(making, panic->reason);
    making_add_text(making, panic->created_by);
}

void beside_write_texts(struct making *making) {
    const struct snapshot_entry_spec *spec = making->spec;
    if (spec->rollout) write_rollout(making, spec->rollout);
    if (spec->panic) write_panic(making, spec->panic);
    for (size_t i = 0; i < spec->era_count; i++) {
        const struct era *era = &spec->eras[i].era;
        if (!era->candidate) continue;
        making_add_text(making, era->salt);
        making_add_text(making, era->audience);
    }
}

/* ---- into place ---- */

/* The last member of both heads, from its quotes to its comma. */
static struct slice rollout_member(struct slice head) {
    struct slice name = SLICE_LIT("\"rollout\":");
    size_t at = head.len - name.len;
    while (at && memcmp(head.ptr + at, name.ptr, name.len) != 0)
        at--;
    return (struct slice){head.ptr + at, head.len - at};
}

static void read_rollout(const struct making *making, struct snapshot_rollout *ret, const char **at) {
    const struct rollout *rollout = making->spec->rollout;
    struct snapshot_head stable = next_head(at), candidate = next_head(at);
    struct slice salt = next_text(at);
    *ret = (struct snapshot_rollout){
        .candidate = making_version(making, rollout->candidate),
        .audience = making_rule(making, rollout->audience),
        .salted = murmur_add(murmur_add(MURMUR_START, salt), SLICE_LIT("/")),
        .share = rollout->share,
        .state = rollout->state,
        .heads = {stable, candidate},
        .member = rollout_member(stable.text),
        .salt = salt,
        .seq = rollout->seq,
    };
    ret->id = next_text(at);
    ret->audience_text = next_text(at);
}

static void read_panic(const struct making *making, struct snapshot_panic *ret, const char **at) {
    const struct panic *panic = making->spec->panic;
    *ret = (struct snapshot_panic){
        .version = panic_version(making),
        .whole_environment = !panic->agent || !*panic->agent,
        .created_at = panic->created_at,
        .seq = panic->seq,
    };
    ret->head = next_head(at);
    ret->reason = next_text(at);
    ret->created_by = next_text(at);
}

static void read_era(const struct making *making, const struct snapshot_era_spec *spec, struct snapshot_era *ret,
                     const char **at) {
    const struct era *era = &spec->era;
    *ret = (struct snapshot_era){
        .from = era->from, .version = making_version(making, era->version), .version_released = spec->version_released};
    if (!era->candidate) return;
    ret->candidate = making_version(making, era->candidate);
    ret->candidate_released = spec->candidate_released;
    ret->audience = making_rule(making, era->audience);
    ret->share = era->share;
    ret->salt = next_text(at);
    ret->audience_text = next_text(at);
}

void beside_read(const struct making *making, struct snapshot_beside *beside, struct snapshot_panic *panic,
                 struct snapshot_era *eras, const char **at) {
    const struct snapshot_entry_spec *spec = making->spec;
    if (beside) {
        beside->version = making_version(making, spec->deployment.version);
        beside->panic = panic;
        if (spec->rollout) read_rollout(making, &beside->rollout, at);
    }
    if (panic) read_panic(making, panic, at);
    for (size_t i = 0; i < spec->era_count; i++)
        read_era(making, spec->eras + i, eras + i, at);
}
