/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration is taken apart where flags may change it: its tools, its guardrails, its model and its parameters. All else is long runs of text. The bytes are
 * those of the store, canonical JSON that was checked when it was sealed, so that a value's end can be found without reading it; what the pieces put together is canonical
 * again: members stay in their order, and a parameter that a flag adds stands where it belongs.
 */
#include "snapshot/flags_impl.h"

#define MODEL SLICE_LIT("model")
#define PARAMETERS SLICE_LIT("parameters")
/* Each use makes an item and a run before it. Besides, there are the ends of three containers with a last run, the model, and the texts between. */
#define OTHERS_MAX 24

struct maker {
    const struct use *uses;
    size_t use_count;
    struct piece *pieces;
    uint32_t count, room;
    const char *from; /* text that is not in a piece yet begins here */
    const char *end;
};

/* ---- the text ---- */

/* Behind the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end) {
    size_t depth = 0;
    bool text = false;
    for (; at < end; at++) {
        if (text) {
            if (*at == '\\')
                at++;
            else if (*at == '"')
                text = false;
        } else if (*at == '"') {
            text = true;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0) return at;
            depth--;
        } else if (depth == 0 && *at == ',') {
            return at;
        }
    }
    return end;
}

/* A member of an object, or an item of a list: then without a name. */
struct part {
    const char *begin, *end; /* all of it */
    const char *value;
    struct slice name;
};

/* The part behind `part`, or the first behind the bracket at part->end; false at the end. */
static bool next_part(struct part *part, bool object, const char *end) {
    const char *at = part->end;
    if (at >= end || *at == '}' || *at == ']') return false;
    at++; /* the bracket, or a comma */
    if (at >= end || *at == '}' || *at == ']') return false;
    *part = (struct part){.begin = at, .value = at};
    if (object) {
        const char *colon = at + 1;
        while (colon < end && *colon != '"')
            colon += *colon == '\\' ? 2 : 1;
        part->name = (struct slice){at + 1, (size_t)(colon - at - 1)};
        part->value = colon + 2;
    }
    part->end = skip_value(part->value, end);
    return true;
}

static struct slice between(const char *from, const char *to) {
    return (struct slice){from, (size_t)(to - from)};
}

static struct slice value_of(const struct part *part) {
    return between(part->value, part->end);
}

/* The member of an object that begins at `object`; without `ptr`: there is none. */
static struct slice member_of(const char *object, const char *end, struct slice name) {
    struct part part = {.end = object};
    if (*object != '{') return (struct slice){NULL, 0};
    while (next_part(&part, true, end))
        if (slice_equal(part.name, name)) return value_of(&part);
    return (struct slice){NULL, 0};
}

/* What stands between the quotes; without `ptr`: it is no text. */
static struct slice text_in(struct slice value) {
    bool text = value.len >= 2 && value.ptr[0] == '"';
    return text ? (struct slice){value.ptr + 1, value.len - 2} : (struct slice){NULL, 0};
}

/* ---- uses ---- */

static uint64_t flags_on(const struct maker *maker, enum flag_binding_kind kind, struct slice name) {
    uint64_t flags = 0;
    for (size_t i = 0; i < maker->use_count; i++)
        if (maker->uses[i].binding->kind == kind && slice_equal(maker->uses[i].binding->name, name))
            flags |= UINT64_C(1) << maker->uses[i].flag;
    return flags;
}

static bool is_used(const struct maker *maker, enum flag_binding_kind kind) {
    for (size_t i = 0; i < maker->use_count; i++)
        if (maker->uses[i].binding->kind == kind) return true;
    return false;
}

/* The flags on parameters but for the model. */
static uint64_t parameter_flags(const struct maker *maker) {
    uint64_t flags = 0;
    for (size_t i = 0; i < maker->use_count; i++)
        if (maker->uses[i].binding->kind == FLAG_PARAMETER && !slice_equal(maker->uses[i].binding->name, MODEL))
            flags |= UINT64_C(1) << maker->uses[i].flag;
    return flags;
}

/* ---- pieces ---- */

/* Names are unique in a configuration, so there is room. */
static struct piece *add(struct maker *maker, enum piece_kind kind, struct slice text) {
    if (maker->count == maker->room) abort();
    struct piece *piece = &maker->pieces[maker->count++];
    *piece = (struct piece){.kind = (uint8_t)kind, .text = text};
    return piece;
}

/* The text up to `to` becomes a piece. */
static void flush(struct maker *maker, enum piece_kind kind, const char *to) {
    if (to > maker->from) add(maker, kind, between(maker->from, to));
    maker->from = to;
}

/* The items up to `to`; one may end with a comma, which stands between items and belongs to none. */
static void flush_items(struct maker *maker, const char *to) {
    flush(maker, PIECE_ITEM, to > maker->from && to[-1] == ',' ? to - 1 : to);
    maker->from = to;
}

static void begin_items(struct maker *maker, const struct part *container) {
    flush(maker, PIECE_OPEN, container->value + 1);
}

static void end_items(struct maker *maker, const struct part *container) {
    flush_items(maker, container->end - 1);
    flush(maker, PIECE_CLOSE, container->end);
}

/* An item that stands or falls, or changes. */
static struct piece *take_item(struct maker *maker, const struct part *part, enum piece_kind kind, uint64_t flags) {
    flush_items(maker, part->begin);
    struct piece *piece = add(maker, kind, between(part->begin, part->end));
    piece->flags = flags;
    maker->from = part->end < maker->end && *part->end == ',' ? part->end + 1 : part->end;
    return piece;
}

static struct slice tool_name(const struct part *part, const char *end) {
    struct slice name = text_in(value_of(part));
    if (!name.ptr) name = text_in(member_of(part->value, end, SLICE_LIT("name")));
    return name.ptr ? name : text_in(member_of(part->value, end, SLICE_LIT("agent")));
}

static void take_tools(struct maker *maker, const struct part *tools) {
    struct part part = {.end = tools->value};
    begin_items(maker, tools);
    while (next_part(&part, false, maker->end)) {
        uint64_t flags = flags_on(maker, FLAG_TOOL, tool_name(&part, maker->end));
        if (flags) take_item(maker, &part, PIECE_TOOL, flags);
    }
    end_items(maker, tools);
}

static void take_guardrails(struct maker *maker, const struct part *guardrails) {
    struct part part = {.end = guardrails->value};
    begin_items(maker, guardrails);
    while (next_part(&part, true, maker->end)) {
        uint64_t flags = flags_on(maker, FLAG_GUARDRAIL, part.name);
        if (flags) take_item(maker, &part, PIECE_GUARDRAIL, flags);
    }
    end_items(maker, guardrails);
}

/* Texts `"name":` of parameters lie in the arena. */
static struct slice quoted(struct arena *arena, struct slice name) {
    char *text = arena_alloc(arena, name.len + 3);
    if (!text) return (struct slice){NULL, 0};
    text[0] = '"';
    memcpy(text + 1, name.ptr, name.len);
    memcpy(text + 1 + name.len, "\":", 2);
    return (struct slice){text, name.len + 3};
}

/* The name of a parameter's use that comes next in order behind `after`, before `before` (ptr NULL: any). */
static struct slice next_name(const struct maker *maker, struct slice after, struct slice before) {
    struct slice best = {NULL, 0};
    for (size_t i = 0; i < maker->use_count; i++) {
        struct slice name = maker->uses[i].binding->name;
        if (maker->uses[i].binding->kind != FLAG_PARAMETER || slice_equal(name, MODEL)) continue;
        if (after.ptr && slice_compare(name, after) <= 0) continue;
        if (before.ptr && slice_compare(name, before) >= 0) continue;
        if (!best.ptr || slice_compare(name, best) < 0) best = name;
    }
    return best;
}

/* Parameters that the configuration does not have and a flag may give, of names behind `after` and before `before`. */
static int add_absent(struct maker *maker, struct slice after, struct slice before, struct arena *arena) {
    struct slice name;
    while ((name = next_name(maker, after, before)).ptr) {
        struct slice text = quoted(arena, name);
        if (!text.ptr) return -ERR_NO_MEMORY;
        add(maker, PIECE_VALUE, text)->flags = flags_on(maker, FLAG_PARAMETER, name);
        after = name;
    }
    return 0;
}

static int take_parameters(struct maker *maker, const struct part *parameters, struct arena *arena) {
    struct part part = {.end = parameters->value};
    struct slice last = {NULL, 0};
    begin_items(maker, parameters);
    while (next_part(&part, true, maker->end)) {
        if (next_name(maker, last, part.name).ptr) {
            flush_items(maker, part.begin);
            if (add_absent(maker, last, part.name, arena) < 0) return -ERR_NO_MEMORY;
        }
        last = part.name;
        uint64_t flags = flags_on(maker, FLAG_PARAMETER, part.name);
        if (!flags) continue;
        struct piece *piece = take_item(maker, &part, PIECE_VALUE, flags);
        piece->text = between(part.begin, part.value);
        piece->original = value_of(&part);
    }
    flush_items(maker, parameters->end - 1);
    if (add_absent(maker, last, (struct slice){NULL, 0}, arena) < 0) return -ERR_NO_MEMORY;
    end_items(maker, parameters);
    return 0;
}

/* A text takes the place of the model's id where the configuration says more of the model than that; anything else that of the whole. */
static void take_model(struct maker *maker, const struct part *model) {
    struct slice value = value_of(model), id = member_of(model->value, maker->end, SLICE_LIT("id"));
    flush(maker, PIECE_TEXT, value.ptr);
    struct piece *piece = add(maker, id.ptr ? PIECE_INSIDE : PIECE_WHOLE, (struct slice){"", 0});
    piece->flags = flags_on(maker, FLAG_PARAMETER, MODEL);
    piece->original = value;
    maker->from = value.ptr + value.len;
    if (!id.ptr) return;
    piece->text = between(value.ptr, id.ptr);
    piece->after = between(id.ptr + id.len, maker->from);
}

/* Before the member at `at`, which comes behind it in order. */
static void add_model(struct maker *maker, const char *at) {
    flush(maker, PIECE_TEXT, at);
    struct piece *piece = add(maker, PIECE_WHOLE, SLICE_LIT("\"model\":"));
    piece->flags = flags_on(maker, FLAG_PARAMETER, MODEL);
    piece->after = SLICE_LIT(",");
}

static int add_parameters(struct maker *maker, const char *at, struct arena *arena) {
    flush(maker, PIECE_TEXT, at);
    uint32_t open = maker->count;
    add(maker, PIECE_OPEN, SLICE_LIT("\"parameters\":{"))->flags = parameter_flags(maker);
    struct slice any = {NULL, 0};
    if (add_absent(maker, any, any, arena) < 0) return -ERR_NO_MEMORY;
    add(maker, PIECE_CLOSE, SLICE_LIT("},"));
    maker->pieces[open].skip = maker->count - open - 1;
    return 0;
}

/* What is bound and was not met yet. The stored form has `schema` always, behind both. */
struct missing {
    bool model, parameters;
};

static int take_member(struct maker *maker, const struct part *part, struct missing *missing, struct arena *arena) {
    if (missing->model && slice_compare(part->name, MODEL) > 0) {
        add_model(maker, part->begin);
        missing->model = false;
    }
    if (missing->parameters && slice_compare(part->name, PARAMETERS) > 0) {
        if (add_parameters(maker, part->begin, arena) < 0) return -ERR_NO_MEMORY;
        missing->parameters = false;
    }
    if (missing->model && slice_equal(part->name, MODEL)) {
        take_model(maker, part);
        missing->model = false;
    }
    if (missing->parameters && slice_equal(part->name, PARAMETERS) && *part->value == '{') {
        missing->parameters = false;
        return take_parameters(maker, part, arena);
    }
    if (slice_equal_text(part->name, "tools") && *part->value == '[' && is_used(maker, FLAG_TOOL))
        take_tools(maker, part);
    if (slice_equal_text(part->name, "guardrails") && *part->value == '{' && is_used(maker, FLAG_GUARDRAIL))
        take_guardrails(maker, part);
    return 0;
}

static bool takes_value(const struct piece *piece) {
    return piece->kind == PIECE_VALUE || piece->kind == PIECE_WHOLE || piece->kind == PIECE_INSIDE;
}

/* How much room values may need: a decision that knows it need not go over the pieces twice. */
static void count_values(struct snapshot_pieces *pieces) {
    uint64_t seen = 0;
    pieces->repeats = false;
    pieces->texts = 0;
    for (uint32_t i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->pieces[i];
        if (!takes_value(piece)) continue;
        pieces->repeats |= (seen & piece->flags) != 0;
        pieces->texts += (uint32_t)(piece->text.len + piece->after.len + 1);
        seen |= piece->flags;
    }
}

int pieces_make(struct slice config, const struct use *uses, size_t use_count, struct arena *arena,
                struct snapshot_pieces *ret) {
    struct maker maker = {.uses = uses, .use_count = use_count, .from = config.ptr, .end = config.ptr + config.len};
    struct missing missing = {flags_on(&maker, FLAG_PARAMETER, MODEL) != 0, parameter_flags(&maker) != 0};
    struct part part = {.end = config.ptr};
    int r = 0;
    maker.room = (uint32_t)(2 * use_count + OTHERS_MAX);
    maker.pieces = arena_array(arena, maker.room, sizeof(*maker.pieces));
    if (!maker.pieces) return -ERR_NO_MEMORY;
    while (r == 0 && next_part(&part, true, maker.end))
        r = take_member(&maker, &part, &missing, arena);
    if (r < 0) return r;
    flush(&maker, PIECE_TEXT, maker.end);
    ret->pieces = maker.pieces;
    ret->count = maker.count;
    count_values(ret);
    return 0;
}
