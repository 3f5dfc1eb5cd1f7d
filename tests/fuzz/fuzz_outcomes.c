/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of outcomes is refused with an error that says what is wrong, or its packed form holds as many outcomes as it has. The first byte chooses the form. */
#include "fuzz.h"
#include "intake/outcome.h"

#define NOW INT64_C(1793000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct outcomes outcomes;
    struct outcome_pack pack = {0};
    struct outcome outcome;
    struct err err = ERR_INIT;
    struct outcome_source source = {.form = size && *data == 'n' ? OUTCOME_NDJSON : OUTCOME_JSON,
                                    .body = {(const char *)data, size},
                                    .now = NOW,
                                    .environment = "production"};
    if (source.form == OUTCOME_NDJSON) source.body = (struct slice){(const char *)data + 1, size - 1};

    int r = outcomes_read(&source, &outcomes, &err);
    FUZZ_MUST(r == 0 || (err.code != ERR_NONE && err.message[0]));
    FUZZ_MUST((r == -ERR_INVALID) == (outcomes.faults.errors > 0 && r < 0) || r == -ERR_MALFORMED_JSON ||
              r == -ERR_INVALID_UTF8);
    struct slice bytes = str_slice(&outcomes.packed);
    size_t count = 0;
    while (r == 0 && outcome_unpack(&pack, &bytes, &outcome) == 1) {
        FUZZ_MUST(outcome.at >= NOW - OUTCOME_AGE_MAX && outcome.at <= NOW + OUTCOME_AHEAD);
        FUZZ_MUST(outcome.place.version >= 1 && name_valid(outcome.place.agent));
        FUZZ_MUST(outcome.latency_ms >= 0 && outcome.cost_usd >= 0);
        count++;
    }
    FUZZ_MUST(r < 0 || (count == outcomes.count && pack.place_count == outcomes.place_count));
    outcomes_deinit(&outcomes);
    return 0;
}
