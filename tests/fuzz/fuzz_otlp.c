/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP traces as JSON: refused with an error that says what is wrong, or packed whole. */
#include "fuzz.h"
#include "intake/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct outcomes outcomes;
    struct outcome_pack pack = {0};
    struct outcome outcome;
    struct err err = ERR_INIT;
    const struct outcome_source source = {.form = OUTCOME_OTLP,
                                          .body = {(const char *)data, size},
                                          .now = INT64_C(1793000000000000),
                                          .environment = "production"};
    int r = outcomes_read(&source, &outcomes, &err);
    FUZZ_MUST(r == 0 || (err.code != ERR_NONE && err.message[0]));
    struct slice bytes = str_slice(&outcomes.packed);
    size_t count = 0;
    while (r == 0 && outcome_unpack(&pack, &bytes, &outcome) == 1)
        count++;
    FUZZ_MUST(r < 0 || count == outcomes.count);
    outcomes_deinit(&outcomes);
    return 0;
}
