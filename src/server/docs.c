/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference that comes from tables: operations, errors, log events, settings, metrics, OpenAPI. Written at build time
 * by the binary itself, so that they cannot say anything else than the program does.
 */
#include "api/api.h"
#include "config/config.h"
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
        "The exact document is served at `/openapi.json`.\n");
    for (enum op_id id = 0; id < OP_COUNT_; id++) {
        const struct op *op = op_get(id);
        fprintf(out, "\n## %s\n\n`%s /v1%s` · role `%s`%s\n\n%s\n", op->summary, op_method_name(op->method), op->path,
                role_name(op->role), op->scope == OP_ALL_ENVIRONMENTS ? " · a key for all environments" : "",
                op->description);
        write_params(out, op);
        fprintf(out, "\nAnswers `%d` with [%s](#%s).\n", op->status, op->answer, op->answer);
    }
}

static const char *field_type(const struct answer_field *field, char ret[64]) {
    static const char *const names[] = {"text", "whole number", "true or false", "time (RFC 3339)",
                                        "hash", "object",       "list of text"};
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
                 "| event | level | meaning |\n|---|---|---|\n");
    for (int event = 0; event < LOG_EVENT_COUNT_; event++)
        fprintf(out, "| `%s` | %s | %s |\n", log_event_name((enum log_event)event),
                levels[log_event_level((enum log_event)event)], log_event_meaning((enum log_event)event));
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

static void write_metrics_page(FILE *out) {
    fprintf(
        out,
        "# Metrics\n\n`GET /metrics`, in the Prometheus text format.\n\n| metric | type | meaning |\n|---|---|---|\n");
#define METRIC(name, type, help, value) fprintf(out, "| `%s` | %s | %s |\n", name, type, help);
#define LIMIT(setting, limit, refused, help)                                                                           \
    fprintf(out, "| `serin_limit_refused_total{name=\"%s\"}` | counter | %s |\n", setting, help);
#include "api/metrics.def"
#undef LIMIT
#undef METRIC
    fprintf(out, "| `serin_limit{name}` | gauge | Limits in force, named as their settings; 0 = none |\n");
    fprintf(out, "| `serin_answers_total{operation,status}` | counter | Answers by operation and class of status |\n");
    fprintf(out, "| `serin_build_info{version}` | gauge | The running version |\n");
}

static void write_openapi(FILE *out) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    api_openapi(&text);
    if (!text.failed) fwrite(text.data, 1, text.len, out);
}

static int write_page(const char *folder, const char *name, page_fn page) {
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = len > 0 && (size_t)len < sizeof(path) ? fopen(path, "we") : NULL;
    if (out) page(out);
    bool failed = !out || ferror(out);
    if (out && fclose(out)) failed = true;
    if (failed) fprintf(stderr, "serin: %s/%s cannot be written\n", folder, name);
    return failed;
}

int docs_main(int argc, char **argv) {
    static const struct {
        const char *name;
        page_fn page;
    } pages[] = {
        {"operations.md", write_operations_page}, {"errors.md", write_errors_page},   {"log.md", write_log_page},
        {"settings.md", write_settings_page},     {"metrics.md", write_metrics_page}, {"openapi.json", write_openapi},
    };
    if (argc != 1) {
        fprintf(stderr, "serin: docs needs a folder\n");
        return 2;
    }
    int failed = 0;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        failed |= write_page(argv[0], pages[i].name, pages[i].page);
    return failed;
}
