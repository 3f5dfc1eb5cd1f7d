/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay trusts nothing but the plan and the entry: it reads the evidence, judges, decides and words it anew, and holds all three to what
 * the journal says. A difference means that the program has changed its mind since, or that somebody changed the journal.
 */
#include "controller/journal.h"

#include "base/hash.h"

#include <math.h>

#define VERSION 1
#define HEADER_SIZE 3
#define CRC_SIZE 4
#define TIME_MOST (INT64_C(1) << 60)
#define NAME_MOST 64
#define CANONICAL_NAN UINT64_C(0x7ff8000000000000)

enum flags { REF_HELD = 1, PANIC = 2, MAY_PROMOTE = 4, ALL_FLAGS = 7 };

/* ---- writing ---- */

static void put(struct str *out, int64_t number) {
    uint64_t rest = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
    for (; rest >= 0x80; rest >>= 7)
        str_add_char(out, (char)(rest | 0x80));
    str_add_char(out, (char)rest);
}

static void put_low_first(struct str *out, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        str_add_char(out, (char)(uint8_t)(number >> 8 * i));
}

static void put_double(struct str *out, double number) {
    uint64_t bits = CANONICAL_NAN;
    if (!isnan(number)) memcpy(&bits, &number, sizeof(bits));
    put_low_first(out, bits, sizeof(bits));
}

static void put_slice(struct str *out, struct slice slice) {
    put(out, (int64_t)slice.len);
    str_add_slice(out, slice);
}

static void put_facts(struct str *out, const struct rollout_plan *plan, const struct rollout_facts *facts) {
    put(out, (int64_t)facts->state);
    put(out, facts->step);
    put(out, facts->step_at);
    put(out, facts->moved_at);
    put(out, facts->now);
    put(out, (facts->ref_held ? REF_HELD : 0) | (facts->panic ? PANIC : 0) | (facts->may_promote ? MAY_PROMOTE : 0));
    for (size_t arm = 0; arm < ARRAY_LEN(facts->flow); arm++) {
        put(out, facts->flow[arm].outcome_at);
        put(out, facts->flow[arm].decision_at);
        put(out, facts->flow[arm].unanswered_since);
    }
    put(out, (int64_t)plan->guard_count);
    for (size_t i = 0; i < plan->guard_count; i++) {
        put(out, (int64_t)facts->guards[i].state);
        put(out, facts->guards[i].since);
        put_double(out, facts->guards[i].value);
    }
}

void journal_write(const struct rollout_plan *plan, const struct journal_entry *entry, struct str *out) {
    size_t from = out->len;
    str_add(out, "SJ", 2);
    str_add_char(out, VERSION);
    put(out, (int64_t)entry->action);
    put_slice(out, slice_of(rollout_reason_name(entry->reason)));
    put_facts(out, plan, &entry->facts);
    put_slice(out, entry->evidence);
    if (!out->failed) put_low_first(out, crc32_bytes(out->data + from, out->len - from), CRC_SIZE);
}

/* ---- reading ---- */

struct reader {
    const uint8_t *at, *end;
    bool wrong;
};

static int64_t wrong(struct reader *in) {
    in->wrong = true;
    in->at = in->end;
    return 0;
}

/* A number in its shortest form, within the bounds; 0 when it is none. */
static int64_t get(struct reader *in, int64_t least, int64_t most) {
    uint64_t raw = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        if (in->at == in->end || shift > 63) return wrong(in);
        byte = *in->at++;
        if (shift == 63 && byte > 1) return wrong(in);
        raw |= (uint64_t)(byte & 0x7F) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (byte == 0 && shift > 7) return wrong(in);
    int64_t number = (int64_t)(raw >> 1 ^ (raw & 1 ? UINT64_MAX : 0));
    return number < least || number > most ? wrong(in) : number;
}

static uint64_t get_low_first(struct reader *in, size_t bytes) {
    uint64_t number = 0;
    if ((size_t)(in->end - in->at) < bytes) return (uint64_t)wrong(in);
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)*in->at++ << 8 * i;
    return number;
}

static double get_double(struct reader *in) {
    uint64_t bits = get_low_first(in, sizeof(bits));
    double number;
    memcpy(&number, &bits, sizeof(number));
    if (isnan(number) && bits != CANONICAL_NAN) wrong(in);
    return number;
}

static struct slice get_slice(struct reader *in, size_t most) {
    size_t len = (size_t)get(in, 0, (int64_t)most);
    if ((size_t)(in->end - in->at) < len) len = (size_t)wrong(in);
    struct slice slice = {(const char *)in->at, len};
    in->at += len;
    return slice;
}

static void get_facts(struct reader *in, const struct rollout_plan *plan, struct rollout_facts *facts) {
    facts->state = (enum rollout_state)get(in, ROLLOUT_RUNNING, ROLLOUT_ABORTED);
    facts->step = (unsigned)get(in, 0, (int64_t)plan->step_count - 1);
    facts->step_at = get(in, -TIME_MOST, TIME_MOST);
    facts->moved_at = get(in, -TIME_MOST, TIME_MOST);
    facts->now = get(in, -TIME_MOST, TIME_MOST);
    int64_t flags = get(in, 0, ALL_FLAGS);
    facts->ref_held = flags & REF_HELD;
    facts->panic = flags & PANIC;
    facts->may_promote = flags & MAY_PROMOTE;
    for (size_t arm = 0; arm < ARRAY_LEN(facts->flow); arm++) {
        facts->flow[arm].outcome_at = get(in, -TIME_MOST, TIME_MOST);
        facts->flow[arm].decision_at = get(in, -TIME_MOST, TIME_MOST);
        facts->flow[arm].unanswered_since = get(in, -TIME_MOST, TIME_MOST);
    }
    size_t guards = (size_t)get(in, (int64_t)plan->guard_count, (int64_t)plan->guard_count);
    for (size_t i = 0; i < guards; i++) {
        facts->guards[i].state = (enum guard_state)get(in, GUARD_UNKNOWN, GUARD_BAD);
        facts->guards[i].since = get(in, -TIME_MOST, TIME_MOST);
        facts->guards[i].value = get_double(in);
    }
}

static bool crc_is_right(struct slice bytes) {
    struct reader tail = {(const uint8_t *)bytes.ptr + bytes.len - CRC_SIZE, (const uint8_t *)bytes.ptr + bytes.len,
                          false};
    return get_low_first(&tail, CRC_SIZE) == crc32_bytes(bytes.ptr, bytes.len - CRC_SIZE);
}

int journal_read(const struct rollout_plan *plan, struct slice bytes, struct journal_entry *ret, struct err *err) {
    *ret = (struct journal_entry){0};
    if (bytes.len < HEADER_SIZE + CRC_SIZE || memcmp(bytes.ptr, "SJ", 2) != 0)
        return err_set(err, ERR_INVALID, "this is no entry of a rollout's journal");
    if (bytes.ptr[2] != VERSION)
        return err_set(err, ERR_INVALID, "the journal's entry has version %d; this program reads %d", bytes.ptr[2],
                       VERSION);
    if (!crc_is_right(bytes))
        return err_set(err, ERR_INVALID, "the journal's entry is damaged: its checksum is not right");
    struct reader in = {(const uint8_t *)bytes.ptr + HEADER_SIZE, (const uint8_t *)bytes.ptr + bytes.len - CRC_SIZE,
                        false};
    ret->action = (enum rollout_action)get(&in, 0, ROLLOUT_ACTION_COUNT_ - 1);
    struct slice reason = get_slice(&in, NAME_MOST);
    bool known = rollout_reason_from_text(reason, &ret->reason);
    get_facts(&in, plan, &ret->facts);
    ret->evidence = get_slice(&in, bytes.len);
    if (in.wrong || in.at != in.end || !known)
        return err_set(err, ERR_INVALID, "the journal's entry does not belong to this plan, or to this program");
    return 0;
}

/* ---- replay ---- */

void replayed_deinit(struct replayed *replayed) {
    str_deinit(&replayed->words);
}

static void decide_again(const struct rollout_plan *plan, const struct rollout_move *move,
                         const struct evidence *evidence, struct replayed *ret) {
    const struct journal_entry *entry = &ret->entry;
    analysis_judge(plan, evidence, entry->facts.step, &ret->verdict);
    ret->ruling = rollout_decide(plan, &entry->facts, &ret->verdict);
    rollout_words(plan, &entry->facts, &ret->verdict, &ret->ruling, &ret->words);
    ret->same_action = ret->ruling.action == entry->action && move->action &&
                       !strcmp(move->action, rollout_action_name(ret->ruling.action));
    ret->same_reason = ret->ruling.reason == entry->reason;
    ret->same_words = move->words && slice_equal_text(str_slice(&ret->words), move->words);
}

int journal_replay(const struct rollout_plan *plan, const struct rollout_move *move, struct replayed *ret,
                   struct err *err) {
    _cleanup_(evidence_freep) struct evidence *evidence = NULL;
    *ret = (struct replayed){0};
    int r = journal_read(plan, move->evidence, &ret->entry, err);
    if (r == 0) r = evidence_read(plan, ret->entry.evidence, &evidence, err);
    if (r < 0) return r;
    decide_again(plan, move, evidence, ret);
    if (!ret->words.failed) return 0;
    replayed_deinit(ret);
    return err_no_memory(err);
}
