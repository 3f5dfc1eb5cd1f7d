/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON with the place of each value. jansson tells no places, so the text is gone through a second time after it
 * was found to be well-formed; this pass may therefore skip over anything without judging it.
 */
#include "model/config.h"
#include "model/model_impl.h"

#include <string.h>

struct scan {
    const char *p, *end;
    unsigned line, column;
    const struct source_target *target;
};

static void step(struct scan *scan) {
    unsigned char c = (unsigned char)*scan->p++;

    if (c == '\n') {
        scan->line++;
        scan->column = 1;
    } else if ((c & 0xc0) != 0x80) {
        scan->column++;
    }
}

static bool at(const struct scan *scan, const char *set) {
    return scan->p < scan->end && *scan->p != '\0' && strchr(set, *scan->p) != NULL;
}

static void skip_space(struct scan *scan) {
    while (at(scan, " \t\r\n")) {
        step(scan);
    }
}

/* Goes over a string; *ret is its text with the quotes. */
static void skip_string(struct scan *scan, struct slice *ret) {
    const char *start = scan->p;

    step(scan);
    while (scan->p < scan->end && *scan->p != '"') {
        if (*scan->p == '\\') step(scan);
        step(scan);
    }
    step(scan);
    *ret = (struct slice){start, (size_t)(scan->p - start)};
}

static void scan_value(struct scan *scan, struct source_node *node);

static struct source_node *add_member(struct scan *scan, struct source_node *parent, struct slice quoted,
                                      struct source_spot spot) {
    _cleanup_(json_decrefp) json_t *key = NULL;
    if (json_parse(quoted.ptr, quoted.len, 1, &key, NULL) < 0) {
        source_map_fail(scan->target->map);
        return NULL;
    }
    return source_node_add(scan->target->map, parent, json_string_value(key), 0, spot);
}

static void scan_object(struct scan *scan, struct source_node *node) {
    struct slice key;

    step(scan);
    for (skip_space(scan); at(scan, "\""); skip_space(scan)) {
        struct source_spot spot = {scan->target->file, scan->line, scan->column};
        skip_string(scan, &key);
        struct source_node *member = add_member(scan, node, key, spot);
        skip_space(scan);
        step(scan);
        scan_value(scan, member);
        if (at(scan, ",")) step(scan);
    }
    step(scan);
}

static void scan_array(struct scan *scan, struct source_node *node) {
    size_t index = 0;

    step(scan);
    for (skip_space(scan); scan->p < scan->end && *scan->p != ']'; skip_space(scan)) {
        struct source_spot spot = {scan->target->file, scan->line, scan->column};
        scan_value(scan, source_node_add(scan->target->map, node, NULL, index++, spot));
        if (at(scan, ",")) step(scan);
    }
    step(scan);
}

static void scan_value(struct scan *scan, struct source_node *node) {
    struct slice text;

    skip_space(scan);
    if (at(scan, "{")) {
        scan_object(scan, node);
    } else if (at(scan, "[")) {
        scan_array(scan, node);
    } else if (at(scan, "\"")) {
        skip_string(scan, &text);
    } else {
        while (scan->p < scan->end && !at(scan, ",]} \t\r\n")) {
            step(scan);
        }
    }
    skip_space(scan);
}

int source_json(const struct source_text *text, const struct source_target *target, json_t **ret, struct err *err) {
    struct scan scan = {text->bytes.ptr, text->bytes.ptr + text->bytes.len, text->line_offset + 1, 1, target};
    struct err own = ERR_INIT;
    json_t *value;
    int r;

    r = json_parse(text->bytes.ptr, text->bytes.len, CONFIG_DEPTH_MAX, &value, &own);
    if (r < 0) {
        if (err) *err = own;
        return source_text_err(text, r, own.line, own.column, err);
    }
    if (target->map) {
        skip_space(&scan);
        source_node_replace(target->node, (struct source_spot){target->file, scan.line, scan.column});
        scan_value(&scan, target->node);
    }
    if (target->map && source_map_failed(target->map)) {
        json_decref(value);
        return err_no_memory(err);
    }
    *ret = value;
    return 0;
}
