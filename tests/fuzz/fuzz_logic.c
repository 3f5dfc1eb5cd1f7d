/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule of the targeting language, in the bytes up to a NUL; behind it the context, up to another, and the evaluators. What is refused has a fault with a place.
 * What is taken answers the same twice, in the bounds, without looking at what the scratch held before; its opposite answers the opposite; and what its
 * reads leave out makes no difference.
 */
#include "fuzz_parts.h"
#include "logic/logic.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 64

static void write_value(struct str *out, const struct logic_value *value, unsigned depth) {
    FUZZ_MUST(value->type <= LOGIC_OBJECT && depth < 4 * DEPTH_MAX);
    str_printf(out, "%d:%u:", value->type, value->count);
    if (value->type == LOGIC_BOOL) str_add_int(out, value->truth);
    if (value->type == LOGIC_NUMBER) str_printf(out, "%a", isnan(value->number) ? NAN : value->number);
    if (value->type == LOGIC_TEXT) str_add(out, value->text, value->count);
    for (uint32_t i = 0; i < value->count && out->len < 1000000; i++) {
        if (value->type == LOGIC_LIST) write_value(out, value->items + i, depth + 1);
        if (value->type != LOGIC_OBJECT) continue;
        str_add_slice(out, value->members[i].name);
        write_value(out, &value->members[i].value, depth + 1);
    }
}

/* The outcome and the whole result as text. */
static char *answer(const struct logic_rule *rule, const struct logic_context *context, int fill) {
    struct logic_scratch scratch;
    struct logic_value result;
    struct logic_trace trace;
    struct str text = STR_INIT;
    memset(&scratch, fill, sizeof(scratch));
    int r = logic_evaluate(rule, context, &scratch, fill ? &trace : NULL, &result);
    FUZZ_MUST(r == 0 || r == LOGIC_NO_ROOM || r == LOGIC_NO_STEPS);
    str_add_int(&text, r);
    str_add_char(&text, ' ');
    if (r == 0) write_value(&text, &result, 0);
    return str_take(&text);
}

static void check_same(const struct logic_rule *rule, const struct logic_context *a, const struct logic_context *b) {
    char *first = answer(rule, a, 0), *second = answer(rule, b, 0xa5);
    FUZZ_MUST(first && second && strcmp(first, second) == 0);
    free(first);
    free(second);
}

static bool is_read(const struct logic_reads *reads, struct slice name) {
    for (uint32_t i = 0; i < reads->name_count; i++)
        if (slice_equal(reads->names[i], name)) return true;
    return false;
}

/* Without the members that are not read, and another time or flag where that is not. */
static void check_reads(const struct logic_rule *rule, const struct logic_context *context) {
    const struct logic_reads *reads = logic_reads(rule);
    struct logic_context other = *context;
    struct logic_member *members = malloc((context->data.count + 1) * sizeof(*members));
    FUZZ_MUST(members);
    if (context->data.type == LOGIC_OBJECT && !reads->whole) {
        other.data.count = 0;
        other.data.members = members;
        for (uint32_t i = 0; i < context->data.count; i++)
            if (is_read(reads, context->data.members[i].name)) members[other.data.count++] = context->data.members[i];
    }
    if (!reads->time) other.timestamp++;
    if (!reads->flag) other.flag_key = SLICE_LIT("another");
    check_same(rule, context, &other);
    free(members);
}

static void check_opposite(json_t *rule, const json_t *evaluators, const struct logic_rule *compiled,
                           const struct logic_context *context) {
    json_t *opposite = json_pack("{s:[O]}", "!", rule);
    const struct logic_source source = {.rule = opposite, .at = "", .evaluators = evaluators, .flagd = true};
    struct faults faults = FAULTS_INIT;
    struct logic_rule *other = NULL;
    struct logic_scratch scratch;
    struct logic_value result;
    if (opposite && logic_compile_source(&source, &other, &faults, NULL) == 0 &&
        logic_evaluate(compiled, context, &scratch, NULL, &result) == 0)
        FUZZ_MUST(logic_matches(other, context) != logic_matches(compiled, context));
    logic_free(other);
    faults_deinit(&faults);
    json_decref(opposite);
}

static void check(json_t *rule, const json_t *data, const json_t *evaluators) {
    const struct logic_source source = {.rule = rule, .at = "/rule", .evaluators = evaluators, .flagd = true};
    struct logic_context context = {.flag_key = SLICE_LIT("flag"), .timestamp = 1795442400};
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct logic_rule *compiled = NULL;
    struct err err = ERR_INIT;
    FUZZ_MUST(logic_from_json(data, &arena, &context.data) == 0);
    if (logic_compile_source(&source, &compiled, &faults, &err) == 0) {
        check_same(compiled, &context, &context);
        check_reads(compiled, &context);
        check_opposite(rule, evaluators, compiled, &context);
        (void)logic_matches(compiled, NULL);
    } else {
        FUZZ_MUST(faults.errors > 0 && err.message[0]);
        FUZZ_MUST(faults.count == 0 || strncmp(faults.items[0].at, "/rule", 5) == 0);
    }
    logic_free(compiled);
    faults_deinit(&faults);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = {(const char *)data, size};
    json_t *rule = fuzz_json(fuzz_part(&rest)), *context = fuzz_json(fuzz_part(&rest)), *evaluators = fuzz_json(rest);
    struct faults faults = FAULTS_INIT;
    if (rule) check(rule, context, json_is_object(evaluators) ? evaluators : NULL);
    if (json_is_object(evaluators)) (void)!logic_check_evaluators(evaluators, "", &faults, NULL);
    faults_deinit(&faults);
    json_decref(rule);
    json_decref(context);
    json_decref(evaluators);
    return 0;
}
