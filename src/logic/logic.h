/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The targeting language: rules over the attributes of a context, written as JsonLogic. A rule is checked once, every fault at once, and compiled to a compact
 * program; evaluating takes bounded steps, allocates nothing and has no state. Pure.
 *
 * Known today: var (with a default), == != === !== > >= < <= ! !! and or in starts_with ends_with, over texts, numbers, booleans and null, and lists of these as
 * the second argument of `in`. Truth and equality are JsonLogic's. What else the language has is refused as unknown, and so is a wrong number of arguments.
 *
 * Two things to know of JsonLogic itself: an attribute that is missing is null, and null is 0 to < and its like, so {"<": [{"var": "age"}, 18]} holds for whoever
 * has no age; and "0" is true.
 */
#ifndef SERIN_LOGIC_LOGIC_H
#define SERIN_LOGIC_LOGIC_H

#include "base/json.h"

#define LOGIC_DEPTH_MAX 16
#define LOGIC_STEPS_MAX 1000 /* operations, their plain arguments and the items of lists in one rule */

struct logic_rule;

/* Faults carry the JSON pointer `at` and what follows it inside the rule. INVALID when there is a fault (the first one is in `err` too), NO_MEMORY. */
int logic_compile(const json_t *rule, const char *at, struct logic_rule **ret, struct faults *faults,
                  struct err *err) MUST_CHECK;
struct logic_rule *logic_free(struct logic_rule *rule);
DEFINE_CLEANUP(struct logic_rule *, logic_free)

enum logic_type { LOGIC_NULL, LOGIC_BOOL, LOGIC_NUMBER, LOGIC_TEXT };
struct logic_value {
    enum logic_type type;
    bool truth;
    double number;
    struct slice text;
};

/* Where attributes are found: by a path as `var` has it, "plan" or "company.size" ("" is the whole context). An attribute that is not there is LOGIC_NULL,
 * and so are, for now, lists and objects. Texts are borrowed until the evaluation ends. */
struct logic_context {
    struct logic_value (*find)(const void *ctx, struct slice path);
    const void *ctx;
};

/* Whether the rule's result is true in the sense of JsonLogic. `context` NULL: there are no attributes. */
bool logic_matches(const struct logic_rule *rule, const struct logic_context *context);

#endif
