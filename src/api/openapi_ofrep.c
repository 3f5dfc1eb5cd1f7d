/* SPDX-License-Identifier: Apache-2.0 */
/* OpenFeature's remote evaluation in the OpenAPI document. Its form is the protocol's, so it does not stand in the table of operations. */
#include "api/openapi_impl.h"

#define JSON "application/json"
#define PROBLEM "application/problem+json"

static void write_parameter(struct jw *jw, const char *name, const char *in, bool required, const char *doc) {
    jw_object(jw, NULL);
    jw_text(jw, "name", name);
    jw_text(jw, "in", in);
    if (required) jw_bool(jw, "required", true);
    jw_text(jw, "description", doc);
    jw_object(jw, "schema");
    jw_text(jw, "type", "string");
    jw_end_object(jw);
    jw_end_object(jw);
}

static void write_context(struct jw *jw) {
    jw_object(jw, "requestBody");
    jw_object(jw, "content");
    jw_object(jw, JSON);
    jw_object(jw, "schema");
    jw_text(jw, "type", "object");
    jw_object(jw, "properties");
    jw_object(jw, "context");
    jw_text(jw, "type", "object");
    jw_text(jw, "description", "Who asks: targetingKey, and any attributes that rules read");
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
}

static void begin(struct jw *jw, const char *path, const char *method, const char *id) {
    jw_object(jw, path);
    jw_object(jw, method);
    jw_text(jw, "operationId", id);
}

static void end(struct jw *jw) {
    openapi_response(jw, "default", "An error", PROBLEM, "problem");
    jw_end_object(jw);
    jw_end_object(jw);
    jw_end_object(jw);
}

static void write_environment(struct jw *jw) {
    write_parameter(jw, "environment", "query", false,
                    "Which one; needed with a key that is not bound to a single one");
}

static void write_one(struct jw *jw) {
    begin(jw, "/ofrep/v1/evaluate/flags/{key}", "post", "ofrep_evaluate");
    jw_text(jw, "summary", "Evaluate one flag");
    jw_text(jw, "description",
            "OFREP 0.3. `agent.NAME` is the agent of that name: its value is the configuration that was decided.");
    jw_array(jw, "parameters");
    write_parameter(jw, "key", "path", true, "The flag's key, or agent.NAME");
    write_environment(jw);
    jw_end_array(jw);
    write_context(jw);
    jw_object(jw, "responses");
    openapi_response(jw, "200", "What the flag says", JSON, "ofrep_evaluation");
    openapi_response(jw, "400", "The flag or the request is at fault", JSON, "ofrep_failure");
    openapi_response(jw, "404", "There is no such flag", JSON, "ofrep_failure");
    end(jw);
}

static void write_all(struct jw *jw) {
    begin(jw, "/ofrep/v1/evaluate/flags", "post", "ofrep_evaluate_all");
    jw_text(jw, "summary", "Evaluate all flags");
    jw_text(jw, "description",
            "OFREP 0.3. The agents that the environment serves stand among the flags while they are few. The ETag "
            "stands for context, flags and agents.");
    jw_array(jw, "parameters");
    write_environment(jw);
    write_parameter(jw, "If-None-Match", "header", false, "The ETag of the list that the client has");
    jw_end_array(jw);
    write_context(jw);
    jw_object(jw, "responses");
    openapi_response(jw, "200", "What each flag says", JSON, "ofrep_list");
    jw_object(jw, "304");
    jw_text(jw, "description", "Not changed since If-None-Match");
    jw_end_object(jw);
    openapi_response(jw, "400", "The request is at fault", JSON, "ofrep_failure");
    end(jw);
}

static void write_stream(struct jw *jw) {
    begin(jw, "/ofrep/v1/stream", "get", "ofrep_stream");
    jw_text(jw, "summary", "Hear of changes");
    jw_text(jw, "description",
            "OFREP 0.3: server-sent events, for addresses that `eventStreams` of a list has. No key is needed: the "
            "token is one.");
    jw_array(jw, "security");
    jw_end_array(jw);
    jw_array(jw, "parameters");
    write_parameter(jw, "token", "query", true, "As it stands in the list's address");
    write_parameter(jw, "after", "query", false, "The position that the list showed");
    write_parameter(jw, "Last-Event-ID", "header", false, "The last event that was heard");
    jw_end_array(jw);
    jw_object(jw, "responses");
    openapi_response(jw, "200", "The stream", "text/event-stream", "ofrep_notice");
    end(jw);
}

void openapi_ofrep(struct jw *jw) {
    write_one(jw);
    write_all(jw);
    write_stream(jw);
}
