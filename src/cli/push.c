/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin push`. The program only reads and inlines what the author wrote; whether it is a valid agent is for the server to
 * say. What the server finds comes back with JSON pointers, and the map that was kept while reading turns these into the file,
 * line and column of the author. Of several sources either all are valid or none is pushed: with more than one,
 * each is checked in a dry run first.
 */
#include "base/jw.h"
#include "cli/cli_impl.h"
#include "model/source.h"

#include <string.h>
#include <sys/stat.h>

struct source {
    const char *path;   /* as typed */
    const char *folder; /* where its files lie; put before the names that faults carry */
    const char *agent;
    struct source_document document;
    const char *body; /* of the request */
};

static void sources_free(struct source *sources, size_t count) {
    for (size_t i = 0; i < count; i++)
        source_document_deinit(&sources[i].document);
}

/* ---- telling faults ---- */

/* A file as the author would name it from here. */
static const char *file_name(struct cli *cli, const struct source *source, const char *file) {
    if (!file || !*file) return source->path;
    if (!strcmp(source->folder, ".")) return file;
    const char *separator = source->folder[strlen(source->folder) - 1] == '/' ? "" : "/";
    const char *name = arena_printf(&cli->arena, "%s%s%s", source->folder, separator, file);
    return name ? name : file;
}

static void print_fault(struct cli *cli, const struct source *source, const struct fault *fault) {
    const char *file = NULL;
    unsigned row = 0, column = 0;
    if (!source_map_find(source->document.map, fault->at, &file, &row, &column)) row = column = 0;
    cli_print_fault(cli, file_name(cli, source, file), row, column, fault);
}

/* Faults or warnings as the server tells them: pointers into the request, where the configuration is /config. */
static void print_told(struct cli *cli, const struct source *source, const json_t *list, bool warning) {
    size_t index;
    json_t *told;
    json_array_foreach(list, index, told) {
        const char *at = json_get_text(told, "at"), *detail = json_get_text(told, "detail");
        if (at && !strncmp(at, "/config", 7)) at += 7;
        struct fault fault = {.at = at ? at : "", .message = detail ? detail : "", .warning = warning};
        print_fault(cli, source, &fault);
    }
}

/* ---- reading ---- */

/* The folder that a path's files are read from, and the document's name in it ("" for a whole folder). */
static int split_path(struct cli *cli, struct source *source, const char **ret_name, struct err *err) {
    struct stat st;
    if (stat(source->path, &st) < 0) {
        int r = err_set(err, ERR_FILE, "there is no file or folder %s", source->path);
        err_at(err, "%s", source->path);
        return r;
    }
    size_t len = strlen(source->path);
    while (len > 1 && source->path[len - 1] == '/')
        len--;
    source->path = arena_strndup(&cli->arena, source->path, len);
    if (!source->path) return err_no_memory(err);
    const char *slash = strrchr(source->path, '/');
    *ret_name = S_ISDIR(st.st_mode) ? "" : slash ? slash + 1 : source->path;
    source->folder = source->path;
    if (!S_ISDIR(st.st_mode))
        source->folder = slash ? arena_strndup(&cli->arena, source->path, (size_t)(slash - source->path)) : ".";
    if (slash == source->path && !S_ISDIR(st.st_mode)) source->folder = "/";
    return source->folder ? 0 : err_no_memory(err);
}

static int name_agent(struct cli *cli, struct source *source, struct err *err) {
    const char *given = args_get(&cli->args, "agent");
    source->agent = given ? given : source->document.agent;
    if (*source->agent) return 0;
    int r = err_set(err, ERR_USAGE, "%s does not name an agent", source->path);
    err_at(err, "%s", source->path);
    err_remedy(err, "Name it with --agent NAME");
    return r;
}

/* A text that could not be read is a fault of the source like any other: 1, the place printed. */
static int read_failed(struct cli *cli, const struct source *source, int r, struct err *err) {
    const char *file = *err->at ? file_name(cli, source, err->at) : source->path;
    err_at(err, "%s", file);
    if (!err->line) return r;
    cli_print_fault(cli, file, err->line, err->column, &(struct fault){.at = "", .message = err->message});
    return 1;
}

/* 1 when its faults are printed. */
static int read_document(struct cli *cli, struct source *source, struct err *err) {
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    struct source_reader reader;
    const char *name = "";
    int r = split_path(cli, source, &name, err);
    if (r == 0) r = source_folder_open(source->folder, &reader, err);
    if (r < 0) return r;
    r = source_read(&reader, name, &faults, &source->document, err);
    source_folder_close(&reader);
    if (r < 0) return read_failed(cli, source, r, err);
    if (!json_is_object(source->document.config)) faults_add(&faults, "", "a configuration is an object, key: value");
    for (size_t i = 0; i < faults.count; i++)
        print_fault(cli, source, &faults.items[i]);
    return faults.errors ? 1 : 0;
}

/* ---- sending ---- */

static int add_config(struct cli *cli, const struct source *source, struct str *out, struct err *err) {
    int r = json_canonical(source->document.config, out, err);
    if (r != -ERR_INVALID) return r;
    print_fault(cli, source, &(struct fault){.at = err->at, .message = err->message});
    return 1;
}

static int make_body(struct cli *cli, struct source *source, struct err *err) {
    _cleanup_(str_deinit) struct str config = STR_INIT;
    _cleanup_(str_deinit) struct str body = STR_INIT;
    const char *description = args_get(&cli->args, "change_description");
    const char *expected = args_get(&cli->args, "expected_latest");
    struct jw jw = JW_INIT(&body);
    int r = add_config(cli, source, &config, err);
    if (r) return r;
    jw_object(&jw, NULL);
    jw_raw(&jw, "config", str_slice(&config));
    if (description) jw_text(&jw, "change_description", description);
    if (expected) jw_raw(&jw, "expected_latest", slice_of(expected));
    jw_object(&jw, "source");
    jw_text(&jw, "kind", "cli");
    jw_text(&jw, "path", source->path);
    jw_end_object(&jw);
    jw_end_object(&jw);
    source->body = body.failed || config.failed ? NULL : arena_strdup(&cli->arena, body.data);
    return source->body ? 0 : err_no_memory(err);
}

static const char *push_path(struct cli *cli, const struct source *source, bool dry) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    str_add_text(&path, "/v1/agents/");
    url_add(&path, source->agent);
    str_add_text(&path, "/versions");
    if (dry) str_add_text(&path, "?dry_run=true");
    return path.failed ? NULL : arena_strdup(&cli->arena, path.data);
}

/* 1 when the server refused it and the faults are printed. */
static int send_source(struct cli *cli, const struct source *source, bool dry, struct answer *answer, struct err *err) {
    struct call call = {.op = op_get(OP_version_push), .body = source->body};
    call.path = push_path(cli, source, dry);
    if (!call.path) return err_no_memory(err);
    int r = call_send(cli, &call, answer, err);
    const json_t *errors = json_get(answer->json, "errors");
    if (r == 0 || json_array_size(errors) == 0) return r;
    print_told(cli, source, errors, false);
    return 1;
}

static int push_one(struct cli *cli, const struct source *source, bool dry, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    int r = send_source(cli, source, dry, &answer, err);
    if (r) return r;
    print_told(cli, source, json_get(answer.json, "warnings"), true);
    return view_print(cli, &answer, err);
}

/* Whether the server would take it; warnings wait for the push itself. */
static int check_one(struct cli *cli, const struct source *source, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    return send_source(cli, source, true, &answer, err);
}

/* Runs a step for every source, so that the faults of all are told; ends at the first error that is no fault of a source. */
static int for_each(struct cli *cli, struct source *sources, size_t count,
                    int (*step)(struct cli *cli, struct source *source, struct err *err), struct err *err) {
    int outcome = 0;
    for (size_t i = 0; i < count; i++) {
        int r = step(cli, &sources[i], err);
        if (r < 0) return r;
        if (r > 0) outcome = r;
    }
    return outcome;
}

static int step_read(struct cli *cli, struct source *source, struct err *err) {
    int r = read_document(cli, source, err);
    if (r == 0) r = name_agent(cli, source, err);
    return r ? r : make_body(cli, source, err);
}

static int step_check(struct cli *cli, struct source *source, struct err *err) {
    return check_one(cli, source, err);
}

static int step_push(struct cli *cli, struct source *source, struct err *err) {
    return push_one(cli, source, args_on(&cli->args, "dry_run"), err);
}

static int check_usage(const struct args *args, size_t count, struct err *err) {
    static const char *const single[] = {"agent", "expected_latest", "idempotency_key"};
    static const char *const flags[] = {"--agent", "--expected", "--idempotency-key"};
    for (size_t i = 0; count > 1 && i < ARRAY_LEN(single); i++) {
        if (!args_get(args, single[i])) continue;
        int r = err_set(err, ERR_USAGE, "%s goes with one PATH only", flags[i]);
        err_at(err, "%s", flags[i]);
        return r;
    }
    return 0;
}

static int push_all(struct cli *cli, struct source *sources, size_t count, struct err *err) {
    int r = for_each(cli, sources, count, step_read, err);
    bool check_first = count > 1 && !args_on(&cli->args, "dry_run");
    if (r == 0 && check_first) r = for_each(cli, sources, count, step_check, err);
    return r ? r : for_each(cli, sources, count, step_push, err);
}

int run_push(struct cli *cli, struct err *err) {
    size_t count = 0, index = 0;
    struct source *sources = arena_array(&cli->arena, cli->args.count, sizeof(*sources));
    if (!sources) return err_no_memory(err);
    for (const char *path; (path = args_next(&cli->args, "source", &index));)
        sources[count++].path = path;
    int r = check_usage(&cli->args, count, err);
    if (r == 0) r = push_all(cli, sources, count, err);
    sources_free(sources, count);
    return r;
}
