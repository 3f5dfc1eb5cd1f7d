/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands beside the ref, where the vectors (test_vectors.c) do not look: the order of the rules, ETags, that attributes and clocks are not touched
 * without need, the written forms, and memory.
 */
#include "base/ticker.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR (INT64_C(3600) * 1000000)
#define NOON INT64_C(1795442400000000)

static const struct rollout running = {
    .id = "r-1", .candidate = 43, .salt = "salt", .share = 50000, .seq = 11, .audience = NULL};
static const struct rollout for_pro = {.id = "r-2",
                                       .candidate = 43,
                                       .salt = "salt",
                                       .share = SHARE_ALL,
                                       .seq = 11,
                                       .audience = "{\"==\":[{\"var\":\"plan\"},\"pro\"]}"};
static const struct panic on_40 = {.agent = "support", .version = 40, .reason = "fire", .created_by = "ann", .seq = 12};
static const struct panic off = {
    .agent = "support", .version = PANIC_DISABLED, .reason = "fire", .created_by = "ann", .seq = 13};
static const struct snapshot_era_spec eras[] = {
    {.era = {.from = NOON + 2 * HOUR, .version = 42, .candidate = 43, .share = 50000, .salt = "salt"}},
    {.era = {.from = NOON + HOUR, .version = 42}},
    {.era = {.from = NOON, .version = 41}, .version_released = false},
};

static struct test_entry support(void) {
    return (struct test_entry){.agent = "support", .environment = "production", .version = 42, .seq = 7};
}

struct ask {
    const char *key;
    int64_t began;
    const struct logic_context *attributes;
};

static struct resolve_question question_of(const struct ask *ask) {
    return (struct resolve_question){.agent = SLICE_LIT("support"),
                                     .environment = SLICE_LIT("production"),
                                     .targeting_key = slice_of(ask->key),
                                     .session_started_at = ask->began,
                                     .attributes = ask->attributes};
}

static struct decision decide(const struct snapshot *snapshot, struct ask ask) {
    struct resolve_question question = question_of(&ask);
    struct decision decision;
    memset(&decision, 0xa5, sizeof(decision)); /* nothing may be left unsaid */
    assert_int_equal(resolve(snapshot, &question, &decision), 0);
    return decision;
}

static char *text_of(const struct decision *decision) {
    struct str text = STR_INIT;
    decision_write(decision, &text);
    assert_true(text.len <= decision_size(decision));
    return str_take(&text);
}

/* A key that the salt "salt" puts at or above, or below, a bucket. */
static const char *key_at(uint32_t low, uint32_t high) {
    static char keys[8][24];
    static size_t next;
    char *key = keys[next++ % ARRAY_LEN(keys)];
    for (int i = 0;; i++) {
        snprintf(key, sizeof(keys[0]), "user-%d", i);
        uint32_t bucket = resolve_bucket(SLICE_LIT("salt"), slice_of(key));
        if (bucket >= low && bucket < high) return key;
    }
}

static const struct logic_member pro_member = {{"plan", 4}, {.type = LOGIC_TEXT, .count = 3, .text = "pro"}};
static const struct logic_context pro = {.data = {.type = LOGIC_OBJECT, .count = 1, .members = &pro_member}};
/* Nobody may look into it. */
static const struct logic_context untouchable = {
    .data = {.type = LOGIC_OBJECT, .count = 1, .members = (const struct logic_member *)8}};

/* ---- the order ---- */

/* Every way for all four to be there or not: the first in the order chooses. */
static void test_order(void **state) {
    for (unsigned there = 0; there < 16; there++) {
        struct test_entry entry = support();
        if (there & 8) entry.panic = &on_40;
        if (there & 4)
            entry.overrides[0] = (struct test_override){.name = "o", .version = 39, .keys = {key_at(0, 50000)}};
        if (there & 2) {
            entry.eras = eras;
            entry.era_count = ARRAY_LEN(eras);
        }
        if (there & 1) entry.rollout = &running;
        struct snapshot *snapshot = test_snapshot_of(&entry, 1);
        struct decision decision = decide(snapshot, (struct ask){.key = key_at(0, 50000), .began = NOON});
        enum resolve_reason reason = there & 8   ? RESOLVE_PANIC
                                     : there & 4 ? RESOLVE_OVERRIDE
                                     : there & 2 ? RESOLVE_SESSION
                                     : there & 1 ? RESOLVE_ROLLOUT
                                                 : RESOLVE_DEPLOYED;
        static const int64_t versions[] = {[RESOLVE_DEPLOYED] = 42,
                                           [RESOLVE_ROLLOUT] = 43,
                                           [RESOLVE_SESSION] = 41,
                                           [RESOLVE_OVERRIDE] = 39,
                                           [RESOLVE_PANIC] = 40};
        assert_int_equal(decision.reason, reason);
        assert_int_equal(decision.version->number, versions[reason]);
        assert_int_equal(decision.candidate, reason == RESOLVE_ROLLOUT);
        assert_int_equal(decision.rollout != NULL, reason == RESOLVE_ROLLOUT);
        assert_int_equal(decision.override != NULL, reason == RESOLVE_OVERRIDE);
        assert_int_equal(decision.era != NULL, reason == RESOLVE_SESSION);
        snapshot_unref(snapshot);
    }
}

static void test_attributes_are_read_only_for_an_audience(void **state) {
    struct test_entry entry = support();
    entry.rollout = &running;
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    decide(snapshot, (struct ask){.key = "u", .began = NOON + 3 * HOUR, .attributes = &untouchable});
    snapshot_unref(snapshot);

    entry.rollout = &for_pro;
    snapshot = test_snapshot_of(&entry, 1);
    decide(snapshot, (struct ask){.attributes = &untouchable}); /* nobody, whoever it is */
    struct decision decision = decide(snapshot, (struct ask){.key = "u", .attributes = &pro});
    assert_true(decision.candidate);
    decision = decide(snapshot, (struct ask){.key = "u"}); /* no attributes at all */
    assert_false(decision.candidate);
    assert_null(decision.rollout);
    assert_int_equal(decision.reason, RESOLVE_ROLLOUT);
    snapshot_unref(snapshot);
}

/* ---- shares ---- */

static bool is_canary(int32_t share, const char *key) {
    struct rollout at_share = running;
    struct test_entry entry = support();
    at_share.share = share;
    entry.rollout = &at_share;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    bool candidate = decide(snapshot, (struct ask){.key = key}).candidate;
    snapshot_unref(snapshot);
    return candidate;
}

static void test_share_is_where_the_bucket_ends(void **state) {
    for (int i = 0; i < 200; i++) {
        char key[24];
        snprintf(key, sizeof(key), "user-%d", i);
        int32_t bucket = (int32_t)resolve_bucket(SLICE_LIT("salt"), slice_of(key));
        assert_false(is_canary(bucket, key));
        assert_true(is_canary(bucket + 1, key));
    }
}

/* ---- what is written ---- */

static void assert_begins(const char *text, const char *begin) {
    if (strncmp(text, begin, strlen(begin)) != 0) fail_msg("%s does not begin with %s", text, begin);
}

static void assert_has(const char *text, const char *part, bool has) {
    if ((strstr(text, part) != NULL) != has) fail_msg("%s %s %s", text, has ? "has not" : "has", part);
}

static void test_written_arms(void **state) {
    struct test_entry entry = support();
    entry.rollout = &running;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    for (int candidate = 0; candidate < 2; candidate++) {
        const char *key = candidate ? key_at(0, 50000) : key_at(50000, BUCKETS);
        struct decision decision = decide(snapshot, (struct ask){.key = key});
        char unit[UNIT_TEXT_SIZE], hash[HASH_TEXT_SIZE], want[700];
        struct sha256 config_hash = test_config_hash("support", 42 + candidate);
        struct str config = STR_INIT;
        sha256_text(&config_hash, hash);
        resolve_unit(SLICE_LIT("salt"), slice_of(key), unit);
        test_config("support", 42 + candidate, &config);
        snprintf(want, sizeof(want),
                 "{\"agent\":\"support\",\"environment\":\"production\",\"version\":%d,\"arm\":\"%s\",\"config_hash\":"
                 "\"%s\","
                 "\"reason\":\"ROLLOUT\",\"rollout\":\"r-1\",\"position\":\"1.7\",\"bucket\":%" PRIu32
                 ",\"unit\":\"%s\","
                 "\"config\":%s,\"flags\":{}}",
                 42 + candidate, candidate ? "candidate" : "stable", hash,
                 resolve_bucket(SLICE_LIT("salt"), slice_of(key)), unit, config.data);
        char *got = text_of(&decision);
        assert_string_equal(got, want);
        free(got);
        str_deinit(&config);
    }
    snapshot_unref(snapshot);
}

static void test_written_disabled(void **state) {
    struct test_entry entry = support();
    entry.panic = &off;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    struct decision decision = decide(snapshot, (struct ask){0});
    char *got = text_of(&decision);
    assert_string_equal(got, "{\"agent\":\"support\",\"environment\":\"production\",\"version\":0,\"arm\":\"stable\","
                             "\"reason\":\"PANIC\",\"disabled\":true,\"position\":\"1.7\",\"flags\":{}}");
    assert_ptr_equal(decision.version, &snapshot_disabled);
    free(got);
    snapshot_unref(snapshot);
}

/* A session says of the rollout only what is so without the session. */
static void test_written_session(void **state) {
    struct test_entry entry = support();
    entry.rollout = &running;
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    const char *inside = key_at(0, 50000), *outside = key_at(50000, BUCKETS);
    static const char head[] =
        "{\"agent\":\"support\",\"environment\":\"production\",\"version\":%d,\"arm\":\"%s\",\"config_hash\":\"sha256:";
    const struct {
        const char *key;
        int64_t began;
        int version;
        const char *arm;
        bool counted;
    } rows[] = {
        {inside, NOON + 3 * HOUR, 43, "candidate", true},
        {outside, NOON + 3 * HOUR, 42, "stable", true},
        {inside, NOON + HOUR, 42, "stable", false},
        {outside, NOON + HOUR, 42, "stable", true},
        {inside, NOON, 41, "stable", false},
        {outside, NOON, 41, "stable", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decision decision = decide(snapshot, (struct ask){.key = rows[i].key, .began = rows[i].began});
        char begin[200], *got = text_of(&decision);
        snprintf(begin, sizeof(begin), head, rows[i].version,
                 rows[i].arm); /* NOLINT(clang-diagnostic-format-nonliteral) */
        assert_begins(got, begin);
        assert_has(got, "\"reason\":\"SESSION\",", true);
        assert_has(got, "\"rollout\":\"r-1\",", rows[i].counted);
        assert_has(got, "\"bucket\":", rows[i].counted);
        free(got);
    }
    snapshot_unref(snapshot);
}

/* ---- ETags: two decisions that differ by more than the position have two of them ---- */

struct seen {
    char etag[DECISION_ETAG_SIZE];
    char *body;
};

static char *body_without_position(const struct decision *decision) {
    char *text = text_of(decision), *at = strstr(text, "\"position\":\""), *end = strstr(at, "\",");
    memmove(at, end, strlen(end) + 1);
    return text;
}

static void see(struct seen *all, size_t *count, const struct decision *decision) {
    struct seen *one = all + *count;
    size_t len = decision_etag(decision, one->etag);
    assert_int_equal(len, strlen(one->etag));
    assert_memory_equal(one->etag, "W/\"", 3);
    assert_int_equal(one->etag[len - 1], '"');
    one->body = body_without_position(decision);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(all[i].etag, one->etag) == 0 && strcmp(all[i].body, one->body) != 0)
            fail_msg("%s %s\n%s %s", all[i].etag, all[i].body, one->etag, one->body);
    (*count)++;
}

/* One user and one session throughout, as the one who asks again is. */
static void test_etags(void **state) {
    static struct seen seen[200];
    size_t count = 0;
    struct rollout restarted = running, smaller = running;
    restarted.id = "r-9";
    restarted.seq = 19;
    smaller.share = 0;
    const struct rollout *rollouts[] = {NULL, &running, &restarted, &smaller, &for_pro};
    const struct panic *panics[] = {NULL, &on_40, &off};
    for (size_t r = 0; r < ARRAY_LEN(rollouts); r++)
        for (size_t p = 0; p < ARRAY_LEN(panics); p++)
            for (int named = 0; named < 2; named++)
                for (int session = 0; session < 3; session++) {
                    struct test_entry entry = support();
                    entry.rollout = rollouts[r];
                    entry.panic = panics[p];
                    if (named)
                        entry.overrides[0] = (struct test_override){.name = "o", .version = 39, .keys = {"user-0"}};
                    entry.eras = eras;
                    entry.era_count = ARRAY_LEN(eras);
                    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
                    struct decision decision =
                        decide(snapshot,
                               (struct ask){.key = "user-0", .began = session ? NOON + (session - 1) * 3 * HOUR : 0});
                    see(seen, &count, &decision);
                    snapshot_unref(snapshot);
                }
    for (size_t i = 0; i < count; i++)
        free(seen[i].body);
}

/* ---- sessions ---- */

static void test_session_ends(void **state) {
    static const struct snapshot_era_spec ends[] = {
        {.era = {.from = NOON + HOUR, .version = 42}},
        {.era = {.from = NOON, .version = 41, .candidate = 43, .share = SHARE_ALL, .salt = "s"},
         .candidate_released = true},
    };
    struct test_entry entry = support();
    entry.eras = ends;
    entry.era_count = 2;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    assert_int_equal(decide(snapshot, (struct ask){.key = "u", .began = NOON}).reason, RESOLVE_DEPLOYED); /* left */
    struct decision keyless = decide(snapshot, (struct ask){.began = NOON});
    assert_int_equal(keyless.reason, RESOLVE_SESSION);
    assert_int_equal(keyless.version->number, 41);
    static const int64_t none[] = {0, -1, NOON - 1, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(decide(snapshot, (struct ask){.key = "u", .began = none[i]}).reason, RESOLVE_DEPLOYED);
    assert_int_equal(decide(snapshot, (struct ask){.key = "u", .began = INT64_MAX}).reason, RESOLVE_SESSION);
    snapshot_unref(snapshot);
}

/* The candidate of now was the stable version of then: the version is the same, the arm is not, and so it is no evidence and another ETag. */
static void test_session_on_the_other_arm(void **state) {
    static const struct snapshot_era_spec turned[] = {
        {.era = {.from = NOON + HOUR, .version = 42, .candidate = 43, .share = SHARE_ALL, .salt = "salt"}},
        {.era = {.from = NOON, .version = 43}},
    };
    struct rollout all = running;
    struct test_entry entry = support();
    all.share = SHARE_ALL;
    entry.rollout = &all;
    entry.eras = turned;
    entry.era_count = 2;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    struct decision then = decide(snapshot, (struct ask){.key = "u", .began = NOON}),
                    now = decide(snapshot, (struct ask){.key = "u", .began = NOON + HOUR});
    char etags[2][DECISION_ETAG_SIZE];
    assert_ptr_equal(then.version, now.version);
    assert_false(then.candidate);
    assert_true(now.candidate);
    assert_null(then.rollout);
    assert_non_null(now.rollout);
    decision_etag(&then, etags[0]);
    decision_etag(&now, etags[1]);
    assert_string_equal(etags[0], "W/\"7.43.11.stable.SESSION\"");
    assert_string_equal(etags[1], "W/\"7.43.11.candidate.SESSION.counted\"");
    snapshot_unref(snapshot);
}

/* However long the rollout's id: the head of a session has it, too. */
static void test_session_has_room_for_any_id(void **state) {
    static char id[2000];
    struct rollout named = running;
    struct test_entry entry = support();
    memset(id, 'r', sizeof(id) - 1);
    named.id = id;
    entry.rollout = &named;
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    struct decision decision = decide(snapshot, (struct ask){.key = "u", .began = NOON + 3 * HOUR});
    assert_non_null(decision.rollout);
    char *text = text_of(&decision); /* which asserts the size */
    assert_has(text, id, true);
    free(text);
    snapshot_unref(snapshot);
}

/* ---- explain ---- */

static json_t *explain(const struct snapshot *snapshot, struct ask ask, json_t **ret_all) {
    struct resolve_question question = question_of(&ask);
    struct decision decision = decide(snapshot, ask);
    struct str text = STR_INIT;
    struct jw jw = JW_INIT(&text);
    decision_explain(&decision, &question, &jw);
    if (json_parse(text.data, text.len, JSON_DEPTH_MAX, ret_all, NULL) < 0) fail_msg("%s", text.data);
    str_deinit(&text);
    return json_get(json_get(*ret_all, "explain"), "rules");
}

static void assert_rules(const struct snapshot *snapshot, struct ask ask, const char *expected) {
    json_t *all, *rules = explain(snapshot, ask, &all);
    struct str got = STR_INIT;
    assert_int_equal(json_canonical(rules, &got, NULL), 0);
    assert_string_equal(got.data, expected);
    str_deinit(&got);
    json_decref(all);
}

static void test_explain_rollout(void **state) {
    struct test_entry entry = support();
    entry.rollout = &for_pro;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    char want[600];
    for (int in = 0; in < 2; in++) {
        snprintf(
            want, sizeof(want),
            "[{\"audience\":{\"==\":[{\"var\":\"plan\"},\"pro\"]},\"bucket\":%" PRIu32
            ",\"candidate\":43,\"id\":\"r-2\",\"in_audience\":%s,\"matched\":%s,\"rule\":\"rollout\",\"salt\":\"salt\","
            "\"share\":100000,\"state\":\"running\"}%s]",
            resolve_bucket(SLICE_LIT("salt"), SLICE_LIT("u")), in ? "true" : "false", in ? "true" : "false",
            in ? "" : ",{\"matched\":true,\"rule\":\"ref\",\"version\":42}");
        assert_rules(snapshot, (struct ask){.key = "u", .attributes = in ? &pro : NULL}, want);
    }
    snapshot_unref(snapshot);
}

static void test_explain_session(void **state) {
    struct test_entry entry = support();
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    assert_rules(snapshot, (struct ask){.key = "u", .began = NOON + HOUR},
                 "[{\"era\":{\"chosen\":42,\"from\":\"2026-11-23T15:00:00.000000Z\",\"version\":42},\"matched\":true,"
                 "\"policy\":\"pin\","
                 "\"rule\":\"session\",\"started_at\":\"2026-11-23T15:00:00.000000Z\"}]");
    assert_rules(
        snapshot, (struct ask){.key = "u", .began = NOON - 1},
        "[{\"matched\":false,\"policy\":\"pin\",\"rule\":\"session\",\"started_at\":\"2026-11-23T13:59:59.999999Z\"},"
        "{\"matched\":true,\"rule\":\"ref\",\"version\":42}]");
    snapshot_unref(snapshot);
    entry.sessions = SESSION_FOLLOW;
    snapshot = test_snapshot_of(&entry, 1);
    assert_rules(snapshot, (struct ask){.key = "u", .began = NOON},
                 "[{\"matched\":false,\"policy\":\"follow\",\"rule\":\"session\",\"started_at\":\"2026-11-23T14:00:00."
                 "000000Z\"},"
                 "{\"matched\":true,\"rule\":\"ref\",\"version\":42}]");
    snapshot_unref(snapshot);
}

static void test_explain_panic(void **state) {
    struct test_entry entry = support();
    entry.rollout = &running;
    entry.panic = &off;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    assert_rules(snapshot, (struct ask){.key = "u", .began = NOON},
                 "[{\"at\":\"1970-01-01T00:00:00.000000Z\",\"by\":\"ann\",\"disabled\":true,\"matched\":true,"
                 "\"reason\":\"fire\","
                 "\"rule\":\"panic\",\"seq\":13,\"whole_environment\":false}]");
    snapshot_unref(snapshot);
}

/* ---- memory ---- */

/* Exactly the promised room, on the edge of an allocation: ASan sees one byte too many. */
static void test_no_allocation(void **state) {
    struct test_entry entry = support();
    const struct panic *panics[] = {NULL, &off};
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    entry.rollout = &for_pro;
    for (size_t p = 0; p < ARRAY_LEN(panics); p++) {
        entry.panic = panics[p];
        struct snapshot *snapshot = test_snapshot_of(&entry, 1);
        for (int64_t began = 0; began <= NOON + 3 * HOUR; began += NOON + 3 * HOUR) {
            const struct ask ask = {.key = "u", .began = began, .attributes = &pro};
            struct resolve_question question = question_of(&ask);
            struct decision decision = decide(snapshot, ask);
            char etag[DECISION_ETAG_SIZE];
            size_t room = decision_size(&decision) + 1;
            struct str out = {.data = malloc(room), .capacity = room};
            assert_non_null(out.data);
            ticker_start(1);
            int r = resolve(snapshot, &question, &decision);
            decision_write(&decision, &out);
            (void)decision_etag(&decision, etag);
            assert_false(ticker_stop());
            assert_int_equal(r, 0);
            assert_false(out.failed);
            assert_int_equal(out.capacity, room);
            str_deinit(&out);
        }
        snapshot_unref(snapshot);
    }
}

static void test_explain_memory_ends(void **state) {
    struct test_entry entry = support();
    entry.eras = eras;
    entry.era_count = ARRAY_LEN(eras);
    entry.rollout = &for_pro;
    struct snapshot *snapshot = test_snapshot_of(&entry, 1);
    const struct ask ask = {.key = "u", .began = NOON - 1};
    struct resolve_question question = question_of(&ask);
    struct decision decision = decide(snapshot, ask);
    for (size_t n = 1;; n++) {
        struct str out = STR_INIT;
        struct jw jw = JW_INIT(&out);
        ticker_start(n);
        decision_explain(&decision, &question, &jw);
        bool failed = ticker_stop();
        assert_int_equal(out.failed, failed);
        str_deinit(&out);
        if (!failed) break;
    }
    snapshot_unref(snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_attributes_are_read_only_for_an_audience),
        cmocka_unit_test(test_share_is_where_the_bucket_ends),
        cmocka_unit_test(test_written_arms),
        cmocka_unit_test(test_written_disabled),
        cmocka_unit_test(test_written_session),
        cmocka_unit_test(test_etags),
        cmocka_unit_test(test_session_ends),
        cmocka_unit_test(test_session_on_the_other_arm),
        cmocka_unit_test(test_session_has_room_for_any_id),
        cmocka_unit_test(test_explain_rollout),
        cmocka_unit_test(test_explain_session),
        cmocka_unit_test(test_explain_panic),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_explain_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
