/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve/resolve.h"
#include "snapshot/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct resolve_question question(const char *agent, const char *environment, const char *key) {
    return (struct resolve_question){slice_of(agent), slice_of(environment), slice_of(key)};
}

static const struct test_entry entries[] = {
    {.agent = "support",
     .environment = "production",
     .version = 42,
     .previous = 41,
     .seq = 1207,
     .overrides = {{.name = "beta", .version = 43, .keys = {"u1", "u2"}},
                   {.name = "staff", .version = 41, .keys = {"u2", "u3"}}}},
    {.agent = "support", .environment = "staging", .version = 43, .seq = 1207},
    {.agent = "billing", .environment = "production", .version = 1, .seq = 1207},
};

/* ---- which version ---- */

static void test_resolve_choice(void **state) {
    static const struct {
        const char *agent, *environment, *key;
        int64_t version;
        enum resolve_reason reason;
        const char *override;
    } cases[] = {
        {"support", "production", "u9", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "u1", 43, RESOLVE_OVERRIDE, "beta"},
        {"support", "production", "u2", 43, RESOLVE_OVERRIDE, "beta"},
        {"support", "production", "u3", 41, RESOLVE_OVERRIDE, "staff"},
        {"support", "production", "u", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "u11", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "U1", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "production", "", 42, RESOLVE_DEPLOYED, NULL},
        {"support", "staging", "u1", 43, RESOLVE_DEPLOYED, NULL},
        {"billing", "production", "u1", 1, RESOLVE_DEPLOYED, NULL},
    };
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct resolve_question asked = question(cases[i].agent, cases[i].environment, cases[i].key);
        struct decision decision;
        assert_int_equal(resolve(snapshot, &asked, &decision), 0);
        assert_ptr_equal(decision.entry, snapshot_find(snapshot, asked.environment, asked.agent));
        assert_int_equal(decision.version->number, cases[i].version);
        assert_int_equal(decision.reason, cases[i].reason);
        assert_int_equal(decision.override != NULL, cases[i].override != NULL);
        struct slice name = decision.override ? decision.override->name : (struct slice){NULL, 0};
        assert_true(slice_equal_text(name, cases[i].override));
        assert_true(slice_equal(decision.targeting_key, asked.targeting_key));
        assert_int_equal(decision.position.epoch, 1);
        assert_int_equal(decision.position.seq, 1207);
    }
    snapshot_unref(snapshot);
}

static void test_resolve_nothing(void **state) {
    static const struct {
        const char *agent, *environment;
        int outcome;
    } cases[] = {
        {"nobody", "production", RESOLVE_NO_AGENT},
        {"nobody", "nowhere", RESOLVE_NO_AGENT},
        {"", "production", RESOLVE_NO_AGENT},
        {"support", "nowhere", RESOLVE_NO_ENVIRONMENT},
        {"support", "", RESOLVE_NO_ENVIRONMENT},
        {"billing", "staging", RESOLVE_NOT_DEPLOYED},
        {"production", "support", RESOLVE_NO_AGENT},
        {"support/production", "", RESOLVE_NO_AGENT},
        {"support", "production/", RESOLVE_NO_ENVIRONMENT},
    };
    struct snapshot *snapshot = test_snapshot_of(entries, ARRAY_LEN(entries));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct resolve_question asked = question(cases[i].agent, cases[i].environment, "u1");
        struct decision decision;
        assert_int_equal(resolve(snapshot, &asked, &decision), cases[i].outcome);
    }
    snapshot_unref(snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve_choice),
        cmocka_unit_test(test_resolve_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
