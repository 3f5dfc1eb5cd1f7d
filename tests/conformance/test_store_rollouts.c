/* SPDX-License-Identifier: Apache-2.0 */
/* What every store keeps of rollouts, panics, templates and sessions, and what a ref depended on. Run once a driver: argv[1] is file, memory or fault. */
#include "conformance/kit.h"

#include <stdio.h>
#include <string.h>

static enum kit_driver driver;

#define HERE "production"

/* Two agents of four versions each, the first ones served; another environment where one is. */
static int setup(void **state) {
    char text[64];

    int r = kit_setup(state, driver);
    struct kit *kit = *state;
    if (r < 0) return r;
    kit_ok(kit, kit_environment(kit, HERE, true));
    kit_ok(kit, kit_environment(kit, "staging", false));
    for (int i = 0; i < 2; i++) {
        const char *agent = i ? "billing" : "support";
        kit_ok(kit, kit_agent(kit, agent, ""));
        for (int v = 1; v <= 4; v++) {
            snprintf(text, sizeof text, "%s says %d", agent, v);
            kit_ok(kit, kit_push(kit, agent, text));
        }
        kit_ok(kit, kit_deploy(kit, agent, HERE, 1, 0));
    }
    kit_ok(kit, kit_deploy(kit, "support", "staging", 1, 0));
    return 0;
}

static void move(struct kit *kit, const char *id, const char *action, enum rollout_state state, unsigned step,
                 int32_t share) {
    kit_ok(kit, kit_move(kit, &(struct kit_move){id, action, state, step, share, {NULL, 0}}));
}

static int64_t now_seq(struct kit *kit) {
    return kit_head(kit, NULL).seq;
}

/* ---- rollouts ---- */

static int check_rollout(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct rollout rollout;

    assert_int_equal(store_rollout_get(tx, "none", &kit->arena, &rollout, err), STORE_NONE);
    assert_int_equal(store_rollout_of(tx, "billing", HERE, 0, &kit->arena, &rollout, err), STORE_NONE);
    assert_int_equal(store_rollout_of(tx, "support", "staging", 0, &kit->arena, &rollout, err), STORE_NONE);
    assert_int_equal(store_rollout_of(tx, "support", HERE, 0, &kit->arena, &rollout, err), 0);
    assert_int_equal(store_rollout_get(tx, "r-1", &kit->arena, &rollout, err), 0);
    assert_string_equal(rollout.id, "r-1");
    assert_string_equal(rollout.agent, "support");
    assert_string_equal(rollout.environment, HERE);
    assert_string_equal(rollout.salt, "salt-r-1");
    assert_null(rollout.audience);
    assert_string_equal(rollout.plan, "{}");
    assert_string_equal(rollout.reason, "a better one");
    assert_string_equal(rollout.created_by, "key-1");
    assert_int_equal(rollout.candidate, 2);
    assert_int_equal(rollout.stable, 1);
    assert_int_equal(rollout.state, ROLLOUT_PAUSED);
    assert_int_equal(rollout.step, 1);
    assert_int_equal(rollout.share, 25000);
    assert_string_equal(rollout.words, "so it is");
    assert_string_equal(rollout.moved_by, "key-2");
    assert_int_equal(rollout.moved_seq, rollout.seq + 2);
    assert_true(rollout.created_at < rollout.step_at && rollout.step_at < rollout.moved_at);
    return 0;
}

static void a_rollout_is_kept(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    clock_fake_advance(&kit->clock, 1000);
    move(kit, "r-1", "advance", ROLLOUT_RUNNING, 1, 25000);
    clock_fake_advance(&kit->clock, 1000);
    move(kit, "r-1", "pause", ROLLOUT_PAUSED, 1, 25000); /* the step goes on since it began */
    kit_read(kit, check_rollout, kit);
    kit_reopen(kit);
    kit_read(kit, check_rollout, kit);
}

static void one_is_open_at_a_time(void **state) {
    struct kit *kit = *state;
    static const enum rollout_state open[] = {ROLLOUT_RUNNING, ROLLOUT_PAUSED, ROLLOUT_HELD},
                                    ends[] = {ROLLOUT_PROMOTED, ROLLOUT_ROLLED_BACK, ROLLOUT_ABORTED};
    char ids[6][8];

    kit_ok(kit, kit_rollout(kit, "r-0", "support", HERE, 1, 2));
    for (int i = 0; i < 3; i++) {
        snprintf(ids[i], sizeof ids[i], "r-%d", i + 1);
        const char *last = i ? ids[i - 1] : "r-0";
        for (int o = 0; o < 3; o++) {
            move(kit, last, "x", open[o], 0, 5000);
            assert_int_equal(kit_rollout(kit, ids[i], "support", HERE, 1, 2), -ERR_CONFLICT);
            assert_non_null(strstr(kit->err.message, last));
        }
        move(kit, last, "x", ends[i], 0, 0);
        kit_ok(kit, kit_rollout(kit, ids[i], "support", HERE, 1, 2));
    }
    kit_ok(kit, kit_rollout(kit, "other", "billing", HERE, 1, 2));
    kit_ok(kit, kit_rollout(kit, "there", "support", "staging", 1, 2));
}

static void what_is_not_there_is_not_moved(void **state) {
    struct kit *kit = *state;
    struct kit_move none = {"none", "pause", ROLLOUT_PAUSED, 0, 0, {NULL, 0}};

    assert_int_equal(kit_move(kit, &none), -ERR_CONFLICT);
    assert_true(kit_rollout(kit, "r-1", "support", HERE, 1, 9) < 0); /* a version that is not there */
}

struct as_of {
    struct kit *kit;
    int64_t seq;
    int state; /* -1: none */
    int32_t share;
};

static int check_as_of(void *arg, struct store_tx *tx, struct err *err) {
    const struct as_of *expected = arg;
    struct rollout rollout;

    int r = store_rollout_of(tx, "support", HERE, expected->seq, &expected->kit->arena, &rollout, err);
    assert_int_equal(r, expected->state < 0 ? STORE_NONE : 0);
    if (r) return 0;
    assert_int_equal(rollout.state, expected->state);
    assert_int_equal(rollout.share, expected->share);
    assert_int_equal(rollout.moved_seq, expected->seq);
    return 0;
}

static void it_stands_as_it_stood(void **state) {
    struct kit *kit = *state;
    struct as_of steps[8] = {{kit, now_seq(kit), -1, 0}};
    static const struct {
        enum rollout_state state;
        int32_t share;
        bool open;
    } moves[] = {{ROLLOUT_RUNNING, 25000, true}, {ROLLOUT_HELD, 25000, true}, {ROLLOUT_ROLLED_BACK, 0, false}};

    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    steps[1] = (struct as_of){kit, now_seq(kit), ROLLOUT_RUNNING, 5000};
    for (int i = 0; i < 3; i++) {
        move(kit, "r-1", "x", moves[i].state, 1, moves[i].share);
        steps[2 + i] = (struct as_of){kit, now_seq(kit), moves[i].open ? (int)moves[i].state : -1, moves[i].share};
    }
    kit_ok(kit, kit_rollout(kit, "r-2", "support", HERE, 1, 3));
    steps[5] = (struct as_of){kit, now_seq(kit), ROLLOUT_RUNNING, 5000};
    for (int i = 0; i < 6; i++)
        kit_read(kit, check_as_of, &steps[i]);
}

struct listing {
    struct kit *kit;
    struct store_rollouts_query query;
    const char *ids; /* expected, newest first */
};

static int check_listing(void *arg, struct store_tx *tx, struct err *err) {
    const struct listing *listing = arg;
    struct rollout *rollouts;
    char ids[200] = "";
    size_t count;

    assert_int_equal(store_rollouts(tx, &listing->query, &listing->kit->arena, &rollouts, &count, err), 0);
    for (size_t i = 0; i < count; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%s", i ? " " : "", rollouts[i].id);
    assert_string_equal(ids, listing->ids);
    if (count) {
        struct rollout rollout;
        assert_int_equal(store_rollout_get(tx, rollouts[0].id, &listing->kit->arena, &rollout, err), 0);
        assert_int_equal(rollout.moved_seq, rollouts[0].moved_seq);
    }
    return 0;
}

static void rollouts_are_listed(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_rollout(kit, "a", "support", HERE, 1, 2));
    int64_t first = now_seq(kit);
    move(kit, "a", "abort", ROLLOUT_ABORTED, 0, 0);
    kit_ok(kit, kit_rollout(kit, "b", "support", "staging", 1, 2));
    kit_ok(kit, kit_rollout(kit, "c", "billing", HERE, 1, 2));
    kit_ok(kit, kit_rollout(kit, "d", "support", HERE, 1, 3));
    int64_t last = now_seq(kit);
    move(kit, "d", "pause", ROLLOUT_PAUSED, 0, 5000);
    const struct listing listings[] = {
        {kit, {.limit = 10}, "d c b a"},
        {kit, {.limit = 2}, "d c"},
        {kit, {.limit = 10, .before = last}, "c b a"},
        {kit, {.limit = 10, .before = first}, ""},
        {kit, {.limit = 10, .agent = "support"}, "d b a"},
        {kit, {.limit = 10, .environment = HERE}, "d c a"},
        {kit, {.limit = 10, .agent = "support", .environment = HERE}, "d a"},
        {kit, {.limit = 10, .agent = "support", .environment = HERE, .candidate = 2}, "a"},
        {kit, {.limit = 10, .open = true}, "d c b"},
        {kit, {.limit = 10, .open = true, .agent = "support"}, "d b"},
        {kit, {.limit = 10, .open = true, .environment = HERE}, "d c"},
        {kit, {.limit = 10, .open = true, .agent = "support", .environment = HERE}, "d"},
        {kit, {.limit = 1, .open = true, .before = last}, "c"},
        {kit, {.limit = 10, .agent = "nobody"}, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(listings); i++)
        kit_read(kit, check_listing, (void *)(uintptr_t)&listings[i]);
}

static const char odd_bytes[] = {0, 1, (char)0xff, 'a', 0, '\n'};

static int check_journal(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct rollout_move *moves;
    size_t count;

    assert_int_equal(store_rollout_moves(tx, "r-1", 0, 10, true, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(moves[0].action, "pause");
    assert_string_equal(moves[1].action, "advance");
    assert_string_equal(moves[2].action, "start");
    assert_int_equal(moves[1].evidence.len, sizeof odd_bytes);
    assert_memory_equal(moves[1].evidence.ptr, odd_bytes, sizeof odd_bytes);
    assert_int_equal(moves[0].evidence.len, 0);
    assert_string_equal(moves[2].words, "a better one");
    assert_string_equal(moves[1].created_by, "key-2");
    assert_int_equal(moves[1].step, 1);
    int64_t second = moves[1].seq;
    assert_int_equal(store_rollout_moves(tx, "r-1", second, 10, true, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(store_rollout_moves(tx, "r-1", 0, 2, false, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(moves[1].evidence.len, 0);
    assert_int_equal(store_rollout_moves(tx, "none", 0, 2, false, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void the_journal_keeps_every_byte(void **state) {
    struct kit *kit = *state;
    struct kit_move advance = {"r-1", "advance", ROLLOUT_RUNNING, 1, 25000, {odd_bytes, sizeof odd_bytes}};

    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    kit_ok(kit, kit_move(kit, &advance));
    move(kit, "r-1", "pause", ROLLOUT_PAUSED, 1, 25000);
    kit_read(kit, check_journal, kit);
}

/* ---- eras ---- */

struct look {
    struct kit *kit;
    int64_t seq, since;
    size_t limit;
    const char *eras; /* "version[:candidate/share]" newest first */
    int64_t last_from;
};

static int check_eras(void *arg, struct store_tx *tx, struct err *err) {
    const struct look *look = arg;
    struct deployment ref = {.agent = "support", .environment = HERE};
    struct era *eras;
    char found[400] = "";
    size_t count;

    assert_int_equal(store_eras(tx, &ref, look->seq, look->since, look->limit, &look->kit->arena, &eras, &count, err),
                     0);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(found);
        if (eras[i].candidate)
            snprintf(found + len, sizeof found - len, "%s%lld:%lld/%d", i ? " " : "", (long long)eras[i].version,
                     (long long)eras[i].candidate, eras[i].share);
        else
            snprintf(found + len, sizeof found - len, "%s%lld", i ? " " : "", (long long)eras[i].version);
        assert_int_equal(eras[i].salt != NULL, eras[i].candidate != 0);
        if (i) assert_true(eras[i].from < eras[i - 1].from);
    }
    assert_string_equal(found, look->eras);
    if (look->last_from) assert_int_equal(eras[count - 1].from, look->last_from);
    return 0;
}

static void eras(struct kit *kit, int64_t seq, int64_t since, size_t limit, const char *expected, int64_t last_from) {
    struct look look = {kit, seq, since, limit, expected, last_from};
    kit_read(kit, check_eras, &look);
}

static int64_t tick(struct kit *kit) {
    int64_t at;
    kit_head(kit, &at);
    clock_fake_advance(&kit->clock, 1000000);
    return at;
}

static void a_ref_depended_on(void **state) {
    struct kit *kit = *state;
    int64_t at[12], seq[12];
    int n = 0;

    tick(kit);
#define NOTE() (seq[n] = now_seq(kit), at[n++] = tick(kit))
    kit_ok(kit, kit_deploy(kit, "support", HERE, 2, 1));
    NOTE(); /* 0 */
    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 2, 3));
    NOTE(); /* 1 */
    move(kit, "r-1", "pause", ROLLOUT_PAUSED, 0, 5000);
    NOTE(); /* 2: the same era */
    move(kit, "r-1", "advance", ROLLOUT_RUNNING, 1, 25000);
    NOTE();                                              /* 3 */
    kit_ok(kit, kit_deploy(kit, "billing", HERE, 2, 1)); /* no matter */
    NOTE();                                              /* 4 */
    kit_ok(kit, kit_promote(kit, "r-1", "support", HERE, 3, 2));
    NOTE(); /* 5: one change moves both */
    kit_ok(kit, kit_rollout(kit, "r-2", "support", HERE, 3, 4));
    NOTE(); /* 6 */
    move(kit, "r-2", "rollback", ROLLOUT_ROLLED_BACK, 0, 0);
    NOTE(); /* 7 */

    eras(kit, 0, at[7], 10, "3", at[7]);
    eras(kit, 0, at[7] + 5, 10, "3", at[7]);
    eras(kit, 0, at[6], 10, "3 3:4/5000", at[6]);
    eras(kit, 0, at[5], 10, "3 3:4/5000 3", at[5]);
    eras(kit, 0, at[4], 10, "3 3:4/5000 3 2:3/25000", at[3]);
    eras(kit, 0, at[3], 10, "3 3:4/5000 3 2:3/25000", at[3]);
    eras(kit, 0, at[2], 10, "3 3:4/5000 3 2:3/25000 2:3/5000", 0);
    eras(kit, 0, at[1], 10, "3 3:4/5000 3 2:3/25000 2:3/5000", at[1]);
    eras(kit, 0, 0, 10, "3 3:4/5000 3 2:3/25000 2:3/5000 2 1", 0);
    eras(kit, 0, 0, 3, "3 3:4/5000 3", at[5]);
    eras(kit, 0, 0, 1, "3", at[7]);
    eras(kit, seq[7], at[6], 10, "3 3:4/5000", at[6]);
    eras(kit, seq[6], at[6], 10, "3:4/5000", at[6]);
    eras(kit, seq[5], at[3], 10, "3 2:3/25000", at[3]);
    eras(kit, seq[4], at[0], 10, "2:3/25000 2:3/5000 2", at[0]);
    eras(kit, seq[0], 0, 10, "2 1", 0);
    eras(kit, 1, 0, 10, "", 0);
}

struct left {
    struct kit *kit;
    int64_t version, seq, at; /* at 0: never */
};

static int check_left(void *arg, struct store_tx *tx, struct err *err) {
    const struct left *left = arg;
    struct deployment ref = {.agent = "support", .environment = HERE};
    int64_t at = -1;

    int r = store_left_at(tx, &ref, left->version, left->seq, &at, err);
    assert_int_equal(r, left->at ? 0 : STORE_NONE);
    if (r == 0) assert_int_equal(at, left->at);
    return 0;
}

static void versions_are_left_by_going_back(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_deploy(kit, "support", HERE, 2, 1));
    kit_ok(kit, kit_deploy(kit, "support", HERE, 3, 2)); /* forward: nobody was sent back */
    tick(kit);
    kit_ok(kit, kit_deploy(kit, "support", HERE, 2, 3)); /* a rollback */
    int64_t back_seq = now_seq(kit), back = tick(kit);
    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 2, 4));
    move(kit, "r-1", "abort", ROLLOUT_ABORTED, 0, 0);
    kit_ok(kit, kit_rollout(kit, "r-2", "support", HERE, 2, 4));
    tick(kit);
    move(kit, "r-2", "rollback", ROLLOUT_ROLLED_BACK, 0, 0);
    int64_t undone_seq = now_seq(kit), undone = tick(kit);
    kit_ok(kit, kit_rollout(kit, "r-3", "support", HERE, 2, 3));
    tick(kit);
    move(kit, "r-3", "rollback", ROLLOUT_ROLLED_BACK, 0, 0);
    int64_t again = tick(kit);
    const struct left cases[] = {
        {kit, 1, 0, 0},           {kit, 2, 0, 0},
        {kit, 3, 0, again},       {kit, 3, undone_seq, back},
        {kit, 3, back_seq, back}, {kit, 3, back_seq - 1, 0},
        {kit, 4, 0, undone},      {kit, 4, undone_seq - 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        kit_read(kit, check_left, (void *)(uintptr_t)&cases[i]);
}

/* ---- panics ---- */

static int check_panics(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct panic panic, *panics;
    int64_t at;
    struct position head;
    size_t count;

    assert_int_equal(store_panic_get(tx, "billing", HERE, 0, &kit->arena, &panic, err), STORE_NONE);
    assert_int_equal(store_panic_get(tx, "support", HERE, 0, &kit->arena, &panic, err), 0);
    assert_int_equal(panic.version, 3);
    assert_string_equal(panic.reason, "fire");
    assert_string_equal(panic.created_by, "key-1");
    assert_int_equal(store_panic_get(tx, "", HERE, 0, &kit->arena, &panic, err), 0);
    assert_int_equal(panic.version, PANIC_STABLE);
    assert_int_equal(store_head(tx, &head, &at, err), 0);
    assert_int_equal(store_panic_get(tx, "support", HERE, head.seq - 2, &kit->arena, &panic, err), 0);
    assert_int_equal(panic.version, PANIC_DISABLED);
    assert_int_equal(store_panic_get(tx, "support", HERE, head.seq - 3, &kit->arena, &panic, err), STORE_NONE);
    assert_int_equal(store_panic_get(tx, "support", HERE, head.seq - 4, &kit->arena, &panic, err), 0);
    assert_int_equal(panic.version, 2);
    assert_int_equal(store_panics(tx, NULL, &kit->arena, &panics, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(panics[0].agent, "");
    assert_string_equal(panics[1].agent, "support");
    assert_int_equal(store_panics(tx, "staging", &kit->arena, &panics, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void panics_are_called_and_released(void **state) {
    struct kit *kit = *state;

    assert_int_equal(kit_panic(kit, "support", HERE, 0, false), STORE_NONE);
    kit_ok(kit, kit_panic(kit, "support", HERE, 2, true));
    kit_ok(kit, kit_panic(kit, "support", HERE, 0, false));
    kit_ok(kit, kit_panic(kit, "support", HERE, PANIC_DISABLED, true));
    kit_ok(kit, kit_panic(kit, "support", HERE, 3, true));
    kit_ok(kit, kit_panic(kit, "", HERE, PANIC_STABLE, true));
    kit_read(kit, check_panics, kit);
    kit_reopen(kit);
    kit_read(kit, check_panics, kit);
}

/* ---- templates, sessions ---- */

static int check_templates(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct rollout_template found, *all;
    size_t count;

    assert_int_equal(store_template_get(tx, "none", &kit->arena, &found, err), STORE_NONE);
    assert_int_equal(store_template_get(tx, "ours", &kit->arena, &found, err), 0);
    assert_string_equal(found.content, "{\"steps\":[]}");
    assert_string_equal(found.description, "ours");
    assert_string_equal(found.created_by, "key-1");
    assert_true(found.seq > 0);
    assert_int_equal(store_templates(tx, &kit->arena, &all, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(all[0].name, "fast");
    return 0;
}

static void templates_are_written_over(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_template(kit, "ours", "{}"));
    kit_ok(kit, kit_template(kit, "fast", "{}"));
    kit_ok(kit, kit_template(kit, "ours", "{\"steps\":[]}"));
    kit_read(kit, check_templates, kit);
}

static int read_session(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct agent agent, *agents;
    size_t count;

    int r = store_agent_get(tx, "support", &kit->arena, &agent, err);
    assert_int_equal(r, 0);
    assert_int_equal(store_agents(tx, "", 10, &kit->arena, &agents, &count, err), 0);
    assert_int_equal(agents[0].session, SESSION_PIN);
    assert_int_equal(agents[1].session, agent.session);
    return agent.session == SESSION_FOLLOW ? 2 : 3;
}

static void sessions_hold_to_a_policy(void **state) {
    struct kit *kit = *state;

    assert_int_equal(store_read(kit->store, read_session, kit, &kit->err), 3);
    kit_ok(kit, kit_session(kit, "support", SESSION_FOLLOW));
    assert_int_equal(store_read(kit->store, read_session, kit, &kit->err), 2);
    kit_ok(kit, kit_session(kit, "support", SESSION_PIN));
    assert_int_equal(store_read(kit->store, read_session, kit, &kit->err), 3);
}

/* ---- touches ---- */

struct touched {
    struct kit *kit;
    const char *refs;
};

/* The touches of the newest change. */
static int check_touched(void *arg, struct store_tx *tx, struct err *err) {
    const struct touched *touched = arg;
    struct store_touch *touches;
    struct position head;
    char found[200] = "";
    int64_t at;
    size_t count;

    assert_int_equal(store_head(tx, &head, &at, err), 0);
    for (size_t limit = 1; limit < 10; limit += 3) {
        *found = 0;
        assert_int_equal(store_touches(tx, head.seq - 1, limit, &touched->kit->arena, &touches, &count, err), 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(touches[i].seq, head.seq);
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s/%s", i ? " " : "", touches[i].agent,
                     touches[i].environment);
        }
        assert_string_equal(found, touched->refs);
    }
    return 0;
}

static void touched(struct kit *kit, const char *refs) {
    struct touched expected = {kit, refs};
    kit_read(kit, check_touched, &expected);
}

static void changes_touch_their_refs(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    touched(kit, "support/production");
    move(kit, "r-1", "pause", ROLLOUT_PAUSED, 0, 5000);
    touched(kit, "support/production");
    kit_ok(kit, kit_promote(kit, "r-1", "support", HERE, 2, 1));
    touched(kit, "support/production");
    kit_ok(kit, kit_panic(kit, "support", HERE, 1, true));
    touched(kit, "support/production");
    kit_ok(kit, kit_panic(kit, "", HERE, PANIC_STABLE, true));
    touched(kit, "billing/production support/production");
    kit_ok(kit, kit_panic(kit, "", HERE, PANIC_STABLE, false));
    touched(kit, "billing/production support/production");
    kit_ok(kit, kit_session(kit, "support", SESSION_FOLLOW));
    touched(kit, "support/ support/production support/staging");
    kit_ok(kit, kit_session(kit, "support", SESSION_FOLLOW)); /* a new description: no ref is another */
    touched(kit, "support/");
    kit_ok(kit, kit_template(kit, "ours", "{}"));
    touched(kit, "");
}

/* ---- derived ---- */

static void rebuilding_changes_nothing(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    clock_fake_advance(&kit->clock, 1000);
    move(kit, "r-1", "advance", ROLLOUT_RUNNING, 1, 25000);
    move(kit, "r-1", "pause", ROLLOUT_PAUSED, 1, 25000);
    kit_ok(kit, kit_rollout(kit, "r-2", "billing", HERE, 1, 2));
    move(kit, "r-2", "abort", ROLLOUT_ABORTED, 0, 0);
    kit_ok(kit, kit_panic(kit, "", HERE, PANIC_STABLE, true));
    kit_ok(kit, kit_panic(kit, "support", HERE, 2, true));
    kit_ok(kit, kit_panic(kit, "support", HERE, 2, false));
    kit_ok(kit, kit_template(kit, "ours", "{}"));
    kit_ok(kit, kit_session(kit, "support", SESSION_FOLLOW));
    kit_ok(kit, kit_push(kit, "support", "after the session"));
    kit_ok(kit, store_derived_check(kit->store, &kit->err));
    struct sha256 before = kit_fingerprint(kit);
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    struct sha256 after = kit_fingerprint(kit);
    assert_memory_equal(&before, &after, sizeof before);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_rollout_is_kept, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(one_is_open_at_a_time, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_not_moved, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(it_stands_as_it_stood, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(rollouts_are_listed, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_journal_keeps_every_byte, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_ref_depended_on, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(versions_are_left_by_going_back, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(panics_are_called_and_released, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(templates_are_written_over, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(sessions_hold_to_a_policy, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(changes_touch_their_refs, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(rebuilding_changes_nothing, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "fault") == 0 ? KIT_FAULT : strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
