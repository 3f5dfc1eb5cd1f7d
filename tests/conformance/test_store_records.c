/* SPDX-License-Identifier: Apache-2.0 */
/* What every store must keep and answer, record by record. Run once a driver: argv[1] is file, memory or fault. */
#include "conformance/kit.h"

#include <stdio.h>
#include <string.h>

static enum kit_driver driver;

static int setup(void **state) {
    return kit_setup(state, driver);
}

/* ---- agents ---- */

static int check_agents(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct agent agent, *agents;
    size_t count;

    assert_int_equal(store_agent_get(tx, "nobody", &kit->arena, &agent, err), STORE_NONE);
    assert_int_equal(store_agent_get(tx, "billing", &kit->arena, &agent, err), 0);
    assert_string_equal(agent.name, "billing");
    assert_string_equal(agent.description, "second words");
    assert_string_equal(agent.created_by, "key-1");
    assert_int_equal(agent.latest, 0);
    assert_int_equal(agent.seq, 3);
    assert_int_equal(agent.created_at, KIT_START); /* of the first, not of the new description */

    assert_int_equal(store_agents(tx, "", 2, &kit->arena, &agents, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(agents[0].name, "a");
    assert_string_equal(agents[1].name, "billing");
    assert_int_equal(store_agents(tx, "billing", 2, &kit->arena, &agents, &count, err), 0);
    assert_int_equal(count, 1);
    assert_string_equal(agents[0].name, "support");
    assert_int_equal(store_agents(tx, "support", 2, &kit->arena, &agents, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void agents_are_kept_and_paged(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_agent(kit, "billing", "first words"));
    kit_ok(kit, kit_agent(kit, "support", ""));
    kit_ok(kit, kit_agent(kit, "billing", "second words"));
    kit_ok(kit, kit_agent(kit, "a", ""));
    kit_read(kit, check_agents, kit);
    kit_reopen(kit);
    kit_read(kit, check_agents, kit);
}

/* ---- versions ---- */

static void check_hash_lookup(struct kit *kit, struct store_tx *tx, const struct version *version) {
    struct version found;
    char hex[2 * SHA256_SIZE + 1], cut[2 * SHA256_SIZE + 1];

    hex_encode(version->content_hash.bytes, SHA256_SIZE, hex);
    for (size_t len = 8; len <= 64; len += 28) {
        memcpy(cut, hex, len);
        cut[len] = 0;
        assert_int_equal(store_version_by_hash(tx, "support", cut, &kit->arena, &found, &kit->err), 0);
        assert_int_equal(found.number, version->number);
    }
    cut[7] = 0;
    assert_int_equal(store_version_by_hash(tx, "support", cut, &kit->arena, &found, &kit->err), STORE_NONE);
    assert_int_equal(store_version_by_hash(tx, "other", hex, &kit->arena, &found, &kit->err), STORE_NONE);
    assert_int_equal(store_version_by_hash(tx, "support", "0000000000", &kit->arena, &found, &kit->err), STORE_NONE);
    assert_int_equal(store_version_by_hash(tx, "support", "ABCDEF0123", &kit->arena, &found, &kit->err), STORE_NONE);
    assert_int_equal(store_version_by_hash(tx, "support", "xxxxxxxxxx", &kit->arena, &found, &kit->err), STORE_NONE);
}

static int check_versions(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct version version, expected = {0}, *versions;
    struct agent agent;
    char buffer[200];
    size_t count;

    kit_config("two", buffer, sizeof buffer, &expected);
    assert_int_equal(store_version_get(tx, "support", 2, true, &kit->arena, &version, err), 0);
    assert_true(slice_equal(version.config, expected.config));
    assert_memory_equal(&version.content_hash, &expected.content_hash, SHA256_SIZE);
    assert_memory_equal(&version.config_hash, &expected.config_hash, SHA256_SIZE);
    assert_int_equal(version.size, expected.size);
    assert_int_equal(version.parent, 1);
    assert_int_equal(version.seq, 3);
    assert_string_equal(version.agent, "support");
    assert_string_equal(version.description, "a change");
    assert_string_equal(version.source, "{\"kind\":\"api\"}");
    assert_int_equal(store_version_get(tx, "support", 2, false, &kit->arena, &version, err), 0);
    assert_int_equal(version.config.len, 0);
    assert_int_equal(version.size, expected.size);

    assert_int_equal(store_version_get(tx, "support", 0, false, &kit->arena, &version, err), 0);
    assert_int_equal(version.number, 4);
    check_hash_lookup(kit, tx, &version);
    assert_int_equal(store_version_get(tx, "support", 5, false, &kit->arena, &version, err), STORE_NONE);
    assert_int_equal(store_version_get(tx, "other", 1, false, &kit->arena, &version, err), STORE_NONE);
    assert_int_equal(store_version_get(tx, "none", 0, false, &kit->arena, &version, err), STORE_NONE);

    assert_int_equal(store_versions(tx, "support", 0, 3, &kit->arena, &versions, &count, err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(versions[0].number, 4);
    assert_int_equal(versions[2].number, 2);
    assert_int_equal(store_versions(tx, "support", 2, 3, &kit->arena, &versions, &count, err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(versions[0].number, 1);
    assert_int_equal(store_agent_get(tx, "support", &kit->arena, &agent, err), 0);
    assert_int_equal(agent.latest, 4);
    return 0;
}

static int add_version_with_gap(void *arg, struct store_tx *tx, struct err *err) {
    struct version version = {.agent = "support", .number = 6, .description = "", .source = "{}", .created_by = "x"};
    char buffer[200];
    struct kit_change change;

    kit_config("gap", buffer, sizeof buffer, &version);
    int r = kit_begin(tx, &change, err);
    if (r == 0) r = store_version_add(tx, &version, err);
    return r != 0 ? r : kit_end(tx, &change, "version.push", "support", "", err);
}

static void versions_are_numbered_and_found_by_hash(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_agent(kit, "support", ""));
    kit_ok(kit, kit_push(kit, "support", "one"));
    kit_ok(kit, kit_push(kit, "support", "two"));
    kit_ok(kit, kit_push(kit, "support", "three"));
    kit_ok(kit, kit_push(kit, "support", "one")); /* the same content again is found as the newest */
    kit_ok(kit, kit_agent(kit, "other", ""));
    assert_int_equal(kit_push(kit, "nobody", "x"), STORE_NONE);
    assert_int_equal(store_write(kit->store, add_version_with_gap, NULL, &kit->err), -ERR_CONFLICT);
    kit_read(kit, check_versions, kit);
    kit_reopen(kit);
    kit_read(kit, check_versions, kit);
}

/* Two contents whose hashes share the first eight digits cannot be had honestly; the store believes what it is told. */
static int add_lookalike(void *arg, struct store_tx *tx, struct err *err) {
    int64_t number = *(int64_t *)arg;
    struct version version = {
        .agent = "support", .number = number, .description = "", .source = "{}", .created_by = "x"};
    char buffer[200];
    struct kit_change change;

    kit_config(number == 1 ? "x" : "y", buffer, sizeof buffer, &version);
    memset(&version.content_hash, 0xab, SHA256_SIZE);
    version.content_hash.bytes[31] = (uint8_t)number;
    int r = kit_begin(tx, &change, err);
    if (r == 0) r = store_version_add(tx, &version, err);
    return r != 0 ? r : kit_end(tx, &change, "version.push", "support", "", err);
}

static int check_lookalikes(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct version version;

    assert_int_equal(store_version_by_hash(tx, "support", "abababab", &kit->arena, &version, err), STORE_AMBIGUOUS);
    assert_int_equal(store_version_by_hash(tx, "support",
                                           "abababababababababababababababababababababababababababababababab",
                                           &kit->arena, &version, err),
                     STORE_NONE);
    assert_int_equal(store_version_by_hash(tx, "support",
                                           "ababababababababababababababababababababababababababababababab02",
                                           &kit->arena, &version, err),
                     0);
    assert_int_equal(version.number, 2);
    return 0;
}

static void hashes_alike_are_ambiguous(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_agent(kit, "support", ""));
    for (int64_t number = 1; number <= 2; number++)
        kit_ok(kit, store_write(kit->store, add_lookalike, &number, &kit->err));
    kit_read(kit, check_lookalikes, kit);
}

/* ---- environments ---- */

static int check_environments(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct environment environment, *environments;
    size_t count;

    assert_int_equal(store_environment_get(tx, "moon", &kit->arena, &environment, err), STORE_NONE);
    assert_int_equal(store_environment_get(tx, "staging", &kit->arena, &environment, err), 0);
    assert_true(environment.is_protected);
    assert_int_equal(environment.seq, 3);
    assert_int_equal(environment.created_at, KIT_START);
    assert_int_equal(store_environments(tx, &kit->arena, &environments, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(environments[0].name, "production");
    assert_false(environments[0].is_protected);
    assert_string_equal(environments[1].name, "staging");
    return 0;
}

static void environments_are_kept(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_environment(kit, "staging", false));
    kit_ok(kit, kit_environment(kit, "production", false));
    kit_ok(kit, kit_environment(kit, "staging", true));
    kit_read(kit, check_environments, kit);
}

/* ---- refs ---- */

static void two_agents_with_versions(struct kit *kit) {
    kit_ok(kit, kit_environment(kit, "production", true)); /* seq 1 */
    kit_ok(kit, kit_environment(kit, "staging", false));   /* 2 */
    kit_ok(kit, kit_agent(kit, "support", ""));            /* 3 */
    kit_ok(kit, kit_agent(kit, "billing", ""));            /* 4 */
    kit_ok(kit, kit_push(kit, "support", "one"));          /* 5 */
    kit_ok(kit, kit_push(kit, "support", "two"));          /* 6 */
    kit_ok(kit, kit_push(kit, "billing", "one"));          /* 7 */
}

static int check_ref(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct deployment ref;

    assert_int_equal(store_ref_get(tx, "support", "production", &kit->arena, &ref, err), 0);
    assert_int_equal(ref.version, 1);
    assert_int_equal(ref.previous, 2);
    assert_int_equal(ref.kind, DEPLOYMENT_ROLLBACK);
    assert_string_equal(ref.id, "d-10");
    assert_string_equal(ref.reason, "why not");
    assert_null(ref.release);
    assert_int_equal(ref.seq, 10);
    assert_int_equal(store_ref_get(tx, "support", "staging", &kit->arena, &ref, err), STORE_NONE);

    assert_int_equal(store_ref_at(tx, "support", "production", 7, &kit->arena, &ref, err), STORE_NONE);
    assert_int_equal(store_ref_at(tx, "support", "production", 8, &kit->arena, &ref, err), 0);
    assert_int_equal(ref.version, 1);
    assert_int_equal(ref.previous, 0);
    assert_int_equal(store_ref_at(tx, "support", "production", 9, &kit->arena, &ref, err), 0);
    assert_int_equal(ref.version, 2);
    assert_int_equal(store_ref_at(tx, "support", "production", INT64_MAX, &kit->arena, &ref, err), 0);
    assert_int_equal(ref.seq, 10);

    assert_int_equal(store_deployment_of(tx, "support", "production", 1, 0, &kit->arena, &ref, err), 0);
    assert_int_equal(ref.seq, 10);
    assert_int_equal(store_deployment_of(tx, "support", "production", 1, 9, &kit->arena, &ref, err), 0);
    assert_int_equal(ref.seq, 8);
    assert_int_equal(store_deployment_of(tx, "support", "production", 1, 7, &kit->arena, &ref, err), STORE_NONE);
    assert_int_equal(store_deployment_of(tx, "support", "production", 3, 0, &kit->arena, &ref, err), STORE_NONE);
    return 0;
}

static void a_ref_moves_by_compare_and_swap(void **state) {
    struct kit *kit = *state;

    two_agents_with_versions(kit);
    kit_ok(kit, kit_deploy(kit, "support", "production", 1, 0)); /* 8 */
    assert_int_equal(kit_deploy(kit, "support", "production", 2, 0), -ERR_CONFLICT);
    assert_int_equal(kit_deploy(kit, "support", "staging", 2, 1), -ERR_CONFLICT);
    assert_int_equal(kit_deploy(kit, "support", "production", 99, 1), -ERR_CONFLICT); /* no such version */
    kit_ok(kit, kit_deploy(kit, "support", "production", 2, 1));                      /* 9 */
    kit_ok(kit, kit_deploy(kit, "support", "production", 1, 2));                      /* 10 */
    kit_read(kit, check_ref, kit);
    kit_reopen(kit);
    kit_read(kit, check_ref, kit);
}

static size_t refs_matching(struct kit *kit, struct store_tx *tx, struct store_refs_query query,
                            struct deployment **ret) {
    size_t count;
    assert_int_equal(store_refs(tx, &query, &kit->arena, ret, &count, &kit->err), 0);
    return count;
}

static int check_refs(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct deployment *refs;

    assert_int_equal(refs_matching(kit, tx, (struct store_refs_query){.limit = 10}, &refs), 3);
    assert_string_equal(refs[0].agent, "billing");
    assert_string_equal(refs[0].environment, "production");
    assert_string_equal(refs[1].agent, "support");
    assert_string_equal(refs[1].environment, "production");
    assert_string_equal(refs[2].environment, "staging");
    struct store_refs_query page = {.limit = 1, .after_environment = "", .after_agent = ""};
    for (int i = 0; i < 3; i++) {
        struct deployment *one;
        assert_int_equal(refs_matching(kit, tx, page, &one), 1);
        assert_int_equal(one[0].seq, refs[i].seq);
        page.after_environment = one[0].environment;
        page.after_agent = one[0].agent;
    }
    assert_int_equal(refs_matching(kit, tx, page, &refs), 0);
    assert_int_equal(refs_matching(kit, tx, (struct store_refs_query){.limit = 9, .environment = "production"}, &refs),
                     2);
    assert_int_equal(refs_matching(kit, tx, (struct store_refs_query){.limit = 9, .agent = "support"}, &refs), 2);
    assert_string_equal(refs[0].environment, "production");
    page = (struct store_refs_query){.limit = 9, .agent = "support", .environment = "staging"};
    assert_int_equal(refs_matching(kit, tx, page, &refs), 1);
    assert_int_equal(refs[0].version, 2);
    page.agent = "billing";
    assert_int_equal(refs_matching(kit, tx, page, &refs), 0);
    return 0;
}

static void refs_are_listed_and_filtered(void **state) {
    struct kit *kit = *state;

    two_agents_with_versions(kit);
    kit_ok(kit, kit_deploy(kit, "support", "staging", 1, 0));
    kit_ok(kit, kit_deploy(kit, "support", "production", 1, 0));
    kit_ok(kit, kit_deploy(kit, "billing", "production", 1, 0));
    kit_ok(kit, kit_deploy(kit, "support", "staging", 2, 1));
    kit_read(kit, check_refs, kit);
}

static int check_history(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct deployment *moves;
    size_t count;

    assert_int_equal(store_deployments(tx, "support", NULL, 0, 10, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(moves[0].seq, 10);
    assert_int_equal(moves[2].seq, 8);
    assert_int_equal(store_deployments(tx, "support", NULL, 10, 1, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(moves[0].seq, 9);
    assert_int_equal(store_deployments(tx, "support", "staging", 0, 10, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(store_deployments(tx, "support", "staging", 10, 10, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(moves[0].seq, 8);
    assert_int_equal(store_deployments(tx, "nobody", NULL, 0, 10, &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void history_is_paged_newest_first(void **state) {
    struct kit *kit = *state;

    two_agents_with_versions(kit);
    kit_ok(kit, kit_deploy(kit, "support", "staging", 1, 0));    /* 8 */
    kit_ok(kit, kit_deploy(kit, "support", "production", 1, 0)); /* 9 */
    kit_ok(kit, kit_deploy(kit, "support", "staging", 2, 1));    /* 10 */
    kit_read(kit, check_history, kit);
}

/* ---- releases ---- */

static int check_releases(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct release release, *releases;
    struct deployment *moves;
    const char *by;
    size_t count;

    assert_int_equal(store_release_get(tx, "r-1", &kit->arena, &release, err), 0);
    assert_string_equal(release.environment, "production");
    assert_null(release.rolls_back);
    assert_int_equal(store_release_get(tx, "r-9", &kit->arena, &release, err), STORE_NONE);
    assert_int_equal(store_release_moves(tx, "r-1", &kit->arena, &moves, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(moves[0].agent, "billing");
    assert_string_equal(moves[1].agent, "support");
    assert_string_equal(moves[1].release, "r-1");
    assert_int_equal(moves[0].seq, moves[1].seq);
    assert_int_equal(store_release_undone_by(tx, "r-1", &kit->arena, &by, err), 0);
    assert_string_equal(by, "r-2");
    assert_int_equal(store_release_undone_by(tx, "r-2", &kit->arena, &by, err), STORE_NONE);
    assert_int_equal(store_releases(tx, NULL, 0, 10, &kit->arena, &releases, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(releases[0].id, "r-2");
    assert_string_equal(releases[0].rolls_back, "r-1");
    assert_int_equal(store_releases(tx, "production", releases[0].seq, 10, &kit->arena, &releases, &count, err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(store_releases(tx, "staging", 0, 10, &kit->arena, &releases, &count, err), 0);
    assert_int_equal(count, 0);
    return 0;
}

static void a_release_moves_all_or_none(void **state) {
    struct kit *kit = *state;
    struct kit_release release = {
        .id = "r-1", .environment = "production", .agents = {"support", "billing"}, .versions = {2, 1}};

    two_agents_with_versions(kit);
    struct position before = kit_head(kit, NULL);
    release.previous[1] = 7; /* the second ref is elsewhere */
    assert_int_equal(kit_release(kit, &release), -ERR_CONFLICT);
    assert_int_equal(kit_head(kit, NULL).seq, before.seq);
    release.previous[1] = 0;
    kit_ok(kit, kit_release(kit, &release));
    struct kit_release back = {.id = "r-2",
                               .environment = "production",
                               .rolls_back = "r-1",
                               .agents = {"support"},
                               .versions = {1},
                               .previous = {2}};
    kit_ok(kit, kit_release(kit, &back));
    kit_read(kit, check_releases, kit);
}

/* ---- holds ---- */

static int check_holds(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct hold hold, *holds;
    size_t count;

    assert_int_equal(store_hold_get(tx, "support", "production", 0, &kit->arena, &hold, err), STORE_NONE);
    assert_int_equal(store_hold_get(tx, "support", "production", 1, &kit->arena, &hold, err), 0);
    assert_int_equal(store_hold_get(tx, "support", "production", 2, &kit->arena, &hold, err), 0);
    assert_int_equal(hold.seq, 1);
    assert_int_equal(store_hold_get(tx, "support", "production", 3, &kit->arena, &hold, err), STORE_NONE);
    assert_int_equal(store_hold_get(tx, "support", "staging", 1, &kit->arena, &hold, err), STORE_NONE);
    assert_int_equal(store_hold_get(tx, "support", "staging", 4, &kit->arena, &hold, err), 0);
    assert_int_equal(hold.seq, 2);
    assert_int_equal(store_hold_get(tx, "support", "staging", 0, &kit->arena, &hold, err), 0);
    assert_string_equal(hold.reason, "careful");
    assert_int_equal(hold.seq, 5); /* of the second time it was taken */
    assert_int_equal(store_holds(tx, NULL, &kit->arena, &holds, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(holds[0].environment, "production");
    assert_string_equal(holds[0].agent, "billing");
    assert_int_equal(store_holds(tx, "staging", &kit->arena, &holds, &count, err), 0);
    assert_int_equal(count, 1);
    return 0;
}

static void holds_are_taken_and_released(void **state) {
    struct kit *kit = *state;

    assert_int_equal(kit_hold(kit, "support", "production", false), STORE_NONE);
    kit_ok(kit, kit_hold(kit, "support", "production", true));
    kit_ok(kit, kit_hold(kit, "support", "staging", true));
    kit_ok(kit, kit_hold(kit, "support", "production", false));
    kit_ok(kit, kit_hold(kit, "billing", "production", true));
    kit_ok(kit, kit_hold(kit, "support", "staging", true));
    kit_read(kit, check_holds, kit);
}

/* ---- overrides ---- */

static size_t overrides_at(struct kit *kit, struct store_tx *tx, int64_t seq, struct override **ret) {
    size_t count;
    assert_int_equal(store_overrides(tx, "support", "production", seq, &kit->arena, ret, &count, &kit->err), 0);
    return count;
}

static int check_overrides(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct override override, *overrides;

    assert_int_equal(overrides_at(kit, tx, 0, &overrides), 2);
    assert_string_equal(overrides[0].audience, "{\"var\":\"staff\"}");
    assert_string_equal(overrides[0].keys, "[]");
    assert_string_equal(overrides[1].name, "vip");
    assert_null(overrides[1].audience);
    assert_int_equal(overrides[1].version, 1);
    assert_int_equal(overrides_at(kit, tx, 12, &overrides), 2);
    assert_string_equal(overrides[0].name, "us");
    assert_null(overrides[0].audience);
    assert_int_equal(overrides_at(kit, tx, 13, &overrides), 2);
    assert_string_equal(overrides[0].audience, "{\"var\":\"staff\"}");
    assert_int_equal(overrides_at(kit, tx, 7, &overrides), 0);
    assert_int_equal(overrides_at(kit, tx, 8, &overrides), 1);
    assert_int_equal(overrides_at(kit, tx, 9, &overrides), 2);
    assert_string_equal(overrides[0].name, "testers");
    assert_int_equal(overrides[1].version, 2);
    assert_int_equal(overrides_at(kit, tx, 10, &overrides), 2);
    assert_int_equal(overrides[1].version, 1);
    assert_int_equal(overrides_at(kit, tx, 11, &overrides), 1);
    assert_int_equal(store_override_get(tx, "support", "production", "vip", &kit->arena, &override, err), 0);
    assert_string_equal(override.keys, "[\"user-1\",\"user-2\"]");
    assert_int_equal(override.seq, 10);
    assert_int_equal(store_override_get(tx, "support", "production", "testers", &kit->arena, &override, err),
                     STORE_NONE);
    return 0;
}

static void overrides_are_known_now_and_then(void **state) {
    struct kit *kit = *state;

    two_agents_with_versions(kit);
    kit_ok(kit, kit_override(kit, "support", "production", "vip", 2));         /* 8 */
    kit_ok(kit, kit_override(kit, "support", "production", "testers", 2));     /* 9 */
    kit_ok(kit, kit_override(kit, "support", "production", "vip", 1));         /* 10 */
    kit_ok(kit, kit_override_remove(kit, "support", "production", "testers")); /* 11 */
    assert_int_equal(kit_override_remove(kit, "support", "production", "testers"), STORE_NONE);
    kit_ok(kit, kit_override(kit, "support", "production", "us", 2));                            /* 12 */
    kit_ok(kit, kit_override_for(kit, "support", "production", "us", 2, "{\"var\":\"staff\"}")); /* 13 */
    kit_read(kit, check_overrides, kit);
}

/* ---- keys ---- */

static int check_keys(void *arg, struct store_tx *tx, struct err *err) {
    struct kit *kit = arg;
    struct key key, *keys;
    struct sha256 secret;
    size_t count;

    assert_int_equal(sha256_bytes("k-b", 3, &secret), 0);
    assert_int_equal(store_key_get(tx, "k-x", &kit->arena, &key, err), STORE_NONE);
    assert_int_equal(store_key_get(tx, "k-b", &kit->arena, &key, err), 0);
    assert_int_equal(key.role, ROLE_ADMIN);
    assert_string_equal(key.environments, "[\"*\"]");
    assert_memory_equal(&key.secret_hash, &secret, sizeof secret);
    assert_int_equal(key.revoked_at, 0);
    assert_null(key.revoked_by);
    assert_int_equal(store_keys(tx, &kit->arena, &keys, &count, err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(keys[0].id, "k-b");
    assert_string_equal(keys[1].id, "k-a");
    assert_true(keys[1].materialise_defaults && !keys[0].materialise_defaults);
    assert_true(keys[1].revoked_at > keys[1].created_at);
    assert_string_equal(keys[1].revoked_by, "key-2");
    return 0;
}

static void keys_are_made_and_revoked_once(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, kit_key(kit, "k-b", ROLE_ADMIN));
    kit_ok(kit, kit_key(kit, "k-a", ROLE_RESOLVE));
    assert_int_equal(kit_key_revoke(kit, "k-x"), STORE_NONE);
    kit_ok(kit, kit_key_revoke(kit, "k-a"));
    assert_int_equal(kit_key_revoke(kit, "k-a"), STORE_NONE);
    assert_int_equal(kit_key(kit, "k-a", ROLE_ADMIN), -ERR_CONFLICT);
    kit_read(kit, check_keys, kit);
}

/* ---- answers ---- */

struct answer_query {
    struct kit *kit;
    const char *key;
    int result;
    struct store_answer answer;
};

static int get_answer(void *arg, struct store_tx *tx, struct err *err) {
    struct answer_query *query = arg;

    query->result = store_answer_get(tx, "key-1", query->key, &query->kit->arena, &query->answer, err);
    return 0;
}

static struct answer_query answer_of(struct kit *kit, const char *key) {
    struct answer_query query = {.kit = kit, .key = key};
    kit_read(kit, get_answer, &query);
    return query;
}

static void answers_are_remembered_for_a_day(void **state) {
    struct kit *kit = *state;
    struct answer_query query;

    assert_int_equal(answer_of(kit, "k1").result, STORE_NONE);
    kit_ok(kit, kit_answer(kit, "k1", "{\"first\":true}"));
    query = answer_of(kit, "k1");
    assert_int_equal(query.result, 0);
    assert_string_equal(query.answer.body, "{\"first\":true}");
    assert_int_equal(query.answer.status, 201);
    assert_int_equal(query.answer.position.seq, 1);
    assert_int_equal(query.answer.position.epoch, 1);
    assert_int_equal(kit_answer(kit, "k1", "{}"), -ERR_CONFLICT);
    clock_fake_advance(&kit->clock, STORE_ANSWER_LIFE);
    assert_int_equal(answer_of(kit, "k1").result, 0);
    clock_fake_advance(&kit->clock, 1);
    assert_int_equal(answer_of(kit, "k1").result, STORE_NONE);
    kit_ok(kit, kit_answer(kit, "k1", "{\"second\":true}")); /* the key may be used again */
    assert_string_equal(answer_of(kit, "k1").answer.body, "{\"second\":true}");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agents_are_kept_and_paged, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(versions_are_numbered_and_found_by_hash, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(hashes_alike_are_ambiguous, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(environments_are_kept, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_ref_moves_by_compare_and_swap, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(refs_are_listed_and_filtered, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(history_is_paged_newest_first, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_release_moves_all_or_none, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(holds_are_taken_and_released, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(overrides_are_known_now_and_then, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(keys_are_made_and_revoked_once, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(answers_are_remembered_for_a_day, setup, kit_teardown),
    };

    if (argc != 2) return 2;
    driver = strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : strcmp(argv[1], "fault") == 0 ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
