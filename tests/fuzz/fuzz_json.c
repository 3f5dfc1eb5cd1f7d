/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader takes, the canonical form keeps: reading it again gives the same canonical form. */
#include "base/json.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(json_decrefp) json_t *value = NULL, *again = NULL;
    _cleanup_(str_deinit) struct str first = STR_INIT, second = STR_INIT, pretty = STR_INIT;
    struct err err = ERR_INIT;

    if (json_parse((const char *)data, size, JSON_DEPTH_MAX, &value, &err) < 0) {
        FUZZ_MUST(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    if (json_canonical(value, &first, &err) < 0) return 0;
    FUZZ_MUST(json_parse(first.data, first.len, JSON_DEPTH_MAX, &again, &err) == 0);
    FUZZ_MUST(json_canonical(again, &second, &err) == 0);
    FUZZ_MUST(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    FUZZ_MUST(json_pretty(value, 2, true, &pretty) == 0);
    return 0;
}
