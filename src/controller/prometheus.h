/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' query API (GET URL/api/v1/query?query=…) as guards use it: any bytes come in, and only what is certainly a number comes out. Pure.
 */
#ifndef SERIN_CONTROLLER_PROMETHEUS_H
#define SERIN_CONTROLLER_PROMETHEUS_H

#include "model/rollout.h"

/* A number for each series of a vector, or the one of a scalar; NaN and infinities are such. */
struct prometheus_values {
    double *items;
    size_t count;
};
void prometheus_values_deinit(struct prometheus_values *values);

/* Reads an answer with that status. UNAVAILABLE when it says no number, and why: "answered 503", "answered a range …"; NO_MEMORY. */
int prometheus_read(int status, struct slice body, struct prometheus_values *ret, struct err *err) MUST_CHECK;

/* As alerting rules have it: bad when the condition holds for any series. Without a series, or with one that is not a number and none that is bad,
 * nothing is known. *ret_value is the one nearest to bad, or furthest into it; NAN when nothing is known. */
enum guard_state guard_judge(const struct guard *guard, const struct prometheus_values *values, double *ret_value);

#endif
