/* SPDX-License-Identifier: Apache-2.0 */
/* What a server of guards answers: refused with an error that says what is wrong, or numbers, of which every condition makes something. The first byte
 * chooses condition and status. */
#include "controller/prometheus.h"
#include "fuzz.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct prometheus_values values;
    struct err err = ERR_INIT;
    const struct guard guard = {.compare = (enum guard_compare)(data[0] % 6), .threshold = 0.5};
    const struct slice body = {(const char *)data + 1, size - 1};
    int r = prometheus_read(data[0] & 0x80 ? 503 : 200, body, &values, &err);
    FUZZ_MUST(r == 0 || (err.code != ERR_NONE && err.message[0] && !values.items));
    FUZZ_MUST(r < 0 || !(data[0] & 0x80));
    double value;
    enum guard_state state = guard_judge(&guard, &values, &value);
    FUZZ_MUST((state == GUARD_UNKNOWN) == (isnan(value) != 0));
    FUZZ_MUST(values.count || state == GUARD_UNKNOWN);
    prometheus_values_deinit(&values);
    return 0;
}
