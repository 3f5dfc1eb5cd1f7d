/* SPDX-License-Identifier: Apache-2.0 */
#include "http/test_client.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a server that tells what it understood ---- */

struct world {
    struct http_options options;
    struct http_server *server;
    _Atomic int slots_made, slots_freed;
    char *last_tag; /* of /tagged */
};

static int add_pair(void *ctx, const char *name, const char *value) {
    str_printf(ctx, "[%s=%s]", name, value);
    return 0;
}

static int stop_at_second(void *ctx, const char *name, const char *value) {
    int *seen = ctx;
    return ++*seen == 2 ? 42 : 0;
}

static void answer_text(struct http_response *response, int status) {
    response->status = status;
    response->content_type = "text/plain";
}

static void answer_echo(struct http_request *request, struct http_response *response) {
    struct slice body = http_body(request);
    const char *header = http_header(request, "X-Test");
    str_printf(&response->body, "%s %s ", http_method(request), http_path(request));
    (void)http_query_each(request, add_pair, &response->body);
    str_printf(&response->body, " {%s} <%s> ", header ? header : "-", http_peer(request));
    str_add_slice(&response->body, body);
    answer_text(response, 200);
}

static void slot_free(void *slot) {
    struct world *world = *(struct world **)slot;
    atomic_fetch_add(&world->slots_freed, 1);
    free(slot);
}

struct counted {
    struct world *world;
    int count;
};

static void answer_slot(struct world *world, struct http_request *request, struct http_response *response) {
    struct counted **slot = (struct counted **)http_connection_slot(request, slot_free);
    if (!*slot) {
        *slot = calloc(1, sizeof(**slot));
        assert_non_null(*slot);
        (*slot)->world = world;
        atomic_fetch_add(&world->slots_made, 1);
    }
    str_printf(&response->body, "%d", ++(*slot)->count);
    answer_text(response, 200);
}

/* /bytes?n=300&c=x: that many bytes; &tag=… in a header */
static void answer_bytes(struct http_request *request, struct http_response *response) {
    int64_t n = 0;
    const char *tag = http_query(request, "tag"), *c = http_query(request, "c");
    (void)text_to_int(http_query(request, "n"), 0, 1000000, &n);
    for (int64_t i = 0; i < n; i++)
        str_add_char(&response->body, c ? c[0] : 'x');
    if (tag) http_response_header(response, "X-Tag", tag);
    answer_text(response, http_query(request, "gone") ? 404 : 200);
}

static enum http_verdict fast(void *ctx, struct http_request *request, struct http_response *response) {
    const char *path = http_path(request);
    if (strcmp(path, "/slot") == 0) {
        answer_slot(ctx, request, response);
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/bytes") == 0) {
        answer_bytes(request, response);
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/split") == 0) { /* a header that would split the answer */
        http_response_header(response, "X-Bad", "a\r\nX-Other: b");
        answer_text(response, 200);
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/nothing") == 0) return HTTP_ANSWER;
    if (strcmp(path, "/unchanged") == 0) {
        response->status = 304;
        http_response_header(response, "ETag", "\"1\"");
        return HTTP_ANSWER;
    }
    if (strcmp(path, "/second") == 0) {
        int seen = 0;
        int r = http_query_each(request, stop_at_second, &seen);
        str_printf(&response->body, "%d after %d", r, seen);
        answer_text(response, 200);
        return HTTP_ANSWER;
    }
    answer_echo(request, response);
    return HTTP_ANSWER;
}

static void start(struct world *world) {
    world->options.handler.ctx = world;
    world->options.handler.fast = fast;
    world->server = test_start(&world->options);
}

static struct world world_new(void) {
    return (struct world){.options = test_options()};
}

static void expect(int fd, const char *request, const char *body) {
    _cleanup_(freep) char *got = client_ask(fd, request, 200);
    assert_string_equal(got, body);
}

static void expect_refused(struct world *world, const char *request, int status) {
    int fd = client_connect(world->server);
    free(client_ask(fd, request, status));
    assert_true(client_closed(fd, 3000));
    close(fd);
}

/* `begin`, so many bytes, `end`. */
static char *long_request(const char *begin, size_t count, const char *end) {
    struct str text = STR_INIT;
    str_add_text(&text, begin);
    for (size_t i = 0; i < count; i++)
        str_add_char(&text, 'l');
    str_add_text(&text, end);
    return str_take(&text);
}

/* ---- requests ---- */

static void test_what_a_handler_sees(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    expect(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a  {-} <127.0.0.1> ");
    expect(fd, "GET /a%20b/%c3%A4?p=1&q=x%26y+z&e=&f&&=v HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /a b/ä [p=1][q=x&y z][e=][f=][=v] {-} <127.0.0.1> ");
    expect(fd, "GET /? HTTP/1.1\r\nHost: x\r\nx-TEST:  some thing \t\r\n\r\n", "GET /  {some thing} <127.0.0.1> ");
    expect(fd, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "POST /b  {-} <127.0.0.1> abc");
    expect(fd, "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "PUT /b  {-} <127.0.0.1> ");
    expect(fd, "DELETE /b HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE /b  {-} <127.0.0.1> ");
    expect(fd, "GET /second?a&b&c HTTP/1.1\r\nHost: x\r\n\r\n", "42 after 2");
    close(fd);
    http_server_stop(world.server, 1000);
}

/* What a connection remembers of a request must not show in the next. */
static void test_requests_in_any_order(void **state) {
    static const char *const requests[] = {
        "GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: one\r\n\r\n",
        "GET /a/b?x=1&y=3 HTTP/1.1\r\nHost: x\r\nX-Test: one\r\n\r\n",
        "GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: two\r\n\r\n",
        "GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Tesu: one\r\n\r\n",
        "GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nY-Test: one\r\n\r\n",
        "GET /a/b?x=1&y=2 HTTP/1.1\r\nX-Test: one\r\nHost: x\r\n\r\n",
        "GET /a/b HTTP/1.1\r\nHost: x\r\nx-test:one \t\r\n\r\n",
        "GET /a/b HTTP/1.0\r\n\r\n",
        "GET /a%2Fb?x=%41+1&y HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /q?1&2&3&4&5&6&7&8&9=9 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /q?1&2&3&4&5&6&7&8=9 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /second?x=1&y=2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: one\r\nContent-Length: 3\r\n\r\nabc",
        "POST /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: one\r\nContent-Length: 3\r\n\r\nxyz",
        "POST /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: one\r\nContent-Length: 1\r\n\r\nz",
        "GET /q HTTP/1.1\r\nHost: "
        "x\r\n1:1\r\n2:2\r\n3:3\r\n4:4\r\n5:5\r\n6:6\r\n7:7\r\n8:8\r\n9:9\r\na:a\r\nb:b\r\nc:c\r\n"
        "d:d\r\ne:e\r\nf:f\r\nX-Test: seventeenth\r\n\r\n",
    };
    _cleanup_(freep) char *long_target = long_request("GET /long/", 300, " HTTP/1.1\r\nHost: x\r\nX-Test: one\r\n\r\n");
    _cleanup_(freep) char *long_header =
        long_request("GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: x\r\nX-Test: ", 600, "\r\n\r\n");
    const char *all[ARRAY_LEN(requests) + 2] = {long_target, long_header};
    char *answers[ARRAY_LEN(all)];
    memcpy(all + 2, requests, sizeof(requests));
    struct world world = world_new();
    start(&world);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int fd = client_connect(world.server);
        answers[i] = client_ask(fd, all[i], 200);
        close(fd);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            int fd = client_connect(world.server);
            const size_t order[] = {i, k, k, i, i, k};
            for (size_t n = 0; n < ARRAY_LEN(order) && !strstr(all[order[n]], "HTTP/1.0"); n++)
                expect(fd, all[order[n]], answers[order[n]]);
            close(fd);
        }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free(answers[i]);
    http_server_stop(world.server, 1000);
}

static void test_many_query_arguments(void **state) {
    struct world world = world_new();
    start(&world);
    struct str ask = STR_INIT, want = STR_INIT;
    str_add_text(&ask, "GET /q?");
    str_add_text(&want, "GET /q ");
    for (int i = 0; i < 100; i++) {
        str_printf(&ask, "%sk%d=%%%02x", i ? "&" : "", i, 'a' + i % 26);
        str_printf(&want, "[k%d=%c]", i, 'a' + i % 26);
    }
    str_add_text(&ask, " HTTP/1.1\r\nHost: x\r\n\r\n");
    str_add_text(&want, " {-} <127.0.0.1> ");
    int fd = client_connect(world.server);
    expect(fd, ask.data, want.data);
    expect(fd, "GET /q?z=1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /q [z=1] {-} <127.0.0.1> ");
    str_clear(&ask);
    str_add_text(&ask, "GET /q?");
    for (int i = 0; i < 2000; i++)
        str_add_text(&ask, "a&");
    str_add_text(&ask, " HTTP/1.1\r\nHost: x\r\n\r\n");
    free(client_ask(fd, ask.data, 400));
    assert_true(client_closed(fd, 3000));
    close(fd);
    str_deinit(&ask);
    str_deinit(&want);
    http_server_stop(world.server, 1000);
}

static void test_pipelining(void **state) {
    struct world world = world_new();
    start(&world);
    struct str ask = STR_INIT;
    for (int i = 0; i < 300; i++)
        str_printf(&ask, "POST /p%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%.*s", i, i % 7, i % 7, "abcdefg");
    int fd = client_connect(world.server);
    assert_true(client_send(fd, ask.data, ask.len));
    for (int i = 0; i < 300; i++) {
        struct answer answer;
        char want[64];
        assert_true(client_answer(fd, false, &answer));
        (void)snprintf(want, sizeof(want), "POST /p%d  {-} <127.0.0.1> %.*s", i, i % 7, "abcdefg");
        assert_string_equal(answer.body.data, want);
        str_deinit(&answer.body);
    }
    close(fd);
    str_deinit(&ask);
    http_server_stop(world.server, 1000);
}

static void test_bytes_one_by_one(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    const char *text = "POST /slow?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for (const char *c = text; c[1]; c++) {
        assert_true(client_send(fd, c, 1));
        if ((c - text) % 5 == 0) sleep_ms(1);
    }
    expect(fd, "o", "POST /slow [a=b] {-} <127.0.0.1> hello");
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_head_has_no_body(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    for (int i = 0; i < 3; i++) {
        struct answer answer;
        char length[32];
        client_text(fd, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(client_answer(fd, true, &answer));
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer_header(&answer, "Content-Length", length, sizeof(length)), "24");
        expect(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    }
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_http_1_0(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    expect(fd, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    expect(fd, "GET /y HTTP/1.0\r\n\r\n", "GET /y  {-} <127.0.0.1> ");
    assert_true(client_closed(fd, 3000));
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_expect_continue(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    struct answer answer;
    client_text(fd, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_true(client_answer(fd, false, &answer));
    assert_int_equal(answer.status, 100);
    expect(fd, "ok", "POST /e  {-} <127.0.0.1> ok");
    free(client_ask(fd, "POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\nExpect: 100-continue\r\n\r\n", 413));
    close(fd);
    http_server_stop(world.server, 1000);
}

/* The end of the client's bytes comes in together with them. */
static void test_client_that_says_it_is_done(void **state) {
    struct world world = world_new();
    start(&world);
    static const char *const requests[] = {"GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x HTTP/1.1\r\nHost: x\r\n",
                                           "GET /x"};
    for (int i = 0; i < 6; i++) {
        struct answer answer;
        int fd = client_connect(world.server);
        client_text(fd, requests[i % 3]);
        shutdown(fd, SHUT_WR);
        assert_int_equal(client_answer(fd, false, &answer), i % 3 == 0);
        str_deinit(&answer.body);
        assert_true(client_closed(fd, 2000));
        close(fd);
    }
    http_server_stop(world.server, 1000);
}

/* ---- answers ---- */

/* The object of the last answer is used again when the shape is the same: nothing of the last answer may show. */
static void test_answers_of_all_shapes_on_one_connection(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    static const size_t sizes[] = {100,  100,  100,  0,    0,   101, 3000,   3000, 100, 9000,
                                   9000, 4095, 4096, 4097, 100, 100, 300000, 1,    1};
    for (int i = 0; i < 3 * (int)(sizeof(sizes) / sizeof(sizes[0])); i++) {
        size_t size = sizes[(size_t)i % (sizeof(sizes) / sizeof(sizes[0]))];
        char ask[128], tag[32], got[64];
        struct answer answer;
        (void)snprintf(tag, sizeof(tag), "t%d", i % 5 / 2);
        (void)snprintf(ask, sizeof(ask), "GET /bytes?n=%zu&c=%c&tag=%s%s HTTP/1.1\r\nHost: x\r\n\r\n", size,
                       'a' + i % 26, tag, i % 3 ? "" : "&gone");
        client_text(fd, ask);
        assert_true(client_answer(fd, false, &answer));
        assert_int_equal(answer.status, i % 3 ? 200 : 404);
        assert_int_equal(answer.body.len, size);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(answer.body.data[k], 'a' + i % 26);
        assert_string_equal(answer_header(&answer, "X-Tag", got, sizeof(got)), tag);
        assert_string_equal(answer_header(&answer, "Content-Type", got, sizeof(got)), "text/plain");
        assert_non_null(answer_header(&answer, "Date", got, sizeof(got)));
        assert_null(answer_header(&answer, "Connection", got, sizeof(got)));
        str_deinit(&answer.body);
    }
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_unchanged(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    for (int i = 0; i < 3; i++) {
        struct answer answer;
        char etag[16];
        client_text(fd, "GET /unchanged HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(client_answer(fd, false, &answer));
        assert_int_equal(answer.status, 304);
        assert_string_equal(answer_header(&answer, "ETag", etag, sizeof(etag)), "\"1\"");
    }
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_date(void **state) {
    struct world world = world_new();
    struct clock clock;
    struct answer answer;
    char date[64];
    clock_fake_init(&clock, 951827696LL * 1000000); /* a leap day */
    world.options.clock = &clock;
    start(&world);
    int fd = client_connect(world.server);
    client_text(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(client_answer(fd, false, &answer));
    assert_string_equal(answer_header(&answer, "Date", date, sizeof(date)), "Tue, 29 Feb 2000 12:34:56 GMT");
    str_deinit(&answer.body);
    clock_fake_advance(&clock, 25 * 3600 * 1000000LL);
    wait_looks(world.server, 1); /* the watch writes the date */
    close(fd);
    fd = client_connect(world.server);
    client_text(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(client_answer(fd, false, &answer));
    assert_string_equal(answer_header(&answer, "Date", date, sizeof(date)), "Wed, 01 Mar 2000 13:34:56 GMT");
    str_deinit(&answer.body);
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_answers_that_cannot_be_sent(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    _cleanup_(freep) char *split = client_ask(fd, "GET /split HTTP/1.1\r\nHost: x\r\n\r\n", 500);
    assert_string_equal(split, "{\"code\":\"internal\"}");
    _cleanup_(freep) char *nothing = client_ask(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 500);
    assert_string_equal(nothing, "{\"code\":\"internal\"}");
    expect(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    close(fd);
    http_server_stop(world.server, 1000);
}

/* ---- limits ---- */

static void test_body_limit(void **state) {
    struct world world = world_new();
    world.options.body_limit = 5000;
    start(&world);
    int fd = client_connect(world.server);
    struct str ask = STR_INIT;
    str_add_text(&ask, "POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
    size_t head = ask.len;
    for (int i = 0; i < 5000; i++)
        str_add_char(&ask, (char)('a' + i % 26));
    char *got = client_ask(fd, ask.data, 200);
    assert_string_equal(strchr(got, '>') + 2, ask.data + head);
    free(got);
    close(fd);
    expect_refused(&world, "POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 5001\r\n\r\n", 413);
    expect_refused(&world, "POST /l HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n", 413);
    struct http_stats stats;
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.refused[HTTP_LIMIT_BODY], 2);
    assert_int_equal(stats.refused_framing, 0);
    str_deinit(&ask);
    http_server_stop(world.server, 1000);
}

/* The client never stops to send: the refusal reaches it nevertheless. */
static void test_body_limit_of_chunks(void **state) {
    struct world world = world_new();
    world.options.body_limit = 5000;
    start(&world);
    int fd = client_connect(world.server);
    client_text(fd, "POST /l HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[1008] = "3e8\r\n";
    memset(chunk + 5, 'x', 1000);
    memcpy(chunk + 1005, "\r\n", 2);
    for (int i = 0; i < 100; i++) {
        assert_true(client_send(fd, chunk, 1007));
        sleep_ms(1);
    }
    struct answer answer;
    assert_true(client_answer(fd, false, &answer));
    assert_int_equal(answer.status, 413);
    assert_string_equal(answer.body.data, "{\"code\":\"too_large\"}");
    str_deinit(&answer.body);
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_chunks(void **state) {
    struct world world = world_new();
    start(&world);
    int fd = client_connect(world.server);
    expect(fd,
           "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00a;x=y\r\n0123456789\r\n0\r\n"
           "Trailer: z\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
           "POST /c  {-} <127.0.0.1> abc0123456789");
    assert_true(client_closed(fd, 3000)); /* and no second answer: chunks end the connection */
    close(fd);
    struct http_stats stats;
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.requests, 1);
    expect_refused(&world, "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                   413);
    http_server_stop(world.server, 1000);
}

static void test_header_limit(void **state) {
    struct world world = world_new();
    struct http_stats stats;
    uint64_t refused = 0;
    start(&world);
    for (size_t size = 1000; size <= 20000; size += 500) {
        struct str ask = STR_INIT;
        struct answer answer;
        str_add_text(&ask, "GET /h HTTP/1.1\r\nHost: x\r\nX-Long: ");
        for (size_t i = 0; i < size; i++)
            str_add_char(&ask, 'y');
        str_add_text(&ask, "\r\n\r\n");
        int fd = client_connect(world.server);
        (void)client_send(fd, ask.data, ask.len);
        assert_true(client_answer(fd, false, &answer));
        if (size <= 6000) assert_int_equal(answer.status, 200);
        if (size >= 7000) assert_int_equal(answer.status, 431);
        refused += answer.status == 431;
        str_deinit(&answer.body);
        close(fd);
        str_deinit(&ask);
    }
    struct str ask = STR_INIT;
    str_add_text(&ask, "GET /h HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 101; i++)
        str_printf(&ask, "H%d:\r\n", i);
    str_add_text(&ask, "\r\n");
    expect_refused(&world, ask.data, 431);
    str_deinit(&ask);
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.refused[HTTP_LIMIT_HEADER], refused + 1);
    assert_int_equal(stats.refused_framing, 0);
    http_server_stop(world.server, 1000);
}

static bool is_served(const struct http_server *server, int *ret_fd) {
    struct answer answer;
    *ret_fd = client_connect(server);
    client_text(*ret_fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    bool served = client_answer(*ret_fd, false, &answer);
    str_deinit(&answer.body);
    return served;
}

static void expect_full(struct world *world) {
    int over;
    assert_false(is_served(world->server, &over));
    close(over);
}

static void wait_for_connections(struct world *world, uint64_t count) {
    struct http_stats stats;
    do
        http_server_stats(world->server, &stats);
    while (stats.connections_open != count);
}

static void check_connection_limit(struct world *world, int limit, enum http_limit counted) {
    int fds[10];
    struct http_stats stats;
    start(world);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < limit; i++)
            assert_true(is_served(world->server, &fds[i]));
        expect_full(world);
        close(fds[2]);
        wait_for_connections(world, (uint64_t)limit - 1);
        assert_true(is_served(world->server, &fds[2]));
        expect_full(world);
        for (int i = 0; i < limit; i++)
            close(fds[i]);
        wait_for_connections(world, 0);
    }
    http_server_stats(world->server, &stats);
    for (enum http_limit i = 0; i < HTTP_LIMIT_COUNT_; i++)
        assert_int_equal(stats.refused[i], i == counted ? 6 : 0);
    http_server_stop(world->server, 1000);
}

static void test_connection_limits(void **state) {
    struct world in_all = world_new(), per_address = world_new();
    in_all.options.connections = 7;
    check_connection_limit(&in_all, 7, HTTP_LIMIT_CONNECTIONS);
    per_address.options.connections_per_address = 5;
    check_connection_limit(&per_address, 5, HTTP_LIMIT_ADDRESS);
}

/* ---- what is refused ---- */

static void test_requests_that_two_readers_read_differently(void **state) {
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX:\r\n \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\nY: c\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\nX: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?a=%c3 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /?%c3=a HTTP/1.1\r\nHost: x\r\n\r\n",
        "G\xc3T / HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    struct world world = world_new();
    start(&world);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        expect_refused(&world, requests[i], 400);
    struct http_stats stats;
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.refused_framing, sizeof(requests) / sizeof(requests[0]));
    http_server_stop(world.server, 1000);
}

static void test_control_bytes_anywhere_in_a_value(void **state) {
    static const char bytes[] = {1, 8, 0x1f, 0x7f, '\t', ' ', '~', (char)0x80, (char)0xff};
    struct world world = world_new();
    start(&world);
    for (size_t i = 0; i < sizeof(bytes); i++)
        for (size_t at = 0; at < 19; at++) {
            char value[] = "~~~~~~~~~~~~~~~~~~~", text[96];
            value[at] = bytes[i];
            (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nX-Test: %s.\r\nConnection: close\r\n\r\n",
                           value);
            int fd = client_connect(world.server);
            char *body = client_ask(fd, text, i < 4 ? 400 : 200);
            bool echoed =
                strstr(body, at == 0 && i < 6 ? "~~~" : value) != NULL; /* space before a value is no part of it */
            assert_int_equal(echoed, i >= 4);
            free(body);
            close(fd);
        }
    http_server_stop(world.server, 1000);
}

/* The second request leaves the same bytes behind as the first, but its line ends are NULs that were sent; or it has the same shape and
 * other bytes. */
static void test_headers_that_only_look_like_the_last_ones(void **state) {
#define REQUEST(text)                                                                                                  \
    { text, sizeof(text) - 1 }
    static const struct slice requests[][2] = {
        {REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\nY: b\r\n\r\n"),
         REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\0\0Y\0 b\r\n\r\n")},
        {REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\nY: b\r\n\r\n"),
         REQUEST("GET / HTTP/1.1\r\nHost: x\0\0X\0 a\r\nY: b\r\n\r\n")},
        {REQUEST("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
         REQUEST("POST /size HTTP/1.1\r\nHost: x\0\0Content-Length\0 3\r\n\r\nabc")},
        {REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\r\n"), REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: \1\r\n\r\n")},
        {REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\r\n"), REQUEST("GET / HTTP/1.1\r\nHosd: x\r\nX: a\r\n\r\n")},
    };
#undef REQUEST
    struct world world = world_new();
    start(&world);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int fd = client_connect(world.server);
        for (unsigned sound = 0; sound < 2; sound++) {
            struct answer answer;
            assert_true(client_send(fd, requests[i][0].ptr, requests[i][0].len));
            assert_true(client_answer(fd, false, &answer));
            assert_int_equal(answer.status, 200);
            str_deinit(&answer.body);
        }
        struct answer answer;
        assert_true(client_send(fd, requests[i][1].ptr, requests[i][1].len));
        assert_true(client_answer(fd, false, &answer));
        assert_int_equal(answer.status, 400);
        assert_true(client_closed(fd, 3000));
        str_deinit(&answer.body);
        close(fd);
    }
    http_server_stop(world.server, 1000);
}

static void test_nul_bytes(void **state) {
#define REQUEST(text)                                                                                                  \
    { text, sizeof(text) - 1 }
    static const struct slice requests[] = {
        REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n"),
        REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX\0Y: a\r\n\r\n"),
        REQUEST("GET / HTTP/1.1\r\nHost: x\r\n\0X: a\r\n\r\n"),
        REQUEST("GET /\0a HTTP/1.1\r\nHost: x\r\n\r\n"),
        REQUEST("GET /?a=b\0c HTTP/1.1\r\nHost: x\r\n\r\n"),
        REQUEST("GE\0T / HTTP/1.1\r\nHost: x\r\n\r\n"),
        REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\0\r\n\r\n"),
        REQUEST("GET / HTTP/1.1\r\nHost: x\r\nX: a\0\r\n\r\n"),
    };
#undef REQUEST
    struct world world = world_new();
    start(&world);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct answer answer;
        int fd = client_connect(world.server);
        (void)client_send(fd, requests[i].ptr, requests[i].len);
        if (client_answer(fd, false, &answer)) assert_int_equal(answer.status, 400);
        assert_true(client_closed(fd, 3000));
        str_deinit(&answer.body);
        close(fd);
    }
    http_server_stop(world.server, 1000);
}

/* libmicrohttpd would answer these with two heads, the second as the body of the first. */
static void test_lengths_that_are_no_numbers_are_refused_in_one_answer(void **state) {
    static const struct {
        const char *length;
        int status;
    } wrong[] = {
        {"", 400}, {"-1", 400}, {"+3", 400}, {"3 3", 400}, {"3, 3", 400}, {"0x3", 400}, {"99999999999999999999", 413}};
    struct world world = world_new();
    world.options.workers = 2;
    start(&world);
    int others[8];
    for (size_t i = 0; i < 8; i++) {
        others[i] = client_connect(world.server);
        client_text(others[i], "POST /other HTTP/1.1\r\nHost: x\r\n");
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct str ask = STR_INIT;
        str_printf(&ask, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\nabc", wrong[i].length);
        int fd = client_connect(world.server);
        char *body = client_ask(fd, ask.data, wrong[i].status);
        assert_non_null(strstr(body, err_name(wrong[i].status == 413 ? ERR_TOO_LARGE : ERR_BAD_REQUEST)));
        assert_null(strstr(body, "HTTP/1.1"));
        assert_true(client_closed(fd, 3000));
        close(fd);
        free(body);
        str_deinit(&ask);
    }
    for (size_t i = 0; i < 8; i++) {
        expect(others[i], "Content-Length: 2\r\n\r\nok", "POST /other  {-} <127.0.0.1> ok");
        close(others[i]);
    }
    struct http_stats stats;
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.refused_framing + stats.refused[HTTP_LIMIT_BODY], sizeof(wrong) / sizeof(wrong[0]));
    http_server_stop(world.server, 1000);
}

/* ---- the server ---- */

static void test_slot_lives_as_long_as_its_connection(void **state) {
    struct world world = world_new();
    world.options.workers = 2;
    start(&world);
    int a = client_connect(world.server), b = client_connect(world.server);
    expect(a, "GET /slot HTTP/1.1\r\nHost: x\r\n\r\n", "1");
    expect(a, "GET /slot HTTP/1.1\r\nHost: x\r\n\r\n", "2");
    expect(b, "GET /slot HTTP/1.1\r\nHost: x\r\n\r\n", "1");
    expect(a, "GET /slot HTTP/1.1\r\nHost: x\r\n\r\n", "3");
    assert_int_equal(atomic_load(&world.slots_made), 2);
    assert_int_equal(atomic_load(&world.slots_freed), 0);
    close(a);
    assert_true(wait_for(&world.slots_freed, 1));
    http_server_stop(world.server, 1000);
    assert_int_equal(atomic_load(&world.slots_freed), 2);
    close(b);
}

static void test_stats(void **state) {
    struct world world = world_new();
    struct http_stats stats;
    start(&world);
    int fd = client_connect(world.server);
    for (int i = 0; i < 5; i++)
        expect(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    http_server_stats(world.server, &stats);
    assert_int_equal(stats.requests, 5);
    assert_int_equal(stats.connections_open, 1);
    assert_int_equal(stats.connections_total, 1);
    close(fd);
    do
        http_server_stats(world.server, &stats);
    while (stats.connections_open > 0);
    assert_int_equal(stats.requests, 5);
    http_server_stop(world.server, 1000);
}

/* ---- a socket that was handed over ---- */

static int bound_socket(int type, bool listening) {
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type, 0);
    assert_true(fd > 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    if (listening) assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void test_a_socket_handed_over(void **state) {
    struct world world = world_new();
    char address[HTTP_ADDRESS_SIZE];
    world.options.address = "192.0.2.1:1";
    world.options.socket = bound_socket(SOCK_STREAM, true);
    assert_int_equal(http_socket_address(world.options.socket, address, NULL), 0);
    int queued = dup(world.options.socket); /* systemd keeps one */
    start(&world);
    assert_string_equal(http_server_address(world.server), address);
    int fd = client_connect(world.server);
    expect(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    close(fd);
    http_server_stop(world.server, 1000);
    assert_int_equal(http_socket_address(queued, address, NULL), 0); /* listens on for the next one */

    world.options.socket = queued;
    start(&world);
    fd = client_connect(world.server);
    expect(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "GET /x  {-} <127.0.0.1> ");
    close(fd);
    http_server_stop(world.server, 1000);
}

static void test_sockets_that_do_not_do(void **state) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    const int fds[] = {bound_socket(SOCK_STREAM, false), bound_socket(SOCK_DGRAM, false), pair[0], dup(0)};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        struct http_options options = test_options();
        struct http_server *server = NULL;
        struct err err = ERR_INIT;
        options.socket = fds[i];
        assert_int_equal(http_server_start(&options, &server, &err), -ERR_CONFIG);
        assert_true(*err.remedy != 0);
        close(fds[i]);
    }
}

static void check_start_fails(const char *address, enum err_code code) {
    struct http_options options = test_options();
    struct http_server *server = NULL;
    struct err err = ERR_INIT;
    options.address = address;
    options.handler.fast = fast;
    assert_int_equal(http_server_start(&options, &server, &err), -(int)code);
    assert_null(server);
    assert_true(err.message[0]);
}

static void test_addresses(void **state) {
    static const char *const bad[] = {
        "",       "127.0.0.1", ":1",           "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
        "::1:80", "[::1:80",   "300.1.1.1:80", "192.0.2.1:0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_start_fails(bad[i], ERR_CONFIG);
    struct world world = world_new();
    start(&world);
    check_start_fails(http_server_address(world.server), ERR_PORT_IN_USE);
    http_server_stop(world.server, 1000);
    assert_null(http_server_stop(NULL, 0));
}

static void test_ipv6(void **state) {
    struct world world = world_new();
    struct err err = ERR_INIT;
    world.options.address = "[::]:0";
    world.options.connections_per_address = 1;
    world.options.handler.ctx = &world;
    world.options.handler.fast = fast;
    if (http_server_start(&world.options, &world.server, &err) < 0) skip(); /* no IPv6 here */
    assert_int_equal(strncmp(http_server_address(world.server), "[::]:", 5), 0);
    int fd = client_connect(world.server); /* over IPv4 */
    expect(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a  {-} <127.0.0.1> ");
    expect_full(&world);
    close(fd);
    http_server_stop(world.server, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_handler_sees),
        cmocka_unit_test(test_requests_in_any_order),
        cmocka_unit_test(test_many_query_arguments),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_bytes_one_by_one),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_http_1_0),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_client_that_says_it_is_done),
        cmocka_unit_test(test_answers_of_all_shapes_on_one_connection),
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_answers_that_cannot_be_sent),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_body_limit_of_chunks),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_header_limit),
        cmocka_unit_test(test_connection_limits),
        cmocka_unit_test(test_requests_that_two_readers_read_differently),
        cmocka_unit_test(test_control_bytes_anywhere_in_a_value),
        cmocka_unit_test(test_headers_that_only_look_like_the_last_ones),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_lengths_that_are_no_numbers_are_refused_in_one_answer),
        cmocka_unit_test(test_slot_lives_as_long_as_its_connection),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_a_socket_handed_over),
        cmocka_unit_test(test_sockets_that_do_not_do),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
