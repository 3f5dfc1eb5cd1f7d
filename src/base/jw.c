/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jw.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

#define DEPTH_MAX 63

/* What stands before every value: a comma when the level has items already, and the key. */
static void begin(struct jw *jw, const char *key) {
    uint64_t bit = UINT64_C(1) << jw->depth;
    if (jw->has_items & bit) str_add_char(jw->out, ',');
    jw->has_items |= bit;
    if (!key) return;
    str_add_json(jw->out, key, strlen(key));
    str_add_char(jw->out, ':');
}

static void open_level(struct jw *jw, const char *key, char bracket) {
    begin(jw, key);
    str_add_char(jw->out, bracket);
    if (jw->depth == DEPTH_MAX) {
        jw->out->failed = true;
        return;
    }
    jw->depth++;
    jw->has_items &= ~(UINT64_C(1) << jw->depth);
}

static void close_level(struct jw *jw, char bracket) {
    str_add_char(jw->out, bracket);
    if (jw->depth == 0) {
        jw->out->failed = true;
        return;
    }
    jw->depth--;
}

void jw_object(struct jw *jw, const char *key) {
    open_level(jw, key, '{');
}

void jw_array(struct jw *jw, const char *key) {
    open_level(jw, key, '[');
}

void jw_end_object(struct jw *jw) {
    close_level(jw, '}');
}

void jw_end_array(struct jw *jw) {
    close_level(jw, ']');
}

void jw_text(struct jw *jw, const char *key, const char *value) {
    if (!value) {
        jw_null(jw, key);
        return;
    }
    jw_slice(jw, key, slice_of(value));
}

void jw_slice(struct jw *jw, const char *key, struct slice value) {
    begin(jw, key);
    str_add_json(jw->out, value.ptr, value.len);
}

void jw_printf(struct jw *jw, const char *key, const char *fmt, ...) {
    struct str text = STR_INIT;
    va_list args;
    va_start(args, fmt);
    str_vprintf(&text, fmt, args);
    va_end(args);
    jw_slice(jw, key, str_slice(&text));
    if (text.failed) jw->out->failed = true;
    str_deinit(&text);
}

void jw_int(struct jw *jw, const char *key, int64_t value) {
    begin(jw, key);
    str_add_int(jw->out, value);
}

void jw_double(struct jw *jw, const char *key, double value) {
    if (!isfinite(value)) {
        jw_null(jw, key);
        return;
    }
    begin(jw, key);
    json_add_double(jw->out, value);
}

void jw_bool(struct jw *jw, const char *key, bool value) {
    jw_raw(jw, key, value ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void jw_null(struct jw *jw, const char *key) {
    jw_raw(jw, key, SLICE_LIT("null"));
}

void jw_raw(struct jw *jw, const char *key, struct slice json) {
    begin(jw, key);
    str_add_slice(jw->out, json);
}
