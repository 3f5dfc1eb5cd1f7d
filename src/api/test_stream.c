/* SPDX-License-Identifier: Apache-2.0 */
/* The hub under real changes; waking is counted by a double of http. */
#include "api/stream.h"
#include "ops/test_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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

static void open_as(struct reader *reader, enum hub_form form, const char *environment, const char *after) {
    struct position position;
    memset(reader, 0, sizeof(*reader));
    if (after) assert_true(position_from_text(after, &position));
    const struct hub_reader who = {
        .environment = slice_of(environment), .after = after ? &position : NULL, .form = form};
    assert_int_equal(hub_open(hub, &who, &reader->stream, NULL), 0);
    reader->stream->wake = &reader->wake;
}

static void open_reader(struct reader *reader, const char *environment, const char *after) {
    open_as(reader, HUB_CHANGES, environment, after);
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
    /* All but the streams' ids. */
    assert_int_equal(big.seen.len, small.seen.len);
    assert_string_equal(strstr(big.seen.data, "\n\n"), strstr(small.seen.data, "\n\n"));
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

/* ---- notices ---- */

#define NOTICE "event: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"\\\""

static void put_flag(const char *environment) {
    char params[256];
    snprintf(params, sizeof(params),
             "{'environment':'%s','flag':'f','reason':'','definition':{'state':'ENABLED','variants':{'on':true}}}",
             environment);
    world_do(&world, "flag_put", params);
}

static void test_flags_are_told(void **state) {
    struct reader all, notices, elsewhere;
    open_reader(&all, "production", NULL);
    open_as(&notices, HUB_NOTICES, "production", NULL);
    open_as(&elsewhere, HUB_NOTICES, "staging", NULL);
    drain(&all, 4096);
    drain(&notices, 4096);
    drain(&elsewhere, 4096);
    assert_string_equal(notices.seen.data, ": ready\n\n");
    put_flag("production");
    drain(&all, 4096);
    drain(&notices, 7);
    drain(&elsewhere, 4096);
    assert_int_equal(count_of(&all, "event: change\n"), 1);
    assert_int_equal(count_of(&all, "\"changes\":[],\"flags\":{\"seq\":"), 1);
    assert_int_equal(count_of(&notices, NOTICE), 1);
    assert_int_equal(count_of(&notices, "\"lastModified\":"), 1);
    assert_int_equal(count_of(&notices, "id: 1."), 1);
    assert_int_equal(elsewhere.seen.len, 0);
    deploy("a", "production", 1);
    drain(&all, 4096);
    drain(&notices, 4096);
    assert_int_equal(count_of(&all, "\"flags\":{\"seq\""), 0);
    assert_int_equal(count_of(&notices, NOTICE), 1);
    close_reader(&all);
    close_reader(&notices);
    close_reader(&elsewhere);
}

static void test_many_changes_are_one_notice(void **state) {
    struct reader reader;
    char newest[64];
    open_as(&reader, HUB_NOTICES, "production", NULL);
    drain(&reader, 4096);
    for (int i = 0; i < RING - 1; i++)
        deploy("a", "production", 1 + i % 2);
    struct position position = hub_environment_position(hub, SLICE_LIT("production"));
    deploy("a", "staging", 1);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, NOTICE), 1);
    position_text(position, newest);
    assert_int_equal(count_of(&reader, newest), 2);
    for (int i = 0; i < RING + 3; i++)
        deploy("a", "production", 1 + i % 2);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, NOTICE), 1);
    close_reader(&reader);
}

static void test_a_notice_for_who_has_missed_something(void **state) {
    static const char *const missed[] = {"0.0", "1.1", "9.1", "1.999", NULL};
    struct position position;
    char newest[POSITION_TEXT_SIZE];
    deploy("a", "production", 1);
    position = hub_environment_position(hub, SLICE_LIT("production"));
    deploy("a", "production", 2);
    position_text(position, newest);
    for (size_t i = 0; i < ARRAY_LEN(missed); i++) {
        struct reader reader;
        open_as(&reader, HUB_NOTICES, "production", missed[i] ? missed[i] : newest);
        drain(&reader, 4096);
        assert_int_equal(count_of(&reader, NOTICE), 1);
        close_reader(&reader);
    }
    struct reader reader;
    position_text(hub_environment_position(hub, SLICE_LIT("production")), newest);
    open_as(&reader, HUB_NOTICES, "production", newest);
    drain(&reader, 4096);
    assert_int_equal(count_of(&reader, NOTICE), 0);
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
        assert_int_equal(hub_open(hub, &(struct hub_reader){.environment = SLICE_LIT("staging")}, &over, &err),
                         -ERR_TOO_MANY_STREAMS);
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

/* ---- what readers confirm ---- */

static const char *const only_staging[] = {"staging", NULL};
static const struct principal everywhere = {.name = "all", .all_environments = true};
static const struct principal in_staging = {.name = "staging", .environments = only_staging};

/* The id that `ready` told; reads the stream until it sleeps. */
static void read_id(struct reader *reader, char ret[STREAM_ID_SIZE]) {
    drain(reader, 4096);
    const char *member = strstr(reader->seen.data, "\"stream\":\"");
    assert_non_null(member);
    snprintf(ret, STREAM_ID_SIZE, "%s", member + strlen("\"stream\":\""));
    assert_int_equal(member[strlen("\"stream\":\"") + STREAM_ID_SIZE - 1], '"');
}

static int confirm_as(const struct principal *principal, const char *id, struct position position,
                      struct position *ret) {
    const struct hub_confirmation confirmation = {slice_of(id), principal, position};
    return hub_confirm(hub, &confirmation, ret, NULL);
}

static void confirm(const char *id, struct position position) {
    struct position confirmed;
    assert_int_equal(confirm_as(&everywhere, id, position, &confirmed), 0);
    assert_true(position_compare(confirmed, position) >= 0);
}

static struct position here(void) {
    return hub_environment_position(hub, SLICE_LIT("production"));
}

static void ask(const struct position *position, struct arena *arena, struct hub_standing *ret) {
    assert_int_equal(hub_standing(hub, SLICE_LIT("production"), position, arena, ret), 0);
}

static void assert_standing(const struct hub_standing *standing, size_t streams, size_t confirming, size_t confirmed) {
    assert_int_equal(standing->streams, streams);
    assert_int_equal(standing->confirming, confirming);
    assert_int_equal(standing->confirmed, confirmed);
    assert_int_equal(standing->laggard_count, confirming - confirmed);
}

static void test_confirming(void **state) {
    struct reader readers[3], other;
    char ids[3][STREAM_ID_SIZE], elsewhere[STREAM_ID_SIZE];
    struct hub_standing standing;
    struct hub_stats stats;
    struct position confirmed;
    struct arena arena = ARENA_INIT;
    for (int i = 0; i < 3; i++) {
        open_reader(&readers[i], "production", NULL);
        read_id(&readers[i], ids[i]);
    }
    open_reader(&other, "staging", NULL);
    read_id(&other, elsewhere);
    ask(NULL, &arena, &standing);
    assert_standing(&standing, 3, 0, 0);

    deploy("a", "production", 1);
    struct position first = here();
    confirm(ids[0], first);
    confirm(ids[1], first);
    confirm(elsewhere, first);
    ask(NULL, &arena, &standing);
    assert_standing(&standing, 3, 2, 2);

    deploy("a", "production", 2);
    confirm(ids[1], here());
    assert_int_equal(confirm_as(&everywhere, ids[1], first, &confirmed), 0);
    assert_int_equal(position_compare(confirmed, here()), 0);
    ask(NULL, &arena, &standing);
    assert_standing(&standing, 3, 2, 1);
    assert_string_equal(standing.laggards[0].id, ids[0]);
    assert_int_equal(position_compare(standing.laggards[0].confirmed, first), 0);
    ask(&first, &arena, &standing);
    assert_standing(&standing, 3, 2, 2);

    hub_stats(hub, &stats);
    assert_int_equal(stats.confirming, 3);
    assert_int_equal(stats.confirmations, 5);
    close_reader(&readers[1]);
    close_reader(&other);
    ask(NULL, &arena, &standing);
    assert_standing(&standing, 2, 1, 0);
    hub_stats(hub, &stats);
    assert_int_equal(stats.confirming, 1);
    close_reader(&readers[0]);
    close_reader(&readers[2]);
    arena_deinit(&arena);
}

static void test_a_laggard_is_told_with_its_name_and_key(void **state) {
    struct reader reader = {.stream = NULL};
    char id[STREAM_ID_SIZE];
    struct hub_standing standing;
    struct arena arena = ARENA_INIT;
    const struct hub_reader who = {SLICE_LIT("production"), SLICE_LIT("web-3"), SLICE_LIT("the key of web")};
    int64_t before = clock_wall(&world.clock);
    assert_int_equal(hub_open(hub, &who, &reader.stream, NULL), 0);
    reader.stream->wake = &reader.wake;
    read_id(&reader, id);
    confirm(id, here());
    deploy("a", "production", 1);
    ask(NULL, &arena, &standing);
    close_reader(&reader);
    assert_int_equal(standing.laggard_count, 1);
    assert_string_equal(standing.laggards[0].name, "web-3");
    assert_string_equal(standing.laggards[0].key, "the key of web");
    assert_true(standing.laggards[0].opened_at >= before);
    assert_true(standing.laggards[0].opened_at <= clock_wall(&world.clock));
    arena_deinit(&arena);
}

/* What waits to be sent is not sent any more. */
static void test_a_revoked_key_ends_its_streams(void **state) {
    struct reader theirs = {.stream = NULL}, ours;
    char revoke[128];
    world_do(&world, "key_create", "{'name':'web','role':'resolve'}");
    const char *id = json_string_value(json_at(world.answer, "/id"));
    const struct hub_reader who = {.environment = SLICE_LIT("production"), .key_id = slice_of(id)};
    assert_int_equal(hub_open(hub, &who, &theirs.stream, NULL), 0);
    theirs.stream->wake = &theirs.wake;
    snprintf(revoke, sizeof(revoke), "{'key':'%s','reason':'lost'}", id);
    open_reader(&ours, "production", NULL);
    assert_int_equal(drain(&theirs, 4096), 0);
    world_do(&world, "key_create", "{'name':'other','role':'resolve'}");
    assert_int_equal(drain(&theirs, 4096), 0);
    deploy("a", "production", 1);
    world_do(&world, "key_revoke", revoke);
    assert_int_equal(drain(&theirs, 4096), -1);
    assert_int_equal(theirs.seen.len, 0);
    assert_int_equal(drain(&ours, 4096), 0);
    assert_int_equal(count_of(&ours, "event: change\n"), 1);
    close_reader(&theirs);
    close_reader(&ours);
}

/* Whoever has the newest change of its environment has all that other environments' changes leave there; nobody has what is to come. */
static void test_confirming_while_others_change(void **state) {
    struct reader reader;
    char id[STREAM_ID_SIZE];
    struct hub_standing standing;
    struct arena arena = ARENA_INIT;
    open_reader(&reader, "production", NULL);
    read_id(&reader, id);
    deploy("a", "production", 1);
    confirm(id, here());
    deploy("a", "staging", 1);
    struct position other = hub_environment_position(hub, SLICE_LIT("staging"));
    struct position future = {other.epoch, other.seq + 1}, later = {other.epoch + 1, 1};
    ask(NULL, &arena, &standing);
    assert_standing(&standing, 1, 1, 1);
    ask(&other, &arena, &standing);
    assert_standing(&standing, 1, 1, 1);
    ask(&future, &arena, &standing);
    assert_standing(&standing, 1, 1, 0);
    ask(&later, &arena, &standing);
    assert_standing(&standing, 1, 1, 0);
    close_reader(&reader);
    arena_deinit(&arena);
}

static void test_only_open_streams_of_ones_own_environments(void **state) {
    struct reader reader, again;
    char id[STREAM_ID_SIZE], bad[64];
    struct position confirmed, none = {0, 0};
    struct hub_stats stats;
    open_reader(&reader, "production", NULL);
    read_id(&reader, id);
    assert_int_equal(confirm_as(&in_staging, id, none, &confirmed), -ERR_STREAM_NOT_FOUND);
    for (size_t i = 0; i < strlen(id); i++) {
        snprintf(bad, sizeof(bad), "%s", id);
        bad[i] = bad[i] == '0' ? '1' : '0';
        assert_int_equal(confirm_as(&everywhere, bad, none, &confirmed), -ERR_STREAM_NOT_FOUND);
        bad[i] = 'A';
        assert_int_equal(confirm_as(&everywhere, bad, none, &confirmed), -ERR_STREAM_NOT_FOUND);
        bad[i] = '\0';
        assert_int_equal(confirm_as(&everywhere, bad, none, &confirmed), -ERR_STREAM_NOT_FOUND);
    }
    snprintf(bad, sizeof(bad), "%s0", id);
    assert_int_equal(confirm_as(&everywhere, bad, none, &confirmed), -ERR_STREAM_NOT_FOUND);
    hub_stats(hub, &stats);
    assert_int_equal(stats.confirming, 0);
    assert_int_equal(stats.confirmations, 0);

    close_reader(&reader);
    assert_int_equal(confirm_as(&everywhere, id, none, &confirmed), -ERR_STREAM_NOT_FOUND);
    open_reader(&again, "production", NULL);
    read_id(&again, bad);
    assert_int_equal(strncmp(bad, id, 8), 0); /* the slot is the same */
    assert_int_equal(confirm_as(&everywhere, id, none, &confirmed), -ERR_STREAM_NOT_FOUND);
    assert_int_equal(confirm_as(&everywhere, bad, none, &confirmed), 0);
    close_reader(&again);
}

/* Streams come and go in any order: every open one is found by its id, no closed one is. */
static void test_slots_are_used_again(void **state) {
    struct reader readers[STREAMS];
    char ids[STREAMS][STREAM_ID_SIZE], old[STREAM_ID_SIZE];
    bool open[STREAMS] = {false};
    struct position confirmed, none = {0, 0};
    uint32_t random = 1;
    for (int turn = 0; turn < 2000; turn++) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 16) % STREAMS;
        if (open[i]) {
            memcpy(old, ids[i], sizeof(old));
            close_reader(&readers[i]);
        } else {
            open_reader(&readers[i], "production", NULL);
            read_id(&readers[i], ids[i]);
        }
        open[i] = !open[i];
        if (!open[i]) assert_int_equal(confirm_as(&everywhere, old, none, &confirmed), -ERR_STREAM_NOT_FOUND);
        for (size_t j = 0; j < STREAMS; j++)
            if (open[j]) confirm(ids[j], none);
    }
    for (size_t i = 0; i < STREAMS; i++)
        if (open[i]) close_reader(&readers[i]);
}

#define MANY 250

/* More than fit the list: the furthest behind are told, of equals those that wait longer. */
static void test_many_laggards(void **state) {
    static struct reader readers[MANY];
    static char ids[MANY][STREAM_ID_SIZE];
    struct hub *other, *first = hub;
    struct hub_standing standing;
    struct arena arena = ARENA_INIT;
    const struct hub_options options = {.ring = RING, .limit = MANY, .keepalive_us = 15000000, .clock = &world.clock};
    assert_int_equal(hub_new(&options, &other, NULL), 0);
    hub = other;
    struct snapshot *served = publisher_get(world.publisher);
    hub_changed(hub, served, &(struct live_news){.anew = true});
    struct position base = here();
    for (int i = 0; i < MANY; i++) {
        clock_fake_advance(&world.clock, 1);
        open_reader(&readers[i], "production", NULL);
        read_id(&readers[i], ids[i]);
        confirm(ids[i], (struct position){base.epoch, base.seq + (uint64_t)(i * 7 % 5)});
    }
    struct position wanted = {base.epoch, base.seq + 5};
    ask(&wanted, &arena, &standing);
    assert_int_equal(standing.confirming, MANY);
    assert_int_equal(standing.confirmed, 0);
    assert_int_equal(standing.laggard_count, HUB_LAGGARDS_MAX);
    for (size_t i = 1; i < standing.laggard_count; i++) {
        const struct hub_laggard *before = &standing.laggards[i - 1], *laggard = &standing.laggards[i];
        int order = position_compare(before->confirmed, laggard->confirmed);
        assert_true(order < 0 || (order == 0 && before->opened_at < laggard->opened_at));
    }
    assert_string_equal(standing.laggards[0].id, ids[0]);
    assert_int_equal(standing.laggards[HUB_LAGGARDS_MAX - 1].confirmed.seq, base.seq + 1);
    wanted.seq = base.seq + 2;
    ask(&wanted, &arena, &standing);
    assert_int_equal(standing.confirmed, MANY / 5 * 3);
    for (int i = 0; i < MANY; i++)
        close_reader(&readers[i]);
    hub = first;
    hub_free(other);
    snapshot_unref(served);
    arena_deinit(&arena);
}

/* ---- threads ---- */

#define ROUNDS 400
#define READERS 4

static struct {
    pthread_mutex_t lock;
    char ids[READERS][STREAM_ID_SIZE]; /* of streams that may be open */
    _Atomic int reading;
    _Atomic uint64_t seq;
    _Atomic int wrong;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Opens, confirms and closes streams; its own are found while they are open, and not after. */
static void *run_reader(void *ctx) {
    size_t mine = (size_t)(uintptr_t)ctx;
    for (int i = 0; i < ROUNDS; i++) {
        struct reader reader;
        char id[STREAM_ID_SIZE];
        struct position confirmed, position = {1, atomic_load(&shared.seq)};
        open_reader(&reader, "production", NULL);
        read_id(&reader, id);
        pthread_mutex_lock(&shared.lock);
        memcpy(shared.ids[mine], id, sizeof(id));
        pthread_mutex_unlock(&shared.lock);
        if (confirm_as(&everywhere, id, position, &confirmed) < 0) atomic_fetch_add(&shared.wrong, 1);
        drain(&reader, 4096);
        close_reader(&reader);
        if (confirm_as(&everywhere, id, position, &confirmed) == 0) atomic_fetch_add(&shared.wrong, 1);
    }
    atomic_fetch_sub(&shared.reading, 1);
    return NULL;
}

/* Confirms for streams that may close at that moment. */
static void *run_confirmer(void *ctx) {
    for (size_t i = 0; atomic_load(&shared.reading); i++) {
        char id[STREAM_ID_SIZE];
        struct position confirmed, position = {1, atomic_load(&shared.seq)};
        pthread_mutex_lock(&shared.lock);
        memcpy(id, shared.ids[i % READERS], sizeof(id));
        pthread_mutex_unlock(&shared.lock);
        int r = confirm_as(&everywhere, id, position, &confirmed);
        if (r < 0 && r != -ERR_STREAM_NOT_FOUND) atomic_fetch_add(&shared.wrong, 1);
    }
    return NULL;
}

static void *run_changer(void *ctx) {
    const struct snapshot *served = ctx;
    while (atomic_load(&shared.reading)) {
        const struct store_touch touch = {
            .seq = (int64_t)atomic_load(&shared.seq) + 1, .agent = "a", .environment = "production"};
        hub_changed(hub, served, &(struct live_news){.touches = &touch, .count = 1});
        atomic_fetch_add(&shared.seq, 1);
    }
    return NULL;
}

static void *run_asker(void *ctx) {
    while (atomic_load(&shared.reading)) {
        struct hub_standing standing;
        struct hub_stats stats;
        struct arena arena = ARENA_INIT;
        ask(NULL, &arena, &standing);
        hub_stats(hub, &stats);
        hub_tick(hub);
        if (standing.confirmed > standing.confirming || standing.confirming > standing.streams ||
            stats.confirming > stats.streams)
            atomic_fetch_add(&shared.wrong, 1);
        arena_deinit(&arena);
    }
    return NULL;
}

static void test_confirming_among_threads(void **state) {
    pthread_t readers[READERS], confirmers[2], changer, asker;
    struct snapshot *served = publisher_get(world.publisher);
    struct hub_stats stats;
    atomic_store(&shared.reading, READERS);
    atomic_store(&shared.seq, 100);
    atomic_store(&shared.wrong, 0);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, run_reader, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < ARRAY_LEN(confirmers); i++)
        assert_int_equal(pthread_create(&confirmers[i], NULL, run_confirmer, NULL), 0);
    assert_int_equal(pthread_create(&changer, NULL, run_changer, served), 0);
    assert_int_equal(pthread_create(&asker, NULL, run_asker, NULL), 0);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(confirmers); i++)
        pthread_join(confirmers[i], NULL);
    pthread_join(changer, NULL);
    pthread_join(asker, NULL);
    snapshot_unref(served);
    assert_int_equal(atomic_load(&shared.wrong), 0);
    hub_stats(hub, &stats);
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.confirming, 0);
    assert_true(stats.confirmations >= (uint64_t)READERS * ROUNDS);
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
        TEST(test_flags_are_told),
        TEST(test_many_changes_are_one_notice),
        TEST(test_a_notice_for_who_has_missed_something),
        TEST(test_an_event_being_sent_outlives_the_ring),
        TEST(test_silent_streams_get_a_comment),
        TEST(test_the_end_lets_streams_finish),
        TEST(test_no_more_streams_than_the_limit),
        TEST(test_tags_of_environments),
        TEST(test_the_tag_of_an_environment_stands_while_others_change),
        TEST(test_everything_anew_says_refetch),
        TEST(test_confirming),
        TEST(test_a_laggard_is_told_with_its_name_and_key),
        TEST(test_a_revoked_key_ends_its_streams),
        TEST(test_confirming_while_others_change),
        TEST(test_only_open_streams_of_ones_own_environments),
        TEST(test_slots_are_used_again),
        TEST(test_many_laggards),
        TEST(test_confirming_among_threads),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
