/* SPDX-License-Identifier: Apache-2.0 */
/* Records: writing without a position, beside changes; and the rows of outcomes. Run once a driver: argv[1] is file, memory or fault. */
#include "conformance/kit.h"

#include "store/outcomes.h"

#include <string.h>

#define MINUTE INT64_C(60000000)

static enum kit_driver driver;

static int setup(void **state) {
    return kit_setup(state, driver);
}

static int put_minute(void *arg, struct store_tx *tx, struct err *err) {
    return store_minute_add(tx, arg, err);
}

static int advance(void *arg, struct store_tx *tx, struct err *err) {
    struct position position;
    int64_t at;
    return store_advance(tx, &position, &at, err);
}

static int fail_after_writing(void *arg, struct store_tx *tx, struct err *err) {
    int r = store_minute_add(tx, arg, err);
    return r < 0 ? r : err_set(err, ERR_CONFLICT, "on purpose");
}

static int nothing(void *arg, struct store_tx *tx, struct err *err) {
    return 0;
}

struct minutes {
    struct arena *arena;
    struct store_minute *items;
    size_t count;
};

static int read_minutes(void *arg, struct store_tx *tx, struct err *err) {
    struct minutes *minutes = arg;
    return store_minutes(tx, "a", "e", 0, INT64_MAX, minutes->arena, &minutes->items, &minutes->count, err);
}

static struct minutes minutes_of(struct kit *kit) {
    struct minutes minutes = {.arena = &kit->arena};
    kit_read(kit, read_minutes, &minutes);
    return minutes;
}

static void a_record_has_no_position(void **state) {
    struct kit *kit = *state;
    struct store_minute minute = {"a", "e", 3, "stable", 60000000, 1, 1, 1, 250, 10, 20, 5000, 1, 0, 2};
    int64_t at;

    kit_ok(kit, kit_agent(kit, "x", ""));
    struct position before = kit_head(kit, &at);
    kit_ok(kit, store_record(kit->store, put_minute, &minute, &kit->err));
    kit_ok(kit, store_record(kit->store, put_minute, &minute, &kit->err));
    assert_int_equal(position_compare(before, kit_head(kit, &at)), 0);
    assert_int_equal(store_record(kit->store, advance, NULL, &kit->err), -ERR_INTERNAL);
    assert_int_equal(store_write(kit->store, put_minute, &minute, &kit->err), -ERR_INTERNAL);
    assert_int_equal(store_record(kit->store, fail_after_writing, &minute, &kit->err), -ERR_CONFLICT);
    kit_ok(kit, store_record(kit->store, nothing, NULL, &kit->err));
    kit_ok(kit, kit_agent(kit, "y", ""));
    assert_int_equal(kit_head(kit, &at).seq, before.seq + 1);
    kit_reopen(kit);

    struct minutes minutes = minutes_of(kit);
    assert_int_equal(minutes.count, 1);
    assert_int_equal(minutes.items[0].outcomes, 2);
    assert_int_equal(minutes.items[0].latency, 500);
    assert_int_equal(minutes.items[0].tool_errors, 4);
    assert_string_equal(minutes.items[0].arm, "stable");
}

/* ---- the rows ---- */

static const char bytes[] = "\0\xff\x01 any";

static int put_rows(void *arg, struct store_tx *tx, struct err *err) {
    struct slice any = {bytes, sizeof(bytes)};
    int r = store_instance_put(tx, &(struct store_instance){"i", 7, 2, any, 100}, err);
    if (r == 0) r = store_instance_put(tx, &(struct store_instance){"otlp:1", 1, 0, {NULL, 0}, 50}, err);
    if (r == 0) r = store_instance_put(tx, &(struct store_instance){"old", 1, 0, {NULL, 0}, 50}, err);
    if (r == 0) r = store_instances_forget(tx, "otlp:", "otlp;", 60, 10, err);
    for (int64_t id = 1; id <= 3 && r == 0; id++)
        r = store_outcome_log_add(tx, &(struct store_outcome_log){id, 10 * id, any}, err);
    if (r == 0) r = store_outcome_log_cut(tx, 1, err);
    if (r == 0) r = store_checkpoint_put(tx, &(struct store_checkpoint){"r", 1, {NULL, 0}}, err);
    if (r == 0) r = store_checkpoint_put(tx, &(struct store_checkpoint){"r", 2, any}, err);
    if (r == 0) r = store_checkpoint_put(tx, &(struct store_checkpoint){"gone", 2, any}, err);
    if (r == 0) r = store_checkpoint_remove(tx, "gone", err);
    for (int64_t number = 1; number <= 4 && r == 0; number++)
        r = store_failure_put(tx, "r", number, "{}", err);
    return r < 0 ? r : store_failures_cut(tx, "r", 1, err);
}

static int read_rows(void *arg, struct store_tx *tx, struct err *err) {
    struct arena *arena = arg;
    struct store_instance instance;
    struct store_outcome_log *logs;
    struct store_checkpoint *checkpoints;
    struct store_failure *failures;
    size_t count;

    assert_int_equal(store_instance_get(tx, "i", arena, &instance, err), 0);
    assert_true(instance.low == 7 && instance.gap == 2 && instance.seen_at == 100 &&
                instance.above.len == sizeof(bytes));
    assert_memory_equal(instance.above.ptr, bytes, sizeof(bytes));
    assert_int_equal(store_instance_get(tx, "otlp:1", arena, &instance, err), STORE_NONE);
    assert_int_equal(store_instance_get(tx, "old", arena, &instance, err), 0);
    assert_int_equal(instance.above.len, 0);
    assert_int_equal(store_outcome_logs(tx, 1, 1, arena, &logs, &count, err), 0);
    assert_true(count == 1 && logs[0].id == 2 && logs[0].at == 20 && !memcmp(logs[0].body.ptr, bytes, sizeof(bytes)));
    assert_int_equal(store_outcome_logs(tx, 0, 10, arena, &logs, &count, err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(store_checkpoints(tx, arena, &checkpoints, &count, err), 0);
    assert_true(count == 1 && checkpoints[0].log == 2 && checkpoints[0].body.len == sizeof(bytes));
    assert_int_equal(store_failures(tx, "r", 4, 10, arena, &failures, &count, err), 0);
    assert_true(count == 2 && failures[0].number == 3 && failures[1].number == 2);
    return 0;
}

static void rows_of_outcomes(void **state) {
    struct kit *kit = *state;

    kit_ok(kit, store_record(kit->store, put_rows, NULL, &kit->err));
    kit_reopen(kit);
    kit_read(kit, read_rows, &kit->arena);
}

static int put_days(void *arg, struct store_tx *tx, struct err *err) {
    static const char *const arms[] = {"", "candidate", "stable"};
    int r = 0;
    for (int64_t minute = 0; minute < 180 && r == 0; minute++)
        for (int64_t i = 0; i < 3 && r == 0; i++) {
            struct store_minute row = {"a", "e", 3 + i % 2, arms[i], minute * MINUTE, 2, i, 1, 10, 1, 2, 3, 4, 5, 6};
            r = store_minute_add(tx, &row, err);
        }
    struct store_minute other = {"a", "f", 3, "", 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    return r < 0 ? r : store_minute_add(tx, &other, err);
}

struct sums {
    struct store_sums_query query;
    struct arena *arena;
    struct store_minute *items;
    size_t count;
};

static int read_sums(void *arg, struct store_tx *tx, struct err *err) {
    struct sums *sums = arg;
    return store_outcome_sums(tx, &sums->query, sums->arena, &sums->items, &sums->count, err);
}

static void sums_of_hours(void **state) {
    struct kit *kit = *state;
    struct sums sums = {{"a", "e", 30 * MINUTE, 150 * MINUTE, 60 * MINUTE, .limit = 100}, &kit->arena, NULL, 0};
    kit_ok(kit, store_record(kit->store, put_days, NULL, &kit->err));
    kit_read(kit, read_sums, &sums);
    assert_int_equal(sums.count, 9);
    static const int64_t minutes[] = {120, 60, 0}, each[] = {30, 60, 30}, errors[] = {0, 2, 1};
    static const char *const arms[] = {"", "stable", "candidate"};
    for (size_t i = 0; i < sums.count; i++) {
        const struct store_minute *sum = &sums.items[i];
        assert_int_equal(sum->minute, minutes[i / 3] * MINUTE);
        assert_int_equal(sum->version, i % 3 == 2 ? 4 : 3);
        assert_string_equal(sum->arm, arms[i % 3]);
        assert_int_equal(sum->outcomes, 2 * each[i / 3]);
        assert_int_equal(sum->errors, errors[i % 3] * each[i / 3]);
        assert_int_equal(sum->tool_errors, 6 * each[i / 3]);
    }
}

static void pages_of_sums(void **state) {
    struct kit *kit = *state;
    struct sums all = {{"a", "e", 0, INT64_MAX, MINUTE, .limit = 1000}, &kit->arena, NULL, 0}, page = all;
    kit_ok(kit, store_record(kit->store, put_days, NULL, &kit->err));
    kit_read(kit, read_sums, &all);
    assert_int_equal(all.count, 540);
    page.query.limit = 7;
    for (size_t seen = 0; seen < all.count; seen += page.count) {
        kit_read(kit, read_sums, &page);
        assert_true(page.count > 0 && page.count <= 7);
        for (size_t i = 0; i < page.count; i++) {
            assert_int_equal(page.items[i].minute, all.items[seen + i].minute);
            assert_string_equal(page.items[i].arm, all.items[seen + i].arm);
        }
        page.query.after = page.items[page.count - 1].minute;
        page.query.after_version = page.items[page.count - 1].version;
        page.query.after_arm = page.items[page.count - 1].arm;
    }
    kit_read(kit, read_sums, &page);
    assert_int_equal(page.count, 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_has_no_position, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(rows_of_outcomes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(sums_of_hours, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(pages_of_sums, setup, kit_teardown),
    };
    if (argc != 2) return 2;
    driver = strcmp(argv[1], "memory") == 0 ? KIT_MEMORY : strcmp(argv[1], "fault") == 0 ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
