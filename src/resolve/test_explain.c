/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/ticker.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct test_entry served = {
    .agent = "support",
    .environment = "production",
    .version = 42,
    .previous = 41,
    .seq = 1207,
    .held = true,
    .kind = DEPLOYMENT_ROLLBACK,
    .reason = "refunds \"failed\"",
    .overrides = {{.name = "beta", .version = 43, .keys = {"u1", "u2"}},
                  {.name = "empty", .version = 43, .keys = {NULL}},
                  {.name = "staff", .version = 41, .keys = {"u2", "u3"}}},
};

static struct resolve_question question_of(const char *key) {
    return (struct resolve_question){SLICE_LIT("support"), SLICE_LIT("production"), slice_of(key)};
}

static struct decision decide(const struct snapshot *snapshot, const char *key) {
    struct resolve_question asked = question_of(key);
    struct decision decision;
    assert_int_equal(resolve(snapshot, &asked, &decision), 0);
    return decision;
}

/* The text of decision_explain(), and its member `explain` parsed. */
struct explained {
    struct str text;
    json_t *all;
    const json_t *explain;
};

static struct explained explain(const struct snapshot *snapshot, const char *key) {
    struct explained explained = {.text = STR_INIT};
    struct jw jw = JW_INIT(&explained.text);
    struct decision decision = decide(snapshot, key);
    struct resolve_question asked = question_of(key);
    decision_explain(&decision, &asked, &jw);
    assert_false(explained.text.failed);
    assert_int_equal(json_parse(explained.text.data, explained.text.len, JSON_DEPTH_MAX, &explained.all, NULL), 0);
    explained.explain = json_get(explained.all, "explain");
    assert_non_null(explained.explain);
    return explained;
}

static void explained_deinit(struct explained *explained) {
    json_decref(explained->all);
    str_deinit(&explained->text);
}

/* ---- the same decision ---- */

static void test_begins_as_the_decision(void **state) {
    static const char *const keys[] = {"", "u1", "u2", "u3", "u9"};
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct explained explained = explain(snapshot, keys[i]);
        struct decision decision = decide(snapshot, keys[i]);
        struct str plain = STR_INIT;
        decision_write(&decision, &plain);
        assert_memory_equal(explained.text.data, plain.data, plain.len - 1);
        assert_memory_equal(explained.text.data + plain.len - 1, ",\"explain\":{", 12);
        str_deinit(&plain);
        explained_deinit(&explained);
    }
    snapshot_unref(snapshot);
}

/* ---- rules ---- */

static void test_rules(void **state) {
    static const struct {
        const char *key;
        size_t count; /* rules looked at */
        const char *matched;
    } cases[] = {{"u1", 1, "beta"}, {"u2", 1, "beta"}, {"u3", 3, "staff"}, {"u9", 4, NULL}, {"", 4, NULL}};
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct explained explained = explain(snapshot, cases[i].key);
        const json_t *rules = json_get(explained.explain, "rules"), *rule;
        size_t n;
        assert_int_equal(json_array_size(rules), cases[i].count);
        json_array_foreach(rules, n, rule) {
            bool last = n + 1 == cases[i].count;
            assert_int_equal(json_is_true(json_get(rule, "matched")), last);
            assert_string_equal(json_get_text(rule, "rule"), n < 3 ? "override" : "ref");
        }
        const json_t *last = json_array_get(rules, cases[i].count - 1);
        if (cases[i].matched)
            assert_string_equal(json_get_text(last, "name"), cases[i].matched);
        else
            assert_int_equal(json_integer_value(json_get(last, "version")), 42);
        explained_deinit(&explained);
    }
    snapshot_unref(snapshot);
}

static void test_rule_inputs(void **state) {
    static const struct {
        const char *name;
        int keys, version;
    } overrides[] = {{"beta", 2, 43}, {"empty", 0, 43}, {"staff", 2, 41}};
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    struct explained explained = explain(snapshot, "u9");
    const json_t *rules = json_get(explained.explain, "rules");
    for (size_t i = 0; i < ARRAY_LEN(overrides); i++) {
        const json_t *rule = json_array_get(rules, i);
        assert_string_equal(json_get_text(rule, "name"), overrides[i].name);
        assert_int_equal(json_integer_value(json_get(rule, "keys")), overrides[i].keys);
        assert_int_equal(json_integer_value(json_get(rule, "version")), overrides[i].version);
        assert_true(json_is_false(json_get(rule, "matched")));
    }
    explained_deinit(&explained);
    snapshot_unref(snapshot);
}

/* ---- the rest ---- */

static void test_deployment(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    struct explained explained = explain(snapshot, "u9");
    const json_t *deployment = json_get(explained.explain, "deployment");
    assert_string_equal(json_get_text(deployment, "id"), "move-1207");
    assert_int_equal(json_integer_value(json_get(deployment, "version")), 42);
    assert_int_equal(json_integer_value(json_get(deployment, "previous")), 41);
    assert_string_equal(json_get_text(deployment, "kind"), "rollback");
    assert_string_equal(json_get_text(deployment, "reason"), "refunds \"failed\"");
    assert_string_equal(json_get_text(deployment, "by"), "key-1");
    assert_int_equal(json_integer_value(json_get(deployment, "seq")), 1207);
    assert_int_equal(strlen(json_get_text(deployment, "at")), 27);
    assert_int_equal(json_object_size(deployment), 8);
    explained_deinit(&explained);
    snapshot_unref(snapshot);
}

static void test_first_deployment(void **state) {
    struct test_entry first = served;
    first.previous = 0;
    first.held = false;
    struct snapshot *snapshot = test_snapshot_of(&first, 1);
    struct explained explained = explain(snapshot, "u9");
    assert_null(json_get(json_get(explained.explain, "deployment"), "previous"));
    assert_true(json_is_false(json_get(explained.explain, "held")));
    explained_deinit(&explained);
    snapshot_unref(snapshot);
}

static void test_bucket_and_salt(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    struct explained with = explain(snapshot, "u9"), without = explain(snapshot, "");
    assert_string_equal(json_get_text(with.explain, "salt"), "support/production");
    assert_int_equal(json_integer_value(json_get(with.explain, "bucket")),
                     resolve_bucket(SLICE_LIT("support/production"), SLICE_LIT("u9")));
    assert_true(json_is_true(json_get(with.explain, "held")));
    assert_string_equal(json_get_text(without.explain, "salt"), "support/production");
    assert_null(json_get(without.explain, "bucket"));
    assert_null(json_get(without.all, "unit"));
    explained_deinit(&with);
    explained_deinit(&without);
    snapshot_unref(snapshot);
}

/* It can stand in an answer of several. */
static void test_inside_an_array(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    struct decision decision = decide(snapshot, "u1");
    struct resolve_question asked = question_of("u1");
    struct str out = STR_INIT;
    struct jw jw = JW_INIT(&out);
    _cleanup_(json_decrefp) json_t *all = NULL;
    jw_object(&jw, NULL);
    jw_array(&jw, "decisions");
    decision_explain(&decision, &asked, &jw);
    decision_explain(&decision, &asked, &jw);
    jw_end_array(&jw);
    jw_int(&jw, "count", 2);
    jw_end_object(&jw);
    assert_int_equal(json_parse(out.data, out.len, JSON_DEPTH_MAX, &all, NULL), 0);
    const json_t *decisions = json_get(all, "decisions");
    assert_int_equal(json_array_size(decisions), 2);
    assert_true(json_equal(json_array_get(decisions, 0), json_array_get(decisions, 1)));
    str_deinit(&out);
    snapshot_unref(snapshot);
}

/* Whichever allocation fails, the writer knows that its text is not whole. */
static void test_memory_ends(void **state) {
    struct snapshot *snapshot = test_snapshot_of(&served, 1);
    struct decision decision = decide(snapshot, "u3");
    struct resolve_question asked = question_of("u3");
    for (size_t n = 1;; n++) {
        struct str out = STR_INIT;
        struct jw jw = JW_INIT(&out);
        ticker_start(n);
        decision_explain(&decision, &asked, &jw);
        bool failed = ticker_stop();
        assert_int_equal(out.failed, failed);
        str_deinit(&out);
        if (!failed) break;
    }
    snapshot_unref(snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_as_the_decision),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rule_inputs),
        cmocka_unit_test(test_deployment),
        cmocka_unit_test(test_first_deployment),
        cmocka_unit_test(test_bucket_and_salt),
        cmocka_unit_test(test_inside_an_array),
        cmocka_unit_test(test_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
