/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map, filter, reduce, all, none and some: the body's steps once for each item, whose data is the item. A loop over what is no list is one over nothing.
 *
 * Each round costs the steps of the body, whether they are all taken or not; that keeps counting out of the machine's own loop.
 */
#include "logic/logic_impl.h"

struct loop {
    const struct logic_value *items;
    uint32_t count;
    uint32_t from, to; /* the body's steps */
};

static bool go_round(struct machine *machine, const struct loop *loop, const struct logic_value *data,
                     struct logic_value *ret) {
    if (machine->outcome || !machine_spend(machine, loop->to - loop->from + 1)) return false;
    machine->data = *data;
    machine_run(machine, loop->from, loop->to);
    *ret = *machine->top--;
    return true;
}

/* Whether the body is true of the item; nothing that it made is kept. */
static bool holds(struct machine *machine, const struct loop *loop, uint32_t i) {
    struct logic_value result;
    char *low = machine->low;
    bool is = go_round(machine, loop, loop->items + i, &result) && value_truth(&result);
    machine->low = low;
    return is;
}

/* The first item of which the body is `wanted`; `count` when there is none. */
static uint32_t first(struct machine *machine, const struct loop *loop, bool wanted) {
    uint32_t i = 0;
    while (i < loop->count && !machine->outcome && holds(machine, loop, i) != wanted)
        i++;
    return i;
}

static struct logic_value map(struct machine *machine, const struct loop *loop) {
    struct logic_value *results = machine_values(machine, loop->count);
    uint32_t done = 0;
    while (results && done < loop->count && go_round(machine, loop, loop->items + done, results + done))
        done++;
    return (struct logic_value){.type = LOGIC_LIST, .count = done, .items = results};
}

/* The list grows item by item: holds() leaves the scratch as it was. */
static struct logic_value filter(struct machine *machine, const struct loop *loop) {
    struct logic_value *kept = machine_values(machine, 0);
    uint32_t count = 0;
    for (uint32_t i = 0; kept && i < loop->count && !machine->outcome; i++) {
        if (!holds(machine, loop, i)) continue;
        if (!machine_values(machine, 0)) break;
        kept[count++] = loop->items[i];
    }
    return (struct logic_value){.type = LOGIC_LIST, .count = count, .items = kept};
}

/* What the body finds: {current, accumulator}. A body that may keep it gets a new one each time. */
static struct logic_value reduce(struct machine *machine, const struct loop *loop, struct logic_value result,
                                 bool keeps) {
    struct logic_member *members = NULL;
    for (uint32_t i = 0; i < loop->count; i++) {
        if (!members || keeps) members = (struct logic_member *)(void *)machine_values(machine, 4);
        if (!members) break;
        members[0] = (struct logic_member){SLICE_LIT("current"), loop->items[i]};
        members[1] = (struct logic_member){SLICE_LIT("accumulator"), result};
        const struct logic_value data = {.type = LOGIC_OBJECT, .count = 2, .members = members};
        if (!go_round(machine, loop, &data, &result)) break;
    }
    return result;
}

static struct logic_value over(struct machine *machine, const struct logic_step *step, const struct loop *loop,
                               struct logic_value initial) {
    switch (step->code) {
    case STEP_MAP:
        return map(machine, loop);
    case STEP_FILTER:
        return filter(machine, loop);
    case STEP_REDUCE:
        return reduce(machine, loop, initial, step->count);
    case STEP_ALL:
        return logic_bool(loop->count && first(machine, loop, false) == loop->count);
    case STEP_NONE:
        return logic_bool(first(machine, loop, true) == loop->count);
    default:
        return logic_bool(first(machine, loop, true) < loop->count);
    }
}

struct logic_value loop_over(struct machine *machine, const struct logic_step *step) {
    struct logic_value outer = machine->data, initial = logic_null();
    bool scoped = machine->scoped;
    if (step->code == STEP_REDUCE) initial = *machine->top--;
    struct logic_value list = *machine->top--;
    struct loop loop = {.from = (uint32_t)(step - machine->rule->steps) + 1, .to = step->at};
    if (list.type == LOGIC_LIST) {
        loop.items = list.items;
        loop.count = list.count;
    }
    machine->scoped = true;
    struct logic_value result = over(machine, step, &loop, initial);
    machine->scoped = scoped;
    machine->data = outer;
    return result;
}
