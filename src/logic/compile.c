/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JsonLogic to steps. One walk over the rule says every fault and writes the steps; a rule with a fault is thrown away at the end, so the walk need not
 * stop at one. What a $ref names is written where the $ref stands: a program depends on nothing outside. The parts grow apart (steps, values, names, texts) and
 * are laid into one block once their sizes are known.
 */
#include "logic/logic_impl.h"

#include <string.h>

#define NAMES_MAX 250 /* past that a rule counts as one that reads the whole context */

static void compiler_deinit(struct compiler *compiler) {
    str_deinit(&compiler->steps);
    str_deinit(&compiler->values);
    str_deinit(&compiler->texts);
    str_deinit(&compiler->names);
    str_deinit(&compiler->pointer);
}

/* ---- faults ---- */

static const char *at_of(const struct compiler *compiler) {
    return compiler->pointer.data ? compiler->pointer.data : "";
}

PRINTF_LIKE(2, 0)
static const char *format(struct str *text, const char *fmt, va_list args) {
    str_vprintf(text, fmt, args);
    return text->data ? text->data : "";
}

void compiler_fault(struct compiler *compiler, const char *fmt, ...) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    va_list args;
    va_start(args, fmt);
    faults_add(compiler->faults, at_of(compiler), "%s", format(&text, fmt, args));
    va_end(args);
    if (text.failed) compiler->faults->failed = 1;
}

void compiler_warn(struct compiler *compiler, const char *fmt, ...) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    va_list args;
    va_start(args, fmt);
    faults_warn(compiler->faults, at_of(compiler), "%s", format(&text, fmt, args));
    va_end(args);
    if (text.failed) compiler->faults->failed = 1;
}

bool compiler_take(struct compiler *compiler) {
    if (++compiler->taken <= LOGIC_SIZE_MAX) return true;
    if (!compiler->large)
        compiler_fault(compiler, "the rule is too long: at most %d operations and values", LOGIC_SIZE_MAX);
    compiler->large = true;
    return false;
}

/* ---- steps and values ---- */

uint32_t emit_count(const struct compiler *compiler) {
    return (uint32_t)(compiler->steps.len / sizeof(struct logic_step));
}

uint32_t emit_step(struct compiler *compiler, enum logic_code code, size_t count, size_t at) {
    uint32_t index = emit_count(compiler);
    if (!compiler_take(compiler)) return index;
    const struct logic_step step = {.code = (uint16_t)code, .count = (uint16_t)count, .at = (uint32_t)at};
    str_add(&compiler->steps, &step, sizeof(step));
    return index;
}

struct logic_step *emit_step_at(struct compiler *compiler, uint32_t index) {
    if (compiler->large || compiler->steps.failed) return NULL;
    return (struct logic_step *)(void *)compiler->steps.data + index;
}

void emit_land(struct compiler *compiler, uint32_t last) {
    while (last) {
        struct logic_step *jump = emit_step_at(compiler, last - 1);
        if (!jump) return;
        last = jump->at;
        jump->at = emit_count(compiler);
    }
}

static size_t value_count(const struct compiler *compiler) {
    return compiler->values.len / sizeof(struct logic_value);
}

size_t emit_values(struct compiler *compiler, size_t count) {
    static const struct logic_value empty;
    size_t first = value_count(compiler);
    for (size_t i = 0; i < count; i++)
        str_add(&compiler->values, &empty, sizeof(empty));
    return first;
}

void compiler_push(struct compiler *compiler, unsigned height) {
    compiler->height = height + 1;
    if (compiler->height <= LOGIC_WAITING_MAX || compiler->crowded) return;
    compiler->crowded = true;
    compiler_fault(compiler, "too many arguments are computed at once: at most %d", LOGIC_WAITING_MAX);
}

void emit_put(struct compiler *compiler, size_t index, struct logic_value value) {
    if (compiler->large || compiler->values.failed) return;
    ((struct logic_value *)(void *)compiler->values.data)[index] = value;
}

struct logic_value emit_own_text(struct compiler *compiler, struct slice text) {
    size_t offset = compiler->texts.len;
    if (text.len > LOGIC_TEXT_MAX - offset) {
        if (!compiler->large)
            compiler_fault(compiler, "the rule is too long: its texts have at most %d bytes", LOGIC_TEXT_MAX);
        compiler->large = true;
        return logic_null();
    }
    str_add_slice(&compiler->texts, text);
    return logic_text((struct slice){(const char *)(uintptr_t)offset, text.len});
}

void emit_name(struct compiler *compiler, struct slice name) {
    const struct slice *names = (const struct slice *)(const void *)compiler->names.data;
    if (compiler->names.failed || compiler->texts.failed || compiler->reads.whole) return;
    for (uint32_t i = 0; i < compiler->reads.name_count; i++)
        if (slice_equal((struct slice){compiler->texts.data + (uintptr_t)names[i].ptr, names[i].len}, name)) return;
    if (compiler->reads.name_count == NAMES_MAX) {
        compiler->reads.whole = true;
        return;
    }
    struct logic_value text = emit_own_text(compiler, name);
    const struct slice owned = logic_slice(&text);
    str_add(&compiler->names, &owned, sizeof(owned));
    compiler->reads.name_count++;
}

/* ---- constants ---- */

bool logic_is_constant(const json_t *json) {
    size_t i;
    const json_t *item;
    json_array_foreach(json, i, item) if (!logic_is_constant(item)) return false;
    return !json_is_object(json);
}

void emit_items(struct compiler *compiler, size_t first, const json_t *list) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        if (!compiler_take(compiler)) return;
        emit_put_constant(compiler, first + i, item);
    }
}

/* One value more than the list has, so that no two lists are the same. */
static struct logic_value own_list(struct compiler *compiler, const json_t *list) {
    size_t count = json_array_size(list), first = emit_values(compiler, count + 1);
    emit_items(compiler, first, list);
    return (struct logic_value){
        .type = LOGIC_LIST, .count = (uint32_t)count, .items = (const struct logic_value *)(uintptr_t)first};
}

void emit_put_constant(struct compiler *compiler, size_t index, const json_t *json) {
    struct logic_value value = logic_null();
    if (json_is_array(json)) value = own_list(compiler, json);
    if (json_is_boolean(json)) value = logic_bool(json_is_true(json));
    if (json_is_number(json)) value = logic_number(json_number_value(json));
    if (json_is_string(json))
        value = emit_own_text(compiler, (struct slice){json_string_value(json), json_string_length(json)});
    emit_put(compiler, index, value);
}

void emit_constant(struct compiler *compiler, const json_t *json) {
    size_t index = emit_values(compiler, 1);
    emit_put_constant(compiler, index, json);
    emit_step(compiler, STEP_VALUE, 0, index);
}

/* ---- arguments ---- */

size_t logic_argument_count(const json_t *arguments) {
    return json_is_array(arguments) ? json_array_size(arguments) : 1;
}

const json_t *logic_argument(const json_t *arguments, size_t i) {
    return json_is_array(arguments) ? json_array_get(arguments, i) : arguments;
}

size_t emit_enter(struct compiler *compiler, const json_t *arguments, size_t i) {
    size_t len = compiler->pointer.len;
    if (json_is_array(arguments)) json_pointer_add_index(&compiler->pointer, i);
    return len;
}

void emit_back(struct compiler *compiler, size_t len) {
    if (compiler->pointer.failed || !compiler->pointer.data) return;
    compiler->pointer.len = len;
    compiler->pointer.data[len] = '\0';
}

void emit_argument(struct compiler *compiler, const json_t *arguments, size_t i) {
    size_t len = emit_enter(compiler, arguments, i);
    emit_value(compiler, logic_argument(arguments, i));
    emit_back(compiler, len);
}

/* ---- operations ---- */

static void unknown_operation(struct compiler *compiler, const char *name) {
    const char *nearest = operation_nearest(name);
    if (nearest)
        compiler_fault(compiler, "there is no operation \"%.40s\"; did you mean \"%s\"?", name, nearest);
    else
        compiler_fault(compiler, "there is no operation \"%.40s\"", name);
}

static bool count_fits(struct compiler *compiler, const struct operation *operation, size_t count) {
    if (count >= operation->least && (!operation->most || count <= operation->most)) return true;
    const char *more = operation->least == 1 ? "" : "s";
    if (!operation->most)
        compiler_fault(compiler, "\"%s\" takes at least %zu argument%s", operation->name, operation->least, more);
    else if (operation->least == operation->most)
        compiler_fault(compiler, "\"%s\" takes %zu argument%s, not %zu", operation->name, operation->least, more,
                       count);
    else
        compiler_fault(compiler, "\"%s\" takes %zu to %zu arguments, not %zu", operation->name, operation->least,
                       operation->most, count);
    return false;
}

static bool depth_fits(struct compiler *compiler) {
    if (compiler->depth < LOGIC_DEPTH_MAX) return !compiler->deep;
    if (!compiler->deep)
        compiler_fault(compiler, "the rule is too deep: at most %d operations in one another", LOGIC_DEPTH_MAX);
    compiler->deep = true;
    return false;
}

static void write_operation(struct compiler *compiler, const json_t *rule) {
    json_t *object = (json_t *)rule; /* jansson's iterators change nothing */
    if (json_object_size(rule) != 1) {
        compiler_fault(compiler, "an operation is an object with one key, its name");
        return;
    }
    void *iter = json_object_iter(object);
    const char *name = json_object_iter_key(iter);
    const json_t *arguments = json_object_iter_value(iter);
    const struct operation *operation = operation_find(name);
    size_t len = compiler->pointer.len;
    json_pointer_add(&compiler->pointer, name);
    if (!operation)
        unknown_operation(compiler, name);
    else if (depth_fits(compiler) && count_fits(compiler, operation, logic_argument_count(arguments))) {
        compiler->depth++;
        operation->write(compiler, operation, arguments);
        compiler->depth--;
    }
    emit_back(compiler, len);
}

static void write_list(struct compiler *compiler, const json_t *list) {
    size_t count = json_array_size(list);
    for (size_t i = 0; i < count && !compiler->large; i++)
        emit_argument(compiler, list, i);
    emit_step(compiler, STEP_LIST, count, 0);
}

void emit_value(struct compiler *compiler, const json_t *rule) {
    unsigned height = compiler->height;
    if (compiler->large) return;
    if (json_is_object(rule))
        write_operation(compiler, rule);
    else if (logic_is_constant(rule))
        emit_constant(compiler, rule);
    else {
        compiler->inside = true;
        write_list(compiler, rule);
    }
    compiler_push(compiler, height);
}

/* ---- the whole ---- */

static void *lay(char **end, size_t align, const struct str *part) {
    uintptr_t at = ((uintptr_t)*end + align - 1) & ~(uintptr_t)(align - 1);
    if (part->len) memcpy((void *)at, part->data, part->len);
    *end = (char *)at + part->len;
    return (void *)at;
}

static void point_into(struct logic_value *values, size_t count, const char *texts) {
    for (size_t i = 0; i < count; i++) {
        if (values[i].type == LOGIC_TEXT) values[i].text = texts + (uintptr_t)values[i].text;
        if (values[i].type == LOGIC_LIST) values[i].items = values + (uintptr_t)values[i].items;
    }
}

static int lay_out(const struct compiler *compiler, struct logic_rule **ret) {
    static const size_t align = _Alignof(struct logic_value);
    struct logic_rule *rule = malloc(sizeof(*rule) + compiler->steps.len + compiler->values.len + compiler->names.len +
                                     compiler->texts.len + 3 * align);
    if (!rule) return -ERR_NO_MEMORY;
    char *end = (char *)rule->steps;
    (void)lay(&end, _Alignof(struct logic_step), &compiler->steps);
    struct logic_value *values = lay(&end, align, &compiler->values);
    struct slice *names = lay(&end, align, &compiler->names);
    const char *texts = lay(&end, 1, &compiler->texts);
    point_into(values, value_count(compiler), texts);
    for (uint32_t i = 0; i < compiler->reads.name_count; i++)
        names[i].ptr = texts + (uintptr_t)names[i].ptr;
    rule->step_count = emit_count(compiler);
    rule->last_argument = compiler->last_argument;
    rule->operation = compiler->operation;
    rule->values = values;
    rule->reads = compiler->reads;
    rule->reads.names = names;
    *ret = rule;
    return 0;
}

static int refuse(const struct faults *faults, size_t before, struct err *err) {
    const struct fault *first = NULL;
    for (size_t i = before; i < faults->count && !first; i++)
        if (!faults->items[i].warning) first = faults->items + i;
    int r = err_set(err, ERR_INVALID, "the rule is not valid: %s", first ? first->message : "it has too many faults");
    if (first) err_at(err, "%s", first->at);
    return r;
}

static bool has_failed(const struct compiler *compiler) {
    return compiler->steps.failed || compiler->values.failed || compiler->texts.failed || compiler->names.failed ||
           compiler->pointer.failed || compiler->faults->failed;
}

int logic_compile_source(const struct logic_source *source, struct logic_rule **ret, struct faults *faults,
                         struct err *err) {
    _cleanup_(compiler_deinit) struct compiler compiler = {
        .faults = faults, .evaluators = source->evaluators, .flagd = source->flagd, .last_argument = -1};
    size_t before = faults->count, errors = faults->errors;
    str_add_text(&compiler.pointer, source->at);
    emit_value(&compiler, source->rule);
    if (has_failed(&compiler)) return err_no_memory(err);
    if (faults->errors > errors) return refuse(faults, before, err);
    return lay_out(&compiler, ret) < 0 ? err_no_memory(err) : 0;
}

int logic_compile(const json_t *rule, const char *at, struct logic_rule **ret, struct faults *faults, struct err *err) {
    const struct logic_source source = {.rule = rule, .at = at};
    return logic_compile_source(&source, ret, faults, err);
}

/* Each is compiled for its faults alone. */
int logic_check_evaluators(const json_t *evaluators, const char *at, struct faults *faults, struct err *err) {
    size_t before = faults->count, errors = faults->errors;
    const char *name;
    json_t *rule;
    json_object_foreach((json_t *)(uintptr_t)evaluators, name, rule) {
        _cleanup_(str_deinit) struct str pointer = STR_INIT;
        _cleanup_(logic_freep) struct logic_rule *compiled = NULL;
        str_add_text(&pointer, at);
        json_pointer_add(&pointer, name);
        if (pointer.failed) return err_no_memory(err);
        const struct logic_source source = {.rule = rule, .at = pointer.data, .evaluators = evaluators, .flagd = true};
        int r = logic_compile_source(&source, &compiled, faults, NULL);
        if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    }
    return faults->errors > errors ? refuse(faults, before, err) : 0;
}

struct logic_rule *logic_free(struct logic_rule *rule) {
    free(rule);
    return NULL;
}
