/* SPDX-License-Identifier: Apache-2.0 */
/* What plain operations make of their arguments, which are all there. */
#include "logic/logic_impl.h"

#include <math.h>
#include <string.h>

/* ---- texts and lists ---- */

bool machine_in_list(struct machine *machine, const struct logic_value *value, const struct logic_value *items,
                     size_t count) {
    if (!machine_spend(machine, count)) return false;
    for (size_t i = 0; i < count; i++)
        if (value_same(value, items + i)) return true;
    return false;
}

bool machine_in_texts(const struct logic_value *value, const struct logic_value *texts, size_t count) {
    size_t from = 0;
    if (value->type != LOGIC_TEXT) return false;
    while (from < count) {
        size_t middle = from + (count - from) / 2;
        int order = text_place(logic_slice(value), logic_slice(texts + middle));
        if (order == 0) return true;
        if (order < 0)
            count = middle;
        else
            from = middle + 1;
    }
    return false;
}

/* As JavaScript's indexOf, which makes a text of what it looks for; nothing is in an empty text or in what is no text. */
static bool is_in_text(struct machine *machine, const struct logic_value *value, const struct logic_value *whole) {
    if (!whole->count || !machine_spend(machine, whole->count / 16)) return false;
    char *low = machine->low;
    struct slice part = machine_text(machine, value);
    bool is = !part.len || memmem(whole->text, whole->count, part.ptr, part.len);
    machine->low = low;
    return is;
}

static bool is_in(struct machine *machine, const struct logic_value *value, const struct logic_value *whole) {
    if (whole->type == LOGIC_LIST) return machine_in_list(machine, value, whole->items, whole->count);
    return whole->type == LOGIC_TEXT && is_in_text(machine, value, whole);
}

/* Null when one of them is no text. */
static struct logic_value fits(const struct logic_value *whole, const struct logic_value *part, bool at_end) {
    if (whole->type != LOGIC_TEXT || part->type != LOGIC_TEXT) return logic_null();
    if (part->count > whole->count) return logic_bool(false);
    size_t from = at_end ? whole->count - part->count : 0;
    return logic_bool(!part->count || memcmp(whole->text + from, part->text, part->count) == 0);
}

static struct logic_value list_of(struct machine *machine, const struct logic_value *values, size_t count) {
    struct logic_value *items = machine_values(machine, count);
    if (items && count) memcpy(items, values, count * sizeof(*items));
    return (struct logic_value){.type = LOGIC_LIST, .count = items ? (uint32_t)count : 0, .items = items};
}

/* What is a list gives its items, what is none itself. */
static struct logic_value merge(struct machine *machine, const struct logic_value *values, size_t count) {
    size_t total = 0;
    uint32_t used = 0;
    for (size_t i = 0; i < count; i++)
        total += values[i].type == LOGIC_LIST ? values[i].count : 1;
    struct logic_value *items = machine_spend(machine, total) ? machine_values(machine, total) : NULL;
    for (size_t i = 0; items && i < count; i++) {
        bool list = values[i].type == LOGIC_LIST;
        const struct logic_value *from = list ? values[i].items : values + i;
        for (uint32_t n = list ? values[i].count : 1; n; n--)
            items[used++] = *from++;
    }
    return (struct logic_value){.type = LOGIC_LIST, .count = used, .items = items};
}

/* ---- numbers ---- */

static double sum(const struct logic_value *values, size_t count) {
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += value_parsed(values + i);
    return total;
}

/* Of one factor alone it is that, unchanged. */
static struct logic_value product(const struct logic_value *values, size_t count) {
    if (count == 1) return *values;
    double total = value_parsed(values);
    for (size_t i = 1; i < count; i++)
        total *= value_parsed(values + i);
    return logic_number(total);
}

/* With one that is no number there is no largest; 0 is larger than -0. */
static double largest(const struct logic_value *values, size_t count, double sign) {
    double most = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        double number = sign * value_number(values + i);
        if (isnan(number) || isnan(most)) return NAN;
        if (number > most || (number == most && !signbit(number))) most = number;
    }
    return sign * most;
}

static struct logic_value calculate(const struct logic_step *step, const struct logic_value *arguments) {
    size_t count = step->count;
    switch (step->code) {
    case STEP_ADD:
        return logic_number(sum(arguments, count));
    case STEP_MULTIPLY:
        return product(arguments, count);
    case STEP_MIN:
        return logic_number(largest(arguments, count, -1));
    case STEP_MAX:
        return logic_number(largest(arguments, count, 1));
    case STEP_SUBTRACT:
        return logic_number(count == 1 ? -value_number(arguments)
                                       : value_number(arguments) - value_number(arguments + 1));
    case STEP_DIVIDE:
        return logic_number(value_number(arguments) / value_number(arguments + 1));
    default:
        return logic_number(fmod(value_number(arguments), value_number(arguments + 1)));
    }
}

/* ---- all ---- */

static bool compare(struct machine *machine, const struct logic_step *step, const struct logic_value *a) {
    const struct logic_value *b = a + 1;
    bool between = step->count == 3;
    switch (step->code) {
    case STEP_EQUAL:
        return value_equal(machine, a, b);
    case STEP_NOT_EQUAL:
        return !value_equal(machine, a, b);
    case STEP_SAME:
        return value_same(a, b);
    case STEP_NOT_SAME:
        return !value_same(a, b);
    case STEP_GREATER:
        return value_less(machine, b, a);
    case STEP_GREATER_EQUAL:
        return value_less_equal(machine, b, a);
    case STEP_LESS:
        return value_less(machine, a, b) && (!between || value_less(machine, b, b + 1));
    case STEP_LESS_EQUAL:
        return value_less_equal(machine, a, b) && (!between || value_less_equal(machine, b, b + 1));
    default:
        return is_in(machine, a, b);
    }
}

struct logic_value machine_apply(struct machine *machine, const struct logic_step *step,
                                 const struct logic_value *arguments) {
    switch (step->code) {
    case STEP_STARTS_WITH:
    case STEP_ENDS_WITH:
        return fits(arguments, arguments + 1, step->code == STEP_ENDS_WITH);
    case STEP_LIST:
        return list_of(machine, arguments, step->count);
    case STEP_MERGE:
        return merge(machine, arguments, step->count);
    case STEP_CAT:
        return machine_join(machine, arguments, step->count);
    case STEP_SUBSTR:
        return machine_part(machine, arguments, step->count);
    case STEP_MISSING:
        return find_missing(machine, arguments, step->count);
    case STEP_MISSING_SOME:
        return find_missing_some(machine, arguments);
    case STEP_SEM_VER:
        return sem_ver_compare(arguments, (enum sem_ver_operator)step->at, arguments + 1);
    case STEP_ADD:
    case STEP_SUBTRACT:
    case STEP_MULTIPLY:
    case STEP_DIVIDE:
    case STEP_MODULO:
    case STEP_MIN:
    case STEP_MAX:
        return calculate(step, arguments);
    default:
        return logic_bool(compare(machine, step, arguments));
    }
}
