/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML, as much of it as configurations need: libyaml reads the syntax and hands over events; everything that they
 * mean is decided here. Texts are read by YAML 1.2's core schema, so `no`, `on` and `12:30` stay texts. What could make the
 * same file mean different things to different readers is refused: tags, merge keys, a key given twice, a second
 * document. Aliases are expanded into copies, and counted as expanded, so that a small text cannot grow without end.
 */
#include "model/config.h"
#include "model/model_impl.h"

#include <string.h>
#include <yaml.h>

#define NODES_MAX 100000
#define ANCHORS_MAX 1000
#define BYTES_MAX (4 * 1024 * 1024)

/* What was built, and what it takes to build it again. */
struct built {
    json_t *value;
    size_t nodes, bytes;
    unsigned height; /* containers from here down to the deepest */
};

struct anchor {
    char *name;
    struct built built;
};

struct yaml {
    yaml_parser_t parser;
    const struct source_text *text;
    const struct source_target *target;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t nodes, bytes;
    struct err *err;
};

static int build(struct yaml *yaml, const yaml_event_t *event, unsigned depth, struct source_node *node,
                 struct built *ret);

/* ---- errors ---- */

static int fail_at(struct yaml *yaml, yaml_mark_t mark, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail_at(struct yaml *yaml, yaml_mark_t mark, const char *fmt, ...) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    va_list args;

    va_start(args, fmt);
    str_vprintf(&words, fmt, args);
    va_end(args);
    if (words.failed) return err_no_memory(yaml->err);
    int r = err_set(yaml->err, ERR_MALFORMED_YAML, "malformed YAML: %s", words.data);
    return source_text_err(yaml->text, r, (unsigned)mark.line + 1, (unsigned)mark.column + 1, yaml->err);
}

/* libyaml tells a byte, and no line, of a character that YAML does not have. */
static yaml_mark_t mark_of_byte(struct slice text, size_t offset) {
    yaml_mark_t mark = {0};

    for (size_t i = 0; i < offset && i < text.len; i++) {
        bool line_end = text.ptr[i] == '\n';
        mark.line += line_end;
        mark.column = line_end ? 0 : mark.column + (((unsigned char)text.ptr[i] & 0xc0) != 0x80);
    }
    return mark;
}

static int fail_of_library(struct yaml *yaml) {
    const yaml_parser_t *parser = &yaml->parser;
    const char *problem = parser->problem ? parser->problem : "it cannot be understood";

    if (parser->error == YAML_MEMORY_ERROR) return err_no_memory(yaml->err);
    if (parser->error == YAML_READER_ERROR) {
        return fail_at(yaml, mark_of_byte(yaml->text->bytes, parser->problem_offset), "%s", problem);
    }
    int r = parser->context ? fail_at(yaml, parser->problem_mark, "%s %s", problem, parser->context)
                            : fail_at(yaml, parser->problem_mark, "%s", problem);
    if (strstr(problem, "cannot start any token")) {
        err_remedy(yaml->err, "Indent with spaces, not tabs, and put a text that begins with @, ` or %% in quotes");
    }
    return r;
}

/* ---- events ---- */

static void event_deletep(yaml_event_t *event) {
    yaml_event_delete(event);
}

static int next(struct yaml *yaml, yaml_event_t *ret) {
    return yaml_parser_parse(&yaml->parser, ret) ? 0 : fail_of_library(yaml);
}

static const char *tag_of(const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

static const char *anchor_of(const yaml_event_t *event) {
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return (const char *)event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return (const char *)event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return (const char *)event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static int count(struct yaml *yaml, yaml_mark_t mark, size_t nodes, size_t bytes) {
    yaml->nodes += nodes;
    yaml->bytes += bytes;
    if (yaml->nodes > NODES_MAX) return fail_at(yaml, mark, "more than %d values, with aliases expanded", NODES_MAX);
    if (yaml->bytes > BYTES_MAX) return fail_at(yaml, mark, "more than %d bytes, with aliases expanded", BYTES_MAX);
    return 0;
}

static struct slice text_of(const yaml_event_t *event) {
    return (struct slice){(const char *)event->data.scalar.value, event->data.scalar.length};
}

static bool is_plain(const yaml_event_t *event) {
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* ---- the core schema ---- */

static bool is_one_of(struct slice text, const char *const *words) {
    for (; *words; words++) {
        if (slice_equal_text(text, *words)) return true;
    }
    return false;
}

static size_t digits(struct slice text, size_t from, const char *set) {
    size_t len = 0;
    while (from + len < text.len && text.ptr[from + len] != '\0' && strchr(set, text.ptr[from + len])) {
        len++;
    }
    return len;
}

#define DECIMAL "0123456789"

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? ; also the integers. */
static bool is_decimal(struct slice text) {
    size_t at = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    size_t whole = digits(text, at, DECIMAL), fraction = 0;

    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        fraction = digits(text, at + 1, DECIMAL);
        at += 1 + fraction;
    }
    if (whole + fraction == 0) return false;
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        at += at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+');
        size_t exponent = digits(text, at, DECIMAL);
        if (exponent == 0) return false;
        at += exponent;
    }
    return at == text.len;
}

/* The same number as JSON writes it: no plus, no zeros in front, digits on both sides of the point. */
static void add_json_number(struct str *out, struct slice text) {
    size_t at = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');

    if (text.ptr[0] == '-') str_add_char(out, '-');
    at += digits(text, at, "0");
    if (digits(text, at, DECIMAL) == 0) str_add_char(out, '0');
    for (; at < text.len; at++) {
        str_add_char(out, text.ptr[at]);
        if (text.ptr[at] == '.' && digits(text, at + 1, DECIMAL) == 0) str_add_char(out, '0');
    }
}

static int decimal_value(struct yaml *yaml, const yaml_event_t *event, json_t **ret) {
    _cleanup_(str_deinit) struct str number = STR_INIT;
    char shown[SHOW_SIZE];
    int r;

    add_json_number(&number, text_of(event));
    if (number.failed) return err_no_memory(yaml->err);
    r = json_parse(number.data, number.len, 1, ret, NULL);
    if (r == -ERR_NO_MEMORY) return err_no_memory(yaml->err);
    if (r < 0) {
        return fail_at(yaml, event->start_mark, "the number %s is too large; put it in quotes to keep it as a text",
                       show_slice(text_of(event), shown));
    }
    return 0;
}

/* 0o17 and 0x1F */
static bool is_based(struct slice text) {
    if (text.len < 3 || text.ptr[0] != '0') return false;
    const char *set = text.ptr[1] == 'o' ? "01234567" : text.ptr[1] == 'x' ? DECIMAL "abcdefABCDEF" : "";
    return digits(text, 2, set) == text.len - 2;
}

static int based_value(struct yaml *yaml, const yaml_event_t *event, json_t **ret) {
    struct slice text = text_of(event);
    uint64_t value = 0, base = text.ptr[1] == 'o' ? 8 : 16;

    for (size_t i = 2; i < text.len; i++) {
        char c = text.ptr[i];
        uint64_t digit = (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        if (value > (INT64_MAX - digit) / base) return fail_at(yaml, event->start_mark, "the number is too large");
        value = value * base + digit;
    }
    *ret = json_integer((json_int_t)value);
    return *ret ? 0 : err_no_memory(yaml->err);
}

static int plain_value(struct yaml *yaml, const yaml_event_t *event, json_t **ret) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const beyond[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                         "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};
    struct slice text = text_of(event);

    if (is_decimal(text)) return decimal_value(yaml, event, ret);
    if (is_based(text)) return based_value(yaml, event, ret);
    if (is_one_of(text, beyond)) {
        return fail_at(yaml, event->start_mark, "JSON has no number %.*s; put it in quotes to keep it as a text",
                       (int)text.len, text.ptr);
    }
    if (is_one_of(text, nulls)) {
        *ret = json_null();
    } else if (is_one_of(text, trues)) {
        *ret = json_true();
    } else if (is_one_of(text, falses)) {
        *ret = json_false();
    } else {
        *ret = json_stringn(text.ptr, text.len);
    }
    return *ret ? 0 : err_no_memory(yaml->err);
}

static int check_characters(struct yaml *yaml, const yaml_event_t *event) {
    struct slice text = text_of(event);

    if (memchr(text.ptr, '\0', text.len)) return fail_at(yaml, event->start_mark, "the text holds a NUL character");
    return 0;
}

static int build_scalar(struct yaml *yaml, const yaml_event_t *event, struct built *ret) {
    struct slice text = text_of(event);
    int r;

    r = check_characters(yaml, event);
    if (r < 0) return r;
    r = count(yaml, event->start_mark, 1, text.len);
    if (r < 0) return r;
    if (is_plain(event)) return plain_value(yaml, event, &ret->value);
    ret->value = json_stringn(text.ptr, text.len);
    return ret->value ? 0 : err_no_memory(yaml->err);
}

/* ---- anchors ---- */

static int keep_anchor(struct yaml *yaml, const yaml_event_t *event, const struct built *built) {
    struct anchor *anchor = &yaml->anchors[yaml->anchor_count];

    if (!anchor_of(event)) return 0;
    if (yaml->anchor_count == ANCHORS_MAX) {
        return fail_at(yaml, event->start_mark, "more than %d anchors", ANCHORS_MAX);
    }
    *anchor = (struct anchor){strdup(anchor_of(event)), *built};
    if (!anchor->name) return err_no_memory(yaml->err);
    json_incref(anchor->built.value);
    yaml->anchor_count++;
    return 0;
}

/* The newest of that name. One that is still being built is not there yet, so that nothing can hold itself. */
static const struct anchor *find_anchor(const struct yaml *yaml, const char *name) {
    for (size_t i = yaml->anchor_count; i > 0; i--) {
        if (strcmp(yaml->anchors[i - 1].name, name) == 0) return &yaml->anchors[i - 1];
    }
    return NULL;
}

static int build_alias(struct yaml *yaml, const yaml_event_t *event, unsigned depth, struct built *ret) {
    const char *name = (const char *)event->data.alias.anchor;
    const struct anchor *anchor = find_anchor(yaml, name);
    char shown[SHOW_SIZE];
    int r;

    if (!anchor) return fail_at(yaml, event->start_mark, "there is no anchor &%s before this", show_text(name, shown));
    if (depth + anchor->built.height > CONFIG_DEPTH_MAX) {
        return fail_at(yaml, event->start_mark, "nested deeper than %d levels", CONFIG_DEPTH_MAX);
    }
    r = count(yaml, event->start_mark, anchor->built.nodes, anchor->built.bytes);
    if (r < 0) return r;
    ret->value = json_deep_copy(anchor->built.value);
    ret->height = anchor->built.height;
    return ret->value ? 0 : err_no_memory(yaml->err);
}

/* ---- containers ---- */

static struct source_node *add_node(struct yaml *yaml, struct source_node *parent, const char *key, size_t index,
                                    yaml_mark_t mark) {
    struct source_spot spot = {yaml->target->file, (unsigned)mark.line + 1 + yaml->text->line_offset,
                               (unsigned)mark.column + 1};
    return source_node_add(yaml->target->map, parent, key, index, spot);
}

static void grow(struct built *container, const struct built *member) {
    if (member->height + 1 > container->height) container->height = member->height + 1;
}

static int build_sequence(struct yaml *yaml, unsigned depth, struct source_node *node, struct built *ret) {
    ret->value = json_array();
    ret->height = 1;
    for (size_t index = 0;; index++) {
        _cleanup_(event_deletep) yaml_event_t event = {0};
        struct built item = {0};
        int r = next(yaml, &event);
        if (r < 0) return r;
        if (event.type == YAML_SEQUENCE_END_EVENT) return ret->value ? 0 : err_no_memory(yaml->err);
        r = build(yaml, &event, depth + 1, add_node(yaml, node, NULL, index, event.start_mark), &item);
        if (r < 0) return r;
        grow(ret, &item);
        if (json_array_append_new(ret->value, item.value) < 0) return err_no_memory(yaml->err);
    }
}

static int check_key(struct yaml *yaml, const yaml_event_t *event, const json_t *object) {
    struct slice text;
    char shown[SHOW_SIZE];
    int r;

    if (event->type != YAML_SCALAR_EVENT) {
        return fail_at(yaml, event->start_mark, "a key must be a text; put a text that begins with { or [ in quotes");
    }
    if (tag_of(event)) return fail_at(yaml, event->start_mark, "tags are not taken");
    text = text_of(event);
    r = check_characters(yaml, event);
    if (r < 0) return r;
    if (is_plain(event) && text.len == 0) return fail_at(yaml, event->start_mark, "a key is missing before the colon");
    if (is_plain(event) && slice_equal_text(text, "<<")) {
        return fail_at(yaml, event->start_mark, "merge keys (<<) are not taken; write the members out");
    }
    if (json_object_getn(object, text.ptr, text.len)) {
        return fail_at(yaml, event->start_mark, "the key \"%s\" is given twice", show_slice(text, shown));
    }
    return count(yaml, event->start_mark, 0, text.len);
}

static int build_member(struct yaml *yaml, const yaml_event_t *key, unsigned depth, struct source_node *node,
                        struct built *ret) {
    _cleanup_(event_deletep) yaml_event_t event = {0};
    struct built member = {0};
    const char *name = (const char *)key->data.scalar.value;
    int r;

    r = check_key(yaml, key, ret->value);
    if (r < 0) return r;
    r = next(yaml, &event);
    if (r < 0) return r;
    r = build(yaml, &event, depth + 1, add_node(yaml, node, name, 0, key->start_mark), &member);
    if (r < 0) return r;
    grow(ret, &member);
    return json_object_set_new(ret->value, name, member.value) < 0 ? err_no_memory(yaml->err) : 0;
}

static int build_mapping(struct yaml *yaml, unsigned depth, struct source_node *node, struct built *ret) {
    ret->value = json_object();
    ret->height = 1;
    if (!ret->value) return err_no_memory(yaml->err);
    for (;;) {
        _cleanup_(event_deletep) yaml_event_t key = {0};
        int r = next(yaml, &key);
        if (r < 0) return r;
        if (key.type == YAML_MAPPING_END_EVENT) return 0;
        r = build_member(yaml, &key, depth, node, ret);
        if (r < 0) return r;
    }
}

static int build_container(struct yaml *yaml, const yaml_event_t *event, unsigned depth, struct source_node *node,
                           struct built *ret) {
    int r;

    if (depth == CONFIG_DEPTH_MAX) {
        return fail_at(yaml, event->start_mark, "nested deeper than %d levels", CONFIG_DEPTH_MAX);
    }
    r = count(yaml, event->start_mark, 1, 0);
    if (r < 0) return r;
    return event->type == YAML_SEQUENCE_START_EVENT ? build_sequence(yaml, depth, node, ret)
                                                    : build_mapping(yaml, depth, node, ret);
}

static int build_any(struct yaml *yaml, const yaml_event_t *event, unsigned depth, struct source_node *node,
                     struct built *ret) {
    char shown[SHOW_SIZE];

    if (tag_of(event)) {
        return fail_at(yaml, event->start_mark, "the tag %s is not taken; a value's type is known by its form",
                       show_text(tag_of(event), shown));
    }
    if (event->type == YAML_ALIAS_EVENT) return build_alias(yaml, event, depth, ret);
    if (event->type == YAML_SCALAR_EVENT) return build_scalar(yaml, event, ret);
    return build_container(yaml, event, depth, node, ret);
}

/* Hands over ret->value when it succeeds, and holds nothing when it does not. */
static int build(struct yaml *yaml, const yaml_event_t *event, unsigned depth, struct source_node *node,
                 struct built *ret) {
    size_t nodes = yaml->nodes, bytes = yaml->bytes;
    int r;

    r = build_any(yaml, event, depth, node, ret);
    ret->nodes = yaml->nodes - nodes;
    ret->bytes = yaml->bytes - bytes;
    if (r == 0) r = keep_anchor(yaml, event, ret);
    if (r < 0) {
        json_decref(ret->value);
        ret->value = NULL;
    }
    return r;
}

/* ---- the document ---- */

static int expect(struct yaml *yaml, yaml_event_type_t type, const char *otherwise) {
    _cleanup_(event_deletep) yaml_event_t event = {0};
    int r = next(yaml, &event);

    if (r < 0) return r;
    return event.type == type ? 0 : fail_at(yaml, event.start_mark, "%s", otherwise);
}

static int read_document(struct yaml *yaml, struct built *ret) {
    _cleanup_(event_deletep) yaml_event_t event = {0};
    int r;

    r = expect(yaml, YAML_STREAM_START_EVENT, "it does not begin");
    if (r < 0) return r;
    r = expect(yaml, YAML_DOCUMENT_START_EVENT, "the document is empty");
    if (r < 0) return r;
    r = next(yaml, &event);
    if (r < 0) return r;
    r = build(yaml, &event, 0, yaml->target->node, ret);
    if (r < 0) return r;
    r = expect(yaml, YAML_DOCUMENT_END_EVENT, "the document does not end");
    if (r < 0) return r;
    return expect(yaml, YAML_STREAM_END_EVENT, "a second document begins; one is expected");
}

static struct yaml *yaml_free(struct yaml *yaml) {
    for (size_t i = 0; i < yaml->anchor_count; i++) {
        free(yaml->anchors[i].name);
        json_decref(yaml->anchors[i].built.value);
    }
    yaml_parser_delete(&yaml->parser);
    free(yaml);
    return NULL;
}
DEFINE_CLEANUP(struct yaml *, yaml_free)

int source_yaml(const struct source_text *text, const struct source_target *target, json_t **ret, struct err *err) {
    _cleanup_(yaml_freep) struct yaml *yaml = calloc(1, sizeof(*yaml));
    struct built built = {0};
    int r;

    if (!yaml || !yaml_parser_initialize(&yaml->parser)) return err_no_memory(err);
    yaml->text = text;
    yaml->target = target;
    yaml->err = err;
    yaml_parser_set_encoding(&yaml->parser, YAML_UTF8_ENCODING);
    const char *bytes = text->bytes.len ? text->bytes.ptr : "";
    yaml_parser_set_input_string(&yaml->parser, (const unsigned char *)bytes, text->bytes.len);
    source_node_replace(target->node, (struct source_spot){target->file, text->line_offset + 1, 1});
    r = read_document(yaml, &built);
    if (r == 0 && target->map && source_map_failed(target->map)) r = err_no_memory(err);
    if (r < 0) {
        json_decref(built.value);
        return r;
    }
    *ret = built.value;
    return 0;
}
