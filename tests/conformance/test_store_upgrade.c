/* SPDX-License-Identifier: Apache-2.0 */
/* A store of schema 1 is brought forward: what it held is there, what is new has its defaults, and the new changes can be made. argv[1], argv[2]:
 * the SQL of schema 1, truth and derived. */
#include "base/file.h"
#include "conformance/kit.h"

#include <stdio.h>

static const char *truth_sql, *derived_sql;

static void run_file(struct kit *kit, struct db *db, const char *path) {
    _cleanup_(str_deinit) struct str sql = STR_INIT;
    kit_ok(kit, file_read(path, 1024 * 1024, &sql, NULL, &kit->err));
    kit_ok(kit, db_exec(db, sql.data, &kit->err));
}

/* As the program of schema 1 left it: an agent with a version, served; its audit log is empty, which nothing here asks. */
static void make_schema_1(struct kit *kit) {
    static const char rows[] =
        "CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT "
        "NULL);"
        "INSERT INTO schema_migrations (number, name, applied_at) VALUES (1, 'first', 1);"
        "INSERT INTO environment_log (environment, seq, description, is_protected, created_by, created_at) "
        "VALUES ('production', 1, '', 1, 'key-1', 1);"
        "INSERT INTO agent_log (agent, seq, description, created_by, created_at) VALUES ('support', 2, 'answers', "
        "'key-1', 2);"
        "INSERT INTO objects (content_hash, config_hash, size, config) VALUES ("
        "'00000000000000000000000000000000000000000000000000000000000000aa', "
        "'00000000000000000000000000000000000000000000000000000000000000bb', 2, '{}');"
        "INSERT INTO versions (agent, number, content_hash, description, source, parent, created_by, created_at, seq) "
        "VALUES "
        "('support', 1, '00000000000000000000000000000000000000000000000000000000000000aa', 'one', '{}', 0, 'key-1', "
        "3, 3);"
        "INSERT INTO versions (agent, number, content_hash, description, source, parent, created_by, created_at, seq) "
        "VALUES "
        "('support', 2, '00000000000000000000000000000000000000000000000000000000000000aa', 'two', '{}', 1, 'key-1', "
        "4, 4);"
        "INSERT INTO deployments (agent, environment, seq, id, version, previous, kind, reason, release_id, restores, "
        "created_by, created_at) VALUES ('support', 'production', 5, 'd-1', 2, 0, 'deploy', '', NULL, 0, 'key-1', 5);"
        "INSERT INTO deployments (agent, environment, seq, id, version, previous, kind, reason, release_id, restores, "
        "created_by, created_at) VALUES ('support', 'production', 6, 'd-2', 1, 2, 'rollback', '', NULL, 0, 'key-1', 6);"
        "INSERT INTO keys (id, name, role, environments, secret_hash, created_by, created_at, seq) VALUES ('key-1', "
        "'ann', 'admin', '[\"*\"]', '00000000000000000000000000000000000000000000000000000000000000cc', 'system', 1, "
        "1);"
        "UPDATE head SET seq = 6, at = 6;";
    struct db *db;

    kit_ok(kit, db_open(kit->url, DB_WRITER, &db, &kit->err));
    run_file(kit, db, truth_sql);
    run_file(kit, db, derived_sql);
    kit_ok(kit, db_exec(db, rows, &kit->err));
    db_close(db);
}

static int look(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct deployment ref = {0};
    struct rollout rollout;
    struct agent agent;
    struct panic *panics;
    struct era *eras;
    struct key key;
    int64_t left;
    size_t count;

    assert_int_equal(store_agent_get(tx, "support", &kit->arena, &agent, err), 0);
    assert_int_equal(agent.session, SESSION_PIN);
    assert_int_equal(agent.latest, 2);
    assert_string_equal(agent.description, "answers");
    assert_int_equal(store_ref_get(tx, "support", "production", &kit->arena, &ref, err), 0);
    assert_int_equal(ref.version, 1);
    assert_int_equal(store_rollout_of(tx, "support", "production", 0, &kit->arena, &rollout, err), STORE_NONE);
    assert_int_equal(store_panics(tx, NULL, &kit->arena, &panics, &count, err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_eras(tx, &ref, 0, 0, 10, &kit->arena, &eras, &count, err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(store_left_at(tx, &ref, 2, 0, &left, err), 0);
    assert_int_equal(left, 6);
    assert_int_equal(store_key_get(tx, "key-1", &kit->arena, &key, err), 0);
    assert_string_equal(key.name, "ann");
    assert_false(key.materialise_defaults);
    return 0;
}

static void a_store_of_schema_1_is_brought_forward(void **state) {
    struct kit kit;

    kit_init(&kit, KIT_FILE);
    make_schema_1(&kit);
    kit_ok(&kit, kit_open(&kit));
    assert_int_equal(store_schema_from(kit.store), 1);
    assert_true(store_schema(kit.store) >= 2);
    kit_read(&kit, look, &kit);
    kit_ok(&kit, store_derived_check(kit.store, &kit.err));
    kit_ok(&kit, kit_rollout(&kit, "r-1", "support", "production", 1, 2));
    kit_ok(&kit, kit_panic(&kit, "support", "production", 2, true));
    kit_ok(&kit, kit_session(&kit, "support", SESSION_FOLLOW));
    kit_reopen(&kit);
    assert_int_equal(store_schema_from(kit.store), store_schema(kit.store));
    kit_ok(&kit, store_derived_check(kit.store, &kit.err));
    kit_deinit(&kit);
}

static void a_store_of_schema_1_may_be_visited(void **state) {
    struct kit kit;
    struct store *visited;

    kit_init(&kit, KIT_FILE);
    make_schema_1(&kit);
    struct store_options options = {.url = kit.url, .clock = &kit.clock};
    kit_ok(&kit, store_visit(&options, STORE_STILL, &visited, &kit.err));
    assert_int_equal(store_schema(visited), 1);
    kit_ok(&kit, store_derived_check(visited, &kit.err));
    store_close(visited);
    kit_deinit(&kit);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_of_schema_1_is_brought_forward),
        cmocka_unit_test(a_store_of_schema_1_may_be_visited),
    };

    if (argc != 3) return 2;
    truth_sql = argv[1];
    derived_sql = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
