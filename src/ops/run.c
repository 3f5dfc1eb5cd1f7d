/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations share: getters of parameters, nouns that must exist, ids. */
#include "base/uuid.h"
#include "logic/logic.h"
#include "ops/ops_impl.h"

#include <stdio.h>
#include <string.h>

void *run_alloc(struct op_run *run, size_t size, struct err *err) {
    void *memory = arena_alloc(run->arena, size);
    if (!memory) err_no_memory(err);
    return memory;
}

const char *run_by(const struct op_run *run) {
    return run->call->principal.name;
}

const char *run_text(const struct op_run *run, const char *param) {
    return json_get_text(run->call->params, param);
}

const char *run_text_or(const struct op_run *run, const char *param, const char *otherwise) {
    const char *text = run_text(run, param);
    return text ? text : otherwise;
}

int64_t run_int(const struct op_run *run, const char *param, int64_t otherwise) {
    const json_t *value = json_get(run->call->params, param);
    return value ? json_integer_value(value) : otherwise;
}

bool run_bool(const struct op_run *run, const char *param, bool otherwise) {
    const json_t *value = json_get(run->call->params, param);
    return value ? json_is_true(value) : otherwise;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int run_texts(struct op_run *run, const char **texts, size_t count, const char **ret, struct err *err) {
    qsort(texts, count, sizeof(*texts), compare_texts);
    _cleanup_(str_deinit) struct str list = STR_INIT;
    struct jw jw = JW_INIT(&list);
    jw_array(&jw, NULL);
    for (size_t i = 0; i < count; i++)
        if (!i || strcmp(texts[i], texts[i - 1])) jw_text(&jw, NULL, texts[i]);
    jw_end_array(&jw);
    *ret = list.failed ? NULL : arena_strdup(run->arena, list.data);
    return *ret ? 0 : err_no_memory(err);
}

int run_audience(struct op_run *run, const char **ret, struct err *err) {
    const json_t *audience = json_get(run->call->params, "audience");
    _cleanup_(logic_freep) struct logic_rule *rule = NULL;
    _cleanup_(str_deinit) struct str text = STR_INIT;
    *ret = NULL;
    if (!audience) return 0;
    int r = logic_compile(audience, "/audience", &rule, &run->call->faults, err);
    if (r == -ERR_INVALID && run->call->faults.errors) return 0; /* told with all the others */
    if (r == 0) r = json_canonical(audience, &text, err);
    if (r < 0) return r;
    *ret = text.failed ? NULL : arena_strdup(run->arena, text.data);
    return *ret ? 0 : err_no_memory(err);
}

int run_stale(struct op_run *run, int64_t current, struct err *err, const char *fmt, ...) {
    run->call->current = current;
    va_list args;
    va_start(args, fmt);
    char *text = arena_vprintf(run->arena, fmt, args);
    va_end(args);
    return err_set(err, ERR_STALE, "%s", text ? text : "it has moved since");
}

int run_uuid(struct op_run *run, const char **ret, struct err *err) {
    char *id = run_alloc(run, UUID_TEXT_SIZE, err);
    if (!id) return -ERR_NO_MEMORY;
    int r = uuid_new(run->ops->clock, id, err);
    if (r < 0) return r;
    *ret = id;
    return 0;
}

int need_agent(struct op_run *run, struct store_tx *tx, const char *name, struct agent *ret, struct err *err) {
    int r = store_agent_get(tx, name, run->arena, ret, err);
    if (r != STORE_NONE) return r;
    r = err_set(err, ERR_AGENT_NOT_FOUND, "there is no agent \"%s\"", name);
    err_at(err, "agent");
    return r;
}

int need_environment(struct op_run *run, struct store_tx *tx, const char *name, struct environment *ret,
                     struct err *err) {
    int r = STORE_NONE;
    if (principal_sees(&run->call->principal, slice_of(name)))
        r = store_environment_get(tx, name, run->arena, ret, err);
    if (r != STORE_NONE) return r;
    r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "there is no environment \"%s\"", name);
    err_at(err, "environment");
    return r;
}

int need_place(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct agent agent;
    struct environment environment;
    run->agent = run_text(run, "agent");
    run->environment = run_text(run, "environment");
    int r = need_agent(run, tx, run->agent, &agent, err);
    if (r < 0) return r;
    return need_environment(run, tx, run->environment, &environment, err);
}

static int no_version(const char *agent, const char *what, struct err *err) {
    int r = err_set(err, ERR_VERSION_NOT_FOUND, "%s has no version %s", agent, what);
    err_at(err, "version");
    err_remedy(err, "`serin log %s` lists the versions", agent);
    return r;
}

/* An environment's name as a version: what it serves. */
static int version_served(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
                          int64_t *ret, struct err *err) {
    struct environment known;
    int r = need_environment(run, tx, environment, &known, err);
    if (r < 0) return r;

    struct deployment current;
    r = current_ref(run, tx, agent, environment, &current, err);
    if (r < 0) return r;
    if (!current.version) {
        r = err_set(err, ERR_NOT_DEPLOYED, "%s serves no version of %s", environment, agent);
        err_at(err, "version");
        return r;
    }
    *ret = current.version;
    return 0;
}

static int version_by_number(struct op_run *run, struct store_tx *tx, const char *agent, int64_t number,
                             bool with_config, struct version *ret, struct err *err) {
    int r = store_version_get(tx, agent, number, with_config, run->arena, ret, err);
    if (r != STORE_NONE) return r;
    char what[32];
    snprintf(what, sizeof(what), "%lld", (long long)number);
    return no_version(agent, number ? what : "yet", err);
}

static int version_by_hash(struct op_run *run, struct store_tx *tx, const char *agent, const char *hex,
                           bool with_config, struct version *ret, struct err *err) {
    int r = store_version_by_hash(tx, agent, hex, run->arena, ret, err);
    if (r == STORE_NONE) return no_version(agent, hex, err);
    if (r == STORE_AMBIGUOUS) {
        r = err_set(err, ERR_AMBIGUOUS, "several versions of %s begin with sha256:%s", agent, hex);
        err_at(err, "version");
        return r;
    }
    if (r < 0 || !with_config) return r;
    return version_by_number(run, tx, agent, ret->number, true, ret, err);
}

int need_version(struct op_run *run, struct store_tx *tx, const char *agent, const json_t *value, bool with_config,
                 struct version *ret, struct err *err) {
    if (json_is_integer(value))
        return version_by_number(run, tx, agent, json_integer_value(value), with_config, ret, err);

    struct version_ref ref;
    int r = version_ref_parse(json_string_value(value), &ref, err);
    if (r < 0) return r;
    if (ref.kind == VERSION_REF_HASH) return version_by_hash(run, tx, agent, ref.hash, with_config, ret, err);

    int64_t number = ref.kind == VERSION_REF_NUMBER ? ref.number : 0;
    if (ref.kind == VERSION_REF_ENVIRONMENT) r = version_served(run, tx, agent, ref.environment, &number, err);
    if (r < 0) return r;
    return version_by_number(run, tx, agent, number, with_config, ret, err);
}

int current_ref(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment,
                struct deployment *ret, struct err *err) {
    int r = store_ref_get(tx, agent, environment, run->arena, ret, err);
    if (r != STORE_NONE) return r;
    *ret = (struct deployment){.agent = agent, .environment = environment};
    return 0;
}

int refs_of_agent(struct op_run *run, struct store_tx *tx, const char *agent, struct deployment **ret,
                  size_t *ret_count, struct err *err) {
    struct store_refs_query query = {.agent = agent, .after_environment = "", .after_agent = "", .limit = INT32_MAX};
    return store_refs(tx, &query, run->arena, ret, ret_count, err);
}

int is_held(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment, bool *ret,
            struct err *err) {
    struct hold hold;
    int r = store_hold_get(tx, agent, environment, 0, run->arena, &hold, err);
    if (r < 0) return r;
    *ret = r != STORE_NONE;
    return 0;
}

int put_hold(struct op_run *run, struct store_tx *tx, const char *agent, const char *environment, struct err *err) {
    bool held;
    int r = is_held(run, tx, agent, environment, &held, err);
    if (r < 0 || held) return r;
    struct hold hold = {
        .agent = agent,
        .environment = environment,
        .reason = run->reason,
        .created_by = run_by(run),
        .created_at = run->at,
        .seq = run->position.seq,
    };
    return store_hold_put(tx, &hold, err);
}

int run_refuse_faults(struct op_run *run, const char *at, struct err *err) {
    struct op_call *call = run->call;
    const struct fault *first = NULL;
    call->faults_at = at;
    for (size_t i = 0; i < call->faults.count && !first; i++)
        if (!call->faults.items[i].warning) first = &call->faults.items[i];
    if (!first) return err_set(err, ERR_INVALID, "%zu faults, behind more warnings than are told", call->faults.errors);
    size_t others = call->faults.errors - 1;
    int r = others ? err_set(err, ERR_INVALID, "%s (and %zu more)", first->message, others)
                   : err_set(err, ERR_INVALID, "%s", first->message);
    err_at(err, "%s%s", at, first->at);
    if (!others && first->remedy) err_remedy(err, "%s", first->remedy);
    return r;
}
