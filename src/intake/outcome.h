/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outcomes: what came of using decisions, as they are sent, and in the packed form in which they are logged and applied.
 *
 * A batch is read whole: when one outcome is wrong none is taken, and all faults are told, up to FAULTS_MAX. Reading allocates what the batch
 * needs (its packed bytes, its places), and nothing for a single outcome; a span of OTLP costs a few allocations.
 *
 * Packed, each outcome is about 45 bytes. What repeats (agent, environment, version, rollout: a place; names of scores) is written where it first
 * occurs and is a small number from then on, so a batch can be unpacked only from its start. Session
 * and error type only of what failed; of the run a hash.
 */
#ifndef SERIN_INTAKE_OUTCOME_H
#define SERIN_INTAKE_OUTCOME_H

#include "base/err.h"
#include "base/str.h"
#include "model/names.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTCOME_ITEMS_MAX 10000
#define OUTCOME_PLACES_MAX 256 /* of a batch */
#define OUTCOME_SCORES_MAX 8   /* of an outcome */
#define OUTCOME_NAMES_MAX 32   /* names of scores in a batch */
#define OUTCOME_TEXT_MAX 128
#define OUTCOME_AHEAD INT64_C(300000000)            /* 5 minutes */
#define OUTCOME_AGE_MAX INT64_C(604800000000)       /* 7 days */
#define OUTCOME_BATCH_MAX INT64_C(9007199254740991) /* 2^53 - 1 */

enum outcome_fault {
#define FAULT(id, ...) OUTCOME_FAULT_##id,
#include "intake/faults.def"
#undef FAULT
    OUTCOME_FAULT_COUNT_
};
const char *outcome_fault_code(enum outcome_fault fault); /* "score_outside" */

enum outcome_field {
#define OUTCOME_FIELD(id, ...) OUTCOME_##id,
#include "intake/fields.def"
#undef OUTCOME_FIELD
    OUTCOME_FIELD_COUNT_
};
#define OUTCOME_HAS(field) (1u << OUTCOME_##field)

enum outcome_arm { ARM_UNKNOWN, ARM_STABLE, ARM_CANDIDATE };
/* The decision's reason, as far as it matters here. */
enum outcome_reason {
    OUTCOME_REASON_NOT_GIVEN,
    OUTCOME_REASON_DEPLOYED,
    OUTCOME_REASON_ROLLOUT,
    OUTCOME_REASON_OVERRIDE,
    OUTCOME_REASON_SESSION,
    OUTCOME_REASON_PANIC
};

/* What many outcomes of a batch have in common. */
struct outcome_place {
    struct slice agent, environment;
    int64_t version;
    struct slice rollout; /* empty: none was given */
    size_t item;          /* the first outcome there */
};

struct outcome_score {
    struct slice name;
    double value;
};

struct outcome {
    uint32_t has; /* OUTCOME_HAS() of what was given */
    bool ok, feedback_up;
    enum outcome_arm arm;
    enum outcome_reason reason;
    struct outcome_place place;
    size_t place_index;   /* when unpacked */
    uint32_t bucket_hash; /* the unit's first 8 digits: its bucket's hash */
    uint64_t unit;        /* its last 16, which stand for the user */
    int64_t at;
    double latency_ms, cost_usd;
    int64_t input_tokens, output_tokens, tool_errors;
    struct outcome_score scores[OUTCOME_SCORES_MAX];
    size_t score_count;
    uint64_t run; /* a hash of it; 0 = none */
    struct slice session, error_type;
};

/* Nothing given yet; quicker than zeroing all of it. */
static inline void outcome_clear(struct outcome *outcome) {
    memset(outcome, 0, offsetof(struct outcome, scores));
    outcome->score_count = 0;
    outcome->run = 0;
    outcome->session = outcome->error_type = (struct slice){"", 0};
}

/* ---- reading ---- */

struct outcomes {
    char instance[OUTCOME_TEXT_MAX + 1];
    int64_t batch;
    size_t count;
    size_t passed_over; /* OTLP: spans that tell of no decision */
    struct str packed;
    struct outcome_place places[OUTCOME_PLACES_MAX]; /* texts live in `arena` */
    size_t place_count;
    struct arena arena;
    struct faults faults;
    uint64_t fault_counts[OUTCOME_FAULT_COUNT_];
};

enum outcome_form { OUTCOME_JSON, OUTCOME_NDJSON, OUTCOME_OTLP };

/* Where a batch comes from. Texts are borrowed. */
struct outcome_source {
    enum outcome_form form;
    struct slice body; /* plain: see outcome_gunzip() */
    int64_t now;
    const char *environment; /* of items that name none; NULL: they must */
    const char *instance;    /* NDJSON: from the query, or NULL: the first line carries both */
    int64_t batch;
    bool (*sees)(void *ctx, struct slice environment); /* NULL: all are seen */
    void *ctx;
};

/* 0; MALFORMED_JSON, INVALID_UTF8; INVALID with ret->faults; NO_MEMORY. Ends with outcomes_deinit() in any case; ret is zeroed before. */
int outcomes_read(const struct outcome_source *source, struct outcomes *ret, struct err *err) MUST_CHECK;
void outcomes_deinit(struct outcomes *outcomes);

/* Expands gzip into `out`, at most `limit` bytes: TOO_LARGE past it, BAD_REQUEST when it is no gzip or is cut. */
int outcome_gunzip(struct slice body, size_t limit, struct str *out, struct err *err) MUST_CHECK;

/* ---- the packed form ---- */

/* What was written or read so far of a batch. */
struct outcome_pack {
    struct outcome_place places[OUTCOME_PLACES_MAX];
    struct slice names[OUTCOME_NAMES_MAX];
    size_t place_count, name_count;
    int64_t at; /* of the outcome before */
};
/* Unpacks the next outcome; texts are borrowed from the bytes. 1 = it did, 0 = the end, -STORE_CORRUPT. */
int outcome_unpack(struct outcome_pack *pack, struct slice *bytes, struct outcome *ret) MUST_CHECK;

#endif
