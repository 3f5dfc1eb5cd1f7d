/* SPDX-License-Identifier: Apache-2.0 */
/* What every store keeps of flags. Run once a driver: argv[1] is file, memory or fault. */
#include "conformance/kit.h"
#include "store/flags.h"

#include <stdio.h>
#include <string.h>

static enum kit_driver driver;

#define HERE "production"

static int setup(void **state) {
    int r = kit_setup(state, driver);
    struct kit *kit = *state;
    if (r < 0) return r;
    kit_ok(kit, kit_environment(kit, HERE, true));
    kit_ok(kit, kit_environment(kit, "staging", false));
    return 0;
}

/* ---- changes ---- */

struct flag_change {
    struct flag_record record;
    bool remove;
    int64_t seq; /* of the change */
};

static int change_flag(void *arg, struct store_tx *tx, struct err *err) {
    struct flag_change *wanted = arg;
    struct flag_record record = wanted->record;
    struct kit_change change;
    int r = kit_begin(tx, &change, err);
    record.seq = wanted->seq = change.position.seq;
    record.created_at = change.at;
    if (r == 0) r = wanted->remove ? store_flag_remove(tx, &record, err) : store_flag_put(tx, &record, err);
    if (r != 0) return r;
    return kit_end(tx, &change, "flag", "", record.environment, err);
}

static int64_t set(struct kit *kit, const char *environment, enum flag_part part, const char *key,
                   const char *content) {
    struct flag_change change = {.record = {.environment = environment,
                                            .part = part,
                                            .key = key,
                                            .content = content,
                                            .bindings = "[]",
                                            .reason = "set",
                                            .created_by = "key-1"}};
    kit_ok(kit, store_write(kit->store, change_flag, &change, &kit->err));
    return change.seq;
}

static int drop(struct kit *kit, const char *key, int64_t *ret_seq) {
    struct flag_change change = {.record = {.environment = HERE,
                                            .part = FLAG_PART_FLAG,
                                            .key = key,
                                            .content = "{}",
                                            .bindings = "[]",
                                            .reason = "gone",
                                            .created_by = "key-2"},
                                 .remove = true};
    int r = store_write(kit->store, change_flag, &change, &kit->err);
    if (ret_seq) *ret_seq = change.seq;
    return r;
}

/* ---- questions ---- */

struct question {
    struct kit *kit;
    struct store_flags_query list;
    const char *key; /* of a history; NULL: all */
    int64_t before, after, last;
    struct flag_record one, *many;
    size_t count;
    int found;
    int64_t number;
};

static int ask_one(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    q->found = store_flag_get(tx, q->list.environment, q->list.part, q->key, q->list.seq, &q->kit->arena, &q->one, err);
    return q->found < 0 ? q->found : 0;
}

static int ask_list(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    return store_flags(tx, &q->list, &q->kit->arena, &q->many, &q->count, err);
}

static int ask_history(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    return store_flag_history(tx, HERE, q->key, q->before, 10, &q->kit->arena, &q->many, &q->count, err);
}

static int ask_changed(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    return store_flags_changed(tx, HERE, q->after, q->last, &q->kit->arena, &q->many, &q->count, err);
}

static int ask_seq(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    return store_flags_seq(tx, q->list.environment, q->list.seq, &q->number, err);
}

static int ask_count(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    return store_flag_count(tx, HERE, FLAG_PART_FLAG, &q->number, err);
}

/* NULL: there is none. */
static const char *content_at(struct kit *kit, const char *key, int64_t seq) {
    struct question q = {.kit = kit, .key = key, .list = {.environment = HERE, .seq = seq}};
    kit_read(kit, ask_one, &q);
    return q.found == STORE_NONE ? NULL : q.one.content;
}

static struct question list_at(struct kit *kit, int64_t seq, const char *after, size_t limit) {
    struct question q = {.kit = kit, .list = {.environment = HERE, .seq = seq, .after = after, .limit = limit}};
    kit_read(kit, ask_list, &q);
    return q;
}

/* ---- stories ---- */

static void a_flag_is_kept_with_all_that_was_said(void **state) {
    struct kit *kit = *state;
    int64_t seq = set(kit, HERE, FLAG_PART_FLAG, "web_search", "{\"a\":1.0}");
    for (int again = 0; again < 2; again++) {
        struct question q = {.kit = kit, .key = "web_search", .list = {.environment = HERE}};
        kit_read(kit, ask_one, &q);
        assert_int_equal(q.found, 0);
        assert_string_equal(q.one.environment, HERE);
        assert_int_equal(q.one.part, FLAG_PART_FLAG);
        assert_string_equal(q.one.key, "web_search");
        assert_string_equal(q.one.content, "{\"a\":1.0}");
        assert_string_equal(q.one.bindings, "[]");
        assert_string_equal(q.one.reason, "set");
        assert_string_equal(q.one.created_by, "key-1");
        assert_int_equal(q.one.seq, seq);
        assert_false(q.one.removed);
        kit_reopen(kit);
    }
}

static void parts_and_environments_are_apart(void **state) {
    struct kit *kit = *state;
    set(kit, HERE, FLAG_PART_FLAG, "a", "1");
    set(kit, HERE, FLAG_PART_EVALUATOR, "a", "2");
    set(kit, HERE, FLAG_PART_METADATA, "", "3");
    set(kit, "staging", FLAG_PART_FLAG, "a", "4");
    assert_string_equal(content_at(kit, "a", 0), "1");
    assert_int_equal(list_at(kit, 0, "", 10).count, 1);
    struct question q = {.kit = kit, .key = "", .list = {.environment = HERE, .part = FLAG_PART_METADATA}};
    kit_read(kit, ask_one, &q);
    assert_string_equal(q.one.content, "3");
    kit_read(kit, ask_count, &q);
    assert_int_equal(q.number, 1);
}

static void every_moment_is_known(void **state) {
    struct kit *kit = *state;
    int64_t first = set(kit, HERE, FLAG_PART_FLAG, "a", "1"), other = set(kit, HERE, FLAG_PART_FLAG, "b", "x"),
            second = set(kit, HERE, FLAG_PART_FLAG, "a", "2"), gone;
    assert_int_equal(drop(kit, "a", &gone), 0);
    assert_int_equal(drop(kit, "a", NULL), STORE_NONE);
    int64_t back = set(kit, HERE, FLAG_PART_FLAG, "a", "3");
    assert_null(content_at(kit, "a", first - 1));
    assert_string_equal(content_at(kit, "a", first), "1");
    assert_string_equal(content_at(kit, "a", second), "2");
    assert_null(content_at(kit, "a", gone));
    assert_string_equal(content_at(kit, "a", back), "3");
    assert_string_equal(content_at(kit, "a", 0), "3");
    assert_int_equal(list_at(kit, first, "", 10).count, 1);
    assert_int_equal(list_at(kit, other, "", 10).count, 2);
    struct question then = list_at(kit, gone, "", 10);
    assert_int_equal(then.count, 1);
    assert_string_equal(then.many[0].key, "b");
}

static void lists_go_by_pages(void **state) {
    struct kit *kit = *state;
    char key[8];
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof key, "f%d", (i * 3) % 7);
        set(kit, HERE, FLAG_PART_FLAG, key, "1");
    }
    for (int64_t seq = 0; seq < 2; seq++) {
        struct question page = list_at(kit, seq ? INT64_MAX : 0, "", 3);
        assert_int_equal(page.count, 3);
        assert_string_equal(page.many[0].key, "f0");
        page = list_at(kit, seq ? INT64_MAX : 0, "f2", 10);
        assert_int_equal(page.count, 4);
        assert_string_equal(page.many[0].key, "f3");
        assert_string_equal(page.many[3].key, "f6");
    }
}

static void a_history_has_the_removals(void **state) {
    struct kit *kit = *state;
    set(kit, HERE, FLAG_PART_FLAG, "a", "1");
    set(kit, HERE, FLAG_PART_EVALUATOR, "a", "rule");
    int64_t gone;
    assert_int_equal(drop(kit, "a", &gone), 0);
    struct question q = {.kit = kit, .key = "a"};
    kit_read(kit, ask_history, &q);
    assert_int_equal(q.count, 2);
    assert_true(q.many[0].removed);
    assert_string_equal(q.many[0].reason, "gone");
    assert_false(q.many[1].removed);
    q.key = NULL;
    kit_read(kit, ask_history, &q);
    assert_int_equal(q.count, 3);
    assert_int_equal(q.many[1].part, FLAG_PART_EVALUATOR);
    q.before = gone;
    kit_read(kit, ask_history, &q);
    assert_int_equal(q.count, 2);
}

static void what_changed_is_told_once(void **state) {
    struct kit *kit = *state;
    int64_t before = set(kit, HERE, FLAG_PART_FLAG, "a", "1");
    set(kit, HERE, FLAG_PART_FLAG, "b", "1");
    set(kit, HERE, FLAG_PART_FLAG, "b", "2");
    set(kit, "staging", FLAG_PART_FLAG, "c", "1");
    int64_t last;
    assert_int_equal(drop(kit, "a", &last), 0);
    struct question q = {.kit = kit, .after = before, .last = last};
    kit_read(kit, ask_changed, &q);
    assert_int_equal(q.count, 2);
    assert_string_equal(q.many[0].key, "a");
    assert_true(q.many[0].removed);
    assert_string_equal(q.many[1].key, "b");
    assert_string_equal(q.many[1].content, "2");
    q.last = last - 1;
    kit_read(kit, ask_changed, &q);
    assert_int_equal(q.count, 1);
    q.list = (struct store_flags_query){.environment = HERE};
    kit_read(kit, ask_seq, &q);
    assert_int_equal(q.number, last);
    q.list.seq = last - 1;
    kit_read(kit, ask_seq, &q);
    assert_true(q.number > before && q.number < last);
    q.list.environment = "nowhere";
    kit_read(kit, ask_seq, &q);
    assert_int_equal(q.number, 0);
}

static int ask_touches(void *arg, struct store_tx *tx, struct err *err) {
    struct question *q = arg;
    struct store_touch *touches;
    int r = store_touches(tx, q->after, 10, &q->kit->arena, &touches, &q->count, err);
    if (r < 0) return r;
    assert_int_equal(q->count, 1);
    assert_int_equal(touches[0].what, TOUCHED_FLAGS);
    assert_string_equal(touches[0].agent, "");
    assert_string_equal(touches[0].environment, HERE);
    return 0;
}

static void a_change_touches_the_flags_of_its_environment(void **state) {
    struct kit *kit = *state;
    struct question q = {.kit = kit, .after = set(kit, HERE, FLAG_PART_FLAG, "a", "1") - 1};
    kit_read(kit, ask_touches, &q);
}

static void rebuilding_changes_nothing(void **state) {
    struct kit *kit = *state;
    set(kit, HERE, FLAG_PART_FLAG, "a", "1");
    set(kit, HERE, FLAG_PART_FLAG, "b", "1");
    set(kit, HERE, FLAG_PART_METADATA, "", "{}");
    assert_int_equal(drop(kit, "a", NULL), 0);
    struct sha256 before, after;
    kit_ok(kit, store_derived_hash(kit->store, &before, &kit->err));
    kit_ok(kit, store_derived_check(kit->store, &kit->err));
    kit_ok(kit, store_rebuild(kit->store, &kit->err));
    kit_ok(kit, store_derived_hash(kit->store, &after, &kit->err));
    assert_memory_equal(&before, &after, sizeof before);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, kit_teardown)
        STORY(a_flag_is_kept_with_all_that_was_said),
        STORY(parts_and_environments_are_apart),
        STORY(every_moment_is_known),
        STORY(lists_go_by_pages),
        STORY(a_history_has_the_removals),
        STORY(what_changed_is_told_once),
        STORY(a_change_touches_the_flags_of_its_environment),
        STORY(rebuilding_changes_nothing),
    };
    if (argc != 2) return 2;
    driver = !strcmp(argv[1], "memory") ? KIT_MEMORY : !strcmp(argv[1], "fault") ? KIT_FAULT : KIT_FILE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
