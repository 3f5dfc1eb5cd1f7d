/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of the real file system: what it gives, and that nothing leads out of it. */
#include "model/source.h"

#include "model/config.h"
#include "model/test_kit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char root[64];   /* holds the folder and what lies outside of it */
    char folder[80]; /* root/support */
    struct source_reader reader;
    struct arena arena;
};

static void write_file(const char *folder, const char *name, const char *text, size_t len) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void make_folder(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const char *to, const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(symlink(to, path), 0);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err = ERR_INIT;

    assert_non_null(f);
    snprintf(f->root, sizeof(f->root), "/tmp/serin-folder-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->folder, sizeof(f->folder), "%s/support", f->root);
    make_folder(f->root, "support");
    make_folder(f->root, "outside");
    make_folder(f->folder, "tools");
    write_file(f->root, "secret.md", "secret", 6);
    write_file(f->root, "outside/x.json", "{}", 2);
    write_file(f->folder, "agent.yaml", "model: m", 8);
    write_file(f->folder, "tools/b.json", "\"b\"", 3);
    write_file(f->folder, "tools/a.json", "\"a\"", 3);
    write_file(f->folder, "tools/.hidden.json", "{}", 2);
    if (source_folder_open(f->folder, &f->reader, &err) < 0) fail_msg("%s", err.message);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    source_folder_close(&f->reader);
    arena_deinit(&f->arena);
    nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void gives(struct fixture *f, const char *path, const char *text) {
    struct slice slice;
    struct err err = ERR_INIT;
    if (f->reader.read(f->reader.ctx, path, &f->arena, &slice, &err) < 0) fail_msg("%s: %s", path, err.message);
    assert_true(slice_equal_text(slice, text));
}

static void refuses(struct fixture *f, const char *path, int code, const char *part) {
    struct slice slice;
    struct err err = ERR_INIT;
    int r = f->reader.read(f->reader.ctx, path, &f->arena, &slice, &err);
    if (r != -code) fail_msg("%s: answered %d, \"%s\"", path, r, err.message);
    if (!strstr(err.message, part)) fail_msg("%s: \"%s\" does not say \"%s\"", path, err.message, part);
    assert_string_equal(err.at, path);
}

static void test_reads(void **state) {
    gives(*state, "agent.yaml", "model: m");
    gives(*state, "tools/a.json", "\"a\"");
    gives(*state, "agent.yaml", "model: m");
}

static void test_what_is_not_there(void **state) {
    refuses(*state, "missing.yaml", ERR_FILE, "does not exist");
    refuses(*state, "missing/x.yaml", ERR_FILE, "does not exist");
    refuses(*state, "agent.yaml/x", ERR_FILE, "cannot be opened");
    refuses(*state, "tools", ERR_FILE, "is no regular file");
}

static void test_paths_that_lead_out(void **state) {
    refuses(*state, "../secret.md", ERR_OUTSIDE_FOLDER, "leads outside");
    refuses(*state, "tools/../../secret.md", ERR_OUTSIDE_FOLDER, "leads outside");
    refuses(*state, "/etc/passwd", ERR_OUTSIDE_FOLDER, "leads outside");
    refuses(*state, "", ERR_OUTSIDE_FOLDER, "is empty");
    refuses(*state, ".", ERR_OUTSIDE_FOLDER, "\".\" part");
    refuses(*state, "tools/", ERR_OUTSIDE_FOLDER, "empty part");
}

static void test_links(void **state) {
    struct fixture *f = *state;

    make_link("../secret.md", f->folder, "link.md");
    make_link("agent.yaml", f->folder, "inner.yaml");
    make_link("../outside", f->folder, "folder");
    make_link("/etc", f->folder, "etc");
    make_link("nowhere", f->folder, "dangling");
    refuses(f, "link.md", ERR_OUTSIDE_FOLDER, "symbolic link");
    refuses(f, "inner.yaml", ERR_OUTSIDE_FOLDER, "symbolic link");
    refuses(f, "folder/x.json", ERR_OUTSIDE_FOLDER, "symbolic link");
    refuses(f, "etc/passwd", ERR_OUTSIDE_FOLDER, "symbolic link");
    refuses(f, "dangling", ERR_OUTSIDE_FOLDER, "symbolic link");
}

static void test_what_is_no_file(void **state) {
    struct fixture *f = *state;
    char path[128];

    snprintf(path, sizeof(path), "%s/fifo", f->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuses(f, "fifo", ERR_FILE, "is no regular file");
}

static void test_sizes(void **state) {
    struct fixture *f = *state;
    _cleanup_(freep) char *bytes = malloc(CONFIG_SIZE_MAX + 1);
    struct slice slice;

    assert_non_null(bytes);
    memset(bytes, 'x', CONFIG_SIZE_MAX + 1);
    write_file(f->folder, "fits", bytes, CONFIG_SIZE_MAX);
    write_file(f->folder, "over", bytes, CONFIG_SIZE_MAX + 1);
    write_file(f->folder, "empty", "", 0);
    assert_int_equal(f->reader.read(f->reader.ctx, "fits", &f->arena, &slice, NULL), 0);
    assert_int_equal(slice.len, CONFIG_SIZE_MAX);
    refuses(f, "over", ERR_TOO_LARGE, "larger than 1048576");
    gives(f, "empty", "");
}

static void lists(struct fixture *f, const char *path, const char *expected) {
    const char **names;
    char text[500] = "";
    struct err err = ERR_INIT;

    if (f->reader.list(f->reader.ctx, path, &f->arena, &names, &err) < 0) fail_msg("%s: %s", path, err.message);
    for (; *names; names++) {
        strncat(text, *names, sizeof(text) - strlen(text) - 2);
        strcat(text, " ");
    }
    assert_string_equal(text, expected);
}

static void test_lists(void **state) {
    struct fixture *f = *state;

    lists(f, "tools", "a.json b.json ");
    lists(f, "", "agent.yaml ");
    make_folder(f->folder, "tools/sub");
    make_link("a.json", f->folder, "tools/link.json");
    lists(f, "tools", "a.json b.json ");
    lists(f, "tools/sub", "");
}

static void test_lists_that_are_refused(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *path;
        int code;
    } rows[] = {{"missing", ERR_FILE},
                {"agent.yaml", ERR_FILE},
                {"..", ERR_OUTSIDE_FOLDER},
                {"/", ERR_OUTSIDE_FOLDER},
                {"folder", ERR_OUTSIDE_FOLDER}};
    const char **names;

    make_link("../outside", f->folder, "folder");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        int r = f->reader.list(f->reader.ctx, rows[i].path, &f->arena, &names, &err);
        if (r != -rows[i].code) fail_msg("%s: answered %d, \"%s\"", rows[i].path, r, err.message);
    }
}

static void test_many_files(void **state) {
    struct fixture *f = *state;
    const char **names;
    char name[40];
    struct err err = ERR_INIT;

    make_folder(f->folder, "many");
    for (int i = 0; i <= 1000; i++) {
        snprintf(name, sizeof(name), "many/%04d.json", i);
        write_file(f->folder, name, "", 0);
    }
    assert_int_equal(f->reader.list(f->reader.ctx, "many", &f->arena, &names, &err), -ERR_TOO_LARGE);
}

static void test_name(void **state) {
    struct fixture *f = *state;
    struct source_reader reader;
    char path[128];

    assert_string_equal(f->reader.name, "support");
    snprintf(path, sizeof(path), "%s/./tools/..///", f->folder);
    assert_int_equal(source_folder_open(path, &reader, NULL), 0);
    assert_string_equal(reader.name, "support");
    source_folder_close(&reader);
}

/* The root itself is the caller's word. */
static void test_root_may_be_a_link(void **state) {
    struct fixture *f = *state;
    struct source_reader reader;
    char path[128];

    make_link("support", f->root, "current");
    snprintf(path, sizeof(path), "%s/current", f->root);
    assert_int_equal(source_folder_open(path, &reader, NULL), 0);
    assert_string_equal(reader.name, "support");
    source_folder_close(&reader);
}

static void test_roots_that_are_refused(void **state) {
    struct fixture *f = *state;
    struct source_reader reader;
    struct err err = ERR_INIT;
    char path[128];

    snprintf(path, sizeof(path), "%s/nothing", f->root);
    assert_int_equal(source_folder_open(path, &reader, &err), -ERR_FILE);
    assert_string_equal(err.at, path);
    snprintf(path, sizeof(path), "%s/agent.yaml", f->folder);
    assert_int_equal(source_folder_open(path, &reader, &err), -ERR_FILE);
}

/* The folder that was opened stays the same one when its name is given to another. */
static void test_a_folder_that_is_swapped(void **state) {
    struct fixture *f = *state;
    char aside[128];

    snprintf(aside, sizeof(aside), "%s/aside", f->root);
    assert_int_equal(rename(f->folder, aside), 0);
    make_link("outside", f->root, "support");
    gives(f, "agent.yaml", "model: m");
    refuses(f, "x.json", ERR_FILE, "does not exist");
}

static void test_whole_agent(void **state) {
    struct fixture *f = *state;
    struct source_document document;
    struct faults faults = FAULTS_INIT;
    static const char yaml[] =
        "model: m\nsystem_prompt: {file: prompt.md}\ngreeting: {file: link.md}\ntools: [{file: tools/*.json}]\n";

    write_file(f->folder, "agent.yaml", yaml, strlen(yaml));
    write_file(f->folder, "prompt.md", "You are…", strlen("You are…"));
    make_link("../secret.md", f->folder, "link.md");
    assert_int_equal(source_read(&f->reader, "", &faults, &document, NULL), 0);
    kit_same(document.config,
             "{'model':'m','system_prompt':'You are…','greeting':{'file':'link.md'},'tools':['a','b']}");
    kit_faults("agent", &faults, "/greeting: the file \"link.md\" is or goes through a symbolic link");
    assert_string_equal(document.agent, "support");
    source_document_deinit(&document);
    faults_deinit(&faults);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(test_reads),
        with_folder(test_what_is_not_there),
        with_folder(test_paths_that_lead_out),
        with_folder(test_links),
        with_folder(test_what_is_no_file),
        with_folder(test_sizes),
        with_folder(test_lists),
        with_folder(test_lists_that_are_refused),
        with_folder(test_many_files),
        with_folder(test_name),
        with_folder(test_root_may_be_a_link),
        with_folder(test_roots_that_are_refused),
        with_folder(test_a_folder_that_is_swapped),
        with_folder(test_whole_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
