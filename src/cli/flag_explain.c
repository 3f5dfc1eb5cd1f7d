/* SPDX-License-Identifier: Apache-2.0 */
/* `serin flag explain`: a decision with `explain`, seen from the flags: what each of them says for this user and by which rule, and what of the agent is there because of it. */
#include "cli/cli_impl.h"

#include <string.h>

#define FLAG_CELLS 4
#define THING_CELLS 4
#define AS_IT_IS "as it is"

struct explanation {
    struct cli *cli;
    const json_t *decision, *flags; /* flags: those that are bound to the agent */
};

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_get_text(object, name);
    return text ? text : "";
}

static const char *keep(struct cli *cli, const struct str *text) {
    return text->failed ? NULL : arena_strndup(&cli->arena, text->data ? text->data : "", text->len);
}

static bool fill(struct cell *cells, const char *const *texts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!texts[i]) return false;
        cells[i] = (struct cell){.text = texts[i]};
    }
    return true;
}

/* ---- what each flag says ---- */

static struct logic_trace trace_of(const json_t *flag) {
    const json_t *taken = json_get(flag, "taken");
    return (struct logic_trace){
        .operation = json_get_text(taken, "operation"),
        .argument = (int32_t)json_integer_value(json_get(taken, "argument")),
        .has_bucket = json_get(flag, "bucket") != NULL,
        .bucket = (uint32_t)json_integer_value(json_get(flag, "bucket")),
        .total = (uint32_t)json_integer_value(json_get(flag, "of")),
    };
}

static const char *path_words(struct cli *cli, const json_t *flag) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    struct logic_trace trace = trace_of(flag);
    flag_branch_words(json_get(flag, "definition"), &trace, &words);
    if (trace.has_bucket) str_printf(&words, "%sbucket %u of %u", words.len ? "; " : "", trace.bucket, trace.total);
    return keep(cli, &words);
}

/* Its variant; without one why there is none. */
static const char *result_words(struct cli *cli, const json_t *flag) {
    const char *variant = json_get_text(flag, "variant"), *error = json_get_text(flag, "error");
    return variant ? variant : error ? arena_printf(&cli->arena, "error: %s", error) : "no value";
}

static int add_flags(struct explanation *explanation, struct str *out, struct err *err) {
    static const struct layout_column columns[FLAG_CELLS] = {
        {"FLAG", false, false}, {"GIVES", false, false}, {"REASON", false, false}, {"BRANCH", false, true}};
    struct cli *cli = explanation->cli;
    size_t count = json_array_size(explanation->flags);
    struct cell *cells = arena_array(&cli->arena, count * FLAG_CELLS, sizeof(*cells));
    struct layout layout = {columns, FLAG_CELLS, cells, count};
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const json_t *flag = json_array_get(explanation->flags, i);
        const char *const texts[FLAG_CELLS] = {text_of(flag, "key"), result_words(cli, flag), text_of(flag, "reason"),
                                               path_words(cli, flag)};
        if (!fill(&cells[i * FLAG_CELLS], texts, FLAG_CELLS)) return err_no_memory(err);
    }
    str_add_char(out, '\n');
    return layout_add(&layout, cli->world->out_is_terminal ? cli->world->width : 0, cli->colour, &cli->arena, out, err);
}

/* ---- what of the agent is there ---- */

/* One tool, guardrail or parameter, with the flags that have a say in it. */
struct thing {
    const char *kind, *name, *state;
    struct str by;
};

struct things {
    struct thing *list;
    size_t count, room;
    bool failed;
};

static struct thing *thing_of(struct things *things, const char *kind, const char *name) {
    for (size_t i = 0; i < things->count; i++)
        if (!strcmp(things->list[i].kind, kind) && !strcmp(things->list[i].name, name)) return &things->list[i];
    if (things->count == things->room) {
        size_t room = things->room ? 2 * things->room : 32;
        struct thing *list = realloc(things->list, room * sizeof(*list));
        things->failed |= !list;
        if (!list) return NULL;
        things->list = list;
        things->room = room;
    }
    struct thing *thing = &things->list[things->count++];
    *thing = (struct thing){.kind = kind, .name = name, .state = "on"};
    return thing;
}

static void things_deinit(struct things *things) {
    for (size_t i = 0; i < things->count; i++)
        str_deinit(&things->list[i].by);
    free(things->list);
}

/* Whether what is left of the configuration has it. */
static bool is_there(const struct explanation *explanation, const struct things *things, enum flag_binding_kind kind,
                     const char *name) {
    const json_t *config = json_get(explanation->decision, "config");
    if (kind == FLAG_GUARDRAIL) return json_get(json_get(config, "guardrails"), name) != NULL;
    for (size_t i = 0; i < things->count; i++)
        if (!strcmp(things->list[i].kind, "tool") && !strcmp(things->list[i].name, name)) return true;
    return false;
}

static const char *value_words(struct cli *cli, const json_t *effect) {
    _cleanup_(str_deinit) struct str value = STR_INIT;
    const json_t *given = json_get(effect, "value");
    if (!given) return AS_IT_IS;
    return json_compact(given, &value) < 0 ? NULL : keep(cli, &value);
}

/* Of several flags any takes a tool away, and the first one that has a value sets a parameter. */
static void add_effect(struct explanation *explanation, struct things *things, const json_t *flag, const json_t *effect,
                       enum flag_binding_kind kind) {
    const char *word = flag_binding_kind_name(kind), *name = json_get_text(effect, word);
    bool there = name && kind != FLAG_PARAMETER && is_there(explanation, things, kind, name);
    struct thing *thing = name ? thing_of(things, word, name) : NULL;
    if (!thing) return;
    bool first = !thing->by.len;
    if (kind == FLAG_PARAMETER && (first || !strcmp(thing->state, AS_IT_IS)))
        thing->state = value_words(explanation->cli, effect);
    else if (json_is_false(json_get(effect, "on")))
        thing->state = "off";
    else if (kind != FLAG_PARAMETER && first && !there)
        thing->state = "not there";
    if (!thing->state) thing->state = "";
    str_printf(&thing->by, "%s%s", first ? "" : ", ", text_of(flag, "key"));
    things->failed |= !*thing->state || thing->by.failed;
}

static void add_effects(struct explanation *explanation, struct things *things, enum flag_binding_kind kind) {
    const json_t *flag, *effect;
    for (size_t i = 0; (flag = json_array_get(explanation->flags, i)); i++)
        for (size_t j = 0; (effect = json_array_get(json_get(flag, "does"), j)); j++)
            add_effect(explanation, things, flag, effect, kind);
}

/* The tools that are left, then what flags have a say in. */
static void collect(struct explanation *explanation, struct things *things) {
    const json_t *tools = json_get(json_get(explanation->decision, "config"), "tools"), *tool;
    for (size_t i = 0; (tool = json_array_get(tools, i)); i++) {
        const char *name = json_is_string(tool) ? json_string_value(tool) : json_get_text(tool, "name");
        if (name) (void)thing_of(things, "tool", name);
    }
    for (int kind = FLAG_TOOL; kind <= FLAG_PARAMETER; kind++)
        add_effects(explanation, things, (enum flag_binding_kind)kind);
}

static int add_things(struct explanation *explanation, struct str *out, struct err *err) {
    static const struct layout_column columns[THING_CELLS] = {
        {"KIND", false, false}, {"NAME", false, false}, {"STATE", false, true}, {"BY THE FLAG", false, false}};
    struct cli *cli = explanation->cli;
    _cleanup_(things_deinit) struct things things = {0};
    collect(explanation, &things);
    struct cell *cells = arena_array(&cli->arena, things.count * THING_CELLS, sizeof(*cells));
    struct layout layout = {columns, THING_CELLS, cells, things.count};
    if (things.failed || !cells) return err_no_memory(err);
    for (size_t i = 0; i < things.count; i++) {
        const struct thing *thing = &things.list[i];
        const char *const texts[THING_CELLS] = {thing->kind, thing->name, thing->state, keep(cli, &thing->by)};
        if (!fill(&cells[i * THING_CELLS], texts, THING_CELLS)) return err_no_memory(err);
        if (!strcmp(thing->state, "off")) cells[i * THING_CELLS + 2].colour = COLOUR_YELLOW;
    }
    if (!things.count) return 0;
    str_add_char(out, '\n');
    return layout_add(&layout, cli->world->out_is_terminal ? cli->world->width : 0, cli->colour, &cli->arena, out, err);
}

/* ---- the whole ---- */

static void add_head(const struct explanation *explanation, struct str *out) {
    const char *user = args_get(&explanation->cli->args, "user");
    _cleanup_(str_deinit) struct str head = STR_INIT;
    str_printf(&head, "%s@%lld in %s", text_of(explanation->decision, "agent"),
               (long long)json_integer_value(json_get(explanation->decision, "version")),
               text_of(explanation->decision, "environment"));
    if (user) str_printf(&head, " for %s", user);
    text_add_safe(out, head.data ? head.data : "", head.len, false);
    out->failed |= head.failed;
    str_add_char(out, '\n');
    if (json_array_size(explanation->flags)) return;
    bool panic = !strcmp(text_of(explanation->decision, "reason"), "PANIC");
    str_add_text(out, panic ? "Under a panic no flag counts\n" : "No flag is bound to it\n");
}

static int ask(struct cli *cli, struct answer *ret, struct err *err) {
    struct call call;
    int r = call_build(cli, op_get(OP_resolve), &call, err);
    if (r < 0) return r;
    call.body = arena_printf(&cli->arena, "{\"explain\":true,%s", call.body + 1);
    return call.body ? call_send(cli, &call, ret, err) : err_no_memory(err);
}

int run_flag_explain(struct cli *cli, struct err *err) {
    _cleanup_(answer_deinit) struct answer answer = {0};
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = ask(cli, &answer, err);
    if (r < 0) return r;
    if (cli->json) return view_print_raw(cli, str_slice(&answer.body), err);
    struct explanation explanation = {cli, answer.json, json_get(json_get(answer.json, "explain"), "flags")};
    add_head(&explanation, &out);
    if (json_array_size(explanation.flags)) r = add_flags(&explanation, &out, err);
    if (r == 0) r = add_things(&explanation, &out, err);
    return r < 0 ? r : cli_write(cli, &out, err);
}
