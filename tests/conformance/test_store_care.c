/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of the store, visits without its lock, and what verifying finds. Run once a driver: argv[1] is file or fault. */
#include "conformance/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum kit_driver driver;

static int setup(void **state) {
    return kit_setup(state, driver);
}

static void make_story(struct kit *kit, int pushes) {
    char text[64];

    kit_ok(kit, kit_environment(kit, "production", true));
    kit_ok(kit, kit_agent(kit, "support", "answers"));
    for (int i = 0; i < pushes; i++) {
        snprintf(text, sizeof text, "be kind %d", i);
        kit_ok(kit, kit_push(kit, "support", text));
    }
    kit_ok(kit, kit_deploy(kit, "support", "production", 1, 0));
    kit_ok(kit, kit_hold(kit, "support", "production", true));
    kit_ok(kit, kit_override(kit, "support", "production", "qa", 1));
    kit_ok(kit, kit_rollout(kit, "r-1", "support", "production", 1, 1));
    kit_ok(kit, kit_panic(kit, "support", "production", 1, true));
    kit_ok(kit, kit_template(kit, "ours", "{}"));
    kit_ok(kit, kit_webhook(kit, "chat", "https://chat.example/x", ""));
}

static void copy_path(const struct kit *kit, char ret[160]) {
    snprintf(ret, 160, "%s/copy.db", kit->folder);
}

static int backup(struct kit *kit, const struct db_watch *watch, struct store_moment *ret) {
    char path[160];

    copy_path(kit, path);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    close(fd);
    return store_backup(kit->store, path, watch, ret, &kit->err);
}

static int visit(struct kit *kit, struct store **ret) {
    char path[160], url[200];
    struct store_options options = {.url = url, .clock = &kit->clock};

    copy_path(kit, path);
    snprintf(url, sizeof url, "sqlite:%s", path);
    return store_visit(&options, STORE_STILL, ret, &kit->err);
}

/* Visits the copy and answers what verifying it says. */
static int verify_copy(struct kit *kit, bool quick, struct store_moment *ret) {
    _cleanup_(store_closep) struct store *store = NULL;

    int r = visit(kit, &store);
    if (r == 0) r = store_verify(store, quick, NULL, ret, &kit->err);
    return r;
}

/* Runs SQL on the copy as somebody would who is not Serin. */
static void harm(struct kit *kit, const char *sql) {
    char path[160], url[200];
    struct db *db;

    copy_path(kit, path);
    snprintf(url, sizeof url, "sqlite:%s", path);
    kit_ok(kit, db_open(url, DB_WRITER, &db, &kit->err));
    kit_ok(kit, db_exec(db, sql, &kit->err));
    db_close(db);
}

static void a_copy_holds_everything(void **state) {
    struct kit *kit = *state;
    struct store_moment moment, found;
    int64_t at;

    make_story(kit, 30);
    kit_ok(kit, backup(kit, NULL, &moment));
    struct position head = kit_head(kit, &at);
    assert_int_equal(position_compare(moment.position, head), 0);
    assert_int_equal(moment.at, at);
    kit_ok(kit, kit_push(kit, "support", "written after the copy"));
    kit_ok(kit, verify_copy(kit, false, &found));
    assert_int_equal(position_compare(found.position, head), 0);
    assert_memory_equal(&found.audit_hash, &moment.audit_hash, sizeof found.audit_hash);
    kit_ok(kit, verify_copy(kit, true, &found));
}

static void a_copy_is_one_file(void **state) {
    struct kit *kit = *state;
    struct store_moment moment;
    char path[160], log[170];
    struct stat st;

    make_story(kit, 3);
    kit_ok(kit, backup(kit, NULL, &moment));
    kit_ok(kit, verify_copy(kit, false, &moment));
    copy_path(kit, path);
    assert_int_equal(stat(path, &st), 0);
    snprintf(log, sizeof log, "%s-wal", path);
    assert_int_equal(access(log, F_OK), -1);
    snprintf(log, sizeof log, "%s-shm", path);
    assert_int_equal(access(log, F_OK), -1);
    assert_int_equal(chmod(path, 0400), 0);
    kit_ok(kit, verify_copy(kit, false, &moment));
}

struct stop {
    int calls, at;
};

static int stop(void *ctx, int64_t done, int64_t total, struct err *err) {
    struct stop *counted = ctx;
    assert_true(total == 0 || done <= total);
    return ++counted->calls == counted->at ? err_set(err, ERR_TIMEOUT, "enough") : 0;
}

static void the_watch_ends_it(void **state) {
    struct kit *kit = *state;
    struct stop counted = {0};
    struct db_watch watch = {stop, &counted};
    struct store_moment moment;

    make_story(kit, 3);
    counted.at = 1;
    assert_int_equal(backup(kit, &watch, &moment), -ERR_TIMEOUT);
    counted = (struct stop){.at = 1};
    assert_int_equal(store_verify(kit->store, false, &watch, &moment, &kit->err), -ERR_TIMEOUT);
    kit_ok(kit, kit_push(kit, "support", "goes on"));
    counted = (struct stop){0};
    kit_ok(kit, backup(kit, &watch, &moment));
    assert_true(counted.calls > 0);
}

/* While the copy is made, one page after the other, versions are pushed: the copy is the moment at which it began. */
static int push_meanwhile(void *ctx, int64_t done, int64_t total, struct err *err) {
    struct kit *kit = ctx;
    kit_ok(kit, kit_push(kit, "support", "meanwhile"));
    return 0;
}

static void a_copy_under_writes_is_one_moment(void **state) {
    struct kit *kit = *state;
    struct db_watch watch = {push_meanwhile, kit};
    struct store_moment moment, found;

    make_story(kit, 300);
    struct position head = kit_head(kit, NULL);
    kit_ok(kit, backup(kit, &watch, &moment));
    assert_int_equal(position_compare(moment.position, head), 0);
    assert_true(kit_head(kit, NULL).seq > head.seq);
    kit_ok(kit, verify_copy(kit, false, &found));
    assert_int_equal(position_compare(found.position, head), 0);
}

static void verifying_finds_what_was_changed(void **state) {
    static const struct {
        const char *sql, *words;
    } harms[] = {
        {"UPDATE audit SET reason = 'another' WHERE seq = 4", "altered"},
        {"UPDATE audit SET detail = '{' WHERE seq = 4", "malformed"},
        {"DELETE FROM audit WHERE seq = 4", "follow"},
        {"DELETE FROM audit WHERE seq = 1", "follow"},
        {"DELETE FROM audit WHERE seq > 6", "missing at its end"},
        {"DELETE FROM audit", "missing at its end"},
        {"UPDATE audit SET seq = 100 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 "
         "WHERE "
         "seq = 100",
         "altered"},
        {"UPDATE head SET seq = seq - 1", "behind the store's head"},
        {"UPDATE head SET audit_hash = '00' || substr(audit_hash, 3)", "not the one that the store's head names"},
        {"UPDATE head SET at = at + 1", "differ in time"},
        {"DELETE FROM head", "no head"},
    };
    struct kit *kit = *state;
    struct store_moment moment;

    make_story(kit, 5);
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        kit_ok(kit, backup(kit, NULL, &moment));
        harm(kit, harms[i].sql);
        int r = verify_copy(kit, false, &moment);
        assert_true(r == -ERR_CONFLICT || r == -ERR_STORE_CORRUPT);
        if (!strstr(kit->err.message, harms[i].words)) fail_msg("%s: %s", harms[i].sql, kit->err.message);
        assert_true(verify_copy(kit, true, &moment) < 0);
    }
}

static void the_tail_is_enough_for_a_quick_look(void **state) {
    struct kit *kit = *state;
    struct store_moment moment;

    for (int i = 0; i < STORE_TAIL + 20; i++)
        kit_ok(kit, kit_agent(kit, "support", i % 2 ? "one" : "two"));
    kit_ok(kit, backup(kit, NULL, &moment));
    harm(kit, "UPDATE audit SET reason = 'another' WHERE seq = 5");
    kit_ok(kit, verify_copy(kit, true, &moment));
    assert_int_equal(verify_copy(kit, false, &moment), -ERR_CONFLICT);
    harm(kit, "UPDATE audit SET reason = 'another' WHERE seq = 500");
    assert_int_equal(verify_copy(kit, true, &moment), -ERR_CONFLICT);
}

static void derived_tables_are_compared(void **state) {
    static const char *const harms[] = {"UPDATE agents_now SET latest = 9",
                                        "DELETE FROM environments_now",
                                        "UPDATE refs_now SET version = 2",
                                        "DELETE FROM holds_now",
                                        "UPDATE agents_now SET session = 'follow'",
                                        "UPDATE rollouts_now SET share = 6000",
                                        "DELETE FROM rollouts_now",
                                        "UPDATE panics_now SET version = 0",
                                        "DELETE FROM rollout_templates_now",
                                        "UPDATE webhooks_now SET url = ''",
                                        "INSERT INTO overrides_now (agent, environment, name, keys, version, reason, "
                                        "created_by, created_at, seq) VALUES "
                                        "('a', 'b', 'c', '[]', 1, '', '', 0, 1)"};
    struct kit *kit = *state;
    struct store_moment moment;

    make_story(kit, 5);
    kit_ok(kit, store_derived_check(kit->store, &kit->err));
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        struct store *store;
        kit_ok(kit, backup(kit, NULL, &moment));
        harm(kit, harms[i]);
        kit_ok(kit, visit(kit, &store));
        assert_int_equal(store_derived_check(store, &kit->err), -ERR_STORE_CORRUPT);
        assert_non_null(strstr(kit->err.message, "_now"));
        store_close(store);
    }
}

static void what_is_no_store_is_refused(void **state) {
    struct kit *kit = *state;
    struct store_moment moment;
    struct store *store;
    char path[160];

    make_story(kit, 1);
    copy_path(kit, path);
    assert_int_equal(visit(kit, &store), -ERR_STORE_IO);
    assert_int_equal(access(path, F_OK), -1);
    close(open(path, O_RDWR | O_CREAT, 0600));
    assert_int_equal(visit(kit, &store), -ERR_STORE_CORRUPT);
    assert_non_null(strstr(kit->err.message, "empty"));
    kit_ok(kit, backup(kit, NULL, &moment));
    harm(kit, "PRAGMA application_id = 7");
    assert_int_equal(visit(kit, &store), -ERR_STORE_CORRUPT);
    assert_non_null(strstr(kit->err.message, "not one of Serin"));
    kit_ok(kit, backup(kit, NULL, &moment));
    harm(kit, "INSERT INTO schema_migrations (number, name, applied_at) VALUES (99, 'later', 0)");
    assert_int_equal(visit(kit, &store), -ERR_STORE_NEWER);
}

/* Somebody else's store may be visited while its server writes. */
static void a_visit_needs_no_lock(void **state) {
    struct kit *kit = *state;
    struct store_options options = {.url = kit->url, .clock = &kit->clock};
    struct store_moment moment;
    struct store *store;

    make_story(kit, 2);
    for (int still = 0; still < 2; still++) {
        kit_ok(kit, store_visit(&options, still ? STORE_STILL : STORE_SHARED, &store, &kit->err));
        kit_ok(kit, kit_push(kit, "support", "seen at once"));
        kit_ok(kit, store_verify(store, false, NULL, &moment, &kit->err));
        assert_int_equal(position_compare(moment.position, kit_head(kit, NULL)), 0);
        store_close(store);
    }
}

static void an_epoch_is_later_than_any_that_was(void **state) {
    struct kit *kit = *state;

    make_story(kit, 1);
    kit_ok(kit, store_epoch_begin(kit->store, 6, "the store in place was at 6", &kit->err));
    assert_int_equal(kit_head(kit, NULL).epoch, 7);
    kit_ok(kit, store_epoch_begin(kit->store, 3, "the store in place was at 3", &kit->err));
    assert_int_equal(kit_head(kit, NULL).epoch, 8);
    kit_verify_chain(kit);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_holds_everything, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_copy_is_one_file, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_watch_ends_it, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_copy_under_writes_is_one_moment, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(verifying_finds_what_was_changed, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_tail_is_enough_for_a_quick_look, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(derived_tables_are_compared, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_store_is_refused, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_visit_needs_no_lock, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(an_epoch_is_later_than_any_that_was, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "fault") == 0 ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
