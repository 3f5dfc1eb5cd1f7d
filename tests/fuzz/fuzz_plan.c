/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout's plan as it comes with a request: every fault has words and a place; a plan without faults holds to what its readers rely on, and what is
 * written of it is canonical and read as the same plan.
 */
#include "fuzz.h"
#include "model/rollout.h"

#include <string.h>

static void check_shape(const struct rollout_plan *plan) {
    double sum = 0;
    FUZZ_MUST(plan->step_count >= 1 && plan->step_count <= ROLLOUT_STEPS_MAX);
    for (size_t i = 0; i < plan->step_count; i++) {
        FUZZ_MUST(plan->steps[i].share > (i ? plan->steps[i - 1].share : 0) && plan->steps[i].share <= SHARE_ALL);
        FUZZ_MUST(plan->steps[i].min_time >= 0 && plan->steps[i].max_time >= plan->steps[i].min_time);
    }
    FUZZ_MUST(plan->metric_count >= 1 && plan->metric_count <= ROLLOUT_METRICS_MAX);
    for (size_t i = 0; i < plan->metric_count; i++) {
        FUZZ_MUST(plan->metrics[i].name && plan->metrics[i].accept > plan->metrics[i].harm);
        sum += plan->metrics[i].weight;
    }
    FUZZ_MUST(sum > 1 - 1e-9 && sum < 1 + 1e-9);
}

static void check_written(const struct rollout_plan *plan) {
    _cleanup_(str_deinit) struct str text = STR_INIT, canonical = STR_INIT, again = STR_INIT;
    _cleanup_(json_decrefp) json_t *json = NULL;
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct rollout_plan same;
    rollout_plan_write(plan, &text);
    FUZZ_MUST(json_parse(text.data, text.len, JSON_DEPTH_MAX, &json, NULL) == 0);
    FUZZ_MUST(json_canonical(json, &canonical, NULL) == 0 && !strcmp(text.data, canonical.data));
    FUZZ_MUST(rollout_plan_parse(json, "", plan->on_end == END_PROMOTE, &arena, &same, &faults, NULL) == 0);
    FUZZ_MUST(faults.count == 0);
    rollout_plan_write(&same, &again);
    FUZZ_MUST(!strcmp(text.data, again.data));
    FUZZ_MUST(!memcmp(plan->steps, same.steps, sizeof(same.steps[0]) * plan->step_count));
    faults_deinit(&faults);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    struct arena arena = ARENA_INIT;
    struct faults faults = FAULTS_INIT;
    struct rollout_plan plan;
    if (json_parse((const char *)data, size, JSON_DEPTH_MAX, &json, NULL) < 0) return 0;
    FUZZ_MUST(rollout_plan_parse(json, "", false, &arena, &plan, &faults, NULL) == 0);
    for (size_t i = 0; i < faults.count; i++)
        FUZZ_MUST(faults.items[i].message[0] && utf8_valid(faults.items[i].at, strlen(faults.items[i].at)));
    if (!faults.errors) {
        check_shape(&plan);
        check_written(&plan);
    }
    faults_deinit(&faults);
    arena_deinit(&arena);
    return 0;
}
