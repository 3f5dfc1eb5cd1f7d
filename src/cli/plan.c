/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin rollout plan`: what a plan's steps will take with an agent's traffic. What came in during the last day is measured by the minute, so that an agent which
 * has been there for an hour is not taken for a slow one. The plan is put together as `rollout start` does it; the planning itself is the controller's.
 */
#include "base/jw.h"
#include "cli/cli_impl.h"
#include "controller/decide.h"

#include <math.h>
#include <string.h>

#define DAY INT64_C(86400000000)
#define MINUTE INT64_C(60000000)
#define PAGE 1000
#define CELLS 9
#define UNITS_MAX 1e15

struct planning {
    struct cli *cli;
    struct rollout_plan plan;
    struct traffic traffic;
    bool measured;     /* what was not said */
    int64_t now, from; /* of the measuring; 0 = nothing came */
    int64_t outcomes, stable_outcomes, stable_errors;
    struct step_ahead steps[ROLLOUT_STEPS_MAX];
    int64_t total; /* OUTLOOK_UNKNOWN: a step never passes */
};

/* ---- the plan ---- */

static int add_option(struct planning *planning, json_t *wish, const char *name, bool as_json, struct err *err) {
    const char *text = args_get(&planning->cli->args, name);
    json_t *value = NULL;
    if (!text) return 0;
    int r = as_json ? json_parse(text, strlen(text), JSON_DEPTH_MAX, &value, err) : 0;
    if (!as_json) value = json_string(text);
    if (r < 0) return r;
    return !value || json_object_set_new(wish, name, value) < 0 ? err_no_memory(err) : 0;
}

static int make_wish(struct planning *planning, json_t *wish, struct err *err) {
    static const struct {
        const char *name;
        bool as_json;
    } members[] = {{"steps", true}, {"analysis", true}, {"judge", false}, {"ratio", true}};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(members) && r == 0; i++)
        r = add_option(planning, wish, members[i].name, members[i].as_json, err);
    return r;
}

static int fetch_template(struct planning *planning, const char *name, struct answer *ret, struct err *err) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    str_add_text(&path, "/v1/rollout-templates/");
    url_add(&path, name);
    struct call call = {.op = op_get(OP_rollout_template_get), .path = path.data};
    return path.failed ? err_no_memory(err) : call_send(planning->cli, &call, ret, err);
}

static int told_faults(const struct planning *planning, const struct faults *faults, struct err *err) {
    char line[1024];
    if (!faults->errors) return 0;
    for (size_t i = 0; i < faults->count; i++) {
        snprintf(line, sizeof(line), "  %s: %s", faults->items[i].at, faults->items[i].message);
        cli_print_line(planning->cli, line);
    }
    return err_set(err, ERR_INVALID, "the plan cannot be: %zu fault%s", faults->errors, faults->errors == 1 ? "" : "s");
}

static int make_plan(struct planning *planning, struct err *err) {
    _cleanup_(answer_deinit) struct answer template = {0};
    _cleanup_(json_decrefp) json_t *wish = json_object(), *merged = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    const char *name = args_get(&planning->cli->args, "template");
    int r = wish ? make_wish(planning, wish, err) : err_no_memory(err);
    if (r < 0) return r;
    if (!name && !json_get(wish, "steps")) name = ROLLOUT_TEMPLATE_DEFAULT;
    if (name) r = fetch_template(planning, name, &template, err);
    if (r == 0) r = rollout_plan_merge(json_get(template.json, "content"), wish, &merged, err);
    if (r == 0) r = rollout_plan_parse(merged, "", false, &planning->cli->arena, &planning->plan, &faults, err);
    return r < 0 ? r : told_faults(planning, &faults, err);
}

/* ---- the traffic ---- */

static void add_sum(struct planning *planning, const json_t *sum) {
    const char *arm = json_get_text(sum, "arm"), *text = json_get_text(sum, "at");
    int64_t at, outcomes = json_integer_value(json_get(sum, "outcomes"));
    if (!text || !clock_from_text(text, &at) || !outcomes) return;
    planning->outcomes += outcomes;
    if (!planning->from || at < planning->from) planning->from = at;
    if (arm && !strcmp(arm, "candidate")) return;
    planning->stable_outcomes += outcomes;
    planning->stable_errors += json_integer_value(json_get(sum, "errors"));
}

static int sums_path(struct planning *planning, const char *after, struct str *out, struct err *err) {
    char from[CLOCK_TEXT_SIZE];
    struct cli *cli = planning->cli;
    const char *environment = args_get(&cli->args, "environment");
    if (!environment) environment = cli->profile.environment;
    if (!environment) {
        int r = err_set(err, ERR_USAGE, "say where: -e ENV; or say what comes in: --units-per-day and --error-rate");
        err_remedy(err, "Add -e production, or environment = \"production\" to ~/.config/serin/config.toml");
        return r;
    }
    clock_text(planning->now - DAY, from);
    str_clear(out);
    str_add_text(out, "/v1/agents/");
    url_add(out, args_get(&cli->args, "agent"));
    str_add_text(out, "/outcomes?environment=");
    url_add(out, environment);
    str_add_text(out, "&from=");
    url_add(out, from);
    str_printf(out, "&limit=%d", PAGE);
    if (after) str_add_text(out, "&after=");
    if (after) url_add(out, after);
    return out->failed ? err_no_memory(err) : 0;
}

static int measure(struct planning *planning, struct err *err) {
    _cleanup_(str_deinit) struct str path = STR_INIT;
    const char *after = NULL;
    do {
        _cleanup_(answer_deinit) struct answer answer = {0};
        int r = sums_path(planning, after, &path, err);
        if (r == 0)
            r = call_send(planning->cli, &(struct call){.op = op_get(OP_outcome_sums), .path = path.data}, &answer,
                          err);
        if (r < 0) return r;
        const json_t *sums = json_get(answer.json, "sums");
        for (size_t i = 0; i < json_array_size(sums); i++)
            add_sum(planning, json_array_get(sums, i));
        after = json_get_text(answer.json, "next");
        after = after ? arena_strdup(&planning->cli->arena, after) : NULL;
    } while (after);
    return 0;
}

static int take_number(const struct planning *planning, const char *param, const char *flag, double most, double *value,
                       struct err *err) {
    const char *text = args_get(&planning->cli->args, param);
    _cleanup_(json_decrefp) json_t *number = NULL;
    if (!text) return 0;
    bool read = json_parse(text, strlen(text), 1, &number, NULL) == 0 && json_is_number(number);
    *value = read ? json_number_value(number) : -1;
    if (*value >= 0 && *value <= most) return 0;
    int r = err_set(err, ERR_USAGE, "%s takes a number from 0 to %g", flag, most);
    err_at(err, "%s", flag);
    return r;
}

static int nothing_measured(const struct planning *planning, struct err *err) {
    int r =
        err_set(err, ERR_NOT_FOUND, "no outcomes of %s came there in the last 24 hours, so there is nothing to go by",
                args_get(&planning->cli->args, "agent"));
    err_remedy(err, "Say what comes in: --units-per-day 5000 --error-rate 0.02");
    return r;
}

static int find_traffic(struct planning *planning, struct err *err) {
    double units = -1, rate = -1;
    int r = take_number(planning, "units_per_day", "--units-per-day", UNITS_MAX, &units, err);
    if (r == 0) r = take_number(planning, "error_rate", "--error-rate", 1, &rate, err);
    planning->measured = units < 0 || rate < 0;
    if (r == 0 && planning->measured) r = measure(planning, err);
    if (r < 0) return r;
    if (planning->measured && !planning->stable_outcomes) return nothing_measured(planning, err);
    if (planning->from > planning->now - MINUTE) planning->from = planning->now - MINUTE;
    double days = (double)(planning->now - planning->from) / (double)DAY;
    planning->traffic.units_per_day = units >= 0 ? units : (double)planning->outcomes / days;
    planning->traffic.error_rate =
        rate >= 0 ? rate : (double)planning->stable_errors / (double)planning->stable_outcomes;
    return 0;
}

static void look_ahead(struct planning *planning) {
    for (size_t i = 0; i < planning->plan.step_count; i++) {
        struct step_ahead *step = &planning->steps[i];
        rollout_step_ahead(&planning->plan, &planning->traffic, i, step);
        if (step->earliest == OUTLOOK_UNKNOWN) planning->total = OUTLOOK_UNKNOWN;
        if (planning->total != OUTLOOK_UNKNOWN) planning->total += step->earliest;
    }
}

/* ---- telling ---- */

static const char *about(struct arena *arena, int64_t time) {
    char text[WHEN_SIZE];
    if (time == OUTLOOK_UNKNOWN) return "never";
    when_about(time, text);
    return arena_strdup(arena, text);
}

static const char *found_text(const struct planning *planning, double rate) {
    struct arena *arena = &planning->cli->arena;
    double stable = planning->traffic.error_rate;
    if (isnan(rate)) return "none";
    if (stable <= 0) return arena_printf(arena, "%.2g %%", 100 * rate);
    return arena_printf(arena, "%.2g %% (%.3gx)", 100 * rate, rate / stable);
}

static bool fill_row(const struct planning *planning, size_t i, struct cell cells[CELLS]) {
    struct arena *arena = &planning->cli->arena;
    const struct step_ahead *step = &planning->steps[i];
    bool compares = planning->plan.steps[i].share < SHARE_ALL;
    cells[0].text = arena_printf(arena, "%zu", i + 1);
    cells[1].text = arena_printf(arena, "%g", planning->plan.steps[i].share / 1000.0);
    cells[2].text = arena_printf(arena, step->units_per_day < 100 ? "%.3g" : "%.0f", step->units_per_day);
    cells[3].text = about(arena, step->time);
    cells[4].text = about(arena, step->units);
    cells[5].text = about(arena, step->evidence);
    cells[6].text = about(arena, step->earliest);
    if (step->asks) {
        cells[6].text = arena_printf(arena, "asks at %s", about(arena, planning->plan.steps[i].max_time));
        cells[6].colour = COLOUR_YELLOW;
    }
    cells[7].text = compares ? about(arena, step->twice) : "";
    cells[8].text = compares ? found_text(planning, step->found) : "";
    for (size_t c = 0; c < CELLS; c++)
        if (!cells[c].text) return false;
    return true;
}

static int write_table(const struct planning *planning, struct str *out, struct err *err) {
    static const struct layout_column columns[CELLS] = {
        {"STEP", true, false},     {"SHARE %", true, false},     {"UNITS/DAY", true, false},
        {"MIN TIME", true, false}, {"MIN UNITS", true, false},   {"EVIDENCE", true, false},
        {"GOES ON", true, false},  {"TWICE FOUND", true, false}, {"LEAST FOUND", true, false}};
    struct cell cells[ROLLOUT_STEPS_MAX * CELLS] = {0};
    struct layout layout = {columns, CELLS, cells, planning->plan.step_count};
    for (size_t i = 0; i < planning->plan.step_count; i++)
        if (!fill_row(planning, i, cells + i * CELLS)) return err_no_memory(err);
    return layout_add(&layout, 0, planning->cli->colour, &planning->cli->arena, out, err);
}

static void write_traffic(const struct planning *planning, struct str *out) {
    const char *agent = args_get(&planning->cli->args, "agent");
    text_add_safe(out, agent, strlen(agent), false);
    str_printf(out, ": %.0f units a day, %.3g %% of them fail", planning->traffic.units_per_day,
               100 * planning->traffic.error_rate);
    if (planning->measured) {
        const char *span = about(&planning->cli->arena, planning->now - planning->from);
        str_printf(out, " (measured: %lld outcomes in %s)", (long long)planning->outcomes, span ? span : "?");
    }
    str_add_text(out, "\n\n");
}

/* Which other metrics have a say that is not in the figures. */
static void write_others(const struct planning *planning, struct str *out) {
    const struct metric *by = rollout_ahead_metric(&planning->plan);
    size_t others = 0;
    for (size_t m = 0; m < planning->plan.metric_count; m++) {
        if (&planning->plan.metrics[m] == by) continue;
        str_printf(out,
                   others++ ? ", %s" : "Not in the figures, because what they take depends on how they are spread: %s",
                   planning->plan.metrics[m].name);
    }
    if (others) str_add_char(out, '\n');
}

static void write_words(const struct planning *planning, struct str *out) {
    bool asks = false;
    for (size_t i = 0; i < planning->plan.step_count; i++)
        asks |= planning->steps[i].asks;
    str_add_char(out, '\n');
    if (planning->total != OUTLOOK_UNKNOWN && !asks) {
        const char *total = about(&planning->cli->arena, planning->total);
        str_printf(out, "All steps together: %s for a candidate as good as stable; medians, right within some 25 %%.\n",
                   total ? total : "?");
    }
    if (asks)
        str_add_text(out, "Where it asks, max_time comes before the evidence: take a larger share, a longer max_time, "
                          "or a wider `accept`.\n");
    write_others(planning, out);
    if (planning->measured)
        str_add_text(
            out, "Outcomes are counted here, and evidence counts users: say --units-per-day when they come back.\n");
}

static void write_time_s(struct jw *jw, const char *name, int64_t time) {
    if (time == OUTLOOK_UNKNOWN)
        jw_null(jw, name);
    else
        jw_double(jw, name, (double)time / 1e6);
}

static void write_json(const struct planning *planning, struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_text(&jw, "agent", args_get(&planning->cli->args, "agent"));
    jw_double(&jw, "units_per_day", planning->traffic.units_per_day);
    jw_double(&jw, "error_rate", planning->traffic.error_rate);
    if (planning->measured) jw_int(&jw, "measured_outcomes", planning->outcomes);
    if (planning->measured) write_time_s(&jw, "measured_seconds", planning->now - planning->from);
    jw_array(&jw, "steps");
    for (size_t i = 0; i < planning->plan.step_count; i++) {
        const struct step_ahead *step = &planning->steps[i];
        jw_object(&jw, NULL);
        jw_double(&jw, "share", planning->plan.steps[i].share / 1000.0);
        jw_double(&jw, "units_per_day", step->units_per_day);
        write_time_s(&jw, "min_time_s", step->time);
        write_time_s(&jw, "min_units_s", step->units);
        write_time_s(&jw, "evidence_s", step->evidence);
        write_time_s(&jw, "goes_on_s", step->earliest);
        jw_bool(&jw, "asks", step->asks);
        write_time_s(&jw, "twice_found_s", step->twice);
        jw_double(&jw, "least_found_rate", step->found);
        jw_end_object(&jw);
    }
    jw_end_array(&jw);
    write_time_s(&jw, "total_s", planning->total);
    jw_end_object(&jw);
    str_add_char(out, '\n');
}

static int tell(const struct planning *planning, struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    int r = 0;
    if (planning->cli->json) {
        write_json(planning, &out);
    } else {
        write_traffic(planning, &out);
        r = write_table(planning, &out, err);
        write_words(planning, &out);
    }
    return r < 0 ? r : cli_write(planning->cli, &out, err);
}

int run_rollout_plan(struct cli *cli, struct err *err) {
    struct planning planning = {.cli = cli, .now = clock_wall(cli->world->clock)};
    int r = find_traffic(&planning, err);
    if (r == 0) r = make_plan(&planning, err);
    if (r < 0) return r;
    look_ahead(&planning);
    return tell(&planning, err);
}
