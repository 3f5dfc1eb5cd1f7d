/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics that name agents: decisions and outcomes by version and arm, and every open rollout with its evidence. Each family stands together, as the format
 * asks, so what is shown is gone through once for each.
 */
#include "api/api_impl.h"

#include <stdio.h>
#include <string.h>

#define TALLY_LINES 20
#define ROLLOUT_LINES 40

struct page {
    const struct principal *reader;
    struct str *out;
    enum metric_family family;
    const char *name; /* of the family */
};

static bool shows(const struct page *page, const char *environment) {
    return principal_sees(page->reader, slice_of(environment));
}

static void begin_family(struct page *page, enum metric_family family) {
    page->family = family;
    page->name = metrics_family(family, page->out);
}

static int end_line(const struct page *page) {
    return page->out->failed ? -ERR_NO_MEMORY : 0;
}

/* `name{agent="…",environment="…"`; the caller goes on from there. */
static void begin_line(const struct page *page, const char *suffix, const char *agent, const char *environment) {
    str_printf(page->out, "%s%s{agent=", page->name, suffix);
    metrics_label(page->out, agent);
    str_add_text(page->out, ",environment=");
    metrics_label(page->out, environment);
}

/* ---- decisions ---- */

static int write_decisions(void *ctx, const struct flow_series *series) {
    const struct page *page = ctx;
    if (!shows(page, series->environment)) return 0;
    begin_line(page, "", series->agent, series->environment);
    str_printf(page->out, ",version=\"%lld\",arm=\"%s\"} %llu\n", (long long)series->version,
               series->candidate ? "candidate" : "stable", (unsigned long long)series->count);
    return end_line(page);
}

static int64_t second_of(const struct api *api) {
    return clock_monotonic_coarse(api->options.ops->clock) / 1000000;
}

/* ---- outcomes ---- */

static void begin_arm(const struct page *page, const char *suffix, const struct tally_series *series) {
    static const char *const arms[] = {[ARM_UNKNOWN] = "none", [ARM_STABLE] = "stable", [ARM_CANDIDATE] = "candidate"};
    begin_line(page, suffix, series->agent, series->environment);
    str_printf(page->out, ",version=\"%lld\",arm=\"%s\"", (long long)series->version, arms[series->arm]);
}

static void write_part(const struct page *page, const struct tally_series *series, const char *label, uint64_t value) {
    begin_arm(page, "", series);
    str_printf(page->out, ",%s} %llu\n", label, (unsigned long long)value);
}

/* Buckets are added up here, so that the last of them is the count whatever came meanwhile. */
static void write_histogram(const struct page *page, const struct tally_series *series) {
    static const double ends[TALLY_BUCKETS] = TALLY_LATENCIES;
    unsigned long long count = 0;
    for (size_t i = 0; i < TALLY_BUCKETS; i++) {
        count += series->latencies[i];
        begin_arm(page, "_bucket", series);
        str_printf(page->out, ",le=\"%g\"} %llu\n", ends[i], count);
    }
    count += series->latencies[TALLY_BUCKETS];
    begin_arm(page, "_bucket", series);
    str_printf(page->out, ",le=\"+Inf\"} %llu\n", count);
    begin_arm(page, "_sum", series);
    str_add_text(page->out, "} ");
    metrics_number(page->out, series->latency_s);
    begin_arm(page, "_count", series);
    str_printf(page->out, "} %llu\n", count);
}

static int write_outcomes(void *ctx, const struct tally_series *series) {
    const struct page *page = ctx;
    if (!shows(page, series->environment)) return 0;
    switch (page->family) {
    case FAMILY_OUTCOMES:
        write_part(page, series, "result=\"ok\"", series->ok);
        write_part(page, series, "result=\"failed\"", series->failed);
        break;
    case FAMILY_LATENCY:
        write_histogram(page, series);
        break;
    case FAMILY_COST:
        begin_arm(page, "", series);
        str_add_text(page->out, "} ");
        metrics_number(page->out, series->cost_usd);
        break;
    default:
        write_part(page, series, "direction=\"input\"", series->input_tokens);
        write_part(page, series, "direction=\"output\"", series->output_tokens);
    }
    return end_line(page);
}

/* ---- rollouts ---- */

static void begin_rollout(const struct page *page, const struct watched_rollout *rollout) {
    begin_line(page, "", rollout->agent, rollout->environment);
    str_add_text(page->out, ",rollout=");
    metrics_label(page->out, rollout->id);
}

static void write_states(const struct page *page, const struct watched_rollout *rollout) {
    static const enum rollout_state open[] = {ROLLOUT_RUNNING, ROLLOUT_PAUSED, ROLLOUT_HELD};
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        begin_rollout(page, rollout);
        str_printf(page->out, ",state=\"%s\"} %d\n", rollout_state_name(open[i]), rollout->state == open[i]);
    }
}

static void write_plain(const struct page *page, const struct watched_rollout *rollout, double value) {
    begin_rollout(page, rollout);
    str_add_text(page->out, "} ");
    metrics_number(page->out, value);
}

static void write_units(const struct page *page, const struct watched_rollout *rollout) {
    const struct {
        const char *scope;
        int64_t units;
    } scopes[] = {{"rollout", rollout->units}, {"step", rollout->step_units}};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        begin_rollout(page, rollout);
        str_printf(page->out, ",scope=\"%s\"} %lld\n", scopes[i].scope, (long long)scopes[i].units);
    }
}

/* `metric` NULL: a threshold, which is no metric's. */
static void write_log(const struct page *page, const struct watched_rollout *rollout, const char *metric,
                      const char *direction, double value) {
    begin_rollout(page, rollout);
    if (metric) {
        str_add_text(page->out, ",metric=");
        metrics_label(page->out, metric);
    }
    str_printf(page->out, ",direction=\"%s\"} ", direction);
    metrics_number(page->out, value);
}

static void write_evidence(const struct page *page, const struct watched_rollout *rollout) {
    write_log(page, rollout, "all", "harm", rollout->harm_log);
    write_log(page, rollout, "all", "split", rollout->split_log);
    for (size_t i = 0; i < rollout->metric_count; i++) {
        write_log(page, rollout, rollout->metrics[i].name, "harm", rollout->metrics[i].harm_log);
        write_log(page, rollout, rollout->metrics[i].name, "go_on", rollout->metrics[i].go_on_log);
    }
}

static void write_thresholds(const struct page *page, const struct watched_rollout *rollout) {
    write_log(page, rollout, NULL, "harm", rollout->harm_enough);
    write_log(page, rollout, NULL, "split", rollout->split_enough);
    write_log(page, rollout, NULL, "go_on", rollout->go_on_enough);
}

static void write_info(const struct page *page, const struct watched_rollout *rollout) {
    begin_rollout(page, rollout);
    str_printf(page->out, ",stable=\"%lld\",candidate=\"%lld\"} 1\n", (long long)rollout->stable,
               (long long)rollout->candidate);
}

static void write_of_rollout(const struct page *page, const struct watched_rollout *rollout) {
    switch (page->family) {
    case FAMILY_STATE:
        write_states(page, rollout);
        break;
    case FAMILY_SHARE:
        write_plain(page, rollout, (double)rollout->share / SHARE_ALL);
        break;
    case FAMILY_VERSIONS:
        write_info(page, rollout);
        break;
    case FAMILY_STEP:
        write_plain(page, rollout, rollout->step + 1);
        break;
    case FAMILY_STEPS:
        write_plain(page, rollout, rollout->steps);
        break;
    case FAMILY_UNITS:
        if (rollout->judged) write_units(page, rollout);
        break;
    case FAMILY_EVIDENCE:
        if (rollout->judged) write_evidence(page, rollout);
        break;
    default:
        if (rollout->judged) write_thresholds(page, rollout);
    }
}

static int write_rollout(void *ctx, const struct watched_rollout *rollout) {
    const struct page *page = ctx;
    if (shows(page, rollout->environment)) write_of_rollout(page, rollout);
    return end_line(page);
}

/* ---- all of it ---- */

int metrics_agents(struct api *api, const struct principal *principal, struct str *out) {
    static const enum metric_family of_outcomes[] = {FAMILY_OUTCOMES, FAMILY_LATENCY, FAMILY_COST, FAMILY_TOKENS},
                                    of_rollouts[] = {FAMILY_STATE, FAMILY_SHARE, FAMILY_VERSIONS, FAMILY_STEP,
                                                     FAMILY_STEPS, FAMILY_UNITS, FAMILY_EVIDENCE, FAMILY_THRESHOLD};
    const struct api_options *options = &api->options;
    struct page page = {.reader = principal, .out = out};
    begin_family(&page, FAMILY_RESOLUTIONS);
    int r = flow_each(options->flow, second_of(api), write_decisions, &page);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(of_outcomes); i++) {
        begin_family(&page, of_outcomes[i]);
        if (options->intake) r = tally_each(intake_tally(options->intake), write_outcomes, &page);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(of_rollouts); i++) {
        begin_family(&page, of_rollouts[i]);
        if (options->rollouts) r = options->rollouts(options->controller_ctx, write_rollout, &page);
    }
    return r;
}

size_t metrics_agents_size(struct api *api) {
    const struct api_options *options = &api->options;
    struct controller_stats stats = {0};
    if (options->controller) options->controller(options->controller_ctx, &stats);
    size_t outcomes = options->intake ? tally_size(intake_tally(options->intake)) : 0;
    return flow_size(options->flow) + TALLY_LINES * outcomes + ROLLOUT_LINES * (size_t)stats.rollouts;
}

/* ---- letting go ---- */

static bool is_number(const struct snapshot_version *version, int64_t number) {
    return version && version->number == number;
}

static bool serves_beside(const struct snapshot_beside *beside, int64_t number) {
    return beside && (is_number(beside->rollout.candidate, number) ||
                      (beside->panic && is_number(beside->panic->version, number)));
}

static bool entry_serves(const struct snapshot_entry *entry, int64_t number) {
    if (is_number(entry->version, number) || serves_beside(entry->beside, number)) return true;
    for (uint32_t i = 0; i < entry->override_count; i++)
        if (is_number(entry->overrides[i].version, number)) return true;
    for (uint32_t i = 0; i < entry->era_count; i++)
        if (is_number(entry->eras[i].version, number) || is_number(entry->eras[i].candidate, number)) return true;
    return false;
}

static bool serves(const struct snapshot *snapshot, const char *agent, const char *environment, int64_t number) {
    const struct snapshot_entry *entry = snapshot_find(snapshot, slice_of(environment), slice_of(agent));
    return entry && entry_serves(entry, number);
}

static bool serves_decisions(void *ctx, const struct flow_series *series) {
    return serves(ctx, series->agent, series->environment, series->version);
}

static bool serves_outcomes(void *ctx, const struct tally_series *series) {
    return serves(ctx, series->agent, series->environment, series->version);
}

void metrics_sweep(struct api *api) {
    const struct api_options *options = &api->options;
    struct snapshot *snapshot = publisher_get(options->publisher);
    int64_t second = second_of(api);
    flow_sweep(options->flow, second, serves_decisions, snapshot);
    if (options->intake) tally_sweep(intake_tally(options->intake), second, serves_outcomes, snapshot);
    snapshot_unref(snapshot);
}
