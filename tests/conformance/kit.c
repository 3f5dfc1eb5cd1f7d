/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/kit.h"

#include "model/audit.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wrap(void *ctx, struct db *inner, struct db **ret) {
    return db_fault_wrap(inner, ctx, ret);
}

void kit_init(struct kit *kit, enum kit_driver driver) {
    static _Atomic int counter;

    *kit = (struct kit){.driver = driver};
    snprintf(kit->folder, sizeof kit->folder, "/tmp/serin-store-XXXXXX");
    assert_non_null(mkdtemp(kit->folder));
    if (driver == KIT_MEMORY || driver == KIT_FAULT_MEMORY)
        snprintf(kit->url, sizeof kit->url, "sqlite::memory:kit%d", counter++);
    else
        snprintf(kit->url, sizeof kit->url, "sqlite:%s/serin.db", kit->folder);
    clock_fake_init(&kit->clock, KIT_START);
}

int kit_open(struct kit *kit) {
    struct store_options options = {.url = kit->url, .clock = &kit->clock};

    if (kit->driver == KIT_FAULT || kit->driver == KIT_FAULT_MEMORY) {
        options.wrap = wrap;
        options.wrap_ctx = &kit->fault;
    }
    return store_open(&options, &kit->store, &kit->err);
}

void kit_close(struct kit *kit) {
    kit->store = store_close(kit->store);
}

void kit_reopen(struct kit *kit) {
    struct store *first = kit->store;

    if (kit->driver != KIT_MEMORY) first = store_close(first);
    assert_int_equal(kit_open(kit), 0);
    store_close(first);
}

void kit_path(const struct kit *kit, const char *suffix, char ret[160]) {
    snprintf(ret, 160, "%s/serin.db%s", kit->folder, suffix);
}

void kit_deinit(struct kit *kit) {
    char path[400];
    struct dirent *entry;

    kit_close(kit);
    arena_deinit(&kit->arena);
    DIR *folder = opendir(kit->folder);
    while (folder && (entry = readdir(folder))) {
        snprintf(path, sizeof path, "%s/%s", kit->folder, entry->d_name);
        unlink(path);
    }
    if (folder) closedir(folder);
    rmdir(kit->folder);
}

void kit_read(struct kit *kit, store_fn fn, void *arg) {
    int r = store_read(kit->store, fn, arg, &kit->err);
    if (r != 0) fail_msg("a read answered %d: %s", r, kit->err.message);
}

int kit_begin(struct store_tx *tx, struct kit_change *change, struct err *err) {
    return store_advance(tx, &change->position, &change->at, err);
}

int kit_end(struct store_tx *tx, const struct kit_change *change, const char *operation, const char *agent,
            const char *environment, struct err *err) {
    struct audit_entry entry = {
        .position = change->position,
        .at = change->at,
        .actor = "key-1",
        .actor_name = "tester",
        .operation = operation,
        .agent = agent,
        .environment = environment,
        .reason = "because",
        .detail = "{\"n\":1}",
    };
    return store_audit_append(tx, &entry, err);
}

/* ---- changes ---- */

static int agent_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct agent *agent = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    agent->created_by = "key-1";
    agent->created_at = change.at;
    agent->seq = change.position.seq;
    r = store_agent_put(tx, agent, err);
    return r != 0 ? r : kit_end(tx, &change, "agent.put", agent->name, "", err);
}

int kit_agent(struct kit *kit, const char *name, const char *description) {
    struct agent agent = {.name = name, .description = description};
    return store_write(kit->store, agent_fn, &agent, &kit->err);
}

static int environment_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct environment *environment = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    environment->created_by = "key-1";
    environment->created_at = change.at;
    environment->seq = change.position.seq;
    r = store_environment_put(tx, environment, err);
    return r != 0 ? r : kit_end(tx, &change, "environment.put", "", environment->name, err);
}

int kit_environment(struct kit *kit, const char *name, bool is_protected) {
    struct environment environment = {.name = name, .description = "where it runs", .is_protected = is_protected};
    return store_write(kit->store, environment_fn, &environment, &kit->err);
}

void kit_config(const char *text, char *buffer, size_t size, struct version *ret) {
    int len = snprintf(buffer, size, "{\"schema\":\"agent/v1\",\"system_prompt\":\"%s\"}", text);

    assert_true(len > 0 && (size_t)len < size);
    ret->config = (struct slice){buffer, (size_t)len};
    ret->size = len;
    assert_int_equal(sha256_bytes(buffer, (size_t)len, &ret->content_hash), 0);
    assert_int_equal(sha256_bytes(text, strlen(text), &ret->config_hash), 0);
}

static int push_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct version *version = arg;
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct kit_change change;
    struct agent agent;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    r = store_agent_get(tx, version->agent, &arena, &agent, err);
    if (r != 0) return r;
    version->number = agent.latest + 1;
    version->parent = agent.latest;
    version->created_at = change.at;
    version->seq = change.position.seq;
    r = store_version_add(tx, version, err);
    return r != 0 ? r : kit_end(tx, &change, "version.push", version->agent, "", err);
}

int kit_push(struct kit *kit, const char *agent, const char *text) {
    char buffer[8192];
    struct version version = {
        .agent = agent, .description = "a change", .source = "{\"kind\":\"api\"}", .created_by = "key-1"};

    kit_config(text, buffer, sizeof buffer, &version);
    return store_write(kit->store, push_fn, &version, &kit->err);
}

static int deploy_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct deployment *deployment = arg;
    struct kit_change change;
    char id[32];

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    snprintf(id, sizeof id, "d-%lld", (long long)change.position.seq);
    deployment->id = id;
    deployment->created_at = change.at;
    deployment->seq = change.position.seq;
    r = store_deployment_add(tx, deployment, err);
    return r != 0 ? r : kit_end(tx, &change, "deployment.add", deployment->agent, deployment->environment, err);
}

int kit_deploy(struct kit *kit, const char *agent, const char *environment, int64_t version, int64_t previous) {
    struct deployment deployment = {.agent = agent,
                                    .environment = environment,
                                    .version = version,
                                    .previous = previous,
                                    .kind = version < previous ? DEPLOYMENT_ROLLBACK : DEPLOYMENT_DEPLOY,
                                    .reason = "why not",
                                    .created_by = "key-1"};
    return store_write(kit->store, deploy_fn, &deployment, &kit->err);
}

struct hold_job {
    struct hold hold;
    bool held;
};

static int hold_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct hold_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    job->hold.created_at = change.at;
    job->hold.seq = change.position.seq;
    r = job->held ? store_hold_put(tx, &job->hold, err) : store_hold_release(tx, &job->hold, err);
    return r != 0 ? r : kit_end(tx, &change, "hold", job->hold.agent, job->hold.environment, err);
}

int kit_hold(struct kit *kit, const char *agent, const char *environment, bool held) {
    struct hold_job job = {{.agent = agent, .environment = environment, .reason = "careful", .created_by = "key-1"},
                           held};
    return store_write(kit->store, hold_fn, &job, &kit->err);
}

struct override_job {
    struct override override;
    bool removed;
};

static int override_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct override_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    job->override.created_at = change.at;
    job->override.seq = change.position.seq;
    r = job->removed ? store_override_remove(tx, &job->override, err) : store_override_put(tx, &job->override, err);
    return r != 0 ? r : kit_end(tx, &change, "override", job->override.agent, job->override.environment, err);
}

static int write_override(struct kit *kit, const char *agent, const char *environment, const char *name,
                          int64_t version, const char *audience, bool removed) {
    struct override_job job = {{.agent = agent,
                                .environment = environment,
                                .name = name,
                                .keys = audience ? "[]" : "[\"user-1\",\"user-2\"]",
                                .audience = audience,
                                .version = version,
                                .reason = "try it",
                                .created_by = "key-1"},
                               removed};
    return store_write(kit->store, override_fn, &job, &kit->err);
}

int kit_override(struct kit *kit, const char *agent, const char *environment, const char *name, int64_t version) {
    return write_override(kit, agent, environment, name, version, NULL, false);
}

int kit_override_for(struct kit *kit, const char *agent, const char *environment, const char *name, int64_t version,
                     const char *audience) {
    return write_override(kit, agent, environment, name, version, audience, false);
}

int kit_override_remove(struct kit *kit, const char *agent, const char *environment, const char *name) {
    return write_override(kit, agent, environment, name, 0, NULL, true);
}

static int key_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct key *key = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    key->created_at = change.at;
    key->seq = change.position.seq;
    r = store_key_add(tx, key, err);
    return r != 0 ? r : kit_end(tx, &change, "key.create", "", "", err);
}

int kit_key(struct kit *kit, const char *id, enum role role) {
    struct key key = {.id = id,
                      .name = "a key",
                      .role = role,
                      .environments = "[\"*\"]",
                      .created_by = "key-1",
                      .materialise_defaults = role == ROLE_RESOLVE};

    assert_int_equal(sha256_bytes(id, strlen(id), &key.secret_hash), 0);
    return store_write(kit->store, key_fn, &key, &kit->err);
}

static int key_revoke_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    r = store_key_revoke(tx, arg, "key-2", change.at, change.position.seq, err);
    return r != 0 ? r : kit_end(tx, &change, "key.revoke", "", "", err);
}

int kit_key_revoke(struct kit *kit, const char *id) {
    return store_write(kit->store, key_revoke_fn, (void *)(uintptr_t)id, &kit->err);
}

static int release_fn(void *arg, struct store_tx *tx, struct err *err) {
    const struct kit_release *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    struct release release = {.id = job->id,
                              .environment = job->environment,
                              .reason = "together",
                              .rolls_back = job->rolls_back,
                              .created_by = "key-1",
                              .created_at = change.at,
                              .seq = change.position.seq};
    r = store_release_add(tx, &release, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(job->agents) && job->agents[i]; i++) {
        struct deployment deployment = {.id = job->agents[i],
                                        .agent = job->agents[i],
                                        .environment = job->environment,
                                        .version = job->versions[i],
                                        .previous = job->previous[i],
                                        .kind = DEPLOYMENT_DEPLOY,
                                        .reason = "together",
                                        .release = job->id,
                                        .restores = 1,
                                        .created_by = "key-1",
                                        .created_at = change.at,
                                        .seq = change.position.seq};
        r = store_deployment_add(tx, &deployment, err);
    }
    return r != 0 ? r : kit_end(tx, &change, "release.create", "", job->environment, err);
}

int kit_release(struct kit *kit, const struct kit_release *release) {
    return store_write(kit->store, release_fn, (void *)(uintptr_t)release, &kit->err);
}

int kit_session(struct kit *kit, const char *name, enum session_policy session) {
    struct agent agent = {.name = name, .description = "answers", .session = session};
    return store_write(kit->store, agent_fn, &agent, &kit->err);
}

static int rollout_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct rollout *rollout = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    rollout->created_at = change.at;
    rollout->seq = change.position.seq;
    r = store_rollout_add(tx, rollout, err);
    return r != 0 ? r : kit_end(tx, &change, "rollout.start", rollout->agent, rollout->environment, err);
}

int kit_rollout(struct kit *kit, const char *id, const char *agent, const char *environment, int64_t stable,
                int64_t candidate) {
    char salt[64];
    struct rollout rollout = {.id = id,
                              .agent = agent,
                              .environment = environment,
                              .candidate = candidate,
                              .stable = stable,
                              .salt = salt,
                              .plan = "{}",
                              .reason = "a better one",
                              .created_by = "key-1",
                              .state = ROLLOUT_RUNNING,
                              .share = 5000};

    snprintf(salt, sizeof salt, "salt-%s", id);
    return store_write(kit->store, rollout_fn, &rollout, &kit->err);
}

static int add_move(struct store_tx *tx, const struct kit_move *move, const struct kit_change *change,
                    struct err *err) {
    struct rollout_move row = {.rollout = move->rollout,
                               .state = move->state,
                               .step = move->step,
                               .share = move->share,
                               .action = move->action,
                               .words = "so it is",
                               .evidence = move->evidence,
                               .created_by = "key-2",
                               .created_at = change->at,
                               .seq = change->position.seq};
    return store_rollout_move(tx, &row, err);
}

static int move_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    r = add_move(tx, arg, &change, err);
    return r != 0 ? r : kit_end(tx, &change, "rollout.move", "", "", err);
}

int kit_move(struct kit *kit, const struct kit_move *move) {
    return store_write(kit->store, move_fn, (void *)(uintptr_t)move, &kit->err);
}

struct promote_job {
    struct kit_move move;
    struct deployment deployment;
};

static int promote_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct promote_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    job->deployment.created_at = change.at;
    job->deployment.seq = change.position.seq;
    r = add_move(tx, &job->move, &change, err);
    if (r == 0) r = store_deployment_add(tx, &job->deployment, err);
    return r != 0 ? r : kit_end(tx, &change, "rollout.promote", "", "", err);
}

int kit_promote(struct kit *kit, const char *rollout, const char *agent, const char *environment, int64_t version,
                int64_t previous) {
    struct promote_job job = {{.rollout = rollout, .action = "promote", .state = ROLLOUT_PROMOTED},
                              {.id = rollout,
                               .agent = agent,
                               .environment = environment,
                               .version = version,
                               .previous = previous,
                               .kind = DEPLOYMENT_PROMOTE,
                               .reason = "good",
                               .created_by = "key-1"}};
    return store_write(kit->store, promote_fn, &job, &kit->err);
}

struct panic_job {
    struct panic panic;
    bool on;
};

static int panic_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct panic_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    job->panic.created_at = change.at;
    job->panic.seq = change.position.seq;
    r = job->on ? store_panic_put(tx, &job->panic, err) : store_panic_release(tx, &job->panic, err);
    return r != 0 ? r : kit_end(tx, &change, "panic", job->panic.agent, job->panic.environment, err);
}

int kit_panic(struct kit *kit, const char *agent, const char *environment, int64_t version, bool on) {
    struct panic_job job = {
        {.agent = agent, .environment = environment, .version = version, .reason = "fire", .created_by = "key-1"}, on};
    return store_write(kit->store, panic_fn, &job, &kit->err);
}

static int template_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct rollout_template *row = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    row->created_at = change.at;
    row->seq = change.position.seq;
    r = store_template_put(tx, row, err);
    return r != 0 ? r : kit_end(tx, &change, "template.put", "", "", err);
}

int kit_template(struct kit *kit, const char *name, const char *content) {
    struct rollout_template row = {.name = name, .description = "ours", .content = content, .created_by = "key-1"};
    return store_write(kit->store, template_fn, &row, &kit->err);
}

struct webhook_job {
    struct webhook webhook;
    bool removed;
};

static int webhook_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct webhook_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    job->webhook.created_at = change.at;
    job->webhook.seq = job->webhook.secret_seq = change.position.seq;
    r = job->removed ? store_webhook_remove(tx, &job->webhook, err) : store_webhook_put(tx, &job->webhook, err);
    if (r == 0 && !job->removed) r = store_webhook_secret_put(tx, &job->webhook, err);
    return r != 0 ? r : kit_end(tx, &change, "webhook", "", job->webhook.environment, err);
}

int kit_webhook(struct kit *kit, const char *name, const char *url, const char *environment) {
    char secret[64];
    snprintf(secret, sizeof secret, "whsec_%s", name);
    struct webhook_job job = {{.name = name,
                               .url = url,
                               .environment = environment,
                               .agent = "",
                               .events = "[\"*\"]",
                               .created_by = "key-1",
                               .secret = secret,
                               .previous = ""},
                              false};
    return store_write(kit->store, webhook_fn, &job, &kit->err);
}

int kit_webhook_remove(struct kit *kit, const char *name) {
    struct webhook_job job = {
        {.name = name, .url = "", .environment = "", .agent = "", .events = "", .created_by = "key-1"}, true};
    return store_write(kit->store, webhook_fn, &job, &kit->err);
}

struct answer_job {
    const char *key, *body;
};

static int answer_fn(void *arg, struct store_tx *tx, struct err *err) {
    const struct answer_job *job = arg;
    struct kit_change change;

    int r = kit_begin(tx, &change, err);
    if (r < 0) return r;
    struct store_answer answer = {.principal = "key-1",
                                  .key = job->key,
                                  .status = 201,
                                  .body = job->body,
                                  .position = change.position,
                                  .at = change.at};
    r = sha256_bytes(job->body, strlen(job->body), &answer.request);
    if (r == 0) r = store_answer_put(tx, &answer, err);
    return r != 0 ? r : kit_end(tx, &change, "answer", "", "", err);
}

int kit_answer(struct kit *kit, const char *key, const char *body) {
    struct answer_job job = {key, body};
    return store_write(kit->store, answer_fn, &job, &kit->err);
}

/* ---- looking ---- */

struct head_job {
    struct position position;
    int64_t at;
};

static int head_fn(void *arg, struct store_tx *tx, struct err *err) {
    struct head_job *job = arg;
    return store_head(tx, &job->position, &job->at, err);
}

struct position kit_head(struct kit *kit, int64_t *ret_at) {
    struct head_job job;

    kit_read(kit, head_fn, &job);
    if (ret_at) *ret_at = job.at;
    return job.position;
}

static void mix(struct sha256 *hash, const void *bytes, size_t len) {
    struct slice pieces[] = {{(const char *)hash->bytes, SHA256_SIZE}, {bytes, len}};
    assert_int_equal(sha256_pieces(pieces, 2, hash), 0);
}

static void mix_int(struct sha256 *hash, int64_t value) {
    mix(hash, &value, sizeof value);
}

/* Mixes the newest hash of the chain, which covers every entry. */
static int chain_fn(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct sha256 previous = {0}, hash;
    struct audit_entry *entries;
    struct position head;
    int64_t seq = 0, last = 0, at;
    size_t count;

    assert_int_equal(store_head(tx, &head, &at, err), 0);
    do {
        assert_int_equal(store_audit(tx, seq, 100, &arena, &entries, &count, err), 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(entries[i].position.seq, seq + 1);
            assert_true(entries[i].at > last);
            assert_memory_equal(&entries[i].previous, &previous, sizeof previous);
            assert_int_equal(audit_entry_hash(&entries[i], &hash, err), 0);
            assert_memory_equal(&entries[i].hash, &hash, sizeof hash);
            previous = hash;
            last = entries[i].at;
            seq = entries[i].position.seq;
        }
    } while (count);
    assert_int_equal(seq, head.seq);
    assert_int_equal(last, at);
    mix(arg, &previous, sizeof previous);
    mix_int(arg, seq);
    return 0;
}

static int records_fn(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct agent *agents;
    struct version *versions;
    struct deployment *deployments;
    struct release *releases;
    struct key *keys;
    struct store_touch *touches;
    struct rollout *rollouts;
    struct rollout_move *moves;
    struct store_answer answer;
    size_t count, more;

    assert_int_equal(store_agents(tx, "", 1000, &arena, &agents, &count, err), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(store_versions(tx, agents[i].name, 0, 1000, &arena, &versions, &more, err), 0);
        assert_int_equal(more, agents[i].latest);
        for (size_t v = 0; v < more; v++)
            mix(arg, &versions[v].content_hash, SHA256_SIZE);
        assert_int_equal(store_deployments(tx, agents[i].name, NULL, 0, 1000, &arena, &deployments, &more, err), 0);
        for (size_t d = 0; d < more; d++)
            mix_int(arg, deployments[d].seq);
    }
    assert_int_equal(store_releases(tx, NULL, 0, 1000, &arena, &releases, &count, err), 0);
    mix_int(arg, (int64_t)count);
    assert_int_equal(store_keys(tx, &arena, &keys, &count, err), 0);
    for (size_t i = 0; i < count; i++)
        mix_int(arg, keys[i].revoked_at);
    assert_int_equal(store_rollouts(tx, &(struct store_rollouts_query){.limit = 1000}, &arena, &rollouts, &count, err),
                     0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(store_rollout_moves(tx, rollouts[i].id, 0, 1000, true, &arena, &moves, &more, err), 0);
        assert_int_equal(moves[0].seq, rollouts[i].moved_seq);
        for (size_t m = 0; m < more; m++)
            mix(arg, moves[m].evidence.ptr ? moves[m].evidence.ptr : "", moves[m].evidence.len);
        mix_int(arg, (int64_t)more);
    }
    assert_int_equal(store_touches(tx, 0, 100000, &arena, &touches, &count, err), 0);
    mix_int(arg, (int64_t)count);
    mix_int(arg, store_answer_get(tx, "key-1", "once", &arena, &answer, err));
    return 0;
}

struct sha256 kit_fingerprint(struct kit *kit) {
    struct sha256 hash;

    assert_int_equal(store_derived_hash(kit->store, &hash, &kit->err), 0);
    kit_read(kit, chain_fn, &hash);
    kit_read(kit, records_fn, &hash);
    return hash;
}

void kit_verify_chain(struct kit *kit) {
    struct sha256 hash = {0};
    kit_read(kit, chain_fn, &hash);
}

int kit_setup(void **state, enum kit_driver driver) {
    struct kit *kit = malloc(sizeof *kit);

    if (!kit) return -1;
    kit_init(kit, driver);
    *state = kit;
    return kit_open(kit);
}

int kit_teardown(void **state) {
    kit_deinit(*state);
    free(*state);
    return 0;
}

void kit_ok(struct kit *kit, int r) {
    if (r != 0) fail_msg("answered %d: %s", r, kit->err.message);
}
