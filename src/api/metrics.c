/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics in the Prometheus text format, version 0.0.4. What names nobody is for everybody, as a scraper beside the server needs no secret; what names agents is for
 * keys (decision 0016). A worker writes it, so that it is there while all control threads wait for a disk; only a very long answer goes to one of them.
 */
#include "api/api_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKER_LINES 5000 /* some milliseconds */

/* Everything that metrics.def names. */
struct figures {
    struct position position;
    uint64_t agents, refs, refused_keys, over_quota, requests_per_key, resident, outcomes_left_out, decisions_left_out;
    bool stale;
    struct api_standing standing;
    struct hub_stats hub;
    struct http_stats http;
    struct intake_stats intake;
    struct controller_stats controller;
};

/* From /proc/self/statm, whose second number are the resident pages; 0 when it cannot be read. */
static uint64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    char line[128];
    const char *read = fgets(line, sizeof(line), file);
    fclose(file);
    const char *second = read ? strchr(line, ' ') : NULL;
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void collect(struct api *api, struct figures *ret) {
    const struct api_options *options = &api->options;
    struct publisher_borrow borrow = publisher_borrow(options->publisher);
    *ret = (struct figures){
        .position = snapshot_position(borrow.snapshot),
        .agents = snapshot_agent_count(borrow.snapshot),
        .refs = snapshot_entry_count(borrow.snapshot),
    };
    publisher_return(options->publisher, borrow);
    ret->standing = standing_of(api);
    if (options->intake) intake_stats(options->intake, &ret->intake);
    if (options->intake) ret->outcomes_left_out = tally_left_out(intake_tally(options->intake));
    if (options->controller) options->controller(options->controller_ctx, &ret->controller);
    ret->decisions_left_out = flow_left_out(options->flow);
    hub_stats(api->hub, &ret->hub);
    ret->stale = atomic_load_explicit(&api->stale, memory_order_relaxed);
    ret->refused_keys = atomic_load_explicit(&api->refused_keys, memory_order_relaxed);
    ret->over_quota = atomic_load_explicit(&api->over_quota, memory_order_relaxed);
    ret->requests_per_key = quota_limit(api->quota);
    ret->resident = resident_bytes();
    const struct http_server *server = atomic_load(&api->server);
    if (server) http_server_stats(server, &ret->http);
}

/* ---- the format ---- */

static void write_head(struct str *out, const char *name, const char *type, const char *help) {
    str_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

const char *metrics_family(enum metric_family family, struct str *out) {
    static const struct {
        const char *name, *type, *help;
    } families[] = {
#define FAMILY(id, name, type, labels, help, advice) [FAMILY_##id] = {name, type, help},
#define NAMED FAMILY
#include "api/metrics.def"
    };
    write_head(out, families[family].name, families[family].type, families[family].help);
    return families[family].name;
}

void metrics_label(struct str *out, const char *value) {
    str_add_char(out, '"');
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"' || *p == '\n') str_add_char(out, '\\');
        str_add_char(out, *p == '\n' ? 'n' : *p);
    }
    str_add_char(out, '"');
}

void metrics_number(struct str *out, double value) {
    if (isnan(value))
        str_add_text(out, "NaN\n");
    else if (isinf(value))
        str_add_text(out, value > 0 ? "+Inf\n" : "-Inf\n");
    else
        str_printf(out, "%.15g\n", value);
}

/* ---- what names nobody ---- */

static void write_number(struct str *out, const char *name, const char *type, const char *help, uint64_t value) {
    write_head(out, name, type, help);
    str_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void write_seconds(struct str *out, const char *name, const char *type, const char *help, uint64_t us) {
    write_head(out, name, type, help);
    str_printf(out, "%s %llu.%06llu\n", name, (unsigned long long)us / 1000000, (unsigned long long)us % 1000000);
}

static void write_labelled(struct str *out, const char *name, const char *label, const char *text, uint64_t value) {
    str_printf(out, "%s{%s=\"%s\"} %llu\n", name, label, text, (unsigned long long)value);
}

static void write_classes(const char *name, const char *operation, const _Atomic uint64_t classes[STATUS_CLASSES],
                          struct str *out) {
    for (unsigned class = 2; class < STATUS_CLASSES; class ++) {
        uint64_t count = atomic_load_explicit(&classes[class], memory_order_relaxed);
        if (count)
            str_printf(out, "%s{operation=\"%s\",status=\"%uxx\"} %llu\n", name, operation, class,
                       (unsigned long long)count);
    }
}

static void write_answers(struct api *api, struct str *out) {
    const char *name = metrics_family(FAMILY_ANSWERS, out);
    for (enum op_id id = 0; id < OP_COUNT_; id++)
        write_classes(name, op_get(id)->name, api->answers[id], out);
    for (enum ofrep_op op = 0; op < OFREP_COUNT_; op++)
        write_classes(name, ofrep_op_name(op), api->ofrep_answers[op], out);
}

/* By fault, so that it can be seen what clients do wrong. */
static void write_outcome_faults(struct api *api, struct str *out) {
    const char *name = metrics_family(FAMILY_OUTCOME_FAULTS, out);
    for (enum outcome_fault fault = 0; fault < OUTCOME_FAULT_COUNT_; fault++) {
        uint64_t count = atomic_load_explicit(&api->outcome_faults[fault], memory_order_relaxed);
        if (count) write_labelled(out, name, "code", outcome_fault_code(fault), count);
    }
}

static void write_limits(const struct figures *figures, struct str *out) {
    const struct {
        const char *name;
        uint64_t limit, refused;
    } limits[] = {
#define LIMIT(setting, limit, refused, help, advice) {setting, (uint64_t)figures->limit, figures->refused},
#include "api/metrics.def"
    };
    const char *name = metrics_family(FAMILY_LIMIT, out);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        write_labelled(out, name, "name", limits[i].name, limits[i].limit);
    name = metrics_family(FAMILY_LIMIT_REFUSED, out);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        write_labelled(out, name, "name", limits[i].name, limits[i].refused);
}

static void write_moves(const struct controller_stats *stats, struct str *out) {
    const char *name = metrics_family(FAMILY_MOVES, out);
    write_labelled(out, name, "action", "advance", stats->advanced);
    write_labelled(out, name, "action", "promote", stats->promoted);
    write_labelled(out, name, "action", "hold", stats->held);
    write_labelled(out, name, "action", "rollback", stats->rolled_back);
}

static void write_own(struct api *api, struct str *out) {
    struct figures figures;
    collect(api, &figures);
    write_labelled(out, metrics_family(FAMILY_BUILD_INFO, out), "version", SERIN_VERSION, 1);
#define METRIC(name, type, help, advice, value) write_number(out, name, type, help, (uint64_t)figures.value);
#define SECONDS(name, type, help, advice, value) write_seconds(out, name, type, help, figures.value);
#include "api/metrics.def"
    write_limits(&figures, out);
    write_answers(api, out);
    write_outcome_faults(api, out);
    write_moves(&figures.controller, out);
}

/* ---- who asks ---- */

static int check_role(const struct principal *principal, struct err *err) {
    if (principal->role >= ROLE_VIEWER) return 0;
    int r = err_set(err, ERR_FORBIDDEN,
                    "metrics that name agents are for the role viewer or above; this key has the role %s",
                    role_name(principal->role));
    err_at(err, "Authorization");
    err_remedy(err, "Use a key with the role viewer, or none: without a key there is what names nobody");
    return r;
}

/* Copied, so that nobody who publishes waits for the answer. */
static int find_reader(struct api *api, struct http_request *request, struct principal *ret, struct err *err) {
    struct principal borrowed;
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    int r = request_principal(api, request, borrow.snapshot, &borrowed, err);
    if (r == 0 && principal_copy(&borrowed, http_arena(request), ret) < 0) r = err_no_memory(err);
    publisher_return(api->options.publisher, borrow);
    return r == 0 ? check_role(ret, err) : r;
}

enum http_verdict metrics_answer(struct api *api, bool on_worker, struct http_request *request,
                                 struct http_response *response) {
    struct err err = ERR_INIT;
    struct principal reader;
    bool named = http_header(request, "Authorization") || http_header(request, "X-API-Key");
    int r = named ? find_reader(api, request, &reader, &err) : 0;
    if (r == 0 && named && on_worker) r = request_quota(api, &reader, &err);
    if (r == 0 && named && on_worker && metrics_agents_size(api) > WORKER_LINES) return HTTP_CONTROL;
    response->status = 200;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (r == 0) write_own(api, &response->body);
    if (r == 0 && named) r = metrics_agents(api, &reader, &response->body);
    if (r == -ERR_NO_MEMORY) r = err_no_memory(&err);
    if (r < 0) {
        str_clear(&response->body);
        problem_answer(&err, NULL, response);
    }
    return HTTP_ANSWER;
}
