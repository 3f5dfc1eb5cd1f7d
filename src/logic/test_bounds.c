/* SPDX-License-Identifier: Apache-2.0 */
/* The bounds of an evaluation, and that lists and objects come out of their pieces as they went in. */
#include "base/ticker.h"
#include "logic/test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* `count` times the same between brackets. */
static void add_list(struct str *out, size_t count, const char *item) {
    str_add_char(out, '[');
    for (size_t i = 0; i < count; i++)
        str_printf(out, "%s%s", i ? "," : "", item);
    str_add_char(out, ']');
}

static void add_text(struct str *out, size_t len) {
    str_add_char(out, '"');
    for (size_t i = 0; i < len; i++)
        str_add_char(out, 'x');
    str_add_char(out, '"');
}

/* A rule over {"l": <a list>, "t": <a text>}. */
static void expect(const char *rule, size_t items, const char *item, size_t text, const char *want) {
    _cleanup_(str_deinit) struct str data = STR_INIT;
    str_add_text(&data, "{\"l\":");
    add_list(&data, items, item);
    str_add_text(&data, ",\"t\":");
    add_text(&data, text);
    str_add_text(&data, "}");
    _cleanup_(freep) char *result = kit_result(rule, data.data);
    if (strcmp(result, want) != 0) fail_msg("%s over %zu and %zu: %.60s, not %s", rule, items, text, result, want);
}

/* ---- steps ---- */

static void test_steps(void **state) {
    expect("{\"all\":[{\"var\":\"l\"},{\"var\":\"\"}]}", LOGIC_STEPS_MAX / 2, "1", 0, "true");
    expect("{\"all\":[{\"var\":\"l\"},{\"var\":\"\"}]}", LOGIC_STEPS_MAX / 2 + 1, "1", 0, "outcome 2");
    expect("{\"in\":[2,{\"var\":\"l\"}]}", LOGIC_STEPS_MAX, "1", 0, "false");
    expect("{\"in\":[2,{\"var\":\"l\"}]}", LOGIC_STEPS_MAX + 1, "1", 0, "outcome 2");
    expect("{\"or\":[1,{\"in\":[2,{\"var\":\"l\"}]}]}", LOGIC_STEPS_MAX + 1, "1", 0, "1");
    /* what fails inside cannot be turned into a result */
    expect("{\"if\":[{\"in\":[2,{\"var\":\"l\"}]},1,2]}", LOGIC_STEPS_MAX + 1, "1", 0, "outcome 2");
    expect("{\"some\":[{\"var\":\"l\"},{\"some\":[[1,2,3,4,5,6,7,8,9],{\"==\":[{\"var\":\"\"},\"no\"]}]}]}", 2000, "1",
           0, "false");
    expect("{\"some\":[{\"var\":\"l\"},{\"some\":[[1,2,3,4,5,6,7,8,9],{\"==\":[{\"var\":\"\"},\"no\"]}]}]}", 4000, "1",
           0, "outcome 2");
    expect("{\"reduce\":[{\"var\":\"l\"},{\"+\":[{\"var\":\"current\"},{\"var\":\"accumulator\"}]},0]}", 20000, "1", 0,
           "20000");
    expect("{\"reduce\":[{\"var\":\"l\"},{\"+\":[{\"var\":\"current\"},{\"var\":\"accumulator\"}]},0]}", 30000, "1", 0,
           "outcome 2");
}

/* Who asks for many rules bounds them all together. */
static void test_steps_add_up(void **state) {
    uint64_t steps = 7;
    struct logic_context context = {.steps = &steps};
    struct logic_rule *rule = kit_compile("{\"in\":[2,{\"var\":\"l\"}]}");
    const char *const data = "{\"l\":[1,1,1,1,1,1,1,1,1,1]}";
    for (int i = 0; i < 3; i++)
        free(kit_evaluate(rule, data, &context, NULL));
    assert_int_equal(steps, 7 + 3 * 10);
    logic_free(rule);
}

/* Work on long texts counts wherever a loop could repeat it. */
static void test_long_texts_cost(void **state) {
    static const char *const bodies[] = {
        "{\"==\":[{\"var\":\"\"},{\"cat\":[{\"var\":\"\"},\"\"]}]}",
        "{\"in\":[\"y\",{\"var\":\"\"}]}",
        "{\"substr\":[{\"var\":\"\"},-1]}",
        "{\"<\":[{\"var\":\"\"},\"xxxy\"]}",
        "{\"===\":[{\"var\":\"\"},1]}",
        "{\"fractional\":[{\"var\":\"\"},[\"a\"]]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        _cleanup_(str_deinit) struct str rule = STR_INIT, item = STR_INIT;
        str_printf(&rule, "{\"none\":[{\"var\":\"l\"},{\"and\":[%s,false]}]}", bodies[i]);
        add_text(&item, 10000);
        bool costs = i != 4; /* of two kinds: nothing is compared */
        expect(rule.data, 3000, item.data, 0, costs ? "outcome 2" : "true");
        expect(rule.data, 20, item.data, 0, "true");
    }
}

static void test_wide_objects_cost(void **state) {
    _cleanup_(str_deinit) struct str item = STR_INIT;
    str_add_char(&item, '{');
    for (int i = 0; i < 1000; i++)
        str_printf(&item, "%s\"m%d\":1", i ? "," : "", i);
    str_add_char(&item, '}');
    expect("{\"none\":[{\"var\":\"l\"},{\"var\":\"x\"}]}", 500, item.data, 0, "true");
    expect("{\"none\":[{\"var\":\"l\"},{\"var\":\"x\"}]}", 1000, item.data, 0, "outcome 2");
}

/* ---- room ---- */

static void test_room_for_texts(void **state) {
    expect("{\"substr\":[{\"cat\":[{\"var\":\"t\"},\"y\"]},-1]}", 0, "", LOGIC_SCRATCH_SIZE - 1, "\"y\"");
    expect("{\"substr\":[{\"cat\":[{\"var\":\"t\"},\"y\"]},-1]}", 0, "", LOGIC_SCRATCH_SIZE, "outcome 1");
    expect("{\"in\":[{\"var\":\"l\"},\"text\"]}", 10000, "1", 0, "outcome 1");
    expect("{\"<\":[{\"var\":\"l\"},\"2\"]}", 10000, "1", 0, "outcome 1");
    expect("{\"==\":[{\"var\":\"l\"},\"2\"]}", 1000, "1", 0, "false");
    expect("{\"!\":{\"cat\":[{\"var\":\"t\"},{\"var\":\"t\"}]}}", 0, "", LOGIC_SCRATCH_SIZE, "outcome 1");
    /* what is compared leaves nothing behind: many times over the scratch in all */
    expect("{\"!!\":{\"map\":[{\"var\":\"l\"},{\"<\":[{\"var\":\"\"},\"3\"]}]}}", 900, "[\"22222222222222222222\"]", 0,
           "true");
    expect("{\"all\":[{\"var\":\"l\"},{\"<\":[[{\"var\":\"\"},1],\"3\"]}]}", 5000, "\"2222222222\"", 0, "true");
}

static void test_room_for_lists(void **state) {
    size_t most = LOGIC_SCRATCH_SIZE / sizeof(struct logic_value) - 1;
    expect("{\"!!\":{\"map\":[{\"var\":\"l\"},1]}}", most, "1", 0, "true");
    expect("{\"!!\":{\"map\":[{\"var\":\"l\"},1]}}", most + 1, "1", 0, "outcome 1");
    expect("{\"!!\":{\"merge\":[{\"var\":\"l\"}]}}", most, "1", 0, "true");
    expect("{\"!!\":{\"merge\":[{\"var\":\"l\"}]}}", most + 1, "1", 0, "outcome 1");
    expect("{\"!!\":{\"filter\":[{\"var\":\"l\"},1]}}", most, "1", 0, "true");
    expect("{\"!!\":{\"filter\":[{\"var\":\"l\"},1]}}", most + 1, "1", 0, "outcome 1");
    expect("{\"filter\":[{\"var\":\"l\"},{\"==\":[{\"var\":\"\"},2]}]}", 10 * most, "1", 0, "[]");
    expect("{\"missing\":{\"var\":\"l\"}}", most + 1, "\"l\"", 0, "outcome 1");
    expect("{\"reduce\":[{\"var\":\"l\"},{\"var\":\"\"},0]}", most, "1", 0, "outcome 1");
}

static void test_whatever_the_scratch_held(void **state) {
    expect("{\"map\":[[1,2,3],{\"cat\":[{\"var\":\"\"},[1,[2]]]}]}", 0, "", 0, "[\"11,2\",\"21,2\",\"31,2\"]");
}

/* ---- rules at their bounds ---- */

static char *nested(const char *before, const char *inside, const char *after, int depth) {
    struct str text = STR_INIT;
    for (int i = 0; i < depth; i++)
        str_add_text(&text, before);
    str_add_text(&text, inside);
    for (int i = 0; i < depth; i++)
        str_add_text(&text, after);
    return str_take(&text);
}

static void test_deepest(void **state) {
    static const struct {
        const char *before, *inside, *after, *want;
    } rows[] = {
        {"{\"<\":[0,1,", "2", "]}", "false"}, {"{\"some\":[[1],", "{\"var\":\"\"}", "]}", "true"},
        {"{\"map\":[[1],", "1", "]}", NULL},  {"{\"reduce\":[[1],", "{\"var\":\"current\"}", ",2]}", "1"},
        {"{\"if\":[0,1,", "5", "]}", "5"},    {"{\"fractional\":[\"u\",[", "1", "]]}", "1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int depth = 1; depth < LOGIC_DEPTH_MAX; depth += 10) {
            if (2 * depth + 2 > JSON_DEPTH_MAX || (3 * depth + 2 > JSON_DEPTH_MAX && i == 5)) continue;
            _cleanup_(freep) char *rule = nested(rows[i].before, rows[i].inside, rows[i].after, depth),
                                  *result = kit_result(rule, "{}");
            if (depth > 1 && rows[i].want) assert_string_equal(result, rows[i].want);
        }
}

/* As many values waiting as there may be, and one more. */
static void test_waiting(void **state) {
    for (int over = 0; over < 2; over++) {
        _cleanup_(str_deinit) struct str rule = STR_INIT;
        str_add_text(&rule, "{\"cat\":");
        add_list(&rule, (size_t)(LOGIC_WAITING_MAX + over), "{\"var\":\"a\"}");
        str_add_text(&rule, "}");
        if (over) {
            kit_refused(rule.data, "/cat/250", "too many arguments");
            continue;
        }
        _cleanup_(freep) char *result = kit_result(rule.data, "{\"a\":1}");
        assert_int_equal(strlen(result), LOGIC_WAITING_MAX + 2);
    }
}

static void test_waiting_weights(void **state) {
    for (int over = 0; over < 2; over++) {
        _cleanup_(str_deinit) struct str rule = STR_INIT;
        str_add_text(&rule, "{\"fractional\":[{\"var\":\"a\"},[\"first\",{\"var\":\"w\"}]");
        for (int i = 2; i < LOGIC_WAITING_MAX + over; i++)
            str_add_text(&rule, ",[\"more\"]");
        str_add_text(&rule, "]}");
        if (over) {
            kit_refused(rule.data, "/fractional/250", "too many arguments");
            continue;
        }
        _cleanup_(freep) char *result = kit_result(rule.data, "{\"a\":\"ejOoVL\",\"w\":1}");
        assert_string_equal(result, "\"first\"");
    }
}

static void test_long_texts_are_refused(void **state) {
    for (int over = 0; over < 2; over++) {
        _cleanup_(str_deinit) struct str rule = STR_INIT;
        add_text(&rule, (size_t)(LOGIC_TEXT_MAX + over));
        if (over)
            kit_refused(rule.data, "", "at most 1048576 bytes");
        else
            assert_true(kit_matches(rule.data, NULL));
    }
}

/* ---- values from pieces ---- */

#define ROOM 4096

/* {"a": [1, [], {"b": "x"}], "c": {}} */
static bool build_all(struct logic_build *build, struct logic_value *ret) {
    struct logic_value inner, list;
    const struct slice none = {NULL, 0};
    uint32_t whole = build->open, items, members;
    items = build->open;
    if (!logic_build_add(build, none, logic_number(1))) return false;
    if (!logic_build_close(build, build->open, LOGIC_LIST, &inner) || !logic_build_add(build, none, inner))
        return false;
    members = build->open;
    if (!logic_build_add(build, SLICE_LIT("b"), logic_text(SLICE_LIT("x"))) ||
        !logic_build_close(build, members, LOGIC_OBJECT, &inner) || !logic_build_add(build, none, inner))
        return false;
    if (!logic_build_close(build, items, LOGIC_LIST, &list) || !logic_build_add(build, SLICE_LIT("a"), list))
        return false;
    if (!logic_build_close(build, build->open, LOGIC_OBJECT, &inner) || !logic_build_add(build, SLICE_LIT("c"), inner))
        return false;
    return logic_build_close(build, whole, LOGIC_OBJECT, ret);
}

static void test_pieces(void **state) {
    size_t refused = 0;
    for (size_t size = 0; size <= ROOM; size += 8) {
        void *memory = malloc(size ? size : 1);
        struct logic_build build;
        struct logic_value value;
        assert_non_null(memory);
        logic_build_init(&build, memory, size);
        if (build_all(&build, &value)) {
            _cleanup_(str_deinit) struct str text = STR_INIT;
            kit_write(&text, &value);
            assert_string_equal(text.data, "{\"a\":[1,[],{\"b\":\"x\"}],\"c\":{}}");
        } else
            refused++;
        free(memory);
    }
    assert_true(refused > 5 && refused < 60);
}

static void test_empty_pieces_differ(void **state) {
    _Alignas(16) char memory[256];
    struct logic_build build;
    struct logic_value lists[2], objects[2];
    logic_build_init(&build, memory, sizeof(memory));
    for (size_t i = 0; i < 2; i++) {
        assert_true(logic_build_close(&build, build.open, LOGIC_LIST, lists + i));
        assert_true(logic_build_close(&build, build.open, LOGIC_OBJECT, objects + i));
    }
    assert_ptr_not_equal(lists[0].items, lists[1].items);
    assert_ptr_not_equal(objects[0].members, objects[1].members);
}

static void test_get(void **state) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    _cleanup_(json_decrefp) json_t *json = kit_parse("{\"a\":[1,{\"b\":null}],\"\":5,\"0\":6}");
    struct logic_value value;
    assert_int_equal(logic_from_json(json, &arena, &value), 0);
    const struct logic_value *list = logic_get(&value, SLICE_LIT("a"));
    assert_int_equal(list->count, 2);
    assert_int_equal(logic_get(list, SLICE_LIT("1"))->type, LOGIC_OBJECT);
    static const char *const none[] = {"2", "00", "01", "", "-1", "+1", "1 ", "a", "9999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_null(logic_get(list, slice_of(none[i])));
    assert_true(logic_get(&value, SLICE_LIT(""))->number == 5);
    assert_true(logic_get(&value, SLICE_LIT("0"))->number == 6);
    assert_null(logic_get(&value, SLICE_LIT("b")));
    assert_null(logic_get(logic_get(&value, SLICE_LIT("")), SLICE_LIT("0")));
}

static void test_memory_ends(void **state) {
    _cleanup_(json_decrefp) json_t *json = kit_parse("{\"a\":[1,{\"b\":[]}],\"c\":{}}");
    for (size_t n = 1;; n++) {
        struct arena arena = ARENA_INIT;
        struct logic_value value;
        ticker_start(n);
        int r = logic_from_json(json, &arena, &value);
        bool failed = ticker_stop();
        arena_deinit(&arena);
        assert_int_equal(r, failed ? -ERR_NO_MEMORY : 0);
        if (!failed) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_steps_add_up),
        cmocka_unit_test(test_long_texts_cost),
        cmocka_unit_test(test_wide_objects_cost),
        cmocka_unit_test(test_room_for_texts),
        cmocka_unit_test(test_room_for_lists),
        cmocka_unit_test(test_whatever_the_scratch_held),
        cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_waiting_weights),
        cmocka_unit_test(test_long_texts_are_refused),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_empty_pieces_differ),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
