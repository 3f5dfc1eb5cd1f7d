/* SPDX-License-Identifier: Apache-2.0 */
/* The analysis behind judge.h. */
#include "analysis/evidence.h"
#include "intake/judge.h"

static int make(const struct rollout_plan *plan, int64_t now, void **ret, struct err *err) {
    struct evidence *evidence = NULL;
    int r = evidence_new(plan, now, &evidence, err);
    *ret = evidence;
    return r;
}

static void release(void *evidence) {
    evidence_free(evidence);
}

static int add(void *evidence, const struct judge_observation *seen) {
    struct observation observation = {.candidate = seen->candidate,
                                      .stage = seen->stage,
                                      .unit = seen->unit,
                                      .at = seen->at,
                                      .events = seen->events,
                                      .present = seen->present};
    memcpy(observation.values, seen->values, sizeof(observation.values));
    return evidence_add(evidence, &observation);
}

static void tick(void *evidence, int64_t now) {
    evidence_tick(evidence, now);
}

static void enter(void *evidence, size_t step, int64_t now) {
    evidence_enter(evidence, step, now);
}

static int write_bytes(const void *evidence, enum judge_part part, struct str *out) {
    return evidence_write(evidence, part == JUDGE_WHOLE ? EVIDENCE_WHOLE : EVIDENCE_JUDGED, out);
}

static int read_bytes(const struct rollout_plan *plan, struct slice bytes, void **ret, struct err *err) {
    struct evidence *evidence = NULL;
    int r = evidence_read(plan, bytes, &evidence, err);
    *ret = evidence;
    return r;
}

const struct judge judge_analysis = {make, release, add, tick, enter, write_bytes, read_bytes};
