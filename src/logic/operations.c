/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations, and how those are written whose arguments are not simply all computed before them. */
#include "base/suggest.h"
#include "logic/logic_impl.h"

#include <string.h>

#define IN_ORDER_FROM 12 /* items: fewer are looked through sooner than they are searched */

static void write_plain(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    size_t count = logic_argument_count(arguments);
    compiler->inside = true;
    for (size_t i = 0; i < count && !compiler->large; i++)
        emit_argument(compiler, arguments, i);
    emit_step(compiler, operation->code, count, 0);
}

static int compare_owned(const void *a, const void *b, void *texts) {
    struct slice left = logic_slice(a), right = logic_slice(b);
    left.ptr = (const char *)texts + (uintptr_t)left.ptr;
    right.ptr = (const char *)texts + (uintptr_t)right.ptr;
    return text_place(left, right);
}

/* A long list of texts is put in order, because whole segments of users are written as lists. False: it is left as it is. */
static bool put_in_order(struct compiler *compiler, size_t first, const json_t *list) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) if (!json_is_string(item)) return false;
    if (i < IN_ORDER_FROM || compiler->large || compiler->values.failed || compiler->texts.failed) return false;
    qsort_r((struct logic_value *)(void *)compiler->values.data + first, i, sizeof(struct logic_value), compare_owned,
            compiler->texts.data);
    return true;
}

static void write_in(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    const json_t *where = logic_argument(arguments, 1);
    if (!json_is_array(where) || !logic_is_constant(where)) {
        write_plain(compiler, operation, arguments);
        return;
    }
    compiler->inside = true;
    emit_argument(compiler, arguments, 0);
    size_t len = emit_enter(compiler, arguments, 1), count = json_array_size(where),
           first = emit_values(compiler, count);
    emit_items(compiler, first, where);
    bool in_order = put_in_order(compiler, first, where);
    emit_step(compiler, in_order ? STEP_IN_TEXTS : STEP_IN_LIST, count, first);
    emit_back(compiler, len);
}

/* Whether this is the outermost operation, whose arguments are told apart; from here on it is another one. */
static bool is_outermost(struct compiler *compiler, const struct operation *operation) {
    if (compiler->inside) return false;
    compiler->inside = true;
    compiler->operation = operation->name;
    return true;
}

/* All jumps of one `and` or `or` lead behind its last argument. */
static void write_junction(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    bool outermost = is_outermost(compiler, operation);
    size_t count = logic_argument_count(arguments);
    unsigned height = compiler->height;
    uint32_t last = 0;
    for (size_t i = 0; i < count && !compiler->large; i++) {
        compiler->height = height;
        emit_argument(compiler, arguments, i);
        if (i + 1 < count) last = emit_step(compiler, operation->code, outermost ? i + 1 : 0, last) + 1;
    }
    emit_land(compiler, last);
    if (outermost) compiler->last_argument = (int32_t)count - 1;
}

/* Pairs of a condition and what it gives; one more argument is what else is given. */
static void write_if(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    bool outermost = is_outermost(compiler, operation);
    size_t count = logic_argument_count(arguments), i = 0;
    unsigned height = compiler->height;
    uint32_t ends = 0;
    for (; i + 1 < count && !compiler->large; i += 2) {
        emit_argument(compiler, arguments, i);
        compiler->height = height;
        uint32_t unless = emit_step(compiler, STEP_UNLESS, 0, 0);
        emit_argument(compiler, arguments, i + 1);
        compiler->height = height;
        ends = emit_step(compiler, STEP_GO, outermost ? i + 2 : 0, ends) + 1;
        emit_land(compiler, unless + 1);
    }
    if (i < count)
        emit_argument(compiler, arguments, i);
    else
        emit_constant(compiler, NULL);
    emit_land(compiler, ends);
    if (outermost) compiler->last_argument = i < count ? (int32_t)i : -1;
}

/* The list, with reduce what it begins with, the step, and the body behind it. */
static void write_loop(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    struct scope scope = {0}, *outer = compiler->scope;
    unsigned height = compiler->height;
    compiler->inside = true;
    emit_argument(compiler, arguments, 0);
    if (logic_argument_count(arguments) > 2)
        emit_argument(compiler, arguments, 2);
    else if (operation->code == STEP_REDUCE) {
        emit_constant(compiler, NULL);
        compiler_push(compiler, compiler->height);
    }
    compiler->height = height;
    uint32_t loop = emit_step(compiler, operation->code, 0, 0);
    compiler->scope = &scope;
    emit_argument(compiler, arguments, 1);
    compiler->scope = outer;
    struct logic_step *step = emit_step_at(compiler, loop);
    if (!step) return;
    step->at = emit_count(compiler);
    step->count = scope.keeps;
}

static const struct operation operations[] = {
    {"var", emit_var, 0, 2, STEP_FIND},
    {"missing", emit_missing, 0, 0, STEP_MISSING},
    {"missing_some", emit_missing_some, 2, 2, STEP_MISSING_SOME},
    {"if", write_if, 0, 0, STEP_UNLESS},
    {"?:", write_if, 0, 0, STEP_UNLESS},
    {"and", write_junction, 1, 0, STEP_AND},
    {"or", write_junction, 1, 0, STEP_OR},
    {"!", write_plain, 1, 1, STEP_NOT},
    {"!!", write_plain, 1, 1, STEP_TRUTH},
    {"==", write_plain, 2, 2, STEP_EQUAL},
    {"!=", write_plain, 2, 2, STEP_NOT_EQUAL},
    {"===", write_plain, 2, 2, STEP_SAME},
    {"!==", write_plain, 2, 2, STEP_NOT_SAME},
    {">", write_plain, 2, 2, STEP_GREATER},
    {">=", write_plain, 2, 2, STEP_GREATER_EQUAL},
    {"<", write_plain, 2, 3, STEP_LESS},
    {"<=", write_plain, 2, 3, STEP_LESS_EQUAL},
    {"+", write_plain, 0, 0, STEP_ADD},
    {"-", write_plain, 1, 2, STEP_SUBTRACT},
    {"*", write_plain, 1, 0, STEP_MULTIPLY},
    {"/", write_plain, 2, 2, STEP_DIVIDE},
    {"%", write_plain, 2, 2, STEP_MODULO},
    {"min", write_plain, 1, 0, STEP_MIN},
    {"max", write_plain, 1, 0, STEP_MAX},
    {"cat", write_plain, 0, 0, STEP_CAT},
    {"substr", write_plain, 2, 3, STEP_SUBSTR},
    {"in", write_in, 2, 2, STEP_IN},
    {"merge", write_plain, 0, 0, STEP_MERGE},
    {"map", write_loop, 2, 2, STEP_MAP},
    {"filter", write_loop, 2, 2, STEP_FILTER},
    {"reduce", write_loop, 2, 3, STEP_REDUCE},
    {"all", write_loop, 2, 2, STEP_ALL},
    {"none", write_loop, 2, 2, STEP_NONE},
    {"some", write_loop, 2, 2, STEP_SOME},
    {"starts_with", write_plain, 2, 2, STEP_STARTS_WITH},
    {"ends_with", write_plain, 2, 2, STEP_ENDS_WITH},
    {"fractional", emit_fraction, 1, 0, STEP_FRACTION},
    {"sem_ver", emit_version, 3, 3, STEP_SEM_VER},
    {"$ref", emit_ref, 1, 1, STEP_VALUE},
};

const struct operation *operation_find(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (strcmp(operations[i].name, name) == 0) return operations + i;
    return NULL;
}

const char *operation_nearest(const char *name) {
    struct suggestion suggestion = SUGGESTION_INIT(name);
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        suggestion_try(&suggestion, operations[i].name);
    return suggestion.best;
}
