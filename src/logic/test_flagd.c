/* SPDX-License-Identifier: Apache-2.0 */
/* $ref, $flagd, warnings, what a rule reads, traces and results as text. What flagd's operators answer stands in the vectors. */
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char evaluators[] =
    "{\"pro\":{\"==\":[{\"var\":\"plan\"},\"pro\"]},\"staff\":{\"ends_with\":[{\"var\":\"email\"},\"@serin.dev\"]},"
    "\"both\":{\"and\":[{\"$ref\":\"pro\"},{\"$ref\":\"staff\"}]},\"choice\":{\"if\":[{\"$ref\":\"pro\"},\"a\",\"b\"]},"
    "\"plain\":\"constant\",\"self\":{\"$ref\":\"self\"},\"odd\":{\"!\":{\"$ref\":\"even\"}},\"even\":{\"!\":[{\"$"
    "ref\":"
    "\"odd\"}]},\"bad\":{\"and\":[1,{\"xyzzy\":2},{\"==\":[1]}]},\"to bad\":{\"!\":{\"$ref\":\"bad\"}}}";

static void expect(const char *rule, const char *data, const char *want) {
    _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile_with(rule, evaluators);
    _cleanup_(freep) char *result = kit_evaluate(compiled, data, &kit_flag, NULL);
    if (strcmp(result, want) != 0) fail_msg("%s over %s: %s, not %s", rule, data, result, want);
}

/* The faults of a rule as "at: message" lines; "" when it is taken. */
static char *faults_text(const char *rule, bool check_evaluators, bool warnings) {
    _cleanup_(json_decrefp) json_t *value = kit_parse(rule), *others = kit_parse(evaluators);
    _cleanup_(logic_freep) struct logic_rule *compiled = NULL;
    const struct logic_source source = {.rule = value, .at = "/targeting", .evaluators = others, .flagd = true};
    struct faults faults = FAULTS_INIT;
    struct str text = STR_INIT;
    struct err err = ERR_INIT;
    int r = check_evaluators ? logic_check_evaluators(others, "/$evaluators", &faults, &err)
                             : logic_compile_source(&source, &compiled, &faults, &err);
    str_add_text(&text, "");
    for (size_t i = 0; i < faults.count; i++)
        if (faults.items[i].warning == warnings)
            str_printf(&text, "%s%s: %s", text.len ? "\n" : "", faults.items[i].at, faults.items[i].message);
    assert_int_equal(r, faults.errors ? -ERR_INVALID : 0);
    assert_int_equal(err.code, faults.errors ? ERR_INVALID : 0);
    faults_deinit(&faults);
    return text.data ? str_take(&text) : strdup("");
}

static void refused(const char *rule, const char *want) {
    _cleanup_(freep) char *got = faults_text(rule, false, false);
    assert_string_equal(got, want);
}

static void test_refs(void **state) {
    expect("{\"$ref\":\"both\"}", "{\"plan\":\"pro\",\"email\":\"a@serin.dev\"}", "true");
    expect("{\"$ref\":\"both\"}", "{\"plan\":\"pro\",\"email\":\"a@b.c\"}", "false");
    expect("{\"if\":[{\"$ref\":\"pro\"},{\"$ref\":\"plain\"},{\"$ref\":\"staff\"}]}", "{\"plan\":\"pro\"}",
           "\"constant\"");
    expect("{\"filter\":[{\"var\":\"users\"},{\"$ref\":\"pro\"}]}",
           "{\"users\":[{\"plan\":\"pro\"},{\"plan\":\"free\"}]}", "[{\"plan\":\"pro\"}]");
}

static void test_bad_refs(void **state) {
    refused("{\"$ref\":\"pr\"}", "/targeting/$ref: there is no evaluator \"pr\"");
    refused("{\"$ref\":[\"pro\",\"staff\"]}", "/targeting/$ref: \"$ref\" takes 1 argument, not 2");
    refused("{\"$ref\":{\"var\":\"which\"}}", "/targeting/$ref: \"$ref\" takes the name of an evaluator, a text");
    refused("{\"$ref\":\"self\"}",
            "/targeting/$ref: \"self\" is not valid: /$ref: \"self\" refers to itself in a circle");
    refused("{\"and\":[{\"$ref\":\"odd\"},{\"xyzzy\":1}]}",
            "/targeting/and/0/$ref: \"odd\" is not valid: /!/$ref: \"even\" is not valid: /!/0/$ref: \"odd\" refers to "
            "itself in a circle\n/targeting/and/1/xyzzy: there is no operation \"xyzzy\"");
    refused("{\"$ref\":\"to bad\"}", "/targeting/$ref: \"to bad\" is not valid: /!/$ref: \"bad\" is not valid: "
                                     "/and/1/xyzzy: there is no operation \"xyzzy\"");
    kit_refused("{\"!\":{\"$ref\":\"pro\"}}", "/!/$ref", "there is no evaluator");
    kit_refused("{\"var\":\"$flagd.flagKey\"}", "/var", "for flags only");
}

/* Each fault where it stands, and once. */
static void test_evaluators_are_checked(void **state) {
    _cleanup_(freep) char *got = faults_text("1", true, false);
    static const char *const parts[] = {
        "/$evaluators/bad/and/1/xyzzy: there is no operation \"xyzzy\"",
        "/$evaluators/bad/and/2/==: \"==\" takes 2 arguments, not 1",
        "/$evaluators/to bad/!/$ref: \"bad\" is not valid",
        "/$evaluators/self/$ref: \"self\" is not valid: /$ref: \"self\" refers to itself in a circle",
        "/$evaluators/odd/!/$ref: ",
        "/$evaluators/even/!/0/$ref: ",
    };
    size_t lines = 1;
    for (const char *c = got; *c; c++)
        lines += *c == '\n';
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!strstr(got, parts[i])) fail_msg("%s is not in %s", parts[i], got);
    assert_int_equal(lines, ARRAY_LEN(parts));
}

/* Each names the one before twice: what is written out would be 2^30 operations. */
static void test_refs_do_not_explode(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    str_add_text(&text, "{\"e0\":{\"var\":\"a\"}");
    for (int i = 1; i <= 30; i++)
        str_printf(&text, ",\"e%d\":{\"or\":[{\"$ref\":\"e%d\"},{\"$ref\":\"e%d\"}]}", i, i - 1, i - 1);
    str_add_text(&text, "}");
    _cleanup_(json_decrefp) json_t *others = kit_parse(text.data), *rule = kit_parse("{\"$ref\":\"e30\"}");
    for (int i = 0; i < 2; i++) {
        const struct logic_source source = {.rule = rule, .at = "", .evaluators = others};
        struct faults faults = FAULTS_INIT;
        struct logic_rule *compiled = NULL;
        assert_int_equal(logic_compile_source(&source, &compiled, &faults, NULL), -ERR_INVALID);
        assert_int_equal(faults.count, 1);
        faults_deinit(&faults);
        json_decref(rule);
        rule = kit_parse("{\"!\":{\"$ref\":\"e29\"}}");
    }
}

static void test_flagd(void **state) {
    static const char data[] =
        "{\"$flagd\":{\"flagKey\":\"mine\",\"x\":1},\"name\":\"$flagd\",\"path\":\"$flagd.timestamp\"}";
    expect("{\"var\":\"$flagd.flagKey\"}", data, "\"new-welcome-banner\"");
    expect("{\"var\":[\"$flagd.flagKey\",\"d\"]}", data, "\"new-welcome-banner\"");
    expect("{\"var\":\"$flagd.timestamp\"}", data, "1795442400");
    expect("{\"var\":[\"$flagd.x\",\"d\"]}", data, "\"d\"");
    expect("{\"var\":\"$flagd\"}", data, "{\"flagKey\":\"new-welcome-banner\",\"timestamp\":1795442400}");
    expect("{\"var\":{\"var\":\"name\"}}", data, "{\"flagKey\":\"new-welcome-banner\",\"timestamp\":1795442400}");
    expect("{\"var\":{\"var\":\"path\"}}", data, "1795442400");
    expect("{\"missing\":[\"$flagd.flagKey\",\"$flagd.x\"]}", data, "[\"$flagd.x\"]");
    expect("{\"map\":[[{\"var\":\"\"}],{\"var\":\"$flagd.x\"}]}", data, "[1]"); /* in a loop the item's own */
    expect("{\"map\":[[{\"var\":\"\"}],{\"var\":{\"cat\":[\"$flagd\",\".x\"]}}]}", data, "[1]");
    expect("{\"map\":[[{\"var\":\"\"}],{\"if\":[{\"some\":[[1],1]},{\"var\":{\"cat\":[\"$flagd\",\".x\"]}}]}]}", data,
           "[1]");
    expect(
        "[{\"var\":{\"var\":\"name\"}},{\"cat\":[\"what is made behind it \",\"lies elsewhere, however long it is\"]}]",
        data,
        "[{\"flagKey\":\"new-welcome-banner\",\"timestamp\":1795442400},"
        "\"what is made behind it lies elsewhere, however long it is\"]");
    char *none = kit_result("{\"var\":[{\"cat\":[\"$flagd\",\".flagKey\"]},\"d\"]}", data); /* no flag is evaluated */
    assert_string_equal(none, "\"d\"");
    free(none);
    none = kit_result("{\"var\":[\"$flagd\",\"d\"]}", data);
    assert_string_equal(none, "\"d\"");
    free(none);
}

static void test_warnings(void **state) {
    _cleanup_(freep) char *got = faults_text("{\"and\":[{\"sem_ver\":[{\"var\":\"v\"},\"<\",\"1.x\"]},{\"sem_ver\":["
                                             "true,\"=\",\"v1\"]},{\"sem_ver\":[1,\"=\",2.5]}]}",
                                             false, true);
    assert_string_equal(got, "/targeting/and/0/sem_ver/2: this is no version, so the comparison is always null\n"
                             "/targeting/and/1/sem_ver/0: this is no version, so the comparison is always null");
    /* the error is told, not the warning before it */
    _cleanup_(json_decrefp) json_t *value = kit_parse("[{\"sem_ver\":[\"x\",\"=\",\"1\"]},{\"xyzzy\":1}]");
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(logic_compile(value, "", &rule, &faults, &err), -ERR_INVALID);
    assert_string_equal(err.at, "/1/xyzzy");
    faults_deinit(&faults);
}

/* ---- reads ---- */

static void reads(const char *rule, const char *want) {
    _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile_with(rule, evaluators);
    const struct logic_reads *got = logic_reads(compiled);
    _cleanup_(str_deinit) struct str text = STR_INIT;
    for (uint32_t i = 0; i < got->name_count; i++)
        str_printf(&text, "%.*s ", (int)got->names[i].len, got->names[i].ptr);
    str_printf(&text, "|%s%s%s%s", got->whole ? " whole" : "", got->key ? " key" : "", got->flag ? " flag" : "",
               got->time ? " time" : "");
    if (strcmp(text.data, want) != 0) fail_msg("%s: %s, not %s", rule, text.data, want);
}

static void test_reads(void **state) {
    reads("true", "|");
    reads("{\"==\":[1,{\"+\":[1,2]}]}", "|");
    reads("{\"var\":\"a.b.c\"}", "a |");
    reads("{\"and\":[{\"var\":\"b\"},{\"var\":[\"a\",{\"var\":\"c.d\"}]},{\"var\":\"b.x\"}]}", "b a c |");
    reads("{\"var\":1}", "1 |");
    reads("{\"var\":\"\"}", "| whole");
    reads("{\"var\":[]}", "| whole");
    reads("{\"var\":[{\"var\":\"a\"}]}", "| whole flag time");
    reads("{\"missing\":[\"a.b\",\"c\"]}", "a c |");
    reads("{\"missing\":\"a\"}", "a |");
    reads("{\"missing\":[[\"a\",7]]}", "a 7 |");
    reads("{\"missing\":[null]}", "| whole");
    reads("{\"missing\":{\"merge\":[\"a\"]}}", "| whole flag time");
    reads("{\"missing\":[\"$flagd.timestamp\"]}", "| whole flag time");
    reads("{\"missing_some\":[1,[\"a\",\"b\"]]}", "a b |");
    reads("{\"missing_some\":[{\"var\":\"n\"},{\"var\":\"keys\"}]}", "| whole flag time");
    reads("{\"map\":[{\"var\":\"l\"},{\"var\":\"x\"}]}", "l |");
    reads("{\"map\":[{\"var\":\"l\"},{\"var\":\"\"}]}", "l |");
    reads("{\"map\":[{\"var\":\"l\"},{\"var\":{\"var\":\"x\"}}]}", "l |");
    reads("{\"map\":[{\"var\":\"l\"},{\"and\":[{\"some\":[[1],1]},{\"var\":\"x\"}]}]}", "l |");
    reads("{\"map\":[{\"var\":\"l\"},{\"missing\":[\"x\"]}]}", "l |");
    reads("{\"map\":[{\"var\":\"l\"},{\"fractional\":[[\"a\"]]}]}", "l |");
    reads("{\"reduce\":[{\"var\":\"l\"},{\"var\":\"current\"},{\"var\":\"i\"}]}", "l i |");
    reads("{\"var\":\"$flagd.flagKey\"}", "| flag");
    reads("{\"var\":\"$flagd.timestamp\"}", "| time");
    reads("{\"var\":\"$flagd\"}", "| flag time");
    reads("{\"var\":\"$flagd.other\"}", "|");
    reads("{\"fractional\":[[\"a\"]]}", "targetingKey | key flag");
    reads("{\"fractional\":[{\"var\":\"email\"},[\"a\"]]}", "email targetingKey | flag");
    reads("{\"fractional\":[\"salt\",[\"a\"]]}", "|");
    reads("{\"fractional\":[[{\"var\":\"a\"},{\"var\":\"w\"}]]}", "w a targetingKey | key flag");
    reads("{\"$ref\":\"both\"}", "plan email |");
}

static void test_many_names_are_all(void **state) {
    for (int count = 249; count <= 252; count++) {
        _cleanup_(str_deinit) struct str text = STR_INIT;
        str_add_text(&text, "{\"or\":[");
        for (int i = 0; i < count; i++)
            str_printf(&text, "%s{\"var\":\"a%d\"}", i ? "," : "", i);
        str_add_text(&text, "]}");
        _cleanup_(logic_freep) struct logic_rule *rule = kit_compile(text.data);
        assert_int_equal(logic_reads(rule)->whole, count > 250);
    }
}

/* ---- traces ---- */

static void trace(const char *rule, const char *data, const char *operation, int argument, int entry) {
    _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile_with(rule, evaluators);
    struct logic_trace got;
    memset(&got, 0xa5, sizeof(got));
    free(kit_evaluate(compiled, data, &kit_flag, &got));
    if (operation && got.operation)
        assert_string_equal(got.operation, operation);
    else
        assert_ptr_equal(got.operation, operation);
    if (got.argument != argument) fail_msg("%s over %s: %d, not %d", rule, data, got.argument, argument);
    assert_int_equal(got.has_bucket, entry >= 0);
    if (entry >= 0) assert_int_equal(got.entry, entry);
}

static void test_traces(void **state) {
    static const char chain[] = "{\"if\":[{\"var\":\"a\"},\"x\",{\"var\":\"b\"},\"y\",\"z\"]}",
                      open[] = "{\"?:\":[{\"var\":\"a\"},{\"if\":[1,2,3]}]}",
                      both[] = "{\"and\":[{\"var\":\"a\"},{\"and\":[{\"var\":\"b\"},1]},{\"var\":\"c\"}]}",
                      any[] = "{\"or\":[{\"var\":\"a\"},{\"var\":\"b\"}]}";
    trace(chain, "{\"a\":1,\"b\":1}", "if", 1, -1);
    trace(chain, "{\"b\":1}", "if", 3, -1);
    trace(chain, "{}", "if", 4, -1);
    trace(open, "{\"a\":1}", "?:", 1, -1);
    trace(open, "{}", "?:", -1, -1);
    trace("{\"if\":[]}", "{}", "if", -1, -1);
    trace("{\"if\":[{\"var\":\"a\"}]}", "{}", "if", 0, -1);
    trace(both, "{\"b\":1}", "and", 0, -1);
    trace(both, "{\"a\":1}", "and", 1, -1);
    trace(both, "{\"a\":1,\"b\":1}", "and", 2, -1);
    trace("{\"if\":[0,1,{\"if\":[1,2,3]}]}", "{}", "if", 2, -1); /* the inner one's are not told */
    trace("{\"and\":[1,{\"and\":[0,1]}]}", "{}", "and", 1, -1);
    trace(any, "{\"a\":1}", "or", 0, -1);
    trace(any, "{\"b\":1}", "or", 1, -1);
    trace(any, "{}", "or", 1, -1);
    trace("{\"$ref\":\"choice\"}", "{\"plan\":\"pro\"}", "if", 1, -1);
    trace("{\"$ref\":\"choice\"}", "{}", "if", 2, -1);
    trace("{\"!\":[{\"or\":[0,1]}]}", "{}", NULL, -1, -1);
    trace("[{\"or\":[0,1]}]", "{}", NULL, -1, -1);
    trace("7", "{}", NULL, -1, -1);
    trace("{\"fractional\":[\"ejOoVL\",[\"a\",50],[\"b\",50]]}", "{}", NULL, -1, 0);
    trace("{\"if\":[{\"var\":\"a\"},1,{\"fractional\":[\"ceQdGm\",[\"a\",50],[\"b\",{\"+\":[50]}]]}]}", "{}", "if", 2,
          1);
    trace("{\"if\":[{\"var\":\"a\"},1,{\"fractional\":[[\"a\"]]}]}", "{}", "if", 2, -1); /* no key: no bucket */
}

static void test_trace_has_the_bucket(void **state) {
    _cleanup_(logic_freep) struct logic_rule *rule =
        kit_compile("{\"fractional\":[\"hello\",[\"a\",10],[\"b\",0],[\"c\",90]]}");
    struct logic_trace got;
    free(kit_evaluate(rule, "{}", NULL, &got));
    assert_int_equal(got.total, 100);
    assert_int_equal(got.bucket, (uint64_t)0x248bfa47 * 100 >> 32);
    assert_int_equal(got.entry, 2);
}

/* ---- texts of results ---- */

static void result_text(struct logic_value value, const char *want) {
    char room[LOGIC_NUMBER_ROOM];
    struct slice got;
    assert_int_equal(logic_result_text(&value, room, &got), want != NULL);
    if (want && !slice_equal_text(got, want)) fail_msg("%.*s, not %s", (int)got.len, got.ptr, want);
}

static void test_result_texts(void **state) {
    result_text(logic_text(SLICE_LIT("red")), "red");
    result_text(logic_text(SLICE_LIT("")), "");
    result_text(logic_bool(true), "true");
    result_text(logic_bool(false), "false");
    result_text(logic_number(1), "1");
    result_text(logic_number(-0.0), "0");
    result_text(logic_number(1.5), "1.5");
    result_text(logic_number(1e21), "1e+21");
    result_text(logic_number(-2.2250738585072014e-308), "-2.2250738585072014e-308");
    result_text(logic_number(0.0 / 0.0), "NaN");
    result_text(logic_null(), NULL);
    result_text((struct logic_value){.type = LOGIC_LIST}, NULL);
    result_text((struct logic_value){.type = LOGIC_OBJECT}, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refs),
        cmocka_unit_test(test_bad_refs),
        cmocka_unit_test(test_evaluators_are_checked),
        cmocka_unit_test(test_refs_do_not_explode),
        cmocka_unit_test(test_flagd),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_many_names_are_all),
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_trace_has_the_bucket),
        cmocka_unit_test(test_result_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
