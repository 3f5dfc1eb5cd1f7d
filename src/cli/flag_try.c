/* SPDX-License-Identifier: Apache-2.0 */
/* `serin flag try`: what a flag says to one context, computed here, with the branch that was taken. Exit code 1 when that is an error. */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

#define ROWS 7

struct trying {
    struct cli *cli;
    struct answer answer; /* all flags of the environment */
    struct flag *flag;
    json_t *context;
    struct flag_result result;
    struct logic_trace trace;
    char strange[FLAG_RESULT_ROOM]; /* a result that names no variant */
    const char *branch;
};

static int no_flag(const struct trying *trying, struct err *err) {
    int r = err_set(err, ERR_NOT_FOUND, "%s has no flag \"%s\"", args_get(&trying->cli->args, "environment"),
                    args_get(&trying->cli->args, "flag"));
    err_at(err, "KEY");
    err_remedy(err, "`serin flag list -e %s` lists them", args_get(&trying->cli->args, "environment"));
    return r;
}

static int fetch(struct trying *trying, struct err *err) {
    int r = call_op(trying->cli, op_get(OP_flag_document_get), &trying->answer, err);
    if (r == 0) r = flag_of_document(trying->answer.json, args_get(&trying->cli->args, "flag"), &trying->flag, err);
    return r < 0 || trying->flag ? r : no_flag(trying, err);
}

static int evaluate(struct trying *trying, struct err *err) {
    struct arena *arena = &trying->cli->arena;
    struct logic_context context = {.timestamp = clock_wall(trying->cli->world->clock) / 1000000};
    struct logic_scratch *scratch = arena_alloc(arena, sizeof(*scratch));
    if (!scratch || logic_from_json(trying->context, arena, &context.data) < 0) return err_no_memory(err);
    flag_evaluate(trying->flag, &context, scratch, &trying->trace, trying->strange, &trying->result);
    return 0;
}

/* ---- the branch ---- */

static void add_choice(const json_t *arguments, int32_t taken, struct str *out) {
    if (taken < 0) {
        str_add_text(out, "no condition holds");
    } else if (taken % 2) {
        flag_condition_words(json_array_get(arguments, (size_t)taken - 1), out);
    } else {
        str_add_text(out, "otherwise");
    }
}

void flag_branch_words(const json_t *definition, const struct logic_trace *trace, struct str *out) {
    if (!trace->operation) return;
    const json_t *arguments = json_get(json_get(definition, "targeting"), trace->operation);
    bool choice = !strcmp(trace->operation, "if") || !strcmp(trace->operation, "?:");
    if (choice && json_is_array(arguments))
        add_choice(arguments, trace->argument, out);
    else
        str_printf(out, "argument %d of %s", trace->argument + 1, trace->operation);
}

static int find_branch(struct trying *trying, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    _cleanup_(json_decrefp) json_t *definition = NULL;
    if (!trying->trace.operation) return 0;
    int r = json_parse(trying->flag->definition.ptr, trying->flag->definition.len, JSON_DEPTH_MAX, &definition, err);
    if (r < 0) return r;
    flag_branch_words(definition, &trying->trace, &out);
    trying->branch = out.failed ? NULL : arena_strdup(&trying->cli->arena, out.data);
    return trying->branch ? 0 : err_no_memory(err);
}

/* ---- telling ---- */

static void write_json(const struct trying *trying, struct str *out) {
    const struct flag_variant *variant = flag_result_variant(trying->flag, &trying->result);
    const struct logic_trace *trace = &trying->trace;
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_slice(&jw, "flag", trying->flag->key);
    jw_text(&jw, "environment", args_get(&trying->cli->args, "environment"));
    jw_text(&jw, "reason", flag_reason_name(trying->result.reason));
    if (trying->result.error) jw_text(&jw, "error", flag_error_name(trying->result.error));
    if (*trying->strange) jw_text(&jw, "result", trying->strange);
    if (variant) jw_slice(&jw, "variant", variant->name);
    if (variant) jw_raw(&jw, "value", variant->value);
    if (trace->operation) {
        jw_object(&jw, "taken");
        jw_text(&jw, "operation", trace->operation);
        jw_int(&jw, "argument", trace->argument);
        jw_text(&jw, "words", trying->branch);
        jw_end_object(&jw);
    }
    if (trace->has_bucket) jw_int(&jw, "bucket", trace->bucket);
    if (trace->has_bucket) jw_int(&jw, "of", trace->total);
    jw_end_object(&jw);
    str_add_char(out, '\n');
}

/* What the result means, where that is not said by a value. */
static const char *words_of(const struct trying *trying) {
    switch (trying->result.error) {
    case FLAG_KEY_MISSING:
        return "the rule splits users by their targetingKey, and the context has none";
    case FLAG_PARSE_ERROR:
        return "the rule comes to no end for this context";
    case FLAG_GENERAL:
        return arena_printf(&trying->cli->arena, "the rule gives \"%s\", which is no variant", trying->strange);
    default:
        return trying->result.variant == FLAG_NO_VARIANT ? "none: the caller's own default" : "";
    }
}

static const char *effects_of(const struct trying *trying, struct str *out) {
    const struct flag_variant *variant = flag_result_variant(trying->flag, &trying->result);
    for (uint32_t i = 0; i < trying->flag->binding_count; i++) {
        const struct flag_binding *binding = &trying->flag->bindings[i];
        bool parameter = binding->kind == FLAG_PARAMETER,
             off = flag_takes_away(trying->flag, &trying->result, binding->kind);
        str_printf(out, "%s%s%s: %s %s", i ? "; " : "", slice_equal_text(binding->agent, "*") ? "all agents" : "",
                   slice_equal_text(binding->agent, "*") ? "" : binding->agent.ptr,
                   flag_binding_kind_name(binding->kind), binding->name.ptr);
        str_add_text(out, parameter && variant ? " = " : off ? " is taken away" : " stays");
        if (parameter && variant) str_add_slice(out, variant->value);
    }
    return out->len ? out->data : "";
}

static int write_rows(const struct trying *trying, struct str *out, struct err *err) {
    static const struct layout_column columns[] = {{.title = NULL}, {.title = NULL, .shrinks = true}};
    _cleanup_(str_deinit) struct str bucket = STR_INIT, effects = STR_INIT;
    const struct cli *cli = trying->cli;
    const struct flag_variant *variant = flag_result_variant(trying->flag, &trying->result);
    const char *value = variant ? variant->value.ptr : words_of(trying);
    const struct logic_trace *trace = &trying->trace;
    if (variant) value = arena_strndup(&trying->cli->arena, variant->value.ptr, variant->value.len);
    if (trace->has_bucket) str_printf(&bucket, "%u of %u", trace->bucket, trace->total);
    const char *const rows[ROWS][2] = {{"flag", trying->flag->key.ptr},
                                       {"variant", variant ? variant->name.ptr : ""},
                                       {"value", value},
                                       {"reason", flag_reason_name(trying->result.reason)},
                                       {"branch", trying->branch ? trying->branch : ""},
                                       {"bucket", bucket.len ? bucket.data : ""},
                                       {"does", effects_of(trying, &effects)}};
    struct cell cells[ROWS * 2];
    struct layout layout = {.columns = columns, .column_count = 2, .cells = cells};
    if (!value || bucket.failed || effects.failed) return err_no_memory(err);
    for (size_t i = 0; i < ROWS; i++) {
        if (!*rows[i][1]) continue;
        cells[2 * layout.row_count] = (struct cell){rows[i][0], COLOUR_DIM};
        cells[2 * layout.row_count++ + 1] = (struct cell){rows[i][1], COLOUR_NONE};
    }
    return layout_add(&layout, cli->world->out_is_terminal ? cli->world->width : 0, cli->colour, &trying->cli->arena,
                      out, err);
}

static int tell(const struct trying *trying, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = 0;
    if (trying->cli->json)
        write_json(trying, &out);
    else
        r = write_rows(trying, &out, err);
    return r < 0 ? r : cli_write(trying->cli, &out, err);
}

int run_flag_try(struct cli *cli, struct err *err) {
    struct trying trying = {.cli = cli};
    int r = context_of_args(&cli->args, &trying.context, err);
    if (r == 0) r = fetch(&trying, err);
    if (r == 0) r = evaluate(&trying, err);
    if (r == 0) r = find_branch(&trying, err);
    if (r == 0) r = tell(&trying, err);
    bool failed = trying.result.error != FLAG_NO_ERROR;
    flag_unref(trying.flag);
    json_decref(trying.context);
    answer_deinit(&trying.answer);
    return r < 0 ? r : failed;
}
