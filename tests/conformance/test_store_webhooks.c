/* SPDX-License-Identifier: Apache-2.0 */
/* What every store keeps of webhooks: definitions, secrets, how far the telling is, and what there is to tell. Run once a driver: argv[1] is file, memory or
 * fault. */
#include "conformance/kit.h"

#include <stdio.h>
#include <string.h>

static enum kit_driver driver;

#define HERE "production"

/* Two agents of two versions each, the first ones served in two environments. */
static int setup(void **state) {
    static const char *const agents[] = {"billing", "support"}, *const environments[] = {HERE, "staging"};

    int r = kit_setup(state, driver);
    struct kit *kit = *state;
    if (r < 0) return r;
    for (size_t i = 0; i < ARRAY_LEN(environments); i++)
        kit_ok(kit, kit_environment(kit, environments[i], false));
    for (size_t i = 0; i < ARRAY_LEN(agents); i++) {
        kit_ok(kit, kit_agent(kit, agents[i], ""));
        kit_ok(kit, kit_push(kit, agents[i], "one"));
        kit_ok(kit, kit_push(kit, agents[i], "two"));
        for (size_t j = 0; j < ARRAY_LEN(environments); j++)
            kit_ok(kit, kit_deploy(kit, agents[i], environments[j], 1, 0));
    }
    return 0;
}

/* ---- reading ---- */

struct listing {
    struct kit *kit;
    struct webhook *items;
    size_t count;
};

static int read_listing(void *arg, struct store_tx *tx, struct err *err) {
    struct listing *listing = arg;
    struct webhook one;
    int r = store_webhooks(tx, &listing->kit->arena, &listing->items, &listing->count, err);
    for (size_t i = 0; r == 0 && i < listing->count; i++) {
        r = store_webhook_get(tx, listing->items[i].name, &listing->kit->arena, &one, err);
        if (r == 0) assert_int_equal(one.seq, listing->items[i].seq);
    }
    assert_int_equal(store_webhook_get(tx, "none", &listing->kit->arena, &one, err), STORE_NONE);
    return r;
}

static struct listing list(struct kit *kit) {
    struct listing listing = {.kit = kit};
    kit_read(kit, read_listing, &listing);
    return listing;
}

static int put_delivery(void *arg, struct store_tx *tx, struct err *err) {
    return store_webhook_delivery_put(tx, "chat", arg, err);
}

/* ---- definitions ---- */

static void a_webhook_is_kept(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_webhook(kit, "pager", "https://pager.example/in", HERE));
    int64_t made = kit_head(kit, NULL).seq;
    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
    kit_reopen(kit);
    struct listing listing = list(kit);
    assert_int_equal(listing.count, 2);
    const struct webhook *pager = &listing.items[1];
    assert_string_equal(listing.items[0].name, "chat");
    assert_string_equal(listing.items[0].environment, "");
    assert_string_equal(pager->name, "pager");
    assert_string_equal(pager->url, "https://pager.example/in");
    assert_string_equal(pager->environment, HERE);
    assert_string_equal(pager->events, "[\"*\"]");
    assert_string_equal(pager->created_by, "key-1");
    assert_string_equal(pager->secret, "whsec_pager");
    assert_string_equal(pager->previous, "");
    assert_int_equal(pager->seq, made);
    assert_int_equal(pager->delivery.seq, made);
    assert_int_equal(pager->delivery.delivered, made); /* it begins at the present */
    assert_string_equal(pager->delivery.error, "");
}

static void a_delivery_belongs_to_a_definition(void **state) {
    struct kit *kit = *state;
    struct webhook_delivery failed;

    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
    failed = list(kit).items[0].delivery;
    failed.delivered = 77;
    failed.rollout = "r-2";
    failed.delivered_at = 5;
    failed.attempts = 3;
    failed.failing_since = 6;
    failed.next_at = 7;
    failed.disabled_at = 8;
    failed.error = "answered 500";
    kit_ok(kit, store_record(kit->store, put_delivery, &failed, &kit->err));
    kit_reopen(kit);
    struct webhook_delivery found = list(kit).items[0].delivery;
    assert_int_equal(found.delivered, 77);
    assert_string_equal(found.rollout, "r-2");
    assert_int_equal(found.delivered_at, 5);
    assert_int_equal(found.attempts, 3);
    assert_int_equal(found.failing_since, 6);
    assert_int_equal(found.next_at, 7);
    assert_int_equal(found.disabled_at, 8);
    assert_string_equal(found.error, "answered 500");

    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/y", ""));
    assert_int_equal(store_record(kit->store, put_delivery, &failed, &kit->err), STORE_NONE);
    found = list(kit).items[0].delivery;
    assert_int_equal(found.delivered, 77); /* it goes on where it stood */
    assert_string_equal(found.rollout, "r-2");
    assert_int_equal(found.attempts + found.failing_since + found.next_at + found.disabled_at, 0);
    assert_string_equal(found.error, "");
}

static void a_secret_is_forgotten(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
    kit_ok(kit, kit_webhook_remove(kit, "chat"));
    assert_int_equal(list(kit).count, 0);
    assert_int_equal(kit_webhook_remove(kit, "chat"), STORE_NONE);
    kit_ok(kit, kit_agent(kit, "support", "moves the head"));
    int64_t seq = kit_head(kit, NULL).seq;
    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
    struct webhook again = list(kit).items[0];
    assert_int_equal(again.delivery.delivered, seq + 1);
    kit_ok(kit, kit_webhook_remove(kit, "chat"));
    kit_close(kit);
    if (driver != KIT_FILE) return;
    struct db *db;
    struct db_stmt *stmt;
    kit_ok(kit, db_open(kit->url, DB_WRITER, &db, &kit->err));
    kit_ok(kit, db_prepare(db, "SELECT count(*) FROM webhook_secrets", &stmt, &kit->err));
    assert_int_equal(db_step(stmt, &kit->err), DB_ROW);
    assert_int_equal(db_int(stmt, 0), 0);
    db_reset(stmt);
    db_close(db);
}

/* ---- what there is to tell ---- */

struct told {
    struct kit *kit;
    struct store_told_query query;
    char words[400]; /* "seq rollout action, …" */
    struct store_told_move *moves;
    size_t count;
};

static int read_told(void *arg, struct store_tx *tx, struct err *err) {
    struct told *told = arg;
    int r = store_told_moves(tx, &told->query, &told->kit->arena, &told->moves, &told->count, err);
    for (size_t i = 0; r == 0 && i < told->count; i++) {
        size_t len = strlen(told->words);
        snprintf(told->words + len, sizeof told->words - len, "%s%s %s", len ? ", " : "", told->moves[i].move.rollout,
                 told->moves[i].move.action);
    }
    return r;
}

static struct told tell(struct kit *kit, const char *environment, const char *agent, int64_t after,
                        const char *after_rollout) {
    struct told told = {.kit = kit, .query = {environment, agent, after, after_rollout, 10}};
    kit_read(kit, read_told, &told);
    return told;
}

/* As a release ends the rollouts of all its agents: several moves in one change. */
static int end_both(void *arg, struct store_tx *tx, struct err *err) {
    struct kit_change change;
    int r = kit_begin(tx, &change, err);
    for (int i = 2; r == 0 && i >= 1; i--) {
        struct rollout_move end = {.rollout = i == 1 ? "r-1" : "r-2",
                                   .state = ROLLOUT_ABORTED,
                                   .action = "end",
                                   .words = "",
                                   .created_by = "key-1",
                                   .created_at = change.at,
                                   .seq = change.position.seq};
        r = store_rollout_move(tx, &end, err);
    }
    return r < 0 ? r : kit_end(tx, &change, "release", "", HERE, err);
}

static void moves_are_told_in_order(void **state) {
    struct kit *kit = *state;

    int64_t before = kit_head(kit, NULL).seq;
    kit_ok(kit, kit_rollout(kit, "r-2", "billing", HERE, 1, 2));
    kit_ok(kit, kit_rollout(kit, "r-3", "support", "staging", 1, 2));
    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    kit_ok(kit, kit_move(kit, &(struct kit_move){"r-1", "advance", ROLLOUT_RUNNING, 1, 25000, {NULL, 0}}));
    int64_t advanced = kit_head(kit, NULL).seq;
    kit_ok(kit, store_write(kit->store, end_both, NULL, &kit->err));

    struct told told = tell(kit, "", "", before, "");
    assert_string_equal(told.words, "r-2 start, r-3 start, r-1 start, r-1 advance, r-1 end, r-2 end");
    const struct store_told_move *first = &told.moves[0], *fourth = &told.moves[3];
    assert_string_equal(first->agent, "billing");
    assert_string_equal(first->environment, HERE);
    assert_int_equal(first->candidate, 2);
    assert_int_equal(first->stable, 1);
    assert_int_equal(first->position.epoch, 1);
    assert_int_equal(first->position.seq, before + 1);
    assert_int_equal(fourth->move.share, 25000);
    assert_int_equal(fourth->move.step, 1);
    assert_int_equal(fourth->move.state, ROLLOUT_RUNNING);
    assert_string_equal(tell(kit, "", "", advanced, "r-1").words, "r-1 end, r-2 end");
    assert_string_equal(tell(kit, "", "", advanced + 1, "r-1").words, "r-2 end"); /* of one change, the second */
    assert_string_equal(tell(kit, "", "", advanced + 1, "r-2").words, "");
    assert_string_equal(tell(kit, "staging", "", 0, "").words, "r-3 start");
    assert_string_equal(tell(kit, HERE, "billing", 0, "").words, "r-2 start, r-2 end");
}

static void the_epoch_is_told(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, store_epoch_begin(kit->store, 0, "restored", &kit->err));
    kit_ok(kit, kit_rollout(kit, "r-1", "support", HERE, 1, 2));
    assert_int_equal(tell(kit, "", "", 0, "").moves[0].position.epoch, 2);
}

/* ---- derived ---- */

static void rebuilding_changes_nothing(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
    kit_ok(kit, kit_webhook(kit, "pager", "https://pager.example/in", HERE));
    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/y", HERE));
    kit_ok(kit, kit_webhook(kit, "gone", "https://gone.example/", ""));
    kit_ok(kit, kit_webhook_remove(kit, "gone"));
    kit_ok(kit, store_derived_check(kit->store, &kit->err));
    struct sha256 before = kit_fingerprint(kit);
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    struct sha256 after = kit_fingerprint(kit);
    assert_memory_equal(&before, &after, sizeof before);
    struct listing listing = list(kit);
    assert_int_equal(listing.count, 2);
    assert_string_equal(listing.items[0].url, "https://chat.example/y");
    assert_string_equal(listing.items[0].secret, "whsec_chat");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_webhook_is_kept, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_delivery_belongs_to_a_definition, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_secret_is_forgotten, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(moves_are_told_in_order, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_epoch_is_told, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(rebuilding_changes_nothing, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "fault") == 0 ? KIT_FAULT : strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
