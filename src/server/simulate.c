/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin simulate`: a world from a file, from the built-in ones, or from a few options, many rollouts in it, and how often and how soon each end
 * came. Options are members of the world: whichever way it is made, it is read in one place.
 */
#include "simulate/simulate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/jw.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "server/serve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUNS_MAX INT64_C(10000000)
#define FILE_MAX ((size_t)1 << 20)
#define RUNS_USUAL 1000
#define CELLS 7
#define CELL_SIZE 40

enum {
    WORLD,
    SCENARIO,
    TEMPLATE,
    STABLE,
    CANDIDATE,
    PER_SECOND,
    HORIZON,
    RUNS,
    SEED,
    THREADS,
    EVIDENCE_ONLY,
    JOURNAL,
    LIST,
    JSON,
    OPTIONS_
};
static const struct cli_option items[] = {
    [WORLD] = {NULL, "WORLD", "A file that describes the world, in JSON", false, true},
    [SCENARIO] = {"--scenario", "NAME", "A world that is built in; or the beginning of several names: t1, s6, trap",
                  false, false},
    [TEMPLATE] = {"--template", "NAME", "The rollout's plan: careful, fast or standard", false, false},
    [STABLE] = {"--stable-error", "RATE", "Chance that a run with stable fails: 0.02", false, false},
    [CANDIDATE] = {"--candidate-error", "RATE", "Chance that a run with the candidate fails", false, false},
    [PER_SECOND] = {"--per-second", "N", "Requests a second", false, false},
    [HORIZON] = {"--horizon", "UNITS", "Candidate units after which a run is left unfinished", false, false},
    [RUNS] = {"--runs", "N", "So many rollouts (1000)", false, false},
    [SEED] = {"--seed", "N", "Another seed, other runs (1)", false, false},
    [THREADS] = {"--threads", "N", "So many at a time; the result is the same (all cores)", false, false},
    [EVIDENCE_ONLY] = {"--evidence-only", NULL, "Without the plain ratio rule beside it", false, false},
    [JOURNAL] = {"--journal", NULL, "Print every move of the first run instead", false, false},
    [LIST] = {"--list", NULL, "List the worlds that are built in", false, false},
    [JSON] = {"--json", NULL, "Print the figures as JSON", false, false},
};
const struct cli_options simulate_options = {"simulate", items, ARRAY_LEN(items)};

struct job {
    const char *values[OPTIONS_];
    struct simulate_options options;
    struct arena arena;
    struct str out;
    struct jw jw;
};

/* ---- the world ---- */

static int world_json(const struct job *job, const char *given, json_t **ret, struct err *err) {
    _cleanup_(str_deinit) struct str text = STR_INIT;
    if (given) return json_parse(given, strlen(given), JSON_DEPTH_MAX, ret, err);
    if (!job->values[WORLD]) {
        *ret = json_object();
        return *ret ? 0 : err_no_memory(err);
    }
    int r = file_read(job->values[WORLD], FILE_MAX, &text, NULL, err);
    if (r == 0) r = json_parse(text.data ? text.data : "", text.len, JSON_DEPTH_MAX, ret, err);
    if (r < 0) err_prefix(err, "reading %s: ", job->values[WORLD]);
    return r;
}

/* An option's number as a member of the object at `key`, or of the world itself. */
static int lay_number(json_t *world, const char *key, const char *member, const char *text, struct err *err) {
    _cleanup_(json_decrefp) json_t *number = NULL;
    json_t *to = key ? json_get(world, key) : world;
    if (!text) return 0;
    if (json_parse(text, strlen(text), 1, &number, NULL) < 0 || !json_is_number(number))
        return err_set(err, ERR_USAGE, "\"%s\" is no number", text);
    if (!to) {
        if (json_object_set_new(world, key, json_object()) < 0) return err_no_memory(err);
        to = json_get(world, key);
    }
    return json_is_object(to) && json_object_set(to, member, number) < 0 ? err_no_memory(err) : 0;
}

static int lay_options(const struct job *job, json_t *world, struct err *err) {
    const char *template = job->values[TEMPLATE];
    if (!json_is_object(world)) return 0;
    if (template && json_object_set_new(world, "template", json_string(template)) < 0) return err_no_memory(err);
    int r = lay_number(world, "stable", "error", job->values[STABLE], err);
    if (r == 0) r = lay_number(world, "candidate", "error", job->values[CANDIDATE], err);
    if (r == 0 && job->values[PER_SECOND]) {
        (void)json_object_del(world, "requests");
        r = lay_number(world, "requests", "per_second", job->values[PER_SECOND], err);
    }
    return r < 0 ? r : lay_number(world, NULL, "horizon", job->values[HORIZON], err);
}

static int told_faults(const struct faults *faults, struct err *err) {
    if (!faults->errors) return 0;
    for (size_t i = 0; i < faults->count; i++)
        fprintf(stderr, "  %s: %s\n", faults->items[i].at, faults->items[i].message);
    return err_set(err, ERR_INVALID, "the world cannot be: %zu faults", faults->errors);
}

static int read_world(struct job *job, const struct scenario *scenario, struct world *ret, struct err *err) {
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(faults_deinit) struct faults faults = FAULTS_INIT;
    int r = world_json(job, scenario ? scenario->json : NULL, &json, err);
    if (r == 0) r = lay_options(job, json, err);
    if (r == 0) r = world_parse(json, &job->arena, ret, &faults, err);
    if (r == 0) r = told_faults(&faults, err);
    if (r == 0 && scenario) {
        ret->name = scenario->name;
        ret->description = scenario->description;
    }
    return r;
}

/* ---- figures ---- */

static void write_rule(struct jw *jw, const struct rule_figures *figures) {
    jw_int(jw, "runs", figures->runs);
    jw_int(jw, "units", figures->units);
    jw_int(jw, "requests", figures->requests);
    jw_object(jw, "ends");
    for (enum fate fate = FATE_PROMOTED; fate < FATES; fate++) {
        static const char *const keys[] = {"promoted", "rolled_back", "held", "unfinished"};
        const struct fate_figures *of = &figures->fates[fate];
        jw_object(jw, keys[fate]);
        jw_int(jw, "runs", of->runs);
        jw_double(jw, "share", (double)of->runs / (double)figures->runs);
        jw_double(jw, "low", of->low);
        jw_double(jw, "high", of->high);
        jw_int(jw, "units_median", of->units_median);
        jw_int(jw, "units_p90", of->units_p90);
        jw_double(jw, "seconds_median", (double)of->time_median / 1e6);
        jw_double(jw, "seconds_p90", (double)of->time_p90 / 1e6);
        jw_end_object(jw);
    }
    jw_end_object(jw);
    jw_object(jw, "reasons");
    for (size_t i = 0; i < REASON_COUNT_; i++)
        if (figures->reasons[i]) jw_int(jw, rollout_reason_name((enum rollout_reason)i), figures->reasons[i]);
    jw_end_object(jw);
}

static void write_simulation(struct job *job, const struct world *world, const struct simulation *done, int64_t took) {
    struct jw *jw = &job->jw;
    jw_object(jw, NULL);
    jw_text(jw, "world", world->name);
    jw_text(jw, "description", world->description);
    jw_text(jw, "seed", job->values[SEED] ? job->values[SEED] : "1");
    jw_double(jw, "seconds", (double)took / 1e6);
    static const char *const rules[] = {"evidence", "ratio"};
    for (size_t rule = 0; rule < ARRAY_LEN(rules); rule++) {
        if (!done->rules[rule].runs) continue;
        jw_object(jw, rules[rule]);
        write_rule(jw, &done->rules[rule]);
        jw_end_object(jw);
    }
    jw_end_object(jw);
}

PRINTF_LIKE(3, 4)
static bool add_cell(struct job *job, struct cell *cell, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    cell->text = arena_vprintf(&job->arena, fmt, args);
    va_end(args);
    return cell->text != NULL;
}

static bool add_row(struct job *job, struct cell *cells, const char *rule, const struct rule_figures *figures,
                    enum fate fate) {
    const struct fate_figures *of = &figures->fates[fate];
    char median[DURATION_TEXT_SIZE], p90[DURATION_TEXT_SIZE];
    duration_text(of->time_median, median);
    duration_text(of->time_p90, p90);
    return add_cell(job, &cells[0], "%s", rule) && add_cell(job, &cells[1], "%s", fate_name(fate)) &&
           add_cell(job, &cells[2], "%.2f", 100.0 * (double)of->runs / (double)figures->runs) &&
           add_cell(job, &cells[3], "%.2f-%.2f", 100 * of->low, 100 * of->high) &&
           add_cell(job, &cells[4], "%lld", (long long)of->units_median) &&
           add_cell(job, &cells[5], "%lld", (long long)of->units_p90) &&
           add_cell(job, &cells[6], "%s / %s", median, p90);
}

static int print_table(struct job *job, const struct simulation *done, struct err *err) {
    static const struct layout_column columns[CELLS] = {
        {"RULE", false, false}, {"END", false, false},      {"%", true, false},         {"95 %", true, false},
        {"UNITS", true, false}, {"UNITS P90", true, false}, {"TIME / P90", true, false}};
    struct cell cells[2 * FATES * CELLS] = {0};
    struct layout layout = {.columns = columns, .column_count = CELLS, .cells = cells};
    for (size_t rule = 0; rule < 2; rule++)
        for (enum fate fate = FATE_PROMOTED; fate < FATES; fate++) {
            if (!done->rules[rule].runs || !done->rules[rule].fates[fate].runs) continue;
            struct cell *row = cells + layout.row_count++ * CELLS;
            if (!add_row(job, row, rule ? "ratio" : "evidence", &done->rules[rule], fate)) return err_no_memory(err);
        }
    return layout_add(&layout, 0, false, &job->arena, &job->out, err);
}

static int print_simulation(struct job *job, const struct world *world, const struct simulation *done, int64_t took,
                            struct err *err) {
    int64_t runs = done->rules[0].runs + done->rules[1].runs, units = done->rules[0].units + done->rules[1].units;
    str_printf(&job->out, "%s%s%s\n", world->name, world->description && *world->description ? ": " : "",
               world->description ? world->description : "");
    str_printf(&job->out, "%lld runs a rule, seed %s; %lld candidate units in %.1f s: %.0f rollouts a second\n\n",
               (long long)job->options.runs, job->values[SEED] ? job->values[SEED] : "1", (long long)units,
               (double)took / 1e6, (double)runs * 1e6 / (double)(took ? took : 1));
    int r = print_table(job, done, err);
    str_add_char(&job->out, '\n');
    return r;
}

/* ---- the journal of one run ---- */

static int print_move(void *ctx, const struct rollout_plan *plan, const struct rollout_facts *facts,
                      const struct evidence *evidence, const struct rollout_ruling *ruling) {
    struct str *out = ctx;
    struct verdict verdict;
    char after[DURATION_TEXT_SIZE];
    duration_text(facts->now - facts->step_at, after);
    analysis_judge(plan, evidence, facts->step, &verdict);
    str_printf(out, "%8s  %-12s  ", after, rollout_reason_name(ruling->reason));
    rollout_words(plan, facts, &verdict, ruling, out);
    str_add_char(out, '\n');
    return 0;
}

static int print_journal(struct job *job, const struct world *world, struct err *err) {
    struct run_watcher watcher = {print_move, &job->out};
    struct run_result result = {0};
    int r = simulate_run(world, JUDGE_EVIDENCE, job->options.seed, 0, &watcher, &result, err);
    if (r < 0) return r;
    str_printf(&job->out, "%s after %lld candidate units\n", fate_name(result.fate), (long long)result.units);
    return 0;
}

/* ---- the command ---- */

static int run_world(struct job *job, const struct scenario *scenario, struct err *err) {
    struct world world = {0};
    struct simulation done = {0};
    int r = read_world(job, scenario, &world, err);
    if (r < 0) return r;
    if (job->values[JOURNAL]) return print_journal(job, &world, err);
    int64_t from = clock_monotonic(&clock_system);
    r = simulate(&world, &job->options, &done, err);
    if (r < 0) return r;
    int64_t took = clock_monotonic(&clock_system) - from;
    if (!job->values[JSON]) return print_simulation(job, &world, &done, took, err);
    write_simulation(job, &world, &done, took);
    return 0;
}

static int run_scenarios(struct job *job, struct err *err) {
    const char *name = job->values[SCENARIO];
    size_t count, ran = 0;
    const struct scenario *all = scenarios(&count), *one = scenario_find(name);
    if (one) return run_world(job, one, err);
    jw_array(&job->jw, NULL);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(all[i].name, name, strlen(name)) != 0) continue;
        int r = run_world(job, &all[i], err);
        if (r < 0) return r;
        ran++;
    }
    jw_end_array(&job->jw);
    if (!job->values[JSON] && ran) return 0;
    return ran ? 0 : err_set(err, ERR_USAGE, "there is no scenario \"%s\"; --list shows them", name);
}

static void list(struct job *job) {
    size_t count;
    const struct scenario *all = scenarios(&count);
    for (size_t i = 0; i < count; i++)
        str_printf(&job->out, "%-22s %s\n", all[i].name, all[i].description);
}

static int take_int(const char *flag, const char *text, int64_t least, int64_t most, int64_t *value, struct err *err) {
    if (!text || text_to_int(text, least, most, value)) return 0;
    return err_set(err, ERR_USAGE, "%s takes a whole number from %lld to %lld", flag, (long long)least,
                   (long long)most);
}

static int take_options(struct job *job, int *argc, char **argv, struct err *err) {
    int64_t seed = 1, threads = sysconf(_SC_NPROCESSORS_ONLN);
    job->options = (struct simulate_options){.runs = RUNS_USUAL};
    int r = cli_options_take(&simulate_options, argc, argv, job->values, err);
    if (r == 0) r = take_int("--runs", job->values[RUNS], 1, RUNS_MAX, &job->options.runs, err);
    if (r == 0) r = take_int("--seed", job->values[SEED], 0, INT64_MAX, &seed, err);
    if (r == 0) r = take_int("--threads", job->values[THREADS], 1, 64, &threads, err);
    if (r == 0 && job->values[SCENARIO] && job->values[WORLD])
        r = err_set(err, ERR_USAGE, "take a file or --scenario, not both");
    job->options.seed = (uint64_t)seed;
    job->options.threads = threads > 0 ? (unsigned)threads : 1;
    job->options.compare = !job->values[EVIDENCE_ONLY];
    return r;
}

static int run_job(struct job *job, struct err *err) {
    int r = 0;
    if (job->values[LIST])
        list(job);
    else
        r = job->values[SCENARIO] ? run_scenarios(job, err) : run_world(job, NULL, err);
    return r == 0 && job->out.failed ? err_no_memory(err) : r;
}

int simulate_main(int argc, char **argv) {
    struct err err = ERR_INIT;
    struct job job = {0};
    job.jw = JW_INIT(&job.out);
    int r = take_options(&job, &argc, argv, &err);
    if (r == 0) r = run_job(&job, &err);
    if (r == 0 && job.out.len) fwrite(job.out.data, 1, job.out.len, stdout);
    if (r == 0 && job.values[JSON]) putchar('\n');
    if (r == 0 && fflush(stdout) != 0) r = err_set(&err, ERR_FILE, "the output cannot be written");
    if (r < 0) cli_report(&err);
    str_deinit(&job.out);
    arena_deinit(&job.arena);
    return r == 0 ? 0 : err.code == ERR_USAGE ? 2 : 1;
}
