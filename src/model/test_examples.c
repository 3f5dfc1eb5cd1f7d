/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents of examples/agents (the first argument): every version is read, checked and sealed without an error or a
 * warning, versions differ, and each history tells a story that can be played.
 */
#include "model/config.h"
#include "model/names.h"
#include "model/source.h"
#include "model/test_kit.h"

#include <dirent.h>
#include <sys/stat.h>

#define AGENTS_MAX 16
#define VERSIONS_MAX 16

static const char *examples = "examples/agents";

static void path_of(char ret[512], const char *agent, const char *name) {
    snprintf(ret, 512, "%s/%s%s%s", examples, agent, *name ? "/" : "", name);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static size_t agents(char ret[AGENTS_MAX][64]) {
    DIR *dir = opendir(examples);
    const struct dirent *entry;
    size_t count = 0;

    if (!dir) fail_msg("%s cannot be read", examples);
    while ((entry = readdir(dir))) {
        char path[512];
        path_of(path, entry->d_name, "");
        if (entry->d_name[0] == '.' || !is_folder(path)) continue;
        assert_true(count < AGENTS_MAX && strlen(entry->d_name) < 64);
        strcpy(ret[count++], entry->d_name);
    }
    closedir(dir);
    return count;
}

static size_t version_count(const char *agent) {
    char path[512], name[32];
    size_t count = 0;

    for (;; count++) {
        snprintf(name, sizeof(name), "v%zu", count + 1);
        path_of(path, agent, name);
        if (!is_folder(path)) return count;
    }
}

static void read_config(const char *path, json_t **ret) {
    struct source_reader reader;
    struct source_document document;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;

    if (source_folder_open(path, &reader, &err) < 0) fail_msg("%s: %s", path, err.message);
    if (source_read(&reader, "", &faults, &document, &err) < 0) {
        fail_msg("%s: %s (%s:%u:%u)", path, err.message, err.at, err.line, err.column);
    }
    assert_int_equal(config_normalise(document.config, &faults, ret, NULL), 0);
    assert_int_equal(config_validate(*ret, &faults, NULL), 0);
    kit_faults(path, &faults, "");
    source_document_deinit(&document);
    source_folder_close(&reader);
    faults_deinit(&faults);
}

static size_t words_in(const char *text) {
    size_t words = 0;
    bool inside = false;

    for (; *text; text++) {
        bool space = strchr(" \t\n", *text) != NULL;
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

static void check_version(const char *agent, size_t number, struct config_sealed *ret) {
    _cleanup_(json_decrefp) json_t *config = NULL;
    char path[512], name[32];

    snprintf(name, sizeof(name), "v%zu", number);
    path_of(path, agent, name);
    read_config(path, &config);
    size_t words = words_in(json_get_text(config, "system_prompt"));
    if (words < 300 || words > 1500) fail_msg("%s: a prompt of %zu words", path, words);
    assert_true(json_array_size(json_get(config, "tools")) > 0);
    assert_true(json_object_size(json_get(config, "guardrails")) > 0);
    assert_int_equal(config_seal(config, ret, NULL), 0);
}

/* A rollback in a story may go back to the same bytes, but no two versions are the same. */
static void test_versions(void **state) {
    char names[AGENTS_MAX][64];
    size_t count = agents(names);

    assert_true(count >= 6);
    for (size_t a = 0; a < count; a++) {
        struct config_sealed sealed[VERSIONS_MAX];
        size_t versions = version_count(names[a]);
        if (versions < 3 || versions > VERSIONS_MAX) fail_msg("%s has %zu versions", names[a], versions);
        assert_true(name_valid(slice_of(names[a])));
        for (size_t v = 0; v < versions; v++) {
            check_version(names[a], v + 1, &sealed[v]);
            for (size_t w = 0; w < v; w++) {
                bool same = memcmp(&sealed[v].config_hash, &sealed[w].config_hash, sizeof(struct sha256)) == 0;
                if (same) fail_msg("%s: v%zu and v%zu are the same", names[a], w + 1, v + 1);
            }
        }
        for (size_t v = 0; v < versions; v++) {
            config_sealed_deinit(&sealed[v]);
        }
    }
}

static void test_agents_that_are_named_exist(void **state) {
    char names[AGENTS_MAX][64];
    size_t count = agents(names);
    static const char *const wanted[] = {"support",     "billing-triage",    "code-reviewer", "research-assistant",
                                         "sql-analyst", "voice-receptionist"};

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        bool found = false;
        for (size_t a = 0; a < count; a++) {
            found = found || strcmp(names[a], wanted[i]) == 0;
        }
        if (!found) fail_msg("%s is missing", wanted[i]);
    }
}

/* ---- histories ---- */

struct story {
    const char *agent;
    size_t pushed;
    json_t *deployments; /* environment -> how many there were */
};

static bool has_text(const json_t *step, const char *key) {
    const char *text = json_get_text(step, key);
    return text && strlen(text) > 10 && strlen(text) <= 300;
}

static void play_push(struct story *story, const json_t *step) {
    char expected[32];
    snprintf(expected, sizeof(expected), "v%zu", ++story->pushed);
    if (strcmp(json_get_text(step, "push"), expected) != 0)
        fail_msg("%s: %s is pushed in place of %s", story->agent, json_get_text(step, "push"), expected);
    assert_true(has_text(step, "message"));
    assert_int_equal(json_object_size(step), 2);
}

static void play_deploy(struct story *story, const json_t *step) {
    json_int_t number = json_integer_value(json_get(step, "deploy"));
    const char *environment = json_get_text(step, "environment");

    if (number < 1 || (size_t)number > story->pushed)
        fail_msg("%s: version %d is deployed before it is pushed", story->agent, (int)number);
    assert_non_null(environment);
    assert_true(strcmp(environment, "staging") == 0 || strcmp(environment, "production") == 0);
    json_int_t before = json_integer_value(json_get(story->deployments, environment));
    json_object_set_new(story->deployments, environment, json_integer(before + 1));
    assert_true(has_text(step, "reason"));
    assert_int_equal(json_object_size(step), 3);
}

static void play_rollback(struct story *story, const json_t *step) {
    const char *environment = json_get_text(step, "rollback");
    assert_non_null(environment);
    if (json_integer_value(json_get(story->deployments, environment)) < 2)
        fail_msg("%s: nothing to go back to", story->agent);
    assert_true(has_text(step, "reason"));
    assert_int_equal(json_object_size(step), 2);
}

static void need_file(const struct story *story, const json_t *step, const char *key) {
    struct source_document document;
    struct source_reader reader;
    struct faults faults = FAULTS_INIT;
    struct err err = ERR_INIT;
    char path[512];
    path_of(path, story->agent, "");
    const char *name = json_get_text(step, key);
    assert_non_null(name);
    assert_int_equal(source_folder_open(path, &reader, &err), 0);
    if (source_read(&reader, name, &faults, &document, &err) < 0) fail_msg("%s/%s: %s", path, name, err.message);
    assert_true(json_is_object(document.config));
    source_document_deinit(&document);
    source_folder_close(&reader);
    faults_deinit(&faults);
}

static void play_flags(struct story *story, const json_t *step) {
    const char *environment = json_get_text(step, "environment");
    need_file(story, step, "flags");
    need_file(story, step, "bindings");
    assert_non_null(environment);
    assert_non_null(json_get(story->deployments, environment));
    assert_true(has_text(step, "reason"));
    assert_int_equal(json_object_size(step), 4);
}

static void play_step(struct story *story, const json_t *step) {
    if (json_get(step, "push")) {
        play_push(story, step);
    } else if (json_get(step, "deploy")) {
        play_deploy(story, step);
    } else if (json_get(step, "rollback")) {
        play_rollback(story, step);
    } else if (json_get(step, "flags")) {
        play_flags(story, step);
    } else {
        fail_msg("%s: a step that is none", story->agent);
    }
}

static json_t *read_history(const char *agent) {
    struct source_reader reader;
    struct arena arena = ARENA_INIT;
    struct slice text;
    struct err err = ERR_INIT;
    char path[512];
    json_t *history;

    path_of(path, agent, "");
    assert_int_equal(source_folder_open(path, &reader, &err), 0);
    if (reader.read(reader.ctx, "history.yaml", &arena, &text, &err) < 0)
        fail_msg("%s/history.yaml %s", path, err.message);
    if (source_parse_yaml(text, &history, NULL, &err) < 0)
        fail_msg("%s/history.yaml:%u: %s", path, err.line, err.message);
    source_folder_close(&reader);
    arena_deinit(&arena);
    return history;
}

static void test_histories(void **state) {
    char names[AGENTS_MAX][64];
    size_t count = agents(names), rollbacks = 0;

    for (size_t a = 0; a < count; a++) {
        _cleanup_(json_decrefp) json_t *history = read_history(names[a]), *deployments = json_object();
        struct story story = {.agent = names[a], .deployments = deployments};
        size_t i;
        json_t *step;

        assert_string_equal(json_get_text(history, "agent"), names[a]);
        json_array_foreach(json_get(history, "steps"), i, step) {
            play_step(&story, step);
            rollbacks += json_get(step, "rollback") != NULL;
        }
        assert_int_equal(story.pushed, version_count(names[a]));
        assert_true(json_integer_value(json_get(deployments, "production")) >= 2);
    }
    assert_true(rollbacks >= 2);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_agents_that_are_named_exist),
        cmocka_unit_test(test_histories),
    };
    if (argc > 1) examples = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
