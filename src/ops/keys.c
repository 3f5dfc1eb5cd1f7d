/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: make, list, revoke, and the first one of a new store. A key made by another may never see or do more than its
 * maker. Names are unique among keys in force, because histories show them.
 */
#include "ops/ops_impl.h"

#include <string.h>

#define EVERYWHERE "[\"*\"]"

struct key_plan {
    struct key key;
    char id[AUTH_KEY_ID_SIZE];
    char text[AUTH_KEY_TEXT_SIZE];
};

static void write_key_members(struct jw *jw, const struct key *key) {
    jw_text(jw, "id", key->id);
    jw_text(jw, "name", key->name);
    jw_text(jw, "role", role_name(key->role));
    jw_raw(jw, "environments", slice_of(key->environments));
    jw_bool(jw, "materialise_defaults", key->materialise_defaults);
    write_time(jw, "created_at", key->created_at);
    jw_text(jw, "created_by", key->created_by);
    if (!key->revoked_at) return;
    write_time(jw, "revoked_at", key->revoked_at);
    jw_text(jw, "revoked_by", key->revoked_by);
}

/* Whether everything that the key sees is seen by the principal too. */
static int within(const struct op_run *run, const struct key *key, bool *ret, struct err *err) {
    *ret = run->call->principal.all_environments;
    if (*ret) return 0;
    _cleanup_(json_decrefp) json_t *names = NULL;
    int r = json_parse(key->environments, strlen(key->environments), 2, &names, err);
    if (r < 0) return r;
    *ret = true;
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name) *ret &= principal_sees(&run->call->principal, slice_of(json_string_value(name)));
    return 0;
}

int op_key_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct key *keys;
    size_t count;
    int r = store_keys(tx, run->arena, &keys, &count, err);
    if (r < 0) return r;
    jw_array(jw, "keys");
    for (size_t i = 0; i < count; i++) {
        bool seen;
        r = within(run, &keys[i], &seen, err);
        if (r < 0) return r;
        if (!seen) continue;
        jw_object(jw, NULL);
        write_key_members(jw, &keys[i]);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    return 0;
}

/* ---- make ---- */

/* The wished environments, each known and seen by the maker; absent: those of the maker. */
static int wished_environments(struct op_run *run, struct store_tx *tx, const char **ret, struct err *err) {
    const json_t *wish = json_get(run->call->params, "environment");
    const struct principal *maker = &run->call->principal;
    size_t count = 0;
    *ret = EVERYWHERE;
    if (!wish && maker->all_environments) return 0;
    if (!wish)
        while (maker->environments[count])
            count++;
    size_t wished = json_is_array(wish) ? json_array_size(wish) : 1;

    const char **names = arena_array(run->arena, count + wished, sizeof(*names));
    if (!names) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        names[i] = maker->environments[i];
    for (size_t i = 0; wish && i < wished; i++) {
        struct environment known;
        names[count] = json_string_value(json_is_array(wish) ? json_array_get(wish, i) : wish);
        int r = need_environment(run, tx, names[count++], &known, err);
        if (r < 0) {
            err_at(err, "/environment");
            return r;
        }
    }
    return run_texts(run, names, count, ret, err);
}

static int check_key_name(struct op_run *run, struct store_tx *tx, const char *name, struct err *err) {
    if (!*name) {
        int r = err_set(err, ERR_BAD_REQUEST, "a key needs a name that says who or what it is for");
        err_at(err, "/name");
        return r;
    }
    struct key *keys;
    size_t count;
    int r = store_keys(tx, run->arena, &keys, &count, err);
    for (size_t i = 0; i < count && r >= 0; i++) {
        if (keys[i].revoked_at || strcmp(keys[i].name, name)) continue;
        r = err_set(err, ERR_CONFLICT, "a key named \"%s\" is in force already", name);
        err_at(err, "/name");
        err_remedy(err, "Choose another name, or revoke that one first: `serin key revoke %s`", keys[i].id);
    }
    return r;
}

int op_key_create_prepare(struct op_run *run, struct err *err) {
    struct key_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    return auth_key_new(plan->id, plan->text, &plan->key.secret_hash, err);
}

int op_key_create_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct key_plan *plan = run->plan;
    struct key *key = &plan->key;
    key->id = plan->id;
    key->name = run_text(run, "name");
    key->materialise_defaults = run_bool(run, "materialise_defaults", false);
    key->created_by = run_by(run);
    key->created_at = clock_wall(run->ops->clock);
    run->created = true;
    if (!role_from_text(run_text(run, "role"), &key->role)) return err_set(err, ERR_INTERNAL, "role passed unread");
    int r = check_key_name(run, tx, key->name, err);
    if (r < 0) return r;
    return wished_environments(run, tx, &key->environments, err);
}

int op_key_create_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct key_plan *plan = run->plan;
    plan->key.created_at = run->at;
    plan->key.seq = run->position.seq;
    return store_key_add(tx, &plan->key, err);
}

void op_key_create_answer(struct op_run *run, struct jw *jw) {
    const struct key_plan *plan = run->plan;
    write_key_members(jw, &plan->key);
    if (!run->to_keep && !run->call->dry_run) jw_text(jw, "key", plan->text);
}

void op_key_create_detail(struct op_run *run, struct jw *jw) {
    const struct key *key = &((struct key_plan *)run->plan)->key;
    jw_text(jw, "key", key->id);
    jw_text(jw, "name", key->name);
    jw_text(jw, "role", role_name(key->role));
    jw_raw(jw, "environments", slice_of(key->environments));
    if (key->materialise_defaults) jw_bool(jw, "materialise_defaults", true);
}

/* ---- revoke ---- */

static bool is_full_admin(const struct key *key) {
    return !key->revoked_at && key->role == ROLE_ADMIN && !strcmp(key->environments, EVERYWHERE);
}

static int check_not_last(struct op_run *run, struct store_tx *tx, const struct key *key, struct err *err) {
    if (!is_full_admin(key)) return 0;
    struct key *keys;
    size_t count, admins = 0;
    int r = store_keys(tx, run->arena, &keys, &count, err);
    if (r < 0) return r;
    for (size_t i = 0; i < count; i++)
        admins += is_full_admin(&keys[i]);
    if (admins > 1) return 0;
    r = err_set(err, ERR_CONFLICT, "%s is the last admin key for all environments", key->id);
    err_at(err, "key");
    err_remedy(err, "Make another first: `serin key create --role admin --name NAME`");
    return r;
}

int op_key_revoke_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct key *key = run->plan = run_alloc(run, sizeof(*key), err);
    if (!key) return -ERR_NO_MEMORY;
    const char *id = run_text(run, "key");
    int r = store_key_get(tx, id, run->arena, key, err);
    if (r < 0) return r;
    bool seen = false;
    if (r != STORE_NONE && (r = within(run, key, &seen, err)) < 0) return r;
    if (!seen) {
        r = err_set(err, ERR_NOT_FOUND, "there is no key with that id");
        err_at(err, "key");
        err_remedy(err, "`serin key list` lists the keys");
        return r;
    }
    run->unchanged = key->revoked_at != 0;
    return run->unchanged ? 0 : check_not_last(run, tx, key, err);
}

int op_key_revoke_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct key *key = run->plan;
    key->revoked_at = run->at;
    key->revoked_by = run_by(run);
    return store_key_revoke(tx, key->id, key->revoked_by, run->at, run->position.seq, err);
}

void op_key_revoke_answer(struct op_run *run, struct jw *jw) {
    jw_object(jw, "key");
    write_key_members(jw, run->plan);
    jw_end_object(jw);
    jw_bool(jw, "changed", !run->unchanged);
}

void op_key_revoke_detail(struct op_run *run, struct jw *jw) {
    const struct key *key = run->plan;
    jw_text(jw, "key", key->id);
    jw_text(jw, "name", key->name);
}

/* ---- the first key ---- */

struct bootstrap {
    struct key key;
    struct arena arena;
};

static int bootstrap_in_tx(void *arg, struct store_tx *tx, struct err *err) {
    struct bootstrap *bootstrap = arg;
    struct key *keys;
    size_t count;
    int r = store_keys(tx, &bootstrap->arena, &keys, &count, err);
    if (r < 0) return r;
    if (count) return 1;

    struct position position;
    r = store_advance(tx, &position, &bootstrap->key.created_at, err);
    if (r < 0) return r;
    bootstrap->key.seq = position.seq;
    r = store_key_add(tx, &bootstrap->key, err);
    if (r < 0) return r;
    struct audit_entry entry = {
        .position = position,
        .at = bootstrap->key.created_at,
        .actor = "system",
        .actor_name = "system",
        .operation = "key_create",
        .agent = "",
        .environment = "",
        .reason = "first start",
        .detail = arena_printf(&bootstrap->arena,
                               "{\"environments\":[\"*\"],\"key\":\"%s\",\"name\":\"%s\",\"role\":\"admin\"}",
                               bootstrap->key.id, bootstrap->key.name),
    };
    if (!entry.detail) return err_no_memory(err);
    return store_audit_append(tx, &entry, err);
}

static int check_bootstrap_text(const char *text, struct err *err) {
    size_t len = strlen(text);
    if (len >= AUTH_BOOTSTRAP_MIN && len <= AUTH_BOOTSTRAP_MAX) return 0;
    int r = err_set(err, ERR_CONFIG, "SERIN_BOOTSTRAP_KEY has %zu characters; it needs %d to %d", len,
                    AUTH_BOOTSTRAP_MIN, AUTH_BOOTSTRAP_MAX);
    err_at(err, "SERIN_BOOTSTRAP_KEY");
    err_remedy(err, "Use a long random text, as from `openssl rand -hex 32`");
    return r;
}

int ops_bootstrap(struct ops *ops, const char *text, char ret_text[AUTH_KEY_TEXT_SIZE], struct err *err) {
    struct bootstrap bootstrap = {
        .key = {.id = AUTH_BOOTSTRAP_ID,
                .name = "bootstrap",
                .role = ROLE_ADMIN,
                .environments = EVERYWHERE,
                .created_by = "system"},
    };
    char id[AUTH_KEY_ID_SIZE];
    int r = text ? check_bootstrap_text(text, err) : auth_key_new(id, ret_text, &bootstrap.key.secret_hash, err);
    if (r < 0) return r;
    if (!text) bootstrap.key.id = id;
    if (text && sha256_bytes(text, strlen(text), &bootstrap.key.secret_hash) < 0)
        return err_set(err, ERR_INTERNAL, "hashing the bootstrap key failed");
    r = store_write(ops->store, bootstrap_in_tx, &bootstrap, err);
    arena_deinit(&bootstrap.arena);
    return r;
}
