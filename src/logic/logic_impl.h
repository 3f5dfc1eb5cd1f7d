/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled rule: steps of a stack machine, in the order in which they are taken. Arguments stand before their operation; `and`, `or` and defaults jump, and only
 * ever forward, so a rule takes at most as many steps as it has. What a step needs besides the stack (a constant, a path, the items of a list) lies in `values`.
 */
#ifndef SERIN_LOGIC_LOGIC_IMPL_H
#define SERIN_LOGIC_LOGIC_IMPL_H

#include "logic/logic.h"

enum logic_code {
    STEP_VALUE,   /* pushes values[at] */
    STEP_VAR,     /* pushes the attribute whose path is values[at] */
    STEP_DEFAULT, /* not null on top: goes to step `at`; else takes it away */
    STEP_AND,     /* false on top: goes to step `at`; else takes it away */
    STEP_OR,      /* true on top: goes to step `at`; else takes it away */
    STEP_IN_LIST, /* whether the top is one of values[at … at + count) */
    STEP_NOT,
    STEP_TRUTH,
    /* of the two or, where `count` says so, three on top */
    STEP_EQUAL,
    STEP_NOT_EQUAL,
    STEP_SAME,
    STEP_NOT_SAME,
    STEP_GREATER,
    STEP_GREATER_EQUAL,
    STEP_LESS,
    STEP_LESS_EQUAL,
    STEP_IN_TEXT,
    STEP_STARTS_WITH,
    STEP_ENDS_WITH,
};

struct logic_step {
    uint16_t code, count;
    uint32_t at;
};

/* Every open operation has at most two arguments waiting for its third. */
#define LOGIC_STACK_MAX (2 * LOGIC_DEPTH_MAX + 2)

/* One block: the values and their texts lie behind the steps. */
struct logic_rule {
    uint32_t step_count;
    const struct logic_value *values;
    struct logic_step steps[];
};

/* value.c: what JsonLogic takes from JavaScript. */
bool value_truth(const struct logic_value *value);
bool value_same(const struct logic_value *a, const struct logic_value *b);  /* === */
bool value_equal(const struct logic_value *a, const struct logic_value *b); /* == */
bool value_less(const struct logic_value *a, const struct logic_value *b);
bool value_less_equal(const struct logic_value *a, const struct logic_value *b);
double value_number(const struct logic_value *value); /* Number(value); NaN when it is none */
/* String(value); what is no text yet is written to `room`. */
#define VALUE_TEXT_ROOM 64
struct slice value_text(const struct logic_value *value, char room[VALUE_TEXT_ROOM]);

#endif
