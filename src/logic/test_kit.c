/* SPDX-License-Identifier: Apache-2.0 */
#include "logic/test_kit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const struct logic_context kit_flag = {.flag_key = {"new-welcome-banner", 18}, .timestamp = 1795442400};

json_t *kit_parse(const char *text) {
    json_t *value;
    struct err err = ERR_INIT;
    int r = json_parse(text, strlen(text), JSON_DEPTH_MAX, &value, &err);
    if (r < 0) fail_msg("%s: %s", text, err.message);
    return value;
}

static json_t *json_of_number(double number) {
    if (isnan(number)) return json_string("NaN");
    if (isinf(number)) return json_string(number < 0 ? "-Infinity" : "Infinity");
    bool whole = fabs(number) < 0x1p53 && number == trunc(number);
    return whole ? json_integer((json_int_t)number) : json_real(number);
}

json_t *kit_json(const struct logic_value *value) {
    json_t *json = NULL;
    switch (value->type) {
    case LOGIC_NULL:
        return json_null();
    case LOGIC_BOOL:
        return json_boolean(value->truth);
    case LOGIC_NUMBER:
        return json_of_number(value->number);
    case LOGIC_TEXT:
        return json_stringn(value->count ? value->text : "", value->count);
    case LOGIC_LIST:
        json = json_array();
        for (uint32_t i = 0; i < value->count; i++)
            json_array_append_new(json, kit_json(value->items + i));
        return json;
    default:
        json = json_object();
        for (uint32_t i = 0; i < value->count; i++)
            json_object_setn_new(json, value->members[i].name.ptr, value->members[i].name.len,
                                 kit_json(&value->members[i].value));
        return json;
    }
}

struct logic_rule *kit_compile_with(const char *rule, const char *evaluators) {
    _cleanup_(json_decrefp) json_t *value = kit_parse(rule), *others = evaluators ? kit_parse(evaluators) : NULL;
    const struct logic_source source = {.rule = value, .at = "", .evaluators = others, .flagd = true};
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    if (logic_compile_source(&source, &compiled, &faults, &err) < 0)
        fail_msg("%s: %s at %s", rule, err.message, err.at);
    assert_int_equal(faults.errors, 0);
    faults_deinit(&faults);
    return compiled;
}

struct logic_rule *kit_compile(const char *rule) {
    return kit_compile_with(rule, NULL);
}

static char *text_of(int outcome, const struct logic_value *result) {
    static const char *const outcomes[] = {NULL, "outcome 1", "outcome 2"};
    if (outcome) return strdup(outcomes[outcome]);
    json_t *json = kit_json(result);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    return text;
}

char *kit_evaluate(const struct logic_rule *rule, const char *data, const struct logic_context *base,
                   struct logic_trace *trace) {
    _cleanup_(json_decrefp) json_t *json = data ? kit_parse(data) : NULL;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct logic_context context = base ? *base : (struct logic_context){0};
    struct logic_scratch scratch;
    struct logic_value result;
    memset(&scratch, 0xa5, sizeof(scratch));
    assert_int_equal(logic_from_json(json, &arena, &context.data), 0);
    int r = logic_evaluate(rule, data || base ? &context : NULL, &scratch, trace, &result);
    return text_of(r, &result);
}

char *kit_result(const char *rule, const char *data) {
    _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile(rule);
    return kit_evaluate(compiled, data, NULL, NULL);
}

void kit_check(const struct kit_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        _cleanup_(freep) char *result = kit_result(rows[i].rule, rows[i].data);
        if (strcmp(result, rows[i].result) != 0)
            fail_msg("%s over %s: %s, not %s", rows[i].rule, rows[i].data ? rows[i].data : "nothing", result,
                     rows[i].result);
    }
}

bool kit_matches(const char *rule, const char *data) {
    _cleanup_(logic_freep) struct logic_rule *compiled = kit_compile(rule);
    _cleanup_(json_decrefp) json_t *json = data ? kit_parse(data) : NULL;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct logic_context context = {0};
    assert_int_equal(logic_from_json(json, &arena, &context.data), 0);
    return logic_matches(compiled, data ? &context : NULL);
}

void kit_refused(const char *rule, const char *at, const char *words) {
    _cleanup_(json_decrefp) json_t *value = kit_parse(rule);
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    bool found = false;
    if (logic_compile(value, "/audience", &compiled, &faults, &err) != -ERR_INVALID) fail_msg("%s is taken", rule);
    assert_null(compiled);
    assert_true(faults.errors > 0 && err.message[0]);
    for (size_t i = 0; i < faults.count; i++)
        found |= strncmp(faults.items[i].at, "/audience", 9) == 0 && strcmp(faults.items[i].at + 9, at) == 0 &&
                 strstr(faults.items[i].message, words);
    if (!found) fail_msg("%s: \"%s\" at \"%s\"", rule, faults.items[0].message, faults.items[0].at);
    faults_deinit(&faults);
}
