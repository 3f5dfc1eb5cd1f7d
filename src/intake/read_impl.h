/* SPDX-License-Identifier: Apache-2.0 */
/* For the files that read outcomes: what is common to all forms of a batch. */
#ifndef SERIN_INTAKE_READ_IMPL_H
#define SERIN_INTAKE_READ_IMPL_H

#include "intake/outcome.h"
#include "intake/scan.h"

struct reading {
    const struct outcome_source *source;
    struct outcomes *out;
    struct outcome_pack pack;
    const char *list;                    /* how places of items begin: "/items" */
    unsigned line;                       /* of the item, NDJSON; else 0 */
    size_t errors;                       /* before this item */
    uint8_t guess[OUTCOME_FIELD_COUNT_]; /* which field stood in that place of the item before */
    char minute[16];                     /* "2026-11-23T14:05" as it was read last */
    int64_t minute_at;                   /* when that begins; -1: nothing was read */
    bool has_spans;                      /* OTLP: its list was there */
};

/* Adds a fault of the item that is read; `field` "" = all of it. */
void reading_fault(struct reading *reading, enum outcome_fault fault, const char *field);
/* A fault of the batch itself. */
void reading_fault_at(struct reading *reading, enum outcome_fault fault, const char *at);

/* Reads one item, an object; false: it is no JSON. Faults are noted. */
bool reading_item(struct reading *reading, struct scan *scan);
/* Holds an outcome, whose `has` says what was given, to the rules that go for the whole of it, and packs it unless there are faults. */
void reading_take(struct reading *reading, struct outcome *outcome);
bool reading_time(struct reading *reading, struct slice text, int64_t *ret);
bool reading_unit(struct slice text, uint32_t *ret_hash, uint64_t *ret);
uint64_t reading_hash(struct slice text); /* of a run's name; never 0 */
/* A text that may be shown: 1 to OUTCOME_TEXT_MAX bytes without control characters. */
bool reading_shown(struct slice text);
/* Instance and batch: noted as faults when they are wrong. */
void reading_instance(struct reading *reading, struct slice text);
void reading_batch(struct reading *reading, struct scan_number number);

/* Each reads its form to the end; false: *scan says what is no JSON. */
bool read_json(struct reading *reading, struct scan *scan);
bool read_ndjson(struct reading *reading, struct scan *scan);
bool read_otlp(struct reading *reading, struct scan *scan);

/* Appends the outcome, whose place and names of scores are found in `pack` or added. */
bool outcome_pack_add(struct outcome_pack *pack, const struct outcome *outcome, struct outcomes *out);

#endif
