/* SPDX-License-Identifier: Apache-2.0 */
/* How a rollout stands, as text: what `serin rollout status` prints once, and draws again and again (rollout_watch.c). */
#include "cli/cli_impl.h"

#include <math.h>
#include <string.h>

#define METRIC_CELLS 7
#define MOVE_CELLS 6
#define MOVES_WATCHED 5
#define ODDS_SHOWN_MAX 1e6

struct drawing {
    struct cli *cli;
    struct arena arena; /* of one drawing */
    const json_t *status, *rollout;
    struct str *out;
    bool watched;
};

static const char *member(const json_t *object, const char *name) {
    const char *text = json_get_text(object, name);
    return text ? text : "";
}

static double number(const json_t *object, const char *name) {
    const json_t *value = json_get(object, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void add_safe(struct str *out, const char *text) {
    text_add_safe(out, text, strlen(text), false);
}

/* ---- figures ---- */

/* Three digits that matter, never with an exponent. */
static void add_figure(struct str *out, double value) {
    if (isnan(value))
        str_add_char(out, '-');
    else
        str_printf(out, fabs(value) < 1000 ? "%.3g" : "%.0f", value);
}

/* 412:1, 0.31:1 */
static void add_odds(struct str *out, double odds) {
    if (isnan(odds))
        str_add_char(out, '-');
    else if (odds > ODDS_SHOWN_MAX)
        str_add_text(out, ">1000000:1");
    else if (odds >= 0.001)
        str_printf(out, odds < 10 ? "%.2g:1" : "%.0f:1", odds);
    else
        str_add_text(out, odds > 0 ? "<0.001:1" : "0:1");
}

static void add_arm(struct str *out, const json_t *arm, const char *kind) {
    double mean = number(arm, "mean");
    if (isnan(mean)) {
        str_add_char(out, '-');
        return;
    }
    if (strcmp(kind, "event") != 0) {
        add_figure(out, mean);
        str_printf(out, " of %lld", (long long)json_integer_value(json_get(arm, "units")));
        return;
    }
    add_figure(out, 100 * mean);
    str_printf(out, " %% (%lld of %lld)", (long long)json_integer_value(json_get(arm, "events")),
               (long long)json_integer_value(json_get(arm, "units")));
}

static void add_compared(struct str *out, const json_t *metric) {
    double compared = number(metric, "compared"), low = number(metric, "low"), high = number(metric, "high");
    if (isnan(compared)) {
        str_add_char(out, '-');
        return;
    }
    bool difference = !strcmp(member(metric, "kind"), "score");
    if (difference && compared > 0) str_add_char(out, '+');
    add_figure(out, compared);
    if (!difference) str_add_char(out, 'x');
    if (isnan(low)) return;
    str_add_text(out, " (");
    add_figure(out, low);
    if (!isnan(high)) str_add_text(out, " to ");
    if (!isnan(high)) add_figure(out, high);
    str_add_text(out, isnan(high) ? " or more)" : ")");
}

/* "14:40:05 (in 3m20s)" */
static void add_when(const struct drawing *drawing, struct str *out, const char *text) {
    char date[WHEN_SIZE], left[WHEN_SIZE];
    int64_t at, now = clock_wall(drawing->cli->world->clock);
    if (!clock_from_text(text, &at)) return;
    when_date(at, date);
    str_add_text(out, date);
    if (at <= now) return;
    when_about(at - now, left);
    str_printf(out, " (in %s)", left);
}

/* ---- parts ---- */

static void draw_head(const struct drawing *drawing) {
    const json_t *rollout = drawing->rollout;
    struct str *out = drawing->out;
    char since[WHEN_SIZE] = "";
    int64_t at;
    if (clock_from_text(member(rollout, "step_at"), &at)) when_text(at, clock_wall(drawing->cli->world->clock), since);
    add_safe(out, member(rollout, "agent"));
    str_add_text(out, " in ");
    add_safe(out, member(rollout, "environment"));
    str_printf(out, ": candidate @%lld against @%lld\n", (long long)json_integer_value(json_get(rollout, "candidate")),
               (long long)json_integer_value(json_get(rollout, "stable")));
    colour_add(out, drawing->cli->colour, COLOUR_BOLD, member(rollout, "state"));
    str_printf(out, ", step %lld of %lld, ", (long long)json_integer_value(json_get(rollout, "step")),
               (long long)json_integer_value(json_get(rollout, "step_count")));
    add_figure(out, number(rollout, "share"));
    str_printf(out, " %% of the users since %s\n", since);
    colour_add(out, drawing->cli->colour, COLOUR_DIM, "rollout ");
    add_safe(out, member(rollout, "id"));
    str_add_char(out, '\n');
}

static const char *made(const struct drawing *drawing, struct str *text) {
    const char *kept =
        text->failed ? NULL : arena_strdup((struct arena *)&drawing->arena, text->data ? text->data : "");
    str_deinit(text);
    return kept;
}

static bool fill_metric(const struct drawing *drawing, const json_t *metric, struct cell cells[METRIC_CELLS]) {
    struct str text = STR_INIT;
    const char *kind = member(metric, "kind");
    double needed = number(drawing->status, "harm_needed"), harm = number(metric, "harm_evidence");
    cells[0] = (struct cell){member(metric, "name"), COLOUR_CYAN};
    add_arm(&text, json_get(metric, "stable"), kind);
    cells[1].text = made(drawing, &text);
    add_arm(&text, json_get(metric, "candidate"), kind);
    cells[2].text = made(drawing, &text);
    add_compared(&text, metric);
    cells[3].text = made(drawing, &text);
    add_odds(&text, harm);
    cells[4] = (struct cell){made(drawing, &text), harm >= needed ? COLOUR_RED : COLOUR_NONE};
    add_odds(&text, number(metric, "go_on_evidence"));
    cells[5].text = made(drawing, &text);
    bool passes = json_is_true(json_get(metric, "goes_on"));
    cells[6] = (struct cell){passes ? "yes" : "not yet", passes ? COLOUR_GREEN : COLOUR_NONE};
    for (size_t c = 0; c < METRIC_CELLS; c++)
        if (!cells[c].text) return false;
    return true;
}

static int add_layout(const struct drawing *drawing, const struct layout *layout, struct err *err) {
    const struct cli_world *world = drawing->cli->world;
    return layout_add(layout, world->out_is_terminal ? world->width : 0, drawing->cli->colour,
                      (struct arena *)&drawing->arena, drawing->out, err);
}

static int draw_metrics(const struct drawing *drawing, struct err *err) {
    static const struct layout_column columns[METRIC_CELLS] = {
        {"METRIC", false, false},  {"STABLE", true, false},           {"CANDIDATE", true, false},
        {"COMPARED", true, false}, {"EVIDENCE OF HARM", true, false}, {"TO GO ON", true, false},
        {"PASSES", false, false}};
    const json_t *metrics = json_get(drawing->status, "metrics");
    size_t count = json_array_size(metrics);
    struct cell *cells = arena_array((struct arena *)&drawing->arena, (count + 1) * METRIC_CELLS, sizeof(*cells));
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!fill_metric(drawing, json_array_get(metrics, i), cells + i * METRIC_CELLS)) return err_no_memory(err);
    str_add_char(drawing->out, '\n');
    return add_layout(drawing, &(struct layout){columns, METRIC_CELLS, cells, count}, err);
}

static void draw_sums(const struct drawing *drawing) {
    struct str *out = drawing->out;
    const json_t *status = drawing->status, *split = json_get(status, "split");
    double harm = number(status, "harm_evidence");
    str_add_text(out, "\nharm        ");
    if (harm > 0) add_odds(out, harm);
    str_add_text(out, harm > 0 ? " over all metrics; " : "too few failures to say; ");
    add_odds(out, number(status, "harm_needed"));
    str_add_text(out, " rolls it back. To go on each metric needs ");
    add_odds(out, number(status, "go_on_needed"));
    str_printf(out, "\nusers       %lld of the candidate, %lld count at this step; of %lld in both arms ",
               (long long)json_integer_value(json_get(status, "units")),
               (long long)json_integer_value(json_get(status, "step_units")),
               (long long)json_integer_value(json_get(split, "units")));
    str_printf(out, "%lld got it, and ", (long long)json_integer_value(json_get(split, "candidates")));
    double expected = number(split, "expected");
    str_printf(out, isnan(expected) ? "-" : "%.0f", expected);
    str_add_text(out, " should\n");
}

static void draw_guard(const struct drawing *drawing, const json_t *guard) {
    double value = number(guard, "value");
    const char *why = member(guard, "why");
    add_safe(drawing->out, member(guard, "name"));
    str_add_char(drawing->out, ' ');
    add_safe(drawing->out, member(guard, "state"));
    if (!isnan(value)) str_printf(drawing->out, " (%g)", value);
    if (!why || !*why) return;
    str_add_text(drawing->out, ": ");
    add_safe(drawing->out, why);
}

static void draw_guards(const struct drawing *drawing) {
    const json_t *guards = json_get(drawing->status, "guards");
    for (size_t i = 0; i < json_array_size(guards); i++) {
        str_add_text(drawing->out, i ? "            " : "guards      ");
        draw_guard(drawing, json_array_get(guards, i));
        str_add_char(drawing->out, '\n');
    }
}

static void draw_missing(const struct drawing *drawing, const json_t *next) {
    const json_t *missing = json_get(next, "missing");
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *part = json_string_value(json_array_get(missing, i));
        str_add_text(drawing->out, i ? ", " : "; waits for ");
        add_safe(drawing->out, part ? part : "");
        if (!part || strcmp(part, "evidence") != 0 || !json_get(next, "metric")) continue;
        str_add_text(drawing->out, " of ");
        add_safe(drawing->out, member(next, "metric"));
    }
}

static void draw_next(const struct drawing *drawing) {
    const json_t *next = json_get(drawing->status, "next");
    struct str *out = drawing->out;
    const char *action = member(next, "action");
    if (!next) return;
    str_add_text(out, "next        ");
    if (!strcmp(action, "advance")) str_printf(out, "to %g %%", number(next, "share"));
    if (!strcmp(action, "promote")) str_add_text(out, "promoted");
    if (!strcmp(action, "hold")) str_add_text(out, "a person is asked");
    if (*member(next, "earliest")) {
        str_add_text(out, ", at the earliest about ");
        add_when(drawing, out, member(next, "earliest"));
    }
    draw_missing(drawing, next);
    str_add_char(out, '\n');
    if (!*member(next, "asks_at")) return;
    str_add_text(out, "            without a verdict a person is asked at ");
    add_when(drawing, out, member(next, "asks_at"));
    str_add_char(out, '\n');
}

static void draw_words(const struct drawing *drawing) {
    const char *says = member(drawing->status, "says"), *words = member(drawing->rollout, "words");
    const char *remedy = member(drawing->status, "remedy");
    struct str *out = drawing->out;
    str_add_text(out, "now         ");
    add_safe(out, *says ? says : words);
    if (*says && strchr(remedy, ' ')) { /* "Wait" and "Nothing" say nothing */
        str_add_text(out, "\n            ");
        colour_add(out, drawing->cli->colour, COLOUR_DIM, "to do: ");
        add_safe(out, remedy);
    }
    str_add_char(out, '\n');
}

static bool fill_move(const struct drawing *drawing, const json_t *move, struct cell cells[MOVE_CELLS]) {
    struct arena *arena = (struct arena *)&drawing->arena;
    char when[WHEN_SIZE] = "";
    int64_t at;
    if (clock_from_text(member(move, "at"), &at)) when_date(at, when);
    cells[0].text = arena_strdup(arena, when);
    cells[1].text = member(move, "action");
    cells[2].text = arena_printf(arena, "%lld", (long long)json_integer_value(json_get(move, "step")));
    cells[3].text = arena_printf(arena, "%g", number(move, "share"));
    cells[4].text = member(move, "by");
    cells[5].text = member(move, "words");
    return cells[0].text && cells[2].text && cells[3].text;
}

static int draw_moves(const struct drawing *drawing, struct err *err) {
    static const struct layout_column columns[MOVE_CELLS] = {{"WHEN", false, false}, {"ACTION", false, false},
                                                             {"STEP", true, false},  {"SHARE %", true, false},
                                                             {"BY", false, false},   {"WORDS", false, true}};
    const json_t *moves = json_get(drawing->status, "moves");
    size_t count = json_array_size(moves);
    if (drawing->watched && count > MOVES_WATCHED) count = MOVES_WATCHED;
    struct cell *cells = arena_array((struct arena *)&drawing->arena, (count + 1) * MOVE_CELLS, sizeof(*cells));
    if (!cells) return err_no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!fill_move(drawing, json_array_get(moves, i), cells + i * MOVE_CELLS)) return err_no_memory(err);
    str_add_text(drawing->out, "\nMoves:\n");
    return add_layout(drawing, &(struct layout){columns, MOVE_CELLS, cells, count}, err);
}

int rollout_draw(struct cli *cli, const json_t *status, bool watched, struct str *out, struct err *err) {
    struct drawing drawing = {
        .cli = cli, .status = status, .rollout = json_get(status, "rollout"), .out = out, .watched = watched};
    int r = 0;
    draw_head(&drawing);
    if (json_get(status, "metrics")) {
        r = draw_metrics(&drawing, err);
        draw_sums(&drawing);
        draw_guards(&drawing);
        draw_next(&drawing);
    } else {
        str_add_char(out, '\n');
    }
    draw_words(&drawing);
    if (r == 0) r = draw_moves(&drawing, err);
    arena_deinit(&drawing.arena);
    return r < 0 ? r : out->failed ? err_no_memory(err) : 0;
}

/* Else its last move says why it stands so. */
static bool moves_by_itself(const json_t *rollout) {
    const char *state = member(rollout, "state");
    return !strcmp(state, "running") || !strcmp(state, "paused");
}

void rollout_line(const json_t *status, struct str *out) {
    const json_t *rollout = json_get(status, "rollout");
    add_safe(out, member(rollout, "state"));
    str_add_char(out, ' ');
    add_figure(out, number(rollout, "share"));
    str_printf(out, " %%, %lld users of the candidate", (long long)json_integer_value(json_get(status, "units")));
    const json_t *metrics = json_get(status, "metrics");
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *metric = json_array_get(metrics, i);
        str_add_text(out, "; ");
        add_safe(out, member(metric, "name"));
        str_add_char(out, ' ');
        add_compared(out, metric);
        str_add_text(out, " harm ");
        add_odds(out, number(metric, "harm_evidence"));
        str_add_text(out, " on ");
        add_odds(out, number(metric, "go_on_evidence"));
    }
    str_add_text(out, "; ");
    add_safe(out, moves_by_itself(rollout) ? member(status, "says") : member(rollout, "words"));
}
