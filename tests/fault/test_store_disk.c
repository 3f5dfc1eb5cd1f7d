/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores on disks that are not as they should be: damaged, foreign, read-only, held by another process, newer, full. Each must be told
 * in words with its code, harm nothing, and be over when its cause is.
 */
#include "conformance/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state) {
    struct kit *kit = malloc(sizeof *kit);

    if (!kit) return -1;
    kit_init(kit, KIT_FILE);
    *state = kit;
    return 0;
}

static int teardown(void **state) {
    kit_deinit(*state);
    free(*state);
    return 0;
}

static void ok(struct kit *kit, int r) {
    if (r != 0) fail_msg("answered %d: %s", r, kit->err.message);
}

static void fill(struct kit *kit, int versions) {
    char text[3001];

    ok(kit, kit_agent(kit, "a", ""));
    for (int i = 0; i < versions; i++) {
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        snprintf(text, 20, "%d", i);
        text[strlen(text)] = ' ';
        ok(kit, kit_push(kit, "a", text));
    }
}

static void overwrite(const struct kit *kit, off_t offset, size_t len) {
    char path[160];

    kit_path(kit, "", path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(pwrite(fd, "\xa5", 1, offset + (off_t)i), 1);
    close(fd);
}

/* ---- damage ---- */

static void a_file_that_is_no_database(void **state) {
    struct kit *kit = *state;
    struct stat st;
    char path[160];

    overwrite(kit, 0, 9000);
    assert_int_equal(kit_open(kit), -ERR_STORE_CORRUPT);
    kit_path(kit, "", path);
    assert_string_equal(kit->err.at, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 9000);
}

static int read_all(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct audit_entry *entries;
    struct version version;
    size_t count;

    int r = store_audit(tx, 0, 100000, &arena, &entries, &count, err);
    for (int64_t number = 1; r == 0 && number <= 200; number++)
        r = store_version_get(tx, "a", number, true, &arena, &version, err);
    return r;
}

/* Whatever page is hit, the answer is an error in words or the right rows, never a crash. */
static void damaged_pages_are_found(void **state) {
    struct kit *kit = *state;
    int corrupt = 0;

    ok(kit, kit_open(kit));
    fill(kit, 200);
    kit_close(kit);
    for (off_t page = 1; page < 200; page += 9) {
        overwrite(kit, page * 4096, 600);
        int r = kit_open(kit);
        if (r == 0) r = store_read(kit->store, read_all, NULL, &kit->err);
        kit_close(kit);
        if (r == 0) continue;
        assert_int_equal(r, -ERR_STORE_CORRUPT);
        assert_true(kit->err.message[0]);
        corrupt++;
    }
    assert_true(corrupt > 10);
}

static void a_file_cut_short(void **state) {
    struct kit *kit = *state;
    char path[160];

    ok(kit, kit_open(kit));
    fill(kit, 200);
    kit_close(kit);
    kit_path(kit, "", path);
    assert_int_equal(truncate(path, 300 * 1024), 0);
    int r = kit_open(kit);
    if (r == 0) r = store_read(kit->store, read_all, NULL, &kit->err);
    assert_int_equal(r, -ERR_STORE_CORRUPT);
}

/* ---- rights ---- */

/* Runs `fn` as a user without rights; root's children become nobody. Answers what it answered. */
static int as_nobody(struct kit *kit, int (*fn)(struct kit *kit)) {
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(99);
        int r = fn(kit);
        _exit(r == 0 && kit->err.message[0] ? 98 : r);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_answers_read_only(struct kit *kit) {
    int r = kit_open(kit);
    return r == -ERR_STORE_READ_ONLY && kit->err.at[0] ? 7 : 1;
}

static void a_folder_that_may_not_be_written(void **state) {
    struct kit *kit = *state;

    assert_int_equal(chmod(kit->folder, 0555), 0);
    assert_int_equal(as_nobody(kit, open_answers_read_only), 7); /* nothing there yet */
    assert_int_equal(chmod(kit->folder, 0755), 0);
    ok(kit, kit_open(kit));
    kit_close(kit);
    assert_int_equal(chmod(kit->folder, 0555), 0);
    assert_int_equal(as_nobody(kit, open_answers_read_only), 7);
    assert_int_equal(chmod(kit->folder, 0755), 0);
}

static void a_file_that_may_not_be_written(void **state) {
    struct kit *kit = *state;
    char path[160];

    ok(kit, kit_open(kit));
    kit_close(kit);
    kit_path(kit, ".lock", path);
    unlink(path);
    kit_path(kit, "", path);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(kit->folder, 0777), 0);
    assert_int_equal(as_nobody(kit, open_answers_read_only), 7);
}

/* ---- others ---- */

static int open_answers_locked_at_once(struct kit *kit) {
    struct clock clock = {0};
    int64_t start = clock_monotonic(&clock);
    int r = kit_open(kit);

    if (clock_monotonic(&clock) - start > 1000000) return 2;
    return r == -ERR_STORE_LOCKED && strstr(kit->err.message, "process ") ? 7 : 1;
}

static int fork_and_open(struct kit *kit) {
    int status;
    pid_t child = fork();

    if (child == 0) _exit(open_answers_locked_at_once(kit));
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_store_held_by_another_process(void **state) {
    struct kit *kit = *state;
    struct kit other = *kit;

    ok(kit, kit_open(kit));
    assert_int_equal(fork_and_open(&other), 7);
    ok(kit, kit_agent(kit, "a", "")); /* the holder is not disturbed */
}

static void a_store_newer_than_the_program(void **state) {
    struct kit *kit = *state;
    struct db *db;

    ok(kit, kit_open(kit));
    int schema = store_schema(kit->store);
    ok(kit, kit_agent(kit, "a", ""));
    kit_close(kit);
    ok(kit, db_open(kit->url, DB_WRITER, &db, &kit->err));
    ok(kit, db_exec(db, "INSERT INTO schema_migrations VALUES (4711, 'from the future', 0)", &kit->err));
    db_close(db);
    assert_int_equal(kit_open(kit), -ERR_STORE_NEWER);
    assert_non_null(strstr(kit->err.message, "4711"));
    ok(kit, db_open(kit->url, DB_WRITER, &db, &kit->err));
    ok(kit, db_exec(db, "DELETE FROM schema_migrations WHERE number = 4711", &kit->err));
    db_close(db);
    ok(kit, kit_open(kit));
    assert_int_equal(store_schema(kit->store), schema);
    assert_int_equal(kit_head(kit, NULL).seq, 1);
}

/* ---- a full disk ---- */

static int push_until_full(struct kit *kit, int *ret_pushed) {
    char text[3001];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    for (;;) {
        int n = snprintf(text, 20, "%d", *ret_pushed);
        text[n] = ' ';
        int r = kit_push(kit, "a", text);
        if (r != 0) return r;
        ++*ret_pushed;
        if (*ret_pushed > 5000) return 0;
    }
}

static int count_versions(void *arg, struct store_tx *tx, struct err *err) {
    _cleanup_(arena_deinit) struct arena arena = ARENA_INIT;
    struct agent agent;

    int r = store_agent_get(tx, "a", &arena, &agent, err);
    if (r == 0) *(int *)arg = (int)agent.latest;
    return r;
}

static void fill_the_disk(const struct kit *kit, char path[160]) {
    char block[4096] = {0};

    kit_path(kit, "-filler", path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void full_and_free_again(struct kit *kit) {
    int pushed = 0, kept = 0;
    char path[160];

    fill_the_disk(kit, path);
    assert_int_equal(kit_open(kit), -ERR_STORE_FULL);
    unlink(path);
    ok(kit, kit_open(kit));
    ok(kit, kit_agent(kit, "a", ""));
    for (int i = 0; i < 3; i++) {
        struct sha256 before, after;
        assert_int_equal(push_until_full(kit, &pushed), -ERR_STORE_FULL);
        before = kit_fingerprint(kit);
        assert_int_equal(push_until_full(kit, &pushed), -ERR_STORE_FULL);
        after = kit_fingerprint(kit);
        assert_memory_equal(&before, &after, sizeof before);
        kit_read(kit, count_versions, &kept);
        assert_int_equal(kept, pushed);
        if (i == 1) kit_reopen(kit);
    }
    assert_true(pushed > 10);
    assert_int_equal(mount("none", kit->folder, NULL, MS_REMOUNT, "size=64m"), 0);
    int more = pushed;
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "small %d", i);
        ok(kit, kit_push(kit, "a", text));
        more++;
    }
    kit_reopen(kit);
    kit_read(kit, count_versions, &kept);
    assert_int_equal(kept, more);
    kit_verify_chain(kit);
    kit_close(kit);
}

/* Needs a small file system of its own, which only root can have; tests/conformance and test_db.c fill a store by its page limit for the others. */
static void a_disk_that_is_full(void **state) {
    struct kit *kit = *state;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", kit->folder, "tmpfs", 0, "size=2m") != 0) {
        print_message("skipped: no mount permitted (%s)\n", strerror(errno));
        skip();
    }
    full_and_free_again(kit);
    assert_int_equal(umount(kit->folder), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_is_no_database),
        TEST(damaged_pages_are_found),
        TEST(a_file_cut_short),
        TEST(a_folder_that_may_not_be_written),
        TEST(a_file_that_may_not_be_written),
        TEST(a_store_held_by_another_process),
        TEST(a_store_newer_than_the_program),
        TEST(a_disk_that_is_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
