/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin flag set`, and what it has in common with `serin flag preview`: a flag from a file, or in short (--on, --off, --percent, --value), and its bindings. Whether it is in order, the server
 * says; its places become those of the file.
 */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

/* ---- the definition ---- */

static int count_forms(const struct args *args) {
    static const char *const forms[] = {"file", "on", "off", "percent", "value"};
    int count = 0;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        count += args_get(args, forms[i]) != NULL;
    return count;
}

/* By the flag's key and the users' targeting keys. */
static int describe_split(const char *percent, json_t **ret, struct err *err) {
    int64_t on;
    if (!text_to_int(percent, 0, 100, &on)) {
        int r = err_set(err, ERR_USAGE, "--percent takes 0 to 100");
        err_at(err, "--percent");
        return r;
    }
    *ret = json_pack("{s:s, s:{s:b, s:b}, s:s, s:{s:[[s, I], [s, I]]}}", "state", "ENABLED", "variants", "on", 1, "off",
                     0, "defaultVariant", "off", "targeting", "fractional", "on", (json_int_t)on, "off",
                     (json_int_t)(100 - on));
    return *ret ? 0 : err_no_memory(err);
}

static int describe_shortly(struct cli *cli, json_t **ret, struct err *err) {
    const char *value = args_get(&cli->args, "value"), *percent = args_get(&cli->args, "percent");
    json_t *parsed = NULL;
    if (percent) return describe_split(percent, ret, err);
    if (value) {
        int r = json_parse(value, strlen(value), JSON_DEPTH_MAX, &parsed, err);
        if (r < 0) return r;
        *ret = json_pack("{s:s, s:{s:o}, s:s}", "state", "ENABLED", "variants", "value", parsed, "defaultVariant",
                         "value");
    } else {
        const char *name = args_on(&cli->args, "on") ? "on" : "off";
        *ret = json_pack("{s:s, s:{s:b, s:b}, s:s}", "state", "ENABLED", "variants", "on", 1, "off", 0,
                         "defaultVariant", name);
    }
    return *ret ? 0 : err_no_memory(err);
}

static int read_definition(struct cli *cli, struct flag_wish *wish, struct err *err) {
    const char *path = args_get(&cli->args, "file");
    if (count_forms(&cli->args) != 1) {
        int r = err_set(err, ERR_USAGE, "say what the flag is by one of FILE, --on, --off, --percent and --value");
        err_remedy(err, "serin %s --help", cli->args.command->words);
        return r;
    }
    if (!path) return describe_shortly(cli, &wish->definition, err);
    int r = document_file_read(cli, path, &wish->file, err);
    if (r == 0) wish->definition = json_incref(wish->file.document.config);
    if (r == 0 && !json_is_object(wish->definition)) {
        document_fault_print(cli, &wish->file,
                             &(struct fault){.at = "", .message = "a flag is an object: {state, variants, …}"});
        return 1;
    }
    return r;
}

/* ---- bindings ---- */

static int wrong_binding(const char *text, struct err *err) {
    int r = err_set(err, ERR_USAGE, "--bind takes AGENT:tool=NAME, AGENT:guardrail=NAME or AGENT:parameter=NAME");
    err_at(err, "%s", text);
    err_remedy(err, "Write support:tool=issue_refund, or '*:guardrail=pii' for all agents");
    return r;
}

/* AGENT:KIND=NAME */
static int add_binding(const char *text, json_t *list, struct err *err) {
    static const char *const kinds[] = {"tool", "guardrail", "parameter"};
    const char *colon = strchr(text, ':'), *equals = colon ? strchr(colon, '=') : NULL;
    if (!equals || colon == text || !equals[1]) return wrong_binding(text, err);
    struct slice kind = {colon + 1, (size_t)(equals - colon - 1)};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!slice_equal_text(kind, kinds[i])) continue;
        json_t *binding = json_pack("{s:s%, s:s}", "agent", text, (size_t)(colon - text), kinds[i], equals + 1);
        return binding && json_array_append_new(list, binding) == 0 ? 0 : err_no_memory(err);
    }
    return wrong_binding(text, err);
}

static int read_bindings(struct cli *cli, struct flag_wish *wish, struct err *err) {
    bool some = args_get(&cli->args, "bind") != NULL, none = args_on(&cli->args, "no_bind");
    size_t index = 0;
    int r = 0;
    if (some && none) {
        r = err_set(err, ERR_USAGE, "--bind and --no-bind exclude each other");
        err_at(err, "--no-bind");
        return r;
    }
    if (!some && !none) return 0;
    wish->bindings = json_array();
    if (!wish->bindings) return err_no_memory(err);
    for (const char *text; r == 0 && (text = args_next(&cli->args, "bind", &index));)
        r = add_binding(text, wish->bindings, err);
    return r;
}

int flag_wish_read(struct cli *cli, struct flag_wish *ret, struct err *err) {
    *ret = (struct flag_wish){0};
    int r = read_bindings(cli, ret, err);
    return r ? r : read_definition(cli, ret, err);
}

void flag_wish_deinit(struct flag_wish *wish) {
    json_decref(wish->definition);
    json_decref(wish->bindings);
    document_file_deinit(&wish->file);
}

/* ---- telling faults ---- */

/* The definition's own places are those of the file; everything else stands by its pointer. */
static void print_fault(const struct cli *cli, const struct flag_wish *wish, struct fault fault) {
    static const struct document_file none = {0};
    size_t len = strlen("/definition");
    bool own = !strncmp(fault.at, "/definition", len) && wish->file.path;
    if (own) fault.at += len;
    document_fault_print(cli, own ? &wish->file : &none, &fault);
}

void flag_wish_faults(const struct cli *cli, const struct flag_wish *wish, const struct faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        print_fault(cli, wish, faults->items[i]);
}

void flag_wish_told(const struct cli *cli, const struct flag_wish *wish, const json_t *list, bool warning) {
    size_t index;
    json_t *told;
    json_array_foreach(list, index, told) {
        const char *at = json_get_text(told, "at"), *detail = json_get_text(told, "detail");
        struct fault fault = {.at = at ? at : "", .message = detail ? detail : "", .warning = warning};
        print_fault(cli, wish, fault);
    }
}

/* ---- setting ---- */

/* The other members are there already. */
static const char *add_wish(struct cli *cli, const char *body, const struct flag_wish *wish) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    str_add(&out, body, strlen(body) - 1);
    str_add_text(&out, ",\"definition\":");
    if (json_compact(wish->definition, &out) < 0) out.failed = true;
    if (wish->bindings) str_add_text(&out, ",\"bindings\":");
    if (wish->bindings && json_compact(wish->bindings, &out) < 0) out.failed = true;
    str_add_char(&out, '}');
    return out.failed ? NULL : arena_strdup(&cli->arena, out.data);
}

static int send_wish(struct cli *cli, const struct flag_wish *wish, struct answer *ret, struct err *err) {
    struct call call;
    int r = call_build(cli, op_get(OP_flag_put), &call, err);
    if (r < 0) return r;
    call.body = add_wish(cli, call.body, wish);
    if (!call.body) return err_no_memory(err);
    r = call_send(cli, &call, ret, err);
    const json_t *errors = json_get(ret->json, "errors");
    if (r == 0 || !json_array_size(errors)) return r;
    flag_wish_told(cli, wish, errors, false);
    return 1;
}

int run_flag_set(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct flag_wish wish;
    int r = flag_wish_read(cli, &wish, err);
    if (r == 0) r = send_wish(cli, &wish, &answer, err);
    if (r == 0) flag_wish_told(cli, &wish, json_get(answer.json, "warnings"), true);
    if (r == 0) r = view_print(cli, &answer, err);
    flag_wish_deinit(&wish);
    return r ? r : wait_confirmed(cli, &answer, err);
}

/* The definition below its fields, as `serin flag set` takes it again. */
int run_flag_get(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    _cleanup_(str_deinit) struct str title = STR_INIT;
    int r = call_op(cli, op_get(OP_flag_get), &answer, err);
    if (r == 0) r = view_print(cli, &answer, err);
    if (r < 0 || cli->json) return r;
    str_add_text(&title, "\nDefinition:\n");
    r = cli_write(cli, &title, err);
    return r < 0 ? r : view_print_json(cli, json_get(answer.json, "definition"), err);
}
