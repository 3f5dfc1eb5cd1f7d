/* SPDX-License-Identifier: Apache-2.0 */
/* `serin flag import` and `serin flag export`: all flags of an environment as a document of flagd's, with the bindings in a file beside it. */
#include "base/jw.h"
#include "cli/cli_impl.h"

#include <string.h>

#define NAMED_MAX 10 /* keys that a sentence names */

int flag_of_document(const json_t *answer, const char *key, struct flag **ret, struct err *err) {
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    const json_t *document = json_get(answer, "document");
    struct flag_source source = {.key = key,
                                 .definition = json_get(json_get(document, "flags"), key),
                                 .bindings = json_get(json_get(answer, "bindings"), key),
                                 .at = "",
                                 .bindings_at = "/bindings",
                                 .evaluators = json_get(document, "$evaluators"),
                                 .metadata = json_get(document, "metadata")};
    *ret = NULL;
    if (!source.definition) return 0;
    int r = flag_new(&source, ret, &faults, err);
    if (r == -ERR_INVALID) err_prefix(err, "this program cannot read the flag %s: ", key);
    return r;
}

/* ---- import ---- */

struct import {
    struct cli *cli;
    struct document_file document, bindings; /* bindings without a path: none */
};

static int read_files(struct import *import, struct err *err) {
    struct cli *cli = import->cli;
    const char *bindings = args_get(&cli->args, "bindings_file");
    int r = document_file_read(cli, args_get(&cli->args, "file"), &import->document, err);
    if (r == 0 && bindings) r = document_file_read(cli, bindings, &import->bindings, err);
    return r;
}

static const char *add_files(struct import *import, const char *body) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    const json_t *bindings = import->bindings.document.config;
    str_add(&out, body, strlen(body) - 1);
    str_add_text(&out, ",\"document\":");
    if (json_compact(import->document.document.config, &out) < 0) out.failed = true;
    if (bindings) str_add_text(&out, ",\"bindings\":");
    if (bindings && json_compact(bindings, &out) < 0) out.failed = true;
    str_add_char(&out, '}');
    return out.failed ? NULL : arena_strdup(&import->cli->arena, out.data);
}

/* The pointer inside of one of the two files. */
static bool in_file(const struct document_file *file, const char *name, struct fault *fault) {
    size_t len = strlen(name);
    if (!file->path || strncmp(fault->at, name, len) != 0 || (fault->at[len] && fault->at[len] != '/')) return false;
    fault->at += len;
    return true;
}

static void print_told(const struct import *import, const json_t *list, bool warning) {
    static const struct document_file none = {0};
    size_t index;
    json_t *told;
    json_array_foreach(list, index, told) {
        const char *at = json_get_text(told, "at"), *detail = json_get_text(told, "detail");
        struct fault fault = {.at = at ? at : "", .message = detail ? detail : "", .warning = warning};
        const struct document_file *file = in_file(&import->document, "/document", &fault)   ? &import->document
                                           : in_file(&import->bindings, "/bindings", &fault) ? &import->bindings
                                                                                             : &none;
        document_fault_print(import->cli, file, &fault);
    }
}

static int send(struct import *import, struct answer *ret, struct err *err) {
    struct call call;
    int r = call_build(import->cli, op_get(OP_flag_document_put), &call, err);
    if (r < 0) return r;
    call.body = add_files(import, call.body);
    if (!call.body) return err_no_memory(err);
    r = call_send(import->cli, &call, ret, err);
    const json_t *errors = json_get(ret->json, "errors");
    if (r == 0 || !json_array_size(errors)) return r;
    print_told(import, errors, false);
    return 1;
}

static void add_keys(const json_t *keys, const char *what, struct str *out) {
    size_t count = json_array_size(keys);
    str_printf(out, "%zu %s", count, what);
    for (size_t i = 0; i < count && i < NAMED_MAX; i++)
        str_printf(out, "%s%s", i ? ", " : " (", json_string_value(json_array_get(keys, i)));
    if (count) str_add_text(out, count > NAMED_MAX ? ", …)" : ")");
}

static int tell(const struct import *import, const struct answer *answer, struct err *err) {
    _cleanup_(str_deinit) struct str line = STR_INIT, out = STR_INIT;
    const json_t *json = answer->json;
    if (import->cli->json) return view_print_raw(import->cli, str_slice(&answer->body), err);
    if (json_is_true(json_get(json, "dry_run"))) str_add_text(&line, "Dry run, nothing was written: ");
    add_keys(json_get(json, "set"), "set", &line);
    str_add_text(&line, ", ");
    add_keys(json_get(json, "removed"), "removed", &line);
    str_printf(&line, ", %lld as they were\n", (long long)json_integer_value(json_get(json, "unchanged")));
    text_add_safe(&out, line.data ? line.data : "", line.len, true);
    out.failed |= line.failed;
    return cli_write(import->cli, &out, err);
}

int run_flag_import(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    struct import import = {.cli = cli};
    int r = read_files(&import, err);
    if (r == 0) r = send(&import, &answer, err);
    if (r == 0) print_told(&import, json_get(answer.json, "warnings"), true);
    if (r == 0) r = tell(&import, &answer, err);
    document_file_deinit(&import.document);
    document_file_deinit(&import.bindings);
    return r;
}

/* ---- export ---- */

static int write_file(const char *path, const json_t *value, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (!value) return err_set(err, ERR_INTERNAL, "the answer has no bindings");
    if (json_pretty(value, 2, false, &text) < 0) return err_no_memory(err);
    str_add_char(&text, '\n');
    if (text.failed) return err_no_memory(err);
    FILE *file = fopen(path, "we");
    bool written = file && fwrite(text.data, 1, text.len, file) == text.len;
    if (file && fclose(file) != 0) written = false;
    if (written) return 0;
    int r = err_set(err, ERR_FILE, "%s cannot be written", path);
    err_at(err, "--bindings");
    return r;
}

int run_flag_export(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    const char *path = args_get(&cli->args, "bindings_file");
    int r = call_op(cli, op_get(OP_flag_document_get), &answer, err);
    if (r == 0 && path) r = write_file(path, json_get(answer.json, "bindings"), err);
    if (r < 0) return r;
    if (cli->json) return view_print_raw(cli, str_slice(&answer.body), err);
    if (!path && json_object_size(json_get(answer.json, "bindings")))
        cli_note(cli, "some of these flags are bound to agents: --bindings FILE writes that, too");
    return view_print_json(cli, json_get(answer.json, "document"), err);
}
