/* SPDX-License-Identifier: Apache-2.0 */
#include "flags/test_kit.h"

struct asked {
    const char *definition, *context;
    enum flag_reason reason;
    enum flag_error error;
    const char *variant; /* NULL: no value */
};

static void check(const struct asked *asked) {
    struct flag *flag = flag_of(asked->definition);
    struct logic_scratch scratch;
    struct arena arena = ARENA_INIT;
    json_t *json = json_of(asked->context);
    struct logic_context context = {.timestamp = 1790000000};
    char room[FLAG_RESULT_ROOM] = "";
    struct flag_result result;
    assert_int_equal(logic_from_json(json, &arena, &context.data), 0);
    flag_evaluate(flag, &context, &scratch, NULL, room, &result);
    if (result.reason != asked->reason || result.error != asked->error)
        fail_msg("%s %s: %s %s", asked->definition, asked->context, flag_reason_name(result.reason),
                 flag_error_name(result.error));
    assert_int_equal(result.variant == FLAG_NO_VARIANT, asked->variant == NULL);
    if (asked->variant) assert_true(slice_equal_text(flag->variants[result.variant].name, asked->variant));
    json_decref(json);
    arena_deinit(&arena);
    flag_unref(flag);
}

#define NO_DEFAULT "'state':'ENABLED','variants':{'on':true,'off':false}"
#define NUMBERS "'state':'ENABLED','variants':{'1':1,'true':2,'1.5':3},'defaultVariant':'1'"

static const struct asked cases[] = {
    {"{'state':'DISABLED','variants':{'on':true},'defaultVariant':'on','targeting':{'var':'x'}}", "{'x':'on'}",
     FLAG_IS_DISABLED, 0, NULL},
    {"{" ON_OFF "}", "{}", FLAG_IS_STATIC, 0, "off"},
    {"{" ON_OFF ",'targeting':{}}", "{}", FLAG_IS_STATIC, 0, "off"},
    {"{" NO_DEFAULT "}", "{}", FLAG_IS_DEFAULT, 0, NULL},
    {"{" ON_OFF ",'targeting':{'if':[{'==':[{'var':'plan'},'pro']},'on',null]}}", "{'plan':'pro'}", FLAG_IS_TARGETED, 0,
     "on"},
    {"{" ON_OFF ",'targeting':{'if':[{'==':[{'var':'plan'},'pro']},'on',null]}}", "{'plan':'free'}", FLAG_IS_DEFAULT, 0,
     "off"},
    {"{" NO_DEFAULT ",'targeting':{'if':[{'==':[{'var':'plan'},'pro']},'on',null]}}", "{}", FLAG_IS_DEFAULT, 0, NULL},
    {"{" ON_OFF ",'targeting':{'if':[{'var':'x'},'off','on']}}", "{'x':0}", FLAG_IS_TARGETED, 0, "on"},
    {"{" ON_OFF ",'targeting':{'if':[true,'blue','on']}}", "{}", FLAG_IS_ERROR, FLAG_GENERAL, NULL},
    {"{" ON_OFF ",'targeting':{'var':'x'}}", "{'x':[1]}", FLAG_IS_ERROR, FLAG_GENERAL, NULL},
    {"{" NUMBERS ",'targeting':{'+':[{'var':'x'},1]}}", "{'x':0}", FLAG_IS_TARGETED, 0, "1"},
    {"{" NUMBERS ",'targeting':{'+':[{'var':'x'},1]}}", "{'x':0.5}", FLAG_IS_TARGETED, 0, "1.5"},
    {"{" NUMBERS ",'targeting':{'==':[1,1]}}", "{}", FLAG_IS_TARGETED, 0, "true"},
    {"{" ON_OFF ",'targeting':{'fractional':[['on',100],['off',0]]}}", "{'targetingKey':'u1'}", FLAG_IS_TARGETED, 0,
     "on"},
    {"{" ON_OFF ",'targeting':{'fractional':[['on',100],['off',0]]}}", "{}", FLAG_IS_DEFAULT, 0, "off"},
    {"{" NO_DEFAULT ",'targeting':{'fractional':[['on',100],['off',0]]}}", "{}", FLAG_IS_ERROR, FLAG_KEY_MISSING, NULL},
    {"{" NO_DEFAULT ",'targeting':{'fractional':[['on',100],['off',0]]}}", "{'targetingKey':''}", FLAG_IS_ERROR,
     FLAG_KEY_MISSING, NULL},
    {"{" ON_OFF ",'targeting':{'if':[{'==':[{'var':'$flagd.flagKey'},'web_search']},'on','off']}}",
     "{'$flagd':{'flagKey':'liar'}}", FLAG_IS_TARGETED, 0, "on"},
    {"{" ON_OFF ",'targeting':{'if':[{'==':[{'var':'$flagd.timestamp'},1790000000]},'on','off']}}", "{}",
     FLAG_IS_TARGETED, 0, "on"},
};

static void test_as_flagd_does(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(&cases[i]);
}

static void test_a_strange_result_is_told(void **state) {
    struct flag *flag = flag_of("{" ON_OFF ",'targeting':{'cat':['bl',{'var':'x'}]}}");
    struct logic_scratch scratch;
    struct logic_value text = logic_text(
        SLICE_LIT("ue-as-the-sky-on-a-day-in-june-when-nobody-has-anything-to-do-but-to-look-at-it-and-more"));
    struct logic_member member = {SLICE_LIT("x"), text};
    struct logic_context context = {.data = {.type = LOGIC_OBJECT, .count = 1, .members = &member}};
    char room[FLAG_RESULT_ROOM];
    struct flag_result result;
    flag_evaluate(flag, &context, &scratch, NULL, room, &result);
    assert_int_equal(result.error, FLAG_GENERAL);
    assert_int_equal(strlen(room), FLAG_RESULT_ROOM - 1);
    assert_memory_equal(room, "blue-as-the-sky", 15);
    flag_evaluate(flag, &context, &scratch, NULL, NULL, &result);
    assert_int_equal(result.error, FLAG_GENERAL);
    flag_unref(flag);
}

/* A rule that goes over a list of the context for too long has no result, and says so. */
static void test_bounded(void **state) {
    struct flag *flag =
        flag_of("{" ON_OFF
                ",'targeting':{'if':[{'some':[{'var':'l'},{'some':[{'var':''},{'==':[{'var':''},2]}]}]},'on','off']}}");
    enum { ITEMS = 400 };
    static struct logic_value items[ITEMS], lists[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        items[i] = logic_number(1);
        lists[i] = (struct logic_value){.type = LOGIC_LIST, .count = ITEMS, .items = items};
    }
    struct logic_member member = {SLICE_LIT("l"), {.type = LOGIC_LIST, .count = ITEMS, .items = lists}};
    struct logic_context context = {.data = {.type = LOGIC_OBJECT, .count = 1, .members = &member}};
    struct logic_scratch scratch;
    struct flag_result result;
    flag_evaluate(flag, &context, &scratch, NULL, NULL, &result);
    assert_int_equal(result.reason, FLAG_IS_ERROR);
    assert_int_equal(result.error, FLAG_PARSE_ERROR);
    flag_unref(flag);
}

static void test_names(void **state) {
    assert_string_equal(flag_reason_name(FLAG_IS_TARGETED), "TARGETING_MATCH");
    assert_string_equal(flag_reason_name(FLAG_IS_ERROR), "ERROR");
    assert_string_equal(flag_error_name(FLAG_KEY_MISSING), "TARGETING_KEY_MISSING");
    assert_string_equal(flag_type_name(FLAG_OBJECT), "object");
    assert_string_equal(flag_binding_kind_name(FLAG_GUARDRAIL), "guardrail");
}

/* ---- words ---- */

static const struct {
    const char *definition, *words;
} told[] = {
    {"{" ON_OFF "}", "off for all"},
    {"{" NO_DEFAULT "}", "the caller's default for all"},
    {"{'state':'DISABLED','variants':{'on':true},'defaultVariant':'on'}", "disabled; enabled it is on for all"},
    {"{" ON_OFF ",'targeting':{'if':[{'==':[{'var':'plan'},'pro']},'on',{'fractional':[['on',20],['off',80]]}]}}",
     "on for plan=pro, 20 % of others"},
    {"{" ON_OFF ",'targeting':{'fractional':[['on',1],['off',3]]}}", "on for 25 %"},
    {"{" ON_OFF ",'targeting':{'if':[{'and':[{'in':[{'var':'plan'},['pro','team']]},{'>=':[{'var':'seats'},10]}]},"
     "{'fractional':[['on',20],['off',80]]}]}}",
     "on for 20 % of plan=pro|team and seats>=10"},
    {"{" ON_OFF ",'targeting':{'if':[{'$ref':'staff'},'on']}}", "on for staff"},
    {"{" ON_OFF ",'targeting':{'if':[{'!':[{'in':['x',{'var':'roles'}]}]},'on']}}", "on for not roles has x"},
    {"{" ON_OFF ",'targeting':{'if':[{'ends_with':[{'var':'email'},'@a.example']},'on',{'sem_ver':[{'var':'v'},'>=','1."
     "2.0']},'on']}}",
     "on for email ends with @a.example, v>=1.2.0"},
    {"{'state':'ENABLED','variants':{'a':'x','b':'y','c':'z'},'defaultVariant':'a','targeting':"
     "{'if':[{'==':[{'var':'plan'},'free']},'b',{'fractional':[['a',50],['c',50]]}]}}",
     "b for plan=free; a for 50 % of others; c for 50 % of others"},
    {"{" ON_OFF ",'targeting':{'if':[{'>':[{'+':[{'var':'a'},1]},2]},'on']}}", "on for {\"+\":[{\"var\":\"a\"},1]}>2"},
    {"{" ON_OFF ",'targeting':{'if':[{'!!':[[]]},'on']}}", "on for []"},
    {"{" ON_OFF ",'targeting':{'if':[{'==':['',{'var':'plan'}]},'on',{'!!':[[]]},'on']}}", "on for \"\"=plan, []"},
    {"{" ON_OFF ",'targeting':{'if':[{'!!':{'var':[]}},'on',{'==':[{'var':1},2]},'on']}}",
     "on for {\"var\":[]}, {\"var\":1}=2"},
};

static void test_words(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        struct flag *flag =
            flag_with(&(struct flag_texts){told[i].definition, NULL, "{'staff':{'var':'staff'}}", NULL});
        struct str out = STR_INIT;
        flag_words(flag, &out);
        assert_string_equal(out.data, told[i].words);
        str_deinit(&out);
        flag_unref(flag);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_flagd_does), cmocka_unit_test(test_a_strange_result_is_told),
        cmocka_unit_test(test_bounded),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
