/* SPDX-License-Identifier: Apache-2.0 */
/* Text on its way to a terminal: what comes out is UTF-8 without control characters, and JSON keeps its value. */
#include "base/json.h"
#include "cli/text.h"
#include "fuzz.h"

static void plain_text(const char *text, size_t len) {
    struct str out = STR_INIT;
    text_add_safe(&out, text, len, false);
    FUZZ_MUST(utf8_valid(out.data ? out.data : "", out.len));
    for (size_t i = 0; out.data && i < out.len; i++)
        FUZZ_MUST((unsigned char)out.data[i] >= ' ' && out.data[i] != 0x7F);
    for (size_t width = 0; out.data && width < 20; width++) {
        size_t fits = text_fit(out.data, out.len, width);
        FUZZ_MUST(fits <= out.len && text_width(out.data, fits) <= width && utf8_valid(out.data, fits));
    }
    str_deinit(&out);
}

static void json_text(const char *text, size_t len) {
    struct str out = STR_INIT;
    struct err err = ERR_INIT;
    json_t *value = NULL, *again = NULL;
    text_add_safe_json(&out, text, len);
    if (json_parse(text, len, JSON_DEPTH_MAX, &value, &err) == 0) {
        FUZZ_MUST(json_parse(out.data, out.len, JSON_DEPTH_MAX, &again, &err) == 0);
        FUZZ_MUST(json_equal(value, again));
    }
    json_decref(value);
    json_decref(again);
    str_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    plain_text((const char *)data, size);
    json_text((const char *)data, size);
    return 0;
}
