/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ticker.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct resolve_question question(const char *agent, const char *environment, const char *key) {
    return (struct resolve_question){slice_of(agent), slice_of(environment), slice_of(key)};
}

static const struct test_entry entries[] = {
    {.agent = "support",
     .environment = "production",
     .version = 42,
     .previous = 41,
     .seq = 1207,
     .overrides = {{.name = "beta", .version = 43, .keys = {"u1", "u2"}},
                   {.name = "staff", .version = 41, .keys = {"u2", "u3"}}}},
    {.agent = "support", .environment = "staging", .version = 43, .seq = 1207},
    {.agent = "billing", .environment = "production", .version = 1, .seq = 1207},
};

/* ---- which version ---- */

static void test_resolve_choice(void **state) {
    static const struct {
        const char *agent, *environment, *key;
        int64_t version;
        enum resolve_reason reason;
        const char *override;
    } cases[] = {
        {"support", "production", "u9", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "u1", 43, RESOLVE_OVERRIDE, "beta"},
        {"support", "production", "u2", 43, RESOLVE_OVERRIDE, "beta"},
        {"support", "production", "u3", 41, RESOLVE_OVERRIDE, "staff"},
        {"support", "production", "u", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "u11", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "U1", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "staging", "u1", 43, RESOLVE_DEPLOYED, NULL},
        {"billing", "production", "u1", 1, RESOLVE_DEPLOYED, NULL},
    };
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct resolve_question asked = question(cases[i].agent, cases[i].environment, cases[i].key);
        struct decision decision;
        assert_int_equal(resolve(snapshot, &asked, &decision), 0);
        assert_ptr_equal(decision.entry, snapshot_find(snapshot, asked.environment, asked.agent));
        assert_int_equal(decision.version->number, cases[i].version);
        assert_int_equal(decision.reason, cases[i].reason);
        assert_int_equal(decision.override != NULL, cases[i].override != NULL);
        struct slice name = decision.override ? decision.override->name : (struct slice){NULL, 0};
        assert_true(slice_equal_text(name, cases[i].override));
        assert_true(slice_equal(decision.targeting_key, asked.targeting_key));
        assert_true(slice_equal_text(decision.position, "1.1207"));
    }
    snapshot_unref(snapshot);
}

/* Without a targeting key nobody is named, not even by an override with an empty key. */
static void test_resolve_without_key(void **state) {
    const struct test_entry odd = {.agent = "support",
                                   .environment = "production",
                                   .version = 2,
                                   .seq = 1,
                                   .overrides = {{.name = "nobody", .version = 1, .keys = {"", "u1"}}}};
    struct snapshot *snapshot = test_snapshot_of(&odd, 1);
    struct resolve_question without = question("support", "production", NULL),
                            empty = question("support", "production", "");
    struct decision decision;
    assert_int_equal(resolve(snapshot, &without, &decision), 0);
    assert_int_equal(decision.reason, RESOLVE_DEPLOYED);
    assert_int_equal(resolve(snapshot, &empty, &decision), 0);
    assert_int_equal(decision.reason, RESOLVE_DEPLOYED);
    assert_int_equal(decision.version->number, 2);
    snapshot_unref(snapshot);
}

static void test_resolve_nothing(void **state) {
    static const struct {
        const char *agent, *environment;
        int outcome;
    } cases[] = {
        {"nobody", "production", RESOLVE_NO_AGENT},
        {"nobody", "nowhere", RESOLVE_NO_AGENT},
        {"", "production", RESOLVE_NO_AGENT},
        {"support", "nowhere", RESOLVE_NO_ENVIRONMENT},
        {"support", "", RESOLVE_NO_ENVIRONMENT},
        {"billing", "staging", RESOLVE_NOT_DEPLOYED},
        {"production", "support", RESOLVE_NO_AGENT},
        {"support/production", "", RESOLVE_NO_AGENT},
        {"support", "production/", RESOLVE_NO_ENVIRONMENT},
    };
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct resolve_question asked = question(cases[i].agent, cases[i].environment, "u1");
        struct decision decision;
        assert_int_equal(resolve(snapshot, &asked, &decision), cases[i].outcome);
    }
    snapshot_unref(snapshot);
}

/* ---- the answer ---- */

static void unit_of(const char *agent, const char *environment, const char *key, char ret[UNIT_TEXT_SIZE]) {
    struct str bytes = STR_INIT;
    str_printf(&bytes, "%s/%s/%s", agent, environment, key);
    for (uint32_t seed = 0; seed < 3; seed++)
        snprintf(ret + (size_t)8 * seed, 9, "%08x", murmur3_32(bytes.data, bytes.len, seed));
    str_deinit(&bytes);
}

/* Every entry with every key: the bytes, and no more than decision_size() promised. */
static void test_written_bytes(void **state) {
    static const char *const keys[] = {"", "u1", "u2", "u3", "user-42", "a \"key\"", "käse"};
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t e = 0; e < ARRAY_LEN(entries); e++) {
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            struct resolve_question asked = question(entries[e].agent, entries[e].environment, keys[k]);
            struct decision decision;
            struct str got = STR_INIT, want = STR_INIT;
            char unit[UNIT_TEXT_SIZE];
            unit_of(entries[e].agent, entries[e].environment, keys[k], unit);
            test_write_decision(entries + e, test_override_of(entries + e, keys[k]), "1.1207", *keys[k] ? unit : NULL,
                                &want);
            assert_int_equal(resolve(snapshot, &asked, &decision), 0);
            decision_write(&decision, &got);
            assert_string_equal(got.data, want.data);
            assert_int_equal(got.len, want.len);
            assert_in_range(decision_size(&decision), got.len, got.len + 100);
            str_deinit(&got);
            str_deinit(&want);
        }
    }
    snapshot_unref(snapshot);
}

/* The form in full, once, written by hand: what every client parses. */
static void test_written_by_hand(void **state) {
    struct version version = {.agent = "support", .number = 42, .config = SLICE_LIT("{\"model\":\"m\"}")};
    const struct version *versions[] = {&version};
    memset(version.config_hash.bytes, 0xab, SHA256_SIZE);
    const struct snapshot_entry_spec spec = {.deployment = {.id = "d",
                                                            .agent = "support",
                                                            .environment = "production",
                                                            .version = 42,
                                                            .reason = "",
                                                            .created_by = "k"},
                                             .versions = versions,
                                             .version_count = 1};
    struct snapshot *empty, *snapshot;
    struct snapshot_edit *edit;
    struct decision decision;
    struct str got = STR_INIT;
    struct resolve_question asked = question("support", "production", "user-1");
    assert_int_equal(snapshot_new(&empty), 0);
    assert_int_equal(snapshot_edit_new(empty, &edit), 0);
    assert_int_equal(snapshot_edit_entry(edit, &spec, NULL), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){3, 1207}, &snapshot), 0);
    assert_int_equal(resolve(snapshot, &asked, &decision), 0);
    decision_write(&decision, &got);
    assert_string_equal(got.data,
                        "{\"agent\":\"support\",\"environment\":\"production\",\"version\":42,\"arm\":\"stable\","
                        "\"config_hash\":\"sha256:abababababababababababababababababababababababababababababababab\","
                        "\"reason\":\"DEPLOYED\",\"position\":\"3.1207\",\"unit\":\"ccf101dd619ad0b6f1dca0c2\","
                        "\"config\":{\"model\":\"m\"},\"flags\":{}}");
    str_deinit(&got);
    snapshot_unref(empty);
    snapshot_unref(snapshot);
}

static void test_written_positions(void **state) {
    static const struct {
        struct position position;
        const char *text;
    } cases[] = {{{0, 0}, "0.0"},
                 {{1, 9}, "1.9"},
                 {{1, 10}, "1.10"},
                 {{12, 999999999}, "12.999999999"},
                 {{1000000007, 20000000000}, "1000000007.20000000000"},
                 {{INT64_MAX, INT64_MAX}, "9223372036854775807.9223372036854775807"}};
    struct snapshot *base = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct snapshot_edit *edit;
        struct snapshot *snapshot;
        struct decision decision;
        struct resolve_question asked = question("billing", "production", "u1");
        struct str got = STR_INIT, want = STR_INIT;
        char unit[UNIT_TEXT_SIZE];
        assert_int_equal(snapshot_edit_new(base, &edit), 0);
        assert_int_equal(snapshot_edit_finish(edit, cases[i].position, &snapshot), 0);
        assert_int_equal(resolve(snapshot, &asked, &decision), 0);
        decision_write(&decision, &got);
        unit_of("billing", "production", "u1", unit);
        test_write_decision(entries + 2, NULL, cases[i].text, unit, &want);
        assert_string_equal(got.data, want.data);
        assert_true(got.len <= decision_size(&decision));
        str_deinit(&got);
        str_deinit(&want);
        snapshot_unref(snapshot);
    }
    snapshot_unref(base);
}

static void test_written_behind_text(void **state) {
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    struct resolve_question asked = question("support", "staging", "u1");
    struct decision decision;
    struct str once = STR_INIT, twice = STR_INIT, want = STR_INIT;
    assert_int_equal(resolve(snapshot, &asked, &decision), 0);
    decision_write(&decision, &once);
    str_printf(&want, "[%s,%s]", once.data, once.data);
    str_add_char(&twice, '[');
    decision_write(&decision, &twice);
    str_add_char(&twice, ',');
    decision_write(&decision, &twice);
    str_add_char(&twice, ']');
    assert_string_equal(twice.data, want.data);
    str_deinit(&once);
    str_deinit(&twice);
    str_deinit(&want);
    snapshot_unref(snapshot);
}

static void test_written_to_failed(void **state) {
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    struct resolve_question asked = question("support", "staging", "u1");
    struct decision decision;
    struct str out = {.failed = true};
    assert_int_equal(resolve(snapshot, &asked, &decision), 0);
    decision_write(&decision, &out);
    assert_true(out.failed);
    assert_null(out.data);

    out = STR_INIT;
    ticker_start(1);
    decision_write(&decision, &out);
    assert_true(ticker_stop());
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    str_deinit(&out);
    snapshot_unref(snapshot);
}

/* Exactly the promised room, on the edge of an allocation: ASan sees one byte too many. */
static void test_written_without_allocation(void **state) {
    static const char *const keys[] = {"", "u1", "u2", "user-4711"};
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        struct resolve_question asked = question("support", "production", keys[k]);
        struct decision decision;
        struct str out = STR_INIT;
        assert_int_equal(resolve(snapshot, &asked, &decision), 0);
        size_t room = decision_size(&decision) + 1;
        out.data = malloc(room);
        out.capacity = room;
        assert_non_null(out.data);
        ticker_start(1);
        int r = resolve(snapshot, &asked, &decision);
        decision_write(&decision, &out);
        assert_false(ticker_stop());
        assert_int_equal(r, 0);
        assert_false(out.failed);
        assert_int_equal(out.capacity, room);
        assert_int_equal(out.data[out.len], 0);
        str_deinit(&out);
    }
    snapshot_unref(snapshot);
}

/* History is only another snapshot: the same question to an older one gets the older answer, however many came after. */
static void test_time_travel(void **state) {
    enum { MOVES = 50 };
    struct snapshot *history[MOVES + 1];
    assert_int_equal(snapshot_new(&history[0]), 0);
    for (int64_t i = 1; i <= MOVES; i++) {
        const struct test_entry entry = {
            .agent = "support", .environment = "production", .version = i * 3 % 7 + 1, .seq = i};
        history[i] = test_snapshot(history[i - 1], &entry, 1);
    }
    struct resolve_question asked = question("support", "production", "u1");
    struct decision decision;
    assert_int_equal(resolve(history[0], &asked, &decision), RESOLVE_NO_AGENT);
    for (int64_t i = MOVES; i >= 1; i--) {
        assert_int_equal(resolve(history[i], &asked, &decision), 0);
        assert_int_equal(decision.version->number, i * 3 % 7 + 1);
        char position[POSITION_TEXT_SIZE];
        position_text(snapshot_position(history[i]), position);
        assert_true(slice_equal_text(decision.position, position));
        assert_int_equal(snapshot_position(history[i]).seq, i);
    }
    for (size_t i = 0; i <= MOVES; i++)
        snapshot_unref(history[i]);
}

/* The same question always gets the same bytes. */
static void test_pure(void **state) {
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    struct resolve_question asked = question("support", "production", "u2");
    struct str first = STR_INIT, again = STR_INIT;
    struct decision decision;
    assert_int_equal(resolve(snapshot, &asked, &decision), 0);
    decision_write(&decision, &first);
    for (int i = 0; i < 1000; i++) {
        str_clear(&again);
        assert_int_equal(resolve(snapshot, &asked, &decision), 0);
        decision_write(&decision, &again);
        assert_string_equal(first.data, again.data);
    }
    str_deinit(&first);
    str_deinit(&again);
    snapshot_unref(snapshot);
}

static void test_reason_names(void **state) {
    assert_string_equal(resolve_reason_name(RESOLVE_DEPLOYED), "DEPLOYED");
    assert_string_equal(resolve_reason_name(RESOLVE_ROLLOUT), "ROLLOUT");
    assert_string_equal(resolve_reason_name(RESOLVE_SESSION), "SESSION");
    assert_string_equal(resolve_reason_name(RESOLVE_OVERRIDE), "OVERRIDE");
    assert_string_equal(resolve_reason_name(RESOLVE_PANIC), "PANIC");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve_choice),
        cmocka_unit_test(test_resolve_without_key),
        cmocka_unit_test(test_resolve_nothing),
        cmocka_unit_test(test_written_bytes),
        cmocka_unit_test(test_written_by_hand),
        cmocka_unit_test(test_written_positions),
        cmocka_unit_test(test_written_behind_text),
        cmocka_unit_test(test_written_to_failed),
        cmocka_unit_test(test_written_without_allocation),
        cmocka_unit_test(test_time_travel),
        cmocka_unit_test(test_pure),
        cmocka_unit_test(test_reason_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
