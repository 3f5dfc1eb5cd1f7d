/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outcomes on the wire: which form a body has, expanding it, and the answer. What they mean is the intake's.
 *
 * OTLP carries no number by which a repeated request could be told; exporters repeat the same bytes, so the hash of the body stands for it, for an
 * hour (an exporter gives up within minutes).
 */
#include "api/api_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OTLP_DIGITS 32

/* The type without its parameters. */
static bool header_is(struct http_request *request, const char *name, const char *wanted) {
    const char *value = http_header(request, name);
    size_t len = value ? strcspn(value, "; \t") : 0;
    return value && len == strlen(wanted) && !strncasecmp(value, wanted, len);
}

static int find_form(const struct op *op, struct http_request *request, enum outcome_form *ret, struct err *err) {
    bool lines = header_is(request, "Content-Type", "application/x-ndjson");
    *ret = op->id == OP_otlp_traces ? OUTCOME_OTLP : lines ? OUTCOME_NDJSON : OUTCOME_JSON;
    if (lines && *ret == OUTCOME_NDJSON) return 0;
    int r = request_media(request, err);
    if (r < 0 && *ret == OUTCOME_OTLP)
        err_remedy(err, "Set the exporter's protocol to http/json (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json)");
    if (r < 0 && *ret == OUTCOME_JSON)
        err_remedy(err, "Send application/json, or application/x-ndjson with a line each");
    return r;
}

/* The body as it was before it was compressed; `expanded` owns it then. */
static int plain_body(struct api *api, struct http_request *request, struct str *expanded, struct slice *ret,
                      struct err *err) {
    *ret = http_body(request);
    if (!http_header(request, "Content-Encoding") || header_is(request, "Content-Encoding", "identity")) return 0;
    if (!header_is(request, "Content-Encoding", "gzip")) {
        int r = err_set(err, ERR_UNSUPPORTED_MEDIA, "the body must be plain or gzip");
        err_at(err, "Content-Encoding");
        err_remedy(err, "Send Content-Encoding: gzip, or leave it out");
        return r;
    }
    size_t limit = api->options.body_limit ? api->options.body_limit : SIZE_MAX / 4;
    int r = outcome_gunzip(*ret, limit, expanded, err);
    *ret = str_slice(expanded);
    return r;
}

struct sender {
    struct outcome_source *source;
    const struct op *op;
    struct err *err;
};

/* A body of lines may leave instance and batch to the query. */
static int take_argument(void *ctx, const char *name, const char *value) {
    struct sender *sender = ctx;
    bool lines = sender->source->form == OUTCOME_NDJSON;
    if (lines && !strcmp(name, "instance")) {
        sender->source->instance = value;
        return 0;
    }
    if (!lines || strcmp(name, "batch")) return ops_param_unknown(sender->op, PARAM_QUERY, name, sender->err);
    if (text_to_int(value, 1, OUTCOME_BATCH_MAX, &sender->source->batch)) return 0;
    int r = err_set(sender->err, ERR_BAD_REQUEST, "`batch` must be a whole number from 1");
    err_at(sender->err, "batch");
    return r;
}

static int take_query(const struct op *op, struct http_request *request, struct outcome_source *source,
                      struct err *err) {
    struct sender sender = {source, op, err};
    int r = http_query_each(request, take_argument, &sender);
    if (r < 0 || !source->instance == !source->batch) return r;
    const char *missing = source->instance ? "batch" : "instance";
    r = err_set(err, ERR_MISSING_FIELD, "`%s` is missing: both stand in the query or in the first line", missing);
    err_at(err, "%s", missing);
    return r;
}

/* Name and number for a body that brings none. */
static int name_traces(struct outcome_source *source, struct arena *arena, struct err *err) {
    struct sha256 hash;
    char hex[2 * SHA256_SIZE + 1];
    if (sha256_bytes(source->body.ptr, source->body.len, &hash) < 0) return err_no_memory(err);
    hex_encode(hash.bytes, SHA256_SIZE, hex);
    source->instance = arena_printf(arena, "otlp:%.*s", OTLP_DIGITS, hex);
    source->batch = 1;
    return source->instance ? 0 : err_no_memory(err);
}

static bool sees(void *ctx, struct slice environment) {
    return principal_sees(ctx, environment);
}

static void count_faults(struct api *api, const struct outcomes *batch) {
    for (size_t i = 0; i < OUTCOME_FAULT_COUNT_; i++)
        if (batch->fault_counts[i])
            atomic_fetch_add_explicit(&api->outcome_faults[i], batch->fault_counts[i], memory_order_relaxed);
}

static void write_taken(const struct outcomes *batch, const struct intake_answer *taken, bool traces,
                        struct http_response *response) {
    struct str body = STR_INIT;
    struct jw jw = JW_INIT(&body);
    jw_object(&jw, NULL);
    if (traces) jw_object(&jw, "partialSuccess");
    if (traces) jw_end_object(&jw);
    jw_int(&jw, "accepted", (int64_t)taken->result.accepted);
    jw_bool(&jw, "duplicate", taken->duplicate);
    jw_int(&jw, "mismatched", (int64_t)taken->result.mismatched);
    jw_int(&jw, "unknown", (int64_t)taken->result.unknown);
    if (traces) jw_int(&jw, "passed_over", (int64_t)batch->passed_over);
    jw_end_object(&jw);
    answer_json(response, 200, &body);
}

static int take(struct api *api, const struct outcome_source *source, struct outcomes *batch, struct op_call *call,
                struct http_response *response, struct err *err) {
    struct intake_answer taken = {0};
    int r = outcomes_read(source, batch, err);
    if (r == -ERR_INVALID) {
        count_faults(api, batch);
        call->faults = batch->faults;
        call->faults_at = "";
        batch->faults = FAULTS_INIT;
    }
    if (r == 0 && batch->count) r = intake_take(api->options.intake, batch, &taken, err);
    if (r == 0) write_taken(batch, &taken, source->form == OUTCOME_OTLP, response);
    return r;
}

int outcomes_answer(struct api *api, const struct principal *principal, struct http_request *request,
                    struct op_call *call, struct http_response *response, struct err *err) {
    _cleanup_(str_deinit) struct str expanded = STR_INIT;
    struct outcome_source source = {.now = clock_wall(api->options.ops->clock),
                                    .environment = principal_own_environment(principal),
                                    .sees = sees,
                                    .ctx = (void *)(uintptr_t)principal};
    if (!api->options.intake) return err_set(err, ERR_UNAVAILABLE, "this server takes no outcomes");
    int r = find_form(call->op, request, &source.form, err);
    if (r == 0) r = take_query(call->op, request, &source, err);
    if (r == 0) r = plain_body(api, request, &expanded, &source.body, err);
    if (r == 0 && source.form == OUTCOME_OTLP) r = name_traces(&source, http_arena(request), err);
    if (r < 0) return r;
    struct outcomes *batch = calloc(1, sizeof(*batch));
    if (!batch) return err_no_memory(err);
    r = take(api, &source, batch, call, response, err);
    outcomes_deinit(batch);
    free(batch);
    return r;
}
