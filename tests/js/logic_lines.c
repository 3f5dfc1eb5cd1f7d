/* SPDX-License-Identifier: Apache-2.0 */
/* Reads lines {"rule": …, "data": …} and writes what Serin makes of each: the result as JSON, "refused AT: MESSAGE" or "outcome N". */
#include "logic/test_kit.h"

#include <stdio.h>
#include <string.h>

static void answer(const json_t *line, struct str *out) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    _cleanup_(logic_freep) struct logic_rule *rule = NULL;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    struct logic_context context = {0};
    struct logic_scratch scratch;
    struct logic_value result;
    int r = logic_compile(json_get(line, "rule"), "", &rule, &faults, &err);
    faults_deinit(&faults);
    if (r < 0 || logic_from_json(json_get(line, "data"), &arena, &context.data) < 0) {
        str_printf(out, "refused %s: %s", err.at, err.message);
        return;
    }
    r = logic_evaluate(rule, &context, &scratch, NULL, &result);
    if (r)
        str_printf(out, "outcome %d", r);
    else
        kit_write(out, &result);
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t len; (len = getline(&line, &capacity, stdin)) > 0;) {
        _cleanup_(str_deinit) struct str out = STR_INIT;
        json_t *value;
        struct err err = ERR_INIT;
        if (json_parse(line, (size_t)len, JSON_DEPTH_MAX, &value, &err) < 0) {
            printf("refused line: %s\n", err.message);
            continue;
        }
        answer(value, &out);
        json_decref(value);
        printf("%s\n", out.data);
    }
    free(line);
    return 0;
}
