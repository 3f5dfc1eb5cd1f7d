/* SPDX-License-Identifier: Apache-2.0 */
/* How flagd's own operations are written: fractional, sem_ver and $ref. */
#include "logic/logic_impl.h"

#include <math.h>
#include <string.h>

/* ---- fractional ---- */

/* What is known of a fraction before it is written. */
struct fraction {
    const json_t *arguments;
    size_t first, count; /* of the arguments that are entries */
    bool by_value, computed;
    double total; /* of constant weights */
};

static const json_t *entry_of(const struct fraction *fraction, size_t i) {
    return logic_argument(fraction->arguments, fraction->first + i);
}

/* A constant weight, or the 1 of an entry without one; what counts of it. */
static double constant_weight(const json_t *entry) {
    const json_t *weight = json_array_get(entry, 1);
    double number = weight ? json_number_value(weight) : 1;
    return number < 0 ? 0 : number;
}

static void check_weight(struct compiler *compiler, struct fraction *fraction, const json_t *entry) {
    const json_t *weight = json_array_get(entry, 1);
    double number = json_number_value(weight);
    if (json_is_object(weight))
        fraction->computed = true;
    else if (weight && (!json_is_number(weight) || number != trunc(number) || number > FRACTION_WEIGHT_MAX)) {
        size_t len = emit_enter(compiler, entry, 1);
        compiler_fault(compiler, "a weight is a whole number up to %d", FRACTION_WEIGHT_MAX);
        emit_back(compiler, len);
    } else
        fraction->total += constant_weight(entry);
}

static void check_entry(struct compiler *compiler, struct fraction *fraction, size_t i) {
    const json_t *entry = entry_of(fraction, i);
    size_t len = emit_enter(compiler, fraction->arguments, fraction->first + i);
    if (!json_is_array(entry) || !json_array_size(entry) || json_array_size(entry) > 2)
        compiler_fault(compiler, "an entry of \"fractional\" is [result] or [result, weight]");
    else
        check_weight(compiler, fraction, entry);
    emit_back(compiler, len);
}

/* False: it has a fault. */
static bool check_fraction(struct compiler *compiler, const json_t *arguments, struct fraction *ret) {
    size_t errors = compiler->faults->errors;
    bool by_value = !json_is_array(logic_argument(arguments, 0));
    *ret = (struct fraction){.arguments = arguments,
                             .first = by_value,
                             .count = logic_argument_count(arguments) - by_value,
                             .by_value = by_value};
    if (!ret->count) compiler_fault(compiler, "\"fractional\" has no entries: [result, weight]");
    for (size_t i = 0; i < ret->count; i++)
        check_entry(compiler, ret, i);
    if (ret->total > FRACTION_WEIGHT_MAX)
        compiler_fault(compiler, "the weights are %.0f in all; at most %d", ret->total, FRACTION_WEIGHT_MAX);
    return compiler->faults->errors == errors;
}

static void write_weights(struct compiler *compiler, const struct fraction *fraction) {
    for (size_t i = 0; i < fraction->count && !compiler->large; i++) {
        const json_t *entry = entry_of(fraction, i);
        size_t len = emit_enter(compiler, fraction->arguments, fraction->first + i);
        if (json_array_size(entry) > 1)
            emit_argument(compiler, entry, 1);
        else {
            size_t index = emit_values(compiler, 1);
            emit_put(compiler, index, logic_number(1));
            emit_step(compiler, STEP_VALUE, 0, index);
            compiler_push(compiler, compiler->height);
        }
        emit_back(compiler, len);
    }
}

/* A row of the table in logic_impl.h. */
static void put_row(struct compiler *compiler, size_t index, double sum, uint32_t count) {
    struct logic_value row = logic_number(sum);
    row.count = count;
    emit_put(compiler, index, row);
}

/* Each entry's result, and the table that leads to them. */
static void write_entries(struct compiler *compiler, const struct fraction *fraction, size_t table) {
    unsigned height = compiler->height;
    uint32_t ends = 0;
    double sum = 0;
    for (size_t i = 0; i < fraction->count && !compiler->large; i++) {
        const json_t *entry = entry_of(fraction, i);
        size_t len = emit_enter(compiler, fraction->arguments, fraction->first + i);
        if (!fraction->computed) sum += constant_weight(entry);
        put_row(compiler, table + 1 + i, sum, emit_count(compiler));
        compiler->height = height;
        emit_argument(compiler, entry, 0);
        ends = emit_step(compiler, STEP_GO, 0, ends) + 1;
        emit_back(compiler, len);
    }
    put_row(compiler, table + 1 + fraction->count, 0, emit_count(compiler));
    emit_constant(compiler, NULL);
    emit_land(compiler, ends);
}

/* For the faults inside one that is refused. */
static void walk_entries(struct compiler *compiler, const struct fraction *fraction) {
    unsigned height = compiler->height;
    if (fraction->by_value) emit_argument(compiler, fraction->arguments, 0);
    for (size_t i = 0; i < fraction->count && !compiler->large; i++) {
        const json_t *entry = entry_of(fraction, i);
        size_t len = emit_enter(compiler, fraction->arguments, fraction->first + i);
        for (size_t n = 0; n < json_array_size(entry); n++) {
            compiler->height = height;
            emit_argument(compiler, entry, n);
        }
        emit_back(compiler, len);
    }
}

void emit_fraction(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    struct fraction fraction;
    unsigned height = compiler->height;
    compiler->inside = true;
    if (!check_fraction(compiler, arguments, &fraction)) {
        walk_entries(compiler, &fraction);
        return;
    }
    size_t table = emit_values(compiler, fraction.count + 2);
    put_row(compiler, table, fraction.total,
            (fraction.by_value ? FRACTION_BY_VALUE : 0) | (fraction.computed ? FRACTION_COMPUTED : 0));
    if (fraction.by_value) emit_argument(compiler, arguments, 0);
    if (fraction.computed) write_weights(compiler, &fraction);
    emit_step(compiler, STEP_FRACTION, fraction.count, table);
    compiler->height = height;
    write_entries(compiler, &fraction, table);
    if (compiler->scope || json_is_string(logic_argument(arguments, 0))) return;
    emit_name(compiler, SLICE_LIT("targetingKey"));
    compiler->reads.flag = true;
    if (!fraction.by_value) compiler->reads.key = true;
}

/* ---- sem_ver ---- */

/* Not refused: a comparison with what is no version is null, and flagd takes it. */
static void check_version(struct compiler *compiler, const json_t *arguments, size_t i) {
    const json_t *version = logic_argument(arguments, i);
    if (json_is_object(version)) return;
    struct logic_value value = logic_null();
    if (json_is_string(version))
        value = logic_text((struct slice){json_string_value(version), json_string_length(version)});
    if (json_is_number(version)) value = logic_number(json_number_value(version));
    size_t len = emit_enter(compiler, arguments, i);
    if (!sem_ver_is(&value)) compiler_warn(compiler, "this is no version, so the comparison is always null");
    emit_back(compiler, len);
}

void emit_version(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    const json_t *text = logic_argument(arguments, 1);
    enum sem_ver_operator operator_ = VERSION_EQUAL;
    size_t len = emit_enter(compiler, arguments, 1);
    compiler->inside = true;
    if (!json_is_string(text) || !sem_ver_operator_of(slice_of(json_string_value(text)), &operator_))
        compiler_fault(compiler, "the second argument of \"sem_ver\" is one of = != < <= > >= ^ ~");
    emit_back(compiler, len);
    check_version(compiler, arguments, 0);
    check_version(compiler, arguments, 2);
    emit_argument(compiler, arguments, 0);
    emit_argument(compiler, arguments, 2);
    emit_step(compiler, operation->code, 2, operator_);
}

/* ---- $ref ---- */

static bool is_open(const struct compiler *compiler, const char *name) {
    for (const struct open_ref *ref = compiler->ref; ref; ref = ref->outer)
        if (strcmp(ref->name, name) == 0) return true;
    return false;
}

/* One fault here for all that are there: they are told where they stand when the evaluators are checked. */
static void tell_fault(struct compiler *compiler, const char *name, const struct faults *inner) {
    const struct fault *first = NULL;
    for (size_t i = 0; i < inner->count && !first; i++)
        if (!inner->items[i].warning) first = inner->items + i;
    if (inner->failed) compiler->faults->failed = 1;
    if (first)
        compiler_fault(compiler, "\"%.40s\" is not valid: %s%s%s", name, first->at, *first->at ? ": " : "",
                       first->message);
}

static void follow(struct compiler *compiler, const char *name, const json_t *rule) {
    const struct open_ref ref = {compiler->ref, name};
    struct faults inner = FAULTS_INIT, *outer = compiler->faults;
    struct str pointer = compiler->pointer;
    compiler->ref = &ref;
    compiler->faults = &inner;
    compiler->pointer = STR_INIT;
    emit_value(compiler, rule);
    if (compiler->pointer.failed) inner.failed = 1;
    str_deinit(&compiler->pointer);
    compiler->pointer = pointer;
    compiler->faults = outer;
    compiler->ref = ref.outer;
    tell_fault(compiler, name, &inner);
    faults_deinit(&inner);
}

void emit_ref(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    const char *name = json_string_value(logic_argument(arguments, 0));
    const json_t *rule = name ? json_object_get(compiler->evaluators, name) : NULL;
    if (!name)
        compiler_fault(compiler, "\"$ref\" takes the name of an evaluator, a text");
    else if (!rule)
        compiler_fault(compiler, "there is no evaluator \"%.40s\"", name);
    else if (is_open(compiler, name))
        compiler_fault(compiler, "\"%.40s\" refers to itself in a circle", name);
    else
        follow(compiler, name, rule);
}
