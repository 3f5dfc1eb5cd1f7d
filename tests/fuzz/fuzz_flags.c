/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flagd document, in the bytes up to a NUL; behind it the bindings, up to another, and a context. What is refused has a fault with a place. Each flag of what is taken can be
 * made, answers the same twice, as its quick way does, in words, and its definition makes the same flag again.
 */
#include "flags/flags.h"
#include "fuzz_parts.h"

#include <string.h>

static struct flag *make(const char *key, const json_t *definition, const struct flag_document *document) {
    const struct flag_source source = {.key = key,
                                       .definition = definition,
                                       .bindings = json_get(document->bindings, key),
                                       .at = "",
                                       .bindings_at = "",
                                       .evaluators = document->evaluators,
                                       .metadata = document->metadata};
    struct faults faults = FAULTS_INIT;
    struct flag *flag = NULL;
    FUZZ_MUST(flag_new(&source, &flag, &faults, NULL) == 0 && faults.errors == 0);
    faults_deinit(&faults);
    return flag;
}

static struct flag_result evaluate(const struct flag *flag, const struct logic_context *context, int fill) {
    struct logic_scratch scratch;
    struct logic_trace trace;
    struct flag_result result;
    char room[FLAG_RESULT_ROOM];
    memset(&scratch, fill, sizeof(scratch));
    flag_evaluate(flag, context, &scratch, fill ? &trace : NULL, fill ? room : NULL, &result);
    FUZZ_MUST(result.variant == FLAG_NO_VARIANT || (uint32_t)result.variant < flag->variant_count);
    FUZZ_MUST((result.error != FLAG_NO_ERROR) == (result.reason == FLAG_IS_ERROR));
    FUZZ_MUST(!fill || memchr(room, 0, sizeof(room)));
    return result;
}

static void check_answers(const struct flag *flag, const struct logic_context *context) {
    struct flag_result first = evaluate(flag, context, 0), second = evaluate(flag, context, 0xa5), quick;
    struct slice key = flag_context_key(context);
    FUZZ_MUST(first.variant == second.variant && first.reason == second.reason && first.error == second.error);
    if (!flag->split || !flag->enabled || !key.len) return;
    flag_evaluate_split(flag->split, key, &quick);
    FUZZ_MUST(quick.variant == first.variant && quick.reason == first.reason);
}

static void check_flag(const char *key, const json_t *definition, const struct flag_document *document,
                       const struct logic_context *context) {
    struct flag *flag = make(key, definition, document), *again;
    struct str words = STR_INIT;
    json_t *same = fuzz_json(flag->definition);
    flag_words(flag, &words);
    FUZZ_MUST(words.len > 0 && !memchr(words.data, 0, words.len));
    FUZZ_MUST(same);
    again = make(key, same, document);
    FUZZ_MUST(slice_equal(again->definition, flag->definition) && slice_equal(again->bound, flag->bound));
    check_answers(flag, context);
    flag_unref(again);
    flag_unref(flag);
    json_decref(same);
    str_deinit(&words);
}

static void check(const json_t *document, const json_t *bindings, const json_t *data) {
    struct logic_context context = {.timestamp = 1795442400};
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct flag_document parts;
    struct err err = ERR_INIT;
    const char *key;
    json_t *definition;
    FUZZ_MUST(logic_from_json(data, &arena, &context.data) == 0);
    if (flag_document_read(document, bindings, "/document", &parts, &faults, &err) == 0) {
        json_object_foreach((json_t *)parts.flags, key, definition) check_flag(key, definition, &parts, &context);
    } else {
        FUZZ_MUST(faults.errors > 0 && err.message[0]);
        FUZZ_MUST(!strncmp(faults.items[0].at, "/document", 9) || !strncmp(faults.items[0].at, "/bindings", 9));
    }
    faults_deinit(&faults);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = {(const char *)data, size};
    json_t *document = fuzz_json(fuzz_part(&rest)), *bindings = fuzz_json(fuzz_part(&rest)), *context = fuzz_json(rest);
    if (document) check(document, bindings, context);
    json_decref(document);
    json_decref(bindings);
    json_decref(context);
    return 0;
}
