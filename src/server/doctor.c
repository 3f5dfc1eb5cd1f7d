/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serin doctor`: looks at a store and at the machine under it, and changes neither. Each check is a row of the table; it
 * works as well when the store is missing, damaged or in use, for that is when it is asked.
 */
#include "server/doctor.h"

#include "base/jw.h"
#include "cli/text.h"
#include "server/serve.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { JSON };
static const struct cli_option items[] = {
    [JSON] = {"--json", NULL, "Print the findings as JSON", false, false},
};
const struct cli_options doctor_options = {"doctor", items, ARRAY_LEN(items)};

static const struct {
    const char *name;
    doctor_check check;
} checks[] = {
    {"settings", check_settings},
    {"store file", check_file},
    {"server", check_server},
    {"ready", check_answers},
    {"store opens", check_opens},
    {"store whole", check_whole},
    {"derived tables", check_derived},
    {"write-ahead log", check_log},
    {"leftovers", check_leftovers},
    {"audit key", check_audit_key},
    {"last snapshot", check_snapshot},
    {"disk space", check_space},
    {"inodes", check_inodes},
    {"file system", check_file_system},
    {"fsync", check_fsync},
    {"clock", check_clock},
    {"time source", check_time_source},
    {"open files", check_descriptors},
    {"memory", check_memory},
    {"cores", check_cores},
    {"SQLite", check_sqlite},
    {"versions", check_versions},
};
#define CHECK_COUNT ARRAY_LEN(checks)

static const char *const states[] = {"", "ok", "warning", "problem"};

/* ---- findings ---- */

PRINTF_LIKE(4, 0)
static void set(struct finding *finding, enum finding_state state, const char *remedy, const char *fmt, va_list args) {
    finding->state = state;
    snprintf(finding->remedy, sizeof(finding->remedy), "%s", remedy);
    vsnprintf(finding->text, sizeof(finding->text), fmt, args);
}

void finding_ok(struct finding *finding, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    set(finding, FINDING_OK, "", fmt, args);
    va_end(args);
}

void finding_warn(struct finding *finding, const char *remedy, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    set(finding, FINDING_WARNING, remedy, fmt, args);
    va_end(args);
}

void finding_problem(struct finding *finding, const char *remedy, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    set(finding, FINDING_PROBLEM, remedy, fmt, args);
    va_end(args);
}

void finding_err(struct finding *finding, const struct err *err) {
    finding_problem(finding, err_remedy_text(err), "%s%s%s", err->message, *err->at ? " at " : "", err->at);
}

static size_t count(const struct finding findings[CHECK_COUNT], enum finding_state state) {
    size_t n = 0;
    for (size_t i = 0; i < CHECK_COUNT; i++)
        n += findings[i].state == state;
    return n;
}

/* ---- telling ---- */

static void write_json(const struct finding findings[CHECK_COUNT], struct str *out) {
    struct jw jw = JW_INIT(out);
    jw_object(&jw, NULL);
    jw_int(&jw, "problems", (int64_t)count(findings, FINDING_PROBLEM));
    jw_int(&jw, "warnings", (int64_t)count(findings, FINDING_WARNING));
    jw_array(&jw, "findings");
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        if (findings[i].state == FINDING_NONE) continue;
        jw_object(&jw, NULL);
        jw_text(&jw, "check", checks[i].name);
        jw_text(&jw, "state", states[findings[i].state]);
        jw_text(&jw, "finding", findings[i].text);
        if (*findings[i].remedy) jw_text(&jw, "remedy", findings[i].remedy);
        jw_end_object(&jw);
    }
    jw_end_array(&jw);
    jw_end_object(&jw);
    str_add_char(out, '\n');
}

static const char *with_try(struct arena *arena, const char *remedy) {
    const char *text = arena_printf(arena, "try: %s", remedy);
    return text ? text : remedy;
}

/* A remedy stands under its finding. */
static int write_table(const struct finding findings[CHECK_COUNT], bool colour, struct str *out, struct err *err) {
    static const struct layout_column columns[] = {
        {"STATE", false, false}, {"CHECK", false, false}, {"FINDING", false, false}};
    static const enum colour colours[] = {COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED};
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct cell cells[2 * CHECK_COUNT * ARRAY_LEN(columns)];
    size_t rows = 0;
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        const struct finding *finding = &findings[i];
        struct cell *cell = &cells[rows * ARRAY_LEN(columns)];
        if (finding->state == FINDING_NONE) continue;
        cell[0] = (struct cell){states[finding->state], colours[finding->state]};
        cell[1] = (struct cell){checks[i].name, COLOUR_NONE};
        cell[2] = (struct cell){finding->text, COLOUR_NONE};
        rows++;
        if (!*finding->remedy) continue;
        cell[3] = cell[4] = (struct cell){"", COLOUR_NONE};
        cell[5] = (struct cell){with_try(&arena, finding->remedy), COLOUR_DIM};
        rows++;
    }
    struct layout layout = {.columns = columns, .column_count = ARRAY_LEN(columns), .cells = cells, .row_count = rows};
    int r = layout_add(&layout, 0, colour, &arena, out, err);
    str_printf(out, "\nproblems: %zu, warnings: %zu\n", count(findings, FINDING_PROBLEM),
               count(findings, FINDING_WARNING));
    return r;
}

static int tell(struct care *care, const struct finding findings[CHECK_COUNT], struct err *err) {
    _cleanup_(str_deinit) struct str out = STR_INIT;
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    int r = 0;
    if (care->values[JSON])
        write_json(findings, &out);
    else
        r = write_table(findings, colour, &out, err);
    if (r < 0) return r;
    if (out.failed) return err_no_memory(err);
    fwrite(out.data, 1, out.len, stdout);
    if (fflush(stdout) != 0) return err_set(err, ERR_FILE, "the output cannot be written");
    return 0;
}

static int run(struct doctor *doctor, struct finding findings[CHECK_COUNT], struct err *err) {
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        int r = care_interrupted(doctor->care, err);
        if (r < 0) return r;
        care_doing(doctor->care, checks[i].name);
        checks[i].check(doctor, &findings[i]);
    }
    care_doing(doctor->care, "");
    return tell(doctor->care, findings, err);
}

static char *folder_of(const char *path) {
    _cleanup_(freep) char *copy = strdup(path);
    return copy ? strdup(dirname(copy)) : NULL;
}

int doctor_main(int argc, char **argv) {
    struct care care;
    struct err err = ERR_INIT;
    struct finding findings[CHECK_COUNT] = {0};
    int code = care_begin(&care, &doctor_options, argc, argv);
    if (code) return code;
    struct doctor doctor = {.care = &care, .path = care.path, .folder = folder_of(care.path)};
    int r = doctor.folder ? run(&doctor, findings, &err) : err_no_memory(&err);
    code = r < 0 ? care_failed(&care, &err) : count(findings, FINDING_PROBLEM) > 0;
    store_close(doctor.store);
    free(doctor.folder);
    care_end(&care);
    return code;
}
