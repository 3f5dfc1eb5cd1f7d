/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference that comes from tables: operations, errors, log events, settings, metrics, OpenAPI. Written by the binary itself, at
 * build time and for whoever has nothing but the binary, so that it cannot say anything else than the program does.
 */
#include "api/api.h"
#include "cli/cli.h"
#include "config/config.h"
#include "controller/decide.h"
#include "model/rollout.h"
#include "ops/table.h"
#include "server/serve.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

typedef void (*page_fn)(FILE *out);

static void write_params(FILE *out, const struct op *op) {
    static const char *const places[] = {"path", "query", "body"};
    size_t count;
    const struct op_param *params = op_params(op, &count);
    if (count) fprintf(out, "\n| parameter | in | type | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++)
        fprintf(out, "| `%s`%s | %s | %s | %s |\n", params[i].name, params[i].required ? "" : " (optional)",
                places[params[i].where], param_type_name(params[i].type), params[i].doc);
}

static void write_operations(FILE *out) {
    fprintf(
        out,
        "# Operations\n\nAll stand under `/v1`. Every change takes `?dry_run=true` and the header `Idempotency-Key`.\n"
        "The exact document is served at `/openapi.json`; it also has `/ofrep/v1`, where OpenFeature's providers "
        "ask.\n");
    for (enum op_id id = 0; id < OP_COUNT_; id++) {
        const struct op *op = op_get(id);
        if (op->scope == OP_ROBOT) continue;
        fprintf(out, "\n## %s\n\n`%s /v1%s` · role `%s`%s\n\n%s\n", op->summary, op_method_name(op->method), op->path,
                role_name(op->role), op->scope == OP_ALL_ENVIRONMENTS ? " · a key for all environments" : "",
                op->description);
        write_params(out, op);
        fprintf(out, "\nAnswers `%d` with [%s](#%s).\n", op->status, op->answer, op->answer);
    }
}

static const char *field_type(const struct answer_field *field, char ret[64]) {
    static const char *const names[] = {"text",   "whole number", "number", "true or false", "time (RFC 3339)", "hash",
                                        "object", "list of text", "any"};
    if (field->type == FIELD_REF) snprintf(ret, 64, "[%s](#%s)", field->of, field->of);
    if (field->type == FIELD_LIST) snprintf(ret, 64, "list of [%s](#%s)", field->of, field->of);
    return field->type < ARRAY_LEN(names) ? names[field->type] : ret;
}

static void write_answers(FILE *out) {
    size_t schema_count, count;
    const struct answer_schema *schemas = answer_schemas(&schema_count);
    const struct answer_field *fields = answer_fields(&count);
    char type[64];
    fprintf(out, "\n# Answers\n");
    for (size_t i = 0; i < schema_count; i++) {
        fprintf(out, "\n## %s\n\n%s.\n\n| member | type | |\n|---|---|---|\n", schemas[i].name, schemas[i].doc);
        for (size_t j = 0; j < count; j++)
            if (!strcmp(fields[j].schema, schemas[i].name))
                fprintf(out, "| `%s`%s | %s | %s |\n", fields[j].name, fields[j].required ? "" : " (optional)",
                        field_type(&fields[j], type), fields[j].doc);
    }
}

static void write_operations_page(FILE *out) {
    write_operations(out);
    write_answers(out);
}

static void write_errors_page(FILE *out) {
    fprintf(out, "# Errors\n\nThe same code stands in the HTTP answer (`code`), on the command line and in the log.\n\n"
                 "| code | status | meaning | what to do |\n|---|---|---|---|\n");
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT_; code++)
        fprintf(out, "| `%s` | %d | %s | %s |\n", err_name((enum err_code)code), err_status((enum err_code)code),
                err_title((enum err_code)code), err_advice((enum err_code)code));
}

static void write_log_page(FILE *out) {
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    fprintf(out, "# Log events\n\nOne line an event on standard error; as JSON the code is the member `event`.\n\n"
                 "| event | level | meaning | what to do |\n|---|---|---|---|\n");
    for (int event = 0; event < LOG_EVENT_COUNT_; event++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", log_event_name((enum log_event)event),
                levels[log_event_level((enum log_event)event)], log_event_meaning((enum log_event)event),
                log_event_advice((enum log_event)event));
}

static void write_settings_page(FILE *out) {
    fprintf(out, "# Settings\n\nFrom a file (`--settings FILE`), the environment (`SERIN_<SETTING>`) or flags; later "
                 "ones win.\n\n"
                 "| setting | default | | |\n|---|---|---|---|\n");
    for (enum setting_id id = 0; id < SETTING_COUNT_; id++) {
        const struct setting *setting = setting_get(id);
        char flag[SETTING_NAME_SIZE];
        setting_flag(setting, flag);
        fprintf(out, "| `%s`, `%s` | `%s` | %s | %s |\n", setting->name, flag, setting->preset, setting->doc,
                setting->reload ? "SIGHUP puts it in force" : "");
    }
}

#define METRIC(name, type, help, advice, value)                                                                        \
    _Static_assert(sizeof(help) > 1 && sizeof(advice) > 1, name " says what it means and what to do");
#define LIMIT(setting, limit, refused, help, advice) METRIC(setting, , help, advice, )
#define FAMILY(id, name, type, labels, help, advice) METRIC(name, , help, advice, )
#define NAMED FAMILY
#include "api/metrics.def"

struct metric_row {
    const char *name, *type, *help, *advice;
    bool named;
};

static const struct metric_row metric_rows[] = {
#define METRIC(name, type, help, advice, value) {name, type, help, advice, false},
#define LIMIT(setting, limit, refused, help, advice)                                                                   \
    {"serin_limit_refused_total{name=\"" setting "\"}", "counter", help, advice, false},
#define FAMILY(id, name, type, labels, help, advice) {name "{" labels "}", type, help, advice, false},
#define NAMED(id, name, type, labels, help, advice) {name "{" labels "}", type, help, advice, true},
#include "api/metrics.def"
};

static void write_metric_rows(FILE *out, bool named) {
    fprintf(out, "| metric | type | meaning | when it looks strange |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(metric_rows); i++) {
        const struct metric_row *row = &metric_rows[i];
        if (row->named == named)
            fprintf(out, "| `%s` | %s | %s | %s |\n", row->name, row->type, row->help, row->advice);
    }
}

static void write_metrics_page(FILE *out) {
    fprintf(out, "# Metrics\n\n`GET /metrics`, in the Prometheus text format. Without a key:\n\n");
    write_metric_rows(out, false);
    fprintf(out, "\nBesides, with a key of the role viewer or above, for the environments that it sees:\n\n");
    write_metric_rows(out, true);
}

static void write_reasons(FILE *out) {
    fprintf(out, "\n## Why the controller moves a rollout, or does not\n\n"
                 "| reason | action | meaning | what to do |\n|---|---|---|---|\n");
    for (enum rollout_reason reason = REASON_ENDED; reason < REASON_COUNT_; reason++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", rollout_reason_name(reason),
                rollout_action_name(rollout_reason_action(reason)), rollout_reason_meaning(reason),
                rollout_reason_remedy(reason));
}

/* The diagrams of what has states, from the tables that its moves are held to. */
static void write_states_page(FILE *out) {
    _cleanup_(str_deinit) struct str diagram = STR_INIT;
    sm_diagram(&rollout_sm, &diagram);
    fprintf(out,
            "# States\n\n## %s\n\n```mermaid\n%s```\n\nWhile running it also goes from step to step (advance). An "
            "ended one stays ended; a new one of the same candidate has the same users.\n",
            "A rollout", diagram.failed ? "" : diagram.data);
    write_reasons(out);
}

static void write_openapi(FILE *out) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    api_openapi(&text);
    if (!text.failed) fwrite(text.data, 1, text.len, out);
}

static const struct reference_page {
    const char *name, *file;
    page_fn write;
} pages[] = {
    {"operations", "operations.md", write_operations_page},
    {"errors", "errors.md", write_errors_page},
    {"log", "log.md", write_log_page},
    {"settings", "settings.md", write_settings_page},
    {"metrics", "metrics.md", write_metrics_page},
    {"states", "states.md", write_states_page},
    {"openapi", "openapi.json", write_openapi},
};

enum { PAGE, FOLDER };
static const struct cli_option items[] = {
    [PAGE] = {NULL, "PAGE", "operations, errors, log, settings, metrics, states or openapi", false, false},
    [FOLDER] = {"--folder", "FOLDER", "Write all pages into the folder", false, true},
};
const struct cli_options docs_options = {"docs", items, ARRAY_LEN(items)};

static int print_page(const char *name, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (strcmp(pages[i].name, name) != 0) continue;
        pages[i].write(stdout);
        return fflush(stdout) || ferror(stdout) ? err_set(err, ERR_FILE, "the page cannot be written") : 0;
    }
    int r = err_set(err, ERR_USAGE, "there is no such page");
    err_at(err, "%s", name);
    err_remedy(err, "Name one of these: %s", items[PAGE].doc);
    return r;
}

static int write_page(const struct reference_page *page, const char *folder, struct err *err) {
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, page->file);
    FILE *out = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "we") : NULL;
    if (out) page->write(out);
    bool failed = !out || ferror(out);
    if (out && fclose(out)) failed = true;
    if (!failed) return 0;
    int r = err_set(err, ERR_FILE, "the page cannot be written");
    err_at(err, "%s/%s", folder, page->file);
    return r;
}

static int write_pages(const char *folder, struct err *err) {
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(pages) && r == 0; i++)
        r = write_page(&pages[i], folder, err);
    return r;
}

static int run(int argc, char **argv, struct err *err) {
    const char *values[ARRAY_LEN(items)];
    int r = cli_options_take(&docs_options, &argc, argv, values, err);
    if (r < 0) return r;
    if (argc > 0) return err_set(err, ERR_USAGE, "`serin docs` takes no setting");
    if (!values[PAGE] == !values[FOLDER]) {
        r = err_set(err, ERR_USAGE, "name a page, or a folder with --folder");
        err_remedy(err, "serin help docs");
        return r;
    }
    return values[FOLDER] ? write_pages(values[FOLDER], err) : print_page(values[PAGE], err);
}

int docs_main(int argc, char **argv) {
    struct err err = ERR_INIT;
    int r = run(argc, argv, &err);
    if (r == 0) return 0;
    cli_report(&err);
    return err.code == ERR_USAGE ? 2 : 1;
}
