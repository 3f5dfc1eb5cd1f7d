/* SPDX-License-Identifier: Apache-2.0 */
/* The quick way for plain splits, held to the rule itself, which is taken when somebody wants a trace. */
#include "flags/test_kit.h"

#include <stdio.h>

static uint64_t dice = 20261128;

static unsigned roll(unsigned sides) {
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(dice >> 33) % sides;
}

static void compare(const struct flag *flag, const char *key) {
    struct logic_member member = {SLICE_LIT("targetingKey"), logic_text(slice_of(key))};
    struct logic_context context = {.data = {.type = LOGIC_OBJECT, .count = key != NULL, .members = &member}};
    struct logic_scratch scratch;
    struct logic_trace trace;
    struct flag_result quick, slow;
    flag_evaluate(flag, &context, &scratch, NULL, NULL, &quick);
    flag_evaluate(flag, &context, &scratch, &trace, NULL, &slow);
    if (memcmp(&quick, &slow, sizeof(quick)) != 0)
        fail_msg("%.*s %s: %d and %d", (int)flag->definition.len, flag->definition.ptr, key ? key : "-", quick.variant,
                 slow.variant);
}

static struct flag *random_split(void) {
    struct str text = STR_INIT;
    static const char *const names[] = {"on", "off", "c"};
    str_printf(&text, "{'state':'ENABLED','variants':{'on':1,'off':2,'c':3},%s'targeting':{'fractional':[",
               roll(2) ? "'defaultVariant':'off'," : "");
    unsigned count = 1 + roll(5);
    for (unsigned i = 0; i < count; i++) {
        str_printf(&text, "%s['%s'", i ? "," : "", names[roll(3)]);
        if (roll(4)) str_printf(&text, ",%d", roll(6) ? (int)roll(1000) - 100 : 500000000 - (int)roll(9));
        str_add_char(&text, ']');
    }
    str_add_text(&text, "]}}");
    struct flag *flag = flag_of(text.data);
    str_deinit(&text);
    return flag;
}

static void test_as_the_rule(void **state) {
    unsigned splits = 0;
    for (int round = 0; round < 2000; round++) {
        struct flag *flag = random_split();
        splits += flag->split != NULL;
        compare(flag, NULL);
        compare(flag, "");
        for (int i = 0; i < 50; i++) {
            char key[32];
            snprintf(key, sizeof(key), "%.*s-%u", (int)roll(5), "user", roll(1000000));
            compare(flag, key);
        }
        flag_unref(flag);
    }
    assert_true(splits > 1500);
}

static void test_what_is_no_plain_split(void **state) {
    static const char *const rules[] = {"{'fractional':[{'var':'email'},['on',1],['off',1]]}",
                                        "{'fractional':[['on',{'var':'w'}],['off',1]]}",
                                        "{'if':[{'fractional':[['on',1],['off',1]]},'on','off']}",
                                        "{'fractional':[['blue',1],['off',1]]}",
                                        "{'fractional':[['on',0],['off',0]]}",
                                        "{'fractional':[[{'var':'v'},1],['off',1]]}"};
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        char text[300];
        snprintf(text, sizeof(text), "{" ON_OFF ",'targeting':%s}", rules[i]);
        struct flag *flag = flag_of(text);
        assert_null(flag->split);
        compare(flag, "u1");
        compare(flag, NULL);
        flag_unref(flag);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_the_rule),
                                       cmocka_unit_test(test_what_is_no_plain_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
