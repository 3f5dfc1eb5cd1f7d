/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving is a lookup and a choice; writing the answer is copying. Whatever is the same for every user was serialised when
 * the snapshot was built: the entry (or the override) owns how the decision begins, the version owns how it ends. Between them stand the
 * position and the unit, which are formatted straight into the reserved room.
 *
 * Among many agents what is asked for is not in the processor's caches, and waiting for memory is most of the work. resolve() reads one
 * directory slot and one line or two of a table. decision_size(), which comes before any writing, asks for the texts of entry and version
 * together: they lie right behind their structs, so nothing need be read to know where.
 */
#include "resolve/resolve.h"

#include <string.h>

#define CACHE_LINE 64
#define ENTRY_LINES 4 /* the struct and how its decisions begin */
#define VERSION_LINES                                                                                                  \
    16 /* the struct and the first of the configuration; the processor's own prefetching goes on from there */

/* `"position":"` 12, two numbers and a dot 41, `",` 2, `"unit":"` 8, digits 24, `",` 2 */
#define MIDDLE_MAX 96

const char *resolve_reason_name(enum resolve_reason reason) {
    return reason == RESOLVE_OVERRIDE ? "OVERRIDE" : "DEPLOYED";
}

static int outcome_of_nothing(const struct snapshot *snapshot, const struct resolve_question *question) {
    if (!snapshot_has_agent(snapshot, question->agent)) return RESOLVE_NO_AGENT;
    if (!snapshot_has_environment(snapshot, question->environment)) return RESOLVE_NO_ENVIRONMENT;
    return RESOLVE_NOT_DEPLOYED;
}

int resolve(const struct snapshot *snapshot, const struct resolve_question *question, struct decision *ret) {
    struct snapshot_served served;
    if (!snapshot_look(snapshot, question->environment, question->agent, &served))
        return outcome_of_nothing(snapshot, question);
    *ret = (struct decision){
        .entry = served.entry,
        .version = served.version,
        .reason = RESOLVE_DEPLOYED,
        .targeting_key = question->targeting_key,
        .position = snapshot_position_text(snapshot),
    };
    if (!served.has_overrides || question->targeting_key.len == 0) return 0;
    const struct snapshot_override *override = snapshot_entry_override(served.entry, question->targeting_key);
    if (!override) return 0;
    ret->reason = RESOLVE_OVERRIDE;
    ret->override = override;
    ret->version = override->version;
    return 0;
}

static struct slice decision_head(const struct decision *decision) {
    return decision->override ? decision->override->decision_head : decision->entry->decision_head;
}

static void ask_for(const void *bytes, size_t lines) {
    for (size_t i = 0; i < lines; i++)
        __builtin_prefetch((const char *)bytes + i * CACHE_LINE);
}

size_t decision_size(const struct decision *decision) {
    ask_for(decision->version, VERSION_LINES);
    ask_for(decision->entry, ENTRY_LINES);
    return decision_head(decision).len + MIDDLE_MAX + decision->version->decision_tail.len;
}

static char *put(char *at, struct slice bytes) {
    memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

static char *put_position(char *at, struct slice position) {
    at = put(at, SLICE_LIT("\"position\":\""));
    at = put(at, position);
    return put(at, SLICE_LIT("\","));
}

static char *put_unit(char *at, const struct decision *decision) {
    if (decision->targeting_key.len == 0) return at;
    at = put(at, SLICE_LIT("\"unit\":\""));
    resolve_unit(snapshot_entry_salt(decision->entry), decision->targeting_key, at);
    return put(at + UNIT_TEXT_SIZE - 1, SLICE_LIT("\","));
}

void decision_write(const struct decision *decision, struct str *out) {
    str_reserve(out, decision_size(decision));
    if (out->failed) return;
    char *at = put(out->data + out->len, decision_head(decision));
    at = put_position(at, decision->position);
    at = put_unit(at, decision);
    at = put(at, decision->version->decision_tail);
    *at = '\0';
    out->len = (size_t)(at - out->data);
}
