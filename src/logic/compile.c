/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JsonLogic to steps. One walk over the rule says every fault and writes the steps; a rule with a fault is thrown away at the end, so the walk need not
 * stop at one. The parts grow apart (steps, values, the texts of the values) and are laid into one block once their sizes are known.
 */
#include "base/suggest.h"
#include "logic/logic_impl.h"

#include <string.h>

struct compiler {
    struct str steps, values, texts; /* a text's `ptr` is its offset in `texts` until all is laid out */
    struct str pointer;              /* to where the walk is */
    struct faults *faults;
    size_t taken; /* of LOGIC_STEPS_MAX */
    unsigned depth;
    bool deep, large; /* told once */
};

struct operation {
    const char *name;
    void (*write)(struct compiler *compiler, const struct operation *operation, const json_t *arguments);
    size_t least, most; /* arguments; most 0: as many as there are */
    enum logic_code code;
};

static void write_value(struct compiler *compiler, const json_t *rule, bool only_truth);

static void compiler_deinit(struct compiler *compiler) {
    str_deinit(&compiler->steps);
    str_deinit(&compiler->values);
    str_deinit(&compiler->texts);
    str_deinit(&compiler->pointer);
}

#define fault(compiler, ...) faults_add((compiler)->faults, at_of(compiler), __VA_ARGS__)

static const char *at_of(const struct compiler *compiler) {
    return compiler->pointer.data ? compiler->pointer.data : "";
}

/* The pointer back to `len`. */
static void back_to(struct compiler *compiler, size_t len) {
    if (compiler->pointer.failed || !compiler->pointer.data) return;
    compiler->pointer.len = len;
    compiler->pointer.data[len] = '\0';
}

/* ---- steps and values ---- */

static bool take_room(struct compiler *compiler) {
    if (++compiler->taken <= LOGIC_STEPS_MAX) return true;
    if (!compiler->large) fault(compiler, "the rule is too long: at most %d operations and values", LOGIC_STEPS_MAX);
    compiler->large = true;
    return false;
}

static uint32_t step_count(const struct compiler *compiler) {
    return (uint32_t)(compiler->steps.len / sizeof(struct logic_step));
}

static void add_step(struct compiler *compiler, enum logic_code code, size_t count, size_t at) {
    if (!take_room(compiler)) return;
    const struct logic_step step = {.code = (uint16_t)code, .count = (uint16_t)count, .at = (uint32_t)at};
    str_add(&compiler->steps, &step, sizeof(step));
}

static size_t value_count(const struct compiler *compiler) {
    return compiler->values.len / sizeof(struct logic_value);
}

static size_t add_value(struct compiler *compiler, struct logic_value value) {
    size_t offset = compiler->texts.len;
    if (value.type == LOGIC_TEXT) {
        str_add_slice(&compiler->texts, value.text);
        value.text.ptr = (const char *)(uintptr_t)offset;
    }
    str_add(&compiler->values, &value, sizeof(value));
    return value_count(compiler) - 1;
}

static struct logic_value value_of(const json_t *json) {
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE:
        return (struct logic_value){.type = LOGIC_BOOL, .truth = json_is_true(json)};
    case JSON_INTEGER:
    case JSON_REAL:
        return (struct logic_value){.type = LOGIC_NUMBER, .number = json_number_value(json)};
    case JSON_STRING:
        return (struct logic_value){.type = LOGIC_TEXT, .text = {json_string_value(json), json_string_length(json)}};
    default:
        return (struct logic_value){.type = LOGIC_NULL};
    }
}

static void write_constant(struct compiler *compiler, struct logic_value value) {
    add_step(compiler, STEP_VALUE, 0, add_value(compiler, value));
}

/* ---- arguments: {"!": x} is {"!": [x]} ---- */

static size_t argument_count(const json_t *arguments) {
    return json_is_array(arguments) ? json_array_size(arguments) : 1;
}

static const json_t *argument(const json_t *arguments, size_t i) {
    return json_is_array(arguments) ? json_array_get(arguments, i) : arguments;
}

static size_t enter_argument(struct compiler *compiler, const json_t *arguments, size_t i) {
    size_t len = compiler->pointer.len;
    if (json_is_array(arguments)) json_pointer_add_index(&compiler->pointer, i);
    return len;
}

static void write_argument(struct compiler *compiler, const json_t *arguments, size_t i, bool only_truth) {
    size_t len = enter_argument(compiler, arguments, i);
    write_value(compiler, argument(arguments, i), only_truth);
    back_to(compiler, len);
}

/* ---- operations ---- */

static void write_plain(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    size_t count = argument_count(arguments);
    for (size_t i = 0; i < count; i++)
        write_argument(compiler, arguments, i, false);
    add_step(compiler, operation->code, count, 0);
}

static void write_truth(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    write_argument(compiler, arguments, 0, true);
    add_step(compiler, operation->code, 1, 0);
}

/* Lets a chain of jumps, each with the number of the one before it plus one, lead to the next step. */
static void land(struct compiler *compiler, uint32_t last) {
    struct logic_step *steps = (struct logic_step *)(void *)compiler->steps.data;
    while (last && !compiler->large && !compiler->steps.failed) {
        uint32_t before = steps[last - 1].at;
        steps[last - 1].at = step_count(compiler);
        last = before;
    }
}

/* All jumps of one `and` or `or` lead behind its last argument. */
static void write_junction(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    size_t count = argument_count(arguments);
    uint32_t last = 0;
    for (size_t i = 0; i < count && !compiler->large; i++) {
        write_argument(compiler, arguments, i, true);
        if (i + 1 == count) break;
        add_step(compiler, operation->code, 0, last);
        last = step_count(compiler);
    }
    land(compiler, last);
}

static void write_list(struct compiler *compiler, const json_t *list) {
    size_t first = value_count(compiler), i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        size_t len = enter_argument(compiler, list, i);
        if (json_is_object(item) || json_is_array(item))
            fault(compiler, "a list holds texts, numbers, booleans and null");
        else if (take_room(compiler))
            add_value(compiler, value_of(item));
        back_to(compiler, len);
    }
    add_step(compiler, STEP_IN_LIST, json_array_size(list), first);
}

static void write_in(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    const json_t *where = argument(arguments, 1);
    write_argument(compiler, arguments, 0, false);
    if (!json_is_array(where)) {
        write_argument(compiler, arguments, 1, false);
        add_step(compiler, operation->code, 2, 0);
        return;
    }
    size_t len = enter_argument(compiler, arguments, 1);
    write_list(compiler, where);
    back_to(compiler, len);
}

/* The path is a text, or a whole number, which is the text of it; without one it is the whole context. */
static void write_path(struct compiler *compiler, const json_t *path) {
    char digits[INT_TEXT_MAX];
    struct slice text = SLICE_LIT("");
    if (json_is_string(path)) text = value_of(path).text;
    if (json_is_integer(path))
        text = (struct slice){digits, (size_t)(text_from_int(digits, json_integer_value(path)) - digits)};
    if (path && !json_is_string(path) && !json_is_integer(path) && !json_is_null(path))
        fault(compiler, "the name of an attribute is a text");
    add_step(compiler, STEP_VAR, 0, add_value(compiler, (struct logic_value){.type = LOGIC_TEXT, .text = text}));
}

static void write_var(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    size_t len = enter_argument(compiler, arguments, 0);
    write_path(compiler, argument(arguments, 0));
    back_to(compiler, len);
    if (argument_count(arguments) < 2) return;
    add_step(compiler, STEP_DEFAULT, 0, 0);
    uint32_t jump = step_count(compiler);
    write_argument(compiler, arguments, 1, false);
    land(compiler, jump);
}

static const struct operation operations[] = {
    {"var", write_var, 0, 2, STEP_VAR},
    {"==", write_plain, 2, 2, STEP_EQUAL},
    {"!=", write_plain, 2, 2, STEP_NOT_EQUAL},
    {"===", write_plain, 2, 2, STEP_SAME},
    {"!==", write_plain, 2, 2, STEP_NOT_SAME},
    {">", write_plain, 2, 2, STEP_GREATER},
    {">=", write_plain, 2, 2, STEP_GREATER_EQUAL},
    {"<", write_plain, 2, 3, STEP_LESS},
    {"<=", write_plain, 2, 3, STEP_LESS_EQUAL},
    {"!", write_truth, 1, 1, STEP_NOT},
    {"!!", write_truth, 1, 1, STEP_TRUTH},
    {"and", write_junction, 1, 0, STEP_AND},
    {"or", write_junction, 1, 0, STEP_OR},
    {"in", write_in, 2, 2, STEP_IN_TEXT},
    {"starts_with", write_plain, 2, 2, STEP_STARTS_WITH},
    {"ends_with", write_plain, 2, 2, STEP_ENDS_WITH},
};

static const struct operation *find_operation(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (strcmp(operations[i].name, name) == 0) return operations + i;
    return NULL;
}

static void unknown_operation(struct compiler *compiler, const char *name) {
    struct suggestion suggestion = SUGGESTION_INIT(name);
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        suggestion_try(&suggestion, operations[i].name);
    if (suggestion.best)
        fault(compiler, "there is no operation \"%.40s\"; did you mean \"%s\"?", name, suggestion.best);
    else
        fault(compiler, "there is no operation \"%.40s\"", name);
}

static bool count_fits(struct compiler *compiler, const struct operation *operation, size_t count) {
    if (count >= operation->least && (!operation->most || count <= operation->most)) return true;
    if (!operation->most)
        fault(compiler, "\"%s\" takes at least %zu argument", operation->name, operation->least);
    else if (operation->least == operation->most)
        fault(compiler, "\"%s\" takes %zu argument%s, not %zu", operation->name, operation->most,
              operation->most == 1 ? "" : "s", count);
    else
        fault(compiler, "\"%s\" takes %zu to %zu arguments, not %zu", operation->name, operation->least,
              operation->most, count);
    return false;
}

static void write_operation(struct compiler *compiler, const json_t *rule) {
    json_t *object = (json_t *)rule; /* jansson's iterators change nothing */
    if (json_object_size(rule) != 1) {
        fault(compiler, "an operation is an object with one key, its name");
        return;
    }
    void *iter = json_object_iter(object);
    const char *name = json_object_iter_key(iter);
    const json_t *arguments = json_object_iter_value(iter);
    const struct operation *operation = find_operation(name);
    size_t len = compiler->pointer.len;
    json_pointer_add(&compiler->pointer, name);
    if (!operation)
        unknown_operation(compiler, name);
    else if (compiler->depth >= LOGIC_DEPTH_MAX && !compiler->deep) {
        compiler->deep = true;
        fault(compiler, "the rule is too deep: at most %d operations in one another", LOGIC_DEPTH_MAX);
    } else if (!compiler->deep && count_fits(compiler, operation, argument_count(arguments))) {
        compiler->depth++;
        operation->write(compiler, operation, arguments);
        compiler->depth--;
    }
    back_to(compiler, len);
}

/* A list counts as its truth where nothing else is asked of it. */
static void write_plain_list(struct compiler *compiler, const json_t *list, bool only_truth) {
    size_t i;
    const json_t *item;
    if (!only_truth) fault(compiler, "a list stands only as the second argument of \"in\"");
    json_array_foreach(list, i, item) {
        if (!json_is_object(item) && !json_is_array(item)) continue;
        fault(compiler, "a list holds texts, numbers, booleans and null");
        return;
    }
    write_constant(compiler, (struct logic_value){.type = LOGIC_BOOL, .truth = json_array_size(list) > 0});
}

static void write_value(struct compiler *compiler, const json_t *rule, bool only_truth) {
    if (compiler->large) return;
    if (json_is_object(rule))
        write_operation(compiler, rule);
    else if (json_is_array(rule))
        write_plain_list(compiler, rule, only_truth);
    else
        write_constant(compiler, value_of(rule));
}

/* ---- the whole ---- */

static int lay_out(const struct compiler *compiler, struct logic_rule **ret) {
    size_t head = sizeof(struct logic_rule) + compiler->steps.len;
    size_t align = _Alignof(struct logic_value);
    head = (head + align - 1) / align * align;
    struct logic_rule *rule = malloc(head + compiler->values.len + compiler->texts.len);
    if (!rule) return -ERR_NO_MEMORY;
    struct logic_value *values = (struct logic_value *)(void *)((char *)rule + head);
    char *texts = (char *)values + compiler->values.len;
    rule->step_count = step_count(compiler);
    rule->values = values;
    if (compiler->steps.len) memcpy(rule->steps, compiler->steps.data, compiler->steps.len);
    if (compiler->values.len) memcpy(values, compiler->values.data, compiler->values.len);
    if (compiler->texts.len) memcpy(texts, compiler->texts.data, compiler->texts.len);
    for (size_t i = 0; i < value_count(compiler); i++)
        if (values[i].type == LOGIC_TEXT) values[i].text.ptr = texts + (uintptr_t)values[i].text.ptr;
    *ret = rule;
    return 0;
}

static int refuse(const struct faults *faults, size_t before, struct err *err) {
    const struct fault *first = before < faults->count ? faults->items + before : NULL;
    int r = err_set(err, ERR_INVALID, "the rule is not valid: %s", first ? first->message : "it has too many faults");
    if (first) err_at(err, "%s", first->at);
    return r;
}

int logic_compile(const json_t *rule, const char *at, struct logic_rule **ret, struct faults *faults, struct err *err) {
    _cleanup_(compiler_deinit) struct compiler compiler = {.faults = faults};
    size_t before = faults->count, errors = faults->errors;
    str_add_text(&compiler.pointer, at);
    write_value(&compiler, rule, true);
    if (compiler.steps.failed || compiler.values.failed || compiler.texts.failed || compiler.pointer.failed ||
        faults->failed)
        return err_no_memory(err);
    if (faults->errors > errors) return refuse(faults, before, err);
    return lay_out(&compiler, ret) < 0 ? err_no_memory(err) : 0;
}

struct logic_rule *logic_free(struct logic_rule *rule) {
    free(rule);
    return NULL;
}
