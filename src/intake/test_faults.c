/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where memory ends, where a call of the store fails, and where the queue is full: a batch is in or it is not, it may be sent again and counts once, and memory
 * is what the store says.
 */
#include "intake/test_world.h"

#include "base/ticker.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>

#define ITEMS 3 /* of a batch */

/* What a sender has at hand, whatever fails. */
struct parcel {
    struct str body;
    struct outcomes outcomes;
};

static void pack(struct parcel *parcel, const char *instance, int64_t batch) {
    _cleanup_(str_deinit) struct str items = STR_INIT;
    str_clear(&parcel->body);
    for (uint32_t i = 0; i < ITEMS; i++)
        world_add_item(&items, i * 30000, i ? 1 : 2,
                       i == 1 ? FAILED : OK ",\"latency_ms\":2.5,\"scores\":{\"quality\":1}");
    str_printf(&parcel->body, "{\"instance\":\"%s\",\"batch\":%lld,\"items\":[%s]}", instance, (long long)batch,
               items.data);
    assert_false(parcel->body.failed);
}

static int deliver(struct world *world, struct parcel *parcel, struct intake_answer *ret) {
    const struct outcome_source source = {.body = str_slice(&parcel->body), .now = NOW, .environment = "production"};
    int r = outcomes_read(&source, &parcel->outcomes, &world->err);
    if (r == 0) r = intake_take(world->intake, &parcel->outcomes, ret, &world->err);
    outcomes_deinit(&parcel->outcomes);
    return r;
}

/* Memory and store agree, and each outcome counts once. */
static void check_counts(struct world *world, int64_t batches) {
    struct sha256 before, after;
    before = world_digest(world);
    world_kill_and_start(world);
    after = world_digest(world);
    assert_memory_equal(&before, &after, sizeof(before));
    struct seen seen = world_tick(world);
    assert_int_equal(seen.counts.outcomes[0] + seen.counts.outcomes[1], batches * ITEMS);
    assert_int_equal(seen.sums.errors[0] + seen.sums.errors[1], batches);
}

static void again_until_taken(struct world *world, struct parcel *parcel) {
    struct intake_answer answer;
    if (!world->err.message[0]) fail_msg("a failure without a word");
    world_ok(world, deliver(world, parcel, &answer));
}

static void test_memory_ends(void **state) {
    struct world *world = *state;
    static struct parcel parcel;
    struct intake_answer answer;
    int64_t batch = 0, failures = 0;
    world_open_rollout(world, "r-1", "support", NOW - 9000 * SECOND);
    for (size_t nth = 1;; nth++) {
        pack(&parcel, "a", ++batch);
        world_kill_and_start(world); /* so that everything is read anew */
        ticker_start(nth);
        int r = deliver(world, &parcel, &answer);
        bool ended = ticker_stop();
        failures += r < 0;
        if (r < 0) again_until_taken(world, &parcel);
        if (!ended) break;
    }
    assert_true(failures > 20);
    check_counts(world, batch);
    str_deinit(&parcel.body);
}

#define ITEM                                                                                                           \
    "{\"agent\":\"support\",\"version\":1,\"unit\":\"c00000000000000000000001\",\"at\":\"2026-10-26T06:13:20Z\"" OK "}"
#define ATTRIBUTE(key, value) "{\"key\":\"" key "\",\"value\":{\"stringValue\":\"" value "\"}}"
#define TRACE                                                                                                          \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[" ATTRIBUTE(                                                   \
        "deployment.environment.name",                                                                                 \
        "production") "]},\"scopeSpans\":[{\"spans\":[{\"name\":\"chat\",\"traceId\":"                                 \
                      "\"5b8efff798038103d269b633813fc60c\","                                                          \
                      "\"startTimeUnixNano\":\"1792995199500000000\",\"endTimeUnixNano\":\"1792995200750000000\","     \
                      "\"attributes\":[" ATTRIBUTE(                                                                    \
                          "serin.unit",                                                                                \
                          "c00000000000000000000001") "],\"events\":[{\"name\":\"feature_flag.evaluation\","           \
                                                      "\"attributes\":[" ATTRIBUTE(                                    \
                                                          "feature_flag.key",                                          \
                                                          "agent.support") "," ATTRIBUTE("feature_flag.result."        \
                                                                                         "variant",                    \
                                                                                         "support@1") "]}]}]}]}]}"

/* In every form: a batch is read, or there is no memory; nothing is left behind. */
static void test_memory_ends_while_reading(void **state) {
    static const struct {
        enum outcome_form form;
        const char *body;
    } forms[] = {
        {OUTCOME_JSON, "{\"instance\":\"a\",\"batch\":1,\"items\":[" ITEM "," ITEM "]}"},
        {OUTCOME_NDJSON, "{\"instance\":\"a\",\"batch\":1}\n" ITEM "\n" ITEM "\n"},
        {OUTCOME_OTLP, TRACE},
    };
    static struct outcomes outcomes;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const struct outcome_source source = {
            .form = forms[i].form, .body = slice_of(forms[i].body), .now = NOW, .environment = "production"};
        for (size_t nth = 1;; nth++) {
            struct err err = ERR_INIT;
            ticker_start(nth);
            int r = outcomes_read(&source, &outcomes, &err);
            bool ended = ticker_stop();
            if (r != 0 && (!ended || r != -ERR_NO_MEMORY)) fail_msg("form %zu, %zu: %s", i, nth, err.message);
            if (r == 0) assert_int_equal(outcomes.count, i < 2 ? 2 : 1);
            outcomes_deinit(&outcomes);
            if (!ended) break;
            assert_true(nth < 1000);
        }
    }
}

enum action { SEND, TICK, CHECKPOINT, STAGE, ACTIONS };

static int act(struct world *world, enum action action, struct parcel *parcel, int64_t number) {
    struct intake_answer answer;
    switch (action) {
    case SEND:
        return deliver(world, parcel, &answer);
    case TICK:
        return intake_tick(world->intake, NOW, NULL, NULL, &world->err);
    case CHECKPOINT:
        return intake_checkpoint(world->intake, &world->err);
    default:
        return intake_stage(world->intake, "r-1", 1, 25000, NOW - 8000 * SECOND + number, &world->err);
    }
}

/* Every call that the action makes of the store fails in turn. */
static void walk(struct world *world, enum action action, enum err_code code, bool after, int64_t *batch) {
    static struct parcel parcel;
    for (uint64_t nth = 1;; nth++) {
        pack(&parcel, "a", ++*batch);
        if (action != SEND) world_ok(world, act(world, SEND, &parcel, 0)); /* so that there is something to save */
        world->fault.calls = 0;
        world->fault.code = code;
        world->fault.after = after;
        world->fault.fail_at = nth;
        int r = act(world, action, &parcel, *batch);
        bool failed = world->fault.calls >= nth;
        world->fault.fail_at = 0;
        if (r < 0 && action == SEND) again_until_taken(world, &parcel);
        if (r < 0 && action != SEND) world_ok(world, act(world, action, &parcel, *batch));
        if (nth % 5 == 0 || !failed) check_counts(world, *batch);
        if (!failed) break;
        assert_true(nth < 1000);
    }
    str_deinit(&parcel.body);
}

static void test_the_store_fails(void **state) {
    static const struct {
        enum err_code code;
        bool after;
    } ways[] = {{ERR_STORE_IO, false}, {ERR_STORE_FULL, false}, {ERR_UNKNOWN_OUTCOME, true}};
    struct world *world = *state;
    int64_t batch = 0;
    world_open_rollout(world, "r-1", "support", NOW - 9000 * SECOND);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        for (enum action action = SEND; action < ACTIONS; action++)
            walk(world, action, ways[i].code, ways[i].after, &batch);
    assert_true(batch > 60);
}

/* ---- the queue ---- */

#define QUEUE 64 /* of the world's intake */

struct gate {
    sem_t reached, open;
};

/* On the writer's thread: nothing is taken out of the queue while it waits here. */
static int wait_at(void *ctx, const struct fold_view *view) {
    struct gate *gate = ctx;
    sem_post(&gate->reached);
    sem_wait(&gate->open);
    return 0;
}

struct caller {
    struct world *world;
    struct gate *gate;
    struct parcel *parcel;
    struct intake_answer answer;
    struct err err;
    pthread_t thread;
    int result;
};

static void *look(void *arg) {
    struct caller *caller = arg;
    caller->result = intake_look(caller->world->intake, wait_at, caller->gate, &caller->err);
    return NULL;
}

static void *take(void *arg) {
    struct caller *caller = arg;
    caller->result = intake_take(caller->world->intake, &caller->parcel->outcomes, &caller->answer, &caller->err);
    return NULL;
}

static void read_parcel(struct world *world, struct parcel *parcel) {
    const struct outcome_source source = {.body = str_slice(&parcel->body), .now = NOW, .environment = "production"};
    world_ok(world, outcomes_read(&source, &parcel->outcomes, &world->err));
}

static struct intake_stats stats_of(const struct world *world) {
    struct intake_stats stats;
    intake_stats(world->intake, &stats);
    return stats;
}

static void test_a_full_queue_takes_nothing(void **state) {
    struct world *world = *state;
    static struct caller callers[QUEUE];
    static struct parcel parcels[QUEUE + 1];
    struct gate gate;
    struct intake_answer answer;
    struct caller looker = {.world = world, .gate = &gate};
    sem_init(&gate.reached, 0, 0);
    sem_init(&gate.open, 0, 0);
    world_open_rollout(world, "r-1", "support", NOW - 9000 * SECOND);
    for (int i = 0; i <= QUEUE; i++) {
        pack(&parcels[i], "a", i + 1);
        read_parcel(world, &parcels[i]);
    }
    assert_int_equal(pthread_create(&looker.thread, NULL, look, &looker), 0);
    sem_wait(&gate.reached);
    for (int i = 0; i < QUEUE; i++) {
        callers[i] = (struct caller){.world = world, .parcel = &parcels[i]};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, take, &callers[i]), 0);
    }
    while (stats_of(world).waiting < QUEUE)
        sched_yield();
    assert_int_equal(intake_take(world->intake, &parcels[QUEUE].outcomes, &answer, &world->err), -ERR_OUTCOMES_BUSY);
    assert_int_equal(stats_of(world).busy, 1);
    sem_post(&gate.open);
    pthread_join(looker.thread, NULL);
    assert_int_equal(looker.result, 0);
    for (int i = 0; i < QUEUE; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].result == 0 && !callers[i].answer.duplicate);
    }
    world_ok(world, intake_take(world->intake, &parcels[QUEUE].outcomes, &answer, &world->err));
    assert_false(answer.duplicate);
    check_counts(world, QUEUE + 1);
    for (int i = 0; i <= QUEUE; i++) {
        outcomes_deinit(&parcels[i].outcomes);
        str_deinit(&parcels[i].body);
    }
    sem_destroy(&gate.reached);
    sem_destroy(&gate.open);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_ends, world_setup, world_teardown),
        cmocka_unit_test(test_memory_ends_while_reading),
        cmocka_unit_test_setup_teardown(test_the_store_fails, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_a_full_queue_takes_nothing, world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
