/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of rollouts: every fault with its place, every default, and that what is written is read as the same plan. */
#include "model/rollout.h"
#include "model/test_kit.h"

#include <math.h>

struct read {
    struct arena arena;
    struct faults faults;
    struct rollout_plan plan;
};

static struct read *read_plan(void **state, const char *text, bool asks) {
    struct read *read = *state;
    json_t *json = kit_json(text);
    arena_deinit(&read->arena);
    faults_deinit(&read->faults);
    assert_int_equal(rollout_plan_parse(json, "", asks, &read->arena, &read->plan, &read->faults, NULL), 0);
    json_decref(json);
    return read;
}

static const struct rollout_plan *good_plan(void **state, const char *text) {
    struct read *read = read_plan(state, text, false);
    kit_faults(text, &read->faults, "");
    return &read->plan;
}

static int setup(void **state) {
    *state = calloc(1, sizeof(struct read));
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    struct read *read = *state;
    arena_deinit(&read->arena);
    faults_deinit(&read->faults);
    free(read);
    return 0;
}

#define MINUTE INT64_C(60000000)

static void test_what_is_not_said(void **state) {
    const struct rollout_plan *plan = good_plan(state, "{'steps':[{'share':5}]}");
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->steps[0].share, 5000);
    assert_int_equal(plan->steps[0].min_time, 10 * MINUTE);
    assert_int_equal(plan->steps[0].max_time, 24 * 60 * MINUTE);
    assert_int_equal(plan->steps[0].min_units, 100);
    assert_false(plan->steps[0].approval);
    assert_int_equal(plan->judge, JUDGE_EVIDENCE);
    assert_int_equal(plan->on_harm, REACTION_ROLL_BACK);
    assert_int_equal(plan->on_end, END_PROMOTE);
    assert_int_equal(plan->no_data_after, 10 * MINUTE);
    assert_int_equal(plan->settle, MINUTE);
    assert_int_equal(plan->watermark, 0);
    assert_int_equal(plan->guard_count, 0);
    assert_true(plan->alpha == 0.05 && plan->beta == 0.05 && plan->alpha_srm == 0.001);
    assert_true(plan->ratio.roll_back == 1.5 && plan->ratio.go_on == 1.1 && plan->ratio.min_units == 100);
}

static void test_default_metrics(void **state) {
    static const struct {
        const char *name;
        enum metric_kind kind;
        double weight;
    } expected[] = {{"error", METRIC_EVENT, 0.5}, {"latency", METRIC_SIZE, 0.25}, {"cost", METRIC_SIZE, 0.25}};
    const struct rollout_plan *plan = good_plan(state, "{'steps':[{'share':5}]}");
    assert_int_equal(plan->metric_count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct metric *metric = &plan->metrics[i];
        assert_string_equal(metric->name, expected[i].name);
        assert_int_equal(metric->kind, expected[i].kind);
        assert_true(fabs(metric->weight - expected[i].weight) < 1e-12);
        assert_true(metric->lower_is_better);
        assert_true(metric->harm == 1.1 && metric->accept == 1.5 && metric->limit == 0);
        assert_true(metric->harm_floor == (i ? 0 : 0.001) && metric->accept_floor == (i ? 0 : 0.005));
    }
}

static void test_weights_are_those_of_the_design(void **state) {
    const struct rollout_plan *plan =
        good_plan(state, "{'steps':[{'share':5}],'analysis':{'metrics':['error','latency','cost','score.quality']}}");
    static const double weights[] = {0.4, 0.2, 0.2, 0.2};
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(plan->metrics[i].weight - weights[i]) < 1e-12);
    assert_int_equal(plan->metrics[3].kind, METRIC_SCORE);
    assert_false(plan->metrics[3].lower_is_better);
    assert_true(plan->metrics[3].harm == 0.01 && plan->metrics[3].accept == 0.05);
}

static void test_weights_are_brought_to_one(void **state) {
    const struct rollout_plan *plan = good_plan(
        state,
        "{'steps':[{'share':5}],'analysis':{'metrics':[{'name':'error','weight':3},{'name':'cost','weight':1},{'name':"
        "'tokens','weight':0}]}}");
    assert_true(plan->metrics[0].weight == 0.75 && plan->metrics[1].weight == 0.25 && plan->metrics[2].weight == 0);
}

static void test_the_margin_grows_stricter_with_the_share(void **state) {
    static const double margins[] = {2, 2, 1.5, 1.5, 1.25, 1.25};
    const struct rollout_plan *plan = good_plan(
        state, "{'steps':[{'share':1},{'share':4.999},{'share':5},{'share':49.999},{'share':50},{'share':100}]}");
    for (size_t i = 0; i < ARRAY_LEN(margins); i++)
        assert_true(plan->steps[i].accept == margins[i]);
}

static void test_a_metrics_own_margin_holds_at_every_step(void **state) {
    const struct rollout_plan *plan =
        good_plan(state, "{'steps':[{'share':1},{'share':5,'accept':3}],'analysis':{'metrics':"
                         "[{'name':'error','accept':1.2}]}}");
    assert_true(plan->steps[0].accept == 0 && plan->steps[1].accept == 3 && plan->metrics[0].accept == 1.2);
}

static void test_shares(void **state) {
    static const struct {
        const char *text;
        int32_t share; /* 0: refused */
    } shares[] = {
        {"1", 1000},       {"0.5", 500},   {"12.345", 12345}, {"100", 100000}, {"100.0", 100000},   {"0.001", 1},
        {"99.999", 99999}, {"1e1", 10000}, {"33.333", 33333}, {"0", 0},        {"0.0", 0},          {"-1", 0},
        {"100.001", 0},    {"101", 0},     {"0.0005", 0},     {"12.3456", 0},  {"1.0000000001", 0}, {"1e300", 0},
        {"'5'", 0},        {"null", 0},    {"true", 0},       {"[5]", 0},      {"1e-30", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        char text[100];
        snprintf(text, sizeof(text), "{'steps':[{'share':%s}]}", shares[i].text);
        struct read *read = read_plan(state, text, false);
        kit_faults(text, &read->faults, shares[i].share ? "" : "/steps/0/share: percentage over 0");
        if (shares[i].share) assert_int_equal(read->plan.steps[0].share, shares[i].share);
    }
}

static void test_every_share_of_three_decimals(void **state) {
    struct read *read = *state;
    for (int32_t share = 1; share <= SHARE_ALL; share++) {
        json_t *json = json_pack("{s:[{s:f}]}", "steps", "share", share / 1000.0);
        struct faults faults = FAULTS_INIT;
        assert_int_equal(rollout_plan_parse(json, "", false, &read->arena, &read->plan, &faults, NULL), 0);
        assert_int_equal(faults.count, 0);
        assert_int_equal(read->plan.steps[0].share, share);
        json_decref(json);
        if (share % 1000 == 0) arena_deinit(&read->arena);
    }
}

static void test_who_ends_it(void **state) {
    static const char *const plain = "{'steps':[{'share':5}]}",
                             *const promote = "{'steps':[{'share':5}],'on_end':'promote'}",
                             *const ask = "{'steps':[{'share':5}],'on_end':'ask'}";
    assert_int_equal(read_plan(state, plain, true)->plan.on_end, END_ASK);
    assert_int_equal(read_plan(state, plain, false)->plan.on_end, END_PROMOTE);
    assert_int_equal(read_plan(state, promote, true)->plan.on_end, END_PROMOTE);
    assert_int_equal(read_plan(state, ask, false)->plan.on_end, END_ASK);
}

static void test_guards(void **state) {
    static const struct {
        const char *condition;
        enum guard_compare compare;
        double threshold;
    } cases[] = {{"> 0.05", GUARD_GT, 0.05}, {">=1", GUARD_GE, 1},  {"< -3", GUARD_LT, -3},
                 {"<= 1e3", GUARD_LE, 1000}, {"== 0", GUARD_EQ, 0}, {"!=   2", GUARD_NE, 2}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[400];
        snprintf(
            text, sizeof(text),
            "{'steps':[{'share':5}],'guards':[{'name':'slo','url':'http://prom:9090','query':'up','condition':'%s',"
            "'for':'2m','action':'roll_back'}]}",
            cases[i].condition);
        const struct guard *guard = good_plan(state, text)->guards;
        assert_int_equal(guard->compare, cases[i].compare);
        assert_true(guard->threshold == cases[i].threshold);
        assert_int_equal(guard->lasting, 2 * MINUTE);
        assert_int_equal(guard->action, REACTION_ROLL_BACK);
        assert_string_equal(guard->url, "http://prom:9090");
    }
}

/* ---- what is refused ---- */

#define STEPS "'steps':[{'share':5}]"
#define METRIC(text) "{" STEPS ",'analysis':{'metrics':[" text "]}}"
#define GUARD(text) "{" STEPS ",'guards':[{'name':'a','url':'http://p','query':'q','condition':'> 1'" text "}]}"

static const struct {
    const char *text, *faults;
} refused[] = {
    {"[]", ": must be an object"},
    {"7", ": must be an object"},
    {"{}", "/steps: is missing"},
    {"{'steps':[]}", "/steps: 1 to 20 steps"},
    {"{'steps':{}}", "/steps: 1 to 20 steps"},
    {"{'steps':5}", "/steps: 1 to 20 steps"},
    {"{'steps':[{'share':1},{'share':2},{'share':3},{'share':4},{'share':5},{'share':6},{'share':7},{'share':8},{'"
     "share':9},"
     "{'share':10},{'share':11},{'share':12},{'share':13},{'share':14},{'share':15},{'share':16},{'share':17},{'share':"
     "18},"
     "{'share':19},{'share':20},{'share':21}]}",
     "/steps: 1 to 20 steps"},
    {"{'steps':[5]}", "/steps/0: must be an object"},
    {"{'steps':[{}]}", "/steps/0/share: is missing"},
    {"{'steps':[{'share':5},{'share':1}]}", "/steps/1/share: more than the 5 of the step before"},
    {"{'steps':[{'share':5},{'share':5}]}", "/steps/1/share: more than the 5"},
    {"{'steps':[{'share':5},{'share':101}]}", "/steps/1/share: percentage"},
    {"{'steps':[{'share':50},{'share':1},{'share':20}]}",
     "/steps/1/share: more than the 50\n/steps/2/share: more than the 50"},
    {"{'steps':[{'share':5,'min_time':10}]}", "/steps/0/min_time: duration"},
    {"{'steps':[{'share':5,'min_time':'10'}]}", "/steps/0/min_time: duration"},
    {"{'steps':[{'share':5,'min_time':'400d'}]}", "/steps/0/min_time: 0s to 365d"},
    {"{'steps':[{'share':5,'max_time':'soon'}]}", "/steps/0/max_time: duration"},
    {"{'steps':[{'share':5,'max_time':'1m'}]}", "/steps/0/max_time: at least min_time"},
    {"{'steps':[{'share':5,'min_time':'0s','max_time':'0s'}]}", "/steps/0/max_time: over 0"},
    {"{'steps':[{'share':5,'min_units':-1}]}", "/steps/0/min_units: whole number"},
    {"{'steps':[{'share':5,'min_units':1.5}]}", "/steps/0/min_units: whole number"},
    {"{'steps':[{'share':5,'min_units':'5'}]}", "/steps/0/min_units: whole number"},
    {"{'steps':[{'share':5,'accept':0.9}]}", "/steps/0/accept: number from 1"},
    {"{'steps':[{'share':5,'accept':1.1}]}", "/steps/0/accept: margin `harm` of error"},
    {"{'steps':[{'share':5,'approval':1}]}", "/steps/0/approval: true or false"},
    {"{'steps':[{'share':5,'shares':1}]}", "/steps/0/shares: did you mean \"share\""},
    {"{" STEPS ",'nonsense':1}", "/nonsense: unknown field"},
    {"{" STEPS ",'template':'fast'}", "/template: unknown field"},
    {"{" STEPS ",'judge':'coin'}", "/judge: \"evidence\" or \"ratio\""},
    {"{" STEPS ",'judge':5}", "/judge: \"evidence\" or \"ratio\""},
    {"{" STEPS ",'on_harm':'wait'}", "/on_harm: \"roll_back\" or \"hold\""},
    {"{" STEPS ",'on_end':'wait'}", "/on_end: \"promote\" or \"ask\""},
    {"{" STEPS ",'no_data_after':'x'}", "/no_data_after: duration"},
    {"{" STEPS ",'analysis':[]}", "/analysis: must be an object"},
    {"{" STEPS ",'analysis':{'gamma':1}}", "/analysis/gamma: unknown field"},
    {"{" STEPS ",'analysis':{'alpha':0}}", "/analysis/alpha: from 1e-09 to 0.5"},
    {"{" STEPS ",'analysis':{'alpha':0.51}}", "/analysis/alpha: 0.5"},
    {"{" STEPS ",'analysis':{'alpha':-1}}", "/analysis/alpha: 0.5"},
    {"{" STEPS ",'analysis':{'alpha':'0.05'}}", "/analysis/alpha: number"},
    {"{" STEPS ",'analysis':{'beta':0.6,'alpha_srm':2}}", "/analysis/beta: 0.5\n/analysis/alpha_srm: 0.5"},
    {"{" STEPS ",'analysis':{'settle':5,'watermark':'-1s'}}",
     "/analysis/settle: duration\n/analysis/watermark: duration"},
    {"{" STEPS ",'analysis':{'metrics':[]}}", "/analysis/metrics: 1 to 12"},
    {"{" STEPS ",'analysis':{'metrics':'error'}}", "/analysis/metrics: 1 to 12"},
    {METRIC("'eror'"), "/analysis/metrics/0: did you mean \"error\""},
    {METRIC("'speed'"), "/analysis/metrics/0: unknown metric \"speed\""},
    {METRIC("'score.'"), "/analysis/metrics/0: unknown metric"},
    {METRIC("'score.a b'"), "/analysis/metrics/0: unknown metric"},
    {METRIC("5"), "/analysis/metrics/0: name of a metric"},
    {METRIC("{}"), "/analysis/metrics/0/name: name of a metric"},
    {METRIC("{'name':5}"), "/analysis/metrics/0/name: name of a metric"},
    {METRIC("{'name':'speed'}"), "/analysis/metrics/0/name: unknown metric"},
    {METRIC("'error','cost','error'"), "/analysis/metrics/2: stands in the list already"},
    {METRIC("'score.a',{'name':'score.a'}"), "/analysis/metrics/1/name: stands in the list already"},
    {METRIC("{'name':'error','wieght':1}"), "/analysis/metrics/0/wieght: did you mean \"weight\""},
    {METRIC("{'name':'error','weight':-1}"), "/analysis/metrics/0/weight: number from 0"},
    {METRIC("{'name':'error','weight':0},{'name':'cost','weight':0}"), "/analysis/metrics: weight over 0"},
    {METRIC("{'name':'error','harm':1.6}"),
     "/analysis/metrics/0/harm: wrong way round\n/steps/0/accept: margin `harm`"},
    {METRIC("{'name':'error','accept':1.05}"), "/analysis/metrics/0/accept: wrong way round"},
    {METRIC("{'name':'cost','harm':1.5,'accept':1.5}"), "/analysis/metrics/0/accept: wrong way round"},
    {METRIC("{'name':'cost','harm':0.5}"), "/analysis/metrics/0/harm: from 1"},
    {METRIC("{'name':'cost','harm':101}"), "/analysis/metrics/0/harm: to 100"},
    {METRIC("{'name':'cost','harm_floor':0.1}"), "/analysis/metrics/0/harm_floor: unknown field"},
    {METRIC("{'name':'cost','lower_is_better':true}"), "/analysis/metrics/0/lower_is_better: unknown field"},
    {METRIC("{'name':'error','harm_floor':0}"), "/analysis/metrics/0/harm_floor: 0.5"},
    {METRIC("{'name':'error','accept':3,'accept_floor':0.4}"), "/analysis/metrics/0/accept_floor: must stay under 1"},
    {METRIC("{'name':'score.q','harm':0.05,'accept':0.01}"), "/analysis/metrics/0/accept: wrong way round"},
    {METRIC("{'name':'score.q','accept':1.5}"), "/analysis/metrics/0/accept: from 0 to 1"},
    {METRIC("{'name':'score.q','lower_is_better':'no'}"), "/analysis/metrics/0/lower_is_better: true or false"},
    {"{" STEPS ",'limits':[]}", "/limits: must be an object"},
    {"{" STEPS ",'limits':{'tokens':{'past':1}}}", "/limits/tokens: none of the plan's metrics"},
    {"{" STEPS ",'limits':{'error':0.2}}", "/limits/error: must be an object"},
    {"{" STEPS ",'limits':{'error':{}}}", "/limits/error/past: is missing"},
    {"{" STEPS ",'limits':{'error':{'past':1.5}}}", "/limits/error/past: to 1"},
    {"{" STEPS ",'limits':{'error':{'past':0.2,'units':0}}}", "/limits/error/units: whole number from 1"},
    {"{" STEPS ",'limits':{'error':{'past':0.2,'unit':9}}}", "/limits/error/unit: did you mean \"units\""},
    {"{" STEPS ",'ratio':{'go_on':1}}", "/ratio: goes with"},
    {"{" STEPS ",'judge':'ratio','ratio':5}", "/ratio: must be an object"},
    {"{" STEPS ",'judge':'ratio','ratio':{'go_on':2}}", "/ratio/go_on: wrong way round"},
    {"{" STEPS ",'judge':'ratio','ratio':{'roll_back':0.5}}", "/ratio/roll_back: from 1"},
    {"{" STEPS ",'judge':'ratio','ratio':{'min_units':0}}", "/ratio/min_units: from 1"},
    {"{" STEPS ",'guards':{}}", "/guards: list of at most 8"},
    {"{" STEPS ",'guards':[1,2,3,4,5,6,7,8,9]}", "/guards: list of at most 8"},
    {"{" STEPS ",'guards':[5]}", "/guards/0: must be an object"},
    {"{" STEPS ",'guards':[{}]}", "/guards/0/name: is missing\n/guards/0/url: is missing\n/guards/0/query: is "
                                  "missing\n/guards/0/condition: is missing"},
    {GUARD(",'for':5"), "/guards/0/for: duration"},
    {GUARD(",'action':'shout'"), "/guards/0/action: \"roll_back\" or \"hold\""},
    {GUARD(",'when':1"), "/guards/0/when: unknown field"},
    {"{" STEPS ",'guards':[{'name':'A b','url':'ftp://p','query':'','condition':'about 5'}]}",
     "/guards/0/name: a-z\n/guards/0/url: https://\n/guards/0/query: 1 to 4096\n/guards/0/condition: a number"},
    {"{" STEPS ",'guards':[{'name':'a','url':'http:///x','query':'q','condition':'> inf'}]}",
     "/guards/0/url: a host\n/guards/0/condition: a number"},
    {"{" STEPS ",'guards':[{'name':'a','url':'http://p q','query':'q','condition':'=> 5'}]}",
     "/guards/0/url: a host\n/guards/0/condition: a number"},
    {"{" STEPS
     ",'guards':[{'name':'a','url':'http://p','query':'q','condition':'> 1'},{'name':'a','url':'http://p','query':'q',"
     "'condition':'> 1'}]}",
     "/guards/1/name: stands in the list already"},
    {"{'steps':[{'share':0}],'judge':'x','on_end':5,'analysis':{'alpha':2,'metrics':['x']},'guards':5,'more':1}",
     "/more: unknown field\n/judge: evidence\n/on_end: promote\n/steps/0/share: percentage\n/analysis/alpha: number\n"
     "/analysis/metrics/0: unknown metric\n/guards: list"},
};

static void test_every_fault_is_told_with_its_place(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct read *read = read_plan(state, refused[i].text, false);
        kit_faults(refused[i].text, &read->faults, refused[i].faults);
    }
}

static void test_places_begin_where_they_are_told_to(void **state) {
    struct read *read = *state;
    json_t *json = kit_json("{'steps':[{'share':0}]}");
    assert_int_equal(rollout_plan_parse(json, "/plan", false, &read->arena, &read->plan, &read->faults, NULL), 0);
    kit_faults("at", &read->faults, "/plan/steps/0/share: percentage");
    json_decref(json);
}

/* ---- what is written ---- */

static const char *const written[] = {
    "{'steps':[{'share':5}]}",
    "{'steps':[{'share':0.001},{'share':12.345,'min_time':'0s','max_time':'90s','min_units':0,'approval':true},{'share'"
    ":100}]}",
    "{'steps':[{'share':5}],'judge':'ratio','ratio':{'min_units':1,'go_on':1,'roll_back':1}}",
    "{'steps':[{'share':5}],'judge':'ratio'}",
    "{'steps':[{'share':5,'accept':1.7}],'on_harm':'hold','on_end':'ask','no_data_after':'0s'}",
    "{'steps':[{'share':5}],'analysis':{'alpha':0.01,'beta':0.1,'alpha_srm':0.0001,'settle':'5m','watermark':'1h'}}",
    "{'steps':[{'share':5}],'analysis':{'metrics':['error','tool_errors','feedback','latency','cost','tokens','score.a'"
    ","
    "'score.b']}}",
    "{'steps':[{'share':5}],'analysis':{'metrics':[{'name':'error','weight':0.1},{'name':'score.b','weight':0.2,'lower_"
    "is_better':"
    "true},{'name':'cost','weight':0.3333}]}}",
    "{'steps':[{'share':5},{'share':50,'accept':1.3}],'analysis':{'metrics':[{'name':'error','accept':1.2,'harm':1.15,"
    "'harm_floor':0.002,'accept_floor':0.01}]}}",
    "{'steps':[{'share':5}],'analysis':{'metrics':['latency','error','score.a']},'limits':{'score.a':{'past':0.4},'"
    "error':"
    "{'past':0.2,'units':7},'latency':{'past':60000}}}",
    "{'steps':[{'share':5}],'guards':[{'name':'a','url':'https://p/"
    "x?y=1','query':'sum(rate(x{a=\\'b\\'}[5m]))','condition':'>= "
    "1e-7','for':'3m'},{'name':'b','url':'http://p','query':'up','condition':'== 0','action':'roll_back'}]}",
};

static char *write_plan(const struct rollout_plan *plan) {
    struct str out = STR_INIT;
    rollout_plan_write(plan, &out);
    assert_false(out.failed);
    return str_take(&out);
}

static void test_what_is_written_is_read_as_the_same_plan(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        char *first = write_plan(good_plan(state, written[i]));
        json_t *json = NULL;
        assert_int_equal(json_parse(first, strlen(first), JSON_DEPTH_MAX, &json, NULL), 0);
        char *canonical = kit_text(json);
        assert_string_equal(first, canonical);

        struct arena arena = ARENA_INIT;
        struct faults faults = FAULTS_INIT;
        struct rollout_plan again;
        assert_int_equal(rollout_plan_parse(json, "", true, &arena, &again, &faults, NULL), 0);
        kit_faults(first, &faults, "");
        char *second = write_plan(&again);
        assert_string_equal(first, second);

        /* field by field, as the text might leave something out */
        const struct rollout_plan *plan = &((struct read *)*state)->plan;
        assert_memory_equal(plan->steps, again.steps, sizeof(plan->steps));
        assert_int_equal(plan->metric_count, again.metric_count);
        for (size_t m = 0; m < plan->metric_count; m++) {
            struct metric one = plan->metrics[m], other = again.metrics[m];
            assert_string_equal(one.name, other.name);
            one.name = other.name = NULL;
            assert_true(one.kind == other.kind && one.weight == other.weight && one.harm == other.harm &&
                        one.accept == other.accept && one.harm_floor == other.harm_floor &&
                        one.accept_floor == other.accept_floor && one.limit == other.limit &&
                        one.limit_units == other.limit_units && one.lower_is_better == other.lower_is_better);
        }
        assert_true(plan->on_end == again.on_end && plan->on_harm == again.on_harm && plan->judge == again.judge);
        free(first);
        free(second);
        free(canonical);
        json_decref(json);
        faults_deinit(&faults);
        arena_deinit(&arena);
    }
}

static void test_the_written_form(void **state) {
    char *text =
        write_plan(good_plan(state, "{'steps':[{'share':12.5,'approval':true}],'analysis':{'metrics':['latency']}}"));
    assert_string_equal(
        text,
        "{\"analysis\":{\"alpha\":0.05,\"alpha_srm\":0.001,\"beta\":0.05,\"metrics\":[{\"accept\":1.5,\"harm\":1.1,"
        "\"name\":\"latency\",\"weight\":1}],\"settle\":\"1m\",\"watermark\":\"0s\"},\"guards\":[],\"judge\":"
        "\"evidence\",\"limits\":{},\"no_data_after\":\"10m\",\"on_end\":\"promote\",\"on_harm\":\"roll_back\","
        "\"steps\":[{\"accept\":1.5,\"approval\":true,\"max_time\":\"1d\",\"min_time\":\"10m\",\"min_units\":100,"
        "\"share\":12.5}]}");
    free(text);
}

/* ---- any plan ---- */

static uint64_t random_state;

static unsigned below(unsigned bound) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % bound;
}

static void add_random_steps(struct str *out) {
    unsigned count = 1 + below(ROLLOUT_STEPS_MAX), share = 0;
    str_add_text(out, "\"steps\":[");
    for (unsigned i = 0; i < count; i++) {
        share += 1 + below(SHARE_ALL / ROLLOUT_STEPS_MAX - 1);
        str_printf(out, "%s{\"share\":", i ? "," : "");
        json_add_double(out, share / 1000.0);
        if (below(2)) str_printf(out, ",\"min_time\":\"%um\",\"max_time\":\"%uh\"", below(60), 1 + below(500));
        if (below(2)) str_printf(out, ",\"min_units\":%u", below(100000));
        if (below(3) == 0) str_printf(out, ",\"accept\":%u.%02u", 2 + below(5), below(100));
        if (below(3) == 0) str_printf(out, ",\"approval\":%s", below(2) ? "true" : "false");
        str_add_char(out, '}');
    }
    str_add_text(out, "]");
}

static void add_random_metrics(struct str *out) {
    static const char *const names[] = {"error",       "latency",  "cost",    "tokens",
                                        "tool_errors", "feedback", "score.a", "score.b"};
    unsigned first = below(ARRAY_LEN(names)), count = 1 + below(ARRAY_LEN(names));
    str_add_text(out, ",\"analysis\":{\"metrics\":[");
    for (unsigned i = 0; i < count; i++)
        str_printf(out, "%s{\"name\":\"%s\",\"weight\":%u.%03u}", i ? "," : "", names[(first + i) % ARRAY_LEN(names)],
                   1 + below(9), below(1000));
    str_add_text(out, "]}");
}

/* Whatever is valid is written canonically, is read again without a fault and is then written the same. */
static void test_any_plan_comes_back(void **state) {
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct str text = STR_INIT;
        random_state = seed;
        str_add_char(&text, '{');
        add_random_steps(&text);
        if (below(4)) add_random_metrics(&text);
        if (below(2)) str_printf(&text, ",\"on_end\":\"%s\"", below(2) ? "ask" : "promote");
        if (below(2)) str_printf(&text, ",\"no_data_after\":\"%us\"", below(100000));
        str_add_char(&text, '}');
        struct read *read = read_plan(state, text.data, false);
        if (read->faults.count)
            fail_msg("seed %u: %s: %s", seed, read->faults.items[0].at, read->faults.items[0].message);
        double sum = 0;
        for (size_t i = 0; i < read->plan.metric_count; i++)
            sum += read->plan.metrics[i].weight;
        assert_true(fabs(sum - 1) < 1e-12);
        char *first = write_plan(&read->plan);
        read = read_plan(state, first, true);
        if (read->faults.count) fail_msg("seed %u: %s", seed, first);
        char *second = write_plan(&read->plan);
        if (strcmp(first, second)) fail_msg("seed %u: %s is not %s", seed, second, first);
        free(first);
        free(second);
        str_deinit(&text);
    }
}

/* Every member of a whole plan, each left out and each made null: told or defaulted, never more. */
static void test_members_one_by_one(void **state) {
    const struct rollout_plan *plan = good_plan(state, written[ARRAY_LEN(written) - 1]);
    char *text = write_plan(plan);
    json_t *whole = NULL;
    assert_int_equal(json_parse(text, strlen(text), JSON_DEPTH_MAX, &whole, NULL), 0);
    const char *key;
    json_t *value;
    json_object_foreach(whole, key, value) {
        json_t *less = json_copy(whole), *odd = json_copy(whole);
        assert_int_equal(json_object_del(less, key), 0);
        assert_int_equal(json_object_set_new(odd, key, json_null()), 0);
        struct read *read = *state;
        arena_deinit(&read->arena);
        faults_deinit(&read->faults);
        assert_int_equal(rollout_plan_parse(less, "", false, &read->arena, &read->plan, &read->faults, NULL), 0);
        assert_int_equal(read->faults.errors, strcmp(key, "steps") == 0);
        faults_deinit(&read->faults);
        assert_int_equal(rollout_plan_parse(odd, "", false, &read->arena, &read->plan, &read->faults, NULL), 0);
        assert_true(read->faults.errors >= 1);
        assert_int_equal(strncmp(read->faults.items[0].at + 1, key, strlen(key)), 0);
        json_decref(less);
        json_decref(odd);
    }
    json_decref(whole);
    free(text);
}

/* ---- templates under wishes ---- */

static void merged(const char *template, const char *wish, const char *expected) {
    json_t *below = template ? kit_json(template) : NULL, *above = wish ? kit_json(wish) : NULL, *found = NULL;
    assert_int_equal(rollout_plan_merge(below, above, &found, NULL), 0);
    kit_same(found, expected);
    json_decref(found);
    if (below) kit_same(below, template);
    json_decref(below);
    json_decref(above);
}

static void test_wishes_win_over_templates(void **state) {
    merged(NULL, NULL, "{}");
    merged("{'a':1}", NULL, "{'a':1}");
    merged(NULL, "{'a':1}", "{'a':1}");
    merged("{'a':1,'b':2}", "{'b':3,'c':4}", "{'a':1,'b':3,'c':4}");
    merged("{'steps':[1,2]}", "{'steps':[3]}", "{'steps':[3]}");
    merged("{'analysis':{'alpha':1,'beta':2}}", "{'analysis':{'beta':3}}", "{'analysis':{'alpha':1,'beta':3}}");
    merged("{'analysis':{'alpha':1}}", "{'analysis':5}", "{'analysis':5}");
    merged("{'limits':{'error':1}}", "{'limits':{}}", "{'limits':{}}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_not_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_default_metrics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_are_those_of_the_design, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_are_brought_to_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_margin_grows_stricter_with_the_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_metrics_own_margin_holds_at_every_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_share_of_three_decimals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_fault_is_told_with_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_begin_where_they_are_told_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read_as_the_same_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_written_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_plan_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_one_by_one, setup, teardown),
        cmocka_unit_test(test_wishes_win_over_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
