/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a rule's steps. The compiler has made sure of everything that could go wrong: each step finds what it needs on the stack, which never grows past
 * LOGIC_WAITING_MAX, and jumps go forward, to a step or behind the last one. So nothing of that is checked here, and what is no loop ends after its last step.
 * What hangs on the context is checked: the room for what is made on the way, and the steps of loops and of work on long lists and texts.
 *
 * Who extends the language: a new operation is a code, a row in the compiler's table and a case in machine_apply().
 */
#include "logic/logic_impl.h"

bool machine_spend(struct machine *machine, size_t steps) {
    if (steps <= machine->left) {
        machine->left -= (uint32_t)steps;
        return true;
    }
    machine->left = 0;
    if (!machine->outcome) machine->outcome = LOGIC_NO_STEPS;
    return false;
}

struct logic_value *machine_values(struct machine *machine, size_t count) {
    uintptr_t low = ((uintptr_t)machine->low + _Alignof(struct logic_value) - 1) & ~(_Alignof(struct logic_value) - 1);
    size_t free = (uintptr_t)machine->high > low ? (uintptr_t)machine->high - low : 0;
    if (count + 1 > free / sizeof(struct logic_value)) {
        if (!machine->outcome) machine->outcome = LOGIC_NO_ROOM;
        return NULL;
    }
    struct logic_value *values = (struct logic_value *)low;
    machine->low = (char *)(values + count + 1);
    return values;
}

/* Whether a step that may jump does; the result is then the argument that it stands for. */
static inline bool jumps(struct machine *machine, const struct logic_step *step) {
    bool goes = step->code == STEP_DEFAULT ? machine->found : value_truth(machine->top) == (step->code == STEP_OR);
    if (goes && machine->trace && step->count) machine->trace->argument = step->count - 1;
    return goes;
}

static inline void push_found(struct machine *machine, const struct logic_value *found) {
    machine->found = found != NULL;
    *++machine->top = found ? *found : logic_null();
}

/* Most contexts are short objects: without a call. */
static inline const struct logic_value *find_attribute(struct machine *machine, struct slice name) {
    const struct logic_value *data = &machine->data;
    bool is_short = data->type == LOGIC_OBJECT && data->count <= NAMES_A_STEP;
    return is_short ? member_of(data, name) : find_name(machine, data, name);
}

static void apply(struct machine *machine, const struct logic_step *step) {
    machine->top -= (int)step->count - 1;
    *machine->top = machine_apply(machine, step, machine->top);
}

/* Most comparisons are of an attribute with a short text: without a call. */
static inline void compare(struct machine *machine, const struct logic_step *step) {
    const struct logic_value *b = machine->top, *a = b - 1;
    if (a->type != LOGIC_TEXT || b->type != LOGIC_TEXT || a->count > LONG_TEXT || b->count > LONG_TEXT) {
        apply(machine, step);
        return;
    }
    bool same = a->count == b->count && bytes_equal(a->text, b->text, b->count);
    machine->top--;
    *machine->top = logic_bool(same == (step->code == STEP_EQUAL || step->code == STEP_SAME));
}

/* What is not looked up by one name. */
static void push_other(struct machine *machine, const struct logic_step *step) {
    const struct logic_context *context = machine->context;
    struct logic_value made;
    bool flag = context && context->flag_key.ptr;
    switch (step->code) {
    case STEP_PATH:
        push_found(machine, find_names(machine, machine->rule->values + step->at, step->count));
        break;
    case STEP_DATA:
        push_found(machine, &machine->data);
        break;
    case STEP_FLAG_KEY:
        if (flag) made = logic_text(context->flag_key);
        push_found(machine, flag ? &made : NULL);
        break;
    case STEP_TIMESTAMP:
        if (flag) made = logic_number((double)context->timestamp);
        push_found(machine, flag ? &made : NULL);
        break;
    case STEP_FLAGD:
        push_found(machine, find_flagd(machine));
        break;
    default:
        push_found(machine, NULL);
    }
}

void machine_run(struct machine *machine, uint32_t from, uint32_t to) {
    const struct logic_value *values = machine->rule->values;
    for (uint32_t i = from; i < to; i++) {
        const struct logic_step *step = machine->rule->steps + i;
        switch (step->code) {
        case STEP_VALUE:
            *++machine->top = values[step->at];
            break;
        case STEP_ATTRIBUTE:
            push_found(machine, find_attribute(machine, logic_slice(values + step->at)));
            break;
        case STEP_PATH:
        case STEP_DATA:
        case STEP_FLAG_KEY:
        case STEP_TIMESTAMP:
        case STEP_FLAGD:
        case STEP_NOTHING:
            push_other(machine, step);
            break;
        case STEP_FIND:
            machine->top--;
            push_found(machine, find_path(machine, machine->top + 1));
            break;
        case STEP_DEFAULT:
        case STEP_AND:
        case STEP_OR:
            if (jumps(machine, step))
                i = step->at - 1;
            else
                machine->top--;
            break;
        case STEP_UNLESS:
            if (!value_truth(machine->top--)) i = step->at - 1;
            break;
        case STEP_GO:
            if (machine->trace && step->count) machine->trace->argument = step->count - 1;
            i = step->at - 1;
            break;
        case STEP_IN_LIST:
            *machine->top = logic_bool(machine_in_list(machine, machine->top, values + step->at, step->count));
            break;
        case STEP_IN_TEXTS:
            *machine->top = logic_bool(machine_in_texts(machine->top, values + step->at, step->count));
            break;
        case STEP_NOT:
        case STEP_TRUTH:
            *machine->top = logic_bool(value_truth(machine->top) == (step->code == STEP_TRUTH));
            break;
        case STEP_MAP:
        case STEP_FILTER:
        case STEP_ALL:
        case STEP_NONE:
        case STEP_SOME:
        case STEP_REDUCE: {
            struct logic_value result = loop_over(machine, step);
            *++machine->top = result;
            i = step->at - 1;
            break;
        }
        case STEP_FRACTION:
            i = fraction_of(machine, step) - 1;
            break;
        case STEP_EQUAL:
        case STEP_SAME:
        case STEP_NOT_EQUAL:
        case STEP_NOT_SAME:
            compare(machine, step);
            break;
        default:
            apply(machine, step);
        }
    }
}

int logic_evaluate(const struct logic_rule *rule, const struct logic_context *context, struct logic_scratch *scratch,
                   struct logic_trace *trace, struct logic_value *ret) {
    struct logic_value stack[LOGIC_WAITING_MAX + 2]; /* not cleared: that would cost more than most rules */
    struct machine machine = {
        .rule = rule,
        .context = context,
        .trace = trace,
        .data = context ? context->data : logic_null(),
        .top = stack,
        .low = scratch->bytes,
        .high = scratch->bytes + sizeof(scratch->bytes),
        .left = LOGIC_STEPS_MAX,
    };
    stack[0] = logic_null();
    if (trace) *trace = (struct logic_trace){.operation = rule->operation, .argument = rule->last_argument};
    machine_run(&machine, 0, rule->step_count);
    *ret = *machine.top;
    if (context && context->steps) *context->steps += LOGIC_STEPS_MAX - machine.left;
    return machine.outcome;
}

const char *logic_outcome_text(int outcome) {
    return outcome == LOGIC_NO_ROOM ? "the rule made more lists and texts than it has room for"
                                    : "the rule took too many steps over the lists and texts of the context";
}

bool logic_matches(const struct logic_rule *rule, const struct logic_context *context) {
    struct logic_scratch scratch;
    struct logic_value result;
    return logic_evaluate(rule, context, &scratch, NULL, &result) == 0 && value_truth(&result);
}

const struct logic_reads *logic_reads(const struct logic_rule *rule) {
    return &rule->reads;
}
