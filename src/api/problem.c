/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: JSON, and errors in the form of RFC 9457. */
#include "api/api_impl.h"

#include <stdio.h>

static void write_faults_of(struct jw *jw, const struct faults *faults, const char *at) {
    jw_array(jw, "errors");
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->items[i].warning) continue;
        jw_object(jw, NULL);
        jw_printf(jw, "at", "%s%s", at, faults->items[i].at);
        jw_text(jw, "detail", faults->items[i].message);
        if (faults->items[i].code) jw_text(jw, "code", faults->items[i].code);
        if (faults->items[i].remedy) jw_text(jw, "remedy", faults->items[i].remedy);
        if (faults->items[i].line) jw_int(jw, "line", faults->items[i].line);
        jw_end_object(jw);
    }
    jw_end_array(jw);
}

static void write_problem(struct jw *jw, const struct err *err, const struct op_call *call) {
    jw_object(jw, NULL);
    jw_printf(jw, "type", "urn:serin:error:%s", err_name(err->code));
    jw_text(jw, "title", err_title(err->code));
    jw_int(jw, "status", err_status(err->code));
    jw_text(jw, "detail", err->message);
    jw_text(jw, "code", err_name(err->code));
    jw_text(jw, "at", err->at);
    jw_text(jw, "remedy", err_remedy_text(err));
    if (err->line) jw_int(jw, "line", err->line);
    if (err->column) jw_int(jw, "column", err->column);
    if (call && call->faults.errors) write_faults_of(jw, &call->faults, call->faults_at);
    if (call && call->current >= 0) jw_int(jw, "current", call->current);
    jw_end_object(jw);
}

void problem_answer(const struct err *err, const struct op_call *call, struct http_response *response) {
    str_clear(&response->body);
    struct jw jw = JW_INIT(&response->body);
    write_problem(&jw, err, call);
    str_add_char(&response->body, '\n');
    response->status = err_status(err->code);
    response->content_type = "application/problem+json";
    response->header_count = 0;
    if (err->code == ERR_UNAUTHENTICATED) http_response_header(response, "WWW-Authenticate", "Bearer");
    if (response->status == 503 || response->status == 429) http_response_header(response, "Retry-After", "1");
}

void answer_json(struct http_response *response, int status, struct str *body) {
    response->status = status;
    response->content_type = "application/json";
    str_deinit(&response->body);
    response->body = *body;
    *body = STR_INIT;
}

void answer_position(struct http_request *request, struct http_response *response, struct position position) {
    char *text = arena_alloc(http_arena(request), POSITION_TEXT_SIZE);
    if (!text) return;
    position_text(position, text);
    http_response_header(response, "Serin-Position", text);
}

void count_in(_Atomic uint64_t classes[STATUS_CLASSES], int status) {
    atomic_fetch_add_explicit(&classes[status / 100 % STATUS_CLASSES], 1, memory_order_relaxed);
}

void count_answer(struct api *api, const struct op *op, int status) {
    count_in(api->answers[op->id], status);
}
