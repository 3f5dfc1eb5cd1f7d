/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in the Prometheus text format, version 0.0.4. */
#include "api/api_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Everything that metrics.def names. */
struct figures {
    struct position position;
    uint64_t agents, refs, refused_keys, over_quota, requests_per_key, resident;
    struct api_standing standing;
    struct hub_stats hub;
    struct http_stats http;
    struct intake_stats intake;
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
    struct publisher_borrow borrow = publisher_borrow(api->options.publisher);
    *ret = (struct figures){
        .position = snapshot_position(borrow.snapshot),
        .agents = snapshot_agent_count(borrow.snapshot),
        .refs = snapshot_entry_count(borrow.snapshot),
    };
    publisher_return(api->options.publisher, borrow);
    ret->standing = standing_of(api);
    if (api->options.intake) intake_stats(api->options.intake, &ret->intake);
    hub_stats(api->hub, &ret->hub);
    ret->refused_keys = atomic_load_explicit(&api->refused_keys, memory_order_relaxed);
    ret->over_quota = atomic_load_explicit(&api->over_quota, memory_order_relaxed);
    ret->requests_per_key = quota_limit(api->quota);
    ret->resident = resident_bytes();
    const struct http_server *server = atomic_load(&api->server);
    if (server) http_server_stats(server, &ret->http);
}

static void write_metric(struct str *out, const char *name, const char *type, const char *help, uint64_t value) {
    str_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name, (unsigned long long)value);
}

static void write_answers(struct api *api, struct str *out) {
    str_add_text(
        out,
        "# HELP serin_answers_total Answers by operation and class of status\n# TYPE serin_answers_total counter\n");
    for (enum op_id id = 0; id < OP_COUNT_; id++)
        for (unsigned class = 2; class < STATUS_CLASSES; class ++) {
            uint64_t count = atomic_load_explicit(&api->answers[id][class], memory_order_relaxed);
            if (count)
                str_printf(out, "serin_answers_total{operation=\"%s\",status=\"%uxx\"} %llu\n", op_get(id)->name, class,
                           (unsigned long long)count);
        }
}

/* By fault, so that it can be seen what clients do wrong. */
static void write_outcome_faults(struct api *api, struct str *out) {
    str_add_text(out,
                 "# HELP serin_outcome_faults_total Faults in batches of outcomes that were refused, by code\n# TYPE "
                 "serin_outcome_faults_total counter\n");
    for (enum outcome_fault fault = 0; fault < OUTCOME_FAULT_COUNT_; fault++) {
        uint64_t count = atomic_load_explicit(&api->outcome_faults[fault], memory_order_relaxed);
        if (count)
            str_printf(out, "serin_outcome_faults_total{code=\"%s\"} %llu\n", outcome_fault_code(fault),
                       (unsigned long long)count);
    }
}

static void write_limits(const struct figures *figures, struct str *out) {
    const struct {
        const char *name;
        uint64_t limit, refused;
    } limits[] = {
#define METRIC(...)
#define LIMIT(setting, limit, refused, help, advice) {setting, (uint64_t)figures->limit, figures->refused},
#include "api/metrics.def"
#undef LIMIT
#undef METRIC
    };
    str_add_text(out,
                 "# HELP serin_limit Limits in force, named as their settings; 0 = none\n# TYPE serin_limit gauge\n");
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        str_printf(out, "serin_limit{name=\"%s\"} %llu\n", limits[i].name, (unsigned long long)limits[i].limit);
    str_add_text(out, "# HELP serin_limit_refused_total How often a limit refused or ended something\n# TYPE "
                      "serin_limit_refused_total counter\n");
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        str_printf(out, "serin_limit_refused_total{name=\"%s\"} %llu\n", limits[i].name,
                   (unsigned long long)limits[i].refused);
}

void metrics_answer(struct api *api, struct http_response *response) {
    struct figures figures;
    collect(api, &figures);
    struct str *out = &response->body;
    str_printf(out,
               "# HELP serin_build_info The running version\n# TYPE serin_build_info "
               "gauge\nserin_build_info{version=\"%s\"} 1\n",
               SERIN_VERSION);
#define METRIC(name, type, help, advice, value) write_metric(out, name, type, help, (uint64_t)figures.value);
#define LIMIT(...)
#include "api/metrics.def"
#undef LIMIT
#undef METRIC
    write_limits(&figures, out);
    write_answers(api, out);
    write_outcome_faults(api, out);
    response->status = 200;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
}
