/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call is carried out. The order is the promise: permission, then `prepare` (costly, without the store), then inside
 * one transaction the remembered answer, `check`, the position, `apply`, the audit entry and the answer to remember;
 * after the commit the snapshot. Nothing after the commit can fail the call, because the change stands.
 *
 * The transaction's callback may run on another caller's thread (group commit); everything it touches hangs off the call,
 * whose owner waits meanwhile.
 */
#include "base/failpoint.h"
#include "ops/ops_impl.h"

#include <string.h>

void op_call_init(struct op_call *call, const struct op *op, const struct principal *principal, json_t *params,
                  struct arena *arena) {
    *call = (struct op_call){
        .op = op,
        .principal = *principal,
        .params = params,
        .arena = arena,
        .current = -1,
        .faults_at = "",
    };
}

void op_call_deinit(struct op_call *call) {
    str_deinit(&call->body);
    faults_deinit(&call->faults);
}

int ops_permit(const struct op *op, const struct principal *principal, const json_t *params, struct err *err) {
    if (principal->role < op->role) {
        int r = err_set(err, ERR_FORBIDDEN, "%s needs the role %s; this key has %s", op->name, role_name(op->role),
                        role_name(principal->role));
        err_remedy(err, "Use a key with the role %s or above", role_name(op->role));
        return r;
    }
    if (op->scope == OP_ROBOT && !principal->robot) {
        int r = err_set(err, ERR_FORBIDDEN, "%s is for the server's own automation", op->name);
        err_remedy(err, "Use the operations for people: /openapi.json lists them");
        return r;
    }
    if (op->scope == OP_ALL_ENVIRONMENTS && !principal->all_environments) {
        int r = err_set(err, ERR_FORBIDDEN, "%s is about all environments; this key is bound to some", op->name);
        err_remedy(err, "Use a key that is not bound to named environments");
        return r;
    }

    /* key_create takes a list too and looks at each name itself. */
    const char *environment = json_get_text(params, "environment");
    if (environment && op->scope == OP_ANY && op->id != OP_key_create &&
        !principal_sees(principal, slice_of(environment))) {
        int r = err_set(err, ERR_ENVIRONMENT_NOT_FOUND, "this key sees no environment \"%s\"", environment);
        err_at(err, "environment");
        return r;
    }
    return 0;
}

/* What an idempotency key stands for: the operation and all its parameters. */
static int request_digest(const struct op_call *call, struct sha256 *ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    str_add_text(&text, call->op->name);
    str_add_char(&text, '\n');
    int r = json_canonical(call->params, &text, err);
    if (r < 0) return r;
    if (text.failed || sha256_bytes(text.data, text.len, ret) < 0) return err_no_memory(err);
    return 0;
}

/* 1 when the request was carried out before: its answer is in the call. */
static int recall_answer(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct op_call *call = run->call;
    if (!call->idempotency_key || call->dry_run) return 0;

    struct sha256 digest;
    int r = request_digest(call, &digest, err);
    if (r < 0) return r;

    struct store_answer answer;
    r = store_answer_get(tx, call->principal.id, call->idempotency_key, run->arena, &answer, err);
    if (r < 0) return r;
    if (r == STORE_NONE) return 0;
    if (!secret_equal(&answer.request, &digest, sizeof(digest))) {
        r = err_set(err, ERR_IDEMPOTENCY_MISMATCH, "this Idempotency-Key belongs to another request");
        err_at(err, "Idempotency-Key");
        return r;
    }
    str_add_text(&call->body, answer.body);
    call->status = answer.status;
    call->position = answer.position;
    call->replayed = true;
    return 1;
}

static void write_answer(struct op_run *run, bool to_keep) {
    struct op_call *call = run->call;
    char position[POSITION_TEXT_SIZE];
    position_text(call->position, position);

    run->to_keep = to_keep;
    str_clear(&call->body);
    struct jw jw = JW_INIT(&call->body);
    jw_object(&jw, NULL);
    op_impl(call->op->id)->answer(run, &jw);
    jw_text(&jw, "position", position);
    if (call->dry_run) jw_bool(&jw, "dry_run", true);
    jw_end_object(&jw);
    call->status = run->created ? call->op->status : 200;
}

static int remember_answer(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct op_call *call = run->call;
    if (!call->idempotency_key) return 0;

    write_answer(run, true);
    if (call->body.failed) return err_no_memory(err);
    struct store_answer answer = {
        .principal = call->principal.id,
        .key = call->idempotency_key,
        .status = call->status,
        .body = call->body.data,
        .position = run->position,
        .at = run->at,
    };
    int r = request_digest(call, &answer.request, err);
    if (r < 0) return r;
    return store_answer_put(tx, &answer, err);
}

/* The audit's detail in canonical form, so that its hash can be computed by anybody. */
static int canonical_detail(struct op_run *run, struct str *ret, struct err *err) {
    struct jw jw = JW_INIT(&run->detail);
    jw_object(&jw, NULL);
    op_impl(run->call->op->id)->detail(run, &jw);
    jw_end_object(&jw);
    if (run->detail.failed) return err_no_memory(err);

    _cleanup_(json_decrefp) json_t *value = NULL;
    int r = json_parse(run->detail.data, run->detail.len, JSON_DEPTH_MAX, &value, err);
    if (r < 0) return r;
    r = json_canonical(value, ret, err);
    if (r < 0) return r;
    return ret->failed ? err_no_memory(err) : 0;
}

static int append_audit(struct op_run *run, struct store_tx *tx, struct err *err) {
    _cleanup_(str_deinit) struct str detail = STR_INIT;
    int r = canonical_detail(run, &detail, err);
    if (r < 0) return r;

    struct audit_entry entry = {
        .position = run->position,
        .at = run->at,
        .actor = run->call->principal.id,
        .actor_name = run->call->principal.name,
        .operation = run->call->op->name,
        .agent = run->agent ? run->agent : "",
        .environment = run->environment ? run->environment : "",
        .reason = run->reason ? run->reason : "",
        .detail = detail.data,
    };
    return store_audit_append(tx, &entry, err);
}

/* A change inside its transaction. Above 0: there is an answer, and nothing to commit. */
static int change_in_tx(void *arg, struct store_tx *tx, struct err *err) {
    struct op_run *run = arg;
    const struct op_impl *impl = op_impl(run->call->op->id);

    int r = store_head(tx, &run->seen, &run->at, err);
    if (r == 0) r = recall_answer(run, tx, err);
    if (r != 0) return r;
    r = impl->check(run, tx, err);
    if (r < 0) return r;
    if (run->unchanged || run->call->dry_run) return store_head(tx, &run->call->position, &run->at, err) ?: 1;

    r = store_advance(tx, &run->position, &run->at, err);
    if (r < 0) return r;
    run->call->position = run->seen = run->position;
    FAILPOINT(write_advanced);
    r = impl->apply(run, tx, err);
    if (r < 0) return r;
    FAILPOINT(write_applied);
    r = append_audit(run, tx, err);
    if (r < 0) return r;
    FAILPOINT(write_audited);
    return remember_answer(run, tx, err);
}

static void log_change(const struct op_run *run) {
    char position[POSITION_TEXT_SIZE];
    position_text(run->position, position);
    log_write(run->ops->log, LOG_CHANGE, run->call->op->summary, "operation", run->call->op->name, "actor",
              run->call->principal.id, "agent", run->agent ? run->agent : "", "environment",
              run->environment ? run->environment : "", "position", position, NULL);
}

static int run_change(struct op_run *run, struct err *err) {
    int r = run->call->dry_run ? store_read(run->ops->store, change_in_tx, run, err)
                               : store_write(run->ops->store, change_in_tx, run, err);
    if (r < 0) return r;
    if (run->call->replayed) return 0;
    write_answer(run, false);
    if (r > 0) return 0;

    log_change(run);
    return 0;
}

static int read_in_tx(void *arg, struct store_tx *tx, struct err *err) {
    struct op_run *run = arg;
    int64_t at;
    int r = store_head(tx, &run->call->position, &at, err);
    if (r < 0) return r;
    run->seen = run->call->position;

    struct jw jw = JW_INIT(&run->call->body);
    jw_object(&jw, NULL);
    r = op_impl(run->call->op->id)->read(run, tx, &jw, err);
    jw_end_object(&jw);
    return r;
}

static int run_read(struct op_run *run, struct err *err) {
    run->call->status = run->call->op->status;
    return store_read(run->ops->store, read_in_tx, run, err);
}

/* Resolving answers from the snapshot. What a caller was told, be it that a change was refused, must not be unsaid there, so no
 * answer goes out before the snapshot has got as far. A change that is committed cannot be taken back when the store then fails to
 * be read; it is read once more, as trouble of a moment may be over. */
static void publish_what_was_seen(struct op_run *run) {
    struct err late = ERR_INIT;
    FAILPOINT(change_publish);
    int r = live_reach(run->ops->live, run->seen, &late);
    if (r < 0) r = live_reach(run->ops->live, run->seen, &late);
    if (r < 0) log_err(run->ops->log, LOG_SNAPSHOT_STALE, &late);
    FAILPOINT(change_published);
}

int ops_call(struct ops *ops, struct op_call *call, struct err *err) {
    int r = ops_permit(call->op, &call->principal, call->params, err);
    if (r < 0) return r;

    struct op_run run = {.ops = ops, .call = call, .arena = call->arena};
    run.reason = run_text_or(&run, "reason", "");
    r = op_impl(call->op->id)->prepare ? op_impl(call->op->id)->prepare(&run, err) : 0;
    if (r == 0) r = call->op->kind == OP_CHANGE ? run_change(&run, err) : run_read(&run, err);
    str_deinit(&run.detail);
    publish_what_was_seen(&run);
    if (r < 0) return r;
    return call->body.failed ? err_no_memory(err) : 0;
}
