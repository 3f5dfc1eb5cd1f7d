/* SPDX-License-Identifier: Apache-2.0 */
/* Order, time, epochs, touches, the rules of a change, and rebuilding. Run once a driver: argv[1] is file, memory or fault. */
#include "conformance/kit.h"

#include <stdio.h>
#include <string.h>

#define HOUR INT64_C(3600000000)

static enum kit_driver driver;

static int setup(void **state) {
    return kit_setup(state, driver);
}

static void assert_position(struct position position, int64_t epoch, int64_t seq) {
    assert_int_equal(position.epoch, epoch);
    assert_int_equal(position.seq, seq);
}

static void a_new_store_is_empty_and_has_a_schema(void **state) {
    struct kit *kit = *state;
    int64_t at;

    assert_position(kit_head(kit, &at), 1, 0);
    assert_int_equal(at, 0);
    assert_int_equal(store_schema_from(kit->store), 0);
    assert_true(store_schema(kit->store) >= 1);
    int schema = store_schema(kit->store);
    kit_reopen(kit);
    assert_int_equal(store_schema_from(kit->store), schema);
    assert_int_equal(store_schema(kit->store), schema);
}

/* ---- time ---- */

static void time_never_goes_back(void **state) {
    struct kit *kit = *state;
    int64_t first, second, third;

    kit_ok(kit, kit_agent(kit, "a", ""));
    kit_head(kit, &first);
    assert_int_equal(first, KIT_START);
    clock_fake_set_wall(&kit->clock, KIT_START - 24 * HOUR);
    kit_ok(kit, kit_agent(kit, "b", ""));
    kit_head(kit, &second);
    assert_int_equal(second, first + 1);
    kit_reopen(kit);
    kit_ok(kit, kit_agent(kit, "c", ""));
    kit_head(kit, &third);
    assert_int_equal(third, first + 2);
    clock_fake_set_wall(&kit->clock, KIT_START + HOUR);
    kit_ok(kit, kit_agent(kit, "d", ""));
    assert_position(kit_head(kit, &third), 1, 4);
    assert_int_equal(third, KIT_START + HOUR);
    kit_verify_chain(kit);
}

struct at_query {
    int64_t at;
    struct position position;
    int result;
};

static int position_at_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct at_query *query = arg;

    query->result = store_position_at(tx, query->at, &query->position, err);
    return 0;
}

static int64_t seq_at(struct kit *kit, int64_t at) {
    struct at_query query = {.at = at};

    kit_read(kit, position_at_fn, &query);
    return query.result == 0 ? query.position.seq : -query.result;
}

static void a_moment_has_a_position(void **state) {
    struct kit *kit = *state;

    assert_int_equal(seq_at(kit, INT64_MAX), -STORE_NONE);
    for (int i = 0; i < 37; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        kit_ok(kit, kit_agent(kit, name, "")); /* seq i + 1 at START + i hours */
        clock_fake_advance(&kit->clock, HOUR);
    }
    assert_int_equal(seq_at(kit, KIT_START - 1), -STORE_NONE);
    assert_int_equal(seq_at(kit, 0), -STORE_NONE);
    for (int64_t i = 0; i < 37; i++) {
        assert_int_equal(seq_at(kit, KIT_START + i * HOUR), i + 1);
        assert_int_equal(seq_at(kit, KIT_START + i * HOUR + HOUR - 1), i + 1);
    }
    assert_int_equal(seq_at(kit, INT64_MAX), 37);
}

/* ---- epochs ---- */

struct known_query {
    struct position position;
    int64_t at;
    int result;
};

static int known_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct known_query *query = arg;

    query->result = store_position_known(tx, query->position, &query->at, err);
    return 0;
}

static bool known(struct kit *kit, int64_t epoch, int64_t seq) {
    struct known_query query = {.position = {epoch, seq}};

    kit_read(kit, known_fn, &query);
    return query.result == 0;
}

static int64_t time_of(struct kit *kit, int64_t epoch, int64_t seq) {
    struct known_query query = {.position = {epoch, seq}, .at = -1};

    kit_read(kit, known_fn, &query);
    return query.at;
}

static void positions_have_the_time_of_their_change(void **state) {
    struct kit *kit = *state;
    int64_t first, second;

    assert_int_equal(time_of(kit, 1, 0), 0);
    kit_ok(kit, kit_agent(kit, "a", ""));
    kit_head(kit, &first);
    kit_ok(kit, kit_agent(kit, "b", ""));
    kit_head(kit, &second);
    assert_true(first < second);
    assert_int_equal(time_of(kit, 1, 1), first);
    assert_int_equal(time_of(kit, 1, 2), second);
    assert_int_equal(time_of(kit, 1, 3), -1);
}

static void epochs_tell_histories_apart(void **state) {
    struct kit *kit = *state;

    assert_true(known(kit, 1, 0));
    assert_false(known(kit, 1, 1));
    kit_ok(kit, kit_agent(kit, "a", ""));
    kit_ok(kit, kit_agent(kit, "b", ""));
    assert_true(known(kit, 1, 2));
    assert_false(known(kit, 1, 3));
    assert_false(known(kit, 2, 2));
    assert_false(known(kit, 0, 1));

    kit_ok(kit, store_epoch_begin(kit->store, 0, "restored from a backup", &kit->err));
    assert_position(kit_head(kit, NULL), 2, 3);
    assert_true(known(kit, 1, 2));
    assert_false(known(kit, 1, 3)); /* the tail that was lost */
    assert_false(known(kit, 2, 2));
    assert_true(known(kit, 2, 3));
    assert_false(known(kit, 2, 4));
    kit_reopen(kit);
    kit_ok(kit, kit_agent(kit, "c", ""));
    assert_position(kit_head(kit, NULL), 2, 4);
    kit_verify_chain(kit);
    kit_ok(kit, store_epoch_begin(kit->store, 1, "again", &kit->err));
    assert_true(known(kit, 2, 4));
    assert_false(known(kit, 2, 5));
    assert_true(known(kit, 3, 5));
}

/* ---- the rules of a change ---- */

enum breach {
    NO_POSITION,
    NO_AUDIT,
    TWO_POSITIONS,
    TWO_AUDITS,
    OTHER_POSITION,
    FAILURE_OVERLOOKED,
    OUTCOME,
    NOTHING_DONE,
};

static int put_agent(struct store_tx *tx, const struct kit_change *change, struct err *err) {
    struct agent agent = {.name = "x", .description = "", .created_by = "k", .seq = change->position.seq};
    return store_agent_put(tx, &agent, err);
}

static int breach_fn(void *arg, struct store_tx *tx, struct err *err) {
    enum breach breach = *(enum breach *)arg;
    struct kit_change change = {.position = {1, 1}};

    if (breach == NOTHING_DONE) return 0;
    if (breach == NO_POSITION) return put_agent(tx, &change, err);
    int r = kit_begin(tx, &change, err);
    if (r == 0 && breach == TWO_POSITIONS) r = kit_begin(tx, &change, err);
    if (r == 0) r = put_agent(tx, &change, err);
    if (r < 0) return r;
    if (breach == NO_AUDIT) return 0;
    if (breach == OUTCOME) return 42;
    if (breach == OTHER_POSITION) change.position.seq++;
    if (breach == FAILURE_OVERLOOKED && put_agent(tx, &change, err) != -ERR_CONFLICT) return 43;
    r = kit_end(tx, &change, "agent.put", "x", "", err);
    if (r == 0 && breach == TWO_AUDITS) r = kit_end(tx, &change, "agent.put", "x", "", err);
    return r;
}

static void a_change_that_breaks_the_rules_leaves_nothing(void **state) {
    struct kit *kit = *state;
    static const struct {
        enum breach breach;
        int answer;
    } cases[] = {
        {NO_POSITION, -ERR_INTERNAL},
        {NO_AUDIT, -ERR_INTERNAL},
        {TWO_POSITIONS, -ERR_INTERNAL},
        {TWO_AUDITS, -ERR_INTERNAL},
        {OTHER_POSITION, -ERR_INTERNAL},
        {FAILURE_OVERLOOKED, -ERR_CONFLICT},
        {OUTCOME, 42},
        {NOTHING_DONE, 0},
    };

    kit_ok(kit, kit_agent(kit, "first", ""));
    struct sha256 before = kit_fingerprint(kit);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum breach breach = cases[i].breach;
        assert_int_equal(store_write(kit->store, breach_fn, &breach, &kit->err), cases[i].answer);
        struct sha256 after = kit_fingerprint(kit);
        assert_memory_equal(&before, &after, sizeof before);
    }
    kit_ok(kit, kit_agent(kit, "second", ""));
    assert_position(kit_head(kit, NULL), 1, 2);
}

static int write_in_read(void *arg, struct store_tx *tx, struct err *err) {
    struct kit_change change = {.position = {1, 1}};

    assert_int_equal(kit_begin(tx, &change, err), -ERR_INTERNAL);
    assert_int_equal(put_agent(tx, &change, err), -ERR_INTERNAL);
    return 7;
}

static void readers_cannot_write(void **state) {
    struct kit *kit = *state;

    assert_int_equal(store_read(kit->store, write_in_read, NULL, NULL), 7);
    assert_position(kit_head(kit, NULL), 1, 0);
}

/* ---- touches ---- */

struct touches_query {
    struct kit *kit;
    int64_t after;
    size_t limit;
    struct store_touch *touches;
    size_t count;
};

static int touches_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct touches_query *query = arg;
    return store_touches(tx, query->after, query->limit, &query->kit->arena, &query->touches, &query->count, err);
}

static struct touches_query touches(struct kit *kit, int64_t after, size_t limit) {
    struct touches_query query = {.kit = kit, .after = after, .limit = limit};

    kit_read(kit, touches_fn, &query);
    return query;
}

static void assert_touch(const struct store_touch *touch, int64_t seq, const char *agent, const char *environment,
                         enum store_touched what) {
    assert_int_equal(touch->seq, seq);
    assert_string_equal(touch->agent, agent);
    assert_string_equal(touch->environment, environment);
    assert_int_equal(touch->what, what);
}

static void every_change_tells_what_it_touched(void **state) {
    struct kit *kit = *state;
    struct kit_release release = {
        .id = "r-1", .environment = "prod", .agents = {"b", "a"}, .versions = {1, 1}, .previous = {0, 1}};

    kit_ok(kit, kit_environment(kit, "prod", false));          /* 1 */
    kit_ok(kit, kit_agent(kit, "a", ""));                      /* 2 */
    kit_ok(kit, kit_agent(kit, "b", ""));                      /* 3 */
    kit_ok(kit, kit_push(kit, "a", "one"));                    /* 4 */
    kit_ok(kit, kit_push(kit, "b", "one"));                    /* 5 */
    kit_ok(kit, kit_deploy(kit, "a", "prod", 1, 0));           /* 6 */
    kit_ok(kit, kit_release(kit, &release));                   /* 7: two refs */
    kit_ok(kit, kit_hold(kit, "a", "prod", true));             /* 8 */
    kit_ok(kit, kit_hold(kit, "a", "prod", false));            /* 9 */
    kit_ok(kit, kit_override(kit, "b", "prod", "vip", 1));     /* 10 */
    kit_ok(kit, kit_override_remove(kit, "b", "prod", "vip")); /* 11 */
    kit_ok(kit, kit_key(kit, "k-1", ROLE_ADMIN));              /* 12 */
    kit_ok(kit, kit_key_revoke(kit, "k-1"));                   /* 13 */
    kit_ok(kit, kit_answer(kit, "once", "{}"));                /* 14: nothing that a snapshot shows */

    struct touches_query all = touches(kit, 0, 100);
    assert_int_equal(all.count, 14);
    assert_touch(&all.touches[0], 1, "", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[1], 2, "a", "", TOUCHED_NOUNS);
    assert_touch(&all.touches[4], 5, "b", "", TOUCHED_NOUNS);
    assert_touch(&all.touches[5], 6, "a", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[6], 7, "a", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[7], 7, "b", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[8], 8, "a", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[11], 11, "b", "prod", TOUCHED_NOUNS);
    assert_touch(&all.touches[12], 12, "", "", TOUCHED_KEYS);
    assert_touch(&all.touches[13], 13, "", "", TOUCHED_KEYS);

    assert_int_equal(touches(kit, 13, 100).count, 0);
    assert_int_equal(touches(kit, 5, 2).count, 1); /* 6; 7 would be split */
    assert_int_equal(touches(kit, 6, 1).count, 2); /* 7 alone is larger than the limit */
    assert_int_equal(touches(kit, 6, 2).count, 2);
    assert_int_equal(touches(kit, 0, 14).count, 14);
    size_t seen = 0;
    for (int64_t after = 0;;) {
        struct touches_query page = touches(kit, after, 3);
        if (!page.count) break;
        seen += page.count;
        after = page.touches[page.count - 1].seq;
    }
    assert_int_equal(seen, 14);
}

/* ---- audit ---- */

static int audit_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct audit_entry *entries;
    size_t count;

    assert_int_equal(store_audit(tx, 1, 1, &kit->arena, &entries, &count, err), 0);
    assert_int_equal(count, 1);
    assert_position(entries[0].position, 1, 2);
    assert_string_equal(entries[0].operation, "environment.put");
    assert_string_equal(entries[0].environment, "prod");
    assert_string_equal(entries[0].agent, "");
    assert_string_equal(entries[0].actor, "key-1");
    assert_string_equal(entries[0].actor_name, "tester");
    assert_string_equal(entries[0].reason, "because");
    assert_string_equal(entries[0].detail, "{\"n\":1}");
    assert_int_equal(store_audit(tx, 3, 10, &kit->arena, &entries, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void the_audit_is_a_chain_read_by_cursor(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_agent(kit, "a", ""));
    kit_ok(kit, kit_environment(kit, "prod", true));
    kit_ok(kit, kit_push(kit, "a", "one"));
    kit_read(kit, audit_fn, kit);
    kit_verify_chain(kit);
}

/* ---- rebuilding ---- */

static void tell_a_story(struct kit *kit) {
    kit_ok(kit, kit_environment(kit, "prod", false));
    kit_ok(kit, kit_environment(kit, "staging", false));
    kit_ok(kit, kit_environment(kit, "prod", true));
    kit_ok(kit, kit_agent(kit, "a", "one"));
    kit_ok(kit, kit_agent(kit, "b", "two"));
    kit_ok(kit, kit_push(kit, "a", "one"));
    kit_ok(kit, kit_push(kit, "a", "two"));
    kit_ok(kit, kit_agent(kit, "a", "new words"));
    kit_ok(kit, kit_push(kit, "b", "one"));
    kit_ok(kit, kit_deploy(kit, "a", "prod", 2, 0));
    kit_ok(kit, kit_deploy(kit, "a", "prod", 1, 2));
    kit_ok(kit, kit_deploy(kit, "b", "staging", 1, 0));
    kit_ok(kit, kit_hold(kit, "a", "prod", true));
    kit_ok(kit, kit_hold(kit, "b", "prod", true));
    kit_ok(kit, kit_hold(kit, "b", "prod", false));
    kit_ok(kit, kit_override(kit, "a", "prod", "vip", 1));
    kit_ok(kit, kit_override(kit, "a", "prod", "old", 1));
    kit_ok(kit, kit_override(kit, "a", "prod", "vip", 2));
    kit_ok(kit, kit_override_remove(kit, "a", "prod", "old"));
}

static void spoil_derived(struct kit *kit) {
    struct db *db;

    if (kit->driver != KIT_MEMORY) kit_close(kit);
    assert_int_equal(db_open(kit->url, DB_WRITER, &db, NULL), 0);
    assert_int_equal(db_exec(db,
                             "DELETE FROM agents_now; DELETE FROM environments_now; UPDATE refs_now SET version = 9;"
                             "INSERT INTO holds_now VALUES ('x', 'y', '', '', 0, 0); DELETE FROM overrides_now",
                             NULL),
                     0);
    db_close(db);
    if (kit->driver != KIT_MEMORY) assert_int_equal(kit_open(kit), 0);
}

static void rebuilding_changes_nothing(void **state) {
    struct kit *kit = *state;
    struct sha256 spoilt, after;

    tell_a_story(kit);
    struct position head = kit_head(kit, NULL);
    struct sha256 before = kit_fingerprint(kit);
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    after = kit_fingerprint(kit);
    assert_memory_equal(&before, &after, sizeof before);
    assert_position(kit_head(kit, NULL), head.epoch, head.seq);

    spoil_derived(kit);
    kit_ok(kit, store_derived_hash(kit->store, &spoilt, &kit->err));
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    after = kit_fingerprint(kit);
    assert_memory_equal(&before, &after, sizeof before);
    kit_ok(kit, store_derived_hash(kit->store, &after, &kit->err));
    assert_memory_not_equal(&spoilt, &after, sizeof after);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_store_is_empty_and_has_a_schema, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(time_never_goes_back, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_moment_has_a_position, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(positions_have_the_time_of_their_change, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(epochs_tell_histories_apart, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_change_that_breaks_the_rules_leaves_nothing, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(readers_cannot_write, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(every_change_tells_what_it_touched, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_audit_is_a_chain_read_by_cursor, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(rebuilding_changes_nothing, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : strcmp(argv[1], "fault") == 0 ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
