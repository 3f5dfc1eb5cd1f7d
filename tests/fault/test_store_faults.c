/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every driver call of a story fails once, for every way to fail. After each failure the store must be as before the change or, where the
 * answer was UNKNOWN_OUTCOME, as after it; and it must go on: the change is made again and the story ends as it always does.
 *
 * What a state is, the fingerprint says: derived tables, verified audit chain, versions, moves, releases, keys, answers, touches.
 */
#include "conformance/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* ---- the story ---- */

static int deploy_two(struct kit *kit) {
    static const struct kit_release release = {
        .id = "r-1", .environment = "prod", .agents = {"a", "b"}, .versions = {2, 1}, .previous = {1, 0}};
    return kit_release(kit, &release);
}

static int step(struct kit *kit, int number) {
    switch (number) {
    case 0:
        return kit_environment(kit, "prod", true);
    case 1:
        return kit_agent(kit, "a", "words");
    case 2:
        return kit_agent(kit, "b", "");
    case 3:
        return kit_push(kit, "a", "one");
    case 4:
        return kit_push(kit, "a", "two");
    case 5:
        return kit_push(kit, "b", "one");
    case 6:
        return kit_deploy(kit, "a", "prod", 1, 0);
    case 7:
        return deploy_two(kit);
    case 8:
        return kit_deploy(kit, "a", "prod", 1, 2);
    case 9:
        return kit_hold(kit, "a", "prod", true);
    case 10:
        return kit_hold(kit, "a", "prod", false);
    case 11:
        return kit_override(kit, "a", "prod", "vip", 2);
    case 12:
        return kit_override_remove(kit, "a", "prod", "vip");
    case 13:
        return kit_key(kit, "k-1", ROLE_EDITOR);
    case 14:
        return kit_key_revoke(kit, "k-1");
    case 15:
        return kit_answer(kit, "once", "{}");
    case 16:
        return kit_rollout(kit, "r-a", "a", "prod", 1, 2);
    case 17:
        return kit_move(kit, &(struct kit_move){"r-a", "advance", ROLLOUT_RUNNING, 1, 25000, SLICE_LIT("seen")});
    case 18:
        return kit_promote(kit, "r-a", "a", "prod", 2, 1);
    case 19:
        return kit_panic(kit, "", "prod", PANIC_STABLE, true);
    case 20:
        return kit_panic(kit, "", "prod", PANIC_STABLE, false);
    case 21:
        return kit_session(kit, "a", SESSION_FOLLOW);
    case 22:
        return kit_template(kit, "ours", "{}");
    case 23:
        return store_epoch_begin(kit->store, 0, "restored", &kit->err);
    default:
        return store_rebuild(kit->store, &kit->err);
    }
}

#define STEPS 25

static struct sha256 fingerprint(struct kit *kit) {
    struct db_fault fault = kit->fault;

    kit->fault.fail_at = 0;
    struct sha256 hash = kit_fingerprint(kit);
    kit->fault.fail_at = fault.fail_at;
    kit->fault.calls = fault.calls;
    return hash;
}

static bool same(const struct sha256 *a, const struct sha256 *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

struct story {
    struct sha256 states[STEPS + 1]; /* before step 0, after step 0, … */
    uint64_t open_calls, calls;
};

static void tell(struct story *story) {
    struct kit kit;

    kit_init(&kit, KIT_FAULT_MEMORY);
    assert_int_equal(kit_open(&kit), 0);
    story->open_calls = kit.fault.calls;
    story->states[0] = fingerprint(&kit);
    for (int i = 0; i < STEPS; i++) {
        int r = step(&kit, i);
        if (r != 0) fail_msg("step %d answered %d: %s", i, r, kit.err.message);
        story->states[i + 1] = fingerprint(&kit);
    }
    story->calls = kit.fault.calls;
    kit_deinit(&kit);
}

struct way {
    enum err_code code;
    bool after;
};

/* One step that may fail; afterwards the store is as after it, without the change having been made twice. */
static bool step_and_recover(struct kit *kit, const struct story *story, int number, const struct way *way) {
    int r = step(kit, number);
    struct sha256 now = fingerprint(kit);

    if (r == 0) {
        if (!same(&now, &story->states[number + 1])) fail_msg("step %d succeeded with another state", number);
        return false;
    }
    if (r != -(int)way->code) fail_msg("step %d answered %d instead of %d", number, r, -(int)way->code);
    if (!kit->err.message[0]) fail_msg("step %d failed without a word", number);
    if (same(&now, &story->states[number]) || number == STEPS - 1) {
        r = step(kit, number);
        if (r != 0) fail_msg("step %d failed again: %d %s", number, r, kit->err.message);
    } else if (!way->after || !same(&now, &story->states[number + 1])) {
        fail_msg("step %d left half a change at call %llu", number, (unsigned long long)kit->fault.fail_at);
    }
    now = fingerprint(kit);
    if (!same(&now, &story->states[number + 1])) fail_msg("step %d could not be made good", number);
    return true;
}

static void fail_call(const struct story *story, uint64_t call, const struct way *way) {
    struct kit kit;
    bool failed = false;

    kit_init(&kit, KIT_FAULT_MEMORY);
    kit.fault = (struct db_fault){.fail_at = call, .code = way->code, .after = way->after};
    int r = kit_open(&kit);
    if (r != 0) {
        assert_int_equal(r, -(int)way->code);
        assert_true(call <= story->open_calls);
        assert_int_equal(kit_open(&kit), 0);
        failed = true;
    }
    for (int i = 0; i < STEPS; i++)
        failed |= step_and_recover(&kit, story, i, way);
    if (!failed) fail_msg("call %llu did not fail", (unsigned long long)call);
    kit_deinit(&kit);
}

static void every_call_fails(const struct way *way) {
    struct story story;

    tell(&story);
    assert_true(story.calls > 200);
    for (uint64_t call = 1; call <= story.calls; call += DB_FAULT_STRIDE)
        fail_call(&story, call, way);
}

static void the_disk_fails(void **state) {
    every_call_fails(&(struct way){ERR_STORE_IO, false});
}

static void the_disk_is_full(void **state) {
    every_call_fails(&(struct way){ERR_STORE_FULL, false});
}

static void the_answer_is_lost(void **state) {
    every_call_fails(&(struct way){ERR_UNKNOWN_OUTCOME, true});
}

/* ---- several changes in one commit ---- */

#define GROUP 6

struct member {
    pthread_t thread;
    struct kit kit;
    char agent[8];
    int result;
    atomic_int *arrived;
};

static void *join_group(void *arg) {
    struct member *member = arg;

    atomic_fetch_add(member->arrived, 1);
    member->result = kit_agent(&member->kit, member->agent, "words");
    return NULL;
}

struct opener {
    struct member *members;
    atomic_int arrived;
};

/* Holds the transaction open until the others wait in the queue, so that they share it; changes nothing itself. */
static int open_group(void *arg, struct store_tx *tx, struct err *err) {
    struct opener *opener = arg;

    for (int i = 0; i < GROUP; i++)
        assert_int_equal(pthread_create(&opener->members[i].thread, NULL, join_group, &opener->members[i]), 0);
    while (atomic_load(&opener->arrived) < GROUP)
        sched_yield();
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return 0;
}

static int agent_exists(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct agent agent;

    return store_agent_get(tx, arg, &arena, &agent, err);
}

/* Answers how many driver calls the group took. */
static uint64_t write_group(uint64_t fail_at, const struct way *way, int *ret_failed) {
    struct member members[GROUP];
    struct opener opener = {.members = members};
    struct kit kit;
    int failed = 0;

    kit_init(&kit, KIT_FAULT_MEMORY);
    assert_int_equal(kit_open(&kit), 0);
    for (int i = 0; i < GROUP; i++) {
        members[i] = (struct member){.kit = {.store = kit.store}, .arrived = &opener.arrived};
        snprintf(members[i].agent, sizeof members[i].agent, "m%d", i);
    }
    kit.fault.calls = 0;
    kit.fault.code = way->code;
    kit.fault.after = way->after;
    kit.fault.fail_at = fail_at;
    int r = store_write(kit.store, open_group, &opener, &kit.err);
    if (r != 0) assert_int_equal(r, -(int)way->code);
    for (int i = 0; i < GROUP && opener.arrived; i++)
        pthread_join(members[i].thread, NULL);
    uint64_t calls = kit.fault.calls;
    kit.fault.fail_at = 0;
    for (int i = 0; i < GROUP && opener.arrived; i++) {
        int exists = store_read(kit.store, agent_exists, members[i].agent, &kit.err);
        if (members[i].result == 0) assert_int_equal(exists, 0);
        if (members[i].result == 0) continue;
        failed++;
        assert_int_equal(members[i].result, -(int)way->code);
        assert_true(members[i].kit.err.message[0]);
        if (!way->after) assert_int_equal(exists, STORE_NONE);
    }
    kit_verify_chain(&kit);
    assert_int_equal(kit_agent(&kit, "later", ""), 0);
    kit_deinit(&kit);
    *ret_failed = failed;
    return calls;
}

static void a_shared_commit_fails_for_whom_it_must(void **state) {
    static const struct way ways[] = {{ERR_STORE_IO, false}, {ERR_UNKNOWN_OUTCOME, true}};
    int failed, worst = 0, least = GROUP;

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        uint64_t calls = write_group(0, &ways[i], &failed);
        assert_int_equal(failed, 0);
        for (uint64_t call = 1; call <= calls; call++) {
            write_group(call, &ways[i], &failed);
            worst = failed > worst ? failed : worst;
            least = failed && failed < least ? failed : least;
        }
    }
    assert_int_equal(worst, GROUP); /* the commit itself */
    assert_int_equal(least, 1);     /* a statement of one: the others were written again */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_fails),
        cmocka_unit_test(the_disk_is_full),
        cmocka_unit_test(the_answer_is_lost),
        cmocka_unit_test(a_shared_commit_fails_for_whom_it_must),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
