/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a rollout's evidence, behind a header that is right: the first byte says which part and whether anything waits. What is taken can be judged, put
 * into words, gone on with and merged, and written again it is evidence that gives the same bytes once more.
 */
#include "analysis/verdict.h"
#include "fuzz.h"

#include <math.h>
#include <string.h>

#define HEADER_SIZE 12
#define START INT64_C(1760000000000000)

static struct rollout_plan plan_of(bool waits) {
    struct rollout_plan plan = {.step_count = 3,
                                .steps = {{.share = 5000}, {.share = 50000}, {.share = 100000}},
                                .metric_count = 3,
                                .alpha = 0.05,
                                .beta = 0.05,
                                .alpha_srm = 0.001};
    plan.metrics[0] = (struct metric){.name = "error", .kind = METRIC_EVENT, .weight = 0.5, .harm = 1.1, .accept = 1.5};
    plan.metrics[1] =
        (struct metric){.name = "score.x", .kind = METRIC_SCORE, .weight = 0.2, .harm = 0.01, .accept = 0.05};
    plan.metrics[2] = (struct metric){.name = "cost", .kind = METRIC_SIZE, .weight = 0.3, .harm = 1.1, .accept = 1.5};
    plan.metrics[0].harm_floor = 0.001;
    plan.metrics[0].accept_floor = 0.005;
    plan.settle = waits ? 60000000 : 0;
    plan.watermark = waits ? 1000000 : 0;
    return plan;
}

static void judge(const struct rollout_plan *plan, const struct evidence *evidence) {
    struct str words = STR_INIT;
    struct verdict verdict;
    analysis_judge(plan, evidence, evidence_step(evidence), &verdict);
    FUZZ_MUST(!isnan(verdict.harm_log));
    verdict_words(plan, &verdict, &words);
    FUZZ_MUST(!words.failed && words.len > 0);
    str_deinit(&words);
}

static void go_on(const struct rollout_plan *plan, struct evidence *evidence) {
    for (unsigned i = 0; i < 8; i++) {
        struct observation seen = {.candidate = i & 1,
                                   .stage = i % 3,
                                   .unit = i / 2,
                                   .at = START,
                                   .events = i >> 2,
                                   .present = 6,
                                   .values = {0, 0.25 * (i % 5), i * 7.0}};
        FUZZ_MUST(evidence_add(evidence, &seen) == 0);
        evidence_tick(evidence, START + i * INT64_C(40000000));
    }
    evidence_enter(evidence, evidence_step(evidence) + 1, START);
    judge(plan, evidence);
}

static void check(const struct rollout_plan *plan, struct evidence *evidence) {
    struct str first = STR_INIT, second = STR_INIT;
    struct evidence *again = NULL;
    FUZZ_MUST(evidence_write(evidence, EVIDENCE_WHOLE, &first) == 0);
    FUZZ_MUST(evidence_read(plan, str_slice(&first), &again, NULL) == 0);
    FUZZ_MUST(evidence_write(again, EVIDENCE_WHOLE, &second) == 0);
    FUZZ_MUST(slice_equal(str_slice(&first), str_slice(&second)));
    judge(plan, evidence);
    int r = evidence_merge(evidence, again, NULL);
    FUZZ_MUST(r == 0 || r == -ERR_CONFLICT); /* they share their units, if they have any */
    go_on(plan, evidence);
    go_on(plan, again);
    evidence_free(again);
    str_deinit(&first);
    str_deinit(&second);
}

/* The right header for the plan, from evidence that is empty. */
static void put_header(const struct rollout_plan *plan, bool whole, char *ret) {
    struct evidence *empty = NULL;
    struct str bytes = STR_INIT;
    FUZZ_MUST(evidence_new(plan, START, &empty, NULL) == 0);
    FUZZ_MUST(evidence_write(empty, whole ? EVIDENCE_WHOLE : EVIDENCE_JUDGED, &bytes) == 0);
    memcpy(ret, bytes.data, HEADER_SIZE);
    evidence_free(empty);
    str_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct rollout_plan plan = plan_of(data[0] & 2);
    struct evidence *evidence = NULL;
    struct err err = ERR_INIT;
    char *bytes = malloc(HEADER_SIZE + size - 1);
    if (!bytes) return 0;
    put_header(&plan, data[0] & 1, bytes);
    if (size > 1) memcpy(bytes + HEADER_SIZE, data + 1, size - 1);
    if (evidence_read(&plan, (struct slice){bytes, HEADER_SIZE + size - 1}, &evidence, &err) == 0)
        check(&plan, evidence);
    else
        FUZZ_MUST(err.code == ERR_INVALID && err.message[0]);
    evidence_free(evidence);
    free(bytes);
    return 0;
}
