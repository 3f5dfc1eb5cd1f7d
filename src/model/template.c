/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading mustache tags: {{x}}, {{{x}}}, {{&x}}, {{#x}}…{{/x}}, {{^x}}…{{/x}} and {{! comment }}. Nothing is rendered
 * here; what is found out is whether the agent's runtime will be able to, and whether every name was declared.
 *
 * A section over an object, or over an array of objects, opens a scope: names inside may also be the members that the
 * input's schema declares. Where that schema does not say which members there are, every name is taken.
 */
#include "model/model_impl.h"

#include <string.h>

#define SECTIONS_MAX 32

struct section {
    struct slice name;
    unsigned line;
    const json_t *members; /* `properties` of what the section is about, or NULL */
    bool open;             /* members are not known */
};

struct reader {
    struct template_check *check;
    const struct place *place;
    struct slice text;
    size_t at;
    unsigned line;
    struct section sections[SECTIONS_MAX];
    size_t depth;
    json_t *told; /* names already complained about in this text */
};

struct tag {
    char kind; /* one of "v#^/!>=" ; v is a variable */
    struct slice name;
    unsigned line;
};

#define REMEDY "; where braces are meant literally, set template.engine to \"none\""

static void complain(struct reader *reader, const struct tag *tag, const char *what) {
    char shown[SHOW_SIZE];
    place_fault(reader->check->faults, reader->place, "line %u of the text: {{%s}} %s", tag->line,
                show_slice(tag->name, shown), what);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice trimmed(struct slice text) {
    while (text.len > 0 && is_space(text.ptr[0])) {
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Offset of `needle` at or after `from`, or SIZE_MAX. */
static size_t find(struct slice text, size_t from, const char *needle) {
    const char *found;

    if (from > text.len) return SIZE_MAX;
    found = memmem(text.ptr + from, text.len - from, needle, strlen(needle));
    return found ? (size_t)(found - text.ptr) : SIZE_MAX;
}

static void move_to(struct reader *reader, size_t offset) {
    for (; reader->at < offset; reader->at++) {
        reader->line += reader->text.ptr[reader->at] == '\n';
    }
}

/* The next tag. 0 at the end of the text, 1 with a tag, 2 when a tag is not closed (told). */
static int next_tag(struct reader *reader, struct tag *ret) {
    struct slice text = reader->text;
    size_t start = find(text, reader->at, "{{"), body, end;
    bool triple;

    if (start == SIZE_MAX) return 0;
    move_to(reader, start);
    ret->line = reader->line;
    body = start + 2;
    triple = body < text.len && text.ptr[body] == '{';
    end = find(text, body + triple, triple ? "}}}" : "}}");
    if (end == SIZE_MAX) {
        place_fault(reader->check->faults, reader->place, "line %u of the text: {{ is not closed%s", ret->line, REMEDY);
        return 2;
    }
    ret->kind = 'v';
    ret->name = (struct slice){text.ptr + body + triple, end - body - triple};
    if (!triple && ret->name.len > 0 && strchr("#^/!>=&", ret->name.ptr[0]) && ret->name.ptr[0] != '\0') {
        ret->kind = ret->name.ptr[0] == '&' ? 'v' : ret->name.ptr[0];
        ret->name = (struct slice){ret->name.ptr + 1, ret->name.len - 1};
    }
    ret->name = trimmed(ret->name);
    move_to(reader, end + (triple ? 3 : 2));
    return 1;
}

static bool is_name_char(char c) {
    unsigned char u = (unsigned char)c;
    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u == '_' || u == '-' ||
           u >= 0x80;
}

/* Parts of a dotted name are not empty. */
static bool is_name(struct slice name) {
    bool part = false;

    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.') {
            if (!part) return false;
            part = false;
            continue;
        }
        if (!is_name_char(name.ptr[i])) return false;
        part = true;
    }
    return part;
}

static struct slice first_part(struct slice name) {
    const char *dot = memchr(name.ptr, '.', name.len);
    return dot ? (struct slice){name.ptr, (size_t)(dot - name.ptr)} : name;
}

static const json_t *member(const json_t *object, struct slice name) {
    return json_object_getn(object, name.ptr, name.len);
}

/* ---- scopes ---- */

enum found { FOUND_NOT, FOUND_MEMBER, FOUND_INPUT, FOUND_ANY };

/* *ret is the schema of what was found; NULL for FOUND_ANY and FOUND_NOT. */
static enum found look_up(const struct reader *reader, struct slice name, const json_t **ret) {
    const json_t *inputs = json_get(reader->check->inputs, "properties");

    *ret = NULL;
    for (size_t i = reader->depth; i > 0; i--) {
        const struct section *section = &reader->sections[i - 1];
        if (section->open) return FOUND_ANY;
        *ret = member(section->members, name);
        if (*ret) return FOUND_MEMBER;
    }
    *ret = member(inputs, name);
    if (*ret) return FOUND_INPUT;
    return reader->check->inputs ? FOUND_NOT : FOUND_ANY;
}

static bool may_be(const json_t *schema, const char *type) {
    const json_t *own = json_get(schema, "type");
    size_t i;
    json_t *each;

    if (!own) return true;
    if (json_is_string(own)) return strcmp(json_string_value(own), type) == 0;
    json_array_foreach(own, i, each) {
        if (json_is_string(each) && strcmp(json_string_value(each), type) == 0) return true;
    }
    return false;
}

/* What the names inside a section may be, from the schema of the input that it is about. */
static void open_scope(struct section *section, const json_t *schema) {
    const json_t *element = json_is_object(json_get(schema, "items")) ? json_get(schema, "items") : schema;

    section->members = json_get(element, "properties");
    if (section->members) return;
    section->open = may_be(element, "object") || (element == schema && may_be(schema, "array"));
}

static int push(struct reader *reader, const struct tag *tag, enum found found, const json_t *schema) {
    struct section section = {.name = tag->name, .line = tag->line};

    if (reader->depth == SECTIONS_MAX) {
        complain(reader, tag, "is nested too deep");
        return 2;
    }
    /* A dotted name ends somewhere inside the input, an inverted section runs when there is nothing. */
    bool dotted = memchr(tag->name.ptr, '.', tag->name.len) != NULL;
    if (tag->kind == '#') {
        if (found == FOUND_MEMBER || found == FOUND_INPUT) open_scope(&section, schema);
        if (found == FOUND_ANY || dotted) section.open = true;
    }
    reader->sections[reader->depth++] = section;
    return 0;
}

/* ---- tags ---- */

static const char *suggest(const struct reader *reader, const char *name) {
    struct suggestion near = SUGGESTION_INIT(name);
    const char *key;
    json_t *value;

    json_object_foreach(json_get(reader->check->inputs, "properties"), key, value) {
        suggestion_try(&near, key);
    }
    return near.best;
}

/* Once a name and text: a name that is wrong in one place is wrong in all. */
static int tell_undeclared(struct reader *reader, const struct tag *tag, struct slice name) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    char shown[SHOW_SIZE];

    str_add_slice(&text, name);
    if (text.failed) return -ERR_NO_MEMORY;
    const char *key = text.data;
    if (json_object_get(reader->told, key)) return 0;
    if (json_object_set_new(reader->told, key, json_true()) < 0) return -ERR_NO_MEMORY;
    const char *near = suggest(reader, key);
    const char *misplaced = json_get(reader->check->inputs, key) && !json_get(reader->check->inputs, "properties")
                                ? "; \"inputs\" is a JSON Schema: declare variables under \"properties\""
                                : "";
    place_fault(reader->check->faults, reader->place,
                "line %u of the text: the variable \"%s\" is not declared in \"inputs\"%s%s%s%s", tag->line,
                show_slice(name, shown), near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                misplaced);
    return 0;
}

static int use_name(struct reader *reader, const struct tag *tag) {
    struct slice name = first_part(tag->name);
    const json_t *schema;
    enum found found = look_up(reader, name, &schema);
    int r = 0;

    if (found == FOUND_NOT) r = tell_undeclared(reader, tag, name);
    /* In an open scope a name may be an input all the same, so that it is not called unused. */
    bool input =
        found == FOUND_INPUT || (found == FOUND_ANY && member(json_get(reader->check->inputs, "properties"), name));
    if (input && reader->check->used) {
        if (json_object_setn_new(reader->check->used, name.ptr, name.len, json_true()) < 0) return -ERR_NO_MEMORY;
    }
    if (r == 0 && tag->kind != 'v') r = push(reader, tag, found, schema);
    return r;
}

static int close_section(struct reader *reader, const struct tag *tag) {
    const struct section *last;

    if (reader->depth == 0) {
        complain(reader, tag, "closes a section that is not open");
        return 2;
    }
    last = &reader->sections[--reader->depth];
    if (slice_equal(last->name, tag->name)) return 0;
    char shown[SHOW_SIZE], open[SHOW_SIZE];
    place_fault(reader->check->faults, reader->place, "line %u of the text: {{/%s}} closes {{#%s}} of line %u",
                tag->line, show_slice(tag->name, shown), show_slice(last->name, open), last->line);
    return 2;
}

static int read_tag(struct reader *reader, const struct tag *tag) {
    bool self = slice_equal_text(tag->name, ".") && reader->depth > 0 && tag->kind == 'v';

    switch (tag->kind) {
    case '!':
        return 0;
    case '>':
        complain(reader, tag, "is a partial, which is not supported; put the text in place with {file: …}");
        return 0;
    case '=':
        complain(reader, tag, "changes the delimiters, which is not supported" REMEDY);
        return 2;
    default:
        break;
    }
    if (self) return 0;
    if (!is_name(tag->name)) {
        complain(reader, tag, "does not name a variable" REMEDY);
        return tag->kind == 'v' ? 0 : 2;
    }
    return tag->kind == '/' ? close_section(reader, tag) : use_name(reader, tag);
}

/* Stops at the first tag after which the rest would be misread. */
static int read_text(struct reader *reader) {
    struct tag tag;
    int r;

    while ((r = next_tag(reader, &tag)) == 1) {
        r = read_tag(reader, &tag);
        if (r != 0) return r;
    }
    if (r == 2) return r;
    while (reader->depth > 0) {
        const struct section *section = &reader->sections[--reader->depth];
        const struct tag open = {'#', section->name, section->line};
        complain(reader, &open, "is a section that is not closed");
    }
    return 0;
}

int template_check(struct template_check *check, struct slice text, const struct place *place) {
    _cleanup_(json_decrefp) json_t *told = json_object();
    struct reader reader = {.check = check, .place = place, .text = text, .line = 1, .told = told};
    int r;

    if (!told) return -ERR_NO_MEMORY;
    r = read_text(&reader);
    return r < 0 || check->faults->failed ? -ERR_NO_MEMORY : 0;
}
