/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a rule's steps. The compiler has made sure of everything that could go wrong: each step finds what it needs on the stack, which never grows past
 * LOGIC_STACK_MAX, and jumps go forward, to a step or behind the last one. So nothing is checked here, and every rule ends.
 *
 * Who extends the language: a new operation is a code, a row in the compiler's table and a case below. What loops over a list (map, filter, …) must bring a
 * budget of steps, because then a step may be taken more than once.
 */
#include "logic/logic_impl.h"

#include <string.h>

static struct logic_value truth(bool is) {
    return (struct logic_value){.type = LOGIC_BOOL, .truth = is};
}

static struct logic_value find(const struct logic_context *context, struct slice path) {
    return context ? context->find(context->ctx, path) : (struct logic_value){.type = LOGIC_NULL};
}

static bool in_list(const struct logic_value *value, const struct logic_value *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (value_same(value, items + i)) return true;
    return false;
}

/* As JavaScript's indexOf, which makes a text of what it looks for; nothing is in an empty text or in what is no text. */
static bool in_text(const struct logic_value *value, const struct logic_value *whole) {
    char room[VALUE_TEXT_ROOM];
    if (whole->type != LOGIC_TEXT || !whole->text.len) return false;
    struct slice part = value_text(value, room);
    return !part.len || memmem(whole->text.ptr, whole->text.len, part.ptr, part.len);
}

static bool fits(const struct logic_value *whole, const struct logic_value *part, bool at_end) {
    if (whole->type != LOGIC_TEXT || part->type != LOGIC_TEXT || part->text.len > whole->text.len) return false;
    size_t from = at_end ? whole->text.len - part->text.len : 0;
    return !part->text.len || memcmp(whole->text.ptr + from, part->text.ptr, part->text.len) == 0;
}

static bool of_arguments(const struct logic_step *step, const struct logic_value *arguments) {
    const struct logic_value *a = arguments, *b = arguments + 1;
    bool between = step->count == 3;
    switch (step->code) {
    case STEP_EQUAL:
        return value_equal(a, b);
    case STEP_NOT_EQUAL:
        return !value_equal(a, b);
    case STEP_SAME:
        return value_same(a, b);
    case STEP_NOT_SAME:
        return !value_same(a, b);
    case STEP_GREATER:
        return value_less(b, a);
    case STEP_GREATER_EQUAL:
        return value_less_equal(b, a);
    case STEP_LESS:
        return value_less(a, b) && (!between || value_less(b, b + 1));
    case STEP_LESS_EQUAL:
        return value_less_equal(a, b) && (!between || value_less_equal(b, b + 1));
    case STEP_IN_TEXT:
        return in_text(a, b);
    default:
        return fits(a, b, step->code == STEP_ENDS_WITH);
    }
}

/* Whether a step that may jump does. */
static bool goes(const struct logic_step *step, const struct logic_value *top) {
    if (step->code == STEP_DEFAULT) return top->type != LOGIC_NULL;
    return value_truth(top) == (step->code == STEP_OR);
}

bool logic_matches(const struct logic_rule *rule, const struct logic_context *context) {
    struct logic_value stack[1 + LOGIC_STACK_MAX], *top = stack;
    *top = (struct logic_value){.type = LOGIC_NULL};
    for (uint32_t i = 0; i < rule->step_count; i++) {
        const struct logic_step *step = rule->steps + i;
        switch (step->code) {
        case STEP_VALUE:
            *++top = rule->values[step->at];
            break;
        case STEP_VAR:
            *++top = find(context, rule->values[step->at].text);
            break;
        case STEP_DEFAULT:
        case STEP_AND:
        case STEP_OR:
            if (goes(step, top))
                i = step->at - 1;
            else
                top--;
            break;
        case STEP_IN_LIST:
            *top = truth(in_list(top, rule->values + step->at, step->count));
            break;
        case STEP_NOT:
        case STEP_TRUTH:
            *top = truth(value_truth(top) == (step->code == STEP_TRUTH));
            break;
        default:
            top -= step->count - 1u;
            *top = truth(of_arguments(step, top));
        }
    }
    return value_truth(top);
}
