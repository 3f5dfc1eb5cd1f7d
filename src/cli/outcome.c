/* SPDX-License-Identifier: Apache-2.0 */
/* `serin outcome`: one outcome from the command line, as a batch of its own. */
#include "base/jw.h"
#include "base/uuid.h"
#include "cli/cli_impl.h"

#include <string.h>

/* "43" or "0.25" as it was typed, when it is a number. */
static int add_number(struct jw *jw, const char *name, const char *text, struct err *err) {
    _cleanup_(json_decrefp) json_t *value = NULL;
    if (json_parse(text, strlen(text), 1, &value, NULL) == 0 && json_is_number(value)) {
        jw_raw(jw, name, slice_of(text));
        return 0;
    }
    int r = err_set(err, ERR_USAGE, "%s is no number", text);
    err_at(err, "%s", name);
    return r;
}

static int add_scores(struct cli *cli, struct jw *jw, struct err *err) {
    size_t index = 0;
    int r = 0;
    if (!args_get(&cli->args, "scores")) return 0;
    jw_object(jw, "scores");
    for (const char *pair; r == 0 && (pair = args_next(&cli->args, "scores", &index));) {
        const char *equals = strchr(pair, '=');
        const char *name = equals ? arena_strndup(&cli->arena, pair, (size_t)(equals - pair)) : NULL;
        r = name ? add_number(jw, name, equals + 1, err) : err_set(err, ERR_USAGE, "--score takes NAME=VALUE");
    }
    jw_end_object(jw);
    return r;
}

static int add_texts_and_numbers(struct cli *cli, struct jw *jw, struct err *err) {
    static const char *const texts[] = {"unit", "error_type", "rollout", "arm", "feedback", "run"};
    static const char *const numbers[] = {"latency_ms", "cost_usd"};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (args_get(&cli->args, texts[i])) jw_text(jw, texts[i], args_get(&cli->args, texts[i]));
    for (size_t i = 0; i < ARRAY_LEN(numbers) && r == 0; i++)
        if (args_get(&cli->args, numbers[i])) r = add_number(jw, numbers[i], args_get(&cli->args, numbers[i]), err);
    return r;
}

static int add_item(struct cli *cli, struct jw *jw, struct err *err) {
    char at[CLOCK_TEXT_SIZE];
    const char *spec = args_get(&cli->args, "spec"), *environment = args_get(&cli->args, "environment");
    size_t len = strcspn(spec, "@");
    if (!environment) environment = cli->profile.environment;
    jw_object(jw, NULL);
    jw_slice(jw, "agent", (struct slice){spec, len});
    int r = spec[len] ? add_number(jw, "version", spec + len + 1, err)
                      : err_set(err, ERR_USAGE, "which version of %s? Write %s@42", spec, spec);
    if (environment) jw_text(jw, "environment", environment);
    clock_text(clock_wall(cli->world->clock), at);
    jw_text(jw, "at", at);
    jw_bool(jw, "ok", !args_on(&cli->args, "failed"));
    if (r == 0) r = add_texts_and_numbers(cli, jw, err);
    if (r == 0) r = add_scores(cli, jw, err);
    jw_end_object(jw);
    return r;
}

int run_outcome(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    _cleanup_(str_deinit) struct str body = STR_INIT;
    struct jw jw = JW_INIT(&body);
    char instance[UUID_TEXT_SIZE];
    int r = uuid_new(cli->world->clock, instance, err);
    if (r < 0) return r;
    jw_object(&jw, NULL);
    jw_text(&jw, "instance", instance);
    jw_int(&jw, "batch", 1);
    jw_array(&jw, "items");
    r = add_item(cli, &jw, err);
    jw_end_array(&jw);
    jw_end_object(&jw);
    if (r < 0) return r;
    struct call call = {.op = op_get(OP_outcomes), .path = "/v1/outcomes", .body = body.data};
    r = body.failed ? err_no_memory(err) : call_send(cli, &call, &answer, err);
    if (r < 0 && json_array_size(json_get(answer.json, "errors"))) {
        const json_t *fault = json_array_get(json_get(answer.json, "errors"), 0);
        err_set(err, ERR_INVALID, "%s", json_get_text(fault, "detail"));
        err_at(err, "%s", json_get_text(fault, "at"));
        err_remedy(err, "%s", json_get_text(fault, "remedy"));
    }
    return r < 0 ? r : view_print(cli, &answer, err);
}
