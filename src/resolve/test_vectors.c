/* SPDX-License-Identifier: Apache-2.0 */
/* The published cases of rollouts, sessions and panics (the folder is the first argument): entries as readers of the snapshot have them. */
#include "base/clock.h"
#include "base/json.h"
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *folder;

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_get_text(object, name);
    return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *name) {
    return json_integer_value(json_get(object, name));
}

/* ---- an entry from its published form ---- */

struct built {
    struct test_entry entry;
    struct rollout rollout;
    struct panic panic;
    struct snapshot_era_spec eras[SESSION_ERAS_MAX];
    struct str audiences[SESSION_ERAS_MAX + 1 + TEST_OVERRIDES_MAX];
    size_t audience_count;
};

static const char *audience_of(struct built *built, const json_t *rule) {
    const json_t *audience = json_get(rule, "audience");
    if (!audience) return NULL;
    struct str *text = built->audiences + built->audience_count++;
    assert_int_equal(json_canonical(audience, text, NULL), 0);
    return text->data;
}

static void build_overrides(struct built *built, const json_t *list) {
    const json_t *one, *key;
    size_t i, k;
    json_array_foreach(list, i, one) {
        struct test_override *override = built->entry.overrides + i;
        *override = (struct test_override){
            .name = text_of(one, "name"), .version = number_of(one, "version"), .audience = audience_of(built, one)};
        json_array_foreach(json_get(one, "keys"), k, key) override->keys[k] = json_string_value(key);
    }
}

static void build_rollout(struct built *built, const json_t *rollout) {
    if (!rollout) return;
    built->rollout = (struct rollout){
        .id = text_of(rollout, "id"),
        .candidate = number_of(rollout, "candidate"),
        .salt = text_of(rollout, "salt"),
        .audience = audience_of(built, rollout),
        .share = (int32_t)number_of(rollout, "share"),
        .seq = 8,
    };
    assert_true(rollout_state_from_text(text_of(rollout, "state"), &built->rollout.state));
    built->entry.rollout = &built->rollout;
}

static bool is_released(const json_t *era, const char *name) {
    const json_t *one;
    size_t i;
    json_array_foreach(json_get(era, "released"), i, one) if (json_equal(one, json_get(era, name))) return true;
    return false;
}

static void build_sessions(struct built *built, const json_t *sessions) {
    const json_t *one;
    size_t i;
    assert_true(session_policy_from_text(text_of(sessions, "policy"), &built->entry.sessions));
    json_array_foreach(json_get(sessions, "eras"), i, one) {
        built->eras[i] = (struct snapshot_era_spec){
            .era = {.from = number_of(one, "from"),
                    .version = number_of(one, "version"),
                    .candidate = number_of(one, "candidate"),
                    .share = (int32_t)number_of(one, "share"),
                    .salt = text_of(one, "salt"),
                    .audience = audience_of(built, one)},
            .version_released = is_released(one, "version"),
            .candidate_released = json_get(one, "candidate") && is_released(one, "candidate"),
        };
    }
    built->entry.eras = built->eras;
    built->entry.era_count = i;
}

static void build_panic(struct built *built, const json_t *panic) {
    if (!panic) return;
    bool whole = json_is_true(json_get(panic, "whole_environment"));
    built->panic = (struct panic){
        .agent = whole ? "" : built->entry.agent,
        .version = json_is_true(json_get(panic, "disabled")) ? PANIC_DISABLED : number_of(panic, "version"),
        .reason = text_of(panic, "reason"),
        .created_by = text_of(panic, "by"),
        .seq = 9,
    };
    built->entry.panic = &built->panic;
}

static void build(struct built *built, const json_t *entry) {
    *built = (struct built){.entry = {.agent = text_of(entry, "agent"),
                                      .environment = text_of(entry, "environment"),
                                      .version = number_of(entry, "version"),
                                      .seq = 7}};
    build_overrides(built, json_get(entry, "overrides"));
    build_rollout(built, json_get(entry, "rollout"));
    build_sessions(built, json_get(entry, "sessions"));
    build_panic(built, json_get(entry, "panic"));
}

/* ---- a question from its context ---- */

static void check(const struct snapshot *snapshot, const struct built *built, const json_t *ask, const char *name) {
    const json_t *context = json_get(ask, "context"), *want = json_get(ask, "decision"), *member;
    const char *began = json_get_text(json_get(context, "session"), "started_at"), *key;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct logic_context attributes = {0};
    assert_int_equal(logic_from_json(context, &arena, &attributes.data), 0);
    struct resolve_question question = {.agent = slice_of(built->entry.agent),
                                        .environment = slice_of(built->entry.environment),
                                        .targeting_key = slice_of(json_get_text(context, "targetingKey")),
                                        .attributes = &attributes};
    struct decision decision;
    struct str text = STR_INIT;
    json_t *got;
    if (began && !clock_from_text(began, &question.session_started_at)) question.session_started_at = 0;
    assert_int_equal(resolve(snapshot, &question, &decision), 0);
    decision_write(&decision, &text);
    assert_int_equal(json_parse(text.data, text.len, JSON_DEPTH_MAX, &got, NULL), 0);
    json_object_foreach((json_t *)(uintptr_t)want, key, member) if (!json_equal(json_get(got, key), member))
        fail_msg("%s: %s of %s", name, key, text.data);
    /* besides what every decision has */
    size_t others = json_get(got, "disabled") ? 4 : 6;
    if (json_object_size(got) != json_object_size(want) + others) fail_msg("%s: more than said: %s", name, text.data);
    assert_int_equal(decision.candidate, strcmp(text_of(want, "arm"), "candidate") == 0);
    assert_string_equal(resolve_reason_name(decision.reason), text_of(want, "reason"));
    json_decref(got);
    str_deinit(&text);
}

static void test_vectors(void **state) {
    char path[4096];
    json_error_t error;
    static struct built built;
    snprintf(path, sizeof(path), "%s/rollouts.json", folder);
    json_t *all = json_load_file(path, 0, &error), *one, *ask;
    size_t i, a, asked = 0;
    if (!all) fail_msg("%s: %s", path, error.text);
    json_array_foreach(json_get(all, "cases"), i, one) {
        build(&built, json_get(one, "entry"));
        struct snapshot *snapshot = test_snapshot_of(&built.entry, 1);
        json_array_foreach(json_get(one, "asks"), a, ask) check(snapshot, &built, ask, text_of(one, "name"));
        asked += a;
        snapshot_unref(snapshot);
        for (size_t n = 0; n < built.audience_count; n++)
            str_deinit(built.audiences + n);
    }
    assert_true(asked >= 200);
    json_decref(all);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
