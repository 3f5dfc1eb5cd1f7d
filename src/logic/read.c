/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that look into the data, and what of the context a rule reads. Inside a loop the data is an item, and nothing of the context is read. A path that
 * is written out is taken apart here; one that is computed may lead anywhere.
 */
#include "logic/logic_impl.h"

#include <string.h>

static void read_all(struct compiler *compiler) {
    if (compiler->scope)
        compiler->scope->keeps = true;
    else
        compiler->reads.whole = compiler->reads.flag = compiler->reads.time = true;
}

static void read_whole(struct compiler *compiler) {
    if (compiler->scope)
        compiler->scope->keeps = true;
    else
        compiler->reads.whole = true;
}

static struct slice name_until_dot(struct slice path) {
    const char *dot = path.len ? memchr(path.ptr, '.', path.len) : NULL;
    return dot ? (struct slice){path.ptr, (size_t)(dot - path.ptr)} : path;
}

/* What `var` takes for a path without computing: a text, a whole number, null. False: it is another value. */
static bool path_of(const json_t *json, char digits[INT_TEXT_MAX], struct slice *ret) {
    *ret = SLICE_LIT("");
    if (json_is_string(json)) *ret = (struct slice){json_string_value(json), json_string_length(json)};
    if (json_is_integer(json))
        *ret = (struct slice){digits, (size_t)(text_from_int(digits, json_integer_value(json)) - digits)};
    return !json || json_is_string(json) || json_is_integer(json) || json_is_null(json);
}

/* ---- var ---- */

static void write_flagd(struct compiler *compiler, struct slice path) {
    if (!compiler->flagd) compiler_fault(compiler, "\"$flagd\" is there for flags only");
    bool key = slice_equal(path, SLICE_LIT("$flagd.flagKey")), time = slice_equal(path, SLICE_LIT("$flagd.timestamp"));
    if (!key && !time && !slice_equal(path, SLICE_LIT("$flagd"))) {
        emit_step(compiler, STEP_NOTHING, 0, 0);
        return;
    }
    if (!time) compiler->reads.flag = true;
    if (!key) compiler->reads.time = true;
    emit_step(compiler, key ? STEP_FLAG_KEY : time ? STEP_TIMESTAMP : STEP_FLAGD, 0, 0);
}

static void write_names(struct compiler *compiler, struct slice path) {
    size_t first = 0, count = 0;
    for (struct slice rest = path;; count++) {
        struct slice name = name_until_dot(rest);
        size_t index = emit_values(compiler, 1);
        emit_put(compiler, index, emit_own_text(compiler, name));
        if (!count) first = index;
        if (name.len == rest.len || !compiler_take(compiler)) break;
        rest = (struct slice){rest.ptr + name.len + 1, rest.len - name.len - 1};
    }
    emit_step(compiler, count ? STEP_PATH : STEP_ATTRIBUTE, count + 1, first);
}

static void write_path(struct compiler *compiler, struct slice path) {
    struct slice name = name_until_dot(path);
    if (!path.len) {
        read_whole(compiler);
        emit_step(compiler, STEP_DATA, 0, 0);
        return;
    }
    if (!compiler->scope && slice_equal(name, SLICE_LIT("$flagd"))) {
        write_flagd(compiler, path);
        return;
    }
    if (!compiler->scope) emit_name(compiler, name);
    write_names(compiler, path);
}

static void write_first(struct compiler *compiler, const json_t *path) {
    char digits[INT_TEXT_MAX];
    struct slice text;
    if (path_of(path, digits, &text))
        write_path(compiler, text);
    else if (json_is_object(path)) {
        read_all(compiler);
        emit_value(compiler, path);
        emit_step(compiler, STEP_FIND, 1, 0);
    } else
        compiler_fault(compiler, "the name of an attribute is a text, a whole number or an operation");
}

void emit_var(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    unsigned height = compiler->height;
    compiler->inside = true;
    size_t len = emit_enter(compiler, arguments, 0);
    write_first(compiler, logic_argument(arguments, 0));
    emit_back(compiler, len);
    if (logic_argument_count(arguments) < 2) return;
    compiler->height = height;
    uint32_t jump = emit_step(compiler, STEP_DEFAULT, 0, 0);
    emit_argument(compiler, arguments, 1);
    emit_land(compiler, jump + 1);
}

/* ---- missing, missing_some ---- */

/* Keys as they are written; what is computed may be any. */
static void read_keys(struct compiler *compiler, const json_t *keys) {
    char digits[INT_TEXT_MAX];
    struct slice path;
    size_t i;
    const json_t *key;
    json_array_foreach(keys, i, key) read_keys(compiler, key);
    if (json_is_array(keys)) return;
    if (!path_of(keys, digits, &path) || slice_equal(name_until_dot(path), SLICE_LIT("$flagd")))
        read_all(compiler);
    else if (!path.len)
        read_whole(compiler);
    else if (!compiler->scope)
        emit_name(compiler, name_until_dot(path));
}

void emit_missing(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    size_t count = logic_argument_count(arguments);
    compiler->inside = true;
    read_keys(compiler, arguments);
    /* Keys that are all written out are one list. */
    if (json_is_array(arguments) && logic_is_constant(arguments) && !json_is_array(logic_argument(arguments, 0))) {
        emit_constant(compiler, arguments);
        emit_step(compiler, STEP_MISSING, 1, 0);
        return;
    }
    for (size_t i = 0; i < count && !compiler->large; i++)
        emit_argument(compiler, arguments, i);
    emit_step(compiler, STEP_MISSING, count, 0);
}

void emit_missing_some(struct compiler *compiler, const struct operation *operation, const json_t *arguments) {
    const json_t *keys = logic_argument(arguments, 1);
    compiler->inside = true;
    read_keys(compiler, keys);
    emit_argument(compiler, arguments, 0);
    size_t len = emit_enter(compiler, arguments, 1);
    if (!json_is_array(keys) && !json_is_object(keys))
        compiler_fault(compiler, "the second argument of \"missing_some\" is a list of names");
    else
        emit_value(compiler, keys);
    emit_back(compiler, len);
    emit_step(compiler, STEP_MISSING_SOME, 2, 0);
}
