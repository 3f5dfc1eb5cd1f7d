/* SPDX-License-Identifier: Apache-2.0 */
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const json_t *member(const json_t *value, const char *name, size_t len) {
    if (json_is_object(value)) return json_object_getn(value, name, len);
    int64_t index;
    char text[24] = "";
    if (!json_is_array(value) || len >= sizeof(text)) return NULL;
    memcpy(text, name, len);
    return text_to_int(text, 0, 1000000, &index) ? json_array_get(value, (size_t)index) : NULL;
}

static struct logic_value find(const void *ctx, struct slice path) {
    const json_t *at = ctx;
    for (const char *p = path.ptr, *end = p + path.len; path.len && at && p <= end;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        size_t len = (size_t)((dot ? dot : end) - p);
        at = member(at, p, len);
        p += len + 1;
    }
    struct logic_value value = {.type = LOGIC_NULL};
    if (json_is_boolean(at)) value = (struct logic_value){.type = LOGIC_BOOL, .truth = json_is_true(at)};
    if (json_is_number(at)) value = (struct logic_value){.type = LOGIC_NUMBER, .number = json_number_value(at)};
    if (json_is_string(at))
        value = (struct logic_value){.type = LOGIC_TEXT, .text = {json_string_value(at), json_string_length(at)}};
    return value;
}

struct logic_context kit_context(const json_t *data) {
    return (struct logic_context){find, data};
}

static json_t *parse(const char *text) {
    json_t *value;
    struct err err = ERR_INIT;
    int r = json_parse(text, strlen(text), JSON_DEPTH_MAX, &value, &err);
    if (r < 0) fail_msg("%s: %s", text, err.message);
    return value;
}

struct logic_rule *kit_compile(const char *rule) {
    json_t *value = parse(rule);
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    if (logic_compile(value, "", &compiled, &faults, &err) < 0) fail_msg("%s: %s at %s", rule, err.message, err.at);
    assert_int_equal(faults.count, 0);
    faults_deinit(&faults);
    json_decref(value);
    return compiled;
}

bool kit_matches(const char *rule, const char *data) {
    struct logic_rule *compiled = kit_compile(rule);
    json_t *value = data ? parse(data) : NULL;
    struct logic_context context = kit_context(value);
    bool matches = logic_matches(compiled, data ? &context : NULL);
    json_decref(value);
    logic_free(compiled);
    return matches;
}

void kit_refused(const char *rule, const char *at, const char *words) {
    json_t *value = parse(rule);
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
    json_decref(value);
}
