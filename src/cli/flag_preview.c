/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin flag preview`: a changed flag beside the one that is in force, over a file of contexts or over made-up users. Both are computed here, from the fetched flags of the
 * environment, so nothing is set and nobody is asked. What other flags do to the same tools is left aside.
 */
#include "cli/flag_preview.h"

#include <errno.h>
#include <string.h>

#define POPULATION_DEFAULT 10000
#define POPULATION_MAX 1000000
#define LINE_SIZE_MAX (1024 * 1024)

/* ---- the two flags ---- */

static void init_side(struct preview_side *side, struct flag *flag) {
    *side = (struct preview_side){.flag = flag, .none = flag ? flag->variant_count : 0};
    side->failed = side->none + 1;
    side->count = side->failed + 1;
}

/* The flag as it would be, among the rules that the environment has. 1: its faults are printed. */
static int make_wished(struct preview *preview, struct flag **ret, struct err *err) {
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    const json_t *document = json_get(preview->answer.json, "document");
    const char *key = args_get(&preview->cli->args, "flag");
    const json_t *there = json_get(json_get(preview->answer.json, "bindings"), key);
    struct flag_source source = {.key = key,
                                 .definition = preview->wish.definition,
                                 .bindings = preview->wish.bindings ? preview->wish.bindings : there,
                                 .at = "/definition",
                                 .bindings_at = "/bindings",
                                 .evaluators = json_get(document, "$evaluators"),
                                 .metadata = json_get(document, "metadata")};
    if (!flag_key_valid(slice_of(key))) {
        int r = err_set(err, ERR_USAGE, "a flag's key is 1 to %d of letters, digits, . _ and -", FLAG_KEY_MAX);
        err_at(err, "KEY");
        return r;
    }
    int r = flag_new(&source, ret, &faults, err);
    if (r != -ERR_INVALID) return r;
    flag_wish_faults(preview->cli, &preview->wish, &faults);
    return 1;
}

static int make_sides(struct preview *preview, struct err *err) {
    struct flag *was = NULL, *is = NULL;
    const char *key = args_get(&preview->cli->args, "flag");
    int r = call_op(preview->cli, op_get(OP_flag_document_get), &preview->answer, err);
    if (r == 0) r = flag_of_document(preview->answer.json, key, &was, err);
    if (r == 0) r = make_wished(preview, &is, err);
    init_side(&preview->was, was);
    init_side(&preview->is, is);
    size_t size = (size_t)preview->was.count * preview->is.count;
    preview->pairs = arena_array(&preview->cli->arena, size, sizeof(*preview->pairs));
    if (!preview->pairs) return err_no_memory(err);
    memset(preview->pairs, 0, size * sizeof(*preview->pairs));
    return r;
}

static struct preview_effect *effect_of(struct preview *preview, const struct flag_binding *binding) {
    for (size_t i = 0; i < preview->effect_count; i++) {
        const struct flag_binding *other = preview->effects[i].binding;
        if (other->kind == binding->kind && slice_equal(other->agent, binding->agent) &&
            slice_equal(other->name, binding->name))
            return &preview->effects[i];
    }
    struct preview_effect *effect = &preview->effects[preview->effect_count++];
    *effect = (struct preview_effect){.binding = binding};
    return effect;
}

static void list_effects(struct preview *preview) {
    const struct flag *was = preview->was.flag, *is = preview->is.flag;
    for (uint32_t i = 0; was && i < was->binding_count; i++)
        effect_of(preview, &was->bindings[i])->was_bound = true;
    for (uint32_t i = 0; is && i < is->binding_count; i++)
        effect_of(preview, &is->bindings[i])->is_bound = true;
}

/* ---- one context ---- */

static uint32_t outcome_of(struct preview *preview, const struct preview_side *side,
                           const struct logic_context *context) {
    struct flag_result result;
    if (!side->flag) return side->none;
    flag_evaluate(side->flag, context, &preview->scratch, NULL, NULL, &result);
    if (result.error) return side->failed;
    return result.variant == FLAG_NO_VARIANT ? side->none : (uint32_t)result.variant;
}

/* By the rule that decisions go by. */
static bool takes_away(const struct preview_side *side, bool bound, uint32_t outcome, enum flag_binding_kind kind) {
    struct flag_result result = {.reason = FLAG_IS_DEFAULT, .variant = FLAG_NO_VARIANT};
    if (!bound || !side->flag) return false;
    if (!side->flag->enabled) result.reason = FLAG_IS_DISABLED;
    if (outcome == side->failed) result.reason = FLAG_IS_ERROR;
    if (outcome < side->none) result.variant = (int16_t)outcome;
    return flag_takes_away(side->flag, &result, kind);
}

static void count_effects(struct preview *preview, uint32_t was, uint32_t is) {
    struct slice before = preview_value(&preview->was, was), after = preview_value(&preview->is, is), none = {"", 0};
    for (size_t i = 0; i < preview->effect_count; i++) {
        struct preview_effect *effect = &preview->effects[i];
        enum flag_binding_kind kind = effect->binding->kind;
        if (kind == FLAG_PARAMETER) {
            effect->changes += !slice_equal(effect->was_bound ? before : none, effect->is_bound ? after : none);
            continue;
        }
        bool off = takes_away(&preview->was, effect->was_bound, was, kind),
             goes_off = takes_away(&preview->is, effect->is_bound, is, kind);
        effect->appears += off && !goes_off;
        effect->disappears += !off && goes_off;
    }
}

/* `context` is an object. */
static int take(struct preview *preview, const json_t *context, struct err *err) {
    struct arena arena = ARENA_INIT;
    struct logic_context own = {.timestamp = preview->timestamp};
    int r = logic_from_json(context, &arena, &own.data);
    if (r == 0) {
        uint32_t was = outcome_of(preview, &preview->was, &own), is = outcome_of(preview, &preview->is, &own);
        bool changed = preview_differ(preview, was, is);
        preview->pairs[was * preview->is.count + is]++;
        preview->total++;
        preview->changed += changed;
        count_effects(preview, was, is);
        if (changed && preview->sample_count < PREVIEW_SAMPLES_MAX) {
            _cleanup_(str_deinit) struct str text = STR_INIT;
            r = json_compact(context, &text);
            const char *kept = r < 0 ? NULL : arena_strdup(&preview->cli->arena, text.data);
            if (!kept) r = -ERR_NO_MEMORY;
            if (kept) preview->samples[preview->sample_count++] = (struct preview_sample){kept, was, is};
        }
    }
    arena_deinit(&arena);
    return r < 0 ? err_no_memory(err) : 0;
}

/* ---- contexts from a file ---- */

/* 1: it is none, and that is printed. */
static int take_line(struct preview *preview, const char *path, unsigned number, struct slice line, struct err *err) {
    _cleanup_(json_decrefp) json_t *context = NULL;
    struct fault fault = {.at = "", .message = "a context is an object"};
    struct err why = ERR_INIT;
    if (!line.len) return 0;
    int r = json_parse(line.ptr, line.len, JSON_DEPTH_MAX, &context, &why);
    if (r == -ERR_NO_MEMORY) return err_no_memory(err);
    if (r == 0 && json_is_object(context)) return take(preview, context, err);
    if (r < 0) fault.message = why.message;
    cli_print_fault(preview->cli, path, number, why.column, &fault);
    return 1;
}

/* False: the file is at its end. One byte more than LINE_SIZE_MAX at most, whatever the file holds. */
static bool read_line(FILE *file, struct str *line) {
    int c;
    str_clear(line);
    while ((c = getc(file)) != EOF && c != '\n' && line->len <= LINE_SIZE_MAX)
        str_add_char(line, (char)c);
    return c != EOF || line->len;
}

static int take_lines(struct preview *preview, FILE *file, const char *path, struct err *err) {
    _cleanup_(str_deinit) struct str line = STR_INIT;
    struct fault fault = {.at = "", .message = "a context has at most 1 MiB"};
    int r = 0;
    for (unsigned number = 1; r == 0 && read_line(file, &line); number++) {
        if (line.failed) return err_no_memory(err);
        if (line.len > LINE_SIZE_MAX) {
            cli_print_fault(preview->cli, path, number, 0, &fault);
            return 1;
        }
        while (line.len && strchr(" \t\r", line.data[line.len - 1]))
            line.len--;
        r = take_line(preview, path, number, str_slice(&line), err);
    }
    return r == 0 && ferror(file) ? err_set(err, ERR_FILE, "%s cannot be read", path) : r;
}

static int read_contexts(struct preview *preview, const char *path, struct err *err) {
    if (!strcmp(path, "-")) return take_lines(preview, stdin, "standard input", err);
    FILE *file = fopen(path, "re");
    if (!file) {
        int r = err_set_errno(err, ERR_FILE, errno, "%s cannot be read", path);
        err_at(err, "--contexts");
        return r;
    }
    int r = take_lines(preview, file, path, err);
    (void)fclose(file);
    return r;
}

/* ---- made-up users ---- */

static int read_rule(struct preview *preview, const struct flag *flag, struct err *err) {
    _cleanup_(json_decrefp) json_t *definition = NULL;
    if (!flag) return 0;
    int r = json_parse(flag->definition.ptr, flag->definition.len, JSON_DEPTH_MAX, &definition, err);
    const json_t *evaluators = json_get(json_get(preview->answer.json, "document"), "$evaluators");
    if (r == 0) population_read(&preview->population, json_get(definition, "targeting"), evaluators);
    return r;
}

static int make_up_contexts(struct preview *preview, int64_t count, struct err *err) {
    int r = read_rule(preview, preview->was.flag, err);
    if (r == 0) r = read_rule(preview, preview->is.flag, err);
    if (r == 0) r = population_finish(&preview->population, err);
    for (int64_t i = 0; r == 0 && i < count; i++) {
        _cleanup_(json_decrefp) json_t *context = NULL;
        r = population_user(&preview->population, i, &context, err);
        if (r == 0) r = take(preview, context, err);
    }
    return r;
}

static int number_of(struct preview *preview, const char *param, const char *flag, int64_t otherwise, int64_t most,
                     int64_t *ret, struct err *err) {
    const char *text = args_get(&preview->cli->args, param);
    *ret = otherwise;
    if (!text || text_to_int(text, 1, most, ret)) return 0;
    int r = err_set(err, ERR_USAGE, "%s takes 1 to %lld", flag, (long long)most);
    err_at(err, "%s", flag);
    return r;
}

/* Who is asked, as it was said; *ret_count: how many are made up. */
static int read_usage(struct preview *preview, int64_t *ret_count, struct err *err) {
    const struct args *args = &preview->cli->args;
    preview->made_up = !args_get(args, "contexts");
    int r = number_of(preview, "population", "--population", POPULATION_DEFAULT, POPULATION_MAX, ret_count, err);
    if (r == 0) r = number_of(preview, "seed", "--seed", 1, UINT32_MAX, &preview->seed, err);
    if (r < 0 || preview->made_up || (!args_get(args, "population") && !args_get(args, "seed"))) return r;
    r = err_set(err, ERR_USAGE, "--contexts goes with neither --population nor --seed");
    err_at(err, "--contexts");
    return r;
}

static int ask_all(struct preview *preview, int64_t count, struct err *err) {
    const char *path = args_get(&preview->cli->args, "contexts");
    population_init(&preview->population, preview->seed, &preview->cli->arena);
    list_effects(preview);
    return path ? read_contexts(preview, path, err) : make_up_contexts(preview, count, err);
}

static void deinit(struct preview *preview) {
    flag_unref(preview->was.flag);
    flag_unref(preview->is.flag);
    population_deinit(&preview->population);
    flag_wish_deinit(&preview->wish);
    answer_deinit(&preview->answer);
}

int run_flag_preview(struct cli *cli, struct err *err) {
    struct preview *preview = arena_alloc(&cli->arena, sizeof(*preview));
    int64_t count = 0;
    if (!preview) return err_no_memory(err);
    memset(preview, 0, sizeof(*preview));
    preview->cli = cli;
    preview->timestamp = clock_wall(cli->world->clock) / 1000000;
    int r = read_usage(preview, &count, err);
    if (r == 0) r = flag_wish_read(cli, &preview->wish, err);
    if (r == 0) r = make_sides(preview, err);
    if (r == 0) r = ask_all(preview, count, err);
    if (r == 0) r = preview_tell(preview, err);
    deinit(preview);
    return r;
}
