/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule of the targeting language: the bytes up to a NUL are the rule, those behind it are the value of every attribute. What is refused has a fault with a
 * place; what is taken answers the same twice, and its opposite answers the opposite.
 */
#include "fuzz.h"
#include "logic/logic.h"

#include <string.h>

struct attributes {
    struct slice text;
    size_t finds;
};

static struct logic_value find(const void *ctx, struct slice path) {
    struct attributes *attributes = (struct attributes *)(uintptr_t)ctx;
    attributes->finds++;
    switch ((path.len + attributes->text.len) % 4) {
    case 0:
        return (struct logic_value){.type = LOGIC_NULL};
    case 1:
        return (struct logic_value){.type = LOGIC_BOOL, .truth = path.len % 2};
    case 2:
        return (struct logic_value){.type = LOGIC_NUMBER, .number = (double)path.len - 3.5};
    default:
        return (struct logic_value){.type = LOGIC_TEXT, .text = attributes->text};
    }
}

static bool answer(const struct logic_rule *rule, struct slice text) {
    struct attributes attributes = {.text = text};
    const struct logic_context context = {find, &attributes};
    bool matches = logic_matches(rule, &context);
    FUZZ_MUST(attributes.finds <= LOGIC_STEPS_MAX);
    return matches;
}

static void check_opposite(json_t *value, bool matches, struct slice text) {
    json_t *opposite = json_pack("{s:[O]}", "!", value);
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    if (opposite && logic_compile(opposite, "", &rule, &faults, NULL) == 0) FUZZ_MUST(answer(rule, text) == !matches);
    logic_free(rule);
    faults_deinit(&faults);
    json_decref(opposite);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t len = nul ? (size_t)(nul - data) : size;
    struct slice text = nul ? (struct slice){(const char *)nul + 1, size - len - 1} : SLICE_LIT("");
    json_t *value;
    if (json_parse((const char *)data, len, JSON_DEPTH_MAX, &value, NULL) < 0) return 0;
    struct faults faults = FAULTS_INIT;
    struct logic_rule *rule = NULL;
    struct err err = ERR_INIT;
    if (logic_compile(value, "/rule", &rule, &faults, &err) == 0) {
        bool matches = answer(rule, text);
        FUZZ_MUST(answer(rule, text) == matches);
        check_opposite(value, matches, text);
    } else {
        FUZZ_MUST(faults.errors > 0 && err.message[0]);
        FUZZ_MUST(faults.count == 0 || strncmp(faults.items[0].at, "/rule", 5) == 0);
    }
    logic_free(rule);
    faults_deinit(&faults);
    json_decref(value);
    return 0;
}
