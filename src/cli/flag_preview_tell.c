/* SPDX-License-Identifier: Apache-2.0 */
/* What `serin flag preview` found out, for people and as JSON. */
#include "base/jw.h"
#include "cli/flag_preview.h"

#include <string.h>

#define VALUE_SHOWN 40 /* bytes */
#define CELLS 4

struct slice preview_value(const struct preview_side *side, uint32_t outcome) {
    return outcome < side->none ? side->flag->variants[outcome].value : (struct slice){"", 0};
}

struct slice preview_name(const struct preview_side *side, uint32_t outcome) {
    if (outcome < side->none) return side->flag->variants[outcome].name;
    return outcome == side->none ? SLICE_LIT("no value") : SLICE_LIT("error");
}

bool preview_differ(const struct preview *preview, uint32_t was, uint32_t is) {
    return !slice_equal(preview_name(&preview->was, was), preview_name(&preview->is, is)) ||
           !slice_equal(preview_value(&preview->was, was), preview_value(&preview->is, is));
}

static const char *environment_of(const struct preview *preview) {
    return args_get(&preview->cli->args, "environment");
}

static const char *words_of(const struct preview *preview, const struct flag *flag) {
    _cleanup_(str_deinit) struct str words = STR_INIT;
    if (!flag) return "no flag";
    flag_words(flag, &words);
    return words.failed ? NULL : arena_strdup(&preview->cli->arena, words.data);
}

/* "big", or "big: \"gpt-4o\"" where the name does not say it. */
static const char *outcome_words(const struct preview *preview, const struct preview_side *side, uint32_t outcome) {
    struct slice name = preview_name(side, outcome), value = preview_value(side, outcome);
    struct arena *arena = &preview->cli->arena;
    bool plain = !value.len || side->flag->type == FLAG_BOOLEAN;
    if (plain) return arena_printf(arena, "%.*s", (int)name.len, name.ptr);
    size_t shown = text_fit(value.ptr, value.len, VALUE_SHOWN);
    return arena_printf(arena, "%.*s: %.*s%s", (int)name.len, name.ptr, (int)shown, value.ptr,
                        shown < value.len ? "…" : "");
}

static double percent(const struct preview *preview, int64_t count) {
    return preview->total ? 100.0 * (double)count / (double)preview->total : 0;
}

struct pair {
    uint32_t was, is;
    int64_t users;
    bool changed;
};

/* Those that somebody has, with changes first; *ret_count of them. */
static struct pair *list_pairs(const struct preview *preview, size_t *ret_count) {
    size_t size = (size_t)preview->was.count * preview->is.count, count = 0;
    struct pair *list = arena_array(&preview->cli->arena, size, sizeof(*list));
    for (int changed = 1; list && changed >= 0; changed--)
        for (size_t i = 0; i < size; i++) {
            struct pair pair = {(uint32_t)(i / preview->is.count), (uint32_t)(i % preview->is.count), preview->pairs[i],
                                false};
            pair.changed = preview_differ(preview, pair.was, pair.is);
            if (pair.users && pair.changed == changed) list[count++] = pair;
        }
    *ret_count = count;
    return list;
}

static bool fill_row(const struct preview *preview, const struct pair *pair, struct cell cells[CELLS]) {
    struct arena *arena = &preview->cli->arena;
    enum colour colour = pair->changed ? COLOUR_YELLOW : COLOUR_DIM;
    const char *const texts[CELLS] = {outcome_words(preview, &preview->was, pair->was),
                                      pair->changed ? outcome_words(preview, &preview->is, pair->is) : "the same",
                                      arena_printf(arena, "%lld", (long long)pair->users),
                                      arena_printf(arena, "%.1f", percent(preview, pair->users))};
    for (size_t i = 0; i < CELLS; i++) {
        if (!texts[i]) return false;
        cells[i] = (struct cell){texts[i], i == 1 ? colour : COLOUR_NONE};
    }
    return true;
}

static int write_pairs(const struct preview *preview, struct str *out, struct err *err) {
    static const struct layout_column columns[CELLS] = {
        {"NOW", false, true}, {"THEN", false, true}, {"USERS", true, false}, {"%", true, false}};
    const struct cli *cli = preview->cli;
    size_t count;
    struct pair *pairs = list_pairs(preview, &count);
    struct cell *cells = pairs ? arena_array(&preview->cli->arena, (count + 1) * CELLS, sizeof(*cells)) : NULL;
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!fill_row(preview, &pairs[i], cells + i * CELLS)) return err_no_memory(err);
    return layout_add(&(struct layout){columns, CELLS, cells, count},
                      cli->world->out_is_terminal ? cli->world->width : 0, cli->colour, &preview->cli->arena, out, err);
}

static void write_effect(const struct preview_effect *effect, struct str *out) {
    const struct flag_binding *binding = effect->binding;
    bool all = slice_equal_text(binding->agent, FLAG_EVERY_AGENT);
    if (!effect->appears && !effect->disappears && !effect->changes) return;
    str_printf(out, "  %s: %s %s", all ? "all agents" : binding->agent.ptr, flag_binding_kind_name(binding->kind),
               binding->name.ptr);
    if (effect->changes) str_printf(out, " changes for %lld", (long long)effect->changes);
    if (effect->appears) str_printf(out, " appears for %lld", (long long)effect->appears);
    if (effect->disappears)
        str_printf(out, "%s disappears for %lld", effect->appears ? "," : "", (long long)effect->disappears);
    str_add_char(out, '\n');
}

static void write_effects(const struct preview *preview, struct str *out) {
    _cleanup_(str_deinit) struct str lines = STR_INIT;
    for (size_t i = 0; i < preview->effect_count; i++)
        write_effect(&preview->effects[i], &lines);
    if (lines.len) str_add_text(out, "\nWhat this flag does to agents:\n");
    if (lines.len) text_add_safe(out, lines.data, lines.len, true);
    out->failed |= lines.failed;
}

static void write_examples(const struct preview *preview, struct str *out) {
    if (preview->sample_count) str_add_text(out, "\nFor example:\n");
    for (size_t i = 0; i < preview->sample_count; i++) {
        const struct preview_sample *sample = &preview->samples[i];
        struct slice was = preview_name(&preview->was, sample->was), is = preview_name(&preview->is, sample->is);
        str_add_text(out, "  ");
        text_add_safe(out, was.ptr, was.len, false);
        str_add_text(out, " -> ");
        text_add_safe(out, is.ptr, is.len, false);
        str_add_text(out, "  ");
        text_add_safe(out, sample->context, strlen(sample->context), false);
        str_add_char(out, '\n');
    }
}

static void write_head(const struct preview *preview, const char *was, const char *is, struct str *out) {
    _cleanup_(str_deinit) struct str head = STR_INIT;
    str_printf(&head, "%s in %s\n  now:  %s\n  then: %s\n\n%lld of %lld %s would get something else",
               preview->is.flag->key.ptr, environment_of(preview), was, is, (long long)preview->changed,
               (long long)preview->total, preview->made_up ? "made-up users" : "contexts");
    if (preview->made_up) str_printf(&head, " (seed %lld)", (long long)preview->seed);
    str_add_text(&head, preview->total ? ":\n\n" : ".\n");
    if (head.data) text_add_safe(out, head.data, head.len, true);
    out->failed |= head.failed;
}

static void write_pair_json(const struct preview *preview, const struct pair *pair, struct jw *jw) {
    struct slice old = preview_value(&preview->was, pair->was), new = preview_value(&preview->is, pair->is);
    jw_object(jw, NULL);
    jw_slice(jw, "now", preview_name(&preview->was, pair->was));
    if (old.len) jw_raw(jw, "now_value", old);
    jw_slice(jw, "then", preview_name(&preview->is, pair->is));
    if (new.len) jw_raw(jw, "then_value", new);
    jw_int(jw, "users", pair->users);
    jw_bool(jw, "changed", pair->changed);
    jw_end_object(jw);
}

static void write_effects_json(const struct preview *preview, struct jw *jw) {
    jw_array(jw, "effects");
    for (size_t i = 0; i < preview->effect_count; i++) {
        const struct preview_effect *effect = &preview->effects[i];
        jw_object(jw, NULL);
        jw_slice(jw, "agent", effect->binding->agent);
        jw_slice(jw, flag_binding_kind_name(effect->binding->kind), effect->binding->name);
        if (effect->binding->kind == FLAG_PARAMETER) {
            jw_int(jw, "changes", effect->changes);
        } else {
            jw_int(jw, "appears", effect->appears);
            jw_int(jw, "disappears", effect->disappears);
        }
        jw_end_object(jw);
    }
    jw_end_array(jw);
}

static int write_json(const struct preview *preview, struct str *out, struct err *err) {
    struct jw jw = JW_INIT(out);
    size_t count;
    struct pair *pairs = list_pairs(preview, &count);
    if (!pairs) return err_no_memory(err);
    jw_object(&jw, NULL);
    jw_slice(&jw, "flag", preview->is.flag->key);
    jw_text(&jw, "environment", environment_of(preview));
    if (preview->made_up) jw_int(&jw, "seed", preview->seed);
    jw_int(&jw, "users", preview->total);
    jw_int(&jw, "changed", preview->changed);
    jw_array(&jw, "outcomes");
    for (size_t i = 0; i < count; i++)
        write_pair_json(preview, &pairs[i], &jw);
    jw_end_array(&jw);
    write_effects_json(preview, &jw);
    jw_array(&jw, "examples");
    for (size_t i = 0; i < preview->sample_count; i++) {
        jw_object(&jw, NULL);
        jw_slice(&jw, "now", preview_name(&preview->was, preview->samples[i].was));
        jw_slice(&jw, "then", preview_name(&preview->is, preview->samples[i].is));
        jw_raw(&jw, "context", slice_of(preview->samples[i].context));
        jw_end_object(&jw);
    }
    jw_end_array(&jw);
    jw_end_object(&jw);
    str_add_char(out, '\n');
    return 0;
}

static int write_text(const struct preview *preview, struct str *out, struct err *err) {
    const char *was = words_of(preview, preview->was.flag), *is = words_of(preview, preview->is.flag);
    if (!was || !is) return err_no_memory(err);
    write_head(preview, was, is, out);
    int r = preview->total ? write_pairs(preview, out, err) : 0;
    write_effects(preview, out);
    write_examples(preview, out);
    return r;
}

int preview_tell(const struct preview *preview, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = preview->cli->json ? write_json(preview, &out, err) : write_text(preview, &out, err);
    return r < 0 ? r : cli_write(preview->cli, &out, err);
}
