/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/evidence_impl.h"

#include <math.h>

static void add_channel(struct layout *layout, size_t m, enum channel_kind kind) {
    struct channel *channel = &layout->channels[layout->channel_count++];
    *channel = (struct channel){.kind = kind, .metric = m};
    layout->metrics[m].channel_count++;
}

static void lay_event(struct layout *layout, struct layout_metric *to) {
    to->seen = layout->seen_len;
    to->harm = layout->harm_len;
    to->go_on = layout->go_on_len;
    layout->seen_len += ARMS;
    layout->harm_len += 1 + layout->steps;
    layout->go_on_len += 2;
}

static void lay_score(struct layout *layout, size_t m, const struct metric *metric) {
    layout->metrics[m].seen = layout->seen_len;
    layout->seen_len += (size_t)2 * ARMS;
    add_channel(layout, m, CHANNEL_SCORE);
    layout->channels[layout->metrics[m].channel].margin[HARM] = metric->harm;
    layout->channels[layout->metrics[m].channel].margin[GO_ON] = metric->accept;
}

static void lay_size(struct layout *layout, size_t m, const struct metric *metric) {
    layout->metrics[m].sketch = layout->sketch_count++;
    layout->metrics[m].log_margin[HARM] = log(metric->harm);
    layout->metrics[m].log_margin[GO_ON] = log(metric->accept);
    add_channel(layout, m, CHANNEL_RANK);
    add_channel(layout, m, CHANNEL_P95);
    add_channel(layout, m, CHANNEL_P99);
    if (metric->name && strcmp(metric->name, "cost") == 0) add_channel(layout, m, CHANNEL_MEAN);
}

static void lay_metric(struct layout *layout, size_t m, const struct metric *metric) {
    struct layout_metric *to = &layout->metrics[m];
    *to = (struct layout_metric){
        .kind = metric->kind, .lower_is_better = metric->lower_is_better, .channel = layout->channel_count};
    if (metric->kind == METRIC_EVENT) {
        layout->event_metrics |= UINT32_C(1) << m;
        lay_event(layout, to);
        return;
    }
    layout->value_metrics |= UINT32_C(1) << m;
    if (metric->kind == METRIC_SCORE)
        lay_score(layout, m, metric);
    else
        lay_size(layout, m, metric);
}

/* FNV-1a over numbers: it tells plans apart, it does not protect. */
static void mark(uint64_t *fingerprint, uint64_t number) {
    for (int i = 0; i < 8; i++)
        *fingerprint = (*fingerprint ^ (number >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
}

static void mark_double(uint64_t *fingerprint, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    mark(fingerprint, bits);
}

static uint64_t fingerprint_of(const struct layout *layout, const struct rollout_plan *plan) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    mark(&sum, plan->step_count);
    for (size_t s = 0; s < plan->step_count; s++)
        mark(&sum, (uint64_t)plan->steps[s].share);
    mark(&sum, plan->metric_count);
    for (size_t m = 0; m < plan->metric_count; m++) {
        const struct layout_metric *metric = &layout->metrics[m];
        mark(&sum, (uint64_t)metric->kind << 16 | (uint64_t)metric->lower_is_better << 8 | metric->channel_count);
        if (metric->kind == METRIC_EVENT) continue; /* its margins matter to the judge alone */
        mark_double(&sum, plan->metrics[m].harm);
        mark_double(&sum, plan->metrics[m].accept);
    }
    mark(&sum, (uint64_t)plan->settle);
    mark(&sum, (uint64_t)plan->watermark);
    return sum;
}

static int check(const struct rollout_plan *plan, struct err *err) {
    if (plan->step_count == 0 || plan->step_count > ROLLOUT_STEPS_MAX)
        return err_set(err, ERR_INVALID, "a rollout has 1 to %d steps", ROLLOUT_STEPS_MAX);
    if (plan->metric_count == 0 || plan->metric_count > ROLLOUT_METRICS_MAX)
        return err_set(err, ERR_INVALID, "a rollout has 1 to %d metrics", ROLLOUT_METRICS_MAX);
    for (size_t m = 0; m < plan->metric_count; m++) {
        const struct metric *metric = &plan->metrics[m];
        bool ratio = metric->kind != METRIC_SCORE;
        if (!isfinite(metric->harm) || !isfinite(metric->accept) ||
            (ratio && !(metric->harm > 0 && metric->accept > 0)))
            return err_set(err, ERR_INVALID, "the margins of metric %zu are no numbers to bet on", m);
    }
    return 0;
}

int layout_init(struct layout *layout, const struct rollout_plan *plan, struct err *err) {
    int r = check(plan, err);
    if (r < 0) return r;
    *layout = (struct layout){.steps = plan->step_count, .metric_count = plan->metric_count};
    for (size_t s = 0; s < layout->steps; s++)
        layout->share[s] = (double)plan->steps[s].share / SHARE_ALL;
    layout->seen_len = seen_first(layout->steps, false);
    layout->harm_len = 1;
    layout->go_on_len = ARMS;
    for (size_t m = 0; m < plan->metric_count; m++)
        lay_metric(layout, m, &plan->metrics[m]);
    layout->seen_channels = layout->seen_len;
    layout->seen_len += 2 * layout->channel_count;
    layout->harm_bets = layout->harm_len;
    layout->harm_len += BETS * layout->channel_count;
    layout->go_on_bets = layout->go_on_len;
    layout->go_on_len += BETS * layout->channel_count;
    layout->fingerprint = fingerprint_of(layout, plan);
    return 0;
}
