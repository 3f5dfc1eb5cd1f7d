/* SPDX-License-Identifier: Apache-2.0 */
/* Whole flags of spec/vectors/flags.json, which other implementations read too. argv[1]: the folder. */
#include "base/file.h"
#include "flags/test_kit.h"

#include <stdio.h>

static const char *folder;
static json_t *all;

static int load(void **state) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    char path[1024];
    snprintf(path, sizeof(path), "%s/flags.json", folder);
    if (file_read(path, 4 * 1024 * 1024, &text, NULL, NULL) < 0) return -1;
    return json_parse(text.data, text.len, JSON_DEPTH_MAX, &all, NULL);
}

static int unload(void **state) {
    json_decref(all);
    return 0;
}

static struct flag *flag_in(const json_t *one) {
    const struct flag_source source = {.key = "web_search",
                                       .definition = json_get(one, "definition"),
                                       .at = "",
                                       .bindings_at = "",
                                       .evaluators = json_get(all, "evaluators")};
    _cleanup_(freep) char *text = json_dumps(one, 0);
    struct faults faults = FAULTS_INIT;
    struct flag *flag = NULL;
    if (flag_new(&source, &flag, &faults, NULL) < 0)
        fail_msg("%s: %s", text, faults.count ? faults.items[0].message : "");
    faults_deinit(&faults);
    return flag;
}

/* The same members as the case, without what it asks. */
static json_t *answer(const struct flag *flag, const struct flag_result *result) {
    json_t *got = json_pack("{s:s}", "reason", flag_reason_name(result->reason)), *value = NULL;
    if (result->error) json_object_set_new(got, "error", json_string(flag_error_name(result->error)));
    if (result->variant == FLAG_NO_VARIANT) return got;
    const struct flag_variant *variant = &flag->variants[result->variant];
    assert_int_equal(json_parse(variant->value.ptr, variant->value.len, JSON_DEPTH_MAX, &value, NULL), 0);
    json_object_set_new(got, "variant", json_stringn(variant->name.ptr, variant->name.len));
    json_object_set_new(got, "value", value);
    return got;
}

static void check(const json_t *one) {
    struct flag *flag = flag_in(one);
    struct logic_scratch scratch;
    struct arena arena = ARENA_INIT;
    struct logic_context context = {.timestamp = 1790000000};
    struct flag_result result, quick;
    assert_int_equal(logic_from_json(json_get(one, "context"), &arena, &context.data), 0);
    flag_evaluate(flag, &context, &scratch, NULL, NULL, &result);
    struct slice key = flag_context_key(&context);
    if (flag->split && flag->enabled && key.len) {
        flag_evaluate_split(flag->split, key, &quick);
        assert_int_equal(quick.variant, result.variant);
    }
    _cleanup_(json_decrefp) json_t *got = answer(flag, &result), *want = json_copy((json_t *)one);
    json_object_del(want, "definition");
    json_object_del(want, "context");
    _cleanup_(freep) char *text = json_dumps(one, 0), *is = json_dumps(got, 0);
    if (!json_equal(got, want)) fail_msg("%s\n is %s", text, is);
    arena_deinit(&arena);
    flag_unref(flag);
}

static void test_flags(void **state) {
    json_t *one;
    size_t i;
    json_array_foreach(json_get(all, "flags"), i, one) check(one);
    assert_true(i >= 40);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flags)};
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, load, unload);
}
