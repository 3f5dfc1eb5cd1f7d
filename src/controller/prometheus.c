/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Prometheus answers: {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {…}, "value": [time, "number"]}, …]}}, or
 * "scalar" with one [time, "number"]. Numbers are text, so that NaN and infinities can be said; finite ones are read as JSON reads them.
 * Texts and ranges are no numbers, and neither is a histogram.
 */
#include "controller/prometheus.h"

#include <math.h>
#include <string.h>

#define ANSWER_DEPTH 16

void prometheus_values_deinit(struct prometheus_values *values) {
    free(values->items);
    *values = (struct prometheus_values){0};
}

/* ---- reading ---- */

static int refuse(const char *what, struct err *err) {
    return err_set(err, ERR_UNAVAILABLE, "the server answered %s", what);
}

static int read_number(const char *text, double *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *number = NULL;
    *ret = !strcmp(text, "NaN") ? NAN : !strcmp(text, "-Inf") ? -INFINITY : INFINITY;
    if (isnan(*ret) || *ret < 0 || !strcmp(text, "+Inf")) return 0;
    int r = json_parse(text, strlen(text), 1, &number, err);
    if (r == -ERR_NO_MEMORY) return r;
    if (r < 0 || !json_is_number(number)) return refuse("a value that is no number", err);
    *ret = json_number_value(number);
    return 0;
}

/* [time, "number"] */
static int read_sample(const json_t *sample, struct prometheus_values *ret, struct err *err) {
    const char *text = json_string_value(json_array_get(sample, 1));
    if (!text || json_array_size(sample) != 2) return refuse("a value that is no number", err);
    return read_number(text, &ret->items[ret->count++], err);
}

static int read_vector(const json_t *result, struct prometheus_values *ret, struct err *err) {
    int r = 0;
    ret->items = calloc(json_array_size(result) + 1, sizeof(double));
    if (!ret->items) return err_no_memory(err);
    for (size_t i = 0; r == 0 && i < json_array_size(result); i++)
        r = read_sample(json_get(json_array_get(result, i), "value"), ret, err);
    return r;
}

static int read_scalar(const json_t *result, struct prometheus_values *ret, struct err *err) {
    ret->items = calloc(1, sizeof(double));
    return ret->items ? read_sample(result, ret, err) : err_no_memory(err);
}

static int read_data(const json_t *data, struct prometheus_values *ret, struct err *err) {
    const char *type = json_get_text(data, "resultType");
    const json_t *result = json_get(data, "result");
    if (!type || !json_is_array(result)) return refuse("JSON that is not Prometheus'", err);
    if (!strcmp(type, "vector")) return read_vector(result, ret, err);
    if (!strcmp(type, "scalar")) return read_scalar(result, ret, err);
    if (!strcmp(type, "string")) return refuse("a text, which is no number", err);
    return refuse("a range of values: the query must give one value of now for each series", err);
}

/* Prometheus says with any status why it refused a query. */
static int refuse_status(int status, const json_t *answer, struct err *err) {
    const char *why = json_get_text(answer, "error");
    if (why) return err_set(err, ERR_UNAVAILABLE, "the server answered %d: %.120s", status, why);
    bool elsewhere = status >= 300 && status < 400;
    return err_set(err, ERR_UNAVAILABLE, "the server answered %d%s", status,
                   elsewhere ? ", and redirects are not followed" : "");
}

int prometheus_read(int status, struct slice body, struct prometheus_values *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *answer = NULL;
    *ret = (struct prometheus_values){0};
    int r = json_parse(body.len ? body.ptr : "", body.len, ANSWER_DEPTH, &answer, err);
    if (r == -ERR_NO_MEMORY) return r;
    if (status != 200) return refuse_status(status, answer, err);
    if (r < 0) return refuse("what is not JSON", err);
    const char *outcome = json_get_text(answer, "status");
    if (!outcome || strcmp(outcome, "success")) return refuse_status(status, answer, err);
    r = read_data(json_get(answer, "data"), ret, err);
    if (r < 0) prometheus_values_deinit(ret);
    return r;
}

/* ---- judging ---- */

static bool holds(const struct guard *guard, double value) {
    switch (guard->compare) {
    case GUARD_GT:
        return value > guard->threshold;
    case GUARD_GE:
        return value >= guard->threshold;
    case GUARD_LT:
        return value < guard->threshold;
    case GUARD_LE:
        return value <= guard->threshold;
    case GUARD_EQ:
        return value == guard->threshold;
    case GUARD_NE:
        return value < guard->threshold || value > guard->threshold;
    }
    return false;
}

/* How far a value is on the side of bad; of values that only differ, the one that holds. */
static double badness(const struct guard *guard, double value) {
    if (guard->compare == GUARD_GT || guard->compare == GUARD_GE) return value;
    if (guard->compare == GUARD_LT || guard->compare == GUARD_LE) return -value;
    return holds(guard, value) ? 1 : 0;
}

enum guard_state guard_judge(const struct guard *guard, const struct prometheus_values *values, double *ret_value) {
    size_t worst = values->count;
    bool unsure = false;
    for (size_t i = 0; i < values->count; i++) {
        unsure |= isnan(values->items[i]);
        if (isnan(values->items[i])) continue;
        if (worst == values->count || badness(guard, values->items[i]) > badness(guard, values->items[worst]))
            worst = i;
    }
    bool bad = worst < values->count && holds(guard, values->items[worst]);
    bool unknown = !bad && (unsure || worst == values->count);
    *ret_value = unknown ? NAN : values->items[worst];
    if (unknown) return GUARD_UNKNOWN;
    return bad ? GUARD_BAD : GUARD_FINE;
}
