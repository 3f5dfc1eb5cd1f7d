/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people read, against files: the help of every command (help/<command>.txt) and what commands make of answers
 * (tables/<name>.txt from tables/<name>.json). After a change that is meant: SERIN_UPDATE_GOLDEN=1 test_cli_golden tests/golden
 * writes the files anew; read the difference before it is committed.
 */
#include "base/file.h"
#include "cli/test_world.h"

#include <string.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)

static const char *golden_folder;

static char *read_golden(const char *kind, const char *name, const char *ending) {
    struct str text = STR_INIT;
    struct err err = ERR_INIT;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s%s", golden_folder, kind, name, ending);
    if (file_read(path, FILE_MAX, &text, NULL, &err) < 0) fail_msg("%s", err.message);
    return str_take(&text);
}

static void write_golden(const char *kind, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s/%s.txt", golden_folder, kind, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void compare(const char *kind, const char *name, const char *text) {
    if (getenv("SERIN_UPDATE_GOLDEN")) write_golden(kind, name, text);
    char *golden = read_golden(kind, name, ".txt");
    if (!golden || strcmp(golden, text)) fail_msg("%s/%s.txt has\n%s\nbut it is now\n%s", kind, name, golden, text);
    free(golden);
}

static void test_help(void **state) {
    struct test_world *world = *state;
    char words[128], name[64];
    for (unsigned id = 0; id < COMMAND_COUNT_; id++) {
        const struct command *command = command_get((enum command_id)id);
        snprintf(words, sizeof(words), "%s --help", command->words);
        help_page_name(command->words, name);
        assert_int_equal(test_world_run(world, words), 0);
        compare("help", name, world->out);
    }
    assert_int_equal(test_world_run(world, "help"), 0);
    compare("help", "serin", world->out);
    assert_int_equal(test_world_run(world, "help release"), 0);
    compare("help", "serin-release", world->out);
}

/* Both streams in one file: errors first. */
static void run_as(struct test_world *world, const char *name, const char *answer_name, const char *words) {
    _cleanup_(str_deinit) struct str seen = STR_INIT;
    _cleanup_(json_decrefp) json_t *answer = NULL;
    struct err err = ERR_INIT;
    char *body = read_golden("tables", answer_name, ".json");
    assert_non_null(body);
    assert_int_equal(json_parse(body, strlen(body), JSON_DEPTH_MAX, &answer, &err), 0);
    const json_t *status = json_get(answer, "status");
    struct test_answer scripted = {0, status ? (int)json_integer_value(status) : 200, body};
    test_world_answers(world, &scripted, 1);
    int code = test_world_run(world, words);
    str_printf(&seen, "$ serin %s\n%s%s(exit code %d)\n", words, world->err, world->out, code);
    compare("tables", name, seen.data);
    free(body);
}

static void run_case(struct test_world *world, const char *name, const char *words) {
    run_as(world, name, name, words);
}

static const struct {
    const char *name, *words;
} cases[] = {
    {"agents", "agents"},
    {"agents-none", "agents"},
    {"agent-show", "agent show support"},
    {"push", "push one.json --agent support"},
    {"push-again", "push one.json --agent support"},
    {"log", "log support"},
    {"deploy", "deploy support@2 -e production"},
    {"deploy-first", "deploy support@1 -e production"},
    {"deploy-same", "deploy support@1 -e production"},
    {"deploy-dry", "deploy billing@1 -e staging --dry-run"},
    {"release", "deploy support@3 billing@1 -e production"},
    {"release-none", "deploy support@3 billing@1 -e production"},
    {"rollback", "rollback support -e production"},
    {"history", "history support"},
    {"releases", "releases"},
    {"release-show", "release show 01a20670-9e10-7f33-a062-0a2bfc5e7688"},
    {"release-rollback", "release rollback 01a20670-9e10-7f33-a062-0a2bfc5e7688"},
    {"hold", "hold billing -e production"},
    {"hold-again", "hold support -e production"},
    {"hold-release", "hold release support -e production"},
    {"holds", "holds"},
    {"override-set", "override set qa support@3 -e production -u ada -u alan"},
    {"override-list", "override list support -e production"},
    {"override-remove", "override remove qa support -e production"},
    {"resolve", "resolve support -e production -u user-42"},
    {"resolve-explain", "resolve support -e production -u ada --explain"},
    {"rollout-start", "rollout start support@3 -e production --template careful"},
    {"rollout-list", "rollout list support"},
    {"rollout-list-all", "rollout list --open"},
    {"rollout-status", "rollout status support -e production"},
    {"rollout-status-new", "rollout status support -e production"},
    {"rollout-status-ended", "rollout status support -e production"},
    {"rollout-status-aborted", "rollout status support -e production"},
    {"rollout-failures", "rollout failures support -e production"},
    {"rollout-failures-none", "rollout failures support -e production"},
    {"outcomes", "outcomes support -e production"},
    {"outcomes-none", "outcomes support -e production"},
    {"rollout-pause", "rollout pause support -e production"},
    {"rollout-pause-again", "rollout pause support -e production"},
    {"rollout-advance", "rollout advance support -e production"},
    {"rollout-promote", "rollout promote support -e production"},
    {"rollout-abort", "rollout abort support -e production"},
    {"rollout-templates", "rollout template list"},
    {"rollout-template-set", "rollout template set ours --steps [{\"share\":10}]"},
    {"flag-set", "flag set web_search --on -e production"},
    {"flag-set-faults", "flag set web_search flag.yaml -e production"},
    {"flag-get", "flag get web_search -e production"},
    {"flag-list", "flag list -e production"},
    {"flag-list-none", "flag list -e production"},
    {"flag-disable", "flag disable web_search -e production"},
    {"flag-disable-again", "flag disable web_search -e production"},
    {"flag-enable", "flag enable web_search -e production"},
    {"flag-delete", "flag delete web_search -e production"},
    {"flag-history", "flag history web_search -e production"},
    {"flag-diff", "flag diff web_search -e production"},
    {"flag-diff-none", "flag diff web_search -e production --from 3 --to 3"},
    {"flag-import", "flag import flag.yaml -e production"},
    {"flag-export", "flag export -e production"},
    {"flag-try", "flag try web_search -e production -u u1 --context {\"plan\":\"pro\"}"},
    {"flag-preview", "flag preview web_search --on -e production --population 1000"},
    {"panic", "panic support -e production --to 1"},
    {"panic-all", "panic -e production"},
    {"panic-off", "panic support -e production --disable"},
    {"unpanic", "unpanic support -e production"},
    {"panics", "panics"},
    {"streams", "streams -e production"},
    {"streams-none", "streams -e production"},
    {"env", "env"},
    {"env-create", "env create production"},
    {"env-show", "env show production"},
    {"env-show-none", "env show staging"},
    {"key-create", "key create --role resolve -e production --name web"},
    {"key-create-dry", "key create --role resolve -e production --name web --dry-run"},
    {"key-list", "key list"},
    {"key-revoke", "key revoke 363ef1f15f64d9fe"},
    {"audit", "audit"},
};

static void test_tables(void **state) {
    struct test_world *world = *state;
    test_world_file(world, "one.json", "{\"model\":\"m\"}", 0600);
    test_world_file(world, "flag.yaml", "state: on\nvariants:\n  on: 1\n  off: x\n", 0600);
    assert_int_equal(chdir(world->home), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        run_case(world, cases[i].name, cases[i].words);
    assert_int_equal(chdir("/"), 0);
}

static void test_on_a_terminal(void **state) {
    struct test_world *world = *state;
    world->world.out_is_terminal = world->world.err_is_terminal = true;
    world->world.width = 72;
    run_as(world, "log-narrow", "log", "log support --no-color");
    run_as(world, "history-narrow", "history", "history support --no-color");
    run_as(world, "history-colour", "history", "history support");
    run_as(world, "error-colour", "release-rollback", "release rollback x");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {WORLD_TEST(test_help), WORLD_TEST(test_tables), WORLD_TEST(test_on_a_terminal)};
    if (argc != 2) return 2;
    golden_folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
