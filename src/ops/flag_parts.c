/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"
#include "model/show.h"
#include "ops/flags_impl.h"

#include "snapshot/flags.h"

#include <string.h>

#define PAGE 1000

/* ---- where, when and who ---- */

static int find_environment(struct op_run *run, struct store_tx *tx, struct environment *ret, struct err *err) {
    run->environment = run_text(run, "environment");
    return need_environment(run, tx, run->environment, ret, err);
}

int need_flag_environment(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct environment environment;
    return find_environment(run, tx, &environment, err);
}

int need_flag_change(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct environment environment;
    const struct principal *principal = &run->call->principal;
    int r = find_environment(run, tx, &environment, err);
    if (r < 0 || !environment.is_protected || principal->role >= ROLE_RELEASER) return r;
    r = err_set(err, ERR_FORBIDDEN, "%s is protected: its flags need the role %s; this key has %s", environment.name,
                role_name(ROLE_RELEASER), role_name(principal->role));
    err_at(err, "environment");
    return r;
}

static int not_a_moment(const char *param, const char *text, struct err *err) {
    char shown[SHOW_SIZE];
    int r = err_set(err, ERR_BAD_REQUEST, "`%s` must be a time (RFC 3339) or a position (epoch.seq), not %s", param,
                    show_text(text, shown));
    err_at(err, "%s", param);
    return r;
}

static int find_moment(struct store_tx *tx, const char *param, const char *text, struct position *ret,
                       struct err *err) {
    int64_t at;
    if (clock_from_text(text, &at)) return store_position_at(tx, at, ret, err);
    if (!position_from_text(text, ret)) return not_a_moment(param, text, err);
    int r = store_position_known(tx, *ret, NULL, err);
    if (r != STORE_NONE) return r;
    r = err_set(err, ERR_POSITION_UNKNOWN, "this store's history has no position %s", text);
    err_at(err, "%s", param);
    return r;
}

int flag_moment(struct op_run *run, struct store_tx *tx, const char *param, int64_t *ret, struct err *err) {
    const char *text = run_text(run, param);
    struct position position = {0};
    *ret = 0;
    if (!text) return 0;
    int r = find_moment(tx, param, text, &position, err);
    if (r == STORE_NONE || (r == 0 && !position.seq)) {
        r = err_set(err, ERR_BEFORE_HISTORY, "nothing was there yet at %s", text);
        err_at(err, "%s", param);
    }
    *ret = position.seq;
    return r;
}

/* ---- records ---- */

int flag_records(struct op_run *run, struct store_tx *tx, enum flag_part part, int64_t seq, struct flag_record **ret,
                 size_t *ret_count, struct err *err) {
    struct store_flags_query query = {run->environment, part, seq, "", (size_t)FLAGS_MAX + FLAG_EVALUATORS_MAX};
    return store_flags(tx, &query, run->arena, ret, ret_count, err);
}

void flag_shared_deinit(struct flag_shared *shared) {
    json_decref(shared->evaluators);
    json_decref(shared->metadata);
}

static int parse(const char *text, json_t **ret, struct err *err) {
    return json_parse(text, strlen(text), JSON_DEPTH_MAX, ret, err);
}

static int add_rule(json_t *evaluators, const struct flag_record *record, struct err *err) {
    json_t *rule;
    int r = parse(record->content, &rule, err);
    if (r == 0 && json_object_set_new(evaluators, record->key, rule) < 0) r = err_no_memory(err);
    return r;
}

static int read_metadata(struct op_run *run, struct store_tx *tx, int64_t seq, json_t **ret, struct err *err) {
    struct flag_record record;
    int r = store_flag_get(tx, run->environment, FLAG_PART_METADATA, "", seq, run->arena, &record, err);
    if (r < 0) return r;
    return parse(r == STORE_NONE ? "{}" : record.content, ret, err);
}

int flag_shared_read(struct op_run *run, struct store_tx *tx, int64_t seq, struct flag_shared *ret, struct err *err) {
    struct flag_record *records;
    size_t count;
    *ret = (struct flag_shared){json_object(), NULL};
    if (!ret->evaluators) return err_no_memory(err);
    int r = flag_records(run, tx, FLAG_PART_EVALUATOR, seq, &records, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = add_rule(ret->evaluators, &records[i], err);
    return r < 0 ? r : read_metadata(run, tx, seq, &ret->metadata, err);
}

int flag_of_record(const struct flag_record *record, const struct flag_shared *shared, struct flag **ret,
                   struct err *err) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    _cleanup_(json_decrefp) json_t *bindings = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    *ret = NULL;
    int r = parse(record->content, &definition, err);
    if (r == 0) r = parse(record->bindings, &bindings, err);
    if (r < 0) return r;
    struct flag_source source = {.key = record->key,
                                 .definition = definition,
                                 .bindings = bindings,
                                 .at = "",
                                 .bindings_at = "",
                                 .evaluators = shared->evaluators,
                                 .metadata = shared->metadata,
                                 .seq = record->seq};
    r = flag_new(&source, ret, &faults, err);
    return r == -ERR_INVALID ? 0 : r;
}

static const char *state_of(const struct flag_record *record) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    int r = json_parse(record->content, strlen(record->content), JSON_DEPTH_MAX, &definition, NULL);
    const char *state = r == 0 ? json_get_text(definition, "state") : NULL;
    return state && !strcmp(state, "ENABLED") ? "ENABLED" : "DISABLED";
}

void write_flag(struct jw *jw, const char *key, const struct flag_record *record, const struct flag *flag,
                bool with_definition) {
    jw_object(jw, key);
    write_flag_members(jw, record, flag, with_definition);
    jw_end_object(jw);
}

void write_flag_members(struct jw *jw, const struct flag_record *record, const struct flag *flag,
                        bool with_definition) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    jw_text(jw, "key", record->key);
    jw_text(jw, "environment", record->environment);
    jw_text(jw, "state", state_of(record));
    if (flag) {
        flag_words(flag, &words);
        jw_text(jw, "type", flag_type_name(flag->type));
        jw_slice(jw, "summary", str_slice(&words));
        jw->out->failed |= words.failed;
    }
    if (with_definition) jw_raw(jw, "definition", slice_of(record->content));
    jw_raw(jw, "bindings", slice_of(record->bindings));
    jw_text(jw, "reason", record->reason);
    jw_text(jw, "by", record->created_by);
    write_time(jw, "at", record->created_at);
    jw_int(jw, "seq", record->seq);
}

/* ---- what bindings mean there ---- */

static bool has_tool(const json_t *config, const char *name) {
    const json_t *tools = json_get(config, "tools");
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        const char *own = json_is_string(tool) ? json_string_value(tool) : json_get_text(tool, "name");
        if (!own) own = json_get_text(tool, "agent");
        if (own && !strcmp(own, name)) return true;
    }
    return false;
}

/* The configuration that the environment serves for an agent; *ret NULL: none. */
static int read_served(struct op_run *run, struct store_tx *tx, const char *agent, int64_t *ret_version, json_t **ret,
                       struct err *err) {
    struct deployment ref;
    struct version version;
    *ret = NULL;
    int r = store_ref_get(tx, agent, run->environment, run->arena, &ref, err);
    if (r == 0) r = store_version_get(tx, agent, ref.version, true, run->arena, &version, err);
    if (r != 0) return r < 0 ? r : 0;
    *ret_version = version.number;
    return json_parse(version.config.ptr, version.config.len, JSON_DEPTH_MAX, ret, err);
}

static bool is_parameter(struct slice name) {
    for (const char *const *known = config_parameter_names; *known; known++)
        if (slice_equal_text(name, *known)) return true;
    return slice_equal_text(name, "model");
}

static int warn_binding(struct op_run *run, struct store_tx *tx, const struct flag_binding *binding, const char *at,
                        struct err *err) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    struct agent agent;
    int64_t version = 0;
    struct faults *faults = &run->call->faults;
    if (binding->kind == FLAG_PARAMETER && !is_parameter(binding->name))
        (void)faults_warn(faults, at, "configurations have no parameter \"%s\"", binding->name.ptr);
    if (slice_equal_text(binding->agent, FLAG_EVERY_AGENT)) return 0;
    int r = store_agent_get(tx, binding->agent.ptr, run->arena, &agent, err);
    if (r == STORE_NONE) (void)faults_warn(faults, at, "there is no agent \"%s\" yet", binding->agent.ptr);
    if (r == 0) r = read_served(run, tx, binding->agent.ptr, &version, &config, err);
    if (r < 0 || !config || binding->kind == FLAG_PARAMETER) return r < 0 ? r : 0;
    bool there = binding->kind == FLAG_TOOL ? has_tool(config, binding->name.ptr)
                                            : json_get(json_get(config, "guardrails"), binding->name.ptr) != NULL;
    if (!there)
        (void)faults_warn(faults, at, "%s@%lld, which %s serves, has no %s \"%s\"", binding->agent.ptr,
                          (long long)version, run->environment, flag_binding_kind_name(binding->kind),
                          binding->name.ptr);
    return 0;
}

int flag_warn(struct op_run *run, struct store_tx *tx, const struct flag *flag, const char *at, struct err *err) {
    int r = 0;
    for (uint32_t i = 0; i < flag->binding_count && r == 0; i++) {
        const char *place = arena_printf(run->arena, "%s/%u", at, i);
        r = place ? warn_binding(run, tx, &flag->bindings[i], place, err) : err_no_memory(err);
    }
    return r;
}

/* ---- how many are bound to one agent ---- */

/* Counts the flag once for each agent that it is bound to. */
static int count_bound(const struct flag_record *record, json_t *counts, struct err *err) {
    _cleanup_(json_decrefp) json_t *bindings = NULL;
    _cleanup_(json_decrefp) json_t *seen = json_object();
    if (!strcmp(record->bindings, "[]")) return 0;
    int r = seen ? parse(record->bindings, &bindings, err) : err_no_memory(err);
    for (size_t i = 0; r == 0 && i < json_array_size(bindings); i++) {
        const char *agent = json_get_text(json_array_get(bindings, i), "agent");
        if (!agent || json_get(seen, agent)) continue;
        json_int_t now = json_integer_value(json_get(counts, agent));
        if (json_object_set_new(seen, agent, json_true()) < 0 ||
            json_object_set_new(counts, agent, json_integer(now + 1)) < 0)
            r = err_no_memory(err);
    }
    return r;
}

static bool is_among(const struct flag_record *records, size_t count, const char *key) {
    for (size_t i = 0; i < count; i++)
        if (records[i].part == FLAG_PART_FLAG && !strcmp(records[i].key, key)) return true;
    return false;
}

int flag_bound_check(struct op_run *run, const struct flag_record *others, size_t other_count,
                     const struct flag_record *new, size_t new_count, struct err *err) {
    _cleanup_(json_decrefp) json_t *counts = json_object();
    const char *agent;
    json_t *count;
    int r = counts ? 0 : err_no_memory(err);
    for (size_t i = 0; r == 0 && i < new_count; i++)
        r = count_bound(&new[i], counts, err);
    if (r < 0 || !json_object_size(counts)) return r;
    for (size_t i = 0; r == 0 && i < other_count; i++)
        if (strcmp(others[i].bindings, "[]") != 0 && !is_among(new, new_count, others[i].key))
            r = count_bound(&others[i], counts, err);
    if (r < 0) return r;
    json_int_t every = json_integer_value(json_get(counts, FLAG_EVERY_AGENT));
    json_object_foreach(counts, agent, count) {
        json_int_t all = json_integer_value(count) + (strcmp(agent, FLAG_EVERY_AGENT) != 0 ? every : 0);
        if (all <= BOUND_FLAGS_MAX) continue;
        r = err_set(err, ERR_CONFLICT, "%s would have %lld flags bound to it; at most %d are taken", agent,
                    (long long)all, BOUND_FLAGS_MAX);
        err_at(err, "/bindings");
        return r;
    }
    return 0;
}
