/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry of a rollout's journal under a plan of two metrics and a guard. The last four bytes are made the right checksum first, or nothing would get past it.
 * What is read is written again as the same bytes, and replaying it answers the same twice.
 */
#include "base/hash.h"
#include "controller/journal.h"
#include "fuzz.h"

#include <string.h>

static const struct rollout_plan plan = {
    .steps = {{.share = 5000, .max_time = 1000000000, .min_units = 10}, {.share = 50000, .max_time = 1000000000}},
    .step_count = 2,
    .metrics =
        {{.name = "error",
          .kind = METRIC_EVENT,
          .lower_is_better = true,
          .weight = 0.5,
          .harm = 1.1,
          .accept = 1.5,
          .harm_floor = 0.001,
          .accept_floor = 0.005},
         {.name = "latency", .kind = METRIC_SIZE, .lower_is_better = true, .weight = 0.5, .harm = 1.1, .accept = 1.5}},
    .metric_count = 2,
    .guards = {{.name = "g", .threshold = 1}},
    .guard_count = 1,
    .alpha = 0.05,
    .beta = 0.05,
    .alpha_srm = 0.001,
};

static void set_checksum(char *bytes, size_t size) {
    uint32_t crc = crc32_bytes(bytes, size - 4);
    for (size_t i = 0; i < 4; i++)
        bytes[size - 4 + i] = (char)(uint8_t)(crc >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct journal_entry entry;
    if (size < 4) return 0;
    char *bytes = malloc(size);
    if (!bytes) return 0;
    memcpy(bytes, data, size);
    set_checksum(bytes, size);
    struct rollout_move move = {.action = "hold", .words = "", .evidence = {bytes, size}};
    if (journal_read(&plan, move.evidence, &entry, NULL) == 0) {
        struct str again = STR_INIT;
        journal_write(&plan, &entry, &again);
        FUZZ_MUST(again.failed || slice_equal(str_slice(&again), move.evidence));
        str_deinit(&again);
    }
    struct replayed first, second;
    if (journal_replay(&plan, &move, &first, NULL) == 0) {
        if (journal_replay(&plan, &move, &second, NULL) == 0) {
            FUZZ_MUST(slice_equal(str_slice(&first.words), str_slice(&second.words)));
            replayed_deinit(&second);
        }
        replayed_deinit(&first);
    }
    free(bytes);
    return 0;
}
