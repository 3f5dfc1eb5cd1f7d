/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/test_kit.h"

#include "base/hash.h"
#include "base/ticker.h"
#include "controller/journal.h"

struct written {
    struct rollout_plan plan;
    struct str bytes, words;
    struct rollout_move move;
};

/* 200 units of the candidate with so many errors, 3800 of stable with 76. */
static struct evidence *evidence_with(const struct rollout_plan *plan, unsigned errors) {
    struct evidence *evidence = NULL;
    assert_int_equal(evidence_new(plan, START, &evidence, NULL), 0);
    for (unsigned i = 0; i < 4000; i++) {
        struct observation seen = {.candidate = i % 20 == 0, .unit = i * UINT64_C(0x9e3779b97f4a7c15), .at = START};
        seen.events = seen.candidate ? i / 20 < errors : i % 50 == 1;
        assert_int_equal(evidence_add(evidence, &seen), 0);
    }
    evidence_tick(evidence, START + HOUR);
    return evidence;
}

/* A decision as the controller makes and keeps it. */
static struct written write_down(unsigned errors, struct rollout_facts facts) {
    struct written ret = {.plan = kit_plan()};
    struct verdict verdict;
    _cleanup_(str_deinit) struct str judged = STR_INIT;
    ret.plan.guards[0] = (struct guard){.name = "p99", .threshold = 0.5, .lasting = MINUTE};
    ret.plan.guard_count = 1;
    struct evidence *evidence = evidence_with(&ret.plan, errors);
    analysis_judge(&ret.plan, evidence, 0, &verdict);
    struct rollout_ruling ruling = rollout_decide(&ret.plan, &facts, &verdict);
    assert_int_equal(evidence_write(evidence, EVIDENCE_JUDGED, &judged), 0);
    evidence_free(evidence);
    rollout_words(&ret.plan, &facts, &verdict, &ruling, &ret.words);
    struct journal_entry entry = {ruling.action, ruling.reason, facts, str_slice(&judged)};
    journal_write(&ret.plan, &entry, &ret.bytes);
    ret.move = (struct rollout_move){
        .action = rollout_action_name(ruling.action), .words = ret.words.data, .evidence = str_slice(&ret.bytes)};
    return ret;
}

static void written_deinit(struct written *written) {
    str_deinit(&written->bytes);
    str_deinit(&written->words);
}

static struct rollout_facts facts_with_guard(enum guard_state state, double value) {
    struct rollout_facts facts = kit_facts();
    facts.guards[0] = (struct guard_seen){state, START, value};
    return facts;
}

static void test_replay_is_the_same(void **state) {
    struct rollout_facts worlds[] = {facts_with_guard(GUARD_FINE, 0.1), facts_with_guard(GUARD_BAD, 0.7),
                                     facts_with_guard(GUARD_UNKNOWN, NAN), kit_facts()};
    worlds[3].ref_held = worlds[3].panic = true;
    worlds[3].moved_at = START + 5;
    worlds[3].flow[1].unanswered_since = START;
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        for (unsigned errors = 0; errors <= 60; errors += 30) {
            struct written written = write_down(errors, worlds[i]);
            struct replayed again;
            assert_int_equal(journal_replay(&written.plan, &written.move, &again, NULL), 0);
            assert_true(replayed_same(&again));
            assert_memory_equal(&again.entry.facts.flow, &worlds[i].flow, sizeof(worlds[i].flow));
            assert_int_equal(again.entry.facts.now, worlds[i].now);
            assert_int_equal(again.entry.facts.step_at, worlds[i].step_at);
            assert_int_equal(again.entry.facts.moved_at, worlds[i].moved_at);
            assert_int_equal(again.entry.facts.ref_held, worlds[i].ref_held);
            assert_int_equal(again.entry.facts.may_promote, worlds[i].may_promote);
            replayed_deinit(&again);
            written_deinit(&written);
        }
    }
}

/* The journal says another thing than what was seen gives: each of the three is told. */
static void test_what_was_changed_is_found(void **state) {
    struct written written = write_down(60, facts_with_guard(GUARD_FINE, 0.1));
    struct replayed again;
    struct rollout_move move = written.move;
    move.action = "promote";
    assert_int_equal(journal_replay(&written.plan, &move, &again, NULL), 0);
    assert_true(!again.same_action && again.same_reason && again.same_words);
    replayed_deinit(&again);
    move = written.move;
    move.words = "rolled back at 5 %";
    assert_int_equal(journal_replay(&written.plan, &move, &again, NULL), 0);
    assert_true(again.same_action && again.same_reason && !again.same_words);
    replayed_deinit(&again);

    struct journal_entry entry;
    _cleanup_(str_deinit) struct str forged = STR_INIT;
    assert_int_equal(journal_read(&written.plan, written.move.evidence, &entry, NULL), 0);
    entry.reason = REASON_LIMIT;
    journal_write(&written.plan, &entry, &forged);
    move = written.move;
    move.evidence = str_slice(&forged);
    assert_int_equal(journal_replay(&written.plan, &move, &again, NULL), 0);
    assert_true(again.same_action && !again.same_reason && again.same_words);
    replayed_deinit(&again);
    written_deinit(&written);
}

static void test_writing_what_was_read(void **state) {
    struct written written = write_down(30, facts_with_guard(GUARD_UNKNOWN, -NAN));
    struct journal_entry entry;
    _cleanup_(str_deinit) struct str again = STR_INIT;
    assert_int_equal(journal_read(&written.plan, str_slice(&written.bytes), &entry, NULL), 0);
    journal_write(&written.plan, &entry, &again);
    assert_true(slice_equal(str_slice(&again), str_slice(&written.bytes)));
    written_deinit(&written);
}

/* A byte changed, bytes lost at the end, bytes added: never another decision. */
static void test_damage_is_refused(void **state) {
    struct written written = write_down(60, facts_with_guard(GUARD_FINE, 0.1));
    struct journal_entry entry;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < written.bytes.len; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            written.bytes.data[i] ^= (char)(1u << bit);
            assert_int_equal(journal_read(&written.plan, str_slice(&written.bytes), &entry, &err), -ERR_INVALID);
            written.bytes.data[i] ^= (char)(1u << bit);
        }
        assert_int_equal(journal_read(&written.plan, (struct slice){written.bytes.data, i}, &entry, &err),
                         -ERR_INVALID);
    }
    str_add_char(&written.bytes, 0);
    assert_int_equal(journal_read(&written.plan, str_slice(&written.bytes), &entry, &err), -ERR_INVALID);
    assert_int_equal(journal_read(&written.plan, (struct slice){NULL, 0}, &entry, &err), -ERR_INVALID);
    written_deinit(&written);
}

/* The action, in two bytes where one does: the same number, and another text of it. */
static void test_there_is_one_form(void **state) {
    struct written written = write_down(60, facts_with_guard(GUARD_FINE, 0.1));
    _cleanup_(str_deinit) struct str longer = STR_INIT;
    struct journal_entry entry;
    str_add(&longer, written.bytes.data, 3);
    str_add_char(&longer, (char)(written.bytes.data[3] | 0x80));
    str_add_char(&longer, 0);
    str_add(&longer, written.bytes.data + 4, written.bytes.len - 8);
    uint32_t crc = crc32_bytes(longer.data, longer.len);
    for (size_t i = 0; i < 4; i++)
        str_add_char(&longer, (char)(uint8_t)(crc >> 8 * i));
    assert_int_equal(journal_read(&written.plan, str_slice(&longer), &entry, NULL), -ERR_INVALID);
    written_deinit(&written);
}

static void test_another_plan_is_refused(void **state) {
    struct written written = write_down(60, facts_with_guard(GUARD_FINE, 0.1));
    struct replayed again;
    struct err err = ERR_INIT;
    struct rollout_plan other = written.plan;
    other.guard_count = 0;
    assert_int_equal(journal_replay(&other, &written.move, &again, &err), -ERR_INVALID);
    other = written.plan;
    other.steps[0].share = 6000; /* the evidence's fingerprint is of another plan */
    assert_int_equal(journal_replay(&other, &written.move, &again, &err), -ERR_INVALID);
    other = written.plan;
    other.alpha = 1e-9; /* what does not change the evidence changes the answer */
    assert_int_equal(journal_replay(&other, &written.move, &again, &err), 0);
    assert_false(replayed_same(&again));
    replayed_deinit(&again);
    written_deinit(&written);
}

static void test_when_memory_ends(void **state) {
    struct written written = write_down(60, facts_with_guard(GUARD_FINE, 0.1));
    for (size_t n = 1;; n++) {
        struct replayed again;
        ticker_start(n);
        int r = journal_replay(&written.plan, &written.move, &again, NULL);
        if (!ticker_stop()) {
            assert_int_equal(r, 0);
            replayed_deinit(&again);
            break;
        }
        assert_int_equal(r, -ERR_NO_MEMORY);
    }
    written_deinit(&written);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_is_the_same),    cmocka_unit_test(test_what_was_changed_is_found),
        cmocka_unit_test(test_writing_what_was_read), cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_there_is_one_form),     cmocka_unit_test(test_another_plan_is_refused),
        cmocka_unit_test(test_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
