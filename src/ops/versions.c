/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions: push, list, show. The configuration is brought to its form, checked and sealed before the transaction, so that a
 * big document never holds the writer; inside only its hash is compared with the newest version's.
 */
#include "model/config.h"
#include "ops/ops_impl.h"
#include "ops/page.h"

#include <stdio.h>
#include <string.h>

struct push_plan {
    struct agent agent;
    bool agent_created;
    struct config_sealed sealed;
    struct version version;
};

static int check_source(const json_t *source, struct err *err) {
    static const char *const kinds[] = {"api", "cli", "git"};
    const char *kind = json_get_text(source, "kind");
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        known |= kind && !strcmp(kind, kinds[i]);
    if (!known) {
        int r = err_set(err, ERR_BAD_REQUEST, "`source.kind` must be api, cli or git");
        err_at(err, "/source/kind");
        return r;
    }

    const char *key;
    json_t *value;
    json_object_foreach((json_t *)source, key, value) {
        bool member = !strcmp(key, "kind") || !strcmp(key, "path") || !strcmp(key, "commit");
        if (member && json_is_string(value) && json_string_length(value) <= 1024) continue;
        int r = err_set(err, ERR_BAD_REQUEST, "`source` holds kind, path and commit as text of at most 1024 bytes");
        err_at(err, "/source/%.100s", key);
        return r;
    }
    return 0;
}

static int source_text(struct op_run *run, const char **ret, struct err *err) {
    const json_t *source = json_get(run->call->params, "source");
    *ret = "{\"kind\":\"api\"}";
    if (!source) return 0;
    int r = check_source(source, err);
    if (r < 0) return r;

    _cleanup_(str_deinit) struct str text = STR_INIT;
    r = json_canonical(source, &text, err);
    if (r < 0) return r;
    *ret = text.failed ? NULL : arena_strdup(run->arena, text.data);
    return *ret ? 0 : err_no_memory(err);
}

/* The sealed bytes live in the run's arena, so that whoever ends the run ends them. */
static int keep_sealed(struct op_run *run, struct config_sealed *sealed, struct push_plan *plan, struct err *err) {
    plan->sealed = *sealed;
    plan->sealed.bytes = arena_strndup(run->arena, sealed->bytes, sealed->len);
    return plan->sealed.bytes ? 0 : err_no_memory(err);
}

int op_version_push_prepare(struct op_run *run, struct err *err) {
    struct push_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    if (!plan) return -ERR_NO_MEMORY;
    int r = source_text(run, &plan->version.source, err);
    if (r < 0) return r;

    struct faults *faults = &run->call->faults;
    _cleanup_(json_decrefp) json_t *config = NULL;
    r = config_normalise(json_get(run->call->params, "config"), faults, &config, err);
    if (r < 0) return r;
    r = config_validate(config, faults, err);
    if (r < 0) return r;
    if (faults->failed) return err_no_memory(err);
    if (faults->errors) return run_refuse_faults(run, "/config", err);

    _cleanup_(config_sealed_deinit) struct config_sealed sealed = {0};
    r = config_seal(config, &sealed, err);
    if (r < 0) return r;
    return keep_sealed(run, &sealed, plan, err);
}

static int check_expected_latest(struct op_run *run, int64_t latest, struct err *err) {
    int64_t expected = run_int(run, "expected_latest", -1);
    if (expected < 0 || expected == latest) return 0;
    int r = run_stale(run, latest, err, "the newest version of %s is %lld, not %lld", run->agent, (long long)latest,
                      (long long)expected);
    err_at(err, "/expected_latest");
    return r;
}

int op_version_push_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct push_plan *plan = run->plan;
    run->agent = run_text(run, "agent");
    run->reason = run_text_or(run, "change_description", "");

    int r = store_agent_get(tx, run->agent, run->arena, &plan->agent, err);
    if (r < 0) return r;
    plan->agent_created = r == STORE_NONE;
    if (plan->agent_created) plan->agent = (struct agent){.name = run->agent, .description = ""};

    struct version newest = {0};
    r = store_version_get(tx, run->agent, 0, false, run->arena, &newest, err);
    if (r < 0) return r;
    r = check_expected_latest(run, newest.number, err);
    if (r < 0) return r;
    if (newest.number && secret_equal(&newest.content_hash, &plan->sealed.content_hash, sizeof(struct sha256))) {
        plan->version = newest;
        run->unchanged = true;
        return 0;
    }

    const char *source = plan->version.source;
    plan->version = (struct version){
        .agent = run->agent,
        .number = newest.number + 1,
        .content_hash = plan->sealed.content_hash,
        .config_hash = plan->sealed.config_hash,
        .size = (int64_t)plan->sealed.len,
        .description = run->reason,
        .source = source,
        .parent = newest.number,
        .created_by = run_by(run),
        .created_at = clock_wall(run->ops->clock),
    };
    run->created = true;
    return 0;
}

int op_version_push_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct push_plan *plan = run->plan;
    if (plan->agent_created) {
        plan->agent.created_by = run_by(run);
        plan->agent.created_at = run->at;
        plan->agent.seq = run->position.seq;
        int r = store_agent_put(tx, &plan->agent, err);
        if (r < 0) return r;
    }
    plan->version.created_at = run->at;
    plan->version.seq = run->position.seq;
    struct version row = plan->version;
    row.config = (struct slice){plan->sealed.bytes, plan->sealed.len};
    return store_version_add(tx, &row, err);
}

void op_version_push_answer(struct op_run *run, struct jw *jw) {
    struct push_plan *plan = run->plan;
    write_version(jw, "version", &plan->version, NULL);
    jw_bool(jw, "created", run->created);
    jw_bool(jw, "agent_created", plan->agent_created);
    write_faults(jw, "warnings", &run->call->faults, true);
}

void op_version_push_detail(struct op_run *run, struct jw *jw) {
    struct push_plan *plan = run->plan;
    char hash[HASH_TEXT_SIZE];
    jw_int(jw, "version", plan->version.number);
    sha256_text(&plan->version.content_hash, hash);
    jw_text(jw, "content_hash", hash);
    sha256_text(&plan->version.config_hash, hash);
    jw_text(jw, "config_hash", hash);
    jw_raw(jw, "source", slice_of(plan->version.source));
    jw_bool(jw, "agent_created", plan->agent_created);
}

/* ---- list and show ---- */

/* The environments, of those that the key may see, that serve this version now; NULL-terminated. */
static int served_in(struct op_run *run, const struct deployment *refs, size_t count, int64_t number, const char ***ret,
                     struct err *err) {
    const char **names = arena_array(run->arena, count + 1, sizeof(*names));
    if (!names) return err_no_memory(err);
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (refs[i].version == number && principal_sees(&run->call->principal, slice_of(refs[i].environment)))
            names[found++] = refs[i].environment;
    *ret = names;
    return 0;
}

int op_version_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct agent agent;
    int r = need_agent(run, tx, run_text(run, "agent"), &agent, err);
    if (r < 0) return r;
    struct deployment *refs;
    size_t ref_count;
    r = refs_of_agent(run, tx, agent.name, &refs, &ref_count, err);
    if (r < 0) return r;

    size_t count, limit = page_limit(run);
    struct version *versions;
    r = store_versions(tx, agent.name, run_int(run, "before", 0), limit + 1, run->arena, &versions, &count, err);
    if (r < 0) return r;
    size_t shown = page_shown(count, limit);
    jw_array(jw, "versions");
    for (size_t i = 0; i < shown; i++) {
        const char **names;
        r = served_in(run, refs, ref_count, versions[i].number, &names, err);
        if (r < 0) return r;
        write_version(jw, NULL, &versions[i], names);
    }
    jw_end_array(jw);
    if (count > shown) jw_int(jw, "next", versions[shown - 1].number);
    return 0;
}

int op_version_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct agent agent;
    int r = need_agent(run, tx, run_text(run, "agent"), &agent, err);
    if (r < 0) return r;
    struct version version;
    r = need_version(run, tx, agent.name, json_get(run->call->params, "version"), true, &version, err);
    if (r < 0) return r;

    struct deployment *refs;
    size_t count;
    const char **names;
    r = refs_of_agent(run, tx, agent.name, &refs, &count, err);
    if (r < 0) return r;
    r = served_in(run, refs, count, version.number, &names, err);
    if (r < 0) return r;
    write_version_members(jw, &version, names);
    return 0;
}
