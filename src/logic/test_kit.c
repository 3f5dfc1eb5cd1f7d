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

void kit_write(struct str *out, const struct logic_value *value) {
    bool list = value->type == LOGIC_LIST, object = value->type == LOGIC_OBJECT;
    if (value->type == LOGIC_NULL) str_add_text(out, "null");
    if (value->type == LOGIC_BOOL) str_add_text(out, value->truth ? "true" : "false");
    if (value->type == LOGIC_NUMBER && isfinite(value->number)) json_add_double(out, value->number);
    if (value->type == LOGIC_NUMBER && isnan(value->number)) str_add_text(out, "\"NaN\"");
    if (value->type == LOGIC_NUMBER && isinf(value->number))
        str_add_text(out, value->number < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    if (value->type == LOGIC_TEXT) str_add_json(out, value->count ? value->text : "", value->count);
    if (!list && !object) return;
    str_add_char(out, list ? '[' : '{');
    for (uint32_t i = 0; i < value->count; i++) {
        if (i) str_add_char(out, ',');
        if (list) kit_write(out, value->items + i);
        if (list) continue;
        str_add_json(out, value->members[i].name.ptr, value->members[i].name.len);
        str_add_char(out, ':');
        kit_write(out, &value->members[i].value);
    }
    str_add_char(out, list ? ']' : '}');
}

static char *text_of(int outcome, const struct logic_value *result) {
    struct str text = STR_INIT;
    if (outcome)
        str_printf(&text, "outcome %d", outcome);
    else
        kit_write(&text, result);
    return str_take(&text);
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
