/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resolving is a lookup and a choice; writing the answer is copying. Whatever is the same for every user was serialised when
 * the snapshot was built: a head, of the entry or of what stands beside its ref, is how the decision begins, the version owns how it ends. Between them stand the
 * position, the bucket and the unit, which are formatted straight into the reserved room. Only a session's head is put together when it is written: there would
 * be too many of them to keep.
 *
 * Among many agents what is asked for is not in the processor's caches, and waiting for memory is most of the work. resolve() reads one
 * directory slot and one line or two of a table. decision_size(), which comes before any writing, asks for the texts of entry and version
 * together: they lie right behind their structs, so nothing need be read to know where. Where something stands beside the ref, the table leads to one more line
 * that has all of it; a plain resolve does not pay for that.
 */
#include "resolve/resolve_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CACHE_LINE 64
#define ENTRY_LINES 4 /* the struct and how its decisions begin */
#define VERSION_LINES                                                                                                  \
    16 /* the struct and the first of the configuration; the processor's own prefetching goes on from there */

/* `"position":"` 12, two numbers and a dot 41, `",` 2, `"bucket":` 9, digits 5, `,` 1, `"unit":"` 8, digits 24, `",` 2 */
#define MIDDLE_MAX 112
/* A session's head without agent, environment and rollout: see put_session_head(). */
#define SESSION_HEAD_MAX 256

const char *resolve_reason_name(enum resolve_reason reason) {
    static const char *const names[] = {"DEPLOYED", "ROLLOUT", "SESSION", "OVERRIDE", "PANIC"};
    return names[reason];
}

static int outcome_of_nothing(const struct snapshot *snapshot, const struct resolve_question *question) {
    if (!snapshot_has_agent(snapshot, question->agent)) return RESOLVE_NO_AGENT;
    if (!snapshot_has_environment(snapshot, question->environment)) return RESOLVE_NO_ENVIRONMENT;
    return RESOLVE_NOT_DEPLOYED;
}

bool in_audience(const struct logic_rule *audience, const struct resolve_question *question) {
    return !audience || logic_matches(audience, question->attributes);
}

/* ---- sessions ---- */

const struct snapshot_era *session_era(const struct snapshot_entry *entry, const struct resolve_question *question) {
    if (question->session_started_at <= 0 || entry->sessions == SESSION_FOLLOW) return NULL;
    for (uint32_t i = 0; i < entry->era_count; i++)
        if (entry->eras[i].from <= question->session_started_at) return entry->eras + i;
    return NULL;
}

struct pinned session_pinned(const struct snapshot_era *era, const struct resolve_question *question) {
    struct pinned pinned = {.version = era->version, .released = era->version_released};
    if (!era->candidate) return pinned;
    pinned.in_audience = in_audience(era->audience, question);
    if (!pinned.in_audience || question->targeting_key.len == 0) return pinned;
    if (resolve_bucket(era->salt, question->targeting_key) >= (uint32_t)era->share) return pinned;
    pinned.version = era->candidate;
    pinned.candidate = true;
    pinned.released = era->candidate_released;
    return pinned;
}

/* `ret` is the decision without a session. The rollout goes on counting it when the session changes nothing. */
static void pin(const struct resolve_question *question, struct decision *ret) {
    const struct snapshot_era *era = session_era(ret->entry, question);
    if (!era) return;
    struct pinned pinned = session_pinned(era, question);
    if (pinned.released) return;
    bool same = pinned.version == ret->version && pinned.candidate == ret->candidate;
    if (!same) ret->rollout = NULL;
    ret->reason = RESOLVE_SESSION;
    ret->head = NULL;
    ret->era = era;
    ret->version = pinned.version;
    ret->candidate = pinned.candidate;
}

/* ---- what stands beside the ref ---- */

static void choose_arm(const struct snapshot_beside *beside, const struct resolve_question *question,
                       struct decision *ret) {
    const struct snapshot_rollout *rollout = &beside->rollout;
    ret->reason = RESOLVE_ROLLOUT;
    if (question->targeting_key.len == 0) return;
    murmur_end(murmur_add(rollout->salted, question->targeting_key), ret->hash);
    ret->hashed = true;
    if (!in_audience(rollout->audience, question)) return;
    ret->candidate = unit_bucket(ret->hash) < (uint32_t)rollout->share;
    ret->version = ret->candidate ? rollout->candidate : beside->version; /* nobody can guess which: without a jump */
    ret->head = rollout->heads + ret->candidate;
    ret->rollout = rollout;
}

static void choose_panic(const struct snapshot_panic *panic, struct decision *ret) {
    ret->reason = RESOLVE_PANIC;
    ret->version = panic->version;
    ret->head = &panic->head;
}

/* Who is named comes before any rule; among rules the first in order of name that applies. */
static const struct snapshot_override *find_override(const struct snapshot_entry *entry,
                                                     const struct resolve_question *question) {
    const struct snapshot_override *override = NULL;
    if (question->targeting_key.len) override = snapshot_entry_override(entry, question->targeting_key);
    for (uint32_t i = 0; !override && entry->audience_count && i < entry->override_count; i++)
        if (entry->overrides[i].audience && in_audience(entry->overrides[i].audience, question))
            override = entry->overrides + i;
    return override;
}

/* False: none is for this user. */
static bool choose_override(const struct snapshot_beside *beside, const struct resolve_question *question,
                            struct decision *ret) {
    const struct snapshot_override *override = find_override(ret->entry, question);
    if (!override) return false;
    const struct snapshot_rollout *rollout = &beside->rollout;
    ret->reason = RESOLVE_OVERRIDE;
    ret->override = override;
    ret->version = override->version;
    ret->candidate = override->version == rollout->candidate;
    ret->head = &override->head;
    return true;
}

__attribute__((noinline)) static void resolve_beside(const struct snapshot_served *served,
                                                     const struct resolve_question *question, struct decision *ret) {
    const struct snapshot_beside *beside = served->beside;
    if (beside) {
        ret->version = beside->version;
        if (beside->panic) {
            choose_panic(beside->panic, ret);
            return;
        }
        if (served->has_overrides && choose_override(beside, question, ret)) return;
        if (beside->rollout.candidate) choose_arm(beside, question, ret);
    }
    if (question->session_started_at) pin(question, ret);
}

int resolve(const struct snapshot *snapshot, const struct resolve_question *question, struct decision *ret) {
    struct snapshot_served served;
    if (!snapshot_look(snapshot, question->environment, question->agent, &served))
        return outcome_of_nothing(snapshot, question);
    /* One by one: a struct of this size is zeroed by a string instruction, which costs as much as the lookup. */
    ret->entry = served.entry;
    ret->ref = served.ref;
    ret->version = served.version;
    ret->head = &served.entry->head;
    ret->override = NULL;
    ret->rollout = NULL;
    ret->era = NULL;
    ret->targeting_key = question->targeting_key;
    ret->position = snapshot_position_text(snapshot);
    ret->reason = RESOLVE_DEPLOYED;
    ret->candidate = false;
    ret->hashed = false;
    ret->bound = NULL;
    if (served.beside || question->session_started_at) resolve_beside(&served, question, ret);
    if (served.has_flags) decide_flags(snapshot, question, ret);
    return 0;
}

/* ---- writing ---- */

static void ask_for(const void *bytes, size_t lines) {
    for (size_t i = 0; i < lines; i++)
        __builtin_prefetch((const char *)bytes + i * CACHE_LINE);
}

size_t decision_size(const struct decision *decision) {
    ask_for(decision->version, VERSION_LINES);
    ask_for(decision->entry, ENTRY_LINES);
    size_t size = MIDDLE_MAX + (decision->bound ? flagged_size(decision) : decision->version->decision_tail.len);
    if (decision->head) return size + decision->head->text.len;
    size += SESSION_HEAD_MAX + decision->entry->agent.len + decision->entry->environment.len;
    return size + (decision->rollout ? decision->rollout->member.len : 0);
}

/* As making_add_head() of the snapshot makes the others. Names need no escapes. */
static char *put_session_head(char *at, const struct decision *decision) {
    at = slice_put(at, SLICE_LIT("{\"agent\":\""));
    at = slice_put(at, decision->entry->agent);
    at = slice_put(at, SLICE_LIT("\",\"environment\":\""));
    at = slice_put(at, decision->entry->environment);
    at = slice_put(at, SLICE_LIT("\",\"version\":"));
    at = text_from_int(at, decision->version->number);
    at = slice_put(at, decision->candidate ? SLICE_LIT(",\"arm\":\"candidate\"") : SLICE_LIT(",\"arm\":\"stable\""));
    at = slice_put(at, SLICE_LIT(",\"config_hash\":\""));
    sha256_text(&decision->version->config_hash, at);
    at = slice_put(at + HASH_TEXT_SIZE - 1, SLICE_LIT("\",\"reason\":\"SESSION\","));
    return decision->rollout ? slice_put(at, decision->rollout->member) : at;
}

static char *put_position(char *at, struct slice position) {
    at = slice_put(at, SLICE_LIT("\"position\":\""));
    at = slice_put(at, position);
    return slice_put(at, SLICE_LIT("\","));
}

/* `own` is for a hash that resolving had no need of. */
static const uint32_t *hash_of(const struct decision *decision, uint32_t own[UNIT_SEEDS]) {
    if (decision->hashed) return decision->hash;
    unit_hash(snapshot_entry_salt(decision->entry), decision->targeting_key, own);
    return own;
}

static char *put_unit(char *at, const struct decision *decision) {
    if (decision->targeting_key.len == 0) return at;
    uint32_t own[UNIT_SEEDS];
    const uint32_t *hash = hash_of(decision, own);
    if (decision->rollout) {
        at = slice_put(at, SLICE_LIT("\"bucket\":"));
        at = text_from_int(at, unit_bucket(hash));
        *at++ = ',';
    }
    at = slice_put(at, SLICE_LIT("\"unit\":\""));
    unit_text(hash, at);
    return slice_put(at + UNIT_TEXT_SIZE - 1, SLICE_LIT("\","));
}

void decision_write(const struct decision *decision, struct str *out) {
    str_reserve(out, decision_size(decision));
    if (out->failed) return;
    char *at = out->data + out->len;
    at = decision->head ? slice_put(at, decision->head->text) : put_session_head(at, decision);
    at = put_position(at, decision->position);
    at = put_unit(at, decision);
    at = decision->bound ? put_flagged_tail(decision, at) : slice_put(at, decision->version->decision_tail);
    *at = '\0';
    out->len = (size_t)(at - out->data);
}

void decision_write_config(const struct decision *decision, struct str *out) {
    str_reserve(out, decision->bound ? flagged_size(decision) : decision->version->config.len);
    if (out->failed || !decision->version->config.len) return;
    char *at = out->data + out->len;
    at = decision->bound ? put_flagged_config(decision, at) : slice_put(at, decision->version->config);
    *at = '\0';
    out->len = (size_t)(at - out->data);
}

bool decision_unit(const struct decision *decision, char ret[UNIT_TEXT_SIZE]) {
    uint32_t own[UNIT_SEEDS];
    if (decision->targeting_key.len == 0) return false;
    unit_text(hash_of(decision, own), ret);
    return true;
}

/* A session's: as the others, and whether the rollout counts it. */
static size_t session_etag(const struct decision *decision, char *ret) {
    const struct snapshot_rollout *rollout = snapshot_entry_rollout(decision->entry);
    char began[24] = "";
    if (rollout) snprintf(began, sizeof(began), ".%" PRId64, rollout->seq);
    int len = snprintf(ret, DECISION_ETAG_SIZE, "W/\"%" PRId64 ".%" PRId64 "%s.%s.SESSION%s\"",
                       decision->entry->deployment.seq, decision->version->number, began,
                       decision->candidate ? "candidate" : "stable", decision->rollout ? ".counted" : "");
    return (size_t)len;
}

/* Before the last quote. */
static size_t add_flags(const struct decision *decision, char *etag, size_t len) {
    char *at = slice_put(etag + len - 1, SLICE_LIT(".f"));
    hex_encode(&decision->flags_sum, sizeof(decision->flags_sum), at);
    at = slice_put(at + 2 * sizeof(decision->flags_sum), SLICE_LIT("\""));
    *at = '\0';
    return (size_t)(at - etag);
}

size_t decision_etag(const struct decision *decision, char ret[DECISION_ETAG_SIZE]) {
    size_t len;
    if (decision->head) {
        len = decision->head->etag.len;
        memcpy(ret, decision->head->etag.ptr, len + 1);
    } else {
        len = session_etag(decision, ret);
    }
    return decision->bound ? add_flags(decision, ret, len) : len;
}
