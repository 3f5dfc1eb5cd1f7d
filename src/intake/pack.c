/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed form of an outcome:
 *
 *   has (count) · state (count: ok, feedback, arm, reason) · place (count; a new one: agent, environment, version, rollout) · time since
 *   the outcome before (int) · unit (4 bytes and a word) · latency, cost (real) · tokens, tool errors (count) · scores (count, each: name (count; a new
 *   one: text) and real) · run (word) · session, error type (text, only when it failed)
 *
 * each only when `has` says so.
 */
#include "intake/pack.h"
#include "intake/read_impl.h"

static bool place_equal(const struct outcome_place *a, const struct outcome_place *b) {
    return a->version == b->version && slice_equal(a->agent, b->agent) && slice_equal(a->rollout, b->rollout) &&
           slice_equal(a->environment, b->environment);
}

/* The place's number; place_count: it is new. The newest first: outcomes of one place follow one another. */
static size_t find_place(const struct outcome_pack *pack, const struct outcome_place *place) {
    for (size_t i = pack->place_count; i-- > 0;)
        if (place_equal(&pack->places[i], place)) return i;
    return pack->place_count;
}

static bool add_place(struct outcome_pack *pack, const struct outcome_place *place, struct outcomes *out) {
    size_t number = find_place(pack, place);
    pack_count(&out->packed, number);
    if (number < pack->place_count) return true;
    if (number == OUTCOME_PLACES_MAX) return false;
    pack->places[pack->place_count++] = *place;
    pack_text(&out->packed, place->agent);
    pack_text(&out->packed, place->environment);
    pack_count(&out->packed, (uint64_t)place->version);
    pack_text(&out->packed, place->rollout);
    return true;
}

static bool add_name(struct outcome_pack *pack, struct slice name, struct str *out) {
    size_t i = 0;
    while (i < pack->name_count && !slice_equal(pack->names[i], name))
        i++;
    pack_count(out, i);
    if (i < pack->name_count) return true;
    if (i == OUTCOME_NAMES_MAX) return false;
    pack->names[pack->name_count++] = name;
    pack_text(out, name);
    return true;
}

static uint64_t state_of(const struct outcome *outcome) {
    return (uint64_t)outcome->ok | (uint64_t)outcome->feedback_up << 1 | (uint64_t)outcome->arm << 2 |
           (uint64_t)outcome->reason << 4;
}

#define UNKEPT (OUTCOME_HAS(SESSION) | OUTCOME_HAS(ERROR_TYPE))

static uint32_t kept(const struct outcome *outcome) {
    bool failed = outcome->has & OUTCOME_HAS(OK) && !outcome->ok;
    return failed ? outcome->has : outcome->has & ~UNKEPT;
}

static bool add_scores(struct outcome_pack *pack, const struct outcome *outcome, struct str *out) {
    bool added = true;
    pack_count(out, outcome->score_count);
    for (size_t i = 0; i < outcome->score_count; i++) {
        added &= add_name(pack, outcome->scores[i].name, out);
        pack_real(out, outcome->scores[i].value);
    }
    return added;
}

static void add_unit(const struct outcome *outcome, struct str *out) {
    uint32_t hash = htole32(outcome->bucket_hash);
    str_add(out, &hash, sizeof(hash));
    pack_word(out, outcome->unit);
}

bool outcome_pack_add(struct outcome_pack *pack, const struct outcome *outcome, struct outcomes *ret) {
    struct str *out = &ret->packed;
    uint32_t has = kept(outcome);
    pack_count(out, has);
    pack_count(out, state_of(outcome));
    bool added = add_place(pack, &outcome->place, ret);
    pack_int(out, outcome->at - pack->at);
    pack->at = outcome->at;
    if (has & OUTCOME_HAS(UNIT)) add_unit(outcome, out);
    if (has & OUTCOME_HAS(LATENCY)) pack_real(out, outcome->latency_ms);
    if (has & OUTCOME_HAS(COST)) pack_real(out, outcome->cost_usd);
    if (has & OUTCOME_HAS(INPUT_TOKENS)) pack_count(out, (uint64_t)outcome->input_tokens);
    if (has & OUTCOME_HAS(OUTPUT_TOKENS)) pack_count(out, (uint64_t)outcome->output_tokens);
    if (has & OUTCOME_HAS(TOOL_ERRORS)) pack_count(out, (uint64_t)outcome->tool_errors);
    if (has & OUTCOME_HAS(SCORES)) added &= add_scores(pack, outcome, out);
    if (has & OUTCOME_HAS(RUN)) pack_word(out, outcome->run);
    if (has & OUTCOME_HAS(SESSION)) pack_text(out, outcome->session);
    if (has & OUTCOME_HAS(ERROR_TYPE)) pack_text(out, outcome->error_type);
    return added;
}

/* ---- and back ---- */

static void take_place(struct outcome_pack *pack, struct unpack *from, struct outcome *ret) {
    uint64_t number = unpack_count(from);
    from->failed |= number > pack->place_count || number >= OUTCOME_PLACES_MAX;
    if (from->failed) return;
    struct outcome_place *place = &pack->places[number];
    if (number == pack->place_count) {
        pack->place_count++;
        place->agent = unpack_text(from);
        place->environment = unpack_text(from);
        place->version = (int64_t)unpack_count(from);
        place->rollout = unpack_text(from);
    }
    ret->place = *place;
    ret->place_index = (size_t)number;
}

static struct slice take_name(struct outcome_pack *pack, struct unpack *from) {
    uint64_t number = unpack_count(from);
    from->failed |= number > pack->name_count || number >= OUTCOME_NAMES_MAX;
    if (from->failed) return (struct slice){"", 0};
    if (number == pack->name_count) pack->names[pack->name_count++] = unpack_text(from);
    return pack->names[number];
}

static void take_scores(struct outcome_pack *pack, struct unpack *from, struct outcome *ret) {
    uint64_t count = unpack_count(from);
    from->failed |= count > OUTCOME_SCORES_MAX;
    for (uint64_t i = 0; i < count && !from->failed; i++) {
        struct slice name = take_name(pack, from);
        ret->scores[ret->score_count++] = (struct outcome_score){name, unpack_real(from)};
    }
}

static void take_state(struct unpack *from, struct outcome *ret) {
    uint64_t state = unpack_count(from);
    ret->ok = state & 1;
    ret->feedback_up = state >> 1 & 1;
    ret->arm = (enum outcome_arm)(state >> 2 & 3);
    ret->reason = (enum outcome_reason)(state >> 4 & 7);
}

static void take_unit(struct unpack *from, struct outcome *ret) {
    uint32_t hash = 0;
    from->failed |= from->end - from->p < (ptrdiff_t)sizeof(hash);
    if (from->failed) return;
    memcpy(&hash, from->p, sizeof(hash));
    from->p += sizeof(hash);
    ret->bucket_hash = le32toh(hash);
    ret->unit = unpack_word(from);
}

int outcome_unpack(struct outcome_pack *pack, struct slice *bytes, struct outcome *ret) {
    if (!bytes->len) return 0;
    struct unpack from = UNPACK(*bytes);
    outcome_clear(ret);
    uint32_t has = ret->has = (uint32_t)unpack_count(&from);
    take_state(&from, ret);
    take_place(pack, &from, ret);
    pack->at = ret->at = (int64_t)((uint64_t)pack->at + (uint64_t)unpack_int(&from));
    if (has & OUTCOME_HAS(UNIT)) take_unit(&from, ret);
    if (has & OUTCOME_HAS(LATENCY)) ret->latency_ms = unpack_real(&from);
    if (has & OUTCOME_HAS(COST)) ret->cost_usd = unpack_real(&from);
    if (has & OUTCOME_HAS(INPUT_TOKENS)) ret->input_tokens = (int64_t)unpack_count(&from);
    if (has & OUTCOME_HAS(OUTPUT_TOKENS)) ret->output_tokens = (int64_t)unpack_count(&from);
    if (has & OUTCOME_HAS(TOOL_ERRORS)) ret->tool_errors = (int64_t)unpack_count(&from);
    if (has & OUTCOME_HAS(SCORES)) take_scores(pack, &from, ret);
    if (has & OUTCOME_HAS(RUN)) ret->run = unpack_word(&from);
    if (has & OUTCOME_HAS(SESSION)) ret->session = unpack_text(&from);
    if (has & OUTCOME_HAS(ERROR_TYPE)) ret->error_type = unpack_text(&from);
    if (from.failed) return -ERR_STORE_CORRUPT;
    *bytes = (struct slice){from.p, (size_t)(from.end - from.p)};
    return 1;
}
