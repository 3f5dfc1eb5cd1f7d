/* SPDX-License-Identifier: Apache-2.0 */
/* The hub under real changes; waking is counted by a double of http. */
#include "api/stream.h"
#include "ops/test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RING 4
#define STREAMS 8

struct http_wake {
    int count;
};

void http_stream_wake(struct http_wake *wake) {
    wake->count++;
}

static struct world world;
static struct hub *hub;

static int setup(void **state) {
    static int number;
    char url[64];
    snprintf(url, sizeof(url), "sqlite::memory:stream%d", number++);
    struct store_options options = {.url = url};
    world_open(&world, &options);
    const struct hub_options hub_options = {
        .ring = RING, .limit = STREAMS, .keepalive_us = 15000000, .clock = &world.clock};
    assert_int_equal(hub_new(&hub_options, &hub, NULL), 0);
    live_listen(world.live, hub_changed, hub);
    world_do(&world, "environment_put", "{'environment':'production'}");
    world_do(&world, "environment_put", "{'environment':'staging'}");
    world_push(&world, "a", "a1");
    world_push(&world, "a", "a2");
    world_push(&world, "b", "b1");
    return 0;
}

static int teardown(void **state) {
    hub_free(hub);
    world_close(&world);
    return 0;
}

static void deploy(const char *agent, const char *environment, int version) {
    char params[256];
    snprintf(params, sizeof(params), "{'agent':'%s','environment':'%s','version':%d,'reason':''}", agent, environment,
             version);
    world_do(&world, "deploy", params);
}

struct reader {
    struct http_stream *stream;
    struct http_wake wake;
    struct str seen;
};

static void open_reader(struct reader *reader, const char *environment, const char *after) {
    struct position position;
    memset(reader, 0, sizeof(*reader));
    if (after) assert_true(position_from_text(after, &position));
    assert_int_equal(hub_open(hub, slice_of(environment), after ? &position : NULL, &reader->stream, NULL), 0);
    reader->stream->wake = &reader->wake;
}

/* Reads in pieces of `max` bytes until the stream sleeps or ends; answers the last read. */
static ssize_t drain(struct reader *reader, size_t max) {
    char buffer[4096];
    ssize_t got;
    str_clear(&reader->seen);
    while ((got = reader->stream->read(reader->stream->ctx, buffer, max)) > 0)
        str_add(&reader->seen, buffer, (size_t)got);
    if (!reader->seen.data) str_add_text(&reader->seen, "");
    return got;
}

static void close_reader(struct reader *reader) {
    reader->stream->close(reader->stream->ctx);
    str_deinit(&reader->seen);
}

static size_t count_of(const struct reader *reader, const char *what) {
    size_t count = 0;
    for (const char *at = reader->seen.data; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

static void test_changes_come_in_order_and_once(void **state) {
    struct reader reader;
    open_reader(&reader, "production", NULL);
    assert_int_equal(drain(&reader, 4096), 0);
    assert_int_equal(count_of(&reader, "event: ready\n"), 1);

    deploy("a", "production", 1);
    deploy("a", "production", 2);
    assert_int_equal(reader.wake.count, 1);
    assert_int_equal(drain(&reader, 4096), 0);
    assert_int_equal(count_of(&reader, "event: change\n"), 2);
    const char *first = strstr(reader.seen.data, "\"version\":1"), *second = strstr(reader.seen.data, "\"version\":2");
    assert_non_null(first);
    assert_true(first < second);
    assert_int_equal(drain(&reader, 4096), 0);
    assert_int_equal(reader.seen.len, 0);
    close_reader(&reader);
    struct hub_stats stats;
    hub_stats(hub, &stats);
    assert_int_equal(stats.streams, 0);
}

static void test_small_reads_give_the_same_bytes(void **state) {
    struct reader big, small;
    open_reader(&big, "production", NULL);
    open_reader(&small, "production", NULL);
    deploy("a", "production", 1);
    deploy("b", "production", 1);
    drain(&big, 4096);
    drain(&small, 3);
    assert_string_equal(big.seen.data, small.seen.data);
    close_reader(&big);
    close_reader(&small);
}

static void test_other_environments_are_neither_sent_nor_woken(void **state) {
    struct reader reader;
    open_reader(&reader, "staging", NULL);
    drain(&reader, 4096);
    deploy("a", "production", 1);
    assert_int_equal(reader.wake.count, 0);
    drain(&reader, 4096);
    assert_int_equal(reader.seen.len, 0);
    deploy("a", "staging", 1);
    assert_int_equal(reader.wake.count, 1);
    close_reader(&reader);
}

static void test_a_release_is_one_event(void **state) {
    struct reader reader;
    open_reader(&reader, "production", NULL);
    drain(&reader, 4096);
    world_do(&world, "release_create",
             "{'environment':'production','reason':'','moves':[{'agent':'a','version':1},{'agent':'b','version':1}]}");
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, "event: change\n"), 1);
    assert_int_equal(count_of(&reader, "\"entry\":"), 2);
    close_reader(&reader);
}

static void test_resume_misses_and_repeats_nothing(void **state) {
    struct reader reader;
    char after[POSITION_TEXT_SIZE];
    deploy("a", "production", 1);
    snprintf(after, sizeof(after), "%s", json_string_value(json_get(world.answer, "position")));
    deploy("a", "production", 2);
    deploy("b", "production", 1);
    open_reader(&reader, "production", after);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, "event: change\n"), 2);
    assert_int_equal(count_of(&reader, "event: refetch\n"), 0);
    assert_int_equal(count_of(&reader, "{\"agent\":\"a\",\"entry\":"), 1);
    assert_int_equal(count_of(&reader, "{\"agent\":\"b\",\"entry\":"), 1);
    close_reader(&reader);
}

static void test_resume_from_too_far_back_or_elsewhere_says_refetch(void **state) {
    static const char *const places[] = {"1.1", "9.1", "1.999"};
    for (int i = 0; i < RING + 2; i++)
        deploy("a", "production", 1 + i % 2);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct reader reader;
        open_reader(&reader, "production", places[i]);
        drain(&reader, 4096);
        assert_int_equal(count_of(&reader, "event: refetch\n"), 1);
        assert_int_equal(count_of(&reader, "event: change\n"), 0);
        deploy("a", "production", 1 + (int)i % 2);
        drain(&reader, 4096);
        assert_int_equal(count_of(&reader, "event: change\n"), 1);
        close_reader(&reader);
    }
}

static void test_a_slow_reader_is_told_to_refetch(void **state) {
    struct reader reader;
    open_reader(&reader, "production", NULL);
    drain(&reader, 4096);
    for (int i = 0; i < RING + 3; i++)
        deploy("a", "production", 1 + i % 2);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, "event: refetch\n"), 1);
    assert_int_equal(count_of(&reader, "event: change\n"), 0);
    close_reader(&reader);
}

static void test_an_event_being_sent_outlives_the_ring(void **state) {
    struct reader reader;
    char buffer[10];
    open_reader(&reader, "production", NULL);
    drain(&reader, 4096);
    deploy("a", "production", 1);
    assert_int_equal(reader.stream->read(reader.stream->ctx, buffer, sizeof(buffer)), sizeof(buffer));
    for (int i = 0; i < RING + 3; i++)
        deploy("a", "production", 2 - i % 2);
    drain(&reader, 4096);
    assert_non_null(strstr(reader.seen.data, "\"version\":1"));
    assert_int_equal(count_of(&reader, "event: refetch\n"), 1);
    close_reader(&reader);
}

static void test_silent_streams_get_a_comment(void **state) {
    struct reader reader;
    open_reader(&reader, "production", NULL);
    drain(&reader, 4096);
    hub_tick(hub);
    assert_int_equal(reader.wake.count, 0);
    clock_fake_advance(&world.clock, 15000000);
    hub_tick(hub);
    assert_int_equal(reader.wake.count, 1);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, ": "), 1);
    assert_int_equal(count_of(&reader, "data"), 0);
    close_reader(&reader);
}

static void test_the_end_lets_streams_finish(void **state) {
    struct reader reader, late;
    open_reader(&reader, "production", NULL);
    drain(&reader, 4096);
    deploy("a", "production", 1);
    hub_end(hub);
    assert_int_equal(drain(&reader, 4096), -1);
    assert_int_equal(count_of(&reader, "event: change\n"), 1);
    open_reader(&late, "production", NULL);
    assert_int_equal(drain(&late, 4096), -1);
    close_reader(&reader);
    close_reader(&late);
}

static void test_no_more_streams_than_the_limit(void **state) {
    struct reader readers[STREAMS], again;
    struct http_stream *over;
    struct hub_stats stats;
    struct err err = ERR_INIT;
    for (int i = 0; i < STREAMS; i++)
        open_reader(&readers[i], "production", NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hub_open(hub, SLICE_LIT("staging"), NULL, &over, &err), -ERR_TOO_MANY_STREAMS);
    hub_stats(hub, &stats);
    assert_int_equal(stats.streams, STREAMS);
    assert_int_equal(stats.limit, STREAMS);
    assert_int_equal(stats.refused, 3);

    close_reader(&readers[2]);
    open_reader(&again, "production", NULL);
    deploy("a", "production", 1);
    drain(&again, 4096);
    assert_int_equal(count_of(&again, "event: change\n"), 1);
    close_reader(&again);
    for (int i = 0; i < STREAMS; i++)
        if (i != 2) close_reader(&readers[i]);
}

static void test_tags_of_environments(void **state) {
    deploy("a", "production", 1);
    struct position production = hub_environment_position(hub, SLICE_LIT("production"));
    deploy("a", "staging", 1);
    struct position staging = hub_environment_position(hub, SLICE_LIT("staging"));
    assert_int_equal(position_compare(production, hub_environment_position(hub, SLICE_LIT("production"))), 0);
    assert_true(position_compare(staging, production) > 0);
}

/* After a start nothing is known but where it began: changes elsewhere must not look like changes here. */
static void test_the_tag_of_an_environment_stands_while_others_change(void **state) {
    struct snapshot *served = publisher_get(world.publisher);
    hub_changed(hub, served, &(struct live_news){.anew = true});
    snapshot_unref(served);
    struct position before = hub_environment_position(hub, SLICE_LIT("production"));
    deploy("a", "staging", 1);
    assert_int_equal(position_compare(before, hub_environment_position(hub, SLICE_LIT("production"))), 0);
    deploy("a", "production", 1);
    assert_true(position_compare(before, hub_environment_position(hub, SLICE_LIT("production"))) < 0);
}

/* Open streams and those that resume fetch again, and no tag of before holds; from there on changes are told as ever. */
static void test_everything_anew_says_refetch(void **state) {
    struct reader open, sleeping, resuming;
    open_reader(&open, "production", NULL);
    open_reader(&sleeping, "staging", NULL);
    drain(&sleeping, 4096);
    deploy("a", "production", 1);
    deploy("a", "staging", 1);
    drain(&sleeping, 4096);
    int woken = sleeping.wake.count;
    struct position before = hub_environment_position(hub, SLICE_LIT("production"));

    struct snapshot_edit *edit;
    struct snapshot *served = publisher_get(world.publisher), *other;
    assert_int_equal(snapshot_edit_new(served, &edit), 0);
    assert_int_equal(snapshot_edit_finish(edit, (struct position){2, 100}, &other), 0);
    hub_changed(hub, other, &(struct live_news){.anew = true});
    assert_int_equal(sleeping.wake.count, woken + 1);
    assert_true(position_compare(hub_environment_position(hub, SLICE_LIT("production")), before) > 0);

    open_reader(&resuming, "production", "1.4");
    struct reader *readers[] = {&open, &sleeping, &resuming};
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        drain(readers[i], 4096);
        assert_int_equal(count_of(readers[i], "event: refetch\n"), 1);
        assert_int_equal(count_of(readers[i], "event: change\n"), 0);
        assert_int_equal(count_of(readers[i], "id: 2.100\n"), 1);
    }
    struct store_touch touch = {.seq = 101, .agent = "a", .environment = "production"};
    hub_changed(hub, other, &(struct live_news){.touches = &touch, .count = 1});
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        drain(readers[i], 4096);
        assert_int_equal(count_of(readers[i], "id: 2.101\n"), readers[i] != &sleeping);
        close_reader(readers[i]);
    }
    snapshot_unref(served);
    snapshot_unref(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_changes_come_in_order_and_once),
        TEST(test_small_reads_give_the_same_bytes),
        TEST(test_other_environments_are_neither_sent_nor_woken),
        TEST(test_a_release_is_one_event),
        TEST(test_resume_misses_and_repeats_nothing),
        TEST(test_resume_from_too_far_back_or_elsewhere_says_refetch),
        TEST(test_a_slow_reader_is_told_to_refetch),
        TEST(test_an_event_being_sent_outlives_the_ring),
        TEST(test_silent_streams_get_a_comment),
        TEST(test_the_end_lets_streams_finish),
        TEST(test_no_more_streams_than_the_limit),
        TEST(test_tags_of_environments),
        TEST(test_the_tag_of_an_environment_stands_while_others_change),
        TEST(test_everything_anew_says_refetch),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
