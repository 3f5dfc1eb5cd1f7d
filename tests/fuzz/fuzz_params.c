/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's parameters: the first byte chooses the operation; the rest are its body, and the text of each of its
 * other parameters (which http lets through only as UTF-8). What is refused says where; what is taken is complete only when
 * the operation says so.
 */
#include "fuzz.h"
#include "ops/ops.h"

#include <string.h>

static void text_of_each(const struct op *op, const char *text) {
    size_t count;
    const struct op_param *params = op_params(op, &count);
    for (size_t i = 0; i < count; i++) {
        _cleanup_(json_decrefp) json_t *value = NULL;
        struct err err = ERR_INIT;
        if (params[i].where == PARAM_BODY) continue;
        if (ops_param_from_text(&params[i], text, &value, &err) == 0)
            FUZZ_MUST(value);
        else
            FUZZ_MUST(err.code != ERR_NONE && err.at[0]);
    }
}

static void body(const struct op *op, const uint8_t *data, size_t size) {
    _cleanup_(json_decrefp) json_t *value = NULL, *params = json_object();
    struct err err = ERR_INIT;
    if (!params || json_parse((const char *)data, size, JSON_DEPTH_MAX, &value, &err) < 0) return;
    if (ops_params_from_body(op, value, params, &err) == 0) {
        if (ops_params_complete(op, params, &err) < 0) FUZZ_MUST(err.code == ERR_MISSING_FIELD);
        return;
    }
    FUZZ_MUST(err.code != ERR_NONE && err.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const struct op *op = op_get((enum op_id)(data[0] % OP_COUNT_));
    char *text = malloc(size);
    if (!text) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (utf8_valid(text, strlen(text))) text_of_each(op, text);
    body(op, data + 1, size - 1);
    free(text);
    return 0;
}
