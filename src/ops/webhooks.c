/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: who is told of what rollouts do. They send what happens here to somewhere else, so only admins make them, for environments that they
 * see, and only to origins that the operator lists. A URL may hold a token: it is shown to admins, and stands in the audit as its origin and a hash.
 */
#include "store/webhooks.h"
#include "ops/ops_impl.h"

#include <string.h>

struct webhook_plan {
    struct webhook webhook;
    char secret[WEBHOOK_SECRET_SIZE]; /* a new one */
};

/* ---- as admins see them ---- */

static const char *state_of(const struct webhook_delivery *delivery) {
    return delivery->disabled_at ? "disabled" : delivery->attempts ? "failing" : "on";
}

static void write_delivery(struct jw *jw, const struct webhook_delivery *delivery) {
    jw_text(jw, "state", state_of(delivery));
    jw_int(jw, "delivered", delivery->delivered);
    if (delivery->delivered_at) write_time(jw, "delivered_at", delivery->delivered_at);
    if (!delivery->attempts) return;
    jw_int(jw, "attempts", delivery->attempts);
    write_time(jw, "failing_since", delivery->failing_since);
    jw_text(jw, "last_error", delivery->error);
    if (delivery->disabled_at)
        write_time(jw, "disabled_at", delivery->disabled_at);
    else
        write_time(jw, "next_attempt_at", delivery->next_at);
}

static void write_members(const struct op_run *run, struct jw *jw, const struct webhook *webhook) {
    jw_text(jw, "name", webhook->name);
    jw_text(jw, "url", webhook->url);
    if (*webhook->environment) jw_text(jw, "environment", webhook->environment);
    if (*webhook->agent) jw_text(jw, "agent", webhook->agent);
    jw_raw(jw, "events", slice_of(webhook->events));
    jw_text(jw, "by", webhook->created_by);
    write_time(jw, "at", webhook->created_at);
    write_delivery(jw, &webhook->delivery);
    if (webhook->previous_until > clock_wall(run->ops->clock))
        write_time(jw, "previous_secret_until", webhook->previous_until);
}

/* One of all environments is seen by who sees all of them. */
static bool sees(const struct op_run *run, const struct webhook *webhook) {
    const struct principal *principal = &run->call->principal;
    return principal->all_environments ||
           (*webhook->environment && principal_sees(principal, slice_of(webhook->environment)));
}

int op_webhook_list_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct webhook *webhooks;
    size_t count;
    int r = store_webhooks(tx, run->arena, &webhooks, &count, err);
    if (r < 0) return r;
    jw_array(jw, "webhooks");
    for (size_t i = 0; i < count; i++) {
        if (!sees(run, &webhooks[i])) continue;
        jw_object(jw, NULL);
        write_members(run, jw, &webhooks[i]);
        jw_end_object(jw);
    }
    jw_end_array(jw);
    return 0;
}

static int need_webhook(struct op_run *run, struct store_tx *tx, struct webhook *ret, struct err *err) {
    const char *name = run_text(run, "webhook");
    int r = store_webhook_get(tx, name, run->arena, ret, err);
    if (r < 0) return r;
    if (r == STORE_NONE || !sees(run, ret)) {
        r = err_set(err, ERR_NOT_FOUND, "there is no webhook \"%s\"", name);
        err_at(err, "webhook");
        err_remedy(err, "`serin webhook list` lists them");
        return r;
    }
    run->agent = ret->agent;
    run->environment = ret->environment;
    return 0;
}

int op_webhook_get_read(struct op_run *run, struct store_tx *tx, struct jw *jw, struct err *err) {
    struct webhook webhook;
    int r = need_webhook(run, tx, &webhook, err);
    if (r == 0) write_members(run, jw, &webhook);
    return r;
}

/* ---- the parts of a change ---- */

static int new_plan(struct op_run *run, struct err *err) {
    struct webhook_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    return plan ? webhook_secret_new(plan->secret, err) : -ERR_NO_MEMORY;
}

static void write_change(struct op_run *run, struct jw *jw, bool with_secret) {
    const struct webhook_plan *plan = run->plan;
    jw_object(jw, "webhook");
    write_members(run, jw, &plan->webhook);
    jw_end_object(jw);
    if (with_secret && !run->to_keep && !run->call->dry_run) jw_text(jw, "secret", plan->secret);
    jw_bool(jw, "created", run->created);
    jw_bool(jw, "changed", !run->unchanged);
}

/* Scheme, host and port as they are written. */
static struct slice origin_of(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    return (struct slice){url, (size_t)(host - url) + strcspn(host, "/?#")};
}

static void write_detail(struct op_run *run, struct jw *jw) {
    const struct webhook *webhook = &((struct webhook_plan *)run->plan)->webhook;
    char text[HASH_TEXT_SIZE];
    struct sha256 hash;
    jw_text(jw, "webhook", webhook->name);
    jw_slice(jw, "origin", origin_of(webhook->url));
    if (sha256_bytes(webhook->url, strlen(webhook->url), &hash) < 0) {
        run->detail.failed = true;
        return;
    }
    sha256_text(&hash, text);
    jw_text(jw, "url_hash", text);
    jw_raw(jw, "events", slice_of(webhook->events));
}

/* ---- make or replace ---- */

int op_webhook_put_prepare(struct op_run *run, struct err *err) {
    int r = fetch_allow_check(run->ops->outgoing, run_text(run, "url"), err);
    if (r < 0) {
        err_at(err, "/url");
        return r;
    }
    return new_plan(run, err);
}

/* Absent: what the key may use, which a webhook can say when it is all or one. */
static int choose_environment(struct op_run *run, struct store_tx *tx, struct webhook *webhook, struct err *err) {
    const struct principal *principal = &run->call->principal;
    const char *wished = run_text(run, "environment");
    struct environment known;
    if (!wished) wished = principal_own_environment(principal);
    webhook->environment = wished ? wished : "";
    if (wished) return need_environment(run, tx, wished, &known, err);
    if (principal->all_environments) return 0;
    int r = err_set(err, ERR_MISSING_FIELD, "this key is bound to several environments, so the webhook must name one");
    err_at(err, "/environment");
    return r;
}

static int choose_events(struct op_run *run, struct webhook *webhook, struct err *err) {
    const json_t *wished = json_get(run->call->params, "events");
    char text[EVENTS_TEXT_SIZE];
    uint32_t events = EVENTS_ALL;
    int r = wished ? events_read(wished, "/events", &events, err) : 0;
    if (r < 0) return r;
    events_write(events, text);
    webhook->events = arena_strdup(run->arena, text);
    return webhook->events ? 0 : err_no_memory(err);
}

static int choose(struct op_run *run, struct store_tx *tx, struct webhook *webhook, struct err *err) {
    const char *agent = run_text(run, "agent");
    struct agent known;
    int r = agent ? need_agent(run, tx, agent, &known, err) : 0;
    if (r == 0) r = choose_environment(run, tx, webhook, err);
    if (r == 0) r = choose_events(run, webhook, err);
    webhook->name = run_text(run, "webhook");
    webhook->url = run_text(run, "url");
    webhook->agent = agent ? agent : "";
    webhook->created_by = run_by(run);
    webhook->created_at = clock_wall(run->ops->clock);
    run->agent = webhook->agent;
    run->environment = webhook->environment;
    return r;
}

static int check_room(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook *webhooks;
    size_t count;
    int r = store_webhooks(tx, run->arena, &webhooks, &count, err);
    if (r < 0 || count < WEBHOOKS_MAX) return r;
    r = err_set(err, ERR_CONFLICT, "there are %d webhooks already, as many as there may be", WEBHOOKS_MAX);
    err_remedy(err, "Remove one first: `serin webhook delete NAME`; one receiver can pass messages on to many");
    return r;
}

static int refuse_taken(const struct webhook *webhook, struct err *err) {
    int r = err_set(err, ERR_CONFLICT, "another webhook has the name \"%s\"", webhook->name);
    err_at(err, "webhook");
    err_remedy(err, "Choose another name");
    return r;
}

static bool is_same(const struct webhook *a, const struct webhook *b) {
    return !strcmp(a->url, b->url) && !strcmp(a->environment, b->environment) && !strcmp(a->agent, b->agent) &&
           !strcmp(a->events, b->events);
}

int op_webhook_put_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook *wanted = &((struct webhook_plan *)run->plan)->webhook, old;
    int r = choose(run, tx, wanted, err);
    if (r < 0) return r;
    r = store_webhook_get(tx, wanted->name, run->arena, &old, err);
    if (r < 0) return r;
    run->created = r == STORE_NONE;
    wanted->delivery.error = "";
    if (run->created) return check_room(run, tx, err);
    if (!sees(run, &old)) return refuse_taken(&old, err);
    run->unchanged = is_same(wanted, &old) && !old.delivery.disabled_at;
    if (run->unchanged) *wanted = old;
    wanted->previous_until = old.previous_until;
    wanted->delivery.delivered = old.delivery.delivered;
    wanted->delivery.delivered_at = old.delivery.delivered_at;
    return 0;
}

int op_webhook_put_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook_plan *plan = run->plan;
    struct webhook *webhook = &plan->webhook;
    webhook->created_at = run->at;
    webhook->seq = webhook->secret_seq = run->position.seq;
    int r = store_webhook_put(tx, webhook, err);
    if (r < 0 || !run->created) return r;
    webhook->delivery.delivered = webhook->seq;
    webhook->secret = plan->secret;
    webhook->previous = "";
    return store_webhook_secret_put(tx, webhook, err);
}

void op_webhook_put_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, run->created);
}

void op_webhook_put_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, jw);
}

/* ---- a new secret ---- */

int op_webhook_rotate_prepare(struct op_run *run, struct err *err) {
    return new_plan(run, err);
}

int op_webhook_rotate_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook_plan *plan = run->plan;
    int r = need_webhook(run, tx, &plan->webhook, err);
    if (r < 0) return r;
    plan->webhook.previous = plan->webhook.secret;
    plan->webhook.secret = plan->secret;
    plan->webhook.previous_until = clock_wall(run->ops->clock) + WEBHOOK_SECRET_OVERLAP;
    return 0;
}

int op_webhook_rotate_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook *webhook = &((struct webhook_plan *)run->plan)->webhook;
    webhook->previous_until = run->at + WEBHOOK_SECRET_OVERLAP;
    webhook->secret_seq = run->position.seq;
    return store_webhook_secret_put(tx, webhook, err);
}

void op_webhook_rotate_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, true);
}

void op_webhook_rotate_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, jw);
}

/* ---- remove ---- */

int op_webhook_delete_check(struct op_run *run, struct store_tx *tx, struct err *err) {
    struct webhook_plan *plan = run->plan = run_alloc(run, sizeof(*plan), err);
    return plan ? need_webhook(run, tx, &plan->webhook, err) : -ERR_NO_MEMORY;
}

int op_webhook_delete_apply(struct op_run *run, struct store_tx *tx, struct err *err) {
    const struct webhook *webhook = &((struct webhook_plan *)run->plan)->webhook;
    struct webhook row = {.name = webhook->name,
                          .url = "",
                          .environment = webhook->environment,
                          .agent = "",
                          .events = "",
                          .created_by = run_by(run),
                          .created_at = run->at,
                          .seq = run->position.seq};
    return store_webhook_remove(tx, &row, err);
}

void op_webhook_delete_answer(struct op_run *run, struct jw *jw) {
    write_change(run, jw, false);
}

void op_webhook_delete_detail(struct op_run *run, struct jw *jw) {
    write_detail(run, jw);
}
