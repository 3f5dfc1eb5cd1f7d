/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "base/jw.h"
#include "intake/outcome.h"
#include "intake/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <zlib.h>

#define NOW INT64_C(1793000000000000) /* 2026-10-26 */
#define AT "\"at\":\"2026-10-26T06:13:19.5Z\""
#define UNIT "\"unit\":\"80000000c0ffee1122334455\""
#define ITEM(more) "{\"agent\":\"support\",\"version\":42," UNIT "," AT ",\"ok\":true" more "}"
#define BATCH(items) "{\"instance\":\"i-1\",\"batch\":7,\"items\":[" items "]}"

static struct outcomes outcomes;

static int read_form(enum outcome_form form, const char *body, struct err *err) {
    struct outcome_source source = {.form = form, .body = slice_of(body), .now = NOW, .environment = "production"};
    *err = ERR_INIT;
    return outcomes_read(&source, &outcomes, err);
}

static int read_body(const char *body, struct err *err) {
    return read_form(OUTCOME_JSON, body, err);
}

/* ---- what is right ---- */

static struct outcome unpack_one(size_t index) {
    static struct outcome_pack pack;
    struct slice bytes = str_slice(&outcomes.packed);
    struct outcome outcome;
    memset(&pack, 0, sizeof(pack));
    for (size_t i = 0; i <= index; i++)
        assert_int_equal(outcome_unpack(&pack, &bytes, &outcome), 1);
    return outcome;
}

static void test_everything_comes_back(void **state) {
    struct err err;
    int r = read_body(BATCH(ITEM("") "," ITEM(",\"arm\":\"candidate\",\"rollout\":\"0191\",\"latency_ms\":812.25,"
                                              "\"input_tokens\":10,"
                                              "\"output_tokens\":20,\"cost_usd\":1e-3,\"scores\":{\"quality\":0.9,"
                                              "\"tone\":1},"
                                              "\"feedback\":\"up\",\"tool_errors\":2,\"run\":\"r1\",\"reason\":"
                                              "\"ROLLOUT\"") ",{\"agent\":\"billing\",\"environment\":\"staging\","
                                                             "\"version\":1," UNIT "," AT
                                                             ",\"ok\":false,\"error_type\":\"time\\u006fut\","
                                                             "\"session\":\"s\",\"feedback\":\"down\"}"),
                      &err);
    assert_int_equal(r, 0);
    assert_int_equal(outcomes.count, 3);
    assert_string_equal(outcomes.instance, "i-1");
    assert_int_equal(outcomes.batch, 7);
    assert_int_equal(outcomes.place_count, 3);
    struct outcome plain = unpack_one(0), full = unpack_one(1), failed = unpack_one(2);
    assert_true(plain.ok && plain.bucket_hash == 0x80000000u && plain.unit == UINT64_C(0xc0ffee1122334455) &&
                plain.place.version == 42);
    assert_true(slice_equal_text(plain.place.environment, "production") && plain.place.rollout.len == 0);
    assert_int_equal(plain.at, INT64_C(1792995199500000));
    assert_true(full.latency_ms == 812.25 && full.cost_usd == 0.001 && full.tool_errors == 2 && full.run != 0);
    assert_true(full.input_tokens == 10 && full.output_tokens == 20 && full.feedback_up);
    assert_int_equal(full.arm, ARM_CANDIDATE);
    assert_int_equal(full.reason, OUTCOME_REASON_ROLLOUT);
    assert_int_equal(full.score_count, 2);
    assert_true(slice_equal_text(full.scores[0].name, "quality") && full.scores[0].value == 0.9);
    assert_true(slice_equal_text(full.scores[1].name, "tone") && full.scores[1].value == 1);
    assert_true(!failed.ok && slice_equal_text(failed.error_type, "timeout") && !failed.feedback_up);
    assert_true(slice_equal_text(failed.session, "s") && slice_equal_text(failed.place.environment, "staging"));
    outcomes_deinit(&outcomes);
}

static void test_lines(void **state) {
    struct err err;
    assert_int_equal(read_form(OUTCOME_NDJSON, "{\"batch\":3,\"instance\":\"x\"}\n" ITEM("") "\r\n\n" ITEM(""), &err),
                     0);
    assert_int_equal(outcomes.count, 2);
    assert_int_equal(outcomes.batch, 3);
    outcomes_deinit(&outcomes);
    struct outcome_source source = {.form = OUTCOME_NDJSON,
                                    .body = SLICE_LIT(ITEM("") "\n"),
                                    .now = NOW,
                                    .environment = "e",
                                    .instance = "q",
                                    .batch = 9};
    assert_int_equal(outcomes_read(&source, &outcomes, &err), 0);
    assert_int_equal(outcomes.count, 1);
    assert_string_equal(outcomes.instance, "q");
    outcomes_deinit(&outcomes);
    assert_int_equal(read_form(OUTCOME_NDJSON, "{\"batch\":3,\"instance\":\"x\"}\n{\"agent\":\n\"a\"}", &err),
                     -ERR_MALFORMED_JSON);
    assert_int_equal(err.line, 2);
    outcomes_deinit(&outcomes);
    assert_int_equal(read_form(OUTCOME_NDJSON, "{\"batch\":3,\"instance\":\"x\"}\n" ITEM(",\"cost_usd\":-1"), &err),
                     -ERR_INVALID);
    assert_int_equal(outcomes.faults.items[0].line, 2);
    outcomes_deinit(&outcomes);
}

static void test_late_scores_need_no_ok(void **state) {
    struct err err;
    const char *late = BATCH("{\"agent\":\"a\",\"version\":1," AT ",\"run\":\"r\",\"scores\":{\"q\":1}}");
    assert_int_equal(read_body(late, &err), 0);
    outcomes_deinit(&outcomes);
    assert_int_equal(read_body(BATCH("{\"agent\":\"a\",\"version\":1," AT ",\"run\":\"r\"}"), &err), -ERR_INVALID);
    assert_string_equal(outcomes.faults.items[0].code, "run_missing");
    outcomes_deinit(&outcomes);
}

/* ---- what is wrong ---- */

static void assert_fault(const char *body, const char *at, const char *code) {
    struct err err;
    int r = read_body(body, &err);
    bool found = false;
    for (size_t i = 0; i < outcomes.faults.count; i++)
        found |= !strcmp(outcomes.faults.items[i].at, at) && !strcmp(outcomes.faults.items[i].code, code) &&
                 outcomes.faults.items[i].remedy;
    if (r != -ERR_INVALID || !found)
        fail_msg("%s: wanted %s at %s; %d, %s at %s", body, code, at, r,
                 outcomes.faults.count ? outcomes.faults.items[0].code : err.message,
                 outcomes.faults.count ? outcomes.faults.items[0].at : "");
    outcomes_deinit(&outcomes);
}

static void test_each_fault_has_its_place(void **state) {
    assert_fault(BATCH(ITEM("") "," ITEM(",\"latency_ms\":-0.5")), "/items/1/latency_ms", "negative");
    assert_fault(BATCH(ITEM(",\"cost_usd\":1e300")), "/items/0/cost_usd", "number_too_large");
    assert_fault(BATCH(ITEM(",\"input_tokens\":1.5")), "/items/0/input_tokens", "wrong_type");
    assert_fault(BATCH(ITEM(",\"input_tokens\":null")), "/items/0/input_tokens", "wrong_type");
    assert_fault(BATCH(ITEM(",\"output_tokens\":-1")), "/items/0/output_tokens", "negative");
    assert_fault(BATCH(ITEM(",\"scores\":{\"quality\":1.01}")), "/items/0/scores/quality", "score_outside");
    assert_fault(BATCH(ITEM(",\"scores\":{\"q\":0,\"q\":1}")), "/items/0/scores/q", "field_twice");
    assert_fault(BATCH(ITEM(",\"scores\":{\"\":0}")), "/items/0/scores/", "bad_name");
    assert_fault(BATCH(ITEM(",\"scores\":{\"q\":\"1\"}")), "/items/0/scores/q", "wrong_type");
    assert_fault(BATCH(ITEM(",\"scores\":[1]")), "/items/0/scores", "wrong_type");
    assert_fault(BATCH(ITEM(",\"scores\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}")),
                 "/items/0/scores", "too_many_scores");
    assert_fault(BATCH(ITEM(",\"feedback\":\"meh\"")), "/items/0/feedback", "unknown_word");
    assert_fault(BATCH(ITEM(",\"arm\":\"canary\"")), "/items/0/arm", "unknown_word");
    assert_fault(BATCH(ITEM(",\"reason\":\"LUCK\"")), "/items/0/reason", "unknown_word");
    assert_fault(BATCH(ITEM(",\"latency\":1")), "/items/0/latency", "unknown_field");
    assert_fault(BATCH(ITEM(",\"ok\":true")), "/items/0/ok", "field_twice");
    assert_fault(BATCH(ITEM(",\"session\":\"\"")), "/items/0/session", "bad_text");
    assert_fault(BATCH(ITEM(",\"session\":\"a\\nb\"")), "/items/0/session", "bad_text");
    assert_fault(BATCH("1"), "/items/0", "wrong_type");
    assert_fault(BATCH(""), "/items", "no_items");
    assert_fault("{\"instance\":\"i\",\"batch\":1,\"items\":{}}", "/items", "wrong_type");
    assert_fault("{\"instance\":\"i\",\"items\":[" ITEM("") "]}", "/batch", "field_missing");
    assert_fault("{\"instance\":\"i\",\"batch\":0,\"items\":[" ITEM("") "]}", "/batch", "bad_batch");
    assert_fault("{\"instance\":\"i\",\"batch\":1.0,\"items\":[" ITEM("") "]}", "/batch", "bad_batch");
    assert_fault("{\"instance\":\"a b\",\"batch\":1,\"items\":[" ITEM("") "]}", "/instance", "bad_instance");
    assert_fault("{\"instance\":\"a\",\"batch\":1,\"batch\":1,\"items\":[" ITEM("") "]}", "/batch", "field_twice");
    assert_fault("{\"instance\":\"a\",\"batch\":1,\"item\":[]}", "/item", "unknown_field");
}

#define WITH(agent, version, unit, at)                                                                                 \
    BATCH("{\"agent\":" agent ",\"version\":" version ",\"unit\":" unit ",\"at\":" at ",\"ok\":true}")
#define GOOD_UNIT "\"80000000c0ffee1122334455\""
#define GOOD_AT "\"2026-10-26T06:13:19Z\""

static void test_identity_and_time(void **state) {
    assert_fault(WITH("\"Support\"", "1", GOOD_UNIT, GOOD_AT), "/items/0/agent", "bad_name");
    assert_fault(WITH("\"a\"", "0", GOOD_UNIT, GOOD_AT), "/items/0/version", "bad_version");
    assert_fault(WITH("\"a\"", "-3", GOOD_UNIT, GOOD_AT), "/items/0/version", "bad_version");
    assert_fault(WITH("\"a\"", "1.0", GOOD_UNIT, GOOD_AT), "/items/0/version", "bad_version");
    assert_fault(WITH("\"a\"", "\"1\"", GOOD_UNIT, GOOD_AT), "/items/0/version", "wrong_type");
    assert_fault(WITH("\"a\"", "1", "\"user-1\"", GOOD_AT), "/items/0/unit", "bad_unit");
    assert_fault(WITH("\"a\"", "1", "\"80000000C0FFEE1122334455\"", GOOD_AT), "/items/0/unit", "bad_unit");
    assert_fault(WITH("\"a\"", "1", GOOD_UNIT, "\"2026-10-26\""), "/items/0/at", "bad_time");
    assert_fault(WITH("\"a\"", "1", GOOD_UNIT, "\"2026-13-26T06:13:19Z\""), "/items/0/at", "bad_time");
    assert_fault(WITH("\"a\"", "1", GOOD_UNIT, "\"2026-10-26T07:39:00Z\""), "/items/0/at", "in_the_future");
    assert_fault(WITH("\"a\"", "1", GOOD_UNIT, "\"2026-10-18T06:13:19Z\""), "/items/0/at", "too_old");
    assert_fault(WITH("\"a\"", "1", GOOD_UNIT, "1793000000"), "/items/0/at", "wrong_type");
    assert_fault(BATCH("{}"), "/items/0/agent", "field_missing");
}

static bool sees_staging(void *ctx, struct slice environment) {
    return slice_equal_text(environment, "staging");
}

static void test_environment_of_another_key(void **state) {
    struct err err;
    struct outcome_source source = {.form = OUTCOME_JSON,
                                    .body = SLICE_LIT(BATCH(ITEM(",\"environment\":\"staging\"") "," ITEM(""))),
                                    .now = NOW,
                                    .environment = "production",
                                    .sees = sees_staging};
    assert_int_equal(outcomes_read(&source, &outcomes, &err), -ERR_INVALID);
    assert_int_equal(outcomes.faults.count, 1);
    assert_string_equal(outcomes.faults.items[0].at, "/items/1/environment");
    outcomes_deinit(&outcomes);
    source.environment = NULL;
    source.sees = NULL;
    assert_int_equal(outcomes_read(&source, &outcomes, &err), -ERR_INVALID);
    assert_string_equal(outcomes.faults.items[0].code, "field_missing");
    outcomes_deinit(&outcomes);
}

static void test_all_faults_up_to_a_bound(void **state) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    struct err err;
    str_add_text(&body, "{\"instance\":\"i\",\"batch\":1,\"items\":[");
    for (int i = 0; i < 300; i++)
        str_printf(&body, "%s%s", i ? "," : "", ITEM(",\"cost_usd\":-1"));
    str_add_text(&body, "]}");
    assert_int_equal(read_body(body.data, &err), -ERR_INVALID);
    assert_int_equal(outcomes.faults.count, FAULTS_MAX);
    assert_int_equal(outcomes.faults.dropped, 100);
    assert_int_equal(outcomes.fault_counts[OUTCOME_FAULT_NEGATIVE], 300);
    assert_string_equal(outcomes.faults.items[17].at, "/items/17/cost_usd");
    outcomes_deinit(&outcomes);
}

static void test_bounds_of_a_batch(void **state) {
    struct err err;
    for (int places = OUTCOME_PLACES_MAX; places <= OUTCOME_PLACES_MAX + 1; places++) {
        _cleanup_(str_deinit) struct str body = STR_INIT;
        str_add_text(&body, "{\"instance\":\"i\",\"batch\":1,\"items\":[");
        for (int i = 0; i < places; i++)
            str_printf(&body, "%s{\"agent\":\"a\",\"version\":%d," UNIT "," AT ",\"ok\":true}", i ? "," : "", i + 1);
        str_add_text(&body, "]}");
        assert_int_equal(read_body(body.data, &err), places == OUTCOME_PLACES_MAX ? 0 : -ERR_INVALID);
        outcomes_deinit(&outcomes);
    }
    _cleanup_(str_deinit) struct str many = STR_INIT;
    str_add_text(&many, "{\"instance\":\"i\",\"batch\":1,\"items\":[");
    for (int i = 0; i <= OUTCOME_ITEMS_MAX; i++)
        str_printf(&many, "%s%s", i ? "," : "", ITEM(""));
    str_add_text(&many, "]}");
    assert_int_equal(read_body(many.data, &err), -ERR_INVALID);
    assert_string_equal(outcomes.faults.items[0].code, "too_many_items");
    outcomes_deinit(&outcomes);
}

/* ---- the same language as json_parse() ---- */

static bool scans(struct slice text) {
    struct scan scan;
    return scan_begin(&scan, text) && scan_skip(&scan) && scan_end(&scan);
}

static bool parses(struct slice text) {
    struct err err;
    _cleanup_(json_decrefp) json_t *value = NULL;
    return json_parse(text.ptr, text.len, SCAN_DEPTH_MAX, &value, &err) == 0;
}

static uint64_t seed = 88172645463325252u;
static uint32_t chance(uint32_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

/* Pieces that JSON is made of, and some that it is not, in any order: short texts find every branch of the grammar. */
static void test_same_grammar(void **state) {
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"a\"",
                                         "\"b\"",
                                         "1",
                                         "-",
                                         "0",
                                         ".",
                                         "e",
                                         "+",
                                         "E5",
                                         "true",
                                         "false",
                                         "nu",
                                         "ll",
                                         " ",
                                         "\n",
                                         "\"",
                                         "\\",
                                         "\\u00e9",
                                         "\\ud83d\\ude00",
                                         "\\ud800",
                                         "\xc3\xa9",
                                         "\xff",
                                         "12345678901234567890",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "9223372036854775808",
                                         "1e400",
                                         "\\n",
                                         "\x01",
                                         "\\u0000"};
    size_t agreed = 0;
    for (int i = 0; i < 400000; i++) {
        char text[200] = "";
        size_t len = 0, count = 1 + chance(9);
        for (size_t j = 0; j < count; j++) {
            const char *piece = pieces[chance(ARRAY_LEN(pieces))];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        struct slice slice = {text, len};
        bool mine = scans(slice), theirs = parses(slice);
        /* A key that stands twice is the one thing that scan_skip() does not look for. */
        if (mine && !theirs && strstr(text, "\"a\"") && strchr(text, '{')) continue;
        if (mine != theirs) fail_msg("%.*s: %d, json_parse says %d", (int)len, text, mine, theirs);
        agreed += mine;
    }
    assert_true(agreed > 1000);
}

static void test_same_numbers(void **state) {
    for (int i = 0; i < 300000; i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "%s%u", chance(3) ? "" : "-", chance(chance(2) ? 100 : UINT32_MAX));
        if (chance(2))
            len += snprintf(text + len, sizeof(text) - (size_t)len, ".%0*u", (int)chance(9) + 1, chance(UINT32_MAX));
        if (chance(2)) len += snprintf(text + len, sizeof(text) - (size_t)len, "e%d", (int)chance(60) - 30);
        struct scan scan;
        struct scan_number number;
        struct err err;
        _cleanup_(json_decrefp) json_t *value = NULL;
        assert_true(scan_begin(&scan, (struct slice){text, (size_t)len}) && scan_number(&scan, &number) &&
                    scan_end(&scan));
        assert_int_equal(json_parse(text, (size_t)len, 1, &value, &err), 0);
        if (number.real != json_number_value(value) || number.whole != json_is_integer(value))
            fail_msg("%s: %.17g, json_parse says %.17g", text, number.real, json_number_value(value));
    }
}

static void test_same_texts(void **state) {
    static const char *const texts[] = {"\"\"", "\"a\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                        "\"\xc3\xa9 plain\""};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct scan scan;
        struct scan_text text;
        struct err err;
        _cleanup_(json_decrefp) json_t *value = NULL;
        assert_true(scan_begin(&scan, slice_of(texts[i])) && scan_text(&scan, &text) && scan_end(&scan));
        assert_int_equal(json_parse(texts[i], strlen(texts[i]), 1, &value, &err), 0);
        assert_true(slice_equal_text(text.slice, json_string_value(value)));
    }
    char longest[2 * SCAN_TEXT_MAX] = "\"\\n";
    memset(longest + 3, 'x', SCAN_TEXT_MAX);
    longest[3 + SCAN_TEXT_MAX] = '"';
    struct scan scan;
    struct scan_text text;
    assert_true(scan_begin(&scan, slice_of(longest)) && scan_text(&scan, &text) && text.cut);
}

static void test_depth_is_bounded(void **state) {
    char text[200];
    for (size_t depth = SCAN_DEPTH_MAX; depth <= SCAN_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(scans((struct slice){text, 2 * depth}), depth == SCAN_DEPTH_MAX);
        assert_int_equal(parses((struct slice){text, 2 * depth}), depth == SCAN_DEPTH_MAX);
    }
}

/* Batches made well, then with one byte changed or cut: what is no JSON must be told as such, and nothing else. */
static void test_damaged_batches(void **state) {
    const char *whole = BATCH(ITEM(",\"scores\":{\"q\":0.5},\"latency_ms\":1.5e2") "," ITEM(",\"feedback\":\"up\""));
    size_t len = strlen(whole);
    for (int i = 0; i < 100000; i++) {
        char copy[1024];
        memcpy(copy, whole, len);
        copy[chance((uint32_t)len)] = (char)("{}[],:\"\\0189.eE-+ tfn\n\x80\x01"[chance(23)]);
        size_t cut = chance(10) ? len : chance((uint32_t)len);
        struct err err = ERR_INIT, other;
        struct outcome_source source = {.body = {copy, cut}, .now = NOW, .environment = "production"};
        int r = outcomes_read(&source, &outcomes, &err);
        _cleanup_(json_decrefp) json_t *value = NULL;
        int theirs = json_parse(copy, cut, 8, &value, &other);
        bool twice = theirs < 0 && strstr(other.message, "stands twice");
        bool mine = r == 0 || r == -ERR_INVALID;
        if (mine != (theirs == 0) && !twice)
            fail_msg("%.*s: %d %s, json_parse says %d %s", (int)cut, copy, r, err.message, theirs,
                     theirs ? other.message : "");
        if (twice) assert_int_not_equal(r, 0);
        if (!mine && theirs < 0) assert_int_equal(-r, other.code);
        outcomes_deinit(&outcomes);
    }
}

/* ---- times ---- */

static void test_same_times(void **state) {
    static const char *const forms[] = {"Z",  ".1Z",          ".123456Z", ".123456789Z", "+02:00", ".5-03:30", "z",
                                        ".Z", ".1234567890Z", "",         "Zx"};
    for (int i = 0; i < 20000; i++) {
        char text[80], body[600];
        struct err err;
        int64_t at = 0;
        snprintf(text, sizeof(text), "2026-10-26T0%u:%02u:%02u%s", chance(2), chance(62), chance(62),
                 forms[chance(ARRAY_LEN(forms))]);
        bool valid = clock_from_text(text, &at);
        snprintf(body, sizeof(body),
                 "{\"instance\":\"i\",\"batch\":1,\"items\":[" ITEM(
                     "") ",{\"agent\":\"a\",\"version\":1," UNIT
                         ",\"at\":\"%s\",\"ok\":true},{\"agent\":\"a\",\"version\":1," UNIT
                         ",\"at\":\"%s\",\"ok\":true}]}",
                 text, text);
        int r = read_body(body, &err);
        if ((r == 0) != valid) fail_msg("%s: %d", text, r);
        if (valid) assert_true(unpack_one(1).at == at && unpack_one(2).at == at);
        outcomes_deinit(&outcomes);
    }
}

/* ---- gzip ---- */

static size_t deflate_into(const void *bytes, size_t len, unsigned char *out, size_t room) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)len;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return room - stream.avail_out;
}

static void test_gzip(void **state) {
    static unsigned char zipped[100000];
    struct err err;
    size_t bomb_size = 50 * 1024 * 1024;
    _cleanup_(freep) char *bomb = calloc(1, bomb_size);
    struct str out = STR_INIT;
    size_t len = deflate_into("hello", 5, zipped, sizeof(zipped));
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, len}, 5, &out, &err), 0);
    assert_string_equal(out.data, "hello");
    str_clear(&out);
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, len}, 4, &out, &err), -ERR_TOO_LARGE);
    str_clear(&out);
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, len - 1}, 9, &out, &err), -ERR_BAD_REQUEST);
    str_clear(&out);
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, 0}, 9, &out, &err), -ERR_BAD_REQUEST);
    str_clear(&out);
    zipped[len] = 'x';
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, len + 1}, 9, &out, &err), -ERR_BAD_REQUEST);
    str_clear(&out);
    len = deflate_into(bomb, bomb_size, zipped, sizeof(zipped));
    assert_int_equal(outcome_gunzip((struct slice){(char *)zipped, len}, 1 << 20, &out, &err), -ERR_TOO_LARGE);
    assert_true(out.capacity < 4 << 20);
    str_deinit(&out);
}

/* ---- OTLP ---- */

#define ATTR(key, value) "{\"key\":\"" key "\",\"value\":{" value "}}"
#define TRACE(resource, span)                                                                                          \
    "{\"resourceSpans\":[{\"scopeSpans\":[{\"scope\":{\"name\":\"x\"},\"spans\":[" span                                \
    "]}],\"resource\":{\"attributes\":[" resource "]}}]}"
#define DECISION ATTR("serin.unit", "\"stringValue\":\"80000000c0ffee1122334455\"")
#define SPAN_TIMES "\"startTimeUnixNano\":\"1792995199500000000\",\"endTimeUnixNano\":\"1792995200750000000\""

static void test_traces(void **state) {
    struct err err;
    const char *body = TRACE(
        ATTR("deployment.environment.name", "\"stringValue\":\"staging\""),
        "{\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"name\":\"chat\"," SPAN_TIMES
        ",\"attributes\":[" ATTR("gen_ai.usage.input_tokens", "\"intValue\":\"120\"") "," ATTR(
            "gen_ai.usage.output_tokens",
            "\"intValue\":30") "," DECISION
                               "," ATTR("serin.score.quality", "\"doubleValue\":0.5") "," ATTR(
                                   "error.type",
                                   "\"str"
                                   "ingVa"
                                   "lue\""
                                   ":\"ti"
                                   "meout"
                                   "\"") "],\"events\":[{\"name\":\"feature_flag.evaluation\",\"attributes\":"
                                         "[" ATTR("feature_flag.key", "\"stringValue\":\"agent.support\"") "," ATTR(
                                             "feature_flag."
                                             "result.variant",
                                             "\"stringValue\":"
                                             "\"support@"
                                             "43\"") "]}]},"
                                                     "{\"name\":"
                                                     "\"http\","
                                                     "\"kind\":"
                                                     "3"
                                                     "," SPAN_TIMES ",\"attribu"
                                                     "tes\":"
                                                     "[" ATTR("x", "\"arra"
                                                                   "yValue"
                                                                   "\":{"
                                                                   "\"valu"
                                                                   "es\":["
                                                                   "{"
                                                                   "\"intV"
                                                                   "alue\""
                                                                   ":"
                                                                   "\"1\"}"
                                                                   "]}") "]}");
    int r = read_form(OUTCOME_OTLP, body, &err);
    if (r < 0) fail_msg("%s at %s", err.message, err.at);
    assert_int_equal(outcomes.count, 1);
    assert_int_equal(outcomes.passed_over, 1);
    struct outcome outcome = unpack_one(0);
    assert_true(!outcome.ok && outcome.latency_ms == 1250 && outcome.input_tokens == 120 &&
                outcome.output_tokens == 30);
    assert_true(slice_equal_text(outcome.place.agent, "support") && outcome.place.version == 43);
    assert_true(slice_equal_text(outcome.place.environment, "staging") &&
                slice_equal_text(outcome.error_type, "timeout"));
    assert_true(outcome.score_count == 1 && outcome.scores[0].value == 0.5 && outcome.run != 0);
    outcomes_deinit(&outcomes);
}

static void test_faults_of_traces(void **state) {
    struct err err;
    assert_int_equal(read_form(OUTCOME_OTLP,
                               TRACE("", "{" SPAN_TIMES ",\"attributes\":[" DECISION
                                         "," ATTR("serin.agent", "\"stringValue\":\"a\"") "," ATTR(
                                             "serin.version", "\"intValue\":\"0\"") "]}"),
                               &err),
                     -ERR_INVALID);
    assert_string_equal(outcomes.faults.items[0].at, "/spans/0/version");
    outcomes_deinit(&outcomes);
    assert_int_equal(read_form(OUTCOME_OTLP, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{]}]}]}", &err),
                     -ERR_MALFORMED_JSON);
    outcomes_deinit(&outcomes);
    assert_int_equal(read_form(OUTCOME_OTLP, "[]", &err), -ERR_INVALID);
    outcomes_deinit(&outcomes);
}

/* ---- the packed form ---- */

static void test_packed_bytes_are_checked(void **state) {
    struct err err;
    assert_int_equal(
        read_body(BATCH(ITEM(",\"scores\":{\"q\":0.5},\"latency_ms\":1.5e2,\"run\":\"r\"") "," ITEM("")), &err), 0);
    for (int i = 0; i < 50000; i++) {
        char copy[1024];
        struct outcome_pack pack = {0};
        struct outcome outcome;
        memcpy(copy, outcomes.packed.data, outcomes.packed.len);
        copy[chance((uint32_t)outcomes.packed.len)] = (char)chance(256);
        struct slice bytes = {copy, chance(2) ? outcomes.packed.len : chance((uint32_t)outcomes.packed.len)};
        int r = 1;
        for (int n = 0; n < 100 && r == 1; n++)
            r = outcome_unpack(&pack, &bytes, &outcome);
        assert_true(r == 0 || r == -ERR_STORE_CORRUPT);
    }
    outcomes_deinit(&outcomes);
}

/* How many outcomes a second, told and not judged: the bench does that. */
static void test_speed_is_told(void **state) {
    _cleanup_(str_deinit) struct str body = STR_INIT;
    str_add_text(&body, "{\"instance\":\"i\",\"batch\":1,\"items\":[");
    for (int i = 0; i < 100; i++)
        str_printf(&body,
                   "%s{\"agent\":\"support\",\"version\":42,\"arm\":\"stable\",\"unit\":\"%08x%08x%08x\",\"at\":\"2026-"
                   "10-26T06:13:%02d.%06uZ\","
                   "\"ok\":true,\"latency_ms\":%u.%u,\"input_tokens\":%u,\"output_tokens\":%u,\"cost_usd\":0.00%u}",
                   i ? "," : "", chance(UINT32_MAX), chance(UINT32_MAX), chance(UINT32_MAX), i % 60, chance(1000000),
                   chance(2000), chance(10), chance(2000), chance(900), chance(1000));
    str_add_text(&body, "]}");
    int64_t began = clock_monotonic(&clock_system);
    struct err err;
    int rounds = 2000;
    for (int i = 0; i < rounds; i++) {
        assert_int_equal(read_body(body.data, &err), 0);
        outcomes_deinit(&outcomes);
    }
    int64_t took = clock_monotonic(&clock_system) - began;
    print_message("%.2f million outcomes a second, %.0f bytes each, packed %.0f\n", rounds * 100.0 / (double)took,
                  (double)body.len / 100, (double)outcomes.packed.len / 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_late_scores_need_no_ok),
        cmocka_unit_test(test_each_fault_has_its_place),
        cmocka_unit_test(test_identity_and_time),
        cmocka_unit_test(test_environment_of_another_key),
        cmocka_unit_test(test_all_faults_up_to_a_bound),
        cmocka_unit_test(test_bounds_of_a_batch),
        cmocka_unit_test(test_same_grammar),
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_same_texts),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_damaged_batches),
        cmocka_unit_test(test_same_times),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_faults_of_traces),
        cmocka_unit_test(test_packed_bytes_are_checked),
        cmocka_unit_test(test_speed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
